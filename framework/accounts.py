"""Accounts and what moves between them: the words in which venues write entries and the ledger keeps them."""

import re
from typing import Protocol

from attrs import field, frozen

from framework.errors import LedgerError
from framework.units import Asset

ROOTS = {"Assets": 1, "Expenses": 1, "Liabilities": -1, "Income": -1, "Equity": -1}
"""Root of an account's name -> the sign of its usual balance (+1: debits, -1: credits)."""

ACCOUNT_NAME = re.compile(rf"({'|'.join(ROOTS)})(:[A-Z][A-Za-z0-9-]*)+")


@frozen(eq=False)
class Account:
    """A place that holds one asset; with `floor` its balance may not turn against its usual side.

    An account is itself alone: two objects of one name are two accounts, of which a ledger opens one.
    """

    name: str
    asset: Asset
    floor: bool = False
    sign: int = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not ACCOUNT_NAME.fullmatch(self.name):
            raise LedgerError(
                f"account name {self.name!r} is not one of {', '.join(ROOTS)} followed by capitalised parts, "
                "such as Assets:Hyperliquid:Margin"
            )
        object.__setattr__(self, "sign", ROOTS[self.name.partition(":")[0]])


@frozen
class Transfer:
    """`amount` atomic units of one asset: `debit` receives them, `credit` gives them; `kind` says why."""

    debit: Account
    credit: Account
    amount: int
    kind: str


@frozen
class Stream:
    """What a series of settlements is: positive amounts run from `credit` to `debit`, negative ones back."""

    debit: Account
    credit: Account
    kind: str


@frozen
class Record:
    """One line of the ledger; `seq` counts from 1, `event` is the id of the event that caused it."""

    seq: int
    at_ns: int
    event: int
    kind: str
    debit: str
    credit: str
    asset: str
    amount: int


class Book(Protocol):
    """The ledger as everyone but the simulation sees it: balances, and no way to post."""

    def balance(self, account: Account) -> int:
        """Debits less credits in atomic units: liabilities, income and equity are usually negative."""

    def principal(self, account: Account) -> tuple[int, int]:
        """(balance, at_ns) as the last single entry on the account left it; series of settlements do not count."""

    def holding(self, asset: Asset) -> tuple[int, int]:
        """(atomic units of an asset on all our Assets accounts, at_ns of the last single entry that changed them)."""


class Draft:
    """An entry being written: transfers of one event, and the balances as they will be once it is posted."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._moved: dict[Account, int] = {}
        self.transfers: list[Transfer] = []

    def balance(self, account: Account) -> int:
        """Balance in atomic units, this draft's transfers included."""
        return self._book.balance(account) + self._moved.get(account, 0)

    def principal(self, account: Account) -> tuple[int, int]:
        """The book's principal: what this draft moves is not settled yet."""
        return self._book.principal(account)

    def holding(self, asset: Asset) -> tuple[int, int]:
        """The book's holding: what this draft moves is not settled yet."""
        return self._book.holding(asset)

    def transfer(self, debit: Account, credit: Account, amount: int, kind: str) -> None:
        """Add a transfer; nothing is added for an amount of zero."""
        if amount:
            self.transfers.append(Transfer(debit, credit, amount, kind))
            self._moved[debit] = self._moved.get(debit, 0) + amount
            self._moved[credit] = self._moved.get(credit, 0) - amount
