"""The command that runs a scenario."""

import json
from pathlib import Path
from shlex import quote

import click

from framework.assembly import assemble
from framework.command_line.options import DATA, SCENARIO, SETTINGS
from framework.performance import summarize
from framework.reports.comparisons import cells, check, compare
from framework.reports.report import report
from framework.run_folder.archive import RUNS, identity, save
from framework.run_folder.names import LATEST, assign, check_free
from framework.scenario import Scenario
from framework.support.drafts import clear
from framework.support.grid import terminal
from framework.support.logs import log
from framework.support.text import say


@click.command()
@SCENARIO
@DATA
@SETTINGS
@click.option(
    "--out", type=click.Path(path_type=Path), default=RUNS, show_default=True, help="Parent of the run folder."
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the summary, with published figures and their readings, as one JSON object.",
)
@click.option("--name", help="A name for the run, under which commands find it.")
@click.option("--rules", is_flag=True, help="Print the rules of the venues as well.")
def run(
    scenario: Path,
    data: Path | None,
    settings: tuple[str, ...],
    out: Path,
    as_json: bool,
    name: str | None,
    rules: bool,
) -> None:
    """Run a SCENARIO (TOML), write its run folder, and print a report."""
    assembly = assemble(Scenario.load(scenario, settings), data)
    log.info("assembled", scenario=assembly.scenario.name, rows=len(assembly.market))
    if name is not None:
        check_free(out, name, identity(assembly))
    finished = assembly.simulation().run()
    summary = summarize(assembly, finished)
    check(assembly.scenario, summary)
    unchanged = Scenario.load(scenario) if settings and assembly.scenario.published else None
    comparison = compare(assembly.scenario, data, unchanged, settings)
    beside = () if as_json else cells(assembly)
    clear(out)
    folder = save(assembly, finished, summary, out)
    if name is not None:
        assign(out, name, folder.name)
    log.info("saved", folder=str(folder), transfers=len(finished.ledger))
    if as_json:
        published = {"published": comparison.plain()} if comparison else {}
        say(json.dumps({**summary, **published, "run": str(folder)}))
        return
    console = terminal()
    if finished.market.label:
        console.print(f"{finished.market.label}\n", style="bold yellow", markup=False)
    for grid in report(assembly, finished, summary, comparison, beside, rules=rules):
        grid.show(console)
    console.print(f"Run {folder}" + (f", {name}" if name else ""), markup=False, soft_wrap=True)
    one = quote(str(out / (name or LATEST)))
    say(f"Next: carrybook explain {one} total_fees_usd (down to the market rows; likewise any figure or bucket)")
    say(f"      carrybook report {one} (one HTML file), carrybook audit {one} (checks of the books)")
