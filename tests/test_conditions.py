"""Conditions: a strategy that names what wakes it does what one does that looks at every row."""

import numpy as np
import pytest
from attrs import evolve, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from framework import (
    Bridge,
    DeltaBeyond,
    EveryRow,
    LeverageAbove,
    LiquidationNear,
    MarginBelow,
    MoveTokens,
    NoPosition,
    Open,
    Side,
    Strategy,
    Swap,
)
from strategies.full_rotation import FullRotation
from strategies.pair import open_pair
from tests.markets import asgard, at_cost, collateral, dollar_market, drift, hyperliquid, jito, market, play
from tests.test_settlement import markets, outcome


class Sleepless(FullRotation):
    """The same strategy, which looks at every row."""

    def conditions(self):
        return (EveryRow(),)


@pytest.mark.slow
@given(
    markets(),
    st.sampled_from([1.5, 3.0, 4.5]),
    st.sampled_from([0.0, 0.05, 0.1, 0.3]),
    st.sampled_from([0.0, 0.03, 0.1]),
    st.booleans(),
    st.sampled_from([hyperliquid, drift]),
)
def test_rotation_that_is_woken_rotates_like_one_that_looks_at_every_row(
    table, leverage, buffer, maintenance, closes, make
):
    """One ledger and one log but for what they were woken by."""
    rules = {"maintenance_margin": maintenance, "liquidation_closes": closes}
    venues = [asgard(overpayment="earns_borrowing_rate", open_fee_bps=10.0, **rules), make(taker_fee_bps=3.5, **rules)]
    settings = {"long": "asgard", "short": venues[1].name, "leverage": leverage, "liquidation_buffer": buffer}
    woken, sleepless = (outcome(table, venues, kind(**settings)) for kind in (FullRotation, Sleepless))
    if isinstance(woken, str):
        assert woken == sleepless
        return
    assert woken.ledger.digest == sleepless.ledger.digest
    assert [told(event) for event in woken.events] == [told(event) for event in sleepless.events]
    assert np.array_equal(woken.curve.equity_usd, sleepless.curve.equity_usd)


@given(markets(), st.sampled_from([1.5, 3.0]), st.booleans())
def test_rotation_that_compounds_is_neutral_after_every_row(table, leverage, cost):
    """At the market as at cost: both legs are resized at the price at which they are valued, not at their own entry."""
    closes = {"liquidation_closes": False}
    venues = [asgard(overpayment="earns_borrowing_rate", open_fee_bps=10.0, **closes), hyperliquid(**closes)]
    if cost:
        venues = list(map(at_cost, venues))
    strategy = FullRotation(
        long="asgard", short="hyperliquid", leverage=leverage, liquidation_buffer=0.1, compounding=True
    )
    run = outcome(table, venues, strategy)
    if not isinstance(run, str):
        assert np.abs(run.curve.net_size).max() < 1e-7


def told(event):
    """An event without the condition that it met."""
    return evolve(event, venue="", condition=None) if event.kind == "ConditionMet" else event


@frozen
class Surveyor:
    """Woken after every row; notes the liquidation prices of the stretch."""

    venue: str
    by_row: dict = field(factory=dict)

    def holds(self, stretch):
        projection = stretch.projections.get(self.venue)
        prices = projection.liquidation_price if projection else [float("nan")] * len(stretch)
        assert len(prices) == len(stretch)
        for row, price in enumerate(prices, start=stretch.start):
            self.by_row.setdefault(row, float(price))
        return np.ones(len(stretch), dtype=bool)


@frozen
class Surveyed(Strategy):
    """Opens positions, and notes after every row what its legs say of the liquidation price."""

    opening: object
    surveyors: tuple
    by_venue: dict = field(factory=dict)

    def conditions(self):
        return self.surveyors

    def on_start(self, view):
        return self.opening(view)

    def on_event(self, event, view):
        if event.kind == "ConditionMet":
            seen = self.by_venue.setdefault(event.venue, [])
            seen.append(view.leg(event.venue).liquidation_price)
        return ()


def pair(view):
    """A levered pair."""
    return open_pair(view, "asgard", "hyperliquid", 3.0)


def on_tokens(view):
    """A short on tokens as collateral."""
    yield Swap("jito", "USDC", "JITOSOL", 6_000.0)
    yield MoveTokens("jito", "drift", "JITOSOL", 6_000.0 / view.price_of("JITOSOL"))
    yield Open("drift", Side.SHORT, 90.0, 500.0)


PRICES = [100.0, 104.0, 99.0, 97.0, 110.0, 108.0, 93.0, 101.0]
ACCRUING = market(PRICES, funding=0.0007, lending=0.05, borrowing=0.09)
TOKENS = dollar_market(PRICES, rate=1 + np.arange(1, 9) / 500, funding=-0.0004, premium=np.arange(8) / 1000)
DISTANT = {"liquidation_distance": 0.3}


