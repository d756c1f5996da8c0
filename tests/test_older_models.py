"""The study's older models as an oracle: static and full rotation, kept at cost by rules and by the same engine."""

import csv
import json
import os
from functools import cache
from pathlib import Path

import pytest

from framework import ConditionMet, EveryRow, Leg, Scenario, StillView, assemble, metrics, waterfall
from framework.assembly import load_market
from framework.clock import NS_PER_HOUR
from framework.market import Market
from framework.valuation import chronicle
from strategies.full_rotation import FullRotation
from strategies.minimum_apy import MinimumApy
from tests.conftest import ROOT, SHARED
from tests.markets import asgard, flat, hyperliquid, play

RESULTS = Path(os.environ.get("CARRYBOOK_REFERENCE", SHARED / "reference"))
KEYS = {
    "capital_usd": "capital_usd", "leverage": "strategy.leverage",
    "liquidation_buffer": "strategy.liquidation_buffer", "min_apy_pct": "strategy.min_apy_pct",
    "asgard_fee_bps": "venues.asgard.open_fee_bps",
}  # fmt: skip
COUNTS = ("rotations", "forced_rotations", "liquidations", "apy_exits")


def scenario(name):
    """The example of a model."""
    return ROOT / "examples" / name / "scenario.toml"


@cache
def market(data):
    """The study's market, read once."""
    return load_market(Scenario.load(scenario("static")).market, data)


def simulate(data, name, *settings):
    """A run of a model with settings, on the study's data."""
    return assemble(Scenario.load(scenario(name), settings), market=market(data)).simulation().run()


