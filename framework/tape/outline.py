"""Outlines: what a step adds to the books, with gaps where its numbers were recorded, and what fills them.

Filling is done by a function that is written for each outline, for a long run fills tens of thousands.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import cached_property
from operator import is_
from typing import Any

from attrs import fields_dict, frozen, has

from framework.books import Entry
from framework.money import Account, Asset
from framework.tape.numbers import PLACES, NumberInText, Recorded, RecordedText, Recording, Row, Time
from framework.tape.transit import SENDER

BY_SENDER = -1
"""The cause of what arrives: the entry of its sending, in an earlier step."""
Filled = tuple[list[Entry], list["Epoch"], object]
"""What a step adds: its entries, the streams that start again from a new balance, and the last order executed."""


@frozen
class Output:
    """The gap of a number: which of those that are noted with the step, and whether it is an integer."""

    number: int
    whole: bool

    def filled(self, numbers: Sequence[float]) -> int | float:
        """The number."""
        return int(numbers[self.number]) if self.whole else numbers[self.number]


@frozen
class Text:
    """A text with gaps: its parts, and between two of them a number, what it is, its decimals and its form."""

    parts: Sequence[str]
    numbers: Sequence[tuple[int, str, int, str]]

    def filled(self, numbers: Sequence[float]) -> str:
        """The text with its digits."""
        found = [self.parts[0]]
        for (place, kind, decimals, form), part in zip(self.numbers, self.parts[1:], strict=True):
            number: Any = numbers[place] if kind == "float" else int(numbers[place])
            if kind in ("decimal", "normal"):
                number = Decimal(number).scaleb(-decimals)
            found += [format(number.normalize() if kind == "normal" else number, form), part]
        return "".join(found)


@frozen
class RowCount:
    """The gap of a number of rows: those up to the one that the step follows, and so many further."""

    offset: int


@frozen
class Instant:
    """The gap of the step's instant."""


@frozen
class OrderBefore:
    """What was executed last before the step."""


@frozen
class Epoch:
    """A stream starts again from a new balance: which stream, and its rows, factor and base."""

    stream: int
    terms: tuple[Any, Any, Any]


GAPS = (Output, Text, RowCount, Instant, OrderBefore)
PLAIN = (type(None), bool, int, float, bytes, Decimal, Fraction, date, datetime, timedelta, *GAPS)
"""What hides no recorded number, besides texts."""


@frozen
class Accrued:
    """An accrual that a venue has worked out itself: the amount of a row, and the rate and the size that it is on."""

    amount: Any
    rate: Any
    size: Any

    @property
    def parts(self) -> tuple[Any, Any, Any]:
        """Amount, rate and size."""
        return self.amount, self.rate, self.size

    def filled(self, numbers: Sequence[float]) -> "Accrued":
        """The same with numbers in place of the outputs."""
        return Accrued(*(each.filled(numbers) if isinstance(each, Output) else each for each in self.parts))


@frozen(eq=False, slots=False)
class Outline:
    """What a step adds to the books, with gaps; `registers` are those of the numbers that fill them."""

    entries: Sequence[Entry]
    """The cause of an entry is the place of another."""
    epochs: Sequence[Epoch]
    order: Any
    accrued: Accrued | None
    """What a venue has worked out itself of an accrual in the row before the step."""
    registers: Sequence[int]

    @classmethod
    def of(
        cls,
        entries: Sequence[Entry],
        epochs: Sequence[Epoch],
        order: object,
        accrued: "Accrued | None",
        texts: Mapping[str, NumberInText] | None,
        unread: Collection[str] = (),
    ) -> "Outline":
        """The outline of what a step has added; raises `ValueError` for what has none, such as an earlier cause.

        `texts` is what the characters for numbers stand for; None where the step was not recorded. Each has to be in
        what is added, or `unread`: otherwise somebody may have read it and acted on it.
        """
        causes = [_place(each.cause, entries) for each in entries]
        if texts is None:
            placed = [each._replace(cause=cause) for each, cause in zip(entries, causes, strict=True)]  # type: ignore[arg-type]
            return cls(entries=placed, epochs=epochs, order=order, accrued=accrued, registers=())
        drawn = _Drawing(texts)
        outlined = [Entry(*(drawn.outlined(part) for part in each._replace(cause=None))) for each in entries]
        found = cls(
            entries=[each._replace(cause=cause) for each, cause in zip(outlined, causes, strict=True)],  # type: ignore[arg-type]
            epochs=[drawn.outlined(each) for each in epochs],
            order=drawn.outlined(order),
            accrued=drawn.outlined(accrued),
            registers=drawn.registers,
        )
        if texts.keys() - drawn.places - set(unread):
            raise ValueError("a number is written as text that is in no event, so it may have been read")
        return found

    @property
    def is_empty(self) -> bool:
        """Whether the step adds nothing."""
        return not self.entries and not self.epochs and self.accrued is None and type(self.order) is OrderBefore

    @cached_property
    def arrives(self) -> bool:
        """Whether it is of a step in which something arrives."""
        causes: list[Any] = [each.cause for each in self.entries]
        return BY_SENDER in causes

    @cached_property
    def fill(self) -> Callable[[Sequence[float], int, int, object, Entry | None], Filled]:
        """What fills it: a function of its numbers, the row, the instant, what was executed last before, and what sent
        that which arrives.
        """
        return _Writer().filling(self)


