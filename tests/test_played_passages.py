"""Money on its way in runs that are played: it arrives when, where and in the order in which a simulation has it."""

from collections import Counter
from random import Random

import numpy as np
import pytest
from attrs import evolve, frozen

from framework import Scenario, assemble
from framework.clock import NS_PER_SECOND
from framework.events import ConditionMet, Ended, OrderFilled, TransferArrived, TransferFailed, TransferSent
from framework.many_runs import execution
from framework.many_runs.sweep import Sweep
from framework.orders import Deposit, Move, Resize, Withdraw
from framework.performance import outcome
from framework.rulebook.rules import Dated
from framework.strategy import EveryRow, Strategy
from framework.tape.pending import MOST_PENDING
from framework.tape.played import Played
from framework.tape.shelf import Shelf
from framework.tape.steps import NotPlayable
from framework.tape.tape import UNDATED_TRADE
from framework.tape.tapes import Tapes
from framework.venue import Bridge, Way
from strategies.pair import open_pair
from tests.test_differential import assembled, drawn
from tests.test_tape import SCENARIO, Tiered, same, spaced, with_hyperliquid
from venues.at_cost import AtCost

LONG, SHORT = "asgard", "hyperliquid"
SECONDS = (1, 20, 1_200, 3_600, 43_201, 86_399, 86_400, 100_000, 259_200, 400_000)
"""How long a way takes: parts of a row and some rows, and rows without a rest, at whose close money arrives."""
HOURS = (1, 8, 24)


@frozen(kw_only=True)
class Shuttle(Strategy):
    """A strategy that sends money to and fro after each row in which a leg has more than the other, some ways at once.

    It sends a part of what arrives on, and looks with which position the last rows began. All sums are in units of
    `unit` dollars.
    """

    short: str = SHORT
    unit: float = 1.0
    least: float = 100.0
    share: float = 0.25
    at_start: bool = False
    onward: bool = True
    looks: bool = False

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield from open_pair(view, LONG, self.short, 1.5)
        if self.at_start:
            yield Move(self.short, LONG, 50 * self.unit)
            yield Move(self.short, LONG, 51 * self.unit)

    def on_event(self, event, view):
        more, least = view.leg(self.short).equity_usd - view.leg(LONG).equity_usd, self.least * self.unit
        match event:
            case ConditionMet() if view.leg(LONG).size and view.leg(self.short).size:
                if more > least:
                    yield Move(self.short, LONG, more * self.share)
                    yield Move(self.short, LONG, more * self.share / 2 + 10 * self.unit)
                    yield Withdraw(self.short, 25 * self.unit)
                elif -more > least:
                    yield Move(LONG, self.short, -more * self.share)
                if view.cash_usd > least:
                    yield Deposit(self.short, view.cash_usd)
            case TransferArrived() if self.looks:
                sizes = view.sizes(self.short, 5)
                if len(sizes) and sizes[-1] and abs(view.leg(self.short).size) > abs(sizes.mean()) * 0.3:
                    yield Resize(self.short, abs(sizes[-1]) * 0.9)
            case TransferArrived() if self.onward and -more > least:
                if view.transit_usd < 4 * least:
                    yield Move(LONG, self.short, least / 2)
            case TransferFailed() if self.onward and view.cash_usd > 5 * self.unit:
                yield Deposit(LONG, 5 * self.unit)


def passage(dice, unit):
    """A bridge with its fees, how long its ways take, and whether they fail."""

    def way():
        return Way(
            latency_s=float(dice.choice((0, *SECONDS))),
            fee_usd=dice.choice((0.0, 1.5)) * unit,
            fee_bps=dice.choice((0.0, 1.3, 8.0)),
            gas_usd=dice.choice((0.0, 0.2)) * unit,
            minimum_usd=dice.choice((0.0, 30.0)) * unit,
            fails=dice.random() < 0.15,
        )

    if dice.random() < 0.5:
        return Bridge(latency_s=float(dice.choice((0, *SECONDS))), fee_usd=dice.choice((0.0, 2.0)) * unit)
    shares = {f"sender_{name}": dice.choice((0.0, 0.5, 1.0)) for name in ("share", "gas_share")}
    return Bridge(inbound=way(), outbound=way(), **shares)


def over(bridge, venue):
    """A venue with another passage, also where it is at cost."""
    return evolve(venue, of=over(bridge, venue.of)) if isinstance(venue, AtCost) else evolve(venue, bridge=bridge)


