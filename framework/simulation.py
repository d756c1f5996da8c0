"""The loop: project a stretch of rows, find the first in which something happens, settle up to it, let it happen.

This is the only caller of `Ledger.post` and `Ledger.post_series`.
"""

from collections.abc import Generator, Iterable, Sequence
from typing import assert_never

import numpy as np
import simpy
from attrs import asdict, evolve

from framework.accrual import rows_until
from framework.clock import NS_PER_SECOND, Clock, Phase
from framework.conditions import Stretch
from framework.curve import Curve
from framework.errors import LedgerError, OrderRefused, ScenarioError
from framework.eventlog import EventLog, Settlements
from framework.events import (
    ConditionMet,
    Ended,
    Event,
    Liquidated,
    OrderFilled,
    Started,
    TransferArrived,
    TransferSent,
)
from framework.ledger import Draft, Ledger
from framework.logs import debugging, log
from framework.market import Floats, Market
from framework.orders import Close, Deposit, Move, Open, Order, Withdraw
from framework.run import Run
from framework.strategy import Strategy
from framework.units import USDC
from framework.venue import BRIDGE_FEE, CAPITAL, CASH, IN_TRANSIT, Leg, Moment, Venue, refusal

FIRST_WINDOW = 512
"""Rows that are projected at once after something happened; the window doubles while nothing does."""


