"""Several coins on one account where they could be mixed up: columns, conditions, legs, collateral and summaries."""

import numpy as np
import pytest
from attrs import field, frozen

from framework import ConditionMet, Deposit, Market, MoveTokens, Open, Side, Strategy, Swap
from framework.accrual import column_of
from framework.books import check_columns
from framework.errors import MarketError, ScenarioError
from framework.events import Liquidated
from framework.money import perpetual
from framework.performance import metrics
from framework.strategy import DeltaBeyond, EveryRow, LiquidationNear
from framework.venue import USDC, account
from tests.markets import Script, collateral, dollar_market, flat, happened, hyperliquid, jito, play
from tests.test_coins import FLAT, FUNDING, SHORTS, both, coins_market
from venues.issuer import Issuer

# Columns


def test_a_coin_of_several_has_a_funding_rate_of_its_own():
    """The rate without a coin is that of the one coin of a venue, and no stand-in for BTC's."""
    columns = FLAT | {"hyperliquid.SOL.funding": [0.0] * 4, "hyperliquid_funding_rate": [0.01] * 4}
    with pytest.raises(MarketError, match=r"venue hyperliquid reads 'hyperliquid.BTC.funding', which no source gives"):
        check_columns([both()], coins_market(columns))
    with pytest.raises(MarketError, match=r"no column 'hyperliquid.BTC.funding'"):
        play(coins_market(columns), [both()], Script(start=SHORTS))


def test_a_coin_of_several_is_paid_funding_on_its_own_oracle():
    """An oracle without a coin is the price of another."""
    market = coins_market(FLAT | FUNDING | {"SOL.oracle": [100.0] * 4, "oracle": [100.0] * 4})
    paid = [column_of(market, each.price) for each in both(funding_price="oracle").accruals()]
    assert sorted(paid) == ["BTC.close", "SOL.oracle"]


def test_a_column_that_measures_something_else_is_refused_by_its_rule():
    """With the rule of the venue that names it, and the columns that would be right."""
    with pytest.raises(MarketError) as refused:
        check_columns([hyperliquid(funding_rate="close")], flat(3))
    assert str(refused.value) == (
        "venues.hyperliquid.funding_rate: 'close' has prices; expected a column of funding rates, such as "
        "hyperliquid_funding_rate, drift_funding_rate"
    )


# Legs


@frozen
class Looks(Strategy):
    """Gives its orders, and keeps the legs of a venue that it then sees."""

    orders: tuple
    venue: str = "hyperliquid"
    legs: dict = field(factory=dict)

    def on_start(self, view):
        yield from self.orders
        self.legs.update({coin: view.leg(self.venue, coin) for coin in (None, "SOL", "BTC")})

    def on_event(self, event, view):
        return ()


def test_the_leg_of_the_whole_account_mixes_no_coins():
    """Short of 100 SOL and 0.5 BTC: as 300 SOL, and there is no one price that was paid or would liquidate it."""
    looks = Looks(SHORTS)
    play(coins_market(FLAT | FUNDING), [both()], looks)
    whole = looks.legs[None]
    assert (whole.size, whole.delta, whole.notional_usd, whole.equity_usd) == (-300.0, -300.0, 30_000.0, 10_000.0)
    assert whole.tokens == 0.0
    assert np.isnan(whole.entry_price)
    assert np.isnan(whole.liquidation_price)
    assert [(looks.legs[coin].delta, looks.legs[coin].entry_price) for coin in ("SOL", "BTC")] == [
        (-100.0, 100.0), (-0.5, 40_000.0)
    ]  # fmt: skip


def test_the_leg_of_three_coins_mixes_none_either():
    """There is no one price that was paid for SOL and BTC, beside which there may be ETH."""
    more = {f"ETH.{name}": [2_000.0] * 4 for name in ("open", "high", "low", "close")}
    table = coins_market(FLAT | FUNDING | more | {"hyperliquid.ETH.funding": [0.0] * 4})
    looks = Looks(SHORTS)
    play(table, [hyperliquid(coin=("SOL", "BTC", "ETH"))], looks)
    assert looks.legs[None].size == -300.0
    assert np.isnan(looks.legs[None].entry_price)
    assert np.isnan(looks.legs[None].liquidation_price)


