"""A feed is one series of one source: it says what the series is, and asks for it page by page."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
from attrs import field, frozen

from framework.clock import INTERVALS_NS
from framework.data.fetching.client import Client, Pace, Reply
from framework.data.gaps import Hole, holes
from framework.data.raw import MS_RANGE, NS_PER_MS
from framework.data.series import Floats, Ints, Joining
from framework.data.store import Asked, Kind, Samples, Store
from framework.errors import FetchError
from framework.market import check_columns, utc


@frozen(eq=False)
class Page:
    """One reply: its samples in the order in which they came, and the instant up to which it answers, without it.

    A `whole` reply has the source's whole history, whatever was asked; one of a source that cannot be asked from any
    instant begins at `since_ns`.
    """

    reply: Reply
    samples: Samples
    until_ns: int
    whole: bool = False
    since_ns: int | None = None


class Feed(ABC):
    """One series of one source. Subclasses are frozen values."""

    host: str
    pace: Pace
    note: str = ""
    """Why a source may lack samples, if it says so."""

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """What the series is."""

    @abstractmethod
    def page(self, client: Client, start_ns: int, end_ns: int) -> Page:
        """Ask for the samples from `start_ns` up to `end_ns`, or the first of them; raises `FetchError`."""

    def check_window(self, start_ns: int, end_ns: int) -> None:
        """Refuse days that the source cannot have; raises `FetchError`."""

    def check_units(self, samples: Samples, request: str) -> None:
        """Refuse values that must be in other units than the source's own; raises `FetchError`."""


@frozen
class Fetched:
    """What a fetch did: samples that are new, requests that were made, and what is missing still."""

    series: str
    added: int
    requests: int
    holes: tuple[Hole, ...]
    note: str = ""