def shuttled(number):
    """A shuttle between two venues with drawn passages: on days of the example, or on drawn rows of hours and days."""
    dice = Random(number)  # noqa: S311  (which cases, and no secret)
    entry = dice.choice(("first_close", "first_open", "look_ahead"))
    if number % 2:
        case = evolve(drawn(number), hours=dice.choice(HOURS), look_ahead=entry == "look_ahead")
        short, unit, base = case.short, case.capital / 20_000, assembled(case)
    else:
        keys = f"rulebook.look_ahead_at_entry={str(entry == 'look_ahead').lower()}", f"entry={entry}"
        path = "market.path.method=stationary", f"market.path.number={number + 1}", "market.path.block_rows=20"
        short, unit, base = SHORT, 1.0, assemble(Scenario.load(SCENARIO, [*path, *keys]))
    venues = tuple(over(passage(dice, unit), each) for each in base.venues)
    strategy = Shuttle(
        short=short,
        unit=unit,
        least=dice.choice((20.0, 100.0, 400.0)),
        share=dice.choice((0.1, 0.25, 0.5)),
        at_start=dice.random() < 0.5,
        onward=dice.random() < 0.7,
        looks=dice.random() < 0.5,
    )
    return evolve(base, strategy=strategy, venues=venues)


def counted(run):
    """How often money left, arrived and came back."""
    found = Counter(type(event) for event in run.single)
    return np.array([found[kind] for kind in (TransferSent, TransferArrived, TransferFailed)])


def shuttles_are_the_same(first, last):
    """Each of them by both executions, recorded and then played; returns how often money left, arrived, came back."""
    moved = np.zeros(3, dtype=int)
    for number in range(first, last):
        assembly, tapes = shuttled(number), Tapes()
        run = assembly.simulation().run()
        moved += counted(run)
        try:
            found = [tapes.played(assembly) for _ in range(2)]
        except NotPlayable as why:
            assert "53 bits" in str(why) or str(why).startswith("more than"), number  # noqa: PT017
            continue
        assert all(same(each, run) for each in found), number
        assert {*tapes.tapes[0].refused} <= {"something is sent before the first row has closed"}, number
    return moved.tolist()


def test_drawn_passages_are_played_as_they_are_simulated():
    """A part of the cases below, for everyday work."""
    sent, arrived, returned = shuttles_are_the_same(0, 16)
    assert sent > 2_000
    assert arrived > 1_000
    assert returned > 50


@pytest.mark.slow
@pytest.mark.parametrize("first", range(16, 216, 50))
def test_two_hundred_drawn_passages_are_played_as_they_are_simulated(first):
    """With fees on leaving and arriving, ways that fail, sums that are too small, several on their way, all entries."""
    assert min(shuttles_are_the_same(first, first + 50)) > 500


def passing(strategy, *settings, **ways):
    """The example with this strategy, and with passages that take their time."""
    base = assemble(Scenario.load(SCENARIO, settings))
    bridge = Bridge(**ways)
    return evolve(base, strategy=strategy, venues=tuple(over(bridge, each) for each in base.venues))


def played(assembly, *, refused=()):
    """A run that is played twice, the second time without anything to record, and its simulation."""
    tapes, run = Tapes(), assembly.simulation().run()
    for _ in range(2):
        found = tapes.played(assembly)
        assert same(found, run)
    assert not tapes.tapes[0].refused.keys() - {*refused}
    return found.run()


@pytest.mark.parametrize("latency_s", [0.25, 43_200, 86_400, 100_000])
def test_a_row_begins_with_the_position_before_anything_arrives_in_it(latency_s):
    """What arrives at a close belongs to that row, and changes with what the next one begins."""
    strategy = Shuttle(looks=True, least=1.0, share=0.5)
    run = played(passing(strategy, latency_s=latency_s))
    arrived = arrivals(run)
    assert len([event for event in run.single if isinstance(event, OrderFilled) and event.cause in arrived]) > 5


@frozen(kw_only=True)
class Trading(Strategy):
    """A strategy that sends a sum after the highest rises, trades when it arrives, and after falls trades anyway."""

    rise: float

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield from open_pair(view, LONG, SHORT, 1.5)

    def on_event(self, event, view):
        size, usual = abs(view.leg(SHORT).size), view.history("close", 5).mean()
        if isinstance(event, TransferArrived):
            yield Resize(SHORT, size * 0.8)
        elif isinstance(event, ConditionMet) and view.price > usual * self.rise and not view.transit_usd:
            yield Move(SHORT, LONG, 20.0)
        elif isinstance(event, ConditionMet) and view.price < usual * 0.93:
            yield Resize(SHORT, size * 1.05)


