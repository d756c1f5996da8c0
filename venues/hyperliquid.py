"""Hyperliquid: an account with perpetual positions in one or several coins, its margin in USDC shared by them."""

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
from attrs import field, frozen, validators

from framework.accrual import Accrual
from framework.books import Books
from framework.clock import NS_PER_HOUR, NS_PER_SECOND
from framework.errors import MarketError
from framework.events import Liquidated
from framework.formulas import choose, formula, greater, lesser, per_coin
from framework.market import TICK_NS, Floats, Market
from framework.money import USDC, Account
from framework.orders import Close
from framework.venue import Bridge, Dated, Penalty, Venue, basis_points, fraction, not_negative, share
from venues import hyperliquid_formulas as rules
from venues import perpetual as linear


@frozen(kw_only=True)
class Hyperliquid(Venue):
    """Perpetuals on one margin account. Rates and margins are fractions; longs pay a funding rate above 0.

    The account is liquidated where its equity, at the rows' adverse extremes of all coins, is at most its maintenance
    margin. A liquidation is the protocol's, unless there is a `liquidation_penalty`:

    - Orders on the book at the ordinary taker fee, the largest position first, until the margin suffices. What is left
      stays margin.
    - Of a position above `partial_from_usd` the first order closes a fifth. Orders within the next 30 seconds close
      all of the rest.
    - Below two thirds of the maintenance margin the liquidator vault takes everything, at no fee, and bears what is
      owed.
    """

    name: str = "hyperliquid"
    coin: str | tuple[str, ...] = "SOL"

    # -- fees
    taker_fee_bps: float | Dated = field(validator=basis_points)
    """Taker fee of the base tier, basis points of the traded notional."""
    fee_tiers: tuple[rules.FeeTier, ...] | Dated | None = None
    """Lower fees by the account's volume in the 14 days before today."""
    volume_usd: float = field(default=0.0, validator=not_negative)
    """The part of that volume that was traded elsewhere."""
    fee_discount: float | Dated | None = field(default=None, validator=share)
    """The share of a fee that is waived, as for stakers and referred accounts."""
    min_order_usd: float | Dated | None = field(default=None, validator=not_negative)
    """An order worth less is rejected, unless it closes the whole position."""

    # -- margin
    maintenance_margin: float | Dated | None = field(default=None, validator=fraction)
    """Maintenance margin as a share of any notional; `margin_tiers` take its place."""
    margin_tiers: dict[str, tuple[rules.Tier, ...]] | Dated | None = field(default=None, validator=rules.two_tiers)
    """Maximum leverage by coin and notional. The maintenance margin is half of the initial margin at that leverage."""
    leverage: float | None = field(default=None, validator=validators.optional(validators.ge(1)))
    """The leverage that the account has set: with tiers an order needs the initial margin at it, or at the maximum."""
    payout_floor: float | Dated | None = field(default=None, validator=share)
    """What is left after a payment has to be the initial margin, and this share of the notional."""
    margin_mode: Literal["cross", "isolated"] | None = None
    """Whether coins share their margin; isolated margin is that of a venue with one coin."""

    # -- liquidation
    partial_from_usd: float | Dated | None = field(default=None, validator=not_negative)
    """The notional above which a position is liquidated in two orders."""
    liquidation_penalty: Penalty | None = None
    """The study's liquidation: this penalty is taken at once, and no order is sent."""
    liquidation_closes: bool = True
    """Whether a liquidation at a penalty closes the positions."""
    forgive_negative_equity: bool = False
    """Whether the venue bears what an account lacks after a liquidation at a penalty."""

    # -- funding
    funding_rate: str = "hyperliquid_funding_rate"
    """Column of the funding rate; `hyperliquid.BTC.funding` overrides it, and each of several coins needs one."""
    funding_price: Literal["open", "close", "oracle"] = "close"
    """The price that funding is paid on. A row pays on the position that is open when it begins."""
    funding_clamp: float | Dated | None = field(default=None, validator=fraction)
    """Clamp of the interest, where rows of an hour have the premium, `hyperliquid.BTC.premium`, instead of the rate."""
    bridge: Bridge = field(factory=Bridge)

    margin, position, quote, drawn = linear.margin, linear.position, linear.quote, linear.drawn
    traded, traded_usdc, funding, fees = linear.traded, linear.traded_usdc, linear.funding, linear.fees
    penalties, bad_debt = linear.penalties, linear.bad_debt

    margin_rate, upper_margin_rate = rules.of_first_line("rate"), rules.of_last_line("rate")
    initial_rate, upper_initial_rate = rules.of_first_line("initial"), rules.of_last_line("initial")
    upper_deduction, upper_from_usd = rules.of_last_line("deduction"), rules.of_last_line("above_usd")

    def __attrs_post_init__(self) -> None:
        if self.maintenance_margin is None and self.margin_tiers is None:
            raise ValueError("'maintenance_margin' must be a fraction of the notional, or margin_tiers be given: None")
        if self.margin_mode == "isolated" and len(self.coins) > 1:
            raise ValueError(f"'margin_mode' must be cross where coins share their margin: {', '.join(self.coins)}")

    size, notional, entry_price = linear.size, linear.notional, linear.entry_price

    @per_coin
    def worth(position, mark):
        return position * mark

    @formula
    def equity(margin, quote, drawn, worth):
        return margin + quote + drawn + worth

    position_maintenance = per_coin(rules.maintenance_margin)

    @formula
    def maintenance(position_maintenance):
        """The sum of all coins': what is of each coin arrives as that."""
        return position_maintenance

    @formula
    def liquidated(equity, maintenance, notional):
        return (equity <= maintenance) & (notional > 0)

    @per_coin(when="margin_tiers")
    def liquidation_price(
        mark, size, notional, equity, maintenance, position_maintenance, margin_rate, upper_margin_rate, upper_deduction
    ):
        available = equity - (maintenance - position_maintenance)
        first = rules.liquidation_price(mark, size, available - notional * margin_rate, margin_rate)
        upper = available - (notional * upper_margin_rate - upper_deduction)
        last = rules.liquidation_price(mark, size, upper, upper_margin_rate)
        near = choose(size > 0, greater(first, last), lesser(first, last))
        return choose((size != 0) & (near > 0), near, float("nan"))

    @per_coin(when="margin_tiers")
    def initial(notional, initial_rate, upper_initial_rate, upper_from_usd):
        return notional * choose(notional > upper_from_usd, upper_initial_rate, initial_rate)

    @formula(when="margin_tiers")
    def initial_collateral(equity):
        return equity

    @formula(when="margin_tiers")
    def free(equity, initial, notional, payout_floor):
        return rules.withdrawable(equity, initial, notional, payout_floor)

    def accruals(self) -> Iterable[Accrual]:
        return linear.funding_of(self, self.margin)

    def turnovers(self) -> Iterable[Account]:
        """Fee tiers go by what was traded."""
        return () if self.fee_tiers is None else (self.traded_usdc,)

    def derived(self, market: Market) -> Mapping[str, tuple[str, Floats]]:
        """The funding rates of coins for which the market has the premium and no rate."""
        found = {}
        for coin in self.coins:
            rates, names = linear.funding_columns(self, coin), (f"{self.name}.{coin}.premium", f"{self.name}_premium")
            premium = next((each for each in names if each in market.columns), None)
            if premium is None or not market.columns.keys().isdisjoint(rates):
                continue
            if np.any(market.at_ns + TICK_NS - market.open_ns != NS_PER_HOUR):
                raise MarketError(f"venue {self.name} works out funding by the hour of {premium!r}; expected such rows")
            clamp = rules.CLAMP if self.funding_clamp is None else self.funding_clamp
            by_row = clamp.by_row(market.at_ns) if isinstance(clamp, Dated) else clamp
            found[rates[0]] = premium, rules.funding_rate(market[premium], by_row)
        return found

    open, close, resize = linear.open_position, linear.close_position, linear.resize_position
    receive, pay = linear.pay_in, linear.pay_out

    def taker_bps(self, book: Books) -> float:
        """The taker fee now: of the base tier, or of a lower one that the volume has reached, less the discount."""
        bps = linear.taker_bps(self, book)
        if self.fee_tiers is not None:
            volume_usd = USDC.units(book.turnover(self.traded_usdc, rules.VOLUME_DAYS)) + self.volume_usd
            if volume_usd:
                bps = min(bps, rules.taker_fee_bps(book.rule(self.fee_tiers), volume_usd))
        return bps * (1 - (book.rule(self.fee_discount) or 0.0))

    def accept(self, order: object, book: Books) -> None:
        """Reject an order below the minimum, or with too little initial margin for what it adds."""
        if self.margin_tiers is not None:
            linear.check_initial_margin(self, book, "leverage and margin_tiers" if self.leverage else "margin_tiers")
        least_usd = book.rule(self.min_order_usd) or 0.0
        if not least_usd or isinstance(order, Close):
            return
        traded_usd = USDC.units(abs(book.moved(self.traded_usdc)))
        if traded_usd < least_usd:
            book.reject(f"an order of {traded_usd:.6f} USD; expected {least_usd:g} USD or more, or Close")

    def liquidate(self, book: Books) -> None:
        """The study's liquidation at a penalty, or the protocol's: the vault's below two thirds, else on the book."""
        if self.liquidation_penalty is not None:
            linear.liquidate_at_a_penalty(self, book)
        elif book.value(self.name, "equity") < rules.BACKSTOP * book.value(self.name, "maintenance"):
            self._hand_over(book)
        else:
            self._trade_back(book)

    def _trade_back(self, book: Books) -> None:
        """Orders on the book, the largest position first, until the margin suffices; what is left stays margin."""
        most = None if self._pausing(book) else book.rule(self.partial_from_usd)
        for coin in linear.by_worth(self, book):
            large = most is not None and abs(book.leg(self.name, coin).notional_usd) > most
            for part in (rules.FIRST_ORDER_DIVISOR, 1) if large else (1,):
                self._close_part(coin, part, book)
                if book.value(self.name, "equity") > book.value(self.name, "maintenance"):
                    return
                most = None
        book.transfer(self.margin, self.bad_debt, max(0, -book[self.margin]), "bad_debt")

    def _close_part(self, coin: str, part: int, book: Books) -> None:
        """An order on the book for a part of a position, such as a fifth, at the ordinary taker fee."""
        held = book[self.position[coin]]
        contracts = abs(held) // part
        notional = linear.trade(self, coin, -contracts if held > 0 else contracts, book)
        book.transfer(self.fees, self.margin, linear.taker_fee(self, USDC.units(notional), book), "taker_fee")
        if part == 1:
            linear.realise(self, coin, book)

    def _pausing(self, book: Books) -> bool:
        """Whether an order was sent in the last 30 seconds; in a longer row they have passed since."""
        pause_ns, last_ns = rules.PAUSE_S * NS_PER_SECOND, book.last(Liquidated, self.name)
        return book.row_ns < pause_ns and last_ns is not None and book.at_ns - last_ns < pause_ns

    def _hand_over(self, book: Books) -> None:
        """The liquidator vault takes every position and all margin, and bears what is owed."""
        for coin in linear.by_worth(self, book):
            linear.trade(self, coin, -book[self.position[coin]], book, "mark")
            linear.realise(self, coin, book)
        book.transfer(self.penalties, self.margin, max(0, book[self.margin]), "backstop")
        book.transfer(self.margin, self.bad_debt, max(0, -book[self.margin]), "bad_debt")

    def deleverage(self, share: float, book: Books) -> None:
        linear.deleverage(self, share, book, "mark")
