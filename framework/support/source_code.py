"""The source code behind a result: a user's own modules with all that they import, and the project's own files.

Both are read from files, so they depend on what is written there and not on what a process happens to have imported.
"""

import ast
import hashlib
import importlib
import site
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from framework.support.mistakes import OUR_PACKAGES

LOADED_S = time.time()
"""When this process has loaded the project, or begun to."""
INSTALLED = ("site-packages", "dist-packages")
"""Names of the directories of installed packages."""


def own_modules(roots: Iterable[str]) -> dict[str, str]:
    """Module -> SHA-256 of its file, for modules of a user's own and every module that they import, sorted by name.

    Followed are imports anywhere in a file, also within functions, and what a module has as attributes. Modules of
    installed packages are left out, unless a root is in the same package, and so are those of this project.
    """
    waiting, seen, digests = list(roots), set[str](), dict[str, str]()
    packages = {root.partition(".")[0] for root in waiting}
    while waiting:
        name = waiting.pop()
        package = name.partition(".")[0]
        if name in seen or package in OUR_PACKAGES:
            continue
        seen.add(name)
        file = _file(name)
        if file is None or (package not in packages and _is_installed(file)):
            continue
        content = file.read_bytes()
        digests[name] = hashlib.sha256(content).hexdigest()
        waiting += [*_parents(name), *_attributes(sys.modules.get(name))]
        waiting += _imports(name, content, is_package=file.stem == "__init__") if file.suffix == ".py" else ()
    return dict(sorted(digests.items()))


@cache
def project_digest() -> str:
    """SHA-256 over the code and the rules of this project as it is installed; read once in a process."""
    return files_digest(_places())


def is_as_loaded() -> bool:
    """Whether what runs is what the project's files say: none was written since they were loaded, nothing replaced."""
    return written_s(_places()) < LOADED_S and not replacing()


def replacing() -> set[str]:
    """Modules that are neither of this project nor installed, and that something in its own modules and classes is of.

    Whoever tries something out puts a function of his own in the place of one of the project's.
    """
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in OUR_PACKAGES]
    kinds = {each for module in modules for each in vars(module).values() if isinstance(each, type)}
    ours: list[ModuleType | type] = [
        *modules,
        *(each for each in kinds if each.__module__.partition(".")[0] in OUR_PACKAGES),
    ]
    return {name for name in {name for each in ours for name in _attributes(each)} if is_own(name)}


def is_own(module: str, root: str = "") -> bool:
    """Whether a module is of a user's own: neither of this project nor of Python, nor installed beside `root`."""
    package = module.partition(".")[0]
    if package in {*OUR_PACKAGES, *sys.stdlib_module_names}:
        return False
    return package == root.partition(".")[0] or (file := _file(module)) is None or not _is_installed(file)


def files_digest(places: Iterable[Path]) -> str:
    """SHA-256 over the names and the content of all that decides results below some directories: code, and rules.

    Embedded data are among the inputs of a run.
    """
    digest = hashlib.sha256()
    for name, file in _deciding(places):
        digest.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def written_s(places: Iterable[Path]) -> float:
    """When the last of these files was written, in seconds since 1970."""
    return max(file.stat().st_mtime for _, file in _deciding(places))


def _places() -> list[Path]:
    """The directories of this project's packages."""
    return [Path(place) for name in OUR_PACKAGES for place in importlib.import_module(name).__path__]


def _deciding(places: Iterable[Path]) -> list[tuple[str, Path]]:
    """The files below some directories that decide results, with their names, sorted by those."""
    return sorted(
        (f"{place.name}/{file.relative_to(place).as_posix()}", file)
        for place in places
        for pattern in ("*.py", "*.toml")
        for file in place.rglob(pattern)
    )


def is_known(name: str) -> bool:
    """Whether a module can be imported without running code that somebody sent along.

    It is of this project or installed, by the directory where it is found and not by what that is called, or this
    process has imported it already.
    """
    if name in sys.modules or name.partition(".")[0] in OUR_PACKAGES:
        return True
    file = _file(name)
    places = {sysconfig.get_path(each) for each in ("purelib", "platlib")} | {*site.getsitepackages()}
    places |= {site.getusersitepackages()} if site.ENABLE_USER_SITE else set()
    return file is not None and any(file.resolve().is_relative_to(Path(place).resolve()) for place in places)


def _file(name: str) -> Path | None:
    """The file of a module, imported or not; None for one without, such as a built-in one or a namespace."""
    module = sys.modules.get(name)
    if module is not None:
        file = getattr(module, "__file__", None)
        return Path(file) if file else None
    places, spec = None, None
    for part in [*_parents(name)[::-1], name]:
        known = sys.modules.get(part)
        if known is not None:
            places = list(getattr(known, "__path__", ()))
            continue
        try:
            spec = PathFinder.find_spec(part, places)
        except KeyError:  # a folder without a module of its own, in one that nobody has imported
            below = [Path(each, part.rpartition(".")[2]) for each in places or ()]
            places = [str(each) for each in below if each.is_dir()]
            continue
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or ())
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def _is_installed(file: Path) -> bool:
    """Whether a file belongs to Python itself or to a package that was installed from an archive."""
    if not set(file.parts).isdisjoint(INSTALLED):
        return True
    return any(file.is_relative_to(sysconfig.get_path(each)) for each in ("stdlib", "platstdlib"))


def _parents(name: str) -> list[str]:
    """The packages above a module, the nearest first."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]


@lru_cache(maxsize=512)
def _imports(name: str, content: bytes, *, is_package: bool) -> tuple[str, ...]:
    """Every module that a file names in an import; of `from a import b` both `a` and `a.b`, which may be one."""
    above = name.split(".") if is_package else name.split(".")[:-1]
    found: dict[str, None] = {}
    try:
        nodes = ast.walk(ast.parse(content))
    except (SyntaxError, ValueError):
        return ()  # it is imported nowhere yet, and who imports it gets the error
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= dict.fromkeys(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = above[: len(above) - node.level + 1] if node.level else []
            source = ".".join([*start, *([node.module] if node.module else [])])
            found |= dict.fromkeys((source, *(f"{source}.{each.name}" for each in node.names)))
    return tuple(part for each in found for part in (each, *_parents(each)))


def _attributes(module: ModuleType | type | None) -> Iterator[str]:
    """The modules of a module's attributes, for what it imports by name at run time; or of those of a class."""
    for value in list(vars(module).values()) if module else ():
        part = value.fget if isinstance(value, property) else value
        found = part.__name__ if isinstance(part, ModuleType) else getattr(part, "__module__", None)
        if isinstance(found, str):
            yield found
