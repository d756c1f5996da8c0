"""The stake pool: steps of its rate as income before its fee, two ways out, a price of its own, and bad rates."""

import re
from fractions import Fraction

import numpy as np
import pytest
from attrs import evolve, frozen

from framework import (
    CarrybookError,
    ChargeRebalance,
    Deposit,
    Ended,
    EveryRow,
    FeeAccrued,
    Market,
    Mint,
    MoveTokens,
    Open,
    OrderFilled,
    PayPenalty,
    Redeem,
    Rejected,
    RewardAccrued,
    Scenario,
    Side,
    Stake,
    Strategy,
    Swap,
    Unstake,
    Unstaked,
    Withdraw,
    assemble,
    waterfall,
)
from framework.clock import NS_PER_DAY, NS_PER_SECOND
from framework.rulebook.rules import Dated
from framework.valuation import chronicle
from tests.commands import refused
from tests.conftest import ROOT
from tests.markets import START_NS, Script, balance, collateral, dollar_market, drift, happened, jito, market, play
from venues.issuer import Issuer
from venues.jito import EPOCH_S
from venues.protocol import Protocol

BUY = Swap("jito", "USDC", "JITOSOL", 10_000.0)
STEPS = [1.0, 1.0, 1.0011, 1.0011, 1.0023, 1.0023]
"""A pool's rate by row: two epochs end."""


def staked(table, *venues, start=(BUY,), after=None, **options):
    """A run that begins with jitoSOL for $10,000."""
    strategy = Script(start=start, after=after or {})
    return play(table, venues or [jito()], strategy, at_first_open=True, **options)


def nearest(value):
    """A fraction as the nearest integer, ties to even."""
    return round(Fraction(value))


@pytest.mark.parametrize("fee", ["0", "0.04", "0.5"])
def test_a_step_is_income_before_the_pools_fee_with_the_fee_beside_it(fee):
    """100 tokens gain 0.23 SOL: 0.23 / (1 - fee) are income, fee times that an expense, to the atomic unit."""
    run = staked(dollar_market([100.0] * 6, rate=STEPS), jito(reward_fee=float(fee)))
    gain = nearest(100 * Fraction("0.0023") * 10**9)
    taken = nearest(100 * Fraction("0.0023") * Fraction(fee) / (1 - Fraction(fee)) * 10**9)
    assert balance(run, "Assets:Jito:Tokens", "JITOSOL") == 100 * 10**9
    assert balance(run, "Equity:Jito:Accretion", "SOL") == gain
    assert balance(run, "Expenses:Jito:RewardFee", "SOL") == taken
    assert -balance(run, "Income:Jito:Staking", "SOL") == gain + taken
    assert gain + taken == pytest.approx(gain / (1 - float(fee)), abs=1)
    steps = waterfall(run)
    assert steps.unexplained == 0
    assert float(steps.result) == pytest.approx(100 * 0.0023 * 100)
    assert float(steps.staking) == pytest.approx(23 / (1 - float(fee)))
    assert float(steps.staking + steps.fees) == pytest.approx(23)
    assert float(steps.price_pnl) == pytest.approx(0, abs=1e-5)


def test_nothing_is_earned_between_the_epochs():
    """One reward and one fee per step, in the row in which the epoch ends, at that row's price and on all tokens."""
    table = dollar_market([100.0, 100.0, 110.0, 120.0, 130.0, 140.0], rate=STEPS)
    run = staked(table, jito(reward_fee=0.04))
    rewards, fees = happened(run, RewardAccrued), happened(run, FeeAccrued)
    assert [event.at_ns for event in rewards] == [event.at_ns for event in fees] == [table.at_ns[2], table.at_ns[4]]
    assert [event.amount for event in rewards] == [110_000_000, 120_000_000]
    assert [event.amount for event in fees] == [-4_583_333, -5_000_000]
    assert [event.price for event in rewards] == [110.0, 130.0]
    assert {(event.asset, event.size, event.venue) for event in rewards + fees} == {("JITOSOL", 100 * 10**9, "jito")}
    assert [event.rate for event in rewards] == pytest.approx([0.0011, 0.0012])
    assert [event.rate for event in fees] == pytest.approx([0.0011 * 0.04 / 0.96, 0.0012 * 0.04 / 0.96])


