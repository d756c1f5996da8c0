"""The finished books: every transfer and every event of a run, numbered, in their order, and sealed by digest.

They are written out of the journal at once: what was settled row by row as columns, what was done as entries between.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from framework.accrual import GROWING, Stream
from framework.books import Books, ComputedStream, Entry
from framework.errors import LedgerError
from framework.events import Ended, Event
from framework.market import Floats, Ints, Market
from framework.money import Account, Asset, Record

RECORD = np.dtype(
    [
        ("at_ns", "<i8"),
        ("event", "<i8"),
        ("amount", "<i8"),
        ("kind", "<u2"),
        ("debit", "<u2"),
        ("credit", "<u2"),
        ("asset", "<u2"),
    ]
)
"""One transfer as it is stored and digested: 32 bytes, little-endian, names as codes in order of first appearance."""

Records = np.ndarray[Any, np.dtype[np.void]]

BLOCK = 4096
"""Transfers per link of the digest chain."""


def links(chart: object, batches: Iterable[Records]) -> Iterator[str]:
    """One SHA-256 per block of `BLOCK` transfers, each over the one before and the block's bytes, however it is cut.

    The first starts from the chart of accounts, so a renamed account breaks it as well.
    """
    link = hashlib.sha256(json.dumps(chart).encode()).digest()
    yield link.hex()
    rest = np.empty(0, dtype=RECORD)
    for batch in batches:
        rest = np.concatenate((rest, batch)) if len(rest) else batch
        whole = len(rest) // BLOCK * BLOCK
        for start in range(0, whole, BLOCK):
            link = hashlib.sha256(link + rest[start : start + BLOCK].tobytes()).digest()
            yield link.hex()
        rest = rest[whole:]
    if len(rest):
        yield hashlib.sha256(link + rest.tobytes()).digest().hex()


@frozen(eq=False)
class Ledger:
    """The transfers of a run, which cannot be changed: each moves one positive integer of one asset.

    A transfer runs from a credit account to a debit account, so each asset sums to zero at every instant.
    """

    accounts: tuple[Account, ...]
    """All accounts in the order of their codes."""
    assets: tuple[Asset, ...]
    """All assets in the order of their codes."""
    kinds: tuple[str, ...]
    """All kinds of transfer in the order of their codes."""
    _records: Records
    _balances: Mapping[Account, int]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        for seq, (at_ns, event, amount, kind, debit, credit, asset) in enumerate(self._records.tolist(), start=1):
            yield Record(
                seq,
                at_ns,
                event,
                self.kinds[kind],
                self.accounts[debit].name,
                self.accounts[credit].name,
                self.assets[asset].code,
                amount,
            )

    def records(self) -> Records:
        """All transfers as one structured array of dtype `RECORD`, which cannot be written."""
        return self._records

    def account(self, name: str, asset: str = "USDC") -> Account:
        """The account of a name; raises `LedgerError` where there is none."""
        for each in self.accounts:
            if (each.name, each.asset.code) == (name, asset):
                return each
        raise LedgerError(f"account {name} in {asset} is not open")

    def balance(self, account: Account) -> int:
        """Debits less credits at the end, in atomic units."""
        return self._balances[account]

    def balances(self) -> Mapping[Account, int]:
        """The balance of every account at the end, in atomic units, debits less credits."""
        return dict(self._balances)

    def holding(self, asset: Asset) -> int:
        """Atomic units of an asset on all Assets accounts at the end."""
        return sum(
            atoms
            for account, atoms in self._balances.items()
            if account.asset == asset and account.name.startswith("Assets:")
        )

    def chain(self) -> tuple[str, ...]:
        """The digest chain over the chart of accounts and all transfers."""
        return tuple(links(self.chart(), [self._records]))

    def chart(self) -> dict[str, list[list[str | int | None]]]:
        """Names behind the codes of the records: accounts with their asset, assets with their decimals, kinds.

        `floored` are the codes of the accounts that may not turn against their usual side, `buckets` where what goes
        through each account belongs in the waterfall.
        """
        return {
            "accounts": [[account.name, account.asset.code] for account in self.accounts],
            "floored": [[code] for code, account in enumerate(self.accounts) if account.floor],
            "buckets": [[account.bucket] for account in self.accounts],
            "assets": [[asset.code, asset.decimals] for asset in self.assets],
            "kinds": [[kind] for kind in self.kinds],
        }

    @property
    def digest(self) -> str:
        """The head of the chain: two ledgers with the same head hold the same transfers in the same order."""
        return self.chain()[-1]


@frozen(eq=False)
class Settlements:
    """What was settled row by row: one element for each, in the order of their ids; shape (settlements,) each."""

    ids: Ints
    rows: NDArray[np.intp]
    """The market row that each settled."""
    streams: NDArray[np.intp]
    """Which of `of` each belongs to."""
    amounts: Ints
    """Positive from the stream's credit account to its debit account."""
    of: Sequence["Settled"]

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, start: int, stop: int) -> "Settlements":
        """Some of them, by their place."""
        some = slice(start, stop)
        return Settlements(self.ids[some], self.rows[some], self.streams[some], self.amounts[some], self.of)

    def gathered(self, name: str) -> NDArray[Any]:
        """`rate`, `price` or `size` of each settlement."""
        if not self.of:
            return np.zeros(0)
        arrays = [getattr(each, name) for each in self.of]
        found = np.empty(len(self), dtype=arrays[0].dtype)
        for index, array in enumerate(arrays):
            mine = self.streams == index
            found[mine] = array[self.rows[mine]]
        return found

    @property
    def gains(self) -> Ints:
        """What each brought us, below 0 where it cost."""
        costs = np.array([each.debit.name.startswith("Expenses:") for each in self.of], dtype=bool)
        return np.where(costs[self.streams], -self.amounts, self.amounts) if self.of else self.amounts


