"""Linear perpetual positions in the books: what the perpetual venues have in common, as functions of a venue.

A position is its contracts and the quote that is due or owed for them: what it has cost. Unrealised profit is what the
two are worth together, less what was drawn of it: paying out more than the margin holds first turns unrealised profit
into margin, as the venues' own settlement does, and leaves the cost of the position as it was.
"""

from collections.abc import Callable, Iterator
from typing import Any

from framework.accrual import Accrual
from framework.books import Books
from framework.events import FundingSettled, Side
from framework.formulas import per_coin, ratio
from framework.market import Role
from framework.money import USDC, Account
from framework.orders import Close, Open, Resize, check_open, positive
from framework.venue import CASH

Traded = Any
"""A venue with the accounts and rules that are used here: `margin`, `position`, `quote`, `taker_fee_bps` and so on."""
Owing = Callable[[Books], None] | None
"""What pays for that of which margin is short, once no position is left."""


@per_coin
def size(position: Any) -> Any:  # noqa: ANN401  (a formula: floats, arrays or fractions)
    """Coins, above 0 long."""
    return position


@per_coin
def notional(worth: Any) -> Any:  # noqa: ANN401
    """What a position is worth, whichever way it looks."""
    return abs(worth)


@per_coin
def entry_price(quote: Any, position: Any) -> Any:  # noqa: ANN401
    """What a position has cost for each coin."""
    return ratio(quote, -position)


def funding_of(venue: Traded, paid_into: Account) -> Iterator[Accrual]:
    """The funding of each coin, which a short receives where the rate is above 0."""
    for coin in venue.coins:
        yield Accrual(
            debit=paid_into, credit=venue.funding[coin], kind="funding", event=FundingSettled, on=venue.position[coin],
            basis="payment", share=-1.0, rate=funding_columns(venue, coin), price=funding_prices(venue, coin),
        )  # fmt: skip


def open_position(venue: Traded, order: Open, book: Books) -> None:
    """Pay in the funds, trade at the row's price, and pay the fee out of margin."""
    check_open(book, order)
    coin = coin_of(venue, order)
    contracts = positive(book, order, "size", venue.position[coin].asset)
    venue.receive(book, CASH, USDC.nearest(order.funds_usd), "deposit")
    notional = trade(venue, coin, contracts if order.side is Side.LONG else -contracts, book)
    quoted_usd = order.quoted_notional_usd
    charged_usd = USDC.units(notional) if quoted_usd is None else quoted_usd
    venue.pay(book, venue.fees, taker_fee(venue, charged_usd, book), "taker_fee")
    book.fill(charged=USDC.nearest(charged_usd))


def close_position(venue: Traded, order: Close, book: Books, *, owing: Owing = None) -> None:
    """Trade the whole position back, and return what it made and the margin to the wallet."""
    coin = coin_of(venue, order)
    notional = trade(venue, coin, -book[venue.position[coin]], book)
    book.transfer(venue.fees, venue.margin, taker_fee(venue, USDC.units(notional), book), "taker_fee")
    settle(venue, coin, book, owing)


def resize_position(venue: Traded, order: Resize, book: Books) -> None:
    """Trade the difference, and pay the fee out of margin."""
    coin = coin_of(venue, order)
    account = venue.position[coin]
    contracts, held = positive(book, order, "size", account.asset), book[account]
    if not held:
        book.refuse("it holds no position; expected Open before Resize")
    notional = trade(venue, coin, (contracts if held > 0 else -contracts) - held, book)
    venue.pay(book, venue.fees, taker_fee(venue, USDC.units(notional), book), "taker_fee")


def liquidate_at_a_penalty(venue: Traded, book: Books, owing: Owing = None) -> None:
    """The study's liquidation: take the penalty; close every position where the venue does that itself."""
    notional = 0
    for coin in venue.coins:
        worth = abs(book.worth(venue.position[coin], book.price(coin)))
        notional += worth
        if venue.liquidation_closes:
            venue.pay(book, venue.fees, taker_fee(venue, USDC.units(worth), book), "taker_fee")
    equity = USDC.nearest(book.leg(venue.name).equity_usd)
    penalty = venue.liquidation_penalty.amount(equity, notional)
    venue.pay(book, venue.penalties, penalty, "liquidation_penalty")
    if venue.forgive_negative_equity:
        book.transfer(venue.margin, venue.bad_debt, max(0, -equity), "bad_debt")
    if venue.liquidation_closes:
        for coin in venue.coins:
            trade(venue, coin, -book[venue.position[coin]], book)
        for coin in venue.coins:
            settle(venue, coin, book, owing)


def pay_in(venue: Traded, book: Books, source: Account, amount: int, kind: str) -> None:
    """Pay into margin."""
    book.transfer(venue.margin, source, amount, kind)


