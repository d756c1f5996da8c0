"""A sweep: one scenario over a grid of its keys, and over paths, in parallel, resumable, as one tidy table."""

import concurrent.futures
import hashlib
import json
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from io import BytesIO, StringIO
from itertools import chain, groupby, product
from operator import itemgetter
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from attrs import evolve, field, frozen

from framework.assembly import Assembly, Made, assemble, load_history, path_of
from framework.clock import NS_PER_DAY
from framework.data import drawn_paths
from framework.errors import CarrybookError, MarketError, PlayingError, RunError, ScenarioError
from framework.many_runs import workers
from framework.many_runs.execution import Execution, attempted, can_play
from framework.market import TICK_NS, Floats, Market
from framework.performance import Path as Worth
from framework.performance import swept
from framework.run_folder.archive import identity
from framework.scenario import MarketSpec, Scenario, Table, place, put, read_table, value_at, value_of
from framework.support import arrow
from framework.support.files import MIB, read_bounded, replace_file
from framework.support.grid import Grid
from framework.support.source_code import project_digest
from framework.support.text import Sheet, counted

Row = dict[str, object]
CHUNK, CHUNK_OF_PATHS, LARGEST_CHUNK = 16, 96, 4_096
"""Cells that a worker runs at a time and that are stored together: at first, of those on paths, and at most."""
BUSY_S = 0.5
"""How long a worker should be busy with a chunk, which costs some 5 ms to hand out and to store."""
GROWTH = 0.25
"""By what share a tape has to have grown to be kept again after a chunk."""
CURVE, CURVE_POINTS = "curve", 100
"""What a line has besides a row: the equity at so many instants, for pictures."""
PATH, NUMBER = "market.path.", "market.path.number"
"""What the keys of paths begin with, and that of a path's number."""


_encode = json.JSONEncoder(default=str).encode
KEPT_AS_IT_IS = frozenset({int, float, str, bool, type(None)})
"""Kinds of values that JSON gives back as they were."""

KINDS = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
"""What columns of such values are in Arrow."""
CURVES = pa.schema({"cell": pa.int64(), "at_ns": pa.int64(), "equity_usd": pa.float64()})
"""Columns of `curves.parquet`."""
NO_CURVE: workers.Curve = np.empty(0, np.int64), np.empty(0, np.float64)

WRONG = "wrong.txt"
"""The file of a sweep's folder that says why what lies there may be wrong."""


