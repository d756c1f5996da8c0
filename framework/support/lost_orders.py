"""Lost orders: statements in a strategy's code that make orders and neither yield nor return them.

The code is read because a run cannot tell: a generator that is never started makes no order that could be missed, and
an order that was made only to be quoted is not lost.
"""

import ast
import inspect
import linecache
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import singledispatchmethod
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from attrs import Factory, frozen

from framework.errors import ScenarioError
from framework.formulas import cached_by_class
from framework.orders import Order
from framework.support.mistakes import OUR_PACKAGES

Statements = Sequence[ast.AST]
Functions = Mapping[tuple[str, int], Statements]
"""The statements of each function of a file, by its name and its first line, which may be that of a decorator."""
BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")
"""Fields of statements that hold further ones."""
DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
MOST_CALLS = 3
"""How many functions are followed of which each returns what the next one makes."""


def check_orders(strategy: object) -> None:
    """Refuse a strategy with a statement that makes orders and drops them; raises `ScenarioError`.

    Read are the methods of a user's own classes, and the functions in the same folder that they name. Code without
    source is not checked, and a name that a function itself binds is not looked up. An order that is given a name or
    passed on is not followed.
    """
    if lost := _first_lost(type(strategy)):
        raise ScenarioError(lost)


@cached_by_class
def _first_lost(cls: type) -> str:
    """A line about the first order that a class loses; an empty text where it loses none."""
    return next(_Reading(cls).lost(), "")


@frozen(eq=False)
class _Code:
    """A function as it is written, and what the names in it stand for; without source it has no statements."""

    function: FunctionType
    statements: Statements
    names: Mapping[str, object]

    @property
    def own_statements(self) -> Statements:
        """Those that are not within a function or a class of its own."""
        inner = [_statements(each) for each in self.statements if isinstance(each, DEFINITIONS)]
        others = {id(each) for statements in inner for each in statements}
        return [each for each in self.statements if id(each) not in others]

    def value(self, name: ast.expr) -> object:
        """What a name, or an attribute of a module, a class, `self` or `super()`, stands for; None where unknown."""
        match name:
            case ast.Name(id=word):
                return self.names.get(word)
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super"), args=[]), attr=attribute):
                above: Any = self.names.get("super", ())
                return next((vars(cls)[attribute] for cls in above if attribute in vars(cls)), None)
            case ast.Attribute(value=owner, attr=attribute):
                known = self.value(owner)
                return inspect.getattr_static(known, attribute, None) if isinstance(known, type | ModuleType) else None
        return None

    def complaint(self, call: ast.Call, word: str) -> str:
        """The line about an order that is lost; `word` is what would give it."""
        code = self.function.__code__
        written = f"{ast.unparse(call.func)}({'...' if call.args or call.keywords else ''})"
        place = f"{Path(code.co_filename).name}, line {call.lineno}, in {code.co_name}"
        return f"{place}: {written} by itself gives no order; expected `{word} {written}`"


