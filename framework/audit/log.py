"""The checks of the log against the books: every event has its entry, every entry its event, both say the same."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from framework.accrual import GROWING
from framework.audit.findings import KEPT, Finding, Findings, entry
from framework.events import (
    Acted,
    ConditionMet,
    Deleveraged,
    Ended,
    IncidentBegan,
    IncidentEnded,
    Liquidated,
    MarginCalled,
    OrderFilled,
    Rejected,
    Started,
    TransferArrived,
    TransferFailed,
    TransferSent,
    Unstaked,
    VenueFailed,
    VenueHalted,
    VenueResumed,
)
from framework.ledger import RECORD, Records
from framework.market import Flags, Ints
from framework.money import USDC
from framework.run_folder.archive import UNKNOWN, Folder, among, ints
from framework.venue import BRIDGE_FEE, IN_TRANSIT

Values = NDArray[Any]

BOUNDS = frozenset(each.__name__ for each in (VenueHalted, VenueResumed, IncidentBegan, IncidentEnded))
"""Events with which incidents begin or end that move nothing."""
STRIKES = frozenset(each.__name__ for each in (VenueFailed, Deleveraged))
"""Events of incidents that move something, where there is anything."""
WITHOUT_ENTRY = BOUNDS | {each.__name__ for each in (ConditionMet, MarginCalled, Ended, Rejected)}
"""Events that move nothing themselves."""
WITH_ENTRY = frozenset(
    each.__name__ for each in (Started, OrderFilled, TransferSent, TransferArrived, TransferFailed, Unstaked)
)
"""Events that move something, as settlements do; acts of venues may or may not."""
ACTS = frozenset((Liquidated.__name__, Acted.__name__))
"""Acts of venues, unless a venue has an event of its own for them."""


def settled_by(folder: Folder) -> frozenset[str]:
    """The names of the events that settle a row of a stream."""
    return frozenset(each.event for each in folder.streams)


def matched(folder: Folder, columns: Sequence[str]) -> Iterator[tuple[pa.RecordBatch | None, Records, int]]:
    """Events in batches, each with the transfers up to its last id, and the number of the first of those.

    What is left of the transfers when the events have ended comes last, with None.
    """
    stream = folder.records()
    rest, first = np.empty(0, dtype=RECORD), 1
    for events in folder.batches("events", columns, ("kind", "asset")):
        last = events["event"][-1].as_py()
        while not (len(rest) and rest["event"][-1] > last):
            more = next(stream, None)
            if more is None:
                break
            rest = np.concatenate((rest, more))
        above = rest["event"] > last
        count = int(above.argmax()) if above.any() else len(rest)
        yield events, rest[:count], first
        first, rest = first + count, rest[count:]
    for more in (rest, *stream):
        if len(more):
            yield None, more, first
            first += len(more)


def event_log(folder: Folder) -> Findings:
    """Events are numbered from 1, time runs forward, and each cause is an event before its effect."""
    number, last_ns = 1, 0
    for batch in folder.batches("events", ("event", "at_ns", "cause")):
        ids, at_ns = batch["event"].to_numpy(), batch["at_ns"].to_numpy()
        for index in np.flatnonzero(ids != np.arange(number, number + len(ids)))[:1].tolist():
            yield Finding(f"event {ids[index]}", f"stands where event {number + index} should")
            return
        for index in np.flatnonzero(at_ns < np.concatenate(([last_ns], at_ns[:-1]))).tolist():
            yield Finding(f"event {ids[index]}", "is before the event above it")
        causes = batch["cause"].fill_null(0).to_numpy(zero_copy_only=False)
        for index in np.flatnonzero((causes < 0) | (causes >= ids)).tolist():
            yield Finding(f"event {ids[index]}", f"has event {causes[index]} as its cause, which is not before it")
        number, last_ns = number + len(ids), int(at_ns[-1])
    if number - 1 != folder.manifest.counts.events:
        yield Finding("events.parquet", f"{number - 1} events; expected {folder.manifest.counts.events}")


def bijection(folder: Folder) -> Findings:
    """Each event that moves something has one entry at its instant, each entry one event, a settlement one transfer."""
    for events, records, first in matched(folder, ("event", "at_ns", "kind")):
        if events is None:
            yield from (Finding(entry(first + index), "has no event") for index in range(min(len(records), 20)))
            continue
        ids, at_ns = events["event"].to_numpy(), events["at_ns"].to_numpy()
        slot, known = slots(ids, records)
        for index in np.flatnonzero(~known).tolist():
            yield Finding(entry(first + index), f"is of event {records['event'][index]}, which is not in the log here")
        slot, records_known = slot[known], records[known]
        for index in np.flatnonzero(records_known["at_ns"] != at_ns[slot]).tolist():
            seq = first + int(np.flatnonzero(known)[index])
            yield Finding(entry(seq), f"is at another instant than its event {records_known['event'][index]}")
        counts = np.bincount(slot, minlength=len(ids))
        kinds = events["kind"]
        settled = settled_by(folder)
        for wrong, words in (
            (among(kinds, WITH_ENTRY | settled) & (counts == 0), "has no entry"),
            (among(kinds, WITHOUT_ENTRY) & (counts > 0), "has an entry and moves nothing"),
            (among(kinds, settled) & (counts > 1), "has more than one transfer"),
        ):
            for index in np.flatnonzero(wrong).tolist():
                yield Finding(f"event {ids[index]}", f"{kinds[index].as_py()} {words}")


def kinds(folder: Folder) -> Findings:
    """Settlements move what their streams declare, and no other kind of transfer does; each kind keeps to one bucket.

    A transfer of a venue that touches income or expenses is of a kind that goes through accounts of one bucket, which
    is the stream's for the kind of a stream, and of a stream's kind where it touches the account of a stream.
    """
    gains = _gaining(folder)
    kept: dict[int, set[int]] = defaultdict(set)
    usual: dict[tuple[str, int], str] = {}
    codes = {kind: code for code, kind in enumerate(folder.kinds)}
    for stream in folder.streams:
        for side in (stream.debit, stream.credit):
            if gains[side]:
                code = codes.get(stream.kind, UNKNOWN)
                kept[side].add(code)
                usual.setdefault((stream.venue, code), str(folder.accounts[side].bucket))
    used: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    places: dict[tuple[str, int, str], list[int]] = defaultdict(list)
    for events, records, first in matched(folder, ("event", "kind", "venue")):
        if events is None:
            continue
        slot, known = slots(events["event"].to_numpy(), records)
        settled = among(events["kind"], settled_by(folder))[slot] & known
        strange = settled & (_stream_of(folder, events, slot, records) < 0)
        for account, allowed in kept.items():
            touches = (records["debit"] == account) | (records["credit"] == account)
            strange |= touches & ~np.isin(records["kind"], list(allowed))
        for index in np.flatnonzero(strange & charted(folder, records)).tolist():
            yield _not_of_its_kind(folder, records, index, first)
        profit = np.where(gains[np.minimum(records["debit"], len(gains) - 1)], records["debit"], records["credit"])
        ordered = ~settled & known & ~strange & charted(folder, records)
        ordered &= gains[np.minimum(profit, len(gains) - 1)]
        venues = (
            events["venue"].dictionary_encode() if not pa.types.is_dictionary(events["venue"].type) else events["venue"]
        )
        of_venue = ints(venues.indices)[slot]
        for venue, kind, account in {
            *zip(of_venue[ordered].tolist(), records["kind"][ordered].tolist(), profit[ordered].tolist(), strict=True)
        }:
            mine = np.flatnonzero(ordered & (of_venue == venue) & (records["kind"] == kind) & (profit == account))
            name = venues.dictionary[venue].as_py() if venue >= 0 else ""
            bucket = str(folder.accounts[account].bucket)
            used[name, kind][bucket] += len(mine)
            places[name, kind, bucket] += (first + mine[:KEPT]).tolist()
    for (venue, kind), buckets in used.items():
        right = usual.get((venue, kind)) or buckets.most_common(1)[0][0]
        for bucket in sorted(buckets.keys() - {right}):
            for seq in places[venue, kind, bucket]:
                words = f"is of kind {folder.kinds[kind]}, which {venue or 'the wallet'} otherwise books under"
                yield Finding(entry(seq), f"{words} {right}, and not {bucket}")


def _gaining(folder: Folder) -> Flags:
    """Which accounts of the chart are income or expenses."""
    return np.array([each.name.startswith(("Income:", "Expenses:")) for each in folder.accounts], dtype=bool)


def charted(folder: Folder, records: Records) -> Flags:
    """The transfers whose accounts and kind the chart has; `transfers` finds the others."""
    count = len(folder.accounts)
    known: Flags = (records["debit"] < count) & (records["credit"] < count) & (records["kind"] < len(folder.kinds))
    return known


def _not_of_its_kind(folder: Folder, records: Records, index: int, first: int) -> Finding:
    accounts = " from ".join(folder.accounts[int(records[side][index])].name for side in ("debit", "credit"))
    kind = folder.kinds[int(records["kind"][index])]
    return Finding(entry(first + index), f"is of kind {kind}, which {accounts} cannot be")


def slots(ids: Ints, records: Records) -> tuple[Ints, Flags]:
    """The place of each transfer's event among these ids of events, and whether it is there."""
    if not len(ids):
        return np.zeros(len(records), dtype=np.int64), np.zeros(len(records), dtype=bool)
    slot = np.minimum(np.searchsorted(ids, records["event"]), len(ids) - 1)
    return slot, ids[slot] == records["event"]


