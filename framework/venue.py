"""`Venue`: a protocol that holds positions, declared as accounts, accruals, and rules in the form of formulas.

A venue keeps no balances and computes no paths. From its declarations the framework derives what a strategy sees, the
rows in which the venue acts, what is settled, the equity curve and the audit. Its methods write orders into the books.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, get_args

from attrs import Attribute, AttrsInstance, Factory, asdict, define, field, fields, frozen, has, validators

from framework.accrual import Accrual, Computed
from framework.errors import ScenarioError
from framework.events import Event
from framework.formulas import (
    Formula,
    cached_by_class,
    choose,
    formula,
    formulas_of,
    formulas_where,
    greater,
    lesser,
    per_coin,
    ratio,
)
from framework.market import Floats, Market
from framework.money import USDC, Account, Asset, perpetual, token
from framework.orders import check_open, check_swap, positive
from framework.rulebook.rules import Dated, joined, value_at, values_of

if TYPE_CHECKING:
    from framework.books import Books

__all__ = [
    "CASH",
    "LIQUIDATION",
    "USDC",
    "Account",
    "Accrual",
    "Act",
    "Bridge",
    "Computed",
    "Dated",
    "Leg",
    "Penalty",
    "Segment",
    "Venue",
    "Way",
    "account",
    "basis_points",
    "check_open",
    "check_swap",
    "choose",
    "formula",
    "fraction",
    "from_rules",
    "greater",
    "lesser",
    "not_negative",
    "per_coin",
    "perpetual",
    "positive",
    "price_of",
    "ratio",
    "seconds",
    "share",
    "token",
]

CASH = Account("Assets:Wallet:Cash", USDC, floor=True)
"""Money outside all venues."""
CAPITAL = Account("Equity:Capital", USDC)
IN_TRANSIT = Account("Assets:Bridge:InTransit", USDC, floor=True)
"""Money on its way between two places."""
BRIDGE_FEE = Account("Expenses:Bridge:Fee", USDC)
WALLET = (CASH, CAPITAL, IN_TRANSIT, BRIDGE_FEE)
"""The accounts of every run, whatever its venues."""


def _of_each_value(
    validator: "Callable[[Any, Attribute[Any], Any], object]",
) -> "Callable[[Any, Attribute[Any], Any], None]":
    """The validator of a rule: checks each value of a `Dated` one, and accepts None if that is the default."""

    def check(venue: object, attribute: "Attribute[Any]", rule: Any) -> None:  # noqa: ANN401  (a rule of any type)
        if rule is not None or attribute.default is not None:
            for each in values_of(rule):
                validator(venue, attribute, each)

    return check


not_negative = _of_each_value(validators.ge(0.0))
"""Validator of a number, 0 or more; as with all validators of rules, of each value of a `Dated` one."""
fraction = _of_each_value(validators.and_(validators.ge(0.0), validators.lt(1.0)))
"""Validator of a fraction, 0 or more and less than 1."""
share = _of_each_value(validators.and_(validators.ge(0.0), validators.le(1.0)))
"""Validator of a share, 0 to 1."""
MOST_S = 3.2e9
"""The longest time of a rule: a hundred years, which the clock can still count."""
seconds = _of_each_value(validators.and_(validators.ge(0.0), validators.le(MOST_S)))
"""Validator of a time in seconds, 0 to a hundred years."""


LEAST_BPS = 0.01
"""The smallest fee above 0 that is accepted, basis points."""


def basis_points(_: object, attribute: "Attribute[Any]", bps: float) -> None:
    """Validator of a fee in basis points, 0 to 10,000; raises `ValueError`.

    Fees above 0 and below 0.01 are refused: no venue charges that, but 0.00035 may be meant as a fraction.
    """
    for each in values_of(bps):
        if not 0 <= each <= 10_000:
            raise ValueError(f"'{attribute.name}' must be 0 to 10000 basis points, of which 100 are 1 %: {each}")
        if 0 < each < LEAST_BPS:
            likely = f"{each * 10_000:.6g}, if {each:g} is a fraction of the notional"
            raise ValueError(f"'{attribute.name}' must be 0, or {LEAST_BPS} basis points or more ({likely}): {each}")


LIKELY_PERCENT_BPS = 0.3
"""A fee below this is likely meant in percent: trades, swaps and loans cost more at all venues here."""


def fees_likely_in_percent(part: object, key: str) -> Iterator[tuple[str, float]]:
    """The fees of a venue that are likely meant in percent: full key and basis points.

    Tables and lists below it are searched as well; parts of a list are counted from 0, as in a message about a key.
    """
    cls = type(part)
    if isinstance(part, Dated):
        for value in part.values:
            yield from fees_likely_in_percent(value, key)
    elif isinstance(part, tuple):
        for number, value in enumerate(part):
            yield from fees_likely_in_percent(value, f"{key}.{number}")
    elif has(cls):
        for each in fields(cls):
            rule, below = getattr(part, each.name), f"{key}.{each.name}"
            if each.validator is basis_points:
                yield from ((below, bps) for bps in values_of(rule) if 0 < bps < LIKELY_PERCENT_BPS)
            else:
                yield from fees_likely_in_percent(rule, below)


@frozen
class Penalty:
    """What a liquidation costs: a `fraction` of the position's equity or notional, but never more than the equity."""

    of: Literal["equity", "notional"]
    """What the fraction is of."""
    fraction: float = field(validator=validators.and_(validators.ge(0.0), validators.le(1.0)))

    def amount(self, equity: int, notional: int) -> int:
        """The penalty in atomic units; 0 without equity."""
        base = equity if self.of == "equity" else notional
        return max(0, min(round(base * self.fraction), equity))


