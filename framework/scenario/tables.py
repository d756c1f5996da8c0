"""Tables of TOML, and their dotted keys such as `strategy.leverage`."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from framework.errors import ScenarioError
from framework.support.files import MIB, read_bounded
from framework.support.suggestions import closest_path

Table = dict[str, object]
"""A table of TOML; tables lie in each other."""


def read_table(path: Path) -> Table:
    """A TOML file as nested tables; raises `ScenarioError`."""
    try:
        return parsed(read_bounded(path, MIB).decode("utf-8-sig"))  # some editors begin with a byte order mark
    except OSError as error:
        meant = closest_path(path) or "expected a scenario in TOML"
        raise ScenarioError(f"{path}: not readable ({error.strerror}); {meant}") from None
    except ValueError as error:
        raise ScenarioError(f"{path}: not TOML: {error}") from None


def parsed(text: str) -> Table:
    """TOML as nested tables; raises `ValueError` for what is none, and for tables that lie too deep in each other."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("too many levels") from None


def put(table: Table, setting: str) -> None:
    """Set one key of nested tables from `a.b.c=VALUE`; raises `ScenarioError`."""
    key, equals, text = setting.partition("=")
    if not equals:
        raise ScenarioError(f"--set {setting}: expected KEY=VALUE, such as strategy.leverage=3")
    place(table, key.strip(), value_of(text))


def place(table: Table, key: str, value: object) -> None:
    """Put a value at a dotted key of nested tables; raises `ScenarioError` where a part of it is not a table."""
    *parents, last = parts = key.split(".")
    if not all(parts):
        raise ScenarioError(f"{key!r} is not a key; expected one such as strategy.leverage")
    for depth, parent in enumerate(parents, start=1):
        below = table.setdefault(parent, {})
        if not isinstance(below, dict):
            raise ScenarioError(f"{key}: {'.'.join(parents[:depth])} is {below!r}, not a table")
        table = below
    table[last] = value


def value_at(table: Mapping[str, object], key: str) -> object:
    """The value at a dotted key of nested tables; None where there is none."""
    found: object = table
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def value_of(text: str) -> object:
    """A value as it is written: TOML, or text where it is not."""
    try:
        return parsed(f"value = {text}")["value"]
    except ValueError:
        return text.strip()