@frozen(eq=False)
class Settled:
    """A stream as it went: its names, and rate, price and size of each row of the market, shape (rows,)."""

    venue: str
    event: type[Event]
    kind: str
    asset: str
    debit: Account
    credit: Account
    rate: Floats
    price: Floats
    size: Ints
    rate_column: str
    price_column: str
    basis: str
    """The basis of the declared accrual; `computed` for one that its venue works out itself."""
    share: float

    @classmethod
    def of(cls, stream: Stream | ComputedStream, size: Ints) -> "Settled":
        """What is known of a stream once its run is over."""
        accrual, on = stream.accrual, stream.accrual.on
        if isinstance(stream, ComputedStream):
            rate, price, rate_column, price_column = stream.rate, np.ones(len(stream.rate)), "", ""
        else:
            index = stream.index
            rate, price = index.rate, index.price
            rate_column, price_column = index.rate_column, index.price_column
        share = abs(accrual.share)
        return cls(
            venue=stream.owner,
            event=accrual.event,
            kind=accrual.kind,
            asset=on.code if isinstance(on, Asset) else on.asset.code,
            debit=stream.debit,
            credit=stream.credit,
            rate=rate if share == 1 else rate * share,
            price=price,
            size=size,
            rate_column=rate_column,
            price_column=price_column,
            basis="computed" if isinstance(stream, ComputedStream) else accrual.basis,
            share=accrual.share,
        )


