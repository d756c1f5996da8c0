"""Hyperliquid's info API: candles, and hourly funding with its premium, both by POST and paged by time.

Funding is a fraction of the notional for the hour, positive where longs pay shorts; candles are trades in USD. The
interface gives 500 rows of funding at most and only the latest 5,000 candles of an interval.
"""

from datetime import date

import numpy as np
from attrs import frozen

from framework.clock import INTERVALS_NS, NS_PER_HOUR, midnight_ns
from framework.data.fetching.client import Client, Pace
from framework.data.fetching.feed import Feed
from framework.data.fetching.replies import (
    Page,
    after_last,
    answering,
    ascending,
    candle_page,
    milliseconds,
    numbers,
    refuse_units,
    rows_of,
    window_ms,
)
from framework.data.samples import Kind, Samples
from framework.data.series import Floats, Joining
from framework.market import utc

HOST = "https://api.hyperliquid.xyz"
PACE = Pace(per_minute=1200, burst=300, rest_s=10)
"""The limit by address: 1,200 units of weight a minute."""
FUNDING_WEIGHT, CANDLE_WEIGHT = 45, 103
"""Weights of full pages: 20, and 1 for every 20 payments or 60 candles."""
LAG_NS = 1_200 * 1_000_000_000
"""Payments have been stamped up to 887 s after their hour."""
CAP, INTEREST = 0.04, 0.0001
"""Per payment, and per eight hours."""


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
        every_ns = INTERVALS_NS[self.interval]
        units = dict.fromkeys(("open", "high", "low", "close"), "USD") | {"volume": self.coin}
        return Kind(
            series=f"hyperliquid:{self.coin}:{self.interval}",
            what=f"Hyperliquid, trades of {self.coin}-USD perpetuals in candles of {self.interval}",
            units=units,
            joining=Joining.LAST,
            every_ns=every_ns,
            span_ns=every_ns,
        )

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
        times = milliseconds(reply, rows, "time")
        ascending(reply, times)
        columns = {"funding_rate": numbers(reply, rows, "fundingRate"), "premium": numbers(reply, rows, "premium")}
        return Page(reply, Samples(times, columns), after_last(times, end_ns))

    def check_units(self, samples: Samples, request: str) -> None:
        """Every rate follows from its premium by the rule of its time, to the last digit that is given."""
        rate, premium = samples.columns["funding_rate"], samples.columns["premium"]
        off = np.full(len(rate), np.inf)
        for rule in RULES:
            valid = (samples.time_ns >= rule.from_ns) & (samples.time_ns < rule.until_ns)
            off = np.where(valid, np.minimum(off, np.abs(rate - rule.rate(premium))), off)
        for index in np.flatnonzero(~(off <= np.where(samples.time_ns < COARSE_UNTIL_NS, 1e-8, 1e-9)))[:1]:
            due = RULES[0].rate(premium[index : index + 1])[0]
            when = utc(int(samples.time_ns[index])).isoformat()
            said = (
                f"{when}: fundingRate {rate[index]:.10g}, but the premium {premium[index]:.10g} gives {due:.10g}"
                f"{_likely(rate[index], due)}"
            )
            raise refuse_units(request, said, "fractions of the notional per hour, above 0 where longs pay shorts")


@frozen
class Rule:
    """How a rate follows from a premium P: (P + clamp(0.0001 - P, +-`clamp`)) x `share`, while the rule was in force.

    Without a clamp the rate is P x `share`.
    """

    clamp: float | None
    share: float
    from_ns: int
    until_ns: int

    def rate(self, premium: Floats) -> Floats:
        """The rate for each premium, as a fraction of the notional per payment."""
        interest = 0.0 if self.clamp is None else np.clip(INTEREST - premium, -self.clamp, self.clamp)
        capped: Floats = np.clip((premium + interest) * self.share, -CAP, CAP)
        return capped


def _day_ns(year: int, month: int, day: int) -> int:
    return midnight_ns(date(year, month, day))


RULES = (
    Rule(0.0005, 1 / 8, _day_ns(2023, 7, 16), 1 << 62),
    Rule(0.0002, 1 / 8, _day_ns(2023, 7, 15), _day_ns(2024, 12, 31)),
    Rule(None, 1 / 8, _day_ns(2023, 6, 16), _day_ns(2023, 7, 17)),
    Rule(0.0003, 1 / 8, _day_ns(2023, 6, 8), _day_ns(2023, 6, 17)),
    Rule(0.0003, 1.0, 0, _day_ns(2023, 6, 11)),
)
"""Today's rule first. Earlier ones are known from 1,038 rows of 2023; between July 2023 and the end of 2024 either of
the first two may have held. Until June 2023 a payment was of eight hours."""
COARSE_UNTIL_NS = _day_ns(2024, 1, 1)
"""Rates were given with eight decimals until then, and with ten since."""
SLIPS = {8.0: "8 times that", 1 / 8: "an eighth of that", 100.0: "100 times that", 1 / 100: "a hundredth of that",
         10_000.0: "10,000 times that", -1.0: "that with the other sign"}  # fmt: skip
"""Quotients of a rate and what it should be, as a person would say them."""


def _likely(rate: float, due: float) -> str:
    """What a wrong rate looks like, as the end of a sentence."""
    quotient = rate / due if due else 0.0
    return next((f", {words}" for slip, words in SLIPS.items() if abs(quotient / slip - 1) < 0.01), "")
