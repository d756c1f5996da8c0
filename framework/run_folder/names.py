"""Names of runs: a small file each, `.names/NAME` beside the runs' folders, that holds the digest of its run.

A name is no part of its run, so naming changes no digest, and each is written whole or not at all.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from framework.errors import RunError
from framework.support.files import read_bounded, replace_file
from framework.support.text import shown

NAMES = ".names"
"""The directory of the names, below that of the runs."""
LATEST = "latest"
"""In the place of a run's name below its parent: the run that was written last."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DIGEST = re.compile(r"[0-9a-f]{64}")
PART_OF_DIGEST = re.compile(r"[0-9a-fA-F]+")
FORM = "letters, digits, '.', '_' and '-', at most 64, the first a letter or digit"


def check_name(name: str) -> str:
    """The name, if it can be a run's; raises `RunError` for a path, for `latest` and for what reads as a digest."""
    if not NAME.fullmatch(name):
        raise RunError(f"{shown(name)} is no name of a run; expected {FORM}")
    if name == LATEST or PART_OF_DIGEST.fullmatch(name):
        what = "the run that was written last" if name == LATEST else "a run by its digest"
        raise RunError(f"{name!r} is no name of a run: it means {what}; expected another, such as {name}_run")
    return name


def names_in(parent: Path) -> Mapping[str, str]:
    """Name -> digest of the run, for all names in a directory of runs, sorted; what is no name is passed over."""
    found = {}
    place = parent / NAMES
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        try:
            digest = read_bounded(path, 100).decode().strip()
        except (OSError, UnicodeDecodeError):
            continue
        if NAME.fullmatch(path.name) and DIGEST.fullmatch(digest):
            found[path.name] = digest
    return found


def check_free(parent: Path, name: str, digest: str) -> None:
    """Refuse a name that another run has; raises `RunError`."""
    known = names_in(parent).get(check_name(name), digest)
    if known != digest and (parent / known / "manifest.json").is_file():
        raise RunError(f"{name!r} is the name of {known[:8]} in {parent}; expected another, or that run to be renamed")


def assign(parent: Path, name: str, digest: str) -> None:
    """Give a run a name; raises `RunError` where another has it, or nothing can be written."""
    check_free(parent, name, digest)
    try:
        (parent / NAMES).mkdir(parents=True, exist_ok=True)
        replace_file(parent / NAMES / name, f"{digest}\n".encode())
    except OSError as error:
        raise RunError(f"{parent / NAMES / name}: not writable ({error.strerror})") from None


def forget(parent: Path, name: str) -> None:
    """Take a name away; the run stays. Raises `RunError`."""
    try:
        (parent / NAMES / check_name(name)).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{parent / NAMES / name}: not removable ({error.strerror})") from None