def between(records: Records, debit: int, credit: int, kind: int) -> Flags:
    """The transfers of a kind between two accounts, whichever way."""
    there = (records["debit"] == debit) & (records["credit"] == credit)
    back = (records["debit"] == credit) & (records["credit"] == debit)
    return (there | back) & (records["kind"] == kind)  # type: ignore[no-any-return]


def _stream_of(folder: Folder, events: pa.RecordBatch, slot: Ints, records: Records) -> Ints:
    """The place of the stream that each transfer settles, by venue, event, kind and accounts; -1 for none."""
    found = np.full(len(records), -1, dtype=np.int64)
    codes = {kind: code for code, kind in enumerate(folder.kinds)}
    for place, each in enumerate(folder.streams):
        of_event = among(events["kind"], (each.event,)) & among(events["venue"], (each.venue,))
        mine = of_event[slot] & between(records, each.debit, each.credit, codes.get(each.kind, UNKNOWN))
        found[mine & (found < 0)] = place
    return found


def settlements(folder: Folder) -> Findings:
    """A settlement's transfer has its event's amount, and is what rate, size and price make but for the rounding.

    The basis of the declared stream says whether the price counts, and the sign of its share which way it runs.
    """
    names = ("event", "kind", "venue", "rate", "price", "size", "amount", "asset")
    streams, scales = folder.streams, {asset.code: asset.scale for asset in folder.assets}
    for events, records, first in matched(folder, names):
        if events is None:
            continue
        slot, known = slots(events["event"].to_numpy(), records)
        of = np.where(known, _stream_of(folder, events, slot, records), -1)
        rate, price, size, said = (
            events[name].to_numpy(zero_copy_only=False) for name in ("rate", "price", "size", "amount")
        )
        for place in np.unique(of[of >= 0]).tolist():
            each, mine = streams[place], np.flatnonzero(of == place)
            events_of = slot[mine]
            moved = np.where(records["debit"][mine] == each.debit, 1.0, -1.0) * records["amount"][mine]
            told = said[events_of] * (-1.0 if folder.accounts[each.debit].name.startswith("Expenses:") else 1.0)
            for index in np.flatnonzero(told != moved).tolist():
                number = records["event"][mine[index]]
                words = f"moves {moved[index]:.0f}, its event {number} says {told[index]:.0f}"
                yield Finding(entry(first + int(mine[index])), words)
            paid = folder.accounts[each.debit].asset
            unit = 1.0 if each.basis in (*GROWING, "simple") else paid.scale / scales.get(each.asset, paid.scale)
            exact = rate[events_of] * size[events_of] * unit * (-1.0 if each.share < 0 else 1.0)
            if each.basis == "payment":
                exact = exact * price[events_of]
            off = ~(np.abs(told - exact) <= 1.0 + 1e-9 * np.abs(exact))
            for index in np.flatnonzero(off).tolist():
                made = "rate x size x price" if each.basis == "payment" else "rate x size"
                words = f"moves {told[index]:.0f}; {made} are {exact[index]:.3f} atomic units"
                yield Finding(entry(first + int(mine[index])), words)


