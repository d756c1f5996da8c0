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
        """A pool of this rate, of which nothing else is known."""
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
        """The tokens that the pool keeps of those that are minted or withdrawn, rounded up."""
        return withdrawal_fee(tokens, Fraction(str(share)))

    def after_epoch(self, total: int, fee: Fraction) -> "Pool":
        """The pool once an epoch has brought its lamports to `total`: of a reward `fee` is minted as new tokens."""
        return evolve(self, total=total, supply=self.supply + self.fee_tokens(total - self.total, fee))

    def fee_tokens(self, reward: int, fee: Fraction) -> int:
        """The tokens that are minted to the pool's manager for a reward; none for a loss."""
        if reward <= 0:
            return 0
        lamports = _up(reward * fee)
        others = self.total + reward - lamports
        return self.supply * lamports // others if self.supply and self.total else reward


def withdrawal_fee(tokens: int, fee: Fraction) -> int:
    """The tokens that go to the pool's manager of those that are withdrawn, rounded up."""
    return _up(tokens * fee)


def may_rise(old: Fraction, new: Fraction) -> bool:
    """Whether a withdrawal fee may be raised so far in one step: half as much again, and half a percentage point."""
    base = old if old else LEAST_FEE
    return new <= old or (new <= base * Fraction(3, 2) and new - old <= Fraction(1, 200))


LEAST_FEE = Fraction(1, 1000)
"""What a rise is measured against where there was no fee."""


def _up(amount: Fraction) -> int:
    return -(-amount.numerator // amount.denominator)
