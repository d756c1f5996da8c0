"""Drift by its own rules: margins, borrows and partial liquidations of accounts of which everything is known."""

import re
from fractions import Fraction

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from framework import (
    Deposit,
    MoveTokens,
    Open,
    OrderFilled,
    Rejected,
    Resize,
    Scenario,
    Side,
    Swap,
    Withdraw,
    assemble,
    waterfall,
)
from framework.clock import NS_PER_HOUR
from framework.errors import ScenarioError
from framework.events import Acted, Liquidated
from framework.market import Market
from framework.money import USDC
from framework.rulebook.rules import rules_of
from framework.testing import Setup, conforms
from framework.venue import Penalty
from tests.markets import Script, asgard, balance, dollar_market, flat, happened, jito, market, play
from tests.runs import ROOT
from tests.test_testing import TABLE, Busy
from venues.drift import Drift

RULES = {
    "taker_fee_bps": 0.0,
    "initial_margin": 0.10,
    "maintenance_margin": 0.05,
    "imf": 0.0002,
    "liquidator_fee": 0.0075,
    "insurance_fee": 0.0125,
    "liquidation_buffer": 0.02,
}
"""SOL-PERP in 2024."""
SMALL = 0.05
"""The maintenance margin of a position that is too small for the factor to count: below 2,500 coins."""


def venue(**rules: object) -> Drift:
    """Drift by its own rules, without a taker fee; `rules` override its fields."""
    return Drift(**(RULES | rules))


def short(size: float, funds_usd: float) -> Open:
    return Open("drift", Side.SHORT, size, funds_usd)


def held(run, name: str = "Assets:Drift:Margin") -> float:
    return USDC.units(balance(run, name))


def contracts(run) -> int:
    return balance(run, "Assets:Drift:Position", "SOL-PERP")


# -- what orders and payments need


def test_an_order_needs_the_initial_margin():
    """A short of $10,000 needs $1,000; a cent less is rejected, and the reason names the rule."""
    for funds_usd, filled in ((1_000.0, True), (999.99, False)):
        run = play(flat(2), [venue()], Script(start=[short(100.0, funds_usd)]))
        assert bool(happened(run, OrderFilled)) is filled
        for rejected in happened(run, Rejected):
            assert rejected.reason == (
                "drift would have 999.990000 USD for an initial margin of 1000.000000 USD (initial_margin); "
                "expected a smaller position, or more margin"
            )


def test_margins_grow_with_the_size():
    """1,000,000 coins: 28 % and 24 % of the notional, as the tables of the program have it."""
    run = play(flat(2, 10.0), [venue()], Script(start=[short(1e6, 2.9e6)]), capital_usd=1e7)
    books = run._standings[0].books  # noqa: SLF001
    assert books.value("drift", "initial") == pytest.approx(2.8e6)
    assert books.value("drift", "maintenance") == pytest.approx(2.4e6)
    rejected = play(flat(2, 10.0), [venue()], Script(start=[short(1e6, 2.79e6)]), capital_usd=1e7)
    assert happened(rejected, Rejected)


def test_a_profit_that_is_not_settled_neither_opens_nor_leaves():
    """The price falls by a tenth: the short's profit of $1,000 counts for the maintenance margin alone."""
    table = market([100.0, 90.0, 90.0])
    orders = {1: [Resize("drift", 200.0), Withdraw("drift", 600.01), Withdraw("drift", 600.0)]}
    run = play(table, [venue()], Script(start=[short(100.0, 1_500.0)], after=orders))
    resize, withdrawal = happened(run, Rejected)
    assert "1500.000000 USD for an initial margin of 1800.000000 USD" in resize.reason
    assert "expected at most the 600.000000 USD that are free there" in withdrawal.reason
    assert held(run) == pytest.approx(900.0)


def test_a_loss_counts_at_once():
    table = market([100.0, 104.0, 104.0])
    run = play(table, [venue()], Script(start=[short(100.0, 1_500.0)], after={1: [Withdraw("drift", 60.01)]}))
    (rejected,) = happened(run, Rejected)
    assert "expected at most the 60.000000 USD that are free there" in rejected.reason


