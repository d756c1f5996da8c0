"""The finished books: every transfer and every event of a run, numbered, in their order, and sealed by digest.

They are written out of the journal at once: what was settled row by row as columns, what was done as entries between.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
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
    yield from _links(_first_link(chart), batches)


def _first_link(chart: object) -> bytes:
    """The link over the chart of accounts."""
    return hashlib.sha256(json.dumps(chart).encode()).digest()


def _links(link: bytes, batches: Iterable[Records]) -> Iterator[str]:
    """The links from the first on."""
    yield link.hex()
    rest = np.empty(0, dtype=RECORD)
    for batch in batches:
        rest = np.concatenate((rest, batch)) if len(rest) else batch
        whole = len(rest) // BLOCK * BLOCK
        for start in range(0, whole, BLOCK):
            link = _next_link(link, rest[start : start + BLOCK])
            yield link.hex()
        rest = rest[whole:]
    if len(rest):
        yield _next_link(link, rest).hex()


def _next_link(link: bytes, block: Records) -> bytes:
    """The link over the one before and a block."""
    digest = hashlib.sha256(link)
    digest.update(np.ascontiguousarray(block).data)
    return digest.digest()


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
        return tuple(_links(_first_link_of(self.accounts, self.assets, self.kinds), [self._records]))

    def chart(self) -> dict[str, list[list[str | int | None]]]:
        """Names behind the codes of the records: accounts with their asset, assets with their decimals, kinds.

        `floored` are the codes of the accounts that may not turn against their usual side, `buckets` where what goes
        through each account belongs in the waterfall.
        """
        return _chart(self.accounts, self.assets, self.kinds)

    @property
    def digest(self) -> str:
        """The head of the chain: two ledgers with the same head hold the same transfers in the same order."""
        return self.chain()[-1]


def _chart(
    accounts: Sequence[Account], assets: Sequence[Asset], kinds: Sequence[str]
) -> dict[str, list[list[str | int | None]]]:
    return {
        "accounts": [[account.name, account.asset.code] for account in accounts],
        "floored": [[code] for code, account in enumerate(accounts) if account.floor],
        "buckets": [[account.bucket] for account in accounts],
        "assets": [[asset.code, asset.decimals] for asset in assets],
        "kinds": [[kind] for kind in kinds],
    }


@lru_cache(maxsize=256)
def _first_link_of(accounts: tuple[Account, ...], assets: tuple[Asset, ...], kinds: tuple[str, ...]) -> bytes:
    """The first link of a ledger, of which many have the same."""
    return _first_link(_chart(accounts, assets, kinds))


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
        return cls(
            venue=stream.owner,
            event=accrual.event,
            kind=accrual.kind,
            asset=on.code if isinstance(on, Asset) else on.asset.code,
            debit=stream.debit,
            credit=stream.credit,
            rate=rate * abs(accrual.share),
            price=price,
            size=size,
            rate_column=rate_column,
            price_column=price_column,
            basis="computed" if isinstance(stream, ComputedStream) else accrual.basis,
            share=accrual.share,
        )


class EventLog:
    """Every event of a run; ids count from 1, in the order in which things happened."""

    def __init__(self, written: "Written") -> None:
        self._written = written

    def __len__(self) -> int:
        order = self._written.order
        return len(order.settled_before) + len(order)

    @property
    def settlements(self) -> Settlements:
        """The events that are settlements, as columns."""
        return self._written.settlements

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

    @property
    def single_ids(self) -> Ints:
        """The ids of those that are not settlements."""
        return self._written.order.ids

    def single(self) -> Iterator[Event]:
        """The events that are not settlements: what venues and the strategy did."""
        journal, ids = self._written.details.journal, self._written.order.ids.tolist()
        id_of = {id(entry): number for entry, number in zip(journal, ids, strict=True)}
        for entry, number in zip(journal, ids, strict=True):
            cause = None if entry.cause is None else id_of[id(entry.cause)]
            yield evolve(entry.event, event=number, at_ns=entry.at_ns, cause=cause)

    def orders(self) -> Iterator[tuple[Event, object]]:
        """The events that are not settlements, each with the order that was executed last when it was entered."""
        return zip(self.single(), (entry.order for entry in self._written.details.journal), strict=True)

    def _settled(self) -> Iterator[Event]:
        found, market = self.settlements, self._written.market
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
    """What the journal of a run that is over becomes: its ledger and its events, and the path of each balance.

    Within a row settlements come in the order of the streams, and what was done after a row comes after them. Numbers
    and records are worked out when they are first asked for, and so are `details`.
    """

    def __init__(
        self,
        *,
        market: Market,
        streams: Sequence[Stream | ComputedStream],
        balances: Mapping[Account, int],
        settled: Ints,
        posted: "Posted",
        detailing: Callable[[], "Details"],
    ) -> None:
        self.market = market
        self.streams = streams
        self.balances = balances
        """The balance of every account at the end, in atomic units, debits less credits."""
        self.settled = settled
        """Atomic units, shape (rows, streams): positive from a stream's credit account to its debit account."""
        self.posted = posted
        self._detailing = detailing

    @cached_property
    def details(self) -> "Details":
        """What neither ledger nor curve needs."""
        return self._detailing()

    @property
    def entries(self) -> Sequence[Entry]:
        """What was done before the end of the last row, as the curve has it."""
        return self.details.journal[: self.posted.ended]

    @cached_property
    def order(self) -> "Order":
        """The order of settlements and entries."""
        return Order.of(self.settled, self.posted)

    @cached_property
    def ledger(self) -> Ledger:
        """Every transfer as a record, numbered by its event."""
        order, posted, streams = self.order, self.posted, self.streams
        accounts = tuple(self.balances)
        codes, assets = self.market.cached(("codes", *accounts), lambda: _codes(accounts))
        places = order.settled_before[posted.entry] + np.arange(len(posted.entry))
        between = order.numbered(order.transfers_before)
        kinds = self._kinds(between, places)

        def word(debit: Account, credit: Account, kind: str) -> int:
            return kinds.get(kind, 0) | codes[debit] << 16 | codes[credit] << 32 | assets[debit.asset] << 48

        words = np.empty((len(order) + len(places), 4), dtype="<i8")
        at_ns, ids, amounts, codes_of = (words[:, column] for column in range(4))
        if len(order):
            sides = [
                (word(each.debit, each.credit, each.accrual.kind), word(each.credit, each.debit, each.accrual.kind))
                for each in (streams[stream] for stream in order.streams)
            ]
            forward, back = np.array(sides, dtype=np.int64).T
            at_ns[between] = order.of_rows(self.market.at_ns)
            ids[between] = order.settled_ids
            amounts[between] = np.abs(order.amounts)
            codes_of[between] = order.of_each(np.where(order.settled > 0, forward, back))
        if len(places):
            at_ns[places] = posted.at_ns[posted.entry]
            ids[places] = order.ids[posted.entry]
            amounts[places] = posted.amount
            codes_of[places] = np.array([word(*each) for each in posted.routes])[posted.route]
        records = words.view(RECORD).reshape(-1)
        records.setflags(write=False)
        return Ledger(accounts, tuple(assets), tuple(kinds), records, self.balances)

    @cached_property
    def settlements(self) -> Settlements:
        """The events that are settlements, as columns."""
        order = self.order
        of = [Settled.of(stream, size) for stream, size in zip(self.streams, self.details.sizes, strict=True)]
        return Settlements(order.settled_ids, order.rows, order.columns, order.amounts, of)

    @property
    def events(self) -> EventLog:
        """Every event, numbered; a new view of them each time, for one that is kept would keep what it looks at."""
        return EventLog(self)

    def _kinds(self, between: Ints, places: Ints) -> dict[str, int]:
        """Codes of the kinds of transfer, numbered as they first appear.

        Settlements lie `between` the entries' own transfers, which lie at `places`.
        """
        order, posted = self.order, self.posted
        firsts = np.full(len(posted.routes), -1)
        firsts[posted.route[::-1]] = places[::-1]  # of several places of a route the last that is said here
        found = {place: kind for place, (_, _, kind) in zip(firsts.tolist(), posted.routes, strict=True) if place >= 0}
        for place, stream in zip(between[order.firsts].tolist(), order.streams.tolist(), strict=True):
            found[place] = self.streams[stream].accrual.kind
        return {kind: code for code, kind in enumerate(dict.fromkeys(found[place] for place in sorted(found)))}

    def path(self, account: Account) -> Ints:
        """The balance of an account at the close of each row, after all that was done in it; shape (rows,).

        A transfer at a close belongs to that row, one between two closes to the later; what was done once the last row
        had passed belongs to none.
        """
        gains = np.zeros(len(self.market), dtype=np.int64)
        sides = [(debit is account) - (credit is account) for debit, credit, _ in self.posted.routes]
        if any(sides):
            rows, routes, amounts = self._posted_by_row
            np.add.at(gains, rows, np.array(sides)[routes] * amounts)
        for column, stream in enumerate(self.streams):
            if stream.debit is account:
                gains += self.settled[:, column]
            if stream.credit is account:
                gains -= self.settled[:, column]
        return gains.cumsum(out=gains)

    @cached_property
    def _posted_by_row(self) -> tuple[NDArray[np.intp], Ints, Ints]:
        """Row, route and amount of each transfer of the entries before the end, which come first of all."""
        posted = self.posted
        early = posted.entry[posted.entry < posted.ended]
        rows = self.market.at_ns.searchsorted(posted.at_ns, side="left")[early]
        return rows, posted.route[: len(early)], posted.amount[: len(early)]


