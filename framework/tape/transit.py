"""Money in transit: the kinds of arrival with their numbers, the clock of a step, and who sent what arrives."""

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple

from attrs import frozen

from framework.books import Entry
from framework.clock import Clock
from framework.orders import Deposit, Move, Order, Withdraw
from framework.simulation import Transit
from framework.tape.pending import Sending

LONGEST_NS = 2**62
"""The longest way, so that the instant of arrival is an integer of 64 bits."""
SENDER: Any = Entry(None, None, 0, 0, ())  # type: ignore[arg-type]
"""Stands for the entry that sent what arrives, in the step of the arrival; nothing of it is read."""
NO_TRANSFER = "something other than a transfer is on its way, such as a stake that is paid out later"
"""Why a step is not played."""
TransitNumbers = tuple[Any, Any, Any]


@frozen
class Arrival:
    """A kind of arrival: all of it but its numbers. None for a venue is the wallet."""

    order: Order
    """The order by which it was sent, without its amount."""
    whole: bool
    """Whether the amount is an integer."""
    source: str | None
    target: str | None
    fails: bool
    latency_ns: int

    @classmethod
    def of(cls, transit: Transit) -> "tuple[Arrival, TransitNumbers] | None":
        """The kind and the numbers of a transit; None for one that is not carried over."""
        order = transit.order
        source, target = (each.name if each else None for each in (transit.source, transit.target))
        if not isinstance(order, Move | Deposit | Withdraw) or not 0 < transit.latency_ns < LONGEST_NS:
            return None
        number, fails, latency_ns = order.amount_usd, bool(transit.fails), int(transit.latency_ns)
        kind = cls(_with_amount(order, None), isinstance(number, int), source, target, fails, latency_ns)
        return kind, (transit.amount, transit.fee, number)

    def transit(self, numbers: TransitNumbers, sender: Entry, standing: Any) -> Transit:  # noqa: ANN401  (gives the standing of a venue)
        """A transit of this kind with its numbers."""
        amount, fee, number = numbers
        source, target = (None if name is None else standing(name) for name in (self.source, self.target))
        order = _with_amount(self.order, number)
        return Transit(sender, order, source, target, amount, fee, self.fails, self.latency_ns)

    def numbers(self, held: Sequence[float]) -> tuple[int, int, int | float]:
        """Its numbers, from the registers in which they are."""
        amount, fee, number = held
        return int(amount), int(fee), int(number) if self.whole else float(number)


def _with_amount(order: Any, number: Any) -> Any:  # noqa: ANN401
    """A copy of an order with another amount; its validators do not run."""
    found = object.__new__(type(order))
    for each in type(order).__attrs_attrs__:
        object.__setattr__(found, each.name, number if each.name == "amount_usd" else getattr(order, each.name))
    return found


class Departure(NamedTuple):
    """A sum that a step sends: the entry that sends it, the kind of its arrival, and its numbers."""

    entry: Entry
    kind: Arrival
    numbers: TransitNumbers


class StepClock(Clock):
    """The clock of a step: it stands still, and notes what the step sends."""

    def __init__(self, start_ns: int) -> None:
        super().__init__(start_ns)
        self.begin(start_ns)

    def begin(self, now_ns: Any) -> None:  # noqa: ANN401  (an instant, recorded or not)
        """Be at an instant, with nothing sent."""
        self._stands_at: Any = now_ns
        self.departures: list[Departure] = []
        self.not_carried = ""
        """Why what was scheduled is not carried over; empty if it is."""

    @property
    def now_ns(self) -> Any:  # noqa: ANN401
        """The instant of the step."""
        return self._stands_at

    def call(self, *_: object) -> None:
        """Note that something comes later that is not carried over, such as what a stake pool pays out."""
        self.not_carried = NO_TRANSFER

    def call_in(self, _delay_ns: int, _phase: object, action: Any) -> None:  # noqa: ANN401
        """Note what is to arrive."""
        (transit,) = action.args
        found = Arrival.of(transit)
        if found is None:
            self.not_carried = NO_TRANSFER
        else:
            self.departures.append(Departure(transit.sent, *found))


class InTransit:
    """What is in transit while the noted steps of a run are read in order: when it arrives, and which entry sent it."""

    def __init__(self) -> None:
        self._due: list[tuple[int, int, Any]] = []
        self._count = 0

    def send(self, sends: Sequence[Sending], at_ns: int, entries: Sequence[Any]) -> None:
        """Let a step send something; `entries` are its own, or none where nobody needs them."""
        for each in sends:
            heappush(self._due, (at_ns + each.latency_ns, self._count, entries[each.entry] if entries else None))
            self._count += 1

    def arrived(self) -> tuple[int, Any]:
        """The instant of the next arrival, and the entry of its sending."""
        at_ns, _, entry = heappop(self._due)
        return at_ns, entry
