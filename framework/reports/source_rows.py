"""Rows of a file or a stored series that a run was made from, as they stand there: where an explanation ends."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from framework.assembly import stored_series
from framework.data.drawn_paths import NAMED
from framework.data.embedded import EMBEDDED
from framework.data.raw import Raw
from framework.data.rows import cells_of
from framework.data.store import Store
from framework.errors import RunError
from framework.market import utc
from framework.run_folder.archive import Folder
from framework.support.suggestions import suggestion

PLACE = re.compile(r"(?P<source>.+):(?P<first>\d{1,12})(-(?P<last>\d{1,12}))?")
"""How an explanation names rows: `sol_daily.csv:17`, `funding.json:5-28` or `own:ETH:1h:17`."""


@frozen(kw_only=True)
class SourceRows:
    """Some rows of a source: `path` is its file, `rows` their numbers, and `cells` their texts by column."""

    source: str
    path: Path
    rows: tuple[int, ...]
    cells: dict[str, tuple[str, ...]]


def is_place(text: str) -> bool:
    """Whether a text names rows of a source, such as `sol_daily.csv:17`."""
    return PLACE.fullmatch(text) is not None


def source_rows(folder: Folder, place: str) -> SourceRows:
    """The rows that a place names; raises `RunError` where the run has no such source, or it is not there any more."""
    found = PLACE.fullmatch(place)
    if found is None:
        raise RunError(f"{place!r} names no row; expected FILE:ROW, such as sol_daily.csv:17")
    source, first = found["source"], int(found["first"])
    last = int(found["last"] or first)
    known = folder.manifest.inputs
    if not known:
        raise RunError(f"{source!r} is no source of this run; its market was made in memory and has none")
    if source not in known:
        raise RunError(f"{source!r} is no source of this run; {suggestion(source, known)}")
    if last < first:
        raise RunError(f"{place}: the last row is above the first; expected {source}:{last}-{first}")
    for path, numbers, columns in _tables(folder, source):
        chosen = [index for index, row in enumerate(numbers) if first <= row <= last]
        if not chosen or last > numbers[-1]:
            raise RunError(f"{source} has no row {place.rpartition(':')[2]}; expected {numbers[0]} to {numbers[-1]}")
        cells = {name: tuple(column[index] for index in chosen) for name, column in columns.items()}
        return SourceRows(source=source, path=path, rows=tuple(numbers[index] for index in chosen), cells=cells)
    raise RunError(
        f"{source}: not where the run read it, or changed since; expected it there with the digest {known[source]}"
    )


Table = tuple[Path, list[int], dict[str, list[str]]]
"""A file, the numbers of its rows, and its cells by column."""


def _tables(folder: Folder, source: str) -> Iterator[Table]:
    """The source, if it is still there as the run read it; of a drawn path, what its returns are of."""
    market = folder.scenario.market
    digest = folder.manifest.inputs[source]
    source = source.removeprefix(NAMED)
    for key, spec in market.stored.items():
        if spec.series == source and Store.default().has(source):
            series = stored_series(key, spec, market)
            if series.digest == digest:
                times = [utc(at_ns).isoformat() for at_ns in series.time_ns.tolist()]
                values = {series.labels.get(name, name): each for name, each in series.columns.items()}
                columns = {name: list(map(repr, each.tolist())) for name, each in values.items()}
                yield Store.default().path(source), series.row.tolist(), {"time": times, **columns}
    embedded = [EMBEDDED[market.embedded].path] if market.embedded in EMBEDDED else []
    for path in (*embedded, *((folder.data / each for each in market.files) if folder.data else ())):
        if path.name == source and path.is_file():
            raw = Raw.read(path)
            if raw.digest == digest:
                cells, rows, _ = cells_of(raw, is_csv=not raw.content.lstrip().startswith((b"[", b"{")))
                texts = {name: [_text(each) for each in column] for name, column in cells.items()}
                yield path, rows.tolist(), texts


def _text(cell: object) -> str:
    return cell if isinstance(cell, str) else json.dumps(cell)
