"""Runs as pandas frames, for notebooks: books, curve, register and explanation, in memory or from a run's folder."""

from pathlib import Path

import pandas as pd
from attrs import asdict, fields

from framework.archive import Folder, equity_table, runs_below
from framework.errors import RunError
from framework.ledger import Ledger
from framework.names import names_in
from framework.reports.differences import flat
from framework.reports.explain import Line, Selection, explain, register
from framework.run import Run


def ledger_frame(ledger: Ledger) -> pd.DataFrame:
    """One row per transfer: `seq, at, at_ns, event, kind, debit, credit, asset, amount`; amounts in atomic units."""
    records = ledger.records()
    accounts = [account.name for account in ledger.accounts]
    assets = [asset.code for asset in ledger.assets]
    return pd.DataFrame(
        {
            "seq": range(1, len(records) + 1),
            "at": pd.to_datetime(records["at_ns"], utc=True),
            "at_ns": records["at_ns"],
            "event": records["event"],
            "kind": [ledger.kinds[code] for code in records["kind"]],
            "debit": [accounts[code] for code in records["debit"]],
            "credit": [accounts[code] for code in records["credit"]],
            "asset": [assets[code] for code in records["asset"]],
            "amount": records["amount"],
        }
    )


def balance_frame(ledger: Ledger) -> pd.DataFrame:
    """One row per account and asset: `account, asset, atoms, units`; debits less credits."""
    rows = [
        {"account": account.name, "asset": account.asset.code, "atoms": atoms, "units": account.asset.units(atoms)}
        for account, atoms in ledger.balances().items()
    ]
    return pd.DataFrame(rows, columns=["account", "asset", "atoms", "units"])


def equity_frame(run: Run) -> pd.DataFrame:
    """What wallet, transit and each venue were worth in USD: at the start, at each row's close, and at the end."""
    frame: pd.DataFrame = equity_table(run).to_pandas()
    return frame.drop(columns="at_ns").set_index(pd.DatetimeIndex(pd.to_datetime(frame.at_ns, utc=True), name="at"))


def read_frame(folder: Path, table: str) -> pd.DataFrame:
    """`ledger`, `events`, `equity` or `market` of a run's folder; raises `RunError` for a folder that is not whole."""
    if not (folder / "manifest.json").is_file():
        raise RunError(f"{folder}: not a finished run; expected a folder with manifest.json")
    path = folder / f"{table}.parquet"
    if not path.is_file():
        raise RunError(f"{folder}: no table {table!r}; expected ledger, events, equity or market")
    return pd.read_parquet(path)


def load_runs(directory: Path) -> pd.DataFrame:
    """One row per finished run right below a directory, by digest: its name, scenario, settings and figures.

    Settings have their dotted keys, such as `strategy.leverage`, where they are not the same in all runs; figures the
    names of the summary. Raises `RunError` for a directory without runs.
    """
    folders = [Folder(path) for path in runs_below(directory)]
    if not folders:
        raise RunError(f"{directory}: no finished run in it; expected a directory such as runs")
    names = {digest: name for name, digest in names_in(directory).items()}
    settings = pd.DataFrame([flat(folder.scenario.table()) for folder in folders], dtype=object)
    differing = [key for key in settings if settings[key].map(repr).nunique() > 1]
    rows = [
        {"run": folder.name, "name": names.get(folder.path.name), "scenario": folder.scenario.name}
        | {key: settings[key].iloc[row] for key in differing if key != "name"}
        | {key: value for key, value in folder.summary.items() if not isinstance(value, dict | list)}
        for row, folder in enumerate(folders)
    ]
    return pd.DataFrame(rows).set_index("run")


def register_frame(folder: Path, chosen: Selection | None = None) -> pd.DataFrame:
    """The `Line` of each selected transfer of a run's folder, amounts and running balances as exact decimals.

    Raises `RunError` for a folder that is not a run's and for a selection of what it does not have.
    """
    lines = [asdict(line) for line in register(Folder(folder), chosen or Selection())]
    return pd.DataFrame(lines, columns=[each.name for each in fields(Line)])


def explain_frame(folder: Path, what: str, chosen: Selection | None = None) -> pd.DataFrame:
    """One row per node of the explanation of a figure: `level, above, label, usd, entries, event`, the whole first.

    `usd` is an exact decimal and the sum of the rows one level deeper; `above` has the labels on the way, by " / ".
    """
    rows = [
        (len(above), " / ".join(above), node.label, node.usd, node.entries, node.event)
        for above, node in explain(Folder(folder), what, chosen).walk()
    ]
    frame = pd.DataFrame(rows, columns=["level", "above", "label", "usd", "entries", "event"])
    return frame.astype({"event": "Int64"})
