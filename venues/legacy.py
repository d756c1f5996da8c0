"""The legacy rulebook: accounting of the study's older models, which ignore profit and loss of the price."""

from collections.abc import Mapping

from attrs import frozen

from framework.rulebook.row_path import RowPath
from framework.scenario import Rulebook
from framework.strategy import Strategy
from venues.study import PERPETUALS

SHARE_OF_MARGIN = 0.95
"""The older models liquidate a leg after the loss of this share of its entry margin, 1 / leverage of the notional."""


@frozen(kw_only=True)
class Legacy(Rulebook):
    """Everything at cost: income on what was paid, no profit or loss of the price, fees for both ways at entry.

    `look_ahead_at_entry`: positions are opened at the close of the first day and earn that whole day all the same.
    `liquidation_from_entry`: a leg is liquidated where the row's high or low is 0.95 / leverage away from its entry
    price. The venue itself takes nothing then and leaves the position to the strategy, which pays a share of its
    capital.
    """

    look_ahead_at_entry: bool = False
    path: RowPath = "close"
    """The order of prices within a row: its close alone, or its extremes first."""
    liquidation_from_entry: bool = False

    def terms(self, venue: str, strategy: Strategy) -> Mapping[str, object]:
        leverage = getattr(strategy, "leverage", None)
        accounting: dict[str, object] = {"class": "at_cost", "fees_at_entry": True}
        if self.liquidation_from_entry and leverage:
            accounting["liquidation_distance"] = SHARE_OF_MARGIN / leverage
        at_cost: dict[str, object] = {
            "accounting": accounting,
            "maintenance_margin": 0.0,
            "liquidation_penalty": {"of": "equity", "fraction": 0.0},
            "liquidation_closes": False,
        }
        if venue in PERPETUALS:
            return {"taker_fee_bps": PERPETUALS[venue]["taker_fee_bps"], **at_cost}
        if venue == "asgard":
            return {"open_fee_bps": 15.0, "gas_usd": 2.0, "overpayment": "earns_borrowing_rate", **at_cost}
        return {}
