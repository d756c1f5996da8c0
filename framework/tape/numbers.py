"""Recorded numbers: they stand where numbers would, and note each operation so that it can be repeated on others.

A recorded number has the value that it would have, and stands where a float or an int would. Arithmetic on it is noted
in a `Recording`; a comparison answers with a plain bool, and that answer is noted as well. Whatever else is asked of
it, such as its digits as text, cannot be recorded and raises `NotRecordable`.
"""

import math
import numbers
import operator
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from functools import reduce
from opcode import opmap
from typing import Any, Literal, NoReturn, Protocol

import numpy as np
from attrs import define, frozen
from numpy.typing import NDArray

Number = int | float
MOST = 2**53
"""Integers up to here are floats without a loss; beyond it nothing is recorded and nothing is played."""
LONGEST = 128
"""A history of more rows is not recorded: each of them is a line, and each shorter one of the first rows a way."""


SUM_COMPENSATES = sys.version_info >= (3, 12)
"""Whether `sum` makes up for what is lost in adding floats; of recorded numbers it cannot."""


BINARY_OP = opmap["BINARY_OP"]


def _is_summing() -> bool:
    """Whether `sum` is adding: it has no frame, so its caller is at a call there and not at an operator `+`."""
    frame = sys._getframe(2)  # noqa: SLF001  (it is the interpreter's own way)
    return "sum" in frame.f_code.co_names and frame.f_code.co_code[frame.f_lasti] != BINARY_OP


class NotRecordable(Exception):  # noqa: N818  (it is no error of anybody's)
    """A step does something that cannot be recorded; the message says what."""


class Op(IntEnum):
    """The operation of a line of code; those with `I` are on integers, whose results have to stay below `MOST`."""

    ADD = 0
    SUB = 1
    MUL = 2
    DIV = 3
    IADD = 4
    ISUB = 5
    IMUL = 6
    NEG = 7
    ABS = 8
    ROUND = 9
    SQRT = 10
    MAX = 11
    MIN = 12
    LOAD = 13
    FIND = 14
    LT = 15
    LE = 16
    EQ = 17
    SINCE = 18
    SAME_INSTANT = 19
    LEAF = 20
    UNRECORDED = 21


class Recording(Protocol):
    """Where recorded numbers are noted."""

    in_hook: bool
    """Whether the strategy is at work, which could read a text that it gets."""
    unread: set[str]
    """The characters of those numbers in texts that nobody can have read."""

    def made(self, op: Op, value: Number, left: int, right: int) -> "Recorded":
        """A number that is made of those in the registers `left` and `right`."""

    def constant(self, value: Number) -> int:
        """The register of a number that is always the same."""

    def loaded(self, column: object, offset: int, value: float) -> "Recorded":
        """The value of a column at the present row and so many further."""

    def found(self, column: object, place: "Recorded", value: Number) -> "Recorded":
        """The value of a column at a place that is recorded."""

    def asked(self, op: Op, left: int, right: int, *, answer: bool) -> bool:
        """The answer of a comparison, which holds for what is recorded after it."""

    def since(self, instant_ns: int, *, answer: bool) -> bool:
        """The answer to whether the present is that instant or later."""

    def written(self, number: "NumberInText") -> str:
        """The character that stands for a number in a text."""

    def refuse(self, what: str) -> NoReturn:
        """Give up recording; raises `NotRecordable`."""


def refused(what: str) -> Callable[..., NoReturn]:
    """A method that gives up recording."""

    def method(self: Any, *_: object) -> NoReturn:  # noqa: ANN401  (a recorded number, row or time)
        recording: Recording = self.recording
        recording.refuse(what)

    return method


class Unreadable:
    """A value that may be used only in ways that are noted: any other use is refused."""

    __slots__ = ()
    __array_ufunc__ = None
    __hash__ = refused("a number is used as a key")
    __float__ = __int__ = __index__ = __complex__ = refused("a number is converted")
    __str__ = __repr__ = refused("a number is written as text")
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = refused("a number is divided to a whole one")
    __pow__ = __rpow__ = refused("a power of a number is taken")
    __trunc__ = __floor__ = __ceil__ = refused("a number is rounded up or down")
    __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = __invert__ = refused("the bits of a number are shifted")
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = refused("the bits of a number are combined")
    __reduce_ex__ = refused("a number is stored")

    def __format__(self, form: str) -> str:
        recording: Recording = self.recording
        recording.refuse("a number is written as text")

    def __getattr__(self, name: str) -> NoReturn:
        recording: Recording = self.recording
        recording.refuse(f"what is recorded is asked for its {name}")


