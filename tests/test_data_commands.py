"""The data commands as a user meets them: fetch, list, show, check and gaps."""

import json
import os
import re
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.data.store import Store
from tests import sources
from tests.commands import carrybook
from tests.sources import Host

FUNDING = "hyperliquid:SOL:funding"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The store that commands use, with three days of Hyperliquid."""
    monkeypatch.setenv("CARRYBOOK_DATA", str(tmp_path / "data"))
    return Store.default()


def fetch(capsys, source, *options, days=3, speak=None):
    """Fetch from a host on the loopback, by the environment's name for it."""
    said = speak or sources.hyperliquid(sources.candles(days, "1h"), sources.payments(days))
    with Host(said) as host:
        window = ("--from", "2025-01-01", "--to", f"2025-01-{days:02}", "--base-url", host.url, "--wait-scale", "0.001")
        return carrybook(capsys, "fetch", source, *options, *window)


def test_every_source_has_a_command(store, capsys):
    """Each fills its series, and says how many samples are new."""
    speaks = {
        "hyperliquid": None,
        "drift": sources.drift([sources.drift_record(hour) for hour in range(72)]),
        "defillama": sources.defillama([sources.pool_sample(day) for day in range(40)]),
        "kamino": sources.kamino([sources.reserve_sample(hour) for hour in range(72)]),
        "jito": sources.jito(3),
        "binance": sources.binance(
            sources.candles(3, "1h"), [sources.binance_payment(hour) for hour in range(0, 72, 8)]
        ),
    }
    for source, speak in speaks.items():
        code, printed, complaint = fetch(capsys, source, speak=speak)
        assert (code, complaint) == (0, ""), source
        assert " new samples, " in printed
    code, printed, _ = carrybook(capsys, "data", "list", "--json")
    series = {line["series"]: line["samples"] for line in map(json.loads, printed.splitlines())}
    assert series == {
        "binance:SOLUSDT:1h": 72, "binance:SOLUSDT:funding": 9, "defillama:kamino-sol": 3, "defillama:kamino-usdc": 3,
        "drift:SOL-PERP:funding": 72, "hyperliquid:SOL:1h": 72, FUNDING: 72, "jito:pool_rate": 3,
        "kamino:SOL": 72, "kamino:USDC": 72,
    }  # fmt: skip
    for name, samples in series.items():
        code, printed, _ = carrybook(capsys, "data", "check", name)
        assert (code, printed) == (0, f"{name}: {samples} samples, 0 findings\n")


def test_fetch_tells_its_result_as_json(store, capsys):
    """An object per series, with the holes that are left."""
    _, printed, _ = fetch(capsys, "hyperliquid", "--json", speak=sources.hyperliquid([], sources.payments(2)))
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [(line["series"], line["added"]) for line in lines] == [("hyperliquid:SOL:1h", 0), (FUNDING, 48)]
    assert lines[1]["holes"] == ["2025-01-02 23:00:00 to 2025-01-04 00:00:00, 25 h: 24 missing of one every 1 h"]
    assert lines[0]["note"] == "Hyperliquid keeps only the latest 5,000 candles of an interval"


def test_show_says_what_a_series_is_and_where_it_came_from(store, capsys):
    """Provenance, units, head and tail; rows are counted from the first day that is given."""
    fetch(capsys, "hyperliquid")
    _, printed, _ = carrybook(capsys, "data", "show", FUNDING, "--rows", "1")
    assert f"{FUNDING}: Hyperliquid, funding of SOL-USD perpetuals, positive: longs pay shorts" in printed
    assert "72 samples, digest " in printed
    assert "2025-01-01T00:00:00.076000+00:00" in printed
    assert '{"type":"fundingHistory","coin":"SOL","startTime":1735689600000' in printed
    assert store.asked(FUNDING)[0].sha256[:16] in printed
    _, later, _ = carrybook(capsys, "data", "show", FUNDING, "--from", "2025-01-03", "--rows", "1")
    assert ["1", "2025-01-03T00:00:00.076000+00:00"] in [line.split()[:2] for line in later.splitlines()]
    for days, asked in (
        (["--from", "2030-01-01"], "from 2030-01-01"),
        (["--from", "2024-01-01", "--to", "2024-01-02"], "from 2024-01-01 to 2024-01-02"),
    ):
        known = "expected days of the series, 2025-01-01 to 2025-01-03"
        refused = (2, "", f"carrybook: {FUNDING}: no samples {asked}; {known}\n")
        assert carrybook(capsys, "data", "show", FUNDING, *days) == refused


