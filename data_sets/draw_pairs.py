"""Draw `pairs_hourly.csv`, two coins by the hour: `python -m data_sets.draw_pairs`.

Nothing in it is history. Both prices follow a geometric Brownian path of a usual yearly volatility, 90 % for SOL and
45 % for BTC, with a correlation of 0.8, from a round price; an hour's high and low are those of a path of minutes.
Funding rates of an hour wander about 0.00125 %, the rate that Hyperliquid pays where mark and index agree.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from data_sets import files

SEED = 20240101
START = datetime(2024, 1, 1, tzinfo=UTC)
HOURS, MINUTES = 46 * 24, 60
COINS = (("SOL", 100.0, 0.90), ("BTC", 42_000.0, 0.45))
"""Coin, first price in USD, volatility per year."""
CORRELATION = 0.8
USUAL_RATE = 1.25e-5
PULL, NOISE = 0.05, 4e-6
"""Share of its distance from the usual rate that a rate loses each hour, and the deviation of what it gains."""


def rows() -> list[list[str]]:
    """The lines of the table below its header."""
    generator = np.random.default_rng(SEED)
    steps = generator.standard_normal((2, HOURS * MINUTES))
    steps[1] = CORRELATION * steps[0] + np.sqrt(1 - CORRELATION**2) * steps[1]
    columns: list[list[str]] = []
    for (_, first, volatility), moves in zip(COINS, steps, strict=True):
        deviation = volatility / np.sqrt(365 * 24 * MINUTES)
        path = first * np.exp(np.cumsum(deviation * moves - deviation**2 / 2)).reshape(HOURS, MINUTES)
        digits = 3 if first < 1000 else 1
        closes = np.round(path[:, -1], digits)
        opens = np.concatenate(([first], closes[:-1]))
        highs = np.maximum(np.round(path.max(axis=1), digits), np.maximum(opens, closes))
        lows = np.minimum(np.round(path.min(axis=1), digits), np.minimum(opens, closes))
        columns += [[f"{price:.{digits}f}" for price in each.tolist()] for each in (opens, highs, lows, closes)]
    for _ in COINS:
        rates, rate = [], USUAL_RATE
        for shock in generator.standard_normal(HOURS):
            rate += PULL * (USUAL_RATE - rate) + NOISE * float(shock)
            rates.append(f"{rate:.9f}")
        columns.append(rates)
    times = [f"{START + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}" for hour in range(HOURS)]
    return [list(line) for line in zip(times, *columns, strict=True)]


def write(path: Path) -> None:
    """Write the table."""
    names = [f"{coin}.{price}" for coin, _, _ in COINS for price in ("open", "high", "low", "close")]
    names += [f"hyperliquid.{coin}.funding" for coin, _, _ in COINS]
    files.write(path, ["time", *names], rows())


if __name__ == "__main__":
    write(files.EMBEDDED / "pairs_hourly.csv")
