"""A mistake in a user's own strategy, condition or venue, as one line with file, line, method and rows."""

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, TracebackType

import numpy as np
from numpy.typing import NDArray

from framework.conditions import Condition
from framework.errors import CarrybookError, ScenarioError
from framework.events import Event
from framework.market import Market
from framework.venue import Projection, Stretch

Frame = tuple[traceback.FrameSummary, dict[str, object]]
OUR_PACKAGES = ("framework", "strategies", "venues")


def is_ours(part: object) -> bool:
    """Whether the class of a part is of this project's version, not a user's own."""
    return type(part).__module__.partition(".")[0] in OUR_PACKAGES


def mistake_behind(error: Exception, parts: Iterable[object], market: Market, row: int) -> ScenarioError | None:
    """The mistake behind an exception: where in the files of these parts it was made, and with which rows.

    Rows are those of the stretch that the method was given, else `row`, counted from 0. None where no class of a
    user's own has a part in it: the fault is ours.
    """
    own = [part for part in parts if not is_ours(part)]
    methods = [method for part in own for method in _methods(part)]
    files = {method.__code__.co_filename for method in methods}
    frames = list(_frames(error.__traceback__))
    words = f"{type(error).__name__}: {' '.join(str(error).split())}"
    within = [each for each in frames if each[0].filename in files]
    if within:
        place = within[-1][0]
        given = next((value for _, values in within for value in values.values() if isinstance(value, Stretch)), None)
        rows = rows_of(market, given.start, given.start + len(given)) if given else rows_of(market, row, row + 1)
        return ScenarioError(f"{_place(place.filename, place.lineno, place.name)}, {rows}: {words}")
    for method in methods:
        if str(error).startswith(f"{method.__qualname__}()"):
            code = method.__code__
            return ScenarioError(f"{_place(code.co_filename, code.co_firstlineno, method.__name__)}: {words}")
    return _shapeless(frames, own) or _eventless(frames, own)


@contextmanager
def mistakes_told(parts: Iterable[object], market: Market, row: Callable[[], int] = lambda: 0) -> Iterator[None]:
    """Raises `ScenarioError` for what goes wrong meanwhile in a user's own class; `row` is asked for then."""
    try:
        yield
    except CarrybookError:
        raise
    except Exception as error:
        mistake = mistake_behind(error, parts, market, row())
        if mistake is None:
            raise
        raise mistake from error


def rows_of(market: Market, start: int, stop: int) -> str:
    """Rows `start` to `stop - 1` as people count them, with their dates."""
    first, last = market.date(start), market.date(stop - 1)
    return f"row {stop} ({first})" if stop - start == 1 else f"rows {start + 1} to {stop} ({first} to {last})"


def asked(condition: Condition) -> Callable[[Stretch], NDArray[np.bool_]]:
    """What a condition is asked with: one of a user's own has to answer with one boolean per row."""
    if is_ours(condition):
        return condition.holds

    def ask(stretch: Stretch) -> NDArray[np.bool_]:
        answer = np.asarray(condition.holds(stretch))
        if answer.dtype != bool or answer.shape != (len(stretch),):
            what = f"{answer.dtype} of shape {answer.shape}" if answer.shape else repr(answer.item())
            rows = rows_of(stretch.market, stretch.start, stretch.start + len(stretch))
            raise ScenarioError(
                f"{type(condition).__name__}.holds answers with {what} for {rows}; expected booleans of shape "
                f"({len(stretch)},), one per row of the stretch"
            )
        return answer

    return ask


def _methods(part: object) -> Iterator[FunctionType]:
    """The methods that a user has written of a part."""
    for cls in type(part).__mro__:
        if cls.__module__.partition(".")[0] not in OUR_PACKAGES:
            file = getattr(sys.modules.get(cls.__module__), "__file__", None)
            written = (each for each in vars(cls).values() if isinstance(each, FunctionType))
            yield from (each for each in written if each.__code__.co_filename == file)


def _place(file: str, line: int | None, name: str) -> str:
    return f"{Path(file).name}, line {line}, in {name}"


def _frames(trace: TracebackType | None) -> Iterator[Frame]:
    """Each frame of a traceback, outermost first, with the values that it was working with."""
    for summary, (frame, _) in zip(traceback.extract_tb(trace), traceback.walk_tb(trace), strict=True):
        yield summary, dict(frame.f_locals)


def _shapeless(frames: Sequence[Frame], own: Sequence[object]) -> ScenarioError | None:
    """The mistake of a user's own venue whose projection is none, or has not one value per row."""
    kinds = {getattr(part, "name", None): type(part).__name__ for part in own}
    stretches = [value for _, values in frames for value in values.values() if isinstance(value, Stretch)]
    for stretch in stretches[-1:]:
        rows = rows_of(stretch.market, stretch.start, stretch.start + len(stretch))
        for name, projection in stretch.projections.items():
            wrong = _wrong_field(projection, len(stretch)) if name in kinds else None
            if wrong:
                return ScenarioError(f"{kinds[name]}.project answers with {wrong} for {rows}")
    return None


def _wrong_field(projection: object, rows: int) -> str | None:
    """What of a projection has not one value per row; None where nothing is wrong."""
    if not isinstance(projection, Projection):
        return f"{projection!r}; expected a Projection, or None where nothing is held"
    for name in ("size", "equity_usd", "notional_usd", "liquidated", "margin_usd", "delta"):
        shape = np.shape(getattr(projection, name))
        if shape != (rows,):
            return f"{name} of shape {shape}; expected ({rows},), one per row of the stretch"
    return None


def _eventless(frames: Sequence[Frame], own: Sequence[object]) -> ScenarioError | None:
    """The mistake of a method that answers with something else where an event has to be posted."""
    place, values = frames[-1]
    event = values.get("event")
    if not own or place.name != "post" or isinstance(event, Event):
        return None
    names = ", ".join(type(part).__name__ for part in own)
    return ScenarioError(f"a method of {names} answers with {event!r}; expected an event, such as OrderFilled")