def test_the_leg_of_a_coin_is_liquidated_where_that_coin_alone_moves():
    """$10,000 carry 100 SOL and 0.5 BTC; each price is where equity is 5 % of the notional of both."""
    looks = Looks(SHORTS)
    play(coins_market(FLAT | FUNDING), [both(maintenance_margin=0.05)], looks)
    sol, btc = (looks.legs[coin].liquidation_price for coin in ("SOL", "BTC"))
    assert 10_000 - 100 * (sol - 100) == pytest.approx(0.05 * (100 * sol + 20_000))
    assert 10_000 - 0.5 * (btc - 40_000) == pytest.approx(0.05 * (10_000 + 0.5 * btc))


# Collateral


def tokens_and_coins(rows: int = 4) -> Market:
    """Days with jitoSOL beside SOL, and BTC."""
    plain = dollar_market([100.0] * rows)
    columns = dict(plain.columns)
    for name in ("open", "high", "low", "close"):
        columns[f"SOL.{name}"], columns[f"BTC.{name}"] = columns.pop(name), np.full(rows, 40_000.0)
    columns |= {f"drift.{coin}.funding": np.zeros(rows) for coin in ("SOL", "BTC")}
    return Market(open_ns=plain.open_ns, at_ns=plain.at_ns, columns=columns)


COLLATERAL = (
    Swap("jito", "USDC", "JITOSOL", 5_000.0),
    MoveTokens("jito", "drift", "JITOSOL", 50.0),
    Open("drift", Side.SHORT, 50.0, 1_000.0, coin="SOL"),
    Open("drift", Side.LONG, 0.1, 0.0, coin="BTC"),
)


def test_collateral_is_delta_of_the_market_s_coin():
    """50 jitoSOL hedge 50 SOL; what is left is the long of BTC, worth 40 SOL."""
    looks = Looks(COLLATERAL, "drift")
    run = play(tokens_and_coins(), [jito(), collateral(coin=("SOL", "BTC"))], looks)
    assert {coin: leg.delta for coin, leg in looks.legs.items()} == pytest.approx({None: 40.0, "SOL": 0.0, "BTC": 0.1})
    assert looks.legs["SOL"].tokens == 50.0
    assert run.curve.delta_by_coin["SOL"] == pytest.approx(0.0)
    assert run.curve.delta_by_coin["BTC"] == pytest.approx(0.1)
    assert run.curve.net_size == pytest.approx(40.0)


@pytest.mark.parametrize(("coin", "extreme"), [("BTC", "low"), ("SOL", "high")])
def test_a_coin_is_liquidated_at_the_price_that_its_leg_says(coin, extreme):
    """With jitoSOL as collateral, which goes with SOL: a long of BTC, a short of SOL; neither a billionth sooner."""
    orders = (*COLLATERAL[:2], Open("drift", Side.SHORT, 200.0, 1_000.0, coin="SOL"),
              Open("drift", Side.LONG, 0.4, 0.0, coin="BTC"))  # fmt: skip
    looks, venues = Looks(orders, "drift"), [jito(), collateral(coin=("SOL", "BTC"))]
    plain = tokens_and_coins()
    play(plain, venues, looks)
    price = looks.legs[coin].liquidation_price
    beyond = 1e-9 if extreme == "high" else -1e-9
    for factor, liquidated in ((1 - beyond, False), (1 + beyond, True)):
        prices = plain[f"{coin}.{extreme}"].copy()
        prices[2] = price * factor
        market = Market(open_ns=plain.open_ns, at_ns=plain.at_ns,
                        columns={**plain.columns, f"{coin}.{extreme}": prices})  # fmt: skip
        assert bool(happened(play(market, venues, Script(start=orders)), Liquidated)) is liquidated


# Conditions


@frozen
class Woken(Strategy):
    """Notes the rows after which one condition holds."""

    condition: object
    orders: tuple
    rows: list = field(factory=list)

    def conditions(self):
        return (self.condition,)

    def on_start(self, view):
        return self.orders

    def on_event(self, event, view):
        if isinstance(event, ConditionMet):
            self.rows.append(len(view.history("SOL.close", 99)) - 1)
        return ()


def woken(condition, market, venues, orders):
    """Those rows, the same whether rows are watched one at a time or together."""
    found = []
    for at_once in (1, None):
        strategy = Woken(condition, orders)
        play(market, venues, strategy, rows_at_once=at_once)
        found.append(strategy.rows)
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize(("coin", "rows"), [("BTC", [1]), ("SOL", [2])])
def test_a_coin_is_near_its_own_liquidation_price(coin, rows):
    """Short of 100 SOL and 0.5 BTC with $10,000: liquidation at 181 and 57,000, alone; highs come within 10 % of it."""
    highs = {"BTC.high": [40_000.0, 53_000.0, 40_000.0, 40_000.0], "SOL.high": [100.0, 100.0, 170.0, 100.0]}
    market = coins_market(FLAT | dict.fromkeys(FUNDING, [0.0] * 4) | highs)
    near = LiquidationNear("hyperliquid", 0.1, coin=coin)
    assert woken(near, market, [both(maintenance_margin=0.05)], SHORTS) == rows


