"""Workers: chunks of cells run on processes, here or on other machines, through one seam: an executor.

A worker asks for the plan once, and keeps it by its digest; a chunk carries that digest alone. The plan brings its
markets and a user's own modules along, so workers share no disk. One whose own code is another is refused.
"""

import concurrent.futures  # which loads its processes when they are asked for: a plain run needs none
import gc
import hashlib
import logging
import multiprocessing
import os
import pickle
import platform
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Protocol

from attrs import frozen

from framework.errors import RunError
from framework.market import Floats, Ints
from framework.support.source_code import own_modules, project_digest

Executor = concurrent.futures.Executor
Cells = Sequence[tuple[int, dict[str, object]]]
"""Numbered cells, or numbered rows of results."""
AHEAD = 4
"""Chunks per worker that are handed out before their results are in."""
ADDRESS = re.compile(r"((tcp|tls|ws|wss|ucx)://)?[^/]*:\d+")
"""The address of a Dask scheduler."""
ANSWERS_S = 5
"""How long a scheduler may take to answer."""


Curve = tuple[Ints, Floats]
"""What a run was worth at some instants: time in ns, USD."""


@frozen(kw_only=True)
class Finished:
    """A chunk that is finished: what is kept of each cell, and how its runs came about."""

    lines: Sequence[bytes]
    """The lines of its cells that are written to disk."""
    rows: Cells
    """The rows that stay in memory, as they are when they are read from those lines."""
    curves: Mapping[int, Curve] = {}
    """What each run was worth, by the number of its cell, where that is kept."""
    names: Sequence[str] = ()
    """The columns of `csv`."""
    csv: Sequence[str] = ()
    """The rows as lines of a CSV file; none where a value has several lines."""
    played: int = 0
    """How many of its runs were played; the others were simulated."""
    why: str = ""
    """Why the first run of the worker that could not be played was simulated; empty where there was none."""


class Plan(Protocol):
    """What is run cell by cell; pickled, it holds all that its cells need but code."""

    def finished(self, cells: Cells) -> Finished:
        """The cells, once they are run."""


