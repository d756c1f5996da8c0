"""Text from outside on its way to people: nothing in it may steer a terminal, and no value fills a screen.

Scenarios, tables, folders and replies may hold any character. Everything that is printed goes through `say` or, for
tables and trees, through `framework.support.grid.terminal`; the linter knows no other way.
"""

import csv
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import IO

import click

from framework.errors import OutputClosed

SHOWN = 80
"""How many characters of a value a message shows."""
LINE = 2_000
"""How many characters an error message has at most."""
KEPT = "\n\t"
"""Characters that are not printable and harmless."""


def plain(text: str, encoding: str = "utf-8") -> str:
    """A text as any terminal can show it: what would steer it, or what it cannot encode, is escaped.

    That is everything that is not printable: control characters of both kinds, such as ESC, marks that turn the
    direction of writing around, and halves of surrogate pairs.
    """
    if not text.isprintable():
        text = "".join(
            each if each.isprintable() or each in KEPT else each.encode("unicode_escape").decode() for each in text
        )
    return text if text.isascii() else text.encode(encoding, errors="backslashreplace").decode(encoding)


def shown(value: object) -> str:
    """A value as a message shows it: its `repr`, cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of more digits than Python prints
        return f"a huge {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def counted(count: int, what: str) -> str:
    """A number of things: `1 finding`, `2,000 findings`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def flat(table: Mapping[str, object], above: str = "") -> dict[str, object]:
    """Nested tables as one level of dotted keys; an empty table is none."""
    found: dict[str, object] = {}
    for key, value in table.items():
        found |= flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: value}
    return found


def one_line(words: str) -> str:
    """An error message in one line, cut where it is too long; a word of more than `LINE` / 4 characters as well."""
    most = LINE // 4
    line = " ".join(each if len(each) <= most else f"{each[:SHOWN]}..." for each in words.split())
    return line if len(line) <= LINE else f"{line[:LINE]}..."


NUMERAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?", re.ASCII)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a text begins with that a spreadsheet would take for a formula."""


class Sheet:
    """A CSV file that spreadsheets may open: a text that they would take for a formula has an apostrophe before it."""

    def __init__(self, file: IO[str]) -> None:
        self._writer = csv.writer(file, lineterminator="\n")

    def writerow(self, cells: Iterable[object]) -> None:
        """Write a row."""
        self._writer.writerow([_guarded(cell) for cell in cells])

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        """Write rows."""
        for row in rows:
            self.writerow(row)

    def writecolumns(self, columns: Iterable[Sequence[object]]) -> None:
        """Write rows by their columns, of which only those with texts are looked at."""
        self._writer.writerows(zip(*map(_guarded_column, columns), strict=True))


def _guarded_column(cells: Sequence[object]) -> Sequence[object]:
    if not any(issubclass(kind, str) for kind in set(map(type, cells))):
        return cells
    return [_guarded(cell) if cell else cell for cell in cells]


def _guarded(cell: object) -> object:
    if isinstance(cell, str) and cell.startswith(FORMULA) and not NUMERAL.fullmatch(cell):
        return f"'{cell}"
    return cell


def say(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text; raises `OutputClosed` where nobody reads any more."""
    stream = sys.stderr if err else sys.stdout
    try:
        click.echo(plain(str(text), stream.encoding or "utf-8"), err=err, nl=nl)
    except BrokenPipeError:
        raise OutputClosed from None
