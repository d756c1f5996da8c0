"""Execution: nothing half-posted, arrivals against liquidations, and wide random markets cut in any way."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework import (
    USDC,
    Bridge,
    CarrybookError,
    Deposit,
    Draft,
    EveryRow,
    Liquidated,
    Move,
    Open,
    OrderFilled,
    Penalty,
    Scenario,
    Side,
    Started,
    Strategy,
    TransferArrived,
    Withdraw,
    assemble,
    waterfall,
)
from framework.books import Books
from framework.clock import Clock
from framework.execution import Execution
from framework.present import Present
from framework.venue import CAPITAL, CASH
from strategies.capital_rebalance import CapitalRebalance
from tests.conftest import ROOT
from tests.markets import Script, asgard, balance, dollar_market, drift, flat, happened, hyperliquid, market, play

DAY_S = 86_400.0
LONG = Open("asgard", Side.LONG, 50.0, 4_000.0)
SHORT = Open("hyperliquid", Side.SHORT, 50.0, 5_000.0)


def desk(*venues):
    """An execution with $10,000 in the wallet, at the opening of a flat market."""
    table, capital = flat(5), USDC.exact(10_000)
    books = Books(table, venues, capital)
    clock = Clock(int(table.open_ns[0]))
    present = Present(table, {venue.name: venue for venue in venues}, books, clock)
    draft = Draft(books.ledger)
    draft.transfer(CASH, CAPITAL, capital, "capital")
    books.post(Started(event=1, at_ns=clock.now_ns, venue="", amount=capital), draft)
    return books, Execution(present, lambda _: None)


REFUSED = {
    "move beyond the equity": Move("hyperliquid", "asgard", 6_000.0),
    "move to an unknown venue": Move("hyperliquid", "kraken", 1.0),
    "move from an unknown venue": Move("kraken", "asgard", 1.0),
    "move of nothing": Move("hyperliquid", "asgard", 0.0),
    "move of no number": Move("hyperliquid", "asgard", float("nan")),
    "withdrawal below zero": Withdraw("hyperliquid", -1.0),
    "short on a lender": Open("asgard", Side.SHORT, 1.0, 5.0),
    "size of zero": Open("hyperliquid", Side.SHORT, 0.0, 5.0),
    "size of no number": Open("asgard", Side.LONG, float("nan"), 5.0),
    "overdrawn wallet": Open("hyperliquid", Side.SHORT, 1.0, 1e4),
    "repayment beyond the loan": Deposit("asgard", 1_000.000001),
    "funds below zero": Open("hyperliquid", Side.SHORT, 1.0, -5.0),
    "no order": "buy",
}


@pytest.mark.parametrize("order", REFUSED.values(), ids=REFUSED)
def test_a_refused_order_leaves_nothing_half_posted(order):
    """Neither the ledger nor the log nor any balance has a trace of an order that was refused."""
    books, execution = desk(asgard(), hyperliquid())
    execution.execute(LONG, 1)
    execution.execute(SHORT, 1)
    before = books.ledger.digest, len(books.events), dict(books.ledger.balances())
    with pytest.raises(CarrybookError):
        execution.execute(order, 1)
    assert (books.ledger.digest, len(books.events), dict(books.ledger.balances())) == before


def test_a_move_that_its_target_refuses_is_not_sent_either():
    """A repayment beyond the loan, sent over a bridge without latency, leaves no trace."""
    books, execution = desk(asgard(), hyperliquid())
    execution.execute(LONG, 1)
    execution.execute(SHORT, 1)
    before = books.ledger.digest, len(books.events)
    with pytest.raises(CarrybookError, match="is more than the loan"):
        execution.execute(Move("hyperliquid", "asgard", 2_000.0), 1)
    assert (books.ledger.digest, len(books.events)) == before


@pytest.mark.parametrize(("latency_s", "saved"), [(0.9 * DAY_S, True), (DAY_S, False), (1.1 * DAY_S, False)])
def test_money_saves_a_position_only_if_it_arrives_before_the_check(latency_s, saved):
    """Margin sent after row 1 counts in row 2 where it has arrived before its close; at that instant it is too late."""
    table = market([100.0] * 4, high=[100.0, 100.0, 145.0, 100.0], low=100.0)
    venues = [asgard(), hyperliquid(bridge=Bridge(latency_s=latency_s))]
    short = Open("hyperliquid", Side.SHORT, 50.0, 2_300.0)
    strategy = Script(start=[LONG, short], after={1: [Move("asgard", "hyperliquid", 500.0)]})
    run = play(table, venues, strategy)
    assert bool(happened(run, Liquidated)) is not saved


def test_a_strategy_acts_on_an_arrival_between_rows():
    """What it orders then happens at the instant of the arrival, at the price of the last close."""
    table = market([100.0, 110.0, 120.0, 130.0], funding=0.001)
    strategy = Script(
        start=[LONG, SHORT],
        after={0: [Move("asgard", "hyperliquid", 100.0)]},
        on_arrival=[Withdraw("hyperliquid", 40.0)],
    )
    run = play(table, [asgard(), hyperliquid(bridge=Bridge(latency_s=1.5 * DAY_S))], strategy)
    (arrived,) = happened(run, TransferArrived)
    (withdrawn,) = (event for event in run.events if event.cause == arrived.event)
    assert withdrawn.at_ns == arrived.at_ns == int(table.at_ns[0]) + round(1.5 * DAY_S) * 10**9
    assert withdrawn.price == 110.0
    assert run.curve.cash_usd.tolist() == [1_000.0, 1_000.0, 1_040.0, 1_040.0]
    assert run.curve.transit_usd.tolist() == [100.0, 100.0, 0.0, 0.0]


def test_a_tiny_pair_known_by_hand():
    """Two days of carry, funding and prices, every bucket worked out on paper."""
    table = market([100.0, 110.0, 120.0], funding=[0.5, 0.01, 0.01], lending=0.365, borrowing=0.73)
    venues = [asgard(open_fee_bps=10.0, gas_usd=2.0), hyperliquid(taker_fee_bps=5.0)]
    strategy = Script(start=[Open("asgard", Side.LONG, 10.0, 500.0), Open("hyperliquid", Side.SHORT, 10.0, 500.0)])
    run = play(table, venues, strategy, capital_usd=1_000.0, look_ahead_at_entry=False)
    steps = {name: amount for name, amount in waterfall(run).steps() if amount}
    assert steps == {
        "carry": Decimal("0.287188"),
        "funding": Decimal(23),
        "fees": Decimal("-3.5"),
        "price_pnl": Decimal("0.1"),
        "result": Decimal("19.887188"),
    }
    assert balance(run, "Assets:Asgard:Collateral", "SOL") == 10_020_010_000
    assert balance(run, "Liabilities:Asgard:Loan") == -505_014_012
    assert balance(run, "Assets:Hyperliquid:Margin") == 522_500_000
    assert run.curve.equity_usd[0] == 996.5


def held_before_the_end(run):
    """Equity at the last close in fractions, from the records of the events before the run's end."""
    ended = next(event.event for event in run.events if event.kind == "Ended")
    price = Fraction(repr(float(run.market["close"][-1])))
    worth = {"USDC": Fraction(1, 10**6), "SOL": price / 10**9, "SOL-PERP": price / 10**9}
    total = Fraction(0)
    for record in run.ledger:
        if record.event < ended:
            for name, sign in ((record.debit, 1), (record.credit, -1)):
                if name.startswith(("Assets:", "Liabilities:")):
                    total += sign * record.amount * worth[record.asset]
    return total


