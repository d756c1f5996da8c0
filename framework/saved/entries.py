"""The books of a saved run as a stream of entries: a batch of rows is in memory at a time, however long the ledger."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from attrs import define, field, frozen

from framework.chain import Records
from framework.errors import RunError
from framework.market import utc
from framework.saved.folder import UNKNOWN, Folder
from framework.units import Asset


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
        kinds, holdings, seq = self.folder.kinds, self.holdings, 1
        for batch in self.folder.records():
            self._check(batch, seq)
            columns = (batch[name].tolist() for name in ("event", "at_ns", "kind", "debit", "credit", "amount"))
            for event, at_ns, kind, debit, credit, amount in zip(*columns, strict=True):
                yield event, at_ns, Moved(seq, kinds[kind], holdings[debit], holdings[credit], amount)
                seq += 1

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
