"""The study against the protocols: the same figures under the study's rules, and what each real rule makes of them."""

import csv

import pandas as pd
import pytest
from click.testing import CliRunner

from examples.study.study import Study
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


@pytest.mark.parametrize("short", STUDY)
def test_every_rule_of_the_study_is_given_up_once(short):
    """Nothing of the study is left under the protocols' rules, and no step ends what is not there."""
    assert Cell(EMBEDDED, short=short).scenario(len(EMBEDDED.steps)).venues == {"asgard": {}, short: {}}
    ended = [key for step in EMBEDDED.steps for key in step.ends]
    assert sorted(key for key in ended if key in STUDY[short]) == sorted(STUDY[short])
    assert len(set(ended)) == len(ended)


@pytest.mark.slow
@pytest.mark.parametrize("short", STUDY)
def test_the_protocols_venues_have_the_studys_figures_under_its_rules(short, real, reference):
    """All nine cells, and those of the trigger sweep, to the cent."""
    with (reference / "capital_rebalance.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["venue"], row["asgard_fee_bps"]) == (short, "15")]
    assert len(rows) >= 9
    for row in rows:
        trigger = row["trigger"] if row["trigger"] == "never" else float(row["trigger"])
        figures = Cell(real, float(row["capital_usd"]), float(row["leverage"]), trigger, short).study()
        assert figures.yearly_pct == pytest.approx(float(row["annualized_return_pct"]), abs=1e-3), row
        assert figures.liquidations == int(row["liquidations"])


def breaches(table, leverage, trigger, line):
    """The study's engine in floats, as its rules are written down: the capital after each day on which a line is met.

    The long's line is a loan-to-value, the short's a margin of 5 %. Nothing stops it once the capital is gone.
    """
    close, low, high = table["close"], table["low"], table["high"]
    lending, borrowing, funding = (
        table[name] for name in ("sol_lending_apy", "usdc_borrowing_apy", "hyperliquid_funding_rate")
    )

    def opened(half, price):
        """Size, debt, entry and margin of two legs of half the capital each."""
        return half * leverage / price, half * (leverage - 1), price, half

    coins, debt, entry, margin = opened(5_000.0, close[0])
    contracts, fees = coins, 5_000.0 * leverage * 0.00185 + 2
    debt, margin, found = debt + fees / 2, margin - fees / 2, []
    for day in range(len(table)):
        coins *= 1 + lending[day] / 365
        debt *= 1 + borrowing[day] / 365
        margin += funding[day] * contracts * close[day]
        met = (
            coins * low[day] - debt <= (1 - line) * coins * low[day],
            margin + contracts * (entry - high[day]) <= 0.05 * contracts * high[day],
        )
        legs = [coins * close[day] - debt, margin + contracts * (entry - close[day])]
        if any(met):
            left = sum(max(0.0, leg / 2 if hit else leg) for leg, hit in zip(legs, met, strict=True))
            capital = left - left / 2 * leverage * 0.00185 - contracts * close[day] * 0.00035 - 2
            coins, debt, entry, margin = opened(capital / 2, close[day])
            contracts = coins
            found.append(capital)
        elif max(size * close[day] / leg for size, leg in zip((coins, contracts), legs, strict=True)) > trigger:
            moved = (legs[0] - legs[1]) / 2
            if abs(moved) > 5:
                debt, margin = debt + moved + 1.5, margin + moved - 1.5
    return found


@pytest.mark.parametrize(
    ("leverage", "trigger", "line", "counted", "real_ones"),
    [
        (2.0, 5.0, 0.95, 0, 0), (2.0, 5.0, 0.75, 9, 9), (2.0, 5.0, 0.8, 5, 5),
        (3.0, 6.0, 0.95, 1, 1), (3.0, 6.0, 0.75, 117, 33), (3.0, 6.0, 0.8, 22, 22),
    ],
)  # fmt: skip
def test_a_trigger_beyond_the_lenders_line_meets_it_where_the_study_saw_nothing(
    leverage, trigger, line, counted, real_ones, real
):
    """The published counts come out of the study's engine; ours are the same until the capital pays no gas any more.

    Of 117 days 84 are those of an account without money, whose equity of 0 is not above its margin of 0.
    """
    table = real.by_name["daily"]
    found = breaches(table, leverage, trigger, line)
    before = [10_000.0, *found][: len(found)]
    assert (len(found), sum(capital > 0 for capital in before)) == (counted, real_ones)
    study = Study(DATA / "study").rebalance(
        "hyperliquid", leverage, trigger, {"venues.asgard.maintenance_margin": 1 - line}
    )
    assert study.metrics["liquidations"] == sum(capital > 2 for capital in before)


@pytest.mark.slow
def test_a_loss_that_is_charged_turns_drift_at_4x_around(real):
    """From +2.3 % with what is missing forgiven to -10.5 % a year."""
    (drift,) = [row for row in conclusions(real).rows if row[0].startswith("4x on Drift")]
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
