"""Exports: a saved run as text for beancount, hledger and spreadsheets.

The books are read as a stream of entries: a batch of rows is in memory at a time, however long the ledger. Every
program gets all amounts with all their decimals, and the price of every row. The two journals have declared accounts
and commodities, ids as metadata, and balances to hold against: hledger after every posting, beancount after every day
and at the end. Spreadsheets get CSV: exact decimals, times in UTC, a line of headings each.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from shutil import rmtree
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from attrs import define, field, frozen

from framework.errors import RunError
from framework.ledger import Records
from framework.market import utc
from framework.money import EXACT, USDC, Asset
from framework.run_folder.archive import UNKNOWN, Folder
from framework.support.files import new_draft
from framework.support.text import Sheet


@define(eq=False)
class Holding:
    """One account in one asset, and what has gone through it so far, in atomic units."""

    account: str
    asset: Asset
    debits: int = 0
    credits: int = 0
    transfers: int = 0

    @property
    def balance(self) -> int:
        """Debits less credits."""
        return self.debits - self.credits

    def post(self, change: int) -> int:
        """Take a change, debits positive, and return the balance after it."""
        if change > 0:
            self.debits += change
        else:
            self.credits -= change
        self.transfers += 1
        return self.debits - self.credits

    @property
    def root(self) -> str:
        """`Assets`, `Liabilities`, `Equity`, `Income` or `Expenses`."""
        return self.account.partition(":")[0]


class Moved(NamedTuple):
    """One transfer: `amount` atomic units from the credit to the debit side."""

    seq: int
    kind: str
    debit: Holding
    credit: Holding
    amount: int


class Entry(NamedTuple):
    """All transfers of one event at one instant; venue, kind and cause are those of the event."""

    at_ns: int
    event: int
    venue: str
    event_kind: str
    cause: int | None
    transfers: Sequence[Moved]

    @property
    def kinds(self) -> str:
        """The kinds of its transfers, each once, in their order."""
        if len(self.transfers) == 1:
            return self.transfers[0].kind
        return ", ".join(dict.fromkeys(transfer.kind for transfer in self.transfers))


class Priced(NamedTuple):
    """The close of an asset in one row of the market: `price_usd` is the very decimal that was used."""

    at_ns: int
    row: int
    asset: Asset
    price_usd: str


@frozen(eq=False)
class SavedBooks:
    """The books in a run's folder; raises `RunError` for a file or a row that is not a run's."""

    folder: Folder
    holdings: tuple[Holding, ...] = field(init=False, repr=False)
    """Every account, in the order of the chart; `entries` leaves its balances here."""

    @holdings.default
    def _open(self) -> tuple[Holding, ...]:
        return tuple(Holding(account.name, account.asset) for account in self.folder.accounts)

    def held(self) -> tuple[Asset, ...]:
        """Assets that some transfer moved, in the order of the chart."""
        found = {code for batch in self.folder.batches("balances", ("asset",)) for code in batch["asset"].to_pylist()}
        return tuple(asset for asset in self.folder.assets if asset.code in found)

    def entries(self) -> Iterator[Entry]:
        """Every entry in the order of the ledger; to be read once, since holdings are left as the last entry did.

        Holdings do not move by themselves: who reads an entry posts its transfers.
        """
        log = self._log()
        told = next(log, None)
        for (event, at_ns), rows in groupby(self._transfers(), key=itemgetter(0, 1)):
            while told and told[0] < event:
                told = next(log, None)
            _, kind, venue, cause = told if told and told[0] == event else (event, None, None, None)
            yield Entry(at_ns, event, venue or "", kind or "", cause, [transfer for _, _, transfer in rows])

    def prices(self) -> Iterator[Priced]:
        """The close of each asset that was held in each row of the market, row by row; dollars have no price."""
        moved = self.held()
        held = [(asset, prices) for asset, prices in self.folder.book.prices.items() if asset in moved]
        for row, at_ns in enumerate(self.folder.book.at_ns.tolist()):
            for asset, prices in held:
                yield Priced(at_ns, row, asset, fixed(int(prices.values[row + 1]), prices.decimals))

    def _transfers(self) -> Iterator[tuple[int, int, Moved]]:
        kinds, holdings = self.folder.kinds, self.holdings
        for first, batch in self.folder.numbered():
            self._check(batch, first)
            columns = (batch[name].tolist() for name in ("event", "at_ns", "kind", "debit", "credit", "amount"))
            for seq, (event, at_ns, kind, debit, credit, amount) in enumerate(zip(*columns, strict=True), first):
                yield event, at_ns, Moved(seq, kinds[kind], holdings[debit], holdings[credit], amount)

    def _check(self, batch: Records, first: int) -> None:
        """Refuse a transfer that no journal could hold."""
        for wrong, words in (
            ((batch["debit"] == UNKNOWN) | (batch["credit"] == UNKNOWN), "an account that is not in the chart"),
            (batch["kind"] == UNKNOWN, "a kind that is not in the chart"),
            (batch["amount"] <= 0, "no positive amount"),
            (batch["at_ns"] < 0, "no instant"),
        ):
            for index in np.flatnonzero(wrong)[:1].tolist():
                place = f"{self.folder.path / 'ledger.parquet'}: row {first + index}"
                raise RunError(f"{place}: {words}; expected a transfer as it was saved (see carrybook audit)")

    def _log(self) -> Iterator[tuple[int, str | None, str | None, int | None]]:
        for batch in self.folder.batches("events", ("event", "kind", "venue", "cause"), ("kind", "venue")):
            columns = (batch["event"].to_pylist(), _words(batch["kind"]), _words(batch["venue"]))
            yield from zip(*columns, batch["cause"].to_pylist(), strict=True)


@lru_cache(maxsize=4096)
def date_and_time(at_ns: int) -> tuple[str, str]:
    """An instant as a date and a time of day in UTC, to the millisecond, or to the nanosecond where it has them."""
    fraction = at_ns % 1_000_000_000
    digits = f"{fraction:09}" if fraction % 1_000_000 else f"{fraction // 1_000_000:03}"
    at = utc(at_ns)
    return at.date().isoformat(), f"{at:%H:%M:%S}.{digits}"


def fixed(atoms: int, decimals: int) -> str:
    """Atomic units as whole units with all their decimals: `fixed(-5, 6)` is `-0.000005`."""
    if not decimals:
        return str(atoms)
    digits = f"{abs(atoms):0{decimals + 1}}"
    return f"{'-' if atoms < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"


def _words(column: pa.DictionaryArray) -> list[str | None]:
    words = [*column.dictionary.to_pylist(), None]
    return [words[code] for code in column.indices.fill_null(-1).to_pylist()]


Form = Literal["beancount", "hledger", "csv"]
BEANCOUNT_COMMODITY = re.compile(r"[A-Z](?:[A-Z0-9'._-]{0,22}[A-Z0-9])?")
"""What beancount takes as the name of a commodity: at most 24 characters."""
HLEDGER_TYPES = {"Assets": "A", "Liabilities": "L", "Equity": "E", "Income": "R", "Expenses": "X"}


def export(folder: Folder, form: Form, out: Path) -> tuple[Path, ...]:
    """Write a saved run for another program into the directory `out`, and return the files.

    `beancount` and `hledger` are one journal, `csv` several tables. Files of the same names are replaced, each whole or
    not at all. Raises `RunError` for a folder that is not a run's or a place that cannot be written, and then nothing
    has been written.
    """
    books = SavedBooks(folder)
    try:
        with _draft(out) as draft:
            if form == "csv":
                write_tables(books, draft)
            else:
                lines, name = JOURNALS[form]
                with (draft / name).open("w", encoding="utf-8") as file:
                    file.writelines(lines(books))
            written = sorted(path.name for path in draft.iterdir())
            out.mkdir(parents=True, exist_ok=True)
            for name in written:
                (draft / name).replace(out / name)
    except OSError as error:
        raise RunError(f"{out}: not writable ({error.strerror}); expected a directory for exports") from None
    return tuple(out / name for name in written)


@contextmanager
def _draft(out: Path) -> Iterator[Path]:
    """A directory within the one to be written, or where that will be made; it is gone afterwards."""
    place = next(each for each in (out, *out.parents) if each.exists())
    draft = new_draft(place, "export")
    try:
        yield draft
    finally:
        rmtree(draft, ignore_errors=True)


def beancount(books: SavedBooks) -> Iterator[str]:
    """The journal for `bean-check`: dates only, times as metadata, balances at the start of the day after a change."""
    codes = commodities(books.folder.assets, "beancount", beancount_commodity)
    families = _families(books.holdings)
    entries = books.entries()
    first = next(entries, None)
    start, _ = date_and_time(first.at_ns) if first else ("1970-01-01", "")

    def balances(day: str, holdings: Iterable[Holding]) -> Iterator[str]:
        after = date.fromisoformat(day) + timedelta(days=1)
        for holding in holdings:
            total = sum(each.balance for each in families[holding])
            amount = fixed(total, holding.asset.decimals)
            yield f"{after} balance {holding.account}  {amount} ~ 0 {codes[holding.asset]}\n"

    yield _about(books)
    yield f'option "title" {_quoted(f"{books.folder.scenario.name} {books.folder.name[:16]}")}\n'
    yield 'option "operating_currency" "USDC"\n\n'
    for asset in books.folder.assets:
        yield f"{start} commodity {codes[asset]}\n  code: {_quoted(asset.code)}\n  decimals: {asset.decimals}\n"
    yield "\n"
    for account, holdings in _by_account(books.holdings).items():
        yield f"{start} open {account}  {','.join(codes[holding.asset] for holding in holdings)}\n"
    yield "\n"
    for at_ns, row, asset, price_usd in books.prices():
        day, time = date_and_time(at_ns)
        yield f'{day} price {codes[asset]}  {price_usd} USDC\n  row: {row}\n  time: "{time}"\n'
    day, moved = start, dict[Holding, None]()
    for entry in chain((first,) if first else (), entries):
        today, time = date_and_time(entry.at_ns)
        if today != day:
            yield from balances(day, moved)
            day, moved = today, {}
        yield _beancount_entry(entry, today, time, codes)
        for transfer in entry.transfers:
            moved[transfer.debit] = moved[transfer.credit] = None
    yield from balances(day, books.holdings)


def _beancount_entry(entry: Entry, day: str, time: str, codes: dict[Asset, str]) -> str:
    cause = "" if entry.cause is None else f"  cause: {entry.cause}\n"
    text = [(
        f"\n{day} * {_quoted(entry.venue)} {_quoted(entry.kinds)}\n  event: {entry.event}\n"
        f'  event_kind: {_quoted(entry.event_kind)}\n{cause}  at_ns: {entry.at_ns}\n  time: "{time}"\n'
    )]  # fmt: skip
    for seq, kind, debit, credit, amount in entry.transfers:
        debit.post(amount)
        credit.post(-amount)
        code, about = codes[debit.asset], f"    seq: {seq}\n    kind: {_quoted(kind)}\n"
        units = fixed(amount, debit.asset.decimals)
        text.append(f"  {debit.account}  {units} {code}\n{about}  {credit.account}  -{units} {code}\n{about}")
    return "".join(text)


def beancount_commodity(code: str) -> str:
    """An asset's code as beancount takes it: itself, or made over into one of 24 capitals, digits and marks."""
    if BEANCOUNT_COMMODITY.fullmatch(code):
        return code
    return re.sub(r"[^A-Z0-9'._-]", "-", f"C-{code.upper()}")[:24].rstrip("'._-")


