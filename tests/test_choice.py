"""A choice says who wins in sample, who wins on paths, and how much of it is luck."""

import json
import re
import shlex
import sys

import numpy as np
import pytest
from attrs import evolve

from framework import Scenario, assemble, metrics
from framework.command_line.cli import main
from framework.many_runs.choice import Choice, Constraint, History, Objective, per_year, walk_forward
from framework.many_runs.judgement import Compared, Judgement
from framework.many_runs.outcomes import Outcomes
from framework.many_runs.statistics import NORMAL, deflated_sharpe, mean, moments
from framework.many_runs.sweep import NUMBER, Sweep, sweep
from framework.performance import swept
from tests.commands import carrybook
from tests.conftest import ROOT

SCENARIO = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
GRIDS = ("strategy.leverage=2,4", "strategy.trigger=3,4,never")
DRAWN = ("market.path.method=stationary", "market.path.block_rows=20")


@pytest.fixture(scope="module")
def plan():
    """Six cells, of which one cannot be, on eight paths."""
    return Sweep.of(SCENARIO, GRIDS, DRAWN, paths=8)


@pytest.fixture(scope="module")
def outcomes(plan, tmp_path_factory):
    """What they came to."""
    return Outcomes.of(plan, sweep(plan, tmp_path_factory.mktemp("choice"), jobs=1))


def test_the_winner_on_the_data_has_the_highest_return_there(plan, outcomes):
    """Returns by row and in all are those of the runs on the history; the cell that cannot be is left out."""
    history = History.of(plan, outcomes.errors)
    assert outcomes.errors[3] == "strategy.trigger: 3; expected at least the leverage of 4, or never"
    for at, cell in enumerate(plan.combinations):
        if at == 3:
            assert np.isnan(history.total_pct[at])
            continue
        run = assemble(Scenario.load(SCENARIO, [f"{key}={value}" for key, value in cell.items()])).simulation().run()
        assert np.prod(1 + history.returns[:, at]) - 1 == pytest.approx(history.total_pct[at] / 100)
        assert history.total_pct[at] == pytest.approx(metrics(run)["return_pct"])  # the closing of the end included
        closing_pct = (metrics(run)["final_equity_usd"] / run.curve.equity_usd[-1] - 1) * 100
        assert closing_pct < 0
    choice = Choice.of(plan, outcomes, Objective.of("mean"))
    assert choice.published == np.nanargmax(history.total_pct)
    assert choice.plain()["cells"][3]["error"] == outcomes.errors[3]


@pytest.mark.parametrize("text", ["mean", "growth", "quantile:0.25", "expected_shortfall:0.25"])
def test_the_robust_winner_is_the_best_on_paths_that_is_allowed(plan, outcomes, text):
    """By the definition of each objective, under the constraint."""
    returns = outcomes.figures["return_pct"]
    value = {
        "mean": lambda values: values.mean(),
        "growth": lambda values: 100 * np.log1p(values / 100).mean(),
        "quantile:0.25": lambda values: np.quantile(values, 0.25),
        "expected_shortfall:0.25": lambda values: np.sort(values)[:2].mean(),
    }[text]
    objectives = np.array([value(returns[:, at]) if good else -np.inf for at, good in enumerate(outcomes.good)])
    choice = Choice.of(plan, outcomes, Objective.of(text))
    assert choice.robust == objectives.argmax()
    for at, estimate in choice.estimates.items():
        assert estimate.value == pytest.approx(objectives[at])
    chance = (outcomes.figures["liquidations"] > 0).mean(axis=0)
    limit = sorted(chance[outcomes.good])[1]
    limited = Choice.of(plan, outcomes, Objective.of(text), [Constraint.of(f"liquidation<={limit}")])
    assert limited.robust == np.where(chance <= limit, objectives, -np.inf).argmax()
    assert set(limited.allowed) == set(np.flatnonzero((chance <= limit) & outcomes.good))


def test_on_too_few_paths_no_cell_is_worse_in_the_worst_of_them(plan, outcomes):
    """The worst 5 % of eight paths are a part of one; the worst 25 % are two, which differ from cell to cell."""
    few, enough = (Choice.of(plan, outcomes, Objective.of(f"expected_shortfall:{level}")) for level in (0.05, 0.25))
    assert set(few.told_apart.values()) == {1.0}
    assert {cell["objective_error"] for cell in few.plain()["cells"] if not cell["error"]} == {None}
    assert max(enough.told_apart.values()) < 1


