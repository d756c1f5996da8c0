"""Formulas: the rules of a venue as functions with named inputs, one source for floats, arrays and exact fractions.

The inputs of a formula are names: accounts of the venue in whole units, prices by role, rules, and other formulas. A
`program` works out some of them at once, each after what it needs.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache, partial
from types import CodeType
from typing import Any, TypeVar

import numpy as np
from attrs import field, frozen

from framework.errors import ScenarioError

Made = TypeVar("Made")
Key = tuple[str, int | None]
"""A named value: of the account as a whole, or of the coin with this place among the venue's coins."""


@frozen(eq=False)
class Formula:
    """A rule: `function` of the values that its parameters name; `per_coin` ones are worked out for each coin.

    To a formula of the account a value per coin arrives as the sum over the coins. One with `when` is a rule of the
    venues alone on which that field is set.
    """

    function: Callable[..., Any]
    per_coin: bool
    when: str = ""
    inputs: tuple[str, ...] = field(init=False)

    @inputs.default
    def _parameters(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.function).parameters)


def formula(function: Callable[..., Any] | None = None, *, when: str = "") -> Any:  # noqa: ANN401  (or its decorator)
    """A rule of the account as a whole; with `when`, only where that field of the venue is set."""
    return _declared(function, per_coin=False, when=when)


def per_coin(function: Callable[..., Any] | None = None, *, when: str = "") -> Any:  # noqa: ANN401  (or its decorator)
    """A rule for each coin in which the venue may hold a position; with `when`, only where that field is set."""
    return _declared(function, per_coin=True, when=when)


def _declared(function: Callable[..., Any] | None, *, per_coin: bool, when: str) -> Any:  # noqa: ANN401  (the same)
    if function is None:
        return partial(Formula, per_coin=per_coin, when=when)
    return Formula(function, per_coin=per_coin, when=when)


def cached_by_class(function: Callable[[type], Made]) -> Callable[[type], Made]:
    """What a function makes of a class, made once; `functools.cache` with types that take a class."""
    return cache(function)


@cached_by_class
def formulas_of(cls: type) -> Mapping[str, Formula]:
    """The formulas that a class and those above it declare, by name."""
    found: dict[str, Formula] = {}
    for each in reversed(cls.__mro__):
        found |= {name: value for name, value in vars(each).items() if isinstance(value, Formula)}
    return found


@cache
def formulas_where(cls: type, fields: frozenset[str]) -> Mapping[str, Formula]:
    """Of the formulas of a class those that hold where these of its fields are set."""
    return {name: each for name, each in formulas_of(cls).items() if not each.when or each.when in fields}


def ratio(numerator: Any, denominator: Any) -> Any:  # noqa: ANN401  (floats, arrays or fractions)
    """`numerator / denominator`, and 0 where the denominator is 0; of floats, arrays or fractions."""
    if isinstance(numerator, np.ndarray) or isinstance(denominator, np.ndarray):
        shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
        return np.divide(numerator, denominator, out=np.zeros(shape), where=np.not_equal(denominator, 0))
    return numerator / denominator if denominator else 0 * numerator


