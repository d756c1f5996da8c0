"""What happens in a run, as frozen values: each has an id, an instant, a venue and the event that caused it.

Amounts are atomic units (`size` of the position's asset, the rest of USDC); prices are USD; rates are fractions of
the interval that they cover. `cause` is the id of the event that provoked this one, None where the market did.
"""

from enum import StrEnum

from attrs import frozen

from framework.money import USDC


class Side(StrEnum):
    """Which way a position looks."""

    LONG = "long"
    SHORT = "short"


@frozen(kw_only=True)
class Event:
    """Something that happened: `event` is its id, `at_ns` its instant in UTC nanoseconds.

    Ids are given when the run's journal is written out: while a strategy runs they are 0.
    """

    event: int = 0
    at_ns: int = 0
    venue: str = ""
    cause: int | None = None

    @property
    def kind(self) -> str:
        """The name of the event's class."""
        return type(self).__name__


@frozen(kw_only=True)
class Started(Event):
    """The run began: `amount` of capital was paid in, and the strategy may place its first orders."""

    amount: int


@frozen(kw_only=True)
class FundingSettled(Event):
    """A perpetual's funding: `amount` > 0 was received, < 0 paid; `rate` > 0 means that longs pay shorts."""

    asset: str
    rate: float
    price: float
    size: int
    amount: int


@frozen(kw_only=True)
class InterestAccrued(Event):
    """A lender's interest on `size` of `asset`: `amount` > 0 was earned on a deposit, < 0 is owed on a loan."""

    asset: str
    rate: float
    price: float
    size: int
    amount: int


@frozen(kw_only=True)
class RewardAccrued(Event):
    """A stake pool's rate took a step: `size` of the token `asset` are worth `amount` of the coin more.

    `rate` is the step in coins per token, after the pool's fee, and `price` the coin's price in USD.
    """

    asset: str
    rate: float
    price: float
    size: int
    amount: int


@frozen(kw_only=True)
class FeeAccrued(Event):
    """A fee that runs with time or income was charged on `size` of `asset` at `rate`; `amount` < 0 is what it cost."""

    asset: str
    rate: float
    price: float
    size: int
    amount: int


@frozen(kw_only=True)
class MarginCalled(Event):
    """An internal requirement, `requirement` of the notional, was above the margin; the strategy answered it.

    `margin` and `required` are atomic units of USDC at `price`, the row's close; the shortfall is their difference.
    """

    requirement: float
    margin: int
    required: int
    price: float


@frozen(kw_only=True)
class Liquidated(Event):
    """A venue found a position under its maintenance margin and took its penalty.

    `trigger_price` is the price at which it was found, `price` the one at which it was settled. `equity` is the
    position's before the penalty, `bad_debt` what was missing and nobody paid. `closed` tells whether the venue closed
    the position, for a `fee` as for any trade; if not, the strategy has to. Of an account with several coins `side`,
    `size` and the prices are those of the coin with the largest notional, and the rest is the whole account's.
    `liquidation_price` and `leverage` are those of the position before, at the prices of the act; None where there is
    none. `rules` are the dated rules that bound the act, `column` is that of the row's adverse extreme by which it was
    found, such as `SOL.oracle.low`.
    """

    side: Side
    trigger_price: float
    price: float
    size: int
    equity: int
    penalty: int
    bad_debt: int
    closed: bool
    fee: int = 0
    liquidation_price: float | None = None
    leverage: float | None = None
    rules: tuple[str, ...] = ()
    column: str = ""


@frozen(kw_only=True)
class ConditionMet(Event):
    """A condition that the strategy had named holds, and it acted on it; `condition` says which."""

    condition: object


@frozen(kw_only=True)
class OrderFilled(Event):
    """An order was executed: `size` was traded at `price` for `amount`, at a total `fee` on a notional of `charged`.

    Of staking and unstaking `size` are tokens, and `amount` are the coins that were given or are to come.
    """

    order: str
    price: float
    size: int = 0
    amount: int = 0
    fee: int = 0
    charged: int = 0
    reason: str = ""

    @property
    def fee_usd(self) -> float:
        """The total fee in USD."""
        return USDC.units(self.fee)


@frozen(kw_only=True)
class TransferSent(Event):
    """`amount` left `venue` for `counterparty`; `fee` was paid on leaving."""

    counterparty: str
    amount: int
    fee: int
    price: float


@frozen(kw_only=True)
class TransferArrived(Event):
    """`amount` reached `venue` from `counterparty`; `fee` was paid on arriving."""

    counterparty: str
    amount: int
    fee: int
    price: float


@frozen(kw_only=True)
class Unstaked(Event):
    """A delayed unstaking is over: `amount` of the coin can be used."""

    amount: int
    price: float


@frozen(kw_only=True)
class Acted(Event):
    """A venue acted by a rule of its own, such as an expiry, that is not a liquidation.

    `act` is the formula that held, or "finish" once the run is over; `size` the change of the position at `price`,
    `amount` the USDC that it was traded for, `fee` what went to fees. Where several coins were traded, size and price
    are those of the coin that was traded for most. `rules` are the dated rules that bound it.
    """

    act: str
    price: float
    size: int = 0
    amount: int = 0
    fee: int = 0
    rules: tuple[str, ...] = ()


@frozen(kw_only=True)
class Rejected(Event):
    """A venue, or the wallet, could not do what an order asked for; nothing of it happened, and the run goes on.

    `rules` are the dated rules that bound it.
    """

    order: str
    reason: str
    price: float
    rules: tuple[str, ...] = ()


@frozen(kw_only=True)
class TransferFailed(Event):
    """`amount` could not reach `venue` and returned to `counterparty`; what was paid on leaving is lost."""

    counterparty: str
    amount: int
    price: float


@frozen(kw_only=True)
class VenueHalted(Event):
    """A venue takes no orders from now on, and nothing leaves or enters it; `until_ns` is when it resumes, if known."""

    price: float
    until_ns: int | None = None


@frozen(kw_only=True)
class VenueResumed(Event):
    """A venue that was halted takes orders again."""

    price: float


@frozen(kw_only=True)
class VenueFailed(Event):
    """A venue is gone: `lost` of what it held at `price` is lost, `amount` is frozen and counts as in transit.

    Where the scenario says when it is paid, `TransferArrived` tells of that.
    """

    price: float
    loss_share: float
    lost: int
    amount: int


@frozen(kw_only=True)
class Deleveraged(Event):
    """A venue closed `share` of our profitable positions by itself: `size` at `price`, the mark, for `amount`."""

    price: float
    share: float
    size: int
    amount: int


@frozen(kw_only=True)
class IncidentBegan(Event):
    """Something else went wrong: `incident` says what, such as `oracle_freeze`; `until_ns` how long, if known."""

    incident: str
    price: float
    until_ns: int | None = None


@frozen(kw_only=True)
class IncidentEnded(Event):
    """What had gone wrong is over; `incident` says what."""

    incident: str
    price: float


@frozen(kw_only=True)
class Ended(Event):
    """The last row has passed: a strategy that wants to leave its positions does so now."""
