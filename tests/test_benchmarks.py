"""The benchmarks work: each on tiny inputs, without a word about how long it takes."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks import inputs
from benchmarks.figures import Figure, medians
from benchmarks.long_ledger import SMALLER, STEPS, one
from benchmarks.plain_loop import capital_rebalance
from benchmarks.table import BENCHMARKS
from tests.conftest import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_yields_figures(name):
    """Each figure has a name of its own and a value, or says why there is none."""
    found = list(BENCHMARKS[name](tiny=True))
    assert len({figure.name for figure in found}) == len(found) > 0
    for figure in found:
        assert figure.words if figure.value is None else figure.value > 0
        assert all(isinstance(cell, str) for cell in figure.cells())


def test_the_table_is_printed():
    """`python -m benchmarks NAME --tiny` prints the figures of one benchmark."""
    command = [sys.executable, "-m", "benchmarks", "memory", "--tiny"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "ledger as Parquet" in done.stdout


@pytest.mark.parametrize("steps", [STEPS, SMALLER], ids=["whole", "smaller"])
def test_the_long_ledger_goes_through_its_steps(steps, tmp_path, capsys):
    """Running, saving, loading, auditing and exporting a few thousand transfers."""
    for step in ("", *steps):
        one(9_000, tmp_path, step)
    printed = capsys.readouterr().out
    assert all(step in printed for step in ("run, written out", "saving", *steps) if step != "check by check")


@pytest.mark.parametrize(
    ("figure", "met", "cells"),
    [
        (Figure(name="a", value=1.5, target=1.5), True, ("a", "1.5 x", "1.5 or less", "yes", "")),
        (Figure(name="a", value=1.51, target=1.5), False, ("a", "1.51 x", "1.5 or less", "no", "")),
        (Figure(name="a", value=5e6, unit="rows/s", target=1e5, at_least=True), True, None),
        (Figure(name="a", value=9e4, unit="rows/s", target=1e5, at_least=True), False, None),
        (Figure(name="a", value=2.0), None, ("a", "2 x", "", "", "")),
        (Figure(name="a", words="absent"), None, ("a", "", "", "", "absent")),
    ],
)
def test_a_target_is_met_or_not(figure, met, cells):
    """At most or at least so much; without target or value there is nothing to meet."""
    assert figure.met is met
    assert cells in (None, figure.cells())


def test_actions_are_taken_in_turn():
    """So that whatever slows the machine down slows all of them."""
    done = []
    found = medians(3, {"a": lambda: done.append("a"), "b": lambda: done.append("b")})
    assert done == ["a", "b"] * 3
    assert found.keys() == {"a", "b"}


def test_hours_are_the_days_cut_in_24():
    """Each day's funding is shared out, yearly rates stay, and the last hour closes with the market's last day."""
    days = inputs.daily().market
    hours = inputs.by_the_hour(days)
    assert len(hours) == 24 * len(days)
    assert hours.at_ns[-1] == days.at_ns[-1]
    name = "hyperliquid_funding_rate"
    assert np.allclose(hours[name].reshape(-1, 24).sum(axis=1), days[name], rtol=1e-12, atol=0)
    assert np.array_equal(hours["sol_lending_apy"][::24], days["sol_lending_apy"])


def test_the_compiled_loop_is_the_plain_one():
    """The floor follows the same rules: the same end and the same curve."""
    pytest.importorskip("numba", reason="needs Numba: pip install '.[bench]'")
    from benchmarks import numba_loop

    market = inputs.daily().market
    settings = {"capital": 10_000.0, "leverage": 4.0, "trigger": 6.0}
    plain = capital_rebalance(inputs.plain_rows(market), **settings)
    final, curve = numba_loop.capital_rebalance(*numba_loop.columns_of(market), 365.0, *settings.values())
    assert plain.liquidations > 0
    assert plain.rebalances > 0
    assert final == pytest.approx(plain.final, rel=1e-12)
    assert curve == pytest.approx(plain.equity, rel=1e-12)
