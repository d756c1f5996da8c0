"""Hyperliquid by its own rules: orders, payments and liquidations of accounts of which everything is known."""

import json
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import (
    Close,
    Deposit,
    Move,
    Open,
    OrderFilled,
    Rejected,
    Resize,
    Scenario,
    Side,
    Withdraw,
    assemble,
    waterfall,
)
from framework.books import Books
from framework.clock import NS_PER_HOUR
from framework.errors import MarketError, ScenarioError
from framework.events import FundingSettled, Liquidated
from framework.market import Market
from framework.money import USDC
from framework.rulebook.rules import rules_of
from framework.testing import Setup, conforms
from framework.venue import Dated, Penalty
from tests.markets import START_NS, Script, asgard, balance, drift, flat, happened, market, play
from tests.runs import ROOT
from tests.test_testing import TABLE, Busy
from venues.hyperliquid import Hyperliquid
from venues.hyperliquid_formulas import FeeTier, Tier

SOL = {"SOL": (Tier(20), Tier(10, 70e6))}
MAINTENANCE = 0.025
"""Half of 1/20."""


def venue(**rules: object) -> Hyperliquid:
    """Hyperliquid by its tiers, without fees; `rules` override its fields."""
    return Hyperliquid(**({"taker_fee_bps": 0.0, "margin_tiers": SOL} | rules))


def short(size: float, funds_usd: float) -> Open:
    return Open("hyperliquid", Side.SHORT, size, funds_usd)


def held(run, name: str = "Assets:Hyperliquid:Margin") -> float:
    return USDC.units(balance(run, name))


# -- what orders and payments need


@pytest.mark.parametrize(
    ("rules", "least_usd", "rule"),
    [({}, 500.0, "margin_tiers"), ({"leverage": 4.0}, 2_500.0, "leverage and margin_tiers")],
    ids=["the maximum", "a leverage of 4"],
)
def test_an_order_needs_its_initial_margin(rules, least_usd, rule):
    """A short of $10,000: a twentieth of it at the maximum leverage, a quarter at one of 4; a cent less is rejected."""
    for funds_usd, filled in ((least_usd, True), (least_usd - 0.01, False)):
        run = play(flat(2), [venue(**rules)], Script(start=[short(100.0, funds_usd)]))
        assert bool(happened(run, OrderFilled)) is filled
        for rejected in happened(run, Rejected):
            assert rejected.reason == (
                f"hyperliquid would have {funds_usd:.6f} USD for an initial margin of {least_usd:.6f} USD ({rule}); "
                "expected a smaller position, or more margin"
            )
            assert held(run) == 0


def test_a_position_beyond_the_first_tier_needs_twice_the_margin():
    """$80m of SOL: 10x, and a maintenance margin of 5 % less $1.75m."""
    size = 800_000.0
    for funds_usd, filled in ((8e6, True), (7.9e6, False)):
        run = play(flat(2), [venue()], Script(start=[short(size, funds_usd)]), capital_usd=1e7)
        assert bool(happened(run, OrderFilled)) is filled
    run_ = play(flat(2), [venue()], Script(start=[short(size, 8e6)]), capital_usd=1e7)
    standing = run_._standings[0]  # noqa: SLF001
    assert standing.books.value("hyperliquid", "maintenance") == pytest.approx(0.05 * 80e6 - 1.75e6)


def test_only_a_larger_position_is_asked_for_margin():
    """After a rise the account has too little to add to its short, and may always reduce it."""
    table = market([100.0, 107.0, 107.0, 107.0])
    orders = {1: [Resize("hyperliquid", 101.0)], 2: [Resize("hyperliquid", 50.0)]}
    run = play(table, [venue()], Script(start=[short(100.0, 1_200.0)], after=orders))
    (rejected,) = happened(run, Rejected)
    assert "for an initial margin of 540.350000 USD (margin_tiers)" in rejected.reason
    assert [event.order for event in happened(run, OrderFilled)] == ["open", "resize"]


