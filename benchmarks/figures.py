"""A figure: one measured value with its target, and how times are taken so that they can be compared."""

from collections.abc import Callable, Mapping
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from time import process_time

from attrs import frozen


@frozen(kw_only=True)
class Figure:
    """One line of the table: what was measured, its value in `unit`, and the target, at most or `at_least` so much.

    Without a target the value is there to be read; without a value, `words` say why there is none.
    """

    name: str
    value: float | None = None
    unit: str = "x"
    target: float | None = None
    at_least: bool = False
    words: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.value is None or self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def cells(self) -> tuple[str, str, str, str, str]:
        """The figure as text: name, value, target, whether it is met, and the words."""
        value = "" if self.value is None else f"{_short(self.value)} {self.unit}"
        bound = "or more" if self.at_least else "or less"
        target = "" if self.target is None else f"{_short(self.target)} {bound}"
        met = {None: "", True: "yes", False: "no"}[self.met]
        return self.name, value, target, met, self.words


def medians(
    times: int, actions: Mapping[str, Callable[[], object]], clock: Callable[[], float] = process_time
) -> dict[str, float]:
    """The median seconds of each action, all done in turn `times` times.

    The clock is this process's processor time, to which other programs add little; what waits for other processes has
    to be timed by `perf_counter`.
    """
    found: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(times):
        for name, action in actions.items():
            began = clock()
            action()
            found[name].append(clock() - began)
    return {name: median(each) for name, each in found.items()}


def children_time() -> float:
    """Seconds of processor time of all processes that this one has started and seen end."""
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def milliseconds(seconds: float) -> str:
    """Seconds as text in milliseconds."""
    return f"{seconds * 1e3:.3g} ms"


def _short(value: float) -> str:
    """Three digits, or a whole number with its thousands."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
