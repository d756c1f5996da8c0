"""The study: its three models as scenarios, and their runs on one market, each made once."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import cast

from attrs import AttrsInstance, asdict, frozen

from framework.assembly import Made, assemble, load_market
from framework.errors import ScenarioError
from framework.many_runs.execution import WORTH_CELLS, Execution
from framework.market import Market
from framework.performance import figures
from framework.run import Run
from framework.scenario import Scenario, Table, place, put

HEADLINE = 10_000.0
"""The capital of all tables that show only one, USD."""

SOURCES = {
    "prices": {"reader": "hyperliquid_candles", "file": "sol_daily_candles.json"},
    "hyperliquid_funding": {"reader": "hyperliquid_funding", "file": "sol_funding_history.json", "fill": "drop"},
    "drift_funding": {"reader": "drift_daily_funding", "file": "drift_sol_funding_history.json"},
    "lending": {"reader": "defillama_lending", "file": "kamino_sol_lending_rates.json"},
    "borrowing": {"reader": "defillama_borrowing", "file": "kamino_usdc_borrowing_rates.json"},
}
MARKET = {"start": "2024-12-31", "end": "2026-02-13", "embedded": "sol_daily", "sources": SOURCES}
AT_MARKET = {"class": "study", "look_ahead_at_entry": True, "forgive_negative_equity": True}
MODELS: Mapping[str, Table] = {
    "static": {
        "rulebook": {"class": "legacy", "look_ahead_at_entry": True},
        "strategy": {"class": "static", "long": "asgard", "short": "hyperliquid", "leverage": 3.0},
    },
    "capital_rebalance": {
        "rulebook": AT_MARKET,
        "strategy": {
            "class": "capital_rebalance", "long": "asgard", "short": "hyperliquid", "leverage": 3.0, "trigger": 6.0,
        },
    },
    "full_rotation": {
        "rulebook": {"class": "legacy", "liquidation_from_entry": True},
        "strategy": {
            "class": "full_rotation", "long": "asgard", "short": "hyperliquid", "leverage": 3.0,
            "liquidation_buffer": 0.1, "compounding": True, "capital_penalty": 0.05,
        },
    },
}  # fmt: skip
"""The study's models as scenarios, without what they share."""


NAMED_BY_TABLES = (
    "capital_usd", "strategy", "strategy.short", "strategy.leverage", "strategy.trigger",
    "strategy.liquidation_buffer", "strategy.min_apy_pct",
)  # fmt: skip
"""Keys of which titles and lines of the tables name the value; of other keys a table that varies one has its own."""


@frozen(eq=False)
class Result:
    """A run of the study with its metrics."""

    run: Run
    metrics: Mapping[str, float | int | str]

    def usd(self, name: str) -> str:
        """A sum of the metrics to the cent, signed."""
        return usd(float(self.metrics[name]))

    def pct(self, name: str) -> str:
        """A percentage of the metrics to one place, as the study prints them, signed."""
        return f"{float(self.metrics[name]):+.1f} %"

    @property
    def drawdown(self) -> str:
        """The largest drawdown at the closes to one place."""
        return f"{float(self.metrics['drawdown_at_closes_pct']):.1f} %"

    def count(self, name: str) -> str:
        """A count of the metrics."""
        return str(self.metrics[name])


class Study:
    """Runs of the study's models on one market; each is made once and kept, `played` where that can be."""

    def __init__(self, data: Path | None = None, settings: Sequence[str] = (), *, played: bool = True) -> None:
        self.settings = tuple(settings)
        for key in (setting.partition("=")[0].strip() for setting in settings):
            if key in NAMED_BY_TABLES:
                raise ScenarioError(f"{key}: the study's tables say themselves which they show; expected another key")
        self.market: Market = load_market(self.scenario("static", {}).market, data)
        self._results: dict[str, Result] = {}
        self._made: Made = {}
        self._execution = Execution(WORTH_CELLS if played else 0)

    def rebalance(
        self,
        perp: str,
        leverage: float,
        trigger: float | str | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> Result:
        """A run of the realistic model; the trigger is twice the leverage unless another is given."""
        place = {"strategy.short": perp, "strategy.leverage": leverage, "strategy.trigger": trigger or 2 * leverage}
        return self.model("capital_rebalance", place | dict(settings or {}))

    def model(self, name: str, settings: Mapping[str, object]) -> Result:
        """A run of any model with settings over its scenario, made once."""
        scenario = self.scenario(name, settings)
        digest = scenario.digest
        if digest not in self._results:
            run = self._execution.run(assemble(scenario, market=self.market, made=self._made))
            self._results[digest] = Result(run, figures(run))
        return self._results[digest]

    def keep(self) -> None:
        """Keep on disk what was recorded of the runs, for the next process."""
        self._execution.keep()

    def rules(self, perp: str) -> Table:
        """The rules of a perpetual, as the realistic model runs under them."""
        assembly = assemble(self.scenario("capital_rebalance", {"strategy.short": perp}), market=self.market)
        venue = next(venue for venue in assembly.venues if venue.name == perp)
        return asdict(cast("AttrsInstance", venue), filter=lambda field, _: field.init)

    def scenario(self, name: str, settings: Mapping[str, object] | None = None) -> Scenario:
        model = MODELS[name]
        table: Table = {
            "name": name,
            "capital_usd": HEADLINE,
            "market": {**MARKET},
            **{part: dict(cast("Table", table)) for part, table in model.items()},
            "venues": {"asgard": {"open_fee_bps": 15.0}, "hyperliquid": {}, "drift": {}},
        }
        for setting in self.settings:
            put(table, setting)
        for key, value in (settings or {}).items():
            place(table, key, value)
        return Scenario.of(table)


def usd(amount: float | Decimal) -> str:
    """A sum to the cent."""
    return f"{round(float(amount), 2) + 0:,.2f}"
