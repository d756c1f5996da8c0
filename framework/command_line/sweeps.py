"""The commands that run a scenario many times: `sweep` over a grid, `paths` over paths as well, `choose` to decide."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.progress import Progress

from framework.command_line.options import DATA, SCENARIO, SETTINGS, together
from framework.data.drawn_paths import METHODS
from framework.many_runs import workers
from framework.many_runs.choice import Choice, Constraint, Objective, check_days
from framework.many_runs.judgement import Judgement
from framework.many_runs.outcomes import Outcomes
from framework.many_runs.search import TRIALS, Space, search
from framework.many_runs.sweep import Sweep, Swept, overview
from framework.many_runs.sweep import sweep as run_sweep
from framework.support.extras import need_extra
from framework.support.grid import progress_terminal, terminal
from framework.support.text import say

MOST_JOBS = 1024
"""The most processes that a command starts."""


CELLS = together(
    SCENARIO,
    click.option(
        "--grid", "grids", multiple=True, metavar="KEY=V1,V2,...", help="A key of the scenario and its values."
    ),
    SETTINGS,
    DATA,
)
"""The scenario, and what is put over it."""
PLACE = together(
    click.option(
        "--jobs",
        type=click.IntRange(min=1, max=MOST_JOBS),
        help="Processes to run in, at most one for each cell; all cores if not given.",
    ),
    click.option(
        "--cluster", metavar="ADDRESS", help="Run on the workers of a Dask scheduler, such as tcp://HOST:8786."
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        default=Path("sweeps"),
        show_default=True,
        help="Parent of the folder of results.",
    ),
)
"""Where it runs, and where its results are kept."""
DRAWN = together(
    click.option("--paths", type=click.IntRange(1, 10**7), required=True, help="How many paths each cell is run on."),
    click.option("--method", type=click.Choice(list(METHODS)), help="How paths are drawn; stationary if not given."),
    click.option("--seed", type=click.IntRange(0), help="The seed of all paths; 0 if not given."),
    click.option("--block-rows", help="Length of blocks in rows, or `auto`."),
    click.option("--block-days", type=float, help="Length of blocks in days."),
    click.option("--antithetic", is_flag=True, help="Mirror every second path (gbm)."),
    click.option(
        "--episode",
        "episodes",
        multiple=True,
        metavar="NAME=FROM:TO",
        help="Days of the data to put in at random (jumps).",
    ),
    click.option("--per-year", type=float, help="How often episodes begin (jumps)."),
)
"""The paths; each option is a key of `[market.path]`."""


def _drawn(
    *,
    method: str | None,
    seed: int | None,
    block_rows: str | None,
    block_days: float | None,
    antithetic: bool,
    episodes: Sequence[str],
    per_year: float | None,
) -> list[str]:
    """The options of paths as settings of a scenario."""
    if block_rows is not None and block_days is not None:
        raise click.UsageError("--block-rows and --block-days: both say how long blocks are; expected one of them")
    keys = {"method": method, "seed": seed, "block_rows": block_rows, "block_days": block_days, "per_year": per_year}
    keys |= {"antithetic": "true"} if antithetic else {}
    for episode in episodes:
        parts = re.fullmatch(r"([\w-]+)=([^:]+):([^:]+)", episode)
        if not parts:
            raise click.UsageError(f"--episode {episode}: expected NAME=FROM:TO, such as crash=2025-10-10:2025-10-12")
        name, start, end = parts.groups()
        if f"episodes.{name}.start" in keys:
            raise click.UsageError(f"--episode {name}: given twice; expected each name once")
        keys |= {f"episodes.{name}.start": start, f"episodes.{name}.end": end}
    return [f"market.path.{key}={value}" for key, value in keys.items() if value is not None]


def _swept(plan: Sweep, out: Path, jobs: int | None, cluster: str | None) -> Swept:
    """Run a sweep here or on a cluster, with a bar where somebody watches."""
    if cluster:
        plan.check()
    with _runner(plan.size, out, jobs, cluster) as run:
        return run(plan)


@contextmanager
def _runner(
    cells: int, out: Path, jobs: int | None, cluster: str | None, *, several: bool = False
) -> Iterator[Callable[[Sweep], Swept]]:
    """What runs sweeps here or on a cluster one after another, with one bar for the cells of all of them.

    Of `several` each runs in the same processes, which have loaded everything with the first. Above the bar stands why
    the first cell that could not be played was simulated.
    """
    with ExitStack() as stack:
        executor, width = None, min(jobs or os.cpu_count() or 1, max(cells, 1))
        if cluster is not None:
            need_extra("--cluster", "cluster", "distributed")
            executor, there = stack.enter_context(workers.cluster(cluster))
            width = jobs or there
        elif several and width > 1:
            executor = stack.enter_context(workers.processes(width))
        progress = stack.enter_context(Progress(console=progress_terminal(), disable=not sys.stderr.isatty()))
        bar, before, told = progress.add_task("cells", total=cells), 0, ""

        def on_progress(done: int, why: str) -> None:
            nonlocal told
            if why and not told and not progress.disable:
                progress.console.print(f"Cells are simulated, not played: {why}", markup=False)
            told = told or why
            progress.update(bar, completed=before + done)

        def run(plan: Sweep) -> Swept:
            nonlocal before
            swept = run_sweep(plan, out, width, on_progress, executor)
            before += plan.size
            return swept

        yield run
        progress.update(bar, total=before)


@click.command()
@CELLS
@PLACE
@click.option("--json", "as_json", is_flag=True, help="Print where the results are as one JSON object.")
def sweep(
    scenario: Path,
    grids: tuple[str, ...],
    settings: tuple[str, ...],
    data: Path | None,
    jobs: int | None,
    cluster: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Run a SCENARIO over a grid of its keys. Started again, it runs only what is missing.

    The exit code is 1 if a cell failed: its row has the error.
    """
    plan = Sweep.of(scenario, grids, settings, data)
    swept = _swept(plan, out, jobs, cluster)
    if as_json:
        say(json.dumps(_counts(swept)))
    else:
        console = terminal()
        overview(plan, swept).show(console)
        console.print(f"Sweep {swept.folder}", markup=False, soft_wrap=True)
    sys.exit(1 if swept.failed else 0)


