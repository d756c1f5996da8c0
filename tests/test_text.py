"""Text from outside: no terminal is steered by it, no line is endless, and no encoding or closed output ends badly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.command_line.cli import main
from framework.support.grid import Grid, Terminal, terminal
from framework.support.text import LINE, one_line, plain, say, shown
from tests.runs import ROOT, run_and_save

ESC = "\x1b[2J\x1b]0;owned\x9b31m\u202e\u2066"
SCENARIO = ROOT / "examples" / "static" / "scenario.toml"


@given(st.text(), st.sampled_from(["utf-8", "ascii", "latin-1", "cp1252"]))
def test_what_is_plain_cannot_steer_and_can_be_encoded(text, encoding) -> None:
    made = plain(text, encoding)
    assert all(each.isprintable() or each in "\n\t" for each in made)
    made.encode(encoding)
    assert plain(made, encoding) == made


@given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P", "Zs"])))
def test_plain_text_stays_as_it_is(text) -> None:
    assert plain(text) == text


@given(st.recursive(st.integers() | st.text() | st.binary(), st.lists))
def test_a_value_is_shown_short(value) -> None:
    assert len(shown(value)) <= 83


def test_values_that_have_no_text_are_shown() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep) == "a huge list"
    assert shown(10**5000) == "a huge int"


@given(st.text())
def test_an_error_message_is_one_line_and_not_endless(text) -> None:
    line = one_line(text * 50)
    assert "\n" not in line
    assert len(line) <= LINE + 3


def test_a_grid_shows_what_would_steer(capsys) -> None:
    grid = Grid(f"title {ESC}", ("<name", f"~{ESC}"), note=f"note {ESC}")
    grid.add(f"cell {ESC}", ESC)
    grid.show(terminal())
    terminal().print(f"plain {ESC}", markup=False)
    say(f"said {ESC}")
    out = capsys.readouterr().out
    assert out.count("\\x1b[2J\\x1b]0;owned\\x9b31m\\u202e\\u2066") >= 6
    assert all(each.isprintable() or each == "\n" for each in out)


def test_colours_are_the_terminals_own() -> None:
    """What a style makes is sent; what a text says is not."""
    console = Terminal(force_terminal=True, color_system="standard", highlight=False)
    with console.capture() as caught:
        console.print(f"a {ESC}", style="bold", markup=False)
    assert caught.get().startswith("\x1b[1ma \\x1b[2J")


OUTSIDE = {
    "a key": f'name = "a"\n"{chr(92)}u001b[2J" = 1\n',
    "a venue": f'name = "a"\ncapital_usd = 1\n[venues."{chr(92)}u001b]0;x"]\n',
    "bytes": 'name = "\x1b[2J"\n',
    "a long value": f'name = "a"\ncapital_usd = "{"9" * 5000}"\n',
    "many values": f'name = "a"\ncapital_usd = {list(range(3000))}\n',
    "levels": "a = " + "[" * 5000,
    "an integer": f"seed = {'9' * 4000}\n",
    "a longer integer": f"seed = {'9' * 5000}\n",
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_an_error_about_a_scenario_is_one_short_plain_line(tmp_path, capsys, what) -> None:
    path = tmp_path / "hostile.toml"
    path.write_text(OUTSIDE[what])
    with pytest.raises(SystemExit) as exit_:
        main(["run", str(path), "--out", str(tmp_path / "runs")])
    said = capsys.readouterr().err
    assert (exit_.value.code, said.count("\n")) == (2, 1)
    assert said.rstrip("\n").isprintable()
    assert len(said) < 600


def carrybook(*command: object, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "framework.command_line.cli", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        **options,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return run_and_save("static", tmp_path_factory.mktemp("runs"))[1]


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_report_can_be_read_on_any_terminal(folder, encoding) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "40", "NO_COLOR": "1"}
    done = carrybook("audit", folder, env=environment)
    out, err = done.communicate(timeout=60)
    assert (done.returncode, err) == (0, b"")
    assert "Every file is there" in out.decode(encoding)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["audit", "ledger", "sql", "explain"])
def test_an_output_that_is_closed_is_no_finding(folder, command) -> None:
    """As `carrybook audit RUN | head -1`: no traceback, and not the exit code of a finding."""
    arguments = {"explain": ["funding"], "sql": ["SELECT * FROM transfers"]}.get(command, [])
    done = carrybook(command, folder, *arguments)
    assert done.stdout
    done.stdout.close()
    _, err = done.communicate(timeout=60)
    assert (done.returncode, err) == (141, b"")


@pytest.mark.slow
@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_an_output_that_was_closed_before_is_empty(folder, closed) -> None:
    """And no file that is opened takes its place."""
    command = [sys.executable, "-m", "framework.command_line.start", "audit", str(folder)]
    read, write = os.pipe()

    def close() -> None:
        for each in closed:
            os.close(each)

    done = subprocess.run(command, stdout=write, stderr=write, cwd=ROOT, preexec_fn=close, timeout=60, check=False)
    os.close(write)
    with os.fdopen(read, "rb") as said:
        assert (done.returncode, said.read() == b"") == (0, 1 in closed)


@pytest.mark.slow
def test_an_output_that_is_full_is_told(folder) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "framework.command_line.cli", "audit", str(folder)],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, b"carrybook: input or output: No space left on device\n")
