"""The public names of `framework`: what strategies are written with, and what runs and records them.

Venues are written with `framework.venue` as well.
"""

from framework.accounts import Account
from framework.assembly import Assembly, assemble
from framework.errors import CarrybookError
from framework.events import (
    Acted,
    ConditionMet,
    Ended,
    Event,
    FeeAccrued,
    FundingSettled,
    InterestAccrued,
    Liquidated,
    MarginCalled,
    OrderFilled,
    Rejected,
    RewardAccrued,
    Side,
    Started,
    TransferArrived,
    TransferFailed,
    TransferSent,
    Unstaked,
)
from framework.ledger import Ledger
from framework.market import Market
from framework.orders import (
    ChargeRebalance,
    Close,
    Deposit,
    Mint,
    Move,
    MoveTokens,
    Open,
    Order,
    PayPenalty,
    Redeem,
    Resize,
    Stake,
    Swap,
    Unstake,
    Withdraw,
)
from framework.rulebook import Rulebook
from framework.run import Run
from framework.scenario import Scenario
from framework.simulation import Simulation
from framework.strategy import (
    Condition,
    DeltaBeyond,
    EveryRow,
    LeverageAbove,
    LiquidationNear,
    MarginBelow,
    NoPosition,
    StillView,
    Strategy,
    View,
)
from framework.units import USDC, Asset
from framework.valuation import Waterfall, metrics, waterfall
from framework.venue import Bridge, Leg, Penalty, Venue

__all__ = [
    "USDC",
    "Account",
    "Acted",
    "Assembly",
    "Asset",
    "Bridge",
    "CarrybookError",
    "ChargeRebalance",
    "Close",
    "Condition",
    "ConditionMet",
    "DeltaBeyond",
    "Deposit",
    "Ended",
    "Event",
    "EveryRow",
    "FeeAccrued",
    "FundingSettled",
    "InterestAccrued",
    "Ledger",
    "Leg",
    "LeverageAbove",
    "Liquidated",
    "LiquidationNear",
    "MarginBelow",
    "MarginCalled",
    "Market",
    "Mint",
    "Move",
    "MoveTokens",
    "NoPosition",
    "Open",
    "Order",
    "OrderFilled",
    "PayPenalty",
    "Penalty",
    "Redeem",
    "Rejected",
    "Resize",
    "RewardAccrued",
    "Rulebook",
    "Run",
    "Scenario",
    "Side",
    "Simulation",
    "Stake",
    "Started",
    "StillView",
    "Strategy",
    "Swap",
    "TransferArrived",
    "TransferFailed",
    "TransferSent",
    "Unstake",
    "Unstaked",
    "Venue",
    "View",
    "Waterfall",
    "Withdraw",
    "assemble",
    "metrics",
    "waterfall",
]
