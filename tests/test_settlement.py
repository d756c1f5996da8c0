"""Settling a stretch at once and row by row is the same: one ledger, one log, one curve, whatever happens."""

import subprocess
import sys

import numpy as np
import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from framework import (
    Bridge,
    CarrybookError,
    Deposit,
    Ended,
    EveryRow,
    Open,
    Penalty,
    Resize,
    Scenario,
    Side,
    Strategy,
    assemble,
    metrics,
    waterfall,
)
from framework.clock import NS_PER_DAY
from framework.valuation import chronicle
from strategies.capital_rebalance import CapitalRebalance
from strategies.pair import open_pair
from tests.conftest import ROOT
from tests.markets import asgard, at_cost, drift, flat, hyperliquid, market, play
from venues.asgard import Asgard

rates = st.floats(-0.002, 0.002, allow_nan=False)


@st.composite
def markets(draw):
    """Prices that wander, at times violently, with rates of both signs."""
    count = draw(st.integers(3, 60))
    moves = draw(st.lists(st.floats(-0.25, 0.3), min_size=count, max_size=count))
    close = 100 * np.cumprod(1 + np.array(moves) * draw(st.sampled_from([0.05, 0.3, 1.0])))
    opened = np.concatenate((close[:1], close[:-1]))
    wick = 1 + np.array(draw(st.lists(st.floats(0, 0.2), min_size=count, max_size=count)))
    return market(
        close.tolist(),
        high=(np.maximum(opened, close) * wick).tolist(),
        low=(np.minimum(opened, close) / wick).tolist(),
        funding=draw(st.lists(rates, min_size=count, max_size=count)),
        lending=draw(st.floats(0, 0.3)),
        borrowing=draw(st.floats(0, 0.3)),
    )


@st.composite
def setups(draw):
    """Venues under random rules, and a strategy on them."""
    liquidation = {
        "maintenance_margin": draw(st.sampled_from([0.0, 0.03, 0.05, 0.1])),
        "liquidation_penalty": Penalty(
            draw(st.sampled_from(["equity", "notional"])), draw(st.sampled_from([0.0, 0.3]))
        ),
        "liquidation_closes": draw(st.booleans()),
        "forgive_negative_equity": draw(st.booleans()),
    }
    latency_s = draw(st.sampled_from([0.0, 3_600.0, 86_400.0, 200_000.0]))
    bridge = Bridge(fee_usd=draw(st.sampled_from([0.0, 3.000001])), latency_s=latency_s, sender_share=0.5)
    make, short = draw(st.sampled_from([(hyperliquid, "hyperliquid"), (drift, "drift")]))
    fees = draw(st.sampled_from([0.0, 15.0]))
    long_venue = asgard(open_fee_bps=fees, gas_usd=fees / 10, overpayment="earns_borrowing_rate", **liquidation)
    short_venue = make(taker_fee_bps=fees / 4, bridge=bridge, **liquidation)
    leverage = draw(st.sampled_from([1.1, 2.0, 3.0, 4.5]))
    trigger = draw(st.sampled_from([leverage, leverage * 1.3, leverage * 2, "never"]))
    return [long_venue, short_venue], CapitalRebalance(long="asgard", short=short, leverage=leverage, trigger=trigger)


def outcome(*arguments, **options):
    """The run, or the words with which it was refused."""
    try:
        return play(*arguments, **options)
    except CarrybookError as error:
        return str(error)


@pytest.mark.slow
@given(markets(), setups(), st.booleans(), st.sampled_from([2, 7]))
def test_any_cut_gives_the_same_books(table, setup, look_ahead, several):
    """Digest, events and curve do not depend on how many rows are settled at once; nothing is unexplained."""
    venues, strategy = setup
    whole, single, few = (
        outcome(table, venues, strategy, look_ahead_at_entry=look_ahead, rows_at_once=rows)
        for rows in (None, 1, several)
    )
    if isinstance(whole, str):
        assert single == few == whole
        return
    assert single.ledger.digest == few.ledger.digest == whole.ledger.digest
    assert list(single.events) == list(few.events) == list(whole.events)
    assert np.array_equal(single.curve.equity_usd, whole.curve.equity_usd)
    assert np.array_equal(single.curve.net_size, whole.curve.net_size)
    assert waterfall(whole).unexplained == 0
    totals = {}
    for account, amount in whole.ledger.balances().items():
        totals[account.asset] = totals.get(account.asset, 0) + amount
    assert set(totals.values()) == {0}
    assert (whole.ledger.records()["amount"] > 0).all()


