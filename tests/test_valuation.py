"""The valuation against a second path: everything recomputed from the records of the ledger and the market alone."""

from fractions import Fraction
from operator import mul

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import Close, Open, Scenario, Side, assemble, metrics, waterfall
from framework.performance import max_drawdown_pct
from framework.valuation import Prices, equity, fees_usd
from tests.conftest import ROOT
from tests.markets import Script, asgard, flat, hyperliquid, market, play
from tests.test_settlement import markets, outcome, setups

SCALE = {"USDC": 10**6, "SOL": 10**9, "SOL-PERP": 10**9}


def exact(price):
    """A price as the decimal that was read."""
    return Fraction(repr(float(price)))


def recomputed(run):
    """(equity, bucket -> USD) from records and prices, in fractions, without the framework's valuation."""
    at_ns, close = run.market.at_ns.tolist(), [exact(price) for price in run.market["close"]]
    holdings, buckets = {}, {}
    for record in run.ledger:
        rows = [row for row, at in enumerate(at_ns) if at <= record.at_ns]
        price = Fraction(1) if record.asset == "USDC" else close[rows[-1] if rows else 0]
        value = Fraction(record.amount, SCALE[record.asset]) * price
        for name, sign in ((record.debit, 1), (record.credit, -1)):
            root, leaf = name.split(":")[0], name.split(":")[-1]
            if root in ("Assets", "Liabilities"):
                key = record.asset
                holdings[key] = holdings.get(key, 0) + sign * Fraction(record.amount, SCALE[record.asset])
            if root in ("Income", "Expenses"):
                buckets[leaf] = buckets.get(leaf, 0) - sign * value
    return sum(amount * (1 if asset == "USDC" else close[-1]) for asset, amount in holdings.items()), buckets


def check(run):
    """Ours equal theirs, exactly."""
    worth, buckets = recomputed(run)
    falls = waterfall(run)
    assert Fraction(equity(run)) == worth
    carry = sum(buckets.get(leaf, 0) for leaf in ("Lending", "Interest", "DepositInterest"))
    fees = sum(buckets.get(leaf, 0) for leaf in ("OpenFee", "Gas", "TakerFee", "Fee"))
    assert Fraction(falls.carry) == carry
    assert Fraction(falls.funding) == buckets.get("Funding", 0)
    assert Fraction(falls.fees) == fees == sum(map(Fraction, fees_usd(run).values())) * -1
    assert Fraction(falls.liquidation_penalty) == buckets.get("LiquidationPenalty", 0)
    assert Fraction(falls.bad_debt) == buckets.get("BadDebt", 0)
    assert falls.unexplained == 0
    steps = dict(falls.steps())
    assert sum(map(Fraction, steps.values())) - Fraction(falls.result) == Fraction(falls.result)


@given(markets(), setups())
def test_buckets_and_equity_equal_a_recomputation_from_the_records(table, setup):
    """On random markets under random rules, every bucket is the sum of its records to the last digit."""
    run = outcome(table, *setup)
    if not isinstance(run, str):
        check(run)


@pytest.mark.parametrize("name", ["capital_rebalance", "funding_gate"])
def test_an_example_equals_a_recomputation_from_its_records(name):
    """The examples' equity and buckets, too."""
    check(assemble(Scenario.load(ROOT / "examples" / name / "scenario.toml")).simulation().run())


AMOUNTS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), 2**63 - 1]) | st.integers(-(10**11), 10**11)
"""Whatever a signed word of a record can hold, its ends and usual amounts among them."""
VALUES = st.sampled_from([10**6, 2**62 - 1, 10**25]).flatmap(
    lambda most: st.lists(st.integers(1, most), min_size=3).map(
        lambda values: np.array(values, dtype=np.int64 if most < 2**62 else object)
    )
)
"""Prices of a few digits, of a word, and beyond it."""


def summed(prices, amounts, rows):
    """The sum of all products; those of each part fit into its type."""
    parts = list(prices.products(np.array(amounts, dtype=np.int64), np.array(rows, dtype=np.intp)))
    for _, part in parts:
        assert part.sum() == sum(part.tolist())
        assert part.shape == (len(amounts),)
    return sum(int(part.sum()) << shift for shift, part in parts)


@given(st.lists(st.tuples(AMOUNTS, st.integers(0, 2)), max_size=30), VALUES)
def test_amounts_times_prices_are_summed_exactly(entries, values):
    """In words where that can be, and beyond 64 bits on either side."""
    amounts, rows = [amount for amount, _ in entries], [row for _, row in entries]
    prices = Prices(values=values, decimals=0)
    assert summed(prices, amounts, rows) == sum(map(mul, amounts, (int(values[row]) for row in rows)))


