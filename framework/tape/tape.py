"""A tape: the steps of a kind of run, recorded as they come up, and played for other settings and other markets.

What it plays is what the kernel did: where a step takes a way that is not recorded, the kernel does that step on
recorded numbers, and what cannot be recorded it does on plain ones, each time. So a run that is played has the same
transfers, events and equity as one that is simulated, to the last bit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from enum import Enum
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from attrs import define, evolve, field, fields_dict, frozen, has
from attrs.exceptions import FrozenInstanceError
from numpy.typing import NDArray

from framework.accrual import Stream
from framework.assembly import Assembly
from framework.books import Books, Entry
from framework.events import ConditionMet, Liquidated, TransferSent
from framework.ledger import write_out
from framework.market import Floats, Market
from framework.money import USDC, Account
from framework.performance import outcome, outcome_of
from framework.rulebook.row_path import RowPath
from framework.run import Run
from framework.strategy import Condition, EveryRow, Strategy, checked_conditions
from framework.tape.numbers import MOST, NotRecordable, Number, Recorded
from framework.tape.outline import Epoch, Outline, Output
from framework.tape.player import BROKEN, ENDED, FULL, UNKNOWN, Notes, Score, play
from framework.tape.steps import (
    OF_STREAM,
    Given,
    NotPlayable,
    Steps,
    columns_for,
    numbers_of,
    settled_registers,
    with_numbers,
)
from framework.tape.tree import NOWHERE, Branch, Code, Leaf, Registers, Way
from framework.valuation import routine_causes
from framework.venue import Venue

ROOM = 4096
"""Leaves and values that can be noted before there has to be more room."""
FEW, SHARE = 8, 50
"""The kernel does up to so many steps of a run, or one in so many of its rows, that cannot be recorded."""


def refusal(assembly: Assembly) -> str:
    """Why runs of an assembly are simulated as a whole, as far as is known beforehand; empty where they are not."""
    if assembly.incidents:
        return "something goes wrong from outside"
    if not _carries_nothing(assembly.strategy):
        return f"{type(assembly.strategy).__name__} is not frozen, so it may carry something over from step to step"
    for condition in checked_conditions(assembly.strategy, [each.name for each in assembly.venues]):
        if not getattr(condition, "by_row", False):
            return f"{type(condition).__name__} is asked about many rows at once, for it does not say by_row"
        if not _carries_nothing(condition):
            return f"{type(condition).__name__} is not frozen, so it may carry something over from step to step"
    for venue in assembly.venues:
        if any(each.compute is not None for each in venue.accruals()):
            return f"{venue.name} works out an accrual of its own"
    return ""


def _carries_nothing(part: object) -> bool:
    """Whether a value cannot change: a frozen one of plain fields, or a plain one."""
    if part is None or isinstance(part, int | float | str | Enum):
        return True
    if isinstance(part, tuple):
        return all(map(_carries_nothing, part))
    kind = type(part)
    if not has(kind) or not all(_carries_nothing(getattr(part, each.name)) for each in kind.__attrs_attrs__):
        return False
    try:
        setattr(copy(part), "", None)
    except FrozenInstanceError:
        return True
    except AttributeError:
        pass
    return False


def room(values: int) -> Notes:
    """Room to note so many values."""
    return Notes(np.zeros(ROOM, dtype=np.int64), np.zeros(ROOM, dtype=np.int64), np.zeros(values))


@frozen(eq=False)
class Settings:
    """What differs between the runs of one tape: the numbers of the strategy and of its conditions, and the capital."""

    strategy: Strategy
    conditions: tuple[Condition, ...]
    capital: int

    @classmethod
    def of(cls, assembly: Assembly) -> "Settings":
        """The settings of an assembly."""
        conditions = checked_conditions(assembly.strategy, {venue.name: venue for venue in assembly.venues})
        return cls(assembly.strategy, conditions, USDC.nearest(assembly.scenario.capital_usd))

    @cached_property
    def parts(self) -> Sequence[tuple[Any, dict[str, Number]]]:
        """Strategy and conditions, each with its fields that are numbers."""
        return [(each, numbers_of(each)) for each in (self.strategy, *self.conditions)]

    @cached_property
    def numbers(self) -> list[Number]:
        """All of them, the capital first, as they stand in the first registers."""
        return [self.capital, *(value for _, numbers in self.parts for value in numbers.values())]

    def recorded(self, way: Way) -> tuple[Any, Any, tuple[Any, ...]]:
        """Capital, strategy and conditions with recorded numbers."""
        register = iter(range(len(self.numbers)))
        capital = Recorded(way, next(register), self.capital)
        strategy, *conditions = [
            with_numbers(part, {name: Recorded(way, next(register), value) for name, value in numbers.items()})
            for part, numbers in self.parts
        ]
        return capital, strategy, tuple(conditions)


@define(eq=False)
class Tape:
    """The steps of all runs with these venues, and a strategy of this class and kind; see `Tapes`."""

    venues: tuple[Venue, ...]
    entry: str
    path: RowPath
    settings: int
    """How many settings there are."""
    accounts: tuple[Account, ...]
    registers: Registers
    streams: NDArray[np.int64]
    floors: NDArray[np.int64]
    trees: dict[str, Branch] = field(factory=lambda: {name: Branch() for name in ("start", "row", "end")})
    recorded: int = 0
    """Ways that were recorded."""
    refused: dict[str, None] = field(factory=dict)
    """Why some steps cannot be recorded."""
    given_up: str = ""
    """Why its runs are simulated as a whole, once too many of their steps could not be recorded."""
    asked: int = 0
    """Runs that were asked for."""
    is_trusted: bool = False
    """Whether a run that was played is known to be the one that is simulated."""
    happened: "dict[Leaf, Happened | None]" = field(factory=dict)
    """What an outcome counts of the leaves of which it was asked."""
    notes: Notes = field(factory=lambda: room(ROOM))
    """Where is noted what steps add to the books, again for every run."""
    code: Code = field(init=False)
    """What is recorded, as it is played."""

    @code.default
    def _nothing(self) -> Code:
        return Code(self.registers)

    @classmethod
    def of(cls, assembly: Assembly, chosen: Settings) -> "Tape":
        """A tape with nothing on it yet."""
        steps = Steps(
            market=assembly.market, venues=assembly.venues, strategy=chosen.strategy, entry=assembly.entry,
            path=assembly.path,
        )  # fmt: skip
        settings = len(chosen.numbers)
        registers = Registers(settings + len(steps.accounts) + len(OF_STREAM) * len(steps.streams))
        for place in range(len(steps.streams)):
            registers.column(("index", place))
        floors = [(settings + place, each.sign) for place, each in enumerate(steps.accounts) if each.floor]
        return cls(
            venues=assembly.venues,
            entry=assembly.entry,
            path=assembly.path,
            settings=settings,
            accounts=steps.accounts,
            registers=registers,
            streams=settled_registers(steps, settings),
            floors=np.array(floors, dtype=np.int64).reshape(-1, 2),
        )

    def steps(self, market: Market, strategy: Strategy) -> Steps:
        """What does its steps on a market."""
        return Steps(market=market, venues=self.venues, strategy=strategy, entry=self.entry, path=self.path)

    def score(self) -> Score:
        """What is recorded, as it is played."""
        code = self.code
        return Score(
            code.lines, code.spans, code.changes, code.outputs, code.instants_ns, self.streams, self.floors
        )  # fmt: skip

    def play(self, settings: Settings, market: Market) -> "Played":
        """Play a run to its end; raises `NotPlayable`."""
        return Playing(self, settings, market).played()

    def run(self, settings: Settings, market: Market, simulated: Callable[[], Run]) -> "Played | Run":
        """A run that is played where that can be and is known to be right; raises what the simulation raises.

        The first one is simulated, for there may be no other. The second is simulated as well as played, and if these
        two differ no run is played: then the strategy, or a venue, depends on something that cannot be seen.
        """
        self.asked += 1
        if self.asked == 1 or self.given_up:
            return simulated()
        try:
            played = self.play(settings, market)
        except NotPlayable:
            return simulated()
        if not self.is_trusted:
            run = simulated()
            self.is_trusted = played.run().ledger.digest == run.ledger.digest and played.outcome() == outcome(run)
            self.given_up = "" if self.is_trusted else "a run that was played differs from its simulation"
            return run
        return played

    def record(self, step: str, row: int, steps: Steps, settings: Settings, held: Floats) -> bool:
        """Let the kernel do a step on recorded numbers; returns whether that was possible."""
        way = Way(self.registers, self.trees[step])
        capital, strategy, conditions = settings.recorded(way)
        given = self.given(held, lambda register, value: Recorded(way, register, value), capital)
        try:
            done = steps.record(step, row, strategy, conditions, given, way)
            way.end(done.leaf(way, given))
        except (NotRecordable, NotPlayable) as why:
            way.note(str(why))
            self.refused[str(why)] = None
            return False
        finally:
            self.code.add(step, way)
        self.recorded += 1
        return True

    def given(self, held: Floats, made: Callable[[int, Number], Any], capital: Any) -> Given:  # noqa: ANN401
        """What a step begins with, from the registers."""
        at, count = self.settings, len(self.accounts)
        balances = [made(at + place, int(held[at + place])) for place in range(count)]
        streams = []
        for start in range(at + count, self.registers.inputs, 4):
            factor, begun, settled, base = held[start : start + 4].tolist()
            values = (factor, begun, int(settled), int(base))
            streams.append(tuple(made(start + place, value) for place, value in enumerate(values)))
        return Given(capital, balances, streams)


class Playing:
    """A run while it is played: the registers, and what is noted."""

    def __init__(self, tape: Tape, settings: Settings, market: Market) -> None:
        self._tape, self._settings, self._market = tape, settings, market
        self._steps: Steps | None = None
        self._simulated = 0
        self._curve = np.zeros(len(market))
        self._passages: list[Passage] = []
        self._registers = tape.code.initial.copy()
        self._registers[: tape.settings] = settings.numbers
        self._registers[tape.settings + len(tape.accounts) + 1 : tape.registers.inputs : len(OF_STREAM)] = 1.0

    def played(self) -> "Played":
        """Play it."""
        market, opening = self._market, self._tape.entry != "first_close"
        self._let("start", 0, 1, settling=False)
        self._let("row", 0 if opening else 1, len(market), settling=True)
        self._let("end", len(market) - 1, len(market), settling=False)
        if not np.isfinite(self._curve).all():
            raise NotPlayable("the equity is not a number")
        tape = self._tape
        held = self._registers[tape.settings : tape.settings + len(tape.accounts)]
        balances = [int(each) for each in held.tolist()]
        return Played(tape, self._settings, market, self._curve, balances, self._passages)

    def _let(self, step: str, row: int, stop: int, *, settling: bool) -> None:
        """Let a step be done after rows `row` to `stop - 1`."""
        tape, market = self._tape, self._market
        code = tape.code
        while row < stop:
            assert len(self._registers) == len(code.initial)
            why, row, noted, valued = play(
                tape.score(), code.roots.get(step, NOWHERE), self._registers, self._columns(), market.at_ns, row, stop,
                settling, self._curve, tape.notes,
            )  # fmt: skip
            self._note(code, noted, valued)
            if why == ENDED:
                return
            settling = False
            if why == BROKEN:
                raise NotPlayable("what accrues breaks a rule of the books")
            if why == FULL:
                if not noted:
                    tape.notes = room(4 * len(tape.notes.values))
                continue
            if why == UNKNOWN and self._recorded(step, row):
                continue
            self._simulate(step, row)
            row, settling = row + 1, True

    def _columns(self) -> Floats:
        keys = tuple(self._tape.registers.columns)
        key = "columns of a tape", self._tape, len(keys)
        return self._market.cached(key, lambda: columns_for(keys, self._market, self._tape.venues))

    def _note(self, code: Code, noted: int, valued: int) -> None:
        """Keep what was noted."""
        if noted:
            notes = self._tape.notes
            lists = notes.rows[:noted].tolist(), notes.leaves[:noted].tolist(), notes.values[:valued].tolist()
            self._passages.append(Passage(code.leaves, *lists))

    def _recorded(self, step: str, row: int) -> bool:
        """Record the way that a step takes here; returns whether that was possible."""
        tape, held = self._tape, self._held
        done = tape.record(step, row, self._kernel(), self._settings, held)
        self._registers = tape.code.initial.copy()  # there are more of them, whatever came of it
        self._registers[: len(held)] = held
        return done

    def _simulate(self, step: str, row: int) -> None:
        """Let the kernel do a step; raises `NotPlayable` where it does too many."""
        tape, settings = self._tape, self._settings
        self._simulated += 1
        if self._simulated > FEW + len(self._market) // SHARE:
            tape.given_up = ", ".join(tape.refused) or "sums of more than 53 bits"
            raise NotPlayable(tape.given_up)
        given = tape.given(self._held, lambda _, value: value, settings.capital)
        done = self._kernel().do(step, row, settings.strategy, settings.conditions, given, self._past)
        after = [*done.balances, *(value for each in done.streams for value in each)]
        if any(isinstance(each, int) and abs(each) > MOST for each in after):
            raise NotPlayable("a sum of more than 53 bits")
        self._registers[tape.settings : tape.registers.inputs] = after
        if done.curve is not None:
            self._curve[row] = done.curve
        if not done.adds.is_empty:
            self._passages.append(Passage([Leaf(idle=False, adds=done.adds)], [row], [0], ()))

    @property
    def _held(self) -> Floats:
        """What is given to a step: the first registers."""
        return self._registers[: self._tape.registers.inputs]

    def _past(self) -> Iterator[Entry]:
        """The entries up to here, the latest first."""
        known = Played(self._tape, self._settings, self._market, self._curve, (), self._passages)
        return reversed([entry for entries, _ in known.added() for entry in entries])

    def _kernel(self) -> Steps:
        if self._steps is None:
            self._steps = self._tape.steps(self._market, self._settings.strategy)
        return self._steps


@frozen(eq=False)
class Passage:
    """What steps that were played in one go added to the books: the row and the leaf of each, and all their numbers."""

    leaves: Sequence[Leaf]
    rows: Sequence[int]
    numbers: Sequence[int]
    values: Sequence[float]

    def __iter__(self) -> "Iterator[Noted]":
        start = 0
        for row, number in zip(self.rows, self.numbers, strict=True):
            leaf = self.leaves[number]
            stop = start + len(leaf.outputs)
            yield Noted(row, leaf.adds, self.values[start:stop])
            start = stop


@frozen(eq=False)
class Noted:
    """What a step added to the books: an outline, with its numbers."""

    row: int
    adds: Outline
    numbers: Sequence[float]


@frozen(eq=False)
class Played:
    """A run that was played: its equity by row, its balances at the end, and what its steps added to the books."""

    tape: Tape
    settings: Settings
    market: Market
    equity_usd: Floats
    """What everything was worth at the close of every row, shape (rows,)."""
    balances: Sequence[int]
    passages: Sequence[Passage]

    def run(self) -> Run:
        """The run with its whole books, as if it had been simulated."""
        books = Books(self.market, self.tape.venues)
        streams = [each for each in books.streams if isinstance(each, Stream)]
        for entries, epochs in self.added():
            books.journal += entries
            for each in epochs:
                streams[each.stream].epochs.append(each.begun)
        for account, amount in zip(books.balances, self.balances, strict=True):
            books.balances[account] = amount
        return Run(
            market=self.market,
            capital=self.settings.capital,
            opened_at="open" if self.tape.entry == "first_open" else "close",
            written=write_out(books),
            standings=tuple(books.standings.values()),
        )

    def outcome(self) -> dict[str, float | int | None]:
        """The `outcome` of the run, without its books."""
        liquidations, rebalances = list[tuple[int, int]](), 0
        at_ns, known = self.market.cached("closes", self.market.at_ns.tolist), self.tape.happened
        for passage in self.passages:
            start = 0
            for row, number in zip(passage.rows, passage.numbers, strict=True):
                leaf = passage.leaves[number]
                happened = known[leaf] if leaf in known else known.setdefault(leaf, Happened.on(leaf))
                if happened is None:
                    happened = Happened.of(Noted(row, leaf.adds, passage.values[start : start + len(leaf.outputs)]))
                rebalances += happened.rebalances
                for bad_debt in happened.bad_debts:
                    lost = int(passage.values[start + bad_debt.number]) if isinstance(bad_debt, Output) else bad_debt
                    liquidations.append((at_ns[row], lost))
                start += len(leaf.outputs)
        return outcome_of(
            market=self.market,
            capital=self.settings.capital,
            equity_usd=self.equity_usd,
            balances=dict(zip(self.tape.accounts, self.balances, strict=True)),
            liquidations=liquidations,
            rebalances=rebalances,
        )

    def added(self) -> Iterator[tuple[list[Entry], list[Epoch]]]:
        """Entries and beginnings of streams, step by step."""
        open_ns, at_ns = int(self.market.open_ns[0]), self.market.cached("closes", self.market.at_ns.tolist)
        opening = self.tape.entry != "first_close"
        order: object = None
        for place, each in enumerate(chain.from_iterable(self.passages)):
            instant = open_ns if opening and not place else at_ns[each.row]
            entries, epochs, order = each.adds.fill(each.numbers, each.row, instant, order)
            yield entries, epochs


@frozen
class Happened:
    """What an outcome counts of a leaf: the losses of its liquidations, and how often capital was moved."""

    bad_debts: tuple[Output | int, ...]
    rebalances: int

    @classmethod
    def on(cls, leaf: Leaf) -> "Happened | None":
        """What happens on a leaf; None where it depends on its numbers, as moves do that merely compound."""
        events = [entry.event for entry in leaf.adds.entries]
        sent = sum(isinstance(event, TransferSent) for event in events)
        if sent and any(isinstance(event, ConditionMet) and event.condition == EveryRow() for event in events):
            return None
        return cls(tuple(event.bad_debt for event in events if isinstance(event, Liquidated)), sent)

    @classmethod
    def of(cls, noted: Noted) -> "Happened":
        """What happened in a step, with its numbers."""
        entries, _, _ = noted.adds.fill(noted.numbers, noted.row, 0, None)
        places = {id(entry): place for place, entry in enumerate(entries)}
        single = [
            evolve(entry.event, event=place, cause=None if entry.cause is None else places[id(entry.cause)])
            for place, entry in enumerate(entries)
        ]
        routine = routine_causes(single)
        return cls(
            tuple(each.bad_debt for each in single if isinstance(each, Liquidated)),
            sum(isinstance(each, TransferSent) and each.cause not in routine for each in single),
        )


class Tapes:
    """The tapes of a process, by what their runs have in common."""

    def __init__(self) -> None:
        self._tapes: dict[str, Tape] = {}

    @property
    def tapes(self) -> Sequence[Tape]:
        """All of them."""
        return list(self._tapes.values())

    def played(self, assembly: Assembly) -> Played:
        """A run of an assembly that is played; raises `NotPlayable` for one that has to be simulated."""
        return self.of(assembly).play(Settings.of(assembly), assembly.market)

    def run(self, assembly: Assembly) -> Run:
        """A run of an assembly, played or simulated; raises `CarrybookError`."""
        tape, settings = self.find(assembly)

        def simulated() -> Run:
            return assembly.simulation().run()

        if tape is None or settings is None:
            return simulated()
        found = tape.run(settings, assembly.market, simulated)
        return found.run() if isinstance(found, Played) else found

    def find(self, assembly: Assembly) -> tuple[Tape | None, Settings | None]:
        """The tape and the settings of an assembly; None for both where its runs are simulated."""
        try:
            return self.of(assembly), Settings.of(assembly)
        except NotPlayable:
            return None, None

    def of(self, assembly: Assembly) -> Tape:
        """The tape of an assembly; raises `NotPlayable` where its runs are simulated as a whole."""
        why = refusal(assembly)
        if why:
            raise NotPlayable(why)
        settings = Settings.of(assembly)
        key = _key(assembly, settings)
        tape = self._tapes.get(key)
        if tape is None:
            tape = self._tapes[key] = Tape.of(assembly, settings)
        if tape.given_up:
            raise NotPlayable(tape.given_up)
        return tape


def _key(assembly: Assembly, settings: Settings) -> str:
    """What runs of one tape have in common: all but the numbers of the strategy, the capital and the market's."""
    parts = [_named(part, {name: type(value) for name, value in numbers.items()}) for part, numbers in settings.parts]
    venues = [_named(each) for each in assembly.venues]
    return repr((parts, venues, assembly.entry, assembly.path, sorted(assembly.market.columns), assembly.market.coin))


def _named(value: Any, other: Mapping[str, object] | None = None) -> object:  # noqa: ANN401
    """A value by its class and its fields, to the last; `other` are put in place of fields of its own."""
    kind = type(value)
    if isinstance(value, Mapping):
        return [(key, _named(each)) for key, each in value.items()]
    if isinstance(value, tuple | list):
        return [_named(each) for each in value]
    if not has(kind) or isinstance(value, Account):
        return kind.__qualname__, repr(value)
    fields = {name: getattr(value, name) for name in fields_dict(kind)} | dict(other or {})
    return kind.__module__, kind.__qualname__, id(kind), [(name, _named(each)) for name, each in fields.items()]
