"""What a strategy may wish for. Sums are USD and sizes whole coins, as floats that are rounded once, at posting.

The text of an order is what it asks for in words, as a refusal tells it; whatever a strategy gave can be told. `coin`
is for venues that hold positions in several: elsewhere it is the venue's own.
"""

import math
import re
from collections.abc import Collection
from numbers import Real
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from attrs import frozen

from framework.events import Side
from framework.formulas import cached_by_class
from framework.money import Asset

if TYPE_CHECKING:
    from framework.books import Books

ABOVE_NOTHING = "a finite number above 0"
MAGNITUDE = f"{ABOVE_NOTHING}, such as abs(view.leg(venue).size)"


def said(value: object) -> str:
    """A field of an order as people write it: numbers to twelve digits, sides by name, all else as Python has it."""
    if isinstance(value, Side):
        return value.value
    return f"{value + 0.0:.12g}" if isinstance(value, Real) and not isinstance(value, bool) else repr(value)


class Order:
    """Something that a strategy wishes for; one of a user's own has a `venue` and is filled by a method of it.

    The method has the name of the order's class in lower case: `Open` is filled by `open`, and an order `RollOver` of a
    user's own by `roll_over`.
    """

    venue: str


@cached_by_class
def method_of(order: type) -> str:
    """The name of the method that fills orders of a class."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", order.__name__).lower()


def _count(size: object, noun: str) -> str:
    return f"{said(size)} {noun}" if size == 1 else f"{said(size)} {noun}s"


@frozen
class Open(Order):
    """Open a position of `size` coins, or add to one, at the row's price, with `funds_usd` from the wallet.

    What the position costs beyond the funds is borrowed or backed by margin, as the venue does it. Fees are charged on
    the traded notional, or on `quoted_notional_usd` where the fee was agreed on another one beforehand.
    """

    venue: str
    side: Side
    size: float
    funds_usd: float
    quoted_notional_usd: float | None = None
    coin: str | None = None

    def __str__(self) -> str:
        return f"a {said(self.side)} of {_count(self.size, 'coin')} with {said(self.funds_usd)} USD"


@frozen
class Close(Order):
    """Close the whole position at the row's price, pay its debts, and return what is left to the wallet.

    `reason` stays with the fill, for those who read the log.
    """

    venue: str
    reason: str = ""
    coin: str | None = None

    def __str__(self) -> str:
        return "the closing of its position"


@frozen
class Resize(Order):
    """Bring a position to `size` coins, without sign, at the row's price; the side stays as it is.

    The size of a leg has a sign: half of a short is `Resize(venue, abs(view.leg(venue).size) / 2)`.
    """

    venue: str
    size: float
    coin: str | None = None

    def __str__(self) -> str:
        return f"a resize to {_count(self.size, 'coin')}"


@frozen
class PayPenalty(Order):
    """Pay a penalty of `amount_usd` at a venue, for rules that take it on more than the venue's own position."""

    venue: str
    amount_usd: float

    def __str__(self) -> str:
        return f"a penalty of {said(self.amount_usd)} USD"


@frozen
class Deposit(Order):
    """Pay `amount_usd` from the wallet into the venue: margin, or repayment of a loan."""

    venue: str
    amount_usd: float

    def __str__(self) -> str:
        return f"a deposit of {said(self.amount_usd)} USD"


@frozen
class Withdraw(Order):
    """Take `amount_usd` out of the venue into the wallet: margin, or a larger loan."""

    venue: str
    amount_usd: float

    def __str__(self) -> str:
        return f"a withdrawal of {said(self.amount_usd)} USD"


@frozen
class Move(Order):
    """Send `amount_usd` from one venue to the other over their bridge; it counts for neither until it arrives."""

    source: str
    target: str
    amount_usd: float

    def __str__(self) -> str:
        return f"a move of {said(self.amount_usd)} USD from {self.source} to {self.target}"


@frozen
class MoveTokens(Order):
    """Move `size` whole tokens of asset `token` from one venue to another, such as collateral."""

    source: str
    target: str
    token: str
    size: float

    def __str__(self) -> str:
        return f"a move of {said(self.size)} {self.token} from {self.source} to {self.target}"


