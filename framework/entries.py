"""The books of a saved run as a stream of entries: a batch of rows is in memory at a time, however long the ledger.

Everything comes from the run's folder: the chart of accounts from its manifest, the rest from its Parquet files.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from attrs import define, field, frozen

from framework.errors import RunError
from framework.market import At, price_column, utc
from framework.units import USDC, Asset

BATCH = 16_384
"""Rows of a file that are read at a time."""
LEDGER = {
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
TABLES = ("ledger", "events", "market", "equity")
"""Parquet files of a run's folder."""


@define(eq=False)
class Holding:
    """One account in one asset, and what has gone through it so far, in atomic units."""

    account: str
    asset: Asset
    debits: int = 0
    credits: int = 0
    transfers: int = 0

    @property
    def balance(self) -> int:
        """Debits less credits."""
        return self.debits - self.credits

    def post(self, change: int) -> int:
        """Take a change, debits positive, and return the balance after it."""
        if change > 0:
            self.debits += change
        else:
            self.credits -= change
        self.transfers += 1
        return self.debits - self.credits

    @property
    def root(self) -> str:
        """`Assets`, `Liabilities`, `Equity`, `Income` or `Expenses`."""
        return self.account.partition(":")[0]


class Moved(NamedTuple):
    """One transfer: `amount` atomic units from the credit to the debit side."""

    seq: int
    kind: str
    debit: Holding
    credit: Holding
    amount: int


class Entry(NamedTuple):
    """All transfers of one event at one instant; venue, kind and cause are those of the event."""

    at_ns: int
    event: int
    venue: str
    event_kind: str
    cause: int | None
    transfers: Sequence[Moved]

    @property
    def kinds(self) -> str:
        """The kinds of its transfers, each once, in their order."""
        if len(self.transfers) == 1:
            return self.transfers[0].kind
        return ", ".join(dict.fromkeys(transfer.kind for transfer in self.transfers))


class Priced(NamedTuple):
    """The close of an asset in one row of the market, in USD, the very decimals that were used."""

    at_ns: int
    row: int
    asset: Asset
    price_usd: Decimal


