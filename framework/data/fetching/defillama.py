"""DefiLlama's chart of a lending pool: yearly rates in percent, one sample a day at about 23:01 UTC.

The figures are APY as the pool's own page gives them; the store keeps fractions a year. One reply is the whole history,
and a row of days that were not asked for may lack a rate.
"""

import numpy as np
from attrs import frozen

from framework.clock import NS_PER_DAY
from framework.data.fetching.client import Client, Pace
from framework.data.fetching.feed import Feed
from framework.data.fetching.replies import Page, check_lending, iso_times, numbers, rows_of, succeeded
from framework.data.raw import number
from framework.data.samples import Kind, Samples
from framework.data.series import Joining

HOST = "https://yields.llama.fi"
PACE = Pace(per_minute=60, burst=5, rest_s=10)
POOLS = {
    "kamino-sol": "525b2dab-ea6a-4cbc-a07f-84ce561d1f83",
    "kamino-usdc": "d2141a59-c199-4be7-8d4b-c8223954836b",
}
"""Pools of Kamino's main market by a name that is easier to write."""
KEYS = {"lending_apy": "apyBase", "borrowing_apy": "apyBaseBorrow"}
"""Our columns and the source's keys."""


@frozen(kw_only=True)
class Lending(Feed):
    """What lenders earn and borrowers pay in a pool, without rewards, as fractions a year."""

    pool: str
    host: str = HOST
    pace: Pace = PACE

    @property
    def kind(self) -> Kind:
        return Kind(
            series=f"defillama:{self.pool}",
            what=f"DefiLlama, lending and borrowing in the pool {POOLS.get(self.pool, self.pool)}, without rewards",
            units=dict.fromkeys(("lending_apy", "borrowing_apy"), "fraction per year"),
            joining=Joining.LAST,
            every_ns=NS_PER_DAY,
        )

    def page(self, client: Client, start_ns: int, end_ns: int) -> Page:
        reply = client.get(f"/chartLendBorrow/{POOLS.get(self.pool, self.pool)}")
        content = reply.json()
        succeeded(reply, content, "status", "success")
        rows = rows_of(reply, content, "data")
        times = iso_times(reply, rows, "timestamp")
        asked = (times >= start_ns) & (times < end_ns)
        whole = [all(np.isfinite(number(row.get(key))) for key in KEYS.values()) for row in rows]
        kept = np.flatnonzero(asked | np.array(whole, dtype=bool))
        rows = [rows[index] for index in kept.tolist()]
        columns = {name: numbers(reply, rows, key) / 100 for name, key in KEYS.items()}
        return Page(reply, Samples(times[kept], columns), end_ns, whole=True)

    def check_units(self, samples: Samples, request: str) -> None:
        """Percent, not fractions."""
        check_lending(samples, request, list(KEYS.values()), "percent a year", percent=True)
