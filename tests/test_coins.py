"""Several coins: one market with prices by coin and role, one account with positions in each, margin shared."""

from pathlib import Path

import numpy as np
import pytest
from attrs import field, frozen

from framework import (
    CarrybookError,
    Close,
    Deposit,
    Market,
    Open,
    Penalty,
    Resize,
    Scenario,
    Side,
    Simulation,
    Strategy,
    Swap,
    assemble,
    waterfall,
)
from framework.audit import audit
from framework.books import Books, check_columns
from framework.clock import NS_PER_HOUR
from framework.errors import MarketError, OrderRefused
from framework.events import Acted, Deleveraged, FundingSettled, Liquidated
from framework.market import TICK_NS
from framework.performance import summarize
from framework.rulebook.incidents import Incident, Incidents
from framework.run_folder.archive import Folder, save
from framework.venue import CASH, USDC, Act, Dated, Venue, account, formula, price_of, token
from tests.markets import START_NS, Script, balance, flat, happened, hyperliquid, play
from venues.hyperliquid import Hyperliquid
from venues.perpetual import trade
from venues.spot import Spot

ROOT = Path(__file__).parent.parent


def coins_market(columns: dict[str, list[float]]) -> Market:
    """Hours of SOL and BTC; a coin of which only closes are given opens, and has its extremes, there."""
    rows = len(next(iter(columns.values())))
    full = dict(columns)
    for coin in ("SOL", "BTC"):
        for name in ("open", "high", "low"):
            full.setdefault(f"{coin}.{name}", full[f"{coin}.close"])
    open_ns = START_NS + np.arange(rows) * NS_PER_HOUR
    return Market(open_ns=open_ns, at_ns=open_ns + NS_PER_HOUR - TICK_NS, columns=full)


def both(**rules: object):
    """An account for both coins, without fees."""
    return hyperliquid(coin=("SOL", "BTC"), **rules)


FLAT = {"SOL.close": [100.0] * 4, "BTC.close": [40_000.0] * 4}
FUNDING = {"hyperliquid.SOL.funding": [0.001, 0.002, 0.0, 0.0], "hyperliquid.BTC.funding": [0.0, -0.003, 0.0, 0.0]}
SHORTS = (
    Deposit("hyperliquid", 10_000.0),
    Open("hyperliquid", Side.SHORT, 100.0, 0.0, coin="SOL"),
    Open("hyperliquid", Side.SHORT, 0.5, 0.0, coin="BTC"),
)


def test_each_position_is_paid_by_the_rate_of_its_own_coin():
    """Shorts of $10,000 and $20,000: 0.1 % and 0.2 % of the one received, 0.3 % of the other paid."""
    run = play(coins_market(FLAT | FUNDING), [both()], Script(start=SHORTS))
    assert balance(run, "Income:Hyperliquid:Funding:SOL") == -30_000_000
    assert balance(run, "Income:Hyperliquid:Funding:BTC") == 60_000_000
    settled = happened(run, FundingSettled)
    assert [(event.asset, event.amount, event.price) for event in settled] == [
        ("SOL-PERP", 10_000_000, 100.0),
        ("SOL-PERP", 20_000_000, 100.0),
        ("BTC-PERP", -60_000_000, 40_000.0),
    ]
    assert waterfall(run).funding == -30
    assert waterfall(run).unexplained == 0


def test_a_profit_on_one_coin_is_margin_for_the_other():
    """SOL rises against its short while BTC falls: together the account keeps its margin, SOL alone would not."""
    moves = {"SOL.close": [100.0, 150.0, 150.0], "BTC.close": [40_000.0, 20_000.0, 20_000.0]}
    market = coins_market(
        moves | {name: rates[:3] for name, rates in FUNDING.items()} | {name: [0.0] * 3 for name in FUNDING}
    )
    alone = play(market, [both()], Script(start=(Deposit("hyperliquid", 5_000.0), SHORTS[1])))
    together = play(market, [both()], Script(start=(Deposit("hyperliquid", 5_000.0), *SHORTS[1:])))
    assert len(happened(alone, Liquidated)) == 1
    assert not happened(together, Liquidated)
    assert together.curve.equity_usd[-1] == pytest.approx(10_000 - 5_000 + 10_000)