@click.command()
@CELLS
@DRAWN
@PLACE
@click.option("--json", "as_json", is_flag=True, help="Print where the results are as one JSON object.")
def paths(
    scenario: Path,
    grids: tuple[str, ...],
    settings: tuple[str, ...],
    data: Path | None,
    paths: int,
    jobs: int | None,
    cluster: str | None,
    out: Path,
    as_json: bool,
    **drawn: object,
) -> None:
    """Run a SCENARIO, or each cell of a grid, on many paths that are drawn from its data.

    Every cell has the same paths. Results are one table, a row per path and cell; started again, it runs only what is
    missing. The exit code is 1 if a cell failed: its row has the error.
    """
    plan = Sweep.of(scenario, grids, [*settings, *_drawn(**drawn)], data, paths)  # type: ignore[arg-type]
    swept = _swept(plan, out, jobs, cluster)
    if as_json:
        say(json.dumps(_counts(swept)))
    else:
        console = terminal()
        console.print(f"{plan.words()}\n", style="bold yellow", markup=False)
        Outcomes.of(plan, swept).table().show(console)
        console.print(swept.words(), markup=False)
        console.print(f"Paths {swept.folder}", markup=False, soft_wrap=True)
    sys.exit(1 if swept.failed else 0)


@click.command()
@CELLS
@DRAWN
@PLACE
@click.option(
    "--objective", default="mean", show_default=True, help="mean, growth, quantile:0.05, expected_shortfall:0.05."
)
@click.option("--constraint", "constraints", multiple=True, help="Such as liquidation<=0.01 or loss<=0.5.")
@click.option(
    "--space",
    "spaces",
    multiple=True,
    metavar="KEY=LOW:HIGH[:STEP]",
    help="A key and the range in which a sampler looks for its best values.",
)
@click.option("--trials", type=click.IntRange(2, 10_000), help="Cells that the sampler tries; 50 if not given.")
@click.option(
    "--fresh",
    type=click.IntRange(1, 10**7),
    help="Further paths, on which both winners are judged; as many as --paths if not given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the choice as one JSON object.")
def choose(
    scenario: Path,
    grids: tuple[str, ...],
    settings: tuple[str, ...],
    data: Path | None,
    paths: int,
    jobs: int | None,
    cluster: str | None,
    out: Path,
    objective: str,
    constraints: tuple[str, ...],
    spaces: tuple[str, ...],
    trials: int | None,
    fresh: int | None,
    as_json: bool,
    **drawn: object,
) -> None:
    """Choose among the cells of a grid by what they do on paths, and say how much of the best in sample is luck.

    The paths are those of `carrybook paths` with the same options, and are not run twice. Where a grid would be too
    large, a sampler looks for good cells in a --space, of which a --grid is one more part. The winners are judged on
    --fresh paths as well, on which no cell was chosen.
    """
    aim, limits = Objective.of(objective), Constraint.each(constraints)
    if not grids and not spaces:
        raise click.UsageError("--grid: none; expected at least one, such as strategy.leverage=2,3,4, or a --space")
    if trials and not spaces:
        raise click.UsageError("--trials: every cell of a grid is run; expected a --space as well")
    plan = Sweep.of(scenario, grids, [*settings, *_drawn(**drawn)], data, paths)  # type: ignore[arg-type]
    space, judged = None, fresh or paths
    if spaces:
        need_extra("--space", "search", "optuna")
        space = Space.of(plan, spaces)
    else:
        check_days(plan)
    tried = trials or TRIALS
    cells = (tried * paths if space else plan.size) + 2 * judged
    with _runner(cells, out, jobs, cluster, several=True) as run:
        plan, swept = search(plan, space, aim, limits, tried, out, run) if space else (plan, run(plan))
        choice = Choice.of(plan, Outcomes.of(plan, swept), aim, limits)
        judgement = Judgement.of(choice, judged, run)
    if as_json:
        say(json.dumps({**_counts(swept), **choice.plain(), "fresh": judgement.plain()}))
        return
    console = terminal()
    console.print(f"{plan.words()}\n", style="bold yellow", markup=False)
    for grid in (*choice.grids(), judgement.grid()):
        grid.show(console)
    console.print(f"{swept.words()}; on fresh paths {judgement.swept.words()}", markup=False)
    console.print(f"Paths {swept.folder}", markup=False, soft_wrap=True)


def _counts(swept: Swept) -> dict[str, object]:
    return {"sweep": str(swept.folder), "cells": len(swept.rows), "failed": swept.failed, **swept.counts}
