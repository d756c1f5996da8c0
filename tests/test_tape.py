"""The tape: a run that is played is the run that is simulated, to the last bit, or it is not played."""

import builtins
import datetime as dates
import logging
import math
import operator
import os
import pickle
import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import cache, cached_property, partial
from os import getenv
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import numba
import numpy as np
import pytest
from attrs import define, evolve, fields_dict, frozen
from hypothesis import example, given
from hypothesis import strategies as st

from examples.study.study import Study
from framework import Scenario, assemble
from framework.accrual import Accrual, Computed, running
from framework.clock import NS_PER_HOUR
from framework.errors import OrderRefused, PlayingError, RunError, ScenarioError
from framework.events import ConditionMet, Ended, Event, FeeAccrued, OrderFilled, Rejected, Side
from framework.formulas import choose, formula, greater, lesser, ratio, square_root
from framework.many_runs import execution
from framework.many_runs.sweep import Sweep, sweep
from framework.market import PRICES, TICK_NS
from framework.money import USDC
from framework.orders import Close, Move, Open, Resize, said
from framework.performance import figures, outcome
from framework.run import Tally
from framework.strategy import EveryRow, Price, Strategy
from framework.tape.code import Code
from framework.tape.numbers import LONGEST, MOST, Column, NotRecordable, Op, Recorded, RecordedText, Row, Time, Window
from framework.tape.pending import Pending
from framework.tape.played import Played
from framework.tape.player import BROKEN, KERNEL, QUIET, UNKNOWN, Notes, Program, play, play_plain
from framework.tape.steps import NotPlayable
from framework.tape.tape import CHECKED_AGAIN, Settings
from framework.tape.tapes import Tapes, refusal
from framework.tape.tree import NOWHERE, Branch, Leaf, Registers, Way
from framework.venue import Venue, account
from strategies.pair import open_pair
from tests import runs
from tests.conftest import ROOT
from tests.test_differential import AT_ONCE, assembled, drawn
from venues.hyperliquid import Hyperliquid
from venues.hyperliquid_formulas import FeeTier

SCENARIO = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
DRAWN = 700
"""Of so many drawn cases more than 500 are played; the coins of the others are too cheap."""


def same(played, run):
    """Whether a run that was played is one that was simulated: its books, events, orders, equity and outcome."""
    books = played.run()
    assert figures(books) == figures(run)
    assert books.tally == run.tally == Tally.of([(each.event, each.cause, each) for each in run.single])
    assert books.ledger.digest == run.ledger.digest
    assert list(books.events) == list(run.events)
    assert [str(order) for _, order in books.events.orders()] == [str(order) for _, order in run.events.orders()]
    assert np.array_equal(played.equity_usd, run.curve.equity_usd)
    assert np.array_equal(books.curve.cash_usd + books.curve.transit_usd, run.curve.cash_usd + run.curve.transit_usd)
    for venue, equity_usd in run.curve.equity_usd_by_venue.items():
        assert np.array_equal(books.curve.equity_usd_by_venue[venue], equity_usd)
    assert books.balances == run.balances or list(books.balances.values()) == list(run.balances.values())
    assert played.outcome() == outcome(run)
    return True


# -- whole runs


def all_the_same(first, last):
    """Each case of the differential test by both executions; returns how many were played by the tape alone.

    Money is on its way for no time, a part of a row, or some rows. Cases whose coins are so cheap that their atomic
    units do not fit in 53 bits are refused.
    """
    tapes, alone = Tapes(), 0
    for number in range(first, last):
        assembly = assembled(drawn(number))
        run = assembly.simulation().run()
        tape = tapes.of(assembly)
        held = max(abs(each).max() for each in run.curve.size_by_venue.values()) * 1e9
        try:
            played = tape.play(Settings.of(assembly), assembly.market)
        except NotPlayable:
            assert held > MOST / 8, number
            continue
        assert same(played, run), number
        alone += not tape.refused
    return alone


def test_drawn_runs_are_played_as_they_are_simulated():
    """A part of the cases below, for everyday work."""
    assert all_the_same(0, 25) >= 20


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, DRAWN, AT_ONCE))
def test_five_hundred_drawn_runs_are_played_as_they_are_simulated(first):
    """At the market and at cost, all strategies on a pair, sums up to a billion dollars, tokens of 1e-8 to 1e6 USD."""
    assert all_the_same(first, first + AT_ONCE) >= AT_ONCE * 0.7


def dollars(number):
    """A synthetic dollar on its data or on a path of them, with one of its hedges, and fees from none to nearly all."""
    dice = Random(number)  # noqa: S311  (which cases, and no secret)
    choices = {
        "strategy.hedge": ("units", "value"),
        "strategy.maintenance": (0.4, 0.67, 0.8, 0.9),
        "strategy.unhedged": ("close", "cut", "hold"),
        "strategy.redeem_at_end": ("true", "false"),
        "fees.maintenance_per_year": (0, 0.0003, 0.05, 0.9),
        "capital_usd": (1_000, 12_345.67, 1e8),
        "entry": ("first_open", "first_close"),
        "market.funding": ("none", "drift_flat"),
    }
    path = {
        "market.path.method": ("stationary",),
        "market.path.number": (number + 1,),
        "market.path.block_rows": (1, 20),
    }
    choices |= path if dice.random() < 0.7 else {}
    keys = [f"{key}={dice.choice(values)}" for key, values in choices.items()]
    return assemble(Scenario.load(ROOT / "examples" / dice.choice(["uss", "euss"]) / "scenario.toml", keys))


def dollars_are_the_same(first, last):
    """Each of these synthetic dollars by both executions, the fee on the value among what is played."""
    tapes = Tapes()
    for number in range(first, last):
        assembly = dollars(number)
        assert same(tapes.played(assembly), assembly.simulation().run()), number
    assert not any(tape.refused for tape in tapes.tapes)


def test_synthetic_dollars_are_played_as_they_are_simulated():
    """A part of the cases below, for everyday work."""
    dollars_are_the_same(0, 12)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(12, 112, 25))
def test_drawn_synthetic_dollars_are_played_as_they_are_simulated(first):
    """With liquidations, cuts in several rounds, and a fee that takes most of the value."""
    dollars_are_the_same(first, first + 25)


@frozen(kw_only=True)
class Collector(Venue):
    """A venue with a fee on the worth of all others that it works out itself, by arithmetic or by NumPy."""

    name: str = "collector"
    how: str = "arithmetic"

    fee_paid = account("Expenses:{venue}:RowFee", USDC)
    fee_owed = account("Liabilities:{venue}:RowFee", USDC)

    @formula
    def equity(fee_owed):
        return fee_owed

    def accruals(self):
        def amounts(segment):
            if self.how == "arithmetic":
                rate = (0.1 if segment.others_hold else 0.3) * segment.years
                return running(rate, segment.others_usd * 1e6, -segment.balance(self.fee_owed))
            if self.how == "one by one":
                base = segment.others_usd * 1e6
                made = [round(each) for each in (0.1 * segment.years * base).tolist()]
                return Computed(np.array(made), 0.1 * segment.years, np.rint(base).astype(np.int64))
            base = np.asarray(segment.others_usd) * 1e6
            return Computed(np.rint(base * 1e-5).astype(np.int64), base * 0, base.astype(np.int64))

        yield Accrual(debit=self.fee_paid, credit=self.fee_owed, kind="row_fee", event=FeeAccrued, on=self.fee_owed,
                      basis="simple", rate="", compute=amounts)  # fmt: skip


@pytest.mark.parametrize("how", ["arithmetic", "one by one", "by NumPy"])
def test_what_a_venue_works_out_itself_is_played_where_it_is_arithmetic(how):
    """What does more is done by the kernel, a few times; then its runs are simulated."""
    base = assemble(Scenario.load(SCENARIO))
    tapes, assembly = Tapes(), evolve(base, venues=(*base.venues, Collector(how=how)))
    run = assembly.simulation().run()
    assert sum(each.amount for each in run.events if isinstance(each, FeeAccrued))
    if how == "arithmetic":
        assert same(tapes.played(assembly), run)
        return
    with pytest.raises(NotPlayable):
        tapes.played(assembly)
    assert tapes.run(assembly).ledger.digest == run.ledger.digest


@frozen(kw_only=True)
class Leaving(Strategy):
    """A strategy that is at a venue from the beginning to an instant."""

    until_ns: int

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield Open("hyperliquid", Side.SHORT, 10.0, view.cash_usd / 2)

    def on_event(self, event, view):
        if isinstance(event, ConditionMet) and view.at_ns >= self.until_ns and view.leg("hyperliquid").equity_usd:
            yield Close("hyperliquid")


@pytest.mark.parametrize("row", [30, 400])
def test_what_a_venue_works_out_knows_whether_the_others_hold_anything(row):
    """Once all is in the wallet the fee is another one."""
    base = of(Leaving(until_ns=0))
    strategy = Leaving(until_ns=int(base.market.at_ns[row]))
    assembly = evolve(base, strategy=strategy, venues=(*base.venues, Collector()))
    run = assembly.simulation().run()
    fees = {event.at_ns: event.rate for event in run.events if isinstance(event, FeeAccrued)}
    years = dict(zip(base.market.at_ns.tolist(), base.market.years.tolist(), strict=True))
    assert all(rate == (0.1 if at_ns <= strategy.until_ns else 0.3) * years[at_ns] for at_ns, rate in fees.items())
    assert same(Tapes().played(assembly), run)


@frozen(kw_only=True)
class Counting(Collector):
    """A venue whose fee remembers how often it was asked for, in a list of its function."""

    def accruals(self):
        (accrual,) = super().accruals()
        seen = []

        def amounts(segment, before=seen):
            before.append(segment.stop)
            return accrual.compute(segment)

        made = {"closure": lambda segment: amounts(segment, seen), "default": amounts, "partial": partial(amounts, [])}
        yield evolve(accrual, compute=made[self.how])


@pytest.mark.parametrize("how", ["closure", "default", "partial"])
def test_what_a_venue_works_out_may_remember_nothing(how):
    """A function made within a method is no method, and is looked at as well."""
    base = assemble(Scenario.load(SCENARIO))
    why = refusal(evolve(base, venues=(*base.venues, Counting(how=how))))
    assert re.match(r".*is a list, so it may carry something over from step to step; expected a tuple", why)


def test_one_tape_plays_other_settings_and_other_markets():
    """What was recorded for some cells and paths is played for others; in the end nothing is left to record."""
    tapes, recorded = Tapes(), []
    for _ in range(2):
        for number in (1, 2, 3):
            for leverage, trigger in ((2, 4), (3, 4.5), (4, "never")):
                keys = f"strategy.leverage={leverage}", f"strategy.trigger={trigger}", f"capital_usd={leverage * 5_000}"
                drawn_ = "market.path.method=stationary", f"market.path.number={number}", "market.path.block_rows=20"
                assembly = assemble(Scenario.load(SCENARIO, [*keys, *drawn_]))
                assert same(tapes.played(assembly), assembly.simulation().run())
        recorded.append(sum(tape.recorded for tape in tapes.tapes))
    assert len(tapes.tapes) == 2  # one whose trigger is a number, and one that has none
    assert recorded[0] == recorded[1]


@pytest.mark.parametrize("lender", ["kamino", "marginfi"])
@pytest.mark.parametrize("path", ["close", "adverse_first"])
def test_steps_that_cannot_be_recorded_are_done_by_the_kernel(lender, path):
    """The protocols' rules reckon in fractions and look at earlier orders; their runs come out the same."""
    table = Scenario.load(SCENARIO).table()
    table["rulebook"] = {"class": "protocol", "path": path}
    at_once = {"bridge": {way: {"latency_s": 0.0} for way in ("inbound", "outbound")}}
    table["venues"] = {"asgard": {"lender": lender, **at_once}, "hyperliquid": at_once}
    table["strategy"] |= {"leverage": 2, "trigger": 3.5}
    assembly = assemble(Scenario.of(table))
    tape = Tapes().of(assembly)
    assert same(tape.play(Settings.of(assembly), assembly.market), assembly.simulation().run())
    assert tape.refused


