"""Drift's data API: hourly funding of its perpetuals, one day a request, until the venue was drained.

A payment is quoted in USD for one coin; divided by the oracle's mean price it is a fraction of the notional. The sides
can be paid at different rates: `funding_rate` is the short's. Positive: longs pay shorts.
"""

from typing import Any

import numpy as np
from attrs import frozen

from framework.clock import NS_PER_DAY, NS_PER_HOUR, NS_PER_SECOND
from framework.data.fetching.client import Client, Pace, Reply
from framework.data.fetching.feed import Feed
from framework.data.fetching.replies import (
    Page,
    ReplyRefused,
    answering,
    milliseconds,
    numbers,
    refuse_units,
    rows_of,
    succeeded,
)
from framework.data.samples import Kind, Samples
from framework.data.series import Floats, Joining
from framework.errors import FetchError
from framework.market import utc

HOST = "https://data.api.drift.trade"
PACE = Pace(per_minute=120, burst=10, rest_s=60)
"""No limit is published; addresses have been turned away for about a minute."""
FIRST_NS = 1_667_520_000 * NS_PER_SECOND
"""2022-11-04, before the market's first payment."""
DRAINED_NS = 1_775_059_500 * NS_PER_SECOND
"""2026-04-01T16:05:00Z."""
SCALES = {"fundingRate": 1e9, "fundingRateLong": 1e9, "fundingRateShort": 1e9, "oraclePriceTwap": 1e6}
"""What the older form multiplies by to write integers."""
MOST_PARTS = 5
"""Replies of which a day's 24 records may consist."""
CAP = 0.005
"""Above what the widest clamp lets through: a tenth of the price over 24 hours."""


@frozen(kw_only=True)
class Funding(Feed):
    """Hourly funding of a market, the rates of both sides as fractions of the notional at the oracle's price."""

    market: str
    host: str = HOST
    pace: Pace = PACE

    @property
    def kind(self) -> Kind:
        fraction = "fraction of notional per hour"
        return Kind(
            series=f"drift:{self.market}:funding",
            what=f"Drift, funding of {self.market} by the oracle's price, short side, positive: longs pay shorts",
            units={"funding_rate": fraction, "long_rate": fraction, "oracle_price": "USD"},
            joining=Joining.SUM,
            every_ns=NS_PER_HOUR,
            grid_ns=NS_PER_HOUR,
            lag_ns=NS_PER_HOUR - 1,
        )

    def check_window(self, start_ns: int, end_ns: int) -> None:
        """Nothing before the market began, and nothing after it ended."""
        last = utc(DRAINED_NS).date()
        if start_ns < FIRST_NS:
            raise FetchError(f"drift: {utc(start_ns).date()} is before {utc(FIRST_NS).date()}, when Drift v2 began")
        if end_ns > DRAINED_NS // NS_PER_DAY * NS_PER_DAY + NS_PER_DAY:
            raise FetchError(
                f"drift: {utc(end_ns - 1).date()} is after {last}, when the venue was drained of about $285 million "
                f"and froze; its data end there; expected --to {last} or earlier"
            )

    def page(self, client: Client, start_ns: int, end_ns: int) -> Page:
        day = utc(start_ns)
        reply, rows = _day(client, f"/market/{self.market}/fundingRates/{day.year}/{day.month}/{day.day}")
        answering(reply, rows, symbol=self.market)
        for row in rows:
            row["ts"] = _seconds(row.get("ts"))
        times = milliseconds(reply, rows, "ts")
        price = _scaled(reply, rows, "oraclePriceTwap")
        if (price <= 0).any():
            raise ReplyRefused(f"{reply.request}: an oraclePriceTwap of {price.min():g}; expected prices above 0")
        sides = {"funding_rate": "fundingRateShort", "long_rate": "fundingRateLong"}
        columns = {name: _scaled(reply, rows, key) / price for name, key in sides.items()} | {"oracle_price": price}
        since_ns = start_ns // NS_PER_DAY * NS_PER_DAY
        return Page(reply, Samples(times, columns), min(end_ns, since_ns + NS_PER_DAY), since_ns=since_ns)

    def check_units(self, samples: Samples, request: str) -> None:
        """Rates beyond what the venue's own clamp lets through, and prices in millionths."""
        rate, price = samples.columns["funding_rate"], samples.columns["oracle_price"]
        if price.max() > 1e6 or np.abs(rate).max() > CAP:
            said = f"a rate of {np.abs(rate).max():.3g} an hour at a price of {price.max():.6g} USD"
            raise refuse_units(request, said, f"at most {CAP:g}, and prices below a million")


def _day(client: Client, path: str) -> tuple[Reply, list[dict[str, Any]]]:
    """The records of a day, whose reply may come in several parts; these are joined as one."""
    rows: list[dict[str, Any]] = []
    parts: list[Reply] = []
    following: object = None
    while not parts or following is not None:
        if len(parts) == MOST_PARTS:
            raise FetchError(f"{parts[-1].request}: still not the last part of a day; expected {MOST_PARTS} at most")
        parts.append(client.get(path, {"page": following} if parts else None))
        content = parts[-1].json()
        succeeded(parts[-1], content, "success", wanted=True)
        rows += rows_of(parts[-1], content, "records", "fundingRates")
        meta = content.get("meta")
        following = meta.get("nextPage") if isinstance(meta, dict) else None
    return Reply(parts[0].request, b"".join(part.content for part in parts)), rows


def _seconds(value: object) -> object:
    """A time in seconds as one in milliseconds; what is no number is left for the complaint."""
    try:
        return float(value) * 1000 if isinstance(value, int | float | str) else value
    except ValueError:
        return value


def _scaled(reply: Reply, rows: list[dict[str, object]], key: str) -> Floats:
    """A column in USD: decimal numbers as they are, the older form's integers by their scale."""
    values = numbers(reply, rows, key)
    whole = np.array(["." not in str(row[key]) for row in rows], bool)
    told = values != 0
    if whole[told].any() and not whole[told].all():
        index = int(np.flatnonzero(told & (whole != whole[told][0]))[0])
        said = f"row {index + 1}, {key}: {rows[index][key]!r} in another scale than those before"
        raise ReplyRefused(f"{reply.request}: {said}; expected one scale")
    return values / SCALES[key] if whole[told].any() else values