@pytest.mark.parametrize(("floor", "free_usd"), [(None, 1_500.0), (0.1, 1_000.0), (0.2, 0.0)])
@pytest.mark.parametrize("order", [Withdraw, lambda venue, usd: Move(venue, "drift", usd)], ids=["withdraw", "move"])
def test_what_stays_behind_a_position(floor, free_usd, order):
    """$2,000 behind a short of $10,000: the initial margin of $500 stays, or a tenth or a fifth of the notional."""
    asked = [order("hyperliquid", free_usd + 0.01)] + ([order("hyperliquid", free_usd)] if free_usd else [])
    script = Script(start=[short(100.0, 2_000.0), *asked])
    run = play(flat(2), [venue(payout_floor=floor), drift()], script)
    (rejected,) = happened(run, Rejected)
    assert f"expected at most the {free_usd:.6f} USD that are free there" in rejected.reason
    assert held(run) == pytest.approx(2_000.0 - free_usd)


def test_the_floor_has_its_date():
    """What may leave on one day may not on the next, when a fifth of the notional has to stay."""
    day_2 = START_NS + 24 * NS_PER_HOUR
    rule = Dated([START_NS, day_2], [0.0, 0.2])
    script = Script(
        start=[short(100.0, 2_000.0)], after={0: [Withdraw("hyperliquid", 100.0)], 1: [Withdraw("hyperliquid", 100.0)]}
    )
    run = play(flat(3), [venue(payout_floor=rule)], script)
    assert [event.at_ns < day_2 for event in happened(run, OrderFilled)] == [True, True]
    (rejected,) = happened(run, Rejected)
    assert rejected.at_ns > day_2


# -- fees


def test_fees_have_their_dates_to_the_hour():
    """Before and after 03:00 of the day on which the fee changed: $10,000 at 3.5 and at 4.5 basis points."""
    rule = Dated([START_NS, START_NS + 3 * NS_PER_HOUR], [3.5, 4.5])
    table = flat(5, row_ns=NS_PER_HOUR)
    orders = {1: [Close("hyperliquid")], 2: [short(100.0, 5_000.0)], 3: [Close("hyperliquid")]}
    run = play(table, [venue(taker_fee_bps=rule)], Script(start=[short(100.0, 5_000.0)], after=orders))
    assert [event.fee_usd for event in happened(run, OrderFilled)] == [3.5, 3.5, 3.5, 4.5]


@pytest.mark.parametrize(("volume_usd", "fee_usd"), [(0.0, 4.32), (5e6, 4.32), (5e6 + 1, 3.84)])
def test_fees_fall_with_the_volume_that_is_given_and_with_a_discount(volume_usd, fee_usd):
    """4.5 bps of $10,000 less 4 %, and 4 bps for who trades more than $5m."""
    rules = {"taker_fee_bps": 4.5, "fee_tiers": (FeeTier(4.5), FeeTier(4.0, 5e6)), "fee_discount": 0.04}
    run = play(flat(2), [venue(volume_usd=volume_usd, **rules)], Script(start=[short(100.0, 5_000.0)]))
    assert happened(run, OrderFilled)[0].fee_usd == fee_usd


def test_the_accounts_own_volume_decides_on_its_tier():
    """$3m each on the first and the second day: 4.5 bps there, 4.0 from the third day to the fifteenth, then 4.5."""
    table = flat(18)
    round_trip = [Resize("hyperliquid", 30_010.0), Resize("hyperliquid", 10.0)]
    orders = {0: round_trip[:1], 1: round_trip[1:], 2: [Resize("hyperliquid", 110.0)]}
    orders |= {14: [Resize("hyperliquid", 210.0)], 15: [Resize("hyperliquid", 310.0)]}
    made = venue(taker_fee_bps=4.5, fee_tiers=(FeeTier(4.5), FeeTier(4.0, 5e6)))
    run = play(table, [made], Script(start=[short(10.0, 1e6)], after=orders), capital_usd=1e6)
    fees = [event.fee_usd for event in happened(run, OrderFilled)]
    assert fees == [0.45, 1_350.0, 1_350.0, 4.0, 4.0, 4.5]


def test_a_tier_is_never_dearer_than_the_fee_that_is_set():
    made = venue(taker_fee_bps=1.0, fee_tiers=(FeeTier(4.5), FeeTier(4.0, 5e6)), volume_usd=6e6)
    run = play(flat(2), [made], Script(start=[short(100.0, 5_000.0)]))
    assert happened(run, OrderFilled)[0].fee_usd == 1.0


