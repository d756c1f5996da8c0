"""Inspection of data before anything trusts them: what a series of the store, or any file of samples, has wrong."""

from collections.abc import Iterator

import numpy as np

from framework.data.plausibility import Level, doubts
from framework.data.premiums import unexplained
from framework.data.rows import LETTERS, Finding, Rows
from framework.market import PRICES, Measure


def findings(samples: Rows) -> Iterator[Finding]:
    """Everything that is wrong with the samples, check by check."""
    yield from samples.found
    yield from _order(samples)
    for hole in samples.holes():
        yield Finding("gap", f"{samples.name}: {hole}")
    told = {finding.words.partition(": ")[0] for finding in samples.found}
    for name, values in samples.columns.items():
        for index in np.flatnonzero(~np.isfinite(values)).tolist():
            place = f"{samples.place(index)}, column {name}"
            if place not in told:
                yield Finding("not finite", f"{place}: {values[index]}")
    yield from _implausible(samples)
    yield from _candles(samples)
    yield from _premiums(samples)
    if samples.late is not None:
        for index in np.flatnonzero(samples.late).tolist():
            yield Finding(
                "late", f"{samples.place(index)}: {samples.late[index] / 1e9:g} s beyond what its source allows"
            )
    if samples.untold is not None:
        for index in samples.untold[:1].tolist():
            words = f"{len(samples.untold)} samples of which no request is on record"
            yield Finding("provenance", f"{samples.place(index)}: the first of {words}", Level.WARNING)


def _implausible(samples: Rows) -> Iterator[Finding]:
    """Values that their column cannot have, or only seldom has."""
    order = np.argsort(samples.time_ns, kind="stable")
    columns = {name: values[order] for name, values in samples.columns.items()}
    measures = dict(samples.measures)
    if not set(PRICES) <= columns.keys() and set(LETTERS.values()) <= columns.keys():
        columns |= {price: columns.pop(letter) for price, letter in LETTERS.items()}
        measures |= dict.fromkeys(PRICES, Measure.PRICE)
    for doubt in doubts(samples.time_ns[order], columns, measures, samples.step_ns):
        column = f"column {doubt.column}"
        place = column if doubt.index is None else f"{samples.place(int(order[doubt.index]))}, {column}"
        yield Finding(doubt.check, f"{place}: {doubt.words}", doubt.level)


def _order(samples: Rows) -> Iterator[Finding]:
    steps = np.diff(samples.time_ns)
    if len(steps) and (steps <= 0).all() and (steps < 0).any():
        level = Level.WARNING if samples.newest_first else Level.ERROR
        yield Finding("order", f"{samples.name}: newest first; expected time order", level)
    else:
        for index in np.flatnonzero(steps < 0).tolist():
            yield Finding("order", f"{samples.place(index + 1)}: earlier than row {samples.row[index]}")
    order = np.argsort(samples.time_ns, kind="stable")
    for index in np.flatnonzero(np.diff(samples.time_ns[order]) == 0).tolist():
        here, before = int(order[index + 1]), int(order[index])
        yield Finding("duplicate", f"{samples.place(here)}: the same time as row {samples.row[before]}")


def _candles(samples: Rows) -> Iterator[Finding]:
    for names in (PRICES, tuple(LETTERS.values())):
        if set(names) <= samples.columns.keys():
            opened, high, low, close = (samples.columns[name] for name in names)
            wrong = (low > np.minimum(opened, close)) | (high < np.maximum(opened, close))
            for index in np.flatnonzero(wrong).tolist():
                yield Finding("price", f"{samples.place(index)}: open or close is not within low and high")


def _premiums(samples: Rows) -> Iterator[Finding]:
    """Rates of Hyperliquid that do not follow from the premiums beside them."""
    columns = samples.columns
    rate = columns.get("fundingRate", columns.get("funding_rate"))
    if rate is not None and "premium" in columns and samples.hyperliquid:
        for index, words in unexplained(samples.time_ns, rate, columns["premium"]):
            yield Finding("premium", f"{samples.place(index)}: {words}")
