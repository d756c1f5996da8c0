"""Formulas: one source for floats, arrays and exact fractions, and what is refused of it."""

from fractions import Fraction

import numpy as np
import pytest
from attrs import evolve, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from framework import USDC, Close, Liquidated, Open, Scenario, Side, Swap, assemble
from framework.books import Books, Projection
from framework.clock import NS_PER_DAY
from framework.errors import ScenarioError
from framework.formulas import choose, formula, formulas_of, greater, leaves, lesser, per_coin, program, ratio
from framework.market import PRICES, Market
from framework.money import token
from framework.venue import CASH, Dated, Venue, account, from_rules, price_of
from tests.markets import (
    START_NS,
    Script,
    asgard,
    collateral,
    dollar_market,
    drift,
    flat,
    happened,
    hyperliquid,
    market,
    play,
)
from venues.spot import Spot

NUMBERS = st.sampled_from([0.0, -0.0, 0.5, -2.0, 3.0, 1e-9, 7e12])


@formula
def worth(held, price):
    return held * price


@formula
def owed(loan):
    return -loan


@formula
def equity(worth, owed):
    return worth - owed


@formula
def health(equity, worth):
    return ratio(equity, worth)


@formula
def capped(health):
    return lesser(greater(health, 0), 1)


@formula
def short(held, capped):
    return choose(held < 0, -capped, capped)


LENDER = {each.function.__name__: each for each in (worth, owed, equity, health, capped, short)}
INPUTS = [("held", None), ("loan", None), ("price", None)]
ALL = [(name, None) for name in LENDER]


@given(st.lists(st.tuples(NUMBERS, NUMBERS, st.sampled_from([0.25, 100.0, 3.3])), min_size=1, max_size=9))
def test_one_source_is_read_on_floats_arrays_and_fractions(rows):
    """Floats and arrays agree to the bit; fractions are what the floats round."""
    run = program(LENDER, ALL, INPUTS, 0, "Lender")
    by_row = run(*map(np.array, zip(*rows, strict=True)))
    arrays = [np.broadcast_to(np.asarray(each, dtype=float), (len(rows),)) for each in by_row]
    for row, values in enumerate(rows):
        floats = run(*values)
        assert [float(each) for each in floats] == [each[row] for each in arrays]
        exact = run(*map(Fraction, values))
        assert all(isinstance(each, Fraction | int) for each in exact)
        assert [float(each) for each in exact[:1]] == pytest.approx(floats[:1])
    money = run(Fraction(1, 3), Fraction(-1, 7), Fraction(2))
    assert money[:4] == (Fraction(2, 3), Fraction(1, 7), Fraction(11, 21), Fraction(11, 14))


@pytest.mark.parametrize("kind", [float, Fraction, np.array])
def test_ratio_of_nothing_is_nothing(kind):
    """Where the denominator is 0 the ratio is, of whichever numbers."""
    assert ratio(kind(5), kind(0)) == 0
    assert ratio(kind(5), kind(4)) == 1.25
    assert (ratio(np.array([1.0, 2.0]), np.array([0.0, 4.0])) == [0.0, 0.5]).all()
    assert (ratio(1.0, np.array([0.0, 4.0])) == [0.0, 0.25]).all()
    assert (ratio(np.array([1.0, 2.0]), 0.0) == [0.0, 0.0]).all()


def test_a_formula_is_worked_out_once_and_only_if_it_is_needed():
    """Each after what it needs, whatever the order of their declaration."""
    calls = []

    def counted(name):
        def function(price):
            calls.append(name)
            return price

        return formula(function)

    formulas = {"total": formula(lambda left, right: left + right), "left": formula(lambda base: base + 1)}
    formulas |= {"right": formula(lambda base: base + 2), "base": counted("base"), "idle": counted("idle")}
    run = program(formulas, [("total", None), ("left", None)], [("price", None)], 0, "Own")
    assert run(10.0) == (23.0, 11.0)
    assert calls == ["base"]
    assert leaves(formulas) == ("price",)


