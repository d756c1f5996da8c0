"""One step of a run, done by the kernel from given balances, on plain numbers or on recorded ones.

`Steps` is a `Simulation` that begins at any row. It needs no earlier step, for only balances, the state of streams,
turnovers and what is in transit are carried from step to step. A step that asks for anything else of earlier ones, such
as the outcome of an order, raises `NotPlayable`.
"""

import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from sysconfig import get_path
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
from attrs import evolve, fields_dict, frozen

from framework.accrual import Stream, index_of
from framework.books import Books, ComputedStream, Entry, RowStretch, Standing
from framework.errors import CarrybookError
from framework.events import Event, OrderFilled
from framework.market import At, Floats, Ints, Market, PriceAt, Role, midnight_before
from framework.money import USDC, Account, Asset
from framework.orders import Order
from framework.rulebook.incidents import Incidents
from framework.rulebook.row_path import RowPath
from framework.simulation import Execution, Present, Simulation
from framework.strategy import Condition, Strategy, checked_rows
from framework.strategy import Price as PlainPrice
from framework.tape.numbers import (
    LONGEST,
    Column,
    NotRecordable,
    Number,
    Price,
    Recorded,
    RecordedText,
    Recording,
    Row,
    Time,
    Unreadable,
    Watch,
    refused,
)
from framework.tape.outline import Accrued, Epoch, OrderBefore, Outline, with_recorded_texts
from framework.tape.purity import kept_by
from framework.tape.transit import SENDER, Arrival, StepClock, TransitNumbers
from framework.tape.tree import Leaf, Way, is_small
from framework.venue import CASH, IN_TRANSIT, Act, Segment, Venue

LIBRARIES = {Path(__file__).parent.parent, *(Path(get_path(name)) for name in ("stdlib", "purelib"))}
"""Where code lies that is neither a strategy's nor a venue's."""
OF_STREAM = ("factor", "start", "settled", "base")
"""The attributes of each stream that are carried from step to step."""


class NotPlayable(Exception):  # noqa: N818  (it is no error of anybody's)
    """A step that cannot be done on its own, so that its run is simulated; or an assembly whose runs all are."""


UNREADABLE = frozenset(
    ("open_ns", "at_ns", "columns", "years", "sources", "coverage", "dropped_rows", "label", "cached", "_cache")
)
"""Attributes that may differ between the markets of one tape, so a recorded step may not read them."""


class RecordedMarket(Market):
    """A market of which a recorded step can read columns at the present row, as recorded numbers.

    Anything else would be true of the market on which it was recorded alone, so reading it is refused.
    """

    watch: Watch

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401  (any of its attributes)
        if name in UNREADABLE:
            object.__getattribute__(self, "watch").refuse(f"the market is asked for its {name}")
        return super().__getattribute__(name)

    def __len__(self) -> int:
        self.watch.refuse("the market is asked for its length")
        return super().__len__()

    def price_column(self, coin: Asset | str, at: PriceAt = "close", role: Role = "price", venue: str = "") -> str:
        """The column of a coin's price, by the names of the columns alone."""
        with self.unwatched():
            return super().price_column(coin, at, role, venue)

    def floats(self, column: str) -> Any:  # noqa: ANN401  (as good as a list)
        """A column as floats of Python."""
        with self.unwatched():
            return self.cached(
                ("column", column), lambda: Column(("market", column), self[column].tolist(), self.watch)
            )

    @property
    def lengths(self) -> Column:
        """The length of each row, in years."""
        with self.unwatched():
            return self.cached("lengths", lambda: Column(("years",), self.years.tolist(), self.watch))

    @property
    def numbers(self) -> Column:
        """The number of each row, from 0."""
        with self.unwatched():
            return self.cached("numbers", lambda: Column(("number",), list(range(len(self))), self.watch))

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """A `with` block in which the kernel may read what is refused to others."""
        recording, self.watch.recording = self.watch.recording, None
        try:
            yield
        finally:
            self.watch.recording = recording

    @classmethod
    def of_market(cls, market: Market) -> "RecordedMarket":
        """The same market."""
        names = ("open_ns", "at_ns", "columns", "sources", "coverage", "dropped_rows", "label", "coin")
        found = object.__new__(cls)
        object.__setattr__(found, "watch", Watch())
        found.__init__(**{name: getattr(market, name) for name in names})  # type: ignore[misc]
        return found