def test_a_run_that_the_kernel_does_not_finish_is_not_played():
    """It is simulated instead, and its error is the kernel's own."""
    assembly = assemble(Scenario.load(SCENARIO, ["capital_usd=1e9"]))
    cheap = {name: column * 1e-8 for name, column in assembly.market.columns.items() if name in PRICES}
    assembly = evolve(assembly, market=evolve(assembly.market, columns=assembly.market.columns | cheap))
    with pytest.raises(NotPlayable, match="do not fit in the books"):
        Tapes().played(assembly)
    with pytest.raises(OrderRefused, match="do not fit in the books"):
        Tapes().run(assembly)


@frozen(kw_only=True)
class Averaging(Strategy):
    """A strategy that looks back over the last rows, of which there are fewer at the beginning."""

    rows: int
    least: float = 0.0
    how: str = "mean"

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield Open("hyperliquid", Side.SHORT, 1.0, view.cash_usd)

    def on_event(self, event, view):
        ways = {
            "mean": lambda rates, years: rates.mean(),
            "mean of NumPy": lambda rates, years: np.mean(rates),
            "by time": lambda rates, years: (rates * 2 - rates / 1 + -rates + abs(rates)).sum() / (1 * years).sum(),
            "change": lambda rates, years: rates[-1] - rates[0] + 1e-9 * len(rates),
            "latest": lambda rates, years: (1 / (3 + rates[-2:]) - (1 / 3 - rates[-2:])).sum(),
            "extremes": lambda rates, years: (rates * 1000).max() * -rates.min() - rates.max() + years.min(),
            "highest": lambda rates, years: max(rates),
            "one by one": lambda rates, years: sum(1 if rate > 0 else -1 for rate in rates),
            "how many": lambda rates, years: np.count_nonzero(rates > 1e-5) - (rates <= rates[-1]).sum() + 1,
            "chosen": lambda rates, years: rates[(rates >= 0) & (rates != rates[0])].sum() + years[rates < 1e-5].sum(),
            "any": lambda rates, years: 0.0 if (rates - rates[0]).any() and rates.all() else -1.0,
            "some": lambda rates, years: rates[np.flatnonzero(rates == rates[-1])].mean() - rates[np.array([0])][0],
        }
        rates, years = view.history("hyperliquid_funding_rate", self.rows), view.years(self.rows)
        if isinstance(event, ConditionMet) and ways[self.how](rates, years) < self.least:
            yield Resize("hyperliquid", 0.5)


@pytest.mark.parametrize(
    "how",
    [
        "mean",
        "mean of NumPy",
        "by time",
        "change",
        "latest",
        "extremes",
        "one by one",
        "how many",
        "chosen",
        "any",
        "some",
    ],
)
@pytest.mark.parametrize("rows", [1, 2, 7, 9, 25])
def test_what_looks_back_over_some_rows_is_played(how, rows):
    """As the sum and the mean of an array, and as its values one by one; on other markets too."""
    tapes = Tapes()
    for number, least in ((1, 0.0), (2, 1e-5), (3, -1e-5)):
        keys = "market.path.method=stationary", f"market.path.number={number}", "market.path.block_rows=20"
        assembly = evolve(
            assemble(Scenario.load(SCENARIO, [*keys])), strategy=Averaging(rows=rows, least=least, how=how)
        )
        assert same(tapes.played(assembly), assembly.simulation().run())
    (tape,) = tapes.tapes
    assert set(tape.refused) <= {"the strategy looks at rows before the run"}


@frozen(kw_only=True)
class Recalling(Strategy):
    """A strategy that goes by the positions with which the last rows began, and by how many of these there are."""

    rows: int
    venue: str
    least: float = 0.0
    how: str = "mean"

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        usd = view.cash_usd / 2 + len(view.sizes(self.venue, self.rows))
        yield Open("asgard", Side.LONG, usd * 2 / view.price, usd)
        yield Open("hyperliquid", Side.SHORT, usd / view.price, usd - 10)

    def on_event(self, event, view):
        sizes = view.sizes(self.venue, self.rows)
        ways = {
            "mean": lambda: abs(sizes).sum() / self.rows > 20.0 + self.least,
            "change": lambda: sizes[-1] - sizes[0] > self.least,
            "held": lambda: np.count_nonzero(sizes != 0) == min(self.rows, 5),
            "number": lambda: len(sizes) > 3,
            "by rate": lambda: (sizes * view.history("close", self.rows)[-len(sizes) :]).sum() < self.least,
        }
        match event:
            case Ended() if len(sizes) < self.rows or sizes[-1] < 0:
                yield Close(self.venue)
            case ConditionMet() if view.leg(self.venue).size == 0:
                if not sizes[-2:].any():
                    side = Side.LONG if self.venue == "asgard" else Side.SHORT
                    yield Open(self.venue, side, 10.0, 5000.0)
            case ConditionMet() if len(sizes) and ways[self.how]():
                yield Close(self.venue)


@pytest.mark.parametrize("entry", ["first_close", "first_open", "look_ahead"])
@pytest.mark.parametrize("venue", ["asgard", "hyperliquid"])
@pytest.mark.parametrize("how", ["mean", "change", "held", "number", "by rate"])
def test_what_looks_at_past_positions_is_played(how, venue, entry):
    """Those that grow with interest and those that do not, from the first row on; in each the same as if simulated."""
    tapes = Tapes()
    for number, least, rows in ((1, 0.0, 1), (2, 0.1, 7), (3, -0.1, 7), (3, 0.1, 25)):
        keys = "market.path.method=stationary", f"market.path.number={number}", "market.path.block_rows=20"
        strategy = Recalling(rows=rows, least=least, how=how, venue=venue)
        assembly = evolve(assemble(Scenario.load(SCENARIO, [*keys, f"entry={entry}"])), strategy=strategy)
        assert same(tapes.played(assembly), assembly.simulation().run())
    assert set(tapes.tapes[0].refused) <= {"the strategy looks at rows before the run"}


def test_positions_of_a_venue_of_several_coins_are_no_sum():
    """Played or not, a strategy that asks for them ends in the same error."""
    assembly = assemble(Scenario.load(ROOT / "examples" / "portfolio" / "scenario.toml"))
    assembly = evolve(assembly, strategy=Recalling(rows=1, venue="hyperliquid"))
    with pytest.raises(ScenarioError, match="sizes: hyperliquid has positions in SOL, BTC"):
        assembly.simulation().run()
    with pytest.raises(ScenarioError, match="sizes: hyperliquid has positions in SOL, BTC"):
        Tapes().run(assembly)


def rotations(number):
    """The full rotation with a least yield over some rows, at the market or at cost, on a path."""
    dice = Random(number)  # noqa: S311  (which cases, and no secret)
    settings = {
        "strategy.min_apy_pct": dice.choice([0.1, 5.0, 10.0, 40.0]),
        "strategy.min_apy_rows": dice.choice([1, 3, 7, 12]),
        "strategy.leverage": dice.choice([2, 3, 5, 8]),
        "strategy.compounding": dice.choice([True, False]),
        "market.path": {"method": "stationary", "block_rows": 20, "number": number + 1},
    }
    base = {"rulebook": {"class": "study"}} if dice.random() < 0.5 else {}
    return assemble(Study().scenario("full_rotation", base | settings))


@pytest.mark.parametrize("first", [0, *(pytest.param(each, marks=pytest.mark.slow) for each in range(6, 60, 6))])
def test_a_least_yield_is_played_as_it_is_simulated(first):
    """What it has earned in the last rows that it held, which go back behind those in which it held nothing."""
    tapes = Tapes()
    for number in range(first, first + 6):
        assembly = rotations(number)
        assert same(tapes.played(assembly), assembly.simulation().run()), number
    assert not any(tape.refused for tape in tapes.tapes)


def test_runs_that_look_back_over_other_numbers_of_rows_have_one_tape():
    """How far is a number of the strategy as others are; it is the way that is another one."""
    tapes = Tapes()
    for rows in (7, 3, 5, 7):
        assembly = of(Averaging(rows=rows))
        assert same(tapes.played(assembly), assembly.simulation().run())
    assert len(tapes.tapes) == 1


def test_numbers_are_added_in_the_order_in_which_numpy_adds():
    """Of any length, in blocks of eight and of 128; a sum of zeros has no sign."""
    dice, way = np.random.default_rng(7), Way(Registers(0), Branch())
    for count in [*range(1, 20), *range(1, 400)]:
        values = dice.normal(size=count)
        assert Window(values.tolist(), way).sum() == values.sum(), count
    assert repr(Window([-0.0] * 9, way).sum()) == "0.0"


@frozen(kw_only=True)
class LookingTwice(Averaging):
    """A strategy that looks back over the same rows once more, and then asks something else about how many they are."""

    other: int = 5

    def on_event(self, event, view):
        if not isinstance(event, ConditionMet):
            return
        first, again = (view.history("close", self.rows).mean() for _ in range(2))
        asks = {
            "fewer": lambda: self.rows < self.other,
            "as many": lambda: self.rows == self.other,
            "the other": lambda: self.other == 3,
            "none": lambda: self.rows == 0,
            "both": lambda: view.history("close", self.other).mean() < view.history("close", self.rows).mean(),
        }
        if asks[self.how]():
            yield Resize("hyperliquid", 0.5 + first - again)


@pytest.mark.parametrize("how", ["fewer", "as many", "the other", "none", "both"])
def test_how_far_a_strategy_looks_back_is_a_number_like_others(how):
    """What is asked of it next, or of another number, is not taken for the question which number it is."""
    tapes = Tapes()
    for rows, other in ((3, 5), (7, 5), (5, 5), (3, 3), (5, 3), (7, 7), (3, 5)):
        assembly = of(LookingTwice(rows=rows, other=other, how=how))
        assert same(tapes.played(assembly), assembly.simulation().run())
    (tape,) = tapes.tapes
    assert set(tape.refused) <= {"the strategy looks at rows before the run"}


def test_a_number_of_rows_that_is_none_is_the_kernels():
    """It is not asked for ever whether it is the one that it is."""
    assembly = of(Averaging(rows=math.nan))
    with pytest.raises(NotPlayable, match="a number of rows is not a number"):
        Tapes().played(assembly)


def test_the_example_with_a_gate_is_played():
    """A user's own strategy, which asks for the mean of a week."""
    assembly = assemble(Scenario.load(ROOT / "examples" / "funding_gate" / "scenario.toml"))
    assert same(Tapes().played(assembly), assembly.simulation().run())


@frozen(kw_only=True)
class Dated(Strategy):
    """A strategy that does nothing before an instant, and goes down to half of its position then."""

    from_ns: int
    share: float = 0.5

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield Open("hyperliquid", Side.SHORT, 10.0, view.cash_usd / 2)

    def on_event(self, event, view):
        if isinstance(event, ConditionMet) and view.at_ns >= self.from_ns and view.leg("hyperliquid").size < -9:
            yield Resize("hyperliquid", 10.0 * self.share)


@pytest.mark.parametrize("row", [7, 8, 40, 71])
@pytest.mark.parametrize("early_ns", [-1, 0, 1])
def test_a_quiet_stretch_ends_at_the_instant_that_is_waited_for(row, early_ns):
    """In the row that closes at that instant, wherever in a block of rows it is, and in the next for a later one."""
    tapes = Tapes()
    for share in (0.5, 0.25):
        base = of(Dated(share=share, from_ns=0))
        assembly = evolve(base, strategy=Dated(share=share, from_ns=int(base.market.at_ns[row]) + early_ns))
        played = tapes.played(assembly)
        resized = next(
            event for event in played.run().single if isinstance(event, OrderFilled) and event.order == "resize"
        )
        assert resized.at_ns == base.market.at_ns[row + (early_ns > 0)]
        assert same(played, assembly.simulation().run())


@frozen(kw_only=True)
class Compounding(Strategy):
    """A strategy that moves a dollar and gives up a part of its position in every row."""

    share: float

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield from open_pair(view, "asgard", "hyperliquid", 1.1)

    def on_event(self, event, view):
        if isinstance(event, ConditionMet):
            yield Move("hyperliquid", "asgard", 1.0)
            yield Resize("hyperliquid", -view.leg("hyperliquid").size * self.share)


