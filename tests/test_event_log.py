"""The event log: its fees are those of the run, and nothing is left out but what costs nothing after every row."""

from collections.abc import Iterator

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from framework import (
    USDC,
    Bridge,
    Close,
    ConditionMet,
    Deposit,
    Ended,
    Event,
    EveryRow,
    LeverageAbove,
    Liquidated,
    Move,
    Order,
    PayPenalty,
    Rejected,
    Resize,
    Strategy,
    TransferSent,
    Venue,
    View,
    Withdraw,
)
from framework.performance import metrics
from framework.valuation import chronicle, fees_usd, running_fees_usd
from framework.venue import account, formula
from strategies.pair import close_pair, open_pair
from tests.markets import AfterRow, Script, asgard, drift, flat, happened, hyperliquid, market, play
from tests.runs import run_and_save

LONG, SHORT = "asgard", "perp"
ACTIONS = ("wait", "move", "resize", "both", "leave", "enter", "withdraw", "deposit", "penalty", "too much")


@frozen(kw_only=True)
class Whim(Strategy):
    """Does after a wake-up one of its actions, by the row; several orders of several kinds in one wake-up."""

    actions: tuple[tuple[str, float], ...]
    every_row: bool
    leverage: float

    def conditions(self):
        return (EveryRow(),) if self.every_row else (LeverageAbove(SHORT, 2.5), AfterRow(3), AfterRow(5))

    def on_start(self, view: View):
        return open_pair(view, LONG, SHORT, self.leverage)

    def on_event(self, event: Event, view: View) -> Iterator[Order]:
        if isinstance(event, Ended):
            yield from close_pair(LONG, SHORT)
            return
        action, share = self.actions[len(view.history("close", 1_000)) % len(self.actions)]
        long, short = view.leg(LONG), view.leg(SHORT)
        empty = max(abs(long.equity_usd), abs(short.equity_usd)) < 1
        if action in ("move", "both") and abs(long.equity_usd - short.equity_usd) * share > 20:
            source, target = (LONG, SHORT) if long.equity_usd > short.equity_usd else (SHORT, LONG)
            yield Move(source, target, abs(long.equity_usd - short.equity_usd) * share / 2)
        if action in ("resize", "both") and long.size and short.size:
            yield Resize(LONG, long.size * (0.5 + share))
            yield Resize(SHORT, -view.leg(SHORT).size * (0.5 + share))
        if action == "leave" and long.size:
            yield Close(LONG)
            yield Close(SHORT)
        if action == "enter" and empty and view.cash_usd > 100:
            yield from open_pair(view, LONG, SHORT, self.leverage)
        if action == "withdraw" and short.equity_usd > 100:
            yield Withdraw(SHORT, short.equity_usd * share / 20)
        if action == "deposit" and view.cash_usd > 100:
            yield Deposit(SHORT, view.cash_usd * share)
        if action == "penalty" and short.equity_usd > 100:
            yield PayPenalty(SHORT, 1.0)
        if action == "too much":
            yield Withdraw(SHORT, abs(short.equity_usd) * 2 + 1)


@st.composite
def runs(draw):
    """A finished run of such a strategy, under fees of every kind and on a bridge that may take its time."""
    steps = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(0, 0.12, 24)
    closes = np.round(100 * np.exp(np.cumsum(steps)), 2)
    perpetual = draw(st.sampled_from([hyperliquid, drift]))
    bridge = Bridge(
        fee_usd=draw(st.sampled_from([0.0, 3.000001])),
        latency_s=draw(st.sampled_from([0.0, 0.0, 43_200.0, 100_000.0])),
        sender_share=draw(st.sampled_from([0.0, 0.3, 1.0])),
    )
    fee_bps, closing = draw(st.sampled_from([0.0, 3.5])), draw(st.booleans())
    lender = asgard(
        open_fee_bps=4 * fee_bps, gas_usd=fee_bps, overpayment="earns_borrowing_rate", liquidation_closes=closing
    )
    venue = perpetual(name=SHORT, taker_fee_bps=fee_bps, bridge=bridge, liquidation_closes=closing)
    actions = st.tuples(st.sampled_from(ACTIONS), st.floats(0.05, 0.9))
    strategy = Whim(
        actions=tuple(draw(st.lists(actions, min_size=1, max_size=6))),
        every_row=draw(st.booleans()),
        leverage=draw(st.sampled_from([1.5, 2.0, 4.0])),
    )
    return play(market(closes.tolist(), borrowing=0.1), [lender, venue], strategy)


