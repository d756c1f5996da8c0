"""The report of a run for people: printed tables, the only place where numbers are rounded."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np

from framework.assembly import Assembly
from framework.events import Event, OrderFilled
from framework.performance import (
    LEVERAGE_RANGES,
    METRICS,
    Summary,
    benchmarks,
    compared,
    time_at_leverage_pct,
    turnover_usd,
)
from framework.reports.comparisons import Cell, Comparison
from framework.run import Run
from framework.support.grid import Grid
from framework.support.mistakes import is_ours
from framework.support.text import flat
from framework.valuation import chronicle, fees_usd, liquidations, running_fees_usd, waterfall

WATERFALL_WORDS = {
    "carry": "Carry (lending less interest)",
    "funding": "Funding",
    "staking": "Staking rewards",
    "fees": "Fees",
    "liquidation_penalty": "Liquidation penalty",
    "price_pnl": "Price P&L of both legs",
    "execution": "Execution (rounding or at cost)",
    "bad_debt": "Bad debt (lost by the venues)",
    "losses": "Losses (failures of venues)",
    "other_income": "Other income",
    "unexplained": "Unexplained",
    "result": "Result",
}

RISK = {
    "sortino": "{:.2f}",
    "calmar": "{:.2f}",
    "longest_drawdown_days": "{:.1f} days",
    "best_day_pct": "{:+.2f} %",
    "worst_day_pct": "{:+.2f} %",
    "best_month_pct": "{:+.2f} %",
    "positive_months_pct": "{:.0f} %",
    "value_at_risk_pct": "{:.2f} %",
    "expected_shortfall_pct": "{:.2f} %",
    "time_in_market_pct": "{:.1f} %",
    "gross_exposure": "{:.2f} x equity",
    "min_liquidation_distance_pct": "{:.2f} %",
}
"""Metrics of the table of risk, and how they are printed."""

COUNTS = ("capital_rebalances", "full_rotations", "margin_calls")
"""Counts of what only some strategies do."""


def report(
    assembly: Assembly,
    run: Run,
    summary: Summary,
    comparison: Comparison | None = None,
    beside: Sequence[Cell] = (),
    *,
    rules: bool = False,
) -> Iterator[Grid]:
    """The tables of a report in the order in which they are printed: what came out, why, and what it was made of.

    What says nothing is left out: tables without rows, columns that are empty or zero in every row, venues that nothing
    went through, rules that are set nowhere, counts and buckets of zero. The venues' rules come with `rules`.
    """
    for grid in _tables(assembly, run, summary, comparison, beside):
        if grid.rows:
            yield grid.told()
    if rules:
        yield _rules(assembly, run)


def _tables(
    assembly: Assembly, run: Run, summary: Summary, comparison: Comparison | None, beside: Sequence[Cell]
) -> Iterator[Grid]:
    yield _result(assembly, run, summary)
    yield _risk(run, summary)
    yield _leverage(run)
    yield _liquidations(run)
    yield _costs(run, summary)
    yield _waterfall(assembly, run, summary)
    yield _activity(summary)
    yield _log(run)
    yield _doubtful(assembly, run)
    yield from assembly.strategy.tables(run)
    if comparison is not None:
        if not comparison.settings:
            yield _published(comparison)
        yield _readings(comparison)
    if beside and assembly.scenario.coarser:
        yield _coarser(assembly.scenario.coarser.interval, beside)
    yield _market(run)


def _grid(title: str, *columns: str) -> Grid:
    return Grid(title, columns)


def _market(run: Run) -> Grid:
    market = run.market
    ruled = any(each.fill != "drop" for each in market.coverage)
    grid = _grid(
        f"Market: {len(market):,} rows, {market.date(0)} to {market.date(len(market) - 1)}",
        "series", "<file", "samples", "used", "outside", "dropped", "<where missing", "filled",
    )  # fmt: skip
    counts = [(each.samples, each.used, each.outside, each.dropped, each.filled) for each in market.coverage]
    some = np.any(counts, axis=0)
    for each, count in zip(market.coverage, counts, strict=True):
        *numbers, filled = (f"{number:,}" if shown else "" for number, shown in zip(count, some, strict=True))
        grid.add(each.series, each.file, *numbers, str(each.fill) if ruled else "", filled)
    dropped = market.dropped_rows
    grid.note = f"{len(dropped):,} rows dropped, which not all series have; first {dropped[0]}" if dropped else ""
    return grid


def _rules(assembly: Assembly, run: Run) -> Grid:
    """The rules of the venues that something went through; one that is set nowhere is none."""
    records, accounts = run.ledger.records(), run.ledger.accounts
    codes = np.union1d(records["debit"], records["credit"])
    touched = {accounts[code] for code in codes.tolist()}
    rules = {venue.name: flat(venue.rules()) for venue in assembly.venues if not touched.isdisjoint(venue.accounts())}
    grid = _grid("Venue rules", "rule", *rules)
    for rule in dict.fromkeys(rule for each in rules.values() for rule in each if rule != "name"):
        cells = ["" if each.get(rule) is None else str(each[rule]) for each in rules.values()]
        if any(cell not in ("", "()") for cell in cells):
            grid.add(rule, *cells)
    return grid


def _result(assembly: Assembly, run: Run, summary: Summary) -> Grid:
    """The run beside what the capital would have become otherwise."""
    spec = assembly.scenario.benchmarks
    rate = spec.rate if spec else 0.0
    compare = list(benchmarks(run, spec))
    columns = [summary, *(compared(each.beside(run), rate) for each in compare)]
    grid = _grid("Result", "measure", "run", *(each.words for each in compare))
    for words, key, form in (
        ("Final equity", "final_equity_usd", "${:,.2f}"),
        ("Return", "return_pct", "{:+.2f} %"),
        ("Annualised, simple", "annualized_return_pct", "{:+.2f} %"),
        ("CAGR", "cagr_pct", "{:+.2f} %"),
        ("Volatility per year", "volatility_pct", "{:.2f} %"),
        ("Sharpe ratio", "sharpe", "{:.2f}"),
        ("Maximum drawdown", "max_drawdown_pct", "{:.2f} %"),
        ("Worst month", "worst_month_pct", "{:+.2f} %"),
    ):
        grid.add(words, *(_form(form, each.get(key)) for each in columns))
    less = (f"{float(str(summary['return_pct'])) - float(each['return_pct'] or 0):+.2f} %" for each in columns[1:])
    grid.add("Return of the run, less", "", *less)
    over = f"; Sharpe ratio of returns above {rate * 100:g} % a year" if rate else ""
    grid.note = f"${summary['capital_usd']:,.2f} over {summary['days']:,.0f} days{over}"
    return grid


def _risk(run: Run, summary: Summary) -> Grid:
    grid = _grid("Risk", "measure", "value")
    for metric in METRICS:
        if metric.name in RISK:
            grid.add(metric.words, _form(RISK[metric.name], summary[metric.name]))
    curve, coins = run.curve, list(run.curve.delta_by_coin)
    for coin in coins:
        words = f"Largest unhedged exposure in {coin}" if len(coins) > 1 else "Largest unhedged exposure"
        share = f", {summary['max_unhedged_pct']:.3f} % of both legs" if len(coins) == 1 else ""
        grid.add(words, f"{np.abs(curve.delta_by_coin[coin]).max():.4f} coins{share}")
    if len(coins) > 1:
        grid.add("Largest unhedged exposure, of both legs", f"{summary['max_unhedged_pct']:.3f} %")
    grid.add("Liquidations", str(summary["liquidations"]))
    return grid


def _leverage(run: Run) -> Grid:
    """How long each leg was at which leverage."""
    spent = time_at_leverage_pct(run)
    grid = _grid("Time at each leverage, % of all", "notional / equity", *spent)
    for name in LEVERAGE_RANGES:
        cells = [f"{each[name]:.1f}" if name in each else "" for each in spent.values()]
        if any(cells):
            grid.add(name, *cells)
    return grid


def _liquidations(run: Run) -> Grid:
    grid = _grid(
        "Liquidations", "date", "<venue", "<leg", "leverage before", "liquidation price", "reached", "settled at",
        "equity", "penalty", "bad debt", "event",
    )  # fmt: skip
    found = list(liquidations(run))
    for each in found:
        grid.add(
            each.date,
            each.venue,
            each.side,
            _form("{:.2f}x", each.leverage_before),
            *map(_money, (each.liquidation_price, each.price_reached, each.settled_at)),
            *map(_money, (each.equity_usd, each.penalty_usd, each.bad_debt_usd)),
            str(each.event),
        )
    notes = ["Leverage and liquidation price are those at the close of the row before; equity is before the penalty."]
    if any(each.equity_usd < 0 and not each.bad_debt_usd for each in found):
        notes.append("Equity below 0 without bad debt is a debt to the venue, paid from the next opening there.")
    if any(isinstance(event, OrderFilled) and event.order == "penalty" for event in run.single):
        notes.append("The strategy pays penalties as it closes the positions; the event log has them.")
    grid.note = " ".join(notes)
    return grid


def _activity(summary: Summary) -> Grid:
    grid = _grid("Activity", "what", "count")
    for words, key in (
        ("Capital rebalances", "capital_rebalances"),
        ("Openings after the start", "full_rotations"),
        ("Margin calls", "margin_calls"),
        ("Ledger transfers", "transfers"),
    ):
        if summary[key] or key not in COUNTS:
            grid.add(words, f"{summary[key]:,}")
    return grid


def _log(run: Run) -> Grid:
    grid = _grid(
        "Event log",
        "date", "<what", "<where", "price", "transfer", "margin called", "penalty", "bad debt", "fees", "event",
        "~why rejected",
    )  # fmt: skip
    for line in chronicle(run):
        grid.add(
            line.date,
            line.kind,
            line.venue,
            "" if line.price is None else f"{line.price:,.2f}",
            *map(_money, (line.transfer_usd, line.margin_usd, line.penalty_usd, line.bad_debt_usd, line.fees_usd)),
            str(line.event),
            line.reason,
        )
    running = ", ".join(running_fees_usd(run))
    grid.note = f"fees of acts; those that run with time are in the table of fees alone: {running}" if running else ""
    return grid


def _doubtful(assembly: Assembly, run: Run) -> Grid:
    """The rules that nobody has verified and that bound an event, with how often and how first."""
    found: dict[tuple[str, str, str, str], list[Event]] = {}
    for event in run.single:
        for name in getattr(event, "rules", ()):
            for key, rule in assembly.rules.get(event.venue, {}).items():
                if key == name or key.startswith(f"{name}."):
                    value = rule.at(event.at_ns)
                    if value.is_doubtful:
                        said = (event.venue, key, str(value.value), str(value.certainty))
                        found.setdefault(said, []).append(event)
    grid = _grid(
        "Rules without a source that decided something",
        "venue", "<rule", "value", "<certainty", "events", "first", "<kind",
    )  # fmt: skip
    for words, events in found.items():
        grid.add(*words, str(len(events)), str(events[0].event), events[0].kind)
    grid.note = "`carrybook rules VENUE` prints every rule with its source" if found else ""
    return grid


def _costs(run: Run, summary: Summary) -> Grid:
    """Fees by account and the penalties of liquidations, with the share of each in what was traded."""
    paid = {account: amount for account, amount in fees_usd(run).items() if amount}
    traded = turnover_usd(run)
    grid = _grid("Costs", "account", "USD", "bps of turnover")

    def add(words: str, amount: Decimal) -> None:
        grid.add(words, f"{amount:,.2f}", f"{float(amount) / traded * 10_000:,.2f}" if traded else "")

    for account, amount in paid.items():
        add(account, amount)
    if paid:
        add("Total fees", sum(paid.values(), Decimal()))
    penalty = -waterfall(run).liquidation_penalty
    if penalty:
        add("Liquidation penalties", penalty)
    if traded:
        a_year = _form(": {:.1f} x equity a year", summary["turnover_per_year"])
        grid.note = f"turnover ${traded:,.2f}, bought and sold{a_year}"
    return grid


def _waterfall(assembly: Assembly, run: Run, summary: Summary) -> Grid:
    """Where the result came from, with the study's plug where the study is reproduced: under its rules and entry."""
    grid = _grid("P&L waterfall", "bucket", "USD")
    steps = waterfall(run)
    amounts = {WATERFALL_WORDS[name]: amount for name, amount in steps.steps()}
    if assembly.rulebook is not None and is_ours(assembly.rulebook) and assembly.entry == "look_ahead":
        amounts["The study's MTM drag (its plug)"] = steps.study_drag
    for words, amount in amounts.items():
        _add_step(grid, words, [amount])
    if summary["funding_yield_pct"]:
        grid.note = f"funding: {summary['funding_yield_pct']:+.2f} % a year of the notional that it was paid on"
    return grid


