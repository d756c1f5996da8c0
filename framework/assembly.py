"""From a scenario to a simulation that is ready to run: its market is read, its venues and its strategy are made."""

import importlib
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from operator import is_
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from attrs import AttrsInstance, evolve, field, fields_dict, frozen, has
from attrs.exceptions import FrozenInstanceError

from framework.books import Plan, check_columns
from framework.clock import INTERVALS_NS, NS_PER_DAY, NS_PER_SECOND, midnight_ns
from framework.data import drawn_paths
from framework.data.alignment import FUNDING_RATE, align
from framework.data.embedded import EMBEDDED, NO_FUNDING
from framework.data.gaps import usual_step
from framework.data.plausibility import Doubt, Level, doubts
from framework.data.raw import Raw
from framework.data.readers import READERS, options_of
from framework.data.samples import Kind
from framework.data.series import Fill, Joining, Series, spliced
from framework.data.store import EXAMPLE_SERIES, Store
from framework.errors import MarketError, ScenarioError
from framework.market import PRICES, TICK_NS, Floats, Market, Measure, measure_of_column
from framework.rulebook.incidents import Incidents, disturbed
from framework.rulebook.row_path import RowPath
from framework.rulebook.rules import Rule, value_at
from framework.scenario import (
    Entry,
    MarketSpec,
    Rulebook,
    Scenario,
    SourceSpec,
    StoredSpec,
    Table,
    check_beside,
    find_class,
    import_from,
    place,
    structure,
)
from framework.simulation import Simulation
from framework.strategy import Strategy, check_hooks, checked_conditions
from framework.support.lost_orders import check_orders
from framework.support.mistakes import is_ours, mistakes_told
from framework.support.source_code import is_known, own_modules
from framework.support.suggestions import closest_path, suggestion
from framework.venue import Dated, Venue

YEARLY = (Measure.YEARLY, Measure.OTHER)
"""What a column of lending rates may measure."""


def load_market(spec: MarketSpec, data: Path | None) -> Market:
    """The market of a scenario: its history, or the path that is drawn from it."""
    history = load_history(spec, data)
    return path_of(spec.path).of(history) if spec.path is not None else history


def path_of(table: Table) -> drawn_paths.Path:
    """The path that `[market.path]` describes; raises `ScenarioError`."""
    options = dict(table)
    method = options.pop("method", None)
    if method not in drawn_paths.METHODS:
        raise ScenarioError(f"market.path.method: {method!r}; expected one of {', '.join(drawn_paths.METHODS)}")
    general = {name: options.pop(name) for name in ("seed", "number", "rows") if name in options}
    keys = {each: fields_dict(cast("type[AttrsInstance]", kind)) for each, kind in drawn_paths.METHODS.items()}
    for name in options:
        having = [each for each in keys if name in keys[each]]
        if having and method not in having:
            words = f"not a key of the method {method}; expected the method {' or '.join(having)}"
            raise ScenarioError(f"market.path.{name}: {words}")
    days, rows = options.get("block_days"), options.get("block_rows", "auto")
    if days is not None and rows != "auto":  # which gives way to a length in days
        raise ScenarioError(f"market.path.block_days: {days}; expected no block_rows beside it, which is {rows}")
    drawn_by = structure(options, drawn_paths.METHODS[str(method)], "market.path")
    return drawn_paths.Path(method=drawn_by, which=structure(general, drawn_paths.Which, "market.path"))


