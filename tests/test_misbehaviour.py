"""Every source under every misbehaviour of its host: the data are complete, or one line is said and nothing changed."""

import copy
import json
from collections.abc import Callable

import pytest
from attrs import frozen

from framework.clock import NS_PER_DAY
from framework.data.fetching import binance, defillama, drift, hyperliquid, jito, kamino
from framework.data.fetching.client import Client, Pace
from framework.data.fetching.feed import Feed, Fetch
from framework.data.store import Store
from framework.errors import CarrybookError
from tests import sources
from tests.sources import Answer, Asked, Host

START_NS = sources.START_MS * 10**6
PACE = Pace(per_minute=60_000, burst=1000)
DAYS = 36
LIMIT = 200_000


@frozen
class Source:
    """A feed, a host that speaks as its source does, and where the rows of a reply are and how one is made wrong."""

    feed: Feed
    speak: Callable[[Asked], object]
    rows: Callable[[object], list[list]]
    unit: Callable[[object], None]
    whole: bool = False
    """Whether any reply is the whole history."""
    sorts: bool = False
    """Whether the order of a reply does not matter."""
    before: int = 20
    days: int = DAYS
    """Days that the store has already, and days that are asked for then."""


def scaled(*keys, by):
    """Multiply cells of a row."""

    def change(row):
        cells = row.get("metrics", row) if isinstance(row, dict) else row
        for key in keys:
            cells[key] = str(float(cells[key]) * by) if isinstance(cells[key], str) else cells[key] * by

    return change


def seconds(key):
    """Milliseconds become seconds."""

    def change(row):
        row[key] //= 1000

    return change


def at(*keys):
    """The arrays of a reply that have its rows."""
    return lambda reply: [reply[key] for key in keys]


CANDLES = sources.candles(DAYS, "1d")
HOURS = DAYS * 24
SOURCES = {
    "hyperliquid candles": Source(
        hyperliquid.Candles(coin="SOL", interval="1d"),
        sources.hyperliquid(CANDLES, [], page=15),
        lambda reply: [reply],
        seconds("t"),
    ),
    "hyperliquid funding": Source(
        hyperliquid.Funding(coin="SOL"),
        sources.hyperliquid([], sources.payments(DAYS), page=400),
        lambda reply: [reply],
        scaled("fundingRate", by=100),
    ),
    "drift": Source(
        drift.Funding(market="SOL-PERP"),
        sources.drift([sources.drift_record(hour) for hour in range(HOURS)]),
        at("records"),
        scaled("fundingRateShort", by=1e9),
        sorts=True,
        before=2,
        days=5,
    ),
    "defillama": Source(
        defillama.Lending(pool="kamino-sol"),
        sources.defillama([sources.pool_sample(day) for day in range(DAYS)]),
        at("data"),
        scaled("apyBase", "apyBaseBorrow", by=0.01),
        whole=True,
        sorts=True,
    ),
    "kamino": Source(
        kamino.Reserve(reserve="SOL"),
        sources.kamino([sources.reserve_sample(hour) for hour in range(HOURS)]),
        at("history"),
        scaled("supplyInterestAPY", "borrowInterestAPY", by=100),
        sorts=True,
    ),
    "jito": Source(jito.PoolRate(), sources.jito(DAYS), at("tvl", "supply"), scaled("data", by=1e-9), sorts=True),
    "binance candles": Source(
        binance.Candles(symbol="SOLUSDT", interval="1d"),
        sources.binance(CANDLES, [], page=15),
        lambda reply: [reply],
        seconds(0),
    ),
    "binance funding": Source(
        binance.Funding(symbol="SOLUSDT"),
        sources.binance([], [sources.binance_payment(hour) for hour in range(0, HOURS, 8)], page=50),
        lambda reply: [reply],
        scaled("fundingRate", by=100),
    ),
}


def changed(source, change):
    """The source, each of whose replies has its arrays of rows changed."""

    def speak(asked):
        reply = copy.deepcopy(source.speak(asked))
        for rows in source.rows(reply):
            rows[:] = change(rows)
        return reply

    return speak