class Recorded(Unreadable):
    """A recorded number: its value now, and the register that has its value when the tape is played.

    Its own attributes have names that nobody asks a number for, as some code does for `value`.
    """

    __slots__ = ("concrete", "recording", "register")

    def __init__(self, recording: Recording, register: int, value: Number) -> None:
        self.recording, self.register, self.concrete = recording, register, value

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The class of its value: what asks for the type of a number gets the answer that the number would give."""
        return type(self.concrete)

    def reduced(self, op: Op, other: object) -> Any:  # noqa: ANN401  (a number)
        """The larger one, or the smaller one."""
        return self._with(op, other)

    def _with(self, op: Op, other: object, *, turned: bool = False) -> Any:  # noqa: ANN401  (a number or NotImplemented)
        found = self._operand(other)
        if found is None:
            return NotImplemented
        register, value = found
        pairs = ((self.register, self.concrete), (register, value))
        (left, first), (right, second) = pairs[::-1] if turned else pairs
        if op is Op.DIV and not second:
            self.recording.refuse("a division by zero")
        made = _MADE[op](first, second)
        if isinstance(made, int):
            op = _OF_INTEGERS.get(op, op)
            if abs(made) > MOST:
                self.recording.refuse("an integer of more than 53 bits")
        return self.recording.made(op, made, left, right)

    def _operand(self, other: object) -> tuple[int, Number] | None:
        if isinstance(other, Recorded):
            return other.register, other.concrete
        if isinstance(other, np.float64 | np.int64 | np.bool_):
            other = other.item()
        if type(other) in (int, float, bool):
            number: Any = other
            return self.recording.constant(number), number
        if isinstance(other, np.ndarray | np.generic | numbers.Number):
            self.recording.refuse(f"a number meets a {type(other).__name__}")
        return None

    def __add__(self, other: object) -> Any:  # noqa: ANN401
        if SUM_COMPENSATES and _is_summing():
            self._refuse_sum(other)
        return self._with(Op.ADD, other)

    def __radd__(self, other: object) -> Any:  # noqa: ANN401
        if SUM_COMPENSATES and ((type(other) is int and not other) or _is_summing()):
            self._refuse_sum(other)
        return self._with(Op.ADD, other, turned=True)

    def _refuse_sum(self, other: object) -> None:
        """Refuse what `sum` adds to floats, or floats that it adds."""
        if isinstance(self.concrete, float) or isinstance(getattr(other, "concrete", other), float):
            self.recording.refuse("`sum` adds floats, which it does otherwise than `+`")

    def __sub__(self, other: object) -> Any:  # noqa: ANN401
        return self._with(Op.SUB, other)

    def __rsub__(self, other: object) -> Any:  # noqa: ANN401
        return self._with(Op.SUB, other, turned=True)

    def __mul__(self, other: object) -> Any:  # noqa: ANN401
        return self._with(Op.MUL, other)

    def __rmul__(self, other: object) -> Any:  # noqa: ANN401
        return self._with(Op.MUL, other, turned=True)

    def __truediv__(self, other: object) -> Any:  # noqa: ANN401
        return self._with(Op.DIV, other)

    def __rtruediv__(self, other: object) -> Any:  # noqa: ANN401
        return self._with(Op.DIV, other, turned=True)

    def __floordiv__(self, other: object) -> Any:  # noqa: ANN401
        """An integer by one above 0: the nearest whole number, or the one before where that is too much."""
        if not isinstance(self.concrete, int) or type(other) is not int or other <= 0:
            self.recording.refuse("a number is divided to a whole one")
        nearest = round(self / other)
        return nearest - 1 if nearest * other > self else nearest

    def __neg__(self) -> "Recorded":
        if isinstance(self.concrete, int):
            return 0 - self  # type: ignore[no-any-return]  # an integer has no zero below zero
        return self.recording.made(Op.NEG, -self.concrete, self.register, 0)

    def __pos__(self) -> "Recorded":
        return self

    def __abs__(self) -> "Recorded":
        return self.recording.made(Op.ABS, abs(self.concrete), self.register, 0)

    def __format__(self, form: str) -> str:
        """A place in a text, at which its digits are put when it is played."""
        kind: Any = "int" if isinstance(self.concrete, int) else "float"
        return self.recording.written(NumberInText(self.register, kind, 0, form))

    def decimal(self, decimals: int) -> "RecordedDecimal":
        """So many atomic units of an asset as whole units."""
        return RecordedDecimal(self, decimals)

    def sqrt(self) -> "Recorded":
        """Its square root."""
        return self.recording.made(Op.SQRT, math.sqrt(self.concrete), self.register, 0)

    def __round__(self, digits: int | None = None) -> "Recorded":
        if digits is not None:
            self.recording.refuse("a number is rounded to digits")
        if isinstance(self.concrete, int):
            return self
        if not abs(self.concrete) <= MOST:
            self.recording.refuse("a sum of more than 53 bits")
        return self.recording.made(Op.ROUND, round(self.concrete), self.register, 0)

    def _ask(self, op: Op, other: object, *, turned: bool = False, opposite: bool = False) -> Any:  # noqa: ANN401
        found = self._operand(other)
        if found is None:
            return NotImplemented
        register, value = found
        pairs = ((self.register, self.concrete), (register, value))
        (left, first), (right, second) = pairs[::-1] if turned else pairs
        answer = self.recording.asked(op, left, right, answer=bool(_ASKED[op](first, second)))
        return answer is not opposite

    def __lt__(self, other: object) -> Any:  # noqa: ANN401
        return self._ask(Op.LT, other)

    def __le__(self, other: object) -> Any:  # noqa: ANN401
        return self._ask(Op.LE, other)

    def __gt__(self, other: object) -> Any:  # noqa: ANN401
        return self._ask(Op.LT, other, turned=True)

    def __ge__(self, other: object) -> Any:  # noqa: ANN401
        return self._ask(Op.LE, other, turned=True)

    def __eq__(self, other: object) -> Any:  # noqa: ANN401
        return self._ask(Op.EQ, other)

    def __ne__(self, other: object) -> Any:  # noqa: ANN401
        return self._ask(Op.EQ, other, opposite=True)

    __hash__ = refused("a number is used as a key")

    def __bool__(self) -> bool:
        answer: bool = self != 0
        return answer

    def __getattr__(self, name: str) -> NoReturn:
        self.recording.refuse(f"a number is asked for its {name}")


_MADE: dict[Op, Callable[[Number, Number], Number]] = {
    Op.ADD: lambda first, second: first + second,
    Op.SUB: lambda first, second: first - second,
    Op.MUL: lambda first, second: first * second,
    Op.DIV: lambda first, second: first / second,
    Op.MAX: lambda first, second: first if first >= second or math.isnan(first) else second,
    Op.MIN: lambda first, second: first if first <= second or math.isnan(first) else second,
}
_OF_INTEGERS = {Op.ADD: Op.IADD, Op.SUB: Op.ISUB, Op.MUL: Op.IMUL}
_ASKED: dict[Op, Callable[[Number, Number], bool]] = {
    Op.LT: lambda first, second: first < second,
    Op.LE: lambda first, second: first <= second,
    Op.EQ: lambda first, second: first == second,
}


class RecordedDecimal(Unreadable):
    """Whole units with all their decimals, of which nothing is asked but their digits."""

    __slots__ = ("_decimals", "_normal", "_of", "recording")

    def __init__(self, of: Recorded, decimals: int, *, normal: bool = False) -> None:
        self.recording, self._of, self._decimals, self._normal = of.recording, of, decimals, normal

    def normalize(self) -> "RecordedDecimal":
        """Without zeros at its end."""
        return RecordedDecimal(self._of, self._decimals, normal=True)

    def __format__(self, form: str) -> str:
        kind: Any = "normal" if self._normal else "decimal"
        return self.recording.written(NumberInText(self._of.register, kind, self._decimals, form))


@frozen
class NumberInText:
    """A number in a text: the register in which it is found, what it is, its decimals, and its form."""

    register: int
    kind: Literal["int", "float", "decimal", "normal"]
    decimals: int
    form: str


FIRST_PLACE, LAST_PLACE = 0xF0000, 0x10FFFD
"""The characters that stand for numbers in a text, which no font has: one for each, so none is cut in two."""
PLACES = re.compile(f"[{chr(FIRST_PLACE)}-{chr(LAST_PLACE)}]")


class RecordedText(Unreadable):
    """A text with recorded numbers: it can be passed on and compared with an empty text, and nothing else.

    Venues and the kernel write it into other texts; a hook of the strategy could read what it writes.
    """

    __slots__ = ("recording", "template")

    def __init__(self, text: str, recording: Recording) -> None:
        self.template, self.recording = text, recording

    @classmethod
    def of(cls, text: str, recording: Recording) -> Any:  # noqa: ANN401  (a text, or as good as one)
        """The text; as it is where it has no numbers."""
        places = PLACES.findall(text)
        recording.unread.update(places)
        return cls(text, recording) if places else text

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return str

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if other != "":
            self.recording.refuse("a text with numbers is read")
        return False

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __str__(self) -> str:  # type: ignore[override]
        if self.recording.in_hook:
            self.recording.refuse("a text with numbers is written into another by the strategy")
        return self.template

    def __format__(self, form: str) -> str:
        return format(str(self), form)

    def __getattr__(self, name: str) -> NoReturn:
        self.recording.refuse(f"a text with numbers is asked for its {name}")

    __hash__ = refused("a text with numbers is read")
    __repr__ = __len__ = __getitem__ = __contains__ = __iter__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__
    __add__ = __radd__ = __mul__ = __rmul__ = __mod__ = __rmod__ = __hash__


class Price(Recorded):
    """A recorded price of the market's coin; called with the name of another coin, that coin's."""

    __slots__ = ("_of",)

    def of(self, price_of: Callable[[str], Any]) -> "Price":
        """The price, with what knows those of the other coins."""
        self._of = price_of
        return self

    def __call__(self, coin: str) -> Any:  # noqa: ANN401  (a number, recorded or not)
        return self._of(coin)


class Row(Unreadable):
    """The present row, or one so many further: all that can be done with it is to look it up in a `Column`."""

    __slots__ = ("concrete", "offset", "recording")

    def __init__(self, recording: Recording, value: int, offset: int = 0) -> None:
        self.recording, self.concrete, self.offset = recording, value, offset

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return int

    def __add__(self, other: object) -> "Row":
        if type(other) is not int:
            self.recording.refuse("rows are added")
        return Row(self.recording, self.concrete, self.offset + other)

    def __sub__(self, other: object) -> "Row":
        if type(other) is not int:
            self.recording.refuse("rows are counted")
        return Row(self.recording, self.concrete, self.offset - other)

    def __eq__(self, other: object) -> bool:
        if type(other) is not Row:
            self.recording.refuse("a row is compared with a number")
        return self.offset == other.offset

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = refused("a row is used as a key")
    __lt__ = __le__ = __gt__ = __ge__ = __bool__ = refused("a row is compared")
    __radd__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __neg__ = __abs__ = __round__ = refused(
        "a row is reckoned with"
    )


class Time(Unreadable):
    """The present instant: it is compared with instants that are known, such as those of dated rules, and kept."""

    __slots__ = ("concrete", "opening", "recording")

    def __init__(self, recording: Recording, value: int, *, opening: bool) -> None:
        self.recording, self.concrete, self.opening = recording, value, opening

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return int

    def _since(self, instant_ns: object) -> bool:
        """Whether it is that instant or later."""
        if type(instant_ns) is not int or self.opening:
            self.recording.refuse("an instant is compared with what is recorded")
        return self.recording.since(instant_ns, answer=self.concrete >= instant_ns)

    def __ge__(self, other: object) -> bool:
        return self._since(other)

    def __lt__(self, other: object) -> bool:
        return not self._since(other)

    def __gt__(self, other: object) -> bool:
        return self._since(other + 1 if type(other) is int else other)

    def __le__(self, other: object) -> bool:
        return not self > other

    def __eq__(self, other: object) -> bool:
        if type(other) is not Time:
            self.recording.refuse("an instant is compared with a number")
        return self.opening == other.opening

    __hash__ = refused("an instant is used as a key")
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __bool__ = refused(
        "an instant is reckoned with"
    )
    __neg__ = __abs__ = __round__ = __add__


@define
class Watch:
    """Who is recording at present, if anybody is: what may not be read then asks it."""

    recording: Recording | None = None

    def refuse(self, what: str) -> None:
        """Give up recording, where somebody records; raises `NotRecordable`."""
        if self.recording is not None:
            self.recording.refuse(what)


class Window(Sequence[Any]):
    """The last values of a column, the latest last, as an array of them would be: of recorded numbers.

    They can be added, subtracted, multiplied and divided as a whole, summed, averaged, and looked up one by one. A
    comparison answers with an array of plain bools, for each value is asked; such an array chooses values of a window.
    """

    __slots__ = ("_values", "recording")
    __array_ufunc__ = None

    def __init__(self, values: Sequence[Any], recording: Recording) -> None:
        self._values, self.recording = values, recording

    def __getattr__(self, name: str) -> NoReturn:
        what = "made an array" if name.startswith("__array") else f"asked for its {name}"
        self.recording.refuse(f"a history is {what}; expected its sum, mean, largest or least, or one of its values")

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, place: Any) -> Any:  # noqa: ANN401  (a number, or some of them)
        if isinstance(place, np.ndarray):
            chosen = np.arange(len(self))[place].tolist()
            return Window([self._values[each] for each in chosen], self.recording)
        found = self._values[place]
        return Window(found, self.recording) if isinstance(place, slice) else found

    def sum(self, axis: None = None, dtype: None = None, out: None = None) -> Any:  # noqa: ANN401  (a number)
        """Their sum, added in the order in which NumPy adds."""
        if (axis, dtype, out) != (None, None, None):
            self.recording.refuse("a history is summed in another way than as a whole")
        return 0.0 + pairwise_sum(self._values) if self._values else 0.0

    def max(self, axis: None = None, out: None = None) -> Any:  # noqa: ANN401  (a number)
        """The largest."""
        return self._reduced(Op.MAX, axis, out)

    def min(self, axis: None = None, out: None = None) -> Any:  # noqa: ANN401  (a number)
        """The least."""
        return self._reduced(Op.MIN, axis, out)

    def _reduced(self, op: Op, *further: None) -> Any:  # noqa: ANN401  (a number)
        if any(each is not None for each in further):
            self.recording.refuse("a history is reduced in another way than as a whole")
        first, *rest = self._values
        for each in rest:
            first = first.reduced(op, each)
        return first

    def mean(self, axis: None = None, dtype: None = None, out: None = None) -> Any:  # noqa: ANN401  (a number)
        """Their mean."""
        return self.sum(axis, dtype, out) / len(self)

    def any(self) -> np.bool_:
        """Whether one of them is not zero."""
        return np.bool_(any(each != 0 for each in self))

    def all(self) -> np.bool_:
        """Whether none of them is zero."""
        return np.bool_(all(each != 0 for each in self))

    def _with(self, work: Callable[[Any, Any], Any], other: object) -> "Window":
        if not isinstance(other, Window):
            return Window([work(each, other) for each in self], self.recording)
        if len(other) != len(self):
            self.recording.refuse("histories of different lengths meet")
        return Window([work(*each) for each in zip(self, other, strict=True)], self.recording)

    def __neg__(self) -> "Window":
        return Window([-each for each in self], self.recording)

    def __abs__(self) -> "Window":
        return Window([abs(each) for each in self], self.recording)

    def __add__(self, other: object) -> "Window":
        return self._with(operator.add, other)

    def __radd__(self, other: object) -> "Window":
        return self._with(lambda each, number: number + each, other)

    def __sub__(self, other: object) -> "Window":
        return self._with(operator.sub, other)

    def __rsub__(self, other: object) -> "Window":
        return self._with(lambda each, number: number - each, other)

    def __mul__(self, other: object) -> "Window":
        return self._with(operator.mul, other)

    def __rmul__(self, other: object) -> "Window":
        return self._with(lambda each, number: number * each, other)

    def __truediv__(self, other: object) -> "Window":
        return self._with(operator.truediv, other)

    def __rtruediv__(self, other: object) -> "Window":
        return self._with(lambda each, number: number / each, other)

    def _compared(self, work: Callable[[Any, Any], Any], other: object) -> NDArray[np.bool_]:
        return np.array([bool(each) for each in self._with(work, other)], dtype=np.bool_)

    def __lt__(self, other: object) -> Any:  # noqa: ANN401
        return self._compared(operator.lt, other)

    def __le__(self, other: object) -> Any:  # noqa: ANN401
        return self._compared(operator.le, other)

    def __gt__(self, other: object) -> Any:  # noqa: ANN401
        return self._compared(operator.gt, other)

    def __ge__(self, other: object) -> Any:  # noqa: ANN401
        return self._compared(operator.ge, other)

    def __eq__(self, other: object) -> Any:  # noqa: ANN401
        return self._compared(operator.eq, other)

    def __ne__(self, other: object) -> Any:  # noqa: ANN401
        return self._compared(operator.ne, other)

    __bool__ = refused("a history is asked whether it is true")
    __hash__ = refused("a history is used as a key")


AT_ONCE, AS_ONE = 8, 128
"""NumPy's pairwise summation keeps so many sums at once, in parts of so many numbers at most."""


