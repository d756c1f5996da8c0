"""Lies: whatever is in a scenario, a run's folder or a market file, the answer is a result or one line."""

import json
import math
import shutil
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from random import Random

import pandas as pd
import pyarrow.parquet as pq
import pytest
import tomli_w
from attrs import fields_dict, has

from framework.assembly import assemble
from framework.command_line.cli import main
from framework.data.store import Store
from framework.scenario import Scenario
from tests import sources
from tests.drills import answer, chance, tell, times
from tests.drills.lies import bent, falsified, spoilt
from tests.runs import ROOT, run_and_save
from tests.sources import Answer, Asked, Host

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


def ran(capsys, tmp_path: Path, number: int, *command: object) -> int:
    """The exit code of a run, which left a whole folder or none, and no figures that are nonsense."""
    out = tmp_path / f"runs{number}"
    code, printed = answer(capsys, "run", *command, "--out", out, "--json")
    left = sorted(out.iterdir()) if out.exists() else []
    assert (code == 0) == (len(left) == 1)
    if code == 0:
        assert sane(json.loads(printed)), printed
        assert len(list(left[0].iterdir())) == 8
        shutil.rmtree(out)
    return code


def test_scenarios_that_lie(capsys, tmp_path) -> None:
    """Nothing half-written is left, and no result is nonsense."""
    dice, counts = chance("scenarios"), Counter[str]()
    texts = [
        (ROOT / "examples" / name / "scenario.toml").read_bytes() for name in ("static", "capital_rebalance", "euss")
    ]
    for number in range(times(20)):
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
                path.write_bytes(bent(text, dice))
        try:
            code = ran(capsys, tmp_path, number, path)
        except BaseException:
            pytest.fail(path.read_text(errors="replace"))
        counts[{0: "ran", 2: "refused"}.get(code, "else")] += 1
    tell(capsys, "scenarios that lie", counts)


SHORT = {
    "static": "market.end=2025-02-01",
    "capital_rebalance": "market.end=2025-02-01",
    "euss": "market.end=2022-12-05",
    "incident": "market.end=2026-04-02",
    "crash": "strategy.leverage=3",
    "robust_trigger": "market.path.rows=30",
}
"""Example -> what makes it short."""
LIMITS = ("0", "1", "-1", "5e-324", "1e-300", "1e-9", "0.999999", "1e15", "1e300", "4611686018427387904")


def numeric_keys(above: str, part: object) -> Iterator[str]:
    """The keys below which a part of a scenario takes a number, by the types of its fields."""
    if not has(type(part)):
        return
    for name, field in fields_dict(type(part)).items():
        value, key = getattr(part, name), f"{above}.{name}"
        if not field.init:
            continue
        if has(type(value)) and not hasattr(value, "since_ns"):
            yield from numeric_keys(key, value)
        elif {"float", "int"} & set(str(field.type).replace("<class '", "").replace("'>", "").split(" | ")):
            yield key


def test_numbers_at_their_limits(capsys, tmp_path) -> None:
    """Whatever number a key takes, nothing is divided by it that is zero, and nothing grows beyond what is counted."""
    dice, counts = chance("limits"), Counter[str]()
    places = []
    for example, short in SHORT.items():
        path = ROOT / "examples" / example / "scenario.toml"
        scenario = Scenario.load(path, [short])
        assembly = assemble(scenario)
        parts = [("strategy", assembly.strategy), *((f"venues.{each.name}", each) for each in assembly.venues)]
        keys = [key for name, part in parts for key in numeric_keys(name, part)]
        keys += (
            [f"market.path.{name}" for name in ("seed", "number", "rows", "block_rows")] if "path" in example else []
        )
        keys += ["capital_usd", "seed", "benchmarks.rate"]
        places += [(path, short, key) for key in keys]
    for number in range(times(30)):
        path, short, key = dice.choice(places)
        settings = {key: dice.choice(LIMITS)}
        if dice.random() < 0.3:
            other = dice.choice([each for each in places if each[0] == path])[2]
            settings[other] = dice.choice(LIMITS)
        said = [word for each, value in settings.items() for word in ("--set", f"{each}={value}")]
        try:
            code = ran(capsys, tmp_path, number, path, "--set", short, *said)
        except BaseException as error:
            pytest.fail(f"{path.parent.name} {short} {settings}: {type(error).__name__}: {error}"[:3000])
        counts[{0: "ran", 2: "refused"}.get(code, "else")] += 1
    tell(capsys, "numbers at their limits", counts)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return run_and_save("capital_rebalance", tmp_path_factory.mktemp("runs"), ("market.end=2025-03-15",))[1]


