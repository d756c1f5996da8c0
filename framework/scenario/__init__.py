"""A scenario: everything that a run depends on, as one value that is written in TOML."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path, PurePath, PureWindowsPath
from typing import ClassVar, Literal

import tomli_w
from attrs import Attribute, asdict, field, frozen, validators

from framework.money import USD_LIMIT
from framework.rulebook.incidents import Incident
from framework.rulebook.row_path import RowPath
from framework.rulebook.rules import Rule
from framework.scenario.classes import check_beside, find_class, import_from, own_names
from framework.scenario.tables import Table, place, put, read_table, value_at, value_of
from framework.scenario.values import structure
from framework.strategy import Strategy
from framework.support.text import shown

__all__ = [
    "Benchmarks",
    "Coarser",
    "EarlierSpec",
    "Entry",
    "MarketSpec",
    "Published",
    "Rulebook",
    "Scenario",
    "SourceSpec",
    "StoredSpec",
    "Table",
    "check_beside",
    "find_class",
    "import_from",
    "own_names",
    "place",
    "put",
    "read_table",
    "structure",
    "value_at",
    "value_of",
]

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


def _fraction_per_year(_: object, attribute: "Attribute[float]", rate: float) -> None:
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
