"""Venues at cost: the end is worth what the curve says, and money without coins is a number."""

import numpy as np
import pytest

from framework import Close, ConditionMet, Deposit, Ended, EveryRow, Open, Side, Strategy, Withdraw, waterfall
from framework.valuation import equity
from strategies.pair import open_pair
from tests.markets import Script, asgard, at_cost, balance, hyperliquid, market, play

MOVING = market([100.0, 150.0, 90.0, 80.0], lending=0.05, borrowing=0.1, funding=0.001)
KEEPS = {"overpayment": "earns_borrowing_rate"}


class Holds(Strategy):
    """Opens the pair and is still in it when the run ends."""

    def on_start(self, view):
        return open_pair(view, "asgard", "hyperliquid", 3.0)

    def on_event(self, event, view):
        return ()


@pytest.mark.parametrize(
    "venues",
    [
        (at_cost(asgard(**KEEPS)), at_cost(hyperliquid())),
        (asgard(**KEEPS), at_cost(hyperliquid())),
        (at_cost(asgard(**KEEPS)), hyperliquid()),
    ],
    ids=["both", "short", "long"],
)
def test_a_position_at_cost_that_is_left_is_worth_its_cost(venues):
    """Final equity, the end of the curve and capital plus the waterfall's result are one figure."""
    run = play(MOVING, venues, Holds())
    assert float(equity(run)) == pytest.approx(run.curve.equity_usd[-1], abs=2e-6)
    assert waterfall(run).unexplained == 0
    assert float(waterfall(run).result) == pytest.approx(run.curve.equity_usd[-1] - 10_000, abs=2e-6)


def test_without_a_price_both_legs_earn_their_income_alone():
    """Funding of 0.1 % a day on the cost of the short, no profit or loss of the price."""
    run = play(MOVING, (at_cost(asgard(**KEEPS)), at_cost(hyperliquid())), Holds())
    assert waterfall(run).price_pnl == 0
    assert float(waterfall(run).funding) == pytest.approx(4 * 0.001 * 15_000)


def test_money_at_cost_without_coins_is_a_number():
    """A deposit on a loan that is not there: equity, curve and leg are what was paid in."""
    script = Script(start=(Open("asgard", Side.LONG, 1.0, 50.0), Close("asgard"), Deposit("asgard", 70.0)))
    run = play(MOVING, (at_cost(asgard(**KEEPS)), hyperliquid()), script)
    assert np.isfinite(run.curve.equity_usd).all()
    assert run.curve.equity_usd_by_venue["asgard"][0] == pytest.approx(70.0, rel=0.001)


def test_paying_out_profit_leaves_the_entry_price():
    """A short from 100 to 40 has made 60 a coin; taking that out does not make it one from 40."""
    seen = []

    class Takes(Strategy):
        """Takes the profit out after the first row."""

        def conditions(self):
            return (EveryRow(),)

        def on_start(self, view):
            yield Open("hyperliquid", Side.SHORT, 100.0, 1_000.0)

        def on_event(self, event, view):
            if isinstance(event, ConditionMet) and view.price == 40.0 and not seen:
                yield Withdraw("hyperliquid", 6_500.0)
                seen.append(view.leg("hyperliquid").entry_price)
            if isinstance(event, Ended):
                yield Close("hyperliquid")

    run = play(market([100.0, 40.0, 50.0]), [hyperliquid()], Takes())
    assert seen == [100.0]
    assert equity(run) == 10_000 + 100 * 50
    assert balance(run, "Assets:Hyperliquid:Drawn") == 0
