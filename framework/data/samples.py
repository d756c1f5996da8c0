"""Samples of one series, what they are, and the Parquet file that holds them."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import asdict, frozen

from framework.clock import INTERVALS_NS
from framework.data.series import Floats, Ints, Joining
from framework.errors import StoreError
from framework.market import PRICES, Flags
from framework.support.files import replace_file

if TYPE_CHECKING:
    import pyarrow as pa

META = b"carrybook"
"""Where a file's schema keeps what its series is."""


@frozen(kw_only=True)
class Kind:
    """What a stored series is: where it comes from, the units of its columns, and how often its samples come.

    `joining` is how several samples of one row of a market become one. Times may lag by up to `lag_ns` behind the
    multiple of `grid_ns` that they stand for. With `span_ns` samples are rows that open at their time. A level that
    changes by less than the fraction `noise` has not changed: its source rounds what it is computed from.
    """

    series: str
    what: str
    units: dict[str, str]
    joining: Joining
    every_ns: int
    changing: bool = False
    span_ns: int | None = None
    grid_ns: int | None = None
    lag_ns: int = 0
    noise: float = 0.0


def candles(series: str, what: str, interval: str, volume: str) -> Kind:
    """The kind of a series of candles: open, high, low and close in USD, and the volume in its unit."""
    every_ns = INTERVALS_NS[interval]
    units = dict.fromkeys(PRICES, "USD") | {"volume": volume}
    return Kind(series=series, what=what, units=units, joining=Joining.LAST, every_ns=every_ns, span_ns=every_ns)


@frozen(eq=False)
class Samples:
    """Values of the columns of a series at instants in nanoseconds, all of shape (samples,), in time order."""

    time_ns: Ints
    columns: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.time_ns)

    def within(self, start_ns: int, end_ns: int) -> "Samples":
        """The samples from `start_ns` up to and without `end_ns`."""
        return self.rows(*self.time_ns.searchsorted((start_ns, end_ns)))

    def rows(self, start: int, stop: int) -> "Samples":
        """Samples `start` up to and without `stop`, counted from 0."""
        return self.chosen(slice(start, stop))

    def chosen(self, which: slice | Ints | Flags) -> "Samples":
        """Some of the samples, as they are chosen from an array."""
        return Samples(self.time_ns[which], {name: values[which] for name, values in self.columns.items()})

    def joined(self, *others: "Samples") -> "Samples":
        """These samples and those of the same columns, in time order."""
        all_of_them = (self, *others)
        time_ns = np.concatenate([each.time_ns for each in all_of_them])
        columns = {name: np.concatenate([each.columns[name] for each in all_of_them]) for name in self.columns}
        return Samples(time_ns, columns).chosen(np.argsort(time_ns, kind="stable"))

    @property
    def digest(self) -> str:
        """SHA-256 over times, names and values, whatever file they stand in."""
        digest = hashlib.sha256(self.time_ns.astype("<i8").tobytes())
        for name in sorted(self.columns):
            digest.update(name.encode() + b"\0" + self.columns[name].astype("<f8").tobytes())
        return digest.hexdigest()


def read_samples(path: Path) -> tuple[Kind, Samples]:
    """What a file of the store holds; raises `StoreError` for a file that the store has not written."""
    import pyarrow as pa  # noqa: PLC0415  (a strategy is written without it)
    import pyarrow.parquet as pq  # noqa: PLC0415

    def refusal(why: str) -> StoreError:
        return StoreError(f"{path}: not a series of the store: {why}; expected a file that carrybook fetch has written")

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            if META not in (schema.metadata or {}):
                raise refusal("Parquet without carrybook's description of its series")
            meta = json.loads(schema.metadata[META])
            digest = meta.pop("digest", None)
            kind = Kind(**{**meta, "joining": Joining(meta["joining"])})
            wanted = _schema(kind)
            if not schema.remove_metadata().equals(wanted):
                raise refusal(f"its columns are {', '.join(schema.names)[:200]}, not {', '.join(wanted.names)}")
            table = file.read()
        if any(column.null_count for column in table.columns):
            raise refusal("it has cells without a value")
        time_ns = table["time"].cast(pa.int64()).to_numpy()
        samples = Samples(time_ns, {name: table[name].to_numpy() for name in kind.units})
    except FileNotFoundError:
        raise
    except OSError as error:
        raise refusal(error.strerror or "it is not Parquet, or not whole") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, pa.ArrowException) as error:
        raise refusal(f"{type(error).__name__} as it is read") from None
    if not len(samples) or (np.diff(time_ns) <= 0).any():
        raise refusal("its times are not in order, each once")
    if digest not in (None, samples.digest):
        raise StoreError(f"{path}: its values were changed after they were stored; expected it fetched again")
    return kind, samples


def _schema(kind: Kind) -> "pa.Schema":
    """The columns of a series' file."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.schema([("time", pa.timestamp("ns", "UTC")), *((name, pa.float64()) for name in kind.units)])


def write_samples(path: Path, kind: Kind, samples: Samples) -> None:
    """Put a whole new file in the place of the old one: whoever reads sees either."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    meta: dict[str, Any] = asdict(kind) | {"digest": samples.digest}
    schema = _schema(kind).with_metadata({META: json.dumps(meta)})
    arrays = [pa.array(samples.time_ns).cast(pa.timestamp("ns", "UTC"))]
    arrays += [pa.array(samples.columns[name]) for name in kind.units]
    content = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), content, compression="zstd")
    replace_file(path, content.getvalue().to_pybytes())
