"""Spot: a venue where coins are bought and sold for the money of the wallet, and lie without earning or owing."""

import numpy as np
from attrs import field, frozen

from framework.accounts import Account, Book, Draft
from framework.events import OrderFilled
from framework.market import Mark
from framework.orders import Close, Swap, Trade
from framework.units import USDC, Asset
from framework.venue import (
    CASH,
    Bridge,
    Leg,
    Moment,
    Projection,
    Stretch,
    Venue,
    account_part,
    basis_points,
    check_swap,
    filled,
    positive,
    unknown_order,
)
from venues.charts import accounts_of


@frozen
class _Chart:
    coins: Account
    traded_coins: Account
    traded_usdc: Account
    swap_fee: Account

    @classmethod
    def of(cls, venue: str, coin: Asset) -> "_Chart":
        place = account_part(venue)
        return cls(
            coins=Account(f"Assets:{place}:Coins", coin, floor=True),
            traded_coins=Account(f"Equity:{place}:Trading", coin),
            traded_usdc=Account(f"Equity:{place}:Trading", USDC),
            swap_fee=Account(f"Expenses:{place}:SwapFee", USDC),
        )


@frozen(kw_only=True)
class Spot(Venue):
    """Coins for USDC at the row's price, to nine decimals of a coin. There is no loan, so nothing is liquidated.

    The fee is `swap_fee_bps` basis points of what is sold, paid in USDC: a purchase for 1,000 USDC at 10 bps buys coins
    for 999, and a sale of coins for 1,000 USDC brings 999.
    """

    name: str = "spot"
    coin: str = "SOL"
    swap_fee_bps: float = field(validator=basis_points)
    bridge: Bridge = field(factory=Bridge)
    _chart: _Chart = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_chart", _Chart.of(self.name, Asset(self.coin, 9)))

    def accounts(self) -> tuple[Account, ...]:
        return accounts_of(self._chart)

    def columns(self) -> tuple[str, ...]:
        return ("close",)

    def project(self, book: Book, stretch: Stretch) -> Projection | None:
        size = self._size(book)
        if not size:
            return None
        worth_usd = size * stretch.column("close")
        return Projection(
            accruals=(),
            size=np.full(len(stretch), size),
            equity_usd=worth_usd,
            notional_usd=worth_usd,
            liquidated=np.zeros(len(stretch), dtype=bool),
        )

    def leg(self, book: Book, mark: Mark) -> Leg:
        size = self._size(book)
        return Leg(size, size * mark.price, size * mark.price)

    def execute(self, order: Trade, draft: Draft, moment: Moment) -> OrderFilled:
        match order:
            case Swap():
                return self._swap(order, draft, moment)
            case Close():
                held = draft.balance(self._chart.coins)
                return self._sell(held, "close", order.reason, draft, moment)
            case _:
                raise unknown_order(self.name, order, moment, "Swap or Close")

    def _swap(self, order: Swap, draft: Draft, moment: Moment) -> OrderFilled:
        check_swap(self.name, order, moment, (USDC.code, self.coin))
        sold = USDC if order.sell == USDC.code else self._chart.coins.asset
        amount = positive(self.name, moment, order, "amount", sold)
        return self._buy(amount, draft, moment) if sold == USDC else self._sell(amount, "swap", "", draft, moment)

    def _buy(self, spent: int, draft: Draft, moment: Moment) -> OrderFilled:
        """Coins for `spent` of USDC, the fee among them."""
        chart = self._chart
        fee = self._fee(spent)
        coins = chart.coins.asset.nearest(USDC.units(spent - fee) / moment.price)
        draft.transfer(chart.swap_fee, CASH, fee, "swap_fee")
        draft.transfer(chart.traded_usdc, CASH, spent - fee, "trade")
        draft.transfer(chart.coins, chart.traded_coins, coins, "trade")
        return filled(
            self.name, "swap", moment, price=moment.price, size=coins, amount=spent - fee, fee=fee, charged=spent
        )

    def _sell(self, coins: int, order: str, reason: str, draft: Draft, moment: Moment) -> OrderFilled:
        """USDC for `coins`, less the fee."""
        chart = self._chart
        worth = USDC.nearest(chart.coins.asset.units(coins) * moment.price)
        fee = self._fee(worth)
        draft.transfer(chart.traded_coins, chart.coins, coins, "trade")
        draft.transfer(CASH, chart.traded_usdc, worth - fee, "trade")
        draft.transfer(chart.swap_fee, chart.traded_usdc, fee, "swap_fee")
        return filled(
            self.name,
            order,
            moment,
            price=moment.price,
            size=-coins,
            amount=worth - fee,
            fee=fee,
            charged=worth,
            reason=reason,
        )

    def _size(self, book: Book) -> float:
        return self._chart.coins.asset.units(book.balance(self._chart.coins))

    def _fee(self, sold: int) -> int:
        return USDC.nearest(USDC.units(sold) * self.swap_fee_bps / 10_000)
