"""A finding: what a check has found, where, and in which words."""

from collections.abc import Callable, Iterator

from attrs import frozen

from framework.archive import Folder


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