def load_history(spec: MarketSpec, data: Path | None) -> Market:
    """The data of a scenario: the series that it names in the store and the sources in a directory, or the embedded.

    The embedded data set is read where there is neither.
    """
    if spec.stored:
        Store.default().require([each.series for each in spec.stored.values()], spec.start, spec.end)
    stored = [stored_series(key, each, spec) for key, each in spec.stored.items()]
    if data is None and not stored:
        if spec.embedded is None:
            files = ", ".join(spec.files)
            needed = f"--data DIR with {files}" if files else "a data directory to read the sources from"
            raise ScenarioError(f"market.embedded: none; expected {needed}")
        if spec.embedded not in EMBEDDED:
            raise ScenarioError(
                f"market.embedded: unknown data set {spec.embedded!r}; {suggestion(spec.embedded, EMBEDDED)}"
            )
        embedded = EMBEDDED[spec.embedded]
        chosen = spec.funding if isinstance(spec.funding, str) else None
        return align([embedded.series(chosen)], start=spec.start, end=spec.end, label=embedded.label)
    if data is None and spec.prices is None:
        raise ScenarioError(f"market.prices: missing; expected a series of the store such as {EXAMPLE_SERIES}")
    series = [_judged(each, spec) for each in stored + (_files(spec, data) if data else [])]
    return align(series, start=spec.start, end=spec.end, without_funding=spec.funding == NO_FUNDING)


def _judged(series: Series, market: MarketSpec) -> Series:
    """The series with a note on what is implausible in it on the days of the market, for the top of every report."""
    rows = slice(*series.time_ns.searchsorted((midnight_ns(market.start), midnight_ns(market.end) + NS_PER_DAY)))
    times = series.time_ns[rows]
    columns = {name: values[rows] for name, values in series.columns.items()}
    measures = {name: measure_of_column(name) for name in columns}
    step_ns = series.span_ns or series.every_ns or usual_step(np.unique(times))
    found = list(doubts(times, columns, measures, step_ns)) if len(times) else []
    if not found:
        return series
    first = _first(found)
    place = series.file if first.index is None else series.place(rows.start + first.index)
    return evolve(series, note=_noted(series.note, f"{place}, column {series.label(first.column or '')}", found))


def _doubted(market: Market, measures: Mapping[str, Measure]) -> Market:
    """The market with a note on what is implausible in it, of columns that no file has been judged by.

    They are those without a source, and those that measure what `measures` say and their names do not.
    """
    unnamed = [name for name in measures if measure_of_column(name) is Measure.OTHER]
    judged = {name: column for name, column in market.columns.items() if name not in market.sources or name in unnamed}
    step_ns = int(np.median(market.at_ns + TICK_NS - market.open_ns))
    kinds = {name: measures.get(name) or measure_of_column(name) for name in judged}
    found = list(doubts(market.open_ns, judged, kinds, step_ns))
    if not found:
        return market
    first = _first(found)
    place = "" if first.index is None else f"{market.cell(first.column or '', first.index)}, "
    note = _noted("", f"{place}column {first.column}", found)
    return _with_note(market, note)


def _with_low_fees(market: Market, venues: Sequence[Venue]) -> Market:
    """The market with a note on the fees that are likely typed in percent, for the top of every report."""
    for venue in venues:
        for key, bps in Plan.of(venue).low_fees:
            words = f"{bps:g} basis points; expected {bps * 100:g}, if {bps:g} is percent"
            market = _with_note(market, f"IMPLAUSIBLE FEE ({Level.WARNING}): {key}: {words}")
    return market


def _with_note(market: Market, note: str) -> Market:
    return market if note in market.label else evolve(market, label="; ".join(filter(None, (market.label, note))))


def _first(found: Sequence[Doubt]) -> Doubt:
    """The first of the most certain findings."""
    return min(found, key=lambda doubt: list(Level).index(doubt.level))


def _noted(note: str, place: str, found: Sequence[Doubt]) -> str:
    """A note with what is implausible behind it: the first finding, and how many there are."""
    first, count = _first(found), f"; the first of {len(found)} findings" if len(found) > 1 else ""
    return "; ".join(filter(None, (note, f"IMPLAUSIBLE DATA ({first.level}): {place}: {first.words}{count}")))


def _files(spec: MarketSpec, data: Path) -> list[Series]:
    """The series of the sources in a directory."""
    if not data.is_dir():
        meant = closest_path(data) or "expected one with the files of market.sources"
        raise MarketError(f"{data}: no such directory; {meant}")
    if not spec.sources and not spec.stored:
        raise ScenarioError("market.sources: none; expected at least a source of prices")
    series = [_read(f"market.sources.{key}", source, data) for key, source in spec.sources.items()]
    if isinstance(spec.funding, str) and spec.funding != NO_FUNDING:
        series.append(_read_funding(spec, spec.funding, data))
    return series