def pairwise_sum(values: Sequence[Any]) -> Any:  # noqa: ANN401  (a number, recorded or not)
    """The sum of one number or more in the order in which NumPy adds those of an array that lies in one piece."""
    count = len(values)
    if count < AT_ONCE:
        return reduce(operator.add, values)
    if count > AS_ONE:
        half = count // 2 - count // 2 % AT_ONCE
        return pairwise_sum(values[:half]) + pairwise_sum(values[half:])
    whole = count - count % AT_ONCE
    a, b, c, d, e, f, g, h = (reduce(operator.add, values[place:whole:AT_ONCE]) for place in range(AT_ONCE))
    return reduce(operator.add, values[whole:], ((a + b) + (c + d)) + ((e + f) + (g + h)))


class Column(Sequence[float]):
    """A column as floats of Python, of which the value at a recorded row is a recorded number; `key` names it.

    A recorded step reads it at its own row alone, or up to so many rows `further`: a value of any other row would be
    that of the market on which it was recorded.
    """

    __slots__ = ("_further", "_values", "_watch", "key")

    def __init__(self, key: object, values: list[float], watch: Watch | None = None, further: int = 0) -> None:
        self.key, self._values, self._watch, self._further = key, values, watch or Watch(), further

    def __len__(self) -> int:
        self._watch.refuse("rows are counted")
        return len(self._values)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[float]:
        self._watch.refuse("all rows of a column are read")
        return iter(self._values)

    def __getitem__(self, row: Any) -> Any:  # noqa: ANN401  (a number, or numbers)
        if type(row) is not Row:
            self._watch.refuse("a row is read that is not the present one")
            return self._values[row]
        if not 0 <= row.offset <= self._further:
            row.recording.refuse("a row before or after the present one is read")
        value: Any = self._values[row.concrete + row.offset]
        if type(value) not in (int, float, bool) or (type(value) is int and abs(value) > MOST):
            row.recording.refuse(f"a rule is {value!r}")
        if type(value) is bool:
            return row.recording.loaded(self.key, row.offset, int(value)) != 0
        return row.recording.loaded(self.key, row.offset, value)

    def at(self, place: Recorded) -> Recorded:
        """The value at a place that is recorded, an integer."""
        return place.recording.found(self.key, place, int(self._values[int(place.concrete)]))

    def up_to(self, row: Row, count: int) -> Window:
        """The last `count` values up to a row; each is a NumPy scalar, as an element of an array is."""
        last = row.concrete + row.offset
        values = np.array(self._values[last + 1 - count : last + 1], dtype=np.float64)
        places = range(row.offset + 1 - count, row.offset + 1)
        found = [row.recording.loaded(self.key, *each) for each in zip(places, values, strict=True)]
        return Window(found, row.recording)