@frozen(kw_only=True)
class Sweep:
    """A scenario as its table, the grid over it, and where its sources are.

    With `paths` every cell of the grid is run on so many paths, the same for each cell, and a row has the `outcome` of
    a run instead of all its metrics.
    """

    table: Table
    grid: tuple[tuple[str, tuple[object, ...]], ...]
    paths: int = 0
    first: int = 1
    """The number of the first path; those of the others follow it."""
    listed: tuple[Row, ...] = ()
    """Cells one by one, instead of a grid."""
    data: Path | None = None
    beside: Path | None = None
    """The directory of the scenario's file."""
    histories: dict[str, Market | MarketError] = field(init=False, factory=dict, repr=False, eq=False)
    _drawn: dict[tuple[int, tuple[str, str]], Market] = field(init=False, factory=dict, repr=False, eq=False)
    """Paths of one number, by that and by what they are drawn from."""
    _made: Made = field(init=False, factory=dict, repr=False, eq=False)
    """The venues of the last cell that was run: those of the next are mostly the same."""
    _assembled: "dict[str, tuple[Assembly, Drawing]]" = field(init=False, factory=dict, repr=False, eq=False)
    """The assembly of each cell of the grid, on the first path that it was run on, and what paths are drawn from."""
    _executions: list[Execution] = field(init=False, factory=list, repr=False, eq=False)
    """What runs the cells, once there is one in this process."""

    @classmethod
    def of(
        cls,
        scenario: Path,
        grids: Sequence[str],
        settings: Sequence[str] = (),
        data: Path | None = None,
        paths: int = 0,
    ) -> "Sweep":
        """A sweep from a scenario file, `KEY=V1,V2,...` grids and `KEY=VALUE` settings; raises `ScenarioError`."""
        table = read_table(scenario)
        for setting in settings:
            put(table, setting)
        if paths:
            _draw(table)
        sweep = cls(table=table, grid=tuple(map(_axis, grids)), paths=paths, data=data, beside=scenario.parent)
        keys = [key for key, _ in sweep.grid]
        check_keys("--grid", keys, on_paths=bool(paths))
        if not keys and not paths:
            raise ScenarioError("--grid: none; expected at least one, such as strategy.leverage=2,3,4")
        return sweep

    @property
    def mirrored(self) -> bool:
        """Whether every second path mirrors the one before, in any cell: pairs of others are independent as well."""
        key = f"{PATH}antithetic"
        return any(bool(cell.get(key, value_at(self.table, key))) for cell in self.combinations)

    @property
    def differing(self) -> bool:
        """Whether cells differ in their market or in how paths are drawn from it, so that not all have the same."""
        return (
            len({repr({key: cell[key] for key in cell if key.startswith("market.")}) for cell in self.combinations}) > 1
        )

    @property
    def combinations(self) -> list[Row]:
        """Every combination of the grid's values, the last key varying fastest; or the cells as they are listed."""
        if self.listed:
            return list(self.listed)
        keys = [key for key, _ in self.grid]
        return [dict(zip(keys, values, strict=True)) for values in product(*(values for _, values in self.grid))]

    @property
    def size(self) -> int:
        """How many cells there are in all."""
        return len(self.combinations) * (self.paths or 1)

    def words(self) -> str:
        """What a reader of results on paths must know: their length, how the first cell's are drawn, and from what."""
        for cell in self.combinations:
            with suppress(CarrybookError):
                market = self.assembly({NUMBER: 1, **cell}).market
                days = float(market.at_ns[-1] + TICK_NS - market.open_ns[0]) / NS_PER_DAY
                told = f": {counted(self.paths, 'path')} of {days:.4g} days, seed "
                label = market.label.replace("; SYNTHETIC: ", "; ").replace(": path 1 of seed ", told, 1)
                return f"{label}; so the first cell, others as their keys say" if self.differing else label
        return ""

    def cells(self) -> list[Row]:
        """What is run: every combination, on every path one after another."""
        if not self.paths:
            return self.combinations
        numbers, each = range(self.first, self.first + self.paths), self.combinations
        return [{NUMBER: number, **cell} for number in numbers for cell in each]

    def assembly(self, cell: Mapping[str, object]) -> Assembly:
        """The cell's scenario, ready to run; each history is loaded once, and so is a path for all cells on it."""
        scenario = self._scenario(cell)
        return assemble(scenario, market=self._market(scenario.market), made=self._made)

    def check(self) -> str:
        """Refuse a value that no cell can have; returns the digest that names the sweep. Raises `CarrybookError`.

        Of cells that are listed it is enough if one can be.
        """
        good: set[str] = set()
        complaints: dict[str, CarrybookError] = {}
        inputs: set[str] = set()
        for cell, found in self._typical():
            if isinstance(found, CarrybookError):
                if not cell:
                    raise found
                for value in _values(cell):
                    complaints.setdefault(value, found)
            else:
                good.update(_values(cell))
                inputs.update(source.digest for source in found.market.sources.values())
                inputs.update(found.own_code().values())
        for value, complaint in complaints.items():
            if value not in good and not (self.listed and good):
                raise complaint
        what = (self.table, self.grid, self.paths, self.first, *self.listed)
        parts = [version("carrybook"), project_digest(), *map(_encode, what)]
        return hashlib.sha256("\n".join([*parts, *sorted(inputs)]).encode()).hexdigest()

    def code(self) -> dict[str, str]:
        """Module -> SHA-256 of its file, for the modules of a user's own of all cells that can be."""
        found: dict[str, str] = {}
        for _, each in self._typical():
            if isinstance(each, Assembly):
                found |= each.own_code()
        return found

    def _typical(self) -> Iterator[tuple[Row, Assembly | CarrybookError]]:
        """Cells that stand for all others, each with its assembly or what is wrong with it.

        A cell is left out if each of its values, and its market, is in one that has been assembled; of paths the first
        stands for all.
        """
        good: set[object] = set()
        for cell in self.combinations:
            values = _values(cell)
            market = tuple(each for each in values if each.startswith("market."))
            if values and good.issuperset([*values, market]):
                continue
            try:
                assembly = self.assembly(({NUMBER: self.first} if self.paths else {}) | cell)
            except CarrybookError as error:
                yield cell, error
            else:
                good.update([*values, market])
                yield cell, assembly

    def rows(self, cells: Iterable[Row]) -> list[Row]:
        """A row for each cell: its keys, its figures and, without paths, the name of its run; or what ended it.

        Cells on paths of one number are run together. Raises `PlayingError`.
        """
        if not self.paths:
            return [_row(cell, attempted(partial(self._figures, cell))) for cell in cells]
        found: list[Row] = []
        for _, group in groupby(cells, key=itemgetter(NUMBER)):
            together = [(cell, attempted(partial(self._on_path, cell))) for cell in group]
            able = [each for _, each in together if not isinstance(each, Exception)]
            outcomes = iter(self._execution.outcomes(able))
            found += [_row(cell, each if isinstance(each, Exception) else next(outcomes)) for cell, each in together]
        return found

    def _figures(self, cell: Row) -> Row:
        """The figures of a cell that is not on paths; raises `CarrybookError`."""
        assembly = self.assembly(cell)
        spec = assembly.scenario.benchmarks
        run = self._execution.run(assembly)
        told = swept(run, spec.rate if spec else 0.0)
        curve = _curve(Worth.of(run, float(str(told["final_equity_usd"]))))
        return {**told, "run": identity(assembly), CURVE: curve}

    def worth(self, cell: Row) -> Floats:
        """What a cell's run was worth; see `Execution.worth`. Raises `CarrybookError`."""
        return self._execution.worth(self.assembly(cell))

    def finished(self, cells: Sequence[tuple[int, Row]]) -> workers.Finished:
        """Numbered cells, run: the lines that are kept of them, and how their runs came about."""
        numbers, each = zip(*cells, strict=True)
        rows = list(zip(numbers, self.rows(each), strict=True))
        self._execution.keep(GROWTH)
        played, why = self._execution.counted()
        return evolve(_finished(rows), played=played, why=why)

    def on_data(self) -> "Sweep":
        """The same cells on the data themselves, without what they say of paths."""
        table = _copy(self.table)
        market = table["market"]
        assert isinstance(market, dict)
        market.pop("path", None)
        cells = [
            {key: value for key, value in cell.items() if not f"{key}.".startswith(PATH)} for cell in self.combinations
        ]
        return self._changed(table=table, grid=(), listed=tuple(cells), paths=0)

    def listing(self, cells: Sequence[Row]) -> "Sweep":
        """The plan with these cells instead of its grid."""
        return self._changed(grid=(), listed=tuple(cells))

    def beyond(self, paths: int, cells: Sequence[Row]) -> "Sweep":
        """These cells on so many paths of higher numbers; where paths mirror each other, from a pair's first one on."""
        first = self.first + self.paths
        first += self.mirrored and first % 2 == 0
        return self._changed(grid=(), listed=tuple(cells), paths=paths, first=first)

    def travelling(self) -> "Sweep":
        """The plan as other machines get it: with the histories, and without what is derived or known here alone."""
        return self._changed(data=None, beside=None)

    def _changed(self, **fields: Any) -> "Sweep":  # noqa: ANN401  (fields of a plan)
        """Another plan on the same histories, which are not read again."""
        plan = evolve(self, **fields)
        plan.histories.update(self.histories)
        return plan

    def _scenario(self, cell: Mapping[str, object]) -> Scenario:
        table = _copy(self.table)
        for key, value in cell.items():
            place(table, key, value)
        return Scenario.of(table, beside=self.beside)

    def _on_path(self, cell: Row) -> tuple[Assembly, Market]:
        """The cell's assembly, made once for all paths, and the path that it is to be run on."""
        key = repr([value for name, value in cell.items() if name != NUMBER])
        if key not in self._assembled:
            assembly = self.assembly(cell)
            self._assembled[key] = assembly, self._drawing(assembly.scenario.market)
        assembly, drawing = self._assembled[key]
        return assembly, self._path(drawing, int(str(cell[NUMBER])))

    @property
    def _execution(self) -> Execution:
        """What runs the cells in this process."""
        if not self._executions:
            self._executions.append(Execution(self.size))
        return self._executions[0]

    def _market(self, spec: MarketSpec) -> Market:
        """The market of a cell."""
        if spec.path is None:
            return self._history(spec)
        drawing = self._drawing(spec)
        return self._path(drawing, drawing.path.which.number)

    def _drawing(self, spec: MarketSpec) -> "Drawing":
        """What the paths of a cell are drawn from, and how."""
        history = self._history(evolve(spec, path=None))
        key = repr({**(spec.path or {}), "number": 0}), repr(evolve(spec, path=None))
        return Drawing(history, path_of(spec.path or {}), key)

    def _path(self, drawing: "Drawing", number: int) -> Market:
        """A path; those of one number are kept, for the cells that follow each other."""
        market = self._drawn.get((number, drawing.key))
        if market is None:
            if any(other != number for other, _ in self._drawn):
                self._drawn.clear()
            market = self._drawn[number, drawing.key] = drawing.of(number)
        return market

    def _history(self, spec: MarketSpec) -> Market:
        key = repr(spec)
        if key not in self.histories:
            try:
                self.histories[key] = load_history(spec, self.data)
            except MarketError as error:
                self.histories[key] = error
        history = self.histories[key]
        if isinstance(history, MarketError):
            raise history.with_traceback(None)
        return history


