"""`Strategy`: what a user writes. It is woken by events and yields orders; it calls nothing and keeps no money."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from framework.conditions import Condition
from framework.events import Event
from framework.orders import Order
from framework.view import View


class Strategy(ABC):
    """A policy for capital. Subclasses are frozen values whose fields are the keys of `[strategy]` in a scenario.

    A strategy is woken by `Liquidated`, `TransferArrived`, `Ended`, and by `ConditionMet` for what `conditions` names.
    Of several liquidations at one instant it is told of those at venues it has not dealt with since; the conditions of
    that row are not told. Of several conditions that hold in one row it is told of each in their order, also of one
    that its last orders have ended: where that matters, look at the view.
    Each order that it yields is executed before the next line of the hook runs, so the view is always up to date.
    """

    def conditions(self) -> tuple[Condition, ...]:
        """What wakes the strategy besides what venues do; nothing unless overridden."""
        return ()

    @abstractmethod
    def on_start(self, view: View) -> Iterable[Order]:
        """The first orders: all the capital is in the wallet."""

    @abstractmethod
    def on_event(self, event: Event, view: View) -> Iterable[Order]:
        """The orders that an event provokes; return an empty tuple for none."""
