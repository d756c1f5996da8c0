"""The report of a run for people: printed tables, the only place where numbers are rounded."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import numpy as np

from framework.assembly import Assembly
from framework.grid import Grid
from framework.mistakes import is_ours
from framework.money import USDC
from framework.reports.comparisons import Cell, Comparison
from framework.run import Run
from framework.valuation import Summary, chronicle, fees_usd, running_fees_usd, waterfall

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

COUNTS = ("capital_rebalances", "full_rotations", "margin_calls")
"""Counts of what only some strategies do."""


def report(
    assembly: Assembly,
    run: Run,
    summary: Summary,
    comparison: Comparison | None = None,
    beside: Sequence[Cell] = (),
) -> Iterator[Grid]:
    """The tables of a report in the order in which they are printed: what came out, why, and what it was made of.

    What says nothing is left out: tables without rows, columns that are empty or zero in every row, venues that nothing
    went through, rules that are set nowhere, counts and buckets of zero.
    """
    for grid in _tables(assembly, run, summary, comparison, beside):
        if grid.rows:
            yield grid.told()


def _tables(
    assembly: Assembly, run: Run, summary: Summary, comparison: Comparison | None, beside: Sequence[Cell]
) -> Iterator[Grid]:
    yield _performance(summary)
    yield _waterfall(assembly, run)
    yield _fees(run)
    yield _log(run)
    yield _neutrality(run)
    yield from assembly.strategy.tables(run)
    if comparison is not None:
        if not comparison.settings:
            yield _published(comparison)
        yield _readings(comparison)
    if beside and assembly.scenario.coarser:
        yield _coarser(assembly.scenario.coarser.interval, beside)
    yield _market(run)
    yield _rules(assembly, run)


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
    rules = {venue.name: _flat(venue.rules()) for venue in assembly.venues if not touched.isdisjoint(venue.accounts())}
    grid = _grid("Venue rules", "rule", *rules)
    for rule in dict.fromkeys(rule for each in rules.values() for rule in each if rule != "name"):
        cells = ["" if each.get(rule) is None else str(each[rule]) for each in rules.values()]
        if any(cell not in ("", "()") for cell in cells):
            grid.add(rule, *cells)
    return grid


def _flat(rules: Mapping[str, object], above: str = "") -> dict[str, object]:
    """Nested rules as one level of dotted names."""
    flat: dict[str, object] = {}
    for name, value in rules.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {above + name: value}
    return flat


def _performance(summary: Summary) -> Grid:
    grid = _grid("Performance", "measure", "value")
    for words, key, form in (
        ("Capital", "capital_usd", "${:,.2f}"),
        ("Final equity", "final_equity_usd", "${:,.2f}"),
        ("Return", "return_pct", "{:+.2f} %"),
        ("Annualised, simple", "annualized_return_pct", "{:+.2f} %"),
        ("Maximum drawdown", "max_drawdown_pct", "{:.2f} %"),
        ("Capital rebalances", "capital_rebalances", "{}"),
        ("Full rotations", "full_rotations", "{}"),
        ("Margin calls", "margin_calls", "{}"),
        ("Liquidations", "liquidations", "{}"),
        ("Ledger transfers", "transfers", "{:,}"),
    ):
        if summary[key] or key not in COUNTS:
            grid.add(words, form.format(summary[key]))
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


def _fees(run: Run) -> Grid:
    grid = _grid("Fees", "account", "USD")
    paid = {account: amount for account, amount in fees_usd(run).items() if amount}
    for account, amount in paid.items():
        grid.add(account, f"{amount:,.2f}")
    if paid:
        grid.add("Total", f"{sum(paid.values()):,.2f}")
    return grid


def _waterfall(assembly: Assembly, run: Run) -> Grid:
    grid = _grid("P&L waterfall", "bucket", "USD")
    steps = waterfall(run)
    amounts = {WATERFALL_WORDS[name]: amount for name, amount in steps.steps()}
    if assembly.rulebook is not None and is_ours(assembly.rulebook):
        amounts["The study's MTM drag (its plug)"] = steps.study_drag
    for words, amount in amounts.items():
        _add_step(grid, words, [amount])
    return grid


def _neutrality(run: Run) -> Grid:
    curve, coins = run.curve, list(run.curve.delta_by_coin)
    equity = curve.equity_usd
    held = curve.gross_size > 0
    net, gross = np.abs(curve.net_size[held]), curve.gross_size[held]
    grid = _grid("Delta neutrality", "check", "value")
    capital_usd = USDC.units(run.capital)
    several = len(coins) > 1
    for coin in coins if several else [""]:
        close = run.market[run.market.price_column(coin)]
        move = f"{(close[-1] / close[0] - 1) * 100:+.2f} %"
        grid.add(f"Price of {coin}, first to last close" if several else "Price, first to last close", move)
    grid.add("Equity, before closing", f"{(equity[-1] / capital_usd - 1) * 100:+.2f} %")
    for coin in coins if several else []:
        grid.add(f"Largest net delta in {coin}", f"{np.abs(curve.delta_by_coin[coin]).max():.4f} coins")
    if not several:
        grid.add("Largest net delta", f"{net.max(initial=0.0):.4f} coins")
    share = float((net / gross).max(initial=0.0)) * 100
    grid.add("Largest net delta, of both legs", f"{share:.3f} %")
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


def _money(amount_usd: float | None) -> str:
    return "" if amount_usd is None else f"{amount_usd:,.2f}"