def commodities(assets: Sequence[Asset], program: str, named: Callable[[str], str]) -> dict[Asset, str]:
    """Asset -> its name in a program; raises `RunError` where two would meet."""
    names: dict[Asset, str] = {}
    for asset in assets:
        name = named(asset.code)
        if name in names.values():
            raise RunError(f"asset {asset.code}: {program} would know it as {name}, as it knows another; rename one")
        names[asset] = name
    return names


def _families(holdings: Iterable[Holding]) -> dict[Holding, list[Holding]]:
    """Each holding with those of the same asset below its account: what beancount counts in a balance."""
    every = list(holdings)
    return {
        above: [
            each
            for each in every
            if each.asset == above.asset and f"{each.account}:".startswith(f"{above.account}:")
        ]
        for above in every
    }  # fmt: skip


def hledger(books: SavedBooks) -> Iterator[str]:
    """The journal for `hledger check --strict`: every posting is followed by the balance that it leaves."""
    codes = commodities(books.folder.assets, "hledger", hledger_commodity)
    yield _about(books)
    yield "decimal-mark .\n\n"
    for asset in books.folder.assets:
        yield f"commodity 1000.{'0' * asset.decimals} {codes[asset]}\n"
    yield "\n"
    for account in _by_account(books.holdings):
        yield f"account {account}  ; type: {HLEDGER_TYPES[account.partition(':')[0]]}\n"
    yield "\n"
    for at_ns, row, asset, price_usd in books.prices():
        day, time = date_and_time(at_ns)
        yield f"P {day} {codes[asset]} {price_usd} {codes[USDC]}  ; row:{row}, time:{time}\n"
    for entry in books.entries():
        yield _hledger_entry(entry, codes)


