"""Thorough check of what settlements say, at venues of any class: rate, price and size against rows and books."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from framework.archive import among
from framework.assembly import Assembly
from framework.market import Flags, Floats, Ints, Market, Source
from framework.saved.audit.events import SETTLED
from framework.saved.audit.finding import Finding, Findings
from framework.saved.audit.history import History
from framework.venue import account_part

AS_THEY_STAND = ("FundingSettled", "InterestAccrued")
"""Settlements whose rate stands in the market, per row or per year; others take a step of a level or a rule's rate."""
NAMES = (
    "event", "venue", "kind", "asset", "row", "size", "rate", "rate_source", "rate_source_row", "rate_source_rows",
    "price", "price_source", "price_source_row",
)  # fmt: skip


def rates(assembly: Assembly, history: History) -> Findings:
    """Each settlement's rate and price stand in the rows that it names, and funding is on the position in the books."""
    for batch in history.folder.batches("events", NAMES, ("kind",)):
        settled = batch.filter(pa.array(among(batch["kind"], SETTLED)))
        if len(settled):
            ids = settled["event"].to_numpy()
            for wrong, words in (*_cells(settled, assembly.market), *_sizes(settled, assembly, history)):
                for index in np.flatnonzero(wrong).tolist():
                    yield Finding(history.event(int(ids[index])), words)


def _cells(events: pa.RecordBatch, market: Market) -> Iterator[tuple[Flags, str]]:
    """The events whose rate or price is not that of a column of the market with the rows that they name."""
    row = np.clip(events["row"].to_numpy(), 0, len(market) - 1)
    as_it_stands = among(events["kind"], AS_THEY_STAND)
    for name in ("rate", "price"):
        said, file = events[name].to_numpy(), np.array(events[f"{name}_source"].to_pylist(), dtype=object)
        named = file != np.array(None)
        first = _ints(events[f"{name}_source_row"])
        count = _ints(events["rate_source_rows"]) if name == "rate" else None
        found = ~named
        for column, source in market.sources.items():
            there = (file == _files(source, row)) & (first == source.first_row[row])
            if count is not None:
                there &= count == source.rows[row]
            found |= there & (~as_it_stands | _is(said, market[column][row], market.years[row], name))
        yield ~found, f"its {name} is not what stands in the rows that it names"


def _is(said: Floats, cell: Floats, years: Floats, name: str) -> Flags:
    """Whether what is said is the cell; a rate may be a yearly one for the time of the row."""
    same: Flags = (said == cell) | ((name == "rate") & (said == cell * years))
    return same


def _files(source: Source, row: Ints) -> NDArray[np.object_]:
    """The file behind a column in these rows."""
    if not source.earlier:
        return np.full(len(row), source.file, dtype=object)
    return np.where(row < source.since, source.earlier[0], source.file).astype(object)


def _sizes(events: pa.RecordBatch, assembly: Assembly, history: History) -> Iterator[tuple[Flags, str]]:
    """The events of funding whose size is not the position that their venue had in the books before the row."""
    row = np.clip(events["row"].to_numpy(), 0, len(history.market) - 1)
    size, asset = events["size"].to_numpy(), events["asset"]
    for venue in assembly.venues:
        at_venue = among(events["venue"], (venue.name,)) & among(events["kind"], ("FundingSettled",))
        for code in sorted(set(asset.filter(pa.array(at_venue)).to_pylist())):
            mine = at_venue & among(asset, (code,))
            held = [each for each in history.folder.accounts if each.asset.code == code]
            held = [each for each in held if each.name.startswith(f"Assets:{account_part(venue.name)}:")]
            before = sum((history.before(each) for each in held), np.zeros(len(history.market), dtype=np.int64))
            yield mine & (size != before[row]), f"is on a size that {venue.name} does not have in the books before it"


def _ints(column: pa.Array) -> Ints:
    filled: Ints = column.fill_null(-1).to_numpy(zero_copy_only=False)
    return filled
