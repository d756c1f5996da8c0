"""The audit: finished runs pass it, and every way to falsify one is found by the check that is there for it."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from framework.errors import RunError
from framework.run import Run
from framework.saved.audit import CHECKS, THOROUGH, audit, result_name
from framework.saved.folder import Folder
from tests.forgeries import CASES, RUNS, Case, a_file_truncated
from tests.forgery import Forgery
from tests.runs import DATA, EXAMPLES, data_of, run_and_save, there


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    parent = tmp_path_factory.mktemp("runs")
    return {name: run_and_save(example, parent, settings)[1] for name, (example, settings) in RUNS.items()}


@pytest.mark.parametrize("example", EXAMPLES)
def test_nothing_is_found_in_a_finished_run(example: str, saved: Callable[[str], tuple[Run, Path]]) -> None:
    results = audit(Folder(saved(example)[1]), data_of(example), thorough=True)
    assert len(results) == len(CHECKS) + len(THOROUGH)
    assert [result for result in results if result.count] == []


@pytest.mark.parametrize("name", RUNS)
def test_nothing_is_found_in_what_will_be_forged(name: str, runs: dict[str, Path]) -> None:
    assert [result for result in audit(Folder(runs[name]), thorough=True) if result.count] == []


NAMES = {result_name(check): check for check in (*CHECKS, *THOROUGH)}


def _found(case: Case, run: Path, copy: Path) -> bool:
    """Forge a run; whether the check for it finds it, and where it was made."""
    forgery = Forgery(run, copy)
    place = case.edit(forgery)
    results = audit(Folder(copy), thorough=NAMES[case.check] in THOROUGH)
    findings = [finding for result in results if result.check == case.check for finding in result.findings]
    assert all(finding.words for finding in findings)
    return any(place in finding.place for finding in findings)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.edit.__name__)
def test_a_forgery_is_found_where_it_was_made(case: Case, runs: dict[str, Path], tmp_path: Path) -> None:
    assert _found(case, runs[case.run], tmp_path / "copy")


def test_there_are_forgeries_for_every_check() -> None:
    assert len(CASES) >= 40
    assert {case.check for case in CASES} == set(NAMES)


@pytest.mark.parametrize("check", NAMES)
def test_without_a_check_a_forgery_is_missed(check: str, runs: dict[str, Path], tmp_path: Path) -> None:
    """No other check names the place of some forgery, so each is needed.

    Running the scenario again is left aside: it finds any ledger that was changed, and cannot say what is wrong.
    """
    aside = {check, "again: run"}
    others = tuple(each for name, each in NAMES.items() if name not in aside)
    missed = False
    for number, case in enumerate(case for case in CASES if case.check == check):
        forgery = Forgery(runs[case.run], tmp_path / str(number))
        place = case.edit(forgery).rstrip(", (")
        results = audit(
            Folder(forgery.path),
            thorough=NAMES[check] in THOROUGH,
            checks=tuple(each for each in others if each in CHECKS),
            thorough_checks=tuple(each for each in others if each in THOROUGH),
        )
        missed |= not any(place in finding.place for result in results for finding in result.findings)
    assert missed


def _rewritten(folder: Path, table: str, edit: Callable[[pd.DataFrame], None] | None = None) -> None:
    """A table read and written by pandas, which makes whole numbers beside gaps floats, and widens text."""
    path = folder / f"{table}.parquet"
    frame = pd.read_parquet(path)
    if edit:
        edit(frame)
    frame.to_parquet(path)


def test_tables_rewritten_by_other_programs_are_read_as_they_are(runs: dict[str, Path], tmp_path: Path) -> None:
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    for table in ("ledger", "events", "equity", "market", "balances"):
        _rewritten(forgery.path, table)
    found = {result.check: result.count for result in audit(Folder(forgery.path), thorough=True) if result.count}
    assert set(found) == {"files"}


def test_an_edit_with_pandas_is_found_at_its_entry(runs: dict[str, Path], tmp_path: Path) -> None:
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")

    def edit(frame: pd.DataFrame) -> None:
        frame.loc[700, "amount"] += 1

    _rewritten(forgery.path, "ledger", edit)
    results = {result.check: result for result in audit(Folder(forgery.path)) if result.count}
    assert set(results) == {"files", "chain", "balances", "rolled forward", "settlements", "summary"}
    assert results["settlements"].findings[0].place == "entry 701"


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"not a finished run .* expected a folder with manifest.json"):
        Folder(tmp_path)


def test_a_check_that_cannot_go_on_says_so(runs: dict[str, Path], tmp_path: Path) -> None:
    """Half a file is a finding of every check that reads it, and the others go on."""
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    a_file_truncated(forgery)
    results = {result.check: result for result in audit(Folder(forgery.path))}
    assert "ledger.parquet: not readable" in results["balances"].findings[0].words
    assert results["trial balance"].count == 0
    assert results["event log"].count == 0


def test_a_run_on_files_cannot_be_audited_thoroughly_without_them(tmp_path: Path) -> None:
    """The embedded data are not taken in the place of files that the run was made with."""
    folder = run_and_save("uss", tmp_path, data=there(DATA / "uss", "the prices of 2022 to 2024"))[1]
    last = audit(Folder(folder), thorough=True)[-1]
    assert last.check == "thorough"
    assert last.findings[0].words == (
        "was read from jitosol_usd_daily_derived.csv, sol_usd_daily_yahoo.csv; "
        "expected the directory that has them (--data)"
    )


def test_a_scenario_that_cannot_be_assembled_is_a_finding(runs: dict[str, Path], tmp_path: Path) -> None:
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    path = forgery.path / "scenario.toml"
    path.write_text(path.read_text().replace("leverage", "levrage"))
    last = audit(Folder(forgery.path), thorough=True)[-1]
    assert last.check == "thorough"
    assert last.findings[0].words == "cannot be assembled: strategy.levrage: unknown key; did you mean leverage?"
