"""A linear perpetual position in the books: base units and quote owed, margin beside them; what perp venues share.

No average price is kept: unrealised profit is what base and quote are worth at the mark. Paying out more than the
margin account holds first turns unrealised profit into margin, as the venues' own settlement does.
"""

from typing import Any

import numpy as np
from attrs import field, frozen, validators

from framework.accounts import Account, Book, Draft, Stream
from framework.accrual import Accrual, funding_index, received_path, total_index
from framework.events import FundingSettled, Liquidated, OrderFilled, Side
from framework.market import Floats, Ints, Mark
from framework.orders import Close, Open, Resize, Trade
from framework.units import USDC, Asset, perpetual
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
    positive,
    refusal,
    unknown_order,
)
from venues.charts import PerpetualAccounts, accounts_of


@frozen(kw_only=True)
class Perpetual(Venue):
    """One account with one perpetual position. Rates are fractions; the fee is basis points of the traded notional.

    `funding_rate` and `funding_price` name the market columns of the rate and of the price that it is paid on.
    With `liquidation_distance` a position is liquidated that share of its entry price away, whatever its equity.
    """

    name: str
    coin: str = "SOL"
    taker_fee_bps: float = field(validator=basis_points)
    maintenance_margin: float = field(validator=fraction)
    liquidation_penalty: Penalty
    liquidation_closes: bool = True
    forgive_negative_equity: bool = False
    funding_rate: str
    funding_price: str = field(default="close", validator=validators.in_(("open", "close", "oracle")))
    valuation: Valuation = "market"
    fee_timing: FeeTiming = "each_trade"
    liquidation_distance: float | None = None
    bridge: Bridge = field(factory=Bridge)
    contract: Asset = field(init=False, repr=False, eq=False)
    _chart: PerpetualAccounts = field(init=False, repr=False, eq=False)
    _held: tuple[Account, ...] = field(init=False, repr=False, eq=False)  # one is not empty while anything is held

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "contract", perpetual(self.coin))
        object.__setattr__(self, "_chart", PerpetualAccounts.of(self.name, self.contract))
        object.__setattr__(self, "_held", (self._chart.position, self._chart.margin, self._chart.quote))

    def accounts(self) -> tuple[Account, ...]:
        return accounts_of(self._chart)

    def columns(self) -> tuple[str, ...]:
        return ("close", "high", "low", self.funding_rate, self.funding_price)

    def project(self, book: Book, stretch: Stretch) -> Projection | None:
        """Funding is received on the position as it stands; it is marked at the row's close, or at cost."""
        if not any(map(book.balance, self._held)):
            return None
        position = book.balance(self._chart.position)
        size, cost = self.contract.units(position), self._cost(book)
        close = stretch.column("close")
        mark = np.full(len(stretch), cost) if self.valuation == "cost" and position else close
        adverse = stretch.column("low" if position > 0 else "high")
        path = self._funding_path(book, stretch)
        received = path[1:] - path[0]
        token_price = self._token_prices(stretch, close)
        beside_usd, counted_usd, tokens = self._beside(book, received, token_price)
        money_usd = self._beside(book, received, 0.0)[1] if tokens else counted_usd
        worth_usd = size * mark
        equity_usd, notional_usd = beside_usd + worth_usd, np.abs(worth_usd)
        margin_usd = equity_usd if counted_usd is beside_usd else counted_usd + worth_usd
        if not position:
            liquidated = np.zeros(len(stretch), dtype=bool)
        elif self.liquidation_distance is not None:
            trigger = self._liquidation_price(size, cost, money_usd, 0.0)
            liquidated = adverse <= trigger if position > 0 else adverse >= trigger
        elif self.valuation == "cost":
            liquidated = margin_usd <= self.maintenance_margin * notional_usd
        else:
            _, at_adverse_usd, _ = self._beside(book, received, self._token_prices(stretch, adverse))
            liquidated = at_adverse_usd + size * adverse <= self.maintenance_margin * abs(size) * adverse
        sizes = np.full(len(stretch), size)
        return Projection(
            accruals=(self._accrual(path, stretch, position, mark),) if position else (),
            size=sizes,
            equity_usd=equity_usd,
            notional_usd=notional_usd,
            liquidated=liquidated,
            margin_usd=margin_usd,
            delta=sizes + tokens * (token_price / close) if tokens else sizes,
            liquidation_price=lambda: self._liquidation_price(size, cost, money_usd, (counted_usd - money_usd) / close),
        )

    def leg(self, book: Book, mark: Mark) -> Leg:
        """Margin and quote, and the base at the mark or at cost."""
        position = book.balance(self._chart.position)
        size = self.contract.units(position)
        token_price = self._token_price(mark)
        equity_usd, margin_usd, tokens = self._beside(book, 0, token_price)
        delta = size + tokens * token_price / mark.price
        if not position:
            return Leg(0.0, equity_usd, margin_usd=margin_usd, tokens=tokens, delta=delta)
        cost = self._cost(book)
        price = cost if self.valuation == "cost" else mark.price
        money_usd = self._beside(book, 0, 0.0)[1] if tokens else margin_usd
        trigger = self._liquidation_price(size, cost, money_usd, (margin_usd - money_usd) / mark.price)
        return Leg(
            size=size,
            equity_usd=equity_usd + size * price,
            notional_usd=abs(size) * price,
            entry_price=cost,
            liquidation_price=float(trigger),
            margin_usd=margin_usd + size * price,
            tokens=tokens,
            delta=delta,
        )

    def execute(self, order: Trade, draft: Draft, moment: Moment) -> OrderFilled:
        """Trade at the row's price, or at cost, and pay the taker fee out of margin."""
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
        """Take the penalty; close at the row's price where the venue does that itself."""
        accounts = self._chart
        position = draft.balance(accounts.position)
        price = self._price(draft, moment)
        notional = self._worth(abs(position), price)
        fee = self._closing_fee(notional) if self.liquidation_closes else 0
        self.pay(draft, accounts.taker_fee, fee, moment, "taker_fee")
        equity = self._equity(draft, price, moment)
        penalty = self.liquidation_penalty.amount(equity, notional)
        self.pay(draft, accounts.penalty, penalty, moment, "liquidation_penalty")
        bad_debt = max(0, -equity) if self.forgive_negative_equity else 0
        draft.transfer(accounts.margin, accounts.bad_debt, bad_debt, "bad_debt")
        if self.liquidation_closes:
            self._trade(draft, -position, price)
            self._to_wallet(draft, moment)
        return Liquidated(
            event=moment.event,
            at_ns=moment.at_ns,
            venue=self.name,
            cause=moment.cause,
            side=Side.LONG if position > 0 else Side.SHORT,
            trigger_price=float(moment.mark.market["low" if position > 0 else "high"][moment.row]),
            price=price,
            size=position,
            equity=equity,
            penalty=penalty,
            bad_debt=bad_debt,
            closed=self.liquidation_closes,
            fee=fee,
        )

    def penalty_account(self) -> Account:
        return self._chart.penalty

    def receive(self, draft: Draft, source: Account, amount: int, moment: Moment, kind: str) -> None:
        """More margin."""
        draft.transfer(self._chart.margin, source, amount, kind)

    def pay(self, draft: Draft, target: Account, amount: int, moment: Moment, kind: str) -> None:
        """Out of margin; unrealised profit is turned into margin first where margin alone does not suffice."""
        accounts = self._chart
        if amount > draft.balance(accounts.margin):
            worth = self._worth(draft.balance(accounts.position), self._price(draft, moment))
            profit = draft.balance(accounts.quote) + worth
            if profit > 0:
                draft.transfer(accounts.margin, accounts.quote, profit, "realised_profit")
        draft.transfer(target, accounts.margin, amount, kind)

    def _open(self, order: Open, draft: Draft, moment: Moment) -> OrderFilled:
        check_open(self.name, order, moment)
        atoms = self.contract.nearest(order.size)
        signed = atoms if order.side is Side.LONG else -atoms
        self.receive(draft, CASH, USDC.nearest(order.funds_usd), moment, "deposit")
        price = self._price(draft, moment)
        notional = self._trade(draft, signed, price)
        quoted_usd = order.quoted_notional_usd
        charged_usd = USDC.units(notional) if quoted_usd is None else quoted_usd
        fee = self._fee(charged_usd) * (2 if self.fee_timing == "entry" else 1)
        self.pay(draft, self._chart.taker_fee, fee, moment, "taker_fee")
        charged = USDC.nearest(charged_usd)
        return filled(self.name, "open", moment, price=price, size=signed, amount=notional, fee=fee, charged=charged)

    def _close(self, order: Close, draft: Draft, moment: Moment) -> OrderFilled:
        position = draft.balance(self._chart.position)
        price = self._price(draft, moment)
        notional = self._trade(draft, -position, price)
        fee = self._closing_fee(notional)
        draft.transfer(self._chart.taker_fee, self._chart.margin, fee, "taker_fee")
        self._to_wallet(draft, moment)
        return filled(
            self.name, "close", moment, price=price, size=-position, amount=notional, fee=fee, reason=order.reason
        )

    def _resize(self, order: Resize, draft: Draft, moment: Moment) -> OrderFilled:
        position = draft.balance(self._chart.position)
        atoms = positive(self.name, moment, order, "size", self.contract)
        if not position:
            raise refusal(self.name, moment, order, "it holds no position; expected Open before Resize")
        change = (atoms if position > 0 else -atoms) - position
        price = self._price(draft, moment)
        notional = self._trade(draft, change, price)
        fee = self._closing_fee(notional)
        self.pay(draft, self._chart.taker_fee, fee, moment, "taker_fee")
        return filled(self.name, "resize", moment, price=price, size=change, amount=notional, fee=fee)

    def _beside(self, book: Book, received: Ints | int, token_price: Floats | float) -> tuple[Any, Any, float]:
        """What stands beside the position once `received` of funding has come in.

        Equity and what counts as margin in USD, both of the shape of what is given, and the tokens in whole ones.
        """
        money_usd = (book.balance(self._chart.margin) + book.balance(self._chart.quote) + received) / USDC.scale
        return money_usd, money_usd, 0.0

    def _token_prices(self, stretch: Stretch, price: Floats) -> Floats:
        """Prices of the tokens beside the position while the coin's are `price`; this account has none."""
        return price

    def _token_price(self, mark: Mark) -> float:
        """The price of such a token at a mark."""
        return mark.price

    def _liquidation_price(
        self, size: float, cost: float, money_usd: Floats | float, token_coins: Floats | float
    ) -> Floats | float:
        """The coin's price at which money, and tokens that move like so many coins, meet the maintenance margin.

        A float or by row, as what is given; not a number where there is none. At cost there is only the distance.
        """
        if self.liquidation_distance is not None:
            return cost * (1 - self.liquidation_distance if size > 0 else 1 + self.liquidation_distance)
        if self.valuation == "cost":
            return float("nan")
        slope = size + token_coins - self.maintenance_margin * abs(size)
        if isinstance(slope, float):
            return -money_usd / slope if slope * money_usd < 0 else float("nan")
        prices: Floats = np.divide(-money_usd, slope, out=np.full(len(slope), np.nan), where=slope * money_usd < 0)
        return prices

    def _funding_stream(self) -> Stream:
        """From whom and to where funding comes."""
        return self._chart.funding_to_margin

    def _funding_path(self, book: Book, stretch: Stretch) -> Ints:
        """Funding received since the position last changed, by row; at cost it is paid on what was paid for it."""
        chart, market = self._chart, stretch.market
        if self.valuation == "cost":
            index = total_index(market, self.funding_rate)
            factor = float(book.balance(chart.quote))
        else:
            index = funding_index(market, self.funding_rate, self.funding_price)
            factor = -self.contract.units(book.balance(chart.position)) * USDC.scale
        return received_path(book.principal(chart.position)[1], index, market, factor, stretch.start, stretch.stop)

    def _accrual(self, path: Ints, stretch: Stretch, position: int, mark: Floats) -> Accrual:
        return Accrual(
            event=FundingSettled,
            venue=self.name,
            stream=self._funding_stream(),
            asset=self.contract.code,
            path=path,
            rate=stretch.column(self.funding_rate),
            price=mark if self.valuation == "cost" else stretch.column(self.funding_price),
            size=np.full(len(stretch), position),
            rate_column=self.funding_rate,
            price_column="" if self.valuation == "cost" else self.funding_price,
        )

    def _trade(self, draft: Draft, signed: int, price: float) -> int:
        """Move `signed` contracts into the position and their notional out of the quote; returns |notional|."""
        accounts = self._chart
        notional = self._worth(abs(signed), price)
        if signed > 0:
            draft.transfer(accounts.position, accounts.trading_contracts, signed, "trade")
            draft.transfer(accounts.trading_usdc, accounts.quote, notional, "trade")
        elif signed < 0:
            draft.transfer(accounts.trading_contracts, accounts.position, -signed, "trade")
            draft.transfer(accounts.quote, accounts.trading_usdc, notional, "trade")
        return notional

    def _to_wallet(self, draft: Draft, moment: Moment) -> None:
        """Settle what a closed position made, and return a margin above zero; one below stays owed."""
        self._settle(draft, moment)
        draft.transfer(CASH, self._chart.margin, max(0, draft.balance(self._chart.margin)), "withdrawal")

    def _settle(self, draft: Draft, moment: Moment) -> None:
        """Turn what a closed position made into margin."""
        chart = self._chart
        made = draft.balance(chart.quote)
        if made > 0:
            draft.transfer(chart.margin, chart.quote, made, "realised_profit")
        else:
            draft.transfer(chart.quote, chart.margin, -made, "realised_loss")

    def _price(self, book: Book, moment: Moment) -> float:
        """The price at which the position is valued and traded now: a first opening is always at the row's."""
        at_cost = self.valuation == "cost" and book.balance(self._chart.position)
        return self._cost(book) if at_cost else moment.price

    def _cost(self, book: Book) -> float:
        """What was paid for a contract on average, USD; not a number without a position."""
        position = book.balance(self._chart.position)
        return USDC.units(book.balance(self._chart.quote)) / -self.contract.units(position) if position else np.nan

    def _equity(self, draft: Draft, price: float, moment: Moment) -> int:
        """What the account is worth to its holder, atomic units of USDC."""
        money = draft.balance(self._chart.margin) + draft.balance(self._chart.quote)
        return money + self._worth(draft.balance(self._chart.position), price)

    def _worth(self, contracts: int, price: float) -> int:
        return USDC.nearest(self.contract.units(contracts) * price) if contracts else 0

    def _fee(self, notional_usd: float) -> int:
        return USDC.nearest(notional_usd * self.taker_fee_bps / 10_000)

    def _closing_fee(self, notional: int) -> int:
        return 0 if self.fee_timing == "entry" else self._fee(USDC.units(notional))
