"""The basis strategy of another project in our books, the spot venue that it needs, and rows that come twice."""

import csv
import json
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from examples.basis.strategy import Basis, LeverageOutside
from framework import (
    CarrybookError,
    Close,
    Deposit,
    Ended,
    Liquidated,
    Open,
    OrderFilled,
    Penalty,
    Rejected,
    Resize,
    Scenario,
    Side,
    StillView,
    Swap,
    assemble,
    metrics,
    waterfall,
)
from framework.audit import audit
from framework.clock import NS_PER_HOUR, NS_PER_SECOND
from framework.command_line.cli import main
from framework.data.alignment import align
from framework.data.duplicates import settle
from framework.data.raw import Raw
from framework.data.readers import table
from framework.errors import MarketError, OrderRefused, ScenarioError
from framework.performance import summarize
from framework.run_folder.archive import Folder, save
from framework.venue import Leg
from tests.markets import Script, balance, flat, happened, hyperliquid, market, play
from venues.spot import Spot

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples/basis/scenario.toml"
FILE = "fractal_btc_hyperliquid.csv"
PUBLISHED = 1026647.9616150216
ONCE = "market.sources.rows.duplicates=once"


@pytest.fixture(scope="module")
def rows(market_data):
    """The rows of the file as text."""
    with (market_data / FILE).open() as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def assembled(market_data):
    return assemble(Scenario.load(EXAMPLE), market_data)


@pytest.fixture(scope="module")
def kept(assembled):
    return assembled.simulation().run()


@pytest.fixture(scope="module")
def once(market_data):
    return assemble(Scenario.load(EXAMPLE, [ONCE]), market_data).simulation().run()


def plain_loop(prices, rates, *, capital=1e6, fee=0.001, target=6.0, low=1.0, high=11.0):
    """The published rules as a loop over floats: net balance after each row in USD, and the leverage before acting."""
    share = target / (1 + target)
    coins, hedge, last = capital * share * (1 - fee) / prices[0], capital / (1 + target), prices[0]
    hedge -= coins * last * fee
    nets, leverages = [coins * last + hedge], []
    for price, rate in zip(prices[1:], rates[1:], strict=True):
        hedge += coins * (last - price) + coins * price * rate
        leverages.append(coins * price / hedge if hedge > 0 else np.inf)
        if not low <= leverages[-1] <= high:
            sold = coins * price - (hedge + coins * price) * share
            if sold > 0:
                hedge += sold * (1 - fee) - sold * fee
                coins -= sold / price
            else:
                bought = -sold * (1 - fee) / price
                hedge += sold - bought * price * fee
                coins += bought
        last = price
        nets.append(coins * price + hedge)
    return np.array(nets), np.array(leverages)


def loop_over(rows):
    """The same over rows of the file."""
    return plain_loop([float(row["SPOT_price"]) for row in rows], [float(row["HEDGE_funding_rate"]) for row in rows])[0]


# The published run


def test_the_rules_are_those_of_the_published_run(rows):
    """A loop over floats under the rules as we read them gives every published balance, to 1e-7 USD."""
    published = np.array([float(row["net_balance"]) for row in rows])
    assert len(rows) == 1100
    assert np.abs(loop_over(rows) - published).max() < 1e-7


def test_every_published_balance_comes_out_of_the_books(kept, rows):
    """All 1,100 balances: $0.05 are asked for, a ten-thousandth of a dollar is what integers leave."""
    published = np.array([float(row["net_balance"]) for row in rows])
    assert kept.curve.equity_usd.shape == published.shape
    assert np.abs(kept.curve.equity_usd - published).max() < 1e-4


