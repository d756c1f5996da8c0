"""Every example is a folder of one shape, and prints what lies beside it."""

from pathlib import Path

import pytest

from framework import Scenario
from framework.command_line import main

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/scenario.toml"))


def test_examples_are_found():
    """There are examples at all."""
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_prints_its_expected_output(example, capsys, monkeypatch, tmp_path, request):
    """The report of each example, on the embedded data if it has any, is the one in its folder to the letter.

    After a wanted change: `carrybook run examples/NAME/scenario.toml > examples/NAME/expected.txt`; an example without
    embedded data needs `--data DIR` as well.
    """
    monkeypatch.chdir(ROOT)
    assert (example / "README.md").is_file()
    command = ["run", str(example / "scenario.toml"), "--out", str(tmp_path)]
    if Scenario.load(example / "scenario.toml").market.embedded is None:
        command += ["--data", str(request.getfixturevalue("market_data"))]
    with pytest.raises(SystemExit):
        main(command)
    printed = capsys.readouterr().out.replace(str(tmp_path), "runs")
    assert printed == (example / "expected.txt").read_text()
