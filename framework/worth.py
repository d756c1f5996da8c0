"""Worth: what went through every account and what is left on it, in exact USD at the prices of the moment.

Money is counted in integers of 10^-`PLACES` USD, so a sum that should be zero is exactly zero.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from framework.accounts import Account
from framework.chain import Records
from framework.market import At, Floats, Ints, Market
from framework.run import Run
from framework.units import USDC, Asset

PLACES = 36
"""Decimals of the integers in which USD are counted: enough for any price times any amount."""
FEW_DIGITS = 10**15
"""Below this an integer over a power of ten is one float, and that float is no other such fraction."""
LIMB_BITS = 21
"""Integers are multiplied in limbs of so many bits: a product has 42, and sums of `MOST_PRODUCTS` stay below 2^63."""
MOST_PRODUCTS = 1 << 20


@frozen(kw_only=True, eq=False)
class Prices:
    """An asset's prices as integers of 10^-`decimals` USD, the very decimals that were read.

    The first is the one at which the run was opened, then those of the rows as they close.
    """

    values: NDArray[Any]
    decimals: int

    @classmethod
    def of(cls, market: Market, asset: Asset, opened_at: At) -> "Prices":
        """The exact prices of an asset."""
        closes, opens = market.price_column(asset), market.price_column(asset, opened_at)
        return market.cached(("exact", opens, closes), lambda: cls.exact(market[opens][:1], market[closes]))

    @classmethod
    def exact(cls, opened: Floats, closes: Floats) -> "Prices":
        """The price of the opening and those of the closes, floats, as the decimals that they are written with."""
        prices = np.concatenate((opened, closes))
        for decimals in range(10):
            scaled = np.rint(prices * 10**decimals)
            if scaled.max(initial=0.0) < FEW_DIGITS and np.array_equal(scaled / 10**decimals, prices):
                return cls(values=scaled.astype(np.int64), decimals=decimals)
        written = [Decimal(repr(price)) for price in prices.tolist()]
        decimals = max(-min(0, int(each.as_tuple().exponent)) for each in written)
        return cls(values=np.array([int(each.scaleb(decimals)) for each in written], dtype=object), decimals=decimals)

    @cached_property
    def _limbs(self) -> Ints:
        return limbs(self.values)

    def total(self, amounts: Ints, rows: Ints) -> int:
        """The sum of amounts times the values of their rows, exactly."""
        total = 0
        for start in range(0, len(amounts), MOST_PRODUCTS):
            part = slice(start, start + MOST_PRODUCTS)
            sums = limbs(amounts[part]) @ self._limbs.take(rows[part], axis=1).T
            for (left, right), each in np.ndenumerate(sums):
                total += int(each) << LIMB_BITS * (left + right)
        return total

    def usd(self, asset: Asset, atoms: int, row: int) -> int:
        """Atomic units at the price of a row, counted from 1, as an integer of 10^-PLACES USD; row 0 is the opening."""
        return atoms * int(self.values[row]) * self.scale(asset)

    def scale(self, asset: Asset) -> int:
        """What an atomic unit times a price value counts, in 10^-PLACES USD."""
        return int(10 ** (PLACES - self.decimals - asset.decimals))


def usdc(atoms: int) -> int:
    """Atomic units of USDC, at a dollar each, as an integer of 10^-PLACES USD."""
    return atoms * int(10 ** (PLACES - USDC.decimals))


def decimal(amount: int) -> Decimal:
    """An integer of 10^-PLACES USD as a decimal, without the zeros at its end."""
    places = PLACES
    while places and amount % 10 == 0:
        amount, places = amount // 10, places - 1
    return Decimal(f"{amount}e-{places}")


def priced(accounts: Sequence[Account]) -> Sequence[Asset]:
    """The assets of accounts that are not dollars, each once."""
    return [asset for asset in dict.fromkeys(account.asset for account in accounts) if asset != USDC]


def limbs(values: NDArray[Any]) -> Ints:
    """Integers in limbs of `LIMB_BITS`, the least first and the last with the sign: shape (limbs, values)."""
    cut = []
    while max(int(values.max(initial=0)), -int(values.min(initial=0))) >> LIMB_BITS:
        cut.append(values & (1 << LIMB_BITS) - 1)
        values = values >> LIMB_BITS
    return np.stack([*cut, values]).astype(np.int64)


@frozen(kw_only=True, eq=False)
class Flow:
    """Part of what went through one account in one batch: shape (entries,), amounts signed, debits less credits."""

    account: Account
    amounts: Ints
    _batch: Records
    _first_seq: int
    _entries: NDArray[np.intp]

    @cached_property
    def seq(self) -> Ints:
        """The number of each transfer in the ledger."""
        return self._first_seq + self._entries

    @cached_property
    def event(self) -> Ints:
        """The event behind each transfer."""
        return self._batch["event"][self._entries]

    @cached_property
    def at_ns(self) -> Ints:
        """The instant of each transfer."""
        return self._batch["at_ns"][self._entries]


@frozen(kw_only=True, eq=False)
class Worth:
    """Every account of a run valued: `through` is what went through it at the prices of its moments, `left` what is
    left at the last close, both integers of 10^-PLACES USD, debits less credits; `balances` are atomic units.
    """

    through: Mapping[Account, int]
    left: Mapping[Account, int]
    balances: Mapping[Account, int]

    @classmethod
    def of(cls, run: Run) -> "Worth":
        """The worth of a run in memory."""
        return PricedBook.of(run.ledger.accounts, run.market, run.opened_at).worth([run.ledger.records()])

    def equity(self) -> int:
        """Assets less liabilities at the last close, in 10^-PLACES USD."""
        return sum(left for account, left in self.left.items() if account.name.startswith(("Assets:", "Liabilities:")))


@frozen(kw_only=True, eq=False)
class PricedBook:
    """A chart of accounts with the prices of a market: turns batches of transfers into flows and into worth.

    `at_ns` has shape (rows,): when each row of the prices closed. Dollars need no price.
    """

    accounts: Sequence[Account]
    at_ns: Ints
    prices: Mapping[Asset, Prices]

    @classmethod
    def of(cls, accounts: Sequence[Account], market: Market, opened_at: At) -> "PricedBook":
        """The accounts with the prices of a market."""
        prices = {asset: Prices.of(market, asset, opened_at) for asset in priced(accounts)}
        return cls(accounts=accounts, at_ns=market.at_ns, prices=prices)

    def flows(self, batch: Records, first_seq: int) -> Iterator[Flow]:
        """What a batch moved on each account that it touches, in the order of the chart."""
        debit, credit, amount = (np.ascontiguousarray(batch[name]) for name in ("debit", "credit", "amount"))
        for code, account in enumerate(self.accounts):
            received = debit == code
            (entries,) = (received | (credit == code)).nonzero()
            if len(entries):
                amounts = np.where(received[entries], amount[entries], -amount[entries])
                yield Flow(account=account, amounts=amounts, batch=batch, first_seq=first_seq, entries=entries)

    def usd(self, flow: Flow) -> list[int]:
        """Each entry of a flow at the price of its moment, in 10^-PLACES USD."""
        asset = flow.account.asset
        if asset == USDC:
            return [usdc(amount) for amount in flow.amounts.tolist()]
        scale, values = self.prices[asset].scale(asset), self.prices[asset].values[self._rows(flow)].tolist()
        return [amount * value * scale for amount, value in zip(flow.amounts.tolist(), values, strict=True)]

    def worth(self, batches: Iterable[Records]) -> Worth:
        """The worth of every account after all batches."""
        through, balances = dict.fromkeys(self.accounts, 0), dict.fromkeys(self.accounts, 0)
        for batch in batches:
            for flow in self.flows(batch, 1):
                account = flow.account
                moved = int(flow.amounts.sum())
                balances[account] += moved
                through[account] += usdc(moved) if account.asset == USDC else self._total(flow)
        left = {account: self.left(account, atoms) for account, atoms in balances.items()}
        return Worth(through=through, left=left, balances=balances)

    def left(self, account: Account, atoms: int) -> int:
        """A balance at the last close, in 10^-PLACES USD."""
        asset = account.asset
        return usdc(atoms) if asset == USDC else self.prices[asset].usd(asset, atoms, -1)

    def _total(self, flow: Flow) -> int:
        """A flow at the prices of its moments, in 10^-PLACES USD."""
        asset = flow.account.asset
        return self.prices[asset].total(flow.amounts, self._rows(flow)) * self.prices[asset].scale(asset)

    def _rows(self, flow: Flow) -> NDArray[np.intp]:
        """The price row of each entry."""
        return self.at_ns.searchsorted(flow.at_ns, side="right")
