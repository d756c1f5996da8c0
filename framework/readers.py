"""Readers of raw files: each turns one venue's own format into a `Series`, and refuses what it does not understand."""

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen

from framework.clock import NS_PER_DAY, NS_PER_SECOND
from framework.duplicates import Duplicates, settle
from framework.errors import MarketError
from framework.series import Joining, Series

NS_PER_MS = 1_000_000
NS_PER_HOUR = 3_600 * NS_PER_SECOND
INTERVALS_NS = {
    "1m": 60 * NS_PER_SECOND,
    "3m": 180 * NS_PER_SECOND,
    "5m": 300 * NS_PER_SECOND,
    "15m": 900 * NS_PER_SECOND,
    "30m": 1800 * NS_PER_SECOND,
    "1h": NS_PER_HOUR,
    "2h": 2 * NS_PER_HOUR,
    "4h": 4 * NS_PER_HOUR,
    "8h": 8 * NS_PER_HOUR,
    "12h": 12 * NS_PER_HOUR,
    "1d": NS_PER_DAY,
}
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
PLAIN = {int, float, str}
"""What a number may be in JSON; venues quote prices as text."""
YEARS = range(2010, 2100)
"""Years of market data: a time outside was given in another unit or form."""
MS_RANGE = range(1_262_304_000_000, 4_102_444_800_000)
"""2010 to 2100 in milliseconds: a time outside was given in another unit."""


@frozen(eq=False)
class Raw:
    """A file as read: its name, its digest and its bytes; `file` is the name by which errors speak of it."""

    file: str
    digest: str
    content: bytes

    @classmethod
    def read(cls, path: Path) -> "Raw":
        """Read a file whole; raises `MarketError` where that fails."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise MarketError(f"{path}: not readable ({error.strerror}); expected a data file") from None
        return cls(path.name, hashlib.sha256(content).hexdigest(), content)

    def text(self) -> str:
        """The content as UTF-8."""
        try:
            return self.content.decode()
        except UnicodeDecodeError as error:
            raise MarketError(f"{self.file}: not text, byte {error.start} is not UTF-8") from None

    def objects(self) -> list[Mapping[str, Any]]:
        """The content as a JSON array of objects."""
        try:
            rows = json.loads(self.text())
        except json.JSONDecodeError as error:
            raise MarketError(f"{self.file}: not JSON, line {error.lineno}: {error.msg}; expected an array") from None
        except (ValueError, RecursionError) as error:
            raise MarketError(f"{self.file}: not readable as JSON ({error}); expected an array of objects") from None
        if isinstance(rows, dict) and isinstance(rows.get("data"), list):
            rows = rows["data"]
        if not isinstance(rows, list):
            raise MarketError(f"{self.file}: a JSON {type(rows).__name__}; expected an array of objects")
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, dict):
                raise MarketError(f"{self.file}, row {number}: {row!r}; expected an object")
        return rows


def _number(value: object, place: str) -> float:
    if value is None or value == "":
        raise MarketError(f"{place}: missing; expected a number")
    try:
        number = float(value) if type(value) in PLAIN else math.nan  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise MarketError(f"{place}: {value!r}; expected a number") from None
    if not math.isfinite(number):
        raise MarketError(f"{place}: {value!r}; expected a finite number")
    return number


def _numbers(raw: Raw, rows: Sequence[Mapping[str, Any]], key: str, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One key of all rows as floats; the place of a bad one is only put into words when it is met."""
    try:
        cells = [row[key] for row in rows]
        values = np.array(cells, dtype=np.float64)
        if np.isfinite(values).all() and {type(cell) for cell in cells} <= PLAIN:
            return values
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    label = key if key == name else f"{key} ({name})"
    places = (f"{raw.file}, row {number}, column {label}" for number in range(1, len(rows) + 1))
    return np.array([_number(row.get(key), place) for row, place in zip(rows, places, strict=True)])


