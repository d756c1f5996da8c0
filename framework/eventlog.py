"""The log of a run: every event in the order of its id, single ones as values and settlements as columns."""

from collections.abc import Iterator, Sequence

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from framework.accrual import Accrual
from framework.events import Event
from framework.market import Ints, Market


@frozen(eq=False)
class Settlements:
    """A settled stretch: event `first + k` settled market row `rows[k]` of accrual `columns[k]`."""

    first: int
    start: int
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    accruals: Sequence[Accrual]

    def __len__(self) -> int:
        return len(self.rows)

    def cut(self, first: int, stop: int) -> "Settlements":
        """The settlements from the one at `first` to the one before `stop`, counted from 0."""
        return evolve(self, first=self.first + first, rows=self.rows[first:stop], columns=self.columns[first:stop])

    def gains(self, column: int) -> Ints:
        """What one accrual brought us over the stretch, < 0 where it cost: atomic units, shape (rows,)."""
        accrual = self.accruals[column]
        return -accrual.amounts if accrual.stream.debit.name.startswith("Expenses:") else accrual.amounts


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
