"""Exports and SQL of a long ledger: `python benchmarks/exports.py [TRANSFERS]`, a million if not given.

The run is an example's, whose ledger and events are repeated, later each time, until there are enough.
"""

import resource
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from framework.archive import ROWS_AT_ONCE, save
from framework.assembly import assemble
from framework.folder import Folder
from framework.journal import export
from framework.scenario import Scenario
from framework.sql import ask
from framework.summary import summarize

ROOT = Path(__file__).parent.parent
SCENARIO = ROOT / "examples" / "capital_rebalance" / "scenario.toml"


def example(parent: Path) -> Path:
    """The folder of an example's run."""
    assembly = assemble(Scenario.load(SCENARIO))
    run = assembly.simulation().run()
    return save(assembly, run, summarize(assembly, run), parent)


def repeat(folder: Path, transfers: int) -> int:
    """Make a run's ledger at least as long as wanted, and return its length."""
    ledger, events = pq.read_table(folder / "ledger.parquet"), pq.read_table(folder / "events.parquet")
    times = -(-transfers // len(ledger))
    span_ns = int(ledger["at_ns"][-1].as_py()) - int(ledger["at_ns"][0].as_py()) + 10**9
    steps = {"seq": len(ledger), "event": len(events), "cause": len(events), "at_ns": span_ns // 10_000}
    for name, table in (("ledger", ledger), ("events", events)):
        with pq.ParquetWriter(folder / f"{name}.parquet", table.schema, compression="zstd") as writer:
            for together in batched(later(table, steps, times), -(-ROWS_AT_ONCE // len(table))):
                writer.write_table(pa.concat_tables(together))
    return times * len(ledger)


def batched(tables: Iterator[pa.Table], count: int) -> Iterator[list[pa.Table]]:
    """Tables in lists of so many, as a run is written in groups of rows."""
    while together := list(islice(tables, count)):
        yield together


def later(table: pa.Table, steps: dict[str, int], times: int) -> Iterator[pa.Table]:
    """A table again and again: ids go on, and time is squeezed so that it does too."""
    squeezed = np.asarray(table["at_ns"])
    squeezed = squeezed[0] + (squeezed - squeezed[0]) // 10_000
    for time in range(times):
        moved = table
        for name, step in steps.items():
            if name in table.column_names:
                values = pa.array(squeezed) if name == "at_ns" else table[name]
                column = pa.compute.add(values, time * step)
                moved = moved.set_column(moved.column_names.index(name), name, column)
        yield moved


def read(folder: Folder) -> int:
    """Decode every transfer, and return how many there were."""
    return sum(len(batch) for batch in folder.records())


def waterfall(folder: Folder) -> int:
    """Value the whole ledger in SQL."""
    with ask(folder, "SELECT bucket, sum(usd) FROM waterfall GROUP BY bucket") as answer:
        return len(list(answer.rows))


def main() -> None:
    """Print transfers per second and megabytes by form, and the most memory that the process had up to there."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        path = example(place / "runs")
        transfers = repeat(path, int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
        for name, task in (
            ("reading", read),
            ("beancount", partial(export, form="beancount", out=place)),
            ("hledger", partial(export, form="hledger", out=place)),
            ("csv", partial(export, form="csv", out=place)),
            ("sql", waterfall),
        ):
            began = perf_counter()
            files = task(Folder(path))
            took = perf_counter() - began
            size = sum(file.stat().st_size for file in files) if isinstance(files, tuple) else 0
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{name:10} {transfers:>12,} transfers  {transfers / took:>10,.0f} a second  {size / 1e6:>8,.0f} MB"
                f"  at most {peak:,.0f} MB of memory"
            )


if __name__ == "__main__":
    main()
