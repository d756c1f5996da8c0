"""A pair stays hedged or is closed, whatever its venues reject, liquidate in part or take away; the run goes on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework import (
    Acted,
    Bridge,
    ConditionMet,
    Deleveraged,
    Deposit,
    Leg,
    Liquidated,
    Move,
    Open,
    OrderFilled,
    Rejected,
    Scenario,
    Side,
    StillView,
    TransferArrived,
    TransferSent,
    VenueResumed,
    assemble,
    waterfall,
)
from framework.clock import NS_PER_DAY
from framework.errors import ScenarioError
from framework.venue import Dated, Way
from strategies.capital_rebalance import CapitalRebalance
from strategies.full_rotation import FullRotation
from strategies.margin_call import MarginCallDeleverage
from strategies.pair import level_equity
from strategies.static import Static
from tests.fickle_venues import FickleDrift, FickleLender, FicklePerpetual
from tests.markets import START_NS, asgard, dollar_market, flat, happened, hyperliquid, jito, market, play
from tests.test_incidents import day, incident
from tests.test_incidents import play as play_with
from venues.issuer import Issuer

ROWS = 24
PAIR = {"long": "asgard", "short": "hyperliquid"}
TOLERANCE = 0.2
AMONG_ROWS = st.sets(st.integers(2, ROWS - 2), max_size=5)


def dated(rows, value=1.0, otherwise=0.0):
    """A rule that has a value in some rows and another one in all else."""
    values = [value if row in rows else otherwise for row in range(ROWS + 1)]
    return Dated([START_NS + row * NS_PER_DAY for row in range(ROWS + 1)], values)


def pair_of(strategy, **fields):
    """A strategy on both legs at 3x."""
    extra = {"trigger": 3.5} if strategy is CapitalRebalance else {}
    return strategy(**PAIR, leverage=3.0, **extra, **fields)


def sizes(run):
    """The coins of both legs at each close."""
    by_venue = run.curve.size_by_venue
    return np.abs(by_venue["asgard"]), np.abs(by_venue["hyperliquid"])


def unhedged_rows(run):
    """The rows at whose close one leg is larger than the other by more than the tolerance."""
    long, short = sizes(run)
    return set(np.flatnonzero(np.abs(long - short) > TOLERANCE * np.maximum(long, short)).tolist())


@st.composite
def worlds(draw):
    """Prices that jump, venues that halt and deleverage in some rows, and rows in which one of them is halted."""
    moves = draw(st.lists(st.floats(-0.25, 0.25), min_size=ROWS, max_size=ROWS))
    close = 100.0 * np.cumprod(1 + np.array(moves))
    halts = {venue: draw(AMONG_ROWS) for venue in PAIR.values()}
    passage = Bridge(
        fee_usd=3.0,
        latency_s=draw(st.sampled_from([0.0, 3_600.0, 100_000.0])),
        outbound=draw(st.sampled_from([None, Way(fee_usd=3.0, fails=dated(draw(AMONG_ROWS), True, False))])),
    )
    part = draw(st.sampled_from([0.1, 0.4, 1.0]))
    lender = FickleLender(halted=dated(halts["asgard"]), part=part, initial=draw(st.sampled_from([0.0, 0.28])))
    perpetual = FicklePerpetual(
        halted=dated(halts["hyperliquid"]),
        deleveraged_now=dated(draw(AMONG_ROWS)),
        part=part,
        taken=draw(st.sampled_from([0.3, 1.0])),
        initial=draw(st.sampled_from([0.0, 0.1])),
        bridge=passage,
    )
    return market(close.tolist()), [lender, perpetual], halts["asgard"] | halts["hyperliquid"]


@pytest.mark.slow
@given(
    worlds(),
    st.sampled_from([CapitalRebalance, FullRotation, Static]),
    st.sampled_from(["cut", "close"]),
    st.sampled_from([0.0, 0.1]),
)
def test_a_pair_is_hedged_or_closed_in_every_row_in_which_its_venues_take_orders(world, strategy, unhedged, buffer):
    """After all that happened in a row; where a venue was halted, from the next row on in which none is."""
    table, venues, halted = world
    fields = {"liquidation_buffer": buffer} if strategy is FullRotation else {}
    run = play(table, venues, pair_of(strategy, unhedged=unhedged, **fields))
    assert unhedged_rows(run) <= halted
    assert waterfall(run).unexplained == 0


@pytest.mark.slow
@settings(max_examples=20)
@given(worlds(), st.sampled_from([CapitalRebalance, FullRotation, Static]))
def test_a_leg_that_is_held_never_ends_the_run(world, strategy):
    """With `hold` the smaller leg is restored where its equity allows that, and never beyond the larger one."""
    table, venues, _ = world
    run = play(table, venues, pair_of(strategy, unhedged="hold"))
    long, short = sizes(run)
    assert np.isfinite(long + short).all()
    assert waterfall(run).unexplained == 0


FALL = [100.0, 100.0, 88.0, 88.0, 88.0]
"""A long at 3x that is liquidated where its loan is three quarters of its worth, at 88.89 USD."""
FREE = {"taker_fee_bps": 0.0}


def lender(**rules):
    """The lender without fees."""
    return FickleLender(**({"open_fee_bps": 0.0, "gas_usd": 0.0, "bonus": 0.0} | rules))


def rebalance(**fields):
    """Capital rebalance at 3x, without a trigger unless one is given."""
    return CapitalRebalance(**(PAIR | {"leverage": 3.0, "trigger": "never"} | fields))


def rejections(run):
    """The rejected orders, in words."""
    return [each.order for each in happened(run, Rejected)]


@pytest.mark.parametrize(("unhedged", "coins"), [("cut", 90.0), ("close", 15_000 / 88), ("hold", 150.0)])
def test_a_liquidation_in_part_is_answered_as_the_policy_says(unhedged, coins):
    """Of 150 coins 60 are sold: the short follows, or both are opened again, or the long is bought back."""
    run = play(market(FALL), [lender(), FicklePerpetual(**FREE)], rebalance(unhedged=unhedged))
    (liquidation,) = happened(run, Liquidated)
    assert (liquidation.size, liquidation.closed) == (150 * 10**9, False)
    assert [each[2] for each in sizes(run)] == pytest.approx([coins, coins], rel=1e-6)
    by_venue = run.curve.equity_usd_by_venue
    assert by_venue["asgard"][2] == pytest.approx(by_venue["hyperliquid"][2], abs=0.01)
    assert rejections(run) == []


@pytest.mark.parametrize("strategy", [FullRotation, Static])
@pytest.mark.parametrize(("unhedged", "coins"), [("cut", 90.0), ("close", 0.0)])
def test_a_pair_that_is_not_levelled_is_cut_or_left(strategy, unhedged, coins):
    """Neither buys back in the row of the liquidation."""
    fields = {"liquidation_buffer": 0.0} if strategy is FullRotation else {}
    run = play(market(FALL), [lender(), FicklePerpetual(**FREE)], pair_of(strategy, unhedged=unhedged, **fields))
    assert [each[2] for each in sizes(run)] == pytest.approx([coins, coins])


@pytest.mark.parametrize(("taken", "coins"), [(0.5, 75.0), (1.0, 0.0)])
@pytest.mark.parametrize("strategy", [CapitalRebalance, FullRotation, Static])
def test_a_long_follows_a_short_that_was_deleveraged(strategy, taken, coins):
    """A short that made money is taken away, in part or whole; what is left unhedged is sold in the same row."""
    perpetual = FicklePerpetual(deleveraged_now=dated({2}), taken=taken, **FREE)
    run = play(market([100.0] * 5), [lender(), perpetual], pair_of(strategy, unhedged="cut"))
    assert len(happened(run, Acted)) == 1
    assert [each[2] for each in sizes(run)] == pytest.approx([coins, coins])
    opened_again = strategy is not Static and not coins
    assert sizes(run)[0][3] == pytest.approx(150.0 if opened_again else coins, rel=1e-3)


@pytest.mark.parametrize("strategy", [CapitalRebalance, FullRotation])
def test_an_opening_waits_for_a_venue_that_is_halted(strategy):
    """It is tried once in the log; the rows in which the venue still takes nothing leave no trace there."""
    perpetual = FicklePerpetual(halted=dated({0, 1, 2}), **FREE)
    run = play(market([100.0] * 7), [lender(), perpetual], pair_of(strategy), look_ahead_at_entry=False)
    assert rejections(run) == ["a short of 150 coins with 5000 USD"]
    assert [bool(each) for each in sizes(run)[0]] == [False] * 3 + [True] * 4
    assert unhedged_rows(run) == set()


OVER_LIMIT = {"wait": (0.0, 1), "fit": (133.33, 0)}


@pytest.mark.parametrize(("refused", "expected"), OVER_LIMIT.items())
@pytest.mark.parametrize("strategy", [CapitalRebalance, FullRotation])
def test_an_opening_beyond_the_limit_of_a_lender_waits_or_fits(strategy, refused, expected):
    """At most 62.5 % may be borrowed, so 3x cannot be opened and 2.67x can; a limit that is lifted lets it through."""
    coins, tried = expected
    lifted = Dated([START_NS, START_NS + 4 * NS_PER_DAY], [0.375, 0.0])
    venues = [lender(initial=lifted), FicklePerpetual(**FREE)]
    run = play(market([100.0] * 6), venues, pair_of(strategy, refused=refused))
    assert len(rejections(run)) == tried
    long, short = sizes(run)
    assert [long[0], short[0]] == pytest.approx([coins, coins], abs=0.01)
    assert long[-1] == pytest.approx(coins or 150.0, abs=0.01)


def test_a_short_that_is_rejected_after_its_long_was_opened_undoes_the_long():
    """Each is allowed by itself, but with the fee of the long there is too little money for both."""
    venues = [lender(gas_usd=500.0), FicklePerpetual(initial=0.33, **FREE)]
    run = play(market([100.0] * 4), venues, Static(**PAIR, leverage=3.0))
    assert len(rejections(run)) == 1
    assert sizes(run)[0].max() == 0


@pytest.mark.parametrize(("initial", "sent_usd"), [(0.4, [3_000.0]), (0.45, [2_595.0]), (0.6, [795.0]), (0.67, [])])
def test_a_move_sends_what_its_venue_lets_go(initial, sent_usd):
    """Of 8,000 USD the short keeps its initial margin on 12,000; five dollars of what is free stay for the fee."""
    rule = Dated([START_NS, START_NS + NS_PER_DAY], [0.0, initial])
    venues = [lender(maintenance_margin=0.1), FicklePerpetual(initial=rule, **FREE)]
    run = play(market([100.0, 80.0, 80.0]), venues, rebalance(trigger=3.5))
    sent = [each.amount / 10**6 for each in happened(run, TransferSent)]
    assert sent[:1] == pytest.approx(sent_usd)
    assert rejections(run) == []


@pytest.mark.parametrize("latency_s", [0.0, 90_000.0, 190_000.0])
def test_the_same_money_is_sent_once_while_it_is_on_its_way(latency_s):
    """The trigger is passed in every row until the money is there; it arrives once and levels both legs."""
    perpetual = FicklePerpetual(bridge=Bridge(latency_s=latency_s), **FREE)
    run = play(market([100.0, 80.0, *[80.0] * 5]), [lender(maintenance_margin=0.1), perpetual], rebalance(trigger=3.5))
    assert [each.amount for each in happened(run, TransferSent)] == [3_000 * 10**6]
    assert len(happened(run, TransferArrived)) == 1
    by_venue = run.curve.equity_usd_by_venue
    assert by_venue["asgard"][-1] == by_venue["hyperliquid"][-1] == 5_000.0


def test_money_that_came_back_to_the_wallet_is_sent_first():
    """A wallet with money in it backs no leg."""
    legs = {"asgard": Leg(150.0, 2_000.0, 12_000.0), "hyperliquid": Leg(-150.0, 7_000.0, 12_000.0)}
    orders = level_equity(StillView(price=80.0, cash_usd=1_000.0, legs=legs), *PAIR.values(), 5.0)
    assert list(orders) == [Deposit("asgard", 1_000.0), Move("hyperliquid", "asgard", 2_500.0)]
    waiting = StillView(price=80.0, transit_usd=1.0, legs=legs)
    assert list(level_equity(waiting, *PAIR.values(), 5.0)) == []


def test_less_than_there_is_of_a_dollar_is_no_transfer():
    """Legs that differ by less than an atomic unit are level, also where every transfer is worth it."""
    legs = {"asgard": Leg(150.0, 2_000.0000004, 12_000.0), "hyperliquid": Leg(-150.0, 2_000.0, 12_000.0)}
    assert list(level_equity(StillView(price=80.0, legs=legs), *PAIR.values(), 0.0)) == []


def dollar(halted=(), **rules):
    """The venues of a synthetic dollar, with a perpetual that is halted in some rows."""
    return [jito(), FickleDrift(halted=dated(set(halted)), taker_fee_bps=0.0, **rules), Issuer(name="issuer")]


DOLLAR_RISE = [100.0, 100.0, 265.0, 265.0]


@pytest.mark.parametrize(("unhedged", "left"), [("close", 0.0), ("cut", 0.6), ("hold", 1.0)])
def test_a_synthetic_dollar_whose_short_was_liquidated_in_part(unhedged, left):
    """The tokens that nothing hedges are sold, or the short grows again; 65 % of the collateral's worth counts."""
    strategy = MarginCallDeleverage(unhedged=unhedged, maintenance=0.0001)
    venues = dollar(collateral_weight=0.65)
    run = play(dollar_market(DOLLAR_RISE), venues, strategy)
    (liquidation, *_) = happened(run, Liquidated)
    assert not liquidation.closed
    assert abs(run.curve.size_by_venue["drift"][2]) == pytest.approx(100.0 * left, rel=0.01)
    assert np.abs(run.curve.delta_by_venue["drift"][2]) == pytest.approx(0.0, abs=0.5)


