"""Static analysis: closed forms, and the published statistics of both funding rates."""

import numpy as np
import pytest

from examples.study.analysis import (
    breakeven_funding_rate,
    breakeven_spread,
    correlation,
    entry_win_rate,
    liquidation_move,
    monthly_means,
    rate_statistics,
    round_trip_fees_usd,
)
from framework import Scenario, Side, metrics
from framework.assembly import load_market
from strategies.static import Static
from tests.conftest import ROOT
from tests.markets import asgard, at_cost, flat, hyperliquid, play

HYPERLIQUID = ("hyperliquid_funding_rate", 0.00011401, 0.00045303, 4.16, 298, 0.00165645, -0.00399748)
DRIFT = ("drift_funding_rate", -0.00014812, 0.00049435, -5.41, 140, 0.00094063, -0.00669656)


def study_market(study_data):
    """The study's market."""
    return load_market(Scenario.load(ROOT / "examples/static/scenario.toml").market, study_data)


@pytest.mark.parametrize(("column", "mean", "deviation", "apr", "positive", "highest", "lowest"), [HYPERLIQUID, DRIFT])
def test_the_published_funding_statistics_come_out(study_data, column, mean, deviation, apr, positive, highest, lowest):
    """Mean, deviation, yearly rate, positive days and extremes equal the published ones at their rounding."""
    found = rate_statistics(study_market(study_data)[column], rows_per_year=365)
    assert (found.rows, found.positive_rows) == (410, positive)
    assert (round(found.mean, 8), round(found.deviation, 8)) == (mean, deviation)
    assert (round(found.highest, 8), round(found.lowest, 8)) == (highest, lowest)
    assert round(found.annualized_pct, 2) == apr


def test_the_published_correlation_comes_out(study_data):
    """Both venues' funding moves together at 0.626."""
    table = study_market(study_data)
    assert round(correlation(table["hyperliquid_funding_rate"], table["drift_funding_rate"]), 3) == 0.626


def test_all_published_months_come_out(study_data, reference):
    """The four mean rates of all 15 months, at the printed rounding."""
    import csv

    table = study_market(study_data)
    columns = {
        "sol_lending_apy_pct": ("sol_lending_apy", 100, 2), "usdc_borrowing_apy_pct": ("usdc_borrowing_apy", 100, 2),
        "hyperliquid_funding_apr_pct": ("hyperliquid_funding_rate", 36_500, 1),
        "drift_funding_apr_pct": ("drift_funding_rate", 36_500, 1),
    }  # fmt: skip
    with (reference / "published_monthly_rates.csv").open(newline="") as file:
        printed = list(csv.DictReader(file))
    assert len(printed) == 15
    for name, (column, factor, places) in columns.items():
        means = monthly_means(table, column)
        for row in printed:
            assert means[row["month"]] * factor == pytest.approx(float(row[name]), abs=0.51 * 10**-places), (name, row)


@pytest.mark.parametrize("leverage", [2.0, 3.5])
def test_at_its_breakeven_a_static_pair_earns_nothing(leverage):
    """Simulated at the breakeven rate, income and fees cancel to a cent: the formula and the engine agree."""
    fees_usd = round_trip_fees_usd(10_000.0, leverage, 15.0, 3.5, 2.0)
    rate = breakeven_funding_rate(
        capital_usd=10_000.0, leverage=leverage, lending_apy=0.05, borrowing_apy=0.08, fees_usd=fees_usd, days=90
    )
    table = flat(90, funding=rate, lending=0.05, borrowing=0.08)
    charged = [asgard(open_fee_bps=15.0, gas_usd=2.0), hyperliquid(taker_fee_bps=3.5)]
    venues = [at_cost(venue, fees_at_entry=True) for venue in charged]
    run = play(table, venues, Static(long="asgard", short="hyperliquid", leverage=leverage))
    assert metrics(run)["final_equity_usd"] == pytest.approx(10_000.0, abs=0.01)


def test_both_breakevens_are_the_same_line():
    """At the breakeven spread the breakeven funding rate is the funding rate that was put in."""
    given = {"capital_usd": 5_000.0, "leverage": 3.0, "lending_apy": 0.05, "fees_usd": 21.0, "days": 120}
    spread = breakeven_spread(**given, daily_funding_rate=2e-4)
    assert breakeven_funding_rate(**given, borrowing_apy=0.05 + spread) == pytest.approx(2e-4)


@pytest.mark.parametrize(
    ("leverage", "long_pct", "short_pct"), [(2, -47.37, 42.86), (3, -29.82, 26.98), (4, -21.05, 19.05)]
)
def test_the_moves_that_liquidate(leverage, long_pct, short_pct):
    """At 5 % maintenance margin, the distances of both legs at the study's leverages."""
    assert round(liquidation_move(leverage, 0.05, Side.LONG) * 100, 2) == long_pct
    assert round(liquidation_move(leverage, 0.05, Side.SHORT) * 100, 2) == short_pct


def test_entry_win_rates_count_from_the_row_after_the_entry():
    """Yields of 1, 2, 3, 4 held for two rows: entries after the first two rows earn 5 and 7."""
    yields = np.array([1.0, 2.0, 3.0, 4.0])
    assert entry_win_rate(yields, 4.9, 2) == 1.0
    assert entry_win_rate(yields, 5.0, 2) == 0.5
    assert entry_win_rate(yields, 7.0, 2) == 0.0
    assert np.isnan(entry_win_rate(yields, 1.0, 4))
