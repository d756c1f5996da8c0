"""Gaps: where samples that should come every so often do not come, and the named rules by which they are filled."""

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from framework.clock import INTERVALS_NS
from framework.data.series import Fill, Floats, Ints, Joining, Series
from framework.errors import MarketError
from framework.market import PRICES, utc

Flags = NDArray[np.bool_]
SLACK = 1.5
"""Samples are missing where two neighbours are more than this many times the usual step apart."""


@frozen
class Hole:
    """`missing` samples between two instants in nanoseconds, of which neither is missing itself."""

    after_ns: int
    before_ns: int
    missing: int
    step_ns: int

    def __str__(self) -> str:
        length = duration(self.before_ns - self.after_ns)
        spaced = f"{self.missing} missing of one every {duration(self.step_ns)}"
        return f"{utc(self.after_ns):%Y-%m-%d %H:%M:%S} to {utc(self.before_ns):%Y-%m-%d %H:%M:%S}, {length}: {spaced}"


def duration(span_ns: int) -> str:
    """A span of time in its largest whole unit, such as `8 h`."""
    seconds = round(span_ns / 1e9) if span_ns >= 60e9 else span_ns / 1e9
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def holes(
    time_ns: Ints, every_ns: int, *, start_ns: int | None = None, end_ns: int | None = None, changing: bool = False
) -> list[Hole]:
    """Where samples are missing that come every `every_ns`, within `time_ns` and from `start_ns` up to `end_ns`.

    With `changing` samples may come more often than that, and then do so for a while: a step is judged by its
    neighbours, and the ends of the window by the first and the last step.
    """
    if not len(time_ns):
        if start_ns is None or end_ns is None or end_ns <= start_ns:
            return []
        return [Hole(start_ns, end_ns, -((start_ns - end_ns) // every_ns), every_ns)]
    found = []
    steps = np.diff(time_ns)
    ends = (
        [min(every_ns, int(step)) if changing else every_ns for step in steps[[0, -1]]]
        if len(steps)
        else [every_ns] * 2
    )
    if start_ns is not None and (missing := (int(time_ns[0]) - start_ns) // ends[0]) > 0:
        found.append(Hole(start_ns, int(time_ns[0]), missing, ends[0]))
    usual = np.full(len(steps), every_ns)
    if changing and len(steps) > 1:
        beside = np.maximum(np.concatenate((steps[1:], [0])), np.concatenate(([0], steps[:-1])))
        usual = np.minimum(usual, beside)
    for index in np.flatnonzero(steps > SLACK * usual):
        missing = round(steps[index] / usual[index]) - 1
        found.append(Hole(int(time_ns[index]), int(time_ns[index + 1]), missing, int(usual[index])))
    if end_ns is not None and (missing := -((int(time_ns[-1]) - end_ns) // ends[1]) - 1) > 0:
        found.append(Hole(int(time_ns[-1]), end_ns, missing, ends[1]))
    return found


def usual_step(time_ns: Ints) -> int | None:
    """The step between times that is there most often, or a whole interval close to the middle one, nanoseconds."""
    if len(time_ns) < 2:
        return None
    steps, counts = np.unique(np.diff(time_ns), return_counts=True)
    middle = float(np.median(np.diff(time_ns)))
    near = [span for span in INTERVALS_NS.values() if abs(middle - span) < span / 50]
    return near[0] if near else int(steps[counts.argmax()])


def filled(series: Series, open_ns: Ints, spans_ns: Ints, start_ns: int, end_ns: int) -> tuple[Series, Flags]:
    """The series with what is missing from `start_ns` up to `end_ns` filled by its rule, and which samples that made.

    `open_ns` and `spans_ns` are the rows of the table. Payments and rows of prices are missing where their own steps
    say so; a level is missing in a row that has no sample of it. Raises `MarketError` where the rule is to refuse.
    """
    made = np.zeros(len(series.time_ns), dtype=bool)
    if series.fill is Fill.DROP:
        return series, made
    spine = series.span_ns is not None
    if series.joining in (Joining.SUM, Joining.HOLD) or spine:
        every_ns = series.span_ns or series.every_ns
        if every_ns is None and series.fill is Fill.REFUSE and series.joining is Joining.HOLD:
            return series, made  # a level that holds, of which nobody knows how often it changes, has no gaps
        if every_ns is None:
            raise MarketError(
                f'{series.file}: fill = "{series.fill}" needs to know how often; expected every = "1h" or such'
            )
        times = _absent(series, every_ns, start_ns, end_ns)
    else:
        inside = (open_ns >= start_ns) & (open_ns < end_ns)
        rows = open_ns[inside]
        at = series.time_ns.searchsorted(rows, side="left")
        upto = series.time_ns.searchsorted(rows + spans_ns[inside], side="left")
        times = rows[at == upto]
    if not len(times):
        return series, made
    if series.fill is Fill.REFUSE:
        raise _refusal(series, times, start_ns, end_ns)
    return _with(series, times)


def _refusal(series: Series, times: Ints, start_ns: int, end_ns: int) -> MarketError:
    """The refusal of a series that lacks samples, with the settings of the scenario that mend it."""
    first, last, at = utc(start_ns).date(), utc(end_ns - 1).date(), utc(int(times[0])).isoformat()
    if not ((series.time_ns >= start_ns) & (series.time_ns < end_ns)).any():
        has = " to ".join(str(utc(int(series.time_ns[index])).date()) for index in (0, -1))
        return MarketError(
            f"{series.file}: its samples, of {has}, do not overlap with the market's days, {first} to {last}; "
            "expected samples of those days, or a market.start and market.end that the series has"
        )
    level = series.joining in (Joining.LAST, Joining.MEAN)
    if series.span_ns is not None:
        rules = {Fill.PREVIOUS: "prices stand still", Fill.DROP: "there are no such rows"}
    elif series.joining is Joining.HOLD:
        rules = {Fill.PREVIOUS: "the one before holds on", Fill.DROP: "rows before the first sample are left out"}
    else:
        rules = {Fill.PREVIOUS: "the one before holds on", Fill.ZERO: "they are 0"}
        rules[Fill.DROP] = "such rows are left out" if level else "rows with none are left out, others take the rest"
    if int(times[0]) < int(series.time_ns[0]) and not series.cut:
        del rules[Fill.PREVIOUS]
    mends = [f"{series.settings.get(rule, f'fill = {rule}')} ({what})" for rule, what in rules.items()]
    return MarketError(
        f"{series.file}: {len(times)} missing between {first} and {last}, the first at {at}; "
        f"expected none, or {' or '.join(mends)}"
    )


def _absent(series: Series, every_ns: int, start_ns: int, end_ns: int) -> Ints:
    """The times at which samples should have come, within the window."""
    if series.joining is Joining.HOLD and len(before := series.time_ns[series.time_ns <= start_ns]):
        start_ns = int(before[-1])
    inside = np.unique(series.time_ns[(series.time_ns >= start_ns) & (series.time_ns < end_ns)])
    times: list[int] = []
    for hole in holes(inside, every_ns, start_ns=start_ns, end_ns=end_ns, changing=series.changing):
        first = hole.after_ns + hole.step_ns
        if not len(inside):
            first = hole.after_ns
        elif hole.before_ns == int(inside[0]):
            first = hole.before_ns - hole.missing * hole.step_ns
        times += [first + step * hole.step_ns for step in range(hole.missing)]
    return np.array(times, dtype=np.int64)


def _with(series: Series, times: Ints) -> tuple[Series, Flags]:
    """The series with samples at `times` as its rule makes them."""
    if series.repeats:
        raise MarketError(f'{series.file}: fill = "{series.fill}" with duplicates = "keep"; expected one of the two')
    before = series.time_ns.searchsorted(times, side="right") - 1
    if series.fill is Fill.ZERO and (series.span_ns is not None or series.joining is Joining.HOLD):
        raise MarketError(f'{series.file}: fill = "zero" for a price; expected "refuse", "previous" or "drop"')
    if series.fill is Fill.PREVIOUS and (before < 0).any():
        first = utc(int(times[0])).isoformat()
        raise MarketError(f'{series.file}: fill = "previous", but no sample is before {first}')
    before = np.maximum(before, 0)
    at = series.time_ns.searchsorted(times, side="left")
    columns: dict[str, Floats] = {}
    for name, values in series.columns.items():
        source = "close" if series.span_ns is not None and name in PRICES else name
        new = np.zeros(len(times)) if series.fill is Fill.ZERO else series.columns[source][before]
        columns[name] = np.insert(values, at, new)
    made = np.insert(np.zeros(len(series.time_ns), dtype=bool), at, np.ones(len(times), dtype=bool))
    return evolve(
        series,
        time_ns=np.insert(series.time_ns, at, times),
        row=np.insert(series.row, at, series.row[before]),
        columns=columns,
        parts=None if series.parts is None else np.insert(series.parts, at, 1),
    ), made
