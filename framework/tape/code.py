"""The code: the trees as tables of integers for the player, which grow as ways are recorded."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framework.tape.numbers import Op
from framework.tape.pending import TRANSIT_NUMBERS
from framework.tape.tree import NOWHERE, Branch, Leaf, Registers, Way, arrival_step

OF_ONE = (Op.NEG, Op.ABS, Op.ROUND, Op.SQRT, Op.FIND)
"""Operations that have one operand; what else the last of them has is the number of a column."""


class Code:
    """Trees as they are played, to which ways are added at the end.

    `lines` has shape (lines, 5): operation, register, two operands, and where a no goes; a question goes on at its
    `register` after a yes. A way that is not recorded is `NOWHERE`.

    A quiet leaf has *quiet lines* besides: those lines before it whose result can differ between one row and the next.
    Their operands are places of a scratch table with a column for each of several rows, and a question has the answer
    that leads to the leaf.
    """

    def __init__(self, registers: Registers, accruing: Sequence[int] = ()) -> None:
        self._registers = registers
        self._accruing = accruing
        self._lines: Table = Table(5, np.int64)
        self._spans: Table = Table(9, np.int64)
        self._changes: Table = Table(2, np.int64)
        self._outputs: Table = Table(1, np.int64)
        self._sends: Table = Table(2 + TRANSIT_NUMBERS, np.int64)
        self._quiet: Table = Table(6, np.int64)
        self._quiet_lines: Table = Table(5, np.int64)
        self._steady: Table = Table(2, np.int64)
        self._initial: Table = Table.of(registers.initial(0))
        self.leaves: list[Leaf] = []
        self.roots: dict[str, int] = {}

    def add(self, step: str, way: Way) -> None:
        """Add what a way has grown to the tree of a step."""
        if way.grown is None:
            return
        parent, answer, branch = way.grown
        start = len(self._lines)
        if parent is None:
            self.roots[step] = start
        else:
            self._lines.rows[parent.line, 1 if answer else 4] = start
        while True:
            for register in branch.lines:
                made = self._registers.made[register]
                assert made is not None
                self._lines.add([made[0], register, made[1], made[2], 0])
            if branch.question is None:
                break
            op, left, right = branch.question
            branch.line = len(self._lines)
            ((said, following),) = branch.following.items()
            goes = branch.line + 1
            self._lines.add([op, goes if said else NOWHERE, left, right, NOWHERE if said else goes])
            branch = following
        if branch.leaf is None:
            self._lines.add([Op.UNRECORDED, 0, 0, 0, 0])
        else:
            self._lines.add([Op.LEAF, self._add_leaf(branch.leaf, [*way.answered, (branch, True)]), 0, 0, 0])
        for held in self._registers.initial(len(self._initial)):
            self._initial.add(held)

    def restore(
        self,
        roots: Mapping[str, int],
        leaves: Sequence[Leaf],
        lines: NDArray[np.int64],
        spans: NDArray[np.int64],
        changes: NDArray[np.int64],
        outputs: NDArray[np.int64],
        sends: NDArray[np.int64],
    ) -> None:
        """Have what there was before, in another process, instead of nothing; `spans` are without their quiet lines."""
        self.roots, self.leaves = dict(roots), list(leaves)
        tables = lines, np.column_stack((spans, np.full(len(spans), NOWHERE))), changes, outputs, sends
        self._lines, self._spans, self._changes, self._outputs, self._sends = map(Table.of, tables)
        starts, came = self._starts(), np.full(len(lines) + 1, NOWHERE)
        asked = np.flatnonzero((lines[:, 0] >= Op.LT) & (lines[:, 0] < Op.LEAF))
        for goes in (1, 4):
            came[lines[asked, goes]] = asked
        for end in np.flatnonzero(lines[:, 0] == Op.LEAF).tolist():
            number = lines[end, 1]
            if self.leaves[number].is_quiet:
                self._spans.rows[number, -1] = self._add_quiet_lines(
                    self.leaves[number], self._answered(end, starts, came)
                )

    def trees(self) -> dict[str, Branch]:
        """The trees of the steps, of which its lines are made; those of steps without any are empty."""
        found: dict[int, Branch] = {}
        for end, start in reversed(self._starts().items()):
            branch = found[start] = self._branch(start, end)
            if branch.question is not None:
                ways = {True: self.lines[end, 1], False: self.lines[end, 4]}
                branch.following = {answer: found[goes] for answer, goes in ways.items() if goes != NOWHERE}
        return {step: found[self.roots[step]] if step in self.roots else Branch() for step in self._registers.steps}

    def _starts(self) -> dict[int, int]:
        """The last line of each branch, with its first."""
        ends = np.flatnonzero(self.lines[:, 0] >= Op.LT).tolist()
        return dict(zip(ends, [0, *(each + 1 for each in ends)], strict=False))

    def _branch(self, start: int, end: int) -> Branch:
        """A branch by its lines, without where it goes on."""
        computed = self.lines[start:end, 1].tolist()
        op, to, left, right, _ = self.lines[end].tolist()
        if op == Op.LEAF:
            return Branch(computed, leaf=self.leaves[to])
        if op == Op.UNRECORDED:
            return Branch(computed, refused="it could not be recorded")
        return Branch(computed, question=(Op(op), left, right), line=end)

    def _answered(self, end: int, starts: Mapping[int, int], came: NDArray[np.int64]) -> list[tuple[Branch, bool]]:
        """The branches on the way to a leaf, with their answers; `came` is the question before each line."""
        found = [(self._branch(starts[end], end), True)]
        while (asked := int(came[starts[end]])) != NOWHERE:
            found.append((self._branch(starts[asked], asked), bool(self.lines[asked, 1] == starts[end])))
            end = asked
        return found[::-1]

    def _add_leaf(self, leaf: Leaf, answered: Sequence[tuple[Branch, bool]]) -> int:
        """The number of a leaf that is added, at the end of branches with their answers."""
        first = len(self._changes), len(self._outputs), len(self._sends)
        for pair in leaf.changes.items():
            self._changes.add(list(pair))
        for register in leaf.outputs:
            self._outputs.add([register])
        for each in leaf.sends:
            self._sends.add([each.kind, each.entry, *each.registers])
        quiet = self._add_quiet_lines(leaf, answered) if leaf.is_quiet else NOWHERE
        spans = [first[0], len(self._changes), first[1], len(self._outputs), leaf.curve, int(leaf.idle)]
        self._spans.add([*spans, first[2], len(self._sends), quiet])
        self.leaves.append(leaf)
        return len(self.leaves) - 1

    def _add_quiet_lines(self, leaf: Leaf, answered: Sequence[tuple[Branch, bool]]) -> int:
        """The number of a leaf among those with quiet lines, which it gets."""
        first, first_steady = len(self._quiet_lines), len(self._steady)
        places = {register: place for place, register in enumerate(self._accruing)}
        changing = set(places)

        def place(register: int) -> int:
            return places.setdefault(register, len(places))

        for branch, answer in answered:
            for register in branch.lines:
                made = self._registers.made[register]
                assert made is not None
                op, left, right = made
                if op is Op.LOAD:
                    self._quiet_lines.add([op, place(register), left, right, 0])
                elif not changing.isdisjoint((left,) if op in OF_ONE else (left, right)):
                    second = right if op in OF_ONE else place(right)
                    self._quiet_lines.add([op, place(register), place(left), second, 0])
                else:
                    continue
                changing.add(register)
            if branch.question is not None:
                op, left, right = branch.question
                if op is Op.SINCE:
                    self._quiet_lines.add([op, 0, left, 0, int(answer)])
                elif not changing.isdisjoint((left, right)):
                    self._quiet_lines.add([op, 0, place(left), place(right), int(answer)])
        equity = place(leaf.curve)
        for register, each in places.items():
            if register not in changing:
                self._steady.add([each, register])
        self._quiet.add([first, len(self._quiet_lines), first_steady, len(self._steady), equity, len(places)])
        return len(self._quiet) - 1

    @property
    def lines(self) -> NDArray[np.int64]:
        """The lines, shape (lines, 5)."""
        return self._lines.rows

    @property
    def spans(self) -> NDArray[np.int64]:
        """Of each leaf, shape (leaves, 9): first and end of its changes, of its outputs, its equity, if it is idle,
        first and end of what it sends, and its number among those with quiet lines.
        """
        return self._spans.rows

    @property
    def changes(self) -> NDArray[np.int64]:
        """Register and where its new value is, shape (changes, 2)."""
        return self._changes.rows

    @property
    def outputs(self) -> NDArray[np.int64]:
        """Where outputs are, shape (outputs, 1)."""
        return self._outputs.rows

    @property
    def sends(self) -> NDArray[np.int64]:
        """What leaves send, shape (sends, 5): its kind, the place of its entry, and where its numbers are."""
        return self._sends.rows

    @property
    def arrivals(self) -> NDArray[np.int64]:
        """Of each kind of arrival, shape (kinds, 3): the root of its tree, how long it takes, where its numbers go."""
        found = [
            (self.roots.get(arrival_step(number), NOWHERE), each.latency_ns, self._registers.first_transit)
            for number, each in enumerate(self._registers.arrivals)
        ]
        return np.array(found, dtype=np.int64).reshape(-1, 3)

    @property
    def quiet(self) -> NDArray[np.int64]:
        """Of each leaf with quiet lines, shape (leaves, 6): first and end of these, and of what is steady meanwhile;
        the place of its equity, and how many places there are.
        """
        return self._quiet.rows

    @property
    def quiet_lines(self) -> NDArray[np.int64]:
        """Operation, place, two operands, and the answer of a question, shape (lines, 5)."""
        return self._quiet_lines.rows

    @property
    def steady(self) -> NDArray[np.int64]:
        """Place and register of what is the same in each row, shape (registers, 2)."""
        return self._steady.rows

    @property
    def initial(self) -> NDArray[np.float64]:
        """What the registers hold at first, shape (registers,)."""
        return self._initial.rows[:, 0]

    @property
    def instants_ns(self) -> NDArray[np.int64]:
        """The instants that are compared with."""
        return np.array(self._registers.instants, dtype=np.int64)


class Table:
    """Rows of an array to which rows are added."""

    def __init__(self, width: int, kind: type) -> None:
        self._room: NDArray[Any] = np.zeros((64, width), dtype=kind)
        self._count = 0

    @classmethod
    def of(cls, rows: NDArray[Any]) -> "Table":
        """These rows to begin with."""
        found = cls(rows.shape[1], rows.dtype.type)
        found._room, found._count = np.concatenate((rows, found._room)), len(rows)
        return found

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> NDArray[Any]:
        """All of them, shape (rows, width)."""
        return self._room[: self._count]

    def add(self, row: Sequence[float]) -> None:
        """Add a row at the end."""
        if self._count == len(self._room):
            self._room = np.concatenate((self._room, np.zeros_like(self._room)))
        self._room[self._count] = row
        self._count += 1
