"""Mutation testing of the books: cosmic-ray changes their code in one place at a time, and the tests should notice.

`make mutants` draws some mutants of each module, runs the tests beside its name in `TESTS` on each in a copy of the
project, and prints the score and what survived. `CARRYBOOK_MUTANTS` is how many of each are drawn, 0 for all.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult

from tests.drills import chance
from tests.runs import DATA, ROOT

COUNT = int(os.environ.get("CARRYBOOK_MUTANTS", "40"))
TESTS = {
    "ledger": "ledger books_edges event_log settlement",
    "accrual": "closed_forms books_edges settlement jito formulas drift_protocol hyperliquid_protocol",
    "books": "books_edges closed_forms several_coins_edges own_classes command_line execution conditions incidents "
    "row_path collateral order_edges drift_protocol hyperliquid_protocol valuation settlement",
    "audit": "audit audit_commands",
}
"""Module of the framework -> the tests that know it best, the quickest first."""
TYPES_ALONE = "ReplaceBinaryOperator_BitOr"
"""The operators that mostly change annotations, which nothing reads while it runs; they are left out."""
CONFIG = """
[cosmic-ray]
module-path = "framework/{module}.py"
timeout = 600.0
excluded-modules = []
test-command = "{python} -m pytest -x -q --no-header -p no:cacheprovider -p no:xdist {tests}"
[cosmic-ray.distributor]
name = "local"
"""


def copied(place: Path) -> Path:
    """A copy of the project's files, in which code may be changed."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)
    return place


def mutated(module: str, place: Path) -> tuple[list[tuple[WorkItem, WorkResult]], int]:
    """What came of the mutants that were drawn of a module, and of how many they were drawn."""
    config, database = place / f"{module}.toml", place / f"{module}.sqlite"
    tests = " ".join(f"tests/test_{name}.py" for name in TESTS[module].split())
    config.write_text(CONFIG.format(module=module, python=sys.executable, tests=tests))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(place), *sys.path[1:]])}
    environment |= {"CARRYBOOK_TEST_DATA": str(DATA), "PYTHONDONTWRITEBYTECODE": "1"}

    def cosmic_ray(*words: str) -> None:
        command = [sys.executable, "-m", "cosmic_ray.cli", *words]
        subprocess.run(command, cwd=place, env=environment, check=True, stdout=subprocess.DEVNULL)

    cosmic_ray("baseline", config.name)
    cosmic_ray("init", config.name, database.name)
    with use_db(database, WorkDB.Mode.open) as work:
        items = sorted(work.pending_work_items, key=_place)
        drawn = [each for each in items if TYPES_ALONE not in each.mutations[0].operator_name]
        chosen = {each.job_id for each in (chance(f"mutants {module}").sample(drawn, COUNT) if COUNT else drawn)}
        for each in items:
            if each.job_id not in chosen:
                work.set_result(each.job_id, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))
    cosmic_ray("exec", config.name, database.name)
    with use_db(database, WorkDB.Mode.open) as work:
        results = {job: result for job, result in work.results if job in chosen}
        return [(each, results[each.job_id]) for each in items if each.job_id in chosen], len(drawn)


def _place(item: WorkItem) -> tuple[object, ...]:
    mutation = item.mutations[0]
    return mutation.start_pos, mutation.operator_name, mutation.occurrence


def main(modules: Sequence[str]) -> None:
    """Print the score of each module, and what survived."""
    for module in modules or TESTS:
        with tempfile.TemporaryDirectory() as parent:
            found, count = mutated(module, copied(Path(parent) / "carrybook"))
        survived = [(item, result) for item, result in found if result.test_outcome is TestOutcome.SURVIVED]
        killed = len(found) - len(survived)
        words = f"{module}: {killed} of {len(found)} mutants killed, {killed / len(found):.1%}; drawn of {count}\n"
        sys.stdout.write(words)
        for item, result in survived:
            (mutation,) = item.mutations
            sys.stdout.write(f"\n{module}.py:{mutation.start_pos[0]} survived, {mutation.operator_name}\n")
            changed = (line for line in (result.diff or "").splitlines() if line.startswith(("+", "-")))
            sys.stdout.write("\n".join(line for line in changed if not line.startswith(("+++", "---"))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
