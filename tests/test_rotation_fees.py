"""Full rotation: its opening fee is agreed on what it has, also where a venue is still owed."""

import numpy as np
import pytest

from framework import OrderFilled
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
