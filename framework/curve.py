"""The equity curve: what the wallet, the transit and each venue were worth after every row, with positions in coins."""

from collections.abc import Sequence

import numpy as np

from framework.accounts import Book
from framework.market import Floats, Mark, Market
from framework.units import USDC
from framework.venue import CASH, IN_TRANSIT, Stretch, Venue


class Curve:
    """Arrays of shape (rows,), USD at the row's close and coins; rows before the start are worth the capital."""

    def __init__(self, market: Market, venues: Sequence[Venue], capital_usd: float) -> None:
        rows = len(market)
        self._market = market
        self._venues = venues
        self.cash_usd = np.full(rows, capital_usd)
        self.transit_usd = np.zeros(rows)
        self.equity_usd_by_venue = {venue.name: np.zeros(rows) for venue in venues}
        self.size_by_venue = {venue.name: np.zeros(rows) for venue in venues}
        self.delta_by_venue = {venue.name: np.zeros(rows) for venue in venues}

    @property
    def equity_usd(self) -> Floats:
        """All of it, shape (rows,)."""
        return sum(self.equity_usd_by_venue.values(), self.cash_usd + self.transit_usd)

    @property
    def net_size(self) -> Floats:
        """Net delta in coins: positions and tokens, long less short, shape (rows,)."""
        return sum(self.delta_by_venue.values(), np.zeros_like(self.cash_usd))

    @property
    def gross_size(self) -> Floats:
        """Long plus short in coins, tokens as the coins that they move like, shape (rows,)."""
        gross = np.zeros_like(self.cash_usd)
        for venue, size in self.size_by_venue.items():
            gross += np.abs(size) + np.abs(self.delta_by_venue[venue] - size)
        return gross

    def fill(self, stretch: Stretch, book: Book, stop: int) -> None:
        """The rows of a stretch up to `stop - 1`, in which nobody acted."""
        rows, count = slice(stretch.start, stop), stop - stretch.start
        self.cash_usd[rows] = USDC.units(book.balance(CASH))
        self.transit_usd[rows] = USDC.units(book.balance(IN_TRANSIT))
        for venue, projection in stretch.projections.items():
            self.equity_usd_by_venue[venue][rows] = projection.equity_usd[:count]
            self.size_by_venue[venue][rows] = projection.size[:count]
            self.delta_by_venue[venue][rows] = projection.delta[:count]

    def mark(self, row: int, book: Book) -> None:
        """One row anew, after somebody acted in it."""
        mark = Mark(self._market, row)
        self.cash_usd[row] = USDC.units(book.balance(CASH))
        self.transit_usd[row] = USDC.units(book.balance(IN_TRANSIT))
        for venue in self._venues:
            leg = venue.leg(book, mark)
            self.equity_usd_by_venue[venue.name][row] = leg.equity_usd
            self.size_by_venue[venue.name][row] = leg.size
            self.delta_by_venue[venue.name][row] = leg.delta