def test_tokens_leave_only_down_to_the_initial_margin():
    """100 jitoSOL at $100 weigh 80 %: $8,000 for a short of $40,000, which needs 4,000; 50 tokens may go, not 51."""
    table = dollar_market([100.0, 100.0, 100.0])
    made = venue(
        collateral="JITOSOL", collateral_weight=0.9, initial_collateral_weight=0.8, funding_rate="funding_rate"
    )
    start = [
        Swap("jito", "USDC", "JITOSOL", 10_000.0),
        MoveTokens("jito", "drift", "JITOSOL", 100.0),
        short(400.0, 0.0),
    ]
    moves = [MoveTokens("drift", "jito", "JITOSOL", 51.0), MoveTokens("drift", "jito", "JITOSOL", 50.0)]
    run = play(table, [jito(), made], Script(start=start, after={1: moves}))
    (rejected,) = happened(run, Rejected)
    assert rejected.reason == "drift would be short of 80.000000 USD of margin; expected to leave more"
    assert balance(run, "Assets:Drift:Collateral", "JITOSOL") == 50_000_000_000


# -- borrows


def borrowing(prices, **rules: object) -> tuple[Market, Drift]:
    """Days with 10 % a year on what is borrowed, and Drift with jitoSOL as collateral."""
    table = dollar_market(prices)
    table = Market(
        open_ns=table.open_ns, at_ns=table.at_ns, columns=table.columns | {"usdc_rate": np.full(len(prices), 0.1)}
    )
    weights = {"collateral_weight": 0.9, "initial_collateral_weight": 0.8, "funding_rate": "funding_rate"}
    return table, venue(collateral="JITOSOL", borrow_rate="usdc_rate", **(weights | rules))


HEDGED = [Swap("jito", "USDC", "JITOSOL", 10_000.0), MoveTokens("jito", "drift", "JITOSOL", 100.0), short(100.0, 0.0)]


def test_a_settled_loss_is_borrowed_and_bears_interest():
    """The short loses $2,000, which are borrowed at once; two days of them cost 10 % x 2/365."""
    table, made = borrowing([100.0, 120.0, 120.0, 120.0], settle_losses_above=0.01)
    run = play(table, [jito(), made], Script(start=HEDGED))
    (settled,) = happened(run, Acted)
    assert settled.act == "owes"
    expected = 2_000 * (1 + 0.1 / 365) ** 2
    assert held(run, "Liabilities:Drift:Borrowed") == pytest.approx(-expected, abs=2e-6)
    assert held(run, "Expenses:Drift:Interest") == pytest.approx(expected - 2_000, abs=2e-6)
    assert held(run) == 0
    assert run.curve.equity_usd[-1] == pytest.approx(10_000 - (expected - 2_000), abs=1e-5)
    assert waterfall(run).unexplained == 0


def test_a_small_loss_is_left_unsettled():
    table, made = borrowing([100.0, 100.9, 100.9], settle_losses_above=0.01)
    run = play(table, [jito(), made], Script(start=HEDGED))
    assert not happened(run, Acted)
    assert held(run, "Liabilities:Drift:Borrowed") == 0


def test_a_deposit_repays_the_borrow_first_and_earns_after():
    """Of $3,000 two go to what was borrowed; the rest is margin."""
    table, made = borrowing([100.0, 120.0, 120.0], settle_losses_above=0.01)
    capital = {"capital_usd": 13_000.0}
    run = play(table, [jito(), made], Script(start=HEDGED, after={1: [Deposit("drift", 3_000.0)]}), **capital)
    assert held(run, "Liabilities:Drift:Borrowed") == 0
    assert held(run) == pytest.approx(1_000.0)


