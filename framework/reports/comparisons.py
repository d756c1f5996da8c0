"""What a scenario asks to run beside itself: the readings of its publication, and the same market in coarser rows."""

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from attrs import evolve, frozen

from framework.assembly import Assembly, assemble
from framework.clock import INTERVALS_NS
from framework.errors import CarrybookError, ScenarioError
from framework.events import Liquidated
from framework.market import TICK_NS, Floats, Market
from framework.performance import figures
from framework.run import Run
from framework.scenario import Coarser, Published, Scenario, place, put
from framework.valuation import Waterfall, waterfall


@frozen(kw_only=True, eq=False)
class Reading:
    """A scenario under one reading of its publication: what it gave, and why."""

    name: str
    figures: dict[str, float | int | str]
    waterfall: Waterfall


@frozen(kw_only=True, eq=False)
class Comparison:
    """What a publication says, and what its rules give under each reading."""

    published: Published
    readings: tuple[Reading, ...]
    settings: tuple[str, ...] = ()
    """Settings under which the scenario is another than the published one: its figures say nothing of this run."""

    def plain(self) -> dict[str, object]:
        """What is published and what each reading gives, as JSON has it: figures under the names of the summary.

        Where the settings differ from the published ones they stand in the place of figures and verdict.
        """
        same = not self.settings
        return {
            "source": self.published.source,
            "verdict": self.published.verdict if same else self.difference,
            "figures": dict(self.published.figures) if same else {},
            "readings": {each.name: each.figures for each in self.readings},
        }

    @property
    def difference(self) -> str:
        """Why the published figures are not shown."""
        return f"the settings differ from the published ones ({', '.join(self.settings)}): its figures are not shown"


def check(scenario: Scenario, known: Collection[str]) -> None:
    """Refuse published figures that are not among the known ones of a run; raises `ScenarioError`."""
    for figure in scenario.published.figures if scenario.published else ():
        if figure not in known:
            raise ScenarioError(f"published.figures.{figure}: unknown figure; expected one of {', '.join(known)}")


def compare(
    scenario: Scenario, data: Path | None, unchanged: Scenario | None = None, settings: Sequence[str] = ()
) -> Comparison | None:
    """Run every reading of a scenario; None where nothing was published. Raises `ScenarioError` for a wrong reading.

    `unchanged` is the scenario without the `settings` that were put over it. Unless every reading is the same without
    them, the published figures are not those of this scenario.
    """
    published = scenario.published
    if published is None:
        return None
    readings = []
    differs = False
    for name, reading in (published.readings or {"this run": []}).items():
        try:
            read = _read(scenario, reading)
            run = assemble(read, data).simulation().run()
            differs = differs or bool(unchanged and _rules(read) != _rules(_read(unchanged, reading)))
        except CarrybookError as error:
            raise ScenarioError(f"published.readings.{name}: {error}") from None
        readings.append(Reading(name=name, figures=figures(run), waterfall=waterfall(run)))
    check(scenario, readings[0].figures)
    return Comparison(published=published, readings=tuple(readings), settings=tuple(settings) if differs else ())


def _read(scenario: Scenario, settings: Sequence[str]) -> Scenario:
    """A scenario under the settings of a reading."""
    table = scenario.table()
    for setting in settings:
        put(table, setting)
    return Scenario.of(table)


def _rules(scenario: Scenario) -> str:
    """What a run depends on: all but the scenario's name and what is to be shown beside it."""
    return evolve(scenario, name="-", published=None, coarser=None, benchmarks=None).digest


@frozen(kw_only=True, eq=False)
class Cell:
    """A scenario under some settings, on its own rows and on coarser ones; liquidations as `date venue`."""

    settings: Mapping[str, object]
    fine: Mapping[str, float | int | str]
    coarse: Mapping[str, float | int | str]
    missed: tuple[str, ...]
    """Liquidations on days on which the coarser rows have none at that venue."""
    invented: tuple[str, ...]
    """Those of the coarser rows on days on which the scenario's own have none."""


def cells(assembly: Assembly) -> tuple[Cell, ...]:
    """Every cell of a scenario's grid, on both; raises `ScenarioError` for rows that are no coarser."""
    spec = assembly.scenario.coarser
    if spec is None:
        return ()
    market = coarser(assembly.market, spec)
    return tuple(
        _cell(assembly, market, dict(zip(spec.grid, values, strict=True))) for values in product(*spec.grid.values())
    )


def coarser(market: Market, spec: Coarser) -> Market:
    """The market in rows of an interval: opened by the first row in it, closed by the last, between high and low.

    Funding is the sum of its rows. A rate per year is what makes their interest out of the time of the coarser row: the
    mean over it, in which rows that are missing earn nothing. Raises `ScenarioError` for a column whose name does not
    say which of these it is.
    """
    span_ns = INTERVALS_NS[spec.interval]
    slot = market.open_ns // span_ns
    first = np.flatnonzero(np.diff(slot, prepend=-1))
    last = np.append(first[1:], len(market)) - 1
    if len(first) == len(market):
        raise ScenarioError(f"coarser.interval: {spec.interval} is no coarser than the rows of the market")
    lengths = (market.at_ns + TICK_NS - market.open_ns).astype(np.float64)
    spans = (market.at_ns[last] + TICK_NS - market.open_ns[first]).astype(np.float64)

    def made(name: str, column: Floats) -> Floats:
        if name.endswith(("open", "close", "oracle", "mark")):
            ends: Floats = column[first if name.endswith("open") else last]
            return ends
        price = name.rpartition(".")[2]
        if price in ("high", "low"):
            extremes: Floats = (np.maximum if price == "high" else np.minimum).reduceat(column, first)
            return extremes
        if name.endswith(("funding_rate", ".funding")):
            sums: Floats = np.add.reduceat(column, first)
            return sums
        if name.endswith("_apy"):
            means: Floats = np.add.reduceat(column * lengths, first) / spans
            return means
        raise ScenarioError(
            f"coarser: is {name!r} a payment or a rate per year? expected a column named ..._funding_rate or ..._apy"
        )

    return Market(
        open_ns=market.open_ns[first],
        at_ns=market.at_ns[last],
        columns={name: made(name, column) for name, column in market.columns.items()},
        label=market.label,
    )


def _cell(assembly: Assembly, market: Market, settings: Mapping[str, object]) -> Cell:
    table = assembly.scenario.table()
    for key, value in settings.items():
        place(table, key, value)
    scenario = Scenario.of(table)
    fine, coarse = (assemble(scenario, market=each).simulation().run() for each in (assembly.market, market))
    mine, theirs = _liquidations(fine), _liquidations(coarse)
    return Cell(
        settings=settings,
        fine=figures(fine),
        coarse=figures(coarse),
        missed=tuple(each for each in mine if each not in theirs),
        invented=tuple(each for each in theirs if each not in mine),
    )


def _liquidations(run: Run) -> tuple[str, ...]:
    """Each day and venue of a liquidation once, in order."""
    happened = [each for each in run.single if isinstance(each, Liquidated)]
    return tuple(dict.fromkeys(f"{run.market.date(run.row(each.at_ns))} {each.venue}" for each in happened))
