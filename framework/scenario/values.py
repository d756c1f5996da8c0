"""Values of attrs classes from tables of TOML; the first wrong key is refused with what is expected of it."""

import math
import re
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date, datetime
from functools import cache, partial
from typing import Any, Literal, TypeVar, Union

import cattrs
from attrs import NOTHING, Factory, evolve, fields_dict, has, resolve_types
from cattrs.errors import (
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
    StructureHandlerNotFoundError,
)

from framework.errors import ScenarioError
from framework.support.suggestions import suggestion
from framework.support.text import shown
from framework.venue import Dated, Venue

Structured = TypeVar("Structured")

RULE = re.compile(r"'(\w+)' must be (.+?): (.+)")
"""How a validator says what is wrong, those of attrs and ours alike: field, rule, value."""
UNKNOWN = ": unknown key"
"""What is reported first: a key that is misspelt is missing as well."""


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
        for name, words in _wrong_defaults(cls).items():
            if name not in table and name not in given:
                raise ScenarioError(f"{_below(key, name)}: the default of {cls.__name__} is {words}")
        return _CONVERTER.structure({**table, **given}, cls)  # type: ignore[return-value]
    except ClassValidationError as error:
        complaints = list(_complaints(error, key, given))
        raise ScenarioError(next((each for each in complaints if UNKNOWN in each), complaints[0])) from None
    except NameError as error:  # of a type that is written as text, which is looked up here
        raise ScenarioError(f"{key}: among the types of the fields of {cls.__name__}, {error}") from None
    except StructureHandlerNotFoundError as error:
        kind = getattr(error.type_, "__name__", None) or str(error.type_)
        expected = "numbers, text, dates, or lists, tables and attrs classes of them"
        raise ScenarioError(f"{key}: a field of {cls.__name__} has the type {kind}; expected {expected}") from None


@cache
def _wrong_defaults(cls: Any) -> Mapping[str, str]:
    """Field of an attrs class -> its default and what was expected, where that has another type than the field."""
    found = {}
    for name, each in fields_dict(resolve_types(cls)).items():
        plain = each.init and each.converter is None and not isinstance(each.default, Factory)  # type: ignore[arg-type]
        words = _misfit(each.default, each.type) if plain and each.default is not NOTHING else ""
        if words:
            found[name] = words
    return found


def _misfit(default: object, kind: Any) -> str:
    """A default and what is expected of one of this type; nothing where it fits, or where no key can have the type."""
    if has(type(default)) or (isinstance(default, float) and not math.isfinite(default)):  # which no key can be
        return ""
    try:
        made = _CONVERTER.structure(default, kind)
    except StructureHandlerNotFoundError:
        return ""
    except (ValueError, ClassValidationError, IterableValidationError) as error:
        optional = f", or the type `{getattr(kind, '__name__', kind)} | None`" if default is None else ""
        return f"{next(_complaints(error, ''))}{optional}"
    is_other = type(made) is not type(default) and (has(type(made)) or isinstance(made, date))
    return f"{shown(default)}; expected a {type(made).__name__}" if is_other else ""


def _unknown(key: str, name: str, cls: type, given: Collection[str]) -> str:
    """The complaint about a key that no field has, or one that is not the table's to set."""
    known = [each for each, field in fields_dict(cls).items() if field.init and each not in given]
    if hasattr(cls, name) and not callable(getattr(cls, name)) and name not in fields_dict(cls):
        some = f"`{name}` of {cls.__name__} has no type; expected one, such as `{name}: {_type_of(cls, name)}`"
    else:
        some = suggestion(name, known) if known else f"{cls.__name__} has no fields; expected one with a type"
    return f"{_below(key, name)}{UNKNOWN}; {some}"


def _type_of(cls: type, name: str) -> str:
    """What the type of a class attribute is called."""
    return type(getattr(cls, name)).__name__


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
        yield f"{key}: {_words(error)}" if key else _words(error)


def _below(key: str, name: str) -> str:
    return f"{key}.{name}" if key and name else key or name


def _words(error: BaseException) -> str:
    """The first argument of an error in one line: attrs' validators carry further ones."""
    return " ".join(str(error.args[0] if error.args else error).split())


def _number(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{shown(value)}; expected a number")
    return float(value)


def _integer(value: object, _: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ValueError(f"{shown(value)}; expected a whole number of at most 64 bits")
    return value


def _truth(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)}; expected true or false")
    return value


def _text(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)}; expected text")
    return value


