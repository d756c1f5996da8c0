"""The market: how series become one table, where every cell came from, and what is refused at the door."""

import json
import re
import tomllib
from datetime import date

import numpy as np
import pytest

from framework import Market
from framework.assembly import load_market
from framework.clock import NS_PER_DAY, NS_PER_HOUR
from framework.data.alignment import align
from framework.data.raw import Raw
from framework.data.readers import (
    defillama_borrowing,
    defillama_lending,
    drift_daily_funding,
    hyperliquid_candles,
    hyperliquid_funding,
    table,
)
from framework.data.series import Fill, Joining, Series
from framework.errors import MarketError
from framework.market import TICK_NS
from framework.scenario import MarketSpec, structure
from tests.markets import START_NS, flat, market

DAY_MS = 86_400_000
START_MS = 1_735_689_600_000
HOUR_MS = 3_600_000


def candle(day, close=100.0, **cells):
    """A daily candle of Hyperliquid, `day` days after 2025-01-01."""
    opens = START_MS + day * DAY_MS
    row = {
        "t": opens,
        "T": opens + DAY_MS - 1,
        "o": "100",
        "c": str(close),
        "h": "120",
        "l": "80",
        "s": "SOL",
        "i": "1d",
    }
    return {**row, **cells}


def payment(hour, rate=0.00001, **cells):
    """An hourly funding payment, stamped some milliseconds late."""
    return {"coin": "SOL", "fundingRate": str(rate), "premium": "0", "time": START_MS + hour * HOUR_MS + 87, **cells}


def sample(day, **cells):
    """A daily sample of DefiLlama."""
    row = {"timestamp": f"2025-01-{day + 1:02}T23:01:10.926Z", "apyBase": 5.0, "apyBaseBorrow": 8.0}
    return {**row, **cells}


def raw(rows, name="file.json"):
    """Rows as a file."""
    return Raw(name, "digest", json.dumps(rows).encode())


def test_payments_are_summed_and_levels_are_sampled():
    """A row takes all the payments within it and the last of the levels, whenever in the row they come."""
    series = [
        hyperliquid_candles(raw([candle(0), candle(1)])),
        hyperliquid_funding(raw([payment(hour, 0.001 * (hour + 1)) for hour in (0, 23, 24)])),
        defillama_lending(raw([sample(0), sample(1, apyBase=7.0)])),
    ]
    market = align(series, start=date(2025, 1, 1), end=date(2025, 1, 2))
    assert market["hyperliquid_funding_rate"].tolist() == pytest.approx([0.001 + 0.024, 0.025])
    assert market["sol_lending_apy"].tolist() == [0.05, 0.07]
    assert market.years.tolist() == [1 / 365] * 2


def test_every_cell_names_its_file_and_rows():
    """Sums name the first and the last row, samples the one that they are."""
    series = [
        hyperliquid_candles(raw([candle(0), candle(1)], "candles.json")),
        hyperliquid_funding(raw([payment(hour) for hour in range(30)], "funding.json")),
    ]
    market = align(series, start=date(2025, 1, 1), end=date(2025, 1, 2))
    assert market.cell("close", 1) == "candles.json:2"
    assert market.cell("hyperliquid_funding_rate", 0) == "funding.json:1-24"
    assert market.cell("hyperliquid_funding_rate", 1) == "funding.json:25-30"


def test_rows_that_a_series_lacks_are_dropped_and_counted():
    """What is left out is reported: rows by their time, samples by their series."""
    series = [
        hyperliquid_candles(raw([candle(day) for day in range(4)])),
        drift_daily_funding(raw([{"date": f"2025-01-0{day}", "rate": 0.1} for day in (1, 2, 4)])),
    ]
    market = align(series, start=date(2025, 1, 1), end=date(2025, 1, 4))
    assert [market.date(index) for index in range(len(market))] == ["2025-01-01", "2025-01-02", "2025-01-04"]
    assert market.dropped_rows == ("2025-01-03T00:00:00+00:00",)
    prices, funding = market.coverage
    assert (prices.samples, prices.used, prices.outside, prices.dropped) == (4, 3, 0, 1)
    assert (funding.samples, funding.used, funding.outside, funding.dropped) == (3, 3, 0, 0)


