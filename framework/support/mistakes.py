"""A mistake in a user's own class as one line: the last line of the user's own code that led to it, and the rows."""

import builtins
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import GeneratorType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from framework.errors import CarrybookError, ScenarioError
from framework.market import Market
from framework.support.suggestions import closest

if TYPE_CHECKING:
    from framework.books import Stretch

Line = tuple[str, int | None, str]
"""File, line and function."""
OUR_PACKAGES = ("framework", "strategies", "venues")
IMPORTED = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")
"""What Python says of a name that a module does not have, and of that module."""


def is_ours(part: object) -> bool:
    """Whether the class of a part is of this project's version, not a user's own."""
    return type(part).__module__.partition(".")[0] in OUR_PACKAGES


@contextmanager
def mistakes_told(parts: Iterable[object], market: Market, row: Callable[[], int] = lambda: 0) -> Iterator[None]:
    """Raises `ScenarioError`, with the exception itself as its cause, for what goes wrong in a user's own class.

    The message names the last line of the user's files that led to it, and the row that `row` says, counted from 0.
    What goes wrong without such a line is the framework's own fault and is raised as it is.
    """
    try:
        yield
    except CarrybookError as error:
        raise located(error, parts) from error.__cause__
    except (Exception, SystemExit) as error:  # user code that ends the program would end it as if all was well
        own, beside_ours = _files(parts)
        place = _place(_lines(error), own or beside_ours) or _signature(error, parts)
        if place is None:
            raise
        words = f"{type(error).__name__}: {' '.join(str(error).split())}{hint(error)}"
        raise ScenarioError(f"{place}, {market.rows(row(), row() + 1)}: {words}") from error


def located(error: CarrybookError, parts: Iterable[object], orders: object = None) -> CarrybookError:
    """A complaint with the line of a user's own file that led to it, if one did.

    It is a line of the traceback, or the one at which `orders` waits, which has made the order that was refused, or at
    which they are defined, if they are a hook.
    """
    if not error.is_located:
        lines = _lines(error) if orders is None else _waiting(orders)
        place = _place(lines, _files(parts)[0])
        if place:
            error.args = (f"{error} ({place})",)
            error.is_located = True
    return error


def checked_answer(condition: Any, stretch: "Stretch") -> NDArray[np.bool_]:  # noqa: ANN401  (any object with `holds`)
    """What a condition answers: one boolean for each row of the stretch; raises `ScenarioError` for anything else."""
    answer = np.asarray(condition.holds(stretch))
    if answer.dtype != bool or answer.shape != (len(stretch),):
        what = f"{answer.dtype} of shape {answer.shape}" if answer.shape else repr(answer.item())
        rows = stretch.market.rows(stretch.start, stretch.stop)
        raise ScenarioError(
            f"{type(condition).__name__}.holds answers with {what} for {rows}; expected booleans of shape "
            f"({len(stretch)},), one per row of the stretch"
        )
    return answer


def _files(parts: Iterable[object]) -> tuple[set[str], set[str]]:
    """The files of the classes of some parts and of those above them that are not the framework's.

    Those in folders of the names of ours, which may be a user's as well, are the second.
    """
    own: set[str] = set()
    others: set[str] = set()
    for part in parts:
        for cls in (part if isinstance(part, type) else type(part)).__mro__:
            package = cls.__module__.partition(".")[0]
            file = getattr(sys.modules.get(cls.__module__), "__file__", None)
            if file and package != "framework" and package not in sys.stdlib_module_names:
                (others if package in OUR_PACKAGES else own).add(file)
    return own, others


def _place(lines: Iterable[Line], files: set[str]) -> str | None:
    found = [each for each in lines if each[0] in files]
    return f"{Path(found[-1][0]).name}, line {found[-1][1]}, in {found[-1][2]}" if found else None


def _lines(error: BaseException) -> Iterator[Line]:
    """The lines of a traceback, outermost first."""
    return ((each.filename, each.lineno, each.name) for each in traceback.extract_tb(error.__traceback__))


def _waiting(orders: object) -> Iterator[Line]:
    """Where a generator waits, and the generators that it waits for, outermost first; or where a function begins."""
    code = getattr(orders, "__code__", None)
    if code is not None:
        yield code.co_filename, code.co_firstlineno, code.co_name
    while isinstance(orders, GeneratorType):
        frame = orders.gi_frame
        if frame is not None:
            yield frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name
        orders = orders.gi_yieldfrom


def _signature(error: BaseException, parts: Iterable[object]) -> str | None:
    """The method of a user's own that was called with what it does not take."""
    for part in parts:
        for cls in type(part).__mro__:
            for method in vars(cls).values():
                code = getattr(method, "__code__", None)
                own = cls.__module__.partition(".")[0] not in OUR_PACKAGES
                if code and own and str(error).startswith(f"{method.__qualname__}()"):
                    return f"{Path(code.co_filename).name}, line {code.co_firstlineno}, in {method.__name__}"
    return None


def hint(error: BaseException) -> str:
    """What was probably meant, after a semicolon: the known name closest to an unknown one, or operators of arrays."""
    if isinstance(error, ValueError) and "truth value of an array" in str(error):
        return "; use & and |, not `and` and `or`"
    name, known = _unknown(error)
    meant = closest(name, [each for each in known if each != name and not each.startswith("_")])
    return f"; {meant}" if meant else ""


def _unknown(error: BaseException) -> tuple[str, Iterable[str]]:
    """The name that an object, a module or a piece of code does not have, and those that it has."""
    imported = IMPORTED.match(str(error)) if isinstance(error, ImportError) else None
    if imported:
        return imported[1], dir(sys.modules.get(imported[2]))
    if isinstance(error, AttributeError) and error.name:
        return error.name, dir(error.obj)
    if isinstance(error, NameError) and error.name:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        return error.name, {*frame.f_locals, *frame.f_globals, *dir(builtins)}
    return "", ()