def test_a_wrong_question_is_one_line(store, capsys):
    """Series that are not there, hosts that are not ours to hurry, and days that cannot be."""
    for arguments, words in (
        (("data", "show", "a:b"), "a:b: not in the store"),
        (("data", "check", "nowhere.csv"), "nowhere.csv: not readable"),
        (("fetch", "hyperliquid", "--from", "2025-01-01", "--wait-scale", "0.5"), "hyperliquid's own limits hold"),
        (("fetch", "hyperliquid", "--from", "tomorrow"), "'tomorrow'; expected a date such as 2025-01-31"),
        (("fetch", "hyperliquid", "--from", "2025-01-05", "--to", "2025-01-01"), "is before the first, 2025-01-05"),
        (("fetch", "drift", "--from", "2026-04-01", "--to", "2026-04-02"), "when the venue was drained"),
        (("fetch", "ccxt"), "No such command 'ccxt'"),
    ):
        code, printed, complaint = carrybook(capsys, *arguments)
        assert (code, printed) == (2, ""), arguments
        assert words in complaint
        assert complaint.count("\n") == 1


def test_without_the_extra_there_is_one_line():
    """Who has not installed what fetching needs gets the command that installs it."""
    code = (
        "import sys; sys.modules['httpx2'] = None; from framework.command_line.cli import main; "
        "main(['fetch', 'jito', '--from', '2025-01-01'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        done.stderr
        == "carrybook: fetching needs httpx2; install it in the project's directory with pip install '.[fetch]'\n"
    )


HEADER = "time,open,high,low,close,funding_rate\n"
FILES = {
    "duplicates": (
        "2025-01-01T00:00Z,1,2,1,1,0\n2025-01-01T01:00Z,1,2,1,1,0\n2025-01-01T01:00Z,1,2,1,1,0\n",
        "duplicate: row 4, 2025-01-01T01:00:00+00:00: the same time as row 3",
    ),
    "unsorted": (
        "2025-01-01T00:00Z,1,2,1,1,0\n2025-01-01T02:00Z,1,2,1,1,0\n2025-01-01T01:00Z,1,2,1,1,0\n",
        "order: row 4, 2025-01-01T01:00:00+00:00: earlier than row 3",
    ),
    "newest first": ("2025-01-01T01:00Z,1,2,1,1,0\n2025-01-01T00:00Z,1,2,1,1,0\n", "order: rows.csv: newest first"),
    "a gap": (
        "2025-01-01T00:00Z,1,2,1,1,0\n2025-01-01T01:00Z,1,2,1,1,0\n2025-01-01T04:00Z,1,2,1,1,0\n2025-01-01T05:00Z,1,2,1,1,0\n",
        "gap: rows.csv: 2025-01-01 01:00:00 to 2025-01-01 04:00:00, 3 h: 2 missing of one every 1 h",
    ),
    "no number": (
        "2025-01-01T00:00Z,1,2,1,1,\n2025-01-01T01:00Z,1,2,1,1,0\n",
        "not finite: row 2, .*funding_rate: nan",
    ),
    "no price": ("2025-01-01T00:00Z,1,2,0,1,0\n", "price: row 2, .*, column low: 0.0; expected more than 0"),
    "a close above the high": (
        "2025-01-01T00:00Z,1,2,1,3,0\n",
        "price: row 2, .*: open or close is not within low and high",
    ),
    "other units": (
        "2025-01-01T00:00Z,1,2,1,1,0\n2025-01-01T01:00Z,100,200,100,100,0\n",
        "units: row 3, .*, column close: 100.0 after 1.0; a change by more than 5 times: other units",
    ),
    "percent": (
        "2025-01-01T00:00Z,1,2,1,1,5\n",
        "units: column funding_rate: 5 in the middle for 1 h, 4380000% a year; expected fractions of the notional",
    ),
}


