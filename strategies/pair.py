"""Moves that strategies with one long and one short leg share: open both, close both, level their equity.

An order that a venue rejects ends none of them: what would leave one leg without the other is taken back or not begun.
"""

from collections.abc import Iterator
from typing import Any, Literal

from framework.errors import ScenarioError
from framework.events import Rejected, Side
from framework.money import USDC
from framework.orders import Close, Deposit, Move, Open, Order
from framework.strategy import View
from strategies.hedge import even_out, first_filled, quoted_fee_usd, takes

Refused = Literal["wait", "fit"]
"""What becomes of an opening that a venue does not take, such as one beyond its maximum leverage.

- `wait`: nothing is opened until both venues take it
- `fit`: both legs are opened as large as both venues take them
"""
ATTEMPTS = 3
"""How often a sum that may not leave its venue is halved."""
LEAST_USD = 1 / USDC.scale
"""The least sum that there is: less is no transfer, whatever a strategy thinks it worth."""
FIT_STEPS = 20
"""In so many halvings the largest size that both venues take is found, to a millionth of what was asked for."""


def another_leg(strategy: Any, _: object, short: str) -> None:  # noqa: ANN401  (any strategy with a field `long`)
    """Raises `ValueError` where the field `short` names the venue of the long leg."""
    if short == strategy.long:
        raise ValueError(f"'short' must be another venue than the long leg's: {short}")


def open_pair(
    view: View, long: str, short: str, leverage: float, *, refused: Refused = "wait", quietly: bool = False
) -> Iterator[Order]:
    """Put all cash into both legs at `leverage`, equal in size, and equal in equity after each has paid its fees."""
    size = half(view, long, short) * leverage / view.price
    yield from _open_legs(view, long, short, size, None, refused, quietly=quietly)


def reopen_pair(view: View, long: str, short: str, leverage: float, *, refused: Refused = "wait") -> Iterator[Order]:
    """Close both legs and open them again, sized by what is left after fees.

    The opening fees are agreed on the notional that was planned before any fee, as the study has it, and both they and
    the closing fees are paid before the rest is split. Where one leg cannot be closed, the other is cut to its size.
    """
    planned_usd = half(view, long, short) * leverage
    if not takes(view, Close(long), Close(short)):
        yield from even_out(view, long, short, leverage, "cut")
        return
    yield Close(long)
    yield Close(short)
    yield from open_after_fees(view, long, short, leverage, planned_usd, refused=refused)


def open_after_fees(
    view: View,
    long: str,
    short: str,
    leverage: float,
    planned_usd: float,
    *,
    refused: Refused = "wait",
    quietly: bool = False,
) -> Iterator[Order]:
    """Open both legs with what is left after the fees, which are agreed on a notional of `planned_usd` per leg.

    Nothing is opened where nothing would be left, and nothing beside a leg that is still there.
    """
    if planned_usd <= 0 or view.leg(long).size or view.leg(short).size:
        return
    planned_size, funds_usd = planned_usd / view.price, half(view, long, short)
    long_fee_usd, short_fee_usd = (
        quoted_fee_usd(view, Open(venue, side, planned_size, max(0.0, funds_usd), planned_usd))
        for venue, side in ((long, Side.LONG), (short, Side.SHORT))
    )
    fees_usd = long_fee_usd + short_fee_usd
    half_usd = half(view, long, short) - fees_usd / 2
    if half_usd > 0:
        size = half_usd * leverage / view.price
        yield from _open_legs(view, long, short, size, planned_usd, refused, quietly=quietly)


def close_pair(long: str, short: str) -> Iterator[Order]:
    """Close both legs: everything returns to the wallet."""
    yield Close(long)
    yield Close(short)


def leave_pair(view: View, long: str, short: str) -> Iterator[Order]:
    """Close each leg that has a position or money: at the end, where nothing is to be hedged any more."""
    for venue in (long, short):
        leg = view.leg(venue)
        if leg.size or leg.equity_usd:
            yield Close(venue)


