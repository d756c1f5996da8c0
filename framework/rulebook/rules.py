"""Rules as values that hold for a time, each with its source and how certain it is.

A venue's rules are written down in a TOML file, one table for each rule:

    [taker_fee_bps]
    unit = "basis points of the notional"
    about = "taker fee of the base volume tier"
    values = [
      { value = 3.5, since = 2024-03-05, until = 2025-05-05T03:00:00Z, certainty = "observed", source = "..." },
      { value = 4.5, since = 2025-05-05T03:00:00Z, certainty = "exact", source = "..." },
    ]
"""

import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from framework.errors import ScenarioError

Certainty = Literal["exact", "observed", "inferred", "secondary", "unverified", "unknown"]
"""How a value is known, from reproducing data to the digit to being assumed.

Observed values were read off the protocol, inferred ones follow from such, secondary ones were published by others.
"""
CERTAINTIES: tuple[Certainty, ...] = get_args(Certainty)
DOUBTFUL: tuple[Certainty, ...] = ("unverified", "unknown")
"""What a report names where such a rule decided something."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_ns(value: object) -> int:
    """An instant in UTC nanoseconds from a date, a time, a text of either, or such a number; raises `ValueError`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = value if isinstance(value, str) else str(value)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{value!r}; expected a date such as 2025-01-31 or an instant in UTC") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (at - EPOCH) // timedelta(microseconds=1) * 1_000


def _instants(values: Iterable[object]) -> tuple[int, ...]:
    return tuple(instant_ns(each) for each in values)


