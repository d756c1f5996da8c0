"""The books of a run: every event goes into the log together with its entry in the ledger, and never one alone.

This is the only caller of `Ledger.post` and `Ledger.post_series`.
"""

from collections.abc import Sequence

import numpy as np
from attrs import asdict

from framework.accounts import Account, Draft
from framework.curve import Curve
from framework.errors import LedgerError
from framework.eventlog import EventLog, Settlements
from framework.events import Event
from framework.ledger import Ledger
from framework.logs import debugging, log
from framework.market import Market
from framework.units import USDC
from framework.venue import BRIDGE_FEE, CAPITAL, CASH, IN_TRANSIT, Stretch, Venue


class Books:
    """Ledger, event log and equity curve of one run."""

    def __init__(self, market: Market, venues: Sequence[Venue], capital: int) -> None:
        chart = [CASH, CAPITAL, IN_TRANSIT, BRIDGE_FEE]
        self._market = market
        self.ledger = Ledger([*chart, *(account for venue in venues for account in venue.accounts())])
        self.events = EventLog(market)
        self.curve = Curve(market, venues, USDC.units(capital))
        self._debugging = debugging()

    def balance(self, account: Account) -> int:
        """Debits less credits in atomic units."""
        return self.ledger.balance(account)

    def post(self, event: Event, draft: Draft | None = None) -> None:
        """One event and its entry; raises `LedgerError` for an entry that the ledger refuses, and logs nothing."""
        transfers = draft.transfers if draft else []
        self.ledger.post(event.at_ns, event.event, transfers)
        self.events.add(event)
        if self._debugging:
            values = {
                ("id" if name == "event" else name): value for name, value in asdict(event, recurse=False).items()
            }
            log.debug(event.kind, transfers=len(transfers), **values)

    def settle(self, stretch: Stretch, stop: int) -> None:
        """The settlements of a stretch up to the row before `stop`, each an event with one transfer."""
        accruals = [accrual for projection in stretch.projections.values() for accrual in projection.accruals]
        if accruals:
            count = stop - stretch.start
            steps = np.empty((len(accruals), count), dtype=np.int64)
            for accrual, row in zip(accruals, steps, strict=True):
                np.subtract(accrual.path[1 : count + 1], accrual.path[:count], out=row)
            amounts = steps.T
            streams = [accrual.stream for accrual in accruals]
            first = self.events.next_id
            try:
                settled = self.ledger.post_series(self._market.at_ns[stretch.start : stop], first, streams, amounts)
            except LedgerError as error:
                at = stretch.start + (error.row or 0)
                raise LedgerError(f"{self._market.rows(at, at + 1)}: {error}", error.row) from None
            self.events.add_settlements(Settlements(first, stretch.start, accruals, amounts, settled))
        self.curve.fill(stretch, self.ledger, stop)
