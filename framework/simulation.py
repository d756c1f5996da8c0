"""The simulation: find the next row after which somebody acts, let the rows up to it pass, and let them act.

Nothing is done for rows in which nobody acts. Venues and conditions are watched over whole windows of rows; after an
act only those that it touched are looked at again, and row by row at first where acts follow each other closely.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import simpy
from attrs import define, evolve, frozen
from numpy.typing import NDArray

from framework.books import Books, Entry, Plan, RowStretch, Standing, Stretch
from framework.clock import NS_PER_SECOND, Clock, Phase
from framework.errors import CarrybookError, LedgerError, OrderRefused, Rejection, ScenarioError
from framework.events import (
    Acted,
    Deleveraged,
    Ended,
    Event,
    IncidentBegan,
    IncidentEnded,
    Liquidated,
    OrderFilled,
    Rejected,
    Side,
    Started,
    TransferArrived,
    TransferFailed,
    TransferSent,
    Unstaked,
    VenueFailed,
    VenueHalted,
    VenueResumed,
)
from framework.ledger import write_out
from framework.market import Floats, Market
from framework.money import USDC, Account
from framework.orders import (
    Close,
    Deposit,
    Move,
    MoveTokens,
    Order,
    PayPenalty,
    Withdraw,
    method_of,
    positive,
    said,
)
from framework.rulebook.incidents import AT_ONCE, Incidents, Occurrence
from framework.rulebook.row_path import Point, RowPath
from framework.run import Run
from framework.strategy import Condition, Price, Strategy, check_hooks, checked_conditions, checked_rows, event_of
from framework.support.garbage import collected_afterwards
from framework.support.logs import debugging, log
from framework.support.lost_orders import check_orders
from framework.support.mistakes import checked_answer, is_ours, located, mistakes_told
from framework.support.suggestions import suggestion
from framework.support.text import shown
from framework.venue import BRIDGE_FEE, CAPITAL, CASH, IN_TRANSIT, Act, Dated, Leg, Venue

LEAST_WINDOW = 512
"""Rows that are watched at once, at least: the window doubles while nobody acts, and is then twice as long as it took.

So many rows cost little more than one does.
"""
SHORT_GAP = 2
"""Where acts are no further apart than so many rows, as many are looked at one by one after an act."""
FINISH = "finish"
"""What an act is called that a venue does once the run is over."""
DELIVER = "deliver"
"""What a venue does when that which an order left outstanding is due."""
MOST_ACTS = 1_000
"""An act that comes more often in one row will not end."""

Made = TypeVar("Made")
"""What comes of executing an order."""


class Simulation:
    """One strategy on given venues and one market, from a sum of capital to a `Run`.

    `entry` says when the strategy starts; unless it is the first close, positions earn the whole first row. `path` is
    the order in which a row's prices are taken to come, for acts that are due at its extremes.
    `rows_at_once` fixes how many rows are watched together: it changes the speed and nothing else.
    """

    def __init__(
        self,
        *,
        market: Market,
        venues: Sequence[Venue],
        strategy: Strategy,
        capital_usd: float,
        entry: str = "first_close",
        path: RowPath = "close",
        incidents: Incidents | None = None,
        rows_at_once: int | None = None,
    ) -> None:
        self._market = market
        self._path: RowPath = path
        self._venues = {venue.name: venue for venue in venues}
        self._strategy = strategy
        self._capital = USDC.nearest(capital_usd)
        self._entry = entry
        self._rows_at_once = rows_at_once
        self._books = self._books_of(market, venues, incidents)
        self._clock = self._clock_of(int(market.open_ns[0]))
        self._execution = Execution(self._books, self._clock, self._told)
        self._view = self._view_of(self._books, self._execution)
        check_hooks(type(strategy))
        check_orders(strategy)
        self._conditions = checked_conditions(strategy, self._venues)
        self._watchers = Watchers(self._books, self._conditions)
        self._debugging = debugging()

    def _clock_of(self, start_ns: int) -> Clock:
        return Clock(start_ns)

    def _books_of(self, market: Market, venues: Sequence[Venue], incidents: Incidents | None) -> Books:
        return Books(market, venues, incidents)

    def _view_of(self, books: Books, execution: "Execution") -> "Present":
        return Present(books, execution)

    @collected_afterwards()
    def run(self) -> Run:
        """Play the market to its end; raises `CarrybookError`, also for a mistake in a user's own class."""
        parts = (self._strategy, *self._conditions, *self._venues.values())
        with mistakes_told(parts, self._market, lambda: self._books.row):
            self._clock.run(self._play())
            for standing in self._books.standings.values():
                standing.refresh()
            written = write_out(self._books)
            self._books.journal = []  # the run alone has it, and both are gone as soon as nobody needs the run
            return Run(
                market=self._market,
                capital=self._capital,
                opened_at="open" if self._entry == "first_open" else "close",
                written=written,
                standings=tuple(self._books.standings.values()),
            )

    def _play(self) -> Generator[simpy.Event, None, None]:
        market, clock, books, watchers = self._market, self._clock, self._books, self._watchers
        row = 1 if self._entry == "first_close" else 0
        yield clock.until(int(market.at_ns[0] if row else market.open_ns[0]), Phase.DECISION)
        books.rows, books.at, books.at_ns = row, "open" if self._entry == "first_open" else "close", clock.now_ns
        self._execution.expect(self._books.incidents)
        self._start()
        if not row:
            self._view.opened = {name: books.leg(name).size for name in self._venues}
        window, since, count = self._rows_at_once or LEAST_WINDOW, row, len(market)
        at_once = self._rows_at_once is not None
        short = False
        while row < count:
            due_ns = clock.next_ns()
            stop = count if due_ns is None else int(market.at_ns.searchsorted(due_ns, side="right"))
            if due_ns is not None and stop <= row:
                yield from self._let_arrive(due_ns)
                continue
            hits, row = watchers.next(row, stop, window, 0 if at_once or not short else SHORT_GAP)
            acted = False
            for hit in hits:
                books.settle(hit + 1)
                acted = yield from self._let_act(hit)
                if acted:
                    gap, since = hit + 1 - since, hit + 1
                    row, window = since, self._rows_at_once or max(LEAST_WINDOW, 2 * gap)
                    short = gap <= SHORT_GAP
                    break
            if not acted:
                books.settle(row)
                window = self._rows_at_once or 2 * window
                short = False
        yield from self._let_arrive(int(market.at_ns[-1]))
        books.settle(count)
        self._end()

    def _let_arrive(self, until_ns: int) -> Generator[simpy.Event, None, None]:
        """Let what is on its way arrive."""
        yield self._clock.until(until_ns, Phase.ARRIVAL)

    def _let_act(self, row: int) -> Generator[simpy.Event, None, bool]:
        """Let venues, and then the strategy, act after a row; returns whether anybody did."""
        clock, at_ns = self._clock, self._books.at_ns
        acts, holding, entries = self._watchers.acting(row), self._watchers.holding(row), list[tuple[Entry, int]]()
        if acts:
            yield clock.until(at_ns, Phase.LIQUIDATION)
            entries = self._acted(acts)
        yield clock.until(at_ns, Phase.DECISION)
        return self._decide(acts, entries, holding)

    def _decide(
        self,
        acts: Sequence[tuple[Standing, Act]],
        entries: Sequence[tuple[Entry, int]],
        holding: Sequence[Condition],
    ) -> bool:
        """Let the strategy answer what venues have done, and the conditions that held before it if none liquidated."""
        for entry, number in entries:
            if not self._execution.acted_since(entry.event.venue, number):
                self._told(entry)
        acted = bool(entries)
        if acted and any(act.liquidation for _, act in acts):
            return True
        for condition in holding:
            acted = self._ask(condition) or acted
        return acted

    def _acted(self, acts: Sequence[tuple[Standing, Act]]) -> list[tuple[Entry, int]]:
        """Let venues act that are due after a row, each where it is: within the row first, and then at its close.

        With each entry comes its number in the journal.
        """
        books, path, entries = self._books, self._path, list[tuple[Entry, int]]()
        within = [each for each in acts if each[1].prices == "adverse"] if path != "close" else []
        for standing, act, point in _in_the_order_of(path, within, books):
            with books.within(point, standing):
                entries.append((self._execution.act(standing, act), books.latest))
        after = [each for each in acts if each not in within]
        for place, (standing, act) in enumerate(after):
            seen = any(other is standing for other, _ in (*within, *after[:place]))
            if not seen or standing.acts_now(act):
                entries.append((self._execution.act(standing, act), books.latest))
        return entries

    def _start(self) -> None:
        books = self._books
        books.begin(None, None)
        books.transfer(CASH, CAPITAL, self._capital, "capital")
        started = self._enter(Started(at_ns=books.at_ns, amount=self._capital), None)
        self._obey(started, self._strategy.on_start, self._view)

    def _end(self) -> None:
        books = self._books
        ended = self._enter(Ended(at_ns=books.at_ns), None)
        self._obey(ended, self._strategy.on_event, ended.event, self._view)
        for standing in books.standings.values():
            self._execution.finish(standing, ended)

    def _enter(self, event: Event, cause: Entry | None) -> Entry:
        """Enter what is no doing of an order or a venue."""
        entry = self._books.commit(event, cause)
        if self._debugging:
            _debug(entry)
        return entry

    def _told(self, entry: Entry) -> None:
        self._obey(entry, self._strategy.on_event, entry.event, self._view)

    def _ask(self, condition: Condition) -> bool:
        """Tell the strategy of a condition that holds; returns whether it acted. Unheeded ones leave no event."""
        met = event_of(condition, self._view)
        return self._obey(None, self._strategy.on_event, met, self._view, met=met)

    def _obey(
        self, cause: Entry | None, hook: Callable[..., Iterable[Order]], *told: object, met: Event | None = None
    ) -> bool:
        """Execute the orders that a hook of the strategy answers with, each as it is made; returns whether it made any.

        `met` is an event that is entered before the first of them, as their cause.
        """
        orders: Any = hook(*told)
        name = getattr(hook, "__qualname__", "a hook of the strategy")
        if not isinstance(orders, Iterable) or isinstance(orders, str | Mapping):
            words = f"{name} returned {shown(orders)}; expected it to yield orders, or an empty tuple for none"
            raise located(ScenarioError(words), (self._strategy,), hook)
        acted, waiting, place = False, iter(orders), orders if isinstance(orders, Generator) else hook
        while True:
            try:
                order = next(waiting)
            except StopIteration as stop:
                if stop.value is not None and stop.value not in ((), []):
                    words = f"{name} returns orders after a yield, where they would be lost; expected `yield from ...`"
                    raise located(ScenarioError(words), (self._strategy,), hook) from None
                return acted
            if cause is None and met is not None:
                cause = self._enter(met, None)
            acted = True
            try:
                self._view.outcome = self._execution.execute(order, cause)
            except CarrybookError as error:
                raise located(error, (self._strategy,), place) from error.__cause__


