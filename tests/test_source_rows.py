"""The last step of an explanation: the row of the source itself, by the command that the explanation names."""

import csv
import json
import shlex

import numpy as np
import pandas as pd
import pytest
from attrs import evolve

from framework import Scenario, assemble
from framework.data.embedded import EMBEDDED
from framework.performance import summarize
from framework.run_folder.archive import save
from tests.commands import carrybook, refused
from tests.conftest import ROOT

STATIC = ROOT / "examples" / "static" / "scenario.toml"
DAYS = pd.date_range("2025-01-01", periods=40, freq="D", tz="UTC")
OWN = pd.DataFrame(
    {
        "time": DAYS.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "open": np.linspace(100, 120, 40),
        "high": np.linspace(101, 121, 40),
        "low": np.linspace(99, 119, 40),
        "close": np.linspace(100.5, 120.5, 40),
    }
)
SCENARIO = """
name = "own"
capital_usd = 10_000

[market]
start = 2025-01-06
end = 2025-02-05
{market}

[rulebook]
class = "study"

[strategy]
class = "capital_rebalance"
long = "asgard"
short = "drift"
leverage = 2.0
trigger = 5.0

[venues.asgard]
lending_rate = "sol_lending_apy"

[venues.drift]
"""
FILES = """
[market.sources]
prices = { reader = "table", file = "below/own.csv", interval = "1d" }
rates = { reader = "table", file = "rates.csv" }
funding = { reader = "drift_daily_funding", file = "funding.json" }
"""
STORED = """
prices = "own:SOL:1d"
funding.drift = "own:SOL:funding"
series.sol_lending_apy = "own:SOL:rates"
series.usdc_borrowing_apy = "own:USDC:rates"
"""


@pytest.fixture
def last_step(capsys):
    """What runs the command that `explain` names at its end; returns the source, and its rows as JSON has them."""

    def follow(run, what):
        code, printed, said = carrybook(capsys, "explain", run, what)
        assert (code, said) == (0, "")
        place, *arguments = reversed(shlex.split(printed.splitlines()[-1].partition(": carrybook ")[2]))
        code, printed, _ = carrybook(capsys, *reversed(arguments), place)
        assert (code, f"{place.rpartition(':')[0]}, row " in printed) == (0, True)
        code, printed, _ = carrybook(capsys, *reversed(arguments), place, "--json")
        return place, json.loads(printed)

    return follow


def test_an_embedded_row_is_shown(capsys, tmp_path, last_step):
    """With the cells that stand in that line of the file."""
    carrybook(capsys, "run", STATIC, "--out", tmp_path)
    place, found = last_step(tmp_path, "funding")
    row = int(place.rpartition(":")[2])
    with EMBEDDED["sol_daily"].path.open(newline="") as file:
        header, *lines = csv.reader(file)
    assert found == {
        "source": "sol_daily.csv",
        "path": str(EMBEDDED["sol_daily"].path),
        "rows": [row],
        "cells": {name: [cell] for name, cell in zip(header, lines[row - 2], strict=True)},
    }


def test_of_a_drawn_path_the_row_is_shown_whose_returns_it_has(capsys, tmp_path, last_step):
    """The explanation says that they are the returns of the row, and names the file that has them."""
    carrybook(capsys, "run", STATIC, "--set", "market.path.method=stationary", "--out", tmp_path)
    place, found = last_step(tmp_path, "total_fees_usd")
    assert place.startswith("returns of sol_daily.csv:")
    assert (found["path"], found["rows"]) == (str(EMBEDDED["sol_daily"].path), [int(place.rpartition(":")[2])])


def test_a_market_that_was_made_in_memory_has_no_row(capsys, tmp_path):
    """Nobody could be told which file is meant."""
    assembly = assemble(Scenario.load(STATIC))
    market = evolve(assembly.market, sources={})
    assembly = assemble(Scenario.load(STATIC), market=market)
    run = assembly.simulation().run()
    folder = save(assembly, run, summarize(assembly, run), tmp_path)
    said = refused(capsys, "explain", folder, "sol_daily.csv:4")
    assert "'sol_daily.csv' is no source of this run; its market was made in memory and has none" in said


def test_several_rows_are_shown_as_the_explanation_names_them(capsys, tmp_path):
    """From the first to the last."""
    carrybook(capsys, "run", STATIC, "--out", tmp_path)
    code, printed, _ = carrybook(capsys, "explain", tmp_path, "sol_daily.csv:410-411", "--json")
    assert (code, json.loads(printed)["rows"]) == (0, [410, 411])
    code, printed, _ = carrybook(capsys, "explain", tmp_path, "sol_daily.csv:410-411")
    assert (code, "sol_daily.csv, rows 410 to 411" in printed) == (0, True)