class EventLog:
    """Every event of a run; ids count from 1, in the order in which things happened."""

    def __init__(self, market: Market, entries: Sequence[Entry], ids: Sequence[int], settlements: Settlements) -> None:
        self._market = market
        self._entries = entries
        self._ids = ids
        self._id_of = {id(entry): number for entry, number in zip(entries, ids, strict=True)}
        self.settlements = settlements

    def __len__(self) -> int:
        return len(self._entries) + len(self.settlements)

    def __iter__(self) -> Iterator[Event]:
        settled = self._settled()
        waiting = next(settled, None)
        for event in self.single():
            while waiting is not None and waiting.event < event.event:
                yield waiting
                waiting = next(settled, None)
            yield event
        if waiting is not None:
            yield waiting
            yield from settled

    def single(self) -> Iterator[Event]:
        """The events that are not settlements: what venues and the strategy did."""
        for entry, number in zip(self._entries, self._ids, strict=True):
            cause = None if entry.cause is None else self._id_of[id(entry.cause)]
            yield evolve(entry.event, event=number, at_ns=entry.at_ns, cause=cause)

    def orders(self) -> Iterator[tuple[Event, object]]:
        """The events that are not settlements, each with the order that was executed last when it was entered."""
        return zip(self.single(), (entry.order for entry in self._entries), strict=True)

    def _settled(self) -> Iterator[Event]:
        found, market = self.settlements, self._market
        columns = [found.ids, found.rows, found.streams, found.gains, *map(found.gathered, ("rate", "price", "size"))]
        for number, row, stream, amount, rate, price, size in zip(*(each.tolist() for each in columns), strict=True):
            of = found.of[stream]
            yield of.event(
                event=number,
                at_ns=int(market.at_ns[row]),
                venue=of.venue,
                asset=of.asset,
                rate=rate,
                price=price,
                size=size,
                amount=amount,
            )


class Written:
    """What the journal of a run that is over becomes: what was settled in each row, and the ledger and events of it.

    Settlements are worked out at once, numbers and records when they are first asked for. Within a row settlements come
    in the order of the streams, and what was done after a row comes after them. Raises `LedgerError` for a balance that
    accrued below a floor.
    """

    def __init__(self, books: Books) -> None:
        self._market, self._journal, self.streams = books.market, books.journal, books.streams
        self.balances: Mapping[Account, int] = dict(books.balances)
        """The balance of every account at the end, in atomic units, debits less credits."""
        count = len(books.market)
        self.settled: Ints = np.empty((count, len(self.streams)), dtype=np.int64)
        """Atomic units, shape (rows, streams): positive from a stream's credit account to its debit account."""
        self._sizes = []
        for column, stream in enumerate(self.streams):
            self.settled[:, column], size = stream.amounts(count)
            self._sizes.append(size)
        _check_floors(books, self.settled)

    @cached_property
    def entries(self) -> Sequence[Entry]:
        """What was done before the end of the last row, as the curve has it."""
        ends = (place for place, entry in enumerate(self._journal) if isinstance(entry.event, Ended))
        return self._journal[: next(ends, len(self._journal))]

    @cached_property
    def _order(self) -> "_Order":
        return _Order.of(self.settled, self._journal)

    @cached_property
    def _posted(self) -> "_Posted":
        return _Posted.of(self._journal)

    @cached_property
    def ledger(self) -> Ledger:
        """Every transfer as a record, numbered by its event."""
        order, posted, market, streams = self._order, self._posted, self._market, self.streams
        accounts = tuple(self.balances)
        codes = {each: code for code, each in enumerate(accounts)}
        assets = {each: code for code, each in enumerate(dict.fromkeys(each.asset for each in accounts))}
        places = np.array(order.settled_before, dtype=np.int64)[posted.entry] + np.arange(len(posted.entry))
        kinds = self._kinds(places)

        def word(debit: Account, credit: Account, kind: str) -> int:
            return kinds.get(kind, 0) | codes[debit] << 16 | codes[credit] << 32 | assets[debit.asset] << 48

        words = np.empty((len(order.rows) + len(places), 4), dtype="<i8")
        if len(order.rows):
            sides = [
                (word(each.debit, each.credit, each.accrual.kind), word(each.credit, each.debit, each.accrual.kind))
                for each in streams
            ]
            forward, back = np.array(sides, dtype=np.int64).T
            made = np.empty((len(order.rows), 4), dtype="<i8")
            made[:, 0] = market.at_ns[order.rows]
            made[:, 1] = order.settled_ids
            np.abs(order.amounts, out=made[:, 2])
            made[:, 3] = np.where(order.amounts > 0, forward[order.columns], back[order.columns])
            _between(words, made, order.settled_before, order.transfers_before)
        if len(places):
            routes = np.array([word(*each) for each in posted.routes])
            at_ns, ids = posted.at_ns[posted.entry], np.array(order.ids)[posted.entry]
            words[places] = np.stack((at_ns, ids, posted.amount, routes[posted.route]), axis=1)
        records = words.view(RECORD).reshape(-1)
        records.setflags(write=False)
        return Ledger(accounts, tuple(assets), tuple(kinds), records, self.balances)

    @cached_property
    def events(self) -> EventLog:
        """Every event, numbered."""
        order = self._order
        of = [Settled.of(stream, size) for stream, size in zip(self.streams, self._sizes, strict=True)]
        settlements = Settlements(order.settled_ids, order.rows, order.columns, order.amounts, of)
        return EventLog(self._market, self._journal, order.ids, settlements)

    def _kinds(self, places: Ints) -> dict[str, int]:
        """Codes of the kinds of transfer, numbered as they first appear; `places` are those of the entries' own."""
        first: dict[str, int] = {}
        for column, stream in enumerate(self.streams):
            place = self._order.first(column)
            if place is not None:
                first[stream.accrual.kind] = min(place, first.get(stream.accrual.kind, place))
        for place, (_, _, kind) in zip(places[self._posted.firsts].tolist(), self._posted.routes, strict=True):
            first[kind] = min(place, first.get(kind, place))
        return {kind: code for code, kind in enumerate(sorted(first, key=first.__getitem__))}

    def path(self, account: Account) -> Ints:
        """The balance of an account at the close of each row, after all that was done in it; shape (rows,).

        A transfer at a close belongs to that row, one between two closes to the later; what was done once the last row
        had passed belongs to none.
        """
        gains, posted = np.zeros(len(self._market), dtype=np.int64), self._posted
        sides = [(debit is account) - (credit is account) for debit, credit, _ in posted.routes]
        if any(sides):
            side = np.array(sides)[posted.route[: len(self._posted_rows)]]
            (touched,) = side.nonzero()
            np.add.at(gains, self._posted_rows[touched], side[touched] * posted.amount[touched])
        for column, stream in enumerate(self.streams):
            if stream.debit is account:
                gains += self.settled[:, column]
            if stream.credit is account:
                gains -= self.settled[:, column]
        return gains.cumsum(out=gains)

    @cached_property
    def _posted_rows(self) -> NDArray[np.intp]:
        """The row of each of their transfers, which come first of all."""
        before = self._posted.entry < len(self.entries)
        return self._market.at_ns.searchsorted(self._posted.at_ns, side="left")[self._posted.entry[before]]


