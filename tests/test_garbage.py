"""Garbage: it is looked for after a run of many and not within it, and a process gets back what it had set."""

import gc
import weakref
from threading import Barrier, Thread
from typing import ClassVar

import pytest
from attrs import evolve

from framework import EveryRow, Order, Scenario, Strategy, assemble
from framework.many_runs.execution import Execution
from framework.support.garbage import NEW_OBJECTS, collected_afterwards
from tests.conftest import ROOT

SCENARIO = ROOT / "examples" / "capital_rebalance" / "scenario.toml"


@pytest.fixture(autouse=True)
def _thresholds():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_of_a_run_among_many_garbage_is_collected_afterwards():
    gc.set_threshold(600, 7, 8)
    with collected_afterwards():
        assert gc.get_threshold() == (NEW_OBJECTS, 7, 8)
        with collected_afterwards():
            assert gc.get_threshold() == (NEW_OBJECTS, 7, 8)
        assert gc.get_threshold() == (NEW_OBJECTS, 7, 8)
    assert gc.get_threshold() == (600, 7, 8)


@pytest.mark.parametrize("thresholds", [(0, 10, 10), (2 * NEW_OBJECTS, 10, 10)])
def test_who_collects_more_rarely_or_never_is_left_alone(thresholds):
    gc.set_threshold(*thresholds)
    with collected_afterwards():
        assert gc.get_threshold() == thresholds
    assert gc.get_threshold() == thresholds


def test_an_error_gives_back_what_was_set():
    gc.set_threshold(600, 7, 8)
    with pytest.raises(ValueError, match="wrong"), collected_afterwards():
        raise ValueError("wrong")
    assert gc.get_threshold() == (600, 7, 8)


def test_the_first_of_two_threads_to_end_leaves_the_other_undisturbed():
    gc.set_threshold(600, 7, 8)
    both, first_over = Barrier(2), Barrier(2)

    def first():
        with collected_afterwards():
            both.wait(10)
        first_over.wait(10)

    other = Thread(target=first)
    other.start()
    with collected_afterwards():
        both.wait(10)
        first_over.wait(10)
        assert gc.get_threshold() == (NEW_OBJECTS, 7, 8)
    other.join()
    assert gc.get_threshold() == (600, 7, 8)


class Ring:
    """An object that refers to itself, as garbage does that only a collector finds."""

    def __init__(self):
        self.own = self


class Littering(Strategy):
    """Leaves rings behind after every row, and notes how many there are."""

    rings: ClassVar["weakref.WeakSet[Ring]"] = weakref.WeakSet()
    alive: ClassVar[list[int]] = []

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        return ()

    def on_event(self, event, view):
        for _ in range(1_000):
            self.rings.add(Ring())
        self.alive.append(len(self.rings))
        return ()


def test_what_a_strategy_leaves_behind_is_collected_within_its_run():
    gc.set_threshold(700, 10, 10)
    Execution(1).run(evolve(assemble(Scenario.load(SCENARIO)), strategy=Littering()))
    assert max(Littering.alive) > 5_000, "not looked for as often as usual"
    assert max(Littering.alive) < NEW_OBJECTS
    assert gc.get_threshold() == (700, 10, 10)


def test_what_a_run_has_done_goes_with_it_without_a_collector():
    run = assemble(Scenario.load(SCENARIO)).simulation().run()
    gc.disable()
    try:
        orders = [weakref.ref(order) for _, order in run.events.orders() if isinstance(order, Order)]
        assert len(orders) > 10
        assert all(order() is not None for order in orders)
        del run
        assert [order() for order in orders] == [None] * len(orders)
    finally:
        gc.enable()
