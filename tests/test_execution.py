"""Execution: orders refused and rejected, passages of money, acts of venues, and random markets cut in any way."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from framework import (
    USDC,
    Bridge,
    CarrybookError,
    Close,
    Deposit,
    Event,
    EveryRow,
    Liquidated,
    Move,
    MoveTokens,
    Open,
    OrderFilled,
    PayPenalty,
    Penalty,
    Rejected,
    Scenario,
    Side,
    Started,
    Strategy,
    Swap,
    TransferArrived,
    TransferFailed,
    TransferSent,
    Withdraw,
    assemble,
    waterfall,
)
from framework.books import Books
from framework.clock import Clock
from framework.errors import OrderRefused
from framework.simulation import Execution
from framework.venue import CAPITAL, CASH, Act, Dated, Way, formula
from strategies.capital_rebalance import CapitalRebalance
from tests.conftest import ROOT
from tests.markets import Script, asgard, balance, dollar_market, drift, flat, happened, hyperliquid, market, play
from venues.spot import Spot

DAY_S = 86_400.0
LONG = Open("asgard", Side.LONG, 50.0, 4_000.0)
SHORT = Open("hyperliquid", Side.SHORT, 50.0, 5_000.0)


class Tries(Strategy):
    """Gives orders one by one at the start, catching what is refused, and notes the outcome of each."""

    def __init__(self, *orders):
        self.orders, self.outcomes = orders, []

    def on_start(self, view):
        for order in self.orders:
            yield order
            self.outcomes.append(view.outcome)

    def on_event(self, event, view):
        return ()


def desk(*venues):
    """An execution with $10,000 in the wallet, at the opening of a flat market."""
    books = Books(flat(5), venues)
    books.begin(None, None)
    books.transfer(CASH, CAPITAL, USDC.exact(10_000), "capital")
    books.commit(Started(at_ns=books.at_ns, amount=USDC.exact(10_000)), None)
    return books, Execution(books, Clock(books.at_ns), lambda _: None)


def known(books):
    """All that an order which is refused must leave as it was."""
    streams = [(each.base, each.since, each.settled) for each in books.streams]
    return list(books.journal), dict(books.balances), streams, list(books.written)


REFUSED = {
    "move to an unknown venue": Move("hyperliquid", "kraken", 1.0),
    "move from an unknown venue": Move("kraken", "asgard", 1.0),
    "move of nothing": Move("hyperliquid", "asgard", 0.0),
    "move of no number": Move("hyperliquid", "asgard", float("nan")),
    "move to itself": Move("hyperliquid", "hyperliquid", 1.0),
    "withdrawal below zero": Withdraw("hyperliquid", -1.0),
    "short on a lender": Open("asgard", Side.SHORT, 1.0, 5.0),
    "size of zero": Open("hyperliquid", Side.SHORT, 0.0, 5.0),
    "size of no number": Open("asgard", Side.LONG, float("nan"), 5.0),
    "size beyond the integers": Open("hyperliquid", Side.SHORT, 1e12, 5.0),
    "a coin that is not there": Close("hyperliquid", coin="BTC"),
    "funds below zero": Open("hyperliquid", Side.SHORT, 1.0, -5.0),
    "tokens that nobody takes": MoveTokens("asgard", "hyperliquid", "JITOSOL", 1.0),
    "a penalty of nothing": PayPenalty("hyperliquid", 0.0),
    "a deposit at a venue that takes none": Deposit("spot", 1.0),
    "no order": "buy",
}
REJECTED = {
    "move beyond the equity": Move("hyperliquid", "asgard", 6_000.0),
    "withdrawal beyond the equity": Withdraw("hyperliquid", 5_000.1),
    "overdrawn wallet": Open("hyperliquid", Side.SHORT, 1.0, 1e4),
    "deposit beyond the wallet": Deposit("hyperliquid", 1_000.01),
    "repayment beyond the loan": Deposit("asgard", 1_000.000001),
    "a move that its target rejects": Move("hyperliquid", "asgard", 2_000.0),
    "more coins than the money buys": Swap("spot", "USDC", "SOL", 1_001.0),
    "coins that are not there": Swap("spot", "SOL", "USDC", 1.0),
}


@pytest.mark.parametrize("order", REFUSED.values(), ids=REFUSED)
def test_a_refused_order_leaves_no_trace(order):
    """Neither the journal nor any balance nor anything that accrues knows of it."""
    books, execution = desk(asgard(), hyperliquid(), Spot(swap_fee_bps=0.0))
    execution.execute(LONG, None)
    execution.execute(SHORT, None)
    before = known(books)
    with pytest.raises(CarrybookError):
        execution.execute(order, None)
    assert known(books) == before


@pytest.mark.parametrize("order", REJECTED.values(), ids=REJECTED)
def test_a_rejected_order_leaves_one_event(order):
    """It has the order's words, a reason and no transfers."""
    books, execution = desk(asgard(), hyperliquid(), Spot(swap_fee_bps=0.0))
    execution.execute(LONG, None)
    execution.execute(SHORT, None)
    before = known(books)
    event = execution.execute(order, None)
    assert isinstance(event, Rejected)
    assert (event.order, event.venue) == (str(order), getattr(order, "venue", "hyperliquid"))
    assert event.reason
    journal, *rest = known(books)
    assert journal[:-1] == before[0]
    assert (journal[-1].event, journal[-1].transfers) == (event, [])
    assert rest == list(before[1:])


