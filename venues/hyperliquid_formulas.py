"""Hyperliquid's rules as functions of numbers: margin tiers, liquidation price, withdrawable money, fees, funding.

They take floats, arrays, fractions or decimals alike. Money is USD, sizes are coins (> 0 long), rates are fractions.
Sources: Hyperliquid's documentation of margining, margin tiers, liquidations, fees and funding, and states of accounts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import Attribute, field, frozen, validators

from framework.formulas import greater, lesser, ratio
from framework.venue import Dated, basis_points

BACKSTOP = 2 / 3
"""Share of the maintenance margin below which the liquidator vault takes over."""
FIRST_ORDER_DIVISOR = 5
"""The first order of a large liquidation is for 1 / FIRST_ORDER_DIVISOR of the position."""
PAUSE_S = 30
"""After an order for a part of a position, the seconds in which an order is for all of the rest."""
VOLUME_DAYS = 14
"""Days before the present one whose volume decides on the tier of fees."""
FUNDING_CAP = 0.04
"""The most of a payment, as a fraction of the notional per hour."""
INTEREST = 0.0001
"""Interest per eight hours, and the rate wherever the premium is within the clamp of it."""


@frozen
class Tier:
    """Positions above `above_usd` of notional may have so much leverage."""

    max_leverage: float = field(validator=validators.ge(1))
    above_usd: float = field(default=0.0, validator=validators.ge(0))


@frozen
class FeeTier:
    """The taker fee of accounts that traded more than `above_usd` in the last 14 days."""

    taker_fee_bps: float = field(validator=basis_points)
    above_usd: float = field(default=0.0, validator=validators.ge(0))


@frozen
class Line:
    """The maintenance margin within a tier: `rate` of the notional less `deduction`, USD.

    `initial` is the share of the notional that opens a position there, above `above_usd`.
    """

    rate: Any
    deduction: Any
    initial: Any
    above_usd: Any


def lines(tiers: Sequence[Tier], leverage: float | None = None, number: Any = float) -> tuple[Line, ...]:  # noqa: ANN401
    """One line per tier, in their order; at any notional the maintenance margin is the highest of them.

    A tier's rate is half of the initial margin at its maximum leverage. Its deduction makes it meet the tier below.
    `leverage` is the one that is set, if it is lower. `number` makes the numbers, such as fractions.
    """
    found: list[Line] = []
    for tier in tiers:
        most, above = number(tier.max_leverage), number(tier.above_usd)
        rate = 1 / (2 * most)
        deduction = found[-1].deduction + above * (rate - found[-1].rate) if found else number(0)
        initial = 1 / (most if leverage is None else min(most, number(leverage)))
        found.append(Line(rate, deduction, initial, above))
    return tuple(found)


def flat(rate: float) -> tuple[Line, ...]:
    """The one line of a maintenance margin that is the same share of any notional, and of no initial margin."""
    return (Line(rate, 0.0, 0.0, 0.0),)


MARGIN: Mapping[str, Callable[[Sequence[Line]], float]] = {
    "margin_rate": lambda of: of[0].rate,
    "upper_margin_rate": lambda of: of[-1].rate,
    "upper_deduction": lambda of: of[-1].deduction,
    "initial_rate": lambda of: of[0].initial,
    "upper_initial_rate": lambda of: of[-1].initial,
    "upper_from_usd": lambda of: of[-1].above_usd,
}
"""The inputs of formulas that are numbers of a coin's first or last line."""


def two_tiers(_: object, attribute: "Attribute[Any]", rule: Any) -> None:  # noqa: ANN401  (a rule, dated or not)
    """The validator of tiers by coin: one or two of each, as every table of Hyperliquid has; raises `ValueError`."""
    for table in rule.values if isinstance(rule, Dated) else (rule or {},):
        for coin, tiers in table.items():
            if not 1 <= len(tiers) <= 2:
                raise ValueError(f"'{attribute.name}' must be one or two tiers for each coin: {len(tiers)} of {coin}")


def of_rule(rule: Any, make: Callable[[Any], Any]) -> Any:  # noqa: ANN401  (a rule of any type)
    """What is made of a rule: of each of its values, where it changed with time."""
    return rule.each(make) if isinstance(rule, Dated) else make(rule)


def maintenance_margin(
    notional: Any,  # noqa: ANN401
    margin_rate: Any,  # noqa: ANN401
    upper_margin_rate: Any,  # noqa: ANN401
    upper_deduction: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """The maintenance margin of a position, USD, by the first and the last line of its coin."""
    return greater(notional * margin_rate, notional * upper_margin_rate - upper_deduction)


def liquidation_price(mark: Any, size: Any, available: Any, rate: Any) -> Any:  # noqa: ANN401
    """Where a position is liquidated: `available` is the equity less the maintenance margin at the `mark`.

    At or below 0 there is no such price. Until 2023 the price that was shown had a `rate` of 0.
    """
    side = (size > 0) * 2 - 1
    return mark - ratio(available, size * (1 - rate * side))


def withdrawable(equity: Any, initial: Any, notional: Any, floor: Any) -> Any:  # noqa: ANN401
    """What may leave an account: its equity above the initial margin, and above the share `floor` of its notional."""
    return greater(equity - greater(initial, floor * notional), 0)


def taker_fee_bps(tiers: Sequence[FeeTier], volume_usd: float) -> float:
    """The taker fee of an account that traded so much in the last 14 days."""
    return [each.taker_fee_bps for each in tiers if volume_usd > each.above_usd or not each.above_usd][-1]


def funding_rate(premium: Any, clamp: Any = 0.0005, hours: int = 8, number: Any = float) -> Any:  # noqa: ANN401
    """The rate of an hour from the mean premium P: F = P + clamp(0.0001 - P, +-clamp), of which an hour pays F/8.

    Without a clamp, or with one of 0, there is no interest. Before 2023-06-08 the whole was paid every eight hours:
    `hours` is 1 then. `number` is the numeric type of the premium, such as `Decimal`.
    """
    interest, most, whole = number(str(INTEREST)), number(str(FUNDING_CAP)), premium
    if clamp is not None:
        width = clamp if isinstance(clamp, np.ndarray) else number(str(clamp))
        whole = premium + lesser(greater(interest - premium, -width), width)
    return lesser(greater(whole / hours, -most), most)
