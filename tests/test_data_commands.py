"""The data commands as a user meets them: fetch, list, show, check and gaps."""

import json
import re
import subprocess
import sys

import pytest

from framework.data.store import Store
from tests import sources
from tests.sources import Host
from tests.test_command_line import carrybook

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


def test_a_wrong_question_is_one_line(store, capsys):
    """Series that are not there, hosts that are not ours to hurry, and days that cannot be."""
    for arguments, words in (
        (("data", "show", "a:b"), "a:b: not in the store"),
        (("data", "check", "nowhere.csv"), "nowhere.csv: not readable"),
        (("fetch", "hyperliquid", "--from", "2025-01-01", "--wait-scale", "0.5"), "hyperliquid's own limits hold"),
        (("fetch", "hyperliquid", "--from", "tomorrow"), "'tomorrow' does not match"),
        (("fetch", "hyperliquid", "--from", "2025-01-05", "--to", "2025-01-01"), "is before the first, 2025-01-05"),
        (("fetch", "drift", "--from", "2026-04-01", "--to", "2026-04-02"), "when the venue was drained"),
        (("fetch", "ccxt"), "No such command 'ccxt'"),
    ):
        code, printed, complaint = carrybook(capsys, *arguments)
        assert (code, printed) == (2, ""), arguments
        assert words in complaint
        assert complaint.count("\n") == 1


def test_without_the_extra_there_is_one_line():
    """Who has not installed what fetching needs is told what to do."""
    code = (
        "import sys; sys.modules['httpx2'] = None; from framework.cli import main; "
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
        "units: column funding_rate: 5 in the middle; for a rate that looks like",
    ),
}


@pytest.mark.parametrize(("rows", "words"), FILES.values(), ids=FILES)
def test_check_finds_what_is_wrong_with_a_file(capsys, tmp_path, rows, words):
    """The finding names the row as a person counts it, and the exit code is 1."""
    (tmp_path / "rows.csv").write_text(HEADER + rows)
    code, printed, complaint = carrybook(capsys, "data", "check", tmp_path / "rows.csv")
    assert (code, complaint) == (1, "")
    found = [line.strip() for line in printed.splitlines()[1:]]
    assert any(re.match(words.replace("+", r"\+"), line) for line in found), printed
    code, printed, _ = carrybook(capsys, "data", "check", tmp_path / "rows.csv", "--json")
    assert {json.loads(line)["check"] for line in printed.splitlines()} >= {words.partition(":")[0]}


def test_check_of_a_whole_file_finds_nothing(capsys, tmp_path):
    """Times may be ISO, dates, or numbers in any unit; the exit code is 0."""
    for number, times in enumerate(
        (["2025-01-01", "2025-01-02"], [1735689600, 1735776000], [1735689600000, 1735776000000])
    ):
        rows = [{"timestamp": time, "close": 10.0} for time in times]
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(rows))
        assert carrybook(capsys, "data", "check", path) == (0, f"{number}.json: 2 samples, 0 findings\n", "")


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
    assert "late: row 6, 2025-01-01T05:25:00.076000+00:00: 300.076 s beyond what its source allows" in printed
    store.path(FUNDING).with_suffix(".jsonl").unlink()
    _, printed, _ = carrybook(capsys, "data", "check", FUNDING)
    assert "provenance: row 1, 2025-01-01T00:00:00.076000+00:00: the first of 24 samples of which no request" in printed


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
        "  duplicate: row 502, 2024-01-21T19:00:00+00:00: the same time as row 501",
        "  duplicate: row 1002, 2024-02-11T14:00:00+00:00: the same time as row 1001",
    ]


def test_check_names_the_hole_of_marginfis_rates(study_data, capsys):
    """831 hours from 2025-07-30 15:00, and rates in percent."""
    _, printed, _ = carrybook(capsys, "data", "check", study_data / "asgard_marginfi_sol_hourly.json", "--limit", "100")
    assert "2025-07-30 15:00:00 to 2025-09-03 06:00:00, 831 h: 830 missing of one every 1 h" in printed
    assert "newest first" in printed
    assert "units: column avgBorrowingRate: 5.973 in the middle; for a rate that looks like percent" in printed


def test_the_intervals_of_the_command_are_those_of_the_readers():
    """The command names them without loading the readers."""
    from framework.clock import INTERVALS_NS
    from framework.data.commands import INTERVALS

    assert tuple(INTERVALS_NS) == INTERVALS
