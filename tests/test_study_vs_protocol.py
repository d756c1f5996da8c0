"""The study against the protocols: the same figures under the study's rules, and what each real rule makes of them."""

import csv

import pandas as pd
import pytest
from click.testing import CliRunner

from examples.study_vs_protocol.compare import STUDY, Cell, Markets, bridge, bridge_frame, conclusions, main
from tests.conftest import ROOT
from tests.runs import DATA, there

EMBEDDED = Markets.load(None)


@pytest.fixture(scope="module")
def real():
    """The study's own data, with the hours of a spot market."""
    there(DATA / "market", "the hours of a spot market")
    there(DATA / "study", "the study's data files")
    return Markets.load(DATA)


@pytest.mark.slow
def test_the_example_prints_its_expected_output(tmp_path):
    """After a wanted change: `python examples/study_vs_protocol/compare.py > .../expected.txt`."""
    done = CliRunner().invoke(main, ["--frame", str(tmp_path / "bridge.csv")])
    assert done.output == (ROOT / "examples" / "study_vs_protocol" / "expected.txt").read_text()
    frame = pd.read_csv(tmp_path / "bridge.csv")
    assert frame["change_pct"].sum() == pytest.approx(frame["yearly_pct"].iloc[-1] - frame["yearly_pct"].iloc[0])


def test_every_rule_of_the_study_is_given_up_once():
    """Nothing of the study is left under the protocols' rules, and no step ends what is not there."""
    assert Cell(EMBEDDED).scenario(len(EMBEDDED.steps)).venues == {"asgard": {}, "hyperliquid": {}}
    ended = [key for step in EMBEDDED.steps for key in step.ends if key in STUDY]
    assert sorted(ended) == sorted(STUDY)


@pytest.mark.slow
def test_the_protocols_venues_have_the_studys_figures_under_its_rules(real, reference):
    """All nine cells, and those of the trigger sweep, to the cent."""
    with (reference / "capital_rebalance.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["venue"], row["asgard_fee_bps"]) == ("hyperliquid", "15")]
    assert len(rows) >= 9
    for row in rows:
        trigger = row["trigger"] if row["trigger"] == "never" else float(row["trigger"])
        figures = Cell(real, float(row["capital_usd"]), float(row["leverage"]), trigger).study()
        assert figures.yearly_pct == pytest.approx(float(row["annualized_return_pct"]), abs=1e-3), row
        assert figures.liquidations == int(row["liquidations"])


@pytest.mark.slow
def test_a_trigger_beyond_the_lenders_line_is_liquidated_where_the_study_saw_nothing(real):
    """Nine breaches at 2x and 5x on the line of 75 %, and a loss that is charged turns Drift at 4x around."""
    cell = Cell(real, leverage=2.0, trigger=5.0)
    assert cell.study().liquidations == 0
    assert cell.figures(1).liquidations == 9
    (drift,) = [row for row in conclusions(real).rows if "Drift" in row[0]]
    assert drift[1:] == ("+2.3 %", "-10.5 %", "no")


def test_four_times_cannot_be_opened():
    """Kamino lends up to 74 %: with 75 % as the line 4x is refused before anything runs."""
    assert Cell(EMBEDDED, leverage=4.0, trigger=8.0).protocol().told == "not opened"


@pytest.mark.slow
def test_the_bridge_leads_from_one_figure_to_the_other():
    """Each bar begins where the one before it ended, and the frame has the same figures."""
    cell = Cell(EMBEDDED, leverage=2.0, trigger=5.0)
    frame, grid = bridge_frame(cell), bridge(cell)
    assert [row[1] for row in grid.rows] == [f"{each:+.2f}" for each in frame["yearly_pct"]]
    assert frame["yearly_pct"].iloc[0] == pytest.approx(cell.study().yearly_pct)
    assert frame["yearly_pct"].iloc[-1] == pytest.approx(cell.protocol().yearly_pct)
    assert {len(row) for row in grid.rows} == {5}
    assert "Hourly rows" in grid.note
