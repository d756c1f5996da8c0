"""From a scenario to a simulation: names become classes, tables become values, sources become a market."""

import hashlib
import importlib
import pkgutil
import re
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import date
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import TypeVar

from attrs import evolve, frozen

from framework.accounts import Account
from framework.clock import INTERVALS_NS, NS_PER_DAY, NS_PER_SECOND
from framework.data.alignment import FUNDING_RATE, align
from framework.data.embedded import EMBEDDED, NO_FUNDING
from framework.data.raw import Raw
from framework.data.readers import READERS, options_of
from framework.data.series import Fill, Joining, Series, spliced
from framework.data.store import Kind, Store
from framework.errors import MarketError, ScenarioError
from framework.market import PRICES, Market
from framework.mistakes import is_ours, mistakes_told
from framework.rulebook import Rulebook
from framework.scenario import Entry, MarketSpec, Scenario, SourceSpec, StoredSpec
from framework.simulation import Simulation
from framework.strategy import Strategy
from framework.structuring import structure
from framework.venue import Venue

Part = TypeVar("Part")

CANDLES = "hyperliquid:SOL:1h"


@frozen(eq=False)
class Assembly:
    """A scenario with everything that it names: ready to run, any number of times."""

    scenario: Scenario
    market: Market
    strategy: Strategy
    venues: tuple[Venue, ...]
    entry: Entry

    def own_code(self) -> dict[str, str]:
        """Module -> SHA-256 of its file, for strategies and venues that are not of this project's version."""
        own = sorted({type(part).__module__ for part in (self.strategy, *self.venues) if not is_ours(part)})
        files = {name: getattr(sys.modules[name], "__file__", None) for name in own}
        return {name: hashlib.sha256(Path(file).read_bytes()).hexdigest() for name, file in files.items() if file}

    def simulation(self, rows_at_once: int | None = None) -> Simulation:
        """A new simulation of the scenario, with a strategy of its own: one that is not frozen takes nothing along."""
        with mistakes_told((self.strategy, *self.venues), self.market):
            return Simulation(
                market=self.market,
                venues=self.venues,
                strategy=deepcopy(self.strategy),
                capital_usd=self.scenario.capital_usd,
                entry=self.entry,
                rows_at_once=rows_at_once,
            )


def assemble(scenario: Scenario, data: Path | None = None, market: Market | None = None) -> Assembly:
    """Build what a scenario names; raises `ScenarioError` or `MarketError`.

    `data` is the directory of its sources, without which its embedded data set is read; a `market` that is given is
    used as it is.
    """
    strategy = _build(scenario.strategy, "strategy", Strategy, "strategies")  # type: ignore[type-abstract]
    _check_legs(strategy, list(scenario.venues))
    rulebook = _build(scenario.rulebook, "rulebook", Rulebook, "venues") if scenario.rulebook else None  # type: ignore[type-abstract]
    venues = tuple(_venue(name, table, strategy, rulebook) for name, table in scenario.venues.items())
    if not venues:
        raise ScenarioError("venues: none; expected at least one table such as [venues.hyperliquid]")
    if scenario.fees:
        issuer = {"class": "issuer", **scenario.fees}
        venues += (_build(issuer, "fees", Venue, "venues", {"name": "issuer"}),)  # type: ignore[type-abstract]
    market = market or load_market(scenario.market, data)
    with mistakes_told(venues, market):
        for venue in venues:
            _check_answers(venue, market)
            venue.check(market)
    look_ahead = rulebook is not None and rulebook.look_ahead_at_entry
    return Assembly(scenario, market, strategy, venues, "look_ahead" if look_ahead else scenario.entry)


def load_market(spec: MarketSpec, data: Path | None) -> Market:
    """The market of a scenario: the series that it names in the store and the sources in a directory, or the embedded.

    The embedded data set is read where there is neither.
    """
    if spec.stored:
        Store.default().require([each.series for each in spec.stored.values()], spec.start, spec.end)
    stored = [_stored(key, each, spec) for key, each in spec.stored.items()]
    if data is None and not stored:
        if spec.embedded is None:
            named = [each for source in spec.sources.values() for each in (source, source.before) if each]
            files = ", ".join(dict.fromkeys(each.file for each in named))
            needed = f"--data DIR with {files}" if files else "a data directory to read the sources from"
            raise ScenarioError(f"market.embedded: none; expected {needed}")
        if spec.embedded not in EMBEDDED:
            raise ScenarioError(
                f"market.embedded: unknown data set {spec.embedded!r}; expected one of {', '.join(EMBEDDED)}"
            )
        embedded = EMBEDDED[spec.embedded]
        chosen = spec.funding if isinstance(spec.funding, str) else None
        return align([embedded.series(chosen)], start=spec.start, end=spec.end, label=embedded.label)
    if data is None and spec.prices is None:
        raise ScenarioError(f"market.prices: missing; expected a series of the store such as {CANDLES}")
    series = stored + (_files(spec, data) if data else [])
    return align(series, start=spec.start, end=spec.end, without_funding=spec.funding == NO_FUNDING)


