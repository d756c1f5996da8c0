"""Many similar lines of text in little space: as columns of words, compressed, for a page that unpacks them.

Lines with the same number of words become columns. A column of numbers that differ by little keeps their differences,
one whose words repeat names each once, and then gzip has an easy time. `page.js` has the way back.
"""

import base64
import gzip
import json
import re
from collections.abc import Sequence

__all__ = ["packed", "table"]

NUMBER = re.compile(r"(.*?)(0|[1-9]\d{0,14})(\D*)", re.DOTALL)
Column = str | list[object] | dict[str, object]


def packed(value: object) -> str:
    """A value as JSON, compressed, in base64."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode()


def table(lines: Sequence[str]) -> list[dict[str, object]]:
    """Lines as groups of columns: `at` is the place of each of a group's lines, `columns` are their words."""
    groups: dict[int, tuple[list[int], list[list[str]]]] = {}
    for place, line in enumerate(lines):
        words = line.split(" ")
        places, rows = groups.setdefault(len(words), ([], []))
        places.append(place)
        rows.append(words)
    return [
        {"at": _steps(places), "columns": [_column(column) for column in zip(*rows, strict=True)]}
        for places, rows in groups.values()
    ]


def _column(words: Sequence[str]) -> Column:
    if len(set(words)) == 1:
        return words[0]
    numbers = _numbers(words)
    if numbers is not None:
        return numbers
    return [0 if word == last else word for word, last in zip(words, ["", *words[:-1]], strict=True)]


def _numbers(words: Sequence[str]) -> Column | None:
    """Words that are a number between the same letters; None for others."""
    first = NUMBER.fullmatch(words[0])
    if first is None:
        return None
    before, after = first[1], first[3]
    numbers = []
    for word in words:
        found = NUMBER.fullmatch(word)
        if found is None or found[1] != before or found[3] != after:
            return None
        numbers.append(int(found[2]))
    return {"before": before, "steps": _steps(numbers), "after": after}


def _steps(numbers: Sequence[int]) -> list[int]:
    """The first number, and by how much each of the others is more than the one before it."""
    return [number - last for number, last in zip(numbers, [0, *numbers[:-1]], strict=True)]
