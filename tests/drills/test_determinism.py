"""One result: whatever the locale, time zone, seed of hashes, threads, working directory, Python and libraries."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.drill]
SCENARIO = (
    (ROOT / "examples" / "capital_rebalance" / "scenario.toml")
    .read_text()
    .replace('name = "capital_rebalance"', 'name = "Umschichtung für 资本"')
)
PLACES = {
    "plain": {},
    "elsewhere": {
        "LC_ALL": "de_DE.ISO-8859-1", "LANG": "de_DE.ISO-8859-1", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
        "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1",
    },
}  # fmt: skip


def test_a_run_gives_the_same_everywhere(tmp_path) -> None:
    """Name of the run, ledger and summary, of a scenario whose name is no ASCII."""
    found = []
    for place, settings in PLACES.items():
        home = tmp_path / place
        home.mkdir()
        (home / "own.toml").write_text(SCENARIO, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "framework.command_line.cli", "run", "own.toml", "--json"],
            cwd=home,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | settings,
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]
    assert found[0]["scenario"] == "Umschichtung für 资本"


VERSIONS = """
import sys, framework.command_line.commands
from importlib.metadata import version
libraries = "numpy", "pandas", "pyarrow", "attrs", "cattrs", "simpy"
print(sys.version.split()[0], *(f"{each} {version(each)}" for each in libraries))
"""
CANDIDATES = [f"python3.{minor}" for minor in range(11, 16)]


def output(python: str | Path, *arguments: object) -> str | None:
    """What an interpreter prints with this project's code before its packages; None where it cannot."""
    command = [str(python), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout


def others() -> dict[str, str]:
    """The interpreters of other versions, of Python or of libraries, that have what a run needs, by their versions.

    Those of `CARRYBOOK_PYTHONS`, of the sessions of `nox`, and those that have names of their own.
    """
    named = [each for each in os.environ.get("CARRYBOOK_PYTHONS", "").split(os.pathsep) if each]
    made = sorted(ROOT.glob(".nox/*/bin/python"))
    found = {output(each, "-c", VERSIONS): str(each) for each in (*named, *made, *filter(shutil.which, CANDIDATES))}
    own = output(sys.executable, "-c", VERSIONS)
    return {versions: each for versions, each in found.items() if versions not in (None, own)}


def test_a_run_gives_the_same_on_other_versions(tmp_path, capsys) -> None:
    """Every figure, and the digest of the ledger; only the name of a run says which versions made it."""
    there = others()
    if not there:
        pytest.skip(
            "needs another Python with the packages of the project: `nox -s lowest pythons`, or CARRYBOOK_PYTHONS"
        )
    for example in ("capital_rebalance", "euss", "robust_trigger"):
        command = "-m", "framework.command_line.cli", "run", f"examples/{example}/scenario.toml", "--json", "--out"
        found = {}
        for number, python in enumerate((sys.executable, *there.values())):
            printed = output(python, *command, tmp_path / str(number))
            assert printed, python
            found[python] = json.loads(printed)
            del found[python]["run"]
        assert [python for python, each in found.items() if each != found[sys.executable]] == []
    with capsys.disabled():
        sys.stdout.write("\nthe same on " + "and on ".join(there))
