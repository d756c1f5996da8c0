"""The conformance kit: whether a venue keeps the rules of the house, found out by running a scenario in many ways.

`conforms(Scenario.load(path))` in a test is all that the author of a venue needs. Every check runs the scenario's own
strategy, so a scenario tests what its strategy does: one that opens, resizes, moves money and closes finds most.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, fields, frozen, has

from framework.assembly import Assembly, assemble, of_this_run
from framework.books import ROLES, STATE, Books, Entry, Standing
from framework.errors import CarrybookError
from framework.events import Acted, ConditionMet, Ended, Event, Liquidated, OrderFilled, Rejected, Side
from framework.market import Market
from framework.money import USDC, Account, Asset
from framework.orders import Close, Deposit, Open, Order, Resize, Withdraw
from framework.rulebook.incidents import Incidents
from framework.rulebook.row_path import PATHS, RowPath
from framework.run import Run
from framework.scenario import Entry as When
from framework.scenario import Scenario
from framework.simulation import Execution, Simulation
from framework.strategy import Condition, EveryRow, Strategy, View
from framework.valuation import waterfall
from framework.venue import WALLET, Venue

if TYPE_CHECKING:
    from framework.ledger import Ledger

CUTS = (1, 2, 7)
"""Numbers of rows that are watched at once, beside what the simulation chooses."""
ROUNDING_USD = 1e-4
"""What an order may gain by rounding: some atomic units, and a billionth of the dearest coin."""
LEAST_COINS = 2e-9
"""Difference in coins at which two positions are the same, some atomic units."""
CLOSE_ENOUGH = 1e-9
"""Relative difference at which two numbers are the same."""
MOST = 3
"""Findings of one check that are shown."""
CRASHES = {"falls to a thousandth": 0.001, "rises tenfold": 10.0}
PRICE = re.compile(r"(?:.*[._])?(open|high|low|close|mark|oracle)(?:\.(low|high))?")
"""Market columns that are prices."""


@frozen(kw_only=True)
class Finding:
    """What one check found wrong; its text is one line."""

    check: str
    words: str

    def __str__(self) -> str:
        return f"{self.check}: {self.words}"


@frozen(kw_only=True, eq=False)
class Setup:
    """What is checked: venues and a strategy on a market. `conforms` makes one of a scenario or an assembly."""

    market: Market
    venues: Sequence[Venue]
    strategy: Strategy
    capital_usd: float = 10_000.0
    entry: When = "first_close"
    path: RowPath = "close"
    incidents: Incidents = field(factory=Incidents)
    _known: dict[object, Run] = field(init=False, factory=dict, repr=False)

    @classmethod
    def of(cls, subject: "Subject", data: Path | None = None) -> "Setup":
        """The setup of a scenario, whose data are in a directory or embedded, or of an assembly."""
        if isinstance(subject, Setup):
            return subject
        made = assemble(subject, data) if isinstance(subject, Scenario) else subject
        return cls(
            market=made.market,
            venues=made.venues,
            strategy=made.strategy,
            capital_usd=made.scenario.capital_usd,
            entry=made.entry,
            path=made.path,
            incidents=made.incidents,
        )

    def simulation(
        self,
        market: Market | None = None,
        rows_at_once: int | None = None,
        strategy: Strategy | None = None,
        venues: Sequence[Venue] | None = None,
    ) -> Simulation:
        """A new simulation, with a strategy and venues of its own; `venues` that are given are used as they are."""
        return Simulation(
            market=market or self.market,
            venues=tuple(map(of_this_run, self.venues)) if venues is None else venues,
            strategy=strategy or deepcopy(self.strategy),
            capital_usd=self.capital_usd,
            entry=self.entry,
            path=self.path,
            incidents=self.incidents,
            rows_at_once=rows_at_once,
        )

    def run(self) -> Run:
        """The run as anybody would make it; raises `CarrybookError`."""
        if "run" not in self._known:
            self._known["run"] = self.simulation().run()
        return self._known["run"]

    def watched(self, kind: "type[Watching]") -> Run:
        """A run whose strategy is watched."""
        watching = kind(deepcopy(self.strategy))
        simulation = self.simulation(strategy=watching)
        watching.books, watching.execution = simulation._books, simulation._execution  # noqa: SLF001
        return simulation.run()


Subject = Scenario | Assembly | Setup


def conforms(subject: Subject, *, data: Path | None = None, skip: Collection[str] = ()) -> None:
    """Raise `AssertionError`, one line for each finding, unless the venues of a scenario keep the rules of the house.

    `skip` names checks of `CHECKS` that do not apply, such as `orders` for a venue that gives more than the market's
    price.
    """
    found = findings(subject, data=data, skip=skip)
    if found:
        raise AssertionError("\n".join(map(str, found)))


def findings(subject: Subject, *, data: Path | None = None, skip: Collection[str] = ()) -> list[Finding]:
    """What `conforms` complains of; an empty list for venues that keep the rules."""
    unknown = sorted(set(skip) - CHECKS.keys())
    if unknown:
        raise ValueError(f"unknown check {unknown[0]!r}; expected one of {', '.join(CHECKS)}")
    setup = Setup.of(subject, data)
    try:
        curve = setup.run().curve
        _ = curve.equity_usd, curve.net_size
    except CarrybookError as error:
        return [Finding(check="run", words=str(error))]
    found = []
    for name, check in CHECKS.items():
        if name not in skip:
            found += [Finding(check=name, words=words) for words in _told(check, setup)]
    return found


def _told(check: Callable[[Setup], Iterator[str]], setup: Setup) -> Iterator[str]:
    """The first complaints of a check; a run that it cannot make is one."""
    try:
        for words, _ in zip(check(setup), range(MOST), strict=False):
            yield words
    except CarrybookError as error:
        yield str(error)


# -- the checks


def cuts(setup: Setup) -> Iterator[str]:
    """Ledger, events and curve are the same however the rows are cut, when looked at after every row, and run again."""
    whole = setup.run()
    for rows in (None, *CUTS):
        how = f"with {rows} row{'s' * (rows > 1)} at once" if rows else "run a second time"
        yield from (f"{how}, {words}" for words in _unlike(whole, setup.simulation(rows_at_once=rows).run()))
    yield from (f"looked at after every row, {words}" for words in _unlike(whole, setup.watched(Looking)))


def memory(setup: Setup) -> Iterator[str]:
    """A venue keeps nothing of a run: another one with the same venues is the same."""
    first = setup.simulation().run()
    for words in _unlike(first, setup.simulation(venues=first.venues).run()):
        yield f"run again with the venues of the first run, {words}; expected a venue that remembers nothing"


def explained(setup: Setup) -> Iterator[str]:
    """The waterfall explains the whole result."""
    missing = waterfall(setup.run()).unexplained
    if missing:
        yield f"{missing} USD of the result are unexplained; expected accounts whose buckets say where each belongs"


def kinds(setup: Setup) -> Iterator[str]:
    """Transfers of one kind belong to one bucket, and an account on which something accrues has no other kind.

    That is what an audit asks of every run: of transfers that touch income or expenses. The settlements of a stream say
    in which bucket its kind belongs.
    """
    run = setup.run()
    accounts = {(each.name, each.asset.code): each for each in run.ledger.accounts}
    settlements = run.events.settlements
    settled, venues = set(settlements.ids.tolist()), {each.event: each.venue for each in run.single}
    accrues: dict[Account, set[str]] = {}
    first: dict[tuple[str, str], Account] = {}
    for stream in settlements.of:
        for side in filter(_gains, (stream.debit, stream.credit)):
            accrues.setdefault(side, set()).add(stream.kind)
            first.setdefault((stream.venue, stream.kind), side)
    told = set[object]()
    for record in run.ledger:
        sides = [accounts[name, record.asset] for name in (record.debit, record.credit)]
        gaining = next(filter(_gains, sides), None)
        if gaining is None or record.event in settled:
            continue
        for each in sides:
            if record.kind not in accrues.get(each, {record.kind}) and (each, record.kind) not in told:
                told.add((each, record.kind))
                some = " or ".join(sorted(accrues[each]))
                words = f"moves {each.name}; expected {some} alone, which accrues there"
                yield f"a transfer of kind {record.kind!r} {words}"
        venue = venues[record.event]
        before = first.setdefault((venue, record.kind), gaining)
        if before.bucket != gaining.bucket and (venue, record.kind) not in told:
            told.add((venue, record.kind))
            yield (
                f"{venue or 'the wallet'} has transfers of kind {record.kind!r} in the buckets {before.bucket} "
                f"({before.name}) and {gaining.bucket} ({gaining.name}); expected one bucket for each kind"
            )


def _gains(account: Account) -> bool:
    return account.name.startswith(("Income:", "Expenses:"))


def paths(setup: Setup) -> Iterator[str]:
    """On every path of prices within a row acts come to an end, at prices of the row, and books and cuts agree."""
    for path in PATHS:
        if path == setup.path:
            continue
        other = evolve(setup, path=path)
        try:
            run = other.run()
        except CarrybookError as error:
            yield f"on the path {path}, {error}"
            continue
        yield from (f"on the path {path}, {words}" for words in _unlike(run, other.simulation(rows_at_once=1).run()))
        yield from (f"on the path {path}, {words}" for words in (*explained(other), *_outside(run)))


def _outside(run: Run) -> Iterator[str]:
    """Liquidations that were found at a price that the coin's row does not have, in any role."""
    market, standings = run.market, {each.name: each for each in run._standings}  # noqa: SLF001
    for event in run.single:
        if isinstance(event, Liquidated) and len(standings[event.venue].venue.coins) == 1:
            row, (coin,) = run.row(event.at_ns), standings[event.venue].venue.coins
            reached = [market[market.price_column(coin, at, role)][row] for role in ROLES for at in ("low", "high")] + [
                market.opening(coin, role)[row] for role in ROLES
            ]
            if not min(reached) <= event.trigger_price <= max(reached):
                yield f"{_said(event)} was found at {event.trigger_price}, which {market.rows(row, row + 1)} has not"


