"""Forgeries: each way to falsify a run, on the runs of all examples and on one with a venue of somebody else's.

`test_audit.py` has each on the run for which it was made; here it is made wherever that run has such a thing.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from framework.audit import audit
from framework.run_folder.archive import Folder
from tests.drills import chance, tell, times
from tests.forgeries import CASES, RUNS
from tests.forgery import Forgery, made_alone
from tests.runs import EXAMPLES, data_of, run_and_save

pytestmark = [pytest.mark.slow, pytest.mark.drill]
NOT_THERE = (IndexError, KeyError, ValueError, TypeError, AssertionError)
"""What an edit raises on a run that has nothing of the kind that it falsifies."""

NAMES_OF_RUNS = sorted({*EXAMPLES, *RUNS})


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Callable[[str], tuple[Path, Path | None]]:
    """Name -> the folder of a run, which is made once, and the directory of its data."""
    found: dict[str, tuple[Path, Path | None]] = {}

    def run(name: str) -> tuple[Path, Path | None]:
        if name not in found:
            example, settings = RUNS.get(name, (name, ()))
            data = data_of(example)
            found[name] = run_and_save(example, tmp_path_factory.mktemp(name), settings, data)[1], data
        return found[name]

    return run


def says_the_same(run: Path, copy: Path) -> bool:
    """Whether an edit has changed nothing but how files are written and sealed."""
    if sorted(each.name for each in run.iterdir()) != sorted(each.name for each in copy.iterdir()):
        return False
    for path in sorted(run.iterdir()):
        other = copy / path.name
        if path.read_bytes() == other.read_bytes():
            continue
        try:
            if path.suffix == ".parquet":
                if not pq.read_table(path).equals(pq.read_table(other), check_metadata=True):
                    return False
                continue
            both = [json.loads(each.read_text()) for each in (path, other)]
        except (ValueError, OSError):
            return False
        if [{**each, "files": None} for each in both[:1]] != [{**each, "files": None} for each in both[1:]]:
            return False
    return True


def test_every_forgery_is_found_on_every_run_that_has_what_it_falsifies(capsys, tmp_path, runs) -> None:
    """First by the check that is there for it; else by all together."""
    dice, counts = chance("forge"), Counter[str]()
    pairs = [(name, case) for name in NAMES_OF_RUNS for case in CASES]
    dice.shuffle(pairs)
    missed = []
    for number, (name, case) in enumerate(sorted(pairs[: times(12)], key=lambda pair: pair[0])):
        run, data = runs(name)
        place = tmp_path / str(number)
        forgery = Forgery(run, place)
        try:
            case.edit(forgery)
        except NOT_THERE:
            counts["not there to be falsified"] += 1
            shutil.rmtree(place)
            continue
        if forgery.path == place and says_the_same(run, forgery.path):
            counts["not there to be falsified"] += 1
        elif made_alone(case.check, forgery.path, data).count:
            counts["found by the check for it"] += 1
        elif any(not each.passed for each in audit(Folder(forgery.path), data, thorough=True)):
            counts["found by other checks"] += 1
        else:
            missed.append(f"{case.edit.__name__} on {name}")
        shutil.rmtree(forgery.path)
    tell(capsys, f"forgeries, of {len(pairs)} in all", counts)
    assert missed == []
