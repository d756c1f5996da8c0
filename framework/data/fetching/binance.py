"""Binance's public API of USD-margined futures: candles, and every payment of funding, both paged by time.

Funding is a fraction of the notional for its own interval, eight hours and at times four, two or one; positive where
longs pay shorts. It is stamped some milliseconds late.
"""

from typing import Any

import numpy as np
from attrs import frozen

from framework.clock import NS_PER_HOUR
from framework.data.fetching.client import Client, Pace, Reply
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
from framework.data.samples import Kind, Samples, candles
from framework.data.series import Joining
from framework.errors import FetchError

HOST = "https://fapi.binance.com"
PACE = Pace(per_minute=1200, burst=60, rest_s=30)
"""Half of what is allowed by address."""
FUNDING_ROWS, CANDLE_ROWS = 1000, 1500
CANDLE_WEIGHT = 10
CAP, USUAL = 0.05, 0.003
"""What no payment goes beyond, and what a month of them does not go beyond in the middle."""
CANDLE = ("t", "open", "high", "low", "close", "volume", "T")
"""The first cells of a candle."""


@frozen(kw_only=True)
class Candles(Feed):
    """Candles of a perpetual: open, high, low, close in USDT and the traded volume in coins."""

    symbol: str
    interval: str
    host: str = HOST
    pace: Pace = PACE

    @property
    def kind(self) -> Kind:
        what = f"Binance, trades of the {self.symbol} perpetual in candles of {self.interval}"
        return candles(f"binance:{self.symbol}:{self.interval}", what, self.interval, "coins")

    def page(self, client: Client, start_ns: int, end_ns: int) -> Page:
        asked = _window(self.symbol, start_ns, end_ns, CANDLE_ROWS) | {"interval": self.interval}
        reply = client.get("/fapi/v1/klines", asked, CANDLE_WEIGHT)
        names = {name: name for name in self.kind.units}
        return candle_page(reply, _candles(reply), names, self.interval, end_ns)


@frozen(kw_only=True)
class Funding(Feed):
    """Every payment of a perpetual, as a fraction of the notional for its own interval."""

    symbol: str
    host: str = HOST
    pace: Pace = PACE

    @property
    def kind(self) -> Kind:
        return Kind(
            series=f"binance:{self.symbol}:funding",
            what=f"Binance, funding of the {self.symbol} perpetual, positive: longs pay shorts",
            units={"funding_rate": "fraction of notional per payment"},
            joining=Joining.SUM,
            every_ns=8 * NS_PER_HOUR,
            changing=True,
            grid_ns=NS_PER_HOUR,
            lag_ns=60 * 1_000_000_000,
        )

    def page(self, client: Client, start_ns: int, end_ns: int) -> Page:
        reply = client.get("/fapi/v1/fundingRate", _window(self.symbol, start_ns, end_ns, FUNDING_ROWS))
        rows = rows_of(reply, reply.json())
        answering(reply, rows, symbol=self.symbol)
        return payments_page(reply, rows, "fundingTime", {"funding_rate": "fundingRate"}, end_ns)

    def check_units(self, samples: Samples, request: str) -> None:
        """Fractions, not percent."""
        rate = np.abs(samples.columns["funding_rate"])
        if rate.max() > CAP or (len(samples) > 30 and np.median(rate) > USUAL):
            said = f"payments of up to {rate.max():.3g}, {np.median(rate):.3g} in the middle"
            raise refuse_units(request, said, "fractions of the notional")


def _window(symbol: str, start_ns: int, end_ns: int, rows: int) -> dict[str, object]:
    first_ms, last_ms = window_ms(start_ns, end_ns)
    return {"symbol": symbol, "startTime": first_ms, "endTime": last_ms, "limit": rows}


def _candles(reply: Reply) -> list[dict[str, Any]]:
    """Candles, which come as arrays, as objects."""
    rows = reply.json()
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) >= len(CANDLE) for row in rows):
        raise FetchError(f"{reply.request}: {reply.content[:80]!r}; expected an array of candles")
    return [dict(zip(CANDLE, row, strict=False)) for row in rows]