def test_the_account_is_judged_at_the_adverse_extremes_of_all_coins():
    """Both highs at once take the margin that neither takes alone."""
    highs = {"SOL.high": [100.0, 145.0, 100.0], "BTC.high": [40_000.0, 49_000.0, 40_000.0]}
    flat = {name: values[:3] for name, values in FLAT.items()} | {name: [0.0] * 3 for name in FUNDING}
    start = (Deposit("hyperliquid", 9_500.0), *SHORTS[1:])
    for several, liquidations in ((("SOL.high",), 0), (("BTC.high",), 0), (("SOL.high", "BTC.high"), 1)):
        market = coins_market(flat | {name: highs[name] for name in several})
        assert len(happened(play(market, [both()], Script(start=start)), Liquidated)) == liquidations


@pytest.mark.parametrize("size", [-1, 0, 1])
def test_the_low_is_adverse_for_what_is_no_short(size):
    """To the atom, for each coin by itself."""
    books = Books(coins_market(FLAT | FUNDING), [both()])
    standing = books.standings["hyperliquid"]
    books.balances[standing.positions[0]] = size
    assert standing.signs() == (size >= 0, True)


def test_any_cut_of_the_rows_gives_one_ledger():
    """Positions in two coins, one resized on the way."""
    market = coins_market(FLAT | FUNDING)
    script = Script(start=SHORTS, after={1: (Resize("hyperliquid", 50.0, coin="SOL"),)})
    digests = {play(market, [both()], script, rows_at_once=rows).ledger.digest for rows in (None, 1, 2, 3)}
    assert len(digests) == 1


def test_a_view_has_each_coin():
    """Prices and legs by coin; the whole account has the sums."""
    seen = {}

    @frozen
    class Looks(Strategy):
        def on_start(self, view):
            yield from SHORTS
            seen["prices"] = view.price("SOL"), view.price("BTC"), float(view.price)
            seen["sizes"] = view.leg("hyperliquid", "SOL").size, view.leg("hyperliquid", "BTC").size
            seen["notional"] = view.leg("hyperliquid").notional_usd
            seen["entry"] = view.leg("hyperliquid", "BTC").entry_price

        def on_event(self, event, view):
            return ()

    play(coins_market(FLAT | FUNDING), [both()], Looks())
    assert seen == {
        "prices": (100.0, 40_000.0, 100.0), "sizes": (-100.0, -0.5), "notional": 30_000.0, "entry": 40_000.0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (Open("hyperliquid", Side.SHORT, 1.0, 0.0), "coin is None; expected one of SOL, BTC"),
        (Close("hyperliquid", coin="ETH"), "coin is 'ETH'; expected SOL or BTC"),
    ],
)
def test_an_order_names_its_coin_where_there_is_a_choice(order, words):
    """One that names none, or another, cannot be meant."""
    with pytest.raises(OrderRefused, match=words):
        play(coins_market(FLAT | FUNDING), [both()], Script(start=(order,)))


def test_coins_are_bought_and_closed_one_by_one():
    """A spot venue for both: what is sold of one leaves the other."""
    spot = Spot(name="spot", coin=("SOL", "BTC"), swap_fee_bps=0.0)
    script = Script(start=(Swap("spot", "USDC", "SOL", 1_000.0), Swap("spot", "USDC", "BTC", 1_000.0)),
                    after={1: (Close("spot", coin="SOL"),)})  # fmt: skip
    run = play(coins_market(FLAT), [spot], script)
    assert balance(run, "Assets:Spot:Coins:SOL", "SOL") == 0
    assert balance(run, "Assets:Spot:Coins:BTC", "BTC") == 25_000_000
    assert run.curve.delta_by_coin["BTC"][-1] == 0.025


# Prices by role


@frozen(kw_only=True)
class Judged(Venue):
    """Coins that are sold where their oracle price is below `floor_usd`, whatever they trade at."""

    name: str = "judged"
    coin: str = "SOL"
    floor_usd: float | Dated = field(default=50.0)

    held = account("Assets:{venue}:Coins", token, floor=True, position=True)
    cash = account("Assets:{venue}:Cash", USDC)
    traded = account("Equity:{venue}:Trading", token, bucket="execution")
    traded_usdc = account("Equity:{venue}:Trading", USDC, bucket="execution")

    @formula
    def size(held):
        return held

    @formula
    def notional(held, price):
        return held * price

    @formula
    def equity(notional, cash):
        return notional + cash

    @formula
    def liquidated(held, oracle, floor_usd):
        return (held > 0) & (oracle < floor_usd)

    def open(self, order, book):
        coins = self.held.asset.nearest(order.size)
        book.transfer(self.held, self.traded, coins, "trade")
        book.transfer(self.traded_usdc, CASH, USDC.nearest(order.size * book.price(self.coin)), "trade")

    def liquidate(self, book):
        coins = book[self.held]
        book.transfer(self.traded, self.held, coins, "trade")
        book.transfer(self.cash, self.traded_usdc, USDC.nearest(coins / 1e9 * book.price(self.coin)), "trade")