@pytest.mark.parametrize("short", ["hyperliquid", "drift"])
def test_the_curve_ends_where_the_balances_do(short):
    """Before the closing orders the last point of the curve is what the records add up to."""
    path = ROOT / "examples/capital_rebalance/scenario.toml"
    run = assemble(Scenario.load(path, [f"strategy.short={short}"])).simulation().run()
    assert run.curve.equity_usd[-1] == pytest.approx(float(held_before_the_end(run)), rel=0, abs=1e-6)


@st.composite
def wide_markets(draw):
    """20 to 120 rows, from a seed: violent at times, rates of both signs that change every row."""
    count, chance = draw(st.integers(20, 120)), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    swing = draw(st.sampled_from([0.01, 0.05, 0.2]))
    close = np.clip(100 * np.exp(np.cumsum(chance.standard_t(3, count) * swing)), 0.5, 20_000).round(4)
    opened = np.concatenate((close[:1], close[:-1]))
    wick = np.exp(np.abs(chance.normal(0, swing / 2, count)))
    return market(
        close.tolist(),
        high=np.maximum(opened, close) * wick,
        low=np.minimum(opened, close) / wick,
        funding=chance.normal(0, 0.003, count),
        lending=chance.uniform(-0.5, 1.0, count),
        borrowing=chance.uniform(-0.5, 1.5, count),
    )


