"""Capital rebalance: keep both legs, and move equity between them before either is liquidated."""

from collections.abc import Iterable, Iterator
from typing import Literal

from attrs import Attribute, field, frozen, validators

from framework.events import ConditionMet, Ended, Event, Liquidated
from framework.orders import Order
from framework.strategy import Condition, LeverageAbove, Strategy, View
from strategies.pair import close_pair, level_equity, open_pair, reopen_pair


@frozen(kw_only=True)
class CapitalRebalance(Strategy):
    """Level the two legs' equity when either leg's effective leverage passes `trigger`.

    `long` and `short` name venues; `leverage` is notional over equity of each leg at entry. A leg that was liquidated
    all the same is answered by closing both and opening them anew with what is left.
    """

    long: str
    short: str = field()
    leverage: float = field(validator=validators.gt(1))
    trigger: float | Literal["never"] = field()
    min_transfer_usd: float = field(default=5.0, validator=validators.ge(0))

    @trigger.validator
    def _above_leverage(self, _: "Attribute[object]", trigger: float | str) -> None:
        if trigger != "never" and float(trigger) < self.leverage:
            raise ValueError(f"'trigger' must be at least the leverage of {self.leverage:g}, or never: {trigger:g}")

    @short.validator
    def _two_venues(self, _: "Attribute[object]", short: str) -> None:
        if short == self.long:
            raise ValueError(f"'short' must be another venue than the long leg's: {short}")

    def conditions(self) -> tuple[Condition, ...]:
        if self.trigger == "never":
            return ()
        return LeverageAbove(self.long, float(self.trigger)), LeverageAbove(self.short, float(self.trigger))

    def on_start(self, view: View) -> Iterator[Order]:
        yield from open_pair(view, self.long, self.short, self.leverage)

    def on_event(self, event: Event, view: View) -> Iterable[Order]:
        match event:
            case ConditionMet():
                return level_equity(view, self.long, self.short, self.min_transfer_usd)
            case Liquidated():
                return reopen_pair(view, self.long, self.short, self.leverage)
            case Ended():
                return close_pair(self.long, self.short)
            case _:
                return ()