def rows(name):
    """The published runs of a model; none where the results are absent."""
    if not (RESULTS / f"{name}.csv").is_file():
        return []
    with (RESULTS / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def words(row):
    """A published run in words."""
    return " ".join(f"{key}={row[key]}" for key in KEYS if key in row)


def check(ours, row):
    """Money within $0.02 or 1e-6 of the capital, percentages within 1e-4, counts exactly."""
    tolerance = max(0.02, 1e-6 * float(row["capital_usd"]))
    ours = {**ours, "final_usd": ours["final_equity_usd"], "fees_usd": ours["total_fees_usd"]}
    ours["max_drawdown_pct"] = ours["drawdown_at_closes_pct"]
    ours["net_usd"] = ours["final_equity_usd"] - ours["capital_usd"]
    for name, value in row.items():
        if name in COUNTS:
            assert ours[name] == int(value), name
        elif name not in KEYS:
            allowed = 1e-4 if name.endswith("_pct") else tolerance
            assert ours[name] == pytest.approx(float(value), rel=0, abs=allowed), name
    assert ours["unexplained_usd"] == 0


def test_all_published_runs_are_there(reference):
    """Nine static runs and 27 of the full rotation."""
    assert reference == RESULTS
    assert (len(rows("static")), len(rows("full_rotation"))) == (9, 27)


@pytest.mark.parametrize("row", rows("static"), ids=words)
def test_a_static_run_comes_out(study_data, row):
    """The ceiling: simple income on the entry notional, and one round trip of fees."""
    settings = [f"{key}={row[name]}" for name, key in KEYS.items() if name in row]
    check(metrics(simulate(study_data, "static", *settings)), row)


@pytest.mark.slow
@pytest.mark.parametrize("row", rows("full_rotation"), ids=words)
def test_a_full_rotation_run_comes_out(study_data, row):
    """Managed and unmanaged, with every buffer and minimum APY of the study."""
    settings = [f"{key}={row[name]}" for name, key in KEYS.items()]
    check(metrics(simulate(study_data, "full_rotation", *settings)), row)


def test_the_published_log_comes_out(study_data, reference):
    """Each opening, closing and penalty of the study's log has its line in ours."""
    theirs = json.loads((reference / "full_rotation_events.json").read_text())
    run = simulate(study_data, "full_rotation", "capital_usd=1000")
    lines = [
        line for line in chronicle(run) if not line.kind.endswith(("liquidated", "at the end")) or ":" in line.kind
    ]
    opened = [line for line in lines if line.kind == "open"]
    closed = [line for line in lines if line.kind.startswith("close")]
    assert [(event["date"], event["price"]) for event in theirs if event["type"] == "OPEN"] == [
        (line.date, line.price) for line in opened
    ]
    closings = [event for event in theirs if event["type"] == "CLOSE"]
    reasons = {"LIQUIDATION": "liquidated", "MARGIN": "near"}
    for line, event in zip(closed, closings, strict=True):
        what, side = event["reason"].split(" ")[0].split("_")
        assert (line.date, line.price, line.kind) == (
            event["date"], event["price"], f"close: {side.lower()} {reasons[what]}",
        )  # fmt: skip
    penalties = [-event["amount"] for event in theirs if event["type"] == "LIQ_PENALTY"]
    assert [line.penalty_usd for line in closed if line.penalty_usd] == pytest.approx(penalties, rel=0, abs=0.02)
    fees = [event["fees"] for event in theirs if event["type"] == "OPEN"]
    assert [line.fees_usd for line in opened] == pytest.approx(fees, rel=0, abs=0.02)


def test_at_cost_the_price_does_not_count(study_data):
    """What the price does to the legs, execution at cost takes back: together they are only rounding."""
    falls = waterfall(simulate(study_data, "full_rotation"))
    assert abs(falls.price_pnl + falls.execution) < 1e-3


@pytest.mark.parametrize("name", ["static", "full_rotation"])
def test_any_cut_gives_the_same_books(name):
    """The older models, too, are the same settled at once and row by row."""
    assembly = assemble(Scenario.load(scenario(name)))
    digests = {assembly.simulation(rows_at_once).run().ledger.digest for rows_at_once in (None, 1, 7)}
    assert len(digests) == 1


@pytest.mark.parametrize("name", ["static", "full_rotation"])
def test_the_same_strategy_runs_at_the_market(study_data, name):
    """Under the study's mark-to-market rules the same classes run, and the price counts."""
    settings = ['rulebook={class="study"}']
    if name == "full_rotation":
        settings += ["strategy.compounding=false", "strategy.capital_penalty=0"]
    at_cost, at_market = metrics(simulate(study_data, name)), metrics(simulate(study_data, name, *settings))
    assert abs(at_market["price_pnl_usd"]) > 1
    assert at_market["unexplained_usd"] == 0
    assert at_market["final_equity_usd"] < at_cost["final_equity_usd"] + 1_000


@pytest.mark.parametrize(
    ("low", "high", "reasons"),
    [
        (90.0, 110.0, []),
        (70.0, 110.0, ["long near"]),
        (68.0, 110.0, ["long liquidated"]),
        (90.0, 125.0, ["short near"]),
        (60.0, 132.0, ["long liquidated", "short liquidated"]),
    ],
)
def test_the_last_reason_names_the_close(low, high, reasons):
    """Long before short: the close carries the last reason that was found."""
    strategy = FullRotation(long="asgard", short="hyperliquid", leverage=3.0, liquidation_buffer=0.1)
    view = StillView(
        price=100.0,
        legs={
            "asgard": Leg(150.0, 5_000.0, 15_000.0, 100.0, 68.3),
            "hyperliquid": Leg(-150.0, 5_000.0, 15_000.0, 100.0, 131.7),
        },
        columns={"low": [low], "high": [high]},
    )
    met = ConditionMet(event=1, at_ns=0, venue="", condition=EveryRow())
    orders = list(strategy.on_event(met, view))
    assert [order.reason for order in orders] == reasons[-1:] * 2


def test_minimum_apy_asks_only_for_rows_held():
    """Seven rows held at a low yield are too little; rows out of position do not count, nor a window not full."""
    import numpy as np

    policy = MinimumApy(apy_pct=10.0, leverage=2.0, venue="perp", funding_rate="funding")
    columns = {"funding": np.full(10, 1e-4), "sol_lending_apy": np.full(10, 0.05), "usdc_borrowing_apy": np.zeros(10)}
    held = StillView(price=1.0, columns=columns, past_sizes={"perp": np.array([0, 0, 5, 5, 5, 5, 5, 5, 5])})
    short_of = StillView(price=1.0, columns=columns, past_sizes={"perp": np.array([0, 0, 0, 5, 5, 5, 5, 5, 5])})
    assert policy.missed(held)
    assert not policy.missed(short_of)
    assert not MinimumApy(apy_pct=8.6, leverage=2.0, venue="perp", funding_rate="funding").missed(held)
    assert MinimumApy(apy_pct=8.7, leverage=2.0, venue="perp", funding_rate="funding").missed(held)


@pytest.mark.parametrize("rows_per_year", [365, 365 * 3, 365 * 24])
def test_minimum_apy_is_yearly_whatever_the_rows(rows_per_year):
    """The same funding, lending and borrowing by the year gives the same yield by the day and by the hour."""
    import numpy as np

    policy = {"leverage": 2.0, "venue": "perp", "funding_rate": "funding"}
    columns = {"sol_lending_apy": np.full(40, 0.05), "usdc_borrowing_apy": np.full(40, 0.04)}
    columns["funding"] = np.full(40, 0.06 / rows_per_year)
    sizes = np.concatenate(([5.0] * 5, np.zeros(30), [5.0] * 4))
    view = StillView(price=1.0, row_years=1 / rows_per_year, columns=columns, past_sizes={"perp": sizes})
    assert MinimumApy(apy_pct=9.0001, **policy).missed(view)
    assert not MinimumApy(apy_pct=8.9999, **policy).missed(view)
    assert not MinimumApy(apy_pct=9.0001, rows=10, **policy).missed(view)


def test_the_minimum_apy_weighs_rows_by_their_length():
    """A row of an hour among rows of a day: its funding is an hour's, and the yearly yield the same."""
    days = flat(10, lending=0.08, borrowing=0.0, funding=0.02 / 365)
    at_ns = days.at_ns.copy()
    at_ns[7] -= 23 * NS_PER_HOUR
    columns = {name: column.copy() for name, column in days.columns.items()}
    columns["hyperliquid_funding_rate"][7] /= 24
    table = Market(open_ns=days.open_ns, at_ns=at_ns, columns=columns)

    def acted(apy_pct):
        strategy = FullRotation(long="asgard", short="hyperliquid", leverage=2.0, min_apy_pct=apy_pct)
        run = play(table, [asgard(), hyperliquid()], strategy, look_ahead_at_entry=False)
        return [run.row(event.at_ns) for event in run.events.single() if isinstance(event, ConditionMet)]

    assert acted(9.99) == []
    assert acted(10.01) == [7, 8, 9]


@pytest.mark.parametrize(("entry", "exits"), [("first_close", 7), ("first_open", 6), ("look_ahead", 6)])
def test_the_minimum_apy_counts_the_row_before_whose_close_a_run_started(entry, exits):
    """The window of seven rows is full in the eighth row where the first was not held, else in the seventh."""
    table = flat(20, lending=0.01, borrowing=0.0, funding=0.0)
    strategy = FullRotation(long="asgard", short="hyperliquid", leverage=2.0, min_apy_pct=5.0)
    early = {"look_ahead_at_entry": entry == "look_ahead", "at_first_open": entry == "first_open"}
    lines = list(chronicle(play(table, [asgard(), hyperliquid()], strategy, **early)))
    left = next(line for line in lines if line.kind == "close: minimum APY")
    assert left.date == table.date(exits)


@pytest.mark.parametrize(("lending", "reasons"), [(0.01, ["minimum APY"] * 2), (0.09, [])])
def test_the_minimum_apy_of_another_coin_takes_its_own_rate(lending, reasons):
    """The columns of the yield are the ones that the scenario names."""
    import numpy as np

    strategy = FullRotation(
        long="asgard",
        short="perp",
        leverage=2.0,
        liquidation_buffer=0.0,
        min_apy_pct=8.6,
        lending_rate="eth_lending_apy",
    )
    columns = {"low": [100.0], "high": [100.0], "perp_funding_rate": np.full(10, 1e-4)}
    view = StillView(
        price=100.0,
        legs={"asgard": Leg(1.0, 50.0, 100.0, 100.0, 60.0), "perp": Leg(-1.0, 50.0, 100.0, 100.0, 140.0)},
        columns=columns | {"eth_lending_apy": np.full(10, lending), "usdc_borrowing_apy": np.zeros(10)},
        past_sizes={"perp": np.full(9, -1.0)},
    )
    met = ConditionMet(event=1, at_ns=0, venue="", condition=EveryRow())
    assert [order.reason for order in strategy.on_event(met, view)] == reasons
