"""What `carrybook new` writes runs as it stands, and it never writes over anything."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from framework import Scenario, assemble, waterfall
from framework.command_line import main
from framework.errors import TemplateError
from framework.templates import FIRST, LAST, LONGS, SHORTS, Pages, new_scenario, new_strategy, write

BIN = Path(sys.executable).parent
DAY_MS = 86_400_000
DAYS = 12
START_MS = 1_735_603_200_000
"""2024-12-31, the first day of every new scenario."""


def carrybook(capsys, *arguments):
    """Run the command in this process; returns (exit code, stdout, stderr)."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return exit_.value.code or 0, printed.out, printed.err


def raw_files(directory, coin):
    """Twelve days of made-up market in the formats of the sources."""
    days = [START_MS + day * DAY_MS for day in range(DAYS)]
    candles = [
        {"t": at, "T": at + DAY_MS - 1, "o": "3000", "h": "3200", "l": "2900", "c": str(3000 + 10 * day)}
        for day, at in enumerate(days)
    ]
    hours = [
        {"coin": coin, "fundingRate": "0.00001", "premium": "0", "time": at + hour * 3_600_000 + 17}
        for at in days
        for hour in range(24)
    ]
    dates = [f"2024-12-31T{hour:02}:00:00.000Z" for hour in (1,)]
    dates += [f"2025-01-{day:02}T01:00:00.000Z" for day in range(1, DAYS)]
    apys = [{"timestamp": date, "apyBase": 2.0, "apyBaseBorrow": 6.0} for date in dates]
    files = {
        f"hyperliquid_{coin}_1d.json": candles,
        f"hyperliquid_{coin}_funding.json": hours,
        f"drift_{coin}_funding.json": [{"date": date[:10], "rate": 0.00024} for date in dates],
        f"kamino_{coin}_lending.json": apys,
        "kamino_USDC_borrowing.json": apys,
    }
    directory.mkdir()
    for name, rows in files.items():
        (directory / name).write_text(json.dumps(rows))


# Scenarios


@pytest.mark.parametrize("long", LONGS)
@pytest.mark.parametrize("short", SHORTS)
def test_a_scenario_for_sol_runs_at_once(capsys, tmp_path, monkeypatch, long, short):
    """Written, named by what it is, and run as the command says."""
    monkeypatch.chdir(tmp_path)
    code, said, complaint = carrybook(capsys, "new", "scenario", "--coin", "SOL", "--short", short, "--long", long)
    path = f"sol_{long}_{short}.toml"
    assert (code, said, complaint) == (0, f"Wrote {path}\nRun it: carrybook run {path}\n", "")
    code, printed, _ = carrybook(capsys, "run", path, "--json")
    summary = json.loads(printed)
    assert (code, summary["rows"], summary["unexplained_usd"]) == (0, 410, 0)
    assert summary["scenario"] == f"sol_{long}_{short}"


@pytest.mark.parametrize("short", SHORTS)
@pytest.mark.parametrize("coin", ["ETH", "SOL", "kBONK"])
def test_a_scenario_runs_on_the_files_that_it_names(capsys, tmp_path, coin, short):
    """With files of those names, in the sources' own formats, and the days that they have."""
    raw_files(tmp_path / "data", coin)
    out = tmp_path / "mine.toml"
    carrybook(capsys, "new", "scenario", "--coin", coin, "--short", short, "--out", out)
    scenario = Scenario.load(out, ["market.end=2025-01-11"])
    run = assemble(scenario, tmp_path / "data").simulation().run()
    assert len(run.market) == DAYS
    assert {account.asset.code for account in run.ledger.accounts} == {"USDC", coin, f"{coin}-PERP"}
    assert waterfall(run).unexplained == 0
    received_usd = -run.curve.size_by_venue[short][0] * 0.00024 * run.market["close"][1:].sum()
    assert float(waterfall(run).funding) == pytest.approx(received_usd, abs=1e-4)


def test_a_scenario_for_another_coin_says_what_it_needs(capsys, tmp_path, monkeypatch):
    """When it is written, and in one line when it is run without."""
    monkeypatch.chdir(tmp_path)
    _, said, _ = carrybook(capsys, "new", "scenario", "--coin", "ETH", "--short", "hyperliquid")
    files = "hyperliquid_ETH_1d.json, hyperliquid_ETH_funding.json, kamino_ETH_lending.json, kamino_USDC_borrowing.json"
    assert said.splitlines() == [
        "Wrote eth_asgard_hyperliquid.toml",
        f"Its data do not ship with the project. It needs a directory with {files}",
        "Run it: carrybook run eth_asgard_hyperliquid.toml --data DIR",
    ]
    code, said, complaint = carrybook(capsys, "run", "eth_asgard_hyperliquid.toml")
    assert (code, said) == (2, "")
    assert complaint == f"carrybook: market.embedded: none; expected --data DIR with {files}\n"
    assert not Path("runs").exists()


def test_the_days_are_those_that_ship():
    """A new scenario for SOL covers all embedded days."""
    ((_, text),) = new_scenario("SOL", "asgard", "drift").texts.items()
    assert f"start = {FIRST} " in text
    assert f"end = {LAST}\n" in text


@pytest.mark.parametrize("out", ["mine.toml", "there", "there/mine.toml"])
def test_out_is_a_file_or_a_directory(capsys, tmp_path, monkeypatch, out):
    """A directory gets a file of the scenario's name."""
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    expected = "there/sol_asgard_drift.toml" if out == "there" else out
    _, said, _ = carrybook(capsys, "new", "scenario", "--coin", "SOL", "--short", "drift", "--out", out)
    assert said.startswith(f"Wrote {expected}\n")
    assert Path(expected).is_file()


