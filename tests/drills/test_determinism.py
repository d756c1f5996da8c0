"""One result: whatever the locale, the time zone, the seed of hashes, the threads and the working directory."""

import json
import os
import subprocess
import sys

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
