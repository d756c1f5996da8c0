"""The commands for many finished runs: `runs` lists, shows, renames and deletes them, `compare` compares them."""

import json
from pathlib import Path
from typing import Any

import click

from framework.command_line.parameters import RUN
from framework.errors import RunError
from framework.reports.differences import Difference
from framework.run_folder.archive import RUNS, Folder, only_run, remove, runs_below
from framework.run_folder.names import assign, check_name, forget, names_in
from framework.support.grid import Grid, terminal
from framework.support.text import flat, say

LISTED = ("return_pct", "cagr_pct", "sharpe", "max_drawdown_pct", "liquidations")
"""Figures of the list of runs."""
DIRECTORY = click.option(
    "--in", "parent", type=click.Path(path_type=Path), default=RUNS, show_default=True, help="Directory of the runs."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


@click.group(invoke_without_command=True)
@click.pass_context
def runs(ctx: click.Context) -> None:
    """List, show, rename and delete finished runs; without a subcommand, list those in `runs`."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_runs)


@runs.command("list")
@DIRECTORY
@AS_JSON
def list_runs(parent: Path, as_json: bool) -> None:
    """List the runs of a directory, the last one written first."""
    folders = sorted(runs_below(parent), key=_written_ns, reverse=True)
    found = [_line(Folder(each)) for each in folders]
    if as_json:
        say(json.dumps(found))
        return
    if not found:
        say(f"No runs in {parent}.")
        return
    grid = Grid(f"Runs in {parent}", ("name", "<digest", "<scenario", "<from", "<to", *LISTED))
    for line in found:
        figures = ("-" if line[key] is None else f"{line[key]:,.2f}" for key in LISTED[:-1])
        days = (str(line[key]) for key in ("start", "end"))
        names = ", ".join(line["names"]) or "-"
        grid.add(names, line["run"][:8], line["scenario"], *days, *figures, str(line[LISTED[-1]]))
    grid.show(terminal())


@runs.command()
@click.argument("run", type=RUN)
@AS_JSON
def show(run: Path, as_json: bool) -> None:
    """Show the settings of a RUN, its inputs and its figures."""
    folder = Folder(run)
    settings = {key: str(value) for key, value in flat(folder.scenario.table()).items()}
    figures = {key: value for key, value in folder.summary.items() if not isinstance(value, dict | list)}
    if as_json:
        plain = {**_line(folder), "settings": settings, "inputs": folder.manifest.inputs, "figures": figures}
        say(json.dumps(plain))
        return
    for title, table in (("Settings", settings), ("Inputs", folder.manifest.inputs), ("Figures", figures)):
        grid = Grid(f"{title} of {', '.join(_names(run)) or folder.name[:8]}", ("key", "<value"))
        for key, value in table.items():
            grid.add(key, "-" if value is None else str(value))
        grid.show(terminal())
    say(f"Run {folder.path}")


@runs.command()
@click.argument("run", type=RUN)
@click.argument("name")
def rename(run: Path, name: str) -> None:
    """Give a RUN another NAME, or its first one; the names that it has are taken away."""
    folder = Folder(run)
    assign(run.parent, check_name(name), run.name)
    for each in _names(run):
        if each != name:
            forget(run.parent, each)
    say(f"{folder.name[:8]} is {name}")


@runs.command()
@click.argument("runs", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(runs: tuple[str, ...], yes: bool) -> None:
    """Delete RUNS with their names: names, first digits of digests, or folders. Nothing brings them back."""
    folders = list(dict.fromkeys(only_run(Path(each)) for each in runs))
    for folder in folders:
        if Folder(folder).name != folder.name:
            raise RunError(f"{folder}: not called by its digest, and left as it is; expected a folder as it was saved")
    told = ", ".join(f"{', '.join(_names(each)) or each.name[:8]}" for each in folders)
    if not yes:
        click.confirm(f"Delete {told}?", abort=True, err=True)
    for folder in folders:
        remove(folder)
    say(f"Deleted {told}")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=RUN)
@AS_JSON
def compare(runs: tuple[Path, ...], as_json: bool) -> None:
    """Show finished RUNS beside each other: settings that differ, metrics, waterfalls, and where the curves part.

    Differences are from the first run.
    """
    found = Difference.of(runs)
    if as_json:
        say(json.dumps(found.plain(), allow_nan=False))
        return
    for grid in found.grids():
        if grid.rows:
            grid.show(terminal(180))
        elif grid.note:
            say(f"{grid.title}: {grid.note}\n")


def _line(folder: Folder) -> dict[str, Any]:
    """What the list has of a run."""
    market = folder.scenario.market
    return {
        "names": _names(folder.path),
        "run": folder.name,
        "scenario": folder.scenario.name,
        "start": str(market.start),
        "end": str(market.end),
        **{key: folder.summary.get(key) for key in LISTED},
    }


def _names(run: Path) -> list[str]:
    return [name for name, digest in names_in(run.parent).items() if digest == run.name]


def _written_ns(folder: Path) -> int:
    return (folder / "manifest.json").stat().st_mtime_ns
