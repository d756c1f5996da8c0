"""Hyperliquid's info API: candles, and hourly funding with its premium, both by POST and paged by time.

Funding is a fraction of the notional for the hour, positive where longs pay shorts; candles are trades in USD. The
interface gives 500 rows of funding at most and only the latest 5,000 candles of an interval.
"""

from attrs import frozen

from framework.clock import NS_PER_HOUR
from framework.data.fetching.client import Client, Pace
from framework.data.fetching.feed import Feed
from framework.data.fetching.replies import (
    Page,
    answering,
    candle_page,
    payments_page,
    refuse_units,
    rows_of,
    window_ms,
)
from framework.data.premiums import unexplained
from framework.data.samples import Kind, Samples, candles
from framework.data.series import Joining
from framework.market import utc

HOST = "https://api.hyperliquid.xyz"
PACE = Pace(per_minute=1200, burst=300, rest_s=10)
"""The limit by address: 1,200 units of weight a minute."""
FUNDING_WEIGHT, CANDLE_WEIGHT = 45, 103
"""Weights of full pages: 20, and 1 for every 20 payments or 60 candles."""
LAG_NS = 1_200 * 1_000_000_000
"""Payments have been stamped up to 887 s after their hour."""


@frozen(kw_only=True)
class Candles(Feed):
    """Candles of a coin: open, high, low, close in USD and the traded volume in coins."""

    coin: str
    interval: str
    host: str = HOST
    pace: Pace = PACE
    note: str = "Hyperliquid keeps only the latest 5,000 candles of an interval"

    @property
    def kind(self) -> Kind:
        what = f"Hyperliquid, trades of {self.coin}-USD perpetuals in candles of {self.interval}"
        return candles(f"hyperliquid:{self.coin}:{self.interval}", what, self.interval, self.coin)

    def page(self, client: Client, start_ns: int, end_ns: int) -> Page:
        first_ms, last_ms = window_ms(start_ns, end_ns)
        asked = {"coin": self.coin, "interval": self.interval, "startTime": first_ms, "endTime": last_ms}
        reply = client.post("/info", {"type": "candleSnapshot", "req": asked}, CANDLE_WEIGHT)
        rows = rows_of(reply, reply.json())
        answering(reply, rows, s=self.coin, i=self.interval)
        names = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
        return candle_page(reply, rows, names, self.interval, end_ns)


@frozen(kw_only=True)
class Funding(Feed):
    """Hourly funding of a coin: the rate as a fraction of the notional, and the premium that it comes from."""

    coin: str
    host: str = HOST
    pace: Pace = PACE

    @property
    def kind(self) -> Kind:
        return Kind(
            series=f"hyperliquid:{self.coin}:funding",
            what=f"Hyperliquid, funding of {self.coin}-USD perpetuals, positive: longs pay shorts",
            units={"funding_rate": "fraction of notional per hour", "premium": "fraction"},
            joining=Joining.SUM,
            every_ns=NS_PER_HOUR,
            grid_ns=NS_PER_HOUR,
            lag_ns=LAG_NS,
        )

    def page(self, client: Client, start_ns: int, end_ns: int) -> Page:
        first_ms, last_ms = window_ms(start_ns, end_ns)
        asked = {"type": "fundingHistory", "coin": self.coin, "startTime": first_ms, "endTime": last_ms}
        reply = client.post("/info", asked, FUNDING_WEIGHT)
        rows = rows_of(reply, reply.json())
        answering(reply, rows, coin=self.coin)
        return payments_page(reply, rows, "time", {"funding_rate": "fundingRate", "premium": "premium"}, end_ns)

    def check_units(self, samples: Samples, request: str) -> None:
        """Every rate follows from its premium."""
        rate, premium = samples.columns["funding_rate"], samples.columns["premium"]
        for index, words in unexplained(samples.time_ns, rate, premium):
            said = f"{utc(int(samples.time_ns[index])).isoformat()}: {words}"
            raise refuse_units(request, said, "fractions of the notional per hour, above 0 where longs pay shorts")
