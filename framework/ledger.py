"""A double-entry ledger in integers: transfers appended, balanced by construction, and chained by digest."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from framework.accounts import Account, Record, Stream, Transfer
from framework.chain import RECORD, Records, links
from framework.errors import LedgerError
from framework.units import Asset

LIMIT = 2**63
"""Where the integers of a record end."""
Route = tuple[int, int, int]
"""Codes of the debit account, the credit account and the asset of a transfer."""
Codes = tuple[int, int, int, int]
"""The same with the kind before them, as they stand at the end of a record: four of type `CODE`, or one `WORD`."""
CODE, WORD = np.dtype("<u2"), np.dtype("<i8")
"""A record is four words: its time, event and amount, and its codes."""


class Ledger:
    """The books of one run: open accounts, post entries and series, read balances, records and the digest chain.

    Every transfer moves one positive integer of one asset from a credit account to a debit account, so each asset
    sums to zero at every instant. Time never runs backwards. A refused entry raises `LedgerError` and leaves no trace.
    """

    def __init__(self, accounts: Sequence[Account] = ()) -> None:
        self._codes: dict[Account, int] = {}
        self._routes: dict[tuple[Account, Account], Route] = {}
        self._names: dict[tuple[str, str], Account] = {}
        self._assets: dict[Asset, int] = {}
        self._kinds: dict[str, int] = {}
        self._balances: dict[Account, int] = {}
        self._principals: dict[Account, tuple[int, int]] = {}
        self._pending: list[tuple[int, int, int, int, int, int, int]] = []
        self._parts: list[_Series | Records] = []
        self._records: Records = np.empty(0, dtype=RECORD)
        self._length = 0
        self._last_ns = -(2**63)
        for account in accounts:
            self.open(account)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Record]:
        accounts, kinds, assets = self.accounts, tuple(self._kinds), tuple(self._assets)
        for seq, (at_ns, event, amount, kind, debit, credit, asset) in enumerate(self.records().tolist(), start=1):
            yield Record(
                seq,
                at_ns,
                event,
                kinds[kind],
                accounts[debit].name,
                accounts[credit].name,
                assets[asset].code,
                amount,
            )

    @property
    def accounts(self) -> tuple[Account, ...]:
        """All accounts in the order in which they were opened, which is the order of their codes."""
        return tuple(self._codes)

    @property
    def kinds(self) -> tuple[str, ...]:
        """All kinds of transfer in the order of their codes."""
        return tuple(self._kinds)

    @property
    def assets(self) -> tuple[Asset, ...]:
        """All assets in the order of their codes."""
        return tuple(self._assets)

    def open(self, account: Account) -> None:
        """Open an account with a balance of zero; a name may be open once per asset."""
        if (account.name, account.asset.code) in self._names:
            raise LedgerError(f"account {account.name} in {account.asset.code} is open already")
        self._names[account.name, account.asset.code] = account
        self._codes[account] = len(self._codes)
        self._assets.setdefault(account.asset, len(self._assets))
        self._balances[account] = 0
        self._principals[account] = (0, self._last_ns)

    def account(self, name: str, asset: str = "USDC") -> Account:
        """The open account of a name; raises `LedgerError` where there is none."""
        try:
            return self._names[name, asset]
        except KeyError:
            raise LedgerError(f"account {name} in {asset} is not open") from None

    def balance(self, account: Account) -> int:
        """Debits less credits, in atomic units."""
        try:
            return self._balances[account]
        except KeyError:
            raise _closed(account) from None

    def principal(self, account: Account) -> tuple[int, int]:
        """(balance, at_ns) as the last single entry on the account left it."""
        try:
            return self._principals[account]
        except KeyError:
            raise _closed(account) from None

    def holding(self, asset: Asset) -> tuple[int, int]:
        """(atomic units of an asset on all Assets accounts, at_ns of the last single entry that changed them)."""
        held, since_ns = 0, 0
        for account in self._codes:
            if account.asset == asset:
                if account.name.startswith("Assets:"):
                    held += self._balances[account]
                else:
                    since_ns = max(since_ns, self._principals[account][1])
        return held, since_ns

    def balances(self) -> Mapping[Account, int]:
        """The balance of every account, in atomic units, debits less credits."""
        return dict(self._balances)

    def post(self, at_ns: int, event: int, transfers: Sequence[Transfer]) -> None:
        """Append the transfers of one event, all of them or none."""
        self._advance(at_ns)
        if not 0 < event < LIMIT:
            raise LedgerError(f"{event} is not the id of an event; expected an int above 0")
        known = self._balances
        balances: dict[Account, int] = {}
        routes = []
        for transfer in transfers:
            debit, credit, amount = transfer.debit, transfer.credit, transfer.amount
            routes.append(self._route(debit, credit))
            if type(amount) is not int or not 0 < amount < LIMIT:
                raise LedgerError(
                    f"{transfer.kind} of {amount!r} {debit.asset.code}: expected an int above 0 and below 2^63"
                )
            balances[debit] = balances.get(debit, known[debit]) + amount
            balances[credit] = balances.get(credit, known[credit]) - amount
        for account, balance in balances.items():
            if account.floor and balance * account.sign < 0:
                raise _below(account, known[account] * account.sign, balance * account.sign)
        kinds = self._kinds
        for transfer, route in zip(transfers, routes, strict=True):
            kind = kinds.setdefault(transfer.kind, len(kinds))
            self._pending.append((at_ns, event, transfer.amount, kind, *route))
        known.update(balances)
        self._principals.update({account: (balance, at_ns) for account, balance in balances.items()})
        self._length += len(routes)
        self._last_ns = at_ns

    def post_series(
        self, at_ns: NDArray[np.int64], first_event: int, streams: Sequence[Stream], amounts: NDArray[np.int64]
    ) -> int:
        """Append settlements row by row, within a row stream by stream; zeros are left out. Returns how many there are.

        `at_ns` has shape (rows,), `amounts` (rows, streams) and a sign: positive runs to the stream's debit account.
        Every settlement is an event of its own, numbered from `first_event`. Both arrays are kept, not copied.
        """
        count = int(np.count_nonzero(amounts))
        if not count:
            return 0
        first, last = 0, -1
        if count < amounts.size:
            first, last = np.flatnonzero(amounts.any(axis=1))[[0, -1]].tolist()
        self._advance(int(at_ns[first]))
        if (at_ns[1:] < at_ns[:-1]).any():
            raise LedgerError("a series runs back in time; expected its rows in time order")
        lows, highs, most = amounts.min(axis=0).tolist(), amounts.max(axis=0).tolist(), LIMIT // len(at_ns)
        if amounts.dtype.kind != "i" or not -most < min(lows) <= max(highs) < most:
            raise LedgerError("amounts of a series are not ints that can be summed; expected int64 atomic units")
        routes = [self._route(stream.debit, stream.credit) for stream in streams]
        for stream, low, high in zip(streams, lows, highs, strict=True):
            for account, sign in ((stream.debit, 1), (stream.credit, -1)):
                if account.floor and (low < 0 if sign == account.sign else high > 0):
                    self._check_floor(account, streams, amounts)
        for stream, total in zip(streams, amounts.sum(axis=0).tolist(), strict=True):
            self._balances[stream.debit] += total
            self._balances[stream.credit] -= total
        kinds = self._series_kinds(streams, amounts)
        codes = [
            ((kind, debit, credit, asset), (kind, credit, debit, asset))
            for kind, (debit, credit, asset) in zip(kinds, routes, strict=True)
        ]
        self._flush_entries()
        self._parts.append(_Series(at_ns, first_event, codes, amounts, count))
        self._length += count
        self._last_ns = int(at_ns[last])
        return count

    def records(self) -> Records:
        """All transfers as one structured array of dtype `RECORD`, which cannot be written."""
        self._flush_entries()
        if self._parts:
            written = np.empty(self._length, dtype=RECORD)
            written[: len(self._records)] = self._records
            start = len(self._records)
            for part in self._parts:
                stop = start + len(part)
                if isinstance(part, _Series):
                    part.write(written[start:stop])
                else:
                    written[start:stop] = part
                start = stop
            written.setflags(write=False)
            self._records, self._parts = written, []
        return self._records

    def chain(self) -> tuple[str, ...]:
        """The digest chain over the chart of accounts and all transfers; see `framework.chain`."""
        return tuple(links(self.chart(), [self.records()]))

    def chart(self) -> dict[str, list[list[str | int]]]:
        """Names behind the codes of the records: accounts with their asset, assets with their decimals, kinds.

        `floored` are the codes of the accounts that may not turn against their usual side.
        """
        return {
            "accounts": [[account.name, account.asset.code] for account in self._codes],
            "floored": [[code] for code, account in enumerate(self._codes) if account.floor],
            "assets": [[asset.code, asset.decimals] for asset in self._assets],
            "kinds": [[kind] for kind in self._kinds],
        }

    @property
    def digest(self) -> str:
        """The head of the chain: two ledgers with the same head hold the same transfers in the same order."""
        return self.chain()[-1]

    def _advance(self, at_ns: int) -> None:
        if not 0 <= at_ns < LIMIT:
            raise LedgerError(f"{at_ns} ns is not a time; expected 0 to 2^63 ns since 1970")
        if at_ns < self._last_ns:
            raise LedgerError(f"an entry at {at_ns} ns is before the last one at {self._last_ns} ns")

    def _route(self, debit: Account, credit: Account) -> Route:
        """The codes of a transfer between two accounts; refuses one that cannot be."""
        route = self._routes.get((debit, credit))
        if route is None:
            if debit.asset != credit.asset:
                raise LedgerError(
                    f"a transfer moves one asset: {debit.name} holds {debit.asset.code}, "
                    f"{credit.name} holds {credit.asset.code}"
                )
            if debit is credit:
                raise LedgerError(f"a transfer needs two accounts, not {debit.name} twice")
            codes = self._codes
            if debit not in codes or credit not in codes:
                raise _closed(credit if debit in codes else debit)
            route = self._routes[debit, credit] = (codes[debit], codes[credit], self._assets[debit.asset])
        return route

    def _series_kinds(self, streams: Sequence[Stream], amounts: NDArray[np.int64]) -> Sequence[int]:
        """Codes of the streams' kinds; new ones are numbered as they first appear, however the rows are cut."""
        kinds = self._kinds
        if any(stream.kind not in kinds for stream in streams):
            present, first = np.unique(amounts.nonzero()[1], return_index=True)
            for column in present[np.argsort(first)]:
                kinds.setdefault(streams[column].kind, len(kinds))
        return [kinds.get(stream.kind, 0) for stream in streams]

    def _check_floor(self, account: Account, streams: Sequence[Stream], amounts: NDArray[np.int64]) -> None:
        """Refuse a series that would take an account below its floor on the way."""
        held = self.balance(account) * account.sign
        path = np.full(len(amounts), held)
        for column, stream in enumerate(streams):
            for side, sign in ((stream.debit, account.sign), (stream.credit, -account.sign)):
                if side is account:
                    path += sign * amounts[:, column].cumsum()
        for row in np.flatnonzero(path < 0)[:1].tolist():
            raise _below(account, int(path[row - 1]) if row else held, int(path[row]), row)

    def _flush_entries(self) -> None:
        if self._pending:
            self._parts.append(np.array(self._pending, dtype=RECORD))
            self._pending = []


