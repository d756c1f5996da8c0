"""The player: a compiled loop that does the recorded steps of a run, row after row.

It interprets the tables of `Code`, so nothing is compiled for a scenario. Numba compiles this module once for a version
of the project, and keeps the result beside this file or in `NUMBA_CACHE_DIR`. Registers are floats; integers in them
are exact up to 2^53, and are never -0.0.
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
"""Why the player stops. `ENDED`: the run is over. `UNKNOWN`: the step leads to a branch that is not recorded. `KERNEL`:
the kernel has to do the step, as for a division by zero. `FULL`: there is no room in the notes. `BROKEN`: what accrues
breaks a floor of the books, or the bound of 53 bits. `CROWDED`: too many sums are in transit. `HAS_SENT`, which is not
returned: a row has sent something."""
ARRIVAL = 3
"""The number of the step where it stops at an arrival; start, row and end have 0 to 2."""
LARGEST = float(MOST)
Compiled = TypeVar("Compiled", bound=Callable[..., Any])
Plain = tuple[Any, ...]
"""Arrays of a named tuple, without its class."""
ADD, SUB, MUL, DIV, IADD, ISUB, IMUL, NEG, ABS, ROUND, SQRT, MAX, MIN = map(int, list(Op)[: Op.LOAD])
LOAD, FIND, LT, LE, EQ, SINCE, SAME_INSTANT, LEAF, _ = map(int, list(Op)[Op.LOAD :])
"""The operations as plain integers, which the compiler takes for constants."""
CHANGES, CHANGES_END, OUTPUTS, OUTPUTS_END, EQUITY, IDLE, SENDS, SENDS_END, QUIET = range(9)
"""The columns of `spans`: see `Code.spans`."""
INDEX, COMPOUNDING, FACTOR, START, SETTLED, DEBIT, CREDIT, SETTLED_PLACE, DEBIT_PLACE, CREDIT_PLACE = range(10)
"""The columns of `streams`: see `Program`."""
FLOORED, SIGN, FLOORED_PLACE = range(3)
"""The columns of `floors`."""
SIZE, HELD, SCALE, HELD_PLACE = range(4)
"""The columns of `sizes`."""
ROOT, FIRST, STOP, SETTLES = range(4)
"""The columns of the steps that are played: see `play`."""
KIND, NUMBERS = 0, 2
"""The columns of `sends`; the entry is between them."""
LATENCY_NS, NUMBERS_TO = 1, 2
"""The columns of `arrivals` that follow `ROOT`."""
FEWEST, BLOCK = 16, 64
"""Rows in the first block of a quiet stretch, and in the largest."""


class Program(NamedTuple):
    """All tables that the player reads; those of `Code` come first and are described there.

    - `streams`, shape (streams, 10), one row for each accrual: the column of its index; whether it compounds; the
      registers of its factor, of the index at its start, of what is settled, of its debit and of its credit; and the
      places of the last three in `accruing`.
    - `accruing`: the registers that accruals change.
    - `floors`, shape (floors, 3): a register that may not fall below zero, its sign, and its place in `accruing` or -1.
    - `sizes`, shape (positions, 4): the column that gets the position in coins at the start of each row; the register
      of a balance that is part of it; the atomic units of one coin; and the place in `accruing` or -1.
    - `turnovers`, shape (accounts, 2): the column that gets, at place row + 1, what went through an account before the
      row; and the register of that.
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
    """Where steps that add to the books are noted: row and leaf of each, and the outputs of all in a row."""

    rows: Ints
    leaves: Ints
    values: Floats


def compiled(function: Compiled) -> Compiled:
    """A function that Numba compiles, and keeps in its cache for other processes.

    Its arguments are numbers, arrays and plain tuples of them. The index of the cache names the classes of arguments,
    and Numba could not read an index with a class of ours that has been moved or renamed since.
    """
    try:
        made: Any = njit(cache=True, error_model="numpy")(function)
    except RuntimeError:  # there is no directory in which anything can be kept
        made = njit(error_model="numpy")(function)
    found: Compiled = made
    return found


def inner(function: Compiled) -> Compiled:
    """A function that is compiled into the compiled ones that call it; called from Python it is plain Python."""
    found: Compiled = register_jitable(error_model="numpy")(function)
    return found


