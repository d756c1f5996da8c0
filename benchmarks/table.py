"""The table of all benchmarks, each a function that yields its figures."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from benchmarks.books import books
from benchmarks.cold import cold
from benchmarks.figures import Figure
from benchmarks.full_study import full_study
from benchmarks.loops import daily, hourly
from benchmarks.memory import memory, saving
from benchmarks.newcomer import newcomer
from benchmarks.opening import opening
from benchmarks.rulebooks import rulebooks
from benchmarks.scaling import scaling
from benchmarks.stretches import stretches, venues
from benchmarks.sweeps import cells, paths, sweeps


class Benchmark(Protocol):
    """Measures something, on small inputs if `tiny`; `data` is where the hourly example finds its files."""

    def __call__(self, *, tiny: bool, data: Path | None = None) -> Iterator[Figure]:
        """The figures, as they are found."""


BENCHMARKS: Mapping[str, Benchmark] = {
    each.__name__: each
    for each in (
        daily,
        hourly,
        rulebooks,
        stretches,
        venues,
        books,
        memory,
        saving,
        full_study,
        cells,
        sweeps,
        paths,
        scaling,
        cold,
        opening,
        newcomer,
    )
}
"""All of them by name, in the order of the table."""
