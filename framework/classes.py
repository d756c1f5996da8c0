"""The class behind a name in a scenario.

`short_name` is one of ours or one that an installed package declares, `package.module:Class` a user's own. A package
declares its classes as entry points of the groups `carrybook.venues` and `carrybook.strategies`.
"""

import importlib
import pkgutil
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import TypeVar

from framework.errors import ScenarioError

Part = TypeVar("Part")


def find_class(name: object, key: str, kind: type[Part], package: str) -> type[Part]:
    """The class of a `kind` that a scenario means by its key: of a module of our `package`, or a user's own.

    Raises `ScenarioError` where there is none, or where a user's own module cannot be imported.
    """
    noun = kind.__name__.lower()
    if not isinstance(name, str):
        raise ScenarioError(f"{key}.class: {name!r}; expected the name of a {noun}")
    if name.isidentifier() and find_spec(f"{package}.{name}") is None:
        name = _declared(package).get(name, name)
    if ":" in name:
        module_name, _, class_name = name.partition(":")
        _import_from_here()
    else:
        module_name, class_name = f"{package}.{name}", ""
    try:
        module = importlib.import_module(module_name)
    except SyntaxError as error:
        place = f"{Path(error.filename or module_name).name}, line {error.lineno}"
        raise ScenarioError(f"{key}.class: {name!r} cannot be read: {place}: {error.msg}") from None
    except Exception as error:
        if not isinstance(error, ModuleNotFoundError):
            frame = extract_tb(error.__traceback__)[-1]
            words = f"{Path(frame.filename).name}, line {frame.lineno}: {type(error).__name__}: {error}"
            raise ScenarioError(f"{key}.class: {name!r} cannot be imported: {words}") from None
        if error.name and not f"{module_name}.".startswith(f"{error.name}."):
            raise ScenarioError(f"{key}.class: {name!r} imports {error.name!r}, which is not installed") from None
        places = f"{Path.cwd()}, where the command was started, nor beside the scenario"
        where = f"no module {module_name!r} in {places}; " if ":" in name else ""
        raise ScenarioError(f"{key}.class: unknown {noun} {name!r}; {where}{_known(name, kind, package)}") from None
    cls = getattr(module, class_name, None) if class_name else _only(module, kind)
    if cls is None:
        what = repr(class_name) if class_name else noun
        known = _known(name, kind, package)
        raise ScenarioError(f"{key}.class: unknown {noun} {name!r}; the module has no {what}; {known}")
    if not (isinstance(cls, type) and issubclass(cls, kind)):
        raise ScenarioError(f"{key}.class: {name!r} is not a {noun}; expected a subclass of framework.{kind.__name__}")
    return cls


def _known(name: str, kind: type, package: str) -> str:
    """What could be named instead: the class that was meant, or a short name, or a user's own."""
    if ":" not in name and "." in name:
        return f"did you mean {':'.join(name.rsplit('.', 1))}?"
    names = dict.fromkeys((*_ours(kind, package), *sorted(_declared(package))))
    return f"expected one of {', '.join(names)}, or package.module:Class"


def _ours(kind: type, package: str) -> list[str]:
    """The short names of our own classes."""
    modules = [each.name for each in pkgutil.iter_modules(importlib.import_module(package).__path__)]
    return [each for each in modules if _only(importlib.import_module(f"{package}.{each}"), kind)]


@cache
def _declared(package: str) -> dict[str, str]:
    """The classes that installed packages declare: short name -> `package.module:Class`."""
    return {each.name: each.value for each in entry_points(group=f"carrybook.{package}")}


def _only(module: ModuleType, kind: type) -> type | None:
    """The class of a kind that a module of ours is about: it defines one, if any."""
    classes = (each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__)
    return next((each for each in classes if issubclass(each, kind)), None)


def import_from(directory: Path | None) -> None:
    """Let a user's own modules be found in the directory of a scenario, wherever the command was started."""
    place = str(directory.resolve()) if directory else ""
    if place and place not in sys.path:
        sys.path.append(place)


def check_beside(directory: Path | None, classes: Iterable[object]) -> None:
    """Refuse classes `package.module:Class` that were found elsewhere although the directory has such a module.

    Raises `ScenarioError`: another file of the name was imported before, or goes first where the command was started.
    """
    for name in classes if directory else ():
        module = str(name).partition(":")[0].partition(".")[0] if ":" in str(name) else ""
        file = directory / f"{module}.py" if directory else Path()
        known = getattr(sys.modules.get(module), "__file__", None)
        if module and known and file.is_file() and not file.samefile(known):
            raise ScenarioError(
                f"{name}: is that {known}, or {file.resolve()}? expected one of them under another name"
            )


def _import_from_here() -> None:
    """Let a user's own module be found in the working directory, as `python -m` does."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