@pytest.mark.parametrize(
    ("table", "opening", "venues", "known"),
    [
        (ACCRUING, pair, [asgard(), hyperliquid()], ["asgard", "hyperliquid"]),
        (ACCRUING, pair, [at_cost(asgard(), **DISTANT), at_cost(hyperliquid(), **DISTANT)], ["asgard", "hyperliquid"]),
        (ACCRUING, pair, [at_cost(asgard()), at_cost(hyperliquid())], []),
        (TOKENS, on_tokens, [jito(), collateral()], ["drift"]),
        (TOKENS, on_tokens, [jito(), collateral(collateral_weight=0.9)], ["drift"]),
    ],
)
def test_a_stretch_has_the_liquidation_prices_that_the_legs_have(table, opening, venues, known):
    """By row, also as margin grows and tokens move; not a number where a venue has none.

    They are the same floats but where tokens are priced, whose ratio to the coin is worked out in another order.
    """
    surveyors = tuple(Surveyor(venue.name) for venue in venues)
    strategy = Surveyed(opening, surveyors)
    play(table, venues, strategy)
    for surveyor in surveyors:
        seen = strategy.by_venue[surveyor.venue]
        assert len(seen) == len(table)
        assert np.isnan(seen).any() != (surveyor.venue in known)
        within = 1e-14 if opening is on_tokens else 0.0
        np.testing.assert_allclose([surveyor.by_row[row] for row in range(len(table))], seen, rtol=within)


class Once(Strategy):
    """Opens one leg and notes the rows after which a condition holds."""

    def __init__(self, opening, condition):
        self.opening, self.condition, self.rows = opening, condition, []

    def conditions(self):
        return (self.condition,)

    def on_start(self, view):
        return [self.opening]

    def on_event(self, event, view):
        if event.kind == "ConditionMet":
            self.rows.append(len(view.history("close", 100)) - 1)
        return ()


LONG = Open("asgard", Side.LONG, 100.0, 5_000.0)
"""100 coins at 100 USD, of which 5,000 USD are owed: liquidated at 5,000 / (100 x 0.95)."""
SHORT = Open("hyperliquid", Side.SHORT, 100.0, 5_000.0)
"""15,000 USD of money against 100 coins: liquidated at 15,000 / (100 x 1.05)."""


@pytest.mark.parametrize(
    ("opening", "share", "rows"),
    [
        (LONG, 0.0, []),
        (LONG, 0.05, [3]),
        (LONG, 0.2, [2, 3]),
        (SHORT, 0.05, []),
        (SHORT, 0.2, [1]),
        (SHORT, 0.9, [0, 1, 2, 3]),
    ],
)
def test_a_liquidation_is_near_within_a_share_of_the_extreme(opening, share, rows):
    """A long is measured from its low, a short from its high, the other extreme does not count."""
    table = market([100.0] * 4, low=[99.0, 80.0, 60.0, 54.0], high=[101.0, 120.0, 110.0, 100.0])
    strategy = Once(opening, LiquidationNear(opening.venue, share))
    play(table, [asgard(), hyperliquid()], strategy)
    assert strategy.rows == rows


def test_no_position_holds_without_one_even_where_money_is_left():
    """Before the first opening, and after a liquidation that closes and leaves the account something."""
    table = market([100.0, 100.0, 300.0, 100.0], high=[100.0, 100.0, 300.0, 300.0])
    never = Once(Open("hyperliquid", Side.SHORT, 10.0, 5_000.0), NoPosition("asgard"))
    play(table, [asgard(), hyperliquid()], never)
    assert never.rows == [0, 1, 2, 3]
    lost = Once(Open("hyperliquid", Side.SHORT, 40.0, 5_000.0), NoPosition("hyperliquid"))
    play(table, [asgard(), hyperliquid()], lost)
    assert lost.rows == [3]


def test_both_legs_liquidated_in_one_row_are_entered_anew_in_the_next():
    """Rotation waits for the next row, as it does after leaving by itself."""
    table = market([100.0, 100.0, 100.0, 100.0], low=[100.0, 50.0, 100.0, 100.0], high=[100.0, 150.0, 100.0, 100.0])
    strategy = FullRotation(long="asgard", short="hyperliquid", leverage=3.0, liquidation_buffer=0.0)
    run = play(table, [asgard(), hyperliquid(bridge=Bridge())], strategy)
    opened = [event.at_ns for event in run.events if event.kind == "OrderFilled" and event.order == "open"]
    assert opened == [table.open_ns[0]] * 2 + [table.at_ns[2]] * 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LiquidationNear("asgard", 15.0), "'buffer' must be < 1.0: 15.0"),
        (lambda: LiquidationNear("asgard", -0.1), "'buffer' must be >= 0.0: -0.1"),
        (lambda: LeverageAbove("asgard", -1.0), "'limit' must be >= 0.0: -1.0"),
        (lambda: MarginBelow("drift", -1.0), "'requirement' must be >= 0.0: -1.0"),
        (lambda: DeltaBeyond("drift", -1.0), "'share' must be >= 0.0: -1.0"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused(make, words):
    """A percentage where a share is asked for would hold nearly always."""
    with pytest.raises(ValueError, match=words):
        make()