BUY = (Open("judged", Side.LONG, 10.0, 0.0),)
PRICES = {"SOL.close": [100.0, 40.0, 100.0, 100.0], "BTC.close": [1.0] * 4}


def liquidated_rows(market, venue):
    """The rows in which coins were sold, on any cut."""
    runs = [play(market, [venue], Script(start=BUY), rows_at_once=rows) for rows in (None, 1)]
    rows = [[run.row(event.at_ns) for event in happened(run, Liquidated)] for run in runs]
    assert rows[0] == rows[1]
    return rows[0]


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ({}, 1),  # without an oracle the price stands in
        ({"SOL.mark": [100.0, 100.0, 100.0, 45.0]}, 3),  # the mark overrides the price where there is one
        ({"SOL.oracle": [100.0, 100.0, 45.0, 100.0]}, 2),
        ({"SOL.oracle": [100.0] * 4, "SOL.mark": [100.0, 100.0, 100.0, 45.0]}, None),
        ({"SOL.oracle": [100.0] * 4, "SOL.oracle.low": [100.0, 100.0, 100.0, 49.0], "SOL.oracle.high": [100.0] * 4}, 3),
    ],
)
def test_an_oracle_falls_back_on_the_mark_and_that_on_the_price(columns, row):
    """A lender that looks at an oracle does not see a candle's low; one without has nothing else to look at."""
    assert liquidated_rows(coins_market(PRICES | columns), Judged()) == ([] if row is None else [row])


@frozen(kw_only=True)
class Marked(Judged):
    """The same, with what it is worth at the mark, which decides on nothing."""

    @formula
    def notional(held, mark):
        return held * mark


@pytest.mark.parametrize("venue", [Judged(), Marked()])
def test_a_liquidation_says_at_which_price_it_was_judged(venue):
    """The oracle's, and not the mark or the price that other formulas read."""
    columns = {"SOL.mark": [100.0, 40.0, 90.0, 100.0], "SOL.oracle": [100.0, 100.0, 45.0, 100.0]}
    run = play(coins_market(PRICES | columns), [venue], Script(start=BUY))
    (event,) = happened(run, Liquidated)
    assert (event.trigger_price, event.price) == (45.0, 100.0)


def test_a_liquidation_names_the_dated_rules_behind_it():
    """And none that has dates and decides on nothing."""

    @frozen(kw_only=True)
    class Discounted(Judged):
        discount: float | Dated = field(default=0.0)

        @formula
        def notional(held, price, discount):
            return held * price * (1 - discount)

    dated = {name: Dated([START_NS], [value]) for name, value in (("floor_usd", 50.0), ("discount", 0.1))}
    run = play(coins_market(PRICES), [Discounted(**dated)], Script(start=BUY))
    (event,) = happened(run, Liquidated)
    assert event.rules == ("floor_usd",)


def test_coins_that_are_no_position_are_judged_at_their_lows():
    """What is held outright is no short, whether or not the venue calls its account a position."""

    @frozen(kw_only=True)
    class Outright(Judged):
        held = account("Assets:{venue}:Coins", token, floor=True)

    lows = {"SOL.close": [100.0] * 4, "SOL.low": [100.0, 100.0, 45.0, 100.0]}
    assert liquidated_rows(coins_market(PRICES | lows), Outright()) == [2]