def test_both_dates_are_included():
    """From the first to the last date and not beyond."""
    series = [hyperliquid_candles(raw([candle(day) for day in range(5)]))]
    market = align(series, start=date(2025, 1, 2), end=date(2025, 1, 4))
    assert [market.date(index) for index in range(3)] == ["2025-01-02", "2025-01-03", "2025-01-04"]
    assert market.coverage[0].outside == 2
    assert market.at_ns[0] == (START_MS + 2 * DAY_MS - 1) * 10**6


CANDLES = hyperliquid_candles(raw([candle(day) for day in range(3)], "candles.json"))
REFUSED_TABLES = {
    "start before the data": (
        [CANDLES],
        date(2024, 12, 30),
        date(2025, 1, 2),
        "market.start 2024-12-30 is before 2025-01-01",
    ),
    "end after the data": ([CANDLES], date(2025, 1, 1), date(2025, 1, 9), "market.end 2025-01-09 is after 2025-01-03"),
    "no prices": (
        [defillama_lending(raw([sample(0)]))],
        date(2025, 1, 1),
        date(2025, 1, 1),
        "exactly one series of prices",
    ),
    "two series of prices": (
        [CANDLES, CANDLES],
        date(2025, 1, 1),
        date(2025, 1, 1),
        "exactly one series of prices, not 2",
    ),
    "no overlap": (
        [CANDLES, drift_daily_funding(raw([{"date": "2019-01-01", "rate": 1}], "old.json"))],
        date(2025, 1, 1),
        date(2025, 1, 3),
        "do not overlap, no row is common to all: candles.json 2025-01-01 to",
    ),
    "a column twice": (
        [CANDLES, defillama_lending(raw([sample(0)], "a.json")), defillama_lending(raw([sample(0)], "b.json"))],
        date(2025, 1, 1),
        date(2025, 1, 1),
        "column sol_lending_apy comes from both a.json and b.json",
    ),
}


@pytest.mark.parametrize(("series", "start", "end", "words"), REFUSED_TABLES.values(), ids=REFUSED_TABLES)
def test_series_that_make_no_table_are_refused(series, start, end, words):
    """The message names the files or the dates."""
    with pytest.raises(MarketError, match=words):
        align(series, start=start, end=end)


CSV = "time,open,high,low,close\n2025-01-01T00:00:00Z,10,12,9,11\n2025-01-02T00:00:00Z,11,12,9,10\n"


def written(text):
    """A table of our own as a file."""
    return Raw("own.csv", "digest", text.encode())


def daily(text):
    """A table of our own, read as daily rows."""
    return table(written(text), interval="1d")


