"""A search proposes cells of a space: the same ones wherever they are run, and better ones as it learns."""

import json
from functools import partial

import numpy as np
import pytest

from framework.errors import ScenarioError
from framework.many_runs.choice import Choice, Constraint, Objective
from framework.many_runs.judgement import Judgement
from framework.many_runs.outcomes import Outcomes
from framework.many_runs.search import ROUND, Range, Space, search
from framework.many_runs.sweep import Sweep, sweep
from tests.commands import carrybook
from tests.conftest import ROOT

optuna = pytest.importorskip("optuna", reason="a search needs the extra search")

SCENARIO = ROOT / "examples" / "robust_trigger" / "scenario.toml"
SPACE = ("strategy.leverage=1.5:4", "strategy.trigger=4:9:1")
BAD = {
    "no range": ("strategy.leverage=2", "expected KEY=LOW:HIGH or KEY=LOW:HIGH:STEP"),
    "no key": ("=2:3", "expected KEY=LOW:HIGH"),
    "no number": ("strategy.leverage=a:3", "expected KEY=LOW:HIGH"),
    "a number of another spelling": ("strategy.leverage=1e0:3", "expected KEY=LOW:HIGH"),
    "upside down": ("strategy.leverage=3:2", "expected LOW below HIGH"),
    "nothing between": ("strategy.leverage=3:3", "expected LOW below HIGH"),
    "a step of nothing": ("strategy.leverage=2:3:0", "STEP 0; expected one that leads from LOW to HIGH"),
    "a step beyond": ("strategy.leverage=2:3:0.3", "STEP 0.3; expected one that leads from LOW to HIGH"),
}


def plan(*grids, paths=2):
    """The example on a few paths."""
    return Sweep.of(SCENARIO, grids, ["market.path.block_rows=20"], paths=paths)


def found(out, *, trials=24, jobs=1, grids=(), space=SPACE, objective="mean", limits=()):
    """The cells that a search tries, their outcomes, and the folder."""
    base = plan(*grids)
    aim = Objective.of(objective)
    whole, swept = search(base, Space.of(base, space), aim, limits, trials, out, lambda each: sweep(each, out, jobs))
    return whole, Outcomes.of(whole, swept), swept


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_a_range_that_is_none_is_refused(text, words):
    """One line that names it."""
    with pytest.raises(ScenarioError) as refused:
        Range.of(text)
    assert str(refused.value).startswith(f"--space {text}: ")
    assert words in str(refused.value)


def test_a_key_twice_is_refused():
    """Also one that the grid has."""
    with pytest.raises(ScenarioError, match=r"--space strategy\.leverage: given twice"):
        Space.of(plan("strategy.leverage=2,3"), SPACE)


def test_the_number_of_a_path_is_no_space():
    """Every cell has all of them."""
    with pytest.raises(ScenarioError, match=r"--space market\.path\.number: each cell has all the paths"):
        Space.of(plan(), ["market.path.number=1:5:1"])


@pytest.mark.parametrize("suggested", [1.2344, 1.2354])
def test_a_value_that_is_rounded_stays_within_its_range(suggested):
    """Also at the ends of a range with more decimals than values have."""
    trial = optuna.trial.FixedTrial({"strategy.leverage": suggested})
    assert Range.of("strategy.leverage=1.2344:1.2354").value(trial) == suggested
    assert Range.of("strategy.leverage=1.2344:5.2344").value(trial) == max(1.2344, round(suggested, 3))


@pytest.mark.slow
def test_cells_stay_within_their_ranges(tmp_path):
    """A step leads to its multiples, whole where all numbers are; a grid's values are taken as they are."""
    whole, _, _ = found(tmp_path)
    leverages = [cell["strategy.leverage"] for cell in whole.combinations]
    triggers = [cell["strategy.trigger"] for cell in whole.combinations]
    assert all(isinstance(each, float) and 1.5 <= each <= 4 and each == round(each, 3) for each in leverages)
    assert all(isinstance(each, int) and 4 <= each <= 9 for each in triggers)
    assert len(set(leverages)) > len(set(triggers)) > 1


@pytest.mark.slow
def test_the_same_cells_are_found_by_any_number_of_workers(tmp_path):
    """So are the figures on fresh paths, and a search that is started again runs nothing."""
    one, outcomes, swept = found(tmp_path / "one")
    two, others, _ = found(tmp_path / "two", jobs=2)
    assert one.combinations == two.combinations
    assert {name: values.tobytes() for name, values in outcomes.figures.items()} == {
        name: values.tobytes() for name, values in others.figures.items()
    }
    judged = [
        Judgement.of(
            Choice.of(whole, figures, Objective.of("mean")), 2, partial(sweep, out=tmp_path / place, jobs=jobs)
        )
        for whole, figures, place, jobs in ((one, outcomes, "one", 1), (two, others, "two", 2))
    ]
    assert judged[0].swept.rows == judged[1].swept.rows
    assert judged[0].returns(judged[0].choice.robust).plain() == judged[1].returns(judged[1].choice.robust).plain()
    ran = []
    base = plan()
    again, kept = search(
        base, Space.of(base, SPACE), Objective.of("mean"), (), 24, tmp_path / "one",
        lambda each: ran.append(done := sweep(each, tmp_path / "one", 1)) or done,
    )  # fmt: skip
    assert again.combinations == one.combinations
    assert (kept.folder, kept.rows, kept.ran) == (swept.folder, swept.rows, 0)
    assert [each.ran for each in ran] == [0] * len(ran)


