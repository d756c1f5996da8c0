"""The local store of market data: one Parquet file per series, which only grows, and its provenance beside it."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
from attrs import field, frozen

from framework.data.origins import commands, imports
from framework.data.provenance import Asked, Withdrawn, add_lines, read_lines
from framework.data.samples import Kind, Samples, read_samples, write_samples
from framework.data.series import Fill, Floats, Joining, Series
from framework.errors import MarketError, StoreError
from framework.market import utc

PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A part of a series' id: what a file may be called anywhere."""
EXAMPLE_SERIES = "hyperliquid:SOL:1h"
"""A series of prices, for messages that expect one."""
PAYMENT = "fraction of notional"
"""How the unit of a payment begins."""


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
        return self.read(series)[0]

    def read(self, series: str) -> tuple[Kind, Samples]:
        """A series whole; raises `StoreError` where it is not there or not readable."""
        path = self.path(series)
        try:
            kind, samples = read_samples(path)
        except FileNotFoundError:
            raise self._absent([series], commands([series])) from None
        if kind.series != series:
            raise StoreError(f"{path}: holds {kind.series}; expected {series}")
        return kind, samples

    def has(self, series: str) -> bool:
        """Whether there is such a series."""
        return self.path(series).exists()

    def require(self, series: Sequence[str], first: date, last: date) -> None:
        """Refuse series that are not there, in one line with the commands that fetch them; raises `StoreError`."""
        if missing := [each for each in dict.fromkeys(series) if not self.has(each)]:
            raise self._absent(missing, commands(missing, series, (first, last)))

    def asked(self, series: str) -> list[Asked]:
        """The provenance of a series, a line per request, oldest first; raises `StoreError`."""
        return [line for line in read_lines(self.path(series).with_suffix(".jsonl")) if isinstance(line, Asked)]

    def withdrawn(self, series: str) -> list[Withdrawn]:
        """What has been taken out of a series and why, oldest first; raises `StoreError`."""
        return [line for line in read_lines(self.path(series).with_suffix(".jsonl")) if isinstance(line, Withdrawn)]

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

    def append(self, kind: Kind, new: Samples, *asked: Asked) -> int:
        """Add samples to a series and lines to its provenance; returns how many samples were new.

        What is there stays: samples that are there already and equal are passed over. Raises `StoreError` for another
        value at a time that is there, and then nothing is changed.
        """
        path = self.path(kind.series)
        before, added = self._beside(kind, new)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            add_lines(path.with_suffix(".jsonl"), asked)
            if len(added):
                write_samples(path, kind, added.joined(before))
        except OSError as error:
            raise StoreError(f"{path}: not writable ({error.strerror}); expected a directory for data") from None
        return len(added)

    def check(self, kind: Kind, new: Samples) -> None:
        """Refuse samples of which another value is there already; raises `StoreError`."""
        self._beside(kind, new)

    def _beside(self, kind: Kind, new: Samples) -> tuple[Samples, Samples]:
        """What is there of a series, and which of the samples are not."""
        if not self.has(kind.series):
            return new.rows(0, 0), new
        known, before = self.read(kind.series)
        if known.units != kind.units:
            raise StoreError(f"{kind.series}: has columns {known.units}; expected {kind.units}, or another store")
        return before, self._unknown(kind.series, before, new)

    @property
    def quarantine(self) -> "Store":
        """Where samples of a fetch wait until all of it has been checked: a store of its own, which no run reads."""
        return Store(self.root / "quarantine")

    def remove(self, series: str) -> None:
        """Remove a series and its provenance, if they are there."""
        path = self.path(series)
        for each in (path, path.with_suffix(".jsonl")):
            each.unlink(missing_ok=True)

    def withdraw(self, series: str, start_ns: int, end_ns: int, reason: str) -> Withdrawn:
        """Take the samples from `start_ns` up to `end_ns` out of a series; raises `StoreError`.

        They are kept in a file of their own below `withdrawn`, and the provenance of the series has a line with the
        reason. The source can then be asked for them again.
        """
        kind, samples = self.read(series)
        out = samples.within(start_ns, end_ns)
        if not len(out):
            first, last = utc(start_ns).date(), utc(end_ns - 1).date()
            raise StoreError(f"{series}: nothing between {first} and {last}; expected days of the series")
        if not reason.strip():
            raise StoreError(f"{series}: no reason; expected why the samples are withdrawn")
        rows = np.ones(len(samples), dtype=bool)
        rows[slice(*samples.time_ns.searchsorted((start_ns, end_ns)))] = False
        rest = samples.chosen(rows)
        first_, last_ = (utc(int(out.time_ns[index])).isoformat() for index in (0, -1))
        path = self.path(series)
        aside = Store(self.root / "withdrawn").path(f"{series}:{out.digest[:16]}")
        at = datetime.now(UTC).isoformat(timespec="seconds")
        line = Withdrawn(at, reason.strip(), out.digest, len(out), first_, last_, str(aside.relative_to(self.root)))
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            write_samples(aside, kind, out)
            add_lines(path.with_suffix(".jsonl"), [line])
            if len(rest):
                write_samples(path, kind, rest)
            else:
                path.unlink()
        except OSError as error:
            raise StoreError(f"{path}: not writable ({error.strerror}); expected a directory for data") from None
        return line

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
        kind, samples = self.read(series)
        paid = all(kind.units[stored].startswith(PAYMENT) for stored in columns.values())
        joining = joining or (kind.joining if paid or kind.joining is not Joining.SUM else Joining.LAST)
        from_ns = start_ns
        if (joining is Joining.HOLD or fill is Fill.PREVIOUS) and len(
            earlier := samples.time_ns[samples.time_ns <= start_ns]
        ):
            from_ns = int(earlier[-1])
        cut = bool((samples.time_ns < from_ns).any())
        samples = samples.within(from_ns, end_ns)
        if not len(samples):
            first, last = utc(start_ns).date(), utc(end_ns - 1).date()
            how = _brought([series], commands([series], days=(first, last)))
            raise StoreError(f"{series}: nothing between {first} and {last}; expected it {how}")
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
            cut=cut,
            effective=effective,
        )

    def _absent(self, missing: Sequence[str], fetches: Sequence[str]) -> StoreError:
        """The refusal of series that are not there."""
        known = self.ids()
        if imports(missing):  # what there is of a user's own goes first
            known.sort(key=lambda each: not each.startswith("own:"))
        there, them = ", ".join(known[:8]), "it" if len(missing) == 1 else "them"
        has = f"which has {there}{' and others' if len(known) > 8 else ''}" if there else "which has nothing yet"
        words = f"not in the store {self.root}, {has}; expected {them} {_brought(missing, fetches)}"
        return StoreError(f"{', '.join(missing)}: {words}")

    def _unknown(self, series: str, before: Samples, new: Samples) -> Samples:
        """The samples that are not there yet."""
        at = np.minimum(before.time_ns.searchsorted(new.time_ns), len(before) - 1)
        there = before.time_ns[at] == new.time_ns
        for name, values in new.columns.items():
            for index in np.flatnonzero(there & (before.columns[name][at] != values))[:1]:
                when = utc(int(new.time_ns[index])).isoformat()
                raise StoreError(
                    f"{series}, {when}, column {name}: the reply says {float(values[index])!r}, the store has "
                    f"{float(before.columns[name][at[index]])!r}; expected the same, as nothing is overwritten, "
                    "or carrybook data withdraw before it"
                )
        return new.chosen(~there)


def _steady(values: Floats, noise: float) -> Floats:
    """Values that stay as they are until they change by more than the fraction `noise`."""
    if not noise:
        return values
    steady = values.copy()
    for index in range(1, len(steady)):
        if abs(steady[index] / steady[index - 1] - 1) <= noise:
            steady[index] = steady[index - 1]
    return steady


def _brought(series: Sequence[str], fetches: Sequence[str]) -> str:
    """How series come into the store, with the commands, as the end of a sentence that can be copied from."""
    own = imports(series)
    how = "imported" if len(own) == len(series) else "fetched or imported" if own else "fetched"
    return f"{how}: {' && '.join((*fetches, *own))}" if fetches or own else how
