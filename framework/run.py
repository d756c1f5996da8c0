"""What came out of a simulation: the books, the log and the curve over one market."""

from attrs import frozen

from framework.accrual import rows_until
from framework.curve import Curve
from framework.eventlog import EventLog
from framework.ledger import Ledger
from framework.market import At, Mark, Market


@frozen(eq=False, kw_only=True)
class Run:
    """A finished simulation; `capital` in atomic units of USDC.

    `opened_at` says at which prices of the first row trades before its close were made.
    """

    market: Market
    ledger: Ledger
    events: EventLog
    curve: Curve
    capital: int
    opened_at: At = "close"

    def mark(self, at_ns: int) -> Mark:
        """The prices that held at an instant: of the last row that had closed, or those at which the run opened."""
        closed = rows_until(self.market, at_ns)
        return Mark(self.market, closed - 1) if closed else Mark(self.market, 0, self.opened_at)