class RecordedStanding(Standing):
    """A venue's standing whose inputs are columns that give recorded numbers."""

    def lists(self, at: str, signs: tuple[bool, ...] = ()) -> list[list[float]]:
        """The columns of the formulas' inputs as floats of Python."""
        found: Any = self._lists_at.get((at, signs))
        if found is None:
            market = self.market
            assert isinstance(market, RecordedMarket)
            with market.unwatched():
                columns = [each.tolist() for each in self.columns(at, signs)]
            found = [
                Column(("venue", self.name, at, signs, place), each, market.watch) for place, each in enumerate(columns)
            ]
            self._lists_at[at, signs] = found
        return found  # type: ignore[no-any-return]


class EarlierEntry(Unreadable):
    """Stands for any entry of an earlier step: it was at another instant, and asking for more is refused."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    @property
    def at_ns(self) -> "EarlierEntry":
        """Its instant."""
        return self

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    def __getattr__(self, name: str) -> NoReturn:
        self.recording.refuse("a venue looks at earlier orders")

    __hash__ = refused("a number is used as a key")
    __lt__ = __le__ = __gt__ = __ge__ = refused("a venue looks at earlier orders")


class RecordedSegment(Segment):
    """One row for a rule that works out its own accrual, in recorded numbers."""

    @property
    def years(self) -> Any:  # noqa: ANN401  (a recorded number)
        """Its length in years."""
        assert isinstance(self.market, RecordedMarket)
        return self.market.lengths[self.start]


class Entries(list[Entry]):
    """The journal of one step. A venue may not read it, for entries of earlier steps are not in it."""

    def __init__(self, books: "RecordedBooks") -> None:
        super().__init__()
        self._books = books

    def _refused(self, *_: object) -> NoReturn:
        self._books.refuse("a venue looks at the journal")

    __len__ = __iter__ = __reversed__ = __getitem__ = __contains__ = _refused


class RecordedBooks(Books):
    """The books of one step; `past` gives the entries of earlier steps, the latest first."""

    past: "Callable[[], Iterator[Any]]" = staticmethod(lambda: iter(()))
    before: "Sequence[tuple[Account, Floats]] | None" = None
    """Each account whose turnover is asked for, with what went through it before each row; None in the first step."""
    way: Way | None = None
    arriving: bool = False
    """Whether the step is an arrival, which may be on a later day than the row before it."""
    not_carried: str = ""
    """What the step asked for that is not carried over; empty if nothing."""

    def refuse(self, what: str) -> NoReturn:
        """Refuse what is not carried over; raises `NotPlayable`, and is remembered if that is caught."""
        self.not_carried = self.not_carried or what
        raise NotPlayable(what)

    def price_of(self, coin: str | Asset, role: Role = "price") -> float:
        """The row's price of a coin or token in USD."""
        return 1.0 if coin == USDC else super().price_of(coin, role)

    def _standing_of(self, venue: Venue) -> Standing:
        return RecordedStanding(venue, self.market, self)

    def turnover(self, account: Account, days: int) -> Any:  # noqa: ANN401  (a number, recorded or not)
        """What went through an account on so many days before today, in atomic units."""
        if self.before is None:
            return 0
        found = [(place, before) for place, (each, before) in enumerate(self.before) if each is account]
        if not found:
            self.refuse(f"a venue looks at the turnover of {account.name}, which its `turnovers` do not name")
        ((place, before),), row, market = found, self.row, self.market
        assert isinstance(market, RecordedMarket)
        if self.way is None:
            return super().turnover(account, days)
        ends = 0, self.way.fixed(days)
        with market.unwatched():
            places = [Column(("day", each), [*place_of_day(market, each).tolist(), 0], further=1) for each in ends]
        column, now = Column(("turnover", place), before.tolist()), row + 1 if self.arriving else row
        first, last = (column.at(each[now]) for each in places[::-1])
        return last - first

    def begin_at(self, row: int, at: At, way: Way | None, *, opening: bool, at_ns: int | None) -> None:
        """Set the present to the close of a row, with the prices `at` it; at the `opening` no row has closed.

        With a `way` the instant and the row are recorded. `at_ns` is the instant of an arrival, after that close.
        """
        now_ns, rows = (int(self.market.open_ns[0]), row) if opening else (self._closes_ns[row], row + 1)
        now_ns = now_ns if at_ns is None else at_ns
        self.rollback()
        self.not_carried, self.way, self.arriving = "", way, at_ns is not None
        instants: tuple[Any, Any, Any] = now_ns, row, rows
        if way is not None:
            instants = Time(way, now_ns, opening=opening), Row(way, row), Row(way, row, rows - row)
        self.at_ns, self.row, self.rows = instants
        self.at = at
        self.stamp += 1
        self.journal = Entries(self)
        self._turnovers.clear()
        self.order = OrderBefore()

    def backwards(self) -> Iterator[Entry]:
        """The entries of the journal, the latest first."""
        yield from reversed(self.made)
        yield from self.past()

    @property
    def made(self) -> list[Entry]:
        """The entries of the step."""
        return list.copy(self.journal)

    @property
    def latest(self) -> int:
        """The number of its last entry, from 0."""
        return list.__len__(self.journal) - 1