def test_a_small_order_is_rejected_unless_it_closes():
    """$9.99 neither open nor change a position; what is left of one is closed whatever it is worth."""
    orders = {0: [Resize("hyperliquid", 0.1)], 1: [Resize("hyperliquid", 0.05)], 2: [Close("hyperliquid")]}
    start = [short(0.0999, 5.0), short(0.1999, 5.0)]
    run = play(flat(3), [venue(min_order_usd=10.0)], Script(start=start, after=orders))
    words = "an order of 9.990000 USD; expected 10 USD or more, or Close"
    assert [event.reason for event in happened(run, Rejected)] == [words, words]
    assert held(run) == 0


@given(st.floats(0.01, 1e4), st.floats(0.01, 1e4), st.sampled_from([2.4, 3.5, 4.5]))
def test_two_orders_never_cost_less_than_one(first, second, bps):
    """But for the rounding of each to a millionth of a dollar."""

    def fees_of(orders):
        run = play(
            flat(3), [venue(taker_fee_bps=bps)], Script(start=[Deposit("hyperliquid", 1e6), *orders]), capital_usd=1e6
        )
        return balance(run, "Expenses:Hyperliquid:TakerFee")

    once = fees_of([short(first + second, 0.0)])
    twice = fees_of([short(first, 0.0), Resize("hyperliquid", first + second)])
    assert twice >= once - 2


# -- liquidations

BEYOND = 1.0 + MAINTENANCE


@pytest.mark.parametrize("leverage", [2.0, 3.0, 4.0, 10.0])
def test_a_liquidation_on_the_book_leaves_the_maintenance_margin(leverage):
    """At (1 + 1/L) / (1 + 2.5 %) of its entry, and a billionth, a short is bought back at the taker's fee alone."""
    size, entry = 100.0, 100.0
    price = entry * (1 + 1 / leverage) / BEYOND * (1 + 1e-9)
    table = market([entry, price, price])
    run = play(table, [venue(taker_fee_bps=4.5)], Script(start=[short(size, size * entry / leverage + 4.5)]))
    (event,) = happened(run, Liquidated)
    assert (event.closed, event.penalty, event.bad_debt) == (True, 0, 0)
    notional = size * price
    assert held(run) == pytest.approx(MAINTENANCE * notional - notional * 4.5e-4, rel=1e-6)
    assert balance(run, "Assets:Hyperliquid:Position", "SOL-PERP") == 0
    assert waterfall(run).unexplained == 0


def test_what_a_liquidation_leaves_can_be_withdrawn_and_used():
    """It stays on the venue as margin, and leaves it like any other."""
    table = market([100.0, 148.0 / BEYOND, 100.0, 100.0])
    orders = {2: [short(1.0, 10.0)], 3: [Close("hyperliquid")]}
    run = play(table, [venue()], Script(start=[short(100.0, 4_800.0)], after=orders))
    assert held(run) == 0
    assert USDC.units(balance(run, "Assets:Wallet:Cash")) == pytest.approx(
        10_000 - 100 * (148.0 / BEYOND - 100.0), abs=1e-5
    )


def test_the_price_of_a_leg_is_where_it_is_liquidated():
    """Closed form, in the first tier, across and beyond its end: the nearer of the prices at which a margin is met."""
    for size, funds_usd in ((100.0, 3_000.0), (690_000.0, 7e6), (800_000.0, 9e6)):
        run = play(flat(2), [venue()], Script(start=[short(size, funds_usd)]), capital_usd=1e7)
        price = run._standings[0].leg().liquidation_price  # noqa: SLF001
        equity = funds_usd - size * (price - 100.0)
        notional = size * price
        assert equity == pytest.approx(max(notional * 0.025, notional * 0.05 - 1.75e6), rel=1e-12)


