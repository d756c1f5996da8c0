"""Two coins on one account, with a mark and an oracle of their own beside the price, and coins that are held."""

from datetime import UTC, datetime

import numpy as np
from attrs import frozen

from framework.clock import NS_PER_HOUR
from framework.events import ConditionMet, Ended, Side
from framework.market import Market
from framework.orders import Close, Open, Resize, Swap, Withdraw
from framework.strategy import EveryRow, Strategy
from tests.markets import START_NS, market

SCENARIO = """
name = "two_coins"
capital_usd = 100_000
[market]
start = 2025-01-01
end = 2025-01-31
[market.sources.prices]
reader = "table"
file = "in_memory.csv"
interval = "1h"
time = "date"
columns = { open = "open", high = "high", low = "low", close = "close" }
[strategy]
class = "tests.two_coins:Two"
[venues.hyperliquid]
coin = ["SOL", "BTC"]
taker_fee_bps = [{ since = 2024-01-01, value = 3.5 }, { since = 2025-01-10, value = 5.0 }]
maintenance_margin = 0.05
liquidation_penalty = { of = "equity", fraction = 0.5 }
funding_price = "oracle"
[venues.spot]
coin = ["BTC"]
swap_fee_bps = 10.0
"""


@frozen(kw_only=True)
class Two(Strategy):
    """Trades in both coins now and then, and leaves some of what it holds at the end."""

    leave: bool = False

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield Open("hyperliquid", Side.SHORT, 100.0, 50_000.0, coin="SOL")
        yield Open("hyperliquid", Side.LONG, 0.5, 10_000.0, coin="BTC")
        yield Swap("spot", "USDC", "BTC", 5_000.0)

    def on_event(self, event, view):
        hour = view.at_ns // NS_PER_HOUR
        if isinstance(event, Ended):
            if not self.leave:
                yield Close("hyperliquid", coin="SOL")
                yield Close("hyperliquid", coin="BTC")
            yield Swap("spot", "BTC", "USDC", 0.01)
        elif isinstance(event, ConditionMet):
            if hour % 50 == 0:
                yield Resize("hyperliquid", 0.3 + hour % 3 / 10, coin="BTC")
            if hour % 70 == 0:
                yield Resize("hyperliquid", 90.0 + hour % 30, coin="SOL")
            if hour % 90 == 0:
                yield Withdraw("hyperliquid", 20.0)


def two_coins(rows: int = 700) -> Market:
    """Hours with prices of both coins; marks and oracles lie a little beside them."""
    generator = np.random.default_rng(3)

    def path(first: float) -> np.ndarray:
        return np.round(first * np.exp(np.cumsum(generator.normal(0, 0.01, rows))), 2)

    sol, btc = path(100.0), path(40_000.0)
    plain = market(sol.tolist(), funding=generator.normal(1e-5, 1e-4, rows).tolist(), row_ns=NS_PER_HOUR)
    opened = np.concatenate((btc[:1], btc[:-1]))
    assert datetime.fromtimestamp(START_NS // 10**9, UTC).date().isoformat() == "2025-01-01"
    columns = {
        "BTC.open": opened,
        "BTC.high": np.maximum(opened, btc),
        "BTC.low": np.minimum(opened, btc),
        "BTC.close": btc,
        "BTC.mark": btc * 1.0005,
        "BTC.oracle": btc * 0.9995,
        "SOL.oracle": sol * 1.001,
        "oracle": sol * 1.001,
        "hyperliquid.SOL.funding": plain["hyperliquid_funding_rate"],
        "hyperliquid.BTC.funding": generator.normal(0, 1e-4, rows),
    }
    return Market(open_ns=plain.open_ns, at_ns=plain.at_ns, columns={**plain.columns, **columns}, coin="SOL")
