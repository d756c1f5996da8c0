"""The choice of a cell: the best in sample, the best on paths under constraints, and how much of either is luck."""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from attrs import evolve, frozen
from numpy.random import PCG64, Generator, SeedSequence

from framework.assembly import Assembly
from framework.clock import NS_PER_YEAR
from framework.data.drawn_paths import block_length, stationary_rows
from framework.errors import CarrybookError, PlayingError, ScenarioError
from framework.many_runs.outcomes import RETURN, SHOWN, Outcomes
from framework.many_runs.statistics import (
    BLOCKS,
    Estimate,
    confidence_set,
    deflated_sharpe,
    expected_shortfall,
    finite,
    mean,
    moments,
    no_better,
    overfitting,
    quantile,
    sharpe,
)
from framework.many_runs.sweep import Row, Sweep
from framework.market import TICK_NS, Floats, Ints, Market
from framework.performance import Undefined, growth_per_year
from framework.support.grid import Grid
from framework.support.text import counted

SAMPLES = 1000
"""Bootstrap samples behind a confidence set."""
FOLDS = 5
"""Parts of the data for the walk forward, of which the first is only learnt from."""
CONFIDENCE = 0.1
"""The p-value above which a cell cannot be told from the best."""


@frozen(kw_only=True)
class Objective:
    """What is maximised over paths; `level` is that of a quantile or a shortfall."""

    name: Literal["mean", "growth", "quantile", "expected_shortfall"]
    level: float = 0.0

    @classmethod
    def of(cls, text: str) -> "Objective":
        """`mean`, `growth`, `quantile:0.05` or `expected_shortfall:0.05`; raises `ScenarioError`."""
        if text in ("mean", "growth"):
            return cls(name=text)  # type: ignore[arg-type]
        name, _, level = text.partition(":")
        if name in ("quantile", "expected_shortfall") and re.fullmatch(r"0?\.\d*[1-9]\d*", level):
            return cls(name=name, level=float(level))  # type: ignore[arg-type]
        raise ScenarioError(
            f"--objective {text}: expected mean, growth, quantile:LEVEL or expected_shortfall:LEVEL, such as "
            "quantile:0.05"
        )

    def estimate(self, returns_pct: Floats, *, pairs: bool) -> Estimate:
        """Its value on the paths of one cell, percent; `growth` is that of the logarithm of the equity."""
        match self.name:
            case "mean":
                return mean(returns_pct, pairs=pairs)
            case "growth":
                with np.errstate(divide="ignore"):
                    return mean(100 * np.log(np.maximum(1 + returns_pct / 100, 0.0)), pairs=pairs)
            case "quantile":
                return quantile(returns_pct, self.level, pairs=pairs)
            case "expected_shortfall":
                return expected_shortfall(returns_pct, self.level, pairs=pairs)

    def words(self) -> str:
        """The objective as people say it."""
        named = {
            "mean": "mean return",
            "growth": "mean log growth",
            "quantile": f"{100 * self.level:g} % quantile",
            "expected_shortfall": f"mean of the worst {100 * self.level:g} %",
        }
        return named[self.name]


@frozen(kw_only=True)
class Constraint:
    """A chance that must not be larger than `most`: that of a `liquidation`, or of a `loss`."""

    name: str
    most: float

    @classmethod
    def of(cls, text: str) -> "Constraint":
        """`liquidation<=0.01`; raises `ScenarioError`."""
        parts = re.fullmatch(r"\s*(liquidation|loss)\s*<=\s*(\d*\.?\d+)\s*", text)
        if not parts or float(parts[2]) > 1:
            raise ScenarioError(
                f"--constraint {text}: expected liquidation<=CHANCE or loss<=CHANCE with a chance from 0 to 1, such as "
                "liquidation<=0.01"
            )
        return cls(name=parts[1], most=float(parts[2]))

    @classmethod
    def each(cls, texts: Sequence[str]) -> "list[Constraint]":
        """Constraints of different names; raises `ScenarioError`."""
        found = [cls.of(text) for text in texts]
        names = [each.name for each in found]
        for name in names:
            if names.count(name) > 1:
                raise ScenarioError(f"--constraint {name}: given twice; expected each name once")
        return found


