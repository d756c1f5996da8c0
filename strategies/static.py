"""Static: open both legs and wait for the end; under the legacy rules it is the study's ceiling."""

from collections.abc import Iterable, Iterator

from attrs import field, frozen, validators

from framework.events import Ended, Event, Liquidated, Side
from framework.orders import Open, Order
from framework.strategy import Strategy, View
from strategies.pair import close_pair


@frozen(kw_only=True)
class Static(Strategy):
    """Half of the capital behind each leg at `leverage`, held to the end whatever happens.

    The long leg keeps exactly half after its fees; the short's margin bears the fees of both. If a leg is liquidated on
    the way, the other is closed as well and the rest waits in cash.
    """

    long: str
    short: str
    leverage: float = field(validator=validators.gt(1))

    def on_start(self, view: View) -> Iterator[Order]:
        half_usd = view.cash_usd / 2
        size = half_usd * self.leverage / view.price
        fee_usd = view.quote(Open(self.long, Side.LONG, size, 0.0)).fee_usd
        yield Open(self.long, Side.LONG, size, half_usd + fee_usd)
        yield Open(self.short, Side.SHORT, size, view.cash_usd)

    def on_event(self, event: Event, _: View) -> Iterable[Order]:
        return close_pair(self.long, self.short) if isinstance(event, Ended | Liquidated) else ()