@given(markets(), setups())
def test_the_fees_of_the_log_are_all_fees(table, setup):
    """Openings, closings, both ends of transfers, and what a venue charges for closing a liquidated position."""
    run = outcome(table, *setup)
    if not isinstance(run, str):
        told = sum(line.fees_usd or 0.0 for line in chronicle(run))
        assert told == pytest.approx(metrics(run)["total_fees_usd"], rel=0, abs=1e-6)


@given(markets(), setups())
def test_every_settlement_has_one_event_and_every_entry_too(table, setup):
    """Each transfer names an event of the log at its own instant; settlements have exactly one transfer each."""
    run = outcome(table, *setup)
    if isinstance(run, str):
        return
    events = {event.event: event for event in run.events}
    assert list(events) == list(range(1, len(run.events) + 1))
    settled = {}
    for record in run.ledger:
        assert events[record.event].at_ns == record.at_ns
        if record.kind in ("funding", "lending", "interest"):
            settled[record.event] = settled.get(record.event, 0) + 1
            assert abs(events[record.event].amount) == record.amount
    assert set(settled.values()) <= {1}
    kinds = {"FundingSettled", "InterestAccrued"}
    assert settled.keys() == {event.event for event in events.values() if event.kind in kinds}


class Sleeper(Strategy):
    """Opens the pair, and is woken after every row to do nothing."""

    def __init__(self, *, awake):
        self.awake = awake
        self.seen = []

    def conditions(self):
        return (EveryRow(),) if self.awake else ()

    def on_start(self, view):
        return open_pair(view, "asgard", "hyperliquid", 2.0)

    def on_event(self, event, view):
        self.seen.append((view.at_ns, view.price, view.leg("asgard"), view.leg("hyperliquid"), view.equity_usd))
        return ()


class Counter(Strategy):
    """Resizes its short again and again, and compares the sizes that it is shown with those that it remembers."""

    def __init__(self, every):
        self.every, self.sizes = every, [-10.0]

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        return [Open("hyperliquid", Side.SHORT, 10.0, 5_000.0)]

    def on_event(self, event, view):
        if isinstance(event, Ended):
            return
        for rows in (1, 3, 1_000):
            assert view.sizes("hyperliquid", rows).tolist() == self.sizes[max(0, len(self.sizes) - rows) :]
            assert len(view.sizes("asgard", rows)) == len(self.sizes[max(0, len(self.sizes) - rows) :])
        if len(self.sizes) % self.every == 0:
            yield Resize("hyperliquid", 10.0 + len(self.sizes) % 5)
        self.sizes.append(view.leg("hyperliquid").size)


@pytest.mark.parametrize("every", [2, 3, 50])
def test_a_strategy_sees_the_sizes_that_it_had(every):
    """Before each of the last rows up to the present one, settled or not; shorter at the beginning."""
    strategy = Counter(every)
    play(flat(30, funding=1e-4), [asgard(), hyperliquid()], strategy, look_ahead_at_entry=False)
    assert len(strategy.sizes) == 30


@pytest.mark.parametrize("how", [{"at_first_open": True}, {"look_ahead_at_entry": True}])
def test_what_was_opened_before_the_first_row_was_held_in_it(how):
    """A run that starts as the first row opens has had its position in that row as well."""
    strategy = Counter(3)
    play(flat(30, funding=1e-4), [asgard(), hyperliquid()], strategy, **how)
    assert len(strategy.sizes) == 31


@frozen(kw_only=True)
class Mirrored(Asgard):
    """The same lender, which declares each accrual the other way round, as the negative of itself."""

    def accruals(self):
        for each in super().accruals():
            yield evolve(each, debit=each.credit, credit=each.debit, share=-each.share)


