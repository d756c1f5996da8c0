"""Pages made of the classes: each key of a scenario, event, order, condition and metric; and those of the examples."""

import ast
import importlib
import inspect
import os
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import NOTHING, Factory, fields, has

import strategies
import venues
from framework import events, orders, performance, scenario, strategy
from framework.venue import Venue

LINK = re.compile(r"\]\(([^)\s]+)\)")
UNITS = {
    "usd": "USD", "bps": "basis points", "pct": "percent", "s": "seconds", "ns": "nanoseconds", "ltv": "loan-to-value",
    "hours": "hours", "days": "days", "rows": "rows",
}  # fmt: skip
"""What a name ends with -> its unit."""


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
    if parts[:1] == ("docs",) and meant.suffix == ".md":
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
    yield from _section("Top of the file", scenario.Scenario, "")
    for title, cls, key in (
        ("`[market]`", scenario.MarketSpec, "market."),
        ("`[market.sources.NAME]`", scenario.SourceSpec, "market.sources.NAME."),
        ("`[market.stored.NAME]`", scenario.StoredSpec, "market.NAME."),
        ("`[published]`", scenario.Published, "published."),
        ("`[benchmarks]`", scenario.Benchmarks, "benchmarks."),
    ):
        yield from _section(title, cls, key)
    for package, base, key in ((venues, Venue, "venues.NAME."), (venues, scenario.Rulebook, "rulebook."),
                               (strategies, strategy.Strategy, "strategy.")):  # fmt: skip
        for name, cls in _of_package(package, base):
            yield from _section(f"`{name}`", cls, key.replace("NAME", name))


def _of_package(package: Any, base: type) -> Iterator[tuple[str, type]]:  # noqa: ANN401
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
    told = _told(cls)
    rows = [each for each in fields(cls) if each.init and not each.name.startswith("_")]
    if not rows:
        return
    meant = any(each.name in told for each in rows)
    yield "| name | type | default | unit |" + " meaning |" * meant
    yield "|---|---|---|---|" + "---|" * meant
    for each in rows:
        cells = [f"`{key}{each.name}`", f"`{_type(each.type)}`", _default(each.default), _unit(each.name)]
        cells += [told.get(each.name, "")] * meant
        yield "| " + " | ".join(map(_cell, cells)) + " |"
    yield ""


def _told(cls: type) -> dict[str, str]:
    """The text below each field in the source of a class and of those above it."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__[:-1]):
        try:
            (tree,) = ast.parse(inspect.cleandoc("if 1:\n" + inspect.getsource(each))).body[0].body  # type: ignore[attr-defined]
        except (OSError, TypeError, ValueError, SyntaxError):
            continue
        for line, below in zip(tree.body, tree.body[1:], strict=False):
            if (
                isinstance(line, ast.AnnAssign)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                found[line.target.id] = " ".join(str(below.value.value).split())  # type: ignore[union-attr]
    return found


def _type(kind: Any) -> str:  # noqa: ANN401
    text = (
        kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind)) if inspect.isclass(kind) else str(kind)
    )
    for module in ("typing.", "framework.venue.", "framework.scenario.", "datetime."):
        text = text.replace(module, "")
    return text


def _default(value: object) -> str:
    if value is NOTHING:
        return "required"
    if isinstance(value, Factory):  # type: ignore[arg-type]
        return "computed" if value.takes_self else f"`{value.factory()!r}`"  # type: ignore[attr-defined]
    return f"`{value!r}`"


def _unit(name: str) -> str:
    return UNITS.get(name.rpartition("_")[2], "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