@pytest.mark.parametrize("fee_bps", [0, 0.01, 3.5])
def test_moves_of_what_compounds_are_rebalances_where_it_has_a_fee(fee_bps):
    """It may come to nothing in some rows, and to a millionth of a dollar in others."""
    free = [f"venues.{name}.bridge.fee_usd=0" for name in ("asgard", "hyperliquid")]
    base = assemble(Scenario.load(SCENARIO, [f"venues.hyperliquid.taker_fee_bps={fee_bps}", *free]))
    tapes = Tapes()
    for share in (0.9999, 0.9998):
        assembly = evolve(base, strategy=Compounding(share=share))
        played = tapes.played(assembly)
        assert same(played, assembly.simulation().run())
        books = played.run()
        fees = [event.fee for event in books.single if isinstance(event, OrderFilled) and event.order == "resize"]
        assert len(fees) > 400
        assert books.tally.capital_rebalances == np.count_nonzero(fees)
        assert (0 in fees, any(fees)) == (fee_bps < 1, fee_bps > 0)


# -- what is not played


@frozen(kw_only=True)
class Looking(Strategy):
    """A strategy that looks at what a step does not know."""

    what: str = ""

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield Open("hyperliquid", Side.SHORT, 1.0, view.cash_usd)

    def on_event(self, event, view):
        looks = {
            "outcome": lambda: view.outcome is not None,
            "history": lambda: view.history("close", LONGEST + 1).mean() > 0,
            "sizes": lambda: view.sizes("hyperliquid", LONGEST + 1).mean() > 0,
            "key": lambda: {view.price: 1},
            "calendar": lambda: datetime.fromtimestamp(view.at_ns / 1e9, UTC).month == 1,
        }
        if isinstance(event, ConditionMet) and self.what and looks[self.what]():
            yield Resize("hyperliquid", 0.5)


def of(strategy, **rules):
    """An assembly with a strategy of the tests' own."""
    assembly = assemble(Scenario.load(SCENARIO))
    return evolve(assembly, strategy=strategy, **rules)


def test_refusals_say_why():
    """Before anything is recorded: what may carry something over, and what is asked about many rows."""
    strategy = assemble(Scenario.load(SCENARIO)).strategy
    assert refusal(of(strategy)) == ""

    @frozen
    class Slow:
        def holds(self, stretch):
            return stretch.all_rows(False)

    @define
    class Remembering:
        by_row = True

        def holds(self, stretch):
            return stretch.all_rows(False)

    @frozen(kw_only=True)
    class With(Looking):
        condition: object = None
        log: object = ()

        def conditions(self):
            return (self.condition,)

    assert refusal(of(With(condition=Slow()))).startswith("Slow is asked about many rows at once")
    assert refusal(of(With(condition=Remembering()))).startswith("With is not frozen")
    assert refusal(of(With(log=[]))).startswith("With is not frozen")
    incident = assemble(Scenario.load(ROOT / "examples" / "incident" / "scenario.toml"))
    assert refusal(incident) == "the scenario has incidents"


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("outcome", "what became of an earlier order"),
        ("history", "looks at more than 128 rows"),
        ("sizes", r"^the strategy looks at more than 128 rows \(test_tape\.py, line \d+\)"),
        ("calendar", r"^an instant is reckoned with \(test_tape\.py, line \d+\)"),
        ("key", r"used as a key \(test_tape\.py, line \d+\)"),
    ],
)
def test_what_a_step_does_not_know_is_not_played(what, why):
    """A strategy that asks for it in every row is simulated as a whole, and comes out as ever."""
    assembly = of(Looking(what=what))
    tapes = Tapes()
    with pytest.raises(NotPlayable, match=why):
        tapes.played(assembly)
    with pytest.raises(NotPlayable, match=why):
        tapes.played(assembly)
    assert tapes.run(assembly).ledger.digest == assembly.simulation().run().ledger.digest


# -- what may tell a recorded number from a plain one, or reads what no step knows


def caught(read, otherwise):
    """What is read, or something else where that fails."""
    try:
        return read()
    except (NotPlayable, NotRecordable):
        return otherwise


WANTS = MappingProxyType(
    {
        "decimal": (lambda view: view.leg("hyperliquid").size == Decimal(-10), "a number meets a Decimal"),
        "single precision": (lambda view: view.price * np.float32(0.1) > 15, "a number meets a float32"),
        "enum": (lambda view: -view.leg("hyperliquid").size == Op.SQRT, "a number meets a Op"),
        "array": (lambda view: (np.array([-10.0]) == view.leg("hyperliquid").size).any(), "a number meets a ndarray"),
        "bits": (lambda view: caught(lambda: round(view.price) & 1, 0), "the bits of a number"),
        "attribute": (lambda view: hasattr(view.cash_usd, "is_integer"), "asked for its is_integer"),
        "an enum's value": (lambda view: getattr(view.price, "value", view.price) > 150, "asked for its value"),
        "attribute of an instant": (lambda view: hasattr(view.at_ns, "bit_count"), "asked for its bit_count"),
        "converted": (lambda view: caught(lambda: int(view.price), 0) > 150, "a number is converted"),
        "outcome": (lambda view: caught(lambda: view.outcome, None) is None, "what became of an earlier order"),
        "a squared array": (lambda view: (view.history("close", 1) ** 2)[0] > 300, "unsupported operand"),
        "a truth of an array": (lambda view: bool(view.history("close", 1)), "a history is asked whether it is true"),
        "a function of one": (lambda view: np.median(view.history("close", 3)) > 150, "a history is made an array"),
        "a method of one": (lambda view: view.history("close", 3).std() > 150, "a history is asked for its std"),
        "a maximum by axis": (lambda view: view.history("close", 3).max(axis=0) > 450, "reduced in another way"),
        "a sum by axis": (lambda view: view.history("close", 3).sum(axis=0) > 450, "summed in another way"),
        "two lengths": (
            lambda view: (view.history("close", 1) + view.history("close", 3)).sum() > 300,
            "histories of different lengths",
        ),
        "two lengths turned": (
            lambda view: (view.history("close", 3) + view.history("close", 1)).sum() > 300,
            "histories of different lengths",
        ),
        "a sum into an array": (
            lambda view: view.history("close", 3).sum(out=np.zeros(())) > 450,
            "summed in another way",
        ),
        "a maximum into an array": (
            lambda view: view.history("close", 3).max(out=np.zeros(())) > 450,
            "reduced in another way",
        ),
        "digits": (lambda view: len(f"{view.price:.0f}") == 3, "written as text by the strategy"),
        "words": (
            lambda view: "7" in view.rejection(Open("hyperliquid", Side.SHORT, 1.0, view.price * 1e4)),
            "text with",
        ),
    }
)
"""What a strategy may ask in a row, and why that is not played."""


@frozen(kw_only=True)
class Wanting(Strategy):
    """A strategy that resizes in rows in which it wants to; `share` of the position is what it goes down to."""

    share: float = 0.5
    want: str = ""

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield Open("hyperliquid", Side.SHORT, 10.0, view.cash_usd / 2)

    def on_event(self, event, view):
        if isinstance(event, ConditionMet) and self.wants(event, view):
            yield Resize("hyperliquid", 10.0 * self.share if view.leg("hyperliquid").size < -9 else 10.0)

    def wants(self, _, view):
        return not self.want or WANTS[self.want][0](view)


@frozen(kw_only=True)
class Classing(Wanting):
    """A strategy that asks for classes."""

    def wants(self, _, view):
        return CLASSES[self.want](view)


CLASSES = MappingProxyType(
    {
        "price": lambda view: isinstance(view.price, Price) and view.price > 150,
        "float": lambda view: isinstance(view.cash_usd, float) and view.cash_usd > 0,
        "one of NumPy": lambda view: isinstance(view.history("close", 2)[-1], np.floating) and view.price > 150,
        "mean of NumPy": lambda view: isinstance(view.history("close", 1).mean() * 2, np.float64) and view.price > 150,
        "instant": lambda view: isinstance(view.at_ns, int) and view.price > 150,
        "none of another": lambda view: not isinstance(view.cash_usd, int | np.floating | Decimal) and view.price > 150,
    }
)
"""What a strategy may ask about the class of a number, also where that decides in few rows alone."""


def on_paths(*settings):
    """The scenario on two paths."""
    keys = "market.path.method=stationary", "market.path.block_rows=20", *settings
    return [assemble(Scenario.load(SCENARIO, [*keys, f"market.path.number={number}"])) for number in (1, 2)]


DRAWN_MARKETS = on_paths()


def played_again(strategy):
    """Runs of a strategy with some settings and on two markets, by one set of tapes, each with its simulation."""
    tapes = Tapes()
    for base in DRAWN_MARKETS:
        for share in (0.3, 0.5):
            assembly = evolve(base, strategy=evolve(strategy, share=share))
            yield tapes.played(assembly), assembly.simulation().run()


@pytest.mark.parametrize("want", WANTS)
def test_what_may_tell_a_recorded_number_is_refused(want):
    """Also where the strategy catches what that raises: no run with it is played."""
    with pytest.raises(NotPlayable, match=WANTS[want][1]):
        next(played_again(Wanting(want=want)))


@pytest.mark.parametrize("want", CLASSES)
def test_a_recorded_number_is_of_the_class_of_the_number(want):
    """By `isinstance`; what is asked then is asked of the number as well."""
    assert all(same(*pair) for pair in played_again(Classing(want=want)))


@frozen
class OfMarket:
    """A condition that looks at more of the market than the present row."""

    by_row = True
    how: str = ""

    def holds(self, stretch):
        market, close = stretch.market, stretch.column("close")
        level = {
            "first": lambda: market["close"][0],
            "first of floats": lambda: market.floats("close")[0],
            "mean of floats": lambda: sum(market.floats("close")) / len(market),
            "kept": lambda: market.cached("mean", market["close"].mean),
            "rows": lambda: 150.0 if len(market) > 400 else 0.0,
            "days": lambda: 150.0 if market.at_ns[-1] > 0 else 0.0,
            "before": lambda: market.floats("close")[stretch.start - 1],
        }[self.how]()
        return close > level


@frozen(kw_only=True)
class Watching(Wanting):
    """A strategy that is woken by conditions of the tests' own."""

    condition: object = None

    def conditions(self):
        return (self.condition,)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("first", "asked for its columns"),
        ("first of floats", "not the present one"),
        ("mean of floats", "all rows of a column"),
        ("kept", "asked for its cached"),
        ("rows", "asked for its length"),
        ("days", "asked for its at_ns"),
        ("before", "before or after the present one"),
    ],
)
def test_what_is_read_of_the_market_beside_the_row_is_refused(how, why):
    """It would be read of the market on which the step was recorded, whatever market it is played on."""
    with pytest.raises(NotPlayable, match=why):
        next(played_again(Watching(condition=OfMarket(how))))


@frozen(kw_only=True)
class Counted(Hyperliquid):
    """A venue that looks at the journal, of which a step has its own entries alone."""

    name: str = "hyperliquid"

    def resize(self, order, book):
        if len(book.journal) > 100:
            book.reject("it has traded enough")
        super().resize(order, book)


def test_a_venue_that_looks_at_the_journal_is_refused():
    """Whether it counts its entries or reads them."""
    venues = with_hyperliquid(DRAWN_MARKETS[0], Counted)
    with pytest.raises(NotPlayable, match="looks at the journal"):
        Tapes().played(evolve(DRAWN_MARKETS[0], strategy=Wanting(), venues=venues))


@frozen(kw_only=True)
class Tiered(Hyperliquid):
    """Fees by what went through the account in so many days before today."""

    name: str = "hyperliquid"
    days: int = 14
    counts: bool = True

    def turnovers(self):
        return (self.traded_usdc,) if self.counts else ()

    def taker_bps(self, book):
        traded_usd = USDC.units(book.turnover(self.traded_usdc, self.days))
        return 1.0 if traded_usd > 12_000 else 3.0 if traded_usd >= 5_000 else 4.5 - traded_usd / 1e4


