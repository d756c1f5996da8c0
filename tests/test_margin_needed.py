"""No order takes from a venue what its position needs: such an order is rejected, and the run goes on."""

import numpy as np
import pytest
from attrs import frozen

from framework import (
    Bridge,
    CarrybookError,
    Close,
    Deposit,
    Ended,
    Leg,
    Liquidated,
    Move,
    MoveTokens,
    Open,
    OrderFilled,
    Penalty,
    Rejected,
    Side,
    Swap,
    TransferSent,
    Withdraw,
    waterfall,
)
from framework.venue import formula
from tests.markets import (
    Script,
    asgard,
    at_cost,
    collateral,
    dollar_market,
    drift,
    flat,
    happened,
    hyperliquid,
    jito,
    market,
    play,
)
from venues.hyperliquid import Hyperliquid


@frozen(kw_only=True)
class Keeping(Hyperliquid):
    """A perpetual that keeps a third of the notional as initial margin."""

    initial: float = 1 / 3

    @formula
    def free(equity, notional, initial):
        return equity - notional * initial


SHORT = Open("hyperliquid", Side.SHORT, 10.0, 200.0)
NEEDS = "at which it liquidates; expected to leave more"


@pytest.mark.parametrize("latency_s", [0.0, 7_200.0])
@pytest.mark.parametrize(
    "order", [Withdraw("hyperliquid", 160.0), Move("hyperliquid", "drift", 160.0)], ids=["withdraw", "move"]
)
def test_money_that_a_position_needs_is_not_paid_out(order, latency_s):
    """1,000 USD of notional need 50 USD; of 200 USD 140 can go and 160 cannot, on a bridge that is quick or slow."""
    venues = [hyperliquid(bridge=Bridge(latency_s=latency_s)), drift()]
    run = play(flat(3), venues, Script(start=[SHORT], after={0: [order]}))
    (rejected,) = happened(run, Rejected)
    assert NEEDS in rejected.reason
    assert "40.000000 USD of margin" in rejected.reason
    assert happened(run, TransferSent) == happened(run, Liquidated) == []
    assert waterfall(run).unexplained == 0


def test_what_a_position_does_not_need_is_paid_out():
    """So is all of it where nothing is held."""
    after = {0: [Withdraw("hyperliquid", 140.0)], 1: [Deposit("drift", 50.0), Withdraw("drift", 50.0)]}
    run = play(flat(3), [hyperliquid(), drift()], Script(start=[SHORT], after=after))
    assert happened(run, Rejected) == []
    assert len([each for each in happened(run, OrderFilled) if each.order == "withdrawal"]) == 2


def test_the_fee_of_a_bridge_counts_for_what_a_position_needs():
    """148 USD leave 52, and with a fee of 3 USD only 49."""
    for fee_usd, count in ((0.0, 0), (3.0, 1)):
        venue = hyperliquid(bridge=Bridge(fee_usd=fee_usd, sender_share=1.0))
        run = play(flat(3), [venue], Script(start=[SHORT], after={0: [Withdraw("hyperliquid", 148.0)]}))
        assert len(happened(run, Rejected)) == count


def test_tokens_that_back_a_short_stay_where_they_are():
    """Half of them can go, all of them cannot: the collateral of an open short is no free money."""

    def moved(tokens):
        start = [Swap("jito", "USDC", "JITOSOL", 1_000.0), MoveTokens("jito", "drift", "JITOSOL", 10.0)]
        start += [Open("drift", Side.SHORT, 10.0, 0.0)]
        script = Script(start=start, after={0: [MoveTokens("drift", "jito", "JITOSOL", tokens)]})
        return play(dollar_market([100.0, 100.0, 100.0]), [jito(), collateral()], script)

    assert happened(moved(5.0), Rejected) == []
    (rejected,) = happened(moved(10.0), Rejected)
    assert NEEDS in rejected.reason


