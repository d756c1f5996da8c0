"""The shelf: trusted tapes on disk, for the next process.

A file has numbers, texts and names of classes of this project, of which objects are made without calling them, and
every number by which the player finds its way is checked: one that was damaged or forged runs nothing. What cannot be
read or written is recorded as if there were no shelf.
"""

import contextlib
import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from enum import Enum
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen, has
from numpy.typing import NDArray

from framework.books import Entry
from framework.market import Ints
from framework.money import Account, Asset
from framework.support.files import MIB, clear_drafts, read_bounded, replace_file
from framework.support.mistakes import OUR_PACKAGES
from framework.support.source_code import project_digest
from framework.tape.code import Code
from framework.tape.numbers import LONGEST, Op
from framework.tape.outline import PLAIN
from framework.tape.pending import TRANSIT_NUMBERS, Sending
from framework.tape.player import QUIET
from framework.tape.transit import LONGEST_NS, Arrival
from framework.tape.tree import NOWHERE, Leaf, Registers

if TYPE_CHECKING:
    from framework.tape.tape import Tape

FILE_BYTES, ALL_BYTES, FILES = 16 * MIB, 128 * MIB, 512
"""Bytes of a file, of all of them, and how many there are; the oldest go first."""
CONSTANT = -1
"""What stands for the operation of a register that has a constant."""
WIDTHS = (3, 5, QUIET, 2, 1, 2 + TRANSIT_NUMBERS)
"""How wide the tables are: what makes each register, lines, spans, changes, outputs, and what leaves send."""
OPS = list(Op)
STANDARD = {*PLAIN, str, tuple, list, dict, MappingProxyType}
"""Classes that are known from outside the project."""


@frozen
class Shelf:
    """Tapes below a directory, a file for each; deleting them is safe at any time."""

    place: Path = field(converter=Path)

    @classmethod
    def default(cls) -> "Shelf":
        """The one in `CARRYBOOK_CACHE_DIR`, or else where this platform keeps what a user can do without."""
        given = os.environ.get("CARRYBOOK_CACHE_DIR")
        if given:
            return cls(Path(given, "tapes"))
        from platformdirs import user_cache_path  # noqa: PLC0415  (only who has a shelf needs it)

        return cls(user_cache_path("carrybook", appauthor=False) / "tapes")

    def read(self, key: Hashable, tape: "Tape") -> None:
        """Put on a new tape what is kept of its kind, if anything."""
        with contextlib.suppress(Exception):  # whatever is wrong with a file, the tape is recorded instead
            path = self._path(key)
            content = read_bounded(path, FILE_BYTES)
            digest, content = content[:64], content[64:]
            if digest == _digest(path, content):
                _put(content, tape)

    def write(self, kept: Mapping[Hashable, "Tape"]) -> None:
        """Keep tapes by what their runs have in common, instead of what was kept of them before."""
        with contextlib.suppress(OSError):
            self.place.mkdir(parents=True, exist_ok=True)
            for key, tape in kept.items():
                with contextlib.suppress(ValueError):  # there is something in it that is not the project's own
                    path, content = self._path(key), _content(tape)
                    if len(content) <= FILE_BYTES - 64:
                        replace_file(path, _digest(path, content) + content)
            self._tidy()

    def files(self) -> dict[Path, os.stat_result]:
        """The files, the oldest first."""
        found = {}
        for each in self.place.glob("*.tape"):
            with contextlib.suppress(OSError):
                found[each] = each.stat()
        return dict(sorted(found.items(), key=lambda item: item[1].st_mtime_ns))

    def _tidy(self) -> None:
        clear_drafts(self.place)
        files = self.files()
        count, size = len(files), sum(each.st_size for each in files.values())
        for path, found in files.items():
            if count <= FILES and size <= ALL_BYTES:
                return
            path.unlink(missing_ok=True)
            count, size = count - 1, size - found.st_size

    def _path(self, key: Hashable) -> Path:
        """The file of a kind of run; raises `ValueError` for one that depends on a user's own code."""
        return self.place / f"{hashlib.sha256(f'{origin()} {_spelled(key)}'.encode()).hexdigest()}.tape"


@cache
def origin() -> str:
    """What every tape depends on: the project's files, Python, libraries, and the machine, for the sake of its libm."""
    libraries = [f"{name} {version(name)}" for name in ("attrs", "numba", "numpy")]
    return " ".join((project_digest(), sys.version, *libraries, platform.platform(), platform.node()))


def _digest(path: Path, content: bytes) -> bytes:
    """What a file begins with: its content may be in no file of another name."""
    return hashlib.sha256(path.name.encode() + content).hexdigest().encode()


def _spelled(value: Hashable) -> str:
    """A key as the same text in every process; raises `ValueError` where it has a class that is not the project's."""
    if isinstance(value, tuple):
        return f"({' '.join(map(_spelled, value))})"
    if isinstance(value, type):
        return value.__qualname__ if value in STANDARD else _name(value)
    return repr(value)


