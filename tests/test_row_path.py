"""Time within a row: where on the way between a row's known prices a venue acts, in which order, and at what price."""

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from framework import USDC, Acted, Liquidated, Market, Open, Penalty, Side
from framework.assembly import assemble
from framework.audit import audit
from framework.audit.history import History
from framework.audit.states import acts
from framework.books import Books
from framework.errors import LedgerError
from framework.formulas import formula
from framework.market import TICK_NS
from framework.money import token
from framework.rulebook.row_path import LAST_BIT, PATHS, Point, first_due
from framework.run_folder.archive import Folder
from framework.venue import CASH, Act, Venue, account
from tests.forgery import Forgery
from tests.markets import (
    START_NS,
    Script,
    asgard,
    collateral,
    dollar_market,
    flat,
    happened,
    hyperliquid,
    jito,
    market,
    play,
)
from tests.runs import run_and_save
from venues.jito import JITOSOL

FREE = Penalty("equity", 0.0)
ORDERED = ("open_high_low_close", "open_low_high_close")


def short(size=10.0, funds=500.0, venue="hyperliquid"):
    """A short at $100."""
    return Script(start=[Open(venue, Side.SHORT, size, funds)])


def rows(opened, low, high, close):
    """A row at 100, and the one that is given: it need not open where the first has closed."""
    table = flat(2)
    second = {"open": opened, "low": low, "high": high, "close": close}
    columns = {**table.columns, **{name: [100.0, price] for name, price in second.items()}}
    return Market(open_ns=table.open_ns, at_ns=table.at_ns, columns=columns)


def only(run, kind=Liquidated):
    (event,) = happened(run, kind)
    return event


DUE = 1500 / 10.5
"""Where a short of 10 at $100 on $500 has 5 % of its notional left: 500 - 10 (p - 100) = 0.05 * 10 p."""


@pytest.mark.parametrize("path", [each for each in PATHS if each != "close"])
def test_a_liquidation_happens_at_its_liquidation_price(path):
    """At the price at which the equity is the maintenance margin, the closed form, and not at the row's close."""
    event = only(play(rows(100, 90, 150, 110), [hyperliquid(liquidation_penalty=FREE)], short(), path=path))
    assert event.price == event.trigger_price == pytest.approx(DUE, rel=1e-15)
    assert event.liquidation_price == pytest.approx(DUE, rel=1e-14)
    assert event.equity == USDC.nearest(500 - 10 * (DUE - 100)) == USDC.nearest(0.05 * 10 * DUE)
    assert event.leverage == pytest.approx(20.0, rel=1e-12)


def test_by_default_it_happens_at_the_rows_close():
    """The study's rule: found at the high, executed at the close."""
    event = only(play(rows(100, 90, 150, 110), [hyperliquid(liquidation_penalty=FREE)], short()))
    assert (event.trigger_price, event.price, event.equity) == (150.0, 110.0, USDC.nearest(400))
    assert event.liquidation_price == pytest.approx(DUE, rel=1e-14)
    assert event.leverage == pytest.approx(1100 / 400)


@pytest.mark.parametrize("path", [each for each in PATHS if each != "close"])
def test_where_a_gap_opens_beyond_it_it_happens_at_the_open(path):
    """No price between was ever there."""
    event = only(play(rows(145, 140, 160, 150), [hyperliquid(liquidation_penalty=FREE)], short(), path=path))
    assert event.price == 145.0
    assert event.equity == USDC.nearest(50)


@pytest.mark.parametrize("path", PATHS)
def test_a_row_that_does_not_reach_it_leaves_the_position(path):
    """One tick below the liquidation price nothing happens."""
    run = play(rows(100, 90, 142.857, 110), [hyperliquid(liquidation_penalty=FREE)], short(), path=path)
    assert not happened(run, Liquidated)


def both_legs(path):
    """A long of 10 at 2x, due below 50 / 0.95 = 52.63, and a short of 10, due above 142.86, both reached in one row."""
    start = [
        Open("asgard", Side.LONG, 10.0, 500.0),
        Open("hyperliquid", Side.SHORT, 10.0, 500.0),
    ]
    venues = [asgard(liquidation_penalty=FREE), hyperliquid(liquidation_penalty=FREE)]
    run = play(rows(100, 40, 150, 110), venues, Script(start=start), path=path)
    return [(event.venue, event.price) for event in happened(run, Liquidated)]


