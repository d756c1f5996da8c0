"""Duplicates: what becomes of the samples of a file that have the same time: refused, unless asked for."""

from enum import StrEnum

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from framework.errors import MarketError
from framework.market import Floats, Ints, utc


class Duplicates(StrEnum):
    """What a source's key `duplicates` may say."""

    REFUSE = "refuse"
    """No time may come twice."""
    ONCE = "once"
    """Samples of one time that say the same count once; those that contradict each other are refused."""
    KEEP = "keep"
    """Each counts. Those that are intervals share theirs in equal parts, in the order of the file."""


@frozen(eq=False, kw_only=True)
class Settled:
    """Samples of which the rule on duplicates holds; arrays of shape (samples,), `values` (samples, columns).

    `parts` says into how many parts the interval of a sample is cut. `note` says what was done; empty for nothing.
    """

    time_ns: Ints
    row: Ints
    values: Floats
    parts: Ints
    note: str


def repeated(time_ns: Ints) -> NDArray[np.intp]:
    """The samples that have the time of the sample before them."""
    return np.flatnonzero(np.diff(time_ns) == 0) + 1


def refuse_repeated(file: str, time_ns: Ints, row: Ints, hint: str = "") -> None:
    """Raise `MarketError` if a time comes twice: the first such row in full, and the numbers of the others."""
    again = repeated(time_ns)
    if not len(again):
        return
    first, *others = again.tolist()
    more = f"; {_rows(row[others])} a time as well" if others else ""
    raise MarketError(
        f"{file}, row {row[first]}: duplicate timestamp {utc(int(time_ns[first])).isoformat()}, "
        f"the same as row {row[first - 1]}{more}; expected each once{hint}"
    )


def settle(
    file: str, time_ns: Ints, row: Ints, values: Floats, *, rule: str = Duplicates.REFUSE, span_ns: int | None = None
) -> Settled:
    """Apply a rule to the samples of a file, of which `row` counts from 1; raises `MarketError`.

    With `span_ns` samples are intervals; those of one time that are kept follow each other within theirs.
    """
    if rule not in set(Duplicates):
        raise MarketError(f"{file}: duplicates {rule!r}; expected one of {', '.join(Duplicates)}")
    if rule == Duplicates.REFUSE:
        refuse_repeated(file, time_ns, row, ", or duplicates = once or keep")
    again = repeated(time_ns)
    whole = np.ones(len(time_ns), dtype=np.int64)
    if not len(again):
        return Settled(time_ns=time_ns, row=row, values=values, parts=whole, note="")
    places = f"{file}, {_rows(row[again])}"
    if rule == Duplicates.ONCE:
        for index in again[(values[again] != values[again - 1]).any(axis=1)][:1].tolist():
            raise MarketError(
                f"{file}, row {row[index]}: another value than in row {row[index - 1]}, which has the same time; "
                "expected the same, or duplicates = keep"
            )
        kept = np.delete(np.arange(len(time_ns)), again)
        note = f"{places} the time of the row above: left out"
        return Settled(time_ns=time_ns[kept], row=row[kept], values=values[kept], parts=whole[kept], note=note)
    first = np.ones(len(time_ns), dtype=bool)
    first[again] = False
    group = np.cumsum(first) - 1
    parts = np.bincount(group)[group]
    place = np.arange(len(time_ns)) - np.flatnonzero(first)[group]
    apart = place * ((span_ns or 0) // parts)
    note = f"{places} the time of the row above: counted all the same"
    return Settled(time_ns=time_ns + apart, row=row, values=values, parts=parts, note=note)


def _rows(numbers: Ints) -> str:
    """Rows that repeat something, as the beginning of a sentence."""
    *all_but_last, last = numbers.tolist()
    if not all_but_last:
        return f"row {last} repeats"
    return f"rows {', '.join(map(str, all_but_last))} and {last} repeat"
