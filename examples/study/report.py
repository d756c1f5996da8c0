"""The report of the study: all tables of the comparison of three models on two venues."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import cast

import click

from examples.study.analysis import correlation, liquidation_move, monthly_means, rate_statistics
from examples.study.study import HEADLINE, Result, Study, usd
from framework.command_line.cli import main
from framework.errors import RunError
from framework.events import Side
from framework.scenario import Table
from framework.support.files import replace_file
from framework.support.grid import Grid, terminal
from framework.valuation import chronicle, waterfall

PERPS = ("hyperliquid", "drift")
LEVERAGES = (2.0, 3.0, 4.0)
CAPITALS = (1_000.0, 10_000.0, 100_000.0)
TRIGGERS: Mapping[float, Sequence[float | str]] = {
    2.0: (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, "never"),
    3.0: (4.0, 5.0, 6.0, 8.0, 10.0, "never"),
    4.0: (6.0, 8.0, 10.0, "never"),
}
"""The triggers that the study compares at each leverage; twice the leverage is its choice."""
OPEN_FEES_BPS = (15.0, 10.0, 5.0, 0.0)
BUFFERS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
PUBLISHED_PCT: Mapping[tuple[str, float], Sequence[float]] = {
    ("hyperliquid", 1_000.0): (-8.5, -5.3, -22.1),
    ("hyperliquid", 10_000.0): (-4.8, -3.5, -19.6),
    ("hyperliquid", 100_000.0): (-4.7, -3.3, -19.3),
    ("drift", 1_000.0): (-5.2, -9.2, 1.4),
    ("drift", 10_000.0): (-4.8, -8.9, 2.3),
    ("drift", 100_000.0): (-4.8, -8.8, 2.3),
}
"""What the study prints for its nine main cells, three capitals at each of its leverages, % a year."""
PUBLISHED_DRIFT_4X_PCT = PUBLISHED_PCT["drift", HEADLINE][-1]
PUBLISHED_STATIC_2X_PCT = 5.9
"""What the study prints for the static model at 2x and $10,000, % a year."""


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Directory of the study's source files; without it the embedded data set is used.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Put a value over a key of every scenario.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the report to this file as well.")
def study(data: Path | None, settings: tuple[str, ...], markdown: Path | None) -> None:
    """Make the study's whole report: its three models on both venues."""
    if markdown and not os.access(markdown.parent, os.W_OK):
        raise not_writable(markdown)
    comparison = Study(data, settings)
    grids = list(tables(comparison))
    if markdown:
        write_markdown(markdown, grids, comparison.market.label)
    console = terminal(180)
    if comparison.market.label:
        console.print(f"{comparison.market.label}\n", style="bold yellow", markup=False)
    for grid in grids:
        grid.show(console)


def tables(study: Study) -> Iterator[Grid]:
    """All tables of the comparison, in the order in which they are read."""
    if not study.settings:
        yield distances(study)
    yield venue_parameters(study)
    for perp in PERPS:
        yield performance(study, perp)
    for perp in PERPS:
        yield triggers(study, perp)
    yield costs(study)
    yield models(study)
    yield rotation(study)
    yield waterfalls(study)
    yield bad_debt(study)
    yield funding(study)
    yield months(study)
    yield neutrality(study)
    yield open_fees(study)
    yield winners(study)
    for perp, leverage in (("hyperliquid", 2.0), ("hyperliquid", 3.0), ("drift", 3.0)):
        yield events(study, perp, leverage)
    study.keep()


def distances(study: Study) -> Grid:
    """How far the nine main cells of both venues are from what the study prints, on the market of these runs."""
    columns = ("capital", "leverage", *(f"{perp} {what}" for perp in PERPS for what in ("published", "here", "apart")))
    grid = Grid("Distance from the publication, annualised", columns)
    apart = []
    for capital in CAPITALS:
        for index, leverage in enumerate(LEVERAGES):
            cells = []
            for perp in PERPS:
                each = study.rebalance(perp, leverage, settings={"capital_usd": capital})
                published = PUBLISHED_PCT[perp, capital][index]
                points = round(round(float(each.metrics["annualized_return_pct"]), 1) - published, 1) + 0
                cells += [f"{published:+.1f} %", each.pct("annualized_return_pct"), f"{points:+.1f}"]
                apart.append(abs(points))
            grid.add(f"${capital:,.0f}", f"{leverage:g}x", *cells)
    grid.note = f"percentage points; {fmean(apart):.1f} apart in the mean, {max(apart):.1f} at most"
    return grid