def stored_series(key: str, stored: StoredSpec, market: MarketSpec) -> Series:
    """A series of the store as a scenario names it, under the columns of the market that it becomes."""
    store = Store.default()
    kind = store.kind(stored.series)
    group, _, name = key.partition(".")
    if group == "prices":
        if kind.span_ns is None:
            raise ScenarioError(
                f"market.{key}: {stored.series} has no rows of prices; expected one such as {EXAMPLE_SERIES}"
            )
        columns = {price: price for price in PRICES}
    else:
        column = f"{name}_{FUNDING_RATE}" if group == "funding" else name
        columns = {column: _column(key, column, stored, kind)}
    series = store.series(
        stored.series,
        start_ns=midnight_ns(market.start),
        end_ns=midnight_ns(market.end) + NS_PER_DAY,
        columns=columns,
        rows=group == "prices",
        joining=Joining(stored.joining) if stored.joining else None,
        fill=Fill(stored.fill),
        lag_ns=None if stored.lag_s is None else round(stored.lag_s * NS_PER_SECOND),
        effective=stored.rates == "effective",
    )
    said = {rule: f'market.{key} = {{ series = "{stored.series}", fill = "{rule}" }}' for rule in Fill}
    return evolve(series, settings=said)


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
    fill, every_ns, changing = Fill(source.fill or Fill.REFUSE), series.every_ns, series.changing
    if source.every:
        every_ns = INTERVALS_NS[source.every]
    elif every_ns is None and fill is Fill.REFUSE and series.joining is Joining.SUM:
        every_ns, changing = usual_step(np.unique(series.time_ns)), True
    said = {rule: f'{key}.fill = "{rule}"' for rule in Fill}
    if changing and (every := next((name for name, span_ns in INTERVALS_NS.items() if span_ns == every_ns), None)):
        said |= {rule: f'{said[rule]} with {key}.every = "{every}"' for rule in (Fill.PREVIOUS, Fill.ZERO)}
    note = "; ".join(filter(None, (source.note, series.note)))
    return evolve(series, fill=fill, every_ns=every_ns, changing=changing, settings=said, note=note)


def named_modules(scenario: Scenario) -> dict[str, str]:
    """Key -> module, of every class `package.module:Class` that a scenario names anywhere."""
    found: dict[str, str] = {}
    waiting: list[tuple[str, object]] = [("", scenario.table())]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{key}.{name}".lstrip("."), below) for name, below in value.items()]
        elif isinstance(value, str) and key.rpartition(".")[2] == "class" and ":" in value:
            found[key] = value.partition(":")[0]
    return dict(sorted(found.items()))


def _refuse_foreign(scenario: Scenario) -> None:
    """Refuse classes of modules that are not installed, before any of them is imported; raises `ScenarioError`."""
    for key, module in named_modules(scenario).items():
        if not is_known(module):
            raise ScenarioError(
                f"{key}: module {module!r} is neither installed nor of this project, so its code is not run; "
                "expected --trust, for code that you have read"
            )


Part = TypeVar("Part")


