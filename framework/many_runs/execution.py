"""Execution: how the cells of a sweep are run: played from a tape where that can be and pays, else simulated.

Both give the same figures to the last bit, so it is a matter of speed alone. Playing needs the extra `fast`.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from threading import Lock, local
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from attrs import define

from framework.assembly import Assembly
from framework.errors import PlayingError
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

Result = TypeVar("Result")
Outcome = Mapping[str, float | int | None]
"""See `performance.outcome`."""
WORTH_CELLS = 128
"""Fewer cells are simulated: loading the player, and recording, takes longer than they do."""
ROWS_AT_ONCE = 2**20
"""Runs that are played in one go have so many rows together, at most: that is 8 MB of equity."""


def attempted(make: Callable[[], Result]) -> Result | Exception:
    """What is made, or the error that ended it; raises `PlayingError`, which is about the runs before."""
    try:
        return make()
    except PlayingError:
        raise
    except Exception as error:
        return error


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
    def outcomes(self, cells: Sequence[tuple[Assembly, Market]]) -> list[Outcome | Exception]:
        """The outcome of each cell, which is an assembly and the path to run it on, or the error that ended it.

        Cells of one tape on one path are played in one go. Raises `PlayingError`.
        """
        tapes = self._tapes
        if tapes is None:
            return [attempted(partial(_simulated_outcome, *cell)) for cell in cells]
        found: list[Outcome | Exception] = []
        at_once = max(1, ROWS_AT_ONCE // max((len(path) for _, path in cells), default=1))
        markets: dict[Hashable, Market] = {}
        with self._lock:
            for start in range(0, len(cells), at_once):
                planned = [self._planned(tapes, *cell) for cell in cells[start : start + at_once]]
                _play_ahead(planned, markets)
                found += [attempted(partial(self._outcome, each, tapes)) for each in planned]
        return found

    def _planned(self, tapes: "Tapes", assembly: Assembly, path: Market) -> "_Planned":
        try:
            return _Planned(assembly, path, *self._known_of(tapes, assembly))
        except Exception:  # what is wrong with it its own run finds once more
            return _Planned(assembly, path, None, None)

    def _outcome(self, planned: "_Planned", tapes: "Tapes") -> Outcome:
        found = planned.run()
        self._count(found, tapes, planned.on_path)
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


def _simulated_outcome(assembly: Assembly, path: Market) -> Outcome:
    return outcome(assembly.on(path).simulation().run())


@define(eq=False)
class _Planned:
    """A cell that is to be run on a path, with its tape and settings if it has them, and the run once it is played."""

    assembly: Assembly
    path: Market
    tape: "Tape | None"
    settings: "Settings | None"
    market: Market | None = None
    """The path as the venues need it."""
    played: "Played | None" = None

    def on_path(self) -> Assembly:
        """The assembly on its path; raises `CarrybookError`."""
        return self.assembly.on(self.path)

    def run(self) -> "Played | Run":
        """The run; raises `CarrybookError`."""

        def simulated() -> Run:
            return self.on_path().simulation().run()

        if self.tape is None or self.settings is None:
            return simulated()
        market = self.market or self.on_path().market
        return self.tape.run(self.settings, market, simulated, books=False, ahead=self.played)


def _play_ahead(planned: Sequence[_Planned], markets: dict[Hashable, Market]) -> None:
    """Play what can be played in one go; what is wrong with a cell is left for its own run to find.

    `markets` are paths as venues need them, by both, to which those that are missing are added.
    """
    together: dict[Hashable, list[_Planned]] = {}
    for each in planned:
        if each.tape is not None:
            key = id(each.path), *map(id, each.assembly.venues)
            if key not in markets:
                try:
                    markets[key] = each.on_path().market
                except Exception:  # noqa: S112  (its own run finds it once more)
                    continue
            each.market = markets[key]
            together.setdefault((each.tape, id(each.market)), []).append(each)
    for group in together.values():
        tape, market = group[0].tape, group[0].market
        settings = [each.settings for each in group if each.settings is not None]
        if tape is not None and market is not None:
            for each, played in zip(group, tape.play_all(settings, market), strict=True):
                each.played = played


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
