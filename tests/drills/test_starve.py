"""Starvation: a full disk, no right to write, few descriptors, little memory, no directory, nobody who reads.

Each command ends with a result or one line, soon, and leaves nothing half-written that looks finished.
"""

import ctypes
import os
import resource
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from framework.support.text import LINE
from tests.drills import HANGS_S, chance, tell, times
from tests.drills.commands import COMMANDS, Given, contents, half_written, started

pytestmark = [pytest.mark.slow, pytest.mark.drill]
DROP_BOUND, OVERRIDES = 24, (1, 2)
"""`prctl` by which root loses a capability for good, and those by which it writes and reads where it may not."""
MIB = 1 << 20


def limited(kind: int, most: int) -> Callable[[], None]:
    """What gives a process that is about to start no more than this."""
    return lambda: resource.setrlimit(kind, (most, most))


def bound() -> None:
    """What lets permissions bind root as well."""
    for each in OVERRIDES:
        ctypes.CDLL(None).prctl(DROP_BOUND, each, 0, 0, 0)


@contextmanager
def small_files(_: Path, dice: Random) -> Iterator[dict[str, Any]]:
    """A quota by the size of files."""
    yield {"preexec_fn": limited(resource.RLIMIT_FSIZE, int(2 ** dice.uniform(0, 18)))}


@contextmanager
def few_descriptors(_: Path, dice: Random) -> Iterator[dict[str, Any]]:
    yield {"preexec_fn": limited(resource.RLIMIT_NOFILE, dice.choice((8, 12, 16, 20, 24, 32, 48, 64)))}


@contextmanager
def little_memory(_: Path, dice: Random) -> Iterator[dict[str, Any]]:
    """As much as modules take, and somewhat more; libraries of others may say what they like before that."""
    yield {"preexec_fn": limited(resource.RLIMIT_AS, dice.randrange(900, 1600) * MIB)}


@contextmanager
def full_disk(out: Path, dice: Random) -> Iterator[dict[str, Any]]:
    """A small file system of its own."""
    size = int(2 ** dice.uniform(13, 19))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", out], check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield {}
    finally:
        subprocess.run(["umount", "--lazy", out], check=True)


@contextmanager
def read_only(out: Path, _: Random) -> Iterator[dict[str, Any]]:
    """A directory of one's own without the right to write."""
    out.chmod(0o500)
    try:
        yield {"preexec_fn": bound}
    finally:
        out.chmod(0o700)


@contextmanager
def unowned(out: Path, _: Random) -> Iterator[dict[str, Any]]:
    """Somebody else's directory."""
    if os.getuid():
        pytest.skip("needs the right to give a directory away")
    os.chown(out, 65534, 65534)
    out.chmod(0o755)
    try:
        yield {"preexec_fn": bound}
    finally:
        os.chown(out, 0, 0)


@contextmanager
def no_directory(out: Path, _: Random) -> Iterator[dict[str, Any]]:
    """A working directory that has been deleted."""
    gone = out.parent / "gone"
    gone.mkdir()
    here = os.open(gone, os.O_RDONLY)
    gone.rmdir()
    try:
        yield {"cwd": None, "preexec_fn": lambda: os.fchdir(here)}
    finally:
        os.close(here)


@contextmanager
def closed_output(_: Path, dice: Random) -> Iterator[dict[str, Any]]:
    """Nobody reads, nothing is there to write to, or it is full."""
    match dice.randrange(3):
        case 0:
            yield {"stdout": None, "preexec_fn": lambda: os.close(1)}
        case 1:
            with Path("/dev/full").open("wb") as full:
                yield {"stdout": full}
        case _:
            read, write = os.pipe()
            os.close(read)
            try:
                yield {"stdout": write}
            finally:
                os.close(write)


WANTS: dict[str, Callable[[Path, Random], Any]] = {
    "small files": small_files,
    "full disk": full_disk,
    "read-only": read_only,
    "unowned": unowned,
    "few descriptors": few_descriptors,
    "little memory": little_memory,
    "no directory": no_directory,
    "closed output": closed_output,
}


@pytest.fixture(scope="module")
def expected(given: Given, tmp_path_factory) -> Callable[[str], dict[str, str]]:
    """What each command leaves that lacks nothing."""
    found: dict[str, dict[str, str]] = {}

    def of(name: str) -> dict[str, str]:
        if name not in found:
            place = tmp_path_factory.mktemp("whole") / name
            with started(name, place, given) as whole:
                assert whole.wait(120) == 0
            found[name] = contents(place)
        return found[name]

    return of


@pytest.mark.parametrize("want", WANTS)
def test_a_command_that_lacks_something_says_so_in_a_line(capsys, tmp_path, given, expected, want) -> None:
    dice, counts = chance(f"starve {want}"), Counter[str]()
    for number in range(times(1)):
        name, out = dice.choice(list(COMMANDS)), tmp_path / str(number)
        whole = expected(name)
        out.mkdir()
        with WANTS[want](out, dice) as options, started(name, out, given, start_new_session=True, **options) as process:
            try:
                said = process.communicate(timeout=HANGS_S * (3 + os.getloadavg()[0]))[1]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                pytest.fail(f"{name} does not end")
            code = process.returncode
            assert b"Traceback" not in said, (name, said)
            assert code in (0, 1, 2, 141), (name, code, said)
            if code == 2:
                assert said.count(b"\n") <= 1, (name, said)
                assert len(said) <= LINE + 20
            assert half_written(out, whole) == [], (name, code, said)
        counts[f"{'ended well' if code == 0 else 'refused' if code == 2 else f'code {code}'}"] += 1
    tell(capsys, f"starved of {want}" if want.startswith(("few", "little")) else want, counts)
