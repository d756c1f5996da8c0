"""The commands that write something to begin with: a scenario for a coin, a strategy with its test."""

from pathlib import Path

import click


@click.group()
def new() -> None:
    """Write a new scenario or a new strategy. A file that is there is never replaced."""


@new.command()
@click.option("--coin", required=True, help="Code of the coin, such as SOL or ETH.")
@click.option("--short", required=True, help="Venue that sells it short: hyperliquid or drift.")
@click.option("--long", default="asgard", show_default=True, help="Venue that holds it.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write, or the directory for it.")
def scenario(coin: str, short: str, long: str, out: Path | None) -> None:
    """Write a scenario that is long of a coin at one venue and short of it at another."""
    from framework.templates import Pages, new_scenario, write  # noqa: PLC0415

    pages = new_scenario(coin, long, short)
    directory = out or Path()
    if not directory.is_dir():
        ((_, text),) = pages.texts.items()
        pages = Pages(texts={directory.name: text}, needs=pages.needs)
        directory = directory.parent
    (path,) = write(pages, directory)
    _say(f"Wrote {path}")
    if pages.needs:
        _say(f"Its data do not ship with the project. It needs a directory with {', '.join(pages.needs)}")
    _say(f"Run it: carrybook run {path}{' --data DIR' if pages.needs else ''}")


@new.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), default=Path(), help="Directory to write to.")
def strategy(name: str, out: Path) -> None:
    """Write a strategy as module NAME, with a test and a scenario that uses it."""
    from framework.templates import new_strategy, write  # noqa: PLC0415

    paths = write(new_strategy(name), out)
    _say(f"Wrote {', '.join(map(str, paths))}")
    go = "" if out == Path() else f"cd {out} && "
    _say(f"Test it: {go}python -m pytest -q test_{name}.py")
    _say(f"Run it: {go}carrybook run {name}.toml")


COMMANDS = (new,)


def _say(words: str) -> None:
    click.echo(words)
