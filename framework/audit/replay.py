"""The thorough check of orders and acts: each executed again on the books as they stood, with all that it costs."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from attrs import fields

from framework.assembly import Assembly
from framework.audit.findings import COPIED, FLOAT_SLACK, Finding, Findings, second
from framework.audit.history import History
from framework.audit.log import PASSAGES, STRIKES, WITHOUT_ENTRY
from framework.books import Books, Entry, Standing
from framework.clock import Clock, Phase
from framework.errors import CarrybookError
from framework.events import (
    Acted,
    Deleveraged,
    Ended,
    Liquidated,
    OrderFilled,
    Rejected,
    Started,
    TransferArrived,
    TransferFailed,
    TransferSent,
    Unstaked,
    VenueFailed,
)
from framework.ledger import Records
from framework.market import Market
from framework.money import USDC
from framework.orders import Order
from framework.rulebook.incidents import Incidents
from framework.rulebook.row_path import Point
from framework.rulebook.rules import value_at
from framework.run_folder.archive import Folder
from framework.run_folder.tables import EVENT_COLUMNS
from framework.simulation import FINISH, Execution
from framework.venue import CAPITAL, CASH, Act, Venue


class Stopped(Clock):
    """A clock that stands where it is put; what is to be done later waits until it is asked for."""

    def __init__(self) -> None:
        super().__init__(0)
        self.at_ns = 0
        self.waiting: list[tuple[int, Callable[[], None]]] = []

    @property
    def now_ns(self) -> int:
        return self.at_ns

    def call(self, at_ns: int, phase: Phase, action: Callable[[], None]) -> None:  # noqa: ARG002  (asked for instead)
        self.waiting.append((at_ns, action))


class Replay(Books):
    """Books that are put in the state in which a folder's stood before an event; nothing accrues in them."""

    def __init__(self, market: Market, venues: Sequence[Venue], incidents: Incidents) -> None:
        super().__init__(market, venues, incidents)
        self.past: list[Entry] = []
        """What was made again before."""

    def backwards(self) -> Iterator[Entry]:
        yield from reversed(self.journal)
        yield from reversed(self.past)

    def _open_streams(self, standing: Standing) -> None:
        """Leave them closed: what accrued is in the balances."""

    def stand(self, balances: Mapping[tuple[str, str], int], rows: int, at_ns: int, opened_at: Any) -> None:  # noqa: ANN401
        """Take these balances, by account's name and asset, after so many rows of the market."""
        self.rollback()
        self.point = None
        for each in self.balances:
            self.balances[each] = balances.get((each.name, each.asset.code), 0)
        self.journal.clear()
        self.rows, self.row, self.at_ns = rows, max(0, rows - 1), at_ns
        self.at = "close" if rows else opened_at
        self.stamp += 1
        for standing in self.standings.values():
            standing.rows = rows


def orders(assembly: Assembly, history: History) -> Findings:
    """Every order and act, executed again by its venue on the books as they stood, writes the same transfers and event.

    What the strategy asked for is known from running it again. What was under way arrives as it was sent.
    """
    return Replayed(assembly, history).findings()


