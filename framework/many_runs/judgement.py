"""The judgement: what the winners of a choice come to on fresh paths, which played no part in choosing them."""

import math
from collections.abc import Callable, Sequence

from attrs import frozen

from framework.many_runs.choice import Choice, Constraint
from framework.many_runs.outcomes import RETURN, Outcomes
from framework.many_runs.statistics import Estimate, finite, mean, with_error
from framework.many_runs.sweep import Sweep, Swept
from framework.support.grid import Grid
from framework.support.text import counted

LIQUIDATION = Constraint(name="liquidation", most=1.0)
"""What is reported of every winner, with or without a constraint on it."""


@frozen(kw_only=True)
class Compared:
    """One figure of a winner on the searched and on the fresh paths; the two kinds of paths are independent."""

    searched: Estimate
    fresh: Estimate

    @property
    def difference(self) -> float:
        """The figure on fresh paths less that on searched ones."""
        return self.fresh.value - self.searched.value

    @property
    def error(self) -> float:
        """One standard error of the difference."""
        return math.hypot(self.searched.error, self.fresh.error)

    def words(self) -> tuple[str, str, str]:
        """Both figures and their difference, as a table shows them."""
        return self.searched.words(), self.fresh.words(), self._apart(1)

    def percent(self) -> tuple[str, str, str]:
        """Those of a share, in percent."""
        if not self.error:  # all paths of both kinds say the same
            return self.searched.percent(), self.fresh.percent(), f"{100 * self.difference:+.1f}"
        return self.searched.percent(), self.fresh.percent(), self._apart(100)

    def _apart(self, unit: float) -> str:
        return with_error(unit * self.difference, unit * self.error)

    def plain(self) -> dict[str, float | None]:
        """The figures as values for JSON; None for an error that needs more paths."""
        numbers = {
            "searched": self.searched.value,
            "searched_error": self.searched.error,
            "fresh": self.fresh.value,
            "fresh_error": self.fresh.error,
            "difference": self.difference,
            "difference_error": self.error,
        }
        return {name: finite(value) for name, value in numbers.items()}


