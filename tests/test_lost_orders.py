"""A statement that makes orders and drops them is refused, with its file, its line and what would give them."""

import linecache
import re
import sys
from importlib import import_module
from types import ModuleType

import pytest

from framework import Scenario, Simulation, Strategy, assemble
from framework.errors import ScenarioError
from framework.support.lost_orders import check_orders
from tests.markets import flat, hyperliquid
from tests.runs import ROOT

HEAD = """from contextlib import contextmanager
from functools import partial, singledispatchmethod, wraps
from attrs import frozen
from framework import *
from framework.events import Event
from strategies import pair
from strategies.pair import close_pair, open_pair

enter = partial(open_pair, long="asgard", short="hyperliquid", leverage=2.0)


def leave():
    return close_pair("asgard", "hyperliquid")


def leave_twice():
    leave()


@contextmanager
def quiet():
    yield


def logged(hook):
    @wraps(hook)
    def heard(self, *told):
        return hook(self, *told)

    return heard


class Base(Strategy):
    def on_start(self, view):
        return leave()

    def on_event(self, event, view):
        return ()

    def paid(self):
        yield Deposit("hyperliquid", 5.0)


@frozen
class Own(Base):
"""
LINE = HEAD.count("\n") + 2
SCENARIO = """
name = "own"
capital_usd = 1_000
[market]
start = 2025-01-01
end = 2025-02-01
embedded = "sol_daily"
[strategy]
class = "MODULE:Own"
[venues.spot]
swap_fee_bps = 5
"""


def hook(body, decorator=""):
    """A strategy whose first hook has this body, which begins in `LINE`, one further down below a decorator."""
    return f"{HEAD}{decorator}    def on_start(self, view):\n        {body}\n"