def test_the_legs_are_the_published_ones(kept, rows):
    """Coins, contracts and the balance of each side after every row, to nine decimals and to a hundredth of a cent."""
    for venue, name, sign in (("spot", "SPOT_amount", 1), ("hyperliquid", "HEDGE_positions_0_amount", 1)):
        published = np.array([float(row[name]) for row in rows])
        assert np.abs(kept.curve.size_by_venue[venue] - sign * published).max() < 2e-9
    for venue, name in (("spot", "SPOT_balance"), ("hyperliquid", "HEDGE_balance")):
        published = np.array([float(row[name]) for row in rows])
        assert np.abs(kept.curve.equity_usd_by_venue[venue] - published).max() < 2e-4
    assert not kept.curve.net_size.any()


def test_the_final_balance_is_published(kept):
    """To the twentieth of a dollar that is asked for, and far below it."""
    assert metrics(kept)["final_equity_usd"] == pytest.approx(PUBLISHED, abs=1e-4)


def test_without_the_double_booking(once, kept, rows):
    """Each hour once is $36.83 less: the two payments, and what followed from them."""
    times = [row["timestamp"] for row in rows]
    single = [row for index, row in enumerate(rows) if row["timestamp"] not in times[:index]]
    assert len(single) == len(once.market) == 1098
    assert np.abs(once.curve.equity_usd - loop_over(single)).max() < 1e-4
    difference = waterfall(kept).result - waterfall(once).result
    assert float(difference) == pytest.approx(36.83, abs=0.005)
    doubled = [-float(rows[i]["HEDGE_positions_0_amount"]) * float(rows[i]["SPOT_price"]) * float(
        rows[i]["HEDGE_funding_rate"]) for i in (500, 1000)]  # fmt: skip
    assert [round(each, 2) for each in doubled] == [9.77, 26.90]
    assert float(difference) - sum(doubled) == pytest.approx(0.166, abs=0.001)


def test_the_doubled_hours_share_their_interval(kept, once, rows):
    """Half an hour each, in the order of the file; the whole market is as long as without them."""
    table_ = kept.market
    short = np.flatnonzero(table_.at_ns - table_.open_ns < 1_900 * NS_PER_SECOND)
    assert short.tolist() == [499, 500, 999, 1000]
    assert [table_.cell("close", int(index)) for index in short] == [f"{FILE}:{n}" for n in (501, 502, 1001, 1002)]
    assert table_.years.sum() == pytest.approx(once.market.years.sum(), rel=1e-14)
    assert "rows 502 and 1002 repeat the time of the row above: counted all the same" in table_.label
    assert "left out" in once.market.label


def test_nothing_is_unexplained(kept, once):
    """Exactly; and funding less fees is the whole result but for what rounding a trade leaves."""
    for run in (kept, once):
        falls = waterfall(run)
        assert falls.unexplained == 0
        assert falls.price_pnl == 0
        assert falls.result == falls.funding + falls.fees + falls.execution
        assert abs(falls.execution) < 1e-4


@pytest.mark.parametrize("rows_at_once", [1, 2, 37, 500])
def test_stretches_do_not_change_the_books(assembled, kept, rows_at_once):
    """Settled row by row or in any stretches: the same digest."""
    assert assembled.simulation(rows_at_once).run().ledger.digest == kept.ledger.digest


@pytest.mark.parametrize("duplicates", ["keep", "once"])
def test_the_audit_finds_nothing(market_data, tmp_path, capsys, monkeypatch, duplicates):
    """All checks, the thorough ones among them, on the saved folder."""
    monkeypatch.chdir(ROOT)
    command = ["run", str(EXAMPLE), "--data", str(market_data), "--out", str(tmp_path), "--json"]
    with pytest.raises(SystemExit):
        main([*command, "--set", f"market.sources.rows.duplicates={duplicates}"])
    folder = Path(json.loads(capsys.readouterr().out)["run"])
    results = audit(Folder(folder), market_data, thorough=True)
    assert len(results) > 20
    assert [(each.check, each.findings) for each in results if not each.passed] == []
    text = (folder / "scenario.toml").read_text()
    (folder / "scenario.toml").write_text(text.replace("swap_fee_bps = 10.0", "swap_fee_bps = 10.1"))
    found = {each.check: each.count for each in audit(Folder(folder), market_data, thorough=True)}
    assert found["orders"] >= 3  # those with a fee of the spot venue, and what the strategy sizes by it


