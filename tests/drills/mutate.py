"""Mutation testing of the books: cosmic-ray changes their code in one place at a time, and the tests should notice.

`make mutants` draws some mutants of each module and runs the tests that know it best on each, in a copy of the project;
what survives meets the tests that know everything a little. `CARRYBOOK_MUTANTS` is how many are drawn, 0 for all.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkResult

from tests.drills import chance
from tests.runs import DATA, ROOT

COUNT = int(os.environ.get("CARRYBOOK_MUTANTS", "40"))
TESTS = {
    "ledger": "ledger books_edges event_log settlement",
    "accrual": "accrual closed_forms books_edges settlement jito formulas drift_protocol hyperliquid_protocol",
    "books": "books_edges closed_forms several_coins_edges own_classes command_line execution conditions incidents "
    "row_path collateral order_edges drift_protocol hyperliquid_protocol valuation settlement",
    "audit": "audit audit_commands",
}
"""Module of the framework -> the tests that know it best, the quickest first."""
WIDE = "examples closed_forms valuation at_cost asgard_lender performance explain exports signs differential audit"
"""The tests that know everything a little."""
SLOW = "--deselect tests/test_audit.py::test_without_a_check_a_forgery_is_missed"
"""What takes minutes and notices no more than the tests beside it."""
TYPES_ALONE = "ReplaceBinaryOperator_BitOr"
"""The operators that mostly change annotations, which nothing reads while it runs; they are left out."""
CONFIG = """
[cosmic-ray]
module-path = "framework/{module}.py"
timeout = 900.0
excluded-modules = []
test-command = "{python} -m pytest -x -q --no-header -p no:cacheprovider -p no:xdist {slow} {tests}"
[cosmic-ray.distributor]
name = "local"
"""
Mutant = tuple[tuple[int, int], str, int]
"""Where it is, what it changes, and the how manieth time."""


def copied(place: Path) -> Path:
    """A copy of the project's files, in which code may be changed."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)
    return place


def tested(
    module: str, tests: str, place: Path, choose: Callable[[list[Mutant]], Collection[Mutant]]
) -> dict[Mutant, WorkResult]:
    """What came of the mutants of a module that were chosen, by some tests, which pass on the module as it is."""
    config, database = place / "mutants.toml", place / "mutants.sqlite"
    database.unlink(missing_ok=True)
    paths = " ".join(f"tests/test_{name}.py" for name in tests.split())
    config.write_text(CONFIG.format(module=module, python=sys.executable, slow=SLOW, tests=paths))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(place), *sys.path[1:]])}
    environment |= {"CARRYBOOK_TEST_DATA": str(DATA), "PYTHONDONTWRITEBYTECODE": "1"}

    def cosmic_ray(*words: str) -> None:
        command = [sys.executable, "-m", "cosmic_ray.cli", *words]
        subprocess.run(command, cwd=place, env=environment, check=True, stdout=subprocess.DEVNULL)

    cosmic_ray("baseline", config.name)
    cosmic_ray("init", config.name, database.name)
    with use_db(database, WorkDB.Mode.open) as work:
        jobs = {_mutant(each.mutations[0]): each.job_id for each in work.pending_work_items}
        chosen = choose(sorted(each for each in jobs if TYPES_ALONE not in each[1]))
        for mutant in jobs.keys() - set(chosen):
            work.set_result(jobs[mutant], WorkResult(worker_outcome=WorkerOutcome.SKIPPED))
    if chosen:
        cosmic_ray("exec", config.name, database.name)
    with use_db(database, WorkDB.Mode.open) as work:
        results = dict(work.results)
    return {mutant: results[jobs[mutant]] for mutant in chosen}


def _mutant(mutation: MutationSpec) -> Mutant:
    return mutation.start_pos, mutation.operator_name, mutation.occurrence


def main(modules: Sequence[str]) -> None:
    """Print the score of each module, and what survived."""
    for module in modules or TESTS:
        count = 0

        def drawn(mutants: list[Mutant], module: str = module) -> Collection[Mutant]:
            nonlocal count
            count = len(mutants)
            return chance(f"mutants {module}").sample(mutants, COUNT) if COUNT else mutants

        with tempfile.TemporaryDirectory() as parent:
            place = copied(Path(parent) / "carrybook")
            found = tested(module, TESTS[module], place, drawn)
            left = [each for each, result in found.items() if result.test_outcome is TestOutcome.SURVIVED]
            again = tested(module, WIDE, place, lambda _, left=left: left)
        survived = {each: result for each, result in again.items() if result.test_outcome is TestOutcome.SURVIVED}
        killed = len(found) - len(survived)
        sys.stdout.write(
            f"{module}: {killed} of {len(found)} mutants killed, {killed / len(found):.1%}; drawn of {count}, "
            f"{len(found) - len(left)} by the tests of the module alone\n"
        )
        for (at, operator, _), result in sorted(survived.items()):
            changed = [line for line in (result.diff or "").splitlines() if line.startswith(("+", "-"))]
            lines = [line for line in changed if line[1:].strip() and not line.startswith(("+++", "---"))]
            sys.stdout.write("\n".join([f"\n{module}.py:{at[0]} survived, {operator}", *lines]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
