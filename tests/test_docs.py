"""Every block of code in the documentation runs as it stands."""

import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import fields

from framework import orders

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = ["metrics", "paths", "own-data", "rules", "tutorial", "extending", "auditing", "exports"]
FOLLOWED = [*(f"docs/{page}.md" for page in PAGES), "README.md"]
SHELL = frozenset("|<>&;$*`")
"""Signs in a command that only a shell can read."""
EXIT_CODES = {"error": 2, "finding": 1}
"""What a console block is marked with -> the exit code of its commands, else 0."""


def commands(block):
    """The commands of a console block, each with the lines that it is shown to print; `...` stands for others."""
    for part in block.split("$ ")[1:]:
        command, *shown = part.splitlines()
        yield command, [line for line in shown if line != "..."]


def shown_by_study():
    """What the page on data shows of `carrybook study`, whose half a minute the README takes already."""
    blocks = [block for _, _, block in BLOCK.findall((ROOT / "docs/data.md").read_text())]
    (lines,) = [shown for block in blocks for command, shown in commands(block) if command == "carrybook study"]
    assert lines
    return lines


@pytest.mark.slow
@pytest.mark.parametrize("page", FOLLOWED)
def test_a_page_can_be_followed_from_top_to_bottom(page, tmp_path, forked):
    """Files are written, commands run and print what is shown, Python runs: all of it in the order of the page."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = ["import os, sys", "sys.path.insert(0, os.getcwd())"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = 0
    for language, info, block in BLOCK.findall((ROOT / page).read_text()):
        if info.startswith("file="):
            (tmp_path / info.removeprefix("file=")).write_text(block)
        elif language == "console":
            for command, shown in commands(block):
                further = shown_by_study() if command.startswith("carrybook study ") else []
                if not shutil.which(command.split()[0], path=path):
                    assert command.startswith("hledger ")  # a package of the system, which may be absent
                    continue
                ran += 1
                environment = os.environ | {"PATH": path, "CARRYBOOK_DATA": str(tmp_path / "store")}
                if command.startswith("carrybook ") and not SHELL.intersection(command):
                    done = forked.run(shlex.split(command)[1:], tmp_path, environment)
                else:
                    shell = ["bash", "-c", command]
                    done = subprocess.run(
                        shell, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
                    )
                assert done.returncode == EXIT_CODES.get(info, 0), done.stderr
                for line in [*shown, *further]:
                    assert line in done.stdout + done.stderr
        elif language == "python" and not block.startswith("@"):
            script.append(block)
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert ran


def test_the_strategy_in_the_readme_is_the_example():
    """The README's strategy is a piece of the example's file, in 20 lines."""
    blocks = [block for language, _, block in BLOCK.findall((ROOT / "README.md").read_text()) if language == "python"]
    (shown,) = [block for block in blocks if block.startswith("@frozen")]
    assert shown in (ROOT / "examples/funding_gate/strategy.py").read_text()
    assert len([line for line in shown.splitlines() if line.strip()]) <= 20


def test_the_two_commands_are_marked():
    """Each of the README's two commands is one line in a block directly after its mark."""
    text = (ROOT / "README.md").read_text()
    for mark in ("run", "test"):
        assert len(re.findall(rf"<!-- {mark} -->\n```\n[^\n]+\n```\n", text)) == 1


def test_the_tutorial_has_every_order_with_its_fields():
    """In the order in which they are given."""
    section = (ROOT / "docs/tutorial.md").read_text().partition("### Orders\n")[2].partition("\n## ")[0]
    table = dict(re.findall(r"^\| `(\w+)\((.*?)\)` \|", section, re.MULTILINE))
    shown = {name: [each.partition("=")[0] for each in given.split(", ")] for name, given in table.items()}
    kinds = [each for each in vars(orders).values() if inspect.isclass(each) and issubclass(each, orders.Order)]
    assert shown == {each.__name__: [one.name for one in fields(each)] for each in kinds if each is not orders.Order}


def test_decisions_are_numbered_without_gaps():
    """Decision pages are numbered from 0001 on."""
    pages = sorted(path.name for path in (ROOT / "docs/decisions").glob("*.md"))
    assert [page[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