def test_the_audit_compares_the_coins(assembled, kept, market_data, tmp_path):
    """A curve whose coins are not those of the ledger is found, with its row."""
    folder = save(assembled, kept, summarize(assembled, kept), tmp_path)
    curve = pq.read_table(folder / "equity.parquet")
    sizes = curve["spot_size"].to_numpy().copy()
    sizes[41] += 1e-9
    place = curve.column_names.index("spot_size")
    pq.write_table(curve.set_column(place, "spot_size", pa.array(sizes)), folder / "equity.parquet")
    (found,) = [each for each in audit(Folder(folder), market_data, thorough=True) if each.check == "states"]
    assert found.findings[0].place == "row 41 (2024-01-02 16:00)"
    words = "spot_size of the curve is 18.725968328; the balances make 18.725968327"
    assert words in found.findings[0].words


def test_without_data_the_example_says_what_it_needs(capsys, monkeypatch, tmp_path):
    """One line that names the option and the file."""
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as exit_:
        main(["run", str(EXAMPLE), "--out", str(tmp_path / "runs")])
    said = capsys.readouterr()
    assert (exit_.value.code, said.out) == (2, "")
    assert said.err == f"carrybook: market.embedded: none; expected --data DIR with {FILE}\n"
    assert not (tmp_path / "runs").exists()


def test_by_default_the_file_is_refused(market_data):
    """The line names both doubled times."""
    scenario = Scenario.load(EXAMPLE, ["market.sources.rows.duplicates=refuse"])
    words = (
        f"{FILE}, row 502: duplicate timestamp 2024-01-21T19:00:00\\+00:00, the same as row 501; "
        "row 1002 repeats a time as well; expected each once, or duplicates = once or keep"
    )
    with pytest.raises(MarketError, match=words):
        assemble(scenario, market_data)


def test_the_figures_of_the_readme(kept, once):
    """The page says what the runs give."""
    page = (EXAMPLE.parent / "README.md").read_text()
    closing = 0.002 * kept.curve.equity_usd_by_venue["spot"][-1]
    cuts = [happened(run, OrderFilled)[-1].amount / 1e6 for run in (once, kept)]
    fees = float(waterfall(kept).fees - waterfall(once).fees)
    funding = float(waterfall(kept).funding - waterfall(once).funding) - 9.765873 - 26.896348
    finals = [metrics(run)["final_equity_usd"] for run in (kept, once)]
    for amount in (PUBLISHED, *finals, finals[0] - finals[1], closing, cuts[0] - cuts[1], fees, funding):
        assert f"${amount:,.2f}" in page


# The strategy by itself

BASIS = Basis(long="spot", short="hyperliquid", coin="BTC", target=4.0, low=1.5, high=9.0)
FREE = (Spot(coin="BTC", swap_fee_bps=0.0), hyperliquid(coin="BTC", maintenance_margin=0.01))


def test_it_starts_with_both_legs():
    """Four fifths into coins; whatever is left backs the short, of as many coins as there are then."""
    orders = BASIS.on_start(StillView(price=100.0, cash_usd=10_000.0))
    assert next(orders) == Swap("spot", "USDC", "BTC", 8_000.0)


def test_a_price_that_rises_sells_coins():
    """Above 9: the share of the coins is four fifths again, and both legs have as many."""
    run = play(market([100.0, 109.0, 113.0, 113.0]), FREE, BASIS)
    fills = [(each.order, each.size) for each in happened(run, OrderFilled)]
    coins = 10_000 * 0.8 / 113
    assert [order for order, _ in fills] == ["swap", "open", "swap", "deposit", "resize"]
    assert run.curve.size_by_venue["spot"][-1] == pytest.approx(coins, abs=1e-9)
    assert run.curve.size_by_venue["hyperliquid"].tolist() == (-run.curve.size_by_venue["spot"]).tolist()
    assert run.curve.equity_usd[-1] == pytest.approx(10_000.0, abs=1e-5)


