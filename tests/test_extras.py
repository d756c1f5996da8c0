"""One install line has what the README's commands need, and an error for what is absent names the extra that has it."""

import re
import sys
import tomllib

import pytest

from framework.command_line.cli import main
from tests.runs import ROOT

EXAMPLE = str(ROOT / "examples" / "robust_trigger" / "scenario.toml")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def names(extra):
    """The distributions of an extra, those of the extras that it names among them."""
    found = set()
    for each in EXTRAS[extra]:
        own = re.fullmatch(r"carrybook\[(.+)\]", each)
        found |= set().union(*map(names, own[1].split(","))) if own else {re.match(r"[\w-]+", each)[0]}
    return found


def test_the_install_line_of_the_readme_has_all_that_its_commands_need():
    """Fetching, SQL, bean-check and the tests of a new strategy; the developers' extra has no less."""
    page = (ROOT / "README.md").read_text()
    (line,) = re.findall(r"<!-- run -->\n```\n(.*)\n```", page)
    assert "pip install -q '.[all]'" in line
    assert names("all") >= names("fetch") | names("report") | names("sql") | {"beancount", "pytest"}
    assert names("dev") > names("all")


@pytest.mark.parametrize(
    ("library", "arguments", "extra"),
    [
        (
            "optuna",
            (
                "choose",
                f"{ROOT}/examples/robust_trigger/scenario.toml",
                "--paths",
                "2",
                "--space",
                "strategy.leverage=2:3",
            ),
            "search",
        ),
        ("bokeh", ("report", "RUN"), "report"),
        ("duckdb", ("sql", "RUN"), "sql"),
        ("jinja2", ("report", "RUN"), "report"),
        ("httpx2", ("fetch", "hyperliquid", "--coin", "SOL", "--interval", "1d", "--from", "2025-01-01"), "fetch"),
        ("filelock", ("fetch", "hyperliquid", "--coin", "SOL", "--interval", "1d", "--from", "2025-01-01"), "fetch"),
        ("tenacity", ("fetch", "jito", "--from", "2025-01-01"), "fetch"),
    ],
)
def test_a_library_that_is_absent_is_told_with_its_extra(capsys, monkeypatch, saved, library, arguments, extra):
    """One line, before anything is fetched or asked."""
    for name in [each for each in sys.modules if each.startswith("framework.data.fetching")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    _, folder = saved("static")
    with pytest.raises(SystemExit) as exit_:
        main([str(folder) if each == "RUN" else each for each in arguments])
    said = capsys.readouterr().err
    assert (exit_.value.code, said.count("\n")) == (2, 1)
    assert f"pip install '.[{extra}]'" in said