@frozen(kw_only=True)
class Churning(Wanting):
    """A strategy that trades more in some weeks than in others, from its start on."""

    def wants(self, _, view):
        return view.price > view.history("close", 5).mean() * (1 + self.share / 20)


def spaced(market, hours, first):
    """The first rows of a market, each so many hours long and the first beginning so many after midnight."""
    rows = np.arange(200)
    start_ns = int(market.open_ns[0]) + first * NS_PER_HOUR
    open_ns = start_ns + rows * hours * NS_PER_HOUR
    columns = {name: values[rows] for name, values in market.columns.items()}
    return evolve(market, open_ns=open_ns, at_ns=open_ns + hours * NS_PER_HOUR - TICK_NS, columns=columns)


@pytest.mark.parametrize("entry", ["first_close", "first_open"])
@pytest.mark.parametrize(("hours", "first"), [(24, 0), (1, 0), (1, 23), (5, 7), (30, 11), (9, 22)])
def test_fees_by_the_volume_of_the_days_before_are_played(hours, first, entry):
    """On rows of any length, where days begin within a row and where the window has rows before the first of a run."""
    tapes, tiers = Tapes(), set()
    for base in on_paths(f"entry={entry}"):
        for share, days in ((0.3, 14), (0.5, 14), (0.5, 1), (0.7, 400)):
            venues = with_hyperliquid(base, Tiered, days=days)
            market = spaced(base.market, hours, first)
            assembly = evolve(base, strategy=Churning(share=share), venues=venues, market=market)
            run = assembly.simulation().run()
            assert same(tapes.played(assembly), run)
            tiers |= {round(each.fee / each.charged * 1e4) for each in run.single if isinstance(each, OrderFilled)}
    assert {1, 3} < tiers
    assert not any(set(tape.refused) - {"the strategy looks at rows before the run"} for tape in tapes.tapes)


def test_a_turnover_that_is_not_declared_is_not_known():
    """Nor is it where the venue catches what that raises; the reason says what to add."""
    venues = with_hyperliquid(DRAWN_MARKETS[0], Tiered, counts=False)
    words = "a venue looks at the turnover of Equity:Hyperliquid:Trading, which its `turnovers` do not name"
    with pytest.raises(NotPlayable, match=words):
        Tapes().played(evolve(DRAWN_MARKETS[0], strategy=Wanting(), venues=venues))


def test_fee_tiers_of_the_protocol_are_played():
    """From the base tier into lower ones and back."""
    tiers = (FeeTier(4.5), FeeTier(4.0, 4_000.0), FeeTier(2.0, 9_000.0))
    tapes, fees = Tapes(), set()
    for base in DRAWN_MARKETS:
        venues = tuple(
            evolve(each, fee_tiers=tiers, taker_fee_bps=4.5) if each.name == "hyperliquid" else each
            for each in base.venues
        )
        assembly = evolve(base, strategy=Churning(share=0.5), venues=venues)
        run = assembly.simulation().run()
        assert same(tapes.played(assembly), run)
        fees |= {round(each.fee / each.charged * 1e5) for each in run.single if isinstance(each, OrderFilled)}
    assert fees == {45, 40, 20}


def with_hyperliquid(assembly, kind, **further):
    """The venues of an assembly, with another class of Hyperliquid."""

    def of_class(venue):
        rules = venue.rules()
        return kind(**{name: getattr(venue, name) for name in fields_dict(type(venue)) if name in rules}, **further)

    return tuple(of_class(each) if each.name == "hyperliquid" else each for each in assembly.venues)


@frozen(kw_only=True)
class Stamping(Hyperliquid):
    """A venue whose transfers are of kinds with numbers in them."""

    name: str = "hyperliquid"

    def resize(self, order, book):
        super().resize(order, book)
        book.transfer(self.fees, self.margin, 1, f"stamp for {order.size:.2f}")


def test_kinds_of_transfer_with_numbers_are_those_of_the_run():
    """There are no columns for them, so the ledger is written entry by entry."""
    tapes = Tapes()
    for share in (0.3, 0.5):
        venues = with_hyperliquid(DRAWN_MARKETS[0], Stamping)
        assembly = evolve(DRAWN_MARKETS[0], strategy=Wanting(share=share), venues=venues)
        played = tapes.played(assembly)
        assert same(played, assembly.simulation().run())
        assert {"stamp for 10.00", f"stamp for {10 * share:.2f}"} < set(played.run().ledger.kinds)


@frozen
class Above:
    """The close is above a price."""

    by_row = True
    price: float

    def holds(self, stretch):
        return stretch.column("close") > self.price


@frozen(kw_only=True)
class Recognising(Watching):
    """A strategy that recognises the condition that it keeps."""

    def conditions(self):
        return (Above(100.0), self.condition)

    def wants(self, event, _):
        return event.condition is self.condition


def test_a_condition_that_a_strategy_keeps_is_recognised():
    """It is the object that it is in a simulation."""
    assert all(same(*pair) for pair in played_again(Recognising(condition=Above(160.0))))


@frozen(kw_only=True, slots=False)
class Keeping(Strategy):
    """A strategy that keeps what it has worked out of its settings, and has a setting of more than 53 bits."""

    share: float
    least: int = 2**60 + 1
    most: int = 2**60 + 2

    @cached_property
    def level(self):
        return 300 * self.share

    def conditions(self):
        return (Above(self.level),)

    on_start, on_event = Wanting.on_start, Wanting.on_event

    def wants(self, _, view):
        return view.price > self.level and self.most > self.least


def test_what_was_worked_out_of_settings_is_not_kept_for_others():
    """A tape has no number of the run by which it was recorded."""
    assert all(same(*pair) for pair in played_again(Keeping(share=0.4)))


@frozen(kw_only=True)
class Told(Event):
    """An event of the tests' own."""

    what: object


class Pair(NamedTuple):
    """What may hide a recorded number."""

    first: object
    second: object


@frozen
class Telling:
    """A condition with an event of its own, in which there are numbers."""

    by_row = True
    put: str

    def holds(self, stretch):
        return stretch.column("close") > 150

    def met(self, view):
        return Told(at_ns=view.at_ns, what=PUTS[self.put](view.price * 2))


@frozen(kw_only=True)
class Hearing(Wanting):
    """A strategy that is woken by it."""

    put: str = ""

    def conditions(self):
        return (Telling(self.put),)

    def on_event(self, event, view):
        if isinstance(event, Told):
            yield Resize("hyperliquid", 10.0 * self.share if view.leg("hyperliquid").size < -9 else 10.0)


PUTS = MappingProxyType(
    {
        "dict": lambda number: {"a": number, "b": [1, {"c": (number,)}]},
        "condition": lambda number: [Above(number), round(number), number > 300, -0.0 * number],
        "text": lambda number: f"{number:,.3f} and {number:.0f}",
        "pair": lambda number: Pair(number, 1),
        "set": lambda _: {1, 2},
    }
)


@pytest.mark.parametrize("put", ["dict", "condition", "text"])
def test_an_event_of_ones_own_has_the_numbers_of_its_run(put):
    """Wherever in it they are."""
    assert all(same(*pair) for pair in played_again(Hearing(put=put)))


@pytest.mark.parametrize("put", ["pair", "set"])
def test_an_event_that_may_hide_a_number_is_refused(put):
    """Nobody knows how to put other numbers in it."""
    with pytest.raises(NotPlayable, match=r"an event or an order has a (Pair|set)"):
        next(played_again(Hearing(put=put)))


@frozen(kw_only=True)
class Saying(Wanting):
    """A strategy that says why an order was rejected, without reading that."""

    def on_event(self, event, view):
        if isinstance(event, ConditionMet) and view.price > 200:
            why = view.rejection(Open("hyperliquid", Side.SHORT, 1.0, view.price * 1e4))
            if why:
                yield Close("hyperliquid", reason=why)
            yield Open("hyperliquid", Side.SHORT, 1.0, view.price * 1e4)
            if isinstance(view.outcome, Rejected):
                yield Close("hyperliquid", reason=view.outcome.reason)


def test_a_text_that_is_told_on_has_the_numbers_of_its_run():
    """A refusal that becomes the reason of a close."""
    assert all(same(*pair) for pair in played_again(Saying()))


# -- what a class may remember besides its fields

SEEN = []
"""What strategies of the tests may write down, and must not."""
TIMES = 0


def remembering(value):
    """What remembers in a list or a dict of its own."""
    return lambda: value


def first_time():
    """Whether it is called for the first time, by a global."""
    global TIMES  # noqa: PLW0603  (that is what is tested)
    TIMES += 1
    return TIMES == 1


def seen_before():
    """Whether something has been seen, which another function looks at."""
    return bool(SEEN)


@cache
def kept(number):
    """What it has found it keeps."""
    return number


class Notebook:
    """A class that is written in."""

    seen: ClassVar[list] = []
    times = 0


def of_enclosing():
    """What counts in a variable of the function around it."""
    times = 0

    def counted():
        nonlocal times
        times += 1
        return times

    return counted


def strategy_with(**attributes):
    """A frozen strategy whose class has these."""
    return frozen(kw_only=True)(type("With", (Looking,), {"__module__": __name__, **attributes}))()


def doing(work):
    """A frozen strategy that does this in every row."""
    return strategy_with(on_event=lambda self, event, view, work=work: work(self) and ())


REMEMBERING = {
    "a dict of the class": (strategy_with(at={}), r"With\.at is a dict"),
    "a list of the class": (strategy_with(at=[]), r"With\.at is a list"),
    "an array": (strategy_with(at=np.zeros(2)), r"With\.at is a ndarray"),
    "a dict in a tuple": (strategy_with(at=(1, {})), r"With\.at is a dict"),
    "a generator": (strategy_with(at=iter(())), r"With\.at is a tuple_iterator"),
    "an object": (strategy_with(at=define(type("Thawed", (), {}))()), r"With\.at is a Thawed"),
    "a method of a list": (strategy_with(at=[].append), r"With\.at is a list"),
    "a global": (doing(lambda _: SEEN), r"SEEN of tests\.test_tape is a list"),
    "a global in a generator": (doing(lambda _: any(SEEN for _ in (1, 2))), "SEEN of .* is a list"),
    "a global of a function": (doing(lambda _: seen_before()), "SEEN of .* is a list"),
    "a global that is set": (doing(lambda _: first_time()), "first_time of .* sets TIMES"),
    "a class elsewhere": (doing(lambda _: Notebook.seen), r"Notebook\.seen is a list"),
    "a class that is set": (doing(lambda _: setattr(Notebook, "times", 1)), "uses setattr"),
    "itself": (doing(lambda self: object.__setattr__(self, "what", "")), "uses __setattr__"),
    "a cache": (doing(lambda _: kept(1)), "kept of .* is a _lru_cache_wrapper"),
    "a closure": (doing(remembering([])), "value of .* is a list"),
    "a variable around it": (doing(of_enclosing()), "sets times"),
    "a default": (doing(lambda _, seen=[]: seen), "a default of .* is a list"),
    "a module of ones own": (doing(lambda _: runs.WITHOUT_EMBEDDED), "WITHOUT_EMBEDDED of tests.runs is a dict"),
}


HERE = Path(__file__)


class Mood(Enum):
    """What remembers in a method of its own, and in what its members are."""

    GOOD = "good"
    BAD = "bad"

    def seen(self):
        """Whether something has been seen."""
        return bool(SEEN)


class Listed(Enum):
    """Members that are lists."""

    FIRST = ()
    SECOND = [1]  # noqa: RUF012  (that is what is tested)


class Rate(float):
    """A number that shows less than it is."""

    def __repr__(self):
        return f"{float(self):.0%}"


def caught_all(work):
    """What catches whatever is raised."""
    try:
        return work()
    except:  # noqa: E722  (that is what is tested)
        return 0


def caught_some(work):
    """What catches some of a module, and others."""
    try:
        return work()
    except (OSError, builtins.TypeError):
        return 0


def caught_at_last(work):
    """What catches whatever is raised, for it returns in the end."""
    try:
        return work()
    finally:
        return 0  # noqa: B012, SIM107  (that is what is tested)


