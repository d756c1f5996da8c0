"""The commands that write something to begin with: a scenario for a coin, a strategy with its test."""

from datetime import datetime
from pathlib import Path

import click

DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.group()
def new() -> None:
    """Write a new scenario or a new strategy. A file that is there is never replaced."""


@new.command()
@click.option("--coin", required=True, help="Code of the coin, such as SOL or ETH.")
@click.option("--short", required=True, help="Venue that sells it short: hyperliquid or drift.")
@click.option("--long", default="asgard", show_default=True, help="Venue that holds it.")
@click.option("--from", "first", type=DAY, help="First day, in UTC; data of the days are fetched, for SOL too.")
@click.option("--to", "last", type=DAY, help="Last day, in UTC.")
@click.option("--lending", help="Series of the coin's lending rate, where the project knows none: kamino:RESERVE.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write, or the directory for it.")
def scenario(
    coin: str,
    short: str,
    long: str,
    first: datetime | None,
    last: datetime | None,
    lending: str | None,
    out: Path | None,
) -> None:
    """Write a scenario that is long of a coin at one venue and short of it at another."""
    from framework.commands.templates import Pages, new_scenario, write  # noqa: PLC0415

    days = {"first": first.date() if first else None, "last": last.date() if last else None}
    pages = new_scenario(coin, long, short, **days, lending=lending)
    directory = out or Path()
    if not directory.is_dir():
        ((_, text),) = pages.texts.items()
        pages = Pages(texts={directory.name: text}, fetches=pages.fetches)
        directory = directory.parent
    (path,) = write(pages, directory)
    _say(f"Wrote {path}")
    for command in pages.fetches:
        _say(f"Fetch its data: {command}")
    _say(f"Run it: carrybook run {path}")


@new.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), default=Path(), help="Directory to write to.")
def strategy(name: str, out: Path) -> None:
    """Write a strategy as module NAME, with a test and a scenario that uses it."""
    from framework.commands.templates import new_strategy, write  # noqa: PLC0415

    paths = write(new_strategy(name), out)
    _say(f"Wrote {', '.join(map(str, paths))}")
    go = "" if out == Path() else f"cd {out} && "
    _say(f"Test it: {go}python -m pytest -q test_{name}.py")
    _say(f"Run it: {go}carrybook run {name}.toml")


COMMANDS = (new,)


def _say(words: str) -> None:
    click.echo(words)