class Replayed:
    """The events of a folder that are not settlements, one after the other, each made again."""

    def __init__(self, assembly: Assembly, history: History) -> None:
        self._history = history
        self._clock = Stopped()
        self._books = Replay(history.market, assembly.venues, assembly.incidents)
        self._struck = list(assembly.incidents.occurrences)
        self._execution = Execution(self._books, self._clock, lambda _: None)
        self._asked: dict[tuple[object, ...], list[Order]] = defaultdict(list)
        for event, order in history.again.events.orders():
            if event.kind in ASKED and isinstance(order, Order):
                self._asked[self._key(event.at_ns, event.venue, event.kind, getattr(event, "order", None))].append(
                    order
                )
        self._under_way: dict[int, list[tuple[int, Callable[[], None]] | Entry]] = {}
        self._path = assembly.path
        self._moments: dict[tuple[str, str], tuple[int, Point]] = {}
        self._bridges = {venue.name: venue.bridge for venue in assembly.venues}
        self._names = [(each.name, each.asset.code) for each in history.folder.accounts]

    @staticmethod
    def _key(*values: object) -> tuple[object, ...]:
        return tuple(value or "" for value in values)

    def findings(self) -> Findings:
        """What each event and its transfers say that they do not say when they are made again."""
        history, records = self._history, self._history.records
        balances, done = np.zeros(len(self._names) + 1, dtype=np.int64), 0
        settled = {group.event for group in history.groups}
        kinds = sorted(set(np.unique(history.log["kind"].astype(str)).tolist()) - settled)
        for event in history.folder.events(kinds, tuple(EVENT_COLUMNS)):
            low, high = np.searchsorted(records["event"], (event["event"], event["event"] + 1)).tolist()
            passed = records[done:low]
            for side, sign in (("debit", 1), ("credit", -1)):
                codes = np.minimum(passed[side], len(self._names))
                np.add.at(balances, codes, sign * passed["amount"])
            done = max(done, low)
            self._stand(dict(zip(self._names, balances.tolist(), strict=False)), event["at_ns"])
            yield from self._made_again(event, records[low:high])
        for key, left in self._asked.items():
            row = min(int(history.market.at_ns.searchsorted(np.int64(str(key[0] or 0)))), len(history.market) - 1)
            for order in left:
                place = history.market.rows(row, row + 1)
                yield Finding(place, f"the strategy ordered {order}, of which the log has no event")

    def _stand(self, balances: Mapping[tuple[str, str], int], at_ns: int) -> None:
        self._now = balances, int(self._history.market.at_ns.searchsorted(at_ns, side="right")), at_ns
        self._clock.at_ns = at_ns
        self._books.stand(*self._now, self._history.folder.opened_at)

    def _stand_again(self) -> None:
        self._books.stand(*self._now, self._history.folder.opened_at)

    def _made_again(self, event: Mapping[str, Any], records: Records) -> Findings:
        place, kind = self._history.event(event["event"]), event["kind"]
        try:
            made = self._make(event, records)
        except CarrybookError as error:
            yield Finding(place, f"cannot be done again on the books as they stood: {' '.join(str(error).split())}")
            return
        if made is None:
            if kind in ASKED:
                yield Finding(place, f"{event['order'] or kind} is what the strategy, run again, does not order then")
            elif kind in STRIKES:
                yield Finding(place, f"{kind} is of no incident of the scenario")
            elif kind in ARRIVALS:
                yield Finding(place, f"{kind} has nothing under way as its cause")
            elif len(records):
                yield Finding(place, f"{kind} moves money, and no order and no act of a venue makes it")
            return
        self._books.past.append(made)
        for words in (*self._differences(made, event, records), *self._otherwise_passed(made, event)):
            yield Finding(place, words)

    def _otherwise_passed(self, made: Entry, event: Mapping[str, Any]) -> Iterator[str]:
        """How a passage of money, or what a venue delivers, differs from the declared fee and duration."""
        if made.at_ns != event["at_ns"]:
            yield f"is at {second(event['at_ns'])}; it was due at {second(made.at_ns)}"
        if made.cause is not None and isinstance(made.cause.event, VenueFailed):
            return  # what a failed venue pays takes no passage
        ends = {
            TransferSent.__name__: (event["venue"], event["counterparty"]),
            TransferArrived.__name__: (event["counterparty"], event["venue"]),
        }.get(event["kind"])
        if event["order"] in PASSAGES:
            ends = ("", event["venue"]) if event["order"] == PASSAGES[0] else (event["venue"], "")
        if ends is None:
            return
        arrived = event["kind"] == TransferArrived.__name__ and made.cause is not None
        sent_ns = made.cause.at_ns if arrived and made.cause else made.at_ns
        leaving = whole = 0
        for end, into in zip(ends, (False, True), strict=True):
            if end in self._bridges:
                on_leaving, in_all = self._fee(end, into, event["amount"], sent_ns)
                leaving, whole = leaving + on_leaving, whole + in_all
        parts = {TransferSent.__name__: leaving, TransferArrived.__name__: whole - leaving}
        expected = parts.get(event["kind"], whole)
        if event["fee"] != expected:
            yield f"its fee is {event['fee']}; the declared ways make {expected}"

    def _fee(self, venue: str, into: bool, amount: int, at_ns: int) -> tuple[int, int]:
        """What a sum pays on leaving by a venue's way, and in all, by the rules in force when it is sent."""
        bridge, incidents = self._bridges[venue], self._books.incidents
        way, times = bridge.way(into=into), incidents.gas(venue, at_ns) if incidents else 1.0
        fee_usd, gas_usd, bps, of_fee, of_gas = (
            value_at(rule, at_ns)
            for rule in (way.fee_usd, way.gas_usd, way.fee_bps, bridge.sender_share, bridge.sender_gas_share)
        )
        further = USDC.nearest(gas_usd * times) - int(-Fraction(str(bps)) * amount // 10_000)
        return USDC.nearest(fee_usd * of_fee) + round(further * of_gas), USDC.nearest(fee_usd) + further

    def _make(self, event: Mapping[str, Any], records: Records) -> Entry | None:
        """The entry of an event, made again; None where nothing makes it."""
        kind, books = event["kind"], self._books
        if kind == Started.__name__:
            books.begin(None, None)
            books.transfer(CASH, CAPITAL, self._history.folder.capital, "capital")
            return books.commit(Started(amount=self._history.folder.capital), None)
        if kind in ASKED:
            return self._order(event)
        if kind in STRIKES:
            return self._strike(event)
        return self._arrival(event) if kind in ARRIVALS else self._act(event, records)

    def _order(self, event: Mapping[str, Any]) -> Entry | None:
        """What the strategy ordered then, executed; what it sends on its way waits for its arrival."""
        waiting, books = self._asked.get(self._key(*(event[name] for name in ORDERED))), self._books
        if not waiting:
            return None
        self._clock.waiting.clear()
        self._execution.execute(waiting.pop(0), None)
        made = list(books.journal)
        self._under_way[event["event"]] = [*made[1:], *self._clock.waiting]
        return made[0] if made else Entry(Ended(), None, books.at_ns, books.rows, ())

    def _strike(self, event: Mapping[str, Any]) -> Entry | None:
        """What an incident moved, moved again; what a failed venue has left is on its way then."""
        kind = {VenueFailed.__name__: "failure", Deleveraged.__name__: "deleveraging"}[event["kind"]]
        for occurrence in self._struck:
            about = occurrence.incident.kind == kind and occurrence.incident.venue == event["venue"]
            if about and occurrence.start_ns <= event["at_ns"]:
                self._struck.remove(occurrence)
                self._clock.waiting.clear()
                made = self._execution.strike(occurrence)
                if made is not None and made.event.kind == event["kind"]:
                    self._under_way[event["event"]] = [*self._clock.waiting]
                    return made
                self._stand_again()
        return None

    def _arrival(self, event: Mapping[str, Any]) -> Entry | None:
        """What its cause sent on its way: it arrived at once, or does so now."""
        waiting = self._under_way.get(event["cause"])
        if not waiting:
            return None
        arrival = waiting.pop(0)
        if isinstance(arrival, Entry):
            return arrival
        self._clock.waiting = [arrival]
        while self._clock.waiting:  # what a venue does not take yet waits again
            due_ns, action = self._clock.waiting.pop()
            self._clock.at_ns = due_ns
            action()
        return self._books.journal[-1]._replace(at_ns=due_ns) if self._books.journal else None

    def _act(self, event: Mapping[str, Any], records: Records) -> Entry | None:
        """An act of a venue, done again; of several that it may be, the one that writes the same."""
        standing = self._books.standings.get(event["venue"])
        if standing is None or event["kind"] in WITHOUT_ENTRY:
            return None
        if event["kind"] == Acted.__name__ and json.loads(event["details"] or "{}").get("act") == FINISH:
            return self._execution.finish(standing, None)
        if event["cause"] is not None:
            return None
        first: Entry | None = None
        for act in standing.acts:
            if standing.has(act.when) and _may_be(act, event):
                self._stand_again()
                made = self._done_again(standing, act)
                if made is None:
                    continue
                if not any(self._differences(made, event, records)):
                    return made
                first = first or made
        return first

    def _done_again(self, standing: Standing, act: Act) -> Entry | None:
        """An act at the prices at which it is due: the row's close, or the moment within the row; None without one."""
        books, path = self._books, self._path
        if path == "close" or act.prices != "adverse":
            return self._execution.act(standing, act)
        way = (standing.name, act.when) if path == "adverse_first" else ("", "")
        row, since = self._moments.get(way, (-1, None))
        point = standing.due_within(act, path, since if row == books.row else None)
        if point is None:
            return None
        with books.within(point, standing):
            made = self._execution.act(standing, act)
        self._moments[way] = books.row, point
        return made

    def _differences(self, made: Entry, event: Mapping[str, Any], records: Records) -> Iterator[str]:
        """How an entry and its event differ from what they are when made again."""
        folder = self._history.folder
        written = [
            (debit.name, credit.name, debit.asset.code, amount, kind) for debit, credit, amount, kind in made.transfers
        ]
        kept = [self._line(folder, record) for record in records.tolist()]
        for number in range(max(len(written), len(kept))):
            ours, theirs = (each[number] if number < len(each) else None for each in (written, kept))
            if ours != theirs:
                words = f"made again on the books as they stood it is {_said_of(ours)}"
                yield f"its transfer {number + 1} is {_said_of(theirs)}; {words}"
                break
        if made.event.kind != event["kind"]:
            yield f"is a {event['kind']}; made again it is a {made.event.kind}"
            return
        further = json.loads(event["details"] or "{}")
        for each in fields(type(made.event)):
            if each.name in ("event", "at_ns", "cause"):
                continue
            value, said = getattr(made.event, each.name), event.get(each.name, further.get(each.name))
            if isinstance(value, float) and isinstance(said, int | float):
                slack = 0.0 if each.name in COPIED else FLOAT_SLACK
                same = bool(np.isclose(said, value, rtol=slack, atol=0.0, equal_nan=True))
            elif isinstance(value, bool | int) or said is None:
                same = said == value
            elif isinstance(value, tuple):
                same = list(value) == said
            else:
                same = said == value or str(said) == str(value)
            if not same:
                name = each.name.replace("_", " ")
                yield f"its {name} is {said}; made again on the books as they stood it is {value}"

    @staticmethod
    def _line(folder: Folder, record: tuple[int, ...]) -> tuple[str, str, str, int, str]:
        _, _, amount, kind, debit, credit, _ = record
        charted = len(folder.accounts)
        sides = [folder.accounts[code].name if code < charted else "?" for code in (debit, credit)]
        asset = folder.accounts[debit].asset.code if debit < charted else "?"
        return sides[0], sides[1], asset, amount, folder.kinds[kind] if kind < len(folder.kinds) else "?"


ASKED = frozenset((OrderFilled.__name__, TransferSent.__name__, Rejected.__name__))
"""Events of an order, one for each that moves anything or is rejected."""
ORDERED = ("at_ns", "venue", "kind", "order")
"""What finds the order behind an event."""
ARRIVALS = frozenset((TransferArrived.__name__, TransferFailed.__name__, Unstaked.__name__))
"""Events of what was under way, whose cause is the order that sent it."""


def _may_be(act: Act, event: Mapping[str, Any]) -> bool:
    """Whether an event may be that of an act: it names it, or it is of the venue's own class."""
    if event["kind"] == Acted.__name__:
        return bool(json.loads(event["details"] or "{}").get("act") == act.when)
    return act.liquidation if event["kind"] == Liquidated.__name__ else True


def _said_of(line: tuple[str, str, str, int, str] | None) -> str:
    if line is None:
        return "missing"
    debit, credit, asset, amount, kind = line
    return f"{amount} {asset} from {credit} to {debit} ({kind})"