def _milliseconds(raw: Raw, rows: Sequence[Mapping[str, Any]], key: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    times = _numbers(raw, rows, key, "time")
    for index in np.flatnonzero((times < MS_RANGE.start) | (times >= MS_RANGE.stop))[:1]:
        raise MarketError(
            f"{raw.file}, row {index + 1}, column {key}: {rows[index][key]} is not a time in milliseconds since 1970"
        )
    return times.astype(np.int64) * NS_PER_MS


def _instant_ns(text: object, place: str) -> int:
    """An ISO 8601 time with its offset as nanoseconds in UTC."""
    try:
        instant = datetime.fromisoformat(str(text))
    except ValueError:
        raise MarketError(f"{place}: {text!r}; expected a time such as 2025-01-31T00:00:00Z") from None
    if instant.tzinfo is None:
        raise MarketError(f"{place}: {text!r} is naive; expected a time with its offset, such as 2025-01-31T00:00:00Z")
    if instant.year not in YEARS:
        raise MarketError(f"{place}: {text!r}; expected a time between {YEARS.start} and {YEARS.stop}")
    since = instant.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NS_PER_SECOND + since.microseconds * 1000


def _time_ns(text: str, place: str) -> int:
    """A time with its offset, or a date for the midnight in UTC at which it begins."""
    if not DATE.fullmatch(text):
        return _instant_ns(text, place)
    try:
        return _instant_ns(f"{date.fromisoformat(text)}T00:00:00Z", place)
    except ValueError:
        raise MarketError(f"{place}: {text!r}; expected a date such as 2025-01-31") from None


def _numbered(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.arange(1, count + 1, dtype=np.int64)


def hyperliquid_candles(raw: Raw) -> Series:
    """Hyperliquid `candleSnapshot`: `t` and `T` in ms, prices as strings; gives open, high, low, close in USD."""
    rows = raw.objects()
    opens = _milliseconds(raw, rows, "t")
    spans = _milliseconds(raw, rows, "T") + NS_PER_MS - opens
    for index in np.flatnonzero((spans != spans[:1]) | (spans <= 0))[:1]:
        raise MarketError(
            f"{raw.file}, row {index + 1}, column T: a candle of {spans[index] // NS_PER_MS} ms; "
            f"expected more than 0, and {spans[0] // NS_PER_MS} ms as in row 1"
        )
    labels = {"open": "o", "high": "h", "low": "l", "close": "c"}
    return Series(
        name="prices",
        file=raw.file,
        digest=raw.digest,
        time_ns=opens,
        row=_numbered(len(rows)),
        columns={name: _numbers(raw, rows, key, name) for name, key in labels.items()},
        span_ns=int(spans[0]) if len(rows) else None,
        labels=labels,
    )


def hyperliquid_funding(raw: Raw) -> Series:
    """Hyperliquid `fundingHistory`: fraction of notional per hour, > 0 longs pay; stamps lag the hour: floor them."""
    rows = raw.objects()
    return Series(
        name="hyperliquid_funding_rate",
        file=raw.file,
        digest=raw.digest,
        time_ns=_milliseconds(raw, rows, "time") // NS_PER_HOUR * NS_PER_HOUR,
        row=_numbered(len(rows)),
        columns={"hyperliquid_funding_rate": _numbers(raw, rows, "fundingRate", "hyperliquid_funding_rate")},
        joining=Joining.SUM,
        labels={"hyperliquid_funding_rate": "fundingRate"},
    )


def drift_daily_funding(raw: Raw) -> Series:
    """Drift funding summed by day: `date`, and `rate` as a fraction of notional, > 0 longs pay."""
    rows = raw.objects()
    times = []
    for number, row in enumerate(rows, start=1):
        place = f"{raw.file}, row {number}, column date"
        try:
            day = date.fromisoformat(row["date"])
        except (KeyError, TypeError, ValueError):
            raise MarketError(f"{place}: {row.get('date')!r}; expected a date such as 2025-01-31") from None
        if day.year not in YEARS:
            raise MarketError(f"{place}: {day}; expected a date between {YEARS.start} and {YEARS.stop}")
        times.append((day - date(1970, 1, 1)).days * NS_PER_DAY)
    return Series(
        name="drift_funding_rate",
        file=raw.file,
        digest=raw.digest,
        time_ns=np.array(times, dtype=np.int64),
        row=_numbered(len(rows)),
        columns={"drift_funding_rate": _numbers(raw, rows, "rate", "drift_funding_rate")},
        joining=Joining.SUM,
        labels={"drift_funding_rate": "rate"},
    )


def _defillama(raw: Raw, key: str, name: str) -> Series:
    rows = raw.objects()
    times = [
        _instant_ns(row.get("timestamp"), f"{raw.file}, row {number}, column timestamp")
        for number, row in enumerate(rows, start=1)
    ]
    return Series(
        name=name,
        file=raw.file,
        digest=raw.digest,
        time_ns=np.array(times, dtype=np.int64),
        row=_numbered(len(rows)),
        columns={name: _numbers(raw, rows, key, name) / 100},
        labels={name: key},
    )


def defillama_lending(raw: Raw) -> Series:
    """DefiLlama `chartLendBorrow`: `apyBase` in percent a year, one sample a day; gives a fraction per year."""
    return _defillama(raw, "apyBase", "sol_lending_apy")


def defillama_borrowing(raw: Raw) -> Series:
    """DefiLlama `chartLendBorrow`: `apyBaseBorrow` in percent a year, one sample a day; gives a fraction per year."""
    return _defillama(raw, "apyBaseBorrow", "usdc_borrowing_apy")


def table(
    raw: Raw,
    *,
    interval: str | None = None,
    time: str = "time",
    columns: Mapping[str, str] | None = None,
    joining: str = Joining.LAST,
    duplicates: str = Duplicates.REFUSE,
) -> Series:
    """Any CSV with a header: a column of times (ISO 8601 with offset, or UTC dates) and columns of numbers.

    Columns are taken as they are, all under their own names or those in `columns`, our name first: prices in USD, rates
    as fractions, funding of the sample and interest per year. With `interval`, such as `1d`, samples are rows that open
    at their time; without it they fall into the rows of another series, as `joining` says. `duplicates` says what
    becomes of samples of the same time: see `framework.duplicates`.
    """
    if interval is not None and interval not in INTERVALS_NS:
        raise MarketError(f"{raw.file}: interval {interval!r}; expected one of {', '.join(INTERVALS_NS)}")
    try:
        lines = list(csv.reader(io.StringIO(raw.text(), newline="")))
    except csv.Error as error:
        raise MarketError(f"{raw.file}: not CSV ({error}); expected comma-separated lines") from None
    header = lines[0] if lines else []
    if time not in header or len(set(header)) != len(header):
        raise MarketError(f"{raw.file}, row 1: header {','.join(header)!r}; expected {time} among distinct names")
    labels = dict(columns) if columns else {name: name for name in header if name != time}
    for name, label in labels.items():
        if label not in header:
            raise MarketError(f"{raw.file}, row 1: no column {label!r} for {name}; there are {', '.join(header)}")
    time_at, at = header.index(time), [header.index(label) for label in labels.values()]
    times, cells = [], []
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(header):
            raise MarketError(f"{raw.file}, row {number}: {len(line)} cells; expected {len(header)}")
        times.append(_time_ns(line[time_at], f"{raw.file}, row {number}, column {time}"))
        cells.append([_number(line[index], f"{raw.file}, row {number}, column {header[index]}") for index in at])
    span_ns = INTERVALS_NS[interval] if interval else None
    settled = settle(
        raw.file,
        np.array(times, dtype=np.int64),
        _numbered(len(times)) + 1,
        np.array(cells, dtype=np.float64).reshape(len(times), len(labels)),
        rule=duplicates,
        span_ns=span_ns,
    )
    return Series(
        name="table",
        file=raw.file,
        digest=raw.digest,
        time_ns=settled.time_ns,
        row=settled.row,
        columns={name: settled.values[:, index] for index, name in enumerate(labels)},
        joining=Joining(joining),
        span_ns=span_ns,
        labels=labels,
        parts=settled.parts,
        repeats=span_ns is None and duplicates == Duplicates.KEEP,
        note=settled.note,
    )


def jito_pool_rate(raw: Raw) -> Series:
    """The stake pool's rate by epoch: `epoch`, `epoch_start_utc_est`, `sol_per_jitosol`; each holds until the next."""
    columns = {"jitosol_rate": "sol_per_jitosol", "epoch": "epoch"}
    series = table(raw, time="epoch_start_utc_est", columns=columns, joining=Joining.HOLD)
    epochs = series.columns["epoch"]
    for index in np.flatnonzero(np.diff(epochs) <= 0)[:1]:
        raise MarketError(
            f"{series.place(index + 1)}, column epoch: {epochs[index + 1]:g} after {epochs[index]:g}; "
            "expected epochs in their order"
        )
    return evolve(series, name="jitosol_rate", columns={"jitosol_rate": series.columns["jitosol_rate"]})


READERS: Mapping[str, Callable[..., Series]] = {
    "defillama_borrowing": defillama_borrowing,
    "defillama_lending": defillama_lending,
    "drift_daily_funding": drift_daily_funding,
    "hyperliquid_candles": hyperliquid_candles,
    "hyperliquid_funding": hyperliquid_funding,
    "jito_pool_rate": jito_pool_rate,
    "table": table,
}
"""Reader by the name that a scenario calls it."""