@pytest.mark.parametrize(("rows", "words"), FILES.values(), ids=FILES)
def test_check_finds_what_is_wrong_with_a_file(capsys, tmp_path, rows, words):
    """The finding names the row as a person counts it, and the exit code is 1."""
    (tmp_path / "rows.csv").write_text(HEADER + rows)
    code, printed, complaint = carrybook(capsys, "data", "check", tmp_path / "rows.csv")
    assert (code, complaint) == (1, "")
    found = [line.strip().removeprefix("error: ") for line in printed.splitlines()[1:]]
    assert any(re.match(words.replace("+", r"\+"), line) for line in found), printed
    code, printed, _ = carrybook(capsys, "data", "check", tmp_path / "rows.csv", "--json")
    assert {json.loads(line)["check"] for line in printed.splitlines()} >= {words.partition(":")[0]}


def test_check_of_a_whole_file_finds_nothing(capsys, tmp_path):
    """Times may be what a reader takes: ISO 8601 with an offset, dates, or milliseconds; the exit code is 0."""
    for key, times in (
        ("timestamp", ["2025-01-01T00:00Z", "2025-01-02T00:00:00+00:00"]),
        ("date", ["2025-01-01", "2025-01-02"]),
        ("time", [1735689600000, 1735776000000]),
    ):
        path = tmp_path / f"{key}.json"
        path.write_text(json.dumps([{key: time, "close": 10.0} for time in times]))
        assert carrybook(capsys, "data", "check", path) == (0, f"{key}.json: 2 samples, 0 findings\n", "")
    path = tmp_path / "dates.csv"
    path.write_text("date,close\n2025-01-01,10\n2025-01-02,10\n")
    assert carrybook(capsys, "data", "check", path) == (0, "dates.csv: 2 samples, 0 findings\n", "")


def hourly(column, values, times=None):
    """A CSV file with a column of values, an hour apart."""
    times = times or [f"2025-01-{1 + hour // 24:02}T{hour % 24:02}:00Z" for hour in range(len(values))]
    lines = [f"{time},{value}" for time, value in zip(times, values, strict=True)]
    return "\n".join([f"time,{column}", *lines]) + "\n"


def candle_lines(**cells):
    """A CSV file of candles around 200 USD, the second with other cells."""
    rows = [{"open": 200, "high": 210, "low": 190, "close": 200} for _ in range(4)]
    rows[1] |= cells
    lines = [f"2025-01-01T0{hour}:00Z,{','.join(str(row[key]) for key in row)}" for hour, row in enumerate(rows)]
    return "\n".join(["time,open,high,low,close", *lines]) + "\n"


