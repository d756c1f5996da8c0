"""Hyperliquid's rules as functions of numbers: margin tiers, liquidation price, withdrawable money, fees, funding.

They take floats, arrays, fractions or decimals alike. Money is USD, sizes are coins (> 0 long), rates are fractions.
Sources: Hyperliquid's documentation of margining, margin tiers, liquidations, fees and funding, and states of accounts.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import Attribute, field, frozen, validators

from framework.formulas import greater, lesser, ratio
from framework.rulebook.rules import values_of
from framework.venue import basis_points, from_rules

BACKSTOP = 2 / 3
"""Share of the maintenance margin below which the liquidator vault takes over."""
FIRST_ORDER_DIVISOR = 5
"""The first order of a large liquidation is for 1 / FIRST_ORDER_DIVISOR of the position."""
PAUSE_S = 30
"""For so many seconds after an order for a part of a position, an order is for all of the rest."""
VOLUME_DAYS = 14
"""The fee tier depends on the volume of this many days before the present one."""
CLAMP = 0.0005
"""Default clamp of the difference between interest and premium, per eight hours."""
FUNDING_CAP = 0.04
"""Cap of the funding rate, a fraction of the notional per hour."""
INTEREST = 0.0001
"""Interest per eight hours: the rate, as long as the premium is within the clamp of it."""


@frozen
class Tier:
    """The maximum leverage of positions above `above_usd` of notional."""

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
    `leverage` is the leverage set by the account; the initial margin is that at the lower of the two. `number` is the
    numeric type of the result, such as `Fraction`.
    """
    found: list[Line] = []
    for tier in tiers:
        most, above = number(tier.max_leverage), number(tier.above_usd)
        rate = 1 / (2 * most)
        deduction = found[-1].deduction + above * (rate - found[-1].rate) if found else number(0)
        initial = 1 / (most if leverage is None else min(most, number(leverage)))
        found.append(Line(rate, deduction, initial, above))
    return tuple(found)


def of_first_line(name: str) -> Any:  # noqa: ANN401  (an input of formulas)
    """A number of a coin's first line, as an input of formulas."""
    return _of_line(0, name)


def of_last_line(name: str) -> Any:  # noqa: ANN401  (an input of formulas)
    """The same of a coin's last line."""
    return _of_line(-1, name)


def _of_line(place: int, name: str) -> Any:  # noqa: ANN401  (an input of formulas)
    def number(tiers: Sequence[Tier] | None, rate: float | None, leverage: float | None) -> Any:  # noqa: ANN401
        """Without tiers the one line has the maintenance margin of any notional, and no initial margin."""
        of_coin = (Line(rate, 0.0, 0.0, 0.0),) if tiers is None else lines(tiers, leverage)
        return getattr(of_coin[place], name)

    return from_rules(number, "margin_tiers", "maintenance_margin", "leverage", per_coin=True)


def two_tiers(_: object, attribute: "Attribute[Any]", rule: Any) -> None:  # noqa: ANN401  (a rule, dated or not)
    """The validator of tiers by coin: one or two of each, as every table of Hyperliquid has; raises `ValueError`."""
    for table in values_of(rule):
        for coin, tiers in (table or {}).items():
            if not 1 <= len(tiers) <= 2:
                raise ValueError(f"'{attribute.name}' must be one or two tiers for each coin: {len(tiers)} of {coin}")


def maintenance_margin(
    notional: Any,  # noqa: ANN401
    margin_rate: Any,  # noqa: ANN401
    upper_margin_rate: Any,  # noqa: ANN401
    upper_deduction: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """The maintenance margin of a position, USD, by the first and the last line of its coin."""
    return greater(notional * margin_rate, notional * upper_margin_rate - upper_deduction)


def liquidation_price(mark: Any, size: Any, available: Any, rate: Any) -> Any:  # noqa: ANN401
    """The price at which a position is liquidated; `available` is equity less maintenance margin at the `mark`.

    At or below 0 there is no such price. Until 2023 the price that was shown had a `rate` of 0.
    """
    side = (size > 0) * 2 - 1
    return mark - ratio(available, size * (1 - rate * side))


def withdrawable(equity: Any, initial: Any, notional: Any, floor: Any) -> Any:  # noqa: ANN401
    """What can be withdrawn: equity above the initial margin and above the share `floor` of the notional, USD."""
    return greater(equity - greater(initial, floor * notional), 0)


def taker_fee_bps(tiers: Sequence[FeeTier], volume_usd: float) -> float:
    """The taker fee of an account by its volume in the last 14 days, basis points."""
    return [each.taker_fee_bps for each in tiers if volume_usd > each.above_usd or not each.above_usd][-1]


def funding_rate(premium: Any, clamp: Any = CLAMP, hours: int = 8, number: Any = float) -> Any:  # noqa: ANN401
    """The rate of an hour from the mean premium P: F = P + clamp(0.0001 - P, +-clamp), of which an hour pays F/8.

    Without a clamp, or with one of 0, there is no interest. Before 2023-06-08 the whole was paid every eight hours:
    `hours` is 1 then. `number` is the numeric type of the premium, such as `Decimal`.
    """
    interest, most, whole = number(str(INTEREST)), number(str(FUNDING_CAP)), premium
    if clamp is not None:
        width = clamp if isinstance(clamp, np.ndarray) else number(str(clamp))
        whole = premium + lesser(greater(interest - premium, -width), width)
    return lesser(greater(whole / hours, -most), most)
