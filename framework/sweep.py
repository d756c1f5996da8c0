"""A sweep: one scenario over a grid of its keys, in parallel, resumable, as one tidy table."""

import concurrent.futures  # which loads its processes when they are asked for: a plain run needs none
import csv
import hashlib
import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from io import BytesIO, StringIO
from itertools import islice, product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from attrs import field, frozen

from framework.archive import identity, replace_file
from framework.assembly import Assembly, assemble, load_market
from framework.errors import CarrybookError, MarketError, RunError, ScenarioError
from framework.grid import Grid
from framework.market import Market
from framework.performance import figures
from framework.scenario import Scenario, Table, place, put, read_table, value_of
from framework.source_code import project_digest

Row = dict[str, object]
CHUNK = 16
"""Cells that a worker runs at a time and that are stored together, at most."""
AHEAD = 4
"""Chunks per worker that are handed out before their results are in."""


@frozen(kw_only=True)
class Sweep:
    """A scenario as its table, the grid over it, and where its sources are."""

    table: Table
    grid: tuple[tuple[str, tuple[object, ...]], ...]
    data: Path | None = None
    beside: Path | None = None
    """The directory of the scenario's file."""
    _markets: dict[str, Market | MarketError] = field(init=False, factory=dict, repr=False, eq=False)

    @classmethod
    def of(
        cls, scenario: Path, grids: Sequence[str], settings: Sequence[str] = (), data: Path | None = None
    ) -> "Sweep":
        """A sweep from a scenario file, `KEY=V1,V2,...` grids and `KEY=VALUE` settings; raises `ScenarioError`."""
        table = read_table(scenario)
        for setting in settings:
            put(table, setting)
        sweep = cls(table=table, grid=tuple(map(_axis, grids)), data=data, beside=scenario.parent)
        keys = [key for key, _ in sweep.grid]
        for key in keys:
            if keys.count(key) > 1:
                raise ScenarioError(f"--grid {key}: given twice; expected each key once")
        if not keys:
            raise ScenarioError("--grid: none; expected at least one, such as strategy.leverage=2,3,4")
        return sweep

    def cells(self) -> list[Row]:
        """Every combination of the grid's values, the last key varying fastest."""
        keys = [key for key, _ in self.grid]
        return [dict(zip(keys, values, strict=True)) for values in product(*(values for _, values in self.grid))]

    def assembly(self, cell: Mapping[str, object]) -> Assembly:
        """The cell's scenario, ready to run; each market is loaded once."""
        table = _copy(self.table)
        for key, value in cell.items():
            place(table, key, value)
        scenario = Scenario.of(table, beside=self.beside)
        spec = repr(scenario.market)
        if spec not in self._markets:
            try:
                self._markets[spec] = load_market(scenario.market, self.data)
            except MarketError as error:
                self._markets[spec] = error
        market = self._markets[spec]
        if isinstance(market, MarketError):
            raise market.with_traceback(None)
        return assemble(scenario, market=market)

    def check(self) -> str:
        """Refuse a value that no cell can have; returns the digest that names the sweep. Raises `CarrybookError`.

        A cell is left out if each of its values, and its market, is in one that has been assembled.
        """
        good: set[object] = set()
        complaints: dict[tuple[str, str], CarrybookError] = {}
        inputs: set[str] = set()
        for cell in self.cells():
            values = [(key, repr(value)) for key, value in cell.items()]
            market = tuple(each for each in values if each[0].partition(".")[0] == "market")
            if good.issuperset([*values, market]):
                continue
            try:
                assembly = self.assembly(cell)
                inputs.update(source.digest for source in assembly.market.sources.values())
                inputs.update(assembly.own_code().values())
                good.update([*values, market])
            except CarrybookError as error:
                for value in values:
                    complaints.setdefault(value, error)
        for value, complaint in complaints.items():
            if value not in good:
                raise complaint
        tables = [json.dumps(each, default=str) for each in (self.table, self.grid)]
        parts = [version("carrybook"), project_digest(), *tables]
        return hashlib.sha256("\n".join([*parts, *sorted(inputs)]).encode()).hexdigest()

    def run(self, cell: Row) -> Row:
        """One row: the cell's keys, its metrics and the name of its run, or the error that ended it."""
        try:
            assembly = self.assembly(cell)
            return {**cell, **figures(assembly.simulation().run()), "run": identity(assembly), "error": ""}
        except CarrybookError as error:
            words = str(error)
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
        return {**cell, "error": " ".join(words.split())}


@frozen(kw_only=True)
class Swept:
    """What came of a sweep: its folder, its rows in the order of the cells, and how many were run just now."""

    folder: Path
    rows: list[Row]
    ran: int

    @property
    def failed(self) -> int:
        """Rows that carry an error."""
        return sum(bool(row["error"]) for row in self.rows)


