"""The report of a run for people: printed tables, the only place where numbers are rounded, and the daybook.

The daybook is a table of a margin account, day by day, computed from the ledger.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import numpy as np
from attrs import fields, frozen

from framework.assembly import Assembly
from framework.comparisons import Cell, Comparison
from framework.events import MarginCalled, OrderFilled
from framework.grid import Grid
from framework.market import Floats, Ints
from framework.run import Run
from framework.strategy import MarginBelow
from framework.units import JITOSOL, USDC, Asset, perpetual
from framework.valuation import Summary, chronicle, fees_usd, running_fees_usd, waterfall
from framework.venue import account_part


@frozen(kw_only=True, eq=False)
class Daybook:
    """One element per row of the market, shape (rows,); USD, and coins where the name says so.

    `bod_` is what the day began with at its open, `eod_` what it ended with at its close, after any cut. Equity in the
    short and required maintenance are those of the close before the cut, with the day's funding unless that is kept
    apart; funding, cut and fees are those of the day. Fees are what orders cost, in tokens as well: no penalties, and
    nothing that runs with time.
    """

    bod_long_jitosol_usd: Floats
    eod_long_jitosol_usd: Floats
    bod_long_usd: Floats
    eod_long_usd: Floats
    bod_short_sol_usd: Floats
    eod_short_sol_usd: Floats
    bod_short_usd: Floats
    eod_short_usd: Floats
    equity_usd: Floats
    required_usd: Floats
    margin_called_usd: Floats
    reduction_coins: Floats
    funding_usd: Floats
    fee_usd: Floats
    value_usd: Floats

    @property
    def columns(self) -> dict[str, Floats]:
        """Name of a column -> its values, in the order of the table."""
        return {each.name: getattr(self, each.name) for each in fields(type(self))}


def daybook(run: Run, call: MarginBelow) -> Daybook:
    """The daybook of the account at `call.venue`, whose holder keeps the requirement of `call`."""
    balances, place = _Balances(run), account_part(call.venue)
    opens, closes = (run.market[run.market.price_column("", at)] for at in ("open", "close"))
    token_opens = run.market[run.market.price_column(JITOSOL, "open")]
    token_closes = run.market[run.market.price_column(JITOSOL)]
    quote, apart = f"Assets:{place}:Quote", f"Assets:{place}:Funding"
    tokens = balances.of("Assets:", JITOSOL)
    money = balances.of("Assets:", USDC) - balances.of(quote, USDC) - balances.of(apart, USDC)
    short = -balances.of(f"Assets:{place}:Position")
    proceeds = balances.of(quote, USDC)
    funding = -_by_row(balances.of(f"Income:{place}:Funding", USDC))
    margin_funding = 0.0 if balances.has(apart) else funding
    reduction = _reduction(run, call.venue)
    worth_usd = tokens[1:] * token_closes + money[1:] + proceeds[1:] - short[1:] * closes
    return Daybook(
        bod_long_jitosol_usd=tokens[:-1] * token_opens,
        eod_long_jitosol_usd=tokens[1:] * token_closes,
        bod_long_usd=money[:-1],
        eod_long_usd=money[1:],
        bod_short_sol_usd=short[:-1] * opens,
        eod_short_sol_usd=short[1:] * closes,
        bod_short_usd=proceeds[:-1],
        eod_short_usd=proceeds[1:],
        equity_usd=tokens[:-1] * token_closes + money[:-1] + margin_funding + proceeds[:-1] - short[:-1] * closes,
        required_usd=call.requirement * short[:-1] * closes,
        margin_called_usd=call.requirement * reduction * closes,
        reduction_coins=reduction,
        funding_usd=funding,
        fee_usd=_order_fees(run, balances),
        value_usd=worth_usd + balances.of(apart, USDC)[1:] + balances.of("Liabilities:", USDC)[1:],
    )


def _reduction(run: Run, venue: str) -> Floats:
    """By how many coins each row's margin call cut a short, shape (rows,)."""
    cut = np.zeros(len(run.market))
    calls = {event.event for event in run.single if isinstance(event, MarginCalled)}
    for event in run.single:
        if not isinstance(event, OrderFilled) or event.venue != venue or event.cause not in calls:
            continue
        if event.order in ("resize", "close"):
            cut[run.row(event.at_ns)] += event.size / perpetual("").scale
    return cut


