"""What a run is worth and why: equity, the waterfall and the metrics, from the ledger and the market in exact numbers.

Money is computed in integers of 10^-n USD, n large enough for every price and amount, and only then turned into
decimals: a sum that should be zero is exactly zero.
"""

from collections.abc import Iterator
from decimal import Decimal

import numpy as np
from attrs import fields, frozen

from framework.accounts import Account
from framework.accrual import rows_until
from framework.events import Ended, Liquidated, MarginCalled, OrderFilled, Started, TransferSent
from framework.market import At, Market
from framework.run import Run
from framework.units import JITOSOL, USDC, Asset

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


@frozen(kw_only=True)
class Exact:
    """Prices of an asset as integers of 10^-`decimals` USD, the very decimals that were read.

    The first is the one at which the run was opened, then those of the rows as they close.
    """

    prices: list[int]
    decimals: int

    @classmethod
    def of(cls, market: Market, asset: Asset, opened_at: At) -> "Exact":
        """The exact prices of an asset."""
        closes, opens = market.price_column(asset), market.price_column(asset, opened_at)

        def convert() -> Exact:
            prices = [float(market[opens][0]), *market[closes].tolist()]
            decimals = [Decimal(repr(price)) for price in prices]
            places = max(-min(0, int(each.as_tuple().exponent)) for each in decimals)
            return cls(prices=[int(each.scaleb(places)) for each in decimals], decimals=places)

        return market.cached(("exact", opens, closes), convert)


def equity(run: Run) -> Decimal:
    """Assets less liabilities at the last close, exact USD."""
    values = _Values(run)
    return values.usd(values.equity())


def waterfall(run: Run) -> Waterfall:
    """The result of a run by cause.

    Equity is taken from the balances at the end; the buckets from income, expenses and trades, and from revaluing what
    was held between the rows in which it changed. The two meet in `unexplained`.
    """
    values = _Values(run)
    buckets = dict.fromkeys((each.name for each in fields(Waterfall)), 0)
    for account in run.ledger.accounts:
        root, _, _ = account.name.partition(":")
        leaf = account.name.rpartition(":")[2]
        if root == "Income":
            buckets[INCOME_BUCKETS.get(leaf, "other_income")] -= values.valued(account)
        elif root == "Expenses":
            buckets[EXPENSE_BUCKETS.get(leaf, "fees")] -= values.valued(account)
        elif root == "Equity" and leaf in {"Trading", "Realised"}:
            buckets["execution"] -= values.valued(account)
        elif root == "Equity" and leaf == "Accretion":
            buckets["price_pnl"] -= values.valued(account)
        elif root in ("Assets", "Liabilities") and account.asset != USDC:
            buckets["price_pnl"] += values.final(account) - values.valued(account)
    buckets["result"] = values.equity() - values.usdc(run.capital)
    buckets["unexplained"] = 2 * buckets["result"] - sum(buckets.values())
    return Waterfall(**{name: values.usd(amount) for name, amount in buckets.items()})