RATES = [0.00001, 0.00002, 0.0000125, -0.00001] * 12
IMPLAUSIBLE = {
    "n/a as a close": (hourly("close", [10, "n/a", 10]), "error: not a number: row 3, .*, column close: 'n/a'"),
    "an object as text": (hourly("close", [10, "{}", 10]), "error: not a number: row 3, .*, column close: '{}'"),
    "underscores": (hourly("x_apy", ["0.05", "1_000"]), "error: not a number: row 3, .*'1_000'"),
    "funding times a hundred": (
        hourly("funding_rate", [100 * rate for rate in RATES]),
        "error: units: column funding_rate: 0.001125 in the middle for 1 h, 986% a year; expected fractions",
    ),
    "funding times ten thousand": (
        hourly("funding_rate", [10_000 * rate for rate in RATES]),
        "error: units: column funding_rate: 0.1125 in the middle",
    ),
    "one rate beyond any cap": (
        hourly("funding_rate", [*RATES, 0.05]),
        "error: funding: row 50, .*: 0.05 for 1 h; no venue's funding goes beyond 0.04",
    ),
    "daily funding times a hundred": (
        hourly("drift_funding_rate", [0.03] * 20, [f"2025-01-{day:02}" for day in range(1, 21)]),
        "error: units: column drift_funding_rate: 0.03 in the middle for 24 h, 1095% a year",
    ),
    "daily funding that is high": (
        hourly("drift_funding_rate", [0.005] * 20, [f"2025-01-{day:02}" for day in range(1, 21)]),
        "warning: units: column drift_funding_rate: 0.005 in the middle for 24 h, 182% a year",
    ),
    "funding of nothing": (hourly("funding_rate", [0] * 30), "warning: funding: column funding_rate: all 30 samples"),
    "a yearly rate in percent": (hourly("sol_lending_apy", [5, 6, 7]), "error: units: column sol_lending_apy: 6 in"),
    "one yearly rate of 1e5": (hourly("x_apy", [0.05, "1e5", 0.05]), "error: rate: row 3, .*: 100000; expected a frac"),
    "a lending rate below nothing": (hourly("x_apy", [0.05, -0.1]), "error: rate: row 3, .*: -0.1, the first of 1 bel"),
    "a total that is none": (hourly("total_usd", [5, -1e308]), "error: size: row 3, .*, column total_usd: -1e.308"),
    "a low of 5": (candle_lines(low=5), "error: wick: row 3, .*, column low: 5, 40 times away from open and close"),
    "a high of 100,000": (candle_lines(high=100_000), "error: wick: row 3, .*, column high: 100000, 500 times away"),
    "a high of 500": (candle_lines(high=500), "warning: wick: row 3, .*, column high: 500, 2.5 times away"),
    "a jump": (
        hourly("close", [100, 250, 250]),
        "warning: jump: row 3, .*: 250.0 after 100.0; a change by more than 2",
    ),
    "milliseconds": (
        hourly("close", [10, 10], [1735689600000, 1735693200000]),
        "error: times: row 2, column time: '1735689600000', the first of 2 numbers, which `run` refuses; expected text",
    ),
    "no time zone": (
        hourly("close", [10, 10], ["2025-01-01T00:00:00", "2025-01-01 01:00:00"]),
        "error: times: row 2, column time: '2025-01-01T00:00:00', the first of 2 without a time zone, which `run`",
    ),
    "a line of other length": (
        "time,close\n2025-01-01T00:00Z,1\n2025-01-01T01:00Z,1,2\n",
        "error: cells: row 3: 3 cells",
    ),
    "a column twice": ("time,close,close\n2025-01-01T00:00Z,1,1\n", "error: header: .*: column close twice"),
}


@pytest.mark.parametrize(("text", "words"), IMPLAUSIBLE.values(), ids=IMPLAUSIBLE)
def test_check_finds_what_is_implausible_and_says_how_sure_it_is(capsys, tmp_path, text, words):
    """What a run refuses or what no market has is an error, what is unusual a warning."""
    (tmp_path / "rows.csv").write_text(text)
    code, printed, complaint = carrybook(capsys, "data", "check", tmp_path / "rows.csv")
    assert (code, complaint) == (1, "")
    assert any(re.match(words, line.strip()) for line in printed.splitlines()[1:]), printed
    _, printed, _ = carrybook(capsys, "data", "check", tmp_path / "rows.csv", "--json")
    levels = {(line["level"], line["check"]) for line in map(json.loads, printed.splitlines())}
    assert tuple(words.split(": ")[:2]) in levels


