"""Asgard: a leveraged long on a Solana lender, the coin as collateral that earns and a USDC loan that costs."""

from typing import Literal

import numpy as np
from attrs import field, frozen

from framework.accounts import Account, Book, Draft
from framework.accrual import Accrual, compounding_path, row_rate, simple_path
from framework.events import InterestAccrued, Liquidated, OrderFilled, Side
from framework.market import Floats, Ints, Mark
from framework.orders import Close, Open, Resize, Trade
from framework.units import USDC, Asset
from framework.venue import (
    CASH,
    Bridge,
    FeeTiming,
    Leg,
    Moment,
    Penalty,
    Projection,
    Stretch,
    Valuation,
    Venue,
    basis_points,
    check_open,
    filled,
    fraction,
    not_negative,
    positive,
    refusal,
    unknown_order,
)
from venues.charts import LendingAccounts, accounts_of


@frozen(kw_only=True)
class Asgard(Venue):
    """A leveraged long under given rules. Rates are fractions; `open_fee_bps` are basis points of the notional.

    The coin grows at `lending_rate`, the loan at `borrowing_rate`, both market columns of a fraction per year. Valued
    at cost, lending is earned in USDC on what was paid for the coins, and nothing compounds between orders.
    `overpayment` says what becomes of a repayment beyond the loan: refused, or kept to earn the borrowing rate.
    With `liquidation_distance` a position is liquidated that share below its entry price, whatever its equity.
    """

    name: str = "asgard"
    coin: str = "SOL"
    open_fee_bps: float = field(validator=basis_points)
    gas_usd: float = field(validator=not_negative)
    maintenance_margin: float = field(validator=fraction)
    liquidation_penalty: Penalty
    liquidation_closes: bool = True
    forgive_negative_equity: bool = False
    overpayment: Literal["refuse", "earns_borrowing_rate"] = "refuse"
    lending_rate: str = "sol_lending_apy"
    borrowing_rate: str = "usdc_borrowing_apy"
    valuation: Valuation = "market"
    fee_timing: FeeTiming = "each_trade"
    liquidation_distance: float | None = None
    bridge: Bridge = field(factory=Bridge)
    _chart: LendingAccounts = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_chart", LendingAccounts.of(self.name, Asset(self.coin, 9)))

    def accounts(self) -> tuple[Account, ...]:
        return accounts_of(self._chart)

    def columns(self) -> tuple[str, ...]:
        return ("close", "low", self.lending_rate, self.borrowing_rate)

    def project(self, book: Book, stretch: Stretch) -> Projection | None:
        chart, rows = self._chart, len(stretch)
        held = (chart.collateral, chart.loan, chart.deposit)
        if not any(book.balance(account) or book.principal(account)[0] for account in held):
            return None
        coins: Ints | int = book.balance(chart.collateral)
        debt: Ints | int = self._debt(book)
        accruals = self._accruals(book, stretch)
        for accrual in accruals:
            gained = accrual.path[1:] - accrual.path[0]
            if accrual.stream.debit is chart.collateral:
                coins = coins + gained
            else:
                debt = debt + gained if accrual.stream.credit is chart.loan else debt - gained
        size = coins / chart.collateral.asset.scale + np.zeros(rows)
        debt_usd = debt / USDC.scale
        low, cost = stretch.column("low"), self._cost(book)
        close = stretch.column("close") if self.valuation == "market" else np.full(rows, cost)
        notional_usd = size * close
        equity_usd = notional_usd - debt_usd
        if self.liquidation_distance is not None:
            short_of = low <= self._liquidation_price(size, debt_usd, cost)
        elif self.valuation == "cost":
            short_of = equity_usd <= self.maintenance_margin * notional_usd
        else:
            at_low_usd = size * low
            short_of = at_low_usd - debt_usd <= self.maintenance_margin * at_low_usd
        return Projection(
            accruals=accruals,
            size=size,
            equity_usd=equity_usd,
            notional_usd=notional_usd,
            liquidated=short_of & (size > 0),
            liquidation_price=lambda: self._liquidation_price(
                np.where(size * debt_usd > 0, size, np.nan), debt_usd, cost
            ),
        )

    def leg(self, book: Book, mark: Mark) -> Leg:
        price = mark.price
        size = self._chart.collateral.asset.units(book.balance(self._chart.collateral))
        debt_usd = self._debt(book) / USDC.scale
        if not size:
            return Leg(0.0, -debt_usd)
        cost = self._cost(book)
        if self.valuation == "cost":
            price = cost
        trigger = float(self._liquidation_price(size if debt_usd > 0 else float("nan"), debt_usd, cost))
        return Leg(size, size * price - debt_usd, size * price, cost, trigger)

    def execute(self, order: Trade, draft: Draft, moment: Moment) -> OrderFilled:
        match order:
            case Close():
                return self._close(order, draft, moment)
            case Resize():
                return self._resize(order, draft, moment)
            case Open():
                return self._open(order, draft, moment)
            case _:
                raise unknown_order(self.name, order, moment, "Open, Close or Resize")

    def liquidate(self, draft: Draft, moment: Moment) -> Liquidated:
        chart = self._chart
        coins, price = draft.balance(chart.collateral), self._price(draft, moment)
        worth = self._worth(coins, price)
        equity = worth - self._debt(draft)
        penalty = self.liquidation_penalty.amount(equity, worth)
        self.pay(draft, chart.penalty, penalty, moment, "liquidation_penalty")
        bad_debt = max(0, -equity) if self.forgive_negative_equity else 0
        draft.transfer(chart.loan, chart.bad_debt, bad_debt, "bad_debt")
        if self.liquidation_closes:
            self._close(Close(self.name), draft, moment)
        return Liquidated(
            event=moment.event,
            at_ns=moment.at_ns,
            venue=self.name,
            cause=moment.cause,
            side=Side.LONG,
            trigger_price=float(moment.mark.market["low"][moment.row]),
            price=price,
            size=coins,
            equity=equity,
            penalty=penalty,
            bad_debt=bad_debt,
            closed=self.liquidation_closes,
        )

    def penalty_account(self) -> Account:
        return self._chart.penalty

    def receive(self, draft: Draft, source: Account, amount: int, moment: Moment, kind: str) -> None:
        chart = self._chart
        self._net(draft)
        repaid = min(amount, -draft.balance(chart.loan))
        draft.transfer(chart.loan, source, repaid, kind)
        if amount > repaid and self.overpayment == "refuse":
            loan = f"the loan of {USDC.decimal(repaid)} USDC"
            why = f"{USDC.decimal(amount)} USDC is more than {loan}; expected at most that"
            raise refusal(self.name, moment, f"a {kind.replace('_', ' ')}", why)
        draft.transfer(chart.deposit, source, amount - repaid, kind)

    def pay(self, draft: Draft, target: Account, amount: int, moment: Moment, kind: str) -> None:
        chart = self._chart
        self._net(draft)
        kept = min(amount, draft.balance(chart.deposit))
        draft.transfer(target, chart.deposit, kept, kind)
        draft.transfer(target, chart.loan, amount - kept, kind)

    def _open(self, order: Open, draft: Draft, moment: Moment) -> OrderFilled:
        chart = self._chart
        check_open(self.name, order, moment, Side.LONG)
        atoms = chart.collateral.asset.nearest(order.size)
        price = self._price(draft, moment)
        notional = self._worth(atoms, price)
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
        return filled(
            self.name,
            "open",
            moment,
            price=price,
            size=atoms,
            amount=notional,
            fee=open_fee + gas,
            charged=USDC.nearest(charged_usd),
        )

    def _close(self, order: Close, draft: Draft, moment: Moment) -> OrderFilled:
        chart = self._chart
        coins, price = draft.balance(chart.collateral), self._price(draft, moment)
        proceeds = self._worth(coins, price)
        self._net(draft)
        repaid = min(proceeds, -draft.balance(chart.loan))
        draft.transfer(chart.trading_coin, chart.collateral, coins, "trade")
        draft.transfer(chart.loan, chart.trading_usdc, repaid, "trade")
        draft.transfer(CASH, chart.trading_usdc, proceeds - repaid, "trade")
        draft.transfer(CASH, chart.deposit, draft.balance(chart.deposit), "withdrawal")
        for traded, realised in ((chart.trading_usdc, chart.realised_usdc), (chart.trading_coin, chart.realised_coin)):
            rest = draft.balance(traded)
            draft.transfer(*((realised, traded) if rest > 0 else (traded, realised)), abs(rest), "realised")
        return filled(self.name, "close", moment, price=price, size=-coins, amount=proceeds, fee=0, reason=order.reason)

    def _resize(self, order: Resize, draft: Draft, moment: Moment) -> OrderFilled:
        chart = self._chart
        atoms = positive(self.name, moment, order, "size", chart.collateral.asset)
        coins = draft.balance(chart.collateral)
        if not coins:
            raise refusal(self.name, moment, order, "it holds no position; expected Open before Resize")
        price = self._price(draft, moment)
        notional = self._worth(abs(atoms - coins), price)
        fee = 0
        if atoms > coins:
            fee = 0 if self.fee_timing == "entry" else USDC.nearest(USDC.units(notional) * self.open_fee_bps / 10_000)
            draft.transfer(chart.collateral, chart.trading_coin, atoms - coins, "trade")
            self.pay(draft, chart.trading_usdc, notional, moment, "trade")
            self.pay(draft, chart.open_fee, fee, moment, "open_fee")
        else:
            draft.transfer(chart.trading_coin, chart.collateral, coins - atoms, "trade")
            self.receive(draft, chart.trading_usdc, notional, moment, "trade")
        return filled(self.name, "resize", moment, price=price, size=atoms - coins, amount=notional, fee=fee)

    def _accruals(self, book: Book, stretch: Stretch) -> tuple[Accrual, ...]:
        """Lending on the coins, interest on the loan, and on a deposit beside it, where there is any."""
        chart, at_cost = self._chart, self.valuation == "cost"
        market, start, stop, accruals = stretch.market, stretch.start, stretch.stop, []
        for earning, stream, column in (
            (chart.trading_usdc, chart.usdc_lending, self.lending_rate) if at_cost else
            (chart.collateral, chart.coin_lending, self.lending_rate),
            (chart.loan, chart.loan_interest, self.borrowing_rate),
            (chart.deposit, chart.deposit_interest, self.borrowing_rate),
        ):  # fmt: skip
            principal = abs(book.principal(earning)[0])
            if principal:
                path = (simple_path if at_cost else compounding_path)(book, earning, market, column, start, stop)
                accrual = Accrual(
                    event=InterestAccrued,
                    venue=self.name,
                    stream=stream,
                    asset=earning.asset.code,
                    path=path,
                    rate=row_rate(market, column)[start:stop],
                    price=stretch.column("close"),
                    size=np.full(stop - start, principal) if at_cost else path[:-1],
                    rate_column=column,
                    price_column="close",
                )
                accruals.append(accrual)
        return tuple(accruals)

    def _net(self, draft: Draft) -> None:
        """A deposit first repays the loan beside it."""
        chart = self._chart
        deposit = draft.balance(chart.deposit)
        if deposit:
            draft.transfer(chart.loan, chart.deposit, min(deposit, -draft.balance(chart.loan)), "netting")

    def _price(self, book: Book, moment: Moment) -> float:
        """The price at which the position is valued and traded now: a first opening is always at the row's."""
        at_cost = self.valuation == "cost" and book.balance(self._chart.collateral)
        return self._cost(book) if at_cost else moment.price

    def _cost(self, book: Book) -> float:
        """What was paid for a coin on average, USD; not a number without a position."""
        chart = self._chart
        bought = chart.collateral.asset.units(-book.balance(chart.trading_coin))
        return USDC.units(book.balance(chart.trading_usdc)) / bought if bought else float("nan")

    def _liquidation_price(self, size: Floats | float, debt_usd: Floats | float, cost: float) -> Floats | float:
        """The price at which coins with a debt are liquidated, by row if given so; at cost it is only the distance."""
        if self.liquidation_distance is not None:
            return cost * (1 - self.liquidation_distance)
        return float("nan") if self.valuation == "cost" else debt_usd / (size * (1 - self.maintenance_margin))

    def _debt(self, book: Book) -> int:
        return -book.balance(self._chart.loan) - book.balance(self._chart.deposit)

    def _worth(self, coins: int, price: float) -> int:
        return USDC.nearest(self._chart.collateral.asset.units(coins) * price) if coins else 0