BAD_INPUT = {
    "NaN price": (hyperliquid_candles, [candle(0), candle(1, c="NaN")], "row 2, column c (close): 'NaN'"),
    "missing price": (
        hyperliquid_candles,
        [{k: v for k, v in candle(0).items() if k != "h"}],
        "row 1, column h (high): missing",
    ),
    "null price": (hyperliquid_candles, [candle(0, l=None)], "row 1, column l (low): missing"),
    "text for a price": (hyperliquid_candles, [candle(0, o="high")], "row 1, column o (open): 'high'"),
    "price of zero": (hyperliquid_candles, [candle(0, l="0")], "row 1, column l (low): 0.0; expected a price above 0"),
    "negative price": (
        hyperliquid_candles,
        [candle(0, l="-3")],
        "row 1, column l (low): -3.0; expected a price above 0",
    ),
    "price too small": (hyperliquid_candles, [candle(0, l="9.9e-11")], "expected a price of 1e-10 or more"),
    "low above high": (
        hyperliquid_candles,
        [candle(0, l="130")],
        "row 1, column l (low): 130.0; expected a low that is not",
    ),
    "close below low": (
        hyperliquid_candles,
        [candle(0, close=70)],
        "row 1, column c (close): 70.0; expected a price within",
    ),
    "open above high": (
        hyperliquid_candles,
        [candle(0, o="121")],
        "row 1, column o (open): 121.0; expected a price within",
    ),
    "duplicate candle": (hyperliquid_candles, [candle(0), candle(0)], "row 2: duplicate timestamp 2025-01-01"),
    "unsorted candles": (
        hyperliquid_candles,
        [candle(1), candle(0)],
        "row 2: timestamp 2025-01-01T00:00:00+00:00 is unsorted",
    ),
    "seconds": (
        hyperliquid_candles,
        [candle(0, t=START_MS // 1000)],
        "row 1, column t: 1735689600 is not a time in milli",
    ),
    "an odd candle": (
        hyperliquid_candles,
        [candle(0), candle(1, T=START_MS + DAY_MS + 5)],
        "row 2, column T: a candle of",
    ),
    "no rows": (hyperliquid_candles, [], "no rows; expected at least one"),
    "row not an object": (hyperliquid_funding, [payment(0), 7], "row 2: 7; expected an object"),
    "array in an array": (hyperliquid_funding, [[1, 2]], "row 1: [1, 2]; expected an object"),
    "infinite funding": (
        hyperliquid_funding,
        [payment(0, "inf")],
        "row 1, column fundingRate (hyperliquid_funding_rate)",
    ),
    "a truth for a price": (hyperliquid_candles, [candle(0, o=True)], "row 1, column o (open): True"),
    "a list for a price": (hyperliquid_candles, [candle(0, o=[1])], "row 1, column o (open): [1]"),
    "a price beyond floats": (hyperliquid_candles, [candle(0, o=10**400)], "row 1, column o (open)"),
    "a candle that ends before it begins": (
        hyperliquid_candles,
        [candle(0, T=START_MS - 5)],
        "row 1, column T: a candle of -4 ms",
    ),
    "a date beyond the calendar": (drift_daily_funding, [{"date": "9999-01-01", "rate": 1}], "row 1, column date"),
    "a time beyond the calendar": (defillama_lending, [sample(0, timestamp="9999-01-01T00:00:00Z")], "expected a time"),
    "a time before the calendar": (
        defillama_lending,
        [sample(0, timestamp="0001-01-01T00:00:00+14:00")],
        "row 1, column timestamp",
    ),
    "two payments of an hour": (hyperliquid_funding, [payment(0), payment(0)], "row 2: duplicate timestamp"),
    "no date": (drift_daily_funding, [{"rate": 1}], "row 1, column date: None; expected a date"),
    "time for a date": (drift_daily_funding, [{"date": 5, "rate": 1}], "row 1, column date: 5; expected a date"),
    "no rate": (drift_daily_funding, [{"date": "2025-01-01"}], "row 1, column rate (drift_funding_rate): missing"),
    "naive time": (
        defillama_lending,
        [sample(0, timestamp="2025-01-01T23:00:00")],
        "row 1, column timestamp: '2025-01-01T23:00:00' is naive",
    ),
    "no time": (defillama_lending, [sample(0, timestamp="soon")], "row 1, column timestamp: 'soon'; expected a time"),
    "null rate": (defillama_borrowing, [sample(0), sample(1, apyBaseBorrow=None)], "row 2, column apyBaseBorrow"),
}


@pytest.mark.parametrize(("reader", "rows", "words"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_a_reader_names_file_row_and_column(reader, rows, words):
    """Bad input is refused with its place and what would be right."""
    with pytest.raises(MarketError) as refusal:
        reader(raw(rows, "bad.json"))
    assert str(refusal.value).startswith("bad.json")
    assert words in str(refusal.value)


BAD_TABLES = {
    "naive time": (
        CSV.replace("01T00:00:00Z", "01T00:00:00"),
        "own.csv, row 2, column time: '2025-01-01T00:00:00' is naive",
    ),
    "empty cell": (CSV.replace(",12,9,10", ",,9,10"), "own.csv, row 3, column high: missing"),
    "NaN": (CSV.replace(",12,9,10", ",nan,9,10"), "own.csv, row 3, column high: 'nan'"),
    "too few cells": (CSV.replace(",12,9,10", ",12,9"), "own.csv, row 3: 4 cells; expected 5"),
    "no header": (CSV.partition("\n")[2], "own.csv, row 1: header"),
    "a name twice": (CSV.replace("high", "open"), "own.csv, row 1: header"),
    "out of order": (CSV.replace("2025-01-02", "2024-01-02"), "own.csv, row 3: timestamp"),
    "close outside": (CSV.replace("12,9,10\n", "12,9,13\n"), "own.csv, row 3, column close: 13.0"),
    "no prices": ("time,x\n2025-01-01T00:00:00Z,1\n", "the market has no column 'open'"),
    "rows too close": (CSV.replace("2025-01-02T00", "2025-01-01T12"), "own.csv, row 3: opens before row 2 has closed"),
}


@pytest.mark.parametrize(("text", "words"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_a_table_of_ones_own_is_checked_as_well(text, words):
    """Lines are counted as an editor does, with the header as line 1."""
    with pytest.raises(MarketError) as refusal:
        align([daily(text)], start=date(2025, 1, 1), end=date(2025, 1, 1))
    assert words in str(refusal.value)


def test_a_table_of_ones_own_is_read_with_its_rates():
    """Further columns come under their own names, with the line of the file behind each cell."""
    lines = CSV.splitlines()
    text = "\n".join([lines[0] + ",my_rate", lines[1] + ",0.5", lines[2] + ",0.25"])
    market = align([daily(text)], start=date(2025, 1, 1), end=date(2025, 1, 2))
    assert market["my_rate"].tolist() == [0.5, 0.25]
    assert market.cell("my_rate", 1) == "own.csv:3"


def test_files_that_cannot_be_read_are_named(tmp_path):
    """Missing, a directory, not text, not JSON, JSON of another kind, an unknown interval."""
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    (tmp_path / "broken.json").write_text("[1,")
    (tmp_path / "object.json").write_text('{"a": 1}')
    for name, words in (
        ("nowhere.json", "not readable"),
        ("", "not readable"),
        ("binary.json", "not text"),
        ("broken.json", "not JSON, line 1"),
        ("object.json", "a JSON dict; expected an array"),
    ):
        with pytest.raises(MarketError, match=words):
            hyperliquid_candles(Raw.read(tmp_path / name))
    with pytest.raises(MarketError, match="interval '2d'; expected one of 1m"):
        table(written(CSV), interval="2d")


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m", "x" * 201])
def test_the_name_of_a_column_can_be_printed(name):
    """Whatever else is in it: the folder of a run takes it, and shows it as text."""
    table = {"open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0]}
    rows = {"open_ns": [0], "at_ns": [NS_PER_DAY - TICK_NS]}
    assert "<b> $ {" in Market(**rows, columns={**table, "<b> $ {": [0.0]}).columns
    with pytest.raises(MarketError, match="expected a name of 1 to 200 printable characters"):
        Market(**rows, columns={**table, name: [0.0]})


def test_a_market_is_frozen_and_checked():
    """Its arrays cannot be written; rows must follow each other in time, with columns of their length."""
    prices = {name: [1.0, 1.0] for name in ("open", "high", "low", "close")}
    market = Market(open_ns=[0, 10], at_ns=[5, 15], columns=prices)
    with pytest.raises(ValueError, match="read-only"):
        market["close"][0] = 2.0
    with pytest.raises(MarketError, match="the market has no column 'oracle'; it has open, high, low, close"):
        market["oracle"]
    for broken, words in (
        ({"open_ns": [0, 4]}, "row 2 opens before row 1 has closed"),
        ({"at_ns": [5, 9]}, "row 2 closes before it opens"),
        ({"columns": {**prices, "close": [1.0]}}, "column close has shape"),
        ({"columns": {**prices, "close": [1.0, np.nan]}}, "row 2, column close: nan"),
        ({"open_ns": [], "at_ns": [], "columns": {}}, "no rows"),
    ):
        with pytest.raises(MarketError, match=words):
            Market(**({"open_ns": [0, 10], "at_ns": [5, 15], "columns": prices} | broken))


def test_funding_is_of_the_hour_in_which_it_is_stamped():
    """The venue stamps payments some milliseconds late: they fall on the full hour."""
    rows = [{"time": START_MS + lag, "fundingRate": "0.1"} for lag in (73, HOUR_MS, 3 * HOUR_MS - 1)]
    series = hyperliquid_funding(Raw("funding.json", "", json.dumps(rows).encode()))
    assert [at // 10**6 - START_MS for at in series.time_ns.tolist()] == [0, HOUR_MS, 2 * HOUR_MS]


@pytest.mark.parametrize(
    ("name", "joining", "every", "fill", "words"),
    [
        ("hyperliquid_funding_rate", "last", 1, "drop", 'joining = "sum": they are payments'),
        ("hyperliquid_funding_rate", "mean", 1, "drop", 'joining = "sum": they are payments'),
        ("hyperliquid_funding_rate", "last", 8, "previous", 'joining = "sum": they are payments'),
        ("sol_lending_apy", "sum", 1, "drop", 'joining = "mean" or "last": they are rates per year'),
    ],
)
def test_payments_are_neither_lost_nor_repeated_and_rates_not_summed(name, joining, every, fill, words):
    """A day that takes one of its hours of funding has a 24th of it; a row that repeats 8 hours has eight times."""
    open_ns = START_NS + np.arange(8) * NS_PER_HOUR * 4
    prices = dict.fromkeys(("open", "high", "low", "close"), np.full(8, 100.0))
    numbers = np.arange(1, 9)
    rows = Series(
        name="p", file="p.csv", digest="", time_ns=open_ns, row=numbers, columns=prices, span_ns=4 * NS_PER_HOUR
    )
    time_ns = np.arange(open_ns[0], open_ns[-1] + 1, every * NS_PER_HOUR)
    rates = Series(
        name="r", file="r.csv", digest="", time_ns=time_ns, row=np.arange(len(time_ns)) + 1,
        columns={name: np.full(len(time_ns), 1e-4)}, joining=Joining(joining), fill=Fill(fill),
    )  # fmt: skip
    said = re.escape(f'r.csv, column {name}: joining = "{joining}"') + ".*" + re.escape(words)
    with pytest.raises(MarketError, match=said):
        align([rows, rates], start=date(2025, 1, 1), end=date(2025, 1, 2))


def coins(**changes):
    """A market with prices of two coins by name; a dot stands for each underscore in `changes`."""
    table = flat(2, price=100.0)
    columns = {f"{coin}.{at}": table[at] for coin in ("SOL", "BTC") for at in ("open", "high", "low", "close")}
    columns |= {"SOL.oracle": table["close"], "SOL.oracle.low": table["low"], "SOL.oracle.high": table["high"]}
    columns |= {name.replace("_", "."): np.asarray(values) for name, values in changes.items()}
    return Market(open_ns=table.open_ns, at_ns=table.at_ns, columns={**table.columns, **columns})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"BTC_close": [100.0, -1.0]}, "row 2, column BTC.close: -1.0; expected a price above 0"),
        ({"BTC_close": [100.0, 101.0]}, "row 2, column BTC.close: 101.0; expected a price within low and high"),
        ({"BTC_low": [101.0, 100.0]}, "row 1, column BTC.low: 101.0; expected a low that is not above the high"),
        ({"SOL_mark": [1.0, 0.0]}, "row 2, column SOL.mark: 0.0; expected a price above 0"),
        ({"SOL_oracle": [99.0, 100.0]}, "row 1, column SOL.oracle: 99.0; expected a price within low and high"),
        ({"SOL_oracle_low": [0.0, 100.0]}, "row 1, column SOL.oracle.low: 0.0; expected a price above 0"),
    ],
)
def test_prices_of_every_coin_and_role_are_checked(changes, words):
    """As those of a market of one coin are; a payment beside them may have any sign."""
    coins(hyperliquid_SOL_funding=[-1.0, 1.0])
    with pytest.raises(MarketError, match=f"^{re.escape(words)}$"):
        coins(**changes)


def test_a_price_is_found_by_coin_instant_and_role():
    """A role without a column has that of the role behind it; a coin without columns of its own the plain ones."""
    table = coins(BTC_mark=[100.0, 100.0])
    found = {
        ("SOL", "close", "price"): "SOL.close",
        ("SOL", "close", "oracle"): "SOL.oracle",
        ("SOL", "low", "oracle"): "SOL.oracle.low",
        ("SOL", "open", "oracle"): "SOL.open",
        ("SOL", "low", "mark"): "SOL.low",
        ("BTC", "close", "oracle"): "BTC.mark",
        ("BTC", "high", "oracle"): "BTC.mark",
        ("ETH", "high", "price"): "high",
        ("", "close", "price"): "close",
    }
    assert {each: table.price_column(*each) for each in found} == found
    named = Market(open_ns=table.open_ns, at_ns=table.at_ns, columns=table.columns, coin="SOL")
    assert named.price_column("ETH") == "ETH.close"
    assert named.price_column("") == "SOL.close"


def test_rows_say_when_they_open():
    """By their date where all open at midnight, else by the minute as well."""
    days, hours = flat(3), market([100.0] * 3, row_ns=NS_PER_HOUR)
    assert (days.when(1), days.rows(0, 2)) == ("2025-01-02", "rows 1 to 2 (2025-01-01 to 2025-01-02)")
    assert (hours.when(1), hours.rows(2, 3)) == ("2025-01-01 01:00", "row 3 (2025-01-01 02:00)")


def scenario_of(tmp_path, prices, funding, rules=""):
    """The market of a scenario on two files of our own, ten days from 2025-01-01 on."""
    (tmp_path / "prices.csv").write_text(prices)
    (tmp_path / "funding.csv").write_text(funding)
    text = f"""
        start = 2025-01-01
        end = 2025-01-10
        [sources.spot]
        reader = "table"
        file = "prices.csv"
        interval = "1h"
        [sources.paid]
        reader = "table"
        file = "funding.csv"
        joining = "sum"
        columns = {{ x_funding_rate = "rate" }}
        {rules}
    """
    return load_market(structure(tomllib.loads(text), MarketSpec, "market"), tmp_path)


def hours(columns, cells, step=1, without=()):
    """A CSV file with a line every `step` hours of ten days, some hours missing."""
    lines = [
        f"2025-01-{1 + hour // 24:02}T{hour % 24:02}:00Z,{cells}" for hour in range(0, 240, step) if hour not in without
    ]
    return "\n".join([f"time,{columns}", *lines])


PRICED = ("open,high,low,close", "100,101,99,100")


@pytest.mark.parametrize("step", [1, 4, 8, 24])
def test_every_row_of_prices_stays_however_seldom_funding_is_paid(tmp_path, step):
    """Hourly prices with funding every eight hours or once a day: 240 rows, and all that is paid is paid."""
    table = scenario_of(tmp_path, hours(*PRICED), hours("rate", "0.0001", step))
    assert len(table) == 240
    assert table.dropped_rows == ()
    assert table["x_funding_rate"].sum() == pytest.approx(0.0001 * 240 / step)
    assert [each.fill for each in table.coverage] == ["refuse", "refuse"]


def test_a_gap_of_ones_own_file_is_refused_and_the_setting_that_mends_it_is_named(tmp_path):
    """300 missing hours of prices shorten a run, and missing payments make it poorer: by default neither runs."""
    without = range(30, 80)
    words = (
        "prices.csv: 50 missing between 2025-01-01 and 2025-01-10, the first at 2025-01-02T06:00:00+00:00; expected "
        'none, or market.sources.spot.fill = "previous" (prices stand still) or market.sources.spot.fill = "drop" '
        "(there are no such rows)"
    )
    with pytest.raises(MarketError, match=f"^{re.escape(words)}$"):
        scenario_of(tmp_path, hours(*PRICED, without=without), hours("rate", "0.0001"))
    words = (
        "funding.csv: 50 missing between 2025-01-01 and 2025-01-10, the first at 2025-01-02T06:00:00+00:00; expected "
        'none, or market.sources.paid.fill = "previous" with market.sources.paid.every = "1h" '
        "(the one before holds on) "
        'or market.sources.paid.fill = "zero" with market.sources.paid.every = "1h" (they are 0) '
        'or market.sources.paid.fill = "drop" (rows with none are left out, others take the rest)'
    )
    with pytest.raises(MarketError, match=f"^{re.escape(words)}$"):
        scenario_of(tmp_path, hours(*PRICED), hours("rate", "0.0001", without=without))
    for rule, count, filled in (("zero", 240, 50), ("previous", 240, 50), ("drop", 190, 0)):
        every = "" if rule == "drop" else '\nevery = "1h"'
        lacking = hours("rate", "0.0001", without=without)
        table = scenario_of(tmp_path, hours(*PRICED), lacking, f'fill = "{rule}"{every}')
        assert (len(table), table.coverage[1].filled, table.coverage[1].fill) == (count, filled, rule)


def test_a_series_that_begins_late_cannot_hold_what_came_before(tmp_path):
    """The rule that needs a sample before is not offered."""
    with pytest.raises(MarketError, match=r'20 missing .* the first at 2025-01-01T00:00.*fill = "zero"') as refused:
        scenario_of(tmp_path, hours(*PRICED), hours("rate", "0.0001", without=range(20)))
    assert "previous" not in str(refused.value)


def test_a_level_that_is_sampled_once_a_day_is_refused_on_hourly_rows(tmp_path):
    """It is not stretched unasked, and rows without it are not dropped unasked."""
    rules = '\n[sources.lent]\nreader = "table"\nfile = "lent.csv"\n'
    (tmp_path / "lent.csv").write_text(hours("sol_lending_apy", "0.05", 24))
    words = r"lent.csv: 230 missing between .*, the first at 2025-01-01T01:00.* or market.sources.lent.fill ="
    with pytest.raises(MarketError, match=words):
        scenario_of(tmp_path, hours(*PRICED), hours("rate", "0.0001"), rules)
    table = scenario_of(tmp_path, hours(*PRICED), hours("rate", "0.0001"), f'{rules}fill = "previous"')
    assert (len(table), table.coverage[2].filled) == (240, 230)


IMPLAUSIBLE = {
    "funding times a hundred": (
        hours(*PRICED),
        hours("rate", "0.002"),
        "funding.csv, column rate .x_funding_rate.: 0.00",
    ),
    "a low of 5": (
        hours("open,high,low,close", "200,210,5,200"),
        hours("rate", "0"),
        "prices.csv, row 2, column low: 5, 40",
    ),
    "a high of 100,000": (
        hours("open,high,low,close", "200,100000,190,200"),
        hours("rate", "0"),
        "prices.csv, row 2, column high: 100000, 500 times away from open and close",
    ),
}


@pytest.mark.parametrize(("prices", "funding", "words"), IMPLAUSIBLE.values(), ids=IMPLAUSIBLE)
def test_a_run_on_implausible_data_says_so_at_its_top(tmp_path, prices, funding, words):
    """The label goes wherever results are shown; it names the file, the place and how many findings there are."""
    assert re.search(rf"IMPLAUSIBLE DATA .error.: {words}", scenario_of(tmp_path, prices, funding).label)
    assert scenario_of(tmp_path, hours(*PRICED), hours("rate", "0.00001")).label == ""


def test_values_that_no_market_has_are_refused():
    """1e308 as a rate would end in figures that are no figures."""
    prices = {name: [1.0] for name in ("open", "high", "low", "close")}
    for value in (1e308, -1e19):
        with pytest.raises(MarketError, match=r"row 1, column x_apy: .*; expected at most 1e\+18"):
            Market(open_ns=[0], at_ns=[5], columns={**prices, "x_apy": [value]})


@pytest.mark.parametrize("times", [2, 3])
def test_times_that_are_kept_twice_are_no_gap(tmp_path, times):
    """Payments of one time that count each: what is missing is judged by the times there are."""
    lines = [f"2025-01-{1 + hour // 24:02}T{hour % 24:02}:00Z,0.0001" for hour in range(240)]
    paid = "\n".join(["time,rate", *(line for line in lines for _ in range(times))])
    table = scenario_of(tmp_path, hours(*PRICED), paid, 'duplicates = "keep"')
    assert table["x_funding_rate"].sum() == pytest.approx(0.0001 * 240 * times)
    with pytest.raises(MarketError, match=r"1 missing .* the first at 2025-01-01T05:00"):
        scenario_of(tmp_path, hours(*PRICED), paid.replace("2025-01-01T05:00Z,0.0001\n", ""), 'duplicates = "keep"')
