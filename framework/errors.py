"""Every mistake that a user can make has a type here, and its message says the place and what would be right."""


class CarrybookError(Exception):
    """A mistake in the input: the message is one line and complete without a traceback.

    One that `is_located` names the line of a user's own file that led to it, where there is one.
    """

    is_located = False


class UnitError(CarrybookError):
    """A quantity that its asset cannot hold exactly."""


class LedgerError(CarrybookError):
    """An entry that the books refuse: nothing of it has been posted. Of a series `row`, counted from 0, is to blame."""

    def __init__(self, words: str, row: int | None = None) -> None:
        super().__init__(words)
        self.row = row


class MarketError(CarrybookError):
    """Market data that cannot be trusted: the message names file, row and column."""


class ScenarioError(CarrybookError):
    """A scenario that cannot be run: the message names the key."""


class OrderRefused(CarrybookError):  # noqa: N818  (the trade says that an order is refused)
    """An order that its venue cannot execute: nothing of it has been posted."""


class Rejection(CarrybookError):  # noqa: N818  (the trade says that an order is rejected)
    """An order that cannot be filled now: it is rolled back and becomes a `Rejected` event, and the run goes on.

    `rules` are the names of the rules of the venue that do not let it.
    """

    def __init__(self, words: str, rules: tuple[str, ...] = ()) -> None:
        super().__init__(words)
        self.rules = rules


class PlayingError(CarrybookError):
    """A run that was played differs from its simulation: those before it may be wrong as well, so nothing goes on."""


class RunError(CarrybookError):
    """A run folder that cannot be written or read."""


class SqlError(CarrybookError):
    """A query of a run that cannot be answered."""


class TemplateError(CarrybookError):
    """Something new that cannot be written: no file was made or changed."""


class StoreError(CarrybookError):
    """The store of data lacks what was asked for, or refuses what it was given: the message names the series."""


class FetchError(CarrybookError):
    """A source that did not give what was asked for: the message names the request and the reply."""


class OutputClosed(CarrybookError):  # noqa: N818  (what happened, and nobody's mistake)
    """Nobody reads the output any more, such as `head` that has had its lines."""
