"""The full study: every cell of every table of the comparison, in a warm process on one core."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import Figure, medians
from examples.study.report import costs, tables
from examples.study.study import Study
from framework.assembly import assemble
from framework.run import Run
from framework.scenario import Table

AT_MARKET: Table = {"rulebook": {"class": "study"}, "strategy.compounding": False, "strategy.capital_penalty": 0.0}
MODELS: dict[str, tuple[str, Table]] = {
    "rotation that compounds": ("full_rotation", {}),
    "rotation": ("full_rotation", AT_MARKET),
    "capital rebalance": ("capital_rebalance", {}),
    "static": ("static", {}),
}
"""Models of the study by the time that one run takes: the first acts after every row, the last never."""


def full_study(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """All tables, each run with its metrics, and one run of each model without them."""
    if tiny:
        seconds = medians(1, {"": lambda: costs(Study())})[""]
        yield Figure(name="one table of the study", value=seconds, unit="s")
    else:
        with TemporaryDirectory() as kept:
            for _ in range(2):  # the first run of a kind is simulated in the first process, and recorded in the second
                _played(kept)
            ways = {
                "simulated": lambda: list(tables(Study(played=False))),
                "played and recorded": _recorded,
                "played from what is kept": lambda: _played(kept),
            }
            seconds = medians(3, ways)
        targets = {"simulated": 2.5, "played from what is kept": 0.7}
        for way, found in seconds.items():
            words = f"{found / seconds['simulated']:.3f} x of simulated"
            yield Figure(
                name=f"full study, all tables, {way}", value=found, unit="s", target=targets.get(way), words=words
            )
    study = Study()
    runs = {model: _run(study, name, settings) for model, (name, settings) in MODELS.items()}
    for model, found in medians(1 if tiny else 9, runs).items():
        yield Figure(name=f"  a run of {model}", value=found * 1e3, unit="ms")


def _recorded() -> None:
    with TemporaryDirectory() as empty:
        _played(empty)


def _played(cache: str) -> None:
    """All tables, with what is kept in a directory."""
    os.environ["CARRYBOOK_CACHE_DIR"] = cache
    list(tables(Study()))


def _run(study: Study, name: str, settings: Table) -> Callable[[], Run]:
    assembly = assemble(study.scenario(name, settings), market=study.market)
    return lambda: assembly.simulation().run()