class _Values:
    """Balances and flows of a run, in integers of 10^-`places` USD."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._exact = {
            asset: Exact.of(run.market, asset, run.opened_at) for asset in run.ledger.assets if asset != USDC
        }
        most = [asset.decimals + exact.decimals for asset, exact in self._exact.items()]
        self.places = max(most, default=USDC.decimals)
        self._codes = {account: code for code, account in enumerate(run.ledger.accounts)}
        records = run.ledger.records()
        self._usdc_code = next((code for code, asset in enumerate(run.ledger.assets) if asset == USDC), -1)
        self._other = records[records["asset"] != self._usdc_code]
        self._rows = run.market.at_ns.searchsorted(self._other["at_ns"], side="right")

    def usd(self, amount: int) -> Decimal:
        """An integer of 10^-places USD as a decimal."""
        return Decimal(f"{amount}e-{self.places}")

    def usdc(self, atoms: int) -> int:
        """Atomic units of USDC, at a dollar each."""
        return atoms * int(10 ** (self.places - USDC.decimals))

    def final(self, account: Account) -> int:
        """The balance at the last close."""
        atoms = self._run.ledger.balance(account)
        return self.usdc(atoms) if account.asset == USDC else self._worth(account, atoms, self._prices(account)[-1])

    def valued(self, account: Account) -> int:
        """What went through an account, debits less credits, each at the close of its own row."""
        if account.asset == USDC:
            return self.usdc(self._run.ledger.balance(account))
        code, prices = self._codes[account], self._prices(account)
        total = 0
        for side, sign in (("debit", 1), ("credit", -1)):
            mine = self._other[side] == code
            amounts, rows = self._other["amount"][mine].tolist(), self._rows[mine].tolist()
            total += sign * sum(amount * prices[row] for amount, row in zip(amounts, rows, strict=True))
        return self._worth(account, total, 1)

    def equity(self) -> int:
        """Assets less liabilities at the last close."""
        return sum(
            self.final(account)
            for account in self._run.ledger.accounts
            if account.name.startswith(("Assets:", "Liabilities:"))
        )

    def _worth(self, account: Account, atoms: int, price: int) -> int:
        exact = self._exact[account.asset]
        return atoms * price * int(10 ** (self.places - exact.decimals - account.asset.decimals))

    def _prices(self, account: Account) -> list[int]:
        return self._exact[account.asset].prices


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


def fees_usd(run: Run) -> dict[str, Decimal]:
    """Expenses by account that count as fees, exact USD, in the order of the chart."""
    values = _Values(run)
    return {
        account.name: values.usd(values.valued(account))
        for account in run.ledger.accounts
        if account.name.startswith("Expenses:") and account.name.rpartition(":")[2] not in EXPENSE_BUCKETS
    }


def metrics(run: Run) -> dict[str, float | int | str]:
    """The summary of a run: money in USD, percentages in percent, counts, and the head of the ledger's chain."""
    falls = waterfall(run)
    final = equity(run)
    capital = USDC.decimal(run.capital)
    fees = fees_usd(run)
    single = list(run.events.single())
    fills = [event for event in single if isinstance(event, OrderFilled)]
    opened = {event.cause for event in fills if event.order == "open"}
    resized = {event.cause for event in fills if event.order == "resize"}
    left = {event.cause: event.reason for event in fills if event.order == "close"}
    started = {event.event for event in single if isinstance(event, Started)}
    ended = {event.event for event in single if isinstance(event, Ended)}
    close = run.market["close"]
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
        "min_value_usd": float(run.curve.equity_usd.min()),
        "max_value_usd": float(run.curve.equity_usd.max()),
        "max_drawdown_pct": max_drawdown_pct(run),
        "row_deviation_pct": row_deviation_pct(run),
        "price_move_pct": float((close[-1] / close[0] - 1) * 100),
        "max_net_delta_coins": float(np.abs(run.curve.net_size).max()),
        "capital_rebalances": sum(isinstance(event, TransferSent) and event.cause not in resized for event in single),
        "full_rotations": len(opened - started),
        "rotations": len(opened),
        "forced_rotations": len(left.keys() - ended),
        "apy_exits": sum(reason == "minimum APY" for reason in left.values()),
        "margin_calls": sum(isinstance(event, MarginCalled) for event in single),
        "jitosol_units": JITOSOL.units(run.ledger.holding(JITOSOL)[0]),
        "short_units": -float(np.minimum(run.curve.positions, 0.0).sum()),
        "liquidations": sum(isinstance(event, Liquidated) for event in single),
        "rows": len(run.market),
        "days": days(run),
        "transfers": len(run.ledger),
        "events": len(run.events),
        "ledger_digest": run.ledger.digest,
    }


def row_of(market: Market, at_ns: int) -> int:
    """The market row whose prices hold at an instant: the last that has closed, or the first."""
    return max(0, rows_until(market, at_ns) - 1)
