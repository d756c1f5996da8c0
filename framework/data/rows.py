"""Samples as they stand in a series of the store or in any file, before anything trusts them."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from attrs import Factory, frozen

from framework.data.gaps import Hole, holes, usual_step
from framework.data.plausibility import Level, measure_of
from framework.data.raw import DATE, MS_RANGE, NS_PER_MS, Raw, number
from framework.data.samples import Kind, Samples
from framework.data.series import Floats, Ints
from framework.data.store import Store
from framework.errors import MarketError
from framework.market import PRICES, Measure, utc
from framework.support.text import shown

TIMES = (
    "time", "timestamp", "date", "hourBucket", "t", "ts", "time_utc", "fundingTime", "date_utc",
    "last_funding_time_utc", "epoch_start_utc_est",
)  # fmt: skip
"""What a column of times is called, the likeliest first."""
IN_MS, IN_TEXT = ("t", "time"), ("timestamp", "hourBucket", "date")
"""Keys of JSON under which a scenario's readers expect milliseconds, and those under which they expect text."""
LETTERS = {"open": "o", "high": "h", "low": "l", "close": "c"}
"""How Hyperliquid's candles abbreviate prices."""
UNITS_NS = ((10**17, 1), (10**14, 10**3), (10**11, 10**6), (10**8, 10**9))
"""Numbers at or above the first are times in units of the second: nanoseconds, microseconds, milliseconds, seconds."""
SHARED, APART = 5, 0.05
"""Two sources of a coin's price are compared where they share so many closes, and may differ by this fraction."""
RANGE_NS = range(MS_RANGE.start * NS_PER_MS, MS_RANGE.stop * NS_PER_MS)


@frozen
class Finding:
    """Something wrong, by the name of the check that found it."""

    check: str
    words: str
    level: Level = Level.ERROR


@frozen(eq=False)
class Rows:
    """Samples as they stand in a file: `row` as a person counts them, values that may be anything a float can be."""

    name: str
    time_ns: Ints
    row: Ints
    columns: dict[str, Floats]
    every_ns: int | None = None
    changing: bool = False
    measures: Mapping[str, Measure] = Factory(dict)
    """What each column measures, where that is known."""
    late: Ints | None = None
    """How far each time lies beyond what its source allows, nanoseconds; 0 for most."""
    untold: Ints | None = None
    """Rows, by index, that no line of provenance speaks of."""
    found: tuple[Finding, ...] = ()
    """What was wrong with cells as they were read."""
    newest_first: bool = False
    """Whether the newest sample may come first."""
    hyperliquid: bool = False
    """Whether funding is Hyperliquid's."""

    def place(self, index: int) -> str:
        """A sample as `row N, time`."""
        return f"row {self.row[index]}, {utc(int(self.time_ns[index])).isoformat()}"

    @property
    def step_ns(self) -> int | None:
        """How often samples come: as their source says, or as they mostly do."""
        return self.every_ns or usual_step(np.unique(self.time_ns))

    def holes(self) -> list[Hole]:
        """Where samples are missing, by the usual step between them."""
        times = np.unique(self.time_ns)
        return holes(times, self.step_ns, changing=self.changing) if self.step_ns else []


