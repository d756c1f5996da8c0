"""Logs: structlog over the standard logger `carrybook`, so silent until someone asks; lines go to stderr."""

import logging
import sys
from typing import Literal

import structlog

from framework.support.text import plain

_LOGGER = logging.getLogger("carrybook")

log: structlog.stdlib.BoundLogger = structlog.wrap_logger(
    _LOGGER,
    processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
    wrapper_class=structlog.stdlib.BoundLogger,
)
"""The project's logger. It names simulated instants only: no log line depends on the wall clock."""


def debugging() -> bool:
    """Whether anyone listens to single events."""
    return _LOGGER.isEnabledFor(logging.DEBUG)


def show(form: Literal["console", "json"], level: str) -> None:
    """Print log lines of `level` and above to stderr."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _plain,
            renderer,
        ],
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(level.upper())
    _LOGGER.propagate = False


def _plain(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A log line in which nothing from outside can steer a terminal."""
    return {key: plain(value) if isinstance(value, str) else value for key, value in line.items()}
