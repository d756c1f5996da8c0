"""The command as a user meets it: what it prints, what it writes, and one clear line for every mistake."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from framework import Scenario, assemble
from tests.commands import carrybook

ROOT = Path(__file__).parent.parent
SCENARIO = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
JSON_KEYS = {
    "final_equity_usd", "annualized_return_pct", "total_fees_usd", "bridge_usd", "liquidation_penalty_usd", "carry_usd",
    "funding_usd", "mtm_drag_usd", "price_pnl_usd", "bad_debt_usd", "unexplained_usd", "max_drawdown_pct",
    "capital_rebalances", "full_rotations", "liquidations", "rows", "transfers", "ledger_digest",
}  # fmt: skip


def refused(capsys, tmp_path, *arguments):
    """The one line with which a run is refused, after which nothing is written."""
    out = tmp_path / "runs"
    code, printed, complaint = carrybook(capsys, "run", *arguments, "--out", out)
    assert code == 2
    assert printed == ""
    assert complaint.count("\n") == 1
    assert "Traceback" not in complaint
    assert not out.exists()
    return complaint


def test_json_is_one_object_and_nothing_else(capsys, tmp_path):
    """`--json` prints an object with the keys that scripts use, and the same lies in summary.json."""
    code, printed, complaint = carrybook(capsys, "run", SCENARIO, "--json", "--out", tmp_path)
    summary = json.loads(printed)
    assert (code, complaint) == (0, "")
    assert summary.keys() >= JSON_KEYS
    assert summary["rows"] == 410
    folder = Path(summary.pop("run"))
    assert folder.parent == tmp_path
    assert json.loads((folder / "summary.json").read_text()) == summary


def test_synthetic_data_are_named_wherever_their_results_are_shown(capsys, tmp_path):
    """Report, summary and manifest say that the embedded data are synthetic."""
    _, report, _ = carrybook(capsys, "run", SCENARIO, "--out", tmp_path)
    _, summary, _ = carrybook(capsys, "run", SCENARIO, "--out", tmp_path, "--json")
    folder = Path(json.loads(summary)["run"])
    for text in (report, summary, (folder / "manifest.json").read_text()):
        assert "SYNTHETIC" in text


def test_settings_reach_every_key_of_the_interface(capsys, tmp_path):
    """Each key that others script against can be set, and changes the run."""
    seen = set()
    for setting in (
        "capital_usd=25000", "market.start=2025-02-01", "market.end=2025-12-31", "strategy.leverage=2",
        "strategy.trigger=never", "strategy.short=drift", "venues.asgard.open_fee_bps=5",
    ):  # fmt: skip
        code, printed, _ = carrybook(capsys, "run", SCENARIO, "--set", setting, "--out", tmp_path, "--json")
        assert code == 0
        seen.add(json.loads(printed)["ledger_digest"])
    assert len(seen) == 7


def test_a_second_run_replaces_the_first_with_the_same_content(capsys, tmp_path):
    """A run is named by its input: running it again gives the same folder, and no other is left."""
    contents = []
    for _ in range(2):
        carrybook(capsys, "run", SCENARIO, "--out", tmp_path, "--json")
        (folder,) = tmp_path.iterdir()
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]


@pytest.mark.slow
def test_logs_are_silent_unless_asked_for(tmp_path):
    """Without `--log` stderr is empty; with it, every line is JSON and names simulated time only."""
    command = [sys.executable, "-m", "framework.command_line.cli"]
    run = ["run", str(SCENARIO), "--out", str(tmp_path), "--json"]
    quiet = subprocess.run([*command, *run], cwd=ROOT, capture_output=True, text=True, check=True)
    loud = subprocess.run(
        [*command, "--log", "json", "--log-level", "debug", *run], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert quiet.stderr == ""
    lines = [json.loads(line) for line in loud.stderr.splitlines()]
    assert {"Started", "OrderFilled", "TransferSent", "saved"} <= {line["event"] for line in lines}
    assert loud.stdout == quiet.stdout


BAD_SETTINGS = {
    "capital_usd=0": "capital_usd: 0.0; expected >= 0.01",
    "capital_usd=-5": "capital_usd: -5.0; expected >= 0.01",
    "capital_usd=1e-300": "capital_usd: 1e-300; expected >= 0.01",
    "seed=" + "9" * 400: "expected a whole number of at most 64 bits",
    "capital_usd=many": "capital_usd: 'many'; expected a number",
    "capital_usd=nan": "capital_usd: nan; expected a number",
    "capital_usd=2e9": "capital_usd: 2000000000.0; expected <= 1000000000",
    "capital=5": "capital: unknown key; did you mean capital_usd?",
    "seed=1.5": "seed: 1.5; expected a whole number",
    "name=5": "name: 5; expected text",
    "market.start=2026-03-01": "market: end 2026-02-13 is before start 2026-03-01; expected the same day or a later",
    "market.start=soon": "market.start: 'soon'; expected a date such as 2025-01-31",
    "market.start=2020-01-01": "market.start 2020-01-01 is before 2024-12-31",
    "market.end=2030-01-01": "market.end 2030-01-01 is after 2026-02-13",
    "market.embedded=none": "market.embedded: unknown data set 'none'; expected one of sol_daily",
    "market.rows=5": "market.rows: unknown key; expected one of start, end, embedded, funding, ",
    "strategy.leverage=1": "strategy.leverage: 1.0; expected > 1",
    "strategy.leverage={a = {b = 1}}": "strategy.leverage: {'a': {'b': 1}}; expected a number",
    "strategy.leverage='1e5'": "strategy.leverage: '1e5'; expected a number",
    "strategy.leverage=true": "strategy.leverage: True; expected a number",
    "strategy.trigger=2": "strategy.trigger: 2; expected at least the leverage of 3, or never",
    "strategy.trigger=always": "strategy.trigger: 'always'; expected a number or never",
    "strategy.levrage=2": "strategy.levrage: unknown key; did you mean leverage?",
    "strategy.short=binance": "strategy.short: unknown venue 'binance'; expected one of asgard, hyperliquid, drift",
    "strategy.short=asgard": "strategy.short: asgard; expected another venue than the long leg's",
    "strategy={class='static', long='drift', short='drift', leverage=2}": "strategy.short: drift; expected an",
    "strategy={class='full_rotation', long='drift', short='drift', leverage=2}": "strategy.short: drift; expected an",
    "strategy.class=moon": "'moon'; expected one of capital_rebalance, full_rotation, margin_call, static, or",
    "strategy.short=hyperliqud": "strategy.short: unknown venue 'hyperliqud'; did you mean hyperliquid?",
    "venues={asgrad={}, hyperliquid={}}": "venues.asgrad.class: unknown venue 'asgrad'; did you mean asgard?",
    "strategy.class=capital_rebalanc": "unknown strategy 'capital_rebalanc'; did you mean capital_rebalance?",
    "venues.hyperlquid.taker_fee_bps=3": "class: unknown venue 'hyperlquid'; did you mean hyperliquid?",
    "strategy.class=no_such.module:Thing": "unknown strategy 'no_such.module:Thing'; no module 'no_such.module' in",
    "strategy.class=json:JSONDecoder": "strategy.class: 'json:JSONDecoder' is not a strategy",
    "strategy.class=my.module.Thing": "unknown strategy 'my.module.Thing'; did you mean my.module:Thing?",
    "stratgy.leverage=3": "stratgy: unknown key; did you mean strategy?",
    "strategy.class=3": "strategy.class: 3; expected the name of a strategy",
    "strategy=3": "strategy: 3",
    "venues.kraken.coin=SOL": "venues.kraken.class: unknown venue 'kraken'; expected one of asgard, at_cost, drift,",
    "venues.asgard=15": "venues.asgard: expected a table",
    "venues.asgard.open_fee_bps=-1": "venues.asgard.open_fee_bps: -1.0; expected 0 to 10000 basis points",
    "venues.asgard.open_fee_bps=15000": "expected 0 to 10000 basis points, of which 100 are 1 %",
    "venues.hyperliquid.taker_fee_bps=10001": "hyperliquid.taker_fee_bps: 10001.0; expected 0 to 10000 basis",
    "venues.drift.taker_fee_bps=-3.5": "venues.drift.taker_fee_bps: -3.5; expected 0 to 10000 basis points",
    "venues.hyperliquid.maintenance_margin=1.5": "venues.hyperliquid.maintenance_margin: 1.5; expected < 1",
    "venues.hyperliquid.maintenance_margin=[{since=2024-12-31, value=2}]": "maintenance_margin: 2.0; expected < 1",
    "venues.hyperliquid.taker_fee_bps=[{since=2025-01-01, value=2}]": "taker_fee_bps: the rule begins at 2025-01-01;",
    "venues.hyperliquid.liquidation_penalty.of=luck": "penalty.of: 'luck'; expected one of equity, notional",
    "venues.hyperliquid.funding_rate=moon": "venue hyperliquid reads 'moon', which no source gives",
    "venues.hyperliquid.funding_rate=close": "funding_rate: 'close' has prices; expected a column of funding rates, "
    "such as hyperliquid_funding_rate",
    "venues.drift.funding_rate=usdc_borrowing_apy": "funding_rate: 'usdc_borrowing_apy' has rates per year; ",
    "venues.asgard.lending_rate=drift_funding_rate": "lending_rate: 'drift_funding_rate' has funding rates; ",
    "venues.asgard.borrowing_rate=high": "borrowing_rate: 'high' has prices; expected a column of rates per",
    "venues.asgard.borrow_capacity=close": "borrow_capacity: 'close' has prices; expected a column of amounts",
    "rulebook.class=asgard": "rulebook.class: unknown rulebook 'asgard'; the module has no rulebook",
    "strategy.class=pair": "strategy.class: unknown strategy 'pair'; the module has no strategy",
    "venues.asgard.name=lender": "venues.asgard.name: unknown key; expected one of coin, open_fee_bps, ",
    "rulebook.look_ahead_at_entry=1": "rulebook.look_ahead_at_entry: 1; expected true or false",
    "capital_usd": "--set capital_usd: expected KEY=VALUE",
    "capital_usd.x=1": "capital_usd is 10000, not a table",
}


@pytest.mark.parametrize(("setting", "complaint"), BAD_SETTINGS.items(), ids=BAD_SETTINGS)
def test_a_wrong_key_is_one_line_that_names_it(capsys, tmp_path, setting, complaint):
    """A key that cannot be is refused before anything runs or is written."""
    assert complaint in refused(capsys, tmp_path, SCENARIO, "--set", setting)


@pytest.mark.parametrize("rule", ["maintenance_margin", "taker_fee_bps"])
def test_a_rule_with_dates_holds_from_each_of_them(rule):
    """A date on which nothing changes changes nothing; one with another value does, from then on."""
    plain = Scenario.load(SCENARIO)
    (before,) = [getattr(each, rule) for each in assemble(plain).venues if each.name == "hyperliquid"]
    books = []
    for after in (before, 2 * before):
        dates = f"{{since=2024-12-31, value={before}}}, {{since=2025-07-01, value={after}}}"
        dated = Scenario.load(SCENARIO, [f"venues.hyperliquid.{rule}=[{dates}]"])
        books.append([(each.at_ns, each.amount) for each in assemble(dated).simulation().run().ledger])
    assert books[0] == [(each.at_ns, each.amount) for each in assemble(plain).simulation().run().ledger]
    if rule == "taker_fee_bps":
        assert books[1] != books[0]
        changed = next(one[0] for one, other in zip(*books, strict=True) if one != other)
        assert changed >= np.datetime64("2025-07-01", "ns").astype(int)


def test_a_byte_order_mark_is_no_part_of_a_scenario(tmp_path):
    """With which some editors begin a file."""
    (tmp_path / "own.toml").write_text(SCENARIO.read_text(), encoding="utf-8-sig")
    assert Scenario.load(tmp_path / "own.toml") == Scenario.load(SCENARIO)


def test_files_that_cannot_be_read_are_one_line(capsys, tmp_path):
    """Missing or broken scenarios, data directories and output places are named."""
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    assert "nowhere.toml: not readable" in refused(capsys, tmp_path, tmp_path / "nowhere.toml")
    assert "broken.toml: not TOML" in refused(capsys, tmp_path, broken)
    assert "no such directory" in refused(capsys, tmp_path, SCENARIO, "--data", tmp_path / "nowhere")
    (tmp_path / "data").mkdir()
    assert "sol_daily_candles.json: not readable" in refused(capsys, tmp_path, SCENARIO, "--data", tmp_path / "data")
    (tmp_path / "file").write_text("")
    code, printed, complaint = carrybook(capsys, "run", SCENARIO, "--out", tmp_path / "file")
    assert (code, printed, complaint.count("\n")) == (2, "", 1)
    assert "expected a directory for runs" in complaint


def test_a_misspelt_table_is_told_before_the_one_that_is_missing_for_it(capsys, tmp_path):
    """And one that is missing alone is reported as a missing table."""
    scenario = tmp_path / "scenario.toml"
    text = SCENARIO.read_text()
    scenario.write_text(text.replace("[strategy]", "[stratgy]"))
    assert refused(capsys, tmp_path, scenario).endswith("stratgy: unknown key; did you mean strategy?\n")
    scenario.write_text(text.partition("[strategy]")[0])
    assert refused(capsys, tmp_path, scenario).endswith("strategy: missing; expected a table\n")
    scenario.write_text(text.replace('name = "', 'title = "'))
    assert "title: unknown key; expected one of name, capital_usd" in refused(capsys, tmp_path, scenario)


def test_a_command_without_anything_shows_its_help_in_lines(capsys):
    """It is no mistake that is squeezed into one."""
    for arguments in ([], ["new"]):
        code, printed, complaint = carrybook(capsys, *arguments)
        assert (code, printed) == (2, "")
        assert complaint.startswith("Usage: ")
        assert "\n  -h, --help" in complaint


def test_wrong_usage_is_one_line_too(capsys):
    """What the command line itself cannot understand is said in the same form."""
    for arguments, words in (
        (["run"], "Missing argument 'SCENARIO'"),
        (["sing"], "No such command 'sing'; expected one of audit, choose, compare"),
        (["rn"], "No such command 'rn'; did you mean run?"),
        (
            ["data", "show", "own:X:1d", "--from", "2025-02-01", "--to", "2025-01-01"],
            "before --from 2025-02-01; expected",
        ),
        (["run", SCENARIO, "--loud"], "No such option"),
    ):
        code, printed, complaint = carrybook(capsys, *arguments)
        assert (code, printed, complaint.count("\n")) == (2, "", 1)
        assert words in complaint


CANDLES, FUNDING, DRIFT = "sol_daily_candles.json", "sol_funding_history.json", "drift_sol_funding_history.json"
LENDING, BORROWING = "kamino_sol_lending_rates.json", "kamino_usdc_borrowing_rates.json"


def _only_long_ago(rows):
    rows[:] = [{**rows[0], "date": "2019-01-01"}]


def _naive(rows):
    rows[8].update(timestamp="2023-11-26T23:01:20")


def _seconds(rows):
    rows[6].update(time=rows[6]["time"] // 1000)


BAD_FILES = {
    "NaN price": (CANDLES, lambda rows: rows[4].update(c="NaN"), "row 5, column c (close)"),
    "missing price": (CANDLES, lambda rows: rows[4].pop("l"), "row 5, column l (low)"),
    "price of zero": (CANDLES, lambda rows: rows[4].update(l="0"), "row 5, column l (low)"),
    "low above high": (CANDLES, lambda rows: rows[4].update(l="900", h="800"), "row 5, column l (low)"),
    "close above high": (CANDLES, lambda rows: rows[4].update(c="999"), "row 5, column c (close)"),
    "duplicate time": (CANDLES, lambda rows: rows.insert(4, rows[4]), "row 6: duplicate timestamp"),
    "unsorted time": (CANDLES, lambda rows: rows.reverse(), "row 2: timestamp"),
    "seconds": (FUNDING, _seconds, "row 7, column time"),
    "NaN funding": (FUNDING, lambda rows: rows[6].update(fundingRate="nan"), "row 7, column fundingRate"),
    "naive time": (LENDING, _naive, "row 9, column timestamp: '2023-11-26T23:01:20' is naive"),
    "no overlap": (DRIFT, _only_long_ago, "do not overlap"),
    "bad date": (DRIFT, lambda rows: rows[2].update(date="soon"), "row 3, column date"),
    "bad rate": (BORROWING, lambda rows: rows[1].update(apyBaseBorrow=None), "row 2, column apyBaseBorrow"),
}


@pytest.mark.parametrize(("file", "spoil", "complaint"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_wrong_cell_is_one_line_with_file_row_and_column(capsys, tmp_path, study_data, file, spoil, complaint):
    """Data that cannot be trusted are refused at the door."""
    data = tmp_path / "data"
    data.mkdir()
    for name in (CANDLES, FUNDING, DRIFT, LENDING, BORROWING):
        (data / name).write_bytes((study_data / name).read_bytes())
    rows = json.loads((study_data / file).read_text())
    spoil(rows)
    (data / file).write_text(json.dumps(rows))
    said = refused(capsys, tmp_path, SCENARIO, "--data", data)
    assert file in said
    assert complaint in said


@pytest.mark.slow
def test_an_interrupted_run_never_looks_like_a_finished_one(tmp_path):
    """Killed at any moment, a run has left a folder with everything in it under its name, or none."""
    script = (
        "import os, signal, sys, framework.run_folder.archive as archive\n"
        "from framework.command_line.cli import main\n"
        "count = int(sys.argv[1])\n"
        "def sync(path, real=archive.sync):\n"
        "    global count\n"
        "    count -= 1\n"
        "    if count == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(path)\n"
        "archive.sync = sync\n"
        "main(sys.argv[2:])\n"
    )
    for moment in range(1, 11):
        out = tmp_path / str(moment)
        command = [sys.executable, "-c", script, str(moment), "run", str(SCENARIO), "--out", str(out), "--json"]
        killed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        assert killed.returncode == -signal.SIGKILL or moment == 10
        finished = [path for path in out.iterdir() if not path.name.startswith(".")]
        assert len(finished) == (0 if moment < 9 else 1), moment
        assert all((folder / "manifest.json").is_file() and len(list(folder.iterdir())) == 8 for folder in finished)