def test_a_price_that_falls_buys_coins():
    """Below 1.5: money comes out of the short's account first, and everything in the wallet is spent."""
    run = play(market([100.0, 80.0, 70.0, 70.0]), FREE, BASIS)
    assert [each.order for each in happened(run, OrderFilled)] == [
        "swap", "open", "withdrawal", "swap", "resize",
    ]  # fmt: skip
    assert run.curve.size_by_venue["spot"][-1] == pytest.approx(10_000 * 0.8 / 70, abs=1e-9)
    assert run.curve.net_size.tolist() == [0.0] * 4
    assert run.curve.cash_usd[-1] == 0


def test_within_the_band_nothing_happens():
    """At the limits themselves, 9 and 1.5, neither."""
    run = play(market([100.0, 112.5, 75.0]), FREE, BASIS)
    assert len(happened(run, OrderFilled)) == 2


def test_a_liquidated_short_is_opened_anew():
    """What is left is coins alone: a fifth of them is sold to back the next short."""
    venues = (FREE[0], hyperliquid(coin="BTC", maintenance_margin=0.01, liquidation_penalty=Penalty("equity", 1.0)))
    run = play(market([100.0, 124.0, 124.0]), venues, BASIS)
    (liquidated,) = happened(run, Liquidated)
    left_usd = 80 * 124.0
    assert liquidated.penalty == liquidated.equity == 80 * 10**6
    assert run.curve.equity_usd[-1] == pytest.approx(left_usd, abs=1e-5)
    assert run.curve.size_by_venue["hyperliquid"][-1] == pytest.approx(-left_usd * 0.8 / 124, abs=1e-9)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-0.12, 0.12), st.floats(-1e-3, 1e-3)), min_size=1, max_size=60),
    st.just(0.0) | st.floats(0.01, 50.0),
    st.integers(1, 60),
)
def test_the_books_follow_the_rules_on_any_path(steps, fee_bps, rows_at_once):
    """Every balance is the plain loop's, the legs are equal, nothing is unexplained, and stretches change nothing."""
    prices = 50_000 * np.cumprod([1.0, *(1 + move for move, _ in steps)])
    rates = [0.0, *(rate for _, rate in steps)]
    nets, leverages = plain_loop(prices, rates, fee=fee_bps / 10_000, low=3.0)
    assume(leverages.max() < 95 and (np.abs(leverages[:, None] - [3, 11]) > 1e-6).all())
    venues = [
        Spot(coin="BTC", swap_fee_bps=fee_bps),
        hyperliquid(coin="BTC", taker_fee_bps=fee_bps, maintenance_margin=0.01),
    ]
    table_ = market(prices.tolist(), funding=rates)
    strategy = Basis(long="spot", short="hyperliquid", coin="BTC", target=6.0, low=3.0, high=11.0)
    options = {"capital_usd": 1e6, "look_ahead_at_entry": False}
    run = play(table_, venues, strategy, **options)
    assert np.abs(run.curve.equity_usd - nets).max() < 1e-3
    assert not run.curve.net_size.any()
    assert waterfall(run).unexplained == 0
    assert play(table_, venues, strategy, rows_at_once=rows_at_once, **options).ledger.digest == run.ledger.digest


def test_its_condition_is_never_true_without_a_position():
    """Neither before the venue holds anything nor with money alone."""
    script = Script(start=[Deposit("hyperliquid", 1_000.0)])
    outside = LeverageOutside("hyperliquid", 1.0, 11.0)

    class Watching(Script):
        def conditions(self):
            return (outside,)

        def on_event(self, event, view):
            assert type(event).__name__ == "Ended"
            return ()

    assert len(happened(play(flat(3), FREE, Watching()), OrderFilled)) == 0
    assert len(happened(play(flat(3), FREE, Watching(start=script.start)), OrderFilled)) == 1