@frozen(kw_only=True, eq=False)
class History:
    """The cells on the data themselves: returns by row, shape (rows, cells), and in all, percent, shape (cells,).

    The last row's is that to the final equity, after the orders of the end. A cell that fails, on paths or on the data,
    has NaN.
    """

    returns: Floats
    total_pct: Floats
    errors: Sequence[str]
    """The first error of each cell; an empty text where there is none."""

    @classmethod
    def of(cls, plan: Sweep, errors: Sequence[str]) -> "History":
        """Run every cell of a plan on its data that has no error on paths; raises `CarrybookError` for other days."""
        here = plan.on_data()
        told = list(errors)
        columns: dict[int, Floats] = {}
        totals = np.full(len(told), math.nan)
        for at, cell in enumerate(here.combinations):
            if told[at]:
                continue
            try:
                usd = here.worth(cell)
            except PlayingError:
                raise
            except CarrybookError as error:
                told[at] = f"on the data: {error}"
                continue
            worth = np.concatenate((usd[:-2], usd[-1:]))
            before = worth[:-1]
            columns[at] = np.divide(np.diff(worth), before, out=np.zeros_like(before), where=before > 0)
            totals[at] = (worth[-1] / worth[0] - 1) * 100
        rows = len(next(iter(columns.values()), ()))
        returns = np.full((rows, len(told)), math.nan)
        for at, column in columns.items():
            if len(column) != rows:
                raise _other_days(plan, (rows, len(column)))
            returns[:, at] = column
        return cls(returns=returns, total_pct=totals, errors=told)


def check_days(plan: Sweep) -> None:
    """Refuse cells on data of different lengths before any of them is run; raises `CarrybookError`."""
    plan.check()
    rows = sorted({len(each) for each in plan.histories.values() if isinstance(each, Market)})
    if len(rows) > 1:
        raise _other_days(plan, rows)


def _other_days(plan: Sweep, rows: Sequence[int]) -> ScenarioError:
    keys = ", ".join(key for key in plan.combinations[0] if key.startswith("market."))
    return ScenarioError(f"{keys}: cells on {rows[0]} and on {rows[-1]} rows of data; expected the same days for all")