@pytest.mark.parametrize(("hours", "first"), [(24, 0), (1, 0), (5, 7), (9, 22), (30, 11)])
@pytest.mark.parametrize("latency_s", [0.0005, 1_200, 90_000])
def test_what_is_traded_on_arriving_counts_for_the_volume_of_its_day(latency_s, hours, first):
    """The fee goes by the volume of days before, also of what trades on arriving.

    Where a row goes on over a midnight before which something arrives, no row knows on which day that was.
    """
    tapes, reasons, dated, least = Tapes(), set(), 0, 0
    for number in range(8):
        path = "market.path.method=stationary", f"market.path.number={number + 1}", "market.path.block_rows=20"
        base = passing(Trading(rise=1.1), *path, latency_s=latency_s / 2)
        venues = with_hyperliquid(base, Tiered, days=1 if hours < 24 else 3)
        assembly = evolve(base, venues=venues, market=spaced(base.market, hours, first))
        run = assembly.simulation().run()
        least += any(isinstance(event, OrderFilled) and event.cause in arrivals(run) for event in run.single)
        try:
            assert same(tapes.played(assembly), run)
            dated += 1
        except NotPlayable as why:
            reasons.add(str(why))
    assert reasons <= {UNDATED_TRADE}
    assert hours not in (1, 24) or not any(tape.refused for tape in tapes.tapes)
    assert least > 4
    assert dated == 8 or latency_s < 1 or hours not in (1, 24)


@frozen(kw_only=True)
class Swapping(Strategy):
    """A strategy that swaps after rises, twice at the same instant, as money arrives, and as the run ends."""

    rise: float = 1.1

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield from open_pair(view, LONG, SHORT, 1.5)

    def on_event(self, event, view):
        size = view.leg(LONG).size
        match event:
            case Ended():
                yield Resize(LONG, size * 0.99)
            case TransferArrived():
                yield Resize(LONG, size * 0.99)
                yield Resize(LONG, size * 0.98)
            case ConditionMet() if view.price > view.history("close", 5).mean() * self.rise:
                yield Resize(LONG, size * 0.99)
                yield Move(SHORT, LONG, 20.0)
            case ConditionMet() if size and view.price < view.history("close", 9).mean():
                yield Resize(LONG, min(size * 1.01, 80.0))


@pytest.mark.parametrize("latency_s", [0.0005, 1_200, 86_400, 172_800])
def test_swaps_of_one_instant_move_the_price_together(latency_s):
    """Those of the row at whose close money arrives, of what arrives with it, and of the last row before the end.

    Where nothing else was done at the instant, the step is played; else the kernel does it.
    """
    refused, ends = set(), set()
    for number in range(8):
        path = "market.path.method=stationary", f"market.path.number={number + 1}", "market.path.block_rows=20"
        swaps = "venues.asgard.swap_fee_bps=3", "venues.asgard.swap_impact_bps_per_million=400"
        assembly = passing(Swapping(), *path, *swaps, latency_s=latency_s / 2)
        run, tapes = assembly.simulation().run(), Tapes()
        assert all(same(tapes.played(assembly), run) for _ in range(2))
        refused |= tapes.tapes[0].refused.keys()
        at_ns = [event.at_ns for event in run.single if isinstance(event, OrderFilled)]
        ends.add(at_ns.count(int(run.market.at_ns[-1])) > 1)
    assert ends == {True, False}
    assert len(refused) == 1
    assert next(iter(refused)).startswith("a venue looks at orders of the same instant")


def arrivals(run):
    """The numbers of the events in which something arrived."""
    return {event.event for event in run.single if isinstance(event, TransferArrived)}


@frozen(kw_only=True)
class Dripping(Strategy):
    """A strategy that gives up a part of its position in every row, and sends so many sums on a long way."""

    sums: tuple[float, ...] = (1.0,)

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield from open_pair(view, LONG, SHORT, 1.1)

    def on_event(self, event, view):
        if isinstance(event, ConditionMet):
            yield Resize(SHORT, -view.leg(SHORT).size * 0.9999)
            for each in self.sums:
                yield Move(SHORT, LONG, each)


@pytest.mark.parametrize("fee_usd", [0.0, 0.5])
@pytest.mark.parametrize("latency_s", [60, 90_000])
def test_a_move_that_costs_something_on_arriving_is_a_rebalance(fee_usd, latency_s):
    """It is one if it has arrived by the end of the run, which the row in which it is sent does not know."""
    free = "venues.hyperliquid.taker_fee_bps=0"
    assembly = passing(Dripping(), free, fee_usd=fee_usd, sender_share=0.0, latency_s=latency_s)
    run = played(assembly)
    sent, arrived, _ = counted(run)
    assert sent > arrived > 400
    assert run.tally.capital_rebalances == (arrived if fee_usd else 0)


