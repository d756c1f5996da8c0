"""The thorough checks that do it again: read the market from its sources, and run the scenario from the start."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.assembly import Assembly
from framework.audit.findings import COPIED, FLOAT_SLACK, Finding, Findings
from framework.audit.history import History
from framework.errors import CarrybookError
from framework.performance import summarize
from framework.run_folder.archive import Folder, save

SHOWN = 20
"""Cells that are named one by one."""
COMPARED = {
    "events": ("event",),
    "equity": ("at_ns", "moment"),
    "balances": ("month", "account", "asset"),
    "market": ("row",),
}
"""Tables of a folder that are compared cell by cell, and the columns that name a row."""
MANIFEST_KEYS = (
    "format", "scenario", "seed", "inputs", "code", "label", "capital", "opened_at", "coin", "ledger",
    "owners", "streams", "counts",
)  # fmt: skip
"""What of a manifest a run made again has as well; versions, and with our own the run's name, may be others."""


def again_market(assembly: Assembly, history: History) -> Findings:
    """Every cell of the saved market is the one that its source gives."""
    saved, read = history.market, assembly.market
    if len(saved) != len(read) or list(saved.columns) != list(read.columns):
        yield Finding("market.parquet", f"{len(saved)} rows of {', '.join(saved.columns)}; the sources give others")
        return
    if not (np.array_equal(saved.at_ns, read.at_ns) and np.array_equal(saved.open_ns, read.open_ns)):
        yield Finding("market.parquet", "the times of its rows are not those of the sources")
    for name in saved.columns:
        for row in islice(np.flatnonzero(saved[name] != read[name]).tolist(), SHOWN):
            words = f"{name} is {saved[name][row]}; {read.cell(name, row)} gives {read[name][row]}"
            yield Finding(read.rows(row, row + 1), words)


def again_inputs(assembly: Assembly, history: History) -> Findings:
    """The source files and a user's own code are those that the run was made with."""
    sources = assembly.market.sources.values()
    read = {file: digest for source in sources for file, digest in source.digests().items()} | assembly.own_code()
    kept = {**history.folder.manifest.inputs, **history.folder.manifest.code}
    for name in sorted(kept.keys() | read.keys()):
        if kept.get(name) != read.get(name):
            yield Finding(name, "is not the file that the run was made with")


def again_run(assembly: Assembly, history: History) -> Findings:
    """The scenario run again gives the same ledger, the same summary and the same tables."""
    folder = history.folder
    if assembly.scenario.digest != folder.manifest.scenario:
        yield Finding("scenario.toml", "is not the scenario that the manifest names")
    try:
        finished = history.again
    except CarrybookError as error:
        yield Finding("scenario.toml", f"cannot be run again: {error}")
        return
    if finished.ledger.digest != folder.manifest.ledger.digest:
        made = np.concatenate([finished.ledger.records()])
        kept = history.records
        common = min(len(made), len(kept))
        differ = np.flatnonzero(made[:common] != kept[:common])
        place = f"entry {int(differ[0]) + 1 if len(differ) else common + 1}"
        yield Finding(place, "is where the ledger of the same scenario, run again, begins to differ")
    summary = summarize(assembly, finished)
    for name in summary | dict(folder.summary):
        if name not in summary or folder.summary.get(name) != json.loads(json.dumps(summary[name])):
            yield Finding(f"summary.json, {name}", "is not what the same scenario, run again, gives")
    with TemporaryDirectory(prefix="carrybook.") as parent:
        yield from _differing(folder, Folder(save(assembly, finished, summary, Path(parent))))


def _differing(kept: Folder, made: Folder) -> Findings:
    """What of the manifest, and which cells of tables other than the ledger, are not those of the run made again."""
    for name in MANIFEST_KEYS:
        if getattr(kept.manifest, name) != getattr(made.manifest, name):
            yield Finding(f"manifest.json, {name}", "is not what the same scenario, run again, gives")
    for table, keys in COMPARED.items():
        columns = made.columns(table)
        count, expected = (each.table(table, keys[:1]).num_rows for each in (kept, made))
        if count != expected or kept.columns(table) != columns:
            words = f"{count} rows of {len(kept.columns(table))} columns; run again there are {expected}"
            yield Finding(f"{table}.parquet", f"{words} of {len(columns)}")
            continue
        for column in columns:
            theirs, ours = (each.table(table, [column])[column] for each in (kept, made))
            slack = 0.0 if column in COPIED else FLOAT_SLACK
            for row in islice(_unequal(theirs.cast(ours.type), ours, slack), SHOWN):
                place = " ".join(f"{key} {made.table(table, [key])[key][row]}" for key in keys)
                words = f"{column} is {theirs[row]}; the same scenario, run again, gives {ours[row]}"
                yield Finding(f"{table}.parquet, {place}", words)


def _unequal(kept: pa.ChunkedArray, made: pa.ChunkedArray, slack: float) -> Iterator[int]:
    """The rows in which two columns differ: numbers by more than `slack`, or one is missing."""
    both = ~(pc.is_null(kept).to_numpy() | pc.is_null(made).to_numpy())
    if pa.types.is_floating(made.type):
        ours, theirs = (each.to_numpy(zero_copy_only=False) for each in (made, kept))
        same = np.isclose(theirs, ours, rtol=slack, atol=slack, equal_nan=True)
    else:
        same = pc.fill_null(pc.equal(kept, made), False).to_numpy()
    missing = pc.is_null(kept).to_numpy() & pc.is_null(made).to_numpy()
    return iter(np.flatnonzero(~np.where(both, same, missing)).tolist())