def in_other_units(source):
    """The source in other units: of jito in one of its two arrays."""

    def speak(asked):
        reply = copy.deepcopy(source.speak(asked))
        for row in source.rows(reply)[0]:
            source.unit(row)
        return reply

    return speak


def once(*answers):
    """Bad answers first, and then good ones."""

    def make(source):
        left = list(answers)
        return lambda asked: left.pop(0) if left else source.speak(asked)

    return make


def padded(source):
    """A good reply among more bytes than a reply may have."""
    return lambda asked: Answer(json.dumps(source.speak(asked)).encode() + b" " * LIMIT)


def first_for_ever(source):
    """The first reply to whatever is asked: rows that the store has already."""
    said = []

    def speak(asked):
        if not said:
            early = copy.deepcopy(asked)
            _ask_for_the_first_days(early)
            said.append(source.speak(early))
        return copy.deepcopy(said[0])

    return speak


def _ask_for_the_first_days(asked):
    """Turn a request into the first one of all."""
    start, ten = sources.START_MS, sources.START_MS + 10 * sources.DAY_MS
    wanted = asked.body.get("req", asked.body)
    if "startTime" in wanted:
        wanted |= {"startTime": start, "endTime": ten}
    if "startTime" in asked.query:
        asked.query |= {"startTime": str(start), "endTime": str(ten)}
    if "start" in asked.query:
        asked.query |= {"start": sources.iso(start), "end": sources.iso(ten)}
    if "range_filter" in asked.body:
        asked.body["range_filter"] = {"start": sources.iso(start), "end": sources.iso(ten)}
    if "fundingRates" in asked.path:
        asked.path = "/market/SOL-PERP/fundingRates/2025/1/1"


CUT = Answer(b"[" + b" " * 1000, cut=True)
SLOW = Answer(b" " * 100, slow_s=0.05)
PASSES = {
    "paged": once(),
    "429": once(Answer({}, status=429), Answer({}, status=429)),
    "429 with Retry-After": once(Answer({}, status=429, headers={"Retry-After": "0"})),
    "500": once(Answer(b"oops", status=500), Answer(b"", status=500)),
    "slow": once(SLOW),
    "cut off": once(CUT, CUT),
    "duplicated": lambda source: changed(source, lambda rows: [row for row in rows for _ in range(2)]),
}
REFUSED = {
    "429 for ever": (lambda _: lambda _: Answer({}, status=429), "status 429; 3 attempts"),
    "429 and a long Retry-After": (
        lambda _: lambda _: Answer({}, status=429, headers={"Retry-After": "900"}),
        "the source asks to wait 900 s; start again after that",
    ),
    "500 for ever": (lambda _: lambda _: Answer(b"", status=500), "status 500; 3 attempts"),
    "slow for ever": (lambda _: lambda _: SLOW, "repl(y|ies) within 0.1 s; 3 attempts"),
    "cut off for ever": (lambda _: lambda _: CUT, "; 3 attempts"),
    "wrong JSON": (lambda _: lambda _: Answer(b'{"data": [1, '), "not JSON"),
    "JSON of something else": (lambda _: lambda _: {"error": "sorry"}, "expected an array of"),
    "JSON of nothing": (lambda _: lambda _: Answer(b"null"), "expected an array of"),
    "wrong units": (in_other_units, "expected "),
    "larger than the limit": (padded, "a reply of more than 200,000 bytes; expected less"),
}


@pytest.fixture
def store(tmp_path):
    """A store for the days that are there already."""
    return Store(tmp_path / "data")


def fetch(source, store, speak, days, timeout_s=30.0):
    """Fetch days from 2025-01-01 on, hardly waiting."""
    window = {"start_ns": START_NS, "end_ns": START_NS + days * NS_PER_DAY, "now_ns": START_NS + 10_000 * NS_PER_DAY}
    options = {"attempts": 3, "timeout_s": timeout_s, "limit_bytes": LIMIT, "wait_scale": 0.0}
    with Host(speak) as host, Client(host=host.url, pace=PACE, **options) as client:
        return Fetch(**window).run(source.feed, store, client)


