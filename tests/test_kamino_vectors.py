"""Kamino's liquidations and interest against figures of the protocol: accounts, its ancestor's tests, its rules."""

import json
import math
from fractions import Fraction
from itertools import islice

import pytest

from tests.runs import DATA
from venues.lenders import Rounds, ToHealth, until_healthy
from venues.lending_rates import (
    apr,
    apy,
    borrowing_rate,
    by_the_clock,
    growth,
    lending_rate,
    utilisation,
)

FILE = DATA.parent / "vectors" / "kamino.json"
VECTORS = json.loads(FILE.read_text()) if FILE.is_file() else {}
needs_vectors = pytest.mark.skipif(not VECTORS, reason="needs kamino.json, which is not ours to ship")
SCALE = 10**18
"""Atomic units of a dollar: enough for the twelve digits that are printed."""
BONUS_BY = {
    "min": "minimum",
    "depth": "depth",
    "max": "maximum",
    "solvency_cap": "what is left",
    "bad_debt": "bad debt",
}
SIZE_BY = {"close_factor": "close factor", "insolvency_100": "insolvency", "value_cap": "cap"}


def of(name):
    """The vectors of one kind."""
    return VECTORS.get(name, [])


def named(name):
    """A parameter set of a test for each vector of a kind, by its id or place."""
    return pytest.mark.parametrize(
        "vector", of(name), ids=[str(each.get("id", place)) for place, each in enumerate(of(name))]
    )


def printed(value, digits):
    """Whether a value is what was printed, to the last digit printed."""
    places = len(digits.partition(".")[2])
    return abs(Fraction(value) - Fraction(digits)) <= Fraction(1, 10**places)


def kamino(name, scale=1):
    """The rules of a parameter set; of two reserves the larger minimum and maximum hold, or the group's maximum."""
    given = VECTORS["parameter_sets"][name]
    most = max(Fraction(given["max_c"]), Fraction(given["max_d"]))
    return Rounds(
        liquidation_ltv=given["thr"],
        close_factor=given["close"],
        min_bonus=max(given["min_c"], given["min_d"], key=Fraction),
        max_bonus=min(most, Fraction(given.get("emode_max", most))),
        bad_debt_bonus=min(given["bad_c"], given["bad_d"], key=Fraction),
        insolvency_ltv=given["insol"],
        small_debt=given["minfull"] * scale,
        most_per_call=given["maxonce"] * scale,
        borrow_factor=given["bf"],
    )


def save(**rules):
    """Save's rules, the ancestor of Kamino's: no insolvency line, and no regard to what is left."""
    given = {"liquidation_ltv": 0.5, "close_factor": 0.2, "min_bonus": 0.05, "max_bonus": 0.05}
    return Rounds(**given | {"solvent": False, "small_debt": 1, "small_debt_included": True} | rules)


@needs_vectors
@named("single_round_vectors")
def test_one_round(vector):
    """Computed from klend's liquidation_operations.rs: the line, bonus and size with their rules, what is left."""
    rules = kamino(vector["params"])
    collateral, debt = Fraction(vector["collateral_usd"]), Fraction(vector["debt_usd"])
    assert printed(debt / collateral, vector["no_bf_ltv"])
    assert printed(debt * rules.borrow_factor / collateral, vector["ltv"])
    assert rules.unhealthy(collateral, debt) == vector["liquidatable"]
    if not vector["liquidatable"]:
        return
    made = rules.round(collateral, debt)
    share = Fraction(VECTORS["parameter_sets"][vector["params"]]["liqfee"])
    figures = {
        "bonus": made.bonus,
        "repaid": made.repaid,
        "seized": made.seized,
        "penalty": made.penalty,
        "protocol_fee_out_of_seized": share * made.penalty,
        "coll_after": collateral - made.seized,
        "debt_after": debt - made.repaid,
    }
    assert dict.fromkeys(figures, True) == {name: printed(value, vector[name]) for name, value in figures.items()}
    assert made.bonus_by == BONUS_BY[vector["bonus_branch"]]
    assert made.size_by == SIZE_BY[vector["size_rule"]]
    if vector["ltv_after"] is None:
        assert made.seized == collateral
    else:
        after = (debt - made.repaid) * rules.borrow_factor / (collateral - made.seized)
        assert printed(after, vector["ltv_after"])


