"""Simulated time: integers that run forward only, and named phases that order what falls on one instant."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.clock import Clock, Phase
from framework.errors import CarrybookError

START_NS = 1_735_689_600 * 10**9
"""A time of this century: its floats are 256 ns apart."""


def waits(clock, *instants):
    """A process that waits for instants, one after the other."""
    for at_ns, phase in instants:
        yield clock.until(at_ns, phase)


def diary(clock, log, *instants):
    """A process that writes down the time and phase that it finds after each wait."""
    for at_ns, phase in instants:
        yield clock.until(at_ns, phase)
        log.append((clock.now_ns, clock.phase))


def called(calls, end_ns):
    """What happens, in its order, when `calls` of (at_ns, phase) are made from 0 and time passes until `end_ns`."""
    clock = Clock(0)
    log = []
    for number, (at_ns, phase) in enumerate(calls):
        clock.call(at_ns, phase, lambda number=number: log.append((clock.now_ns, clock.phase, number)))
    clock.run(waits(clock, (end_ns, Phase.ARRIVAL)))
    return log


def test_phases_are_in_the_order_of_an_instant():
    """What is owed settles first, then liquidations, then decisions; money arrives last."""
    assert list(Phase) == [Phase.ACCRUAL, Phase.LIQUIDATION, Phase.DECISION, Phase.ARRIVAL]
    assert sorted(Phase) == list(Phase)
    assert min(Phase) > 0


def test_phases_order_one_instant():
    """What is asked for in the wrong order happens in the order of the phases."""
    assert [phase for _, phase, _ in called([(5, phase) for phase in reversed(Phase)], 9)] == list(Phase)


def test_equal_time_and_phase_are_first_come_first_served():
    """Within a phase the order is that of asking, and another phase in between does not disturb it."""
    calls = [(5, Phase.DECISION), (5, Phase.ACCRUAL), (5, Phase.DECISION), (5, Phase.ACCRUAL), (5, Phase.DECISION)]
    assert [number for _, _, number in called(calls, 9)] == [1, 3, 0, 2, 4]


@given(calls=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(Phase)), max_size=30))
def test_the_order_is_time_then_phase_then_asking(calls):
    """However calls are mixed, they happen in a stable sort by time and phase, each in its own instant and phase."""
    expected = sorted(
        ((at_ns, phase, number) for number, (at_ns, phase) in enumerate(calls)), key=lambda call: call[:2]
    )
    assert called(calls, 6) == expected


def test_a_nanosecond_is_resolved():
    """Instants that floats could not tell apart stay apart, and the present is an int."""
    clock = Clock(START_NS)
    log = []
    clock.run(diary(clock, log, (START_NS + 1, Phase.DECISION), (START_NS + 2, Phase.DECISION)))
    assert log == [(START_NS + 1, Phase.DECISION), (START_NS + 2, Phase.DECISION)]
    assert type(clock.now_ns) is int
    assert float(START_NS) == float(START_NS + 2)


def test_a_clock_starts_where_it_is_told_in_the_first_phase():
    """A new clock is at the accrual of its first instant, with nothing due."""
    clock = Clock(START_NS)
    assert (clock.now_ns, clock.phase, clock.next_ns()) == (START_NS, Phase.ACCRUAL, None)


def test_there_is_no_way_back_in_time():
    """Asking for the past is refused with both instants in the message, and nothing becomes due."""
    clock = Clock(0)

    def process():
        yield clock.until(100, Phase.DECISION)
        with pytest.raises(CarrybookError) as refusal:
            clock.until(99, Phase.ARRIVAL)
        assert str(refusal.value) == "time runs forward: ARRIVAL at 99 ns is before now, DECISION at 100 ns"
        with pytest.raises(CarrybookError, match="LIQUIDATION at -1 ns is before now, DECISION at 100 ns"):
            clock.call(-1, Phase.LIQUIDATION, lambda: None)
        assert clock.next_ns() is None

    clock.run(process())
    assert (clock.now_ns, clock.phase) == (100, Phase.DECISION)


@pytest.mark.parametrize("now", Phase, ids=lambda phase: phase.name)
@pytest.mark.parametrize("asked", Phase, ids=lambda phase: phase.name)
def test_there_is_no_way_back_to_an_earlier_phase(now, asked):
    """Within an instant the phases run forward too: the present one and those after it can be reached."""
    clock = Clock(0)

    def process():
        yield clock.until(100, now)
        if asked < now:
            with pytest.raises(CarrybookError, match=f"{asked.name} at 100 ns is before now, {now.name} at 100 ns"):
                clock.until(100, asked)
            assert clock.next_ns() is None
        else:
            yield clock.until(100, asked)

    clock.run(process())
    assert (clock.now_ns, clock.phase) == (100, max(now, asked))


def test_a_later_instant_starts_again_at_the_first_phase():
    """An instant that ends in its last phase is followed by one that has all of them."""
    clock = Clock(0)
    log = []
    instants = [(1, Phase.ARRIVAL), (2, Phase.ACCRUAL), (2, Phase.LIQUIDATION), (2, Phase.ARRIVAL), (3, Phase.ACCRUAL)]
    clock.run(diary(clock, log, *instants))
    assert log == instants


@pytest.mark.parametrize("at_ns", [1.0, 1e18, "1", None, True, np.int64(5), float("inf")], ids=repr)
def test_time_is_an_int_of_nanoseconds(at_ns):
    """Floats, texts, booleans and numpy's integers are no time: they are named and nothing becomes due."""
    clock = Clock(0)
    with pytest.raises(CarrybookError) as refusal:
        clock.until(at_ns, Phase.ARRIVAL)
    assert str(refusal.value) == f"time is an int of nanoseconds, not {at_ns!r}"
    assert clock.next_ns() is None