def _files(spec: MarketSpec, data: Path) -> list[Series]:
    """The series of the sources in a directory."""
    if not data.is_dir():
        raise MarketError(f"{data}: no such directory; expected one with the files of market.sources")
    if not spec.sources and not spec.stored:
        raise ScenarioError("market.sources: none; expected at least a source of prices")
    series = [_read(f"market.sources.{key}", source, data) for key, source in spec.sources.items()]
    if isinstance(spec.funding, str) and spec.funding != NO_FUNDING:
        series.append(_read_funding(spec, spec.funding, data))
    return series


def _stored(key: str, stored: StoredSpec, market: MarketSpec) -> Series:
    """A series of the store as a scenario names it, under the columns of the market that it becomes."""
    store = Store.default()
    kind = store.kind(stored.series)
    group, _, name = key.partition(".")
    if group == "prices":
        if kind.span_ns is None:
            raise ScenarioError(f"market.{key}: {stored.series} has no rows of prices; expected one such as {CANDLES}")
        columns = {price: price for price in PRICES}
    else:
        column = f"{name}_{FUNDING_RATE}" if group == "funding" else name
        columns = {column: _column(key, column, stored, kind)}
    midnight_ns = [(day - date(1970, 1, 1)).days * NS_PER_DAY for day in (market.start, market.end)]
    return store.series(
        stored.series,
        start_ns=midnight_ns[0],
        end_ns=midnight_ns[1] + NS_PER_DAY,
        columns=columns,
        rows=group == "prices",
        joining=Joining(stored.joining) if stored.joining else None,
        fill=Fill(stored.fill),
        lag_ns=None if stored.lag_s is None else round(stored.lag_s * NS_PER_SECOND),
        effective=stored.rates == "effective",
    )


def _column(key: str, column: str, stored: StoredSpec, kind: Kind) -> str:
    """The stored column for a market's: the one that is named, or the one with which the market's name ends."""
    wanted = stored.column
    fitting = [name for name in kind.units if name == wanted or (wanted is None and column.endswith(name))]
    if len(kind.units) == 1 and wanted is None:
        fitting = list(kind.units)
    if len(fitting) != 1:
        raise ScenarioError(
            f"market.{key}.column: {stored.column or column!r} fits no one column of {stored.series}; "
            f"expected one of {', '.join(kind.units)}"
        )
    return fitting[0]


def _read_funding(spec: MarketSpec, name: str, data: Path) -> Series:
    """The funding that the scenario chose among its sources, as the column `funding_rate`."""
    if name not in spec.funding_sources:
        known = ", ".join([NO_FUNDING, *spec.funding_sources])
        raise ScenarioError(f"market.funding: unknown source {name!r}; expected one of {known}")
    series = _read(f"market.funding_sources.{name}", spec.funding_sources[name], data)
    if len(series.columns) != 1:
        raise ScenarioError(f"market.funding_sources.{name}: {len(series.columns)} columns; expected one of rates")
    (column,) = series.columns
    return evolve(
        series,
        columns={FUNDING_RATE: series.columns[column]},
        labels={FUNDING_RATE: series.labels.get(column, column)},
    )


def _read(key: str, source: SourceSpec, data: Path) -> Series:
    reader = READERS.get(source.reader)
    if reader is None:
        raise ScenarioError(f"{key}.reader: unknown reader {source.reader!r}; expected one of {', '.join(READERS)}")
    options = {name: value for name, value in source.options().items() if value is not None}
    for name in options:
        if name not in options_of(source.reader):
            fitting = ", ".join(each for each in READERS if name in options_of(each))
            raise ScenarioError(f"{key}.{name}: reader {source.reader!r} takes no {name}; expected one of {fitting}")
    series = reader(Raw.read(data / source.file), **options)
    if source.before:
        coin = source.coin if "coin" in options_of(source.before.reader) else None
        earlier = SourceSpec(reader=source.before.reader, file=source.before.file, coin=coin)
        series = spliced(_read(f"{key}.before", earlier, data), series)
    every_ns = INTERVALS_NS[source.every] if source.every else series.every_ns
    return evolve(series, fill=Fill(source.fill or Fill.DROP), every_ns=every_ns)


