"""Finished runs of the examples, and the data of those that ship none, for the tests of what reads their folders."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from framework.assembly import assemble
from framework.performance import summarize
from framework.run import Run
from framework.run_folder.archive import save
from framework.scenario import Scenario

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/scenario.toml"))


def _data() -> Path:
    """Where data are that are not ours to ship; a `CARRYBOOK_DATA` with the study's in it serves as well."""
    store = Path(os.environ.get("CARRYBOOK_DATA", ""))
    beside = store if (store / "study").is_dir() else ROOT.parent / "shared" / "data"
    return Path(os.environ.get("CARRYBOOK_TEST_DATA", beside))


DATA = _data()
WITHOUT_EMBEDDED = {"basis": "market", "hourly": "."}
"""Example that ships no data -> the directory of its data, below `DATA`."""


def there(path: Path, what: str) -> Path:
    """The path; skips the test where it is no directory."""
    if not path.is_dir():
        pytest.skip(
            f"needs {what}, which are not ours to ship: set CARRYBOOK_TEST_DATA to the directory that holds them"
        )
    return path


def data_of(example: str) -> Path | None:
    """The directory of an example's data, None for what is embedded; skips the test where it is absent."""
    place = WITHOUT_EMBEDDED.get(example)
    return None if place is None else there(DATA / place, "finer market rows")


def run_and_save(
    example: str, parent: Path, settings: Sequence[str] = (), data: Path | None = None
) -> tuple[Run, Path]:
    """Run an example, on its own data if none are given, and return the run and its folder below `parent`."""
    scenario = Scenario.load(ROOT / "examples" / example / "scenario.toml", settings)
    assembly = assemble(scenario, data or data_of(example))
    run = assembly.simulation().run()
    return run, save(assembly, run, summarize(assembly, run), parent)
