"""Whether a user's own class is pure: its steps depend on its fields and their arguments alone.

A played run does not execute the class's code, so an impure one is refused. Its bytecode is searched for three things:
state that outlives a step, in the class, its modules, closures or defaults; reads from outside, such as a file, the
time or a random number; and code that tells a recorded number from a plain one.
"""

import builtins
import dis
import re
import sys
import typing
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import cached_property, lru_cache, partial
from itertools import pairwise
from logging import Logger
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GenericAlias,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    UnionType,
    WrapperDescriptorType,
)
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from attrs import fields_dict, has
from attrs.exceptions import FrozenInstanceError

from framework.support.source_code import is_own

MOST_KINDS = 512
"""Classes whose answers are cached, for every cell of a sweep asks."""
PLAIN = (
    type(None), type(Ellipsis), type(NotImplemented), int, float, complex, str, bytes, range, slice, Enum, Decimal,
    Fraction, date, time, timedelta, tzinfo, PurePath, re.Pattern, Logger, np.generic, np.dtype, np.ufunc, GenericAlias,
    UnionType, GetSetDescriptorType, MemberDescriptorType, MethodDescriptorType,
    WrapperDescriptorType,
)  # fmt: skip
"""What cannot be changed, or is asked for nothing."""
OF_PYTHON = ("_abc_impl", "_field_defaults")
"""What Python keeps in classes, besides names with two underscores and the fields of named tuples."""
GENERATED = "<attrs generated "
"""What the names of files begin with that attrs has made methods of."""
PLAN = "_plan"
"""What the framework keeps in a venue."""
MAKING = ("__init__", "__new__", "__attrs_pre_init__", "__attrs_post_init__")
"""Methods that set what an object begins with, and run in no step."""
SETTING = ("globals", "vars", "setattr", "delattr", "exec", "eval", "__setattr__", "__delattr__", "__dict__")
"""Names by which code may set anything."""
SETS_NAME, SETS_FIELD = ("STORE_GLOBAL", "DELETE_GLOBAL"), ("STORE_ATTR", "DELETE_ATTR")
USES_NAME = ("LOAD_GLOBAL", "LOAD_NAME")
USES_PART = ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM")
USES = (*USES_NAME, *USES_PART)
"""What lines of compiled code are called, by what they do with a name."""
IDLE = ("CACHE", "COPY_FREE_VARS", "EXTENDED_ARG", "NOP", "PRECALL", "PUSH_NULL", "RESUME")
"""Instructions that make no difference here."""
HANDLES, MATCHES = "PUSH_EXC_INFO", ("CHECK_EXC_MATCH", "CHECK_EG_MATCH")
"""The instruction with which the handling of an exception begins, and those that compare its class."""
OUTSIDE = frozenset(
    ("_io", "glob", "http", "io", "nt", "ntpath", "numpy.random", "os", "pathlib", "posix", "posixpath", "random",
     "secrets", "shutil", "socket", "sqlite3", "subprocess", "tempfile", "time", "urllib", "uuid")
)  # fmt: skip
"""Modules that read what no step is given: files, the environment, the time, random numbers, other machines."""
CLOCK = ("now", "today", "utcnow")
"""Methods of dates and times that read the time."""
CARRIES = (
    "so it may carry something over from step to step; expected a tuple, a MappingProxyType or another thing that "
    "cannot change"
)
READS = "so a step may depend on more than it is given; expected what is read to be a setting"
TELLS_TYPE = "which tells a recorded number from others; expected isinstance"
TELLS_ERROR = "which a recorded number may raise and others do not; expected other exceptions, such as ValueError"
"""How messages end: why it matters what was found, and what would be right."""


@lru_cache(maxsize=MOST_KINDS)
def impurity_of(kind: type) -> str:
    """What makes a class impure, and what would be right; empty for a pure class, or one of this project."""
    return next(_Search(kind.__module__).of_class(kind), "")


def impurity_of_rule(rule: Any) -> str:  # noqa: ANN401  (a function, a method or what is called like one)
    """The same for a rule that may be no method, such as a closure."""
    if isinstance(rule, MethodType) and has(type(rule.__self__)):
        return ""  # it is among those of its class, and its object is looked at as a setting
    module, name = (str(getattr(rule, each, "")) for each in ("__module__", "__qualname__"))
    return next(_Search(module).of(rule, name or type(rule).__name__), "")