def _published(comparison: Comparison) -> Grid:
    published = comparison.published
    grid = _grid("Published beside what its rules give here", "figure", "published", *_names(comparison))
    for name, figure in published.figures.items():
        grid.add(
            name,
            f"{figure:,.2f}" if abs(figure) >= 1000 else f"{figure:g}",
            *(_figure(each.figures[name]) for each in comparison.readings),
        )
    grid.note = "; ".join(filter(None, (published.source, published.verdict)))
    return grid


def _readings(comparison: Comparison) -> Grid:
    first, *others = comparison.readings
    differences = [f"{each.name} less {first.name}" for each in others]
    grid = _grid("P&L waterfall by reading", "bucket, USD", *_names(comparison), *differences)
    columns = [dict(each.waterfall.steps()) for each in comparison.readings]
    for bucket, words in WATERFALL_WORDS.items():
        amounts = [column[bucket] for column in columns]
        amounts += [column[bucket] - columns[0][bucket] for column in columns[1:]]
        _add_step(grid, words, amounts)
    if comparison.settings:
        grid.note = f"{comparison.published.source}: {comparison.difference}"
    return grid


def _add_step(grid: Grid, words: str, amounts: Sequence[Decimal]) -> None:
    """A row of a waterfall, unless it is zero to the cent and has not to be."""
    cents = [round(amount, 2) + 0 for amount in amounts]
    if any(cents) or words in (WATERFALL_WORDS["unexplained"], WATERFALL_WORDS["result"]):
        grid.add(words, *(f"{each:+,.2f}" for each in cents))


