"""What is in transit between steps, in arrays of the player: when it is due, its kind, and its numbers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

TRANSIT_NUMBERS = 3
"""Numbers of a sum in transit: its amount, the fee on arrival, and the amount of its order."""
MOST_PENDING = 64
"""The most sums in transit at once."""
NONE = -1
"""What stands for no row."""


@frozen
class Sending:
    """What a step sends: the place of its entry, the number of its kind, its latency, the registers of its numbers."""

    entry: int
    kind: int
    latency_ns: int
    registers: Sequence[int]


class Pending(NamedTuple):
    """The sums in transit in a run that is played, in the order in which they are due."""

    due_ns: NDArray[np.int64]
    kinds: NDArray[np.int64]
    numbers: NDArray[np.float64]
    length: NDArray[np.int64]
    """How many of them there are; the rest is room."""
    started_row: NDArray[np.int64]
    """The row whose positions at its start are noted already, as something has arrived within it; or `NONE`."""
    noted_ns: NDArray[np.int64]
    """The last instant at which a step has added something to the books."""

    @classmethod
    def nothing(cls) -> "Pending":
        """Room, and nothing there."""
        of_each = np.zeros(MOST_PENDING, dtype=np.int64)
        numbers = np.zeros((MOST_PENDING, TRANSIT_NUMBERS))
        return cls(of_each, of_each.copy(), numbers, np.zeros(1, dtype=np.int64), np.full(1, NONE), np.full(1, NONE))
