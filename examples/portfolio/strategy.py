"""Hold several coins and be short of as many perpetuals of each, on one account whose margin all shorts share."""

from attrs import field, frozen, validators

from framework import Close, ConditionMet, Deposit, Ended, Liquidated, Open, Resize, Side, Strategy, Swap, Withdraw


@frozen
class LeverageOutside:
    """The leverage of an account, all notional over its equity at the close, is below `low` or above `high`."""

    by_row = True

    venue: str
    low: float
    high: float

    def holds(self, stretch):
        """Never without a position."""
        projection = stretch.projections.get(self.venue)
        if projection is None:
            return stretch.all_rows(False)
        notional, equity = projection.notional_usd, projection.equity_usd
        return (notional > 0) & ((notional > self.high * equity) | (notional < self.low * equity))


@frozen(kw_only=True)
class Pairs(Strategy):
    """As much of each coin long at `long` as short at `short`, in equal parts by value; all of it levelled together.

    After levelling `leverage / (1 + leverage)` of the equity is in coins and the rest is margin, before fees.
    """

    long: str
    short: str
    coins: tuple[str, ...]
    leverage: float = field(validator=validators.gt(0))
    low: float = field(validator=validators.ge(0))
    high: float = field(validator=validators.gt(0))

    def conditions(self):
        return (LeverageOutside(self.short, self.low, self.high),)

    def on_start(self, view):
        return self._level(view)

    def on_event(self, event, view):
        if isinstance(event, Ended):
            return self._leave()
        return self._level(view) if isinstance(event, ConditionMet | Liquidated) else ()

    def _level(self, view):
        """Sell what is too much of a coin, take margin out if cash is short, buy what lacks, and match the shorts."""
        each_usd = view.equity_usd * self.leverage / (1 + self.leverage) / len(self.coins)
        excess_usd = {coin: view.leg(self.long, coin).notional_usd - each_usd for coin in self.coins}
        lacking_usd = 0.0
        for coin, usd in excess_usd.items():
            if usd > 0:
                yield Swap(self.long, coin, "USDC", usd / view.price(coin))
            else:
                lacking_usd -= usd
        if lacking_usd > view.cash_usd:
            yield Withdraw(self.short, lacking_usd - view.cash_usd)
        for coin, usd in excess_usd.items():
            if usd < 0:
                yield Swap(self.long, "USDC", coin, min(-usd, view.cash_usd))
        if view.cash_usd > 0:
            yield Deposit(self.short, view.cash_usd)
        for coin in self.coins:
            size = view.leg(self.long, coin).size
            if view.leg(self.short, coin).size:
                yield Resize(self.short, size, coin=coin)
            else:
                yield Open(self.short, Side.SHORT, size, 0.0, coin=coin)

    def _leave(self):
        for coin in self.coins:
            yield Close(self.long, coin=coin)
            yield Close(self.short, coin=coin)