def test_a_strategy_learns_the_outcome_of_each_order():
    """The fill, the rejection, or what was sent; the run goes on after a rejection."""
    strategy = Tries(
        SHORT, Deposit("hyperliquid", 9_000.0), Deposit("hyperliquid", 1.0), Move("hyperliquid", "asgard", 9e9)
    )
    play(flat(3), [asgard(), hyperliquid()], strategy)
    assert [each.venue for each in strategy.outcomes] == ["hyperliquid"] * 4
    assert [each.kind for each in strategy.outcomes] == ["OrderFilled", "Rejected", "OrderFilled", "Rejected"]


def test_a_quote_leaves_no_trace():
    """Not in the journal, nor in what is on its way; one that the venue would reject is refused."""
    books, execution = desk(asgard(), hyperliquid())
    execution.execute(LONG, None)
    before = known(books)
    assert execution.quote(SHORT).amount == 5_000_000_000
    with pytest.raises(OrderRefused, match="asgard would reject a long of 1 coin with 1500 USD: 1400"):
        execution.quote(Open("asgard", Side.LONG, 1.0, 1_500.0))
    with pytest.raises(OrderRefused, match="asgard refuses a short"):
        execution.quote(Open("asgard", Side.SHORT, 1.0, 1_500.0))
    assert known(books) == before


HOUR_S = 3_600.0


IN, OUT = Way(fee_usd=2.0, latency_s=HOUR_S), Way(fee_usd=3.0, latency_s=3 * HOUR_S)
MARGIN, OTHER, WALLET = "Assets:Hyperliquid:Margin", "Assets:Other:Margin", "Assets:Wallet:Cash"
SENT_USD = 100.0
PASSAGES = {
    "a deposit": (Deposit("hyperliquid", SENT_USD), {WALLET: -100.5, MARGIN: 98.5}, IN),
    "a withdrawal": (Withdraw("hyperliquid", SENT_USD), {MARGIN: -100.75, WALLET: 97.75}, OUT),
    "a move into it": (Move("other", "hyperliquid", SENT_USD), {OTHER: -100.5, MARGIN: 98.5}, IN),
    "a move out of it": (Move("hyperliquid", "other", SENT_USD), {MARGIN: -100.75, OTHER: 97.75}, OUT),
}
"""An order, what it changes where ways in cost 2 USD and ways out 3, of which a quarter is paid on leaving, its way."""


def differences(orders, bridge, other=None):
    """What orders after row 2 of daily rows change in USD by account, where both venues have money, and the run."""
    venues = [hyperliquid(bridge=bridge), hyperliquid(name="other", bridge=other or Bridge())]
    start = [Deposit("hyperliquid", 2_000.0), Deposit("other", 2_000.0)]
    runs = [play(flat(8), venues, Script(start=start, after=after)) for after in ({}, {1: orders})]
    before, after = ({(each.name): held for each, held in run.ledger.balances().items()} for run in runs)
    return {name: (after[name] - held) / 1e6 for name, held in before.items() if after[name] != held}, runs[1]


def happenings(run, cause=None):
    """The events of what moves money after row 2."""
    return [event for event in run.single if event.at_ns >= run.market.at_ns[1] and event.kind != "Ended"]


