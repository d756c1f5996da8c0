"""Alignment: several series become one market table on the rows that all of them have, with an account of the rest."""

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from framework.clock import NS_PER_DAY, NS_PER_YEAR, midnight_ns
from framework.data.gaps import filled
from framework.data.series import Fill, Floats, Ints, Joining, Series
from framework.errors import MarketError
from framework.market import TICK_NS, Coverage, Market, Source, utc

FUNDING_RATE = "funding_rate"
"""Column of the funding that a scenario chose by name."""
TOGETHER = (Joining.SUM, Joining.MEAN)
"""How all the samples of a row make its value."""


@frozen(eq=False)
class _Fit:
    """How the samples of a series fall into the rows of the table; `slot` is -1 for a sample outside all rows."""

    series: Series
    slot: Ints
    count: Ints
    made: NDArray[np.bool_]
    """The samples that the series' rule for gaps made."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """The rows that have a value: payments that are not due leave 0."""
        whole = self.series.joining is Joining.SUM and self.series.fill is not Fill.DROP
        return np.ones_like(self.made, shape=self.count.shape) if whole else self.count > 0


def align(
    series: Sequence[Series], *, start: date, end: date, label: str = "", without_funding: bool = False
) -> Market:
    """One table from `series`, on the rows between the dates (both included) for which every series has a value.

    Exactly one series has intervals: its rows are the table's. With `without_funding` there is a column `funding_rate`
    of zeros. A token whose pool rate is known, and its price is not, has the price that its pool gives it. Raises
    `MarketError` where there is no common row, or where the common rows do not reach to one of the dates.
    """
    spines = [each for each in series if each.span_ns is not None]
    if len(spines) != 1:
        raise MarketError(f"a market needs exactly one series of prices, not {len(spines)}")
    _refuse_overlap(spines[0])
    from_ns, until_ns = midnight_ns(start), midnight_ns(end) + NS_PER_DAY
    spine, made = filled(spines[0], spines[0].time_ns, spines[0].spans_ns, from_ns, until_ns)
    spans_ns = spine.spans_ns

    def fitted(each: Series) -> Iterator[_Fit]:
        if each is spines[0]:
            yield _fit(spine, made, spine.time_ns, spans_ns)
            return
        parts: tuple[Series, ...] = (each,)
        if each.joining is Joining.HOLD:
            _refuse_unknown(each, spine.time_ns[spine.time_ns >= from_ns])
            parts = _held(filled(each, spine.time_ns, spans_ns, from_ns, until_ns)[0], spine)
        for part in parts:
            yield _fit(*filled(part, spine.time_ns, spans_ns, from_ns, until_ns), spine.time_ns, spans_ns)

    fits = [fit for each in series for fit in fitted(each)]
    for fit in fits:
        if fit.series is not spine:
            _refuse_lost_payments(fit)
    common = np.logical_and.reduce([fit.known for fit in fits])
    _refuse_disjoint(fits, common)
    inside = (spine.time_ns >= from_ns) & (spine.time_ns < until_ns)
    _refuse_short(spine, common, start, end)
    keep = common & inside
    if not keep.any():
        raise MarketError(f"no row between {start} and {end} is common to all series")
    columns: dict[str, Floats] = {}
    sources: dict[str, Source] = {}
    for fit in fits:
        for name in fit.series.columns:
            if name in columns:
                raise MarketError(f"column {name} comes from both {sources[name].file} and {fit.series.file}")
            columns[name] = _join(fit, name, spans_ns)[keep]
            sources[name] = _source(fit, keep)
    if without_funding:
        columns[FUNDING_RATE] = np.zeros(int(keep.sum()))
    priced = _price_by_pool(columns, sources)
    return Market(
        open_ns=spine.time_ns[keep],
        at_ns=(spine.time_ns + spans_ns - TICK_NS)[keep],
        columns=columns,
        sources=sources,
        coverage=tuple(each for fit in fits for each in _coverage(fit, inside, keep)),
        dropped_rows=tuple(utc(int(at)).isoformat() for at in spine.time_ns[inside & ~keep]),
        label="; ".join(
            [
                *filter(None, (label, *(each.note for each in series))),
                *(f"{token} is priced at its pool's rate" for token in priced),
            ]
        ),
    )


def _held(held: Series, spine: Series) -> tuple[Series, Series]:
    """A level that stays until its next sample, as samples at the open of every row: what it is then, and at the close.

    The two are series of their own, for a row may open on one sample and close on another.
    """
    opens = spine.time_ns
    at_open = held.time_ns.searchsorted(opens, side="right") - 1
    at_close = held.time_ns.searchsorted(opens + spine.spans_ns, side="left") - 1
    known = at_open >= 0
    at_open, at_close = at_open[known], at_close[known]
    if not known.any():
        first, last = utc(int(held.time_ns[0])).date(), utc(int(opens[-1])).date()
        raise MarketError(f"{held.file}: its first sample, on {first}, is after the last row of prices, on {last}")

    def part(at: str, sample: Ints) -> Series:
        return evolve(
            held,
            name=f"{held.name}, {at}",
            time_ns=opens[known],
            row=held.row[sample],
            columns={f"{name}_{at}": values[sample] for name, values in held.columns.items()},
            joining=Joining.LAST,
            parts=None,
            labels={f"{name}_{at}": held.labels.get(name, name) for name in held.columns},
        )

    return part("open", at_open), part("close", at_close)


def _price_by_pool(columns: dict[str, Floats], sources: dict[str, Source]) -> list[str]:
    """Add the prices of tokens of which only the pool's rate is known; returns the tokens."""
    tokens = [name.removesuffix("_rate_close") for name in columns if name.endswith("_rate_close")]
    priced = [token for token in tokens if f"{token}_close" not in columns]
    for token in priced:
        for at in ("open", "close"):
            columns[f"{token}_{at}"] = columns[f"{token}_rate_{at}"] * columns[at]
            sources[f"{token}_{at}"] = sources[f"{token}_rate_{at}"]
    return priced


