"""Cold starts: the whole process of a run on the embedded data, and of an import."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter

from benchmarks import inputs
from benchmarks.figures import Figure, children_time, medians

COMMAND = "import sys; from framework.command_line.cli import main; main(sys.argv[1:])"
"""What the command `carrybook` does."""


def cold(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """Medians of processes that are started one after the other, on files that have been read before."""
    times = 1 if tiny else 5
    with tempfile.TemporaryDirectory() as runs:
        actions = {
            "python": _process("pass"),
            "import": _process("from framework import Strategy"),
            "run": _process(COMMAND, "run", str(inputs.DAILY), "--out", runs),
        }
        waited, worked = medians(times, actions, perf_counter), medians(times, actions, children_time)
    for name, action, target in (
        ("carrybook run from a cold start", "run", 1.0),
        ("import of framework, whole process", "import", 0.4),
    ):
        words = f"{worked[action]:.2f} s of processor time, of which Python's own start {worked['python']:.2f} s"
        yield Figure(name=name, value=waited[action], unit="s", target=target, words=words)


def _process(code: str, *arguments: str) -> Callable[[], object]:
    command: Sequence[str] = [sys.executable, "-c", code, *arguments]
    return lambda: subprocess.run(command, cwd=inputs.ROOT, check=True, capture_output=True)  # noqa: S603
