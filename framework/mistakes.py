"""A mistake in a user's own strategy, condition or venue, as one line with file, line, method and rows."""

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import FunctionType, GeneratorType, TracebackType

import numpy as np
from numpy.typing import NDArray

from framework.accounts import Book
from framework.conditions import Condition
from framework.errors import CarrybookError, ScenarioError
from framework.events import Event
from framework.market import Market
from framework.venue import Leg, Projection, Stretch, Venue

Frame = tuple[traceback.FrameSummary, dict[str, object]]
OUR_PACKAGES = ("framework", "strategies", "venues")


def is_ours(part: object) -> bool:
    """Whether the class of a part is of this project's version, not a user's own."""
    return type(part).__module__.partition(".")[0] in OUR_PACKAGES


def mistake_behind(error: Exception, parts: Iterable[object], market: Market, row: int) -> ScenarioError | None:
    """The mistake behind an exception: where in the files of these parts it was made, and with which rows.

    Rows are those of the stretch that the method was given, else `row`, counted from 0. What lies in the folders
    `strategies` and `venues` may be a user's as well, but comes second. None where no such file has a part in it: the
    fault is the framework's.
    """
    parts = tuple(parts)
    methods = [method for part in parts for method in _methods(part)]
    all_methods = [method for part in parts for method in _methods(part, ("framework",))]
    frames = list(_frames(error.__traceback__))
    words = f"{type(error).__name__}: {' '.join(str(error).split())}{_hint(error)}"
    within = _within(frames, methods) or _within(frames, all_methods)
    if within:
        place = within[-1][0]
        given = next((value for _, values in within for value in values.values() if isinstance(value, Stretch)), None)
        rows = market.rows(given.start, given.stop) if given else market.rows(row, row + 1)
        return ScenarioError(f"{_place(place.filename, place.lineno, place.name)}, {rows}: {words}")
    for method in all_methods:
        if str(error).startswith(f"{method.__qualname__}()"):
            code = method.__code__
            return ScenarioError(f"{_place(code.co_filename, code.co_firstlineno, method.__name__)}: {words}")
    return _mistyped(frames, [part for part in parts if not is_ours(part)])


@contextmanager
def mistakes_told(parts: Iterable[object], market: Market, row: Callable[[], int] = lambda: 0) -> Iterator[None]:
    """Raises `ScenarioError` for what goes wrong meanwhile in a user's own class; `row` is asked for then."""
    try:
        yield
    except CarrybookError as error:
        raise located(error, parts) from error.__cause__
    except Exception as error:
        mistake = mistake_behind(error, parts, market, row())
        if mistake is None:
            raise
        raise mistake from error


def asked(condition: Condition) -> Callable[[Stretch], NDArray[np.bool_]]:
    """What a condition is asked with: one of a user's own has to answer with one boolean per row."""
    if is_ours(condition):
        return condition.holds

    def ask(stretch: Stretch) -> NDArray[np.bool_]:
        answer = np.asarray(condition.holds(stretch))
        if answer.dtype != bool or answer.shape != (len(stretch),):
            what = f"{answer.dtype} of shape {answer.shape}" if answer.shape else repr(answer.item())
            rows = stretch.market.rows(stretch.start, stretch.stop)
            raise ScenarioError(
                f"{type(condition).__name__}.holds answers with {what} for {rows}; expected booleans of shape "
                f"({len(stretch)},), one per row of the stretch"
            )
        return answer

    return ask


def projecting(venue: Venue) -> Callable[[Book, Stretch], Projection | None]:
    """What projects a venue: one of a user's own has to answer with one value per row."""
    if is_ours(venue):
        return venue.project

    def project(book: Book, stretch: Stretch) -> Projection | None:
        projection = venue.project(book, stretch)
        wrong = None if projection is None else _wrong_field(projection, len(stretch))
        if wrong:
            rows = stretch.market.rows(stretch.start, stretch.stop)
            raise ScenarioError(f"{type(venue).__name__}.project answers with {wrong} for {rows}")
        return projection

    return project