class RecordedPresent(Present):
    """The view of a step, which refuses the outcome of an order of an earlier step."""

    way: Way | None = None
    began_with: "Mapping[str, Floats]" = MappingProxyType({})
    """By venue the position in coins with which each row began."""
    first: int | None = None
    """The first row that began with a position of the run; None while there is none."""
    _outcomes: "Sequence[Event | None]" = ()

    @property
    def outcome(self) -> Event | None:
        """The outcome of the last order of this step; raises `NotPlayable` before there is one."""
        if not self._outcomes:
            assert isinstance(self._books, RecordedBooks)
            self._books.refuse("the strategy looks at what became of an earlier order")
        return self._outcomes[0]

    @outcome.setter
    def outcome(self, event: Event | None) -> None:
        self._outcomes = (event if self.way is None else with_recorded_texts(event, self.way),)

    def forget(self) -> None:
        """Forget outcomes, as at the start of a step."""
        self._outcomes = ()

    @property
    def price(self) -> Any:  # noqa: ANN401  (a price, recorded or not)
        found = self._books.price_of("")
        if not isinstance(found, Recorded):
            return super().price
        price = PlainPrice.at(found.concrete, self.price_of)
        return Price(found.recording, found.register, price).of(self.price_of)

    def history(self, column: str, rows: int) -> Any:  # noqa: ANN401  (an array, or what there is of it)
        """The last values of a column."""
        if self.way is None:
            return super().history(column, rows)
        return self._market.floats(column).up_to(*self._closed("history", rows, self.way))

    def years(self, rows: int) -> Any:  # noqa: ANN401  (an array, or what there is of it)
        """The lengths of the last rows, in years."""
        if self.way is None:
            return super().years(rows)
        return self._market.lengths.up_to(*self._closed("years", rows, self.way))

    def sizes(self, venue: str, rows: int) -> Any:  # noqa: ANN401  (an array, or what there is of it)
        """The position with which each of the last rows began."""
        return super().sizes(venue, rows if self.way is None else self.way.fixed(rows))

    def _sizes(self, venue: str, rows: int) -> Any:  # noqa: ANN401  (an array, or what there is of it)
        if self.first is None:
            return np.zeros(0)
        sizes, row, way = self.began_with[venue], self._books.row, self.way
        if way is None:
            return sizes[max(self.first, row + 1 - rows) : row + 1].copy()
        assert isinstance(row, Row)
        count = self._there_are(rows, row, way, self.first)
        return Column(("size", venue), sizes.tolist()).up_to(row, count) if count else np.zeros(0)

    @property
    def _market(self) -> RecordedMarket:
        market = self._books.market
        assert isinstance(market, RecordedMarket)
        return market

    def _closed(self, method: str, rows: int, way: Way) -> tuple[Row, int]:
        """The last row that has closed, and how many rows up to it there are, at most `rows`."""
        row = self._books.row
        if self._books.at != "close" or not isinstance(row, Row):
            way.refuse("the strategy looks at rows before the run")
        return row, self._there_are(checked_rows(method, way.fixed(rows)), row, way, 0)

    def _there_are(self, rows: int, row: Row, way: Way, first: int) -> int:
        """How many rows there are from row `first` to the present one, at most `rows`."""
        if rows > LONGEST:
            way.refuse(f"the strategy looks at more than {LONGEST} rows")
        number, count = self._market.numbers[row], rows
        while count - 1 + first > 0 and number < count - 1 + first:
            count -= 1
        return count

    def quote(self, order: Order) -> OrderFilled:
        with self._outside_hook():
            found = super().quote(order)
        return found if self.way is None else with_recorded_texts(found, self.way)

    def rejection(self, order: Order) -> str:
        with self._outside_hook():
            why = super().rejection(order)
        return why if self.way is None else RecordedText.of(why, self.way)

    @contextmanager
    def _outside_hook(self) -> Iterator[None]:
        """A `with` block in which a venue runs, called by a hook: it may write numbers as text, also in errors."""
        way = self.way
        before = way is not None and way.in_hook
        if way is not None:
            way.in_hook = False
        try:
            yield
        except CarrybookError as error:
            if way is not None:
                error.args = with_recorded_texts(error.args, way)
            raise
        finally:
            if way is not None:
                way.in_hook = before


