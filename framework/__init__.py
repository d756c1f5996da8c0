"""carrybook's framework: what strategies and venues are written with, and what runs and records them."""

from framework.accounts import Account, Draft, Record, Stream, Transfer
from framework.assembly import Assembly, assemble
from framework.conditions import Condition, DeltaBeyond, EveryRow, LeverageAbove, MarginBelow
from framework.errors import CarrybookError
from framework.events import (
    ConditionMet,
    Ended,
    Event,
    FeeAccrued,
    FundingSettled,
    InterestAccrued,
    Liquidated,
    MarginCalled,
    OrderFilled,
    RewardAccrued,
    Side,
    Started,
    TransferArrived,
    TransferSent,
    Unstaked,
)
from framework.ledger import Ledger
from framework.market import Mark, Market
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
    Trade,
    Unstake,
    Withdraw,
)
from framework.rulebook import Rulebook
from framework.run import Run
from framework.scenario import Scenario
from framework.simulation import Simulation
from framework.strategy import Strategy
from framework.units import JITOSOL, SOL, USDC, Asset
from framework.valuation import Waterfall, metrics, waterfall
from framework.venue import Bridge, Leg, Moment, Penalty, Projection, Stretch, Venue
from framework.view import StillView, View

__all__ = [
    "JITOSOL",
    "SOL",
    "USDC",
    "Account",
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
    "Draft",
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
    "MarginBelow",
    "MarginCalled",
    "Mark",
    "Market",
    "Mint",
    "Moment",
    "Move",
    "MoveTokens",
    "Open",
    "Order",
    "OrderFilled",
    "PayPenalty",
    "Penalty",
    "Projection",
    "Record",
    "Redeem",
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
    "Stream",
    "Stretch",
    "Swap",
    "Trade",
    "Transfer",
    "TransferArrived",
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
