"""Capital rebalance: keep both legs, and move equity between them before either is liquidated."""

from collections.abc import Iterable, Iterator
from typing import Literal

from attrs import field, frozen, validators

from framework.errors import ScenarioError
from framework.events import ConditionMet, Deleveraged, Ended, Event, Liquidated
from framework.orders import Order
from framework.strategy import Condition, LeverageAbove, NoPosition, Strategy, View
from strategies.hedge import LegsApart, Unhedged, apart, even_out, left_open
from strategies.pair import (
    Refused,
    another_leg,
    half,
    leave_pair,
    level_equity,
    open_after_fees,
    open_pair,
    reopen_pair,
)


@frozen(kw_only=True)
class CapitalRebalance(Strategy):
    """Level the two legs' equity when either leg's effective leverage passes `trigger`.

    `long` and `short` name venues; `leverage` is notional over equity of each leg at entry. A leg that was liquidated
    all the same is answered by closing both and opening them again with what is left. Where only a part of it was
    liquidated, or a venue has changed a leg in another way, `unhedged` says what becomes of the larger one: a `cut`
    goes on with both at the smaller size and levels their equity, `close` opens both again, `hold` waits. Legs that
    differ by more than `tolerance` of the larger one are unhedged as well. `refused` says what becomes of an opening
    that a venue does not take.
    """

    long: str
    short: str = field(validator=another_leg)
    leverage: float = field(validator=validators.gt(1))
    trigger: float | Literal["never"]
    min_transfer_usd: float = field(default=5.0, validator=validators.ge(0))
    """The least difference that is worth a transfer."""
    unhedged: Unhedged = "cut"
    tolerance: float = field(default=0.2, validator=(validators.gt(0.0), validators.lt(1.0)))
    refused: Refused = "wait"

    def check(self) -> None:
        if self.trigger != "never" and float(self.trigger) < self.leverage:
            wrong = f"strategy.trigger: {float(self.trigger):g}"
            raise ScenarioError(f"{wrong}; expected at least the leverage of {self.leverage:g}, or never")

    def conditions(self) -> tuple[Condition, ...]:
        hedge = NoPosition(self.long), LegsApart(self.long, self.short, self.tolerance)
        if self.trigger == "never":
            return hedge
        return LeverageAbove(self.long, float(self.trigger)), LeverageAbove(self.short, float(self.trigger)), *hedge

    def on_start(self, view: View) -> Iterator[Order]:
        yield from open_pair(view, self.long, self.short, self.leverage, refused=self.refused)

    def on_event(self, event: Event, view: View) -> Iterable[Order]:
        match event:
            case Ended():
                return leave_pair(view, self.long, self.short)
            case ConditionMet(condition=LeverageAbove()):
                return level_equity(view, self.long, self.short, self.min_transfer_usd)
            case ConditionMet():
                return self._mend(view, quietly=True)
            case Liquidated() if left_open(event, view):
                return reopen_pair(view, self.long, self.short, self.leverage, refused=self.refused)
            case Liquidated() | Deleveraged():
                return self._answer(view)
            case _:
                return self._mend(view)

    def _answer(self, view: View) -> Iterator[Order]:
        """Answer a liquidation or a deleveraging: open closed legs and those of `close` again, make others equal."""
        gone = not view.leg(self.long).size or not view.leg(self.short).size
        if self.unhedged == "close" or (self.unhedged == "cut" and gone):
            yield from reopen_pair(view, self.long, self.short, self.leverage, refused=self.refused)
            return
        if self.unhedged == "hold":
            yield from level_equity(view, self.long, self.short, self.min_transfer_usd)
        yield from even_out(view, self.long, self.short, self.leverage, self.unhedged)
        yield from level_equity(view, self.long, self.short, self.min_transfer_usd)

    def _mend(self, view: View, *, quietly: bool = False) -> Iterator[Order]:
        """Open what is not open, and hedge what is unhedged, as soon as venues and money on its way allow it."""
        held = view.leg(self.long).size or view.leg(self.short).size
        if held and apart(view, self.long, self.short, self.tolerance):
            yield from even_out(view, self.long, self.short, self.leverage, self.unhedged, quietly=quietly)
        elif not held and not view.transit_usd:
            planned_usd = half(view, self.long, self.short) * self.leverage
            yield from open_after_fees(
                view, self.long, self.short, self.leverage, planned_usd, refused=self.refused, quietly=quietly
            )
