"""`Venue`: a protocol that holds positions, as its accounts, what accrues on them, and its rules as formulas.

A venue keeps no balances and computes no paths. From what it declares the framework derives what a strategy sees, the
rows in which the venue acts, what is settled, the equity curve and the audit. Its methods write orders into the books.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

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
    "token",
]

CASH = Account("Assets:Wallet:Cash", USDC, floor=True)
"""Money that is on no venue."""
CAPITAL = Account("Equity:Capital", USDC)
IN_TRANSIT = Account("Assets:Bridge:InTransit", USDC, floor=True)
"""Money that has left one place and not reached the other."""
BRIDGE_FEE = Account("Expenses:Bridge:Fee", USDC)
WALLET = (CASH, CAPITAL, IN_TRANSIT, BRIDGE_FEE)
"""The accounts of every run, whatever its venues."""


def _of_each_value(
    validator: "Callable[[Any, Attribute[Any], Any], object]",
) -> "Callable[[Any, Attribute[Any], Any], None]":
    """The validator of a rule: of each value of one with dates. None, as a default, is a rule that does not apply."""

    def check(venue: object, attribute: "Attribute[Any]", rule: Any) -> None:  # noqa: ANN401  (a rule of any type)
        if rule is not None or attribute.default is not None:
            for each in values_of(rule):
                validator(venue, attribute, each)

    return check


not_negative = _of_each_value(validators.ge(0.0))
fraction = _of_each_value(validators.and_(validators.ge(0.0), validators.lt(1.0)))
share = _of_each_value(validators.and_(validators.ge(0.0), validators.le(1.0)))
MOST_S = 3.2e9
"""The longest time that a rule takes, a hundred years, which the clock can count."""
seconds = _of_each_value(validators.and_(validators.ge(0.0), validators.le(MOST_S)))


LEAST_BPS = 0.01
"""The least fee in basis points that is believed to be one."""


def basis_points(_: object, attribute: "Attribute[Any]", bps: float) -> None:
    """The validator of every fee in basis points: from nothing to the whole; raises `ValueError`.

    Less than a hundredth of one is refused: no venue charges that, and a fraction such as 0.00035 looks like it.
    """
    for each in values_of(bps):
        if not 0 <= each <= 10_000:
            raise ValueError(f"'{attribute.name}' must be 0 to 10000 basis points, of which 100 are 1 %: {each}")
        if 0 < each < LEAST_BPS:
            likely = f"{each * 10_000:.6g}, if {each:g} is a fraction of the notional"
            raise ValueError(f"'{attribute.name}' must be 0, or {LEAST_BPS} basis points or more ({likely}): {each}")


LIKELY_PERCENT_BPS = 0.3
"""A fee below so many basis points is likely in percent: takers, swaps and loans cost more at all venues here."""


def fees_likely_in_percent(part: object, key: str) -> Iterator[tuple[str, float]]:
    """The fees of a venue that are likely typed in percent, tables and lists below it included.

    Yields full key and basis points; parts of a list are counted from 0, as in a message about a key.
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
    """What a liquidation costs: `fraction` of the position's equity or of its notional, at most the equity."""

    of: Literal["equity", "notional"]
    """What the fraction is of."""
    fraction: float = field(validator=validators.and_(validators.ge(0.0), validators.le(1.0)))

    def amount(self, equity: int, notional: int) -> int:
        """The penalty in atomic units; nothing where there is no equity left."""
        base = equity if self.of == "equity" else notional
        return max(0, min(round(base * self.fraction), equity))


@frozen
class Way:
    """One direction of a passage: what it costs, how long it takes, the least it takes, and when it fails.

    The fee is `fee_usd`, `gas_usd` and `fee_bps` of the sum together; gas is what incidents make dearer. Each of them
    may have changed with time: what holds when the money is sent holds for all of its way.
    """

    fee_usd: float | Dated = field(default=0.0, validator=not_negative)
    latency_s: float | Dated = field(default=0.0, validator=seconds)
    fails: bool | Dated | None = None
    fee_bps: float | Dated = field(default=0.0, validator=basis_points)
    gas_usd: float | Dated = field(default=0.0, validator=not_negative)
    minimum_usd: float | Dated = field(default=0.0, validator=not_negative)


