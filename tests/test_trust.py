"""The audit of somebody else's run imports none of the code that came with it, unless it is run with `--trust`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from framework.support.source_code import is_known
from tests.commands import carrybook
from tests.runs import ROOT
from tests.test_found_again import SCENARIO, STRATEGY

EVIL = """
from pathlib import Path
Path(__file__).with_name("owned").touch()
raise SystemExit(0)
"""


@pytest.fixture(autouse=True)
def path_as_it_was(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def sent(capsys, tmp_path, monkeypatch, request) -> tuple[Path, Path, str]:
    """A run of a strategy beside its scenario as another process finds it: its folder, the module's file and name."""
    module = f"sent_{abs(hash(request.node.name))}"
    file = tmp_path / f"{module}.py"
    file.write_text(STRATEGY)
    (tmp_path / "own.toml").write_text(SCENARIO.replace("MODULE", module))
    monkeypatch.chdir(tmp_path)
    assert carrybook(capsys, "run", "own.toml")[0] == 0
    monkeypatch.setattr(sys, "path", [each for each in sys.path if str(tmp_path) not in each])
    monkeypatch.delitem(sys.modules, module)
    (folder,) = (tmp_path / "runs").iterdir()
    return folder, file, module


def outcomes(printed: str) -> dict[str, tuple[str, str]]:
    return {each["check"]: (each["outcome"], each["not_made"]) for each in json.loads(printed)}


def test_code_that_came_with_a_run_is_not_imported(capsys, sent) -> None:
    """Whatever it would do, the cheap checks are made, the thorough ones say why they are not, and the code is 1."""
    folder, file, module = sent
    file.write_text(EVIL)
    code, printed, _ = carrybook(capsys, "audit", folder, "--thorough", "--json")
    found = outcomes(printed)
    assert code == 1
    assert found["chain"] == ("passed", None)
    assert found["again: run"][0] == "not made"
    assert f"strategy.class: module '{module}' is neither installed nor of this project" in found["again: run"][1]
    assert "expected --trust" in found["again: run"][1]
    assert not file.with_name("owned").exists()
    assert module not in sys.modules
    assert not any(str(file.parent) in each for each in sys.path)


def test_trusted_code_is_imported_where_it_is_that_of_the_run(capsys, sent) -> None:
    folder, _, _ = sent
    code, printed, _ = carrybook(capsys, "audit", folder, "--thorough", "--trust", "--json")
    assert {outcome for outcome, _ in outcomes(printed).values()} == {"passed"}
    assert code == 0


def test_other_code_than_that_of_the_run_is_not_imported_either(capsys, sent) -> None:
    """Its digest is compared before anything of it runs."""
    folder, file, module = sent
    file.write_text(EVIL)
    code, printed, _ = carrybook(capsys, "audit", folder, "--thorough", "--trust", "--json")
    assert (code, outcomes(printed)["again: run"]) == (
        1,
        ("not made", f"module {module} is not the file that the run was made with, so its code is not run"),
    )
    assert not file.with_name("owned").exists()


def test_trusted_code_that_ends_the_program_does_not_end_the_audit(capsys, sent) -> None:
    """A forger who has put its digest into the manifest: the table is printed, and the exit code is no pass."""
    folder, file, module = sent
    manifest = json.loads((folder / "manifest.json").read_text())
    file.write_text(EVIL)
    from framework.support.source_code import own_modules

    sys.path.append(str(file.parent))
    manifest["code"] = own_modules([module])
    (folder / "manifest.json").write_text(json.dumps(manifest))
    code, printed, _ = carrybook(capsys, "audit", folder, "--thorough", "--trust", "--json")
    assert code == 1
    assert "cannot be imported: it ends the program (0)" in outcomes(printed)["again: run"][1]
    assert file.with_name("owned").exists()


def test_a_strategy_that_ends_the_program_ends_in_a_line(capsys, tmp_path, monkeypatch) -> None:
    (tmp_path / "ends_itself.py").write_text(STRATEGY.replace("yield Swap", "raise SystemExit(0)\n        yield Swap"))
    (tmp_path / "own.toml").write_text(SCENARIO.replace("MODULE", "ends_itself"))
    monkeypatch.chdir(tmp_path)
    code, printed, said = carrybook(capsys, "run", "own.toml")
    assert (code, printed, said.count("\n")) == (2, "", 1)
    assert "ends_itself.py, line 9, in on_start" in said
    assert not (tmp_path / "runs").exists()


def test_a_directory_that_is_called_like_that_of_packages_is_none(tmp_path, monkeypatch) -> None:
    place = tmp_path / "site-packages"
    place.mkdir()
    (place / "sent_package.py").write_text(EVIL)
    monkeypatch.syspath_prepend(str(place))
    assert not is_known("sent_package")
    assert not is_known("nowhere_at_all")
    (place / "outer" / "inner").mkdir(parents=True)
    (place / "outer" / "inner" / "idea.py").write_text(EVIL)
    assert not is_known("outer.inner.idea")
    assert is_known("click")
    assert is_known("venues.spot")
    assert not (place / "owned").exists()


@pytest.mark.slow
def test_a_module_of_the_folder_stands_in_for_no_missing_library(sent) -> None:
    """Nor where the audit is started in the folder that was sent."""
    folder, file, _ = sent
    for library in ("duckdb", "numba", "distributed", "pandas"):
        file.with_name(f"{library}.py").write_text(EVIL)
    script = "import sys; sys.path.pop(0); from framework.command_line.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", script, "audit", str(folder), "--thorough"],
        cwd=file.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "not made" in done.stdout
    assert not file.with_name("owned").exists()