@needs_vectors
@named("repeated_round_vectors")
def test_round_after_round(vector):
    """Computed from klend: repeated calls at one price, in atomic units, with the first and the last round."""
    rules = kamino(vector["params"], SCALE)
    collateral, debt = (int(vector[name]) * SCALE for name in ("collateral_usd", "debt_usd"))
    made = list(islice(until_healthy(rules, collateral, debt, Fraction(1)), vector["rounds"]))
    repaid, seized = sum(each.repaid for each in made), sum(each.seized for each in made)
    left, owed = collateral - seized, debt - repaid
    figures = {
        "total_repaid": Fraction(repaid, SCALE),
        "total_seized": Fraction(seized, SCALE),
        "total_penalty": Fraction(seized - repaid, SCALE),
        "penalty_pct_of_initial_collateral": Fraction(seized - repaid, collateral) * 100,
        "coll_end": Fraction(left, SCALE),
        "debt_end": Fraction(owed, SCALE),
        "ltv_end": Fraction(owed, left),
    }
    assert dict.fromkeys(figures, True) == {name: printed(value, vector[name]) for name, value in figures.items()}
    assert len(made) == vector["rounds"]
    assert rules.unhealthy(left, owed) == (vector["rounds"] == 60)
    held, due = collateral, debt
    told = {each["round"]: each for each in vector.get("trace", [])}
    for number, each in enumerate(made, 1):
        if number in told:
            line = told[number]
            assert printed(Fraction(due, held), line["ltv"])
            assert printed(each.round.bonus, line["bonus"])
            assert printed(Fraction(each.repaid, SCALE), line["repaid"])
            assert printed(Fraction(each.seized, SCALE), line["seized"])
        held, due = held - each.seized, due - each.repaid


@needs_vectors
def test_of_two_debts_the_repaid_one_is_the_limit():
    """Computed from klend: the close factor of the total debt, at most the debt that is being repaid."""
    vector = VECTORS["two_debt_vector"]
    debts = {name: Fraction(usd) for name, usd in vector["debts_usd"].items()}
    total, collateral = sum(debts.values()), Fraction(vector["collateral_usd"])
    made = kamino(vector["params"]).round(collateral, total, debts[vector["repaying"]])
    assert (total / collateral, made.bonus) == (Fraction(vector["ltv"]), Fraction(vector["bonus"]))
    assert (made.repaid, made.seized) == (int(vector["max_repaid"].split()[0]), Fraction(vector["seized"]))


@needs_vectors
@named("solend_repository_vectors")
def test_the_ancestors_own_tests(vector):
    """Unit tests of token-lending, from which klend comes: units of debt settled and of the deposit withdrawn."""
    debt = Fraction(str(vector.get("borrow_usd", vector.get("debt_usd"))))
    units = vector.get("borrow_units", vector.get("debt_units"))
    deposit_usd = Fraction(str(vector.get("deposit_usd", vector["deposit_units"])))
    rules = save(
        close_factor=vector.get("close_factor", 0.2),
        min_bonus=vector.get("bonus", 0.05),
        max_bonus=vector.get("bonus", 0.05),
    )
    made = rules.round(deposit_usd, debt)
    assert made.repaid / debt * units == vector["settle"]
    assert math.floor(made.seized / deposit_usd * vector["deposit_units"]) == vector["withdraw"]


@needs_vectors
def test_saves_constants():
    """Constants of token-lending: a fifth of the debt, all of it up to $1, at most $500,000, a bonus in a line."""
    told = VECTORS["save_constants"]
    small, most = told["full_liquidation_at_or_below_usd"], told["max_per_call_usd"]
    rules = save(
        liquidation_ltv=0.8, close_factor=told["close_factor_pct"] / 100, min_bonus=0.11, max_bonus=0.21,
        max_bonus_ltv=0.9, most_per_call=most, small_debt=small,
    )  # fmt: skip
    assert rules.bonus(100, 80) == (Fraction(11, 100), "minimum")
    assert rules.bonus(100, 85) == (Fraction(16, 100), "depth")
    assert rules.bonus(100, 95) == (Fraction(21, 100), "maximum")
    assert rules.round(100, 85).repaid == 17
    assert rules.round(Fraction(small), small).size_by == "small debt"
    assert rules.round(Fraction(2 * small), Fraction(101, 100) * small).size_by == "close factor"
    assert rules.round(10 * most, 9 * most).repaid == most


@needs_vectors
def test_marginfis_liquidatee_is_credited_what_the_fees_leave():
    """Constants of marginfi-v2: 95 % of the seized value, as much as brings the health to zero."""
    assert "credited 95 %" in VECTORS["marginfi"]["classic"]
    weight = VECTORS["marginfi"]["bank_SOL_2025-12"]["asset_weights"][1]
    rules = ToHealth(liquidation_ltv=weight, liquidator_fee=0.025, insurance_fee=0.025, of_collateral=True)
    made = rules.round(1_000, 910)
    assert made.repaid / made.seized == Fraction(95, 100)
    assert made.seized == Fraction(910 - 900) / (Fraction(95, 100) - Fraction(9, 10))
    assert 910 - made.repaid == Fraction(9, 10) * (1_000 - made.seized)


def test_drifts_spot_market_repays_up_to_its_buffer():
    """A test of drift-labs/protocol-v2 at 0ae3e3b1, liquidate_spot to cover a margin shortage: 1 SOL owed."""
    weight, price = Fraction("1.1"), 100
    rules = ToHealth(
        liquidation_ltv=1 / weight, liquidator_fee=0.001, insurance_fee=0.001, buffer=Fraction("0.02") / weight
    )
    made = rules.round(105, 1 * price)
    assert float(made.repaid / price) == pytest.approx(0.593231, abs=1e-6)
    assert float(made.seized) == pytest.approx(59.441841, abs=5e-5)  # the program rounds a price to 1e-6
    left, owed = 105 - made.seized, price - made.repaid
    assert (weight + Fraction("0.02")) * owed == left


