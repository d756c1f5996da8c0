"""Data of one's own: a CSV, Parquet or Feather file of prices, funding or rates, understood before it is stored."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from attrs import evolve, field, frozen
from packaging.version import Version

from framework.clock import INTERVALS_NS, NS_PER_DAY
from framework.data.gaps import usual_step
from framework.data.inspection import findings
from framework.data.provenance import Asked
from framework.data.raw import YEARS, Raw
from framework.data.rows import LETTERS, RANGE_NS, UNITS_NS, Finding, Rows
from framework.data.samples import Kind, Samples
from framework.data.series import Floats, Ints, Joining
from framework.data.store import PART
from framework.errors import MarketError
from framework.market import PRICES, Measure, utc
from framework.support.suggestions import closest_path
from framework.support.text import counted, shown

What = Literal["prices", "funding", "rates"]
UNITS: Mapping[str, float] = {"fraction": 1.0, "percent": 0.01, "bps": 0.0001}
"""Unit of a rate -> what a value is multiplied with to be a fraction."""
TIMES = ("time", "timestamp", "date", "datetime", "at", "open_time", "t")
WORDS = {"funding": ("funding_rate", "fundingrate", "funding", "rate"), "rates": ("apy", "apr", "rate", "lending_apy")}
"""What a column of a kind may be called, in small letters."""
CALLED = {
    "funding_rate": WORDS["funding"],
    "lending_apy": ("lending_rate", "lending", "supply_apy", "deposit_apy"),
    "borrowing_apy": ("borrowing_rate", "borrowing", "borrow_apy", "borrow"),
}
"""What a column of a file that has everything may be called besides our name for it."""
OFFSET = r"[T ].*(?:Z|[+-]\d{2}(?::?\d{2})?)$"
"""The end of a time as text that has an offset from UTC."""
SUFFIXES = (".csv", ".parquet", ".feather")


@frozen(kw_only=True, eq=False)
class Understood:
    """What a file was understood to be: the series that it becomes, its samples, and what to know about them.

    `columns` are our names and the file's; `notes` what was assumed; `findings` what is wrong or unlikely.
    """

    file: str
    digest: str
    kind: Kind
    samples: Samples
    columns: Mapping[str, str]
    time: str
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = field(default=())

    def asked(self) -> Asked:
        """The line of provenance: which file, with its digest."""
        first, last = (utc(int(self.samples.time_ns[at])).isoformat() for at in (0, -1))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Asked(now, f"file {self.file}", self.digest, len(self.samples), first, last, version("carrybook"))


def understand(
    path: Path,
    what: What,
    coin: str,
    *,
    unit: str | None = None,
    time: str | None = None,
    column: str | None = None,
    interval: str | None = None,
) -> Understood:
    """Read a file as prices of a coin in USD, as its funding, or as a yearly rate; raises `MarketError`.

    `unit` is that of funding and rates, which are stored as fractions; funding is that of each sample, above 0 where
    longs pay. `time` and `column` name columns of the file where their names do not say what they are, `interval` how
    often samples come where the file has gaps.
    """
    if not PART.fullmatch(coin):
        raise MarketError(f"coin {shown(coin)}; expected its code, such as ETH")
    frame = read(path)
    name, time_ns, notes = _times(frame, path, time)
    columns, factor, note = _columns(frame, path, what, unit, column, besides=name)
    values = {ours: _numbers(frame[theirs], f"{path}, column {theirs}") * factor for ours, theirs in columns.items()}
    order = np.argsort(time_ns, kind="stable")
    twice = np.flatnonzero(np.diff(time_ns[order]) == 0)
    for place in twice[:1].tolist():
        at = utc(int(time_ns[order][place])).isoformat()
        raise MarketError(f"{path}: {at} stands twice; expected each time once")
    step_ns = INTERVALS_NS[interval] if interval else usual_step(time_ns[order])
    if step_ns is None:
        raise MarketError(f"{path}: {len(time_ns)} rows; expected two or more, or --interval")
    if (np.diff(order) != 1).any():
        notes = (*notes, "rows were not in time order and have been sorted")
    kind = _kind(what, coin, step_ns)
    samples = Samples(time_ns, values).chosen(order)
    measure = {"prices": Measure.PRICE, "funding": Measure.FUNDING, "rates": Measure.YEARLY}[what]
    rows = Rows(
        path.name,
        samples.time_ns,
        frame.index.to_numpy(dtype=np.int64)[order],
        samples.columns,
        every_ns=step_ns,
        measures=dict.fromkeys(columns, measure),
    )
    return Understood(
        file=path.name,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        kind=kind,
        samples=samples,
        columns=columns,
        time=name,
        notes=(*notes, *([note] if note else [])),
        findings=tuple(findings(rows)),
    )


@frozen(kw_only=True)
class InPlace:
    """How a scenario reads a CSV file where it lies, with the reader `table`: `columns` are ours and the file's.

    `interval` is the length of its rows, `first` and `last` the days in UTC that it covers whole.
    """

    file: str
    time: str
    interval: str
    columns: Mapping[str, str]
    first: date
    last: date


def in_place(path: Path, wanted: Sequence[str], given: Mapping[str, str] | None = None) -> InPlace:
    """Find what a market wants among the columns of a CSV file; raises `MarketError` for what is missing.

    `given` says which column is `time` or a wanted one, where its name does not. Rates have to be fractions.
    """
    if path.suffix.lower() != ".csv":
        raise MarketError(f"{path}: only CSV is read in place; expected that, or carrybook data import")
    given = given or {}
    for ours in given:
        if ours not in ("time", *wanted):
            raise MarketError(f"--column {ours}: not wanted here; expected one of time, {', '.join(wanted)}")
    frame = read(path)
    time, time_ns, _ = _times(frame, path, given.get("time"), "--column time=NAME")
    if pd.api.types.is_numeric_dtype(frame[time]):
        expected = "times such as 2025-01-31 or 2025-01-31T00:00:00Z, or carrybook data import, which takes numbers"
        raise MarketError(f"{path}, column {time}: numbers; expected {expected}")
    names = {str(name).strip().lower(): str(name) for name in frame if name != time}
    columns = {ours: given.get(ours) or _called(ours, names) for ours in wanted}
    there = ", ".join(names.values())
    for ours, theirs in columns.items():
        if theirs is None or theirs not in names.values():
            wanted_words = f"expected --column {ours}=NAME with one of {there}"
            raise MarketError(f"{path}: no column {theirs or ours}, {_meaning(ours)}; {wanted_words}")
    for place in np.flatnonzero(np.diff(time_ns) < 0)[:1].tolist():
        expected = "times that rise, or carrybook data import, which sorts them"
        raise MarketError(f"{path}, row {frame.index[place + 1]}: earlier than the row above; expected {expected}")
    step_ns = usual_step(time_ns)
    interval = next((name for name, span_ns in INTERVALS_NS.items() if span_ns == step_ns), None)
    if step_ns is None or interval is None:
        every = "one row" if step_ns is None else f"rows every {step_ns / 1e9:g} s"
        raise MarketError(f"{path}: {every}; expected rows every {', '.join(INTERVALS_NS)}")
    first = -(-int(time_ns.min()) // NS_PER_DAY)
    last = (int(time_ns.max()) + step_ns) // NS_PER_DAY - 1
    if last < first:
        raise MarketError(f"{path}: {len(frame)} rows without a whole day in UTC; expected one day or more")
    days = [utc(day * NS_PER_DAY).date() for day in (first, last)]
    found = {ours: str(theirs) for ours, theirs in columns.items()}
    return InPlace(file=path.name, time=time, interval=interval, columns=found, first=days[0], last=days[1])


def _called(ours: str, names: Mapping[str, str]) -> str | None:
    """The column of a file that is called as ours, or as people call what it has; None without one."""
    kind = "funding_rate" if ours.endswith("funding_rate") else "_".join(ours.split("_")[-2:])
    words = (ours, kind, *CALLED.get(kind, ()), LETTERS.get(ours, ""))
    return next((names[word] for word in words if word in names), None)


def _meaning(ours: str) -> str:
    """What one of our columns has, in words."""
    if ours in PRICES:
        return f"the {ours} of each row in USD"
    if ours.endswith("funding_rate"):
        return "funding of each row as a fraction of the notional, above 0 where longs pay"
    return "a rate as a fraction per year"


EXACT = {} if Version(pd.__version__).major >= 3 else {"float_precision": "round_trip"}
"""What makes pandas read the very floats that are written; from its third version on nothing has to be said."""


def _read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, **EXACT)  # type: ignore[call-overload, no-any-return]


def read(path: Path) -> pd.DataFrame:
    """A CSV, Parquet or Feather file as a frame, whose index is the row of the file; raises `MarketError`."""
    if path.suffix.lower() not in SUFFIXES:
        raise MarketError(f"{path}: expected a file that ends with {', '.join(SUFFIXES)}")
    readers: Mapping[str, Callable[[Path], pd.DataFrame]] = {
        ".csv": _read_csv,
        ".parquet": pd.read_parquet,
        ".feather": pd.read_feather,
    }
    try:
        lines = _lines(path) if path.suffix.lower() == ".csv" else None
        frame = readers[path.suffix.lower()](path)
    except MarketError:
        raise
    except OSError as error:
        meant = closest_path(path) or "expected a data file"
        raise MarketError(f"{path}: not readable ({error.strerror or type(error).__name__}); {meant}") from None
    except Exception as error:  # whatever the three readers say of a file that is none of theirs
        raise MarketError(f"{path}: not a {path.suffix[1:]} file ({' '.join(str(error).split())[:120]})") from None
    rows = range(1, len(frame) + 1) if lines is None else lines
    if frame.index.nlevels > 1 or len(rows) != len(frame):
        raise MarketError(f"{path}: lines that do not fit the header; expected as many cells in each as it has")
    if not isinstance(frame.index, pd.RangeIndex):
        name = "time" if frame.index.name is None else str(frame.index.name)
        frame = frame.reset_index(names=name) if name not in frame else frame.reset_index(drop=True)
    if not len(frame):
        raise MarketError(f"{path}: no rows; expected at least two")
    return frame.set_axis(rows)


def _lines(path: Path) -> list[int]:
    """The rows of a CSV file that have a sample, as `carrybook data check` counts them: the first line is row 1.

    Raises `MarketError` for a header or a line by which pandas would take a cell for one of another column.
    """
    (top, header), lines = Raw.read(path).lines()
    _check_header(header, f"{path}, row {top}")
    for row, cells in lines:
        if len(cells) != len(header):
            names = f", {shown(header[0])}" if len(header) == 1 else ""
            expected = f"{len(header)} as in the header{names}"
            raise MarketError(f"{path}, row {row}: {counted(len(cells), 'cell')}; expected {expected}")
    return [row for row, _ in lines]


def _check_header(cells: list[str], place: str) -> None:
    if len(cells) == 1 and any(mark in cells[0] for mark in ";\t|"):
        raise MarketError(f"{place}: {shown(cells[0])} is one cell; expected commas between cells")
    for name in cells:
        if cells.count(name) > 1:
            raise MarketError(f"{place}: column {name or 'without a name'} twice; expected distinct names")


def _times(
    frame: pd.DataFrame, path: Path, given: str | None, option: str = "--time"
) -> tuple[str, Ints, tuple[str, ...]]:
    """The column of times, the times in nanoseconds, and what was assumed of them; `option` would name the column."""
    names = {str(name).strip().lower(): str(name) for name in frame}
    name = given or next((names[each] for each in TIMES if each in names), None)
    if name is None or name not in frame:
        there = ", ".join(map(str, frame))
        raise MarketError(f"{path}: no column {given or TIMES[0]}; expected {option} with one of {there}")
    column = frame[name]
    if pd.api.types.is_numeric_dtype(column):
        time_ns, unit = _numbered(column, path)
        return name, time_ns, (f"times are {unit} since 1970 in UTC",)
    form = None if column.dtype.kind == "M" else "ISO8601"
    stamps = pd.to_datetime(column, utc=True, format=form, errors="coerce")
    bad = stamps.isna() | ~stamps.dt.year.between(YEARS.start, YEARS.stop - 1)
    for at in np.flatnonzero(bad)[:1].tolist():
        form_words = "such as 2025-01-31 or 2025-01-31T00:00:00Z"
        expected = form_words if stamps.isna().iloc[at] else f"between {YEARS.start} and {YEARS.stop}"
        raise MarketError(f"{_place(column, at, path)}; expected a time {expected}")
    aware = getattr(column.dtype, "tz", None) is not None or (form and column.astype(str).str.contains(OFFSET).all())
    notes: tuple[str, ...] = () if aware else ("times without an offset were read as UTC",)
    at_ns: Ints = stamps.dt.as_unit("ns").to_numpy(dtype=np.int64)
    return name, at_ns, notes


def _numbered(column: "pd.Series[float]", path: Path) -> tuple[Ints, str]:
    """Times as numbers since 1970 in nanoseconds, and the unit in which they were given, which their size shows."""
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    middle = float(np.nanmedian(values)) if np.isfinite(values).any() else math.nan
    unit_ns = next((unit for bound, unit in UNITS_NS if middle >= bound), None)
    if unit_ns is None:
        raise MarketError(f"{path}, column {column.name}: {middle:g}; expected times since 1970 in s, ms, us or ns")
    unit = {1: "nanoseconds", 1_000: "microseconds", 1_000_000: "milliseconds", 1_000_000_000: "seconds"}[unit_ns]
    there = (values >= RANGE_NS.start / unit_ns) & (values < RANGE_NS.stop / unit_ns)
    for at in np.flatnonzero(~there)[:1].tolist():
        expected = f"{unit} since 1970, between {YEARS.start} and {YEARS.stop}"
        raise MarketError(f"{_place(column, at, path)}; expected {expected}")
    is_whole = pd.api.types.is_integer_dtype(column)
    whole: Ints = np.asarray(column if is_whole else np.floor(values), dtype=np.int64)
    rest: Ints = np.rint((values - np.floor(values)) * unit_ns).astype(np.int64)
    return whole * unit_ns + rest, unit


def _place(column: "pd.Series[Any]", at: int, path: Path) -> str:
    """The place of a cell that is refused, and its content."""
    cell = "no time" if column.isna().iloc[at] else shown(column.tolist()[at])
    return f"{path}, row {column.index[at]}, column {column.name}: {cell}"


def _columns(
    frame: pd.DataFrame, path: Path, what: What, unit: str | None, given: str | None, *, besides: str
) -> tuple[dict[str, str], float, str]:
    """Our columns and the file's, what values are multiplied with, and a note."""
    names = {str(name).strip().lower(): str(name) for name in frame if str(name) != besides}
    there = ", ".join(names.values())
    if what == "prices":
        found = {price: names.get(price) or names.get(LETTERS[price]) for price in PRICES}
        missing = [price for price, name in found.items() if name is None]
        if missing:
            raise MarketError(f"{path}: no column {missing[0]}; expected open, high, low, close; there are {there}")
        if unit not in (None, "usd"):
            raise MarketError(f"--unit {unit}: prices are in usd; expected no other unit")
        return {price: str(name) for price, name in found.items()}, 1.0, ""
    if unit is None or unit not in UNITS:
        raise MarketError(f"--unit {unit or 'is missing'}: expected {', '.join(UNITS)}; a value alone does not say it")
    numeric = [name for name in names.values() if pd.api.types.is_numeric_dtype(frame[name])]
    named = [given] if given else [names[each] for each in WORDS[what] if each in names] or numeric
    if len(named) != 1 and not (named and named[0].lower() in WORDS[what]):
        raise MarketError(f"{path}: which column is it? expected --column with one of {', '.join(numeric) or there}")
    if named[0] not in frame:
        raise MarketError(f"{path}: no column {named[0]}; expected one of {there}")
    ours = "funding_rate" if what == "funding" else "apy"
    factor = UNITS[unit]
    return {ours: named[0]}, factor, "" if factor == 1 else f"{unit} have been divided by {1 / factor:g}"


