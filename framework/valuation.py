"""What a run is worth and why: equity, waterfall and metrics, from the ledger and the market in exact numbers."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
from attrs import fields, frozen

from framework.accounts import Account
from framework.accrual import rows_until
from framework.events import Ended, Liquidated, MarginCalled, OrderFilled, Started, TransferSent
from framework.market import Market
from framework.run import Run
from framework.units import JITOSOL, USDC
from framework.worth import Worth, decimal, usdc

INCOME_BUCKETS = {
    "Funding": "funding",
    "Lending": "carry",
    "DepositInterest": "carry",
    "Staking": "staking",
    "BadDebt": "bad_debt",
}
"""Last part of an income account -> bucket of the waterfall; other income is `other_income`."""
EXPENSE_BUCKETS = {"Interest": "carry", "LiquidationPenalty": "liquidation_penalty"}
"""Last part of an expense account -> bucket of the waterfall; other expenses are `fees`."""
EQUITY_BUCKETS = {"Trading": "execution", "Realised": "execution", "Accretion": "price_pnl"}
"""Last part of an equity account -> bucket of the waterfall; capital is in none."""

WATERFALL_BUCKETS = (
    "carry",
    "funding",
    "staking",
    "fees",
    "liquidation_penalty",
    "price_pnl",
    "execution",
    "bad_debt",
    "other_income",
)
"""The buckets that a result is the sum of."""


@frozen(kw_only=True)
class Waterfall:
    """Where the result came from, exact USD: gains are positive, costs negative, and all of it sums to `result`.

    `price_pnl` is the revaluation of what was held less what of it was booked as staking income, `execution` what
    trades made against the mark (here their rounding), `bad_debt` what a venue lost on us. `unexplained` is what
    remains: zero, or a fault in the values.
    """

    carry: Decimal
    funding: Decimal
    staking: Decimal
    fees: Decimal
    liquidation_penalty: Decimal
    price_pnl: Decimal
    execution: Decimal
    bad_debt: Decimal
    other_income: Decimal
    unexplained: Decimal
    result: Decimal

    @property
    def study_drag(self) -> Decimal:
        """The study's "MTM drag": the plug that makes its other buckets sum to the result; bad debt hides in it."""
        return self.result - self.carry - self.funding - self.fees - self.liquidation_penalty

    def steps(self) -> Iterator[tuple[str, Decimal]]:
        """Name and amount of each bucket, the result last."""
        return ((each.name, getattr(self, each.name)) for each in fields(type(self)))


def equity(run: Run) -> Decimal:
    """Assets less liabilities at the last close, exact USD."""
    return decimal(Worth.of(run).equity())


def waterfall(run: Run) -> Waterfall:
    """The result of a run by cause."""
    return waterfall_of(Worth.of(run), run.capital)


def waterfall_of(worth: Worth, capital: int) -> Waterfall:
    """The result of books by cause; `capital` in atomic units of USDC.

    Equity is taken from the balances at the end; the buckets from income, expenses and trades, and from revaluing what
    was held between the rows in which it changed. The two meet in `unexplained`.
    """
    buckets = dict.fromkeys((each.name for each in fields(Waterfall)), 0)
    for account, through in worth.through.items():
        bucket = bucket_of(account)
        if bucket is not None:
            buckets[bucket] += (worth.left[account] if revalued(account) else 0) - through
    buckets["result"] = worth.equity() - usdc(capital)
    buckets["unexplained"] = 2 * buckets["result"] - sum(buckets.values())
    return Waterfall(**{name: decimal(amount) for name, amount in buckets.items()})


def bucket_of(account: Account) -> str | None:
    """The bucket of the waterfall to which an account belongs; None for money, transit and capital.

    What went through the account counts with the opposite sign: credits are gains. Of what is `revalued`, what is left
    at the last close counts as well.
    """
    root, _, _ = account.name.partition(":")
    leaf = account.name.rpartition(":")[2]
    if root == "Income":
        return INCOME_BUCKETS.get(leaf, "other_income")
    if root == "Expenses":
        return EXPENSE_BUCKETS.get(leaf, "fees")
    if root == "Equity":
        return EQUITY_BUCKETS.get(leaf)
    return "price_pnl" if revalued(account) else None


def revalued(account: Account) -> bool:
    """Whether an account holds or owes something whose price moves."""
    return account.asset != USDC and account.name.startswith(("Assets:", "Liabilities:"))


def max_drawdown_pct(run: Run) -> float:
    """Largest fall of the equity at the rows' closes from its peak so far, which starts at the capital; percent."""
    curve = run.curve.equity_usd
    peak = np.maximum(np.maximum.accumulate(curve), USDC.units(run.capital))
    return float(((peak - curve) / peak).max() * 100)


