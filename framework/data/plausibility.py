"""Plausibility: which values a price, a funding rate or a yearly rate can have, and which are likely in another unit.

One set of rules serves all who meet new data: a fetch refuses errors, `carrybook data check` lists errors and warnings,
and a run on implausible data says so at the top of its report.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

import numpy as np
from attrs import frozen

from framework.clock import NS_PER_DAY, NS_PER_HOUR, NS_PER_YEAR
from framework.data.series import Floats, Ints
from framework.market import PRICES, Measure

JUMP, SWING = 5.0, 2.0
"""Factors by which a price changes between neighbours: beyond the first an error, beyond the second a warning."""
LONG_WICK, WICK = 10.0, 2.0
"""The same for how far a low or a high is from the open and the close of its candle."""
MOST_USD = 1e9
"""No asset costs this much."""
APART_NS = 7 * NS_PER_DAY
"""Neighbours further apart than this are not compared."""
CAP_PER_HOUR = 0.04
"""The widest cap on funding of any source, Hyperliquid's, as a fraction of the notional."""
FUNDING_PER_YEAR, HIGH_FUNDING_PER_YEAR = 5.0, 1.0
"""Fractions of the notional per year, in the middle: beyond the first an error, beyond the second a warning."""
PERCENT = 0.5
"""A yearly rate beyond this in the middle is in percent."""
IN_PERCENT = "in the middle; for a rate that looks like percent; expected fractions"
"""What is said of a rate in percent."""
MOST_PER_YEAR = 10.0
"""No lender has charged 1,000 % a year."""
MOST = 1e24
"""A figure beyond this is nonsense, whatever it counts."""


class Level(StrEnum):
    """How sure a finding is."""

    ERROR = "error"
    """The data are wrong, or in another unit or form than they are read as."""
    WARNING = "warning"
    """The data are unusual; they may be right."""


@frozen
class Doubt:
    """A value or a column that is not plausible: the check that found it, its level, and the sample, if it is one."""

    check: str
    level: Level
    words: str
    index: int | None = None
    column: str | None = None


def doubts(
    time_ns: Ints, columns: Mapping[str, Floats], measures: Mapping[str, Measure], every_ns: int | None
) -> Iterator[Doubt]:
    """Everything implausible in samples in time order; values that are not finite are passed over."""
    for name, values in columns.items():
        rule = RULES[measures.get(name, Measure.OTHER)]
        with np.errstate(all="ignore"):  # values may be as large as floats go
            found = list(rule(time_ns, values, every_ns))
        for doubt in found:
            yield Doubt(doubt.check, doubt.level, doubt.words, doubt.index, name)
    for last in (name for name in columns if name == PRICES[-1] or name.endswith(f".{PRICES[-1]}")):
        candle = [last.removesuffix(PRICES[-1]) + price for price in PRICES]
        if set(candle) <= columns.keys():
            yield from _wicks(columns, *candle)


def _prices(time_ns: Ints, values: Floats, _every_ns: int | None) -> Iterator[Doubt]:
    for index in np.flatnonzero(values <= 0).tolist():
        yield Doubt("price", Level.ERROR, f"{values[index]}; expected more than 0", index)
    for index in np.flatnonzero(values > MOST_USD).tolist():
        yield Doubt("price", Level.ERROR, f"{values[index]:g}; expected less than {MOST_USD:g}", index)
    change = np.abs(np.diff(np.log(np.where(values > 0, values, np.nan))))
    change[np.diff(time_ns) > APART_NS] = 0
    for index in np.flatnonzero(change > math.log(SWING)).tolist():
        far = change[index] > math.log(JUMP)
        factor, level = (JUMP, Level.ERROR) if far else (SWING, Level.WARNING)
        hint = ": other units?" if far else ""
        words = f"{values[index + 1]} after {values[index]}; a change by more than {factor:g} times{hint}"
        yield Doubt("units" if far else "jump", level, words, index + 1)


def _wicks(columns: Mapping[str, Floats], *candle: str) -> Iterator[Doubt]:
    """Lows and highs far from the open and the close of their own candle."""
    opened, high, low, close = (columns[name] for name in candle)
    body_low, body_high = np.minimum(opened, close), np.maximum(opened, close)
    with np.errstate(all="ignore"):
        far = {candle[2]: body_low / low, candle[1]: high / body_high}
    for name, times in far.items():
        for index in np.flatnonzero(times > WICK).tolist():
            level = Level.ERROR if times[index] > LONG_WICK else Level.WARNING
            body = f"open and close, {opened[index]:g} and {close[index]:g}"
            words = f"{columns[name][index]:g}, {times[index]:.3g} times away from {body}"
            yield Doubt("wick", level, words, index, name)


