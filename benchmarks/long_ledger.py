"""A run with a long ledger, through everything that touches it: `python benchmarks/long_ledger.py [TRANSFERS]`.

Ten million transfers if not given: the main scenario's position on minutes, in which three things settle every row.
The run and its saving are one process, each further step another, so that the most memory of each is known. Exports
take a tenth of the rows, for the size of their files.
"""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from framework.assembly import assemble
from framework.audit import CHECKS, audit
from framework.market import TICK_NS, Market
from framework.performance import summarize
from framework.reports.exports import export
from framework.reports.sql import ask
from framework.run_folder.archive import Folder, save
from framework.scenario import Scenario

ROOT = Path(__file__).parent.parent
SCENARIO = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
MINUTE_NS = 60 * 10**9
START = datetime(2000, 1, 1, tzinfo=UTC)
HEADER = f"{'step':22} {'transfers':>12} {'seconds':>9} {'a second':>12} {'at most, MB':>12}"


def market(rows: int) -> Market:
    """Minutes on which the price swings by a few percent a week and every rate is above zero."""
    open_ns = int(START.timestamp()) * 10**9 + np.arange(rows) * MINUTE_NS
    path = np.rint(15_000.0 * (1 + 0.03 * np.sin(np.arange(rows + 1) / 1_600.0))) / 100
    opens, closes = path[:-1], path[1:]
    rates = {"hyperliquid_funding_rate": 2e-7, "drift_funding_rate": 2e-7}
    rates |= {"sol_lending_apy": 0.05, "usdc_borrowing_apy": 0.08}
    return Market(
        open_ns=open_ns,
        at_ns=open_ns + MINUTE_NS - TICK_NS,
        columns={
            "open": opens,
            "close": closes,
            "high": np.maximum(opens, closes),
            "low": np.minimum(opens, closes),
            **{name: np.full(rows, rate) for name, rate in rates.items()},
        },
    )


def post_and_save(transfers: int, parent: Path) -> None:
    """A run with at least so many transfers, saved below `parent`."""
    rows = -(-transfers // 3)
    end = (START + timedelta(minutes=rows)).date().isoformat()
    period = ("market.start=2000-01-01", f"market.end={end}")
    assembly = assemble(Scenario.load(SCENARIO, period), market=market(rows))
    began = perf_counter()
    run = assembly.simulation().run()
    _print("run, written out", len(run.ledger), perf_counter() - began)
    summary = summarize(assembly, run)
    began = perf_counter()
    folder = save(assembly, run, summary, parent)
    _print("saving", len(run.ledger), perf_counter() - began)
    bytes_ = {name: (folder / f"{name}.parquet").stat().st_size / len(run.ledger) for name in ("ledger", "events")}
    print(f"{'':22} bytes a transfer: {run.ledger.records().itemsize} in memory, {bytes_['ledger']:.1f} as Parquet")


def load(folder: Folder) -> None:
    """Every transfer once, in batches."""
    assert sum(len(batch) for batch in folder.records()) == folder.manifest.counts.transfers


def check(folder: Folder) -> None:
    """The cheap audit."""
    assert all(result.passed for result in audit(folder))


def check_one_by_one(folder: Folder) -> None:
    """The same, with the time that each check takes."""
    for each in CHECKS:
        began = perf_counter()
        audit(folder, checks=(each,))
        _print(f"  {each.__name__}", folder.manifest.counts.transfers, perf_counter() - began)


def query(folder: Folder) -> None:
    """The waterfall by SQL."""
    with ask(folder, "SELECT bucket, sum(usd) FROM waterfall GROUP BY bucket") as answer:
        assert list(answer.rows)


STEPS: dict[str, Callable[[Folder], object]] = {
    "loading": load,
    "audit, cheap": check,
    "check by check": check_one_by_one,
    "SQL, waterfall": query,
}
"""Steps on the whole ledger."""


def _export(form: str, folder: Folder) -> None:
    with tempfile.TemporaryDirectory() as out:
        export(folder, form, Path(out))  # type: ignore[arg-type]


SMALLER = {
    "export, beancount": partial(_export, "beancount"),
    "export, hledger": partial(_export, "hledger"),
    "export, CSV": partial(_export, "csv"),
}
"""Steps on a tenth of it."""


def _print(step: str, transfers: int, seconds: float) -> None:
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{step:22} {transfers:>12,} {seconds:>9.2f} {transfers / seconds:>12,.0f} {megabytes:>12,.0f}", flush=True)


def main() -> None:
    """Each step in a process of its own."""
    transfers = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    print(HEADER, flush=True)
    for length, steps in ((transfers, STEPS), (transfers // 10, SMALLER)):
        with tempfile.TemporaryDirectory() as parent:
            for step in ("", *steps):
                subprocess.run([sys.executable, __file__, str(length), parent, step], check=True)  # noqa: S603


def one(transfers: int, parent: Path, step: str) -> None:
    """One step, in this process."""
    if not step:
        post_and_save(transfers, parent)
        return
    folder = Folder(parent)
    began = perf_counter()
    (STEPS | SMALLER)[step](folder)
    if step != "check by check":
        _print(step, folder.manifest.counts.transfers, perf_counter() - began)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        one(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    else:
        main()
