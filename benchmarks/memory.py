"""What a ledger takes: bytes a transfer in memory and as Parquet, and the time to save a run that acts every row."""

import gc
import tempfile
import tracemalloc
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks import inputs
from benchmarks.figures import Figure, medians
from framework.assembly import assemble
from framework.performance import summarize
from framework.run_folder.archive import save
from framework.scenario import Scenario


def memory(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:
    """The hourly run, traced by Python's own allocator, and saved."""
    assembly = inputs.daily() if tiny else inputs.hourly(data)
    run = assembly.simulation().run()
    with tempfile.TemporaryDirectory() as parent:
        saved = (save(assembly, run, summarize(assembly, run), Path(parent)) / "ledger.parquet").stat().st_size
    del run
    gc.collect()
    tracemalloc.start()
    run = assembly.simulation().run()
    run.ledger.records()
    whole, most = tracemalloc.get_traced_memory()
    ledger = run.ledger
    del run
    gc.collect()
    alone, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    transfers = len(ledger)
    words = f"{transfers:,} transfers; with log and curve {whole / transfers:.0f}, at most {most / transfers:.0f}"
    unit = "bytes a transfer"
    yield Figure(name="ledger in memory", value=alone / transfers, unit=unit, target=64, words=words)
    yield Figure(name="ledger as Parquet", value=saved / transfers, unit=unit, target=16)


def saving(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """The folder of a run that acts after every daily row, each time a new one."""
    assembly = inputs.daily() if tiny else assemble(Scenario.load(inputs.EVERY_ROW))
    run = assembly.simulation().run()
    summary = summarize(assembly, run)
    with tempfile.TemporaryDirectory() as parent:
        places = (Path(parent) / str(number) for number in count())
        seconds = medians(1 if tiny else 9, {"": lambda: save(assembly, run, summary, next(places))})[""]
    words = f"{len(run.events):,} events, {len(run.ledger):,} transfers"
    yield Figure(name="saving an every-row run", value=seconds * 1e3, unit="ms", target=60, words=words)
