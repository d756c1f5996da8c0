"""Raw files: bytes with a name and a digest; cells become numbers and instants, or are refused at their place."""

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from framework.clock import NS_PER_SECOND
from framework.errors import MarketError
from framework.market import Floats, Ints
from framework.support.files import MIB, read_bounded
from framework.support.suggestions import closest_path
from framework.support.text import SHOWN, shown

NS_PER_MS = 1_000_000
MOST_BYTES = 1024 * MIB
"""The longest file of data that is read."""
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
PLAIN = {int, float, str}
"""What a number may be in JSON; venues quote prices as text."""
NUMERAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""A number as text: digits, a point and an exponent. Python would also take `1_000` and digits of other scripts."""
YEARS = range(2010, 2100)
"""Years of market data: a time outside was given in another unit or form."""
MS_RANGE = range(1_262_304_000_000, 4_102_444_800_000)
"""2010 to 2100 in milliseconds: a time outside was given in another unit."""


@frozen(eq=False)
class Raw:
    """A file as read: its name, its digest and its bytes; `file` is the name by which errors speak of it."""

    file: str
    digest: str
    content: bytes

    @classmethod
    def read(cls, path: Path) -> "Raw":
        """Read a file whole; raises `MarketError` where that fails."""
        try:
            content = read_bounded(path, MOST_BYTES)
        except OSError as error:
            meant = closest_path(path) or "expected a data file"
            raise MarketError(f"{path}: not readable ({error.strerror}); {meant}") from None
        return cls(path.name, hashlib.sha256(content).hexdigest(), content)

    def text(self) -> str:
        """The content as UTF-8, without the mark that spreadsheets write before it."""
        try:
            return self.content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise MarketError(f"{self.file}: not text, byte {error.start} is not UTF-8") from None

    def lines(self) -> tuple[tuple[int, list[str]], list[tuple[int, list[str]]]]:
        """The content as CSV: its header, and each line below that is not blank, as a row's number and its cells.

        The first row of the file is 1. Raises `MarketError`.
        """
        try:
            rows = list(enumerate(csv.reader(io.StringIO(self.text(), newline="")), start=1))
        except csv.Error as error:
            raise MarketError(f"{self.file}: not CSV ({error}); expected a header and comma-separated lines") from None
        filled = [(row, cells) for row, cells in rows if len(cells) > 1 or "".join(cells).strip(" \t")]
        if not filled:
            raise MarketError(f"{self.file}: not CSV (empty); expected a header and comma-separated lines")
        header, *lines = filled
        return header, lines

    def objects(self) -> list[Mapping[str, Any]]:
        """The content as a JSON array of objects."""
        try:
            rows = json.loads(self.text())
        except json.JSONDecodeError as error:
            raise MarketError(f"{self.file}: not JSON, line {error.lineno}: {error.msg}; expected an array") from None
        except (ValueError, RecursionError) as error:
            raise MarketError(
                f"{self.file}: not readable as JSON ({str(error)[:SHOWN]}); expected an array of objects"
            ) from None
        if isinstance(rows, dict) and isinstance(rows.get("data"), list):
            rows = rows["data"]
        if not isinstance(rows, list):
            raise MarketError(f"{self.file}: a JSON {type(rows).__name__}; expected an array of objects")
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, dict):
                raise MarketError(f"{self.file}, row {number}: {shown(row)}; expected an object")
        return rows


def number(value: object) -> float:
    """A JSON number, or a number as text, as a float; NaN for anything else and for what no float can hold."""
    if type(value) not in PLAIN or (isinstance(value, str) and not NUMERAL.fullmatch(value.strip())):
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return math.nan


def finite(value: object, place: str) -> float:
    """A cell as a finite float; raises `MarketError` with its place."""
    if value is None or value == "":
        raise MarketError(f"{place}: missing; expected a number")
    found = number(value)
    if not math.isfinite(found):
        infinite = str(value).strip().lower().lstrip("+-") in {"nan", "inf", "infinity"}
        expected = "a finite number" if infinite else "a number such as 0.0001"
        raise MarketError(f"{place}: {shown(value)}; expected {expected}")
    return found


def floats(cells: Sequence[object], place: Callable[[int], str]) -> Floats:
    """Cells as finite floats; the place of a bad one, by its index, is only put into words when it is met."""
    try:
        values = np.array(cells, dtype=np.float64)
        text = "".join(cell for cell in cells if isinstance(cell, str))
        plain = "_" not in text and text.isascii() and {type(cell) for cell in cells} <= PLAIN
        if plain and np.isfinite(values).all():
            return values
    except (TypeError, ValueError, OverflowError):
        pass
    return np.array([finite(cell, place(index)) for index, cell in enumerate(cells)])


def numbers(raw: Raw, rows: Sequence[Mapping[str, Any]], key: str, name: str) -> Floats:
    """One key of all rows as floats; raises `MarketError` with the place of a bad one."""
    label = key if key == name else f"{key} ({name})"
    return floats([row.get(key) for row in rows], lambda index: f"{raw.file}, row {index + 1}, column {label}")


def milliseconds(raw: Raw, rows: Sequence[Mapping[str, Any]], key: str) -> Ints:
    """One key of all rows, milliseconds since 1970, as nanoseconds."""
    times = numbers(raw, rows, key, "time")
    for index in np.flatnonzero((times < MS_RANGE.start) | (times >= MS_RANGE.stop))[:1]:
        value = shown(rows[index][key])
        raise MarketError(
            f"{raw.file}, row {index + 1}, column {key}: {value} is not a time in milliseconds since 1970"
        )
    return times.astype(np.int64) * NS_PER_MS


def instant_ns(text: object, place: str) -> int:
    """An ISO 8601 time with its offset as nanoseconds in UTC."""
    try:
        instant = datetime.fromisoformat(str(text))
    except ValueError:
        raise MarketError(f"{place}: {shown(text)}; expected a time such as 2025-01-31T00:00:00Z") from None
    if instant.tzinfo is None:
        raise MarketError(f"{place}: {shown(text)} is naive; expected an offset, such as 2025-01-31T00:00:00Z")
    if instant.year not in YEARS:
        raise MarketError(f"{place}: {shown(text)}; expected a time between {YEARS.start} and {YEARS.stop}")
    since = instant.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NS_PER_SECOND + since.microseconds * 1000


def time_ns(text: str, place: str) -> int:
    """A time with its offset, or a date for the midnight in UTC at which it begins."""
    if not DATE.fullmatch(text):
        return instant_ns(text, place)
    try:
        return instant_ns(f"{date.fromisoformat(text)}T00:00:00Z", place)
    except ValueError:
        raise MarketError(f"{place}: {shown(text)}; expected a date such as 2025-01-31") from None
