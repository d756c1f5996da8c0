"""Inspection of data before anything trusts them: what a series of the store, or any file of samples, has wrong."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from framework.clock import INTERVALS_NS
from framework.data.gaps import Hole, holes
from framework.data.raw import YEARS, Raw
from framework.data.series import Floats, Ints
from framework.data.store import Store
from framework.errors import MarketError
from framework.market import utc

TIMES = (
    "time", "timestamp", "date", "hourBucket", "t", "ts", "time_utc", "fundingTime", "date_utc",
    "last_funding_time_utc", "epoch_start_utc_est",
)  # fmt: skip
"""What a column of times is called, the likeliest first."""
PRICE_NAMES = ("price", "open", "high", "low", "close")
RATE_NAMES = ("rate", "apy", "apr", "apybase", "apyreward", "apybaseborrow")
"""How the names of prices and of yearly or periodic rates end in files, in lower case."""
UNITS_NS = ((10**17, 1), (10**14, 10**3), (10**11, 10**6), (0, 10**9))
"""Numbers at or above the first are times in units of the second: nanoseconds, microseconds, milliseconds, seconds."""
JUMP = 5.0
"""A price that changes by more than this factor from one sample to the next is in another unit, or wrong."""
PERCENT = 0.5
"""A rate beyond this in the middle is in percent."""


@frozen(eq=False)
class Rows:
    """Samples as they stand in a file: `row` as a person counts them, values that may be anything a float can be."""

    name: str
    time_ns: Ints
    row: Ints
    columns: dict[str, Floats]
    every_ns: int | None = None
    changing: bool = False
    prices: frozenset[str] = frozenset()
    rates: frozenset[str] = frozenset()
    """Columns in USD, and columns that are fractions."""
    late: Ints | None = None
    """How far each time lies beyond what its source allows, nanoseconds; 0 for most."""
    untold: Ints | None = None
    """Rows, by index, that no line of provenance speaks of."""

    def place(self, index: int) -> str:
        """A sample as `row N, time`."""
        return f"row {self.row[index]}, {utc(int(self.time_ns[index])).isoformat()}"

    def holes(self) -> list[Hole]:
        """Where samples are missing, by the usual step between them."""
        times = np.unique(self.time_ns)
        every_ns = self.every_ns or _usual(times)
        return holes(times, every_ns, changing=self.changing) if every_ns else []


@frozen
class Finding:
    """Something wrong, by the name of the check that found it."""

    check: str
    words: str


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
        prices=frozenset(name for name, unit in kind.units.items() if unit == "USD"),
        rates=frozenset(name for name, unit in kind.units.items() if unit.startswith("fraction")),
        late=np.maximum(times % kind.grid_ns - kind.lag_ns, 0) if kind.grid_ns else None,
        untold=np.flatnonzero(~told),
    )


def of_file(path: Path) -> Rows:
    """A CSV file with a header, or a JSON array of objects; raises `MarketError`."""
    import pandas as pd  # noqa: PLC0415  (a file is seldom inspected)

    raw = Raw.read(path)
    first = 1
    if path.suffix == ".csv":
        try:
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False)
        except ValueError as error:
            raise MarketError(f"{path}: not CSV ({error}); expected a header and comma-separated lines") from None
        first = 2
    else:
        frame = pd.DataFrame(raw.objects())
    known = next((name for name in TIMES if name in frame), None)
    if known is None or not len(frame):
        raise MarketError(
            f"{path}: {len(frame)} rows of {', '.join(map(str, frame))}; expected one of {', '.join(TIMES)}"
        )
    row = np.arange(first, first + len(frame), dtype=np.int64)
    cells = frame[known].tolist()
    times = np.array([_time_ns(cell, f"{path.name}, row {row[at]}") for at, cell in enumerate(cells)], np.int64)
    columns = {str(name): numbers for name in frame if name != known and (numbers := _numbers(frame[name].tolist()))}
    return Rows(
        path.name,
        times,
        row,
        {name: np.array(values) for name, values in columns.items()},
        prices=frozenset(name for name in columns if name.lower().endswith(PRICE_NAMES)),
        rates=frozenset(name for name in columns if name.lower().endswith(RATE_NAMES)),
    )


def findings(samples: Rows) -> Iterator[Finding]:
    """Everything that is wrong with the samples, check by check."""
    yield from _order(samples)
    for hole in samples.holes():
        yield Finding("gap", f"{samples.name}: {hole}")
    for name, values in samples.columns.items():
        for index in np.flatnonzero(~np.isfinite(values)).tolist():
            yield Finding("not finite", f"{samples.place(index)}, column {name}: {values[index]}")
        if name in samples.prices:
            yield from _prices(samples, name, values)
        elif name in samples.rates and len(values):
            middle = float(np.nanmedian(np.abs(values)))
            if middle > PERCENT:
                yield Finding("units", f"column {name}: {middle:.4g} in the middle; for a rate that looks like percent")
    yield from _candles(samples)
    if samples.late is not None:
        for index in np.flatnonzero(samples.late).tolist():
            yield Finding(
                "late", f"{samples.place(index)}: {samples.late[index] / 1e9:g} s beyond what its source allows"
            )
    if samples.untold is not None:
        for index in samples.untold[:1].tolist():
            words = f"{len(samples.untold)} samples of which no request is on record"
            yield Finding("provenance", f"{samples.place(index)}: the first of {words}")


def _order(samples: Rows) -> Iterator[Finding]:
    steps = np.diff(samples.time_ns)
    if len(steps) and (steps <= 0).all() and (steps < 0).any():
        yield Finding("order", f"{samples.name}: newest first; expected time order")
    else:
        for index in np.flatnonzero(steps < 0).tolist():
            yield Finding("order", f"{samples.place(index + 1)}: earlier than row {samples.row[index]}")
    order = np.argsort(samples.time_ns, kind="stable")
    for index in np.flatnonzero(np.diff(samples.time_ns[order]) == 0).tolist():
        here, before = int(order[index + 1]), int(order[index])
        yield Finding("duplicate", f"{samples.place(here)}: the same time as row {samples.row[before]}")


def _prices(samples: Rows, name: str, values: Floats) -> Iterator[Finding]:
    for index in np.flatnonzero(values <= 0).tolist():
        yield Finding("price", f"{samples.place(index)}, column {name}: {values[index]}; expected more than 0")
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.abs(np.diff(np.log(np.where(values > 0, values, np.nan))))
    for index in np.flatnonzero(change > math.log(JUMP)).tolist():
        words = f"{values[index + 1]} after {values[index]}; a change by more than {JUMP:g} times: other units?"
        yield Finding("units", f"{samples.place(index + 1)}, column {name}: {words}")


def _candles(samples: Rows) -> Iterator[Finding]:
    if not {"open", "high", "low", "close"} <= samples.columns.keys():
        return
    opened, high, low, close = (samples.columns[name] for name in ("open", "high", "low", "close"))
    wrong = (low > np.minimum(opened, close)) | (high < np.maximum(opened, close))
    for index in np.flatnonzero(wrong).tolist():
        yield Finding("price", f"{samples.place(index)}: open or close is not within low and high")


def _usual(times: Ints) -> int | None:
    """The step that is there most often, or a whole interval close to the middle one where times are uneven."""
    if len(times) < 2:
        return None
    steps, counts = np.unique(np.diff(times), return_counts=True)
    middle = float(np.median(np.diff(times)))
    near = [span for span in INTERVALS_NS.values() if abs(middle - span) < span / 50]
    return near[0] if near else int(steps[counts.argmax()])


def _numbers(cells: list[Any]) -> list[float] | None:
    """Cells as floats, what is missing as not a number; None where a cell is no number, or all are missing."""
    values = []
    for cell in cells:
        if cell is None or cell == "":
            values.append(math.nan)
            continue
        try:
            values.append(float(cell) if isinstance(cell, int | float | str) else float(str(cell)))
        except ValueError:
            return None
    return values if not all(map(math.isnan, values)) else None


def _time_ns(cell: object, place: str) -> int:
    """A time as it may be written: ISO 8601, a date, or a number since 1970 in a unit that its size shows."""
    import pandas as pd  # noqa: PLC0415

    try:
        number = float(cell) if isinstance(cell, int | float | str) else math.nan
    except ValueError:
        number = math.nan
    if math.isfinite(number) and number >= 10**8:
        unit_ns = next(unit for least, unit in UNITS_NS if number >= least)
        return int(cell) * unit_ns if isinstance(cell, int) else round(number * unit_ns)
    try:
        instant = pd.Timestamp(str(cell))
        instant = instant.tz_localize("UTC") if instant.tzinfo is None else instant.tz_convert("UTC")
    except (ValueError, OverflowError, AttributeError):
        raise MarketError(f"{place}: {cell!r}; expected a time such as 2025-01-31T00:00:00Z") from None
    if instant.year not in YEARS:  # which is not a number where there is no time
        raise MarketError(f"{place}: {cell!r}; expected a time between {YEARS.start} and {YEARS.stop}")
    return int(instant.as_unit("ns").value)