@pytest.mark.parametrize("side", [Side.LONG, Side.SHORT])
def test_below_two_thirds_the_vault_takes_everything(side):
    """At 1.6 % of the notional no margin is returned and no fee is paid; at 1.7 % the rest is the trader's."""
    sign = 1 if side is Side.LONG else -1
    for left, backstop in ((0.016, True), (0.017, False)):
        # margin M behind a notional of 10,000 at 100: equity is `left` of the notional at this price
        price = 100.0 * (1 - sign * 0.2)
        funds_usd = left * 100.0 * price + 2_000.0
        table = market([100.0, price, price])
        run = play(
            table,
            [venue(taker_fee_bps=4.5)],
            Script(start=[Deposit("hyperliquid", 4.5), Open("hyperliquid", side, 100.0, funds_usd)]),
        )
        (event,) = happened(run, Liquidated)
        taken = left * 100.0 * price
        assert USDC.units(event.penalty) == pytest.approx(taken if backstop else 0.0)
        assert USDC.units(event.fee) == pytest.approx(0.0 if backstop else 100.0 * price * 4.5e-4)
        assert (held(run) == 0) is backstop
        assert waterfall(run).unexplained == 0


def test_what_is_owed_is_the_vaults():
    """A gap beyond all margin: the trader loses what there was, and nobody of ours pays the rest."""
    table = market([100.0, 200.0, 200.0])
    run = play(table, [venue()], Script(start=[short(100.0, 4_000.0)]))
    (event,) = happened(run, Liquidated)
    assert (event.penalty, USDC.units(event.bad_debt), held(run)) == (0, 6_000.0, 0.0)
    assert USDC.units(balance(run, "Assets:Wallet:Cash")) == 6_000.0


def test_a_large_position_is_liquidated_by_a_fifth_at_first():
    """$150,000 at the line: a fifth of it is bought back row by row until the margin suffices."""
    size, price = 1_500.0, 100.0 * 1.2 / BEYOND
    table = market([100.0, price, price, price * 1.008, 100.0])
    run = play(table, [venue(partial_from_usd=100e3)], Script(start=[short(size, 30_000.0)]), capital_usd=40_000.0)
    first, second = happened(run, Liquidated)
    assert (first.closed, second.closed) == (False, False)
    assert balance(run, "Assets:Hyperliquid:Position", "SOL-PERP") == -round(1_500e9 * 0.8 * 0.8)
    assert first.at_ns < second.at_ns


def test_where_a_fifth_does_not_help_all_of_the_rest_goes_at_once():
    """At 1.8 % of the notional, where four fifths of the margin would need 2 %, the second order is for everything."""
    price = 120.0 / 1.018
    run = play(
        market([100.0, price]),
        [venue(partial_from_usd=100e3, taker_fee_bps=4.5)],
        Script(start=[Deposit("hyperliquid", 67.5), short(1_500.0, 30_000.0)]),
        capital_usd=40_000.0,
    )
    (event,) = happened(run, Liquidated)
    assert (event.closed, event.penalty, event.bad_debt) == (True, 0, 0)
    assert USDC.units(event.fee) == pytest.approx(1_500 * price * 4.5e-4, abs=1e-5)


@pytest.mark.parametrize(("row_s", "left"), [(10, 0.0), (60, 0.8 * 0.8)], ids=["10 s", "a minute"])
def test_within_30_seconds_the_second_order_is_for_all_of_the_rest(row_s, left):
    """A fifth in one row; in the next one, 10 s later, the rest. In rows of a minute the pause is over: a fifth."""
    size, price = 1_500.0, 100.0 * 1.2 / BEYOND
    table = market([100.0, price, price * 1.007, 100.0], row_ns=row_s * 10**9)
    run = play(table, [venue(partial_from_usd=100e3)], Script(start=[short(size, 30_000.0)]), capital_usd=40_000.0)
    assert len(happened(run, Liquidated)) == 2
    assert -balance(run, "Assets:Hyperliquid:Position", "SOL-PERP") / 1e9 == pytest.approx(size * left)


TWO = {"SOL": (Tier(20),), "BTC": (Tier(40), Tier(20, 150e6))}


