"""The loop: project a stretch of rows, find the first in which something happens, settle up to it, let it happen."""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from functools import reduce

import numpy as np
import simpy
from attrs import evolve
from numpy.typing import NDArray

from framework.accounts import Draft
from framework.accrual import rows_until
from framework.books import Books
from framework.clock import Clock, Phase
from framework.conditions import Condition, event_of
from framework.errors import CarrybookError, ScenarioError
from framework.events import Ended, Event, Started, TransferArrived, Unstaked
from framework.execution import Execution
from framework.hooks import orders_of
from framework.market import Market
from framework.mistakes import asked, located, mistakes_told, projecting
from framework.orders import Order
from framework.present import Present
from framework.run import Run
from framework.scenario import Entry
from framework.strategy import Strategy
from framework.units import USDC
from framework.venue import CAPITAL, CASH, Projection, Stretch, Venue

FIRST_WINDOW = 512
"""Rows that are projected at once in the beginning; the window doubles while nobody acts."""
LEAST_WINDOW = 32
"""After somebody acted, the window is four times as long as it took, and at least this long."""


class Simulation:
    """One strategy on given venues and one market, from a sum of capital to a `Run`.

    `entry` says when the strategy starts; unless it is the first close, positions earn the whole first row.
    `rows_at_once` fixes how many rows are projected together: it changes the speed and nothing else.
    """

    def __init__(
        self,
        *,
        market: Market,
        venues: Sequence[Venue],
        strategy: Strategy,
        capital_usd: float,
        entry: Entry = "first_close",
        rows_at_once: int | None = None,
    ) -> None:
        self._market = market
        self._venues = {venue.name: venue for venue in venues}
        self._projecting = {venue.name: projecting(venue) for venue in venues}
        self._strategy = strategy
        self._conditions = checked_conditions(strategy, self._venues)
        self._asked = [asked(condition) for condition in self._conditions]
        self._capital = USDC.nearest(capital_usd)
        self._entry = entry
        self._rows_at_once = rows_at_once
        self._books = Books(market, venues, self._capital)
        self._clock = Clock(int(market.open_ns[0]))
        self._present = Present(market, self._venues, self._books, self._clock)
        self._execution = Execution(self._present, self._arrived)

    def run(self) -> Run:
        """Play the market to its end; raises `CarrybookError`, also for a mistake in a user's own class."""
        parts = (self._strategy, *self._conditions, *self._venues.values())
        with mistakes_told(parts, self._market, lambda: self._present.row):
            self._clock.run(self._play())
        return Run(
            market=self._market,
            ledger=self._books.ledger,
            events=self._books.events,
            curve=self._books.curve,
            capital=self._capital,
            opened_at="open" if self._entry == "first_open" else "close",
        )

    def _play(self) -> Generator[simpy.Event, None, None]:
        market, clock, present = self._market, self._clock, self._present
        row = 1 if self._entry == "first_close" else 0
        yield clock.until(int(market.at_ns[0] if row else market.open_ns[0]), Phase.DECISION)
        present.at = "open" if self._entry == "first_open" else "close"
        self._start()
        if row:
            self._books.curve.mark(0, self._books.ledger)
        else:
            present.opened = {name: present.leg(name).size for name in self._venues}
        window, since = self._rows_at_once or FIRST_WINDOW, row
        while row < len(market):
            due_ns = clock.next_ns()
            stop = len(market) if due_ns is None else rows_until(market, due_ns)
            if due_ns is not None and stop <= row:
                yield from self._let_arrive(due_ns, row)
                continue
            row, acted = yield from self._walk(row, min(stop, row + window))
            if self._rows_at_once is None:
                window = max(LEAST_WINDOW, 4 * (row - since)) if acted else 2 * window
            if acted:
                since = row
        yield from self._let_arrive(int(market.at_ns[-1]), row)
        present.row = len(market) - 1
        ended = Ended(event=self._books.events.next_id, at_ns=clock.now_ns, venue="")
        self._books.post(ended)
        self._obey(ended, self._strategy.on_event, ended, present)

    def _let_arrive(self, until_ns: int, row: int) -> Generator[simpy.Event, None, None]:
        """Let what is on its way arrive, `row` being next; at the close of the one before, its curve has it as well."""
        clock, books = self._clock, self._books
        known = books.events.next_id
        yield clock.until(until_ns, Phase.ARRIVAL)
        if books.events.next_id > known and row and until_ns == self._market.at_ns[row - 1]:
            books.curve.mark(row - 1, books.ledger)

    def _walk(self, start: int, stop: int) -> Generator[simpy.Event, None, tuple[int, bool]]:
        """Let the rows pass until somebody acts; returns the next row, and whether somebody did."""
        clock, present = self._clock, self._present
        present.at = "close"
        stretch = present.stretch = self._project(start, stop)
        holds = [ask(stretch) for ask in self._asked]
        liquidated = [projection.liquidated for projection in stretch.projections.values()]
        for wake in _any_row([*holds, *liquidated]):
            offset = int(wake)
            present.row = start + offset
            at_ns = int(self._market.at_ns[present.row])
            if any(each[offset] for each in liquidated):
                yield clock.until(at_ns, Phase.LIQUIDATION)
                present.settle()
                found = [name for name, each in stretch.projections.items() if each.liquidated[offset]]
                events = self._execution.liquidate(found)
                yield clock.until(at_ns, Phase.DECISION)
                for event in events:
                    if not self._execution.acted_since(event):
                        self._obey(event, self._strategy.on_event, event, present)
                acted = True
            else:
                yield clock.until(at_ns, Phase.DECISION)
                acted = self._ask([index for index, each in enumerate(holds) if each[offset]])
            if acted:
                self._books.curve.mark(present.row, self._books.ledger)
                return present.row + 1, True
        present.row = stop - 1
        present.settle()
        return stop, False

    def _project(self, start: int, stop: int) -> Stretch:
        projections: dict[str, Projection] = {}
        stretch = Stretch(self._market, start, stop, projections)
        for name, project in self._projecting.items():
            projection = project(self._books.ledger, stretch)
            if projection is not None:
                projections[name] = projection
        return stretch

    def _start(self) -> None:
        books, present = self._books, self._present
        started = Started(event=books.events.next_id, at_ns=self._clock.now_ns, venue="", amount=self._capital)
        draft = Draft(books.ledger)
        draft.transfer(CASH, CAPITAL, self._capital, "capital")
        books.post(started, draft)
        self._obey(started, self._strategy.on_start, present)

    def _arrived(self, event: TransferArrived | Unstaked) -> None:
        self._obey(event, self._strategy.on_event, event, self._present)

    def _ask(self, indices: Iterable[int]) -> bool:
        """Tell the strategy of the conditions that hold; returns whether it acted. Unheeded ones leave no event."""
        acted = False
        for index in indices:
            condition = self._conditions[index]
            met = event_of(condition, self._present)
            recorded: Event | None = None
            orders = self._orders(self._strategy.on_event, met, self._present)
            for order in orders:
                if recorded is None:
                    self._present.settle()
                    recorded = evolve(met, event=self._books.events.next_id)
                    self._books.post(recorded)
                try:
                    self._execution.execute(order, recorded.event)
                except CarrybookError as error:
                    raise located(error, (self._strategy,), orders) from error.__cause__
            acted = acted or recorded is not None
        return acted

    def _obey(self, cause: Event, hook: Callable[..., Iterable[Order]], *told: object) -> None:
        orders = self._orders(hook, *told)
        for order in orders:
            try:
                self._execution.execute(order, cause.event)
            except CarrybookError as error:
                raise located(error, (self._strategy,), orders) from error.__cause__

    def _orders(self, hook: Callable[..., Iterable[Order]], *told: object) -> Iterator[Order]:
        return orders_of(self._strategy, hook, *told, at=self._present)


def checked_conditions(strategy: Strategy, venues: Collection[str]) -> Sequence[Condition]:
    """A strategy's conditions, which can be asked; one on a venue that is not there would never hold."""
    conditions = strategy.conditions()
    if not isinstance(conditions, Sequence):
        raise ScenarioError(f"the strategy's conditions are {conditions!r}; expected a tuple, an empty one for none")
    for condition in conditions:
        if isinstance(condition, type) or not callable(getattr(condition, "holds", None)):
            raise ScenarioError(f"the strategy names {condition!r} as a condition; expected an object with `holds`")
        venue = getattr(condition, "venue", None)
        if venue is not None and venue not in venues:
            raise ScenarioError(f"{condition!r}: unknown venue {venue!r}; expected one of {', '.join(venues)}")
    return conditions


def _any_row(flags: Sequence[NDArray[np.bool_]]) -> Iterable[np.intp]:
    """The rows in which any of the flags is up."""
    return reduce(np.logical_or, flags).nonzero()[0] if flags else ()
