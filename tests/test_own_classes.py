"""Conditions and venues of one's own, with mistakes in them: one line with file, line, method and rows."""

import pytest
from attrs import Factory, evolve, fields_dict, frozen

from framework import ConditionMet, EveryRow, LeverageAbove, Open, Resize, Scenario, Side, Strategy, assemble
from framework.errors import ScenarioError
from framework.events import Rejected
from framework.support.mistakes import mistakes_told
from tests.conftest import ROOT
from tests.markets import flat, hyperliquid
from venues.at_cost import AtCost
from venues.hyperliquid import Hyperliquid

HEAD = """import numpy as np; from datetime import date
from attrs import field, frozen
from framework import *
from framework.accrual import Accrual, Computed
from framework.venue import CASH, Act, Bridge, Venue, account, basis_points, formula, per_coin
from venues.spot import Spot


"""
STRATEGY = """@frozen(kw_only=True)
class Own(Strategy):
    def conditions(self):
        return (Above(),)

    def on_start(self, view):
        yield Swap("own", "USDC", "SOL", 500.0)

    def on_event(self, event, view):
        if isinstance(event, Ended):
            yield Close("own")
"""
CONDITION = """@frozen
class Above:
    limit: float = 1.0

    def holds(self, stretch):
        {holds}
{more}

"""
VENUE = """@frozen(kw_only=True)
class Market(Spot):
    {method}
        {body}


"""
SCENARIO = """
name = "own"
capital_usd = 1_000
[market]
start = 2025-01-01
end = 2025-02-01
embedded = "sol_daily"
[strategy]
class = "MODULE:Own"
[venues.own]
class = "MODULE:Market"
swap_fee_bps = 0
"""
NOTHING = "return np.zeros(len(stretch), dtype=bool)"
ALWAYS = "return np.ones(len(stretch), dtype=bool)"
WHOLE = "rows 2 to 32 (2025-01-02 to 2025-02-01)"


def condition(holds=NOTHING, more=""):
    """A module whose condition has this body, and whose venue is right; the body is line 14."""
    return HEAD + CONDITION.format(holds=holds, more=more) + VENUE.format(method="taken: int = 0", body="") + STRATEGY


def venue(method, body="return 1 / 0"):
    """A module whose venue has this method, and whose condition is right; the body is line 20."""
    return HEAD + CONDITION.format(holds=NOTHING, more="") + VENUE.format(method=f"def {method}:", body=body) + STRATEGY


def rule(name, body="return 1 / 0", *, kind="formula", more=""):
    """A module whose venue has this formula; the body is line 21."""
    code = VENUE.format(method=f"@{kind}\n    def {name}:", body=f"{body}{more}")
    return HEAD + CONDITION.format(holds=NOTHING, more="") + code + STRATEGY


def computed(answer):
    """A module whose venue works out an accrual itself, and answers with this for each segment."""
    accrual = (
        "def made(segment):\n"
        f"            return {answer}\n"
        "        yield Accrual(debit=self.swap_fee, credit=self.traded_usdc, kind='fee', event=FeeAccrued, "
        "on=self.swap_fee, basis='simple', rate='', compute=made)"
    )
    return venue("accruals(self)", accrual)