@pytest.mark.parametrize(("low", "high"), [(5.0, 8.0), (1.0, 4.0), (1.0, 3.0)])
def test_a_band_that_lacks_its_target_is_refused(low, high):
    """In the words that a scenario's user sees."""
    keys = [f"strategy.low={low}", f"strategy.high={high}", "strategy.target=4"]
    with pytest.raises(ScenarioError, match=r"strategy.high: .*; expected above the target of 4, and 'low' below it"):
        assemble(Scenario.load(EXAMPLE, keys), market=flat(2))


def test_a_penalty_is_at_most_everything():
    """All of the equity may be taken, and no more."""
    key = "venues.hyperliquid.liquidation_penalty.fraction"
    with pytest.raises(ScenarioError, match=rf"{key}: 1.01; expected <= 1"):
        assemble(Scenario.load(EXAMPLE, [f"{key}=1.01"]), market=flat(2))


# The spot venue


@given(st.integers(1, 10**13), st.floats(0.01, 1e6), st.just(0.0) | st.floats(0.01, 100.0))
def test_a_purchase_and_its_fee(spent, price, fee_bps):
    """Fee and price of the coins are what was spent, to the unit; the coins are the nearest to their price."""
    venue = Spot(coin="BTC", swap_fee_bps=fee_bps)
    run = play(
        flat(2, price), [venue], Script(start=[Swap("spot", "USDC", "BTC", spent / 1e6)]), capital_usd=10_000_000.0
    )
    fee = round(spent / 1e6 * fee_bps / 10_000 * 1e6)
    assert balance(run, "Expenses:Spot:SwapFee") == pytest.approx(fee, abs=1)
    paid = balance(run, "Equity:Spot:Trading") + balance(run, "Expenses:Spot:SwapFee")
    assert paid == 10**13 - balance(run, "Assets:Wallet:Cash") == spent
    coins = balance(run, "Assets:Spot:Coins", "BTC")
    assert coins == -balance(run, "Equity:Spot:Trading", "BTC")
    exact = (spent - balance(run, "Expenses:Spot:SwapFee")) / 1e6 / price * 1e9
    assert coins == pytest.approx(exact, abs=0.5 + 1e-12 * exact)
    assert waterfall(run).unexplained == 0


def test_there_and_back():
    """Buying and selling at one price costs the fee twice: 1 - (1 - f)^2 of what was spent."""
    orders = [Swap("spot", "USDC", "BTC", 10_000.0), Close("spot", "enough")]
    run = play(
        flat(3, 50_000.0), [Spot(coin="BTC", swap_fee_bps=10.0)], Script(start=orders[:1], after={1: orders[1:]})
    )
    assert balance(run, "Assets:Wallet:Cash") == 10_000 * 999 * 999
    assert balance(run, "Assets:Spot:Coins", "BTC") == 0
    assert [each.reason for each in happened(run, OrderFilled)] == ["", "enough"]
    assert waterfall(run).fees == -waterfall(run).result.copy_abs()


def test_coins_move_with_the_price_and_earn_nothing():
    """Equity is coins x close, leverage 1, and no row settles anything."""
    run = play(
        market([100.0, 90.0, 150.0]),
        [Spot(swap_fee_bps=0.0)],
        Script(start=[Swap("spot", "USDC", "SOL", 10_000.0)]),
    )
    assert run.curve.equity_usd.tolist() == [10_000.0, 9_000.0, 15_000.0]
    assert run.curve.delta_by_venue["spot"].tolist() == [100.0] * 3
    assert len(run.ledger) == 3
    assert float(waterfall(run).price_pnl) == 5_000.0
    leg = Leg(2.0, 300.0, 300.0)
    assert leg.leverage == 1


def test_closing_with_nothing_held_is_harmless():
    """As at every venue: nothing is posted."""
    run = play(flat(2), [Spot(swap_fee_bps=10.0)], Script(start=[Close("spot")]))
    assert not happened(run, OrderFilled)


