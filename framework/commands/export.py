"""The commands that hand a run's folder to other programs: export and sql."""

import json
from pathlib import Path
from typing import Literal

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["beancount", "hledger", "csv"]), required=True, help="For what.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Directory for the files.")
@click.option("--json", "as_json", is_flag=True, help="Print the files as one JSON object.")
def export(run: Path, form: Literal["beancount", "hledger", "csv"], out: Path, as_json: bool) -> None:
    """Write the books of a finished RUN for another program."""
    from framework.archive import Folder  # noqa: PLC0415
    from framework.exports import export as make  # noqa: PLC0415

    files = [str(path) for path in make(Folder(run), form, out)]
    click.echo(json.dumps({"files": files}) if as_json else "\n".join(f"Wrote {path}" for path in files))


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("select", default="SELECT * FROM balances")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per row, DECIMALs as text, in one array.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@click.option("--script", "as_script", is_flag=True, help="Print the views as a script for DuckDB alone.")
@click.option(
    "--memory",
    "memory_gb",
    type=float,
    metavar="GB",
    help="Memory that the answer may take, 1 if not given; what does not fit goes to a temporary folder.",
)
def sql(run: Path, select: str, memory_gb: float | None, as_json: bool, as_csv: bool, as_script: bool) -> None:
    """Answer a SELECT about a finished RUN. Without one, show the balances.

    Views: transfers, postings, events, balances, waterfall, accounts, roll_forward, prices, market, equity.
    """
    from framework.archive import Folder  # noqa: PLC0415
    from framework.sql import MEMORY_GB, ask, csv_lines, grid, json_lines, views  # noqa: PLC0415

    if as_json + as_csv + as_script > 1:
        raise click.UsageError("--json, --csv and --script exclude each other; expected one of them")
    if as_script:
        click.echo(views(Folder(run)))
        return
    with ask(Folder(run), select, MEMORY_GB if memory_gb is None else memory_gb) as answer:
        if as_json or as_csv:
            for line in json_lines(answer) if as_json else csv_lines(answer):
                click.echo(line, nl=False)
            return
        from framework.grid import terminal  # noqa: PLC0415

        table, notes = grid(answer)
        table.show(terminal())
        click.echo(notes)


COMMANDS = (export, sql)