def test_tokens_earn_wherever_they_lie():
    """Posted as collateral they are the pool's tokens all the same: income and worth are as if they had stayed."""
    table = dollar_market([100.0] * 6, rate=STEPS)
    venues = [jito(), collateral()]
    moved = staked(table, *venues, start=[BUY, MoveTokens("jito", "drift", "JITOSOL", 60.0)])
    kept = staked(table, *venues)
    for run in (moved, kept):
        assert -balance(run, "Income:Jito:Staking", "SOL") == 230_000_000
        assert run.curve.equity_usd[-1] == pytest.approx(100 * 100 * 1.0023)
    assert balance(moved, "Assets:Drift:Collateral", "JITOSOL") == 60 * 10**9
    assert [event.size for event in happened(moved, RewardAccrued)] == [100 * 10**9] * 2


def test_what_is_sold_before_a_step_has_no_part_in_it():
    """A step counts for the tokens that are held when it comes."""
    selling = {1: [Swap("jito", "JITOSOL", "USDC", 40.0)], 2: [Swap("jito", "JITOSOL", "USDC", 30.0)]}
    run = staked(dollar_market([100.0] * 6, rate=STEPS), after=selling)
    assert [event.amount for event in happened(run, RewardAccrued)] == [60 * 1_100_000, 30 * 1_200_000]
    assert balance(run, "Assets:Jito:Tokens", "JITOSOL") == 30 * 10**9


@pytest.mark.parametrize(("latency_s", "row"), [(0.0, 1), (3_600.0, 2), (86_400.0, 2), (EPOCH_S, 4), (3 * 86_400.0, 4)])
def test_a_delayed_unstaking_brings_the_pools_rate_less_its_fee_after_an_epoch(latency_s, row):
    """The SOL is fixed at once, waits, earns nothing more, and can be used from the instant on which it arrives."""
    seen = []

    class Watcher(Strategy):
        def conditions(self):
            return (EveryRow(),)

        def on_start(self, view):
            return [BUY]

        def on_event(self, event, view):
            seen.append((event.kind, view.at_ns))
            return [Unstake("jito", 100.0)] if view.at_ns == table.at_ns[1] and event.kind == "ConditionMet" else ()

    table = dollar_market([100.0] * 6, rate=[1.0, 1.05, 1.05, 1.1, 1.1, 1.2], first_rate=1.0)
    run = play(table, [jito(withdrawal_fee=0.001, unstaking_s=latency_s)], Watcher(), at_first_open=True)
    (asked,) = [event for event in happened(run, OrderFilled) if event.order == "unstake"]
    (arrived,) = happened(run, Unstaked)
    coins = nearest(100 * Fraction("0.999") * Fraction("1.05") * 10**9)
    assert (asked.size, asked.amount, arrived.amount) == (-100 * 10**9, coins, coins)
    assert asked.fee == nearest(Fraction("0.1") * 105 * 10**6)
    assert balance(run, "Expenses:Jito:WithdrawalFee", "JITOSOL") == 10**8
    assert arrived.cause == asked.event
    assert arrived.at_ns - asked.at_ns == round(latency_s * NS_PER_SECOND)
    assert ("Unstaked", arrived.at_ns) in seen
    assert (balance(run, "Assets:Jito:Coins", "SOL"), balance(run, "Assets:Jito:Unstaking", "SOL")) == (coins, 0)
    assert [event.at_ns for event in happened(run, RewardAccrued)] == [table.at_ns[1]]
    assert (arrived.at_ns - table.open_ns[0]) // NS_PER_DAY == row
    assert run.curve.equity_usd[2:].tolist() == pytest.approx([coins / 1e9 * 100] * 4)
    assert waterfall(run).unexplained == 0


def test_an_unstaking_that_outlasts_the_run_still_counts():
    """The coins wait at the end, and are part of the equity."""
    run = staked(dollar_market([100.0] * 3), after={1: [Unstake("jito", 100.0)]})
    assert happened(run, Unstaked) == []
    assert balance(run, "Assets:Jito:Unstaking", "SOL") == 100 * 10**9
    assert run.curve.equity_usd[-1] == 10_000.0


def test_the_log_shows_what_was_staked_in_dollars():
    """100 SOL at $110 are $11,000, and 95 SOL at $120 that an unstaking brings are $11,400."""
    after = {1: [Stake("jito", 100.0)], 2: [Unstake("jito", 95.0)]}
    pool = jito(withdrawal_fee=0.0)
    coins = [Swap("jito", "USDC", "SOL", 10_000.0)]
    lines = list(chronicle(staked(dollar_market([100.0, 110.0, 120.0, 120.0]), pool, start=coins, after=after)))
    assert [(line.kind, line.notional_usd) for line in lines[1:]] == [("stake", 11_000.0), ("unstake", 11_400.0)]


