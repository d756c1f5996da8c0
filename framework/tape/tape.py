"""A tape: the recorded steps of one kind of run, which are played for other settings and other markets.

Where a step leads to a branch that is not recorded, the kernel does that step on recorded numbers; where it cannot be
recorded, the kernel does it on plain ones, each time. So a run that is played has the same transfers, events and equity
as one that is simulated, to the last bit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from framework.assembly import Assembly
from framework.books import Entry
from framework.errors import PlayingError
from framework.market import Floats, Ints, Market, midnight_before
from framework.money import USDC, Account
from framework.performance import outcome
from framework.rulebook.row_path import RowPath
from framework.run import Run
from framework.strategy import Condition, Strategy, checked_conditions
from framework.tape.code import Code
from framework.tape.numbers import MOST, NotRecordable, Number
from framework.tape.pending import MOST_PENDING, TRANSIT_NUMBERS, Pending, Sending
from framework.tape.played import Happened, Playback, Played
from framework.tape.player import (
    ARRIVAL,
    BROKEN,
    CROWDED,
    ENDED,
    FULL,
    UNKNOWN,
    Notes,
    Program,
    clear,
    play,
    play_all,
    send,
    take_first,
)
from framework.tape.postings import Postings
from framework.tape.steps import (
    OF_STREAM,
    Given,
    NotPlayable,
    Past,
    Steps,
    columns_for,
    numbers_of,
    settled_registers,
    sized_registers,
    with_numbers,
)
from framework.tape.tree import NOWHERE, STEPS, Branch, Leaf, Registers, Way, arrival_step, is_small
from framework.venue import Venue

FEW_MARKETS = 4
"""The markets whose columns are kept at most; most sweeps have one, or one after the other."""
ROOM, MOST_ROOM = 4096, 2**18
"""Leaves and values for which the notes have room at first, and at most where several runs are played in one go.

A single run has no such limit: when the notes are full they are copied, and it goes on.
"""
MOST_LINES = 2**19
"""The most lines of a tape. A strategy that searches takes another way in each run, and is simulated in the end."""
FEW, SHARE = 8, 50
"""The kernel does at most `FEW` steps of a run on plain numbers, and one more for every `SHARE` rows.

A tape is given up when a run needs more.
"""

LAST_RUNS, WAYS = 16, 16
"""A tape is given up when its last `LAST_RUNS` runs have recorded more than `WAYS` ways each: simulating is faster.

