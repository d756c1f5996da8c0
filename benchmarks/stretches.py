"""Long quiet stretches, and a strategy that is woken after every row: `python benchmarks/stretches.py`.

A flat hourly market with an open pair; funding, lending and interest settle in every row. The cost by rows should be
linear or better.
"""

from collections.abc import Iterable
from statistics import median
from time import perf_counter

import numpy as np
from attrs import frozen

from framework import (
    Condition,
    Event,
    EveryRow,
    Market,
    Order,
    Penalty,
    Simulation,
    Strategy,
    View,
)
from strategies.pair import open_pair
from venues.asgard import Asgard
from venues.hyperliquid import Hyperliquid

HOUR_NS = 3_600 * 10**9
TIMES = 7
PENALTY = Penalty("equity", 0.5)
VENUES = (
    Asgard(open_fee_bps=15.0, gas_usd=2.0, maintenance_margin=0.05, liquidation_penalty=PENALTY),
    Hyperliquid(taker_fee_bps=3.5, maintenance_margin=0.05, liquidation_penalty=PENALTY),
)


@frozen
class Watcher(Strategy):
    """Opens the pair and never acts again, whether it is woken or not."""

    woken: bool

    def conditions(self) -> tuple[Condition, ...]:
        """Every row, or nothing."""
        return (EveryRow(),) if self.woken else ()

    def on_start(self, view: View) -> Iterable[Order]:
        """The pair at 2x."""
        return open_pair(view, "asgard", "hyperliquid", 2.0)

    def on_event(self, event: Event, view: View) -> Iterable[Order]:  # noqa: ARG002
        """Nothing."""
        return ()


def market(rows: int) -> Market:
    """A market in which the price never moves."""
    open_ns = np.arange(rows) * HOUR_NS
    rates = {"hyperliquid_funding_rate": 1e-5, "sol_lending_apy": 0.05, "usdc_borrowing_apy": 0.08}
    columns = dict.fromkeys(("open", "high", "low", "close"), 150.0) | rates
    return Market(
        open_ns=open_ns,
        at_ns=open_ns + HOUR_NS - 10**6,
        columns={name: np.full(rows, value) for name, value in columns.items()},
    )


def seconds(table: Market, *, woken: bool) -> tuple[float, int]:
    """(median seconds, transfers) of a run."""
    found = []
    for _ in range(TIMES):
        start = perf_counter()
        run = Simulation(market=table, venues=VENUES, strategy=Watcher(woken), capital_usd=10_000.0).run()
        found.append(perf_counter() - start)
    return median(found), len(run.ledger)


def main() -> None:
    """Print both, for 1x, 10x and 100x the rows."""
    print(f"{'rows':>10} {'quiet ms':>10} {'transfers/s':>14} {'woken ms':>10} {'rows/s':>12} {'woken/quiet':>12}")
    for rows in (1_000, 10_000, 100_000):
        table = market(rows)
        quiet, transfers = seconds(table, woken=False)
        woken, _ = seconds(table, woken=True)
        print(
            f"{rows:>10,} {quiet * 1e3:>10.2f} {transfers / quiet:>14,.0f} {woken * 1e3:>10.1f} "
            f"{rows / woken:>12,.0f} {woken / quiet:>11.1f}x"
        )


if __name__ == "__main__":
    main()
