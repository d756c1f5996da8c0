"""Asgard: a leveraged long on a Solana lender, the coin as collateral that earns and a USDC loan that costs."""

from collections.abc import Iterable
from typing import Literal

from attrs import field, frozen

from framework.accrual import Accrual
from framework.books import Books
from framework.events import InterestAccrued, Side
from framework.formulas import formula, ratio
from framework.money import USDC, Account, token
from framework.orders import Close, Open, Resize, check_open, positive
from framework.venue import CASH, Bridge, Dated, Penalty, Venue, account, basis_points, fraction, not_negative


@frozen(kw_only=True)
class Asgard(Venue):
    """A leveraged long under given rules. Rates are fractions; `open_fee_bps` are basis points of the notional.

    The coin grows at `lending_rate`, the loan at `borrowing_rate`, both market columns of a fraction per year.
    `overpayment` says what becomes of a repayment beyond the loan: refused, or kept to earn the borrowing rate.
    """

    name: str = "asgard"
    coin: str = "SOL"
    open_fee_bps: float | Dated = field(validator=basis_points)
    gas_usd: float = field(validator=not_negative)
    maintenance_margin: float | Dated = field(validator=fraction)
    liquidation_penalty: Penalty
    liquidation_closes: bool = True
    forgive_negative_equity: bool = False
    overpayment: Literal["refuse", "earns_borrowing_rate"] = "refuse"
    lending_rate: str = "sol_lending_apy"
    borrowing_rate: str = "usdc_borrowing_apy"
    bridge: Bridge = field(factory=Bridge)

    coins_held = account("Assets:{venue}:Collateral", token, floor=True, position=True)
    loan = account("Liabilities:{venue}:Loan", USDC, floor=True)
    surplus = account("Assets:{venue}:Deposit", USDC, floor=True)
    traded = account("Equity:{venue}:Trading", token, bucket="execution")
    traded_usdc = account("Equity:{venue}:Trading", USDC, bucket="execution")
    realised = account("Equity:{venue}:Realised", token, bucket="execution")
    realised_usdc = account("Equity:{venue}:Realised", USDC, bucket="execution")
    lending = account("Income:{venue}:Lending", token, bucket="carry")
    interest = account("Expenses:{venue}:Interest", USDC, bucket="carry")
    surplus_interest = account("Income:{venue}:DepositInterest", USDC, bucket="carry")
    open_fee = account("Expenses:{venue}:OpenFee", USDC)
    gas = account("Expenses:{venue}:Gas", USDC)
    penalties = account("Expenses:{venue}:LiquidationPenalty", USDC, bucket="liquidation_penalty")
    bad_debt = account("Income:{venue}:BadDebt", USDC, bucket="bad_debt")

    @formula
    def size(coins_held):
        return coins_held

    @formula
    def notional(size, mark):
        return size * mark

    @formula
    def debt(loan, surplus):
        return -loan - surplus

    @formula
    def equity(notional, debt):
        return notional - debt

    @formula
    def maintenance(notional, maintenance_margin):
        return notional * maintenance_margin

    @formula
    def liquidated(equity, maintenance, size):
        return (equity <= maintenance) & (size > 0)

    @formula
    def entry_price(traded_usdc, traded):
        return ratio(traded_usdc, -traded)

    def accruals(self) -> Iterable[Accrual]:
        for debit, credit, kind, on, rate in (
            (self.coins_held, self.lending, "lending", self.coins_held, self.lending_rate),
            (self.interest, self.loan, "interest", self.loan, self.borrowing_rate),
            (self.surplus, self.surplus_interest, "interest", self.surplus, self.borrowing_rate),
        ):
            price = (f"{self.coin}.close", "close")
            yield Accrual(
                debit=debit, credit=credit, kind=kind, event=InterestAccrued, on=on, basis="compounding", rate=rate,
                price=price,
            )  # fmt: skip

    def open(self, order: Open, book: Books) -> None:
        """Buy the coins; the funds pay for them and the fees first, the loan for the rest."""
        check_open(book, order, Side.LONG)
        coins = positive(book, order, "size", self.coins_held.asset)
        notional = self._worth(coins, book)
        quoted_usd = order.quoted_notional_usd
        charged_usd = USDC.units(notional) if quoted_usd is None else quoted_usd
        book.transfer(self.coins_held, self.traded, coins, "trade")
        funds = USDC.nearest(order.funds_usd)
        for target, due, kind in (
            (self.traded_usdc, notional, "trade"),
            (self.open_fee, book.fee(charged_usd, book.rule(self.open_fee_bps)), "open_fee"),
            (self.gas, USDC.nearest(self.gas_usd), "gas"),
        ):
            own = min(due, funds)
            funds -= own
            book.transfer(target, CASH, own, kind)
            self.pay(book, target, due - own, kind)
        self.receive(book, CASH, funds, "repayment")
        book.fill(charged=USDC.nearest(charged_usd))

    def close(self, order: Close, book: Books) -> None:
        """Sell the coins and repay the loan; what is left, and any surplus, returns to the wallet."""
        coins = book[self.coins_held]
        proceeds = self._worth(coins, book)
        self._net(book)
        repaid = min(proceeds, -book[self.loan])
        book.transfer(self.traded, self.coins_held, coins, "trade")
        book.transfer(self.loan, self.traded_usdc, repaid, "trade")
        book.transfer(CASH, self.traded_usdc, proceeds - repaid, "trade")
        book.transfer(CASH, self.surplus, book[self.surplus], "withdrawal")
        book.transfer(self.realised_usdc, self.traded_usdc, book[self.traded_usdc], "realised")
        book.transfer(self.realised, self.traded, book[self.traded], "realised")

    def resize(self, order: Resize, book: Books) -> None:
        """Buy coins on the loan, or sell some to repay it."""
        coins, held = positive(book, order, "size", self.coins_held.asset), book[self.coins_held]
        if not held:
            book.refuse("it holds no position; expected Open before Resize")
        notional = self._worth(abs(coins - held), book)
        if coins > held:
            fee = book.fee(USDC.units(notional), book.rule(self.open_fee_bps))
            book.transfer(self.coins_held, self.traded, coins - held, "trade")
            self.pay(book, self.traded_usdc, notional, "trade")
            self.pay(book, self.open_fee, fee, "open_fee")
        else:
            book.transfer(self.traded, self.coins_held, held - coins, "trade")
            self.receive(book, self.traded_usdc, notional, "trade")

    def liquidate(self, book: Books) -> None:
        """Take the penalty out of the loan; sell the coins where the lender does that itself."""
        worth = self._worth(book[self.coins_held], book)
        equity = worth + book[self.loan] + book[self.surplus]
        self.pay(book, self.penalties, self.liquidation_penalty.amount(equity, worth), "liquidation_penalty")
        if self.forgive_negative_equity:
            book.transfer(self.loan, self.bad_debt, max(0, -equity), "bad_debt")
        if self.liquidation_closes:
            self.close(Close(self.name), book)

    def receive(self, book: Books, source: Account, amount: int, kind: str) -> None:
        """Repay the loan; what is more is kept beside it or refused."""
        self._net(book)
        repaid = min(amount, -book[self.loan])
        book.transfer(self.loan, source, repaid, kind)
        if amount > repaid and self.overpayment == "refuse":
            loan = f"the loan of {USDC.decimal(repaid)} USDC"
            book.reject(f"{USDC.decimal(amount)} USDC is more than {loan}; expected at most that")
        book.transfer(self.surplus, source, amount - repaid, kind)

    def pay(self, book: Books, target: Account, amount: int, kind: str) -> None:
        """Pay out of the surplus, and then by a larger loan."""
        self._net(book)
        kept = min(amount, book[self.surplus])
        book.transfer(target, self.surplus, kept, kind)
        book.transfer(target, self.loan, amount - kept, kind)

    def _net(self, book: Books) -> None:
        """A surplus first repays the loan beside it."""
        surplus = book[self.surplus]
        if surplus:
            book.transfer(self.loan, self.surplus, min(surplus, -book[self.loan]), "netting")

    def _worth(self, coins: int, book: Books) -> int:
        return USDC.nearest(self.coins_held.asset.units(coins) * book.price(self.coin)) if coins else 0
