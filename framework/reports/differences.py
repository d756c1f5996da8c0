"""Finished runs beside each other: settings that differ, metrics, waterfalls, and where their curves part."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from attrs import frozen

from framework.errors import RunError
from framework.market import utc
from framework.performance import METRICS
from framework.run_folder.archive import Folder
from framework.run_folder.names import names_in
from framework.support.grid import Grid
from framework.support.text import counted, flat, shown
from framework.valuation import Waterfall, waterfall_of

FIGURES = (
    "final_equity_usd", "return_pct", "annualized_return_pct", "max_drawdown_pct", "total_fees_usd",
    "liquidation_penalty_usd", "liquidations", "capital_rebalances", "full_rotations", "margin_calls", "transfers",
)  # fmt: skip
"""Figures of a summary that are compared besides all metrics."""
EVENT = ("at_ns", "venue", "kind", "asset", "rate", "price", "size", "amount", "fee", "order", "reason", "counterparty")
"""What makes an event the same in two runs: all but its number and its cause."""
SAME_USD = 1e-6
"""The least unit of the books: what differs by less is the rounding of a sum."""
ABSENT = "-"


@frozen(kw_only=True, eq=False)
class Compared:
    """One of the runs, read from its folder: `settings` by dotted key, `metrics` by name.

    `inputs` are digests of source files, `code` those of the project and of a user's own modules.
    """

    label: str
    digest: str
    settings: Mapping[str, object]
    inputs: Mapping[str, str]
    code: Mapping[str, str]
    metrics: Mapping[str, float | None]
    waterfall: Waterfall

    @classmethod
    def of(cls, folder: Folder) -> "Compared":
        """A run as it is compared; its label is its name, or the first digits of its digest."""
        name = next((each for each, digest in names_in(folder.path.parent).items() if digest == folder.path.name), None)
        names = dict.fromkeys((*FIGURES, *(metric.name for metric in METRICS)))
        return cls(
            label=name or folder.name[:8],
            digest=folder.name,
            settings=flat(folder.scenario.table()),
            inputs=folder.manifest.inputs,
            code={"carrybook": folder.manifest.project, **folder.manifest.code},
            metrics={each: _number(folder, each) for each in names if each in folder.summary},
            waterfall=waterfall_of(folder.book.worth(folder.records()), folder.capital),
        )


@frozen(kw_only=True)
class Parting:
    """Where the curve of a run leaves that of the first: None where it never does.

    `day` is that of the first row that both have and in which their equity differs, or the first that only one has
    after the other's end; `equity_usd` is that of both. `events` are of each run the first up to that row that the
    other has not, as `number kind venue`, wherever it stands among the others; empty where there is none.
    `event_day` is the day of the earlier one, empty where the market alone differs.
    """

    day: str
    equity_usd: tuple[float, float]
    event_day: str
    events: tuple[str, str]


@frozen(kw_only=True, eq=False)
class Difference:
    """Runs beside each other, the first as what the others are compared with."""

    runs: tuple[Compared, ...]
    partings: tuple[Parting | None, ...]

    @classmethod
    def of(cls, paths: Sequence[Path]) -> "Difference":
        """The runs in these folders; raises `RunError` for fewer than two, or for one that stands twice."""
        folders = [Folder(path) for path in paths]
        digests = [folder.name for folder in folders]
        if len(folders) < 2:
            raise RunError(f"{counted(len(folders), 'run')} to compare; expected two or more")
        for path, digest in zip(paths, digests, strict=True):
            if digests.count(digest) > 1:
                raise RunError(f"{path}: stands twice among the runs to compare; expected different runs")
        first, *others = folders
        return cls(runs=tuple(map(Compared.of, folders)), partings=tuple(_parting(first, each) for each in others))

    def settings(self) -> dict[str, list[object]]:
        """Key -> its value in each run, for those keys of the scenarios that are not the same in all; None: not set."""
        keys = dict.fromkeys(key for run in self.runs for key in run.settings)
        values = {key: [run.settings.get(key) for run in self.runs] for key in keys}
        return {key: each for key, each in values.items() if any(not _same(each[0], value) for value in each[1:])}

    def inputs(self) -> dict[str, list[str | None]]:
        """Input file -> its digest in each run, for those that are not the same in all."""
        return _unlike([run.inputs for run in self.runs])

    def code(self) -> dict[str, list[str | None]]:
        """Module of a user's own, or `carrybook` for the project -> its digest in each run, where they differ."""
        return _unlike([run.code for run in self.runs])

    def plain(self) -> dict[str, object]:
        """All of it as JSON has it; differences are from the first run."""
        return {
            "runs": {run.label: run.digest for run in self.runs},
            "settings": {
                key: [value if isinstance(value, bool | int | float | str | None) else str(value) for value in each]
                for key, each in self.settings().items()
            },
            "inputs": self.inputs(),
            "code": self.code(),
            "metrics": {
                name: {"values": values, "differences": [_less(value, values[0]) for value in values[1:]]}
                for name, values in self._metrics()
            },
            "waterfalls": {
                name: {"values": list(map(str, values)), "differences": [str(each - values[0]) for each in values[1:]]}
                for name, values in self._waterfalls()
            },
            "partings": [
                each and {"day": each.day, "equity_usd": list(each.equity_usd), "event_day": each.event_day,
                          "events": list(each.events)}
                for each in self.partings
            ],
        }  # fmt: skip

    def grids(self) -> Iterator[Grid]:
        """The tables for people; tables without rows are left out."""
        labels = [run.label for run in self.runs]
        less = [f"{label} less {labels[0]}" for label in labels[1:]]
        settings = Grid("Settings that differ", ("key", *(f"<{label}" for label in labels)))
        for key, values in self.settings().items():
            settings.add(key, *(ABSENT if value is None else shown(value) for value in values))
        for what, differing in (("input", self.inputs()), ("code", self.code())):
            for name, digests in differing.items():
                settings.add(f"{what} {name}", *(digest[:8] if digest else ABSENT for digest in digests))
        settings.note = "" if settings.rows else "the settings are the same"
        yield settings
        metrics = Grid("Metrics", ("metric", *labels, *less))
        for name, figures in self._metrics():
            if any(figures):
                told = [ABSENT if value is None else f"{value:,.2f}" for value in figures]
                differ = [_less(value, figures[0]) for value in figures[1:]]
                metrics.add(name, *told, *(ABSENT if each is None else f"{each:+,.2f}" for each in differ))
        yield metrics
        falls = Grid("P&L waterfalls, USD", ("bucket", *labels, *less))
        for name, amounts in self._waterfalls():
            if any(round(each, 2) for each in amounts) or name in ("unexplained", "result"):
                differences = [f"{round(each - amounts[0], 2) + 0:+,.2f}" for each in amounts[1:]]
                falls.add(name, *(f"{round(each, 2) + 0:+,.2f}" for each in amounts), *differences)
        yield falls
        parts = Grid(
            f"Where the curves part from that of {labels[0]}",
            (
                "run",
                "<first day",
                f"equity of {labels[0]}",
                "equity",
                "<event behind it",
                f"<in {labels[0]}",
                "<in it",
            ),
        )
        for label, parting in zip(labels[1:], self.partings, strict=True):
            if parting is None:
                parts.add(label, "never", "", "", "", "", "")
            else:
                both = (f"{each:,.2f}" for each in parting.equity_usd)
                parts.add(label, parting.day, *both, parting.event_day, *(each or ABSENT for each in parting.events))
        yield parts

    def _metrics(self) -> Iterator[tuple[str, list[float | None]]]:
        for name in dict.fromkeys(name for run in self.runs for name in run.metrics):
            yield name, [run.metrics.get(name) for run in self.runs]

    def _waterfalls(self) -> Iterator[tuple[str, list[Decimal]]]:
        for name, _ in self.runs[0].waterfall.steps():
            yield name, [getattr(run.waterfall, name) for run in self.runs]


