"""The folder of a run: Parquet for the books, JSON for the rest, named by what went in, and never half there.

Everything is written beside its place under another name; the manifest comes last, and one rename makes it the run.
"""

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from attrs import fields

from framework.assembly import Assembly
from framework.errors import RunError
from framework.eventlog import EventLog, Settlements
from framework.events import Event
from framework.market import Ints, Market, Source
from framework.run import Run
from framework.saved.rollforward import ROLL_COLUMNS, roll_forward
from framework.valuation import Summary, row_of

FORMAT = 2
"""Version of the folder's layout."""
ROWS_AT_ONCE = 1 << 18
"""Rows of a table that are in memory together while it is written."""
LIBRARIES = ("attrs", "cattrs", "numpy", "pyarrow", "simpy")

EVENT_COLUMNS: Mapping[str, pa.DataType] = {
    "event": pa.int64(),
    "at_ns": pa.int64(),
    "venue": pa.string(),
    "kind": pa.string(),
    "cause": pa.int64(),
    "asset": pa.string(),
    "rate": pa.float64(),
    "price": pa.float64(),
    "size": pa.int64(),
    "amount": pa.int64(),
    "fee": pa.int64(),
    "charged": pa.int64(),
    "equity": pa.int64(),
    "penalty": pa.int64(),
    "bad_debt": pa.int64(),
    "trigger_price": pa.float64(),
    "side": pa.string(),
    "closed": pa.bool_(),
    "order": pa.string(),
    "reason": pa.string(),
    "counterparty": pa.string(),
    "condition": pa.string(),
    "row": pa.int64(),
    "price_source": pa.string(),
    "price_source_row": pa.int64(),
    "rate_source": pa.string(),
    "rate_source_row": pa.int64(),
    "rate_source_rows": pa.int64(),
}
"""Columns of `events.parquet`: amounts in atomic units, `row` the market row from 0, sources as file and rows in it."""


@cache
def _our_version() -> str:
    """The version of the project, which a process looks up once."""
    return version("carrybook")


def identity(assembly: Assembly) -> str:
    """The name of a run: SHA-256 over the scenario, every input, a user's own code, and the version of the project."""
    inputs, code = _inputs(assembly.market), assembly.own_code()
    parts = [_our_version(), assembly.scenario.digest, *inputs.values(), *code.values()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def save(assembly: Assembly, run: Run, summary: Summary, parent: Path) -> Path:
    """Write the folder of a run below `parent` and return it; raises `RunError`, and then nothing is left behind."""
    name = identity(assembly)
    target = parent / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{name[:16]}.", dir=parent))
    except OSError as error:
        raise RunError(f"{parent}: not writable ({error.strerror}); expected a directory for runs") from None
    try:
        _write(draft, assembly, run, summary, name)
        _replace(draft, target)
    except OSError as error:
        raise RunError(f"{target}: not writable ({error.strerror})") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _write(folder: Path, assembly: Assembly, run: Run, summary: Summary, name: str) -> None:
    (folder / "scenario.toml").write_text(assembly.scenario.toml())
    _parquet(folder / "market.parquet", [_market_table(run.market)])
    _parquet(folder / "ledger.parquet", _ledger_tables(run))
    _parquet(folder / "events.parquet", _event_tables(run.events, run.market))
    _parquet(folder / "equity.parquet", [_equity_table(run)])
    _parquet(folder / "balances.parquet", [_balance_table(run)])
    (folder / "summary.json").write_text(_json(summary))
    manifest = {
        "format": FORMAT,
        "run": name,
        "scenario": assembly.scenario.digest,
        "seed": assembly.scenario.seed,
        "inputs": _inputs(run.market),
        "code": assembly.own_code(),
        "label": run.market.label,
        "capital": run.capital,
        "opened_at": run.opened_at,
        "ledger": {
            "digest": run.ledger.digest,
            "chain": run.ledger.chain(),
            "chart": run.ledger.chart(),
            "balances": list(run.ledger.balances().values()),
        },
        "counts": {"rows": len(run.market), "events": len(run.events), "transfers": len(run.ledger)},
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())},
        "versions": {"carrybook": version("carrybook"), "python": platform.python_version()}
        | {library: version(library) for library in LIBRARIES},
    }
    (folder / "manifest.json").write_text(_json(manifest))
    for path in folder.iterdir():
        _sync(path)