def check_keys(option: str, keys: Sequence[str], *, on_paths: bool) -> None:
    """Refuse a key that is given twice, or that numbers the paths, which each cell has; raises `ScenarioError`."""
    for key in keys:
        if keys.count(key) > 1:
            raise ScenarioError(f"{option} {key}: given twice; expected each key once")
        if on_paths and key == NUMBER:
            raise ScenarioError(f"{option} {key}: each cell has all the paths; expected another key")


@frozen(eq=False)
class Drawing:
    """What paths are drawn from, and how; the same `key` and number make the same path."""

    history: Market
    path: drawn_paths.Path
    key: tuple[str, str]

    def of(self, number: int) -> Market:
        """A path by its number."""
        return evolve(self.path, which=evolve(self.path.which, number=number)).of(self.history)


@frozen(kw_only=True)
class Swept:
    """What came of a sweep: its folder, its rows in the order of the cells, and how many were run just now."""

    folder: Path
    rows: list[Row]
    ran: int
    played: int = 0
    """How many of those that were run just now were played."""
    why: str = ""
    """Why the first one that could not be played was simulated."""

    @property
    def failed(self) -> int:
        """Rows that carry an error."""
        return sum(bool(row["error"]) for row in self.rows)

    @property
    def counts(self) -> dict[str, int]:
        """How many cells were run just now, and how: played, or simulated as all others are."""
        return {"ran": self.ran, "played": self.played, "simulated": self.ran - self.played}

    def words(self) -> str:
        """How many cells, or runs of them on paths, there are, failed and were run now; and how, if so many can be."""
        of_paths = any(NUMBER in row for row in self.rows[:1])
        told = f"{counted(len(self.rows), 'run' if of_paths else 'cell')}, {self.failed:,} failed, {self.ran:,} run now"
        if not self.ran or not (self.played or can_play(len(self.rows))):
            return told
        simulated, why = self.ran - self.played, self.why
        if not why and self.played and simulated and not self.failed:
            why = "the first of each kind, as a check"
        return f"{told}: {self.played:,} played, {simulated:,} simulated{f' ({why})' if why else ''}"