def contents(store):
    """Every file of a store."""
    return {path.name: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}


def refuses(source, store, speak, words):
    """The fetch says one line, and the store is as it was, to the byte and with its provenance."""
    fetch(source, store, source.speak, source.before)
    before = contents(store)
    with pytest.raises(CarrybookError, match=words) as refused:
        fetch(source, store, speak, source.days, timeout_s=0.1 if "within" in words else 30.0)
    assert "\n" not in str(refused.value)
    assert contents(store) == before


def completes(source, store, speak, timeout_s=30.0):
    """The fetch ends with the bytes of an undisturbed one."""
    fetch(source, store, source.speak, source.before)
    done = fetch(source, store, speak, source.days, timeout_s)
    other, series = Store(store.root / "undisturbed"), source.feed.kind.series
    whole = fetch(source, other, source.speak, source.days)
    assert (done.holes, whole.holes) == ((), ())
    assert store.path(series).read_bytes() == other.path(series).read_bytes()
    assert len(store.read(series)[1]) >= source.days


@pytest.mark.slow
@pytest.mark.parametrize("misbehaviour", PASSES.values(), ids=PASSES)
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_what_passes_leaves_the_data_complete(store, source, misbehaviour):
    """Whatever the source, and with data there already."""
    completes(source, store, misbehaviour(source), timeout_s=1.0)


@pytest.mark.slow
@pytest.mark.parametrize(("misbehaviour", "words"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_what_stays_is_one_line_and_the_store_as_it_was(store, source, misbehaviour, words):
    """Whatever the source, and with data there already."""
    refuses(source, store, misbehaviour(source), words)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_unsorted_rows_are_sorted_or_refused(store, source):
    """Where a page begins with the time after the last row, rows out of order would lose some; else they are sorted."""
    speak = changed(source, lambda rows: rows[::-1])
    if source.sorts:
        completes(source, store, speak)
    else:
        refuses(source, store, speak, "is earlier than row 1; expected time order")


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_duplicated_rows_that_differ_are_refused(store, source):
    """Nobody knows which of the two is right."""
    row = {"hyperliquid candles": "v", "hyperliquid funding": "premium", "drift": "fundingRateShort"}
    keys = row | {"defillama": "apyBase", "kamino": "supplyInterestAPY", "jito": "data"}
    keys |= {"binance candles": 5, "binance funding": "fundingRate"}
    key = keys[next(name for name, each in SOURCES.items() if each is source)]

    def speak(asked):
        reply = copy.deepcopy(source.speak(asked))
        for number, rows in enumerate(source.rows(reply)):
            again = copy.deepcopy(rows[-1])
            if number == 0:
                scaled(key, by=1.01)(again)
            rows.append(again)
        return reply

    refuses(source, store, speak, "twice, with .*; expected one value for one time")


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_an_empty_reply_is_a_hole_and_no_sample(store, source):
    """The samples stay as they were, the hole is reported with its length, and the next fetch fills it."""
    fetch(source, store, source.speak, source.before)
    series = source.feed.kind.series
    before = store.path(series).read_bytes()
    done = fetch(source, store, changed(source, lambda _: []), source.days)
    assert done.added == 0
    per_day = NS_PER_DAY // source.feed.kind.every_ns
    assert [hole.missing for hole in done.holes] == [per_day * (source.days - source.before)]
    assert store.path(series).read_bytes() == before
    completes(source, store, source.speak)


@pytest.mark.parametrize(
    "source", [each for each in SOURCES.values() if not each.whole], ids=lambda each: each.feed.kind.series
)
def test_a_page_that_repeats_for_ever_is_refused(store, source):
    """A host that does not heed what is asked for: it is said after one request."""
    refuses(
        source, store, first_for_ever(source), "rows of 2025-01-01.*, and none from 2025-01-.* on; expected the rows"
    )
