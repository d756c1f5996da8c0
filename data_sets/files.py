"""The files that the scripts read and write: published figures beside them, and the data sets of the framework."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from framework.data.embedded import HERE as EMBEDDED

__all__ = ["EMBEDDED", "printed", "write"]

HERE = Path(__file__).parent


def printed(name: str) -> list[dict[str, str]]:
    """The rows of a file of published figures."""
    with (HERE / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a data set: a header, and a line for each row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