def _venue(name: str, table: object, strategy: Strategy, rulebook: Rulebook | None) -> Venue:
    key = f"venues.{name}"
    if not isinstance(table, dict) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ScenarioError(f"{key}: expected a table under a name of lower-case letters")
    kind = table.get("class", name)
    terms = rulebook.terms(str(kind), strategy) if rulebook else {}
    return _build({"class": name} | _merged(terms, table), key, Venue, "venues", {"name": name})  # type: ignore[type-abstract]


def _build(
    table: Mapping[str, object], key: str, kind: type[Part], package: str, given: Mapping[str, object] | None = None
) -> Part:
    options = dict(table)
    cls = _find(options.pop("class", None), key, kind, package)
    return structure(options, cls, key, given)


def _find(name: object, key: str, kind: type[Part], package: str) -> type[Part]:
    """The class that a scenario means by `short_name` or `package.module:Class`."""
    noun = kind.__name__.lower()
    if not isinstance(name, str):
        raise ScenarioError(f"{key}.class: {name!r}; expected the name of a {noun}")
    if ":" in name:
        module_name, _, class_name = name.partition(":")
        _import_from_here()
    else:
        module_name, class_name = f"{package}.{name}", ""
    try:
        module = importlib.import_module(module_name)
    except SyntaxError as error:
        place = f"{Path(error.filename or module_name).name}, line {error.lineno}"
        raise ScenarioError(f"{key}.class: {name!r} cannot be read: {place}: {error.msg}") from None
    except (ImportError, AttributeError, NameError, TypeError, ValueError) as error:
        if not isinstance(error, ModuleNotFoundError):
            frame = extract_tb(error.__traceback__)[-1]
            words = f"{Path(frame.filename).name}, line {frame.lineno}: {type(error).__name__}: {error}"
            raise ScenarioError(f"{key}.class: {name!r} cannot be imported: {words}") from None
        if error.name and not module_name.startswith(error.name):
            raise ScenarioError(f"{key}.class: {name!r} imports {error.name!r}, which is not installed") from None
        where = f"no module {module_name!r} in {Path.cwd()}, where the command was started; " if ":" in name else ""
        raise ScenarioError(f"{key}.class: unknown {noun} {name!r}; {where}{_known(name, kind, package)}") from None
    cls = getattr(module, class_name, None) if class_name else _only(module, kind)
    if cls is None:
        what = repr(class_name) if class_name else noun
        known = _known(name, kind, package)
        raise ScenarioError(f"{key}.class: unknown {noun} {name!r}; the module has no {what}; {known}")
    if not (isinstance(cls, type) and issubclass(cls, kind)):
        raise ScenarioError(f"{key}.class: {name!r} is not a {noun}; expected a subclass of framework.{kind.__name__}")
    return cls


def _known(name: str, kind: type, package: str) -> str:
    """What could be named instead: the class that was meant, or the short names of ours, or a user's own."""
    if ":" not in name and "." in name:
        return f"did you mean {':'.join(name.rsplit('.', 1))}?"
    modules = (each.name for each in pkgutil.iter_modules(importlib.import_module(package).__path__))
    names = [each for each in modules if _only(importlib.import_module(f"{package}.{each}"), kind)]
    return f"expected one of {', '.join(names)}, or package.module:Class"


def _only(module: ModuleType, kind: type) -> type | None:
    """The class of a kind that a module of ours is about: it defines one, if any."""
    classes = (each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__)
    return next((each for each in classes if issubclass(each, kind)), None)


def _import_from_here() -> None:
    """Let a user's own module be found in the working directory, as `python -m` does."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def _merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _check_answers(venue: Venue, market: Market) -> None:
    """Refuse a venue that reads what the market does not have, or does not say so."""
    for method, kind, noun in ((venue.columns, str, "names"), (venue.accounts, Account, "accounts")):
        answer: object = method()
        if not isinstance(answer, tuple | list) or not all(isinstance(each, kind) for each in answer):
            raise ScenarioError(f"{method.__qualname__} answers with {answer!r}; expected a tuple of {noun}")
    for column in venue.columns():
        if column not in market.columns:
            raise MarketError(
                f"venue {venue.name} reads {column!r}, which no source gives; there are {', '.join(market.columns)}"
            )


def _check_legs(strategy: Strategy, venues: Sequence[str]) -> None:
    """Refuse a strategy whose `long` or `short` names no venue, before anything runs."""
    for leg in ("long", "short"):
        name = getattr(strategy, leg, None)
        if isinstance(name, str) and name not in venues:
            raise ScenarioError(f"strategy.{leg}: unknown venue {name!r}; expected one of {', '.join(venues)}")
