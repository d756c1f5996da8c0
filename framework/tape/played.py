"""A run that was played: its equity, its balances, and what its steps have added to the books, filled in when asked."""

from collections.abc import Iterator, Sequence
from itertools import chain

from attrs import evolve, frozen

from framework.accrual import Stream
from framework.books import Books, Entry
from framework.events import ConditionMet, Liquidated, TransferSent
from framework.ledger import write_out
from framework.market import Floats, Market
from framework.money import Account
from framework.performance import outcome_of
from framework.run import Run
from framework.strategy import EveryRow
from framework.tape.outline import Epoch, Outline, Output
from framework.tape.tree import Leaf
from framework.valuation import decimal, routine_causes, worth_at_end
from framework.venue import Venue


@frozen(eq=False)
class Playback:
    """What steps that were played in one go added to the books: the row and the leaf of each, and all their numbers."""

    leaves: Sequence[Leaf]
    rows: Sequence[int]
    numbers: Sequence[int]
    values: Sequence[float]

    def __iter__(self) -> "Iterator[Noted]":
        start = 0
        for row, number in zip(self.rows, self.numbers, strict=True):
            leaf = self.leaves[number]
            stop = start + len(leaf.outputs)
            yield Noted(row, leaf.adds, self.values[start:stop])
            start = stop


@frozen(eq=False)
class Noted:
    """What a step added to the books: an outline, with its numbers."""

    row: int
    adds: Outline
    numbers: Sequence[float]


@frozen(eq=False)
class Played:
    """A run that was played: its equity by row, its balances at the end, and what its steps added to the books."""

    venues: Sequence[Venue]
    entry: str
    accounts: Sequence[Account]
    happened: "dict[Leaf, Happened | None]"
    """What an outcome counts of leaves, as far as it is known."""
    capital: int
    market: Market
    equity_usd: Floats
    """What everything was worth at the close of every row, shape (rows,)."""
    balances: Sequence[int]
    playbacks: Sequence[Playback]

    def run(self) -> Run:
        """The run with its whole books, as if it had been simulated."""
        books = Books(self.market, self.venues)
        streams = [each for each in books.streams if isinstance(each, Stream)]
        for entries, epochs in self.added():
            books.journal += entries
            for each in epochs:
                streams[each.stream].epochs.append(each.begun)
        for account, amount in zip(books.balances, self.balances, strict=True):
            books.balances[account] = amount
        return Run(
            market=self.market,
            capital=self.capital,
            opened_at="open" if self.entry == "first_open" else "close",
            written=write_out(books),
            standings=tuple(books.standings.values()),
        )

    @property
    def final_usd(self) -> float:
        """The equity at the end."""
        return float(decimal(worth_at_end(self._held, self.market)))

    @property
    def _held(self) -> dict[Account, int]:
        return dict(zip(self.accounts, self.balances, strict=True))

    def outcome(self) -> dict[str, float | int | None]:
        """The `outcome` of the run, without its books."""
        liquidations, rebalances = list[tuple[int, int]](), 0
        at_ns, known = self.market.cached("closes", self.market.at_ns.tolist), self.happened
        for playback in self.playbacks:
            start = 0
            for row, number in zip(playback.rows, playback.numbers, strict=True):
                leaf = playback.leaves[number]
                if leaf in known:
                    happened = known[leaf]
                else:
                    happened = Happened.on(leaf)
                    if not leaf.passing:
                        known[leaf] = happened
                if happened is None:
                    happened = Happened.of(Noted(row, leaf.adds, playback.values[start : start + len(leaf.outputs)]))
                rebalances += happened.rebalances
                for bad_debt in happened.bad_debts:
                    lost = int(playback.values[start + bad_debt.number]) if isinstance(bad_debt, Output) else bad_debt
                    liquidations.append((at_ns[row], lost))
                start += len(leaf.outputs)
        return outcome_of(
            market=self.market,
            capital=self.capital,
            equity_usd=self.equity_usd,
            balances=self._held,
            liquidations=liquidations,
            rebalances=rebalances,
        )

    def added(self) -> Iterator[tuple[list[Entry], list[Epoch]]]:
        """Entries and beginnings of streams, step by step."""
        open_ns, at_ns = int(self.market.open_ns[0]), self.market.cached("closes", self.market.at_ns.tolist)
        opening = self.entry != "first_close"
        order: object = None
        for place, each in enumerate(chain.from_iterable(self.playbacks)):
            instant = open_ns if opening and not place else at_ns[each.row]
            entries, epochs, order = each.adds.fill(each.numbers, each.row, instant, order)
            yield entries, epochs


@frozen
class Happened:
    """What an outcome counts of a leaf: the losses of its liquidations, and how often capital was moved."""

    bad_debts: tuple[Output | int, ...]
    rebalances: int

    @classmethod
    def on(cls, leaf: Leaf) -> "Happened | None":
        """What happens on a leaf; None where it depends on its numbers, as moves do that merely compound."""
        events = [entry.event for entry in leaf.adds.entries]
        sent = sum(isinstance(event, TransferSent) for event in events)
        if sent and any(isinstance(event, ConditionMet) and event.condition == EveryRow() for event in events):
            return None
        return cls(tuple(event.bad_debt for event in events if isinstance(event, Liquidated)), sent)

    @classmethod
    def of(cls, noted: Noted) -> "Happened":
        """What happened in a step, with its numbers."""
        entries, _, _ = noted.adds.fill(noted.numbers, noted.row, 0, None)
        places = {id(entry): place for place, entry in enumerate(entries)}
        single = [
            evolve(entry.event, event=place, cause=None if entry.cause is None else places[id(entry.cause)])
            for place, entry in enumerate(entries)
        ]
        routine = routine_causes(single)
        return cls(
            tuple(each.bad_debt for each in single if isinstance(each, Liquidated)),
            sum(isinstance(each, TransferSent) and each.cause not in routine for each in single),
        )
