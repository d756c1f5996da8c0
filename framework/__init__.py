"""carrybook's framework: what strategies and venues are written with, and what runs and records them."""

from framework.accounts import Account, Draft, Record, Stream, Transfer
from framework.assembly import Assembly, assemble
from framework.conditions import Condition, EveryRow, LeverageAbove
from framework.errors import CarrybookError
from framework.events import (
    ConditionMet,
    Ended,
    Event,
    FundingSettled,
    InterestAccrued,
    Liquidated,
    OrderFilled,
    Side,
    Started,
    TransferArrived,
    TransferSent,
)
from framework.ledger import Ledger
from framework.market import Mark, Market
from framework.orders import Close, Deposit, Move, Open, Order, PayPenalty, Resize, Trade, Withdraw
from framework.rulebook import Rulebook
from framework.run import Run
from framework.scenario import Scenario
from framework.simulation import Simulation
from framework.strategy import Strategy
from framework.units import SOL, USDC, Asset
from framework.valuation import Waterfall, metrics, waterfall
from framework.venue import Bridge, Leg, Moment, Penalty, Projection, Stretch, Venue
from framework.view import StillView, View

__all__ = [
    "SOL",
    "USDC",
    "Account",
    "Assembly",
    "Asset",
    "Bridge",
    "CarrybookError",
    "Close",
    "Condition",
    "ConditionMet",
    "Deposit",
    "Draft",
    "Ended",
    "Event",
    "EveryRow",
    "FundingSettled",
    "InterestAccrued",
    "Ledger",
    "Leg",
    "LeverageAbove",
    "Liquidated",
    "Mark",
    "Market",
    "Moment",
    "Move",
    "Open",
    "Order",
    "OrderFilled",
    "PayPenalty",
    "Penalty",
    "Projection",
    "Record",
    "Resize",
    "Rulebook",
    "Run",
    "Scenario",
    "Side",
    "Simulation",
    "Started",
    "StillView",
    "Strategy",
    "Stream",
    "Stretch",
    "Trade",
    "Transfer",
    "TransferArrived",
    "TransferSent",
    "Venue",
    "View",
    "Waterfall",
    "Withdraw",
    "assemble",
    "metrics",
    "waterfall",
]
