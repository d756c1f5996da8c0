"""The study against the protocols: its nine main cells on the real rules, and the way from one figure to the other.

Every run has the protocols' rulebook. `STUDY` has the values that the study sets in its place; each step of `STEPS`
gives some of them up, one after the other, until none is left.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from attrs import evolve, frozen

from examples.study.study import MARKET, SOURCES, Study
from framework.assembly import assemble, load_market
from framework.errors import ScenarioError
from framework.market import Market
from framework.performance import metrics
from framework.run import Run
from framework.scenario import Scenario, place
from framework.support.grid import Grid, terminal
from framework.support.text import counted

CAPITALS = (1_000.0, 10_000.0, 100_000.0)
LEVERAGES = (2.0, 3.0, 4.0)
BAR = 40
"""The width of the bridge in the terminal, characters."""
ORACLE = Path("market") / "sol_usdt_spot_1h_binance_2024H2_2026.csv"
"""Hours of a spot market, in which the wick of 2025-10-10 on Hyperliquid is not."""
HOURLY = Path(__file__).parent.parent / "hourly" / "scenario.toml"
DRIFT_FILE = "study/drift_sol_funding_history.json"
DRIFT_BY_DAY = f'market.sources.drift_funding={{reader="drift_daily_funding", file="{DRIFT_FILE}", fill="zero"}}'
"""Drift's funding on hourly rows: of a day there is the sum alone, which is paid in its last hour."""
PAIR: Mapping[str, Any] = {
    "strategy": {"class": "capital_rebalance", "long": "asgard"},
    "rulebook": {"class": "protocol"},
}
WAY: Mapping[str, float] = {"fee_usd": 3.0, "latency_s": 0.0, "fee_bps": 0.0, "gas_usd": 0.0, "minimum_usd": 0.0}
"""The study's bridge to Hyperliquid in either direction: three dollars for any sum, at once."""
HALF_OF_EQUITY = {"of": "equity", "fraction": 0.5}
OF_NOTIONAL = {"of": "notional", "fraction": 0.025}


def of_study(line: float, penalty: Mapping[str, object], venue: str) -> dict[str, object]:
    """The study's rules of both legs as values over those of the protocols; it judges the long by the short's venue."""
    both = {"liquidation_penalty": penalty, "liquidation_closes": False, "forgive_negative_equity": True}
    return {
        "rulebook.path": "close",
        "rulebook.look_ahead_at_entry": True,
        **{f"venues.{name}.{key}": value for name in ("asgard", venue) for key, value in both.items()},
        "venues.asgard.terms.liquidation_ltv": line,
        "venues.asgard.overpayment": "earns_borrowing_rate",
        "venues.asgard.open_fee_bps": 15.0,
        "venues.asgard.gas_usd": 2.0,
        "venues.asgard.swap_fee_bps": 0.0,
        "venues.asgard.swap_impact_bps_per_million": 0.0,
        "venues.asgard.rate_convention": "nominal",
        "venues.asgard.terms.limit_ltv": 1.0,
        "venues.asgard.terms.max_leverage": 1e6,
        f"venues.{venue}.taker_fee_bps": 3.5,
    }


STUDY: Mapping[str, Mapping[str, object]] = {
    "hyperliquid": of_study(0.95, HALF_OF_EQUITY, "hyperliquid")
    | {
        "venues.hyperliquid.margin_tiers": {"SOL": [{"max_leverage": 10}]},
        "venues.hyperliquid.payout_floor": 0.0,
        "venues.hyperliquid.min_order_usd": 0.0,
        "venues.hyperliquid.bridge": {"sender_share": 0.5, "inbound": {**WAY}, "outbound": {**WAY}},
    },
    "drift": of_study(0.97, OF_NOTIONAL, "drift")
    | {
        "venues.drift.maintenance_margin": 0.03,
        "venues.drift.initial_margin": 0.0,
        "venues.drift.imf": 0.0,
        "venues.drift.bridge": {"fee_usd": 0.001},
    },
}
"""The rules of the study by the perpetual that it sells short."""


@frozen
class Step:
    """A rule that is the protocol's from here on: the study's values that it ends, or the market that it takes."""

    title: str
    ends: tuple[str, ...] = ()
    market: str = ""