class Steps(Simulation):
    """The steps of runs on a market, each from what it is `Given`."""

    def __init__(
        self, *, market: Market, venues: Sequence[Venue], strategy: Strategy, entry: str, path: RowPath
    ) -> None:
        recorded = RecordedMarket.of_market(market)
        self._watch = recorded.watch
        super().__init__(
            market=recorded, venues=venues, strategy=strategy, capital_usd=0.0, entry=entry,
            path=path,
        )  # fmt: skip
        self.streams: list[Stream] = []
        self._computed: ComputedStream | None = None
        """The stream that a venue computes itself; there is one at most."""
        self._accrued: Accrued | None = None
        """What that stream accrued in the row before the step."""
        for each in self._books.streams:
            if isinstance(each, ComputedStream):
                self._computed = each
                continue
            each.values = Column(("index", len(self.streams)), each.values, self._watch, further=1)  # type: ignore[assignment]
            self.streams.append(each)
        self.accounts = tuple(self._books.balances)
        self.turnover_accounts = tuple(dict.fromkeys(each for venue in venues for each in venue.turnovers()))
        """The accounts whose turnover the venues ask for."""
        self.standings = tuple(self._books.standings.values())
        self._acts = [(each, act) for each in self.standings for act in each.acts if each.due(act)]
        self._looks = RowStretch(self._books)
        self._opening = entry != "first_close"
        self._way: Way | None = None
        self._opening_at: At = "open" if entry == "first_open" else "close"

    def _clock_of(self, start_ns: int) -> StepClock:
        return StepClock(start_ns)

    def _books_of(self, market: Market, venues: Sequence[Venue], incidents: Incidents | None) -> Books:
        return RecordedBooks(market, venues, incidents)

    def _view_of(self, books: Books, execution: Execution) -> Present:
        return RecordedPresent(books, execution)

    @property
    def at_ns(self) -> int:
        """The instant of the last step that was done on plain numbers."""
        return self._books.at_ns

    # -- doing a step

    def do(
        self,
        step: str,
        row: int,
        given: "Given",
        past: "Past",
    ) -> "Done":
        """Do a step on plain numbers; raises `NotPlayable`, also where a simulation would raise an error."""
        try:
            found = self._do(step, row, given, past, None)
        except Exception as why:
            raise NotPlayable(_words(why)) from why
        if self._books.not_carried:  # type: ignore[attr-defined]
            raise NotPlayable(self._books.not_carried)  # type: ignore[attr-defined]
        return found

    def record(self, step: str, row: int, given: "Given", past: "Past", way: Way) -> "Done":
        """Do a step on recorded numbers, which `way` notes; raises `NotRecordable` with the reason and its line."""

        def entries() -> Iterator[Any]:
            if step not in ("start", "row") and way.same_instant(answer=past.same_instant):
                way.refuse("a venue looks at orders of the same instant")
            yield EarlierEntry(way)

        try:
            found = self._do(step, row, given, evolve(past, entries=entries), way)
        except Exception as why:
            words, way.failed = way.failed + _place(why) if way.failed else _words(why), ""
            way.note(words)
            raise NotRecordable(way.failed) from None
        reason = way.failed or self._books.not_carried  # type: ignore[attr-defined]
        if reason or (found.sends and step == "start" and self._opening):
            way.refuse(reason or "something is sent before the first row has closed")
        return found

    def _do(self, step: str, row: int, given: "Given", past: "Past", way: Way | None) -> "Done":
        books, clock = self._books, self._clock
        assert isinstance(books, RecordedBooks)
        assert isinstance(clock, StepClock)
        self._strategy, self._conditions, self._capital = given.strategy, given.conditions, given.capital
        opening = self._opening and (step == "start" or given.opening)
        self._set(step, row, given, past, way, opening=opening)
        self._way = self._watch.recording = way
        self._accrued = None
        try:
            if step == "start":
                self._start()
            elif step == "end":
                self._end()
            elif given.kind is not None:
                self._execution.arrive(given.kind.transit(given.numbers, SENDER, self._execution.standing))
            else:
                if self._computed is not None:
                    self._accrue(self._computed)
                self._let_row_act()
            curve = None if opening or step == "end" else self._equity()
        finally:
            self._way = self._watch.recording = None
        if clock.not_carried:
            raise NotPlayable(clock.not_carried)
        for part in (self._strategy, *self._conditions, *self._venues.values()):
            if kept := kept_by(part):
                raise NotPlayable(kept)
        made = books.made
        return Done(
            balances=[books.balances[each] for each in self.accounts],
            streams=[tuple(getattr(each, name) for name in OF_STREAM) for each in self.streams],
            turnovers=[
                self._turnover_after(*each) for each in zip(self.turnover_accounts, given.turnovers, strict=True)
            ],
            adds=self._added(way),
            curve=curve,
            sends=[(_place_among(each.entry, made), each.kind, each.numbers) for each in clock.departures],
        )

    def _turnover_after(self, account: Account, before: Any) -> Any:  # noqa: ANN401  (a number, recorded or not)
        """The turnover of an account after the step, from the one before it."""
        books = self._books
        assert isinstance(books, RecordedBooks)
        for entry in books.made:
            for debit, credit, amount, _ in entry.transfers:
                if account in (debit, credit):
                    before = before + amount
        return before

    def _added(self, way: Way | None) -> Outline:
        """The outline of what the step has added to the books; raises `NotPlayable` where there can be none."""
        books = self._books
        assert isinstance(books, RecordedBooks)
        epochs = [Epoch(at, terms) for at, each in enumerate(self.streams) for terms in each.epochs]
        try:
            texts, unread = (None, ()) if way is None else (way.texts, way.unread)
            return Outline.of(books.made, epochs, books.order, self._accrued, texts, unread)
        except ValueError as why:
            raise NotPlayable(str(why)) from None

    def _obey(
        self, cause: Entry | None, hook: Callable[..., Iterable[Order]], *arguments: object, met: Event | None = None
    ) -> bool:
        """Execute the orders of a hook. While the hook runs, writing a number as text is refused."""
        way = self._way
        if way is None:
            return super()._obey(cause, hook, *arguments, met=met)
        return super()._obey(
            cause, partial(_in_hook, way, hook), *(with_recorded_texts(each, way) for each in arguments), met=met
        )

    def _accrue(self, computed: ComputedStream) -> None:
        """Book what a venue computes itself for the row, after everything else has accrued."""
        books, way, row, hold = self._books, self._way, self._books.row, False
        others: Any = (books.balances[CASH] + books.balances[IN_TRANSIT]) / USDC.scale
        for each in self.standings:
            if each.name != computed.owner and each.holds:
                others, hold = others + each.state(*each.arguments(row))[1], True
        kind, others_usd = (Segment, np.array([others])) if way is None else (RecordedSegment, others)
        made = computed.compute(kind(books.market, row, row + 1, books.balances.__getitem__, others_usd, hold))
        found: tuple[Any, Any, Any] = made.amounts, made.rate, made.size
        self._accrued = Accrued(*found if way is not None else (each.item() for each in found))
        books.balances[computed.debit] += self._accrued.amount
        books.balances[computed.credit] -= self._accrued.amount

    def _let_row_act(self) -> None:
        acts: list[tuple[Standing, Act]] = [(each, act) for each, act in self._acts if each.acts_now(act)]
        if acts and self._path != "close" and isinstance(self._books.row, Row):
            self._books.row.recording.refuse("a venue acts within a row")
        holding = [each for each in self._conditions if each.holds(self._looks)]  # type: ignore[arg-type]
        entries = self._acted(acts) if acts else []
        self._decide(acts, entries, holding)

    def _set(self, step: str, row: int, given: "Given", past: "Past", way: Way | None, *, opening: bool) -> None:
        """Set books, clock and view to the state right after a row was settled."""
        books, view, clock = self._books, self._view, self._clock
        assert isinstance(books, RecordedBooks)
        assert isinstance(clock, StepClock)
        assert isinstance(view, RecordedPresent)
        at: At = self._opening_at if opening else "close"
        books.begin_at(row, at, way, opening=opening, at_ns=given.at_ns)
        clock.begin(books.at_ns)
        books.past = past.entries
        books.before = None if step == "start" else list(zip(self.turnover_accounts, past.turnovers, strict=True))
        for account, amount in zip(self.accounts, given.balances, strict=True):
            books.balances[account] = amount
        for stream, values in zip(self.streams, given.streams, strict=True):
            for name, value in zip(OF_STREAM, values, strict=True):
                setattr(stream, name, value)
            stream.epochs = []
        for standing in self.standings:
            standing.rows, standing.moving, standing.trail = books.rows, False, None
            standing.version += 1
        self._execution.forget()
        view.way = way
        view.began_with = past.began_with
        view.first = None if step == "start" else int(not self._opening)
        if step != "start":
            view.forget()
        else:
            view.outcome = None

    def _equity(self) -> Number:
        """The equity in USD at the row's close."""
        books = self._books
        total = books.balances[CASH] / USDC.scale + books.balances[IN_TRANSIT] / USDC.scale
        for each in self.standings:
            total = total + each.state(*each.arguments(books.row))[1]
        return total


