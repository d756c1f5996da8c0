"""Spot: a venue where coins are bought and sold for USDC of the wallet, and held without income or loan."""

from attrs import field, frozen

from framework.books import Books
from framework.formulas import formula, per_coin
from framework.money import USDC, token
from framework.orders import Close, Swap, check_swap, positive
from framework.venue import CASH, Bridge, Dated, Venue, account, basis_points


@frozen(kw_only=True)
class Spot(Venue):
    """Coins for USDC at the row's price, to nine decimals of a coin. There is no loan, so nothing is liquidated.

    The fee is `swap_fee_bps` basis points of what is sold, paid in USDC: a purchase for 1,000 USDC at 10 bps buys coins
    for 999, and a sale of coins for 1,000 USDC brings 999.
    """

    name: str = "spot"
    coin: str | tuple[str, ...] = "SOL"
    swap_fee_bps: float | Dated = field(validator=basis_points)
    bridge: Bridge = field(factory=Bridge)

    held = account("Assets:{venue}:Coins", token, per_coin=True, floor=True, position=True)
    traded = account("Equity:{venue}:Trading", token, per_coin=True, bucket="execution")
    traded_usdc = account("Equity:{venue}:Trading", USDC, bucket="execution")
    swap_fee = account("Expenses:{venue}:SwapFee", USDC)

    @per_coin
    def size(held):
        return held

    @per_coin
    def notional(held, mark):
        return held * mark

    @formula
    def equity(notional):
        return notional

    def swap(self, order: Swap, book: Books) -> None:
        """Buy a coin for USDC, or sell one."""
        check_swap(book, order, (USDC.code, *self.coins))
        if order.sell == USDC.code:
            self._buy(order.buy, positive(book, order, "amount", USDC), book)
        elif order.buy == USDC.code:
            self._sell(order.sell, positive(book, order, "amount", self.held[order.sell].asset), book)
        else:
            book.refuse(f"it trades against USDC alone; expected a swap of {order.sell} for USDC")

    def close(self, order: Close, book: Books) -> None:
        """Sell everything."""
        coin = order.coin or self.coins[0]
        self._sell(coin, book[self.held[coin]], book)

    def _buy(self, coin: str, spent: int, book: Books) -> None:
        """Buy coins for `spent` of USDC, fee included."""
        fee, asset = book.fee(USDC.units(spent), book.rule(self.swap_fee_bps)), self.held[coin].asset
        book.transfer(self.swap_fee, CASH, fee, "swap_fee")
        book.transfer(self.traded_usdc, CASH, spent - fee, "trade")
        bought = asset.nearest(USDC.units(spent - fee) / book.price(coin))
        book.transfer(self.held[coin], self.traded[coin], bought, "trade")
        book.fill(charged=spent, price=book.price(coin))

    def _sell(self, coin: str, coins: int, book: Books) -> None:
        """Sell `coins` for USDC, less the fee."""
        worth = self.held[coin].asset.worth(coins, book.price(coin))
        fee = book.fee(USDC.units(worth), book.rule(self.swap_fee_bps))
        book.transfer(self.traded[coin], self.held[coin], coins, "trade")
        book.transfer(CASH, self.traded_usdc, worth - fee, "trade")
        book.transfer(self.swap_fee, self.traded_usdc, fee, "swap_fee")
        book.fill(charged=worth, price=book.price(coin))