def of_short(*rules: str) -> tuple[str, ...]:
    """Rules of either perpetual."""
    return tuple(f"venues.{venue}.{rule}" for venue in STUDY for rule in rules)


def of_long(*rules: str) -> tuple[str, ...]:
    """Rules of the lender."""
    return tuple(f"venues.asgard.{rule}" for rule in rules)


PENALTY = ("liquidation_penalty", "liquidation_closes", "forgive_negative_equity")
STEPS = (
    Step("Lender's penalty: rounds at a bonus", of_long(*PENALTY)),
    Step("Perpetual's penalty: orders on the book", of_short(*PENALTY)),
    Step("Lender's line: a loan of 75 %", of_long("terms.liquidation_ltv")),
    Step("Perpetual's margins", of_short("margin_tiers", "maintenance_margin", "initial_margin", "imf")),
    Step("Price: liquidated where due, not at the close", ("rulebook.path",)),
    Step("Price role: the lender looks at an oracle", market="oracle"),
    Step("Taker fee by date", of_short("taker_fee_bps")),
    Step("Asgard's fee and gas: as the study has them", of_long("open_fee_bps", "gas_usd")),
    Step("Swap of the leveraged part", of_long("swap_fee_bps", "swap_impact_bps_per_million")),
    Step("Bridge: its fee and its time", of_short("bridge")),
    Step("Rates converted as APY", of_long("rate_convention")),
    Step("Loan: at most 74 %", of_long("terms.limit_ltv", "terms.max_leverage", "overpayment")),
    Step("What may leave, and the least order", of_short("payout_floor", "min_order_usd")),
    Step("No look-ahead at entry", ("rulebook.look_ahead_at_entry",)),
    Step("Hourly rows", market="hourly"),
)
"""From the study's rules to the protocols', one at a time; what needs another market is left out without it."""


@frozen(eq=False)
class Markets:
    """The same months in days, in days with the lenders' oracle beside, and in hours."""

    by_name: Mapping[str, Market]
    data: Path | None = None

    @classmethod
    def load(cls, data: Path | None) -> "Markets":
        """The embedded days, or all three from a directory with `study` and `market`."""
        if data is None:
            return cls({"daily": load_market(described(), None)})
        daily = load_market(described(), data / "study")
        hours = load_market(Scenario.load(HOURLY, [DRIFT_BY_DAY]).market, data)
        return cls({"daily": daily, "oracle": with_oracle(daily, data / ORACLE), "hourly": hours}, data)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that these markets allow."""
        return tuple(step for step in STEPS if not step.market or step.market in self.by_name)

    def after(self, steps: int) -> Market:
        """The market after so many steps."""
        named = ["daily", *(step.market for step in self.steps[:steps] if step.market)]
        return self.by_name[named[-1]]


def described() -> Any:
    """The market of the study's scenarios."""
    market = {**MARKET, "sources": SOURCES}
    table = {"name": "market", "capital_usd": 1.0, "market": market, **PAIR, "venues": {"asgard": {}}}
    return Scenario.of(table).market


def with_oracle(daily: Market, file: Path) -> Market:
    """Days with the least, the greatest and the last of a spot market's prices, which the lenders' oracle follows."""
    hours = pd.read_csv(file, comment="#")
    hours.index = pd.to_datetime(hours["date"], utc=True)
    days = hours.resample("1D").agg({"low": "min", "high": "max", "close": "last"})
    found = days.reindex(pd.to_datetime(daily.open_ns, utc=True))
    if found.isna().to_numpy().any():
        raise ScenarioError(f"{file}: lacks days of the market; expected every day from {daily.date(0)} on")
    names = {"SOL.oracle": "close", "SOL.oracle.low": "low", "SOL.oracle.high": "high"}
    return evolve(daily, columns={**daily.columns, **{name: found[of].to_numpy() for name, of in names.items()}})