def kept_by(part: object) -> str:
    """What may change that a user's own object keeps outside its fields; empty where there is nothing.

    Such as a list that a cached property has made, or the method that sets up an object.
    """
    kind: Any = type(part)
    if not _may_keep(kind):
        return ""
    fields, search = fields_dict(kind), _Search(kind.__module__)
    for name, value in _beside(part, fields):
        for found in search.of(value, f"{kind.__name__}.{name}"):
            return found
    return next(filter(None, (kept_by(getattr(part, name)) for name in fields)), "")


@lru_cache(maxsize=MOST_KINDS)
def _may_keep(kind: type) -> bool:
    """Whether objects of a class may keep something outside their fields; those of this project never do."""
    return has(kind) and any(is_own(each.__module__, kind.__module__) for each in kind.__mro__)


def _beside(part: object, fields: Collection[str]) -> Iterator[tuple[str, Any]]:
    """What an object has outside its fields, without what its class or the framework derives from declarations."""
    classes = {name: value for each in reversed(type(part).__mro__) for name, value in vars(each).items()}
    kept = getattr(part, "__dict__", {})
    for name in kept:
        if name not in (*fields, PLAN) and isinstance(classes.get(name), cached_property | None):
            yield name, kept[name]
    for name, slot in classes.items():
        if isinstance(slot, MemberDescriptorType) and name not in fields:
            with suppress(AttributeError):  # it has none yet
                yield name, object.__getattribute__(part, name)


def is_frozen(part: object) -> bool:
    """Whether the fields of a value cannot be set, which is for its class to say."""
    kind = type(part)
    if kind not in _frozen:
        _frozen[kind] = _refuses_a_field(copy(part))
    return _frozen[kind]


_frozen: WeakKeyDictionary[type, bool] = WeakKeyDictionary()
"""The classes whose fields cannot be set, and those whose fields can."""


def _refuses_a_field(part: object) -> bool:
    try:
        setattr(part, "", None)
    except FrozenInstanceError:
        return True
    except AttributeError:
        pass
    return False


class _Search:
    """Goes through a class and all of the user's own that its code refers to; each find is said in words."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._seen: set[Hashable] = set()

    def of_class(self, kind: type) -> Iterator[str]:
        """What a class has besides fields, and those above it."""
        for each in kind.__mro__:
            if self._is_new(each, each.__module__):
                is_enum, members = issubclass(each, Enum), list[Any](each if issubclass(each, Enum) else ())
                for member in members:
                    yield from self._of_each(vars(member).values(), f"{each.__name__}.{member.name}")
                for name, value in list(vars(each).items()):
                    special = is_enum or name.startswith("__") or name in (*OF_PYTHON, *getattr(each, "_fields", ()))
                    if not special or isinstance(value, FunctionType | staticmethod | classmethod | property):
                        yield from self.of(value, f"{each.__name__}.{name}")

    def of(self, value: Any, name: str) -> Iterator[str]:  # noqa: ANN401, PLR0912  (any value, a case for each kind)
        """What a value with this name may remember, read or distinguish."""
        match value:
            case type():
                yield from self.of_class(value)
            case FunctionType():
                yield from self._of_function(value, name)
            case staticmethod() | classmethod():
                yield from self.of(value.__func__, name)
            case MethodType():
                yield from self._of_each((value.__func__, value.__self__), name)
            case BuiltinFunctionType():
                if not isinstance(value.__self__, ModuleType):
                    yield from self.of(value.__self__, name)
            case property():
                yield from self._of_each((value.fget, value.fset), name)
            case cached_property():
                yield from self.of(value.func, name)
            case partial():
                yield from self._of_each((value.func, *value.args, *value.keywords.values()), name)
            case tuple() | frozenset():
                yield from self._of_each(value, name)
            case MappingProxyType():
                yield from self._of_each(value.values(), name)
            case ModuleType():
                pass  # its attributes are looked at where code names them
            case _ if isinstance(value, PLAIN) or type(value).__module__ == typing.__name__:
                yield from self.of_class(type(value))
                if is_own(type(value).__module__, self._root) and not isinstance(value, Enum):
                    yield from self._of_each(getattr(value, "__dict__", {}).values(), name)
            case _ if has(type(value)) and is_frozen(value):
                yield from self.of_class(type(value))
                yield from self._of_each([getattr(value, each) for each in fields_dict(type(value))], name)
            case _:
                yield f"{name} is a {type(value).__name__}, {CARRIES}"

    def _of_each(self, values: Iterable[Any], name: str) -> Iterator[str]:
        for each in values:
            yield from self.of(each, name)

    def _of_function(self, function: FunctionType, name: str) -> Iterator[str]:
        code, space = function.__code__, function.__globals__
        yield from self.of(vars(function).get("__wrapped__"), name)
        if code.co_filename.startswith(GENERATED):
            for cached in function.__defaults__ or ():  # the cached properties of a class with slots
                yield from self._of_each(cached.values() if isinstance(cached, dict) else (), name)
        if code.co_filename.startswith(GENERATED) or not self._is_new(function, str(space.get("__name__", ""))):
            return
        defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        yield from self._of_each(defaults, f"a default of {name}")
        yield from self._of_each(vars(function).values(), f"what is kept at {name}")
        for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            yield from self.of(_content(cell), f"{variable} of {name}")
        yield from self._of_code(code, space, code.co_freevars, name)

    def _of_code(self, code: CodeType, space: Mapping[str, Any], outer: Sequence[str], name: str) -> Iterator[str]:
        """What code sets, and what the names stand for that it uses; `outer` are those of the functions around it."""
        modules: list[ModuleType] = []
        lines = [each for each in dis.get_instructions(code) if each.opname not in IDLE]
        is_making = code.co_name in MAKING
        for each in lines:
            kind, used = each.opname, each.argval
            if kind in SETS_NAME or (kind == "STORE_DEREF" and used in outer):
                yield f"{name} sets {used}, {CARRIES}"
            elif not is_making and (kind in SETS_FIELD or (kind in USES and used in SETTING)):
                yield f"{name} {'sets' if kind in SETS_FIELD else 'uses'} {used}, {CARRIES}"
            elif kind == "IMPORT_NAME":
                modules += self._own_module(sys.modules.get(used))
            elif kind in USES:
                for place in [space] if kind in USES_NAME else list(map(vars, modules)):
                    value = place.get(used)
                    modules += self._own_module(value)
                    yield from self.of(value, f"{used} of {place.get('__name__')}")
        if not is_making:
            yield from _distinctions(lines, space, name)
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                yield from self._of_code(inner, space, outer, name)

    def _own_module(self, value: object) -> list[ModuleType]:
        return [value] if isinstance(value, ModuleType) and is_own(value.__name__, self._root) else []

    def _is_new(self, found: Hashable, module: str) -> bool:
        """Whether a class or a function is of a user's own, and is looked at for the first time."""
        if found in self._seen or not is_own(module, self._root):
            return False
        self._seen.add(found)
        return True


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # it has none yet
        return None