def test_positions_that_share_their_margin_are_closed_from_the_largest_until_it_suffices():
    """SOL alone is bought back: what BTC needs is then there."""
    days = START_NS + np.arange(3) * 24 * NS_PER_HOUR
    columns = {f"SOL.{at}": [100.0, 137.0, 137.0] for at in ("open", "high", "low", "close")}
    columns |= {f"BTC.{at}": [40_000.0] * 3 for at in ("open", "high", "low", "close")}
    columns |= {f"hyperliquid.{coin}.funding": [0.0] * 3 for coin in TWO}
    table = Market(open_ns=days, at_ns=days + 24 * NS_PER_HOUR - 1_000_000, columns=columns)
    shorts = [Deposit("hyperliquid", 4_150.0), Open("hyperliquid", Side.SHORT, 100.0, 0.0, coin="SOL"),
              Open("hyperliquid", Side.SHORT, 0.25, 0.0, coin="BTC")]  # fmt: skip
    run = play(table, [venue(coin=("SOL", "BTC"), margin_tiers=TWO)], Script(start=shorts))
    (event,) = happened(run, Liquidated)
    assert event.closed is False
    assert balance(run, "Assets:Hyperliquid:Position:SOL", "SOL-PERP") == 0
    assert balance(run, "Assets:Hyperliquid:Position:BTC", "BTC-PERP") == -250_000_000
    assert held(run) == pytest.approx(450.0)
    tight = [Deposit("hyperliquid", 3_750.0), *shorts[1:]]
    run = play(table, [venue(coin=("SOL", "BTC"), margin_tiers=TWO)], Script(start=tight))
    (event,) = happened(run, Liquidated)
    assert event.closed is True
    assert USDC.units(event.penalty) == pytest.approx(50.0)


def test_a_profitable_position_is_deleveraged_at_no_fee():
    """A quarter of a short is closed at the price of the moment; a loss is left alone."""
    for price, size in ((80.0, -75_000_000_000), (120.0, -100_000_000_000)):
        table, made = market([100.0, price]), venue(taker_fee_bps=4.5)
        books = Books(table, [made])
        books.begin(made, None)
        books.settle(1)
        made.open(short(100.0, 3_000.0), books)
        fees = books[made.fees]
        books.settle(2)
        before = books.value("hyperliquid", "equity")
        made.deleverage(0.25, books)
        assert books[made.position["SOL"]] == size
        assert books[made.fees] == fees
        assert books.value("hyperliquid", "equity") == pytest.approx(before)


@given(
    st.floats(1.0, 5_000.0), st.floats(1.05, 19.0), st.sampled_from([Side.LONG, Side.SHORT]), st.floats(0.2, 4.0),
    st.sampled_from([None, 100e3]),
)  # fmt: skip
def test_whatever_happens_nothing_is_taken_that_is_not_there(size, leverage, side, factor, partial):
    """A move of any size: no liquidation leaves a debt, takes more than the margin, or makes money."""
    funds_usd = size * 100.0 / leverage + 1.0
    run = play(
        market([100.0, 100.0 * factor, 100.0 * factor, 100.0 * factor]),
        [venue(partial_from_usd=partial)],
        Script(start=[Open("hyperliquid", side, size, funds_usd)]),
        capital_usd=1e6,
    )
    moved = size * 100.0 * (factor - 1) * (1 if side is Side.LONG else -1)
    gone = sum(event.penalty - event.bad_debt for event in happened(run, Liquidated))
    assert run.curve.equity_usd[-1] == pytest.approx(1e6 + moved - USDC.units(gone), abs=1e-3)
    for event in happened(run, Liquidated):
        assert 0 <= event.penalty <= max(0, event.equity) + 1
        assert event.bad_debt == 0 or event.penalty == 0
        assert event.bad_debt <= max(0, -event.equity) + 1
    assert run.curve.equity_usd_by_venue["hyperliquid"][-1] >= -1e-6 or not happened(run, Liquidated)
    assert waterfall(run).unexplained == 0


# -- funding


@pytest.mark.parametrize("row_ns", [NS_PER_HOUR, 24 * NS_PER_HOUR], ids=["hours", "days"])
def test_funding_is_paid_by_those_that_are_there_when_a_row_begins(row_ns):
    """A short opened at one close and closed at the next but one: it is paid for the two rows between, and no other."""
    table = flat(5, funding=[0.001, 0.002, 0.003, 0.004, 0.005], row_ns=row_ns)
    orders = {0: [short(100.0, 5_000.0)], 2: [Close("hyperliquid")]}
    run = play(table, [venue()], Script(after=orders))
    assert [USDC.units(event.amount) for event in happened(run, FundingSettled)] == [20.0, 30.0]


