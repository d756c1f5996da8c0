"""Hold a coin and be short of as many perpetuals; level the two when the short's leverage leaves its band."""

import numpy as np
from attrs import field, frozen, validators

from framework import ConditionMet, Deposit, Liquidated, Open, Resize, Side, Strategy, Swap, Withdraw


@frozen
class LeverageOutside:
    """The effective leverage of a position, notional over equity at the close, is below `low` or above `high`."""

    venue: str
    low: float
    high: float

    def holds(self, stretch):
        """Also true where notional is left and equity is not; never without a position."""
        projection = stretch.projections.get(self.venue)
        if projection is None:
            return np.zeros(len(stretch), dtype=bool)
        notional, equity = projection.notional_usd, projection.equity_usd
        return (notional > 0) & ((notional > self.high * equity) | (notional < self.low * equity))


@frozen(kw_only=True)
class Basis(Strategy):
    """Spot long and isolated perpetual short of `coin`, with `target / (1 + target)` of all equity in the coin.

    Outside `low` to `high` of leverage the coin is sold or bought until that share holds again before fees. The short
    is then brought to as many coins as are held; its account gets what a sale brought and gives what a purchase costs.
    """

    long: str
    short: str
    coin: str
    target: float = field(validator=validators.gt(0))
    low: float = field(validator=validators.ge(0))
    high: float = field(validator=validators.gt(0))

    @high.validator
    def _around_target(self, _, high):
        if not self.low < self.target < high:
            raise ValueError(f"'high' must be above the target of {self.target:g}, and 'low' below it: {high:g}")

    def conditions(self):
        return (LeverageOutside(self.short, self.low, self.high),)

    def on_start(self, view):
        return self._level(view)

    def on_event(self, event, view):
        return self._level(view) if isinstance(event, ConditionMet | Liquidated) else ()

    def _level(self, view):
        wanted_usd = view.equity_usd * self.target / (1 + self.target)
        excess_usd = view.leg(self.long).equity_usd - wanted_usd
        if excess_usd > 0:
            yield Swap(self.long, self.coin, "USDC", excess_usd / view.price)
        else:
            if -excess_usd > view.cash_usd:
                yield Withdraw(self.short, -excess_usd - view.cash_usd)
            yield Swap(self.long, "USDC", self.coin, -excess_usd)
        coins = view.leg(self.long).size
        if view.leg(self.short).size == 0:
            yield Open(self.short, Side.SHORT, coins, view.cash_usd)
            return
        if view.cash_usd > 0:
            yield Deposit(self.short, view.cash_usd)
        yield Resize(self.short, coins)
