"""Linear perpetual positions in the books: the accounts, formulas and orders that perpetual venues have in common.

A position is an amount of contracts and their quote, which is minus their cost. Unrealised profit is the worth of both
together, less what has been drawn of it. Paying out more than the margin holds first draws unrealised profit into
margin, as the venues' own settlement does; the cost of the position stays the same.
"""

from collections.abc import Callable, Iterator
from typing import Any

from framework.accrual import Accrual
from framework.books import Books
from framework.events import FundingSettled, Side
from framework.formulas import per_coin, ratio
from framework.market import Role
from framework.money import USDC, Account, perpetual
from framework.orders import Close, Open, Resize, check_open, positive
from framework.venue import CASH, account

margin = account("Assets:{venue}:Margin", USDC)
"""USDC of the account, below 0 where it is owed."""
position = account("Assets:{venue}:Position", perpetual, per_coin=True, position=True)
"""Contracts, > 0 long and < 0 short."""
quote = account("Assets:{venue}:Quote", USDC, per_coin=True)
"""What was received for the contracts, less what was paid for them."""
drawn = account("Assets:{venue}:Drawn", USDC, per_coin=True)
"""Unrealised profit that has become margin, below 0."""
traded = account("Equity:{venue}:Trading", perpetual, per_coin=True, bucket="execution")
traded_usdc = account("Equity:{venue}:Trading", USDC, bucket="execution")
funding = account("Income:{venue}:Funding", USDC, per_coin=True, bucket="funding")
fees = account("Expenses:{venue}:TakerFee", USDC)
penalties = account("Expenses:{venue}:LiquidationPenalty", USDC, bucket="liquidation_penalty")
bad_debt = account("Income:{venue}:BadDebt", USDC, bucket="bad_debt")

Traded = Any
"""A venue with these accounts, and the rules used here: `taker_bps`, `funding_rate` and so on."""
Owing = Callable[[Books], None] | None
"""Pays a negative margin once no position is left."""


@per_coin
def size(position: Any) -> Any:  # noqa: ANN401  (a formula: floats, arrays or fractions)
    """Coins, > 0 long and < 0 short."""
    return position


@per_coin
def notional(worth: Any) -> Any:  # noqa: ANN401
    """The absolute worth of a position, USD."""
    return abs(worth)


@per_coin
def entry_price(quote: Any, position: Any) -> Any:  # noqa: ANN401
    """Average cost of a position per coin, USD."""
    return ratio(quote, -position)


def funding_of(venue: Traded, paid_into: Account) -> Iterator[Accrual]:
    """The funding of each coin; shorts receive a rate above 0."""
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
    """Close the position at the row's price; once no position is left, the margin returns to the wallet."""
    coin = coin_of(venue, order)
    notional = trade(venue, coin, -book[venue.position[coin]], book)
    book.transfer(venue.fees, venue.margin, taker_fee(venue, USDC.units(notional), book), "taker_fee")
    settle(venue, coin, book, owing)


def resize_position(venue: Traded, order: Resize, book: Books) -> None:
    """Trade the difference at the row's price, and pay the fee out of margin."""
    coin = coin_of(venue, order)
    account = venue.position[coin]
    contracts, held = positive(book, order, "size", account.asset), book[account]
    if not held:
        book.refuse("it holds no position; expected Open before Resize")
    notional = trade(venue, coin, (contracts if held > 0 else -contracts) - held, book)
    venue.pay(book, venue.fees, taker_fee(venue, USDC.units(notional), book), "taker_fee")


def liquidate_at_a_penalty(venue: Traded, book: Books, owing: Owing = None) -> None:
    """The study's liquidation: take the penalty, and close all positions if the venue does that."""
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
    """Unrealised profit of a position that has not been drawn yet, atomic units of USDC."""
    return book.worth(venue.position[coin], book.price(coin, role)) + book[venue.quote[coin]] + book[venue.drawn[coin]]


def trade(venue: Traded, coin: str, contracts: int, book: Books, role: Role = "price") -> int:
    """Buy contracts, or sell them if below 0, at the price of a role; returns the absolute notional, atomic units."""
    notional: int = venue.position[coin].asset.worth(abs(contracts), book.price(coin, role))
    book.transfer(venue.position[coin], venue.traded[coin], contracts, "trade")
    book.transfer(venue.quote[coin], venue.traded_usdc, -notional if contracts > 0 else notional, "trade")
    return notional


def settle(venue: Traded, coin: str, book: Books, owing: Owing = None) -> None:
    """Realise a closed position. Once all are closed, `owing` pays a negative margin; the rest goes to the wallet."""
    realise(venue, coin, book)
    if any(book[each] for each in venue.position.values()):
        return
    if owing is not None:
        owing(book)
    book.transfer(CASH, venue.margin, max(0, book[venue.margin]), "withdrawal")


def realise(venue: Traded, coin: str, book: Books) -> None:
    """Turn the profit or loss of a closed position into margin."""
    book.transfer(venue.quote[coin], venue.drawn[coin], book[venue.drawn[coin]], "drawn_profit")
    made = book[venue.quote[coin]]
    book.transfer(venue.margin, venue.quote[coin], made, "realised_profit" if made > 0 else "realised_loss")


def by_worth(venue: Traded, book: Books) -> list[str]:
    """The coins with a position, the largest first."""
    worth = {coin: abs(book.worth(each, book.price(coin))) for coin, each in venue.position.items() if book[each]}
    return sorted(worth, key=lambda coin: -worth[coin])


def deleverage(venue: Traded, share: float, book: Books, role: Role) -> None:
    """Auto-deleveraging: close a share of each profitable position at the mark or the oracle's price, without a fee."""
    for coin in by_worth(venue, book):
        held = book[venue.position[coin]]
        if book.worth(venue.position[coin], book.price(coin, role)) + book[venue.quote[coin]] <= 0:
            continue
        trade(venue, coin, -round(held * share), book, role)
        if not book[venue.position[coin]]:
            realise(venue, coin, book)


def check_initial_margin(venue: Traded, book: Books, rule: str) -> None:
    """Reject an order that adds to a position and leaves too little initial margin; `rule` names what asks for it."""
    if not any(_grows(each, book) for each in venue.position.values()):
        return
    held, needed = (book.value(venue.name, each) for each in ("initial_collateral", "initial"))
    if held < needed:
        book.reject(
            f"{venue.name} would have {held:.6f} USD for an initial margin of {needed:.6f} USD ({rule}); "
            "expected a smaller position, or more margin",
            book.standings[venue.name].rules_behind("initial"),
        )


def _grows(position: Account, book: Books) -> bool:
    """Whether what is being written adds to a position, which it does not where it only turns it."""
    held, moved = book[position], book.moved(position)
    return moved > 0 if held > 0 else moved < 0 and held < 0


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
    """The columns of a coin's funding rate: its own and, if it is the venue's only coin, that of `funding_rate`."""
    own = f"{venue.name}.{coin}.funding"
    return (own, venue.funding_rate) if len(venue.coins) == 1 else (own,)


def funding_prices(venue: Traded, coin: str) -> tuple[str, ...]:
    """The columns of the price that funding is paid on; with several coins each needs its own oracle."""
    own, plain = f"{coin}.{venue.funding_price}", venue.funding_price
    if plain == "oracle":
        own_oracle = f"{venue.name}.{own}"
        return (own_oracle, own, plain) if len(venue.coins) == 1 else (own_oracle, own)
    return own, f"{coin.lower()}_{plain}", plain