@pytest.mark.parametrize("takes_time", [False, True])
@pytest.mark.parametrize(("order", "changes", "way"), PASSAGES.values(), ids=PASSAGES)
def test_money_pays_and_takes_the_way_of_its_direction(order, changes, way, takes_time):
    """Deposits, withdrawals and moves alike: who sends pays a share of the fee, who receives the rest."""
    ways = [IN, OUT] if takes_time else [evolve(each, latency_s=0.0) for each in (IN, OUT)]
    found, run = differences([order], Bridge(sender_share=0.25, inbound=ways[0], outbound=ways[1]))
    assert found == {**changes, "Expenses:Bridge:Fee": way.fee_usd}
    events = [each for each in happenings(run) if each.kind != "ConditionMet"]
    if not takes_time and not isinstance(order, Move):
        (filled,) = events
        assert (filled.kind, filled.venue, filled.fee_usd) == ("OrderFilled", "hyperliquid", way.fee_usd)
        return
    sent, arrived = events
    assert (sent.kind, arrived.kind, arrived.cause) == ("TransferSent", "TransferArrived", sent.event)
    assert (sent.venue, sent.counterparty) == (arrived.counterparty, arrived.venue)
    assert arrived.at_ns - sent.at_ns == (way.latency_s if takes_time else 0) * 10**9
    assert (sent.fee, arrived.fee) == (way.fee_usd * 250_000, way.fee_usd * 750_000)


@pytest.mark.parametrize("latency_s", [0.0, 30 * HOUR_S])
@pytest.mark.parametrize("direction", ["inbound", "outbound"])
@pytest.mark.parametrize(("order", "changes", "way"), PASSAGES.values(), ids=PASSAGES)
def test_money_that_cannot_get_through_returns(order, changes, way, direction, latency_s):
    """It comes back to who sent it after the time of the way, and the share that was paid on leaving is lost."""
    ways = {
        name: evolve(each, latency_s=latency_s, fails=Dated(("2025-01-01", "2025-01-02"), (False, name == direction)))
        for name, each in (("inbound", IN), ("outbound", OUT))
    }
    found, run = differences([order], Bridge(sender_share=0.25, **ways))
    fails = (way is IN) == (direction == "inbound")
    if not fails:
        assert found == {**changes, "Expenses:Bridge:Fee": way.fee_usd}
        assert not happened(run, TransferFailed)
        return
    lost = way.fee_usd / 4
    assert found == {next(iter(changes)): -lost, "Expenses:Bridge:Fee": lost}
    sent, failed = [each for each in happenings(run) if each.kind != "ConditionMet"]
    assert (sent.kind, failed.kind) == ("TransferSent", "TransferFailed")
    assert (failed.cause, failed.at_ns - sent.at_ns) == (sent.event, latency_s * 10**9)
    assert (failed.venue, failed.counterparty, failed.amount) == (sent.counterparty, sent.venue, sent.amount)
    waiting = run.curve.transit_usd.tolist()[1:]
    assert waiting == [SENT_USD * (latency_s > 0 and row < 3) for row in range(1, 8)]


def test_a_way_may_fail_from_a_date_on():
    """What counts is the instant at which money is sent."""
    fails = Dated(("2025-01-01", "2025-01-05"), (False, True))
    bridge = Bridge(latency_s=48 * HOUR_S, fails=fails)
    orders = {row: [Deposit("hyperliquid", 100.0)] for row in (2, 3, 4)}
    run = play(flat(9), [hyperliquid(bridge=bridge)], Script(after=orders))
    assert [each.at_ns for each in happened(run, TransferFailed)] == [run.market.at_ns[row + 2] for row in (4,)]
    assert balance(run, MARGIN) == 200_000_000


fees = st.sampled_from([0.0, 0.000001, 0.000003, 3.0, 7.123457])
bridges = st.builds(
    Bridge,
    fee_usd=fees,
    latency_s=st.sampled_from([0.0, HOUR_S, 30 * HOUR_S]),
    sender_share=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    inbound=st.none() | st.builds(Way, fee_usd=fees, latency_s=st.sampled_from([0.0, 7 * HOUR_S])),
    outbound=st.none() | st.builds(Way, fee_usd=fees, latency_s=st.sampled_from([0.0, 7 * HOUR_S])),
)


@given(bridges, bridges)
def test_two_orders_by_way_of_the_wallet_never_cost_less_than_one(first, second):
    """A move pays the way out of the one venue and the way into the other, and takes the time of both."""
    sum_usd = 50.0
    found, run = differences([Move("hyperliquid", "other", sum_usd)], first, second)
    by_two, _ = differences([Withdraw("hyperliquid", sum_usd), Deposit("other", sum_usd)], first, second)
    assert found.get("Expenses:Bridge:Fee", 0.0) == by_two.get("Expenses:Bridge:Fee", 0.0)
    (sent,), (arrived,) = happened(run, TransferSent)[-1:], happened(run, TransferArrived)[-1:]
    out, into = first.way(into=False), second.way(into=True)
    assert arrived.at_ns - sent.at_ns == (out.latency_s + into.latency_s) * 10**9