def _codes(accounts: Sequence[Account]) -> tuple[dict[Account, int], dict[Asset, int]]:
    """The codes of accounts and of their assets, in order of first appearance."""
    assets = dict.fromkeys(each.asset for each in accounts)
    return {each: code for code, each in enumerate(accounts)}, {each: code for code, each in enumerate(assets)}


@frozen(eq=False)
class Details:
    """The journal of a run, and for each stream the size that each row was settled on, shape (rows,)."""

    journal: Sequence[Entry]
    sizes: Sequence[Ints]


@frozen(eq=False, kw_only=True)
class Posted:
    """The entries of a journal and their transfers as columns, and the routes that these take: between whom, and why.

    `rows` and `at_ns` have an element for each entry: how many rows had passed, and its instant. `entry`, `amount` and
    `route` have one for each transfer. The first `ended` entries came before the end of the run.
    """

    rows: Ints
    at_ns: Ints
    ended: int
    entry: Ints
    amount: Ints
    route: Ints
    routes: Sequence[tuple[Account, Account, str]]

    @classmethod
    def of(cls, journal: Sequence[Entry]) -> "Posted":
        """The entries and transfers in their order."""
        routes: dict[tuple[Account, Account, str], int] = {}
        places, amounts, taken = list[int](), list[int](), list[int]()
        for place, entry in enumerate(journal):
            for debit, credit, amount, kind in entry.transfers:
                places.append(place)
                amounts.append(amount)
                taken.append(routes.setdefault((debit, credit, kind), len(routes)))
        ends = (place for place, entry in enumerate(journal) if isinstance(entry.event, Ended))
        return cls(
            rows=np.array([entry.rows for entry in journal], dtype=np.int64),
            at_ns=np.array([entry.at_ns for entry in journal], dtype=np.int64),
            ended=next(ends, len(journal)),
            entry=np.array(places, dtype=np.int64),
            amount=np.array(amounts, dtype=np.int64),
            route=np.array(taken, dtype=np.int64),
            routes=tuple(routes),
        )


