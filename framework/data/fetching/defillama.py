"""DefiLlama's chart of a lending pool: yearly rates in percent, one sample a day at about 23:01 UTC.

The figures are APY as the pool's own page gives them; the store keeps fractions a year. One reply is the whole history.
"""

import numpy as np
from attrs import frozen

from framework.clock import NS_PER_DAY
from framework.data.fetching.client import Client, Pace
from framework.data.fetching.feed import Feed, Page, iso_times, numbers, refuse_units, rows_of
from framework.data.series import Joining
from framework.data.store import Kind, Samples

HOST = "https://yields.llama.fi"
PACE = Pace(per_minute=60, burst=5, rest_s=10)
POOLS = {
    "kamino-sol": "525b2dab-ea6a-4cbc-a07f-84ce561d1f83",
    "kamino-usdc": "d2141a59-c199-4be7-8d4b-c8223954836b",
}
"""Pools of Kamino's main market by a name that is easier to write."""
LOWEST, HIGHEST = 0.2, 500.0
"""Percent a year: what borrowing never passes is quoted in fractions, what is above the other in the middle in bps."""


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
        rows = rows_of(reply, reply.json(), "data")
        keys = {"lending_apy": "apyBase", "borrowing_apy": "apyBaseBorrow"}
        columns = {name: numbers(reply, rows, key) / 100 for name, key in keys.items()}
        return Page(reply, Samples(iso_times(reply, rows, "timestamp"), columns), end_ns, whole=True)

    def check_units(self, samples: Samples, request: str) -> None:
        """Percent, not fractions: over a month and more borrowing has cost something."""
        borrowing = samples.columns["borrowing_apy"] * 100
        if (len(samples) > 30 and borrowing.max() < LOWEST) or np.median(borrowing) > HIGHEST:
            said = f"apyBaseBorrow from {borrowing.min():.3g} to {borrowing.max():.3g}"
            raise refuse_units(request, said, "percent a year")
