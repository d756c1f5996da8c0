"""The tables of a run's folder: their columns exactly, and the one door through which they are read, in batches.

Whoever sends a folder may have written anything into it. What passes this door has the columns that were saved, by
name, type and order, and nothing beside them; no cell is missing that a run always has, every number is finite, and
what a batch takes in memory is known from the footer and the lengths of its texts before it is made.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from attrs import frozen

from framework.errors import RunError
from framework.market import NAME_CHARACTERS, is_name
from framework.support.files import MIB

ROWS_READ = 1 << 17
"""Rows of a table in memory at a time while it is read."""
ROWS_PER_BYTE = 2
"""Rows of a table for each byte of its file, at most: a saved one has fewer than one for three."""
COLUMNS = 4096
"""Columns that a table has at most."""
CHUNK_BYTES = MIB, 1024
"""How many bytes a column takes in a group of rows at most, in all and for each row: its texts are short."""
TEXT_BYTES = 256 * MIB
"""How many bytes the texts of one column take in one batch at most."""
WHOLE_BYTES = 1024 * MIB
"""How many bytes a table takes that is read whole, at most."""

LEDGER: Mapping[str, pa.DataType] = {
    "seq": pa.int64(),
    "at_ns": pa.int64(),
    "event": pa.int64(),
    "kind": pa.string(),
    "debit": pa.string(),
    "credit": pa.string(),
    "asset": pa.string(),
    "amount": pa.int64(),
}
"""Columns of `ledger.parquet`."""
TEXTS = tuple(name for name, kind in LEDGER.items() if kind == pa.string())
"""Those of them that are text."""
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
    "details": pa.string(),
    "row": pa.int64(),
    "price_source": pa.string(),
    "price_source_row": pa.int64(),
    "rate_source": pa.string(),
    "rate_source_row": pa.int64(),
    "rate_source_rows": pa.int64(),
}
"""Columns of `events.parquet`: amounts in atomic units, `row` the market row from 0, sources as file and rows in it.

`details` has what else an event says, such as one of a user's own class, as a JSON object.
"""
ALWAYS = ("event", "at_ns", "venue", "kind", "row")
"""What every event has; of the other columns each has those of its kind."""
ROLL_COLUMNS = ("month", "account", "asset", "opening", "debits", "credits", "closing")
"""A line of the roll-forward, `balances.parquet`; sums in atomic units, debits less credits."""
TIMES = ("row", "open_ns", "at_ns")
"""What `market.parquet` begins with; then come its columns, each with the rows of its source if it has one."""
SOURCES = ("_source_row", "_source_rows")
LEG = ("_leverage", "_liquidation_price")
"""What the columns of a curve about a venue's leg end with: numbers where there is one, and null elsewhere."""
NAMES = ("ledger", "events", "market", "equity", "balances")
"""The tables of a folder."""


def roll_schema() -> pa.Schema:
    """The columns of `balances.parquet`."""
    return pa.schema([(name, pa.string() if index < 3 else pa.int64()) for index, name in enumerate(ROLL_COLUMNS)])


def _market_schema(found: pa.Schema) -> pa.Schema:
    """The columns of a market with the names that are found."""
    names = [name for name in found.names[len(TIMES) :] if not name.endswith(SOURCES)]
    columns = [(name, pa.int64()) for name in TIMES]
    for name in names:
        columns.append((name, pa.float64()))
        if f"{name}{SOURCES[0]}" in found.names:
            columns += [(f"{name}{ending}", pa.int64()) for ending in SOURCES]
    return pa.schema(columns)


def _equity_schema(venues: Collection[str], found: pa.Schema) -> pa.Schema:
    """The columns of a curve: the same for every run of these venues, and what is drawn of their legs, if it is."""
    numbers = ("close", "equity_usd", "cash_usd", "transit_usd", *(f"{venue}_equity_usd" for venue in venues))
    numbers += (*(f"{venue}_size" for venue in venues), "net_size")
    places = tuple(f"{venue}_" for venue in venues)
    numbers += tuple(
        name for name in found.names if name not in numbers and name.endswith(LEG) and name.startswith(places)
    )
    return pa.schema([("at_ns", pa.int64()), ("moment", pa.string()), *((name, pa.float64()) for name in numbers)])