def pay_out(venue: Traded, book: Books, target: Account, amount: int, kind: str) -> None:
    """Pay out of margin; where that is too little, unrealised profit becomes margin first."""
    if amount > book[venue.margin]:
        for coin in venue.coins:
            profit = unrealised(venue, coin, book)
            book.transfer(venue.margin, venue.drawn[coin], max(0, profit), "realised_profit")
    book.transfer(target, venue.margin, amount, kind)


def unrealised(venue: Traded, coin: str, book: Books, role: Role = "price") -> int:
    """What a position has made, and was not drawn of it yet, atomic units of USDC."""
    return book.worth(venue.position[coin], book.price(coin, role)) + book[venue.quote[coin]] + book[venue.drawn[coin]]


def trade(venue: Traded, coin: str, contracts: int, book: Books, role: Role = "price") -> int:
    """Move contracts into the position, above 0, or out of it, and their notional the other way; returns |notional|."""
    notional = USDC.nearest(abs(contracts) / venue.position[coin].asset.scale * book.price(coin, role))
    book.transfer(venue.position[coin], venue.traded[coin], contracts, "trade")
    book.transfer(venue.quote[coin], venue.traded_usdc, -notional if contracts > 0 else notional, "trade")
    return notional


def settle(venue: Traded, coin: str, book: Books, owing: Owing = None) -> None:
    """Turn what a closed position made into margin; once all are closed, margin above zero returns to the wallet.

    `owing` is asked first to pay what margin is short of.
    """
    realise(venue, coin, book)
    if any(book[each] for each in venue.position.values()):
        return
    if owing is not None:
        owing(book)
    book.transfer(CASH, venue.margin, max(0, book[venue.margin]), "withdrawal")


def realise(venue: Traded, coin: str, book: Books) -> None:
    """Turn what a closed position made into margin."""
    book.transfer(venue.quote[coin], venue.drawn[coin], book[venue.drawn[coin]], "drawn_profit")
    made = book[venue.quote[coin]]
    book.transfer(venue.margin, venue.quote[coin], made, "realised_profit" if made > 0 else "realised_loss")


def by_worth(venue: Traded, book: Books) -> list[str]:
    """The coins in which there is a position, the largest first."""
    worth = {coin: abs(book.worth(each, book.price(coin))) for coin, each in venue.position.items() if book[each]}
    return sorted(worth, key=lambda coin: -worth[coin])


def deleverage(venue: Traded, share: float, book: Books, role: Role) -> None:
    """Auto-deleveraging: close a share of each position with a profit at the mark or the oracle's price, at no fee."""
    for coin in by_worth(venue, book):
        held = book[venue.position[coin]]
        if book.worth(venue.position[coin], book.price(coin, role)) + book[venue.quote[coin]] <= 0:
            continue
        trade(venue, coin, -round(held * share), book, role)
        if not book[venue.position[coin]]:
            realise(venue, coin, book)


def check_initial_margin(venue: Traded, book: Books, rule: str) -> None:
    """Reject an order that adds to a position for which the account has too little initial margin by a rule."""
    if not any(book[each] * book.moved(each) > 0 for each in venue.position.values()):
        return
    held, needed = (book.value(venue.name, each) for each in ("initial_collateral", "initial"))
    if held < needed:
        book.reject(
            f"{venue.name} would have {held:.6f} USD for an initial margin of {needed:.6f} USD ({rule}); "
            "expected a smaller position, or more margin",
            book.standings[venue.name].rules_behind("initial"),
        )


def taker_bps(venue: Traded, book: Books) -> float:
    """The taker fee of a venue that has the same for all accounts, basis points."""
    bps: float = book.rule(venue.taker_fee_bps)
    return bps


def taker_fee(venue: Traded, notional_usd: float, book: Books) -> int:
    """The fee on a traded notional, atomic units."""
    return book.fee(notional_usd, venue.taker_bps(book))


def coin_of(venue: Traded, order: Open | Close | Resize) -> str:
    """The coin that an order is about."""
    return order.coin or str(venue.coins[0])


def funding_columns(venue: Traded, coin: str) -> tuple[str, ...]:
    """The columns of a coin's funding rate: its own and, where the venue has no other coin, that of `funding_rate`."""
    own = f"{venue.name}.{coin}.funding"
    return (own, venue.funding_rate) if len(venue.coins) == 1 else (own,)


def funding_prices(venue: Traded, coin: str) -> tuple[str, ...]:
    """The columns of the price that funding is paid on; of several coins none is paid on an oracle of no coin."""
    own, plain = f"{coin}.{venue.funding_price}", venue.funding_price
    if plain == "oracle":
        own_oracle = f"{venue.name}.{own}"
        return (own_oracle, own, plain) if len(venue.coins) == 1 else (own_oracle, own)
    return own, f"{coin.lower()}_{plain}", plain