def _in_the_order_of(
    path: RowPath, acts: Sequence[tuple[Standing, Act]], books: Books
) -> Iterator[tuple[Standing, Act, Point]]:
    """Acts within the present row with their moments, in the order of the path; each is to be done before the next.

    An act that has changed a position and is due again further along its way comes again. Raises `LedgerError` for one
    that is never done with.
    """
    since: dict[int, Point | None] = dict.fromkeys(range(len(acts)))
    found: dict[int, tuple[int, Point | None]] = {}
    done = Counter[int]()
    while since:
        for place, begin in since.items():
            standing, act = acts[place]
            if found.get(place, (-1,))[0] != standing.version:
                found[place] = standing.version, standing.due_within(act, path, begin)
        due = [(point, place) for place in since if (point := found[place][1]) is not None]
        if not due:
            return
        point, place = min(due)
        standing, act = acts[place]
        held = [books.balances[each] for each in standing.positions]
        yield standing, act, point
        done[place] += 1
        if done[place] >= MOST_ACTS:
            row = f"row {books.row + 1} ({books.market.when(books.row)})"
            words = f"{act.then} of {standing.name} is due again after {MOST_ACTS} times in {row}"
            raise LedgerError(f"{words}; expected an act after which {act.when} does not hold or nothing is held")
        if held == [books.balances[each] for each in standing.positions]:
            del since[place]
        else:
            since[place], found[place] = point, (-1, None)
        if path != "adverse_first":
            since = {each: max(begin, point) if begin else point for each, begin in since.items()}


