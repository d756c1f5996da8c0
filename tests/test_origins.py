"""Series and the commands that fetch them: what a complaint of missing data tells the user to run."""

from datetime import date

import pytest

from framework.data.origins import commands

DAYS = (date(2025, 1, 1), date(2025, 1, 10))
SERIES = {
    "candles and funding at once": (
        ["hyperliquid:ETH:1d", "hyperliquid:ETH:funding"],
        ["hyperliquid --coin ETH --interval 1d"],
    ),
    "funding before candles": (
        ["binance:ETHUSDT:funding", "binance:ETHUSDT:4h"],
        ["binance --symbol ETHUSDT --interval 4h"],
    ),
    "funding alone": (["hyperliquid:SOL:funding"], ["hyperliquid --coin SOL --interval 1h"]),
    "two coins": (
        ["hyperliquid:SOL:1h", "hyperliquid:ETH:1d", "hyperliquid:SOL:funding"],
        ["hyperliquid --coin SOL --interval 1h", "hyperliquid --coin ETH --interval 1d"],
    ),
    "two intervals": (
        ["hyperliquid:SOL:1h", "hyperliquid:SOL:1d", "hyperliquid:SOL:funding"],
        ["hyperliquid --coin SOL --interval 1h", "hyperliquid --coin SOL --interval 1d"],
    ),
    "reserves of two markets": (
        ["kamino:SOL", "kamino:Mkt:Res", "kamino:USDC"],
        ["kamino --reserve SOL --reserve USDC", "kamino --market Mkt --reserve Res"],
    ),
    "pools": (["defillama:a", "defillama:b", "defillama:a"], ["defillama --pool a --pool b"]),
    "drift and jito": (["drift:SOL-PERP:funding", "jito:pool_rate"], ["drift --market SOL-PERP", "jito"]),
    "a source of the user's own": (["mine:SOL:1h", "hyperliquid", "drift:SOL-PERP:1h"], []),
}


@pytest.mark.parametrize(("series", "sources"), SERIES.values(), ids=SERIES)
def test_series_name_their_commands(series, sources):
    """As few as fetch them all, in the order in which they are first needed."""
    assert commands(series, days=DAYS) == [
        f"carrybook fetch {source} --from 2025-01-01 --to 2025-01-10" for source in sources
    ]


def test_candles_that_are_there_give_the_interval():
    """Funding is fetched together with the candles that the scenario has already."""
    known = ["hyperliquid:ETH:1d", "hyperliquid:ETH:funding"]
    assert commands(["hyperliquid:ETH:funding"], known) == [
        "carrybook fetch hyperliquid --coin ETH --interval 1d --from DAY"
    ]