# Strategies


def test_a_strategy_passes_its_test_and_runs(tmp_path):
    """Three files; the lines that the command prints are followed as they stand."""
    made = subprocess.run(
        [BIN / "carrybook", "new", "strategy", "funding_watch", "--out", "mine"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    wrote, test, run = made.stdout.splitlines()
    assert wrote == "Wrote mine/funding_watch.py, mine/test_funding_watch.py, mine/funding_watch.toml"
    assert test == "Test it: cd mine && python -m pytest -q test_funding_watch.py"
    assert run == "Run it: cd mine && carrybook run funding_watch.toml"
    shell = {"cwd": tmp_path, "capture_output": True, "text": True, "shell": True}
    done = subprocess.run(f"PATH={BIN}:$PATH; {test.partition(': ')[2]} -W error", check=False, **shell)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
    done = subprocess.run(f"PATH={BIN}:$PATH; {run.partition(': ')[2]}", check=False, **shell)
    assert done.returncode == 0, done.stderr
    assert "P&L waterfall" in done.stdout
    done = subprocess.run(f"{BIN}/ruff check --isolated --select E,F,W --ignore E501 mine", check=False, **shell)
    assert done.returncode == 0, done.stdout


def test_its_test_fails_where_the_strategy_is_wrong(tmp_path):
    """The test has teeth: a strategy that forgets to close is found."""
    write(new_strategy("forgetful_pair"), tmp_path)
    module = tmp_path / "forgetful_pair.py"
    module.write_text(module.read_text().replace("            yield Close(self.short)\n", ""))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_forgetful_pair.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "FAILED test_forgetful_pair.py::test_at_the_end_it_closes_both" in done.stdout


# Mistakes

WRONG = {
    "no coin": (["scenario", "--short", "drift"], "Missing option '--coin'"),
    "a coin in small letters": (
        ["scenario", "--coin", "eth", "--short", "drift"],
        "--coin eth: expected the code of a coin in capitals, such as ETH; did you mean ETH?",
    ),
    "no code": (["scenario", "--coin", "ETH/USD", "--short", "drift"], "--coin ETH/USD: expected the code of a coin"),
    "another venue": (
        ["scenario", "--coin", "ETH", "--short", "hyperliqid"],
        "--short hyperliqid: expected drift or hyperliquid; did you mean hyperliquid?",
    ),
    "a long that is none": (
        ["scenario", "--coin", "ETH", "--short", "drift", "--long", "kraken"],
        "--long kraken: expected asgard",
    ),
    "a name of a class": (
        ["strategy", "FundingWatch"],
        "'FundingWatch' is no name of a module; expected words such as funding_watch; did you mean funding_watch?",
    ),
    "a name with a dash": (["strategy", "my-idea"], "did you mean my_idea?"),
    "a path": (["strategy", "../idea"], "'../idea' is no name of a module"),
    "a keyword": (["strategy", "class"], "'class' is no name of a module"),
    "a digit": (["strategy", "3x"], "'3x' is no name of a module"),
    "a class of ours": (["strategy", "close"], "'close' makes a class Close, which is there already"),
    "a class of Python": (["strategy", "key_error"], "'key_error' makes a class KeyError, which is there already"),
    "a module of Python": (["strategy", "json"], "json.py: json is the name of another module already"),
    "a module of ours": (["strategy", "venues"], "venues.py: venues is the name of another module already"),
    "a directory that cannot be": (["strategy", "idea", "--out", "no/such"], "no/such: not writable (No such file"),
    "a file for a directory": (["strategy", "idea", "--out", "taken"], "not writable (Not a directory)"),
    "a scenario's directory": (
        ["scenario", "--coin", "SOL", "--short", "drift", "--out", "no/such/x.toml"],
        "no/such: not writable (No such file or directory)",
    ),
}


@pytest.mark.parametrize(("command", "words"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_one_line_and_nothing_is_written(capsys, tmp_path, monkeypatch, command, words):
    """Exit code 2, no traceback, no file."""
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("mine")
    code, said, complaint = carrybook(capsys, "new", *command)
    assert (code, said, complaint.count("\n")) == (2, "", 1)
    assert words in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("taken", ["one_more.py", "test_one_more.py", "one_more.toml"])
def test_nothing_is_ever_replaced(capsys, tmp_path, monkeypatch, taken):
    """If one of the three is there, none is written, and it stays as it was."""
    monkeypatch.chdir(tmp_path)
    Path(taken).write_text("mine")
    code, _, complaint = carrybook(capsys, "new", "strategy", "one_more")
    assert (code, complaint) == (2, f"carrybook: {taken}: there already; expected a name that is free\n")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(taken, "mine")]


def test_a_link_to_nowhere_is_not_followed(tmp_path):
    """What it points to might be anywhere."""
    (tmp_path / "x.toml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TemplateError, match="there already"):
        write(Pages(texts={"x.toml": "text"}), tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_what_was_begun_is_taken_back(tmp_path):
    """If a later file cannot be written, the earlier ones and the new directory are gone again."""
    pages = Pages(texts={"first.toml": "text", "no/such/second.toml": "text"})
    with pytest.raises(TemplateError, match="not writable"):
        write(pages, tmp_path / "new")
    assert not list(tmp_path.iterdir())
