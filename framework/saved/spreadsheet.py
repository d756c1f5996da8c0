"""A saved run as tables for a spreadsheet: CSV with exact decimals, times in UTC, a line of headings each."""

import csv
from collections.abc import Iterable
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

from framework.saved.entries import Entry, Holding, SavedBooks, date_and_time, fixed
from framework.units import EXACT, USDC, Asset

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
            tables[name] = csv.writer(file, lineterminator="\n")
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
