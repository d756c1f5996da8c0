"""No order takes from a venue what its position needs: such an order is rejected, and the run goes on."""

import numpy as np
import pytest

from framework import (
    Bridge,
    Deposit,
    Liquidated,
    Move,
    MoveTokens,
    Open,
    OrderFilled,
    Rejected,
    Side,
    Swap,
    TransferSent,
    Withdraw,
    waterfall,
)
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
    play,
)

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