REFUSED = {
    "an opening": (Open("spot", Side.LONG, 1.0, 100.0), "expected Swap or Close"),
    "a resize": (Resize("spot", 1.0), "expected Swap or Close"),
    "another coin": (Swap("spot", "USDC", "BTC", 1.0), "buy is 'BTC'; expected one of USDC, SOL"),
    "the same": (Swap("spot", "SOL", "SOL", 1.0), "buy is 'SOL'; expected another asset than is sold"),
    "nothing": (Swap("spot", "USDC", "SOL", 0.0), "amount is 0; expected a finite number above 0"),
    "less than nothing": (Swap("spot", "SOL", "USDC", -1.0), "amount is -1; expected a finite number above 0"),
    "no number": (Swap("spot", "USDC", "SOL", "all"), "amount is 'all'; expected a finite number above 0"),
    "not a number": (Swap("spot", "USDC", "SOL", float("nan")), "amount is nan; expected a finite number above 0"),
    "a deposit": (Deposit("spot", 1.0), "it takes no deposits; expected a venue that does"),
}


@pytest.mark.parametrize(("order", "words"), REFUSED.values(), ids=REFUSED)
def test_refusals(order, words):
    """Each names what would be right, and is one line."""
    with pytest.raises(OrderRefused, match=words) as refused:
        play(flat(2), [Spot(swap_fee_bps=10.0)], Script(start=[order]))
    assert "\n" not in str(refused.value)
    assert "in row 1" in str(refused.value)


REJECTED = {
    "more than there is": (
        Swap("spot", "USDC", "SOL", 10_000.01),
        "Assets:Wallet:Cash holds 10000.000000 USDC and would fall to -0.010000 USDC; expected 0 or more",
    ),
    "coins that are not there": (
        Swap("spot", "SOL", "USDC", 1.0),
        "Assets:Spot:Coins holds 0.000000000 SOL and would fall to -1.000000000 SOL; expected 0 or more",
    ),
}


@pytest.mark.parametrize(("order", "reason"), REJECTED.values(), ids=REJECTED)
def test_rejections(order, reason):
    """An order beyond what there is leaves its reason in the log, nothing in the books, and the run goes on."""
    run = play(flat(2), [Spot(swap_fee_bps=10.0)], Script(start=[order]))
    (rejected,) = happened(run, Rejected)
    assert (rejected.order, rejected.reason) == (str(order), reason)
    assert [transfer.kind for transfer in run.ledger] == ["capital"]
    assert happened(run, Ended)


@pytest.mark.parametrize("bps", [-1.0, 10_000.5])
def test_a_fee_below_zero_or_above_the_whole_is_refused(bps):
    """The key is named."""
    with pytest.raises(ScenarioError, match=rf"venues.spot.swap_fee_bps: {bps}; expected 0 to 10000 basis points"):
        assemble(Scenario.load(EXAMPLE, [f"venues.spot.swap_fee_bps={bps}"]), market=flat(2))


# Rows that come twice


def raw(*lines):
    return Raw("rows.csv", "", "\n".join(["time,close,rate", *lines]).encode())


HOURS = ["2025-01-01T00:00Z,100,1", "2025-01-01T01:00Z,101,2", "2025-01-01T01:00Z,101,2", "2025-01-01T02:00Z,102,3"]
PRICES = {"open": "close", "high": "close", "low": "close", "close": "close", "rate": "rate"}
DAY = date(2025, 1, 1)


def test_once_leaves_out_what_is_said_again():
    """Rows of one time that agree count once, and the rest keeps its place in the file."""
    series = table(raw(*HOURS), interval="1h", duplicates="once")
    assert series.row.tolist() == [2, 3, 5]
    assert series.columns["rate"].tolist() == [1, 2, 3]
    assert series.note == "rows.csv, row 4 repeats the time of the row above: left out"


