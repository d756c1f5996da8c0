"""Hyperliquid's rules against real accounts, fills and funding, and against tables of them."""

import json
from collections.abc import Collection
from decimal import Decimal
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED
from tests.runs import there
from venues.hyperliquid_formulas import (
    BACKSTOP,
    FeeTier,
    Line,
    Tier,
    funding_rate,
    lines,
    liquidation_price,
    maintenance_margin,
    taker_fee_bps,
    withdrawable,
)

MODELS = {"8h_c3": (0.0003, 1), "h_c3": (0.0003, 8), "h_P8": (None, 8), "h_c2": (0.0002, 8), "h_c5": (0.0005, 8)}
"""Rule of funding -> its clamp, and over how many hours a payment is spread."""
FLOORS = {"initial only (until 2025-03-15)": "0", "20 % (from 2025-03-15)": "0.2", "10 % (by 2026-10)": "0.1"}
ERAS = {"SOL 20x (MM 2.5 %)": Fraction(1, 40), "SOL 50x era (MM 1 %)": Fraction(1, 100)}


@cache
def vectors() -> dict:
    """Account states, fills, funding rows and tables of Hyperliquid."""
    return json.loads((there(SHARED / "vectors", "the vectors of the protocols") / "hyperliquid.json").read_text())


def places(text: str) -> Decimal:
    """Half a unit of the last printed digit."""
    return Decimal(text).copy_abs() * 0 + Decimal(5).scaleb(Decimal(text).as_tuple().exponent - 1)


def each(name: str, having: str = "", *, among: Collection[str] = ()):
    """A parametrised test for each vector of a list, by its id or number; one that is skipped where they are absent.

    `having` is a key of those that are meant, `among` are their ids.
    """
    path = SHARED / "vectors" / "hyperliquid.json"
    listed = json.loads(path.read_text())[name] if path.is_file() else []
    found = [one for one in listed if (not having or having in one) and (not among or one["id"] in among)]
    ids = [str(one.get("id", number)) for number, one in enumerate(found)]
    return pytest.mark.parametrize("vector", found or [None], ids=ids or None)


@pytest.fixture(autouse=True)
def _there(request):
    if "vector" in getattr(request, "fixturenames", ()):
        vectors()


def maintenance_of(notional: Fraction, of: tuple[Line, ...]) -> Fraction:
    """The maintenance margin at a notional by one or two lines."""
    return maintenance_margin(notional, of[0].rate, of[-1].rate, of[-1].deduction)


@each("maintenance_vectors")
def test_the_maintenance_margin_follows_the_tiers(vector):
    """Tiers of the captured `marginTables` and the documentation."""
    table = vectors()["margin_tiers"]["tables"][vector["coin"]]
    of = lines([Tier(row["max_leverage"], row["lower_bound"]) for row in table], number=Fraction)
    made = maintenance_of(Fraction(vector["notional"]), of)
    assert abs(made - Fraction(vector["mm"])) <= Fraction(places(vector["mm"]))


@pytest.mark.parametrize("coin", ["BTC", "ETH", "SOL", "XRP", "group20M", "group3M"])
def test_rates_and_deductions_of_the_tiers_are_the_documented_ones(coin):
    tables = {
        name.partition(" ")[0].partition("(")[0]: rows for name, rows in vectors()["margin_tiers"]["tables"].items()
    }
    of = lines([Tier(row["max_leverage"], row["lower_bound"]) for row in tables[coin]], number=Fraction)
    for line, row in zip(of, tables[coin], strict=True):
        assert abs(line.rate - Fraction(row["mm_rate"])) <= Fraction(1, 10**12)
        assert abs(line.deduction - Fraction(row["deduction"])) <= Fraction(1, 10**6)


@each("liq_price_samples")
def test_liquidation_prices_are_those_that_accounts_showed(vector):
    """Real accounts, cross and isolated: ten prices to their printed precision, and none where none was shown."""
    if vector["kind"] == "isolated":
        rate = Decimal(1) / (2 * vector["maxLeverage"])
        available = Decimal(vector["marginUsed"]) - rate * Decimal(vector["positionValue"])
    else:
        rate = Decimal(0) if "old" in vector["l"] else Decimal(vector["l"])
        available = Decimal(vector["accountValue"]) - Decimal(vector["crossMaintenanceMargin"])
    made = liquidation_price(Decimal(vector["mark"]), Decimal(vector["szi"]), available, rate)
    shown = vector["liquidationPx_reported"]
    if shown is None:
        assert made <= 0
    else:
        known = abs(Decimal(vector["abs_error"])) + Decimal("1e-9")  # how far the protocol's own rounding takes it
        assert abs(made - Decimal(shown)) <= known


