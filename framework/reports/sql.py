"""A saved run in SQL: views for DuckDB, and the answers as a table, CSV or JSON.

Amounts are integers of atomic units; `units`, prices and dollars are DECIMALs, so that sums are exact. A statement
reads the run's own files and no other, and can change nothing.
"""

import io
import json
import math
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from importlib.resources import files
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from subprocess import DEVNULL, PIPE
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from attrs import frozen

from framework.errors import RunError, SqlError
from framework.money import Asset
from framework.reports import query
from framework.run_folder.archive import Folder
from framework.run_folder.tables import NAMES as TABLES
from framework.support.grid import Grid
from framework.support.suggestions import suggestion
from framework.support.text import Sheet
from framework.valuation import priced

WIDTH = 38
"""Digits of a DECIMAL."""
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DECIMAL", "FLOAT", "DOUBLE")
"""How the types of numbers begin."""
MEMORY_GB = 1.0
"""Memory that an answer may take by default, GB."""
TIME_S = 300.0
"""Seconds that an answer may take by default."""
MOST_S = 1_000_000
"""More than anybody waits."""
BOUNDS_GB = 0.5, 1e6
"""The least memory with which anything is answered, and more than anybody has."""
OURS_GB = 0.3
"""What of it the process takes beside DuckDB."""
THREAD_GB = 0.1
"""What each thread of DuckDB needs for itself: there are as many as the memory suffices for, at most one per core."""

VIEWS = files(__package__).joinpath("views.sql").read_text(encoding="utf-8")
"""The views, with names in braces for what a run has of its own: its chart of accounts, its files, its prices."""
NAMES = tuple(re.findall(r"CREATE VIEW (\w+) AS", VIEWS))


QUOTES = """
SELECT row, {at_ns} AS at_ns, {asset} AS asset,
    CAST(CAST({column} AS VARCHAR) AS DECIMAL(38, {places})) AS price_usd
FROM market"""
"""The prices of one asset, out of the column of the market that has them."""


@frozen
class Answer:
    """What a query gave: names of the columns, which of them are numbers, and the rows, once, as they are fetched.

    `label` is what a reader of any result must know about the data, or nothing.
    """

    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: Iterator[tuple[object, ...]]
    label: str


@contextmanager
def ask(folder: Folder, statement: str, memory_gb: float = MEMORY_GB, time_s: float = TIME_S) -> Iterator[Answer]:
    """The answer to one SELECT over the views of a saved run; raises `SqlError` for what DuckDB cannot answer.

    The statement sees the tables of the run's folder and no other file, and can change nothing. It is answered by a
    process of its own, which is ended where it takes more than `memory_gb`, 10^9 bytes each, more than `time_s`, or
    longer than the answer is wanted. What does not fit into memory lies in a temporary folder meanwhile.
    """
    least_gb, most_gb = BOUNDS_GB
    if not least_gb <= memory_gb <= most_gb:
        raise SqlError(f"SQL: memory of {memory_gb:g} GB; expected {least_gb:g} or more")
    if not 0 < time_s <= MOST_S:
        raise SqlError(f"SQL: a time of {time_s:g} s; expected more than 0 and at most {MOST_S:,}")
    if find_spec("duckdb") is None:
        raise SqlError("SQL needs DuckDB, which is not installed; expected pip install '.[sql]'")
    with TemporaryDirectory(prefix="carrybook.") as spill:
        limit_gb = memory_gb - OURS_GB
        threads = max(1, min(os.cpu_count() or 1, int(limit_gb / THREAD_GB)))
        request = {
            "script": views(folder),
            "statement": statement,
            "memory_bytes": round(memory_gb * 1e9),
            "cpu_s": math.ceil(time_s * threads) + 1,
            "settings": [
                f"SET temp_directory = {_quote(spill)}",
                f"SET memory_limit = '{round(limit_gb * 1000)}MB'",
                "SET enable_progress_bar = false",
                f"SET threads = {threads}",
                f"SET allowed_paths = [{', '.join(_quote(path) for path in _files(folder).values())}]",
            ],
            "locks": [
                "SET python_enable_replacements = false",
                "SET enable_external_access = false",
                "SET lock_configuration = true",
            ],
        }
        command = [sys.executable, "-P", str(Path(query.__file__))]
        with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL) as process:  # noqa: S603  (our own)
            out_of_time = threading.Event()
            timer = threading.Timer(time_s, _end, (process, out_of_time))
            timer.daemon = True
            timer.start()
            try:
                yield _read(folder, process, request, _Limits(memory_gb, time_s, out_of_time))
            finally:
                timer.cancel()
                process.kill()


class _Limits(NamedTuple):
    memory_gb: float
    time_s: float
    out_of_time: threading.Event


def _end(process: "subprocess.Popen[bytes]", out_of_time: threading.Event) -> None:
    out_of_time.set()
    process.kill()


def _read(folder: Folder, process: "subprocess.Popen[bytes]", request: dict[str, object], limits: _Limits) -> Answer:
    """What the process answers; its rows are read as they are wanted."""
    assert process.stdin
    with suppress(BrokenPipeError):
        query.send(process.stdin, (request,))
    columns = _next(folder, process, limits)[1]
    names, kinds = zip(*columns, strict=True)

    def rows() -> Iterator[tuple[object, ...]]:
        while (message := _next(folder, process, limits))[0] == "rows":
            yield from message[1]

    return Answer(names, tuple(kind.startswith(NUMBERS) for kind in kinds), rows(), folder.label)


