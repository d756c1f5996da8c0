"""What `carrybook new` writes runs as it stands, and it never writes over anything."""

import json
import shlex
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from framework import Scenario, assemble, waterfall
from framework.command_line.templates import (
    FIRST,
    LAST,
    LONGS,
    RESERVES,
    SHORTS,
    Pages,
    new_scenario,
    new_strategy,
    write,
)
from framework.data.fetching import kamino
from framework.data.store import Store
from framework.errors import TemplateError
from tests import sources
from tests.commands import carrybook
from tests.sources import Host

BIN = Path(sys.executable).parent
DAYS = 8
WINDOW = ("--from", "2025-01-01", "--to", f"2025-01-{DAYS:02}")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty store, which the commands use."""
    monkeypatch.setenv("CARRYBOOK_DATA", str(tmp_path / "data"))
    return Store.default()


def everything(monkeypatch):
    """One host for all sources: ten days of a coin at 3,000 USD and more."""
    prices = [
        sources.candle(sources.START_MS + day * sources.DAY_MS, o="3000", h="3200", l="2900", c=str(3000 + 10 * day))
        for day in range(10)
    ]
    speak_hyperliquid = sources.hyperliquid(prices, sources.payments(10))
    speak_drift = sources.drift([sources.drift_record(hour) for hour in range(240)])
    speak_kamino = sources.kamino([sources.reserve_sample(hour) for hour in range(240)])
    speak_defillama = sources.defillama([sources.pool_sample(day) for day in range(10)])

    def speak(asked):
        if asked.method == "POST":
            return speak_hyperliquid(asked)
        named = {"fundingRates": speak_drift, "kamino-market": speak_kamino, "chartLendBorrow": speak_defillama}
        return next(said for part, said in named.items() if part in asked.path)(asked)

    host = Host(speak)
    for source in ("HYPERLIQUID", "DRIFT", "KAMINO", "DEFILLAMA"):
        monkeypatch.setenv(f"CARRYBOOK_BASE_URL_{source}", host.url)
    return host


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


@pytest.mark.slow
@pytest.mark.parametrize("short", SHORTS)
@pytest.mark.parametrize(
    ("coin", "lending"),
    [
        ("BTC", None),
        ("ETH", None),
        ("SOL", None),
        ("ETH", "defillama:a-pool"),
        ("kBONK", "kamino:Gk2LmBpfzS9SEwCQGBJz8fjHT8xKvd4ck5hDANFoMWEe"),
    ],
)
def test_fetched_written_and_run(capsys, tmp_path, monkeypatch, store, coin, short, lending):
    """The commands that are printed fill the store, and the command that is printed runs on it."""
    monkeypatch.chdir(tmp_path)
    more = ("--lending", lending) if lending else ()
    with everything(monkeypatch) as host:
        _, said, _ = carrybook(capsys, "new", "scenario", "--coin", coin, "--short", short, *WINDOW, *more)
        for line in said.splitlines()[1:-1]:
            code, _, complaint = carrybook(capsys, *shlex.split(line.removeprefix("Fetch its data: carrybook ")))
            assert (code, complaint) == (0, "")
    asked = {asked.body["coin"] for asked in host.asked if "coin" in asked.body}
    asked |= {asked.body["req"]["coin"] for asked in host.asked if "req" in asked.body}
    assert asked == {coin}
    code, printed, _ = carrybook(capsys, *shlex.split(said.splitlines()[-1])[3:], "--json")
    summary = json.loads(printed)
    assert (code, summary["rows"], summary["unexplained_usd"]) == (0, DAYS, 0)
    run = assemble(Scenario.load(Path(f"{coin.lower()}_asgard_{short}.toml"))).simulation().run()
    assert {account.asset.code for account in run.ledger.accounts} == {"USDC", coin, f"{coin}-PERP"}
    (paid,) = (each for each in store.ids() if each.startswith(f"{short}:") and each.endswith("funding"))
    daily = store.read(paid)[1].columns["funding_rate"].reshape(DAYS, 24).sum(axis=1)
    received_usd = -run.curve.size_by_venue[short][0] * (daily * run.market["close"])[1:].sum()
    assert float(waterfall(run).funding) == pytest.approx(received_usd, abs=1e-4)
    samples = store.read(lending or f"kamino:{RESERVES[coin]}")[1].columns["lending_apy"]
    apy = samples.reshape(DAYS, -1).mean(axis=1)
    assert run.market[f"{coin.lower()}_lending_apy"] == pytest.approx(365 * ((1 + apy) ** (1 / 365) - 1), rel=1e-12)
    assert run.market["usdc_borrowing_apy"][3] == pytest.approx(365 * (1.08 ** (1 / 365) - 1), rel=1e-12)


def test_a_scenario_for_another_coin_names_the_commands_that_fetch_its_data(capsys, tmp_path, monkeypatch, store):
    """When it is written, in its comments, and in the one line of a run without them."""
    monkeypatch.chdir(tmp_path)
    _, said, _ = carrybook(capsys, "new", "scenario", "--coin", "ETH", "--short", "hyperliquid")
    fetches = [
        "carrybook fetch hyperliquid --coin ETH --interval 1d --from 2024-12-31 --to 2026-02-13",
        "carrybook fetch kamino --reserve ETH --reserve USDC --from 2024-12-31 --to 2026-02-13",
    ]
    assert said.splitlines() == [
        "Wrote eth_asgard_hyperliquid.toml",
        *(f"Fetch its data: {command}" for command in fetches),
        "Run it: carrybook run eth_asgard_hyperliquid.toml",
    ]
    text = Path("eth_asgard_hyperliquid.toml").read_text()
    assert "".join(f"#   {command}\n" for command in fetches) in text
    code, said, complaint = carrybook(capsys, "run", "eth_asgard_hyperliquid.toml")
    assert (code, said) == (2, "")
    assert complaint == (
        "carrybook: hyperliquid:ETH:1d, kamino:ETH, kamino:USDC, hyperliquid:ETH:funding: not in the store "
        f"{store.root}, which has nothing yet; expected them fetched: {' && '.join(fetches)}\n"
    )
    assert not Path("runs").exists()


def test_a_run_that_lacks_one_series_names_its_command_alone(capsys, tmp_path, monkeypatch, store):
    """With the scenario's own days and the interval of its candles."""
    monkeypatch.chdir(tmp_path)
    with everything(monkeypatch):
        carrybook(capsys, "new", "scenario", "--coin", "ETH", "--short", "hyperliquid", *WINDOW)
        for source in (("hyperliquid", "--coin", "ETH", "--interval", "1d"), ("kamino", "--reserve", "ETH")):
            carrybook(capsys, "fetch", *source, *WINDOW)
    for path in store.path("hyperliquid:ETH:funding").parent.glob("funding*"):
        path.unlink()
    _, _, complaint = carrybook(capsys, "run", "eth_asgard_hyperliquid.toml")
    assert complaint == (
        f"carrybook: kamino:USDC, hyperliquid:ETH:funding: not in the store {store.root}, "
        "which has hyperliquid:ETH:1d, kamino:ETH; expected them fetched: "
        "carrybook fetch kamino --reserve USDC --from 2025-01-01 --to 2025-01-08 && "
        "carrybook fetch hyperliquid --coin ETH --interval 1d --from 2025-01-01 --to 2025-01-08\n"
    )