@frozen(eq=False)
class Given:
    """What a step begins with: strategy, conditions and capital, the balances, and the state of streams and turnovers.

    Numbers are plain or recorded. An arrival has its `kind`, its `numbers` and its instant `at_ns` besides.
    """

    strategy: Strategy
    conditions: tuple[Condition, ...]
    capital: Any
    balances: Sequence[Any]
    streams: Sequence[tuple[Any, ...]]
    turnovers: Sequence[Any]
    kind: Arrival | None = None
    numbers: TransitNumbers = (0, 0, 0)
    at_ns: int | None = None
    """The instant of an arrival; a step that follows a row is at its close."""
    opening: bool = False
    """Whether the step is an arrival before the first row has closed."""

    @property
    def carried(self) -> list[Any]:
        """The numbers that are carried over, in the order of the inputs."""
        return carried_of(self)


@frozen(eq=False)
class Past:
    """What a step may read of earlier ones: their `entries`, the latest first, and two kinds of columns."""

    entries: Callable[[], Iterator[Entry]]
    began_with: Mapping[str, Floats]
    """By venue the position in coins at the start of each row up to the present one, shape (rows + 1,)."""
    turnovers: Sequence[Floats]
    """For each account the turnover before each row at place row + 1, and 0 at place 0; shape (rows + 1,)."""
    same_instant: bool
    """Whether an earlier step has added something to the books at the instant of this one."""