def test_where_no_cell_is_allowed_there_is_no_robust_winner(plan, outcomes):
    """The report says so, and by which limit."""
    choice = Choice.of(plan, outcomes, Objective.of("mean"), [Constraint.of("loss<=0")])
    assert choice.robust is None
    assert choice.plain()["robust"] is None
    assert any("no cell has P(loss) <= 0" in cell for grid in choice.grids() for row in grid.rows for cell in row)


@pytest.fixture(scope="module")
def judged(plan, outcomes, tmp_path_factory):
    """The winners by a quantile that a bolder cell is best at, on four fresh paths."""
    choice = Choice.of(plan, outcomes, Objective.of("quantile:0.9"), [Constraint.of("loss<=1")])
    return Judgement.of(choice, 4, lambda each: sweep(each, tmp_path_factory.mktemp("judged"), jobs=1))


def test_winners_are_judged_on_paths_behind_those_of_the_search(plan, judged, tmp_path):
    """Paths 9 to 12 of the same seed, both winners on each, as a sweep of twelve paths has them."""
    choice = judged.choice
    assert choice.published != choice.robust
    grids = [f"{key}={value}" for key, value in choice.outcomes.cells[choice.robust].items()]
    twelve = sweep(Sweep.of(SCENARIO, grids, DRAWN, paths=12), tmp_path, jobs=1)
    assert judged.swept.rows[1::2] == twelve.rows[plan.paths :]
    assert [row[NUMBER] for row in judged.swept.rows] == [9, 9, 10, 10, 11, 11, 12, 12]
    assert judged.plan.combinations[0] == choice.outcomes.cells[choice.published]


def test_figures_on_fresh_paths_stand_beside_those_on_searched_ones(judged):
    """By their definitions; the errors of the two independent sets of paths add in squares."""
    choice, fresh = judged.choice, judged.outcomes.figures["return_pct"]
    searched = choice.outcomes.figures["return_pct"]
    told = judged.plain()
    for at, winner in enumerate((choice.published, choice.robust)):
        figures = told["published" if winner == choice.published else "robust"]
        found = figures["mean_return_pct"]
        assert found["searched"] == pytest.approx(searched[:, winner].mean())
        assert found["fresh"] == pytest.approx(fresh[:, at].mean())
        assert found["difference"] == pytest.approx(fresh[:, at].mean() - searched[:, winner].mean())
        variances = searched[:, winner].var(ddof=1) / 8 + fresh[:, at].var(ddof=1) / 4
        assert found["difference_error"] == pytest.approx(np.sqrt(variances))
        assert figures["objective"]["fresh"] == pytest.approx(np.quantile(fresh[:, at], 0.9))
        liquidated = judged.outcomes.figures["liquidations"][:, at] > 0
        assert figures["liquidation"]["fresh"] == liquidated.mean()
    lead = np.quantile(fresh[:, 1], 0.9) - np.quantile(fresh[:, 0], 0.9)
    assert told["lead"]["fresh"] == pytest.approx(lead)
    assert (told["paths"], told["first_path"]) == (4, 9)


def test_chances_that_are_certain_on_both_kinds_of_paths_differ_by_no_known_error():
    """Each has its bound, and the difference no ± 0.0."""
    none, some = mean(np.zeros(4)), mean(np.array([0.0, 0.0, 1.0, 1.0]))
    assert Compared(searched=none, fresh=none).percent() == ("0.0, < 52.8 %", "0.0, < 52.8 %", "+0.0")
    assert Compared(searched=none, fresh=some).percent() == ("0.0, < 52.8 %", "50.0 ± 28.9 %", "+50.0 ± 28.9")


def test_figures_without_bounds_differ_by_nothing_that_is_known():
    """Of a winner that loses everything on a searched and on a fresh path."""
    lost = mean(np.array([-np.inf, 0.0]))
    assert Compared(searched=lost, fresh=lost).words() == ("-inf", "-inf", "unknown")
    assert Compared(searched=lost, fresh=lost).plain()["difference"] is None


def test_a_constraint_holds_on_fresh_paths_or_does_not(judged):
    """By the share of the fresh paths alone, whatever it was on the searched ones."""
    choice = judged.choice
    for at, winner in enumerate((choice.published, choice.robust)):
        share = (judged.outcomes.figures["return_pct"][:, at] < 0).mean()
        assert share > 0
        assert judged.holds(Constraint(name="loss", most=share), winner)
        assert not judged.holds(Constraint(name="loss", most=share - 0.01), winner)


