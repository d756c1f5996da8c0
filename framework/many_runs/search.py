"""A search of a space that is too large for a grid: cells in rounds, each proposed from what those before came to."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from framework.errors import ScenarioError
from framework.many_runs.choice import Constraint, Objective
from framework.many_runs.outcomes import RETURN, Outcomes
from framework.many_runs.sweep import Row, Sweep, Swept, check_keys, sweep

if TYPE_CHECKING:
    import optuna

TRIALS = 50
"""Cells that are tried where nobody says how many."""
ROUND = 10
"""Cells that are proposed at once. The same for any number of workers, and so are the cells that are found."""
DIGITS = 3
"""Decimals of a value of a range without a step, of a range whose length is of the order of one."""
NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?")


@frozen(kw_only=True)
class Range:
    """The values of a key from `low` to `high`, both of which can be; every `step` of them, or any."""

    key: str
    low: Decimal
    high: Decimal
    step: Decimal | None = None

    @classmethod
    def of(cls, text: str) -> "Range":
        """`KEY=LOW:HIGH` or `KEY=LOW:HIGH:STEP`; raises `ScenarioError`."""
        key, _, values = text.partition("=")
        parts = values.split(":")
        if not key.strip() or len(parts) not in {2, 3} or not all(map(NUMBER.fullmatch, parts)):
            raise ScenarioError(
                f"--space {text}: expected KEY=LOW:HIGH or KEY=LOW:HIGH:STEP, such as strategy.leverage=1.5:6 or "
                "strategy.trigger=3:9:1"
            )
        low, high, *steps = map(Decimal, parts)
        step = steps[0] if steps else None
        if low >= high:
            raise ScenarioError(f"--space {text}: expected LOW below HIGH")
        if step is not None and (step <= 0 or (high - low) % step):
            raise ScenarioError(f"--space {text}: STEP {step}; expected one that leads from LOW to HIGH")
        return cls(key=key.strip(), low=low, high=high, step=step)

    def value(self, trial: "optuna.Trial") -> object:
        """The value that a trial proposes; a whole number where all numbers of a range with a step are whole."""
        if self.step is None:
            low, high = float(self.low), float(self.high)
            decimals = max(0, DIGITS - math.floor(math.log10(high - low)))
            return min(max(round(trial.suggest_float(self.key, low, high), decimals), low), high)
        steps = int((self.high - self.low) / self.step)
        value = self.low + trial.suggest_int(self.key, 0, steps) * self.step
        whole = self.low.as_tuple().exponent == self.step.as_tuple().exponent == 0
        return int(value) if whole else float(value)


@frozen(kw_only=True)
class Space:
    """What a search may choose from: ranges, and the axes of a grid as values without an order."""

    ranges: Sequence[Range]
    grid: Sequence[tuple[str, tuple[object, ...]]] = ()

    @classmethod
    def of(cls, plan: Sweep, texts: Sequence[str]) -> "Space":
        """The space of a plan's grid and of `KEY=LOW:HIGH` texts; raises `ScenarioError`."""
        ranges = [Range.of(text) for text in texts]
        check_keys("--space", [*(key for key, _ in plan.grid), *(each.key for each in ranges)], on_paths=True)
        return cls(ranges=ranges, grid=plan.grid)

    def cell(self, trial: "optuna.Trial") -> Row:
        """The cell that a trial proposes."""
        chosen: Row = {}
        for key, values in self.grid:
            chosen[key] = values[trial.suggest_categorical(key, range(len(values)))]
        return chosen | {each.key: each.value(trial) for each in self.ranges}


def search(
    plan: Sweep,
    space: Space,
    objective: Objective,
    constraints: Sequence[Constraint],
    trials: int,
    out: Path,
    run: Callable[[Sweep], Swept],
) -> tuple[Sweep, Swept]:
    """Let a sampler propose `trials` cells of a space, and `run` each of them on the paths of a plan.

    The sampler is Optuna's tree-structured Parzen estimator, with a seed: the same cells are found wherever they are
    run. It maximises the objective where the constraints are kept; a cell that fails tells it nothing. Returns all
    cells as one plan, and what came of it and of all rounds, in a folder below `out`. Raises `ScenarioError` for a key
    or values that no cell of a round can have.
    """
    import optuna  # noqa: PLC0415  (of an extra)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    found: dict[str, Found] = {}
    rounds: list[Swept] = []
    while (done := len(study.trials)) < trials:
        asked = [study.ask() for _ in range(min(ROUND, trials - done))]
        cells = [space.cell(trial) for trial in asked]
        fresh = {_key(cell): cell for cell in cells if _key(cell) not in found}
        if fresh:
            listed = plan.listing(list(fresh.values()))
            rounds.append(run(listed))
            found |= Found.each(listed, rounds[-1], objective, constraints)
        for trial, cell in zip(asked, cells, strict=True):
            came = found[_key(cell)]
            for limit, beyond in came.beyond.items():
                trial.set_constraint(limit, beyond)
            study.tell(trial, came.value, state=None if came.value is not None else optuna.trial.TrialState.FAIL)
    whole = plan.listing([each.cell for each in found.values()])
    known = [each.rows[path] for path in range(plan.paths) for each in found.values()]
    ran, played = sum(each.ran for each in rounds), sum(each.played for each in rounds)
    why = next((each.why for each in rounds if each.why), "")
    return whole, evolve(sweep(whole, out, jobs=1, known=known), ran=ran, played=played, why=why)


@frozen(kw_only=True)
class Found:
    """What a cell came to: its rows, one a path, the objective, and how far it is beyond each constraint.

    `value` is None for a cell that fails; what is beyond is at most 0 where the constraint is kept.
    """

    cell: Row
    rows: Sequence[Row]
    value: float | None
    beyond: Mapping[str, float]

    @classmethod
    def each(
        cls, plan: Sweep, swept: Swept, objective: Objective, constraints: Sequence[Constraint]
    ) -> "Mapping[str, Found]":
        """The cells of a finished sweep over paths, by their keys and values."""
        outcomes = Outcomes.of(plan, swept)
        cells, found = plan.combinations, dict[str, Found]()
        for at, cell in enumerate(cells):
            good = bool(outcomes.good[at])
            found[_key(cell)] = cls(
                cell=cell,
                rows=swept.rows[at :: len(cells)],
                value=objective.estimate(outcomes.figures[RETURN][:, at], pairs=outcomes.pairs).value if good else None,
                beyond={each.name: outcomes.share(each.name, at).value - each.most for each in constraints if good},
            )
        return found


def _key(cell: Row) -> str:
    return json.dumps(cell, sort_keys=True)
