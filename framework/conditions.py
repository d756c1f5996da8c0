"""Conditions: what wakes a strategy, asked of whole stretches of rows at once."""

from typing import Protocol

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from framework.errors import ScenarioError
from framework.events import ConditionMet, Event, MarginCalled
from framework.units import USDC
from framework.venue import Stretch, fraction, not_negative
from framework.view import View


class Condition(Protocol):
    """Anything that can say in which rows of a stretch it holds.

    The answer for a row may depend on that row and the market before it alone, never on where the stretch begins. With
    a method `met(view)` it also says what event that is; without one it is a `ConditionMet`.
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
class MarginBelow:
    """What counts as margin at a venue, at the close, is below `requirement` of the position's notional.

    A strategy that answers it leaves a `MarginCalled` event.
    """

    venue: str
    requirement: float = field(validator=not_negative)

    def holds(self, stretch: Stretch) -> NDArray[np.bool_]:
        """Never without a position."""
        projection = stretch.projections.get(self.venue)
        if projection is None:
            return np.zeros(len(stretch), dtype=bool)
        notional = projection.notional_usd
        return (self.requirement * notional > projection.margin_usd) & (notional > 0)

    def met(self, view: View) -> Event:
        """The margin call of an instant."""
        leg = view.leg(self.venue)
        return MarginCalled(
            event=0,
            at_ns=view.at_ns,
            venue=self.venue,
            requirement=self.requirement,
            margin=USDC.nearest(leg.margin_usd),
            required=USDC.nearest(self.requirement * leg.notional_usd),
            price=view.price,
        )


@frozen
class DeltaBeyond:
    """A position and the tokens beside it move together by more than `share` of the position, up or down."""

    venue: str
    share: float = field(validator=not_negative)

    def holds(self, stretch: Stretch) -> NDArray[np.bool_]:
        """Never without a position."""
        projection = stretch.projections.get(self.venue)
        if projection is None:
            return np.zeros(len(stretch), dtype=bool)
        size = np.abs(projection.size)
        return (np.abs(projection.delta) > self.share * size) & (size > 0)


@frozen
class LeverageAbove:
    """The effective leverage of a position, notional over equity at the close, is above `limit`."""

    venue: str
    limit: float = field(validator=not_negative)

    def holds(self, stretch: Stretch) -> NDArray[np.bool_]:
        """Also true where notional is left and equity is not."""
        projection = stretch.projections.get(self.venue)
        if projection is None:
            return np.zeros(len(stretch), dtype=bool)
        notional = projection.notional_usd
        return (notional > self.limit * projection.equity_usd) & (notional > 0)


@frozen
class NoPosition:
    """Nothing is held at a venue: its position is closed, or was never opened."""

    venue: str

    def holds(self, stretch: Stretch) -> NDArray[np.bool_]:
        """Also true where money is left there and no position."""
        projection = stretch.projections.get(self.venue)
        if projection is None:
            return np.ones(len(stretch), dtype=bool)
        flat: NDArray[np.bool_] = projection.size == 0
        return flat


@frozen
class LiquidationNear:
    """The row's low, for a long, or high, for a short, is within `buffer` of the liquidation price, or beyond it.

    `buffer` is a share of that low or high: at 0.1 a tenth of it, at 0 only the liquidation price itself counts.
    """

    venue: str
    buffer: float = field(validator=fraction)

    def holds(self, stretch: Stretch) -> NDArray[np.bool_]:
        """Never without a position or a liquidation price."""
        projection = stretch.projections.get(self.venue)
        if projection is None:
            return np.zeros(len(stretch), dtype=bool)
        size = projection.size
        extreme = np.where(size > 0, stretch.column("low"), stretch.column("high"))
        distance = np.sign(size) * (extreme - projection.liquidation_price)
        near: NDArray[np.bool_] = ((distance <= 0) | (distance / extreme < self.buffer)) & (size != 0)
        return near


def event_of(condition: Condition, view: View) -> Event:
    """What happened when a condition holds, as the strategy is told; it has no id until it is recorded."""
    met = getattr(condition, "met", None)
    if met is not None:
        event = met(view)
        if not isinstance(event, Event):
            raise ScenarioError(
                f"{type(condition).__name__}.met answers with {event!r}; expected an event to wake with"
            )
        return event
    venue = getattr(condition, "venue", "")
    return ConditionMet(event=0, at_ns=view.at_ns, venue=venue, condition=condition)