@frozen
class Swap(Order):
    """Sell `amount` whole units of `sell` for `buy` at the row's prices; one of the two may be USDC of the wallet.

    The venue's swap fee is a share of what is sold.
    """

    venue: str
    sell: str
    buy: str
    amount: float

    def __str__(self) -> str:
        return f"a swap of {said(self.amount)} {self.sell} for {self.buy}"


@frozen
class Stake(Order):
    """Give `size` coins to a stake pool for its tokens, at the pool's rate."""

    venue: str
    size: float

    def __str__(self) -> str:
        return f"a stake of {_count(self.size, 'coin')}"


@frozen
class Unstake(Order):
    """Give `size` tokens back to a stake pool; the coins arrive, less the pool's fee, when an epoch has passed."""

    venue: str
    size: float

    def __str__(self) -> str:
        return f"an unstaking of {_count(self.size, 'token')}"


@frozen
class Mint(Order):
    """Pay an issuer's swap fee on `amount_usd` of the wallet, which is to back new synthetic dollars."""

    venue: str
    amount_usd: float

    def __str__(self) -> str:
        return f"a mint on {said(self.amount_usd)} USD"


@frozen
class Redeem(Order):
    """Pay an issuer's swap fee on `amount_usd` of the wallet, which is to be paid out, and all that it is owed."""

    venue: str
    amount_usd: float

    def __str__(self) -> str:
        return f"a redemption of {said(self.amount_usd)} USD"


@frozen
class ChargeRebalance(Order):
    """Pay an issuer's rebalancing fee, out of the wallet, on `traded_usd` of notional traded for its sake."""

    venue: str
    traded_usd: float

    def __str__(self) -> str:
        return f"a rebalancing fee on {said(self.traded_usd)} USD traded"


NUMBERS = (int, float, np.number)


def is_number(value: Any) -> bool:  # noqa: ANN401  (whatever a strategy gave)
    """Whether a strategy gave a finite number."""
    return isinstance(value, NUMBERS) and bool(abs(value) < math.inf)  # type: ignore[operator]


def wrong(book: "Books", order: object, name: str, expected: str) -> NoReturn:
    """Refuse an order for one of its fields: the field, its value, and what would be right."""
    book.refuse(f"{name} is {said(getattr(order, name))}; expected {expected}")


def check_open(book: "Books", order: Open, side: Side | None = None) -> None:
    """Refuse an opening whose fields cannot be, or that is not on the one `side` of a venue; raises `OrderRefused`."""
    if side not in (None, order.side) or not isinstance(order.side, Side):
        expected = (side,) if side else tuple(Side)
        wrong(book, order, "side", " or ".join(f"Side.{each.name}" for each in expected))
    if not (is_number(order.size) and order.size > 0):
        wrong(book, order, "size", ABOVE_NOTHING)
    if not is_number(order.funds_usd) or order.funds_usd < 0:
        wrong(book, order, "funds_usd", "a finite number, 0 or more")
    quoted_usd = order.quoted_notional_usd
    if quoted_usd is not None and not (is_number(quoted_usd) and quoted_usd >= 0):
        wrong(book, order, "quoted_notional_usd", "a finite number, 0 or more, or None")


def check_swap(book: "Books", order: Swap, assets: Collection[str]) -> None:
    """Refuse a swap of anything but two of these assets, by code; raises `OrderRefused`."""
    for name in ("sell", "buy"):
        if getattr(order, name) not in assets:
            wrong(book, order, name, f"one of {', '.join(assets)}")
    if order.sell == order.buy:
        wrong(book, order, "buy", "another asset than is sold")


def positive(book: "Books", order: object, name: str, asset: Asset) -> int:
    """A field of an order in atomic units of `asset`; raises `OrderRefused` unless it is finite and above 0."""
    value = getattr(order, name)
    if not (is_number(value) and value > 0 and value * asset.scale < math.inf):
        wrong(book, order, name, MAGNITUDE if isinstance(order, Resize) else ABOVE_NOTHING)
    atoms = asset.nearest(value)
    if not atoms:
        wrong(book, order, name, f"at least {asset.decimal(1):f} {asset.code}, the least there is")
    return atoms
