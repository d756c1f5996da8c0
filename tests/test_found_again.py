"""What a run was made of is found again: its data, its rules, and the strategy beside its scenario."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from framework.run_folder.archive import Folder
from tests.commands import carrybook
from tests.runs import ROOT

EXAMPLE = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
SHORT = ("--set", "market.end=2025-01-31")
STRATEGY = """
from attrs import frozen
from framework import Strategy, Swap


@frozen(kw_only=True)
class Own(Strategy):
    def on_start(self, view):
        yield Swap("spot", "USDC", "SOL", 100.0)

    def on_event(self, event, view):
        return ()
"""
SCENARIO = """
name = "own"
capital_usd = 1_000
[market]
start = 2025-01-01
end = 2025-02-01
embedded = "sol_daily"
[strategy]
class = "MODULE:Own"
[venues.spot]
class = "spot"
swap_fee_bps = 5
"""


@pytest.fixture
def project(tmp_path, study_data):
    """A directory with data, and a run made of them."""
    shutil.copytree(study_data, tmp_path / "one" / "data")
    return tmp_path / "one"


@pytest.mark.slow
@pytest.mark.parametrize("moved", [False, True], ids=["where it was", "moved with its data"])
def test_a_thorough_audit_finds_its_data_again(capsys, project, tmp_path, moved):
    """Where they were, or as far from the run as they were; without --data."""
    carrybook(capsys, "run", EXAMPLE, "--data", project / "data", "--out", project / "runs", *SHORT)
    if moved:
        project = project.rename(tmp_path / "two")
    code, printed, _ = carrybook(capsys, "audit", project / "runs", "--thorough", "--json")
    assert {each["check"]: each["outcome"] for each in json.loads(printed)}["again: inputs"] == "passed"
    assert code == 0


def test_data_in_folders_below_their_directory_are_found_again(capsys, project):
    """As the hourly example names them: `study/` and `market/` in one directory."""
    (project / "data").rename(project / "study")
    scenario = project / "own.toml"
    scenario.write_text(re.sub(r'file = "(?!study/)', 'file = "study/', EXAMPLE.read_text()))
    carrybook(capsys, "run", scenario, "--data", project, "--out", project / "runs", *SHORT)
    (folder,) = (project / "runs").iterdir()
    assert Folder(folder).data == project.resolve()
    (project / "study" / "sol_daily_candles.json").write_text("changed")
    assert Folder(folder).data is None


def test_other_data_in_the_place_are_not_taken_for_those_of_the_run(capsys, project):
    """They are known by their digests; what is missing is said, as before."""
    carrybook(capsys, "run", EXAMPLE, "--data", project / "data", "--out", project / "runs", *SHORT)
    (folder,) = (project / "runs").iterdir()
    assert Folder(folder).data == (project / "data").resolve()
    file = project / "data" / "sol_daily_candles.json"
    file.write_text(file.read_text() + "\n")
    assert Folder(folder).data is None
    code, printed, _ = carrybook(capsys, "audit", folder, "--thorough", "--json")
    assert code == 1
    assert "expected the directory that has them (--data)" in printed


def test_the_rules_in_effect_are_saved_with_the_run(capsys, tmp_path):
    """All of them, also those that the rulebook gave and nobody set."""
    carrybook(capsys, "run", EXAMPLE, "--out", tmp_path, "--set", "venues.hyperliquid.taker_fee_bps=4", *SHORT)
    (folder,) = tmp_path.iterdir()
    rules = json.loads((folder / "manifest.json").read_text())["rules"]
    assert rules.keys() == {"asgard", "hyperliquid", "drift"}
    assert rules["hyperliquid"]["taker_fee_bps"] == 4
    assert rules["hyperliquid"]["maintenance_margin"] == 0.05
    assert rules["asgard"]["liquidation_penalty"] == {"of": "equity", "fraction": 0.5}


def own(folder, module):
    """A scenario with its strategy beside it."""
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(STRATEGY)
    (folder / "own.toml").write_text(SCENARIO.replace("MODULE", module))
    return folder / "own.toml"


@pytest.fixture(autouse=True)
def path_as_it_was(monkeypatch):
    """What is imported here is found by nobody else."""
    monkeypatch.setattr(sys, "path", [*sys.path])


def test_a_strategy_beside_its_scenario_is_found_from_any_directory(capsys, tmp_path, monkeypatch):
    """By a run, by the workers of a sweep, and by a thorough audit."""
    scenario = own(tmp_path / "mine", "own_beside")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, _, said = carrybook(capsys, "run", scenario, "--json")
    assert (code, said) == (0, "")
    grid = ("--grid", "venues.spot.swap_fee_bps=5,6", "--jobs", "2", "--json")
    code, printed, _ = carrybook(capsys, "sweep", scenario, *grid)
    assert (code, json.loads(printed)["failed"]) == (0, 0)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if str(tmp_path) not in each])
    monkeypatch.delitem(sys.modules, "own_beside")
    code, printed, _ = carrybook(capsys, "audit", "runs", "--thorough", "--trust", "--json")
    assert code == 0, printed


def test_two_modules_of_one_name_are_not_mistaken_for_each_other(capsys, tmp_path, monkeypatch):
    """The second scenario's would be the first's: one line says which two files there are."""
    monkeypatch.chdir(tmp_path)
    for name, code_ in (("first", 0), ("second", 2)):
        code, _, said = carrybook(capsys, "run", own(tmp_path / name, "own_twice"), "--json")
        assert code == code_
    assert "expected one of them under another name" in said
    assert str(Path("first") / "own_twice.py") in said


def test_a_sweep_with_failed_cells_ends_with_one(capsys, tmp_path):
    """With the table as without; and with nothing where all is well."""
    grid = (
        "--grid",
        "strategy.leverage=2,3",
        "--grid",
        "strategy.trigger=2,4",
        "--out",
        tmp_path,
        "--jobs",
        "1",
        *SHORT,
    )
    code, printed, _ = carrybook(capsys, "sweep", EXAMPLE, *grid, "--json")
    assert (code, json.loads(printed)["failed"]) == (1, 1)
    assert carrybook(capsys, "sweep", EXAMPLE, *grid)[0] == 1
    assert carrybook(capsys, "sweep", EXAMPLE, *grid[:2], "--out", tmp_path, "--jobs", "1", *SHORT)[0] == 0


def test_an_audit_of_a_folder_of_runs_audits_them_all(capsys, tmp_path):
    """One table each; the exit code is 1 if anything is found in any of them, and `latest` names the last written."""
    for leverage in (2, 3):
        setting = ("--set", f"strategy.leverage={leverage}", *SHORT)
        _, printed, _ = carrybook(capsys, "run", EXAMPLE, "--out", tmp_path, "--json", *setting)
    last = Path(json.loads(printed)["run"])
    code, printed, _ = carrybook(capsys, "audit", tmp_path)
    assert (code, printed.count("Audit of ")) == (0, 2)
    found = json.loads(carrybook(capsys, "audit", tmp_path, "--json")[1])
    assert found.keys() == {each.name for each in tmp_path.iterdir()}
    assert Folder(tmp_path / "latest").path == last
    (last / "summary.json").write_text("{}")
    assert carrybook(capsys, "audit", tmp_path, "--json")[0] == 1
    code, _, said = carrybook(capsys, "explain", tmp_path, "fees")
    assert (code, "not a finished run but 2 of them" in said, "/latest, or one of" in said) == (2, True, True)
