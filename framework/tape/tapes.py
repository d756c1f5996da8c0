"""Which runs have a tape in common, and which have none."""

from collections.abc import Hashable, Mapping, Sequence
from enum import Enum
from itertools import chain
from types import MappingProxyType
from typing import Any

import numpy as np
from attrs import fields_dict, has

from framework.assembly import Assembly
from framework.money import Account, Asset
from framework.run import Run
from framework.strategy import checked_conditions
from framework.support.source_code import is_own
from framework.tape.outline import PLAIN
from framework.tape.played import Played
from framework.tape.purity import CARRIES, impurity_of, impurity_of_rule, is_frozen, kept_by
from framework.tape.shelf import Shelf
from framework.tape.steps import NotPlayable
from framework.tape.tape import Settings, Tape
from framework.venue import Venue


def refusal(assembly: Assembly) -> str:
    """Why runs of an assembly are simulated as a whole, as far as is known beforehand; empty where they are not."""
    if assembly.incidents:
        return "the scenario has incidents"
    if not _carries_nothing(assembly.strategy):
        return f"{type(assembly.strategy).__name__} is not frozen, so it may carry something over from step to step"
    for condition in checked_conditions(assembly.strategy, [each.name for each in assembly.venues]):
        if not getattr(condition, "by_row", False):
            return f"{type(condition).__name__} is asked about many rows at once, for it does not say by_row"
        if not _carries_nothing(condition):
            return f"{type(condition).__name__} is not frozen, so it may carry something over from step to step"
    return next(filter(None, map(_refusal_of_venue, assembly.venues)), "") or kept_by(assembly.strategy)


def _refusal_of_venue(venue: Venue) -> str:
    if not is_frozen(venue):
        return f"{venue.name} is not frozen, so it may carry something over from step to step"
    rules = (each.compute for each in venue.accruals() if each.compute is not None)
    return next(filter(None, map(impurity_of_rule, rules)), "")


def _carries_nothing(part: object) -> bool:
    """Whether a value cannot change: a frozen one of plain fields, or a plain one."""
    if part is None or isinstance(part, int | float | str | Enum):
        return True
    if isinstance(part, tuple):
        return all(map(_carries_nothing, part))
    kind: Any = type(part)
    if not has(kind) or not all(_carries_nothing(getattr(part, each.name)) for each in kind.__attrs_attrs__):
        return False
    return is_frozen(part)


MOST_TAPES = 128
"""So many are kept: of a sweep over the rules of a venue each value needs its own, and few of its runs."""


class Tapes:
    """The tapes of a process, by what their runs have in common; those that were asked for last are kept.

    With a shelf they begin with what is on it.
    """

    def __init__(self, shelf: Shelf | None = None) -> None:
        self._shelf = shelf
        self._tapes: dict[Hashable, Tape] = {}
        """The one that was asked for last is the last."""
        self._venues: dict[tuple[int, ...], tuple[Sequence[Venue], Hashable]] = {}
        """Venues by class and field, and by what they are themselves: many cells of a sweep have the same ones."""

    @property
    def tapes(self) -> Sequence[Tape]:
        """All of them."""
        return list(self._tapes.values())

    def played(self, assembly: Assembly) -> Played:
        """A run of an assembly that is played; raises `NotPlayable` for one that has to be simulated."""
        tape, settings = self._found(assembly)
        return tape.play(settings, assembly.market)

    def run(self, assembly: Assembly, *, books: bool = True) -> Played | Run:
        """A run of an assembly, played or simulated; raises `CarrybookError`."""
        tape, settings = self.find(assembly)

        def simulated() -> Run:
            return assembly.simulation().run()

        if tape is None or settings is None:
            return simulated()
        return tape.run(settings, assembly.market, simulated, books=books)

    def find(self, assembly: Assembly) -> tuple[Tape | None, Settings | None]:
        """The tape and the settings of an assembly; None for both where its runs are simulated."""
        try:
            return self._found(assembly)
        except NotPlayable:
            return None, None

    def of(self, assembly: Assembly) -> Tape:
        """The tape of an assembly; raises `NotPlayable` where its runs are simulated as a whole."""
        return self._found(assembly)[0]

    def _found(self, assembly: Assembly) -> tuple[Tape, Settings]:
        why = refusal(assembly)
        if why:
            raise NotPlayable(why)
        settings = Settings.of(assembly)
        key = self._key(assembly, settings)
        tape = self._tapes.pop(key, None)
        if tape is None:
            tape = Tape.of(assembly, settings)
            if self._shelf is not None:
                self._shelf.read(key, tape)
        self._tapes[key] = tape
        if len(self._tapes) > MOST_TAPES:
            del self._tapes[next(iter(self._tapes))]
        if tape.given_up:
            raise NotPlayable(tape.given_up)
        return tape, settings

    def keep(self, growth: float) -> None:
        """Put tapes on the shelf that are trusted and have grown by more than a share of what is there."""
        grown = {
            key: tape
            for key, tape in self._tapes.items()
            if tape.is_trusted and len(tape.code.lines) > (1 + growth) * tape.kept
        }
        if self._shelf is not None and grown:
            self._shelf.write(grown)
            for tape in grown.values():
                tape.kept = len(tape.code.lines)

    def _key(self, assembly: Assembly, settings: Settings) -> Hashable:
        """What runs of one tape have in common: all but the numbers of the strategy, the capital and the market's."""
        kinds = [(part, {name: type(value) for name, value in numbers.items()}) for part, numbers in settings.parts]
        same = tuple(map(id, assembly.venues))
        if same not in self._venues:
            if len(self._venues) == MOST_TAPES:
                self._venues.clear()
            self._venues[same] = assembly.venues, _named(assembly.venues)
        _, named = self._venues[same]
        parts, market = tuple(_named(part, other) for part, other in kinds), assembly.market
        return parts, named, assembly.entry, assembly.path, tuple(sorted(market.columns)), market.coin


def _named(value: Any, other: Mapping[str, type] | None = None, *, of: type | None = None) -> Hashable:  # noqa: ANN401
    """A value by its class and its fields, to the last; `other` are put in place of fields of its own.

    The classes themselves are in it: two may have one name. Raises `NotPlayable` for a value of a kind that may have
    more to it than can be seen, and for one that may change, where it is a field of the class `of`, a user's own.
    """
    kind = type(value)
    if isinstance(value, Mapping) or kind in (tuple, list):
        if of is not None and kind not in (tuple, MappingProxyType):
            raise NotPlayable(f"{of.__name__} has a {kind.__name__}, {CARRIES}")
        parts = chain.from_iterable(value.items()) if isinstance(value, Mapping) else value
        return kind, tuple(_named(each, of=of) for each in parts)
    if kind in (*PLAIN, str, np.float64) or isinstance(value, Account | Asset):
        return kind, repr(value)
    if why := impurity_of(value if isinstance(value, type) else kind):
        raise NotPlayable(why)
    if isinstance(value, type):
        return value
    if isinstance(value, Enum):
        return kind, value.name
    if not has(kind):
        raise NotPlayable(f"there is a {kind.__name__} among the settings, of which it is not known what is in it")
    fields = {name: getattr(value, name) for name in fields_dict(kind)} | dict(other or {})
    is_users = kind if is_own(kind.__module__) else None
    return kind, tuple((name, _named(each, of=is_users)) for name, each in fields.items())