def test_a_synthetic_dollar_without_its_short_waits_in_cash():
    """The perpetual takes no order at first: the tokens are sold again, and nothing ends the run."""
    run = play(dollar_market([100.0] * 5), dollar(halted={0}), MarginCallDeleverage(), look_ahead_at_entry=False)
    assert len(rejections(run)) >= 1
    assert run.curve.equity_usd[-1] == pytest.approx(10_000.0, abs=0.01)
    assert not run.curve.size_by_venue["drift"].any()


@pytest.mark.slow
@settings(max_examples=30)
@given(
    st.lists(st.floats(-0.25, 0.25), min_size=ROWS, max_size=ROWS),
    AMONG_ROWS,
    st.sampled_from(["cut", "close", "hold"]),
    st.sampled_from(["units", "value"]),
    st.sampled_from([0.1, 0.5, 1.0]),
)
def test_a_synthetic_dollar_is_hedged_or_closed_while_its_venue_takes_orders(moves, halted, unhedged, hedge, part):
    """So long as the margin allows: after a row in which the short was liquidated the tokens follow it."""
    close = (100.0 * np.cumprod(1 + np.array(moves))).tolist()
    strategy = MarginCallDeleverage(unhedged=unhedged, hedge=hedge)
    run = play(dollar_market(close), dollar(halted, part=part), strategy)
    tokens, short = (
        run.curve.delta_by_venue["drift"] - run.curve.size_by_venue["drift"],
        run.curve.size_by_venue["drift"],
    )
    apart = np.abs(tokens + short) > 0.02 * np.maximum(tokens, np.abs(short))
    if unhedged != "hold":
        assert set(np.flatnonzero(apart).tolist()) <= halted
    assert waterfall(run).unexplained == 0