@pytest.mark.parametrize(("coin", "rows"), [("BTC", [0, 1, 2, 3]), ("SOL", [])])
def test_a_hedge_is_judged_coin_by_coin(coin, rows):
    """50 jitoSOL hedge the short of 50 SOL, and nothing hedges the long of BTC."""
    venues = [jito(), collateral(coin=("SOL", "BTC"))]
    assert woken(DeltaBeyond("drift", 0.5, coin=coin), tokens_and_coins(), venues, COLLATERAL) == rows


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (LiquidationNear("hyperliquid", 0.1), "it names no coin; expected one of SOL, BTC"),
        (DeltaBeyond("hyperliquid", 0.1), "it names no coin; expected one of SOL, BTC"),
        (LiquidationNear("hyperliquid", 0.1, coin="ETH"), "unknown coin 'ETH'; expected one of SOL, BTC"),
    ],
)
def test_a_condition_names_its_coin_where_there_is_a_choice(condition, words):
    """Without one it would compare what is not alike."""
    with pytest.raises(ScenarioError, match=words):
        play(coins_market(FLAT | FUNDING), [both()], Woken(condition, SHORTS))


@frozen
class Sized(Strategy):
    """Reads back how large a venue's position was."""

    venue: str

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        return SHORTS

    def on_event(self, event, view):
        assert len(view.sizes(self.venue, 1)) <= 1
        return ()


def test_sizes_of_a_venue_with_several_coins_are_refused():
    """Two bitcoins and ten of another coin are not twelve of anything."""
    with pytest.raises(ScenarioError, match="hyperliquid has positions in SOL, BTC; expected a venue of one coin"):
        play(coins_market(FLAT | FUNDING), [both()], Sized("hyperliquid"))


def test_a_condition_on_a_venue_of_one_coin_looks_at_that_coin():
    """The account is in BTC alone, and BTC is not the first coin of the market."""
    highs = {"BTC.high": [40_000.0, 40_000.0, 50_000.0, 40_000.0], "SOL.high": [100.0, 999.0, 100.0, 100.0]}
    market = coins_market(FLAT | dict.fromkeys(FUNDING, [0.0] * 4) | highs)
    venues = [hyperliquid(coin="BTC", maintenance_margin=0.05)]
    orders = (Deposit("hyperliquid", 10_000.0), Open("hyperliquid", Side.SHORT, 0.5, 0.0))
    assert woken(LiquidationNear("hyperliquid", 0.2), market, venues, orders) == [2]


# Liquidations


def test_a_liquidation_tells_of_the_coin_of_which_most_was_held():
    """Long of 10 SOL and short of 0.5 BTC, which rises beyond what $5,000 bear; no sum of contracts of both."""
    highs = {"BTC.high": [40_000.0, 50_000.0, 40_000.0, 40_000.0]}
    market = coins_market(FLAT | dict.fromkeys(FUNDING, [0.0] * 4) | highs)
    orders = (Deposit("hyperliquid", 5_000.0), Open("hyperliquid", Side.LONG, 10.0, 0.0, coin="SOL"), SHORTS[2])
    (event,) = happened(play(market, [both(maintenance_margin=0.05)], Script(start=orders)), Liquidated)
    assert (event.side, event.size, event.closed) == (Side.SHORT, -perpetual("BTC").nearest(0.5), True)
    assert (event.trigger_price, event.price) == (50_000.0, 40_000.0)


# Summaries


def test_what_is_sold_short_is_counted_in_every_coin():
    """100 SOL and 0.5 BTC, worth 200 SOL."""
    run = play(coins_market(FLAT | FUNDING), [both()], Script(start=SHORTS))
    assert metrics(run)["short_units"] == 300.0


def test_the_fees_that_run_with_time_are_those_that_venues_declare():
    """An issuer whose account has another name."""

    @frozen(kw_only=True)
    class Manager(Issuer):
        maintenance_fee = account("Expenses:{venue}:Management", USDC)

    charged = []
    for kind in (Issuer, Manager):
        run = play(coins_market(FLAT | FUNDING), [both(), kind(maintenance_per_year=0.5)], Script(start=SHORTS))
        charged.append(metrics(run)["maintenance_fee_usd"])
    assert charged[0] == charged[1] > 0
