"""The audit: checks of a run's folder as plain functions in a tuple; findings are collected, each names its place.

The first checks need the folder alone and read it in batches: files and books, the log against the books, what the run
says that it is worth. The thorough ones read the market and the scenario as well, and recompute the run from what its
venues declare: accruals from market rows and balances in exact integers, formulas in exact fractions and as arrays, and
orders and acts by executing each again on the books as they stood. No venue, account or field is known by its name
here: a venue of a user's own is audited like those that come with the project.

A check is the function of its name, whose docstring says what must hold. By group:

- the folder: `files`, `name`, `tables`, `chain`;
- the books by themselves: `transfers`, `trial_balance`, `balances`, `rolled_forward`, `floors`, `time_order`;
- the log against the books: `event_log`, `bijection`, `kinds`, `settlements`, `fills`, `transit`;
- what the run is worth: `waterfall`, `summary`, `end`;
- the market and the scenario, thorough: `again_inputs`, `again_market`, `again_run`;
- what was declared against the books, thorough: `accounts`, `rates`, `accruals`, `orders`, `acts`, `incidents`,
  `states`.

`audit` makes them all, in the order of `CHECKS` and `THOROUGH`. What the thorough ones share: `History` is the ledger
laid on the rows of the market, `Exact` an accrual in integers, `Reading` the formulas of a venue on the folder's
balances, and `Replayed` the orders and acts, executed again.
"""

import hashlib
import json
import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cached_property, partial
from itertools import islice, pairwise, product, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from attrs import fields, frozen
from numpy.typing import NDArray

from framework.accrual import GROWING, Accrual, Computed, column_of
from framework.assembly import Assembly, assemble, named_modules
from framework.books import DEFAULTS, ROLES, Books, Entry, Standing
from framework.clock import NS_PER_YEAR, Clock, Phase, midnight_ns
from framework.errors import CarrybookError, RunError
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
from framework.formulas import behind, leaves, program
from framework.ledger import BLOCK, RECORD, Records, links
from framework.market import TICK_NS, Flags, Floats, Ints, Market, Source, utc
from framework.money import USDC, Account, Asset
from framework.orders import Order
from framework.performance import COSTS, FIGURES, summarize
from framework.rulebook.incidents import Incidents
from framework.rulebook.row_path import WAYS, Corner, Point
from framework.rulebook.rules import value_at
from framework.run import Run
from framework.run_folder.archive import UNKNOWN, Folder, among, ints, roll_forward, save
from framework.run_folder.manifest import DIGEST
from framework.run_folder.tables import EVENT_COLUMNS, NAMES, ROLL_COLUMNS
from framework.scenario import import_from
from framework.simulation import FINISH, Execution
from framework.support.source_code import own_modules
from framework.valuation import Waterfall, Worth, decimal, fees_of, waterfall_of
from framework.venue import (
    BRIDGE_FEE,
    CAPITAL,
    CASH,
    IN_TRANSIT,
    WALLET,
    Act,
    Dated,
    PriceOf,
    Segment,
    Venue,
    failure_accounts,
    loss_account,
)


@frozen
class Finding:
    """Something that is not as it must be; `place` names an entry, an event, a row, an account or a file."""

    place: str
    words: str


Findings = Iterator[Finding]
Check = Callable[[Folder], Findings]
"""A check reads a folder and yields what it finds, in the order of the books; its docstring says what must hold."""


@frozen
class Result:
    """What one check found: the first findings, and how many there were."""

    check: str
    holds: str
    """What must hold, in one sentence."""
    findings: tuple[Finding, ...] = ()
    count: int = 0
    not_made: str = ""
    """Why the check could not be made, or not to its end: a file that it needs is missing or cannot be read."""

    @property
    def outcome(self) -> str:
        """`failed` where anything was found, else `not made` where it was not made to its end, else `passed`."""
        if self.count:
            return "failed"
        return "not made" if self.not_made else "passed"

    @property
    def passed(self) -> bool:
        """Whether the check was made to its end and found nothing."""
        return self.outcome == "passed"


def entry(seq: int) -> str:
    """The place of a transfer, by its number."""
    return f"entry {seq}"


# The books by themselves: files, chain, transfers, balances and time.

FILES = (
    "balances.parquet", "equity.parquet", "events.parquet", "ledger.parquet", "market.parquet",
    "scenario.toml", "summary.json",
)  # fmt: skip
"""What lies in a run's folder beside its manifest."""


def files(folder: Folder) -> Findings:
    """Every file is there and is the one that the manifest names by its digest."""
    known = folder.manifest.files
    for name in FILES:
        if name not in known:
            yield Finding(name, "has no digest in manifest.json; expected one of each file")
    for name, digest in known.items():
        path = folder.path / name
        if not path.is_file():
            yield Finding(name, "missing; expected the file as it was saved")
        elif _digest(path) != digest:
            yield Finding(name, "changed since it was saved")


def name(folder: Folder) -> Findings:
    """The folder has the name of its run, which is made of the digests of all that went into it."""
    made = folder.manifest.name()
    if folder.name != made:
        yield Finding("manifest.json, run", f"is not the name of what its manifest says went in, {made}")
    if DIGEST.fullmatch(folder.path.name) and folder.path.name != folder.name:
        yield Finding(folder.path.name, f"is the folder of another run, {folder.name}")


def tables(folder: Folder) -> Findings:
    """Each table has the columns that were saved and no others, by name, type and order."""
    for table in NAMES:
        try:
            folder.columns(table)
        except RunError as error:
            yield Finding(f"{table}.parquet", str(error).removeprefix(f"{folder.path / table}.parquet: "))


def _digest(path: object) -> str:
    with open(str(path), "rb") as file:  # noqa: PTH123  (hashlib reads an open file in pieces)
        return hashlib.file_digest(file, "sha256").hexdigest()


def chain(folder: Folder) -> Findings:
    """The digest chain over the chart and all transfers is the manifest's, and so is its head."""
    kept = folder.manifest.ledger.chain
    made = links(folder.manifest.ledger.chart.plain(), folder.records())
    for number, (link, expected) in enumerate(zip_longest(made, kept)):
        if link != expected:
            first = (number - 1) * BLOCK + 1
            place = f"entries {first} to {first + BLOCK - 1}" if number else "the chart of accounts"
            yield Finding(place, f"the chain breaks here: link {number} is not the one that was kept")
            return
    if kept and kept[-1] != folder.manifest.ledger.digest:
        yield Finding("manifest.json", "the digest of the ledger is not the head of its chain")


def transfers(folder: Folder) -> Findings:
    """Each transfer moves a positive amount of one asset between two known accounts, and they are numbered from 1."""
    seq = 1
    for batch in folder.batches("ledger", ("seq",)):
        numbers = batch["seq"].to_numpy(zero_copy_only=False)
        for index in np.flatnonzero(numbers != np.arange(seq, seq + len(numbers)))[:1]:
            yield Finding(entry(seq + int(index)), f"is numbered {numbers[index]}; expected {seq + int(index)}")
            return
        seq += len(numbers)
    if seq - 1 != folder.manifest.counts.transfers:
        yield Finding("ledger.parquet", f"{seq - 1} transfers; expected {folder.manifest.counts.transfers}")
    for first, batch in folder.numbered():
        for wrong, words in (
            (batch["amount"] <= 0, "moves no positive amount"),
            ((batch["debit"] == UNKNOWN) | (batch["credit"] == UNKNOWN), "names an account that the chart lacks"),
            (batch["kind"] == UNKNOWN, "is of a kind that the chart lacks"),
            (batch["debit"] == batch["credit"], "moves from an account to itself"),
        ):
            for index in np.flatnonzero(wrong).tolist():
                yield Finding(entry(first + index), words)


def trial_balance(folder: Folder) -> Findings:
    """The balances that the run ended with sum to zero for each asset."""
    sums: Counter[str] = Counter()
    for account, balance in zip(folder.accounts, folder.manifest.ledger.balances, strict=False):
        sums[account.asset.code] += balance
    for code, total in sums.items():
        if total:
            yield Finding(f"asset {code}", f"all balances sum to {total} atomic units; expected 0")


def balances(folder: Folder) -> Findings:
    """The balances that the run kept while it ran are those that its transfers make."""
    made = np.zeros(UNKNOWN + 1, dtype=object)
    for batch in folder.records():
        for side, sign in (("debit", 1), ("credit", -1)):
            sums = np.zeros(UNKNOWN + 1, dtype=np.int64)
            np.add.at(sums, batch[side], batch["amount"])
            for code in np.flatnonzero(sums).tolist():
                made[code] += sign * int(sums[code])
    kept = folder.manifest.ledger.balances
    for code, account in enumerate(folder.accounts):
        if made[code] != kept[code]:
            words = f"the transfers make {made[code]} atomic units of {account.asset.code}; the run kept {kept[code]}"
            yield Finding(f"account {account.name}", words)


def rolled_forward(folder: Folder) -> Findings:
    """Each account's opening balance, debits, credits and closing balance by month are those of its transfers."""
    kept = folder.table("balances").to_pylist()
    for line, saved in zip_longest(roll_forward(folder.accounts, _known(folder)), kept):
        made = dict(zip(ROLL_COLUMNS, line, strict=True)) if line else None
        if made != saved:
            where = made or saved
            place = f"account {where['account']} in {where['month']}"
            differ = [name for name in ROLL_COLUMNS if not made or not saved or made[name] != saved[name]]
            yield Finding(place, f"{', '.join(differ)} of the roll-forward are not those of the transfers")


def _known(folder: Folder) -> Iterator[Records]:
    """Batches without the transfers of accounts that the chart lacks, which `transfers` finds."""
    for batch in folder.records():
        known = (batch["debit"] != UNKNOWN) & (batch["credit"] != UNKNOWN)
        yield batch if known.all() else batch[known]


def floors(folder: Folder) -> Findings:
    """No account that has a floor ever turns against its usual side."""
    held = {code: 0 for code, account in enumerate(folder.accounts) if account.floor}
    for first, batch in folder.numbered():
        for code, balance in list(held.items()):
            account = folder.accounts[code]
            mine = np.flatnonzero((batch["debit"] == code) | (batch["credit"] == code))
            amounts = np.where(batch["debit"][mine] == code, batch["amount"][mine], -batch["amount"][mine])
            path = balance + amounts.cumsum()
            if len(path):
                held[code] = int(path[-1])
                last_of_event = np.append(np.diff(batch["event"][mine]) != 0, [True])
                below = (path * account.sign < 0) & last_of_event
                for index in np.flatnonzero(below)[:1].tolist():
                    words = (
                        f"takes {account.name} to {path[index]} atomic units of {account.asset.code}; it has a floor"
                    )
                    yield Finding(entry(first + int(mine[index])), words)


