"""Replies of sources: their rows become times and values, or are refused in one line that names the request."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from attrs import frozen

from framework.clock import INTERVALS_NS
from framework.data.fetching.client import Reply
from framework.data.plausibility import PERCENT
from framework.data.raw import MS_RANGE, NS_PER_MS, number
from framework.data.samples import Samples
from framework.data.series import Floats, Ints
from framework.errors import FetchError
from framework.market import utc
from framework.support.text import SHOWN, shown

LOWEST_PER_YEAR = 0.002
"""A pool that costs less than 0.2 % a year in the middle was given in fractions where percent were expected."""


class ReplyRefused(FetchError):  # noqa: N818  (as an order is refused)
    """A reply about something else, or with values that cannot be right: nothing of its fetch is stored.

    Other failures, such as a connection that breaks, leave what earlier replies of the fetch have given.
    """


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


def distinct(samples: Samples, series: str, request: str) -> Samples:
    """The samples in time order, each once; raises `ReplyRefused` where two of one time differ."""
    samples = samples.joined()
    times = samples.time_ns
    same = np.concatenate((np.diff(times) == 0, [False])) if len(times) else np.zeros(0, dtype=bool)
    for name, values in samples.columns.items():
        for index in np.flatnonzero(same[:-1] & (np.diff(values) != 0))[:1]:
            raise ReplyRefused(
                f"{request}: {series} has {utc(int(times[index])).isoformat()} twice, with {name} "
                f"{float(values[index])!r} and {float(values[index + 1])!r}; expected one value for one time"
            )
    return samples.chosen(~same)


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
    """One key of all rows as finite floats, written as numbers or as text; raises `ReplyRefused`."""
    values = np.array([number(row.get(key)) for row in rows], dtype=np.float64)
    for index in np.flatnonzero(~np.isfinite(values))[:1]:
        value = shown(rows[index].get(key))
        raise ReplyRefused(f"{reply.request}: row {index + 1}, {key}: {value}; expected a finite number")
    return values


def answering(reply: Reply, said: Iterable[Mapping[str, Any]], **asked: str) -> None:
    """Refuse rows that say that they are of another coin, symbol or interval than was asked for.

    `asked` are keys of the rows with what they have to say; a row without the key says nothing. Raises `ReplyRefused`.
    """
    for count, row in enumerate(said, start=1):
        for key, wanted in asked.items():
            if key in row and row[key] != wanted:
                raise ReplyRefused(
                    f"{reply.request}: row {count} of the reply has {key} {shown(row[key])}; expected {wanted!r}"
                )


def succeeded(reply: Reply, content: object, key: str, wanted: object) -> None:
    """Refuse a reply that reports a failure of its own, such as `success: false`; raises `FetchError`."""
    if isinstance(content, dict) and content.get(key, wanted) != wanted:
        said = " ".join(reply.content[:SHOWN].decode(errors="replace").split())
        raise FetchError(f"{reply.request}: the reply has {key} {shown(content[key])}: {said}; expected {key} {wanted}")


def milliseconds(reply: Reply, rows: list[dict[str, Any]], key: str) -> Ints:
    """One key of all rows as instants; raises `ReplyRefused` for what is not milliseconds since 1970."""
    times = numbers(reply, rows, key)
    for index in np.flatnonzero((times < MS_RANGE.start) | (times >= MS_RANGE.stop))[:1]:
        value = shown(rows[index][key])
        raise ReplyRefused(f"{reply.request}: row {index + 1}, {key}: {value}; expected milliseconds since 1970")
    return times.astype(np.int64) * NS_PER_MS


def iso_times(reply: Reply, rows: list[dict[str, Any]], key: str) -> Ints:
    """One key of all rows as instants; raises `ReplyRefused` for what is not an ISO 8601 time with its offset."""
    times = []
    for index, row in enumerate(rows, start=1):
        try:
            instant = datetime.fromisoformat(row[key])
            since = instant - datetime(1970, 1, 1, tzinfo=UTC)
        except (KeyError, TypeError, ValueError):
            value = shown(row.get(key))
            raise ReplyRefused(
                f"{reply.request}: row {index}, {key}: {value}; expected a time such as 2025-01-31T00:00:00Z"
            ) from None
        times.append((since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000)
    return np.array(times, dtype=np.int64)


def ascending(reply: Reply, times: Ints) -> None:
    """Refuse a page that is not in time order: where the next one begins would not be known."""
    for index in np.flatnonzero(np.diff(times) < 0)[:1]:
        raise ReplyRefused(
            f"{reply.request}: row {index + 2}, {utc(int(times[index + 1])).isoformat()}, is earlier than row "
            f"{index + 1}; expected time order"
        )


def after_last(times: Ints, end_ns: int, span_ns: int = 1) -> int:
    """Where the next page begins: after the last sample and what it spans, or at the end where there is none."""
    return int(times[-1]) + span_ns if len(times) else end_ns


def candle_page(reply: Reply, rows: list[dict[str, Any]], names: Mapping[str, str], interval: str, end_ns: int) -> Page:
    """A page of candles, which open at `t` and close at `T`; `names` are our columns and the source's.

    Raises `ReplyRefused` for candles of another length, and for those that open between the times of that length.
    """
    times = milliseconds(reply, rows, "t")
    ascending(reply, times)
    span_ns = INTERVALS_NS[interval]
    spans = milliseconds(reply, rows, "T") + NS_PER_MS - times
    for index in np.flatnonzero(spans != span_ns)[:1]:
        said = f"row {index + 1} is a candle of {spans[index] / 1e9:g} s"
        raise refuse_units(reply.request, said, f"candles of {interval}")
    for index in np.flatnonzero(times % span_ns)[:1]:
        said = f"row {index + 1} opens at {utc(int(times[index])).isoformat()}"
        raise refuse_units(reply.request, said, f"candles of {interval} that open at whole multiples of it")
    columns = {name: numbers(reply, rows, key) for name, key in names.items()}
    return Page(reply, Samples(times, columns), after_last(times, end_ns, span_ns))


def payments_page(reply: Reply, rows: list[dict[str, Any]], time: str, names: Mapping[str, str], end_ns: int) -> Page:
    """A page of payments at the times of a key; `names` are our columns and the source's. Raises `ReplyRefused`."""
    times = milliseconds(reply, rows, time)
    ascending(reply, times)
    columns = {name: numbers(reply, rows, key) for name, key in names.items()}
    return Page(reply, Samples(times, columns), after_last(times, end_ns))