def play(
    program: Program,
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
    """Play a run from the step number `at` and its `row` on, until it ends or something stops it.

    `steps`, shape (steps, 4), has for each step its first line, its first row, the row after its last one, and whether
    it settles rows; `settling` says that of the row to begin with. `curve`, shape (rows,), gets the equity in USD at
    each close, and `settled`, shape (rows, streams), what accrued in atomic units, unless it has no rows.

    Returns why it stops (`ENDED` and the others), the step number and row at which it does, and the number of leaves
    and of values in `notes`. A row at which it stops is settled, and the step after it is not done. At an `ARRIVAL` the
    rows before it are done, and what arrives is still the first of `pending`.
    """
    return play_plain(
        tuple(program), steps, at, row, settling, registers, columns, at_ns, curve, settled, tuple(notes),
        tuple(pending),
    )  # fmt: skip


def play_all(
    program: Program,
    steps: Ints,
    given: Floats,
    initial: Floats,
    registers: Floats,
    columns: Floats,
    at_ns: Ints,
    curves: Floats,
    held: Floats,
    notes: Notes,
    ends: Ints,
    pending: Pending,
) -> int:
    """Play several runs from their start; returns how many, which are fewer than all where `notes` had no more room.

    The inputs of a run are its row of `given`, shape (runs, settings), followed by `initial`. Its row of `held`, shape
    (runs, inputs), gets the inputs at its end, and that of `curves`, shape (runs, rows), its equity. `ends`, shape
    (runs, 3), gets why each run stopped, and the number of leaves and of values in `notes` by then.
    """
    return play_all_plain(
        tuple(program), steps, given, initial, registers, columns, at_ns, curves, held, tuple(notes), ends,
        tuple(pending),
    )  # fmt: skip


@compiled
def play_plain(
    plain_program: Plain,
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
    program, notes, pending = Program(*plain_program), Notes(*plain_notes), Pending(*plain_pending)
    noted = valued = int(np.int64(0))  # a plain 0 has a type of its own, for which all would be compiled once more
    while True:
        root, stop, follows = steps[at, ROOT], steps[at, STOP], steps[at, SETTLES] != 0
        until = stop
        if follows and pending.length[0] > 0:
            if settling:
                why, noted, valued = let_arrive(
                    program, registers, columns, at_ns, row, curve, notes, pending, noted, valued
                )
                if why != ENDED:
                    return why, ARRIVAL, row, noted, valued
            until = rows_before(pending, at_ns, stop)
        why, row, noted, valued = play_rows(
            program, root, registers, columns, at_ns, row, until, settling, curve, settled, notes, pending, noted,
            valued,
        )  # fmt: skip
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
    plain_program: Plain,
    steps: Ints,
    given: Floats,
    initial: Floats,
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
    program, notes, pending = Program(*plain_program), Notes(*plain_notes), Pending(*plain_pending)
    settings = given.shape[1]
    inputs = settings + len(initial)
    first = noted = valued = int(np.int64(0))
    settled = np.zeros((0, len(program.streams)), dtype=np.int64)
    for run in range(len(given)):
        registers[:settings], registers[settings:inputs] = given[run], initial
        room = notes.rows[noted:], notes.leaves[noted:], notes.values[valued:]
        clear(pending)
        why, _, _, leaves, values = play_plain(
            plain_program, steps, first, first, noted < 0, registers, columns, at_ns, curves[run], settled, room,
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
    program: Program,
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
    """Do the step whose first line is `root` after each of the rows `row` to `stop - 1`, or until one sends something.

    `noted` leaves and `valued` values are in `notes` already. Returns why it stops, the next row, and both numbers.
    """
    spans = program.spans
    buffer = np.empty(len(registers))
    table = np.empty((program.quiet[:, 5].max() if len(program.quiet) else 0, BLOCK))
    while row < stop:
        if settling:
            if pending.started_row[0] != row:
                note_start(program, registers, columns, row)
            if not settle(program.streams, program.floors, registers, columns, row, settled):
                return BROKEN, row, noted, valued
        at, why = walk(
            program.lines, root, registers, columns, at_ns[row], pending.noted_ns[0], program.instants_ns, row
        )
        if why != ENDED:
            return why, row, noted, valued
        leaf = program.lines[at, 1]
        sends = spans[leaf, SENDS_END] > spans[leaf, SENDS]
        if spans[leaf, IDLE] == 0:
            first, last = spans[leaf, OUTPUTS], spans[leaf, OUTPUTS_END]
            if sends and not has_room(program, leaf, pending):
                return CROWDED, row, noted, valued
            if not note(program.outputs, first, last, registers, row, leaf, notes, noted, valued):
                return FULL, row, noted, valued
            noted, valued, pending.noted_ns[0] = noted + 1, valued + last - first, at_ns[row]
            if sends:
                send_all(program, leaf, registers, at_ns[row], pending)
        if spans[leaf, EQUITY] >= 0:
            curve[row] = registers[spans[leaf, EQUITY]]
        change(program.changes, spans[leaf, CHANGES], spans[leaf, CHANGES_END], registers, buffer)
        row += 1
        if sends:
            return HAS_SENT, row, noted, valued
        settling = True
        if spans[leaf, QUIET] >= 0:
            row = play_quiet_rows(
                program, spans[leaf, QUIET], registers, columns, at_ns, row, stop, curve, settled, table
            )
    return ENDED, row, noted, valued


@inner
def note(
    outputs: Ints, first: int, last: int, registers: Floats, row: int, leaf: int, notes: Notes, noted: int, valued: int
) -> bool:
    """Note a leaf with its outputs, the rows `first` to `last - 1` of `outputs`; returns whether there was room."""
    if noted >= len(notes.rows) or valued + last - first > len(notes.values):
        return False
    notes.rows[noted], notes.leaves[noted] = row, leaf
    for each in range(first, last):
        notes.values[valued + each - first] = registers[outputs[each, 0]]
    return True


@inner
def change(changes: Ints, first: int, last: int, registers: Floats, buffer: Floats) -> None:
    """Make the changes `first` to `last - 1` at once: all new values are read before any is written."""
    for each in range(first, last):
        buffer[each - first] = registers[changes[each, 1]]
    for each in range(first, last):
        registers[changes[each, 0]] = buffer[each - first]


@inner
def send_all(program: Program, leaf: int, registers: Floats, now_ns: int, pending: Pending) -> None:
    """Add to `pending` what a leaf sends; there has to be room."""
    for each in range(program.spans[leaf, SENDS], program.spans[leaf, SENDS_END]):
        kind = program.sends[each, KIND]
        place = send(pending, now_ns + program.arrivals[kind, LATENCY_NS], kind)
        for number in range(pending.numbers.shape[1]):
            pending.numbers[place, number] = registers[program.sends[each, NUMBERS + number]]


@inner
def has_room(program: Program, leaf: int, pending: Pending) -> bool:
    """Whether there is room for what a leaf sends."""
    sends = program.spans[leaf, SENDS_END] - program.spans[leaf, SENDS]
    return bool(pending.length[0] + sends <= len(pending.due_ns))


@inner
def send(pending: Pending, due_ns: int, kind: int) -> int:
    """Insert an arrival of a kind in `pending`, in order of the time at which it is due; returns its place.

    There has to be room. The caller sets its numbers.
    """
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
    """Remove the first arrival from `pending`."""
    count = pending.length[0]
    for place in range(1, count):
        pending.due_ns[place - 1], pending.kinds[place - 1] = pending.due_ns[place], pending.kinds[place]
        pending.numbers[place - 1] = pending.numbers[place]
    pending.length[0] = count - 1


@inner
def clear(pending: Pending) -> None:
    """Empty `pending`, as at the start of a run."""
    pending.length[0], pending.started_row[0], pending.noted_ns[0] = 0, NONE, NONE


@inner
def is_due(pending: Pending, at_ns: Ints, row: int) -> bool:
    """Whether something arrives before `row` closes; after the last row, whether it arrives by the last close.

    An arrival at the instant of a close comes after the step of that row.
    """
    due_ns = pending.due_ns[0]
    return bool(pending.length[0] > 0 and (due_ns < at_ns[row] if row < len(at_ns) else due_ns <= at_ns[-1]))


@inner
def rows_before(pending: Pending, at_ns: Ints, stop: int) -> int:
    """How many rows close by the time of the next arrival; at most `stop`."""
    return stop if pending.length[0] == 0 else min(stop, np.searchsorted(at_ns, pending.due_ns[0], side="right"))


@inner
def let_arrive(
    program: Program,
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
    """Do the steps of all arrivals before a row closes; returns why it stops, `noted` and `valued` by then."""
    spans, buffer, before = program.spans, np.empty(len(registers)), row - 1
    while is_due(pending, at_ns, row):
        now_ns, kind = pending.due_ns[0], pending.kinds[0]
        first = program.arrivals[kind, NUMBERS_TO]
        for number in range(pending.numbers.shape[1]):
            registers[first + number] = pending.numbers[0, number]
        if pending.started_row[0] != row and (before < 0 or now_ns > at_ns[before]):
            note_start(program, registers, columns, row)
            pending.started_row[0] = row
        is_dated = row < len(at_ns) and now_ns >= at_ns[row] - at_ns[row] % NS_PER_DAY
        if before < 0 or (len(program.turnovers) and not is_dated):
            return KERNEL, noted, valued  # nothing has closed yet, or it is of another day than the row
        at, why = walk(
            program.lines, program.arrivals[kind, ROOT], registers, columns, now_ns, pending.noted_ns[0],
            program.instants_ns, before,
        )  # fmt: skip
        if why != ENDED:
            return why, noted, valued
        leaf = program.lines[at, 1]
        first, last = spans[leaf, OUTPUTS], spans[leaf, OUTPUTS_END]
        if not note(program.outputs, first, last, registers, before, leaf, notes, noted, valued):
            return FULL, noted, valued
        noted, valued, pending.noted_ns[0] = noted + 1, valued + last - first, now_ns
        take_first(pending)
        if not has_room(program, leaf, pending):
            return CROWDED, noted, valued
        send_all(program, leaf, registers, now_ns, pending)
        if now_ns == at_ns[before] and spans[leaf, EQUITY] >= 0:
            curve[before] = registers[spans[leaf, EQUITY]]
        first, last = spans[leaf, CHANGES], spans[leaf, CHANGES_END]
        change(program.changes, first, last, registers, buffer)
    return ENDED, noted, valued


@inner
def play_quiet_rows(
    program: Program,
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
    """Play rows that end on the same quiet leaf as the row before them; returns the first row that may end on another.

    Rows are done in blocks, one quiet line for all rows of a block. `table`, shape (places, rows), has the registers
    that differ between these rows.
    """
    first, last, first_steady, last_steady, equity = program.quiet[quiet, :5]
    for each in range(first_steady, last_steady):
        table[program.steady[each, 0]] = registers[program.steady[each, 1]]
    count = size = FEWEST
    while count == size and row < stop:
        count = settle_block(program, registers, columns, row, min(size, stop - row), table)
        note_block_starts(program, registers, columns, row, count, table)
        count = walk_block(program, first, last, columns, at_ns, row, count, table)
        if count == 0:
            break
        curve[row : row + count] = table[equity, :count]
        if len(settled):
            for each in range(len(program.streams)):
                before, path = registers[program.streams[each, SETTLED]], table[program.streams[each, SETTLED_PLACE]]
                for ahead in range(count):
                    settled[row + ahead, each] = path[ahead] - before
                    before = path[ahead]
        for each in range(len(program.accruing)):
            registers[program.accruing[each]] = table[each, count - 1]
        row += count
        if count == size:
            count = size = min(2 * size, BLOCK)
    return row


@inner
def settle_block(program: Program, registers: Floats, columns: Floats, row: int, count: int, table: Floats) -> int:
    """Settle `count` rows at once, as `settle` does; returns `count`, or 0 where one of them is `BROKEN`."""
    for each in range(len(program.accruing)):
        table[each, :count] = registers[program.accruing[each]]
    for each in range(len(program.streams)):
        stream = program.streams[each]
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
    for each in range(len(program.floors)):
        sign, place = program.floors[each, SIGN], program.floors[each, FLOORED_PLACE]
        if place >= 0 and (table[place, :count] * sign < 0.0).any():
            return 0
    return count


@inner
def walk_block(  # noqa: PLR0912, PLR0915  (a branch for each operation)
    program: Program, first: int, last: int, columns: Floats, at_ns: Ints, row: int, count: int, table: Floats
) -> int:
    """Do the quiet lines `first` to `last - 1` for `count` rows; returns how many rows end on the same leaf.

    The next one has another answer to a question, or needs the kernel. The operations are those of `walk`.
    """
    rows, differs = range(count), np.zeros(count, dtype=np.bool_)
    for at in range(first, last):
        op, to, left, right, answer = program.quiet_lines[at]
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
                differs[each] |= (at_ns[row + each] >= program.instants_ns[left]) != answer
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
def note_start(program: Program, registers: Floats, columns: Floats, row: int) -> None:
    """Note in `columns` the positions at the start of a row, and what went through accounts before it."""
    sizes, turnovers = program.sizes, program.turnovers
    for each in range(len(sizes)):
        columns[sizes[each, SIZE], row] = 0.0
    for each in range(len(sizes)):
        columns[sizes[each, SIZE], row] += registers[sizes[each, HELD]] / sizes[each, SCALE]
    for each in range(len(turnovers)):
        columns[turnovers[each, 0], row + 1] = registers[turnovers[each, 1]]


@inner
def note_block_starts(
    program: Program, registers: Floats, columns: Floats, row: int, count: int, table: Floats
) -> None:
    """As `note_start`, for `count` quiet rows and the one after them."""
    note_start(program, registers, columns, row)
    sizes, turnovers = program.sizes, program.turnovers
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
    """Settle what accrues up to the close of a row, as `Stream.after` does; returns False for `BROKEN`."""
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
    """Do a step from the line `root` on; returns the line of its leaf and `ENDED`, or where and why it stops.

    `now_ns` is the instant of the step, and `noted_ns` the last one at which a step added something to the books.
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
        elif op == SAME_INSTANT:
            at = to if now_ns == noted_ns else lines[at, 4]
        else:
            return at, ENDED if op == LEAF else KERNEL
    return at, UNKNOWN
