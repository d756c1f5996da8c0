"""Readers of raw files: each turns one venue's own format into a `Series`, and refuses what it does not understand."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
from attrs import evolve

from framework.clock import INTERVALS_NS, NS_PER_DAY, NS_PER_HOUR, midnight_ns
from framework.data.duplicates import Duplicates, settle
from framework.data.raw import NS_PER_MS, YEARS, Raw, floats, instant_ns, milliseconds, numbers, time_ns
from framework.data.series import Floats, Joining, Series
from framework.errors import MarketError


def _numbered(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.arange(1, count + 1, dtype=np.int64)


def hyperliquid_candles(raw: Raw) -> Series:
    """Hyperliquid `candleSnapshot`: `t` and `T` in ms, prices as strings; gives open, high, low, close in USD."""
    rows = raw.objects()
    opens = milliseconds(raw, rows, "t")
    spans = milliseconds(raw, rows, "T") + NS_PER_MS - opens
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
        columns={name: numbers(raw, rows, key, name) for name, key in labels.items()},
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
        time_ns=milliseconds(raw, rows, "time") // NS_PER_HOUR * NS_PER_HOUR,
        row=_numbered(len(rows)),
        columns={"hyperliquid_funding_rate": numbers(raw, rows, "fundingRate", "hyperliquid_funding_rate")},
        joining=Joining.SUM,
        every_ns=NS_PER_HOUR,
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
        times.append(midnight_ns(day))
    return Series(
        name="drift_funding_rate",
        file=raw.file,
        digest=raw.digest,
        time_ns=np.array(times, dtype=np.int64),
        row=_numbered(len(rows)),
        columns={"drift_funding_rate": numbers(raw, rows, "rate", "drift_funding_rate")},
        joining=Joining.SUM,
        every_ns=NS_PER_DAY,
        labels={"drift_funding_rate": "rate"},
    )


def _yearly(
    raw: Raw, key: str, what: str, coin: str, *, times: str, newest_first: bool = False, unit: float = 100.0
) -> Series:
    """A yearly rate as the fraction `<coin>_<what>_apy`, in percent unless its `unit` is 1; `times` is their column."""
    if not re.fullmatch(r"[A-Za-z0-9]+", coin):
        raise MarketError(f"{raw.file}: coin {coin!r}; expected letters and digits such as SOL")
    rows, name = raw.objects(), f"{coin.lower()}_{what}_apy"
    at = [
        instant_ns(row.get(times), f"{raw.file}, row {number}, column {times}")
        for number, row in enumerate(rows, start=1)
    ]
    order = slice(None, None, -1 if newest_first else 1)
    return Series(
        name=name,
        file=raw.file,
        digest=raw.digest,
        time_ns=np.array(at[order], dtype=np.int64),
        row=_numbered(len(rows))[order],
        columns={name: numbers(raw, rows, key, name)[order] / unit},
        labels={name: key},
        lender=_lender(raw, rows),
    )


def _lender(raw: Raw, rows: Sequence[Mapping[str, object]]) -> str:
    """Whose pool the rates of a file are of, by `protocolName`; an empty text where it does not say so."""
    named = list(dict.fromkeys(str(row.get("protocolName", "")) for row in rows))
    if len(named) > 1:
        raise MarketError(f"{raw.file}: rates of {' and '.join(named)}; expected those of one lender")
    return "".join(named)


def defillama_lending(raw: Raw, *, coin: str = "SOL") -> Series:
    """DefiLlama `chartLendBorrow`: `apyBase` in percent a year, one sample a day; gives a fraction per year."""
    return _yearly(raw, "apyBase", "lending", coin, times="timestamp")


def defillama_borrowing(raw: Raw, *, coin: str = "USDC") -> Series:
    """DefiLlama `chartLendBorrow`: `apyBaseBorrow` in percent a year, one sample a day; gives a fraction per year."""
    return _yearly(raw, "apyBaseBorrow", "borrowing", coin, times="timestamp")


def asgard_lending(raw: Raw, *, coin: str = "SOL") -> Series:
    """Asgard's hourly means, newest first: `avgLendingRate` in percent a year; gives a fraction per year."""
    return _yearly(raw, "avgLendingRate", "lending", coin, times="hourBucket", newest_first=True)


def asgard_borrowing(raw: Raw, *, coin: str = "USDC") -> Series:
    """Asgard's hourly means, newest first: `avgBorrowingRate` in percent a year; gives a fraction per year."""
    return _yearly(raw, "avgBorrowingRate", "borrowing", coin, times="hourBucket", newest_first=True)


def asgard_staking(raw: Raw) -> Series:
    """Asgard's hourly means of jitoSOL's yield, newest first: `avgApy`, a fraction per year already."""
    return _yearly(raw, "avgApy", "staking", "JITOSOL", times="hourBucket", newest_first=True, unit=1.0)


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
    becomes of samples of the same time: see `framework.data.duplicates`.
    """
    if interval is not None and interval not in INTERVALS_NS:
        raise MarketError(f"{raw.file}: interval {interval!r}; expected one of {', '.join(INTERVALS_NS)}")
    (top, header), lines = raw.lines()
    if time not in header or len(set(header)) != len(header):
        raise MarketError(f"{raw.file}, row {top}: header {','.join(header)!r}; expected {time} among distinct names")
    labels = dict(columns) if columns else {name: name for name in header if name != time}
    for name, label in labels.items():
        if label not in header:
            raise MarketError(f"{raw.file}, row {top}: no column {label!r} for {name}; there are {', '.join(header)}")
    time_at, at = header.index(time), [header.index(label) for label in labels.values()]
    for row, line in lines:
        if len(line) != len(header):
            raise MarketError(f"{raw.file}, row {row}: {len(line)} cells; expected {len(header)}")

    def cells(index: int) -> Floats:
        return floats(
            [line[index] for _, line in lines],
            lambda place: f"{raw.file}, row {lines[place][0]}, column {header[index]}",
        )

    times = [time_ns(line[time_at], f"{raw.file}, row {row}, column {time}") for row, line in lines]
    span_ns = INTERVALS_NS[interval] if interval else None
    settled = settle(
        raw.file,
        np.array(times, dtype=np.int64),
        np.array([row for row, _ in lines], dtype=np.int64),
        np.array([cells(index) for index in at]).reshape(len(at), len(lines)).T,
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
    "asgard_borrowing": asgard_borrowing,
    "asgard_lending": asgard_lending,
    "asgard_staking": asgard_staking,
    "defillama_borrowing": defillama_borrowing,
    "defillama_lending": defillama_lending,
    "drift_daily_funding": drift_daily_funding,
    "hyperliquid_candles": hyperliquid_candles,
    "hyperliquid_funding": hyperliquid_funding,
    "jito_pool_rate": jito_pool_rate,
    "table": table,
}
"""Reader by the name that a scenario calls it."""
LENDERS = ("asgard_borrowing", "asgard_lending", "defillama_borrowing", "defillama_lending")
"""Readers of a lender's rates, which take the coin that they are of."""


def options_of(reader: str) -> tuple[str, ...]:
    """The options that a reader takes beside its file."""
    if reader == "table":
        return ("interval", "time", "columns", "joining", "duplicates")
    return ("coin",) if reader in LENDERS else ()
