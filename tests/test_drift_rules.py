"""Drift's rules against the expectations of its authors' tests, recorded hours of funding, and states of accounts."""

import json
import math
from datetime import datetime
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.conftest import SHARED
from tests.runs import there
from venues import drift_formulas as drift

E4, E6, E9, E10 = 10**4, 10**6, 10**9, 10**10


@cache
def vectors() -> dict:
    """Account states, funding records and the expectations of the program's own tests."""
    return json.loads((there(SHARED / "vectors", "the vectors of the protocols") / "drift.json").read_text())


def each(name: str, function: str = ""):
    """A parametrised test for each vector of a list, or those of a function; a skipped one where they are absent."""
    path = SHARED / "vectors" / "drift.json"
    listed = json.loads(path.read_text())[name] if path.is_file() else []
    found = [one for one in listed if one.get("function", "").startswith(function)]
    ids = [str(one.get("id", number)) for number, one in enumerate(found)]
    return pytest.mark.parametrize("vector", found or [None], ids=ids or None)


@pytest.fixture(autouse=True)
def _there(request):
    if "vector" in request.fixturenames:
        vectors()


def exact(value: object) -> Fraction:
    """A printed number, as it is printed."""
    return Fraction(str(value))


def inputs(vector: dict) -> dict[str, Fraction]:
    """The inputs of a vector, as they are printed."""
    return {name: exact(value) for name, value in vector["inputs"].items()}


# -- funding


@each("funding_vectors")
def test_hourly_rates_to_the_last_digit(vector):
    """Three recorded hours of SOL-PERP and four expectations of the program's tests."""
    made = drift.funding_rate(
        vector["mark_twap"], vector["oracle_twap"], vector["clamp_divisor"], offset=vector["offset_1_5000"]
    )
    assert made == vector["rate_expected_1e9"]
    assert (
        abs(Fraction(made * 10**6, E9 * vector["oracle_twap"]) * E6 - exact(vector["rate_fraction_per_h"]) * E6) < 1e-6
    )


@each("funding_clamp_by_tier")
def test_the_clamp_of_a_tier_of_contracts(vector):
    """A spread without end pays the share of the oracle that the tier allows, a 24th of it an hour."""
    oracle = 10**12
    made = drift.funding_rate(10**15, oracle, vector["divisor"], offset=False)
    assert abs(Fraction(made, 10 * oracle) - exact(vector["max_rate_pct_per_h"])) < Fraction(1, E6)
    assert abs(Fraction(100, vector["divisor"]) - exact(vector["max_spread_pct"])) < Fraction(1, E6)


@each("funding_clamp_tests")
def test_the_greatest_spread(vector):
    divisor = {"Isolated/default": 10, "B": 33}[vector["tier"]]
    most = drift.funding_rate(10**12, vector["oracle_twap"], divisor, offset=False)
    assert most == vector["max_spread"] * 1_000 // 24


@pytest.mark.parametrize("which", ["DFC1", "DFC2"])
def test_the_market_pays_no_more_than_a_third_of_its_fees(which):
    """`capped_sym_funding_test`: shorts who would net receive get less, and a market that receives passes all on."""
    vector = next(one for one in vectors()["funding_capped_payout"] if one["id"] == which)
    made = drift.funding_rates(vector["rate"], vector["long_base_1e9"], vector["short_base_1e9"], 250_000)
    assert made == (vector["rate_long"], vector["rate_short"], vector["fees_after"] - vector["fees_before"])


def test_a_real_capped_hour_paid_the_shorts_alone_less():
    hour = next(one for one in vectors()["funding_capped_payout"] if one["id"] == "DFC3")
    assert hour["rate_long"] == hour["rate"] > hour["rate_short"] > 0