@st.composite
def wide_setups(draw):
    """Rules drawn for each venue on its own, delays of hours and days, and leverage up to 9."""

    def liquidation():
        kind = draw(st.sampled_from(["equity", "notional"]))
        return {
            "maintenance_margin": draw(st.sampled_from([0.0, 0.03, 0.05, 0.1])),
            "liquidation_penalty": Penalty(kind, draw(st.sampled_from([0.0, 0.025, 0.5, 0.99]))),
            "liquidation_closes": draw(st.booleans()),
            "forgive_negative_equity": draw(st.booleans()),
        }

    def bridge():
        return Bridge(
            fee_usd=draw(st.sampled_from([0.0, 0.001, 3.0])),
            latency_s=draw(st.sampled_from([0.0, 3_600.0, 0.5 * DAY_S, DAY_S, 2.3 * DAY_S])),
            sender_share=draw(st.sampled_from([0.0, 0.5, 1.0])),
        )

    make, short = draw(st.sampled_from([(hyperliquid, "hyperliquid"), (drift, "drift")]))
    lender = asgard(
        open_fee_bps=draw(st.sampled_from([0.0, 15.0])),
        gas_usd=draw(st.sampled_from([0.0, 2.0])),
        overpayment=draw(st.sampled_from(["refuse", "earns_borrowing_rate"])),
        bridge=bridge(),
        **liquidation(),
    )
    perpetual = make(
        taker_fee_bps=draw(st.sampled_from([0.0, 3.5])),
        funding_price=draw(st.sampled_from(["open", "close"])),
        bridge=bridge(),
        **liquidation(),
    )
    leverage = draw(st.sampled_from([1.01, 2.0, 3.0, 5.0, 9.0]))
    trigger = draw(st.sampled_from([leverage, leverage * 1.2, leverage * 2, "never"]))
    return [lender, perpetual], CapitalRebalance(long="asgard", short=short, leverage=leverage, trigger=trigger)


def outcome(*arguments, **options):
    """The run, or the words with which it was refused."""
    try:
        return play(*arguments, **options)
    except CarrybookError as error:
        return str(error)


def facts(run):
    """All that must not depend on the cut."""
    if isinstance(run, str):
        return run
    curve = run.curve
    arrays = [curve.cash_usd, curve.transit_usd, *curve.equity_usd_by_venue.values(), *curve.size_by_venue.values()]
    return run.ledger.digest, list(run.events), [array.tobytes() for array in arrays]


class Attentive(Strategy):
    """Another strategy, woken after every row as well and leaving those rows alone."""

    def __init__(self, inner):
        self.inner = inner

    def conditions(self):
        return EveryRow(), *self.inner.conditions()

    def on_start(self, view):
        return self.inner.on_start(view)

    def on_event(self, event, view):
        return () if getattr(event, "condition", None) == EveryRow() else self.inner.on_event(event, view)


@settings(max_examples=120, deadline=None)
@given(wide_markets(), wide_setups(), st.booleans())
def test_neither_the_cut_nor_an_idle_look_changes_anything(table, setup, look_ahead):
    """Ledger, log and every array of the curve are the same for all cuts and for a strategy that only looks."""
    venues, strategy = setup
    whole = outcome(table, venues, strategy, look_ahead_at_entry=look_ahead)
    for rows in (1, 7):
        assert facts(outcome(table, venues, strategy, look_ahead_at_entry=look_ahead, rows_at_once=rows)) == facts(
            whole
        )
    assert facts(outcome(table, venues, Attentive(strategy), look_ahead_at_entry=look_ahead)) == facts(whole)
    if not isinstance(whole, str):
        assert waterfall(whole).unexplained == 0
        sums = {}
        for record in whole.ledger:
            assert record.amount > 0
        for account, amount in whole.ledger.balances().items():
            sums[account.asset] = sums.get(account.asset, 0) + amount
        assert set(sums.values()) == {0}


class Ahead(Strategy):
    """Sends money as the first row opens, and opens with it when it has arrived; notes what it could know then."""

    def __init__(self):
        self.known = []

    def on_start(self, view):
        self.known.append(view.history("close", 5).tolist())
        yield Open("hyperliquid", Side.SHORT, 10.0, 5_000.0)
        yield Move("hyperliquid", "drift", 1_000.0)

    def on_event(self, event, view):
        self.known.append(view.history("close", 5).tolist())
        if isinstance(event, TransferArrived):
            yield Open("drift", Side.SHORT, 5.0, 0.0)


def test_money_that_arrives_within_the_first_row_trades_at_its_open():
    """The close of the row in which a run starts is not known before it has come, nor is anything else of that row."""
    table = dollar_market([130.0, 120.0], first_open=110.0)
    strategy = Ahead()
    venues = [hyperliquid(bridge=Bridge(latency_s=3_600.0)), drift()]
    run = play(table, venues, strategy, at_first_open=True)
    fills = [event for event in happened(run, OrderFilled) if event.order == "open"]
    assert [(fill.venue, fill.price) for fill in fills] == [("hyperliquid", 110.0), ("drift", 110.0)]
    assert strategy.known == [[], [], [130.0, 120.0]]
    assert waterfall(run).execution == 0