@pytest.mark.parametrize("most", [2**20, 2**63 - 1])
def test_more_products_than_fit_into_a_word_are_summed_in_parts(most):
    """A million and more of large amounts at the largest price of a word."""
    prices, count = Prices(values=np.array([2**62 - 1]), decimals=0), (1 << 17) + 3
    assert summed(prices, [most] * count, [0] * count) == count * most * (2**62 - 1)


def test_prices_of_many_digits_are_the_decimals_that_were_read():
    """They are words as long as they fit, and integers of any size beyond."""
    few, many = [0.1, 150.25], [1e-10, 1.2345678901234567]
    assert Prices.exact(np.array([]), np.array(few)).values.tolist() == [10, 15025]
    word = Prices.exact(np.array(many[1:]), np.array([1.5]))
    assert (word.decimals, word.values.dtype, word.values.tolist()) == (16, np.int64, [12345678901234567, 15 * 10**15])
    beyond = Prices.exact(np.array([1e-10]), np.array([12345.678901234567]))
    assert [Fraction(value, 10**beyond.decimals) for value in beyond.values.tolist()] == [
        Fraction(1, 10**10), Fraction("12345.678901234567"),
    ]  # fmt: skip


def test_price_pnl_is_holdings_times_price_changes():
    """Revaluation row by row: what was held over each row times how the price moved."""
    run = assemble(Scenario.load(ROOT / "examples/capital_rebalance/scenario.toml")).simulation().run()
    close = run.market["close"]
    expected = sum(
        float((size[:-1] * (close[1:] - close[:-1])).sum()) for size in run.curve.size_by_venue.values()
    )  # fmt: skip
    assert float(waterfall(run).price_pnl) == pytest.approx(expected, rel=0, abs=1e-6)


def test_drawdown_starts_from_the_capital_and_has_the_end_in_it():
    """The deepest fall from the highest value so far; the study's is that of the closes, without the closing."""
    run = assemble(Scenario.load(ROOT / "examples/capital_rebalance/scenario.toml")).simulation().run()
    peak, deepest = 10_000.0, 0.0
    for value in run.curve.equity_usd.tolist():
        peak = max(peak, value)
        deepest = max(deepest, (peak - value) / peak * 100)
    assert metrics(run)["drawdown_at_closes_pct"] == pytest.approx(deepest, rel=1e-12)
    script = Script(start=[Open("hyperliquid", Side.SHORT, 100.0, 5_000.0)], at_end=[Close("hyperliquid")])
    dear = play(flat(3), [hyperliquid(taker_fee_bps=1_000.0)], script)
    assert metrics(dear)["drawdown_at_closes_pct"] == pytest.approx(10.0)
    assert max_drawdown_pct(dear) == metrics(dear)["max_drawdown_pct"] == pytest.approx(20.0)


def test_a_run_known_by_hand():
    """Long 100 coins at $100 with half borrowed, fees 1 %: up to $110 and closed, it makes $1,000 less $100 and gas."""
    strategy = Script(start=[Open("asgard", Side.LONG, 100.0, 5_000.0)], at_end=[Close("asgard")])
    run = play(market([100.0, 110.0]), [asgard(open_fee_bps=100.0, gas_usd=2.0)], strategy)
    falls = {name: float(amount) for name, amount in waterfall(run).steps() if amount}
    assert falls == {"fees": -102.0, "price_pnl": 1_000.0, "result": 898.0}
    summary = metrics(run)
    assert summary["final_equity_usd"] == 10_898.0
    assert summary["annualized_return_pct"] == pytest.approx(8.98 * 365 / 2)


def test_a_delta_neutral_pair_earns_only_what_it_is_paid():
    """Equal legs through any price: the result is funding, to the unit."""
    strategy = Script(
        start=[Open("asgard", Side.LONG, 50.0, 5_000.0), Open("hyperliquid", Side.SHORT, 50.0, 5_000.0)],
        at_end=[Close("asgard"), Close("hyperliquid")],
    )
    run = play(market([100.0, 120.0, 90.0], funding=0.001), [asgard(), hyperliquid()], strategy)
    falls = waterfall(run)
    assert float(falls.result) == float(falls.funding) == 0.001 * 50 * (100 + 120 + 90)


def test_capital_that_nobody_touches_stays():
    """No orders: no transfers but the capital's, no drawdown, no return."""
    summary = metrics(play(flat(5), [asgard()], Script()))
    assert (summary["final_equity_usd"], summary["transfers"], summary["max_drawdown_pct"]) == (10_000.0, 1, 0.0)
