"""A cluster of several processes gives what one process gives, whatever becomes of its workers."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from framework.command_line.cli import main
from framework.errors import RunError
from framework.many_runs import workers
from framework.many_runs.sweep import Sweep, sweep
from tests.conftest import ROOT

pytest.importorskip("distributed", reason="needs the extra `cluster`")
pytestmark = pytest.mark.slow

SCENARIO = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
GRIDS = ("strategy.leverage=2,4", "strategy.trigger=5,never")
DRAWN = ("market.path.method=circular", "market.path.block_rows=15")
PACKAGES = ("framework", "venues", "strategies", "examples")


def plan(paths):
    """Four cells on some paths."""
    return Sweep.of(SCENARIO, GRIDS, DRAWN, paths=paths)


def content(folder):
    """The results, byte for byte."""
    return [(folder / f"results.{kind}").read_bytes() for kind in ("csv", "parquet")]


@contextmanager
def dask(directory, *codes):
    """A scheduler, and a worker for each of the directories of code; yields its address and their processes."""
    file = directory / "scheduler.json"
    place = ["--scheduler-file", str(file)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": directory}
    program = [sys.executable, "-m", "dask"]
    own = {"HOME": str(directory), "CARRYBOOK_CACHE_DIR": str(directory / "cache")}
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    scheduler = subprocess.Popen([*program, "scheduler", *place, *options], **quiet)
    options = ["--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    others = [
        subprocess.Popen(
            [*program, "worker", *place, *options],
            env=os.environ | {"PYTHONPATH": str(code), **own},
            **quiet,
        )
        for code in codes
    ]
    try:
        yield f"tcp://{_address(file, scheduler)}", scheduler, others
    finally:
        for process in (*others, scheduler):
            process.kill()
            process.wait()


def _address(file, scheduler):
    """Where the scheduler listens, once its workers are there."""
    from distributed import Client

    while not file.exists():
        assert scheduler.poll() is None
        time.sleep(0.05)
    with Client(scheduler_file=str(file), timeout=30) as client:
        client.wait_for_workers(1, timeout=60)
        return client.scheduler.address.removeprefix("tcp://")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A scheduler and two workers with this code; tests that end one of them come last."""
    with dask(tmp_path_factory.mktemp("dask"), ROOT, ROOT) as found:
        yield found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The results of one process."""
    return content(sweep(plan(8), tmp_path_factory.mktemp("alone"), jobs=1).folder)


def test_two_workers_give_what_one_process_gives(two, alone, tmp_path, capsys):
    """The command with an address: bit by bit the same."""
    address, _, _ = two
    options = [part for each in GRIDS for part in ("--grid", each)] + ["--method", "circular", "--block-rows", "15"]
    with pytest.raises(SystemExit) as exit_:
        main(["paths", str(SCENARIO), *options, "--paths", "8", "--cluster", address, "--out", str(tmp_path)])
    said = capsys.readouterr()
    assert (exit_.value.code, said.err) == (0, "")
    (folder,) = tmp_path.iterdir()
    assert content(folder) == alone


def test_workers_say_how_many_cells_they_have_played(two, tmp_path):
    """All but the first two of each of the two, of one kind."""
    with workers.cluster(two[0]) as (executor, width):
        swept = sweep(plan(40), tmp_path, width, executor=executor)
    assert (swept.ran, swept.failed, swept.why) == (160, 0, "")
    assert 0 < swept.counts["simulated"] <= 2 * 2 * 2


OWN = """
from attrs import frozen
from framework import Strategy
from size_of_cluster import SIZE


@frozen
class Mine(Strategy):
    def on_start(self, view):
        view.history("close", SIZE)
        return ()

    def on_event(self, event, view):
        return ()
"""


def test_a_strategy_of_a_users_own_travels(two, tmp_path):
    """Workers that have never seen its files run it, with what it imports."""
    (tmp_path / "size_of_cluster.py").write_text("SIZE = 1\n")
    (tmp_path / "own_of_cluster.py").write_text(OWN)
    text = SCENARIO.read_text()
    head = text[: text.index("[strategy]")].replace("look_ahead", "# look_ahead").replace("forgive", "# forgive")
    scenario = tmp_path / "own.toml"
    scenario.write_text(head + '[strategy]\nclass = "own_of_cluster:Mine"\n[venues.hyperliquid]\n')
    own = Sweep.of(scenario, (), DRAWN, paths=4)
    with workers.cluster(two[0]) as (executor, width):
        swept = sweep(own, tmp_path / "out", width, executor=executor)
    assert [row["error"] for row in swept.rows] == [""] * 4


def test_a_worker_that_is_killed_changes_nothing(two, alone, tmp_path):
    """SIGKILL in the middle: the other takes its chunks over."""
    address, _, others = two
    with workers.cluster(address) as (executor, width):
        assert width == 2
        killed = sweep(plan(8), tmp_path, width, once(3, others[0].kill), executor)
    assert others[0].poll() is not None
    assert content(killed.folder) == alone


def test_a_scheduler_that_is_lost_is_one_line_and_what_is_done_is_kept(two, alone, tmp_path):
    """Started again in one process, only the rest is run."""
    address, scheduler, _ = two
    with pytest.raises(RunError) as error, workers.cluster(address) as (executor, width):
        sweep(plan(8), tmp_path, width, once(3, scheduler.kill), executor)
    assert "the cluster was lost; what is finished is kept, start again for the rest" in str(error.value)
    again = sweep(plan(8), tmp_path, jobs=1)
    assert again.ran <= 29
    assert content(again.folder) == alone
    with pytest.raises(RunError, match=f"--cluster {address}: no scheduler answers there"), workers.cluster(address):
        pass


def test_a_worker_with_other_code_is_refused(tmp_path):
    """One line says what it runs and what was expected; nothing looks finished."""
    other = tmp_path / "other"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, other / package, ignore=shutil.ignore_patterns("__pycache__"))
    edited = other / "framework" / "support" / "grid.py"
    edited.write_text(edited.read_text() + "# edited\n")
    with (
        dask(tmp_path, other) as (address, _, _),
        workers.cluster(address) as (executor, width),
        pytest.raises(RunError, match=r"worker on \S+: runs carrybook \w+ on Python .*; expected carrybook \w+ on"),
    ):
        sweep(plan(2), tmp_path / "out", width, executor=executor)
    assert not list((tmp_path / "out").glob("*/results.*"))


def once(least, act):
    """A report of progress that acts when so many cells are done."""
    acted = []

    def on_progress(done, why):
        if done >= least and not acted:
            acted.append(done)
            act()

    return on_progress
