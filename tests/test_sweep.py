"""Sweeps: every cell once, in the order of the grid, whatever happens on the way."""

import csv
import io
import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import Scenario, assemble
from framework.errors import CarrybookError
from framework.many_runs.sweep import Sweep, _finished, _Store, sweep
from framework.performance import figures
from framework.support.text import Sheet
from tests.commands import carrybook
from tests.conftest import ROOT

SCENARIO = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
GRIDS = ("strategy.leverage=2,3,4", "strategy.trigger=3,6,never", "strategy.short=hyperliquid,drift")


def command(capsys, *arguments):
    """Run `carrybook sweep` in this process; returns (exit code, stdout, stderr)."""
    return carrybook(capsys, "sweep", *arguments)


def grids(*texts):
    """Grids as options of the command."""
    return [part for text in texts for part in ("--grid", text)]


def files(folder):
    """The results of a sweep, byte for byte."""
    return {name: (folder / name).read_bytes() for name in ("results.csv", "results.parquet")}


BAD_GRIDS = {
    "no grid": ((), "--grid: none; expected at least one"),
    "no value": (("strategy.leverage=",), "--grid strategy.leverage=: expected KEY=V1,V2,..."),
    "no key": (("=1,2",), "--grid =1,2: expected KEY=V1,V2,..."),
    "no equals": (("strategy.leverage",), "--grid strategy.leverage: expected KEY=V1,V2,..."),
    "an empty value": (("strategy.short=drift,,hyperliquid",), "expected distinct values, none of them empty"),
    "a value twice": (("strategy.leverage=2,3,2",), "expected distinct values, none of them empty"),
    "a key twice": (("strategy.leverage=2", "strategy.leverage=3"), "--grid strategy.leverage: given twice"),
    "an unknown key": (("strategy.lever=2,3",), "strategy.lever: unknown key"),
    "a value that no cell can have": (("strategy.leverage=1,2",), "strategy.leverage: 1.0; expected > 1"),
    "a date beyond the data": (("market.end=2030-01-01",), "market.end 2030-01-01 is after 2026-02-13"),
    "a key below a value": (("capital_usd.x=1",), "capital_usd.x: capital_usd is 10000, not a table"),
}


@pytest.mark.parametrize(("texts", "words"), BAD_GRIDS.values(), ids=BAD_GRIDS)
def test_a_bad_grid_is_refused_before_anything_runs(capsys, tmp_path, texts, words):
    """One line that names the key, and nothing is written."""
    code, printed, complaint = command(capsys, SCENARIO, *grids(*texts), "--out", tmp_path / "sweeps")
    assert (code, printed, complaint.count("\n")) == (2, "", 1)
    assert words in complaint
    assert not (tmp_path / "sweeps").exists()


AXES = {
    "strategy.leverage": (4, 2, 3, 1),
    "strategy.trigger": (2.5, 3, '"never"'),
    "strategy.short": ('"hyperliquid"', '"drift"', '"nowhere"'),
    "market.start": ("2025-02-01", "2025-01-01"),
    "market.end": ("2025-01-10", "2025-02-10", "2030-01-01"),
}
"""Values of which some are never good, some only beside others; trigger with leverage, start with end."""


def refusal(plan):
    """The complaint of a grid by its definition: the first value whose every cell is refused, by its first error."""
    complaints = {}
    for cell in plan.cells():
        try:
            plan.assembly(cell)
            error = None
        except CarrybookError as found:
            error = str(found)
        for key, value in cell.items():
            complaints.setdefault((key, repr(value)), []).append(error)
    return next((errors[0] for errors in complaints.values() if all(errors)), None)


@given(
    st.lists(st.sampled_from(list(AXES)), min_size=1, max_size=4, unique=True).flatmap(
        lambda keys: st.fixed_dictionaries(
            {key: st.lists(st.sampled_from(AXES[key]), min_size=1, unique=True) for key in keys}
        )
    )
)
def test_a_grid_is_refused_as_if_every_cell_had_been_assembled(axes):
    """Whatever is left out of the check: the same value is refused with the same words, or none is."""
    plan = Sweep.of(SCENARIO, [f"{key}={','.join(map(str, values))}" for key, values in axes.items()])
    try:
        plan.check()
        found = None
    except CarrybookError as error:
        found = str(error)
    assert found == refusal(plan)


