"""Libraries that only some commands need: a command without its own says in one line how to install it."""

import importlib

import click


def need_extra(what: str, extra: str, *modules: str) -> None:
    """Refuse in one line where a library of an extra is not installed; raises `click.ClickException`."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise click.ClickException(
                f"{what} needs {error.name}; install it in the project's directory with pip install '.[{extra}]'"
            ) from None
