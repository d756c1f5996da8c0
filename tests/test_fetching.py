"""Fetching from a real server on the loopback: the store holds the data complete, or is as it was."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.clock import NS_PER_DAY, NS_PER_SECOND
from framework.command_line.cli import main
from framework.data.fetching import binance, defillama, drift, hyperliquid, jito, kamino
from framework.data.fetching.client import Client, Pace
from framework.data.fetching.feed import Fetch
from framework.data.samples import Samples
from framework.data.store import Store
from framework.errors import CarrybookError, FetchError, MarketError, StoreError
from tests import sources
from tests.sources import Answer, Host

ROOT = Path(__file__).parent.parent
START_NS = sources.START_MS * 10**6
FUNDING = "hyperliquid:SOL:funding"
PACE = Pace(per_minute=6000, burst=100, rest_s=10)


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    return Store(tmp_path / "data")


def fetch(feed, store, host, days, *, first=0, client=None, **options):
    """Fetch days from 2025-01-01 on, hardly waiting."""
    options = {"now_ns": START_NS + 10_000 * NS_PER_DAY} | options
    window = {"start_ns": START_NS + first * NS_PER_DAY, "end_ns": START_NS + days * NS_PER_DAY}
    with Client(host=host.url, pace=PACE, wait_scale=0.001, **({"attempts": 3} | (client or {}))) as asking:
        return Fetch(**window, **options).run(feed, store, asking)


def funded(days=3, page=30):
    """Hyperliquid with hourly funding, some of it a page."""
    return Host(sources.hyperliquid([], sources.payments(days), page=page))


def refuses(feed, store, host, days, words, error=FetchError, **options):
    """The fetch is refused in these words, in one line."""
    with pytest.raises(error, match=words) as refused:
        fetch(feed, store, host, days, **options)
    assert "\n" not in str(refused.value)


def complete(store, days=3):
    """Whether the store has every payment of the days."""
    _, samples = store.read(FUNDING)
    wanted = sources.payments(days)
    assert samples.time_ns.tolist() == [row["time"] * 10**6 for row in wanted]
    assert samples.columns["funding_rate"].tolist() == [float(row["fundingRate"]) for row in wanted]
    assert samples.columns["premium"].tolist() == [float(row["premium"]) for row in wanted]
    return True


SOL = hyperliquid.Funding(coin="SOL")

PASSING = {
    "429 without Retry-After": (Answer({}, status=429), {}),
    "429 with Retry-After": (Answer({}, status=429, headers={"Retry-After": "0"}), {}),
    "429 with a strange Retry-After": (Answer({}, status=429, headers={"Retry-After": "soon"}), {}),
    "500": (Answer(b"oops", status=500), {}),
    "503": (Answer(b"", status=503), {}),
    "slow": (Answer([{}] * 50, slow_s=0.05), {"timeout_s": 0.3}),
    "slow headers": (Answer([{}], slow_headers_s=0.05), {"timeout_s": 0.3}),
    "cut off": (Answer(sources.payments(1), cut=True), {}),
}


@pytest.mark.parametrize(("answer", "client"), PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("times", [1, 2])
def test_what_may_pass_is_asked_again(store, answer, client, times):
    """A failure that passes leaves nothing behind: the data are complete."""
    with funded() as host:
        host.first = [answer] * times
        done = fetch(SOL, store, host, 3, client=client)
    assert done.requests == 3 + times
    assert complete(store)
    assert done.holes == ()


@pytest.mark.parametrize(("answer", "client"), PASSING.values(), ids=PASSING)
def test_what_does_not_pass_is_one_line_and_nothing_is_stored(store, answer, client):
    """After the last attempt there is one line that names the request, and no file."""
    with funded() as host:
        host.first = [answer] * 3
        with pytest.raises(FetchError, match=r"^POST http.*fundingHistory.*; 3 attempts$") as refused:
            fetch(SOL, store, host, 3, client=client)
    assert "\n" not in str(refused.value)
    assert store.ids() == []


REFUSED = {
    "not JSON": (b"<html>busy</html>", "not JSON .*'<html>busy</html>'; expected JSON"),
    "half of JSON": (b'[{"coin": "SOL"', "not JSON"),
    "an object": ({"error": "no such coin"}, "no such coin.*; expected an array of objects"),
    "an array of numbers": ([1, 2], "expected an array of objects"),
    "a redirection": (Answer(b"", status=302, headers={"Location": "https://elsewhere"}), "status 302: nothing"),
    "403": (Answer(b"forbidden", status=403), "status 403: 'forbidden'; expected 200"),
    "404": (Answer(b"", status=404), "status 404"),
    "a longer wait than is sensible": (
        Answer({}, status=429, headers={"Retry-After": "3600"}),
        "the source asks to wait 3600 s; start again after that",
    ),
    "seconds for milliseconds": ([sources.payment(0, time=1_735_689_600)], "row 1, time: 1735689600; expected milli"),
    "no rate": ([sources.payment(0, fundingRate=None)], "row 1, fundingRate: None; expected a finite number"),
    "a rate that is no number": ([sources.payment(0, fundingRate="NaN")], "row 1, fundingRate: 'NaN'"),
    "a truth for a rate": ([sources.payment(0), sources.payment(1, premium=True)], "row 2, premium: True"),
    "unsorted": (sources.payments(1)[::-1], "row 2, 2025-01-01T22:.* is earlier than row 1; expected time order"),
    "two values for one time": (
        [sources.payment(0), sources.payment(0, premium="0.1")],
        "2025-01-01T00:00:00.076000.* twice, with premium -0.001 and 0.1; expected one value for one time",
    ),
    "percent": (
        [
            sources.payment(hour, fundingRate=str(100 * float(sources.payment(hour)["fundingRate"])))
            for hour in range(9)
        ],
        "-0.00625, but .* gives -6.25e-05, 100 times that; expected fractions of the notional per hour, .*--as-given",
    ),
    "the other sign": (
        [sources.payment(hour, fundingRate=str(-float(sources.payment(hour)["fundingRate"]))) for hour in range(9)],
        "6.25e-05, but .* gives -6.25e-05, that with the other sign; expected .* above 0 where longs pay shorts",
    ),
}


@pytest.mark.parametrize(("answer", "words"), REFUSED.values(), ids=REFUSED)
def test_a_reply_that_cannot_be_is_one_line_and_nothing_is_stored(store, answer, words):
    """The line names the request, and what would be right; it is not asked again."""
    with funded() as host:
        host.first = [answer if isinstance(answer, Answer) else Answer(answer)]
        with pytest.raises(FetchError, match=words) as refused:
            fetch(SOL, store, host, 3)
    assert len(host.asked) == 1
    assert str(refused.value).startswith(f"POST {host.url}/info ")
    assert "\n" not in str(refused.value)
    assert store.ids() == []


@pytest.mark.parametrize("number", [1, 2])
def test_a_later_reply_that_cannot_be_leaves_the_pages_before(store, number):
    """What was stored before a bad reply stays, and the next fetch asks for the rest."""
    with funded() as host:
        good = [Answer(host.speak(sources.Asked("POST", "/info", {}, body, ""))) for body in _bodies(host, store)]
        host.asked.clear()
        host.first = [*good[:number], Answer(b"<html>")]
        with pytest.raises(FetchError, match="not JSON"):
            fetch(SOL, store, host, 3)
        assert len(store.read(FUNDING)[1]) == 30 * number
        host.asked.clear()
        fetch(SOL, store, host, 3)
    assert len(host.asked) == 3 - number
    assert complete(store)


def _bodies(host, store):
    """What an undisturbed fetch asks."""
    other = Store(store.root.parent / "undisturbed")
    fetch(SOL, other, host, 3)
    return [asked.body for asked in host.asked]


def test_duplicates_that_agree_are_one_row(store):
    """A row that comes twice and says the same is kept once."""
    rows = [row for row in sources.payments(1) for _ in range(2)]
    with Host(sources.hyperliquid([], rows)) as host:
        done = fetch(SOL, store, host, 1)
    assert done.added == 24
    assert complete(store, 1)


def test_a_page_that_repeats_for_ever_is_refused(store):
    """A host that does not heed where a page begins gives the same rows again: that is said after the second one."""
    with Host(lambda _: sources.payments(1)) as host:
        refuses(SOL, store, host, 3, r"24 rows of 2025-01-01T00.* to 2025-01-01T23.*, and none from 2025-01-01T23")
    assert len(host.asked) == 2
    assert complete(store, 1)


def test_a_reply_larger_than_the_limit_is_refused(store):
    """It is not read to its end, and nothing is stored."""
    with Host(lambda _: Answer(b"[" + b" " * 5_000_000 + b"]")) as host:
        words = "a reply of more than 1,000,000 bytes; expected less"
        refuses(SOL, store, host, 3, words, client={"limit_bytes": 1_000_000})
    assert store.ids() == []


def test_an_empty_reply_is_a_hole(store):
    """Nothing is stored, nothing is an error, and the hole is reported: the next fetch asks for it again."""
    with Host(lambda _: []) as host:
        done = fetch(SOL, store, host, 3)
        assert (done.added, done.requests) == (0, 1)
        assert [str(hole) for hole in done.holes] == [
            "2025-01-01 00:00:00 to 2025-01-04 00:00:00, 3 d: 72 missing of one every 1 h"
        ]
        assert fetch(SOL, store, host, 3).requests == 1
    assert store.ids() == []


def test_a_password_in_an_address_is_used_and_never_told(store):
    """Neither provenance nor a complaint has it."""
    with funded(1) as host:
        host.first = [Answer(b"", status=403)]
        secret = host.url.replace("http://", "http://me:secret@")
        with Client(host=secret, pace=PACE, wait_scale=0.001) as client:
            window = {"start_ns": START_NS, "end_ns": START_NS + NS_PER_DAY, "now_ns": START_NS + 2 * NS_PER_DAY}
            with pytest.raises(FetchError, match="status 403") as refused:
                Fetch(**window).run(SOL, store, client)
            Fetch(**window).run(SOL, store, client)
    assert "secret" not in str(refused.value)
    assert store.asked(FUNDING)[0].request.startswith(f"POST {host.url}/info ")


def test_header_lines_that_come_one_by_one_do_not_keep_a_request_alive():
    """Each of them comes in time, and all of them would take five seconds: the whole reply has one limit."""
    with Host(lambda _: Answer([], slow_headers_s=0.05)) as host:
        began = time.monotonic()
        with Client(host=host.url, pace=PACE, attempts=1, timeout_s=0.3) as client:
            with pytest.raises(FetchError, match=r"no whole reply within 0\.3 s; 1 attempts"):
                client.get("/")
            host.first = [Answer([])]
            assert client.get("/").json() == []
        assert time.monotonic() - began < 2


def test_no_host_is_one_line(store):
    """A host that does not answer at all."""
    with Host(lambda _: []) as host:
        pass
    with pytest.raises(FetchError, match=r"POST http.*(refused|Connect).*; 3 attempts"):
        fetch(SOL, store, host, 1)


@pytest.mark.parametrize(
    "host", ["", "api.hyperliquid.xyz", "ftp://somewhere", "https://", "http://[::1", "http://a:b", "http://:80"]
)
def test_what_is_no_host_is_refused_at_once(host):
    """A slip in an address is not asked again and again."""
    with pytest.raises(FetchError, match=r"is not a host; expected one such as https://api"):
        Client(host=host, pace=PACE)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured_in_seconds_and_as_a_date(store, form):
    """The wait that a source asks for is kept to in full, however short ours are."""
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    text = "1" if form == "seconds" else format_datetime(due, usegmt=True)
    with funded(1) as host:
        host.first = [Answer({}, status=429, headers={"Retry-After": text})]
        began = time.monotonic()
        fetch(SOL, store, host, 1)
    assert time.monotonic() - began >= 1.0 if form == "seconds" else datetime.now(UTC) >= due


def test_the_pace_of_a_source_is_kept():
    """Beyond its burst a client waits for the budget to refill."""
    with Host(lambda _: []) as host, Client(host=host.url, pace=Pace(per_minute=600, burst=2)) as client:
        began = time.monotonic()
        for _ in range(5):
            client.get("/")
        assert 0.3 <= time.monotonic() - began < 2.0


def test_the_client_says_who_asks(store):
    """The user agent is the project and its version."""
    with funded(1) as host:
        fetch(SOL, store, host, 1)
    assert host.asked[0].agent == "carrybook/0.1.0"


def test_tls_is_verified():
    """A server without a certificate that can be trusted is refused."""
    with Host(lambda _: []) as host:
        client = Client(host=host.url.replace("http:", "https:"), pace=PACE, attempts=1)
        with client, pytest.raises(FetchError, match="SSL"):
            client.get("/")


def test_a_fetch_asks_only_for_what_is_missing(store):
    """Days at the end, days before, days between and days that are there."""
    with funded(10, page=500) as host:
        for first, days, requests in ((4, 6, 1), (4, 6, 0), (4, 8, 1), (1, 5, 1), (0, 10, 2), (0, 10, 0)):
            assert fetch(SOL, store, host, days, first=first).requests == requests
    assert complete(store, 10)


def test_a_hole_is_asked_for_again_and_nothing_around_it(store):
    """An hour that the source did not have comes when it has it."""
    rows = sources.payments(2)
    with Host(sources.hyperliquid([], rows[:20] + rows[21:])) as host:
        assert [hole.missing for hole in fetch(SOL, store, host, 2).holes] == [1]
    with Host(sources.hyperliquid([], rows)) as host:
        assert fetch(SOL, store, host, 2).added == 1
        assert host.asked[0].body["startTime"] == rows[19]["time"] + 1
        assert host.asked[0].body["endTime"] == rows[21]["time"] - 1
    assert complete(store, 2)


@pytest.mark.parametrize("source", ["hyperliquid", "kamino", "defillama"])
def test_a_hole_that_stays_is_told_and_no_error(store, source):
    """A source without some hours answers with what lies around them, and the rest is fetched as ever."""
    lost = range(30, 33)
    if source == "hyperliquid":
        rows = sources.candles(3, "1h")
        kept = [row for hour, row in enumerate(rows) if hour not in lost]

        def speak(asked):
            wanted = asked.body["req"]  # a candle that contains the start belongs to the reply
            return [row for row in kept if row["T"] >= wanted["startTime"] and row["t"] <= wanted["endTime"]][:40]

        feed = hyperliquid.Candles(coin="SOL", interval="1h")
    elif source == "defillama":
        days = [day for day in range(72) if day not in lost]
        speak = sources.defillama([sources.pool_sample(day) for day in days])
        feed = defillama.Lending(pool="kamino-sol")
    else:
        speak = sources.kamino([sources.reserve_sample(hour) for hour in range(72) if hour not in lost])
        feed = kamino.Reserve(reserve="SOL")
    with Host(speak) as host:
        for added, requests in ((69, None), (0, 1), (0, 1)):
            done = fetch(feed, store, host, 72 if source == "defillama" else 3)
            assert (done.added, [hole.missing for hole in done.holes]) == (added, [3])
            assert requests in (None, done.requests)


def test_progress_is_told_from_nothing_to_all(store):
    """Shares that grow, up to 1."""
    shares = []
    with funded() as host:
        fetch(SOL, store, host, 3, progress=shares.append)
    assert shares == sorted(shares)
    assert (len(shares), shares[0] > 0.3, shares[-1]) == (4, True, 1.0)


def test_again_asks_for_everything_and_finds_what_differs(store):
    """A source that changes its history is reported, and the store keeps what it had."""
    with funded() as host:
        fetch(SOL, store, host, 3)
        assert fetch(SOL, store, host, 3, again=True).added == 0
    before = store.path(FUNDING).read_bytes()
    changed = sources.payments(3)
    premium = 0.002
    changed[40] = sources.payment(40, fundingRate=str(sources.hyperliquid_rate(premium)), premium=str(premium))
    with Host(sources.hyperliquid([], changed)) as host:
        words = r"funding, 2025-01-02T16:00:00.076000\+00:00, column funding_rate: the reply"
        refuses(SOL, store, host, 3, words, StoreError, again=True)
    assert store.path(FUNDING).read_bytes() == before


def test_only_what_has_closed_is_asked_for(store):
    """The candle of today would still change; so would a daily sample."""
    feed = hyperliquid.Candles(coin="SOL", interval="1d")
    with Host(sources.hyperliquid(sources.candles(10), [])) as host:
        done = fetch(feed, store, host, 10, now_ns=START_NS + 5 * NS_PER_DAY + 3600 * NS_PER_SECOND)
        assert done.added == 5
        with pytest.raises(
            FetchError, match="hyperliquid:SOL:1d: nothing has closed since 2025-01-08; expected a past"
        ):
            fetch(feed, store, host, 9, first=7, now_ns=START_NS + 5 * NS_PER_DAY)


def test_a_candle_that_cannot_be_is_refused_before_it_is_kept(store):
    """A store never overwrites: a price of nothing, or a close above the high, must not get into it."""
    feed = hyperliquid.Candles(coin="SOL", interval="1d")
    for cells, words in (({"l": "0"}, "low: 0.0; expected a price above 0"), ({"c": "130"}, "within low and high")):
        with Host(sources.hyperliquid([*sources.candles(2), sources.candle(opening_ms(2), **cells)], [])) as host:
            refuses(feed, store, host, 3, rf"2025-01-03 00:00:00\+00:00, .*{words}", MarketError)
    assert store.ids() == []


def opening_ms(day):
    """The opening of a day after 2025-01-01."""
    return sources.START_MS + day * sources.DAY_MS


def test_candles_that_a_source_does_not_keep_are_told_with_the_reason(store):
    """What is before the first candle is a hole, and the source's limit is named."""
    with Host(sources.hyperliquid(sources.candles(10)[4:], [])) as host:
        done = fetch(hyperliquid.Candles(coin="SOL", interval="1d"), store, host, 10)
    assert (done.added, [hole.missing for hole in done.holes]) == (6, [4])
    assert done.note == "Hyperliquid keeps only the latest 5,000 candles of an interval"