LONG_DUE = 500 / 9.5


@pytest.mark.parametrize(
    ("path", "order"),
    [
        # 42.86 of the 50 to the high are 86 % of the way, 47.37 of the 60 to the low are 79 %
        ("adverse_first", ["asgard", "hyperliquid"]),
        ("open_high_low_close", ["hyperliquid", "asgard"]),
        ("open_low_high_close", ["asgard", "hyperliquid"]),
        ("close", ["asgard", "hyperliquid"]),
    ],
)
def test_two_legs_that_are_due_in_one_row_act_in_the_order_of_the_path(path, order):
    """Each at its own liquidation price, the one that is reached first before the other."""
    acted = both_legs(path)
    assert [venue for venue, _ in acted] == order
    if path != "close":
        assert dict(acted) == pytest.approx({"asgard": LONG_DUE, "hyperliquid": DUE}, rel=1e-14)


def coins_table():
    """Two coins that move against each other: SOL 100 to 150 and back, BTC 1000 to 700 and back."""
    open_ns = START_NS + np.arange(2) * 86_400 * 10**9
    columns = {
        "SOL.open": [100.0, 100.0], "SOL.high": [100.0, 150.0], "SOL.low": [100.0, 100.0], "SOL.close": [100.0, 110.0],
        "BTC.open": [1000.0, 1000.0], "BTC.high": [1000.0, 1000.0], "BTC.low": [1000.0, 700.0],
        "BTC.close": [1000.0, 900.0],
        "hyperliquid.SOL.funding": [0.0, 0.0], "hyperliquid.BTC.funding": [0.0, 0.0],
    }  # fmt: skip
    return Market(open_ns=open_ns, at_ns=open_ns + 86_400 * 10**9 - TICK_NS, columns=columns, coin="SOL")


PAIR = Script(
    start=[
        Open("hyperliquid", Side.SHORT, 10.0, 650.0, coin="SOL"),
        Open("hyperliquid", Side.LONG, 1.0, 0.0, coin="BTC"),
    ]
)


def test_coins_of_one_account_move_together():
    """Short 10 SOL and long 1 BTC on $650: 650 - 500 s - 300 s = 0.05 (1000 + 500 s + 1000 - 300 s) at the share s."""
    share = 550 / 810
    run = play(coins_table(), [hyperliquid(coin=("SOL", "BTC"), liquidation_penalty=FREE)], PAIR, path="adverse_first")
    event = only(run)
    equity = 650 - 800 * share
    assert event.price == pytest.approx(100 + 50 * share, rel=1e-14)
    assert event.equity == USDC.nearest(equity)
    assert equity == pytest.approx(0.05 * (2000 + 200 * share))
    assert run.curve.equity_usd[-1] == pytest.approx(10_000 - 800 * share, abs=2e-6)


def test_a_named_order_is_the_same_for_all_coins():
    """First both highs, where the long coin has lost nothing yet; then both lows, where the short coin has gained."""
    venue = hyperliquid(coin=("SOL", "BTC"), liquidation_penalty=FREE)
    high_first = play(coins_table(), [venue], PAIR, path="open_high_low_close")
    low_first = play(coins_table(), [venue], PAIR, path="open_low_high_close")
    assert not happened(high_first, Liquidated)  # 150 left at the highs, 350 at the lows; 125 and 85 are needed
    assert not happened(low_first, Liquidated)
    strict = hyperliquid(coin=("SOL", "BTC"), liquidation_penalty=FREE, maintenance_margin=0.1)
    event = only(play(coins_table(), [strict], PAIR, path="open_high_low_close"))
    share = (650 - 200) / (500 + 50)  # 650 - 500 s = 0.1 (2000 + 500 s)
    assert event.price == pytest.approx(100 + 50 * share, rel=1e-14)


