"""A sweep of hourly runs on one process and on two: how much of the second core is put to use."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from benchmarks import inputs
from benchmarks.figures import Figure
from framework.sweep import Sweep, sweep

GRIDS = (
    "strategy.leverage=" + ",".join(f"{2 + step / 5:g}" for step in range(10)),
    "strategy.trigger=" + ",".join(f"{4 + step / 2:g}" for step in range(10)),
    "venues.asgard.open_fee_bps=" + ",".join(str(fee) for fee in range(10)),
)
"""A thousand cells."""


def sweeps(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """Cells a second of whole sweeps, from the check of the grid to the tables."""
    grids, days = (("strategy.leverage=2,3",), 3) if tiny else (GRIDS, 410)
    seconds: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as parent:
        scenario = inputs.write_hourly(Path(parent), days)
        for jobs in (1, 2):
            plan = Sweep.of(scenario, grids, data=Path(parent))
            began = perf_counter()
            swept = sweep(plan, Path(parent) / str(jobs), jobs=jobs)
            seconds[jobs] = perf_counter() - began
            assert not swept.failed
    cells = len(swept.rows)
    words = f"{cells:,} runs of {24 * days:,} rows: {seconds[1]:.1f} s, then {seconds[2]:.1f} s; {os.cpu_count()} cores"
    name = "sweep, two processes / one"
    yield Figure(name=name, value=seconds[1] / seconds[2], target=1.9, at_least=True, words=words)
