"""Every example is a folder of one shape, and prints what lies beside it."""

import re
import tomllib

import pytest

from examples.study.study import SOURCES
from framework.command_line.cli import main
from tests.runs import EXAMPLES, ROOT, data_of


def test_examples_are_found():
    """There are examples at all."""
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_its_expected_output(name, capsys, monkeypatch, tmp_path):
    """The report of each example, on the embedded data if it has any, is the one in its folder to the letter.

    All but the digest that names the run: it changes with every line of the project. After a wanted change: `carrybook
    run examples/NAME/scenario.toml | sed 's,^Run runs/.*,Run runs/...,' > examples/NAME/expected.txt`; an example
    without embedded data needs `--data DIR` as well.
    """
    monkeypatch.chdir(ROOT)
    example = ROOT / "examples" / name
    assert (example / "README.md").is_file()
    command = ["run", str(example / "scenario.toml"), "--out", str(tmp_path)]
    data = data_of(name)
    command += ["--data", str(data)] if data else []
    with pytest.raises(SystemExit):
        main(command)
    printed = capsys.readouterr().out.replace(str(tmp_path), "runs")
    printed = re.sub(r"(?m)^Run runs/[0-9a-f]{64}$", "Run runs/...", printed)
    assert printed == (example / "expected.txt").read_text()


def files_told(page):
    """Example -> the names of the files that the page's table says are in the directory of its data."""
    rows = [line.split("|")[1:4] for line in page.splitlines() if "](../examples/" in line]
    return {
        example: set(re.findall(r"`([\w/-]+\.(?:csv|json))`", files))
        for examples, _, files in rows
        for example in re.findall(r"\(\.\./examples/(\w+)\)", examples)
    }


def files_named(table):
    """Every file that a scenario names, wherever in its market."""
    below = [files_named(value) for value in table.values() if isinstance(value, dict)]
    return set().union({table["file"]} if "file" in table else (), *below)


def test_the_page_on_data_says_which_files_each_example_takes():
    """No more and no fewer, each with what is read of it in the table below; so for the study's own command."""
    page = (ROOT / "docs" / "data.md").read_text()
    markets = {
        name: tomllib.loads((ROOT / "examples" / name / "scenario.toml").read_text())["market"] for name in EXAMPLES
    }
    told = files_told(page)
    assert told == {name: files_named(market) for name, market in markets.items()}
    assert told["static"] == files_named(SOURCES)
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    described = {name for cell in cells for name in re.findall(r"`([\w-]+\.(?:csv|json))`", cell)}
    assert described == {file.rpartition("/")[2] for files in told.values() for file in files}
    for name, market in markets.items():
        (row,) = [line for line in page.splitlines() if f"(../examples/{name})" in line]
        assert ("does not run" in row) is ("embedded" not in market)
