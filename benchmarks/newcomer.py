"""A newcomer's path: the README's six commands, from a fresh clone without anything of the user's, each timed."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from benchmarks.figures import Figure
from benchmarks.inputs import ROOT

KEPT = ("PATH", "PIP_CERT", "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "SSL_CERT_FILE", "HTTPS_PROXY")
"""What of the environment a newcomer has as well: where programs and packages are."""


def newcomer(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """Install and run, look, change a key, compare and share; a `tiny` one has it installed, and runs two commands."""
    install, *further = commands((ROOT / "README.md").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        place, home = Path(scratch) / "clone", Path(scratch) / "home"
        home.mkdir()
        environment = {name: os.environ[name] for name in KEPT if name in os.environ} | {"HOME": str(home)}
        if tiny:
            place.mkdir()
            (place / "examples").symlink_to(ROOT / "examples")
            programs = Path(sys.executable).parent
            environment |= {"PYTHONPATH": str(ROOT)}
            install, further = install.rpartition("&& ")[2].replace(".venv/bin/", ""), further[:1]
        else:
            git = shutil.which("git") or "git"
            subprocess.run([git, "clone", "-q", ROOT, place], check=True)  # noqa: S603
            programs = place / ".venv/bin"
        environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
        spent = 0.0
        for command in (install, *further):
            began = perf_counter()
            subprocess.run(["/bin/sh", "-c", command], cwd=place, env=environment, check=True, capture_output=True)  # noqa: S603
            took = perf_counter() - began
            spent += took
            name = "install and run" if command == install else " ".join(command.split()[:2])
            yield Figure(name=f"newcomer: {name}, {command.split()[-1]}", value=took, unit="s")
        yield Figure(name="newcomer: all of them", value=spent, unit="s", target=120)


def commands(readme: str) -> list[str]:
    """The six commands of the README: the one that installs and runs, and the five that follow it."""
    before, _, after = readme.partition("<!-- six commands -->")
    (install,) = re.findall(r"<!-- run -->\n```\n([^\n]+)\n```", before)
    block = after.partition("```console\n")[2].partition("```")[0]
    return [install, *(line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ "))]
