"""The embedded data sets are what their scripts make of the published figures."""

from datetime import date
from itertools import pairwise
from statistics import fmean

import numpy as np
import pytest

from data_sets import draw_pairs, draw_stress, reconstruct_sol, reconstruct_uss
from data_sets.files import printed
from examples.study.analysis import rate_statistics
from examples.study.report import distances
from examples.study.study import Study
from framework.data.alignment import align
from framework.data.embedded import EMBEDDED, HERE
from framework.errors import MarketError
from framework.valuation import chronicle
from tests.runs import ROOT


@pytest.mark.parametrize(
    ("script", "file"),
    [(reconstruct_sol, "sol_daily.csv"), (reconstruct_uss, "uss_daily.csv"), (draw_pairs, "pairs_hourly.csv")],
)
def test_a_script_rebuilds_its_committed_file(script, file, tmp_path):
    """Rebuilding gives the file to the byte."""
    script.write(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (HERE / file).read_bytes()


@pytest.mark.parametrize("file", ["crash_5m.csv", "failure_1h.csv"])
def test_times_of_stress_are_drawn_as_committed(file, tmp_path):
    """Drawing them again gives the files to the byte."""
    draw_stress.write(tmp_path / file)
    assert (tmp_path / file).read_bytes() == (HERE / file).read_bytes()


def test_the_rows_run_through_every_printed_figure():
    """All 55 printed closes, highs and lows are in the data, on 410 days."""
    market = sol_rows()
    days = {market.date(index): index for index in range(len(market))}
    assert len(days) == 410
    rows = printed("published_prices.csv")
    assert len(rows) == 55
    for row in rows:
        for column in ("close", "high", "low"):
            if row[f"{column}_usd"]:
                assert market[column][days[row["date"]]] == float(row[f"{column}_usd"])


def sol_rows():
    """The embedded rows of the study's days."""
    return align([EMBEDDED["sol_daily"].series()], start=date(2024, 12, 31), end=date(2026, 2, 13))


def test_the_rows_are_those_of_a_market():
    """Open and close lie between low and high, a day opens at the close before, and returns have the set volatility."""
    market = sol_rows()
    for inner in ("open", "close"):
        assert (market["low"] <= market[inner]).all()
        assert (market[inner] <= market["high"]).all()
    assert (market["open"][1:] == market["close"][:-1]).all()
    returns = np.diff(np.log(market["close"]))
    assert returns.std() * 365**0.5 == pytest.approx(reconstruct_sol.VOLATILITY, rel=0.05)


@pytest.mark.parametrize("row", printed("published_funding.csv"), ids=lambda row: row["venue"])
def test_funding_has_the_printed_deviation_and_extremes(row):
    """At their printed rounding; the months' printed means are met and make the printed mean to their own rounding."""
    found = rate_statistics(sol_rows()[f"{row['venue']}_funding_rate"], rows_per_year=365)
    for name in ("deviation", "highest", "lowest"):
        assert round(getattr(found, name), 8) == float(row[name])
    assert found.mean == pytest.approx(float(row["mean"]), rel=0, abs=0.05 / 36_500)


@pytest.mark.parametrize(("venue", "leverage"), [("hyperliquid", 2), ("hyperliquid", 3), ("drift", 3)])
def test_a_printed_log_of_the_realistic_model_comes_out(venue, leverage):
    """Every line on its day, what was done and at which price, and no line more."""
    lines = chronicle(Study().rebalance(venue, float(leverage)).run)
    ours = [(line.date, line.kind, line.price) for line in lines if not line.kind.endswith("at the end")]
    rows = [row for row in printed("published_rebalances.csv") if row["venue"] == venue]
    theirs = [row for row in rows if row["leverage"] == str(leverage)]
    assert ours == [(row["date"], row["event"], float(row["price_usd"])) for row in theirs]


def test_the_printed_log_of_the_managed_model_comes_out():
    """Its 18 positions, each opened and closed on its day for its reason."""
    run = Study().model("full_rotation", {"capital_usd": 1_000.0, "strategy.leverage": 3.0}).run
    ours = [(line.date, line.kind) for line in chronicle(run) if line.kind == "open" or line.kind.startswith("close")]
    theirs = []
    for row in printed("published_rotations.csv"):
        reason = row["reason"].replace(" liquidation", "")
        close = "close at the end" if reason == "end" else f"close: {reason}"
        theirs += [(row["opened"], "open"), (row["closed"], close)]
    assert len(theirs) == 36
    assert ours == theirs


def test_the_report_measures_how_far_the_main_cells_are():
    """Each distance is that of its cells; the note has their mean and largest size."""
    grid = distances(Study())
    assert len(grid.rows) == 9
    apart = []
    for cells in (cells for row in grid.rows for cells in (row[2:5], row[5:8])):
        published, here, points = (float(cell.removesuffix(" %")) for cell in cells)
        assert points == pytest.approx(here - published, rel=0, abs=1e-9)
        apart.append(abs(points))
    assert grid.note == f"percentage points; {fmean(apart):.1f} apart in the mean, {max(apart):.1f} at most"


def test_on_its_own_data_the_study_is_no_distance_away(study_data):
    """Eighteen times 0.0 points: the figures that the report calls published are the study's."""
    grid = distances(Study(study_data))
    assert {cell for row in grid.rows for cell in (row[4], row[7])} == {"+0.0"}


def test_the_rates_average_to_the_printed_months():
    """Each month's mean rates are the printed ones."""
    market = sol_rows()
    for row in printed("published_monthly_rates.csv"):
        rows = [index for index in range(len(market)) if market.date(index).startswith(row["month"])]
        assert abs(market["sol_lending_apy"][rows].mean() * 100 - float(row["sol_lending_apy_pct"])) < 1e-9
        yearly = market["hyperliquid_funding_rate"][rows].mean() * 365 * 100
        assert abs(yearly - float(row["hyperliquid_funding_apr_pct"])) < 1e-5


def uss_rows():
    """The embedded rows of the synthetic dollars."""
    return align([EMBEDDED["uss_daily"].series("drift_flat")], start=date(2022, 11, 5), end=date(2024, 5, 5))


def test_the_synthetic_dollars_rows_run_through_the_published_prices():
    """Every published price after the first day is the close of its day."""
    market = uss_rows()
    days = {market.date(index): index for index in range(len(market))}
    for row in printed("published_uss.csv")[1:-1]:
        assert market["close"][days[row["date"]]] == pytest.approx(float(row["price_usd"]), abs=1e-6)


def test_reports_on_straight_lines_say_so_at_their_top():
    """Between two published prices the logarithm of the price takes equal weekly steps, and the label says it."""
    market = uss_rows()
    days = {market.date(index): index for index in range(len(market))}
    known = [days[row["date"]] for row in printed("published_uss.csv")[:-1]]
    for first, last in pairwise(known):
        steps = np.diff(np.log(market["close"][max(first, 1) : last]))
        weekly = steps[np.abs(steps) > 1e-6]
        assert len(weekly) <= (last - first) // 7 + 1
        assert np.ptp(weekly) < 1e-6 if len(weekly) else last - first < 7
    assert EMBEDDED["uss_daily"].label.startswith("RECONSTRUCTION: SOL and jitoSOL daily rows on straight lines")
    for name in ("uss", "euss"):
        report = (ROOT / "examples" / name / "expected.txt").read_text()
        assert report.startswith(EMBEDDED["uss_daily"].label[:100])
        margin_calls = next(line.split()[-1] for line in report.splitlines() if line.startswith(" Margin calls"))
        assert f"how often: {margin_calls} times here" in (ROOT / "docs" / "data.md").read_text()


def test_the_pools_rate_takes_a_step_at_each_epoch_and_passes_the_published_ones():
    """It never falls, rests between epochs, and has the published rate on the days on which those epochs began."""
    market = uss_rows()
    rate = market["jitosol_rate_close"]
    steps = rate[1:] - rate[:-1]
    assert (steps >= 0).all()
    assert (steps == 0).sum() > 200
    assert rate[[market.date(index) for index in range(len(market))].index("2023-11-29")] == pytest.approx(
        1.0734001570, abs=1e-10
    )


def test_the_flat_funding_gives_each_published_sum():
    """Rate times close, summed from one published day to the next, is what Drift's chain had paid a short."""
    market = uss_rows()
    days = {market.date(index): index for index in range(len(market))}
    known = [(days[row["date"]], float(row["cum_funding_short_usd"])) for row in printed("published_uss.csv")[:-1]]
    paid = market["funding_rate"] * market["close"]
    for (first, before), (last, after) in pairwise(known):
        assert paid[first:last].sum() == pytest.approx(after - before, rel=1e-4)


def test_a_funding_that_the_data_set_lacks_is_refused():
    """The words name those that it has."""
    with pytest.raises(MarketError, match="no 'binance'; expected one of none, drift_flat"):
        EMBEDDED["uss_daily"].series("binance")