def test_deposits_earn():
    """A year of 5 % on $1,000, a row a day: simple, on what the last act left."""
    table = flat(366)
    table = Market(open_ns=table.open_ns, at_ns=table.at_ns, columns=table.columns | {"usdc_rate": np.full(366, 0.05)})
    run = play(table, [venue(deposit_rate="usdc_rate")], Script(after={0: [Deposit("drift", 1_000.0)]}))
    assert held(run) == pytest.approx(1_050.0, abs=1e-5)
    assert held(run, "Income:Drift:DepositInterest") == pytest.approx(-50.0, abs=1e-5)
    assert waterfall(run).unexplained == 0


# -- liquidations


def test_a_liquidation_takes_just_enough_to_restore_the_buffer():
    """Shorts of $10,000 at a price at which the equity is 4 % of them: sized by hand from the rule."""
    price, size = 110.0, 100.0
    notional = size * price
    equity = 0.04 * notional
    run = play(market([100.0, price]), [venue()], Script(start=[short(size, equity + 1_000.0)]))
    (event,) = happened(run, Liquidated)
    loss = 1_000.0
    missing = 0.07 * notional - (equity - 0.02 * loss)
    insurance = min(0.0125, 0.95 * (0.07 - 0.0075 - missing / notional))
    insurance = np.floor(insurance * 1e6 + 1e-9) / 1e6
    taken = missing / (price * (0.07 - 0.0075 - insurance))
    assert event.closed is False
    assert contracts(run) / 1e9 == pytest.approx(-(size - taken), abs=1e-4)
    assert USDC.units(event.penalty) == pytest.approx(taken * price * (0.0075 + insurance), abs=1e-2)
    books = run._standings[0].books  # noqa: SLF001
    left = books.value("drift", "notional")
    assert books.value("drift", "total_collateral") >= 0.07 * left - 1e-3
    assert (
        books.value("drift", "total_collateral") <= 0.07 * left + 0.02 * books.value("drift", "unsettled_loss") + 1e-3
    )


def test_a_shortage_that_nothing_covers_takes_the_whole_position():
    """DL02 of the program's tests: 1 SOL sold at $50 stands at $100, and nothing is left for the insurance fund."""
    table = market([50.0, 100.0])
    made = venue(initial_margin=None, liquidator_fee=0.01, insurance_fee=0.01, liquidation_buffer=0.001, imf=None)
    run = play(table, [made], Script(start=[short(1.0, 3.0)]))
    (event,) = happened(run, Liquidated)
    assert (event.closed, USDC.units(event.penalty), USDC.units(event.bad_debt)) == (True, 1.0, 48.0)
    assert held(run) == 0


def test_coins_are_taken_in_steps_and_slowly_where_rows_are_short():
    """In a row of 15 s a tenth and a quarter of the shortage may go; in one of a minute or more, all of it."""
    table = market([100.0, 110.0], row_ns=15 * 10**9)
    rules = {"order_step": 0.01, "liquidation_share": 0.1, "liquidation_duration_s": 60.0}
    funds_usd = 0.04 * 110_000.0 + 10_000.0
    slow = play(table, [venue(**rules)], Script(start=[short(1_000.0, funds_usd)]), capital_usd=20_000.0)
    at_once = play(
        market([100.0, 110.0]), [venue(**rules)], Script(start=[short(1_000.0, funds_usd)]), capital_usd=20_000.0
    )
    gone = [1_000_000_000_000 + contracts(run) for run in (slow, at_once)]
    assert gone[0] / gone[1] == pytest.approx(0.35, abs=1e-3)
    assert [each % 10_000_000 for each in gone] == [0, 0]


def test_collateral_is_sold_for_what_positions_leave_owing():
    """Ten times as many contracts as tokens: the short is gone, and then tokens at 3 % less pay for what is owed."""
    table, made = borrowing([100.0, 109.5], initial_margin=None, collateral_fee=0.03)
    start = [*HEDGED[:2], short(1_000.0, 0.0)]
    run = play(table, [jito(), made], Script(start=start))
    (event,) = happened(run, Liquidated)
    assert event.closed is True
    assert 0 < balance(run, "Assets:Drift:Collateral", "JITOSOL") < 100_000_000_000
    assert (held(run, "Liabilities:Drift:Borrowed"), event.bad_debt) == (0, 0)
    sold = 100 - balance(run, "Assets:Drift:Collateral", "JITOSOL") / 1e9
    assert sold * 109.5 * 0.97 == pytest.approx(9_500.0 + USDC.units(event.penalty), abs=1e-4)
    assert waterfall(run).unexplained == 0


