"""A venue of a user's own: a perpetual account that declares everything under names of its own, and one act more."""

from attrs import field, frozen

from framework.accrual import Accrual
from framework.books import Books
from framework.events import Event
from framework.formulas import formula, ratio
from framework.money import USDC, Account, perpetual
from framework.orders import Close, Open, Resize, check_open, positive
from framework.venue import CASH, LIQUIDATION, Act, Bridge, Venue, account


@frozen(kw_only=True)
class CarryPaid(Event):
    """What the venue calls its funding; the fields are those of every settlement."""

    asset: str
    rate: float
    price: float
    size: int
    amount: int


@frozen(kw_only=True)
class Skimmed(Event):
    """The venue took `amount` from an account with more money than it needs."""

    amount: int


@frozen(kw_only=True)
class Own(Venue):
    """Contracts against a pot of dollars. What the pot has above `plenty` of the exposure costs `skim` of it a row.

    An account is wiped out where it is worth `least` of its exposure: it is closed, and half of what is left is kept.
    """

    name: str = "own"
    coin: str = "SOL"
    cost_bps: float = 3.5
    least: float = 0.05
    plenty: float = 0.6
    skim: float = 0.0001
    bridge: Bridge = field(factory=lambda: Bridge(fee_usd=3.0))

    pot = account("Assets:{venue}:Pot", USDC)
    lots = account("Assets:{venue}:Lots", perpetual, position=True)
    claim = account("Assets:{venue}:Claim", USDC)
    swapped = account("Equity:{venue}:Swapped", perpetual, bucket="execution")
    swapped_usdc = account("Equity:{venue}:Swapped", USDC, bucket="execution")
    carry = account("Income:{venue}:Carry", USDC, bucket="funding")
    toll = account("Expenses:{venue}:Toll", USDC)
    forfeit = account("Expenses:{venue}:Forfeit", USDC, bucket="liquidation_penalty")
    skimmed = account("Expenses:{venue}:Skim", USDC, bucket="losses")

    acts = (LIQUIDATION, Act("in_plenty", "take_some"))

    @formula
    def size(lots):
        return lots

    @formula
    def exposure(lots, mark):
        return abs(lots * mark)

    @formula
    def notional(exposure):
        return exposure

    @formula
    def equity(pot, claim, lots, mark):
        return pot + claim + lots * mark

    @formula
    def maintenance(exposure, least):
        return exposure * least

    @formula
    def liquidated(equity, maintenance, exposure):
        return (equity <= maintenance) & (exposure > 0)

    @formula
    def in_plenty(equity, exposure, plenty):
        return (equity > exposure * plenty) & (exposure > 0)

    @formula
    def entry_price(claim, lots):
        return ratio(claim, -lots)

    def accruals(self):
        yield Accrual(
            debit=self.pot, credit=self.carry, kind="carry", event=CarryPaid, on=self.lots, basis="payment",
            share=-1.0, rate="hyperliquid_funding_rate", price=(f"{self.coin}.close", "close"),
        )  # fmt: skip

    def open(self, order: Open, book: Books) -> None:
        check_open(book, order)
        lots = positive(book, order, "size", self.lots.asset)
        self.receive(book, CASH, USDC.nearest(order.funds_usd), "deposit")
        self._swap(lots if order.side == "long" else -lots, book)

    def close(self, order: Close, book: Books) -> None:
        self._swap(-book[self.lots], book)
        book.transfer(self.pot, self.claim, book[self.claim], "cleared")
        book.transfer(CASH, self.pot, max(0, book[self.pot]), "withdrawal")

    def resize(self, order: Resize, book: Books) -> None:
        lots, held = positive(book, order, "size", self.lots.asset), book[self.lots]
        self._swap((lots if held > 0 else -lots) - held, book)

    def liquidate(self, book: Books) -> None:
        self._swap(-book[self.lots], book)
        book.transfer(self.pot, self.claim, book[self.claim], "cleared")
        book.transfer(self.forfeit, self.pot, max(0, book[self.pot]) // 2, "forfeit")
        book.transfer(CASH, self.pot, max(0, book[self.pot]), "withdrawal")

    def take_some(self, book: Books) -> Event:
        taken = USDC.nearest(book.leg(self.name).equity_usd * self.skim)
        book.transfer(self.skimmed, self.pot, taken, "skim")
        return Skimmed(venue=self.name, amount=taken)

    def receive(self, book: Books, source: Account, amount: int, kind: str) -> None:
        book.transfer(self.pot, source, amount, kind)

    def pay(self, book: Books, target: Account, amount: int, kind: str) -> None:
        if amount > book[self.pot]:
            due = book[self.claim] + book.worth(self.lots, book.price(self.coin))
            book.transfer(self.pot, self.claim, max(0, due), "cleared")
        book.transfer(target, self.pot, amount, kind)

    def _swap(self, lots: int, book: Books) -> None:
        """Change the position at the row's price, for a toll on what was traded."""
        worth = USDC.nearest(abs(lots) / self.lots.asset.scale * book.price(self.coin))
        book.transfer(self.lots, self.swapped, lots, "swapping")
        book.transfer(self.claim, self.swapped_usdc, -worth if lots > 0 else worth, "swapping")
        self.pay(book, self.toll, book.fee(USDC.units(worth), self.cost_bps), "toll")
        book.fill(amount=worth)
