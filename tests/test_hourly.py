"""Hourly rows: two files behind one column, rows put together into coarser ones, and what those hide."""

import importlib.util
import json

import numpy as np
import pytest
from attrs import evolve

from framework.assembly import assemble
from framework.clock import NS_PER_DAY, NS_PER_HOUR
from framework.data.alignment import align
from framework.data.raw import Raw
from framework.data.readers import asgard_lending, defillama_borrowing, defillama_lending, hyperliquid_funding, table
from framework.data.series import Fill, spliced
from framework.errors import MarketError, ScenarioError
from framework.market import Market
from framework.money import USDC
from framework.reports.comparisons import cells, coarser
from framework.scenario import Coarser, Scenario
from framework.venue import CASH
from tests.markets import START_NS, market
from tests.runs import DATA, ROOT, there

EXAMPLE = ROOT / "examples/hourly/scenario.toml"
FIRST_HOUR = np.datetime64("2025-01-01T00", "h")


def raw(name, rows):
    """Objects as a file that was read."""
    return Raw(name, name, json.dumps(rows).encode())


def asgard(hours, rate=4.0):
    """Asgard's hourly means from newest to oldest, `hours` after 2025-01-01."""
    rows = [
        {"hourBucket": f"{FIRST_HOUR + np.timedelta64(hour, 'h')}:00:00.000Z", "avgLendingRate": rate + hour}
        for hour in hours
    ]
    return raw("hourly.json", rows[::-1])


def defillama(days, rate=2.0):
    """DefiLlama's daily samples, each at 23:01."""
    rows = [
        {"timestamp": f"2025-01-{day + 1:02}T23:01:10.926Z", "apyBase": rate + day, "apyBaseBorrow": 1.0}
        for day in days
    ]
    return raw("daily.json", rows)


def prices(hours):
    """A flat market of hours, as a series."""
    lines = ["time,open,high,low,close"]
    lines += [f"{FIRST_HOUR + np.timedelta64(hour, 'h')}:00:00Z,100,100,100,100" for hour in range(hours)]
    return table(Raw("prices.csv", "prices", "\n".join(lines).encode()), interval="1h")


def test_asgards_rates_are_percent_and_newest_first():
    series = asgard_lending(asgard([5, 6, 7]))
    assert series.time_ns.tolist() == [START_NS + hour * NS_PER_HOUR for hour in (5, 6, 7)]
    assert series.columns["sol_lending_apy"].tolist() == [0.09, 0.10, 0.11]
    assert series.row.tolist() == [3, 2, 1]


def test_oldest_first_is_refused():
    rows = json.loads(asgard([5, 6, 7]).content)[::-1]
    with pytest.raises(MarketError, match=r"hourly.json, row 2: timestamp 2025-01-01T06:00:00\+00:00 is unsorted"):
        asgard_lending(raw("hourly.json", rows))


