"""Execution: how the cells of a sweep are run: played from a tape where that can be and pays, else simulated.

Both give the same figures to the last bit, so it is a matter of speed alone. Playing needs the extra `fast`.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from threading import Lock, local
from typing import TYPE_CHECKING

import numpy as np

from framework.assembly import Assembly
from framework.market import Floats, Market
from framework.money import USDC
from framework.performance import Path, outcome
from framework.run import Run
from framework.support.garbage import collected_afterwards
from framework.support.source_code import is_as_loaded

if TYPE_CHECKING:
    from framework.tape.played import Played
    from framework.tape.tape import Settings, Tape
    from framework.tape.tapes import Tapes

WORTH_CELLS = 128
"""Fewer cells are simulated: loading the player, and recording, takes longer than they do."""


def can_play(cells: int) -> bool:
    """Whether runs of a sweep of so many cells are played at all."""
    return cells >= WORTH_CELLS and find_spec("numba") is not None


class Execution:
    """What runs the cells of one sweep in one process; `cells` is how many there are in all.

    In each process it begins with what is kept on disk, unless the project's code has been changed there. Of several
    threads one at a time plays: a tape is played in one place.
    """

    def __init__(self, cells: int) -> None:
        self._cells = cells
        self._lock = Lock()
        self._tapes: Tapes | None = _tapes() if can_play(cells) else None
        is_missed = self._tapes is None and cells >= WORTH_CELLS
        self._tally = _Tally("the extra `fast` is not installed" if is_missed else "")
        self._known: dict[Assembly, tuple[Tape | None, Settings | None]] = {}
        self._path: Market | None = None
        self._prepared: dict[Tape, Market] = {}

    def __reduce__(self) -> "tuple[type[Execution], tuple[int]]":
        return Execution, (self._cells,)

    @collected_afterwards()
    def run(self, assembly: Assembly) -> Run:
        """A run with its whole books; raises `CarrybookError`."""
        found = self._found(assembly)
        return found if isinstance(found, Run) else found.run()

    @collected_afterwards()
    def worth(self, assembly: Assembly) -> Floats:
        """What a run was worth: the capital, the equity at every close, and at the end; USD, shape (rows + 2,)."""
        found = self._found(assembly, books=False)
        if isinstance(found, Run):
            return Path.of(found).usd
        return np.concatenate(([USDC.units(found.capital)], found.equity_usd, [found.final_usd]))

    def _found(self, assembly: Assembly, *, books: bool = True) -> "Played | Run":
        if self._tapes is None:
            return assembly.simulation().run()
        with self._lock:
            found = self._tapes.run(assembly, books=books)
            self._count(found, self._tapes, lambda: assembly)
        return found

    @collected_afterwards()
    def outcome(self, assembly: Assembly, path: Market) -> Mapping[str, float | int | None]:
        """The outcome of a cell on a path, of an assembly that is on another; raises `CarrybookError`."""

        def simulated() -> Run:
            return assembly.on(path).simulation().run()

        if self._tapes is None:
            return outcome(simulated())
        with self._lock:
            tape, settings = self._known_of(self._tapes, assembly)
            if tape is None or settings is None:
                found: Played | Run = simulated()
            else:
                found = tape.run(settings, self._on(path, assembly, tape), simulated, books=False)
            self._count(found, self._tapes, lambda: assembly.on(path))
            return outcome(found) if isinstance(found, Run) else found.outcome()

    def keep(self, growth: float = 0.0) -> None:
        """Keep on disk what was recorded of the project's own strategies and venues, for the next process.

        A tape is written as a whole, so only one that has grown by more than a share is.
        """
        if self._tapes is not None:
            with self._lock:
                self._tapes.keep(growth)

    def counted(self) -> tuple[int, str]:
        """How many runs this thread has played since it last asked, and why its first that could not be was simulated.

        The first runs of a kind, which are simulated to be sure of those that are played, have no reason.
        """
        played, self._tally.played = self._tally.played, 0
        return played, self._tally.why

    def _count(self, found: "Played | Run", tapes: "Tapes", assembly: Callable[[], Assembly]) -> None:
        if not isinstance(found, Run):
            self._tally.played += 1
        elif not self._tally.why:
            self._tally.why = _why_simulated(tapes, assembly())

    def _known_of(self, tapes: "Tapes", assembly: Assembly) -> "tuple[Tape | None, Settings | None]":
        """The tape of an assembly and its settings, found once."""
        found = self._known.get(assembly)
        if found is None:
            found = self._known[assembly] = tapes.find(assembly)
        return found

    def _on(self, path: Market, assembly: Assembly, tape: "Tape") -> Market:
        """A path as the venues of a tape need it, made once for all cells on it."""
        if self._path is not path:
            self._path = path
            self._prepared.clear()
        found = self._prepared.get(tape)
        if found is None:
            found = self._prepared[tape] = assembly.on(path).market
        return found


class _Tally(local):
    """How the runs of a thread came about."""

    def __init__(self, why: str) -> None:
        self.played, self.why = 0, why


def _tapes() -> "Tapes":
    from framework.tape.shelf import Shelf  # noqa: PLC0415  (it comes with them)
    from framework.tape.tapes import Tapes  # noqa: PLC0415  (it loads the compiler)

    return Tapes(Shelf.default() if is_as_loaded() else None)


def _why_simulated(tapes: "Tapes", assembly: Assembly) -> str:
    """Why a run that was simulated could not be played; empty for one of the first of its kind."""
    from framework.tape.steps import NotPlayable  # noqa: PLC0415  (it comes with the player)

    try:
        if tapes.of(assembly).broken_off:
            tapes.played(assembly)
    except NotPlayable as why:
        return str(why)
    return ""
