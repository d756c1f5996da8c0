"""The study's rulebook: the simplified rules under which the published comparison of carry strategies was made."""

from collections.abc import Mapping

from attrs import frozen

from framework.rulebook.row_path import RowPath
from framework.scenario import Rulebook
from framework.strategy import Strategy

PERPETUALS: Mapping[str, Mapping[str, object]] = {
    "hyperliquid": {
        "taker_fee_bps": 3.5,
        "maintenance_margin": 0.05,
        "liquidation_penalty": {"of": "equity", "fraction": 0.5},
        "bridge": {"fee_usd": 3.0},
    },
    "drift": {
        "taker_fee_bps": 3.5,
        "maintenance_margin": 0.03,
        "liquidation_penalty": {"of": "notional", "fraction": 0.025},
        "bridge": {"fee_usd": 0.001},
    },
}
"""Fees in basis points of notional, margin as a fraction of notional, one flat bridge fee that both ends share."""


@frozen(kw_only=True)
class Study(Rulebook):
    """The study's simplifications, each under its own name; the first two are off by default.

    `look_ahead_at_entry`: positions are opened at the close of the first day and earn that whole day all the same.
    `forgive_negative_equity`: what a liquidated account is short of is nobody's loss; the books show it as bad debt.
    The long leg is judged by the margin and penalty of the perpetual that is sold short, not by its lender's. A
    liquidation takes the penalty and leaves the position for the strategy to close. Repaying more than is owed is
    possible, and earns the borrowing rate.
    """

    look_ahead_at_entry: bool = False
    path: RowPath = "close"
    """The order of prices within a row: its close alone, or its extremes first."""
    forgive_negative_equity: bool = False

    def terms(self, venue: str, strategy: Strategy) -> Mapping[str, object]:
        liquidation = {
            "liquidation_closes": False,
            "forgive_negative_equity": self.forgive_negative_equity,
        }
        if venue in PERPETUALS:
            return {**PERPETUALS[venue], **liquidation}
        if venue == "asgard":
            perpetual = PERPETUALS.get(str(getattr(strategy, "short", "")), {})
            judged = {key: perpetual[key] for key in ("maintenance_margin", "liquidation_penalty") if key in perpetual}
            return {
                "open_fee_bps": 15.0,
                "gas_usd": 2.0,
                "overpayment": "earns_borrowing_rate",
                **judged,
                **liquidation,
            }
        return {}

    def leaves_open(self, venue: str, strategy: Strategy) -> str:
        short = getattr(strategy, "short", None)
        if venue != "asgard" or str(short) in PERPETUALS:
            return ""
        named = f"which is {short!r}" if short is not None else "a field that this strategy does not have"
        return (
            f"the rulebook judges a long by the perpetual that strategy.short names, {named}: expected "
            f"{' or '.join(PERPETUALS)} there, or maintenance_margin and liquidation_penalty in the table of the venue"
        )
