"""Random strategies under random rules on random markets: settled at once, in pieces and row by row is one run."""

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from attrs import frozen
from hypothesis import event as note
from hypothesis import given
from hypothesis import strategies as st

from framework import (
    Bridge,
    CarrybookError,
    Close,
    Condition,
    DeltaBeyond,
    Deposit,
    Ended,
    Event,
    EveryRow,
    LeverageAbove,
    Liquidated,
    MarginBelow,
    Move,
    Order,
    Penalty,
    Resize,
    Strategy,
    View,
    Withdraw,
    waterfall,
)
from framework.clock import NS_PER_DAY
from framework.venue import Dated, Way
from strategies.pair import close_pair, open_pair
from tests.markets import AfterRow, asgard, at_cost, drift, hyperliquid, play
from tests.test_settlement import markets

LONG, SHORT = "asgard", "perp"
ACTIONS = (
    "wait", "level", "resize", "grow", "leave", "enter", "withdraw", "deposit", "close one",
    "overdraw", "overpay", "take too much", "send too much",
)  # fmt: skip


@frozen(kw_only=True)
class Whim(Strategy):
    """Does on each day what its moods say for that day, as far as that can be done; a mood is an action and a share."""

    wakes: tuple[Condition, ...]
    moods: tuple[tuple[str, float], ...]
    leverage: float
    flees: bool
    leaves_at_end: bool

    def conditions(self) -> tuple[Condition, ...]:
        return self.wakes

    def on_start(self, view: View) -> Iterable[Order]:
        return open_pair(view, LONG, SHORT, self.leverage)

    def on_event(self, event: Event, view: View) -> Iterable[Order]:
        match event:
            case Ended():
                return close_pair(LONG, SHORT) if self.leaves_at_end else ()
            case Liquidated() if self.flees:
                return close_pair(LONG, SHORT)
            case _:
                return self._do(*self.moods[view.at_ns // NS_PER_DAY % len(self.moods)], view)

    def _do(self, action: str, share: float, view: View) -> Iterator[Order]:
        long, short = view.leg(LONG), view.leg(SHORT)
        held = long.size > 0 and short.size < 0
        surplus_usd = (long.equity_usd - short.equity_usd) * share
        match action:
            case "level" if abs(surplus_usd) > 1:
                source, target = (LONG, SHORT) if surplus_usd > 0 else (SHORT, LONG)
                yield Move(source, target, abs(surplus_usd))
            case "resize" if held:
                yield Resize(LONG, long.size * share)
                yield Resize(SHORT, -view.leg(SHORT).size * share)
            case "grow" if held:
                yield Resize(SHORT, -short.size * (1 + share))
            case "leave" if held:
                yield from close_pair(LONG, SHORT)
            case "enter" if not long.size and not short.size and view.cash_usd > 100:
                yield from open_pair(view, LONG, SHORT, self.leverage)
            case "withdraw" if short.equity_usd * share > 1:
                yield Withdraw(SHORT, short.equity_usd * share)
            case "deposit" if view.cash_usd * share > 1:
                yield Deposit(LONG if share > 0.5 else SHORT, view.cash_usd * share)
            case "overdraw":
                yield Deposit(SHORT, view.cash_usd + 1 + share)
                yield Deposit(LONG, max(view.cash_usd * share, 0.01))
            case "overpay" if view.cash_usd > 1:
                yield Deposit(LONG, view.cash_usd)
            case "take too much":
                yield Withdraw(SHORT, max(short.equity_usd, 0) + 0.01)
                assert view.outcome.kind == "Rejected"
            case "send too much":
                yield Move(LONG, SHORT, max(long.equity_usd, 0) + share)
                yield Move(SHORT, LONG, max(short.equity_usd * share, 0.01))
            case "close one" if held:
                yield Close(LONG if share > 0.5 else SHORT)


def conditions(rows):
    """Anything that wakes a strategy; `rows` are those that may be named."""
    venue = st.sampled_from([LONG, SHORT])
    return st.one_of(
        st.just(EveryRow()),
        st.builds(LeverageAbove, venue, st.floats(1.5, 8)),
        st.builds(MarginBelow, venue, st.floats(0.05, 0.6)),
        st.builds(DeltaBeyond, venue, st.floats(0.0, 0.3)),
        st.builds(AfterRow, st.integers(0, rows - 1)),
    )


moods = st.tuples(st.sampled_from(ACTIONS), st.floats(0.01, 0.99))


@st.composite
def whims(draw):
    """A strategy of moods."""
    return Whim(
        wakes=tuple(draw(st.lists(conditions(60), max_size=4))),
        moods=tuple(draw(st.lists(moods, min_size=1, max_size=9))),
        leverage=draw(st.sampled_from([1.1, 2.0, 3.0, 4.5])),
        flees=draw(st.booleans()),
        leaves_at_end=draw(st.booleans()),
    )


@st.composite
def venues(draw):
    """A lender and a perpetual under any of their rules, at the market or at cost, with bridges that fail."""

    def way():
        fails = st.sampled_from(
            [None, None, True, Dated(("2024-01-01", "2025-01-09", "2025-01-20"), (False, True, False))]
        )
        return Way(
            fee_usd=draw(st.sampled_from([0.0, 1.000001])),
            latency_s=draw(st.sampled_from([0.0, 3_600.0, 100_000.0])),
            fails=draw(fails),
        )

    def rules():
        return {
            "maintenance_margin": draw(st.sampled_from([0.0, 0.03, 0.1])),
            "liquidation_penalty": Penalty(
                draw(st.sampled_from(["equity", "notional"])), draw(st.sampled_from([0.0, 0.025, 0.5]))
            ),
            "liquidation_closes": draw(st.booleans()),
            "forgive_negative_equity": draw(st.booleans()),
            "bridge": Bridge(
                fee_usd=draw(st.sampled_from([0.0, 3.000001])),
                latency_s=draw(st.sampled_from([0.0, 3_600.0, 43_200.0, 86_400.0, 200_000.0])),
                sender_share=draw(st.sampled_from([0.0, 0.3, 1.0])),
                inbound=way() if draw(st.booleans()) else None,
                outbound=way() if draw(st.booleans()) else None,
            ),
        }

    fee_bps = draw(st.sampled_from([0.0, 3.5, 15.0]))
    overpayment = draw(st.sampled_from(["refuse", "earns_borrowing_rate", "earns_borrowing_rate"]))
    lender = asgard(open_fee_bps=fee_bps, gas_usd=fee_bps / 10, overpayment=overpayment, **rules())
    make = draw(st.sampled_from([hyperliquid, drift]))
    apart = {"funding_apart": draw(st.booleans())} if make is drift else {}
    perpetual = make(name=SHORT, taker_fee_bps=fee_bps / 4, **rules(), **apart)
    places = [lender, perpetual]
    if draw(st.sampled_from([False, False, True])):
        distances = st.sampled_from([None, None, 0.2])
        places = [
            at_cost(each, fees_at_entry=draw(st.booleans()), liquidation_distance=draw(distances)) for each in places
        ]
    return draw(st.permutations(places))


def outcome(*arguments, **options):
    """All that a run leaves, or the words with which it was refused."""
    try:
        run = play(*arguments, **options)
    except CarrybookError as error:
        return str(error)
    curve = run.curve
    arrays = [curve.cash_usd, curve.transit_usd]
    for by_venue in (curve.equity_usd_by_venue, curve.size_by_venue, curve.delta_by_venue):
        arrays += by_venue.values()
    assert waterfall(run).unexplained == 0
    return run.ledger.digest, list(run.events), [array.tobytes() for array in arrays]


@pytest.mark.slow
@given(markets(), venues(), whims(), st.sampled_from(["look ahead", "first close", "first open"]), st.integers(2, 9))
def test_any_cut_of_any_strategy_is_one_run(table, places, strategy, entry, several):
    """Digest, events and every array of the curve are the same to the bit, and so are the words of a refusal."""
    options = {"look_ahead_at_entry": entry == "look ahead", "at_first_open": entry == "first open"}
    whole, single, few = (outcome(table, places, strategy, rows_at_once=rows, **options) for rows in (None, 1, several))
    note("refused" if isinstance(whole, str) else f"2^{np.log2(len(whole[1])) // 1:g} events or more")
    assert single == few == whole
