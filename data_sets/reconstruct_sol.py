"""Rebuild `sol_daily.csv` from the study's printed figures: `python -m data_sets.reconstruct_sol`.

The rows are *synthetic*: one random path that meets every printed figure, drawn from a fixed seed.

Prices. Between two printed closes the logarithm of the price is a Brownian bridge of `VOLATILITY`, by the hour, on a
clock that runs faster on some days than on others. A day opens at the close before; its high and low are those of its
hours, or the printed ones. A day at whose prices a printed event log would have a line that it has not is drawn again.

Rates. Yearly rates of a day are the printed mean of its month. Funding is random with the printed deviation,
correlation, highest and lowest day; the mean of each month is the printed one, and between two lines of an event log
funding pays what the log's equities gained.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby, pairwise
from pathlib import Path
from random import Random
from statistics import NormalDist
from typing import NamedTuple

from data_sets import files
from data_sets.printed import DAY, Stretch, closes, days_of, extremes, limits, rates, stretches

SEED = 59
"""Chosen from several hundred: its path keeps to two windows of prices that were read off the study's own data, and the
study's $10,000 cells come out near the published ones."""
VOLATILITY = 0.86
"""Per year, of the logarithm of the price between printed closes."""
UNEVENNESS = 0.8
"""Deviation of the logarithm of a day's variance: on few days most of a move happens."""
CORRELATION = 0.626
"""The printed correlation of both venues' funding."""
HIGHEST_IN, LOWEST_ON = "2025-07", date(2025, 10, 11)
"""Where the extreme days of funding are put: the month of the highest means, the day after the deepest printed low."""
READ_LEVERAGE = 3.0
"""The leverage of the logs whose gains funding follows: one for each venue."""
HOURS = 24
TRIES = 200
PRICES = ["open", "high", "low", "close"]
RATES = ["hyperliquid_funding_rate", "drift_funding_rate", "sol_lending_apy", "usdc_borrowing_apy"]


class Normal:
    """Standard normal numbers from a seed, the same under every version of Python."""

    def __init__(self, seed: int) -> None:
        self._bits = Random(seed)  # noqa: S311 (no secret: the same numbers everywhere)
        self._inverse = NormalDist().inv_cdf

    def draw(self) -> float:
        """The next number, rounded so that no platform's logarithm shows in it."""
        return round(self._inverse((self._bits.getrandbits(32) + 0.5) / 2**32), 6)


class Prices(NamedTuple):
    """The prices of a day, USD."""

    open: float
    high: float
    low: float
    close: float


class Walk:
    """Draws the prices of days, each until it keeps to what is printed."""

    def __init__(self, normal: Normal, end: date) -> None:
        self._normal = normal
        self._limits = limits(end)
        self._highs, self._lows = extremes()

    def stretch(self, opening: float, days: Sequence[date], goal: float) -> dict[date, Prices]:
        """The prices of the days up to a printed close; a dead end is drawn again from its beginning."""
        for _ in range(TRIES):
            drawn: dict[date, Prices] = {}
            busy = [math.exp(UNEVENNESS * self._normal.draw() - UNEVENNESS**2 / 2) for _ in days]
            for number, day in enumerate(days):
                found = self._day(drawn[day - DAY].close if drawn else opening, day, goal, busy[number:])
                if found is None:
                    break
                drawn[day] = found
            else:
                return drawn
        raise ValueError(f"{days[-1]}: no path found to the printed close; expected limits that one can keep to")

    def _day(self, opening: float, day: date, goal: float, busy: Sequence[float]) -> Prices | None:
        """A day that keeps to its limits, the first of those that are left to the goal; None if no try did."""
        limit = self._limits[day]
        low, high = self._lows.get(day, limit.low), self._highs.get(day, limit.high)
        for _ in range(TRIES):
            path = [opening, *self._hours(opening, goal, busy)]
            inside = low < min(path) and max(path) < high
            if inside and (len(busy) == 1 or limit.low_close < path[-1] < limit.high_close):
                return Prices(opening, self._highs.get(day, max(path)), self._lows.get(day, min(path)), path[-1])
        return None

    def _hours(self, opening: float, goal: float, busy: Sequence[float]) -> Iterator[float]:
        """The prices of the first day's hours, on a bridge to the goal at the end of the last."""
        at, end, hour, left = math.log(opening), math.log(goal), busy[0] / HOURS, sum(busy)
        for number in range(HOURS):
            rest = 0.0 if len(busy) == 1 and number == HOURS - 1 else left - hour
            at += (end - at) * (1 - rest / left) + VOLATILITY * math.sqrt(
                hour / 365 * rest / left
            ) * self._normal.draw()
            left = rest
            yield round(math.exp(at), 2)


def prices(normal: Normal) -> dict[date, Prices]:
    """The prices of every day from the first printed close to the last."""
    known = closes()
    (first, close), *_, (end, _) = known.items()
    walk = Walk(normal, end)
    opening = round(close * math.exp(VOLATILITY / math.sqrt(365) * normal.draw()), 2)
    drawn = walk.stretch(opening, [first], close)
    for (before, opening), (day, goal) in pairwise(known.items()):
        drawn |= walk.stretch(opening, days_of(before + DAY, day), goal)
    return drawn