def test_once_refuses_rows_that_contradict_each_other():
    """The line names both."""
    lines = [*HOURS[:2], "2025-01-01T01:00Z,101,7"]
    with pytest.raises(MarketError, match=r"row 4: another value than in row 3, which has the same time; expected the"):
        table(raw(*lines), interval="1h", duplicates="once")


def test_kept_rows_follow_each_other_within_their_interval():
    """Three rows of an hour are 20 minutes each; the next hour is whole."""
    lines = [*HOURS[:3], "2025-01-01T01:00Z,104,9", HOURS[3]]
    table_ = align([table(raw(*lines), interval="1h", columns=PRICES, duplicates="keep")], start=DAY, end=DAY)
    minutes = (table_.at_ns + 10**6 - table_.open_ns) / 60 / NS_PER_SECOND
    assert minutes.tolist() == [60, 20, 20, 20, 60]
    assert table_["rate"].tolist() == [1, 2, 2, 9, 3]
    assert (table_.open_ns[1:] == table_.at_ns[:-1] + 10**6).all()


def test_kept_payments_are_all_paid():
    """Without an interval the samples of one time fall into one row: sums have all of them, levels the last."""
    prices = table(raw(*HOURS[:2], HOURS[3]), interval="1h", columns=dict(list(PRICES.items())[:4]))
    twice = [*HOURS[:3], "2025-01-01T01:00Z,104,9"]
    for joining, expected in (("sum", 13.0), ("last", 9.0)):
        paid = table(raw(*twice), columns={"rate": "rate"}, joining=joining, duplicates="keep")
        table_ = align([prices, paid], start=DAY, end=DAY)
        assert table_["rate"].tolist() == [1, expected]


def test_unsorted_rows_are_refused_whatever_is_asked():
    """A time that comes again later is no duplicate but disorder."""
    for duplicates in ("refuse", "once", "keep"):
        with pytest.raises(MarketError, match=r"unsorted"):
            table(raw(HOURS[0], HOURS[1], HOURS[0]), interval="1h", duplicates=duplicates)


def test_all_rows_that_repeat_a_time_are_named():
    """The first in full, the others by their number."""
    lines = [HOURS[0], HOURS[0], HOURS[0], HOURS[1], HOURS[2]]
    words = r"row 3: duplicate timestamp .*, the same as row 2; rows 4 and 6 repeat a time as well; expected each once"
    with pytest.raises(MarketError, match=words):
        table(raw(*lines), interval="1h")


def test_an_unknown_rule_is_refused():
    """By the reader, and by a scenario with the key."""
    with pytest.raises(MarketError, match=r"duplicates 'drop'; expected one of refuse, once, keep"):
        table(raw(*HOURS), duplicates="drop")
    with pytest.raises(ScenarioError, match=r"market.sources.rows.duplicates: 'drop'; expected"):
        Scenario.load(EXAMPLE, ["market.sources.rows.duplicates=drop"])


def test_only_tables_take_the_key(study_data):
    """Other readers know their venue's format, in which no time comes twice."""
    keys = ["market.sources.prices.duplicates=keep"]
    scenario = Scenario.load(ROOT / "examples/static/scenario.toml", keys)
    with pytest.raises(
        CarrybookError, match=r"market.sources.prices.duplicates: reader 'hyperliquid_candles' takes no"
    ):
        assemble(scenario, study_data)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8))
def test_kept_rows_tile_time(counts):
    """Whatever comes how often: rows follow each other without a gap or an overlap, and none is lost."""
    times = np.repeat(np.arange(len(counts)) * NS_PER_HOUR, counts)
    number = np.arange(2, len(times) + 2)
    settled = settle("rows.csv", times, number, np.zeros((len(times), 1)), rule="keep", span_ns=NS_PER_HOUR)
    spans = NS_PER_HOUR // settled.parts
    ends = settled.time_ns + spans
    assert settled.row.tolist() == number.tolist()
    assert (ends[:-1] <= settled.time_ns[1:]).all()
    assert (settled.time_ns[1:] - ends[:-1] < 4).all()
    assert bool(settled.note) == (max(counts) > 1)