def test_next_is_the_earliest_instant_that_is_due():
    """`next_ns` tells what is due without going there, whatever was asked for first."""
    clock = Clock(0)
    seen = []

    def process():
        clock.until(300, Phase.ACCRUAL)
        clock.until(200, Phase.ARRIVAL)
        seen.append((clock.now_ns, clock.next_ns()))
        yield clock.until(100, Phase.DECISION)
        seen.append((clock.now_ns, clock.next_ns()))
        yield clock.until(200, Phase.ARRIVAL)
        seen.append((clock.now_ns, clock.next_ns()))
        yield clock.until(300, Phase.ACCRUAL)
        seen.append((clock.now_ns, clock.next_ns()))

    clock.run(process())
    assert seen == [(0, 200), (100, 200), (200, 300), (300, None)]


def test_an_action_is_done_once_at_its_instant():
    """`call` needs no process of its own, and an action may ask for the next."""
    clock = Clock(0)
    log = []

    def again():
        log.append((clock.now_ns, clock.phase))
        if clock.now_ns < 30:
            clock.call(clock.now_ns + 10, Phase.LIQUIDATION, again)

    clock.call(10, Phase.LIQUIDATION, again)
    clock.run(waits(clock, (100, Phase.DECISION)))
    assert log == [(10, Phase.LIQUIDATION), (20, Phase.LIQUIDATION), (30, Phase.LIQUIDATION)]
    assert clock.now_ns == 100


def test_a_run_ends_with_its_process():
    """What is due after the process ends, even in the same instant and phase, does not happen."""
    clock = Clock(0)
    log = []
    clock.call(50, Phase.ACCRUAL, lambda: log.append("before"))
    clock.call(100, Phase.ACCRUAL, lambda: log.append("earlier phase"))
    clock.call(100, Phase.DECISION, lambda: log.append("asked for first"))

    def process():
        yield clock.until(100, Phase.DECISION)
        clock.call(100, Phase.DECISION, lambda: log.append("asked for last"))
        clock.call(100, Phase.ARRIVAL, lambda: log.append("later phase"))
        clock.call(101, Phase.ACCRUAL, lambda: log.append("later"))

    clock.run(process())
    assert log == ["before", "earlier phase", "asked for first"]
    assert (clock.now_ns, clock.phase) == (100, Phase.DECISION)


def test_an_error_in_a_process_ends_the_run_with_it():
    """What a process or an action raises reaches the caller of `run`, and time stays where it happened."""
    clock = Clock(0)

    def process():
        yield clock.until(7, Phase.DECISION)
        clock.until(6, Phase.DECISION)

    with pytest.raises(CarrybookError, match="DECISION at 6 ns is before now, DECISION at 7 ns"):
        clock.run(process())
    assert clock.now_ns == 7