def test_a_formula_of_the_account_gets_the_sum_over_the_coins():
    """And one per coin the value of its coin; what belongs to the account is the same for each."""
    formulas = {
        "worth": per_coin(lambda position, price: position * price),
        "size_of_coin": per_coin(lambda worth, leverage: abs(worth) / leverage),
        "equity": formula(lambda margin, worth: margin + worth),
        "needed": formula(lambda size_of_coin: size_of_coin),
        "share": per_coin(lambda worth, equity: worth / equity),
    }
    inputs = [("position", 0), ("position", 1), ("price", 0), ("price", 1), ("margin", None), ("leverage", None)]
    targets = [("equity", None), ("needed", None), ("share", 0), ("share", 1), ("worth", None)]
    run = program(formulas, targets, inputs, 2, "Cross")
    assert run(2.0, -3.0, 10.0, 5.0, 7.0, 5.0) == (12.0, 7.0, 20.0 / 12.0, -15.0 / 12.0, 5.0)


def test_without_coins_the_sum_over_them_is_nothing():
    formulas = {"worth": per_coin(lambda price: price), "equity": formula(lambda worth: worth)}
    assert program(formulas, [("equity", None)], [], 0, "Empty")() == (0.0,)


UNKNOWN = "Own.equity: unknown input 'margn'; expected one of equity, margin"
REFUSED = {
    "an unknown input": ({"equity": formula(lambda margn: margn)}, UNKNOWN),
    "an unknown input behind another": (
        {"equity": formula(lambda worth: worth), "worth": formula(lambda cion: cion)},
        "Own.worth: unknown input 'cion'; expected one of equity, margin, worth",
    ),
    "itself": ({"equity": formula(lambda equity: equity)}, "Own.equity: needs itself, by way of 'equity'"),
    "a cycle": (
        {"equity": formula(lambda a: a), "a": formula(lambda b: b), "b": formula(lambda a: a)},
        "Own.b: needs itself, by way of 'a'",
    ),
    "a formula that is not there": ({}, "Own.equity: unknown input 'equity'; expected one of margin"),
}


