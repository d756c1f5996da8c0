"""Assets, their atomic units, and the only two ways in which a quantity becomes an integer."""

from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow

from attrs import field, frozen

from framework.errors import UnitError

USD_LIMIT = 1_000_000_000
"""The largest sum of dollars the books take: beyond it a float no longer resolves one atomic unit."""

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

    def decimal(self, atoms: int) -> Decimal:
        """Atomic units as whole units, exactly and at full scale."""
        return Decimal(atoms).scaleb(-self.decimals)


USDC = Asset("USDC", 6)
"""The dollar of the books: one USDC counts as one US dollar."""


def perpetual(coin: str) -> Asset:
    """The perpetual contract on `coin`: one contract moves like one coin."""
    return Asset(f"{coin}{PERPETUAL}", 9)


def token(coin: str) -> Asset:
    """A coin as a token on a chain, counted to nine decimals."""
    return Asset(coin, 9)