@pytest.mark.parametrize("discount", [0.0, 0.0005, 0.002, 0.15])
def test_the_instant_way_out_takes_the_discount_the_delayed_one_the_pools_fee(discount):
    """A swap gives price x (1 - fee) now, an unstaking rate x 0.999 later: which is more depends on the discount."""
    table = dollar_market([100.0] * 6, rate=1.05, premium=[0.0, -discount, -discount, -discount, -discount, -discount])
    pool = jito(swap_fee_bps=5.0, withdrawal_fee=0.001)
    tokens = 10_000 / 105 * (1 - 0.0005)
    instant = staked(table, pool, after={1: [Swap("jito", "JITOSOL", "SOL", tokens - 1e-6)]})
    delayed = staked(table, pool, after={1: [Unstake("jito", tokens - 1e-6)]})
    swapped, unstaked = (balance(run, "Assets:Jito:Coins", "SOL") / 1e9 for run in (instant, delayed))
    assert swapped == pytest.approx((tokens - 1e-6) * (1 - 0.0005) * 1.05 * (1 - discount), abs=2e-9)
    assert unstaked == pytest.approx((tokens - 1e-6) * 0.999 * 1.05, abs=2e-9)
    assert (swapped > unstaked) == ((1 - 0.0005) * (1 - discount) > 0.999)
    assert waterfall(instant).unexplained == waterfall(delayed).unexplained == 0


def test_staking_gives_tokens_at_the_pools_rate_and_swapping_at_the_markets():
    """At a premium of 2 % staking is 2 % cheaper; neither costs a fee."""
    table = dollar_market([100.0] * 4, rate=1.05, premium=0.02)
    coins = [Swap("jito", "USDC", "SOL", 10_000.0)]
    minted = staked(table, start=coins, after={1: [Stake("jito", 100.0)]})
    bought = staked(table, start=coins, after={1: [Swap("jito", "SOL", "JITOSOL", 100.0)]})
    assert balance(minted, "Assets:Jito:Tokens", "JITOSOL") == nearest(100 / Fraction("1.05") * 10**9)
    assert balance(bought, "Assets:Jito:Tokens", "JITOSOL") == nearest(
        100 / Fraction("1.05") / Fraction("1.02") * 10**9
    )
    assert minted.curve.equity_usd.tolist() == pytest.approx([10_000.0, 10_200.0, 10_200.0, 10_200.0])
    assert bought.curve.equity_usd.tolist() == pytest.approx([10_000.0] * 4)
    for run in (minted, bought):
        assert waterfall(run).unexplained == 0


def test_a_premium_is_part_of_the_price_and_not_of_the_income():
    """Bought at par, valued at a discount of 15 %: staking income follows the rate, the loss is price P&L."""
    table = dollar_market([100.0] * 6, rate=STEPS, premium=[0.0, -0.05, -0.15, -0.15, -0.15, -0.15])
    run = staked(table, jito(reward_fee=0.04))
    steps = waterfall(run)
    assert run.curve.equity_usd.tolist() == pytest.approx([10_000.0, 9_500.0] + [8_500 * rate for rate in STEPS[2:]])
    assert float(steps.staking + steps.fees) == pytest.approx(23.0)
    assert float(steps.price_pnl) == pytest.approx(8_500 * 1.0023 - 10_000 - 23, abs=1e-5)
    assert steps.unexplained == 0


@pytest.mark.parametrize(
    ("sell", "amount", "fee"), [("USDC", 1_000.0, 2 * 10**6), ("SOL", 10.0, 2 * 10**7), ("JITOSOL", 5.0, 10**7)]
)
def test_a_swap_fee_is_a_share_of_what_is_sold(sell, amount, fee):
    """20 bps of it, in its own asset, on an account of its own; the event says it in USD."""
    table = dollar_market([100.0] * 4, rate=1.05)
    start = [Swap("jito", "USDC", "SOL", 3_000.0), Swap("jito", "USDC", "JITOSOL", 3_000.0)]
    buy = "SOL" if sell == "JITOSOL" else "JITOSOL"
    before = staked(table, jito(swap_fee_bps=20.0), start=start)
    run = staked(table, jito(swap_fee_bps=20.0), start=start, after={1: [Swap("jito", sell, buy, amount)]})
    assert balance(run, "Expenses:Jito:SwapFee", sell) - balance(before, "Expenses:Jito:SwapFee", sell) == fee
    price = {"USDC": 1.0, "SOL": 100.0, "JITOSOL": 105.0}
    swap = happened(run, OrderFilled)[-1]
    assert swap.fee == round(amount * price[sell] * 0.002 * 1e6)
    place = {"SOL": "Coins", "JITOSOL": "Tokens"}[buy]
    got = balance(run, f"Assets:Jito:{place}", buy) - balance(before, f"Assets:Jito:{place}", buy)
    assert got == pytest.approx(amount * 0.998 * price[sell] / price[buy] * 1e9, abs=1)
    assert run.curve.equity_usd[2] == pytest.approx(before.curve.equity_usd[2] - swap.fee / 1e6)