@frozen(eq=False)
class Done:
    """The result of a step: numbers carried over, what it adds to the books, the equity in USD, what it sends."""

    balances: Sequence[Any]
    streams: Sequence[tuple[Any, ...]]
    turnovers: Sequence[Any]
    adds: Outline
    curve: Any
    sends: Sequence[tuple[int, Arrival, TransitNumbers]]
    """For each sum that it sends the place of its entry, the kind of its arrival, and its numbers."""

    @property
    def carried(self) -> list[Any]:
        """The numbers that are carried over, in the order of the inputs."""
        return carried_of(self)

    def differs(self, other: "Done", values: Mapping[int, Number], row: int, at_ns: int) -> bool:
        """Whether this result of recorded numbers differs from an `other` of plain ones; `values` are by register."""

        def plain(value: Any) -> str:  # noqa: ANN401  (a number, recorded or not)
            return repr(value.concrete if isinstance(value, Recorded) else value)

        if [each[:2] for each in self.sends] != [each[:2] for each in other.sends]:
            return True
        mine, others = (
            [*each.carried, each.curve, *chain.from_iterable(numbers for *_, numbers in each.sends)]
            for each in (self, other)
        )
        if list(map(plain, mine)) != list(map(plain, others)):
            return True
        numbers = [float(values[register]) for register in self.adds.registers]
        if self.adds.accrued is not None and repr(self.adds.accrued.filled(numbers)) != repr(other.adds.accrued):
            return True
        before = OrderBefore()
        added = self.adds.fill(numbers, row, at_ns, before, SENDER)
        expected = other.adds.fill((), row, at_ns, before, SENDER)
        return added != expected and repr(added) != repr(expected)

    def leaf(self, way: Way, given: Given) -> Leaf:
        """The leaf of this result, whose numbers are recorded."""
        changes: dict[int, int] = {}
        for old, new in zip(given.carried, self.carried, strict=True):
            if new is not old:
                changes[old.register] = _register(new, way)
        return Leaf(
            changes=changes,
            outputs=self.adds.registers,
            curve=-1 if self.curve is None else _register(self.curve, way),
            idle=self.adds.is_empty,
            adds=self.adds,
            sends=[way.sending(*each) for each in self.sends],
        )


