"""Many paths of many cells: one frame, whatever runs it, and each row what a run alone gives."""

import concurrent.futures
import json
import re

import numpy as np
import pandas as pd
import pytest

from framework import Scenario, assemble, metrics
from framework.errors import RunError
from framework.many_runs import workers
from framework.many_runs.outcomes import Outcomes
from framework.many_runs.statistics import quantile
from framework.many_runs.sweep import NUMBER, Sweep, _chunks, sweep
from framework.many_runs.workers import Parcel
from framework.performance import outcome
from tests.commands import carrybook
from tests.conftest import ROOT
from tests.runs import EXAMPLES, WITHOUT_EMBEDDED

SCENARIO = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
GRIDS = ("strategy.leverage=2,4", "strategy.trigger=4,never")
DRAWN = ("market.path.method=stationary", "market.path.block_rows=10", "market.path.seed=3")


def command(capsys, *arguments):
    """Run `carrybook paths` in this process; returns (exit code, stdout, stderr)."""
    return carrybook(capsys, "paths", *arguments)


def content(folder):
    """The results, byte for byte."""
    return [(folder / f"results.{kind}").read_bytes() for kind in ("csv", "parquet")]


@pytest.fixture(scope="module")
def plan():
    """Four cells on six paths each."""
    return Sweep.of(SCENARIO, GRIDS, DRAWN, paths=6)


@pytest.fixture(scope="module")
def done(plan, tmp_path_factory):
    """Its results, run in this process."""
    return sweep(plan, tmp_path_factory.mktemp("paths"), jobs=1)


@pytest.mark.parametrize("example", [name for name in EXAMPLES if name not in WITHOUT_EMBEDDED])
def test_an_outcome_is_part_of_the_metrics(example):
    """Found without the journal, and equal to the last digit; the first liquidation is that of the events."""
    run = assemble(Scenario.load(ROOT / "examples" / example / "scenario.toml")).simulation().run()
    found, full = outcome(run), metrics(run)
    events = [event for event in run.single if event.kind == "Liquidated"]
    first = found.pop("first_liquidation_days")
    assert {name: full[name] for name in found} == found
    assert (first is None) == (not events)
    assert first is None or first * 86_400e9 == pytest.approx(events[0].at_ns - run.market.open_ns[0])


def test_a_row_is_what_a_run_of_its_cell_gives(done):
    """The keys of a row, put over the scenario, give its figures with full books."""
    row = next(row for row in done.rows if row["liquidations"] and row[NUMBER] == 5)
    keys = [name for name in row if "." in name]
    values = [f"{key}={row[key]}" for key in keys]
    run = assemble(Scenario.load(SCENARIO, [*DRAWN, *values])).simulation().run()
    assert keys == [NUMBER, "strategy.leverage", "strategy.trigger"]
    assert outcome(run) == {name: row[name] for name in outcome(run)}
    assert metrics(run)["return_pct"] == row["return_pct"]


def test_the_frame_is_tidy(done):
    """A row per path and cell, paths one after another; Parquet and CSV say the same."""
    frame = pd.read_parquet(done.folder / "results.parquet")
    assert frame[NUMBER].tolist() == [number for number in range(1, 7) for _ in range(4)]
    assert frame["strategy.leverage"].tolist() == [2, 2, 4, 4] * 6
    assert frame["return_pct"].tolist() == [row["return_pct"] for row in done.rows]
    assert not frame["error"].astype(bool).any()


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [2, 3])
def test_the_frame_is_the_same_for_any_number_of_processes(plan, done, jobs, tmp_path):
    """Chunks are of other sizes and other orders; the bytes are the same."""
    assert content(sweep(plan, tmp_path, jobs=jobs).folder) == content(done.folder)