LOST = {
    "an order": ("Close('asgard')", "Close(...)", "yield"),
    "an order of two venues": ("Move('asgard', 'hyperliquid', 5.0)\n        yield", "Move(...)", "yield"),
    "a helper of a pair": (
        "open_pair(view, 'asgard', 'hyperliquid', 2.0)\n        return ()",
        "open_pair(...)",
        "yield from",
    ),
    "a helper of a module": ("pair.close_pair('asgard', 'hyperliquid')", "pair.close_pair(...)", "yield from"),
    "a helper with some arguments": ("enter(view)", "enter(...)", "yield from"),
    "a method": ("self.paid()", "self.paid()", "yield from"),
    "a method of the class": ("Base.paid(self)", "Base.paid(...)", "yield from"),
    "the hook of the class above": ("super().on_start(view)", "super().on_start(...)", "yield from"),
    "orders that a function returns": ("leave()", "leave()", "yield from"),
    "a condition before an order": ("view.cash_usd > 5 and Close('asgard')", "Close(...)", "yield"),
    "one of two orders": (
        "Close('asgard') if view.cash_usd > 5 else Close('drift', reason='x')",
        "Close(...)",
        "yield",
    ),
    "several orders": ("self, Close('asgard')", "Close(...)", "yield"),
    "an order for each venue": ("[Close(each) for each in ('asgard', 'drift')]", "Close(...)", "yield"),
}
NESTED = {
    "in a block": (hook("if view.cash_usd:\n            Close('asgard')"), LINE + 1, "on_start"),
    "in the case of an error": (
        hook("try:\n            pass\n        except KeyError:\n            Close('asgard')"),
        LINE + 3,
        "on_start",
    ),
    "in a case": (hook("match view:\n            case _:\n                Close('asgard')"), LINE + 2, "on_start"),
    "in a function within": (hook("def inner():\n            Close('asgard')\n        inner()"), LINE + 1, "on_start"),
    "below a decorator": (hook("Close('asgard')", "    @logged\n"), LINE + 1, "on_start"),
    "in a function of events": (
        hook(
            "yield Close('asgard')\n\n    @singledispatchmethod\n"
            "    def on_event(self, event, view):\n        return ()\n"
            "\n    @on_event.register\n    def _(self, event: Liquidated, view):\n        Close('asgard')\n"
            "\n    @on_event.register\n    def _(self, event: Ended, view):\n        return ()\n"
        ),
        LINE + 8,
        "_",
    ),
    "in a property": (hook("return ()\n\n    @property\n    def x(self):\n        Close('asgard')"), LINE + 4, "x"),
}
GIVEN = {
    "yielded": "yield Close('asgard')",
    "yielded one by one": "yield from open_pair(view, 'asgard', 'hyperliquid', 2.0)",
    "yielded by a function within": "yield from (Close(each) for each in ('asgard',))",
    "returned": "return open_pair(view, 'asgard', 'hyperliquid', 2.0)",
    "kept and not used": "order = Close('asgard')\n        return ()",
    "made to be quoted": "view.quote(Close('hyperliquid'))\n        return ()",
    "another function": "print('start')\n        view.leg('asgard')\n        sorted([2, 1])\n        return ()",
    "a context": "with quiet():\n            return ()",
    "a lambda": "close = lambda venue: Close(venue)\n        yield close('asgard')",
    "a name of its own": "Close = print\n        Close('asgard')\n        return ()",
    "a static method": ("return ()\n\n    @staticmethod\n    def quiet(names):\n        names.paid()\n"),
    "a function that keeps an order to itself": (
        "def inner():\n            pass\n        keep('asgard')\n        return ()\n\n\n"
        "def keep(venue):\n    def made():\n        return Close(venue)\n\n    print(made)"
    ),
    "an argument": "def inner(Close):\n            Close('asgard')\n        inner(print)\n        return ()",
}


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """Imports code as a module that no other test has, in a folder of its own."""
    name = "_".join(re.findall(r"[a-z]+", f"lost {request.node.name}"))

    def made(code: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(code)
        (tmp_path / "own.toml").write_text(SCENARIO.replace("MODULE", name))
        monkeypatch.syspath_prepend(str(tmp_path))
        return import_module(name)

    yield made
    sys.modules.pop(name, None)


def refusal(strategy):
    """The line that is said about a strategy."""
    with pytest.raises(ScenarioError) as told:
        check_orders(strategy)
    return str(told.value)


@pytest.mark.parametrize(("body", "written", "word"), LOST.values(), ids=LOST)
def test_an_order_that_is_a_statement_is_lost(module, body, written, word):
    """What makes it may be a class, a generator, or a function that returns either."""
    own = module(hook(body))
    place = f"{own.__name__}.py, line {LINE}, in on_start"
    assert refusal(own.Own()) == f"{place}: {written} by itself gives no order; expected `{word} {written}`"


@pytest.mark.parametrize(("code", "line", "name"), NESTED.values(), ids=NESTED)
def test_it_is_found_wherever_it_stands(module, code, line, name):
    """The line is that of the statement."""
    own = module(code)
    assert refusal(own.Own()).startswith(f"{own.__name__}.py, line {line}, in {name}: Close(...) by itself")


def test_it_is_found_in_a_function_that_a_hook_calls(module):
    """In its own module, as here, or in one beside it."""
    own = module(hook("leave_twice()\n        return ()"))
    assert ", in leave_twice: leave() by itself gives no order; expected `yield from leave()`" in refusal(own.Own())


def test_it_is_found_in_a_module_beside_the_strategy(module, tmp_path):
    """Which is imported by name."""
    (tmp_path / "lost_beside.py").write_text("from framework import Close\n\n\ndef away(venue):\n    Close(venue)\n")
    own = module(
        hook("away('asgard')\n        return ()").replace("\n\nenter", "\nfrom lost_beside import away\n\nenter")
    )
    assert refusal(own.Own()).startswith("lost_beside.py, line 5, in away: Close(...) by itself")


def test_it_is_found_in_a_class_above(module):
    """Of a user's own, whatever the class below does."""
    code = hook("yield Close('asgard')").replace("return ()\n\n    def paid", "Close('asgard')\n\n    def paid")
    assert ", in on_event: Close(...) by itself" in refusal(module(code).Own())


@pytest.mark.parametrize("body", GIVEN.values(), ids=GIVEN)
def test_what_is_given_or_no_order_is_taken(module, body):
    """Only a statement that is nothing but the call is lost."""
    check_orders(module(hook(body)).Own())


def test_a_scenario_and_a_simulation_refuse_it(module, tmp_path):
    """Before anything has happened, whichever way a strategy is run."""
    own = module(hook("Close('asgard')"))
    with pytest.raises(ScenarioError, match="by itself gives no order"):
        assemble(Scenario.load(tmp_path / "own.toml"))
    with pytest.raises(ScenarioError, match="by itself gives no order"):
        Simulation(market=flat(3), venues=[hyperliquid()], strategy=own.Own(), capital_usd=1_000)


def test_a_class_of_a_notebook_is_read_where_the_notebook_keeps_it():
    """One without source is not."""
    code, name = hook("Close('asgard')"), "<cell 7>"
    space = {"__name__": "lost_notebook"}
    exec(compile(code, name, "exec"), space)  # noqa: S102  (as a notebook does)
    check_orders(space["Own"]())
    linecache.cache[name] = len(code), None, code.splitlines(keepends=True), name
    space = {"__name__": "lost_notebook"}
    exec(compile(code, name, "exec"), space)  # noqa: S102
    assert refusal(space["Own"]()).startswith(f"<cell 7>, line {LINE}, in on_start: Close(...) by itself")


def test_code_that_was_edited_since_is_read_anew_or_not_at_all(module, tmp_path):
    """What stands in another line now is no function of the class."""
    own = module(hook("yield Close('asgard')"))
    file = tmp_path / f"{own.__name__}.py"
    file.write_text("# a line more\n" + hook("Close('asgard')"))
    check_orders(own.Own())


def test_the_strategies_of_the_project_lose_no_order(tmp_path, monkeypatch):
    """Their code is not read in a run; here it is, as that of modules of a user's own."""
    names = [each.stem for each in (ROOT / "strategies").glob("*.py") if each.stem != "__init__"]
    for name in names:
        code = (ROOT / "strategies" / f"{name}.py").read_text().replace("from strategies.", "from lost_copy_of_")
        (tmp_path / f"lost_copy_of_{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = [import_module(f"lost_copy_of_{name}") for name in names]
    found = {each for one in modules for each in vars(one).values() if isinstance(each, type)}
    classes = [each for each in found if issubclass(each, Strategy) and each is not Strategy]
    assert {"CapitalRebalance", "FullRotation", "MarginCallDeleverage", "Static"} <= {each.__name__ for each in classes}
    for cls in classes:
        check_orders(object.__new__(cls))