@given(st.integers(-E9, E9), st.integers(0, 10**15), st.integers(0, 10**15), st.integers(0, 10**12))
def test_what_one_side_receives_is_what_the_other_and_the_market_pay(rate, long, short, fee_pool):
    """To a few millionths of a dollar; nobody receives more than the uncapped rate, nor anybody pays it."""
    assume(long and short)
    of_long, of_short, gained = drift.funding_rates(rate, long, -short, fee_pool)
    paid = Fraction(of_long * long - of_short * short, 10**12)
    assert gained >= -(fee_pool // 3)
    assert abs(of_long) <= abs(rate)
    assert abs(of_short) <= abs(rate)
    assert abs(paid - gained) <= 3 + Fraction(max(long, short), 10**12)


# -- margin


@each("weight_vectors")
def test_weights_by_size(vector):
    """`spot_market_asset_weight` and its like: four digits, rounded down."""
    size, imf, base = (
        Fraction(vector["size_tokens"]),
        Fraction(vector["imf_1e6"], E6),
        Fraction(vector["base_weight_1e4"], E4),
    )
    rule = drift.asset_weight if vector["what"] == "asset" else drift.margin_ratio
    assert math.floor(rule(base, size, imf) * E4) == vector["expected_1e4"]


@each("scaled_weight_vectors")
def test_initial_weights_shrink_with_all_deposits(vector):
    deposits = Fraction(vector["deposits_tokens"] * vector["price"])
    made = drift.scaled_weight(Fraction(vector["base"], E4), deposits, Fraction(vector["scale_start_usd"]))
    assert math.floor(made * E4) == vector["expected"]


MARKETS = {
    "SOL-PERP 2023-08..2024-08": ("0.10", "0.05", "0.0002"),
    "SOL-PERP 2026-03": ("0.05", "0.03", "0.00005"),
    "ETH-PERP 2026-03": ("0.05", "0.02", "0.00025"),
    "BTC-PERP 2025-07": ("0.05", "0.03", "0.0019"),
    "SOL asset imf 0.003": ("0.8", "0.9", "0.003"),
    "SOL asset imf 0.00125": ("0.8", "0.9", "0.00125"),
}
"""Initial and maintenance ratio or weight, and the factor of the size, of account dumps."""


@each("margin_tables_real_parameters")
def test_margins_of_mainnet_markets_by_size(vector):
    initial, maintenance, imf = map(Fraction, MARKETS[vector["market"]])
    size = Fraction(vector.get("size_base", vector.get("size_tokens")))
    rule = drift.asset_weight if "asset" in vector["market"] else drift.margin_ratio
    for base, name in ((initial, "initial_1e4"), (maintenance, "maintenance_1e4")):
        assert math.floor(rule(base, size, imf) * E4) == vector[name]


def test_the_tables_parameters_are_those_of_the_dumps():
    """The last state of SOL-PERP and the one of BTC-PERP in July 2025."""
    for name, day, market in (
        ("SOL-PERP", "2026-03-28", "SOL-PERP 2026-03"),
        ("BTC-PERP", "2025-07-14", "BTC-PERP 2025-07"),
    ):
        dump = next(one for one in vectors()["dumps"] if (one["name"], one["committed"]) == (name, day))
        assert (exact(dump["im"]), exact(dump["mm"]), Fraction(dump["imf_1e6"], E6)) == tuple(
            map(Fraction, MARKETS[market])
        )


@given(st.floats(0, 1e9), st.floats(0.01, 1), st.floats(0, 0.01))
def test_floats_arrays_and_fractions_give_one_ratio(size, ratio, imf):
    """The root of a fraction is exact to twenty places."""
    one = drift.margin_ratio(ratio, size, imf)
    assert drift.margin_ratio(ratio, np.array([size]), imf)[0] == pytest.approx(one, rel=1e-12)
    assert float(drift.margin_ratio(Fraction(ratio), Fraction(size), Fraction(imf))) == pytest.approx(one, rel=1e-12)
    assert drift.asset_weight(ratio, np.array([size]), imf)[0] == pytest.approx(drift.asset_weight(ratio, size, imf))


# -- liquidation


@each("liquidation_unit_vectors", "base to cover")
def test_coins_that_cover_a_shortage(vector):
    """With the dollar at 0.99 the shortage is so many more of it."""
    given_ = inputs(vector)
    missing, price = given_["shortage_usd"], given_["price"]
    made = drift.coins_to_cover(
        missing / given_.get("usdc", 1), price, given_["margin_ratio"], given_["liquidator_fee"], given_["if_fee"]
    )
    assert math.floor(made * E9) == vector["expected"]


@each("liquidation_unit_vectors", "perp insurance fee")
def test_the_insurance_fee_of_a_liquidation(vector):
    given_ = inputs(vector)
    made = drift.insurance_fee(
        given_["max_if_fee"],
        given_["margin_ratio_with_buffer"],
        given_["liquidator_fee"],
        given_["shortage_usd"] / (given_["base"] * given_["price"]),
    )
    assert made * E6 == vector["expected"]


@each("liquidation_unit_vectors", "liquidator fee after waiting")
def test_the_liquidators_fee_grows_when_nobody_comes(vector):
    given_ = inputs(vector)
    assert (
        drift.liquidator_fee_after(given_["base_fee"], given_["max_fee"], int(given_["slots_elapsed"])) * E6
        == vector["expected"]
    )


@each("liquidation_unit_vectors", "max pct")
def test_a_small_shortage_is_covered_at_once(vector):
    missing = inputs(vector)["shortage_usd"]
    assert drift.share_now(missing, 0, Fraction(1, 10), 0) * E4 == vector["expected"]
    assert drift.share_now(Fraction(50), 0, Fraction(1, 10), 0) == Fraction(1, 10)


@each("liquidation_unit_vectors", "perp bankruptcy")
def test_a_loss_is_shared_by_both_sides(vector):
    given_ = inputs(vector)
    made = drift.loss_per_coin(given_["loss_usd"], Fraction(0), given_["long_base"], given_["short_base"])
    assert made * E9 == vector["expected"]


@each("liquidation_unit_vectors", "spot liability transfer")
def test_a_borrow_that_is_repaid_out_of_a_deposit(vector):
    given_ = inputs(vector)
    made = drift.borrow_to_repay(
        given_["shortage_usd"],
        given_["price"],
        given_["asset_weight"],
        given_["liability_weight"],
        given_["if_fee"],
        given_["asset_multiplier"] / given_["liability_multiplier"],
    )
    assert math.floor(made * E9) == vector["expected"]


@each("liquidation_unit_vectors", "spot insurance fee")
def test_the_insurance_fee_of_a_repaid_borrow(vector):
    given_ = inputs(vector)
    weight = given_["asset_weight"] * given_["asset_multiplier"] / given_["liability_multiplier"]
    worth = given_["token"] * given_["price"]
    made = drift.borrow_insurance_fee(given_["max"], given_["shortage_usd"], worth, weight, given_["liability_weight"])
    assert made * E6 == vector["expected"]


STEP = Fraction(1, 100)
LEAST = {"liq_fee": Fraction(1, 100), "if_fee_max": Fraction(1, 100)}
"""Fees of the scenarios that do not say them; coins are traded in hundredths."""


@each("liquidation_scenarios")
def test_a_whole_liquidation(vector):
    """The scenarios of `controller/liquidation/tests`: what is left of the position, and what both fees take."""
    of = LEAST | inputs(vector)
    size, price = abs(of["base"]), of["price"]
    ratio = of["mm"] + of["buffer"]
    profit = of["entry_quote"] + of["base"] * price
    missing = drift.shortage(
        of["deposit"] + profit, of["mm"] * size * price, size * price, of["buffer"], max(Fraction(0), -profit)
    )
    share = drift.share_now(missing, Fraction(0), of.get("initial_pct", Fraction(1)), Fraction(0))
    taken = drift.liquidated(size, price, missing, ratio, of["liq_fee"], of["if_fee_max"], share=share, step=STEP)
    computed = vector["formula"]
    assert missing == exact(computed["shortage_usd"])
    after = of["base"] + taken.coins * (-1 if of["base"] > 0 else 1)
    for name, expected in vector["expected"].items():
        made = {
            "user_base_after": after,
            "user_quote_after": of["entry_quote"]
            + (of["base"] - after) * price
            - taken.liquidator_fee
            - taken.insurance_fee,
            "if_fee_usd": taken.insurance_fee,
        }[name]
        assert abs(made - exact(expected)) < Fraction(1, E6), name
    assert after == exact(computed["user_base_after"])
    assert abs(taken.liquidator_fee - exact(computed["liquidator_fee_usd"])) < Fraction(1, E9)


def test_a_liquidation_over_several_slots():
    """`liquidation_over_multiple_slots`: an order that is cancelled frees $70.01 first, then four sales to the end."""
    vector = vectors()["liquidation_throttle_DL08"]
    given_ = inputs({"inputs": {name: value for name, value in vector["inputs"].items() if name != "open_bid"}})
    price, ratio, duration = given_["price"], given_["maintenance"] + given_["buffer"], given_["duration_slots"]
    base, quote = given_["base"], given_["entry_quote"]
    freed, began = Fraction(7001, 100), vector["expected_slot_base_freed"][0][0]
    for slot, left, freed_after in vector["expected_slot_base_freed"][1:]:
        missing = drift.shortage(given_["deposit"] + quote + base * price, given_["maintenance"] * base * price,
                                 base * price, given_["buffer"], max(Fraction(0), -quote - base * price))  # fmt: skip
        share = drift.share_now(missing, freed, given_["initial_pct"], (slot - began) / duration)
        share = Fraction(math.floor(share * E4), E4)
        taken = drift.liquidated(base, price, missing, ratio, *LEAST.values(), share=share, step=STEP)
        base, before = base - taken.coins, missing
        quote += taken.coins * price - taken.liquidator_fee - taken.insurance_fee
        after = drift.shortage(given_["deposit"] + quote + base * price, given_["maintenance"] * base * price,
                               base * price, given_["buffer"], max(Fraction(0), -quote - base * price))  # fmt: skip
        freed += before - max(Fraction(0), after)
        assert base == exact(left)
        if freed_after:
            assert freed * E6 == freed_after
    assert given_["deposit"] + quote + base * price > given_["maintenance"] * base * price


def test_the_requirement_of_a_borrow_with_and_without_buffer():
    """DS01: 0.406769 SOL at $100 are left, which weigh 110 %, and 112 % with the buffer of 2 %."""
    vector = next(one for one in vectors()["spot_liquidation_scenarios"] if one["id"] == "DS01")
    told, given_ = vector["expected"], inputs(vector)
    worth = exact(told["sol_borrow_after"]) * given_["sol_price"]
    assert worth * given_["maint_liability_weight"] == exact(told["margin_requirement"])
    assert worth * (given_["maint_liability_weight"] + given_["buffer"]) == exact(
        told["margin_requirement_plus_buffer"]
    )
    moved = exact(told["sol_moved"])
    assert moved + exact(told["sol_borrow_after"]) == given_["sol_borrow"]
    assert exact(told["usdc_moved"]) + exact(told["usdc_after"]) == given_["usdc_deposit"]


def test_the_share_of_a_borrow_over_several_slots():
    """DS02: 50 of 150 slots later a third more than at first may be freed."""
    first, second, _ = next(one for one in vectors()["spot_liquidation_scenarios"] if one["id"] == "DS02")["expected"]
    whole = exact(first["freed_usd"]) / exact(first["pct_freed"])
    missing = whole - exact(first["freed_usd"])
    share = drift.share_now(missing, exact(first["freed_usd"]), Fraction(1, 10), Fraction(50, 150))
    assert abs((share * missing + exact(first["freed_usd"])) / whole - exact(second["pct_freed"])) < Fraction(1, 10_000)


def test_the_insurance_fee_of_a_borrow_is_what_is_left():
    """DS03: of 5 % that are configured 2.39 % are taken, the most that leaves the account no worse."""
    vector = next(one for one in vectors()["spot_liquidation_scenarios"] if one["id"] == "DS03")
    given_ = inputs(vector)
    weight = given_["usdt_maint_weight"] * (1 + given_["usdt_liquidator_fee"]) / (1 - given_["sol_liquidator_fee"])
    liability = given_["sol_maint_weight"] + given_["buffer"]
    missing = (
        given_["sol_borrow"] * given_["sol_price"] * liability - given_["usdt_deposit"] * given_["usdt_maint_weight"]
    )
    made = drift.borrow_insurance_fee(given_["sol_if_fee_max"], missing, given_["sol_price"], weight, liability)
    assert 0 < made < given_["sol_if_fee_max"]
    assert abs(made - exact(vector["expected"]["if_tokens_sol"])) < Fraction(1, E6)  # the program has six places


def test_bankruptcies_are_shared():
    """DB1 to DB3: by both sides of a contract, after the fee pool, and by the depositors of a token."""
    loss, pool, spot = vectors()["bankruptcy_scenarios"]
    sides = Fraction(loss["long_base"]), Fraction(loss["short_base"])
    each_side = drift.loss_per_coin(Fraction(loss["loss_usd"]), Fraction(0), *sides)
    assert (each_side, each_side * sides[0]) == (10, loss["each_side_pays_usd"])
    assert drift.loss_per_coin(Fraction(100), Fraction(50), *sides) == pool["funding_index_change_usd_per_base"]
    assert drift.deposits_after(Fraction(1), Fraction(spot["loss"]), Fraction(spot["deposits"])) == exact(
        spot["deposit_index_after"]
    )


def test_losses_need_a_buffer_of_their_own():
    """DX1: a loss of 100 counts as 101 with a buffer of 1 %."""
    without, with_buffer = (
        drift.shortage(Fraction(-100), 0, 0, buffer, Fraction(100)) for buffer in (0, Fraction(1, 100))
    )
    assert (without, with_buffer) == (100, 101)


def test_what_a_borrow_leaves_to_withdraw():
    """DX3: 200 SOL at $100 weigh 80 %, and 10,000 USDC are borrowed: 75 SOL, less the rounding."""
    assert "74.999999" in next(one for one in vectors()["other_tests"] if one["id"] == "DX3")["rule"]
    assert 200 - Fraction(10_000) / (100 * drift.asset_weight(Fraction(8, 10), Fraction(200), Fraction(0))) == 75


# -- interest


@each("borrow_rate_vectors")
def test_the_borrow_rate_above_the_optimal_utilisation(vector):
    """`test_multi_stage_borrow_rate_curve_sol`."""
    names = ("utilisation", "optimal", "optimal_rate", "max_rate")
    assert drift.borrow_rate(*(exact(vector[name]) for name in names)) == exact(vector["expected_rate"])


@each("minimum_rate_vectors")
def test_the_least_rate(vector):
    """In units of half a percent; borrows rounded up, deposits down."""
    least, utilisation = Fraction(vector["min_rate_units_of_0.5pct"], 200), exact(vector["utilisation"])
    rate = drift.borrow_rate(utilisation, Fraction(1, 2), Fraction(1, 10**6), Fraction(1), least)
    made = drift.interest(rate, vector["seconds"])
    assert made == vector["borrow_interest_expected_1e10"]
    assert (
        math.floor(drift.deposit_rate(Fraction(made), utilisation, Fraction(0)))
        == vector["deposit_interest_expected_1e10"]
    )


def test_the_fund_takes_its_share_of_what_borrowers_pay():
    """`check_fee_collection`, its first 100 seconds: an eighth is borrowed, and a thousandth goes to the fund."""
    vector = vectors()["fee_collection_vectors"]
    first = vector["expected"][0]
    kept = drift.deposit_rate(Fraction(first["cum_borrow_1e10"] - E10), Fraction(1, 8), inputs(vector)["if_factor"])
    assert E10 + math.floor(kept) == first["cum_deposit_1e10"]


CURVES = {"DI1": ("0.8", "0.0525", "0.9"), "DI3": ("0.7", "0.15", "2")}
"""Interval -> optimal utilisation, rate there, and the greatest, of the dumps of its time."""


@each("real_interest_intervals")
def test_interest_between_two_states_of_the_chain(vector):
    """The index of USDC borrows grew at the rate that was computed, which the curve gives for its utilisation."""
    first, last = (datetime.fromisoformat(vector[name]) for name in ("from", "to"))
    growth = Fraction(vector["cum_borrow_to"], vector["cum_borrow_from"]) - 1
    rate = growth * drift.SECONDS_PER_YEAR / int((last - first).total_seconds())
    assert abs(rate - exact(vector["recomputed"])) < Fraction(1, E6)
    if vector["id"] in CURVES:
        ends = [
            drift.borrow_rate(exact(each_), *map(Fraction, CURVES[vector["id"]]), Fraction(1, 200), segments=False)
            for each_ in vector["utilisation"].split(" -> ")
        ]
        assert min(ends) - Fraction(1, 10**4) <= rate <= max(ends) + Fraction(1, 10**4)


@given(st.fractions(0, 1), st.fractions(0, 1), st.booleans())
def test_the_borrow_rate_grows_with_utilisation(first, second, segments):
    curve = [Fraction(each_) for each_ in ("0.8", "0.085", "1.5", "0.005")]
    rates = [drift.borrow_rate(each_, *curve, segments=segments) for each_ in sorted((first, second))]
    assert all(low <= high for low, high in pairwise(rates))
    assert drift.borrow_rate(Fraction(1), *curve, segments=segments) == Fraction("1.5")


# -- properties of any liquidation


@given(
    st.fractions(Fraction(1), 10_000),
    st.fractions(Fraction(1), 1_000),
    st.fractions(Fraction(-1, 2), 1),
    st.sampled_from([("0.03", "0.0075", "0.0075"), ("0.05", "0.0075", "0.0125"), ("0.05", "0.01", "0.025")]),
    st.sampled_from([Fraction(1), Fraction(1, 10)]),
)
def test_a_liquidation_heals_or_empties_and_never_takes_more_than_there_is(size, price, share, rules, allowed):
    """The account is in liquidation: its equity is a share of what it needs. What is taken never makes it worse."""
    ratio, fee, most = map(Fraction, rules)
    buffer = Fraction(2, 100)
    equity = share * ratio * size * price
    missing = drift.shortage(equity, ratio * size * price, size * price, buffer)
    now = drift.share_now(missing, 0, allowed, 0)
    taken = drift.liquidated(size, price, missing, ratio + buffer, fee, most, share=now)
    assert 0 <= taken.coins <= size
    left, after = size - taken.coins, equity - taken.liquidator_fee - taken.insurance_fee
    missing_after = drift.shortage(after, ratio * left * price, left * price, buffer)
    assert missing_after <= missing  # closing frees more than it costs, as the fees lie below the margin
    if now == 1:
        assert left == 0 or missing_after <= 0
