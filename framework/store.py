"""The local store of market data: one Parquet file per series, which only grows, and its provenance beside it."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, field, frozen

from framework.errors import MarketError, StoreError
from framework.market import utc
from framework.series import Fill, Floats, Ints, Joining, Series

PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A part of a series' id: what a file may be called anywhere."""
PAYMENT = "fraction of notional"
"""How the unit of a payment begins."""
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


@frozen(eq=False)
class Samples:
    """Values of the columns of a series at instants in nanoseconds, all of shape (samples,), in time order."""

    time_ns: Ints
    columns: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.time_ns)

    def within(self, start_ns: int, end_ns: int) -> "Samples":
        """The samples from `start_ns` up to and without `end_ns`."""
        rows = slice(*self.time_ns.searchsorted((start_ns, end_ns)))
        return Samples(self.time_ns[rows], {name: values[rows] for name, values in self.columns.items()})

    @property
    def digest(self) -> str:
        """SHA-256 over times, names and values, whatever file they stand in."""
        digest = hashlib.sha256(self.time_ns.astype("<i8").tobytes())
        for name in sorted(self.columns):
            digest.update(name.encode() + b"\0" + self.columns[name].astype("<f8").tobytes())
        return digest.hexdigest()


@frozen
class Asked:
    """A line of provenance: what was asked of whom and when, and the digest of the raw reply."""

    at: str
    request: str
    sha256: str
    samples: int
    first: str | None
    last: str | None
    version: str