def located(error: CarrybookError, parts: Iterable[object], orders: Iterator[object] | None = None) -> CarrybookError:
    """A complaint with the line of a user's own file that led to it, if one did.

    It is a line of the traceback, or the one at which `orders` waits, which has made the order that was refused.
    """
    if error.is_located:
        return error
    frames = _frames(error.__traceback__) if orders is None else _waiting(orders)
    within = _within(frames, [method for part in parts for method in _methods(part)])
    if within:
        place = within[-1][0]
        error.args = (f"{error} ({_place(place.filename, place.lineno, place.name)})",)
        error.is_located = True
    return error


def _within(frames: Iterable[Frame], methods: Iterable[FunctionType]) -> list[Frame]:
    """The frames in the files of these methods."""
    files = {method.__code__.co_filename for method in methods}
    return [each for each in frames if each[0].filename in files]


def _waiting(orders: Iterator[object]) -> Iterator[Frame]:
    """Where a generator waits, and the generators that it waits for, outermost first."""
    waiting: object = orders
    while isinstance(waiting, GeneratorType):
        frame = waiting.gi_frame
        if frame is not None:
            yield traceback.FrameSummary(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name), {}
        waiting = waiting.gi_yieldfrom


def _methods(part: object, ours: Sequence[str] = OUR_PACKAGES) -> Iterator[FunctionType]:
    """The methods of a part that are written outside of these packages."""
    for cls in type(part).__mro__:
        if cls.__module__.partition(".")[0] not in ours:
            file = getattr(sys.modules.get(cls.__module__), "__file__", None)
            written = (each for each in vars(cls).values() if isinstance(each, FunctionType))
            yield from (each for each in written if each.__code__.co_filename == file)


def _place(file: str, line: int | None, name: str) -> str:
    return f"{Path(file).name}, line {line}, in {name}"


def _frames(trace: TracebackType | None) -> Iterator[Frame]:
    """Each frame of a traceback, outermost first, with the values that it was working with."""
    for summary, (frame, _) in zip(traceback.extract_tb(trace), traceback.walk_tb(trace), strict=True):
        yield summary, dict(frame.f_locals)


def _wrong_field(projection: object, rows: int) -> str | None:
    """What of a projection has not one value per row; None where nothing is wrong."""
    if not isinstance(projection, Projection):
        return f"{projection!r}; expected a Projection, or None where nothing is held,"
    fields: list[tuple[object, str, int]] = [
        (projection, name, rows) for name in ("size", "equity_usd", "notional_usd", "liquidated", "margin_usd", "delta")
    ]
    for accrual in projection.accruals:
        if not np.issubdtype(np.asarray(accrual.path).dtype, np.integer):
            return f"a path of {np.asarray(accrual.path).dtype}; expected integers of atomic units"
        fields += [(accrual, "path", rows + 1), *((accrual, name, rows) for name in ("rate", "price", "size"))]
    for part, name, length in fields:
        shape = np.shape(getattr(part, name))
        if shape != (length,):
            before = ", one before the first row and one after each," if name == "path" else ", one per row,"
            return f"{name} of shape {shape}; expected ({length},){before}"
    return None


def _hint(error: Exception) -> str:
    """The name that was probably meant where an object has none of the name that was asked for."""
    if not isinstance(error, AttributeError) or not error.name:
        return ""
    close = get_close_matches(error.name, [each for each in dir(error.obj) if not each.startswith("_")], n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _mistyped(frames: Sequence[Frame], own: Sequence[object]) -> ScenarioError | None:
    """The mistake of a method that answers with something else than the leg or the event that is needed."""
    _, values = frames[-1]
    names = ", ".join(type(part).__name__ for part in own if isinstance(part, Venue))
    for name, kind in (("leg", Leg), ("event", Event)) if names else ():
        if name in values and not isinstance(values[name], kind):
            what = "a Leg" if kind is Leg else "an event, such as OrderFilled"
            return ScenarioError(f"a method of {names} answers with {values[name]!r}; expected {what}")
    return None
