"""Provenance: lines beside a stored series that say which requests its samples came from, and what was withdrawn."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from attrs import asdict, field, frozen, validators

from framework.errors import StoreError

TEXT, COUNT = validators.instance_of(str), validators.instance_of(int)


@frozen
class Asked:
    """What was asked of whom and when, and the digest of the raw reply."""

    at: str = field(validator=TEXT)
    request: str = field(validator=TEXT)
    sha256: str = field(validator=TEXT)
    samples: int = field(validator=COUNT)
    first: str | None = field(validator=validators.optional(TEXT))
    last: str | None = field(validator=validators.optional(TEXT))
    version: str = field(validator=TEXT)


@frozen
class Withdrawn:
    """Samples that were taken out of a series: when and why, how many, and the file that keeps them."""

    at: str = field(validator=TEXT)
    withdrawn: str = field(validator=TEXT)
    """The reason."""
    digest: str = field(validator=TEXT)
    samples: int = field(validator=COUNT)
    first: str = field(validator=TEXT)
    last: str = field(validator=TEXT)
    kept: str = field(validator=TEXT)


Line = Asked | Withdrawn


def read_lines(path: Path) -> list[Line]:
    """The lines of a file, oldest first; none where there is no file. Raises `StoreError`.

    A last line without its end was cut off by a crash, and is left out.
    """
    try:
        *lines, _ = path.read_bytes().split(b"\n")
        told = [json.loads(line) for line in lines]
        return [Withdrawn(**line) if "withdrawn" in line else Asked(**line) for line in told]
    except OSError:
        return []
    except (ValueError, TypeError, RecursionError) as error:
        words = f"not a list of requests ({error.args[0]})"
        raise StoreError(f"{path}: {words}; expected one JSON object per line") from None


def add_lines(path: Path, lines: Sequence[Line]) -> None:
    """Add lines to a file, in the place of one that a crash has cut off; raises `OSError`."""
    text = "".join(json.dumps(asdict(line)) + "\n" for line in lines)
    with path.open("a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
