"""What is on its way between steps, as the player keeps it: when it is due, of what kind it is, and its numbers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

CARRIED = 3
"""How many numbers are carried over of what is on its way: its amount, its fee on arriving, the amount of its order."""
MOST_PENDING = 64
"""So many sums are on their way at once, at most."""
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
    """What is on its way in a run that is played, what is due first being the first; see `player`."""

    due_ns: NDArray[np.int64]
    kinds: NDArray[np.int64]
    numbers: NDArray[np.float64]
    length: NDArray[np.int64]
    """How many of them there are; the rest is room."""
    begun: NDArray[np.int64]
    """The row whose first positions are noted already, because something has arrived within it; `NONE` if none are."""
    noted_ns: NDArray[np.int64]
    """The last instant at which a step has added something to the books."""

    @classmethod
    def nothing(cls) -> "Pending":
        """Room, and nothing there."""
        of_each = np.zeros(MOST_PENDING, dtype=np.int64)
        numbers = np.zeros((MOST_PENDING, CARRIED))
        return cls(of_each, of_each.copy(), numbers, np.zeros(1, dtype=np.int64), np.full(1, NONE), np.full(1, NONE))
