"""Money: assets in atomic units, and the accounts that hold them.

A quantity becomes an integer in only two ways; an account holds one asset and says where what goes through it belongs.
"""

import re
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow

from attrs import field, frozen

from framework.errors import LedgerError, UnitError

USD_LIMIT = 1_000_000_000
"""The largest sum of dollars the books take: beyond it a float no longer resolves one atomic unit."""

LIMIT = 2**63
"""Where the integers of the books end."""

EXACT = Context(prec=60, Emax=60, traps=[Inexact, InvalidOperation, Overflow])
"""Arithmetic that refuses to round; no amount has sixty digits."""


PERPETUAL = "-PERP"
"""End of the code of a perpetual contract."""


@frozen(eq=False)
class Asset:
    """Something countable: `decimals` places make one whole unit of `code`."""

    code: str
    decimals: int
    scale: int = field(init=False, repr=False)
    coin: str = field(init=False, repr=False)
    """The coin whose price it has: a perpetual's is that of its coin."""
    _hash: int = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "scale", 10**self.decimals)
        object.__setattr__(self, "coin", self.code.removesuffix(PERPETUAL))
        object.__setattr__(self, "_hash", hash((self.code, self.decimals)))

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Asset) and (self.code, self.decimals) == (other.code, other.decimals)
        )

    def __hash__(self) -> int:
        return self._hash

    def exact(self, units: int | str | Decimal) -> int:
        """Whole units as atomic units; raises `UnitError` where that is not an integer."""
        try:
            number = Decimal(units)
        except (DecimalException, TypeError, ValueError):
            raise UnitError(f"{units!r} is not a quantity of {self.code}; expected a decimal number") from None
        try:
            return int(EXACT.to_integral_exact(EXACT.scaleb(number, self.decimals)))
        except (DecimalException, ValueError, OverflowError):
            raise UnitError(f"{units} {self.code} is not a whole number of 1e-{self.decimals} {self.code}") from None

    def nearest(self, units: float) -> int:
        """Whole units as the nearest atomic units, ties to even: the one rounding of the project.

        Raises `UnitError` for what is not finite.
        """
        try:
            return round(units * self.scale)
        except (ValueError, OverflowError):
            raise UnitError(f"{units} is not a quantity of {self.code}; expected a finite number") from None

    def units(self, atoms: int) -> float:
        """Atomic units as whole units, for display and market mathematics."""
        return atoms / self.scale

    def worth(self, atoms: int, price: float) -> int:
        """What atomic units are worth at a price in USD, in atomic units of USDC."""
        return USDC.nearest(atoms / self.scale * price)

    def decimal(self, atoms: int) -> Decimal:
        """Atomic units as whole units, exactly and at full scale."""
        if hasattr(atoms, "decimal"):  # a recorded number knows its own
            return atoms.decimal(self.decimals)  # type: ignore[no-any-return]
        return Decimal(atoms).scaleb(-self.decimals)


USDC = Asset("USDC", 6)
"""The dollar of the books: one USDC counts as one US dollar."""


def too_large(asset: Asset, atoms: float) -> str:
    """What is wrong with a sum, in atomic units, that no integer of the books holds, and what would be right."""
    most, lots = f"{LIMIT / asset.scale:.6g}", ", or prices per lot, such as kBONK for 1,000 BONK"
    return (
        f"{abs(atoms) / asset.scale:.6g} {asset.code} do not fit in the books, which count up to {most} in units of "
        f"1e-{asset.decimals}; expected fewer{'' if asset == USDC else lots}"
    )


def perpetual(coin: str) -> Asset:
    """The perpetual contract on `coin`: one contract moves like one coin."""
    return Asset(f"{coin}{PERPETUAL}", 9)


def token(coin: str) -> Asset:
    """A coin as a token on a chain, counted to nine decimals."""
    return Asset(coin, 9)


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
    bucket: str | None = None
    sign: int = field(init=False, repr=False)
    owned: bool = field(init=False, repr=False)
    """Whether it is an asset or a liability: what equity is made of."""

    def __attrs_post_init__(self) -> None:
        if not ACCOUNT_NAME.fullmatch(self.name):
            raise LedgerError(
                f"account name {self.name!r} is not one of {', '.join(ROOTS)} followed by capitalised parts, "
                "such as Assets:MyVenue:Margin"
            )
        if self.bucket is not None and self.bucket not in BUCKETS:
            some = ", ".join(BUCKETS)
            raise LedgerError(f"account {self.name}: bucket {self.bucket!r}; expected one of {some}")
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
