"""The present of a run: one instant, seen through projected rows where nobody has acted since, else through the ledger.

It is the `View` that strategies get; the simulation moves it on.
"""

from collections.abc import Mapping

import numpy as np

from framework.accounts import Account, Book, Draft
from framework.books import Books
from framework.clock import Clock
from framework.errors import ScenarioError
from framework.events import OrderFilled
from framework.market import At, Floats, Mark, Market
from framework.orders import Trade
from framework.units import TOKENS, USDC, Asset
from framework.venue import CASH, IN_TRANSIT, Leg, Moment, Stretch, Venue


class Present:
    """Where a run stands: `at` of `row` are the prices that hold, `stretch` what is projected and not settled.

    `opened` has the position in coins by venue with which the first row began, if the run had started by then.
    """

    def __init__(self, market: Market, venues: Mapping[str, Venue], books: Books, clock: Clock) -> None:
        self.market = market
        self.venues = venues
        self.books = books
        self.clock = clock
        self.row = 0
        self.at: At = "close"
        self.stretch: Stretch | None = None
        self.opened: Mapping[str, float] = {}
        self._mark = Mark(market, self.row, self.at)
        self._now: tuple[object, ...] = ()
        self._book: Book = books.ledger
        self._legs: dict[str, Leg] = {}

    @property
    def at_ns(self) -> int:
        return self.clock.now_ns

    @property
    def price(self) -> float:
        return self.mark.price

    @property
    def mark(self) -> Mark:
        """The prices that hold."""
        if self._mark.row != self.row or self._mark.at != self.at:
            self._mark = Mark(self.market, self.row, self.at)
        return self._mark

    def price_of(self, token: str) -> float:
        if token not in TOKENS:
            raise ScenarioError(f"unknown token {token!r}; expected one of {', '.join(TOKENS)}")
        return self.mark.of(TOKENS[token])

    @property
    def cash_usd(self) -> float:
        return USDC.units(self.books.balance(CASH))

    @property
    def equity_usd(self) -> float:
        transit_usd = USDC.units(self.books.balance(IN_TRANSIT))
        return self.cash_usd + transit_usd + sum(self.leg(name).equity_usd for name in self.venues)

    def leg(self, venue: str) -> Leg:
        book = self._present_book()
        leg = self._legs.get(venue)
        if leg is None:
            leg = self._legs[venue] = self.venue(venue).leg(book, self.mark)
        return leg

    def sizes(self, venue: str, rows: int) -> Floats:
        first = max(0, self.row - rows)
        known = self.books.curve.size_by_venue[self.venue(venue).name][first : self.row].copy()
        if self.stretch is not None:
            projection = self.stretch.projections.get(venue)
            settled = max(0, self.stretch.start - first)
            unsettled = slice(max(first, self.stretch.start) - self.stretch.start, self.row - self.stretch.start)
            known[settled:] = projection.size[unsettled] if projection else 0.0
        if venue in self.opened and rows > self.row:
            known = np.concatenate(([self.opened[venue]], known))
        return known

    def quote(self, order: Trade) -> OrderFilled:
        return self.venue(order.venue).execute(order, Draft(self._present_book()), self.moment(None))

    def history(self, column: str, rows: int) -> Floats:
        return self.market[column][self._last(rows)]

    def years(self, rows: int) -> Floats:
        return self.market.years[self._last(rows)]

    def _last(self, rows: int) -> slice:
        """The last rows that have closed."""
        known = self.row + (self.at == "close")
        return slice(max(0, known - rows), known)

    def venue(self, name: str) -> Venue:
        """A venue by its name; raises `ScenarioError` for one that the scenario does not have."""
        try:
            return self.venues[name]
        except (KeyError, TypeError):
            raise ScenarioError(f"unknown venue {name!r}; expected one of {', '.join(self.venues)}") from None

    def moment(self, cause: int | None) -> Moment:
        """The present as venues need it, for an event that `cause` provoked."""
        return Moment(self.books.events.next_id, cause, self.clock.now_ns, self.mark)

    def settle(self) -> None:
        """Bring the books up to the present row: what was projected has happened, and the legs are what they were."""
        if self.stretch is not None:
            seen = self._now == self._instant()
            stretch, self.stretch = self.stretch, None
            self.books.settle(stretch, self.row + 1)
            if seen:
                self._book, self._now = self.books.ledger, self._instant()

    def _present_book(self) -> Book:
        """The ledger as of the present row: as it is, or with what is projected up to here."""
        now = self._instant()
        if now != self._now:
            ledger, stretch = self.books.ledger, self.stretch
            self._book = ledger if stretch is None else _Projected(ledger, stretch, self.row - stretch.start + 1)
            self._now, self._legs = now, {}
        return self._book

    def _instant(self) -> tuple[object, ...]:
        """What balances and prices depend on: the same as long as they are."""
        return self.row, self.at, self.stretch, len(self.books.ledger)


class _Projected:
    """A book as it will be once the first `count` rows of a stretch are settled."""

    def __init__(self, book: Book, stretch: Stretch, count: int) -> None:
        self._book = book
        self._moved: dict[Account, int] = {}
        for projection in stretch.projections.values():
            for accrual in projection.accruals:
                amount, stream = accrual.moved(count), accrual.stream
                self._moved[stream.debit] = self._moved.get(stream.debit, 0) + amount
                self._moved[stream.credit] = self._moved.get(stream.credit, 0) - amount

    def balance(self, account: Account) -> int:
        return self._book.balance(account) + self._moved.get(account, 0)

    def principal(self, account: Account) -> tuple[int, int]:
        return self._book.principal(account)

    def holding(self, asset: Asset) -> tuple[int, int]:
        return self._book.holding(asset)
