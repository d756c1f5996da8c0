"""Hyperliquid: an account with perpetual positions in one or several coins, its margin in USDC shared by them."""

from collections.abc import Iterable
from typing import Literal

from attrs import field, frozen

from framework.accrual import Accrual
from framework.books import Books
from framework.events import FundingSettled
from framework.formulas import formula, per_coin, ratio
from framework.money import USDC, Account, perpetual
from framework.orders import Close, Open, Resize
from framework.venue import Bridge, Dated, Penalty, Venue, account, basis_points, fraction
from venues.perpetual import (
    close_position,
    funding_columns,
    funding_prices,
    liquidate_account,
    open_position,
    pay_out,
    resize_position,
)


@frozen(kw_only=True)
class Hyperliquid(Venue):
    """Cross-margined perpetuals under given rules. Rates are fractions; the fee is basis points of the traded notional.

    Where the funding rate is above 0, longs pay shorts. `funding_rate` names the market column of the rate, for which a
    column such as `hyperliquid.BTC.funding` goes first and, with several coins, has to be there for each;
    `funding_price` is the price that it is paid on. The account is liquidated where its equity at the rows' adverse
    extremes of all coins is at most the maintenance margin.
    """

    name: str = "hyperliquid"
    coin: str | tuple[str, ...] = "SOL"
    taker_fee_bps: float | Dated = field(validator=basis_points)
    maintenance_margin: float | Dated = field(validator=fraction)
    liquidation_penalty: Penalty
    liquidation_closes: bool = True
    forgive_negative_equity: bool = False
    funding_rate: str = "hyperliquid_funding_rate"
    funding_price: Literal["open", "close", "oracle"] = "close"
    bridge: Bridge = field(factory=Bridge)

    margin = account("Assets:{venue}:Margin", USDC)
    position = account("Assets:{venue}:Position", perpetual, per_coin=True, position=True)
    quote = account("Assets:{venue}:Quote", USDC, per_coin=True)
    drawn = account("Assets:{venue}:Drawn", USDC, per_coin=True)
    traded = account("Equity:{venue}:Trading", perpetual, per_coin=True, bucket="execution")
    traded_usdc = account("Equity:{venue}:Trading", USDC, bucket="execution")
    funding = account("Income:{venue}:Funding", USDC, per_coin=True, bucket="funding")
    fees = account("Expenses:{venue}:TakerFee", USDC)
    penalties = account("Expenses:{venue}:LiquidationPenalty", USDC, bucket="liquidation_penalty")
    bad_debt = account("Income:{venue}:BadDebt", USDC, bucket="bad_debt")

    @per_coin
    def size(position):
        return position

    @per_coin
    def worth(position, mark):
        return position * mark

    @per_coin
    def notional(worth):
        return abs(worth)

    @per_coin
    def entry_price(quote, position):
        return ratio(quote, -position)

    @formula
    def equity(margin, quote, drawn, worth):
        return margin + quote + drawn + worth

    @formula
    def maintenance(notional, maintenance_margin):
        return notional * maintenance_margin

    @formula
    def liquidated(equity, maintenance, notional):
        return (equity <= maintenance) & (notional > 0)

    def accruals(self) -> Iterable[Accrual]:
        for coin in self.coins:
            yield Accrual(
                debit=self.margin,
                credit=self.funding[coin],
                kind="funding",
                event=FundingSettled,
                on=self.position[coin],
                basis="payment",
                share=-1.0,
                rate=funding_columns(self, coin),
                price=funding_prices(self, coin),
            )

    def open(self, order: Open, book: Books) -> None:
        open_position(self, order, book)

    def close(self, order: Close, book: Books) -> None:
        close_position(self, order, book)

    def resize(self, order: Resize, book: Books) -> None:
        resize_position(self, order, book)

    def liquidate(self, book: Books) -> None:
        liquidate_account(self, book)

    def receive(self, book: Books, source: Account, amount: int, kind: str) -> None:
        book.transfer(self.margin, source, amount, kind)

    def pay(self, book: Books, target: Account, amount: int, kind: str) -> None:
        pay_out(self, book, target, amount, kind)
