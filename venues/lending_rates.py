"""Lending rates: from a pool's utilisation to what borrowers pay and suppliers earn, and how that compounds.

Rates are fractions a year. An APR is what a year's rate is cut into by slot; an APY is what a year of compounding makes
of it. Sources: Kamino-Finance/klend at edd5ff50 (`state/reserve.rs`, `utils/borrow_rate_curve.rs`), klend-sdk at
cf465356 (`src/classes/reserve.ts`).
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction

SLOTS_A_YEAR = 63_072_000
"""Kamino assumes two slots a second."""
FEW_SLOTS = 4
"""Up to this number of slots the program computes the power, beyond it the first terms of its series."""
SLOT_MS = 500
"""The length of a slot that the program assumes."""


def borrowing_rate(curve: Sequence[tuple[float, float]], utilisation: float) -> float:
    """The rate at a utilisation, on straight lines between the points (utilisation, rate) of a curve."""
    points = sorted(curve)
    at = min(max(utilisation, points[0][0]), points[-1][0])
    place = min(max(1, bisect_right(points, (at, math.inf))), len(points) - 1)
    (left, low), (right, high) = points[place - 1], points[place]
    return low + (high - low) * (at - left) / (right - left)


def utilisation(available: float, borrowed: float, fees: float = 0.0) -> float:
    """The share of a pool that is lent, at most 1; `fees` are the protocol's part of the pool, which is not lent."""
    return min(1.0, borrowed / (available + borrowed - fees))


def lending_rate(borrowing: float, utilised: float, take: float) -> float:
    """The rate of suppliers: what borrowers pay on the lent part of the pool, less the protocol's share `take`."""
    return borrowing * utilised * (1 - take)


def growth(apr: Fraction, slots: int) -> Fraction:
    """The growth of a debt of 1 over some slots between two refreshes, as the program computes it."""
    rate = apr / SLOTS_A_YEAR
    if slots <= FEW_SLOTS:
        return (1 + rate) ** slots
    second = Fraction(slots * (slots - 1), 2) * rate**2
    third = Fraction(slots * (slots - 1) * (slots - 2), 6) * rate**3
    return 1 + slots * rate + second + third


def apy(apr: float) -> float:
    """The yearly return of an APR that compounds every slot."""
    return math.expm1(SLOTS_A_YEAR * math.log1p(apr / SLOTS_A_YEAR))


def apr(yearly: float) -> float:
    """The continuously compounded APR of a yearly return: to a billionth the inverse of `apy`."""
    return math.log1p(yearly)


def by_the_clock(apr: float, slot_ms: float) -> float:
    """An APR of the curve in real time: shorter slots than the program assumes mean more of them a year."""
    return apr * SLOT_MS / slot_ms
