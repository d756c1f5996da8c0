"""Finished runs beside each other: settings that differ, metrics, waterfalls, and where their curves part."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from attrs import frozen

from framework.errors import RunError
from framework.market import utc
from framework.performance import METRICS
from framework.run_folder.archive import Folder
from framework.run_folder.names import names_in
from framework.support.grid import Grid
from framework.support.text import shown
from framework.valuation import Waterfall, waterfall_of

FIGURES = (
    "final_equity_usd", "return_pct", "annualized_return_pct", "max_drawdown_pct", "total_fees_usd",
    "liquidation_penalty_usd", "liquidations", "capital_rebalances", "full_rotations", "margin_calls", "transfers",
)  # fmt: skip
"""Figures of a summary that are compared besides all metrics."""
EVENT = ("at_ns", "venue", "kind", "asset", "rate", "price", "size", "amount", "fee", "order", "reason", "counterparty")
"""What makes an event the same in two runs: all but its number and its cause."""
ABSENT = "-"


@frozen(kw_only=True, eq=False)
class Compared:
    """One of the runs, read from its folder: `settings` by dotted key, `metrics` by name."""

    label: str
    digest: str
    settings: Mapping[str, object]
    inputs: Mapping[str, str]
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
            metrics={each: _number(folder, each) for each in names if each in folder.summary},
            waterfall=waterfall_of(folder.book.worth(folder.records()), folder.capital),
        )


@frozen(kw_only=True)
class Parting:
    """Where the curve of a run leaves that of the first: None where it never does.

    `day` is the first at whose end the equity differs, `equity_usd` that of both. `events` are the first that differ,
    as `number kind venue`, at or before that day; an empty text where a run has none.
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
            raise RunError(f"{len(folders)} runs to compare; expected two or more")
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
        files = dict.fromkeys(file for run in self.runs for file in run.inputs)
        values = {file: [run.inputs.get(file) for run in self.runs] for file in files}
        return {file: each for file, each in values.items() if len(set(each)) > 1}

    def plain(self) -> dict[str, object]:
        """All of it as JSON has it; differences are from the first run."""
        return {
            "runs": {run.label: run.digest for run in self.runs},
            "settings": {
                key: [value if isinstance(value, bool | int | float | str | None) else str(value) for value in each]
                for key, each in self.settings().items()
            },
            "inputs": self.inputs(),
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
        for file, digests in self.inputs().items():
            settings.add(f"input {file}", *(digest[:8] if digest else ABSENT for digest in digests))
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
                "<first other event",
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


def flat(table: Mapping[str, object], above: str = "") -> dict[str, object]:
    """Nested tables as one level of dotted keys; an empty table is none."""
    found: dict[str, object] = {}
    for key, value in table.items():
        found |= flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: value}
    return found


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
    curves = [folder.table("equity", ["at_ns", "equity_usd"]) for folder in (first, other)]
    times, worths = ([curve[name].to_numpy() for curve in curves] for name in ("at_ns", "equity_usd"))
    count = min(map(len, times))
    apart = (times[0][:count] != times[1][:count]) | (worths[0][:count] != worths[1][:count])
    apart[0] = worths[0][0] != worths[1][0]  # a start at another instant of the first row is no other curve
    if not apart.any() and len(times[0]) == len(times[1]):
        return None
    at = int(np.argmax(apart)) if apart.any() else count
    at_ns = min(int(each[min(at, len(each) - 1)]) for each in times)
    equity_usd = tuple(float(each[min(at, len(each) - 1)]) for each in worths)
    events, event_ns = _first_other_event(first, other)
    return Parting(
        day=f"{utc(at_ns):%Y-%m-%d}",
        equity_usd=(equity_usd[0], equity_usd[1]),
        event_day="" if event_ns is None else f"{utc(event_ns):%Y-%m-%d}",
        events=events,
    )


def _first_other_event(first: Folder, other: Folder) -> tuple[tuple[str, str], int | None]:
    """The first event of each run that is another in the other one, as `number kind venue`, and its instant."""
    tables = [folder.table("events", ["event", *EVENT]) for folder in (first, other)]
    count = min(map(len, tables))
    differs = np.zeros(count, dtype=bool)
    for name in EVENT:
        one, two = (table[name].slice(0, count) for table in tables)
        unequal = pc.fill_null(pc.not_equal(one, two), False)
        one_absent = pc.xor(pc.is_null(one), pc.is_null(two))
        differs |= _flags(unequal) | _flags(one_absent)
    at = int(np.argmax(differs)) if differs.any() else count
    rows: list[dict[str, Any] | None] = [
        table.slice(at, 1).to_pylist()[0] if at < len(table) else None for table in tables
    ]
    told = [f"{row['event']} {row['kind']} {row['venue']}".strip() if row else "" for row in rows]
    instants = [int(row["at_ns"]) for row in rows if row]
    return (told[0], told[1]), min(instants, default=None)


def _flags(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return column.to_numpy(zero_copy_only=False).astype(bool)  # type: ignore[no-any-return]
