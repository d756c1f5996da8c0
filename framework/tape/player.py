"""The player: steps as they were recorded, done row after row by one compiled loop over their lines.

Nothing is compiled for a scenario: Numba compiles the loop once for a version of this project, and keeps that beside
this file, or where `NUMBA_CACHE_DIR` says. What it makes of integers is exact, and has no zero below zero.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numba import njit
from numba.extending import register_jitable

from framework.clock import NS_PER_DAY
from framework.market import Floats, Ints
from framework.tape.numbers import MOST, Op
from framework.tape.pending import NONE, Pending

ENDED, UNKNOWN, KERNEL, FULL, BROKEN, CROWDED, HAS_SENT = range(7)
"""Why it stops: the rows have ended; a row takes a way that is not recorded, or one that the kernel has to go; there is
no room for what it has to note; what accrues breaks a rule of the books; too much is on its way at once; or, for its
own use, something was sent."""
ARRIVAL = 3
"""What it says in place of a step, of which start, row and end are 0 to 2, where it stops as something arrives."""
LARGEST = float(MOST)
Compiled = TypeVar("Compiled", bound=Callable[..., Any])
Plain = tuple[Any, ...]
"""Arrays of a named tuple, without its class."""
ADD, SUB, MUL, DIV, IADD, ISUB, IMUL, NEG, ABS, ROUND, SQRT, MAX, MIN = map(int, list(Op)[: Op.LOAD])
LOAD, FIND, LT, LE, EQ, SINCE, AGAIN, LEAF, _ = map(int, list(Op)[Op.LOAD :])
"""The operations of lines, as the compiler takes them."""
CHANGES, CHANGES_END, OUTPUTS, OUTPUTS_END, EQUITY, IDLE, SENDS, SENDS_END, QUIET = range(9)
"""The columns of `spans`: see `Code.spans`."""
INDEX, COMPOUNDING, FACTOR, START, SETTLED, DEBIT, CREDIT, SETTLED_PLACE, DEBIT_PLACE, CREDIT_PLACE = range(10)
"""The columns of `streams`: see `Score`."""
FLOORED, SIGN, FLOORED_PLACE = range(3)
"""The columns of `floors`."""
SIZE, HELD, SCALE, HELD_PLACE = range(4)
"""The columns of `sizes`."""
ROOT, FIRST, STOP, SETTLES = range(4)
"""The columns of the steps that are played: see `play`."""
KIND, NUMBERS = 0, 2
"""The columns of `sends`; the entry is between them."""
LATENCY_NS, CARRIED_TO = 1, 2
"""The columns of `arrivals` that follow `ROOT`."""
FEWEST, BLOCK = 16, 64
"""How many rows are done at once at the beginning of a quiet stretch, and at most."""


class Score(NamedTuple):
    """What is played: see `Code` for the lines and what belongs to them.

    `accruing` are the registers that change as rows pass. `streams` of shape (streams, 10) has of each what accrues:
    the column of its index, whether it compounds, and the registers of its factor, of the index at its start, of what
    is settled, of its debit and of its credit; then which of `accruing` the last three are. `floors` of shape
    (floors, 3) are registers that may not fall below zero, with their sign, and which of `accruing` they are, or -1.
    `sizes` of shape (positions, 4) has the column in which is noted with what position a row begins, the register of a
    balance that is part of it, its atomic units in a coin, and which of `accruing` it is, or -1. `turnovers` of shape
    (accounts, 2) has the column in which is noted what went through an account before a row, one place further, and its
    register.
    """

    lines: Ints
    spans: Ints
    changes: Ints
    outputs: Ints
    sends: Ints
    arrivals: Ints
    quiet: Ints
    quiet_lines: Ints
    steady: Ints
    instants_ns: Ints
    streams: Ints
    accruing: Ints
    floors: Ints
    sizes: Ints
    turnovers: Ints


class Notes(NamedTuple):
    """Where is noted what a step adds to the books: its row, its leaf, and the numbers of that, one after the other."""

    rows: Ints
    leaves: Ints
    values: Floats


def compiled(function: Compiled) -> Compiled:
    """A function that the player calls from outside, compiled once for every process that can read Numba's cache.

    It takes arrays, numbers and plain tuples of them: the index of the cache names the classes of the arguments, and
    one that was moved or renamed since could not be read.
    """
    try:
        made: Any = njit(cache=True, error_model="numpy")(function)
    except RuntimeError:  # there is no directory in which anything can be kept
        made = njit(error_model="numpy")(function)
    found: Compiled = made
    return found


def inner(function: Compiled) -> Compiled:
    """A function that is compiled as part of those that call it, and is one of Python for all others."""
    found: Compiled = register_jitable(error_model="numpy")(function)
    return found


def play(
    score: Score,
    steps: Ints,
    at: int,
    row: int,
    settling: bool,
    registers: Floats,
    columns: Floats,
    at_ns: Ints,
    curve: Floats,
    settled: Ints,
    notes: Notes,
    pending: Pending,
) -> tuple[int, int, int, int, int]:
    """Do one step after another, each after some rows, from the step `at` and its `row` on, `settling` that row or not.

    `steps` of shape (steps, 4) has of each the line at which it begins, its first row and the one after its last, and
    whether it settles the first. Returns why it stops, at which step and row, and how many leaves and values are noted.
    What stops at a row has settled it, and done nothing else of it; what stops at an `ARRIVAL` has settled the rows
    before it, and that which arrives is still the first of what is `pending`. `curve` gets the equity at the close of
    each row, and `settled` what accrued in it, shape (rows, streams), unless it has no rows.
    """
    return play_plain(
        tuple(score), steps, at, row, settling, registers, columns, at_ns, curve, settled, tuple(notes), tuple(pending)
    )


def play_all(
    score: Score,
    steps: Ints,
    given: Floats,
    begun: Floats,
    registers: Floats,
    columns: Floats,
    at_ns: Ints,
    curves: Floats,
    held: Floats,
    notes: Notes,
    ends: Ints,
    pending: Pending,
) -> int:
    """Play one run after another, each from its beginning; returns before which there was no more room for notes.

    `given` of shape (runs, settings) and then `begun` are what the first registers hold at the beginning, and `held` of
    the shape (runs, inputs) gets what they hold at the end. `curves` have the shape (runs, rows). `ends` of shape
    (runs, 3) gets why each run stops, and how many leaves and values are noted at its end.
    """
    return play_all_plain(
        tuple(score), steps, given, begun, registers, columns, at_ns, curves, held, tuple(notes), ends, tuple(pending)
    )


@compiled
def play_plain(
    plain_score: Plain,
    steps: Ints,
    at: int,
    row: int,
    settling: bool,
    registers: Floats,
    columns: Floats,
    at_ns: Ints,
    curve: Floats,
    settled: Ints,
    plain_notes: Plain,
    plain_pending: Plain,
) -> tuple[int, int, int, int, int]:
    """The same as `play`, of plain tuples."""
    score, notes, pending = Score(*plain_score), Notes(*plain_notes), Pending(*plain_pending)
    noted = valued = int(np.int64(0))  # a plain 0 has a type of its own, for which all would be compiled once more
    while True:
        root, stop, follows = steps[at, ROOT], steps[at, STOP], steps[at, SETTLES] != 0
        until = stop
        if follows and pending.length[0] > 0:
            if settling:
                why, noted, valued = let_arrive(
                    score, registers, columns, at_ns, row, curve, notes, pending, noted, valued
                )
                if why != ENDED:
                    return why, ARRIVAL, row, noted, valued
            until = rows_before(pending, at_ns, stop)
        why, row, noted, valued = play_rows(
            score, root, registers, columns, at_ns, row, until, settling, curve, settled, notes, pending, noted, valued
        )
        if why not in (ENDED, HAS_SENT):
            return why, at, row, noted, valued
        if follows and (row < stop or is_due(pending, at_ns, row)):
            settling = True
            continue
        if at + 1 == len(steps):
            return ENDED, at, row, noted, valued
        if at == 0 and steps[1, FIRST] == 0:  # it began before the first row closed
            pending.noted_ns[0] = NONE
        at += 1
        row, settling = steps[at, FIRST], steps[at, SETTLES] != 0


@compiled
def play_all_plain(
    plain_score: Plain,
    steps: Ints,
    given: Floats,
    begun: Floats,
    registers: Floats,
    columns: Floats,
    at_ns: Ints,
    curves: Floats,
    held: Floats,
    plain_notes: Plain,
    ends: Ints,
    plain_pending: Plain,
) -> int:
    """The same as `play_all`, of plain tuples."""
    score, notes, pending = Score(*plain_score), Notes(*plain_notes), Pending(*plain_pending)
    settings = given.shape[1]
    inputs = settings + len(begun)
    first = noted = valued = int(np.int64(0))
    settled = np.zeros((0, len(score.streams)), dtype=np.int64)
    for run in range(len(given)):
        registers[:settings], registers[settings:inputs] = given[run], begun
        room = notes.rows[noted:], notes.leaves[noted:], notes.values[valued:]
        clear(pending)
        why, _, _, leaves, values = play_plain(
            plain_score, steps, first, first, noted < 0, registers, columns, at_ns, curves[run], settled, room,
            plain_pending,
        )  # fmt: skip
        if why == FULL:
            return run
        noted, valued = noted + leaves, valued + values
        held[run] = registers[:inputs]
        ends[run, 0], ends[run, 1], ends[run, 2] = why, noted, valued
    return len(given)


@inner
def play_rows(
    score: Score,
    root: int,
    registers: Floats,
    columns: Floats,
    at_ns: Ints,
    row: int,
    stop: int,
    settling: bool,
    curve: Floats,
    settled: Ints,
    notes: Notes,
    pending: Pending,
    noted: int,
    valued: int,
) -> tuple[int, int, int, int]:
    """Do the step that begins at the line `root` after each of the rows `row` to `stop - 1`, `settling` the first one.

    It stops after a row in which something was sent. `noted` leaves and `valued` values are noted already; see `play`
    for the rest.
    """
    spans = score.spans
    buffer = np.empty(len(registers))
    table = np.empty((score.quiet[:, 5].max() if len(score.quiet) else 0, BLOCK))
    while row < stop:
        if settling:
            if pending.begun[0] != row:
                begin(score, registers, columns, row)
            if not settle(score.streams, score.floors, registers, columns, row, settled):
                return BROKEN, row, noted, valued
        at, why = walk(score.lines, root, registers, columns, at_ns[row], pending.noted_ns[0], score.instants_ns, row)
        if why != ENDED:
            return why, row, noted, valued
        leaf = score.lines[at, 1]
        sends = spans[leaf, SENDS_END] > spans[leaf, SENDS]
        if spans[leaf, IDLE] == 0:
            first, last = spans[leaf, OUTPUTS], spans[leaf, OUTPUTS_END]
            if sends and not has_room(score, leaf, pending):
                return CROWDED, row, noted, valued
            if not note(score.outputs, first, last, registers, row, leaf, notes, noted, valued):
                return FULL, row, noted, valued
            noted, valued, pending.noted_ns[0] = noted + 1, valued + last - first, at_ns[row]
            if sends:
                send_all(score, leaf, registers, at_ns[row], pending)
        if spans[leaf, EQUITY] >= 0:
            curve[row] = registers[spans[leaf, EQUITY]]
        change(score.changes, spans[leaf, CHANGES], spans[leaf, CHANGES_END], registers, buffer)
        row += 1
        if sends:
            return HAS_SENT, row, noted, valued
        settling = True
        if spans[leaf, QUIET] >= 0:
            row = pass_quietly(score, spans[leaf, QUIET], registers, columns, at_ns, row, stop, curve, settled, table)
    return ENDED, row, noted, valued


@inner
def note(
    outputs: Ints, first: int, last: int, registers: Floats, row: int, leaf: int, notes: Notes, noted: int, valued: int
) -> bool:
    """Note a leaf with the outputs `first` to `last - 1`; returns whether there is room for that."""
    if noted >= len(notes.rows) or valued + last - first > len(notes.values):
        return False
    notes.rows[noted], notes.leaves[noted] = row, leaf
    for each in range(first, last):
        notes.values[valued + each - first] = registers[outputs[each, 0]]
    return True


@inner
def change(changes: Ints, first: int, last: int, registers: Floats, buffer: Floats) -> None:
    """Do the changes `first` to `last - 1`, all at once."""
    for each in range(first, last):
        buffer[each - first] = registers[changes[each, 1]]
    for each in range(first, last):
        registers[changes[each, 0]] = buffer[each - first]


@inner
def send_all(score: Score, leaf: int, registers: Floats, now_ns: int, pending: Pending) -> None:
    """Put on its way what a leaf sends, for which there has to be room."""
    for each in range(score.spans[leaf, SENDS], score.spans[leaf, SENDS_END]):
        kind = score.sends[each, KIND]
        place = send(pending, now_ns + score.arrivals[kind, LATENCY_NS], kind)
        for number in range(pending.numbers.shape[1]):
            pending.numbers[place, number] = registers[score.sends[each, NUMBERS + number]]


@inner
def has_room(score: Score, leaf: int, pending: Pending) -> bool:
    """Whether there is room for what a leaf sends."""
    sends = score.spans[leaf, SENDS_END] - score.spans[leaf, SENDS]
    return bool(pending.length[0] + sends <= len(pending.due_ns))


@inner
def send(pending: Pending, due_ns: int, kind: int) -> int:
    """Put something on its way, after all that is due by then, for which there has to be room; returns its place."""
    place = int(pending.length[0])
    while place > 0 and pending.due_ns[place - 1] > due_ns:
        pending.due_ns[place], pending.kinds[place] = pending.due_ns[place - 1], pending.kinds[place - 1]
        pending.numbers[place] = pending.numbers[place - 1]
        place -= 1
    pending.due_ns[place], pending.kinds[place] = due_ns, kind
    pending.length[0] += 1
    return place


@inner
def take_first(pending: Pending) -> None:
    """Take what has arrived from what is on its way."""
    count = pending.length[0]
    for place in range(1, count):
        pending.due_ns[place - 1], pending.kinds[place - 1] = pending.due_ns[place], pending.kinds[place]
        pending.numbers[place - 1] = pending.numbers[place]
    pending.length[0] = count - 1


@inner
def clear(pending: Pending) -> None:
    """Let nothing be on its way, as at the beginning of a run."""
    pending.length[0], pending.begun[0], pending.noted_ns[0] = 0, NONE, NONE


@inner
def is_due(pending: Pending, at_ns: Ints, row: int) -> bool:
    """Whether something arrives before a row closes, or by the close of the last one where there are no more rows.

    What arrives at the close of a row comes after all that is done then.
    """
    due_ns = pending.due_ns[0]
    return bool(pending.length[0] > 0 and (due_ns < at_ns[row] if row < len(at_ns) else due_ns <= at_ns[-1]))


@inner
def rows_before(pending: Pending, at_ns: Ints, stop: int) -> int:
    """How many rows close before the next arrival, or with it; at most `stop`."""
    return stop if pending.length[0] == 0 else min(stop, np.searchsorted(at_ns, pending.due_ns[0], side="right"))


@inner
def let_arrive(
    score: Score,
    registers: Floats,
    columns: Floats,
    at_ns: Ints,
    row: int,
    curve: Floats,
    notes: Notes,
    pending: Pending,
    noted: int,
    valued: int,
) -> tuple[int, int, int]:
    """Let all arrive that is due before a row closes; returns why it stops, and how much is noted then."""
    spans, buffer, before = score.spans, np.empty(len(registers)), row - 1
    while is_due(pending, at_ns, row):
        now_ns, kind = pending.due_ns[0], pending.kinds[0]
        first = score.arrivals[kind, CARRIED_TO]
        for number in range(pending.numbers.shape[1]):
            registers[first + number] = pending.numbers[0, number]
        if pending.begun[0] != row and (before < 0 or now_ns > at_ns[before]):
            begin(score, registers, columns, row)
            pending.begun[0] = row
        is_dated = row < len(at_ns) and now_ns >= at_ns[row] - at_ns[row] % NS_PER_DAY
        if before < 0 or (len(score.turnovers) and not is_dated):
            return KERNEL, noted, valued  # nothing has closed yet, or it is of another day than the row
        at, why = walk(
            score.lines, score.arrivals[kind, ROOT], registers, columns, now_ns, pending.noted_ns[0],
            score.instants_ns, before,
        )  # fmt: skip
        if why != ENDED:
            return why, noted, valued
        leaf = score.lines[at, 1]
        first, last = spans[leaf, OUTPUTS], spans[leaf, OUTPUTS_END]
        if not note(score.outputs, first, last, registers, before, leaf, notes, noted, valued):
            return FULL, noted, valued
        noted, valued, pending.noted_ns[0] = noted + 1, valued + last - first, now_ns
        take_first(pending)
        if not has_room(score, leaf, pending):
            return CROWDED, noted, valued
        send_all(score, leaf, registers, now_ns, pending)
        if now_ns == at_ns[before] and spans[leaf, EQUITY] >= 0:
            curve[before] = registers[spans[leaf, EQUITY]]
        first, last = spans[leaf, CHANGES], spans[leaf, CHANGES_END]
        change(score.changes, first, last, registers, buffer)
    return ENDED, noted, valued


@inner
def pass_quietly(
    score: Score,
    quiet: int,
    registers: Floats,
    columns: Floats,
    at_ns: Ints,
    row: int,
    stop: int,
    curve: Floats,
    settled: Ints,
    table: Floats,
) -> int:
    """Let rows pass that end on the same leaf as the one before, which changes nothing; returns the first of another.

    A block of rows is done at once, line by line. `table` has what changes from row to row, shape (places, rows).
    """
    first, last, first_steady, last_steady, equity = score.quiet[quiet, :5]
    for each in range(first_steady, last_steady):
        table[score.steady[each, 0]] = registers[score.steady[each, 1]]
    count = size = FEWEST
    while count == size and row < stop:
        count = settle_block(score, registers, columns, row, min(size, stop - row), table)
        begin_block(score, registers, columns, row, count, table)
        count = walk_block(score, first, last, columns, at_ns, row, count, table)
        if count == 0:
            break
        curve[row : row + count] = table[equity, :count]
        if len(settled):
            for each in range(len(score.streams)):
                before, path = registers[score.streams[each, SETTLED]], table[score.streams[each, SETTLED_PLACE]]
                for ahead in range(count):
                    settled[row + ahead, each] = path[ahead] - before
                    before = path[ahead]
        for each in range(len(score.accruing)):
            registers[score.accruing[each]] = table[each, count - 1]
        row += count
        if count == size:
            count = size = min(2 * size, BLOCK)
    return row


@inner
def settle_block(score: Score, registers: Floats, columns: Floats, row: int, count: int, table: Floats) -> int:
    """Let what accrues accrue over `count` rows, as `settle` does; returns how many of them the books allow."""
    for each in range(len(score.accruing)):
        table[each, :count] = registers[score.accruing[each]]
    for each in range(len(score.streams)):
        stream = score.streams[each]
        factor = registers[stream[FACTOR]]
        if factor != 0.0:
            start, before = registers[stream[START]], registers[stream[SETTLED]]
            path, debit, credit = table[stream[SETTLED_PLACE]], table[stream[DEBIT_PLACE]], table[stream[CREDIT_PLACE]]
            over = False
            for ahead in range(count):
                index = columns[stream[INDEX], row + ahead + 1]
                after = np.rint(factor * (index / start if stream[COMPOUNDING] else index - start)) + 0.0
                gain = after - before
                path[ahead] = after
                debit[ahead] += gain
                credit[ahead] -= gain
                over |= not max(abs(after), abs(gain), abs(debit[ahead]), abs(credit[ahead])) <= LARGEST
            if over:
                return 0
    for each in range(len(score.floors)):
        sign, place = score.floors[each, SIGN], score.floors[each, FLOORED_PLACE]
        if place >= 0 and (table[place, :count] * sign < 0.0).any():
            return 0
    return count


@inner
def walk_block(  # noqa: PLR0912, PLR0915  (a branch for each operation)
    score: Score, first: int, last: int, columns: Floats, at_ns: Ints, row: int, count: int, table: Floats
) -> int:
    """Do quiet lines for `count` rows; returns for how many of them all is as it was for the row before.

    Further ones have another answer to a question, or need the kernel. The operations are those of `walk`.
    """
    rows, differs = range(count), np.zeros(count, dtype=np.bool_)
    for at in range(first, last):
        op, to, left, right, answer = score.quiet_lines[at]
        made = table[to]
        if op == LOAD:
            if row + right < 0:
                return 0
            for each in rows:
                made[each] = columns[left, row + each + right]
        elif op == FIND:
            for each in rows:
                made[each] = columns[right, min(max(int(table[left, each]), 0), columns.shape[1] - 1)]
        elif op == SINCE:
            for each in rows:
                differs[each] |= (at_ns[row + each] >= score.instants_ns[left]) != answer
        else:
            one, two = table[left], table[right]
            if op == ADD:
                for each in rows:
                    made[each] = one[each] + two[each]
            elif op == SUB:
                for each in rows:
                    made[each] = one[each] - two[each]
            elif op == MUL:
                for each in rows:
                    made[each] = one[each] * two[each]
            elif op == DIV:
                for each in rows:
                    differs[each] |= two[each] == 0.0
                    made[each] = one[each] / two[each]
            elif op == IADD:
                for each in rows:
                    made[each] = one[each] + two[each] + 0.0
                    differs[each] |= not abs(made[each]) <= LARGEST
            elif op == ISUB:
                for each in rows:
                    made[each] = one[each] - two[each] + 0.0
                    differs[each] |= not abs(made[each]) <= LARGEST
            elif op == IMUL:
                for each in rows:
                    made[each] = one[each] * two[each] + 0.0
                    differs[each] |= not abs(made[each]) <= LARGEST
            elif op == NEG:
                for each in rows:
                    made[each] = -one[each]
            elif op == ABS:
                for each in rows:
                    made[each] = abs(one[each])
            elif op == ROUND:
                for each in rows:
                    made[each] = np.rint(one[each]) + 0.0
                    differs[each] |= not abs(made[each]) <= LARGEST
            elif op == SQRT:
                for each in rows:
                    made[each] = np.sqrt(one[each])
            elif op == MAX:
                for each in rows:
                    made[each] = one[each] if one[each] >= two[each] or np.isnan(one[each]) else two[each]
            elif op == MIN:
                for each in rows:
                    made[each] = one[each] if one[each] <= two[each] or np.isnan(one[each]) else two[each]
            elif op == LT:
                for each in rows:
                    differs[each] |= (one[each] < two[each]) != answer
            elif op == LE:
                for each in rows:
                    differs[each] |= (one[each] <= two[each]) != answer
            else:
                for each in rows:
                    differs[each] |= (one[each] == two[each]) != answer
    for each in rows:
        if differs[each]:
            return each
    return count


@inner
def begin(score: Score, registers: Floats, columns: Floats, row: int) -> None:
    """Note with which positions a row begins, and what went through accounts before it."""
    sizes, turnovers = score.sizes, score.turnovers
    for each in range(len(sizes)):
        columns[sizes[each, SIZE], row] = 0.0
    for each in range(len(sizes)):
        columns[sizes[each, SIZE], row] += registers[sizes[each, HELD]] / sizes[each, SCALE]
    for each in range(len(turnovers)):
        columns[turnovers[each, 0], row + 1] = registers[turnovers[each, 1]]


@inner
def begin_block(score: Score, registers: Floats, columns: Floats, row: int, count: int, table: Floats) -> None:
    """As `begin`, for `count` quiet rows and the one after them."""
    begin(score, registers, columns, row)
    sizes, turnovers = score.sizes, score.turnovers
    for each in range(len(sizes)):
        columns[sizes[each, SIZE], row + 1 : row + 1 + count] = 0.0
    for each in range(len(sizes)):
        size, place, scale = columns[sizes[each, SIZE]], sizes[each, HELD_PLACE], sizes[each, SCALE]
        if place >= 0:
            for ahead in range(count):
                size[row + 1 + ahead] += table[place, ahead] / scale
        else:
            held = registers[sizes[each, HELD]] / scale
            for ahead in range(count):
                size[row + 1 + ahead] += held
    for each in range(len(turnovers)):
        columns[turnovers[each, 0], row + 2 : row + 2 + count] = registers[turnovers[each, 1]]


@inner
def settle(streams: Ints, floors: Ints, registers: Floats, columns: Floats, row: int, settled: Ints) -> bool:
    """Let a row pass: what accrues is brought up to it, as `Stream.after` says; returns whether the books allow it."""
    for each in range(len(streams)):
        stream = streams[each]
        factor = registers[stream[FACTOR]]
        if factor != 0.0:
            index, start = columns[stream[INDEX], row + 1], registers[stream[START]]
            after = np.rint(factor * (index / start if stream[COMPOUNDING] else index - start)) + 0.0
            debit, credit = stream[DEBIT], stream[CREDIT]
            gain = after - registers[stream[SETTLED]]
            if gain != 0.0:
                registers[debit] += gain
                registers[credit] -= gain
                registers[stream[SETTLED]] = after
                if len(settled):
                    settled[row, each] = gain
                largest = max(abs(after), abs(gain), abs(registers[debit]), abs(registers[credit]))
                if not largest <= LARGEST:
                    return False
    for each in range(len(floors)):  # noqa: SIM110  (the compiler knows loops better)
        if registers[floors[each, FLOORED]] * floors[each, SIGN] < 0.0:
            return False
    return True


@inner
def walk(  # noqa: PLR0912  (a branch for each operation)
    lines: Ints,
    root: int,
    registers: Floats,
    columns: Floats,
    now_ns: int,
    noted_ns: int,
    instants_ns: Ints,
    row: int,
) -> tuple[int, int]:
    """Go through a tree; returns the line at which it ends, and why it stops there.

    `noted_ns` is the last instant at which something was noted before.
    """
    at = root
    while at >= 0:
        op, to, left, right = lines[at, 0], lines[at, 1], lines[at, 2], lines[at, 3]
        if op <= IMUL:
            first, second = registers[left], registers[right]
            if op == ADD:
                registers[to] = first + second
            elif op == SUB:
                registers[to] = first - second
            elif op == MUL:
                registers[to] = first * second
            elif op == DIV:
                if second == 0.0:
                    return at, KERNEL
                registers[to] = first / second
            else:
                whole = (first + second if op == IADD else first - second if op == ISUB else first * second) + 0.0
                if not abs(whole) <= LARGEST:
                    return at, KERNEL
                registers[to] = whole
            at += 1
        elif op in (LOAD, FIND):
            column, place = (left, row + right) if op == LOAD else (right, int(registers[left]))
            if not 0 <= place < columns.shape[1]:
                return at, KERNEL
            registers[to] = columns[column, place]
            at += 1
        elif op in (NEG, ABS, SQRT):
            value = registers[left]
            registers[to] = -value if op == NEG else abs(value) if op == ABS else np.sqrt(value)
            at += 1
        elif op == ROUND:
            whole = np.rint(registers[left]) + 0.0
            if not abs(whole) <= LARGEST:
                return at, KERNEL
            registers[to] = whole
            at += 1
        elif op in (MAX, MIN):
            first, second = registers[left], registers[right]
            keeps = first >= second if op == MAX else first <= second
            registers[to] = first if keeps or np.isnan(first) else second
            at += 1
        elif op == LT:
            at = to if registers[left] < registers[right] else lines[at, 4]
        elif op == LE:
            at = to if registers[left] <= registers[right] else lines[at, 4]
        elif op == EQ:
            at = to if registers[left] == registers[right] else lines[at, 4]
        elif op == SINCE:
            at = to if now_ns >= instants_ns[left] else lines[at, 4]
        elif op == AGAIN:
            at = to if now_ns == noted_ns else lines[at, 4]
        else:
            return at, ENDED if op == LEAF else KERNEL
    return at, UNKNOWN