def _numbers(column: "pd.Series[float]", place: str) -> Floats:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    for at in np.flatnonzero(~np.isfinite(values))[:1].tolist():
        raise MarketError(f"{place}, row {column.index[at]}: {shown(column.tolist()[at])}; expected a finite number")
    return values


def _kind(what: What, coin: str, step_ns: int) -> Kind:
    """The series that a file becomes, by what it has."""
    interval = next((name for name, span_ns in INTERVALS_NS.items() if span_ns == step_ns), f"{step_ns // 10**9}s")
    plain = Kind(
        series=f"own:{coin}:{interval if what == 'prices' else what}",
        what=f"own file, {what} of {coin}",
        units={},
        joining=Joining.LAST,
        every_ns=step_ns,
    )
    if what == "prices":
        return evolve(plain, units=dict.fromkeys(PRICES, "USD"), span_ns=step_ns)
    if what == "funding":
        units = {"funding_rate": f"fraction of notional per {interval}"}
        return evolve(plain, units=units, joining=Joining.SUM)
    return evolve(plain, units={"apy": "fraction per year"}, joining=Joining.MEAN)


def scenario_lines(kinds: Sequence[Kind]) -> list[str]:
    """What a scenario says to use series of one's own, as lines of `[market]`."""
    lines = []
    for kind in kinds:
        coin, what = kind.series.split(":")[1:]
        if kind.span_ns:
            lines.append(f'prices = "{kind.series}"')
        elif what == "funding":
            lines.append(f'funding.VENUE = "{kind.series}"')
        else:
            lines.append(f'series.{coin.lower()}_lending_apy = {{ series = "{kind.series}", joining = "mean" }}')
    return lines
