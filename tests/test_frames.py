"""Runs as frames for people: from the capital to the final equity, the same in memory and from a folder."""

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from framework import Scenario, assemble
from framework.performance import summarize
from framework.reports.frames import Frames
from framework.run_folder.archive import save
from tests.runs import ROOT

EXAMPLES = ("capital_rebalance", "uss", "portfolio")


@pytest.fixture(scope="module", params=EXAMPLES)
def both(request, tmp_path_factory):
    """A run in memory, and its frames from its folder."""
    assembly = assemble(Scenario.load(ROOT / "examples" / request.param / "scenario.toml"))
    run = assembly.simulation().run()
    return run, Frames.load(save(assembly, run, summarize(assembly, run), tmp_path_factory.mktemp("frames")))


@pytest.mark.parametrize("name", ["equity", "positions", "events", "fills", "ledger"])
def test_frames_in_memory_and_from_a_folder_are_the_same(both, name):
    """Names, types, index and every value; times are UTC."""
    run, loaded = both
    mine, theirs = getattr(run.frames, name)(), getattr(loaded, name)()
    assert_frame_equal(mine, theirs)
    assert len(mine)
    assert str(mine.index.tz) == "UTC"
    assert mine.index.is_monotonic_increasing


def test_equity_goes_from_the_capital_to_the_final_equity(both):
    """The parts sum to the whole in every row."""
    run, loaded = both
    frame = run.equity()
    assert (frame.moment.iloc[0], frame.moment.iloc[-1]) == ("start", "end")
    assert frame.equity_usd.iloc[0] == run.capital / 1e6
    assert frame.equity_usd.iloc[-1] == loaded.summary["final_equity_usd"]
    parts = frame.drop(columns=["moment", "equity_usd"]).sum(axis="columns")
    assert np.allclose(parts, frame.equity_usd, rtol=1e-12)


def test_positions_are_those_of_the_curve(both):
    """A row for each of the market; distances are of the close."""
    run, _ = both
    frame = run.frames.positions()
    assert len(frame) == len(run.market)
    assert np.array_equal(frame.net_size, run.curve.net_size)
    for venue, leverage in run.curve.leverage_by_venue.items():
        assert np.array_equal(frame[f"{venue}_leverage"].fillna(np.inf), leverage)
    for (venue, _), distance in run.liquidation_distances.items():
        name = f"{venue}_liquidation_distance_pct"
        if name in frame:
            assert np.allclose(frame[name], distance * 100, equal_nan=True)
    if len(run.curve.delta_by_coin) == 1:
        assert any(name.endswith("distance_pct") for name in frame)


def test_fills_and_ledger_are_in_whole_units(both):
    """Fees of the fills are those of the events; each asset sums to what went through it."""
    run, _ = both
    fills, ledger = run.frames.fills(), run.frames.ledger()
    events = [each for each in run.single if each.kind == "OrderFilled"]
    assert list(fills.event) == [each.event for each in events]
    assert fills.fee_usd.sum() == pytest.approx(sum(each.fee for each in events) / 1e6)
    assert fills["size"].iloc[0] == events[0].size / 1e9
    usdc = ledger[ledger.asset == "USDC"]
    assert np.allclose(usdc.units, usdc.amount / 1e6)
    assert list(ledger.seq) == list(range(1, len(run.ledger) + 1))


def test_a_notebook_shows_the_figures_and_runs_nothing(tmp_path):
    """The name of a scenario is text, whatever is in it."""
    scenario = Scenario.load(
        ROOT / "examples/static/scenario.toml", ['name="<script>alert(1)</script>"', "market.end=2025-01-05"]
    )
    assembly = assemble(scenario)
    run = assembly.simulation().run()
    shown = Frames.load(save(assembly, run, summarize(assembly, run), tmp_path))._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert f"{Frames.of(run).summary['final_equity_usd']:,.2f}" in run._repr_html_()
