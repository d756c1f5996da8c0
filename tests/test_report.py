"""The printed report: what is told, and that nothing is told of what did not happen."""

import io
from decimal import Decimal

import pytest
from attrs import frozen
from rich.console import Console

from framework import Scenario, Strategy, assemble, waterfall
from framework.grid import Grid
from framework.reports.report import WATERFALL_WORDS, report
from framework.valuation import summarize
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


def told(example, *settings):
    """Title -> grid of an example's report, and its run."""
    assembly = assemble(Scenario.load(ROOT / "examples" / example / "scenario.toml", settings))
    run = assembly.simulation().run()
    grids = list(report(assembly, run, summarize(assembly, run)))
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
    grids, _ = told("capital_rebalance", f"strategy.short={short}")
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
    dollar, pair = (measures(told(example)[0]["Performance"]) for example in ("uss", "static"))
    assert dollar.keys() - pair.keys() == {"Margin calls"}
    assert {"Capital rebalances", "Full rotations"}.isdisjoint(dollar | pair)
    assert dollar["Liquidations"] == pair["Liquidations"] == "0"
    assert measures(told("capital_rebalance")[0]["Performance"])["Capital rebalances"] == "7"


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
    """Never open: no fees, no log, no venue; the performance, the waterfall and the market are there."""
    idle, _ = told("static", "strategy.class=tests.test_report:Idle")
    assert list(idle) == ["Performance", "P&L waterfall", "Delta neutrality", "Market"]


def test_a_title_and_a_note_are_not_as_narrow_as_their_grid():
    """However few columns are left, neither is broken before the console's width."""
    text = io.StringIO()
    grid = Grid(
        "A title of many more characters than the grid has", ("a", "b"), [("1", "2")], "and a note as long as it"
    )
    grid.show(Console(file=text, width=80))
    assert text.getvalue().splitlines()[0] == grid.title
    assert text.getvalue().endswith(f"{grid.note}\n\n")
