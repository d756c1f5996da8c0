"""Logs: structlog over the standard logger `carrybook`, so silent until someone asks; lines go to stderr.

structlog is loaded with the first line that somebody listens to: most runs have none.
"""

import logging
import sys
from functools import cache
from typing import TYPE_CHECKING, Literal

from framework.support.text import plain

if TYPE_CHECKING:
    import structlog

_LOGGER = logging.getLogger("carrybook")
_LOGGER.addHandler(logging.NullHandler())  # without which Python prints warnings that nobody has asked for


@cache
def _structured() -> "structlog.stdlib.BoundLogger":
    import structlog  # noqa: PLC0415  (a sixth of the time in which the framework loads)

    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        _LOGGER,
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return logger


class Log:
    """The project's logger. It names simulated instants only: no log line depends on the wall clock."""

    def debug(self, event: str, **values: object) -> None:
        """A line for each single event."""
        self._tell(logging.DEBUG, event, values)

    def info(self, event: str, **values: object) -> None:
        """A line for each step of a command."""
        self._tell(logging.INFO, event, values)

    def warning(self, event: str, **values: object) -> None:
        """A line for what somebody should know and that ends nothing."""
        self._tell(logging.WARNING, event, values)

    def _tell(self, level: int, event: str, values: dict[str, object]) -> None:
        if _LOGGER.isEnabledFor(level):
            _structured().log(level, event, **values)


log = Log()


def debugging() -> bool:
    """Whether anyone listens to single events."""
    return _LOGGER.isEnabledFor(logging.DEBUG)


def show(form: Literal["console", "json"], level: str) -> None:
    """Print log lines of `level` and above to stderr."""
    import structlog  # noqa: PLC0415  (see above)

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


def _plain(_: object, __: str, line: "structlog.typing.EventDict") -> "structlog.typing.EventDict":
    """A log line in which nothing from outside can steer a terminal."""
    return {key: plain(value) if isinstance(value, str) else value for key, value in line.items()}