def test_what_nobody_can_pay_is_borne_by_the_protocol():
    """Tokens and all do not suffice: the account ends empty, and the debt is no other account's of ours."""
    table, made = borrowing([100.0, 140.0], initial_margin=None, collateral_fee=0.03)
    run = play(table, [jito(), made], Script(start=[*HEDGED[:2], short(1_000.0, 0.0)]), capital_usd=12_000.0)
    (event,) = happened(run, Liquidated)
    owned = {account.name: atoms for account, atoms in run.ledger.balances().items() if account.owned}
    assert {name for name, atoms in owned.items() if atoms} == {"Assets:Wallet:Cash"}
    assert owned["Assets:Wallet:Cash"] == 2_000_000_000
    assert event.bad_debt == -balance(run, "Income:Drift:BadDebt") > 0
    assert waterfall(run).unexplained == 0


@given(
    st.floats(1.0, 5_000.0), st.floats(1.5, 9.5), st.sampled_from([Side.LONG, Side.SHORT]), st.floats(0.3, 3.0),
    st.sampled_from([{}, {"order_step": 0.01}, {"liquidator_fee": 0.01, "insurance_fee": 0.025}]),
)  # fmt: skip
def test_a_liquidated_account_is_healthy_or_empty(size, leverage, side, factor, rules):
    """A move of any size: never more than there is is taken, and no debt is left on the account."""
    run = play(
        market([100.0, 100.0 * factor]),
        [venue(**rules)],
        Script(start=[Open("drift", side, size, size * 100.0 / leverage + 1.0)]),
        capital_usd=1e6,
    )
    books, before = run._standings[0].books, 10**9 * size  # noqa: SLF001
    collateral, needed = books.value("drift", "total_collateral"), books.value("drift", "maintenance")
    for event in happened(run, Liquidated):
        assert 0 <= abs(contracts(run)) <= before
        assert event.bad_debt == 0 or (collateral == 0 and event.closed)
        assert collateral >= needed - 1e-6
    if not happened(run, Liquidated):
        assert collateral > needed
    assert waterfall(run).unexplained == 0


@given(st.floats(0.001, 0.0499), st.floats(1.0, 2_000.0), st.sampled_from([1, -1]))
def test_a_partial_liquidation_raises_the_health_of_the_account(share, size, sign):
    """The margin as a share of what is needed is never less than before, as the fees lie below the margin."""
    price = 100.0 * (1 - sign * 0.1)
    funds_usd = share * size * price + 10.0 * size
    side = Side.LONG if sign > 0 else Side.SHORT
    run = play(market([100.0, price]), [venue()], Script(start=[Open("drift", side, size, funds_usd)]), capital_usd=1e6)
    (event,) = happened(run, Liquidated)
    books = run._standings[0].books  # noqa: SLF001
    if not event.closed:
        assert books.value("drift", "total_collateral") / books.value("drift", "maintenance") >= share / SMALL
    assert event.penalty <= USDC.nearest(share * size * price * 1.001) + 1 or event.closed


# -- rules as values


def test_under_the_studys_values_the_rules_give_the_studys_run():
    """No initial margin, no factor of the size, and its penalty: the same run to the last transfer."""
    path = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
    short_on = ["strategy.short=drift"]
    study = assemble(Scenario.load(path, short_on)).simulation().run()
    same = ["imf=0.0", "liquidation_buffer=0.02", "collateral_imf=0.0", "order_step=0.01"]
    run = assemble(Scenario.load(path, short_on + [f"venues.drift.{each}" for each in same])).simulation().run()
    assert run.ledger.digest == study.ledger.digest


