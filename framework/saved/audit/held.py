"""A venue's position row by row, what stands against it and what was paid for it, from accounts by their names."""

from collections.abc import Callable, Mapping

import numpy as np
from attrs import frozen

from framework.accounts import Account
from framework.market import Floats, Ints
from framework.saved.audit.history import History
from framework.units import USDC, Asset, perpetual
from framework.venue import Venue, account_part

Balances = Callable[[Account | None], Ints]
"""The balance of an account in each row, atomic units, at the moment of the row that is asked about."""

Prices = Mapping[Asset, Floats]
"""USD per unit of an asset in each row, shape (rows,)."""


@frozen(eq=False)
class Held:
    """Arrays of shape (rows,): `size` in coins, `money_usd` owned beside it or owed (< 0), `cost` of a coin in USD."""

    asset: Asset
    """What is held: the coin, or contracts on it."""
    size: Floats
    money_usd: Floats
    cost: Floats
    """What was paid for a coin on average; not a number in rows without a position."""


def at_cost(venue: Venue) -> bool:
    """Whether a venue values its position at what was paid for it."""
    return getattr(venue, "valuation", "market") == "cost"


def held(venue: Venue, history: History, balances: Balances) -> Held | None:
    """The position at a venue; None for one that keeps neither contracts nor a coin against a loan."""
    place, coin = account_part(venue.name), str(getattr(venue, "coin", ""))

    def units(name: str, asset: str) -> Floats:
        account = history.account(name.replace("*", place), asset)
        return balances(account) / (account.asset.scale if account else 1)

    contracts = history.account(f"Assets:{place}:Position", perpetual(coin).code)
    coins = history.account(f"Assets:{place}:Collateral", coin)
    if contracts:
        size, quote = units("Assets:*:Position", contracts.asset.code), units("Assets:*:Quote", "USDC")
        money, cost = units("Assets:*:Margin", "USDC") + quote, -quote / np.where(size == 0, np.nan, size)
        return Held(contracts.asset, size, money, cost)
    if coins and history.account(f"Liabilities:{place}:Loan", "USDC"):
        money = units("Liabilities:*:Loan", "USDC") + units("Assets:*:Deposit", "USDC")
        bought = -units("Equity:*:Trading", coin)
        cost = units("Equity:*:Trading", "USDC") / np.where(bought == 0, np.nan, bought)
        return Held(coins.asset, units("Assets:*:Collateral", coin), money, cost)
    return None


def market_prices(history: History) -> Prices:
    """The prices at which rows close."""
    market = history.market
    prices = {each: market[market.price_column(each)] for each in history.folder.assets if each != USDC}
    return {USDC: np.ones(len(market)), **prices}


def prices_at(venue: Venue, history: History, balances: Balances) -> Prices:
    """The prices at which a venue values: those of the market, but at cost what was paid for the position."""
    prices = market_prices(history)
    position = held(venue, history, balances) if at_cost(venue) else None
    if position is None:
        return prices
    return {**prices, position.asset: np.where(position.size == 0, prices[position.asset], position.cost)}
