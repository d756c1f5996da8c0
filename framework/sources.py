"""The market of a scenario: from files in a directory, from series of the store, or from the embedded data set."""

from pathlib import Path

import numpy as np
from attrs import evolve

from framework.clock import INTERVALS_NS, NS_PER_DAY, NS_PER_SECOND, midnight_ns
from framework.data.alignment import FUNDING_RATE, align
from framework.data.embedded import EMBEDDED, NO_FUNDING
from framework.data.gaps import usual_step
from framework.data.plausibility import Level, doubts, measure_of_column
from framework.data.raw import Raw
from framework.data.readers import READERS, options_of
from framework.data.samples import Kind
from framework.data.series import Fill, Joining, Series, spliced
from framework.data.store import Store
from framework.errors import MarketError, ScenarioError
from framework.market import PRICES, Market
from framework.scenario import MarketSpec, SourceSpec, StoredSpec

EXAMPLE_SERIES = "hyperliquid:SOL:1h"


def load_market(spec: MarketSpec, data: Path | None) -> Market:
    """The market of a scenario: the series that it names in the store and the sources in a directory, or the embedded.

    The embedded data set is read where there is neither.
    """
    if spec.stored:
        Store.default().require([each.series for each in spec.stored.values()], spec.start, spec.end)
    stored = [_stored(key, each, spec) for key, each in spec.stored.items()]
    if data is None and not stored:
        if spec.embedded is None:
            named = [each for source in spec.sources.values() for each in (source, source.before) if each]
            files = ", ".join(dict.fromkeys(each.file for each in named))
            needed = f"--data DIR with {files}" if files else "a data directory to read the sources from"
            raise ScenarioError(f"market.embedded: none; expected {needed}")
        if spec.embedded not in EMBEDDED:
            raise ScenarioError(
                f"market.embedded: unknown data set {spec.embedded!r}; expected one of {', '.join(EMBEDDED)}"
            )
        embedded = EMBEDDED[spec.embedded]
        chosen = spec.funding if isinstance(spec.funding, str) else None
        return align([embedded.series(chosen)], start=spec.start, end=spec.end, label=embedded.label)
    if data is None and spec.prices is None:
        raise ScenarioError(f"market.prices: missing; expected a series of the store such as {EXAMPLE_SERIES}")
    series = [_judged(each, spec) for each in stored + (_files(spec, data) if data else [])]
    return align(series, start=spec.start, end=spec.end, without_funding=spec.funding == NO_FUNDING)


def _judged(series: Series, market: MarketSpec) -> Series:
    """The series with a note on what is implausible in it on the days of the market, for the top of every report."""
    rows = slice(*series.time_ns.searchsorted((midnight_ns(market.start), midnight_ns(market.end) + NS_PER_DAY)))
    times = series.time_ns[rows]
    columns = {name: values[rows] for name, values in series.columns.items()}
    measures = {name: measure_of_column(name) for name in columns}
    step_ns = series.span_ns or series.every_ns or usual_step(np.unique(times))
    found = list(doubts(times, columns, measures, step_ns)) if len(times) else []
    if not found:
        return series
    first = min(found, key=lambda doubt: list(Level).index(doubt.level))
    place = series.file if first.index is None else series.place(rows.start + first.index)
    column = series.label(first.column or "")
    count = f"; the first of {len(found)} findings" if len(found) > 1 else ""
    note = f"IMPLAUSIBLE DATA ({first.level}): {place}, column {column}: {first.words}{count}"
    return evolve(series, note="; ".join(filter(None, (series.note, note))))


def _files(spec: MarketSpec, data: Path) -> list[Series]:
    """The series of the sources in a directory."""
    if not data.is_dir():
        raise MarketError(f"{data}: no such directory; expected one with the files of market.sources")
    if not spec.sources and not spec.stored:
        raise ScenarioError("market.sources: none; expected at least a source of prices")
    series = [_read(f"market.sources.{key}", source, data) for key, source in spec.sources.items()]
    if isinstance(spec.funding, str) and spec.funding != NO_FUNDING:
        series.append(_read_funding(spec, spec.funding, data))
    return series


