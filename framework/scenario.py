"""A scenario in TOML: everything that a run depends on, as one value.

Its tables become typed values, and the classes that they name are found.
"""

import hashlib
import importlib
import json
import math
import os
import pkgutil
import re
import sys
import sysconfig
import tomllib
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cache, partial
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path, PurePath, PureWindowsPath
from traceback import extract_tb
from types import ModuleType
from typing import Any, ClassVar, Literal, TypeVar, Union

import cattrs
import tomli_w
from attrs import (
    NOTHING,
    Attribute,
    Factory,
    asdict,
    evolve,
    field,
    fields_dict,
    frozen,
    has,
    resolve_types,
    validators,
)
from cattrs.errors import (
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
    StructureHandlerNotFoundError,
)

from framework.errors import ScenarioError
from framework.money import USD_LIMIT
from framework.rulebook.incidents import Incident
from framework.rulebook.row_path import RowPath
from framework.rulebook.rules import Rule
from framework.strategy import Strategy
from framework.support.files import MIB, read_bounded
from framework.support.mistakes import OUR_PACKAGES, hint
from framework.support.suggestions import closest, closest_path, suggestion
from framework.support.text import shown
from framework.venue import Dated, Venue

Table = dict[str, object]
LEAST_USD = 0.01
"""The least capital: returns are fractions of it."""
MOST = 1e15
"""No figure that is published is larger."""
Entry = Literal["first_close", "first_open", "look_ahead"]
"""When a strategy starts: at the close of the first row, at its open, or, as no one could, at its close when it opens.

The last is the study's: positions are opened at the price of the first close and earn the whole first row.
"""


def _below_data(_: object, attribute: "Attribute[str]", value: str) -> None:
    """A file below the directory of the data: a scenario of somebody else names no other."""
    path = PurePath(value)
    if not value or "\0" in value or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"'{attribute.name}' must be a file below the directory of the data: {shown(value)}")


@frozen(kw_only=True)
class EarlierSpec:
    """A file with the same columns as a source, and its reader: what stands before the source's first sample."""

    reader: str
    """How the earlier file is read."""
    file: str = field(validator=_below_data)
    """Its name in the same directory."""


@frozen(kw_only=True)
class SourceSpec:
    """One input file and the reader that understands it; the rest says how the reader `table` takes its columns.

    `fill` says what happens where samples are missing, as for `StoredSpec`; without it they are refused.
    `every` is how often samples come, such as `8h`, which a rule for payments has to know; `before` is another file,
    for the time before this one's first sample. `coin` names the coin of a lender's rate, and so its column, such as
    `eth_lending_apy`.

    `note` is what a reader of any result must know about the file: reports begin with it.
    `interval` is the length of a row for a series whose rows become the market's, `time` the column of its times,
    `columns` our names and the file's, `joining` how several samples of one row become one, and `duplicates` what
    becomes of samples of one time: they are refused, count `once` if they say the same, or count each (`keep`).
    """

    reader: str
    """How the file is read, such as `table` for any CSV file."""
    file: str = field(validator=_below_data)
    """Its name in the directory that `--data` names."""
    interval: str | None = None
    time: str | None = None
    columns: dict[str, str] | None = None
    joining: Literal["last", "mean", "sum", "hold"] | None = None
    duplicates: Literal["refuse", "once", "keep"] | None = None
    fill: Literal["refuse", "zero", "previous", "drop"] | None = None
    every: Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d"] | None = None
    before: EarlierSpec | None = None
    coin: str | None = None
    note: str | None = None

    def options(self) -> Table:
        """What the reader gets besides the file; None for what is left to it."""
        return asdict(
            self, filter=lambda field, _: field.name not in ("reader", "file", "fill", "every", "before", "note")
        )


@frozen(kw_only=True)
class StoredSpec:
    """A series of the store, by its id, and the rules by which it falls into the rows of the market.

    `column` is the stored column, where the market's own name does not end with it. `joining` says how several samples
    of one row become one, `fill` what happens where samples are missing, `lag_s` how far times may lag behind the hour
    that they stand for. `rates` are yearly: `simple` ones a row takes as rate x years, `effective` ones as
    (1 + rate) ** years - 1.
    """

    named_by_text: ClassVar[bool] = True

    series: str
    """Its id, such as `own:ETH:funding`; `carrybook data list` has them."""
    column: str | None = None
    joining: Literal["last", "mean", "sum", "hold"] | None = None
    fill: Literal["refuse", "zero", "previous", "drop"] = "refuse"
    lag_s: float | None = field(default=None, validator=validators.optional(validators.ge(0)))
    rates: Literal["simple", "effective"] = "simple"