class Simulation:
    """One strategy on given venues and one market, from a sum of capital to a `Run`.

    With `look_ahead_at_entry` the strategy starts when the first row opens, at that row's close, and earns the whole
    row; without it, it starts at the first close. `rows_at_once` fixes how many rows are projected together: it changes
    the speed and nothing else.
    """

    def __init__(
        self,
        *,
        market: Market,
        venues: Sequence[Venue],
        strategy: Strategy,
        capital_usd: float,
        look_ahead_at_entry: bool = False,
        rows_at_once: int | None = None,
    ) -> None:
        self._market = market
        self._venues = {venue.name: venue for venue in venues}
        self._strategy = strategy
        self._capital = USDC.nearest(capital_usd)
        self._look_ahead = look_ahead_at_entry
        self._rows_at_once = rows_at_once
        chart = [CASH, CAPITAL, IN_TRANSIT, BRIDGE_FEE]
        self._ledger = Ledger([*chart, *(account for venue in venues for account in venue.accounts())])
        self._events = EventLog(market)
        self._curve = Curve(market, venues, USDC.units(self._capital))
        self._clock = Clock(int(market.open_ns[0]))
        self._conditions = strategy.conditions()
        self._view = _Present(self)
        self._dealt_with: dict[str, int] = {}
        """Venue -> the last event of an order there."""
        self._debugging = debugging()
        self._row = 0
        self._stretch: Stretch | None = None
        """The rows that are projected and not settled yet; None when the ledger itself is up to date."""

    def run(self) -> Run:
        """Play the market to its end."""
        self._clock.run(self._play())
        return Run(
            market=self._market,
            ledger=self._ledger,
            events=self._events,
            curve=self._curve,
            capital=self._capital,
            first_row=0 if self._look_ahead else 1,
        )

    def _play(self) -> Generator[simpy.Event, None, None]:
        market, count = self._market, len(self._market)
        yield self._clock.until(int(market.open_ns[0] if self._look_ahead else market.at_ns[0]), Phase.DECISION)
        self._start()
        row = 0 if self._look_ahead else 1
        window = self._rows_at_once or FIRST_WINDOW
        while row < count:
            due_ns = self._clock.next_ns()
            stop = count if due_ns is None else rows_until(market, due_ns)
            if due_ns is not None and stop <= row:
                yield self._clock.until(due_ns, Phase.ARRIVAL)
                continue
            quiet_row = min(stop, row + window)
            row, acted = yield from self._walk(row, quiet_row)
            if self._rows_at_once is None:
                window = FIRST_WINDOW if acted else 2 * window
        yield self._clock.until(int(market.at_ns[-1]), Phase.ARRIVAL)
        self._row = count - 1
        ended = Ended(event=self._events.next_id, at_ns=self._clock.now_ns, venue="")
        self._events.add(ended)
        self._obey(self._strategy.on_event(ended, self._view), ended)

    def _walk(self, start: int, stop: int) -> Generator[simpy.Event, None, tuple[int, bool]]:
        """Let the rows pass until somebody acts; returns the next row, and whether somebody did."""
        stretch = self._stretch = self._project(start, stop)
        holds = [condition.holds(stretch) for condition in self._conditions]
        liquidated = [projection.liquidated for projection in stretch.projections.values()]
        if holds or liquidated:
            for offset in np.flatnonzero(np.logical_or.reduce([*holds, *liquidated])).tolist():
                self._row = start + offset
                at_ns = int(self._market.at_ns[self._row])
                if any(each[offset] for each in liquidated):
                    yield self._clock.until(at_ns, Phase.LIQUIDATION)
                    found = [name for name, each in stretch.projections.items() if each.liquidated[offset]]
                    events = self._liquidate(found)
                    yield self._clock.until(at_ns, Phase.DECISION)
                    for event in events:
                        if self._dealt_with.get(event.venue, 0) < event.event:
                            self._obey(self._strategy.on_event(event, self._view), event)
                    acted = True
                else:
                    yield self._clock.until(at_ns, Phase.DECISION)
                    acted = self._ask([index for index, each in enumerate(holds) if each[offset]])
                if acted:
                    self._curve.mark(self._row, self._ledger)
                    return self._row + 1, True
        self._settle(stop)
        return stop, False

    def _project(self, start: int, stop: int) -> Stretch:
        projections = {}
        for name, venue in self._venues.items():
            projection = venue.project(self._ledger, self._market, start, stop)
            if projection is not None:
                projections[name] = projection
        return Stretch(self._market, start, stop, projections)

    def _settle(self, stop: int) -> None:
        """Bring the ledger up to the row before `stop`, as far as it is projected."""
        stretch, self._stretch = self._stretch, None
        if stretch is None:
            return
        accruals = [accrual for projection in stretch.projections.values() for accrual in projection.accruals]
        if accruals:
            count = stop - stretch.start
            amounts = np.stack([accrual.amounts[:count] for accrual in accruals], axis=1)
            streams = [accrual.stream for accrual in accruals]
            first = self._events.next_id
            rows, columns = self._ledger.post_series(
                self._market.at_ns[stretch.start : stop], first, streams, amounts
            )
            self._events.add_settlements(Settlements(first, stretch.start, rows, columns, accruals))
        self._curve.fill(stretch, self._ledger, stop)

    def _start(self) -> None:
        started = Started(event=self._events.next_id, at_ns=self._clock.now_ns, venue="", amount=self._capital)
        draft = Draft(self._ledger)
        draft.transfer(CASH, CAPITAL, self._capital, "capital")
        self._post(started, draft)
        self._obey(self._strategy.on_start(self._view), started)
        if not self._look_ahead:
            self._curve.mark(0, self._ledger)

    def _ask(self, indices: Iterable[int]) -> bool:
        """Tell the strategy of the conditions that hold; returns whether it acted. Unheeded ones leave no event."""
        acted = False
        for index in indices:
            condition = self._conditions[index]
            venue = getattr(condition, "venue", "")
            met = ConditionMet(event=0, at_ns=self._clock.now_ns, venue=venue, condition=condition)
            recorded: Event | None = None
            for order in self._strategy.on_event(met, self._view):
                if recorded is None:
                    self._settle(self._row + 1)
                    recorded = evolve(met, event=self._events.next_id)
                    self._events.add(recorded)
                self._execute(order, recorded.event)
            acted = acted or recorded is not None
        return acted

    def _obey(self, orders: Iterable[Order], cause: Event) -> None:
        for order in orders:
            self._execute(order, cause.event)

    def _liquidate(self, names: Iterable[str]) -> list[Liquidated]:
        self._settle(self._row + 1)
        events = []
        for name in names:
            draft = Draft(self._ledger)
            event = self._venues[name].liquidate(draft, self._moment(None), self._market)
            self._post(event, draft)
            events.append(event)
        return events

    def _execute(self, order: Order, cause: int) -> None:
        moment, draft = self._moment(cause), Draft(self._ledger)
        match order:
            case Open() | Close():
                filled = self._venue(order.venue).execute(order, draft, moment)
            case Deposit():
                amount = self._amount(order, order.amount_usd, moment)
                self._venue(order.venue).receive(draft, CASH, amount, moment, "deposit")
                filled = self._moved("deposit", order.venue, amount, moment)
            case Withdraw():
                amount = self._payable(order, order.venue, order.amount_usd, moment)
                self._venue(order.venue).pay(draft, CASH, amount, moment, "withdrawal")
                filled = self._moved("withdrawal", order.venue, amount, moment)
            case Move():
                self._send(order, draft, moment)
                return
            case _:
                assert_never(order)
        if draft.transfers:
            self._post(filled, draft, order)
            self._dealt_with[order.venue] = filled.event

    def _send(self, order: Move, draft: Draft, moment: Moment) -> None:
        source, target = self._venue(order.source), self._venue(order.target)
        amount = self._payable(order, order.source, order.amount_usd, moment)
        bridges = (source.bridge, target.bridge)
        fee = sum(USDC.nearest(bridge.fee_usd) for bridge in bridges)
        leaving = sum(USDC.nearest(bridge.fee_usd * bridge.sender_share) for bridge in bridges)
        source.pay(draft, IN_TRANSIT, amount, moment, "transfer")
        source.pay(draft, BRIDGE_FEE, leaving, moment, "bridge_fee")
        sent = TransferSent(
            event=moment.event,
            at_ns=moment.at_ns,
            venue=order.source,
            cause=moment.cause,
            counterparty=order.target,
            amount=amount,
            fee=leaving,
            price=moment.price,
        )
        self._post(sent, draft, order)
        latency_ns = round(sum(bridge.latency_s for bridge in bridges) * NS_PER_SECOND)
        if not latency_ns:
            self._arrive(sent, fee - leaving)
            return

        def arrive() -> None:
            self._row = rows_until(self._market, self._clock.now_ns) - 1
            arrived = self._arrive(sent, fee - leaving)
            self._obey(self._strategy.on_event(arrived, self._view), arrived)

        self._clock.call(moment.at_ns + latency_ns, Phase.ARRIVAL, arrive)

    def _arrive(self, sent: TransferSent, fee: int) -> TransferArrived:
        moment, draft = self._moment(sent.event), Draft(self._ledger)
        target = self._venue(sent.counterparty)
        target.receive(draft, IN_TRANSIT, sent.amount, moment, "transfer")
        target.pay(draft, BRIDGE_FEE, fee, moment, "bridge_fee")
        arrived = TransferArrived(
            event=moment.event,
            at_ns=moment.at_ns,
            venue=sent.counterparty,
            cause=sent.event,
            counterparty=sent.venue,
            amount=sent.amount,
            fee=fee,
            price=moment.price,
        )
        self._post(arrived, draft)
        return arrived

    def _post(self, event: Event, draft: Draft, order: Order | None = None) -> None:
        try:
            self._ledger.post(event.at_ns, event.event, draft.transfers)
        except LedgerError as error:
            if order is None:
                raise
            raise OrderRefused(f"{order} in row {self._row + 1} (event {event.cause}): {error}") from None
        self._events.add(event)
        if self._debugging:
            log.debug(event.kind, **asdict(event), transfers=len(draft.transfers))

    def _moment(self, cause: int | None) -> Moment:
        price = float(self._market["close"][self._row])
        return Moment(self._events.next_id, cause, self._clock.now_ns, self._row, price)

    def _moved(self, order: str, venue: str, amount: int, moment: Moment) -> OrderFilled:
        return OrderFilled(
            event=moment.event,
            at_ns=moment.at_ns,
            venue=venue,
            cause=moment.cause,
            order=order,
            price=moment.price,
            amount=amount,
        )

    def _payable(self, order: Withdraw | Move, venue: str, amount_usd: float, moment: Moment) -> int:
        amount = self._amount(order, amount_usd, moment)
        equity_usd = self._venue(venue).leg(self._ledger, moment.price).equity_usd
        if USDC.units(amount) > equity_usd:
            why = f"{amount_usd} USD is more than the equity of {equity_usd:.6f} USD there"
            raise OrderRefused(refusal(venue, moment, order, why))
        return amount

    def _amount(self, order: Deposit | Withdraw | Move, amount_usd: float, moment: Moment) -> int:
        amount = USDC.nearest(amount_usd)
        if amount <= 0:
            raise OrderRefused(refusal("the simulation", moment, order, "expected an amount above 0"))
        return amount

    def _venue(self, name: str) -> Venue:
        try:
            return self._venues[name]
        except KeyError:
            raise ScenarioError(f"unknown venue {name!r}; expected one of {', '.join(self._venues)}") from None