def test_a_larger_loan_is_not_taken_where_the_coins_would_not_cover_it():
    """Asgard pays out by a larger loan: 1,000 USD of coins need 50 USD of equity."""
    start = [Open("asgard", Side.LONG, 10.0, 200.0)]
    run = play(flat(3), [asgard()], Script(start=start, after={0: [Withdraw("asgard", 160.0)]}))
    assert len(happened(run, Rejected)) == 1


def test_a_venue_that_judges_by_distance_judges_a_withdrawal_by_distance():
    """What the declared formula does not look at cannot make it hold."""
    venue = at_cost(hyperliquid(), liquidation_distance=0.2)
    run = play(flat(3), [venue], Script(start=[SHORT], after={0: [Withdraw("hyperliquid", 160.0)]}))
    assert happened(run, Rejected) == []


def test_a_position_that_is_in_danger_already_pays_nothing_out():
    """The lows are past, and it is not liquidated for that; but what is left of its margin is not free money."""
    table = flat(3)
    venue = hyperliquid(maintenance_margin=0.3)
    run = play(table, [venue], Script(start=[SHORT, Withdraw("hyperliquid", 10.0)]))
    (rejected,) = happened(run, Rejected)
    assert NEEDS in rejected.reason
    assert np.isfinite(run.curve.equity_usd).all()


@pytest.mark.parametrize(("fee_usd", "most_usd"), [(0.0, 166.66), (3.0, 165.16)])
@pytest.mark.parametrize("order", [Withdraw, lambda venue, usd: Move(venue, "drift", usd)], ids=["withdraw", "move"])
def test_only_what_is_free_is_paid_out(order, fee_usd, most_usd):
    """Of 500 USD behind 1,000 USD of notional a third of these stays, and half of the fee is paid on leaving."""
    keeping = Keeping(
        taker_fee_bps=0.0,
        maintenance_margin=0.05,
        liquidation_penalty=Penalty("equity", 0.5),
        bridge=Bridge(fee_usd=fee_usd),
    )
    open_short, more = Open("hyperliquid", Side.SHORT, 10.0, 500.0), order("hyperliquid", most_usd + 0.01)
    script = Script(start=[open_short], after={0: [more], 1: [order("hyperliquid", most_usd)]})
    run = play(flat(3), [keeping, drift()], script)
    (rejected,) = happened(run, Rejected)
    assert "expected at most the 166.666667 USD that are free there" in rejected.reason
    assert run.curve.equity_usd_by_venue["hyperliquid"][-1] == pytest.approx(500.0 - most_usd - fee_usd / 2, abs=0.02)


def test_a_leg_says_what_is_free():
    """The formula where there is one, else the equity."""
    assert Leg(equity_usd=80.0).free_usd == 80.0
    assert Leg(equity_usd=80.0, free_usd=lambda: 30.0).free_usd == 30.0


def test_a_view_says_what_is_on_its_way():
    """Money on a slow bridge is neither in the wallet nor at a venue, and is no loss."""
    seen = []

    @frozen
    class Looks(Script):
        def on_event(self, event, view):
            seen.append((view.cash_usd, view.transit_usd, view.equity_usd))
            return super().on_event(event, view)

    slow = hyperliquid(bridge=Bridge(latency_s=36 * 3_600.0))
    play(flat(3), [slow, drift()], Looks(start=[Deposit("hyperliquid", 4_000.0)], after={0: [], 2: []}))
    assert seen[0] == (6_000.0, 4_000.0, 10_000.0)
    assert seen[-1] == (6_000.0, 0.0, 10_000.0)


def test_a_venue_may_refuse_what_a_filled_order_leaves():
    """It sees the books with the fill in them, takes the whole of it back, and is not asked of a quote."""
    fees = []

    @frozen(kw_only=True)
    class Strict(Keeping):
        def accept(self, order, book):
            if book.value(self.name, "free") < 0:
                book.reject("less than the initial margin")

    @frozen
    class Quotes(Script):
        def on_start(self, view):
            fees.append(view.quote(Open("hyperliquid", Side.SHORT, 10.0, 0.0)).fee_usd)
            return super().on_start(view)

    venue = Strict(taker_fee_bps=10.0, maintenance_margin=0.05, liquidation_penalty=Penalty("equity", 0.5))
    script = Quotes(start=[Open("hyperliquid", Side.SHORT, 10.0, 330.0), Open("hyperliquid", Side.SHORT, 10.0, 340.0)])
    run = play(flat(2), [venue], script)
    assert fees == [1.0]
    assert [each.reason for each in happened(run, Rejected)] == ["less than the initial margin"]
    (filled,) = happened(run, OrderFilled)
    assert filled.fee_usd == 1.0
    assert run.curve.equity_usd_by_venue["hyperliquid"][-1] == pytest.approx(339.0)