def test_rows_are_the_cells_in_order_with_their_metrics(tmp_path):
    """The last key varies fastest; each row is what a single run gives."""
    swept = sweep(Sweep.of(SCENARIO, ["strategy.leverage=2,3", "strategy.short=hyperliquid,drift"]), tmp_path, jobs=1)
    assert [(row["strategy.leverage"], row["strategy.short"]) for row in swept.rows] == [
        (2, "hyperliquid"), (2, "drift"), (3, "hyperliquid"), (3, "drift"),
    ]  # fmt: skip
    alone = assemble(Scenario.load(SCENARIO, ["strategy.leverage=3", "strategy.short=drift"]))
    expected = figures(alone.simulation().run())
    assert {name: swept.rows[3][name] for name in expected} == expected
    frame = pd.read_parquet(swept.folder / "results.parquet")
    assert frame["ledger_digest"].tolist() == [row["ledger_digest"] for row in swept.rows]
    with (swept.folder / "results.csv").open(newline="") as file:
        assert [row["run"] for row in csv.DictReader(file)] == [row["run"] for row in swept.rows]


def test_a_cell_has_the_rules_that_its_own_keys_say(tmp_path):
    """Cells share the venues that none of their keys changes, and no others: each is as if it were run alone."""
    keys = ("venues.hyperliquid.taker_fee_bps", "venues.asgard.open_fee_bps", "venues.asgard.bridge.fee_usd")
    plan = Sweep.of(SCENARIO, [f"{key}=0,7" for key in keys])
    for row in sweep(plan, tmp_path, jobs=1).rows:
        run = assemble(Scenario.load(SCENARIO, [f"{key}={row[key]}" for key in keys])).simulation().run()
        assert row["ledger_digest"] == run.ledger.digest


def test_a_combination_that_cannot_be_is_a_row_with_its_error(tmp_path):
    """A trigger below the leverage costs its own cell; the values are fine in others."""
    swept = sweep(Sweep.of(SCENARIO, GRIDS), tmp_path, jobs=2)
    failed = [row for row in swept.rows if row["error"]]
    assert len(swept.rows) == 18
    assert [(row["strategy.leverage"], row["strategy.trigger"]) for row in failed] == [(4, 3), (4, 3)]
    assert {row["error"] for row in failed} == {"strategy.trigger: 3; expected at least the leverage of 4, or never"}
    assert pd.read_parquet(swept.folder / "results.parquet")["error"].astype(bool).sum() == 2
    with (swept.folder / "results.csv").open(newline="") as file:
        assert [row["rows"] for row in csv.DictReader(file)] == ["" if row["error"] else "410" for row in swept.rows]


@pytest.mark.slow
def test_the_result_does_not_depend_on_the_number_of_processes(tmp_path):
    """One process or several: the same bytes."""
    plan = Sweep.of(SCENARIO, [*GRIDS, "capital_usd=1000,10000"])
    found = [files(sweep(plan, tmp_path / str(jobs), jobs=jobs).folder) for jobs in (1, 2, 3)]
    assert found[0] == found[1] == found[2]


def test_started_again_nothing_is_run_twice(tmp_path):
    """A finished sweep is read from its folder."""
    plan = Sweep.of(SCENARIO, GRIDS)
    first, second = sweep(plan, tmp_path, jobs=1), sweep(plan, tmp_path, jobs=1)
    assert (first.ran, second.ran) == (18, 0)
    assert first.rows == second.rows


@pytest.mark.slow
@pytest.mark.parametrize("spoil", ["half a line", "a changed figure", "another cell", "a line twice", "no text"])
def test_what_cannot_be_trusted_is_run_again(tmp_path, spoil):
    """A line that is cut off, changed, foreign or doubled does not count, and the result is that of a whole sweep."""
    plan = Sweep.of(SCENARIO, GRIDS)
    undisturbed = sweep(plan, tmp_path / "whole", jobs=1)
    disturbed = sweep(plan, tmp_path / "spoilt", jobs=1).folder
    cells = disturbed / "cells.jsonl"
    lines = cells.read_bytes().splitlines(keepends=True)
    spoilt, lost = {
        "half a line": ([*lines[:9], lines[9][:50]], 9),
        "a changed figure": ([*lines[:3], lines[3].replace(b'"rows": 410', b'"rows": 411'), *lines[4:]], 1),
        "another cell": ([*lines[:3], lines[3].replace(b'{"cell": 3,', b'{"cell": 4,'), *lines[4:]], 1),
        "a line twice": ([*lines[:5], lines[4], *lines[6:]], 1),
        "no text": ([b"\xff\x00\n"], 18),
    }[spoil]
    cells.write_bytes(b"".join(spoilt))
    again = sweep(plan, tmp_path / "spoilt", jobs=1)
    assert again.ran == lost
    assert files(again.folder) == files(undisturbed.folder)


