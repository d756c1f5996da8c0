"""One query in a process of its own, which may take so much memory, so many threads and so much time, and no more.

It is run by its file, so it imports nothing of this project; `framework.reports.sql` starts it and reads its answer.
"""

import contextlib
import pickle
import struct
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from io import BytesIO
from typing import IO, Any
from uuid import UUID

FETCHED = 4096
"""Rows of an answer that are sent at a time."""
PLAIN = {
    (kind.__module__, kind.__qualname__): kind for kind in (Decimal, UUID, date, datetime, time, timedelta, timezone)
}
"""What an answer holds besides numbers and text."""


class _Answer(pickle.Unpickler):  # noqa: S301  (which makes nothing but plain values)
    """Reads what the process sends, and makes nothing but plain values of it."""

    def find_class(self, module: str, name: str) -> object:
        return PLAIN[module, name]


def send(stream: IO[bytes], message: tuple[Any, ...]) -> None:
    """Write a message with its length before it."""
    content = pickle.dumps(message)
    stream.write(struct.pack("<Q", len(content)) + content)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[Any, ...] | None:
    """The next message; None where there is none any more."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    content = stream.read(struct.unpack("<Q", head)[0])
    found: tuple[Any, ...] = _Answer(BytesIO(content)).load()
    return found


def _limit(memory_bytes: int, seconds: int) -> None:
    """Let the system refuse this process more memory than it has now and so much beside, and more time."""
    with contextlib.suppress(ImportError):  # which Windows does not have
        import resource  # noqa: PLC0415

        with open("/proc/self/statm", encoding="utf-8") as file:  # noqa: PTH123  (of Linux alone; elsewhere DuckDB's own limit holds)
            taken = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + memory_bytes,) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def _answer(request: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """What is said of a query: `columns` and any number of `rows`, or what went wrong."""
    import duckdb  # noqa: PLC0415  (whose absence is found before)

    with duckdb.connect(":memory:") as connection:
        for setting in request["settings"]:
            connection.execute(setting)
        try:
            connection.execute(request["script"])
        except duckdb.Error as error:
            yield "tables", str(error)
            return
        for setting in request["locks"]:
            connection.execute(setting)
        with contextlib.suppress(OSError, ValueError):
            _limit(request["memory_bytes"], request["cpu_s"])
        try:
            kinds = [each.type.name for each in connection.extract_statements(request["statement"])]
            if len(kinds) != 1 or kinds[0] not in ("SELECT", "EXPLAIN"):
                yield "refused", f"{len(kinds)} statements" if len(kinds) != 1 else kinds[0]
                return
            answer = connection.execute(request["statement"])
            columns = [(column[0], str(column[1])) for column in answer.description]
            yield "columns", columns
            while rows := answer.fetchmany(FETCHED):
                yield "rows", rows
            yield ("end",)
        except (duckdb.OutOfMemoryException, MemoryError):
            yield ("memory",)
        except duckdb.Error as error:
            yield "error", str(error)


def main() -> None:
    """Answer the request of the standard input."""
    request = receive(sys.stdin.buffer)
    if request is not None:
        with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
            for message in _answer(request[0]):
                send(sys.stdout.buffer, message)


if __name__ == "__main__":
    main()