def _funding(_: Ints, values: Floats, every_ns: int | None) -> Iterator[Doubt]:
    size = np.abs(values[np.isfinite(values)])
    if not len(size):
        return
    hours = (every_ns or NS_PER_HOUR) / NS_PER_HOUR
    cap = min(1.0, CAP_PER_HOUR * hours)
    for index in np.flatnonzero(np.abs(values) > cap).tolist():
        words = f"{values[index]:g} for {hours:g} h; no venue's funding goes beyond {cap:g}"
        yield Doubt("funding", Level.ERROR, words, index)
    middle = float(np.median(size))
    per_year = middle * NS_PER_YEAR / NS_PER_HOUR / hours
    if per_year > HIGH_FUNDING_PER_YEAR:
        level = Level.ERROR if per_year > FUNDING_PER_YEAR else Level.WARNING
        scale = f"{middle:.4g} in the middle for {hours:g} h, {per_year:.0%} a year"
        yield Doubt("units", level, f"{scale}; expected fractions of the notional, no percent and no basis points")
    elif len(size) >= 24 and not size.any():
        yield Doubt("funding", Level.WARNING, f"all {len(size)} samples are 0")


def _yearly(_: Ints, values: Floats, _every_ns: int | None) -> Iterator[Doubt]:
    known = values[np.isfinite(values)]
    if not len(known):
        return
    middle = float(np.median(np.abs(known)))
    if middle > PERCENT:
        yield Doubt("units", Level.ERROR, f"{middle:.4g} {IN_PERCENT}, such as {middle / 100:.4g}")
    else:
        for index in np.flatnonzero(np.abs(values) > MOST_PER_YEAR).tolist():
            yield Doubt("rate", Level.ERROR, f"{values[index]:g}; expected a fraction per year", index)
    yield from _signs(values)


def _percent(_: Ints, values: Floats, _every_ns: int | None) -> Iterator[Doubt]:
    known = values[np.isfinite(values)]
    if not len(known):
        return
    if float(np.max(np.abs(known))) > MOST_PER_YEAR * 100:
        index = int(np.nanargmax(np.abs(values)))
        yield Doubt("rate", Level.ERROR, f"{values[index]:g}; expected percent per year", index)
    if len(known) >= 24 and 0 < float(np.median(np.abs(known))) < PERCENT and float(np.max(np.abs(known))) < 1:
        middle = float(np.median(np.abs(known)))
        yield Doubt(
            "units", Level.WARNING, f"{middle:.4g} in the middle; for a rate in percent that looks like a fraction"
        )
    yield from _signs(values)


def _signs(values: Floats) -> Iterator[Doubt]:
    for index in np.flatnonzero(values < 0)[:1].tolist():
        count = int((values < 0).sum())
        yield Doubt(
            "rate", Level.ERROR, f"{values[index]:g}, the first of {count} below 0; lenders' rates never are", index
        )


def _fractions(_: Ints, values: Floats, _every_ns: int | None) -> Iterator[Doubt]:
    known = values[np.isfinite(values)]
    middle = float(np.median(np.abs(known))) if len(known) else 0.0
    if middle > PERCENT:
        yield Doubt("units", Level.ERROR, f"{middle:.4g} {IN_PERCENT}, such as {middle / 100:.4g}")


def _any(_: Ints, values: Floats, _every_ns: int | None) -> Iterator[Doubt]:
    for index in np.flatnonzero(np.abs(values) > MOST).tolist():
        yield Doubt("size", Level.ERROR, f"{values[index]:g}; expected at most {MOST:g}", index)


RULES: Mapping[Measure, Callable[[Ints, Floats, int | None], Iterator[Doubt]]] = {
    Measure.PRICE: _prices,
    Measure.FUNDING: _funding,
    Measure.YEARLY: _yearly,
    Measure.PERCENT: _percent,
    Measure.FRACTION: _fractions,
    Measure.OTHER: _any,
}


def measure_of(unit: str) -> Measure:
    """What a stored column measures, by its unit."""
    if unit == "USD" or unit.startswith("SOL per "):
        return Measure.PRICE
    if unit.startswith("fraction of notional"):
        return Measure.FUNDING
    if unit.startswith("fraction per year"):
        return Measure.YEARLY
    return Measure.FRACTION if unit.startswith("fraction") else Measure.OTHER