@frozen(eq=False)
class _Posted:
    """The transfers of the journal's entries as columns, and the routes that they take: between whom, and why.

    `entry`, `amount` and `route` have an element for each transfer, `at_ns` for each entry, and `firsts` for each route
    the place of its first transfer among these.
    """

    entry: Ints
    amount: Ints
    route: Ints
    at_ns: Ints
    routes: Sequence[tuple[Account, Account, str]]
    firsts: NDArray[np.intp]

    @classmethod
    def of(cls, journal: Sequence[Entry]) -> "_Posted":
        """The transfers in their order."""
        routes: dict[tuple[Account, Account, str], int] = {}
        places, amounts, taken = list[int](), list[int](), list[int]()
        for place, entry in enumerate(journal):
            for debit, credit, amount, kind in entry.transfers:
                places.append(place)
                amounts.append(amount)
                taken.append(routes.setdefault((debit, credit, kind), len(routes)))
        columns = [np.array(each, dtype=np.int64) for each in (places, amounts, taken)]
        at_ns = np.array([entry.at_ns for entry in journal], dtype=np.int64)
        _, firsts = np.unique(columns[2], return_index=True)
        return cls(columns[0], columns[1], columns[2], at_ns, tuple(routes), firsts)


@frozen(eq=False)
class _Order:
    """The order of everything in a run: settlements row by row and, between them, the entries of the journal.

    `rows`, `columns`, `amounts` and `settled_ids` have an element for each settlement, `ids` and `settled_before` for
    each entry: its id, and how many settlements come before it. `transfers_before` has one more, the count of all.
    """

    rows: Ints
    columns: Ints
    amounts: Ints
    settled_ids: Ints
    ids: Sequence[int]
    settled_before: Sequence[int]
    transfers_before: Sequence[int]

    @classmethod
    def of(cls, settled: Ints, journal: Sequence[Entry]) -> "_Order":
        """The order of what was settled, shape (rows, streams), and of the entries; zeros are no settlements."""
        count = len(settled)
        moving = np.flatnonzero([stream.any() for stream in settled.T])
        dense = settled[:, moving]
        there = dense != 0
        in_row = there.sum(axis=1)
        before = np.concatenate(([0], np.cumsum(in_row)))
        rows, columns, amounts = np.repeat(np.arange(count), in_row), np.tile(moving, count), dense.reshape(-1)
        if int(before[-1]) < len(amounts):
            present = there.reshape(-1)
            columns, amounts = columns[present], amounts[present]
        bounds = np.array([entry.rows for entry in journal], dtype=np.int64)
        entries_before = np.repeat(bounds.searchsorted(np.arange(count), side="right"), in_row)
        settled_before = before[bounds].tolist()
        lengths = (len(entry.transfers) for entry in journal)
        return cls(
            rows=rows,
            columns=columns,
            amounts=amounts,
            settled_ids=np.arange(1, len(rows) + 1) + entries_before,
            ids=[settled + place + 1 for place, settled in enumerate(settled_before)],
            settled_before=settled_before,
            transfers_before=[0, *accumulate(lengths)],
        )

    def first(self, column: int) -> int | None:
        """The place of the first settlement of a stream among all transfers; None where it has none."""
        mine = self.columns == column
        place = int(mine.argmax()) if len(mine) else 0
        if not len(mine) or not mine[place]:
            return None
        entries = int(self.settled_ids[place]) - place - 1
        return place + self.transfers_before[entries]


