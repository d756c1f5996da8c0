"""Simulated UTC time on simpy: integer nanoseconds that never run backwards, and named phases within an instant."""

from collections.abc import Callable, Generator
from datetime import date
from enum import IntEnum
from typing import Any

import simpy

from framework.errors import CarrybookError

NS_PER_SECOND = 1_000_000_000
NS_PER_HOUR = 3_600 * NS_PER_SECOND
NS_PER_DAY = 86_400 * NS_PER_SECOND
NS_PER_YEAR = 365 * NS_PER_DAY
"""Rates per year are spread over 365 days, as lenders and the funding tables do."""


INTERVALS_NS = {
    "1m": 60 * NS_PER_SECOND,
    "3m": 180 * NS_PER_SECOND,
    "5m": 300 * NS_PER_SECOND,
    "15m": 900 * NS_PER_SECOND,
    "30m": 1800 * NS_PER_SECOND,
    "1h": NS_PER_HOUR,
    "2h": 2 * NS_PER_HOUR,
    "4h": 4 * NS_PER_HOUR,
    "8h": 8 * NS_PER_HOUR,
    "12h": 12 * NS_PER_HOUR,
    "1d": NS_PER_DAY,
}
"""Length of an interval by its name."""


def midnight_ns(day: date) -> int:
    """The instant at which a day begins in UTC."""
    return (day - date(1970, 1, 1)).days * NS_PER_DAY


class Phase(IntEnum):
    """What happens first when several things fall on one instant; above 0, which simpy keeps for stopping a run."""

    ACCRUAL = 1
    LIQUIDATION = 2
    DECISION = 3
    ARRIVAL = 4
    """Money that arrives at the instant of a check comes too late for it."""


class _Instant(simpy.Event):
    """A simpy event that happens at a time and in a phase, which simpy's own timeouts cannot."""

    def __init__(self, environment: simpy.Environment, delay_ns: int, phase: Phase) -> None:
        super().__init__(environment)
        self.phase = phase
        self._ok = True
        self._value = None
        environment.schedule(self, priority=phase, delay=delay_ns)  # type: ignore[arg-type]  # any int orders


class Clock:
    """Simulated time: processes wait with `yield clock.until(at_ns, phase)`."""

    def __init__(self, start_ns: int) -> None:
        self._environment = simpy.Environment(initial_time=start_ns)
        self._phase = Phase.ACCRUAL

    @property
    def now_ns(self) -> int:
        """The present instant, nanoseconds since 1970 in UTC."""
        return int(self._environment.now)

    @property
    def phase(self) -> Phase:
        """The phase of the present instant."""
        return self._phase

    def next_ns(self) -> int | None:
        """The instant of the next thing that is due, if anything is."""
        due = self._environment.peek()
        return None if due == float("inf") else int(due)

    def until(self, at_ns: int, phase: Phase) -> simpy.Event:
        """An event that happens at `at_ns` in `phase`; raises for the past, into which simpy would step back."""
        if type(at_ns) is not int:
            raise CarrybookError(f"time is an int of nanoseconds, not {at_ns!r}")
        delay_ns = at_ns - self._environment.now
        if delay_ns < 0 or (delay_ns == 0 and phase < self._phase):
            raise CarrybookError(
                f"time runs forward: {phase.name} at {at_ns} ns is before now, {self._phase.name} at {self.now_ns} ns"
            )
        instant = _Instant(self._environment, int(delay_ns), phase)
        instant.callbacks.append(self._enter)
        return instant

    def call(self, at_ns: int, phase: Phase, action: Callable[[], None]) -> None:
        """Do `action` at `at_ns` in `phase`."""
        self.until(at_ns, phase).callbacks.append(lambda _: action())

    def call_in(self, delay_ns: int, phase: Phase, action: Callable[[], None]) -> None:
        """Do `action` so many nanoseconds from now, in `phase`."""
        self.call(self.now_ns + delay_ns, phase, action)

    def run(self, process: Generator[simpy.Event, Any, None]) -> None:
        """Let time pass until `process` ends; what is due after that does not happen."""
        self._environment.run(until=self._environment.process(process))

    def _enter(self, instant: simpy.Event) -> None:
        assert isinstance(instant, _Instant)
        self._phase = instant.phase