def test_a_last_day_before_the_first_is_refused(store):
    """The line says both."""
    with Host(lambda _: []) as host:
        refuses(SOL, store, host, 1, "funding: the last day, 2025-01-01, is before the first, 2025-01-05", first=4)


def test_values_in_other_units_are_taken_when_told_to(store):
    """`as_given` leaves out the guards."""
    rows = [sources.payment(hour, fundingRate="0.03", premium="0") for hour in range(24)]
    with Host(sources.hyperliquid([], rows)) as host:
        with pytest.raises(FetchError, match="--as-given"):
            fetch(SOL, store, host, 1)
        assert fetch(SOL, store, host, 1, as_given=True).added == 24


@pytest.mark.slow
def test_pages_that_a_killed_fetch_stored_stay_and_the_rest_is_fetched(tmp_path):
    """SIGKILL between pages, and started again: the same bytes as undisturbed, and nothing is asked for twice."""
    command = [
        str(Path(sys.executable).parent / "carrybook"), "fetch", "hyperliquid", "--interval", "1d",
        "--from", "2025-01-01", "--to", "2025-01-10", "--wait-scale", "0.001",
    ]  # fmt: skip

    def run(host, data):
        environment = os.environ | {"CARRYBOOK_DATA": str(data), "CARRYBOOK_BASE_URL_HYPERLIQUID": host.url}
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)

    speak = sources.hyperliquid(sources.candles(10), sources.payments(10), page=48)
    with Host(speak) as host:
        assert run(host, tmp_path / "whole").wait(30) == 0
        undisturbed = [asked.body for asked in host.asked]

    def stall(asked):
        if len(host.asked) == 4:
            fetching.kill()
            time.sleep(0.2)
        return speak(asked)

    with Host(stall) as host:
        fetching = run(host, tmp_path / "killed")
        assert fetching.wait(30) == -9
    killed, whole = Store(tmp_path / "killed"), Store(tmp_path / "whole")
    assert not killed.has(FUNDING)
    assert len(killed.quarantine.read(FUNDING)[1]) == 96
    with Host(speak) as host:
        assert run(host, tmp_path / "killed").wait(30) == 0
        assert [asked.body for asked in host.asked] == undisturbed[3:]
    for series in whole.ids():
        assert killed.path(series).read_bytes() == whole.path(series).read_bytes()
    assert [path.name for path in (tmp_path / "killed").rglob("*.draft")] == []