def carried_of(step: Given | Done) -> list[Any]:
    """The numbers that are carried from step to step, in the order of the inputs."""
    return [*step.balances, *chain.from_iterable(step.streams), *step.turnovers]


def _place_among(entry: Entry, made: Sequence[Entry]) -> int:
    return next(place for place, each in enumerate(made) if each is entry)


def _words(why: Exception) -> str:
    """Why a step could not be done, with the line of a strategy or venue that led to it."""
    words = str(why) if isinstance(why, NotPlayable) else f"{type(why).__name__}: {why}"
    return words + _place(why)


def _place(why: BaseException) -> str:
    """The line of a strategy or venue at which recording was given up, where it was one."""
    places = [(Path(each.filename), each.lineno) for each in traceback.extract_tb(why.__traceback__)]
    own = [(file, line) for file, line in places if file.is_absolute() and not LIBRARIES.intersection(file.parents)]
    return f" ({own[-1][0].name}, line {own[-1][1]})" if own else ""


def _in_hook(way: Way, hook: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401  (orders, or what a hook answers with)
    """Call a hook, with `way.in_hook` set while its code runs, also that of a generator."""
    way.in_hook = True
    try:
        orders = hook(*arguments)
    finally:
        way.in_hook = False
    return _orders_in_hook(way, iter(orders)) if isinstance(orders, Iterable) else orders


def _orders_in_hook(way: Way, orders: Iterator[Order]) -> Generator[Order, None, Any]:
    while True:
        way.in_hook = True
        try:
            order = next(orders)
        except StopIteration as stop:
            return stop.value
        finally:
            way.in_hook = False
        yield order


def _register(value: Any, way: Way) -> int:  # noqa: ANN401  (a number, recorded or not)
    return value.register if isinstance(value, Recorded) else way.constant(value)


def with_numbers(part: Any, numbers: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """A copy of a strategy or a condition with other numbers in some fields, which are not validated.

    What it has cached outside its fields is left out, for that belongs to its own numbers.
    """
    if not numbers:
        return part
    found = object.__new__(type(part))
    for name in fields_dict(type(part)):
        object.__setattr__(found, name, numbers[name] if name in numbers else getattr(part, name))
    return found


def numbers_of(part: Any) -> dict[str, Number]:  # noqa: ANN401
    """The fields of a strategy or a condition that are numbers which a register can hold."""
    values = {name: getattr(part, name) for name in fields_dict(type(part))}
    return {name: value for name, value in values.items() if type(value) in (int, float) and is_small(value)}


def columns_for(keys: Sequence[object], market: Market, venues: Sequence[Venue]) -> Floats:
    """The columns that a tape reads of a market, by their keys; shape (columns, rows + 1)."""
    found = np.zeros((len(keys), len(market) + 1))
    standings: dict[str, Standing] = {}
    streams = [each for venue in venues for each in venue.accruals()]
    for place, key in enumerate(keys):
        assert isinstance(key, tuple)
        match key:
            case ("market", column):
                values = market[column]
            case ("years",):
                values = market.years
            case ("number",):
                values = np.arange(len(market), dtype=float)
            case ("index", stream):
                values = index_of(streams[stream], market).path
            case ("size" | "turnover", _):
                continue  # the player notes them
            case ("day", days):
                values = place_of_day(market, days).astype(float)
            case (_, name, at, signs, input_):
                if name not in standings:
                    venue = next(each for each in venues if each.name == name)
                    standings[name] = Standing(venue, market, None)  # type: ignore[arg-type]
                values = standings[name].columns(at, signs)[input_]
        found[place, : len(values)] = values
    return found


def place_of_day(market: Market, before: int) -> Ints:
    """For each row the place in a turnover column at which the day `before` days earlier (UTC) begins, shape (rows,).

    It is 1 + the number of rows that closed before that midnight, or 0 where the market begins no earlier than that.
    """
    midnight_ns = midnight_before(market.at_ns, before)
    return np.where(market.open_ns[0] < midnight_ns, market.at_ns.searchsorted(midnight_ns) + 1, 0)


def sized_registers(steps: Steps, first: int) -> dict[str, list[tuple[int, int]]]:
    """By venue (of those with one coin) the register of each position, and the atomic units of one coin.

    `first` is the register of the first account's balance.
    """
    accounts = {each: first + place for place, each in enumerate(steps.accounts)}
    return {
        each.name: [(accounts[held], held.asset.scale) for held in each.positions]
        for each in steps.standings
        if len({held.asset.coin for held in each.positions}) < 2
    }


def settled_registers(steps: Steps, first: int) -> np.ndarray[Any, Any]:
    """The first seven columns of `Program.streams`; `first` is the register of the first account's balance."""
    accounts = {each: first + place for place, each in enumerate(steps.accounts)}
    start = first + len(steps.accounts)
    return np.array(
        [
            [at, int(each.compounding), *(start + len(OF_STREAM) * at + place for place in range(3)),
             accounts[each.debit], accounts[each.credit]]
            for at, each in enumerate(steps.streams)
        ],
        dtype=np.int64,
    ).reshape(-1, 7)  # fmt: skip