def time_order(folder: Folder) -> Findings:
    """Time runs forward in the ledger, within the days of the scenario."""
    market = folder.scenario.market
    low, high = midnight_ns(market.start), midnight_ns(market.end + timedelta(days=1))
    last = low
    for first, batch in folder.numbered():
        at_ns = batch["at_ns"]
        before = np.concatenate(([last], at_ns[:-1]))
        for index in np.flatnonzero(at_ns < before).tolist():
            words = f"is at {_second(int(at_ns[index]))}, before the entry above it, or before the scenario's start"
            yield Finding(entry(first + index), words)
        for index in np.flatnonzero(at_ns >= high)[:1].tolist():
            yield Finding(
                entry(first + index), f"is at {_second(int(at_ns[index]))}, after the scenario's end {market.end}"
            )
        if len(at_ns):
            last = int(at_ns[-1])


def _second(at_ns: int) -> str:
    """An instant in UTC, to the second."""
    return utc(at_ns).replace(microsecond=0).isoformat()


# The log against the books: every event has its entry, every entry its event, and both say the same.

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
        slot, known = _slots(ids, records)
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
        slot, known = _slots(events["event"].to_numpy(), records)
        settled = among(events["kind"], settled_by(folder))[slot] & known
        strange = settled & (_stream_of(folder, events, slot, records) < 0)
        for account, allowed in kept.items():
            touches = (records["debit"] == account) | (records["credit"] == account)
            strange |= touches & ~np.isin(records["kind"], list(allowed))
        for index in np.flatnonzero(strange & _charted(folder, records)).tolist():
            yield _not_of_its_kind(folder, records, index, first)
        profit = np.where(gains[np.minimum(records["debit"], len(gains) - 1)], records["debit"], records["credit"])
        ordered = ~settled & known & ~strange & _charted(folder, records)
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


def _charted(folder: Folder, records: Records) -> Flags:
    """The transfers whose accounts and kind the chart has; `transfers` finds the others."""
    count = len(folder.accounts)
    known: Flags = (records["debit"] < count) & (records["credit"] < count) & (records["kind"] < len(folder.kinds))
    return known


def _not_of_its_kind(folder: Folder, records: Records, index: int, first: int) -> Finding:
    accounts = " from ".join(folder.accounts[int(records[side][index])].name for side in ("debit", "credit"))
    kind = folder.kinds[int(records["kind"][index])]
    return Finding(entry(first + index), f"is of kind {kind}, which {accounts} cannot be")


def _slots(ids: Ints, records: Records) -> tuple[Ints, Flags]:
    """The place of each transfer's event among these ids of events, and whether it is there."""
    if not len(ids):
        return np.zeros(len(records), dtype=np.int64), np.zeros(len(records), dtype=bool)
    slot = np.minimum(np.searchsorted(ids, records["event"]), len(ids) - 1)
    return slot, ids[slot] == records["event"]


def _between(records: Records, debit: int, credit: int, kind: int) -> Flags:
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
        mine = of_event[slot] & _between(records, each.debit, each.credit, codes.get(each.kind, UNKNOWN))
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
        slot, known = _slots(events["event"].to_numpy(), records)
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
            mine = mine[_charted(folder, mine)]
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


def end(folder: Folder) -> Findings:
    """The curve is the sum of its parts, and its end, the balances and the waterfall come to the same final equity.

    It starts at the capital. Its last close is before the orders that the end of the run provoked and is compared with
    the balances before these: cash and money in transit as they are, and each venue's equity at the last close, every
    account at its price, mark or oracle price. A venue may value otherwise, such as at cost. Then the last equity of
    all, plus what those orders gained and lost apart from that venue's trades, has to be the final equity.
    """
    curve = folder.table("equity")
    moments = curve["moment"].to_pylist()
    if moments != ["start", *["close"] * (len(moments) - 2), "end"]:
        yield Finding("equity.parquet", "its moments are not the start, the close of each row and the end")
        return
    names = ("cash_usd", "transit_usd", *(f"{each}_equity_usd" for each in dict.fromkeys(folder.owners) if each))
    parts = {name: curve[name].to_numpy() for name in names}
    whole = curve["equity_usd"].to_numpy()
    total = sum(parts.values(), np.zeros(len(whole)))
    for row in np.flatnonzero(~(np.abs(whole - total) <= 1e-9 + 1e-12 * np.abs(total)))[:1].tolist():
        yield Finding(f"equity.parquet, row {row + 1}", f"equity_usd is {whole[row]}; its parts sum to {total[row]}")
    after = worth_of(folder)
    final, steps = after.equity(), waterfall_of(after, folder.capital)
    with localcontext(prec=100):  # a sum of Decimals is rounded to 28 digits otherwise
        buckets = (amount for name, amount in steps.steps() if name not in ("unexplained", "result"))
        summed = sum(buckets, USDC.decimal(folder.capital))
    if decimal(final) != summed:
        yield Finding("the final equity", f"capital and buckets come to {summed}; the balances to {decimal(final)}")
    if not _about(float(whole[0]), USDC.units(folder.capital)):
        yield Finding("the start of the curve", f"it is {whole[0]}; the capital is {USDC.decimal(folder.capital)}")
    left = dict.fromkeys(names, 0)
    for account, owner in zip(folder.accounts, folder.owners, strict=True):
        if account.owned:
            left[_part(account, owner)] += after.left[account]
    for name, values in ({"equity_usd": whole} | parts).items():
        books = decimal(left.get(name, final))
        if not _about(float(values[-1]), float(books)):
            yield Finding("the end of the curve", f"{name} is {values[-1]}; the books have {books}")
    last = {name: float(values[-2]) for name, values in ({"equity_usd": whole} | parts).items()}
    yield from _last_close(folder, last, after)


def _last_close(folder: Folder, last: Mapping[str, float], after: Worth) -> Findings:
    """The curve at the last close is what the balances were worth before the orders of the end."""
    ended = next((int(each["event"]) for each in folder.events((Ended.__name__,), ("event",))), None)
    before = folder.book.worth(batch if ended is None else batch[batch["event"] < ended] for batch in _known(folder))
    for name, account in (("cash_usd", CASH), ("transit_usd", IN_TRANSIT)):
        held = sum(atoms for each, atoms in before.balances.items() if each.name == account.name)
        if not _about(last[name], USDC.units(held)):
            yield Finding("the last close of the curve", f"{name} is {last[name]}; the books have {USDC.decimal(held)}")
    expected, otherwise = float(decimal(before.equity())), set()
    for owner in dict.fromkeys(each for each in folder.owners if each):
        at_price, *others = _worths(folder, owner, before)
        found = next((each for each in (at_price, *others) if _about(last[f"{owner}_equity_usd"], each)), None)
        if found is None:
            otherwise.add(owner)
        else:
            expected += found - at_price
    gained = 0
    for account, owner in zip(folder.accounts, folder.owners, strict=True):
        if (
            account.bucket is not None
            and not account.owned
            and (account.bucket not in ("execution", "price_pnl") or owner not in otherwise)
        ):
            gained -= after.through[account] - before.through[account]
    if otherwise:
        shift = expected - float(decimal(before.equity()))
        expected = float(decimal(after.equity() - gained)) + shift
    if not _about(last["equity_usd"], expected):
        words = f"it is {last['equity_usd']:.6f}, and what the end of the run did gained {float(decimal(gained)):.6f}"
        finally_usd = float(decimal(after.equity()))
        yield Finding("the last close of the curve", f"{words}; the final equity of the books is {finally_usd:.6f}")


def _part(account: Account, owner: str) -> str:
    """The column of the curve in which an account counts."""
    if owner:
        return f"{owner}_equity_usd"
    return "transit_usd" if account.name == IN_TRANSIT.name else "cash_usd"


def _about(first: float, second: float) -> bool:
    """Whether two sums in USD are the same but for the rounding of the trades of a moment."""
    return abs(first - second) <= 1e-5 + 1e-12 * abs(second)


def _worths(folder: Folder, owner: str, worth: Worth) -> Iterator[float]:
    """What a venue's accounts may be worth at the last close, USD: at their prices, then at their marks or oracles."""
    money, choices = 0.0, []
    for account, of in zip(folder.accounts, folder.owners, strict=True):
        if of != owner or not account.owned or not worth.balances[account]:
            continue
        if account.asset == USDC:
            money += USDC.units(worth.balances[account])
            continue
        names = dict.fromkeys(folder.market.price_column(account.asset, "close", role, owner) for role in ROLES)
        units = account.asset.units(worth.balances[account])
        choices.append([units * folder.market[name][-1].item() for name in names])
    for chosen in islice(product(*choices), MOST_CHOICES):
        yield money + sum(chosen)


MOST_CHOICES = 1000
"""Ways of valuing a venue's accounts that are tried."""


# What a run says that it is worth, again from the folder.


def worth_of(folder: Folder) -> Worth:
    """What the accounts of a folder are worth, without the transfers of accounts that its chart lacks."""
    return folder.book.worth(_known(folder))


def waterfall(folder: Folder) -> Findings:
    """The buckets of the waterfall sum to the result, and nothing is unexplained."""
    steps = waterfall_of(worth_of(folder), folder.capital)
    if steps.unexplained:
        yield Finding("the waterfall", f"{steps.unexplained} USD are unexplained; expected 0")


def summary(folder: Folder) -> Findings:
    """The money and the counts of the summary are those that the books make."""
    worth = worth_of(folder)
    steps = waterfall_of(worth, folder.capital)
    equity = decimal(worth.equity())
    capital = USDC.decimal(folder.capital)
    made: dict[str, object] = {name: _said(steps, name) for name in FIGURES}
    made |= {
        "capital_usd": float(capital),
        "final_equity_usd": float(equity),
        "return_pct": float((equity / capital - 1) * 100),
        "bridge_usd": float(fees_of(worth)[BRIDGE_FEE.name]),
        "transfers": folder.manifest.counts.transfers,
        "events": folder.manifest.counts.events,
        "rows": folder.manifest.counts.rows,
        "ledger_digest": folder.manifest.ledger.digest,
    }
    for name, value in made.items():
        if folder.summary.get(name) != value:
            yield Finding(f"summary.json, {name}", f"{folder.summary.get(name)}; the books make {value}")


def _said(steps: Waterfall, name: str) -> float:
    amount = getattr(steps, FIGURES[name])
    return float(-amount if name in COSTS else amount)


