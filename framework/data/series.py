"""One input series as it was read: times, values, and the row of the file behind each of them."""

from enum import StrEnum

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from framework.data.duplicates import refuse_repeated
from framework.errors import MarketError
from framework.market import check_columns, utc

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Joining(StrEnum):
    """How several samples within one row of the table become one value."""

    SUM = "sum"
    """Payments: the row pays all of them."""
    LAST = "last"
    """Levels: the row has the latest of them."""
    MEAN = "mean"
    """Levels: the row has their mean."""
    HOLD = "hold"
    """Levels that stay until the next sample: a column `x` becomes `x_open` and `x_close` of every row."""


class Fill(StrEnum):
    """What happens where a series lacks samples."""

    REFUSE = "refuse"
    """The series is refused."""
    ZERO = "zero"
    """A missing payment pays nothing, a missing rate is 0."""
    PREVIOUS = "previous"
    """The last sample before holds on; a missing row of prices stands at the last close."""
    DROP = "drop"
    """Rows without any sample are left out, and rows with fewer than they should have are taken as they are."""


@frozen
class Earlier:
    """Another file from which the samples before an instant come."""

    file: str
    digest: str
    until_ns: int


@frozen(eq=False, kw_only=True)
class Series:
    """Samples of one or more columns at instants in UTC nanoseconds, shape (samples,), in time order.

    `row` counts the samples in `file` from 1. With `span_ns` the samples are intervals that open at their time, which
    makes them rows of a table; without it they fall into the rows of another series.
    """

    name: str
    file: str
    digest: str
    time_ns: Ints
    row: Ints
    columns: dict[str, Floats]
    joining: Joining = Joining.LAST
    span_ns: int | None = None
    labels: dict[str, str] = field(factory=dict)
    """Our name of a column -> its name in the file, where the two differ."""
    parts: Ints | None = None
    """Into how many parts the interval of each sample is cut; None where each has its own."""
    repeats: bool = False
    """Whether a time may come more than once."""
    note: str = ""
    """What a reader of any result must know of the series."""
    earlier: Earlier | None = None
    """The file of the samples before this file's first, if they come from another."""
    fill: Fill = Fill.DROP
    cut: bool = False
    """Whether the source has samples before the first of these."""
    settings: dict[Fill, str] = field(factory=dict)
    """How a scenario sets each rule for this series, as an error message says it."""
    every_ns: int | None = None
    """How often samples come, if that is known; with `changing` they may come more often for a while."""
    changing: bool = False
    effective: bool = False
    """Whether rates per year are effective ones, which a row takes as (1 + rate) ** years - 1, and not rate x years."""
    lender: str = ""
    """Whose pool rates are of, where the file says so."""

    def __attrs_post_init__(self) -> None:
        if not len(self.time_ns):
            raise MarketError(f"{self.file}: no rows; expected at least one")
        for index in np.flatnonzero(np.diff(self.time_ns) < 0)[:1]:
            raise MarketError(
                f"{self.place(index + 1)}: timestamp {utc(int(self.time_ns[index + 1])).isoformat()} is unsorted, "
                f"earlier than that of row {self.row[index]}; expected time order"
            )
        if not self.repeats:
            refuse_repeated(self.file, self.time_ns, self.row)
        check_columns(self.columns, lambda name, index: f"{self.place(index)}, column {self.label(name)}")

    @property
    def spans_ns(self) -> Ints:
        """How long the interval of each sample is, nanoseconds; 0 for samples that are none."""
        whole = np.full(len(self.time_ns), self.span_ns or 0, dtype=np.int64)
        return whole if self.parts is None else whole // self.parts

    def place(self, index: int) -> str:
        """Where a sample stands, as `file, row N`."""
        earlier = self.earlier
        file = earlier.file if earlier and self.time_ns[index] < earlier.until_ns else self.file
        return f"{file}, row {self.row[index]}"

    def label(self, column: str) -> str:
        """A column as a reader of the file knows it, with our name beside it where that differs."""
        own = self.labels.get(column, column)
        return own if own == column else f"{own} ({column})"


def spliced(early: Series, late: Series) -> Series:
    """The samples of `late`, and those of `early` before the first of them; raises `MarketError` for other columns.

    Only levels can be spliced: a row that sums payments could take some from each file.
    """
    if early.columns.keys() != late.columns.keys():
        raise MarketError(
            f"{early.file}: gives {', '.join(early.columns)}; expected {', '.join(late.columns)}, as {late.file} does"
        )
    if {early.joining, late.joining} - {Joining.LAST, Joining.MEAN} or late.span_ns is not None:
        raise MarketError(f"{early.file}: cannot stand before {late.file}; expected levels, no payments and no prices")
    if early.lender and late.lender and early.lender != late.lender:
        raise MarketError(f"{early.file}: rates of {early.lender}; expected those of {late.lender}, as in {late.file}")
    until_ns = int(late.time_ns[0])
    count = int(early.time_ns.searchsorted(until_ns))
    return evolve(
        late,
        time_ns=np.concatenate((early.time_ns[:count], late.time_ns)),
        row=np.concatenate((early.row[:count], late.row)),
        columns={name: np.concatenate((early.columns[name][:count], late.columns[name])) for name in late.columns},
        parts=None,
        earlier=Earlier(early.file, early.digest, until_ns),
    )
