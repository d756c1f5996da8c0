"""History: the transfers of a folder laid on the rows of a market, from which the thorough checks compute."""

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
from attrs import frozen

from framework.accrual import Accrual, Computed
from framework.assembly import Assembly
from framework.audit.declared import Exact, computed_again
from framework.audit.findings import Findings, entry
from framework.audit.log import Values, between, slots
from framework.audit.states import Reading
from framework.events import Ended
from framework.ledger import RECORD, Records
from framework.market import Flags, Ints, Market
from framework.money import Account
from framework.run import Run
from framework.run_folder.archive import UNKNOWN, Folder
from framework.venue import Venue


class History:
    """The transfers of a folder, laid on the rows of a market. Arrays have shape (rows,), amounts in atomic units.

    Accounts are codes of the folder's chart; those that venues declare are found there by name and asset.
    """

    def __init__(self, folder: Folder, assembly: Assembly) -> None:
        self.folder = folder
        self.assembly = assembly
        self._codes = {(each.name, each.asset.code): code for code, each in enumerate(folder.accounts)}
        self._paths: dict[tuple[int, str], Ints] = {}
        self._exact: dict[int, Exact] = {}

    @cached_property
    def market(self) -> Market:
        """The market that the folder has."""
        return self.folder.market

    @cached_property
    def records(self) -> Records:
        """All transfers."""
        return np.concatenate([np.empty(0, dtype=RECORD), *self.folder.records()])

    @cached_property
    def rows(self) -> Ints:
        """The row in which each transfer falls: the first that closes at its instant or later."""
        rows: Ints = self.market.at_ns.searchsorted(self.records["at_ns"])
        return rows

    @cached_property
    def counts_from(self) -> Ints:
        """The first row that each transfer counts for: what was done at a close counts from the next row on."""
        length = len(self.market)
        late = self.records["at_ns"] == self.market.at_ns[np.minimum(self.rows, length - 1)]
        first: Ints = np.minimum(self.rows + late, length)
        return first

    @cached_property
    def log(self) -> Mapping[str, Values]:
        """Id, kind and venue of every event."""
        table = self.folder.table("events", ("event", "kind", "venue"))
        return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}

    @cached_property
    def groups(self) -> tuple["Group", ...]:
        """The declared streams, those together that post alike."""
        found: dict[object, Group] = {}
        for venue in self.assembly.venues:
            for accrual in venue.accruals():
                debit, credit = self.code(accrual.debit), self.code(accrual.credit)
                name = accrual.event.__name__
                key = (venue.name, name, accrual.kind, frozenset((debit, credit)))
                group = found.setdefault(key, Group(venue, name, accrual.kind, debit, credit, []))
                group.accruals.append(accrual)
        return tuple(found.values())

    @cached_property
    def settling(self) -> Flags:
        """Which transfers are of an event that settles a row."""
        names = np.array(sorted({group.event for group in self.groups}), dtype=object)
        return slots(self.log["event"][np.isin(self.log["kind"], names)], self.records)[1]

    @cached_property
    def group_of(self) -> Ints:
        """The place of the group that each transfer settles, -1 for those that settle nothing declared."""
        found = np.full(len(self.records), -1, dtype=np.int64)
        slot, _ = slots(self.log["event"], self.records)
        kinds = {kind: code for code, kind in enumerate(self.folder.kinds)}
        for place, each in enumerate(self.groups):
            of_event = (self.log["kind"] == each.event) & (self.log["venue"] == each.venue.name)
            mine = between(self.records, each.debit, each.credit, kinds.get(each.kind, UNKNOWN))
            found[self.settling & of_event[slot] & mine] = place
        return found

    def code(self, account: Account) -> int:
        """The code of a declared account in the folder's chart, -1 where that lacks it."""
        return self._codes.get((account.name, account.asset.code), -1)

    def before(self, code: int) -> Ints:
        """The balance before each row settles."""
        return self._path(code, "before", self.counts_from)

    def after(self, code: int) -> Ints:
        """The balance after each row, with all that was done up to its close, but for what ended the run."""
        return self._path(code, "after", self.rows, self.records["event"] < (self.ended or np.iinfo(np.int64).max))

    def accrued(self, code: int) -> Ints:
        """The balance once a row has settled, before anybody acts at its close."""
        return self._path(code, "accrued", np.where(self.settling, self.rows, self.counts_from))

    def _path(self, code: int, name: str, slots: Ints, chosen: Flags | None = None) -> Ints:
        if (code, name) not in self._paths:
            signs = (self.records["debit"] == code).astype(np.int64) - (self.records["credit"] == code)
            if chosen is not None:
                signs *= chosen
            self._paths[code, name] = self._by_row(slots, signs).cumsum()
        return self._paths[code, name]

    def _by_row(self, rows: Ints, signs: Ints) -> Ints:
        """The amounts of transfers by row, each so many times; those of none of the rows are left out."""
        (mine,) = signs.nonzero()
        gains = np.zeros(len(self.market) + 1, dtype=np.int64)
        np.add.at(gains, np.minimum(rows[mine], len(self.market)), signs[mine] * self.records["amount"][mine])
        return gains[:-1]

    def posted(self, place: int) -> Ints:
        """What the settlements of a group moved in each row, from its credit account to its debit account."""
        forward = self.records["debit"] == self.groups[place].debit
        return self._by_row(self.rows, np.where(forward, 1, -1) * (self.group_of == place))

    def settlement(self, place: int, row: int) -> str:
        """Where a group settled a row: its entry where there is one, and the row."""
        words = self.market.rows(row, row + 1)
        low, high = np.searchsorted(self.rows, (row, row + 1))
        mine = self.group_of[low:high] == place
        return f"{entry(int(low + mine.argmax()) + 1)}, {words}" if mine.any() else words

    def restarts(self, accrual: Accrual) -> Flags:
        """The rows before which an entry that settles nothing changed what an accrual is on: it restarts there.

        What is on an asset restarts where such an entry moves it between our assets and elsewhere.
        """
        touched = np.zeros(len(self.market) + 1, dtype=bool)
        codes = self._codes_on(accrual, ours=False)
        mine = (np.isin(self.records["debit"], codes) | np.isin(self.records["credit"], codes)) & ~self.settling
        touched[self.counts_from[mine]] = True
        return touched[:-1]

    def base(self, accrual: Accrual) -> Ints:
        """The balance that an accrual is on, as it was left when its path last restarted."""
        codes = self._codes_on(accrual, ours=True)
        before = sum((self.before(code) for code in codes), np.zeros(len(self.market), dtype=np.int64))
        restarts = self.restarts(accrual)
        starts = np.maximum.accumulate(np.where(restarts, np.arange(len(restarts)), -1))
        return np.where(starts >= 0, before[np.maximum(starts, 0)], 0)

    def _codes_on(self, accrual: Accrual, *, ours: bool) -> list[int]:
        """The account that an accrual is on; of one on an asset, the assets of ours that hold it or all others."""
        on = accrual.on
        if isinstance(on, Account):
            return [self.code(on)]
        accounts = enumerate(self.folder.accounts)
        return [code for code, each in accounts if each.asset == on and each.name.startswith("Assets:") == ours]

    def exact(self, accrual: Accrual) -> "Exact":
        """What an accrual comes to, in exact integers."""
        if id(accrual) not in self._exact:
            self._exact[id(accrual)] = Exact.of(accrual, self)
        return self._exact[id(accrual)]

    @cached_property
    def computed(self) -> Mapping[int, Computed]:
        """What accruals that venues work out themselves come to, by the place of their group."""
        return {
            place: computed_again(group.venue, group.accruals[0], self)
            for place, group in enumerate(self.groups)
            if group.accruals[0].compute is not None
        }

    @cached_property
    def readings(self) -> Mapping[str, "Reading"]:
        """The formulas of each venue with their inputs."""
        return {venue.name: Reading(venue, self) for venue in self.assembly.venues}

    @cached_property
    def again(self) -> Run:
        """The scenario, run again; raises `CarrybookError` where it cannot be."""
        return self.assembly.simulation().run()

    def event(self, number: int) -> str:
        """The place of an event: its entry where there is one, and its number."""
        low, high = np.searchsorted(self.records["event"], (number, number + 1)).tolist()
        return f"{entry(low + 1)}, event {number}" if high > low else f"event {number}"

    @cached_property
    def ended(self) -> int:
        """The id of the event that ended the run, 0 where there is none."""
        return next((int(event["event"]) for event in self.folder.events((Ended.__name__,), ("event",))), 0)


@frozen(eq=False)
class Group:
    """Declared accruals of a venue whose settlements are alike in event, kind and accounts: as a rule, one."""

    venue: Venue
    event: str
    kind: str
    debit: int
    credit: int
    accruals: list[Accrual]

    @property
    def words(self) -> str:
        """What it settles, for people."""
        return f"{self.kind.replace('_', ' ')} at {self.venue.name}"


ThoroughCheck = Callable[[Assembly, History], Findings]
"""A thorough check reads the market and the scenario as well."""
