"""Venues that say no: they halt, keep an initial margin, liquidate in parts, and take a part of a position away."""

from attrs import frozen

from framework.books import Books
from framework.formulas import formula
from framework.money import USDC
from framework.orders import Close, Open, Resize
from framework.venue import LIQUIDATION, Act, Dated
from tests.markets import HALF_OF_EQUITY
from venues.asgard import Asgard
from venues.drift import Drift
from venues.hyperliquid import Hyperliquid
from venues.perpetual import close_position, resize_position

HALTED = "it is halted; expected a venue that takes orders"
DELEVERAGE = Act("deleveraged", "deleverage")


class Moody:
    """What the venues here have in common: whether they are halted is asked before every order and payment in."""

    def open(self, order, book):
        self._ask(book)
        super().open(order, book)

    def accept(self, order, book):
        leg = book.leg(self.name)
        if type(order) is Open and leg.equity_usd < book.rule(self.initial) * leg.notional_usd:
            book.reject(f"{leg.equity_usd:.6f} USD are less than its initial margin; expected more")

    def close(self, order, book):
        self._ask(book)
        super().close(order, book)

    def resize(self, order, book):
        self._ask(book)
        super().resize(order, book)

    def receive(self, book, source, amount, kind):
        if kind in {"transfer", "deposit"}:
            self._ask(book)
        super().receive(book, source, amount, kind)

    def _ask(self, book):
        if book.rule(self.halted):
            book.reject(HALTED)


@frozen(kw_only=True)
class FicklePerpetual(Moody, Hyperliquid):
    """A perpetual that liquidates `part` of a position at a time, and takes `taken` of it away where it deleverages."""

    taker_fee_bps: float = 3.5
    maintenance_margin: float = 0.05
    liquidation_penalty: object = HALF_OF_EQUITY
    part: float = 0.4
    taken: float = 1.0
    halted: float | Dated = 0.0
    deleveraged_now: float | Dated = 0.0
    initial: float | Dated = 0.0

    acts = (LIQUIDATION, DELEVERAGE)

    @formula
    def free(equity, notional, initial, halted):
        return (equity - notional * initial) * (1 - halted)

    @formula
    def deleveraged(notional, deleveraged_now):
        return (notional > 0) & (deleveraged_now != 0)

    def liquidate(self, book: Books) -> None:
        shrink(self, book, self.part)

    def deleverage(self, book: Books) -> None:
        shrink(self, book, self.taken)


@frozen(kw_only=True)
class FickleDrift(Moody, Drift):
    """The same with jitoSOL as collateral."""

    taker_fee_bps: float = 3.5
    maintenance_margin: float = 0.03
    liquidation_penalty: object = HALF_OF_EQUITY
    collateral: str = "JITOSOL"
    funding_rate: str = "funding_rate"
    part: float = 0.4
    halted: float | Dated = 0.0
    initial: float | Dated = 0.0

    @formula
    def free(equity, notional, initial, halted):
        return (equity - notional * initial) * (1 - halted)

    def liquidate(self, book: Books) -> None:
        shrink(self, book, self.part)


@frozen(kw_only=True)
class FickleLender(Moody, Asgard):
    """A lender that sells `part` of the coins for a bonus to whoever does it, and rejects deposits beyond the loan."""

    open_fee_bps: float = 15.0
    gas_usd: float = 2.0
    maintenance_margin: float = 0.25
    liquidation_penalty: object = HALF_OF_EQUITY
    part: float = 0.4
    bonus: float = 0.05
    halted: float | Dated = 0.0
    initial: float | Dated = 0.0

    @formula
    def free(equity, notional, initial, halted):
        return (equity - notional * initial) * (1 - halted)

    def liquidate(self, book: Books) -> None:
        coins = book[self.coins_held]
        sold = round(coins * self.part)
        worth = self._worth(sold, book)
        if worth >= -book[self.loan] or sold in {0, coins}:
            Asgard.close(self, Close(self.name), book)
            return
        book.transfer(self.traded, self.coins_held, sold, "trade")
        Asgard.receive(self, book, self.traded_usdc, worth, "trade")
        self.pay(book, self.penalties, round(worth * self.bonus), "liquidation_penalty")


def shrink(venue, book: Books, part: float) -> None:
    """Trade a part of a perpetual position at the row's price; all of it where the rest would be worth nothing."""
    left = abs(book.leg(venue.name).size) * (1 - part)
    if left * book.price(venue.coins[0]) < USDC.units(USDC.scale):
        close_position(venue, Close(venue.name), book, owing=getattr(venue, "owing", None))
    else:
        resize_position(venue, Resize(venue.name, left), book)
