"""Conditions and venues of one's own, with mistakes in them: one line with file, line, method and rows."""

import pytest

from framework import LeverageAbove, Scenario, assemble
from framework.errors import ScenarioError
from framework.mistakes import mistake_behind
from tests.markets import Script, flat, hyperliquid, play

HEAD = """import numpy as np
from attrs import frozen
from framework import *
from framework.accrual import Accrual
from framework.venue import unknown_order
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
PROJECTION = (
    "rows = len(stretch); flat = np.zeros(rows); "
    "return Projection(accruals=({accruals}), size=flat, equity_usd=np.ones({count}), "
    "notional_usd=flat, liquidated=flat > 0)"
)
ACCRUAL = (
    "Accrual(event=InterestAccrued, venue='own', stream=None, asset='USDC', path=np.full({}), rate=flat, price=flat, "
    "size=flat, rate_column='', price_column=''),"
)
NOTHING = "return np.zeros(len(stretch), dtype=bool)"
ALWAYS = "return np.ones(len(stretch), dtype=bool)"
WHOLE = "rows 2 to 32 (2025-01-02 to 2025-02-01)"


def condition(holds=NOTHING, more=""):
    """A module whose condition has this body, and whose venue is right; the body is line 14."""
    return HEAD + CONDITION.format(holds=holds, more=more) + VENUE.format(method="taken: int = 0", body="") + STRATEGY


def venue(method, body="return 1 / 0"):
    """A module whose venue has this method, and whose condition is right; the body is line 20."""
    return HEAD + CONDITION.format(holds=NOTHING, more="") + VENUE.format(method=f"def {method}:", body=body) + STRATEGY


MISTAKES = {
    "a mistake in holds": (
        condition("return 1 / 0"),
        f"MODULE.py, line 14, in holds, {WHOLE}: ZeroDivisionError: division by zero",
    ),
    "a misspelt method": (
        condition("return stretch.colum('close') > self.limit"),
        f"MODULE.py, line 14, in holds, {WHOLE}: AttributeError: 'Stretch' object has no attribute 'colum'; did",
    ),
    "a mistake in a helper": (
        condition(
            "return self.found(stretch.column('close'))", "\n    def found(self, close):\n        return clse > 1"
        ),
        f"MODULE.py, line 17, in found, {WHOLE}: NameError: name 'clse' is not defined",
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
        "MODULE.py, line 13, in holds: TypeError: Above.holds() takes 1 positional argument but 2 were given",
    ),
    "a mistake in met": (
        condition(ALWAYS, "\n    def met(self, view):\n        return view.nothing"),
        "MODULE.py, line 17, in met, row 2 (2025-01-02): AttributeError: 'Present' object has no attribute 'nothing'",
    ),
    "met without an event": (
        condition(ALWAYS, "\n    def met(self, view):\n        return 'now'"),
        "Above.met answers with 'now'; expected an event",
    ),
    "a mistake in project": (
        venue("project(self, book, stretch)"),
        f"MODULE.py, line 20, in project, {WHOLE}: ZeroDivisionError: division by zero",
    ),
    "a mistake in leg": (
        venue("leg(self, book, mark)"),
        "MODULE.py, line 20, in leg, row 1 (2025-01-01): ZeroDivisionError: division by zero",
    ),
    "a mistake in execute": (
        venue("execute(self, order, draft, moment)"),
        "MODULE.py, line 20, in execute, row 1 (2025-01-01): ZeroDivisionError: division by zero",
    ),
    "a mistake in accounts": (venue("accounts(self)"), "MODULE.py, line 20, in accounts, row 1 (2025-01-01): ZeroDiv"),
    "a mistake in columns": (venue("columns(self)"), "MODULE.py, line 20, in columns, row 1 (2025-01-01): ZeroDiv"),
    "a mistake in check": (venue("check(self, market)"), "MODULE.py, line 20, in check, row 1 (2025-01-01): ZeroDiv"),
    "project without its stretch": (
        venue("project(self, book)"),
        "MODULE.py, line 19, in project: TypeError: Market.project() takes 2 positional arguments but 3 were given",
    ),
    "a projection that is none": (
        venue("project(self, book, stretch)", "return 5"),
        f"Market.project answers with 5; expected a Projection, or None where nothing is held, for {WHOLE}",
    ),
    "a projection of another shape": (
        venue(
            "project(self, book, stretch)",
            "return Projection(accruals=(), size=np.ones(3), equity_usd=np.ones(3), notional_usd=np.ones(3), "
            "liquidated=np.zeros(3, dtype=bool))",
        ),
        f"Market.project answers with size of shape (3,); expected (31,), one per row, for {WHOLE}",
    ),
    "an equity of one row too many": (
        venue("project(self, book, stretch)", PROJECTION.format(count="len(stretch) + 1", accruals="")),
        f"Market.project answers with equity_usd of shape (32,); expected (31,), one per row, for {WHOLE}",
    ),
    "a path without its beginning": (
        venue(
            "project(self, book, stretch)", PROJECTION.format(count="len(stretch)", accruals=ACCRUAL.format("31, 0"))
        ),
        f"path of shape (31,); expected (32,), one before the first row and one after each, for {WHOLE}",
    ),
    "a path of floats": (
        venue(
            "project(self, book, stretch)", PROJECTION.format(count="len(stretch)", accruals=ACCRUAL.format("32, 0.0"))
        ),
        f"Market.project answers with a path of float64; expected integers of atomic units for {WHOLE}",
    ),
    "a misspelt column": (
        condition("return stretch.column('clsoe') > 1.0"),
        "usdc_borrowing_apy (MODULE.py, line 14, in holds)",
    ),
    "one account": (
        venue("accounts(self)", "return self._chart.coins"),
        "Market.accounts answers with Account(name='Assets:Own:Coins', asset=Asset(code='SOL', decimals=9), floor",
    ),
    "one column": (
        venue("columns(self)", "return 'close'"),
        "Market.columns answers with 'close'; expected a tuple of names",
    ),
    "an account that is not named": (
        venue("accounts(self)", "return super().accounts()[:1]"),
        "account Equity:Own:Trading in USDC is not open; expected one that the `accounts` of a venue names",
    ),
    "a number for a leg": (
        venue("leg(self, book, mark)", "return 5.0"),
        "a method of Market answers with 5.0; expected a Leg",
    ),
    "a refusal that is not raised": (
        venue("execute(self, order, draft, moment)", "return unknown_order('own', order, moment, 'Close')"),
        "own refuses a swap of 500 USDC for SOL in row 1 (2025-01-01, event 1): it answers with OrderRefused(",
    ),
    "no fill": (
        venue("execute(self, order, draft, moment)", "super().execute(order, draft, moment)"),
        "answers with None; expected an event, such as OrderFilled",
    ),
    "a mistake in liquidate": (
        venue("liquidate(self, draft, moment)")
        .replace("import Spot", "import Spot\nfrom attrs import evolve")
        .replace(
            "    def liquidate",
            "    def project(self, book, stretch):\n"
            "        projection = super().project(book, stretch)\n"
            "        return projection and evolve(projection, liquidated=stretch.column('close') > 0)\n\n"
            "    def liquidate",
        ),
        "MODULE.py, line 25, in liquidate, row 2 (2025-01-02): ZeroDivisionError: division by zero",
    ),
    "no name": (
        venue("check(self, market)", "return None")
        .replace("(Spot)", "(Venue)")
        .replace("frozen(kw_only=True)\nclass M", "frozen\nclass M"),
        "venues.own: Market has no field `name`; expected `name: str` among its fields",
    ),
}


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
    with pytest.raises(TypeError) as fault:
        play(market, [hyperliquid()], Script(), capital_usd="all")
    assert mistake_behind(fault.value, [hyperliquid(), LeverageAbove("hyperliquid", 2.0)], market, 0) is None


def test_rows_are_counted_as_people_do():
    """From 1, with their dates; one alone is one."""
    assert flat(3).rows(1, 2) == "row 2 (2025-01-02)"
    assert flat(3).rows(0, 3) == "rows 1 to 3 (2025-01-01 to 2025-01-03)"
