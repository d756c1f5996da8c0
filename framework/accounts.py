"""Accounts: named places that hold one asset each, and where what goes through them belongs in the waterfall."""

import re

from attrs import field, frozen, validators

from framework.errors import LedgerError
from framework.units import USDC, Asset

ROOTS = {"Assets": 1, "Expenses": 1, "Liabilities": -1, "Income": -1, "Equity": -1}
"""Root of an account's name -> the sign of its usual balance (+1: debits, -1: credits)."""

ACCOUNT_NAME = re.compile(rf"({'|'.join(ROOTS)})(:[A-Z][A-Za-z0-9-]*)+")


BUCKETS = (
    "carry",
    "funding",
    "staking",
    "fees",
    "liquidation_penalty",
    "price_pnl",
    "execution",
    "bad_debt",
    "losses",
    "other_income",
)
"""The buckets of the waterfall, of which a result is the sum."""


@frozen(eq=False)
class Account:
    """A place that holds one asset; with `floor` its balance may not turn against its usual side.

    `bucket` says where what goes through the account belongs in the waterfall. Where it is left out, expenses are fees,
    income is other income, and a holding of anything but dollars is revalued as price P&L.
    An account is itself alone: two objects of one name are two accounts, of which a ledger opens one.
    """

    name: str
    asset: Asset
    floor: bool = False
    bucket: str | None = field(default=None, validator=validators.optional(validators.in_(BUCKETS)))
    sign: int = field(init=False, repr=False)
    owned: bool = field(init=False, repr=False)
    """Whether it is an asset or a liability: what equity is made of."""

    def __attrs_post_init__(self) -> None:
        if not ACCOUNT_NAME.fullmatch(self.name):
            raise LedgerError(
                f"account name {self.name!r} is not one of {', '.join(ROOTS)} followed by capitalised parts, "
                "such as Assets:MyVenue:Margin"
            )
        root = self.name.partition(":")[0]
        object.__setattr__(self, "sign", ROOTS[root])
        object.__setattr__(self, "owned", root in ("Assets", "Liabilities"))
        if self.bucket is None:
            held = "price_pnl" if self.owned and self.asset != USDC else None
            object.__setattr__(self, "bucket", {"Expenses": "fees", "Income": "other_income"}.get(root, held))


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