KILLED = {
    "drift": (sources.drift([sources.drift_record(hour) for hour in range(120)]), "2025-01-05", 3),
    "kamino": (sources.kamino([sources.reserve_sample(hour) for hour in range(100 * 24)]), "2025-04-10", 6),
    "binance": (
        sources.binance(sources.candles(3, "1h"), [sources.binance_payment(hour) for hour in range(0, 72, 8)], page=20),
        "2025-01-03",
        3,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("source", "speak", "last", "killed_at"), [(key, *each) for key, each in KILLED.items()])
def test_a_killed_fetch_of_any_source_ends_as_an_undisturbed_one(tmp_path, source, speak, last, killed_at):
    """SIGKILL between pages of the others as well: started again, every file of samples has the same bytes."""
    carrybook = str(Path(sys.executable).parent / "carrybook")
    command = [carrybook, "fetch", source, "--from", "2025-01-01", "--to", last, "--wait-scale", "0.001"]

    def run(host, data):
        place = {"CARRYBOOK_DATA": str(data), f"CARRYBOOK_BASE_URL_{source.upper()}": host.url}
        return subprocess.Popen(command, env=os.environ | place, stdout=subprocess.DEVNULL)

    def stall(asked):
        if len(host.asked) == killed_at:
            fetching.kill()
            time.sleep(0.2)
        return speak(asked)

    with Host(stall) as host:
        fetching = run(host, tmp_path / "killed")
        assert fetching.wait(60) == -9
    killed, whole = Store(tmp_path / "killed"), Store(tmp_path / "whole")
    assert killed.quarantine.ids()
    with Host(speak) as host:
        for store in (killed, whole):
            assert run(host, store.root).wait(60) == 0
    assert killed.ids() == whole.ids()
    for series in whole.ids():
        assert killed.path(series).read_bytes() == whole.path(series).read_bytes()
    assert not list(killed.root.rglob("*.draft"))


ONE_PAGE = {
    "defillama": (sources.defillama([sources.pool_sample(day) for day in range(9)]), "2025-01-09", 2),
    "jito": (sources.jito(400), "2026-01-20", 2),
    "jito, one page": (sources.jito(20), "2025-01-20", 1),
}
"""What is asked -> the server, the last day, and the request at which the process is killed.

DefiLlama answers for one pool at once, and two are asked for; Jito for a year, a part of which is one page.
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["asked", "in the middle of the reply", "while it is stored"])
@pytest.mark.parametrize(("source", "speak", "last", "killed_at"), [(key, *each) for key, each in ONE_PAGE.items()])
def test_a_fetch_killed_within_a_page_ends_as_an_undisturbed_one(tmp_path, source, speak, last, killed_at, moment):
    """SIGKILL where one reply is all there is: what was stored before stays, and the rest comes out byte for byte."""
    carrybook, name = str(Path(sys.executable).parent / "carrybook"), source.partition(",")[0]
    command = [carrybook, "fetch", name, "--from", "2025-01-01", "--to", last, "--wait-scale", "0.001"]

    def run(host, data):
        place = {"CARRYBOOK_DATA": str(data), f"CARRYBOOK_BASE_URL_{name.upper()}": host.url}
        return subprocess.Popen(command, env=os.environ | place, stdout=subprocess.DEVNULL)

    def stall(asked):
        if len(host.asked) < killed_at:
            return speak(asked)
        if moment == "asked":
            fetching.kill()
            time.sleep(0.2)
        else:
            threading.Timer(0.3 if moment.startswith("in") else 0.02, fetching.kill).start()
        return Answer(speak(asked), slow_s=0.01 if moment.startswith("in") else 0.0)

    with Host(stall) as host:
        fetching = run(host, tmp_path / "killed")
        assert fetching.wait(60) == -9 or (moment == "while it is stored" and fetching.returncode == 0)
    killed, whole = Store(tmp_path / "killed"), Store(tmp_path / "whole")
    before = killed.ids() or killed.quarantine.ids()
    assert moment == "while it is stored" or len(before) == killed_at - 1
    with Host(speak) as host:
        assert run(host, killed.root).wait(60) == 0
        again = len(host.asked)
        assert run(host, whole.root).wait(60) == 0
        assert again <= len(host.asked) - again - len(before)
    assert killed.ids() == whole.ids()
    for series in whole.ids():
        assert killed.path(series).read_bytes() == whole.path(series).read_bytes()
    assert not list(killed.root.rglob("*.draft"))


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(
    page=st.integers(3, 60),
    failures=st.lists(st.sampled_from(["429", "500", "cut", "html", "fine"]), max_size=6),
    windows=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), max_size=3),
)
def test_whatever_goes_wrong_the_end_is_the_same(page, failures, windows):
    """Any pages, failures and windows before, and fetches given up and started again: the same bytes in the end."""
    said = {
        "429": Answer({}, status=429),
        "500": Answer(b"", status=500),
        "cut": Answer(sources.payments(1), cut=True),
        "html": Answer(b"<html>"),
    }
    with tempfile.TemporaryDirectory() as place, funded(6, page) as host:
        tried, undisturbed = Store(f"{place}/tried"), Store(f"{place}/undisturbed")
        speak = host.speak
        host.speak = lambda asked: said.get(failures.pop(0) if failures else "fine") or speak(asked)
        for first, days in [*((first, first + days) for first, days in windows), *[(0, 6)] * 7]:
            with contextlib.suppress(FetchError):
                fetch(SOL, tried, host, min(days, 6), first=first, client={"attempts": 2})
        fetch(SOL, undisturbed, host, 6)
        assert complete(undisturbed, 6)
        assert tried.path(FUNDING).read_bytes() == undisturbed.path(FUNDING).read_bytes()


def test_what_a_killed_write_left_is_no_series_and_is_removed_by_the_next_fetch(store, capsys, monkeypatch):
    """Of the series itself at once, for who has its lock knows that nobody writes it; beside it after a day."""
    parent, waiting = store.path(FUNDING).parent, store.quarantine.path(FUNDING).parent
    own, quarantined = parent / ".funding.parquet.aaaaaaaa.draft", waiting / ".funding.parquet.bbbbbbbb.draft"
    old, new = (parent / f".4h.parquet.{name}.draft" for name in ("cccccccc", "dddddddd"))
    for each in (own, quarantined, old, new):
        each.parent.mkdir(parents=True, exist_ok=True)
        each.write_bytes(b"PAR1 and no more")
    os.utime(old, (0, 0))
    assert store.ids() == []
    monkeypatch.setenv("CARRYBOOK_DATA", str(store.root))
    days = ["--from", "2025-01-01", "--to", "2025-01-03", "--wait-scale", "0.001"]
    with Host(sources.hyperliquid(sources.candles(3), sources.payments(3))) as host, pytest.raises(SystemExit):
        main(["fetch", "hyperliquid", "--interval", "1d", *days, "--base-url", host.url])
    assert complete(store)
    assert [each.exists() for each in (own, quarantined, old, new)] == [False, False, False, True]
    said = sorted(capsys.readouterr().err.splitlines())
    assert said == sorted(f"Removed {each}, which was never finished." for each in (own, quarantined, old))


def test_two_fetches_of_one_series_do_not_meet(store):
    """While one adds to a series, another is refused."""
    with funded() as host, store.lock(FUNDING):
        words = f"{FUNDING}: another process is adding to it; expected one at a time"
        refuses(SOL, store, host, 3, words, StoreError)
    assert host.asked == []


# Every source: what is stored, in which units, with which sign, and what its guard refuses.


def test_hyperliquid_candles(store):
    """Prices in USD, volume in coins, by the time of the open; candles of another length are refused."""
    feed = hyperliquid.Candles(coin="SOL", interval="1h")
    with Host(sources.hyperliquid(sources.candles(3, "1h", close=111.5), [], page=50)) as host:
        done = fetch(feed, store, host, 3)
        kind, samples = store.read("hyperliquid:SOL:1h")
        host.first = [Answer([row | {"i": "1h"} for row in sources.candles(3, "4h")])]
        with pytest.raises(FetchError, match="row 1 is a candle of 14400 s; expected candles of 1h"):
            fetch(feed, store, host, 3, again=True)
    assert (done.added, done.requests, done.holes) == (72, 2, ())
    assert samples.time_ns.tolist() == [START_NS + hour * 3600 * NS_PER_SECOND for hour in range(72)]
    assert {name: values[5] for name, values in samples.columns.items()} == {
        "open": 100.0, "high": 120.0, "low": 80.0, "close": 111.5, "volume": 1000.5
    }  # fmt: skip
    assert kind.units["close"] == "USD"


@pytest.mark.parametrize("key", ["records", "fundingRates"])
def test_drift_funding_is_a_fraction_of_the_oracle_price_for_the_short_side(store, key):
    """Both scales of the interface give the same: decimal text, and the older form's integers."""
    records = [sources.drift_record(hour) for hour in range(72)]
    if key == "fundingRates":
        scales = {"fundingRate": 10**9, "fundingRateLong": 10**9, "fundingRateShort": 10**9, "oraclePriceTwap": 10**6}
        for record in records:
            record |= {name: str(round(float(record[name]) * scale)) for name, scale in scales.items()}
    with Host(sources.drift(records, key)) as host:
        done = fetch(drift.Funding(market="SOL-PERP"), store, host, 3)
    assert [asked.path for asked in host.asked] == [f"/market/SOL-PERP/fundingRates/2025/1/{day}" for day in (1, 2, 3)]
    assert (done.added, done.holes) == (72, ())
    columns = store.read("drift:SOL-PERP:funding")[1].columns
    assert columns["funding_rate"].tolist() == pytest.approx([0.00001] * 72, rel=1e-12)
    assert columns["long_rate"].tolist() == pytest.approx([0.0000125] * 72, rel=1e-12)
    assert columns["oracle_price"].tolist() == [200.0] * 72


DRIFT_REFUSED = {
    "two scales": ([sources.drift_record(0), sources.drift_record(1, oraclePriceTwap="200000000")], "in another scale"),
    "integers read as decimals": (
        [sources.drift_record(0, oraclePriceTwap="200000000.0")],
        "at a price of 2e.08 USD; expected at most 0.005, and prices below a million",
    ),
    "rates that were not divided": ([sources.drift_record(0, fundingRateShort="-2500.5")], "a rate of 12.5 an hour"),
    "milliseconds for seconds": (
        [sources.drift_record(0, ts=sources.START_MS)],
        "row 1, ts: .*; expected milliseconds",
    ),
    "no price": ([sources.drift_record(0, oraclePriceTwap="0.0")], "an oraclePriceTwap of 0; expected prices above 0"),
    "another day": ([sources.drift_record(50)], "1 rows of 2025-01-03.* and none from 2025-01-01"),
}


@pytest.mark.parametrize(("records", "words"), DRIFT_REFUSED.values(), ids=DRIFT_REFUSED)
def test_drift_refuses_other_scales(store, records, words):
    """The two scales of the interface are distinguished, or refused."""
    with Host(lambda _: {"success": True, "records": [dict(record) for record in records]}) as host:
        refuses(drift.Funding(market="SOL-PERP"), store, host, 1, words)
    assert store.ids() == []


def test_a_day_of_drift_may_come_in_parts(store):
    """The parts are asked for one by one, and a day that has no last one is refused."""
    records = [sources.drift_record(hour) for hour in range(24)]

    def speak(asked):
        page = int(asked.query.get("page", 1))
        return {
            "records": [dict(row) for row in records[page * 10 - 10 : page * 10]],
            "meta": {"nextPage": page + 1 if page < 3 else None},
        }

    with Host(speak) as host:
        done = fetch(drift.Funding(market="SOL-PERP"), store, host, 1)
    assert (done.added, done.requests, done.holes) == (24, 3, ())
    with Host(lambda _: {"records": [], "meta": {"nextPage": 2}}) as host:
        words = "still not the last part of a day; expected 5 at most"
        refuses(drift.Funding(market="SOL-PERP"), Store(store.root / "other"), host, 1, words)


def test_a_fetch_of_drift_goes_on_within_a_day(store):
    """What is missing may begin within a day, which can only be asked for whole: what is there stays as it is."""
    feed, records = drift.Funding(market="SOL-PERP"), [sources.drift_record(hour) for hour in range(96)]
    with Host(sources.drift([*records[:30], *records[40:72]])) as host:
        assert [hole.missing for hole in fetch(feed, store, host, 3).holes] == [10]
    with Host(sources.drift(records)) as host:
        done = fetch(feed, store, host, 4)
    assert (done.added, done.holes) == (34, ())
    assert [asked.path[-1] for asked in host.asked] == ["2", "3", "4"]


def test_drift_has_an_end_and_a_beginning(store):
    """Days after the venue was drained are refused with the reason, and so are those before it began."""
    feed = drift.Funding(market="SOL-PERP")
    with Host(sources.drift([])) as host:
        with pytest.raises(FetchError, match=r"drift: 2026-04-02 is after 2026-04-01, when the venue was drained"):
            fetch(feed, store, host, 457, first=455)
        with pytest.raises(FetchError, match="drift: 2022-02-05 is before 2022-11-04, when Drift v2 began"):
            fetch(feed, store, host, 1, first=-1061)
        assert host.asked == []
        fetch(feed, store, host, 456, first=455)
        assert host.asked[0].path.endswith("/2026/4/1")


def test_defillama_percent_becomes_a_fraction(store):
    """5 % a year is 0.05; only the days that were asked for are kept, in time order."""
    rows = [sources.pool_sample(day) for day in range(60)]
    with Host(sources.defillama(rows[::-1])) as host:
        done = fetch(defillama.Lending(pool="kamino-sol"), store, host, 40, first=10)
    assert host.asked[0].path == "/chartLendBorrow/525b2dab-ea6a-4cbc-a07f-84ce561d1f83"
    assert (done.added, done.requests, done.holes) == (30, 1, ())
    _, samples = store.read("defillama:kamino-sol")
    assert samples.columns["lending_apy"].tolist() == [(5.0 + day / 100) / 100 for day in range(10, 40)]
    assert samples.columns["borrowing_apy"].tolist() == [(8.0 + day / 100) / 100 for day in range(10, 40)]


def test_defillama_refuses_fractions(store):
    """A pool whose borrowing never costs 0.2 % a year is quoted in fractions."""
    rows = [sources.pool_sample(day, apyBase=0.05, apyBaseBorrow=0.08) for day in range(40)]
    with Host(sources.defillama(rows)) as host:
        words = r"apyBaseBorrow from 0.08 to 0.08; expected percent a year"
        refuses(defillama.Lending(pool="kamino-sol"), store, host, 40, words)
    assert store.ids() == []


def test_kamino_fractions_are_fractions(store):
    """0.05 is 5 % a year, written as a number or as text; a long window is asked for in parts."""
    with Host(sources.kamino([sources.reserve_sample(hour) for hour in range(70 * 24)])) as host:
        done = fetch(kamino.Reserve(reserve="SOL"), store, host, 70)
        assert fetch(kamino.Reserve(reserve="SOL"), store, host, 70).requests == 0
    assert (done.added, done.requests, done.holes) == (70 * 24, 3, ())
    assert host.asked[0].query["start"] == "2025-01-01T00:00:00.000Z"
    columns = store.read("kamino:SOL")[1].columns
    assert set(columns["lending_apy"].tolist()) == {0.05}
    assert set(columns["borrowing_apy"].tolist()) == {0.08}


def test_kamino_refuses_percent(store):
    """8 % a year written as 8 is not a fraction."""
    rows = [sources.reserve_sample(hour, borrowInterestAPY=8.0) for hour in range(24)]
    with Host(sources.kamino(rows)) as host:
        words = "borrowInterestAPY of 8 in the middle; expected a fraction a year"
        refuses(kamino.Reserve(reserve="SOL"), store, host, 1, words)
    assert store.ids() == []


def test_jito_pool_rate_is_sol_per_token(store):
    """Lamports over whole tokens, one sample a day."""
    with Host(sources.jito(400)) as host:
        done = fetch(jito.PoolRate(), store, host, 400)
    assert (done.added, done.requests, done.holes) == (400, 2, ())
    rates = store.read("jito:pool_rate")[1].columns["rate"]
    assert rates[:4].tolist() == pytest.approx([1.2, 1.2, 1.2 * 1.0005, 1.2 * 1.0005], rel=1e-12)


def test_windows_of_jito_leave_no_trace(store):
    """The last sample of a day is the same whatever the windows were: a fetch in parts ends with the same bytes."""
    other = Store(store.root / "other")
    with Host(sources.jito(800)) as host:
        fetch(jito.PoolRate(), store, host, 800)
        for days in (100, 101, 500, 800):
            fetch(jito.PoolRate(), other, host, days)
    assert other.path("jito:pool_rate").read_bytes() == store.path("jito:pool_rate").read_bytes()


JITO_REFUSED = {
    "SOL for lamports": {"value": 1.0},
    "lamports for tokens": {"supply": 1e9},
    "tokens per SOL": {"value": 1e9 / 1.2**2},
}


@pytest.mark.parametrize("scales", JITO_REFUSED.values(), ids=JITO_REFUSED)
def test_jito_refuses_other_units(store, scales):
    """Lamports against SOL, and tokens per SOL against SOL per token."""
    with Host(sources.jito(4, **scales)) as host:
        words = "expected lamports over whole jitoSOL, SOL per jitoSOL and not the inverse"
        refuses(jito.PoolRate(), store, host, 4, words)
    assert store.ids() == []


def test_jito_has_a_beginning(store):
    """Days before the pool are refused."""
    with Host(sources.jito(1)) as host:
        refuses(jito.PoolRate(), store, host, 1, r"jito: .* is before 2022-10-31, when the pool began", first=-1061)


def test_binance_payments_come_at_changing_intervals(store):
    """Every payment is kept as it is, whether eight, four or one hour after the last, and no hole is seen in that."""
    hours = [*range(0, 72, 8), *range(72, 120, 4), *range(120, 144), *range(144, 241, 8)]
    with Host(sources.binance([], [sources.binance_payment(hour) for hour in hours], page=20)) as host:
        done = fetch(binance.Funding(symbol="SOLUSDT"), store, host, 10)
    assert (done.added, done.holes) == (len(hours) - 1, ())
    assert set(store.read("binance:SOLUSDT:funding")[1].columns["funding_rate"].tolist()) == {0.0001}
    with Host(sources.binance([], [sources.binance_payment(hour) for hour in [*hours, 244, 248, 252]])) as host:
        assert fetch(binance.Funding(symbol="SOLUSDT"), store, host, 11).added == 4
    del hours[30]
    other = Store(store.root / "other")
    with Host(sources.binance([], [sources.binance_payment(hour) for hour in hours])) as host:
        holes = fetch(binance.Funding(symbol="SOLUSDT"), other, host, 10).holes
    assert [hole.missing for hole in holes] == [1]


def test_binance_candles(store):
    """Arrays become candles, page by page."""
    feed = binance.Candles(symbol="SOLUSDT", interval="1h")
    with Host(sources.binance(sources.candles(5, "1h", close=99.0), [], page=50)) as host:
        done = fetch(feed, store, host, 5)
        assert (done.added, done.requests, done.holes) == (120, 3, ())
        host.first = [Answer([[1, 2]])]
        with pytest.raises(FetchError, match="expected an array of candles"):
            fetch(feed, store, host, 5, again=True)
        host.first = [Answer([[sources.START_MS, "1", "2", "0.5", "1", "9", sources.START_MS + 59_999]])]
        with pytest.raises(FetchError, match="row 1 is a candle of 60 s; expected candles of 1h"):
            fetch(feed, store, host, 5, again=True)
    assert np.unique(store.read("binance:SOLUSDT:1h")[1].columns["close"]).tolist() == [99.0]


def test_binance_refuses_percent(store):
    """0.01 % written as 0.01 is not a fraction."""
    rows = [sources.binance_payment(hour, 0.01) for hour in range(0, 24 * 20, 8)]
    with Host(sources.binance([], rows)) as host:
        words = r"payments of up to 0.01, 0.01 in the middle; expected fractions"
        refuses(binance.Funding(symbol="SOLUSDT"), store, host, 20, words)
    assert store.ids() == []


SAYS_OTHERWISE = {
    "funding of another coin": (
        SOL,
        [sources.payment(0), sources.payment(1, coin="BTC")],
        "row 2 of the reply has coin 'BTC'; expected 'SOL'",
    ),
    "funding of no coin": (SOL, [sources.payment(0, coin=None)], "row 1 of the reply has coin None; expected 'SOL'"),
    "candles of another coin": (
        hyperliquid.Candles(coin="SOL", interval="1d"),
        [sources.candle(sources.START_MS, s="BTC")],
        "row 1 of the reply has s 'BTC'; expected 'SOL'",
    ),
    "candles of another interval": (
        hyperliquid.Candles(coin="SOL", interval="1d"),
        [sources.candle(sources.START_MS, i="1h")],
        "row 1 of the reply has i '1h'; expected '1d'",
    ),
    "funding of another symbol": (
        binance.Funding(symbol="SOLUSDT"),
        [sources.binance_payment(0) | {"symbol": "BTCUSDT"}],
        "row 1 of the reply has symbol 'BTCUSDT'; expected 'SOLUSDT'",
    ),
    "another market of Drift": (
        drift.Funding(market="SOL-PERP"),
        {"success": True, "records": [sources.drift_record(0, symbol="BTC-PERP")]},
        "row 1 of the reply has symbol 'BTC-PERP'; expected 'SOL-PERP'",
    ),
    "a failure that Drift reports": (
        drift.Funding(market="SOL-PERP"),
        {"success": False, "records": []},
        'the reply has success False: ."success": false, "records": ...; expected success True',
    ),
    "another reserve": (
        kamino.Reserve(reserve="SOL"),
        {"reserve": kamino.RESERVES["USDC"], "market": kamino.MARKET, "history": [sources.reserve_sample(0)]},
        f"has reserve '{kamino.RESERVES['USDC']}'; expected '{kamino.RESERVES['SOL']}'",
    ),
    "another market of Kamino": (
        kamino.Reserve(reserve="SOL"),
        {"reserve": kamino.RESERVES["SOL"], "market": "m", "history": [sources.reserve_sample(0)]},
        f"has market 'm'; expected '{kamino.MARKET}'",
    ),
    "metrics of another token": (
        kamino.Reserve(reserve="SOL"),
        {"history": [sources.reserve_sample(0, symbol="USDC")]},
        "row 1 of the reply has symbol 'USDC'; expected 'SOL'",
    ),
    "a failure that DefiLlama reports": (
        defillama.Lending(pool="kamino-sol"),
        {"status": "error", "data": []},
        "the reply has status 'error'.*; expected status success",
    ),
}


@pytest.mark.parametrize(("feed", "reply", "words"), SAYS_OTHERWISE.values(), ids=SAYS_OTHERWISE)
def test_a_reply_about_something_else_is_refused(store, feed, reply, words):
    """The line names the request and what the reply says it is; nothing is stored, with `as_given` neither."""
    for as_given in (False, True):
        with Host(lambda _: json.loads(json.dumps(reply))) as host:
            refuses(feed, store, host, 1, rf"^(GET|POST) {host.url}/.*{words}", as_given=as_given)
        assert (store.ids(), store.quarantine.ids()) == ([], [])


def rates(hour, quotient):
    """Two days of Hyperliquid's funding of which one rate is wrong by a factor."""
    rows = sources.payments(2)
    rows[hour] = sources.payment(hour, fundingRate=f"{float(rows[hour]['fundingRate']) * quotient:.12f}")
    return sources.hyperliquid([], rows)


@pytest.mark.parametrize(
    ("quotient", "likely"),
    [(8, "8 times"), (1 / 8, "an eighth of"), (100, "100 times"), (-1, "that with the other sign"), (1.01, "gives")],
)
@pytest.mark.parametrize("hour", [0, 30])
def test_every_rate_of_hyperliquid_follows_from_its_premium(store, hour, quotient, likely):
    """One wrong rate among 48 is enough, wherever it is: all of the fetch is refused, the pages before it too."""
    with Host(rates(hour, quotient)) as host:
        refuses(SOL, store, host, 2, f"fundingRate .*, but the premium .*{likely}")
    assert (store.ids(), store.quarantine.ids()) == ([], [])


def test_rates_of_hyperliquid_follow_the_rule_of_their_time(study_data):
    """All 9,807 payments of the study, and the published samples of 2023, which had other rules."""
    rows = json.loads((study_data / "sol_funding_history.json").read_text())
    vectors = json.loads((study_data.parents[1] / "vectors" / "hyperliquid.json").read_text())["funding_samples"]
    known = [(row["time"] * 10**6, float(row["fundingRate"]), float(row["premium"])) for row in rows]
    known += [
        (
            round(datetime.fromisoformat(row["time_utc"]).timestamp() * 1000) * 10**6,
            float(row["fundingRate_reported"]),
            float(row["premium"]),
        )
        for row in vectors
    ]
    assert len(known) > 9_807
    times, rate, premium = map(np.array, zip(*known, strict=True))
    SOL.check_units(Samples(times, {"funding_rate": rate, "premium": premium}), "")
    for quotient in (8, 1 / 8, -1, 100):
        for index in np.flatnonzero(rate)[:: len(rate) // 50].tolist():
            wrong = rate[index : index + 1] * quotient
            one = Samples(times[index : index + 1], {"funding_rate": wrong, "premium": premium[index : index + 1]})
            with pytest.raises(FetchError, match="but the premium"):
                SOL.check_units(one, "")


def odd_candle(**cells):
    """Ten daily candles of which the sixth is odd."""
    rows = sources.candles(10)
    rows[5] |= cells
    return rows


ODD_CANDLES = {
    "a thousand times": (
        odd_candle(o="100000", h="120000", l="80000", c="100000"),
        "open at 2025-01-06.*: 100000.0 after 100.0; a change by more than 5 times",
    ),
    "a high of 1e308": (odd_candle(h="1e308"), "2025-01-06 00:00:00.00:00, high: 1e.308; expected at most 1e.18"),
    "a high of a thousand times": (odd_candle(h="100000"), "high at 2025-01-06.*"),
    "a low of nearly nothing": (odd_candle(l="0.1"), "low at 2025-01-06.*"),
    "half a day off": (
        [row | {"t": row["t"] + sources.DAY_MS // 2, "T": row["T"] + sources.DAY_MS // 2} for row in odd_candle()],
        "row 1 opens at 2025-01-01T12:00:00.*; expected candles of 1d that open at whole multiples of it",
    ),
}


@pytest.mark.parametrize(("rows", "words"), ODD_CANDLES.values(), ids=ODD_CANDLES)
def test_candles_that_cannot_be_are_refused(store, rows, words):
    """One candle of another scale, a wick that no market had, candles between the times of their length."""
    feed = hyperliquid.Candles(coin="SOL", interval="1d")
    with Host(sources.hyperliquid(rows, [])) as host:
        refuses(feed, store, host, 10, words, CarrybookError)
        assert (store.ids(), store.quarantine.ids()) == ([], [])
        if "opens" not in words and "308" not in words:
            assert fetch(feed, store, host, 10, as_given=True).added == 10


def test_a_page_is_compared_with_what_the_store_has(store):
    """A later fetch in another scale is refused, though each of its candles fits the others."""
    feed = hyperliquid.Candles(coin="SOL", interval="1d")
    with Host(sources.hyperliquid(sources.candles(20), [])) as host:
        fetch(feed, store, host, 10)
    before = store.path("hyperliquid:SOL:1d").read_bytes()
    scaled = {key: str(float(sources.candle(0)[key]) * 1000) for key in "ohlc"}
    with Host(sources.hyperliquid([row | scaled for row in sources.candles(20)], [])) as host:
        refuses(feed, store, host, 20, r"open at 2025-01-11.*: 100000.0 after 100.0; a change by more than 5 times")
    assert store.path("hyperliquid:SOL:1d").read_bytes() == before


LENDING = {
    "percent": ((5.0, 8.0), "of 5 in the middle; expected a fraction a year"),
    "lending in percent": ((0.4, 0.08), "lenders earn no more than borrowers pay"),
    "low rates in percent": ((0.4, 0.8), "borrowInterestAPY of 0.8 in the middle; expected a fraction a year"),
    "below nothing": ((0.05, -0.08), "below 0|lenders earn no more"),
    "both below nothing": ((-0.08, -0.05), "below 0"),
    "nothing": ((0.0, 0.0), "24 samples of which all supplyInterestAPY and borrowInterestAPY are 0"),
}


@pytest.mark.parametrize(("each", "words"), LENDING.values(), ids=LENDING)
def test_lending_rates_that_cannot_be_are_refused(store, each, words):
    """In percent, below zero, all zero, or more for lenders than borrowers pay."""
    lending, borrowing = each
    rows = [sources.reserve_sample(hour, supplyInterestAPY=lending, borrowInterestAPY=borrowing) for hour in range(24)]
    with Host(sources.kamino(rows)) as host:
        refuses(kamino.Reserve(reserve="SOL"), store, host, 1, words)
    assert (store.ids(), store.quarantine.ids()) == ([], [])


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"apyBase": 0.05, "apyBaseBorrow": 0.3}, "apyBaseBorrow from 0.3 to 0.3; expected percent a year"),
        ({"apyBase": 500.0, "apyBaseBorrow": 800.0}, "apyBase of 500 in the middle; expected percent a year"),
        ({"apyBase": -5.0, "apyBaseBorrow": 8.0}, "below 0"),
        ({"apyBase": 0, "apyBaseBorrow": 0}, "40 samples of which all apyBase and apyBaseBorrow are 0"),
    ],
)
def test_defillama_refuses_what_is_not_percent(store, cells, words):
    """Fractions, basis points, rates below zero, and nothing at all."""
    with Host(sources.defillama([sources.pool_sample(day, **cells) for day in range(40)])) as host:
        refuses(defillama.Lending(pool="kamino-sol"), store, host, 40, words)
    assert store.ids() == []