@pytest.mark.parametrize(("role", "paid"), [("price", 1_000), ("mark", 950), ("oracle", 900)])
def test_a_venue_reads_marks_and_oracles_of_its_own(role, paid):
    """Where the market has them for the venue alone; a price is everybody's."""

    @frozen(kw_only=True)
    class Trades(Judged):
        def open(self, order, book):
            usd = USDC.nearest(order.size * book.price_of(self.coin, role))
            book.transfer(self.held, self.traded, self.held.asset.nearest(order.size), "trade")
            book.transfer(self.traded_usdc, CASH, usd, "trade")

    own = {"judged.SOL.mark": [95.0] * 4, "judged.SOL.oracle": [90.0] * 4}
    flat_ = {"SOL.close": [100.0] * 4, "SOL.mark": [99.0] * 4, "SOL.oracle": [98.0] * 4}
    run = play(coins_market(PRICES | flat_ | own), [Trades()], Script(start=BUY))
    assert balance(run, "Assets:Wallet:Cash") == USDC.exact(10_000 - paid)


def test_a_rule_that_changed_holds_from_its_date_on():
    """The floor is raised above the price in the third hour."""
    hour = START_NS + 2 * NS_PER_HOUR
    dated = Dated([START_NS, hour], [10.0, 120.0])
    assert liquidated_rows(coins_market(PRICES), Judged(floor_usd=dated)) == [2]


def test_a_market_that_begins_before_a_rule_is_refused():
    """Nobody knows what held then."""
    with pytest.raises(CarrybookError, match="the rule begins at 2025-01-01 03:00; expected a market"):
        play(coins_market(PRICES), [Judged(floor_usd=Dated([START_NS + 3 * NS_PER_HOUR], [10.0]))], Script(start=BUY))


# Markets that mix coins up


def scenario(tmp_path: Path, columns: dict[str, str], short_coin: str = "SOL") -> Scenario:
    """A pair on a table with these columns."""
    names = ",".join(columns)
    lines = [f"2025-01-{day:02}T00:00:00Z," + ",".join(columns.values()) for day in (1, 2)]
    (tmp_path / "table.csv").write_text("\n".join([f"time,{names}", *lines]) + "\n")
    return Scenario.of(
        {
            "name": "mixed",
            "capital_usd": 1000,
            "market": {
                "start": "2025-01-01", "end": "2025-01-02",
                "sources": {"table": {"reader": "table", "file": "table.csv", "interval": "1d"}},
            },
            "rulebook": {"class": "study"},
            "strategy": {"class": "static", "long": "asgard", "short": "hyperliquid", "leverage": 2.0},
            "venues": {"asgard": {}, "hyperliquid": {"coin": short_coin}},
        }
    )  # fmt: skip


PLAIN = dict.fromkeys(("open", "high", "low", "close"), "100") | {
    "hyperliquid_funding_rate": "0.0001", "sol_lending_apy": "0.05", "usdc_borrowing_apy": "0.08"
}  # fmt: skip


def test_a_coin_has_one_price(tmp_path):
    """A column that carries the coin's price beside `close` would be traded at by some and valued at by others."""
    with pytest.raises(MarketError, match="two prices of SOL: the columns close and sol_close; expected one of them"):
        assemble(scenario(tmp_path, PLAIN | {"sol_close": "90"}), tmp_path)


def test_a_long_of_one_coin_is_no_hedge_of_another(tmp_path):
    """Plain columns are those of one coin."""
    words = "those of one coin, and venues hold SOL and BTC; expected columns named by coin, such as BTC.close"
    with pytest.raises(MarketError, match=words):
        assemble(scenario(tmp_path, PLAIN, "BTC"), tmp_path)


def test_a_coin_lacks_no_price(tmp_path):
    """Each coin has four."""
    with pytest.raises(MarketError, match=r"no column 'BTC.open'"):
        assemble(scenario(tmp_path, PLAIN | {"BTC.close": "40000"}), tmp_path)


def test_a_swap_on_a_venue_of_several_coins_has_the_size_of_its_coin(tmp_path):
    """A swap names no coin apart: its size is what it moves, and an audit makes the same of the transfers."""
    assembly = assemble(Scenario.load(ROOT / "examples" / "portfolio" / "scenario.toml"))
    run = assembly.simulation().run()
    swaps = [event for event in run.single if event.kind == "OrderFilled" and event.order == "swap"]
    assert len(swaps) > 4
    assert all(event.size for event in swaps)
    folder = Folder(save(assembly, run, summarize(assembly, run), tmp_path))
    assert [each for each in audit(folder) if not each.passed] == []


