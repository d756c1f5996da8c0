"""A stake pool in integers: how lamports become pool tokens and back, and what the pool takes of an epoch's reward.

Lamports and tokens are atomic units, nine decimals of SOL and of the token. The rate is `total` lamports for `supply`
tokens; it changes at the update of an epoch alone. Source: solana-program/stake-pool at 2a01bc02
(`program/src/state.rs`).
"""

from fractions import Fraction

from attrs import evolve, frozen


@frozen
class Pool:
    """A stake pool at an instant."""

    total: int
    supply: int

    @classmethod
    def at_rate(cls, rate: float) -> "Pool":
        """A pool with this rate, whatever its size."""
        return cls(*rate.as_integer_ratio())

    @property
    def rate(self) -> Fraction:
        """Lamports for a token; 1 for an empty pool."""
        return Fraction(self.total, self.supply) if self.total and self.supply else Fraction(1)

    def mint(self, lamports: int) -> int:
        """The tokens that a deposit is worth, rounded down."""
        return lamports * self.supply // self.total if self.total and self.supply else lamports

    def redeem(self, tokens: int) -> int:
        """The lamports that tokens are worth without a fee, rounded down."""
        return tokens * self.total // self.supply if self.supply else 0

    def fee(self, tokens: int, share: float) -> int:
        """The part of minted or withdrawn tokens that the pool keeps, rounded up."""
        return withdrawal_fee(tokens, Fraction(str(share)))

    def after_epoch(self, total: int, fee: Fraction) -> "Pool":
        """The pool after an epoch that brings its lamports to `total`; `fee` of a reward becomes new tokens."""
        return evolve(self, total=total, supply=self.supply + self.fee_tokens(total - self.total, fee))

    def fee_tokens(self, reward: int, fee: Fraction) -> int:
        """The tokens minted to the pool's manager for a reward; 0 for a loss."""
        if reward <= 0:
            return 0
        lamports = _up(reward * fee)
        others = self.total + reward - lamports
        return self.supply * lamports // others if self.supply and self.total else reward


def withdrawal_fee(tokens: int, fee: Fraction) -> int:
    """The part of withdrawn tokens that goes to the pool's manager, rounded up."""
    return _up(tokens * fee)


def may_rise(old: Fraction, new: Fraction) -> bool:
    """Whether a withdrawal fee may rise so far in one step: by half of itself, and by half a percentage point."""
    base = old if old else LEAST_FEE
    return new <= old or (new <= base * Fraction(3, 2) and new - old <= Fraction(1, 200))


LEAST_FEE = Fraction(1, 1000)
"""The base of a rise from a fee of 0."""


def _up(amount: Fraction) -> int:
    return -(-amount.numerator // amount.denominator)
