"""Drift's rules as functions of numbers: margins by size, what a liquidation takes, losses shared, funding, interest.

They take floats, arrays or fractions; what the program counts in integers takes those of the program. Money is USD,
sizes are coins, ratios and fees are fractions of the notional.
Source: the protocol's program, drift-labs/protocol-v2 at 0ae3e3b1, `math/margin`, `math/liquidation`, `math/funding`.
"""

import math
from fractions import Fraction
from typing import Any

from attrs import frozen

from framework.formulas import greater, lesser, square_root

SMALL_USD = 50
"""A shortage or a position below this is liquidated at once."""
INSURANCE_SHARE = Fraction(95, 100)
"""The most that the insurance fund takes, as a share of what a liquidation leaves."""
WAITING_SLOTS, FEE_PER_SLOT = 1_500, Fraction(1, 1_000_000)
SEGMENTS = tuple(
    (Fraction(until, 1_000), Fraction(share, 100))
    for until, share in ((850, 5), (900, 10), (950, 15), (990, 20), (995, 25), (1_000, 25))
)
"""Above the optimal utilisation: where each segment of the borrow rate ends, and its share of the way to the most."""
SECONDS_PER_YEAR = 31_536_000


# -- margin


def margin_ratio(ratio: Any, size: Any, imf: Any) -> Any:  # noqa: ANN401
    """The margin of a position, or of a borrow, as a share of its worth: the larger the size, the more."""
    return greater(ratio, ratio * 4 / 5 + imf * square_root(size))


def asset_weight(weight: Any, size: Any, imf: Any) -> Any:  # noqa: ANN401
    """The share of a deposit's worth that counts as margin: the larger the size, the less."""
    return lesser(weight, 11 / (10 * (1 + imf * square_root(size))))


def scaled_weight(weight: Any, deposits_usd: Any, scale_start_usd: Any) -> Any:  # noqa: ANN401
    """The initial weight of a deposit where all deposits of the token are worth more than a limit."""
    return weight * lesser(1, scale_start_usd / deposits_usd)


def shortage(collateral: Any, requirement: Any, notional: Any, buffer: Any, losses: Any = 0) -> Any:  # noqa: ANN401
    """What an account in liquidation lacks to reach its requirement and the buffer, USD.

    The buffer is a share of the notional, and of the unrealised `losses`, which are above 0.
    """
    return requirement + buffer * notional - (collateral - buffer * losses)


# -- liquidation


@frozen
class Taken:
    """What a liquidation takes: coins, and the fees of the liquidator and of the insurance fund in USD."""

    coins: Fraction
    liquidator_fee: Fraction
    insurance_fee: Fraction


def coins_to_cover(missing: Any, price: Any, ratio: Any, liquidator_fee: Any, insurance_fee: Any) -> Any:  # noqa: ANN401
    """Coins whose closing covers what is missing; None if closing costs more than it frees.

    `ratio` is the position's margin with the buffer.
    """
    freed = price * (ratio - liquidator_fee) - price * insurance_fee
    return missing / freed if ratio > liquidator_fee and freed > 0 else None


def insurance_fee(most: Any, ratio: Any, liquidator_fee: Any, short: Any) -> Any:  # noqa: ANN401
    """The fee of the insurance fund: what is configured, at most 95 % of what a liquidation of all would leave.

    `short` is the shortage as a share of the notional.
    """
    return lesser(most, greater(0, INSURANCE_SHARE * (ratio - liquidator_fee - short)))


def liquidator_fee_after(fee: Any, most: Any, slots: int) -> Any:  # noqa: ANN401
    """The liquidator's fee, which grows with the slots in which nobody has liquidated."""
    return fee if slots <= WAITING_SLOTS else lesser(most, fee + slots * FEE_PER_SLOT)


def share_now(missing: Any, freed: Any, initial: Any, elapsed: Any) -> Any:  # noqa: ANN401
    """The share of a shortage that may be liquidated now.

    `freed` was freed before since the liquidation began, `elapsed` is the time since as a share of its duration.
    """
    if missing < SMALL_USD:
        return 1
    allowed = lesser(1, initial + elapsed) * (missing + freed) - freed
    return lesser(1, greater(0, allowed) / missing)


def liquidated(
    size: Fraction,
    price: Fraction,
    missing: Fraction,
    ratio: Fraction,
    liquidator_fee: Fraction,
    most_insurance_fee: Fraction,
    *,
    share: Any = 1,  # noqa: ANN401
    step: Fraction = Fraction(1, 10**9),
) -> Taken:
    """What a liquidator takes of a position of `size` coins, at least 0: no more than there is, in whole steps.

    The program has the fee of the insurance fund, and the shortage behind it, to six places.
    """
    short = _six_places(missing / (size * price)) if size else Fraction(0)
    insurance = _six_places(insurance_fee(most_insurance_fee, ratio, liquidator_fee, short))
    enough = coins_to_cover(missing, price, ratio, liquidator_fee, insurance)
    coins = size
    if enough is not None and size * price >= SMALL_USD:
        coins = min(size, math.ceil(max(0, enough * share) / step) * step)
    return Taken(coins, coins * price * liquidator_fee, coins * price * insurance)