def test_cells_that_two_processes_have_run_are_drawn_once(tmp_path, monkeypatch):
    """Both add them to the same file, and what one has cut off does not count."""
    plan, add = Sweep.of(SCENARIO, ("strategy.leverage=2,3",)), _Store.add

    def twice(store, finished):
        add(store, finished)
        with (tmp_path / "both" / plan.check() / "cells.jsonl").open("ab") as file:
            file.write(b"".join([*finished.lines, *(line[:50] + b"\n" for line in finished.lines)]))

    whole = files(sweep(plan, tmp_path / "whole", jobs=1).folder)
    monkeypatch.setattr(_Store, "add", twice)
    both = files(sweep(plan, tmp_path / "both", jobs=1).folder)
    assert {**both, "cells.jsonl": b""} == {**whole, "cells.jsonl": b""}


def test_a_sweep_that_starts_keeps_what_another_is_writing(tmp_path):
    """The lines of one that is in the middle of a chunk stay in the file, whatever another found there."""
    plan = Sweep.of(SCENARIO, ("strategy.leverage=2,3",))
    cells, path = plan.cells(), tmp_path / "cells.jsonl"
    lines = plan.finished(list(enumerate(cells))).lines
    with path.open("ab", buffering=0) as running:
        running.write(lines[0] + lines[1][:50])
        assert list(_Store(path, cells).rows) == [0]
        running.write(lines[1][50:])
    assert list(_Store(path, cells).rows) == [0, 1]


def test_what_a_crash_left_half_written_spoils_no_line_behind_it(tmp_path):
    """Cells that are added after it are there when the sweep is started again, and so are their curves."""
    plan = Sweep.of(SCENARIO, ("strategy.leverage=2,3",))
    cells, path = plan.cells(), tmp_path / "cells.jsonl"
    first, second = (plan.finished([each]) for each in enumerate(cells))
    path.write_bytes(first.lines[0][:50])
    store = _Store(path, cells)
    assert not store.rows
    store.add(second)
    assert list(_Store(path, cells).rows) == [1]
    assert list(store.curves) == [1]


def test_a_row_that_is_kept_at_hand_is_the_one_that_comes_back_from_disk(tmp_path):
    """Whatever is in it: what is cut short, started again and put together has the rows of one that was not."""
    plain = [1, 1.5, -0.0, math.inf, "text", "\ud800", True, None]
    values = [*plain, np.float64(0.1), date(2025, 1, 1), (1, 2), [1], {"a": 2}]
    rows = [{"key": value, "curve": {"at_ns": [1], "usd": [2.0]}} for value in values]
    finished = _finished(list(enumerate(rows)))
    store = _Store(tmp_path / "cells.jsonl", [{} for _ in rows])
    store.add(finished)
    back = _Store(tmp_path / "cells.jsonl", [{} for _ in rows])
    assert repr(store.rows) == repr(back.rows)
    assert [row["key"] for row in store.rows.values()][len(plain) :] == [0.1, "2025-01-01", [1, 2], [1], {"a": 2}]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_the_lines_of_workers_are_those_of_one_sheet(tmp_path, size):
    """However they are cut into chunks, some of which lack columns, come late, or were there before."""
    texts = ["", "plain", "two\nlines", "=1+1", 'a "quote", and more', "-1.5", "\u2028", None]
    rows = [{"text": text, "figure": place / 3} for place, text in enumerate(texts)]
    rows += [{"text": "failed", "error": "why"}, {"error": "", "figure": -0.0}, {"text": True, "figure": 10**20}]
    numbered, cells = list(enumerate(rows)), [{} for _ in rows]
    chunks = [numbered[start : start + size] for start in range(0, len(rows), size)]
    store = _Store(tmp_path / "cells.jsonl", cells)
    for chunk in chunks[:2]:
        store.add(_finished(chunk))
    store = _Store(tmp_path / "cells.jsonl", cells)
    for chunk in reversed(chunks[2:]):
        store.add(_finished(chunk))
    whole, names = io.StringIO(), ["text", "figure", "error"]
    sheet = Sheet(whole)
    sheet.writerow(names)
    sheet.writerows([row.get(name) for name in names] for row in rows)
    assert store.sheet([store.rows[index] for index in range(len(rows))], names) == whole.getvalue()


