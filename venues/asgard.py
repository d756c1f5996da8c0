"""Asgard: a leveraged long on a Solana lender, the coin as collateral that earns and a USDC loan that costs."""

from typing import Literal

import numpy as np
from attrs import field, fields, frozen

from framework.accounts import Account, Book, Draft, Stream
from framework.accrual import Accrual, compounding_path, row_rate, steps
from framework.errors import OrderRefused
from framework.events import InterestAccrued, Liquidated, OrderFilled, Side
from framework.market import Ints, Market
from framework.orders import Close, Open
from framework.units import USDC, Asset
from framework.venue import (
    CASH,
    Bridge,
    Leg,
    Moment,
    Penalty,
    Projection,
    Venue,
    account_part,
    fraction,
    not_negative,
    refusal,
)


@frozen
class Chart:
    """The accounts of one leveraged long; its streams say which account earns or owes what."""

    collateral: Account
    loan: Account
    overpaid: Account
    trading_coin: Account
    trading_usdc: Account
    lending: Account
    interest: Account
    overpaid_interest: Account
    open_fee: Account
    gas: Account
    penalty: Account
    bad_debt: Account

    @classmethod
    def of(cls, venue: str, coin: Asset) -> "Chart":
        """The accounts at `venue`, for collateral in `coin`."""
        place = account_part(venue)
        return cls(
            collateral=Account(f"Assets:{place}:Collateral", coin, floor=True),
            loan=Account(f"Liabilities:{place}:Loan", USDC, floor=True),
            overpaid=Account(f"Assets:{place}:Overpayment", USDC, floor=True),
            trading_coin=Account(f"Equity:{place}:Trading", coin),
            trading_usdc=Account(f"Equity:{place}:Trading", USDC),
            lending=Account(f"Income:{place}:Lending", coin),
            interest=Account(f"Expenses:{place}:Interest", USDC),
            overpaid_interest=Account(f"Income:{place}:OverpaymentInterest", USDC),
            open_fee=Account(f"Expenses:{place}:OpenFee", USDC),
            gas=Account(f"Expenses:{place}:Gas", USDC),
            penalty=Account(f"Expenses:{place}:LiquidationPenalty", USDC),
            bad_debt=Account(f"Income:{place}:BadDebt", USDC),
        )

    def all(self) -> tuple[Account, ...]:
        """Every account, in the order of the chart."""
        return tuple(getattr(self, each.name) for each in fields(type(self)))