@frozen(eq=False)
class SavedBooks:
    """A run's folder, opened for reading; raises `RunError` for a folder, file or row that is not a run's."""

    folder: Path
    name: str
    label: str
    """What a reader of any result must know about the data, or nothing."""
    scenario: str
    digest: str
    assets: tuple[Asset, ...]
    holdings: Mapping[tuple[str, str], Holding] = field(repr=False)
    """(account, code of its asset) -> what it holds, in the order of the chart; `entries` leaves its balances here."""

    @classmethod
    def open(cls, path: Path) -> "SavedBooks":
        """The books in a run's folder, or in the only run below a directory."""
        folder = run_folder(path)
        manifest, place = _json(folder / "manifest.json"), folder / "manifest.json"
        try:
            books, chart = manifest["ledger"], manifest["ledger"]["chart"]
            assets = {code: Asset(code, decimals) for code, decimals in chart["assets"]}
            holdings = {(account, code): Holding(account, assets[code]) for account, code in chart["accounts"]}
            return cls(
                folder,
                manifest["run"],
                manifest["label"],
                str(_json(folder / "summary.json")["scenario"]),
                books["digest"],
                tuple(assets.values()),
                holdings,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{place}: not the manifest of a run ({error}); expected one that `run` wrote") from None

    def file(self, table: str) -> pq.ParquetFile:
        """A table of the folder: `ledger`, `events`, `market` or `equity`."""
        path = self.folder / f"{table}.parquet"
        try:
            return pq.ParquetFile(path)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(path, error) from None

    def columns(self, table: str) -> list[str]:
        """Names of a table's columns."""
        return list(self.file(table).schema_arrow.names)

    def held(self) -> tuple[Asset, ...]:
        """Assets that some transfer moved, in the order of the chart."""
        found = {
            code for batch in self._batches("ledger", ("asset",)) for code in batch.column("asset").unique().to_pylist()
        }
        return tuple(asset for asset in self.assets if asset.code in found)

    def entries(self) -> Iterator[Entry]:
        """Every entry in the order of the ledger; to be read once, since holdings are left as the last entry did.

        Holdings do not move by themselves: who reads an entry posts its transfers.
        """
        log = self._log()
        told = next(log, None)
        for (event, at_ns), rows in groupby(self._transfers(), key=itemgetter(0, 1)):
            while told and told[0] < event:
                told = next(log, None)
            _, kind, venue, cause = told if told and told[0] == event else (event, "", "", None)
            yield Entry(at_ns, event, venue, kind, cause, [transfer for _, _, transfer in rows])

    def prices(self, assets: Sequence[Asset]) -> Iterator[Priced]:
        """The close of each asset in each row of the market, row by row; dollars have no price."""
        names = self.columns("market")
        priced = [asset for asset in assets if asset != USDC]
        columns = [price_column(names, asset) for asset in priced]
        for rows, at_ns, *prices in self._rows("market", ("row", "at_ns", *columns)):
            for index, (row, at) in enumerate(zip(rows, at_ns, strict=True)):
                for asset, column in zip(priced, prices, strict=True):
                    yield Priced(at, row, asset, Decimal(repr(column[index])))

    def price_places(self) -> int:
        """Most decimals that any price of an asset has, as it opens or closes."""
        names = self.columns("market")
        columns = {price_column(names, asset, at) for asset in self.assets if asset != USDC for at in ("open", "close")}
        prices = {
            price
            for batch in self._batches("market", sorted(columns))
            for column in batch.columns
            for price in column.unique().to_pylist()
        }
        return max((-int(Decimal(repr(price)).as_tuple().exponent) for price in prices), default=0)

    def opened_at(self) -> At:
        """At which prices of the first row trades before its close were made."""
        path = self.folder / "scenario.toml"
        try:
            return "open" if tomllib.loads(path.read_text()).get("entry") == "first_open" else "close"
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from None

    def _transfers(self) -> Iterator[tuple[int, int, Moved]]:
        done = 0
        for seqs, at_ns, events, *rest in self._rows("ledger", tuple(LEDGER)):
            for seq, at, event, kind, debit, credit, asset, amount in zip(seqs, at_ns, events, *rest, strict=True):
                done += 1
                try:
                    sides = self.holdings[debit, asset], self.holdings[credit, asset]
                except KeyError as error:
                    account, code = error.args[0]
                    place = f"{self.folder / 'ledger.parquet'}: row {done}"
                    raise RunError(f"{place}: account {account} in {code} is not in the manifest's chart") from None
                yield event, at, Moved(seq, kind, *sides, amount)

    def _log(self) -> Iterator[tuple[int, str, str, int | None]]:
        for columns in self._rows("events", ("event", "kind", "venue", "cause")):
            yield from zip(*columns, strict=True)

    def _rows(self, table: str, columns: Sequence[str]) -> Iterator[list[list[Any]]]:
        """Batches of a table, each a list of values by column."""
        for batch in self._batches(table, columns):
            yield [_values(batch.column(name)) for name in columns]

    def _batches(self, table: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of a table that have every column and no empty cell but in `cause`."""
        path, file = self.folder / f"{table}.parquet", self.file(table)
        types = {each.name: each.type for each in file.schema_arrow}
        for name in columns:
            if name not in types:
                raise RunError(f"{path}: no column {name!r}; expected one")
            wanted = LEDGER.get(name) if table == "ledger" else None
            if wanted and types[name] != wanted:
                raise RunError(f"{path}, column {name}: holds {types[name]}; expected {wanted}")
        try:
            for batch in file.iter_batches(BATCH, columns=list(dict.fromkeys(columns))):
                for name in columns:
                    if name != "cause" and batch.column(name).null_count:
                        raise RunError(f"{path}, column {name}: a cell is empty; expected a value in every row")
                yield batch
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(path, error) from None


def run_folder(path: Path) -> Path:
    """The folder of a run: the path itself, or the only run in it; raises `RunError`."""
    if (path / "manifest.json").is_file():
        return path
    runs = sorted(each.parent for each in path.glob("*/manifest.json") if not each.parent.name.startswith("."))
    if len(runs) == 1:
        return runs[0]
    found = f"it holds {len(runs)} runs" if runs else "no manifest.json"
    raise RunError(f"{path}: not a finished run ({found}); expected the folder of one run")


@lru_cache(maxsize=4096)
def date_and_time(at_ns: int) -> tuple[str, str]:
    """An instant as a date and a time of day in UTC, to the millisecond, or to the nanosecond where it has them."""
    fraction = at_ns % 1_000_000_000
    digits = f"{fraction:09}" if fraction % 1_000_000 else f"{fraction // 1_000_000:03}"
    at = utc(at_ns)
    return at.date().isoformat(), f"{at:%H:%M:%S}.{digits}"


def fixed(atoms: int, decimals: int) -> str:
    """Atomic units as whole units with all their decimals: `fixed(-5, 6)` is `-0.000005`."""
    if not decimals:
        return str(atoms)
    digits = f"{abs(atoms):0{decimals + 1}}"
    return f"{'-' if atoms < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"


def _values(column: pa.Array) -> list[Any]:
    if column.type != pa.string():
        return column.to_pylist()
    coded = column.dictionary_encode()
    words = coded.dictionary.to_pylist()
    return [words[code] for code in coded.indices.to_pylist()]


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> RunError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return RunError(f"{path}: not readable ({' '.join(reason.split())}); expected a file that `run` wrote")