def choose(condition: Any, first: Any, second: Any) -> Any:  # noqa: ANN401  (floats, arrays or fractions)
    """`first` where the condition holds, else `second`; of floats, arrays or fractions."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, first, second)
    return first if condition else second


def greater(first: Any, second: Any) -> Any:  # noqa: ANN401  (floats, arrays or fractions)
    """The greater of two; of floats, arrays or fractions."""
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.maximum(first, second)
    return first if first >= second else second


def lesser(first: Any, second: Any) -> Any:  # noqa: ANN401  (floats, arrays or fractions)
    """The lesser of two; of floats, arrays or fractions."""
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.minimum(first, second)
    return first if first <= second else second


def square_root(value: Any) -> Any:  # noqa: ANN401  (floats, arrays or fractions)
    """The square root, and 0 of a number below 0; of floats, arrays or fractions, and of these to twenty places."""
    if isinstance(value, np.ndarray):
        return np.sqrt(value)
    if isinstance(value, Fraction):
        return Fraction(math.isqrt(int(value * 10**40)), 10**20)
    if not value > 0:
        return 0.0
    return value.sqrt() if hasattr(value, "sqrt") else math.sqrt(value)  # a recorded number knows its own


_PROGRAMS: dict[tuple[object, ...], tuple[Mapping[str, Formula], Callable[..., tuple[Any, ...]]]] = {}
"""Programs that were made, with the formulas that they were made of."""


def leaves(formulas: Mapping[str, Formula]) -> tuple[str, ...]:
    """The names that some formula asks for and none works out, in the order in which they are first asked for."""
    return tuple(dict.fromkeys(name for each in formulas.values() for name in each.inputs if name not in formulas))


def behind(formulas: Mapping[str, Formula], name: str) -> frozenset[str]:
    """The names on which a formula depends, with those of other formulas, and its own."""
    waiting, seen = [name], set[str]()
    while waiting:
        each = waiting.pop()
        if each not in seen:
            seen.add(each)
            waiting += formulas[each].inputs if each in formulas else ()
    return frozenset(seen)


def program(
    formulas: Mapping[str, Formula], targets: Sequence[Key], inputs: Sequence[Key], coins: int, place: str
) -> Callable[..., tuple[Any, ...]]:
    """All formulas that the targets need as one function, each after what it needs.

    It takes a value for each of the `inputs`, in their order, and answers with those of the targets. Raises
    `ScenarioError` for a formula that asks for what there is not, and names the venue's class by `place`.
    """
    key = (id(formulas), tuple(targets), tuple(inputs), coins)
    known = _PROGRAMS.get(key)
    if known is not None and known[0] is formulas:
        return known[1]
    sources = tuple((name, each.inputs, each.per_coin) for name, each in formulas.items())
    space: dict[str, Any] = {f"_{name}": each.function for name, each in formulas.items()}
    exec(_compiled(sources, tuple(targets), tuple(inputs), coins, place), space)  # noqa: S102  (names of Python alone)
    run: Callable[..., tuple[Any, ...]] = space["run"]
    _PROGRAMS[key] = formulas, run
    return run


@cache
def _compiled(
    sources: tuple[tuple[str, tuple[str, ...], bool], ...],
    targets: tuple[Key, ...],
    inputs: tuple[Key, ...],
    coins: int,
    place: str,
) -> CodeType:
    formulas = {name: (needs, each_coin) for name, needs, each_coin in sources}
    given_per_coin = {name: coin is not None for name, coin in inputs}
    done: dict[Key, None] = dict.fromkeys(inputs)
    lines: list[str] = []

    def value(name: str, coin: int | None, asking: str, waiting: tuple[str, ...]) -> str:
        """The variable of a value, after the lines that make it."""
        if name in waiting:
            raise ScenarioError(f"{place}.{asking}: needs itself, by way of {name!r}")
        if name not in formulas and name not in given_per_coin:
            some = ", ".join(sorted(given_per_coin.keys() | formulas.keys()))
            raise ScenarioError(f"{place}.{asking}: unknown input {name!r}; expected one of {some}")
        each_coin = formulas[name][1] if name in formulas else given_per_coin[name]
        key = (name, coin if each_coin else None)
        if key in done:
            return _variable(key)
        if each_coin and coin is None:
            parts = [value(name, index, asking, waiting) for index in range(coins)]
            lines.append(f"    {_variable(key)} = {' + '.join(parts) or '0.0'}")
        else:
            parts = [value(each, coin if each_coin else None, name, (*waiting, name)) for each in formulas[name][0]]
            lines.append(f"    {_variable(key)} = _{name}({', '.join(parts)})")
        done[key] = None
        return _variable(key)

    results = "".join(f"{value(name, coin, name, ())}, " for name, coin in targets)
    text = "\n".join((f"def run({', '.join(map(_variable, inputs))}):", *lines, f"    return ({results})", ""))
    return compile(text, f"<{place}>", "exec")


def reader(held: Sequence[tuple[object, float]], columns: int, rules: Sequence[object]) -> Callable[..., list[Any]]:
    """What reads all inputs of formulas at one row as a list: accounts by their scales, columns, and then rules.

    It takes the balances, the columns and the row. Written out it takes a third of the time of a loop.
    """
    space: dict[str, object] = {f"rule_{place}": rule for place, rule in enumerate(rules)}
    space |= {f"account_{place}": account for place, (account, _) in enumerate(held)}
    parts = [f"balances[account_{place}] / {scale!r}" for place, (_, scale) in enumerate(held)]
    parts += [f"columns[{place}][row]" for place in range(columns)]
    parts += [f"rule_{place}" for place in range(len(rules))]
    found: Callable[..., list[Any]] = eval(_reading(", ".join(parts)), space)  # noqa: S307  (names of ours alone)
    return found


@cache
def _reading(parts: str) -> CodeType:
    return compile(f"lambda balances, columns, row: [{parts}]", "<inputs>", "eval")


def _variable(key: Key) -> str:
    name, coin = key
    return name if coin is None else f"{name}__{coin}"