@frozen(eq=False)
class Assembly:
    """A scenario with everything that it names: ready to run, any number of times."""

    scenario: Scenario
    market: Market
    strategy: Strategy
    venues: tuple[Venue, ...]
    rulebook: Rulebook | None
    data: Path | None = None
    """The directory of its sources, if they were read from one."""
    rules: Mapping[str, Mapping[str, Rule]] = field(factory=dict)
    """The dated rules of the rulebook that hold at each venue, by key: those that the scenario leaves as they are."""
    incidents: Incidents = field(factory=Incidents)
    """What goes wrong from outside, and when."""

    @property
    def entry(self) -> Entry:
        """When the strategy starts: as the scenario says, unless the rulebook knows better."""
        look_ahead = self.rulebook is not None and self.rulebook.look_ahead_at_entry
        return "look_ahead" if look_ahead else self.scenario.entry

    @property
    def path(self) -> RowPath:
        """The order in which a row's prices are taken to come: as the rulebook says."""
        return self.rulebook.path if self.rulebook else "close"

    def own_code(self) -> dict[str, str]:
        """Module -> SHA-256 of its file, for strategy, conditions, venues and rulebook not of this project's version.

        Among them are the modules that those import, and that these import, outside installed packages.
        """
        with mistakes_told((self.strategy,), self.market):
            conditions = checked_conditions(self.strategy, [venue.name for venue in self.venues])
        parts = [self.strategy, *conditions, *self.venues] + ([self.rulebook] if self.rulebook else [])
        return own_modules({type(part).__module__ for part in parts if not is_ours(part)})

    def on(self, market: Market) -> "Assembly":
        """The same on a market, with its incidents in the time of that; raises `ScenarioError` or `MarketError`.

        The market has to have what the venues read, and is as it was before anything went wrong.
        """
        incidents = Incidents.of(self.scenario.incidents, market, list(self.scenario.venues))
        _check_incidents(incidents, self.venues)
        market = disturbed(
            _with_derived(market, self.venues), incidents, {venue.name: venue.coins for venue in self.venues}
        )
        venues = tuple(_without_ends(venue, incidents.failed_ns(venue.name)) for venue in self.venues)
        with mistakes_told(venues, market):
            measures = check_columns(venues, market)
            for venue in venues:
                _check_dates(venue, market)
                venue.check(market)
        lending = self.scenario.benchmarks.lending if self.scenario.benchmarks else None
        if lending and (lending not in market.columns or measure_of_column(lending) not in YEARLY):
            rates = (name for name in market.columns if measure_of_column(name) is Measure.YEARLY)
            known = ", ".join(rates) or "none: the market has no rate"
            words = f"the market has no column {lending!r} of rates per year"
            raise ScenarioError(f"benchmarks.lending: {words}; expected one of {known}")
        check_orders(self.strategy)
        _check_leverage(self.strategy, {venue.name: venue for venue in self.venues}, market)
        with mistakes_told((self.strategy,), market):
            self.strategy.check()
        market = _with_low_fees(_doubted(market, measures), venues)
        return evolve(self, market=market, incidents=incidents, venues=venues)

    def simulation(self, rows_at_once: int | None = None) -> Simulation:
        """A new simulation of the scenario; a strategy or a venue that may change takes nothing along from another."""
        with mistakes_told((self.strategy, *self.venues), self.market):
            return Simulation(
                market=self.market,
                venues=tuple(map(of_this_run, self.venues)),
                strategy=deepcopy(self.strategy),
                capital_usd=self.scenario.capital_usd,
                entry=self.entry,
                path=self.path,
                incidents=self.incidents,
                rows_at_once=rows_at_once,
            )


CHANGING = (list, dict, set, bytearray, np.ndarray)
"""Types of fields that may change even where the class is frozen."""


def of_this_run(venue: Venue) -> Venue:
    """The venue for one run: the same object, or a fresh copy where it may change."""
    if is_ours(venue) and not isinstance(getattr(venue, "of", None), Venue):
        return venue  # those of this project keep nothing, but one that is at cost has another, whosoever that is
    kind: Any = type(venue)
    fields = {name: getattr(venue, name) for name in fields_dict(kind)}
    copied = {
        name: of_this_run(each) if isinstance(each, Venue) else deepcopy(each) if isinstance(each, CHANGING) else each
        for name, each in fields.items()
    }
    found: Venue = object.__new__(kind)
    try:
        setattr(found, "", None)
    except FrozenInstanceError:
        if all(map(is_, fields.values(), copied.values())):
            return venue
    vars(found).clear()
    for name, each in copied.items():
        object.__setattr__(found, name, each)
    return found


Made = dict[str, Venue]
"""The venues that were made last, by their name and the table that each was made of."""
MOST_MADE = 64
"""So many are kept: cells with the rules of an earlier one have its venues."""


