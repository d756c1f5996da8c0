"""What a strategy may see: the present row, the past, positions and cash; nothing of the future, no way to post."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from attrs import field, frozen

from framework.events import OrderFilled
from framework.market import Floats
from framework.orders import Open, Trade
from framework.venue import Leg


class View(Protocol):
    """The state of a run at one instant, read only. After an order was yielded the view shows its effect."""

    @property
    def at_ns(self) -> int:
        """The instant, nanoseconds since 1970 in UTC."""

    @property
    def price(self) -> float:
        """The row's close in USD: the price at which orders are executed."""

    def price_of(self, token: str) -> float:
        """The price of a token by its code, such as JITOSOL, in USD; raises `ScenarioError` for an unknown one."""

    @property
    def cash_usd(self) -> float:
        """Money in the wallet."""

    @property
    def equity_usd(self) -> float:
        """Everything owned less everything owed at the row's close: wallet, transit and all venues."""

    def leg(self, venue: str) -> Leg:
        """The position at a venue."""

    def quote(self, order: Trade) -> OrderFilled:
        """What an order would do now, with its fee, without doing it; raises `OrderRefused`."""

    def history(self, column: str, rows: int) -> Floats:
        """The last `rows` values of a market column up to the present row; shorter at first, empty as that opens."""

    def years(self, rows: int) -> Floats:
        """How long the last `rows` rows up to the present one are, in years of 365 days: one for each of `history`.

        What a yearly rate earns in a row is rate x this.
        """

    def sizes(self, venue: str, rows: int) -> Floats:
        """The position in coins with which each of the last `rows` rows up to the present one began; shorter at first.

        So an element belongs to the same row as that of `history` does. The first row has one only where a run starts
        before it: as it opens, or with the look-ahead.
        """


@frozen(kw_only=True)
class StillView:
    """A view made of plain values, to test a strategy with one event and no engine."""

    at_ns: int = 0
    price: float
    row_years: float = 1 / 365
    cash_usd: float = 0.0
    legs: Mapping[str, Leg] = field(factory=dict)
    quotes: Callable[[Trade], OrderFilled] | None = None
    columns: Mapping[str, Floats] = field(factory=dict)
    past_sizes: Mapping[str, Floats] = field(factory=dict)
    prices: Mapping[str, float] = field(factory=dict)
    """Prices of tokens by their code; those that are not given have the coin's."""

    @property
    def equity_usd(self) -> float:
        """Wallet and legs."""
        return self.cash_usd + sum(leg.equity_usd for leg in self.legs.values())

    def price_of(self, token: str) -> float:
        """A price that was given, else the coin's."""
        return self.prices.get(token, self.price)

    def leg(self, venue: str) -> Leg:
        """The position at a venue; none where none was given."""
        return self.legs.get(venue, Leg())

    def quote(self, order: Trade) -> OrderFilled:
        """What `quotes` says; without it, a fill at the price for no fee."""
        if self.quotes:
            return self.quotes(order)
        name = "open" if isinstance(order, Open) else "close"
        return OrderFilled(event=0, at_ns=self.at_ns, venue=order.venue, order=name, price=self.price)

    def history(self, column: str, rows: int) -> Floats:
        """The last values of a column that was given."""
        return _last(self.columns[column], rows)

    def years(self, rows: int) -> Floats:
        """Rows as long as the present one, as many as are asked for."""
        return np.full(rows, self.row_years)

    def sizes(self, venue: str, rows: int) -> Floats:
        """The last of the sizes that were given."""
        return _last(self.past_sizes[venue], rows)


def _last(values: Floats, rows: int) -> Floats:
    """The last values, none for no rows."""
    return values[max(0, len(values) - rows) :]
