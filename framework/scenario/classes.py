"""Classes that a scenario names: of our packages, of packages that are installed, or of a user's own modules."""

import importlib
import os
import pkgutil
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import TypeVar

from framework.errors import ScenarioError
from framework.support.mistakes import OUR_PACKAGES, hint
from framework.support.suggestions import closest

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
        if not module_name:
            raise ScenarioError(f"{key}.class: {name!r}; expected package.module:Class, or the name of a {noun}")
        _import_from_here(module_name)
    else:
        module_name, class_name = f"{package}.{name}", ""
    try:
        module = importlib.import_module(module_name)
    except SystemExit as error:
        raise ScenarioError(f"{key}.class: {name!r} cannot be imported: it ends the program ({error.code})") from None
    except SyntaxError as error:
        place = f"{Path(error.filename or module_name).name}, line {error.lineno}"
        raise ScenarioError(f"{key}.class: {name!r} cannot be read: {place}: {error.msg}") from None
    except Exception as error:
        if not isinstance(error, ModuleNotFoundError):
            file, line = _last_of_theirs(error)
            words = f"{Path(file).name}, line {line}: {type(error).__name__}: {error}{hint(error)}"
            raise ScenarioError(f"{key}.class: {name!r} cannot be imported: {words}") from None
        if error.name and not f"{module_name}.".startswith(f"{error.name}."):
            words = "; ".join(filter(None, ("which is not installed", _meant_module(error.name))))
            raise ScenarioError(f"{key}.class: {name!r} imports {error.name!r}, {words}") from None
        places = f"{Path.cwd()}, where the command was started, nor beside the scenario"
        where = f"no module {module_name!r} in {places}; " if ":" in name else ""
        meant = (":" in name and _meant_module(error.name or module_name)) or _known(name, kind, package)
        raise ScenarioError(f"{key}.class: unknown {noun} {name!r}; {where}{meant}") from None
    cls = getattr(module, class_name, None) if class_name else _only(module, kind)
    if cls is None:
        what = repr(class_name) if class_name else noun
        meant = _meant(module, class_name, kind) or _known(name, kind, package)
        raise ScenarioError(f"{key}.class: unknown {noun} {name!r}; the module has no {what}; {meant}")
    if not (isinstance(cls, type) and issubclass(cls, kind)):
        raise ScenarioError(f"{key}.class: {name!r} is not a {noun}; expected a subclass of framework.{kind.__name__}")
    return cls


def _last_of_theirs(error: BaseException) -> tuple[str, int | None]:
    """The last line of a user's own that led to an error, or the very last where there is none."""
    paths = sysconfig.get_paths()
    known = tuple(f"{each}{os.sep}" for each in (Path(__file__).parent.parent, paths["stdlib"], paths["purelib"]))
    lines = [(each.filename, each.lineno) for each in extract_tb(error.__traceback__)]
    theirs = [each for each in lines if not each[0].startswith(("<", *known))]
    return (theirs or lines)[-1]


def _known(name: str, kind: type, package: str) -> str:
    """What could be named instead: the class that was meant, or a short name, or a user's own."""
    if ":" not in name and "." in name:
        return f"did you mean {':'.join(name.rsplit('.', 1))}?"
    names = dict.fromkeys((*own_names(kind, package), *sorted(_declared(package))))
    return closest(name, names) or f"expected one of {', '.join(names)}, or package.module:Class"


def _meant_module(missing: str) -> str:
    """Which of a user's own modules was probably meant by one that is missing; nothing where none has such a name."""
    package, _, name = missing.rpartition(".")
    if package:
        places = list(getattr(sys.modules.get(package), "__path__", ()))
    else:
        ours = [Path(sysconfig.get_path(each)) for each in ("stdlib", "platstdlib", "purelib", "platlib")]
        found = [str(Path.cwd()), *sys.path]
        places = [each for each in found if not any(Path(each).is_relative_to(place) for place in ours)]
    known = [each.name for each in pkgutil.iter_modules(places)]
    return closest(name, known if package else [*known, *OUR_PACKAGES])


def _meant(module: ModuleType, class_name: str, kind: type) -> str:
    """Which class of a kind in a user's own module was probably meant; nothing where none has such a name."""
    classes = {name: each for name, each in vars(module).items() if isinstance(each, type) and each is not kind}
    return closest(class_name, [name for name, each in classes.items() if issubclass(each, kind)])


def own_names(kind: type, package: str) -> list[str]:
    """The short names of the classes of a `kind` in the modules of our `package`."""
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

    Raises `ScenarioError`: another file of the name was imported before, or lies where the command was started.
    """
    for name in [each for each in map(str, classes) if ":" in each] if directory else ():
        module = name.partition(":")[0].partition(".")[0]
        file = directory / f"{module}.py" if directory else Path()
        known = getattr(sys.modules.get(module), "__file__", None)
        if module and known and file.is_file() and not file.samefile(known):
            raise ScenarioError(
                f"{name}: is that {known}, or {file.resolve()}? expected one of them under another name"
            )


def _import_from_here(module: str) -> None:
    """Let a user's own module that is nowhere else be found in the working directory, as `python -m` does."""
    package = module.partition(".")[0]
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path and package not in sys.modules and not find_spec(package):
        sys.path.append(here)