@frozen(kw_only=True, eq=False)
class Choice:
    """What speaks for which cell. Arrays have shape (cells,), with NaN for a cell that fails.

    `objective` and `chances` are found on paths, `told_apart` are p-values that the robust winner is no better than a
    cell on them, adjusted for its choice; `in_set` are those of the model confidence set on the data.
    """

    plan: Sweep
    outcomes: Outcomes
    history: History
    objective: Objective
    constraints: Sequence[Constraint]
    estimates: Mapping[int, Estimate]
    allowed: Sequence[int]
    published: int
    """The cell with the highest return on the data."""
    robust: int | None
    """The allowed cell with the best objective on paths; None where no cell is allowed."""
    rate: float
    """The rate per year above which returns count for a Sharpe ratio: that of the scenario's benchmarks."""
    overfitting: float
    deflated: float
    in_set: Floats
    told_apart: Mapping[int, float]
    forward_pct: float
    """The walk forward per year with compounding, percent: in each part the cell that was best before it.

    NaN over too short a time for it.
    """
    hindsight_pct: float
    """The same of the cell that was best over the same parts."""
    walked: Sequence[int]
    """The cells of the walk forward."""

    @classmethod
    def of(
        cls, plan: Sweep, outcomes: Outcomes, objective: Objective, constraints: Sequence[Constraint] = ()
    ) -> "Choice":
        """The choice among the cells of a sweep over paths; raises `CarrybookError` if every cell fails."""
        history = History.of(plan, outcomes.errors)
        outcomes = evolve(outcomes, errors=history.errors)
        good = [at for at, works in enumerate(outcomes.good.tolist()) if works]
        if not good:
            raise CarrybookError(f"every cell fails; the first: {outcomes.errors[0]}")
        estimates = {at: objective.estimate(outcomes.figures[RETURN][:, at], pairs=outcomes.pairs) for at in good}
        allowed = [at for at in good if all(outcomes.share(each.name, at).value <= each.most for each in constraints)]
        published = max(good, key=lambda at: history.total_pct[at])
        robust = max(allowed, key=lambda at: estimates[at].value, default=None)
        returns = history.returns[:, good]
        assembly = _first_good(plan, history.errors)
        years, rate = _years(assembly.market), assembly.scenario.benchmarks.rate if assembly.scenario.benchmarks else 0
        above = returns - np.expm1(np.log1p(rate) * years)[:, None]
        ratios = sharpe(above)
        skewness, kurtosis = moments(above[:, good.index(published)])
        in_set = np.full(len(outcomes.cells), math.nan)
        in_set[good] = confidence_set(returns, _samples(returns))
        forward, hindsight, walked = walk_forward(returns)
        walked_years = float(years[round(len(returns) / FOLDS) :].sum())
        return cls(
            plan=plan,
            outcomes=outcomes,
            history=history,
            objective=objective,
            constraints=tuple(constraints),
            estimates=estimates,
            allowed=allowed,
            published=published,
            robust=robust,
            rate=rate,
            overfitting=overfitting(above, BLOCKS),
            deflated=deflated_sharpe(
                float(ratios[good.index(published)]),
                rows=len(above),
                skewness=skewness,
                kurtosis=kurtosis,
                variance=float(ratios.var(ddof=1)) if len(good) > 1 else 0.0,
                trials=len(good),
            ),
            in_set=in_set,
            told_apart=_told_apart(estimates, robust),
            forward_pct=per_year(forward, walked_years),
            hindsight_pct=per_year(hindsight, walked_years),
            walked=[good[at] for at in walked],
        )

    def words(self, at: int) -> str:
        """A cell as its keys and values."""
        return ", ".join(f"{key}={value}" for key, value in self.outcomes.cells[at].items()) or "the scenario as it is"

    def beaten(self) -> float:
        """On which share of the paths the winner on the data does better than the robust one."""
        assert self.robust is not None
        returns = self.outcomes.figures[RETURN]
        return float((returns[:, self.published] > returns[:, self.robust]).mean())

    def plain(self) -> dict[str, object]:
        """Everything as values for JSON; None for what does not exist."""
        numbers = {
            "overfitting": self.overfitting,
            "deflated_sharpe": self.deflated,
            "walk_forward_pct": self.forward_pct,
            "hindsight_pct": self.hindsight_pct,
        }
        return {
            "objective": self.objective.words(),
            "published": self._cell(self.published),
            "robust": None if self.robust is None else self._cell(self.robust),
            "published_beats_robust": None if self.robust is None else self.beaten(),
            "cells": [self._cell(at) for at in range(len(self.outcomes.cells))],
            **{name: finite(value) for name, value in numbers.items()},
        }

    def _cell(self, at: int) -> Row:
        if at not in self.estimates:
            return {**self.outcomes.cells[at], "error": self.outcomes.errors[at]}
        estimate, chance = self.estimates[at], self.outcomes.share("liquidation", at)
        return {
            **self.outcomes.cells[at],
            "return_on_data_pct": float(self.history.total_pct[at]),
            "objective": finite(estimate.value),
            "objective_error": finite(estimate.error),
            "liquidation": chance.value,
            "liquidation_error": finite(chance.error),
            "allowed": at in self.allowed,
            "p_confidence_set": float(self.in_set[at]),
            "p_told_apart": self.told_apart.get(at),
            "error": "",
        }

    def grids(self) -> list[Grid]:
        """The report: a line for each cell, and the verdict."""
        keys = list(self.outcomes.cells[0])
        columns = ("on the data", self.objective.words(), "P(liquidated)", "p in set", "p no better", "<", "<error")
        cells = Grid("Cells", (*(f"<{key}" for key in keys), *columns))
        for at, cell in enumerate(self.outcomes.cells[:SHOWN]):
            cells.add(*(str(cell[key]) for key in keys), *self._line(at), self.outcomes.errors[at])
        count = len(self.outcomes.cells)
        left = f"The first {SHOWN} of {count:,} cells. " if count > SHOWN else ""
        cells.note = (
            f"{left}On the data: the return of the one history, percent. The objective, in percent as well, and the "
            "chance of a liquidation are those of the paths, with one standard error of the simulation. P in set: the "
            "model confidence set (T_max) on the data; above 0.1 a cell cannot be told from the best. P no better: a "
            "paired t-test on the paths, adjusted for the choice of the winner on the same ones; above 0.05 a cell "
            "cannot be told from the robust winner without more paths."
        )
        return [cells.told(), self._verdict()]

    def _line(self, at: int) -> list[str]:
        if at not in self.estimates:
            return [""] * 6
        marks = (("winner on the data", at == self.published), ("robust winner", at == self.robust),
                 ("not allowed", at not in self.allowed))  # fmt: skip
        return [
            f"{self.history.total_pct[at]:+.1f}",
            self.estimates[at].words(),
            self.outcomes.share("liquidation", at).percent(),
            f"{self.in_set[at]:.2f}",
            f"{self.told_apart[at]:.2f}" if at in self.told_apart else "",
            ", ".join(word for word, holds in marks if holds),
        ]

    def _verdict(self) -> Grid:
        grid = Grid("Choice", ("what", "<cell", "~what it means"))
        above = f", of returns above {self.rate * 100:g} % a year" if self.rate else ""
        known = sum(value > CONFIDENCE for value in self.in_set.tolist())
        published, robust = self.published, self.robust
        grid.add(
            "winner on the data",
            self.words(published),
            f"{self.history.total_pct[published]:+.1f} % there, the best",
        )
        limits = " and ".join(f"P({each.name}) <= {each.most:g}" for each in self.constraints)
        if robust is None:
            grid.add("robust winner", "none", f"no cell has {limits}")
        else:
            under = f" among {counted(len(self.allowed), 'cell')} with {limits}" if limits else ""
            estimate = self.estimates[robust].words()
            grid.add("robust winner", self.words(robust), f"best {self.objective.words()} on paths{under}: {estimate}")
            if robust != published:
                less = self.estimates[robust].less(self.estimates[published]).words()
                words = f"{self.objective.words()} of the robust one less that of the one on the data: {less}"
                better = f"the latter does better on {100 * self.beaten():.0f} % of the paths"
                grid.add("difference", "", f"{words}; {better}")
        if not math.isnan(self.overfitting):
            grid.add(
                "chance of luck",
                f"{100 * self.overfitting:.0f} %",
                "how often the cell with the best Sharpe ratio in one half of the data is not above the median in the "
                f"other half (probability of backtest overfitting, {math.comb(BLOCKS, BLOCKS // 2):,} halves)",
            )
        grid.add(
            "deflated Sharpe ratio",
            f"{self.deflated:.2f}",
            f"chance that the winner on the data is above the best of {len(self.estimates)} without skill{above}",
        )
        grid.add("confidence set", f"{known} of {len(self.estimates)}", "cells that the data cannot tell from the best")
        forward, hindsight = map(_rate_words, (self.forward_pct, self.hindsight_pct))
        words = f"CAGR, in each of {FOLDS - 1} parts with the best before; in hindsight {hindsight}"
        grid.add("walk forward", forward, words)
        return grid