MISTAKES = {
    "a mistake in holds": (
        condition("return 1 / 0"),
        "MODULE.py, line 14, in holds, row 1 (2025-01-01): ZeroDivisionError: division by zero",
    ),
    "a misspelt method": (
        condition("return stretch.colum('close') > self.limit"),
        "MODULE.py, line 14, in holds, row 1 (2025-01-01): AttributeError: 'Stretch' object has no attribute 'colum';",
    ),
    "a mistake in a helper": (
        condition(
            "return self.found(stretch.column('close'))", "\n    def found(self, close):\n        return clse > 1"
        ),
        "MODULE.py, line 17, in found, row 1 (2025-01-01): NameError: name 'clse' is not defined",
    ),
    "no answer": (
        condition("return None"),
        f"Above.holds answers with None for {WHOLE}; expected booleans of shape (31,)",
    ),
    "one boolean": (condition("return True"), "Above.holds answers with True for rows"),
    "numbers": (
        condition("return stretch.column('close')"),
        "Above.holds answers with float64 of shape (31,) for",
    ),
    "a whole column": (
        condition("return stretch.market['close'] > 1.0"),
        f"Above.holds answers with bool of shape (32,) for {WHOLE}; expected booleans of shape (31,), one per row",
    ),
    "holds without its stretch": (
        condition(NOTHING).replace("holds(self, stretch)", "holds(self)"),
        "MODULE.py, line 13, in holds, row 1 (2025-01-01): TypeError: Above.holds() takes 1 positional argument but 2",
    ),
    "a mistake in met": (
        condition(ALWAYS, "\n    def met(self, view):\n        return view.nothing"),
        "MODULE.py, line 17, in met, row 2 (2025-01-02): AttributeError: 'Present' object has no attribute 'nothing'",
    ),
    "met without an event": (
        condition(ALWAYS, "\n    def met(self, view):\n        return 'now'"),
        "Above.met answers with 'now'; expected an event",
    ),
    "a mistake in a formula": (
        rule("notional(held, mark)", kind="per_coin"),
        "MODULE.py, line 21, in notional, row 32 (2025-02-01): ZeroDivisionError: division by zero",
    ),
    "a mistake in a formula on rows": (
        rule("notional(held, mark)", "return held * mark if isinstance(mark, float) else 1 / 0", kind="per_coin"),
        "MODULE.py, line 21, in notional, row 32 (2025-02-01): ZeroDivisionError: division by zero",
    ),
    "a misspelt input": (
        rule("notional(hled, mark)", "return hled * mark", kind="per_coin"),
        "Market.notional: unknown input 'hled'; expected one of delta, equity, held, mark, notional, size",
    ),
    "a formula that needs itself": (
        rule("equity(total_collateral)", "return total_collateral"),
        "Market.total_collateral: needs itself, by way of 'equity'",
    ),
    "a misspelt formula of an act": (
        venue("then(self, book)", "pass").replace("def then", "acts = (Act('expird', 'then'),)\n    def then"),
        "Market.acts: no formula 'expird'; expected one of",
    ),
    "a misspelt method of an act": (
        rule("expired(price)", "return price > 0", more="\n    acts = (Act('expired', 'expyre'),)"),
        "Market.acts: no method 'expyre'; expected `expyre(self, book)`",
    ),
    "a misspelt method of an act that is never due": (
        rule("expired(price)", "return price < 0", more="\n    acts = (Act('expired', 'expyre'),)"),
        "Market.acts: no method 'expyre'; expected `expyre(self, book)`",
    ),
    "a liquidation without its formula": (
        rule("liquidatd(price)", "return price < 0", more="\n    acts = (LIQUIDATION,)").replace(
            "Act,", "LIQUIDATION,"
        ),
        "Market.acts: no formula 'liquidated'; expected one, or acts without LIQUIDATION",
    ),
    "an act at prices that a row has not": (
        rule("expired(price)", "return price < 0", more="\n    acts = (Act('expired', 'expire', prices='low'),)"),
        "cannot be imported: MODULE.py, line 22: ValueError: prices of an act are 'low'; expected close or adverse",
    ),
    "no equity": (
        venue("swap(self, order, book)", "pass")
        .replace("(Spot)", "(Venue)")
        .replace(
            "    def swap",
            "    name: str\n    swap_fee_bps: float\n    mine = account('Assets:{venue}:Mine', USDC)\n    def swap",
        ),
        "Market: no formula 'equity'; expected one, for Assets:Own:Mine is its own",
    ),
    "an accrual on no account": (
        venue(
            "accruals(self)",
            "yield Accrual(debit=self.swap_fee, credit=self.traded_usdc, kind='fee', event=FeeAccrued, "
            "on='swap_fee', basis='simple', rate='sol_lending_apy')",
        ),
        "accrual 'fee': on is 'swap_fee'; expected an account or an asset (MODULE.py, line 20, in accruals)",
    ),
    "an accrual from no account": (
        venue(
            "accruals(self)",
            "yield Accrual(debit=None, credit=self.traded_usdc, kind='fee', event=FeeAccrued, "
            "on=self.swap_fee, basis='simple', rate='sol_lending_apy')",
        ),
        "accrual 'fee': debit is None; expected an account (MODULE.py, line 20, in accruals)",
    ),
    "a mistake in an act": (
        rule(
            "expired(price)",
            "return price > 0",
            more="\n    acts = (Act('expired', 'expire'),)\n    def expire(self, book):\n        return 1 / 0",
        ),
        "MODULE.py, line 24, in expire, row 2 (2025-01-02): ZeroDivisionError: division by zero",
    ),
    "an act that answers with no event": (
        rule(
            "expired(price)",
            "return price > 0",
            more="\n    acts = (Act('expired', 'expire'),)\n    def expire(self, book):\n        return 'gone'",
        ),
        "Market.expire answers with 'gone'; expected an event, or None",
    ),
    "a mistake in an order": (
        venue("swap(self, order, book)"),
        "MODULE.py, line 20, in swap, row 1 (2025-01-01): ZeroDivisionError: division by zero",
    ),
    "a transfer of a float": (
        venue("swap(self, order, book)", "book.transfer(self.traded_usdc, CASH, order.amount, 'trade')"),
        "the ledger refuses a swap of 500 USDC for SOL in row 1 (2025-01-01): trade of 500.0 USDC; expected an int",
    ),
    "a transfer to an account of another": (
        venue("swap(self, order, book)", "book.transfer(Account('Assets:Mine', USDC), CASH, 1, 'trade')"),
        "account Assets:Mine in USDC is not open; expected one that the venue declares",
    ),
    "a transfer between assets": (
        venue("swap(self, order, book)", "book.transfer(self.held['SOL'], CASH, 1, 'trade')"),
        "a transfer moves one asset: Assets:Own:Coins holds SOL, Assets:Wallet:Cash holds USDC",
    ),
    "a refusal of its own": (
        venue("swap(self, order, book)", "book.refuse('it is Sunday; expected a working day')"),
        "own refuses a swap of 500 USDC for SOL in row 1 (2025-01-01): it is Sunday; expected a working day",
    ),
    "a method of other parameters": (
        venue("swap(self, book, order)", "pass"),
        "it is no order for this venue; expected Close",
    ),
    "a mistake in accounts": (venue("accounts(self)"), "MODULE.py, line 20, in accounts, row 1 (2025-01-01): ZeroDiv"),
    "a mistake in accruals": (venue("accruals(self)"), "MODULE.py, line 20, in accruals, row 1 (2025-01-01): ZeroDiv"),
    "a mistake in columns": (venue("columns(self)"), "MODULE.py, line 20, in columns, row 1 (2025-01-01): ZeroDiv"),
    "a mistake in check": (venue("check(self, market)"), "MODULE.py, line 20, in check, row 1 (2025-01-01): ZeroDiv"),
    "a column that the market lacks": (
        venue("columns(self)", "return ('oracle',)"),
        "venue own reads 'oracle', which no source gives; there are open, high, low, close",
    ),
    "a mistake in what it computes": (
        computed("1 / 0"),
        "MODULE.py, line 21, in made, row 1 (2025-01-01): ZeroDivisionError: division by zero",
    ),
    "a misspelt column": (
        condition("return stretch.column('clsoe') > 1.0"),
        "the market has no column 'clsoe'; did you mean close? (MODULE.py, line 14, in holds)",
    ),
    "an account under a name of every venue": (
        rule("expired(price)", "return price > 0", more="\n    coins = account('Assets:{venue}:Coins', USDC)"),
        "Market.coins: every venue has its own coins; expected another name",
    ),
    "a default of another type": (
        venue("check(self, market)", "return None").replace("(Spot):", "(Spot):\n    coin: str = 5"),
        "venues.own.coin: the default of Market is 5; expected text",
    ),
    "a default of another type that is validated": (
        venue("check(self, market)", "return None").replace(
            "(Spot):", "(Spot):\n    most: float = field(default='all', validator=basis_points)"
        ),
        "venues.own.most: the default of Market is 'all'; expected a number",
    ),
    "a default of None": (
        venue("check(self, market)", "return None").replace("(Spot):", "(Spot):\n    bridge: Bridge = None"),
        "venues.own.bridge: the default of Market is None; expected a table with the keys fee_usd, ",
    ),
    "a table as a default": (
        venue("check(self, market)", "return None").replace(
            "(Spot):", "(Spot):\n    bridge: Bridge = field(default={})"
        ),
        "venues.own.bridge: the default of Market is {}; expected a Bridge",
    ),
    "a date in text as a default": (
        venue("check(self, market)", "return None").replace("(Spot):", "(Spot):\n    ends: date = '2025-06-27'"),
        "venues.own.ends: the default of Market is '2025-06-27'; expected a date",
    ),
    "a default of a strategy": (
        venue("check(self, market)", "return None").replace("(Strategy):", "(Strategy):\n    most: int = 2.5"),
        "strategy.most: the default of Own is 2.5; expected a whole number",
    ),
    "no name": (
        venue("check(self, market)", "return None")
        .replace("(Spot)", "(Venue)")
        .replace("frozen(kw_only=True)\nclass M", "frozen\nclass M"),
        "venues.own: Market has no field `name`; expected `name: str` among its fields",
    ),
}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("band_of_mnie:Own", "band_of_mine"),
        ("kept_by_me.bnad:Own", "band"),
        ("kept_by_em.band:Own", "kept_by_me"),
        ("band_of_mine.bnad:Own", ""),
        ("nothing_like_it:Own", ""),
    ],
)
def test_a_misspelt_module_is_suggested(tmp_path, name, meant):
    """One beside the scenario, or one of the package that was named; where none is close, what can be named at all."""
    (tmp_path / "band_of_mine.py").write_text("")
    (tmp_path / "kept_by_me").mkdir()
    (tmp_path / "kept_by_me" / "__init__.py").write_text("")
    (tmp_path / "kept_by_me" / "band.py").write_text("")
    scenario = tmp_path / "own.toml"
    scenario.write_text(SCENARIO.replace("MODULE:Own", name))
    with pytest.raises(ScenarioError) as complaint:
        assemble(Scenario.load(scenario))
    words = str(complaint.value)
    assert words.startswith(f"strategy.class: unknown strategy {name!r}; no module {name.partition(':')[0]!r} in ")
    assert words.endswith(f"did you mean {meant}?" if meant else "or package.module:Class")


