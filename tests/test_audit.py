"""The audit: finished runs pass it, and every way to falsify one is found by the check that is there for it."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attrs import evolve

from framework import accrual
from framework.assembly import assemble
from framework.audit import CHECKS, THOROUGH, audit, result_name
from framework.books import Projection, Standing
from framework.errors import RunError
from framework.performance import summarize
from framework.run import Run
from framework.run_folder.archive import Folder, save
from framework.scenario import Scenario
from framework.simulation import Passage
from tests.forgeries import (
    CASES,
    RUNS,
    Case,
    a_file_truncated,
    a_month_of_the_roll_forward_changed,
    an_account_that_is_not_in_the_chart,
    interest_called_lending,
)
from tests.forgery import NAMES, Forgery, made_alone
from tests.runs import DATA, EXAMPLES, data_of, run_and_save, there
from tests.two_coins import SCENARIO, two_coins


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    parent = tmp_path_factory.mktemp("runs")
    return {name: run_and_save(example, parent, settings)[1] for name, (example, settings) in RUNS.items()}


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_nothing_is_found_in_a_finished_run(example: str, saved: Callable[[str], tuple[Run, Path]]) -> None:
    results = audit(Folder(saved(example)[1]), data_of(example), thorough=True)
    assert len(results) == len(CHECKS) + len(THOROUGH)
    assert [result for result in results if not result.passed] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_nothing_is_found_in_what_will_be_forged(name: str, runs: dict[str, Path]) -> None:
    assert [result for result in audit(Folder(runs[name]), thorough=True) if not result.passed] == []


AT_COST = {
    "one leg": ("capital_rebalance", ("strategy.leverage=4.0", "venues.hyperliquid.valuation=cost")),
    "liquidated": ("full_rotation", ("strategy.leverage=5.0", "strategy.liquidation_buffer=0.0")),
}


@pytest.mark.slow
@pytest.mark.parametrize(("example", "settings"), AT_COST.values(), ids=AT_COST)
def test_nothing_is_found_in_a_run_at_cost(example: str, settings: tuple[str, ...], tmp_path: Path) -> None:
    folder = run_and_save(example, tmp_path, settings)[1]
    assert [result for result in audit(Folder(folder), thorough=True) if not result.passed] == []


def test_nothing_is_found_in_a_run_of_many_atoms(tmp_path: Path) -> None:
    """Where a balance has so many that the kernel's floats no longer hold each of them."""
    run, folder = run_and_save("capital_rebalance", tmp_path, ("capital_usd=500000000",))
    assert run.ledger.records()["amount"].max() > 2**51
    assert [result for result in audit(Folder(folder), thorough=True) if not result.passed] == []


def test_a_position_left_open_at_cost_ends_as_its_curve_does(tmp_path: Path) -> None:
    """Its gain since it was opened is booked as not counted: final equity, curve and waterfall agree."""
    folder = run_and_save("euss", tmp_path, ("venues.drift.accounting.class=at_cost",))[1]
    assert [result for result in audit(Folder(folder), thorough=True) if not result.passed] == []


@pytest.mark.parametrize("leave", [False, True])
def test_nothing_is_found_where_positions_are_valued_at_a_mark(leave: bool, tmp_path: Path) -> None:
    """Two coins on one account, with marks and oracles of their own and a fee that changed, closed or left open."""
    (tmp_path / "two.toml").write_text(SCENARIO)
    scenario = Scenario.load(tmp_path / "two.toml", (f"strategy.leave={str(leave).lower()}",))
    assembly = assemble(scenario, market=two_coins())
    run = assembly.simulation().run()
    folder = Folder(save(assembly, run, summarize(assembly, run), tmp_path))
    results = audit(folder, thorough=True, assembly=assembly)
    assert [result for result in results if not result.passed] == []


def _no_liquidation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation that never sees that a position is to be liquidated."""
    monkeypatch.setattr(Projection, "acting", lambda projection, act: np.zeros(len(projection), dtype=bool))
    monkeypatch.setattr(Standing, "acts_now", lambda standing, act: False)


def _more_accrued(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation in which everything accrues a ten-thousandth too fast."""
    plain = accrual.factor_of
    monkeypatch.setattr(accrual, "factor_of", lambda declared, base: plain(declared, base) * 1.0001)


