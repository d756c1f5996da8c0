"""Finished runs of the examples, for the tests of what reads their folders."""

from collections.abc import Sequence
from pathlib import Path

from framework.archive import save
from framework.assembly import assemble
from framework.run import Run
from framework.scenario import Scenario
from framework.summary import summarize

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/scenario.toml"))


def saved(example: str, parent: Path, settings: Sequence[str] = ()) -> Path:
    """Run an example on the embedded data and return its folder below `parent`."""
    return run_and_save(example, parent, settings)[1]


def run_and_save(example: str, parent: Path, settings: Sequence[str] = ()) -> tuple[Run, Path]:
    """Run an example on the embedded data and return the run and its folder below `parent`."""
    assembly = assemble(Scenario.load(ROOT / "examples" / example / "scenario.toml", settings))
    run = assembly.simulation().run()
    return run, save(assembly, run, summarize(assembly, run), parent)
