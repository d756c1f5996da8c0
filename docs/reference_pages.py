"""Pages made of the classes: each key of a scenario, event, order, condition and metric; and those of the examples."""

import ast
import importlib
import inspect
import json
import os
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import venue_pages
from attrs import NOTHING, Factory, fields, has

import strategies
import venues
from framework import events, orders, performance, scenario, strategy
from framework.data import drawn_paths
from framework.rulebook import incidents
from framework.rulebook.rules import Dated, Rule
from framework.venue import Bridge, Penalty, Venue

LINK = re.compile(r"\]\(([^)\s]+)\)")
UNITS = {
    "usd": "USD", "bps": "basis points", "pct": "percent", "s": "seconds", "ns": "nanoseconds", "ltv": "loan-to-value",
    "hours": "hours", "days": "days", "rows": "rows",
}  # fmt: skip
"""What a name ends with -> its unit."""
TYPES = {str: "text", float: "number", int: "whole number", bool: "true or false", date: "date", object: "any value",
         Dated: "dated numbers"}  # fmt: skip
"""What a type is called in TOML's words."""
COMMON = {
    "name": "what it is called in events and accounts",
    "coin": "code of the coin; some venues take a list",
    "bridge": "what moving money from and to the venue costs, and how long it takes",
    "long": "name of the venue of the long leg",
    "short": "name of the venue of the short leg",
    "event": "its number, from 1",
    "at_ns": "when it happened, UTC",
    "cause": "the number of the event that led to it; none for what time or the market did",
    "venue": "name of the venue",
    "source": "where it comes from: a venue, or the wallet",
    "target": "where it goes: a venue, or the wallet",
    "asset": "code of what it is about",
    "side": "long or short",
    "size": "how much, in the atomic units of the asset; below 0 for a short",
    "rate": "the rate of the row",
    "price": "the price that held",
    "penalty": "what it cost besides fees, in atomic units of USDC",
    "order": "the kind of order",
    "reason": "why, in words",
    "loss_share": "the share that was lost",
}
"""What means the same wherever it stands."""
SENTENCE = re.compile(r"(?:[;:] +|(?<=[.]) +)(?:- +)?")
"""What is between two sentences or points of a docstring."""


ROOT = Path(__file__).parent.parent


def write(docs: Path) -> None:
    """Write the pages below `reference/` and `examples/`; one that is there already and the same is left alone."""
    pages = {
        "reference/scenario-keys.md": _scenario(),
        "reference/events.md": _classes("Events", "What happens in a run, as its log has it.", events, events.Event),
        "reference/orders.md": _classes("Orders", "What a strategy returns or yields.", orders, orders.Order),
        "reference/conditions.md": _conditions(),
        "reference/metrics-list.md": _metrics(),
    }
    for name, cls in of_package(venues, Venue):
        pages[f"venues/{name}.md"] = venue_pages.page(name, cls, keys_table(cls, f"venues.{name}."))
    made = {name: "\n".join(lines) + "\n" for name, lines in pages.items()}
    made["readme.md"] = (ROOT / "README.md").read_text(encoding="utf-8")
    for readme in sorted(ROOT.glob("examples/*/README.md")):
        made[f"examples/{readme.parent.name}.md"] = readme.read_text(encoding="utf-8")
    for name, text in made.items():
        path = docs / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def relinked(page: str, text: str) -> str:
    """A page with links to where its targets are in the documentation, not in the repository."""

    def moved(link: re.Match[str]) -> str:
        target, _, anchor = link[1].partition("#")
        if not target or "://" in target:
            return link[0]
        home = (
            ROOT if page == "readme" else ROOT / page if page.startswith("examples/") else (ROOT / "docs" / page).parent
        )
        meant = Path(os.path.normpath(home / target)).relative_to(ROOT)
        place = _place(meant)
        if place is None:
            return link[0]
        there = os.path.relpath(place, Path(page).parent)
        return f"]({there}{'#' + anchor if anchor else ''})"

    return LINK.sub(moved, text)


def _place(meant: Path) -> str | None:
    """Where the documentation has what a path of the repository names; None where it has nothing of it."""
    parts = meant.parts
    if parts == ("README.md",):
        return "readme.md"
    if parts[:1] == ("docs",) and meant.suffix in (".md", ".png"):
        return "/".join(parts[1:])
    if parts[:1] == ("docs",):
        return "decisions/0001-stretches-and-anchors.md" if parts[1:] == ("decisions",) else None
    return (
        f"examples/{parts[1]}.md"
        if parts[:1] == ("examples",) and len(parts) in (2, 3) and meant.suffix != ".toml"
        else None
    )


def _scenario() -> Iterator[str]:
    yield "# Scenario keys\n"
    yield "Made from the classes that read a scenario. A key without a default has to be given.\n"
    for title, cls, key in scenario_classes():
        yield from _section(title, cls, key)


def scenario_classes() -> Iterator[tuple[str, type, str]]:
    """Title, class and key of everything that a scenario can have."""
    yield "Top of the file", scenario.Scenario, ""
    yield "`[market]`", scenario.MarketSpec, "market."
    yield "`[market.sources.NAME]`", scenario.SourceSpec, "market.sources.NAME."
    yield "`[market.sources.NAME.before]`", scenario.EarlierSpec, "market.sources.NAME.before."
    yield "A series of the store", scenario.StoredSpec, "market.series.NAME."
    yield "`[market.path]`", drawn_paths.Which, "market.path."
    for name, method in drawn_paths.METHODS.items():
        yield f"`[market.path]`, method `{name}`", method, "market.path."
    yield "`[published]`", scenario.Published, "published."
    yield "`[coarser]`", scenario.Coarser, "coarser."
    yield "`[benchmarks]`", scenario.Benchmarks, "benchmarks."
    yield "`[[incidents]]`", incidents.Incident, "incidents."
    yield "`[venues.NAME.bridge]`", Bridge, "venues.NAME.bridge."
    yield "`[venues.NAME.liquidation_penalty]`", Penalty, "venues.NAME.liquidation_penalty."
    for package, base, key in ((venues, Venue, "venues.NAME."), (venues, scenario.Rulebook, "rulebook."),
                               (strategies, strategy.Strategy, "strategy.")):  # fmt: skip
        for name, cls in of_package(package, base):
            yield f"`{name}`", cls, key.replace("NAME", name)


