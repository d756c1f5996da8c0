"""The report of the study: every published cell is printed, at the rounding of the report."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from examples.study.report import funding, months, open_fees, tables
from examples.study.study import MODELS, Study
from framework import Scenario
from framework.market import Market
from tests.commands import carrybook
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def printed(study_data):
    """Title of each table -> its rows, each a mapping of column to cell."""
    found = {}
    for grid in tables(Study(study_data)):
        names = [name.removeprefix("<") for name in grid.columns]
        found[grid.title] = [dict(zip(names, row, strict=True)) for row in grid.rows]
    return found


def results(reference, name):
    """The published runs of a model."""
    with (reference / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def signed(value):
    """A published percentage as the report prints it."""
    return f"{float(value):+.1f} %"


def money(value):
    """A published sum as the report prints it."""
    return f"{float(value):,.2f}"


def dollars(value):
    """A capital as the report prints it."""
    return f"${float(value):,.0f}"


@pytest.mark.slow
def test_every_published_cell_of_the_realistic_model_is_printed(printed, reference):
    """Performance, triggers and fee sensitivity: 49 runs, each cell at the report's rounding."""
    found = 0
    for row in results(reference, "capital_rebalance"):
        venue, leverage = row["venue"].capitalize(), f"{float(row['leverage']):g}x"
        trigger = row["trigger"] if row["trigger"] == "never" else f"{float(row['trigger']):g}x"
        if row["asgard_fee_bps"] != "15":
            (cell,) = [
                each
                for each in printed["Opening fee sensitivity, Hyperliquid 3x, $10,000"]
                if each["opening fee"] == f"{row['asgard_fee_bps']} bps"
            ]
            assert (cell["fees"], cell["final equity"]) == (money(row["total_fees_usd"]), money(row["final_usd"]))
        elif float(row["trigger"].replace("never", "0")) == 2 * float(row["leverage"]):
            (cell,) = [
                each
                for each in printed[f"Performance on {venue}"]
                if (each["capital"], each["leverage"]) == (dollars(row["capital_usd"]), leverage)
            ]
            assert (cell["final equity"], cell["trigger"]) == (money(row["final_usd"]), trigger)
        else:
            (cell,) = [
                each
                for each in printed[f"Trigger optimisation on {venue}, $10,000"]
                if (each["leverage"], each["trigger"].removesuffix(" *")) == (leverage, trigger)
            ]
            assert (cell["fees"], cell["penalty"]) == (
                money(row["total_fees_usd"]),
                money(row["liquidation_penalty_usd"]),
            )
        assert cell["annualised"] == signed(row["annualized_return_pct"])
        if "liquidations" in cell:
            assert (cell["rebalances"], cell["liquidations"]) == (row["capital_rebalances"], row["liquidations"])
            assert cell["drawdown"] == f"{float(row['max_drawdown_pct']):.1f} %"
        found += 1
    assert found == 49


@pytest.mark.slow
def test_every_published_cell_of_the_older_models_is_printed(printed, reference):
    """Static and full rotation: 9 and 27 runs."""
    models = printed["Three models on Hyperliquid, annualised"]
    for row in results(reference, "static"):
        (cell,) = [
            each
            for each in models
            if (each["capital"], each["leverage"]) == (dollars(row["capital_usd"]), f"{float(row['leverage']):g}x")
        ]
        assert cell["static"] == signed(row["annualized_return_pct"])
    rotation = printed["Full rotation on Hyperliquid, at cost"]
    for row in results(reference, "full_rotation"):
        apy = float(row["min_apy_pct"])
        place = (
            dollars(row["capital_usd"]),
            f"{float(row['leverage']):g}x",
            f"{float(row['liquidation_buffer']):.0%}",
            f"{apy:g} %" if apy else "none",
        )
        (cell,) = [
            each
            for each in rotation
            if (each["capital"], each["leverage"], each["buffer"], each["minimum APY"]) == place
        ]
        assert cell["final equity"] == money(row["final_usd"])
        assert cell["annualised"] == signed(row["annualized_return_pct"])
        assert (cell["fees"], cell["carry"], cell["funding"]) == tuple(
            money(row[name]) for name in ("total_fees_usd", "carry_usd", "funding_usd")
        )
        assert [cell[name] for name in ("rotations", "forced", "liquidations", "APY exits")] == [
            row[name] for name in ("rotations", "forced_rotations", "liquidations", "apy_exits")
        ]


