"""carrybook's framework: what strategies and venues are written with, and what runs and records them.

The names are those of `framework.surface`, which is loaded when the first of them is asked for: the command line
answers at once what needs no simulation.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framework.surface import *  # noqa: F403  (its `__all__` is the list)
    from framework.surface import __all__ as __all__


def __getattr__(name: str) -> object:
    if name != "__all__" and (name.startswith("_") or find_spec(f"{__name__}.{name}")):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")  # so a module's import goes on
    found: object = getattr(import_module(f"{__name__}.surface"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *import_module(f"{__name__}.surface").__all__})
