"""Moves that strategies with one long and one short leg share: open both, close both, level their equity."""

from collections.abc import Iterator

from framework.events import Side
from framework.orders import Close, Move, Open, Order
from framework.strategy import View


def open_pair(view: View, long: str, short: str, leverage: float) -> Iterator[Order]:
    """Put all cash into both legs at `leverage`, equal in size, and equal in equity after each has paid its fees."""
    size = half(view, long, short) * leverage / view.price
    yield from _open_legs(view, long, short, size, None)


def reopen_pair(view: View, long: str, short: str, leverage: float) -> Iterator[Order]:
    """Close both legs and open them anew, sized by what is left after fees.

    The opening fees are agreed on the notional that was planned before any fee, as the study has it, and both they and
    the closing fees are paid before the rest is split.
    """
    planned_usd = view.equity_usd / 2 * leverage
    yield Close(long)
    yield Close(short)
    yield from open_after_fees(view, long, short, leverage, planned_usd)


def open_after_fees(view: View, long: str, short: str, leverage: float, planned_usd: float) -> Iterator[Order]:
    """Open both legs with what is left after the fees, which are agreed on a notional of `planned_usd` per leg.

    Nothing is opened where nothing would be left.
    """
    if planned_usd <= 0:
        return
    planned_size = planned_usd / view.price
    fees_usd = sum(
        view.quote(Open(venue, side, planned_size, 0.0, planned_usd)).fee_usd
        for venue, side in ((long, Side.LONG), (short, Side.SHORT))
    )
    half_usd = half(view, long, short) - fees_usd / 2
    if half_usd > 0:
        yield from _open_legs(view, long, short, half_usd * leverage / view.price, planned_usd)


def close_pair(long: str, short: str) -> Iterator[Order]:
    """Close both legs: everything returns to the wallet."""
    yield Close(long)
    yield Close(short)


def level_equity(view: View, long: str, short: str, min_transfer_usd: float) -> Iterator[Order]:
    """Send half the difference in equity from the richer leg to the poorer, if it is above `min_transfer_usd`."""
    surplus_usd = (view.leg(long).equity_usd - view.leg(short).equity_usd) / 2
    if abs(surplus_usd) > min_transfer_usd:
        source, target = (long, short) if surplus_usd > 0 else (short, long)
        yield Move(source, target, abs(surplus_usd))


def half(view: View, long: str, short: str) -> float:
    """Half of what both legs can have, USD: the wallet, and what the venues still hold or are still owed."""
    return (view.cash_usd + view.leg(long).equity_usd + view.leg(short).equity_usd) / 2


def _open_legs(view: View, long: str, short: str, size: float, quoted_usd: float | None) -> Iterator[Order]:
    """Both legs at `size` coins; the cash is split so that their equity is equal once each has paid its own fees."""
    long_fee_usd = view.quote(Open(long, Side.LONG, size, 0.0, quoted_usd)).fee_usd
    short_fee_usd = view.quote(Open(short, Side.SHORT, size, 0.0, quoted_usd)).fee_usd
    half_usd = half(view, long, short)
    long_funds_usd = half_usd + (long_fee_usd - short_fee_usd) / 2 - view.leg(long).equity_usd
    yield Open(long, Side.LONG, size, long_funds_usd, quoted_usd)
    yield Open(short, Side.SHORT, size, view.cash_usd, quoted_usd)
