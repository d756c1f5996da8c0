"""Capital rebalance with a table of its own: how both legs stood, hour by hour."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from attrs import frozen

from framework import Event, Order, Run, Strategy, View
from framework.clock import NS_PER_HOUR
from framework.market import utc
from framework.support.grid import Grid
from strategies.capital_rebalance import CapitalRebalance
from strategies.hedge import Unhedged

WORTH_TELLING = 0.01
"""The range of an hour, of its least price, from which on it has a line."""


@frozen(kw_only=True)
class HourByHour(Strategy):
    """What `capital_rebalance` does, told by the hour."""

    long: str
    short: str
    leverage: float
    trigger: float | Literal["never"]
    unhedged: Unhedged = "cut"

    @property
    def policy(self) -> CapitalRebalance:
        return CapitalRebalance(
            long=self.long, short=self.short, leverage=self.leverage, trigger=self.trigger, unhedged=self.unhedged
        )

    def conditions(self):
        return self.policy.conditions()

    def on_start(self, view: View) -> Iterator[Order]:
        yield from self.policy.on_start(view)

    def on_event(self, event: Event, view: View) -> Iterator[Order]:
        yield from self.policy.on_event(event, view)

    def tables(self, run: Run) -> Iterator[Grid]:
        yield legs_by_hour(run, self.long, self.short)


def legs_by_hour(run: Run, long: str, short: str) -> Grid:
    """The hours in which something happened or the price moved by `WORTH_TELLING`: both legs as each ended."""
    columns = (
        "hour",
        "low",
        "close",
        "coins long",
        "leverage",
        "equity",
        "coins short",
        "leverage",
        "equity",
        "on its way",
    )
    grid = Grid("Both legs, hour by hour", (*columns, "<what happened"))
    market, curve = run.market, run.curve
    hours = market.open_ns // NS_PER_HOUR
    closes, lows = market["close"], market["low"]
    happened = _happened(run)
    for hour in np.unique(hours).tolist():
        rows = np.flatnonzero(hours == hour)
        last, least, most = rows[-1], lows[rows].min(), market["high"][rows].max()
        if hour not in happened and most - least < WORTH_TELLING * least and last != len(market) - 1:
            continue
        legs = []
        for venue in (long, short):
            size, equity_usd = curve.size_by_venue[venue][last], curve.equity_usd_by_venue[venue][last]
            times = abs(size) * closes[last] / equity_usd if equity_usd > 0 else 0.0
            legs += [f"{abs(size):.2f}", f"{times:.2f}x" if size else "", f"{equity_usd:,.0f}"]
        transit = f"{curve.transit_usd[last]:,.0f}" if curve.transit_usd[last] else ""
        prices = (f"{least:.2f}", f"{closes[last]:.2f}")
        grid.add(f"{utc(hour * NS_PER_HOUR):%m-%d %H:00}", *prices, *legs, transit, "; ".join(happened.get(hour, ())))
    return grid.told()


def _happened(run: Run) -> dict[int, list[str]]:
    """What is worth telling of each hour, each once."""
    told: dict[int, list[str]] = {}
    for event in run.single:
        words = {
            "Liquidated": f"{event.venue} liquidates",
            "TransferSent": f"sent from {event.venue}",
            "TransferArrived": f"arrived at {event.venue}",
            "Rejected": f"{event.venue} rejects",
        }.get(event.kind)
        if words and words not in told.setdefault(hour := event.at_ns // NS_PER_HOUR, []):
            told[hour].append(words)
    return {hour: lines for hour, lines in told.items() if lines}