def caught_other(work):
    """What catches errors that a number raises as well."""
    try:
        return work()
    except ZeroDivisionError:
        return 0
    except (ValueError, OrderRefused) as error:
        raise RunError("x") from error
    finally:
        math.floor(1)


def random_within():
    """What imports where it is used."""
    import random

    return random.random() < 0.5  # noqa: S311  (that is what is tested)


def as_type(value):
    """What asks for the type of what it gets."""
    return type(value)


TELLING = {
    "the time": (doing(lambda _: time.time() > 0), r"uses time, so a step may depend on more than it is given"),
    "the date": (doing(lambda _: datetime.now(UTC)), "uses now, so a step may depend on more"),
    "the date by its module": (doing(lambda _: dates.date.today()), "uses today, so a step may depend on more"),  # noqa: DTZ011
    "chance": (doing(lambda _: random_within()), "random_within of tests.test_tape uses random, so a step may"),
    "chance of NumPy": (doing(lambda _: np.random.default_rng()), "uses random, so a step may depend on more"),
    "the environment": (doing(lambda _: os.environ["SIZE"]), "uses os, so a step may depend on more"),
    "a variable of it": (doing(lambda _: getenv("SIZE")), "uses getenv, so a step may depend on more"),
    "a file": (doing(lambda _: open("x")), "uses open, so a step may depend on more"),  # noqa: SIM115, PTH123
    "the content of a file": (doing(lambda _: Path("x").read_text()), "uses Path, so a step may depend on more"),
    "a path of its module": (doing(lambda _: HERE), "uses HERE, so a step may depend on more"),
    "type": (doing(lambda _: as_type(1)), r"as_type .* uses type\(\.\.\.\), which tells a recorded number"),
    "all errors": (doing(lambda _: caught_all(len)), "catches whatever is raised, which a recorded number may raise"),
    "errors at last": (doing(lambda _: caught_at_last(len)), "catches whatever is raised, which"),
    "a type error": (doing(lambda _: caught_some(len)), "catches TypeError, which a recorded number may raise"),
    "suppressed": (doing(lambda _: suppress(TypeError)), "uses suppress, which a recorded number may raise"),
    "a method of an enum": (strategy_with(at=Mood.GOOD), r"SEEN of tests\.test_tape is a list"),
    "an enum of lists": (strategy_with(at=Listed.FIRST), r"Listed\.SECOND is a list"),
    "a text that remembers": (strategy_with(at=type("Noted", (str,), {"seen": []})("a")), r"Noted\.seen is a list"),
}


@pytest.mark.parametrize("what", TELLING)
def test_what_may_know_more_than_a_step_is_given_is_refused(what):
    """And what may tell recorded numbers from others in ways that are not found out where nothing comes of it."""
    strategy, why = TELLING[what]
    with pytest.raises(NotPlayable, match=why):
        Tapes().of(of(strategy))


@pytest.mark.parametrize("setting", [Mood.GOOD, Listed.FIRST, Rate(0.123)])
def test_settings_that_may_know_more_are_refused(setting):
    """Methods of an enum are code of the strategy, and a number of another class may show less than it is."""
    with pytest.raises(NotPlayable, match=r"is a list|there is a Rate among the settings"):
        Tapes().of(of(Looking(what=setting)))


@pytest.mark.parametrize("what", REMEMBERING)
def test_what_may_remember_besides_its_fields_is_refused(what):
    """A frozen class, of which something may still be carried over from step to step, and would not be played."""
    strategy, why = REMEMBERING[what]
    with pytest.raises(NotPlayable, match=f"{why}, so it may carry something over from step to step; expected a tuple"):
        Tapes().of(of(strategy))


def noting(*, slots, **settings):
    """A strategy that counts in a list which a cached property has made, and is woken by the tenth row."""

    @frozen(kw_only=True, slots=slots)
    class Noter(Wanting):
        inner: object = None

        @cached_property
        def seen(self):
            return []

        def wants(self, _, view):
            (self.inner or self).seen.append(1)
            return view.price > 0 and len(self.seen) == 10

    return Noter(**settings)


@frozen(kw_only=True, slots=False)
class SetUp(Looking):
    """A strategy with a list that is no field of it."""

    def __attrs_post_init__(self):
        object.__setattr__(self, "seen", [])


@pytest.mark.parametrize("slots", [True, False])
def test_what_an_object_has_come_to_keep_besides_its_fields_is_refused(slots):
    """A cached property may make a list once, in which a strategy notes from step to step what it likes."""
    inner = noting(slots=slots)
    for strategy in (inner, noting(slots=slots, inner=inner)):
        tapes = Tapes()
        with pytest.raises(NotPlayable, match=r"Noter\.seen is a list, so it may carry something over"):
            tapes.played(of(strategy))
    with pytest.raises(NotPlayable, match=r"SetUp\.seen is a list, so it may carry something over"):
        Tapes().of(of(SetUp()))


def test_cached_properties_are_code_of_the_strategy():
    """Also where its class has slots, and attrs keeps their functions elsewhere."""

    @frozen(kw_only=True)
    class Unsure(Wanting):
        @cached_property
        def level(self):
            return float(os.environ["LEVEL"])

    with pytest.raises(NotPlayable, match="uses os, so a step may depend on more"):
        Tapes().of(of(Unsure()))


@frozen(kw_only=True)
class Listing(Hyperliquid):
    """A venue that could write down what was done."""

    name: str = "hyperliquid"
    done: ClassVar[list] = []


@frozen(kw_only=True)
class Changing(Hyperliquid):
    """A venue with a field that may change."""

    name: str = "hyperliquid"
    done: object = None


@frozen
class Noting(Above):
    """A condition that could."""

    done: ClassVar[list] = []


def test_venues_and_conditions_may_not_remember_either():
    """Nor those that a strategy keeps among its fields, nor what a venue has among its own."""
    for done in ([], {}, (1, {}), MappingProxyType({1: []})):
        with pytest.raises(NotPlayable, match=r"Changing has a (list|dict), so it may carry something over"):
            Tapes().of(of(Wanting(), venues=with_hyperliquid(DRAWN_MARKETS[0], Changing, done=done)))
    assert Tapes().of(
        of(Wanting(), venues=with_hyperliquid(DRAWN_MARKETS[0], Changing, done=MappingProxyType({1: (2,)})))
    )
    with pytest.raises(NotPlayable, match=r"Listing\.done is a list"):
        Tapes().of(of(Wanting(), venues=with_hyperliquid(DRAWN_MARKETS[0], Listing)))
    for strategy in (Watching(condition=Noting(1.0)), Recognising(condition=Noting(1.0))):
        with pytest.raises(NotPlayable, match=r"Noting\.done is a list"):
            Tapes().of(of(strategy))


TIERS = MappingProxyType({"low": 0.5, "high": (1.0, Above(1.0), Side.SHORT, re.compile("a"), logging.getLogger("a"))})


def test_what_cannot_change_may_be_used_by_a_strategy():
    """Constants, read-only mappings, functions, classes and modules."""
    strategy = doing(lambda self: (TIERS, math.pi, Notebookless, caught_other, np.nan, type(self), partial(caught, 1)))
    assert Tapes().of(of(strategy))
    assert Tapes().of(of(Keeping(share=0.4)))


class Notebookless(NamedTuple):
    """A class in which nothing is written."""

    first: int = 1


READS = MappingProxyType(
    {
        "str": (str, "written into another by the strategy"),
        "a form": (lambda words: f"{words:>9}", "written into another by the strategy"),
        "repr": (repr, "a text with numbers is read"),
        "percent": (lambda words: "%s" % words, "written into another by the strategy"),  # noqa: UP031  (tested)
        "the first of a sum": (lambda words: words + "x", "a text with numbers is read"),
        "the last of a sum": (lambda words: "x" + words, "a text with numbers is read"),
        "times": (lambda words: words * 2, "a text with numbers is read"),
        "length": (len, "a text with numbers is read"),
        "join": ("".join, "a text with numbers is read"),
        "within": (lambda words: words in "abc", "requires string"),
        "searched": (re.compile("7").search, "expected string"),
        "method": (lambda words: words.upper(), "asked for its upper"),
        "method of the class": (str.upper, "TypeError"),
        "key": (lambda words: {words: 1}, "a text with numbers is read"),
        "compared": (lambda words: words == "7", "a text with numbers is read"),
        "sorted": (lambda words: words < "7", "a text with numbers is read"),
    }
)
"""How a strategy may read a text with numbers, and why that is not played."""


@frozen(kw_only=True)
class Reading(Wanting):
    """A strategy that reads why an order was rejected."""

    how: str = ""

    def wants(self, _, view):
        words = view.rejection(Open("hyperliquid", Side.SHORT, 1.0, view.price * 1e4))
        return isinstance(words, str) and words != "" and bool(READS[self.how][0](words))


@pytest.mark.parametrize("how", READS)
def test_a_text_with_numbers_that_is_read_is_refused(how):
    """However it is read: it would be read with the numbers of the run by which it was recorded."""
    with pytest.raises(NotPlayable, match=READS[how][1]):
        next(played_again(Reading(how=how)))


HEARS = MappingProxyType(
    {
        "event": (lambda event, _: event.what == "302", "a text with numbers is read"),
        "within one": (lambda event, _: event.what["a"][0] in ("302", "450"), "a text with numbers is read"),
        "beside others": (lambda event, _: event.what[1] == "none" and event.what[0] == "302", "numbers is read"),
        "quote": (lambda _, view: "7" in refusal_of(view), "written into another by the strategy"),
        "argument of one": (lambda _, view: refusal_of(view, whole=False) == "7", "a text with numbers is read"),
    }
)
"""How a strategy may read a text with numbers of an event, or of an error."""
TEXTS = MappingProxyType(
    {
        "event": lambda number: f"{number:.0f}",
        "within one": lambda number: {"a": [f"{number:.0f}"]},
        "beside others": lambda number: (f"{number:.0f}", "none"),
    }
)


def refusal_of(view, *, whole=True):
    """Why there is no quote."""
    try:
        view.quote(Resize("hyperliquid", view.price * 10))
    except OrderRefused as error:
        return str(error) if whole else error.args[0]
    return ""


@frozen(kw_only=True)
class Picky(Hyperliquid):
    """A venue that rejects large orders."""

    name: str = "hyperliquid"

    def resize(self, order, book):
        if order.size > 1_000:
            book.reject(f"a position of {order.size:.2f} is too large")
        super().resize(order, book)


@frozen
class Wording(Telling):
    """A condition with an event in which there are texts with numbers."""

    def met(self, view):
        return Told(at_ns=view.at_ns, what=TEXTS.get(self.put, abs)(view.price * 2))


@frozen(kw_only=True)
class Overhearing(Hearing):
    """A strategy that reads them."""

    def conditions(self):
        return (Wording(self.put),)

    def on_event(self, event, view):
        if isinstance(event, Told) and not HEARS[self.put][0](event, view):
            yield Resize("hyperliquid", 10.0 * self.share if view.leg("hyperliquid").size < -9 else 10.0)


@pytest.mark.parametrize("put", HEARS)
def test_a_text_of_an_event_or_an_error_that_is_read_is_refused(put):
    """In most rows nothing comes of it, and what does would be what came of it where the step was recorded."""
    base = DRAWN_MARKETS[0]
    with pytest.raises(NotPlayable, match=HEARS[put][1]):
        Tapes().played(evolve(base, strategy=Overhearing(put=put), venues=with_hyperliquid(base, Picky)))


@frozen
class Lucky(Above):
    """A condition that reads the digits of a price."""

    def holds(self, stretch):
        close = stretch.column("close")
        if isinstance(close, np.ndarray):
            return np.array([f"{each:.0f}" in ("151", "200") for each in close])
        return f"{close:.0f}" in ("151", "200")


@frozen(kw_only=True)
class Superstitious(Hyperliquid):
    """A venue that reads the digits of a price."""

    name: str = "hyperliquid"

    def resize(self, order, book):
        if f"{book.price():.0f}" in ("151", "200"):
            book.reject("such a price brings bad luck")
        super().resize(order, book)