def _place(cause: Entry | None, entries: Sequence[Entry]) -> int | None:
    if cause is None:
        return None
    if cause is SENDER:
        return BY_SENDER
    for place, each in enumerate(entries):
        if each is cause:
            return place
    raise ValueError("an event has its cause in an earlier step")


class _Drawing:
    """Draws outlines: puts gaps where values are recorded, and notes the registers of the numbers that fill them."""

    def __init__(self, texts: Mapping[str, NumberInText]) -> None:
        self.registers: list[int] = []
        self.places: set[str] = set()
        """The characters for numbers in its texts."""
        self._texts = texts

    def outlined(self, value: Any) -> Any:  # noqa: ANN401, PLR0911  (a case for each gap)
        """A value with gaps; raises `ValueError` for one of a kind that may hide a recorded number."""
        kind = type(value)
        if isinstance(value, Recorded):
            return Output(self._place(value.register), whole=isinstance(value.concrete, int))
        if kind is RecordedText:
            return self._outlined_text(value.template)
        if kind is str:
            return self._outlined_text(value) if PLACES.search(value) else value
        if kind is Row:
            return RowCount(value.offset)
        if kind is Time:
            return Instant()
        if kind in (tuple, list):
            return kind(self.outlined(each) for each in value)
        if kind is dict:
            return {key: self.outlined(each) for key, each in value.items()}
        if kind in PLAIN or isinstance(value, Enum | Account | Asset | type):
            return value
        if not has(kind):
            raise ValueError(f"an event or an order has a {kind.__name__}")
        parts = {name: getattr(value, name) for name in fields_dict(kind)}
        outlined = {name: self.outlined(part) for name, part in parts.items()}
        if any(outlined[name] is not parts[name] and not _is_fixed(outlined[name]) for name in parts):
            return changed(value, outlined)
        return value

    def _outlined_text(self, value: str) -> Text:
        parts, numbers, start = list[str](), list[tuple[int, str, int, str]](), 0
        for found in PLACES.finditer(value):
            number = self._texts.get(found.group())
            if number is None:
                raise ValueError("a text has a character that stands for a number")
            self.places.add(found.group())
            numbers.append((self._place(number.register), number.kind, number.decimals, number.form))
            parts.append(value[start : found.start()])
            start = found.end()
        return Text((*parts, value[start:]), tuple(numbers))

    def _place(self, register: int) -> int:
        self.registers.append(register)
        return len(self.registers) - 1


def _is_fixed(value: Any) -> bool:  # noqa: ANN401
    """Whether there is no gap in a value."""
    kind = type(value)
    if kind in GAPS:
        return False
    if kind in (tuple, list):
        return all(map(_is_fixed, value))
    if kind is dict:
        return all(map(_is_fixed, value.values()))
    if has(kind) and kind is not Account:
        return all(_is_fixed(getattr(value, name)) for name in fields_dict(kind))
    return True


