"""`Venue`: a protocol that holds positions. It keeps no balances: it reads the book, and answers with outcomes."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Literal

import numpy as np
from attrs import Attribute, Factory, field, frozen, validators
from numpy.typing import NDArray

from framework.accounts import Account, Book, Draft
from framework.accrual import Accrual
from framework.errors import OrderRefused
from framework.events import Liquidated, OrderFilled, Side, Unstaked
from framework.market import Floats, Mark, Market
from framework.orders import Open, Swap, Trade, said
from framework.units import USDC, Asset

CASH = Account("Assets:Wallet:Cash", USDC, floor=True)
"""Money that is on no venue."""
CAPITAL = Account("Equity:Capital", USDC)
IN_TRANSIT = Account("Assets:Bridge:InTransit", USDC, floor=True)
"""Money that has left one venue and not reached the other."""
BRIDGE_FEE = Account("Expenses:Bridge:Fee", USDC)
ABOVE_NOTHING = "a finite number above 0"

not_negative = validators.ge(0.0)
fraction = validators.and_(validators.ge(0.0), validators.lt(1.0))


def basis_points(_: object, attribute: "Attribute[float]", bps: float) -> None:
    """The validator of every fee in basis points: from nothing to the whole; raises `ValueError`."""
    if not 0 <= bps <= 10_000:
        raise ValueError(f"'{attribute.name}' must be 0 to 10000 basis points, of which 100 are 1 %: {bps}")


@frozen
class Penalty:
    """What a liquidation costs: `fraction` of the position's equity or of its notional, at most the equity."""

    of: Literal["equity", "notional"]
    fraction: float = field(validator=validators.and_(validators.ge(0.0), validators.le(1.0)))

    def amount(self, equity: int, notional: int) -> int:
        """The penalty in atomic units; nothing where there is no equity left."""
        base = equity if self.of == "equity" else notional
        return max(0, min(round(base * self.fraction), equity))


Valuation = Literal["market", "cost"]
"""At what a position is valued, charged, resized and closed: the row's price, or what was paid for it.

At cost nothing depends on the price any more: its profit and loss are left out, as in the study's older models.
"""
FeeTiming = Literal["each_trade", "entry"]
"""When fees are charged: on every trade, or for opening and closing together at entry and never again."""


@frozen
class Bridge:
    """The way of money to and from a venue: `sender_share` of the fee is paid on leaving, the rest on arriving."""

    fee_usd: float = field(default=0.0, validator=not_negative)
    latency_s: float = field(default=0.0, validator=not_negative)
    sender_share: float = field(default=0.5, validator=validators.and_(validators.ge(0.0), validators.le(1.0)))


@frozen
class Moment:
    """An instant at which a venue acts: its prices, and the ids of event and cause."""

    event: int
    cause: int | None
    at_ns: int
    mark: Mark

    @property
    def row(self) -> int:
        """The market row whose prices hold."""
        return self.mark.row

    @property
    def price(self) -> float:
        """The coin's price in USD."""
        return self.mark.price


@frozen
class Leg:
    """A position as it stands: `size` in coins (> 0 long, < 0 short), equity and notional in USD at the mark."""

    size: float = 0.0
    equity_usd: float = 0.0
    notional_usd: float = 0.0
    entry_price: float = float("nan")
    """What the position has cost per coin that is left, USD: the average paid, and what reducing it has made or lost.

    Not a number without a position.
    """
    liquidation_price: float = float("nan")
    """Price at which the venue would liquidate now, USD; not a number where there is none."""
    margin_usd: float = field(default=Factory(lambda self: self.equity_usd, takes_self=True))
    """What counts as margin: the equity, unless collateral is weighted or income is kept apart."""
    tokens: float = 0.0
    """Tokens held beside the position, such as collateral in jitoSOL; whole tokens."""
    delta: float = field(default=Factory(lambda self: self.size, takes_self=True))
    """Coins as which position and tokens together move."""

    @property
    def leverage(self) -> float:
        """Notional over equity; infinite for a position without equity, 0 without a position."""
        if self.notional_usd == 0:
            return 0.0
        return self.notional_usd / self.equity_usd if self.equity_usd > 0 else float("inf")


