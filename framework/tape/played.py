"""A run that was played: its equity, its balances, and what its steps have added to the books, filled in when asked."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from framework.accrual import Computed, Stream
from framework.books import Books, ComputedStream, Entry
from framework.events import ConditionMet, Event, Liquidated, OrderFilled
from framework.ledger import Posted, Written, write_out
from framework.market import Floats, Ints, Market
from framework.money import Account
from framework.performance import outcome_of
from framework.run import Run, Tally
from framework.strategy import EveryRow
from framework.tape.outline import Epoch, Output, Text
from framework.tape.postings import Postings
from framework.tape.transit import InTransit
from framework.tape.tree import Leaf
from framework.valuation import decimal, worth_at_end
from framework.venue import Venue


@frozen(eq=False)
class Playback:
    """What steps that were played in one go added to the books: the row and the leaf of each, and all their numbers."""

    leaves: Sequence[Leaf]
    rows: Ints
    numbers: Ints
    values: Floats

    @property
    def steps(self) -> "Iterator[PlayedStep]":
        """Each step."""
        return self._steps_at(np.arange(len(self.numbers)))

    def steps_on(self, wanted: Sequence[int]) -> "Iterator[PlayedStep]":
        """Each step that ended on one of these leaves, given by number."""
        is_wanted = np.zeros(len(self.leaves), dtype=bool)
        is_wanted[wanted] = True
        return self._steps_at(is_wanted[self.numbers].nonzero()[0])

    def _steps_at(self, places: NDArray[np.intp]) -> "Iterator[PlayedStep]":
        """Steps by their places among all."""
        noted = np.array([len(each.outputs) for each in self.leaves])[self.numbers]
        stops = noted.cumsum()
        columns = (each[places].tolist() for each in (self.rows, self.numbers, stops - noted, stops))
        for row, number, start, stop in zip(*columns, strict=True):
            yield PlayedStep(row, number, self.leaves[number], self.values[start:stop].tolist())


class PlayedStep(NamedTuple):
    """What a step added to the books: its row and its leaf, with the numbers of what it noted."""

    row: int
    number: int
    """The number of the leaf among those of the playback."""
    leaf: Leaf
    numbers: Sequence[float]

    def happened(self) -> "Happened":
        """What happened in it."""
        entries, _, _ = self.leaf.adds.fill(self.numbers, self.row, 0, None, None)
        return Happened.of([entry.event for entry in entries], self.leaf)


@frozen(eq=False, kw_only=True, slots=False)
class Played:
    """A run that was played: its equity by row, its balances at the end, and what its steps added to the books."""

    venues: Sequence[Venue]
    entry: str
    accounts: Sequence[Account]
    postings: Postings
    happened: "list[Happened | None]"
    """What happens on the leaves of the tape, by their numbers, as far as that was asked."""
    capital: int
    market: Market
    equity_usd: Floats
    """What everything was worth at the close of every row, shape (rows,)."""
    settled: Ints
    """What accrued in every row, shape (rows, streams), in atomic units; no rows where it was not asked for."""
    balances: Sequence[int]
    playbacks: Sequence[Playback]

    def run(self) -> Run:
        """The run with its whole books, as if it had been simulated."""
        opened = self.market.cached(("opened", self.accounts), lambda: Books(self.market, self.venues))
        posted = self._posted()
        if posted is None or not len(self.settled):
            written = write_out(self._books())
        else:
            streams, settled = opened.streams, self.settled
            for place, each in enumerate(streams):
                if isinstance(each, ComputedStream):
                    streams = [*streams[:place], self._worked_out(each), *streams[place + 1 :]]
                    settled = np.insert(settled, place, self._accrued.amounts, axis=1)
            written = Written(
                market=self.market,
                streams=streams,
                balances=self._held,
                settled=settled,
                posted=posted,
                detailing=lambda: write_out(self._books()).details,
            )
        return Run(
            market=self.market,
            capital=self.capital,
            opened_at="open" if self.entry == "first_open" else "close",
            written=written,
            standings=tuple(opened.standings.values()),
            counting=self._tally,
            equity_usd=self.equity_usd,
        )

    def _posted(self) -> Posted | None:
        """The transfers of all steps as columns; None where there are none of some."""
        leaves = self.playbacks[-1].leaves
        if any(each.leaves is not leaves for each in self.playbacks):  # the kernel did some
            return None
        parts = ([getattr(each, name) for each in self.playbacks] for name in ("rows", "numbers", "values"))
        rows, numbers, values = map(np.concatenate, parts)
        at_ns = self.market.at_ns[rows]
        if self.entry != "first_close":
            at_ns[0] = self.market.open_ns[0]
        return self.postings.of(leaves, numbers, rows, at_ns, values)

    def _books(self) -> Books:
        """The books, with every entry."""
        books = Books(self.market, self.venues)
        streams = [each for each in books.streams if isinstance(each, Stream)]
        books.streams = [self._worked_out(each) if isinstance(each, ComputedStream) else each for each in books.streams]
        for entries, epochs in self.added():
            books.journal += entries
            for each in epochs:
                streams[each.stream].epochs.append(each.terms)
        for account, amount in zip(books.balances, self.balances, strict=True):
            books.balances[account] = amount
        return books

    def _worked_out(self, stream: ComputedStream) -> ComputedStream:
        """A stream that a venue has worked out itself, for the books."""
        return ComputedStream.made(stream.accrual, self.market, stream.owner, self._accrued)

    @cached_property
    def _accrued(self) -> Computed:
        """What a venue has worked out itself in each row."""
        rows = len(self.market)
        found = np.zeros(rows, dtype=np.int64), np.zeros(rows), np.zeros(rows, dtype=np.int64)
        for playback in self.playbacks:
            noted = np.array([len(each.outputs) for each in playback.leaves])[playback.numbers]
            first = noted.cumsum() - noted
            for number in dict.fromkeys(playback.numbers.tolist()):
                accrued = playback.leaves[number].adds.accrued
                mine = np.flatnonzero(playback.numbers == number)
                for column, part in zip(found, accrued.parts if accrued else (), strict=False):
                    gap = isinstance(part, Output)
                    column[playback.rows[mine]] = playback.values[first[mine] + part.number] if gap else part
        return Computed(*found)

    @property
    def final_usd(self) -> float:
        """The equity at the end."""
        return float(decimal(worth_at_end(zip(self.accounts, self.balances, strict=True), self.market)))

    @property
    def _held(self) -> dict[Account, int]:
        return dict(zip(self.accounts, self.balances, strict=True))

    def outcome(self) -> dict[str, float | int | None]:
        """The `outcome` of the run, without its books."""
        counted = list(self._counted())
        return outcome_of(
            market=self.market,
            capital=self.capital,
            equity_usd=self.equity_usd,
            balances=zip(self.accounts, self.balances, strict=True),
            liquidations=list(self._liquidations()) if any(each.bad_debts for each, _ in counted) else [],
            rebalances=sum(each.tally.capital_rebalances * times for each, times in counted),
        )

    def _tally(self) -> Tally:
        """How often things happened: what happens in each step is added, as long as no cause is in another one."""
        return Tally.total((each.tally, times) for each, times in self._counted())

    def _counted(self) -> "Iterator[tuple[Happened, int]]":
        """What happened on each leaf, and how often.

        Where that depends on numbers it is whether fees are 0, so steps alike in that are counted as one. Where it
        depends on the fee with which a sum arrives later, all steps are counted as one.
        """
        counted = [(each, self._always(each), Counter(each.numbers.tolist())) for each in self.playbacks]
        if any(always[number] is None and each.leaves[number].sends for each, always, of in counted for number in of):
            yield Happened.of_all(chain.from_iterable(entries for entries, _ in self.added())), 1
            return
        alike: dict[Hashable, list[PlayedStep]] = {}
        for playback, always, of in counted:
            unknown: list[int] = []
            for number, times in of.items():
                happened = always[number]
                if happened is None:
                    unknown.append(number)
                else:
                    yield happened, times
            if unknown:
                fees = {number: list(_fees(playback.leaves[number])) for number in unknown}
                for step in playback.steps_on(unknown):
                    key = step.leaf, *(step.numbers[fee] == 0 for fee in fees[step.number])
                    alike.setdefault(key, []).append(step)
        yield from ((steps[0].happened(), len(steps)) for steps in alike.values())

    def _liquidations(self) -> Iterator[tuple[int, int]]:
        """The instant of each liquidation, and what it cost the venue."""
        at_ns = self.market.cached("closes", self.market.at_ns.tolist)
        for playback in self.playbacks:
            always = self._always(playback)
            numbers = {number: always[number] for number in set(playback.numbers.tolist())}
            may_have_some = [number for number, each in numbers.items() if each is None or each.bad_debts]
            for step in playback.steps_on(may_have_some):
                for bad_debt in (always[step.number] or step.happened()).bad_debts:
                    loss = int(step.numbers[bad_debt.number]) if isinstance(bad_debt, Output) else bad_debt
                    yield at_ns[step.row], loss

    def _always(self, playback: Playback) -> "Sequence[Happened | None]":
        """What happens in every run on each leaf of a playback; None where it depends on its numbers."""
        if playback.leaves and playback.leaves[0].is_plain:
            return list(map(Happened.always, playback.leaves))
        self.happened.extend(map(Happened.always, playback.leaves[len(self.happened) :]))
        return self.happened

    def added(self) -> Iterator[tuple[list[Entry], list[Epoch]]]:
        """Entries and beginnings of streams, step by step."""
        open_ns, at_ns = int(self.market.open_ns[0]), self.market.cached("closes", self.market.at_ns.tolist)
        opening = self.entry != "first_close"
        order: object = None
        in_transit = InTransit()
        for place, each in enumerate(chain.from_iterable(each.steps for each in self.playbacks)):
            instant, sender = open_ns if opening and not place else at_ns[each.row], None
            if each.leaf.adds.arrives:
                instant, sender = in_transit.arrived()
            entries, epochs, order = each.leaf.adds.fill(each.numbers, each.row, instant, order, sender)
            in_transit.send(each.leaf.sends, instant, entries)
            yield entries, epochs


def _fees(leaf: Leaf) -> Iterator[int]:
    """The gaps of the fees in the events of a leaf."""
    fees = (getattr(entry.event, "fee", 0) for entry in leaf.adds.entries)
    return (fee.number for fee in fees if isinstance(fee, Output))


@frozen
class Happened:
    """What happens in a step: the losses of its liquidations, and how often what figures count."""

    bad_debts: tuple[Output | int, ...]
    tally: Tally

    @classmethod
    def always(cls, leaf: Leaf) -> "Happened | None":
        """What happens on a leaf; None where it depends on its numbers, such as the fee of what compounds.

        Or on that with which it arrives later.
        """
        events = [entry.event for entry in leaf.adds.entries]
        woken = any(isinstance(event, ConditionMet) and event.condition == EveryRow() for event in events)
        fees = (getattr(event, "fee", 0) for event in events) if woken else ()
        reasons = (event.reason for event in events if isinstance(event, OrderFilled))
        if (woken and leaf.sends) or any(isinstance(each, Output | Text) for each in chain(fees, reasons)):
            return None
        return cls.of(events, leaf)

    @classmethod
    def of(cls, events: Sequence[Event], leaf: Leaf) -> "Happened":
        """What happened in a step, by its events; their causes are those of the leaf."""
        causes = (entry.cause for entry in leaf.adds.entries)
        events_of_causes = [
            (place, cause, event) for place, (event, cause) in enumerate(zip(events, causes, strict=True))
        ]
        return cls(_bad_debts(events), Tally.of(events_of_causes))

    @classmethod
    def of_all(cls, journal: Iterable[Entry]) -> "Happened":
        """What happened in all steps."""
        entries = list(journal)
        events_of_causes = [(id(each), None if each.cause is None else id(each.cause), each.event) for each in entries]
        return cls(_bad_debts([each.event for each in entries]), Tally.of(events_of_causes))


def _bad_debts(events: Iterable[Event]) -> tuple[Output | int, ...]:
    """What each liquidation cost the venue."""
    return tuple(each.bad_debt for each in events if isinstance(each, Liquidated))
