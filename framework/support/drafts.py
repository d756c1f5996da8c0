"""What killed commands have left unfinished: removed after a day, and never without a word."""

from pathlib import Path

from framework.support.files import clear_drafts
from framework.support.text import say


def clear(directory: Path) -> None:
    """Remove what killed commands have left unfinished there more than a day ago, and say so."""
    for each in clear_drafts(directory):
        say(f"Removed {each}, which was never finished.", err=True)