@frozen
class Way:
    """One direction of a passage: its fee, its duration, the smallest amount it accepts, and whether it fails.

    The fee is the sum of `fee_usd`, `gas_usd` and `fee_bps` of the amount. Incidents raise the gas. Each rule may be
    `Dated`; the values in force when the money is sent hold for the whole passage.
    """

    fee_usd: float | Dated = field(default=0.0, validator=not_negative)
    latency_s: float | Dated = field(default=0.0, validator=seconds)
    fails: bool | Dated | None = None
    fee_bps: float | Dated = field(default=0.0, validator=basis_points)
    gas_usd: float | Dated = field(default=0.0, validator=not_negative)
    minimum_usd: float | Dated = field(default=0.0, validator=not_negative)


@frozen
class Bridge:
    """The passage of money between a venue and all other places, for `Move`, `Deposit` and `Withdraw` alike.

    A move from one venue to another takes the outbound way of the first and the inbound way of the second, so one order
    costs no more than two through the wallet. Money that cannot get through returns to its source, or to the wallet if
    the source no longer accepts it. Money that arrives at a halted venue waits until the venue resumes; money that its
    target rejects goes to the wallet. The fee on leaving is lost in either case.
    """

    fee_usd: float | Dated = field(default=0.0, validator=not_negative)
    """Fixed part of the fee."""
    latency_s: float | Dated = field(default=0.0, validator=seconds)
    """How long money is in transit."""
    sender_share: float | Dated = field(default=0.5, validator=share)
    """The share of `fee_usd` that is paid on leaving; the rest is paid on arriving."""
    fails: bool | Dated | None = None
    """Whether nothing gets through."""
    inbound: Way | None = None
    """Rules for money into the venue, in place of those here."""
    outbound: Way | None = None
    """Rules for money out of the venue, in place of those here."""
    fee_bps: float | Dated = field(default=0.0, validator=basis_points)
    """The part of the fee that grows with the amount, basis points of it."""
    gas_usd: float | Dated = field(default=0.0, validator=not_negative)
    """Gas of a passage, which incidents raise."""
    minimum_usd: float | Dated = field(default=0.0, validator=not_negative)
    """The smallest amount that is accepted."""
    sender_gas_share: float | Dated = field(
        default=Factory(lambda self: self.sender_share, takes_self=True), validator=share
    )
    """The share of `gas_usd` and `fee_bps` that is paid on leaving; `sender_share` unless given."""

    @property
    def fixed(self) -> bool:
        """Whether its cost and duration depend neither on the time nor on the amount."""
        ways = self.way(into=True), self.way(into=False)
        rules = (
            self.sender_share,
            self.sender_gas_share,
            *(getattr(way, each.name) for way in ways for each in fields(Way)),
        )
        dated = any(isinstance(each, Dated) for each in rules)
        return not dated and all(way.fee_bps == 0 for way in ways)

    def way(self, *, into: bool) -> Way:
        """The way into the venue, or out of it."""
        chosen = self.inbound if into else self.outbound
        return chosen or Way(**{each.name: getattr(self, each.name) for each in fields(Way)})

    def fees(self, way: Way, amount: int, at_ns: int, gas_times: float = 1.0) -> tuple[int, int]:
        """The fees of an amount on leaving and on arriving, atomic units, with gas at `gas_times` its usual price."""
        rules = way.fee_usd, way.gas_usd, way.fee_bps, self.sender_share, self.sender_gas_share
        fee_usd, gas_usd, fee_bps, sender_share, sender_gas_share = (value_at(each, at_ns) for each in rules)
        further = USDC.nearest(gas_usd * gas_times) + _part_of(amount, fee_bps)
        leaving = USDC.nearest(fee_usd * sender_share) + round(further * sender_gas_share)
        return leaving, USDC.nearest(fee_usd) + further - leaving