class Watchers:
    """What may happen after a row: acts of venues and conditions of the strategy, each watched over many rows."""

    def __init__(self, books: Books, conditions: Sequence[Condition]) -> None:
        self._books = books
        self._acts = [
            Watcher(books, [standing], act=act)
            for standing in books.standings.values()
            for act in standing.acts
            if standing.due(act)
        ]
        self._conditions = [Watcher(books, self._behind(each), condition=each) for each in conditions]
        self._all = [*self._acts, *self._conditions]

    def _behind(self, condition: Condition) -> list[Standing] | None:
        """The venues on which the answer of a condition depends; None for all."""
        if not getattr(condition, "of_venue", False):
            return None
        venue = getattr(condition, "venue", None)
        return [self._books.standings[venue]] if venue is not None else []

    def next(self, row: int, stop: int, window: int, one_by_one: int) -> tuple[Iterable[int], int]:
        """The next rows after which something happens, if nobody acts before, and the row up to which that is known.

        It begins at `row` and ends before `stop`. Up to `one_by_one` rows are looked at singly where all that has
        changed can be.
        """
        stale = [each for each in self._all if each.until <= row or each.changed()]
        if one_by_one and stale and all(each.by_row for each in stale):
            fresh = [each for each in self._all if each not in stale]
            due = min([each.first(row) for each in fresh], default=stop)
            last = min([stop, row + one_by_one, *(each.until for each in fresh)])
            while row < last:
                self._books.settle(row + 1)
                hits = [each.look(row) for each in stale]
                if row == due or True in hits:
                    return [row], row + 1
                row += 1
            if row >= stop:
                return [], row
            stale = [each for each in self._all if each.until <= row or each.changed()]
        if stale:
            stretch = Stretch(self._books, row, min(stop, row + window))
            for each in stale:
                each.watch(stretch)
        limit = min([stop, *[each.until for each in self._all]])
        return self._hits(row, limit), limit

    def _hits(self, row: int, limit: int) -> Iterator[int]:
        """The rows from `row` to `limit - 1` in which something is due; mostly somebody acts after the first."""
        first = min([each.first(row) for each in self._all], default=limit)
        if first < limit:
            yield first
            yield from sorted({hit for each in self._all for hit in each.between(first + 1, limit)})

    def acting(self, row: int) -> list[tuple[Standing, Act]]:
        """The acts that are due after a row."""
        return [(each.standings[0], each.act) for each in self._acts if each.act and each.first(row) == row]

    def holding(self, row: int) -> list[Condition]:
        """The conditions that hold after a row."""
        return [each.condition for each in self._conditions if each.condition and each.first(row) == row]


class Watcher:
    """One act or one condition: the rows of a window in which it is due, until a venue behind it changes."""

    __slots__ = (
        "_first",
        "_flags",
        "_hits",
        "_present",
        "_start",
        "_trusted",
        "_versions",
        "act",
        "by_row",
        "condition",
        "standings",
        "until",
    )

    def __init__(
        self,
        books: Books,
        behind: list[Standing] | None,
        *,
        act: Act | None = None,
        condition: Condition | None = None,
    ) -> None:
        self._present: Any = RowStretch(books)
        self.standings = list(books.standings.values()) if behind is None else behind
        self.act, self.condition = act, condition
        self.by_row = act is not None or getattr(condition, "by_row", False)
        self._trusted = self.by_row and is_ours(condition)
        self.until = self._first = -1
        self._flags: NDArray[np.bool_] | None = None
        self._hits: list[int] = []
        self._start = 0
        self._versions: list[int] = []

    def changed(self) -> bool:
        """Whether what is behind it has changed since it was last looked at."""
        return [each.version for each in self.standings] != self._versions

    def watch(self, stretch: Stretch) -> None:
        """Find the rows of a stretch in which it is due; where nothing is held no act is, until something is."""
        if self.act is not None:
            projection = stretch.projections.get(self.standings[0].name)
            if projection is None:
                self._remember(len(stretch.market))
                return
            flags = projection.acting(self.act)
        elif self._trusted:
            flags = self.condition.holds(stretch)  # type: ignore[union-attr]
        else:
            flags = checked_answer(self.condition, stretch)
        self._remember(stretch.stop)
        first = int(flags.argmax())
        if flags[first]:
            self._first, self._flags, self._start = stretch.start + first, flags, stretch.start

    def look(self, row: int) -> bool:
        """Whether it is due after the present row."""
        if self.act is not None:
            hit = self.standings[0].acts_now(self.act)
        else:
            hit = bool(self.condition.holds(self._present))  # type: ignore[union-attr]
        self._remember(row + 1)
        if hit:
            self._first, self._hits = row, [row]
        return hit

    def first(self, row: int) -> int:
        """The first row from `row` on in which it is due; the end of what it has watched where there is none."""
        if self._first < row:
            hits = self._rows()
            place = bisect_left(hits, row)
            self._first = hits[place] if place < len(hits) else self.until
        return self._first

    def between(self, row: int, limit: int) -> list[int]:
        """The rows from `row` to `limit - 1` in which it is due."""
        hits = self._rows()
        place = bisect_left(hits, row)
        return hits[place : bisect_left(hits, limit, place)]

    def _rows(self) -> list[int]:
        """All rows in which it is due, of those that it has watched; often only the first of them is asked for."""
        if self._flags is not None:
            self._hits, self._flags = (self._flags.nonzero()[0] + self._start).tolist(), None
        return self._hits

    def _remember(self, until: int) -> None:
        """Note that it is due in no row up to `until`, which it is as its venues stand now."""
        self.until = self._first = until
        self._flags, self._hits = None, []
        self._versions = [each.version for each in self.standings]


