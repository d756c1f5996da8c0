"""What a strategy may wish for. Sums are USD and sizes whole coins, as floats: they are rounded once, at posting.

The text of an order is what it asks for in words, as a refusal tells it; whatever a strategy gave can be told.
"""

from numbers import Real

from attrs import frozen

from framework.events import Side


def said(value: object) -> str:
    """A field of an order as people write it: numbers to twelve digits, sides by name, all else as Python has it."""
    if isinstance(value, Side):
        return value.value
    return f"{float(value):.12g}" if isinstance(value, Real) and not isinstance(value, bool) else repr(value)


def _count(size: object, noun: str) -> str:
    return f"{said(size)} {noun}" if said(size) == "1" else f"{said(size)} {noun}s"


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

    def __str__(self) -> str:
        return f"a {said(self.side)} of {_count(self.size, 'coin')} with {said(self.funds_usd)} USD"


@frozen
class Close:
    """Close the whole position at the row's price, pay its debts, and return what is left to the wallet.

    `reason` stays with the fill, for those who read the log.
    """

    venue: str
    reason: str = ""

    def __str__(self) -> str:
        return "the closing of its position"


@frozen
class Resize:
    """Bring a position to `size` coins at the row's price, on the side on which it is."""

    venue: str
    size: float

    def __str__(self) -> str:
        return f"a resize to {_count(self.size, 'coin')}"


@frozen
class PayPenalty:
    """Pay a penalty of `amount_usd` at a venue, for rules that take it on more than the venue's own position."""

    venue: str
    amount_usd: float

    def __str__(self) -> str:
        return f"a penalty of {said(self.amount_usd)} USD"


@frozen
class Deposit:
    """Pay `amount_usd` from the wallet into the venue: margin, or repayment of a loan."""

    venue: str
    amount_usd: float

    def __str__(self) -> str:
        return f"a deposit of {said(self.amount_usd)} USD"


@frozen
class Withdraw:
    """Take `amount_usd` out of the venue into the wallet: margin, or a larger loan."""

    venue: str
    amount_usd: float

    def __str__(self) -> str:
        return f"a withdrawal of {said(self.amount_usd)} USD"


@frozen
class Move:
    """Send `amount_usd` from one venue to the other over their bridge; it counts for neither until it arrives."""

    source: str
    target: str
    amount_usd: float

    def __str__(self) -> str:
        return f"a move of {said(self.amount_usd)} USD from {self.source} to {self.target}"


@frozen
class MoveTokens:
    """Move `size` whole tokens of asset `token` from one venue to another, such as jitoSOL as collateral."""

    source: str
    target: str
    token: str
    size: float

    def __str__(self) -> str:
        return f"a move of {said(self.size)} {self.token} from {self.source} to {self.target}"


@frozen
class Swap:
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
class Stake:
    """Give `size` SOL to a stake pool for its tokens, at the pool's rate."""

    venue: str
    size: float

    def __str__(self) -> str:
        return f"a stake of {said(self.size)} SOL"


@frozen
class Unstake:
    """Give `size` tokens back to a stake pool; the SOL arrives, less the pool's fee, when an epoch has passed."""

    venue: str
    size: float

    def __str__(self) -> str:
        return f"an unstaking of {_count(self.size, 'token')}"


@frozen
class Mint:
    """Pay an issuer's swap fee on `amount_usd` of the wallet, which is to back new synthetic dollars."""

    venue: str
    amount_usd: float

    def __str__(self) -> str:
        return f"a mint on {said(self.amount_usd)} USD"


@frozen
class Redeem:
    """Pay an issuer's swap fee on `amount_usd` of the wallet, which is to be paid out, and all that it is owed."""

    venue: str
    amount_usd: float

    def __str__(self) -> str:
        return f"a redemption of {said(self.amount_usd)} USD"


@frozen
class ChargeRebalance:
    """Pay an issuer's rebalancing fee, out of the wallet, on `traded_usd` of notional traded for its sake."""

    venue: str
    traded_usd: float

    def __str__(self) -> str:
        return f"a rebalancing fee on {said(self.traded_usd)} USD traded"


Trade = Open | Close | Resize | Swap | Stake | Unstake | Mint | Redeem | ChargeRebalance
"""Orders that one venue fills by itself."""
Order = Trade | Deposit | Withdraw | Move | MoveTokens | PayPenalty