def _fit(series: Series, made: NDArray[np.bool_], open_ns: Ints, spans_ns: Ints) -> _Fit:
    slot = np.searchsorted(open_ns, series.time_ns, side="right") - 1
    inside = (slot >= 0) & (series.time_ns < (open_ns + spans_ns)[slot])
    slot = np.where(inside, slot, -1)
    return _Fit(series, slot, np.bincount(slot[inside], minlength=len(open_ns)), made)


def _join(fit: _Fit, name: str, spans_ns: Ints) -> Floats:
    """The column on all rows of the table; rows without a sample hold 0, and levels are left out there later."""
    column = np.zeros(len(fit.count))
    inside = fit.slot >= 0
    if fit.series.joining in TOGETHER:
        np.add.at(column, fit.slot[inside], fit.series.columns[name][inside])
    else:
        column[fit.slot[inside]] = fit.series.columns[name][inside]
    if fit.series.joining is Joining.MEAN:
        column /= np.maximum(fit.count, 1)
    if fit.series.effective:
        years = spans_ns / NS_PER_YEAR
        column = ((1 + column) ** years - 1) / years
    return column


def _source(fit: _Fit, keep: NDArray[np.bool_]) -> Source:
    inside = np.flatnonzero(fit.slot >= 0)
    together = fit.series.joining in TOGETHER
    picked = np.zeros(len(fit.count), dtype=np.int64)
    given, made = inside[~fit.made[inside]], inside[fit.made[inside]]
    order = np.concatenate((made, given[::-1])) if together else inside
    picked[fit.slot[order]] = fit.series.row[order]
    rows = np.ones_like(fit.count)
    if together:
        rows = np.bincount(fit.slot[given], minlength=len(fit.count))
        if fit.series.fill is Fill.PREVIOUS:
            rows[fit.slot[made]] = np.maximum(rows[fit.slot[made]], 1)
    earlier, from_earlier = fit.series.earlier, None
    if earlier:
        at_ns = np.full(len(fit.count), earlier.until_ns)
        at_ns[fit.slot[order]] = fit.series.time_ns[order]
        from_earlier = at_ns[keep] < earlier.until_ns
    other = (earlier.file, earlier.digest) if earlier else None
    series = fit.series
    return Source(series.file, series.digest, picked[keep], rows[keep], other, from_earlier, series.lender)