def sweep(
    plan: Sweep,
    out: Path,
    jobs: int | None = None,
    on_progress: Callable[[int, str], None] | None = None,
    executor: workers.Executor | None = None,
    known: Sequence[Row] = (),
) -> Swept:
    """Run the cells that are missing, and write all of them as `results.parquet` and `results.csv` below `out`.

    Without paths `curves.parquet` has the equity of each cell at some instants.

    They are run in `jobs` processes, or by an `executor` that runs so many chunks at a time. `on_progress` gets the
    number of cells that are done, and why the first that could not be played was simulated. `known` has the rows of
    the first cells, from a sweep that has run them. Raises `CarrybookError` for a bad grid, before anything is written,
    and `RunError` if a worker dies or is refused, the folder cannot be written, or runs were not played as they are
    simulated; what is finished is kept and not run again. A folder of runs that were not is refused from then on.
    """
    name = plan.check()
    folder = out / name
    cells = plan.cells()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_right(folder)
        store = _Store(folder / "cells.jsonl", cells)
        store.add(_finished([(index, row) for index, row in enumerate(known) if index not in store.rows]))
        missing = [index for index in range(len(cells)) if index not in store.rows]
        played, why = 0, ""
        if on_progress:
            on_progress(len(store.rows), why)
        for chunk in _run(plan, name, [(index, cells[index]) for index in missing], jobs, executor):
            store.add(chunk)
            played, why = played + chunk.played, why or chunk.why
            if on_progress:
                on_progress(len(store.rows), why)
        rows = [store.rows[index] for index in range(len(cells))]
        _check_right(folder)  # which another process may have found out meanwhile
        _write(folder, rows, store)
        if not plan.paths:
            _write_curves(folder, store.curves)
    except concurrent.futures.BrokenExecutor:
        raise RunError(f"{folder}: a worker process died; what is finished is kept, start again for the rest") from None
    except concurrent.futures.CancelledError:
        raise RunError(f"{folder}: the cluster was lost; what is finished is kept, start again for the rest") from None
    except PlayingError as error:
        with suppress(OSError):
            replace_file(folder / WRONG, f"{error}\n".encode())
        raise _may_be_wrong(folder, str(error)) from None
    except OSError as error:
        raise RunError(f"{folder}: not writable ({error.strerror}); expected a directory for sweeps") from None
    return Swept(folder=folder, rows=rows, ran=len(missing), played=played, why=why)


