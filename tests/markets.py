"""Small markets, venues and strategies of which everything is known: what the tests of the engine are written with."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from attrs import field, frozen

from framework import (
    Condition,
    ConditionMet,
    Ended,
    Event,
    Market,
    Order,
    Penalty,
    Run,
    Simulation,
    Strategy,
    TransferArrived,
    Venue,
    View,
)
from framework.books import Stretch
from framework.clock import NS_PER_DAY
from framework.market import TICK_NS
from framework.rulebook.row_path import RowPath
from framework.scenario import Entry
from venues.asgard import Asgard
from venues.at_cost import AtCost
from venues.drift import Drift
from venues.hyperliquid import Hyperliquid
from venues.jito import Jito

START_NS = 1_735_689_600 * 10**9
"""The opening of every first row: 2025-01-01T00:00:00Z."""

Column = float | Sequence[float]


def market(
    close: Sequence[float],
    *,
    low: Column | None = None,
    high: Column | None = None,
    funding: Column = 0.0,
    lending: Column = 0.0,
    borrowing: Column = 0.0,
    row_ns: int = NS_PER_DAY,
) -> Market:
    """Rows that follow each other without a gap; rates are fractions, funding of the row and interest per year."""
    count = len(close)
    opened = np.concatenate((close[:1], close[:-1]))

    def column(values: Column) -> np.ndarray:
        return np.broadcast_to(np.asarray(values, dtype=float), count)

    open_ns = START_NS + np.arange(count) * row_ns
    return Market(
        open_ns=open_ns,
        at_ns=open_ns + row_ns - TICK_NS,
        columns={
            "open": opened,
            "high": np.maximum(opened, close) if high is None else column(high),
            "low": np.minimum(opened, close) if low is None else column(low),
            "close": close,
            "hyperliquid_funding_rate": column(funding),
            "drift_funding_rate": column(funding),
            "sol_lending_apy": column(lending),
            "usdc_borrowing_apy": column(borrowing),
        },
    )


def dollar_market(
    close: Sequence[float],
    *,
    first_open: float | None = None,
    rate: Column = 1.0,
    first_rate: float | None = None,
    premium: Column = 0.0,
    high: Column | None = None,
    low: Column | None = None,
    funding: Column = 0.0,
    row_ns: int = NS_PER_DAY,
) -> Market:
    """Rows with jitoSOL beside SOL: `rate` is the pool's as rows close, in SOL per token, `premium` the market's above.

    The first row opens at `first_open` and `first_rate`, each other one where the row before has closed; the premium
    of a row holds all through it.
    """
    coins = market(close, high=high, low=low, funding=funding, row_ns=row_ns)
    columns = {name: column.copy() for name, column in coins.columns.items()}
    if first_open is not None:
        columns["open"][0] = first_open
        columns["high"][0] = max(columns["high"][0], first_open)
        columns["low"][0] = min(columns["low"][0], first_open)
    rates = np.broadcast_to(np.asarray(rate, dtype=float), len(close))
    opened = np.concatenate(([rates[0] if first_rate is None else first_rate], rates[:-1]))
    above = 1 + np.broadcast_to(np.asarray(premium, dtype=float), len(close))
    columns |= {
        "jitosol_rate_open": opened,
        "jitosol_rate_close": rates,
        "jitosol_open": columns["open"] * opened * above,
        "jitosol_close": columns["close"] * rates * above,
        "funding_rate": columns["drift_funding_rate"],
    }
    return Market(open_ns=coins.open_ns, at_ns=coins.at_ns, columns=columns)


def flat(rows: int, price: float = 100.0, **rates: Column) -> Market:
    """A market in which the price never moves."""
    return market([price] * rows, **rates)


HALF_OF_EQUITY = Penalty("equity", 0.5)


def asgard(**rules: object) -> Asgard:
    """Asgard without fees; `rules` override its fields."""
    free = {"open_fee_bps": 0.0, "gas_usd": 0.0, "maintenance_margin": 0.05, "liquidation_penalty": HALF_OF_EQUITY}
    return Asgard(**(free | rules))


def hyperliquid(**rules: object) -> Hyperliquid:
    """Hyperliquid without fees; `rules` override its fields."""
    free = {"taker_fee_bps": 0.0, "maintenance_margin": 0.05, "liquidation_penalty": HALF_OF_EQUITY}
    return Hyperliquid(**(free | rules))


def drift(**rules: object) -> Drift:
    """Drift without fees; `rules` override its fields."""
    free = {"taker_fee_bps": 0.0, "maintenance_margin": 0.03, "liquidation_penalty": Penalty("notional", 0.025)}
    return Drift(**(free | rules))


def at_cost(venue: Venue, **rules: object) -> AtCost:
    """The same venue with its positions at cost."""
    return AtCost(of=venue, **rules)


def collateral(**rules: object) -> Drift:
    """Drift with jitoSOL as collateral, without fees; `rules` override its fields."""
    return drift(**({"collateral": "JITOSOL", "funding_rate": "funding_rate"} | rules))


def jito(**rules: object) -> Jito:
    """Jito without fees; `rules` override its fields."""
    return Jito(**({"reward_fee": 0.0, "withdrawal_fee": 0.0} | rules))


@frozen
class AfterRow:
    """Holds after one row of the market, counted from 0."""

    row: int

    def holds(self, stretch: Stretch) -> np.ndarray:
        """True in that row."""
        return np.arange(stretch.start, stretch.stop) == self.row


@frozen(kw_only=True)
class Script(Strategy):
    """Orders by the row after which they are given: `start` at the start, and so on; otherwise it does nothing."""

    start: Sequence[object] = ()
    after: Mapping[int, Sequence[object]] = field(factory=dict)
    on_arrival: Sequence[object] = ()
    at_end: Sequence[object] = ()

    def conditions(self) -> tuple[Condition, ...]:
        return tuple(map(AfterRow, self.after))

    def on_start(self, view: View) -> Iterable[Order]:
        return self.start

    def on_event(self, event: Event, view: View) -> Iterable[Order]:
        match event:
            case ConditionMet(condition=AfterRow(row=row)):
                return self.after[row]
            case TransferArrived():
                return self.on_arrival
            case Ended():
                return self.at_end
            case _:
                return ()


def play(
    table: Market,
    venues: Sequence[Venue],
    strategy: Strategy,
    *,
    capital_usd: float = 10_000.0,
    look_ahead_at_entry: bool = True,
    at_first_open: bool = False,
    path: RowPath = "close",
    rows_at_once: int | None = None,
) -> Run:
    """The finished run; unless told otherwise, what is opened at the start earns every row."""
    entry: Entry = "look_ahead" if look_ahead_at_entry else "first_close"
    return Simulation(
        market=table,
        venues=venues,
        strategy=strategy,
        capital_usd=capital_usd,
        entry="first_open" if at_first_open else entry,
        path=path,
        rows_at_once=rows_at_once,
    ).run()


def balance(run: Run, name: str, asset: str = "USDC") -> int:
    """What an account holds at the end: debits less credits, atomic units."""
    return next(
        amount for held, amount in run.ledger.balances().items() if (held.name, held.asset.code) == (name, asset)
    )


def happened(run: Run, kind: type[Event]) -> list[Event]:
    """The events of one kind, in their order."""
    return [event for event in run.events if isinstance(event, kind)]