@frozen(kw_only=True)
class MarketSpec:
    """Which rows of which data: dates are UTC and both included.

    `prices` names a series of the store, `series` further ones by the market column that they become. `funding` is a
    table of them by venue, for columns `VENUE_funding_rate`; or the name of one of `funding_sources`, or
    `none`, for the column `funding_rate`. `sources` are files in the data directory of the run. Without either, the
    `embedded` data set is read. `path` draws a path from all of that: its method, with the method's own keys, `seed`,
    `number` and `rows`.
    """

    start: date
    """First day."""
    end: date = field()
    """Last day."""
    embedded: str | None = None
    funding: str | dict[str, StoredSpec] | None = None
    funding_sources: dict[str, SourceSpec] = field(factory=dict)
    sources: dict[str, SourceSpec] = field(factory=dict)
    prices: StoredSpec | None = None
    series: dict[str, StoredSpec] = field(factory=dict)
    path: dict[str, object] | None = None

    @end.validator
    def _after_start(self, _: object, end: date) -> None:
        if end < self.start:
            raise ValueError(f"end {end} is before start {self.start}; expected the same day or a later one")

    @property
    def files(self) -> tuple[str, ...]:
        """The files of its sources, by their names in the directory that `--data` names."""
        sources = [*self.sources.values(), *self.funding_sources.values()]
        named = [each.file for source in sources for each in (source, source.before) if each]
        return tuple(dict.fromkeys(named))

    @property
    def stored(self) -> dict[str, StoredSpec]:
        """The series of the store by the key that names them."""
        funding = self.funding if isinstance(self.funding, dict) else {}
        named = {f"series.{name}": spec for name, spec in self.series.items()}
        named |= {f"funding.{name}": spec for name, spec in funding.items()}
        return ({"prices": self.prices} if self.prices else {}) | named


