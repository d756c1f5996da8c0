"""Published figures beside our own: a scenario run under every reading of its rules that its publication allows."""

from collections.abc import Collection
from pathlib import Path

from attrs import frozen

from framework.assembly import assemble
from framework.errors import CarrybookError, ScenarioError
from framework.scenario import Published, Scenario, put
from framework.valuation import Waterfall, metrics, waterfall


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

    def plain(self) -> dict[str, object]:
        """What is published and what each reading gives, as JSON has it: figures under the names of the summary."""
        return {
            "source": self.published.source,
            "verdict": self.published.verdict,
            "figures": dict(self.published.figures),
            "readings": {each.name: each.figures for each in self.readings},
        }


def check(scenario: Scenario, known: Collection[str]) -> None:
    """Refuse published figures that are not among the known ones of a run; raises `ScenarioError`."""
    for figure in scenario.published.figures if scenario.published else ():
        if figure not in known:
            raise ScenarioError(f"published.figures.{figure}: unknown figure; expected one of {', '.join(known)}")


def compare(scenario: Scenario, data: Path | None) -> Comparison | None:
    """Run every reading of a scenario; None where nothing was published. Raises `ScenarioError` for a wrong reading."""
    published = scenario.published
    if published is None:
        return None
    readings = []
    for name, settings in (published.readings or {"this run": []}).items():
        table = scenario.table()
        try:
            for setting in settings:
                put(table, setting)
            run = assemble(Scenario.of(table), data).simulation().run()
        except CarrybookError as error:
            raise ScenarioError(f"published.readings.{name}: {error}") from None
        readings.append(Reading(name=name, figures=metrics(run), waterfall=waterfall(run)))
    check(scenario, readings[0].figures)
    return Comparison(published=published, readings=tuple(readings))
