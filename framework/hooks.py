"""Hooks: what a strategy answers when it is told of something, order by order, and its mistakes as one line."""

import inspect
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from framework.errors import CarrybookError, ScenarioError
from framework.orders import Order
from framework.present import Present
from framework.strategy import Strategy


def orders_of(strategy: Strategy, hook: Callable[..., Iterable[Order]], *told: object, at: Present) -> Iterator[Order]:
    """The orders that a hook of a strategy answers with, each made when it is asked for.

    Raises `ScenarioError` for a hook that answers with something else, and for any mistake in the strategy's own code:
    the message names file, line, hook and row, and the exception itself is its cause.
    """
    try:
        yield from _answer(hook, told)
    except CarrybookError:
        raise
    except Exception as error:
        row = f"row {at.row + 1} ({at.market.date(at.row)})"
        words = " ".join(str(error).split())
        raise ScenarioError(f"{_place(strategy, error)}, {row}: {type(error).__name__}: {words}") from error


def _answer(hook: Callable[..., Iterable[Order]], told: tuple[object, ...]) -> Iterable[Order]:
    """What a hook answers; one that forgets to answer is told so."""
    answer = hook(*told)
    if not isinstance(answer, Iterable):
        raise ScenarioError(f"a hook of the strategy returned {answer!r}; expected orders, an empty tuple for none")
    return answer


def _place(strategy: Strategy, error: Exception) -> str:
    """The last line of the strategy's own file that was being run, or the last of all."""
    own = inspect.getfile(type(strategy))
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((each for each in reversed(frames) if each.filename == own), frames[-1])
    return f"{Path(frame.filename).name}, line {frame.lineno}, in {frame.name}"