def _table(value: object, _: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{shown(value)}; expected a table")
    return value


def _date(value: object, _: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"{shown(value)}; expected a date such as 2025-01-31") from None


def _choice(value: object, kind: Any) -> object:
    options = typing.get_args(kind)
    if value not in options:
        raise ValueError(f"{shown(value)}; expected one of {', '.join(map(str, options))}")
    return value


def _number_or_choice(value: object, kind: Any) -> object:
    words = [word for part in typing.get_args(kind) for word in typing.get_args(part)]
    if value in words:
        return value
    try:
        return _number(value, float)
    except ValueError:
        raise ValueError(f"{shown(value)}; expected a number or {' or '.join(words)}") from None


def _named(value: object, kind: Any) -> object:
    """A table, or the text that stands for a table of nothing but its first key."""
    if isinstance(value, str):
        return kind(**{next(iter(fields_dict(kind))): value})
    if not isinstance(value, dict):
        raise ValueError(f"{shown(value)}; expected text or a table")
    return _CONVERTER.gen_structure_attrs_fromdict(kind)(value, kind)


def _text_or_tables(value: object, kind: Any) -> object:
    if not isinstance(value, dict):
        if value is None or isinstance(value, str):
            return value
        raise ValueError(f"{shown(value)}; expected text or a table")
    tables = next(part for part in typing.get_args(kind) if typing.get_origin(part) is dict)
    return _CONVERTER.structure(value, tables)


def _plain_or_dated(value: object, kind: Any) -> object:
    """A rule: a plain value, which may be a list, or a list of tables with the dates from which values hold."""
    plain = next(part for part in typing.get_args(kind) if part not in (Dated, types.NoneType))
    if value is None:
        return None
    if not isinstance(value, list) or _is_plain_list(value, plain):
        return _CONVERTER.structure(value, plain)
    dated = Dated.of(value)
    return evolve(dated, values=[_CONVERTER.structure(each, plain) for each in dated.values])


def _is_plain_list(value: list[object], plain: Any) -> bool:
    """Whether a list is a value itself, such as one of tiers, and none of values with their dates."""
    dated = any(isinstance(each, dict) and ("since" in each or "value" in each) for each in value)
    return typing.get_origin(plain) is tuple and bool(value) and not dated


def _either(kind: Any) -> tuple[Any, ...]:
    """The types of which a field may have one; none where it has a single type."""
    return typing.get_args(kind) if typing.get_origin(kind) in (Union, types.UnionType) else ()


def _text_or_texts(value: object, _: Any) -> object:
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{shown(value)}; expected text or a list of it")
    return tuple(value)


def _listed(converter: cattrs.Converter, kind: Any) -> Callable[[object, Any], object]:
    """What makes a list, or a tuple of parts of one kind or of one each, and refuses a text in their place."""
    parts, is_list = typing.get_args(kind), typing.get_origin(kind) is list
    alike = is_list or parts[1:] == (...,)

    def structured(value: object, _: Any) -> object:
        if not isinstance(value, list | tuple) or not (alike or len(value) == len(parts)):
            raise ValueError(f"{shown(value)}; expected a list{'' if alike else f' of {len(parts)}'}")
        kinds = [parts[0]] * len(value) if alike else parts
        made = _each(converter, kind, zip(range(len(value)), value, kinds, strict=True))
        return list(made.values()) if is_list else tuple(made.values())

    return structured


def _tabled(converter: cattrs.Converter, kind: Any) -> Callable[[object, Any], object]:
    """What makes a table of values of one kind, and refuses anything else in its place."""
    part = typing.get_args(kind)[1]

    def structured(value: object, _: Any) -> object:
        if not isinstance(value, dict):
            raise ValueError(f"{shown(value)}; expected a table")
        return _each(converter, kind, ((name, below, part) for name, below in value.items()))

    return structured


def _each(converter: cattrs.Converter, kind: Any, parts: Iterable[tuple[Any, object, Any]]) -> dict[Any, object]:
    """Values by index or key; what is wrong with each of them is collected."""
    made, errors = dict[Any, object](), list[Exception]()
    for index, value, part in parts:
        try:
            made[index] = converter.structure(value, part)
        except Exception as error:
            error.add_note(IterableValidationNote("", index, part))
            errors.append(error)
    if errors:
        raise IterableValidationError("", errors, kind)
    return made


def _is_a(*origins: object) -> Callable[[Any], bool]:
    return lambda kind: typing.get_origin(kind) in origins


def _is_either(part: object, origin: object) -> Callable[[Any], bool]:
    """Whether a field may be of a type, or else of one with this origin."""
    return lambda kind: part in _either(kind) and any(typing.get_origin(each) is origin for each in _either(kind))


def _from_table(converter: cattrs.Converter, kind: Any) -> Callable[[object, Any], object]:
    """What makes an instance of a class with fields of a table with their keys."""
    made = converter.gen_structure_attrs_fromdict(kind)

    def structured(value: object, kind: Any) -> object:
        if not isinstance(value, dict):
            raise ValueError(f"{shown(value)}; expected a table with the keys {', '.join(fields_dict(kind))}")
        return made(value, kind)

    return structured


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    converter.register_structure_hook_factory(has, partial(_from_table, converter))
    converter.register_structure_hook_factory(_is_a(list, tuple), partial(_listed, converter))
    converter.register_structure_hook_factory(_is_a(dict), partial(_tabled, converter))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(bool, _truth)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(date, _date)
    converter.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)
    converter.register_structure_hook_func(lambda kind: kind == dict[str, object], _table)
    converter.register_structure_hook_func(_is_a(Literal), _choice)
    converter.register_structure_hook_func(_is_either(float, Literal), _number_or_choice)
    converter.register_structure_hook_func(_is_either(str, dict), _text_or_tables)
    converter.register_structure_hook_func(lambda kind: Dated in _either(kind), _plain_or_dated)
    converter.register_structure_hook_func(lambda kind: {*_either(kind)} == {str, tuple[str, ...]}, _text_or_texts)
    converter.register_structure_hook_func(lambda kind: kind is Venue, lambda value, _: value)
    converter.register_structure_hook_func(lambda kind: getattr(kind, "named_by_text", False) is True, _named)
    return converter


_CONVERTER = _converter()
