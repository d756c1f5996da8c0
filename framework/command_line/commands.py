"""The commands that run scenarios: `run`, one of them, and `sweep`, one over a grid of its keys."""

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from framework.archive import save
from framework.assembly import assemble
from framework.grid import terminal
from framework.logs import log
from framework.performance import summarize
from framework.reports.comparisons import cells, check, compare
from framework.reports.report import report
from framework.scenario import Scenario
from framework.sweep import Sweep, overview
from framework.sweep import sweep as run_sweep


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Directory of the scenario's source files; without it the embedded data set is used.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Put a value over a key of the scenario.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Parent of the run folder."
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the summary, with published figures and their readings, as one JSON object.",
)
@click.option("--rules", is_flag=True, help="Print the rules of the venues as well.")
def run(scenario: Path, data: Path | None, settings: tuple[str, ...], out: Path, as_json: bool, rules: bool) -> None:
    """Run a SCENARIO (TOML), write its run folder, and print a report."""
    assembly = assemble(Scenario.load(scenario, settings), data)
    log.info("assembled", scenario=assembly.scenario.name, rows=len(assembly.market))
    finished = assembly.simulation().run()
    summary = summarize(assembly, finished)
    check(assembly.scenario, summary)
    unchanged = Scenario.load(scenario) if settings and assembly.scenario.published else None
    comparison = compare(assembly.scenario, data, unchanged, settings)
    beside = () if as_json else cells(assembly)
    folder = save(assembly, finished, summary, out)
    log.info("saved", folder=str(folder), transfers=len(finished.ledger))
    if as_json:
        published = {"published": comparison.plain()} if comparison else {}
        click.echo(json.dumps({**summary, **published, "run": str(folder)}))
        return
    console = terminal()
    if finished.market.label:
        console.print(f"{finished.market.label}\n", style="bold yellow", markup=False)
    for grid in report(assembly, finished, summary, comparison, beside, rules=rules):
        grid.show(console)
    console.print(f"Run {folder}", markup=False, soft_wrap=True)


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--grid", "grids", multiple=True, metavar="KEY=V1,V2,...", help="A key of the scenario and its values.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Put a value over a key of the scenario.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Directory of the scenario's source files; without it the embedded data set is used.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes to run in; all cores if not given.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("sweeps"),
    show_default=True,
    help="Parent of the sweep's folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print where the results are as one JSON object.")
def sweep(
    scenario: Path,
    grids: tuple[str, ...],
    settings: tuple[str, ...],
    data: Path | None,
    jobs: int | None,
    out: Path,
    as_json: bool,
) -> None:
    """Run a SCENARIO over a grid of its keys. Started again, it runs only what is missing.

    The exit code is 1 if a cell failed: its row has the error.
    """
    plan = Sweep.of(scenario, grids, settings, data)
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("cells", total=len(plan.cells()))
        swept = run_sweep(plan, out, jobs, lambda done: progress.update(bar, completed=done))
    if as_json:
        counts = {"cells": len(swept.rows), "failed": swept.failed, "ran": swept.ran}
        click.echo(json.dumps({"sweep": str(swept.folder), **counts}))
    else:
        console = terminal()
        overview(plan, swept).show(console)
        console.print(f"Sweep {swept.folder}", markup=False, soft_wrap=True)
    sys.exit(1 if swept.failed else 0)
