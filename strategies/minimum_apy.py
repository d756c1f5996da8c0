"""Minimum APY: a policy for any pair, which asks whether the pair has lately earned enough to be kept."""

import numpy as np
from attrs import field, frozen, validators
from numpy.typing import NDArray

from framework.market import Floats
from framework.strategy import View


@frozen(kw_only=True)
class MinimumApy:
    """Leave a pair whose mean yield over the time of its last `rows` rows is below `apy_pct` a year; 0 never asks.

    The yield of a row is what the pair earned on its capital: leverage/2 x (lending + funding) - (leverage - 1)/2 x
    borrowing. Only rows in which it was held count, so the window survives leaving and coming back. The rates are
    market columns: funding as a fraction of the row, lending and borrowing as fractions per year.
    """

    apy_pct: float = field(default=0.0, validator=validators.ge(0.0))
    leverage: float
    venue: str
    funding_rate: str
    lending_rate: str = "sol_lending_apy"
    borrowing_rate: str = "usdc_borrowing_apy"
    rows: int = 7

    def missed(self, view: View) -> bool:
        """Whether the window is full and its mean too low; `venue` is one at which the pair is held."""
        if not self.apy_pct:
            return False
        held, back = self._held(view)
        if np.count_nonzero(held) != self.rows:
            return False
        apy = self._yields(view, back)[held].sum() / view.years(back)[held].sum()
        return bool(apy * 100 < self.apy_pct)

    def _held(self, view: View) -> tuple[NDArray[np.bool_], int]:
        """Which of the latest rows are the last ones held, and of how many; looks back no further than it must."""
        back = self.rows
        while True:
            held = view.sizes(self.venue, back) != 0
            missing = self.rows - int(np.count_nonzero(held))
            if not missing or len(held) < back:
                return held, len(held)
            back += missing

    def _yields(self, view: View, rows: int) -> Floats:
        """What the pair would have earned on its capital in each of the last rows, by row."""
        years = view.years(rows)
        funding = view.history(self.funding_rate, rows)
        lending = view.history(self.lending_rate, rows) * years
        borrowing = view.history(self.borrowing_rate, rows) * years
        return self.leverage / 2 * (lending + funding) - (self.leverage - 1) / 2 * borrowing
