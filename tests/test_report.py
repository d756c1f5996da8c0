"""The printed report: what it shows, and that it shows nothing of what did not happen."""

import io
from decimal import Decimal

import pytest
from attrs import frozen
from rich.console import Console

from framework import Liquidated, OrderFilled, Scenario, Strategy, assemble, waterfall
from framework.performance import summarize
from framework.reports.report import WATERFALL_WORDS, report
from framework.support.grid import Grid
from tests.conftest import ROOT


@frozen(kw_only=True)
class Idle(Strategy):
    """Does nothing at all."""

    leverage: float = 2.0
    long: str = "asgard"
    short: str = "hyperliquid"

    def on_start(self, view):
        return ()

    def on_event(self, event, view):
        return ()


EMBEDDED = ("capital_rebalance", "full_rotation", "static", "funding_gate", "uss", "euss")
KEPT = {"unexplained", "result"}


def told(example, *settings, rules=False):
    """Title -> grid of an example's report, and its run."""
    assembly = assemble(Scenario.load(ROOT / "examples" / example / "scenario.toml", settings))
    run = assembly.simulation().run()
    grids = list(report(assembly, run, summarize(assembly, run), rules=rules))
    return {grid.title.partition(":")[0]: grid for grid in grids}, run


def measures(grid):
    """First cell -> second cell."""
    return {row[0]: row[1] for row in grid.rows}


@pytest.mark.parametrize("example", EMBEDDED)
def test_no_table_and_no_column_is_empty(example):
    """Whatever the strategy, every table has rows and every column a cell that says something."""
    grids, _ = told(example)
    for grid in grids.values():
        assert grid.rows
        for index, name in enumerate(grid.columns):
            assert any(row[index] for row in grid.rows), (grid.title, name)


@pytest.mark.parametrize(("short", "idle"), [("hyperliquid", "drift"), ("drift", "hyperliquid")])
def test_a_venue_that_nothing_went_through_has_no_rules_to_tell(short, idle):
    """The scenario names three venues, a run uses two; rules that none of the two sets are not there either."""
    assert "Venue rules" not in told("capital_rebalance", f"strategy.short={short}")[0]
    grids, _ = told("capital_rebalance", f"strategy.short={short}", rules=True)
    rules = grids["Venue rules"]
    assert rules.columns == ("rule", "asgard", short)
    assert idle not in str(rules.rows)
    assert ("liquidation_distance", "", "") not in rules.rows
    assert ("collateral_weight" in measures(rules)) is (short == "drift")


@pytest.mark.parametrize("example", EMBEDDED)
def test_every_bucket_that_is_not_zero_is_told(example):
    """To the cent: what is left out is what would print as zero, and the rest still sums to the result."""
    grids, run = told(example)
    cells = measures(grids["P&L waterfall"])
    steps = dict(waterfall(run).steps())
    for bucket, amount in steps.items():
        cents = round(amount, 2) + 0
        assert cells.get(WATERFALL_WORDS[bucket]) == (f"{cents:+,.2f}" if cents or bucket in KEPT else None), bucket
    whole = sum(Decimal(cells[words].replace(",", "")) for words in list(cells)[: list(cells).index("Unexplained")])
    assert abs(whole - round(steps["result"], 2)) <= Decimal("0.01") * len(cells)


def test_counts_of_what_a_strategy_never_does_are_left_out():
    """A dollar has margin calls and no rotations; liquidations are always told."""
    dollar, pair = (measures(told(example)[0]["Activity"]) for example in ("uss", "static"))
    assert dollar.keys() - pair.keys() == {"Margin calls"}
    assert {"Capital rebalances", "Openings after the start"}.isdisjoint(dollar | pair)
    for example, count in (("uss", "0"), ("static", "0"), ("capital_rebalance", "1")):
        assert measures(told(example)[0]["Risk"])["Liquidations"] == count
    assert measures(told("capital_rebalance")[0]["Activity"])["Capital rebalances"] == "7"


def test_columns_of_zeros_are_left_out_and_come_back_with_their_first_number():
    """A spot hedge pays no funding; a period cut short leaves rows outside."""
    (spot, _), (perpetual, _) = told("uss"), told("euss")
    funding = ["funding" in each["Daybook"].columns for each in (spot, perpetual)]
    assert funding == [False, True]
    whole, _ = told("static")
    part, _ = told("static", "market.end=2025-06-30")
    assert whole["Market"].columns == ("series", "<file", "samples", "used")
    assert part["Market"].columns == ("series", "<file", "samples", "used", "outside")