@frozen(eq=False)
class _Reading:
    """What is read for the class of a strategy, each file once."""

    cls: type
    files: dict[str, Functions] = Factory(dict)

    def lost(self) -> Iterator[str]:
        """A line for each order that is lost."""
        waiting = list(_methods(self.cls))
        folders = {_folder(function) for function in waiting}
        seen = set[FunctionType]()
        while waiting:
            function = waiting.pop(0)
            if function in seen:
                continue
            seen.add(function)
            code = self._code(function)
            for each in code.statements:
                if isinstance(each, ast.Expr):
                    given = ((call, self._word(call, code)) for call in _calls(each.value))
                    yield from (code.complaint(call, word) for call, word in given if word)
            named = [code.names.get(name) for name in names_in(function.__code__)]
            waiting += [one for value in named for one in functions(value) if _folder(one) in folders]

    def _word(self, call: ast.Call, code: _Code, calls: int = MOST_CALLS) -> str:
        """What gives the orders that a call makes, `yield` or `yield from`; an empty text where it makes none.

        A function that is no generator makes those that it returns.
        """
        called = code.value(call.func)
        if isinstance(called, type):
            return "yield" if issubclass(called, Order) else ""
        if isinstance(called, staticmethod | classmethod):
            called = called.__func__
        if inspect.isgeneratorfunction(called):
            return "yield from"
        if not isinstance(called, FunctionType) or not calls:
            return ""
        inner = self._code(called)
        returned = [each.value for each in inner.own_statements if isinstance(each, ast.Return)]
        words = (self._word(each, inner, calls - 1) for each in returned if isinstance(each, ast.Call))
        return next(filter(None, words), "")

    def _code(self, function: FunctionType) -> _Code:
        """A function with its source, if there is one."""
        code = function.__code__
        if code.co_filename not in self.files:
            linecache.checkcache(code.co_filename)
            lines = linecache.getlines(code.co_filename, function.__globals__)
            self.files[code.co_filename] = _functions_of("".join(lines))
        statements = self.files[code.co_filename].get((code.co_name, code.co_firstlineno), ())
        return _Code(function, statements, self._names(function))

    def _names(self, function: FunctionType) -> dict[str, object]:
        """What names in a function stand for; `super` stands for the classes above that of the method."""
        code, names = function.__code__, dict[str, object](function.__globals__)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # it has no content yet
                names[name] = cell.cell_contents
        for name in _bound(code):
            names.pop(name, None)
        classes = self.cls.__mro__
        if names.get("__class__") in classes:
            names["super"] = classes[classes.index(names["__class__"]) + 1 :]
        members = (each for owner in classes for each in vars(owner).values() if not isinstance(each, staticmethod))
        if code.co_argcount and any(function in functions(each) for each in members):
            names[code.co_varnames[0]] = self.cls
        return names


def _folder(function: FunctionType) -> Path:
    return Path(function.__code__.co_filename).parent


def _methods(cls: type) -> Iterator[FunctionType]:
    """The methods that stand in the modules of a user's own classes, without those that a library has made."""
    for owner in cls.__mro__:
        if owner.__module__.partition(".")[0] not in {*OUR_PACKAGES, *sys.stdlib_module_names}:
            for function in (each for value in vars(owner).values() for each in functions(value)):
                if function.__globals__.get("__name__") == owner.__module__:
                    yield function


def functions(value: object) -> Iterator[FunctionType]:
    """The functions behind a member of a class or a module, below their decorators."""
    match value:
        case staticmethod() | classmethod():
            yield from functions(value.__func__)
        case property():
            yield from functions(value.fget)
        case singledispatchmethod():
            for each in value.dispatcher.registry.values():
                yield from functions(each)
        case _ if callable(value) and isinstance(function := inspect.unwrap(value), FunctionType):
            yield function


def _functions_of(source: str) -> Functions:
    """The functions in the source of a file; none where it cannot be read."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    found = [each for each in _statements(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    lines = [min([each.lineno, *(one.lineno for one in each.decorator_list)]) for each in found]
    return {(each.name, line): list(_statements(each)) for each, line in zip(found, lines, strict=True)}


def _statements(block: ast.AST) -> Iterator[ast.AST]:
    """The statements within another one, or within a file."""
    for name in BLOCKS:
        for each in getattr(block, name, ()):
            yield each
            yield from _statements(each)


def names_in(code: CodeType) -> set[str]:
    """The names from outside that a function, or one within it, uses."""
    inner = [names_in(each) for each in code.co_consts if isinstance(each, CodeType)]
    return {*code.co_names, *code.co_freevars}.union(*inner)


def _bound(code: CodeType) -> set[str]:
    """The names that a function, or one within it, binds."""
    inner = [_bound(each) for each in code.co_consts if isinstance(each, CodeType)]
    return {*code.co_varnames, *code.co_cellvars}.union(*inner)


def _calls(value: ast.expr) -> Iterator[ast.Call]:
    """The calls whose results a statement drops."""
    parts: Sequence[ast.expr] = ()
    match value:
        case ast.Call():
            yield value
        case ast.BoolOp(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            pass
        case ast.IfExp(body=first, orelse=second):
            parts = first, second
        case ast.ListComp(elt=each) | ast.SetComp(elt=each) | ast.GeneratorExp(elt=each):
            parts = (each,)
    for part in parts:
        yield from _calls(part)
