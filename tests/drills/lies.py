"""Lies: values that nobody expects, put into a random place of something that is read."""

from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

import pyarrow as pa

VALUES: tuple[object, ...] = (
    None, True, -1, 0, 2**62, 2**63, 10**30, 10**400, 1e-300, 1e15, 1e308, float("nan"), float("-inf"),
    "", "1e5", "1_000", "\x1b[2J", "x" * 5000, "a\0b", "../../etc/passwd", "/dev/zero",
    "=1+1", "\u202e", "\ud800", "os:system",
    [], {}, [[]], [1, "a"], {"class": "os:system"}, {"a": {"b": {"c": 1}}}, "2025-13-41", "0001-01-01",
)  # fmt: skip


def places(value: object, above: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """The paths to all that is in a value."""
    below: list[tuple[object, object]] = []
    if isinstance(value, dict):
        below = list(value.items())
    elif isinstance(value, list):
        below = list(enumerate(value))
    return [path for key, each in below for path in ((*above, key), *places(each, (*above, key)))]


def spoilt(value: Any, dice: Random, values: tuple[object, ...] = VALUES) -> Any:
    """A copy with one to three lies in it."""
    value = deepcopy(value)
    for _ in range(dice.randint(1, 3)):
        path = dice.choice(places(value) or [()])
        if not path:
            return dice.choice(values)
        *above, last = path
        at = value
        for key in above:
            at = at[key]
        match dice.randrange(5):
            case 0:
                del at[last]
            case 1 if isinstance(at, dict):
                at[dice.choice(("note", "\x1b]0;x", "", "class", "x" * 300))] = at.pop(last)
            case 2 if isinstance(at, list):
                at.insert(dice.randint(0, len(at)), dice.choice(at))
            case _:
                at[last] = dice.choice(values)
    return value


def bent(content: bytes, dice: Random) -> bytes:
    """The bytes of a file, of which some were changed, lost, doubled or cut off."""
    data = bytearray(content)
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(max(1, len(data)))
        match dice.randrange(5):
            case 0:
                data = data[:at]
            case 1:
                data[at:at] = dice.randbytes(dice.randint(1, 20))
            case 2:
                del data[at : at + dice.randint(1, 50)]
            case 3:
                data[at:at] = data[at : at + dice.randint(1, 200)]
            case _:
                data[at : at + 1] = dice.randbytes(1)
    return bytes(data)


NUMBERS = (0, -1, 1, 2**62, 2**63 - 1, -(2**63))
FLOATS = (0.0, -1.0, 1e-300, 1e15, 1e308, float("nan"), float("inf"))
TEXTS = ("", "x" * 1000, "\x1b[2J", "=1+1", "Assets:Wallet:Cash", "\u202e", "{", '{"act": []}', "2025")


def falsified(table: pa.Table, dice: Random) -> pa.Table:
    """A table with a cell, a column or its order changed."""
    index = dice.randrange(table.num_columns)
    name, column = table.column_names[index], table.column(index)
    match dice.randrange(8):
        case 0:
            return table.drop_columns([name])
        case 1:
            return table.append_column(name, column)
        case 2:
            return table.take(pa.array(dice.sample(range(len(table)), len(table))))
        case 3:
            return table.slice(dice.randrange(len(table) + 1))
        case _:
            kind, column = column.type, column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
            cells = column.to_pylist()
            kinds: dict[Callable[[Any], bool], tuple[object, ...]] = {
                pa.types.is_integer: NUMBERS,
                pa.types.is_floating: FLOATS,
                pa.types.is_string: TEXTS,
            }
            values = next((each for fits, each in kinds.items() if fits(column.type)), (True, False))
            for _ in range(dice.randint(1, 3)):
                cells[dice.randrange(len(cells))] = dice.choice((*values, None))
            return table.set_column(index, name, pa.array(cells, column.type).cast(kind))