JSON_OBJECTS = {
    "seconds": (
        [{"time": 1735689600, "fundingRate": "0"}],
        "times: row 1, column time: 1735689600, the first of 1 num",
    ),
    "numbers for text": ([{"timestamp": 1735689600000, "apyBase": 5}], "times: row 1, column timestamp: 1735689600000"),
    "a date for an instant": ([{"timestamp": "2025-01-01", "apyBase": 5}], "times: row 1, .*without a time zone"),
    "an object for a rate": ([{"date": "2025-01-01", "apyBase": {"a": 5}}], "not a number: row 1, .*: {'a': 5}; exp"),
    "a truth for a rate": ([{"date": "2025-01-01", "apyBase": True}], "not a number: row 1, .*, column apyBase: True"),
    "an integer beyond floats": (
        [{"date": "2025-01-01", "close": 10**400}],
        "not a number: row 1, .*, column close: 1000",
    ),
    "a rate that its premium does not give": (
        [{"time": 1735689600000, "fundingRate": "0.0001", "premium": "0"}],
        "premium: row 1, .*: fundingRate 0.0001, but the premium 0 gives 1.25e-05, 8 times that",
    ),
    "Hyperliquid's high": (
        [{"t": 1735689600000, "o": "9", "c": "9", "l": "9", "h": "900"}],
        "wick: row 1, .*, column high: 900, 100 times away from open and close, 9 and 9",
    ),
}


@pytest.mark.parametrize(("rows", "words"), JSON_OBJECTS.values(), ids=JSON_OBJECTS)
def test_check_finds_what_is_wrong_with_objects(capsys, tmp_path, rows, words):
    """Times that the reader of the key refuses, and cells that are no numbers, however large."""
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    code, printed, complaint = carrybook(capsys, "data", "check", tmp_path / "rows.json")
    assert (code, complaint) == (1, "")
    assert any(re.match(f"error: {words}", line.strip()) for line in printed.splitlines()[1:]), printed


@pytest.mark.parametrize("command", ["check", "gaps"])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_inspection_prints_on_every_terminal(tmp_path, command, encoding):
    """Names and values may hold anything: what cannot be shown, or would steer the terminal, is escaped."""
    odd = "\u20ac\ud800\x1b[31m"
    rows = [{"date": "2025-01-01", "close": odd, f"{odd}_apy": 5}, {"date": "2025-01-03", "close": 5, f"{odd}_apy": 5}]
    (tmp_path / "o\u20acdd.json").write_text(json.dumps(rows))
    done = subprocess.run(
        [sys.executable, "-m", "framework.command_line.cli", "data", command, "o\u20acdd.json"],
        cwd=tmp_path, capture_output=True, check=False, env=os.environ | {"PYTHONIOENCODING": encoding},
    )  # fmt: skip
    assert done.returncode == (1 if command == "check" else 0)
    assert done.stderr == b""
    assert b"dd.json: 2 samples" in done.stdout
    assert b"\x1b" not in done.stdout
    assert (b"\\ud800\\x1b[31m_apy" in done.stdout) is (command == "check")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), st.text(max_size=5),
            st.sampled_from(["2025-01-01", "2025-01-01T00:00Z", "1e5", "1_000", "n/a", "-1e308", "now"]),
            st.lists(st.integers(), max_size=1), st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
        ),
        min_size=1, max_size=6,
    ),
    key=st.sampled_from(["time", "timestamp", "date", "close", "funding_rate", "x_apy", "fundingRate", "o", "n"]),
)  # fmt: skip
def test_inspection_never_ends_in_a_traceback(tmp_path, capsys, cells, key):
    """Whatever stands in a file, the outcome is a list of findings or one line."""
    for name, text in (
        ("any.json", json.dumps([{"date": "2025-01-01T00:00Z", "low": 1, key: cell} for cell in cells])),
        ("any.csv", "\n".join(["date,low," + key, *(f"2025-01-01,1,{json.dumps(cell)}" for cell in cells)])),
    ):
        (tmp_path / name).write_text(text)
        code, printed, complaint = carrybook(capsys, "data", "check", tmp_path / name)
        assert code in (0, 1, 2)
        assert complaint.count("\n") == (1 if code == 2 else 0)
        assert printed.startswith(name) is (code != 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "expected one of time, timestamp, date"),
        ("time,b\nsoon,2\n", "row 2: 'soon'; expected a time such as"),
        ("time,b\n1000-01-01,2\n", "expected a time"),
        ("", "not CSV"),
    ],
)
def test_a_file_without_times_is_one_line(capsys, tmp_path, text, words):
    """What cannot be inspected is refused."""
    (tmp_path / "rows.csv").write_text(text)
    code, printed, complaint = carrybook(capsys, "data", "check", tmp_path / "rows.csv")
    assert (code, printed) == (2, "")
    assert words in complaint
    assert complaint.count("\n") == 1