def _hledger_entry(entry: Entry, codes: dict[Asset, str]) -> str:
    day, time = date_and_time(entry.at_ns)
    cause = "" if entry.cause is None else f", cause:{entry.cause}"
    text = [(
        f"\n{day} * ({entry.event}) {_plain(entry.venue)} | {_plain(entry.kinds)}\n"
        f"    ; event:{entry.event}, event_kind:{_tag(entry.event_kind)}{cause}, at_ns:{entry.at_ns}, time:{time}\n"
    )]  # fmt: skip
    for seq, kind, debit, credit, amount in entry.transfers:
        decimals, code = debit.asset.decimals, codes[debit.asset]
        units, about = fixed(amount, decimals), f"  ; seq:{seq}, kind:{_tag(kind)}\n"
        text.append(
            f"    {debit.account}  {units} {code} = {fixed(debit.post(amount), decimals)} {code}{about}"
            f"    {credit.account}  -{units} {code} = {fixed(credit.post(-amount), decimals)} {code}{about}"
        )
    return "".join(text)


def hledger_commodity(code: str) -> str:
    """An asset's code as hledger reads it: in quotes unless it is letters alone, and without what ends it there."""
    if code.isascii() and code.isalpha():
        return code
    return '"' + " ".join(code.split()).replace('"', "'").replace(";", ",") + '"'


