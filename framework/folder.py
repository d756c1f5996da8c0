"""A run's folder as it is read again: manifest, chart of accounts, and its tables in batches, never whole."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from framework.accounts import Account
from framework.chain import RECORD, Records
from framework.errors import CarrybookError, RunError
from framework.market import At, Market
from framework.scenario import Scenario
from framework.units import Asset

ROWS_AT_ONCE = 1 << 17
"""Rows of a table that are in memory together."""
UNKNOWN = 2**16 - 1
"""Code of a name that the chart of accounts does not have."""


class Folder:
    """The folder of a finished run; raises `RunError` for one that is not."""

    def __init__(self, path: Path) -> None:
        self.path = path
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
        except (OSError, ValueError, KeyError, TypeError, AttributeError, CarrybookError) as error:
            words = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            raise RunError(f"{path}: not a finished run ({words}); expected a folder with manifest.json") from None

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario that was run."""
        return Scenario.load(self.path / "scenario.toml")

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

    def table(self, name: str) -> pa.Table:
        """A whole table, for those that are not long."""
        try:
            return pq.read_table(self.path / f"{name}.parquet")
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(name, error) from None

    def batches(self, name: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """A table in batches, with the columns that are asked for."""
        try:
            with pq.ParquetFile(self.path / f"{name}.parquet") as file:
                yield from file.iter_batches(ROWS_AT_ONCE, columns=list(columns))
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(name, error) from None

    def records(self) -> Iterator[Records]:
        """The transfers in batches, as the ledger had them; a name that the chart lacks has the code `UNKNOWN`."""
        pairs = [f"{account.name} {account.asset.code}" for account in self.accounts]
        codes = [asset.code for asset in self.assets]
        for batch in self.batches("ledger", ("at_ns", "event", "kind", "debit", "credit", "asset", "amount")):
            records = np.empty(batch.num_rows, dtype=RECORD)
            for name in ("at_ns", "event", "amount"):
                records[name] = _ints(batch[name])
            records["kind"] = _codes(batch["kind"], self.kinds)
            records["asset"] = _codes(batch["asset"], codes)
            for side in ("debit", "credit"):
                names = pc.binary_join_element_wise(batch[side], batch["asset"], " ")
                records[side] = _codes(names, pairs)
            yield records

    def _unreadable(self, name: str, error: Exception) -> RunError:
        words = " ".join(str(error).split())
        return RunError(f"{self.path / name}.parquet: not readable ({words}); expected the table as it was saved")


def _ints(column: pa.Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    filled = pc.fill_null(column, -1) if column.null_count else column
    return filled.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _codes(names: pa.Array, known: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    found = pc.index_in(names, value_set=pa.array(known, type=pa.string()))
    return pc.fill_null(found, UNKNOWN).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