@given(runs())
def test_the_fees_of_the_log_sum_to_the_fees_of_the_run(run):
    """And nothing but free compounding after every row is missing among the transfers."""
    lines = list(chronicle(run))
    told = sum(line.fees_usd or 0.0 for line in lines)
    assert told == pytest.approx(float(sum(fees_usd(run).values())), abs=1e-5)
    assert running_fees_usd(run) == {}
    sent = happened(run, TransferSent)
    told_transfers = [line for line in lines if line.kind == "transfer"]
    if any(event.fee for event in sent) or not any(isinstance(each, ConditionMet) for each in run.single):
        assert len(told_transfers) == len(sent) == metrics(run)["capital_rebalances"]
    assert sum(line.kind.startswith("rejected") for line in lines) == len(happened(run, Rejected))
    assert sum(line.kind.endswith("liquidated") for line in lines) == len(happened(run, Liquidated))


def wake(*orders, bridge=None, **fees):
    """The lines of a wake-up of every row, after row 1."""

    @frozen
    class Once(Strategy):
        def conditions(self):
            return (EveryRow(),)

        def on_start(self, view):
            return open_pair(view, "asgard", "hyperliquid", 2.0)

        def on_event(self, event, view):
            return orders if len(view.history("close", 9)) == 2 and isinstance(event, ConditionMet) else ()

    venue = hyperliquid(bridge=bridge or Bridge(), **fees)
    return play(flat(4), [asgard(overpayment="earns_borrowing_rate"), venue], Once())


MOVE, RESIZE = Move("asgard", "hyperliquid", 100.0), Resize("hyperliquid", 90.0)


@pytest.mark.parametrize(
    ("orders", "options", "kinds", "rebalances"),
    [
        ((MOVE, RESIZE), {}, [], 0),
        ((MOVE, RESIZE), {"taker_fee_bps": 3.5}, ["transfer", "resize"], 1),
        ((MOVE, RESIZE), {"bridge": Bridge(fee_usd=3.0, sender_share=0.0)}, ["transfer", "resize"], 1),
        ((MOVE, RESIZE), {"bridge": Bridge(fee_usd=3.0, sender_share=1.0)}, ["transfer", "resize"], 1),
        ((MOVE,), {}, ["transfer"], 1),
        ((MOVE, RESIZE, Close("asgard")), {}, ["transfer", "close"], 1),
    ],
    ids=["free", "a trading fee", "a fee on arriving", "a fee on leaving", "a transfer alone", "a closing besides"],
)
def test_only_free_compounding_after_every_row_is_left_out_of_the_log(orders, options, kinds, rebalances):
    """A wake-up with a resize among other things, or with a fee, is logged whole, and its transfers are counted."""
    run = wake(*orders, **options)
    assert [line.kind for line in chronicle(run)] == ["open", *kinds]
    assert metrics(run)["capital_rebalances"] == rebalances


@pytest.mark.parametrize("example", ["portfolio", "crash"])
def test_fees_of_a_line_are_whole_atomic_units(example, saved):
    """Added as integers: a sum of floats has other last digits, and others from Python 3.12 on."""
    paid = [line.fees_usd for line in chronicle(saved(example)[0]) if line.fees_usd]
    assert len(paid) > 1
    assert paid == [round(usd, 6) for usd in paid]


def test_a_rejected_order_is_a_line_of_the_log():
    """At the venue that could not do it; the event has what was asked for, and why not."""
    run = play(flat(3), [hyperliquid()], Script(start=[Withdraw("hyperliquid", 5.0)]))
    (line,) = chronicle(run)
    assert (line.kind, line.venue) == ("rejected: a withdrawal of 5 USD", "hyperliquid")


@frozen
class SkimOff(Order):
    """An order of a user's own."""

    venue: str


@frozen(kw_only=True)
class Skimming(Venue):
    """Takes a dollar when it is asked to."""

    name: str = "skimming"
    fee = account("Expenses:{venue}:Fee", USDC)
    margin = account("Assets:{venue}:Margin", USDC)

    @formula
    def equity(margin):
        return margin

    def receive(self, book, source, amount, kind):
        book.transfer(self.margin, source, amount, kind)

    def skim_off(self, order, book):
        book.transfer(self.fee, self.margin, 1_000_000, "skim")


def test_an_order_of_a_users_own_is_named_beside_what_came_before_it():
    """Twice in one line of the log: the fee of both is there, and so must be the word."""
    script = Script(start=[Deposit("skimming", 5.0), SkimOff("skimming"), SkimOff("skimming")])
    (line,) = chronicle(play(flat(3), [Skimming()], script))
    assert (line.kind, line.fees_usd) == ("deposit, skim_off", 2.0)


@pytest.mark.parametrize("example", ["uss", "euss"])
def test_fees_that_run_with_time_are_told_apart(example, tmp_path):
    """The log has all but the issuer's maintenance fee and the pool's share of rewards, which it names."""
    run, _ = run_and_save(example, tmp_path)
    running = running_fees_usd(run)
    assert running.keys() <= {"Expenses:Issuer:MaintenanceFee", "Expenses:Jito:RewardFee"}
    assert running
    told = sum(line.fees_usd or 0.0 for line in chronicle(run))
    assert told == pytest.approx(float(sum(fees_usd(run).values()) - sum(running.values())), abs=1e-4)