def _order_fees(run: Run, balances: "_Balances") -> Floats:
    """What the orders of each row cost at the prices of its close, or of the opening, shape (rows,)."""
    total = np.zeros(len(run.market))
    for account in run.ledger.accounts:
        if not account.name.startswith("Expenses:") or account.bucket != "fees":
            continue
        if account.name.endswith(("MaintenanceFee", "RewardFee")):
            continue
        path = balances.of(account.name, account.asset)
        if account.asset == USDC:
            total += _by_row(path)
        else:
            opened, closes = (run.market[run.market.price_column(account.asset, at)] for at in (run.opened_at, "close"))
            total += np.diff(path) * closes
            total[0] += path[0] * opened[0]
    return total


def _by_row(path: Floats) -> Floats:
    """What a balance gains in each row, the first with all that was before its close."""
    gains: Floats = np.diff(path)
    gains[0] += path[0]
    return gains


class _Balances:
    """Balances at the open of the first row, once the run has begun, and at every close: shape (rows + 1,)."""

    def __init__(self, run: Run) -> None:
        self._ledger = run.ledger
        self._records = run.ledger.records()
        self._rows = run.market.at_ns.searchsorted(self._records["at_ns"])
        self._early = self._records["at_ns"] < run.market.at_ns[0]
        self._length = len(run.market) + 1

    def has(self, name: str) -> bool:
        """Whether the books have such an account."""
        return any(account.name == name for account in self._ledger.accounts)

    def of(self, name: str, asset: Asset | None = None) -> Floats:
        """Whole units on all accounts below a name or of it, of one asset if that is given; debits less credits."""
        total = np.zeros(self._length)
        for code, account in enumerate(self._ledger.accounts):
            below = account.name == name or (name.endswith(":") and account.name.startswith(name))
            if below and asset in (None, account.asset):
                total += self._path(code) / account.asset.scale
        return total

    def _path(self, code: int) -> Ints:
        gains = np.zeros(self._length, dtype=np.int64)
        at = np.where(self._early, 0, self._rows + 1)
        for side, sign in (("debit", 1), ("credit", -1)):
            mine = self._records[side] == code
            np.add.at(gains, at[mine], sign * self._records["amount"][mine])
        return gains.cumsum()


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
    for condition in assembly.strategy.conditions():
        if isinstance(condition, MarginBelow):
            yield from _daybook(run, daybook(run, condition))
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
    )  # fmt: skip
    for line in chronicle(run):
        grid.add(
            line.date,
            line.kind,
            line.venue,
            "" if line.price is None else f"{line.price:,.2f}",
            *map(_money, (line.transfer_usd, line.margin_usd, line.penalty_usd, line.bad_debt_usd, line.fees_usd)),
            str(line.event),
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
    if assembly.scenario.rulebook:
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


def _daybook(run: Run, book: Daybook) -> Iterator[Grid]:
    """The days on which something was cut, the first and the last; `daybook_frame` has all of them."""
    rows = sorted({0, len(run.market) - 1, *np.flatnonzero(book.reduction_coins > 0).tolist()})
    columns = book.columns
    held, asked = list(columns)[:8], list(columns)[8:]
    for title, known in (("Daybook: what a day began and ended with", held), ("Daybook: margin and value", asked)):
        names = [name for name in known if columns[name][rows].round(2).any()]
        grid = _grid(title, "date", *(name.removesuffix("_usd").replace("_", " ") for name in names))
        for row in rows:
            grid.add(run.market.date(row), *(f"{round(columns[name][row], 2) + 0.0:,.2f}" for name in names))
        yield grid


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