class Sum(NamedTuple):
    """What the funding rates of some days come to, each times its weight."""

    weights: Mapping[date, float]
    total: float

    def of(self, rates: Mapping[date, float]) -> float:
        """The sum of these rates; days that have none are left out."""
        return sum(weight * rates[day] for day, weight in self.weights.items() if day in rates)


def _paid(stretch: Stretch, gain: float, close: Mapping[date, float]) -> Sum:
    """What funding paid in a stretch, USD: the gain less interest and what the coins that were earned gained."""
    earned, before = stretch.earned, stretch.price
    owed = (stretch.coins + earned) * before - stretch.equity
    for day in stretch.days:
        lending, borrowing = rates(day)
        interest = (stretch.coins + earned) * lending
        gain -= interest * close[day] - owed * borrowing + earned * (close[day] - before)
        earned, owed, before = earned + interest, owed * (1 + borrowing), close[day]
    return Sum({day: stretch.coins * close[day] for day in stretch.days}, gain)


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """The solution of linear equations by elimination; in plain floats, so that it is the same everywhere."""
    lines = [[*line, value] for line, value in zip(matrix, right, strict=True)]
    for pivot in range(len(lines)):
        best = max(range(pivot, len(lines)), key=lambda row: abs(lines[row][pivot]))
        lines[pivot], lines[best] = lines[best], lines[pivot]
        for row in range(len(lines)):
            if row != pivot:
                factor = lines[row][pivot] / lines[pivot][pivot]
                lines[row] = [value - factor * above for value, above in zip(lines[row], lines[pivot], strict=True)]
    return [line[-1] / line[row] for row, line in enumerate(lines)]


def _nearest(rates: Mapping[date, float], sums: Sequence[Sum]) -> dict[date, float]:
    """The rates nearest to these, by least squares, that have all the sums."""
    matrix = [[each.of({day: other.weights.get(day, 0.0) for day in rates}) for other in sums] for each in sums]
    shares = _solved(matrix, [each.total - each.of(rates) for each in sums])
    moved = dict(rates)
    for share, each in zip(shares, sums, strict=True):
        for day, weight in each.weights.items():
            if day in moved:
                moved[day] += share * weight
    return moved


def funding(
    printed: Mapping[str, str], noise: Mapping[date, float], sums: Sequence[Sum], means: Mapping[date, float]
) -> dict[date, float]:
    """The funding of each day: what is nearest to the months' means and has the sums, and noise that leaves both."""
    highest = max((day for day in noise if f"{day:%Y-%m}" == HIGHEST_IN), key=noise.__getitem__)
    fixed = {highest: float(printed["highest"]), LOWEST_ON: float(printed["lowest"])}
    free = [day for day in noise if day not in fixed]
    level = _nearest(
        {day: means[day] for day in free}, [Sum(each.weights, each.total - each.of(fixed)) for each in sums]
    )
    shape = _nearest({day: noise[day] for day in free}, [Sum(each.weights, 0.0) for each in sums])
    mean = (sum(level.values()) + sum(fixed.values())) / len(noise)
    still = sum((rate - mean) ** 2 for rate in [*level.values(), *fixed.values()])
    wanted = len(noise) * float(printed["deviation"]) ** 2
    scale = math.sqrt((wanted - still) / sum(each**2 for each in shape.values()))
    return fixed | {day: level[day] + scale * shape[day] for day in free}


def fundings(normal: Normal, drawn: Mapping[date, Prices]) -> dict[str, dict[date, float]]:
    """Venue -> day -> the funding rate of the day."""
    months = {row["month"]: row for row in files.printed("published_monthly_rates.csv")}
    close = {day: each.close for day, each in drawn.items()}
    common = {day: normal.draw() for day in drawn}
    found, correlation = {}, 1.0
    for printed in files.printed("published_funding.csv"):
        venue = printed["venue"]
        log = [each for each in stretches(max(drawn)) if (each.venue, each.leverage) == (venue, READ_LEVERAGE)]
        sums = [_paid(each, each.gain, close) for each in log if each.gain is not None]
        means = {day: float(months[f"{day:%Y-%m}"][f"{venue}_funding_apr_pct"]) / 36_500 for day in drawn}
        for _, days in groupby(drawn, key=lambda day: f"{day:%Y-%m}"):
            month = [*days]
            sums.append(Sum(dict.fromkeys(month, 1.0), len(month) * means[month[0]]))
        own = math.sqrt(1 - correlation**2)
        noise = {day: correlation * common[day] + own * normal.draw() for day in drawn}
        found[venue] = funding(printed, noise, sums, means)
        correlation = CORRELATION
    return found


def rows() -> list[list[str]]:
    """The lines of the table below its header."""
    normal = Normal(SEED)
    drawn = prices(normal)
    paid = fundings(normal, drawn)
    lines = []
    for day, each in drawn.items():
        daily = [*(paid[venue][day] for venue in ("hyperliquid", "drift")), *(365 * rate for rate in rates(day))]
        lines.append([f"{day}T00:00:00Z", *(f"{price:.2f}" for price in each), *(f"{rate:.10f}" for rate in daily)])
    return lines


def write(path: Path) -> None:
    """Write the table."""
    files.write(path, ["time", *PRICES, *RATES], rows())


if __name__ == "__main__":
    write(files.EMBEDDED / "sol_daily.csv")
