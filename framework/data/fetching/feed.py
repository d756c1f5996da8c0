"""A feed is one series of one source: it says what the series is, and asks for it page by page."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
from attrs import field, frozen

from framework.data.fetching.client import Client, Pace
from framework.data.fetching.replies import Page, ReplyRefused, distinct, refuse_units
from framework.data.gaps import Hole, holes
from framework.data.plausibility import Level, doubts, measure_of
from framework.data.provenance import Asked
from framework.data.raw import NS_PER_MS
from framework.data.samples import Kind, Samples
from framework.data.series import Ints, Joining
from framework.data.store import Store
from framework.errors import CarrybookError, FetchError, MarketError, StoreError
from framework.market import Measure, check_columns, utc


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
    `as_given` leaves out the guards on units. `progress` gets the share that is done, from 0 to 1.
    """

    start_ns: int
    end_ns: int
    now_ns: int
    again: bool = False
    as_given: bool = False
    progress: Callable[[float], None] = field(default=lambda _: None)

    def run(self, feed: Feed, store: Store, client: Client) -> Fetched:
        """Fetch a series into the store; raises `CarrybookError`.

        Pages wait in the store's quarantine until all of them have been checked. A reply that is refused for what it
        says leaves nothing of the fetch; one that does not come leaves the pages before it. Started again a fetch asks
        for what is missing, and ends with the same file as one that was never interrupted.
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
            try:
                self._ask(feed, store, client, end_ns)
            except (ReplyRefused, MarketError, StoreError):
                store.quarantine.remove(kind.series)
                raise
            except FetchError:
                self._admit(feed, store)
                raise
            added = self._admit(feed, store)
            self.progress(1.0)
            left = tuple(_holes(kind, _times(kind, store, self.start_ns, end_ns), self.start_ns, end_ns))
        return Fetched(kind.series, added, client.requests - made, left, feed.note if left else "")

    def _ask(self, feed: Feed, store: Store, client: Client, end_ns: int) -> None:
        """Ask for what is missing, and put every page into quarantine."""
        kind = feed.kind
        spans = [(self.start_ns, end_ns)] if self.again else list(self._lacking(kind, store, end_ns))
        total_ns = sum(until_ns - from_ns for from_ns, until_ns in spans) or 1
        done_ns = 0
        for from_ns, until_ns in spans:
            at_ns = from_ns
            while until_ns - at_ns > 0:
                page = self._page(feed, store, client, at_ns, until_ns)
                store.quarantine.append(kind, page.samples, _asked(page))
                done_ns += min(page.until_ns, until_ns) - at_ns
                at_ns = page.until_ns
                self.progress(min(1.0, done_ns / total_ns))
                if self._ends(kind, page, until_ns):
                    break

    def _admit(self, feed: Feed, store: Store) -> int:
        """Move what is in quarantine into the store, after it has been checked as a whole; how many are new."""
        kind, quarantine = feed.kind, store.quarantine
        asked, samples = quarantine.asked(kind.series), Samples(np.zeros(0, dtype=np.int64), {})
        try:
            if quarantine.has(kind.series):
                samples = quarantine.read(kind.series)[1]
                self._check(feed, store, samples, asked[0].request if asked else kind.series)
            known = set(store.asked(kind.series))
            added = store.append(kind, samples, *(line for line in asked if line not in known))
        except CarrybookError:
            quarantine.remove(kind.series)
            raise
        quarantine.remove(kind.series)
        return added

    def _check(self, feed: Feed, store: Store, samples: Samples, request: str) -> None:
        """Refuse samples that cannot be, alone or beside what the store has; raises `CarrybookError`."""
        kind = feed.kind
        check_columns(samples.columns, lambda name, index: f"{request}: {utc(int(samples.time_ns[index]))}, {name}")
        store.check(kind, samples)
        if self.as_given or not len(samples):
            return
        beside = _among(kind, store, samples)
        measures = {name: measure_of(unit) for name, unit in kind.units.items()}
        judged = {name: values for name, values in beside.columns.items() if measures[name] is not Measure.FUNDING}
        for doubt in doubts(beside.time_ns, judged, measures, kind.every_ns):
            if doubt.level is Level.ERROR:
                when = "" if doubt.index is None else f" at {utc(int(beside.time_ns[doubt.index])).isoformat()}"
                raise refuse_units(request, f"{doubt.column}{when}: {doubt.words}", "plausible values")

    def _lacking(self, kind: Kind, store: Store, end_ns: int) -> Iterator[tuple[int, int]]:
        """The spans of time of which samples are missing."""
        waiting = _times(kind, store.quarantine, self.start_ns, end_ns)
        times = np.union1d(_times(kind, store, self.start_ns, end_ns), waiting)
        for hole in _holes(kind, times, self.start_ns, end_ns):
            known = len(times) and hole.after_ns >= times[0]
            yield hole.after_ns + ((kind.span_ns or 1) if known else 0), hole.before_ns

    def _page(self, feed: Feed, store: Store, client: Client, at_ns: int, until_ns: int) -> Page:
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
        if len(samples) and not self.as_given:
            feed.check_units(samples, request)
        self._check(feed, store, kept, request)
        if page.until_ns <= at_ns:
            raise FetchError(f"{request}: the reply gets no further than {utc(at_ns).isoformat()}; expected later rows")
        return Page(page.reply, kept, page.until_ns)

    @staticmethod
    def _ends(kind: Kind, page: Page, until_ns: int) -> bool:
        """Whether nothing is missing between the last sample of a page and the end of the span."""
        times = page.samples.time_ns
        return bool(len(times)) and not kind.changing and not holes(times[-1:], kind.every_ns, end_ns=until_ns)


def _asked(page: Page) -> Asked:
    """The line of provenance for a page."""
    times = page.samples.time_ns
    first, last = (utc(int(times[index])).isoformat() if len(times) else None for index in (0, -1))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Asked(at, page.reply.request, page.reply.sha256, len(times), first, last, version("carrybook"))


def _among(kind: Kind, store: Store, samples: Samples) -> Samples:
    """The samples with those of the store and of its quarantine that are nearest before and after."""
    for there in (store, store.quarantine):
        if there.has(kind.series):
            known = there.read(kind.series)[1]
            at = known.time_ns.searchsorted(samples.time_ns[[0, -1]] + np.array([0, 1]))
            samples = samples.joined(known.rows(max(at[0] - 1, 0), at[0]), known.rows(at[1], at[1] + 1))
    return samples


def _times(kind: Kind, store: Store, start_ns: int, end_ns: int) -> Ints:
    """The times of what the store has of a window."""
    if not store.has(kind.series):
        return np.zeros(0, dtype=np.int64)
    return store.read(kind.series)[1].within(start_ns, end_ns).time_ns


def _holes(kind: Kind, times: Ints, start_ns: int, end_ns: int) -> list[Hole]:
    return holes(times, kind.every_ns, start_ns=start_ns, end_ns=end_ns, changing=kind.changing)
