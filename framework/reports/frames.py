"""Runs as pandas frames, for notebooks: books, curve, register and explanation, in memory or from a run's folder."""

from collections.abc import Callable, Mapping
from functools import cached_property
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from attrs import asdict, field, fields, frozen

from framework.errors import RunError
from framework.ledger import Ledger
from framework.performance import metrics
from framework.reports.explain import Line, Selection, explain, register
from framework.run import Run
from framework.run_folder.archive import Folder, ledger_table, run_table, runs_below
from framework.run_folder.names import names_in
from framework.support.text import flat

if TYPE_CHECKING:
    from bokeh.models import LayoutDOM

HEADLINES = ("final_equity_usd", "return_pct", "cagr_pct", "sharpe", "max_drawdown_pct", "liquidations")
"""Figures that a notebook shows of a run."""


@frozen(eq=False, slots=False)
class Frames:
    """A run as pandas frames, in memory or from its folder: the same frames either way, each made when asked for.

    Times are an index in UTC. In a notebook it shows its main figures.
    """

    title: str
    _summary: Callable[[], Mapping[str, Any]] = field(repr=False)
    _decimals: Mapping[str, int] = field(repr=False)
    _table: Callable[[str], pa.Table] = field(repr=False)

    @classmethod
    def of(cls, run: Run) -> "Frames":
        """A run in memory; ratios in its summary are above a rate of zero."""
        decimals = {asset.code: asset.decimals for asset in run.ledger.assets}
        return cls(
            f"Run of {len(run.market):,} rows", lambda: metrics(run), decimals, lambda name: run_table(run, name)
        )

    @classmethod
    def load(cls, path: Path | str) -> "Frames":
        """A finished run by the path of its folder, its name, first digits or `latest`; raises `RunError`."""
        folder = Folder(Path(path))
        decimals = {asset.code: asset.decimals for asset in folder.assets}
        title = f"{folder.scenario.name}, {folder.name[:8]}"
        return cls(title, lambda: folder.summary, decimals, folder.table)

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """The figures and metrics by name."""
        return self._summary()

    def equity(self) -> pd.DataFrame:
        """What all, wallet, transit and each venue were worth in USD, from the capital to the final equity.

        A row each for the start, every row's close, and the end, which is at the instant of the last close; `moment`
        tells them apart. Columns `equity_usd`, `cash_usd`, `transit_usd` and `VENUE_equity_usd`.
        """
        frame = _timed(self._table("equity"))
        return frame[["moment", *(name for name in map(str, frame) if name.endswith("_usd"))]]

    def positions(self) -> pd.DataFrame:
        """The position of each venue at every row's close.

        `close` of the coin, `net_size` in coins, and by venue `VENUE_size` in coins, `VENUE_leverage`,
        `VENUE_liquidation_price` in USD and `VENUE_liquidation_distance_pct`: the move of the close that would
        liquidate, percent, above 0 while it has not. Empty without a position or without such a price.
        """
        frame = _timed(self._table("equity"))
        frame = frame[frame.moment == "close"].drop(columns="moment")
        frame = frame[[name for name in map(str, frame) if not name.endswith("_usd")]]
        for name in [each for each in map(str, frame) if each.endswith("_liquidation_price")]:
            venue = name.removesuffix("_liquidation_price")
            if f"{venue}_size" in frame:  # of several coins each has a price, and none the close
                side = frame[f"{venue}_size"].map(lambda size: (size > 0) - (size < 0))
                frame[f"{venue}_liquidation_distance_pct"] = side * (1 - frame[name] / frame.close) * 100
        return frame

    def events(self) -> pd.DataFrame:
        """One row per event: number, venue, kind, cause and figures in atomic units; without empty columns."""
        return _timed(self._table("events")).dropna(axis="columns", how="all")

    def fills(self) -> pd.DataFrame:
        """One row per order that was filled: venue, order, price, `size` in coins, USD amount and fee, reason."""
        events = _timed(self._table("events"))
        frame = events[events.kind == "OrderFilled"]
        whole = {"size": frame["size"] / 10**9, "amount_usd": frame.amount / 10**6, "fee_usd": frame.fee / 10**6}
        return frame[["event", "venue", "order", "price"]].assign(**whole, reason=frame.reason)

    def ledger(self) -> pd.DataFrame:
        """One row per transfer: number, event, kind, debit, credit, asset, atomic `amount` and `units` of the asset."""
        frame = _timed(self._table("ledger"))
        return frame.assign(units=frame.amount / 10.0 ** frame.asset.map(dict(self._decimals)))

    def plot(self) -> "LayoutDOM":
        """Equity, drawdown and each leg's leverage as Bokeh figures with one time axis; needs the extra `report`.

        `bokeh.plotting.show` opens them, and a notebook shows them.
        """
        pictures = import_module("framework.reports.pictures")  # Bokeh is loaded here alone
        drawn: LayoutDOM = pictures.of_a_run(self._table("equity"))
        return drawn

    def _repr_html_(self) -> str:
        """The main figures as a table for a notebook; whatever came from a file is escaped."""
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{'-' if value is None else escape(f'{value:,.2f}')}</td></tr>"
            for name, value in ((name, self.summary.get(name)) for name in HEADLINES)
        )
        return f"<table><caption>{escape(self.title)}</caption>{rows}</table>"


def _timed(table: pa.Table) -> pd.DataFrame:
    """A table with its instants as an index in UTC."""
    frame: pd.DataFrame = table.to_pandas()
    return frame.drop(columns="at_ns").set_index(pd.DatetimeIndex(pd.to_datetime(frame.at_ns, utc=True), name="at"))


def ledger_frame(ledger: Ledger) -> pd.DataFrame:
    """One row per transfer: `seq, at, at_ns, event, kind, debit, credit, asset, amount`; amounts in atomic units."""
    frame: pd.DataFrame = ledger_table(ledger).to_pandas()
    frame.insert(1, "at", pd.to_datetime(frame.at_ns, utc=True))
    return frame


def balance_frame(ledger: Ledger) -> pd.DataFrame:
    """One row per account and asset: `account, asset, atoms, units`; debits less credits."""
    rows = [
        {"account": account.name, "asset": account.asset.code, "atoms": atoms, "units": account.asset.units(atoms)}
        for account, atoms in ledger.balances().items()
    ]
    return pd.DataFrame(rows, columns=["account", "asset", "atoms", "units"])


def load_runs(directory: Path | str) -> pd.DataFrame:
    """One row per finished run right below a directory, by digest: its name, scenario, settings and figures.

    Settings have their dotted keys, such as `strategy.leverage`, where they are not the same in all runs; figures the
    names of the summary. Raises `RunError` for a directory without runs.
    """
    directory = Path(directory)
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