def _six_places(value: Fraction) -> Fraction:
    return Fraction(math.floor(value * 10**6), 10**6)


def borrow_to_repay(
    missing: Fraction,
    price: Fraction,
    asset_weight: Fraction,
    liability_weight: Fraction,
    insurance_fee: Fraction = Fraction(0),
    discount: Fraction = Fraction(1),
) -> Fraction:
    """Borrowed tokens whose repayment out of a deposit covers a shortage.

    `discount` is what the liquidator gains: the multiplier of the deposit over that of the borrow. The program rounds
    the weight down to five places.
    """
    weight = Fraction(int(asset_weight * discount * 10**5), 10**5)
    return missing / (price * (liability_weight - weight) - price * insurance_fee * liability_weight)


def borrow_insurance_fee(
    most: Fraction, missing: Fraction, worth: Fraction, asset_weight: Fraction, liability_weight: Fraction
) -> Fraction:
    """The insurance fund's fee on a repaid borrow of this worth; `asset_weight` includes the discount."""
    left = liability_weight - asset_weight - missing / worth
    return min(most, max(Fraction(0), left / liability_weight))


def loss_per_coin(loss: Fraction, fund: Fraction, long: Fraction, short: Fraction) -> Fraction:
    """What a bankruptcy costs each coin of both sides, once the insurance fund has paid; to six places, rounded up."""
    return Fraction(math.ceil(max(Fraction(0), loss - fund) / (abs(long) + abs(short)) * 10**6), 10**6)


def deposits_after(index: Fraction, loss: Fraction, deposits: Fraction) -> Fraction:
    """The index of deposits after they have borne a loss of borrowers."""
    return index * (1 - loss / deposits)


# -- funding, in the program's integers


def funding_rate(mark_twap: int, oracle_twap: int, clamp_divisor: int, *, offset: bool = True) -> int:
    """USD per coin and hour in 1e-9, from the means of mark and oracle in 1e-6 USD; above 0 longs pay.

    The spread is clamped to the share 1/`clamp_divisor` of the oracle. Since 2023-10-18 it has an `offset` of 1/5000.
    """
    spread = mark_twap - oracle_twap + (oracle_twap // 5_000 if offset else 0)
    most = oracle_twap // clamp_divisor
    return _quotient(max(-most, min(spread, most)) * 1_000, 24)


def funding_rates(rate: int, long: int, short: int, fee_pool: int) -> tuple[int, int, int]:
    """The rates of longs and shorts, and what the market gains: it pays at most a third of its fee pool.

    Rates are 1e-9 USD, sizes 1e-9 coins (shorts below 0), money 1e-6 USD.
    """
    gained = _payment(rate, long + short)
    if gained >= -(fee_pool // 3):
        return rate, rate, gained
    from_users = abs(_payment(rate, long if rate > 0 else short))
    limit = 1 - fee_pool // 3 - from_users
    capped = _quotient(limit * 10**12, short if rate > 0 else long)
    return (rate, capped, -(fee_pool // 3)) if rate > 0 else (capped, rate, -(fee_pool // 3))


def _payment(rate: int, size: int) -> int:
    """What a position pays, 1e-6 USD."""
    return _quotient(rate * size, 10**12)


def _quotient(first: int, second: int) -> int:
    """A quotient, rounded towards 0 as the program does."""
    sign = 1 if (first < 0) == (second < 0) else -1
    return sign * (abs(first) // abs(second))


# -- interest


def borrow_rate(
    utilisation: Fraction,
    optimal: Fraction,
    optimal_rate: Fraction,
    most: Fraction,
    least: Fraction = Fraction(0),
    *,
    segments: bool = True,
) -> Fraction:
    """The yearly rate of borrows: a line up to the optimal utilisation, above it steeper segments.

    Before 2025-05-28 it was one straight line there: without `segments`.
    """
    if utilisation <= optimal:
        return max(least, optimal_rate * utilisation / optimal)
    rate, at = optimal_rate, optimal
    for until, share in SEGMENTS if segments else ((Fraction(1), Fraction(1)),):
        if until <= at:
            continue
        within = min(utilisation, until) - at
        rate += (most - optimal_rate) * share * within / (until - at)
        at = until
        if utilisation <= until:
            break
    return max(least, rate)


def deposit_rate(rate: Any, utilisation: Any, insurance: Any) -> Any:  # noqa: ANN401
    """The yearly rate of deposits: what borrowers pay, less the share of the insurance fund."""
    return rate * utilisation * (1 - insurance)


def interest(rate: Fraction, seconds: int) -> int:
    """What the index of borrows gains in 1e-10, from one update to the next; rounded up."""
    return math.ceil(rate * seconds * 10**10 / SECONDS_PER_YEAR)
