"""Sweeps that are played: how many of their cells were, and why others could not be, wherever that is said."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest
from attrs import evolve, frozen

from framework import ConditionMet, EveryRow, Open, Resize, Scenario, Side, Strategy, assemble
from framework.command_line.cli import main
from framework.many_runs import execution
from framework.many_runs.execution import Execution
from framework.many_runs.sweep import Sweep, sweep
from tests.conftest import ROOT

SCENARIO = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
INCIDENT = ROOT / "examples" / "incident" / "scenario.toml"
CAPITALS = "capital_usd=" + ",".join(str(1_000 + step) for step in range(128))
CHECK = "the first of each kind, as a check"
WHY = "the scenario has incidents"


@pytest.fixture(autouse=True)
def _nothing_kept(tmp_path, monkeypatch):
    """No tape from before: how many cells are simulated depends on it."""
    monkeypatch.setenv("CARRYBOOK_CACHE_DIR", str(tmp_path / "cache"))


def command(capsys, name, scenario, *options):
    """What a command prints for a grid of 128 capitals, on one line."""
    with pytest.raises(SystemExit) as exit_:
        main([name, str(scenario), "--grid", CAPITALS, *map(str, options)])
    said = capsys.readouterr()
    assert (exit_.value.code or 0, said.err) == (0, "")
    return " ".join(said.out.split())


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_sweep_says_how_many_of_its_cells_were_played(jobs, capsys, tmp_path):
    """All but the first two of each process; started again, it runs none, and says no more of it."""
    options = ("--jobs", jobs, "--out", tmp_path)
    told = command(capsys, "sweep", SCENARIO, *options)
    found = re.search(rf"128 cells, 0 failed, 128 run now: (\d+) played, (\d+) simulated \({CHECK}\); the", told)
    assert found
    played, simulated = map(int, found.groups())
    assert played + simulated == 128
    assert 2 <= simulated <= 2 * jobs
    assert "128 cells, 0 failed, 0 run now; the first" in command(capsys, "sweep", SCENARIO, *options)
    counts = json.loads(command(capsys, "sweep", SCENARIO, *options, "--json"))
    assert (counts["ran"], counts["played"], counts["simulated"]) == (0, 0, 0)


def test_paths_and_choices_say_it_too(capsys, tmp_path):
    """A choice also of the fresh paths, on which there may be too few cells to be played."""
    options = ("--paths", 1, "--block-rows", 20, "--jobs", 1, "--out", tmp_path)
    told = command(capsys, "paths", SCENARIO, *options)
    assert f"128 runs, 0 failed, 128 run now: 126 played, 2 simulated ({CHECK}) Paths" in told
    told = command(capsys, "choose", SCENARIO, *options)
    assert re.search(r"128 runs, 0 failed, 0 run now; on fresh paths [12] runs?, 0 failed, [12] run now Paths", told)
    assert "The first 40 of 128 cells. On the data" in told
    choice = json.loads(command(capsys, "choose", SCENARIO, *options, "--seed", 1, "--json"))
    fresh = choice["fresh"]
    assert (choice["ran"], choice["played"], choice["simulated"]) == (128, 128, 0)  # from the tape that was kept
    assert (fresh["played"], fresh["simulated"]) == (0, fresh["ran"])


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_sweep_says_why_its_cells_are_simulated(jobs, capsys, tmp_path):
    """Cells that could be played if they were others."""
    told = command(capsys, "sweep", INCIDENT, "--jobs", jobs, "--out", tmp_path)
    assert f"128 cells, 0 failed, 128 run now: 0 played, 128 simulated ({WHY}); the first" in told


def test_where_nothing_is_played_nothing_is_said_of_it(tmp_path, monkeypatch):
    """There are too few cells, or there is no player; the bar alone tells which extra it is in."""
    few = sweep(Sweep.of(INCIDENT, ["capital_usd=1000,2000"]), tmp_path, jobs=1)
    assert (few.words(), few.why) == ("2 cells, 0 failed, 2 run now", "")
    monkeypatch.setattr(execution, "find_spec", lambda _: None)
    told = []
    without = sweep(Sweep.of(SCENARIO, [CAPITALS]), tmp_path, 1, lambda *each: told.append(each))
    assert without.words() == "128 cells, 0 failed, 128 run now"
    assert without.counts == {"ran": 128, "played": 0, "simulated": 128}
    assert (told[0], told[-1]) == ((0, ""), (128, "the extra `fast` is not installed"))


@frozen(kw_only=True)
class Asking(Strategy):
    """A strategy that asks in every row for what is not played."""

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield Open("hyperliquid", Side.SHORT, 1.0, view.cash_usd)

    def on_event(self, event, view):
        if isinstance(event, ConditionMet) and view.outcome:
            yield Resize("hyperliquid", 0.5)


def test_a_run_that_breaks_off_says_why():
    """What only shows while it is played: it ends that of its own run, or of all of its kind."""
    assembly = evolve(assemble(Scenario.load(SCENARIO)), strategy=Asking())
    runs, before = Execution(execution.WORTH_CELLS), Execution(1)
    for _ in range(3):
        assert runs.run(assembly).ledger.digest == before.run(assembly).ledger.digest
    played, told = runs.counted()
    assert played == 0
    assert "what became of an earlier order" in told
    assert before.counted() == (0, "")


@frozen(kw_only=True)
class Choosy(Strategy):
    """A strategy that cannot say what it waits for where its size is 3."""

    size: float

    def conditions(self):
        assert self.size != 3, "three is too many"
        return ()

    def on_start(self, view):
        yield Open("hyperliquid", Side.SHORT, self.size, view.cash_usd)

    def on_event(self, event, view):
        return ()


@pytest.mark.parametrize("rows", [1, 410 * 3, 2**20])
def test_a_cell_that_cannot_be_run_leaves_the_others_alone(monkeypatch, rows):
    """However many are played in one go: each has the outcome, or the error, that it has by itself."""
    monkeypatch.setattr(execution, "ROWS_AT_ONCE", rows)
    assembly = assemble(Scenario.load(SCENARIO))
    cells = [(evolve(assembly, strategy=Choosy(size=float(size))), assembly.market) for size in range(1, 9)]
    runs = Execution(execution.WORTH_CELLS)
    for _ in range(2):
        found = runs.outcomes(cells)
        alone = [each for cell in cells for each in Execution(1).outcomes([cell])]
        assert [str(each) for each in found] == [str(each) for each in alone]
        assert [isinstance(each, Exception) for each in found] == [size == 3 for size in range(1, 9)]
        assert "three is too many" in str(found[2])
    assert runs.counted() == (12, "")


def test_runs_are_counted_once():
    """A second count has none of the first; each thread counts the runs that it made."""
    runs, assembly = Execution(execution.WORTH_CELLS), assemble(Scenario.load(SCENARIO))
    for _ in range(5):
        runs.run(assembly)
    assert [runs.counted(), runs.counted()] == [(3, ""), (0, "")]


@pytest.mark.slow
def test_a_terminal_shows_above_the_bar_why_cells_are_simulated(tmp_path):
    """Once, on a line of its own, so that 80 columns have room for the bar."""
    shown, stderr = pty.openpty()
    words = [sys.executable, "-m", "framework.command_line.cli", "sweep", str(INCIDENT), "--grid", CAPITALS]
    environment = os.environ | {"COLUMNS": "80", "TERM": "xterm"}
    with subprocess.Popen(
        [*words, "--jobs", "1", "--out", str(tmp_path)], stdout=subprocess.DEVNULL, stderr=stderr, env=environment
    ) as process:
        os.close(stderr)
        told = b""
        try:
            while part := os.read(shown, 4096):
                told += part
        except OSError:  # the other end is closed
            pass
        os.close(shown)
    assert process.returncode == 0
    lines = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", told.decode()).replace("\r", "\n").splitlines()
    assert lines.count(f"Cells are simulated, not played: {WHY}") == 1
    assert any(re.fullmatch(r"cells ━+ +100% [\d:]+ *", line) for line in lines)