def test_any_executor_will_do(plan, done, tmp_path):
    """Threads, which ask for the plan as a machine far away would."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert content(sweep(plan, tmp_path, 3, executor=pool).folder) == content(done.folder)


@pytest.mark.parametrize("most", [1, 5, 1000])
def test_the_frame_is_the_same_for_any_size_of_chunks(plan, done, most, tmp_path, monkeypatch):
    """One cell at a time, a part of a path, or all that there are."""
    monkeypatch.setattr("framework.many_runs.sweep.CHUNK_OF_PATHS", most)
    assert content(sweep(plan, tmp_path, jobs=1).folder) == content(done.folder)


@pytest.mark.parametrize(("paths", "width"), [(1, 2), (7, 1), (30, 3)])
def test_chunks_have_all_cells_in_order_and_whole_paths(paths, width):
    """Those of four cells or more have all four cells of each of their paths."""
    cells = list(enumerate(Sweep.of(SCENARIO, GRIDS, DRAWN, paths=paths).cells()))
    chunks = list(_chunks(cells, width, lambda: 10))
    assert [cell for chunk in chunks for cell in chunk] == cells
    sizes = [len(chunk) for chunk in chunks]
    assert max(sizes) <= 10
    assert sizes[-1] == 1
    for chunk in chunks:
        numbers = [row[NUMBER] for _, row in chunk]
        assert len(chunk) < 4 or all(numbers.count(number) == 4 for number in set(numbers))


class Counting(concurrent.futures.ThreadPoolExecutor):
    """A worker that counts how often it is sent the plan."""

    parcels = 0

    def submit(self, call, *arguments):
        self.parcels += isinstance(arguments[-1], Parcel)
        return super().submit(call, *arguments)


def test_a_worker_is_sent_the_plan_once(plan, done, tmp_path, monkeypatch):
    """However many chunks it could be given before it has it."""
    monkeypatch.setattr(workers, "_plans", {})
    with Counting(1) as pool:
        assert content(sweep(plan, tmp_path, 1, executor=pool).folder) == content(done.folder)
    assert pool.parcels == 1


def test_interrupted_it_goes_on(plan, done, tmp_path):
    """Ctrl-C keeps what is finished, and the rest is run when it is started again."""

    def interrupt(cells, why):
        if cells:
            raise KeyboardInterrupt

    with concurrent.futures.ThreadPoolExecutor(1) as pool, pytest.raises(KeyboardInterrupt):
        sweep(plan, tmp_path, 2, interrupt, pool)
    again = sweep(plan, tmp_path, jobs=1)
    assert 0 < again.ran < 24
    assert content(again.folder) == content(done.folder)


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_refused(capsys, tmp_path):
    """One line, before anything is written."""
    pytest.importorskip("distributed", reason="needs the extra `cluster`")
    told = {
        "tcp://127.0.0.1:9": "no scheduler answers there (not within 5 s)",
        "nowhere": "no address of a scheduler; expected one such as tcp://HOST:8786",
        "http://host:80": "no address of a scheduler; expected one such as tcp://HOST:8786",
        "": "no address of a scheduler; expected one such as tcp://HOST:8786",
    }
    for address, words in told.items():
        arguments = (SCENARIO, "--paths", 2, "--cluster", address, "--out", tmp_path / "out")
        code, printed, complaint = command(capsys, *arguments)
        assert (code, printed, complaint.count("\n")) == (2, "", 1)
        assert f"--cluster {address}: {words}" in complaint
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_half_done_it_goes_on(plan, done, tmp_path):
    """What is there is not run again, and what is added makes the same frame."""
    first = sweep(plan, tmp_path, jobs=1).folder
    lines = (first / "cells.jsonl").read_bytes().splitlines(keepends=True)
    (first / "cells.jsonl").write_bytes(b"".join(lines[:9]) + lines[9][:40])
    again = sweep(plan, tmp_path, jobs=1)
    assert (again.ran, content(again.folder)) == (15, content(done.folder))


def test_more_paths_begin_with_the_same(done, tmp_path):
    """Path k is the same however many there are."""
    more = sweep(Sweep.of(SCENARIO, GRIDS, DRAWN, paths=7), tmp_path, jobs=1)
    assert more.rows[:24] == done.rows


def test_cells_share_their_paths(plan):
    """Differences between cells are paired: one market for all cells of a number."""
    first, *others = (plan.assembly({NUMBER: 2, **cell}).market for cell in plan.combinations)
    assert all(market is first for market in others)


def test_outcomes_are_the_columns_of_the_frame(plan, done):
    """Shape (paths, cells); a cell that fails on any path is no good."""
    found = Outcomes.of(plan, done)
    frame = pd.read_parquet(done.folder / "results.parquet")
    for name, values in found.figures.items():
        np.testing.assert_array_equal(values.ravel(), frame[name].to_numpy(dtype=float))
    assert found.good.all()
    at = 3
    mine = frame[(frame["strategy.leverage"] == 4) & (frame["strategy.trigger"] == "never")]
    assert found.share("liquidation", at).value == (mine["liquidations"] > 0).mean()


def test_the_table_shows_distributions_and_errors(capsys, tmp_path):
    """A cell that cannot be is a line with its error, and the exit code is 1."""
    arguments = (SCENARIO, "--grid", "strategy.leverage=2,6", "--grid", "strategy.trigger=5,never", "--paths", 3)
    code, printed, _ = command(capsys, *arguments, "--block-days", 12, "--jobs", 1, "--out", tmp_path)
    assert code == 1
    told = " ".join(printed.split())
    assert told.startswith(
        "SYNTHETIC: 3 paths of 410 days, seed 0, stationary bootstrap, blocks of 12 rows on average; SOL "
    )
    assert "strategy.trigger: 5; expected at least the leverage of 6, or never" in told
    assert "mean return 5 % worst 5 % median 95 % mean drawdown 95 % P(liquidated) first after days error" in told
    bounds = len(re.findall(r"(100\.0, > 36\.8|\b0\.0, < 63\.2) %", told))
    assert bounds
    firsts = len(re.findall(r"% \d+ ± \d+ ", told))
    assert len(re.findall(r"± \d", told)) == 3 * 4 - bounds + firsts  # none of 5 %, worst 5 % and 95 % of three paths
    assert firsts == 2


def test_cells_that_are_drawn_in_their_own_ways_are_told_so(capsys, tmp_path):
    """The line on top is of the first of them; of one cell, or of cells on common paths, it is of all."""
    options = ("--paths", 1, "--block-rows", 5, "--jobs", 1, "--out", tmp_path, "--set", "market.path.rows=60")
    told = " ".join(command(capsys, SCENARIO, *options, "--grid", "market.path.seed=1,2")[1].split())
    assert told.startswith("SYNTHETIC: 1 path of 60 days, seed 1, ")
    assert "; so the first cell, others as their keys say Paths" in told
    assert "1 path of each of 2 cells, drawn as its keys say. Returns" in told
    told = " ".join(command(capsys, SCENARIO, *options, "--grid", "capital_usd=5000,9000")[1].split())
    assert "as their keys say" not in told
    assert "1 path of each of 2 cells, the same for all. Returns" in told


def test_errors_count_pairs_where_any_cell_has_mirrored_paths():
    """Pairs of independent paths are independent as well."""
    for values, mirrored in (("true,false", True), ("false", False)):
        plan = Sweep.of(SCENARIO, [f"market.path.antithetic={values}"], ["market.path.method=gbm"], paths=4)
        assert plan.mirrored is mirrored


def test_the_median_of_the_first_liquidations_has_an_error():
    """That of the paths with one; of a single path there is none. A drawdown has no sign."""
    days = np.array([10.0, 40.0, np.nan, 30.0, 20.0, np.nan])
    expected = quantile(days[np.isfinite(days)], 0.5)
    one = np.where(days == 40, days, np.nan)
    figures = {name: np.column_stack((np.arange(6.0), np.ones(6))) for name in
               ("return_pct", "max_drawdown_pct", "liquidations")}  # fmt: skip
    figures["first_liquidation_days"] = np.column_stack((days, one))
    found = Outcomes(cells=[{"cell": 1}, {"cell": 2}], figures=figures, errors=["", ""], pairs=False).table()
    first, second = (row[found.columns.index("first after days")] for row in found.rows)
    value, error = map(float, first.split(" ± "))
    assert value == 25
    assert error == pytest.approx(expected.error, rel=0.2)  # by n, and not by n - 1; rounded
    assert second == "40"
    assert found.rows[0][found.columns.index("mean drawdown")].startswith("2.5 ± ")


def test_a_scenario_without_a_grid_is_one_cell(capsys, tmp_path):
    """The strategy as it is on paths of a geometric Brownian motion, mirrored in pairs."""
    options = ("--paths", 4, "--method", "gbm", "--antithetic", "--seed", 9, "--set", "market.path.volatility=0.5")
    code, printed, _ = command(capsys, SCENARIO, *options, "--jobs", 1, "--out", tmp_path, "--json")
    assert code == 0
    summary = json.loads(printed)
    assert (summary["cells"], summary["failed"], summary["ran"]) == (4, 0, 4)


BAD = {
    "no paths": (("--paths", 0), "0 is not in the range"),
    "none at all": ((), "Missing option '--paths'"),
    "an unknown method": (("--paths", 2, "--method", "magic"), "'magic' is not one of 'stationary'"),
    "a block beyond the data": (
        ("--paths", 2, "--block-rows", 411),
        "market.path.block_rows: 411; expected blocks of 1 to 410 rows",
    ),
    "days beyond the data": (
        ("--paths", 2, "--block-days", 411),
        "market.path.block_days: 411; expected blocks of 1 to",
    ),
    "a word for a block": (("--paths", 2, "--block-rows", "long"), "market.path.block_rows: 'long'; expected a number"),
    "an episode without days": (("--paths", 2, "--episode", "x"), "--episode x: expected NAME=FROM:TO, such as"),
    "an episode elsewhere": (
        ("--paths", 2, "--method", "jumps", "--per-year", 1, "--episode", "x=2020-01-01:2020-01-02"),
        "market.path.episodes.x: 2020-01-01 to 2020-01-02; expected days of the data",
    ),
    "two lengths": (
        ("--paths", 2, "--block-rows", 5, "--block-days", 5),
        "--block-rows and --block-days: both say how long blocks are; expected one of them",
    ),
    "a length beside that of the scenario": (
        ("--paths", 2, "--set", "market.path.block_days=30", "--block-rows", 5),
        "market.path.block_days: 30; expected no block_rows beside it, which is 5",
    ),
    "an episode twice": (
        ("--paths", 2, "--method", "jumps", "--per-year", 1, *("--episode", "x=2025-10-10:2025-10-12") * 2),
        "--episode x: given twice; expected each name once",
    ),
    "an episode without a name": (
        ("--paths", 2, "--method", "jumps", "--per-year", 1, "--episode", "=2025-10-10:2025-10-12"),
        "--episode =2025-10-10:2025-10-12: expected NAME=FROM:TO, such as",
    ),
    "more episodes than rows": (
        ("--paths", 2, "--method", "jumps", "--per-year", "1e30", "--episode", "x=2025-10-10:2025-10-12"),
        "market.path.per_year: 1e+30; expected at most 365, an episode in each row",
    ),
    "mirrored history": (
        ("--paths", 2, "--antithetic"),
        "market.path.antithetic: not a key of the method stationary; expected the method gbm",
    ),
    "blocks of a random walk": (
        ("--paths", 2, "--method", "gbm", "--block-rows", 5),
        "block_rows: not a key of the method gbm; expected the method stationary or circular or filtered or jumps",
    ),
    "the number of a path": (("--paths", 2, "--grid", f"{NUMBER}=1,2"), "each cell has all the paths"),
    "a bad value": (("--paths", 2, "--grid", "strategy.leverage=1,2"), "strategy.leverage: 1.0; expected > 1"),
    "a bad scenario": (("--paths", 2, "--set", "strategy.leverage=1"), "strategy.leverage: 1.0; expected > 1"),
}


@pytest.mark.parametrize(("options", "words"), BAD.values(), ids=BAD)
def test_bad_values_are_refused_before_anything_runs(capsys, tmp_path, options, words):
    """One line, and nothing is written."""
    code, printed, complaint = command(capsys, SCENARIO, *options, "--out", tmp_path / "out")
    assert (code, printed, complaint.count("\n")) == (2, "", 1)
    assert words in complaint
    assert not (tmp_path / "out").exists()


OWN = """
from attrs import frozen
from framework import Strategy
import {helper}