def venue_parameters(study: Study) -> Grid:
    """What the study assumes of both venues, and how far the price may go."""
    grid = Grid("Venue parameters", ("parameter", *map(str.capitalize, PERPS)))
    rules = [study.rules(perp) for perp in PERPS]
    grid.add("Taker fee", *(f"{rule['taker_fee_bps']} bps" for rule in rules))
    grid.add("Maintenance margin", *(f"{float(str(rule['maintenance_margin'])):.0%}" for rule in rules))
    penalties = [cast("Table", rule["liquidation_penalty"]) for rule in rules]
    grid.add("Liquidation penalty", *(f"{float(str(each['fraction'])):.1%} of {each['of']}" for each in penalties))
    grid.add("Bridge", *(f"${cast('Table', rule['bridge'])['fee_usd']}" for rule in rules))
    for leverage in LEVERAGES:
        for side in Side:
            moves = (liquidation_move(leverage, float(str(rule["maintenance_margin"])), side) for rule in rules)
            grid.add(f"{side.capitalize()} at {leverage:g}x liquidated at", *(f"{move:+.2%}" for move in moves))
    return grid


def performance(study: Study, perp: str) -> Grid:
    """The realistic model at every capital and leverage."""
    columns = ("capital", "leverage", "trigger", "final equity", "annualised", "drawdown", "rebalances", "liquidations")
    grid = Grid(f"Performance on {perp.capitalize()}", columns)
    for capital in CAPITALS:
        for leverage in LEVERAGES:
            each = study.rebalance(perp, leverage, settings={"capital_usd": capital})
            grid.add(
                f"${capital:,.0f}", f"{leverage:g}x", f"{2 * leverage:g}x", f"{each.metrics['final_equity_usd']:,.2f}",
                each.pct("annualized_return_pct"), each.drawdown,
                each.count("capital_rebalances"), each.count("liquidations"),
            )  # fmt: skip
    return grid


def triggers(study: Study, perp: str) -> Grid:
    """Every trigger at every leverage."""
    columns = ("leverage", "trigger", "annualised", "drawdown", "fees", "penalty", "rebalances", "liquidations")
    grid = Grid(f"Trigger optimisation on {perp.capitalize()}, ${HEADLINE:,.0f}", columns)
    for leverage, choices in TRIGGERS.items():
        found = {trigger: study.rebalance(perp, leverage, trigger) for trigger in choices}
        best = max(found, key=lambda trigger: float(found[trigger].metrics["annualized_return_pct"]))
        for trigger, each in found.items():
            name = trigger if isinstance(trigger, str) else f"{trigger:g}x"
            grid.add(
                f"{leverage:g}x", f"{name} *" if trigger == best else name, each.pct("annualized_return_pct"),
                each.drawdown, each.usd("total_fees_usd"),
                each.usd("liquidation_penalty_usd"), each.count("capital_rebalances"), each.count("liquidations"),
            )  # fmt: skip
    grid.note = "* the best at its leverage"
    return grid


def costs(study: Study) -> Grid:
    """What both venues cost."""
    columns = ("leverage", *(f"{perp} {what}" for perp in PERPS for what in ("fees", "of which bridge", "penalty")))
    grid = Grid(f"Fees and costs, ${HEADLINE:,.0f}", columns)
    for leverage in LEVERAGES:
        both = [study.rebalance(perp, leverage) for perp in PERPS]
        names = ("total_fees_usd", "bridge_usd", "liquidation_penalty_usd")
        grid.add(f"{leverage:g}x", *(each.usd(name) for each in both for name in names))
    return grid


def models(study: Study) -> Grid:
    """The three models and the unmanaged position side by side, at cost and at the market."""
    grid = Grid(
        "Three models on Hyperliquid, annualised",
        ("capital", "leverage", "static", "rebalance", "rotation", "unmanaged", "static*", "rotation*", "unmanaged*"),
    )
    published = study.model("static", {"capital_usd": HEADLINE, "strategy.leverage": 2.0})
    grid.note = (
        "Static, rotation, unmanaged at cost as the study keeps them; * at the market, no look-ahead, losses owed. "
    )
    if not study.settings:
        grid.note += (
            f"The study prints {PUBLISHED_STATIC_2X_PCT:+.1f} % for static at 2x and ${HEADLINE:,.0f}; its own "
            f"definition gives {published.pct('annualized_return_pct')} here."
        )
    plain: Table = {"rulebook": {"class": "study"}}
    for capital in CAPITALS:
        for leverage in LEVERAGES:
            size: Table = {"capital_usd": capital, "strategy.leverage": leverage}
            rotation = size | plain | {"strategy.compounding": False, "strategy.capital_penalty": 0.0}
            results = (
                study.model("static", size),
                study.rebalance("hyperliquid", leverage, settings={"capital_usd": capital}),
                study.model("full_rotation", size),
                study.model("full_rotation", size | {"strategy.liquidation_buffer": 0.0}),
                study.model("static", size | plain),
                study.model("full_rotation", rotation),
                study.model("full_rotation", rotation | {"strategy.liquidation_buffer": 0.0}),
            )
            returns = (each.pct("annualized_return_pct") for each in results)
            grid.add(f"${capital:,.0f}", f"{leverage:g}x", *returns)
    return grid


