"""Answers of SQL as people and programs read them: a table, CSV or JSON, with exact decimals in all three."""

import csv
import io
import json
import math
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice

from framework.errors import SqlError
from framework.grid import Grid
from framework.saved.sql import Answer

ROWS = 1_000
"""Rows of an answer that are printed as a table; CSV and JSON have all."""


def grid(answer: Answer) -> tuple[Grid, str]:
    """The first rows of an answer for the terminal, and what must be known about them: a line each, or nothing."""
    names = zip(answer.columns, answer.numeric, strict=True)
    table = Grid("", tuple(name if number else f"<{name}" for name, number in names))
    for row in islice(answer.rows, ROWS):
        table.add(*map(_text, row))
    more = f"The first {ROWS:,} rows; --csv and --json print all." if next(answer.rows, None) else ""
    return table, "\n".join(filter(None, (more, answer.label)))


def csv_lines(answer: Answer) -> Iterator[str]:
    """An answer as lines of CSV, the names of the columns first; NULL is an empty cell."""
    yield _csv(answer.columns)
    for row in answer.rows:
        yield _csv([_text(value) for value in row])


def json_lines(answer: Answer) -> Iterator[str]:
    """An answer as an array of objects, a line each; DECIMALs and times are text, NULL and NaN are null.

    Raises `SqlError` where two columns have one name.
    """
    twice = [name for name in answer.columns if answer.columns.count(name) > 1]
    if twice:
        raise SqlError(f"SQL: two columns are called {twice[0]}; expected a name of its own for each (AS) in JSON")
    between = "["
    for row in answer.rows:
        yield f"{between}\n{json.dumps(dict(zip(answer.columns, map(_plain, row), strict=True)), default=_text)}"
        between = ","
    yield "[]\n" if between == "[" else "\n]\n"


def _csv(cells: tuple[str, ...] | list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _plain(value: object) -> object:
    """What JSON can say, and what is in it."""
    match value:
        case dict():
            return {_text(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
