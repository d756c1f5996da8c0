"""`Strategy`: what a user writes. It is woken by events and yields orders; it calls nothing and keeps no money.

With it stand the view of a run that a strategy gets, and the conditions that wake it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from attrs import Attribute, field, fields_dict, frozen, has
from numpy.typing import NDArray

from framework.errors import ScenarioError
from framework.events import ConditionMet, Event, MarginCalled, OrderFilled
from framework.formulas import cached_by_class, choose
from framework.market import Floats
from framework.money import USDC
from framework.orders import Order, method_of
from framework.support.grid import Grid
from framework.support.lost_orders import functions, names_in
from framework.support.mistakes import located
from framework.support.suggestions import closest, suggestion
from framework.venue import Leg, Venue, fraction, not_negative

if TYPE_CHECKING:
    from framework.books import Stretch
    from framework.run import Run


class Price(float):
    """The price of the market's coin in USD; called with the name of another coin, that coin's price."""

    _of: Callable[[str], float]

    @classmethod
    def at(cls, usd: float, of: Callable[[str], float]) -> "Price":
        """A price, with what knows those of the other coins."""
        price = cls(usd)
        price._of = of
        return price

    def __call__(self, coin: str) -> float:
        return self._of(coin)


class View(Protocol):
    """The state of a run at one instant, read only. After an order was yielded the view shows its effect."""

    @property
    def at_ns(self) -> int:
        """The instant, nanoseconds since 1970 in UTC."""

    @property
    def price(self) -> Price:
        """The row's close in USD, at which orders are executed; `view.price("BTC")` is that of another coin.

        At the start of a run with `entry = "first_open"` it is the open of the first row.
        """

    def price_of(self, token: str) -> float:
        """The price of a coin or token by its code in USD; raises `ScenarioError` for another."""

    @property
    def cash_usd(self) -> float:
        """Money in the wallet."""

    @property
    def transit_usd(self) -> float:
        """Money on its way between places: it counts for none of them until it arrives."""

    @property
    def equity_usd(self) -> float:
        """Everything owned less everything owed, at the prices of `price`: wallet, transit and all venues."""

    @property
    def outcome(self) -> Event | None:
        """What became of the last order: its fill, or a `Rejected` event; None before the first."""

    def leg(self, venue: str, coin: str | None = None) -> Leg:
        """The position at a venue; of one coin, where it holds several, or of the whole account: see `Leg`."""

    def quote(self, order: Order) -> OrderFilled:
        """What an order would do now, with its fee, without doing it; raises `OrderRefused`.

        It asks the venue alone: fees can be quoted before the money or the tokens are there, and an order that takes
        more than there is has a quote and is rejected. What moves money or tokens from place to place has none.
        """

    def rejection(self, order: Order) -> str:
        """Why an order would be rejected now, or an empty text where it would be filled; nothing is done or logged.

        Unlike `quote` it also asks whether the money is there and whether the venue allows what the order leaves.
        """

    def history(self, column: str, rows: int) -> Floats:
        """The last `rows` values of a market column up to the present row; shorter at first, empty as that opens."""

    def years(self, rows: int) -> Floats:
        """How long the last `rows` rows up to the present one are, in years of 365 days: one for each of `history`.

        What a yearly rate earns in a row is rate x this.
        """

    def sizes(self, venue: str, rows: int) -> Floats:
        """The position in coins with which each of the last `rows` rows up to the present one began; shorter at first.

        So an element belongs to the same row as that of `history` does. The first row has one only where a run starts
        before it: as it opens, or with the look-ahead. Raises `ScenarioError` for a venue of several coins, which
        cannot be added.
        """


def _price(usd: float) -> Price:
    return usd if isinstance(usd, Price) else Price(usd)


@frozen(kw_only=True)
class StillView:
    """A view made of plain values, to test a strategy with one event and no engine."""

    at_ns: int = 0
    price: Price = field(converter=_price)
    row_years: float = 1 / 365
    cash_usd: float = 0.0
    transit_usd: float = 0.0
    legs: Mapping[str, Leg] = field(factory=dict)
    quotes: Callable[[Order], OrderFilled] | None = None
    rejections: Callable[[Order], str] | None = None
    columns: Mapping[str, Floats] = field(factory=dict)
    past_sizes: Mapping[str, Floats] = field(factory=dict)
    prices: Mapping[str, float] = field(factory=dict)
    """Prices of coins and tokens by their code; those that are not given have the coin's."""
    outcome: Event | None = None

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "price", Price.at(self.price, self.price_of))

    @property
    def equity_usd(self) -> float:
        """Wallet, transit and legs."""
        held_usd = 0.0
        for leg in self.legs.values():  # `sum` adds floats otherwise from Python 3.12 on
            held_usd += leg.equity_usd
        return self.cash_usd + self.transit_usd + held_usd

    def price_of(self, token: str) -> float:
        """A price that was given, else the coin's."""
        return self.prices.get(token, float(self.price))

    def leg(self, venue: str, coin: str | None = None) -> Leg:  # noqa: ARG002  (one leg for all coins)
        """The position at a venue; none where none was given."""
        return self.legs.get(venue, Leg())

    def quote(self, order: Order) -> OrderFilled:
        """What `quotes` says; without it, a fill at the price for no fee."""
        if self.quotes:
            return self.quotes(order)
        return OrderFilled(at_ns=self.at_ns, venue=order.venue, order=method_of(type(order)), price=float(self.price))

    def rejection(self, order: Order) -> str:
        """What `rejections` says; without it, every order would be filled."""
        return self.rejections(order) if self.rejections else ""

    def history(self, column: str, rows: int) -> Floats:
        """The last values of a column that was given."""
        return _last(self.columns[column], checked_rows("history", rows))

    def years(self, rows: int) -> Floats:
        """Rows as long as the present one, as many as are asked for."""
        return np.full(checked_rows("years", rows), self.row_years)

    def sizes(self, venue: str, rows: int) -> Floats:
        """The last of the sizes that were given."""
        return _last(self.past_sizes[venue], checked_rows("sizes", rows))


