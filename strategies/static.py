"""Static: open both legs and wait for the end; under the legacy rules it is the study's ceiling."""

from collections.abc import Iterable, Iterator

from attrs import field, frozen, validators

from framework.events import ConditionMet, Deleveraged, Ended, Event, Liquidated, Rejected, Side
from framework.orders import Close, Open, Order
from framework.strategy import Condition, Strategy, View
from strategies.hedge import LegsApart, Unhedged, apart, even_out, left_open, quoted_fee_usd
from strategies.pair import another_leg, close_pair, leave_pair


@frozen(kw_only=True)
class Static(Strategy):
    """Half of the capital behind each leg at `leverage`, held to the end whatever happens.

    The long leg keeps exactly half after its fees; the short's margin bears the fees of both. If a leg is liquidated on
    the way, the other is closed as well and the rest waits in cash. With `unhedged` other than `close` the pair goes on
    after a liquidation in part. Legs that differ by more than `tolerance` of the larger one are unhedged as well.
    """

    long: str
    short: str = field(validator=another_leg)
    leverage: float = field(validator=validators.gt(1))
    unhedged: Unhedged = "close"
    tolerance: float = field(default=0.2, validator=(validators.gt(0.0), validators.lt(1.0)))

    def conditions(self) -> tuple[Condition, ...]:
        return (LegsApart(self.long, self.short, self.tolerance),)

    def on_start(self, view: View) -> Iterator[Order]:
        half_usd = view.cash_usd / 2
        size = half_usd * self.leverage / view.price
        fee_usd = quoted_fee_usd(view, Open(self.long, Side.LONG, size, half_usd))
        yield Open(self.long, Side.LONG, size, half_usd + fee_usd)
        if isinstance(view.outcome, Rejected):
            return
        yield Open(self.short, Side.SHORT, size, view.cash_usd)
        if isinstance(view.outcome, Rejected):
            yield Close(self.long)

    def on_event(self, event: Event, view: View) -> Iterable[Order]:
        match event:
            case Ended():
                return leave_pair(view, self.long, self.short)
            case Liquidated() if left_open(event, view):
                return close_pair(self.long, self.short)
            case Liquidated() | Deleveraged():
                return even_out(view, self.long, self.short, self.leverage, self.unhedged)
            case _ if apart(view, self.long, self.short, self.tolerance):
                woken = isinstance(event, ConditionMet)
                return even_out(view, self.long, self.short, self.leverage, self.unhedged, quietly=woken)
            case _:
                return ()