def of_store(store: Store, series: str) -> Rows:
    """A series of the store; raises `StoreError`."""
    kind, samples = store.read(series)
    times = samples.time_ns
    told = np.zeros(len(times), dtype=bool)
    for asked in store.asked(series):
        if asked.first and asked.last:
            first, last = (_time_ns(text, series) for text in (asked.first, asked.last))
            told |= (times >= first // 1000 * 1000) & (times // 1000 * 1000 <= last)
    return Rows(
        series,
        times,
        np.arange(1, len(samples) + 1, dtype=np.int64),
        samples.columns,
        every_ns=kind.every_ns,
        changing=kind.changing,
        measures={name: measure_of(unit) for name, unit in kind.units.items()},
        late=np.maximum(times % kind.grid_ns - kind.lag_ns, 0) if kind.grid_ns else None,
        untold=np.flatnonzero(~told),
        found=tuple(_scale(store, kind, samples)),
        hyperliquid=series.startswith("hyperliquid:"),
    )


def _scale(store: Store, kind: Kind, samples: Samples) -> Iterator[Finding]:
    """Candles at other prices than those of the same coin from another source."""
    if not kind.span_ns or "close" not in kind.units:
        return
    for series in store.ids():
        if series == kind.series or _coin(series) != _coin(kind.series):
            continue
        other, theirs = store.read(series)
        if not other.span_ns or "close" not in other.units:
            continue
        _, mine, yours = np.intersect1d(
            samples.time_ns + kind.span_ns, theirs.time_ns + other.span_ns, return_indices=True
        )
        if len(mine) < SHARED:
            continue
        quotient = float(np.median(samples.columns["close"][mine] / theirs.columns["close"][yours]))
        if abs(quotient - 1) > APART:
            words = f"closes are {quotient:.4g} times those of {series}, in the middle of {len(mine)} at the same time"
            yield Finding("scale", f"{kind.series}: {words}")


def _coin(series: str) -> str:
    """The coin of a stored series, by its id: SOL for `hyperliquid:SOL:1h` and `binance:SOLUSDT:1d`."""
    return series.split(":")[1].removesuffix("USDT").removesuffix("-PERP")


def of_file(path: Path) -> Rows:
    """A CSV file with a header, or a JSON array of objects; raises `MarketError`."""
    raw = Raw.read(path)
    is_csv = path.suffix == ".csv"
    table, row, found = cells_of(raw, is_csv=is_csv)
    known = next((name for name in TIMES if name in table), None)
    if known is None and is_csv:  # whose column of times a scenario names
        called = {name.strip().lower(): name for name in table}
        known = next((called[name] for name in TIMES if name in called), None)
    if not len(row) and found:
        raise MarketError(f"{path}: {found[0].words}")
    if known is None or not len(row):
        there = ", ".join(table).encode("unicode_escape").decode()[:200]
        raise MarketError(f"{path}: {len(row)} rows of {there}; expected one of {', '.join(TIMES)}")
    cells = table.pop(known)
    times = np.array([_time_ns(cell, f"{path.name}, row {row[at]}") for at, cell in enumerate(cells)], np.int64)
    found += _forms(cells, row, known, is_csv=is_csv)
    columns: dict[str, Floats] = {}
    measures: dict[str, Measure] = {}
    for name, each in table.items():
        measures[name] = _measure(name, path.name, list(table), is_csv=is_csv)
        values, wrong = _numbers(each, certain=measures[name] is not Measure.OTHER)
        if values is not None:
            columns[name] = values
        for at in wrong:
            place = f"row {row[at]}, {utc(int(times[at])).isoformat()}, column {name}"
            found.append(Finding("not a number", f"{place}: {shown(each[at])}; expected a number such as 0.0001"))
    return Rows(
        path.name,
        times,
        row,
        columns,
        measures=measures,
        found=tuple(found),
        newest_first=known == "hourBucket",
        hyperliquid=not is_csv and known == "time" and {"fundingRate", "premium"} <= table.keys(),
    )


Table = tuple[dict[str, list[Any]], Ints, list[Finding]]
"""Cells by column, the rows of the file in which they stand, and what is wrong with the form of the file."""


def cells_of(raw: Raw, *, is_csv: bool) -> Table:
    """The cells of a file as they stand there: below the header of a CSV file, or in a JSON array of objects."""
    return _lines(raw) if is_csv else _objects(raw)


def _lines(raw: Raw) -> Table:
    """The lines of a CSV file below its header."""
    (top, header), lines = raw.lines()
    found = [
        Finding("header", f"{raw.file}, row {top}: column {name} twice; expected distinct names")
        for name in dict.fromkeys(header)
        if header.count(name) > 1
    ]
    found += [
        Finding("cells", f"row {row}: {len(line)} cells; expected {len(header)}")
        for row, line in lines
        if len(line) != len(header)
    ]
    whole = [(row, line) for row, line in lines if len(line) == len(header)]
    table = {name: [line[index] for _, line in whole] for index, name in enumerate(header)}
    return table, np.array([row for row, _ in whole], dtype=np.int64), found


def _objects(raw: Raw) -> Table:
    """The objects of a JSON array."""
    objects = raw.objects()
    names = dict.fromkeys(name for each in objects for name in each)
    table = {name: [each.get(name) for each in objects] for name in names}
    return table, np.arange(1, len(objects) + 1, dtype=np.int64), []


def _measure(name: str, file: str, names: Sequence[str], *, is_csv: bool) -> Measure:
    """What a column of a file measures, by its name and the file's."""
    lower, about_funding = name.lower(), "funding" in file.lower()
    if lower.endswith(("price", *PRICES)) or (name in LETTERS.values() and set(LETTERS.values()) <= set(names)):
        return Measure.PRICE
    if "oraclePriceTwap" in names or "cum" in lower or "count" in lower:
        return Measure.OTHER  # Drift's own records have rates in USD for one coin
    if "rate" in lower and ("funding" in lower or about_funding):
        return Measure.FUNDING
    if not is_csv and re.search(r"^apy(base|reward)|(lending|borrowing)rate$", lower):
        return Measure.PERCENT
    if lower.endswith(("apy", "apr", "apybase", "apyreward", "apybaseborrow")):
        return Measure.YEARLY
    return Measure.FRACTION if lower.endswith("rate") else Measure.OTHER


def _numbers(cells: Sequence[Any], *, certain: bool) -> tuple[Floats | None, list[int]]:
    """Cells as floats, NaN for what is missing or no number, and the indices of the cells that are no number.

    A column that is text, or all missing, has no floats. It is text where fewer than half of its cells are numbers,
    unless it is `certain` that it should have numbers.
    """
    missing = [cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell)) for cell in cells]
    values = np.array([math.nan if absent else number(cell) for cell, absent in zip(cells, missing, strict=True)])
    told = [str(cell).strip().lower() in {"nan", "inf", "-inf", "infinity", "-infinity"} for cell in cells]
    wrong = [index for index in np.flatnonzero(np.isnan(values)).tolist() if not missing[index] and not told[index]]
    count = len(cells) - sum(missing)
    if not count or (2 * len(wrong) > count and not certain):
        return None, []
    return values, wrong