def rotation(study: Study) -> Grid:
    """Full rotation by buffer, and with the study's minimum APY."""
    grid = Grid(
        "Full rotation on Hyperliquid, at cost",
        ("capital", "leverage", "buffer", "minimum APY", "final equity", "annualised", "fees", "carry", "funding",
         "rotations", "forced", "liquidations", "APY exits", "drawdown"),
    )  # fmt: skip
    cells = product(CAPITALS, LEVERAGES, (0.0, 0.1))
    cases = [(capital, leverage, buffer, 0.0) for capital, leverage, buffer in cells]
    cases += [(1_000.0, leverage, 0.1, 10.0) for leverage in LEVERAGES]
    cases += [(HEADLINE, 3.0, buffer, 0.0) for buffer in BUFFERS if buffer != 0.1]
    for capital, leverage, buffer, apy_pct in dict.fromkeys(cases):
        settings = {"capital_usd": capital, "strategy.leverage": leverage, "strategy.liquidation_buffer": buffer}
        each = study.model("full_rotation", settings | {"strategy.min_apy_pct": apy_pct})
        grid.add(
            f"${capital:,.0f}", f"{leverage:g}x", f"{buffer:.0%}", f"{apy_pct:g} %" if apy_pct else "none",
            f"{each.metrics['final_equity_usd']:,.2f}", each.pct("annualized_return_pct"), each.usd("total_fees_usd"),
            each.usd("carry_usd"), each.usd("funding_usd"), *map(each.count, ("rotations", "forced_rotations")),
            each.count("liquidations"), each.count("apy_exits"), each.drawdown,
        )  # fmt: skip
    return grid


def waterfalls(study: Study) -> Grid:
    """Where each result came from; the study's plug beside what it is made of."""
    cases = [(perp, leverage) for perp in PERPS for leverage in LEVERAGES]
    grid = Grid(f"P&L waterfalls, ${HEADLINE:,.0f}", ("bucket", *(f"{perp} {leverage:g}x" for perp, leverage in cases)))
    falls = [waterfall(study.rebalance(perp, leverage).run) for perp, leverage in cases]
    for (name, _), *_ in zip(*(fall.steps() for fall in falls), strict=True):
        if name != "losses":  # no venue of the study fails
            grid.add(name.replace("_", " "), *(usd(getattr(fall, name)) for fall in falls))
    grid.add("the study's MTM drag (its plug)", *(usd(fall.study_drag) for fall in falls))
    return grid


def bad_debt(study: Study) -> Grid:
    """Drift at 4x: the published gain, and what is left of it when losses are not forgiven."""
    grid = Grid("Drift at 4x, told honestly", ("reading", "annualised", "final equity", "bad debt"))
    forgiven = study.rebalance("drift", 4.0)
    owed = study.rebalance("drift", 4.0, settings={"rulebook.forgive_negative_equity": False})
    if not study.settings:
        grid.add("published", f"{PUBLISHED_DRIFT_4X_PCT:+.1f} %", "", "")
    for words, each in (("liquidated legs floored at zero, as the study does", forgiven), ("losses stay owed", owed)):
        final = f"{each.metrics['final_equity_usd']:,.2f}"
        grid.add(words, each.pct("annualized_return_pct"), final, each.usd("bad_debt_usd"))
    grid.note = _floor_told(forgiven, owed)
    return grid


def _floor_told(forgiven: Result, owed: Result) -> str:
    """What the floor changes, in a sentence that is true of these two runs."""
    given_usd = float(forgiven.metrics["bad_debt_usd"])
    with_it, without = (float(each.metrics["return_pct"]) for each in (forgiven, owed))
    if not given_usd:
        return "On these data no liquidated leg falls below zero: the floor changes nothing."
    if with_it > 0 > without:
        return "The floor gives the position what nobody paid; without it the gain is a loss."
    return (
        f"The floor gives the position {usd(given_usd)} USD that nobody paid; without it the return is "
        f"{owed.pct('annualized_return_pct')} a year instead of {forgiven.pct('annualized_return_pct')}."
    )


def funding(study: Study) -> Grid:
    """Both funding rates over all rows."""
    grid = Grid("Funding statistics", ("measure", *map(str.capitalize, PERPS)))
    rates = [study.market[f"{perp}_funding_rate"] for perp in PERPS]
    both = [rate_statistics(rate, _rows_per_year(study)) for rate in rates]
    grid.add("mean by row", *(f"{each.mean:+.8f}" for each in both))
    grid.add("deviation", *(f"{each.deviation:.8f}" for each in both))
    grid.add("annualised", *(f"{each.annualized_pct:+.2f} %" for each in both))
    grid.add("positive rows", *(f"{each.positive_rows} of {each.rows}" for each in both))
    grid.add("highest", *(f"{each.highest:+.8f}" for each in both))
    grid.add("lowest", *(f"{each.lowest:+.8f}" for each in both))
    grid.note = f"correlation {correlation(*rates):.3f}; > 0 means that longs pay shorts"
    return grid


