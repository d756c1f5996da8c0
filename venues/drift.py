"""Drift: an account with perpetual positions, its margin in USDC and, beside it, a token as collateral."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Literal

from attrs import field, frozen

from framework.accrual import Accrual
from framework.books import Books
from framework.events import InterestAccrued
from framework.formulas import formula, greater, per_coin
from framework.money import USDC, Account, token
from framework.orders import Close
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
    """Perpetuals on one margin account. Rates, margins and weights are fractions; longs pay a funding rate above 0.

    The account is judged as a whole at the oracle's price: positions, margin and collateral, the token at its own price
    in that row. It is liquidated where that is at most its maintenance margin. A liquidation is the protocol's, unless
    there is a `liquidation_penalty`:

    - A liquidator takes positions at the oracle's price, the largest first: as many coins as let the margin suffice
      with the `liquidation_buffer`.
    - The account pays `liquidator_fee` and at most `insurance_fee` of what is taken.
    - Where no position is left and the collateral does not cover what is owed, it is sold for that, at
      `collateral_fee`.
    - What nobody can pay is borne by the insurance fund and all others.
    """

    name: str = "drift"
    coin: str | tuple[str, ...] = "SOL"
    taker_fee_bps: float | Dated = field(validator=basis_points)
    """Taker fee, basis points of the traded notional."""

    # -- margin
    initial_margin: float | Dated | None = field(default=None, validator=fraction)
    """The share of the notional that orders and payments have to leave as margin. Unrealised profits do not count."""
    maintenance_margin: float | Dated = field(validator=fraction)
    """Maintenance margin as a share of the notional."""
    imf: float | Dated | None = field(default=None, validator=fraction)
    """By how much both margins grow with the size of a position, per square root of coins."""

    # -- liquidation
    liquidation_buffer: float | Dated | None = field(default=None, validator=fraction)
    """How far beyond the maintenance margin a liquidation brings the account, as a share of the notional."""
    liquidator_fee: float | Dated | None = field(default=None, validator=fraction)
    """What the liquidator gets, as a share of what is taken."""
    insurance_fee: float | Dated | None = field(default=None, validator=fraction)
    """What the insurance fund gets at most, as a share of what is taken."""
    liquidation_share: float | Dated | None = field(default=None, validator=share)
    """The share of a shortage that may be liquidated at once."""
    liquidation_duration_s: float | Dated | None = field(default=None, validator=seconds)
    """The time within which all of a shortage may be liquidated."""
    order_step: float | Dated | None = field(default=None, validator=not_negative)
    """Coins are taken in multiples of this."""
    liquidation_penalty: Penalty | None = None
    """The study's liquidation: this penalty is taken at once, and no liquidator comes."""
    liquidation_closes: bool = True
    """Whether a liquidation at a penalty closes the positions."""
    forgive_negative_equity: bool = False
    """Whether the venue bears what an account lacks after a liquidation at a penalty."""

    # -- funding
    funding_rate: str = "drift_funding_rate"
    """Column of the funding rate, that of shorts where the sides differ; `drift.BTC.funding` overrides it."""
    funding_price: Literal["open", "close", "oracle"] = "close"
    """The price that funding is paid on."""
    funding_apart: bool = False
    """Whether funding lies beside the margin, where it counts for the equity and backs nothing."""

    # -- collateral, and what is owed
    collateral: Literal["SOL", "JITOSOL"] | None = None
    """A token that counts as margin. What closed positions leave owing is paid by selling it."""
    collateral_weight: float | Dated = field(default=1.0, validator=share)
    """The share of its worth that counts for the maintenance margin."""
    initial_collateral_weight: float | Dated | None = field(default=None, validator=share)
    """The share of its worth that counts for the initial margin."""
    collateral_imf: float | Dated | None = field(default=None, validator=fraction)
    """By how much both weights shrink with the size of the deposit, per square root of tokens."""
    collateral_fee: float | Dated | None = field(default=None, validator=fraction)
    """What a liquidator of the collateral gets, as a share of what is sold."""
    borrow_rate: str | None = None
    """Column of the yearly rate of USDC borrows; with it what is owed is borrowed against the collateral."""
    settle_losses_above: float | Dated | None = field(default=None, validator=not_negative)
    """Losses are settled, and so borrowed, once they are more than the margin and this share of the notional."""
    deposit_rate: str | None = None
    """Column of the yearly rate that the margin earns, on its balance after the last act."""
    bridge: Bridge = field(factory=Bridge)

    margin, position, quote, drawn = linear.margin, linear.position, linear.quote, linear.drawn
    traded, traded_usdc, funding, fees = linear.traded, linear.traded_usdc, linear.funding, linear.fees
    penalties, bad_debt = linear.penalties, linear.bad_debt
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
        """Here as in all formulas `borrowed` is the balance of a liability: 0 or below."""
        return margin + quote + drawn + apart + tokens_worth + worth + borrowed

    @formula
    def total_collateral(margin, quote, drawn, worth, tokens_worth, weight, borrowed):
        return margin + quote + drawn + weight * tokens_worth + worth + borrowed

    @per_coin
    def maintenance(notional, maintenance_margin, position, imf):
        return notional * rules.margin_ratio(maintenance_margin, abs(position), imf)

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

    def token_account(self, code: str) -> Account | None:
        return self.held if code == self.collateral else None

    open, taker_bps = linear.open_position, linear.taker_bps

    def close(self, order: Close, book: Books) -> None:
        """Trade the whole position back; what all of them leave owing is paid out of the collateral."""
        linear.close_position(self, order, book, owing=self.owing)

    resize = linear.resize_position

    def accept(self, order: object, book: Books) -> None:
        if self.initial_margin:
            linear.check_initial_margin(self, book, "initial_margin")

    def liquidate(self, book: Books) -> None:
        """The study's liquidation at a penalty, or the protocol's."""
        if self.liquidation_penalty is not None:
            linear.liquidate_at_a_penalty(self, book, self.owing)
        else:
            self._take_over(book)

    def _take_over(self, book: Books) -> None:
        """Liquidators take as much of the positions as has to be; what is owed after that is paid by the collateral."""
        for coin in linear.by_worth(self, book):
            missing = self._missing(book)
            if missing > 0:
                self._reduce(coin, missing, book)
        flat = not any(book[each] for each in self.position.values())
        if flat and book.value(self.name, "total_collateral") <= 0:
            self.owing(book, book.rule(self.collateral_fee) or 0.0)
            book.transfer(self.margin, self.bad_debt, max(0, -book[self.margin]), "bad_debt")
        self._net(book)

    def _missing(self, book: Books) -> Fraction:
        """What the account is short of, with the buffer, USD."""
        names = ("total_collateral", "maintenance", "notional", "unsettled_loss")
        collateral, needed, notional, losses = (Fraction(book.value(self.name, each)) for each in names)
        buffer = Fraction(book.rule(self.liquidation_buffer) or 0)
        return Fraction(rules.shortage(collateral, needed, notional, buffer, losses))

    def _reduce(self, coin: str, missing: Fraction, book: Books) -> None:
        """Let a liquidator take as much of a position as covers what is missing, and both fees out of the margin."""
        position, held, price = self.position[coin], book[self.position[coin]], Fraction(book.price(coin, "oracle"))
        in_force = (self.maintenance_margin, self.imf, self.liquidation_buffer, self.liquidator_fee, self.insurance_fee)
        base, imf, buffer, liquidator_fee, insurance_fee = (Fraction(book.rule(each) or 0) for each in in_force)
        size = Fraction(abs(held), position.asset.scale)
        initial, duration_s = book.rule(self.liquidation_share), book.rule(self.liquidation_duration_s)
        elapsed = book.row_ns / 1e9 / duration_s if duration_s else 1
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
            made = linear.unrealised(self, coin, book, "oracle")
            book.transfer(self.margin, self.drawn[coin], min(0, made), "settled_loss")
        self._net(book)

    def deleverage(self, share: float, book: Books) -> None:
        linear.deleverage(self, share, book, "oracle")

    def receive(self, book: Books, source: Account, amount: int, kind: str) -> None:
        linear.pay_in(self, book, source, amount, kind)
        self._net(book)

    def pay(self, book: Books, target: Account, amount: int, kind: str) -> None:
        linear.pay_out(self, book, target, amount, kind)
        self._net(book)

    def _net(self, book: Books) -> None:
        """Borrow what the margin is short of, or repay with what is there."""
        if self.borrowed:
            book.transfer(self.margin, self.borrowed, max(-book[self.margin], book[self.borrowed]), "borrowing")

    def owing(self, book: Books, fee: float = 0.0) -> None:
        """Pay what is owed once all positions are closed: with the funding beside the margin, then with collateral."""
        if self.apart:
            book.transfer(self.margin, self.apart, book[self.apart], "settlement")
        if self.borrowed:
            book.transfer(self.borrowed, self.margin, -book[self.borrowed], "borrowing")
        owed = -book[self.margin]
        if self.held and owed > 0:
            price = book.price_of(self.held.asset) * (1 - fee)
            sold = min(self.held.asset.nearest(USDC.units(owed) / price) + 1, book[self.held])
            book.transfer(self.held_traded, self.held, sold, "collateral_sale")
            book.transfer(self.margin, self.traded_usdc, self.held.asset.worth(sold, price), "collateral_sale")