def _unlike(digests: Sequence[Mapping[str, str]]) -> dict[str, list[str | None]]:
    """Name -> its digest in each run, for those that are not the same in all; None: not there."""
    values = {name: [each.get(name) for each in digests] for name in dict.fromkeys(chain.from_iterable(digests))}
    return {name: each for name, each in values.items() if len(set(each)) > 1}


def _same(one: object, other: object) -> bool:
    """Whether two values of a scenario mean the same: 3 and 3.0 do, `true` and 1 do not."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _number(folder: Folder, name: str) -> float | None:
    value = folder.summary[name]
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise RunError(f"{folder.path / 'summary.json'}, {name}: {shown(value)}; expected a number")
    return value


def _less(value: float | None, first: float | None) -> float | None:
    return None if value is None or first is None else value - first


def _parting(first: Folder, other: Folder) -> Parting | None:
    """Where the curve of another run leaves that of the first."""
    curves = [folder.table("equity", ["at_ns", "moment", "equity_usd"]).to_pandas() for folder in (first, other)]
    for curve in curves:  # a start at another instant of the first row is no other curve
        curve.loc[curve.moment == "start", "at_ns"] = min(int(each.at_ns[0]) for each in curves)
    rows = curves[0].merge(curves[1], on=["at_ns", "moment"], how="outer", sort=False, suffixes=("", "_other"))
    rows = rows.sort_values("at_ns", kind="stable")
    both = rows[["equity_usd", "equity_usd_other"]].ffill().bfill()
    shared = rows.equity_usd.notna() & rows.equity_usd_other.notna()
    apart = shared & ((both.equity_usd - both.equity_usd_other).abs() >= SAME_USD)
    covered = rows.at_ns <= min(int(curve.at_ns.iloc[-1]) for curve in curves)  # finer rows in between part nothing
    places = np.flatnonzero(apart | ~covered)
    if not len(places):
        return None
    at = int(places[0])
    at_ns = int(rows.at_ns.iloc[at])
    events = [_events(folder, at_ns) for folder in (first, other)]
    own = [_own_event(events[0], events[1]), _own_event(events[1], events[0])]
    instants = [int(event["at_ns"]) for event in own if event]
    told = [f"{event['event']} {event['kind']} {event['venue']}".strip() if event else "" for event in own]
    return Parting(
        day=f"{utc(at_ns):%Y-%m-%d}",
        equity_usd=(float(both.equity_usd.iloc[at]), float(both.equity_usd_other.iloc[at])),
        event_day=f"{utc(min(instants)):%Y-%m-%d}" if instants else "",
        events=(told[0], told[1]),
    )


def _events(folder: Folder, until_ns: int) -> list[dict[str, Any]]:
    """The events of a run up to an instant, in their order."""
    table = folder.table("events", ["event", *EVENT])
    return table.filter(pc.less_equal(table["at_ns"], until_ns)).to_pylist()  # type: ignore[no-any-return]


def _own_event(events: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The first event that another run has not, or has less often, by time and content; None without one."""
    left = Counter(tuple(event[name] for name in EVENT) for event in others)
    for event in events:
        content = tuple(event[name] for name in EVENT)
        if not left[content]:
            return event
        left[content] -= 1
    return None
