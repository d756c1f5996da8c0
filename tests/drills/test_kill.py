"""Kills: at any moment, by any signal, nothing half-written passes for finished, and a retry gives the same bytes."""

import hashlib
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.drills import chance, tell, times
from tests.runs import ROOT, run_and_save

pytestmark = [pytest.mark.slow, pytest.mark.drill]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SCENARIO = ROOT / "examples" / "static" / "scenario.toml"


def carrybook(command: list[object]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "framework.command_line.cli", *map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )


def contents(place: Path) -> dict[str, str]:
    """What is visible below a directory, by digest; a manifest says where things lie, which is no content."""
    return {
        path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.name != "manifest.json" and not any(part.startswith(".") for part in path.parts)
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return run_and_save("static", tmp_path_factory.mktemp("runs"))[1]


COMMANDS: dict[str, Callable[[Path, Path], list[object]]] = {
    "run": lambda out, _: ["run", SCENARIO, "--out", out],
    "sweep": lambda out, _: [
        "sweep", SCENARIO, "--grid", "strategy.leverage=1.5,2,3", "--jobs", "2", "--out", out,
    ],
    "export": lambda out, saved: ["export", saved, "--format", "csv", "--out", out],
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_killed_leaves_nothing_that_looks_finished(capsys, tmp_path, saved, name) -> None:
    dice, counts = chance(f"kill {name}"), Counter[str]()
    whole = tmp_path / "whole"
    started = time.monotonic()
    with carrybook(COMMANDS[name](whole, saved)) as undisturbed:
        assert undisturbed.wait(120) == 0
    lasts_s, expected = time.monotonic() - started, contents(whole)
    assert expected
    for number in range(times(2)):
        out, how = tmp_path / str(number), dice.choice(SIGNALS)
        with carrybook(COMMANDS[name](out, saved)) as process:
            time.sleep(dice.uniform(0.1, 1.1) * lasts_s)
            process.send_signal(how)
            assert process.stderr
            said = process.stderr.read()
            code = process.wait(60)
        if how is not signal.SIGINT:  # which Python itself reports while it loads modules and while it ends
            assert b"Traceback" not in said, (how, said)
        assert code in (0, -how, 130, 2), (how, code, said)
        counts[f"{how.name} {'too late' if code == 0 else 'in time'}"] += 1
        finished = [each.parent for each in out.rglob("manifest.json") if not each.parent.name.startswith(".")]
        for folder in finished:
            assert len(list(folder.iterdir())) == 8
        with carrybook(COMMANDS[name](out, saved)) as retry:
            assert retry.wait(120) == 0
        found = contents(out)
        found = {key: value for key, value in found.items() if not key.endswith("cells.jsonl")}
        assert found == {key: value for key, value in expected.items() if not key.endswith("cells.jsonl")}
    tell(capsys, f"kills of {name}", counts)


def test_two_processes_on_one_run_both_end_well(capsys, tmp_path) -> None:
    """One result, and no moment at which there is none once there was one."""
    counts, expected = Counter[str](), 0
    for number in range(times(1)):
        out = tmp_path / str(number)
        both = [carrybook(COMMANDS["run"](out, out)) for _ in range(3)]
        seen = False
        while any(process.poll() is None for process in both):
            there = any(not each.parent.name.startswith(".") for each in out.glob("*/manifest.json"))
            assert there or not seen
            seen = there
            counts["looks"] += 1
        for process in both:
            assert process.stderr
            expected |= process.wait()
            assert process.stderr.read() == b""
            process.stderr.close()
        (folder,) = [each for each in out.iterdir() if not each.name.startswith(".")]
        assert len(list(folder.iterdir())) == 8
        assert len(list(out.iterdir())) == 1
    assert expected == 0
    tell(capsys, "together", counts)
