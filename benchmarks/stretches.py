"""An open pair on rows in which nothing happens: quiet stretches, a strategy that is woken or acts, cost by rows."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks import inputs
from benchmarks.figures import Figure, medians, milliseconds
from framework import Market, Run, Simulation, Strategy, Venue

SIZES = (1_000, 10_000, 100_000)
"""Rows of the three markets; the number of events is the same."""


def stretches(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """Transfers and rows a second, and how the time grows with the rows."""
    sizes = SIZES[:1] if tiny else SIZES
    tables = {rows: inputs.quiet(rows) for rows in sizes}
    quiet = medians(1 if tiny else 9, {str(rows): _run(table, inputs.Watcher(False)) for rows, table in tables.items()})
    woken = medians(1 if tiny else 3, {str(rows): _run(table, inputs.Watcher(True)) for rows, table in tables.items()})
    most, few = sizes[-1], sizes[0]
    transfers = len(_run(tables[most], inputs.Watcher(False))().ledger)
    busy = medians(1 if tiny else 9, {"": _run(tables[few], inputs.Busy(True))})[""]
    yield Figure(
        name=f"woken after each of {most:,} rows",
        value=most / woken[str(most)],
        unit="rows/s",
        target=180_000,
        at_least=True,
        words=f"{woken[str(most)] / quiet[str(most)]:.0f}x of the quiet run",
    )
    yield Figure(
        name=f"quiet stretch of {most:,} rows",
        value=transfers / quiet[str(most)],
        unit="transfers/s",
        target=5_000_000,
        at_least=True,
    )
    yield Figure(
        name=f"an order after each of {few:,} rows", value=few / busy, unit="rows/s", target=12_000, at_least=True
    )
    for fewer, rows in pairwise(sizes):
        times = quiet[str(rows)] / quiet[str(fewer)]
        words = f"{milliseconds(quiet[str(fewer)])} to {milliseconds(quiet[str(rows)])}"
        yield Figure(name=f"cost of {rows:,} rows / {fewer:,}", value=times, target=rows / fewer, words=words)


def venues(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """An act at one venue while positions are held at others, which it does not touch."""
    table = inputs.quiet(20 if tiny else 500)
    actions = {}
    for held in (2, 50):
        others = inputs.more_venues(held - 2)
        names = tuple(venue.name for venue in others)
        actions[f"{held} busy"] = _run(table, inputs.Busy(True, names), others)
        actions[f"{held} idle"] = _run(table, inputs.Watcher(False, names), others)
    found = medians(1 if tiny else 9, actions)
    few, many = (max(found[f"{held} busy"] - found[f"{held} idle"], 1e-9) / len(table) for held in (2, 50))
    words = f"{milliseconds(few)}, then {milliseconds(many)}"
    yield Figure(name="an act with 50 venues held / with two", value=many / few, target=2.0, words=words)


def _run(market: Market, strategy: Strategy, others: Sequence[Venue] = ()) -> Callable[[], Run]:
    """A run on a market, to be started any number of times."""
    all_of_them = (*inputs.QUIET_VENUES, *others)
    return lambda: Simulation(market=market, venues=all_of_them, strategy=strategy, capital_usd=20_000.0).run()