@pytest.mark.parametrize("order", [Move("hyperliquid", "asgard", 500.0), Deposit("asgard", 500.0)])
def test_money_for_a_venue_that_no_longer_takes_it_returns_to_the_wallet(order):
    """The loan that it was to repay is gone when it arrives; the strategy gets an event, and pays no second fee."""

    class Hears(Script):
        def on_event(self, event, view):
            if isinstance(event, TransferFailed):
                heard.append((view.at_ns, event.venue, event.counterparty, view.cash_usd))
            return super().on_event(event, view)

    heard = []
    strategy = Hears(start=[LONG, SHORT], after={1: [order], 2: [Close("asgard")]})
    venues = [asgard(bridge=Bridge(fee_usd=4.0, latency_s=2.5 * DAY_S)), hyperliquid()]
    run = play(flat(8), venues, strategy)
    (sent,), (failed,) = happened(run, TransferSent), happened(run, TransferFailed)
    assert (failed.venue, failed.counterparty, failed.cause) == ("asgard", "wallet", sent.event)
    cash = run.curve.cash_usd[-1]
    assert heard == [(failed.at_ns, "asgard", "wallet", cash)]
    paid = isinstance(order, Deposit) * 502.0
    assert cash == 1_000.0 - paid + 4_000.0 + 500.0
    assert balance(run, "Expenses:Bridge:Fee") == 2_000_000
    assert balance(run, "Assets:Bridge:InTransit") == 0


@frozen(kw_only=True)
class Rolled(Event):
    """An event of a venue's own."""

    coins: float


@frozen(kw_only=True)
class Expiring(Spot):
    """Coins that are sold by the venue where their price is above a limit at the close."""

    limit: float
    own_event: bool = False

    acts = (Act("expired", "expire"),)

    @formula
    def expired(price, size, limit):
        return (price > limit) & (size > 0)

    def expire(self, book):
        coins = book.units(self.held["SOL"])
        self.close(Close(self.name), book)
        return Rolled(venue=self.name, coins=coins) if self.own_event else None


@pytest.mark.parametrize("own_event", [False, True])
@pytest.mark.parametrize("rows_at_once", [None, 1, 2])
def test_a_venue_acts_by_rules_of_its_own(own_event, rows_at_once):
    """The strategy gets the act and the conditions of that row, in this order."""

    class Hears(Script):
        def on_event(self, event, view):
            told.append((event.kind, view.cash_usd))
            return super().on_event(event, view)

    told = []
    venue = Expiring(name="spot", swap_fee_bps=10.0, limit=110.0, own_event=own_event)
    buy = [Swap("spot", "USDC", "SOL", 1_001.0)]
    strategy = Hears(start=[Swap("spot", "USDC", "SOL", 1_000.0)], after={2: buy, 3: [], 4: []})
    run = play(market([100.0, 110.0, 120.0, 100.0, 90.0]), [venue], strategy, rows_at_once=rows_at_once)
    proceeds = 9.99 * 120.0 * 0.999
    kind = "Rolled" if own_event else "Acted"
    after = pytest.approx(9_000.0 + proceeds, abs=1e-6)
    spent = pytest.approx(9_000.0 + proceeds - 1_001.0, abs=1e-6)
    assert told == [
        (kind, after),
        ("ConditionMet", after),
        ("ConditionMet", spent),
        ("ConditionMet", spent),
        ("Ended", spent),
    ]
    (acted,) = [each for each in run.single if each.kind == kind]
    assert (acted.venue, acted.at_ns, acted.cause) == ("spot", run.market.at_ns[2], None)
    if own_event:
        assert acted.coins == 9.99
    else:
        assert (acted.act, acted.price, acted.size) == ("expired", 120.0, -9_990_000_000)
        assert (acted.amount, acted.fee) == (1_197_601_200, 1_198_800)
    assert waterfall(run).unexplained == 0


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
        on_arrival=[Deposit("asgard", 40.0)],
    )
    run = play(table, [asgard(), hyperliquid(bridge=Bridge(latency_s=1.5 * DAY_S))], strategy)
    (arrived,) = happened(run, TransferArrived)
    (deposited,) = (event for event in run.events if event.cause == arrived.event)
    assert deposited.at_ns == arrived.at_ns == int(table.at_ns[0]) + round(1.5 * DAY_S) * 10**9
    assert deposited.price == 110.0
    assert run.curve.cash_usd.tolist() == [1_000.0, 1_000.0, 960.0, 960.0]
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


@pytest.mark.slow
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