@pytest.mark.slow
def test_the_waterfalls_carry_the_plug_beside_what_it_is_made_of(printed, reference):
    """The study's drag is printed under its own name, bad debt apart, and nothing is unexplained."""
    falls = {row["bucket"]: row for row in printed["P&L waterfalls, $10,000"]}
    for row in results(reference, "capital_rebalance"):
        leverage = float(row["leverage"])
        at_choice = row["trigger"] != "never" and float(row["trigger"]) == 2 * leverage
        if row["capital_usd"] == "10000" and at_choice and row["asgard_fee_bps"] == "15":
            column = f"{row['venue']} {leverage:g}x"
            assert falls["the study's MTM drag (its plug)"][column] == money(row["mtm_drag_usd"])
            assert falls["carry"][column] == money(row["carry_usd"])
            assert falls["funding"][column] == money(row["funding_usd"])
            assert falls["unexplained"][column] == "0.00"
    assert falls["bad debt"]["drift 4x"] == "1,569.40"


@pytest.mark.slow
def test_the_drift_4x_case_is_told_honestly(printed):
    """The published gain stands beside the loss that remains when bad debt is charged to the position."""
    published, forgiven, owed = printed["Drift at 4x, told honestly"]
    assert published["annualised"] == forgiven["annualised"] == "+2.3 %"
    assert forgiven["bad debt"] == "1,569.40"
    assert owed["annualised"] == "-10.5 %"
    assert owed["bad debt"] == "0.00"


@pytest.mark.slow
def test_all_published_months_are_printed(printed, reference):
    """Fifteen months of four mean rates, at the published rounding."""
    rows = {row["month"]: row for row in printed["Mean rates by month, % a year"]}
    with (reference / "published_monthly_rates.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            ours = rows[row["month"]]
            assert float(ours["SOL lending"]) == float(row["sol_lending_apy_pct"])
            assert float(ours["USDC borrowing"]) == float(row["usdc_borrowing_apy_pct"])
            assert float(ours["hyperliquid funding"]) == float(row["hyperliquid_funding_apr_pct"])
            assert float(ours["drift funding"]) == float(row["drift_funding_apr_pct"])
    assert len(rows) == 15


def study(capsys, *arguments):
    """Run `carrybook study`; returns (exit code, stdout, stderr)."""
    return carrybook(capsys, "study", *arguments)


@pytest.mark.slow
def test_the_report_prints_its_expected_output_and_writes_markdown(capsys, tmp_path):
    """Without data it says that they are synthetic; the Markdown file has the same tables.

    After a wanted change: `carrybook study > examples/study/expected.txt`.
    """
    code, report, _ = study(capsys, "--markdown", tmp_path / "study.md")
    text = (tmp_path / "study.md").read_text()
    assert code == 0
    assert report == (ROOT / "examples" / "study" / "expected.txt").read_text()
    assert "SYNTHETIC" in report
    assert "SYNTHETIC" in text
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert len(titles) == 19
    assert all(title in report for title in titles)
    assert [path.name for path in tmp_path.iterdir()] == ["study.md"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "nowhere"], "nowhere: no such directory"),
        (["--set", "market.start=2030-01-01"], "is before start 2030-01-01"),
        (["--set", "capital_usd=5000"], "capital_usd: the study's tables say themselves which they show"),
        (["--markdown", "nowhere/study.md"], "study.md: not writable"),
    ],
)
def test_a_mistake_is_one_line(capsys, tmp_path, monkeypatch, arguments, words):
    """What cannot be read or written is named."""
    monkeypatch.chdir(tmp_path)
    code, _, complaint = study(capsys, *arguments)
    assert (code, complaint.count("\n")) == (2, 1)
    assert words in complaint
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("name", MODELS)
def test_the_study_runs_the_examples(name):
    """Each model's scenario is that of its example: the same strategy under the same rules."""
    example = Scenario.load(ROOT / "examples" / name / "scenario.toml")
    ours = Study().scenario(name)
    assert ours.market == example.market
    for part in ("strategy", "rulebook"):
        mine, its = getattr(ours, part), getattr(example, part)
        assert {key: value for key, value in its.items() if mine.get(key, value) != value} == {}


def test_a_table_that_varies_a_key_varies_it_whatever_is_set():
    """Opening fees of 0 everywhere leave the table by opening fee as it is: its lines name their own."""
    plain, free = (open_fees(Study(settings=settings)) for settings in ((), ("venues.asgard.open_fee_bps=0",)))
    assert plain.rows == free.rows
    assert len({row[-1] for row in plain.rows}) == len(plain.rows)


def test_funding_is_annualised_by_the_length_of_the_rows(study_data):
    """Rows of twelve hours with half of the funding each have the same yearly rates as those of a day."""
    study, halves = Study(study_data), Study(study_data)
    days = study.market
    edges = np.stack((days.open_ns, days.open_ns + 43_200 * 10**9), axis=1).ravel()
    columns = {name: np.repeat(column, 2) for name, column in days.columns.items()}
    columns |= {name: column / 2 for name, column in columns.items() if name.endswith("funding_rate")}
    halves.market = Market(open_ns=edges, at_ns=edges + 43_200 * 10**9 - 1_000_000, columns=columns)
    assert months(halves).rows == months(study).rows
    assert funding(halves).rows[2] == funding(study).rows[2]