def _name(kind: type) -> str:
    """The name of a class of the project; raises `ValueError` for another one."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    if _class(name) is not kind:
        raise ValueError(f"{name} is not the project's own")
    return name


def _class(name: str) -> type:
    """A class of the project that this process has loaded; raises `ValueError` for anything else."""
    module, _, short = name.rpartition(".")
    found = getattr(sys.modules.get(module), short, None)
    if module.partition(".")[0] not in OUR_PACKAGES or not isinstance(found, type) or found.__module__ != module:
        raise ValueError(f"{name} is no class of the project")
    return found


# -- a file


def _content(tape: "Tape") -> bytes:
    """A tape as its file has it; raises `ValueError`."""
    code, registers = tape.code, tape.registers
    values = _Values(tape.accounts)
    adds = [each.adds for each in code.leaves]
    columns, texts = list(registers.columns), list(registers.texts)
    values.place({"columns": columns, "texts": texts, "arrivals": registers.arrivals, "adds": adds})
    made = [(CONSTANT, 0, 0) if each is None else each for each in registers.made[registers.inputs :]]
    of_leaves = code.spans[:, :QUIET], code.changes, code.outputs, code.sends
    tables = [np.array(made).reshape(-1, 3), code.lines, *of_leaves]
    head = {
        "rows": list(map(len, tables)),
        "roots": code.roots,
        "constants": list(registers.constants.values()),
        "instants": registers.instants,
        "refused": list(tape.refused),
        "values": values.nodes,
    }
    numbers = b"".join(each.astype("<i4").tobytes() for each in tables)
    return json.dumps(head).encode() + b"\n" + numbers


def _put(content: bytes, tape: "Tape") -> None:
    """Put on a tape what a file has; raises any exception, and leaves it as it was, where that cannot be.

    The player checks no bounds: whatever it finds its way by is checked here.
    """
    head, _, body = content.partition(b"\n")
    found = json.loads(head)
    numbers = np.frombuffer(body, dtype="<i4").astype(np.int64)
    ends = np.cumsum([0, *(rows * width for rows, width in zip(found["rows"], WIDTHS, strict=True))]).tolist()
    made, lines, spans, changes, outputs, sends = (
        numbers[start:stop].reshape(-1, width) for start, stop, width in zip(ends, ends[1:], WIDTHS, strict=False)
    )
    values = _values(found["values"], tape.accounts)
    registers = Registers(tape.registers.inputs)
    for key in values["columns"]:
        registers.column(key)
    for number in values["texts"]:
        registers.text(number)
    registers.instants += found["instants"]
    registers.arrivals += map(_checked_arrival, values["arrivals"])
    constants = np.flatnonzero(made[:, 0] == CONSTANT) + registers.inputs
    registers.constants.update(zip(constants.tolist(), map(float, found["constants"]), strict=True))
    registers.made += [None if op == CONSTANT else (OPS[op], left, right) for op, left, right in made.tolist()]
    expected = list(tape.registers.columns)
    _require(list(registers.columns)[: len(expected)] == expected, found["roots"].keys() <= set(registers.steps))
    _check_registers(made, registers.inputs, len(registers.columns))
    _check_lines(lines, [*found["roots"].values()], made, registers.inputs, len(registers.instants), len(spans))
    _check_leaves(spans, changes, outputs, sends, registers)
    leaves = [
        Leaf(
            changes=dict(changes[first:last].tolist()),
            outputs=outputs[start:stop, 0].tolist(),
            curve=curve,
            idle=bool(idle),
            adds=each,
            sends=[
                Sending(entry, kind, registers.arrivals[kind].latency_ns, numbers)
                for kind, entry, *numbers in sends[first_send:last_send].tolist()
            ],
        )
        for (first, last, start, stop, curve, idle, first_send, last_send), each in zip(
            spans.tolist(), values["adds"], strict=True
        )
    ]
    code = Code(registers, tape.accruing.tolist())
    code.restore(found["roots"], leaves, lines, spans, changes, outputs, sends)
    tape.refused.update(dict.fromkeys(found["refused"]))
    tape.registers, tape.code, tape.kept, tape.is_trusted = registers, code, len(lines), True


def _check_registers(made: Ints, inputs: int, columns: int) -> None:
    """Let each register be made of those before it, or of a column at a row up to the next or at one that is found."""
    op, left, right = made.T
    _require(_within(op, CONSTANT, Op.FIND + 1))
    loads, finds, made_of_two = op == Op.LOAD, op == Op.FIND, (op >= 0) & (op < Op.LOAD)
    _require(_within(left[loads], 0, columns), _within(right[loads], 1 - LONGEST, 2), _within(right[finds], 0, columns))
    for registers, which in ((left, finds | made_of_two), (right, made_of_two)):
        _require(_within(registers[which], 0, inputs + np.flatnonzero(which)))


def _check_lines(lines: Ints, roots: Sequence[int], made: Ints, inputs: int, instants: int, leaves: int) -> None:
    """Let the player compute what registers are made of, and go from each question on to a later branch."""
    op, to, left, _, no = lines.T
    computes, asks, compares = op < Op.LT, (op >= Op.LT) & (op < Op.LEAF), (op >= Op.LT) & (op < Op.SINCE)
    _require(_within(op, 0, Op.UNRECORDED + 1), ~computes[-1:], _within(to[computes], inputs, inputs + len(made)))
    _require(made[to[computes] - inputs] == lines[computes][:, [0, 2, 3]])
    _require(_within(lines[compares, 2:4], 0, inputs + len(made)))
    _require(_within(left[op == Op.SINCE], 0, instants), _within(to[op == Op.LEAF], 0, leaves))
    begins = np.append(True, ~computes)
    for goes in (to, no):
        leads = asks & (goes != NOWHERE)
        _require(_within(goes[leads], np.flatnonzero(leads) + 1, len(lines)))
        _require(begins[goes[leads]])
    for root in roots:
        _require(type(root) is int and 0 <= root < len(lines) and begins[root])


def _checked_arrival(kind: Any) -> Arrival:  # noqa: ANN401
    """A kind of arrival whose instant is an integer of 64 bits."""
    _require(type(kind) is Arrival and type(kind.latency_ns) is int and 0 < kind.latency_ns < LONGEST_NS)
    found: Arrival = kind
    return found


def _check_leaves(spans: Ints, changes: Ints, outputs: Ints, sends: Ints, registers: Registers) -> None:
    """Let leaves have changes, outputs and sendings that there are, of registers that there are."""
    inputs, count = registers.inputs, len(registers.made)
    _require(_within(sends[:, 0], 0, len(registers.arrivals)), _within(sends[:, 2:], 0, count))
    for bounds, rows in ((spans[:, :2], changes), (spans[:, 2:4], outputs), (spans[:, 6:8], sends)):
        _require(_within(bounds, 0, len(rows) + 1), _within(np.diff(bounds), 0, count + 1))
    _require(
        _within(spans[:, 4], NOWHERE, count), _within(changes, 0, np.array([inputs, count])), _within(outputs, 0, count)
    )


def _within(values: Ints, first: int | Ints, stop: int | Ints) -> NDArray[np.bool_]:
    return (values >= first) & (values < stop)


def _require(*holds: bool | NDArray[np.bool_]) -> None:
    if not all(map(np.all, holds)):
        raise ValueError("a tape leads out of what there is")


# -- values that are no numbers of the player


class _Values:
    """Values as nodes, each of which is plain or a list: what it is, and the places of its parts among those before."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self.nodes: list[Any] = []
        self._accounts = {id(each): place for place, each in enumerate(accounts)}
        self._places: dict[object, int] = {}

    def place(self, value: Any) -> int:  # noqa: ANN401, PLR0911  (a case for each kind)
        """The place of a value's node; raises `ValueError` for a value that is not kept."""
        kind: Any = type(value)
        if kind in (type(None), bool, int, float, str):
            return self._placed(value, (kind, repr(value)))
        if kind is Account:
            if id(value) not in self._accounts:
                raise ValueError(f"{value.name} is in no book")
            return self._made("account", [self._accounts[id(value)]])
        if kind in (tuple, list):
            return self._made(kind.__name__, value)
        if kind is dict:
            return self._made("dict", [part for item in value.items() for part in item])
        if isinstance(value, type):
            return self._made("class", [_name(value)])
        if isinstance(value, Enum):
            return self._made(self.place(kind), [value.name])
        if kind is Asset:
            raise ValueError("its hash is another in the next process")
        if kind is Entry:
            return self._made(self.place(kind), value)
        if not has(kind):
            raise ValueError(f"it is not known what is in a {kind.__name__}")
        return self._made(self.place(kind), [getattr(value, each.name) for each in kind.__attrs_attrs__])

    def _made(self, what: str | int, parts: Sequence[Any]) -> int:
        node = [what, *map(self.place, parts)]
        return self._placed(node, tuple(node))

    def _placed(self, node: Any, key: object) -> int:  # noqa: ANN401
        if key not in self._places:
            self._places[key] = len(self.nodes)
            self.nodes.append(node)
        return self._places[key]


def _values(nodes: Sequence[Any], accounts: Sequence[Account]) -> Any:  # noqa: ANN401
    """The value of the last node; raises any exception for nodes that were not made by `_Values`."""
    made: Mapping[str, Callable[[list[Any]], Any]] = {
        "account": lambda parts: accounts[parts[0]],
        "tuple": tuple,
        "list": list,
        "dict": lambda parts: dict(zip(parts[::2], parts[1::2], strict=True)),
        "class": lambda parts: _class(parts[0]),
    }
    found: list[Any] = []
    for node in nodes:
        if type(node) is not list:
            found.append(node)
            continue
        what, parts = node[0], [found[place] for place in node[1:]]
        found.append(made[what](parts) if type(what) is str else _object(found[what], parts))
    return found[-1]


def _object(kind: Any, parts: list[Any]) -> Any:  # noqa: ANN401
    """An object of its fields, without a call of its class."""
    if kind is Entry:
        return Entry(*parts)
    if issubclass(kind, Enum):
        return kind[parts[0]]
    found = object.__new__(kind)
    for each, part in zip(kind.__attrs_attrs__, parts, strict=True):
        object.__setattr__(found, each.name, part)
    return found