@frozen
class Mine(Strategy):
    size: float
    def on_start(self, view):
        return ()
    def on_event(self, event, view):
        return ()
"""


def test_a_worker_with_other_code_of_a_users_own_is_refused(tmp_path, monkeypatch):
    """The plan brings its modules along; where another of the name is found first, one line says so."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helper_of_paths.py").write_text("X = 1\n")
    (tmp_path / "own_of_paths.py").write_text(OWN.format(helper="helper_of_paths"))
    text = SCENARIO.read_text()
    head = text[: text.index("[strategy]")].replace("look_ahead", "# look_ahead").replace("forgive", "# forgive")
    scenario = tmp_path / "own.toml"
    scenario.write_text(head + '[strategy]\nclass = "own_of_paths:Mine"\nsize = 1.0\n[venues.hyperliquid]\n')
    plan = Sweep.of(scenario, (), DRAWN, paths=2)
    plan.check()
    assert set(plan.code()) == {"own_of_paths", "helper_of_paths"}

    class Edited(concurrent.futures.ThreadPoolExecutor):
        """Workers on which the helper is another by the time the chunk is run."""

        def submit(self, call, *arguments):
            (tmp_path / "helper_of_paths.py").write_text("X = 2\n")
            return super().submit(call, *arguments)

    with Edited(1) as pool, pytest.raises(RunError, match="has another module helper_of_paths; expected the one"):
        sweep(plan, tmp_path / "out", 1, executor=pool)
