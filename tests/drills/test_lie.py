"""Lies: whatever is in a scenario, a run's folder or a market file, the answer is a result or one line."""

import json
import math
import shutil
import tomllib
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import tomli_w

from tests.drills import answer, chance, tell, times
from tests.drills.lies import bent, falsified, spoilt
from tests.runs import ROOT, run_and_save

pytestmark = [pytest.mark.slow, pytest.mark.drill]
MOST = 1e15


def sane(value: object) -> bool:
    """Whether all numbers are finite and of a size that money has."""
    match value:
        case dict():
            return all(map(sane, value.values()))
        case list():
            return all(map(sane, value))
        case float():
            return math.isfinite(value) and abs(value) <= MOST
        case _:
            return True


def test_scenarios_that_lie(capsys, tmp_path) -> None:
    """Nothing half-written is left, and no result is nonsense."""
    dice, counts = chance("scenarios"), Counter[str]()
    texts = [
        (ROOT / "examples" / name / "scenario.toml").read_bytes() for name in ("static", "capital_rebalance", "euss")
    ]
    for number in range(times(60)):
        text = dice.choice(texts)
        table = tomllib.loads(text.decode())
        table["market"]["end"] = "2025-02-10" if "2025-01" in str(table["market"]["start"]) else table["market"]["end"]
        path = tmp_path / f"{number}.toml"
        if dice.random() < 0.3:
            path.write_bytes(bent(text, dice))
        else:
            try:
                path.write_bytes(tomli_w.dumps(spoilt(table, dice)).encode("utf-8", "surrogatepass"))
            except (TypeError, AttributeError, ValueError):  # what TOML cannot say
                continue
        out = tmp_path / f"runs{number}"
        code, printed = answer(capsys, "run", path, "--out", out, "--json")
        counts[{0: "ran", 2: "refused"}.get(code, "else")] += 1
        left = sorted(out.iterdir()) if out.exists() else []
        assert (code == 0) == (len(left) == 1), path.read_text(errors="replace")
        if code == 0:
            assert sane(json.loads(printed)), path.read_text(errors="replace")
            assert len(list(left[0].iterdir())) == 8
    tell(capsys, "scenarios that lie", counts)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return run_and_save("capital_rebalance", tmp_path_factory.mktemp("runs"), ("market.end=2025-03-15",))[1]


def test_folders_that_lie(capsys, run, tmp_path) -> None:
    """Manifests, summaries and tables, spoilt as values and as bytes, by each command that reads them."""
    dice, counts = chance("folders"), Counter[str]()
    names = sorted(each.name for each in run.iterdir())
    for number in range(times(120)):
        sent = Path(shutil.copytree(run, tmp_path / str(number)))
        path = sent / dice.choice(names)
        if dice.random() < 0.35:
            path.write_bytes(bent(path.read_bytes(), dice))
        elif path.suffix == ".json":
            text = json.dumps(spoilt(json.loads(path.read_text()), dice))
            path.write_text(text, encoding="utf-8", errors="surrogatepass")
        elif path.suffix == ".parquet":
            pq.write_table(falsified(pq.read_table(path), dice), path)
        command = dice.choice(("audit", "audit", "explain", "ledger", "export"))
        what = {
            "explain": [dice.choice(("funding", "total_fees_usd", "price_pnl", "Assets:Wallet"))],
            "ledger": ["--account", "Assets"],
            "export": ["--format", dice.choice(("csv", "beancount", "hledger")), "--out", sent / "out"],
            "audit": ["--thorough"] if dice.random() < 0.2 else [],
        }[command]
        try:
            code, _ = answer(capsys, command, sent, *what)
        except BaseException:
            kept = tmp_path.parent / f"kept-{number}"
            shutil.copytree(sent, kept, dirs_exist_ok=True)
            pytest.fail(f"{command} {' '.join(map(str, what))} of {kept}, {path.name}")
        counts[f"{command} {('passed', 'found', 'refused')[code]}"] += 1
        shutil.rmtree(sent)
    tell(capsys, "folders that lie", counts)


def test_market_files_that_lie(capsys, tmp_path) -> None:
    """By `data check` and `data gaps`, as CSV and as JSON."""
    dice, counts = chance("markets"), Counter[str]()
    text = files("framework.data.embedded").joinpath("sol_daily.csv").read_bytes()
    lines = text.splitlines(keepends=True)[:60]
    heads, *rows = [line.decode().strip().split(",") for line in lines]
    for number in range(times(200)):
        if dice.random() < 0.5:
            path = tmp_path / f"{number}.csv"
            path.write_bytes(bent(b"".join(lines), dice))
        else:
            path = tmp_path / f"{number}.json"
            table = [dict(zip(heads, row, strict=True)) for row in rows]
            path.write_text(json.dumps(spoilt(table, dice)), encoding="utf-8", errors="surrogatepass")
        code, _ = answer(capsys, "data", dice.choice(("check", "gaps")), path)
        counts[("passed", "found", "refused")[code]] += 1
    tell(capsys, "market files that lie", counts)
