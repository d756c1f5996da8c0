"""Every example is a folder of one shape, and prints what lies beside it."""

import pytest

from framework.command_line import main
from tests.runs import EXAMPLES, ROOT, data_of


def test_examples_are_found():
    """There are examples at all."""
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_its_expected_output(name, capsys, monkeypatch, tmp_path):
    """The report of each example, on the embedded data if it has any, is the one in its folder to the letter.

    After a wanted change: `carrybook run examples/NAME/scenario.toml > examples/NAME/expected.txt`; an example without
    embedded data needs `--data DIR` as well.
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
    assert printed == (example / "expected.txt").read_text()
