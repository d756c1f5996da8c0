"""Asgard: a leveraged long on a Solana lender, the coin as collateral that earns and a USDC loan that costs."""

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import partial
from itertools import takewhile
from typing import Literal

from attrs import Factory, field, frozen, validators

from framework.accrual import Accrual, Basis
from framework.books import Books
from framework.errors import ScenarioError
from framework.events import InterestAccrued, Side
from framework.formulas import formula, ratio
from framework.market import Market, Measure
from framework.money import USDC, Account, token
from framework.orders import Close, Move, Open, Resize, Withdraw, check_open, positive
from framework.venue import (
    CASH,
    Bridge,
    Dated,
    Penalty,
    Venue,
    account,
    basis_points,
    fraction,
    from_rules,
    not_negative,
)
from venues.lenders import Lender, Name, Procedure, ToHealth, most_ltv, until_healthy

RATES: Mapping[str, Basis] = {"nominal": "compounding", "effective": "effective"}
"""Convention of a yearly rate -> the basis of what accrues by it."""


@frozen(kw_only=True)
class Asgard(Venue):
    """A leveraged long: coins at a lender that earn its lending rate, bought on a USDC loan at its borrowing rate.

    A position is liquidated where its equity, at the oracle's price, is at most `maintenance_margin` of its worth. The
    lender liquidates by its own procedure, in rounds that leave what is left of the position, unless there is a
    `liquidation_penalty`. Rates, margins and shares are fractions.
    """

    name: str = "asgard"
    coin: str = "SOL"

    # -- costs
    open_fee_bps: float | Dated = field(validator=basis_points)
    """Fee on opening a position and on adding to it, basis points of the notional."""
    gas_usd: float | Dated = field(validator=not_negative)
    """Gas of opening a position."""
    swap_fee_bps: float | Dated = field(default=0.0, validator=basis_points)
    """What a swap between coins and USDC costs, basis points of what is swapped."""
    swap_impact_bps_per_million: float | Dated = field(default=0.0, validator=not_negative)
    """What a swap costs besides, for each million USD of it."""

    # -- loan
    lender: Name | None = None
    """The lender, whose procedure of liquidation holds."""
    terms: Lender | None = None
    """The lender's rules. A larger loan than they allow is rejected."""
    overpayment: Literal["refuse", "earns_borrowing_rate"] = "refuse"
    """A repayment beyond the loan is rejected, or kept as a deposit that earns the borrowing rate."""
    borrow_capacity: str | None = None
    """Column of the USD that the lender's pool has to lend."""
    lending_rate: str = "sol_lending_apy"
    """Column of the yearly rate at which the coins grow."""
    borrowing_rate: str = "usdc_borrowing_apy"
    """Column of the yearly rate at which the loan grows."""
    rate_convention: Literal["nominal", "effective"] = "nominal"
    """How a row takes a yearly rate of 5 %: a day as 0.05 / 365, or as 1.05 ** (1 / 365) - 1, as an APY is defined."""

    # -- liquidation
    maintenance_margin: float | Dated | None = field(
        default=Factory(lambda self: self.terms and self.terms.margin(), takes_self=True),
        validator=validators.optional(fraction),
    )
    """Share of the worth that has to be left as equity; 1 less the loan-to-value at which the lender liquidates."""
    liquidation_penalty: Penalty | None = None
    """The study's liquidation: this penalty is taken at once, whatever the lender would do."""
    liquidation_closes: bool = True
    """Whether a liquidation at a penalty closes the position."""
    forgive_negative_equity: bool = False
    """Whether the venue bears what a position lacks after a liquidation at a penalty."""
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
    swap_fee = account("Expenses:{venue}:Swap", USDC, when="swaps")
    borrow_fee = account("Expenses:{venue}:BorrowFee", USDC, when="terms")
    penalties = account("Expenses:{venue}:LiquidationPenalty", USDC, bucket="liquidation_penalty")
    bad_debt = account("Income:{venue}:BadDebt", USDC, bucket="bad_debt")

    most_ltv = from_rules(most_ltv, "terms.limit_ltv", "terms.max_leverage")

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
    def worth(size, oracle):
        return size * oracle

    @formula
    def total_collateral(worth, debt):
        return worth - debt

    @formula
    def maintenance(worth, maintenance_margin):
        return worth * maintenance_margin

    @formula
    def liquidated(total_collateral, maintenance, size):
        return (total_collateral <= maintenance) & (size > 0)

    @formula(when="terms")
    def free(worth, most_ltv, debt):
        return worth * most_ltv - debt

    @formula(when="repayment_only")
    def most_in(debt):
        return debt

    @formula
    def entry_price(traded_usdc, traded):
        return ratio(traded_usdc, -traded)

    def __attrs_post_init__(self) -> None:
        if self.maintenance_margin is None:
            raise ValueError("'maintenance_margin' must be a value, or a lender's rules in `terms`: missing")
        if self.liquidation_penalty is None and self.terms is None:
            raise ValueError("'liquidation_penalty' must be a table, or a lender's rules in `terms`: missing")
        if self.terms is not None and self.lender is None:
            raise ValueError("'lender' must be the name of the one that `terms` has the rules of: missing")

    @property
    def repayment_only(self) -> bool:
        """Whether it takes no money beyond the loan."""
        return self.overpayment == "refuse"

    @property
    def swaps(self) -> bool:
        """Whether a trade costs a swap."""
        return self.swap_fee_bps != 0 or self.swap_impact_bps_per_million != 0

    def rule_behind(self, name: str) -> str:
        of_terms = self.terms is not None and name == "maintenance_margin"
        return "terms.liquidation_ltv" if of_terms else super().rule_behind(name)

    def columns(self) -> Mapping[str, Measure]:
        return {self.borrow_capacity: Measure.AMOUNT} if self.borrow_capacity else {}

    def check(self, market: Market) -> None:
        """Refuse rates of another lender, and rules that do not say how this one liquidates."""
        for column in (self.lending_rate, self.borrowing_rate):
            source = market.sources.get(column)
            if self.lender and source and source.lender not in ("", self.lender):
                raise ScenarioError(
                    f"venues.{self.name}.lender: {self.lender}; the column {column} has the rates of {source.lender} "
                    f"({source.file}); expected those of {self.lender}"
                )
        if self.terms is None:
            return
        try:
            procedures = [self._procedure(int(at_ns)) for at_ns in (market.open_ns[0], market.at_ns[-1])]
        except ScenarioError as error:
            raise ScenarioError(f"venues.{self.name}.terms.{error}") from None
        if any(isinstance(each, ToHealth) and not each.buffer for each in procedures) and not self.terms.least_shortage:
            raise ScenarioError(
                f"venues.{self.name}.terms: neither a buffer nor a least_shortage; expected one above 0, or a "
                "liquidation at the line would repay nothing"
            )

    def accruals(self) -> Iterable[Accrual]:
        """Coins and loan grow at their rates, what is kept beside them at the loan's."""
        price, basis = (f"{self.coin}.close", "close"), RATES[self.rate_convention]
        grows = partial(Accrual, event=InterestAccrued, basis=basis, price=price)
        held, loan, kept = self.coins_held, self.loan, self.surplus
        yield grows(debit=held, credit=self.lending, kind="lending", on=held, rate=self.lending_rate)
        yield grows(debit=self.interest, credit=loan, kind="interest", on=loan, rate=self.borrowing_rate)
        yield grows(debit=kept, credit=self.surplus_interest, kind="interest", on=kept, rate=self.borrowing_rate)

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
            (self.swap_fee, self._swap_cost(notional, book, buying=True), "swap_fee"),
            (self.gas, book.gas(book.rule(self.gas_usd)), "gas"),
        ):
            if not due:
                continue
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
        swap = min(proceeds, self._swap_cost(proceeds, book, buying=False))
        if swap:
            book.transfer(self.swap_fee, self.traded_usdc, swap, "swap_fee")
            proceeds -= swap
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
            self._check_sale(order, held, notional, book)
            book.transfer(self.traded, self.coins_held, held - coins, "trade")
            self.receive(book, self.traded_usdc, notional, "trade")
        if self.swaps:
            self.pay(book, self.swap_fee, self._swap_cost(notional, book, buying=coins > held), "swap_fee")

    def _check_sale(self, order: Resize, held: int, proceeds: int, book: Books) -> None:
        """Reject a resize that sells coins for more than the loan, where the lender takes no more than that."""
        owed, coin = -book[self.loan] - book[self.surplus], self.coins_held.asset
        if not self.repayment_only or proceeds <= owed:
            return
        price = Fraction(book.price(self.coin)) * USDC.scale / coin.scale
        least = max(0, held - math.floor(owed / price))
        sums = [f"{USDC.decimal(each):,f} USDC" for each in (proceeds, owed)]
        book.reject(
            f"{order} would sell {coin.code} for {sums[0]}, more than the loan of {sums[1]}; expected a size of at "
            f'least {coin.decimal(least):f}, or overpayment = "earns_borrowing_rate"'
        )

    def accept(self, order: object, book: Books) -> None:
        """Reject a larger loan than the lender gives: by its limits, and by what its pool has and asks for."""
        if self.terms is None or (borrowed := -book.moved(self.loan)) <= 0:
            return
        worth_usd = self.coins_held.asset.units(book[self.coins_held]) * book.price(self.coin, "oracle")
        owed_usd = USDC.units(-book[self.loan] - book[self.surplus])
        rate = book.market.floats(self.borrowing_rate)[book.row]
        pool_usd = book.market.floats(self.borrow_capacity)[book.row] if self.borrow_capacity else None
        refusals = self.terms.at(book.at_ns).refusals(worth_usd, owed_usd, USDC.units(borrowed), rate, pool_usd)
        for why, rule in refusals:
            loan = f"a loan of {owed_usd:,.2f} USD on coins worth {worth_usd:,.2f} USD"
            book.reject(f"{loan}; {why.format(self.lender)}", (f"terms.{rule}",) if rule else ())

    def liquidate(self, book: Books) -> None:
        """The study's liquidation at a penalty, or the lender's own procedure."""
        if self.liquidation_penalty is not None:
            self._take_penalty(self.liquidation_penalty, book)
        else:
            self._repay_in_rounds(book)

    def _repay_in_rounds(self, book: Books) -> None:
        """Let liquidators repay the loan and take coins for it, at the oracle's price, until the position is healthy.

        What is owed once no coins are left is the lender's loss, and none of ours.
        """
        self._net(book)
        coin, price = self.coins_held.asset, book.price(self.coin, "oracle")
        coins, owed = book[self.coins_held], -book[self.loan]
        of_an_atom = Fraction(price) * USDC.scale / coin.scale
        rounds = list(until_healthy(self._procedure(book.at_ns), coins, owed, of_an_atom, found=True))
        for name in dict.fromkeys(rule for each in rounds for rule in each.round.rules):
            book.rule(getattr(self.terms, name))  # the event names the rules that decided
        seized, repaid = sum(each.seized for each in rounds), sum(each.repaid for each in rounds)
        worth = coin.worth(seized, price)
        book.transfer(self.traded, self.coins_held, seized, "seizure")
        book.transfer(self.loan, self.traded_usdc, min(repaid, worth), "seizure")
        book.transfer(self.penalties, self.traded_usdc, max(0, worth - repaid), "liquidation_penalty")
        lost = repaid - min(repaid, worth) + (owed - repaid if seized == coins else 0)
        book.transfer(self.loan, self.bad_debt, lost, "bad_debt")
        if seized == coins:
            self.close(Close(self.name), book)

    def _take_penalty(self, penalty: Penalty, book: Books) -> None:
        """Take the penalty out of the loan; sell the coins where the lender does that itself."""
        worth = self._worth(book[self.coins_held], book)
        equity = worth + book[self.loan] + book[self.surplus]
        self.pay(book, self.penalties, penalty.amount(equity, worth), "liquidation_penalty")
        if self.forgive_negative_equity:
            book.transfer(self.loan, self.bad_debt, max(0, -equity), "bad_debt")
        if self.liquidation_closes:
            self.close(Close(self.name), book)

    def receive(self, book: Books, source: Account, amount: int, kind: str) -> None:
        """Repay the loan; the excess is kept as a deposit or rejected."""
        self._net(book)
        repaid = min(amount, -book[self.loan])
        book.transfer(self.loan, source, repaid, kind)
        if amount > repaid and self.repayment_only:
            loan = f"the loan of {USDC.decimal(repaid)} USDC"
            book.reject(f"{USDC.decimal(amount)} USDC is more than {loan}; expected at most that")
        book.transfer(self.surplus, source, amount - repaid, kind)

    def pay(self, book: Books, target: Account, amount: int, kind: str) -> None:
        """Pay out of the deposit, and then by a larger loan, for which the lender has a fee."""
        self._net(book)
        kept = min(amount, book[self.surplus])
        book.transfer(target, self.surplus, kept, kind)
        book.transfer(target, self.loan, amount - kept, kind)
        if self.terms is not None:
            fee = book.fee(USDC.units(amount - kept), book.rule(self.terms.borrow_fee_bps))
            book.transfer(self.borrow_fee, self.loan, fee, "borrow_fee")
            if isinstance(book.order, Move | Withdraw):
                self.accept(book.order, book)

    def _procedure(self, at_ns: int) -> Procedure:
        """How the lender liquidates at an instant."""
        assert self.terms is not None
        assert self.lender is not None
        return self.terms.at(at_ns).procedure(self.lender)

    def _swap_cost(self, notional: int, book: Books, *, buying: bool) -> int:
        """Fee and slippage of a swap, atomic units of USDC; all swaps of an instant move the price as one would."""
        if not self.swaps:
            return 0
        before, usd = self._swapped_usd(book, buying=buying), USDC.units(notional)
        impact_bps = book.rule(self.swap_impact_bps_per_million) * (2 * before + usd) / 1_000_000
        return book.fee(usd, book.rule(self.swap_fee_bps) + impact_bps)

    def _swapped_usd(self, book: Books, *, buying: bool) -> float:
        """What was swapped in the same direction at this instant before, USD."""
        entries = takewhile(lambda entry: entry.at_ns == book.at_ns, book.backwards())
        coins = sum(
            amount
            for entry in entries
            for debit, credit, amount, kind in entry.transfers
            if kind == "trade" and (credit if buying else debit) is self.traded
        )
        return USDC.units(self._worth(coins, book))

    def _net(self, book: Books) -> None:
        """Repay the loan with the deposit beside it."""
        surplus = book[self.surplus]
        if surplus:
            book.transfer(self.loan, self.surplus, min(surplus, -book[self.loan]), "netting")

    def _worth(self, coins: int, book: Books) -> int:
        worth: int = self.coins_held.asset.worth(coins, book.price(self.coin))
        return worth
