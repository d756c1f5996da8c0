"""A run's folder as it is read again: manifest, chart of accounts, and its tables in batches, never whole."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from framework.accounts import Account
from framework.chain import RECORD, Records
from framework.errors import CarrybookError, RunError, ScenarioError
from framework.market import At, Flags, Ints, Market, price_column
from framework.saved.archive import EVENT_COLUMNS
from framework.scenario import Scenario, read_table
from framework.units import Asset
from framework.valuation import PricedBook, Prices, priced

ROWS_AT_ONCE = 1 << 17
"""Rows of a table that are in memory together."""
UNKNOWN = 2**16 - 1
"""Code of a name that the chart of accounts does not have."""
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
TYPES: Mapping[str, Mapping[str, pa.DataType]] = {"ledger": LEDGER, "events": EVENT_COLUMNS}
"""Types of the columns of the tables that are read in batches."""
TEXTS = tuple(name for name, kind in LEDGER.items() if kind == pa.string())
"""Those of them that are text."""


class Folder:
    """The folder of a finished run, or a directory with one run in it; raises `RunError` for one that is not."""

    def __init__(self, path: Path) -> None:
        self.path = path = _only_run(path)
        try:
            self.manifest: Mapping[str, Any] = json.loads((path / "manifest.json").read_text())
            chart = self.manifest["ledger"]["chart"]
            assets = {code: Asset(code, decimals) for code, decimals in chart["assets"]}
            floored = {code for (code,) in chart["floored"]}
            self.accounts: tuple[Account, ...] = tuple(
                Account(name, assets[asset], floor=code in floored)
                for code, (name, asset) in enumerate(chart["accounts"])
            )
            self.assets = tuple(assets.values())
            self.kinds = tuple(kind for (kind,) in chart["kinds"])
            self.capital = int(self.manifest["capital"])
            self.opened_at: At = self.manifest["opened_at"]
            self.name = str(self.manifest["run"])
            self.digest = str(self.manifest["ledger"]["digest"])
            self.label = str(self.manifest["label"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, CarrybookError) as error:
            words = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            raise RunError(f"{path}: not a finished run ({words}); expected a folder with manifest.json") from None

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario that was run; raises `ScenarioError` or `RunError`."""
        path = self.path / "scenario.toml"
        table = read_table(path)
        try:
            return Scenario.of(table)
        except ScenarioError as error:
            raise RunError(f"{path}: {error}") from None

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """The summary as it was saved."""
        try:
            summary: Mapping[str, Any] = json.loads((self.path / "summary.json").read_text())
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path / 'summary.json'}: not readable ({error})") from None
        return summary

    @cached_property
    def market(self) -> Market:
        """The market table that was used, without its sources."""
        table = self.table("market")
        names = [name for name in table.column_names if name not in ("row", "open_ns", "at_ns")]
        columns = {
            name: table[name].to_numpy()
            for name in names
            if not name.endswith(("_source_row", "_source_rows")) and pa.types.is_floating(table[name].type)
        }
        return Market(open_ns=table["open_ns"].to_numpy(), at_ns=table["at_ns"].to_numpy(), columns=columns)

    @cached_property
    def book(self) -> PricedBook:
        """The chart of accounts with the exact prices of the market."""
        prices = {}
        for asset in priced(self.accounts):
            closes, opens = self.price_column(asset), self.price_column(asset, self.opened_at)
            table = self.table("market", dict.fromkeys((closes, opens)))
            prices[asset] = Prices.exact(table[opens][:1].to_numpy(), table[closes].to_numpy())
        at_ns = self.table("market", ["at_ns"])["at_ns"].to_numpy()
        return PricedBook(accounts=self.accounts, at_ns=at_ns, prices=prices)

    def price_decimals(self, asset: Asset) -> int:
        """How many decimals the prices of an asset are written with, at most; read in batches."""
        names = list(dict.fromkeys((self.price_column(asset, self.opened_at), self.price_column(asset))))
        batches = (batch[name].to_numpy() for batch in self.batches("market", names) for name in names)
        return max((Prices.exact(prices[:0], prices).decimals for prices in batches), default=0)

    def price_column(self, asset: Asset, at: At = "close") -> str:
        """The column of the market table that has an asset's price."""
        return price_column(self._market_columns, asset, at)

    @cached_property
    def _market_columns(self) -> frozenset[str]:
        return frozenset(self.columns("market"))

    def columns(self, name: str) -> list[str]:
        """The names of a table's columns."""
        try:
            return list(pq.read_schema(self.path / f"{name}.parquet").names)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(name, error) from None

    def table(self, name: str, columns: Iterable[str] | None = None) -> pa.Table:
        """A table, whole or some of its columns, for those that are not long."""
        try:
            return pq.read_table(self.path / f"{name}.parquet", columns=list(columns) if columns is not None else None)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(name, error) from None

    def batches(self, name: str, columns: Collection[str], coded: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """A table in batches, with the columns that are asked for; `coded` text comes as it lies, as dictionaries."""
        try:
            path = self.path / f"{name}.parquet"
            self._check(name, pq.read_schema(path), columns)
            with pq.ParquetFile(path, read_dictionary=list(coded)) as file:
                for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(columns)):
                    yield self._conform(name, batch)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(name, error) from None

    def events(self, kinds: Collection[str], columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The events of some kinds one by one, by the names of the columns that are asked for."""
        for batch in self.batches("events", dict.fromkeys((*columns, "kind")), ("kind",)):
            for index in np.flatnonzero(among(batch["kind"], kinds)).tolist():
                yield {name: batch[name][index].as_py() for name in columns}

    def records(self) -> Iterator[Records]:
        """The transfers in batches, as the ledger had them; a name that the chart lacks has the code `UNKNOWN`."""
        names = list(dict.fromkeys(account.name for account in self.accounts))
        pairs = np.full((len(names) + 1, len(self.assets) + 1), UNKNOWN)
        for code, account in enumerate(self.accounts):
            pairs[names.index(account.name), self.assets.index(account.asset)] = code
        codes = [asset.code for asset in self.assets]
        for batch in self.batches("ledger", [name for name in LEDGER if name != "seq"], TEXTS):
            records = np.empty(batch.num_rows, dtype=RECORD)
            for name in ("at_ns", "event", "amount"):
                records[name] = _ints(batch[name])
            assets = _codes(batch["asset"], codes)
            records["asset"], records["kind"] = assets, _codes(batch["kind"], self.kinds)
            for side in ("debit", "credit"):
                records[side] = pairs[_codes(batch[side], names), assets]
            yield records

    def _check(self, name: str, schema: pa.Schema, columns: Iterable[str]) -> None:
        """Refuse a table that lacks a column."""
        for column in columns:
            if column not in schema.names:
                raise RunError(f"{self.path / name}.parquet: no column {column!r}; expected one")

    def _conform(self, name: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch with the types as saved: other programs write whole numbers as floats, and text in other widths."""
        kinds = TYPES.get(name, {})
        for index, (column, kind) in enumerate(zip(batch.schema.names, batch.schema.types, strict=True)):
            expected = kinds.get(column, kind)
            if kind == expected or (pa.types.is_dictionary(kind) and kind.value_type == expected):
                continue
            try:
                batch = batch.set_column(index, column, batch[column].cast(expected))
            except pa.ArrowException:
                place = f"{self.path / name}.parquet, column {column}"
                raise RunError(f"{place}: holds {kind}; expected {expected}") from None
        return batch

    def _unreadable(self, name: str, error: Exception) -> RunError:
        words = " ".join(str(error).split())
        return RunError(f"{self.path / name}.parquet: not readable ({words}); expected the table as it was saved")


def _only_run(path: Path) -> Path:
    """The path itself, the only run right below it, or the only one whose name begins so."""
    if (path / "manifest.json").is_file():
        return path
    found = path.glob("*/manifest.json") if path.is_dir() else path.parent.glob(f"{escape(path.name)}*/manifest.json")
    runs = sorted(each.parent for each in found if not each.parent.name.startswith("."))
    if len(runs) > 1:
        known = ", ".join(each.name[:8] for each in runs[:8]) + (", ..." if len(runs) > 8 else "")
        raise RunError(f"{path}: not a finished run but {len(runs)} of them; expected the folder of one: {known}")
    return runs[0] if runs else path


def among(column: pa.Array, names: Collection[str]) -> Flags:
    """Which values of a text column are among these names."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    known = np.array([*(name in names for name in coded.dictionary.to_pylist()), False])
    found: Flags = known[pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)]
    return found


def _ints(column: pa.Array) -> Ints:
    filled = pc.fill_null(column, -1) if column.null_count else column
    return filled.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _codes(names: pa.Array, known: Sequence[str]) -> Ints:
    """The place of each name among those that are known, -1 for one that is not: names are looked up once each."""
    coded = names if pa.types.is_dictionary(names.type) else names.dictionary_encode()
    places = pc.index_in(coded.dictionary, value_set=pa.array(known, type=pa.string()))
    with_none = np.append(pc.fill_null(places, -1).to_numpy(zero_copy_only=False), -1)
    found: Ints = with_none[pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)]
    return found