@frozen(eq=False, kw_only=True, slots=False)
class Order:
    """The order of everything in a run: settlements row by row and, between them, the entries of the journal."""

    streams: Ints
    """Those that settled anything, in their order."""
    settled: Ints
    """What they settled in each row, shape (rows, streams); a zero is no settlement."""
    firsts: Ints
    """The first settlement of each stream, by its number among all."""
    settled_before: Ints
    """How many settlements come before each entry."""
    transfers_before: Ints
    """How many transfers of entries come before each entry, and how many there are."""
    _before: Ints
    """How many settlements come before each row, and how many there are."""
    _between: Ints
    """How many settlements come before the first entry, between each two, and after the last."""
    _present: NDArray[np.bool_] | None
    """Which of `settled` are settlements; None where all are."""

    @classmethod
    def of(cls, settled: Ints, posted: Posted) -> "Order":
        """The order of what was settled, shape (rows, streams), and of the entries."""
        streams = np.array([column for column, each in enumerate(settled.T) if each.any()], dtype=np.int64)
        settled = settled.take(streams, axis=1)
        there = settled != 0
        in_rows: Ints = sum(there.T, np.zeros(len(there), dtype=np.int64))  # numpy is slow along so short an axis
        before = np.concatenate(([0], in_rows.cumsum()))
        settled_before, first_rows = before[posted.rows], [each.argmax() for each in there.T]
        return cls(
            streams=streams,
            settled=settled,
            firsts=before[first_rows] + there[first_rows].cumsum(axis=1).diagonal() - 1,
            settled_before=settled_before,
            transfers_before=posted.entry.searchsorted(np.arange(len(posted.rows) + 1)),
            before=before,
            between=np.diff(np.concatenate(([0], settled_before, before[-1:]))),
            present=there.reshape(-1) if before[-1] < there.size else None,
        )

    def __len__(self) -> int:
        return int(self._before[-1])

    def of_rows(self, values: Ints) -> Ints:
        """What each settlement has of values by row."""
        return values.repeat(np.diff(self._before))

    def of_each(self, values: Ints) -> Ints:
        """What each settlement has of values by row and stream."""
        flat = values.reshape(-1)
        return flat if self._present is None else flat[self._present]

    @property
    def rows(self) -> Ints:
        """The row of each settlement."""
        return self.of_rows(np.arange(len(self.settled)))

    @property
    def columns(self) -> Ints:
        """The stream of each settlement."""
        return self.of_each(np.broadcast_to(self.streams, self.settled.shape))

    @property
    def amounts(self) -> Ints:
        """What was settled, from the stream's credit account to its debit account."""
        return self.of_each(self.settled)

    @property
    def ids(self) -> Ints:
        """The id of each entry."""
        return self.settled_before + np.arange(1, len(self.settled_before) + 1)

    @property
    def settled_ids(self) -> Ints:
        """The id of each settlement."""
        return self.numbered(np.arange(1, len(self.settled_before) + 2))

    def numbered(self, beyond: Ints) -> Ints:
        """The settlements numbered from 0, each so much further as `beyond` has for the entries before it."""
        numbers = beyond.repeat(self._between)
        numbers += np.arange(len(self))
        return numbers


def write_out(books: Books) -> Written:
    """The ledger and the events of books whose run is over.

    Raises `LedgerError` for a balance that accrued below a floor.
    """
    count = len(books.market)
    settled: Ints = np.empty((count, len(books.streams)), dtype=np.int64, order="F")  # one stream after the other
    sizes = []
    for column, stream in enumerate(books.streams):
        settled[:, column], size = stream.amounts(count)
        sizes.append(size)
    _check_floors(books, settled)
    details = Details(books.journal, sizes)
    return Written(
        market=books.market,
        streams=books.streams,
        balances=dict(books.balances),
        settled=settled,
        posted=Posted.of(books.journal),
        detailing=lambda: details,
    )


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
