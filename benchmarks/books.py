"""The books without a simulation: entries written one by one, and the journal written out as a ledger."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks import inputs
from benchmarks.figures import Figure, medians
from framework import Deposit, Event, Market, Open, Side
from framework.books import Books
from framework.ledger import write_out
from framework.money import USDC
from framework.venue import CAPITAL, CASH


def books(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """Entries a second into the books, and transfers a second out of them: those of entries, and what accrued."""
    rows = 100 if tiny else 10_000
    table = inputs.quiet(rows)
    busy, still = deposits(table), pair(table)
    actions = {"in": lambda: deposits(table), "out": lambda: write_out(busy), "settled": lambda: write_out(still)}
    found = medians(1 if tiny else 9, actions)
    settled = len(write_out(still).ledger)
    yield Figure(name=f"entering {rows:,} deposits into the books", value=rows / found["in"], unit="entries/s")
    yield Figure(name=f"writing out {rows:,} deposits", value=rows / found["out"], unit="transfers/s")
    yield Figure(name=f"writing out {settled:,} settlements", value=settled / found["settled"], unit="transfers/s")


def deposits(table: Market) -> Books:
    """Books with one entry after each row: a deposit at a venue that holds nothing else."""
    kept = _opened(table)
    venue = inputs.QUIET_VENUES[1]
    for row in range(len(table)):
        kept.settle(row + 1)
        kept.begin(venue, Deposit(venue.name, 1e-6))
        venue.receive(kept, CASH, 1, "deposit")
        kept.commit(Event(venue=venue.name), None)
    return kept


def pair(table: Market) -> Books:
    """Books in which a pair was opened as the market began, and all rows have passed since."""
    kept = _opened(table)
    for venue, side in zip(inputs.QUIET_VENUES, (Side.LONG, Side.SHORT), strict=True):
        order = Open(venue.name, side, 60.0, 4_000.0)
        kept.begin(venue, order)
        venue.execute("open", order, kept)
        kept.commit(Event(venue=venue.name), None)
    kept.settle(len(table))
    for standing in kept.standings.values():
        standing.refresh()
    return kept


def _opened(table: Market) -> Books:
    """Books with the capital in the wallet."""
    kept = Books(table, inputs.QUIET_VENUES)
    kept.begin(None, None)
    kept.transfer(CASH, CAPITAL, USDC.exact(10_000), "capital")
    kept.commit(Event(), None)
    return kept
