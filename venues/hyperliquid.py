"""Hyperliquid: an account with one perpetual position, its margin in USDC."""

from attrs import field, frozen, validators

from framework.accounts import Account, Book, Draft
from framework.events import Liquidated, OrderFilled
from framework.market import Market
from framework.orders import Trade
from framework.venue import (
    Bridge,
    FeeTiming,
    Leg,
    Moment,
    Penalty,
    Projection,
    Valuation,
    Venue,
    fraction,
    not_negative,
)
from venues.perpetual import Perpetual


@frozen(kw_only=True)
class Hyperliquid(Venue):
    """Hyperliquid's perpetual under given rules. Rates are fractions; fees are basis points of the traded notional.

    `funding_rate` and `funding_price` name the market columns of the rate and of the price that it is paid on.
    With `liquidation_distance` a position is liquidated that share of its entry price away, whatever its equity.
    """

    name: str = "hyperliquid"
    coin: str = "SOL"
    taker_fee_bps: float = field(validator=not_negative)
    maintenance_margin: float = field(validator=fraction)
    liquidation_penalty: Penalty
    liquidation_closes: bool = True
    forgive_negative_equity: bool = False
    funding_rate: str = "hyperliquid_funding_rate"
    funding_price: str = field(default="close", validator=validators.in_(("open", "close", "oracle")))
    valuation: Valuation = "market"
    fee_timing: FeeTiming = "each_trade"
    liquidation_distance: float | None = None
    bridge: Bridge = field(factory=Bridge)
    _perpetual: Perpetual = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_perpetual", Perpetual.of(self))

    def accounts(self) -> tuple[Account, ...]:
        return self._perpetual.accounts.all()

    def columns(self) -> tuple[str, ...]:
        return ("close", "high", "low", self.funding_rate, self.funding_price)

    def project(self, book: Book, market: Market, start: int, stop: int) -> Projection | None:
        return self._perpetual.project(book, market, start, stop)

    def leg(self, book: Book, price: float) -> Leg:
        return self._perpetual.leg(book, price)

    def execute(self, order: Trade, draft: Draft, moment: Moment) -> OrderFilled:
        return self._perpetual.execute(order, draft, moment)

    def liquidate(self, draft: Draft, moment: Moment, market: Market) -> Liquidated:
        return self._perpetual.liquidate(draft, moment, market)

    def penalty_account(self) -> Account:
        return self._perpetual.accounts.penalty

    def receive(self, draft: Draft, source: Account, amount: int, moment: Moment, kind: str) -> None:
        self._perpetual.receive(draft, source, amount, moment, kind)

    def pay(self, draft: Draft, target: Account, amount: int, moment: Moment, kind: str) -> None:
        self._perpetual.pay(draft, target, amount, moment, kind)
