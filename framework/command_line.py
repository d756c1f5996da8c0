"""The `carrybook` command: a scenario in, a run folder and a report out."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from framework import logs
from framework.commands import audit as audit_commands
from framework.commands import data as data_commands
from framework.commands import export as export_commands
from framework.commands import new as new_commands
from framework.errors import CarrybookError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="carrybook")
@click.option("--log", "form", type=click.Choice(["console", "json"]), help="Print log lines to stderr.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning"]), default="info", show_default=True)
def carrybook(form: Literal["console", "json"] | None, log_level: str) -> None:
    """Simulate carry strategies on a double-entry ledger."""
    if form:
        logs.show(form, log_level)


@carrybook.command()
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
def run(scenario: Path, data: Path | None, settings: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Run a SCENARIO (TOML), write its run folder, and print a report."""
    from framework.archive import save  # noqa: PLC0415  (the rest of the command line starts without them)
    from framework.assembly import assemble  # noqa: PLC0415
    from framework.scenario import Scenario  # noqa: PLC0415
    from framework.studies.coarser import cells  # noqa: PLC0415
    from framework.studies.published import check, compare  # noqa: PLC0415
    from framework.valuation import summarize  # noqa: PLC0415

    assembly = assemble(Scenario.load(scenario, settings), data)
    logs.log.info("assembled", scenario=assembly.scenario.name, rows=len(assembly.market))
    finished = assembly.simulation().run()
    summary = summarize(assembly, finished)
    check(assembly.scenario, summary)
    comparison = compare(assembly.scenario, data)
    beside = () if as_json else cells(assembly)
    folder = save(assembly, finished, summary, out)
    logs.log.info("saved", folder=str(folder), transfers=len(finished.ledger))
    if as_json:
        published = {"published": comparison.plain()} if comparison else {}
        click.echo(json.dumps({**summary, **published, "run": str(folder)}))
        return
    from framework.grid import terminal  # noqa: PLC0415
    from framework.report import report  # noqa: PLC0415

    console = terminal()
    if finished.market.label:
        console.print(f"{finished.market.label}\n", style="bold yellow", markup=False)
    for grid in report(assembly, finished, summary, comparison, beside):
        grid.show(console)
    console.print(f"Run {folder}", markup=False, soft_wrap=True)


@carrybook.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Directory of the study's source files; without it the embedded data set is used.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Put a value over a key of every scenario.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the report to this file as well.")
def study(data: Path | None, settings: tuple[str, ...], markdown: Path | None) -> None:
    """Make the study's whole report: its three models on both venues."""
    from framework.grid import terminal  # noqa: PLC0415
    from framework.studies.study import Study  # noqa: PLC0415
    from framework.studies.study_report import tables, write_markdown  # noqa: PLC0415

    comparison = Study(data, settings)
    grids = list(tables(comparison))
    if markdown:
        write_markdown(markdown, grids, comparison.market.label)
    console = terminal(180)
    if comparison.market.label:
        console.print(f"{comparison.market.label}\n", style="bold yellow", markup=False)
    for grid in grids:
        grid.show(console)


@carrybook.command()
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
    """Run a SCENARIO over a grid of its keys. Started again, it runs only what is missing."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    from framework.grid import terminal  # noqa: PLC0415
    from framework.studies.sweep import Sweep, overview  # noqa: PLC0415
    from framework.studies.sweep import sweep as run_sweep  # noqa: PLC0415

    plan = Sweep.of(scenario, grids, settings, data)
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("cells", total=len(plan.cells()))
        swept = run_sweep(plan, out, jobs, lambda done: progress.update(bar, completed=done))
    if as_json:
        counts = {"cells": len(swept.rows), "failed": swept.failed, "ran": swept.ran}
        click.echo(json.dumps({"sweep": str(swept.folder), **counts}))
        return
    console = terminal()
    overview(plan, swept).show(console)
    console.print(f"Sweep {swept.folder}", markup=False, soft_wrap=True)


for module in (audit_commands, data_commands, export_commands, new_commands):
    for command in module.COMMANDS:
        carrybook.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a mistake in the input is one line on stderr and exit code 2."""
    try:
        code = carrybook.main(arguments, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except (CarrybookError, click.ClickException) as error:
        words = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"carrybook: {' '.join(words.split())}", err=True)
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    sys.exit(code)


if __name__ == "__main__":
    main()