@frozen(kw_only=True)
class Asgard(Venue):
    """A leveraged long under given rules. Rates are fractions; `open_fee_bps` are basis points of the notional.

    The coin grows at `lending_rate`, the loan at `borrowing_rate`, both market columns of a fraction per year.
    `overpayment` says what becomes of a repayment beyond the loan: refused, or kept to earn the borrowing rate.
    """

    name: str = "asgard"
    coin: str = "SOL"
    open_fee_bps: float = field(validator=not_negative)
    gas_usd: float = field(validator=not_negative)
    maintenance_margin: float = field(validator=fraction)
    liquidation_penalty: Penalty
    liquidation_closes: bool = True
    forgive_negative_equity: bool = False
    overpayment: Literal["refuse", "earns_borrowing_rate"] = "refuse"
    lending_rate: str = "sol_lending_apy"
    borrowing_rate: str = "usdc_borrowing_apy"
    bridge: Bridge = field(factory=Bridge)
    _chart: Chart = field(init=False, repr=False, eq=False)
    _streams: tuple[tuple[Account, Stream, str], ...] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        chart = Chart.of(self.name, Asset(self.coin, 9))
        streams = (
            (chart.collateral, Stream(chart.collateral, chart.lending, "lending"), self.lending_rate),
            (chart.loan, Stream(chart.interest, chart.loan, "interest"), self.borrowing_rate),
            (chart.overpaid, Stream(chart.overpaid, chart.overpaid_interest, "interest"), self.borrowing_rate),
        )
        object.__setattr__(self, "_chart", chart)
        object.__setattr__(self, "_streams", streams)

    def accounts(self) -> tuple[Account, ...]:
        return self._chart.all()

    def columns(self) -> tuple[str, ...]:
        return ("close", "low", self.lending_rate, self.borrowing_rate)

    def project(self, book: Book, market: Market, start: int, stop: int) -> Projection | None:
        chart = self._chart
        if not any(map(book.balance, (chart.collateral, chart.loan, chart.overpaid))):
            return None
        accruals: list[Accrual] = []
        paths: list[Ints | int] = []
        for account, stream, column in self._streams:
            if not book.balance(account):
                paths.append(0)
                continue
            path = compounding_path(book, account, market, column, start, stop)
            paths.append(path[1:])
            accruals.append(self._accrual(stream, account.asset, path, market, column, slice(start, stop)))
        coins, loan, overpaid = paths
        close, low = market["close"][start:stop], market["low"][start:stop]
        size = coins / chart.collateral.asset.scale + np.zeros(stop - start)
        debt_usd = (loan - overpaid) / USDC.scale
        notional_at_low = size * low
        return Projection(
            accruals=tuple(accruals),
            size=size,
            equity_usd=size * close - debt_usd,
            notional_usd=size * close,
            liquidated=(notional_at_low - debt_usd <= self.maintenance_margin * notional_at_low) & (size > 0),
        )

    def leg(self, book: Book, price: float) -> Leg:
        size = self._chart.collateral.asset.units(book.balance(self._chart.collateral))
        return Leg(size, size * price - self._debt(book) / USDC.scale, size * price)

    def execute(self, order: Open | Close, draft: Draft, moment: Moment) -> OrderFilled:
        return self._close(draft, moment) if isinstance(order, Close) else self._open(order, draft, moment)

    def liquidate(self, draft: Draft, moment: Moment, market: Market) -> Liquidated:
        chart = self._chart
        coins = draft.balance(chart.collateral)
        worth = self._worth(coins, moment.price)
        equity = worth - self._debt(draft)
        penalty = self.liquidation_penalty.amount(equity, worth)
        self.pay(draft, chart.penalty, penalty, moment, "liquidation_penalty")
        bad_debt = max(0, -equity) if self.forgive_negative_equity else 0
        draft.transfer(chart.loan, chart.bad_debt, bad_debt, "bad_debt")
        if self.liquidation_closes:
            self._close(draft, moment)
        return Liquidated(
            event=moment.event,
            at_ns=moment.at_ns,
            venue=self.name,
            cause=moment.cause,
            side=Side.LONG,
            trigger_price=float(market["low"][moment.row]),
            price=moment.price,
            size=coins,
            equity=equity,
            penalty=penalty,
            bad_debt=bad_debt,
            closed=self.liquidation_closes,
        )

    def receive(self, draft: Draft, source: Account, amount: int, moment: Moment, kind: str) -> None:
        chart = self._chart
        repaid = min(amount, -draft.balance(chart.loan))
        draft.transfer(chart.loan, source, repaid, kind)
        if amount > repaid and self.overpayment == "refuse":
            raise OrderRefused(
                refusal(
                    self.name,
                    moment,
                    kind,
                    f"{USDC.decimal(amount)} USDC is more than the loan of {USDC.decimal(repaid)} USDC",
                )
            )
        draft.transfer(chart.overpaid, source, amount - repaid, kind)

    def pay(self, draft: Draft, target: Account, amount: int, moment: Moment, kind: str) -> None:
        chart = self._chart
        kept = min(amount, draft.balance(chart.overpaid))
        draft.transfer(target, chart.overpaid, kept, kind)
        draft.transfer(target, chart.loan, amount - kept, kind)

    def _open(self, order: Open, draft: Draft, moment: Moment) -> OrderFilled:
        chart = self._chart
        atoms = chart.collateral.asset.nearest(order.size)
        if order.side is not Side.LONG or atoms <= 0:
            raise OrderRefused(refusal(self.name, moment, order, "expected a long of a size above 0"))
        notional = self._worth(atoms, moment.price)
        quoted_usd = order.quoted_notional_usd
        charged_usd = USDC.units(notional) if quoted_usd is None else quoted_usd
        open_fee = USDC.nearest(charged_usd * self.open_fee_bps / 10_000)
        gas = USDC.nearest(self.gas_usd)
        draft.transfer(chart.collateral, chart.trading_coin, atoms, "trade")
        funds = USDC.nearest(order.funds_usd)
        for target, due, kind in (
            (chart.trading_usdc, notional, "trade"),
            (chart.open_fee, open_fee, "open_fee"),
            (chart.gas, gas, "gas"),
        ):
            own = min(due, funds)
            funds -= own
            draft.transfer(target, CASH, own, kind)
            self.pay(draft, target, due - own, moment, kind)
        self.receive(draft, CASH, funds, moment, "repayment")
        return self._filled("open", moment, atoms, notional, open_fee + gas)

    def _close(self, draft: Draft, moment: Moment) -> OrderFilled:
        chart = self._chart
        coins = draft.balance(chart.collateral)
        proceeds = self._worth(coins, moment.price)
        repaid = min(proceeds, -draft.balance(chart.loan))
        draft.transfer(chart.trading_coin, chart.collateral, coins, "trade")
        draft.transfer(chart.loan, chart.trading_usdc, repaid, "trade")
        draft.transfer(CASH, chart.trading_usdc, proceeds - repaid, "trade")
        draft.transfer(CASH, chart.overpaid, draft.balance(chart.overpaid), "withdrawal")
        return self._filled("close", moment, -coins, proceeds, 0)

    def _filled(self, order: str, moment: Moment, size: int, notional: int, fee: int) -> OrderFilled:
        return OrderFilled(
            event=moment.event,
            at_ns=moment.at_ns,
            venue=self.name,
            cause=moment.cause,
            order=order,
            price=moment.price,
            size=size,
            amount=notional,
            fee=fee,
        )

    def _accrual(self, stream: Stream, asset: Asset, path: Ints, market: Market, column: str, rows: slice) -> Accrual:
        return Accrual(
            event=InterestAccrued,
            venue=self.name,
            stream=stream,
            asset=asset.code,
            amounts=steps(path),
            rate=row_rate(market, column)[rows],
            price=market["close"][rows],
            size=path[:-1],
            rate_column=column,
        )

    def _debt(self, book: Book) -> int:
        return -book.balance(self._chart.loan) - book.balance(self._chart.overpaid)

    def _worth(self, coins: int, price: float) -> int:
        return USDC.nearest(self._chart.collateral.asset.units(coins) * price)