def row_deviation_pct(run: Run) -> float:
    """Standard deviation of the returns from close to close, percent."""
    curve = run.curve.equity_usd
    before = curve[:-1]
    return float(np.std(np.diff(curve) / np.where(before > 0, before, np.inf)) * 100) if len(curve) > 1 else 0.0


def days(run: Run) -> float:
    """Time for which the capital was given, in days: all rows of the market, also those before the entry."""
    return float(run.market.years.sum() * 365)


def annualized_pct(return_pct: float, days: float) -> float:
    """A simple return spread over a year of 365 days, without compounding; 0 where no time passed."""
    return return_pct * 365 / days if days else 0.0


def fees_of(worth: Worth) -> dict[str, Decimal]:
    """Expenses that count as fees by the account's name, exact USD, in the order of the chart."""
    fees: dict[str, int] = {}
    for account, through in worth.through.items():
        if account.name.startswith("Expenses:") and bucket_of(account) == "fees":
            fees[account.name] = fees.get(account.name, 0) + through
    return {name: decimal(amount) for name, amount in fees.items()}


def fees_usd(run: Run) -> dict[str, Decimal]:
    """Expenses of a run by account that count as fees, exact USD."""
    return fees_of(Worth.of(run))


def metrics(run: Run) -> dict[str, float | int | str]:
    """The summary of a run: money in USD, percentages in percent, counts, and the head of the ledger's chain."""
    worth = Worth.of(run)
    falls = waterfall_of(worth, run.capital)
    final = decimal(worth.equity())
    capital = USDC.decimal(run.capital)
    fees = fees_of(worth)
    happened: dict[type, list[Any]] = defaultdict(list)
    for event in run.events.single():
        happened[type(event)].append(event)
    fills: list[OrderFilled] = happened[OrderFilled]
    opened = {event.cause for event in fills if event.order == "open"}
    resized = {event.cause for event in fills if event.order == "resize"}
    left = {event.cause: event.reason for event in fills if event.order == "close"}
    started, ended = ({event.event for event in happened[kind]} for kind in (Started, Ended))
    value_usd, close = run.curve.equity_usd, run.market["close"]
    return_pct = float((final / capital - 1) * 100)
    return {
        "capital_usd": float(capital),
        "final_equity_usd": float(final),
        "return_pct": return_pct,
        "annualized_return_pct": annualized_pct(return_pct, days(run)),
        "total_fees_usd": float(-falls.fees),
        "bridge_usd": float(fees["Expenses:Bridge:Fee"]),
        "liquidation_penalty_usd": float(-falls.liquidation_penalty),
        "carry_usd": float(falls.carry),
        "funding_usd": float(falls.funding),
        "staking_income_usd": float(falls.staking),
        "mtm_drag_usd": float(falls.study_drag),
        "price_pnl_usd": float(falls.price_pnl),
        "execution_usd": float(falls.execution),
        "bad_debt_usd": float(falls.bad_debt),
        "other_income_usd": float(falls.other_income),
        "unexplained_usd": float(falls.unexplained),
        "maintenance_fee_usd": float(sum(paid for name, paid in fees.items() if name.endswith(":MaintenanceFee"))),
        "min_value_usd": float(value_usd.min()),
        "max_value_usd": float(value_usd.max()),
        "max_drawdown_pct": max_drawdown_pct(run),
        "row_deviation_pct": row_deviation_pct(run),
        "price_move_pct": float((close[-1] / close[0] - 1) * 100),
        "max_net_delta_coins": float(np.abs(run.curve.net_size).max()),
        "capital_rebalances": sum(event.cause not in resized for event in happened[TransferSent]),
        "full_rotations": len(opened - started),
        "rotations": len(opened),
        "forced_rotations": len(left.keys() - ended),
        "apy_exits": sum(reason == "minimum APY" for reason in left.values()),
        "margin_calls": len(happened[MarginCalled]),
        "jitosol_units": JITOSOL.units(run.ledger.holding(JITOSOL)[0]),
        "short_units": _short_units(run),
        "liquidations": len(happened[Liquidated]),
        "rows": len(run.market),
        "days": days(run),
        "transfers": len(run.ledger),
        "events": len(run.events),
        "ledger_digest": run.ledger.digest,
    }


def _short_units(run: Run) -> float:
    """Coins that are sold short at the end of all venues' positions."""
    held = run.ledger.balances().items()
    shorts = (
        account.asset.units(-atoms) for account, atoms in held if account.name.endswith(":Position") and atoms < 0
    )
    return float(sum(shorts))


def row_of(market: Market, at_ns: int) -> int:
    """The market row whose prices hold at an instant: the last that has closed, or the first."""
    return max(0, rows_until(market, at_ns) - 1)