def test_a_long_whose_shorts_venue_is_halted_is_cut_once_it_resumes():
    """Liquidated in part while the short takes no order: what was tried is in the log once, and an open row cuts."""
    venues = [lender(), FicklePerpetual(**FREE)]
    halted = incident("halt", venue="hyperliquid", at=day(2), hours=48)
    table = market([100.0, 100.0, 88.0, 88.0, 88.0, 88.0])
    run = play_with(table, venues, rebalance(), halted)
    assert unhedged_rows(run) == {2, 3}
    assert len(happened(run, VenueResumed)) == 1
    assert [each[4] for each in sizes(run)] == pytest.approx([90.0, 90.0])
    assert rejections(run) == ["a resize to 90 coins", "the closing of its position"]


@pytest.mark.parametrize(("unhedged", "coins"), [("cut", 0.0), ("close", 0.0), ("hold", 150.0)])
@pytest.mark.parametrize("strategy", [CapitalRebalance, FullRotation, Static])
def test_a_long_whose_shorts_venue_fails_is_closed_or_held(strategy, unhedged, coins):
    """In the same row, and nothing is opened again at a venue that is gone, nor tried in the log."""
    failure = incident("failure", venue="hyperliquid", at=day(2, 12), loss_share=0.9)
    run = play_with(
        market([100.0] * 6), [lender(), FicklePerpetual(**FREE)], pair_of(strategy, unhedged=unhedged), failure
    )
    assert [each[-1] for each in sizes(run)] == pytest.approx([coins, 0.0])
    assert rejections(run) == []
    assert waterfall(run).unexplained == 0