def assemble(
    scenario: Scenario,
    data: Path | None = None,
    market: Market | None = None,
    *,
    trusted: bool = True,
    made: Made | None = None,
) -> Assembly:
    """Build what a scenario names; raises `ScenarioError` or `MarketError`.

    `data` is the directory of its sources, without which its embedded data set is read; a `market` that is given is
    used as it is. Of `made` a venue is taken that has the same table, and one that is new is put there. A scenario
    names classes, so building it runs their code: of one that is not `trusted`, no module is imported that is not
    installed.
    """
    if trusted:
        import_from(scenario.beside)
    else:
        _refuse_foreign(scenario)
    strategy = _build(scenario.strategy, "strategy", Strategy, "strategies")  # type: ignore[type-abstract]
    _check_legs(strategy, scenario.venues)
    rulebook = _build(scenario.rulebook, "rulebook", Rulebook, "venues") if scenario.rulebook else None  # type: ignore[type-abstract]
    kept = {} if made is None else made
    venues = tuple(_venue(name, table, strategy, rulebook, kept) for name, table in scenario.venues.items())
    tables = (scenario.strategy, scenario.rulebook, *scenario.venues.values())
    check_beside(scenario.beside, [each.get("class") for each in tables if isinstance(each, dict)])
    if not venues:
        raise ScenarioError("venues: none; expected at least one table such as [venues.NAME]")
    if scenario.fees:
        issuer = importlib.import_module("venues").ISSUER
        venues += (_build({"class": issuer, **scenario.fees}, "fees", Venue, "venues", {"name": issuer}),)
    market = market or load_market(scenario.market, data)
    return Assembly(scenario, market, strategy, venues, rulebook, data, _in_force(scenario, rulebook)).on(market)


def _with_derived(market: Market, venues: Sequence[Venue]) -> Market:
    """The market with the columns that venues work out of its others, each from the rows of the one behind it."""
    found: dict[str, tuple[str, Floats]] = {}
    with mistakes_told(venues, market):
        for venue in venues:
            found |= venue.derived(market)
    if not found:
        return market
    columns = market.columns | {name: values for name, (_, values) in found.items()}
    sources = dict(market.sources)
    sources |= {name: sources[behind] for name, (behind, _) in found.items() if behind in sources}
    return evolve(market, columns=columns, sources=sources)


def _check_incidents(incidents: Incidents, venues: Sequence[Venue]) -> None:
    """Refuse a deleveraging of a venue that closes no positions of itself."""
    able = [each.name for each in venues if type(each).deleverage is not Venue.deleverage]
    for each in incidents.occurrences:
        if each.incident.kind == "deleveraging" and each.incident.venue not in able:
            some = " or ".join(able) or "a venue that does, of which there is none"
            words = f"{each.incident.venue} closes no positions of itself; expected {some}"
            raise ScenarioError(f"incidents.{each.number}.venue: {words}")


def _in_force(scenario: Scenario, rulebook: Rulebook | None) -> dict[str, dict[str, Rule]]:
    """The rulebook's dated rules by venue and key, without those that the scenario replaces."""
    found = {}
    for name, table in scenario.venues.items():
        assert isinstance(table, dict)
        rules = rulebook.rules(str(table.get("class", name)), table) if rulebook else {}
        found[name] = {key: rule for key, rule in rules.items() if not _sets(table, key)}
    return {name: rules for name, rules in found.items() if rules}


def _sets(table: Mapping[str, object], key: str) -> bool:
    """Whether a table sets a dotted key."""
    value: object = table
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return True


