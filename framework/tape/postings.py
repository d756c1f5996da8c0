"""Postings: the transfers that leaves stand for as columns with gaps, so that a ledger is made without any entry."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

from framework.books import Entry
from framework.events import Ended
from framework.ledger import Posted
from framework.market import Floats, Ints
from framework.money import Account
from framework.tape.outline import Output
from framework.tape.transit import InTransit
from framework.tape.tree import Leaf

NO_GAP = -1
"""What stands for the gap of an amount that is the same in every run."""


@define(eq=False)
class Postings:
    """The entries and transfers of all leaves of a tape, as far as they were asked for, one leaf after the other."""

    _of_leaves: list[tuple[int, int, int, int, int, bool, bool]] = field(init=False, factory=list)
    """First entry, entries, first transfer, transfers, numbers that are noted, whether there are columns of it, and
    whether something is sent or arrives.
    """
    _entries: list[tuple[int, bool]] = field(init=False, factory=list)
    """How many rows have passed beyond the step's, and whether it is the end of the run."""
    _transfers: list[tuple[int, int, int, int]] = field(init=False, factory=list)
    """The entry, the gap of the amount or `NO_GAP`, the amount if it has none, and the route."""
    _routes: dict[tuple[Account, Account, str], int] = field(init=False, factory=dict)
    _tables: list[NDArray[np.int64]] = field(init=False, factory=list)
    """The columns of the three lists as the rows of arrays, once they are asked for."""

    def of(self, leaves: Sequence[Leaf], numbers: Ints, rows: Ints, instants_ns: Ints, values: Floats) -> Posted | None:
        """The transfers of steps: the number of each one's leaf, its row and instant, and the values of all of them.

        What arrives does so in its own time, and not at that of its row. None where a leaf has an entry that does not
        fit into columns.
        """
        for leaf in leaves[len(self._of_leaves) :]:
            self._add(leaf)
        of_leaves, of_entries, of_transfers = self._arrays()
        first_entry, entries, first_transfer, transfers, noted, fits, moving = of_leaves.take(numbers, axis=1)
        if not fits.all():
            return None
        in_transit = InTransit()
        for step in np.flatnonzero(moving).tolist():
            leaf = leaves[numbers[step]]
            if leaf.adds.arrives:
                instants_ns[step], _ = in_transit.arrived()
            in_transit.send(leaf.sends, int(instants_ns[step]), ())
        rows_ahead, ends = of_entries.take(_spread(first_entry, entries), axis=1)
        place, gap, amount, route = of_transfers.take(_spread(first_transfer, transfers), axis=1)
        filled = np.flatnonzero(gap != NO_GAP)
        amount[filled] = values[(np.repeat(_before(noted), transfers) + gap)[filled]]
        return Posted(
            rows=np.repeat(rows, entries) + rows_ahead,
            at_ns=np.repeat(instants_ns, entries),
            ended=int(ends.argmax()),
            entry=np.repeat(_before(entries), transfers) + place,
            amount=amount,
            route=route,
            routes=tuple(self._routes),
        )

    def _add(self, leaf: Leaf) -> None:
        first, first_transfer = len(self._entries), len(self._transfers)
        entries: Sequence[Any] = () if leaf.adds is None else leaf.adds.entries
        fits = all(map(_fits, entries))
        for place, each in enumerate(entries if fits else ()):
            self._entries.append((each.rows.offset, isinstance(each.event, Ended)))
            for debit, credit, amount, kind in each.transfers:
                route = self._routes.setdefault((debit, credit, kind), len(self._routes))
                self._transfers.append((place, *_gap(amount), route))
        counts = len(self._entries) - first, first_transfer, len(self._transfers) - first_transfer
        moving = bool(leaf.sends) or (leaf.adds is not None and leaf.adds.arrives)
        self._of_leaves.append((first, *counts, len(leaf.outputs), fits, moving))
        self._tables.clear()

    def _arrays(self) -> list[NDArray[np.int64]]:
        if not self._tables:
            lists = (self._of_leaves, 7), (self._entries, 2), (self._transfers, 4)
            self._tables = [np.array(each, dtype=np.int64, order="F").reshape(-1, width).T for each, width in lists]
        return self._tables


def _fits(entry: Entry) -> bool:
    """Whether each transfer of an entry is of a kind that is the same in every run."""
    return all(type(kind) is str for *_, kind in entry.transfers)


def _gap(amount: Output | int) -> tuple[int, int]:
    """The gap of an amount, and the amount itself where it has none."""
    return (amount.number, 0) if isinstance(amount, Output) else (NO_GAP, amount)


def _before(counts: Ints) -> Ints:
    """How many there are before each, of so many each; shape (counts,)."""
    before: Ints = counts.cumsum() - counts
    return before


def _spread(starts: Ints, counts: Ints) -> Ints:
    """The places from each start on, so many each, one after the other."""
    return np.repeat(starts - _before(counts), counts) + np.arange(counts.sum())