class Recalls(Strategy):
    """Holds coins that are lent, and at times compares the sizes that it is shown with those that it has seen."""

    def __init__(self, asked, deposited, bought):
        self.asked, self.deposited, self.bought = asked, deposited, bought
        self.seen, self.compared = [], 0

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield Open("asgard", Side.LONG, 20.0, 1_000.0)
        self.seen.append(view.leg("asgard").size)

    def on_event(self, event, view):
        if isinstance(event, Ended):
            return
        if len(self.seen) in self.asked:
            assert view.sizes("asgard", 1_000).tolist() == self.seen
            self.compared += 1
        if len(self.seen) in self.deposited:
            yield Deposit("asgard", 10.0)
        if len(self.seen) in self.bought:
            yield Open("asgard", Side.LONG, 5.0, 250.0)
        self.seen.append(view.leg("asgard").size)


@pytest.mark.parametrize("kind", [Asgard, Mirrored])
@pytest.mark.parametrize(
    ("asked", "deposited", "bought"),
    [
        ((9, 10, 20, 29), (13,), ()),
        ((4, 25), (15, 16), ()),
        ((28,), (), ()),
        ((4, 25), (), (15, 20)),
        ((28,), (), (9,)),
    ],
)
def test_a_strategy_sees_sizes_that_grew_while_it_did_not_ask(asked, deposited, bought, kind):
    """Coins that are lent are more row by row, also in rows before the first question and between two."""
    strategy = Recalls(asked, deposited, bought)
    venue = kind(open_fee_bps=0.0, gas_usd=0.0, maintenance_margin=0.05, liquidation_penalty=Penalty("equity", 0.5))
    play(flat(30, lending=0.5, borrowing=0.1), [venue], strategy, look_ahead_at_entry=False)
    assert strategy.compared == len(asked)
    assert len(set(strategy.seen)) == 30


def test_looking_at_every_row_changes_nothing():
    """A strategy that is woken and does not act leaves the same ledger and the same log."""
    table = flat(200, funding=0.0002, lending=0.04, borrowing=0.07)
    venues = [asgard(), hyperliquid()]
    awake, asleep = Sleeper(awake=True), Sleeper(awake=False)
    watched, alone = play(table, venues, awake), play(table, venues, asleep)
    assert len(awake.seen) == 201
    assert watched.ledger.digest == alone.ledger.digest
    assert list(watched.events) == list(alone.events)


def test_what_a_woken_strategy_sees_does_not_depend_on_the_cut():
    """Time, price, legs and equity of the view are bit for bit the same, projected or settled."""
    table = market([100 + 3 * (row % 5) for row in range(60)], funding=0.0003, lending=0.04, borrowing=0.07)
    seen = []
    for rows in (None, 1, 7):
        strategy = Sleeper(awake=True)
        play(table, [asgard(), hyperliquid()], strategy, rows_at_once=rows)
        seen.append(strategy.seen)
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0][0] == table.open_ns[0] + NS_PER_DAY - 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["capital_rebalance", "funding_gate"])
def test_hash_order_has_no_part_in_a_run(name):
    """Two processes with different PYTHONHASHSEED write the same ledger, as this one does."""
    code = (
        "from pathlib import Path; from framework import Scenario, assemble\n"
        f"scenario = Scenario.load(Path('examples/{name}/scenario.toml'))\n"
        "print(scenario.digest, assemble(scenario).simulation().run().ledger.digest)"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[1]
        for seed in ("0", "1", "4242")
    }
    scenario = Scenario.load(ROOT / "examples" / name / "scenario.toml")
    assert printed == {assemble(scenario).simulation().run().ledger.digest}


@pytest.mark.parametrize("rows_at_once", [None, 1, 7])
def test_a_series_that_the_ledger_refuses_names_its_row(rows_at_once):
    """Lending that costs, where it is paid in money of which there is none: the same words however rows are cut."""
    table = flat(40, lending=[0.0] * 20 + [-0.1] * 20)
    words = outcome(table, [at_cost(asgard()), hyperliquid()], Sleeper(awake=False), rows_at_once=rows_at_once)
    assert words == (
        "row 21 (2025-01-21): Assets:Asgard:Deposit holds 0.000000 USDC and would fall to -2.739726 USDC; "
        "expected 0 or more"
    )