@frozen
class Bridge:
    """The passage of money between a venue and everywhere else, for `Move`, `Deposit` and `Withdraw` alike.

    The rules of a `Way` hold in both directions, unless `inbound` or `outbound` has others for one of them. A move
    from one venue to another takes the way out of the one and the way into the other, so two orders by way of the
    wallet never cost less than one. Of `fee_usd` the share `sender_share` is paid on leaving and the rest on arriving,
    of gas and `fee_bps` the share `sender_gas_share`, the same unless it is given. What cannot get through returns to
    where it came from, or to the wallet where its source no longer takes it. What arrives at a venue that is halted
    waits until it resumes; what its target does not take on arriving goes to the wallet. Its fee on leaving is lost
    either way.
    """

    fee_usd: float | Dated = field(default=0.0, validator=not_negative)
    latency_s: float | Dated = field(default=0.0, validator=seconds)
    """How long money is under way."""
    sender_share: float | Dated = field(default=0.5, validator=share)
    fails: bool | Dated | None = None
    """Whether nothing gets through."""
    inbound: Way | None = None
    outbound: Way | None = None
    fee_bps: float | Dated = field(default=0.0, validator=basis_points)
    gas_usd: float | Dated = field(default=0.0, validator=not_negative)
    """Gas of a passage, which incidents make dearer."""
    minimum_usd: float | Dated = field(default=0.0, validator=not_negative)
    """The least sum that it takes."""
    sender_gas_share: float | Dated = field(
        default=Factory(lambda self: self.sender_share, takes_self=True), validator=share
    )

    @property
    def fixed(self) -> bool:
        """Whether what it does depends neither on the time nor on the sum."""
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
        """What a sum costs on leaving and on arriving by a way, atomic units; gas is `gas_times` as dear as usual."""
        rules = way.fee_usd, way.gas_usd, way.fee_bps, self.sender_share, self.sender_gas_share
        fee_usd, gas_usd, fee_bps, sender_share, sender_gas_share = (value_at(each, at_ns) for each in rules)
        further = USDC.nearest(gas_usd * gas_times) + _part_of(amount, fee_bps)
        leaving = USDC.nearest(fee_usd * sender_share) + round(further * sender_gas_share)
        return leaving, USDC.nearest(fee_usd) + further - leaving


def _part_of(amount: int, bps: float) -> int:
    """So many basis points of a sum, rounded up: two parts of it never cost less than the whole."""
    return math.ceil(amount * Fraction(str(bps)) / 10_000) if bps else 0


@frozen(slots=False)
class Leg:
    """A position as it stands: `size` in coins (> 0 long, < 0 short), equity and notional in USD at the mark.

    Of a venue with several coins, the leg of one coin has the size, notional, prices and delta of that coin, and equity
    and margin of the whole account. The leg of no coin in particular has the sums in USD; its size and delta are so
    many of the market's coin as are worth the same, and its entry and liquidation price are not numbers.
    """

    size: float = 0.0
    equity_usd: float = 0.0
    notional_usd: float = 0.0
    _entry_price: "float | Callable[[], float]" = field(default=float("nan"), eq=False, repr=False)
    _liquidation_price: "float | Callable[[], float]" = field(default=float("nan"), eq=False, repr=False)
    margin_usd: float = field(default=Factory(lambda self: self.equity_usd, takes_self=True))
    """What counts as margin: the equity, unless collateral is weighted or income is kept apart."""
    tokens: float = 0.0
    """Tokens held beside the position, such as collateral; whole tokens."""
    delta: float = field(default=Factory(lambda self: self.size, takes_self=True))
    """Coins as which position and tokens together move."""
    _free_usd: "float | Callable[[], float]" = field(
        default=Factory(lambda self: self.equity_usd, takes_self=True), eq=False, repr=False
    )
    _most_in_usd: "float | Callable[[], float]" = field(default=float("inf"), eq=False, repr=False)

    @property
    def most_in_usd(self) -> float:
        """What may enter, USD: without limit, unless the venue takes no more than it is owed."""
        return self._most_in_usd() if callable(self._most_in_usd) else self._most_in_usd

    @property
    def free_usd(self) -> float:
        """What may leave, USD, with the fee on leaving: the equity, unless the venue keeps some or all of it."""
        return self._free_usd() if callable(self._free_usd) else self._free_usd

    @property
    def entry_price(self) -> float:
        """What the position has cost per coin, USD; not a number without a position."""
        return self._entry_price() if callable(self._entry_price) else self._entry_price

    @property
    def liquidation_price(self) -> float:
        """The price at which the venue would liquidate now, USD; not a number where there is none."""
        return self._liquidation_price() if callable(self._liquidation_price) else self._liquidation_price

    @property
    def leverage(self) -> float:
        """Notional over equity; infinite for a position without equity, 0 without a position."""
        if self.notional_usd == 0:
            return 0.0
        return self.notional_usd / self.equity_usd if self.equity_usd > 0 else float("inf")