@frozen
class Store:
    """Series below a directory, each in its own file: `hyperliquid:SOL:1h` in `series/hyperliquid/SOL/1h.parquet`."""

    root: Path = field(converter=Path)

    @classmethod
    def default(cls) -> "Store":
        """The store in `CARRYBOOK_DATA`, or else where this platform keeps a user's data."""
        given = os.environ.get("CARRYBOOK_DATA")
        if given:
            return cls(Path(given))
        from platformdirs import user_data_path  # noqa: PLC0415  (only who has a store needs it)

        return cls(user_data_path("carrybook", appauthor=False))

    def ids(self) -> list[str]:
        """The ids of all series, sorted."""
        top = self.root / "series"
        return sorted(
            ":".join(path.relative_to(top).with_suffix("").parts)
            for path in top.rglob("*.parquet")
            if not path.name.startswith(".")
        )

    def kind(self, series: str) -> Kind:
        """What a series is; raises `StoreError` where it is not there or not readable."""
        return self._read(series)[0]

    def read(self, series: str) -> tuple[Kind, Samples]:
        """A series whole; raises `StoreError` where it is not there or not readable."""
        return self._read(series)

    def has(self, series: str) -> bool:
        """Whether there is such a series."""
        return self.path(series).exists()

    def asked(self, series: str) -> list[Asked]:
        """The provenance of a series, a line per request, oldest first."""
        path = self.path(series).with_suffix(".jsonl")
        try:
            return [Asked(**json.loads(line)) for line in path.read_text().splitlines()]
        except OSError:
            return []
        except (ValueError, TypeError) as error:
            raise StoreError(f"{path}: not a list of requests ({error}); expected one JSON object per line") from None

    def path(self, series: str) -> Path:
        """The file of a series; raises `StoreError` for what cannot be an id."""
        parts = series.split(":")
        if len(parts) < 2 or not all(PART.fullmatch(part) for part in parts):
            raise StoreError(f"{series!r} is not the id of a series; expected one such as hyperliquid:SOL:1h")
        return self.root.joinpath("series", *parts[:-1], f"{parts[-1]}.parquet")

    @contextmanager
    def lock(self, series: str) -> Iterator[None]:
        """Nobody else adds to a series meanwhile; raises `StoreError` where somebody does."""
        from filelock import FileLock, Timeout  # noqa: PLC0415  (only who fetches needs it)

        path = self.path(series)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(f"{series}: another process is adding to it; expected one at a time") from None
        except OSError as error:
            raise StoreError(f"{path.parent}: not writable ({error.strerror}); expected a directory for data") from None
        try:
            yield
        finally:
            lock.release()

    def append(self, kind: Kind, new: Samples, asked: Asked) -> int:
        """Add samples to a series and a line to its provenance; returns how many were new.

        What is there stays: samples that are there already and equal are passed over. Raises `StoreError` for another
        value at a time that is there, and then nothing is changed.
        """
        path = self.path(kind.series)
        before = Samples(new.time_ns[:0], {})
        if path.exists():
            known, before = self._read(kind.series)
            if known.units != kind.units:
                raise StoreError(f"{kind.series}: has columns {known.units}; expected {kind.units}, or another store")
        added = self._unknown(kind.series, before, new) if len(before) else new
        try:
            with path.with_suffix(".jsonl").open("a") as lines:
                lines.write(json.dumps(asdict(asked)) + "\n")
                lines.flush()
                os.fsync(lines.fileno())
            if len(added):
                time_ns = np.concatenate((before.time_ns, added.time_ns))
                order = np.argsort(time_ns, kind="stable")
                columns = {
                    name: np.concatenate((before.columns.get(name, values[:0]), values))[order]
                    for name, values in added.columns.items()
                }
                _write(path, kind, Samples(time_ns[order], columns))
        except OSError as error:
            raise StoreError(f"{path}: not writable ({error.strerror}); expected a directory for data") from None
        return len(added)

    def series(
        self,
        series: str,
        *,
        start_ns: int,
        end_ns: int,
        columns: Mapping[str, str],
        rows: bool = False,
        joining: Joining | None = None,
        fill: Fill = Fill.REFUSE,
        lag_ns: int | None = None,
        effective: bool = False,
    ) -> Series:
        """The samples of a market's days, `columns` being our names and the stored ones; raises `StoreError`.

        With `rows` they are the market's own rows. What is paid is summed by row as its kind says, and other columns of
        such a series, such as a premium, are levels. Rows of the result are counted within those days, so that they
        stay the same when the series grows.
        """
        kind, samples = self._read(series)
        paid = all(kind.units[stored].startswith(PAYMENT) for stored in columns.values())
        joining = joining or (kind.joining if paid or kind.joining is not Joining.SUM else Joining.LAST)
        from_ns = start_ns
        if (joining is Joining.HOLD or fill is Fill.PREVIOUS) and len(
            earlier := samples.time_ns[samples.time_ns <= start_ns]
        ):
            from_ns = int(earlier[-1])
        samples = samples.within(from_ns, end_ns)
        if not len(samples):
            raise StoreError(
                f"{series}: nothing between {utc(start_ns).date()} and {utc(end_ns - 1).date()}; expected it fetched"
            )
        time_ns = samples.time_ns
        if kind.grid_ns:
            time_ns = time_ns // kind.grid_ns * kind.grid_ns
            late = samples.time_ns - time_ns
            limit_ns = kind.lag_ns if lag_ns is None else lag_ns
            for index in np.flatnonzero(late > limit_ns)[:1]:
                raise MarketError(
                    f"{series}, row {index + 1}: {utc(int(samples.time_ns[index])).isoformat()} is "
                    f"{late[index] / 1e9:g} s late; expected at most {limit_ns / 1e9:g} s, or a larger lag_s"
                )
        return Series(
            name=next(iter(columns)) if len(columns) == 1 else "prices",
            file=series,
            digest=samples.digest,
            time_ns=time_ns,
            row=np.arange(1, len(samples) + 1, dtype=np.int64),
            columns={name: _steady(samples.columns[stored], kind.noise) for name, stored in columns.items()},
            joining=joining,
            span_ns=kind.span_ns if rows else None,
            labels=dict(columns),
            fill=fill,
            every_ns=kind.every_ns,
            changing=kind.changing,
            effective=effective,
        )

    def _read(self, series: str) -> tuple[Kind, Samples]:
        import pyarrow as pa  # noqa: PLC0415  (a strategy is written without it)
        import pyarrow.parquet as pq  # noqa: PLC0415

        path = self.path(series)
        try:
            table = pq.ParquetFile(path).read()
            meta = json.loads(table.schema.metadata[META])
            kind = Kind(**{**meta, "joining": Joining(meta["joining"])})
            time_ns = table["time"].cast(pa.int64()).to_numpy()
            columns = {name: table[name].to_numpy() for name in kind.units}
        except FileNotFoundError:
            raise StoreError(f"{series}: not in the store {self.root}, {_known(self)}; expected it fetched") from None
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise StoreError(f"{path}: not a series of the store ({error})") from None
        if kind.series != series:
            raise StoreError(f"{path}: holds {kind.series}; expected {series}")
        return kind, Samples(time_ns, columns)

    def _unknown(self, series: str, before: Samples, new: Samples) -> Samples:
        """The samples that are not there yet."""
        at = np.minimum(before.time_ns.searchsorted(new.time_ns), len(before) - 1)
        there = before.time_ns[at] == new.time_ns
        for name, values in new.columns.items():
            for index in np.flatnonzero(there & (before.columns[name][at] != values))[:1]:
                when = utc(int(new.time_ns[index])).isoformat()
                raise StoreError(
                    f"{series}, {when}, column {name}: the reply says {float(values[index])!r}, the store has "
                    f"{float(before.columns[name][at[index]])!r}; expected the same, as nothing is overwritten"
                )
        return Samples(new.time_ns[~there], {name: values[~there] for name, values in new.columns.items()})


def _steady(values: Floats, noise: float) -> Floats:
    """Values that stay as they are until they change by more than the fraction `noise`."""
    if not noise:
        return values
    steady = values.copy()
    for index in range(1, len(steady)):
        if abs(steady[index] / steady[index - 1] - 1) <= noise:
            steady[index] = steady[index - 1]
    return steady


def _known(store: Store) -> str:
    ids = store.ids()
    return f"which has {', '.join(ids[:8])}{' and others' if len(ids) > 8 else ''}" if ids else "which has nothing yet"


def _write(path: Path, kind: Kind, samples: Samples) -> None:
    """Put a whole new file in the place of the old one: whoever reads sees either."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    meta: dict[str, Any] = asdict(kind)
    schema = pa.schema(
        [("time", pa.timestamp("ns", "UTC")), *((name, pa.float64()) for name in kind.units)],
        metadata={META: json.dumps(meta)},
    )
    arrays = [pa.array(samples.time_ns).cast(pa.timestamp("ns", "UTC"))]
    arrays += [pa.array(samples.columns[name]) for name in kind.units]
    draft = path.with_name(f".{path.name}.part")
    with draft.open("wb") as file:
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