def _replace(draft: Path, target: Path) -> None:
    """Put the draft in the target's place; a run that is there already is moved aside first and then removed."""
    draft.chmod(0o755)
    aside = draft.with_name(draft.name + ".old")
    if target.exists():
        target.rename(aside)
    draft.rename(target)
    _sync(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; raises `OSError`."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(content)
    _sync(draft)
    draft.replace(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _json(value: object) -> str:
    return json.dumps(value, indent=1) + "\n"


def _parquet(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write tables of one schema one after another; what is written is not kept."""
    writer = None
    for table in _together(tables):
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema, compression="zstd")
        if len(table):
            writer.write_table(table)
    if writer is not None:
        writer.close()


def _together(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer tables: each is written as a group of rows, and many small ones are slow to read."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        waiting.append(table)
        rows += len(table)
        if rows >= ROWS_AT_ONCE:
            yield pa.concat_tables(waiting)
            waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting)


def _inputs(market: Market) -> dict[str, str]:
    """Input file -> SHA-256, in the order of the table's columns."""
    return {file: digest for source in market.sources.values() for file, digest in source.digests().items()}


def _ledger_tables(run: Run) -> Iterator[pa.Table]:
    records = run.ledger.records()
    accounts = pa.array([account.name for account in run.ledger.accounts])
    assets = pa.array([asset.code for asset in run.ledger.assets])
    kinds = pa.array(list(run.ledger.kinds), type=pa.string())
    for start in range(0, max(1, len(records)), ROWS_AT_ONCE):
        part = records[start : start + ROWS_AT_ONCE]
        yield pa.table(
            {
                "seq": np.arange(start + 1, start + 1 + len(part)),
                "at_ns": part["at_ns"],
                "event": part["event"],
                "kind": kinds.take(pa.array(part["kind"])),
                "debit": accounts.take(pa.array(part["debit"])),
                "credit": accounts.take(pa.array(part["credit"])),
                "asset": assets.take(pa.array(part["asset"])),
                "amount": part["amount"],
            }
        )


def _event_tables(events: EventLog, market: Market) -> Iterator[pa.Table]:
    schema = pa.schema(list(EVENT_COLUMNS.items()))
    yield schema.empty_table()
    singles: list[dict[str, object]] = []
    for part in events.parts:
        if isinstance(part, Settlements):
            yield pa.Table.from_pylist(singles, schema=schema)
            singles = []
            for piece in part.pieces(ROWS_AT_ONCE // len(part.accruals)):
                yield _settlement_table(piece, market, schema)
        else:
            singles.append(_single_row(part, market))
    yield pa.Table.from_pylist(singles, schema=schema)


def _balance_table(run: Run) -> pa.Table:
    """The roll-forward: what each account began every month with, took, gave, and ended with; atomic units."""
    lines = roll_forward(run.ledger.accounts, [run.ledger.records()])
    schema = pa.schema([(name, pa.string() if index < 3 else pa.int64()) for index, name in enumerate(ROLL_COLUMNS)])
    return pa.Table.from_pylist([dict(zip(ROLL_COLUMNS, line, strict=True)) for line in lines], schema=schema)


def _single_row(event: Event, market: Market) -> dict[str, object]:
    row = row_of(market, event.at_ns)
    values: dict[str, object] = {each.name: getattr(event, each.name) for each in fields(type(event))}
    if "condition" in values:
        values["condition"] = str(values["condition"])
    close = market.sources.get("close")
    if close and values.get("price") is not None:
        values |= {"price_source": close.file_of(row), "price_source_row": int(close.first_row[row])}
    return values | {"kind": event.kind, "row": row}


def _settlement_table(part: Settlements, market: Market, schema: pa.Schema) -> pa.Table:
    """The events of a settled stretch, as columns."""
    count, accruals = len(part), part.accruals
    at = part.start + part.rows

    def gathered(arrays: Sequence[np.ndarray[tuple[int], np.dtype[np.generic]]]) -> object:
        return np.stack(arrays, axis=1)[part.rows, part.columns]

    def by_accrual(texts: Sequence[str | None]) -> pa.Array:
        return pa.array(texts, type=pa.string()).take(pa.array(part.columns))

    length = len(part.amounts)
    columns: dict[str, object] = {
        "event": np.arange(part.first, part.first + count),
        "at_ns": market.at_ns[at],
        "venue": by_accrual([accrual.venue for accrual in accruals]),
        "kind": by_accrual([accrual.event.__name__ for accrual in accruals]),
        "asset": by_accrual([accrual.asset for accrual in accruals]),
        "rate": gathered([accrual.rate[:length] for accrual in accruals]),
        "price": gathered([accrual.price[:length] for accrual in accruals]),
        "size": gathered([accrual.size[:length] for accrual in accruals]),
        "amount": gathered([part.gains(column)[:length] for column in range(len(accruals))]),
        "row": at,
    }
    for name, behind in (
        ("price_source", [accrual.price_column for accrual in accruals]),
        ("rate_source", [accrual.rate_column for accrual in accruals]),
    ):
        known = [market.sources.get(column) for column in behind]
        columns[name] = _files(known, at, part.columns)
        columns[f"{name}_row"] = _cells([source.first_row if source else None for source in known], at, part.columns)
        columns[f"{name}_rows"] = _cells([source.rows if source else None for source in known], at, part.columns)
    arrays = [
        pa.array(columns[each.name], each.type) if each.name in columns else pa.nulls(count, each.type)
        for each in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _files(sources: Sequence[Source | None], rows: Ints, columns: Ints) -> pa.Array:
    """The file behind the cell of each row and column, null in a column without a source."""
    names: list[str | None] = []
    codes = np.zeros(len(rows), dtype=np.int64)
    for column, source in enumerate(sources):
        codes[columns == column] = len(names)
        names.append(source.file if source else None)
        if source and source.earlier:
            codes[(columns == column) & (rows < source.since)] = len(names)
            names.append(source.earlier[0])
    return pa.array(names, type=pa.string()).take(pa.array(codes))


def _cells(sources: Sequence[Ints | None], rows: Ints, columns: Ints) -> pa.Array:
    """The cell of each row and column, null in a column without a source."""
    cells = np.zeros(len(rows), dtype=np.int64)
    for column, source in enumerate(sources):
        mine = columns == column
        if source is not None:
            cells[mine] = source[rows[mine]]
    absent = np.array([each is None for each in sources])
    return pa.array(cells, mask=absent[columns])


def _equity_table(run: Run) -> pa.Table:
    curve = run.curve
    columns = {
        "at_ns": run.market.at_ns,
        "close": run.market["close"],
        "equity_usd": curve.equity_usd,
        "cash_usd": curve.cash_usd,
        "transit_usd": curve.transit_usd,
    }
    columns |= {f"{venue}_equity_usd": values for venue, values in curve.equity_usd_by_venue.items()}
    columns |= {f"{venue}_size": values for venue, values in curve.size_by_venue.items()}
    return pa.table(columns | {"net_size": curve.net_size})


def _market_table(market: Market) -> pa.Table:
    columns: dict[str, object] = {"row": np.arange(len(market)), "open_ns": market.open_ns, "at_ns": market.at_ns}
    for name, column in market.columns.items():
        columns[name] = column
        source = market.sources.get(name)
        if source:
            columns |= {f"{name}_source_row": source.first_row, f"{name}_source_rows": source.rows}
    return pa.table(columns)
