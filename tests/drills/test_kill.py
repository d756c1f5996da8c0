"""Kills: at any moment, by any signal, nothing half-written passes for finished, and a retry gives the same bytes."""

import shutil
import signal
import time
from collections import Counter

import pytest

from tests.drills import chance, tell, times
from tests.drills.commands import COMMANDS, contents, half_written, started

pytestmark = [pytest.mark.slow, pytest.mark.drill]
MOST_TRIES = 4
"""How often it is tried to kill a command while it runs, for each time that it has to succeed."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_killed_leaves_nothing_that_looks_finished(capsys, tmp_path, given, name) -> None:
    dice, counts = chance(f"kill {name}"), Counter[str]()
    whole = tmp_path / "whole"
    begun = time.monotonic()
    with started(name, whole, given) as undisturbed:
        assert undisturbed.stderr
        said = undisturbed.stderr.read()
        assert undisturbed.wait(120) == 0, said
    lasts_s, expected = time.monotonic() - begun, contents(whole)
    assert expected
    wanted, in_time = times(1), 0
    for number in range(MOST_TRIES * wanted):
        out, how = tmp_path / str(number), dice.choice(SIGNALS)
        with started(name, out, given) as process:
            time.sleep(dice.uniform(0.1, 1.0) * lasts_s)
            process.send_signal(how)
            assert process.stderr
            said = process.stderr.read()
            code = process.wait(60)
        assert b"Traceback" not in said or b"command_line" not in said, (how, said)  # but while Python itself starts
        assert code in (0, -how, 130, 2), (how, code, said)
        counts[f"{how.name} {'too late' if code == 0 else 'in time'}"] += 1
        in_time += code != 0
        assert half_written(out, expected) == []
        begun = time.monotonic()
        with started(name, out, given) as retry:
            assert retry.stderr
            said = retry.stderr.read()
            assert retry.wait(120) == 0, said
        lasts_s = min(lasts_s, time.monotonic() - begun)  # on a busy machine one that takes long is not the measure
        assert contents(out) == expected
        shutil.rmtree(out)
        if in_time == wanted:
            break
    tell(capsys, f"kills of {name}", counts)