def _coarser(interval: str, cells: Sequence[Cell]) -> Grid:
    """Returns and liquidations by leverage and trigger or whatever the grid is over, and how the two differ."""
    names = [key.rpartition(".")[2] for key in cells[0].settings]
    both = f"on {interval}"
    grid = _grid(
        f"What rows of {interval} hide", *names, "return, %", both, "liquidations", both, "missed", "invented",
        "rebalances", both, "<first missed or invented",
    )  # fmt: skip
    for cell in cells:
        pairs = [(each["liquidations"], each["capital_rebalances"]) for each in (cell.fine, cell.coarse)]
        liquidations, rebalances = zip(*pairs, strict=True)
        grid.add(
            *(str(value) for value in cell.settings.values()),
            *(f"{float(each['return_pct']):+.2f}" for each in (cell.fine, cell.coarse)),
            *map(str, (*liquidations, len(cell.missed), len(cell.invented), *rebalances)),
            min((*cell.missed, *cell.invented), default=""),
        )
    grid.note = f"missed: liquidations on days on which rows of {interval} have none there; invented: the reverse"
    return grid


def _figure(figure: float | str) -> str:
    return f"{figure:,.2f}" if isinstance(figure, float) else str(figure)


def _names(comparison: Comparison) -> list[str]:
    return [each.name for each in comparison.readings]


def _form(form: str, value: object) -> str:
    """A figure as it is printed; a dash where it does not exist."""
    return "-" if value is None else form.format(value)


def _money(amount_usd: float | None) -> str:
    return "" if amount_usd is None else f"{amount_usd:,.2f}"
