"""The path of prices within a row, of which only open, high, low and close are known: a rule says their order.

Within a row all prices move together: at a `Point` each is the same share of the way between two of its known prices.
"""

from collections.abc import Callable, Mapping
from typing import Literal, get_args

from attrs import frozen

RowPath = Literal["close", "adverse_first", "open_high_low_close", "open_low_high_close"]
"""When a venue acts whose act is due at a row's extremes.

- `close`: after the row, at its close, as the study does
- `adverse_first`: on the way from the row's open to the extreme that is adverse to it, before anything else in the row
- `open_high_low_close`, `open_low_high_close`: on the way through the extremes in this order, the same for everyone
"""
PATHS: tuple[RowPath, ...] = get_args(RowPath)
Corner = Literal["open", "low", "high", "close", "adverse"]
"""A known price of a row; `adverse` is the low for what is held long, the high for what is sold short."""
WAYS: Mapping[RowPath, tuple[tuple[Corner, Corner], ...]] = {
    "close": (),
    "adverse_first": (("open", "adverse"),),
    "open_high_low_close": (("open", "high"), ("high", "low"), ("low", "close")),
    "open_low_high_close": (("open", "low"), ("low", "high"), ("high", "close")),
}
"""The ways of a path, one after the other."""
LAST_BIT = 2.0**-53
"""Two shares of a way that are no further apart are one price in floats."""
NEAR = 1e-12
"""How far from its exact place a share is looked for first, where a closed form says where that is."""


@frozen(order=True)
class Point:
    """A moment within a row: `share` of way number `way`, from all prices at `start` to all prices at `stop`."""

    way: int
    share: float
    start: Corner
    stop: Corner


def first_due(
    path: RowPath, since: Point | None, due: Callable[[Point], bool], guess: Callable[[Point], float]
) -> Point | None:
    """The first point of a path, not before `since`, at which something is due; None where it is due at no corner.

    It is due at that point in floats, and was not due 2^-53 of the way before. `guess` says at which share of a
    point's way a closed form expects it, not a number where there is none; it changes the speed and nothing else.
    """
    for way, (start, stop) in enumerate(WAYS[path]):
        if since is not None and way < since.way:
            continue
        low = since.share if since is not None and way == since.way else 0.0
        begin, end = Point(way, low, start, stop), Point(way, 1.0, start, stop)
        if due(begin):
            return begin
        if due(end):
            return _bisected(begin, end, due, guess(end))
    return None


def _bisected(begin: Point, end: Point, due: Callable[[Point], bool], guess: float) -> Point:
    """The first share between one at which it is not due and one at which it is."""
    low, high = begin.share, end.share
    for near in (guess - NEAR, guess + NEAR):
        if low < near < high:
            if due(Point(begin.way, near, begin.start, begin.stop)):
                high = near
            else:
                low = near
    while high - low > LAST_BIT:
        middle = (low + high) / 2
        if due(Point(begin.way, middle, begin.start, begin.stop)):
            high = middle
        else:
            low = middle
    return Point(begin.way, high, begin.start, begin.stop)


def between(first: float, last: float, share: float) -> float:
    """The price at a share of the way from one to the other; exactly those at its ends."""
    return last if share == 1.0 else first + share * (last - first)