@each("liq_price_samples", "rawUsd")
def test_an_isolated_price_follows_from_its_raw_dollars_as_well(vector):
    rate = Decimal(1) / (2 * vector["maxLeverage"])
    size = Decimal(vector["szi"])
    made = -Decimal(vector["rawUsd"]) / (size * (1 - rate * (1 if size > 0 else -1)))
    assert abs(made - Decimal(vector["liq_from_rawUsd"])) <= places(vector["liq_from_rawUsd"])


@each("entry_to_liq_distance")
def test_distances_from_entry_to_liquidation_backstop_and_nothing(vector):
    """A position of one coin at 1 USD, with the margin of its leverage."""
    size = Fraction(1 if vector["side"] == "long" else -1)
    margin = Fraction(1, vector["leverage"])
    for name, rate in (
        ("liq", ERAS[vector["market"]]),
        ("backstop", ERAS[vector["market"]] * 2 / 3),
        ("zero_equity", 0),
    ):
        made = liquidation_price(Fraction(1), size, margin - rate, Fraction(rate))
        told = vector[f"{name}_px_over_entry"]
        if told == "none":
            assert made <= 0
        else:
            assert abs(made - Fraction(told)) <= Fraction(places(told))
    assert pytest.approx(2 / 3) == BACKSTOP


@each("withdrawable_samples")
def test_what_accounts_could_withdraw(vector):
    """Without a floor until 2025-03-14, 10 % of the notional in 2026; less what open orders held."""
    equity, initial, notional = (Decimal(vector[name]) for name in ("accountValue", "totalMarginUsed", "totalNtlPos"))
    floor = Decimal(0) if vector["time_utc"] < "2025-03-15" else Decimal("0.1")
    made = withdrawable(equity, initial, notional, floor)
    assert made - Decimal(vector["withdrawable_reported"]) >= Decimal("-0.0001")
    column = "AV_minus_initial" if floor == 0 else "AV_minus_max(initial,10%)"
    assert abs(made - Decimal(vector[column])) <= Decimal("1e-6")
    if vector["id"] in ("WD1", "WD4", "WD5"):
        assert abs(made - Decimal(vector["withdrawable_reported"])) < Decimal("0.0001")


@each("withdrawable_rule_table")
def test_what_may_leave_by_rule(vector):
    equity, notional = Fraction(vector["accountValue"]), Fraction(vector["notional"])
    made = withdrawable(equity, notional / vector["leverage"], notional, Fraction(FLOORS[vector["rule"]]))
    assert made == Fraction(vector["withdrawable"])


@each("fee_tiers_since_2025-05-05")
def test_the_taker_fee_falls_with_the_volume(vector):
    tiers = [
        FeeTier(row["taker_bps"], row["volume_14d_over_musd"] * 1e6) for row in vectors()["fee_tiers_since_2025-05-05"]
    ]
    above = vector["volume_14d_over_musd"] * 1e6
    assert taker_fee_bps(tiers, above + 1) == vector["taker_bps"]
    if above:
        assert taker_fee_bps(tiers, above) > vector["taker_bps"]


RATES = {"FE2": 3.5, "FE3": 3.5, "FE4": 4.5 * 0.96, "FE5": 4.5 * 0.96, "FE6": 4.5 * 0.96, "FE10": 0.0, "FE11": 0.0}
"""Taker fills -> basis points: 3.5 until May 2025, then 4.5, less 4 % for who was referred; 0 of ADL and backstop."""


@each("fee_samples", among=RATES)
def test_fees_of_fills(vector):
    """What takers were charged, to the printed place; the other samples are of makers and of the free days of 2023."""
    paid = Decimal(vector["fee_reported"]) - Decimal(vector["builderFee_inside"])
    due = Decimal(vector["px"]) * Decimal(vector["sz"]) * Decimal(str(RATES[vector["id"]])) / 10_000
    assert abs(paid - due) < Decimal("1.5e-6")