SLASHED = [1.0, 1.0011, 0.9711, 0.9722]


def test_a_slashing_costs_all_holders_and_no_fee_is_taken_on_it():
    """The fall is negative income; what the pool had taken from earlier rewards stays taken."""
    run = staked(dollar_market([100.0] * 4, rate=SLASHED), jito(reward_fee=0.04))
    assert [event.amount for event in happened(run, RewardAccrued)] == [110_000_000, -3_000_000_000, 110_000_000]
    assert [event.amount for event in happened(run, FeeAccrued)] == [-4_583_333, -4_583_334]
    steps = waterfall(run)
    assert float(steps.result) == pytest.approx(9_722 - 10_000)
    assert float(steps.staking + steps.fees) == pytest.approx(-278)
    assert steps.unexplained == 0


NO_AMOUNT = "; expected a finite number above 0"
IN_ROW_1 = "in row 1 (2025-01-01): "
REFUSALS = {
    "nothing": ([Swap("jito", "USDC", "SOL", 0.0)], f"amount is 0{NO_AMOUNT}"),
    "less than nothing": (
        [Swap("jito", "USDC", "SOL", -1.0)],
        f"jito refuses a swap of -1 USDC for SOL {IN_ROW_1}amount is -1{NO_AMOUNT}",
    ),
    "no number": ([Swap("jito", "USDC", "SOL", float("nan"))], f"amount is nan{NO_AMOUNT}"),
    "an unknown coin": ([Swap("jito", "BTC", "SOL", 1.0)], "sell is 'BTC'; expected one of USDC, SOL, JITOSOL"),
    "for an unknown coin": ([Swap("jito", "SOL", "BTC", 1.0)], "buy is 'BTC'; expected one of USDC, SOL, JITOSOL"),
    "a swap for the same": ([Swap("jito", "SOL", "SOL", 1.0)], "buy is 'SOL'; expected another asset than is sold"),
    "a stake of nothing": ([Stake("jito", 0.0)], f"size is 0{NO_AMOUNT}"),
    "an unstaking of nothing": (
        [BUY, Unstake("jito", float("inf"))],
        f"an unstaking of inf tokens {IN_ROW_1}size is inf{NO_AMOUNT}",
    ),
    "a position": (
        [Open("jito", Side.LONG, 1.0, 5.0)],
        "it is no order for this venue; expected Swap, Stake or Unstake",
    ),
    "a deposit": (
        [Deposit("jito", 5.0)],
        f"jito refuses a deposit of 5 USD {IN_ROW_1}it takes no deposits; expected a venue that does",
    ),
    "a withdrawal": (
        [BUY, Withdraw("jito", 5.0)],
        f"jito refuses a withdrawal of 5 USD {IN_ROW_1}it holds no money; expected a venue that does",
    ),
    "a penalty": ([BUY, PayPenalty("jito", 5.0)], "venue is 'jito'; expected a venue that takes penalties"),
    "tokens to itself": (
        [BUY, MoveTokens("jito", "jito", "JITOSOL", 5.0)],
        "target is 'jito'; expected another venue than the source",
    ),
    "tokens of no size": ([BUY, MoveTokens("jito", "drift", "JITOSOL", 0.0)], f"size is 0{NO_AMOUNT}"),
    "coins as collateral": (
        [BUY, MoveTokens("jito", "drift", "SOL", 5.0)],
        f"drift refuses a move of 5 SOL from jito to drift {IN_ROW_1}token is 'SOL'; expected tokens that drift takes",
    ),
    "unknown tokens": (
        [BUY, MoveTokens("jito", "drift", "MSOL", 5.0)],
        "token is 'MSOL'; expected tokens that jito takes",
    ),
    "a swap elsewhere": ([Swap("drift", "USDC", "SOL", 5.0)], "expected Open, Close or Resize"),
    "a fee on nothing": ([ChargeRebalance("issuer", 0.0)], "a rebalancing fee on 0 USD traded"),
    "a mint of nothing": (
        [Mint("issuer", -1.0)],
        f"issuer refuses a mint on -1 USD {IN_ROW_1}amount_usd is -1{NO_AMOUNT}",
    ),
    "a redemption of nothing": ([Redeem("issuer", "all")], f"amount_usd is 'all'{NO_AMOUNT}"),
}


