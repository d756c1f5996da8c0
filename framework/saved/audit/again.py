"""Thorough checks: the market read again from its sources, and the scenario run again from the start."""

from itertools import islice

import numpy as np

from framework.assembly import Assembly
from framework.errors import CarrybookError
from framework.saved.audit.finding import Finding, Findings
from framework.saved.audit.history import History
from framework.summary import summarize

SHOWN = 20
"""Cells that are named one by one."""


def market(assembly: Assembly, history: History) -> Findings:
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
            yield Finding(f"row {row + 1} ({read.date(row)})", words)


def inputs(assembly: Assembly, history: History) -> Findings:
    """The source files and a user's own code are those that the run was made with."""
    sources = assembly.market.sources.values()
    read = {file: digest for source in sources for file, digest in source.digests().items()} | assembly.own_code()
    kept = {**history.folder.manifest["inputs"], **history.folder.manifest["code"]}
    for name in sorted(kept.keys() | read.keys()):
        if kept.get(name) != read.get(name):
            yield Finding(name, "is not the file that the run was made with")


def run(assembly: Assembly, history: History) -> Findings:
    """The scenario run again gives the same ledger and the same summary."""
    folder = history.folder
    if assembly.scenario.digest != folder.manifest["scenario"]:
        yield Finding("scenario.toml", "is not the scenario that the manifest names")
    try:
        finished = assembly.simulation().run()
    except CarrybookError as error:
        yield Finding("scenario.toml", f"cannot be run again: {error}")
        return
    if finished.ledger.digest != folder.manifest["ledger"]["digest"]:
        made = np.concatenate([finished.ledger.records()])
        kept = history.records
        common = min(len(made), len(kept))
        differ = np.flatnonzero(made[:common] != kept[:common])
        place = f"entry {int(differ[0]) + 1 if len(differ) else common + 1}"
        yield Finding(place, "is where the ledger of the same scenario, run again, begins to differ")
    for name, value in summarize(assembly, finished).items():
        if folder.summary.get(name) != value:
            yield Finding(f"summary.json, {name}", "is not what the same scenario, run again, gives")