@pytest.mark.parametrize(("formulas", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_worked_out_is_refused(formulas, words):
    """One line, before anything runs."""
    with pytest.raises(ScenarioError) as refused:
        program(formulas, [("equity", None)], [("margin", None)], 0, "Own")
    assert str(refused.value) == words


def test_a_subclass_restates_a_formula_in_place():
    """The formulas of a class and of those above it, the last declaration of each."""

    class Above(Venue):
        equity = formula(lambda margin: margin)
        size = formula(lambda margin: margin)

    class Below(Above):
        equity = formula(lambda size: 2 * size)

    assert list(formulas_of(Below)) == ["equity", "size"]
    assert formulas_of(Below)["equity"].inputs == ("size",)
    assert formulas_of(Above)["equity"].inputs == ("margin",)


@frozen(kw_only=True)
class Keeps(Venue):
    """A venue that keeps a share of each coin's notional, where it has a rule for that."""

    name: str = "keeps"
    coin: tuple[str, ...] = ("SOL", "BTC")
    kept: dict | None = None

    held = account("Assets:{venue}:Coins", token, per_coin=True, position=True)

    @per_coin
    def notional(held, price):
        return held * price

    @formula
    def equity(notional):
        return notional

    @per_coin(when="kept")
    def stays(notional, kept):
        return notional * kept

    @formula(when="kept")
    def free(equity, stays):
        return equity - stays


def test_a_rule_by_coin_has_its_value_for_each_and_a_formula_may_need_it():
    """A tenth of SOL stays, and of BTC first a half and then nothing; without the rule there is no such formula."""
    half = Dated([START_NS, START_NS + NS_PER_DAY], [0.5, 0.0])
    market = Market(
        open_ns=(days := START_NS + np.arange(2) * NS_PER_DAY),
        at_ns=days + NS_PER_DAY - 1,
        columns={f"{coin}.{at}": [price] * 2 for coin, price in (("SOL", 10.0), ("BTC", 100.0)) for at in PRICES},
    )
    venue = Keeps(kept={"SOL": 0.1, "BTC": half})
    standing = Books(market, [venue]).standings["keeps"]
    assert standing.evaluate(("free",), lambda _: 1.0, row=0) == (110.0 - 1.0 - 50.0,)
    assert standing.evaluate(("free",), lambda _: 1.0)[0].tolist() == [59.0, 109.0]
    assert Keeps().formulas().keys() == {"notional", "equity"}
    assert not Books(market, [Keeps()]).standings["keeps"].has("free")


OURS = [asgard(), hyperliquid(coin=("SOL", "BTC")), drift(coin=("SOL", "BTC"), funding_apart=True), collateral()]


@pytest.mark.parametrize("venue", OURS, ids=lambda each: each.name)
@given(data=st.data())
@settings(max_examples=25)
def test_our_formulas_are_exact_on_fractions(venue, data):
    """What the audit works out in fractions is what runs on floats, to their rounding."""
    formulas = dict(venue.formulas())
    coins = len(venue.coins)
    inputs = []
    for name in leaves(formulas):
        by_coin = name in ("price", "mark", "oracle") or isinstance(venue.input(name), dict)
        inputs += [(name, index) for index in range(coins)] if by_coin else [(name, None)]
    targets = [(name, None) for name in formulas if name != "entry_price"]
    run = program(formulas, targets, inputs, coins, "Ours")
    values = data.draw(st.lists(st.integers(1, 10**9), min_size=len(inputs), max_size=len(inputs)))
    exact = run(*(Fraction(each, 1000) for each in values))
    floats = run(*(each / 1000 for each in values))
    arrays = run(*(np.array([each / 1000]) for each in values))
    for (name, _), one, other, array in zip(targets, exact, floats, arrays, strict=True):
        assert not isinstance(one, float), name
        assert float(np.asarray(array).reshape(-1)[0]) == other, name
        if not isinstance(one, bool):
            scale = sum(abs(each) for each in values) ** 2 / 1e6
            assert float(one) == pytest.approx(float(other), rel=1e-9, abs=1e-12 * scale), name


@frozen(kw_only=True)
class Terms:
    """What a lender sets."""

    most: float | Dated | None = None


@frozen(kw_only=True)
class Lends(Venue):
    """A venue whose least margin follows from three rules, of which one is a table by coin."""

    name: str = "lends"
    coin: tuple[str, ...] = ("SOL", "BTC")
    leverage: dict[str, float] | Dated | None = None
    cap: float | Dated | None = None
    terms: Terms | None = None

    least = from_rules(
        lambda leverage, cap: 1 / min(leverage or cap, cap or leverage), "leverage", "cap", per_coin=True
    )
    most = from_rules(lambda most: 1.0 if most is None else most, "terms.most")


def test_an_input_follows_from_rules_at_each_of_their_dates():
    """It begins with the last of them, changes with each, and ends with the first that ends."""
    leverage = Dated(["2025-01-01", "2025-03-01"], [{"SOL": 20.0, "BTC": 40.0}, {"SOL": 10.0, "BTC": 5.0}])
    cap = Dated(["2025-02-01", "2025-04-01"], [16.0, 4.0], "2025-05-01")
    made = Lends(leverage=leverage, cap=cap)
    dates = ["2025-02-01", "2025-03-01", "2025-04-01"]
    assert made.least == {
        "SOL": Dated(dates, [1 / 16, 1 / 10, 1 / 4], "2025-05-01"),
        "BTC": Dated(dates, [1 / 16, 1 / 5, 1 / 4], "2025-05-01"),
    }
    ended = Lends(leverage=leverage, cap=evolve(cap, until_ns="2025-04-02"), terms=Terms(most=0.5))
    assert ended.input("least")["SOL"].until_ns == Dated(["2025-04-02"], [0]).since_ns[0]
    assert Lends(leverage=leverage, cap=Dated(["2025-02-01"], [16.0], "2025-02-20")).least["SOL"].values == (1 / 16,)
    of_one = Lends(leverage={"SOL": Dated(["2025-01-01"], [2.0]), "BTC": 8.0})
    assert of_one.least == {"SOL": Dated(["2025-01-01"], [1 / 2]), "BTC": 1 / 8}


def test_an_input_of_rules_without_dates_is_a_number():
    """A rule that is not set is none, on the way to it as well; what depends on the input names the first that is."""
    both, one, neither = Lends(leverage={"SOL": 8.0, "BTC": 2.0}, cap=4.0), Lends(cap=4.0), Lends()
    assert both.least == {"SOL": 1 / 4, "BTC": 1 / 2}
    assert one.least == {"SOL": 1 / 4, "BTC": 1 / 4}
    assert [each.rule_behind("least") for each in (both, one, neither)] == ["leverage", "cap", "least"]
    assert [neither.most, evolve(neither, terms=Terms()).most, evolve(neither, terms=Terms(most=0.5)).most] == [
        1,
        1,
        0.5,
    ]
    assert evolve(neither, terms=Terms(most=0.5)).rule_behind("most") == "terms.most"
    with pytest.raises(ScenarioError, match=r"^lends.leverage: none of BTC; expected one of SOL$"):
        assert Lends(leverage={"SOL": 8.0}).least


@frozen(kw_only=True)
class Misspelt(Lends):
    """The same with the name of a rule that it does not have."""

    most = from_rules(lambda most: most, "terms.mots")


def test_an_input_of_a_rule_that_there_is_not_is_refused():
    """The class and the input are named; a path that ends before is none."""
    assert Misspelt().most is None
    with pytest.raises(
        ScenarioError, match=r"^Misspelt.most: 'Terms' object has no attribute 'mots'; expected rules of"
    ):
        assert Misspelt(terms=Terms()).most


@frozen(kw_only=True)
class Vault(Venue):
    """Coins under a limit that changes with time, priced by the mark and judged by the oracle."""

    name: str = "vault"
    coin: str = "SOL"
    limit: float | Dated = 0.0
    haircut: float | Dated = field(default=1.0)
    bonus: str | None = None

    held = account("Assets:{venue}:Coins", token, floor=True, position=True)
    traded = account("Equity:{venue}:Trading", token, bucket="execution")
    traded_usdc = account("Equity:{venue}:Trading", USDC, bucket="execution")
    extra = account("Assets:{venue}:Bonus", token, of="bonus", when="bonus")
    extra_price = price_of("bonus")

    @formula
    def size(held):
        return held

    @formula
    def equity(held, mark, haircut, extra, extra_price):
        return held * mark * haircut + extra * extra_price

    @formula
    def liquidated(size, oracle, limit):
        return (size > 0) & (oracle <= limit)

    def open(self, order, book):
        coins = self.held.asset.nearest(order.size)
        book.transfer(self.held, self.traded, coins, "trade")
        book.transfer(self.traded_usdc, CASH, USDC.nearest(order.size * book.price(self.coin)), "trade")

    def liquidate(self, book):
        coins = book[self.held]
        book.transfer(self.traded, self.held, coins, "trade")
        book.transfer(
            CASH, self.traded_usdc, USDC.nearest(self.held.asset.units(coins) * book.price(self.coin)), "trade"
        )


def with_columns(table, **columns):
    """A market with further columns; `_` in their names stands for a dot."""
    named = {name.replace("_", "."): np.asarray(column, dtype=float) for name, column in columns.items()}
    return Market(open_ns=table.open_ns, at_ns=table.at_ns, columns={**table.columns, **named})


LOAD = [Open("vault", Side.LONG, 10.0, 0.0)]


@pytest.mark.parametrize("rows_at_once", [None, 1, 2])
def test_a_dated_rule_holds_from_its_date(rows_at_once):
    """By row for what is judged over many, and at the instant for what a strategy sees."""
    limit = Dated(("2024-01-01", "2025-01-04"), (0.0, 101.0))
    haircut = Dated(("2025-01-01", "2025-01-03"), (1.0, 0.5))
    run = play(flat(6), [Vault(limit=limit, haircut=haircut)], Script(start=LOAD), rows_at_once=rows_at_once)
    (event,) = happened(run, Liquidated)
    assert event.at_ns == run.market.at_ns[3]
    assert run.curve.equity_usd_by_venue["vault"].tolist() == [1_000.0, 1_000.0, 500.0, 0.0, 0.0, 0.0]


def test_a_dated_rule_knows_its_dates():
    """A value for each instant and for each of many, none before the first; dates in their order."""
    rule = Dated(("2025-01-02", 1_735_948_800_000_000_000), (1.0, 2.0))
    table = flat(5)
    assert rule.by_row(table.at_ns[1:]).tolist() == [1.0, 1.0, 2.0, 2.0]
    assert [rule.at(int(at_ns)) for at_ns in table.at_ns[1:]] == [1.0, 1.0, 2.0, 2.0]
    with pytest.raises(ScenarioError, match="the rule begins at 2025-01-02; expected a market that begins no earlier"):
        rule.by_row(table.at_ns)
    with pytest.raises(ValueError, match="expected the dates of a rule in their order, each once"):
        Dated(("2025-01-02", "2025-01-02"), (1.0, 2.0))
    with pytest.raises(ValueError, match="at least one"):
        Dated((), ())
    with pytest.raises(ValueError, match="'soon'; expected a date such as 2025-01-31 or an instant in UTC"):
        Dated(("soon",), (1.0,))


def test_a_scenario_writes_a_rule_as_a_value_or_with_dates():
    """The same run where the dates change nothing, another where they do; each value is held to the rule's bounds."""
    table = {
        "name": "dated",
        "capital_usd": 1_000,
        "market": {"start": "2025-01-01", "end": "2025-01-05", "embedded": "sol_daily"},
        "strategy": {"class": "static", "long": "asgard", "short": "hyperliquid", "leverage": 2.0},
        "rulebook": {"class": "study"},
        "venues": {"asgard": {}, "hyperliquid": {}},
    }

    def run(fee):
        return assemble(Scenario.of({**table, "venues": {"asgard": {}, "hyperliquid": {"taker_fee_bps": fee}}}))

    plain, same, other = (
        run(fee).simulation().run().ledger.digest
        for fee in (3.5, [{"since": "2024-01-01", "value": 3.5}], [{"since": "2024-01-01", "value": 2.5}])
    )
    assert plain == same != other
    for fee, words in (
        ([{"since": "2024-01-01", "value": 1e6}], r"taker_fee_bps: 1000000.0; expected 0 to 10000 basis points"),
        ([{"since": "2024-01-01"}], r"expected a table with `since` and `value`"),
        ([], "at least one"),
    ):
        with pytest.raises(ScenarioError, match=words):
            run(fee)


def test_prices_by_role_fall_back_along_their_chain():
    """The oracle's is the mark's without one of its own, the mark's the price's."""
    table = market([100.0, 80.0, 120.0, 100.0])
    plain = play(table, [Vault(limit=81.0)], Script(start=LOAD))
    assert [each.at_ns for each in happened(plain, Liquidated)] == [table.at_ns[1]]
    marked = play(with_columns(table, SOL_mark=[100.0, 90.0, 70.0, 100.0]), [Vault(limit=81.0)], Script(start=LOAD))
    (event,) = happened(marked, Liquidated)
    assert (event.at_ns, event.price) == (table.at_ns[2], 120.0)
    assert marked.curve.equity_usd_by_venue["vault"].tolist() == [1_000.0, 900.0, 0.0, 0.0]
    judged = with_columns(table, SOL_mark=[100.0, 90.0, 70.0, 100.0], SOL_oracle=[100.0, 95.0, 95.0, 81.0])
    (event,) = happened(play(judged, [Vault(limit=81.0)], Script(start=LOAD)), Liquidated)
    assert event.at_ns == table.at_ns[3]
    wicked = {"SOL_oracle": [100.0, 95.0, 95.0, 95.0], "SOL_oracle_low": [90.0, 90.0, 60.0, 90.0]}
    (event,) = happened(play(with_columns(table, **wicked), [Vault(limit=81.0)], Script(start=LOAD)), Liquidated)
    assert event.at_ns == table.at_ns[2]


def test_an_account_that_a_venue_does_not_have_is_nothing():
    """A formula may name an account, and a price, that only some settings bring."""
    assert play(flat(2), [Vault()], Script(start=LOAD)).curve.equity_usd.tolist() == [10_000.0] * 2


def test_a_projection_is_the_state_of_each_of_its_rows():
    """Over rows in which nobody acts: the arrays are the numbers that a leg would show at each close, to the bit."""
    table = market([100.0, 104.0, 99.0, 110.0, 93.0], funding=1e-3, lending=0.4, borrowing=0.9)
    venues = [asgard(), hyperliquid()]
    seen = {}

    class Look(Script):
        def conditions(self):
            return (condition,)

        def on_event(self, event, view):
            for name in ("asgard", "hyperliquid"):
                leg = view.leg(name)
                found = (leg.size, leg.equity_usd, leg.notional_usd, leg.margin_usd, leg.delta)
                seen.setdefault(name, []).append(found)
            return ()

    class Every:
        def holds(self, stretch):
            for name, projection in stretch.projections.items():
                ahead[name] = projection
                assert isinstance(projection, Projection)
                arrays[name] = [
                    projection.size, projection.equity_usd, projection.notional_usd, projection.margin_usd,
                    projection.delta,
                ]  # fmt: skip
            return stretch.all_rows(True)

    condition, ahead, arrays = Every(), {}, {}
    opening = [Open("asgard", Side.LONG, 30.0, 1_500.0), Open("hyperliquid", Side.SHORT, 30.0, 1_500.0)]
    play(table, venues, Look(start=opening))
    for name, rows in seen.items():
        assert [tuple(each[row] for each in arrays[name]) for row in range(len(table))] == rows[: len(table)]


def test_several_coins_share_one_margin():
    """Each coin at its own prices; the account is judged on all of them, and a leg is found by its coin."""
    table = with_columns(
        market([100.0, 110.0, 100.0]),
        BTC_open=[1_000.0, 1_000.0, 900.0], BTC_high=[1_000.0, 1_000.0, 900.0], BTC_low=[1_000.0, 900.0, 900.0],
        BTC_close=[1_000.0, 900.0, 900.0], hyperliquid_BTC_funding=[0.0, 0.0, 0.01], hyperliquid_SOL_funding=[0.0] * 3,
    )  # fmt: skip
    table = Market(
        open_ns=table.open_ns, at_ns=table.at_ns,
        columns={name.replace("hyperliquid.funding.rate", "hyperliquid_funding_rate"): column
                 for name, column in table.columns.items()},
    )  # fmt: skip
    venue = hyperliquid(coin=("SOL", "BTC"))
    orders = [
        Open("hyperliquid", Side.LONG, 10.0, 500.0, coin="SOL"),
        Open("hyperliquid", Side.SHORT, 1.0, 500.0, coin="BTC"),
    ]
    legs = []

    class Look(Script):
        def on_event(self, event, view):
            legs.append([view.leg("hyperliquid", coin).size for coin in ("SOL", "BTC")] + [view.price("BTC")])
            return super().on_event(event, view)

    run = play(table, [venue], Look(start=orders, after={1: [Close("hyperliquid", coin="BTC")]}))
    assert run.curve.equity_usd.tolist() == [10_000.0, 10_200.0, 10_100.0]
    assert legs == [[10.0, -1.0, 900.0], [10.0, 0.0, 900.0]]
    books = Books(table, [venue])
    assert [each.name.split(":")[-1] for each in venue.position_accounts()] == ["SOL", "BTC"]
    assert books.coins == ("SOL", "BTC")


def test_a_spot_venue_holds_coins_of_several_kinds():
    """Bought and sold by name."""
    table = dollar_market([100.0, 100.0])
    run = play(table, [Spot(swap_fee_bps=0.0)], Script(start=[Swap("spot", "USDC", "SOL", 1_000.0)]))
    assert run.curve.size_by_venue["spot"].tolist() == [10.0, 10.0]
