"""Rebuild `sol_daily.csv` from the study's printed figures: `python -m framework.data.embedded.reconstruct_sol`.

Closes run through the printed ones, in between along a straight line of their logarithms. A day opens at the close
before. Its high and low are the printed ones where there are any, else the larger and smaller of open and close. Rates
of a day are the printed mean of its month: yearly rates as they are, funding spread over 365 days.
"""

import csv
import math
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).parent
PRICES = ["open", "high", "low", "close"]
RATES = ["hyperliquid_funding_rate", "drift_funding_rate", "sol_lending_apy", "usdc_borrowing_apy"]


def _table(name: str) -> list[dict[str, str]]:
    with (HERE / name).open(newline="") as file:
        return list(csv.DictReader(file))


def _closes(printed: dict[date, float]) -> dict[date, float]:
    days = sorted(printed)
    closes = {days[0]: printed[days[0]]}
    for before, after in pairwise(days):
        span = (after - before).days
        low, high = math.log(printed[before]), math.log(printed[after])
        for step in range(1, span):
            closes[before + timedelta(step)] = round(math.exp(low + (high - low) * step / span), 2)
        closes[after] = printed[after]
    return closes


def rows() -> list[list[str]]:
    """The lines of the table below its header."""
    prices = {date.fromisoformat(row["date"]): row for row in _table("published_prices.csv")}
    months = {row["month"]: row for row in _table("published_monthly_rates.csv")}
    closes = _closes({day: float(row["close_usd"]) for day, row in prices.items()})
    lines, opening = [], next(iter(closes.values()))
    for day, close in closes.items():
        printed = prices.get(day, {})
        high = float(printed.get("high_usd") or max(opening, close))
        low = float(printed.get("low_usd") or min(opening, close))
        month = months[f"{day:%Y-%m}"]
        rates = [
            float(month["hyperliquid_funding_apr_pct"]) / 100 / 365,
            float(month["drift_funding_apr_pct"]) / 100 / 365,
            float(month["sol_lending_apy_pct"]) / 100,
            float(month["usdc_borrowing_apy_pct"]) / 100,
        ]
        inside = min(max(opening, low), high)
        numbers = [f"{price:.2f}" for price in (inside, high, low, close)] + [f"{rate:.10f}" for rate in rates]
        lines.append([f"{day}T00:00:00Z", *numbers])
        opening = close
    return lines


def write(path: Path) -> None:
    """Write the table."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["time", *PRICES, *RATES])
        writer.writerows(rows())


if __name__ == "__main__":
    write(HERE / "sol_daily.csv")
