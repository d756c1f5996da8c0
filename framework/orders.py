"""What a strategy may wish for. Sums are USD and sizes whole coins, as floats: they are rounded once, at posting."""

from attrs import frozen

from framework.events import Side


@frozen
class Open:
    """Open a position of `size` coins, or add to one, at the row's price, with `funds_usd` from the wallet.

    What the position costs beyond the funds is borrowed or backed by margin, as the venue does it. Fees are charged on
    the traded notional, or on `quoted_notional_usd` where the fee was agreed on another one beforehand.
    """

    venue: str
    side: Side
    size: float
    funds_usd: float
    quoted_notional_usd: float | None = None


@frozen
class Close:
    """Close the whole position at the row's price, pay its debts, and return what is left to the wallet.

    `reason` stays with the fill, for those who read the log.
    """

    venue: str
    reason: str = ""


@frozen
class Resize:
    """Bring a position to `size` coins at the row's price, on the side on which it is."""

    venue: str
    size: float


@frozen
class PayPenalty:
    """Pay a penalty of `amount_usd` at a venue, for rules that take it on more than the venue's own position."""

    venue: str
    amount_usd: float


@frozen
class Deposit:
    """Pay `amount_usd` from the wallet into the venue: margin, or repayment of a loan."""

    venue: str
    amount_usd: float


@frozen
class Withdraw:
    """Take `amount_usd` out of the venue into the wallet: margin, or a larger loan."""

    venue: str
    amount_usd: float


@frozen
class Move:
    """Send `amount_usd` from one venue to the other over their bridge; it counts for neither until it arrives."""

    source: str
    target: str
    amount_usd: float


Trade = Open | Close | Resize
Order = Trade | Deposit | Withdraw | Move | PayPenalty
