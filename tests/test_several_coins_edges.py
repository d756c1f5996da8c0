"""Several coins on one account where they could be mixed up: columns, conditions, legs, collateral and summaries."""

import pytest

from framework.books import check_columns
from framework.errors import MarketError
from tests.markets import Script, play
from tests.test_coins import FLAT, FUNDING, SHORTS, both, coins_market

# Columns


def test_a_coin_of_several_has_a_funding_rate_of_its_own():
    """The rate without a coin is that of the one coin of a venue, and no stand-in for BTC's."""
    columns = FLAT | {"hyperliquid.SOL.funding": [0.0] * 4, "hyperliquid_funding_rate": [0.01] * 4}
    with pytest.raises(MarketError, match=r"venue hyperliquid reads 'hyperliquid.BTC.funding', which no source gives"):
        check_columns([both()], coins_market(columns))
    with pytest.raises(MarketError, match=r"no column 'hyperliquid.BTC.funding'"):
        play(coins_market(columns), [both()], Script(start=SHORTS))


def test_a_coin_of_several_is_paid_funding_on_its_own_oracle():
    """An oracle without a coin is the price of another."""
    columns = FLAT | FUNDING | {"SOL.oracle": [100.0] * 4, "oracle": [100.0] * 4}
    with pytest.raises(MarketError, match=r"reads 'BTC.oracle', which no source gives"):
        check_columns([both(funding_price="oracle")], coins_market(columns))
