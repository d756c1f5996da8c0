"""The decision tree of a step: registers to compute, comparisons that divide it, and leaves with the results.

The same operation on the same registers has the same register in every branch. Each branch computes the registers that
its question or its leaf needs and that no earlier branch has computed; what nothing needs is never computed.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from framework.tape.numbers import (
    FIRST_PLACE,
    LAST_PLACE,
    MOST,
    NotRecordable,
    Number,
    NumberInText,
    Op,
    Recorded,
)
from framework.tape.pending import TRANSIT_NUMBERS, Sending

if TYPE_CHECKING:
    from framework.tape.transit import Arrival

NOWHERE = -1
"""Stands for a branch that has not been recorded, and for a register that a leaf does not have."""
STEPS = ("start", "row", "end")
"""The kinds of step of every run; each kind of arrival is one more."""


def arrival_step(kind: int) -> str:
    """The name of the step in which a sum of an arrival kind, given by its number, arrives."""
    return f"arrival {kind}"


@frozen(eq=False)
class Leaf:
    """The result of a step that ends here.

    `changes` maps each input that changes to the register of its new value; `curve` is the register of the equity in
    USD at the row's close. `adds` is the `Outline` of what is added to the books, and `outputs` are the registers of
    the numbers in its gaps. An `idle` leaf adds nothing, and nothing is noted of it. `is_plain` marks the result of one
    step that the kernel did on plain numbers.
    """

    changes: Mapping[int, int] = field(factory=dict)
    outputs: Sequence[int] = ()
    curve: int = NOWHERE
    idle: bool = True
    adds: Any = None
    is_plain: bool = False
    sends: Sequence[Sending] = ()
    """The money that it sends."""

    @property
    def is_quiet(self) -> bool:
        """Whether it changes no input and adds nothing to the books, but has an equity."""
        return self.idle and not self.changes and self.curve != NOWHERE


@define(eq=False)
class Branch:
    """Registers that are computed, and then a question or a leaf; neither where nothing has been recorded yet."""

    lines: list[int] = field(factory=list)
    """The registers that are computed, in this order."""
    question: tuple[Op, int, int] | None = None
    """The comparison at its end: operation and two registers."""
    following: "dict[bool, Branch]" = field(factory=dict)
    """The next branch by the answer to the question."""
    leaf: Leaf | None = None
    refused: str = ""
    """Why a step that comes here cannot be recorded; empty where it can."""
    line: int = NOWHERE
    """The line of its question in the code."""

    @property
    def is_recorded(self) -> bool:
        """Whether it has been recorded."""
        return self.question is not None or self.leaf is not None


@define(eq=False)
class Registers:
    """What each register of a tape holds: an input, a constant, or the result of an operation on earlier registers."""

    inputs: int
    """How many of the first registers are given: settings, balances and the state of what accrues."""
    made: list[tuple[Op, int, int] | None] = field(init=False)
    """The operation and its two operands by register; None for inputs and constants."""
    constants: dict[int, float] = field(factory=dict)
    columns: dict[object, int] = field(factory=dict)
    instants: list[int] = field(factory=list)
    texts: dict[NumberInText, str] = field(factory=dict)
    """The characters that stand for numbers in texts."""
    arrivals: "list[Arrival]" = field(factory=list)
    """The kinds of arrival; a place in it is the number of a kind."""

    @made.default
    def _given(self) -> list[tuple[Op, int, int] | None]:
        return [None] * self.inputs

    @cached_property
    def _by_content(self) -> dict[object, int]:
        """The register by what it holds."""
        made = {each: register for register, each in enumerate(self.made) if each is not None}
        return made | {_constant(value): register for register, value in self.constants.items()}

    def constant(self, value: Number) -> int:
        """The register of a constant."""
        key = _constant(value)
        found = self._by_content.get(key)
        if found is None:
            found = self._by_content[key] = self._next(None)
            self.constants[found] = float(value)
        return found

    def of(self, op: Op, left: int, right: int) -> int:
        """The register of the result of an operation."""
        found = self._by_content.get((op, left, right))
        if found is None:
            found = self._by_content[op, left, right] = self._next((op, left, right))
        return found

    def column(self, key: object) -> int:
        """The number of a column."""
        return self.columns.setdefault(key, len(self.columns))

    def instant(self, at_ns: int) -> int:
        """The number of an instant with which the present is compared."""
        if at_ns not in self.instants:
            self.instants.append(at_ns)
        return self.instants.index(at_ns)

    def arrival(self, kind: "Arrival") -> int:
        """The number of a kind of arrival."""
        if kind not in self.arrivals:
            self.arrivals.append(kind)
        return self.arrivals.index(kind)

    @property
    def first_transit(self) -> int:
        """The first of the inputs that hold the numbers of what arrives; these are the last inputs."""
        return self.inputs - TRANSIT_NUMBERS

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of all steps."""
        return (*STEPS, *map(arrival_step, range(len(self.arrivals))))

    def text(self, number: NumberInText) -> str:
        """The character that stands for a number in a text; an empty one where there are no more."""
        if number not in self.texts and FIRST_PLACE + len(self.texts) <= LAST_PLACE:
            self.texts[number] = chr(FIRST_PLACE + len(self.texts))
        return self.texts.get(number, "")

    def initial(self, first: int) -> NDArray[np.float64]:
        """The constants, and 0 for other registers, from the register `first` on; shape (registers, 1)."""
        held = [self.constants.get(register, 0.0) for register in range(first, len(self.made))]
        return np.array(held).reshape(-1, 1)

    def _next(self, made: tuple[Op, int, int] | None) -> int:
        self.made.append(made)
        return len(self.made) - 1