@pytest.mark.parametrize("strategy", [CapitalRebalance, FullRotation, Static])
def test_a_short_that_a_venue_deleverages_by_a_tenth_takes_the_long_along(strategy):
    """Less than the tolerance, and no reason to wait for more."""
    deleveraging = incident("deleveraging", venue="hyperliquid", at=day(3), share=0.1)
    fields = {"liquidation_buffer": 0.0} if strategy is FullRotation else {}
    table = market([100.0, 100.0, 95.0, 95.0, 95.0])
    run = play_with(table, [lender(), hyperliquid()], pair_of(strategy, unhedged="cut", **fields), deleveraging)
    assert len(happened(run, Deleveraged)) == 1
    assert [each[3] for each in sizes(run)] == pytest.approx([135.0, 135.0])


def drift_until(end, *incidents):
    """A static pair on Drift, in March and April 2026."""
    return Scenario.of(
        {
            "name": "ended",
            "capital_usd": 10_000,
            "market": {"start": "2026-03-25", "end": end, "embedded": "failure_1h"},
            "rulebook": {"class": "protocol"},
            "strategy": {"class": "static", "long": "asgard", "short": "drift", "leverage": 2.0},
            "venues": {"asgard": {}, "drift": {}},
            "incidents": list(incidents),
        }
    )


