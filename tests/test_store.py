"""The store: it only grows, every sample has its provenance, and scenarios name its series under explicit rules."""

import tempfile
import tomllib
from datetime import date

import numpy as np
import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework import FundingSettled, InterestAccrued, Open, RewardAccrued, Side, Swap
from framework.assembly import load_market
from framework.clock import NS_PER_DAY
from framework.data.alignment import align
from framework.data.fetching import binance, defillama, drift, hyperliquid, jito, kamino
from framework.data.fetching.client import Client, Pace
from framework.data.fetching.feed import Fetch
from framework.data.gaps import holes
from framework.data.provenance import Asked
from framework.data.samples import Kind, Samples
from framework.data.series import Fill, Joining, Series
from framework.data.store import Store
from framework.errors import CarrybookError, MarketError, StoreError
from framework.scenario import MarketSpec, Scenario, structure
from tests import markets, sources
from tests.sources import Host
from venues.jito import Jito

START_NS = sources.START_MS * 10**6
HOUR_NS = 3_600 * 10**9
PACE = Pace(per_minute=6000, burst=100)
KIND = Kind(
    series="somewhere:SOL:funding",
    what="a test",
    units={"funding_rate": "fraction of notional per hour"},
    joining=Joining.SUM,
    every_ns=HOUR_NS,
    grid_ns=HOUR_NS,
    lag_ns=HOUR_NS // 3,
)
ASKED = Asked("2026-01-01T00:00:00+00:00", "GET x", "ab", 0, None, None, "0.1.0")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty store, which scenarios use."""
    monkeypatch.setenv("CARRYBOOK_DATA", str(tmp_path / "data"))
    found = Store.default()
    assert found.root == tmp_path / "data"
    return found


def put(store, kind, hours, values, *, column="funding_rate"):
    """Append samples at hours after 2025-01-01."""
    store.path(kind.series).parent.mkdir(parents=True, exist_ok=True)
    times = np.array([START_NS + round(hour * HOUR_NS) for hour in hours], dtype=np.int64)
    samples = Samples(times, {column: np.array(values, dtype=float)})
    return store.append(kind, samples, evolve(ASKED, samples=len(samples)))


def fetched(store, speak, *feeds, days=10):
    """Fetch days from 2025-01-01 on from a host that speaks so."""
    with Host(speak) as host, Client(host=host.url, pace=PACE, wait_scale=0.001) as client:
        for feed in feeds:
            now_ns = START_NS + 10_000 * NS_PER_DAY
            Fetch(start_ns=START_NS, end_ns=START_NS + days * NS_PER_DAY, now_ns=now_ns).run(feed, store, client)


def spec(**market):
    """The market of a scenario, from its tables."""
    table = {"start": "2025-01-01", "end": "2025-01-10", "prices": "hyperliquid:SOL:1d"} | market
    return structure(table, MarketSpec, "market")


# The store itself.


def test_a_store_is_where_it_is_told_to_be(monkeypatch, tmp_path):
    """CARRYBOOK_DATA, or else where the platform keeps a user's data."""
    monkeypatch.delenv("CARRYBOOK_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "carrybook" in Store.default().root.parts
    assert tmp_path in Store.default().root.parents


def test_what_is_there_stays(store):
    """Samples come before, between and after; equal ones are passed over; their order leaves no trace."""
    assert put(store, KIND, [5, 6, 9], [0.5, 0.6, 0.9]) == 3
    assert put(store, KIND, [1, 6, 7, 10], [0.1, 0.6, 0.7, 1.0]) == 3
    kind, samples = store.read(KIND.series)
    assert kind == KIND
    assert ((samples.time_ns - START_NS) // HOUR_NS).tolist() == [1, 5, 6, 7, 9, 10]
    assert samples.columns["funding_rate"].tolist() == [0.1, 0.5, 0.6, 0.7, 0.9, 1.0]
    other = Store(store.root / "other")
    put(other, KIND, [1, 5, 6, 7, 9, 10], [0.1, 0.5, 0.6, 0.7, 0.9, 1.0])
    assert other.path(KIND.series).read_bytes() == store.path(KIND.series).read_bytes()
    assert [line.samples for line in store.asked(KIND.series)] == [3, 4]


def test_another_value_at_a_known_time_is_refused_and_nothing_changes(store):
    """The message names the series, the time, the column and both values."""
    put(store, KIND, [1, 2], [0.1, 0.2])
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    words = (
        r"somewhere:SOL:funding, 2025-01-01T02:00:00\+00:00, column funding_rate: the reply says 0.3, "
        "the store has 0.2; expected the same, as nothing is overwritten, or carrybook data withdraw before it"
    )
    with pytest.raises(StoreError, match=words):
        put(store, KIND, [2, 3], [0.3, 0.3])
    assert {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("series", ["", "hyperliquid", "a:../b", "a:b/c", ":a", "a:", "a::b", "a:.b", "a: b"])
def test_what_cannot_be_a_file_is_no_id(store, series):
    """Ids are parts with colons between; nothing leads out of the store."""
    with pytest.raises(StoreError, match="is not the id of a series; expected one such as hyperliquid:SOL:1h"):
        store.read(series)


def test_of_many_series_those_of_ones_own_are_named_where_such_a_one_is_asked_for(store):
    """They stand first, before eight others are."""
    for number in range(9):
        put(store, evolve(KIND, series=f"a:{number}:funding"), [1], [0.1])
    put(store, evolve(KIND, series="own:ETH:funding"), [1], [0.1])
    with pytest.raises(StoreError, match=r"which has own:ETH:funding, a:0:funding, .* and others; expected it imp"):
        store.read("own:ETH:1d")
    with pytest.raises(StoreError, match=r"which has a:0:funding, .*, a:7:funding and others; expected it fetched"):
        store.read("hyperliquid:ETH:1d")


def test_a_series_that_is_not_there_or_not_whole_is_refused(store):
    """The message says what is there."""
    with pytest.raises(StoreError, match=r"^a:b: not in the store .*, which has nothing yet; expected it fetched$"):
        store.read("a:b")
    put(store, KIND, [1], [0.1])
    with pytest.raises(
        StoreError, match=r"has somewhere:SOL:funding; expected it fetched: carrybook fetch jito --from DAY$"
    ):
        store.read("jito:pool_rate")
    for missing, command in {
        "own:ETH:1d": "--kind prices --coin ETH",
        "own:ETH:funding": "--kind funding --coin ETH --unit UNIT",
        "own:USDC:rates": "--kind rates --coin USDC --unit UNIT",
    }.items():
        with pytest.raises(StoreError, match=rf"; expected it imported: carrybook data import FILE {command}$"):
            store.read(missing)
    days = (date(2025, 1, 1), date(2025, 1, 2))
    with pytest.raises(StoreError) as complaint:
        store.require(["jito:pool_rate", "own:ETH:1d"], *days)
    assert str(complaint.value).endswith(
        "; expected them fetched or imported: carrybook fetch jito --from 2025-01-01 --to 2025-01-02 && "
        "carrybook data import FILE --kind prices --coin ETH"
    )
    path = store.path(KIND.series)
    moved = store.path("somewhere:SOL:other")
    moved.write_bytes(path.read_bytes())
    with pytest.raises(StoreError, match=r"other.parquet: holds somewhere:SOL:funding; expected somewhere:SOL:other"):
        store.read("somewhere:SOL:other")
    moved.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreError, match="not a series of the store"):
        store.read("somewhere:SOL:other")
    line = '{"at": "now", "request": "GET", "sha256": [], "samples": 1, "first": null, "last": null, "version": "1"}\n'
    for text in ("{}\n", line):
        path.with_suffix(".jsonl").write_text(text)
        with pytest.raises(StoreError, match="not a list of requests"):
            store.asked(KIND.series)


def test_a_store_that_cannot_be_written_is_refused(store, tmp_path):
    """A file where the directory would be."""
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreError, match=r"not writable .*; expected a directory for data"), store.lock(KIND.series):
        pass


# Gaps.


@pytest.mark.parametrize(
    ("hours", "window", "missing"),
    [
        ([0, 1, 2, 3], (0, 4), []),
        ([0, 1, 3], (0, 4), [1]),
        ([2, 3], (0, 4), [2]),
        ([0, 1], (0, 4), [2]),
        ([], (0, 4), [4]),
        ([0.2, 1.0, 2.24, 3.0], (0, 4), []),
        ([0.2, 2.24, 3.0], (0, 4), [1]),
        ([0, 834], (None, None), [833]),
    ],
)
def test_holes_are_where_steps_are_too_long(hours, window, missing):
    """Times may lag; what is missing before, between and after is counted."""
    start, end = (None if hour is None else hour * HOUR_NS for hour in window)
    times = np.array([round(hour * HOUR_NS) for hour in hours], dtype=np.int64)
    assert [hole.missing for hole in holes(times, HOUR_NS, start_ns=start, end_ns=end)] == missing


def prices(days, interval_ns=NS_PER_DAY, missing=()):
    """Rows of prices of 100 USD, some missing."""
    opens = np.array(
        [START_NS + index * interval_ns for index in range(days * NS_PER_DAY // interval_ns) if index not in missing]
    )
    columns = {name: np.full(len(opens), 100.0) for name in ("open", "high", "low", "close")}
    rows = np.arange(1, len(opens) + 1)
    return Series(name="prices", file="p", digest="", time_ns=opens, row=rows, columns=columns, span_ns=interval_ns)


def rates(hours, values, **rules):
    """Samples of a rate at hours after 2025-01-01."""
    rules = {"joining": Joining.SUM, "every_ns": HOUR_NS, "fill": Fill.REFUSE} | rules
    times = np.array([START_NS + round(hour * HOUR_NS) for hour in hours])
    return Series(
        name="r", file="r", digest="", time_ns=times, row=np.arange(1, len(times) + 1),
        columns={"rate": np.array(values, dtype=float)}, **rules,
    )  # fmt: skip


def aligned(*series, days=2):
    """The market of some days from 2025-01-01 on."""
    return align(series, start=date(2025, 1, 1), end=date(2025, 1, days))


WITHOUT_17 = [hour for hour in range(48) if hour != 17]


def test_a_missing_payment_is_refused_unless_a_rule_is_named():
    """The message names the first; `zero` pays nothing for it, `previous` what was paid before, `drop` the rest."""
    values = [0.001 * (hour + 1) for hour in WITHOUT_17]
    with pytest.raises(
        MarketError, match=r"r: 1 missing between 2025-01-01 and 2025-01-02, the first at 2025-01-01T17:00"
    ):
        aligned(prices(2), rates(WITHOUT_17, values))
    whole = sum(0.001 * (hour + 1) for hour in range(24))
    for fill, lost, filled in ((Fill.ZERO, 0.018, 1), (Fill.PREVIOUS, 0.001, 1), (Fill.DROP, 0.018, 0)):
        market = aligned(prices(2), rates(WITHOUT_17, values, fill=fill))
        assert market["rate"][0] == pytest.approx(whole - lost)
        assert market.coverage[1].filled == filled
        assert (market.coverage[1].samples, market.coverage[1].used, market.coverage[1].fill) == (47, 47, fill)
        assert market.cell("rate", 0) == "r:1-23"


def test_a_filled_payment_names_the_row_that_it_repeats():
    """In an hour of its own: the row before where that goes on, and none where it pays nothing."""
    for fill, rate, cell in ((Fill.PREVIOUS, 0.001, "r:17"), (Fill.ZERO, 0.0, "r:none")):
        market = aligned(prices(2, HOUR_NS), rates(WITHOUT_17, [0.001] * 47, fill=fill))
        assert (market["rate"][17], market.cell("rate", 17), market.cell("rate", 18)) == (rate, cell, "r:18")


def test_payments_that_come_seldom_leave_rows_of_nothing():
    """Eight-hourly payments on hourly rows: a row without one pays 0, is kept, and names no source."""
    market = aligned(prices(2, HOUR_NS), rates(range(0, 48, 8), [0.001] * 6, every_ns=8 * HOUR_NS))
    assert len(market) == 48
    assert np.flatnonzero(market["rate"]).tolist() == list(range(0, 48, 8))
    assert (market.cell("rate", 8), market.cell("rate", 9)) == ("r:2", "r:none")


def test_intervals_may_change():
    """From eight hours to four to one: every payment counts, and only what is missing by its neighbours is missing."""
    hours = [0, 8, 16, 24, 28, 32, 36, 40, 41, 42, 43, 44, 45, 46, 47]
    rules = {"every_ns": 8 * HOUR_NS, "changing": True}
    market = aligned(prices(2), rates(hours, [0.001] * 15, **rules))
    assert market["rate"].tolist() == pytest.approx([0.003, 0.012])
    for lost, words in ((32, "1 missing .* the first at 2025-01-02T08:00"), (47, "1 missing .* at 2025-01-02T23:00")):
        with pytest.raises(MarketError, match=words):
            aligned(prices(2), rates([hour for hour in hours if hour != lost], [0.001] * 14, **rules))


def test_a_level_is_the_last_the_mean_or_the_one_before():
    """Rows without a sample are refused, or take the previous level, or 0, or are left out."""
    hours, values = [1, 23, 25, 30], [0.1, 0.3, 0.2, 0.6]
    last = {"joining": Joining.LAST}
    assert aligned(prices(2), rates(hours, values, **last))["rate"].tolist() == [0.3, 0.6]
    mean = aligned(prices(2), rates(hours, values, joining=Joining.MEAN))
    assert mean["rate"].tolist() == pytest.approx([0.2, 0.4])
    assert mean.cell("rate", 1) == "r:3-4"
    with pytest.raises(MarketError, match=r"r: 1 missing .* the first at 2025-01-02T00:00"):
        aligned(prices(3), rates([1, 50], [0.1, 0.5], **last), days=3)
    filled = aligned(prices(3), rates([1, 50], [0.1, 0.5], fill=Fill.PREVIOUS, **last), days=3)
    assert filled["rate"].tolist() == [0.1, 0.1, 0.5]
    assert [filled.cell("rate", row) for row in range(3)] == ["r:1", "r:1", "r:2"]
    assert aligned(prices(3), rates([1, 50], [0.1, 0.5], fill=Fill.ZERO, **last), days=3)["rate"][1] == 0
    assert len(aligned(prices(3), rates([1, 50], [0.1, 0.5], fill=Fill.DROP, **last), days=3)) == 2
    with pytest.raises(MarketError, match='fill = "previous", but no sample is before 2025-01-01'):
        aligned(prices(2), rates([25], [0.1], fill=Fill.PREVIOUS, **last))


def test_a_missing_row_of_prices_is_refused_or_stands_at_the_last_close():
    """A flat candle at the close before; never a price of 0."""
    whole, holed = prices(2, HOUR_NS), prices(2, HOUR_NS, missing=(13, 14))
    holed.columns["close"][12] = 100.0
    for fill in (Fill.REFUSE, Fill.ZERO):
        with pytest.raises(MarketError, match="p: "):
            aligned(evolve(holed, fill=fill))
    market = aligned(evolve(holed, fill=Fill.PREVIOUS))
    assert market.open_ns.tolist() == whole.time_ns.tolist()
    assert market["low"][13:15].tolist() == [100.0, 100.0]
    assert market.coverage[0].filled == 2
    assert len(aligned(holed)) == 46


def test_kept_duplicates_stay_beside_a_filled_gap():
    """Rows that share their hour keep their halves when a rule makes the hour that is missing."""
    whole = prices(2, HOUR_NS, missing=(13,))
    times = np.insert(whole.time_ns, 6, whole.time_ns[5] + HOUR_NS // 2)
    parts = np.ones(len(times), dtype=np.int64)
    parts[5:7] = 2
    columns = {name: np.insert(values, 6, 100.0) for name, values in whole.columns.items()}
    rows = np.arange(1, len(times) + 1)
    twice = evolve(whole, time_ns=times, row=rows, columns=columns, parts=parts, fill=Fill.PREVIOUS)
    market = aligned(twice)
    assert len(market) == 49
    assert (np.diff(market.open_ns) / HOUR_NS).tolist() == [1.0] * 5 + [0.5] * 2 + [1.0] * 41
    assert market.at_ns[5] < market.open_ns[6]


def test_effective_rates_grow_to_their_yearly_figure():
    """A row takes (1 + rate) ** years - 1, so that a year of rows gives the figure itself."""
    market = aligned(prices(2), rates([1, 25], [0.0524] * 2, joining=Joining.LAST, effective=True))
    per_row = market["rate"] * market.years
    assert (1 + per_row[0]) ** 365 - 1 == pytest.approx(0.0524, rel=1e-12)
    simple = aligned(prices(2), rates([1, 25], [0.0524] * 2, joining=Joining.LAST))
    assert (1 + simple["rate"][0] * simple.years[0]) ** 365 - 1 == pytest.approx(0.0538, abs=1e-4)


# Scenarios on the store.


def test_the_same_day_gives_the_same_funding_at_every_interval(store):
    """Hourly payments on the same notional, on rows of an hour, four hours and a day: equal to the atomic unit."""
    flat = [
        candle
        for interval in ("1h", "4h", "1d")
        for candle in sources.candles(3, interval, close=100.0, o="100", h="100", l="100")
    ]
    feeds = [hyperliquid.Candles(coin="SOL", interval=interval) for interval in ("1h", "4h", "1d")]
    fetched(store, sources.hyperliquid(flat, sources.payments(3)), *feeds, hyperliquid.Funding(coin="SOL"), days=3)
    totals = []
    for interval in ("1h", "4h", "1d"):
        market = load_market(
            spec(
                end="2025-01-03",
                prices=f"hyperliquid:SOL:{interval}",
                funding={"hyperliquid": "hyperliquid:SOL:funding"},
            ),
            None,
        )
        script = markets.Script(start=[Open("hyperliquid", Side.SHORT, 98.765432109, 9_000.0)])
        run = markets.play(market, [markets.hyperliquid()], script)
        settled = markets.happened(run, FundingSettled)
        by_day = {}
        for event in settled:
            day = (event.at_ns - START_NS) // NS_PER_DAY
            by_day[day] = by_day.get(day, 0) + event.amount
        totals.append((by_day, -markets.balance(run, "Income:Hyperliquid:Funding")))
    assert totals[0] == totals[1] == totals[2]
    paid = sum(float(payment["fundingRate"]) for payment in sources.payments(3)) * 98.765432109 * 100
    assert totals[0][1] == round(paid * 1e6)


def test_a_payment_that_lags_stands_for_its_hour(store):
    """Within its kind's lag, or the one that the scenario allows; a later one is refused by its row."""
    put(store, KIND, [0, 1.2, 2.4, 3], [0.1, 0.2, 0.3, 0.4])
    options = {"start_ns": START_NS, "end_ns": START_NS + 4 * HOUR_NS, "columns": {"x_funding_rate": "funding_rate"}}
    with pytest.raises(
        MarketError, match=r"funding, row 3: 2025-01-01T02:24:00\+00:00 is 1440 s late; expected at most 1200"
    ):
        store.series(KIND.series, **options)
    series = store.series(KIND.series, lag_ns=HOUR_NS // 2, **options)
    assert ((series.time_ns - START_NS) / HOUR_NS).tolist() == [0, 1, 2, 3]
    put(store, KIND, [2.05], [0.9])
    with pytest.raises(MarketError, match="funding, row 4: duplicate timestamp 2025-01-01T02:00:00"):
        store.series(KIND.series, lag_ns=HOUR_NS // 2, **options)


def test_levels_beside_payments_are_not_summed(store):
    """An oracle's price that comes with every payment is a level of its row."""
    fetched(store, sol_prices(), hyperliquid.Candles(coin="SOL", interval="1d"))
    fetched(store, sources.drift([sources.drift_record(hour) for hour in range(240)]), drift.Funding(market="SOL-PERP"))
    named = {"oracle": {"series": "drift:SOL-PERP:funding", "column": "oracle_price"}}
    market = load_market(spec(series=named, funding={"drift": "drift:SOL-PERP:funding"}), None)
    assert market["oracle"].tolist() == [200.0] * 10
    assert market["drift_funding_rate"].tolist() == pytest.approx([24 * 0.00001] * 10)


def test_daily_samples_hold_on_in_hourly_rows_when_told_to(store):
    """A rate that is sampled at 23:01 is that of the hours after it; the sample before the first row counts too."""
    flat = sources.candles(10, "1h", close=100.0, o="100", h="100", l="100")
    fetched(store, sources.hyperliquid(flat, []), hyperliquid.Candles(coin="SOL", interval="1h"))
    fetched(store, sources.defillama([sources.pool_sample(day) for day in range(10)]), defillama.Lending(pool="p"))
    days = {"start": "2025-01-02", "prices": "hyperliquid:SOL:1h"}
    with pytest.raises(MarketError, match=r"defillama:p: 207 missing .*, the first at 2025-01-02T00:00:00"):
        load_market(spec(**days, series={"sol_lending_apy": "defillama:p"}), None)
    named = {"sol_lending_apy": {"series": "defillama:p", "fill": "previous"}}
    market = load_market(spec(**days, series=named), None)
    assert len(market) == 216
    assert market["sol_lending_apy"][22:25].tolist() == [0.05, 0.0501, 0.0501]
    assert (market.coverage[1].fill, market.coverage[1].filled) == ("previous", 207)


def test_candles_of_another_market_are_a_level_of_the_row(store):
    """The close of a token beside the coin's, from a series of its own."""
    fetched(store, sol_prices(), hyperliquid.Candles(coin="SOL", interval="1d"))
    other = [row | {"s": "JITOSOL"} for row in sources.candles(10, "4h", close=110.0)]
    fetched(store, sources.hyperliquid(other, []), hyperliquid.Candles(coin="JITOSOL", interval="4h"))
    market = load_market(spec(series={"jitosol_close": "hyperliquid:JITOSOL:4h"}), None)
    assert market["jitosol_close"].tolist() == [110.0] * 10
    assert market.cell("jitosol_close", 1) == "hyperliquid:JITOSOL:4h:12"


def files(path, hours):
    """A directory with a CSV of funding at hours after 2025-01-01, and the source that reads it."""
    lines = [f"2025-01-{1 + hour // 24:02}T{hour % 24:02}:00:00Z,0.0001" for hour in hours]
    (path / "paid.csv").write_text("\n".join(["time,rate", *lines]))
    return {"reader": "table", "file": "paid.csv", "columns": {"x_funding_rate": "rate"}, "joining": "sum"}


def test_series_that_are_named_go_before_embedded_data(store):
    """A scenario with both reads the store."""
    fetched(store, sol_prices(), hyperliquid.Candles(coin="SOL", interval="1d"))
    market = load_market(spec(embedded="sol_daily"), None)
    assert (len(market), market.label) == (10, "")


def test_files_stand_beside_series_of_the_store(store, tmp_path):
    """With a directory of data the scenario's files are read as well, under the same rules where one is named."""
    fetched(store, sol_prices(), hyperliquid.Candles(coin="SOL", interval="1d"))
    source = files(tmp_path, [hour for hour in range(0, 240, 8) if hour != 64])
    dropped = load_market(spec(sources={"paid": source | {"fill": "drop"}}), tmp_path)
    assert dropped["x_funding_rate"].tolist() == pytest.approx([0.0003] * 2 + [0.0002] + [0.0003] * 7)
    assert dropped.coverage[1].fill == "drop"
    with pytest.raises(MarketError, match=r"paid.csv: 1 missing .*, the first at 2025-01-03T16:00"):
        load_market(spec(sources={"paid": source | {"fill": "refuse", "every": "8h"}}), tmp_path)
    filled = load_market(spec(sources={"paid": source | {"fill": "previous", "every": "8h"}}), tmp_path)
    assert filled["x_funding_rate"].tolist() == pytest.approx([0.0003] * 10)
    with pytest.raises(MarketError, match=r'paid.csv: 1 missing .* market.sources.paid.fill = "previous" '):
        load_market(spec(sources={"paid": source}), tmp_path)
    with pytest.raises(MarketError, match=r'paid.csv: fill = "zero" needs to know how often; expected every'):
        load_market(spec(sources={"paid": source | {"fill": "zero"}}), tmp_path)
    with pytest.raises(MarketError, match="nowhere: no such directory"):
        load_market(spec(), tmp_path / "nowhere")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True), min_size=1, max_size=6))
def test_however_samples_come_the_file_is_the_same(tmp_path, parts):
    """Any parts in any order, overlapping or not, end with the bytes of one append of everything."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as place:
        bit, whole = Store(f"{place}/bit"), Store(f"{place}/whole")
        for part in parts:
            put(bit, KIND, sorted(part), [hour / 1000 for hour in sorted(part)])
        hours = sorted({hour for part in parts for hour in part})
        assert put(whole, KIND, hours, [hour / 1000 for hour in hours]) == len(hours)
        assert bit.path(KIND.series).read_bytes() == whole.path(KIND.series).read_bytes()


@given(
    lags=st.lists(st.floats(0, 0.24), min_size=2, max_size=50),
    removed=st.sets(st.integers(0, 49), max_size=30),
)
def test_every_missing_sample_is_counted(lags, removed):
    """Of samples that lag by up to a quarter of their step, the holes have as many as were taken out."""
    kept = [hour for hour in range(len(lags)) if hour not in removed]
    times = np.array([round((hour + lags[hour]) * HOUR_NS) for hour in kept], dtype=np.int64)
    found = holes(times, HOUR_NS, start_ns=0, end_ns=len(lags) * HOUR_NS)
    assert sum(hole.missing for hole in found) == len(lags) - len(kept)


def test_a_run_is_the_same_after_the_series_has_grown(store):
    """Digest and rows are those of the scenario's days, whatever comes before and after."""
    put(store, KIND, range(24, 48), [0.1] * 24)
    options = {"start_ns": START_NS + NS_PER_DAY, "end_ns": START_NS + 2 * NS_PER_DAY, "columns": {"x": "funding_rate"}}
    before = store.series(KIND.series, **options)
    put(store, KIND, [*range(24), *range(48, 60)], [0.2] * 36)
    after = store.series(KIND.series, **options)
    assert (before.digest, before.row.tolist()) == (after.digest, after.row.tolist())


def test_steps_of_a_pool_are_free_of_rounding(store):
    """A rate that trembles by less than rounding does has not changed; a step of an epoch stays."""
    kind = evolve(
        KIND,
        series="jito:x",
        joining=Joining.HOLD,
        units={"rate": "SOL"},
        every_ns=NS_PER_DAY,
        grid_ns=None,
        noise=1e-6,
    )
    put(store, kind, [0, 24, 48, 72], [1.2, 1.2 * (1 - 4e-8), 1.2006, 1.2006 * (1 + 3e-8)], column="rate")
    series = store.series("jito:x", start_ns=START_NS, end_ns=START_NS + 4 * NS_PER_DAY, columns={"r": "rate"})
    assert series.columns["r"].tolist() == [1.2, 1.2, 1.2006, 1.2006]
    assert store.read("jito:x")[1].columns["rate"][1] != 1.2


def sol_prices():
    """Ten daily candles at 100 USD, and funding of nothing."""
    flat = sources.candles(10, close=100.0, o="100", h="100", l="100")
    return sources.hyperliquid(flat, [])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("source", ["hyperliquid", "drift", "binance"])
def test_positive_funding_is_paid_to_a_short_from_every_source(store, source, sign):
    """From the raw reply to the ledger: rates above 0 are income of a short, and below 0 they cost it."""
    fetched(store, sol_prices(), hyperliquid.Candles(coin="SOL", interval="1d"))
    if source == "hyperliquid":
        premium = 0.0012 * sign
        rate = sources.hyperliquid_rate(premium)
        rows = [sources.payment(hour, premium=str(premium), fundingRate=str(rate)) for hour in range(240)]
        fetched(store, sources.hyperliquid([], rows), hyperliquid.Funding(coin="SOL"))
        series, per_day = "hyperliquid:SOL:funding", 24 * rate
    elif source == "drift":
        rows = [sources.drift_record(hour, fundingRateShort=str(0.002 * sign)) for hour in range(240)]
        fetched(store, sources.drift(rows), drift.Funding(market="SOL-PERP"))
        series, per_day = "drift:SOL-PERP:funding", 24 * 0.00001 * sign
    else:
        rows = [sources.binance_payment(hour, 0.0001 * sign) for hour in range(0, 240, 8)]
        fetched(store, sources.binance([], rows), binance.Funding(symbol="SOLUSDT"))
        series, per_day = "binance:SOLUSDT:funding", 3 * 0.0001 * sign
    assert per_day * sign > 0
    market = load_market(spec(funding={source: series}), None)
    for side, direction in ((Side.SHORT, 1), (Side.LONG, -1)):
        venue = markets.hyperliquid(funding_rate=f"{source}_funding_rate")
        run = markets.play(market, [venue], markets.Script(start=[Open("hyperliquid", side, 50.0, 5_000.0)]))
        income = -markets.balance(run, "Income:Hyperliquid:Funding")
        assert income == pytest.approx(direction * 10 * per_day * 5_000 * 1e6, abs=1)
        assert sum(event.amount for event in markets.happened(run, FundingSettled)) == income


@pytest.mark.parametrize("source", ["defillama", "kamino"])
def test_lending_is_ours_and_borrowing_is_owed_from_every_source(store, source):
    """From the raw reply to the ledger: lending raises the coins, borrowing raises the debt."""
    fetched(store, sol_prices(), hyperliquid.Candles(coin="SOL", interval="1d"))
    if source == "defillama":
        rows = [sources.pool_sample(day, apyBase=5.0, apyBaseBorrow=8.0) for day in range(10)]
        fetched(store, sources.defillama(rows), defillama.Lending(pool="kamino-sol"))
        series = "defillama:kamino-sol"
    else:
        fetched(
            store, sources.kamino([sources.reserve_sample(hour) for hour in range(240)]), kamino.Reserve(reserve="SOL")
        )
        series = "kamino:SOL"
    named = {"sol_lending_apy": series, "usdc_borrowing_apy": {"series": series, "joining": "mean"}}
    market = load_market(spec(series=named), None)
    assert market["sol_lending_apy"].tolist() == [0.05] * 10
    assert market["usdc_borrowing_apy"].tolist() == pytest.approx([0.08] * 10)
    script = markets.Script(start=[Open("asgard", Side.LONG, 100.0, 5_000.0)])
    run = markets.play(market, [markets.asgard()], script)
    assert markets.balance(run, "Assets:Asgard:Collateral", "SOL") == round(100e9 * (1 + 0.05 / 365) ** 10)
    assert markets.balance(run, "Liabilities:Asgard:Loan") == -round(5_000e6 * (1 + 0.08 / 365) ** 10)
    amounts = {event.amount > 0 for event in markets.happened(run, InterestAccrued)}
    assert amounts == {True, False}


def test_a_growing_pool_rate_is_our_reward(store):
    """From lamports and tokens to the ledger: the rate's growth is income of whoever holds the token."""
    fetched(store, sol_prices(), hyperliquid.Candles(coin="SOL", interval="1d"))
    fetched(store, sources.jito(10), jito.PoolRate())
    named = {"jitosol_rate": "jito:pool_rate"}
    with pytest.raises(
        MarketError, match=r"first sample, at 2025-01-01T18:00.*, is after the first row, 2025-01-01T00:00"
    ):
        load_market(spec(series=named), None)
    market = load_market(spec(start="2025-01-02", series=named), None)
    assert market["jitosol_rate_close"].tolist() == pytest.approx([1.2 * 1.0005 ** (day // 2) for day in range(1, 10)])
    run = markets.play(market, [Jito()], markets.Script(start=[Swap("jito", "USDC", "JITOSOL", 10_000.0)]))
    rewards = [event.amount for event in markets.happened(run, RewardAccrued)]
    assert min(rewards) >= 0
    assert sum(rewards) > 0


BAD_MARKETS = {
    "a series that is not there": ({"prices": "hyperliquid:ETH:1d"}, "hyperliquid:ETH:1d: not in the store"),
    "no id": ({"prices": "SOL"}, "'SOL' is not the id of a series"),
    "prices that are none": (
        {"prices": "somewhere:SOL:funding"},
        "market.prices: somewhere:SOL:funding has no rows of",
    ),
    "a column that is not there": (
        {"series": {"x": {"series": "hyperliquid:SOL:1d", "column": "mid"}}},
        "market.series.x.column: 'mid' fits no one column of hyperliquid:SOL:1d; expected one of open, high, low,",
    ),
    "a name that fits no column": (
        {"series": {"sol_apy": "hyperliquid:SOL:1d"}},
        "market.series.sol_apy.column: 'sol_apy'",
    ),
    "a rule that is none": (
        {"funding": {"hyperliquid": {"series": "somewhere:SOL:funding", "fill": "guess"}}},
        "market.funding.hyperliquid.fill: 'guess'; expected one of refuse, zero, previous, drop",
    ),
    "a joining that is none": (
        {"series": {"x": {"series": "somewhere:SOL:funding", "joining": "add"}}},
        "market.series.x.joining: 'add'; expected one of last, mean, sum, hold",
    ),
    "a key that is none": (
        {"funding": {"hyperliquid": {"serie": "somewhere:SOL:funding"}}},
        "market.funding.hyperliquid",
    ),
    "funding of no days": (
        {"start": "2026-01-01", "end": "2026-01-02", "funding": {"hyperliquid": "somewhere:SOL:funding"}},
        "nothing between 2026-01-01 and 2026-01-02; expected it fetched",
    ),
    "funding that has a hole": (
        {"funding": {"hyperliquid": "somewhere:SOL:funding"}},
        "somewhere:SOL:funding: 239 missing between 2025-01-01 and 2025-01-10, the first at 2025-01-01T01:00",
    ),
    "no prices": ({"prices": None, "series": {"x": "hyperliquid:SOL:1d"}}, "market.series.x.column"),
    "nothing but funding": (
        {"prices": None, "end": "2025-01-01", "funding": {"x": "somewhere:SOL:funding"}},
        "market.prices: missing; expected a series of the store such as hyperliquid:SOL:1h",
    ),
    "funding that is a number": ({"funding": 3}, "market.funding: 3; expected text or a table"),
    "a negative lag": ({"prices": {"series": "a:b", "lag_s": -1}}, "market.prices.lag_s: -1.0; expected >= 0"),
    "a number": ({"prices": 3}, "market.prices: 3; expected text or a table"),
}


@pytest.mark.parametrize(("market", "words"), BAD_MARKETS.values(), ids=BAD_MARKETS)
def test_a_market_that_the_store_does_not_give_is_one_line(store, market, words):
    """The message names the key of the scenario, or the series and what it lacks."""
    fetched(store, sol_prices(), hyperliquid.Candles(coin="SOL", interval="1d"))
    put(store, KIND, [0], [0.1])
    with pytest.raises(CarrybookError) as refused:
        load_market(spec(**market), None)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_scenario_with_stored_series_is_the_same_as_toml():
    """It loads as it was written; a text and a table of nothing but the series are one scenario."""
    table = {
        "name": "stored", "capital_usd": 1, "strategy": {}, "venues": {},
        "market": {
            "start": "2025-01-01", "end": "2025-01-02", "prices": "hyperliquid:SOL:1h",
            "funding": {"drift": {"series": "drift:SOL-PERP:funding", "fill": "zero"}},
            "series": {"sol_lending_apy": "kamino:SOL"},
        },
    }  # fmt: skip
    scenario = Scenario.of(table)
    assert Scenario.of(tomllib.loads(scenario.toml())) == scenario
    assert (
        Scenario.of(table | {"market": table["market"] | {"prices": {"series": "hyperliquid:SOL:1h"}}}).digest
        == scenario.digest
    )
    assert list(scenario.market.stored) == ["prices", "series.sol_lending_apy", "funding.drift"]