class _Present:
    """The view of a running simulation: projected rows where nobody has acted since, else the ledger."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    @property
    def at_ns(self) -> int:
        return self._simulation._clock.now_ns

    @property
    def price(self) -> float:
        return float(self._simulation._market["close"][self._simulation._row])

    @property
    def cash_usd(self) -> float:
        return USDC.units(self._simulation._ledger.balance(CASH))

    @property
    def equity_usd(self) -> float:
        transit_usd = USDC.units(self._simulation._ledger.balance(IN_TRANSIT))
        return self.cash_usd + transit_usd + sum(self.leg(name).equity_usd for name in self._simulation._venues)

    def leg(self, venue: str) -> Leg:
        simulation = self._simulation
        if simulation._stretch is None:
            return simulation._venue(venue).leg(simulation._ledger, self.price)
        projection = simulation._stretch.projections.get(venue)
        if projection is None:
            simulation._venue(venue)
            return Leg()
        return projection.leg(simulation._row - simulation._stretch.start)

    def quote(self, order: Open | Close) -> OrderFilled:
        simulation = self._simulation
        draft = Draft(simulation._ledger)
        return simulation._venue(order.venue).execute(order, draft, simulation._moment(None))

    def history(self, column: str, rows: int) -> Floats:
        stop = self._simulation._row + 1
        return self._simulation._market[column][max(0, stop - rows) : stop]
