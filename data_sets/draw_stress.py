"""Draw `crash_5m.csv` and `failure_1h.csv`, two times of stress: `python -m data_sets.draw_stress`.

Nothing in them is history. The crash falls as far and as fast as SOL did on 2025-10-10, by the reports of that day:
in half an hour from about 220 to about 177 USD at the lenders' oracle, while an exchange's own trades went lower. The
failure is a quiet fortnight by the hour around 2026-04-01, in which only the venue is what goes wrong.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_sets import files

SEED = 20251010
MINUTES = 5
CRASH_START, CRASH_ROWS = datetime(2025, 10, 10, tzinfo=UTC), 2 * 24 * 12
KNOTS = (
    (0, 222.0), (14 * 12, 218.0), (20 * 12 + 6, 206.0), (21 * 12 + 2, 196.0), (21 * 12 + 4, 179.0),
    (21 * 12 + 8, 186.0), (23 * 12, 188.0), (36 * 12, 181.0), (CRASH_ROWS, 178.0),
)  # fmt: skip
"""Row and price of the path between which the crash runs in straight lines, with noise around them."""
WICK_ROW, WICK = 21 * 12 + 3, 0.86
"""The row whose least trade is this share of the oracle's least price."""
FAILURE_START, FAILURE_ROWS = datetime(2026, 3, 25, tzinfo=UTC), 14 * 24
FIRST_USD, YEARLY = 84.0, 0.3
"""The quiet fortnight's first price, and its volatility per year."""
LENDING, BORROWING = 0.05, 0.065
"""Rates a year of the lender's pools, which hold."""
FUNDING = 1.25e-5
"""The rate of an hour that Hyperliquid pays where mark and index agree, and Drift's here."""


def crash() -> list[list[str]]:
    """The lines of the crash below its header: trades, the oracle beside them, and rates."""
    generator = np.random.default_rng(SEED)
    rows, prices = zip(*KNOTS, strict=True)
    line = np.interp(np.arange(CRASH_ROWS + 1), rows, prices)
    closes = np.round(line * np.exp(0.0012 * generator.standard_normal(CRASH_ROWS + 1)), 2)
    opens, closes = closes[:-1], closes[1:]
    spread = np.abs(0.0012 * generator.standard_normal((2, CRASH_ROWS)))
    highs = np.round(np.maximum(opens, closes) * (1 + spread[0]), 2)
    lows = np.round(np.minimum(opens, closes) * (1 - spread[1]), 2)
    trades = lows.copy()
    trades[WICK_ROW] = round(lows[WICK_ROW] * WICK, 2)
    hourly = np.where(np.arange(CRASH_ROWS) % 12 == 0, FUNDING, 0.0)
    columns = (opens, highs, trades, closes, closes, lows, highs)
    return _lines(CRASH_START, timedelta(minutes=MINUTES), columns, hourly)


def failure() -> list[list[str]]:
    """The lines of the fortnight below its header."""
    generator = np.random.default_rng(SEED + 1)
    deviation = YEARLY / np.sqrt(365 * 24 * 60)
    moves = deviation * generator.standard_normal(FAILURE_ROWS * 60)
    path = FIRST_USD * np.exp(np.cumsum(moves - deviation**2 / 2)).reshape(FAILURE_ROWS, 60)
    closes = np.round(path[:, -1], 2)
    opens = np.concatenate(([FIRST_USD], closes[:-1]))
    highs = np.maximum(np.round(path.max(axis=1), 2), np.maximum(opens, closes))
    lows = np.minimum(np.round(path.min(axis=1), 2), np.minimum(opens, closes))
    columns = (opens, highs, lows, closes, closes, lows, highs)
    return _lines(FAILURE_START, timedelta(hours=1), columns, np.full(FAILURE_ROWS, FUNDING))


def _lines(
    start: datetime, step: timedelta, columns: Sequence[NDArray[np.float64]], funding: NDArray[np.float64]
) -> list[list[str]]:
    """Times, prices to the cent, and rates."""
    times = [f"{start + row * step:%Y-%m-%dT%H:%M:%SZ}" for row in range(len(funding))]
    prices = [[f"{price:.2f}" for price in each.tolist()] for each in columns]
    rates = [f"{rate:.8f}" for rate in funding.tolist()]
    held = [[f"{rate:.3f}"] * len(times) for rate in (LENDING, BORROWING)]
    return [list(line) for line in zip(times, *prices, rates, rates, *held, strict=True)]


NAMES = (
    "time", "open", "high", "low", "close", "SOL.oracle", "SOL.oracle.low", "SOL.oracle.high",
    "hyperliquid_funding_rate", "drift_funding_rate", "sol_lending_apy", "usdc_borrowing_apy",
)  # fmt: skip


def write(path: Path) -> None:
    """Write the table that a file's name says."""
    lines = crash() if path.name.startswith("crash") else failure()
    files.write(path, NAMES, lines)


if __name__ == "__main__":
    for name in ("crash_5m.csv", "failure_1h.csv"):
        write(files.EMBEDDED / name)