@pytest.mark.parametrize(("orders", "words"), REFUSALS.values(), ids=REFUSALS)
def test_an_order_that_cannot_be_is_refused(orders, words):
    """The message says which order, where and why, in one line."""
    with pytest.raises(CarrybookError, match=re.escape(words)) as refusal:
        staked(dollar_market([100.0] * 3), jito(), collateral(), Issuer(), start=orders)
    assert "\n" not in str(refusal.value)
    assert "in row 1" in str(refusal.value)


REJECTIONS = {
    "coins that are not there": (
        [Stake("jito", 1.0)],
        "a stake of 1 coin",
        "Assets:Jito:Coins holds 0.000000000 SOL and would fall to -1.000000000 SOL; expected 0 or more",
    ),
    "tokens that are not there": (
        [BUY, Unstake("jito", 101.0)],
        "an unstaking of 101 tokens",
        "Assets:Jito:Tokens holds 100.000000000 JITOSOL and would fall to -1.000000000 JITOSOL; expected 0 or more",
    ),
    "more than the wallet": (
        [Swap("jito", "USDC", "SOL", 1e6)],
        "a swap of 1000000 USDC for SOL",
        "Assets:Wallet:Cash holds 10000.000000 USDC and would fall to -990000.000000 USDC; expected 0 or more",
    ),
}


@pytest.mark.parametrize(("orders", "order", "reason"), REJECTIONS.values(), ids=REJECTIONS)
def test_an_order_beyond_what_there_is_is_rejected(orders, order, reason):
    """The log says which order and why; nothing of it is posted, and the run goes on to its end."""
    *done, _ = orders
    table, venues = dollar_market([100.0] * 3), [jito(), collateral()]
    run = staked(table, *venues, start=orders)
    (rejected,) = happened(run, Rejected)
    assert (rejected.order, rejected.reason) == (order, reason)
    posted = [each.amount for each in staked(table, *venues, start=done).ledger]
    assert [each.amount for each in run.ledger] == posted
    assert happened(run, Ended)


def test_a_venue_without_collateral_takes_no_tokens():
    """Drift takes only what its rules name."""
    with pytest.raises(
        CarrybookError,
        match=r"drift refuses a move of 5 JITOSOL .*: token is 'JITOSOL'; expected tokens that drift takes",
    ):
        staked(
            dollar_market([100.0] * 3), jito(), drift(), start=[BUY, MoveTokens("jito", "drift", "JITOSOL", 5.0)]
        )  # fmt: skip


SCENARIO = """
name = "pool"
capital_usd = 10_000
entry = "first_open"

[market]
start = 2025-01-01
end = 2025-01-06

[market.sources.prices]
reader = "table"
file = "prices.csv"
interval = "1d"

[market.sources.pool]
reader = "jito_pool_rate"
file = "rates.csv"

[strategy]
class = "tests.test_jito:Holder"

[venues.jito]
"""
PRICES = [
    "time,open,high,low,close",
    *(f"2025-01-0{day},{99 + day},120,80,{100 + day}" for day in range(1, 7)),
]
RATES = [
    "epoch,epoch_start_utc_est,slot,sol_per_jitosol,source",
    "700,2024-12-30T07:00Z,1,1.05,chain",
    "701,2025-01-01T12:00Z,2,1.051,chain",
    "702,2025-01-04T00:00Z,3,1.052,chain",
    "703,2025-01-05T23:59:59Z,4,1.053,chain",
]


@frozen
class Holder(Strategy):
    """Buys jitoSOL for all cash and holds it."""

    def conditions(self):
        return ()

    def on_start(self, view):
        return [Swap("jito", "USDC", "JITOSOL", view.cash_usd)]

    def on_event(self, event, view):
        return ()


@pytest.fixture
def pool(tmp_path):
    """Write a scenario with its files, changed where a test wants it; returns the scenario's path."""

    def write(prices=(), rates=(), scenario=SCENARIO):
        for name, lines, changes in (("prices.csv", PRICES, prices), ("rates.csv", RATES, rates)):
            changed = list(lines)
            for row, line in dict(changes).items():
                changed[row - 1] = line
            text = "".join(f"{line}\n" for line in changed if line is not None)
            (tmp_path / name).write_text(text)
        (tmp_path / "scenario.toml").write_text(scenario)
        return tmp_path / "scenario.toml"

    return write