def test_there_are_no_more_processes_than_cells(tmp_path):
    """A thousand need more files than these; more than a thousand are a slip of the keyboard."""
    limited = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (200, 200))
    words = [sys.executable, "-m", "framework.command_line.cli", "sweep", str(SCENARIO), "--json", *grids(GRIDS[0])]
    ends = [
        subprocess.run(
            [*words, "--out", str(tmp_path), "--jobs", jobs],
            cwd=ROOT,
            capture_output=True,
            check=False,
            preexec_fn=limited,
        )
        for jobs in ("1000", "1000000")
    ]
    assert (ends[0].returncode, json.loads(ends[0].stdout)["failed"]) == (0, 0)
    assert (ends[1].returncode, b"1000000 is not in the range 1<=x<=1024" in ends[1].stderr) == (2, True)


@pytest.mark.slow
def test_two_sweeps_at_once_both_end_well(tmp_path):
    """Started one after the other on the same folder: each ends with all cells, and all of them are kept."""
    plan = Sweep.of(SCENARIO, [*GRIDS, "capital_usd=1000,10000,100000"])
    whole = files(sweep(plan, tmp_path / "whole", jobs=1).folder)
    words = [sys.executable, "-m", "framework.command_line.cli", "sweep", str(SCENARIO), "--json", "--jobs", "1"]
    words += [*grids(*GRIDS, "capital_usd=1000,10000,100000"), "--out", str(tmp_path / "both")]
    first = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE)
    cells = tmp_path / "both" / plan.check() / "cells.jsonl"
    while not cells.exists() or not cells.read_bytes():
        assert first.poll() is None
        time.sleep(0.002)
    second = subprocess.run(words, cwd=ROOT, capture_output=True, check=False)
    printed, _ = first.communicate()
    assert (first.returncode, second.returncode) == (1, 1)  # some cells cannot be
    assert {json.loads(each)["sweep"] for each in (printed, second.stdout)} == {str(cells.parent)}
    assert json.loads(second.stdout)["ran"] < json.loads(printed)["ran"]
    assert files(cells.parent) == whole
    assert sweep(plan, tmp_path / "both", jobs=1).ran == 0


