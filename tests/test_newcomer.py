"""What a newcomer stumbles over: nothing is lost without a word, and each mistake is one line."""

import json

import numpy as np
import pytest

from framework import (
    DeltaBeyond,
    LeverageAbove,
    Liquidated,
    LiquidationNear,
    MarginBelow,
    Rejected,
    Scenario,
    StillView,
    assemble,
    waterfall,
)
from framework.command_line.cli import main
from framework.command_line.templates import new_venue, write
from framework.errors import CarrybookError
from tests.commands import refused
from tests.runs import ROOT

SCENARIO = """
name = "own"
capital_usd = 1_000
[market]
start = 2025-01-01
end = 2025-02-01
embedded = "sol_daily"
[rulebook]
class = "study"
[strategy]
class = "MODULE:MyIdea"
short = "hyperliquid"
[venues.asgard]
[venues.hyperliquid]
"""
STRATEGY = '''
from attrs import frozen
from framework import *
from strategies.pair import close_pair, open_pair


@frozen
class MyIdea(Strategy):
    """One hook as it is written in the test."""

    short: str

    def on_start(self, view):
        yield from open_pair(view, "asgard", "hyperliquid", 2.0)

    def on_event(self, event, view):
        HOOK
'''


def run(tmp_path, monkeypatch, name, hook):
    """The run of a strategy with this hook, written as a module of this name."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{name}.py").write_text(STRATEGY.replace("HOOK", hook))
    (tmp_path / f"{name}.toml").write_text(SCENARIO.replace("MODULE", name))
    return assemble(Scenario.load(tmp_path / f"{name}.toml")).simulation().run()


def test_orders_returned_after_a_yield_are_an_error(tmp_path, monkeypatch):
    """A generator's return value holds orders that nobody would execute."""
    hook = "if False:\n            yield\n        return close_pair('asgard', 'hyperliquid')"
    with pytest.raises(CarrybookError) as caught:
        run(tmp_path, monkeypatch, "newcomer_lost", hook)
    assert str(caught.value) == (
        "MyIdea.on_event returns orders after a yield, where they would be lost; expected `yield from ...` "
        "(newcomer_lost.py, line 16, in on_event)"
    )


@pytest.mark.parametrize(
    "answer", ["return ()", "return []  # none", "return", "yield from close_pair('asgard', 'hyperliquid')"]
)
def test_a_hook_that_yields_may_end_without_orders(tmp_path, monkeypatch, answer):
    """An empty tuple or list loses nothing, and neither does `yield from`."""
    done = run(tmp_path, monkeypatch, f"newcomer_{len(answer)}", f"if False:\n            yield\n        {answer}")
    closed = [event for event in done.events.single() if getattr(event, "order", None) == "close"]
    assert bool(closed) == ("close_pair" in answer)


@pytest.mark.parametrize("rows", [0, -3])
def test_a_view_takes_one_row_or_more(rows):
    """A slice of no rows has a mean that is no number."""
    view = StillView(price=1.0, columns={"close": np.ones(3)}, past_sizes={"asgard": np.ones(3)})
    asked = {"history": ("close", rows), "sizes": ("asgard", rows), "years": (rows,)}
    for method, arguments in asked.items():
        with pytest.raises(CarrybookError, match=f"{method} takes 1 row or more; got {rows}"):
            getattr(view, method)(*arguments)


@pytest.mark.parametrize(
    ("condition", "name"),
    [(LeverageAbove, "limit"), (MarginBelow, "requirement"), (DeltaBeyond, "share"), (LiquidationNear, "buffer")],
)
@pytest.mark.parametrize("value", ["3", True, None])
def test_a_threshold_is_a_number(condition, name, value):
    """Text is reported as text, by the name of the field."""
    with pytest.raises(TypeError, match=f"{name} is {value!r}; expected a number"):
        condition("hyperliquid", value)


def test_and_between_arrays_is_told_how_to_write_it(tmp_path, monkeypatch):
    """The words of numpy name no operator."""
    hook = "return () if np.ones(2) > 0 and np.ones(2) > 0 else ()".replace("np.", "__import__('numpy').")
    with pytest.raises(CarrybookError, match=r"is ambiguous.*; use & and \|, not `and` and `or`$"):
        run(tmp_path, monkeypatch, "newcomer_and", hook)


def test_explain_as_json_has_what_made_the_amount(saved, capsys):
    """Rate, price and size of an entry, with the rows of the files that they came from; their product is the entry."""
    _, folder = saved("capital_rebalance")
    with pytest.raises(SystemExit):
        main(["explain", str(folder), "funding", "--from", "2025-01-15", "--to", "2025-01-15", "--json"])
    node = json.loads(capsys.readouterr().out)
    while "children" in node:
        (node,) = node["children"]
    assert node["kind"] == "FundingSettled"
    assert node["rate_source"] == node["price_source"]
    assert node["rate_source_row"] == node["price_source_row"] > 1
    assert node["asset"] == "SOL-PERP"
    assert float(node["usd"]) == pytest.approx(-node["rate"] * node["price"] * float(node["size"]), abs=1e-6)