def _next(folder: Folder, process: "subprocess.Popen[bytes]", limits: _Limits) -> tuple[Any, ...]:
    """The next message of the process; raises `SqlError`, or `RunError` for tables that cannot be read."""
    assert process.stdout
    message = query.receive(process.stdout)
    if message is None and limits.out_of_time.is_set():
        raise SqlError(f"SQL: needs more time than {limits.time_s:g} s; expected --seconds with more")
    match message:
        case None | ("memory",):
            raise SqlError(f"SQL: needs more memory than {limits.memory_gb:g} GB; expected --memory with more")
        case ("tables", error):
            raise RunError(f"{folder.path}: {_words(error)}; expected the tables as they were saved")
        case ("refused", found):
            raise SqlError(f"SQL: {found}; expected one SELECT")
        case ("error", error):
            raise SqlError(f"SQL: {_without_view(error) or _words(error)}")
    return message


def _without_view(error: object) -> str:
    """The message for a view that does not exist; empty for any other error."""
    missing = re.search(r"Table with name (\S+) does not exist", str(error))
    return f"no view {missing[1]!r}; {suggestion(missing[1], NAMES)}" if missing else ""


def views(folder: Folder) -> str:
    """The statements that make the views, for DuckDB alone: they read the folder's files where they lie."""
    folder.check_tables()
    most = max(asset.decimals for asset in folder.assets)
    assets = priced(folder.accounts)
    places = min(max(map(folder.price_decimals, assets), default=0), WIDTH - most)
    atoms = " ".join(
        f"WHEN {_quote(asset.code)} THEN CAST({10**-asset.decimals:.{asset.decimals}f} AS DECIMAL({most + 1}, {most}))"
        for asset in folder.assets
    )
    rows = [
        f"    ({number}, {_quote(account.name)}, {_quote(account.asset.code)}, "
        f"{_quote(account.name.partition(':')[0])}, {account.asset.decimals}, {_quote(account.bucket)})"
        for number, account in enumerate(folder.accounts)
    ]
    closes = {asset: folder.price_column(asset) for asset in assets}
    opens = {asset: folder.price_column(asset, folder.opened_at) for asset in assets}

    def quoted(at_ns: str, columns: dict[Asset, str], rows: str) -> str:
        selected = [
            QUOTES.format(at_ns=at_ns, asset=_quote(asset.code), column=_identifier(column), places=places) + rows
            for asset, column in columns.items()
        ]
        return " UNION ALL ".join(selected) or QUOTES.format(at_ns=0, asset="''", column=0, places=0) + " LIMIT 0"

    return VIEWS.format(
        chart=",\n".join(rows),
        width=WIDTH,
        places=places,
        atoms=atoms,
        prices=quoted("at_ns", closes, ""),
        opened=quoted("0", opens, " WHERE row = 0"),
        **{table: f"read_parquet({_quote(path)})" for table, path in _files(folder).items()},
    )


def _files(folder: Folder) -> dict[str, str]:
    return {table: str((folder.path / f"{table}.parquet").resolve()) for table in TABLES}


def _words(error: str) -> str:
    words, _, _ = error.partition("\n\nLINE ")
    return " ".join(words.split())


def _quote(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def _identifier(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


ROWS_SHOWN = 1_000
"""Rows of an answer that are printed as a table; CSV and JSON have all."""


def grid(answer: Answer) -> tuple[Grid, str]:
    """The first rows of an answer for the terminal, and what must be known about them: a line each, or nothing."""
    names = zip(answer.columns, answer.numeric, strict=True)
    table = Grid("", tuple(name if number else f"<{name}" for name, number in names))
    for row in islice(answer.rows, ROWS_SHOWN):
        table.add(*map(_cell, row))
    more = f"The first {ROWS_SHOWN:,} rows; --csv and --json print all." if next(answer.rows, None) else ""
    return table, "\n".join(filter(None, (more, answer.label)))


def csv_lines(answer: Answer) -> Iterator[str]:
    """An answer as lines of CSV, the names of the columns first; NULL is an empty cell."""
    yield _csv_line(answer.columns)
    for row in answer.rows:
        yield _csv_line([_cell(value) for value in row])


def json_lines(answer: Answer) -> Iterator[str]:
    """An answer as an array of objects, a line each; DECIMALs and times are text, NULL and NaN are null.

    Raises `SqlError` where two columns have one name.
    """
    twice = [name for name in answer.columns if answer.columns.count(name) > 1]
    if twice:
        raise SqlError(f"SQL: two columns are called {twice[0]}; expected a name of its own for each (AS) in JSON")
    between = "["
    for row in answer.rows:
        yield f"{between}\n{json.dumps(dict(zip(answer.columns, map(_plain, row), strict=True)), default=_cell)}"
        between = ","
    yield "[]\n" if between == "[" else "\n]\n"


def _csv_line(cells: tuple[str, ...] | list[str]) -> str:
    line = io.StringIO()
    Sheet(line).writerow(cells)
    return line.getvalue()


def _plain(value: object) -> object:
    """What JSON can say, and what is in it."""
    match value:
        case dict():
            return {_cell(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
