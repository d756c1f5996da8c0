"""Drift: an account with perpetual positions, its margin in USDC and, beside it, a token as collateral."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Literal

from attrs import field, frozen, validators

from framework.accrual import Accrual
from framework.books import Books
from framework.events import InterestAccrued
from framework.formulas import formula, greater, per_coin
from framework.money import USDC, Account, perpetual, token
from framework.orders import Close, Open, Resize
from framework.venue import (
    LIQUIDATION,
    Act,
    Bridge,
    Dated,
    Penalty,
    Venue,
    account,
    basis_points,
    fraction,
    not_negative,
    price_of,
    seconds,
    share,
)
from venues import drift_formulas as rules
from venues import perpetual as linear


@frozen(kw_only=True)
class Drift(Venue):
    """Perpetuals under given rules. Rates are fractions; the fee is basis points of the traded notional.

    Where the funding rate is above 0, longs pay shorts. `funding_rate` names the market column of the rate, that of
    shorts where the sides differ. A column such as `drift.BTC.funding` overrides it and, with several coins, has to be
    there for each; `funding_price` is the price that it is paid on. `collateral` is a token that is taken as
    margin at `collateral_weight` of its price. The account is judged as a whole, positions, margin and tokens at one
    instant, with the premium or discount that the token has in that row. With `funding_apart` funding lies beside the
    margin: it counts for the equity and backs nothing. What closed positions leave owing is paid by selling collateral.

    Margins grow with the size of a position by `imf`, and weights shrink with that of the collateral by
    `collateral_imf`. With an `initial_margin` an order and a payment need that, to which profits that are not settled
    count for nothing and tokens by their `initial_collateral_weight`.

    With a `borrow_rate`, a market column of fractions per year, what is owed in USDC is borrowed against the collateral
    and bears interest; losses are settled, and so borrowed, once they are more than the margin and
    `settle_losses_above` of the notional. With a `deposit_rate` the margin earns it, on its balance after the last act.

    With a `liquidation_penalty` a liquidation is the study's: it takes the penalty, leaves positions open unless
    `liquidation_closes`, and may forgive what is owed. Without one it is the protocol's:

    - A liquidator takes positions at the oracle's price, the largest first: as many coins as let the margin suffice
      with the `liquidation_buffer`, in steps of `order_step` coins.
    - The account pays `liquidator_fee` and at most `insurance_fee` of what is taken.
    - `liquidation_share` of what is missing may be liquidated at once, all of it within `liquidation_duration_s`.
    - Where no position is left and the collateral does not cover what is owed, it is sold for that, at
      `collateral_fee`.
    - What nobody can pay is borne by the insurance fund and all others.
    """

    name: str = "drift"
    coin: str | tuple[str, ...] = "SOL"
    taker_fee_bps: float | Dated = field(validator=basis_points)
    initial_margin: float | Dated | None = field(default=None, validator=validators.optional(fraction))
    maintenance_margin: float | Dated = field(validator=fraction)
    imf: float | Dated | None = field(default=None, validator=validators.optional(fraction))
    liquidation_penalty: Penalty | None = None
    liquidation_closes: bool = True
    forgive_negative_equity: bool = False
    """Whether what a liquidated account is short of is the venue's loss, and not the account's."""
    liquidator_fee: float | Dated | None = field(default=None, validator=validators.optional(fraction))
    insurance_fee: float | Dated | None = field(default=None, validator=validators.optional(fraction))
    liquidation_buffer: float | Dated | None = field(default=None, validator=validators.optional(fraction))
    liquidation_share: float | Dated | None = field(default=None, validator=validators.optional(share))
    liquidation_duration_s: float | Dated | None = field(default=None, validator=validators.optional(seconds))
    order_step: float | Dated | None = field(default=None, validator=validators.optional(not_negative))
    funding_rate: str = "drift_funding_rate"
    funding_price: Literal["open", "close", "oracle"] = "close"
    collateral: Literal["SOL", "JITOSOL"] | None = None
    collateral_weight: float | Dated = field(default=1.0, validator=share)
    initial_collateral_weight: float | Dated | None = field(default=None, validator=validators.optional(share))
    collateral_imf: float | Dated | None = field(default=None, validator=validators.optional(fraction))
    collateral_fee: float | Dated | None = field(default=None, validator=validators.optional(fraction))
    borrow_rate: str | None = None
    deposit_rate: str | None = None
    settle_losses_above: float | Dated | None = field(default=None, validator=validators.optional(not_negative))
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
    borrowed = account("Liabilities:{venue}:Borrowed", USDC, when="borrow_rate", floor=True)
    interest = account("Expenses:{venue}:Interest", USDC, when="borrow_rate", bucket="carry")
    earned = account("Income:{venue}:DepositInterest", USDC, when="deposit_rate", bucket="carry")
    token_price = price_of("collateral")

    def __attrs_post_init__(self) -> None:
        if self.liquidation_penalty is None and not self.liquidation_buffer:
            raise ValueError(
                "'liquidation_buffer' must be above 0 without a liquidation_penalty, or a liquidation would leave a "
                f"position at its line: {self.liquidation_buffer}"
            )

    @property
    def acts(self) -> Sequence[Act]:
        return (LIQUIDATION,) if self.borrow_rate is None else (LIQUIDATION, Act("owes", "settle_losses"))

    size, notional, entry_price = linear.size, linear.notional, linear.entry_price

    @per_coin
    def worth(position, oracle):
        return position * oracle

    @per_coin
    def unsettled_loss(worth, quote, drawn):
        return greater(-(worth + quote + drawn), 0)

    @formula
    def tokens(held):
        return held

    @formula
    def tokens_worth(held, token_price):
        return held * token_price

    @formula
    def weight(collateral_weight, held, collateral_imf):
        return rules.asset_weight(collateral_weight, held, collateral_imf)

    @formula
    def equity(margin, quote, drawn, worth, apart, tokens_worth, borrowed):
        return margin + quote + drawn + apart + tokens_worth + worth + borrowed

    @formula
    def total_collateral(margin, quote, drawn, worth, tokens_worth, weight, borrowed):
        return margin + quote + drawn + weight * tokens_worth + worth + borrowed

    @per_coin
    def maintenance_ratio(maintenance_margin, position, imf):
        return rules.margin_ratio(maintenance_margin, abs(position), imf)

    @per_coin
    def position_maintenance(notional, maintenance_ratio):
        return notional * maintenance_ratio

    @formula
    def maintenance(position_maintenance):
        return position_maintenance

    @formula
    def liquidated(total_collateral, maintenance, notional, borrowed):
        return (total_collateral <= maintenance) & (notional - borrowed > 0)

    @formula(when="initial_margin")
    def initial_collateral(
        margin, borrowed, unsettled_loss, tokens_worth, held, initial_collateral_weight, collateral_imf
    ):
        weight = rules.asset_weight(initial_collateral_weight, held, collateral_imf)
        return margin + borrowed - unsettled_loss + weight * tokens_worth

    @per_coin(when="initial_margin")
    def initial(notional, initial_margin, position, imf):
        return notional * rules.margin_ratio(initial_margin, abs(position), imf)

    @formula(when="initial_margin")
    def free(initial_collateral, initial):
        return initial_collateral - initial

    @formula(when="borrow_rate")
    def owes(unsettled_loss, margin, notional, settle_losses_above):
        return unsettled_loss - margin > settle_losses_above * notional

    @formula
    def delta(size, tokens_worth, price):
        return size + tokens_worth / price

    def accruals(self) -> Iterable[Accrual]:
        yield from linear.funding_of(self, self.apart if self.funding_apart else self.margin)
        if self.borrow_rate is not None:
            yield Accrual(
                debit=self.interest, credit=self.borrowed, kind="interest", event=InterestAccrued, on=self.borrowed,
                basis="compounding", rate=self.borrow_rate,
            )  # fmt: skip
        if self.deposit_rate is not None:
            yield Accrual(
                debit=self.margin, credit=self.earned, kind="interest", event=InterestAccrued, on=self.margin,
                basis="simple", rate=self.deposit_rate,
            )  # fmt: skip

    def taker_bps(self, book: Books) -> float:
        """The taker fee now."""
        bps: float = book.rule(self.taker_fee_bps)
        return bps

    def token_account(self, code: str) -> Account | None:
        return self.held if code == self.collateral else None

    def open(self, order: Open, book: Books) -> None:
        linear.open_position(self, order, book)

    def close(self, order: Close, book: Books) -> None:
        linear.close_position(self, order, book, owing=self.owing)

    def resize(self, order: Resize, book: Books) -> None:
        linear.resize_position(self, order, book)

    def accept(self, order: object, book: Books) -> None:
        if self.initial_margin:
            linear.check_initial_margin(self, book, "initial_margin")

    def liquidate(self, book: Books) -> None:
        """The study's liquidation at a penalty, or the protocol's: as much as has to be, and then the collateral."""
        if self.liquidation_penalty is not None:
            linear.liquidate_at_a_penalty(self, book, self.owing)
            return
        for coin in linear.by_worth(self, book):
            missing = self._missing(book)
            if missing > 0:
                self._reduce(coin, missing, book)
        if any(book[each] for each in self.position.values()):
            self._net(book)
            return
        if book.value(self.name, "total_collateral") <= 0:
            self.owing(book, book.rule(self.collateral_fee) or 0.0)
            book.transfer(self.margin, self.bad_debt, max(0, -book[self.margin]), "bad_debt")
        self._net(book)

    def _missing(self, book: Books) -> Fraction:
        """What the account is short of, with the buffer, USD."""
        names = ("total_collateral", "maintenance", "notional", "unsettled_loss")
        collateral, needed, notional, losses = (Fraction(book.value(self.name, each)) for each in names)
        return Fraction(
            rules.shortage(collateral, needed, notional, Fraction(book.rule(self.liquidation_buffer) or 0), losses)
        )

    def _reduce(self, coin: str, missing: Fraction, book: Books) -> None:
        """Let a liquidator take as much of a position as covers what is missing, and both fees out of the margin."""
        position, held, price = self.position[coin], book[self.position[coin]], Fraction(book.price(coin, "oracle"))
        in_force = (self.maintenance_margin, self.imf, self.liquidation_buffer, self.liquidator_fee, self.insurance_fee)
        base, imf, buffer, liquidator_fee, insurance_fee = (Fraction(book.rule(each) or 0) for each in in_force)
        size = Fraction(abs(held), position.asset.scale)
        initial, duration_s = book.rule(self.liquidation_share), book.rule(self.liquidation_duration_s)
        row_s = (int(book.market.at_ns[book.row]) - int(book.market.open_ns[book.row])) / 1e9
        elapsed = row_s / duration_s if duration_s else 1
        ratio = Fraction(rules.margin_ratio(base, size, imf)) + buffer
        share = rules.share_now(missing, 0, 1 if initial is None else initial, elapsed)
        step = Fraction(str(book.rule(self.order_step) or 1e-9))
        taken = rules.liquidated(size, price, missing, ratio, liquidator_fee, insurance_fee, share=share, step=step)
        contracts = round(taken.coins * position.asset.scale)
        linear.trade(self, coin, -contracts if held > 0 else contracts, book, "oracle")
        for fee, kind in ((taken.liquidator_fee, "liquidator_fee"), (taken.insurance_fee, "insurance_fee")):
            book.transfer(self.penalties, self.margin, round(fee * USDC.scale), kind)
        if not book[position]:
            linear.realise(self, coin, book)

    def settle_losses(self, book: Books) -> None:
        """Settle what positions have lost against the margin; what that is short of is borrowed."""
        for coin in self.coins:
            made = (
                book.worth(self.position[coin], book.price(coin, "oracle"))
                + book[self.quote[coin]]
                + book[self.drawn[coin]]
            )
            book.transfer(self.margin, self.drawn[coin], min(0, made), "settled_loss")
        self._net(book)

    def deleverage(self, share: float, book: Books) -> None:
        linear.deleverage(self, share, book, "oracle")

    def receive(self, book: Books, source: Account, amount: int, kind: str) -> None:
        book.transfer(self.margin, source, amount, kind)
        self._net(book)

    def pay(self, book: Books, target: Account, amount: int, kind: str) -> None:
        linear.pay_out(self, book, target, amount, kind)
        self._net(book)

    def _net(self, book: Books) -> None:
        """Borrow what the margin is short of, or repay with what is there."""
        if self.borrowed:
            book.transfer(self.margin, self.borrowed, max(-book[self.margin], book[self.borrowed]), "borrowing")

    def owing(self, book: Books, fee: float = 0.0) -> None:
        """What is owed once all positions are closed is paid from the funding apart, then by selling collateral."""
        if self.apart:
            book.transfer(self.margin, self.apart, book[self.apart], "settlement")
        if self.borrowed:
            book.transfer(self.borrowed, self.margin, -book[self.borrowed], "borrowing")
        owed = -book[self.margin]
        if self.held and owed > 0:
            price = book.price_of(self.held.asset) * (1 - fee)
            sold = min(self.held.asset.nearest(USDC.units(owed) / price) + 1, book[self.held])
            book.transfer(self.held_traded, self.held, sold, "collateral_sale")
            worth = USDC.nearest(self.held.asset.units(sold) * price)
            book.transfer(self.margin, self.traded_usdc, worth, "collateral_sale")