FILLS = frozenset(
    each.__name__ for each in (OrderFilled, TransferSent, TransferArrived, TransferFailed, Liquidated, Acted)
)
"""Events that say what their entry cost and moved."""
FILL_COLUMNS = ("event", "kind", "order", "amount", "fee", "size", "penalty", "bad_debt")
PASSAGES = ("deposit", "withdrawal")
"""Orders that are money on its way, as `TransferSent` and `TransferArrived` are: their fee is the passage's."""


def fills(folder: Folder) -> Findings:
    """What an order, a transfer or an act says that it cost, moved and took is what its entry moved.

    Fees, penalties and bad debts are what goes through accounts of those buckets.
    """
    for events, records, first in matched(folder, FILL_COLUMNS):
        if events is None:
            continue
        for index in np.flatnonzero(among(events["kind"], FILLS)).tolist():
            event = {name: events[name][index].as_py() for name in FILL_COLUMNS}
            low, high = np.searchsorted(records["event"], (event["event"], event["event"] + 1))
            mine = records[low:high]
            mine = mine[charted(folder, mine)]
            for name, moved in _moved(folder, event, mine):
                if event[name] is not None and moved != abs(event[name]):
                    words = f"its {name} is {moved}, its event {event['event']} says {event[name]}"
                    yield Finding(entry(first + int(low)), words.replace("_", " "))


