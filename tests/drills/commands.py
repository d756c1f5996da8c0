"""The commands that write something, as processes of their own: what they are given, and what they leave."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from attrs import frozen

from tests import sources
from tests.runs import ROOT, run_and_save

STATIC, ROBUST = (ROOT / "examples" / name / "scenario.toml" for name in ("static", "robust_trigger"))
DAYS = 3
GROWING = ("manifest.json", "cells.jsonl", ".jsonl", ".lock")
"""What is no whole file at any time, or says where and when it was written."""


@frozen
class Given:
    """What commands read: a finished run, a file of prices, and a source of market data."""

    run: Path
    prices: Path
    url: str


def given(place: Path) -> Iterator[Given]:
    """What commands read, below a directory, for as long as the source answers."""
    _, run = run_and_save("static", place / "runs")
    prices = place / "own.csv"
    lines = [f"2025-01-{1 + hour // 24:02}T{hour % 24:02}:00:00Z,100,101,99,100" for hour in range(24 * DAYS)]
    prices.write_text("\n".join(["time,open,high,low,close", *lines]) + "\n")
    with sources.Host(sources.hyperliquid(sources.candles(DAYS), sources.payments(DAYS), page=20)) as host:
        yield Given(run, prices, host.url)


COMMANDS: dict[str, Callable[[Path, Given], list[object]]] = {
    "run": lambda out, _: ["run", STATIC, "--out", out],
    "sweep": lambda out, _: ["sweep", STATIC, "--grid", "strategy.leverage=1.5,2,3", "--jobs", 2, "--out", out],
    "paths": lambda out, _: [
        "paths", ROBUST, "--set", "market.end=2025-04-30", "--paths", 4, "--jobs", 2, "--out", out,
    ],
    "fetch": lambda _, given: [
        "fetch", "hyperliquid", "--interval", "1d", "--from", "2025-01-01", "--to", f"2025-01-0{DAYS}",
        "--base-url", given.url, "--wait-scale", 0.001,
    ],
    "export": lambda out, given: ["export", given.run, "--format", "csv", "--out", out],
    "report": lambda out, given: ["report", given.run, "--out", out / "page.html"],
    "import": lambda _, given: ["data", "import", given.prices, "--kind", "prices", "--coin", "ETH", "--yes"],
}  # fmt: skip
"""Name -> the command that writes below a directory, or into the store there."""


def started(name: str, out: Path, given: Given, **options: Any) -> "subprocess.Popen[bytes]":
    """A command that has been started, with a store of its own below `out`."""
    if name in ("report", "export"):
        out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "framework.command_line.start", *map(str, COMMANDS[name](out, given))]
    found = os.environ | {"CARRYBOOK_DATA": str(out), "PYTHONPATH": str(ROOT)}
    plain = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": ROOT, "env": found}
    plain["preexec_fn"] = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it
    return subprocess.Popen(command, **(plain | options))


def contents(place: Path) -> dict[str, str]:
    """What is visible below a directory, by digest; without what grows, or says where and when it was written."""
    return {
        path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file() and not path.name.endswith(GROWING) and not _hidden(path.relative_to(place))
    }


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts) or "quarantine" in path.parts


def half_written(place: Path, expected: dict[str, str]) -> list[str]:
    """What passes for finished and is not: visible files that are not those of a command that was left alone."""
    found = contents(place) if place.exists() else {}
    wrong = [name for name, digest in found.items() if expected.get(name) != digest]
    folders = {each.parent for each in place.rglob("manifest.json") if not _hidden(each.relative_to(place))}
    return wrong + [str(each) for each in folders if len(list(each.iterdir())) != 8]