def test_an_epochs_rate_holds_from_its_beginning_until_the_next(pool):
    """Within a day it steps at the close, at midnight at the open of the new day; the token's price follows."""
    path = pool()
    ready = assemble(Scenario.load(path), path.parent)
    market = ready.market
    assert market["jitosol_rate_open"].tolist() == [1.05, 1.051, 1.051, 1.052, 1.052, 1.053]
    assert market["jitosol_rate_close"].tolist() == [1.051, 1.051, 1.051, 1.052, 1.053, 1.053]
    assert market["jitosol_close"].tolist() == (market["close"] * market["jitosol_rate_close"]).tolist()
    assert market.label == "jitosol is priced at its pool's rate"
    assert [market.cell("jitosol_rate_close", row) for row in range(6)] == [
        f"rates.csv:{line}" for line in (3, 3, 3, 4, 5, 5)
    ]
    assert [market.cell("jitosol_rate_open", row) for row in range(6)] == [
        f"rates.csv:{line}" for line in (2, 3, 3, 4, 4, 5)
    ]
    run = ready.simulation().run()
    assert [run.row(event.at_ns) for event in happened(run, RewardAccrued)] == [0, 3, 4]


def test_the_known_epochs_of_the_chain_are_a_rate_of_real_rows(uss_data):
    """Between the few epochs that are known the rate rests; a token earns what lies between the first and the last."""
    source = '{reader="jito_pool_rate",file="jitosol_sol_rate_anchors.csv"}'
    path = ROOT / "examples" / "uss" / "scenario.toml"
    ready = assemble(Scenario.load(path, [f"market.sources.jitosol={source}", "fees.rebalance=0.0"]), uss_data)
    market = ready.market
    assert [each.series for each in market.coverage[1:]] == ["jitosol_rate, open", "jitosol_rate, close"]
    run = ready.simulation().run()
    steps = happened(run, RewardAccrued)
    assert [market.date(run.row(event.at_ns)) for event in steps] == ["2023-11-24", "2023-11-29"]
    assert sum(event.rate for event in steps) == pytest.approx(1.0734001570090037 - 1.0)
    assert market.cell("jitosol_rate_close", 0) == "jitosol_sol_rate_anchors.csv:2"
    assert waterfall(run).unexplained == 0


BAD_FILES = {
    "a rate that falls": (
        {"rates": {4: "702,2025-01-04T00:00Z,3,1.0505,chain"}},
        "rates.csv:4, column jitosol_rate_close: the pool's rate falls from 1.051 to 1.0505 on 2025-01-04",
    ),
    "an epoch out of order": (
        {"rates": {4: "700,2025-01-04T00:00Z,3,1.052,chain"}},
        "rates.csv, row 4, column epoch: 700 after 701; expected epochs in their order",
    ),
    "an epoch twice": (
        {"rates": {4: "701,2025-01-04T00:00Z,3,1.052,chain"}},
        "rates.csv, row 4, column epoch: 701 after 701; expected epochs in their order",
    ),
    "times out of order": (
        {"rates": {4: "702,2024-12-31T00:00Z,3,1.052,chain"}},
        "rates.csv, row 4: timestamp 2024-12-31T00:00:00+00:00 is unsorted",
    ),
    "a rate the other way round": (
        {"rates": {2: "700,2024-12-30T07:00Z,1,0.86,chain"}},
        "rates.csv:2, column jitosol_rate_open: 0.86; expected SOL per jitoSOL, which is 1 or more",
    ),
    "a rate of zero": (
        {"rates": {3: "701,2025-01-01T12:00Z,2,0,chain"}},
        "rates.csv, row 3, column sol_per_jitosol (jitosol_rate_open): 0.0; expected a rate above 0",
    ),
    "no rate": (
        {"rates": {3: "701,2025-01-01T12:00Z,2,,chain"}},
        "rates.csv, row 3, column sol_per_jitosol: missing; expected a number",
    ),
    "a rate that is no number": (
        {"rates": {3: "701,2025-01-01T12:00Z,2,n/a,chain"}},
        "rates.csv, row 3, column sol_per_jitosol: 'n/a'; expected a number",
    ),
    "no epoch": (
        {"rates": {3: ",2025-01-01T12:00Z,2,1.051,chain"}},
        "rates.csv, row 3, column epoch: missing; expected a number",
    ),
    "a naive time": (
        {"rates": {3: "701,2025-01-01T12:00,2,1.051,chain"}},
        "rates.csv, row 3, column epoch_start_utc_est: '2025-01-01T12:00' is naive",
    ),
    "a column less": (
        {"rates": {1: "epoch,epoch_start_utc_est,slot,rate,source"}},
        "rates.csv, row 1: no column 'sol_per_jitosol' for jitosol_rate",
    ),
    "rates that begin too late": (
        {"rates": {2: None, 3: None}},
        "is after the first row, 2025-01-01T00:00:00+00:00; expected one before, or market.sources.",
    ),
    "rates that begin after the end": (
        {"rates": {2: None, 3: None, 4: None, 5: "703,2026-01-05T00:00Z,4,1.053,chain"}},
        "rates.csv: its first sample, on 2026-01-05, is after the last row of prices, on 2025-01-06",
    ),
    "no price": (
        {"prices": {4: "2025-01-03,102,120,80,"}},
        "prices.csv, row 4, column close: missing; expected a number",
    ),
    "a price of zero": (
        {"prices": {4: "2025-01-03,102,120,80,0"}},
        "prices.csv, row 4, column close: 0.0; expected a price above 0",
    ),
}