@needs_vectors
@pytest.mark.parametrize(
    "vector", of("borrow_curve_vectors"), ids=lambda each: f"{each['curve'].split()[0]} at {each['utilisation']}"
)
def test_the_rate_of_a_curve(vector):
    """Computed from klend's borrow_rate_curve.rs on curves of chain accounts and of an API sample."""
    curves = {
        "SOL_2025-08-12": of("onchain_values")[1]["curve_util_bps_rate_bps"],
        "USDC_2025-08-05_and_2025-11-03": of("onchain_values")[2]["curve_util_bps_rate_bps"],
        "USDH_2023-06 (API sample)": [[0, 1], [7_000, 1_000], [10_000, 15_000]],
    }
    points = [(share / 10_000, rate / 10_000) for share, rate in curves[vector["curve"]]]
    assert printed(Fraction(borrowing_rate(points, float(vector["utilisation"]))), vector["borrow_rate_per_curve"])


@needs_vectors
def test_a_real_reserve_of_sol():
    """The account of Kamino's SOL reserve in slot 359632276: utilisation and the rate of its curve."""
    dump, bits = VECTORS["dump_check_SOL"], 2**60
    points = [(share / 10_000, rate / 10_000) for share, rate in of("onchain_values")[1]["curve_util_bps_rate_bps"]]
    used = utilisation(dump["available_lamports"], dump["borrowed_sf"] / bits, dump["acc_protocol_fees_sf"] / bits)
    assert printed(Fraction(used), dump["utilisation"])
    assert printed(Fraction(borrowing_rate(points, used)), dump["curve_rate"])


@needs_vectors
def test_a_real_reserve_of_usdc():
    """The account of Kamino's USDC reserve in slot 377723091."""
    dump = VECTORS["dump_check_USDC"]
    points = [(share / 10_000, rate / 10_000) for share, rate in of("onchain_values")[2]["curve_util_bps_rate_bps"]]
    used = utilisation(dump["available"], float(dump["borrowed"]))
    assert printed(Fraction(used), dump["utilisation_without_fees"])
    assert printed(Fraction(borrowing_rate(points, used)), dump["curve_rate"])


@needs_vectors
@named("compounding_vectors")
def test_the_growth_of_a_debt(vector):
    """Computed from klend's reserve.rs: the program's series, and the power that it stands for."""
    rate, slots = Fraction(vector["annual_rate"]), vector["slots"]
    assert printed(growth(rate, slots), vector["factor_program"])
    power = math.exp(slots * math.log1p(float(rate) / 63_072_000))
    assert power == pytest.approx(float(vector["factor_true_power"]), rel=1e-14)


@needs_vectors
@named("apr_apy_vectors")
def test_an_apr_as_an_apy(vector):
    """Computed from klend-sdk's reserve.ts, and the continuous figure that it comes within a billionth of."""
    rate = float(vector["apr"])
    assert apy(rate) == pytest.approx(float(vector["apy_63072000"]), abs=1e-14, rel=1e-13)
    assert math.expm1(rate) == pytest.approx(float(vector["apy_continuous"]), abs=1e-14, rel=1e-13)
    assert apr(float(vector["apy_continuous"])) == pytest.approx(rate, abs=1e-14)


@needs_vectors
@named("supply_apr_vectors")
def test_what_suppliers_earn(vector):
    """Computed from klend-sdk's reserve.ts."""
    figures = (float(vector[name]) for name in ("borrow_apr", "utilisation", "take"))
    assert lending_rate(*figures) == pytest.approx(float(vector["supply_apr"]), rel=1e-14)


@needs_vectors
@named("slot_factor_vectors")
def test_a_rate_by_the_clock(vector):
    """Computed from klend-sdk's reserve.ts: real slots are shorter than the program takes them to be."""
    made = by_the_clock(float(vector["curve_rate"]), float(vector["slot_ms"]))
    assert printed(Fraction(made), vector["wall_clock_apr"])
    assert printed(Fraction(by_the_clock(1.0, float(vector["slot_ms"]))), vector["factor"])


@needs_vectors
@named("api_capture_checks")
def test_captures_of_the_interface(vector):
    """Real replies of Kamino's API: APYs as APRs, and what suppliers earn of them without a host's rate."""
    used = vector["totalBorrow"] / vector["totalSupply"]
    assert used == pytest.approx(vector["utilisation"], abs=1e-9)
    borrowed, supplied = apr(vector["borrowApy"]), apr(vector["supplyApy"])
    assert borrowed == pytest.approx(vector["borrow_apr"], abs=1e-9)
    assert supplied == pytest.approx(vector["supply_apr"], abs=1e-9)
    predicted = lending_rate(borrowed, used, vector["take_rate_used"])
    assert predicted == pytest.approx(vector["supply_apr_predicted_no_host_rate"], abs=1e-9)
    host = borrowed - supplied / (used * (1 - vector["take_rate_used"]))
    assert host == pytest.approx(vector["implied_host_fixed_apr"], abs=1e-6)