@frozen(eq=False)
class _Series:
    """Settlements as they were posted; `codes` are those of each stream's transfers, forward and back."""

    at_ns: NDArray[np.int64]
    first_event: int
    codes: Sequence[tuple[Codes, Codes]]
    amounts: NDArray[np.int64]
    count: int

    def __len__(self) -> int:
        return self.count

    def write(self, records: Records) -> None:
        """The transfers of the series, row by row, into an array of as many records."""
        whole = self.count == self.amounts.size
        cells = records if whole else np.empty(self.amounts.size, dtype=RECORD)
        words = cells.view(WORD).reshape(*self.amounts.shape, -1)
        forward, back = (np.array(codes, dtype=CODE).view(WORD).T for codes in zip(*self.codes, strict=True))
        words[..., 0] = self.at_ns[:, np.newaxis]
        words[..., 2] = np.abs(self.amounts)
        words[..., 3] = np.where(self.amounts > 0, forward, back)
        if not whole:
            records[:] = cells[words[..., 2].ravel() != 0]
        records["event"] = np.arange(self.first_event, self.first_event + self.count)


def _below(account: Account, held: int, left: int, row: int | None = None) -> LedgerError:
    """The refusal of what would take an account below its floor; amounts on its usual side are above 0."""
    before, after = (f"{account.asset.decimal(each):f} {account.asset.code}" for each in (held, left))
    return LedgerError(f"{account.name} holds {before} and would fall to {after}; expected 0 or more", row)


def _closed(account: Account) -> LedgerError:
    where = f"account {account.name} in {account.asset.code}"
    return LedgerError(
        f"{where} is not open; expected one that the `accounts` of a venue names, and no other of its name"
    )