def _frozen(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(values)


def _optional_instant(value: object) -> int | None:
    return None if value is None else instant_ns(value)


def day(at_ns: int) -> str:
    """An instant as a date, with the time where it is not midnight: `2025-05-05 03:00`."""
    at = EPOCH + timedelta(seconds=at_ns // 1_000_000_000)
    return f"{at:%Y-%m-%d}" if at.time() == datetime.min.time() else f"{at:%Y-%m-%d %H:%M}"


@frozen
class Dated:
    """A rule that changed with time: `values[k]` holds from `since_ns[k]` on, an instant in UTC.

    A scenario writes it as a list of tables, `[{since = 2024-01-01, value = 3.5}, ...]`, and a plain value where the
    rule never changed. The last of them may have an end, `until`. What happened before the first instant, or after the
    end, has no rule: a market that begins before it, or ends after it, is refused.
    """

    since_ns: tuple[int, ...] = field(converter=_instants)
    values: tuple[Any, ...] = field(converter=_frozen)
    until_ns: int | None = field(default=None, converter=_optional_instant)

    def __attrs_post_init__(self) -> None:
        if len(self.values) == 0 or len(self.values) != len(self.since_ns):
            raise ValueError("expected a list of tables with `since` and `value`, at least one")
        if any(later <= earlier for earlier, later in zip(self.since_ns, self.since_ns[1:], strict=False)):
            raise ValueError("expected the dates of a rule in their order, each once")
        if self.until_ns is not None and self.until_ns <= self.since_ns[-1]:
            raise ValueError(f"until {day(self.until_ns)}; expected an end after {day(self.since_ns[-1])}")

    @classmethod
    def of(cls, table: Iterable[object]) -> "Dated":
        """A rule from a scenario's list of tables; raises `ValueError`."""
        rows: list[dict[str, object]] = []
        for row in table:
            if not isinstance(row, dict) or not {"since", "value"} <= row.keys() <= {"since", "value", "until"}:
                raise ValueError(f"{row!r}; expected a table with `since` and `value`")
            if rows and (end := rows[-1].get("until")) is not None and instant_ns(end) != instant_ns(row["since"]):
                begins, ends = day(instant_ns(row["since"])), day(instant_ns(end))
                raise ValueError(f"one value ends {ends}, the next begins {begins}; expected one instant")
            rows.append(row)
        return cls(
            [row["since"] for row in rows], [row["value"] for row in rows], rows[-1].get("until") if rows else None
        )

    def at(self, at_ns: int) -> Any:  # noqa: ANN401  (a rule of any type)
        """The value in force at an instant; raises `ScenarioError` before the first and after the end."""
        place = bisect_right(self.since_ns, at_ns) - 1
        if place < 0:
            first = day(self.since_ns[0])
            raise ScenarioError(f"the rule begins at {first}; expected a market that begins no earlier")
        if self.until_ns is not None and at_ns > self.until_ns:
            last = day(self.until_ns)
            raise ScenarioError(f"the rule ends at {last}; expected a market that ends no later")
        return self.values[place]

    def by_row(self, at_ns: NDArray[np.int64]) -> NDArray[Any]:
        """The value in force at each of some instants, in their order; raises `ScenarioError` as `at` does."""
        self.at(int(at_ns[0]))
        self.at(int(at_ns[-1]))
        return np.asarray(self.values)[np.searchsorted(self.since_ns, at_ns, side="right") - 1]


def values_of(rule: object) -> tuple[Any, ...]:
    """Every value of a rule: those of all its dates, or the one value of a rule without dates."""
    return rule.values if isinstance(rule, Dated) else (rule,)


def value_at(rule: Any, at_ns: int) -> Any:  # noqa: ANN401  (a rule of any type)
    """The value of a rule at an instant, whether it has dates or not; raises `ScenarioError` as `Dated.at` does."""
    return rule.at(at_ns) if isinstance(rule, Dated) else rule


def joined(make: Callable[..., Any], *rules: Any) -> Any:  # noqa: ANN401  (rules of any type)
    """What `make` makes of the values of some rules: one value, or a `Dated` where one of the rules is.

    It changes on each date on which one of them does, begins with the last of them to begin, and ends with the first.
    """
    dated = [each for each in rules if isinstance(each, Dated)]
    if not dated:
        return make(*rules)
    first = max(each.since_ns[0] for each in dated)
    until_ns = min((each.until_ns for each in dated if each.until_ns is not None), default=None)
    changes = {first, *(at for each in dated for at in each.since_ns if at > first)}
    since = sorted(at for at in changes if until_ns is None or at < until_ns)
    return Dated(since, [make(*(value_at(each, at) for each in rules)) for at in since], until_ns)


@frozen
class RuleValue:
    """What a rule said from `since_ns` on until it changed or ended at `until_ns`, if it did."""

    value: Any
    since_ns: int = field(converter=instant_ns)
    until_ns: int | None = field(converter=_optional_instant)
    source: str
    certainty: Certainty

    @property
    def is_doubtful(self) -> bool:
        """Whether nobody knows that it was so."""
        return self.certainty in DOUBTFUL

    def plain(self) -> dict[str, object]:
        """The same as a table of plain values, with dates as people write them."""
        until = None if self.until_ns is None else day(self.until_ns)
        words = {"certainty": self.certainty, "source": self.source}
        return {"value": self.value, "since": day(self.since_ns), "until": until, **words}


@frozen
class Rule:
    """A rule of a venue: `key` is the setting that it gives a value to, `values` what it said from when on."""

    key: str
    unit: str
    about: str
    values: tuple[RuleValue, ...]

    def at(self, at_ns: int) -> RuleValue:
        """What the rule said at an instant; raises `ScenarioError` outside its range."""
        dated = Dated([each.since_ns for each in self.values], self.values, self.values[-1].until_ns)
        try:
            found: RuleValue = dated.at(at_ns)
        except ScenarioError as error:
            raise ScenarioError(f"{self.key}: {error}") from None
        return found

    def between(self, first_ns: int, last_ns: int) -> tuple[RuleValue, ...]:
        """What the rule said at some time between two instants, both included."""
        return tuple(
            each
            for each in self.values
            if each.since_ns <= last_ns and (each.until_ns is None or each.until_ns > first_ns)
        )

    def setting(self) -> object:
        """The rule as a scenario writes it: the list of tables of a `Dated`."""
        rows: list[dict[str, object]] = [{"since": each.since_ns, "value": each.value} for each in self.values]
        if self.values[-1].until_ns is not None:
            rows[-1]["until"] = self.values[-1].until_ns
        return rows


WORDS = ("unit", "about")
OF_VALUE = ("value", "since", "until", "certainty", "source")


@cache
def rules_of(package: str, name: str) -> Mapping[str, Rule]:
    """The rules of the file `rules/NAME.toml` of a package by key; none where there is no such file.

    Raises `ScenarioError` with the file, the rule and the value that is wrong.
    """
    place = files(package).joinpath("rules", f"{name}.toml")
    return read_rules(place.read_text(encoding="utf-8"), f"{package}/rules/{name}.toml") if place.is_file() else {}


def read_rules(text: str, place: str) -> dict[str, Rule]:
    """Rules from TOML, by key; raises `ScenarioError` that begins with `place`."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{place}: not TOML: {error}") from None
    return {key: _rule(key, table, f"{place}, {key}") for key, table in tables.items()}


def _rule(key: str, table: object, place: str) -> Rule:
    expected = {*WORDS, "values"}
    if not isinstance(table, dict) or table.keys() != expected:
        raise ScenarioError(f"{place}: expected a table with {', '.join((*WORDS, 'values'))} and nothing else")
    for name in WORDS:
        if not isinstance(table[name], str):
            raise ScenarioError(f"{place}: {name} is {table[name]!r}; expected text")
    rows = table["values"]
    if not isinstance(rows, list) or not rows:
        raise ScenarioError(f"{place}: expected at least one of its values")
    values = tuple(_value(row, f"{place}, value {number}") for number, row in enumerate(rows, 1))
    for number, (earlier, later) in enumerate(pairwise(values), 2):
        if earlier.until_ns not in (None, later.since_ns) or later.since_ns <= earlier.since_ns:
            ends = day(earlier.since_ns if earlier.until_ns is None else earlier.until_ns)
            words = (
                f"begins {day(later.since_ns)}, the one before it {'begins' if earlier.until_ns is None else 'ends'}"
            )
            raise ScenarioError(
                f"{place}, value {number}: {words} {ends}; expected values in their order without a gap"
            )
    ended = (evolve(earlier, until_ns=later.since_ns) for earlier, later in pairwise(values))
    return Rule(key, table["unit"], table["about"], (*ended, values[-1]))


def _value(row: object, place: str) -> RuleValue:
    if not isinstance(row, dict) or not {"value", "since", "certainty", "source"} <= row.keys() <= set(OF_VALUE):
        raise ScenarioError(
            f"{place}: {row!r}; expected a table with {', '.join(OF_VALUE)}, of which until is optional"
        )
    if row["certainty"] not in CERTAINTIES:
        raise ScenarioError(f"{place}: certainty is {row['certainty']!r}; expected one of {', '.join(CERTAINTIES)}")
    if not isinstance(row["source"], str) or not row["source"]:
        raise ScenarioError(f"{place}: source is {row['source']!r}; expected text")
    try:
        made = RuleValue(row["value"], row["since"], row.get("until"), row["source"], row["certainty"])
    except ValueError as error:
        raise ScenarioError(f"{place}: {error}") from None
    if made.until_ns is not None and made.until_ns <= made.since_ns:
        raise ScenarioError(f"{place}: until {day(made.until_ns)}; expected an end after {day(made.since_ns)}")
    return made
