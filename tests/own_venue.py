"""A venue of a user's own: a perpetual account like any other, under rules whose names the audit does not know."""

from attrs import field, frozen

from framework.venue import Bridge, Penalty, Venue
from venues.hyperliquid import Hyperliquid


@frozen(kw_only=True)
class Own(Venue):
    """Funding, orders and liquidations as Hyperliquid's, told by one cost in basis points and by nothing else."""

    name: str
    cost_bps: float = 3.5
    bridge: Bridge = field(factory=lambda: Bridge(fee_usd=3.0))
    _inner: Hyperliquid = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        inner = Hyperliquid(
            name=self.name,
            taker_fee_bps=self.cost_bps,
            maintenance_margin=0.05,
            liquidation_penalty=Penalty(of="equity", fraction=0.5),
            bridge=self.bridge,
        )
        object.__setattr__(self, "_inner", inner)

    def accounts(self):
        return self._inner.accounts()

    def columns(self):
        return self._inner.columns()

    def project(self, book, stretch):
        return self._inner.project(book, stretch)

    def leg(self, book, mark):
        return self._inner.leg(book, mark)

    def execute(self, order, draft, moment):
        return self._inner.execute(order, draft, moment)

    def liquidate(self, draft, moment):
        return self._inner.liquidate(draft, moment)

    def receive(self, draft, source, amount, moment, kind):
        return self._inner.receive(draft, source, amount, moment, kind)

    def pay(self, draft, target, amount, moment, kind):
        return self._inner.pay(draft, target, amount, moment, kind)