def check_lending(samples: Samples, request: str, keys: Sequence[str], expected: str, *, percent: bool) -> None:
    """Refuse lending and borrowing rates that no pool can have together; raises `ReplyRefused`.

    `keys` are the source's names for the two, `percent` says that it writes percent, which are fractions here already.
    """
    lending, borrowing = samples.columns["lending_apy"], samples.columns["borrowing_apy"]
    scale = 100 if percent else 1
    if not lending.any() and not borrowing.any():
        raise refuse_units(request, f"{len(samples)} samples of which all {' and '.join(keys)} are 0", expected)
    earned, paid = float(np.median(lending)), float(np.median(borrowing))
    if percent and (paid < LOWEST_PER_YEAR or (len(samples) > 30 and borrowing.max() < 5 * LOWEST_PER_YEAR)):
        said = f"{keys[1]} from {borrowing.min() * scale:.3g} to {borrowing.max() * scale:.3g}"
        raise refuse_units(request, said, expected)
    for key, middle in zip(keys, (earned, paid), strict=True):
        if middle > PERCENT:
            raise refuse_units(request, f"{key} of {middle * scale:.3g} in the middle", expected)
    if earned > 1.05 * paid:
        said = f"{keys[0]} of {earned * scale:.3g} and {keys[1]} of {paid * scale:.3g} in the middle"
        raise refuse_units(request, said, f"both in {expected}: lenders earn no more than borrowers pay")


def window_ms(start_ns: int, end_ns: int) -> tuple[int, int]:
    """The first and the last millisecond of a window, both included, as sources ask for them."""
    return -(-start_ns // NS_PER_MS), (end_ns - 1) // NS_PER_MS


def refuse_units(request: str, said: str, expected: str) -> ReplyRefused:
    """The refusal of values in other units."""
    return ReplyRefused(f"{request}: {said}; expected {expected} (--as-given takes them as they are)")
