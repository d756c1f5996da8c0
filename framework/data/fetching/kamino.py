"""Kamino's own API: what a reserve pays lenders and costs borrowers, hour by hour, as APY in fractions.

Its figures are effective yearly rates and include the chain's faster slots already. With hourly samples of a whole
history this is the best source of lending rates.
"""

from attrs import frozen

from framework.clock import NS_PER_DAY, NS_PER_HOUR
from framework.data.fetching.client import Client, Pace
from framework.data.fetching.feed import Feed
from framework.data.fetching.replies import Page, answering, check_lending, iso_times, numbers, rows_of
from framework.data.samples import Kind, Samples
from framework.data.series import Joining
from framework.market import utc

HOST = "https://api.kamino.finance"
PACE = Pace(per_minute=60, burst=5, rest_s=10)
MARKET = "7u3HeHxYDLhnCoErrtycNokbQYbWGzLs6JSDqGAv5PfF"
RESERVES = {
    "SOL": "d4A2prbA2whesmvHaL88BH6Ewn5N4bTSU2Ze8P6Bc4Q",
    "USDC": "D6q6wuQSrifJKZYpR1M8R4YawnLDtDsMmWM1NbBmgJ59",
    "ETH": "febGYTnFX4GbSGoFHFeJXUHgNaK53fB23uDins9Jp1E",
    "CBBTC": "37Jk2zkz23vkAYBT66HM2gaqJuNg2nYLsCreQAVt5MWK",
    "JITOSOL": "EVbyPKrHG6WBfm4dLxLMJpUDY43cCAcHSpV3KYjKsktW",
}
"""Reserves of the main market by the token that they lend."""
DAYS_AT_ONCE = 30
KEYS = {"lending_apy": "supplyInterestAPY", "borrowing_apy": "borrowInterestAPY"}
"""Our columns and the source's keys."""


@frozen(kw_only=True)
class Reserve(Feed):
    """Lending and borrowing rates of a reserve, hourly, as effective fractions a year."""

    reserve: str
    market: str = MARKET
    host: str = HOST
    pace: Pace = PACE

    @property
    def kind(self) -> Kind:
        place = () if self.market == MARKET else (self.market,)
        return Kind(
            series=":".join(("kamino", *place, self.reserve)),
            what=f"Kamino, reserve {RESERVES.get(self.reserve, self.reserve)} of market {self.market}, effective rates",
            units=dict.fromkeys(("lending_apy", "borrowing_apy"), "fraction per year"),
            joining=Joining.LAST,
            every_ns=NS_PER_HOUR,
        )

    def page(self, client: Client, start_ns: int, end_ns: int) -> Page:
        until_ns = min(end_ns, (start_ns // NS_PER_DAY + DAYS_AT_ONCE) * NS_PER_DAY)
        reserve = RESERVES.get(self.reserve, self.reserve)
        asked = {"env": "mainnet-beta", "start": _iso(start_ns), "end": _iso(until_ns), "frequency": "hour"}
        reply = client.get(f"/kamino-market/{self.market}/reserves/{reserve}/metrics/history", asked)
        content = reply.json()
        rows = rows_of(reply, content, "history")
        answering(reply, [content], reserve=reserve, market=self.market)
        times = iso_times(reply, rows, "timestamp")
        metrics = [row["metrics"] if isinstance(row.get("metrics"), dict) else row for row in rows]
        if self.reserve in RESERVES:
            named = [{"symbol": str(each["symbol"]).upper()} for each in metrics if "symbol" in each]
            answering(reply, named, symbol=self.reserve)
        columns = {name: numbers(reply, metrics, key) for name, key in KEYS.items()}
        return Page(reply, Samples(times, columns), until_ns)

    def check_units(self, samples: Samples, request: str) -> None:
        """Fractions, not percent."""
        check_lending(samples, request, list(KEYS.values()), "a fraction a year", percent=False)


def _iso(at_ns: int) -> str:
    return utc(at_ns).isoformat(timespec="milliseconds").replace("+00:00", "Z")