@frozen(kw_only=True)
class Published:
    """What a publication says that a scenario gives: figures by the name of a metric, and readings of its rules.

    A reading is a name with settings under which the scenario is run as well. `verdict` says what the reader should
    take from the comparison.
    """

    source: str
    """Who says so, and where."""
    figures: dict[str, float] = field()
    """Name of a figure of the summary: what is published."""
    readings: dict[str, list[str]] = field(factory=dict)
    """Name of a reading: the settings `KEY=VALUE` under which the scenario is run as well."""
    verdict: str = ""

    @figures.validator
    def _bounded(self, _: object, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            if not abs(value) <= MOST:
                raise ValueError(f"'figures' must be of at most {MOST:g}: {name} = {value:g}")


@frozen(kw_only=True)
class Coarser:
    """Rows of an interval, to show beside a scenario's own what they hide: over a grid of keys and their values."""

    interval: Literal["1h", "2h", "4h", "8h", "12h", "1d"]
    """How long the coarser rows are."""
    grid: dict[str, list[object]]
    """Key of the scenario: the values over which both are run."""


def _fraction_per_year(_: object, attribute: Any, rate: float) -> None:
    if not -1 < rate <= 1:
        raise ValueError(f"'{attribute.name}' must be a fraction per year, such as 0.043 for 4.3 %: {rate}")


@frozen(kw_only=True)
class Benchmarks:
    """What a result is compared with, besides holding the coin.

    `rate` is a constant rate such as that of Treasury bills, a fraction per year with compounding; Sharpe and Sortino
    ratios are of the returns above it. `lending` is the market column of a lending rate, where the benchmark is not to
    be what the run's own lender pays on the coin.
    """

    rate: float = field(default=0.0, validator=_fraction_per_year)
    lending: str | None = None


def _title(_: object, attribute: "Attribute[str]", value: str) -> None:
    """One line that may become the name of a file below a directory, as in a user's script, and leads nowhere else."""
    path = PureWindowsPath(value)  # which takes both slashes for separators
    if not value.strip() or not value.isprintable() or path.root or ".." in path.parts or value == ".":
        raise ValueError(f"'{attribute.name}' must be text of one line that is no path: {shown(value)}")


@frozen(kw_only=True)
class Scenario:
    """A run to be: capital, market, strategy, venues and the rulebook that completes them.

    `strategy`, `venues` and `rulebook` are tables of the fields of the classes that they name; `fees` are those of the
    class that `venues` names as the issuer, who stands behind the venues of a synthetic dollar. `published` are figures
    that a publication gives, to be shown beside the run's; `coarser` are rows to be shown beside its own;
    `benchmarks` say what its result is compared with. `incidents` are what goes wrong from outside.
    """

    name: str = field(validator=_title)
    """What it is called in reports; one line that is no path."""
    capital_usd: float = field(validator=(validators.ge(LEAST_USD), validators.le(float(USD_LIMIT))))
    """What the run begins with, in dollars on the wallet."""
    seed: int = 0
    """The seed of everything random that asks for one."""
    entry: Entry = "first_close"
    """When the strategy starts: at the first close, at the first open, or with the study's look-ahead."""
    market: MarketSpec
    """The rows of data; see `[market]`."""
    strategy: dict[str, object]
    venues: dict[str, object]
    rulebook: dict[str, object] = field(factory=dict)
    fees: dict[str, object] = field(factory=dict)
    published: Published | None = None
    coarser: Coarser | None = None
    benchmarks: Benchmarks | None = None
    incidents: list[Incident] = field(factory=list)
    beside: Path | None = field(default=None, init=False, eq=False, repr=False)
    """The directory of its file: a user's own modules are looked for there first. No part of what is run."""

    @classmethod
    def load(cls, path: Path | str, settings: Sequence[str] = ()) -> "Scenario":
        """Read a TOML file, with `KEY=VALUE` settings put over its keys; raises `ScenarioError`."""
        table = read_table(Path(path))
        for setting in settings:
            put(table, setting)
        return cls.of(table, beside=Path(path).parent)

    @classmethod
    def of(cls, table: Mapping[str, object], beside: Path | None = None) -> "Scenario":
        """A scenario from its tables, of a file in a directory; raises `ScenarioError` with the first wrong key."""
        scenario = structure(dict(table), cls, "")
        object.__setattr__(scenario, "beside", beside)
        return scenario

    def table(self) -> Table:
        """The scenario as plain tables, without what was left out."""
        said = _said(asdict(self, filter=lambda field, _: field.init))
        market = said["market"]
        assert isinstance(market, dict)
        if not market["series"]:
            del market["series"]
        if not said["incidents"]:
            del said["incidents"]
        return said

    def toml(self) -> str:
        """The scenario as a TOML file that loads as an equal one."""
        return tomli_w.dumps(self.table())

    @property
    def digest(self) -> str:
        """SHA-256 of the content: the same for `3` and `3.0`, and for keys in any order."""
        canonical = json.dumps(_canonical(self.table()), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def _said(table: Table) -> Table:
    """A table without what is None."""

    def said(value: object) -> object:
        if isinstance(value, list):
            return [said(each) for each in value]
        return _said(value) if isinstance(value, dict) else value

    return {key: said(value) for key, value in table.items() if value is not None}


def read_table(path: Path) -> Table:
    """A TOML file as nested tables; raises `ScenarioError`."""
    try:
        return parsed(read_bounded(path, MIB).decode("utf-8-sig"))  # some editors begin with a byte order mark
    except OSError as error:
        meant = closest_path(path) or "expected a scenario in TOML"
        raise ScenarioError(f"{path}: not readable ({error.strerror}); {meant}") from None
    except ValueError as error:
        raise ScenarioError(f"{path}: not TOML: {error}") from None


def parsed(text: str) -> Table:
    """TOML as nested tables; raises `ValueError` for what is none, and for tables that lie too deep in each other."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("too many levels") from None


def put(table: Table, setting: str) -> None:
    """Set one key of nested tables from `a.b.c=VALUE`; raises `ScenarioError`."""
    key, equals, text = setting.partition("=")
    if not equals:
        raise ScenarioError(f"--set {setting}: expected KEY=VALUE, such as strategy.leverage=3")
    place(table, key.strip(), value_of(text))


def place(table: Table, key: str, value: object) -> None:
    """Put a value at a dotted key of nested tables; raises `ScenarioError` where a part of it is not a table."""
    *parents, last = parts = key.split(".")
    if not all(parts):
        raise ScenarioError(f"{key!r} is not a key; expected one such as strategy.leverage")
    for depth, parent in enumerate(parents, start=1):
        below = table.setdefault(parent, {})
        if not isinstance(below, dict):
            raise ScenarioError(f"{key}: {'.'.join(parents[:depth])} is {below!r}, not a table")
        table = below
    table[last] = value


def value_at(table: Mapping[str, object], key: str) -> object:
    """The value at a dotted key of nested tables; None where there is none."""
    found: object = table
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def value_of(text: str) -> object:
    """A value as it is written: TOML, or text where it is not."""
    try:
        return parsed(f"value = {text}")["value"]
    except ValueError:
        return text.strip()


def _canonical(value: object) -> object:
    match value:
        case dict():
            return {key: _canonical(each) for key, each in value.items()}
        case list() | tuple():
            return [_canonical(each) for each in value]
        case bool() | str() | None:
            return value
        case int() | float():
            return float(value)
        case _:
            return str(value)


class Rulebook(ABC):
    """Rules as values. Subclasses are frozen; their fields are the keys of `[rulebook]` in a scenario."""

    look_ahead_at_entry: bool
    path: RowPath = "close"
    """The order in which a row's prices are taken to come."""

    @abstractmethod
    def terms(self, venue: str, strategy: Strategy) -> Mapping[str, object]:
        """Keys of `[venues.NAME]` for a venue of the class with this short name; a scenario's own override them."""

    def rules(self, venue: str, table: Mapping[str, object]) -> Mapping[str, Rule]:  # noqa: ARG002  (for rulebooks that do)
        """Dated rules of such a venue by the keys that they give values to, beside its terms, which override them.

        `table` is the scenario's own table of the venue, by which a rulebook may choose, such as a lender.
        """
        return {}

    def leaves_open(self, venue: str, strategy: Strategy) -> str:  # noqa: ARG002  (for rulebooks that do)
        """Why it leaves rules of such a venue open, for the complaint about one that is missing; nothing by default."""
        return ""


Structured = TypeVar("Structured")

RULE = re.compile(r"'(\w+)' must be (.+?): (.+)")
"""How a validator says what is wrong, those of attrs and ours alike: field, rule, value."""
UNKNOWN = ": unknown key"
"""What is reported first: a key that is misspelt is missing as well."""


def structure(table: object, cls: type[Structured], key: str, given: Mapping[str, object] | None = None) -> Structured:
    """`table` as a value of `cls`; raises `ScenarioError` with the first wrong key below `key`.

    `given` are further fields, which are not the table's to set.
    """
    given = given or {}
    if not isinstance(table, dict):
        raise ScenarioError(f"{key}: {table!r}; expected a table")
    if not has(cls):
        raise ScenarioError(f"{key}: {cls.__name__} is not an attrs class; decorate it with attrs.frozen")
    for name in given:
        if name not in fields_dict(cls):
            raise ScenarioError(f"{key}: {cls.__name__} has no field `{name}`; expected `{name}: str` among its fields")
        if name in table:
            raise ScenarioError(_unknown(key, name, cls, given))
    try:
        for name, words in _wrong_defaults(cls).items():
            if name not in table and name not in given:
                raise ScenarioError(f"{_below(key, name)}: the default of {cls.__name__} is {words}")
        return _CONVERTER.structure({**table, **given}, cls)  # type: ignore[return-value]
    except ClassValidationError as error:
        complaints = list(_complaints(error, key, given))
        raise ScenarioError(next((each for each in complaints if UNKNOWN in each), complaints[0])) from None
    except NameError as error:  # of a type that is written as text, which is looked up here
        raise ScenarioError(f"{key}: among the types of the fields of {cls.__name__}, {error}") from None
    except StructureHandlerNotFoundError as error:
        kind = getattr(error.type_, "__name__", None) or str(error.type_)
        expected = "numbers, text, dates, or lists, tables and attrs classes of them"
        raise ScenarioError(f"{key}: a field of {cls.__name__} has the type {kind}; expected {expected}") from None


@cache
def _wrong_defaults(cls: Any) -> Mapping[str, str]:
    """Field of an attrs class -> its default and what was expected, where that has another type than the field."""
    found = {}
    for name, each in fields_dict(resolve_types(cls)).items():
        plain = each.init and each.converter is None and not isinstance(each.default, Factory)  # type: ignore[arg-type]
        words = _misfit(each.default, each.type) if plain and each.default is not NOTHING else ""
        if words:
            found[name] = words
    return found


def _misfit(default: object, kind: Any) -> str:
    """A default and what is expected of one of this type; nothing where it fits, or where no key can have the type."""
    if has(type(default)) or (isinstance(default, float) and not math.isfinite(default)):  # which no key can be
        return ""
    try:
        made = _CONVERTER.structure(default, kind)
    except StructureHandlerNotFoundError:
        return ""
    except (ValueError, ClassValidationError, IterableValidationError) as error:
        optional = f", or the type `{getattr(kind, '__name__', kind)} | None`" if default is None else ""
        return f"{next(_complaints(error, ''))}{optional}"
    is_other = type(made) is not type(default) and (has(type(made)) or isinstance(made, date))
    return f"{shown(default)}; expected a {type(made).__name__}" if is_other else ""


def _unknown(key: str, name: str, cls: type, given: Collection[str]) -> str:
    """The complaint about a key that no field has, or one that is not the table's to set."""
    known = [each for each, field in fields_dict(cls).items() if field.init and each not in given]
    if hasattr(cls, name) and not callable(getattr(cls, name)) and name not in fields_dict(cls):
        some = f"`{name}` of {cls.__name__} has no type; expected one, such as `{name}: {_type_of(cls, name)}`"
    else:
        some = suggestion(name, known) if known else f"{cls.__name__} has no fields; expected one with a type"
    return f"{_below(key, name)}{UNKNOWN}; {some}"


def _type_of(cls: type, name: str) -> str:
    """What the type of a class attribute is called."""
    return type(getattr(cls, name)).__name__


def _complaints(error: BaseException, key: str, given: Collection[str] = ()) -> Iterator[str]:
    """The complaints within an error, each with the full key that it is about."""
    if isinstance(error, ClassValidationError | IterableValidationError):
        for each in error.exceptions:
            below, kind = key, None
            for note in getattr(each, "__notes__", ()):
                below = _below(below, str(getattr(note, "name", getattr(note, "index", ""))))
                kind = getattr(note, "type", None)
            if isinstance(each, KeyError):
                is_table = typing.get_origin(kind) is dict or (isinstance(kind, type) and has(kind))
                yield f"{below}: missing; expected a {'table' if is_table else 'value'}"
            else:
                yield from _complaints(each, below, given if below == key else ())
    elif isinstance(error, ForbiddenExtraKeysError):
        for name in sorted(error.extra_fields):
            yield _unknown(key, name, error.cl, given)
    elif rule := RULE.fullmatch(_words(error)):
        name, expected, value = rule.groups()
        yield f"{_below(key, name)}: {value}; expected {expected}"
    else:
        yield f"{key}: {_words(error)}" if key else _words(error)


def _below(key: str, name: str) -> str:
    return f"{key}.{name}" if key and name else key or name


def _words(error: BaseException) -> str:
    """The first argument of an error in one line: attrs' validators carry further ones."""
    return " ".join(str(error.args[0] if error.args else error).split())


def _number(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{shown(value)}; expected a number")
    return float(value)


def _integer(value: object, _: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ValueError(f"{shown(value)}; expected a whole number of at most 64 bits")
    return value


def _truth(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)}; expected true or false")
    return value


def _text(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)}; expected text")
    return value


def _table(value: object, _: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{shown(value)}; expected a table")
    return value


def _date(value: object, _: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"{shown(value)}; expected a date such as 2025-01-31") from None


def _choice(value: object, kind: Any) -> object:
    options = typing.get_args(kind)
    if value not in options:
        raise ValueError(f"{shown(value)}; expected one of {', '.join(map(str, options))}")
    return value


def _number_or_choice(value: object, kind: Any) -> object:
    words = [word for part in typing.get_args(kind) for word in typing.get_args(part)]
    if value in words:
        return value
    try:
        return _number(value, float)
    except ValueError:
        raise ValueError(f"{shown(value)}; expected a number or {' or '.join(words)}") from None


def _named(value: object, kind: Any) -> object:
    """A table, or the text that stands for a table of nothing but its first key."""
    if isinstance(value, str):
        return kind(**{next(iter(fields_dict(kind))): value})
    if not isinstance(value, dict):
        raise ValueError(f"{shown(value)}; expected text or a table")
    return _CONVERTER.gen_structure_attrs_fromdict(kind)(value, kind)


def _text_or_tables(value: object, kind: Any) -> object:
    if not isinstance(value, dict):
        if value is None or isinstance(value, str):
            return value
        raise ValueError(f"{shown(value)}; expected text or a table")
    tables = next(part for part in typing.get_args(kind) if typing.get_origin(part) is dict)
    return _CONVERTER.structure(value, tables)


def _plain_or_dated(value: object, kind: Any) -> object:
    """A rule: a plain value, which may be a list, or a list of tables with the dates from which values hold."""
    plain = next(part for part in typing.get_args(kind) if part not in (Dated, types.NoneType))
    if value is None:
        return None
    if not isinstance(value, list) or _is_plain_list(value, plain):
        return _CONVERTER.structure(value, plain)
    dated = Dated.of(value)
    return evolve(dated, values=[_CONVERTER.structure(each, plain) for each in dated.values])


def _is_plain_list(value: list[object], plain: Any) -> bool:
    """Whether a list is a value itself, such as one of tiers, and none of values with their dates."""
    dated = any(isinstance(each, dict) and ("since" in each or "value" in each) for each in value)
    return typing.get_origin(plain) is tuple and bool(value) and not dated


def _either(kind: Any) -> tuple[Any, ...]:
    """The types of which a field may have one; none where it has a single type."""
    return typing.get_args(kind) if typing.get_origin(kind) in (Union, types.UnionType) else ()


def _text_or_texts(value: object, _: Any) -> object:
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{shown(value)}; expected text or a list of it")
    return tuple(value)


def _listed(converter: cattrs.Converter, kind: Any) -> Callable[[object, Any], object]:
    """What makes a list, or a tuple of parts of one kind or of one each, and refuses a text in their place."""
    parts, is_list = typing.get_args(kind), typing.get_origin(kind) is list
    alike = is_list or parts[1:] == (...,)

    def structured(value: object, _: Any) -> object:
        if not isinstance(value, list | tuple) or not (alike or len(value) == len(parts)):
            raise ValueError(f"{shown(value)}; expected a list{'' if alike else f' of {len(parts)}'}")
        kinds = [parts[0]] * len(value) if alike else parts
        made = _each(converter, kind, zip(range(len(value)), value, kinds, strict=True))
        return list(made.values()) if is_list else tuple(made.values())

    return structured


def _tabled(converter: cattrs.Converter, kind: Any) -> Callable[[object, Any], object]:
    """What makes a table of values of one kind, and refuses anything else in its place."""
    part = typing.get_args(kind)[1]

    def structured(value: object, _: Any) -> object:
        if not isinstance(value, dict):
            raise ValueError(f"{shown(value)}; expected a table")
        return _each(converter, kind, ((name, below, part) for name, below in value.items()))

    return structured


def _each(converter: cattrs.Converter, kind: Any, parts: Iterable[tuple[Any, object, Any]]) -> dict[Any, object]:
    """Values by index or key; what is wrong with each of them is collected."""
    made, errors = dict[Any, object](), list[Exception]()
    for index, value, part in parts:
        try:
            made[index] = converter.structure(value, part)
        except Exception as error:
            error.add_note(IterableValidationNote("", index, part))
            errors.append(error)
    if errors:
        raise IterableValidationError("", errors, kind)
    return made


def _is_a(*origins: object) -> Callable[[Any], bool]:
    return lambda kind: typing.get_origin(kind) in origins


def _is_either(part: object, origin: object) -> Callable[[Any], bool]:
    """Whether a field may be of a type, or else of one with this origin."""
    return lambda kind: part in _either(kind) and any(typing.get_origin(each) is origin for each in _either(kind))


def _from_table(converter: cattrs.Converter, kind: Any) -> Callable[[object, Any], object]:
    """What makes an instance of a class with fields of a table with their keys."""
    made = converter.gen_structure_attrs_fromdict(kind)

    def structured(value: object, kind: Any) -> object:
        if not isinstance(value, dict):
            raise ValueError(f"{shown(value)}; expected a table with the keys {', '.join(fields_dict(kind))}")
        return made(value, kind)

    return structured


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    converter.register_structure_hook_factory(has, partial(_from_table, converter))
    converter.register_structure_hook_factory(_is_a(list, tuple), partial(_listed, converter))
    converter.register_structure_hook_factory(_is_a(dict), partial(_tabled, converter))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(bool, _truth)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(date, _date)
    converter.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)
    converter.register_structure_hook_func(lambda kind: kind == dict[str, object], _table)
    converter.register_structure_hook_func(_is_a(Literal), _choice)
    converter.register_structure_hook_func(_is_either(float, Literal), _number_or_choice)
    converter.register_structure_hook_func(_is_either(str, dict), _text_or_tables)
    converter.register_structure_hook_func(lambda kind: Dated in _either(kind), _plain_or_dated)
    converter.register_structure_hook_func(lambda kind: {*_either(kind)} == {str, tuple[str, ...]}, _text_or_texts)
    converter.register_structure_hook_func(lambda kind: kind is Venue, lambda value, _: value)
    converter.register_structure_hook_func(lambda kind: getattr(kind, "named_by_text", False) is True, _named)
    return converter


_CONVERTER = _converter()


Part = TypeVar("Part")


def find_class(name: object, key: str, kind: type[Part], package: str) -> type[Part]:
    """The class of a `kind` that a scenario means by its key: of a module of our `package`, or a user's own.

    Raises `ScenarioError` where there is none, or where a user's own module cannot be imported.
    """
    noun = kind.__name__.lower()
    if not isinstance(name, str):
        raise ScenarioError(f"{key}.class: {name!r}; expected the name of a {noun}")
    if name.isidentifier() and find_spec(f"{package}.{name}") is None:
        name = _declared(package).get(name, name)
    if ":" in name:
        module_name, _, class_name = name.partition(":")
        if not module_name:
            raise ScenarioError(f"{key}.class: {name!r}; expected package.module:Class, or the name of a {noun}")
        _import_from_here(module_name)
    else:
        module_name, class_name = f"{package}.{name}", ""
    try:
        module = importlib.import_module(module_name)
    except SystemExit as error:
        raise ScenarioError(f"{key}.class: {name!r} cannot be imported: it ends the program ({error.code})") from None
    except SyntaxError as error:
        place = f"{Path(error.filename or module_name).name}, line {error.lineno}"
        raise ScenarioError(f"{key}.class: {name!r} cannot be read: {place}: {error.msg}") from None
    except Exception as error:
        if not isinstance(error, ModuleNotFoundError):
            file, line = _last_of_theirs(error)
            words = f"{Path(file).name}, line {line}: {type(error).__name__}: {error}{hint(error)}"
            raise ScenarioError(f"{key}.class: {name!r} cannot be imported: {words}") from None
        if error.name and not f"{module_name}.".startswith(f"{error.name}."):
            words = "; ".join(filter(None, ("which is not installed", _meant_module(error.name))))
            raise ScenarioError(f"{key}.class: {name!r} imports {error.name!r}, {words}") from None
        places = f"{Path.cwd()}, where the command was started, nor beside the scenario"
        where = f"no module {module_name!r} in {places}; " if ":" in name else ""
        meant = (":" in name and _meant_module(error.name or module_name)) or _known(name, kind, package)
        raise ScenarioError(f"{key}.class: unknown {noun} {name!r}; {where}{meant}") from None
    cls = getattr(module, class_name, None) if class_name else _only(module, kind)
    if cls is None:
        what = repr(class_name) if class_name else noun
        meant = _meant(module, class_name, kind) or _known(name, kind, package)
        raise ScenarioError(f"{key}.class: unknown {noun} {name!r}; the module has no {what}; {meant}")
    if not (isinstance(cls, type) and issubclass(cls, kind)):
        raise ScenarioError(f"{key}.class: {name!r} is not a {noun}; expected a subclass of framework.{kind.__name__}")
    return cls


def _last_of_theirs(error: BaseException) -> tuple[str, int | None]:
    """The last line of a user's own that led to an error, or the very last where there is none."""
    paths = sysconfig.get_paths()
    known = tuple(f"{each}{os.sep}" for each in (Path(__file__).parent, paths["stdlib"], paths["purelib"]))
    lines = [(each.filename, each.lineno) for each in extract_tb(error.__traceback__)]
    theirs = [each for each in lines if not each[0].startswith(("<", *known))]
    return (theirs or lines)[-1]


def _known(name: str, kind: type, package: str) -> str:
    """What could be named instead: the class that was meant, or a short name, or a user's own."""
    if ":" not in name and "." in name:
        return f"did you mean {':'.join(name.rsplit('.', 1))}?"
    names = dict.fromkeys((*own_names(kind, package), *sorted(_declared(package))))
    return closest(name, names) or f"expected one of {', '.join(names)}, or package.module:Class"


def _meant_module(missing: str) -> str:
    """Which of a user's own modules was probably meant by one that is missing; nothing where none has such a name."""
    package, _, name = missing.rpartition(".")
    if package:
        places = list(getattr(sys.modules.get(package), "__path__", ()))
    else:
        ours = [Path(sysconfig.get_path(each)) for each in ("stdlib", "platstdlib", "purelib", "platlib")]
        found = [str(Path.cwd()), *sys.path]
        places = [each for each in found if not any(Path(each).is_relative_to(place) for place in ours)]
    known = [each.name for each in pkgutil.iter_modules(places)]
    return closest(name, known if package else [*known, *OUR_PACKAGES])


def _meant(module: ModuleType, class_name: str, kind: type) -> str:
    """Which class of a kind in a user's own module was probably meant; nothing where none has such a name."""
    classes = {name: each for name, each in vars(module).items() if isinstance(each, type) and each is not kind}
    return closest(class_name, [name for name, each in classes.items() if issubclass(each, kind)])


def own_names(kind: type, package: str) -> list[str]:
    """The short names of the classes of a `kind` in the modules of our `package`."""
    modules = [each.name for each in pkgutil.iter_modules(importlib.import_module(package).__path__)]
    return [each for each in modules if _only(importlib.import_module(f"{package}.{each}"), kind)]


@cache
def _declared(package: str) -> dict[str, str]:
    """The classes that installed packages declare: short name -> `package.module:Class`."""
    return {each.name: each.value for each in entry_points(group=f"carrybook.{package}")}


def _only(module: ModuleType, kind: type) -> type | None:
    """The class of a kind that a module of ours is about: it defines one, if any."""
    classes = (each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__)
    return next((each for each in classes if issubclass(each, kind)), None)


def import_from(directory: Path | None) -> None:
    """Let a user's own modules be found in the directory of a scenario, wherever the command was started."""
    place = str(directory.resolve()) if directory else ""
    if place and place not in sys.path:
        sys.path.append(place)


def check_beside(directory: Path | None, classes: Iterable[object]) -> None:
    """Refuse classes `package.module:Class` that were found elsewhere although the directory has such a module.

    Raises `ScenarioError`: another file of the name was imported before, or lies where the command was started.
    """
    for name in [each for each in map(str, classes) if ":" in each] if directory else ():
        module = name.partition(":")[0].partition(".")[0]
        file = directory / f"{module}.py" if directory else Path()
        known = getattr(sys.modules.get(module), "__file__", None)
        if module and known and file.is_file() and not file.samefile(known):
            raise ScenarioError(
                f"{name}: is that {known}, or {file.resolve()}? expected one of them under another name"
            )


def _import_from_here(module: str) -> None:
    """Let a user's own module that is nowhere else be found in the working directory, as `python -m` does."""
    package = module.partition(".")[0]
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path and package not in sys.modules and not find_spec(package):
        sys.path.append(here)
