"""Interrupts while modules load and at the very end: the process ends at once, and says nothing."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from framework.support.interrupts import end_at_interrupts, ended_by_interrupts
from tests.runs import ROOT

INTERRUPTED = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(20)\n"


def ended(tmp_path, *command):
    """The exit code and what was said, of a command that finds modules in `tmp_path` first."""
    found = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": found}, capture_output=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("library", ["click", "pyarrow"])
def test_an_interrupt_while_a_library_loads_is_quiet(tmp_path, library):
    """Of the command line itself, and of a subcommand."""
    (tmp_path / f"{library}.py").write_text(INTERRUPTED)
    command = [sys.executable, "-m", "framework.command_line.start", "run", "nowhere.toml"]
    assert ended(tmp_path, *command) == (-signal.SIGINT, b"")


def test_an_interrupt_at_the_end_is_quiet(tmp_path):
    """After the last line, while libraries end."""
    code = f"import atexit\natexit.register(lambda: exec({INTERRUPTED!r}))\n"
    code += "import sys; sys.argv[1:] = ['--version']\nfrom framework.command_line.start import main; main()"
    code, said = ended(tmp_path, sys.executable, "-c", code)
    assert (code, b"version" in said, said.count(b"\n")) == (-signal.SIGINT, True, 1)


def test_interrupts_are_as_before_afterwards_and_left_to_whoever_handles_them():
    """In the main thread; in another nothing changes."""
    with ended_by_interrupts():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ended_by_interrupts():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(end_at_interrupts()))
    thread.start()
    thread.join()
    assert (answers, signal.getsignal(signal.SIGINT)) == ([False], signal.default_int_handler)
