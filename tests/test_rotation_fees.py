"""Opening fees are agreed on what a pair has: less what a venue is still owed, and less what is on its way."""

import numpy as np
import pytest

from framework import Bridge, Liquidated, OrderFilled, TransferSent
from strategies.capital_rebalance import CapitalRebalance
from strategies.full_rotation import FullRotation
from tests.markets import asgard, happened, hyperliquid, market, play


def gap_run():
    """A price that jumps over the short's liquidation, so the closed short leaves a debt at its venue."""
    table = market([100.0, 100.0, 165.0, 165.0, 165.0, 165.0])
    strategy = FullRotation(long="asgard", short="hyperliquid", leverage=3.0, liquidation_buffer=0.1)
    lender = asgard(open_fee_bps=15.0, liquidation_closes=False)
    perpetual = hyperliquid(taker_fee_bps=3.5, liquidation_closes=False)
    return play(table, [lender, perpetual], strategy)


def test_full_rotation_agrees_its_opening_fee_on_what_it_has():
    """Cash less what the venue of the short is owed, not the cash alone; so `reopen_pair` does it."""
    run = gap_run()
    owed = [event for event in happened(run, OrderFilled) if event.order == "open"][2:]
    assert len(owed) == 2
    at = int(np.searchsorted(run.market.at_ns, owed[0].at_ns))
    before = run.curve.equity_usd[at - 1]
    debt = run.curve.equity_usd_by_venue["hyperliquid"][at - 1]
    assert debt < -100
    for event in owed:
        assert event.charged / 1e6 == pytest.approx(before / 2 * 3.0, abs=1e-5)


def test_a_reopening_while_money_is_on_its_way_agrees_its_fee_on_what_is_there():
    """A tenth of the capital is in transit when the long is liquidated: it is opened without it, and pays for that."""
    table = market([100.0, 108.0, 104.0, 104.0], low=[100.0, 100.0, 60.0, 104.0], high=108.0)
    perpetual = hyperliquid(liquidation_closes=False, bridge=Bridge(latency_s=30 * 86_400.0))
    strategy = CapitalRebalance(long="asgard", short="hyperliquid", leverage=3.0, trigger=3.5)
    run = play(table, [asgard(open_fee_bps=15.0, liquidation_closes=False), perpetual], strategy)
    (sent,), (hit,) = happened(run, TransferSent), happened(run, Liquidated)
    assert sent.amount == pytest.approx(1_200e6, rel=0.02)
    there = run.capital - 22_500_000 - hit.penalty - sent.amount
    opened = [event for event in happened(run, OrderFilled) if event.order == "open" and event.at_ns == hit.at_ns]
    assert [event.charged for event in opened] == pytest.approx([there / 2 * 3.0] * 2, rel=1e-9)
