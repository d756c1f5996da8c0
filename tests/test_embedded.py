"""The embedded data set is what its script makes of the printed figures."""

import csv
from datetime import date

from framework.alignment import align
from framework.embedded import EMBEDDED, HERE, reconstruct


def test_the_script_rebuilds_the_committed_file(tmp_path):
    """Rebuilding gives the file to the byte."""
    reconstruct.write(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (HERE / "sol_daily.csv").read_bytes()


def test_the_rows_run_through_every_printed_figure():
    """All 55 printed closes, highs and lows are in the data, on 410 days."""
    market = align([EMBEDDED["sol_daily"].series()], start=date(2024, 12, 31), end=date(2026, 2, 13))
    days = {market.date(index): index for index in range(len(market))}
    assert len(days) == 410
    with (HERE / "published_prices.csv").open(newline="") as file:
        printed = list(csv.DictReader(file))
    assert len(printed) == 55
    for row in printed:
        for column in ("close", "high", "low"):
            if row[f"{column}_usd"]:
                assert market[column][days[row["date"]]] == float(row[f"{column}_usd"])


def test_the_rates_average_to_the_printed_months():
    """Each month's mean rates are the printed ones."""
    market = align([EMBEDDED["sol_daily"].series()], start=date(2024, 12, 31), end=date(2026, 2, 13))
    with (HERE / "published_monthly_rates.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            rows = [index for index in range(len(market)) if market.date(index).startswith(row["month"])]
            assert abs(market["sol_lending_apy"][rows].mean() * 100 - float(row["sol_lending_apy_pct"])) < 1e-9
            yearly = market["hyperliquid_funding_rate"][rows].mean() * 365 * 100
            assert abs(yearly - float(row["hyperliquid_funding_apr_pct"])) < 1e-5
