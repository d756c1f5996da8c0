"""A sweep of hourly runs on one process and on two: how much of the second core is put to use."""

import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter, process_time

from benchmarks import inputs
from benchmarks.figures import Figure, children_time, medians
from framework.assembly import path_of
from framework.many_runs.sweep import Sweep, sweep

GRIDS = (
    "strategy.leverage=" + ",".join(f"{2 + step / 5:g}" for step in range(10)),
    "strategy.trigger=" + ",".join(f"{6 + step / 2:g}" for step in range(10)),
    "venues.asgard.open_fee_bps=" + ",".join(str(fee) for fee in range(10)),
)
"""A thousand cells."""
FEW = ("strategy.leverage=2,3",)
DOLLARS = ("strategy.maintenance=0.5,0.6,0.67,0.75",)
DRAWN = ("market.path.method=stationary",)


def sweeps(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """Time of whole sweeps, from the check of the grid to the tables, each from what the first of them has kept.

    Where other programs keep the cores busy, the processor time says more than the clock: the work of one process over
    what the parent of two does and half of what its workers do.
    """
    grids, days = (FEW, 3) if tiny else (GRIDS, 410)
    seconds: dict[int, float] = {}
    worked: dict[int, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as parent:
        scenario = inputs.write_hourly(Path(parent), days)
        sweep(Sweep.of(scenario, grids, data=Path(parent)), Path(parent) / "first", jobs=1)
        for jobs in (1, 2):
            plan = Sweep.of(scenario, grids, data=Path(parent))
            before, began = _worked(), perf_counter()
            swept = sweep(plan, Path(parent) / str(jobs), jobs=jobs)
            seconds[jobs] = perf_counter() - began
            worked[jobs] = tuple(after - then for after, then in zip(_worked(), before, strict=True))
            assert not swept.failed
    cells = len(swept.rows)
    (alone, _), (parent_s, workers_s) = worked[1], worked[2]
    idle = alone / (parent_s + workers_s / 2)
    clock = f"{seconds[1]:.1f} s, then {seconds[2]:.1f} s"
    words = f"{cells:,} runs of {24 * days:,} rows: {clock}; by processor time {idle:.2f} x"
    name = "sweep, two processes / one"
    yield Figure(name=name, value=seconds[1] / seconds[2], target=1.9, at_least=True, words=words)


def cells(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """Whole sweeps of daily runs in one process, by cell: so few that they are simulated, and so many that they pay."""
    grids = {"simulated": FEW, "played": FEW} if tiny else {"simulated": GRIDS[:2], "played": GRIDS}
    sizes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as parent:
        places = (Path(parent) / str(number) for number in count())

        def swept(way: str) -> None:
            found = sweep(Sweep.of(inputs.DAILY, grids[way]), next(places), jobs=1)
            assert not found.failed
            sizes[way] = len(found.rows)

        ways = {way: partial(swept, way) for way in grids}
        medians(1, ways)
        seconds = medians(1 if tiny else 5, ways)
    ms = {way: seconds[way] / size * 1e3 for way, size in sizes.items()}
    for way, target in (("simulated", 2.0), ("played", None)):
        words = f"{sizes[way]:,} cells, {seconds[way]:.2f} s; {ms[way] / ms['simulated']:.2f} x of simulated"
        yield Figure(name=f"a daily cell of a sweep, {way}", value=ms[way], unit="ms", target=target, words=words)


def paths(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """Cells on paths of the daily data in one process, those of a synthetic dollar, and a path alone."""
    number = 2 if tiny else 500
    grids = FEW if tiny else ("strategy.leverage=2,2.5,3,3.5,4", "strategy.trigger=5,6,8,never")
    plan = Sweep.of(inputs.DAILY, grids, DRAWN, paths=number)
    history = plan.on_data().assembly(plan.combinations[0]).market
    path = path_of({"method": "stationary"})
    drawn = medians(1 if tiny else 50, {"": lambda: path.of(history)})[""]
    yield Figure(name="a path of 410 daily rows", value=drawn * 1e3, unit="ms")
    cell_s = _cell_s(plan)
    words = f"{plan.size:,} cells; 10,000 paths of 20 cells on two cores: {cell_s * 200_000 / 2:.0f} s"
    yield Figure(name="a cell on a path", value=cell_s * 1e3, unit="ms", target=0.3, words=words)
    numbers = (1, 1) if tiny else (25, 500)
    few, many = (_cell_s(Sweep.of(inputs.DOLLAR, DOLLARS, DRAWN, paths=number)) for number in numbers)
    words = f"of 2,000 with all that is recorded; of 100, which are simulated, {few * 1e3:.1f} ms"
    yield Figure(name="a cell of a synthetic dollar on a path", value=many * 1e3, unit="ms", words=words)


def _cell_s(plan: Sweep) -> float:
    """Processor time of a cell in a sweep of one process."""
    with tempfile.TemporaryDirectory() as parent:
        before = process_time()
        assert not sweep(plan, Path(parent), jobs=1).failed
        return (process_time() - before) / plan.size


def _worked() -> tuple[float, float]:
    """Seconds of processor time of this process and of its finished children."""
    return process_time(), children_time()