def of_package(package: Any, base: type) -> Iterator[tuple[str, type]]:  # noqa: ANN401
    """Short name and class of everything in a package that a scenario can name."""
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        for cls in vars(module).values():
            if inspect.isclass(cls) and issubclass(cls, base) and cls.__module__ == module.__name__ and has(cls):
                yield found.name, cls


def _classes(title: str, words: str, module: Any, base: type) -> Iterator[str]:  # noqa: ANN401
    yield f"# {title}\n"
    yield f"{words}\n"
    for name, cls in vars(module).items():
        if inspect.isclass(cls) and issubclass(cls, base) and cls is not base and cls.__module__ == module.__name__:
            yield from _section(f"`{name}`", cls, "")


def _conditions() -> Iterator[str]:
    yield "# Conditions\n"
    yield "What wakes a strategy.\n"
    for name, cls in vars(strategy).items():
        if (
            inspect.isclass(cls)
            and cls.__module__ == strategy.__name__
            and hasattr(cls, "holds")
            and name != "Condition"
        ):
            yield from _section(f"`{name}`", cls, "")


def _metrics() -> Iterator[str]:
    yield "# Metrics\n"
    yield "| metric | words | unit | above 0 means | formula |"
    yield "|---|---|---|---|---|"
    for each in performance.METRICS:
        yield f"| `{each.name}` | {each.words} | {each.unit} | {each.sign} | {_cell(each.formula)} |"


def _section(title: str, cls: type, key: str) -> Iterator[str]:
    yield f"## {title}\n"
    yield f"{inspect.getdoc(cls) or ''}\n"
    yield from keys_table(cls, key)


def keys_table(cls: type, key: str) -> Iterator[str]:
    """The fields of a class as a table."""
    rows = keys_of(cls, key)
    if rows:
        meant = meanings(cls, key)
        yield "| name | type | default | unit | meaning |"
        yield "|---|---|---|---|---|"
        for each in rows:
            cells = [f"`{key}{each.name}`", _type(each.type), _default(each.default), _unit(each.name)]
            yield "| " + " | ".join(map(_cell, [*cells, meant.get(each.name, "")])) + " |"
        yield ""


def keys_of(cls: type, key: str) -> list[Any]:
    """The fields of a class that can be set; a venue's name is the key of its table."""
    given = ("name",) if key.startswith("venues.") else ()
    return [each for each in fields(cls) if each.init and not each.name.startswith("_") and each.name not in given]


def meanings(cls: type, key: str) -> dict[str, str]:
    """What each field is for: the text below it, else the sentences of the docstring that name it, else its rule's."""
    told = _told(cls)
    sentences = SENTENCE.split(" ".join((inspect.getdoc(cls) or "").split()))
    dated = venue_pages.rules_of(key.split(".")[1]) if key.startswith("venues.") else {}
    found = {}
    for each in keys_of(cls, key):
        named = "; ".join(sentence for sentence in sentences if f"`{each.name}`" in sentence)
        words = told.get(each.name) or named or _about(dated, each.name) or COMMON.get(each.name, "")
        if words:
            found[each.name] = words
    return found


def _about(rules: Mapping[str, Rule], name: str) -> str:
    return rules[name].about if name in rules else ""


def _told(cls: type) -> dict[str, str]:
    """The text below each field in the source of a class and of those above it."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__[:-1]):
        found |= _told_in(each.__module__).get(each.__name__, {})
    return found


@cache
def _told_in(module: str) -> dict[str, dict[str, str]]:
    """Class -> field -> the text below it, in a module; none where its source is not there."""
    try:
        tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    except (OSError, TypeError):
        return {}
    return {cls.name: dict(_texts(cls)) for cls in tree.body if isinstance(cls, ast.ClassDef)}


def _texts(cls: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for line, below in pairwise(cls.body):
        if (
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            yield line.target.id, " ".join(str(below.value.value).split())


def _type(kind: Any) -> str:  # noqa: ANN401
    """A type in words: `one of a, b`, `number`, `text`, or its name."""
    parts = [each for each in (get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,))
             if each is not NoneType]  # fmt: skip
    return " or ".join(dict.fromkeys(map(_one_type, parts)))


def _one_type(kind: Any) -> str:  # noqa: ANN401
    if get_origin(kind) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(kind))
    if get_origin(kind) in (dict, Mapping):
        return "table"
    if get_origin(kind) in (list, tuple, Sequence):
        return f"list of {_type(get_args(kind)[0])}"
    if isinstance(kind, str):
        return f"`{kind}`"
    return TYPES.get(kind, f"`{getattr(kind, '__name__', kind)}`")


def _default(value: object) -> str:
    if value is NOTHING:
        return "required"
    if isinstance(value, Factory):  # type: ignore[arg-type]
        return "computed" if value.takes_self else f"`{value.factory()!r}`"  # type: ignore[attr-defined]
    if has(type(value)):
        return "each key's own"
    return "none" if value is None else f"`{json.dumps(value, default=str)}`"


def _unit(name: str) -> str:
    return UNITS.get(name.rpartition("_")[2], "")


_cell = venue_pages.cell