@pytest.mark.parametrize("value", [None, "n/a", "1_000", {}])
def test_a_rate_that_is_missing_outside_of_the_window_is_no_matter(store, value):
    """DefiLlama answers with its whole history: only the days that were asked for have to be whole."""
    rows = [sources.pool_sample(day) for day in range(60)]
    rows[3] |= {"apyBaseBorrow": value}
    feed = defillama.Lending(pool="kamino-sol")
    with Host(sources.defillama(rows)) as host:
        assert fetch(feed, store, host, 40, first=10).added == 30
        refuses(feed, store, host, 10, r"apyBaseBorrow: .*; expected a finite number")
    assert len(store.read("defillama:kamino-sol")[1]) == 30


def test_drift_refused_on_the_second_day_leaves_nothing_of_the_first(store):
    """A fetch is judged as a whole: pages wait in quarantine, and one that cannot be takes all of them with it."""
    records = [sources.drift_record(hour) for hour in range(48)]
    records[30] |= {"fundingRateShort": "20.0"}
    feed = drift.Funding(market="SOL-PERP")
    with Host(sources.drift(records)) as host:
        refuses(feed, store, host, 3, "a rate of 0.1 an hour")
        assert len(host.asked) == 2
    assert (store.ids(), store.quarantine.ids()) == ([], [])
    assert store.asked("drift:SOL-PERP:funding") == []