def state(setup: Setup) -> Iterator[str]:
    """Every formula gives the same at an instant, on floats, as on all rows, on arrays."""
    run = setup.run()
    count, written = len(run.market), run._written  # noqa: SLF001
    for standing in run._standings:  # noqa: SLF001
        held = {each: written.path(each) / each.asset.scale for each in standing.accounts}
        names = tuple(dict.fromkeys((*STATE, *standing.venue.formulas())))
        for at, signs in (("close", ()), *(("adverse", (low,) * len(standing.venue.coins)) for low in (True, False))):
            by_row = standing.evaluate(names, held.__getitem__, at=at, signs=signs)
            arrays = [np.broadcast_to(np.asarray(each), (count,)) for each in by_row]
            yield from _differences(standing, names, arrays, held, at, signs)


def _differences(
    standing: Standing,
    names: tuple[str, ...],
    arrays: Sequence[Any],
    held: Mapping[Account, Any],
    at: str,
    signs: tuple[bool, ...],
) -> Iterator[str]:
    floats = {account: values.tolist() for account, values in held.items()}
    told: set[str] = set()
    for row in range(len(standing.market)):
        alone = standing.evaluate(names, lambda account: floats[account][row], row=row, at=at, signs=signs)  # noqa: B023
        for name, one, many in zip(names, alone, arrays, strict=True):
            if name not in told and not math.isclose(one, many[row], rel_tol=CLOSE_ENOUGH, abs_tol=CLOSE_ENOUGH):
                if math.isnan(one) and math.isnan(many[row]):
                    continue
                told.add(name)
                yield (
                    f"{standing.name}.{name} is {float(one):.12g} at the instant of "
                    f"{standing.market.rows(row, row + 1)} and {float(many[row]):.12g} on rows; "
                    "expected one formula for floats and arrays"
                )