def test_a_run_in_which_nothing_happens_tells_what_it_is_worth():
    """Never open: no costs, no log, no leverage; result, risk, waterfall and market are there, and dashes."""
    idle, _ = told("static", "strategy.class=tests.test_report:Idle")
    assert list(idle) == ["Result", "Risk", "P&L waterfall", "Activity", "Market"]
    assert measures(idle["Result"])["Sharpe ratio"] == measures(idle["Risk"])["Calmar ratio"] == "-"


def test_a_liquidation_is_told_with_its_cause():
    """Its leg, the leverage and the liquidation price before, and the price that went beyond it."""
    grids, run = told("capital_rebalance")
    (row,) = grids["Liquidations"].rows
    date, venue, side, leverage, liquidation, reached, *_ = row
    (event,) = [each for each in run.single if isinstance(each, Liquidated)]
    assert (date, venue, side) == ("2025-01-18", "hyperliquid", "short")
    assert float(reached) == event.trigger_price > float(liquidation) > run.market["close"][run.row(event.at_ns) - 1]
    assert 3 < float(leverage.removesuffix("x")) < 6


def test_every_later_opening_is_counted_as_what_it_is():
    """Full rotations of a pair, and what a strategy of a user's own opens after the start."""
    for example, count in (("capital_rebalance", 1), ("full_rotation", 17), ("funding_gate", 10)):
        grids, run = told(example)
        opened = {event.cause for event in run.single if isinstance(event, OrderFilled) and event.order == "open"}
        assert measures(grids["Activity"])["Openings after the start"] == str(count) == str(len(opened) - 1)


def test_penalties_that_a_strategy_pays_are_in_the_log():
    """The table of liquidations has those of the venues, and says where the others are."""
    notes = [told(example)[0]["Liquidations"].note for example in ("capital_rebalance", "full_rotation")]
    assert ["the event log has them" in note for note in notes] == [False, True]


def test_a_liquidated_leg_below_zero_says_who_pays_for_it():
    """Where nothing forgives what is lost it stays owed; where the study's floor does, it is bad debt."""
    at_four = ("funding_gate", "strategy.leverage=4.0", "strategy.rows=30")
    owing, run = told(*at_four)
    assert any(event.equity < 0 and not event.bad_debt for event in run.single if isinstance(event, Liquidated))
    forgiven, run = told(*at_four, "rulebook.forgive_negative_equity=true")
    assert any(event.bad_debt for event in run.single if isinstance(event, Liquidated))
    assert ["is a debt to the venue" in each["Liquidations"].note for each in (owing, forgiven)] == [True, False]


def test_the_plug_of_the_study_is_told_where_the_study_is_reproduced_alone():
    """Under its rulebook and its look-ahead at entry; without either the word is not there."""
    plug = "The study's MTM drag (its plug)"
    assert plug in measures(told("capital_rebalance")[0]["P&L waterfall"])
    realistic = told("capital_rebalance", "rulebook.look_ahead_at_entry=false")
    assert plug not in measures(realistic[0]["P&L waterfall"])


def test_the_result_stands_beside_its_benchmarks():
    """Holding, lending and the constant rate of the scenario, each with what the run is less than it."""
    grids, run = told("capital_rebalance")
    result = grids["Result"]
    assert result.columns == ("measure", "run", "Holding SOL", "Lending SOL", "4.2 % a year")
    rows = {row[0]: row[1:] for row in result.rows}
    close = run.market["close"]
    mine = float(waterfall(run).result) / 10_000 * 100
    held, constant = (close[-1] / close[0] - 1) * 100, (1.042 ** (len(run.market) / 365) - 1) * 100
    assert (rows["Return"][0], rows["Return"][1]) == (f"{mine:+.2f} %", f"{held:+.2f} %")
    assert rows["Return"][3] == f"{constant:+.2f} %"
    less = rows["Return of the run, less"]
    assert (less[0], less[1], less[3]) == ("", f"{mine - held:+.2f} %", f"{mine - constant:+.2f} %")
    assert "4.2 % a year" not in told("static")[0]["Result"].columns


def test_a_title_and_a_note_are_not_as_narrow_as_their_grid():
    """However few columns are left, neither is broken before the console's width."""
    text = io.StringIO()
    grid = Grid(
        "A title of many more characters than the grid has", ("a", "b"), [("1", "2")], "and a note as long as it"
    )
    grid.show(Console(file=text, width=80))
    assert text.getvalue().splitlines()[0] == grid.title
    assert text.getvalue().endswith(f"{grid.note}\n\n")
