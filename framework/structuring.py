"""From plain tables to typed values, strictly: cattrs does the work, its complaints become one line with the key."""

import math
import re
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, Union

import cattrs
from attrs import evolve, fields_dict, has
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError

from framework.errors import ScenarioError
from framework.venue import Dated, Venue

Structured = TypeVar("Structured")

RULE = re.compile(r"'(\w+)' must be (.+): (.+)")
"""How a validator says what is wrong, those of attrs and ours alike: field, rule, value."""
UNKNOWN = ": unknown key"
"""What is told first: a key that is misspelt is missing as well."""


def structure(table: object, cls: type[Structured], key: str, given: Mapping[str, object] | None = None) -> Structured:
    """`table` as a value of `cls`; raises `ScenarioError` with the first wrong key below `key`.

    `given` are further fields, which are not the table's to set.
    """
    given = given or {}
    if not isinstance(table, dict):
        raise ScenarioError(f"{key}: {table!r}; expected a table")
    if not has(cls):
        raise ScenarioError(f"{key}: {cls.__name__} is not an attrs class; decorate it with attrs.frozen")
    for name in given:
        if name not in fields_dict(cls):
            raise ScenarioError(f"{key}: {cls.__name__} has no field `{name}`; expected `{name}: str` among its fields")
        if name in table:
            raise ScenarioError(_unknown(key, name, cls, given))
    try:
        return _CONVERTER.structure({**table, **given}, cls)  # type: ignore[return-value]
    except ClassValidationError as error:
        complaints = list(_complaints(error, key, given))
        raise ScenarioError(next((each for each in complaints if UNKNOWN in each), complaints[0])) from None


def _unknown(key: str, name: str, cls: type, given: Collection[str]) -> str:
    """The complaint about a key that no field has, or one that is not the table's to set."""
    known = [each for each, field in fields_dict(cls).items() if field.init and each not in given]
    close = get_close_matches(name, known, n=1)
    some = f"expected one of {', '.join(known)}" if known else f"{cls.__name__} has no fields; expected one with a type"
    return f"{_below(key, name)}{UNKNOWN}; {f'did you mean {close[0]}?' if close else some}"


def _complaints(error: BaseException, key: str, given: Collection[str] = ()) -> Iterator[str]:
    """The complaints within an error, each with the full key that it is about."""
    if isinstance(error, ClassValidationError | IterableValidationError):
        for each in error.exceptions:
            below, kind = key, None
            for note in getattr(each, "__notes__", ()):
                below = _below(below, str(getattr(note, "name", getattr(note, "index", ""))))
                kind = getattr(note, "type", None)
            if isinstance(each, KeyError):
                is_table = typing.get_origin(kind) is dict or (isinstance(kind, type) and has(kind))
                yield f"{below}: missing; expected a {'table' if is_table else 'value'}"
            else:
                yield from _complaints(each, below, given if below == key else ())
    elif isinstance(error, ForbiddenExtraKeysError):
        for name in sorted(error.extra_fields):
            yield _unknown(key, name, error.cl, given)
    elif rule := RULE.fullmatch(_words(error)):
        name, expected, value = rule.groups()
        yield f"{_below(key, name)}: {value}; expected {expected}"
    else:
        yield f"{key}: {_words(error)}"


def _below(key: str, name: str) -> str:
    return f"{key}.{name}" if key and name else key or name


def _words(error: BaseException) -> str:
    """The first argument of an error in one line: attrs' validators carry further ones."""
    return " ".join(str(error.args[0] if error.args else error).split())


def _number(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r}; expected a number")
    return float(value)


def _integer(value: object, _: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r}; expected a whole number")
    return value


def _truth(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r}; expected true or false")
    return value


def _text(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r}; expected text")
    return value


def _table(value: object, _: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r}; expected a table")
    return value


def _date(value: object, _: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"{value!r}; expected a date such as 2025-01-31") from None


def _choice(value: object, kind: Any) -> object:
    options = typing.get_args(kind)
    if value not in options:
        raise ValueError(f"{value!r}; expected one of {', '.join(map(str, options))}")
    return value


def _number_or_choice(value: object, kind: Any) -> object:
    words = [word for part in typing.get_args(kind) for word in typing.get_args(part)]
    if value in words:
        return value
    try:
        return _number(value, float)
    except ValueError:
        raise ValueError(f"{value!r}; expected a number or {' or '.join(words)}") from None


def _named(value: object, kind: Any) -> object:
    """A table, or the text that stands for a table of nothing but its first key."""
    if isinstance(value, str):
        return kind(**{next(iter(fields_dict(kind))): value})
    if not isinstance(value, dict):
        raise ValueError(f"{value!r}; expected text or a table")
    return _CONVERTER.gen_structure_attrs_fromdict(kind)(value, kind)


def _text_or_tables(value: object, kind: Any) -> object:
    if not isinstance(value, dict):
        if value is None or isinstance(value, str):
            return value
        raise ValueError(f"{value!r}; expected text or a table")
    tables = next(part for part in typing.get_args(kind) if typing.get_origin(part) is dict)
    return _CONVERTER.structure(value, tables)


def _plain_or_dated(value: object, kind: Any) -> object:
    """A rule: a plain value, or a list of tables with the dates from which values hold."""
    plain = next(part for part in typing.get_args(kind) if part not in (Dated, types.NoneType))
    if value is None:
        return None
    if not isinstance(value, list):
        return _CONVERTER.structure(value, plain)
    dated = Dated.of(value)
    return evolve(dated, values=[_CONVERTER.structure(each, plain) for each in dated.values])


def _is_plain_or_dated(kind: Any) -> bool:
    return typing.get_origin(kind) in (Union, types.UnionType) and Dated in typing.get_args(kind)


def _text_or_texts(value: object, _: Any) -> object:
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{value!r}; expected text or a list of it")
    return tuple(value)


def _is_text_or_texts(kind: Any) -> bool:
    return typing.get_origin(kind) in (Union, types.UnionType) and set(typing.get_args(kind)) == {str, tuple[str, ...]}


def _is_text_or_tables(kind: Any) -> bool:
    parts = typing.get_args(kind)
    union = typing.get_origin(kind) in (Union, types.UnionType)
    return union and str in parts and any(typing.get_origin(part) is dict for part in parts)


def _is_choice(kind: Any) -> bool:
    origin: object = typing.get_origin(kind)
    return origin is Literal


def _is_number_or_choice(kind: Any) -> bool:
    parts = typing.get_args(kind)
    union = typing.get_origin(kind) in (Union, types.UnionType)
    return union and float in parts and any(typing.get_origin(part) is Literal for part in parts)


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(bool, _truth)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(date, _date)
    converter.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)
    converter.register_structure_hook_func(lambda kind: kind == dict[str, object], _table)
    converter.register_structure_hook_func(_is_choice, _choice)
    converter.register_structure_hook_func(_is_number_or_choice, _number_or_choice)
    converter.register_structure_hook_func(_is_text_or_tables, _text_or_tables)
    converter.register_structure_hook_func(_is_plain_or_dated, _plain_or_dated)
    converter.register_structure_hook_func(_is_text_or_texts, _text_or_texts)
    converter.register_structure_hook_func(lambda kind: kind is Venue, lambda value, _: value)
    converter.register_structure_hook_func(lambda kind: getattr(kind, "named_by_text", False) is True, _named)
    return converter


_CONVERTER = _converter()
