"""A linear perpetual position in the books: base units and quote owed, margin beside them; shared by the perp venues.

No average price is kept: unrealised profit is what base and quote are worth at the mark. Paying out more than the
margin account holds first turns unrealised profit into margin, as the venues' own settlement does.
"""

from typing import Protocol

import numpy as np
from attrs import field, frozen

from framework.accounts import Account, Book, Draft, Stream
from framework.accrual import Accrual, funding_index, received_path, steps, total_index
from framework.errors import OrderRefused
from framework.events import FundingSettled, Liquidated, OrderFilled, Side
from framework.market import Floats, Ints, Market
from framework.orders import Close, Open, Resize, Trade
from framework.units import USDC, Asset, perpetual
from framework.venue import (
    CASH,
    FeeTiming,
    Leg,
    Moment,
    Penalty,
    Projection,
    Valuation,
    check_open,
    filled,
    refusal,
)
from venues.charts import PerpetualAccounts


class PerpetualTerms(Protocol):
    """What a venue says about its perpetual; rates are fractions, the fee is in basis points of the notional."""

    @property
    def name(self) -> str: ...
    @property
    def coin(self) -> str: ...
    @property
    def taker_fee_bps(self) -> float: ...
    @property
    def maintenance_margin(self) -> float: ...
    @property
    def liquidation_penalty(self) -> Penalty: ...
    @property
    def liquidation_closes(self) -> bool: ...
    @property
    def forgive_negative_equity(self) -> bool: ...
    @property
    def funding_rate(self) -> str: ...
    @property
    def funding_price(self) -> str: ...
    @property
    def valuation(self) -> Valuation: ...
    @property
    def fee_timing(self) -> FeeTiming: ...
    @property
    def liquidation_distance(self) -> float | None: ...