@frozen(kw_only=True)
class Fetch:
    """Which instants to fetch, from `start_ns` up to `end_ns`, and how.

    Only what has closed by `now_ns` is asked for, and of that only what the store lacks, or everything with `again`;
    `as_given` leaves out the guards on units. `progress` is told the share that is done, from 0 to 1.
    """

    start_ns: int
    end_ns: int
    now_ns: int
    again: bool = False
    as_given: bool = False
    progress: Callable[[float], None] = field(default=lambda _: None)

    def run(self, feed: Feed, store: Store, client: Client) -> Fetched:
        """Fetch a series into the store, page by page, and keep every whole page; raises `CarrybookError`.

        Started again it asks for what is missing, and ends with the same file as one that was never interrupted.
        """
        kind = feed.kind
        if self.end_ns <= self.start_ns:
            first, last = utc(self.start_ns).date(), utc(self.end_ns - 1).date()
            raise FetchError(f"{kind.series}: the last day, {last}, is before the first, {first}; expected it after")
        feed.check_window(self.start_ns, self.end_ns)
        step_ns = kind.every_ns if kind.joining is not Joining.SUM else kind.grid_ns or NS_PER_MS
        end_ns = min(self.end_ns, self.now_ns // step_ns * step_ns)
        if end_ns <= self.start_ns:
            raise FetchError(
                f"{kind.series}: nothing has closed since {utc(self.start_ns).date()}; expected a past day"
            )
        made = client.requests
        with store.lock(kind.series):
            spans = [(self.start_ns, end_ns)] if self.again else list(self._lacking(kind, store, end_ns))
            total_ns = sum(until_ns - from_ns for from_ns, until_ns in spans) or 1
            added, done_ns = 0, 0
            for from_ns, until_ns in spans:
                at_ns = from_ns
                while until_ns - at_ns > 0:
                    page = self._page(feed, client, at_ns, until_ns)
                    added += self._keep(feed, store, page)
                    done_ns += min(page.until_ns, until_ns) - at_ns
                    at_ns = page.until_ns
                    self.progress(min(1.0, done_ns / total_ns))
                    if self._ends(kind, page, until_ns):
                        break
            self.progress(1.0)
            left = tuple(_holes(kind, _times(kind, store, self.start_ns, end_ns), self.start_ns, end_ns))
        return Fetched(kind.series, added, client.requests - made, left, feed.note if left else "")

    def _lacking(self, kind: Kind, store: Store, end_ns: int) -> Iterator[tuple[int, int]]:
        """The spans of time of which samples are missing."""
        times = _times(kind, store, self.start_ns, end_ns)
        for hole in _holes(kind, times, self.start_ns, end_ns):
            known = len(times) and hole.after_ns >= times[0]
            yield hole.after_ns + ((kind.span_ns or 1) if known else 0), hole.before_ns

    def _page(self, feed: Feed, client: Client, at_ns: int, until_ns: int) -> Page:
        """A page of which every sample is checked and new to this fetch, in time order."""
        page = feed.page(client, at_ns, until_ns)
        series, request = feed.kind.series, page.reply.request
        samples = distinct(page.samples, series, request)
        kept = samples.within(at_ns, min(until_ns, page.until_ns))
        since_ns = at_ns if page.since_ns is None else page.since_ns
        near = samples.within(since_ns - feed.kind.every_ns, until_ns + feed.kind.every_ns)
        if len(samples) > len(near) and not len(kept) and not page.whole:
            first, last = (utc(int(samples.time_ns[index])).isoformat() for index in (0, -1))
            raise FetchError(
                f"{request}: the reply has {len(samples)} rows of {first} to {last}, and none from "
                f"{utc(at_ns).isoformat()} on; expected the rows that were asked for"
            )
        check_columns(kept.columns, lambda name, index: f"{request}: {utc(int(kept.time_ns[index]))}, {name}")
        if len(samples) and not self.as_given:
            feed.check_units(samples, request)
        if page.until_ns <= at_ns:
            raise FetchError(f"{request}: the reply gets no further than {utc(at_ns).isoformat()}; expected later rows")
        return Page(page.reply, kept, page.until_ns)

    @staticmethod
    def _keep(feed: Feed, store: Store, page: Page) -> int:
        times = page.samples.time_ns
        first, last = (utc(int(times[index])).isoformat() if len(times) else None for index in (0, -1))
        at = datetime.now(UTC).isoformat(timespec="seconds")
        asked = Asked(at, page.reply.request, page.reply.sha256, len(times), first, last, version("carrybook"))
        return store.append(feed.kind, page.samples, asked)

    @staticmethod
    def _ends(kind: Kind, page: Page, until_ns: int) -> bool:
        """Whether nothing is missing between the last sample of a page and the end of the span."""
        times = page.samples.time_ns
        return bool(len(times)) and not kind.changing and not holes(times[-1:], kind.every_ns, end_ns=until_ns)


def _times(kind: Kind, store: Store, start_ns: int, end_ns: int) -> Ints:
    """The times of what the store has of a window."""
    if not store.has(kind.series):
        return np.zeros(0, dtype=np.int64)
    return store.read(kind.series)[1].within(start_ns, end_ns).time_ns


def _holes(kind: Kind, times: Ints, start_ns: int, end_ns: int) -> list[Hole]:
    return holes(times, kind.every_ns, start_ns=start_ns, end_ns=end_ns, changing=kind.changing)


def distinct(samples: Samples, series: str, request: str) -> Samples:
    """The samples in time order, each once; raises `FetchError` where two of one time differ."""
    order = np.argsort(samples.time_ns, kind="stable")
    times = samples.time_ns[order]
    columns = {name: values[order] for name, values in samples.columns.items()}
    same = np.concatenate((np.diff(times) == 0, [False])) if len(times) else np.zeros(0, dtype=bool)
    for name, values in columns.items():
        for index in np.flatnonzero(same[:-1] & (np.diff(values) != 0))[:1]:
            raise FetchError(
                f"{request}: {series} has {utc(int(times[index])).isoformat()} twice, with {name} "
                f"{float(values[index])!r} and {float(values[index + 1])!r}; expected one value for one time"
            )
    return Samples(times[~same], {name: values[~same] for name, values in columns.items()})


def rows_of(reply: Reply, content: object, *keys: str) -> list[dict[str, Any]]:
    """The array of objects at a key of the reply, which is there under the first of `keys` that it has."""
    rows = content
    if keys:
        rows = next((content[key] for key in keys if key in content), None) if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        at = f" at {' or '.join(keys)}" if keys else ""
        raise FetchError(f"{reply.request}: {reply.content[:80]!r}; expected an array of objects{at}")
    return rows


def numbers(reply: Reply, rows: list[dict[str, Any]], key: str) -> Floats:
    """One key of all rows as finite floats, written as numbers or as text; raises `FetchError`."""
    values = []
    for index, row in enumerate(rows, start=1):
        value = row.get(key)
        try:
            number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else np.nan
        except (ValueError, OverflowError):
            number = np.nan
        if not np.isfinite(number):
            raise FetchError(f"{reply.request}: row {index}, {key}: {value!r}; expected a finite number")
        values.append(number)
    return np.array(values, dtype=np.float64)


def milliseconds(reply: Reply, rows: list[dict[str, Any]], key: str) -> Ints:
    """One key of all rows as instants; raises `FetchError` for what is not milliseconds since 1970."""
    times = numbers(reply, rows, key)
    for index in np.flatnonzero((times < MS_RANGE.start) | (times >= MS_RANGE.stop))[:1]:
        value = rows[index][key]
        raise FetchError(f"{reply.request}: row {index + 1}, {key}: {value!r}; expected milliseconds since 1970")
    return times.astype(np.int64) * NS_PER_MS


def iso_times(reply: Reply, rows: list[dict[str, Any]], key: str) -> Ints:
    """One key of all rows as instants; raises `FetchError` for what is not an ISO 8601 time with its offset."""
    times = []
    for index, row in enumerate(rows, start=1):
        try:
            instant = datetime.fromisoformat(row[key])
            since = instant - datetime(1970, 1, 1, tzinfo=UTC)
        except (KeyError, TypeError, ValueError):
            raise FetchError(
                f"{reply.request}: row {index}, {key}: {row.get(key)!r}; expected a time such as 2025-01-31T00:00:00Z"
            ) from None
        times.append((since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000)
    return np.array(times, dtype=np.int64)


def ascending(reply: Reply, times: Ints) -> None:
    """Refuse a page that is not in time order: where the next one begins would not be known."""
    for index in np.flatnonzero(np.diff(times) < 0)[:1]:
        raise FetchError(
            f"{reply.request}: row {index + 2}, {utc(int(times[index + 1])).isoformat()}, is earlier than row "
            f"{index + 1}; expected time order"
        )


def after_last(times: Ints, end_ns: int, span_ns: int = 1) -> int:
    """Where the next page begins: after the last sample and what it spans, or at the end where there is none."""
    return int(times[-1]) + span_ns if len(times) else end_ns


def candle_page(reply: Reply, rows: list[dict[str, Any]], names: Mapping[str, str], interval: str, end_ns: int) -> Page:
    """A page of candles, which open at `t` and close at `T`; `names` are our columns and the source's.

    Raises `FetchError` for candles of another length.
    """
    times = milliseconds(reply, rows, "t")
    ascending(reply, times)
    span_ns = INTERVALS_NS[interval]
    spans = milliseconds(reply, rows, "T") + NS_PER_MS - times
    for index in np.flatnonzero(spans != span_ns)[:1]:
        said = f"row {index + 1} is a candle of {spans[index] / 1e9:g} s"
        raise refuse_units(reply.request, said, f"candles of {interval}")
    columns = {name: numbers(reply, rows, key) for name, key in names.items()}
    return Page(reply, Samples(times, columns), after_last(times, end_ns, span_ns))


def window_ms(start_ns: int, end_ns: int) -> tuple[int, int]:
    """The first and the last millisecond of a window, both included, as sources ask for them."""
    return -(-start_ns // NS_PER_MS), (end_ns - 1) // NS_PER_MS


def refuse_units(request: str, said: str, expected: str) -> FetchError:
    """The refusal of values in other units."""
    return FetchError(f"{request}: {said}; expected {expected} (--as-given takes them as they are)")
