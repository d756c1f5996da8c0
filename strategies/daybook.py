"""The daybook of a synthetic dollar: day by day what it began and ended with, what was required, called and cut."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from attrs import fields, frozen

from framework.events import MarginCalled, OrderFilled
from framework.market import Floats, Ints
from framework.money import USDC, Asset, perpetual, token
from framework.run import Run
from framework.strategy import MarginBelow
from framework.support.grid import Grid
from framework.venue import account_part

if TYPE_CHECKING:
    import pandas as pd

JITOSOL = token("JITOSOL")


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


def tables(run: Run, book: Daybook) -> Iterator[Grid]:
    """The days on which something was cut, the first and the last; `daybook_frame` has all of them."""
    rows = sorted({0, len(run.market) - 1, *np.flatnonzero(book.reduction_coins > 0).tolist()})
    columns = book.columns
    held, asked = list(columns)[:8], list(columns)[8:]
    for title, known in (("Daybook: what a day began and ended with", held), ("Daybook: margin and value", asked)):
        names = [name for name in known if columns[name][rows].round(2).any()]
        heads = (name.removesuffix("_usd").replace("_", " ") for name in names)
        grid = Grid(title, ("date", *heads))
        for row in rows:
            grid.add(run.market.date(row), *(f"{round(columns[name][row], 2) + 0.0:,.2f}" for name in names))
        yield grid


def daybook_frame(run: Run, venue: str, requirement: float) -> "pd.DataFrame":
    """One row per market row: the `Daybook` of the margin account at a venue, whose holder keeps a requirement."""
    import pandas as pd  # noqa: PLC0415  (only notebooks need it)

    columns = daybook(run, MarginBelow(venue, requirement)).columns
    return pd.DataFrame(columns, index=pd.DatetimeIndex(pd.to_datetime(run.market.open_ns, utc=True), name="opens"))