def _stored(key: str, stored: StoredSpec, market: MarketSpec) -> Series:
    """A series of the store as a scenario names it, under the columns of the market that it becomes."""
    store = Store.default()
    kind = store.kind(stored.series)
    group, _, name = key.partition(".")
    if group == "prices":
        if kind.span_ns is None:
            raise ScenarioError(
                f"market.{key}: {stored.series} has no rows of prices; expected one such as {EXAMPLE_SERIES}"
            )
        columns = {price: price for price in PRICES}
    else:
        column = f"{name}_{FUNDING_RATE}" if group == "funding" else name
        columns = {column: _column(key, column, stored, kind)}
    series = store.series(
        stored.series,
        start_ns=midnight_ns(market.start),
        end_ns=midnight_ns(market.end) + NS_PER_DAY,
        columns=columns,
        rows=group == "prices",
        joining=Joining(stored.joining) if stored.joining else None,
        fill=Fill(stored.fill),
        lag_ns=None if stored.lag_s is None else round(stored.lag_s * NS_PER_SECOND),
        effective=stored.rates == "effective",
    )
    said = {rule: f'market.{key} = {{ series = "{stored.series}", fill = "{rule}" }}' for rule in Fill}
    return evolve(series, settings=said)


def _column(key: str, column: str, stored: StoredSpec, kind: Kind) -> str:
    """The stored column for a market's: the one that is named, or the one with which the market's name ends."""
    wanted = stored.column
    fitting = [name for name in kind.units if name == wanted or (wanted is None and column.endswith(name))]
    if len(kind.units) == 1 and wanted is None:
        fitting = list(kind.units)
    if len(fitting) != 1:
        raise ScenarioError(
            f"market.{key}.column: {stored.column or column!r} fits no one column of {stored.series}; "
            f"expected one of {', '.join(kind.units)}"
        )
    return fitting[0]


def _read_funding(spec: MarketSpec, name: str, data: Path) -> Series:
    """The funding that the scenario chose among its sources, as the column `funding_rate`."""
    if name not in spec.funding_sources:
        known = ", ".join([NO_FUNDING, *spec.funding_sources])
        raise ScenarioError(f"market.funding: unknown source {name!r}; expected one of {known}")
    series = _read(f"market.funding_sources.{name}", spec.funding_sources[name], data)
    if len(series.columns) != 1:
        raise ScenarioError(f"market.funding_sources.{name}: {len(series.columns)} columns; expected one of rates")
    (column,) = series.columns
    return evolve(
        series,
        columns={FUNDING_RATE: series.columns[column]},
        labels={FUNDING_RATE: series.labels.get(column, column)},
    )


def _read(key: str, source: SourceSpec, data: Path) -> Series:
    reader = READERS.get(source.reader)
    if reader is None:
        raise ScenarioError(f"{key}.reader: unknown reader {source.reader!r}; expected one of {', '.join(READERS)}")
    options = {name: value for name, value in source.options().items() if value is not None}
    for name in options:
        if name not in options_of(source.reader):
            fitting = ", ".join(each for each in READERS if name in options_of(each))
            raise ScenarioError(f"{key}.{name}: reader {source.reader!r} takes no {name}; expected one of {fitting}")
    series = reader(Raw.read(data / source.file), **options)
    if source.before:
        coin = source.coin if "coin" in options_of(source.before.reader) else None
        earlier = SourceSpec(reader=source.before.reader, file=source.before.file, coin=coin)
        series = spliced(_read(f"{key}.before", earlier, data), series)
    fill, every_ns, changing = Fill(source.fill or Fill.REFUSE), series.every_ns, series.changing
    if source.every:
        every_ns = INTERVALS_NS[source.every]
    elif every_ns is None and fill is Fill.REFUSE and series.joining is Joining.SUM:
        every_ns, changing = usual_step(np.unique(series.time_ns)), True
    said = {rule: f'{key}.fill = "{rule}"' for rule in Fill}
    if changing and (every := next((name for name, span_ns in INTERVALS_NS.items() if span_ns == every_ns), None)):
        said |= {rule: f'{said[rule]} with {key}.every = "{every}"' for rule in (Fill.PREVIOUS, Fill.ZERO)}
    note = "; ".join(filter(None, (source.note, series.note)))
    return evolve(series, fill=fill, every_ns=every_ns, changing=changing, settings=said, note=note)