def test_numbers_that_a_venue_or_a_condition_writes_are_for_the_books():
    """Where they are in no event their digits may have been read, and those of the run that was recorded."""
    venues = with_hyperliquid(DRAWN_MARKETS[0], Superstitious)
    for assembly in (evolve(DRAWN_MARKETS[0], strategy=Wanting(), venues=venues), of(Watching(condition=Lucky(1.0)))):
        with pytest.raises(NotPlayable, match="a number is written as text that is in no event"):
            Tapes().played(assembly)


def test_the_kernel_may_write_a_text_with_numbers_into_another():
    """And nothing else: the strategy is not at work then."""
    way = Way(Registers(1), Branch())
    words = RecordedText.of(f"at most {Recorded(way, 0, 53.25):.2f}", way)
    assert words
    assert words != ""
    assert f"it says: {words}" == f"it says: {words.template}" == f"it says: {words!s}"
    way.in_hook = True
    with pytest.raises(NotRecordable, match="by the strategy"):
        str(words)


# -- tapes of their own


def test_two_classes_of_one_name_have_no_tape_in_common():
    """Such as those of two cells of a notebook."""

    def made(size):
        @frozen(kw_only=True)
        class Same(Wanting):
            def on_start(self, view):
                yield Open("hyperliquid", Side.SHORT, size, view.cash_usd / 2)

        return Same()

    tapes = Tapes()
    for size in (10.0, 5.0):
        assembly = of(made(size))
        assert same(tapes.played(assembly), assembly.simulation().run())
    assert len(tapes.tapes) == 2


def test_settings_that_cannot_be_seen_through_are_refused():
    """An array shows eight of its digits, and a venue that is not frozen may remember something."""

    @frozen(kw_only=True)
    class Tiered(Hyperliquid):
        tiers: object = None

    class Thawed(Hyperliquid):
        __setattr__ = object.__setattr__

    base = assemble(Scenario.load(SCENARIO))
    tiered = with_hyperliquid(base, Tiered, tiers=np.array([0.123456789012]))
    with pytest.raises(NotPlayable, match="there is a ndarray among the settings"):
        Tapes().of(evolve(base, venues=tiered))
    thawed = with_hyperliquid(base, Thawed)
    assert refusal(evolve(base, venues=thawed)).startswith("hyperliquid is not frozen")


def test_a_search_that_takes_another_way_each_time_does_not_grow_without_end(monkeypatch):
    """Once the tape is long enough nothing is recorded any more, and runs that would need it are simulated."""
    monkeypatch.setattr("framework.tape.tape.MOST_LINES", 500)
    tapes, digests = Tapes(), []
    for leverage in (2, 3, 4, 4.5, 5):
        assembly = assemble(Scenario.load(SCENARIO, [f"strategy.leverage={leverage}", "strategy.trigger=6"]))
        digests.append(tapes.run(assembly).ledger.digest == assembly.simulation().run().ledger.digest)
    (tape,) = tapes.tapes
    assert all(digests)
    assert len(tape.code.lines) < 1_000


@pytest.mark.parametrize("is_search", [True, False])
def test_runs_that_take_ways_of_their_own_are_simulated(is_search, monkeypatch):
    """Which is faster than to record what no other run does; what records a way now and then is played on."""
    monkeypatch.setattr("framework.tape.tape.LAST_RUNS", 4)
    tapes = Tapes()
    for number in range(1, 14):
        keys = "market.path.method=stationary", f"market.path.number={number}", "market.path.block_rows=20"
        strategy = Averaging(rows=20, least=150.0, how="highest") if is_search else Averaging(rows=20)
        assembly = evolve(assemble(Scenario.load(SCENARIO, keys)), strategy=strategy)
        assert said_of(tapes.run(assembly)) == assembly.simulation().run().ledger.digest
    (tape,) = tapes.tapes
    assert tape.given_up == ("most of its runs take ways of their own" if is_search else "")
    assert tape.played == (8 if is_search else 12)


def test_tapes_that_are_not_asked_for_are_forgotten(monkeypatch):
    """A sweep over a rule of a venue needs one for each value, and few of its runs need the same."""
    monkeypatch.setattr("framework.tape.tapes.MOST_TAPES", 2)
    tapes = Tapes()
    found = {}
    for fee in (1, 2, 1, 3, 1, 2):
        assembly = assemble(Scenario.load(SCENARIO, [f"venues.hyperliquid.taker_fee_bps={fee}"]))
        found.setdefault(fee, []).append(tapes.of(assembly))
    first, second, _ = found.values()
    assert first[0] is first[1] is first[2]
    assert second[0] is not second[1]
    assert len(tapes.tapes) == 2


def test_a_tape_that_is_given_up_forgets_what_was_recorded():
    """Its runs are simulated from then on, whatever asks for them."""
    assembly = of(Looking(what="key"))
    tape = Tapes().of(assembly)
    for _ in range(2):
        with pytest.raises(NotPlayable, match="used as a key"):
            tape.play(Settings.of(assembly), assembly.market)
    assert not tape.trees
    assert not len(tape.code.lines)
    assert not len(tape.notes.values)


@frozen(kw_only=True)
class Rarely(Wanting):
    """A strategy that does in few rows what cannot be recorded."""

    above: float

    def wants(self, _, view):
        return view.price > self.above and len({view.price: 1}) == 1


def test_steps_of_the_kernel_are_not_remembered():
    """A tape keeps nothing of a run that was played but what it has recorded."""
    market = DRAWN_MARKETS[0].market
    assembly = evolve(DRAWN_MARKETS[0], strategy=Rarely(above=float(np.sort(market["close"])[-5])))
    tape = Tapes().of(assembly)
    played = tape.play(Settings.of(assembly), market)
    assert same(played, assembly.simulation().run())
    are_plain = [leaf.is_plain for playback in played.playbacks for leaf in playback.leaves]
    assert are_plain.count(True) == 4
    assert len(tape.happened) <= are_plain.count(False)


def test_what_accrues_below_a_floor_ends_in_the_error_of_the_kernel(monkeypatch):
    """The player sees it, and lets the kernel say it."""
    assembly = assemble(Scenario.load(SCENARIO, ["strategy.trigger=never"]))
    tape = Tapes().of(assembly)
    place = tape.first + next(at for at, each in enumerate(tape.accounts) if each.name == "Expenses:Asgard:Interest")
    monkeypatch.setattr(tape, "floors", np.array([[place, -1]]))
    with pytest.raises(NotPlayable, match="breaks a rule of the books"):
        tape.play(Settings.of(assembly), assembly.market)


def said_of(run):
    """The digest of a run, however it came about."""
    return (run.run() if isinstance(run, Played) else run).ledger.digest


@frozen(kw_only=True)
class Depending(Looking):
    """A strategy that depends on what cannot be seen: the state of a library."""

    def on_start(self, view):
        yield Open("hyperliquid", Side.SHORT, 1.0 * logging.getLogger("tests.depending").level, view.cash_usd)


@pytest.fixture
def set_size():
    """Set the size on which it depends; in the end it is none."""
    yield logging.getLogger("tests.depending").setLevel
    logging.getLogger("tests.depending").setLevel(0)


def test_a_strategy_that_depends_on_what_cannot_be_seen_is_found_out(set_size):
    """Its second run is simulated as well as played; they differ, and none is played after that."""
    assembly = of(Depending())
    (tape := Tapes().of(assembly)).requested = 1

    def simulated():
        set_size(2)
        return assembly.simulation().run()

    set_size(1)
    found = tape.run(Settings.of(assembly), assembly.market, simulated)
    assert found.ledger.digest == assembly.simulation().run().ledger.digest
    assert tape.given_up == "a run that was played differs from its simulation"


def test_a_run_that_is_played_wrongly_later_ends_everything(set_size):
    """Some runs are simulated as well although their tape is trusted; those before one that differs may be wrong."""
    tapes = Tapes()
    set_size(1)
    digests = {said_of(tapes.run(of(Depending()))) for _ in range(CHECKED_AGAIN - 1)}
    assert len(digests) == 1
    set_size(2)
    with pytest.raises(PlayingError, match="Depending: a run that was played differs from its simulation"):
        tapes.run(of(Depending()))
    assert said_of(tapes.run(of(Depending()))) not in digests


def test_runs_of_a_trusted_tape_are_simulated_again_and_again():
    """Those whose number is a power of two; they are as they are played."""
    assembly = assemble(Scenario.load(SCENARIO))
    tape, settings, simulated = Tapes().of(assembly), Settings.of(assembly), []

    def simulation():
        simulated.append(tape.requested)
        return assembly.simulation().run()

    for _ in range(4 * CHECKED_AGAIN):
        tape.run(settings, assembly.market, simulation)
    assert simulated == [1, 2, CHECKED_AGAIN, 2 * CHECKED_AGAIN, 4 * CHECKED_AGAIN]


@pytest.mark.parametrize("books", [True, False])
def test_runs_of_one_kind_are_played_once_two_of_them_were_simulated(books):
    """One of a kind is not worth recording, and the second shows that playing is right; the books come when asked."""
    tapes = Tapes()
    found = [tapes.run(assemble(Scenario.load(SCENARIO)), books=books) for _ in range(3)]
    (tape,) = tapes.tapes
    assert tape.is_trusted
    assert [isinstance(each, Played) for each in found] == [False, False, True]
    assert len({each.ledger.digest for each in (*found[:2], found[2].run())}) == 1


# -- sweeps


GRIDS = ("strategy.leverage=2,2.5,3,3.5,4,4.5,5", "strategy.trigger=5,5.5,6,6.5,7,8,never")


@pytest.mark.parametrize("paths", [0, 2])
def test_a_sweep_has_the_same_results_however_it_is_run(paths, tmp_path, monkeypatch):
    """Played and simulated, in one process and in two: byte for byte."""
    monkeypatch.setattr(execution, "WORTH_CELLS", 1)
    settings = ("market.path.method=stationary", "market.path.block_rows=20") if paths else ()

    def swept(name, jobs):
        done = sweep(Sweep.of(SCENARIO, GRIDS, settings, paths=paths), tmp_path / name, jobs=jobs)
        assert not [row["error"] for row in done.rows if row["error"] and "trigger" not in row["error"]]
        assert done.why == ""
        assert (done.played > 0) == (execution.WORTH_CELLS == 1)
        return [(done.folder / f"results.{kind}").read_bytes() for kind in ("csv", "parquet")]

    played = swept("played", 1)
    assert swept("two", 2) == played
    monkeypatch.setattr(execution, "WORTH_CELLS", 10**9)
    assert swept("simulated", 1) == played


def test_a_choice_runs_its_cells_on_the_data_likewise(monkeypatch):
    """What a cell was worth is the same to the last bit, played and simulated."""
    monkeypatch.setattr(execution, "WORTH_CELLS", 1)

    def worth():
        plan = Sweep.of(SCENARIO, GRIDS, ("market.path.method=stationary",), paths=1).on_data()
        cells = [cell for cell in plan.combinations if cell["strategy.trigger"] != 5]
        return [plan.worth(cell).tolist() for cell in cells]

    played = worth()
    monkeypatch.setattr(execution, "WORTH_CELLS", 10**9)
    assert played == worth()


def test_a_plan_that_has_played_goes_to_a_worker(monkeypatch):
    """It takes no tape along: those are recorded where they are played."""
    monkeypatch.setattr(execution, "WORTH_CELLS", 1)
    plan = Sweep.of(SCENARIO, GRIDS)
    cell, *others = [cell for cell in plan.cells() if cell["strategy.trigger"] != 5]
    for other in others:
        plan.worth(other)
    there = pickle.loads(pickle.dumps(plan))  # noqa: S301  (it is our own)
    chunk = plan.finished([(0, cell)])
    assert chunk.played > 0
    assert there.finished([(0, cell)]).lines == chunk.lines


def test_a_market_on_which_was_played_goes_to_a_worker():
    """Without what was derived from it, such as books with the methods of venues, which no worker could be sent."""
    assembly = assemble(Scenario.load(SCENARIO))
    assert Tapes().played(assembly).run().ledger.digest
    there = pickle.loads(pickle.dumps(assembly.market))  # noqa: S301  (it is our own)
    assert evolve(assembly, market=there).simulation().run().ledger.digest == said_of(Tapes().played(assembly))


