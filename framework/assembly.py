"""From a scenario to a simulation: what its tables name is built, and put together with its market."""

import importlib
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TypeVar, cast

from attrs import AttrsInstance, fields_dict, frozen

from framework.books import check_columns
from framework.classes import check_beside, find_class, import_from
from framework.errors import ScenarioError
from framework.market import Market
from framework.mistakes import is_ours, mistakes_told
from framework.rulebook import Rulebook
from framework.scenario import Entry, Scenario
from framework.simulation import Simulation
from framework.source_code import own_modules
from framework.sources import load_market
from framework.strategy import Strategy, checked_conditions
from framework.structuring import structure
from framework.venue import Dated, Venue

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

    @property
    def entry(self) -> Entry:
        """When the strategy starts: as the scenario says, unless the rulebook knows better."""
        look_ahead = self.rulebook is not None and self.rulebook.look_ahead_at_entry
        return "look_ahead" if look_ahead else self.scenario.entry

    def own_code(self) -> dict[str, str]:
        """Module -> SHA-256 of its file, for strategy, conditions, venues and rulebook not of this project's version.

        Among them are the modules that those import, and that these import, outside installed packages.
        """
        with mistakes_told((self.strategy,), self.market):
            conditions = checked_conditions(self.strategy, [venue.name for venue in self.venues])
        parts = [self.strategy, *conditions, *self.venues] + ([self.rulebook] if self.rulebook else [])
        return own_modules({type(part).__module__ for part in parts if not is_ours(part)})

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
    import_from(scenario.beside)
    strategy = _build(scenario.strategy, "strategy", Strategy, "strategies")  # type: ignore[type-abstract]
    _check_legs(strategy, list(scenario.venues))
    rulebook = _build(scenario.rulebook, "rulebook", Rulebook, "venues") if scenario.rulebook else None  # type: ignore[type-abstract]
    venues = tuple(_venue(name, table, strategy, rulebook) for name, table in scenario.venues.items())
    tables = (scenario.strategy, scenario.rulebook, *scenario.venues.values())
    check_beside(scenario.beside, [each.get("class") for each in tables if isinstance(each, dict)])
    if not venues:
        raise ScenarioError("venues: none; expected at least one table such as [venues.NAME]")
    if scenario.fees:
        issuer = importlib.import_module("venues").ISSUER
        venues += (_build({"class": issuer, **scenario.fees}, "fees", Venue, "venues", {"name": issuer}),)
    market = market or load_market(scenario.market, data)
    with mistakes_told(venues, market):
        check_columns(venues, market)
        for venue in venues:
            _check_dates(venue, market)
            venue.check(market)
    _check_leverage(strategy, {venue.name: venue for venue in venues}, market)
    return Assembly(scenario, market, strategy, venues, rulebook, data)


def _venue(name: str, table: object, strategy: Strategy, rulebook: Rulebook | None) -> Venue:
    key = f"venues.{name}"
    if not isinstance(table, dict) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ScenarioError(f"{key}: expected a table under a name of lower-case letters")
    kind = table.get("class", name)
    terms = rulebook.terms(str(kind), strategy) if rulebook else {}
    merged = {"class": name} | _merged(terms, importlib.import_module("venues").renamed(key, table))
    accounting = merged.pop("accounting", None)
    try:
        venue = _build(merged, key, Venue, "venues", {"name": name})
    except ScenarioError as error:
        why = rulebook.leaves_open(str(kind), strategy) if rulebook and "missing; expected" in str(error) else ""
        raise ScenarioError("; ".join(filter(None, (str(error), why)))) from None
    if accounting is None:
        return venue
    if not isinstance(accounting, dict):
        raise ScenarioError(f"{key}.accounting: {accounting!r}; expected a table with a class")
    return _build(accounting, f"{key}.accounting", Venue, "venues", {"of": venue})


def _build(
    table: Mapping[str, object], key: str, kind: type[Part], package: str, given: Mapping[str, object] | None = None
) -> Part:
    options = dict(table)
    cls = find_class(options.pop("class", None), key, kind, package)
    return structure(options, cls, key, given)


def _merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _check_dates(venue: Venue, market: Market) -> None:
    """Refuse a rule whose first date is later than the market's beginning."""
    for name in fields_dict(cast("type[AttrsInstance]", type(venue))):
        rule = getattr(venue, name)
        if isinstance(rule, Dated):
            try:
                rule.at(int(market.open_ns[0]))
            except ScenarioError as error:
                raise ScenarioError(f"venues.{venue.name}.{name}: {error}") from None


def _check_legs(strategy: Strategy, venues: Sequence[str]) -> None:
    """Refuse a strategy whose `long` or `short` names no venue, before anything runs."""
    for leg in ("long", "short"):
        name = getattr(strategy, leg, None)
        if isinstance(name, str) and name not in venues:
            raise ScenarioError(f"strategy.{leg}: unknown venue {name!r}; expected one of {', '.join(venues)}")


def _check_leverage(strategy: Strategy, venues: Mapping[str, Venue], market: Market) -> None:
    """Refuse a strategy whose `leverage` is one at which a venue of its legs would liquidate at once."""
    leverage = getattr(strategy, "leverage", None)
    for leg in ("long", "short"):
        venue = venues.get(str(getattr(strategy, leg, "")))
        margin = getattr(venue, "maintenance_margin", None)
        margin = margin.at(int(market.open_ns[0])) if isinstance(margin, Dated) else margin
        if isinstance(leverage, int | float) and isinstance(margin, int | float) and leverage * margin >= 1:
            raise ScenarioError(
                f"strategy.leverage: {leverage:g}; expected less than {1 / margin:g}, at which {venue and venue.name} "
                f"liquidates at once: its maintenance margin is {margin:g} of the notional"
            )