@pytest.mark.parametrize(("changes", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_cell_is_one_line_with_file_row_and_column(pool, capsys, tmp_path, changes, words):
    """Nothing runs, and nothing is written."""
    path = pool(**changes)
    assert words in refused(capsys, "run", path, "--data", path.parent, "--out", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_rate_may_fall_only_on_the_days_that_are_named(pool):
    """A slashing has a date; on another day the same fall is refused."""
    path = pool(rates={4: "702,2025-01-04T00:00Z,3,1.0405,chain"})
    run = assemble(Scenario.load(path, ['venues.jito.slashed_on=["2025-01-04"]']), path.parent).simulation().run()
    assert [event.amount > 0 for event in happened(run, RewardAccrued)] == [True, False, True]
    with pytest.raises(CarrybookError, match=r"expected it not to, or the day in venues\.jito\.slashed_on"):
        assemble(Scenario.load(path, ['venues.jito.slashed_on=["2025-01-03"]']), path.parent)


def exact(value):
    """A float's exact value."""
    return Fraction(value)


@pytest.mark.parametrize("rate", [1.160715954114, 1.205735187945])
def test_the_pools_rounding_is_that_of_the_program(rate):
    """Minted and paid out down, the fee up: to the unit, and never in favour of whoever comes."""
    start = [Swap("jito", "USDC", "SOL", 1_234.567891), Stake("jito", 11.123456789)]
    script = Script(start=start, after={0: [Unstake("jito", 3.000000001)]})
    venue = jito(rounding="pool", withdrawal_fee=0.001, deposit_fee=0.002)
    run = play(dollar_market([100.0] * 3, rate=rate), [venue], script, at_first_open=True)
    staked_, asked = (each for each in happened(run, OrderFilled) if each.order in ("stake", "unstake"))
    minted = 11_123_456_789 / exact(rate) // 1
    kept = -(-minted * 2 // 1_000)
    assert staked_.size == minted - kept
    assert balance(run, "Expenses:Jito:DepositFee", "JITOSOL") == kept
    fee = -(-3_000_000_001 // 1_000)
    assert balance(run, "Expenses:Jito:WithdrawalFee", "JITOSOL") == fee
    assert asked.amount == (3_000_000_001 - fee) * exact(rate) // 1
    assert waterfall(run).unexplained == 0


@pytest.mark.parametrize(("epochs_since", "lag_s", "wait_days"), [(0, 0.0, 1), (1, 0.0, 0.5), (0, 3_600.0, 25 / 24)])
def test_an_unstaking_ends_with_the_epoch(epochs_since, lag_s, wait_days):
    """Epochs of two days, from the market's opening or half a day later; asked for at the close of the first day."""
    table = dollar_market([100.0] * 5)
    began = table.open_ns[0] - epochs_since * NS_PER_DAY // 2
    epoch_s = Dated([int(began)], [2 * 86_400.0])
    venue = jito(epoch_s=epoch_s, epoch_lag_s=lag_s)
    run = staked(table, venue, after={0: [Unstake("jito", 10.0)]})
    (asked,) = [each for each in happened(run, OrderFilled) if each.order == "unstake"]
    (arrived,) = happened(run, Unstaked)
    assert arrived.at_ns == began + 2 * NS_PER_DAY + round(lag_s * NS_PER_SECOND)
    assert arrived.at_ns - asked.at_ns == pytest.approx(wait_days * NS_PER_DAY, abs=10**9)


def test_an_epoch_has_the_length_of_its_date():
    """Each date of the rule begins a new count of epochs; asked for at a boundary it is the next that counts."""
    table = dollar_market([100.0] * 5)
    first = int(table.open_ns[0])
    venue = jito(epoch_s=Dated([first, first + 2 * NS_PER_DAY], [86_400.0, 2 * 86_400.0]))
    asked = Unstake("jito", 1.0)
    due = [venue.due_ns(asked, first + hours * NS_PER_DAY // 24) for hours in (0, 23, 24, 48, 95, 96)]
    assert [(each - first) / NS_PER_DAY for each in due] == [1, 1, 2, 4, 4, 6]


def test_a_reward_fee_that_changes_is_one_line():
    """A stream has one share for all time."""
    fee = Dated([0, NS_PER_DAY], [0.04, 0.05])
    with pytest.raises(CarrybookError, match=r"^venues\.jito\.reward_fee: 2 values; expected one for all time$"):
        staked(dollar_market([100.0] * 3), jito(reward_fee=fee))


def test_jito_by_its_own_rules():
    """The protocols' rulebook: fees as they were seen, an exit at the end of an epoch, the program's rounding."""
    scenario = Scenario.load(ROOT / "examples" / "uss" / "scenario.toml", [])
    rules = Protocol().rules("jito", {})
    assert {key: rule.at(1_735_689_600 * 10**9).value for key, rule in rules.items()} == {
        "reward_fee": 0.04, "deposit_fee": 0.0, "withdrawal_fee": 0.001, "swap_fee_bps": 5.0,
        "epoch_s": 190_000.0, "epoch_lag_s": 3_600.0,
    }  # fmt: skip
    settings = {key: rule.setting() for key, rule in rules.items()} | Protocol().terms("jito", None)
    changed = evolve(scenario, venues=dict(scenario.venues) | {"jito": settings})
    run = assemble(changed).simulation().run()
    assert waterfall(run).unexplained == 0
    assert balance(run, "Expenses:Jito:SwapFee") > 0


HOURS = 24 * 9
"""Rows of nine days: four epochs of two days end in them."""


def yielding(apy=0.0637, **columns):
    """Hours in which staking brings so much a year, at prices that rise from 100, without the pool's rate."""
    coins = market((100.0 + np.arange(HOURS) / 10).tolist(), row_ns=3_600 * NS_PER_SECOND)
    found = {**coins.columns, "jitosol_staking_apy": np.full(HOURS, apy), **columns}
    return Market(open_ns=coins.open_ns, at_ns=coins.at_ns, columns=found)


@pytest.mark.parametrize("lag_h", [0, 5])
def test_without_the_pools_rate_it_steps_once_an_epoch_by_what_staking_brought(lag_h):
    """Flat within an epoch; after its end and the lag, what two days make of the yearly rate. The price follows."""
    table = yielding()
    made = jito(epoch_s=Dated([START_NS], [2 * 86_400.0]), epoch_lag_s=lag_h * 3_600.0)
    found = {name: values for name, (_, values) in made.derived(table).items()}
    rate = found["jitosol_rate_close"]
    stepped = (np.flatnonzero(np.diff(rate)) + 1).tolist()
    assert stepped == [48 * epoch + lag_h - 1 for epoch in (1, 2, 3, 4)]
    assert rate[[0, *stepped]].tolist() == pytest.approx([1.0637 ** (2 * each / 365) for each in range(5)], rel=1e-12)
    assert found["jitosol_rate_open"][1:].tolist() == rate[:-1].tolist()
    assert found["jitosol_close"].tolist() == (rate * table["close"]).tolist()


def test_a_rate_that_is_worked_out_begins_at_the_tokens_price():
    """A token at 1.2 SOL: 20 % above a rate of 1, which is no premium; a rate that is there overrides it."""
    table = yielding(jitosol_open=np.full(HOURS, 120.0), jitosol_close=np.full(HOURS, 120.0))
    found = jito().derived(table)
    assert sorted(found) == ["jitosol_rate_close", "jitosol_rate_open"]
    assert found["jitosol_rate_open"][1][0] == pytest.approx(1.2)
    assert jito().derived(yielding(jitosol_rate_open=np.ones(HOURS), jitosol_rate_close=np.ones(HOURS))) == {}


def test_the_steps_are_the_income_of_a_run():
    """Four steps in nine days are four rewards; before, such a market was refused."""
    scenario = {
        "name": "steps", "capital_usd": 10_000,
        "market": {"start": "2025-01-01", "end": "2025-01-09", "embedded": "sol_daily"},
        "strategy": {"class": f"{__name__}:Holds"},
        "venues": {"jito": {"epoch_s": [{"since": "2025-01-01", "value": 172_800.0}]}},
    }  # fmt: skip
    run = assemble(Scenario.of(scenario), market=yielding()).simulation().run()
    assert len(happened(run, RewardAccrued)) == 4
    assert waterfall(run).unexplained == 0


class Holds(Script):
    """It buys tokens, and no more."""

    def on_start(self, view):
        return [BUY]