def test_a_fetch_goes_on_from_its_quarantine(store):
    """Pages of a process that was killed wait there; they are not asked for again and no run reads them."""
    with funded() as host:
        host.first = [Answer(sources.payments(3)[:30])]
        with pytest.raises(KeyboardInterrupt):
            fetch(SOL, store, host, 3, progress=_interrupt)
        assert (store.has(FUNDING), len(store.quarantine.read(FUNDING)[1])) == (False, 30)
        host.asked.clear()
        fetch(SOL, store, host, 3)
        assert len(host.asked) == 2
    assert complete(store)
    assert store.quarantine.ids() == []
    assert [line.samples for line in store.asked(FUNDING)] == [30, 30, 12]


def _interrupt(_):
    raise KeyboardInterrupt


SECOND = sources.START_MS // 1000
OTHER_TIMES = {
    "hyperliquid candles": (hyperliquid.Candles(coin="SOL", interval="1d"), [sources.candle(SECOND)], "row 1, t: "),
    "hyperliquid funding": (SOL, [sources.payment(0, time=SECOND)], "row 1, time: "),
    "drift": (
        drift.Funding(market="SOL-PERP"),
        {"records": [sources.drift_record(0, ts=SECOND * 1000)]},
        "row 1, ts: ",
    ),
    "defillama": (
        defillama.Lending(pool="p"),
        {"data": [sources.pool_sample(0, timestamp=SECOND)]},
        "row 1, timestamp: ",
    ),
    "kamino": (kamino.Reserve(reserve="SOL"), {"history": [{"timestamp": "2025-01-01 00:00"}]}, "row 1, timestamp: "),
    "jito": (jito.PoolRate(), {"tvl": [{"data": 1, "date": SECOND}], "supply": []}, "row 1, date: "),
    "binance": (
        binance.Funding(symbol="SOLUSDT"),
        [{"fundingTime": SECOND, "fundingRate": "0.0001"}],
        "row 1, fundingTime: ",
    ),
}


