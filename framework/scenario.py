"""`Scenario`: everything a run depends on, as one value and as TOML; its digest is half of a run's name."""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import ClassVar, Literal

import tomli_w
from attrs import asdict, field, frozen, validators

from framework.errors import ScenarioError
from framework.structuring import structure
from framework.units import USD_LIMIT

Table = dict[str, object]
Entry = Literal["first_close", "first_open", "look_ahead"]
"""When a strategy starts: at the close of the first row, at its open, or, as no one could, at its close when it opens.

The last is the study's: positions are opened at the price of the first close and earn the whole first row.
"""


@frozen(kw_only=True)
class EarlierSpec:
    """A file with the same columns as a source, and its reader: what stands before the source's first sample."""

    reader: str
    file: str


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
    file: str
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
        """What the reader is told besides the file; None for what is left to it."""
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
    column: str | None = None
    joining: Literal["last", "mean", "sum", "hold"] | None = None
    fill: Literal["refuse", "zero", "previous", "drop"] = "refuse"
    lag_s: float | None = field(default=None, validator=validators.optional(validators.ge(0)))
    rates: Literal["simple", "effective"] = "simple"


@frozen(kw_only=True)
class MarketSpec:
    """Which rows of which data: dates are UTC and both included.

    `prices` names a series of the store, `series` further ones by the market column that they become. `funding` is a
    table of them by venue, for columns such as `hyperliquid_funding_rate`; or the name of one of `funding_sources`, or
    `none`, for the column `funding_rate`. `sources` are files in the data directory of the run. Without either, the
    `embedded` data set is read.
    """

    start: date
    end: date = field()
    embedded: str | None = None
    funding: str | dict[str, StoredSpec] | None = None
    funding_sources: dict[str, SourceSpec] = field(factory=dict)
    sources: dict[str, SourceSpec] = field(factory=dict)
    prices: StoredSpec | None = None
    series: dict[str, StoredSpec] = field(factory=dict)

    @end.validator
    def _after_start(self, _: object, end: date) -> None:
        if end < self.start:
            raise ValueError(f"'end' must be on or after market.start, {self.start}: {end}")

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
    figures: dict[str, float]
    readings: dict[str, list[str]] = field(factory=dict)
    verdict: str = ""


@frozen(kw_only=True)
class Coarser:
    """Rows of an interval, to show beside a scenario's own what they hide: over a grid of keys and their values."""

    interval: Literal["1h", "2h", "4h", "8h", "12h", "1d"]
    grid: dict[str, list[object]]


@frozen(kw_only=True)
class Scenario:
    """A run to be: capital, market, strategy, venues and the rulebook that completes them.

    `strategy`, `venues` and `rulebook` are tables of the fields of the classes that they name; `fees` are those of the
    class that `venues` names as the issuer, who stands behind the venues of a synthetic dollar. `published` are figures
    that a publication gives, to be shown beside the run's; `coarser` are rows to be shown beside its own.
    """

    name: str
    capital_usd: float = field(validator=(validators.gt(0), validators.le(USD_LIMIT)))
    seed: int = 0
    entry: Entry = "first_close"
    market: MarketSpec
    strategy: dict[str, object]
    venues: dict[str, object]
    rulebook: dict[str, object] = field(factory=dict)
    fees: dict[str, object] = field(factory=dict)
    published: Published | None = None
    coarser: Coarser | None = None
    beside: Path | None = field(default=None, init=False, eq=False, repr=False)
    """The directory of its file: a user's own modules are looked for there first. No part of what is run."""

    @classmethod
    def load(cls, path: Path, settings: Sequence[str] = ()) -> "Scenario":
        """Read a TOML file, with `KEY=VALUE` settings put over its keys; raises `ScenarioError`."""
        table = read_table(path)
        for setting in settings:
            put(table, setting)
        return cls.of(table, beside=path.parent)

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
    return {
        key: _said(value) if isinstance(value, dict) else value for key, value in table.items() if value is not None
    }


def read_table(path: Path) -> Table:
    """A TOML file as nested tables; raises `ScenarioError`."""
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ScenarioError(f"{path}: not readable ({error.strerror}); expected a scenario in TOML") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: not TOML: {error}") from None


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


def value_of(text: str) -> object:
    """A value as it is written: TOML, or text where it is not."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
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