def _check_right(folder: Path) -> None:
    """Refuse a folder in which runs were not played as they are simulated; raises `RunError`."""
    if (folder / WRONG).is_file():
        raise _may_be_wrong(folder, read_bounded(folder / WRONG, MIB).decode(errors="replace").strip())


def _may_be_wrong(folder: Path, why: str) -> RunError:
    return RunError(f"{folder}: to be deleted, for its results may be wrong: {why}")


def _run(
    plan: Sweep, name: str, cells: Sequence[tuple[int, Row]], jobs: int | None, executor: workers.Executor | None
) -> Iterator[workers.Finished]:
    """Numbered cells, chunk by chunk as they are finished."""
    width = max(1, min(jobs or os.cpu_count() or 1, len(cells)))
    pace = _Pace(width, CHUNK_OF_PATHS if plan.paths else CHUNK)
    chunks = _chunks(cells, width, pace.cells)
    if executor is not None:
        yield from pace.noting(
            workers.run(executor, width, name, chunks, workers.Parcel.of(plan.travelling(), plan.code()))
        )
    elif width == 1:
        yield from pace.noting(map(plan.finished, chunks))
    else:
        with workers.processes(width, name, plan) as pool:
            yield from pace.noting(workers.run(pool, width, name, chunks, None))


class _Pace:
    """How many cells a chunk has: as many as keep a worker busy for `BUSY_S`, as fast as they have gone so far.

    It changes when things are done, and nothing in what comes of them.
    """

    def __init__(self, width: int, least: int) -> None:
        self._width, self._least = width, least
        self._began_s, self._done = perf_counter(), 0

    def noting(self, finished: Iterator[workers.Finished]) -> Iterator[workers.Finished]:
        """Chunks that are finished, whose cells are counted."""
        for chunk in finished:
            self._done += len(chunk.lines)
            yield chunk

    def cells(self) -> int:
        """How many the next chunk has, at most."""
        a_second = self._done / max(perf_counter() - self._began_s, 1e-9) / self._width
        return max(self._least, min(LARGEST_CHUNK, int(a_second * BUSY_S)))


class _Store:
    """Finished cells, one line each with its checksum, in a file that only grows.

    Several processes may run the same sweep: each adds its lines to the end, and none removes what another may be
    writing. Lines that are cut off, changed, doubled or of other cells do not count.
    """

    def __init__(self, path: Path, cells: Sequence[Row]) -> None:
        self._path = path
        self.rows: dict[int, Row] = {}
        self.curves: dict[int, workers.Curve] = {}
        self._csv: dict[int, tuple[Sequence[str], str]] = {}
        for line in path.read_bytes().splitlines() if path.exists() else []:
            self._read(line, cells)

    def add(self, finished: workers.Finished) -> None:
        """Keep finished cells: on disk before they count.

        They go to the end of the file in one write, on a line of their own if a crash has left half of one there.
        """
        lines = finished.lines
        with self._path.open("a+b") as file:
            if lines and file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                lines = lines if file.read(1) == b"\n" else [b"\n", *lines]
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        self.rows.update(finished.rows)
        self.curves.update(finished.curves)
        for (index, _), line in zip(finished.rows, finished.csv, strict=False):
            self._csv[index] = finished.names, line

    def sheet(self, rows: Sequence[Row], names: Sequence[str]) -> str:
        """Rows as a CSV file, of the lines that their workers have written where those have the same columns."""
        text, (header,) = StringIO(), _csv([dict(zip(names, names, strict=True))], names)
        text.write(header)
        for index, row in enumerate(rows):
            columns, line = self._csv.get(index, ((), ""))
            text.write(line if columns == names else "".join(_csv([row], names)))
        return text.getvalue()

    def _read(self, line: bytes, cells: Sequence[Row]) -> None:
        """Count a line of the file if it is a whole one of a cell of ours, the first of its cell."""
        kept = _kept(line)
        if kept is None or not 0 <= kept[0] < len(cells) or kept[0] in self.rows:
            return
        index, row = kept
        ours = json.loads(_encode(cells[index]))
        if all(row.get(key) == value for key, value in ours.items()):
            self.rows[index] = _without_curve(row)
            self.curves.update(_curves([(index, row)]))