def sweep(plan: Sweep, out: Path, jobs: int | None = None, on_progress: Callable[[int], None] | None = None) -> Swept:
    """Run the cells that are missing, and write all of them as `results.parquet` and `results.csv` below `out`.

    `on_progress` is told how many cells are done. Raises `CarrybookError` for a bad grid, before anything is written,
    and `RunError` if a worker dies or the folder cannot be written; what is finished is kept and not run again.
    """
    folder = out / plan.check()
    cells = plan.cells()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        store = _Store(folder / "cells.jsonl", cells)
        missing = [index for index in range(len(cells)) if index not in store.rows]
        for lines in _run(plan, [(index, cells[index]) for index in missing], jobs or os.cpu_count() or 1):
            store.add(lines)
            if on_progress:
                on_progress(len(store.rows))
        rows = [store.rows[index] for index in range(len(cells))]
        _write(folder, rows)
    except OSError as error:
        raise RunError(f"{folder}: not writable ({error.strerror}); expected a directory for sweeps") from None
    except concurrent.futures.BrokenExecutor:
        raise RunError(f"{folder}: a worker process died; what is finished is kept, start again for the rest") from None
    return Swept(folder=folder, rows=rows, ran=len(missing))


class _Store:
    """Finished cells, one line each with its checksum; what a crash has left half-written is cut off."""

    def __init__(self, path: Path, cells: Sequence[Row]) -> None:
        self._path = path
        self.rows: dict[int, Row] = {}
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        kept = [line for line in lines if self._trusted(line, cells)]
        if kept != lines:
            replace_file(path, b"".join(kept))

    def add(self, lines: Sequence[bytes]) -> None:
        """Keep finished cells: on disk before they count, and as they come back from there."""
        with self._path.open("ab") as file:
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        for line in lines:
            kept = json.loads(line)
            self.rows[kept["cell"]] = kept["row"]

    def _trusted(self, line: bytes, cells: Sequence[Row]) -> bool:
        try:
            kept = json.loads(line)
            index, row = kept["cell"], kept["row"]
        except (ValueError, KeyError, TypeError):
            return False
        if not isinstance(index, int) or not 0 <= index < len(cells) or line != _line(index, row):
            return False
        ours = json.loads(json.dumps(cells[index], default=str))
        if index in self.rows or any(row.get(key) != value for key, value in ours.items()):
            return False
        self.rows[index] = row
        return True


def _line(index: int, row: Row) -> bytes:
    content = json.dumps(row, default=str)
    checksum = hashlib.sha256(f"{index} {content}".encode()).hexdigest()
    return f'{{"cell": {index}, "sha256": "{checksum}", "row": {content}}}\n'.encode()


_plan: Sweep | None = None
"""The sweep of a worker process."""


def _prepare(plan: Sweep) -> None:
    global _plan  # noqa: PLW0603  (a worker process has one sweep for its life)
    _plan = plan


def _work(cells: Sequence[tuple[int, Row]]) -> list[bytes]:
    assert _plan is not None
    return _lines(_plan, cells)


def _lines(plan: Sweep, cells: Sequence[tuple[int, Row]]) -> list[bytes]:
    return [_line(index, plan.run(cell)) for index, cell in cells]


def _run(plan: Sweep, cells: Sequence[tuple[int, Row]], jobs: int) -> Iterator[list[bytes]]:
    """Lines of numbered cells, chunk by chunk as they are finished; a few chunks per worker are under way."""
    pending = _chunks(cells, jobs)
    if jobs == 1:
        yield from (_lines(plan, chunk) for chunk in pending)
        return
    with concurrent.futures.ProcessPoolExecutor(jobs, initializer=_prepare, initargs=(plan,)) as pool:
        running: set[concurrent.futures.Future[list[bytes]]] = set()
        try:
            while True:
                running.update(pool.submit(_work, chunk) for chunk in islice(pending, jobs * AHEAD - len(running)))
                if not running:
                    return
                done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _chunks(cells: Sequence[tuple[int, Row]], jobs: int) -> Iterator[Sequence[tuple[int, Row]]]:
    """Chunks that become smaller towards the end, so that no worker is idle while another has much to do."""
    start = 0
    while start < len(cells):
        stop = start + max(1, min(CHUNK, (len(cells) - start) // (2 * jobs)))
        yield cells[start:stop]
        start = stop


def _write(folder: Path, rows: list[Row]) -> None:
    names = [*dict.fromkeys(name for row in rows for name in row if name != "error"), "error"]
    columns = {name: _tidy([row.get(name) for row in rows]) for name in names}
    text, table = StringIO(), BytesIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*columns.values(), strict=True))
    pq.write_table(pa.table(columns), table)
    replace_file(folder / "results.csv", text.getvalue().encode())
    replace_file(folder / "results.parquet", table.getvalue())


def _tidy(values: list[object]) -> list[object]:
    """A column of one kind: numbers stay numbers, and whatever is mixed becomes text."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 or kinds == {int, float}:
        return values
    return [None if value is None else str(value) for value in values]


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
    left = f", the first {most} shown" if len(swept.rows) > most else ""
    grid.note = f"{len(swept.rows)} cells{left}, {swept.failed} failed, {swept.ran} run now"
    return grid