def test_threads_of_a_worker_play_one_after_the_other():
    """As those of a Dask worker do, which share a plan: a tape that grows while it is played ends the process."""
    plan, other = (Sweep.of(SCENARIO, GRIDS, ("market.path.method=stationary",), paths=1) for _ in range(2))
    cells = plan.cells()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda cell: other.rows([cell]), cells))
    finally:
        sys.setswitchinterval(before)
    assert found == [plan.rows([cell]) for cell in cells]


@pytest.mark.parametrize("places", [1, 300, 4096])
def test_cells_on_a_path_come_out_as_each_by_itself(monkeypatch, places):
    """Played in one go where that can be, whatever room there is for notes: those of several tapes and paths, too.

    A cell that cannot be assembled, and one that cannot be run, keep their errors; so does one whose path is bad.
    """
    monkeypatch.setattr(execution, "WORTH_CELLS", 1)
    monkeypatch.setattr("framework.tape.tape.ROOM", places)
    grids = "strategy.leverage=2,3,5,40", "strategy.trigger=5,never", "market.path.block_rows=3,20,1000"
    plans = [Sweep.of(SCENARIO, grids, ("market.path.method=stationary",), paths=4) for _ in range(2)]
    cells = plans[0].cells()
    chunk = plans[0].finished(list(enumerate(cells)))
    together, alone = [row for _, row in chunk.rows], [row for cell in cells for row in plans[1].rows([cell])]
    assert together == alone
    assert [row for row in together if not row["error"]] == [
        {**cell, **outcome(plans[0].assembly(cell).simulation().run()), "error": ""}
        for cell in cells
        if cell["strategy.leverage"] != 40 and cell["market.path.block_rows"] != 1000
    ]
    assert len({row["error"] for row in together}) == 3
    assert sum(bool(row["liquidations"]) for row in together if not row["error"]) > 4
    assert chunk.played > 20


def test_a_sweep_ends_where_a_run_is_played_wrongly(tmp_path, monkeypatch, set_size):
    """In one line, which names the folder whose rows may be wrong; it is no error of one cell."""
    monkeypatch.setattr(execution, "WORTH_CELLS", 1)
    set_size(1)
    table = Scenario.load(SCENARIO).table() | {"venues": {"hyperliquid": {}}}
    table["strategy"] = {"class": "tests.test_tape:Depending"}
    plan = Sweep(table=table, grid=(("capital_usd", tuple(range(1_000, 1_000 + 2 * CHECKED_AGAIN))),))
    with pytest.raises(RunError, match=f"^{tmp_path}/[0-9a-f]+: to be deleted, for .* wrong: Depending: [^\n]+$"):
        sweep(plan, tmp_path, jobs=1, on_progress=lambda done, _: set_size(2 if done else 1))


def test_a_folder_whose_rows_may_be_wrong_is_refused_until_it_is_deleted(tmp_path, monkeypatch, set_size):
    """Another process would take them for right; one that is under way meanwhile writes no results either."""
    monkeypatch.setattr(execution, "WORTH_CELLS", 1)
    table = Scenario.load(SCENARIO).table() | {"venues": {"hyperliquid": {}}}
    table["strategy"] = {"class": "tests.test_tape:Depending"}
    grid = (("capital_usd", tuple(range(1_000, 1_000 + 2 * CHECKED_AGAIN))),)
    words = []

    def ended(on_progress):
        with pytest.raises(RunError) as refusal:
            sweep(Sweep(table=table, grid=grid), tmp_path, jobs=1, on_progress=on_progress)
        words.append(str(refusal.value))

    def another(done, _):
        set_size(1)
        if done == 2 * CHECKED_AGAIN:
            (folder / "wrong.txt").write_text(why)

    set_size(1)
    ended(lambda done, _: set_size(2 if done else 1))
    (folder,) = tmp_path.iterdir()
    why = (folder / "wrong.txt").read_text()
    assert why.startswith("Depending: a run that was played differs from its simulation")
    ended(lambda done, _: set_size(1))
    shutil.rmtree(folder)
    ended(another)
    assert len(set(words)) == 1
    assert words[0] == f"{folder}: to be deleted, for its results may be wrong: {why.strip()}"
    assert {path.name for path in folder.iterdir()} == {"cells.jsonl", "wrong.txt"}
    shutil.rmtree(folder)
    assert sweep(Sweep(table=table, grid=grid), tmp_path, jobs=1).ran == 2 * CHECKED_AGAIN


# -- recorded numbers


def recorded(function, *values):
    """What a function makes of recorded numbers: what plays it on others, None where the kernel would do it."""
    run = recorded_by_row(function)
    run([values])

    def one(*others):
        (found,) = run([others])
        return None if np.isnan(found) else float(found)

    return one


def program_of(code, *streams):
    """What is played of some code, with what accrues."""
    return Program(
        code.lines, code.spans, code.changes, code.outputs, code.sends, code.arrivals, code.quiet, code.quiet_lines,
        code.steady, code.instants_ns, *streams,
    )  # fmt: skip


def after_rows(root, rows):
    """A step that is done after each of so many rows, as the player takes it."""
    return np.array([[root, 0, rows, 1]])


def recorded_by_row(function):
    """What plays a function on rows of numbers, recording what is missing; NaN where the kernel would do it."""
    registers, root = Registers(0), Branch()
    code, none = Code(registers), np.zeros((0, 10), dtype=np.int64)

    def run(rows):
        columns, at_ns = np.array(rows, dtype=float).T.copy(), np.arange(len(rows))
        curve, row = np.full(len(rows), np.nan), 0
        while row < len(rows):
            held = np.zeros(len(registers.made))
            for register, value in registers.constants.items():
                held[register] = value
            program = program_of(code, none, none[:, 0], none[:, :3], none, none)
            notes = Notes(np.zeros(9, dtype=np.int64), np.zeros(9, dtype=np.int64), np.zeros(9))
            step = after_rows(code.roots.get("f", NOWHERE), len(rows))
            why, _, row, _, _ = play(
                program, step, 0, row, False, held, columns, at_ns, curve, none, notes, Pending.nothing()
            )
            if why == UNKNOWN:
                record(rows[row])
            elif why == KERNEL:
                row += 1
        return curve

    def record(numbers):
        way = Way(registers, root)
        try:
            for place in range(len(numbers)):
                registers.column(place)
            made = function(*(way.loaded(place, 0, each) for place, each in enumerate(numbers)))
            register = made.register if isinstance(made, Recorded) else way.constant(made)
            way.end(Leaf(curve=register))
        except (NotRecordable, TypeError) as why:
            way.note(str(why))
        code.add("f", way)

    return run


FUNCTIONS = {
    "sum of three": lambda a, b, c: a + b + c,
    "with constants": lambda a, b, c: (2 * a - 0.1) * (b + 3) / 7 - c,
    "ratio": lambda a, b, c: ratio(a, b) + c,
    "greater": lambda a, b, c: greater(a, lesser(b, c)),
    "choose": lambda a, b, c: choose(a > b, b, c),
    "turned": lambda a, b, c: 1 - (3 / (1 + abs(a))) * (5 - b) + c,
    "rounded": lambda a, b, c: round(a * 1_000_000) - round(b) + round(c * 0.5),
    "root": lambda a, b, c: square_root(abs(a)) + square_root(b) - c,
    "booleans": lambda a, b, c: ((a > 0) * 2 - 1) * (b - c),
    "min and max": lambda a, b, c: max(0.0, min(a, b, c)),
    "sorted": lambda a, b, c: sorted((a, b, c), key=lambda each: -each)[1],
    "negative": lambda a, b, c: -a + -round(b) * 2 - c,
    "whole": lambda a, b, c: round(a) * round(b) + round(c),
    "divided": lambda a, b, c: round(a * 1_000_000) // 7 - -round(b) // 10_000 + round(c) // 2,
    "signs": lambda a, b, c: 1.0 if a < b <= c else -1.0 if a == b else 0.5,
    "truth": lambda a, b, c: (a or b) + (c and 1.0),
}
NOT_ALWAYS = ("with constants", "turned", "whole")
"""Functions that divide by what may be zero, or whose integers may be too large on the way."""
NUMBERS = st.one_of(
    st.floats(-1e9, 1e9), st.floats(-1e-3, 1e-3), st.sampled_from([0.0, -0.0, 0.5, 1.5, 2.5, -0.5, 1.0, 1e9])
)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(values=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=2, max_size=6))
def test_what_is_recorded_of_some_numbers_is_right_for_all(name, values):
    """Ways through a function come up with numbers that go them; what is played is what Python computes, to the bit."""
    function = FUNCTIONS[name]
    run = recorded(function, *values[0])
    for others in values:
        found, expected = run(*others), float(function(*others))
        assert found is None or found == expected, others
        assert found is not None or abs(expected) > MOST / 2 or name in NOT_ALWAYS


@pytest.mark.parametrize("name", FUNCTIONS)
@given(
    rows=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=4),
    lengths=st.lists(st.integers(1, 90), min_size=4, max_size=4),
)
def test_rows_that_go_one_way_are_done_at_once(name, rows, lengths):
    """Blocks of them, each row as Python computes it, to the bit; a row that goes another way ends its block."""
    function, run = FUNCTIONS[name], recorded_by_row(FUNCTIONS[name])
    numbers = [
        (a + step / 3, b * (1 + step), c)
        for (a, b, c), length in zip(rows, lengths, strict=False)
        for step in range(length)
    ]
    for _ in range(2):  # the second time all ways are known, so that blocks run into them
        for found, each in zip(run(numbers).tolist(), numbers, strict=True):
            expected = float(function(*each))
            if math.isnan(found):
                assert abs(expected) > MOST / 2 or name in NOT_ALWAYS, each
            else:
                assert found == expected, each


@pytest.mark.parametrize("ask", [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne])
def test_two_numbers_that_meet_within_a_block_are_asked_again(ask):
    """The row in which they are equal has the answer of that row, from whichever side they come."""
    run = recorded_by_row(lambda a, b: 1.0 if ask(a, b) else 2.0)
    rows = [(float(abs(row - 40)), 20.0) for row in range(81)]
    for _ in range(2):
        assert run(rows).tolist() == [1.0 if ask(*each) else 2.0 for each in rows]