@each("funding_samples")
def test_funding_rates_of_their_time(vector):
    """Rows of BTC from 2023 and of SOL from the study's file, by the rule of their day."""
    clamp, hours = MODELS[vector["model"]]
    made = funding_rate(Decimal(vector["premium"]), clamp, hours, Decimal)
    assert abs(made - Decimal(vector["computed"])) <= places(vector["computed"])
    assert abs(made - Decimal(vector["fundingRate_reported"])) <= places(vector["fundingRate_reported"])


@each("funding_formula_table")
def test_the_formula_of_funding(vector):
    made = funding_rate(Decimal(vector["premium"]), number=Decimal)
    assert made == Decimal(vector["after_cap_4pct_h"])


@each("funding_payment_signs")
def test_a_rate_above_0_pays_the_short(vector):
    size = Decimal(vector["size"]) * (1 if vector["side"] == "long" else -1)
    assert -size * Decimal(vector["oracle"]) * Decimal(vector["rate"]) == Decimal(vector["cash_to_position"])


def test_every_hourly_rate_of_the_studys_file_follows_from_its_premium(study_data):
    """9,807 of 9,807, to the ten places that the API gives; floats and decimals agree."""
    rows = json.loads((study_data / "sol_funding_history.json").read_text())
    made = [funding_rate(Decimal(row["premium"]), number=Decimal) for row in rows]
    off = [abs(Decimal(row["fundingRate"]) - one) for row, one in zip(rows, made, strict=True)]
    assert (len(rows), sum(each <= Decimal("1e-10") for each in off)) == (9_807, 9_807)
    assert max(off) <= Decimal("5.1e-11")
    by_array = funding_rate(np.array([float(row["premium"]) for row in rows]))
    assert np.allclose(by_array, np.array(made, dtype=float), rtol=1e-12, atol=0)


def test_the_fills_of_liquidations_show_where_the_money_went():
    """On the book at the taker's rate; by the backstop at the price of no equity; by deleveraging without a fee."""
    book, _, backstop, deleveraged = vectors()["liquidation_samples"]
    assert abs(Decimal(book["fee"]) - Decimal(book["px"]) * Decimal(book["sz"]) * Decimal("0.000432")) < Decimal("1e-6")
    size, equity = Decimal(backstop["szi"]), Decimal(backstop["accountValue_at_liquidation"])
    nothing = liquidation_price(Decimal(backstop["markPx"]), size, equity, 0)
    assert abs(nothing - Decimal(backstop["px"])) < Decimal("0.1")  # a tick
    assert (Decimal(backstop["fee"]), Decimal(deleveraged["fee"])) == (0, 0)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 10**9)), min_size=1, max_size=2, unique_by=lambda x: x[1]),
    st.integers(0, 10**10),
)
def test_the_margin_of_a_tier_meets_the_one_below(rows, notional):
    """However tiers are cut: the margin grows with the notional, and nowhere by a jump."""
    ordered = sorted({leverage for leverage, _ in rows}, reverse=True)
    bounds = [0, *sorted(above for _, above in rows)][: len(ordered)]
    of = lines([Tier(*each) for each in zip(ordered, bounds, strict=True)], number=Fraction)
    here, next_ = (maintenance_of(Fraction(each), of) for each in (notional, notional + 1))
    assert 0 < next_ - here <= of[-1].rate
    tier = [each for each in of if each.above_usd <= notional][-1]
    assert here == notional * tier.rate - tier.deduction


@given(
    st.sampled_from([-1, 1]),
    st.fractions(min_value=Fraction(1, 100), max_value=1000),
    st.fractions(min_value=Fraction(1), max_value=1000),
    st.fractions(min_value=Fraction(1, 20), max_value=1),
    st.sampled_from([Fraction(1, 40), Fraction(1, 100)]),
)
def test_the_equity_at_the_liquidation_price_is_the_maintenance_margin(side, coins, mark, share, rate):
    size = side * coins
    equity = share * coins * mark
    price = liquidation_price(mark, size, equity - rate * coins * mark, rate)
    assert equity + size * (price - mark) == rate * coins * price