@pytest.mark.parametrize(("feed", "reply", "place"), OTHER_TIMES.values(), ids=OTHER_TIMES)
def test_times_in_another_unit_or_without_a_zone_are_refused(store, feed, reply, place):
    """Seconds for milliseconds, milliseconds for seconds, numbers for text, and times of no zone, from every source."""
    with Host(lambda _: reply) as host:
        refuses(
            feed, store, host, 1, f"{place}.*; expected (milliseconds since 1970|a time such as 2025-01-31T00:00:00Z)"
        )
    assert store.ids() == []


def test_provenance_tells_every_request(store):
    """A line per reply: what was asked, the digest of the raw bytes, and what of it is in the store."""
    with funded() as host:
        fetch(SOL, store, host, 3)
        reply = json.dumps(sources.payments(3)[:30]).encode()
    lines = store.asked(FUNDING)
    assert [line.samples for line in lines] == [30, 30, 12]
    assert lines[0].request.startswith(f"POST {host.url}/info ")
    assert '"startTime":1735689600000' in lines[0].request
    assert lines[0].sha256 == hashlib.sha256(reply).hexdigest()
    assert (lines[0].first, lines[2].last) == ("2025-01-01T00:00:00.076000+00:00", "2025-01-03T23:00:00.076000+00:00")
    assert lines[0].version == "0.1.0"