@frozen(eq=False)
class Cell:
    """One position: its runs under the study's rules, after each step, and under the protocols'."""

    markets: Markets
    capital_usd: float = 10_000.0
    leverage: float = 3.0
    trigger: float | str = 6.0
    short: str = "hyperliquid"

    def figures(self, steps: int) -> "Figures":
        """What comes out after so many steps."""
        try:
            run = assemble(self.scenario(steps), market=self.markets.after(steps)).simulation().run()
        except ScenarioError as error:
            if not str(error).startswith("strategy.leverage:"):
                raise
            return Figures()
        return Figures.of(run, self.short)

    def study(self) -> "Figures":
        return self.figures(0)

    def protocol(self) -> "Figures":
        return self.figures(len(self.markets.steps))

    def scenario(self, steps: int) -> Scenario:
        """The scenario after so many steps: 0 is the study's, all of them the protocols'."""
        done = self.markets.steps[:steps]
        ended = {key for step in done for key in step.ends}
        settings = {key: value for key, value in STUDY[self.short].items() if key not in ended}
        strategy = {**PAIR["strategy"], "short": self.short, "leverage": self.leverage, "trigger": self.trigger}
        table: dict[str, Any] = {
            "name": "study_vs_protocol", "capital_usd": self.capital_usd, "market": {**MARKET},
            "rulebook": {**PAIR["rulebook"]}, "strategy": strategy, "venues": {"asgard": {}, self.short: {}},
        }  # fmt: skip
        for key, value in settings.items():
            place(table, key, value)
        return Scenario.of(table)


@frozen
class Figures:
    """What a run comes to; nothing where its leverage is one at which a leg is liquidated at once."""

    yearly_pct: float = float("nan")
    liquidations: int = 0
    opened: bool = False

    @classmethod
    def of(cls, run: Run, short: str) -> "Figures":
        found, sizes = metrics(run), run.curve.size_by_venue[short]
        return cls(float(str(found["annualized_return_pct"])), int(str(found["liquidations"])), bool(sizes.any()))

    @property
    def told(self) -> str:
        """The yearly return, or that nothing was opened."""
        return f"{self.yearly_pct:+.1f} %" if self.opened else "not opened"


def cells(markets: Markets, short: str) -> Grid:
    """The nine main cells of the study: each capital at each leverage, the trigger at twice of that."""
    columns = ("capital", "leverage", "trigger", "study", "protocols", "difference", "liquidations", "protocols'")
    grid = Grid(f"The nine main cells on {short.title()}, a year", columns)
    for capital in CAPITALS:
        for leverage in LEVERAGES:
            cell = Cell(markets, capital, leverage, 2 * leverage, short)
            study, real = cell.study(), cell.protocol()
            difference = f"{real.yearly_pct - study.yearly_pct:+.1f}" if real.opened else ""
            grid.add(
                f"${capital:,.0f}", f"{leverage:g}x", f"{2 * leverage:g}x", study.told, real.told, difference,
                str(study.liquidations), str(real.liquidations) if real.opened else "",
            )  # fmt: skip
    return grid


def bridge_frame(cell: Cell) -> pd.DataFrame:
    """One row per step: its title, the yearly return after it in percent, the change, and the liquidations."""
    found = [cell.figures(steps) for steps in range(len(cell.markets.steps) + 1)]
    yearly = [each.yearly_pct for each in found]
    return pd.DataFrame(
        {
            "step": ["The study", *(step.title for step in cell.markets.steps)],
            "yearly_pct": yearly,
            "change_pct": [float("nan"), *np.diff(yearly)],
            "liquidations": [each.liquidations for each in found],
        }
    )


def bridge(cell: Cell) -> Grid:
    """From the study's figure to the protocols', a bar for each rule from the figure before it to the one after."""
    frame = bridge_frame(cell)
    grid = Grid(
        f"From the study to the protocols: {cell.leverage:g}x with a trigger of {cell.trigger:g}x, % a year",
        ("step", "yearly", "change", "liquidations", "<bridge"),
    )
    yearly = [0.0, *frame["yearly_pct"]]
    least, most = min(yearly), max(yearly)
    for row, before in zip(frame.itertuples(), yearly, strict=False):
        ends = sorted(round((each - least) / (most - least) * BAR) for each in (before, row.yearly_pct))
        bar = " " * ends[0] + ("█" * (ends[1] - ends[0]) or "▏")
        change = "" if np.isnan(row.change_pct) else f"{row.change_pct:+.2f}"
        grid.add(row.step, f"{row.yearly_pct:+.2f}", change, str(row.liquidations), bar)
    left_out = [step.title for step in STEPS if step not in cell.markets.steps]
    grid.note = f"Left out without --data: {'; '.join(left_out)}" if left_out else ""
    return grid


