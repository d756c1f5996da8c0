"""An open pair on rows in which nothing happens: long quiet stretches, a strategy that is woken, and cost by rows."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from benchmarks import inputs
from benchmarks.figures import Figure, medians, milliseconds
from framework import Market, Run, Simulation, Strategy

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
        target=100_000,
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
    yield Figure(name=f"an order after each of {few:,} rows", value=few / busy, unit="rows/s")
    for fewer, rows in pairwise(sizes):
        times = quiet[str(rows)] / quiet[str(fewer)]
        words = f"{milliseconds(quiet[str(fewer)])} to {milliseconds(quiet[str(rows)])}"
        yield Figure(name=f"cost of {rows:,} rows / {fewer:,}", value=times, target=rows / fewer, words=words)


def _run(market: Market, strategy: Strategy) -> Callable[[], Run]:
    """A run on a market, to be started any number of times."""
    return lambda: Simulation(market=market, venues=inputs.QUIET_VENUES, strategy=strategy, capital_usd=10_000.0).run()
