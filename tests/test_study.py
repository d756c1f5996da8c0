"""The published study as an oracle: every row of its results comes out of the engine and its books."""

import csv
import json
import os
from functools import cache
from pathlib import Path

import pytest

from framework import Scenario, assemble, metrics
from framework.assembly import load_market
from framework.valuation import chronicle
from tests.conftest import ROOT, SHARED

EXAMPLE = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
RESULTS = Path(os.environ.get("CARRYBOOK_REFERENCE", SHARED / "reference")) / "capital_rebalance.csv"
KINDS = {"OPEN": "open", "CAPITAL_REBALANCE": "transfer", "REOPEN_AFTER_LIQ": "reopen"}
MONEY = {
    "final_usd": "final_equity_usd", "total_fees_usd": "total_fees_usd", "bridge_usd": "bridge_usd",
    "liquidation_penalty_usd": "liquidation_penalty_usd", "carry_usd": "carry_usd", "funding_usd": "funding_usd",
    "mtm_drag_usd": "mtm_drag_usd",
}  # fmt: skip


def rows():
    """The published runs; none where the results are absent."""
    if not RESULTS.is_file():
        return []
    with RESULTS.open(newline="") as file:
        return list(csv.DictReader(file))


@cache
def market(data):
    """The study's market, read once."""
    return load_market(Scenario.load(EXAMPLE).market, data)


def simulate(data, *settings):
    """A run of the example with settings, on the study's data."""
    return assemble(Scenario.load(EXAMPLE, settings), market=market(data)).simulation().run()


def settings_of(row):
    """The settings of a published run."""
    return (
        f"strategy.short={row['venue']}",
        f"capital_usd={row['capital_usd']}",
        f"strategy.leverage={row['leverage']}",
        f"strategy.trigger={row['trigger']}",
        f"venues.asgard.open_fee_bps={row['asgard_fee_bps']}",
    )


def name_of(row):
    """A published run in words."""
    return f"{row['venue']} {row['leverage']}x/{row['trigger']} ${row['capital_usd']} {row['asgard_fee_bps']} bps"


def test_all_published_runs_are_there(reference):
    """The table has its 49 runs."""
    assert reference == RESULTS.parent
    assert len(rows()) == 49


@pytest.mark.parametrize("row", rows(), ids=name_of)
def test_a_published_run_comes_out(study_data, row):
    """Money within $0.02 or 1e-6 of the capital, percentages within 1e-4, counts exactly, nothing unexplained."""
    run = simulate(study_data, *settings_of(row))
    ours = metrics(run)
    tolerance = max(0.02, 1e-6 * float(row["capital_usd"]))
    for theirs, name in MONEY.items():
        assert ours[name] == pytest.approx(float(row[theirs]), rel=0, abs=tolerance), theirs
    for theirs, name in (("annualized_return_pct",) * 2, ("max_drawdown_pct", "drawdown_at_closes_pct")):
        assert ours[name] == pytest.approx(float(row[theirs]), rel=0, abs=1e-4), theirs
    for name in ("capital_rebalances", "full_rotations", "liquidations"):
        assert ours[name] == int(row[name]), name
    assert ours["unexplained_usd"] == 0
    parts = ours["price_pnl_usd"] + ours["execution_usd"] + ours["bad_debt_usd"]
    assert ours["mtm_drag_usd"] == pytest.approx(parts, rel=0, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("hyperliquid_2x_10k", ("strategy.leverage=2", "strategy.trigger=4")),
        ("hyperliquid_3x_10k", ()),
        ("drift_3x_10k", ("strategy.short=drift",)),
    ],
)
def test_a_published_log_comes_out(study_data, reference, name, settings):
    """Each line of the study's log has its line in ours: date, kind, price, transfer, penalty, fees, notional."""
    theirs = json.loads((reference / "capital_rebalance_events.json").read_text())[name]
    ours = [line for line in chronicle(simulate(study_data, *settings)) if not line.kind.endswith("at the end")]
    assert len(ours) == len(theirs)
    for line, event in zip(ours, theirs, strict=True):
        kind = KINDS.get(event["type"]) or f"{event['leg'].lower()} liquidated"
        assert (line.date, line.kind, line.price) == (event["date"], kind, event["price"])
        for field, value in (
            (line.transfer_usd, event.get("transfer")),
            (line.penalty_usd, event.get("penalty")),
            (line.fees_usd, event.get("fees")),
            (line.notional_usd, event.get("notional")),
        ):
            if value is not None:
                assert field == pytest.approx(value, rel=0, abs=0.02)


def test_without_the_look_ahead_the_first_day_earns_nothing(study_data):
    """Entered at the first close, the position earns from the second day on; the capital is given for 410 days."""
    settings = ("strategy.leverage=2", "strategy.trigger=5")
    quirk = metrics(simulate(study_data, *settings))
    plain = metrics(simulate(study_data, *settings, "rulebook.look_ahead_at_entry=false"))
    first_day = market(study_data)["hyperliquid_funding_rate"][0] * 10_000
    assert quirk["days"] == plain["days"] == pytest.approx(410)
    assert quirk["funding_usd"] - plain["funding_usd"] == pytest.approx(first_day, rel=0, abs=1e-5)


def test_what_the_floor_at_zero_creates_is_bad_debt(study_data):
    """Drift at 4x: the floor creates $1,569; charged to the position instead, the gain is a loss."""
    settings = ("strategy.short=drift", "strategy.leverage=4", "strategy.trigger=8")
    forgiven = metrics(simulate(study_data, *settings))
    owed = metrics(simulate(study_data, *settings, "rulebook.forgive_negative_equity=false"))
    assert forgiven["bad_debt_usd"] == pytest.approx(1569.40, abs=0.02)
    assert forgiven["annualized_return_pct"] == pytest.approx(2.2533, abs=1e-3)
    assert owed["bad_debt_usd"] == 0
    assert owed["annualized_return_pct"] == pytest.approx(-10.5, abs=0.1)
    assert owed["unexplained_usd"] == 0
