"""The protocols' rulebook against the study's: the same strategy on the same rows, in one process, turn by turn."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks import inputs
from benchmarks.figures import Figure, medians, milliseconds
from framework.assembly import Assembly, assemble
from framework.market import Market
from framework.run import Run
from framework.scenario import Scenario

QUIET = ("strategy.leverage=1.5", "strategy.trigger=2.2")
"""At which neither rulebook liquidates anybody, so both do the same rebalances but for one."""
LIQUIDATED = ("strategy.leverage=4", "strategy.trigger=never")
"""At which the study's rules liquidate often; on another path in the same rows."""


def rulebooks(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """Protocol rules over study rules, and a path within the row over the close, by the day and by the hour."""
    days = inputs.daily().market
    for rows, market, times in (("daily", days, 40), ("hourly", inputs.by_the_hour(days), 12)):
        study, protocol = (_assembled(market, *QUIET, f"rulebook.class={name}") for name in ("study", "protocol"))
        yield _ratio(f"{rows}, protocol rulebook / study rulebook", protocol, study, 1 if tiny else times)
        close, path = (_assembled(market, *LIQUIDATED, f"rulebook.path={name}") for name in ("close", "adverse_first"))
        yield _ratio(f"{rows}, acts within the row / acts at its close", path, close, 1 if tiny else times)


def _assembled(market: Market, *settings: str) -> Assembly:
    kept = tuple(each for each in settings if each != "rulebook.class=study")
    scenario = Scenario.load(inputs.DAILY, kept)
    if "rulebook.class=protocol" in kept:
        scenario = Scenario.of({**scenario.table(), "rulebook": {"class": "protocol"}})
    return assemble(scenario, market=market)


def _ratio(name: str, slow: Assembly, quick: Assembly, times: int) -> Figure:
    def run(assembly: Assembly) -> Run:
        run = assembly.simulation().run()
        run.ledger.records()
        return run

    acts = [len(run(each).single) for each in (slow, quick)]
    found = medians(times, {"slow": lambda: run(slow), "quick": lambda: run(quick)})
    words = f"{milliseconds(found['slow'])} and {milliseconds(found['quick'])}; {acts[0]} and {acts[1]} events of acts"
    return Figure(name=name, value=found["slow"] / found["quick"], target=1.5, words=words)