JOURNALS: dict[str, tuple[Callable[[SavedBooks], Iterator[str]], str]] = {
    "beancount": (beancount, "ledger.beancount"),
    "hledger": (hledger, "ledger.journal"),
}
"""Form of a journal -> what writes it and the name of its file."""


def _about(books: SavedBooks) -> str:
    """What a reader must know first, as comments."""
    run = books.folder
    lines = [f"Run {run.name} of the scenario {run.scenario.name}", f"Ledger digest {run.digest}", run.label]
    return "".join(f"; {_plain(line)}\n" for line in lines if line) + "\n"


def _by_account(holdings: Iterable[Holding]) -> dict[str, list[Holding]]:
    accounts: dict[str, list[Holding]] = {}
    for holding in holdings:
        accounts.setdefault(holding.account, []).append(holding)
    return accounts


@lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    escaped = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    """Text without what ends a description in hledger."""
    return " ".join(text.split()).replace(";", ",").replace("|", "/")


@lru_cache(maxsize=4096)
def _tag(text: str) -> str:
    """Text without what ends the value of a tag in hledger."""
    return _plain(text).replace(",", " ")


TABLES = {
    "about": ("what", "is"),
    "accounts": (
        "account", "asset", "type", "decimals", "transfers", "debits", "credits", "balance", "price_usd", "value_usd",
    ),
    "balances": ("date", "account", "asset", "debits", "credits", "balance"),
    "prices": ("date", "time", "at_ns", "row", "asset", "price_usd"),
    "transfers": (
        "seq", "date", "time", "at_ns", "event", "event_kind", "venue", "cause",
        "kind", "debit", "credit", "asset", "amount",
    ),
}  # fmt: skip
"""Table -> its columns. Amounts, debits, credits and balances are whole units of the asset with all its decimals.

`accounts` has every account at the end, valued at the last close; `balances` every account that moved on a day, at the
end of that day.
"""