def _venue(name: str, table: object, strategy: Strategy, rulebook: Rulebook | None, made: Made) -> Venue:
    key = f"venues.{name}"
    if not isinstance(table, dict) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ScenarioError(f"{key}: expected a table under a name of lower-case letters")
    kind = table.get("class", name)
    terms = (
        _merged(_settings(rulebook.rules(str(kind), table)), rulebook.terms(str(kind), strategy)) if rulebook else {}
    )
    merged = {"class": name} | _merged(terms, importlib.import_module("venues").renamed(key, table))
    known = f"{name} {merged!r}"
    if known in made:
        return made[known]
    own = {key: value for key, value in merged.items() if key != "accounting"}
    accounting = merged.get("accounting")
    try:
        venue = _build(own, key, Venue, "venues", {"name": name})
    except ScenarioError as error:
        below, missing, _ = str(error).partition(": missing; expected")
        why = rulebook.leaves_open(str(kind), strategy) if rulebook and missing else ""
        raise ScenarioError(f"{below}: {why}" if why else str(error)) from None
    if accounting is not None:
        if not isinstance(accounting, dict):
            raise ScenarioError(f"{key}.accounting: {accounting!r}; expected a table with a class")
        venue = _build(accounting, f"{key}.accounting", Venue, "venues", {"of": venue})
    if len(made) == MOST_MADE:
        del made[next(iter(made))]
    made[known] = venue
    return venue


def _settings(rules: Mapping[str, Rule]) -> dict[str, object]:
    """Dated rules as keys of a venue's table; `bridge.fee_usd` is a key of the table `bridge`."""
    found: dict[str, object] = {}
    for key, rule in rules.items():
        place(found, key, rule.setting())
    return found


def _build(
    table: Mapping[str, object], key: str, kind: type[Part], package: str, given: Mapping[str, object] | None = None
) -> Part:
    options = dict(table)
    cls = find_class(options.pop("class", None), key, kind, package)
    if issubclass(cls, Strategy):
        check_hooks(cls)
    return structure(options, cls, key, given)


def _merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _check_dates(venue: Venue, market: Market) -> None:
    """Refuse a rule whose first date is later than the market's beginning, or whose end is before the market's."""
    for name, rule in Plan.of(venue).dated:
        try:
            rule.at(int(market.open_ns[0]))
            rule.at(int(market.at_ns[-1]))
        except ScenarioError as error:
            raise ScenarioError(f"venues.{venue.name}.{name}: {error}") from None


def _without_ends(part: Part, failed_ns: int | None) -> Part:
    """A venue that fails, or a part of it, with rules that go on: those that hold up to its failure need no end."""
    if failed_ns is None or not has(type(part)):
        return part
    changed: dict[str, object] = {}
    for name in fields_dict(cast("type[AttrsInstance]", type(part))):
        value = getattr(part, name)
        if not isinstance(value, Dated):
            made = _without_ends(value, failed_ns)
        elif value.until_ns is not None and value.until_ns >= failed_ns:
            made = evolve(value, until_ns=None)
        else:
            made = value
        if made is not value:
            changed[name] = made
    return evolve(cast("Any", part), **changed) if changed else part


def _check_legs(strategy: Strategy, venues: Mapping[str, object]) -> None:
    """Refuse a strategy whose `long` or `short` names no venue, before anything runs.

    Where the name of a table is the one that is misspelt, that is said instead.
    """
    for leg in ("long", "short"):
        name = getattr(strategy, leg, None)
        if isinstance(name, str) and name not in venues:
            for each, table in venues.items():
                if isinstance(table, dict):
                    find_class(table.get("class", each), f"venues.{each}", Venue, "venues")
            raise ScenarioError(f"strategy.{leg}: unknown venue {name!r}; {suggestion(name, venues)}")


def _check_leverage(strategy: Strategy, venues: Mapping[str, Venue], market: Market) -> None:
    """Refuse a strategy whose `leverage` is one at which a venue of its legs would liquidate at once."""
    leverage = getattr(strategy, "leverage", None)
    for leg in ("long", "short"):
        venue = venues.get(str(getattr(strategy, leg, "")))
        margin = value_at(getattr(venue, "maintenance_margin", None), int(market.open_ns[0]))
        if isinstance(leverage, int | float) and isinstance(margin, int | float) and leverage * margin >= 1:
            raise ScenarioError(
                f"strategy.leverage: {leverage:g}; expected less than {1 / margin:g}, at which {venue and venue.name} "
                f"liquidates at once: its maintenance margin is {margin:g} of the notional"
            )