@frozen(eq=False)
class Declared:
    """An account as a venue's class declares it; on a venue it is the `Account`, or one for each of its coins."""

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
        venue.__dict__[self.name] = made
        return made

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

    `asset` is one, or a function of a coin such as `perpetual`: the coin in the field `of`, or each of the venue's
    coins with `per_coin`, and then the account is a mapping by coin. `floor` and `bucket` are those of `Account`.
    With `when` there is such an account only where that field of the venue is set. The account with `position` holds
    what is traded: what changes on it is the size of a fill.
    """
    return Declared(path, asset, of, floor, bucket, per_coin, when, position)


@frozen(eq=False)
class PriceOf:
    """An input of formulas: the price of the asset that the field `of` names, which moves in step with the coin."""

    of: str


def price_of(of: str) -> PriceOf:
    """Declare a price as an input of formulas: that of the coin or token that the field `of` names.

    Within a row, where only the coin's extremes are known, it is taken to move in step with the coin.
    """
    return PriceOf(of)


@frozen(eq=False)
class FromRules:
    """An input of formulas that follows from rules; on a venue it is the rule that is made, or one for each coin."""

    make: Callable[..., Any]
    rules: tuple[str, ...]
    per_coin: bool
    name: str = field(init=False, default="")

    def __set_name__(self, owner: type, name: str) -> None:
        object.__setattr__(self, "name", name)

    def __get__(self, venue: "Venue | None", owner: type) -> Any:  # noqa: ANN401  (a rule, or several)
        if venue is None:
            return self
        given = {path: _at(venue, path) for path in self.rules}
        made: object
        if self.per_coin:
            made = {
                coin: joined(self.make, *(_of_coin(rule, coin, f"{venue.name}.{path}") for path, rule in given.items()))
                for coin in venue.coins
            }
        else:
            made = joined(self.make, *given.values())
        venue.__dict__[self.name] = made
        return made

    def behind(self, venue: "Venue") -> str | None:
        """The first of the rules that the venue has."""
        return next((each for each in self.rules if _at(venue, each) is not None), None)


def from_rules(make: Callable[..., Any], *rules: str, per_coin: bool = False) -> Any:  # noqa: ANN401  (on a venue it is a rule)
    """Declare an input of formulas that follows from rules: what `make` makes of their values, at each of their dates.

    A rule is named by its field, or by a path such as `terms.limit_ltv`; one that is not set is None. With `per_coin`
    there is one input for each coin, and a rule that is a table by coin gives that coin's. An event that depends on the
    input names the first of the rules that is set.
    """
    return FromRules(make, rules, per_coin)


def _of_coin(rule: Any, coin: str, place: str) -> Any:  # noqa: ANN401  (a rule of any type)
    """The rule of one coin, of a rule that is the same for all coins or a table by coin."""

    def of(value: Any) -> Any:  # noqa: ANN401  (of any type)
        if not isinstance(value, Mapping):
            return value
        if coin not in value:
            raise ScenarioError(f"{place}: none of {coin}; expected one of {', '.join(value)}")
        return value[coin]

    return joined(of, rule)


def _at(part: object, path: str) -> Any:  # noqa: ANN401  (a rule of any type)
    """What is at a path of fields; None where there is nothing on the way."""
    for name in path.split("."):
        part = getattr(part, name) if part is not None else None
    return part


@frozen
class Act:
    """A reason for a venue to act: after a row in which the formula `when` holds its method `then` is called.

    `prices` are those at which the formula is judged: the row's `close`, or the `adverse` extreme for each position,
    its low for a long and its high for a short. After an act other than a liquidation the conditions of that row are
    told all the same, as they stood at its close before the act.
    """

    when: str
    then: str
    prices: Literal["close", "adverse"] = "close"
    liquidation: bool = False


LIQUIDATION = Act("liquidated", "liquidate", prices="adverse", liquidation=True)
"""The act of every venue that has a formula `liquidated`."""


@define(eq=False)
class Segment:
    """Rows `start` to `stop - 1` in which nobody acts, for a rule that works out its own accrual."""

    market: Market
    start: int
    stop: int
    balance: Callable[[Account], int]
    """Balance of an account before the first of these rows, atomic units."""
    others_usd: Floats
    """What wallet, transit and all other venues are worth at each row's close, shape (rows,)."""
    others_hold: bool
    """Whether another venue holds anything."""

    @property
    def years(self) -> Floats:
        """Length of each row in years."""
        return self.market.years[self.start : self.stop]