def test_rules_that_end_with_a_venue_need_no_rules_after_its_failure():
    """Drift's rules end when it was drained; without the failure, or with a later one, the market is refused."""
    failure = {"kind": "failure", "venue": "drift", "at": "2026-04-01T16:05:00", "loss_share": 0.9}
    run = assemble(drift_until("2026-04-03", failure)).simulation().run()
    assert run.curve.size_by_venue["drift"][-1] == 0
    for incidents in ((), ({**failure, "at": "2026-04-02"},)):
        with pytest.raises(ScenarioError, match="the rule ends at 2026-04-01 16:05"):
            assemble(drift_until("2026-04-03", *incidents))


@pytest.mark.parametrize("latency_s", [0.0, 36 * 3_600.0])
def test_a_lender_that_takes_no_more_than_its_loan_is_sent_no_more(latency_s):
    """The price has halved: 2,811 USD would level both legs, and 1,000 are owed. They are sent; nothing is rejected."""
    lender, bridge = asgard(liquidation_closes=False), Bridge(latency_s=latency_s)
    strategy = CapitalRebalance(**PAIR, leverage=1.2, trigger=1.44)
    table = market([100 * 0.9**row for row in range(14)])
    run = play(table, [lender, hyperliquid(liquidation_closes=False, bridge=bridge)], strategy)
    assert happened(run, Rejected) == []
    assert [each.amount for each in happened(run, TransferSent)] == [1_000_000_000]
    assert run.curve.equity_usd_by_venue["asgard"][-1] == run.curve.notional_usd_by_venue["asgard"][-1]


def test_a_lender_that_is_nearly_emptied_is_not_asked_again_row_after_row():
    """A long of 1 USD beside a short's 9,999: the loan is repaid once; before, every row had four rejections."""

    class Emptied(CapitalRebalance):
        def on_start(self, view):
            yield Open("asgard", Side.LONG, 0.1, 1.0)
            yield Open("hyperliquid", Side.SHORT, 0.1, 9_999.0)

    strategy = Emptied(**PAIR, leverage=3.0, trigger=6.0)
    run = play(flat(8), [asgard(), hyperliquid()], strategy)
    assert happened(run, Rejected) == []
    assert [each.amount for each in happened(run, TransferSent)] == [9_000_000]
    assert len(happened(run, ConditionMet)) == 1


def test_money_in_the_wallet_goes_where_it_is_taken():
    """A lender that is owed 9 USD gets so much of the 3,999 that are left, and the short the rest."""

    class Spares(CapitalRebalance):
        def on_start(self, view):
            yield Open("asgard", Side.LONG, 0.1, 1.0)
            yield Open("hyperliquid", Side.SHORT, 0.1, 6_000.0)
            yield from level_equity(view, "asgard", "hyperliquid", 5.0)
            yield from level_equity(view, "asgard", "hyperliquid", 5.0)

    run = play(flat(3), [asgard(), hyperliquid()], Spares(**PAIR, leverage=3.0, trigger=6.0))
    deposits = [(each.venue, each.amount) for each in happened(run, OrderFilled) if each.order == "deposit"]
    assert deposits == [("asgard", 9_000_000), ("hyperliquid", 3_990_000_000)]
    assert happened(run, Rejected) == []
