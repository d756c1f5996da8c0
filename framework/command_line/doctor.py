"""The command `doctor`: versions, extras, the store, the disk and what is stale, a line each."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import click
from attrs import frozen
from packaging.requirements import Requirement

from framework.data.store import Store
from framework.errors import StoreError
from framework.support.files import stale_drafts
from framework.support.text import say
from framework.tape.shelf import Shelf

LEAST_BYTES = 10**9
"""How much room a disk should have left."""


@frozen
class Sign:
    """One thing that was looked at: what it is, what was found, and whether that is well."""

    what: str
    found: str
    well: bool = True


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Parent of the run folders, to look for what was left unfinished.",
)
def doctor(out: Path) -> None:
    """Say whether all that the commands need is there. The exit code is 1 where something is wrong."""
    signs = [*_versions(), *_store(Store.default()), _shelf(Shelf.default()), *_disk(out), *_drafts(out)]
    for each in signs:
        say(f"{'ok   ' if each.well else 'WRONG'}  {each.what}: {each.found}")
    sys.exit(0 if all(each.well for each in signs) else 1)


def _versions() -> Iterator[Sign]:
    """Python, and each library by what is required of it; one of an extra may be absent."""
    yield Sign("carrybook", f"{version('carrybook')} on Python {platform.python_version()}")
    for line in requires("carrybook") or ():
        needed = Requirement(line)
        if needed.name == "carrybook":
            continue
        extra = str(needed.marker).partition('"')[2].strip('"') if needed.marker else ""
        what = f"{needed.name}{f' (extra {extra})' if extra else ''}"
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            yield Sign(what, f"not installed; expected {needed.specifier}", well=bool(extra))
            continue
        well = needed.specifier.contains(found, prereleases=True)
        yield Sign(what, found if well else f"{found}; expected {needed.specifier}", well)


def _store(store: Store) -> Iterator[Sign]:
    """The store of market data, and each of its series that cannot be read."""
    series, wrong = store.ids() if store.root.is_dir() else [], 0
    for each in series:
        try:
            store.read(each)
        except StoreError as error:
            wrong += 1
            yield Sign(f"series {each}", str(error), well=False)
    yield Sign("store", f"{store.root}, {len(series)} series" + (f", {wrong} of them wrong" if wrong else ""))


def _shelf(shelf: Shelf) -> Sign:
    """What is kept of played runs."""
    sizes = [each.st_size for each in shelf.files().values()]
    return Sign("tapes", f"{shelf.place}, {len(sizes)} of {sum(sizes) / 1e6:,.1f} MB; deleting them is safe")


def _disk(out: Path) -> Iterator[Sign]:
    """Room and permission to write where runs and data go."""
    for what, place in (("runs", out), ("data", Store.default().root)):
        there = next(each for each in (place.absolute(), *place.absolute().parents) if each.exists())
        free = shutil.disk_usage(there).free
        yield Sign(f"disk for {what}", f"{free / 1e9:,.1f} GB free at {there}", free >= LEAST_BYTES)
        if not os.access(there, os.W_OK):
            yield Sign(f"disk for {what}", f"{there} is not writable", well=False)


def _drafts(out: Path) -> Iterator[Sign]:
    """What killed runs have left; the next run removes it."""
    for each in stale_drafts(out):
        yield Sign("stale", f"{each} was never finished; the next run removes it", well=False)
