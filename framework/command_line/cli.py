"""The `carrybook` command: the names of its subcommands, each loaded from its module when it is asked for."""

import contextlib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import click

from framework.errors import CarrybookError, OutputClosed
from framework.support.interrupts import ended_by_interrupts
from framework.support.text import one_line, say

COMMANDS: Mapping[str, tuple[str, str]] = {
    "audit": ("framework.command_line.examination:audit", "Check the folder of a finished RUN."),
    "choose": (
        "framework.command_line.sweeps:choose",
        "Choose among the cells of a grid by what they do on paths, and say how much of the best in sample is luck.",
    ),
    "compare": ("framework.command_line.collection:compare", "Show finished RUNs beside each other."),
    "data": ("framework.data.commands:data", "Look at the store of market data."),
    "doctor": ("framework.command_line.doctor:doctor", "Say whether all that the commands need is there."),
    "explain": (
        "framework.command_line.examination:explain",
        "Say where a number comes from: WHAT is a bucket of the waterfall, a figure of the summary or an account.",
    ),
    "export": ("framework.command_line.examination:export", "Write the books of a finished RUN for another program."),
    "fetch": ("framework.data.fetches:fetch", "Fetch market data into the store."),
    "ledger": ("framework.command_line.examination:ledger", "List the transfers of a RUN."),
    "new": ("framework.command_line.templates:new", "Write a new scenario, strategy or venue."),
    "paths": (
        "framework.command_line.sweeps:paths",
        "Run a SCENARIO, or each cell of a grid, on many paths that are drawn from its data.",
    ),
    "report": ("framework.command_line.examination:report", "Write a RUN, or a sweep, as one HTML file."),
    "rules": ("framework.command_line.rules:rules", "Print the rules of a VENUE, with dates, source and certainty."),
    "run": ("framework.command_line.commands:run", "Run a SCENARIO (TOML), write its run folder, and print a report."),
    "runs": ("framework.command_line.collection:runs", "List, show, rename and delete finished runs."),
    "sql": ("framework.command_line.examination:sql", "Answer a SELECT about a finished RUN."),
    "study": ("examples.study.report:study", "Make the study's whole report: its three models on both venues."),
    "sweep": ("framework.command_line.sweeps:sweep", "Run a SCENARIO over a grid of its keys."),
}
"""Name of a subcommand -> where it is, as `module:attribute`, and the first sentence of its help."""


class LazyGroup(click.Group):
    """A group that imports the module of a subcommand when that is asked for; its own help imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's own signature)
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  (the same)
        return _load(COMMANDS[cmd_name][0]) if cmd_name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            suggestion = _load("framework.support.suggestions:suggestion")
            raise click.UsageError(f"No such command {name!r}; {suggestion(name, COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        listed = {name: click.Command(name, help=words) for name, (_, words) in COMMANDS.items()}
        click.Group(commands=listed).format_commands(ctx, formatter)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="carrybook")
@click.option("--log", "form", type=click.Choice(["console", "json"]), help="Print log lines to stderr.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning"]), default="info", show_default=True)
def carrybook(form: Literal["console", "json"] | None, log_level: str) -> None:
    """Simulate carry strategies on a double-entry ledger."""
    if form:
        _load("framework.support.logs:show")(form, log_level)


MISTAKE = 2
"""Exit code of a mistake in the input or around it; 1 is for findings."""
INTERRUPTED = 130
CLOSED = 141
"""Exit code where nobody reads the output any more, as a shell says of a program that was ended so."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a mistake in the input, or around it, is one line on stderr and exit code 2."""
    try:
        code = _ended(arguments)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = MISTAKE
    except (OutputClosed, BrokenPipeError):
        code = _closed()
    except (CarrybookError, click.ClickException, OSError, MemoryError) as error:
        code = _refused(error)
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except Exception as error:
        if not _was_interrupted(error):
            raise
        code = INTERRUPTED
    sys.exit(code)


def _ended(arguments: Sequence[str] | None) -> int | str | None:
    """The exit code of the command."""
    try:
        code: int | None = carrybook.main(arguments, standalone_mode=False)
    except SystemExit as ended:
        return ended.code
    return code


def _refused(error: Exception) -> int:
    match error:
        case click.ClickException():
            words = error.format_message()
        case OSError():
            words = f"{error.filename or 'input or output'}: {error.strerror or type(error).__name__}"
        case MemoryError():
            words = "not enough memory"
        case _:
            words = str(error)
    try:
        say(f"carrybook: {one_line(words)}", err=True)
        sys.stdout.flush()
    except OSError:
        _closed()
    return MISTAKE


def _closed() -> int:
    """Let the end of the process not try again to write what nobody takes."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CLOSED


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether an error, such as that of a module that could not be loaded, comes of an interrupt."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _load(where: str) -> Any:  # noqa: ANN401  (whatever is there)
    module, _, attribute = where.partition(":")
    with ended_by_interrupts():
        return getattr(importlib.import_module(module), attribute)


if __name__ == "__main__":
    main()
