"""Outcomes: what the cells of a sweep came to on many paths, as distributions with their standard errors."""

import math
from collections.abc import Sequence

import numpy as np
from attrs import evolve, frozen

from framework.errors import ScenarioError
from framework.many_runs.statistics import Estimate, expected_shortfall, mean, quantile
from framework.many_runs.sweep import Row, Sweep, Swept
from framework.market import Flags, Floats
from framework.support.grid import Grid
from framework.support.text import counted

LIQUIDATED, RETURN, DRAWDOWN, FIRST = "liquidations", "return_pct", "max_drawdown_pct", "first_liquidation_days"
SHOWN = 40
"""Cells of a table in the terminal, at most."""


@frozen(eq=False, kw_only=True)
class Outcomes:
    """The figures of every cell on every path.

    `figures` have shape (paths, cells), NaN where a run failed and where there was no liquidation to date. With `pairs`
    paths 2k - 1 and 2k mirror each other, and only pairs are independent.
    """

    cells: Sequence[Row]
    figures: dict[str, Floats]
    errors: Sequence[str]
    """The first error of each cell, and of how many paths, unless of all; an empty text where there is none."""
    pairs: bool
    differing: bool = False
    """Whether cells have paths of their own."""

    @classmethod
    def of(cls, plan: Sweep, swept: Swept) -> "Outcomes":
        """The rows of a finished sweep over paths."""
        cells = plan.combinations
        shape = plan.paths, len(cells)
        names = (RETURN, DRAWDOWN, LIQUIDATED, FIRST)

        def column(name: str) -> Floats:
            values = [math.nan if (value := row.get(name)) is None else value for row in swept.rows]
            return np.array(values, dtype=np.float64).reshape(shape)

        errors = [_told(swept.rows[at :: len(cells)]) for at in range(len(cells))]
        figures = {name: column(name) for name in names}
        return cls(cells=cells, figures=figures, errors=errors, pairs=plan.mirrored, differing=plan.differing)

    @property
    def good(self) -> Flags:
        """The cells that no path made fail."""
        return np.array([not error for error in self.errors])

    def share(self, name: str, cell: int) -> Estimate:
        """The chance of an event: `liquidation`, at least one on the path, or `loss`, a return below 0."""
        happened = {"liquidation": self.figures[LIQUIDATED] > 0, "loss": self.figures[RETURN] < 0}
        if name not in happened:
            raise ScenarioError(f"{name!r} is no event of a path; expected one of {', '.join(happened)}")
        return mean(happened[name][:, cell].astype(np.float64), pairs=self.pairs)

    def table(self) -> Grid:
        """A line for each cell: the distribution of its return and of its drawdown, and its liquidations."""
        keys = list(self.cells[0])
        columns = ("mean return", "5 %", "worst 5 %", "median", "95 %", "mean drawdown", "95 %", "P(liquidated)")
        grid = Grid("Paths", (*(f"<{key}" for key in keys), *columns, "first after days", "<error"))
        for at, cell in enumerate(self.cells[:SHOWN]):
            said = [str(cell[key]) for key in keys]
            grid.add(*said, *(self._line(at) if not self.errors[at] else [""] * 9), self.errors[at])
        paths = len(self.figures[RETURN])
        left = f", the first {SHOWN} shown" if len(self.cells) > SHOWN else ""
        of = f"each of {len(self.cells)} cells" if len(self.cells) > 1 else "one cell"
        same = ", drawn as its keys say" if self.differing else ", the same for all" if len(self.cells) > 1 else ""
        grid.note = (
            f"{counted(paths, 'path')} of {of}{same}{left}. Returns and drawdowns are in percent of the capital. ± is "
            "one standard error of the simulation; a chance of which all paths say the same has its bound at 95 %. "
            "Worst 5 %: their mean. First: when half of the paths with a liquidation have had it."
        )
        return grid.told()

    def _line(self, at: int) -> list[str]:
        returns, drawdowns, first = (self.figures[name][:, at] for name in (RETURN, DRAWDOWN, FIRST))
        return [
            mean(returns, pairs=self.pairs).words(),
            quantile(returns, 0.05, pairs=self.pairs).words(),
            expected_shortfall(returns, 0.05, pairs=self.pairs).words(),
            quantile(returns, 0.5, pairs=self.pairs).words(),
            quantile(returns, 0.95, pairs=self.pairs).words(),
            mean(drawdowns, pairs=self.pairs).words(sign="-"),
            quantile(drawdowns, 0.95, pairs=self.pairs).words(sign="-"),
            self.share("liquidation", at).percent(),
            self._median(first),
        ]

    def _median(self, days: Floats) -> str:
        """The median of the values that are not NaN, with its error; paths without one say nothing of it."""
        dated = np.isfinite(days)
        if not dated.any():
            return ""
        found, share = quantile(days[dated], 0.5), float(dated.mean())
        influence = np.full(len(days), found.value)
        influence[dated] += (found.influence - found.value) / share
        return evolve(found, influence=influence, pairs=self.pairs, share=share / 2).words(0, sign="-")


def _told(rows: Sequence[Row]) -> str:
    """The first error of a cell's rows, one a path, and of how many where not of all; empty for none."""
    errors = [str(row["error"]) for row in rows if row["error"]]
    if not errors or len(errors) == len(rows):
        return errors[0] if errors else ""
    return f"on {len(errors):,} of {len(rows):,} paths: {errors[0]}"