@frozen
class Table:
    """A table of a run's folder; every method raises `RunError` for one that is not as it was saved.

    `venues` are those of the run, in their order.
    """

    name: str
    path: Path
    venues: tuple[str, ...]

    def schema(self) -> pa.Schema:
        """The columns, all of them as they were saved."""
        return self._checked().schema.to_arrow_schema()

    def batches(self, columns: Collection[str] | None = None, coded: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """The rows in batches, with some of the columns or all; `coded` text comes as it lies, as dictionaries."""
        footer = self._checked()
        schema = footer.schema.to_arrow_schema()
        texts = [each.name for each in schema if each.type == pa.string()]
        wanted = list(schema.names if columns is None else columns)
        for column in wanted:
            if column not in schema.names:
                self._refuse(f"no column {column!r}; expected one")
        try:
            with pq.ParquetFile(self.path, metadata=footer, read_dictionary=texts) as file:
                row = 0
                for batch in file.iter_batches(ROWS_READ, columns=wanted):
                    yield self._conformed(batch, schema, coded, row)
                    row += len(batch)
        except (OSError, ValueError, pa.ArrowException) as error:  # ValueErrors of names that are not UTF-8
            self._refuse(f"not readable ({' '.join(str(error).split())}); expected the table as it was saved")

    def whole(self, columns: Collection[str] | None = None) -> pa.Table:
        """The table, or some of its columns, for those that are not long."""
        schema, batches, size = self.schema(), [], 0
        for batch in self.batches(columns):
            batches.append(batch)
            size += batch.nbytes
            if size > WHOLE_BYTES:
                self._refuse(f"more than {WHOLE_BYTES:,} bytes; expected a table that can be read whole")
        wanted = list(schema.names if columns is None else columns)
        chosen = pa.schema([schema.field(name) for name in wanted])
        return pa.Table.from_batches([batch.select(wanted) for batch in batches], schema=chosen)

    def _checked(self) -> pq.FileMetaData:
        """The footer of the file, which says that it is safe to be read and what the columns are."""
        if self.path.exists() and not self.path.is_file():
            self._refuse("no regular file; expected the table as it was saved")
        try:
            footer = pq.read_metadata(self.path)
            found = footer.schema.to_arrow_schema()
            self._check_schema(found)
        except (OSError, ValueError, pa.ArrowException) as error:  # ValueErrors of names that are not UTF-8
            self._refuse(f"not readable ({' '.join(str(error).split())}); expected the table as it was saved")
        most = ROWS_PER_BYTE * self.path.stat().st_size
        if footer.num_rows > most:
            self._refuse(f"{footer.num_rows:,} rows; expected at most {most:,} in a file of its size")
        for group in range(footer.num_row_groups):
            rows = footer.row_group(group)
            for index in range(footer.num_columns):
                column, (least, each) = rows.column(index), CHUNK_BYTES
                if column.total_uncompressed_size > least + each * rows.num_rows:
                    self._refuse(
                        f"column {column.path_in_schema} expands to {column.total_uncompressed_size:,} bytes for "
                        f"{rows.num_rows:,} rows; expected at most {each:,} for each"
                    )
        return footer

    def _check_schema(self, found: pa.Schema) -> None:
        if len(found.names) > COLUMNS:
            self._refuse(f"{len(found.names):,} columns; expected at most {COLUMNS:,}")
        expected = self._expected(found)
        for name in expected.names:
            if name not in found.names:
                self._refuse(f"no column {name!r}; expected one")
        for index, name in enumerate(found.names):
            if name not in expected.names or found.names.index(name) < index:
                self._refuse(f"a column {name!r} too many; expected the columns as they were saved")
            if found.names[index] != expected.names[index]:
                self._refuse(f"column {name!r} where {expected.names[index]!r} was saved; expected the same order")
            if found.types[index] != expected.types[index]:
                self._refuse(f"column {name}: holds {found.types[index]}; expected {expected.types[index]}")
            if self.name == "market" and not is_name(name):
                self._refuse(f"a column {name!r}; expected a name of 1 to {NAME_CHARACTERS} printable characters")
        if found.metadata or any(each.metadata for each in found):
            self._refuse("has metadata in its schema; expected none, as it was saved")

    def _expected(self, found: pa.Schema) -> pa.Schema:
        """The schema with which this table is saved."""
        match self.name:
            case "ledger":
                return pa.schema(list(LEDGER.items()))
            case "events":
                return pa.schema(list(EVENT_COLUMNS.items()))
            case "balances":
                return roll_schema()
            case "equity":
                return _equity_schema(self.venues, found)
            case _:
                return _market_schema(found)

    def _conformed(self, batch: pa.RecordBatch, schema: pa.Schema, coded: Collection[str], row: int) -> pa.RecordBatch:
        """A batch as it was saved: text that is not wanted coded becomes plain, once its length is known."""
        for index, name in enumerate(batch.schema.names):
            column, kind = batch.column(index), schema.field(name).type
            sparse = name not in ALWAYS if self.name == "events" else name.endswith(LEG)
            if column.null_count and not sparse:
                place = f"row {row + pc.index(pc.is_null(column), True).as_py() + 1}, column {name}"
                self._refuse(f"{place}: missing; expected {kind} in every row")
            if pa.types.is_floating(kind) and (at := pc.index(pc.is_finite(column), False).as_py()) >= 0:
                self._refuse(f"row {row + at + 1}, column {name}: {column[at]}; expected a finite number")
            if kind == pa.string():
                column.dictionary.validate(full=True)  # which is where text that is not UTF-8 is found
            if kind == pa.string() and name not in coded:
                lengths = pc.binary_length(column.dictionary).cast(pa.int64())
                length = pc.sum(lengths.take(column.indices)).as_py() or 0
                if length > TEXT_BYTES:
                    self._refuse(f"column {name}: {length:,} bytes of text; expected at most {TEXT_BYTES:,} at a time")
                batch = batch.set_column(index, schema.field(name), column.cast(kind))
        return batch

    def _refuse(self, words: str) -> NoReturn:
        raise RunError(f"{self.path}: {words}")