def test_folders_that_lie(capsys, run, tmp_path) -> None:
    """Manifests, summaries and tables, spoilt as values and as bytes, by each command that reads them."""
    dice, counts = chance("folders"), Counter[str]()
    names = sorted(each.name for each in run.iterdir())
    for number in range(times(40)):
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
    for number in range(times(60)):
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


SAMPLES = 48
OWN = pd.DataFrame(
    {
        "time": pd.date_range("2025-01-01", periods=SAMPLES, freq="h", tz="UTC"),
        "open": 100.0, "high": 101.0, "low": 99.0, "close": 100.0, "rate": 0.00001, "note": "fine",
    }
)  # fmt: skip


def test_own_files_that_lie(capsys, tmp_path, monkeypatch) -> None:
    """Parquet, Feather and CSV, by `data import`; what was stored can be read, and is finite."""
    dice, counts = chance("own files"), Counter[str]()
    for number in range(times(30)):
        monkeypatch.setenv("CARRYBOOK_DATA", str(tmp_path / f"store{number}"))
        path = tmp_path / f"{number}{dice.choice(('.parquet', '.parquet', '.feather', '.csv'))}"
        frame = OWN.copy()
        if dice.random() < 0.7:
            column = dice.choice(list(frame))
            frame[column] = [dice.choice(CELLS) if dice.random() < 0.1 else each for each in frame[column]]
            if dice.random() < 0.3:
                frame = frame.sample(frac=1, random_state=number)
        try:
            write = {".parquet": frame.to_parquet, ".feather": frame.to_feather, ".csv": frame.to_csv}[path.suffix]
            write(path, **({} if path.suffix != ".csv" else {"index": False}))
        except Exception:  # what the format cannot say
            frame.astype(str).to_csv(path := path.with_suffix(".csv"), index=False)
        if dice.random() < 0.3:
            path.write_bytes(bent(path.read_bytes(), dice))
        kind = dice.choice((["prices"], ["funding", "--unit", "fraction"], ["rates", "--unit", "percent"]))
        counts[
            f"{path.suffix} {stored(capsys, 'data', 'import', path, '--coin', 'ETH', '--yes', '--kind', *kind)}"
        ] += 1
    tell(capsys, "own files that lie", counts)


CELLS = (
    None,
    float("nan"),
    float("inf"),
    -1.0,
    0.0,
    1e308,
    10**30,
    "1e5",
    "1_000",
    "\x1b[2J",
    {"a": 1},
    [1],
    True,
    b"x",
)


def stored(capsys, *command: object) -> str:
    """What a command that stores says; whatever is in the store afterwards is whole, and holds no nonsense."""
    code, _ = answer(capsys, *command)
    store = Store.default()
    for series in store.ids():
        _, samples = store.read(series)
        assert all(sane(column.tolist()) for column in samples.columns.values()), series
        assert answer(capsys, "data", "check", series)[0] in (0, 1)
    assert not [each for each in store.root.rglob("*") if each.name.endswith((".part", ".draft"))]
    return "stored" if code == 0 else "refused"


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    """A store with candles and funding."""
    place = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch, Host(SOURCES["hyperliquid"][1]()) as host:
        patch.setenv("CARRYBOOK_DATA", str(place))
        days = ["--from", "2025-01-01", "--to", "2025-01-03", "--wait-scale", "0.001", "--base-url", host.url]
        with pytest.raises(SystemExit) as ended:
            main(["fetch", "hyperliquid", "--interval", "1d", *days])
        assert not ended.value.code
    return place