@frozen(kw_only=True, eq=False)
class Judgement:
    """The winner on the data and the robust one on fresh paths, the same for both.

    On the searched paths the figures of the cell that was chosen there are biased upwards. Fresh paths show how much of
    them was luck with the paths; as they are drawn from the same data, they do not show luck with the data.
    """

    choice: Choice
    swept: Swept
    plan: Sweep
    outcomes: Outcomes

    @classmethod
    def of(cls, choice: Choice, paths: int, run: Callable[[Sweep], Swept]) -> "Judgement":
        """`run` the winners of a choice on so many fresh paths, whose numbers follow those of the search."""
        plan = choice.plan.beyond(paths, [choice.outcomes.cells[at] for at in _winners(choice)])
        swept = run(plan)
        return cls(choice=choice, swept=swept, plan=plan, outcomes=Outcomes.of(plan, swept))

    def returns(self, winner: int) -> Compared:
        """The mean return of a winner, percent."""
        return Compared(
            searched=_mean_return(self.choice.outcomes, winner), fresh=_mean_return(self.outcomes, self._at(winner))
        )

    def objective(self, winner: int) -> Compared:
        """The objective of a winner."""
        found = self.outcomes.figures[RETURN][:, self._at(winner)]
        fresh = self.choice.objective.estimate(found, pairs=self.outcomes.pairs)
        return Compared(searched=self.choice.estimates[winner], fresh=fresh)

    def chance(self, name: str, winner: int) -> Compared:
        """The chance of an event on a path of a winner, from 0 to 1."""
        return Compared(
            searched=self.choice.outcomes.share(name, winner), fresh=self.outcomes.share(name, self._at(winner))
        )

    def holds(self, constraint: Constraint, winner: int) -> bool:
        """Whether a winner keeps a constraint on the fresh paths."""
        return self.chance(constraint.name, winner).fresh.value <= constraint.most

    def lead(self) -> Compared | None:
        """By how much the objective of the robust winner is above that of the one on the data; None without two."""
        published, robust = self.choice.published, self.choice.robust
        if robust is None or robust == published or self._error(published) or self._error(robust):
            return None
        ours, theirs = self.objective(robust), self.objective(published)
        return Compared(searched=ours.searched.less(theirs.searched), fresh=ours.fresh.less(theirs.fresh))

    def plain(self) -> dict[str, object]:
        """Everything as values for JSON; None for what does not exist."""
        robust, lead = self.choice.robust, self.lead()
        return {
            "sweep": str(self.swept.folder),
            "paths": self.plan.paths,
            "first_path": self.plan.first,
            **self.swept.counts,
            "published": self._winner(self.choice.published),
            "robust": None if robust is None else self._winner(robust),
            "lead": None if lead is None else lead.plain(),
        }

    def grid(self) -> Grid:
        """The report: each winner's figures on both kinds of paths, and whether the constraints still hold."""
        grid = Grid("Fresh paths", ("winner", "<figure", "searched", "fresh", "difference", "<"))
        for winner in _winners(self.choice):
            self._add(grid, winner)
        lead = self.lead()
        if lead is not None:
            grid.add("robust less the one on the data", self.choice.objective.words(), *lead.words(), "")
        first, last = self.plan.first, self.plan.first + self.plan.paths - 1
        searched, cells = counted(self.choice.plan.paths, "path"), counted(len(self.choice.estimates), "cell")
        verb = "were" if len(self.choice.estimates) > 1 else "was"
        numbers = f"paths {first:,} to {last:,}" if last > first else f"path {first:,}"
        grid.note = (
            f"Searched: the {searched} on which {cells} {verb} compared; the best cell's figures there are biased "
            f"upwards. Fresh: {numbers}, drawn in the same way from the same data, on which no cell was chosen. A "
            "constraint holds if the share of the fresh paths is within it."
        )
        return grid.told()

    def _add(self, grid: Grid, winner: int) -> None:
        titles = {"on the data": self.choice.published, "robust": self.choice.robust}
        title = " and ".join(word for word, at in titles.items() if at == winner)
        if self._error(winner):
            grid.add(title, self._error(winner), "", "", "", "")
            return
        grid.add(title, "mean return", *self.returns(winner).words(), "")
        if self.choice.objective.name != "mean":
            grid.add("", self.choice.objective.words(), *self.objective(winner).words(), "")
        limits = list(self.choice.constraints)
        if not any(each.name == LIQUIDATION.name for each in limits):
            grid.add("", f"P({LIQUIDATION.name})", *self.chance(LIQUIDATION.name, winner).percent(), "")
        for each in limits:
            holds = "holds" if self.holds(each, winner) else "does not hold"
            grid.add("", f"P({each.name}) <= {each.most:g}", *self.chance(each.name, winner).percent(), holds)

    def _winner(self, winner: int) -> dict[str, object]:
        if self._error(winner):
            return {"error": self._error(winner)}
        return {
            "mean_return_pct": self.returns(winner).plain(),
            "objective": self.objective(winner).plain(),
            "liquidation": self.chance(LIQUIDATION.name, winner).plain(),
            "constraints": [
                {"constraint": f"{each.name}<={each.most:g}", "holds": self.holds(each, winner)}
                | self.chance(each.name, winner).plain()
                for each in self.choice.constraints
            ],
            "error": "",
        }

    def _at(self, winner: int) -> int:
        """A winner's place among the cells on the fresh paths."""
        return _winners(self.choice).index(winner)

    def _error(self, winner: int) -> str:
        return self.outcomes.errors[self._at(winner)]


def _winners(choice: Choice) -> Sequence[int]:
    """The cells that are judged: the winner on the data, and the robust one where it is another."""
    return list(dict.fromkeys(at for at in (choice.published, choice.robust) if at is not None))


def _mean_return(outcomes: Outcomes, at: int) -> Estimate:
    return mean(outcomes.figures[RETURN][:, at], pairs=outcomes.pairs)