def write_out(books: Books) -> Written:
    """The ledger and the events of books whose run is over; raises `LedgerError`."""
    return Written(books)


def _between(words: Ints, settled: Ints, before: Sequence[int], transfers_before: Sequence[int]) -> None:
    """Put what was settled where it belongs among the transfers of the entries.

    `before` is how many settlements stand before each entry, `transfers_before` how many transfers before it.
    """
    start = 0
    for stop, shift in zip([*before, len(settled)], transfers_before, strict=True):
        if stop > start:
            words[start + shift : stop + shift] = settled[start:stop]
            start = stop


def _check_floors(books: Books, settled: Ints) -> None:
    """Refuse what accrues below a floor, which entries cannot pass: the first row in which an account would be there.

    A balance that compounds keeps its sign, so only streams on other balances are looked at.
    """
    market, streams = books.market, books.streams
    falling: dict[Account, None] = {}
    for column, stream in enumerate(streams):
        for each, way in ((stream.debit, 1), (stream.credit, -1)):
            own = stream.accrual.basis in GROWING and stream.accrual.on is each
            if each.floor and not own and (settled[:, column] * (way * each.sign) < 0).any():
                falling[each] = None
    for each in falling:
        accrued = np.zeros(len(market), dtype=np.int64)
        for column, stream in enumerate(streams):
            accrued += settled[:, column] * ((stream.debit is each) - (stream.credit is each))
        moved = np.zeros(len(market) + 1, dtype=np.int64)
        for entry in books.journal:
            for debit, credit, amount, _ in entry.transfers:
                moved[entry.rows] += amount * ((debit is each) - (credit is each))
        path = (accrued + moved[:-1]).cumsum() * each.sign
        for row in np.flatnonzero(path < 0)[:1].tolist():
            after = int(path[row])
            held = after - int(accrued[row]) * each.sign
            before, after_ = (f"{each.asset.decimal(one):f} {each.asset.code}" for one in (held, after))
            words = f"{each.name} holds {before} and would fall to {after_}; expected 0 or more"
            raise LedgerError(f"{market.rows(row, row + 1)}: {words}")
