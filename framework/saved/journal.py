"""Journals that other programs check: a saved run as text for beancount and hledger, entry by entry.

Both get every amount with all its decimals, declared accounts and commodities, the price of every row, ids as
metadata, and balances to hold against: hledger after every posting, beancount after every day and at the end.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Literal

from framework.errors import RunError
from framework.saved.entries import Entry, Holding, SavedBooks, date_and_time, fixed
from framework.saved.folder import Folder
from framework.saved.spreadsheet import write_tables
from framework.units import USDC, Asset

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
    draft = Path(mkdtemp(prefix=".export.", dir=place))
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
    for entry in _again(first, entries):
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


def _again(first: Entry | None, rest: Iterator[Entry]) -> Iterator[Entry]:
    if first:
        yield first
        yield from rest


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
