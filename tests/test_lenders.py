"""A lender's rates in files: their columns are named by the coin that they are of, in every reader that knows one."""

import json

import pytest

from framework.assembly import assemble, load_market
from framework.data.raw import Raw
from framework.data.readers import LENDERS, READERS
from framework.errors import MarketError, ScenarioError
from framework.events import InterestAccrued
from framework.scenario import Scenario

DAY_MS = 86_400_000
START_MS = 1_735_689_600_000
PERCENT = {"apyBase": 3.0, "apyBaseBorrow": 7.0, "avgLendingRate": 3.5, "avgBorrowingRate": 7.5}
RATES = {
    "defillama_lending": 0.03,
    "defillama_borrowing": 0.07,
    "asgard_lending": 0.035,
    "asgard_borrowing": 0.075,
}


def files(folder):
    """Three days of ETH: candles, DefiLlama's rates of lending and borrowing, and Asgard's for the last day."""
    days = range(3)
    stamps = [f"2025-01-0{day + 1}T12:00:00Z" for day in days]
    candles = [
        {"t": START_MS + day * DAY_MS, "T": START_MS + (day + 1) * DAY_MS - 1, "o": "9", "h": "9", "l": "9", "c": "9"}
        for day in days
    ]
    funding = [{"time": START_MS + hour * DAY_MS // 24, "fundingRate": "0.00001"} for hour in range(72)]
    contents = {
        "candles": candles,
        "funding": funding,
        "llama": [PERCENT | {"timestamp": stamp} for stamp in stamps],
        "hours": [PERCENT | {"hourBucket": stamp} for stamp in reversed(stamps[1:])],
    }
    for name, rows in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))
    return folder


def scenario(**sources):
    """ETH on a lender against a short, on such files; `sources` are changed keys of its sources."""
    files_of = {
        "prices": {"reader": "hyperliquid_candles", "file": "candles.json"},
        "funding": {"reader": "hyperliquid_funding", "file": "funding.json"},
        "lending": {"reader": "defillama_lending", "file": "llama.json", "coin": "ETH"},
        "borrowing": {"reader": "defillama_borrowing", "file": "llama.json"},
    }
    for name, keys in sources.items():
        files_of[name] = files_of[name] | keys
    return Scenario.of(
        {
            "name": "eth",
            "capital_usd": 1_000,
            "market": {"start": "2025-01-01", "end": "2025-01-03", "sources": files_of},
            "rulebook": {"class": "study"},
            "strategy": {"class": "static", "long": "asgard", "short": "hyperliquid", "leverage": 2.0},
            "venues": {"asgard": {"coin": "ETH", "lending_rate": "eth_lending_apy"}, "hyperliquid": {"coin": "ETH"}},
        }
    )


@pytest.mark.parametrize("reader", LENDERS)
@pytest.mark.parametrize("coin", [None, "ETH", "jitoSOL"])
def test_the_column_of_a_lender_is_named_by_the_coin(tmp_path, reader, coin):
    """SOL is lent and USDC borrowed where no coin is named; the rates are the same."""
    side = reader.partition("_")[2]
    file = files(tmp_path) / ("llama.json" if reader.startswith("defillama") else "hours.json")
    series = READERS[reader](Raw.read(file), **({} if coin is None else {"coin": coin}))
    name = f"{(coin or {'lending': 'SOL', 'borrowing': 'USDC'}[side]).lower()}_{side}_apy"
    assert (series.name, list(series.columns)) == (name, [name])
    assert set(series.columns[name].tolist()) == {RATES[reader]}
    assert (series.time_ns[1:] > series.time_ns[:-1]).all()


def test_a_scenario_on_files_of_another_coin_earns_that_coins_rate(tmp_path):
    """The market has the coin's column and not SOL's, and interest says which rate it was."""
    assembly = assemble(scenario(), files(tmp_path))
    assert "eth_lending_apy" in assembly.market.columns
    assert "sol_lending_apy" not in assembly.market.columns
    accrued = [event for event in assembly.simulation().run().events if isinstance(event, InterestAccrued)]
    assert {event.rate for event in accrued if event.asset == "ETH"} == {0.03 / 365}


def test_what_stands_before_a_source_is_of_the_same_coin(tmp_path):
    """Days by DefiLlama, then hours by Asgard: one column of the coin's rates."""
    before = {"reader": "defillama_lending", "file": "llama.json"}
    keys = {"reader": "asgard_lending", "file": "hours.json", "before": before}
    market = load_market(scenario(lending=keys).market, files(tmp_path))
    assert market["eth_lending_apy"].tolist() == [0.03, 0.035, 0.035]


def test_a_coin_is_refused_where_it_cannot_be(tmp_path):
    """One that is no name, and one for a reader that knows its coin itself."""
    data = files(tmp_path)
    with pytest.raises(MarketError, match=r"^llama.json: coin 'E T'; expected letters and digits such as SOL$"):
        load_market(scenario(lending={"coin": "E T"}).market, data)
    words = (
        r"^market\.sources\.prices\.coin: reader 'hyperliquid_candles' takes no coin; expected one of "
        r"asgard_borrowing, asgard_lending, defillama_borrowing, defillama_lending$"
    )
    with pytest.raises(ScenarioError, match=words):
        load_market(scenario(prices={"coin": "ETH"}).market, data)
    with pytest.raises(ScenarioError, match=r"takes no interval; expected one of table$"):
        load_market(scenario(lending={"interval": "1d"}).market, data)
