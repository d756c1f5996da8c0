"""Theory as oracle: passages and rebalances of a geometric Brownian motion have closed forms, and paths meet them."""

from math import erfc, exp, log, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from attrs import frozen

from framework import ConditionMet, EveryRow, Open, Resize, Side, Strategy
from framework.assembly import path_of
from framework.data.drawn_paths import bridge
from tests.markets import Script, asgard, flat, hyperliquid, play

PATHS = 20_000
YEARS = 64 / 365
SIGMA = 0.8
DRIFT = 0.3
SHIFT = 0.5826
"""-zeta(1/2) / sqrt(2 pi), by which a barrier that is seen at rows alone lies further away, in steps."""
MARGIN_USD, COINS = 3_000.0, 100.0
MAINTENANCE = 0.05
SHORT_BARRIER = (MARGIN_USD / COINS + 100) / (1 + MAINTENANCE)
"""The price at which a short of 100 coins from 100 USD is liquidated: 30 + 100 - p = 0.05 p."""
LONG_BARRIER = (100 - MARGIN_USD / COINS) / (1 - MAINTENANCE)
"""That of a long whose loan is 70 USD for each coin: p - 70 = 0.05 p."""
NORMAL = NormalDist()


def passage(barrier, sigma=SIGMA, drift=DRIFT, years=YEARS):
    """The chance that the price, from 100 on, reaches a barrier within some years, seen all the time."""
    side = 1 if barrier > 100 else -1
    away, trend, spread = side * log(barrier / 100), side * (drift - sigma**2 / 2), sigma * sqrt(years)
    return NORMAL.cdf((trend * years - away) / spread) + exp(2 * trend * away / sigma**2) * NORMAL.cdf(
        (-away - trend * years) / spread
    )


def walks(rows, seed, drift=DRIFT):
    """Log prices of many paths, as the method `gbm` makes them: steps, and highest and lowest within each row."""
    random, span = np.random.default_rng(seed), YEARS / rows
    steps = (drift - SIGMA**2 / 2) * span + SIGMA * sqrt(span) * random.standard_normal((PATHS, rows))
    up, down = bridge(steps, SIGMA**2 * span, random.random((2, PATHS, rows)))
    before = np.cumsum(steps, axis=1) - steps
    return steps, (before + up).max(axis=1), (before + down).min(axis=1)


def assert_chance(happened, chance):
    """A frequency is within four standard errors of a chance."""
    assert abs(happened.mean() - chance) < 4 * sqrt(chance * (1 - chance) / len(happened))


@pytest.mark.parametrize("rows", [1, 16, 64])
def test_a_barrier_that_is_always_watched_is_passed_as_often_as_the_closed_form_says(rows):
    """For any number of rows: the extremes within a row are those of the motion itself."""
    _, highest, lowest = walks(rows, seed=rows)
    assert_chance(highest >= log(SHORT_BARRIER / 100), passage(SHORT_BARRIER))
    assert_chance(lowest <= log(LONG_BARRIER / 100), passage(LONG_BARRIER))


def test_a_barrier_that_is_seen_at_closes_alone_lies_further_away():
    """The correction of Broadie, Glasserman and Kou (1997); without it the closed form is refuted."""
    steps, _, _ = walks(64, seed=3)
    log_prices = np.cumsum(steps, axis=1)
    away = exp(SHIFT * SIGMA * sqrt(YEARS / 64))
    for barrier, seen, shifted in (
        (SHORT_BARRIER, log_prices.max(axis=1) >= log(SHORT_BARRIER / 100), SHORT_BARRIER * away),
        (LONG_BARRIER, log_prices.min(axis=1) <= log(LONG_BARRIER / 100), LONG_BARRIER / away),
    ):
        assert_chance(seen, passage(shifted))
        error = sqrt(passage(barrier) * (1 - passage(barrier)) / PATHS)
        assert abs(seen.mean() - passage(barrier)) > 6 * error


def rebalances(log_prices, band):
    """How often a band around the price of the last rebalance is left at a close, path by path."""
    count, last = np.zeros(len(log_prices), dtype=int), np.zeros(len(log_prices))
    for now in log_prices.T:
        left = np.abs(now - last) >= band
        count += left
        last[left] = now[left]
    return count


def test_a_symmetric_band_is_left_as_often_as_the_series_says():
    """Without drift the expected number is 2 sum n erfc(n a / (sigma sqrt(2 T))), with a as far as it is seen."""
    steps, _, _ = walks(256, seed=4, drift=SIGMA**2 / 2)
    band = 0.12
    count = rebalances(np.cumsum(steps, axis=1), band)
    seen = band + SHIFT * SIGMA * sqrt(YEARS / 256)
    expected = 2 * sum(n * erfc(n * seen / (SIGMA * sqrt(2 * YEARS))) for n in range(1, 60))
    assert expected > 3
    assert abs(count.mean() - expected) < 4 * count.std() / sqrt(PATHS)


def paths(rows, numbers, **options):
    """Markets of the method `gbm`, from 100 USD on, without funding and interest."""
    history = flat(rows, price=100.0)
    return [path_of({"method": "gbm", "volatility": SIGMA, "seed": 1, "number": number} | options).of(history)
            for number in range(1, numbers + 1)]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("extremes", ["bridge", "closes"])
def test_the_engine_liquidates_on_the_very_paths_that_pass_the_barrier(extremes):
    """250 paths, a short and a long on each: no liquidation but where the rule for the whole path says so."""
    short = Open("hyperliquid", Side.SHORT, COINS, MARGIN_USD)
    long = Open("asgard", Side.LONG, COINS, MARGIN_USD)
    passed = 0
    for market in paths(24, 250, extremes=extremes, volatility=1.2):
        run = play(market, [hyperliquid(), asgard()], Script(start=[short, long]), at_first_open=True)
        liquidated = {event.venue for event in run.single if event.kind == "Liquidated"}
        expected = {"hyperliquid"} if market["high"].max() >= SHORT_BARRIER else set()
        expected |= {"asgard"} if market["low"].min() <= LONG_BARRIER else set()
        assert liquidated == expected
        passed += len(expected)
    assert 50 < passed < 450


@frozen
class Band(Strategy):
    """Resizes a short whenever the price has left a band around that of the last time."""

    band: float
    seen: list[float]

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        self.seen.append(view.price)
        return [Open("hyperliquid", Side.SHORT, 1.0, 9_000.0)]

    def on_event(self, event, view):
        if isinstance(event, ConditionMet) and abs(log(view.price / self.seen[-1])) >= self.band:
            self.seen.append(view.price)
            return [Resize("hyperliquid", 1.0 + len(self.seen) / 100)]
        return []


def test_the_engine_rebalances_as_often_as_the_rule_for_whole_paths():
    """Path by path, the same number of times."""
    counts = []
    for market in paths(48, 40):
        seen = []
        play(market, [hyperliquid()], Band(0.12, seen), at_first_open=True)
        (expected,) = rebalances(np.log(market["close"] / 100)[None, :], 0.12)
        assert len(seen) - 1 == expected
        counts.append(expected)
    assert sum(counts) > 40