def _row(cell: Row, found: Mapping[str, object] | Exception) -> Row:
    """The row of a cell, by its figures or by what ended it."""
    if not isinstance(found, Exception):
        return {**cell, **found, "error": ""}
    words = str(found) if isinstance(found, CarrybookError) else f"{type(found).__name__}: {found}"
    return {**cell, "error": " ".join(words.split())}


def _finished(rows: Sequence[tuple[int, Row]]) -> workers.Finished:
    """What is kept of numbered rows: their lines, and the rows as they come back from these, without their curves."""
    plain = [(index, _without_curve(row)) for index, row in rows]
    kept = [
        (index, row if KEPT_AS_IT_IS.issuperset(map(type, row.values())) else json.loads(_encode(row)))
        for index, row in plain
    ]
    names = _names([row for _, row in kept])
    return workers.Finished(
        lines=[_line(index, row) for index, row in rows],
        rows=kept,
        curves=_curves(rows),
        names=names,
        csv=_csv([row for _, row in kept], names),
    )


def _names(rows: Iterable[Row]) -> list[str]:
    """The columns of rows, in their order, with the error at the end."""
    return sorted(dict.fromkeys(chain.from_iterable(rows)), key="error".__eq__)


def _csv(rows: Sequence[Row], names: Sequence[str]) -> Sequence[str]:
    """Rows as lines of a CSV file; none of several where a value has several lines."""
    text = StringIO()
    Sheet(text).writecolumns([[row.get(name) for row in rows] for name in names])
    lines = text.getvalue().split("\n")[:-1]
    whole = [text.getvalue()] if len(rows) == 1 else []
    return [f"{line}\n" for line in lines] if len(lines) == len(rows) else whole


def _line(index: int, row: Row) -> bytes:
    content = _encode(row)
    checksum = hashlib.sha256(f"{index} {content}".encode()).hexdigest()
    return f'{{"cell": {index}, "sha256": "{checksum}", "row": {content}}}\n'.encode()


def _curves(rows: Iterable[tuple[int, Row]]) -> dict[int, workers.Curve]:
    """The curves of numbered rows that have one."""

    def arrays(curve: Any) -> workers.Curve:  # noqa: ANN401  (as JSON has it)
        return np.array(curve["at_ns"], np.int64), np.array(curve["usd"], np.float64)

    return {index: arrays(row[CURVE]) for index, row in rows if CURVE in row}


def _without_curve(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != CURVE}


def _values(cell: Row) -> list[str]:
    """The values of a cell with their keys, for telling cells that share some."""
    return [f"{key}={value!r}" for key, value in cell.items()]