def _forms(cells: Sequence[Any], row: Ints, name: str, *, is_csv: bool) -> Iterator[Finding]:
    """Times in a form that no reader of a scenario takes: the first of each kind, and how many there are."""
    numeric = [index for index, cell in enumerate(cells) if math.isfinite(number(cell))]
    if not is_csv:
        in_ms = range(MS_RANGE.start, MS_RANGE.stop)
        known = name in IN_MS
        numeric = [at for at in numeric if name in IN_TEXT or (known and int(number(cells[at])) not in in_ms)]
    for index in numeric[:1]:
        expected = "milliseconds since 1970" if not is_csv and name in IN_MS else "text such as 2025-01-31T00:00:00Z"
        words = f"row {row[index]}, column {name}: {shown(cells[index])}, the first of {len(numeric)} numbers"
        yield Finding("times", f"{words}, which `run` refuses; expected {expected}")
    dates = is_csv or name == "date"
    naive = [index for index, cell in enumerate(cells) if isinstance(cell, str) and _is_naive(cell, dates=dates)]
    for index in naive[:1]:
        words = f"row {row[index]}, column {name}: {shown(cells[index])}, the first of {len(naive)} without a time zone"
        yield Finding("times", f"{words}, which `run` refuses; expected an offset, such as 2025-01-31T00:00:00Z")


def _is_naive(text: str, *, dates: bool) -> bool:
    """Whether a text is a time without an offset; a date alone is one unless `dates` are times as well."""
    if math.isfinite(number(text)) or (dates and DATE.fullmatch(text)):
        return False
    return datetime.fromisoformat(text).tzinfo is None


def _time_ns(cell: object, place: str) -> int:
    """A time as it may be written: ISO 8601, a date, or a number since 1970 in a unit that its size shows."""
    value = number(cell)
    if math.isfinite(value) and value >= UNITS_NS[-1][0]:
        unit_ns = next(unit for least, unit in UNITS_NS if value >= least)
        at_ns = int(cell) * unit_ns if isinstance(cell, int) else round(value * unit_ns)
    else:
        try:
            instant = datetime.fromisoformat(str(cell))
            instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
        except (ValueError, OverflowError):
            raise MarketError(f"{place}: {shown(cell)}; expected a time such as 2025-01-31T00:00:00Z") from None
        since = instant - datetime(1970, 1, 1, tzinfo=UTC)
        at_ns = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    if at_ns not in RANGE_NS:
        raise MarketError(f"{place}: {shown(cell)}; expected a time between 2010 and 2100")
    return at_ns