@frozen
class Perpetual:
    """One account with one perpetual position, under the terms of its venue; `Venue` says what the methods do."""

    terms: PerpetualTerms = field(repr=False)
    contract: Asset
    accounts: PerpetualAccounts

    @classmethod
    def of(cls, terms: PerpetualTerms) -> "Perpetual":
        """The perpetual of a venue, with its accounts."""
        contract = perpetual(terms.coin)
        return cls(terms, contract, PerpetualAccounts.of(terms.name, contract))

    def project(self, book: Book, market: Market, start: int, stop: int) -> Projection | None:
        """Funding is paid into margin on the position as it stands; the mark is the row's close, or the cost."""
        position, quote = book.balance(self.accounts.position), book.balance(self.accounts.quote)
        margin = book.balance(self.accounts.margin)
        if not position and not margin and not quote:
            return None
        rows, count = slice(start, stop), stop - start
        size = self.contract.units(position)
        close = market["close"][rows]
        adverse = market["low" if position > 0 else "high"][rows]
        if self.terms.valuation == "cost" and position:
            close = np.full(count, self._cost(book))
        path = self._funding_path(book, market, start, stop)
        money_usd = (margin + quote + (path[1:] - path[0])) / USDC.scale
        equity_usd = money_usd + size * close
        notional_usd = abs(size) * close
        if not position:
            liquidated = np.zeros(count, dtype=bool)
        elif self.terms.liquidation_distance is not None:
            trigger = self._distant_price(book)
            liquidated = adverse <= trigger if position > 0 else adverse >= trigger
        elif self.terms.valuation == "cost":
            liquidated = equity_usd <= self.terms.maintenance_margin * notional_usd
        else:
            margin_at_adverse = self.terms.maintenance_margin * abs(size) * adverse
            liquidated = money_usd + size * adverse <= margin_at_adverse
        funding = self._accrual(path, market, rows, position, close) if position else None
        return Projection(
            accruals=(funding,) if funding else (),
            size=np.full(count, size),
            equity_usd=equity_usd,
            notional_usd=notional_usd,
            liquidated=liquidated,
        )

    def leg(self, book: Book, price: float) -> Leg:
        """Margin and quote, and the base at `price` or at cost."""
        position = book.balance(self.accounts.position)
        size = self.contract.units(position)
        money_usd = (book.balance(self.accounts.margin) + book.balance(self.accounts.quote)) / USDC.scale
        if not position:
            return Leg(0.0, money_usd)
        cost = self._cost(book)
        if self.terms.valuation == "cost":
            price = cost
        kept = 1 - self.terms.maintenance_margin if size > 0 else 1 + self.terms.maintenance_margin
        if self.terms.liquidation_distance is not None:
            trigger = self._distant_price(book)
        else:
            trigger = float("nan") if self.terms.valuation == "cost" else -money_usd / (size * kept)
        return Leg(size, money_usd + size * price, abs(size) * price, cost, trigger)

    def execute(self, order: Trade, draft: Draft, moment: Moment) -> OrderFilled:
        """Trade at the row's price, or at cost, and pay the taker fee out of margin."""
        match order:
            case Close():
                return self._close(order, draft, moment)
            case Resize():
                return self._resize(order, draft, moment)
            case Open():
                return self._open(order, draft, moment)

    def liquidate(self, draft: Draft, moment: Moment, market: Market) -> Liquidated:
        """Take the penalty; close at the row's price where the venue does that itself."""
        accounts, terms = self.accounts, self.terms
        position = draft.balance(accounts.position)
        price = self._price(draft, moment)
        notional = self._worth(abs(position), price)
        if terms.liquidation_closes:
            self.pay(draft, accounts.taker_fee, self._closing_fee(notional), moment, "taker_fee")
        equity = self._equity(draft, price)
        penalty = terms.liquidation_penalty.amount(equity, notional)
        self.pay(draft, accounts.penalty, penalty, moment, "liquidation_penalty")
        bad_debt = max(0, -equity) if terms.forgive_negative_equity else 0
        draft.transfer(accounts.margin, accounts.bad_debt, bad_debt, "bad_debt")
        if terms.liquidation_closes:
            self._trade(draft, -position, price)
            self._to_wallet(draft)
        return Liquidated(
            event=moment.event,
            at_ns=moment.at_ns,
            venue=terms.name,
            cause=moment.cause,
            side=Side.LONG if position > 0 else Side.SHORT,
            trigger_price=float(market["low" if position > 0 else "high"][moment.row]),
            price=price,
            size=position,
            equity=equity,
            penalty=penalty,
            bad_debt=bad_debt,
            closed=terms.liquidation_closes,
        )

    def receive(self, draft: Draft, source: Account, amount: int, moment: Moment, kind: str) -> None:
        """More margin."""
        draft.transfer(self.accounts.margin, source, amount, kind)

    def pay(self, draft: Draft, target: Account, amount: int, moment: Moment, kind: str) -> None:
        """Out of margin; unrealised profit is turned into margin first where margin alone does not suffice."""
        accounts = self.accounts
        if amount > draft.balance(accounts.margin):
            worth = self._worth(draft.balance(accounts.position), self._price(draft, moment))
            profit = draft.balance(accounts.quote) + worth
            if profit > 0:
                draft.transfer(accounts.margin, accounts.quote, profit, "realised_profit")
        draft.transfer(target, accounts.margin, amount, kind)

    def _open(self, order: Open, draft: Draft, moment: Moment) -> OrderFilled:
        check_open(self.terms.name, order, moment)
        atoms = self.contract.nearest(order.size)
        signed = atoms if order.side is Side.LONG else -atoms
        self.receive(draft, CASH, USDC.nearest(order.funds_usd), moment, "deposit")
        price = self._price(draft, moment)
        notional = self._trade(draft, signed, price)
        quoted_usd = order.quoted_notional_usd
        fee = self._fee(USDC.units(notional) if quoted_usd is None else quoted_usd)
        if self.terms.fee_timing == "entry":
            fee *= 2
        self.pay(draft, self.accounts.taker_fee, fee, moment, "taker_fee")
        return self._filled("open", moment, price, signed, notional, fee)

    def _close(self, order: Close, draft: Draft, moment: Moment) -> OrderFilled:
        position = draft.balance(self.accounts.position)
        price = self._price(draft, moment)
        notional = self._trade(draft, -position, price)
        fee = self._closing_fee(notional)
        draft.transfer(self.accounts.taker_fee, self.accounts.margin, fee, "taker_fee")
        self._to_wallet(draft)
        return self._filled("close", moment, price, -position, notional, fee, order.reason)

    def _resize(self, order: Resize, draft: Draft, moment: Moment) -> OrderFilled:
        position = draft.balance(self.accounts.position)
        atoms = self.contract.nearest(order.size)
        if atoms <= 0 or not position:
            why = "expected an open position and a size above 0"
            raise OrderRefused(refusal(self.terms.name, moment, order, why))
        change = (atoms if position > 0 else -atoms) - position
        price = self._price(draft, moment)
        notional = self._trade(draft, change, price)
        fee = self._closing_fee(notional)
        self.pay(draft, self.accounts.taker_fee, fee, moment, "taker_fee")
        return self._filled("resize", moment, price, change, notional, fee)

    def _filled(
        self, order: str, moment: Moment, price: float, size: int, notional: int, fee: int, reason: str = ""
    ) -> OrderFilled:
        return filled(self.terms.name, order, moment, price=price, size=size, amount=notional, fee=fee, reason=reason)

    def _funding_path(self, book: Book, market: Market, start: int, stop: int) -> Ints:
        """Funding received since the position last changed, by row; at cost it is paid on what was paid for it."""
        accounts, terms = self.accounts, self.terms
        if terms.valuation == "cost":
            index = total_index(market, terms.funding_rate)
            factor = float(book.balance(accounts.quote))
        else:
            index = funding_index(market, terms.funding_rate, terms.funding_price)
            factor = -self.contract.units(book.balance(accounts.position)) * USDC.scale
        return received_path(book, accounts.position, index, market, factor, start, stop)

    def _accrual(self, path: Ints, market: Market, rows: slice, position: int, close: Floats) -> Accrual:
        terms = self.terms
        return Accrual(
            event=FundingSettled,
            venue=terms.name,
            stream=Stream(self.accounts.margin, self.accounts.funding, "funding"),
            asset=self.contract.code,
            amounts=steps(path),
            rate=market[terms.funding_rate][rows],
            price=close if terms.valuation == "cost" else market[terms.funding_price][rows],
            size=np.full(len(close), position),
            rate_column=terms.funding_rate,
        )

    def _trade(self, draft: Draft, signed: int, price: float) -> int:
        """Move `signed` contracts into the position and their notional out of the quote; returns |notional|."""
        accounts = self.accounts
        notional = self._worth(abs(signed), price)
        if signed > 0:
            draft.transfer(accounts.position, accounts.trading_contracts, signed, "trade")
            draft.transfer(accounts.trading_usdc, accounts.quote, notional, "trade")
        elif signed < 0:
            draft.transfer(accounts.trading_contracts, accounts.position, -signed, "trade")
            draft.transfer(accounts.quote, accounts.trading_usdc, notional, "trade")
        return notional

    def _to_wallet(self, draft: Draft) -> None:
        """Settle what a closed position made, and return a margin above zero; one below stays owed."""
        accounts = self.accounts
        made = draft.balance(accounts.quote)
        if made > 0:
            draft.transfer(accounts.margin, accounts.quote, made, "realised_profit")
        else:
            draft.transfer(accounts.quote, accounts.margin, -made, "realised_loss")
        draft.transfer(CASH, accounts.margin, max(0, draft.balance(accounts.margin)), "withdrawal")

    def _price(self, book: Book, moment: Moment) -> float:
        """The price at which the position is valued and traded now: a first opening is always at the row's."""
        at_cost = self.terms.valuation == "cost" and book.balance(self.accounts.position)
        return self._cost(book) if at_cost else moment.price

    def _cost(self, book: Book) -> float:
        """What was paid for a contract on average, USD; not a number without a position."""
        position = book.balance(self.accounts.position)
        return USDC.units(book.balance(self.accounts.quote)) / -self.contract.units(position) if position else np.nan

    def _distant_price(self, book: Book) -> float:
        """The price a fixed share away from the cost, on the side that hurts."""
        away = self.terms.liquidation_distance or 0.0
        return self._cost(book) * (1 - away if book.balance(self.accounts.position) > 0 else 1 + away)

    def _equity(self, draft: Draft, price: float) -> int:
        money = draft.balance(self.accounts.margin) + draft.balance(self.accounts.quote)
        return money + self._worth(draft.balance(self.accounts.position), price)

    def _worth(self, contracts: int, price: float) -> int:
        return USDC.nearest(self.contract.units(contracts) * price) if contracts else 0

    def _fee(self, notional_usd: float) -> int:
        return USDC.nearest(notional_usd * self.terms.taker_fee_bps / 10_000)

    def _closing_fee(self, notional: int) -> int:
        return 0 if self.terms.fee_timing == "entry" else self._fee(USDC.units(notional))
