"""Garbage: when Python looks for objects that only refer to each other, which it does while it makes others.

A run makes thousands that all live until it is over: looking through them again and again takes a fifth of its time.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

NEW_OBJECTS = 50_000
"""A run with fewer is left alone; one whose strategy leaves garbage behind in every row is not."""

_lock = Lock()
_before: list[tuple[int, int, int]] = []
"""What held when each of those that are within came; the first of them found what the process wants."""


@contextmanager
def collected_afterwards() -> Iterator[None]:
    """Within it garbage is looked for only among so many new objects, and in all threads as before after the last."""
    with _lock:
        _before.append(gc.get_threshold())
        young, *older = _before[0]
        gc.set_threshold(max(young, NEW_OBJECTS) if young else 0, *older)
    try:
        yield
    finally:
        with _lock:
            threshold = _before.pop()
            if not _before:
                gc.set_threshold(*threshold)
