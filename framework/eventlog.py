"""The log of a run: every event in the order of its id, single ones as values and settlements as columns."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from framework.accrual import Accrual
from framework.events import Event
from framework.market import Ints, Market


@frozen(eq=False)
class Settlements:
    """A settled stretch: event `first + k` settled market row `start + rows[k]` of accrual `columns[k]`.

    `amounts` are what was posted, shape (rows, accruals), of which `count` are not zero.
    """

    first: int
    start: int
    accruals: Sequence[Accrual]
    amounts: Ints
    count: int

    def __len__(self) -> int:
        return self.count

    @cached_property
    def _cells(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        rows, columns = self.amounts.nonzero()
        return rows, columns

    @property
    def rows(self) -> NDArray[np.intp]:
        """Row of each event, counted from `start`."""
        return self._cells[0]

    @property
    def columns(self) -> NDArray[np.intp]:
        """Accrual of each event."""
        return self._cells[1]

    def pieces(self, rows: int) -> Iterator["Settlements"]:
        """The same in pieces of so many rows at most, each with an event."""
        first = self.first
        for start in range(0, len(self.amounts), rows):
            part = slice(start, start + rows)
            amounts = self.amounts[part]
            count = int(np.count_nonzero(amounts))
            if count:
                accruals = [each.cut(part) for each in self.accruals]
                yield Settlements(first, self.start + start, accruals, amounts, count)
            first += count

    def gains(self, column: int) -> Ints:
        """What one accrual brought us over the stretch, < 0 where it cost: atomic units, shape (rows,)."""
        amounts, debit = self.amounts[:, column], self.accruals[column].stream.debit
        return -amounts if debit.name.startswith("Expenses:") else amounts


class EventLog:
    """Append-only; ids count from 1, in the order in which things happened."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._parts: list[Event | Settlements] = []
        self.next_id = 1

    def __len__(self) -> int:
        return self.next_id - 1

    def __iter__(self) -> Iterator[Event]:
        for part in self._parts:
            if isinstance(part, Event):
                yield part
            else:
                yield from self._settled(part)

    @property
    def parts(self) -> Sequence[Event | Settlements]:
        """Single events and settled stretches, in the order of their ids."""
        return self._parts

    def add(self, event: Event) -> None:
        """Append one event, which carries the next id."""
        assert event.event == self.next_id, "events are numbered as they are logged"
        self._parts.append(event)
        self.next_id += 1

    def add_settlements(self, settlements: Settlements) -> None:
        """Append the events of a settled stretch."""
        assert settlements.first == self.next_id, "events are numbered as they are logged"
        if len(settlements):
            self._parts.append(settlements)
            self.next_id += len(settlements)

    def single(self) -> Iterator[Event]:
        """The events that are not settlements: what venues and the strategy did."""
        return (part for part in self._parts if isinstance(part, Event))

    def _settled(self, part: Settlements) -> Iterator[Event]:
        gains = [part.gains(column) for column in range(len(part.accruals))]
        for number, (row, column) in enumerate(zip(part.rows.tolist(), part.columns.tolist(), strict=True)):
            accrual = part.accruals[column]
            yield accrual.event(
                event=part.first + number,
                at_ns=int(self._market.at_ns[part.start + row]),
                venue=accrual.venue,
                asset=accrual.asset,
                rate=float(accrual.rate[row]),
                price=float(accrual.price[row]),
                size=int(accrual.size[row]),
                amount=int(gains[column][row]),
            )
