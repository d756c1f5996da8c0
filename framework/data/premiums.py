"""Hyperliquid's funding follows from its premium: the rules by which it has done so, and rates that do not fit them."""

from collections.abc import Iterator
from datetime import date

import numpy as np
from attrs import frozen

from framework.clock import midnight_ns
from framework.data.series import Floats, Ints

CAP, INTEREST = 0.04, 0.0001
"""The most of a payment, and the interest of eight hours, as fractions of the notional."""


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


def unexplained(time_ns: Ints, rate: Floats, premium: Floats) -> Iterator[tuple[int, str]]:
    """The rates that do not follow from their premiums by the rule of their time: index, and what is wrong.

    Rates and premiums that are not finite are passed over.
    """
    off = np.full(len(rate), np.inf)
    for rule in RULES:
        valid = (time_ns >= rule.from_ns) & (time_ns < rule.until_ns)
        off = np.where(valid, np.fmin(off, np.abs(rate - rule.rate(premium))), off)
    wrong = (off > np.where(time_ns < COARSE_UNTIL_NS, 1e-8, 1e-9)) & np.isfinite(rate + premium)
    for index in np.flatnonzero(wrong).tolist():
        due = float(RULES[0].rate(premium[index : index + 1])[0])
        likely = _likely(float(rate[index]), due)
        yield index, f"fundingRate {rate[index]:.10g}, but the premium {premium[index]:.10g} gives {due:.10g}{likely}"