class Execution:
    """Turns orders and acts into entries of the books; `on_arrival` gets the entry of what was in transit."""

    def __init__(self, books: Books, clock: Clock, on_arrival: Callable[[Entry], None]) -> None:
        self._books = books
        self._clock = clock
        self._on_arrival = on_arrival
        self._last_order: dict[str, int] = {}
        self._passages: dict[tuple[str, str], tuple[tuple[int, int] | None, Passage]] = {}
        """By source and target the last way, with the sum and the time that it is for, if it is not for all."""
        self._own: dict[type, Callable[[Any, Entry | None], Event | None]] = {
            Move: self._move,
            Deposit: self._deposit,
            Withdraw: self._withdraw,
            MoveTokens: self._move_tokens,
            PayPenalty: self._pay_penalty,
        }
        self._debugging = debugging()

    def standing(self, name: object) -> Standing:
        """How a venue stands; raises `ScenarioError` for one that the scenario does not have."""
        try:
            return self._books.standings[name]  # type: ignore[index]
        except (KeyError, TypeError):
            some = suggestion(str(name), self._books.standings)
            raise ScenarioError(f"unknown venue {name!r}; {some}") from None

    def forget(self) -> None:
        """Be as if nothing had been executed yet."""
        self._last_order.clear()
        self._passages.clear()

    def acted_since(self, venue: str, number: int) -> bool:
        """Whether an order was executed at a venue after the entry of this number in the journal."""
        return self._last_order.get(venue, -1) > number

    def execute(self, order: Order, cause: Entry | None) -> Event | None:
        """One order, whole; returns what became of it. Raises `OrderRefused`, and then nothing of it has happened."""
        books = self._books
        own = self._own.get(type(order))
        try:
            return own(order, cause) if own else self._fill(order, cause)
        except Rejection as why:
            books.rollback()
            venue = str(getattr(order, "venue", None) or getattr(order, "source", ""))
            rules = tuple(dict.fromkeys((*why.rules, *books.rules_read)))
            event = Rejected(venue=venue, order=str(order), reason=str(why), price=books.price_of(""), rules=rules)
            return self._commit(event, cause).event
        except LedgerError as error:
            books.rollback()
            raise self._refused(order, error) from None
        except BaseException:
            books.rollback()
            raise

    def quote(self, order: Order) -> OrderFilled:
        """What an order would do now, without doing it; raises `OrderRefused`, also where its venue would reject it.

        Whether there is enough of what it takes is not asked, so that fees are known before the money is there. Only
        what venues fill is quoted: orders that move money from place to place are refused.
        """
        if type(order) in self._own:
            raise OrderRefused(f"{order} has no quote; expected an order that a venue fills, such as Open or Resize")
        try:
            _, event = self._tried(order, self._filled)
        except Rejection as why:
            raise OrderRefused(f"{order.venue} would reject {order}: {why}") from None
        return event

    def rejection(self, order: Order) -> str:
        """Why an order would be rejected now, without doing it, or an empty text.

        Raises `OrderRefused` for one that cannot be meant, and for passages of money, which end elsewhere and later.
        """
        if type(order) in self._own and type(order) is not MoveTokens:
            raise OrderRefused(f"{order} cannot be asked about; expected an order that a venue fills, or MoveTokens")
        if type(order) is Close and self._surely_closes(order):
            return ""
        try:
            self._tried(order, self._accepted)
        except Rejection as why:
            return str(why)
        return ""

    def _surely_closes(self, order: Close) -> bool:
        """Whether a closing is known to be filled, so that it need not be tried."""
        standing = self.standing(order.venue)
        return standing.always_closes and order.coin is None and self._closed(standing) is None

    def _tried(self, order: Order, execute: Callable[[Any], Made]) -> Made:
        """What executing an order makes, which is taken back."""
        books, executed = self._books, self._books.order
        try:
            return execute(order)
        except LedgerError as error:
            raise self._refused(order, error) from None
        finally:
            books.rollback()
            books.order = executed

    def _accepted(self, order: Order) -> None:
        """Let an order be filled; raises `Rejection` where the venue does not, or money is missing."""
        if isinstance(order, MoveTokens):
            self._tokens_moved(order)
        else:
            standing, _, _ = self._write(order)
            standing.venue.accept(order, self._books)
        self._books.check_floors()

    def _refused(self, order: Order, error: LedgerError) -> OrderRefused:
        """The error message for an order that the ledger cannot take."""
        row, market = self._books.row, self._books.market
        return OrderRefused(f"the ledger refuses {order} in row {row + 1} ({market.when(row)}): {error}")

    def expect(self, incidents: Incidents) -> None:
        """Let incidents happen in their time; those that have begun, now."""
        now_ns = self._clock.now_ns
        for each in incidents.occurrences:
            if each.end_ns is None or each.end_ns > now_ns or each.start_ns >= now_ns:
                start_ns = max(each.start_ns, now_ns)
                self._clock.call(start_ns, Phase.ARRIVAL, partial(self._happen, each, self.strike))
                if each.incident.kind not in AT_ONCE and each.end_ns is not None:
                    self._clock.call(each.end_ns, Phase.ARRIVAL, partial(self._happen, each, self.relent))

    def _happen(self, occurrence: Occurrence, what: Callable[[Occurrence], Entry | None]) -> None:
        self._now()
        entry = what(occurrence)
        if entry is not None:
            self._on_arrival(entry)

    def strike(self, occurrence: Occurrence) -> Entry | None:
        """Let an incident begin; None where it changes nothing here, such as a deleveraging without a profit."""
        books, incident = self._books, occurrence.incident
        name, until_ns = incident.venue or "", occurrence.end_ns
        price = books.price_of(books.coin_of(name) if name else "")
        if incident.kind in AT_ONCE:
            return self._struck(occurrence, self.standing(name))
        books.begin(None, None)
        if incident.kind == "halt":
            return self._commit(VenueHalted(venue=name, price=price, until_ns=until_ns), None)
        began = IncidentBegan(venue=name, incident=incident.kind, price=price, until_ns=until_ns)
        return self._commit(began, None)

    def relent(self, occurrence: Occurrence) -> Entry | None:
        """Let an incident end; None for a halt of a venue that is closed all the same."""
        books, incident = self._books, occurrence.incident
        name = incident.venue or ""
        price = books.price_of(books.coin_of(name) if name else "")
        books.begin(None, None)
        if incident.kind != "halt":
            return self._commit(IncidentEnded(venue=name, incident=incident.kind, price=price), None)
        if books.incidents.closed(name, books.at_ns) is not None:
            return None
        return self._commit(VenueResumed(venue=name, price=price), None)

    def _struck(self, occurrence: Occurrence, standing: Standing) -> Entry | None:
        """A failure or a deleveraging, with what it moves."""
        books, venue, incident = self._books, standing.venue, occurrence.incident
        failure = incident.kind == "failure"
        if not failure and books.incidents.closed(standing.name, books.at_ns) is not None:
            return None
        coin = _largest(standing)
        figures = books.begin(venue, incident.kind)
        try:
            if not failure:
                share = float(incident.share or 0)
                venue.deleverage(share, books)
                if not books.written:
                    return None
                coin = self._most_traded(standing) or coin
                written = self._figures(standing, coin)
                return self._commit(
                    Deleveraged(
                        venue=standing.name,
                        price=figures.get("price", books.price_of(coin, "mark")),
                        share=share,
                        size=written.size,
                        amount=written.amount,
                    ),
                    None,
                )
            share = float(incident.loss_share or 0)
            venue.fail(share, books)
            failed = VenueFailed(
                venue=standing.name,
                price=books.price_of(coin),
                loss_share=share,
                lost=figures.get("lost", 0),
                amount=figures.get("amount", 0),
            )
            entry = self._commit(failed, None)
        except (LedgerError, Rejection) as why:
            raise self._broken(standing, incident.kind, why) from None
        if occurrence.paid_ns is not None and failed.amount:
            self._clock.call(occurrence.paid_ns, Phase.ARRIVAL, lambda: self._on_arrival(self._paid(entry)))
        return entry

    def _paid(self, failed: Entry) -> Entry:
        """What a failed venue had left reaches the wallet."""
        books, event = self._now(), failed.event
        assert isinstance(event, VenueFailed)
        books.begin(None, None)
        books.transfer(CASH, IN_TRANSIT, event.amount, "transfer")
        price = books.price_of("")
        arrived = TransferArrived(venue="wallet", counterparty=event.venue, amount=event.amount, fee=0, price=price)
        return self._commit(arrived, failed)

    def _closed(self, standing: Standing) -> Occurrence | None:
        """Why a venue takes no orders and no money now; None where it is open."""
        if standing.closed_rows is None:
            return None
        return self._books.incidents.closed(standing.name, self._books.at_ns)

    def _check_open(self, standing: Standing | None) -> None:
        """Reject what needs a venue that is halted or has failed."""
        if standing is not None and (why := self._closed(standing)) is not None:
            self._books.reject(f"{standing.name} {why.words}; expected a venue that is open")

    def act(self, standing: Standing, act: Act) -> Entry:
        """An act of a venue, such as a liquidation, with the event that says what it did."""
        books, venue = self._books, standing.venue
        coin = _largest(standing)
        before = standing.leg(coin or None)
        figures = books.begin(venue, act.then)
        try:
            told = venue.act(act.then, books)
            if not act.liquidation:
                coin = self._most_traded(standing) or coin
            written = self._figures(standing, coin)
            price = figures.get("price", books.price_of(coin))
            if told is not None:
                event = told
            elif act.liquidation:
                event = self._liquidated(standing, act, coin, before, written, price)
            else:
                event = Acted(
                    venue=venue.name,
                    act=act.when,
                    price=price,
                    size=written.size,
                    amount=written.amount,
                    fee=written.fee,
                    rules=self._rules_of(standing, act),
                )
            return self._commit(event, None)
        except (LedgerError, Rejection) as why:
            raise self._broken(standing, act.then, why) from None

    def finish(self, standing: Standing, ended: Entry | None) -> Entry | None:
        """What a venue books once the run is over, if anything."""
        books, venue = self._books, standing.venue
        books.begin(venue, None)
        try:
            venue.finish(books)
            if not books.written:
                return None
            price = books.price_of(venue.coins[0] if venue.coins else "")
            return self._commit(Acted(venue=standing.name, act=FINISH, price=price), ended)
        except (LedgerError, Rejection) as why:
            raise self._broken(standing, FINISH, why) from None

    def _broken(self, standing: Standing, method: str, why: LedgerError | Rejection) -> LedgerError:
        """The error message for an act of a venue that cannot be: there is no order to reject."""
        books, row = self._books, self._books.row
        books.rollback()
        words = f"{method} of {standing.name} cannot be booked in row {row + 1} ({books.market.when(row)}): {why}"
        return LedgerError(words).with_traceback(why.__traceback__)

    def _rules_of(self, standing: Standing, act: Act) -> tuple[str, ...]:
        """The dated rules that bound an act: those of its formula, and those that were read while it was done."""
        return tuple(dict.fromkeys((*standing.rules_behind(act.when), *self._books.rules_read)))

    def _liquidated(
        self, standing: Standing, act: Act, coin: str, before: Leg, written: "Figures", price: float
    ) -> Liquidated:
        """The event of a liquidation; of several coins, side, size and prices are those of `coin`."""
        books, every = self._books, standing.positions
        long = before.size >= 0
        extreme = ("low" if long else "high") if act.prices == "adverse" else "close"
        column = books.market.price_column(coin, extreme, standing.judged_at, standing.name)  # type: ignore[arg-type]
        within = books.point is not None
        reached = books.price_of(coin, standing.judged_at) if within else books.market.floats(column)[books.row]
        accounts = _positions(standing, coin)
        moved = sum(amount * ((debit in accounts) - (credit in accounts)) for debit, credit, amount, _ in books.written)
        return Liquidated(
            venue=standing.name,
            side=Side.LONG if long else Side.SHORT,
            trigger_price=reached,
            price=price,
            size=sum(books[each] for each in accounts) - moved,
            equity=USDC.nearest(before.equity_usd) - written.fee,
            penalty=written.penalty,
            bad_debt=written.bad_debt,
            closed=bool(moved) and not any(books[each] for each in every),
            fee=written.fee,
            liquidation_price=_number(before.liquidation_price),
            leverage=_number(before.leverage),
            rules=self._rules_of(standing, act),
            column=column,
        )

    def _fill(self, order: Order, cause: Entry | None) -> Event | None:
        if not isinstance(order, Order):
            what, expected = shown(order), "an order"
            if isinstance(order, Iterable) and not isinstance(order, str):
                what, expected = "several at once", "one order after the other, as `yield from` gives them"
            raise CarrybookError(f"the strategy yielded {what} in row {self._books.row + 1}; expected {expected}")
        standing, event = self._filled(order)
        if not self._books.written:
            return event
        standing.venue.accept(order, self._books)
        entry = self._commit(event, cause)
        self._last_order[standing.name] = self._books.latest
        due_ns = standing.venue.due_ns(order, entry.at_ns)
        if due_ns is not None:
            self._await(standing, order, entry, due_ns)
        return event

    def _write(self, order: Order) -> tuple[Standing, str, dict[str, Any]]:
        """Let a venue write what fills an order; returns it, the coin that is traded, and what it says of the fill."""
        if not hasattr(order, "venue"):
            raise OrderRefused(f"{order} has no field venue; expected one that names the venue which fills it")
        books, standing, name = self._books, self.standing(order.venue), method_of(type(order))
        figures = books.begin(standing.venue, order)
        if name not in standing.orders:
            known = _either(*map(_title, standing.orders)) or "no orders but those that move money"
            books.refuse(f"it is no order for this venue; expected {known}")
        if not isinstance(order, Close) or (standing.closed_rows is not None and standing.holds):
            self._check_open(standing)  # closing nothing does nothing, wherever
        coin = _coin(standing.coins, order, books)
        standing.venue.execute(name, order, books)
        if not hasattr(order, "coin"):  # such as a swap, whose coin is the one that it moves
            coin = self._most_traded(standing) or coin
        return standing, coin, figures

    def _filled(self, order: Order) -> tuple[Standing, OrderFilled]:
        """Let a venue fill an order, and say what it did; what it wrote is not committed yet."""
        standing, coin, figures = self._write(order)
        books, written = self._books, self._figures(standing, coin)
        amount = figures.get("amount", written.amount)
        return standing, OrderFilled(
            at_ns=books.at_ns,
            venue=standing.name,
            order=method_of(type(order)),
            price=figures["price"] if "price" in figures else books.price_of(coin),
            size=figures.get("size", written.size),
            amount=amount,
            fee=figures.get("fee", written.fee),
            charged=figures.get("charged", amount),
            reason=getattr(order, "reason", ""),
        )

    def _most_traded(self, standing: Standing) -> str:
        """The coin of a position of which most is being traded, in USD; an empty text where none is."""
        books, moved = self._books, Counter[Account]()
        for debit, credit, amount, _ in books.written:
            moved[debit] += amount
            moved[credit] -= amount
        traded = {
            each.asset.coin: abs(each.asset.units(moved[each])) * books.price_of(each.asset)
            for each in standing.positions
            if moved[each]
        }
        return max(traded, key=lambda coin: traded[coin], default="")

    def _figures(self, standing: Standing, coin: str) -> "Figures":
        """What the transfers that are being written say of a fill; of several coins its size is that of `coin`."""
        found = Figures()
        positions = _positions(standing, coin)
        for debit, credit, amount, kind in self._books.written:
            if debit in positions:
                found.size += amount
            elif credit in positions:
                found.size -= amount
            bucket = debit.bucket
            if bucket == "fees":
                usdc = debit.asset is USDC or debit.asset == USDC
                found.fee += amount if usdc else USDC.nearest(
                    debit.asset.units(amount) * self._books.price_of(debit.asset)
                )  # fmt: skip
            elif bucket == "liquidation_penalty":
                found.penalty += amount
            if credit.bucket == "bad_debt":
                found.bad_debt += amount
            if kind == "trade" and (debit.asset is USDC or debit.asset == USDC):
                found.amount += amount
        return found

    def _commit(self, event: Event, cause: Entry | None, first: int | None = None) -> Entry:
        entry = self._books.commit(event, cause, first)
        if self._debugging:
            _debug(entry)
        return entry

    def _await(self, standing: Standing, order: Order, entry: Entry, due_ns: int) -> None:
        """Let what an order leaves outstanding arrive in its time."""
        amount = entry.event.amount  # type: ignore[attr-defined]

        def arrive() -> None:
            books = self._now()
            closed = books.incidents.closed(standing.name, books.at_ns)
            if closed is not None:
                self._waits(closed, arrive)
                return
            books.begin(standing.venue, order)
            try:
                standing.venue.deliver(order, amount, books)
                price = books.price_of(standing.coins[0] if standing.coins else "")
                event = Unstaked(at_ns=books.at_ns, venue=standing.name, amount=amount, price=price)
                delivered = self._commit(event, entry)
            except (LedgerError, Rejection) as why:
                raise self._broken(standing, DELIVER, why) from None
            self._on_arrival(delivered)

        self._clock.call(due_ns, Phase.ARRIVAL, arrive)

    def _waits(self, closed: Occurrence | None, arrive: Callable[[], None]) -> bool:
        """Whether what arrives at a halted venue waits for it to resume, if it does; none waits for a failed one."""
        if closed is None or closed.incident.kind == "failure":
            return False
        if closed.end_ns is not None:
            self._clock.call(closed.end_ns, Phase.ARRIVAL, arrive)
        return True

    def _now(self) -> Books:
        """The books at the present of the clock."""
        self._books.at_ns = self._clock.now_ns
        self._books.stamp += 1
        return self._books

    # -- money on its way

    def _deposit(self, order: Deposit, cause: Entry | None) -> Event:
        books = self._books
        target = self.standing(order.venue)
        books.begin(target.venue, order)
        amount = positive(books, order, "amount_usd", USDC)
        return self._carry(order, cause, None, target, amount, "deposit")

    def _withdraw(self, order: Withdraw, cause: Entry | None) -> Event:
        source = self.standing(order.venue)
        amount = self._payable(order, source, None)
        return self._carry(order, cause, source, None, amount, "withdrawal")

    def _move(self, order: Move, cause: Entry | None) -> Event:
        source, target = self.standing(order.source), self.standing(order.target)
        amount = self._payable(order, source, target)
        if source is target:
            self._books.refuse(f"target is {said(order.target)}; expected another venue than the source")
        return self._carry(order, cause, source, target, amount, "transfer")

    def _payable(self, order: Withdraw | Move, source: Standing, target: Standing | None) -> int:
        """What is to leave a venue; rejects what is not free there, with the fee on leaving."""
        books = self._books
        books.begin(source.venue, order)
        amount = positive(books, order, "amount_usd", USDC)
        free_usd, fee = source.leg().free_usd, self._passage(source, target, amount).leaving
        if USDC.units(amount + fee) > free_usd:
            asked, less = said(order.amount_usd), f", less a fee of {USDC.decimal(fee)} USD" if fee else ""
            known = f"{free_usd:.6f} USD"
            most = f"the {known} that are free" if source.has("free") else f"the equity of {known}"
            words = f"amount_usd is {asked}; expected at most {most} there{less}"
            books.reject(words, source.rules_behind("free") if source.has("free") else ())
        return amount

    def _carry(
        self,
        order: Order,
        cause: Entry | None,
        source: Standing | None,
        target: Standing | None,
        amount: int,
        kind: str,
    ) -> Event:
        """Send money from a venue, or the wallet where there is none, to another; it counts for neither on the way."""
        books = self._books
        passage = self._passage(source, target, amount)
        books.begin((target or source).venue, order)  # type: ignore[union-attr]
        least = max(passage.least, passage.arriving)
        if amount < least:
            asked, needed = (f"{USDC.decimal(each).normalize():f}" for each in (amount, least))
            why = "its way takes" if least == passage.least else "arriving costs"
            words = f"amount_usd is {asked}; expected at least the {needed} USD that {why}"
            books.reject(words, [*_rules_of_way(source, "outbound"), *_rules_of_way(target, "inbound")])
        if kind != "transfer" and not passage.latency_ns and not passage.fails:
            self._into(target, CASH, amount, kind)
            self._out_of(source, CASH, amount, kind)
            for standing, fee in ((source, passage.leaving), (target, passage.arriving)):
                self._out_of(standing, BRIDGE_FEE, fee, "bridge_fee", wallet=True)
            _keep(source, books)
            fee = passage.leaving + passage.arriving
            name = (target or source).name  # type: ignore[union-attr]
            price = books.price_of("")
            event = OrderFilled(venue=name, order=kind, price=price, amount=amount, fee=fee, charged=amount)
            self._commit(event, cause)
            self._last_order[name] = books.latest
            return event
        at_once = not passage.latency_ns and not passage.fails
        if not at_once:
            self._into(target, IN_TRANSIT, amount, "transfer", wallet=True)  # refused now rather than on arriving
            books.rollback()
            books.begin(source.venue if source else None, order)
        self._out_of(source, IN_TRANSIT, amount, "transfer", wallet=True)
        self._out_of(source, BRIDGE_FEE, passage.leaving, "bridge_fee", wallet=True)
        leaving = len(books.written)
        if at_once:
            self._into(target, IN_TRANSIT, amount, "transfer", wallet=True)
            self._out_of(target, BRIDGE_FEE, passage.arriving, "bridge_fee", wallet=True)
        _keep(source, books)
        near, far = _place_of(source), _place_of(target)
        price = books.price_of("")
        sent = self._commit(
            TransferSent(venue=near, counterparty=far, amount=amount, fee=passage.leaving, price=price), cause, leaving
        )
        self._last_order[near] = books.latest
        if at_once:
            arrived = TransferArrived(venue=far, counterparty=near, amount=amount, fee=passage.arriving, price=price)
            self._commit(arrived, sent)
            self._last_order[far] = books.latest
            return sent.event

        transit = Transit(sent, order, source, target, amount, passage.arriving, passage.fails, passage.latency_ns)
        if not passage.latency_ns:
            self._now()
            return self._returned(transit, source).event
        self._clock.call_in(passage.latency_ns, Phase.ARRIVAL, partial(self.arrive, transit))
        return sent.event

    def arrive(self, transit: "Transit") -> None:
        """Let a sum arrive, or come back, and tell of it; at a halted venue it waits."""
        books, target = self._now(), transit.target
        if transit.fails:
            self._on_arrival(self._returned(transit, transit.source))
            return
        closed = books.incidents.closed(target.name, books.at_ns) if target is not None else None
        if not self._waits(closed, partial(self.arrive, transit)):
            self._on_arrival(self._arrived(transit))

    def _passage(self, source: Standing | None, target: Standing | None, amount: int) -> "Passage":
        """The way of so much money now, worked out once where neither date nor sum nor incident changes it."""
        at_ns, incidents = self._books.at_ns, self._books.incidents
        names = source.name if source else "", target.name if target else ""
        fixed = not (incidents or (source and not source.same_ways) or (target and not target.same_ways))
        asked = None if fixed else (amount, at_ns)
        known = self._passages.get(names)
        if known is None or known[0] != asked:
            passage = Passage.of(source, target, amount, at_ns, incidents)
            if incidents and any(name and incidents.cut_off(name, at_ns) for name in names):
                passage = evolve(passage, fails=True)
            known = self._passages[names] = asked, passage
        return known[1]

    def _arrived(self, transit: "Transit") -> Entry:
        books, target = self._books, transit.target
        books.begin(target.venue if target else None, transit.order)
        try:
            self._into(target, IN_TRANSIT, transit.amount, "transfer", wallet=True)
            self._out_of(target, BRIDGE_FEE, transit.fee, "bridge_fee", wallet=True)
            arrived = TransferArrived(
                venue=_place_of(target),
                counterparty=_place_of(transit.source),
                amount=transit.amount,
                fee=transit.fee,
                price=books.price_of(""),
            )
            entry = self._commit(arrived, transit.sent)
        except (Rejection, OrderRefused):
            return self._returned(transit, None)
        self._last_order[_place_of(target)] = books.latest
        return entry

    def _returned(self, transit: "Transit", source: Standing | None) -> Entry:
        """Money that could not get through, or that its target does not take: it goes back, or to the wallet.

        It goes to the wallet also where its source no longer takes it.
        """
        books = self._books
        books.rollback()
        books.begin(source.venue if source else None, transit.order)
        try:
            self._into(source, IN_TRANSIT, transit.amount, "transfer", wallet=True)
            failed = TransferFailed(
                venue=_place_of(transit.target),
                counterparty=_place_of(source),
                amount=transit.amount,
                price=books.price_of(""),
            )
            return self._commit(failed, transit.sent)
        except (Rejection, OrderRefused):
            if source is None:
                raise
            return self._returned(transit, None)

    def _into(
        self, standing: Standing | None, source: Account, amount: int, kind: str, *, wallet: bool = False
    ) -> None:
        self._check_open(standing)
        if standing is not None:
            standing.venue.receive(self._books, source, amount, kind)
        elif wallet:
            self._books.transfer(CASH, source, amount, kind)

    def _out_of(
        self, standing: Standing | None, target: Account, amount: int, kind: str, *, wallet: bool = False
    ) -> None:
        if not amount:
            return
        self._check_open(standing)
        if standing is not None:
            standing.venue.pay(self._books, target, amount, kind)
        elif wallet:
            self._books.transfer(target, CASH, amount, kind)

    def _move_tokens(self, order: MoveTokens, cause: Entry | None) -> Event:
        """Tokens go from venue to venue at once: both are on one chain."""
        event = self._tokens_moved(order)
        self._commit(event, cause)
        self._last_order[order.source] = self._books.latest
        return event

    def _tokens_moved(self, order: MoveTokens) -> Event:
        """Write the move of tokens, and say what it did; rejects one that takes what a position needs."""
        books, accounts = self._books, []
        for name in (order.source, order.target):
            standing = self.standing(name)
            books.begin(standing.venue, order)
            account = standing.venue.token_account(order.token)
            if account is None:
                books.refuse(f"token is {said(order.token)}; expected tokens that {name} takes")
            accounts.append(account)
            self._check_open(standing)
        source, target = accounts
        books.begin(self.standing(order.source).venue, order)
        size = positive(books, order, "size", source.asset)
        if source is target:
            books.refuse(f"target is {said(order.target)}; expected another venue than the source")
        standing = self.standing(order.source)
        before_usd = standing.leg().margin_usd
        books.transfer(target, source, size, "transfer")
        _keep(standing, books)
        left_usd = standing.leg().margin_usd
        if left_usd < before_usd and USDC.nearest(left_usd) < 0:
            books.reject(f"{standing.name} would be left with {left_usd:.6f} USD of margin; expected 0 or more")
        if standing.has("free") and (free_usd := books.value(standing.name, "free")) < 0:
            words = f"{standing.name} would be short of {-free_usd:.6f} USD of margin; expected to leave more"
            books.reject(words, standing.rules_behind("free"))
        return OrderFilled(venue=order.source, order="move_tokens", price=books.price_of(source.asset), size=size)

    def _pay_penalty(self, order: PayPenalty, cause: Entry | None) -> Event:
        books, standing = self._books, self.standing(order.venue)
        books.begin(standing.venue, order)
        amount = positive(books, order, "amount_usd", USDC)
        penalties = standing.venue.penalty_account()
        if penalties is None:
            books.refuse(f"venue is {said(order.venue)}; expected a venue that takes penalties")
        self._check_open(standing)
        standing.venue.pay(books, penalties, amount, "liquidation_penalty")
        event = OrderFilled(venue=order.venue, order="penalty", price=books.price_of(""), amount=amount, charged=amount)
        self._commit(event, cause)
        self._last_order[order.venue] = books.latest
        return event


