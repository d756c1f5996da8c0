"""Hooks: what a strategy answers when it is told of something, order by order, and its mistakes as one line."""

from collections.abc import Callable, Iterable, Iterator

from framework.errors import CarrybookError, ScenarioError
from framework.mistakes import located, mistake_behind
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
    except CarrybookError as error:
        raise located(error, (strategy, *at.venues.values())) from error.__cause__
    except Exception as error:
        mistake = mistake_behind(error, (strategy, *at.venues.values()), at.market, at.row)
        if mistake is None:
            raise
        raise mistake from error


def _answer(hook: Callable[..., Iterable[Order]], told: tuple[object, ...]) -> Iterable[Order]:
    """What a hook answers; one that forgets to answer is told so."""
    answer = hook(*told)
    if not isinstance(answer, Iterable):
        name = getattr(hook, "__qualname__", "a hook of the strategy")
        raise ScenarioError(f"{name} returned {answer!r}; expected it to yield orders, or an empty tuple for none")
    return answer