def test_the_portfolio_is_hedged_coin_by_coin():
    """Its books on synthetic hours: no delta in either coin, nothing unexplained, one ledger on any cut."""
    assembly = assemble(Scenario.load(ROOT / "examples" / "portfolio" / "scenario.toml"))
    run = assembly.simulation().run()
    assert waterfall(run).unexplained == 0
    assert max(np.abs(delta).max() for delta in run.curve.delta_by_coin.values()) < 1e-9
    assert assembly.simulation(rows_at_once=1).run().ledger.digest == run.ledger.digest


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"sol_low": 50.0}, "two prices of SOL: the columns close and sol_low"),
        ({"SOL.open": 50.0}, "two prices of SOL: the columns close and SOL.open"),
        (
            {"SOL.close": 100.0, "sol_close": 90.0, "close": None},
            "two prices of SOL: the columns sol_close and SOL.close",
        ),
    ],
    ids=["a low of another name", "an open of another name", "two ways without a plain one"],
)
def test_prices_of_a_coin_in_columns_of_two_ways_to_name_them_are_refused(more, words):
    """A low or an open that is not from where the close is decided over liquidations, and another close went unread."""
    whole = flat(3)
    given = {name: np.full(3, value) for name, value in more.items() if value is not None}
    columns = {name: column for name, column in {**whole.columns, **given}.items() if more.get(name, 0) is not None}
    if "close" not in columns:
        columns = {name: columns[name] for name in columns if name not in ("open", "high", "low")}
        columns |= {f"SOL.{name}": np.full(3, 100.0) for name in ("open", "high", "low")}
    table = Market(open_ns=whole.open_ns, at_ns=whole.at_ns, columns=columns)
    with pytest.raises(MarketError, match=words):
        check_columns([hyperliquid()], table)


@frozen(kw_only=True)
class Expiring(Hyperliquid):
    """Sells a share of each position, of the second coin a smaller one, when SOL has reached a price."""

    acts = (Act("expired", "expire"),)
    sol = "SOL"
    sol_price = price_of("sol")

    @formula
    def expired(sol_price):
        return sol_price >= 11

    def expire(self, book):
        for coin, parts in (("SOL", 2), ("BTC", 4)):
            trade(self, coin, -book[self.position[coin]] // parts, book)


@pytest.mark.parametrize("short_of", [100.0, 1_000.0], ids=["most of it bitcoin", "most of it SOL"])
def test_an_act_on_several_coins_tells_the_size_of_one(short_of):
    """Half of the SOL and a quarter of the bitcoin are bought back: the size is not the sum of both numbers."""
    rules = {"taker_fee_bps": 0.0, "maintenance_margin": 0.05, "liquidation_penalty": Penalty("equity", 0.5)}
    venue = Expiring(coin=("SOL", "BTC"), **rules)
    start = (SHORTS[0], Open("hyperliquid", Side.SHORT, short_of, 0.0, coin="SOL"), *SHORTS[2:])
    table = coins_market({"SOL.close": [10.0, 11.0, 10.0], "BTC.close": [40_000.0] * 3, **ZERO})
    (event,) = happened(play(table, [venue], Script(start=start)), Acted)
    of_sol = short_of * 11 / 2 > 0.5 * 40_000 / 4
    assert event.size == (short_of / 2 if of_sol else 0.125) * 1e9
    assert event.price == (11.0 if of_sol else 40_000.0)
    assert event.amount == round((short_of / 2 * 11 + 0.125 * 40_000) * 1e6)


ZERO = {name: [0.0] * 3 for name in FUNDING}


def test_a_deleveraging_of_several_coins_tells_the_size_of_one():
    """A tenth of both shorts, which have gained: $500 of SOL and $1,500 of bitcoin."""
    table = coins_market({"SOL.close": [100.0, 50.0, 50.0], "BTC.close": [40_000.0, 30_000.0, 30_000.0], **ZERO})
    strike = Incident(kind="deleveraging", at=START_NS + NS_PER_HOUR * 5 // 2, venue="hyperliquid", share=0.1)
    incidents = Incidents.of([strike], table, ["hyperliquid"])
    simulation = Simulation(
        market=table, venues=[both()], strategy=Script(start=SHORTS), capital_usd=10_000.0, entry="look_ahead",
        incidents=incidents,
    )  # fmt: skip
    (event,) = happened(simulation.run(), Deleveraged)
    assert (event.size, event.price, event.amount) == (50_000_000, 30_000.0, 2_000_000_000)