LEAST = Open("hyperliquid", Side.SHORT, 10.0, 0.0)
ASKED = {
    "filled": (SHORT, ""),
    "not enough money": (Open("hyperliquid", Side.SHORT, 10.0, 10_000.01), "would fall to -0.010000 USDC"),
    "a limit of the venue": (LEAST, "it leaves 0.000000 USD; expected 1 or more"),
}


@frozen(kw_only=True)
class Limited(Hyperliquid):
    """A perpetual that allows no order after which less than a dollar is left."""

    def accept(self, order, book):
        left_usd = book.leg(self.name).equity_usd
        if left_usd < 1:
            book.reject(f"it leaves {left_usd:.6f} USD; expected 1 or more")


@pytest.mark.parametrize(("order", "why"), ASKED.values(), ids=ASKED)
def test_a_view_says_why_an_order_would_be_rejected(order, why):
    """As the order itself would be, with the money and the limits; nothing is done, and nothing is in the log."""
    said = []

    class Asks(Script):
        def on_start(self, view):
            said.append(view.rejection(order))
            yield order
            if isinstance(view.outcome, Rejected):
                said.append(view.outcome.reason)

    limited = Limited(taker_fee_bps=0.0, maintenance_margin=0.05, liquidation_penalty=Penalty("equity", 0.5))
    run = play(flat(3), [limited], Asks())
    assert why in said[0]
    assert said[1:] == said[:1] * bool(why)
    assert len(happened(run, Rejected)) == bool(why)


@pytest.mark.parametrize("order", [Deposit("hyperliquid", 1.0), Open("hyperliquid", Side.SHORT, -1.0, 1.0)])
def test_what_cannot_be_asked_about_is_refused(order):
    """Money that only moves, and an order that can never be right."""

    class Asks(Script):
        def on_start(self, view):
            view.rejection(order)
            return ()

    with pytest.raises(CarrybookError, match=r"cannot be asked about|expected a finite number above 0"):
        play(flat(3), [hyperliquid()], Asks())


CLOSING = {
    "asgard": (asgard, Open("asgard", Side.LONG, 30.0, 1_000.0)),
    "hyperliquid": (hyperliquid, Open("hyperliquid", Side.SHORT, 30.0, 1_000.0)),
    "drift": (drift, Open("drift", Side.SHORT, 30.0, 1_000.0)),
}
NO_LIQUIDATION = {"maintenance_margin": 0.0, "liquidation_penalty": Penalty("equity", 0.0), "liquidation_closes": False}


@pytest.mark.parametrize("cost", [False, True], ids=["at the market", "at cost"])
@pytest.mark.parametrize("price", [100.0, 1.0, 1_000.0])
@pytest.mark.parametrize(("venue", "opening"), CLOSING.values(), ids=CLOSING)
def test_a_venue_of_the_project_closes_whatever_is_left(venue, opening, price, cost):
    """Also a position that owes more than it is worth, or none at all: a view says so without trying it."""

    class Closes(Script):
        def on_start(self, view):
            assert view.rejection(Close(opening.venue)) == ""
            yield opening

        def on_event(self, event, view):
            if isinstance(event, Ended):
                assert view.leg(opening.venue).size
                assert view.rejection(Close(opening.venue)) == ""
                yield Close(opening.venue)
                assert isinstance(view.outcome, OrderFilled)

    held = venue(**NO_LIQUIDATION)
    run = play(market([100.0, price]), [at_cost(held) if cost else held], Closes())
    assert len(happened(run, OrderFilled)) == 2