def hours_of(rows: list[dict]) -> dict[str, list[float]]:
    """Hours at $100 with the premiums of raw rows."""
    flat_ = {each: [100.0] * len(rows) for each in ("open", "high", "low", "close")}
    return flat_ | {"hyperliquid_premium": [float(row["premium"]) for row in rows]}


def test_funding_is_worked_out_of_the_premium_where_there_is_no_rate(study_data):
    """9,807 hours: each rate is the API's to its ten places, and pays the short of it."""
    rows = json.loads((study_data / "sol_funding_history.json").read_text())
    open_ns = START_NS + np.arange(len(rows)) * NS_PER_HOUR
    table = Market(open_ns=open_ns, at_ns=open_ns + NS_PER_HOUR - 1_000_000, columns=hours_of(rows))
    told = scenario({"taker_fee_bps": 0.0, "maintenance_margin": 0.05})
    assembly = assemble(Scenario.of(told), market=table)
    rates = np.array([float(row["fundingRate"]) for row in rows])
    made = assembly.market["hyperliquid.SOL.funding"]
    assert np.abs(made - rates).max() < 5.1e-11
    run = play(assembly.market, assembly.venues, Script(start=[short(100.0, 5_000.0)]))
    assert -held(run, "Income:Hyperliquid:Funding") == pytest.approx(10_000 * rates.sum(), abs=1e-2)


def test_a_premium_of_days_makes_no_rate():
    """Which of its hours were clamped is not known; a rate that is there overrides it."""
    rows = [{"premium": "0.001"}] * 3
    days = START_NS + np.arange(3) * 24 * NS_PER_HOUR
    told = scenario({"taker_fee_bps": 0.0, "maintenance_margin": 0.05, "funding_clamp": 0.0002})
    table = Market(open_ns=days, at_ns=days + 24 * NS_PER_HOUR - 1_000_000, columns=hours_of(rows))
    with pytest.raises(MarketError, match="works out funding by the hour of 'hyperliquid_premium'; expected such rows"):
        assemble(Scenario.of(told), market=table)
    given_ = hours_of(rows) | {"hyperliquid_funding_rate": [0.5] * 3}
    table = Market(open_ns=days, at_ns=days + 24 * NS_PER_HOUR - 1_000_000, columns=given_)
    assert "hyperliquid.SOL.funding" not in assemble(Scenario.of(told), market=table).market.columns


def test_the_clamp_has_its_dates():
    """An eighth of 0.0006 with a clamp of 0.0002, of 0.0003 with one of 0.0005, of the premium of 0.0008 with none."""
    rows, hour = [{"premium": "0.0008"}] * 3, START_NS + np.arange(4) * NS_PER_HOUR
    clamp = [{"since": int(at), "value": each} for at, each in zip(hour, (0.0002, 0.0005, 0.0), strict=False)]
    told = scenario({"taker_fee_bps": 0.0, "maintenance_margin": 0.05, "funding_clamp": clamp})
    table = Market(open_ns=hour[:3], at_ns=hour[:3] + NS_PER_HOUR - 1_000_000, columns=hours_of(rows))
    made = assemble(Scenario.of(told), market=table).market["hyperliquid.SOL.funding"]
    assert made.tolist() == pytest.approx([0.0006 / 8, 0.0003 / 8, 0.0008 / 8])


# -- rules as values


def test_under_the_studys_values_the_tiers_give_the_studys_run():
    """5 % of maintenance margin is a tier of 10x: the run of the study's model is the same to the last transfer."""
    text = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
    study = assemble(Scenario.load(text)).simulation().run()
    tiers = Scenario.load(text, [
        "venues.hyperliquid.margin_tiers={SOL = [{max_leverage = 10}]}", "venues.hyperliquid.payout_floor=0.0",
        "venues.hyperliquid.fee_discount=0.0",
    ])  # fmt: skip
    run = assemble(tiers).simulation().run()
    assert run.ledger.digest == study.ledger.digest
    assert len(happened(run, Liquidated)) == len(happened(study, Liquidated)) > 0