The first `LAST_RUNS` do not count, for everything is new to them.
"""
CHECKED_AGAIN = 32
"""From this run of a trusted tape on, each one whose number is a power of two is simulated as well."""


UNDATED_TRADE = "something that arrives trades before a midnight within a row"
"""Why a run is not played: turnover is noted where a row begins, so the day of such a trade is not known."""
NOTHING = np.zeros((0, 0), dtype=np.int64)
"""Stands for what accrued in every row where nobody asked for it."""

Chosen = tuple[Strategy, tuple[Condition, ...], Any]
"""A strategy, its conditions and the capital, which may be a recorded number."""


def empty_notes(values: int) -> Notes:
    """Room to note so many values, of at most as many leaves."""
    return Notes(np.zeros(values, dtype=np.int64), np.zeros(values, dtype=np.int64), np.zeros(values))


def notes_between(notes: Notes, start: tuple[int, int], stop: Sequence[int]) -> Notes:
    """What was noted from so many leaves and values to so many."""
    leaves, values = slice(start[0], stop[0]), slice(start[1], stop[1])
    return Notes(notes.rows[leaves].copy(), notes.leaves[leaves].copy(), notes.values[values].copy())


@frozen(eq=False)
class Settings:
    """What may differ between runs of one tape: the numbers of the strategy and its conditions, and the capital."""

    strategy: Strategy
    conditions: tuple[Condition, ...]
    capital: int
    kept: Sequence[bool]
    """By condition whether the strategy keeps the object. It may compare it by identity, so no copy replaces it."""

    @classmethod
    def of(cls, assembly: Assembly) -> "Settings":
        """The settings of an assembly."""
        conditions, second = (
            checked_conditions(assembly.strategy, {venue.name: venue for venue in assembly.venues}) for _ in range(2)
        )
        capital = USDC.nearest(assembly.scenario.capital_usd)
        if not is_small(capital):
            raise NotPlayable("a sum of more than 53 bits")
        kept = [any(each is other for other in second) for each in conditions]
        return cls(assembly.strategy, conditions, capital, kept)

    @cached_property
    def parts(self) -> Sequence[tuple[Any, dict[str, Number]]]:
        """Strategy and conditions, each with its fields that are numbers and may be others in another run."""
        conditions = zip(self.conditions, self.kept, strict=True)
        return [
            (self.strategy, numbers_of(self.strategy)),
            *((each, {} if kept else numbers_of(each)) for each, kept in conditions),
        ]

    @cached_property
    def numbers(self) -> list[Number]:
        """All of them, the capital first, as they stand in the first registers."""
        return [self.capital, *(value for _, numbers in self.parts for value in numbers.values())]

    @cached_property
    def values(self) -> Floats:
        """The same as an array."""
        return np.array(self.numbers, dtype=float)

    @property
    def chosen(self) -> Chosen:
        """Strategy, conditions and capital."""
        return self.strategy, self.conditions, self.capital

    def recorded(self, way: Way) -> Chosen:
        """The same with recorded numbers."""
        register = iter(range(len(self.numbers)))
        capital = way.given(next(register), self.capital)
        strategy, *conditions = [
            with_numbers(part, {name: way.given(next(register), value) for name, value in numbers.items()})
            for part, numbers in self.parts
        ]
        return strategy, tuple(conditions), capital


def _place(register: int, registers: NDArray[np.int64]) -> int:
    """The place of a register among others; `NOWHERE` for one that is not among them."""
    return int(next(iter(np.flatnonzero(registers == register)), NOWHERE))


@define(eq=False)
class Tape:
    """The steps of all runs with these venues, and a strategy of this class and kind; see `Tapes`."""

    venues: tuple[Venue, ...]
    entry: str
    path: RowPath
    first: int
    """The register of the first account's balance; before it are those of the settings."""
    accounts: tuple[Account, ...]
    registers: Registers
    streams: NDArray[np.int64]
    floors: NDArray[np.int64]
    """Registers that may not fall below zero, with their sign, and which of `accruing` they are."""
    accruing: NDArray[np.int64]
    """The registers that change as rows pass: of balances, and of what is settled."""
    sizes: NDArray[np.int64]
    """What positions are held, for the player to note with which each row begins: see `Program`."""
    sized: Mapping[str, int]
    """By venue the column in which that is noted."""
    turnovers: NDArray[np.int64]
    """The accounts of whose turnover rules ask: see `Program`."""
    trees: dict[str, Branch] = field(factory=dict)
    """The trees of its steps, once something is recorded here."""
    recorded: int = 0
    """Ways that were recorded."""
    refused: dict[str, None] = field(factory=dict)
    """Why some steps cannot be recorded."""
    given_up: str = ""
    """Why its runs are simulated as a whole, once too many of their steps could not be recorded."""
    requested: int = 0
    """Runs that were asked for."""
    played: int = 0
    """Runs that were played to their end."""
    recorded_before: int = 0
    """Ways that were recorded until the last of these whose number is a multiple of `LAST_RUNS`."""
    broken_off: int = 0
    """Runs whose playing came to a step that cannot be done; where they are most, no further one is begun."""
    is_trusted: bool = False
    """Whether a run has been played and simulated, here or in another process, and came out the same."""
    kept: int = 0
    """How many of its lines are on disk."""
    happened: list[Happened | None] = field(factory=list)
    """What happens on its leaves, as far as that was asked."""
    postings: Postings = field(factory=Postings)
    """The transfers of its leaves."""
    pending: Pending = field(factory=Pending.nothing)
    """What is in transit in the run that is being played."""
    notes: Notes = field(factory=lambda: empty_notes(0))
    """Where is noted what steps add to the books, again for every run; there is room once something is played."""
    columns: WeakKeyDictionary[Market, Floats] = field(factory=WeakKeyDictionary)
    """The columns that are read of each market, as long as there is that."""
    _steps: WeakKeyDictionary[Market, Steps] = field(init=False, factory=WeakKeyDictionary)
    code: Code = field(init=False)
    """What is recorded, as it is played."""
    _program: Program | None = field(init=False, default=None)
    _plans: dict[int, Ints] = field(init=False, factory=dict)
    _scratch: Floats = field(init=False, factory=lambda: np.zeros(0))

    @code.default
    def _nothing(self) -> Code:
        return Code(self.registers, self.accruing.tolist())

    @classmethod
    def of(cls, assembly: Assembly, chosen: Settings) -> "Tape":
        """A tape with nothing on it yet."""
        steps = Steps(
            market=assembly.market, venues=assembly.venues, strategy=chosen.strategy, entry=assembly.entry,
            path=assembly.path,
        )  # fmt: skip
        first = len(chosen.numbers)
        first_turnover = first + len(steps.accounts) + len(OF_STREAM) * len(steps.streams)
        registers = Registers(first_turnover + len(steps.turnover_accounts) + TRANSIT_NUMBERS)
        for place in range(len(steps.streams)):
            registers.column(("index", place))
        positions = sized_registers(steps, first)
        sized = {venue: registers.column(("size", venue)) for venue in positions}
        turnovers = [
            (registers.column(("turnover", each)), first_turnover + each)
            for each in range(len(steps.turnover_accounts))
        ]
        sizes = [(sized[venue], *each) for venue, held in positions.items() for each in held]
        streams = settled_registers(steps, first)
        accruing, places = np.unique(streams[:, 4:], return_inverse=True)
        floored = {first + place: each.sign for place, each in enumerate(steps.accounts) if each.floor}
        floors = [(register, sign, _place(register, accruing)) for register, sign in floored.items()]
        return cls(
            venues=assembly.venues,
            entry=assembly.entry,
            path=assembly.path,
            first=first,
            accounts=steps.accounts,
            registers=registers,
            streams=np.hstack((streams, places.reshape(-1, 3))),
            floors=np.array(floors, dtype=np.int64).reshape(-1, 3),
            accruing=accruing,
            sizes=np.array([(*each, _place(each[1], accruing)) for each in sizes], dtype=np.int64).reshape(-1, 4),
            sized=sized,
            turnovers=np.array(turnovers, dtype=np.int64).reshape(-1, 2),
        )

    def steps(self, market: Market, strategy: Strategy) -> Steps:
        """What does its steps on a market, the same for all runs: nothing is carried over in it."""
        found = self._steps.get(market)
        if found is None:
            found = self._steps[market] = Steps(
                market=market, venues=self.venues, strategy=strategy, entry=self.entry, path=self.path
            )
        return found

    def program(self) -> Program:
        """What is recorded, as it is played; it is gathered again once there is more."""
        code, found = self.code, self._program
        kinds = len(self.registers.arrivals)
        if found is None or len(found.lines) != len(code.lines) or len(found.arrivals) != kinds:
            found = self._program = Program(
                code.lines, code.spans, code.changes, code.outputs, code.sends, code.arrivals, code.quiet,
                code.quiet_lines, code.steady, code.instants_ns, self.streams, self.accruing, self.floors,
                self.sizes, self.turnovers,
            )  # fmt: skip
            self._plans.clear()
        return found

    def plan(self, rows: int) -> Ints:
        """The steps of a run of so many rows, as the player takes them."""
        found = self._plans.get(rows)
        if found is None:
            opening, roots = self.entry != "first_close", self.code.roots
            after = {"start": (0, 1, 0), "row": (0 if opening else 1, rows, 1), "end": (rows - 1, rows, 0)}
            lines = [(roots.get(step, NOWHERE), *after[step]) for step in STEPS]
            found = self._plans[rows] = np.array(lines, dtype=np.int64)
        return found

    @property
    def first_turnover(self) -> int:
        """The register of the first turnover."""
        return self.registers.first_transit - len(self.turnovers)

    def initial(self) -> Floats:
        """What the inputs that follow the settings hold at the beginning of a run."""
        found = np.zeros(self.registers.inputs - self.first)
        found[len(self.accounts) + 1 : self.first_turnover - self.first : len(OF_STREAM)] = 1.0
        return found

    def scratch(self) -> Floats:
        """The registers, the same ones for every run, for no step uses what it has not made; not so the inputs."""
        if len(self._scratch) != len(self.code.initial):
            self._scratch = self.code.initial.copy()
        return self._scratch

    def prepared(self, market: Market) -> Floats:
        """The columns that its steps read of a market."""
        found = self.columns.get(market)
        if found is None and len(self.columns) >= FEW_MARKETS:
            self.columns.clear()
        if found is None or len(found) < len(self.registers.columns):
            there = 0 if found is None else len(found)
            more = columns_for(tuple(self.registers.columns)[there:], market, self.venues)
            found = self.columns[market] = more if found is None else np.concatenate((found, more))
        return found

    def past(self, market: Market, at_ns: int, entries: Callable[[], Iterator[Entry]]) -> Past:
        """What has been of the run that is played at present, for a step at an instant."""
        columns = self.prepared(market)
        began_with = {venue: columns[place] for venue, place in self.sized.items()}
        turnovers = [columns[place] for place in self.turnovers[:, 0].tolist()]
        return Past(entries, began_with, turnovers, same_instant=bool(self.pending.noted_ns[0] == at_ns))

    def play(self, settings: Settings, market: Market, *, books: bool = True) -> Played:
        """Play a run to its end; raises `NotPlayable`. With `books`, what accrues is noted for them."""
        if self.given_up:
            raise NotPlayable(self.given_up)
        return Playing(self, settings, market, books=books).played()

    def play_all(self, runs: Sequence[Settings], market: Market) -> list[Played | None]:
        """Play runs on one market in one go, without what accrues; None for one that does not take recorded ways alone.

        Nor is one played before it is known that such runs are right.
        """
        found: list[Played | None] = []
        if self.given_up or not self.is_trusted:
            return [None for _ in runs]
        given, initial, columns = np.array([each.values for each in runs]), self.initial(), self.prepared(market)
        held = np.zeros((len(runs), self.registers.inputs))
        curves, ends = np.zeros((len(runs), len(market))), np.zeros((len(runs), 3), dtype=np.int64)
        while len(found) < len(runs):
            start = len(found)
            ended = start + play_all(
                self.program(), self.plan(len(market)), given[start:], initial, self.scratch(), columns, market.at_ns,
                curves[start:], held[start:], self.notes, ends[start:], self.pending,
            )  # fmt: skip
            noted, valued = 0, 0
            for place in range(start, ended):
                why, *until = ends[place].tolist()
                is_good = why == ENDED and bool(np.isfinite(curves[place]).all())
                playback = Playback(self.code.leaves, *notes_between(self.notes, (noted, valued), until))
                balances = held[place, self.first : self.first + len(self.accounts)]
                found.append(self.made(runs[place], market, curves[place], balances, [playback]) if is_good else None)
                noted, valued = until
            if ended < len(runs) and len(self.notes.values) < MOST_ROOM:
                self.notes = empty_notes(max(ROOM, 4 * len(self.notes.values)))
            elif ended == start:
                found.append(None)
        return found

    def made(
        self,
        settings: Settings,
        market: Market,
        equity_usd: Floats,
        balances: Floats,
        playbacks: Sequence[Playback],
        settled: Ints = NOTHING,
    ) -> Played:
        """A run that was played."""
        return Played(
            venues=self.venues,
            entry=self.entry,
            accounts=self.accounts,
            postings=self.postings,
            happened=self.happened,
            capital=settings.capital,
            market=market,
            equity_usd=equity_usd,
            settled=settled,
            balances=list(map(int, balances.tolist())),
            playbacks=playbacks,
        )

    def run(
        self,
        settings: Settings,
        market: Market,
        simulated: Callable[[], Run],
        *,
        books: bool = True,
        ahead: Played | None = None,
    ) -> Played | Run:
        """A run that is played where that can be and is known to be right; raises what the simulation raises.

        One that was played `ahead` is not played again.

        Until it is trusted: the first one is simulated, for there may be no other. The second is simulated as well as
        played, and if these two differ no run is played: then the strategy, or a venue, depends on something that
        cannot be seen. Some later ones are simulated as well; raises `PlayingError` where one of those differs.
        """
        self.requested += 1
        if self.given_up or (self.requested == 1 and not self.is_trusted):
            return simulated()
        try:
            played = ahead or self.play(settings, market, books=books)
        except NotPlayable as why:
            self.broken_off += 1
            if self.broken_off > FEW and 2 * self.broken_off > self.requested and not self.given_up:
                self.give_up(str(why))
            return simulated()
        self._count_ways()
        is_due = self.requested >= CHECKED_AGAIN and self.requested.bit_count() == 1
        if self.is_trusted and not is_due:
            return played
        run, was_trusted = simulated(), self.is_trusted
        self.is_trusted = played.run().ledger.digest == run.ledger.digest and played.outcome() == outcome(run)
        if self.is_trusted:
            return played if was_trusted else run
        self.give_up("a run that was played differs from its simulation")
        if was_trusted:
            raise PlayingError(
                f"{type(settings.strategy).__name__}: a run that was played differs from its simulation, so the "
                "strategy or a venue depends on something that cannot be seen, and runs before it may be wrong; "
                "expected a class that is not frozen, whose runs are all simulated"
            )
        return run

    def _count_ways(self) -> None:
        """Count a run that was played; where the last ones have recorded too many ways, no further one is."""
        self.played += 1
        if self.played % LAST_RUNS == 0:
            if self.played > LAST_RUNS and self.recorded - self.recorded_before > WAYS * LAST_RUNS:
                self.give_up("most of its runs take ways of their own")
            self.recorded_before = self.recorded

    def give_up(self, why: str) -> str:
        """Let its runs be simulated as a whole from now on, and forget what was recorded; returns why."""
        self.given_up = why
        self.trees.clear()
        self.happened.clear()
        self.postings = Postings()
        self.columns.clear()
        self.notes = empty_notes(0)
        self.code = Code(Registers(0))
        return why

    def record(
        self,
        step: str,
        row: int,
        steps: Steps,
        settings: Settings,
        held: Floats,
        past: Past,
        arriving: "Arriving | None" = None,
    ) -> bool:
        """Let the kernel do a step on recorded numbers; returns whether that was possible.

        What it comes to is what the kernel comes to on plain numbers, or it is refused: whatever may tell a recorded
        number from a plain one, such as `type(number)`, shows at once.
        """
        self.trees = self.trees or self.code.trees()
        way = Way(self.registers, self.trees.setdefault(step, Branch()))
        given = self.given(held, way.given, settings.recorded(way), arriving)
        try:
            done = steps.record(step, row, given, past, way)
            leaf = done.leaf(way, given)
            if way.is_new:
                plainly = steps.do(step, row, self.plainly_given(held, settings, arriving), past)
                if done.differs(plainly, way.values, row, steps.at_ns):
                    way.refuse("the step does something else on recorded numbers")
            way.end(leaf)
        except (NotRecordable, NotPlayable) as why:
            way.note(str(why))
            self.refused[str(why)] = None
            return False
        finally:
            self.code.add(step, way)
        self.recorded += 1
        return way.grown is not None

    def plainly_given(self, held: Floats, settings: Settings, arriving: "Arriving | None") -> Given:
        """What a step begins with, in plain numbers."""
        return self.given(held, lambda _, value: value, settings.chosen, arriving)

    def given(
        self, held: Floats, made: Callable[[int, Number], Any], chosen: Chosen, arriving: "Arriving | None"
    ) -> Given:
        """What a step begins with, from the registers."""
        at, count = self.first, len(self.accounts)
        balances = [made(at + place, int(held[at + place])) for place in range(count)]
        streams = []
        for start in range(at + count, self.first_turnover, len(OF_STREAM)):
            factor, index, settled, base = held[start : start + len(OF_STREAM)].tolist()
            values = (factor, index, int(settled), int(base))
            streams.append(tuple(made(start + place, value) for place, value in enumerate(values)))
        first = self.registers.first_transit
        turnovers = [made(place, int(held[place])) for place in range(self.first_turnover, first)]
        if arriving is None:
            return Given(*chosen, balances, streams, turnovers)
        kind = self.registers.arrivals[arriving.kind]
        amount, fee, number = (
            made(first + place, value) for place, value in enumerate(kind.numbers(held[first:].tolist()))
        )
        numbers = amount, fee, number
        return Given(*chosen, balances, streams, turnovers, kind, numbers, arriving.at_ns, arriving.opening)


