"""Drift: an account with perpetual positions, its margin in USDC and, beside it, a token as collateral."""

from collections.abc import Iterable
from typing import Literal

from attrs import field, frozen

from framework.accrual import Accrual
from framework.books import Books
from framework.events import FundingSettled
from framework.formulas import formula, per_coin, ratio
from framework.money import USDC, Account, perpetual, token
from framework.orders import Close, Open, Resize
from framework.venue import Bridge, Dated, Penalty, Venue, account, basis_points, fraction, price_of, share
from venues.perpetual import (
    close_position,
    funding_columns,
    funding_prices,
    liquidate_at_a_penalty,
    open_position,
    pay_out,
    resize_position,
)


@frozen(kw_only=True)
class Drift(Venue):
    """Perpetuals under given rules. Rates are fractions; the fee is basis points of the traded notional.

    Where the funding rate is above 0, longs pay shorts. `funding_rate` names the market column of the rate, for which a
    column such as `drift.BTC.funding` goes first and, with several coins, has to be there for each; `funding_price` is
    the price that it is paid on. `collateral` is a token that is taken as margin at `collateral_weight` of its price.
    The account is judged as a whole, positions, margin and tokens at one instant, with the premium or discount that the
    token has in that row. With `funding_apart` funding lies beside the margin: it counts for the equity and backs
    nothing. What closed positions leave owing is paid by selling collateral.
    """

    name: str = "drift"
    coin: str | tuple[str, ...] = "SOL"
    taker_fee_bps: float | Dated = field(validator=basis_points)
    maintenance_margin: float | Dated = field(validator=fraction)
    liquidation_penalty: Penalty
    liquidation_closes: bool = True
    forgive_negative_equity: bool = False
    funding_rate: str = "drift_funding_rate"
    funding_price: Literal["open", "close", "oracle"] = "close"
    collateral: Literal["SOL", "JITOSOL"] | None = None
    collateral_weight: float | Dated = field(default=1.0, validator=share)
    funding_apart: bool = False
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
    held = account("Assets:{venue}:Collateral", token, of="collateral", when="collateral", floor=True)
    held_traded = account("Equity:{venue}:Trading", token, of="collateral", when="collateral", bucket="execution")
    apart = account("Assets:{venue}:Funding", USDC, when="funding_apart")
    token_price = price_of("collateral")

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
    def tokens(held):
        return held

    @formula
    def tokens_worth(held, token_price):
        return held * token_price

    @formula
    def equity(margin, quote, drawn, worth, apart, tokens_worth):
        return margin + quote + drawn + apart + tokens_worth + worth

    @formula
    def total_collateral(margin, quote, drawn, worth, tokens_worth, collateral_weight):
        return margin + quote + drawn + collateral_weight * tokens_worth + worth

    @formula
    def maintenance(notional, maintenance_margin):
        return notional * maintenance_margin

    @formula
    def liquidated(total_collateral, maintenance, notional):
        return (total_collateral <= maintenance) & (notional > 0)

    @formula
    def delta(size, tokens_worth, price):
        return size + tokens_worth / price

    def accruals(self) -> Iterable[Accrual]:
        for coin in self.coins:
            yield Accrual(
                debit=self.apart if self.funding_apart else self.margin,
                credit=self.funding[coin],
                kind="funding",
                event=FundingSettled,
                on=self.position[coin],
                basis="payment",
                share=-1.0,
                rate=funding_columns(self, coin),
                price=funding_prices(self, coin),
            )

    def taker_bps(self, book: Books) -> float:
        """The taker fee now."""
        bps: float = book.rule(self.taker_fee_bps)
        return bps

    def token_account(self, code: str) -> Account | None:
        return self.held if code == self.collateral else None

    def open(self, order: Open, book: Books) -> None:
        open_position(self, order, book)

    def close(self, order: Close, book: Books) -> None:
        close_position(self, order, book, self.owing)

    def resize(self, order: Resize, book: Books) -> None:
        resize_position(self, order, book)

    def liquidate(self, book: Books) -> None:
        liquidate_at_a_penalty(self, book, self.owing)

    def receive(self, book: Books, source: Account, amount: int, kind: str) -> None:
        book.transfer(self.margin, source, amount, kind)

    def pay(self, book: Books, target: Account, amount: int, kind: str) -> None:
        pay_out(self, book, target, amount, kind)

    def owing(self, book: Books) -> None:
        """What is owed once all positions are closed is paid from the funding apart, then by selling collateral."""
        if self.apart:
            book.transfer(self.margin, self.apart, book[self.apart], "settlement")
        owed = -book[self.margin]
        if self.held and owed > 0:
            price = book.price_of(self.held.asset)
            sold = min(self.held.asset.nearest(USDC.units(owed) / price) + 1, book[self.held])
            book.transfer(self.held_traded, self.held, sold, "collateral_sale")
            worth = USDC.nearest(self.held.asset.units(sold) * price)
            book.transfer(self.margin, self.traded_usdc, worth, "collateral_sale")