def _chunks(
    cells: Sequence[tuple[int, Row]], width: int, most: Callable[[], int]
) -> Iterator[Sequence[tuple[int, Row]]]:
    """Chunks that become smaller towards the end, so that no worker is idle while another has much to do.

    One with cells on several paths ends with the last cell on a path: a path costs time once in each chunk.
    """
    start = 0
    while start < len(cells):
        stop = start + max(1, min(most(), (len(cells) - start) // (2 * width)))
        ends = (
            end for end in range(stop, start, -1) if end == len(cells) or _path(cells[end]) != _path(cells[end - 1])
        )
        stop = next(ends, stop)
        yield cells[start:stop]
        start = stop


def _path(cell: tuple[int, Row]) -> object:
    """What path a numbered cell is on; cells without one are all on their own."""
    index, row = cell
    return row.get(NUMBER, -index)


def _write(folder: Path, rows: Sequence[Row], store: _Store) -> None:
    names, table = _names(rows), BytesIO()
    pq.write_table(pa.table({name: _column([row.get(name) for row in rows]) for name in names}), table)
    replace_file(folder / "results.csv", store.sheet(rows, names).encode())
    replace_file(folder / "results.parquet", table.getvalue())


def _curve(path: Worth) -> Row:
    """What a run was worth at `CURVE_POINTS` instants, evenly among its rows, in cents: time in ns, USD."""
    at = np.unique(np.linspace(0, len(path.usd) - 1, CURVE_POINTS).round().astype(np.int64))
    return {"at_ns": path.at_ns[at].tolist(), "usd": path.usd[at].round(2).tolist()}


def _kept(line: bytes) -> tuple[int, Row] | None:
    """The number and the row of a cell from its line; None for one that was not written whole."""
    try:
        kept = json.loads(line)
        index, row = kept["cell"], kept["row"]
    except (ValueError, KeyError, TypeError):
        return None
    return (index, row) if isinstance(index, int) and line.rstrip() == _line(index, row).rstrip() else None


def _write_curves(folder: Path, curves: Mapping[int, workers.Curve]) -> None:
    """One table of all curves, in the order of the cells, which are numbered as the rows of the results are."""
    cells = sorted(curves)
    lengths = [len(curves[cell][0]) for cell in cells]
    columns = {
        "cell": np.repeat(np.array(cells, np.int64), lengths),
        "at_ns": np.concatenate([NO_CURVE[0], *(curves[cell][0] for cell in cells)]),
        "equity_usd": np.concatenate([NO_CURVE[1], *(curves[cell][1] for cell in cells)]),
    }
    table = BytesIO()
    arrays = [arrow.array(columns[each.name], each.type) for each in CURVES]
    pq.write_table(pa.Table.from_arrays(arrays, schema=CURVES), table)
    replace_file(folder / "curves.parquet", table.getvalue())


def _column(values: list[object]) -> pa.Array:
    """A column of one kind: numbers stay numbers, and whatever is mixed becomes text."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    if len(kinds) > 1 and kinds != {int, float}:
        kinds, values = {str}, [None if value is None else str(value) for value in values]
    kind = KINDS.get(float if float in kinds else kinds.pop())
    return arrow.array(values, kind) if kind else pa.array(values)


def _axis(text: str) -> tuple[str, tuple[object, ...]]:
    """`KEY=V1,V2,...` as a key and its values: TOML values, or text where they are not."""
    key, equals, values = text.partition("=")
    if not equals or not key.strip() or not values.strip():
        raise ScenarioError(f"--grid {text}: expected KEY=V1,V2,..., such as strategy.leverage=2,3,4")
    try:
        found = tuple(tomllib.loads(f"values = [{values}]")["values"])
    except tomllib.TOMLDecodeError:
        found = tuple(value_of(each.strip()) for each in values.split(","))
    if "" in found or len(found) != len({repr(each) for each in found}):
        raise ScenarioError(f"--grid {text}: expected distinct values, none of them empty")
    return key.strip(), found


def _draw(table: Table) -> None:
    """Let a scenario be one of paths: of the stationary bootstrap, unless it says which, and without a number."""
    place(table, NUMBER, 1)
    market = table["market"]
    assert isinstance(market, dict)
    del market["path"]["number"]
    market["path"].setdefault("method", "stationary")


def _copy(table: Table) -> Table:
    return {key: _copy(value) if isinstance(value, dict) else value for key, value in table.items()}


def overview(plan: Sweep, swept: Swept, most: int = 40) -> Grid:
    """The first rows as a grid: keys, return, equity, drawdown, liquidations and errors."""
    keys = [key for key, _ in plan.grid]
    grid = Grid("Sweep", (*keys, "annualised", "final equity", "drawdown", "liquidations", "<error"))
    for row in swept.rows[:most]:
        found = (
            ["", "", "", ""]
            if row["error"]
            else [
                f"{row['annualized_return_pct']:+.2f} %",
                f"{row['final_equity_usd']:,.2f}",
                f"{row['max_drawdown_pct']:.2f} %",
                f"{row['liquidations']}",
            ]
        )
        grid.add(*(str(row[key]) for key in keys), *found, str(row["error"]))
    left = f"; the first {most} are shown" if len(swept.rows) > most else ""
    grid.note = f"{swept.words()}{left}"
    return grid
