"""Cold starts: the whole process of a run on the embedded data, and of an import."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter

from benchmarks import inputs
from benchmarks.figures import Figure, medians

COMMAND = "import sys; from framework.command_line import main; main(sys.argv[1:])"
"""What the command `carrybook` does."""


def cold(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """Medians of processes that are started one after the other, on files that have been read before."""
    with tempfile.TemporaryDirectory() as runs:
        actions = {
            "python": _process("pass"),
            "import": _process("import framework"),
            "run": _process(COMMAND, "run", str(inputs.DAILY), "--out", runs),
        }
        found = medians(1 if tiny else 7, actions, perf_counter)
    words = f"of which {found['python']:.2f} s are Python's own"
    yield Figure(name="carrybook run from a cold start", value=found["run"], unit="s", target=1.0, words=words)
    yield Figure(name="import of framework, whole process", value=found["import"], unit="s", target=0.4)


def _process(code: str, *arguments: str) -> Callable[[], object]:
    command: Sequence[str] = [sys.executable, "-c", code, *arguments]
    return lambda: subprocess.run(command, cwd=inputs.ROOT, check=True, capture_output=True)  # noqa: S603
