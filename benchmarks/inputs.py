"""Inputs of the benchmarks: the study's position by the day and by the hour, and rows in which nothing happens."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from attrs import evolve, frozen

from framework import (
    Condition,
    ConditionMet,
    Event,
    EveryRow,
    Market,
    Open,
    Order,
    Penalty,
    Resize,
    Side,
    Strategy,
    View,
)
from framework.assembly import Assembly, assemble
from framework.market import TICK_NS
from framework.scenario import Scenario
from strategies.pair import open_pair
from venues.asgard import Asgard
from venues.hyperliquid import Hyperliquid

ROOT = Path(__file__).parent.parent
DAILY = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
HOURLY = ROOT / "examples" / "hourly" / "scenario.toml"
DOLLAR = ROOT / "examples" / "uss" / "scenario.toml"
EVERY_ROW = ROOT / "examples" / "full_rotation" / "scenario.toml"
HOUR_NS = 3_600 * 10**9
START = datetime(2020, 1, 1, tzinfo=UTC)

COLUMNS = {"funding": "hyperliquid_funding_rate", "lending": "sol_lending_apy", "borrowing": "usdc_borrowing_apy"}
COLUMNS |= {name: name for name in ("high", "low", "close")}
"""What the plain loop calls a column -> what the market does."""


def daily() -> Assembly:
    """The main scenario on its embedded daily rows."""
    return assemble(Scenario.load(DAILY))


def hourly(data: Path | None = None) -> Assembly:
    """The hourly example on its own data, or the main scenario on hourly rows made of its daily ones."""
    if data is not None:
        return assemble(Scenario.load(HOURLY), data)
    return assemble(Scenario.load(DAILY), market=by_the_hour(daily().market))


def by_the_hour(days: Market) -> Market:
    """Every day as 24 hours: prices move evenly from close to close and swing within the day, rates are shared out."""
    rows, hours = 24 * len(days), np.arange(24 * len(days) + 1)
    levels = np.interp(hours / 24, np.arange(len(days) + 1), np.concatenate((days["open"][:1], days["close"])))
    path = levels * (1 + 0.004 * np.sin(2.399 * hours))
    opens, closes = path[:-1], path[1:]
    columns = {
        "open": opens,
        "close": closes,
        "high": np.maximum(opens, closes) * 1.002,
        "low": np.minimum(opens, closes) * 0.998,
    }
    for name in days.columns:
        if name.endswith("funding_rate"):
            columns[name] = np.repeat(days[name] / 24, 24)
        elif name.endswith("apy"):
            columns[name] = np.repeat(days[name], 24)
    open_ns = int(days.open_ns[0]) + np.arange(rows) * HOUR_NS
    return Market(open_ns=open_ns, at_ns=open_ns + HOUR_NS - TICK_NS, columns=columns)


def plain_rows(market: Market) -> list[dict[str, float]]:
    """The rows of a market as a plain script would have them."""
    values = zip(*(market[column].tolist() for column in COLUMNS.values()), strict=True)
    return [dict(zip(COLUMNS, row, strict=True)) for row in values]


@frozen
class Watcher(Strategy):
    """Opens the pair, and a small short at each of `others`, and never acts again, whether it is woken or not."""

    woken: bool
    others: tuple[str, ...] = ()

    def conditions(self) -> tuple[Condition, ...]:
        """Every row, or nothing."""
        return (EveryRow(),) if self.woken else ()

    def on_start(self, view: View) -> Iterable[Order]:
        """The small shorts, and the pair at 2x."""
        for other in self.others:
            yield Open(other, Side.SHORT, 0.1, 100.0)
        yield from open_pair(view, "asgard", "hyperliquid", 2.0)

    def on_event(self, event: Event, view: View) -> Iterable[Order]:  # noqa: ARG002
        """Nothing."""
        return ()


@frozen
class Busy(Watcher):
    """The same, and after every row its short is made a little larger or smaller."""

    def on_event(self, event: Event, view: View) -> Iterable[Order]:
        """One order, but at the end."""
        if isinstance(event, ConditionMet):
            size = abs(view.leg("hyperliquid").size)
            yield Resize("hyperliquid", size * (1.01 if size < 66.0 else 0.99))


PENALTY = Penalty("equity", 0.5)
QUIET_VENUES: tuple[Asgard, Hyperliquid] = (
    Asgard(open_fee_bps=15.0, gas_usd=2.0, maintenance_margin=0.05, liquidation_penalty=PENALTY),
    Hyperliquid(taker_fee_bps=3.5, maintenance_margin=0.05, liquidation_penalty=PENALTY),
)


def more_venues(count: int) -> tuple[Hyperliquid, ...]:
    """So many further venues of one kind."""
    perpetual = QUIET_VENUES[1]
    return tuple(evolve(perpetual, name=f"perpetual_{number}") for number in range(count))


def quiet(rows: int) -> Market:
    """Hours in which the price never moves."""
    open_ns = np.arange(rows) * HOUR_NS
    rates = {"hyperliquid_funding_rate": 1e-5, "sol_lending_apy": 0.05, "usdc_borrowing_apy": 0.08}
    columns = dict.fromkeys(("open", "high", "low", "close"), 150.0) | rates
    return Market(
        open_ns=open_ns,
        at_ns=open_ns + HOUR_NS - TICK_NS,
        columns={name: np.full(rows, value) for name, value in columns.items()},
    )


def write_hourly(parent: Path, days: int) -> Path:
    """The hourly rows of the first days as a CSV, and a scenario on them; returns the scenario's path."""
    market = by_the_hour(daily().market)
    rows, names = 24 * days, list(market.columns)
    lines = [",".join(["time", *names])]
    for index in range(rows):
        time = START + timedelta(hours=index)
        lines.append(",".join([time.isoformat(), *(repr(float(market[name][index])) for name in names)]))
    (parent / "hours.csv").write_text("\n".join(lines) + "\n")
    table = Scenario.load(DAILY).table()
    last = START + timedelta(days=days - 1)
    source = {"reader": "table", "file": "hours.csv", "interval": "1h"}
    table["market"] = {"start": START.date(), "end": last.date(), "sources": {"hours": source}}
    path = parent / "scenario.toml"
    path.write_text(Scenario.of(table).toml())
    return path
