"""Accrual by cumulative index: the path of a balance over many rows, rounded once per row and independent of the cut.

Row k of an index is its value after k rows of the market. A path starts at the last change of the position, so
settling a stretch at once or row by row posts the same integers.
"""

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from framework.accounts import Account, Book, Stream
from framework.events import Event
from framework.market import Floats, Ints, Market


@frozen(eq=False)
class Accrual:
    """What one stream of settlements posts over the rows of a stretch.

    `path` is a balance in atomic units before the first row and after each, shape (rows + 1,): its steps are posted,
    forward where it rises. `rate`, `price` and `size` say what each came from: a fraction of the row, USD, and atomic
    units of `asset`. `rate_column` and `price_column` name the market columns behind the two; they are empty where a
    rule of the venue or a cost is.
    """

    event: type[Event]
    venue: str
    stream: Stream
    asset: str
    path: Ints
    rate: Floats
    price: Floats
    size: Ints
    rate_column: str
    price_column: str

    def cut(self, rows: slice) -> "Accrual":
        """The same on some of the rows."""
        arrays = {name: getattr(self, name)[rows] for name in ("rate", "price", "size")}
        return evolve(self, path=self.path[rows.start : rows.stop + 1], **arrays)

    def moved(self, rows: int) -> int:
        """What the first `rows` rows post together."""
        return int(self.path[rows] - self.path[0])


def growth_index(market: Market, column: str) -> Floats:
    """Growth of one unit at the yearly rate `column`, by rate x years each row; shape (rows + 1,), from 1."""

    def grow() -> Floats:
        return np.concatenate(([1.0], np.cumprod(1 + row_rate(market, column))))

    return market.cached(("growth", column), grow)


def row_rate(market: Market, column: str) -> Floats:
    """The yearly rate `column` as a fraction of each row."""
    return market.cached(("row rate", column), lambda: market[column] * market.years)


def funding_index(market: Market, rate_column: str, price_column: str) -> Floats:
    """USD that a short of one coin has received, rate x price summed over the rows; shape (rows + 1,), from 0."""

    def total() -> Floats:
        return np.concatenate(([0.0], np.cumsum(market[rate_column] * market[price_column])))

    return market.cached(("funding", rate_column, price_column), total)


def total_index(market: Market, column: str) -> Floats:
    """A rate per row summed over the rows; shape (rows + 1,), from 0."""
    return market.cached(("total", column), lambda: np.concatenate(([0.0], np.cumsum(market[column]))))


def yearly_index(market: Market, column: str) -> Floats:
    """A yearly rate summed over the rows by rate x years, without compounding; shape (rows + 1,), from 0."""
    return market.cached(("yearly", column), lambda: np.concatenate(([0.0], np.cumsum(row_rate(market, column)))))


def level_index(market: Market, column: str) -> Floats:
    """A level after each row, such as a pool's exchange rate, from the columns `column_open` and `column_close`.

    Shape (rows + 1,), from the level at which the first row opens.
    """

    def levels() -> Floats:
        return np.concatenate((market[f"{column}_open"][:1], market[f"{column}_close"]))

    return market.cached(("level", column), levels)


def rise_index(market: Market, column: str) -> Floats:
    """The rises of a level summed over the rows, its falls left out; shape (rows + 1,), from 0."""

    def rises() -> Floats:
        steps_up = np.maximum(np.diff(level_index(market, column)), 0.0)
        return np.concatenate(([0.0], np.cumsum(steps_up)))

    return market.cached(("rise", column), rises)


def rows_until(market: Market, at_ns: int) -> int:
    """How many rows of the market have settled at an instant."""
    return int(market.at_ns.searchsorted(at_ns, side="right"))


def compounding_path(book: Book, account: Account, market: Market, column: str, start: int, stop: int) -> Ints:
    """|balance| of an account after each of the rows `start - 1` to `stop - 1`, growing at the yearly rate `column`.

    Atomic units, shape (stop - start + 1,): the first is the present balance.
    """
    principal, since_ns = book.principal(account)
    index = growth_index(market, column)
    return _rounded(abs(principal) * (index[start : stop + 1] / index[rows_until(market, since_ns)]))


def simple_path(book: Book, account: Account, market: Market, column: str, start: int, stop: int) -> Ints:
    """What the |principal| of an account has earned since, at the yearly rate `column` and without compounding.

    After each of the rows `start - 1` to `stop - 1`, in atomic units of the account; shape (stop - start + 1,).
    """
    principal, since_ns = book.principal(account)
    index = yearly_index(market, column)
    return _rounded(abs(principal) * (index[start : stop + 1] - index[rows_until(market, since_ns)]))


def received_path(since_ns: int, index: Floats, market: Market, factor: float, start: int, stop: int) -> Ints:
    """What a position that is constant since an instant was paid, after each of the rows `start - 1` to `stop - 1`.

    `factor` is the payment in atomic units per unit of the index; shape (stop - start + 1,).
    """
    since = rows_until(market, since_ns)
    return _rounded(factor * (index[start : stop + 1] - index[since]))


def _rounded(path: Floats) -> Ints:
    rounded: NDArray[np.int64] = np.rint(path, out=path).astype(np.int64)
    return rounded