def test_check_knows_lateness_and_provenance_of_stored_series(store, capsys):
    """A payment later than its source may be, and samples that no request explains."""
    rows = sources.payments(1)
    rows[5]["time"] += 1_500_000
    fetch(capsys, "hyperliquid", days=1, speak=sources.hyperliquid([], rows))
    code, printed, _ = carrybook(capsys, "data", "check", FUNDING)
    assert code == 1
    assert "  error: late: row 6, 2025-01-01T05:25:00.076000+00:00: 300.076 s beyond what its source allows" in printed
    store.path(FUNDING).with_suffix(".jsonl").unlink()
    _, printed, _ = carrybook(capsys, "data", "check", FUNDING)
    assert (
        "  warning: provenance: row 1, 2025-01-01T00:00:00.076000+00:00: the first of 24 samples of which no request"
        in printed
    )


def test_days_are_withdrawn_with_a_reason_and_can_be_fetched_again(store, capsys):
    """The samples are kept aside, the provenance keeps its lines and has the reason, and a gap stays until then."""
    fetch(capsys, "hyperliquid")
    whole = store.path(FUNDING).read_bytes()
    options = ("--from", "2025-01-02", "--to", "2025-01-02")
    code, printed, _ = carrybook(capsys, "data", "withdraw", FUNDING, *options, "--reason", "rates of a test net")
    assert code == 0
    first, last = "2025-01-02T00:00:00.076000+00:00", "2025-01-02T23:00:00.076000+00:00"
    assert printed.startswith(f"{FUNDING}: 24 samples withdrawn, {first} to {last}, kept in {store.root}/withdrawn/")
    assert len(store.read(FUNDING)[1]) == 48
    assert len(store.asked(FUNDING)) == 1
    (line,) = store.withdrawn(FUNDING)
    assert (line.withdrawn, line.samples, line.first, line.last) == ("rates of a test net", 24, first, last)
    assert pq.read_table(store.root / line.kept)["time"].to_pylist()[0].isoformat() == first
    assert "rates of a test net" in carrybook(capsys, "data", "show", FUNDING)[1]
    assert "gap: " in carrybook(capsys, "data", "check", FUNDING)[1]
    code, printed, _ = carrybook(capsys, "data", "withdraw", FUNDING, *options, "--reason", "again")
    code, _, complaint = carrybook(capsys, "data", "withdraw", FUNDING, *options, "--reason", "again")
    assert (code, complaint) == (
        2,
        f"carrybook: {FUNDING}: nothing between 2025-01-02 and 2025-01-02; expected days of the series\n",
    )
    assert f"{FUNDING}: 24 new samples, 1 requests" in fetch(capsys, "hyperliquid")[1]
    assert store.path(FUNDING).read_bytes() == whole
    assert len(store.withdrawn(FUNDING)) == 1


def test_check_compares_prices_with_another_source(store, capsys):
    """A series that is wrong by a factor throughout fits itself; beside another source of the coin it does not."""
    fetch(capsys, "hyperliquid")
    for close, code in ((99.0, 0), (111.0, 1)):
        speak = sources.binance(sources.candles(3, "4h", close=close), [])
        symbol = "SOLUSDT"
        assert fetch(capsys, "binance", "--interval", "4h", "--symbol", symbol, speak=speak)[0] == 0
        for series, times in (("binance:SOLUSDT:4h", "1.11"), ("hyperliquid:SOL:1h", "0.9009")):
            found, printed, _ = carrybook(capsys, "data", "check", series)
            assert found == code
            assert (f"error: scale: {series}: closes are {times} times those of " in printed) is bool(code)
        store.remove("binance:SOLUSDT:4h")