def test_stores_that_lie(capsys, tmp_path, monkeypatch, filled) -> None:
    """Files of series and of their provenance, spoilt as values and as bytes, by each command that reads them."""
    dice, counts = chance("stores"), Counter[str]()
    files = sorted(each.relative_to(filled) for each in (filled / "series").rglob("*") if each.suffix != ".lock")
    for number in range(times(30)):
        store = Path(shutil.copytree(filled, tmp_path / str(number)))
        monkeypatch.setenv("CARRYBOOK_DATA", str(store))
        path = store / dice.choice([each for each in files if (store / each).is_file()])
        if path.suffix == ".parquet" and dice.random() < 0.6:
            pq.write_table(falsified(pq.read_table(path), dice), path)
        elif path.suffix == ".jsonl" and dice.random() < 0.6:
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            said = spoilt(lines, dice)
            text = "\n".join(json.dumps(each) for each in (said if isinstance(said, list) else [said]))
            path.write_text(text, encoding="utf-8", errors="surrogatepass")
        else:
            path.write_bytes(bent(path.read_bytes(), dice))
        series = dice.choice(("hyperliquid:SOL:1d", "hyperliquid:SOL:funding"))
        command = dice.choice((["list"], ["show", series], ["check", series], ["gaps", series]))
        try:
            code, _ = answer(capsys, "data", *command)
        except BaseException:
            kept = shutil.copytree(store, tmp_path.parent / f"kept-store-{number}", dirs_exist_ok=True)
            pytest.fail(f"data {' '.join(command)} of {kept}, {path.name}")
        counts[f"{command[0]} {('passed', 'found', 'refused')[code]}"] += 1
        shutil.rmtree(store)
    tell(capsys, "stores that lie", counts)


SOURCES: dict[str, tuple[list[object], Callable[[], Callable[[Asked], object]]]] = {
    "hyperliquid": (
        ["--interval", "1d"],
        lambda: sources.hyperliquid(sources.candles(3), sources.payments(3), page=50),
    ),
    "drift": ([], lambda: sources.drift([sources.drift_record(hour) for hour in range(72)])),
    "defillama": (["--pool", "kamino-sol"], lambda: sources.defillama([sources.pool_sample(day) for day in range(3)])),
    "kamino": (["--reserve", "SOL"], lambda: sources.kamino([sources.reserve_sample(hour) for hour in range(73)])),
    "jito": ([], lambda: sources.jito(3)),
    "binance": (
        ["--interval", "1d"],
        lambda: sources.binance(sources.candles(3), [sources.binance_payment(hour) for hour in range(0, 72, 8)]),
    ),
}
"""Source -> what it is asked, and how it answers."""


def lying(honest: Callable[[Asked], object], dice: Random) -> Callable[[Asked], object]:
    """A source that lies in a part of its replies, in values, bytes or codes."""

    def speak(asked: Asked) -> object:
        reply = honest(asked)
        match dice.randrange(4):
            case 0:
                return Answer(bent(json.dumps(reply).encode(), dice))
            case 1:
                return Answer(reply, status=dice.choice((200, 204, 301, 400, 404, 418, 429, 500)))
            case 2:
                return Answer(json.dumps(spoilt(reply, dice)).encode("utf-8", "surrogatepass"))
            case _:
                return reply

    return speak


def test_sources_that_lie(capsys, tmp_path, monkeypatch) -> None:
    """An honest reply afterwards can be stored beside whatever was taken, or is refused in a line."""
    dice, counts = chance("sources"), Counter[str]()
    for number in range(times(15)):
        monkeypatch.setenv("CARRYBOOK_DATA", str(tmp_path / f"store{number}"))
        name = dice.choice(list(SOURCES))
        asked, honest = SOURCES[name]
        days = ["--from", "2025-01-01", "--to", "2025-01-03", "--wait-scale", "0.001"]
        for speak in (lying(honest(), dice), honest()):
            with Host(speak) as host:
                counts[f"{name} {stored(capsys, 'fetch', name, *asked, *days, '--base-url', host.url)}"] += 1
    tell(capsys, "sources that lie, and are honest afterwards", counts)
