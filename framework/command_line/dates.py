"""Dates as commands take them, for the options `--from` and `--to`."""

from datetime import date

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


def check_days(since: date | None, until: date | None) -> None:
    """Refuse a last day before the first; raises `click.UsageError`."""
    if since and until and until < since:
        raise click.UsageError(f"--to {until}: before --from {since}; expected a day on or after it")