def _part_of(amount: int, bps: float) -> int:
    """`bps` of an amount, rounded up, so that two parts never cost less than the whole."""
    if not bps:
        return 0
    part = Fraction(str(bps)) / 10_000
    return -(-amount * part.numerator // part.denominator)


@frozen(slots=False)
class Leg:
    """The present state of a position: `size` in coins (> 0 long, < 0 short), equity and notional in USD at the mark.

    At a venue with several coins, the leg of one coin has its size, notional, prices and delta, and the equity and
    margin of the whole account. The leg of the whole account has totals in USD; its size and delta are in the market's
    coin, of equal worth, and its entry and liquidation prices are NaN.
    """

    size: float = 0.0
    equity_usd: float = 0.0
    notional_usd: float = 0.0
    _entry_price: "float | Callable[[], float]" = field(default=float("nan"), eq=False, repr=False)
    _liquidation_price: "float | Callable[[], float]" = field(default=float("nan"), eq=False, repr=False)
    margin_usd: float = field(default=Factory(lambda self: self.equity_usd, takes_self=True))
    """What counts as margin, USD: the equity, unless collateral is weighted or income is kept apart."""
    tokens: float = 0.0
    """Tokens held beside the position, such as collateral; whole tokens."""
    delta: float = field(default=Factory(lambda self: self.size, takes_self=True))
    """Sensitivity of the equity to the coin's price, in coins: position and tokens together."""
    _free_usd: "float | Callable[[], float]" = field(
        default=Factory(lambda self: self.equity_usd, takes_self=True), eq=False, repr=False
    )
    _most_in_usd: "float | Callable[[], float]" = field(default=float("inf"), eq=False, repr=False)

    @property
    def most_in_usd(self) -> float:
        """The most that can be paid in, USD: infinite, unless the venue accepts no more than it is owed."""
        return self._most_in_usd() if callable(self._most_in_usd) else self._most_in_usd

    @property
    def free_usd(self) -> float:
        """The most that can be paid out, USD, including the fee on leaving: the equity, unless some has to stay."""
        return self._free_usd() if callable(self._free_usd) else self._free_usd

    @property
    def entry_price(self) -> float:
        """Average cost of the position per coin, USD; NaN without a position."""
        return self._entry_price() if callable(self._entry_price) else self._entry_price

    @property
    def liquidation_price(self) -> float:
        """The price at which the venue would liquidate now, USD; NaN if there is none."""
        return self._liquidation_price() if callable(self._liquidation_price) else self._liquidation_price

    @property
    def leverage(self) -> float:
        """Notional / equity; infinite for a position without equity, 0 without a position."""
        if self.notional_usd == 0:
            return 0.0
        return self.notional_usd / self.equity_usd if self.equity_usd > 0 else float("inf")


@frozen(eq=False)
class Declared:
    """An account as declared in a venue's class; on a venue it is the `Account`, or a mapping of them by coin."""

    path: str
    asset: "Asset | Callable[[str], Asset]"
    of: str
    floor: bool
    bucket: str | None
    per_coin: bool
    when: str
    position: bool
    name: str = field(init=False, default="")

    def __set_name__(self, owner: type, name: str) -> None:
        object.__setattr__(self, "name", name)

    def __get__(self, venue: "Venue | None", owner: type) -> Any:  # noqa: ANN401  (an account, or several)
        if venue is None:
            return self
        place = self.path.replace("{venue}", account_part(venue.name))
        made: object
        if self.per_coin:
            coins = venue.coins
            ends = {coin: f":{_part(coin)}" if len(coins) > 1 else "" for coin in coins}
            made = {coin: self._account(place + ends[coin], coin) for coin in coins}
        elif self.when and not getattr(venue, self.when):
            made = None
        else:
            made = self._account(place, str(getattr(venue, self.of, "")))
        return venue.__dict__.setdefault(
            self.name, made
        )  # another thread may have made it meanwhile, and only one counts

    def _account(self, name: str, coin: str) -> Account:
        asset = self.asset if isinstance(self.asset, Asset) else self.asset(coin)
        return Account(name, asset, self.floor, self.bucket)


def account(
    path: str,
    asset: "Asset | Callable[[str], Asset]",
    *,
    of: str = "coin",
    floor: bool = False,
    bucket: str | None = None,
    per_coin: bool = False,
    when: str = "",
    position: bool = False,
) -> Any:  # noqa: ANN401  (on a venue it is an account)
    """Declare an account of a venue; `{venue}` in its path is the venue's name.

    `asset` is an asset, or a function of a coin such as `perpetual`; the coin is that of the field `of`. With
    `per_coin` there is one account for each of the venue's coins, as a mapping by coin. `floor` and `bucket` are those
    of `Account`. With `when` the account exists only if that field of the venue is set. The account with `position`
    holds what is traded: its change is the size of a fill.
    """
    return Declared(path, asset, of, floor, bucket, per_coin, when, position)


@frozen(eq=False)
class PriceOf:
    """An input of formulas: the price of the asset named by the field `of`."""

    of: str


def price_of(of: str) -> PriceOf:
    """Declare a price as an input of formulas: that of the coin or token named by the field `of`.

    Within a row, where only the coin's extremes are known, it is assumed to move in proportion to the coin's price.
    """
    return PriceOf(of)


@frozen(eq=False)
class FromRules:
    """An input of formulas that follows from rules; on a venue it is the resulting rule, or a mapping by coin."""

    make: Callable[..., Any]
    rules: tuple[str, ...]
    per_coin: bool
    name: str = field(init=False, default="")

    def __set_name__(self, owner: type, name: str) -> None:
        object.__setattr__(self, "name", name)

    def __get__(self, venue: "Venue | None", owner: type) -> Any:  # noqa: ANN401  (a rule, or several)
        if venue is None:
            return self
        try:
            return venue.__dict__.setdefault(self.name, self._made(venue))
        except AttributeError as error:  # of a path or of `make`; as it is it would mean that there is no such input
            raise ScenarioError(f"{type(venue).__name__}.{self.name}: {error}; expected rules of the venue") from error

    def _made(self, venue: "Venue") -> Any:  # noqa: ANN401  (a rule, or several)
        given = {path: _at(venue, path) for path in self.rules}
        if not self.per_coin:
            return joined(self.make, *given.values())
        return {
            coin: joined(self.make, *(_of_coin(rule, coin, f"{venue.name}.{path}") for path, rule in given.items()))
            for coin in venue.coins
        }

    def behind(self, venue: "Venue") -> str | None:
        """The first of the rules that the venue has."""
        return next((each for each in self.rules if _at(venue, each) is not None), None)


def from_rules(make: Callable[..., Any], *rules: str, per_coin: bool = False) -> Any:  # noqa: ANN401  (on a venue it is a rule)
    """Declare an input of formulas that follows from rules: `make` of their values, at each of their dates.

    A rule is named by its field, or by a path such as `terms.limit_ltv`; its value is None if it is not set. With
    `per_coin` the input has a value for each coin, and of a rule that is a table by coin `make` gets that coin's entry.
    Events that depend on the input name the first of the rules that is set.
    """
    return FromRules(make, rules, per_coin)


def _of_coin(rule: Any, coin: str, place: str) -> Any:  # noqa: ANN401  (a rule of any type)
    """The rule for one coin, of a table by coin or of a rule for all coins."""

    def of(value: Any) -> Any:  # noqa: ANN401  (of any type)
        if not isinstance(value, Mapping):
            return value
        if coin not in value:
            raise ScenarioError(f"{place}: none of {coin}; expected one of {', '.join(value)}")
        return value[coin]

    return joined(of, rule)


def _at(part: object, path: str) -> Any:  # noqa: ANN401  (a rule of any type)
    """The value at a path of fields; None if a part of the path is not set."""
    for name in path.split("."):
        part = getattr(part, name) if part is not None else None
    return part


JudgedAt = Literal["close", "adverse"]
"""The prices of a row at which the formula of an act is evaluated."""


def _known_prices(_: object, __: object, prices: object) -> None:
    """Raises `ValueError` for prices of a row at which no act is judged."""
    if prices not in get_args(JudgedAt):
        raise ValueError(f"prices of an act are {prices!r}; expected {' or '.join(get_args(JudgedAt))}")


@frozen
class Act:
    """A reason for a venue to act: its method `then` is called after each row in which the formula `when` holds.

    The formula is evaluated at `prices`: the row's `close`, or the `adverse` extreme, the low for a long and the high
    for a short. Conditions that hold in such a row still wake the strategy, as of the close before the act, unless the
    act is a liquidation.
    """

    when: str
    then: str
    prices: JudgedAt = field(default="close", validator=_known_prices)
    liquidation: bool = False


LIQUIDATION = Act("liquidated", "liquidate", prices="adverse", liquidation=True)
"""The act of each venue with a formula `liquidated`."""


@define(eq=False)
class Segment:
    """Rows `start` to `stop - 1` in which nobody acts, for a rule that computes its own accrual."""

    market: Market
    start: int
    stop: int
    balance: Callable[[Account], int]
    """Balance of an account before the first of these rows, atomic units."""
    others_usd: Floats
    """Worth of the wallet, money in transit and all other venues at each row's close, USD, shape (rows,)."""
    others_hold: bool
    """Whether another venue holds anything."""

    @property
    def years(self) -> Floats:
        """Length of each row in years."""
        return self.market.years[self.start : self.stop]


class Venue:
    """A protocol with its rules. Subclasses are frozen attrs classes: their fields are the keys of a scenario.

    A class declares accounts (`account`), further inputs (`price_of`, `from_rules`), formulas (`formula`, `per_coin`)
    and `acts`. `accruals` returns what accrues. Each order is filled by the method of its name: `Open` by
    `open(order, book)`. The framework asks for formulas of these names; only `equity` is required:

    - `size` in coins (> 0 long), `notional` in USD, `equity` in USD, `entry_price` in USD per coin
    - `total_collateral`: what counts as margin, USD; by default the equity
    - `maintenance`: maintenance margin, USD; `liquidated`: whether the position is to be liquidated
    - `free`: what can be paid out, USD; by default the equity
    - `most_in`: what can be paid in, USD; by default without limit
    - `tokens`: tokens held beside the position; `delta`: coins of exposure of all of it, by default the size
    - `liquidation_price`: by default derived from `total_collateral` and `maintenance`
    """

    name: str
    """The name of its table in a scenario, set by the framework."""
    bridge: Bridge = Bridge()
    """The passage of money to and from it; without fee or delay, unless a subclass has a field for it."""

    def __init_subclass__(cls) -> None:
        """Refuse a declaration under a name that `Venue` uses itself; raises `TypeError`."""
        super().__init_subclass__()
        for name, value in vars(cls).items():
            if isinstance(value, Declared | Formula | FromRules | PriceOf) and hasattr(Venue, name):
                raise TypeError(f"{cls.__name__}.{name}: every venue has its own {name}; expected another name")

    @property
    def acts(self) -> Sequence[Act]:
        """The reasons for it to act by itself; a class declares others as `acts = (Act(...), ...)`."""
        return (LIQUIDATION,)

    @property
    def _class(self) -> type:
        return type(self)

    @property
    def coins(self) -> tuple[str, ...]:
        """The coins in which it can hold positions, from its field `coin`: one name or several."""
        coin = getattr(self, "coin", ())
        return (coin,) if isinstance(coin, str) else tuple(coin)

    def accounts(self) -> tuple[Account, ...]:
        """The accounts of the venue, in the order of their declaration."""
        found: list[Account] = []
        for each in _declared(self._class):
            made = getattr(self, each.name)
            found += made.values() if isinstance(made, dict) else [made] if made else []
        return tuple(found)

    def position_accounts(self) -> tuple[Account, ...]:
        """The accounts that hold what is traded."""
        found: list[Account] = []
        for each in _declared(self._class):
            if each.position:
                made = getattr(self, each.name)
                found += made.values() if isinstance(made, dict) else [made]
        return tuple(found)

    def formulas(self) -> Mapping[str, Formula]:
        """The venue's rules by name."""
        return formulas_where(self._class, self.fields_chosen)

    @property
    def fields_chosen(self) -> frozenset[str]:
        """The fields named by the `when` of a formula that are set."""
        named = {each.when for each in formulas_of(self._class).values() if each.when}
        return frozenset(name for name in named if getattr(self, name))

    def input(self, name: str) -> Any:  # noqa: ANN401  (an account, several by coin, a price or a rule)
        """The input of formulas with this name: an account, a price, a rule, or a mapping by coin of these.

        Raises `AttributeError` if there is none.
        """
        declared = getattr(type(self), name, None)
        if not isinstance(declared, PriceOf):
            return getattr(self, name)
        coin = getattr(self, declared.of)
        return PriceOf(coin) if coin else None

    def rule_behind(self, name: str) -> str:
        """The name under which an event lists the rule of an input: its field, or the rule from which it follows."""
        declared = getattr(type(self), name, None)
        return (declared.behind(self) if isinstance(declared, FromRules) else None) or name

    def rules(self) -> Mapping[str, object]:
        """The venue's rules by their keys in a scenario, nested where these are tables."""
        return asdict(cast("AttrsInstance", self), filter=lambda field, _: field.init)

    def accruals(self) -> Iterable[Accrual]:
        """What accrues on its accounts, row by row."""
        return ()

    def turnovers(self) -> Iterable[Account]:
        """The accounts of whose `Books.turnover` its rules ask; a run that asks for others' is not played on paths."""
        return ()

    def columns(self) -> Iterable[str | tuple[str, ...]]:
        """Market columns that its methods read, besides the prices of its formulas and the rates of its accruals.

        A mapping also gives what each column has to measure, such as `Measure.AMOUNT`.
        """
        return ()

    def derived(self, market: Market) -> Mapping[str, tuple[str, Floats]]:
        """Columns that the market lacks and that can be computed from others: name -> (source column, values).

        Raises `MarketError` if these rows do not allow it.
        """
        return {}

    def check(self, market: Market) -> None:
        """Refuse market data that cannot be right for this venue; raises `MarketError`."""

    def orders(self) -> tuple[str, ...]:
        """The names of the methods that fill orders."""
        return _order_methods(self._class)

    def execute(self, method: str, order: object, book: "Books") -> None:
        """Fill an order by its method."""
        getattr(self, method)(order, book)

    def accept(self, order: object, book: "Books") -> None:
        """Reject an order whose result the venue does not allow, such as too large a loan.

        It is called after the fill, and sees the books with it. Quotes of what an order would cost are not checked.
        """

    def act(self, method: str, book: "Books") -> Event | None:
        """Call the method of an act. An event that it returns is entered in place of the framework's own."""
        then = getattr(self, method, None)
        if then is None:
            raise ScenarioError(f"{type(self).__name__}.acts: no method {method!r}; expected `{method}(self, book)`")
        found: Event | None = then(book)
        if found is not None and not isinstance(found, Event):
            raise ScenarioError(f"{type(self).__name__}.{method} answers with {found!r}; expected an event, or None")
        return found

    acts_when_halted: ClassVar[bool] = False
    """Whether it acts while it is halted, such as by liquidating."""

    def fail(self, loss_share: float, book: "Books") -> None:
        """Write the failure of the venue: by default a share of everything here is lost and the rest is frozen."""
        book.write_off(self, loss_share)

    def deleverage(self, share: float, book: "Books") -> None:
        """Close a share of each profitable position at the mark, as auto-deleveraging does."""
        book.refuse("it closes no positions of itself; expected a venue that does")

    def finish(self, book: "Books") -> None:
        """Write what has to be booked at the end of a run, after the strategy's last order."""

    def receive(self, book: "Books", source: Account, amount: int, kind: str) -> None:
        """Receive `amount` of USDC from `source`, atomic units: as margin, or as repayment of a loan."""
        book.refuse("it takes no deposits; expected a venue that does")

    def pay(self, book: "Books", target: Account, amount: int, kind: str) -> None:
        """Pay `amount` of USDC to `target`, atomic units: out of margin, or by a larger loan."""
        book.refuse("it holds no money; expected a venue that does")

    def penalty_account(self) -> Account | None:
        """The account of penalties; None if there is none."""
        return next((each for each in self.accounts() if each.bucket == "liquidation_penalty"), None)

    def token_account(self, code: str) -> Account | None:
        """The account of tokens of this asset that can be moved to other venues; None if it holds no such tokens."""
        return None

    def due_ns(self, order: object, at_ns: int) -> int | None:
        """When the outstanding part of an order of `at_ns` arrives; None if nothing is outstanding."""
        return None

    def deliver(self, order: object, amount: int, book: "Books") -> None:
        """Write the arrival of the `amount` that was outstanding."""


NOT_ORDERS = frozenset(("execute", "accept", "act", "receive", "pay", "deliver"))


@cached_by_class
def _order_methods(cls: type) -> tuple[str, ...]:
    """Methods of the form `name(self, order, book)`."""
    names: dict[str, None] = {}
    for each in reversed(cls.__mro__):
        for name, value in vars(each).items():
            code = getattr(value, "__code__", None)
            if code is not None and code.co_varnames[1 : code.co_argcount] == ("order", "book"):
                names[name] = None
            else:
                names.pop(name, None)
    return tuple(name for name in names if name not in NOT_ORDERS)


@cached_by_class
def _declared(cls: type) -> tuple[Declared, ...]:
    found: dict[str, Declared] = {}
    for each in reversed(cls.__mro__):
        found |= {name: value for name, value in vars(each).items() if isinstance(value, Declared)}
    return tuple(found.values())


def failure_accounts(venue: Venue) -> dict[Asset, Account]:
    """The accounts that a failure adds to a venue, by asset: what is taken out of it."""
    place = account_part(venue.name)
    assets = dict.fromkeys([*(each.asset for each in venue.accounts() if each.owned), USDC])
    return {each: Account(f"Equity:{place}:Failure", each, bucket="execution") for each in assets}


def loss_account(venue: Venue) -> Account:
    """The account of what is lost in a failure of the venue."""
    return Account(f"Expenses:{account_part(venue.name)}:Failure", USDC, bucket="losses")


def account_part(name: str) -> str:
    """A venue's name as a part of account names: `my_venue` is `MyVenue`."""
    return "".join(word.capitalize() for word in name.split("_"))


def _part(coin: str) -> str:
    """A coin's name as a part of account names."""
    letters = re.sub(r"[^A-Za-z0-9-]", "-", coin)
    return letters[:1].upper() + letters[1:]