@pytest.mark.parametrize("sums", [MOST_PENDING // 4, MOST_PENDING // 4 + 1])
def test_what_is_on_its_way_at_once_has_a_bound(sums):
    """Beyond it the run is simulated; all that is sent at once arrives at once, in its order."""
    strategy = Dripping(sums=tuple(1.0 + number for number in range(sums)))
    assembly = passing(strategy, "capital_usd=1e7", latency_s=2 * 86_400 - 1)  # of each, so nearly four days together
    if 4 * sums <= MOST_PENDING:
        assert counted(played(assembly))[1] > 1_000
    else:
        with pytest.raises(NotPlayable, match=f"more than {MOST_PENDING} sums are on their way at once"):
            Tapes().played(assembly)


def test_a_passage_may_take_another_time_from_a_day_on():
    """Which way a sum takes is asked when it is sent, and the dated fees of a venue when it arrives."""
    base = assemble(Scenario.load(SCENARIO))
    days = (0, int(base.market.at_ns[100]), int(base.market.at_ns[200]))
    rules = {"latency_s": Dated(days, (60.0, 200_000.0, 43_200.0)), "fails": Dated(days, (False, True, False))}
    run = played(passing(Shuttle(least=20.0), **rules, fee_bps=Dated(days, (1.0, 0.0, 2.5))))
    sent = {event.event: event for event in run.single if isinstance(event, TransferSent)}
    took = {event.at_ns - sent[event.cause].at_ns for event in run.single if event.cause in sent}
    assert took == {each * NS_PER_SECOND for each in (60, 120, 43_200, 86_400, 200_000, 400_000)}
    assert all(counted(run) > 10)


def test_an_order_in_whole_dollars_and_one_in_others_are_two_kinds():
    """An order is repeated as it was given, with 25 or with 25.0 dollars."""
    strategy = Shuttle(at_start=True, least=1e9)
    whole = evolve(strategy, unit=1)
    tapes, runs = Tapes(), []
    for each in (strategy, whole, strategy, whole):
        assembly = passing(each, "rulebook.look_ahead_at_entry=false", latency_s=3_600)
        run = assembly.simulation().run()
        assert same(tapes.played(assembly), run)
        runs.append([repr(order) for _, order in run.events.orders() if isinstance(order, Move)])
    assert "amount_usd=50.0" in runs[0][0]
    assert "amount_usd=50)" in runs[1][0]


@pytest.mark.parametrize("places", [8, 4096])
def test_cells_on_a_path_have_what_is_on_its_way_each_for_itself(monkeypatch, places):
    """They are played in one go, whatever room there is for notes; nothing of one run arrives in the next."""
    monkeypatch.setattr(execution, "WORTH_CELLS", 1)
    monkeypatch.setattr("framework.tape.tape.ROOM", places)
    settings = [f"venues.{name}.bridge.latency_s={seconds}" for name, seconds in ((LONG, 90_000), (SHORT, 200_000))]
    grids = "strategy.leverage=2,3,4", "strategy.trigger=4.2,5"
    plan = Sweep.of(SCENARIO, grids, ("market.path.method=stationary", *settings), paths=12)
    cells = plan.cells()
    for _ in range(2):
        chunk = plan.finished(list(enumerate(cells)))
    assert [row for _, row in chunk.rows] == [
        {**cell, **outcome(plan.assembly(cell).simulation().run()), "error": ""} for cell in cells
    ]
    assert chunk.played == len(cells)
    assert sum(row["capital_rebalances"] for _, row in chunk.rows) > 50


def test_what_is_kept_of_passages_plays_in_the_next_process(tmp_path):
    """The kinds of what is on its way and the trees of their arrivals, so there is nothing to record."""
    base = assemble(Scenario.load(SCENARIO, ["strategy.trigger=4.2"]))
    bridge = Bridge(fee_usd=1.0, fee_bps=8.0, latency_s=100_000)
    assembly = evolve(base, venues=tuple(over(bridge, each) for each in base.venues))
    before = Tapes(Shelf(tmp_path))
    for _ in range(2):
        before.run(assembly)
    before.keep(0.0)
    tapes, run = Tapes(Shelf(tmp_path)), assembly.simulation().run()
    found = tapes.run(assembly)
    assert isinstance(found, Played)
    assert same(found, run)
    (tape,), (old,) = tapes.tapes, before.tapes
    assert counted(run)[1] > 3
    assert tape.recorded == 0
    assert tape.registers.arrivals == old.registers.arrivals
    assert all(np.array_equal(one, other) for one, other in zip(tape.program(), old.program(), strict=True))