def _coverage(fit: _Fit, inside: NDArray[np.bool_], keep: NDArray[np.bool_]) -> Iterator[Coverage]:
    """What became of the samples of each file behind a series."""
    series, earlier = fit.series, fit.series.earlier
    first = series.time_ns < earlier.until_ns if earlier else np.zeros(len(fit.slot), dtype=bool)
    for file, mine in (((earlier.file, first),) if earlier else ()) + ((series.file, ~first),):
        slot = fit.slot[mine & ~fit.made]
        count = np.bincount(slot[slot >= 0], minlength=len(fit.count))
        used, dropped, samples = int(count[keep].sum()), int(count[inside & ~keep].sum()), len(slot)
        yield Coverage(
            series=series.name,
            file=file,
            samples=samples,
            used=used,
            outside=samples - used - dropped,
            dropped=dropped,
            fill=series.fill,
            filled=int(fit.made[mine & (fit.slot >= 0)].sum()),
        )


def _refuse_unknown(held: Series, open_ns: Ints) -> None:
    """Refuse a level that holds, where a rule was named, and that is not known yet as the first row opens."""
    if held.fill is not Fill.DROP and len(open_ns) and open_ns[0] < held.time_ns[0] <= open_ns[-1]:
        first, row = utc(int(held.time_ns[0])).isoformat(), utc(int(open_ns[0])).isoformat()
        raise MarketError(
            f"{held.file}: its first sample, at {first}, is after the first row, {row}; expected one before, "
            f"or {held.settings.get(Fill.DROP, 'fill = drop')} (rows before it are left out)"
        )


def _refuse_lost_payments(fit: _Fit) -> None:
    """Refuse payments of which a row would take one for all, or repeat one, and rates that it would sum."""
    summed = fit.series.joining is Joining.SUM
    for name in fit.series.columns:
        wrong = fit.count > 1
        if name.endswith(FUNDING_RATE) and not summed:
            if fit.series.fill is Fill.PREVIOUS:
                wrong[fit.slot[fit.made & (fit.slot >= 0)]] = True
            expected = 'joining = "sum": they are payments'
        elif name.endswith("_apy") and summed:
            expected = 'joining = "mean" or "last": they are rates per year'
        else:
            continue
        if wrong.any():
            raise MarketError(
                f'{fit.series.file}, column {fit.series.label(name)}: joining = "{fit.series.joining}" with rows that '
                f"have not one sample each; expected {expected}"
            )


def _refuse_overlap(spine: Series) -> None:
    spans_ns = spine.spans_ns
    for index in np.flatnonzero(np.diff(spine.time_ns) < spans_ns[:-1])[:1]:
        raise MarketError(
            f"{spine.place(index + 1)}: opens before row {spine.row[index]} has closed; "
            f"expected rows {spans_ns[index] / 1e9:g} s apart or more"
        )


def _refuse_disjoint(fits: Sequence[_Fit], common: NDArray[np.bool_]) -> None:
    if common.any():
        return
    spans = "; ".join(
        f"{fit.series.file} {utc(int(fit.series.time_ns[0])).date()} to {utc(int(fit.series.time_ns[-1])).date()}"
        for fit in fits
    )
    raise MarketError(f"the series do not overlap, no row is common to all: {spans}")


def _refuse_short(spine: Series, common: NDArray[np.bool_], start: date, end: date) -> None:
    rows = spine.time_ns[common]
    first, last = utc(int(rows[0])).date(), utc(int(rows[-1])).date()
    if start < first:
        raise MarketError(f"market.start {start} is before {first}, the first row that all series have")
    if end > last:
        raise MarketError(f"market.end {end} is after {last}, the last row that all series have")