class Arriving(NamedTuple):
    """What arrives in a step: the number of its kind, when it does, and whether no row has closed before."""

    kind: int
    at_ns: int
    opening: bool


class Playing:
    """A run while it is played: the registers, and what is noted."""

    def __init__(self, tape: Tape, settings: Settings, market: Market, *, books: bool) -> None:
        self._tape, self._settings, self._market = tape, settings, market
        self._steps: Steps | None = None
        self._done_plainly = 0
        self._curve = np.zeros(len(market))
        self._settled = np.zeros((len(market) if books else 0, len(tape.streams)), dtype=np.int64)
        self._playbacks: list[Playback] = []
        self._registers = tape.scratch()
        self._registers[: tape.registers.inputs] = np.concatenate((settings.values, tape.initial()))
        self._pending = tape.pending
        clear(self._pending)

    def played(self) -> Played:
        """Play it."""
        self._play()
        if not np.isfinite(self._curve).all():
            raise NotPlayable("the equity is not a number")
        return self._so_far()

    def _play(self) -> None:
        """Do all steps, each after its rows."""
        tape, market = self._tape, self._market
        code = tape.code
        at, row, settling = 0, 0, False
        while True:
            assert len(self._registers) == len(code.initial)
            why, at, row, noted, valued = play(
                tape.program(), tape.plan(len(market)), at, row, settling, self._registers, tape.prepared(market),
                market.at_ns, self._curve, self._settled, tape.notes, self._pending,
            )  # fmt: skip
            self._note(code, noted, valued)
            if why == ENDED:
                return
            settling, arriving = False, None
            if at == ARRIVAL:
                at, settling = STEPS.index("row"), True
                arriving = Arriving(int(self._pending.kinds[0]), int(self._pending.due_ns[0]), opening=row == 0)
            if why == BROKEN:
                raise NotPlayable("what accrues breaks a rule of the books")
            if why == CROWDED:
                raise NotPlayable(f"more than {MOST_PENDING} sums are on their way at once")
            if why == FULL:
                if not noted:
                    tape.notes = empty_notes(max(ROOM, 4 * len(tape.notes.values)))
                continue
            step, after = (STEPS[at], row) if arriving is None else (arrival_step(arriving.kind), max(row - 1, 0))
            if why == UNKNOWN and len(code.lines) < MOST_LINES and self._recorded(step, after, arriving):
                continue
            self._do_plainly(step, after, arriving)
            if arriving is None:
                row, settling = row + 1, True

    def _check_turnovers(self, turnovers: Sequence[int], arriving: Arriving) -> None:
        """Refuse a trade of which no row knows on which day it was."""
        tape, at_ns = self._tape, self._market.at_ns
        row = int(at_ns.searchsorted(arriving.at_ns, side="right"))
        before = self._registers[tape.first_turnover : tape.registers.first_transit].tolist()
        is_started = self._pending.started_row[0] == row
        if is_started and arriving.at_ns < midnight_before(int(at_ns[row]), 0) and list(turnovers) != before:
            raise NotPlayable(UNDATED_TRADE)

    def _note(self, code: Code, noted: int, valued: int) -> None:
        """Keep what was noted."""
        if noted:
            self._playbacks.append(Playback(code.leaves, *notes_between(self._tape.notes, (0, 0), (noted, valued))))

    def _recorded(self, step: str, row: int, arriving: Arriving | None) -> bool:
        """Record the way that a step takes here; returns whether that was possible."""
        tape, held = self._tape, self._held
        done = tape.record(step, row, self._kernel(), self._settings, held, self._past(row, arriving), arriving)
        self._registers = tape.code.initial.copy()  # there are more of them, whatever came of it
        self._registers[: len(held)] = held
        return done

    def _do_plainly(self, step: str, row: int, arriving: Arriving | None) -> None:
        """Let the kernel do a step on plain numbers; where it does too many, no run of the tape is played any more."""
        tape, settings = self._tape, self._settings
        self._done_plainly += 1
        if self._done_plainly > FEW + len(self._market) // SHARE:
            too_long = "its steps take too many different ways" if len(tape.code.lines) >= MOST_LINES else ""
            raise NotPlayable(tape.give_up(", ".join(tape.refused) or too_long or "sums of more than 53 bits"))
        steps = self._kernel()
        given, past = tape.plainly_given(self._held, settings, arriving), self._past(row, arriving)
        done = steps.do(step, row, given, past)
        numbers = [number for *_, carried in done.sends for number in carried]
        if any(isinstance(each, int) and abs(each) > MOST for each in (*done.carried, *numbers)):
            raise NotPlayable("a sum of more than 53 bits")
        if arriving is not None:
            self._check_turnovers(done.turnovers, arriving)
        self._registers[tape.first : tape.registers.first_transit] = done.carried
        if done.curve is not None and (arriving is None or arriving.at_ns == self._market.at_ns[row]):
            self._curve[row] = done.curve
        if arriving is not None:
            take_first(self._pending)
        sends = [Sending(entry, tape.registers.arrival(kind), kind.latency_ns, ()) for entry, kind, _ in done.sends]
        for each, (*_, carried) in zip(sends, done.sends, strict=True):
            if self._pending.length[0] == MOST_PENDING:
                raise NotPlayable(f"more than {MOST_PENDING} sums are on their way at once")
            self._pending.numbers[send(self._pending, steps.at_ns + each.latency_ns, each.kind)] = carried
        if not done.adds.is_empty:
            self._pending.noted_ns[0] = steps.at_ns
            leaf = Leaf(idle=False, adds=done.adds, is_plain=True, sends=sends)
            self._playbacks.append(Playback([leaf], np.array([row]), np.array([0]), np.zeros(0)))

    @property
    def _held(self) -> Floats:
        """What is given to a step: the first registers."""
        return self._registers[: self._tape.registers.inputs]

    def _past(self, row: int, arriving: Arriving | None) -> Past:
        """What has been up to here: the close of a row, or an arrival."""
        at_ns = int(self._market.at_ns[row]) if arriving is None else arriving.at_ns
        return self._tape.past(self._market, at_ns, self._entries)

    def _entries(self) -> Iterator[Entry]:
        """The entries up to here, the latest first."""
        return reversed([entry for entries, _ in self._so_far().added() for entry in entries])

    def _so_far(self) -> Played:
        tape = self._tape
        balances = self._registers[tape.first : tape.first + len(tape.accounts)]
        return tape.made(self._settings, self._market, self._curve, balances, self._playbacks, self._settled)

    def _kernel(self) -> Steps:
        if self._steps is None:
            self._steps = self._tape.steps(self._market, self._settings.strategy)
        return self._steps