@frozen(kw_only=True)
class Parcel:
    """A plan on its way to a worker: pickled, with a user's own modules as the content of their files by path."""

    plan: bytes
    digest: str
    """SHA-256 of the plan as it is pickled."""
    modules: Mapping[str, str]
    """Module -> SHA-256 of its file."""
    files: Mapping[str, bytes]

    @classmethod
    def of(cls, plan: Plan, modules: Mapping[str, str]) -> "Parcel":
        """The plan with the modules, which this process can import."""
        content = pickle.dumps(plan)
        files = dict(_file(name) for name in modules)
        return cls(plan=content, digest=hashlib.sha256(content).hexdigest(), modules=dict(modules), files=files)

    def unpack(self) -> Plan | str:
        """The plan, once its modules are the ones that this process imports; else what is wrong."""
        if hashlib.sha256(self.plan).hexdigest() != self.digest:
            return f"{here()}: the plan arrived damaged"
        if self.files:
            _directories.append(tempfile.TemporaryDirectory(prefix="carrybook-"))
            sys.path.append(_directories[-1].name)
        for name, content in self.files.items():
            path = Path(_directories[-1].name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        found = own_modules(self.modules)
        for name, digest in self.modules.items():
            if found.get(name) != digest:
                return f"{here()}: has another module {name}; expected the one that the sweep was started with"
        plan: Plan = pickle.loads(self.plan)  # noqa: S301  (it comes from the process that hands out all the code)
        return plan


def _file(module: str) -> tuple[str, bytes]:
    """The place of a module's file below a directory of imports, and its content."""
    origin = Path(str(sys.modules[module].__file__))
    parts = module.split(".")
    place = Path(*parts, "__init__.py") if origin.stem == "__init__" else Path(*parts).with_suffix(origin.suffix)
    return place.as_posix(), origin.read_bytes()


def here() -> str:
    """What an error message calls the process."""
    return f"worker on {platform.node()}"


@cache
def code() -> str:
    """What a result depends on besides the plan: this project's files, Python and numpy; a process looks once."""
    return f"carrybook {project_digest()[:16]} on Python {platform.python_version()} with numpy {version('numpy')}"


_plans: dict[str, Plan] = {}
"""The plans that this process has, by digest."""


_directories: list[tempfile.TemporaryDirectory[str]] = []
"""Where the modules of plans lie as long as this process lives."""


def keep(key: str, plan: Plan) -> None:
    """Let this process have a plan, and no other."""
    _plans.clear()
    _plans[key] = plan


def work(key: str, expected: str, cells: Cells, parcel: Parcel | None = None) -> Finished | str | None:
    """A chunk that is finished; None where the plan is not here yet, or in words why this worker is refused."""
    if code() != expected:
        return f"{here()}: runs {code()}; expected {expected}, with which the sweep was started"
    if key not in _plans:
        if parcel is None:
            return None
        plan = parcel.unpack()
        if isinstance(plan, str):
            return plan
        keep(key, plan)
    return _plans[key].finished(cells)


def run(executor: Executor, width: int, key: str, chunks: Iterator[Cells], parcel: Parcel | None) -> Iterator[Finished]:
    """The chunks as they are finished; a few for each of `width` workers are under way.

    Without a `parcel` the workers have the plan already. With one there is a chunk for each worker until as many are
    finished: each chunk beyond the first that a worker gets before it has the plan would bring the parcel once more.
    Raises `RunError` for a worker that is refused.
    """
    running: dict[concurrent.futures.Future[Finished | str | None], Cells] = {}
    finished = width if parcel is None else 0
    try:
        while True:
            ahead = AHEAD if finished >= width else 1
            for chunk in islice(chunks, width * ahead - len(running)):
                running[executor.submit(work, key, code(), chunk)] = chunk
            if not running:
                return
            done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                chunk, answer = running.pop(future), future.result()
                if isinstance(answer, str):
                    raise RunError(answer)
                if answer is None:
                    running[executor.submit(work, key, code(), chunk, parcel)] = chunk
                else:
                    finished += 1
                    yield answer
    finally:
        for future in running:
            future.cancel()


def _begin(key: str, plan: Plan | None) -> None:
    """Let this process have a plan, if there is one, and end with the one that has started it, however that ends.

    What it has been forked with stays: a garbage collector that looked at it would copy most of its memory.
    """
    if plan is not None:
        keep(key, plan)
    gc.freeze()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def processes(jobs: int, key: str = "", plan: Plan | None = None) -> Iterator[Executor]:
    """Processes of this machine that have a plan from the beginning; without one they ask for each that they run.

    They end where an error does, even if it came while they were being started: a pool waits for those for ever.
    """
    others = multiprocessing.active_children()
    with concurrent.futures.ProcessPoolExecutor(jobs, initializer=_begin, initargs=(key, plan)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for each in multiprocessing.active_children():
                if each not in others:
                    each.terminate()
            raise


@contextmanager
def cluster(address: str) -> Iterator[tuple[Executor, int]]:
    """The workers of a Dask scheduler, and how many chunks they run at a time; raises `RunError`."""
    from distributed import Client  # noqa: PLC0415  (an optional extra, loaded when it is asked for)

    if not ADDRESS.fullmatch(address):  # a client of such an address takes ten seconds to go, and a traceback
        raise RunError(f"--cluster {address}: no address of a scheduler; expected one such as tcp://HOST:8786")
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)  # what is lost is reported in one line
    try:
        client = Client(address, timeout=ANSWERS_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        words = f"not within {ANSWERS_S} s" if isinstance(error, OSError) else str(error)
        raise RunError(
            f"--cluster {address}: no scheduler answers there ({words}); expected an address such as tcp://HOST:8786"
        ) from None
    with client:
        width = sum(client.nthreads().values())
        if not width:
            raise RunError(
                f"--cluster {address}: the scheduler has no workers; start some with `dask worker {address}`"
            )
        yield client.get_executor(pure=False), width