def test_the_reserves_are_known_to_the_command_that_fetches_them():
    """Templates name them without loading the feed."""
    assert set(RESERVES.values()) <= kamino.RESERVES.keys()


def test_a_coin_counted_in_thousands_is_counted_in_millions_by_drift():
    """kBONK of Hyperliquid is 1MBONK-PERP there; a rate is a fraction in both."""
    pages = new_scenario("kBONK", "asgard", "drift", lending="kamino:x")
    assert "carrybook fetch drift --market 1MBONK-PERP --from 2024-12-31 --to 2026-02-13" in pages.fetches


def test_one_day_given_leaves_the_other_as_it_is():
    """Days make series of the store for SOL as well."""
    ((_, text),) = new_scenario("SOL", "asgard", "drift", last=date(2025, 3, 1)).texts.items()
    assert "embedded" not in text
    assert f"start = {FIRST} " in text
    assert "end = 2025-03-01\n" in text


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


@pytest.mark.slow
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


@pytest.mark.slow
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
    "a coin that nobody is known to lend": (
        ["scenario", "--coin", "HYPE", "--short", "hyperliquid"],
        "--coin HYPE: its lending rate is not known here, as are those of BTC, ETH, SOL; expected --lending with a",
    ),
    "a series of no lending": (
        ["scenario", "--coin", "HYPE", "--short", "hyperliquid", "--lending", "hyperliquid:HYPE:1d"],
        "--lending hyperliquid:HYPE:1d: expected a series such as kamino:RESERVE or defillama:POOL",
    ),
    "a series that would be another key": (
        ["scenario", "--coin", "HYPE", "--short", "hyperliquid", "--lending", 'kamino:"x'],
        '--lending kamino:"x: expected a series such as kamino:RESERVE',
    ),
    "days the wrong way round": (
        ["scenario", "--coin", "ETH", "--short", "drift", "--from", "2025-02-01", "--to", "2025-01-01"],
        "--to 2025-01-01: before --from 2025-02-01; expected a day on or after it",
    ),
    "no day": (
        ["scenario", "--coin", "ETH", "--short", "drift", "--from", "soon"],
        "'soon'; expected a date such as 2025-01-31",
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
    "the other leg": (["venue", "hyperliquid"], "'hyperliquid' is the short of the scenario that is written; expected"),
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
