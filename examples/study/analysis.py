"""Static analysis: what can be said of a pair and of a market without simulating them."""

import math

import numpy as np
from attrs import frozen

from framework.events import Side
from framework.market import Floats, Market

DAYS_PER_YEAR = 365


@frozen(kw_only=True)
class RateStatistics:
    """A funding rate over many rows, as fractions of the notional per row; > 0 means that longs paid shorts."""

    rows: int
    mean: float
    deviation: float
    """Standard deviation over all rows, as of a whole population."""
    annualized_pct: float
    """Mean x rows per year, percent."""
    positive_rows: int
    highest: float
    lowest: float


def rate_statistics(rates: Floats, rows_per_year: float) -> RateStatistics:
    """Describe a funding rate, shape (rows,), two rows or more, of which a year has `rows_per_year`."""
    return RateStatistics(
        rows=len(rates),
        mean=float(rates.mean()),
        deviation=float(rates.std()),
        annualized_pct=float(rates.mean()) * rows_per_year * 100,
        positive_rows=int((rates > 0).sum()),
        highest=float(rates.max()),
        lowest=float(rates.min()),
    )


def correlation(first: Floats, second: Floats) -> float:
    """Pearson's correlation of two columns of the same rows."""
    return float(np.corrcoef(first, second)[0, 1])


def monthly_means(market: Market, column: str) -> dict[str, float]:
    """Mean of a column by month, `2025-01` -> mean of its rows."""
    months = [market.date(index)[:7] for index in range(len(market))]
    return {
        month: float(market[column][[index for index, each in enumerate(months) if each == month]].mean())
        for month in dict.fromkeys(months)
    }


def carry_per_year(leverage: float, lending_apy: float, borrowing_apy: float) -> float:
    """What the long leg earns on the capital of the whole pair, half of which is in it: fraction per year."""
    return (leverage * lending_apy - (leverage - 1) * borrowing_apy) / 2


def round_trip_fees_usd(
    capital_usd: float, leverage: float, open_fee_bps: float, taker_fee_bps: float, gas_usd: float
) -> float:
    """Opening both legs and closing the short again, on half the capital times leverage per leg."""
    return capital_usd / 2 * leverage * (open_fee_bps + 2 * taker_fee_bps) / 10_000 + gas_usd


def breakeven_funding_rate(
    *, capital_usd: float, leverage: float, lending_apy: float, borrowing_apy: float, fees_usd: float, days: float
) -> float:
    """The mean daily funding rate at which a pair held for `days` earns exactly its fees; fraction of the notional."""
    carry_usd = capital_usd * carry_per_year(leverage, lending_apy, borrowing_apy) * days / DAYS_PER_YEAR
    return (fees_usd - carry_usd) / (capital_usd / 2 * leverage * days)


def breakeven_spread(
    *, capital_usd: float, leverage: float, lending_apy: float, daily_funding_rate: float, fees_usd: float, days: float
) -> float:
    """Borrowing less lending rate, per year, at which a pair held for `days` earns exactly its fees."""
    half_usd = capital_usd / 2
    years = days / DAYS_PER_YEAR
    funding_usd = half_usd * leverage * daily_funding_rate * days
    borrowing_apy = (half_usd * leverage * lending_apy * years + funding_usd - fees_usd) / (
        half_usd * (leverage - 1) * years
    )
    return borrowing_apy - lending_apy


def liquidation_move(leverage: float, maintenance_margin: float, side: Side) -> float:
    """The price move from entry that liquidates a leg at `leverage`: a fraction, below 0 for a long."""
    if side is Side.LONG:
        return (1 - 1 / leverage) / (1 - maintenance_margin) - 1
    return (1 + 1 / leverage) / (1 + maintenance_margin) - 1


def entry_win_rate(yields: Floats, fee_share: float, holding_rows: int) -> float:
    """Share of entries after which holding for `holding_rows` rows earned more than the fees.

    `yields` are fractions of the capital by row, `fee_share` the round trip's fees as one. An entry at the close of a
    row earns from the next row on; not a number where no entry can be held for so long.
    """
    total = np.concatenate(([0.0], np.cumsum(yields)))
    earned = total[1 + holding_rows :] - total[1:-holding_rows]
    return float((earned > fee_share).mean()) if len(earned) else math.nan