def level_equity(view: View, long: str, short: str, min_transfer_usd: float) -> Iterator[Order]:
    """Send half the difference in equity from the richer leg to the poorer, if it is above `min_transfer_usd`.

    What is left in the wallet goes to the poorer leg first. Of what may not leave its venue, or enter the other, a part
    is sent. Nothing is done while money is on its way: it counts for neither leg, and would be sent twice; nor where a
    leg is missing, or its venue takes no order.
    """
    held = view.leg(long).size and view.leg(short).size
    min_transfer_usd = max(min_transfer_usd, LEAST_USD)
    if view.transit_usd or not held or not takes(view, Close(long), Close(short)):
        return
    if view.cash_usd > min_transfer_usd:
        poorer, richer = sorted((long, short), key=lambda venue: view.leg(venue).equity_usd)
        fitting = ((venue, min(view.cash_usd, view.leg(venue).most_in_usd)) for venue in (poorer, richer))
        orders = [Deposit(venue, amount_usd) for venue, amount_usd in fitting if amount_usd > min_transfer_usd]
        yield from first_filled(view, *orders)
    surplus_usd = (view.leg(long).equity_usd - view.leg(short).equity_usd) / 2
    if abs(surplus_usd) > min_transfer_usd and not view.transit_usd:
        source, target = (long, short) if surplus_usd > 0 else (short, long)
        yield from _send(view, source, target, abs(surplus_usd), min_transfer_usd)


def half(view: View, long: str, short: str) -> float:
    """Half of what both legs can have, USD: the wallet, and what the venues still hold or are still owed."""
    return (view.cash_usd + view.leg(long).equity_usd + view.leg(short).equity_usd) / 2


def _send(view: View, source: str, target: str, amount_usd: float, min_transfer_usd: float) -> Iterator[Order]:
    """Move a sum, or as much of it as may leave and enter; `min_transfer_usd` of what is free stays to pay the fee."""
    most_usd = min(amount_usd, view.leg(source).free_usd - min_transfer_usd, view.leg(target).most_in_usd)
    for halvings in range(ATTEMPTS + 1):
        sum_usd = most_usd / 2**halvings
        if not sum_usd > min_transfer_usd or (yield from first_filled(view, Move(source, target, sum_usd))):
            return


def _open_legs(
    view: View, long: str, short: str, size: float, quoted_usd: float | None, refused: Refused, *, quietly: bool
) -> Iterator[Order]:
    """Both legs at `size` coins; the cash is split so that their equity is equal once each has paid its own fees.

    Neither is opened without the other. With `quietly` an opening that a venue does not take is not given at all.
    """
    if long == short:
        raise ScenarioError(f"both legs are at {long}; expected two venues")
    half_usd = half(view, long, short)
    bought, sold = _split(view, long, short, size, quoted_usd, half_usd)
    taken = takes(view, bought, sold)
    if not taken and refused == "fit":
        fitting = _largest(view, long, short, size, half_usd)
        if fitting:
            bought, sold = _split(view, long, short, fitting, None, half_usd)
            taken = True
    if not taken:
        rejected = sold if takes(view, bought) else bought
        yield from () if quietly else (rejected,)
        return
    yield bought
    if isinstance(view.outcome, Rejected):
        return
    yield Open(short, Side.SHORT, sold.size, view.cash_usd, sold.quoted_notional_usd)
    if isinstance(view.outcome, Rejected):
        yield Close(long)


def _split(
    view: View, long: str, short: str, size: float, quoted_usd: float | None, half_usd: float
) -> tuple[Open, Open]:
    """The two openings at a size."""
    funds_usd = max(0.0, half_usd)
    long_fee_usd = quoted_fee_usd(view, Open(long, Side.LONG, size, funds_usd, quoted_usd))
    short_fee_usd = quoted_fee_usd(view, Open(short, Side.SHORT, size, funds_usd, quoted_usd))
    long_funds_usd = half_usd + (long_fee_usd - short_fee_usd) / 2 - view.leg(long).equity_usd
    long_funds_usd = min(max(0.0, long_funds_usd), max(0.0, view.cash_usd))
    bought = Open(long, Side.LONG, size, long_funds_usd, quoted_usd)
    return bought, Open(short, Side.SHORT, size, max(0.0, view.cash_usd - long_funds_usd), quoted_usd)


def _largest(view: View, long: str, short: str, size: float, half_usd: float) -> float:
    """The largest size up to `size` that both venues take; 0 where they take none."""
    least, most = 0.0, size
    for _ in range(FIT_STEPS):
        middle = (least + most) / 2
        if takes(view, *_split(view, long, short, middle, None, half_usd)):
            least = middle
        else:
            most = middle
    return least
