"""Suggestions: the known name that somebody who typed an unknown one probably meant."""

from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path


def closest(word: str, known: Collection[str], likeness: float = 0.6) -> str:
    """`did you mean NAME?` with the known name that is closest; nothing where none is close.

    `likeness`, 0 to 1, is how alike two close names are; it is higher for names that share long beginnings.
    """
    close = get_close_matches(word, known, n=1, cutoff=likeness)
    return f"did you mean {close[0]}?" if close else ""


def suggestion(word: str, known: Collection[str]) -> str:
    """The same; where none is close, `expected one of` all of them."""
    return closest(word, known) or f"expected one of {', '.join(known)}"


def closest_path(path: Path) -> str:
    """`did you mean PATH?` with the path that is there and closest, part by part; nothing where none is close."""
    found = Path(path.anchor)
    try:
        for part in path.relative_to(found).parts:
            below = found / part
            if not below.exists():
                close = get_close_matches(part, [each.name for each in found.iterdir()], n=1)
                if not close:
                    return ""
                below = found / close[0]
            found = below
    except (OSError, ValueError):  # a file among the directories, or a name that no file can have
        return ""
    return "" if found == path else f"did you mean {found}?"