def test_a_reason_is_shown_on_every_terminal(store, capsys):
    """It is what a user wrote, and may hold what the terminal cannot show."""
    fetch(capsys, "hyperliquid")
    reason = "f\u00fcr \u20ac\x1b[31m"
    options = ("--from", "2025-01-02", "--to", "2025-01-02", "--reason", reason)
    assert carrybook(capsys, "data", "withdraw", FUNDING, *options)[0] == 0
    done = subprocess.run(
        [sys.executable, "-m", "framework.command_line.cli", "data", "show", FUNDING],
        capture_output=True, check=False, env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"f\xfcr \u20ac\x1b[31m" in done.stdout
    assert store.withdrawn(FUNDING)[0].withdrawn == reason


def test_a_series_may_be_withdrawn_whole(store, capsys):
    """It is not there any more, and its provenance is; with nothing said as a reason nothing is done."""
    fetch(capsys, "hyperliquid")
    options = ("withdraw", FUNDING, "--from", "2025-01-01", "--to", "2025-01-03", "--reason")
    code, _, complaint = carrybook(capsys, "data", *options, " ")
    assert (code, store.has(FUNDING)) == (2, True)
    assert "no reason; expected why the samples are withdrawn" in complaint
    assert carrybook(capsys, "data", *options, "another venue's")[0] == 0
    assert (store.has(FUNDING), len(store.asked(FUNDING)), len(store.withdrawn(FUNDING))) == (False, 1, 1)
    assert "72 new samples" in fetch(capsys, "hyperliquid")[1]


def alien(path):
    """A Parquet file that somebody else has written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"a": [1, 2]}), path)


@pytest.mark.parametrize(
    "arguments", [("data", "show"), ("data", "check"), ("data", "gaps"), ("data", "withdraw"), ("fetch",), ("run",)]
)
def test_a_parquet_file_that_is_not_ours_is_one_clear_line(store, capsys, tmp_path, arguments):
    """Every command that meets it names the file and what is wrong with it."""
    path = store.path(FUNDING)
    alien(path)
    if arguments == ("fetch",):
        code, _, complaint = fetch(capsys, "hyperliquid")
    elif arguments == ("run",):
        (tmp_path / "own.toml").write_text(
            'name = "own"\ncapital_usd = 1\n'
            'market = { start = 2025-01-01, end = 2025-01-02, prices = "hyperliquid:SOL:1h", '
            f'series = {{ x = "{FUNDING}" }} }}\n'
            '[strategy]\nclass = "static"\nlong = "asgard"\nshort = "hyperliquid"\nleverage = 2.0\n'
            '[rulebook]\nclass = "study"\n[venues.asgard]\n[venues.hyperliquid]\n'
        )
        path.rename(path.with_name("1h.parquet"))
        path = path.with_name("1h.parquet")
        path.with_name("funding.parquet").write_bytes(path.read_bytes())
        code, _, complaint = carrybook(capsys, "run", tmp_path / "own.toml")
    else:
        more = ("--from", "2025-01-01", "--to", "2025-01-02", "--reason", "x") if "withdraw" in arguments else ()
        code, _, complaint = carrybook(capsys, *arguments, FUNDING, *more)
    assert code == 2
    why = "not a series of the store: Parquet without carrybook's description of its series; expected a file that"
    assert complaint.startswith("carrybook: ")
    assert why in complaint
    assert "parquet: " in complaint
    assert complaint.count("\n") == 1


def test_list_shows_what_is_ours_beside_what_is_not(store, capsys):
    """One strange file hides nothing."""
    fetch(capsys, "hyperliquid")
    alien(store.root / "series" / "somebody else" / "x.parquet")
    code, printed, complaint = carrybook(capsys, "data", "list")
    assert code == 2
    assert FUNDING in printed
    assert (
        complaint == "carrybook: 'somebody else:x' is not the id of a series; expected one such as hyperliquid:SOL:1h\n"
    )


STRANGE = {
    "columns of another kind": (lambda t: t.set_column(1, "funding_rate", pa.array(["a"] * len(t))), "its columns are"),
    "a column less": (
        lambda t: t.drop_columns(["premium"]),
        "its columns are time, funding_rate, not time, funding_rate, ",
    ),
    "no rows": (lambda t: t.slice(0, 0), "its times are not in order, each once"),
    "times out of order": (lambda t: pa.concat_tables([t.slice(5), t.slice(0, 5)]), "its times are not in order"),
    "a missing cell": (
        lambda t: t.set_column(1, t.schema.field(1), pa.array([None, *t[1].to_pylist()[1:]], pa.float64())),
        "it has cells without a value",
    ),
    "another value": (
        lambda t: t.set_column(1, t.schema.field(1), pa.array([0.5, *t[1].to_pylist()[1:]])),
        "its values were changed after they were stored",
    ),
    "another description": (lambda t: t.replace_schema_metadata({b"carrybook": b"[" * 9}), "JSONDecodeError as it is"),
    "a description of nothing": (lambda t: t.replace_schema_metadata({b"carrybook": b"[]"}), "as it is read"),
}


@pytest.mark.parametrize(("change", "words"), STRANGE.values(), ids=STRANGE)
def test_a_stored_series_that_somebody_changed_is_refused(store, capsys, change, words):
    """Columns, rows, values and description are what the store has written, or the file is refused."""
    fetch(capsys, "hyperliquid")
    path = store.path(FUNDING)
    table = pq.read_table(path)
    changed = change(table)
    if b"carrybook" not in (changed.schema.metadata or {}):
        changed = changed.replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, path)
    code, printed, complaint = carrybook(capsys, "data", "check", FUNDING)
    assert (code, printed) == (2, "")
    assert words in complaint
    assert complaint.count("\n") == 1


def test_a_line_of_provenance_that_a_crash_cut_off_is_passed_over(store, capsys):
    """What was whole is shown, and the next line takes its place."""
    fetch(capsys, "hyperliquid", days=2)
    path = store.path(FUNDING).with_suffix(".jsonl")
    path.write_text(path.read_text() + path.read_text()[:40])
    assert carrybook(capsys, "data", "show", FUNDING)[0] == 0
    assert len(store.asked(FUNDING)) == 1
    fetch(capsys, "hyperliquid", days=3)
    assert len(store.asked(FUNDING)) == 2


def test_gaps_names_holes_the_longest_first(store, capsys):
    """Of a series as of a file."""
    rows = sources.payments(3)
    fetch(capsys, "hyperliquid", speak=sources.hyperliquid([], [*rows[:4], *rows[5:30], *rows[40:]]))
    code, printed, _ = carrybook(capsys, "data", "gaps", FUNDING)
    assert code == 0
    assert printed.splitlines() == [
        f"{FUNDING}: 61 samples, 2 holes, 11 missing",
        "  2025-01-02 05:00:00 to 2025-01-02 16:00:00, 11 h: 10 missing of one every 1 h",
        "  2025-01-01 03:00:00 to 2025-01-01 05:00:00, 2 h: 1 missing of one every 1 h",
    ]
    _, printed, _ = carrybook(capsys, "data", "gaps", FUNDING, "--json")
    assert [json.loads(line)["missing"] for line in printed.splitlines()] == [10, 1]


def test_check_names_the_duplicates_of_a_peers_file(market_data, capsys):
    """The two hours that fractal-defi's output has twice."""
    code, printed, _ = carrybook(capsys, "data", "check", market_data / "fractal_btc_hyperliquid.csv")
    assert code == 1
    assert printed.splitlines()[1:] == [
        "  error: duplicate: row 502, 2024-01-21T19:00:00+00:00: the same time as row 501",
        "  error: duplicate: row 1002, 2024-02-11T14:00:00+00:00: the same time as row 1001",
    ]


def test_check_names_the_hole_of_marginfis_rates(study_data, capsys):
    """831 hours from 2025-07-30 15:00; that the newest comes first is no error there."""
    _, printed, _ = carrybook(capsys, "data", "check", study_data / "asgard_marginfi_sol_hourly.json", "--limit", "100")
    assert "2025-07-30 15:00:00 to 2025-09-03 06:00:00, 831 h: 830 missing of one every 1 h" in printed
    assert "  warning: order: asgard_marginfi_sol_hourly.json: newest first; expected time order" in printed
    assert "units" not in printed  # Asgard writes percent, as its reader knows