def _distinctions(lines: Sequence[dis.Instruction], space: Mapping[str, Any], name: str) -> Iterator[str]:
    """What code reads from outside, and by what it may tell a recorded number from others."""
    value: Any = None
    loaded: list[object] = []
    for each, after in pairwise((*lines, lines[-1])):
        kind, used, before, value = each.opname, each.argval, value, None
        if kind in USES_NAME:
            value = space.get(used, vars(builtins).get(used))
        elif kind in USES_PART and isinstance(before, ModuleType):
            value = vars(before).get(used)
        elif kind == "IMPORT_NAME":
            value = sys.modules.get(used, ModuleType(used))
        if _is_outside(value) or (used in CLOCK and isinstance(before, type) and issubclass(before, date)):
            yield f"{name} uses {used}, {READS}"
        if value is type and not (after.opname.startswith("LOAD_FAST") and after.argval == "self"):
            yield f"{name} uses type(...), {TELLS_TYPE}"
        if value is suppress:
            yield f"{name} uses suppress, {TELLS_ERROR}"
        if kind == HANDLES and after.opname == "POP_TOP":
            yield f"{name} catches whatever is raised, {TELLS_ERROR}"
        if kind in MATCHES and any(not isinstance(one, type) or issubclass(TypeError, one) for one in loaded):
            yield f"{name} catches TypeError, {TELLS_ERROR}"
        if kind in USES_PART:
            loaded[-1:] = [value]
        elif kind.startswith("LOAD"):
            loaded.append(value)
        elif kind != "BUILD_TUPLE":
            loaded.clear()


def _is_outside(value: object) -> bool:
    """Whether something reads what no step is given: a module, or a function or class of one."""
    if isinstance(value, ModuleType):
        module = value.__name__
    elif isinstance(value, type | FunctionType | BuiltinFunctionType):
        module = value.__module__ or ""
    else:
        return isinstance(value, PurePath)
    return module in OUTSIDE or module.partition(".")[0] in OUTSIDE