@define
class Figures:
    """What the transfers of a fill say: sizes in atomic units of the position, the rest in those of USDC."""

    size: int = 0
    amount: int = 0
    fee: int = 0
    penalty: int = 0
    bad_debt: int = 0


def _number(value: float) -> float | None:
    """A number that there is; None for what is infinite or not a number."""
    return value if abs(value) < math.inf else None


def _positions(standing: Standing, coin: str) -> Sequence[Account]:
    """The accounts that hold what a venue trades: of several coins those of one, for unlike sizes have no sum."""
    if len(standing.coins) < 2:
        return standing.positions
    return [each for each in standing.positions if each.asset.coin == coin]


def _largest(standing: Standing) -> str:
    """The coin of a venue, of several the one of which most is held in USD; an empty text without any."""
    coins = standing.coins
    return (
        max(coins, key=lambda coin: standing.leg(coin).notional_usd, default="") if len(coins) > 1 else "".join(coins)
    )


@frozen
class Passage:
    """The way of one sum: what is paid on leaving and on arriving in atomic units, how long it takes, if it fails.

    `least` is the smallest sum that it takes.
    """

    leaving: int
    arriving: int
    latency_ns: int
    fails: bool
    least: int = 0

    @classmethod
    def of(
        cls, source: Standing | None, target: Standing | None, amount: int, at_ns: int, incidents: Incidents
    ) -> "Passage":
        """The way out of one venue and into another; the wallet is where there is none."""
        leaving = arriving = least = 0
        latency_s, fails = 0.0, False

        def now(rule: Any) -> Any:  # noqa: ANN401  (a rule of any type)
            return rule.at(at_ns) if isinstance(rule, Dated) else rule

        for standing, into in ((source, False), (target, True)):
            if standing is None:
                continue
            bridge, way = standing.venue.bridge, standing.ways[into]
            times = incidents.gas(standing.name, at_ns) if incidents else 1.0
            here, there = bridge.fees(way, amount, at_ns, gas_times=times)
            leaving, arriving = leaving + here, arriving + there
            latency_s += now(way.latency_s)
            least = max(least, USDC.nearest(now(way.minimum_usd)))
            fails = fails or bool(now(way.fails))
        return cls(leaving, arriving, round(latency_s * NS_PER_SECOND), fails, least)


