"""What killed commands have left unfinished: removed as soon as it is sure to be, and never without a word."""

from collections.abc import Iterable
from pathlib import Path

from framework.support.files import clear_drafts, clear_drafts_of
from framework.support.text import say


def clear(directory: Path) -> None:
    """Remove what killed commands have left unfinished there more than a day ago, and say so."""
    _tell(clear_drafts(directory))


def clear_of(path: Path) -> None:
    """Remove what killed commands have left unfinished of one file, which nobody else may be writing, and say so."""
    _tell(clear_drafts_of(path))


def _tell(removed: Iterable[Path]) -> None:
    for each in removed:
        say(f"Removed {each}, which was never finished.", err=True)
