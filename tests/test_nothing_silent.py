"""A result is never silently that of other code, other files or other rules."""

import json
import shutil
import sys

import pytest

from framework import Scenario, assemble
from framework.many_runs.sweep import Sweep
from framework.run_folder.archive import identity
from framework.support.source_code import files_digest, project_digest
from tests.commands import carrybook
from tests.runs import ROOT

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
STRATEGY = """
from attrs import frozen
from framework import Ended, Strategy, Swap
from HELPERS.sizes import SHARE


@frozen(kw_only=True)
class Own(Strategy):
    def on_start(self, view):
        from HELPERS import later
        yield Swap("spot", "USDC", "SOL", view.cash_usd * SHARE * later.FACTOR)

    def on_event(self, event, view):
        return ()
"""


@pytest.fixture
def own(tmp_path, monkeypatch, request):
    """A scenario with a strategy that takes a constant from a user's own package; no other test has these names."""
    stem = request.node.name.partition("[")[0][-40:]
    helpers, module = f"help_{stem}", f"own_{stem}"
    folder = tmp_path / helpers
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "sizes.py").write_text("from .deep import SHARE\n")
    (folder / "deep.py").write_text("SHARE = 0.5\n")
    (folder / "later.py").write_text("FACTOR = 1.0\n")
    (folder / "unused.py").write_text("NOTHING = 0\n")
    (tmp_path / f"{module}.py").write_text(STRATEGY.replace("HELPERS", helpers))
    path = tmp_path / "own.toml"
    path.write_text(SCENARIO.replace("MODULE", module))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield path, folder
    for name in [each for each in sys.modules if each.startswith((helpers, module))]:
        del sys.modules[name]


@pytest.mark.parametrize("file", ["sizes.py", "deep.py", "later.py", "__init__.py"])
def test_an_edited_module_that_a_strategy_imports_is_another_run_and_another_sweep(own, file):
    """Also one that gives a mere number, that is imported by an import, or only within a function."""
    path, folder = own
    plan = Sweep.of(path, ["capital_usd=1000,2000"])
    before = identity(assemble(Scenario.load(path))), plan.check()
    assert before == (identity(assemble(Scenario.load(path))), plan.check())
    (folder / "unused.py").write_text("NOTHING = 1\n")
    assert before == (identity(assemble(Scenario.load(path))), plan.check())
    (folder / file).write_text((folder / file).read_text() + "# edited\n")
    after = identity(assemble(Scenario.load(path))), plan.check()
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_the_modules_behind_a_run_do_not_depend_on_what_a_process_has_imported(own):
    """Before a lazily imported module is loaded, and after; installed packages and this project are not among them."""
    path, folder = own
    assembly = assemble(Scenario.load(path))
    before = assembly.own_code()
    assembly.simulation().run()
    assert f"{folder.name}.later" in sys.modules
    assert assembly.own_code() == before
    ends = sorted(name.removeprefix(folder.name) for name in before)
    assert ends[:4] == ["", ".deep", ".later", ".sizes"]
    assert len(ends) == 5


def test_an_edited_file_of_the_project_is_another_run_and_another_sweep(monkeypatch, tmp_path):
    """The digest is over every file that is installed, cached in a process; an edit of any of them changes it."""
    for package in ("framework", "strategies", "venues"):
        shutil.copytree(ROOT / package, tmp_path / package)
    places = [tmp_path / each for each in ("framework", "strategies", "venues")]
    assert files_digest(places) == project_digest()
    for file in ("strategies/pair.py", "venues/perpetual.py", "venues/rules/drift.toml", "framework/data/alignment.py"):
        before = files_digest(places)
        (tmp_path / file).write_text((tmp_path / file).read_text() + "# edited\n")
        assert files_digest(places) != before
    scenario = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
    plan = Sweep.of(scenario, ["strategy.leverage=2,3"])
    before = identity(assemble(Scenario.load(scenario))), plan.check()
    monkeypatch.setattr("framework.run_folder.archive.project_digest", lambda: "other")
    monkeypatch.setattr("framework.many_runs.sweep.project_digest", lambda: "other")
    after = identity(assemble(Scenario.load(scenario))), plan.check()
    assert before[0] != after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize("spoilt", ["ledger.parquet", "summary.json", "manifest.json"])
def test_a_run_does_not_overwrite_a_folder_of_other_content(capsys, tmp_path, spoilt):
    """One line, and what was there is left as it was; the same content is no reason to complain."""
    command = ("run", ROOT / "examples" / "static" / "scenario.toml", "--out", tmp_path, "--json")
    assert carrybook(capsys, *command)[0] == carrybook(capsys, *command)[0] == 0
    (folder,) = tmp_path.iterdir()
    (folder / spoilt).write_text("{}")
    code, _, said = carrybook(capsys, *command)
    assert (code, said.count("\n")) == (2, 1)
    assert "is left as it is; expected another --out" in said
    assert (folder / spoilt).read_text() == "{}"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_strategy_that_throws_dice_does_not_overwrite_its_last_result(capsys, tmp_path, monkeypatch):
    """Two results under one name: the second is refused, whatever it depends on beside its code."""
    module = tmp_path / "own_with_a_file.py"
    module.write_text(
        STRATEGY.replace("from HELPERS.sizes import SHARE", "from pathlib import Path")
        .replace("        from HELPERS import later\n", "")
        .replace("SHARE * later.FACTOR", f"float(Path({str(tmp_path / 'share')!r}).read_text())")
    )
    (tmp_path / "own.toml").write_text(SCENARIO.replace("MODULE", "own_with_a_file"))
    monkeypatch.syspath_prepend(str(tmp_path))
    command = ("run", tmp_path / "own.toml", "--out", tmp_path / "runs", "--json")
    (tmp_path / "share").write_text("0.5")
    _, printed, _ = carrybook(capsys, *command)
    (tmp_path / "share").write_text("0.25")
    code, _, said = carrybook(capsys, *command)
    assert (code, "its ledger differs" in said) == (2, True)
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "summary.json").read_text())["ledger_digest"] == json.loads(printed)["ledger_digest"]
