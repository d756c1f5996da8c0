"""Hedge: how a pair gets two legs of one size again after a venue changed one of them or rejected an order."""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from framework.errors import OrderRefused
from framework.events import Liquidated, Rejected, Side
from framework.formulas import greater
from framework.money import perpetual
from framework.orders import Close, Open, Order, Resize
from framework.strategy import View

if TYPE_CHECKING:
    from framework.books import Stretch

Unhedged = Literal["cut", "close", "hold"]
"""What becomes of a leg that is larger than the other one.

- `cut`: it is reduced to the size of the other, and closed if nothing is left of that
- `close`: both legs are closed
- `hold`: it stays, and the smaller leg is brought back to its size as soon as its venue and the equity there allow it
"""

SMALL = 0.01
"""A leg that is larger than the other one by less than this share of it is not closed for that."""


@frozen
class LegsApart:
    """Two legs differ in size by more than `share` of the larger one."""

    by_row: ClassVar[bool] = True
    long: str
    short: str
    share: float

    def holds(self, stretch: "Stretch") -> NDArray[np.bool_]:
        """Never without a position on either side."""
        legs = [stretch.projections.get(venue) for venue in (self.long, self.short)]
        if legs == [None, None]:
            return stretch.all_rows(False)
        long, short = (0.0 if leg is None else abs(leg.size) for leg in legs)
        apart: NDArray[np.bool_] = abs(long - short) > self.share * greater(long, short)
        return apart


def apart(view: View, long: str, short: str, share: float) -> bool:
    """Whether two legs differ in size by more than `share` of the larger one now."""
    sizes = abs(view.leg(long).size), abs(view.leg(short).size)
    return abs(sizes[0] - sizes[1]) > share * max(sizes)


def left_open(event: Liquidated, view: View) -> bool:
    """Whether a liquidation took its penalty alone: the rules leave it to the strategy to close the position.

    Sizes are compared as floats, which do not tell the atomic units of a large position apart.
    """
    held, before = abs(view.leg(event.venue).size) * perpetual("").scale, abs(event.size)
    return not event.closed and held > 0 and abs(held - before) <= 1e-12 * max(held, before)


def takes(view: View, *orders: Order) -> bool:
    """Whether none of these orders would be rejected, each for itself."""
    try:
        return not any(map(view.rejection, orders))
    except OrderRefused:
        return False


def quotes(view: View, order: Order) -> bool:
    """Whether a venue would take an order once there is money, or tokens, for it."""
    try:
        view.quote(order)
    except OrderRefused:
        return False
    return True


def quoted_fee_usd(view: View, order: Order) -> float:
    """The fee of an order by its quote; 0 where its venue has none, which says why once the order is given."""
    try:
        return view.quote(order).fee_usd
    except OrderRefused:
        return 0.0


def first_filled(view: View, *orders: Order, quietly: bool = False) -> Generator[Order, None, bool]:
    """Give one order after the other until one is not rejected; returns whether there was one.

    With `quietly` no order is given that would be rejected: what is tried again in every row leaves no rejections.
    """
    for order in orders:
        if quietly and not takes(view, order):
            continue
        yield order
        if not isinstance(view.outcome, Rejected):
            return True
    return False


def even_out(
    view: View, long: str, short: str, leverage: float, unhedged: Unhedged, *, quietly: bool = False
) -> Iterator[Order]:
    """Make both legs equal in size, as `unhedged` says; the larger leg goes first, so the hedge never gets worse.

    A cut that is rejected becomes a closing, unless it is one of less than `SMALL` of the larger leg. While the venue
    of the larger leg takes no order, nothing is done: the smaller leg still hedges a part of it. A smaller leg is
    restored up to `leverage` on what it has and the wallet. `quietly` gives no order that is known to be rejected.
    """
    smaller, larger = sorted((long, short), key=lambda venue: abs(view.leg(venue).size))
    left, size = abs(view.leg(smaller).size), abs(view.leg(larger).size)
    if left == size:
        return
    if unhedged == "hold":
        funds_usd = view.leg(smaller).equity_usd + (0.0 if left else view.cash_usd)
        size = min(size, funds_usd * leverage / view.price)
        if size > left:
            side = Side.LONG if smaller == long else Side.SHORT
            restored = Resize(smaller, size) if left else Open(smaller, side, size, view.cash_usd)
            yield from first_filled(view, restored, quietly=quietly)
        return
    cut = [Resize(larger, left)] if unhedged == "cut" and left else []
    closing = [] if cut and size - left < SMALL * size else [Close(larger)]
    yield from first_filled(view, *cut, *closing, quietly=quietly)
    if left and not view.leg(larger).size:
        yield from first_filled(view, Close(smaller), quietly=quietly)
