"""A strategy of one's own, with the mistakes that one makes: each is one line that says what would be right."""

import numpy as np
import pytest

import strategies
from framework import NoPosition, Scenario, StillView, assemble
from framework.command_line.cli import main

HEAD = "from attrs import frozen\nfrom framework import *\n\n\n"
HOOKS = "    def on_event(self, event, view):\n        return ()\n"
SCENARIO = """
name = "own"
capital_usd = 1_000
[market]
start = 2025-01-01
end = 2025-02-01
embedded = "sol_daily"
[rulebook]
class = "study"
[strategy]
class = "MODULE:Own"
short = "hyperliquid"
[venues.asgard]
[venues.hyperliquid]
"""


def own(start, more=HOOKS, decorator="@frozen\n"):
    """A module with a strategy whose first hook has this body."""
    body = f"    short: str\n\n    def on_start(self, view):\n        {start}\n\n{more}"
    return f"{HEAD}{decorator}class Own(Strategy):\n{body}"


MISTAKES = {
    "a syntax error": ("def x(:\n", "cannot be read: MODULE.py, line 1: invalid syntax"),
    "a missing import": ("import nothing_of_this_name\n", "imports 'nothing_of_this_name', which is not installed"),
    "a misspelt class": (
        "from framework import Strategy\nclass Onw(Strategy): ...\n",
        "unknown strategy 'MODULE:Own'; the module has no 'Own'; did you mean Onw?",
    ),
    "no such class": ("x = 1\n", "unknown strategy 'MODULE:Own'; the module has no 'Own'; expected one of"),
    "a misspelt import": (
        "\nfrom framework import Opne\n",
        "; did you mean Open?",
    ),
    "a misspelt name": ("x = Opne\n", "MODULE.py, line 1: NameError: name 'Opne' is not defined"),
    "a misspelt name of the project": (
        "from framework import *\nx = Opne\n",
        "MODULE.py, line 2: NameError: name 'Opne' is not defined; did you mean Open?",
    ),
    "any other mistake on import": ("x = {}[1]\n", "MODULE.py, line 1: KeyError: 1"),
    "a missing import with a name like its own": ("import own\n", "imports 'own', which is not installed"),
    "no attrs class": (own("return ()", decorator=""), "Own is not an attrs class; decorate it with attrs.frozen"),
    "a missing hook": (
        own("return ()", more=""),
        "Own has no on_event; expected on_start(self, view) and on_event(self, event, view)",
    ),
    "a misspelt hook": (
        own("return ()").replace("on_start", "on_strat"),
        (
            "Own.on_strat: unknown hook; did you mean on_start? "
            "A method of another purpose needs another name (MODULE.py, line 9, in on_strat)"
        ),
    ),
    "a misspelt hook that may be left out": (
        own("return ()", more=f"    def conditons(self):\n        return (EveryRow(),)\n\n{HOOKS}"),
        (
            "Own.conditons: unknown hook; did you mean conditions? "
            "A method of another purpose needs another name (MODULE.py, line 12, in conditons)"
        ),
    ),
    "a misspelt order": (
        own("yield Clsoe('asgard')"),
        "MODULE.py, line 10, in on_start, row 1 (2025-01-01): NameError: name 'Clsoe' is not defined; did you mean",
    ),
    "a misspelt module of the project": (
        "from strategies.pairs import open_pair\n",
        "imports 'strategies.pairs', which is not installed; did you mean pair?",
    ),
    "a misspelt package of the project": (
        "from framewrok import Close\n",
        "imports 'framewrok', which is not installed; did you mean framework?",
    ),
    "a misspelt column": (
        own("view.history('hyperliquid_funding_rat', 7); return ()"),
        "the market has no column 'hyperliquid_funding_rat'; did you mean hyperliquid_funding_rate? (MODULE.py",
    ),
    "texts for orders": (
        own("return ['open', 'close']"),
        "the strategy yielded 'open' in row 1; expected an order (MODULE.py, line 9, in on_start)",
    ),
    "a text for orders": (
        own("return 'open'"),
        "Own.on_start returned 'open'; expected it to yield orders, or an empty tuple for none (MODULE.py, line 9, in",
    ),
    "a table for orders": (
        own("return {}"),
        "Own.on_start returned {}; expected it to yield orders, or an empty tuple for none (MODULE.py, line 9, in",
    ),
    "orders returned after a yield": (
        own("yield Close('asgard'); return [Close('hyperliquid')]"),
        "where they would be lost; expected `yield from ...` (MODULE.py, line 9, in on_start)",
    ),
    "no answer": (
        own("return None"),
        "Own.on_start returned None; expected it to yield orders, or an empty tuple for none (MODULE.py, line 9",
    ),
    "a mistake in a hook": (
        own("yield Open(view.shrt, Side.SHORT, 1.0, 5)"),
        "MODULE.py, line 10, in on_start, row 1 (2025-01-01): AttributeError: 'Present' object has no attribute 'shrt'",
    ),
    "a mistake in a later hook": (
        own(
            "return ()",
            more="    def conditions(self):\n        return (EveryRow(),)\n\n"
            "    def on_event(self, event, view):\n        return 1 / 0\n",
        ),
        "MODULE.py, line 16, in on_event, row 2 (2025-01-02): ZeroDivisionError: division by zero",
    ),
    "no order": (own("yield 5"), "the strategy yielded 5 in row 1; expected an order"),
    "an order of its own without a venue": (
        own("yield Lock()").replace(
            "\n\n\n", "\nfrom framework import Order\n\n\n@frozen\nclass Lock(Order):\n    pass\n\n\n", 1
        ),
        "Lock() has no field venue; expected one that names the venue which fills it (MODULE.py, line 16, in on_start)",
    ),
    "orders in an order's place": (
        own("yield [Close('asgard'), Close('hyperliquid')]"),
        "the strategy yielded several at once in row 1; expected one order after the other, as `yield from` gives them",
    ),
    "a type that there is not": (
        own("return ()").replace("    short: str", "    short: 'txt'"),
        "strategy: among the types of the fields of Own, name 'txt' is not defined",
    ),
    "a type that no key can have": (
        own("return ()").replace("    short: str", "    short: complex | str"),
        "strategy: a field of Own has the type complex | str; expected numbers, text, dates, or lists, tables and",
    ),
    "a field without a type": (
        own("return ()").replace("    short: str", "    short = 'drift'"),
        "strategy.short: unknown key; `short` of Own has no type; expected one, such as `short: str`",
    ),
    "a mistake at its import that a library finds": (
        own("return ()").replace("import *\n\n\n", "import *\nimport json\n\njson.loads('{')\n"),
        "cannot be imported: MODULE.py, line 5: JSONDecodeError: Expecting property name",
    ),
    "text for a sum": (
        own("yield Open('hyperliquid', Side.SHORT, 1.0, 'all')"),
        "funds_usd is 'all'; expected a finite number, 0 or more",
    ),
    "text for a size": (
        own("yield Open('hyperliquid', Side.SHORT, '1', 5)"),
        "size is '1'; expected a finite number above 0",
    ),
    "text for an amount": (
        own("yield Deposit('hyperliquid', 'all')"),
        "hyperliquid refuses a deposit of 'all' USD in row 1 (2025-01-01): amount_usd is 'all'; expected",
    ),
    "an order of a misspelt venue": (
        own("yield Deposit('hyperliqid', 5.0)"),
        "unknown venue 'hyperliqid'; did you mean hyperliquid? (MODULE.py, line 10, in on_start)",
    ),
    "a refused order": (
        own("yield Resize('hyperliquid', 2.0)"),
        "it holds no position; expected Open before Resize (MODULE.py, line 10, in on_start)",
    ),
    "a refused order of a helper": (
        own("yield from self.paid()", more=f"    def paid(self):\n        yield Deposit(self.short, -1.0)\n\n{HOOKS}"),
        "amount_usd is -1; expected a finite number above 0 (MODULE.py, line 13, in paid)",
    ),
    "a refused order of a move that is shared": (
        own("yield from open_pair(view, 'hyperliquid', 'asgard', 3.0)").replace(
            "import *", "import *\nfrom strategies.pair import open_pair"
        ),
        "side is short; expected Side.LONG (MODULE.py, line 11, in on_start)",
    ),
    "a pair at one venue": (
        own("yield from open_pair(view, 'hyperliquid', 'hyperliquid', 3.0)").replace(
            "import *", "import *\nfrom strategies.pair import open_pair"
        ),
        "both legs are at hyperliquid; expected two venues (MODULE.py, line 11, in on_start)",
    ),
    "a coin that the venue does not have": (
        own("yield Close('hyperliquid', coin='BTC')"),
        "coin is 'BTC'; expected SOL (MODULE.py, line 10, in on_start)",
    ),
    "a price of an unknown coin": (
        own("view.price('BTC'); return ()"),
        "unknown token 'BTC'; expected one of SOL (MODULE.py, line 10, in on_start)",
    ),
    "an order of ones own that the venue does not fill": (
        own("yield Roll('hyperliquid')").replace("@frozen", "class Roll(Order):\n    pass\n\n\n@frozen"),
        "TypeError: Roll() takes no arguments",
    ),
    "an order that no venue fills": (
        own("yield Roll('hyperliquid')").replace("@frozen", "@frozen\nclass Roll(Order):\n    venue: str\n\n\n@frozen"),
        "it is no order for this venue; expected Open, Close or Resize (MODULE.py, line 15, in on_start)",
    ),
    "an order that is not yielded": (
        own("return Deposit(self.short, 5.0)"),
        "Own.on_start returned Deposit(venue='hyperliquid', amount_usd=5.0); expected it to yield orders, or an empty",
    ),
    "a hook without its view": (
        own("return ()").replace("on_start(self, view)", "on_start(self)"),
        "MODULE.py, line 9, in on_start, row 1 (2025-01-01): TypeError: Own.on_start() takes 1 positional argument but",
    ),
    "a misspelt view": (
        own("yield Deposit(self.short, view.cash)"),
        "AttributeError: 'Present' object has no attribute 'cash'; did you mean cash_usd?",
    ),
    "a quote of nothing": (
        own("view.quote(Open('hyperliquid', Side.SHORT, 0.0, 5)); return ()"),
        "hyperliquid refuses a short of 0 coins with 5 USD in row 1 (2025-01-01): size is 0; expected a finite number",
    ),
    "a condition on no venue": (
        own("return ()", more=f"    def conditions(self):\n        return (LeverageAbove('kraken', 3.0),)\n\n{HOOKS}"),
        "unknown venue 'kraken'; expected one of asgard, hyperliquid",
    ),
    "conditions that are none": (
        own("return ()", more=f"    def conditions(self):\n        return None\n\n{HOOKS}"),
        "the strategy's conditions are None; expected a tuple such as `(EveryRow(),)`, or an empty one (MODULE.py",
    ),
    "one condition": (
        own("return ()", more=f"    def conditions(self):\n        return EveryRow()\n\n{HOOKS}"),
        "the strategy's conditions are EveryRow(); expected a tuple",
    ),
    "a class for a condition": (
        own("return ()", more=f"    def conditions(self):\n        return (EveryRow,)\n\n{HOOKS}"),
        "the strategy names the class EveryRow as a condition; expected `EveryRow()` (MODULE.py, line 12",
    ),
    "a class with fields for a condition": (
        own("return ()", more=f"    def conditions(self):\n        return (NoPosition,)\n\n{HOOKS}"),
        "the strategy names the class NoPosition as a condition; expected `NoPosition(...)` (MODULE.py, line 12, in",
    ),
    "a plain class for a condition": (
        own("return ()", more=f"    def conditions(self):\n        return (dict,)\n\n{HOOKS}"),
        "the strategy names the class dict as a condition; expected an object of it (MODULE.py, line 12",
    ),
    "no condition": (
        own("return ()", more=f"    def conditions(self):\n        return (3,)\n\n{HOOKS}"),
        "the strategy names 3 as a condition; expected an object with `holds`",
    ),
}