def _rows_per_year(study: Study) -> float:
    """How many rows as long as those of the market a year has."""
    return len(study.market) / float(study.market.years.sum())


def months(study: Study) -> Grid:
    """Mean rates by month, percent a year."""
    columns = {"SOL lending": ("sol_lending_apy", 100.0, 2), "USDC borrowing": ("usdc_borrowing_apy", 100.0, 2)}
    yearly_pct = 100 * _rows_per_year(study)
    columns |= {f"{perp} funding": (f"{perp}_funding_rate", yearly_pct, 1) for perp in PERPS}
    grid = Grid("Mean rates by month, % a year", ("month", *columns))
    means = [(monthly_means(study.market, name), scale, places) for name, scale, places in columns.values()]
    for month in means[0][0]:
        grid.add(month, *(f"{each[month] * scale:.{places}f}" for each, scale, places in means))
    return grid


def neutrality(study: Study) -> Grid:
    """How far price and equity went, and how far the legs were apart."""
    columns = ("run", "price", "equity before closing", "largest net delta")
    grid = Grid(f"Delta neutrality, ${HEADLINE:,.0f}", columns)
    for perp in PERPS:
        for leverage in LEVERAGES:
            each = study.rebalance(perp, leverage)
            equity = each.run.curve.equity_usd[-1] / float(each.metrics["capital_usd"]) - 1
            coins = f"{each.metrics['max_net_delta_coins']:.4f} coins"
            grid.add(f"{perp} {leverage:g}x", each.pct("price_move_pct"), f"{equity * 100:+.1f} %", coins)
    return grid


def open_fees(study: Study) -> Grid:
    """What a cheaper opening would change, on Hyperliquid at 3x."""
    columns = ("opening fee", "annualised", "final equity", "fees")
    grid = Grid(f"Opening fee sensitivity, Hyperliquid 3x, ${HEADLINE:,.0f}", columns)
    for bps in OPEN_FEES_BPS:
        each = study.rebalance("hyperliquid", 3.0, settings={"venues.asgard.open_fee_bps": bps})
        final = f"{each.metrics['final_equity_usd']:,.2f}"
        grid.add(f"{bps:g} bps", each.pct("annualized_return_pct"), final, each.usd("total_fees_usd"))
    return grid


def winners(study: Study) -> Grid:
    """Which venue did better in each cell, and by how much a year."""
    grid = Grid("Winner by cell, realistic model", ("capital", *(f"{leverage:g}x" for leverage in LEVERAGES)))
    for capital in CAPITALS:
        cells = []
        for leverage in LEVERAGES:
            size = {"capital_usd": capital}
            runs = {perp: study.rebalance(perp, leverage, settings=size) for perp in PERPS}
            both = {perp: float(each.metrics["annualized_return_pct"]) for perp, each in runs.items()}
            best = max(both, key=lambda perp: both[perp])
            lead = f"{max(both.values()) - min(both.values()):.2f}"
            cells.append("both the same" if lead == "0.00" else f"{best} by {lead} points")
        grid.add(f"${capital:,.0f}", *cells)
    return grid


def events(study: Study, perp: str, leverage: float) -> Grid:
    """What was done, line by line."""
    columns = ("date", "<what", "price", "transfer", "penalty", "bad debt", "fees")
    grid = Grid(f"Event log, {perp.capitalize()} {leverage:g}x, ${HEADLINE:,.0f}", columns)
    for line in chronicle(study.rebalance(perp, leverage).run):
        sums = (line.transfer_usd, line.penalty_usd, line.bad_debt_usd, line.fees_usd)
        grid.add(line.date, line.kind, f"{line.price:,.2f}", *("" if each is None else usd(each) for each in sums))
    return grid


def write_markdown(path: Path, grids: Sequence[Grid], label: str) -> None:
    """The report as one Markdown file, whole or not at all; raises `RunError`."""
    head = ["# Three models of SOL carry", "", *([f"**{label}**", ""] if label else [])]
    try:
        replace_file(path, "\n".join([*head, *(grid.markdown() for grid in grids)]).encode())
    except OSError as error:
        raise not_writable(path) from error


def not_writable(path: Path) -> RunError:
    """The error of a file for the report that cannot be."""
    return RunError(f"{path}: not writable; expected a file in a directory that exists and may be written to")


if __name__ == "__main__":
    main(["study", *sys.argv[1:]])