def test_mirrored_paths_are_judged_in_whole_pairs():
    """After an odd number of searched paths the partner of the last one is left out."""
    drawn = ("market.path.method=gbm", "market.path.antithetic=true")
    for paths, first in ((4, 5), (5, 7)):
        assert Sweep.of(SCENARIO, GRIDS, drawn, paths=paths).beyond(2, [{}]).first == first
    assert Sweep.of(SCENARIO, GRIDS, DRAWN, paths=5).beyond(2, [{}]).first == 6


LATE = """
from attrs import frozen
from framework import Strategy


@frozen
class Late(Strategy):
    size: float
    most: float

    def on_start(self, view):
        assert float(view.history("close", 1)[-1]) <= self.most, "too dear"
        return ()

    def on_event(self, event, view):
        return ()
"""


@pytest.fixture
def late(tmp_path, monkeypatch):
    """A scenario with a strategy that fails on a market whose first close is too high."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "late_strategy", raising=False)
    (tmp_path / "late_strategy.py").write_text(LATE)
    text = SCENARIO.read_text()
    head = text[: text.index("[strategy]")].replace("look_ahead", "# look_ahead").replace("forgive", "# forgive")
    table = '[strategy]\nclass = "late_strategy:Late"\nsize = 1.0\nmost = 1e9\n[venues.hyperliquid]\n'
    (tmp_path / "late.toml").write_text(head + table)
    return tmp_path / "late.toml"


def first_closes(plan):
    """Those of the data, and of each path."""
    markets = [plan.on_data().assembly({}), *(plan.assembly({NUMBER: at + 1}) for at in range(plan.paths))]
    return [float(each.market["close"][0]) for each in markets]


def test_a_winner_that_fails_on_a_fresh_path_is_told_by_its_error(late, tmp_path):
    """In the place of figures, in the report and in JSON."""
    closes = first_closes(Sweep.of(late, (), DRAWN, paths=6))
    paths = int(np.argmax(closes)) - 1
    assert paths > 0
    drawn = [*DRAWN, f"strategy.most={max(closes[: paths + 1])}"]
    plan = Sweep.of(late, ["strategy.size=1,2"], drawn, paths=paths)
    choice = Choice.of(plan, Outcomes.of(plan, sweep(plan, tmp_path, jobs=1)), Objective.of("mean"))
    found = Judgement.of(choice, 1, lambda each: sweep(each, tmp_path, jobs=1))
    assert "too dear" in found.plain()["published"]["error"]
    assert any("too dear" in cell for row in found.grid().rows for cell in row)


def test_a_cell_that_fails_on_the_data_alone_is_told_and_not_chosen(late, tmp_path):
    """It costs its own cell, as one that fails on a path does."""
    drawn = next(
        found
        for seed in range(20)
        if np.argmax(first_closes(Sweep.of(late, (), found := [*DRAWN, f"market.path.seed={seed}"], paths=2))) == 0
    )
    closes = first_closes(Sweep.of(late, (), drawn, paths=2))
    plan = Sweep.of(late, [f"strategy.most={max(closes[1:])},1e9"], drawn, paths=2)
    outcomes = Outcomes.of(plan, sweep(plan, tmp_path, jobs=1))
    assert outcomes.good.all()
    choice = Choice.of(plan, outcomes, Objective.of("mean"))
    assert (choice.published, choice.robust) == (1, 1)
    assert choice.plain()["cells"][0]["error"].startswith("on the data: late_strategy.py, line 12, in on_start")


def test_of_a_cell_that_fails_on_some_paths_it_is_told_on_how_many(late, tmp_path):
    """Before the first error; nothing else is said of it."""
    closes = first_closes(Sweep.of(late, (), DRAWN, paths=6))[1:]
    most = sorted(closes)[3]
    plan = Sweep.of(late, [f"strategy.most={most},1e9"], DRAWN, paths=6)
    outcomes = Outcomes.of(plan, sweep(plan, tmp_path, jobs=1))
    assert outcomes.errors[0].startswith("on 2 of 6 paths: late_strategy.py, line 12, in on_start")
    assert outcomes.errors[1] == ""
    assert set(outcomes.table().rows[0][1:-1]) == {""}


def test_keys_of_paths_leave_the_data_as_they_are(tmp_path):
    """Cells that differ in how paths are drawn, or only there, have one return on the data: that of the history."""
    grids = ("market.path.block_rows=10,20", "strategy.leverage=2,3")
    plan = Sweep.of(SCENARIO, grids, ["market.path.method=stationary"], paths=2)
    choice = Choice.of(plan, Outcomes.of(plan, sweep(plan, tmp_path, jobs=1)), Objective.of("mean"))
    runs = [assemble(Scenario.load(SCENARIO, [f"strategy.leverage={each}"])).simulation().run() for each in (2, 3)]
    assert choice.history.total_pct.tolist() == pytest.approx([metrics(run)["return_pct"] for run in runs] * 2)


def test_one_path_leaves_errors_open(capsys, tmp_path):
    """JSON has null for them, and nothing that JSON does not know; no cell can be told from the winner."""
    options = ("--grid", "strategy.leverage=2,4", "--paths", 1, "--block-rows", 20, "--jobs", 1, "--out", tmp_path)
    code, printed, _ = command(capsys, *options, "--json")
    assert (code, "NaN" in printed) == (0, False)
    choice = json.loads(printed)
    assert [cell["objective_error"] for cell in choice["cells"]] == [None, None]
    assert choice["fresh"]["robust"]["mean_return_pct"]["fresh_error"] is None
    assert {cell["p_told_apart"] for cell in choice["cells"]} == {None, 1.0}
    assert "nan" not in command(capsys, *options)[1]


def test_a_walk_forward_by_hand():
    """In each part the cell that grew most before; the first part is only learnt from."""
    parts = np.array([[0.1, 0.0], [0.0, 0.3], [0.1, 0.0], [0.0, 0.2]])
    forward, hindsight, chosen = walk_forward(parts, folds=4)
    assert chosen == [0, 1, 1]
    assert forward == pytest.approx(np.log(1.2))
    assert hindsight == pytest.approx(np.log(1.3 * 1.2))


def test_a_walk_forward_is_a_rate_per_year_with_compounding(tmp_path):
    """Of one cell: its growth from the first fifth of the rows on. Whoever loses everything has lost 100 %."""
    plan = Sweep.of(SCENARIO, ["strategy.leverage=4"], DRAWN, paths=1)
    choice = Choice.of(plan, Outcomes.of(plan, sweep(plan, tmp_path, jobs=1)), Objective.of("mean"))
    run = assemble(Scenario.load(SCENARIO, ["strategy.leverage=4"])).simulation().run()
    equity, first = run.curve.equity_usd, round(len(run.market) / 5)
    growth = metrics(run)["final_equity_usd"] / equity[first - 1]
    days = len(run.market) - first
    assert growth < 1
    assert choice.forward_pct == choice.hindsight_pct == pytest.approx(100 * (growth ** (365 / days) - 1))
    lost = evolve(choice, forward_pct=per_year(walk_forward(np.array([[0.0]] * 4 + [[-1.0]]))[0], 0.1))
    assert lost.forward_pct == pytest.approx(-100)
    assert any("too short a time" in row[1] for row in evolve(choice, forward_pct=np.nan).grids()[1].rows)


def test_sharpe_ratios_are_above_the_rate_of_the_scenario(tmp_path):
    """As those of a run: the deflated one among one cell is that of its own ratio, by day."""
    cell = "strategy.leverage=2"
    for rate in (0.0, 0.1):
        settings = [f"benchmarks.rate={rate}"]
        plan = Sweep.of(SCENARIO, [cell], [*DRAWN, *settings], paths=1)
        choice = Choice.of(plan, Outcomes.of(plan, sweep(plan, tmp_path, jobs=1)), Objective.of("mean"))
        run = assemble(Scenario.load(SCENARIO, [cell, *settings])).simulation().run()
        ratio, returns = float(str(swept(run, rate)["sharpe"])) / 365**0.5, choice.history.returns[:, 0]
        skewness, kurtosis = moments(returns)
        expected = deflated_sharpe(
            ratio, rows=len(returns), skewness=skewness, kurtosis=kurtosis, variance=0.0, trials=1
        )
        assert NORMAL.inv_cdf(choice.deflated) == pytest.approx(NORMAL.inv_cdf(expected), rel=0.01)
        assert any("above 10 % a year" in row[2] for row in choice.grids()[1].rows) == bool(rate)


def command(capsys, *arguments):
    """Run `carrybook choose` in this process; returns (exit code, stdout, stderr)."""
    return carrybook(capsys, "choose", SCENARIO, *arguments)


BAD = {
    "no grid": (("--paths", 2), "--grid: none; expected at least one"),
    "an unknown objective": (
        ("--paths", 2, "--objective", "luck"),
        "--objective luck: expected mean, growth, quantile:LEVEL",
    ),
    "a level that is none": (("--paths", 2, "--objective", "quantile:5"), "--objective quantile:5: expected mean"),
    "no level": (("--paths", 2, "--objective", "expected_shortfall"), "--objective expected_shortfall: expected mean"),
    "an unknown event": (
        ("--paths", 2, "--constraint", "rain<=0.1"),
        "--constraint rain<=0.1: expected liquidation<=CHANCE or loss<=CHANCE",
    ),
    "a chance above 1": (
        ("--paths", 2, "--constraint", "loss<=5"),
        "--constraint loss<=5: expected liquidation<=CHANCE",
    ),
    "no paths": (("--paths", 0), "0 is not in the range"),
    "other days": (
        ("--paths", 2, "--block-rows", 20, "--grid", "market.end=2025-10-01,2026-02-01"),
        "market.end: cells on 275 and on 398 rows of data; expected the same days for all",
    ),
    "a constraint twice": (
        ("--paths", 2, "--constraint", "loss<=0.5", "--constraint", "loss<=0.4"),
        "--constraint loss: given twice; expected each name once",
    ),
    "no fresh paths": (("--paths", 2, "--fresh", 0), "0 is not in the range"),
}


@pytest.mark.parametrize(("options", "words"), BAD.values(), ids=BAD)
def test_bad_values_are_refused_before_anything_runs(capsys, tmp_path, options, words):
    """One line, and nothing is written."""
    code, printed, complaint = command(capsys, *options, "--out", tmp_path / "out")
    assert (code, printed, complaint.count("\n")) == (2, "", 1)
    assert words in complaint
    assert not (tmp_path / "out").exists()


def test_the_report_says_who_wins_and_how_much_is_luck(capsys, tmp_path):
    """In words, and the same as JSON; the second time nothing is run."""
    options = [part for each in GRIDS for part in ("--grid", each)] + ["--paths", 4, "--block-rows", 20, "--jobs", 1]
    options += ["--out", tmp_path, "--constraint", "liquidation<=0.9"]
    code, printed, _ = command(capsys, *options)
    assert code == 0
    told = " ".join(printed.split())
    for words in ("winner on the data", "robust winner", "chance of luck", "deflated Sharpe ratio", "confidence set",
                  "walk forward", "probability of backtest overfitting, 12,870 halves",
                  "Fresh: paths 5 to 8"):  # fmt: skip
        assert words in told
    code, printed, _ = command(capsys, *options, "--json")
    choice = json.loads(printed)
    assert (code, choice["ran"]) == (0, 0)
    assert 0 <= choice["overfitting"] <= 1
    assert choice["robust"]["allowed"]
    assert len(choice["cells"]) == 6
    assert (choice["fresh"]["ran"], choice["fresh"]["paths"], choice["fresh"]["first_path"]) == (0, 4, 5)
    assert choice["fresh"]["robust"]["constraints"][0]["constraint"] == "liquidation<=0.9"


def test_a_choice_among_cells_that_all_fail_is_refused(capsys, tmp_path):
    """One line with the first error."""
    options = (
        "--grid",
        "strategy.leverage=3,4",
        "--grid",
        "strategy.trigger=1,2",
        "--paths",
        2,
        "--out",
        tmp_path / "out",
    )
    code, _, complaint = command(capsys, *options)
    assert (code, complaint.count("\n")) == (2, 1)
    assert "expected at least the leverage" in complaint


@pytest.mark.slow
def test_the_example_prints_its_expected_choice(capsys, tmp_path, monkeypatch):
    """To the letter, but for the digest; after a wanted change: the command of its README, with `sed` as for a run."""
    monkeypatch.chdir(ROOT)
    readme = (ROOT / "examples" / "robust_trigger" / "README.md").read_text()
    (line,) = [each for each in readme.splitlines() if each.startswith("    carrybook choose") and "--data" not in each]
    with pytest.raises(SystemExit):
        main([*shlex.split(line)[1:], "--jobs", "1", "--out", str(tmp_path)])
    printed = re.sub(r"(?m)^Paths \S+$", "Paths sweeps/...", capsys.readouterr().out)
    assert printed == (ROOT / "examples" / "robust_trigger" / "expected_choice.txt").read_text()