def _rate_words(rate_pct: float) -> str:
    return "too short a time" if math.isnan(rate_pct) else f"{rate_pct:+.1f} %"


def walk_forward(returns: Floats, folds: int = FOLDS) -> tuple[float, float, list[int]]:
    """Log growth of choosing, in each part of the rows but the first, the cell that grew most in the parts before.

    Also that of the cell that grew most over the same parts, and the cells that were chosen. Returns have shape (rows,
    cells) and are those of one run of each cell over all rows, which is not restarted at each part.
    """
    growth = np.log1p(np.maximum(returns, -1 + 1e-12))
    edges = np.linspace(0, len(growth), folds + 1).round().astype(int).tolist()
    parts = np.array([growth[start:stop].sum(axis=0) for start, stop in pairwise(edges)])
    chosen = parts.cumsum(axis=0)[:-1].argmax(axis=1)
    forward = np.take_along_axis(parts[1:], chosen[:, np.newaxis], axis=1).cumsum()[-1]
    hindsight = parts[1:].cumsum(axis=0)[-1].max()
    return float(forward), float(hindsight), chosen.tolist()


def _first_good(plan: Sweep, errors: Sequence[str]) -> Assembly:
    """The first cell without an error, on the data."""
    here = plan.on_data()
    return next(here.assembly(cell) for cell, error in zip(here.combinations, errors, strict=True) if not error)


def _years(market: Market) -> Floats:
    """The time over which the return of each row came, in years: from close to close, also where rows are missing."""
    ends: Ints = np.concatenate((market.open_ns[:1], market.at_ns + TICK_NS))
    return np.diff(ends) / NS_PER_YEAR


def per_year(growth: float, years: float) -> float:
    """A log growth as a rate per year with compounding, percent; NaN over too short a time for one."""
    try:
        return 100 * growth_per_year(1.0, math.exp(min(growth, 700.0)), years)
    except Undefined:
        return math.nan


def _samples(returns: Floats) -> Ints:
    """Rows of bootstrap samples, in blocks as long as the rule gives for any difference from the mean cell."""
    apart = returns - returns.mean(axis=1, keepdims=True)
    length = max(block_length(apart[:, at]) for at in range(apart.shape[1]))
    random = Generator(PCG64(SeedSequence(0)))
    return np.stack([stationary_rows(len(returns), len(returns), length, random) for _ in range(SAMPLES)])


def _told_apart(estimates: Mapping[int, Estimate], robust: int | None) -> dict[int, float]:
    """How likely so large a lead of the robust winner is by chance of the simulation, cell by cell."""
    if robust is None:
        return {}
    others = [at for at in estimates if at != robust]
    return dict(zip(others, no_better(estimates[robust], [estimates[at] for at in others]), strict=True))