def changed(value: Any, parts: dict[str, Any]) -> Any:  # noqa: ANN401
    """A copy of a frozen object with other parts, which are not checked again."""
    found = copy(value)
    for name, part in parts.items():
        object.__setattr__(found, name, part)
    return found


def with_recorded_texts(value: Any, recording: Recording) -> Any:  # noqa: ANN401  (a case for each kind)
    """A value as a hook of the strategy gets it: its texts with numbers are `RecordedText`, wherever in it they are."""
    kind = type(value)
    if kind is str:
        return RecordedText.of(value, recording)
    if kind in (tuple, list):
        each = [with_recorded_texts(part, recording) for part in value]
        return value if all(map(is_, each, value)) else kind(each)
    if kind is dict:
        values = {key: with_recorded_texts(part, recording) for key, part in value.items()}
        return value if all(map(is_, values.values(), value.values())) else values
    if not has(kind) or kind in (Account, Asset):
        return value
    parts = {name: getattr(value, name) for name in fields_dict(kind)}
    words = {name: with_recorded_texts(part, recording) for name, part in parts.items()}
    return value if all(map(is_, words.values(), parts.values())) else changed(value, words)


class _Writer:
    """Writes the function that fills an outline, line by line."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._space: dict[str, Any] = {
            "copy": copy,
            "new": object.__new__,
            "put": object.__setattr__,
            "Entry": Entry,
            "Epoch": Epoch,
        }

    def filling(self, outline: Outline) -> Callable[[Sequence[float], int, int, object, Entry | None], Filled]:
        """The function."""
        names = []
        for place, each in enumerate(outline.entries):
            event, at_ns, rows, transfers, order = map(
                self._value, (each.event, each.at_ns, each.rows, each.transfers, each.order)
            )
            causes: dict[Any, str] = {None: "None", BY_SENDER: "sender"}
            cause = causes.get(each.cause, f"e{each.cause}")
            names.append(f"e{place}")
            self._lines.append(f"e{place} = Entry({event}, {cause}, {at_ns}, {rows}, {transfers}, {order})")
        epochs = [f"Epoch({each.stream}, {self._value(each.terms)})" for each in outline.epochs]
        last = self._value(outline.order)
        self._lines.append(f"return [{', '.join(names)}], [{', '.join(epochs)}], {last}")
        body = "\n    ".join(self._lines)
        exec(f"def fill(n, row, at_ns, order, sender):\n    {body}\n", self._space)  # noqa: S102  (names of its own alone)
        fill: Callable[[Sequence[float], int, int, object, Entry | None], Filled] = self._space["fill"]
        return fill

    def _value(self, value: Any) -> str:  # noqa: ANN401, PLR0911  (a case for each gap)
        """The expression of a value, after the lines that it needs."""
        kind = type(value)
        if kind is Output:
            return f"int(n[{value.number}])" if value.whole else f"n[{value.number}]"
        if kind is RowCount:
            return f"row + {value.offset}"
        if kind is Instant:
            return "at_ns"
        if kind is OrderBefore:
            return "order"
        if kind is Text:
            return f"{self._constant(value)}.filled(n)"
        if _is_fixed(value):
            return self._constant(value)
        if kind in (tuple, list):
            listed = "".join(f"{part}, " for part in self._values(value))
            return f"({listed})" if kind is tuple else f"[{listed}]"
        if kind is dict:
            return f"{{{', '.join(f'{self._constant(key)}: {self._value(each)}' for key, each in value.items())}}}"
        made = f"v{len(self._space)}_{len(self._lines)}"
        parts = {name: getattr(value, name) for name in fields_dict(kind)}
        whole = getattr(value, "__dict__", parts).keys() <= parts.keys()  # its fields are all that there is of it
        filled = {name: self._value(part) for name, part in parts.items() if whole or not _is_fixed(part)}
        self._lines.append(
            f"{made} = " + (f"new({self._constant(kind)})" if whole else f"copy({self._constant(value)})")
        )
        self._lines += [f"put({made}, {name!r}, {part})" for name, part in filled.items()]
        return made

    def _values(self, values: Iterable[Any]) -> list[str]:
        return [self._value(each) for each in values]

    def _constant(self, value: Any) -> str:  # noqa: ANN401
        name = f"c{len(self._space)}"
        self._space[name] = value
        return name
