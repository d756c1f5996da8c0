"""The tree of a step: what is computed up to each comparison, and what comes of it at the end of each way through.

Numbers have registers. What is made of the same registers by the same operation has the same register, whatever way a
step takes; on each way a number is computed when it is first needed, and what nothing needs is not computed.
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
from framework.tape.pending import CARRIED, Sending

if TYPE_CHECKING:
    from framework.tape.transit import Arrival

NOWHERE = -1
"""Where a way goes on that has not been recorded."""
STEPS = ("start", "row", "end")
"""The kinds of step that a run has, besides arrivals of what was on its way."""


def arriving(kind: int) -> str:
    """The name of the step in which something of a kind arrives."""
    return f"arrival {kind}"


@frozen(eq=False)
class Leaf:
    """The end of a way: `changes` is register -> register of its new value, `curve` that of the equity of the row.

    `outputs` are the registers of the numbers that are noted of it, unless it is `idle`; `adds` is what they are for.
    One that is `passing` is of a step that the kernel did, and comes up once.
    """

    changes: Mapping[int, int] = field(factory=dict)
    outputs: Sequence[int] = ()
    curve: int = NOWHERE
    idle: bool = True
    adds: Any = None
    passing: bool = False
    sends: Sequence[Sending] = ()
    """What it sends on its way."""

    @property
    def is_quiet(self) -> bool:
        """Whether a row that ends on it changes nothing and adds nothing, and has its equity alone."""
        return self.idle and not self.changes and self.curve != NOWHERE


@define(eq=False)
class Branch:
    """What is computed, and then asked: where it goes on if the answer is yes, and if it is no; or its end."""

    lines: list[int] = field(factory=list)
    """The registers that are computed, in this order."""
    asked: tuple[Op, int, int] | None = None
    ways: "dict[bool, Branch]" = field(factory=dict)
    leaf: Leaf | None = None
    refused: str = ""
    """Why what comes here cannot be recorded."""
    line: int = NOWHERE
    """The line of its question in the code."""

    @property
    def is_known(self) -> bool:
        """Whether it has been recorded."""
        return self.asked is not None or self.leaf is not None


@define(eq=False)
class Registers:
    """What each register holds: an input, a constant, or what is made of others."""

    inputs: int
    """How many of the first registers are given: settings, balances and the state of what accrues."""
    made: list[tuple[Op, int, int] | None] = field(init=False)
    constants: dict[int, float] = field(factory=dict)
    columns: dict[object, int] = field(factory=dict)
    instants: list[int] = field(factory=list)
    texts: dict[NumberInText, str] = field(factory=dict)
    """The characters that stand for numbers in texts."""
    arrivals: "list[Arrival]" = field(factory=list)
    """The kinds of what is on its way for a while."""

    @made.default
    def _given(self) -> list[tuple[Op, int, int] | None]:
        return [None] * self.inputs

    @cached_property
    def _known(self) -> dict[object, int]:
        """The registers by what they hold."""
        made = {each: register for register, each in enumerate(self.made) if each is not None}
        return made | {_constant(value): register for register, value in self.constants.items()}

    def constant(self, value: Number) -> int:
        """The register of a constant."""
        key = _constant(value)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._next(None)
            self.constants[found] = float(value)
        return found

    def of(self, op: Op, left: int, right: int) -> int:
        """The register of what an operation makes."""
        found = self._known.get((op, left, right))
        if found is None:
            found = self._known[op, left, right] = self._next((op, left, right))
        return found

    def column(self, key: object) -> int:
        """The number of a column."""
        return self.columns.setdefault(key, len(self.columns))

    def instant(self, at_ns: int) -> int:
        """The number of an instant that is compared with."""
        if at_ns not in self.instants:
            self.instants.append(at_ns)
        return self.instants.index(at_ns)

    def arrival(self, kind: "Arrival") -> int:
        """The number of a kind of arrival."""
        if kind not in self.arrivals:
            self.arrivals.append(kind)
        return self.arrivals.index(kind)

    @property
    def carried(self) -> int:
        """The first of the inputs that hold the numbers of what arrives; they are the last."""
        return self.inputs - CARRIED

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of all steps."""
        return (*STEPS, *map(arriving, range(len(self.arrivals))))

    def text(self, number: NumberInText) -> str:
        """The character that stands for a number in a text; an empty one where there are no more."""
        if number not in self.texts and FIRST_PLACE + len(self.texts) <= LAST_PLACE:
            self.texts[number] = chr(FIRST_PLACE + len(self.texts))
        return self.texts.get(number, "")

    def initial(self, first: int) -> NDArray[np.float64]:
        """What the registers from one on hold at first, shape (registers, 1)."""
        held = [self.constants.get(register, 0.0) for register in range(first, len(self.made))]
        return np.array(held).reshape(-1, 1)

    def _next(self, made: tuple[Op, int, int] | None) -> int:
        self.made.append(made)
        return len(self.made) - 1


