"""The rule files of the lenders, and Asgard under the protocols' rulebook on each of them."""

from datetime import date
from itertools import pairwise

import pytest
from attrs import evolve

from framework import Liquidated, Market, Rejected, Scenario, assemble, waterfall
from framework.audit import audit
from framework.clock import NS_PER_DAY
from framework.errors import ScenarioError
from framework.performance import summarize
from framework.rulebook.rules import rules_of
from framework.run_folder.archive import Folder, save
from framework.testing import findings
from tests.markets import START_NS, Script, balance, happened, market, play
from tests.runs import ROOT
from tests.test_asgard_lender import LONG, lent

LENDERS = {"kamino": "kamino", "marginfi": "marginfi", "drift": "drift_spot", "save": "save"}
STUDY_NS = (START_NS - NS_PER_DAY, START_NS + 408 * NS_PER_DAY)
"""The days of the study, 2024-12-31 to 2026-02-13."""


def scenario(lender, leverage=3.0, trigger=4.0, end="2026-02-13", **rules):
    """A pair on the embedded data under the protocols' rulebook, its short by rules of its own."""
    example = Scenario.load(ROOT / "examples" / "capital_rebalance" / "scenario.toml", [])
    short = {"maintenance_margin": 0.025, "liquidation_penalty": {"of": "equity", "fraction": 0.5}}
    return evolve(
        example,
        rulebook={"class": "protocol"},
        market=evolve(example.market, end=date.fromisoformat(end)),
        venues={"asgard": {"lender": lender} | rules, "hyperliquid": short},
        strategy=example.strategy | {"leverage": leverage, "trigger": trigger},
    )


@pytest.mark.parametrize("name", [*LENDERS.values(), "asgard"])
def test_every_rule_reaches_over_the_days_of_the_study(name):
    """Each has a value, a source and a certainty on each of them."""
    rules = rules_of("venues", name)
    assert rules
    for key, rule in rules.items():
        assert rule.key == key
        assert all(each.source and each.certainty for each in rule.between(*STUDY_NS))
        for at_ns in STUDY_NS:
            assert rule.at(at_ns).value is not None


def test_kaminos_rules_on_the_days_on_which_they_were_seen():
    """By chain accounts of August and November 2025, and what changed in September."""
    rules = rules_of("venues", "kamino")
    august, november = START_NS + 223 * NS_PER_DAY, START_NS + 306 * NS_PER_DAY
    told = {name: (rules[name].at(august).value, rules[name].at(november).value) for name in rules}
    assert told["limit_ltv"] == (0.74, 0.74)
    assert told["liquidation_ltv"] == (0.75, 0.75)
    assert told["min_bonus"] == (0.05, 0.01)
    assert told["close_factor"] == (0.2, 0.1)
    assert told["max_bonus"] == (0.1, 0.1)
    assert rules["liquidation_ltv"].at(august).certainty == "observed"


@pytest.mark.slow
@pytest.mark.parametrize("lender", LENDERS)
def test_a_lender_keeps_the_rules_of_the_house(lender, tmp_path):
    """The conformance kit finds nothing, nor does a thorough audit of a run with liquidations and rejections."""
    subject = scenario(lender, 3.0 if lender in ("kamino", "save") else 4.0, 20.0, "2025-02-28")
    assert findings(subject) == []
    assembly = assemble(subject)
    run = assembly.simulation().run()
    assert {each.closed for each in happened(run, Liquidated) if each.venue == "asgard"} >= {False}
    assert waterfall(run).unexplained == 0
    folder = Folder(save(assembly, run, summarize(assembly, run), tmp_path))
    assert [each for each in audit(folder, thorough=True) if not each.passed] == []


def test_four_times_the_equity_is_more_than_kamino_lends():
    """The loan is rejected, on a lender that lends more it is not; at once liquidated would be 5x on none of them."""
    rejected = happened(assemble(scenario("kamino", 3.9, 6.0)).simulation().run(), Rejected)
    assert any("kamino lends up to 0.74 of their worth" in each.reason for each in rejected)
    with pytest.raises(ScenarioError, match=r"expected less than 4, at which asgard liquidates at once"):
        assemble(scenario("kamino", 4.0, 6.0))
    opened = assemble(scenario("drift", 4.0, 6.0)).simulation().run()
    assert opened.curve.size_by_venue["asgard"][0] > 0


def test_a_lender_that_is_none_is_one_line():
    """It names those of which there are rules."""
    words = r"^venues\.asgard\.lender: no rules of 'aave'; there are rules of kamino, marginfi, drift, save$"
    with pytest.raises(ScenarioError, match=words):
        assemble(scenario("aave"))


def test_days_without_rules_are_one_line():
    """Nobody knows what Kamino asked for before the account of its market that was seen first."""
    rows = market([100.0, 100.0])
    early = Market(open_ns=rows.open_ns - 600 * NS_PER_DAY, at_ns=rows.at_ns - 600 * NS_PER_DAY, columns=rows.columns)
    with pytest.raises(ScenarioError, match=r"^venues\.asgard\.[\w.]+: the rule begins at 202\d-\d\d-\d\d"):
        assemble(scenario("kamino"), market=early)


@pytest.mark.parametrize(("low", "acts"), [(81.0, 0), (79.0, 1), (75.0, 2)])
def test_within_a_row_liquidators_come_at_each_line_that_is_crossed(low, acts):
    """At $80 the first fifth is repaid; that moves the line to $75.96, where the next fifth is, as closed forms say."""
    prices = market([100.0, 90.0], low=[100.0, low])
    run = play(prices, [lent()], Script(start=[LONG]), path="adverse_first")
    coins, owed, penalties = 100.0, 6_000.0, 0.0
    for _ in range(acts):
        price = owed / (0.75 * coins)
        repaid = 0.2 * owed
        coins, owed, penalties = coins - 1.05 * repaid / price, owed - repaid, penalties + 0.05 * repaid
    told = happened(run, Liquidated)
    assert len(told) == acts
    assert sum(each.penalty for each in told) == pytest.approx(penalties * 1e6, abs=2 * acts)
    assert balance(run, "Assets:Asgard:Collateral", "SOL") == pytest.approx(coins * 1e9, abs=2)
    assert run.curve.equity_usd_by_venue["asgard"][-1] == pytest.approx(coins * 90.0 - owed, abs=1e-5)


def test_marginfi_liquidates_in_small_steps_down_to_a_low():
    """Where it lends up to 90 %, each act brings the loan back to the line from half a percent beyond it."""
    prices = market([100.0, 70.0], low=[100.0, 65.0])
    run = play(prices, [lent("marginfi")], Script(start=[LONG]), path="adverse_first")
    told = happened(run, Liquidated)
    assert len(told) > 3
    assert [each.closed for each in told] == [False] * len(told)
    assert all(later.price < 0.9999 * earlier.price for earlier, later in pairwise(told))
    assert told[-1].price > 65.0


def test_a_liquidation_names_the_lenders_rules_that_bound_it():
    """Line, close factor and bonus, by their keys in the lender's table."""
    run = assemble(scenario("kamino", 3.0, 20.0, "2025-02-28")).simulation().run()
    told = next(each for each in happened(run, Liquidated) if each.venue == "asgard")
    assert told.rules == ("terms.liquidation_ltv", "terms.close_factor", "terms.min_bonus")
