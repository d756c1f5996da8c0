"""What a ledger takes: bytes a transfer in memory, of the ledger alone and of the whole run, and as Parquet."""

import gc
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

from benchmarks import inputs
from benchmarks.figures import Figure
from framework.archive import save
from framework.valuation import summarize


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
