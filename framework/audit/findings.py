"""Findings: what a check yields, where, and how near floats of two machines have to be."""

from collections.abc import Callable, Iterator

from attrs import frozen

from framework.market import utc
from framework.run_folder.archive import Folder


@frozen
class Finding:
    """Something that is not as it must be; `place` names an entry, an event, a row, an account or a file."""

    place: str
    words: str


Findings = Iterator[Finding]
Check = Callable[[Folder], Findings]
"""A check reads a folder and yields what it finds, in the order of the books; its docstring says what must hold."""


def entry(seq: int) -> str:
    """The place of a transfer, by its number."""
    return f"entry {seq}"


def second(at_ns: int) -> str:
    """An instant in UTC, to the second."""
    return utc(at_ns).replace(microsecond=0).isoformat()


KEPT = 100
"""Findings of one check that are kept; the rest is counted."""
FLOAT_SLACK = 1e-12
"""By how much a float may differ, of itself or in all: another machine may round sums and powers otherwise."""
COPIED = ("price", "close")
"""Floats that are cells of the market, or worked out by single operations alone: they are the same everywhere."""