def test_a_step_that_changes_a_balance_is_done_row_by_row():
    """Though nothing is noted of it: the next row begins with what this one has left."""
    registers, root = Registers(1), Branch()
    code, none, way = Code(registers), np.zeros((0, 10), dtype=np.int64), Way(registers, root)
    more = way.given(0, 0.0) + 1.0
    way.end(Leaf(changes={0: more.register}, curve=more.register))
    code.add("row", way)
    program = program_of(code, none, none[:, 0], none[:, :3], none, none)
    curve, notes = np.zeros(50), Notes(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
    held, at_ns = code.initial.copy(), np.arange(50)
    step = after_rows(code.roots["row"], 50)
    play(program, step, 0, 0, False, held, np.zeros((0, 51)), at_ns, curve, none, notes, Pending.nothing())
    assert curve.tolist() == list(range(1, 51))


class ClassesOf(pickle.Unpickler):  # noqa: S301  (an index that this process has written)
    """Notes the packages of the classes that a pickle names."""

    def __init__(self, file):
        super().__init__(file)
        self.packages = set()

    def find_class(self, module, name):
        self.packages.add(module.partition(".")[0])
        return super().find_class(module, name)


def test_the_compilers_cache_names_no_class_of_the_project():
    """Numba reads a stale index as well; with a class that has been renamed since, that would end in an error."""
    if numba.config.DISABLE_JIT:
        pytest.skip("nothing is compiled")
    none = np.zeros((0, 10), dtype=np.int64)
    code, notes = Code(Registers(1)), Notes(none[:, 0], none[:, 0], np.zeros(0))
    program, step = program_of(code, none, none[:, 0], none[:, :3], none, none), after_rows(NOWHERE, 0)
    play(
        program,
        step,
        0,
        0,
        False,
        np.zeros(1),
        np.zeros((0, 1)),
        none[:, 0],
        np.zeros(0),
        none,
        notes,
        Pending.nothing(),
    )
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    name = f"player.play_plain-{play_plain.__code__.co_firstlineno}.{python}*.nbi"
    (index,) = Path(play_plain.stats.cache_path).glob(name)
    with index.open("rb") as file:
        assert pickle.load(file) == numba.__version__  # noqa: S301  (the same)
        content = ClassesOf(file)
        content.load()
    assert "numba" in content.packages
    assert "framework" not in content.packages


def test_a_divisor_of_zero_is_the_kernels():
    """Also in the middle of a block: it raises what Python raises, so it is not played."""
    run, rows = recorded_by_row(lambda a, b: a / b), [(1.0, float(20 - row)) for row in range(41)]
    for _ in range(2):
        found = run(rows)
        assert np.flatnonzero(np.isnan(found)).tolist() == [20]
        assert found[[0, 19, 21, 40]].tolist() == [1 / 20, 1.0, -1.0, -1 / 20]


ROOM_LEFT = MOST - 10**6
"""A balance that has hardly any room left in the books."""


@pytest.mark.parametrize(
    ("function", "most"),
    [
        (round, MOST),
        (lambda a: round(a) + round(a), MOST // 2),
        (lambda a: round(a) - round(a * -3), MOST // 4),
        (lambda a: round(a) * 8, MOST // 8),
    ],
    ids=["rounded", "added", "subtracted", "multiplied"],
)
def test_an_integer_that_is_too_large_is_the_kernels(function, most):
    """Also in the middle of a block; the largest one that a float holds, and its negative, are played."""
    run, rows = recorded_by_row(function), [(float(most),), (-float(most),)] * 20
    rows[20], rows[31] = (most + 2.0,), (-most - 2.0,)
    for _ in range(2):
        found = run(rows)
        assert np.flatnonzero(np.isnan(found)).tolist() == [20, 31]
        assert set(found[~np.isnan(found)]) == {MOST, -MOST}


@given(
    steps=st.lists(st.floats(-1e-3, 1e-3), min_size=1, max_size=300),
    factors=st.lists(st.sampled_from([0.0, 1e6, -1e6, 1e8, 2.5e9, 1e12, 3e18]), min_size=2, max_size=2),
    compounding=st.booleans(),
    held=st.one_of(st.integers(0, 10**10), st.just(ROOM_LEFT)),
    owed=st.sampled_from([0, ROOM_LEFT]),
    floor=st.sampled_from([-1, 0, 1]),
)
@example(steps=[1e-3] * 50, factors=[3e18, 0.0], compounding=False, held=0, owed=0, floor=1)
@example(steps=[1e-3] * 14, factors=[1e18, 0.0], compounding=False, held=-ROOM_LEFT, owed=-ROOM_LEFT, floor=0)
@example(steps=[1e-3] * 50, factors=[1e8, 0.0], compounding=False, held=ROOM_LEFT, owed=0, floor=1)
@example(steps=[1e-3] * 50, factors=[1e8, 0.0], compounding=False, held=0, owed=ROOM_LEFT, floor=1)
@example(steps=[1e-3] * 50, factors=[0.0, 1e8], compounding=False, held=950_000, owed=0, floor=1)
@example(steps=[0.0] * 50, factors=[-1e6, 0.0], compounding=False, held=0, owed=0, floor=1)
@example(steps=[-1e-3, 1e-3, 1e-3, 8e-4, 9e-4], factors=[0.0, 3e18], compounding=False, held=0, owed=0, floor=0)
@example(steps=[0.0, -1e-3, 1e-3], factors=[2.5e9, 2.5e9], compounding=False, held=ROOM_LEFT, owed=0, floor=0)
def test_what_accrues_in_blocks_is_what_accrues_row_by_row(steps, factors, compounding, held, owed, floor):
    """Equity, balances, what is settled, with which positions a row begins, and the row at which a balance is too low.

    Too low is what falls through its floor, and what is too large counts likewise.

    Either balance may be that, or what has accrued alone; what comes to nothing is zero, and never below it.
    """
    first, debit, credit = 0, 8, 9
    accruing, registers, root = [debit, credit, 2, 6], Registers(10), Branch()
    code = Code(registers, accruing)
    streams = np.array(
        [
            [place, int(compounding), at, at + 1, at + 2, debit, credit, 2 + place, 0, 1]
            for place, at in enumerate((first, first + 4))
        ]
    )
    way = Way(registers, root)
    assert way.given(2, 0) > -(10**7)
    equity = way.given(debit, held) * 0.5 + way.given(2, 0) * 0.5
    way.end(Leaf(curve=equity.register))
    code.add("row", way)
    index = np.cumprod(1 + np.array([0.0, *steps]))
    at_ns = np.arange(len(steps))
    sizes = np.array([[2, debit, 1000, 0], [2, 3, 7, NOWHERE], [3, credit, 10**9, 1]])
    floors = np.array([[debit, floor, 0], [3, 1, NOWHERE]])
    found = []
    for quiet in (True, False):
        if not quiet:
            code.spans[:, QUIET] = NOWHERE
        values = code.initial.copy()
        values[[0, 1, 4, 5, debit, credit]] = factors[0], 1.0, factors[1], 1.0, held * (floor or 1), -owed
        columns = np.array([index, 1 / index, *np.full((3, len(index)), np.nan)])
        curve, settled = np.full(len(steps), np.nan), np.zeros((len(steps), 2), dtype=np.int64)
        program = program_of(code, streams, np.array(accruing), floors, sizes, np.array([[4, 4]]))
        notes = Notes(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
        step = after_rows(code.roots["row"], len(steps))
        ended = play(program, step, 0, 0, True, values, columns, at_ns, curve, settled, notes, Pending.nothing())
        assert columns[2:4, 0].tolist() == [held * (floor or 1) / 1000, -owed / 1e9]
        assert (columns[4, 1 : ended[2] + 1] == factors[1]).all()
        found.append((ended, curve, settled, columns[2:4, : ended[2]], values[accruing]))
    (in_blocks, *blocks), (by_row, *rows) = found
    if by_row[0] == BROKEN and in_blocks != by_row:  # one stream alone is too much in a row, and not both together
        rows, blocks = ([curve[: by_row[2]], settled[: by_row[2]]] for curve, settled, *_ in (rows, blocks))
        assert in_blocks[2] > by_row[2]
    else:
        assert in_blocks == by_row
    assert [each.tobytes() for each in blocks] == [each.tobytes() for each in rows]


def test_a_number_that_is_read_otherwise_is_not_recorded():
    """As a key, as text without a form of its own, as an index, converted, to a power, by a function of C."""
    way = Way(Registers(1), Branch())
    number = Recorded(way, 0, 2.0)
    for read in (
        hash, float, int, math.sqrt, math.floor, str, repr, lambda n: n**2, lambda n: n // 2, lambda n: n % 2,
        lambda n: [1, 2, 3][n], lambda n: {n: 1}, lambda n: round(n, 2), np.sqrt, lambda n: 1 / (n - n),
    ):  # fmt: skip
        with pytest.raises((NotRecordable, TypeError)):
            read(number)
    assert isinstance(number, float)
    assert not isinstance(Recorded(way, 0, 2), float)


def test_floats_that_are_summed_are_refused_where_that_compensates(monkeypatch):
    """From Python 3.12 on, where `sum` keeps what `+` loses: of 1e16, 1.0 and -1e16 there is 1.0, not 0.0."""
    way = Way(Registers(2), Branch())
    whole, number = Recorded(way, 0, 2), Recorded(way, 1, 2.5)
    monkeypatch.setattr("framework.tape.numbers.SUM_COMPENSATES", True)
    assert sum([whole, whole]).concrete == 4
    assert (0.0 + number).concrete == 2.5
    for added in (
        lambda: sum([number, number]), lambda: sum([whole, number], 0.0), lambda: sum([0.5, number, number]),
        lambda: sum([number, number], number), lambda: sum(each for each in (0.5, whole)),
    ):  # fmt: skip
        with pytest.raises(NotRecordable, match="`sum` adds floats"):
            added()

    def one_by_one():
        total = 0.0 + number
        total += number
        return total + number, sum([whole, 3], whole)

    assert [each.concrete for each in one_by_one()] == [7.5, 7]
    assert (sum([1e16, 1.0, -1e16]) == 1.0) is (sys.version_info >= (3, 12))


def test_whoever_catches_a_refusal_does_not_hide_it():
    """The next comparison gives up again, and so does the end of the step."""
    way = Way(Registers(1), Branch())
    number = Recorded(way, 0, 2.0)
    with pytest.raises(NotRecordable):
        float(number)
    with pytest.raises(NotRecordable, match="converted"):
        assert number > 1
    assert way.failed == "a number is converted"


def test_the_same_numbers_that_lead_elsewhere_are_noticed():
    """A step that depends on something else, such as a global of its module, is not recorded."""
    registers, root = Registers(2), Branch()
    first = Way(registers, root)
    assert Recorded(first, 0, 1.0) > 0
    first.end(Leaf())
    second = Way(registers, root)
    with pytest.raises(NotRecordable, match="something that is not recorded"):
        assert Recorded(second, 1, 1.0) > 0


def test_integers_stay_within_what_a_float_holds():
    """Beyond 53 bits nothing is recorded, and what was recorded is left to the kernel there."""
    run = recorded(lambda a, b: round(a) * round(b), 3.0, 4.0)
    assert run(2.0**26, 2.0**26) == 2.0**52
    assert run(2.0**27, 2.0**27) is None
    way = Way(Registers(1), Branch())
    with pytest.raises(NotRecordable, match="53 bits"):
        Recorded(way, 0, MOST) * 3
    with pytest.raises(NotRecordable, match="53 bits"):
        assert Recorded(way, 0, 1) < MOST + 1


def test_a_zero_of_integers_has_no_sign():
    """Python's 0 is never below zero: neither is what is played for it, in a row by itself or in a block of them."""
    for function in (round, lambda a: round(a) * -1, lambda a: -round(a), lambda a: round(a) - round(a)):
        found = recorded_by_row(function)([(5.0,), *[(-0.25,)] * 20])
        assert found[1:].tobytes() == bytes(20 * 8)


def test_rows_and_instants_answer_what_they_can():
    """A row looks up columns, an instant is compared with those of rules; nothing else is known of them."""
    way = Way(Registers(1), Branch())
    column, row, now = Column("index", [5.0, 6.0, 7.0], further=1), Row(way, 1), Time(way, 100, opening=False)
    assert column[row].concrete == 6.0
    assert column[row + 1].concrete == 7.0
    assert column[1] == 6.0
    assert row + 1 == Row(way, 1, 1)
    assert now >= 100
    assert not now > 100
    for ask in (
        lambda: [1, 2, 3][row], lambda: row > 1, lambda: row == 1, lambda: now + 1, lambda: now == 100,
        lambda: {now: 1}, lambda: column[row - 2], lambda: Time(way, 100, opening=True) >= 5,
    ):  # fmt: skip
        with pytest.raises(NotRecordable):
            ask()


def test_a_rule_with_dates_that_is_true_or_false_is_asked():
    """A row at which it is true, and one at which it is not, go different ways; what is no number is refused."""
    way = Way(Registers(1), Branch())
    assert Column("over", [False, True])[Row(way, 1)] is True
    assert Column("before", [False, True])[Row(way, 0)] is False
    for values in (["isolated"], [2**60], [None]):
        with pytest.raises(NotRecordable, match="a rule is"):
            Column("rule", values)[Row(way, 0)]
    with pytest.raises(NotRecordable, match="does not fit into 64 bits"):
        assert Time(way, 100, opening=False) < 10**20


def test_a_text_with_numbers_is_filled_with_those_that_are_played():
    """The words of an order are noted with places for its numbers."""
    way = Way(Registers(1), Branch())
    assert "53" not in said(Recorded(way, 0, 53.25))
    words = str(Move("asgard", "drift", Recorded(way, 0, 53.25)))
    assert words.startswith("a move of ")
    assert words.endswith(" USD from asgard to drift")
