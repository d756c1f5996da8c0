"""Histories of known properties, from which the tests of paths draw."""

import numpy as np

from framework.clock import NS_PER_DAY
from framework.market import TICK_NS, Market, Source

START_NS = 20_000 * NS_PER_DAY


def history(rows=300, seed=1, span_ns=NS_PER_DAY, funding_memory=0.9, **more):
    """Rows whose funding is unlike that of any other row, remembers the row before, and goes with the return."""
    random = np.random.default_rng(seed)
    returns = 0.04 * random.standard_normal(rows)
    funding, level = [], 0.0
    for each in returns:
        level = funding_memory * level + 0.001 * (random.standard_normal() + 20 * each)
        funding.append(level)
    opens = 100.0 * np.exp(np.concatenate(([0.0], np.cumsum(returns))))
    columns = {
        "open": opens[:-1],
        "close": opens[1:],
        "high": np.maximum(opens[:-1], opens[1:]) * (1 + 0.02 * random.random(rows)),
        "low": np.minimum(opens[:-1], opens[1:]) * (1 - 0.02 * random.random(rows)),
        "funding_rate": np.array(funding),
    } | more
    numbers = np.arange(2, rows + 2)
    open_ns = START_NS + span_ns * np.arange(rows)
    return Market(
        open_ns=open_ns,
        at_ns=open_ns + span_ns - TICK_NS,
        columns=columns,
        sources={name: Source("rows.csv", "ab" * 32, numbers, np.ones(rows, dtype=int)) for name in columns},
    )


def flat(rows, span_ns=NS_PER_DAY, price=100.0, **rates):
    """A market in which nothing happens: one price, and rates that are constant."""
    open_ns = START_NS + span_ns * np.arange(rows)
    columns = {name: np.full(rows, price) for name in ("open", "high", "low", "close")}
    columns |= {name: np.full(rows, rate) for name, rate in rates.items()}
    return Market(open_ns=open_ns, at_ns=open_ns + span_ns - TICK_NS, columns=columns)
