"""A figure that is likely in another unit is refused or told at the door, with the unit that it seems to have."""

import json

import numpy as np
import pytest

from framework import Scenario, assemble
from framework.command_line.cli import main
from framework.errors import ScenarioError
from tests.runs import ROOT

SCENARIO = ROOT / "examples" / "capital_rebalance" / "scenario.toml"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (
            "venues.hyperliquid.taker_fee_bps=0.00035",
            "taker_fee_bps: 0.00035; expected 0, or 0.01 basis points or more (3.5, if 0.00035 is a fraction of the",
        ),
        (
            "venues.asgard.open_fee_bps=0.0015",
            "asgard.open_fee_bps: 0.0015; expected 0, or 0.01 basis points or more (15, if 0.0015 is a fraction of",
        ),
        (
            "strategy.leverage=40",
            "strategy.leverage: 40; expected less than 20, at which asgard liquidates at once: its maintenance margin",
        ),
    ],
)
def test_a_figure_that_is_likely_in_another_unit_is_refused(setting, words):
    """One line that names the key, the value and what was probably meant."""
    with pytest.raises(ScenarioError) as complaint:
        assemble(Scenario.load(SCENARIO, [setting, "strategy.trigger=never"]))
    assert words in str(complaint.value)


def test_an_impossible_leverage_is_named_before_a_trigger_below_it():
    """It is the root: with it mended, the trigger of 6 is fine."""
    with pytest.raises(ScenarioError) as complaint:
        assemble(Scenario.load(SCENARIO, ["strategy.leverage=40"]))
    assert str(complaint.value).startswith("strategy.leverage: 40; expected less than 20, at which asgard liquidates")


@pytest.mark.parametrize(
    "setting", ["venues.asgard.open_fee_bps=0", "venues.asgard.open_fee_bps=0.01", "strategy.leverage=19"]
)
def test_a_figure_at_the_edge_is_taken(setting):
    """No fee at all, a hundredth of a basis point, and a leverage below the venue's."""
    assert assemble(Scenario.load(SCENARIO, [setting, "strategy.trigger=never"]))


FEES = {
    "a taker's": ("hyperliquid.taker_fee_bps", 0.035, 3.5),
    "an opening": ("asgard.open_fee_bps", 0.15, 15),
    "a passage": ("asgard.bridge.fee_bps", 0.05, 5),
}


@pytest.mark.parametrize(("key", "bps", "likely"), FEES.values(), ids=FEES)
def test_a_fee_that_is_likely_in_percent_is_told_at_the_top_of_the_report_and_to_scripts(
    capsys, tmp_path, key, bps, likely
):
    """The run goes on, with one line that names the key and what was probably meant."""
    words = f"IMPLAUSIBLE FEE (warning): venues.{key}: {bps} basis points; expected {likely}, if {bps} is percent"
    arguments = ["run", str(SCENARIO), "--set", f"venues.{key}={bps}", "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--json"])
    assert not end.value.code
    assert json.loads(capsys.readouterr().out)["data"].endswith(words)
    with pytest.raises(SystemExit):
        main(arguments)
    top = capsys.readouterr().out.partition("Result")[0]
    assert words in " ".join(top.split())


TIERS = "[{ taker_fee_bps = 3.5 }, { taker_fee_bps = 0.028, above_usd = 5e6 }]"
RULES = {
    "plain": TIERS,
    "by date": f"[{{ since = 2024-01-01, value = [{{ taker_fee_bps = 3 }}] }}, "
    f"{{ since = 2025-02-01, value = {TIERS} }}]",
}


@pytest.mark.parametrize("tiers", RULES.values(), ids=RULES)
def test_a_fee_of_a_tier_that_is_likely_in_percent_is_told(tiers):
    """With its place among the tiers."""
    words = "venues.hyperliquid.fee_tiers.1.taker_fee_bps: 0.028 basis points; expected 2.8, if 0.028 is percent"
    setting = f"venues.hyperliquid.fee_tiers={tiers}"
    assert words in assemble(Scenario.load(SCENARIO, [setting])).market.label
    assert "FEE" not in assemble(Scenario.load(SCENARIO, [setting.replace("0.028", "2.8")])).market.label


@pytest.mark.parametrize("fees_bps", [0, 0.3])
def test_no_fee_and_the_least_that_is_likely_are_not_told(fees_bps):
    """Nor are those that the examples have."""
    keys = ("hyperliquid.taker_fee_bps", "asgard.open_fee_bps")
    scenario = Scenario.load(SCENARIO, [f"venues.{key}={fees_bps}" for key in keys])
    assert "FEE" not in assemble(scenario).market.label
    assert "FEE" in assemble(Scenario.load(SCENARIO, ["venues.asgard.open_fee_bps=0.29"])).market.label


FILES = """
name = "units"
capital_usd = 1_000
[market]
start = 2025-01-01
end = 2025-01-10
[market.sources.prices]
reader = "table"
file = "rows.csv"
interval = "1d"
[market.sources.prices.columns]
open = "close"
high = "close"
low = "close"
close = "close"
sol_lending_apy = "apy"
usdc_borrowing_apy = "apy"
"FUNDING" = "funding"
[rulebook]
class = "study"
[strategy]
class = "static"
long = "asgard"
short = "hyperliquid"
leverage = 2.0
[venues.asgard]
[venues.hyperliquid]
"""


@pytest.mark.parametrize(
    ("column", "apy", "funding", "words"),
    [
        ("hyperliquid_funding_rate", 0.05, 0.03, "no percent and no basis points"),
        ("hyperliquid.SOL.funding", 0.05, 0.03, "no percent and no basis points"),
        ("hyperliquid_funding_rate", 6.5, 0.0001, "looks like percent; expected fractions, such as 0.065"),
        ("hyperliquid_funding_rate", 0.065, 0.0003, ""),
        ("hyperliquid.SOL.funding", 0.065, 0.0003, ""),
    ],
)
def test_funding_and_yields_in_percent_are_told_at_the_top_of_the_report(tmp_path, column, apy, funding, words):
    """In the label, which is printed before everything else; under any name that a venue's funding may have."""
    dates = np.arange("2025-01-01", "2025-01-11", dtype="datetime64[D]")
    lines = [f"{date},{100 + index},{apy},{funding}" for index, date in enumerate(dates)]
    (tmp_path / "rows.csv").write_text("\n".join(["time,close,apy,funding", *lines]) + "\n")
    (tmp_path / "units.toml").write_text(FILES.replace("FUNDING", column))
    label = assemble(Scenario.load(tmp_path / "units.toml"), tmp_path).market.label
    assert (words in label and "IMPLAUSIBLE" in label) if words else not label