def test_a_default_that_fits_or_that_a_scenario_replaces_is_taken(tmp_path, monkeypatch):
    """Numbers that no key can be, instances, and None where the type has it."""
    fields = "a: float = np.inf\n    b: float | None = None\n    bridge: Bridge = Bridge()\n    c: int = 'seven'"
    code = venue("check(self, market)", "return None").replace("(Spot):", f"(Spot):\n    {fields}")
    (tmp_path / "defaults_that_fit.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    scenario = tmp_path / "own.toml"
    scenario.write_text(SCENARIO.replace("MODULE", "defaults_that_fit"))
    (venue_,) = assemble(Scenario.load(scenario, ["venues.own.c=7"])).venues
    assert (venue_.a, venue_.b, venue_.c) == (float("inf"), None, 7)


@pytest.mark.parametrize(("code", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line(refused_module, code, words):
    """No traceback, exit code 2, and nothing written."""
    module, said = refused_module(code, SCENARIO)
    assert words.replace("MODULE", module) in said


def test_the_exception_itself_is_the_cause(tmp_path, monkeypatch):
    """Whoever runs it from Python has the whole traceback."""
    (tmp_path / "classes_cause.py").write_text(condition("return 1 / 0"))
    (tmp_path / "own.toml").write_text(SCENARIO.replace("MODULE", "classes_cause"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ScenarioError) as told:
        assemble(Scenario.load(tmp_path / "own.toml")).simulation().run()
    assert isinstance(told.value.__cause__, ZeroDivisionError)


def test_without_a_class_of_ones_own_the_fault_is_ours():
    """Nothing is made of it: the traceback is for us."""
    market = flat(3)
    told = mistakes_told([hyperliquid(), LeverageAbove("hyperliquid", 2.0)], market)
    with pytest.raises(TypeError, match="not a mistake of a user"), told:
        raise TypeError("not a mistake of a user")


def test_rows_are_counted_as_people_do():
    """From 1, with their dates; one alone is one."""
    assert flat(3).rows(1, 2) == "row 2 (2025-01-02)"
    assert flat(3).rows(0, 3) == "rows 1 to 3 (2025-01-01 to 2025-01-03)"


@frozen(kw_only=True)
class Listing(Hyperliquid):
    """A venue that notes what it has resized, and does no more than three times."""

    name: str = "hyperliquid"
    done: list = Factory(list)

    def resize(self, order, book):
        self.done.append(order)
        if len(self.done) > 3:
            book.reject("that is enough")
        super().resize(order, book)


class Thawed(Listing):
    """One that is not frozen, and counts."""

    __setattr__ = object.__setattr__
    count = 0

    def resize(self, order, book):
        self.count += 1
        self.done = [order] * (self.count - 1)
        super().resize(order, book)


@frozen(kw_only=True)
class Halving(Strategy):
    """A strategy that resizes after every row."""

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield Open("hyperliquid", Side.SHORT, 10.0, view.cash_usd / 2)

    def on_event(self, event, view):
        if isinstance(event, ConditionMet):
            yield Resize("hyperliquid", abs(view.leg("hyperliquid").size) * 0.99)


@pytest.mark.parametrize("kind", [Listing, Thawed])
@pytest.mark.parametrize("at_cost", [False, True])
def test_a_venue_takes_nothing_along_from_run_to_run(kind, at_cost):
    """As a strategy does not: a cell of a sweep is what a run of its own is, whatever was run before it."""
    base = assemble(Scenario.load(ROOT / "examples" / "capital_rebalance" / "scenario.toml"))
    given = next(each for each in base.venues if each.name == "hyperliquid")
    rules = {name: getattr(given, name) for name in fields_dict(Hyperliquid) if name in given.rules()}
    own = kind(**rules)
    assembly = evolve(base, strategy=Halving(), venues=(AtCost(of=own) if at_cost else own,))
    first, second = (assembly.simulation().run() for _ in range(2))
    assert sum(not isinstance(event, Rejected) for event in first.events) > 3
    assert any(isinstance(event, Rejected) for event in first.events)
    assert second.ledger.digest == first.ledger.digest
    assert list(second.events) == list(first.events)
    assert own.done == []