def test_the_printed_log_says_why_an_order_was_rejected(tmp_path, monkeypatch, capsys):
    """In the line of the order, whatever the reason takes of room."""
    hook = "yield Deposit('hyperliquid', 1e6)"
    done = run(tmp_path, monkeypatch, "newcomer_rejected", hook)
    rejected, *_ = [event for event in done.events.single() if isinstance(event, Rejected)]
    with pytest.raises(SystemExit):
        main(["run", str(tmp_path / "newcomer_rejected.toml"), "--out", str(tmp_path / "runs")])
    log = capsys.readouterr().out.partition("Event log")[2].partition("Market:")[0]
    assert "why rejected" in log
    words = log.split()
    assert all(word in words for word in rejected.reason.split())


def test_the_written_venue_takes_a_dated_fee_and_books_its_penalty(tmp_path, monkeypatch):
    """A rule that changes is allowed in its scenario, and a liquidation costs what the account of penalties shows."""
    monkeypatch.syspath_prepend(tmp_path)
    write(new_venue("newcomer_venue"), tmp_path)
    fee = "venues.newcomer_venue.fee_bps=[{since = 2024-01-01, value = 5}, {since = 2025-06-01, value = 8}]"
    scenario = Scenario.load(tmp_path / "newcomer_venue.toml", [fee, "strategy.leverage=5", "strategy.trigger=never"])
    done = assemble(scenario).simulation().run()
    hit = [each for each in done.events.single() if isinstance(each, Liquidated) and each.venue == "newcomer_venue"]
    assert hit
    assert all(each.penalty > 0 for each in hit)
    assert waterfall(done).liquidation_penalty < 0
    assert waterfall(done).unexplained == 0


@pytest.mark.parametrize(("rulebook", "shown"), [("study", True), ("newcomer_rules:Own", False)])
def test_the_plug_of_the_study_is_told_under_its_own_rulebook_alone(tmp_path, monkeypatch, capsys, rulebook, shown):
    """Under a rulebook of one's own it is a figure of nobody's."""
    (tmp_path / "newcomer_rules.py").write_text(
        "from attrs import frozen\nfrom venues.study import Study\n\n\n@frozen\nclass Own(Study):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(ROOT)
    scenario = str(ROOT / "examples" / "capital_rebalance" / "scenario.toml")
    with pytest.raises(SystemExit):
        main(["run", scenario, "--set", f"rulebook.class={rulebook}", "--out", str(tmp_path / "runs")])
    printed = capsys.readouterr().out
    assert "Price P&L" in printed
    assert ("MTM drag" in printed) == shown


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ideas/mine/scenaro.toml", "ideas/mine/scenario.toml"),
        ("idaes/mine/scenario.toml", "ideas/mine/scenario.toml"),
        ("idaes/miine/scenaro.toml", "ideas/mine/scenario.toml"),
        ("ideas/yours/scenario.toml", ""),
        ("ideas/mine/scenario.toml/more", ""),
        (f"{'i' * 300}/scenario.toml", ""),
        ("ideas/mine", ""),
    ],
)
def test_a_misspelt_path_is_suggested(tmp_path, monkeypatch, capsys, typed, meant):
    """Part by part, and only what is there."""
    (tmp_path / "ideas" / "mine").mkdir(parents=True)
    (tmp_path / "ideas" / "mine" / "scenario.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    expected = f"did you mean {meant}?" if meant else "expected a scenario in TOML"
    assert refused(capsys, "run", typed).endswith(f"; {expected}\n")


def test_a_misspelt_directory_of_data_is_suggested(tmp_path, monkeypatch, capsys):
    """So is a file in it."""
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "sol.csv").write_text("")
    monkeypatch.chdir(tmp_path)
    scenario = ROOT / "examples" / "static" / "scenario.toml"
    assert "prizes: no such directory; did you mean prices?" in refused(capsys, "run", scenario, "--data", "prizes")
    imported = ("data", "import", "prices/slo.csv", "--kind", "prices", "--coin", "SOL")
    assert "slo.csv: not readable (No such file or directory); did you mean prices/sol.csv?" in refused(
        capsys, *imported
    )


def test_a_number_where_a_table_belongs_is_told_with_the_keys():
    """A penalty is a table: what of, and which fraction."""
    path = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
    words = r"venues.hyperliquid.liquidation_penalty: 0.01; expected a table with the keys of, fraction"
    with pytest.raises(CarrybookError, match=words):
        assemble(Scenario.load(path, ("venues.hyperliquid.liquidation_penalty=0.01",)))