def _constant(value: Number) -> tuple[str, object]:
    """What a constant is known by: a zero has a sign."""
    return "constant", value if value > 0 or value < 0 else float(value).hex()


class Way:
    """One way through a tree while it is being recorded: along what is known, and further."""

    def __init__(self, registers: Registers, root: Branch) -> None:
        self._registers = registers
        self._branch = root
        self._known = root.is_known
        self._computed: set[int] = set(root.lines) if self._known else set()
        self._answers: dict[tuple[Op, int, int], bool] = {}
        self.failed = ""
        self.in_hook = False
        """Whether a hook of the strategy runs, in which numbers are not written as text: it could read that."""
        self.values: dict[int, Number] = {}
        """What registers hold on this way, as far as that was needed."""
        self.texts: dict[str, NumberInText] = {}
        """What the characters for numbers in texts stand for."""
        self.unread: set[str] = set()
        """Those of them in texts that nobody can have read."""
        self.grown: tuple[Branch | None, bool, Branch] | None = None if self._known else (None, True, root)
        """The branch that has grown, at which answer of which other, if one has."""
        self.answered: list[tuple[Branch, bool]] = []
        """The branches that it has passed, each with the answer to its question."""

    def sending(self, entry: int, kind: "Arrival", numbers: Sequence[Any]) -> Sending:
        """What a step sends, by the place of its entry."""
        registers = [each.register if isinstance(each, Recorded) else self.constant(each) for each in numbers]
        return Sending(entry, self._registers.arrival(kind), kind.latency_ns, registers)

    def refuse(self, what: str) -> NoReturn:
        """Give up; whoever catches the exception gives up nevertheless."""
        self.note(what)
        raise NotRecordable(what)

    def note(self, what: str) -> None:
        """Note why what comes now cannot be recorded, so that it is not tried again."""
        self.failed = self.failed or what
        if not self._known:
            self._branch.refused = self.failed

    def constant(self, value: Number) -> int:
        """The register of a constant."""
        if isinstance(value, int) and int(float(value)) != value:
            self.refuse("an integer of more than 53 bits")
        register = self._registers.constant(value)
        self.values[register] = value
        return register

    def made(self, op: Op, value: Number, left: int, right: int) -> Recorded:
        """A number that is made of others."""
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

    def known(self, number: Any) -> Any:  # noqa: ANN401  (a number, recorded or not)
        """The value of a number, fixed for this way: it is asked whether it is that.

        Where other values were recorded here their questions come first, is it 7, is it 14, so that all have one tree.
        """
        if not isinstance(number, Recorded):
            return number
        if number.concrete != number.concrete:
            self.refuse("a number of rows is not a number")
        constants = self._registers.constants
        while True:
            asked = self._branch.asked if self._known else None
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

    def again(self, *, answer: bool) -> bool:
        """The answer to whether an earlier step has added something to the books at this very instant."""
        return self.asked(Op.AGAIN, 0, 0, answer=answer)

    def asked(self, op: Op, left: int, right: int, *, answer: bool) -> bool:
        """The answer of a comparison, which divides the way unless it was asked before."""
        if self.failed:
            raise NotRecordable(self.failed)
        key = (op, left, right)
        if key in self._answers:
            return self._answers[key]
        self._answers[key] = answer
        branch = self._branch
        if self._known:
            if branch.asked != key:
                self.refuse("the same numbers led elsewhere: the step depends on something that is not recorded")
        else:
            branch.asked = key
            branch.lines = self._needed(() if op in (Op.SINCE, Op.AGAIN) else (left, right))
        self.answered.append((branch, answer))
        following = branch.ways.get(answer)
        if following is None:
            following = branch.ways[answer] = Branch()
            self.grown = self.grown or (branch, answer, following)
        self._branch = following
        self._known = following.is_known
        if following.refused:
            self.refuse(following.refused)
        if self._known:
            self._computed.update(following.lines)
        return answer

    @property
    def is_new(self) -> bool:
        """Whether its end has not been recorded yet."""
        return not self._known

    def end(self, leaf: Leaf) -> bool:
        """Come to an end; returns whether it is a new one."""
        if self._known:
            if self._branch.leaf is None:
                self.refuse("the same numbers led elsewhere: the step depends on something that is not recorded")
            return False
        sent = chain.from_iterable(each.registers for each in leaf.sends)
        equity = [leaf.curve] * (leaf.curve >= 0)
        self._branch.lines = self._needed((*leaf.changes.values(), *leaf.outputs, *sent, *equity))
        self._branch.leaf = leaf
        return True

    def _needed(self, registers: Sequence[int]) -> list[int]:
        """The registers behind some that are not computed yet on this way, each after those that it is made of."""
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
    """Whether a number of the books is one that a tape can hold."""
    return isinstance(value, float) or abs(value) <= MOST