class Venue:
    """A protocol with its rules. Subclasses are frozen attrs classes: their fields are the keys of a scenario.

    A class declares accounts (`account`), further prices (`price_of`), formulas (`formula`, `per_coin`) and `acts`; it
    says what accrues in `accruals`, and has a method for each order that it fills, named like it: `Open` is filled by
    `open(order, book)`. Formulas of these names are what the framework asks for, all but `equity` optional:

    - `size` coins (> 0 long), `notional` USD, `equity` USD, `entry_price` USD per coin
    - `total_collateral` what counts as margin, USD; the equity unless stated
    - `maintenance` the margin below which a position is liquidated, USD; `liquidated` whether it is
    - `free` what may be paid out, USD: the equity unless stated, for venues that keep an initial margin of it
    - `most_in` what may be paid in, USD: without limit unless stated, for venues that take no more than they are owed
    - `tokens` held beside a position, `delta` coins as which all of it moves; the size unless stated
    - `liquidation_price`, worked out from `total_collateral` and `maintenance` unless stated
    """

    name: str
    """The name of its table in a scenario, which is given to it."""
    bridge: Bridge = Bridge()
    """A way without fee or delay, unless a subclass has a field for it."""

    def __init_subclass__(cls) -> None:
        """Refuse what a class declares under a name that every venue has; raises `TypeError`."""
        super().__init_subclass__()
        for name, value in vars(cls).items():
            if isinstance(value, Declared | Formula | FromRules | PriceOf) and hasattr(Venue, name):
                raise TypeError(f"{cls.__name__}.{name}: every venue has its own {name}; expected another name")

    @property
    def acts(self) -> Sequence[Act]:
        """The reasons for it to act; a class states others as `acts = (Act(...), ...)`."""
        return (LIQUIDATION,)

    @property
    def _class(self) -> type:
        return type(self)

    @property
    def coins(self) -> tuple[str, ...]:
        """The coins in which it may hold positions, from its field `coin`: one name or several."""
        coin = getattr(self, "coin", ())
        return (coin,) if isinstance(coin, str) else tuple(coin)

    def accounts(self) -> tuple[Account, ...]:
        """The venue's part of the chart of accounts, in the order of their declaration."""
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
        """The fields that are set, of those on which formulas depend."""
        named = {each.when for each in formulas_of(self._class).values() if each.when}
        return frozenset(name for name in named if getattr(self, name))

    def input(self, name: str) -> Any:  # noqa: ANN401  (an account, several by coin, a price or a rule)
        """What a formula means by a name: an account, one for each coin, a price or a rule; raises `AttributeError`."""
        declared = getattr(type(self), name, None)
        if not isinstance(declared, PriceOf):
            return getattr(self, name)
        coin = getattr(self, declared.of)
        return PriceOf(coin) if coin else None

    def rule_behind(self, name: str) -> str:
        """The rule that an event names for an input of formulas: its field, or the one that it follows from."""
        declared = getattr(type(self), name, None)
        return (declared.behind(self) if isinstance(declared, FromRules) else None) or name

    def rules(self) -> Mapping[str, object]:
        """Its rules by the names of their keys in a scenario, nested where those are tables."""
        return asdict(cast("AttrsInstance", self), filter=lambda field, _: field.init)

    def accruals(self) -> Iterable[Accrual]:
        """What accrues on its accounts."""
        return ()

    def columns(self) -> Iterable[str | tuple[str, ...]]:
        """Market columns that its methods read besides the prices of its formulas and the rates of its accruals.

        A mapping says as well what each has to measure, such as `Measure.AMOUNT`.
        """
        return ()

    def derived(self, market: Market) -> Mapping[str, tuple[str, Floats]]:
        """Columns that follow from others and that the market lacks: by name, the column that each follows from and it.

        Raises `MarketError` where they cannot be worked out of these rows.
        """
        return {}

    def check(self, market: Market) -> None:
        """Refuse market data that this venue cannot have; raises `MarketError`."""

    def orders(self) -> tuple[str, ...]:
        """The names of the methods that fill orders."""
        return _order_methods(self._class)

    def execute(self, method: str, order: object, book: "Books") -> None:
        """Fill an order by the method of its name."""
        getattr(self, method)(order, book)

    def accept(self, order: object, book: "Books") -> None:
        """Reject an order that has been filled where the venue does not allow what it leaves, such as a loan too large.

        It sees the books with the fill in them. A quote, which asks what an order would cost, is not checked.
        """

    def act(self, method: str, book: "Books") -> Event | None:
        """Do what an act of the venue does; an event that it answers with is entered instead of the framework's own."""
        then = getattr(self, method, None)
        if then is None:
            raise ScenarioError(f"{type(self).__name__}.acts: no method {method!r}; expected `{method}(self, book)`")
        found: Event | None = then(book)
        if found is not None and not isinstance(found, Event):
            raise ScenarioError(f"{type(self).__name__}.{method} answers with {found!r}; expected an event, or None")
        return found

    acts_when_halted: ClassVar[bool] = False
    """Whether it still acts, such as by liquidating, while it is halted."""

    def fail(self, loss_share: float, book: "Books") -> None:
        """Write what becomes of everything here where the venue fails: a share is lost, the rest is frozen."""
        book.write_off(self, loss_share)

    def deleverage(self, share: float, book: "Books") -> None:
        """Close a share of each profitable position at the mark, without being asked to."""
        book.refuse("it closes no positions of itself; expected a venue that does")

    def finish(self, book: "Books") -> None:
        """Write what is to be booked once the run is over and the strategy has had its last word."""

    def receive(self, book: "Books", source: Account, amount: int, kind: str) -> None:
        """Take in `amount` of USDC from `source`: margin, or repayment of a loan."""
        book.refuse("it takes no deposits; expected a venue that does")

    def pay(self, book: "Books", target: Account, amount: int, kind: str) -> None:
        """Pay `amount` of USDC out to `target`, an expense or another holder: margin, or a larger loan."""
        book.refuse("it holds no money; expected a venue that does")

    def penalty_account(self) -> Account | None:
        """Where penalties are booked; None where there are none."""
        return next((each for each in self.accounts() if each.bucket == "liquidation_penalty"), None)

    def token_account(self, code: str) -> Account | None:
        """Where tokens of this asset lie that can be moved to other venues; None where it takes none."""
        return None

    def due_ns(self, order: object, at_ns: int) -> int | None:
        """When what an order at `at_ns` leaves outstanding arrives; None where nothing does."""
        return None

    def deliver(self, order: object, amount: int, book: "Books") -> None:
        """Write the arrival of the `amount` that an order left outstanding."""


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
    """The further accounts of a venue that fails: what is taken out of it in each asset, and what is lost."""
    place = account_part(venue.name)
    assets = dict.fromkeys([*(each.asset for each in venue.accounts() if each.owned), USDC])
    return {each: Account(f"Equity:{place}:Failure", each, bucket="execution") for each in assets}


def loss_account(venue: Venue) -> Account:
    """The account of what is lost where a venue fails."""
    return Account(f"Expenses:{account_part(venue.name)}:Failure", USDC, bucket="losses")


def account_part(name: str) -> str:
    """A venue's name as a part of account names: `my_venue` is `MyVenue`."""
    return "".join(word.capitalize() for word in name.split("_"))


def _part(coin: str) -> str:
    """A coin's name as a part of account names."""
    letters = re.sub(r"[^A-Za-z0-9-]", "-", coin)
    return letters[:1].upper() + letters[1:]