def test_a_column_of_two_files_knows_which_cell_is_whose():
    """Before the hourly file begins, a day's sample holds until the next; every cell names its own file and row."""

    whole = evolve(
        spliced(defillama_lending(defillama(range(-0, 3))), asgard_lending(asgard(range(60, 96)))), fill=Fill.PREVIOUS
    )
    start, end = np.datetime64("2025-01-02").item(), np.datetime64("2025-01-04").item()
    table = align([prices(96), whole], start=start, end=end)
    source = table.sources["sol_lending_apy"]
    hour = {row: int((table.open_ns[row] - START_NS) // NS_PER_HOUR) for row in range(len(table))}
    for row in range(len(table)):
        if hour[row] < 60:
            day = 0 if hour[row] < 47 else 1
            assert source.cell(row) == f"daily.json:{day + 1}"
            assert table["sol_lending_apy"][row] == (2.0 + day) / 100
        else:
            assert source.cell(row) == f"hourly.json:{96 - hour[row]}"
            assert table["sol_lending_apy"][row] == (4.0 + hour[row]) / 100
    assert source.digests() == {"daily.json": "daily.json", "hourly.json": "hourly.json"}
    files = [(each.file, each.used, each.filled) for each in table.coverage if each.series == "sol_lending_apy"]
    assert files == [("daily.json", 1, 35), ("hourly.json", 36, 0)]


def test_only_levels_of_the_same_columns_can_be_spliced():
    lending = asgard_lending(asgard([5, 6]))
    borrowing = defillama_borrowing(defillama([0]))
    with pytest.raises(MarketError, match=r"^daily\.json: gives usdc_borrowing_apy; expected sol_lending_apy, as"):
        spliced(borrowing, lending)
    payments = hyperliquid_funding(raw("funding.json", [{"time": START_NS // 10**6, "fundingRate": "0.1"}]))
    with pytest.raises(MarketError, match="expected levels, no payments and no prices"):
        spliced(payments, payments)


def test_a_file_of_rates_says_whose_they_are():
    """Each record names its protocol; of two in one file, or one after the other, there is no one pool."""
    rows = [
        {"hourBucket": f"2025-01-01T0{hour}:00:00Z", "avgLendingRate": 5.0, "protocolName": name}
        for hour, name in ((1, "kamino"), (0, "drift"))
    ]
    both = [asgard_lending(raw("rates.json", [row])) for row in rows]
    assert [each.lender for each in both] == ["kamino", "drift"]
    with pytest.raises(MarketError, match=r"^rates\.json: rates of kamino and drift; expected those of one lender$"):
        asgard_lending(raw("rates.json", rows))
    with pytest.raises(
        MarketError, match=r"^rates\.json: rates of drift; expected those of kamino, as in rates\.json$"
    ):
        spliced(both[1], both[0])


def test_coarser_rows_have_the_extremes_the_sums_and_the_means():
    close = [100.0, 104.0, 90.0, 95.0, 96.0]
    fine = market(
        close, funding=[1e-4, 2e-4, -4e-4, 1e-5, 3e-5], lending=[0.01, 0.02, 0.03, 0.04, 0.06], row_ns=NS_PER_DAY // 4
    )
    coarse = coarser(fine, Coarser(interval="1d", grid={}))
    assert len(coarse) == 2
    assert coarse.open_ns.tolist() == [fine.open_ns[0], fine.open_ns[4]]
    assert coarse.at_ns.tolist() == [fine.at_ns[3], fine.at_ns[4]]
    assert coarse["open"].tolist() == [100.0, 95.0]
    assert coarse["high"].tolist() == [104.0, 96.0]
    assert coarse["low"].tolist() == [90.0, 95.0]
    assert coarse["close"].tolist() == [95.0, 96.0]
    assert coarse["hyperliquid_funding_rate"] == pytest.approx([-9e-5, 3e-5], abs=1e-18)
    assert coarse["sol_lending_apy"] == pytest.approx([0.025, 0.06], abs=1e-15)
    assert float(coarse.years.sum()) == pytest.approx(float(fine.years.sum()), abs=1e-15)


def test_a_missing_row_earns_nothing_in_coarser_rows_either():
    """Of six hours the third is missing: the interest of both markets is that of five hours."""
    whole = market([100.0] * 6, lending=[0.01, 0.02, 0.03, 0.04, 0.06, 0.08], row_ns=NS_PER_HOUR)
    kept = [0, 1, 3, 4, 5]
    columns = {name: column[kept] for name, column in whole.columns.items()}
    fine = Market(open_ns=whole.open_ns[kept], at_ns=whole.at_ns[kept], columns=columns)
    coarse = coarser(fine, Coarser(interval="1d", grid={}))
    assert coarse["sol_lending_apy"] * coarse.years == pytest.approx([0.21 / 24 / 365], rel=1e-12)


def test_coarser_rows_take_a_column_for_what_its_name_says():
    """The oracle's price is the last of its rows; what may be a payment or a yearly rate is refused."""
    fine = market([100.0, 110.0], row_ns=NS_PER_HOUR)
    oracle = evolve(fine, columns={**fine.columns, "oracle": fine["close"] + 1})
    assert coarser(oracle, Coarser(interval="1d", grid={}))["oracle"].tolist() == [111.0]
    of_coins = {"BTC.open": 3.0, "BTC.high": 4.0, "BTC.low": 2.0, "BTC.close": 3.0, "x.BTC.oracle.low": 1.0}
    rising = {name: np.array([value, 2 * value]) for name, value in of_coins.items()} | {"x.BTC.funding": [0.1, 0.2]}
    rising["BTC.open"] = np.array([3.0, 4.0])
    found = coarser(evolve(fine, columns={**fine.columns, **rising}), Coarser(interval="1d", grid={}))
    assert [found[name].tolist() for name in (*of_coins, "x.BTC.funding")] == [
        [3.0], [8.0], [2.0], [6.0], [1.0], [pytest.approx(0.3)],
    ]  # fmt: skip
    paid = evolve(fine, columns={**fine.columns, "paid": fine["close"]})
    with pytest.raises(ScenarioError, match=r"^coarser: is 'paid' a payment or a rate per year\? expected a column"):
        coarser(paid, Coarser(interval="1d", grid={}))


def test_rows_that_are_no_coarser_are_refused():
    with pytest.raises(ScenarioError, match=r"^coarser\.interval: 1h is no coarser than the rows of the market"):
        coarser(market([1.0, 2.0]), Coarser(interval="1h", grid={}))


def test_a_fall_within_a_day_is_levelled_by_hours_and_liquidated_by_days():
    """A price that falls by a third in a day: an hourly strategy moves equity on the way, a daily one finds it lost."""
    falling = [100.0] * 24 + np.linspace(100.0, 68.0, 24).tolist() + [68.0] * 24
    table = {
        "name": "fall",
        "capital_usd": 10_000,
        "market": {"start": "2025-01-01", "end": "2025-01-03"},
        "rulebook": {"class": "study"},
        "strategy": {
            "class": "capital_rebalance", "long": "asgard", "short": "hyperliquid", "leverage": 3.0, "trigger": 4.0,
        },
        "venues": {"asgard": {}, "hyperliquid": {}},
        "coarser": {"interval": "1d", "grid": {"strategy.trigger": [4.0, "never"]}},
    }  # fmt: skip
    levelled, never = cells(assemble(Scenario.of(table), market=market(falling, row_ns=NS_PER_HOUR)))
    assert levelled.settings == {"strategy.trigger": 4.0}
    assert levelled.fine["capital_rebalances"] > 1
    assert (levelled.missed, levelled.invented) == ((), ("2025-01-02 asgard",))
    assert (never.fine["liquidations"], never.coarse["liquidations"]) == (1, 1)
    assert (never.missed, never.invented) == ((), ())


@pytest.fixture(scope="module")
def hourly_market():
    """The example's market."""
    data = there(DATA, "hourly prices, funding and rates")
    return assemble(Scenario.load(EXAMPLE), data).market


def test_the_example_has_every_hour_of_its_funding(hourly_market):
    """9,807 hours, as many as have funding; rates are by the day before 2025-06-21 17:00 and by the hour after."""
    assert len(hourly_market) == 9_807
    assert (np.diff(hourly_market.open_ns) == NS_PER_HOUR).all()
    source = hourly_market.sources["sol_lending_apy"]
    first = int(hourly_market.open_ns.searchsorted(1_750_525_200 * 10**9))
    assert source.cell(first - 1).startswith("kamino_sol_lending_rates.json:")
    assert source.cell(first) == "asgard_kamino_sol_hourly.json:5744"


@pytest.mark.parametrize(("leverage", "trigger"), [(2.0, 4.0), (3.0, 6.0), (3.0, 4.0), (4.0, 8.0)])
def test_hours_agree_with_a_plain_loop(hourly_market, leverage, trigger):
    """The benchmarks' plain loop, which keeps no books, comes to the same cent on the same hours."""
    spec = importlib.util.spec_from_file_location("plain_loop", ROOT / "benchmarks/plain_loop.py")
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)
    columns = {"funding": "hyperliquid_funding_rate", "lending": "sol_lending_apy", "borrowing": "usdc_borrowing_apy"}
    columns |= {name: name for name in ("high", "low", "close")}
    cells_ = zip(*(hourly_market[column].tolist() for column in columns.values()), strict=True)
    rows = [dict(zip(columns, row, strict=True)) for row in cells_]
    expected = plain.capital_rebalance(
        rows, capital=10_000.0, leverage=leverage, trigger=trigger, rows_per_year=365.0 * 24
    )
    settings = (f"strategy.leverage={leverage}", f"strategy.trigger={trigger}", "rulebook.look_ahead_at_entry=true")
    run = assemble(Scenario.load(EXAMPLE, settings), market=hourly_market).simulation().run()
    assert USDC.units(run.ledger.balance(CASH)) == pytest.approx(expected.final, abs=0.01)