@frozen(eq=False)
class Projection:
    """A venue over a stretch of rows in which nobody acts; arrays have shape (rows,), money is USD at the close."""

    accruals: tuple[Accrual, ...]
    size: Floats
    equity_usd: Floats
    notional_usd: Floats
    liquidated: NDArray[np.bool_]
    """Rows in which the venue would liquidate the position."""
    margin_usd: Floats = field(default=Factory(lambda self: self.equity_usd, takes_self=True))
    """What counts as margin: the equity, unless collateral is weighted or income is kept apart."""
    delta: Floats = field(default=Factory(lambda self: self.size, takes_self=True))
    """Coins as which position and tokens together move."""
    _liquidation_price: Callable[[], Floats | float] = field(default=lambda: float("nan"))

    @property
    def liquidation_price(self) -> Floats:
        """Price at which the venue would liquidate, USD, worked out when it is asked for; as in `Leg`."""
        return np.broadcast_to(self._liquidation_price(), self.size.shape)


@frozen(eq=False)
class Stretch:
    """The rows `start` to `stop - 1` of the market, projected with positions as they are; idle venues are absent."""

    market: Market
    start: int
    stop: int
    projections: Mapping[str, Projection]

    def __len__(self) -> int:
        return self.stop - self.start

    def column(self, name: str) -> Floats:
        """A market column on these rows."""
        return self.market[name][self.start : self.stop]


class Venue(ABC):
    """A protocol with its rules. Subclasses are frozen values: name and rules in, outcomes out."""

    name: str
    """The name of its table in a scenario, which is given to it."""
    bridge: Bridge = Bridge()
    """A way without fee or delay, unless a subclass has a field for it."""

    @abstractmethod
    def accounts(self) -> tuple[Account, ...]:
        """The venue's part of the chart of accounts."""

    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The market columns that the venue reads."""

    @abstractmethod
    def project(self, book: Book, stretch: Stretch) -> Projection | None:
        """The stretch with positions as they are; None where nothing is held.

        `stretch` has the projections of the venues that stand before this one in the scenario.
        """

    @abstractmethod
    def leg(self, book: Book, mark: Mark) -> Leg:
        """The position as it stands, valued at the mark."""

    @abstractmethod
    def execute(self, order: Trade, draft: Draft, moment: Moment) -> OrderFilled:
        """Write an order's transfers into `draft`; raises `OrderRefused`."""

    def check(self, market: Market) -> None:
        """Refuse market data that this venue cannot have; raises `MarketError`."""

    def liquidate(self, draft: Draft, moment: Moment) -> Liquidated:
        """Write the liquidation of the position into `draft`."""
        raise refusal(self.name, moment, "a liquidation", "it liquidates nothing; expected a venue that does")

    def due_ns(self, order: object, at_ns: int) -> int | None:
        """When what an order at `at_ns` leaves outstanding arrives; None where nothing does."""
        return None

    def deliver(self, filled: OrderFilled, draft: Draft, moment: Moment) -> Unstaked:
        """Write the arrival of what an order left outstanding into `draft`."""
        raise refusal(self.name, moment, filled.order, "it leaves no order outstanding; expected a venue that does")

    def penalty_account(self) -> Account | None:
        """Where penalties are booked; None where there are none."""
        return None

    def token_account(self, code: str) -> Account | None:
        """Where tokens of this asset lie that can be moved to other venues; None where it takes none."""
        return None

    def receive(self, draft: Draft, source: Account, amount: int, moment: Moment, kind: str) -> None:
        """Take in `amount` of USDC from `source`: margin, or repayment of a loan."""
        raise refusal(self.name, moment, f"a {_spaced(kind)}", "it takes no deposits; expected a venue that does")

    def pay(self, draft: Draft, target: Account, amount: int, moment: Moment, kind: str) -> None:
        """Pay `amount` of USDC out to `target`, an expense or another holder: margin, or a larger loan."""
        raise refusal(self.name, moment, f"a {_spaced(kind)}", "it holds no money; expected a venue that does")