def checked_rows(method: str, rows: int) -> int:
    """How many rows a method of the view is asked for; raises `ScenarioError` for less than one."""
    if rows < 1:
        raise ScenarioError(f"{method} takes 1 row or more; got {rows}")
    return rows


def _last(values: Floats, rows: int) -> Floats:
    """The last values, all of them where there are fewer."""
    return values[max(0, len(values) - rows) :]


def _number(_: object, attribute: "Attribute[Any]", value: object) -> None:
    """The validator of a condition's threshold: a scenario checks its own keys, Python checks nothing."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{attribute.name} is {value!r}; expected a number")


class Condition(Protocol):
    """What wakes a strategy: anything that can say in which rows of a stretch it holds.

    The answer for a row may depend on that row and the market before it alone, never on where the stretch begins. With
    a method `met(view)` it also says what event that is; without one it is a `ConditionMet`. A class that says
    `by_row = True` is also asked about single rows, in single numbers instead of arrays, which is quicker; one that
    says `of_venue = True` depends on nothing but the market and the position at its `venue`.
    """

    def holds(self, stretch: "Stretch") -> NDArray[np.bool_]:
        """Shape (rows,): the strategy is woken after each row that is true."""


@frozen
class EveryRow:
    """Always: the strategy is called after every row, at the price of one Python call each."""

    by_row: ClassVar[bool] = True
    of_venue: ClassVar[bool] = True

    def holds(self, stretch: "Stretch") -> NDArray[np.bool_]:
        """True everywhere."""
        return stretch.all_rows(True)


@frozen
class MarginBelow:
    """What counts as margin at a venue, at the close, is below `requirement` of the position's notional.

    A strategy that answers it leaves a `MarginCalled` event.
    """

    by_row: ClassVar[bool] = True
    of_venue: ClassVar[bool] = True
    venue: str
    requirement: float = field(validator=[_number, not_negative])

    def holds(self, stretch: "Stretch") -> NDArray[np.bool_]:
        """Never without a position."""
        projection = stretch.projections.get(self.venue)
        if projection is None:
            return stretch.all_rows(False)
        notional = projection.notional_usd
        return (self.requirement * notional > projection.margin_usd) & (notional > 0)

    def met(self, view: View) -> Event:
        """The margin call of an instant."""
        leg = view.leg(self.venue)
        return MarginCalled(
            at_ns=view.at_ns,
            venue=self.venue,
            requirement=self.requirement,
            margin=USDC.nearest(leg.margin_usd),
            required=USDC.nearest(self.requirement * leg.notional_usd),
            price=+view.price,
        )


@frozen
class DeltaBeyond:
    """A position and the tokens beside it move together by more than `share` of the position, up or down.

    `coin` names the coin of the position, where the venue has several.
    """

    by_row: ClassVar[bool] = True
    of_venue: ClassVar[bool] = True
    venue: str
    share: float = field(validator=[_number, not_negative])
    coin: str = field(default="", repr=False)

    def holds(self, stretch: "Stretch") -> NDArray[np.bool_]:
        """Never without a position."""
        position = stretch.position(self.venue, self.coin)
        if position is None:
            return stretch.all_rows(False)
        size = abs(position.size)
        return (abs(position.delta) > self.share * size) & (size > 0)

    def __str__(self) -> str:
        of = f", coin={self.coin!r}" if self.coin else ""
        return f"{type(self).__name__}(venue={self.venue!r}, share={self.share!r}{of})"


@frozen
class LeverageAbove:
    """The effective leverage of a position, notional over equity at the close, is above `limit`."""

    by_row: ClassVar[bool] = True
    of_venue: ClassVar[bool] = True
    venue: str
    limit: float = field(validator=[_number, not_negative])

    def holds(self, stretch: "Stretch") -> NDArray[np.bool_]:
        """Also true where notional is left and equity is not."""
        projection = stretch.projections.get(self.venue)
        if projection is None:
            return stretch.all_rows(False)
        notional = projection.notional_usd
        return (notional > self.limit * projection.equity_usd) & (notional > 0)


@frozen
class NoPosition:
    """Nothing is held at a venue: its position is closed, or was never opened."""

    by_row: ClassVar[bool] = True
    of_venue: ClassVar[bool] = True
    venue: str

    def holds(self, stretch: "Stretch") -> NDArray[np.bool_]:
        """Also true where money is left there and no position."""
        projection = stretch.projections.get(self.venue)
        return stretch.all_rows(True) if projection is None else projection.notional_usd == 0


@frozen
class LiquidationNear:
    """The row's low, for a long, or high, for a short, is within `buffer` of the liquidation price, or beyond it.

    `buffer` is a share of that low or high: at 0.1 a tenth of it, at 0 only the liquidation price itself counts. `coin`
    names the coin of the position, where the venue has several: the price is that at which the account would be
    liquidated if this coin alone moved.
    """

    by_row: ClassVar[bool] = True
    of_venue: ClassVar[bool] = True
    venue: str
    buffer: float = field(validator=[_number, fraction])
    coin: str = ""

    def holds(self, stretch: "Stretch") -> NDArray[np.bool_]:
        """Never without a position or a liquidation price."""
        position = stretch.position(self.venue, self.coin)
        if position is None:
            return stretch.all_rows(False)
        size, coin = position.size, self.coin or stretch.coin_of(self.venue)
        low, high = stretch.price(coin, "low"), stretch.price(coin, "high")
        extreme = choose(size > 0, low, high)
        distance = choose(size > 0, 1.0, -1.0) * (extreme - position.liquidation_price)
        near: NDArray[np.bool_] = ((distance <= 0) | (distance / extreme < self.buffer)) & (size != 0)
        return near


def event_of(condition: Condition, view: View) -> Event:
    """The event that a strategy gets when a condition holds."""
    met = getattr(condition, "met", None)
    if met is not None:
        event = met(view)
        if not isinstance(event, Event):
            raise ScenarioError(
                f"{type(condition).__name__}.met answers with {event!r}; expected an event to wake with"
            )
        return event
    venue = getattr(condition, "venue", "")
    return ConditionMet(at_ns=view.at_ns, venue=venue, condition=condition)


class Strategy(ABC):
    """A policy for capital. Subclasses are frozen values whose fields are the keys of `[strategy]` in a scenario.

    A strategy is woken by `Liquidated`, `Acted`, `TransferArrived`, `TransferFailed`, `Unstaked`, `Ended`, and by
    `ConditionMet` for what `conditions` names. Of several liquidations at one instant it gets those at venues with
    which it has not dealt since; the conditions of that row are not asked. Of several conditions that hold in one row
    it gets each in their order, also one that its last orders have ended: where that matters, look at the view. Each
    order that it yields is executed before the next line of the hook runs, so the view is always up to date, and
    `view.outcome` says what became of it.
    """

    def conditions(self) -> tuple[Condition, ...]:
        """What wakes the strategy besides what venues do; nothing unless overridden."""
        return ()

    def check(self) -> None:  # noqa: B027  (a strategy may have nothing to refuse)
        """Refuse settings that do not go together; raises `ScenarioError`.

        A leverage that its venues cannot have has been refused before.
        """

    def tables(self, run: "Run") -> Iterable[Grid]:  # noqa: ARG002  (those that have some need it)
        """Tables of its own for the report of a finished run; none unless overridden."""
        return ()

    @abstractmethod
    def on_start(self, view: View) -> Iterable[Order]:
        """The first orders: all the capital is in the wallet."""

    @abstractmethod
    def on_event(self, event: Event, view: View) -> Iterable[Order]:
        """The orders that an event provokes; return an empty tuple for none."""


HOOKS = ("on_start", "on_event", "conditions", "check", "tables")
"""The methods of a strategy that are called."""
LIKENESS = 0.8
"""How alike a hook and a method are that is probably meant as that hook, 0 to 1: `on_strat` is, `on_end` is not."""


@cached_by_class
def check_hooks(cls: type) -> None:
    """Refuse a strategy without a hook that it needs, or with one that is probably misspelt; raises `ScenarioError`.

    A method that the class itself uses is a helper, whatever its name.
    """
    own = [each for each in cls.__mro__ if each not in Strategy.__mro__]
    methods = [(name, each) for owner in own for name, value in vars(owner).items() for each in functions(value)]
    used = {name for _, each in methods for name in names_in(each.__code__)}
    lacking = [hook for hook in HOOKS if getattr(cls, hook) is getattr(Strategy, hook)]
    for name, method in methods:
        meant = "" if name in used or name in HOOKS else closest(name, lacking, LIKENESS)
        if meant:
            words = f"{cls.__name__}.{name}: unknown hook; {meant} A method of another purpose needs another name"
            raise located(ScenarioError(words), (cls,), method)
    for hook in lacking:
        if getattr(cls, hook) in (Strategy.on_start, Strategy.on_event):
            expected = "on_start(self, view) and on_event(self, event, view)"
            raise ScenarioError(f"{cls.__name__} has no {hook}; expected {expected}")


def checked_conditions(strategy: Strategy, venues: Mapping[str, Venue] | Iterable[str]) -> tuple[Condition, ...]:
    """A strategy's conditions, which can be asked; one on a venue that is not there would never hold.

    Where the venues themselves are given, one on a coin names one of its venue's coins if there are several.
    """
    conditions: Any = strategy.conditions()
    if not isinstance(conditions, tuple | list):
        found = conditions.__name__ if isinstance(conditions, type) else repr(conditions)
        words = f"the strategy's conditions are {found}; expected a tuple such as `(EveryRow(),)`, or an empty one"
        raise located(ScenarioError(words), (strategy,), strategy.conditions)
    known = list(venues)
    for condition in conditions:
        if isinstance(condition, type):
            name = condition.__name__
            made = f"`{name}({'...' if fields_dict(condition) else ''})`" if has(condition) else "an object of it"
            words = f"the strategy names the class {name} as a condition; expected {made}"
            raise located(ScenarioError(words), (strategy,), strategy.conditions)
        if not callable(getattr(condition, "holds", None)):
            raise ScenarioError(f"the strategy names {condition!r} as a condition; expected an object with `holds`")
        venue = getattr(condition, "venue", None)
        if venue is not None and venue not in known:
            raise ScenarioError(f"{condition!r}: unknown venue {venue!r}; {suggestion(str(venue), known)}")
        if venue is not None and isinstance(venues, Mapping):
            _check_coin(condition, venues[venue].coins)
    return tuple(conditions)


def _check_coin(condition: object, coins: Sequence[str]) -> None:
    """Refuse a condition on a coin that is not one of its venue's, or on none of several."""
    coin = getattr(condition, "coin", None)
    if coin is None or not coins or coin in coins or (not coin and len(coins) == 1):
        return
    wrong = f"unknown coin {coin!r}" if coin else "it names no coin"
    raise ScenarioError(f"{condition}: {wrong}; expected {'one of ' * (len(coins) > 1)}{', '.join(coins)}")
