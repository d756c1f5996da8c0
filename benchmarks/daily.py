"""The daily scenario, books and all, against a plain loop without books: `python benchmarks/daily.py [DATA]`.

Both run in this process on loaded data, in turn, many times; medians are printed, and their ratio, which counts.
"""

import sys
from pathlib import Path
from statistics import median
from time import perf_counter

from plain_loop import capital_rebalance

from framework.assembly import assemble
from framework.scenario import Scenario
from framework.units import USDC
from framework.valuation import metrics
from framework.venue import CASH

ROOT = Path(__file__).parent.parent
TIMES = 300


def main() -> None:
    """Time both, check that they agree, and print."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    scenario = Scenario.load(ROOT / "examples/capital_rebalance/scenario.toml")
    assembly = assemble(scenario, data)
    market = assembly.market
    columns = {"funding": "hyperliquid_funding_rate", "lending": "sol_lending_apy", "borrowing": "usdc_borrowing_apy"}
    columns |= {name: name for name in ("high", "low", "close")}
    values = zip(*(market[column].tolist() for column in columns.values()), strict=True)
    rows = [dict(zip(columns, row, strict=True)) for row in values]
    timings: dict[str, list[float]] = {"plain": [], "books": [], "digest": [], "metrics": []}
    for _ in range(TIMES):
        start = perf_counter()
        expected = capital_rebalance(rows, capital=scenario.capital_usd, leverage=3.0, trigger=6.0)
        timings["plain"].append(perf_counter() - start)
        start = perf_counter()
        run = assembly.simulation().run()
        timings["books"].append(perf_counter() - start)
        start = perf_counter()
        assert run.ledger.digest
        timings["digest"].append(perf_counter() - start)
        start = perf_counter()
        metrics(run)
        timings["metrics"].append(perf_counter() - start)
        assert abs(USDC.units(run.ledger.balance(CASH)) - expected.final) < 0.01
    plain = median(timings["plain"])
    print(f"{len(rows)} rows, {len(run.ledger)} transfers, {len(run.events)} events; medians of {TIMES}")
    for name, words in (
        ("plain", "plain loop, no books"),
        ("books", "whole run with its books"),
        ("digest", "digest chain of the ledger"),
        ("metrics", "metrics and waterfall, exact"),
    ):
        print(f"{words:30} {median(timings[name]) * 1e3:8.3f} ms {median(timings[name]) / plain:8.2f}x")


if __name__ == "__main__":
    main()