@frozen
class Transit:
    """A sum on its way: the entry of its sending and its order, where it goes, the fee on arriving, if it fails.

    The wallet is where there is no venue.
    """

    sent: Entry
    order: Order
    source: Standing | None
    target: Standing | None
    amount: int
    fee: int
    fails: bool
    latency_ns: int


def _place_of(standing: Standing | None) -> str:
    """The name of a venue, or of the wallet where there is none."""
    return standing.name if standing else "wallet"


def _rules_of_way(standing: Standing | None, way: str) -> Iterator[str]:
    """The dated rules of what a way out of a venue, or into it, costs and takes, by the names of its fields."""
    for name, _ in Plan.of(standing.venue).dated if standing else ():
        passage, _, rule = name.rpartition(".")
        if passage in ("bridge", f"bridge.{way}") and rule.endswith(("_usd", "_bps")):
            yield name


class Present:
    """The `View` that a strategy gets: the books as they are, and the market up to the present row."""

    def __init__(self, books: Books, execution: Execution) -> None:
        self._books = books
        self._execution = execution
        self.outcome: Event | None = None
        self.opened: dict[str, float] = {}

    @property
    def at_ns(self) -> int:
        return self._books.at_ns

    @property
    def price(self) -> Price:
        return Price.at(self._books.price_of(""), self.price_of)

    def price_of(self, token: str) -> float:
        books = self._books
        known = {asset.coin for asset in books.assets} | set(books.coins)
        if token not in known:
            raise ScenarioError(f"unknown token {token!r}; expected one of {', '.join(sorted(known))}")
        return books.price_of(token)

    @property
    def cash_usd(self) -> float:
        return USDC.units(self._books.balances[CASH])

    @property
    def transit_usd(self) -> float:
        return USDC.units(self._books.balances[IN_TRANSIT])

    @property
    def equity_usd(self) -> float:
        held_usd = 0.0
        for each in self._books.standings.values():  # `sum` adds floats otherwise from Python 3.12 on
            held_usd += each.leg().equity_usd
        return self.cash_usd + self.transit_usd + held_usd

    def leg(self, venue: str, coin: str | None = None) -> Leg:
        standing = self._books.standings.get(venue)
        if standing is None:
            return self._execution.standing(venue).leg(coin)
        return standing.leg(coin)

    def quote(self, order: Order) -> OrderFilled:
        return self._execution.quote(order)

    def rejection(self, order: Order) -> str:
        return self._execution.rejection(order)

    def history(self, column: str, rows: int) -> Floats:
        return self._books.market[column][self._last(checked_rows("history", rows))]

    def years(self, rows: int) -> Floats:
        return self._books.market.years[self._last(checked_rows("years", rows))]

    def sizes(self, venue: str, rows: int) -> Floats:
        coins = dict.fromkeys(each.asset.coin for each in self._execution.standing(venue).positions)
        if len(coins) > 1:
            raise ScenarioError(f"sizes: {venue} has positions in {', '.join(coins)}; expected a venue of one coin")
        return self._sizes(venue, checked_rows("sizes", rows))

    def _sizes(self, venue: str, rows: int) -> Floats:
        books = self._books
        first = max(0, books.row - rows)
        known = books.standings[venue].sizes(first, books.row)
        if venue in self.opened and rows > books.row:
            known = np.concatenate(([self.opened[venue]], known))
        return known

    def _last(self, rows: int) -> slice:
        """The last rows that have closed."""
        known = self._books.row + (self._books.at == "close")
        return slice(max(0, known - rows), known)