def files(tmp_path):
    """A directory of a user's own files: prices, rates and funding."""
    (tmp_path / "data" / "below").mkdir(parents=True)
    OWN.to_csv(tmp_path / "data" / "below" / "own.csv", index=False)
    rates = OWN[["time"]].assign(sol_lending_apy=0.06, usdc_borrowing_apy=np.linspace(0.1, 0.11, 40))
    rates.to_csv(tmp_path / "data" / "rates.csv", index=False)
    funding = [{"date": str(day.date()), "rate": 0.0001 * (1 + at / 7)} for at, day in enumerate(DAYS)]
    (tmp_path / "data" / "funding.json").write_text(json.dumps(funding))
    (tmp_path / "own.toml").write_text(SCENARIO.format(market=FILES))
    return tmp_path / "data", funding


def test_a_row_of_a_users_own_files_is_shown(capsys, tmp_path, last_step):
    """Of JSON it is the object of that number, of CSV the line, wherever below the directory the file lies."""
    data, funding = files(tmp_path)
    code, _, said = carrybook(capsys, "run", tmp_path / "own.toml", "--data", data, "--out", tmp_path / "my runs")
    assert (code, said) == (0, "")
    place, found = last_step(tmp_path / "my runs", "funding")
    first = funding[int(place.rpartition(":")[2]) - 1]
    assert found["cells"] == {"date": [first["date"]], "rate": [json.dumps(first["rate"])]}
    place, found = last_step(tmp_path / "my runs", "total_fees_usd")
    assert place.startswith("own.csv:")
    assert found["cells"]["close"] == [repr(float(OWN.close[found["rows"][0] - 2]))]


def test_a_row_of_a_stored_series_is_shown(capsys, tmp_path, monkeypatch, last_step):
    """Counted from the first day of the market, as the run counts it."""
    monkeypatch.setenv("CARRYBOOK_DATA", str(tmp_path / "store"))
    columns = {
        ("prices", "SOL"): OWN,
        ("funding", "SOL"): OWN[["time"]].assign(funding_rate=np.linspace(0.0001, 0.0002, 40)),
        ("rates", "SOL"): OWN[["time"]].assign(apy=0.06),
        ("rates", "USDC"): OWN[["time"]].assign(apy=0.1),
    }
    for (kind, coin), frame in columns.items():
        file = tmp_path / f"{kind}_{coin}.csv"
        frame.to_csv(file, index=False)
        unit = () if kind == "prices" else ("--unit", "fraction")
        arguments = ("data", "import", file, "--kind", kind, "--coin", coin, *unit, "--yes")
        assert carrybook(capsys, *arguments)[0] == 0
    (tmp_path / "own.toml").write_text(SCENARIO.format(market=STORED))
    code, _, said = carrybook(capsys, "run", tmp_path / "own.toml", "--out", tmp_path / "runs")
    assert (code, said) == (0, "")
    place, found = last_step(tmp_path / "runs", "funding")
    assert place == "own:SOL:funding:2"
    rates = columns["funding", "SOL"].funding_rate
    assert found["cells"] == {"time": ["2025-01-07T00:00:00+00:00"], "funding_rate": [repr(float(rates[6]))]}


def test_a_row_that_is_not_there_is_refused(capsys, tmp_path):
    """A source that the run has not, a row beyond its end, days beside a row, and a file that was changed since."""
    data, _ = files(tmp_path)
    carrybook(capsys, "run", tmp_path / "own.toml", "--data", data, "--out", tmp_path / "runs")
    run = tmp_path / "runs"
    said = refused(capsys, "explain", run, "other.csv:3")
    assert "'other.csv' is no source of this run; did you mean own.csv?" in said
    assert "own.csv has no row 42; expected 2 to 41" in refused(capsys, "explain", run, "own.csv:42")
    said = refused(capsys, "explain", run, "own.csv:3", "--from", "2025-01-10")
    assert "own.csv:3: a row has no --from or --to; expected neither" in said
    assert "own.csv has no row 40-42; expected 2 to 41" in refused(capsys, "explain", run, "own.csv:40-42")
    said = refused(capsys, "explain", run, "own.csv:20-17")
    assert "own.csv:20-17: the last row is above the first; expected own.csv:17-20" in said
    with (data / "below" / "own.csv").open("a") as file:
        file.write("2025-02-10T00:00:00Z,1,1,1,1\n")
    said = refused(capsys, "explain", run, "own.csv:3")
    assert "own.csv: not where the run read it, or changed since; expected it there with the digest " in said