@frozen(kw_only=True)
class Halving(Venue):
    """A long that sells a share of itself where its equity is at most the margin, as often as that is so."""

    name: str = "halving"
    coin: str = "SOL"
    share: float = 0.5
    margin: float = 0.2
    bounty: float = 0.0
    acts: tuple[Act, ...] = (Act("liquidated", "liquidate", prices="adverse", liquidation=True),)

    coins_held = account("Assets:{venue}:Coins", token, position=True)
    cash = account("Assets:{venue}:Cash", USDC)
    traded = account("Equity:{venue}:Trading", token, bucket="execution")
    traded_usdc = account("Equity:{venue}:Trading", USDC, bucket="execution")

    @formula
    def size(coins_held):
        return coins_held

    @formula
    def notional(size, mark):
        return size * mark

    @formula
    def equity(notional, cash):
        return notional + cash

    @formula
    def maintenance(notional, margin):
        return notional * margin

    @formula
    def liquidated(equity, maintenance, size):
        return (equity <= maintenance) & (size > 0)

    def open(self, order: Open, book: Books) -> None:
        size = self.coins_held.asset.nearest(order.size)
        book.transfer(self.coins_held, self.traded, size, "trade")
        book.transfer(self.cash, CASH, USDC.nearest(order.funds_usd), "deposit")
        book.transfer(self.traded_usdc, self.cash, USDC.nearest(order.size * book.price(self.coin)), "trade")

    def liquidate(self, book: Books) -> None:
        sold = max(1, round(book[self.coins_held] * self.share))
        book.transfer(self.traded, self.coins_held, sold, "trade")
        worth = USDC.nearest(self.coins_held.asset.units(sold) * book.price(self.coin) * (1 - self.bounty))
        book.transfer(self.cash, self.traded_usdc, worth, "trade")

    def grab(self, book: Books) -> None:
        """Take a dollar."""
        book.transfer(CASH, self.cash, USDC.exact(1), "grab")


LONG = Script(start=[Open("halving", Side.LONG, 10.0, 500.0)])


@pytest.mark.parametrize("path", ["adverse_first", *ORDERED])
def test_after_a_partial_liquidation_it_is_due_again_further_along(path):
    """10 p - 500 = 0.2 * 10 p at 62.5; with half sold at that price, again at three quarters of it, and so on."""
    run = play(rows(100, 40, 100, 90), [Halving()], LONG, path=path)
    assert [event.price for event in happened(run, Liquidated)] == pytest.approx([62.5, 62.5 * 0.75], rel=1e-9)
    assert [event.closed for event in happened(run, Liquidated)] == [False, False]
    assert len(happened(play(rows(100, 40, 100, 90), [Halving()], LONG), Liquidated)) == 1


def test_several_rounds_may_be_due_at_one_price():
    """A gap opens far below: it sells half again and again at the open, until 0.2 of what is left is covered."""
    run = play(rows(51, 51, 60, 55), [Halving()], LONG, path="adverse_first")
    prices = [event.price for event in happened(run, Liquidated)]
    held, cash, rounds = 10.0, -500.0, 0
    while 51 * held + cash <= 0.2 * 51 * held:
        held, cash, rounds = held / 2, cash + 51 * held / 2, rounds + 1
    assert prices == [51.0] * rounds
    assert rounds > 2


def test_an_act_that_never_ends_is_one_clear_line():
    """It sells next to nothing for nothing."""
    with pytest.raises(LedgerError) as complaint:
        play(rows(100, 40, 100, 90), [Halving(share=0.0, bounty=1.0)], LONG, path="adverse_first")
    words = "liquidate of halving is due again after 1000 times in row 2 (2025-01-02); expected an act after which "
    assert str(complaint.value) == f"{words}liquidated does not hold or nothing is held"


def test_an_act_that_trades_nothing_comes_once_in_a_row():
    """A penalty that leaves the position to the strategy is taken once, as after the row."""
    venue = asgard(liquidation_closes=False)
    run = play(
        rows(100, 40, 100, 90), [venue], Script(start=[Open("asgard", Side.LONG, 10.0, 500.0)]), path="adverse_first"
    )
    event = only(run)
    assert event.price == pytest.approx(LONG_DUE, rel=1e-14)
    assert event.penalty == pytest.approx(event.equity / 2, abs=1)


def test_another_act_has_the_prices_of_its_moment_too():
    """An act that is no liquidation is an `Acted` event, at the price at which its formula first held."""
    venue = Halving(acts=(Act("liquidated", "grab", prices="adverse"),))
    event = only(play(rows(100, 40, 100, 90), [venue], LONG, path="adverse_first"), Acted)
    assert (event.act, event.price) == ("liquidated", pytest.approx(62.5, rel=1e-14))


