"""Options that several commands take, with dates for `--from` and `--to`."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import click

from framework.support.text import shown


class DateType(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.3 alone
    """A date such as 2025-01-31, as a `date`; raises `click.BadParameter` for anything else."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        text = str(value)
        try:
            day = date.fromisoformat(text)
        except ValueError:
            day = None
        if day is None or day.isoformat() != text:
            self.fail(f"{shown(text)}; expected a date such as 2025-01-31", param, ctx)
        return day


DATE = DateType()

Command = Callable[..., None]
Option = Callable[[Command], Command]


def together(*options: Option) -> Option:
    """Several options as one decorator."""

    def decorated(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


DAYS = together(
    click.option("--from", "since", type=DATE, help="First day."),
    click.option("--to", "until", type=DATE, help="Last day."),
)
SCENARIO = click.argument("scenario", type=click.Path(path_type=Path))
DATA = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Directory of the scenario's source files; without it the embedded data set is used.",
)
SETTINGS = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Put a value over a key of the scenario."
)


def check_days(since: date | None, until: date | None) -> None:
    """Refuse a last day before the first; raises `click.UsageError`."""
    if since and until and until < since:
        raise click.UsageError(f"--to {until}: before --from {since}; expected a day on or after it")
