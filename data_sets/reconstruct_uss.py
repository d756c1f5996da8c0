"""Rebuild `uss_daily.csv` from published figures: `python -m data_sets.reconstruct_uss`.

Closes run through the published prices, in between in weekly steps along a straight line of their logarithms. The first
day opens at the USS page's price and every other at the close before; high and low are the larger and smaller of both.
Epochs lie evenly between those whose time is known, and the pool's rate grows by equal factors from epoch to epoch.
jitoSOL is priced at its pool's rate. Funding is the one constant rate that gives each published sum.
"""

import math
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from data_sets import files
from data_sets.files import printed

FIRST_OPEN_USD = 99_500 / 2_946.79
"""The USS page: $99,500 buy 2,946.79 jitoSOL."""
FIRST_TOKEN_CLOSE_USD = 108_298.43 / 2_946.79
"""The USS page: at the end of the first day they are worth $108,298.43."""
LAST = date(2024, 5, 31)
DAYS_OF_A_STEP = 7
HEADER = [
    "time", "open", "high", "low", "close",
    "jitosol_open", "jitosol_close", "jitosol_rate_open", "jitosol_rate_close", "drift_flat_funding_rate",
]  # fmt: skip


def _between(before: float, after: float, share: float) -> float:
    return math.exp(math.log(before) + (math.log(after) - math.log(before)) * share)


def _closes() -> dict[date, float]:
    known = {date.fromisoformat(row["date"]): float(row["price_usd"]) for row in printed("published_uss.csv")}
    closes: dict[date, float] = {}
    for (first, price), (last, price_then) in pairwise(known.items()):
        span = (last - first).days
        shares = [min(n // DAYS_OF_A_STEP * DAYS_OF_A_STEP / span, 1.0) for n in range(span)]
        closes |= {first + timedelta(n): _between(price, price_then, share) for n, share in enumerate(shares)}
    return closes


def _steps() -> dict[datetime, float]:
    """The time at which each epoch begins -> the pool's rate from then on."""
    known = [
        (float(row["epoch"]), datetime.fromisoformat(row["time"]), float(row["sol_per_jitosol"]))
        for row in printed("published_pool_rates.csv")
    ]
    steps = {known[0][1]: known[0][2]}
    for (epoch, at, rate), (epoch_then, at_then, rate_then) in pairwise(known):
        for number in range(math.floor(epoch) + 1, math.floor(epoch_then) + 1):
            share = (number - epoch) / (epoch_then - epoch)
            steps[at + (at_then - at) * share] = _between(rate, rate_then, share)
    return steps


def _funding(closes: dict[date, float]) -> dict[date, float]:
    known = [
        (date.fromisoformat(row["date"]), float(row["cum_funding_short_usd"])) for row in printed("published_uss.csv")
    ]
    rates: dict[date, float] = {}
    for (first, paid), (last, paid_then) in pairwise(known):
        days = [first + timedelta(n) for n in range((last - first).days)]
        rate = (paid_then - paid) / sum(closes[day] for day in days)
        rates |= dict.fromkeys(days, rate)
    return rates


def rows() -> list[list[str]]:
    """The lines of the table below its header."""
    closes, steps = _closes(), _steps()
    first = next(iter(closes))
    funding = _funding(closes)
    lines, opening, rate_before = [], FIRST_OPEN_USD, 1.0
    for day, known in closes.items():
        close = known
        if day > LAST:
            break
        ends = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(1)
        rate = next(rate for at, rate in reversed(steps.items()) if at < ends)
        if day == first:
            close = FIRST_TOKEN_CLOSE_USD / rate
        prices = (opening, max(opening, close), min(opening, close), close)
        tokens = (opening * rate_before, close * rate)
        lines.append(
            [
                f"{day}T00:00:00Z",
                *(f"{price:.6f}" for price in (*prices, *tokens)),
                *(f"{each:.10f}" for each in (rate_before, rate, funding[day])),
            ]
        )
        opening, rate_before = close, rate
    return lines


def write(path: Path) -> None:
    """Write the table."""
    files.write(path, HEADER, rows())


if __name__ == "__main__":
    write(files.EMBEDDED / "uss_daily.csv")
