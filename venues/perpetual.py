"""A linear perpetual position in the books: base units and quote owed, margin beside them; shared by the perp venues.

No average price is kept: unrealised profit is what base and quote are worth at the mark. Paying out more than the
margin account holds first turns unrealised profit into margin, as the venues' own settlement does.
"""

from typing import Protocol

import numpy as np
from attrs import field, fields, frozen

from framework.accounts import Account, Book, Draft, Stream
from framework.accrual import Accrual, funding_index, received_path, steps
from framework.errors import OrderRefused
from framework.events import FundingSettled, Liquidated, OrderFilled, Side
from framework.market import Market
from framework.orders import Close, Open
from framework.units import USDC, Asset, perpetual
from framework.venue import CASH, Leg, Moment, Penalty, Projection, account_part, refusal


@frozen(cache_hash=True)
class PerpetualAccounts:
    """The chart of one perpetual account."""

    margin: Account
    position: Account
    quote: Account
    trading_contracts: Account
    trading_usdc: Account
    funding: Account
    taker_fee: Account
    penalty: Account
    bad_debt: Account

    @classmethod
    def of(cls, venue: str, contract: Asset) -> "PerpetualAccounts":
        """The accounts at `venue`, for positions in `contract`."""
        place = account_part(venue)
        return cls(
            margin=Account(f"Assets:{place}:Margin", USDC),
            position=Account(f"Assets:{place}:Position", contract),
            quote=Account(f"Assets:{place}:Quote", USDC),
            trading_contracts=Account(f"Equity:{place}:Trading", contract),
            trading_usdc=Account(f"Equity:{place}:Trading", USDC),
            funding=Account(f"Income:{place}:Funding", USDC),
            taker_fee=Account(f"Expenses:{place}:TakerFee", USDC),
            penalty=Account(f"Expenses:{place}:LiquidationPenalty", USDC),
            bad_debt=Account(f"Income:{place}:BadDebt", USDC),
        )

    def all(self) -> tuple[Account, ...]:
        """Every account, in the order of the chart."""
        return tuple(getattr(self, each.name) for each in fields(type(self)))


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
        """Funding is paid on the position as it stands, into margin; the mark is the row's close."""
        accounts, terms = self.accounts, self.terms
        position = book.balance(accounts.position)
        money = book.balance(accounts.margin) + book.balance(accounts.quote)
        if not position and not money:
            return None
        size = self.contract.units(position)
        index = funding_index(market, terms.funding_rate, terms.funding_price)
        path = received_path(book, accounts.position, index, market, -size * USDC.scale, start, stop)
        rows = slice(start, stop)
        money_usd = (money + (path[1:] - path[0])) / USDC.scale
        close = market["close"][rows]
        adverse = market["low" if position > 0 else "high"][rows]
        margin_at = terms.maintenance_margin * abs(size) * adverse
        count = stop - start
        return Projection(
            accruals=(
                Accrual(
                    event=FundingSettled,
                    venue=terms.name,
                    stream=Stream(accounts.margin, accounts.funding, "funding"),
                    asset=self.contract.code,
                    amounts=steps(path),
                    rate=market[terms.funding_rate][rows],
                    price=market[terms.funding_price][rows],
                    size=np.full(count, position),
                    rate_column=terms.funding_rate,
                ),
            )
            if position
            else (),
            size=np.full(count, size),
            equity_usd=money_usd + size * close,
            notional_usd=abs(size) * close,
            liquidated=money_usd + size * adverse <= margin_at if position else np.zeros(count, dtype=bool),
        )

    def leg(self, book: Book, price: float) -> Leg:
        """Margin and quote, and the base at `price`."""
        size = self.contract.units(book.balance(self.accounts.position))
        money = book.balance(self.accounts.margin) + book.balance(self.accounts.quote)
        return Leg(size, money / USDC.scale + size * price, abs(size) * price)

    def execute(self, order: Open | Close, draft: Draft, moment: Moment) -> OrderFilled:
        """Trade at the row's price and pay the taker fee out of margin."""
        if isinstance(order, Close):
            return self._close(draft, moment)
        return self._open(order, draft, moment)

    def liquidate(self, draft: Draft, moment: Moment, market: Market) -> Liquidated:
        """Take the penalty; close at the row's price where the venue does that itself."""
        accounts, terms = self.accounts, self.terms
        position = draft.balance(accounts.position)
        notional = self._worth(abs(position), moment.price)
        if terms.liquidation_closes:
            self.pay(draft, accounts.taker_fee, self._fee(notional / USDC.scale), moment, "taker_fee")
        equity = self._equity(draft, moment.price)
        penalty = terms.liquidation_penalty.amount(equity, notional)
        self.pay(draft, accounts.penalty, penalty, moment, "liquidation_penalty")
        bad_debt = max(0, -equity) if terms.forgive_negative_equity else 0
        draft.transfer(accounts.margin, accounts.bad_debt, bad_debt, "bad_debt")
        if terms.liquidation_closes:
            self._trade(draft, -position, moment.price)
            self._to_wallet(draft)
        return Liquidated(
            event=moment.event,
            at_ns=moment.at_ns,
            venue=terms.name,
            cause=moment.cause,
            side=Side.LONG if position > 0 else Side.SHORT,
            trigger_price=float(market["low" if position > 0 else "high"][moment.row]),
            price=moment.price,
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
            profit = draft.balance(accounts.quote) + self._worth(draft.balance(accounts.position), moment.price)
            if profit > 0:
                draft.transfer(accounts.margin, accounts.quote, profit, "realised_profit")
        draft.transfer(target, accounts.margin, amount, kind)

    def _open(self, order: Open, draft: Draft, moment: Moment) -> OrderFilled:
        atoms = self.contract.nearest(order.size)
        if atoms <= 0:
            raise OrderRefused(refusal(self.terms.name, moment, order, "expected a size above 0"))
        signed = atoms if order.side is Side.LONG else -atoms
        self.receive(draft, CASH, USDC.nearest(order.funds_usd), moment, "deposit")
        notional = self._trade(draft, signed, moment.price)
        quoted_usd = order.quoted_notional_usd
        fee = self._fee(USDC.units(notional) if quoted_usd is None else quoted_usd)
        self.pay(draft, self.accounts.taker_fee, fee, moment, "taker_fee")
        return self._filled("open", moment, signed, notional, fee)

    def _close(self, draft: Draft, moment: Moment) -> OrderFilled:
        position = draft.balance(self.accounts.position)
        notional = self._trade(draft, -position, moment.price)
        fee = self._fee(USDC.units(notional))
        draft.transfer(self.accounts.taker_fee, self.accounts.margin, fee, "taker_fee")
        self._to_wallet(draft)
        return self._filled("close", moment, -position, notional, fee)

    def _filled(self, order: str, moment: Moment, size: int, notional: int, fee: int) -> OrderFilled:
        return OrderFilled(
            event=moment.event,
            at_ns=moment.at_ns,
            venue=self.terms.name,
            cause=moment.cause,
            order=order,
            price=moment.price,
            size=size,
            amount=notional,
            fee=fee,
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

    def _equity(self, draft: Draft, price: float) -> int:
        money = draft.balance(self.accounts.margin) + draft.balance(self.accounts.quote)
        return money + self._worth(draft.balance(self.accounts.position), price)

    def _worth(self, contracts: int, price: float) -> int:
        return USDC.nearest(self.contract.units(contracts) * price)

    def _fee(self, notional_usd: float) -> int:
        return USDC.nearest(notional_usd * self.terms.taker_fee_bps / 10_000)
