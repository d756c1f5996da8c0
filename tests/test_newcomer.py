"""What a newcomer stumbles over: nothing is lost without a word, and each mistake is one line."""

import pytest

from framework import Scenario, assemble
from framework.errors import CarrybookError

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
class = "MODULE:MyIdea"
short = "hyperliquid"
[venues.asgard]
[venues.hyperliquid]
"""
STRATEGY = '''
from attrs import frozen
from framework import *
from strategies.pair import close_pair, open_pair


@frozen
class MyIdea(Strategy):
    """One hook as it is written in the test."""

    short: str

    def on_start(self, view):
        yield from open_pair(view, "asgard", "hyperliquid", 2.0)

    def on_event(self, event, view):
        HOOK
'''


def run(tmp_path, monkeypatch, name, hook):
    """The run of a strategy with this hook, written as a module of this name."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{name}.py").write_text(STRATEGY.replace("HOOK", hook))
    (tmp_path / f"{name}.toml").write_text(SCENARIO.replace("MODULE", name))
    return assemble(Scenario.load(tmp_path / f"{name}.toml")).simulation().run()


def test_orders_returned_after_a_yield_are_an_error(tmp_path, monkeypatch):
    """A generator's return value holds orders that nobody would execute."""
    hook = "if False:\n            yield\n        return close_pair('asgard', 'hyperliquid')"
    with pytest.raises(CarrybookError) as caught:
        run(tmp_path, monkeypatch, "newcomer_lost", hook)
    assert str(caught.value) == (
        "MyIdea.on_event returns orders after a yield, where they would be lost; expected `yield from ...`"
    )


@pytest.mark.parametrize("answer", ["return ()", "return", "yield from close_pair('asgard', 'hyperliquid')"])
def test_a_hook_that_yields_may_end_without_orders(tmp_path, monkeypatch, answer):
    """An empty tuple loses nothing, and neither does `yield from`."""
    done = run(tmp_path, monkeypatch, f"newcomer_{len(answer)}", f"if False:\n            yield\n        {answer}")
    closed = [event for event in done.events.single() if getattr(event, "order", None) == "close"]
    assert bool(closed) == ("close_pair" in answer)