def _keep(source: Standing | None, books: Books) -> None:
    """Reject a transfer that takes from a venue what its position needs."""
    if source is not None and source.in_danger():
        left = f"{source.leg().margin_usd:.6f} USD of margin"
        rules = [rule for act in source.acts if act.liquidation for rule in source.rules_behind(act.when)]
        words = f"{source.name} would be left with {left}, at which it liquidates; expected to leave more"
        books.reject(words, rules)


def _coin(coins: Sequence[str], order: Order, books: Books) -> str:
    """The coin of these that an order is about; refuses one that names none where there is a choice."""
    named = getattr(order, "coin", None)
    if named is None:
        if len(coins) > 1 and hasattr(order, "coin"):
            books.refuse(f"coin is None; expected one of {', '.join(coins)}")
        return coins[0] if coins else ""
    if named not in coins:
        books.refuse(f"coin is {said(named)}; expected {' or '.join(coins) or 'none'}")
    return str(named)


def _either(*names: str) -> str:
    """Names as alternatives: `Swap, Stake or Unstake`."""
    return " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _title(method: str) -> str:
    return "".join(word.capitalize() for word in method.split("_"))


def _debug(entry: Entry) -> None:
    event = entry.event
    values = {each.name: getattr(event, each.name) for each in type(event).__attrs_attrs__}
    for name in ("event", "cause"):
        values.pop(name, None)
    log.debug(event.kind, transfers=len(entry.transfers), **{**values, "at_ns": entry.at_ns})
