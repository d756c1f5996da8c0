"""Conditions: what wakes a strategy, asked of whole stretches of rows at once."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from framework.market import Floats, Market
from framework.venue import Projection


@frozen(eq=False)
class Stretch:
    """The rows `start` to `stop - 1` of the market, projected with positions as they are; idle venues are absent."""

    market: Market
    start: int
    stop: int
    projections: Mapping[str, Projection]

    def __len__(self) -> int:
        return self.stop - self.start

    def column(self, name: str) -> Floats:
        """A market column on these rows."""
        return self.market[name][self.start : self.stop]


class Condition(Protocol):
    """Anything that can say in which rows of a stretch it holds.

    The answer for a row may depend on that row and the market before it alone, never on where the stretch begins.
    """

    def holds(self, stretch: Stretch) -> NDArray[np.bool_]:
        """Shape (rows,): the strategy is woken after each row that is true."""


@frozen
class EveryRow:
    """Always: the strategy is called after every row, at the price of one Python call each."""

    def holds(self, stretch: Stretch) -> NDArray[np.bool_]:
        """True everywhere."""
        return np.ones(len(stretch), dtype=bool)


@frozen
class LeverageAbove:
    """The effective leverage of a position, notional over equity at the close, is above `limit`."""

    venue: str
    limit: float

    def holds(self, stretch: Stretch) -> NDArray[np.bool_]:
        """Also true where notional is left and equity is not."""
        projection = stretch.projections.get(self.venue)
        if projection is None:
            return np.zeros(len(stretch), dtype=bool)
        notional = projection.notional_usd
        return (notional > self.limit * projection.equity_usd) & (notional > 0)