@pytest.mark.parametrize(("code", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line(refused_module, code, words):
    """No traceback, exit code 2, and nothing written."""
    module, said = refused_module(code, SCENARIO)
    assert words.replace("MODULE", module) in said


def test_a_helper_may_have_a_name_like_a_hook(tmp_path, monkeypatch):
    """It is no misspelt hook where the class uses it itself, also within another function."""
    more = """    def condition(self, venue):
        return NoPosition(venue)

    def tabels(self):
        return [self.condition(each) for each in (self.short,)]

    def on_event(self, event, view):
        self.tabels()
        return ()
"""
    (tmp_path / "own_helper.py").write_text(own("return ()", more=more))
    (tmp_path / "own.toml").write_text(SCENARIO.replace("MODULE", "own_helper"))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert assemble(Scenario.load(tmp_path / "own.toml")).strategy.condition("asgard") == NoPosition("asgard")


def test_a_condition_in_a_file_of_its_own_is_own_code(tmp_path, monkeypatch):
    """Its digest stands in the manifest, as the strategy's does."""
    condition = "class Never:\n    def holds(self, stretch):\n        return stretch.column('close') < 0\n"
    more = f"    def conditions(self):\n        return (Never(),)\n\n{HOOKS}"
    (tmp_path / "own_never.py").write_text(condition)
    (tmp_path / "own_waits.py").write_text("from own_never import Never\n" + own("return ()", more))
    (tmp_path / "own.toml").write_text(SCENARIO.replace("MODULE", "own_waits"))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert assemble(Scenario.load(tmp_path / "own.toml")).own_code().keys() == {"own_never", "own_waits"}


def test_a_strategy_that_asks_for_nothing_keeps_its_cash(capsys, tmp_path, monkeypatch):
    """The smallest strategy that is right."""
    (tmp_path / "own_right.py").write_text(own("return ()"))
    (tmp_path / "own.toml").write_text(SCENARIO.replace("MODULE", "own_right"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SystemExit) as exit_:
        main(["run", "own.toml"])
    assert not exit_.value.code
    assert "$1,000.00" in capsys.readouterr().out


def test_a_strategy_that_remembers_starts_anew_in_each_run(tmp_path, monkeypatch):
    """One assembly runs any number of times, also where the class is not frozen and changes while it runs."""
    more = """    bought: bool = False

    def conditions(self):
        return (EveryRow(),)

    def on_event(self, event, view):
        if not self.bought:
            self.bought = True
            yield Deposit(self.short, 100.0)
"""
    code = own("return ()", more=more, decorator="from attrs import define\n\n\n@define\n")
    (tmp_path / "own_memory.py").write_text(code)
    (tmp_path / "own.toml").write_text(SCENARIO.replace("MODULE", "own_memory"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assembly = assemble(Scenario.load(tmp_path / "own.toml"))
    first, second = (assembly.simulation().run().ledger for _ in range(2))
    assert len(first) > 1
    assert first.digest == second.digest


def test_a_mistake_in_a_strategy_beside_ours_is_one_line_as_well(capsys, tmp_path, monkeypatch):
    """A file put into the folder of strategies has a short name, and its mistakes are reported like any."""
    (tmp_path / "own_folder").mkdir()
    (tmp_path / "own_folder" / "lucky.py").write_text(own("return view.luck").replace("class Own", "class Lucky"))
    (tmp_path / "own.toml").write_text(SCENARIO.replace("MODULE:Own", "lucky"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(strategies, "__path__", [*strategies.__path__, str(tmp_path / "own_folder")])
    with pytest.raises(SystemExit) as exit_:
        main(["run", "own.toml"])
    said = capsys.readouterr()
    assert (exit_.value.code, said.out) == (2, "")
    assert "lucky.py, line 10, in on_start, row 1 (2025-01-01): AttributeError" in said.err
    assert said.err.count("\n") == 1


def test_a_still_view_has_no_more_history_than_it_was_given():
    """As a run has no more than its rows."""
    values = np.array([1.0, 2.0, 3.0])
    view = StillView(price=1.0, columns={"rate": values}, past_sizes={"short": values})
    for rows, known in ((1, [3.0]), (2, [2.0, 3.0]), (5, [1.0, 2.0, 3.0])):
        assert view.history("rate", rows).tolist() == view.sizes("short", rows).tolist() == known