def _curve_too_high(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation whose curve shows a little more equity than there is."""
    plain = Standing.by_row

    def by_row(standing: Standing, units: Callable) -> dict:
        return {name: each * 1.00001 for name, each in plain(standing, units).items()}

    monkeypatch.setattr(Standing, "by_row", by_row)


def _free_passage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation in which no passage of money costs anything."""
    plain = Passage.of
    free = classmethod(lambda cls, *way: evolve(plain(*way), leaving=0, arriving=0))
    monkeypatch.setattr(Passage, "of", free)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "check"),
    [(_no_liquidation, "acts"), (_more_accrued, "accruals"), (_curve_too_high, "states"), (_free_passage, "orders")],
)
@pytest.mark.parametrize("name", ["rebalance", "own"])
def test_what_a_broken_simulation_does_is_found(
    name: str,
    broken: Callable[[pytest.MonkeyPatch], None],
    check: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Run again the scenario gives the same, wrong as it is; the other checks do not rely on that."""
    broken(monkeypatch)
    example, settings = RUNS[name]
    folder = run_and_save(example, tmp_path, settings)[1]
    results = {result.check: result for result in audit(Folder(folder), thorough=True)}
    assert results["again: run"].passed
    assert results[check].count


def _found(case: Case, run: Path, copy: Path) -> bool:
    """Forge a run; whether the check for it, made alone, finds it, and where it was made."""
    forgery = Forgery(run, copy)
    place = case.edit(forgery)
    findings = made_alone(case.check, forgery.path).findings
    assert all(finding.words for finding in findings)
    return any(place in finding.place for finding in findings)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.edit.__name__)
def test_a_forgery_is_found_where_it_was_made(case: Case, runs: dict[str, Path], tmp_path: Path) -> None:
    assert _found(case, runs[case.run], tmp_path / "copy")


def _last_gone(table: str) -> Callable[[Forgery], str]:
    """Take the last row of a table away, and say what is then missing of how many."""

    def edit(forgery: Forgery) -> str:
        rows = forgery.rows(table)
        forgery.write(table, rows[:-1])
        forgery.seal_files()
        return f"{len(rows) - 1} {'events' if table == 'events' else 'transfers'}; expected {len(rows)}"

    return edit


def _one_more(forgery: Forgery) -> str:
    """Raise a payment of funding, and say what its event has."""
    at = forgery.find("ledger", nth=20, kind="funding")
    row = forgery.change("ledger", at, amount=lambda amount: amount + 1)
    forgery.seal()
    (event,) = [each for each in forgery.rows("events") if each["event"] == row["event"]]
    raised = event["amount"] + (1 if event["amount"] > 0 else -1)
    return f"moves {raised}, its event {row['event']} says {event['amount']}"


def _a_balance_more(forgery: Forgery) -> str:
    forgery.json("manifest", lambda manifest: manifest["ledger"]["balances"].__setitem__(0, 5))
    kept = Folder(forgery.path).accounts[0]
    made = sum(
        row["amount"] * ((row["debit"] == kept.name) - (row["credit"] == kept.name))
        for row in forgery.rows("ledger")
        if row["asset"] == kept.asset.code
    )
    return f"all balances sum to {5 - made} atomic units; expected 0"


WORDS = {
    "events": ("event log", _last_gone("events")),
    "transfers": ("transfers", _last_gone("ledger")),
    "a payment": ("settlements", _one_more),
    "a balance": ("trial balance", _a_balance_more),
    "a month": (
        "rolled forward",
        lambda forgery: (
            a_month_of_the_roll_forward_changed(forgery)
            and "debits, closing of the roll-forward are not those of the transfers"
        ),
    ),
}


@pytest.mark.parametrize(("check", "edit"), WORDS.values(), ids=WORDS)
def test_a_finding_says_what_is_there_and_what_was_expected(
    check: str, edit: Callable[[Forgery], str], runs: dict[str, Path], tmp_path: Path
) -> None:
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    words = edit(forgery)
    assert [finding.words for finding in made_alone(check, forgery.path).findings] == [words]


@pytest.mark.parametrize("check", [result_name(check) for check in CHECKS])
def test_an_account_that_the_chart_lacks_stops_no_check(check: str, runs: dict[str, Path], tmp_path: Path) -> None:
    """It is found where it is, and all else is still looked at."""
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    an_account_that_is_not_in_the_chart(forgery)
    assert made_alone(check, forgery.path).not_made == ""


@pytest.mark.parametrize("column", ["hyperliquid_size", "hyperliquid_equity_usd"])
def test_all_that_is_found_of_the_last_close_is_found_there(column: str, runs: dict[str, Path], tmp_path: Path) -> None:
    """By the formulas as arrays, and by those in exact fractions."""
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    closes = len(forgery.rows("equity")) - 2
    forgery.change("equity", closes, **{column: lambda value: value + 0.01})
    forgery.seal_files()
    findings = made_alone("states", forgery.path).findings
    assert len(findings) == 2
    assert all(finding.place.startswith(f"row {closes} (") for finding in findings)


@pytest.mark.parametrize(("row", "place"), [(0, "row 1 ("), (10**6, "row 1000001"), (None, "row {}")])
def test_a_liquidation_in_a_row_where_none_was_due_is_found(
    row: int | None, place: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    """In the first, in none that the market has, and in the one after its last."""
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    after = len(forgery.rows("market"))
    forgery.change("events", forgery.find("events", kind="Liquidated"), row=after if row is None else row)
    result = made_alone("acts", forgery.path)
    assert result.not_made == ""
    assert any(
        finding.place.startswith(place.format(after + 1)) and "did not hold at" in finding.words
        for finding in result.findings
    )


def test_a_settlement_that_nobody_declares_is_found_by_its_number(runs: dict[str, Path], tmp_path: Path) -> None:
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    place = interest_called_lending(forgery)
    event = forgery.rows("ledger")[int(place.removeprefix("entry ")) - 1]["event"]
    first = made_alone("accruals", forgery.path).findings[0]
    assert (first.place, first.words) == (f"{place}, event {event}", "settles what no venue declares")


def test_there_are_forgeries_for_every_check() -> None:
    assert len(CASES) >= 90
    assert {case.check for case in CASES} == set(NAMES)


@pytest.mark.slow
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


def test_a_table_rewritten_by_another_program_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    """Its columns are no longer those that were saved: the checks that need it say so, and the others are made."""
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    path = forgery.path / "equity.parquet"
    pd.read_parquet(path).to_parquet(path)
    results = {result.check: result for result in audit(Folder(forgery.path)) if not result.passed}
    assert set(results) == {"files", "tables", "end"}
    assert results["tables"].findings[0].place == "equity.parquet"
    assert results["end"].not_made in (  # as pandas 3 has text, and as it had before
        f"{path}: column moment: holds large_string; expected string",
        f"{path}: has metadata in its schema; expected none, as it was saved",
    )


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"not a finished run; expected a folder with manifest.json"):
        Folder(tmp_path)


def test_a_check_that_cannot_go_on_says_so(runs: dict[str, Path], tmp_path: Path) -> None:
    """Half a file is the finding of one check; those that read it are not made, and the others go on."""
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    a_file_truncated(forgery)
    results = {result.check: result for result in audit(Folder(forgery.path))}
    assert {name for name, each in results.items() if each.outcome == "failed"} == {"files", "tables"}
    assert {name for name, each in results.items() if each.outcome == "passed"} == {
        "name",
        "trial balance",
        "event log",
        "transit",
    }
    words = rf"^{re.escape(str(forgery.path))}/ledger.parquet: not readable \(.*\); expected the table as it was saved$"
    assert all(re.match(words, each.not_made) for each in results.values() if each.outcome == "not made")


def test_what_was_found_before_a_check_could_not_go_on_is_kept(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framework.run_folder.tables.ROWS_READ", 100)
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    forgery.change("events", 50, cause=10**6)
    forgery.change("events", 60, cause=10**6)
    path = forgery.path / "events.parquet"
    table = pq.read_table(path)
    groups = [table, table.slice(0, 1).set_column(4, "cause", pa.array([None], pa.int64()))]
    with pq.ParquetWriter(path, table.schema) as writer:
        for each in groups:
            writer.write_table(each)
    content = bytearray(path.read_bytes())
    at = pq.read_metadata(path).row_group(1).column(0).data_page_offset
    content[at : at + 30] = bytes(30)
    path.write_bytes(content)
    (log,) = [result for result in audit(Folder(forgery.path)) if result.check == "event log"]
    assert (log.outcome, log.count) == ("failed", 2)
    assert log.not_made.startswith(f"{path}: not readable")


def test_thorough_checks_that_do_not_need_a_broken_file_are_made(runs: dict[str, Path], tmp_path: Path) -> None:
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    (forgery.path / "market.parquet").unlink()
    results = {result.check: result for result in audit(Folder(forgery.path), thorough=True)}
    assert results["accruals"].not_made.endswith("expected the table as it was saved")
    assert results["again: inputs"].passed
    assert results["accounts"].passed


@pytest.mark.parametrize("name", ["ledger", "events", "equity", "market", "balances", "summary", "scenario"])
@pytest.mark.parametrize("break_", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["missing", "empty"])
def test_a_broken_file_is_never_passed_over(
    name: str, break_: Callable[[Path], object], runs: dict[str, Path], tmp_path: Path
) -> None:
    """Every check that fails or is not made says why, and no other breaks off with an error."""
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    (path,) = forgery.path.glob(f"{name}.*")
    break_(path)
    results = {result.check: result for result in audit(Folder(forgery.path), thorough=True)}
    assert len(results) == len(CHECKS) + len(THOROUGH)
    assert results["files"].findings[0].place == path.name
    not_made = {name for name, each in results.items() if each.outcome == "not made"}
    assert not_made
    assert all(path.name in results[each].not_made for each in not_made)


def test_the_module_of_the_audit_lists_each_check_once() -> None:
    """By module, at its top, where a reader looks first."""
    groups = (sys.modules[audit.__module__].__doc__ or "").partition("By module:")[2].partition("`audit` runs")[0]
    listed = [
        f"framework.audit.{module}.{check}"
        for module, group in re.findall(r"- `(\w+)\.py`(.+?)[;.]\n", groups, re.DOTALL)
        for check in re.findall(r"`(\w+)`", group)
    ]
    assert sorted(listed) == sorted(f"{check.__module__}.{check.__name__}" for check in (*CHECKS, *THOROUGH))


def test_a_run_on_files_cannot_be_audited_thoroughly_without_them(tmp_path: Path) -> None:
    """The embedded data are not taken in the place of files that the run was made with."""
    folder = run_and_save("uss", tmp_path, data=there(DATA / "uss", "the prices of 2022 to 2024"))[1]
    thorough = audit(Folder(folder), thorough=True)[len(CHECKS) :]
    assert {result.outcome for result in thorough} == {"not made"}
    assert {result.not_made for result in thorough} == {
        (
            "the market was read from jitosol_usd_daily_derived.csv, sol_usd_daily_yahoo.csv; "
            "expected the directory that has them (--data)"
        )
    }


def test_a_scenario_that_cannot_be_assembled_leaves_the_thorough_checks_unmade(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    path = forgery.path / "scenario.toml"
    path.write_text(path.read_text().replace("leverage", "levrage"))
    thorough = audit(Folder(forgery.path), thorough=True)[len(CHECKS) :]
    assert {(result.outcome, result.not_made) for result in thorough} == {
        ("not made", "scenario.toml cannot be assembled: strategy.levrage: unknown key; did you mean leverage?")
    }


def test_a_scenario_that_cannot_be_run_again_is_a_finding(runs: dict[str, Path], tmp_path: Path) -> None:
    forgery = Forgery(runs["rebalance"], tmp_path / "copy")
    path = forgery.path / "scenario.toml"
    text = path.read_text().replace("leverage = 4.0", "leverage = 1e15")
    for venue in ("asgard", "hyperliquid"):  # which then allow any leverage
        text = text.replace(f"[venues.{venue}]", f"[venues.{venue}]\nmaintenance_margin = 0.0")
    path.write_text(text.replace("trigger = 6.0", "trigger = 1e15"))
    again = audit(Folder(forgery.path), thorough=True)[-1]
    assert again.findings[-1].words.startswith("cannot be run again: the ledger refuses a long of")