def future(setup: Setup) -> Iterator[str]:
    """The market cut short gives the same books up to there, also cut directly after rows with orders."""
    run, count = setup.run(), len(setup.market)
    events, ledger = list(run.events), _transfers(run.ledger)
    ordered = sorted({run.row(each.at_ns) + 1 for each in run.single if isinstance(each, OrderFilled)})
    some = {ordered[place] for place in (0, len(ordered) // 2, -1)} if ordered else set()
    for rows in sorted({max(1, count // 3), max(1, 2 * count // 3), max(1, count - 1), *some} - {count}):
        cut = setup.simulation(_cut(setup.market, rows)).run()
        early = list(cut.events)
        ended = next(place for place, each in enumerate(early) if isinstance(each, Ended))
        last = early[ended].at_ns
        for mine, theirs in zip(early[:ended], (each for each in events if each.at_ns <= last), strict=False):
            if mine != theirs:
                yield f"without the rows after {run.market.rows(rows - 1, rows)}, {_said(theirs)} is {_said(mine)}"
                return
        first = early[ended].event
        known = [each for each in ledger if each[1] < first]
        shortened = [each for each in _transfers(cut.ledger) if each[1] < first]
        for there, here in zip_longest(known, shortened):
            told = there or here
            if there != here and told:
                words = f"event {told[1]} has another transfer of kind {told[2]!r} from {told[4]} to {told[3]}"
                yield f"without the rows after {run.market.rows(rows - 1, rows)}, {words}"
                return


def orders(setup: Setup) -> Iterator[str]:
    """No order raises the equity at the prices of its moment, beyond rounding."""
    found: list[str] = []

    class Weighing(Watching):
        def around(self, order: Order, view: View) -> Iterator[Order]:
            before, place = view.equity_usd, len(self.books.journal)
            yield order
            gained = view.equity_usd - before
            if gained > ROUNDING_USD + CLOSE_ENOUGH * (abs(before) + float(view.price)):
                found.append(
                    f"{self.venues(order)[0]}: {order} in {self.row} raises the equity by {gained:.6f} USD; expected "
                    + _instead_of_a_gain(self.books.journal[place:])
                )

    setup.watched(Weighing)
    yield from found


def _instead_of_a_gain(entries: Iterable[Entry]) -> str:
    """What an author should look for where an order raises the equity: where nothing was earned, the formula."""
    moved = [(debit.name, credit.name) for entry in entries for debit, credit, _, _ in entry.transfers]
    own = ("Assets:", "Liabilities:")
    if moved and all(credit.startswith(own) for _, credit in moved):
        names = sorted({name for pair in moved for name in pair if name.startswith(own)})
        return f"a formula equity that counts {' and '.join(names)} alike, for no other account gives anything"
    return "no order to create value at the prices of its moment"


def sizes(setup: Setup) -> Iterator[str]:
    """A filled `Open`, `Resize` or `Close` leaves the position that it asks for, and not every `Open` is rejected."""
    found: list[str] = []
    opened: dict[str, bool] = {}

    class Measuring(Watching):
        def around(self, order: Order, view: View) -> Iterator[Order]:
            if not isinstance(order, Open | Resize | Close):
                yield order
                return
            before = view.leg(order.venue, order.coin).size
            yield order
            after = view.leg(order.venue, order.coin).size
            filled = not isinstance(view.outcome, Rejected)
            if isinstance(order, Open):
                opened[order.venue] = opened.get(order.venue, False) or filled
            if not filled:
                return
            match order:
                case Open():
                    wanted = before + (order.size if order.side is Side.LONG else -order.size)
                case Resize():
                    wanted = math.copysign(order.size, before)
                case Close():
                    wanted = 0.0
            if not math.isclose(after, wanted, rel_tol=CLOSE_ENOUGH, abs_tol=LEAST_COINS):
                found.append(
                    f"{order.venue} fills {order} in {self.row} and holds {after:.12g} coins; expected {wanted:.12g}"
                )

    setup.watched(Measuring)
    yield from found
    for venue, filled in opened.items():
        if not filled:
            yield f"{venue} rejects every Open of the strategy, so little was tried; expected one that it takes"


def crash(setup: Setup) -> Iterator[str]:
    """Whoever owes more than there is after a crash was acted on, such as liquidated, by the venue."""
    count, told = len(setup.market), set[str]()
    for words, factor in CRASHES.items():
        for row in sorted({min(2, count - 1), count // 2, count - 1} - {0}):
            run = setup.simulation(_crashed(setup.market, row, factor)).run()
            acted = {each.event.venue for each in run._written.entries if _is_act(each, run.market, row)}  # noqa: SLF001
            for venue, equity in run.curve.equity_usd_by_venue.items():
                owes = equity[row - 1] >= 0 > equity[row] + ROUNDING_USD
                if owes and venue not in acted and venue not in told:
                    told.add(venue)
                    yield (
                        f"{venue} has an equity of {equity[row]:.2f} USD and does not act where the price {words} in "
                        f"{setup.market.rows(row, row + 1)}; expected a liquidation"
                    )


def _is_act(entry: Entry, market: Market, row: int) -> bool:
    """Whether an entry is an act of a venue after a row or later: nothing caused it, and it is no condition."""
    told = isinstance(entry.event, Liquidated | Acted) or bool(entry.transfers)
    return told and entry.cause is None and entry.at_ns >= market.at_ns[row]


def sides(setup: Setup) -> Iterator[str]:
    """Transfers have both sides: only accounts of the venue and the wallet move, and they add up to the balances."""
    run = setup.run()
    trial: Counter[tuple[str, str]] = Counter()
    for record in run.ledger:
        trial[record.debit, record.asset] += record.amount
        trial[record.credit, record.asset] -= record.amount
    sums: Counter[str] = Counter()
    for account, held in run.ledger.balances().items():
        sums[account.asset.code] += held
        added = trial[account.name, account.asset.code]
        if held != added:
            yield f"{account.name} holds {held} and its transfers add up to {added}; expected no balance without them"
    yield from (f"{asset} sums to {total} over all accounts; expected 0" for asset, total in sums.items() if total)
    owner = {(each.name, each.asset): standing.name for standing in run._standings for each in standing.accounts}  # noqa: SLF001
    found: list[str] = []

    class Following(Watching):
        def around(self, order: Order, view: View) -> Iterator[Order]:  # noqa: ARG002  (as the kit asks it)
            place = len(self.books.journal)
            yield order
            found.extend(_foreign(self.books.journal[place:], {*self.venues(order)}, owner, str(order)))

    watched = setup.watched(Following)
    yield from found
    for entry in watched._written.entries:  # noqa: SLF001
        if entry.cause is None and entry.event.venue:
            yield from _foreign([entry], {entry.event.venue}, owner, f"{entry.event.kind} of {entry.event.venue}")


def traces(setup: Setup) -> Iterator[str]:
    """Orders that are refused or rejected leave no trace: beside each order some that cannot be are tried."""
    found: list[str] = []
    plain = [each[:1] + each[2:] for each in _transfers(setup.run().ledger)]

    class Trying(Watching):
        def around(self, order: Order, view: View) -> Iterator[Order]:  # noqa: ARG002  (as the kit asks it)
            for impossible in _impossible(order, self.venues(order)):
                found.extend(self.attempt(impossible))
            yield order

    run = setup.watched(Trying)
    yield from dict.fromkeys(found)
    if not found and plain != [each[:1] + each[2:] for each in _transfers(run.ledger)]:
        yield "orders that were refused or rejected change what later ones do; expected a venue that remembers nothing"


CHECKS: Mapping[str, Callable[[Setup], Iterator[str]]] = {
    each.__name__: each
    for each in (cuts, explained, memory, kinds, paths, state, future, orders, sizes, crash, sides, traces)
}
"""All checks by name, in the order in which they are made."""


# -- looking over the shoulder of a strategy


class Watching(Strategy):
    """A strategy that does what another does; `around` is asked to yield each of its orders."""

    books: Books
    execution: Execution

    def __init__(self, inner: Strategy) -> None:
        self.inner = inner

    def conditions(self) -> tuple[Condition, ...]:
        return self.inner.conditions()

    def on_start(self, view: View) -> Iterable[Order]:
        return self._through(self.inner.on_start(view), view)

    def on_event(self, event: Event, view: View) -> Iterable[Order]:
        return self._through(self.inner.on_event(event, view), view)

    def around(self, order: Order, view: View) -> Iterator[Order]:  # noqa: ARG002  (for those who override it)
        """Yield the order, and do what is to be done before and after."""
        yield order

    @property
    def row(self) -> str:
        """The present row in words."""
        return self.books.market.rows(self.books.row, self.books.row + 1)

    def venues(self, order: Order) -> list[str]:
        """The venues that an order is about."""
        return [str(getattr(order, name)) for name in ("venue", "source", "target") if hasattr(order, name)]

    def attempt(self, order: Order) -> Iterator[str]:
        """Give an order that cannot be; tell what it leaves behind."""
        books, before = self.books, self._known()
        place, venue = len(books.journal), self.venues(order)[0]
        with suppress(CarrybookError):
            self.execution.execute(order, None)
        left = books.journal[place:]
        if any(isinstance(each.event, OrderFilled) for each in left):
            yield f"{venue} fills {order}; expected it to be refused or rejected"
        elif self._known() != before or any(not isinstance(each.event, Rejected) or each.transfers for each in left):
            yield f"{venue} refuses or rejects {order} and leaves a trace of it; expected the books as they were"

    def _known(self) -> object:
        """Balances and what accrues."""
        books = self.books
        for each in books.standings.values():
            each.refresh()
        return dict(books.balances), list(books.written)

    def _through(self, orders: Iterable[Order], view: View) -> Iterator[Order]:
        for order in orders:
            yield from self.around(order, view)


class Looking(Watching):
    """It is woken after every row besides, looks at every position, and does nothing then."""

    look = EveryRow()

    def conditions(self) -> tuple[Condition, ...]:
        return (self.look, *self.inner.conditions())

    def on_event(self, event: Event, view: View) -> Iterable[Order]:
        if isinstance(event, ConditionMet) and event.condition is self.look:
            _ = view.equity_usd
            return ()
        return super().on_event(event, view)


def _impossible(order: Order, venues: Sequence[str]) -> Iterator[Order]:
    """Orders that no venue can fill: with numbers that are none or below zero in place of one, and sums beyond all."""
    kind: Any = type(order)
    given = [(each, getattr(order, each.name)) for each in (fields(kind) if has(kind) else ()) if each.init]
    for each, value in given:
        if isinstance(value, float):
            for other in (math.nan, -value) if value > 0 else (math.nan,):
                yield kind(**{one.alias: other if one is each else what for one, what in given})
    for venue in venues:
        yield Deposit(venue, 1e12)
        yield Withdraw(venue, 1e12)


def _foreign(
    entries: Iterable[Entry], venues: Collection[str], owner: Mapping[tuple[str, Asset], str], what: str
) -> Iterator[str]:
    """The accounts that entries move and that are none of these venues'."""
    for entry in entries:
        for debit, credit, _, _ in entry.transfers:
            for each in (debit, credit):
                if each not in WALLET and owner.get((each.name, each.asset)) not in venues:
                    yield f"{what} moves {each.name}; expected accounts of {' and '.join(sorted(venues))} or the wallet"


# -- runs and markets compared and changed


def _unlike(first: Run, second: Run) -> Iterator[str]:
    """In what two runs differ, if they do."""
    for mine, theirs in zip(first.events, second.events, strict=False):
        if mine != theirs:
            yield f"{_said(mine)} is {_said(theirs)}{_apart(mine, theirs)}"
            return
    if len(first.events) != len(second.events):
        yield f"there are {len(second.events)} events instead of {len(first.events)}"
    elif first.ledger.digest != second.ledger.digest:
        yield "the events are the same and the transfers are not"
    elif not np.array_equal(first.curve.equity_usd, second.curve.equity_usd):
        yield "the transfers are the same and the equity curve is not"


def _apart(mine: Event, theirs: Event) -> str:
    """In what two events differ that are said alike."""
    if _said(mine) != _said(theirs):
        return ""
    names = (each.name for each in fields(type(mine)))
    return next((f" with another {name}" for name in names if getattr(mine, name) != getattr(theirs, name)), "")


def _said(event: Event) -> str:
    """An event in words: what it is, where, and its amount."""
    amount = getattr(event, "amount", None)
    of = f" of {USDC.decimal(amount):f}" if isinstance(amount, int) else ""
    where = f" at {event.venue}" if event.venue else ""
    return f"event {event.event}, {event.kind}{where}{of},"


def _transfers(ledger: "Ledger") -> list[tuple[int, int, str, str, str, str, int]]:
    return [(each.at_ns, each.event, each.kind, each.debit, each.credit, each.asset, each.amount) for each in ledger]


def _cut(market: Market, rows: int) -> Market:
    """The first rows of a market."""
    columns = {name: column[:rows] for name, column in market.columns.items()}
    return evolve(market, open_ns=market.open_ns[:rows], at_ns=market.at_ns[:rows], columns=columns)


def _crashed(market: Market, row: int, factor: float) -> Market:
    """The market up to a row, within which all prices change to so many times what they were."""
    cut = _cut(market, row + 1)
    columns = {name: column.copy() for name, column in cut.columns.items()}
    for name, column in columns.items():
        found = PRICE.fullmatch(name)
        if not found or "_rate_" in name or found[1] == "open":
            continue
        before, after, extreme = column[row], column[row] * factor, found[2] or found[1]
        column[row] = {"low": min(before, after), "high": max(before, after)}.get(extreme, after)
    return evolve(cut, columns=columns)