def test_an_act_at_the_close_keeps_its_price():
    """Where a formula is judged at closes there is no way to it."""
    venue = Halving(acts=(Act("liquidated", "grab"),))
    event = only(play(rows(100, 40, 100, 60), [venue], LONG, path="adverse_first"), Acted)
    assert event.price == 60.0


def with_oracle(**columns):
    """A row at 100 and one with a low of 40 and a close of 90, where the oracle is not the price."""
    table = rows(100, 40, 100, 90)
    return Market(open_ns=table.open_ns, at_ns=table.at_ns, columns={**table.columns, **columns}, coin="SOL")


def test_all_prices_of_a_coin_go_the_same_share_of_their_ways():
    """Judged at a mark from 100 to 60, it is due at 62.5, 15/16 of the way; the price is then 15/16 from 100 to 40."""
    table = with_oracle(**{"SOL.mark": [100.0, 95.0], "SOL.mark.low": [100.0, 60.0], "SOL.mark.high": [100.0, 100.0]})
    event = only(play(table, [Halving(share=1.0)], LONG, path="adverse_first"))
    assert event.trigger_price == pytest.approx(62.5, rel=1e-14)
    assert event.price == pytest.approx(100 - 60 * 15 / 16, rel=1e-14)
    assert event.closed


def test_a_mark_opens_where_it_closed():
    """There is no open of a mark: the way begins at its close of the row before."""
    table = with_oracle(**{"SOL.mark": [60.0, 70.0], "SOL.mark.low": [60.0, 50.0], "SOL.mark.high": [100.0, 100.0]})
    run = play(table, [Halving(share=1.0)], LONG, path="adverse_first", look_ahead_at_entry=False)
    event = only(run)
    assert (event.trigger_price, event.price) == (60.0, 100.0)
    assert table.opening("SOL", "oracle").tolist() == [100.0, 60.0]
    assert table.opening("SOL").tolist() == [100.0, 100.0]


@pytest.mark.parametrize(("share", "token"), [(0.0, 110.0), (0.5, 86.0), (1.0, 62.0)])
def test_a_token_without_extremes_goes_in_step_within_the_row(share, token):
    """From its own open of 110, to the share of its close of 124 that the low of 40 is of the close of 80."""
    table = dollar_market([100.0, 80.0], low=[100.0, 40.0], high=100.0, rate=[1.1, 1.55], first_rate=1.1)
    books = Books(table, [jito(), collateral()])
    books.settle(2)
    with books.within(Point(0, share, "open", "adverse"), books.standings["drift"]):
        assert books.price_of("SOL") == 100.0 - 60.0 * share
        assert books.price_of(JITOSOL) == pytest.approx(token, rel=1e-15)
        assert books.price_of(USDC) == 1.0
    assert books.price_of(JITOSOL) == pytest.approx(124.0)


@pytest.mark.parametrize(("corner", "token"), [("open", 110.0), ("low", 62.0), ("high", 155.0), ("close", 124.0)])
def test_formulas_have_a_token_in_step_at_each_corner(corner, token):
    """What a jitoSOL is worth as collateral where SOL is at its open of 100, low of 40, high of 100 and close of 80."""
    table = dollar_market([100.0, 80.0], low=[100.0, 40.0], high=100.0, rate=[1.1, 1.55], first_rate=1.1)
    venue = collateral()
    books = Books(table, [jito(), venue])
    books.begin(None, None)
    books.transfer(venue.held, venue.held_traded, JITOSOL.scale, "given")
    books.settle(2)
    with books.within(Point(0, 1.0, "open", corner), books.standings["drift"]):
        assert books.leg("drift").equity_usd == pytest.approx(token, rel=1e-15)