def unknown_order(venue: str, order: object, moment: Moment, known: str) -> OrderRefused:
    """The refusal of an order that a venue does not know."""
    return refusal(venue, moment, order, f"it is no order for this venue; expected {known}")


def account_part(name: str) -> str:
    """A venue's name as a part of account names: `my_venue` is `MyVenue`."""
    return "".join(word.capitalize() for word in name.split("_"))


def filled(
    venue: str,
    order: str,
    moment: Moment,
    *,
    price: float,
    size: int = 0,
    amount: int = 0,
    fee: int = 0,
    charged: int | None = None,
    reason: str = "",
) -> OrderFilled:
    """An order's event, of the moment at which it was executed; see `OrderFilled` for the units."""
    return OrderFilled(
        event=moment.event,
        at_ns=moment.at_ns,
        venue=venue,
        cause=moment.cause,
        order=order,
        price=price,
        size=size,
        amount=amount,
        fee=fee,
        charged=amount if charged is None else charged,
        reason=reason,
    )


def is_number(value: object) -> bool:
    """Whether a strategy gave a finite number."""
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def check_open(venue: str, order: Open, moment: Moment, side: Side | None = None) -> None:
    """Refuse an opening whose fields cannot be, or that is not on the one `side` of a venue; raises `OrderRefused`."""
    if side not in (None, order.side) or not isinstance(order.side, Side):
        expected = (side,) if side else tuple(Side)
        raise wrong(venue, moment, order, "side", " or ".join(f"Side.{each.name}" for each in expected))
    if not (is_number(order.size) and order.size > 0):
        raise wrong(venue, moment, order, "size", ABOVE_NOTHING)
    if not is_number(order.funds_usd) or order.funds_usd < 0:
        raise wrong(venue, moment, order, "funds_usd", "a finite number, 0 or more")
    quoted_usd = order.quoted_notional_usd
    if quoted_usd is not None and not (is_number(quoted_usd) and quoted_usd >= 0):
        raise wrong(venue, moment, order, "quoted_notional_usd", "a finite number, 0 or more, or None")


def check_swap(venue: str, order: Swap, moment: Moment, assets: Collection[str]) -> None:
    """Refuse a swap of anything but two of these assets, by code; raises `OrderRefused`."""
    for name in ("sell", "buy"):
        if getattr(order, name) not in assets:
            raise wrong(venue, moment, order, name, f"one of {', '.join(assets)}")
    if order.sell == order.buy:
        raise wrong(venue, moment, order, "buy", "another asset than is sold")


def positive(venue: str, moment: Moment, order: object, name: str, asset: Asset) -> int:
    """A field of an order in atomic units of `asset`; raises `OrderRefused` unless it is finite and above 0."""
    value = getattr(order, name)
    if not (is_number(value) and value > 0 and math.isfinite(value * asset.scale)):
        raise wrong(venue, moment, order, name, ABOVE_NOTHING)
    atoms = asset.nearest(value)
    if not atoms:
        raise wrong(venue, moment, order, name, f"at least {asset.decimal(1):f} {asset.code}, the least there is")
    return atoms


def wrong(venue: str, moment: Moment, order: object, name: str, expected: str) -> OrderRefused:
    """The refusal of an order for one of its fields: the field, its value, and what would be right."""
    return refusal(venue, moment, order, f"{name} is {said(getattr(order, name))}; expected {expected}")


def _spaced(kind: str) -> str:
    return kind.replace("_", " ")


def refusal(venue: str, moment: Moment, order: object, why: str) -> OrderRefused:
    """An order that is refused, in one line: which, where, when, after which event, and why."""
    opened = moment.mark.market.when(moment.row)
    cause = "" if moment.cause is None else f", event {moment.cause}"
    return OrderRefused(f"{venue} refuses {order} in row {moment.row + 1} ({opened}{cause}): {why}")