def _moved(folder: Folder, event: Mapping[str, object], mine: Records) -> Iterator[tuple[str, int]]:
    """Fees, losses, and amount and size where they are what transfers move, of one entry, by their names."""
    lines = [
        (folder.accounts[debit], folder.accounts[credit], amount, folder.kinds[kind])
        for _, _, amount, kind, debit, credit, _ in mine.tolist()
    ]
    through = [(debit, amount) for debit, credit, amount, _ in lines if IN_TRANSIT.name in (debit.name, credit.name)]
    if "Transfer" in str(event["kind"]) or event["order"] in PASSAGES:
        yield "fee", sum(amount for debit, _, amount, _ in lines if debit.name == BRIDGE_FEE.name)
        if through:
            yield "amount", abs(sum(amount if debit.name == IN_TRANSIT.name else -amount for debit, amount in through))
        elif event["order"]:
            yield "amount", sum(amount for _, _, amount, kind in lines if kind == event["order"])
        return
    paid = [(debit.asset, amount) for debit, _, amount, _ in lines if debit.bucket == "fees"]
    if all(asset == USDC for asset, _ in paid):
        yield "fee", sum(amount for _, amount in paid)
    penalty = sum(amount for debit, _, amount, _ in lines if debit.bucket == "liquidation_penalty")
    if event["kind"] == Liquidated.__name__:
        yield "penalty", penalty
        yield "bad_debt", sum(amount for _, credit, amount, _ in lines if credit.bucket == "bad_debt")
        return
    if event["order"] == "penalty":
        yield "amount", penalty
        return
    money = [amount for debit, _, amount, kind in lines if kind == "trade" and debit.asset == USDC]
    if money:
        yield "amount", sum(money)
    pieces = [amount for debit, _, amount, kind in lines if kind in ("trade", "transfer") and debit.asset != USDC]
    if len(pieces) == 1:
        yield "size", pieces[0]


def transit(folder: Folder) -> Findings:
    """What is in transit at the end is what was sent and has neither arrived nor returned."""
    sent: dict[int, int] = {}
    names = [each.__name__ for each in (TransferSent, TransferArrived, TransferFailed, VenueFailed)]
    for event in folder.events(names, ("event", "kind", "cause", "amount")):
        if event["kind"] in (TransferSent.__name__, VenueFailed.__name__):
            sent[event["event"]] = event["amount"]
        elif sent.pop(event["cause"], None) is None:
            yield Finding(f"event {event['event']}", "has arrived and was never sent")
    for account, balance in zip(folder.accounts, folder.manifest.ledger.balances, strict=False):
        if account.name == IN_TRANSIT.name and balance != sum(sent.values()):
            yield Finding(f"account {account.name}", f"holds {balance}; {sum(sent.values())} have not arrived")