def write_tables(books: SavedBooks, folder: Path) -> None:
    """Write `about.csv`, `accounts.csv`, `balances.csv`, `prices.csv` and `transfers.csv`; raises `OSError`."""
    with ExitStack() as files:
        tables = {}
        for name, columns in TABLES.items():
            file = files.enter_context((folder / f"{name}.csv").open("w", encoding="utf-8", newline=""))
            tables[name] = Sheet(file)
            tables[name].writerow(columns)
        last = {USDC: Decimal(1)}
        for at_ns, row, asset, price_usd in books.prices():
            tables["prices"].writerow((*date_and_time(at_ns), at_ns, row, asset.code, price_usd))
            last[asset] = Decimal(price_usd)
        day, moved = "", dict[Holding, tuple[int, int]]()
        for entry in books.entries():
            today, time = date_and_time(entry.at_ns)
            if today != day:
                tables["balances"].writerows(_day(day, moved))
                day, moved = today, {}
            for transfer in entry.transfers:
                for holding in (transfer.debit, transfer.credit):
                    moved.setdefault(holding, (holding.debits, holding.credits))
            tables["transfers"].writerows(_transfers(entry, today, time))
        tables["balances"].writerows(_day(day, moved))
        tables["accounts"].writerows(_account(holding, last) for holding in books.holdings)
        tables["about"].writerows(
            (
                ("run", books.folder.name),
                ("scenario", books.folder.scenario.name),
                ("data", books.folder.label or "files"),
                ("ledger_digest", books.folder.digest),
            )
        )


def _transfers(entry: Entry, day: str, time: str) -> Iterable[tuple[object, ...]]:
    about = (day, time, entry.at_ns, entry.event, entry.event_kind, entry.venue, entry.cause)
    for seq, kind, debit, credit, amount in entry.transfers:
        debit.post(amount)
        credit.post(-amount)
        asset = debit.asset
        yield (seq, *about, kind, debit.account, credit.account, asset.code, fixed(amount, asset.decimals))


def _day(day: str, moved: dict[Holding, tuple[int, int]]) -> Iterable[tuple[str, ...]]:
    """Debits and credits of one day, and the balance at its end."""
    for holding, (debits, credits_) in moved.items():
        amounts = (holding.debits - debits, holding.credits - credits_, holding.balance)
        yield (day, holding.account, holding.asset.code, *(fixed(each, holding.asset.decimals) for each in amounts))


def _account(holding: Holding, last: dict[Asset, Decimal]) -> tuple[object, ...]:
    asset, price_usd = holding.asset, last.get(holding.asset)
    amounts = [fixed(each, asset.decimals) for each in (holding.debits, holding.credits, holding.balance)]
    value = "" if price_usd is None else f"{EXACT.multiply(price_usd, asset.decimal(holding.balance)):f}"
    price = "" if price_usd is None else f"{price_usd:f}"
    return (holding.account, asset.code, holding.root, asset.decimals, holding.transfers, *amounts, price, value)