@pytest.mark.slow
def test_killed_and_started_again_it_equals_an_undisturbed_sweep(tmp_path):
    """SIGKILL at several moments, then a restart: the same bytes, and less to run."""
    axes = [*GRIDS, "capital_usd=" + ",".join(str(1_000 + 100 * number) for number in range(8))]
    undisturbed = files(sweep(Sweep.of(SCENARIO, axes), tmp_path / "whole", jobs=2).folder)
    for moment in (0, 17):
        out = tmp_path / str(moment)
        words = [
            sys.executable,
            "-m",
            "framework.command_line.cli",
            "sweep",
            str(SCENARIO),
            *grids(*axes),
            "--out",
            str(out),
        ]
        process = subprocess.Popen([*words, "--json"], cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE)
        while process.poll() is None and len(b"".join(map(Path.read_bytes, out.glob("*/cells.jsonl")))) <= moment * 700:
            time.sleep(0.002)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        done = subprocess.run([*words, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1  # some cells fail, as they do in the undisturbed sweep
        summary = json.loads(done.stdout)
        assert summary["cells"] == 144
        assert summary["ran"] < 144 or moment == 0
        assert files(Path(summary["sweep"])) == undisturbed


RAISES = """
from attrs import frozen
from framework import Strategy


@frozen
class Raises(Strategy):
    size: float

    def on_start(self, view):
        if self.size == 2:
            raise RuntimeError("no\\nway")
        if self.size == 3:
            import os
            os.kill(os.getpid(), 9)
        return ()

    def on_event(self, event, view):
        return ()
"""


@pytest.fixture
def raising(tmp_path, monkeypatch):
    """A scenario with a strategy of a user's own that fails in some cells."""
    (tmp_path / "raising_strategy.py").write_text(RAISES)
    text = SCENARIO.read_text()
    head = text[: text.index("[strategy]")].replace("look_ahead", "# look_ahead").replace("forgive", "# forgive")
    (tmp_path / "raising.toml").write_text(
        head + '[strategy]\nclass = "raising_strategy:Raises"\nsize = 1.0\n[venues.hyperliquid]\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "raising_strategy", raising=False)
    return tmp_path / "raising.toml"


def test_a_strategy_that_raises_costs_its_own_cell(raising, tmp_path):
    """Its error is in its row, on one line."""
    swept = sweep(Sweep.of(raising, ["strategy.size=1,2,4"]), tmp_path / "out", jobs=2)
    assert [row["error"] for row in swept.rows] == [
        "",
        "raising_strategy.py, line 12, in on_start, row 1 (2024-12-31): RuntimeError: no way",
        "",
    ]


def test_a_process_that_dies_is_told_and_what_is_finished_is_kept(raising, tmp_path, capsys):
    """One clear line; the folder has no results that look whole."""
    axis = "strategy.size=" + ",".join(map(str, [*range(100, 140), 3]))
    code, printed, complaint = command(capsys, raising, "--grid", axis, "--jobs", 2, "--out", tmp_path / "out")
    assert (code, printed, complaint.count("\n")) == (2, "", 1)
    assert "a worker process died; what is finished is kept" in complaint
    assert list((tmp_path / "out").glob("*/results.*")) == []


def test_an_edited_strategy_is_another_sweep(raising, tmp_path):
    """Rows of a user's older code are not taken for those of the new one."""
    plan = Sweep.of(raising, ["strategy.size=1,4"])
    before = plan.check()
    path = tmp_path / "raising_strategy.py"
    path.write_text(path.read_text() + "# edited\n")
    assert plan.check() != before


def test_an_edited_rulebook_is_another_sweep(tmp_path, monkeypatch):
    """So is one under rules of a user's own that have changed."""
    monkeypatch.syspath_prepend(tmp_path)
    rules = tmp_path / "rules_of_my_own.py"
    rules.write_text("from venues.study import Study\n\n\nclass Mine(Study):\n    pass\n")
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(Scenario.load(SCENARIO, ['rulebook.class="rules_of_my_own:Mine"']).toml())
    plan = Sweep.of(scenario, ["strategy.leverage=2,3"])
    before = plan.check()
    assert plan.check() == before
    rules.write_text(rules.read_text() + "# edited\n")
    assert plan.check() != before


FILES = """
name = "files"
capital_usd = 1_000
[market]
start = 2025-01-01
end = 2025-01-03
[market.sources]
prices = { reader = "table", file = "prices.csv", interval = "1d" }
[market.funding_sources]
rates = { reader = "table", file = "one.csv", columns = { funding_rate = "rate" } }
[rulebook]
class = "study"
[strategy]
class = "capital_rebalance"
long = "asgard"
short = "hyperliquid"
leverage = 3.0
trigger = "never"
[venues.asgard]
[venues.hyperliquid]
funding_rate = "funding_rate"
"""


def test_a_file_of_any_market_of_the_grid_names_the_sweep(tmp_path):
    """Also one that is read for one combination of two values, each of which is elsewhere without it."""
    days = [f"2025-01-0{day}T00:00:00Z" for day in (1, 2, 3)]
    prices = "".join(f"{day},100,101,99,100,0.05,0.08\n" for day in days)
    header = "time,open,high,low,close,sol_lending_apy,usdc_borrowing_apy\n"
    (tmp_path / "prices.csv").write_text(header + prices)
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text("time,rate\n" + "".join(f"{day},0.0001\n" for day in days))
    (tmp_path / "files.toml").write_text(FILES)
    axes = ["market.funding=none,rates", "market.funding_sources.rates.file=one.csv,two.csv"]

    def digest():
        return Sweep.of(tmp_path / "files.toml", axes, data=tmp_path).check()

    before = digest()
    assert before == digest()
    (tmp_path / "two.csv").write_text((tmp_path / "two.csv").read_text().replace("0.0001", "0.0002"))
    assert before != digest()


def test_json_says_where_the_results_are(capsys, tmp_path):
    """One object: the folder, and how many cells there are, failed, and were run; the exit code is 1 for those."""
    code, printed, complaint = command(capsys, SCENARIO, *grids(*GRIDS), "--out", tmp_path, "--json", "--jobs", 1)
    summary = json.loads(printed)
    assert (code, complaint) == (1, "")
    assert {name: summary[name] for name in ("cells", "failed", "ran")} == {"cells": 18, "failed": 2, "ran": 18}
    assert Path(summary["sweep"], "results.csv").is_file()


def test_the_table_shows_keys_figures_and_errors(capsys, tmp_path):
    """In the terminal: one line per cell."""
    _, printed, _ = command(capsys, SCENARIO, *grids(*GRIDS), "--out", tmp_path, "--jobs", 1)
    assert "strategy.leverage" in printed
    assert "expected at least the leverage of 4, or never" in printed
    assert "18 cells, 2 failed, 18 run now" in printed
