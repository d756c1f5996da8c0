"""Jito's stake pool: how much SOL one jitoSOL is worth, which steps once per epoch and holds between.

The interface gives the value of the pool in lamports and its supply in whole jitoSOL, the last of each day. They give
the rate, with all fees off. Epochs last about two days, so a daily sample is the rate of its epoch. A window that
ends within a day would give a sample that is not that day's last: windows end at midnight.
"""

import numpy as np
from attrs import frozen

from framework.clock import NS_PER_DAY, NS_PER_SECOND
from framework.data.fetching.client import Client, Pace
from framework.data.fetching.feed import Feed
from framework.data.fetching.replies import Page, ReplyRefused, iso_times, numbers, refuse_units, rows_of
from framework.data.samples import Kind, Samples
from framework.data.series import Joining
from framework.errors import FetchError
from framework.market import utc

HOST = "https://kobe.mainnet.jito.network"
PACE = Pace(per_minute=30, burst=3, rest_s=10)
LAMPORTS = 1_000_000_000
FIRST_NS = 1_667_174_400 * NS_PER_SECOND
"""2022-10-31, when the pool began."""
DAYS_AT_ONCE = 365
NOISE = 1e-6
"""What rounding the supply to whole tokens can do to the rate; an epoch's step is some 4e-4."""
LOWEST, HIGHEST = 0.99, 2.0
"""SOL per jitoSOL: the pool began at 1 and grows by about 7 % a year; below 1 it is quoted the other way round."""


@frozen(kw_only=True)
class PoolRate(Feed):
    """SOL per jitoSOL, which holds until the next sample."""

    host: str = HOST
    pace: Pace = PACE

    @property
    def kind(self) -> Kind:
        return Kind(
            series="jito:pool_rate",
            what="Jito, the stake pool's SOL per jitoSOL, after fees; it steps once per epoch",
            units={"rate": "SOL per jitoSOL"},
            joining=Joining.HOLD,
            every_ns=NS_PER_DAY,
            noise=NOISE,
        )

    def check_window(self, start_ns: int, end_ns: int) -> None:
        """Nothing before the pool began."""
        if start_ns < FIRST_NS:
            raise FetchError(f"jito: {utc(start_ns).date()} is before {utc(FIRST_NS).date()}, when the pool began")

    def page(self, client: Client, start_ns: int, end_ns: int) -> Page:
        until_ns = min(end_ns, (start_ns // NS_PER_DAY + DAYS_AT_ONCE) * NS_PER_DAY)
        days = {"start": utc(start_ns).isoformat(), "end": utc(until_ns).isoformat()}
        asked = {"bucket_type": "Daily", "range_filter": days, "sort_by": {"field": "BlockTime", "order": "Asc"}}
        reply = client.post("/api/v1/stake_pool_stats", asked)
        content = reply.json()
        value, supply = rows_of(reply, content, "tvl"), rows_of(reply, content, "supply")
        times = iso_times(reply, value, "date")
        if not np.array_equal(times, iso_times(reply, supply, "date")):
            raise ReplyRefused(f"{reply.request}: tvl and supply have other dates; expected the same")
        tokens = numbers(reply, supply, "data")
        if (tokens <= 0).any():
            raise ReplyRefused(f"{reply.request}: a supply of {tokens.min():g}; expected more than 0")
        return Page(reply, Samples(times, {"rate": numbers(reply, value, "data") / LAMPORTS / tokens}), until_ns)

    def check_units(self, samples: Samples, request: str) -> None:
        """Lamports over whole tokens, SOL per jitoSOL."""
        rate = samples.columns["rate"]
        low, high = float(rate.min()), float(rate.max())
        if low < LOWEST or high > HIGHEST:
            raise refuse_units(
                request,
                f"pool rates from {low:.6g} to {high:.6g}",
                "lamports over whole jitoSOL, SOL per jitoSOL and not the inverse, between 1 and 2",
            )
