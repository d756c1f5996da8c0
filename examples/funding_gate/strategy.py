"""Hold the pair while a week of funding pays the short, and wait in cash while it does not."""

from attrs import frozen

from framework import Ended, EveryRow, Liquidated, Strategy
from strategies.pair import close_pair, open_pair


@frozen(kw_only=True)
class FundingGate(Strategy):
    """Long and short at `leverage` while the mean funding rate over the last `rows` rows is above zero."""

    long: str
    short: str
    leverage: float
    rows: int = 7

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        return open_pair(view, self.long, self.short, self.leverage)

    def on_event(self, event, view):
        paid = view.history(f"{self.short}_funding_rate", self.rows).mean() > 0
        held = view.leg(self.short).size != 0
        if held and (not paid or isinstance(event, Liquidated | Ended)):
            return close_pair(self.long, self.short)
        if not held and paid and not isinstance(event, Ended):
            return open_pair(view, self.long, self.short, self.leverage)
        return ()