def test_the_rules_of_the_file_are_those_of_the_vectors():
    """Every coin's last tiers as they were captured, and every rule is a field of the venue."""
    found = rules_of("venues", "hyperliquid")
    venue_ = Scenario.of(scenario({key: rule.setting() for key, rule in found.items()}))
    made = assemble(venue_).venues[0]
    assert made.input("margin_rate")["SOL"].values[-1] == MAINTENANCE
    assert made.input("upper_deduction")["SOL"].values[-1] == 1_750_000
    assert made.input("margin_rate")["SOL"].values[0] == 0.01
    assert found["partial_from_usd"].values[0].certainty == "inferred"


def scenario(rules: dict, **more: object) -> dict:
    """A year of a venue under these rules, and a strategy that does nothing."""
    return {
        "name": "rules",
        "capital_usd": 1_000,
        "market": {"start": "2025-01-01", "end": "2025-12-31", "embedded": "sol_daily"},
        "strategy": {"class": "tests.test_hyperliquid_protocol:Idle"},
        "venues": {"hyperliquid": rules},
        **more,
    }


class Idle(Script):
    """Does nothing."""


WRONG = {
    "no margin": (
        {"taker_fee_bps": 1.0},
        "venues.hyperliquid.maintenance_margin: None; expected a fraction of the notional, or",
    ),
    "another coin": ({"coin": "BONK"}, "hyperliquid.margin_tiers: none of BONK; expected one of SOL"),
    "three tiers": (
        {"margin_tiers": {"SOL": [{"max_leverage": 9}] * 3}},
        "venues.hyperliquid.margin_tiers: 3 of SOL; expected one or two tiers for each coin",
    ),
    "leverage of nothing": ({"leverage": 0.5}, "venues.hyperliquid.leverage: 0.5; expected >= 1"),
    "isolated coins": (
        {"margin_mode": "isolated", "coin": ["SOL", "BTC"]},
        "venues.hyperliquid.margin_mode: SOL, BTC; expected cross where coins share their margin",
    ),
    "too early": (
        {"payout_floor": [{"since": "2025-03-15", "value": 0.2}]},
        "venues.hyperliquid.payout_floor: the rule begins at 2025-03-15",
    ),
    "over": (
        {"payout_floor": [{"since": "2024-03-15", "value": 0.2, "until": "2025-03-15"}]},
        "venues.hyperliquid.payout_floor: the rule ends at 2025-03-15",
    ),
}


@pytest.mark.parametrize(("rules", "words"), WRONG.values(), ids=WRONG)
def test_rules_that_cannot_be_are_one_line(rules, words):
    plain = {"taker_fee_bps": 4.5, "margin_tiers": {"SOL": [{"max_leverage": 20}]}}
    with pytest.raises(ScenarioError, match=f"^{re.escape(words)}"):
        assemble(Scenario.of(scenario(rules if "taker_fee_bps" in rules else plain | rules)))


# -- the house


PROTOCOL = {
    "taker_fee_bps": 4.5, "payout_floor": 0.1, "partial_from_usd": 5_000.0, "min_order_usd": 10.0,
    "fee_tiers": (FeeTier(4.5), FeeTier(4.0, 1_000.0)),
}  # fmt: skip


def test_the_protocols_rules_conform():
    """Whatever a pair does, with orders of which some are rejected."""
    conforms(
        Setup(
            market=TABLE, venues=[asgard(open_fee_bps=15.0), venue(**PROTOCOL)], strategy=Busy("asgard", "hyperliquid")
        )
    )


def test_a_penalty_is_the_studys_liquidation_and_none_the_protocols():
    """The same account at the same price: half of the equity and an open position, or none of it and no position."""
    table = market([100.0, 148.0 / BEYOND])
    start = Script(start=[short(100.0, 4_800.0)])
    study = play(table, [venue(liquidation_penalty=Penalty("equity", 0.5), liquidation_closes=False)], start)
    protocol = play(table, [venue()], start)
    (ours,), (theirs,) = happened(study, Liquidated), happened(protocol, Liquidated)
    assert (ours.closed, theirs.closed) == (False, True)
    assert Fraction(ours.penalty, ours.equity) == pytest.approx(Fraction(1, 2), abs=1e-6)
    assert theirs.penalty == 0
