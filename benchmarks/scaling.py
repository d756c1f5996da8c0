"""From one process to two, and from one Dask worker to two: how much of the second core is put to use."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median
from time import perf_counter, process_time, sleep

from attrs import frozen

from benchmarks import inputs
from benchmarks.figures import Figure, children_time
from framework.many_runs import workers
from framework.many_runs.sweep import Sweep, sweep

GRIDS = ("strategy.leverage=2,2.5,3,3.5,4", "strategy.trigger=5,6,8,never")
"""Twenty cells on each path."""
FEW = ("strategy.leverage=2,3",)
DRAWN = ("market.path.method=stationary",)


@frozen
class Work:
    """Seconds of processor time so far: of this process, of the workers, and of a scheduler."""

    parent_s: float
    workers_s: float
    scheduler_s: float = 0.0

    def since(self, before: "Work") -> "Work":
        """What has been added."""
        return Work(
            self.parent_s - before.parent_s,
            self.workers_s - before.workers_s,
            self.scheduler_s - before.scheduler_s,
        )

    def without(self, idle: "Work", seconds: float) -> "Work":
        """What is left without that of so many seconds in which nothing is run; `idle` is by the second."""
        workers_s, scheduler_s = idle.workers_s * seconds, idle.scheduler_s * seconds
        return Work(self.parent_s, self.workers_s - workers_s, self.scheduler_s - scheduler_s)


@frozen
class Spent:
    """What a run of all cells took: seconds by the clock, and those on two cores that nothing else uses."""

    clock_s: float
    alone_s: float


Run = Callable[[], Spent]


def scaling(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """The same cells on one worker and on two, in turn; the ratio by processor time, the median of all turns.

    On two cores that nothing else uses a run takes the work of this process, as if all others waited for it, and half
    of that of the others, a scheduler included. Where there is one worker alone, it has a core of its own. Beside it
    stands the ratio that two processes reach which have nothing to do with each other: they share caches and cores.
    """
    with tempfile.TemporaryDirectory() as parent, ExitStack() as stack:
        places = (Path(parent) / str(number) for number in count())
        strangers = [stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"))) for _ in range(2)]

        def timed(jobs: int, work: Callable[[], Work], executor: Executor | None = None) -> tuple[float, Work]:
            plan, before, began = _plan(tiny=tiny), work(), perf_counter()
            assert not sweep(plan, next(places), jobs, executor=executor).failed
            return perf_counter() - began, work().since(before)

        def processes(jobs: int) -> Run:
            def run() -> Spent:
                clock_s, work = timed(jobs, lambda: Work(process_time(), children_time()))
                return Spent(clock_s, work.parent_s + work.workers_s / jobs)

            return run

        def dask(size: int) -> Run:
            executor, work = stack.enter_context(_dask(size))
            timed(size, work, executor)
            idle = _idle(work, 0.1 if tiny else 2.0)
            rate = (idle.workers_s + (idle.scheduler_s if size > 1 else 0)) / size

            def run() -> Spent:
                clock_s, spent = timed(size, work, executor)
                ran = spent.without(idle, clock_s)
                others_s = ran.workers_s + (ran.scheduler_s if size > 1 else 0)
                return Spent(clock_s, ran.parent_s + others_s / size / (1 - rate))

            return run

        yield _figure("paths, two processes / one", 1.9, processes, strangers, tiny=tiny)
        name = "paths, two Dask workers / one"
        try:
            import distributed  # noqa: F401, PLC0415  (an extra that may be absent)
        except ImportError:
            yield Figure(name=name, words="needs Dask: pip install 'carrybook[cluster]'")
            return
        yield _figure(name, 1.8, dask, strangers, tiny=tiny)


def _plan(*, tiny: bool) -> Sweep:
    return Sweep.of(inputs.DAILY, FEW if tiny else GRIDS, DRAWN, paths=2 if tiny else 3_000)


def _figure(name: str, target: float, on: Callable[[int], Run], strangers: Sequence[Executor], *, tiny: bool) -> Figure:
    """Runs on one and on two in turn, and beside them the same work by one stranger and by both at a time."""
    runs = {size: on(size) for size in (1, 2)}
    runs[1]()
    alone, clock, apart = [], [], []
    for _ in range(1 if tiny else 3):
        one, two = (run() for run in runs.values())
        alone.append(one.alone_s / two.alone_s)
        clock.append(one.clock_s / two.clock_s)
        single_s = strangers[0].submit(_busy, tiny).result()
        both = [each.submit(_busy, tiny) for each in strangers]
        apart.append(2 * single_s / mean(each.result() for each in both))
    cells = _plan(tiny=tiny).size
    words = (
        f"by processor time, {min(alone):.2f} to {max(alone):.2f}; two that share nothing {median(apart):.2f}; "
        f"by the clock {median(clock):.2f}; {cells} cells of {one.alone_s / cells * 1e3:.1f} ms"
    )
    return Figure(name=name, value=median(alone), target=target, at_least=True, words=words)


def _idle(work: Callable[[], Work], seconds: float) -> Work:
    """What a cluster does by the second while nothing is run; it does that beside its work as well."""
    before = work()
    sleep(seconds)
    found = work().since(before)
    return Work(0.0, found.workers_s / seconds, found.scheduler_s / seconds)


def _busy(tiny: bool) -> float:
    """Seconds of processor time for a quarter of the cells in this process."""
    plan = _plan(tiny=tiny)
    cells = list(enumerate(plan.cells()))[: max(1, plan.size // 4)]
    plan.finished(cells[:1])
    before = process_time()
    plan.finished(cells)
    return process_time() - before


@contextmanager
def _dask(size: int) -> Iterator[tuple[Executor, Callable[[], Work]]]:
    """An executor of so many workers and a scheduler, each a process, and the work of all of them so far."""
    from distributed import Client, SubprocessCluster  # noqa: PLC0415  (an extra that may be absent)

    options = {"n_workers": size, "threads_per_worker": 1, "worker_class": "distributed.Worker"}
    with SubprocessCluster(dashboard_address=None, **options) as cluster, Client(cluster) as client:
        client.wait_for_workers(size)

        def work() -> Work:
            theirs = client.run(process_time)
            return Work(process_time(), sum(theirs.values()), client.run_on_scheduler(process_time))

        with workers.cluster(cluster.scheduler_address) as (executor, _):
            yield executor, work