def scenario(rules: dict, end: str = "2025-12-31") -> Scenario:
    """A year of a venue under these rules, and a strategy that does nothing."""
    return Scenario.of(
        {
            "name": "rules",
            "capital_usd": 1_000,
            "market": {"start": "2025-01-01", "end": end, "embedded": "sol_daily"},
            "strategy": {"class": "tests.test_hyperliquid_protocol:Idle"},
            "venues": {"drift": rules},
        }
    )


def test_the_rules_of_the_file_are_rules_of_the_venue():
    """Each has its field, and none that is not verified is anywhere but in the file."""
    found = rules_of("venues", "drift")
    made = assemble(scenario({key: rule.setting() for key, rule in found.items()})).venues[0]
    assert made.maintenance_margin.values[-1] == 0.03
    assert {key for key, rule in found.items() if rule.values[-1].certainty == "unverified"} == {
        "liquidation_buffer", "liquidation_share", "liquidation_duration_s", "settle_losses_above",
    }  # fmt: skip


def test_drift_has_no_rules_after_the_first_of_april_2026():
    """Every rule ends with the venue: a market that goes on is refused in one line."""
    found = rules_of("venues", "drift")
    assert {rule.values[-1].until_ns for rule in found.values()} == {1_775_059_500 * 10**9}
    until = {key: [{"since": "2024-01-01", "value": 0.1, "until": "2025-06-01"}] for key in ("initial_margin",)}
    with pytest.raises(ScenarioError, match=re.escape("venues.drift.initial_margin: the rule ends at 2025-06-01")):
        assemble(scenario({"taker_fee_bps": 3.5, "maintenance_margin": 0.03, "liquidation_buffer": 0.02} | until))


def test_a_liquidation_without_penalty_and_buffer_is_refused():
    """It would end at the line, and come again without end."""
    words = (
        "venues.drift.liquidation_buffer: None; expected above 0 without a liquidation_penalty, or a liquidation would "
        "leave a position at its line"
    )
    with pytest.raises(ScenarioError, match=f"^{re.escape(words)}$"):
        assemble(scenario({"taker_fee_bps": 3.5, "maintenance_margin": 0.03}))


# -- the house


def test_the_protocols_rules_conform():
    """Whatever a pair does, with orders of which some are rejected."""
    made = venue(taker_fee_bps=3.5, order_step=0.01, initial_margin=0.05, maintenance_margin=0.03)
    conforms(Setup(market=TABLE, venues=[asgard(open_fee_bps=15.0), made], strategy=Busy("asgard", "drift")))


def test_collateral_with_a_borrow_conforms():
    """Tokens as collateral of a short whose losses are settled, borrowed and repaid."""
    table, made = borrowing([100.0, 104.0, 99.0, 107.0, 112.0, 101.0, 95.0, 103.0], settle_losses_above=0.01)
    orders = {
        2: [Deposit("drift", 50.0)],
        4: [Resize("drift", 120.0)],
        5: [MoveTokens("drift", "jito", "JITOSOL", 5.0)],
    }
    strategy = Script(start=HEDGED, after=orders)
    conforms(Setup(market=table, venues=[jito(), made], strategy=strategy, capital_usd=11_000.0))


def test_a_penalty_is_the_studys_liquidation():
    """The penalty of the notional, and the position stays for the strategy to close."""
    made = evolve(venue(), liquidation_penalty=Penalty("notional", 0.025), liquidation_closes=False)
    run = play(market([100.0, 110.0]), [made], Script(start=[short(100.0, 0.04 * 11_000.0 + 1_000.0)]))
    (event,) = happened(run, Liquidated)
    assert (event.closed, Fraction(event.penalty, 10**6)) == (False, 275)
    assert contracts(run) == -100_000_000_000


def test_the_hour_is_the_length_of_a_row():
    """The throttle counts the row's seconds: an hour is more than enough for all."""
    table = market([100.0, 110.0], row_ns=NS_PER_HOUR)
    rules = {"liquidation_share": 0.1, "liquidation_duration_s": 60.0}
    runs = [play(table, [venue(**each)], Script(start=[short(100.0, 1_440.0)])) for each in (rules, {})]
    assert contracts(runs[0]) == contracts(runs[1])
