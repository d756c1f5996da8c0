"""Drills: kill it, corrupt it, lie to it, starve it; each is seeded and says its seed and what it counted.

They are short by default. `CARRYBOOK_DRILLS` is a factor for how often each is tried, such as 50 over night, and
`CARRYBOOK_DRILLS_SEED` another seed. A case that fails is written into the message, to be kept as a test of its own.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import FrameType

import pytest

from framework.command_line.cli import main
from framework.support.text import LINE

SEED = int(os.environ.get("CARRYBOOK_DRILLS_SEED", "17"))
FACTOR = float(os.environ.get("CARRYBOOK_DRILLS", "1"))
FINDINGS = ("error: ", "warning: ")
"""What the lines before that of a refusal begin with, if there are any."""
HANGS_S = 10
"""How long one answer may take, before it counts as none."""


def times(count: int) -> int:
    """How often something is tried."""
    return max(1, round(count * FACTOR))


def chance(name: str) -> Random:
    """The dice of a drill."""
    return Random(f"{SEED} {name}")  # noqa: S311  (a drill is to be repeated)


def tell(capsys: pytest.CaptureFixture[str], name: str, counts: Counter[str]) -> None:
    """Say what a drill has counted."""
    with capsys.disabled():
        told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        sys.stdout.write(f"\n{name}, seed {SEED}: {told}\n")


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raises `TimeoutError` where something hangs."""

    def ring(_: int, __: FrameType | None) -> None:
        raise TimeoutError(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def answer(capsys: pytest.CaptureFixture[str], *command: object) -> tuple[int, str]:
    """The exit code and the output of a command, which is a result, findings, or one line about a mistake.

    A traceback, a hang, more than a line beside the output or one that steers a terminal fails the test.
    """
    with alarm(HANGS_S * (1 + os.getloadavg()[0])), pytest.raises(SystemExit) as ended:
        main([str(each) for each in command])
    said = capsys.readouterr()
    code = ended.value.code or 0
    assert isinstance(code, int)
    assert code in (0, 1, 2), said
    if code == 2:
        lines = [line for line in said.err.splitlines() if not line.startswith(FINDINGS)]
        assert len(lines) == 1, said.err
        assert len(lines[0]) <= LINE + 20
    assert all(each.isprintable() or each in "\n\t" for each in said.out + said.err)
    return code, said.out
