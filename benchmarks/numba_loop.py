"""The rules of capital rebalance as a compiled loop over arrays, without books, log or waterfall: the floor."""

import numpy as np
from numba import njit

from benchmarks.inputs import COLUMNS
from framework.market import Floats, Market


def columns_of(market: Market) -> tuple[Floats, ...]:
    """The columns of a market in the order in which `capital_rebalance` takes them, as arrays of their own."""
    return tuple(market[name].copy() for name in COLUMNS.values())


@njit
def capital_rebalance(
    funding: Floats,
    lending: Floats,
    borrowing: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    rows_per_year: float,
    capital: float,
    leverage: float,
    trigger: float,
) -> tuple[float, Floats]:
    """What is left at the end and the equity by row, USD; rules and rates as in `plain_loop`."""
    opening, taker, gas, bridge, maintenance, penalty = 0.0015, 0.00035, 2.0, 3.0, 0.05, 0.5
    rows = len(close)
    curve = np.empty(rows)
    half = capital / 2
    fee = half * leverage * (opening + taker) + gas
    coins = contracts = half * leverage / close[0]
    entry, debt, margin = close[0], half * (leverage - 1) + fee / 2, half - fee / 2
    for row in range(rows):
        price = close[row]
        margin += funding[row] * contracts * price
        coins += coins * lending[row] / rows_per_year
        debt += debt * borrowing[row] / rows_per_year
        long = coins * price - debt
        short = margin + (entry - price) * contracts
        long_hit = coins * low[row] - debt <= maintenance * coins * low[row]
        short_hit = margin + (entry - high[row]) * contracts <= maintenance * contracts * high[row]
        if long_hit or short_hit:
            if long_hit:
                long = max(long, 0.0) * (1 - penalty)
            if short_hit:
                short = max(short, 0.0) * (1 - penalty)
            total = long + short
            half = (total - (total / 2 * leverage * (opening + taker) + contracts * price * taker + gas)) / 2
            coins = contracts = half * leverage / price
            entry, debt, margin = price, half * (leverage - 1), half
        elif coins * price > trigger * long or contracts * price > trigger * short:
            surplus = (long - short) / 2
            if abs(surplus) > 5:
                debt += surplus + bridge / 2
                margin += surplus - bridge / 2
        curve[row] = coins * price - debt + margin + (entry - price) * contracts
    return curve[rows - 1] - contracts * close[rows - 1] * taker, curve