# What the thorough checks compute from: the ledger laid on the rows of the market, and what the venues declare.


class History:
    """The transfers of a folder, laid on the rows of a market. Arrays have shape (rows,), amounts in atomic units.

    Accounts are codes of the folder's chart; those that venues declare are found there by name and asset.
    """

    def __init__(self, folder: Folder, assembly: Assembly) -> None:
        self.folder = folder
        self.assembly = assembly
        self._codes = {(each.name, each.asset.code): code for code, each in enumerate(folder.accounts)}
        self._paths: dict[tuple[int, str], Ints] = {}
        self._exact: dict[int, Exact] = {}

    @cached_property
    def market(self) -> Market:
        """The market that the folder has."""
        return self.folder.market

    @cached_property
    def records(self) -> Records:
        """All transfers."""
        return np.concatenate([np.empty(0, dtype=RECORD), *self.folder.records()])

    @cached_property
    def rows(self) -> Ints:
        """The row in which each transfer falls: the first that closes at its instant or later."""
        rows: Ints = self.market.at_ns.searchsorted(self.records["at_ns"])
        return rows

    @cached_property
    def _from(self) -> Ints:
        """The first row that each transfer counts for: what was done at a close counts from the next row on."""
        length = len(self.market)
        late = self.records["at_ns"] == self.market.at_ns[np.minimum(self.rows, length - 1)]
        first: Ints = np.minimum(self.rows + late, length)
        return first

    @cached_property
    def log(self) -> Mapping[str, Values]:
        """Id, kind and venue of every event."""
        table = self.folder.table("events", ("event", "kind", "venue"))
        return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}

    @cached_property
    def groups(self) -> tuple["Group", ...]:
        """The declared streams, those together that post alike."""
        found: dict[object, Group] = {}
        for venue in self.assembly.venues:
            for accrual in venue.accruals():
                debit, credit = self.code(accrual.debit), self.code(accrual.credit)
                name = accrual.event.__name__
                key = (venue.name, name, accrual.kind, frozenset((debit, credit)))
                group = found.setdefault(key, Group(venue, name, accrual.kind, debit, credit, []))
                group.accruals.append(accrual)
        return tuple(found.values())

    @cached_property
    def settling(self) -> Flags:
        """Which transfers are of an event that settles a row."""
        names = np.array(sorted({group.event for group in self.groups}), dtype=object)
        return _slots(self.log["event"][np.isin(self.log["kind"], names)], self.records)[1]

    @cached_property
    def group_of(self) -> Ints:
        """The place of the group that each transfer settles, -1 for those that settle nothing declared."""
        found = np.full(len(self.records), -1, dtype=np.int64)
        slot, _ = _slots(self.log["event"], self.records)
        kinds = {kind: code for code, kind in enumerate(self.folder.kinds)}
        for place, each in enumerate(self.groups):
            of_event = (self.log["kind"] == each.event) & (self.log["venue"] == each.venue.name)
            mine = _between(self.records, each.debit, each.credit, kinds.get(each.kind, UNKNOWN))
            found[self.settling & of_event[slot] & mine] = place
        return found

    def code(self, account: Account) -> int:
        """The code of a declared account in the folder's chart, -1 where that lacks it."""
        return self._codes.get((account.name, account.asset.code), -1)

    def before(self, code: int) -> Ints:
        """The balance before each row settles."""
        return self._path(code, "before", self._from)

    def after(self, code: int) -> Ints:
        """The balance after each row, with all that was done up to its close, but for what ended the run."""
        return self._path(code, "after", self.rows, self.records["event"] < (self.ended or np.iinfo(np.int64).max))

    def accrued(self, code: int) -> Ints:
        """The balance once a row has settled, before anybody acts at its close."""
        return self._path(code, "accrued", np.where(self.settling, self.rows, self._from))

    def _path(self, code: int, name: str, slots: Ints, chosen: Flags | None = None) -> Ints:
        if (code, name) not in self._paths:
            signs = (self.records["debit"] == code).astype(np.int64) - (self.records["credit"] == code)
            if chosen is not None:
                signs *= chosen
            self._paths[code, name] = self._by_row(slots, signs).cumsum()
        return self._paths[code, name]

    def _by_row(self, rows: Ints, signs: Ints) -> Ints:
        """The amounts of transfers by row, each so many times; those of none of the rows are left out."""
        (mine,) = signs.nonzero()
        gains = np.zeros(len(self.market) + 1, dtype=np.int64)
        np.add.at(gains, np.minimum(rows[mine], len(self.market)), signs[mine] * self.records["amount"][mine])
        return gains[:-1]

    def posted(self, place: int) -> Ints:
        """What the settlements of a group moved in each row, from its credit account to its debit account."""
        forward = self.records["debit"] == self.groups[place].debit
        return self._by_row(self.rows, np.where(forward, 1, -1) * (self.group_of == place))

    def settlement(self, place: int, row: int) -> str:
        """Where a group settled a row: its entry where there is one, and the row."""
        words = self.market.rows(row, row + 1)
        low, high = np.searchsorted(self.rows, (row, row + 1))
        mine = self.group_of[low:high] == place
        return f"{entry(int(low + mine.argmax()) + 1)}, {words}" if mine.any() else words

    def restarts(self, accrual: Accrual) -> Flags:
        """The rows before which an entry that settles nothing changed what an accrual is on: it restarts there.

        What is on an asset restarts where such an entry moves it between our assets and elsewhere.
        """
        touched = np.zeros(len(self.market) + 1, dtype=bool)
        codes = self._codes_on(accrual, ours=False)
        mine = (np.isin(self.records["debit"], codes) | np.isin(self.records["credit"], codes)) & ~self.settling
        touched[self._from[mine]] = True
        return touched[:-1]

    def base(self, accrual: Accrual) -> Ints:
        """The balance that an accrual is on, as it was left when its path last restarted."""
        codes = self._codes_on(accrual, ours=True)
        before = sum((self.before(code) for code in codes), np.zeros(len(self.market), dtype=np.int64))
        restarts = self.restarts(accrual)
        starts = np.maximum.accumulate(np.where(restarts, np.arange(len(restarts)), -1))
        return np.where(starts >= 0, before[np.maximum(starts, 0)], 0)

    def _codes_on(self, accrual: Accrual, *, ours: bool) -> list[int]:
        """The account that an accrual is on; of one on an asset, the assets of ours that hold it or all others."""
        on = accrual.on
        if isinstance(on, Account):
            return [self.code(on)]
        accounts = enumerate(self.folder.accounts)
        return [code for code, each in accounts if each.asset == on and each.name.startswith("Assets:") == ours]

    def exact(self, accrual: Accrual) -> "Exact":
        """What an accrual comes to, in exact integers."""
        if id(accrual) not in self._exact:
            self._exact[id(accrual)] = Exact.of(accrual, self)
        return self._exact[id(accrual)]

    @cached_property
    def computed(self) -> Mapping[int, Computed]:
        """What accruals that venues work out themselves come to, by the place of their group."""
        return {
            place: _computed(group.venue, group.accruals[0], self)
            for place, group in enumerate(self.groups)
            if group.accruals[0].compute is not None
        }

    @cached_property
    def readings(self) -> Mapping[str, "Reading"]:
        """The formulas of each venue with their inputs."""
        return {venue.name: Reading(venue, self) for venue in self.assembly.venues}

    @cached_property
    def again(self) -> Run:
        """The scenario, run again; raises `CarrybookError` where it cannot be."""
        return self.assembly.simulation().run()

    def event(self, number: int) -> str:
        """The place of an event: its entry where there is one, and its number."""
        low, high = np.searchsorted(self.records["event"], (number, number + 1)).tolist()
        return f"{entry(low + 1)}, event {number}" if high > low else f"event {number}"

    @cached_property
    def ended(self) -> int:
        """The id of the event that ended the run, 0 where there is none."""
        return next((int(event["event"]) for event in self.folder.events((Ended.__name__,), ("event",))), 0)


@frozen(eq=False)
class Group:
    """Declared accruals of a venue whose settlements are alike in event, kind and accounts: as a rule, one."""

    venue: Venue
    event: str
    kind: str
    debit: int
    credit: int
    accruals: list[Accrual]

    @property
    def words(self) -> str:
        """What it settles, for people."""
        return f"{self.kind.replace('_', ' ')} at {self.venue.name}"


ThoroughCheck = Callable[[Assembly, History], Findings]
"""A thorough check reads the market and the scenario as well."""


def accounts(assembly: Assembly, history: History) -> Findings:
    """The accounts of the chart are those that wallet and venues declare, with asset, floor, bucket and venue."""
    declared = {(each.name, each.asset): (each, "") for each in WALLET}
    for venue in assembly.venues:
        declared |= {(each.name, each.asset): (each, venue.name) for each in venue.accounts()}
        if assembly.incidents.failing(venue.name):
            further = (*failure_accounts(venue).values(), loss_account(venue))
            declared |= {(each.name, each.asset): (each, venue.name) for each in further}
    folder = history.folder
    charted = {(each.name, each.asset): (each, of) for each, of in zip(folder.accounts, folder.owners, strict=True)}
    for key in dict.fromkeys((*declared, *charted)):
        name, asset = key
        if key not in charted or key not in declared:
            words = "nobody declares" if key in charted else "is declared and the chart lacks"
            yield Finding(f"account {name}", f"{words} it in {asset.code}")
            continue
        (here, owner), (there, venue_name) = charted[key], declared[key]
        for what, said, expected in (
            ("floor", here.floor, there.floor),
            ("bucket", here.bucket, there.bucket),
            ("venue", owner, venue_name),
        ):
            if said != expected:
                yield Finding(f"account {name}", f"its {what} is {said} in the folder; declared is {expected}")


# Accruals: every settled amount again, in exact integers.

FIXED = 256
"""Bits behind the point of the integers in which paths are added up: products of two floats fit whole."""
ONE = 1 << FIXED
ROUNDING = 0.5
"""A path is rounded once per row: what was posted is never further from it than half an atomic unit."""


def _fixed(value: float) -> int:
    top, bottom = value.as_integer_ratio()
    return (top << FIXED) // bottom


