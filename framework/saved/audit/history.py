"""Balances row by row, from the transfers of a folder alone: before a row settles, and before anybody acts in it."""

from functools import cached_property

import numpy as np

from framework.accounts import Account
from framework.archive import Folder
from framework.chain import RECORD, Records
from framework.market import Flags, Floats, Ints, Market
from framework.saved.audit.events import SETTLING
from framework.saved.audit.finding import entry


class History:
    """The transfers of a folder, laid on the rows of a market. Arrays have shape (rows,), amounts in atomic units."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._accounts = {(account.name, account.asset.code): account for account in folder.accounts}
        self._codes = {account: code for code, account in enumerate(folder.accounts)}

    @cached_property
    def market(self) -> Market:
        """The market that the folder has."""
        return self.folder.market

    @cached_property
    def records(self) -> Records:
        """All transfers."""
        return np.concatenate([np.empty(0, dtype=RECORD), *self.folder.records()])

    @cached_property
    def settling(self) -> Flags:
        """Which transfers are the only one of an event that settles a row."""
        codes = [code for code, kind in enumerate(self.folder.kinds) if kind in SETTLING]
        return np.isin(self.records["kind"], codes)

    @cached_property
    def rows(self) -> Ints:
        """The row in which each transfer falls: the first that closes at its instant or later."""
        return self.market.at_ns.searchsorted(self.records["at_ns"])

    def account(self, name: str, asset: str) -> Account | None:
        """An account by its name, None where the run has none."""
        return self._accounts.get((name, asset))

    def before(self, account: Account | None) -> Ints:
        """The balance before each row settles: what was done at the close of a row counts from the next on."""
        length = len(self.market)
        gains = np.zeros(length + 1, dtype=np.int64)
        if account is not None:
            late = (self.records["at_ns"] == self.market.at_ns[np.minimum(self.rows, length - 1)]).astype(np.int64)
            self._add(gains, account, np.minimum(self.rows + late, length), np.ones(len(self.records), dtype=bool))
        return gains.cumsum()[:length]

    def after(self, account: Account | None) -> Ints:
        """The balance after each row, with all that was done up to its close, but for what ended the run."""
        gains = np.zeros(len(self.market) + 1, dtype=np.int64)
        if account is not None:
            in_time = self.records["event"] < (self.ended or np.iinfo(np.int64).max)
            self._add(gains, account, self.rows, in_time)
        return gains.cumsum()[:-1]

    def accrued(self, account: Account | None) -> Ints:
        """The balance once a row has settled, before anybody acts at its close."""
        return self.before(account) + self.settled(account)

    def settled(self, account: Account | None, kind: str = "") -> Ints:
        """What the settlements of each row brought an account, of one kind if that is given; debits less credits."""
        gains = np.zeros(len(self.market) + 1, dtype=np.int64)
        if account is not None:
            chosen = self.settling
            if kind:
                codes = [code for code, name in enumerate(self.folder.kinds) if name == kind]
                chosen = chosen & np.isin(self.records["kind"], codes)
            self._add(gains, account, np.minimum(self.rows, len(self.market)), chosen)
        return gains[:-1]

    def settlement(self, account: Account | None, row: int) -> str:
        """The place of what settled an account in a row: its entry where there is one, and the row."""
        place = self.market.rows(row, row + 1)
        if account is None:
            return place
        code = self._codes[account]
        low, high = np.searchsorted(self.rows, (row, row + 1))
        part = self.records[low:high]
        mine = ((part["debit"] == code) | (part["credit"] == code)) & self.settling[low:high]
        return f"{entry(int(low + mine.argmax()) + 1)}, {place}" if mine.any() else place

    def instant(self, number: int) -> int:
        """The instant of an event's entry, nanoseconds; of the last entry if it has none."""
        slot = min(int(np.searchsorted(self.records["event"], number)), len(self.records) - 1)
        return int(self.records["at_ns"][slot])

    def event(self, number: int) -> str:
        """The place of an event: its entry where there is one, and its number."""
        low, high = np.searchsorted(self.records["event"], (number, number + 1)).tolist()
        return f"{entry(low + 1)}, event {number}" if high > low else f"event {number}"

    def held_before(self, number: int) -> dict[Account, int]:
        """What every account that is not empty held before an event, atomic units."""
        past = self.records[: int(np.searchsorted(self.records["event"], number))]
        balances: dict[Account, int] = {}
        for account, code in self._codes.items():
            debits, credits_ = (int(past["amount"][past[side] == code].sum()) for side in ("debit", "credit"))
            if debits != credits_:
                balances[account] = debits - credits_
        return balances

    def moved(self, number: int, name: str) -> int:
        """What an event's entry brought the accounts of this name, atomic units, debits less credits."""
        low, high = np.searchsorted(self.records["event"], (number, number + 1)).tolist()
        part = self.records[low:high]
        codes = [code for account, code in self._codes.items() if account.name == name]
        debits, credits_ = (int(part["amount"][np.isin(part[side], codes)].sum()) for side in ("debit", "credit"))
        return debits - credits_

    def acted(self, account: Account | None) -> Flags:
        """The rows before which an entry that is no settlement has touched an account: there its path begins anew."""
        length = len(self.market)
        touched = np.zeros(length + 1, dtype=bool)
        if account is not None:
            code = self._codes[account]
            mine = ((self.records["debit"] == code) | (self.records["credit"] == code)) & ~self.settling
            late = self.records["at_ns"][mine] == self.market.at_ns[np.minimum(self.rows[mine], length - 1)]
            touched[np.minimum(self.rows[mine] + late, length)] = True
        return touched[:length]

    @cached_property
    def ended(self) -> int:
        """The id of the event that ended the run, 0 where there is none."""
        return next((int(event["event"]) for event in self.folder.events(("Ended",), ("event",))), 0)

    def _add(self, gains: Ints, account: Account, slots: Ints, chosen: Flags) -> None:
        code = self._codes[account]
        for side, sign in (("debit", 1), ("credit", -1)):
            mine = (self.records[side] == code) & chosen
            np.add.at(gains, slots[mine], sign * self.records["amount"][mine])


def worst(posted: Ints, exact: Floats, anew: Flags) -> Floats:
    """How far the sum of what was posted is from the exact sum, since the path last began anew; atomic units."""
    off = posted.cumsum() - exact.cumsum()
    starts = np.maximum.accumulate(np.where(anew, np.arange(len(off)), 0))
    before = np.concatenate(([0.0], off))[starts]
    difference: Floats = off - before
    return difference