def _constant(value: Number) -> tuple[str, object]:
    """The key of a constant: 0.0 and -0.0 are two."""
    return "constant", value if value > 0 or value < 0 else float(value).hex()


class Way:
    """One path through a tree while a step is done: along branches that are recorded, and where they end it adds some.

    It is the `Recording` of the step's numbers. `asked` divides the tree, and `end` completes it with a leaf.
    """

    def __init__(self, registers: Registers, root: Branch) -> None:
        self._registers = registers
        self._branch = root
        self._is_recorded = root.is_recorded
        self._computed: set[int] = set(root.lines) if self._is_recorded else set()
        self._answers: dict[tuple[Op, int, int], bool] = {}
        self.failed = ""
        self.in_hook = False
        """Whether a hook of the strategy runs. It may not write numbers as text, which it could read."""
        self.values: dict[int, Number] = {}
        """The values of the registers that were used on this way."""
        self.texts: dict[str, NumberInText] = {}
        """The number that each character in a text stands for."""
        self.unread: set[str] = set()
        """The characters in texts that no code can have read."""
        self.grown: tuple[Branch | None, bool, Branch] | None = None if self._is_recorded else (None, True, root)
        """The first branch that it adds, after the branch and the answer before it; None if it adds none."""
        self.answered: list[tuple[Branch, bool]] = []
        """The branches so far, each with the answer to its question."""

    def sending(self, entry: int, kind: "Arrival", numbers: Sequence[Any]) -> Sending:
        """A sum that the step sends: the place of its entry among the step's, its kind, and its three numbers."""
        registers = [each.register if isinstance(each, Recorded) else self.constant(each) for each in numbers]
        return Sending(entry, self._registers.arrival(kind), kind.latency_ns, registers)

    def refuse(self, what: str) -> NoReturn:
        """Give up recording; raises `NotRecordable`, and does so again at the next question if that is caught."""
        self.note(what)
        raise NotRecordable(what)

    def note(self, what: str) -> None:
        """Note why the step cannot be recorded from here on, so that it is not tried again."""
        self.failed = self.failed or what
        if not self._is_recorded:
            self._branch.refused = self.failed

    def constant(self, value: Number) -> int:
        """The register of a constant."""
        if isinstance(value, int) and int(float(value)) != value:
            self.refuse("an integer of more than 53 bits")
        register = self._registers.constant(value)
        self.values[register] = value
        return register

    def made(self, op: Op, value: Number, left: int, right: int) -> Recorded:
        """The result of an operation on two registers."""
        return self.given(self._registers.of(op, left, right), value)

    def given(self, register: int, value: Number) -> Recorded:
        """The number in a register."""
        self.values[register] = value
        return Recorded(self, register, value)

    def loaded(self, column: object, offset: int, value: float) -> Recorded:
        """A value of a column."""
        return self.given(self._registers.of(Op.LOAD, self._registers.column(column), offset), value)

    def found(self, column: object, place: Recorded, value: Number) -> Recorded:
        """The value of a column at a place that is recorded."""
        return self.given(self._registers.of(Op.FIND, place.register, self._registers.column(column)), value)

    def fixed(self, number: Any) -> Any:  # noqa: ANN401  (a number, recorded or not)
        """The plain value of a number, which the way is fixed to by asking whether the number equals it.

        Values that were recorded here before are asked for first, so that all of them are in one tree.
        """
        if not isinstance(number, Recorded):
            return number
        if number.concrete != number.concrete:
            self.refuse("a number of rows is not a number")
        constants = self._registers.constants
        while True:
            asked = self._branch.question if self._is_recorded else None
            register = self.constant(number.concrete)
            if asked is not None and asked[:2] == (Op.EQ, number.register) and asked[2] in constants:
                register = asked[2]
            if self.asked(Op.EQ, number.register, register, answer=constants[register] == number.concrete):
                return number.concrete

    def written(self, number: NumberInText) -> str:
        """The character that stands for a number in a text."""
        if self.in_hook:
            self.refuse("a number is written as text by the strategy")
        place = self._registers.text(number)
        if not place:
            self.refuse("there are too many numbers in texts")
        self.texts[place] = number
        return place

    def since(self, instant_ns: int, *, answer: bool) -> bool:
        """Whether the present is that instant or later."""
        if abs(instant_ns) >= 2**63:
            self.refuse("an instant that does not fit into 64 bits")
        return self.asked(Op.SINCE, self._registers.instant(instant_ns), 0, answer=answer)

    def same_instant(self, *, answer: bool) -> bool:
        """Whether an earlier step has added something to the books at the instant of this one; returns `answer`."""
        return self.asked(Op.SAME_INSTANT, 0, 0, answer=answer)

    def asked(self, op: Op, left: int, right: int, *, answer: bool) -> bool:
        """Go on along the `answer` of a comparison, and return it; a comparison that was asked before adds nothing."""
        if self.failed:
            raise NotRecordable(self.failed)
        key = (op, left, right)
        if key in self._answers:
            return self._answers[key]
        self._answers[key] = answer
        branch = self._branch
        if self._is_recorded:
            if branch.question != key:
                self.refuse("the same numbers led elsewhere: the step depends on something that is not recorded")
        else:
            branch.question = key
            branch.lines = self._needed(() if op in (Op.SINCE, Op.SAME_INSTANT) else (left, right))
        self.answered.append((branch, answer))
        following = branch.following.get(answer)
        if following is None:
            following = branch.following[answer] = Branch()
            self.grown = self.grown or (branch, answer, following)
        self._branch = following
        self._is_recorded = following.is_recorded
        if following.refused:
            self.refuse(following.refused)
        if self._is_recorded:
            self._computed.update(following.lines)
        return answer

    @property
    def is_new(self) -> bool:
        """Whether it has left what was recorded before."""
        return not self._is_recorded

    def end(self, leaf: Leaf) -> bool:
        """End at a leaf; returns whether the leaf is new."""
        if self._is_recorded:
            if self._branch.leaf is None:
                self.refuse("the same numbers led elsewhere: the step depends on something that is not recorded")
            return False
        sending = chain.from_iterable(each.registers for each in leaf.sends)
        equity = [leaf.curve] * (leaf.curve >= 0)
        self._branch.lines = self._needed((*leaf.changes.values(), *leaf.outputs, *sending, *equity))
        self._branch.leaf = leaf
        return True

    def _needed(self, registers: Sequence[int]) -> list[int]:
        """The registers to compute for the given ones and not computed on this way yet, operands first."""
        found: list[int] = []
        waiting = [(each, False) for each in reversed(registers)]
        while waiting:
            register, ready = waiting.pop()
            made = self._registers.made[register]
            if made is None or register in self._computed:
                continue
            op, left, right = made
            if ready or op is Op.LOAD:
                self._computed.add(register)
                found.append(register)
            else:
                operands = (left,) if op is Op.FIND else (right, left)
                waiting += [(register, True), *((each, False) for each in operands)]
        return found


def is_small(value: Number) -> bool:
    """Whether a register can hold a number exactly: any float, and integers of at most 53 bits."""
    return isinstance(value, float) or abs(value) <= MOST