@frozen(eq=False)
class Exact:
    """An accrual over all rows, lists of length rows: `path` after each row since it restarted, in 2^-FIXED units.

    `before` is the path before each row; of one that compounds, both lie above the rounded `base` that it began with.
    """

    base: Ints
    before: list[int]
    path: list[int]
    restarts: Flags

    @classmethod
    def of(cls, accrual: Accrual, history: History) -> "Exact":
        """Add up an accrual from the market's rows and the ledger's balances."""
        market, base, restarts = history.market, history.base(accrual), history.restarts(accrual)
        on = accrual.on if isinstance(accrual.on, Asset) else accrual.on.asset
        share = Fraction(accrual.share)
        grows, simple = accrual.basis in GROWING, accrual.basis in (*GROWING, "simple")
        unit = share if simple or on == accrual.debit.asset else share * Fraction(accrual.debit.asset.scale, on.scale)
        before, path = [], []
        index, factor, settled = (ONE if grows else 0), Fraction(0), 0
        for step, atoms, begins in zip(_steps(accrual, market), base.tolist(), restarts.tolist(), strict=True):
            if begins:
                index, factor = (ONE if grows else 0), (abs(atoms) if simple else atoms) * unit
                settled = round(factor) << FIXED if grows else 0
            before.append(factor.numerator * index // factor.denominator - settled)
            index += index * step >> FIXED if grows else step
            path.append(factor.numerator * index // factor.denominator - settled)
        return cls(base, before, path, restarts)


def _steps(accrual: Accrual, market: Market) -> list[int]:
    """The steps of the index of an accrual, one for each row, in 2^-FIXED; of one that compounds, the growth less 1."""
    name = column_of(market, accrual.rate)
    if accrual.basis in ("steps", "rises"):
        levels = [_fixed(each) for each in (market[f"{name}_open"][0].item(), *market[f"{name}_close"].tolist())]
        steps = [after - before for before, after in pairwise(levels)]
        return steps if accrual.basis == "steps" else [max(0, each) for each in steps]
    rates = market[name].tolist()
    if accrual.basis == "total":
        return [_fixed(each) for each in rates]
    if accrual.basis == "payment":
        prices = market[column_of(market, accrual.price)].tolist() if accrual.price else [1.0] * len(rates)
        return [_fixed(rate) * _fixed(price) >> FIXED for rate, price in zip(rates, prices, strict=True)]
    lengths = (market.at_ns + TICK_NS - market.open_ns).tolist()
    if accrual.basis == "effective":
        return [_grown(rate, length) for rate, length in zip(rates, lengths, strict=True)]
    return [_fixed(rate) * length // NS_PER_YEAR for rate, length in zip(rates, lengths, strict=True)]


def _grown(rate: float, length_ns: int) -> int:
    """What a balance of 1 gains in some time at a yearly return, in 2^-FIXED."""
    with localcontext(prec=40):
        gained = (1 + Decimal(rate)) ** (Decimal(length_ns) / NS_PER_YEAR) - 1
    return int(Fraction(gained) * ONE)


def accruals(assembly: Assembly, history: History) -> Findings:  # noqa: ARG001  (as every thorough check)
    """Each settled amount is what its declared stream makes of market rows and balances, to half an atomic unit."""
    for index in np.flatnonzero(history.settling & (history.group_of < 0)).tolist():
        number = int(history.records["event"][index])
        yield Finding(f"{entry(index + 1)}, event {number}", "settles what no venue declares")
    for place, group in enumerate(history.groups):
        posted = history.posted(place)
        if place in history.computed:
            made = history.computed[place].amounts
            for row in np.flatnonzero(posted != made).tolist():
                words = f"{group.words} is {posted[row]}; the venue makes {made[row]} of the books"
                yield Finding(history.settlement(place, row), words)
            continue
        off, slack = _off(posted, [history.exact(each) for each in group.accruals])
        outside = ~(np.abs(off) <= slack)
        first = outside & ~np.concatenate(([False], outside[:-1]))
        for row in np.flatnonzero(first).tolist():
            words = f"{group.words} is {off[row]:+.3f} atomic units from what rows and balances make"
            yield Finding(history.settlement(place, row), f"{words}; posted {posted[row]}")


def _off(posted: Ints, parts: Sequence[Exact]) -> tuple[Floats, Floats]:
    """How far the sum of what was posted is from the exact paths since one of them last restarted, and how far it may.

    Beside the rounding, a little for the floats in which the kernel adds up.
    """
    off, slack = np.zeros(len(posted)), np.zeros(len(posted))
    moved, known = 0, [0] * len(parts)
    rounding = ROUNDING if len(parts) == 1 else 1.0 * len(parts)
    digits = _digits(len(posted))
    restarts = [each.restarts.tolist() for each in parts]
    for row, amount in enumerate(posted.tolist()):
        if any(each[row] for each in restarts):
            moved, known = 0, [each.before[row] for each in parts]
        moved += amount
        exact = sum(each.path[row] - start for each, start in zip(parts, known, strict=True))
        off[row] = ((moved << FIXED) - exact) / ONE
        slack[row] = (
            rounding + 1e-3 + 1e-12 * abs(exact / ONE) + digits * sum(abs(int(each.base[row])) for each in parts)
        )
    return off, slack


def _digits(rows: int) -> float:
    """How far the floats in which the kernel adds up may be off after so many rows, as a fraction of the balance."""
    return 1e-15 * math.sqrt(rows)


def _computed(venue: Venue, accrual: Accrual, history: History) -> Computed:
    """What a venue works out itself, between entries: called again on the books as each run of rows found them."""
    market, length = history.market, len(history.market)
    assert accrual.compute is not None
    cuts = np.unique(history._from[~history.settling])  # noqa: SLF001  (of this module)
    bounds = [0, *cuts[(cuts > 0) & (cuts < length)].tolist(), length]
    others = [each for name, each in history.readings.items() if name != venue.name]
    worth = [(each, each.arrays(("equity",), history.accrued)[0]) for each in others]
    money = history.before(history.code(CASH)) + history.before(history.code(IN_TRANSIT))
    parts = []
    for start, stop in pairwise(bounds):
        value = np.full(stop - start, money[start] / USDC.scale)
        holding = [(each, usd) for each, usd in worth if each.holds(history.before)[start]]
        for _, usd in holding:
            value += usd[start:stop]

        def balance(account: Account, row: int = start) -> int:
            return int(history.before(history.code(account))[row])

        parts.append(accrual.compute(Segment(market, start, stop, balance, value, bool(holding))))
    return Computed(*(np.concatenate([getattr(each, name) for each in parts]) for name in ("amounts", "rate", "size")))


# Rates, prices and sizes of settlements against the declared columns and the books.

SETTLEMENT_COLUMNS = (
    "event", "asset", "row", "size", "rate", "rate_source", "rate_source_row", "rate_source_rows",
    "price", "price_source", "price_source_row",
)  # fmt: skip


def rates(assembly: Assembly, history: History) -> Findings:
    """Rate, price, size and sources of each settlement are those of the declared columns and of the books before it."""
    expected = [
        [_expected(place, accrual, assembly.market, history) for accrual in group.accruals]
        for place, group in enumerate(history.groups)
    ]
    at = np.flatnonzero(history.group_of >= 0)
    numbers = history.records["event"][at]
    for batch in history.folder.batches("events", SETTLEMENT_COLUMNS):
        ids = batch["event"].to_numpy()
        low, high = np.searchsorted(numbers, (ids[0], ids[-1] + 1)) if len(ids) else (0, 0)
        mine = at[low:high]
        slot = np.searchsorted(ids, history.records["event"][mine])
        for place in np.unique(history.group_of[mine]).tolist():
            here = history.group_of[mine] == place
            events = batch.take(pa.array(slot[here]))
            row = np.minimum(history.rows[mine[here]], len(history.market) - 1)
            wrong: dict[str, Flags] = {"row": events["row"].to_numpy() != row}
            candidates = [each.wrong(events, row) for each in expected[place]]
            wrong |= {name: np.logical_and.reduce([each[name] for each in candidates]) for name in candidates[0]}
            for name, flags in wrong.items():
                for index in np.flatnonzero(flags).tolist():
                    words = f"its {name} is not what the venue declares and books and market have"
                    yield Finding(history.event(int(events["event"][index].as_py())), words)


@frozen(eq=False)
class Expected:
    """What the settlements of a stream say in each row, shape (rows,); sizes within `slack`, in atomic units."""

    asset: str
    rate: Floats
    price: Floats
    size: Ints
    slack: Floats
    rate_source: Source | None
    price_source: Source | None

    def wrong(self, events: pa.RecordBatch, row: Ints) -> Mapping[str, Flags]:
        """Which of some events of the stream, each of a row, say otherwise, by what they say."""
        rate, price, size = (events[name].to_numpy(zero_copy_only=False) for name in ("rate", "price", "size"))
        return {
            "asset": ~among(events["asset"], (self.asset,)),
            "rate": ~np.isclose(rate, self.rate[row], rtol=FLOAT_SLACK, atol=0.0),
            "price": price != self.price[row],
            "size": ~(np.abs(size - self.size[row]) <= self.slack[row]),
            "rate's source": _elsewhere(events, "rate", self.rate_source, row),
            "price's source": _elsewhere(events, "price", self.price_source, row),
        }


def _elsewhere(events: pa.RecordBatch, name: str, source: Source | None, row: Ints) -> Flags:
    """The events that name another file or another row than a column has."""
    file = np.array(events[f"{name}_source"].to_pylist(), dtype=object)
    if source is None:
        return file != np.array(None)  # type: ignore[no-any-return]
    wrong = (file != _files(source, row)) | (ints(events[f"{name}_source_row"]) != source.first_row[row])
    if f"{name}_source_rows" in events.schema.names:
        wrong |= ints(events[f"{name}_source_rows"]) != source.rows[row]
    return wrong  # type: ignore[no-any-return]


def _files(source: Source, row: Ints) -> NDArray[np.object_]:
    """The file behind a column in these rows."""
    if not source.earlier:
        return np.full(len(row), source.file, dtype=object)
    return np.where(source.of_earlier(row), source.earlier[0], source.file).astype(object)


def _expected(place: int, accrual: Accrual, market: Market, history: History) -> Expected:
    on = accrual.on if isinstance(accrual.on, Asset) else accrual.on.asset
    if place in history.computed:
        made = history.computed[place]
        return Expected(on.code, made.rate, np.ones(len(market)), made.size, np.zeros(len(market)), None, None)
    shown = rate = column_of(market, accrual.rate)
    price = column_of(market, accrual.price) if accrual.price else ""
    if accrual.basis in ("steps", "rises"):
        shown = f"{rate}_close"
        rates_ = np.diff(market[shown], prepend=market[f"{rate}_open"][:1])
        rates_ = rates_ if accrual.basis == "steps" else np.maximum(rates_, 0.0)
    else:
        rates_ = market[rate] * (market.years if accrual.basis in ("compounding", "simple") else 1.0)
        rates_ = np.expm1(market.years * np.log1p(market[rate])) if accrual.basis == "effective" else rates_
    exact = history.exact(accrual)
    size, slack = exact.base, np.zeros(len(market))
    if accrual.basis == "simple":
        size = np.abs(size)
    if accrual.basis in GROWING:
        share = Fraction(accrual.share)
        begun = [round(abs(atoms) * share) for atoms in size.tolist()]
        gained = [(each + (ONE >> 1)) >> FIXED for each in exact.before]
        size = np.array([first + gain for first, gain in zip(begun, gained, strict=True)], dtype=np.int64)
        slack = 1 + _digits(len(market)) * np.abs(exact.base)
    return Expected(
        asset=on.code,
        rate=rates_ * abs(accrual.share),
        price=market[price] if price else np.ones(len(market)),
        size=size,
        slack=slack,
        rate_source=market.sources.get(shown),
        price_source=market.sources.get(price),
    )


# States: the formulas of each venue on the ledger's balances, as arrays for all rows and in fractions for some.

SAMPLED = 200
"""Rows, evenly spread, for which formulas are evaluated in exact fractions, besides those with an act."""
Balance = Callable[[int], Ints]
"""The balance of an account by its code in each row, atomic units, at the moment of the row that is asked about."""


class Reading:
    """The formulas of a venue, with inputs read from a folder: balances, prices by role, rules in force."""

    def __init__(self, venue: Venue, history: History) -> None:
        self.venue, self.history, self.market = venue, history, history.market
        self.formulas = {**DEFAULTS, **venue.formulas()}
        self._accounts: list[tuple[tuple[str, int | None], int, int]] = []
        self._prices: list[tuple[tuple[str, int | None], str, str]] = []
        self._dated: list[tuple[tuple[str, int | None], Dated]] = []
        self._rules: list[tuple[tuple[str, int | None], Any]] = []
        for name in leaves(self.formulas):
            self._sort(name)
        self._keys = tuple(key for part in (self._accounts, self._prices, self._dated, self._rules) for key, *_ in part)
        self._owned = [history.code(each) for each in venue.accounts() if each.owned]
        self._programs: dict[tuple[str, ...], Callable[..., tuple[Any, ...]]] = {}

    def _sort(self, name: str) -> None:
        """Say what a formula means by a name."""
        coins = self.venue.coins
        if name in ROLES:
            self._prices += [((name, place), name, coin) for place, coin in enumerate(coins)]
            return
        try:
            value = self.venue.input(name)
        except AttributeError:
            return  # no formula that is asked for needs it, or its program says so
        if isinstance(value, dict):
            for place, coin in enumerate(coins):
                self._sort_of(name, place, value[coin])
        elif isinstance(value, PriceOf):
            self._prices.append(((name, None), "", value.of))
        else:
            self._sort_of(name, None, value)

    def _sort_of(self, name: str, place: int | None, value: Any) -> None:  # noqa: ANN401  (an account or a rule)
        """The same for an account or a rule, of all coins or of one."""
        if isinstance(value, Account):
            self._accounts.append(((name, place), self.history.code(value), value.asset.scale))
        elif isinstance(value, Dated):
            self._dated.append(((name, place), value))
        else:
            self._rules.append(((name, place), 0.0 if value is None else value))

    def _program(self, names: tuple[str, ...]) -> Callable[..., tuple[Any, ...]]:
        if names not in self._programs:
            targets = [(name, None) for name in names]
            place = type(self.venue).__name__
            self._programs[names] = program(self.formulas, targets, self._keys, len(self.venue.coins), place)
        return self._programs[names]

    def holds(self, balance: Balance) -> Flags:
        """The rows in which anything is held or owed."""
        found = np.zeros(len(self.market), dtype=bool)
        for code in self._owned:
            found |= balance(code) != 0
        return found

    def _low(self, balance: Balance) -> list[Flags]:
        """For each coin, the rows in which its adverse price is its low: those without a short."""
        codes = [self.history.code(each) for each in self.venue.position_accounts()]
        return [balance(code) >= 0 for code in codes] or [np.ones(len(self.market), dtype=bool)] * len(self.venue.coins)

    def _columns(self, role: str, coin: str, at: Corner) -> tuple[str, ...]:
        """The market's columns of a price: one, or low and high where it is the adverse; in step, those of the coin."""
        named, ends = self.market.price_column, ("low", "high") if at == "adverse" else (at,)
        if role:
            return tuple(named(coin, each, role, self.venue.name) for each in ends)  # type: ignore[arg-type]
        own = self.venue.coins[0] if self.venue.coins else ""
        if at == "close" or not own:
            return (named(coin),)
        return (named(coin), named(own), *(named(own, each) for each in ends))  # type: ignore[arg-type]

    def _price(self, columns: Sequence[Any], low: Any, choose: Callable[[Any, Any, Any], Any]) -> Any:  # noqa: ANN401
        """A price from its columns, floats by row or fractions of one row."""
        if len(columns) == 1:
            return columns[0]
        extreme = columns[-1] if len(columns) == 3 else choose(low, columns[-2], columns[-1])
        return extreme if len(columns) == 2 else extreme * (columns[0] / columns[1])

    def arrays(self, names: tuple[str, ...], balance: Balance, *, at: Corner = "close") -> list[Floats]:
        """Formulas in every row, in floats; shape (rows,) each."""
        market, low = self.market, self._low(balance)
        values: list[Any] = [balance(code) / scale for _, code, scale in self._accounts]
        for (_, place), role, coin in self._prices:
            columns = [market[each] for each in self._columns(role, coin, at)]
            values.append(self._price(columns, low[place or 0] if low else None, np.where))
        for _, rule in self._dated:
            since = np.searchsorted(np.array(rule.since_ns), market.at_ns, side="right") - 1
            values.append(np.asarray(rule.values)[since])
        values += [value for _, value in self._rules]
        with np.errstate(all="ignore"):
            found = self._program(names)(*values)
        return [np.broadcast_to(np.asarray(each), (len(market),)) for each in found]

    def in_the_coin_of_the_market(self, balance: Balance) -> Floats:
        """The positions of a venue in several coins, as so many of the market's coin as are worth the same."""
        market, total = self.market, np.zeros(len(self.market))
        codes = [self.history.code(each) for each in self.venue.position_accounts()]
        for coin, code, account in zip(self.venue.coins, codes, self.venue.position_accounts(), strict=True):
            ratio = market[market.price_column(coin)] / market[market.price_column("")]
            total = total + balance(code) / account.asset.scale * ratio
        return total

    def tokens_in_the_coin_of_the_market(self, balance: Balance) -> Floats:
        """What tokens beside the positions of such a venue move like."""
        if "tokens_worth" not in self.formulas:
            return np.zeros(len(self.market))
        return self.arrays(("tokens_worth",), balance)[0] / self.market[self.market.price_column("")]

    def on_the_way(self, name: str, balance: Balance, row: int, price: Fraction, towards: int) -> bool | None:
        """Whether a formula holds just beyond a price on the row's way to its adverse extreme, or just before it.

        `towards` is 1 for beyond, towards the extreme, and -1 for before. All prices go the same share of their ways.
        None where this cannot be told: a way of no length, a price at its end, or formulas without exact fractions.
        """
        market, coins = self.market, self.venue.coins
        if len(coins) != 1 or any(not role for _, role, _ in self._prices):
            return None
        (low,) = self._low(balance)
        ways: dict[str, tuple[Fraction, Fraction]] = {}
        for _, role, coin in self._prices:
            first = market.opening(coin, role, self.venue.name)[row]  # type: ignore[arg-type]
            last = market[self._columns(role, coin, "adverse")[0 if low[row] else 1]][row]
            ways[role] = Fraction(first.item()), Fraction(last.item())
        needed = behind(self.formulas, name)
        first, last = next((way for role, way in ways.items() if role in needed), (price, price))
        share = (
            (price * (1 + towards * MARGIN * (1 if last > first else -1)) - first) / (last - first)
            if last != first
            else 0
        )
        if not 0 < share < 1:
            return None
        prices = [ways[role][0] + share * (ways[role][1] - ways[role][0]) for _, role, _ in self._prices]
        found = self._exactly((name,), balance, row, prices)
        return bool(found[0]) if found else None

    def fractions(
        self, names: tuple[str, ...], balance: Balance, row: int, *, at: Corner = "close"
    ) -> list[Any] | None:
        """Formulas in one row, in exact fractions; None for formulas that have none, such as a square root."""
        market, low, prices = self.market, self._low(balance), []
        for (_, place), role, coin in self._prices:
            columns = [Fraction(market[each][row].item()) for each in self._columns(role, coin, at)]
            below = bool(low[place or 0][row]) if low else None
            prices.append(self._price(columns, below, lambda which, first, second: first if which else second))
        return self._exactly(names, balance, row, prices)

    def _exactly(
        self, names: tuple[str, ...], balance: Balance, row: int, prices: Sequence[Fraction]
    ) -> list[Any] | None:
        """Formulas on the balances and rules of a row, at any prices; None for formulas without exact fractions."""
        values: list[Any] = [Fraction(int(balance(code)[row]), scale) for _, code, scale in self._accounts]
        values += prices
        at_ns = int(self.market.at_ns[row])
        values += [_fraction(rule.values[bisect_right(rule.since_ns, at_ns) - 1]) for _, rule in self._dated]
        values += [_fraction(value) for _, value in self._rules]
        try:
            return list(self._program(names)(*values))
        except (TypeError, AttributeError):
            return None


def _fraction(value: Any) -> Any:  # noqa: ANN401  (a rule of any type)
    """A rule that is a number as a fraction; any other as it is."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
    return Fraction(value) if is_number else value


def _spread(history: History, further: Iterator[int] | Sequence[int] = ()) -> list[int]:
    """The rows that are evaluated in exact fractions."""
    length = len(history.market)
    spread = np.linspace(0, length - 1, min(length, SAMPLED)).astype(int).tolist()
    return sorted({*spread, *(row for row in further if 0 <= row < length)})


def states(assembly: Assembly, history: History) -> Findings:  # noqa: ARG001  (as every thorough check)
    """The equity curve is what each venue's formulas make of the balances after each row, in money and in coins."""
    table, saved = history.market, history.folder.table("equity")[1:-1]
    made: dict[str, Floats] = {}
    wallet = {"cash_usd": CASH, "transit_usd": IN_TRANSIT}
    for name, account in wallet.items():
        made[name] = history.after(history.code(account)) / account.asset.scale
    names, net = ("equity", "size", "delta"), np.zeros(len(table))
    for venue, reading in history.readings.items():
        equity, size, delta = reading.arrays(names, history.after)
        if len(reading.venue.coins) > 1:
            size = reading.in_the_coin_of_the_market(history.after)
            delta = size + reading.tokens_in_the_coin_of_the_market(history.after)
        made[f"{venue}_equity_usd"], made[f"{venue}_size"] = equity, size
        net = net + delta
    money = [values for name, values in made.items() if name in wallet or name.endswith("_equity_usd")]
    made |= {"equity_usd": sum(money, np.zeros(len(table))), "net_size": net}
    for name, values in made.items():
        yield from _off_the_curve(name, saved[name].to_numpy(), np.asarray(values, dtype=float), table)
    for row in _spread(history):
        for venue, reading in history.readings.items():
            exact = reading.fractions(names if len(reading.venue.coins) < 2 else names[:1], history.after, row)
            for column, value in zip((f"{venue}_equity_usd", f"{venue}_size"), exact or (), strict=False):
                kept = saved[column][row].as_py()
                if not abs(kept - float(value)) <= 1e-6 + 1e-9 * abs(float(value)):
                    words = f"{column} of the curve is {kept}; in exact fractions it is {float(value)}"
                    yield Finding(table.rows(row, row + 1), words)


def _off_the_curve(name: str, kept: Floats, made: Floats, table: Market) -> Findings:
    """The first row in which a column of the curve is not what was made again."""
    same = np.isclose(kept, made, rtol=FLOAT_SLACK, atol=1e-9 if name.endswith("_usd") else FLOAT_SLACK, equal_nan=True)
    for row in np.flatnonzero(~same)[:1].tolist():
        words = f"{name} of the curve is {kept[row]:.9f}; the balances make {made[row]:.9f}"
        yield Finding(table.rows(row, row + 1), words)


def acts(assembly: Assembly, history: History) -> Findings:
    """A venue acted after a row, by a liquidation or otherwise, if and only if the declared formula held in it."""
    happened = _acted(history)
    for venue in assembly.venues:
        reading = history.readings[venue.name]
        yield from _met(assembly, history, reading)
        held = reading.holds(history.accrued)
        closed = assembly.incidents.closed_rows(venue.name, history.market)
        if closed is not None and not venue.acts_when_halted:
            held = held & ~closed
        own = happened.get((venue.name, ""), set())
        for act in venue.acts:
            if act.when not in reading.formulas:
                continue
            at: Corner = "adverse" if act.prices == "adverse" else "close"
            (flags,) = reading.arrays((act.when,), history.accrued, at=at)
            due = held & flags.astype(bool)
            corners = {stop for _, stop in WAYS[assembly.path]} - {"adverse"}
            if at == "adverse" and corners:
                due &= np.logical_or.reduce(
                    [reading.arrays((act.when,), history.accrued, at=each)[0].astype(bool) for each in sorted(corners)]
                )
            rows = happened.get((venue.name, Liquidated.__name__ if act.liquidation else act.when), set())
            exact = due.copy()
            for row in _spread(history, sorted(rows)):
                found = reading.fractions((act.when,), history.accrued, row, at=at) if held[row] else None
                exact[row] = bool(found[0]) if found else due[row]
            for row in np.flatnonzero(due & exact).tolist():
                if row not in rows and row not in own:
                    place = history.market.rows(row, row + 1)
                    yield Finding(place, f"{act.when} held at {venue.name}, which did not {act.then}")
            for row in sorted(rows):
                if not 0 <= row < len(due) or not (due[row] or exact[row]):
                    place = history.market.rows(row, row + 1) if 0 <= row < len(due) else f"row {row + 1}"
                    yield Finding(place, f"{act.when} did not hold at {venue.name}, which did {act.then} all the same")


MARGIN = Fraction(1, 10**9)
"""How far from the price of a liquidation, as a share of it, it has to be due or not in exact fractions."""


def _met(assembly: Assembly, history: History, reading: Reading) -> Findings:
    """Liquidations on the way to the adverse extreme are where the formula begins to hold, in exact fractions.

    The first of a venue in each row is judged, on the balances that the row left. A venue of several coins, or one that
    prices a token in step with its coin, has none that can be told from its own price alone.
    """
    act = next((each for each in reading.venue.acts if each.liquidation and each.when in reading.formulas), None)
    if act is None or assembly.path != "adverse_first":
        return
    judged: dict[int, bool] = {}
    names = ("event", "venue", "kind", "row", "trigger_price")
    for event in history.folder.events((Liquidated.__name__,), names):
        row, price = event["row"], event["trigger_price"]
        if event["venue"] != reading.venue.name or judged.setdefault(row, False) or price is None:
            continue
        judged[row] = True
        before, after = (reading.on_the_way(act.when, history.accrued, row, Fraction(price), way) for way in (-1, 1))
        place = history.event(event["event"])
        if after is False:
            yield Finding(place, f"is at {price}, where {act.when} does not hold yet in exact fractions")
        elif before is True:
            yield Finding(place, f"is at {price}, where {act.when} holds already in exact fractions")


def _acted(history: History) -> dict[tuple[str, str], set[int]]:
    """The rows after which each venue acted, by venue and the formula of the act.

    Liquidations are under the name of their event, acts that have an event of the venue's own under no name.
    """
    ours = {*WITH_ENTRY, *WITHOUT_ENTRY, *ACTS, *STRIKES, *(group.event for group in history.groups)}
    own = sorted(set(np.unique(history.log["kind"].astype(str)).tolist()) - ours)
    found: dict[tuple[str, str], set[int]] = defaultdict(set)
    for event in history.folder.events((*ACTS, *own), ("kind", "venue", "row", "cause", "details")):
        name = event["kind"]
        if name == Acted.__name__:
            name = json.loads(event["details"] or "{}").get("act", "")
        elif name in own:
            name = ""
        if event["cause"] is None:
            found[event["venue"], name].add(event["row"])
    return found


def incidents(assembly: Assembly, history: History) -> Findings:
    """Incidents begin and end in the log when the scenario says so, and no others do."""
    begun = next((each["at_ns"] for each in history.folder.events((Started.__name__,), ("at_ns",))), 0)
    last_ns = int(history.market.at_ns[-1])
    expected = Counter[tuple[str, str, int]]()
    for each in assembly.incidents.occurrences:
        what, of, end_ns = each.incident.kind, each.incident.venue or "", each.end_ns
        if what == "deleveraging" or (end_ns is not None and end_ns <= begun):
            continue
        first = {"halt": VenueHalted, "failure": VenueFailed}.get(what, IncidentBegan)
        expected[first.__name__, of, max(each.start_ns, begun)] += 1
        if end_ns is not None and end_ns <= last_ns:
            if what != "halt":
                expected[IncidentEnded.__name__, of, end_ns] += 1
            elif assembly.incidents.closed(of, end_ns) is None:
                expected[VenueResumed.__name__, of, end_ns] += 1
    for event in history.folder.events(sorted(BOUNDS | {VenueFailed.__name__}), ("event", "kind", "venue", "at_ns")):
        key = (event["kind"], event["venue"] or "", event["at_ns"])
        if not expected[key]:
            yield Finding(history.event(event["event"]), f"{event['kind']} is of no incident of the scenario")
        expected[key] -= 1
    for (kind, venue, at_ns), count in expected.items():
        if count > 0:
            yield Finding(f"the log at {_second(at_ns)}", f"lacks the {kind} of {venue or 'the market'}")


# Orders and acts: each executed again on the books as they stood, with all that it costs.


class Stopped(Clock):
    """A clock that stands where it is put; what is to be done later waits until it is asked for."""

    def __init__(self) -> None:
        super().__init__(0)
        self.at_ns = 0
        self.waiting: list[tuple[int, Callable[[], None]]] = []

    @property
    def now_ns(self) -> int:
        return self.at_ns

    def call(self, at_ns: int, phase: Phase, action: Callable[[], None]) -> None:  # noqa: ARG002  (asked for instead)
        self.waiting.append((at_ns, action))


class Replay(Books):
    """Books that are put in the state in which a folder's stood before an event; nothing accrues in them."""

    def __init__(self, market: Market, venues: Sequence[Venue], incidents: Incidents) -> None:
        super().__init__(market, venues, incidents)
        self.past: list[Entry] = []
        """What was made again before."""

    def backwards(self) -> Iterator[Entry]:
        yield from reversed(self.journal)
        yield from reversed(self.past)

    def _open_streams(self, standing: Standing) -> None:
        """Leave them closed: what accrued is in the balances."""

    def stand(self, balances: Mapping[tuple[str, str], int], rows: int, at_ns: int, opened_at: Any) -> None:  # noqa: ANN401
        """Take these balances, by account's name and asset, after so many rows of the market."""
        self.rollback()
        self.point = None
        for each in self.balances:
            self.balances[each] = balances.get((each.name, each.asset.code), 0)
        self.journal.clear()
        self.rows, self.row, self.at_ns = rows, max(0, rows - 1), at_ns
        self.at = "close" if rows else opened_at
        self.stamp += 1
        for standing in self.standings.values():
            standing.rows = rows


def orders(assembly: Assembly, history: History) -> Findings:
    """Every order and act, executed again by its venue on the books as they stood, writes the same transfers and event.

    What the strategy asked for is known from running it again. What was under way arrives as it was sent.
    """
    return Replayed(assembly, history).findings()


class Replayed:
    """The events of a folder that are not settlements, one after the other, each made again."""

    def __init__(self, assembly: Assembly, history: History) -> None:
        self._history = history
        self._clock = Stopped()
        self._books = Replay(history.market, assembly.venues, assembly.incidents)
        self._struck = list(assembly.incidents.occurrences)
        self._execution = Execution(self._books, self._clock, lambda _: None)
        self._asked: dict[tuple[object, ...], list[Order]] = defaultdict(list)
        for event, order in history.again.events.orders():
            if event.kind in ASKED and isinstance(order, Order):
                self._asked[self._key(event.at_ns, event.venue, event.kind, getattr(event, "order", None))].append(
                    order
                )
        self._under_way: dict[int, list[tuple[int, Callable[[], None]] | Entry]] = {}
        self._path = assembly.path
        self._moments: dict[tuple[str, str], tuple[int, Point]] = {}
        self._bridges = {venue.name: venue.bridge for venue in assembly.venues}
        self._names = [(each.name, each.asset.code) for each in history.folder.accounts]

    @staticmethod
    def _key(*values: object) -> tuple[object, ...]:
        return tuple(value or "" for value in values)

    def findings(self) -> Findings:
        """What each event and its transfers say that they do not say when they are made again."""
        history, records = self._history, self._history.records
        balances, done = np.zeros(len(self._names) + 1, dtype=np.int64), 0
        settled = {group.event for group in history.groups}
        kinds = sorted(set(np.unique(history.log["kind"].astype(str)).tolist()) - settled)
        for event in history.folder.events(kinds, tuple(EVENT_COLUMNS)):
            low, high = np.searchsorted(records["event"], (event["event"], event["event"] + 1)).tolist()
            passed = records[done:low]
            for side, sign in (("debit", 1), ("credit", -1)):
                codes = np.minimum(passed[side], len(self._names))
                np.add.at(balances, codes, sign * passed["amount"])
            done = max(done, low)
            self._stand(dict(zip(self._names, balances.tolist(), strict=False)), event["at_ns"])
            yield from self._made_again(event, records[low:high])
        for key, left in self._asked.items():
            row = min(int(history.market.at_ns.searchsorted(np.int64(str(key[0] or 0)))), len(history.market) - 1)
            for order in left:
                place = history.market.rows(row, row + 1)
                yield Finding(place, f"the strategy ordered {order}, of which the log has no event")

    def _stand(self, balances: Mapping[tuple[str, str], int], at_ns: int) -> None:
        self._now = balances, int(self._history.market.at_ns.searchsorted(at_ns, side="right")), at_ns
        self._clock.at_ns = at_ns
        self._books.stand(*self._now, self._history.folder.opened_at)

    def _stand_again(self) -> None:
        self._books.stand(*self._now, self._history.folder.opened_at)

    def _made_again(self, event: Mapping[str, Any], records: Records) -> Findings:
        place, kind = self._history.event(event["event"]), event["kind"]
        try:
            made = self._make(event, records)
        except CarrybookError as error:
            yield Finding(place, f"cannot be done again on the books as they stood: {' '.join(str(error).split())}")
            return
        if made is None:
            if kind in ASKED:
                yield Finding(place, f"{event['order'] or kind} is what the strategy, run again, does not order then")
            elif kind in STRIKES:
                yield Finding(place, f"{kind} is of no incident of the scenario")
            elif kind in ARRIVALS:
                yield Finding(place, f"{kind} has nothing under way as its cause")
            elif len(records):
                yield Finding(place, f"{kind} moves money, and no order and no act of a venue makes it")
            return
        self._books.past.append(made)
        for words in (*self._differences(made, event, records), *self._otherwise_passed(made, event)):
            yield Finding(place, words)

    def _otherwise_passed(self, made: Entry, event: Mapping[str, Any]) -> Iterator[str]:
        """How a passage of money, or what a venue delivers, differs from the declared fee and duration."""
        if made.at_ns != event["at_ns"]:
            yield f"is at {_second(event['at_ns'])}; it was due at {_second(made.at_ns)}"
        if made.cause is not None and isinstance(made.cause.event, VenueFailed):
            return  # what a failed venue pays takes no passage
        ends = {
            TransferSent.__name__: (event["venue"], event["counterparty"]),
            TransferArrived.__name__: (event["counterparty"], event["venue"]),
        }.get(event["kind"])
        if event["order"] in PASSAGES:
            ends = ("", event["venue"]) if event["order"] == PASSAGES[0] else (event["venue"], "")
        if ends is None:
            return
        arrived = event["kind"] == TransferArrived.__name__ and made.cause is not None
        sent_ns = made.cause.at_ns if arrived and made.cause else made.at_ns
        leaving = whole = 0
        for end, into in zip(ends, (False, True), strict=True):
            if end in self._bridges:
                on_leaving, in_all = self._fee(end, into, event["amount"], sent_ns)
                leaving, whole = leaving + on_leaving, whole + in_all
        parts = {TransferSent.__name__: leaving, TransferArrived.__name__: whole - leaving}
        expected = parts.get(event["kind"], whole)
        if event["fee"] != expected:
            yield f"its fee is {event['fee']}; the declared ways make {expected}"

    def _fee(self, venue: str, into: bool, amount: int, at_ns: int) -> tuple[int, int]:
        """What a sum pays on leaving by a venue's way, and in all, by the rules in force when it is sent."""
        bridge, incidents = self._bridges[venue], self._books.incidents
        way, times = bridge.way(into=into), incidents.gas(venue, at_ns) if incidents else 1.0
        fee_usd, gas_usd, bps, of_fee, of_gas = (
            value_at(rule, at_ns)
            for rule in (way.fee_usd, way.gas_usd, way.fee_bps, bridge.sender_share, bridge.sender_gas_share)
        )
        further = USDC.nearest(gas_usd * times) - int(-Fraction(str(bps)) * amount // 10_000)
        return USDC.nearest(fee_usd * of_fee) + round(further * of_gas), USDC.nearest(fee_usd) + further

    def _make(self, event: Mapping[str, Any], records: Records) -> Entry | None:
        """The entry of an event, made again; None where nothing makes it."""
        kind, books = event["kind"], self._books
        if kind == Started.__name__:
            books.begin(None, None)
            books.transfer(CASH, CAPITAL, self._history.folder.capital, "capital")
            return books.commit(Started(amount=self._history.folder.capital), None)
        if kind in ASKED:
            return self._order(event)
        if kind in STRIKES:
            return self._strike(event)
        return self._arrival(event) if kind in ARRIVALS else self._act(event, records)

    def _order(self, event: Mapping[str, Any]) -> Entry | None:
        """What the strategy ordered then, executed; what it sends on its way waits for its arrival."""
        waiting, books = self._asked.get(self._key(*(event[name] for name in ORDERED))), self._books
        if not waiting:
            return None
        self._clock.waiting.clear()
        self._execution.execute(waiting.pop(0), None)
        made = list(books.journal)
        self._under_way[event["event"]] = [*made[1:], *self._clock.waiting]
        return made[0] if made else Entry(Ended(), None, books.at_ns, books.rows, ())

    def _strike(self, event: Mapping[str, Any]) -> Entry | None:
        """What an incident moved, moved again; what a failed venue has left is on its way then."""
        kind = {VenueFailed.__name__: "failure", Deleveraged.__name__: "deleveraging"}[event["kind"]]
        for occurrence in self._struck:
            about = occurrence.incident.kind == kind and occurrence.incident.venue == event["venue"]
            if about and occurrence.start_ns <= event["at_ns"]:
                self._struck.remove(occurrence)
                self._clock.waiting.clear()
                made = self._execution.strike(occurrence)
                if made is not None and made.event.kind == event["kind"]:
                    self._under_way[event["event"]] = [*self._clock.waiting]
                    return made
                self._stand_again()
        return None

    def _arrival(self, event: Mapping[str, Any]) -> Entry | None:
        """What its cause sent on its way: it arrived at once, or does so now."""
        waiting = self._under_way.get(event["cause"])
        if not waiting:
            return None
        arrival = waiting.pop(0)
        if isinstance(arrival, Entry):
            return arrival
        self._clock.waiting = [arrival]
        while self._clock.waiting:  # what a venue does not take yet waits again
            due_ns, action = self._clock.waiting.pop()
            self._clock.at_ns = due_ns
            action()
        return self._books.journal[-1]._replace(at_ns=due_ns) if self._books.journal else None

    def _act(self, event: Mapping[str, Any], records: Records) -> Entry | None:
        """An act of a venue, done again; of several that it may be, the one that writes the same."""
        standing = self._books.standings.get(event["venue"])
        if standing is None or event["kind"] in WITHOUT_ENTRY:
            return None
        if event["kind"] == Acted.__name__ and json.loads(event["details"] or "{}").get("act") == FINISH:
            return self._execution.finish(standing, None)
        if event["cause"] is not None:
            return None
        first: Entry | None = None
        for act in standing.acts:
            if standing.has(act.when) and _may_be(act, event):
                self._stand_again()
                made = self._done_again(standing, act)
                if made is None:
                    continue
                if not any(self._differences(made, event, records)):
                    return made
                first = first or made
        return first

    def _done_again(self, standing: Standing, act: Act) -> Entry | None:
        """An act at the prices at which it is due: the row's close, or the moment within the row; None without one."""
        books, path = self._books, self._path
        if path == "close" or act.prices != "adverse":
            return self._execution.act(standing, act)
        way = (standing.name, act.when) if path == "adverse_first" else ("", "")
        row, since = self._moments.get(way, (-1, None))
        point = standing.due_within(act, path, since if row == books.row else None)
        if point is None:
            return None
        with books.within(point, standing):
            made = self._execution.act(standing, act)
        self._moments[way] = books.row, point
        return made

    def _differences(self, made: Entry, event: Mapping[str, Any], records: Records) -> Iterator[str]:
        """How an entry and its event differ from what they are when made again."""
        folder = self._history.folder
        written = [
            (debit.name, credit.name, debit.asset.code, amount, kind) for debit, credit, amount, kind in made.transfers
        ]
        kept = [self._line(folder, record) for record in records.tolist()]
        for number in range(max(len(written), len(kept))):
            ours, theirs = (each[number] if number < len(each) else None for each in (written, kept))
            if ours != theirs:
                words = f"made again on the books as they stood it is {_said_of(ours)}"
                yield f"its transfer {number + 1} is {_said_of(theirs)}; {words}"
                break
        if made.event.kind != event["kind"]:
            yield f"is a {event['kind']}; made again it is a {made.event.kind}"
            return
        further = json.loads(event["details"] or "{}")
        for each in fields(type(made.event)):
            if each.name in ("event", "at_ns", "cause"):
                continue
            value, said = getattr(made.event, each.name), event.get(each.name, further.get(each.name))
            if isinstance(value, float) and isinstance(said, int | float):
                slack = 0.0 if each.name in COPIED else FLOAT_SLACK
                same = bool(np.isclose(said, value, rtol=slack, atol=0.0, equal_nan=True))
            elif isinstance(value, bool | int) or said is None:
                same = said == value
            elif isinstance(value, tuple):
                same = list(value) == said
            else:
                same = said == value or str(said) == str(value)
            if not same:
                name = each.name.replace("_", " ")
                yield f"its {name} is {said}; made again on the books as they stood it is {value}"

    @staticmethod
    def _line(folder: Folder, record: tuple[int, ...]) -> tuple[str, str, str, int, str]:
        _, _, amount, kind, debit, credit, _ = record
        charted = len(folder.accounts)
        sides = [folder.accounts[code].name if code < charted else "?" for code in (debit, credit)]
        asset = folder.accounts[debit].asset.code if debit < charted else "?"
        return sides[0], sides[1], asset, amount, folder.kinds[kind] if kind < len(folder.kinds) else "?"


ASKED = frozenset((OrderFilled.__name__, TransferSent.__name__, Rejected.__name__))
"""Events of an order, one for each that moves anything or is rejected."""
ORDERED = ("at_ns", "venue", "kind", "order")
"""What finds the order behind an event."""
ARRIVALS = frozenset((TransferArrived.__name__, TransferFailed.__name__, Unstaked.__name__))
"""Events of what was under way, whose cause is the order that sent it."""


def _may_be(act: Act, event: Mapping[str, Any]) -> bool:
    """Whether an event may be that of an act: it names it, or it is of the venue's own class."""
    if event["kind"] == Acted.__name__:
        return bool(json.loads(event["details"] or "{}").get("act") == act.when)
    return act.liquidation if event["kind"] == Liquidated.__name__ else True


def _said_of(line: tuple[str, str, str, int, str] | None) -> str:
    if line is None:
        return "missing"
    debit, credit, asset, amount, kind = line
    return f"{amount} {asset} from {credit} to {debit} ({kind})"


# The market read again from its sources, and the scenario run again from the start.

SHOWN = 20
"""Cells that are named one by one."""
FLOAT_SLACK = 1e-12
"""By how much a float may differ, of itself or in all: another machine may round sums and powers otherwise."""
COPIED = ("price", "close")
"""Floats that are cells of the market, or worked out by single operations alone: they are the same everywhere."""
COMPARED = {
    "events": ("event",),
    "equity": ("at_ns", "moment"),
    "balances": ("month", "account", "asset"),
    "market": ("row",),
}
"""Tables of a folder that are compared cell by cell, and the columns that name a row."""
MANIFEST_KEYS = (
    "format", "scenario", "seed", "inputs", "code", "label", "capital", "opened_at", "coin", "ledger",
    "owners", "streams", "counts",
)  # fmt: skip
"""What of a manifest a run made again has as well; versions, and with our own the run's name, may be others."""


def again_market(assembly: Assembly, history: History) -> Findings:
    """Every cell of the saved market is the one that its source gives."""
    saved, read = history.market, assembly.market
    if len(saved) != len(read) or list(saved.columns) != list(read.columns):
        yield Finding("market.parquet", f"{len(saved)} rows of {', '.join(saved.columns)}; the sources give others")
        return
    if not (np.array_equal(saved.at_ns, read.at_ns) and np.array_equal(saved.open_ns, read.open_ns)):
        yield Finding("market.parquet", "the times of its rows are not those of the sources")
    for name in saved.columns:
        for row in islice(np.flatnonzero(saved[name] != read[name]).tolist(), SHOWN):
            words = f"{name} is {saved[name][row]}; {read.cell(name, row)} gives {read[name][row]}"
            yield Finding(read.rows(row, row + 1), words)


def again_inputs(assembly: Assembly, history: History) -> Findings:
    """The source files and a user's own code are those that the run was made with."""
    sources = assembly.market.sources.values()
    read = {file: digest for source in sources for file, digest in source.digests().items()} | assembly.own_code()
    kept = {**history.folder.manifest.inputs, **history.folder.manifest.code}
    for name in sorted(kept.keys() | read.keys()):
        if kept.get(name) != read.get(name):
            yield Finding(name, "is not the file that the run was made with")


def again_run(assembly: Assembly, history: History) -> Findings:
    """The scenario run again gives the same ledger, the same summary and the same tables."""
    folder = history.folder
    if assembly.scenario.digest != folder.manifest.scenario:
        yield Finding("scenario.toml", "is not the scenario that the manifest names")
    try:
        finished = history.again
    except CarrybookError as error:
        yield Finding("scenario.toml", f"cannot be run again: {error}")
        return
    if finished.ledger.digest != folder.manifest.ledger.digest:
        made = np.concatenate([finished.ledger.records()])
        kept = history.records
        common = min(len(made), len(kept))
        differ = np.flatnonzero(made[:common] != kept[:common])
        place = f"entry {int(differ[0]) + 1 if len(differ) else common + 1}"
        yield Finding(place, "is where the ledger of the same scenario, run again, begins to differ")
    summary = summarize(assembly, finished)
    for name in summary | dict(folder.summary):
        if name not in summary or folder.summary.get(name) != json.loads(json.dumps(summary[name])):
            yield Finding(f"summary.json, {name}", "is not what the same scenario, run again, gives")
    with TemporaryDirectory(prefix="carrybook.") as parent:
        yield from _differing(folder, Folder(save(assembly, finished, summary, Path(parent))))


def _differing(kept: Folder, made: Folder) -> Findings:
    """What of the manifest, and which cells of tables other than the ledger, are not those of the run made again."""
    for name in MANIFEST_KEYS:
        if getattr(kept.manifest, name) != getattr(made.manifest, name):
            yield Finding(f"manifest.json, {name}", "is not what the same scenario, run again, gives")
    for table, keys in COMPARED.items():
        columns = made.columns(table)
        count, expected = (each.table(table, keys[:1]).num_rows for each in (kept, made))
        if count != expected or kept.columns(table) != columns:
            words = f"{count} rows of {len(kept.columns(table))} columns; run again there are {expected}"
            yield Finding(f"{table}.parquet", f"{words} of {len(columns)}")
            continue
        for column in columns:
            theirs, ours = (each.table(table, [column])[column] for each in (kept, made))
            slack = 0.0 if column in COPIED else FLOAT_SLACK
            for row in islice(_unequal(theirs.cast(ours.type), ours, slack), SHOWN):
                place = " ".join(f"{key} {made.table(table, [key])[key][row]}" for key in keys)
                words = f"{column} is {theirs[row]}; the same scenario, run again, gives {ours[row]}"
                yield Finding(f"{table}.parquet, {place}", words)


def _unequal(kept: pa.ChunkedArray, made: pa.ChunkedArray, slack: float) -> Iterator[int]:
    """The rows in which two columns differ: numbers by more than `slack`, or one is missing."""
    both = ~(pc.is_null(kept).to_numpy() | pc.is_null(made).to_numpy())
    if pa.types.is_floating(made.type):
        ours, theirs = (each.to_numpy(zero_copy_only=False) for each in (made, kept))
        same = np.isclose(theirs, ours, rtol=slack, atol=slack, equal_nan=True)
    else:
        same = pc.fill_null(pc.equal(kept, made), False).to_numpy()
    missing = pc.is_null(kept).to_numpy() & pc.is_null(made).to_numpy()
    return iter(np.flatnonzero(~np.where(both, same, missing)).tolist())


# The audit itself.

CHECKS: tuple[Check, ...] = (
    files,
    name,
    tables,
    chain,
    transfers,
    trial_balance,
    balances,
    rolled_forward,
    floors,
    time_order,
    event_log,
    bijection,
    kinds,
    settlements,
    fills,
    transit,
    waterfall,
    summary,
    end,
)
"""The checks of a folder by itself, in the order in which they are made."""

THOROUGH: tuple[ThoroughCheck, ...] = (
    again_inputs,
    again_market,
    accounts,
    rates,
    accruals,
    orders,
    acts,
    incidents,
    states,
    again_run,
)
"""The checks that need the market's sources as well."""

KEPT = 100
"""Findings of one check that are kept; the rest is counted."""


UNREADABLE = (CarrybookError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError)
"""What reading a folder raises that is not as it was saved."""


def audit(
    folder: Folder,
    data: Path | None = None,
    *,
    thorough: bool = False,
    assembly: Assembly | None = None,
    trusted: bool = False,
    checks: tuple[Check, ...] = CHECKS,
    thorough_checks: tuple[ThoroughCheck, ...] = THOROUGH,
) -> list[Result]:
    """Make every check; `data` is the directory of the scenario's sources, without which its embedded data are read.

    An `assembly` that is given, such as one on a market made in memory, is used as it is. Code of the run's own is
    imported for one that is `trusted` alone, and only where it is the code that the run was made with.
    """
    results = [_result(check, partial(check, folder)) for check in checks]
    if not thorough:
        return results
    try:
        assembly = assembly or _assembled(folder, data, trusted=trusted)
        history = History(folder, assembly)
    except UNREADABLE as error:
        return results + [Result(result_name(each), _holds(each), not_made=_reason(error)) for each in thorough_checks]
    return results + [_result(check, partial(check, assembly, history)) for check in thorough_checks]


def _assembled(folder: Folder, data: Path | None, *, trusted: bool) -> Assembly:
    """The scenario with the sources that the run was made with; raises `RunError` where they cannot be had."""
    if trusted:
        _compare_code(folder)
    try:
        assembly = assemble(folder.scenario, data, trusted=trusted)
    except CarrybookError as error:
        raise RunError(f"scenario.toml cannot be assembled: {error}") from None
    files = set(folder.manifest.inputs)
    if files and files.isdisjoint(name for each in assembly.market.sources.values() for name in each.digests()):
        raise RunError(
            f"the market was read from {', '.join(sorted(files))}; expected the directory that has them (--data)"
        )
    return assembly


def _compare_code(folder: Folder) -> None:
    """Refuse code of the run's own that is not the code that it was made with, before any of it is imported."""
    import_from(folder.scenario.beside)
    for module, digest in own_modules(named_modules(folder.scenario).values()).items():
        if folder.manifest.code.get(module) != digest:
            raise RunError(f"module {module} is not the file that the run was made with, so its code is not run")


def result_name(check: Callable[..., object]) -> str:
    """What a check is called in its result: `again_run` is `again: run`."""
    return check.__name__.replace("again_", "again: ").replace("_", " ")


def _holds(check: Callable[..., object]) -> str:
    return (check.__doc__ or "").strip().partition("\n\n")[0]


def _reason(error: Exception) -> str:
    """Why a check could not be made, from what reading the folder raised."""
    if isinstance(error, CarrybookError):
        return str(error)
    return f"the folder cannot be read ({type(error).__name__}: {error}); expected it as it was saved"


def _result(check: Callable[..., object], findings: Callable[[], Findings]) -> Result:
    """Run one check; where it cannot go on, what it has found so far is kept."""
    kept: list[Finding] = []
    count, not_made = 0, ""
    try:
        with np.errstate(all="ignore"):  # figures may be as large as floats go; what is not finite is a finding
            for count, finding in enumerate(findings(), 1):
                kept += [finding] if count <= KEPT else []
    except UNREADABLE as error:
        not_made = _reason(error)
    return Result(result_name(check), _holds(check), tuple(kept), count, not_made)
