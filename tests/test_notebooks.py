"""The notebooks run from their first cell to their last, and show what their text says."""

import importlib.util

import pytest

from tests.runs import ROOT

NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.py"))


def played(name):
    """What the cells of a notebook define."""
    path = ROOT / "docs/notebooks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _, defined = module.app.run()
    return defined


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == [
        "auditing_a_surprising_number", "first_steps", "from_a_run_to_a_decision",
    ]  # fmt: skip


@pytest.mark.slow
def test_first_steps():
    """Its buckets sum to the result, and less leverage makes another run."""
    found = played("first_steps")
    assert found["steps"]["unexplained"] == 0
    returns = {name: run.frames.summary["return_pct"] for name, run in found["runs"].items()}
    assert returns["2x"] != returns["3x"]


@pytest.mark.slow
def test_from_a_run_to_a_decision():
    """Its best cell is the best of all, and its table of liquidations counts every cell."""
    found = played("from_a_run_to_a_decision")
    assert found["best"].return_pct == found["cells"].return_pct.max()
    assert found["spread"]["count"].sum() == len(found["cells"]) == 8


@pytest.mark.slow
def test_auditing_a_surprising_number():
    """The tree sums to the figure, the origin names a file and row, and every check passes."""
    found = played("auditing_a_surprising_number")
    assert float(found["tree"].usd.iloc[0]) == pytest.approx(found["penalty_usd"], abs=1e-9)
    assert "sol_daily.csv:" in found["origin"]
    assert set(found["results"].values()) == {"passed"}