def conclusions(markets: Markets) -> Grid:
    """What the study concludes, and whether it stands on the protocols' rules."""
    grid = Grid("What the study concludes", ("conclusion", "study", "protocols", "<stands"))
    two, five, three, four = (
        Cell(markets, 10_000.0, *each) for each in ((2.0, 4.0), (2.0, 5.0), (3.0, 6.0), (4.0, 8.0))
    )
    pairs = {each: (each.study(), each.protocol()) for each in (two, five, three, four)}

    def verdict(stands: bool, was: bool = True) -> str:
        return "yes" if stands and was else "no" if was else "not on these data either"

    study, real = pairs[five]
    grid.add(
        "2x with a trigger of 5x is never liquidated",
        counted(study.liquidations, "liquidation"), counted(real.liquidations, "liquidation"),
        verdict(not real.liquidations, not study.liquidations),
    )  # fmt: skip
    grid.add(
        "2x with a trigger of 5x makes money", study.told, real.told,
        verdict(real.yearly_pct > 0, study.yearly_pct > 0),
    )  # fmt: skip
    study, real = pairs[three]
    grid.add(
        "3x with a trigger of 6x is liquidated once", counted(study.liquidations, "liquidation"),
        counted(real.liquidations, "liquidation"), verdict(real.liquidations == 1, study.liquidations == 1),
    )  # fmt: skip
    study, real = pairs[four]
    grid.add("4x can be had", study.told, real.told, verdict(real.opened, study.opened))
    best = [
        "2x" if pair[0].yearly_pct > pair[1].yearly_pct else "3x" for pair in zip(pairs[two], pairs[three], strict=True)
    ]
    grid.add("The better leverage of 2x and 3x, trigger at twice of it", *best, verdict(best[0] == best[1]))
    venues = {short: Cell(markets, 10_000.0, 3.0, 6.0, short) for short in STUDY}
    by_venue = [
        max(venues, key=lambda short: found[short].yearly_pct).title()
        for found in (
            {short: each.study() for short, each in venues.items()},
            {short: each.protocol() for short, each in venues.items()},
        )
    ]
    grid.add("The better perpetual at 3x with a trigger of 6x", *by_venue, verdict(by_venue[0] == by_venue[1]))
    study = Study(markets.data and markets.data / "study")
    forgiven, charged = (
        study.rebalance("drift", 4.0, settings={"rulebook.forgive_negative_equity": each}) for each in (True, False)
    )
    positive = [float(each.metrics["annualized_return_pct"]) > 0 for each in (forgiven, charged)]
    told = [each.pct("annualized_return_pct") for each in (forgiven, charged)]
    grid.add(
        "4x on Drift makes money (there: what is lost beyond the equity is charged)",
        *told,
        verdict(positive[1], positive[0]),
    )
    return grid


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Directory with the folders `study` and `market`.")
@click.option("--frame", type=click.Path(path_type=Path), help="Write the bridge to this CSV file as well.")
def main(data: Path | None, frame: Path | None) -> None:
    """The nine main cells of the study on the protocols' rules, the bridge between both, and what of it stands."""
    markets = Markets.load(data)
    console = terminal(150)
    label = markets.by_name["daily"].label
    if label:
        console.print(f"{label}\n", style="bold yellow", markup=False, soft_wrap=True)
    for grid in grids(markets):
        grid.show(console)
    if frame:
        bridge_frame(Cell(markets)).to_csv(frame, index=False)


def grids(markets: Markets) -> Iterator[Grid]:
    """All that is printed, in its order."""
    for short in STUDY:
        yield cells(markets, short)
    for leverage, trigger in ((2.0, 5.0), (3.0, 6.0)):
        yield bridge(Cell(markets, leverage=leverage, trigger=trigger))
    yield conclusions(markets)


if __name__ == "__main__":
    main()