@given(
    size=st.floats(1.0, 100.0),
    leverage=st.floats(1.5, 15.0),
    opened=st.floats(95.0, 125.0),
    high=st.floats(0.0, 150.0),
    path=st.sampled_from([each for each in PATHS if each != "close"]),
)
def test_equity_at_a_liquidation_is_the_closed_form(size, leverage, opened, high, path):
    """Where the way crosses the closed liquidation price it acts at that, and its equity is what the formula says."""
    funds = USDC.units(USDC.nearest(100 * size / leverage))
    table = rows(opened, opened, opened + high, opened)
    run = play(table, [hyperliquid(liquidation_penalty=FREE)], short(size, funds), path=path)
    due = (funds + 100 * size) / (1.05 * size)
    if due > (opened + high) * (1 + 1e-9):
        assert not happened(run, Liquidated)
    elif due < (opened + high) * (1 - 1e-9):
        event = only(run)
        assert event.price == pytest.approx(max(due, opened), rel=1e-7)
        assert event.equity == pytest.approx(1e6 * (funds - size * (event.price - 100)), abs=2)
        assert opened <= event.price <= opened + high


@given(st.floats(0.0, 1.0), st.one_of(st.just(float("nan")), st.floats(-1.0, 2.0)))
def test_the_first_moment_does_not_depend_on_where_it_is_looked_for(bound, guess):
    """The first share at which it is due, to the last bit; the guess is for speed."""
    found = first_due("adverse_first", None, lambda point: point.share >= bound, lambda _: guess)
    assert found is not None
    assert bound <= found.share <= bound + LAST_BIT
    exact = first_due("adverse_first", None, lambda point: point.share >= bound, lambda _: bound)
    assert abs(exact.share - found.share) <= LAST_BIT


def test_a_search_goes_on_from_where_it_was():
    """From a point in the second way on; what was due before it is past."""
    since = Point(1, 0.25, "high", "low")
    assert first_due("open_high_low_close", since, lambda point: point.way == 0, lambda _: 0.5) is None
    assert first_due("open_high_low_close", since, lambda point: True, lambda _: 0.5) == since
    found = first_due("open_high_low_close", since, lambda point: point.way == 2 and point.share >= 0.5, lambda _: 0.5)
    assert (found.way, found.share, found.start, found.stop) == (2, 0.5, "low", "close")
    assert first_due("close", None, lambda _: True, lambda _: 0.0) is None


@pytest.mark.parametrize("path", ["adverse_first", *ORDERED])
def test_how_many_rows_are_watched_together_changes_nothing(path):
    """The same ledger and the same events row by row."""
    generator = np.random.default_rng(5)
    close = (100 * np.exp(np.cumsum(generator.normal(-0.01, 0.04, 120)))).tolist()
    opened = np.array(close[:1] + close[:-1])
    table = market(
        close, low=np.minimum(opened, close) * 0.95, high=np.maximum(opened, close) * 1.05, funding=1e-4, borrowing=0.1
    )
    again = {row: [Open("halving", Side.LONG, 5.0, 300.0)] for row in range(20, 100, 20)}
    strategy = Script(start=LONG.start, after=again)
    runs = [play(table, [Halving()], strategy, path=path, rows_at_once=count) for count in (None, 1, 7, 1000)]
    assert happened(runs[0], Liquidated)
    assert len({run.ledger.digest for run in runs}) == 1
    assert all(list(run.events) == list(runs[0].events) for run in runs)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_an_audit_finds_nothing_in_an_example_on_any_path(path, tmp_path):
    """Acts are made again at the moments of their path."""
    own = ["strategy.leverage=4", "strategy.trigger=never", f"rulebook.path={path}"]
    run, folder = run_and_save("capital_rebalance", tmp_path, own)
    assert happened(run, Liquidated)
    results = audit(Folder(folder), thorough=True)
    assert [(each.check, each.findings[:2], each.not_made) for each in results if not each.passed] == []


@pytest.mark.parametrize(("times", "words"), [(1 + 1e-7, "does not hold yet"), (1 - 1e-7, "holds already")])
def test_an_audit_works_out_the_price_of_a_liquidation_in_exact_fractions(times, words, saved, tmp_path):
    """The crash: a long is liquidated on the way down to the oracle's low, and no ten millionth above or below it."""
    _, folder = saved("crash")
    assembly = assemble(Folder(folder).scenario)
    forged = Forgery(folder, tmp_path / "forged")
    assert list(acts(assembly, History(Folder(forged.path), assembly))) == []
    at = forged.find("events", kind="Liquidated")
    forged.change("events", at, trigger_price=lambda price: price * times)
    (finding,) = acts(assembly, History(Folder(forged.path), assembly))
    assert words in finding.words
