"""Settling a synthetic dollar's rows at once, a few at a time or one by one is the same, whatever happens to it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import (
    CarrybookError,
    Close,
    FeeAccrued,
    FundingSettled,
    MarginCalled,
    MoveTokens,
    Open,
    Penalty,
    Resize,
    RewardAccrued,
    Side,
    Stake,
    Swap,
    Unstake,
    metrics,
    waterfall,
)
from framework.clock import NS_PER_DAY
from strategies.margin_call import MarginCallDeleverage
from tests.markets import Script, collateral, dollar_market, happened, jito, play
from venues.issuer import Issuer

SETTLED = {
    "funding": FundingSettled,
    "staking_reward": RewardAccrued,
    "reward_fee": FeeAccrued,
    "maintenance_fee": FeeAccrued,
}


@st.composite
def markets(draw):
    """SOL wanders, at times violently; the pool's rate rises in steps and may be slashed; jitoSOL has its own price."""
    count = draw(st.integers(2, 50))

    def each(low, high):
        return np.array(draw(st.lists(st.floats(low, high), min_size=count, max_size=count)))

    close = 30 * np.cumprod(1 + each(-0.3, 0.5) * draw(st.sampled_from([0.05, 0.3, 1.0])))
    steps = each(-0.001, 0.003) * draw(st.sampled_from([0.0, 1.0, 10.0]))
    opened = np.concatenate((close[:1], close[:-1]))
    wick = 1 + each(0.0, 2.0) * draw(st.sampled_from([0.0, 0.05, 1.0]))
    return dollar_market(
        close.tolist(),
        first_open=float(opened[0]),
        rate=(1.1 * np.cumprod(1 + np.where(steps > 0.001, steps, np.minimum(steps, 0.0)))).tolist(),
        first_rate=1.1,
        premium=(each(-0.3, 0.1) * draw(st.sampled_from([0.0, 0.1, 1.0]))).tolist(),
        high=(np.maximum(opened, close) * wick).tolist(),
        low=(np.minimum(opened, close) / wick).tolist(),
        funding=(each(-0.01, 0.01) * draw(st.sampled_from([0.0, 0.1, 1.0]))).tolist(),
        row_ns=draw(st.sampled_from([NS_PER_DAY // 24, NS_PER_DAY])),
    )


@st.composite
def venues(draw):
    """Pool, perpetual and issuer under random rules."""
    fees = draw(st.sampled_from([0.0, 1.0]))
    drift = collateral(
        taker_fee_bps=fees * 5,
        collateral_weight=draw(st.sampled_from([1.0, 0.8, 0.3])),
        funding_apart=draw(st.booleans()),
        maintenance_margin=draw(st.sampled_from([0.0, 0.03, 0.2])),
        liquidation_penalty=Penalty(draw(st.sampled_from(["equity", "notional"])), draw(st.sampled_from([0.0, 0.025]))),
        liquidation_closes=draw(st.booleans()),
        forgive_negative_equity=draw(st.booleans()),
        funding_price=draw(st.sampled_from(["open", "close"])),
    )
    pool = jito(
        reward_fee=draw(st.sampled_from([0.0, 0.04])),
        withdrawal_fee=fees * 0.001,
        swap_fee_bps=fees * 20,
        unstaking_s=draw(st.sampled_from([0.0, 3_600.0, 190_000.0])),
    )
    issuer = Issuer(
        swap=fees * 0.005, rebalance=fees * 0.00125, maintenance_per_year=draw(st.sampled_from([0.0, 0.0003, 0.5]))
    )
    return [pool, drift, issuer]


@st.composite
def dollars(draw):
    """The strategy, in any of its readings."""
    return MarginCallDeleverage(
        maintenance=draw(st.sampled_from([0.05, 0.4, 0.67, 0.95])),
        hedge=draw(st.sampled_from(["units", "value"])),
        tolerance=draw(st.sampled_from([0.001, 0.01, 0.1])),
        min_call_usd=draw(st.sampled_from([1e-6, 0.01, 50.0])),
        redeem_at_end=draw(st.booleans()),
    )


def outcome(*arguments, **options):
    """The run, or the words with which it was refused."""
    try:
        return play(*arguments, **options)
    except CarrybookError as error:
        return str(error)


def assert_one_outcome(table, places, strategy, cuts=(1, 7), **options):
    """The same books, log and curve for every cut; returns the run, None where all are refused in the same words."""
    whole, *others = (outcome(table, places, strategy, rows_at_once=cut, **options) for cut in (None, *cuts))
    if isinstance(whole, str):
        assert all(other == whole for other in others)
        return None
    for other in others:
        assert other.ledger.digest == whole.ledger.digest
        assert list(other.events) == list(whole.events)
        assert np.array_equal(other.curve.equity_usd, whole.curve.equity_usd)
        assert np.array_equal(other.curve.net_size, whole.curve.net_size)
        assert np.array_equal(other.curve.gross_size, whole.curve.gross_size)
        assert metrics(other) == metrics(whole)
    return whole


def assert_books(run):
    """What holds for any ledger: sums, floors, signs, events and the waterfall."""
    assert waterfall(run).unexplained == 0
    totals, again = {}, dict.fromkeys(run.ledger.accounts, 0)
    for account, amount in run.ledger.balances().items():
        totals[account.asset] = totals.get(account.asset, 0) + amount
        assert not account.floor or amount * account.sign >= 0
    assert set(totals.values()) == {0}
    records = run.ledger.records()
    assert (records["amount"] > 0).all()
    assert (np.diff(records["at_ns"]) >= 0).all()
    for debit, credit, amount in zip(
        records["debit"].tolist(), records["credit"].tolist(), records["amount"].tolist(), strict=True
    ):
        again[run.ledger.accounts[debit]] += amount
        again[run.ledger.accounts[credit]] -= amount
    assert again == run.ledger.balances()
    events = {event.event: event for event in run.events}
    assert list(events) == list(range(1, len(events) + 1))
    settled = set()
    for record in run.ledger:
        event = events[record.event]
        assert event.at_ns == record.at_ns
        if record.kind in SETTLED:
            assert type(event) is SETTLED[record.kind]
            assert abs(event.amount) == record.amount
            assert record.event not in settled
            settled.add(record.event)
    assert settled == {event.event for event in events.values() if isinstance(event, tuple(set(SETTLED.values())))}


ENTRIES = st.sampled_from([{"at_first_open": True}, {"look_ahead_at_entry": True}, {"look_ahead_at_entry": False}])


@pytest.mark.slow
@given(markets(), venues(), dollars(), ENTRIES)
def test_any_cut_gives_the_same_synthetic_dollar(table, places, strategy, entry):
    """One digest, one log, one curve; the books hold whatever was called, cut, liquidated or redeemed."""
    run = assert_one_outcome(table, places, strategy, **entry)
    if run is not None:
        assert_books(run)


@st.composite
def scripts(draw, rows=12):
    """Orders at random rows, as they come: many will be refused, and then in the same words."""
    size = st.sampled_from([0.5, 3.0, 20.0, 100.0])
    order = st.one_of(
        st.builds(Swap, st.just("jito"), st.sampled_from(["USDC", "SOL", "JITOSOL"]), st.just("JITOSOL"), size),
        st.builds(Swap, st.just("jito"), st.sampled_from(["SOL", "JITOSOL"]), st.just("USDC"), size),
        st.builds(Stake, st.just("jito"), size),
        st.builds(Unstake, st.just("jito"), size),
        st.builds(MoveTokens, st.just("jito"), st.just("drift"), st.just("JITOSOL"), size),
        st.builds(MoveTokens, st.just("drift"), st.just("jito"), st.just("JITOSOL"), size),
        st.builds(Open, st.just("drift"), st.sampled_from([Side.LONG, Side.SHORT]), size, st.just(10.0)),
        st.builds(Resize, st.just("drift"), size),
        st.builds(Close, st.just("drift")),
    )
    start = [
        Swap("jito", "USDC", "JITOSOL", 4_000.0),
        Swap("jito", "USDC", "SOL", 2_000.0),
        MoveTokens("jito", "drift", "JITOSOL", 50.0),
    ]
    after = draw(st.dictionaries(st.integers(0, rows - 1), st.lists(order, min_size=1, max_size=2), max_size=6))
    return Script(start=start, after=after)


@pytest.mark.slow
@given(markets(), venues(), scripts())
def test_any_cut_gives_the_same_for_any_orders(table, places, strategy):
    """Staking, both ways of unstaking, swaps, tokens to and fro and positions, in any order and at any time."""
    run = assert_one_outcome(table, places, strategy, cuts=(1, 3))
    if run is not None:
        assert_books(run)


def test_the_random_cases_are_not_all_quiet():
    """A market like those that are drawn has calls, a re-hedge and an end: the comparison compares something."""
    close = 30 * np.cumprod(1 + np.array([0.2, -0.1, 0.3, 0.25] * 10))
    table = dollar_market(close.tolist(), rate=(1.1 * 1.002 ** np.arange(40)).tolist(), funding=0.001)
    strategy = MarginCallDeleverage(hedge="value", redeem_at_end=True)
    places = [jito(reward_fee=0.04), collateral(funding_apart=True), Issuer(swap=0.005, rebalance=0.00125)]
    run = assert_one_outcome(table, places, strategy, at_first_open=True)
    assert_books(run)
    assert len(happened(run, MarginCalled)) > 10
    assert {event.kind for event in run.events} >= {"ConditionMet", "RewardAccrued", "FundingSettled", "Ended"}
