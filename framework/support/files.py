"""Files: read whole and only so far, written whole or not at all."""

import contextlib
import errno
import math
import os
import re
import shutil
import stat
import tempfile
import time
from pathlib import Path

MIB = 1 << 20
DRAFT = re.compile(r"\.(.*)\.[a-z0-9_]{8}\.draft")
"""What a draft is called, and that of which it is one."""
NAMED = 100
"""How many letters of a file's name its draft has."""


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file; raises `OSError` for a device or a pipe, and for a file beyond `most_bytes`.

    The file is opened before it is looked at, and without waiting for a writer, so that nothing can be exchanged in
    between and nothing hangs.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "a name with a NUL", str(path).replace("\0", "\\0"))
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(handle, "rb") as file:  # noqa: PTH123  (of a handle, not of a path)
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        if found.st_size > most_bytes:
            raise OSError(errno.EFBIG, f"{found.st_size:,} bytes; at most {most_bytes:,} are read", str(path))
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"more than {most_bytes:,} bytes", str(path))
    return content


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; raises `OSError`.

    The draft has a name that nobody can foresee and is created by this call, so no link can lead it elsewhere.
    """
    handle, draft = tempfile.mkstemp(prefix=f".{path.name[:NAMED]}.", suffix=".draft", dir=path.parent)
    try:
        with open(handle, "wb") as file:  # noqa: PTH123  (of a handle, not of a path)
            file.write(content)
            file.flush()
            os.fsync(handle)
        Path(draft).chmod(0o666 & ~umask())
        Path(draft).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(draft).unlink()
        raise


def new_draft(parent: Path, name: str) -> Path:
    """A new directory for what is not finished yet, under a name that nobody can foresee; raises `OSError`."""
    return Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".draft", dir=parent))


def open_to_all(path: Path) -> None:
    """Give a directory that was private while it was made the permissions of any new one."""
    path.chmod(0o777 & ~umask())


def stale_drafts(directory: Path, age_s: float = 86_400.0) -> list[Path]:
    """What killed processes have left unfinished in a directory more than a day ago."""
    before = time.time() - age_s
    try:
        return sorted(
            each for each in directory.iterdir() if DRAFT.fullmatch(each.name) and each.lstat().st_mtime < before
        )
    except OSError:
        return []


def clear_drafts(directory: Path) -> list[Path]:
    """Remove what killed processes have left unfinished in a directory, once it is older than a day."""
    return [each for each in stale_drafts(directory) if _removed(each)]


def clear_drafts_of(path: Path) -> list[Path]:
    """Remove what killed processes have left unfinished of one file, which nobody else may be writing."""
    made = (each for each in stale_drafts(path.parent, -math.inf) if _of(each) == path.name[:NAMED])
    return [each for each in made if _removed(each)]


def _of(draft: Path) -> str | None:
    found = DRAFT.fullmatch(draft.name)
    return found and found[1]


def _removed(path: Path) -> bool:
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if stat.S_ISDIR(path.lstat().st_mode) else path.unlink()
        return True
    return False


def umask() -> int:
    """The permissions that this process takes from what it creates."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def sync(path: Path) -> None:
    """Wait until a file or a directory is on disk; raises `OSError`."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
