"""Together: two processes that write the same both end well, with one result."""

import time
from collections import Counter

import pytest

from tests.drills import tell, times
from tests.drills.commands import COMMANDS, contents, half_written, started

pytestmark = [pytest.mark.slow, pytest.mark.drill]
WAITS = b"another process is adding to it; expected one at a time\n"
"""What is said where a series of the store is being written: a fetch may take hours, so nobody waits for it."""


@pytest.mark.parametrize("name", COMMANDS)
def test_two_processes_on_the_same_both_end_well(capsys, tmp_path, given, name) -> None:
    """And there is no moment without a result once there was one, nor one with half of it."""
    counts, whole = Counter[str](), tmp_path / "whole"
    with started(name, whole, given) as alone:
        assert alone.wait(120) == 0
    expected = contents(whole)
    for number in range(times(1)):
        out = tmp_path / str(number)
        both = [started(name, out, given) for _ in range(2)]
        seen: set[str] = set()
        while any(process.poll() is None for process in both):
            there = set(contents(out)) if out.exists() else set()
            assert there >= seen
            seen = there
            counts["looks"] += 1
            time.sleep(0.01)
        codes = []
        for process in both:
            assert process.stderr
            said = process.stderr.read()
            process.stderr.close()
            codes.append(process.wait())
            assert said == b"" or (codes[-1], said.endswith(WAITS), said.count(b"\n")) == (2, True, 1), said
            counts["ended well" if codes[-1] == 0 else "refused"] += 1
        assert min(codes) == 0
        assert contents(out) == expected
        assert half_written(out, expected) == []
    tell(capsys, f"{name} together", counts)