def test_a_cell_of_a_search_is_that_of_a_grid(tmp_path):
    """The same rows on the same paths."""
    whole, _, swept = found(tmp_path / "search", trials=3)
    for at, cell in enumerate(whole.combinations):
        grid = [f"{key}={value}" for key, value in cell.items()]
        assert sweep(plan(*grid), tmp_path / "grid", 1).rows == swept.rows[at :: len(whole.combinations)]


@pytest.mark.slow
def test_a_search_learns(tmp_path):
    """What it tries in the end has a higher objective than what it began with."""
    _, outcomes, _ = found(tmp_path, trials=50)
    means = outcomes.figures["return_pct"].mean(axis=0)
    assert np.median(means[-2 * ROUND :]) > np.median(means[: 2 * ROUND])


@pytest.mark.slow
def test_a_search_keeps_to_constraints(tmp_path):
    """What it tries in the end is allowed more often than what it began with."""
    limit = Constraint.of("liquidation<=0.5")
    _, outcomes, _ = found(tmp_path, trials=50, limits=(limit,))
    allowed = (outcomes.figures["liquidations"] > 0).mean(axis=0) <= limit.most
    assert allowed[-2 * ROUND :].mean() > allowed[: 2 * ROUND].mean()


def test_a_cell_that_fails_is_a_row_and_ends_nothing(tmp_path):
    """Where another cell of its round can be; where none can, the search is refused in one line."""
    whole, outcomes, swept = found(
        tmp_path / "some", trials=20, space=("strategy.leverage=2:5:1", "strategy.trigger=3:6:1")
    )
    failed = [at for at, error in enumerate(outcomes.errors) if error]
    assert 0 < len(failed) < len(whole.combinations)
    assert all(
        whole.combinations[at]["strategy.trigger"] < whole.combinations[at]["strategy.leverage"] for at in failed
    )
    assert swept.failed == len(failed) * whole.paths
    with pytest.raises(ScenarioError, match=r"strategy\.levrage: unknown key"):
        found(tmp_path / "none", space=("strategy.levrage=2:4",))
    assert not (tmp_path / "none").exists()


def command(capsys, *arguments):
    """Run `carrybook choose` in this process; returns (exit code, stdout, stderr)."""
    return carrybook(capsys, "choose", SCENARIO, "--paths", "2", *arguments)


def test_choose_searches_a_space(capsys, tmp_path):
    """The cells of the search are those of the choice, and what the grid has is a part of the space."""
    options = ["--space", SPACE[0], "--grid", "strategy.trigger=5,8", "--trials", 12, "--jobs", 1, "--out", tmp_path]
    code, printed, _ = command(capsys, *options, "--json")
    choice = json.loads(printed)
    assert code == 0
    assert len(choice["cells"]) == 12
    assert {cell["strategy.trigger"] for cell in choice["cells"]} == {5, 8}
    assert max(choice["cells"], key=lambda cell: cell["objective"]) == choice["robust"]
    figures = choice["fresh"]["robust"]["mean_return_pct"]
    assert figures["searched"] == choice["robust"]["objective"]
    keys = ("strategy.leverage", "strategy.trigger")
    grid = [f"{key}={choice['robust'][key]}" for key in keys]
    rows = sweep(Sweep.of(SCENARIO, grid, paths=4), tmp_path, 1).rows[2:]
    assert figures["fresh"] == np.mean([row["return_pct"] for row in rows])
    assert choice["cells"] != sorted(choice["cells"], key=lambda cell: cell["strategy.leverage"])


def test_the_rounds_of_a_choice_share_their_processes(capsys, tmp_path):
    """What comes of it is the same as in one process: each round brings a plan of its own to them."""
    found = []
    for jobs in (1, 2):
        options = ["--space", SPACE[0], "--trials", 21, "--jobs", jobs, "--out", tmp_path / str(jobs), "--json"]
        code, printed, _ = command(capsys, *options)
        assert code == 0
        found.append(json.loads(printed.replace(str(tmp_path / str(jobs)), "")))
    assert found[0] == found[1]
    assert len(found[0]["cells"]) > 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--grid", "strategy.leverage=2,3", "--trials", 5),
            "--trials: every cell of a grid is run; expected a --space",
        ),
        (("--space", "strategy.leverage=2:3", "--trials", 1), "1 is not in the range"),
        (("--space", "strategy.leverage=3"), "--space strategy.leverage=3: expected KEY=LOW:HIGH"),
        (("--space", "strategy.levrage=2:3"), "strategy.levrage"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(capsys, tmp_path, options, words):
    """One line, and nothing is written."""
    code, printed, complaint = command(capsys, *options, "--out", tmp_path / "out")
    assert (code, printed, complaint.count("\n")) == (2, "", 1)
    assert words in complaint
    assert not (tmp_path / "out").exists()
