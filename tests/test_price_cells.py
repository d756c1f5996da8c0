"""The cell that an event names as the source of its price holds that price."""

import pyarrow.parquet as pq
import pytest

from framework.run_folder.archive import PRICE
from tests.runs import EXAMPLES, run_and_save


def single_events(example, parent):
    """The events with a price that are no settlements, with the market's row of each."""
    run, folder = run_and_save(example, parent)
    rows = pq.read_table(folder / "events.parquet").to_pylist()
    return run, [each for each in rows if each["price"] is not None and each["rate"] is None]


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_cited_cell_holds_the_price(example, tmp_path):
    """Of every fill, transfer and liquidation of every example; no cell is cited for a price that is in none."""
    run, events = single_events(example, tmp_path)
    market = run.market
    priced = [name for name in market.columns if PRICE.search(name) and name in market.sources]
    assert events
    for event in events:
        row = event["row"]
        holds = {
            (market.sources[name].file_of(row), int(market.sources[name].first_row[row]))
            for name in priced
            if market[name][row] == event["price"]
        }
        cited = event["price_source"], event["price_source_row"]
        assert cited in holds if holds else cited == (None, None)


def test_a_fill_at_cost_cites_no_cell(tmp_path):
    """The study's older models close at what was paid, which is no price of that row."""
    run, events = single_events("static", tmp_path)
    opened, closed = ([each for each in events if each["order"] == name] for name in ("open", "close"))
    assert all(each["price_source"] for each in opened)
    assert [each["price"] for each in closed] == pytest.approx([each["price"] for each in opened])
    assert run.market["close"][-1] != closed[0]["price"]
    assert [each["price_source"] for each in closed] == [None, None]


def test_a_fill_of_another_coin_cites_that_coins_cell(tmp_path):
    """In a portfolio each fill names the file of its own coin's prices."""
    run, events = single_events("portfolio", tmp_path)
    for coin in ("BTC", "SOL"):
        column = run.market.price_column(coin)
        fills = [each for each in events if each["price"] == run.market[column][each["row"]]]
        assert fills
        assert {each["price_source"] for each in fills} == {run.market.sources[column].file}
