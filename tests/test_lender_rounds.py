"""What holds of every liquidation by a lender, whatever its rules: by hypothesis, in exact integers."""

from fractions import Fraction

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from venues.lenders import BAD_DEBT_LTV, Rounds, ToHealth, until_healthy

ATOMS = 10**6
"""Atomic units of a dollar."""


def parts(low, high):
    """Fractions between two numbers of thousandths."""
    return st.integers(low, high).map(lambda thousandths: Fraction(thousandths, 1000))


@st.composite
def procedures(draw):
    """Rules of a lender: a share at a time with a bonus by depth, or to health with fees."""
    line = draw(parts(300, 950))
    if draw(st.booleans()):
        of_collateral, buffer = draw(st.booleans()), draw(parts(0, 50))
        fees = draw(parts(0, 60)), draw(parts(0, 60))
        return ToHealth(
            liquidation_ltv=line,
            liquidator_fee=fees[0],
            insurance_fee=fees[1],
            buffer=buffer,
            of_collateral=of_collateral,
        )
    least = draw(parts(0, 100))
    return Rounds(
        liquidation_ltv=line,
        close_factor=draw(parts(200, 1000)),
        min_bonus=least,
        max_bonus=least + draw(parts(0, 150)),
        max_bonus_ltv=draw(st.none() | st.just(line + Fraction(1, 20))),
        solvent=draw(st.booleans()),
        bad_debt_bonus=draw(st.none() | parts(0, 20)),
        insolvency_ltv=draw(st.none() | parts(950, 1000)),
        small_debt=draw(st.sampled_from([0, 2 * ATOMS])),
        most_per_call=draw(st.none() | st.integers(10**14, 10**16)),
    )


coins = st.integers(10**6, 10**13)
ltvs = parts(300, 1300)
prices = st.integers(1, 10**6).map(lambda number: Fraction(number, 1000))


def health(rules, collateral, debt):
    """How far a position is from its line: below 1 it may be liquidated."""
    return rules.liquidation_ltv * collateral / debt


@given(procedures(), coins, ltvs, prices)
@example(
    ToHealth(liquidation_ltv=0.9, liquidator_fee=0.025, insurance_fee=0.025, of_collateral=True),
    10**9,
    Fraction(91, 100),
    Fraction(1),
)
def test_a_round_changes_the_health_as_its_size_and_its_bonus_say(rules, held, ltv, price):
    """HF' - HF = r (HF - LT (1 + bonus)) / (B - r), exactly; so it rises if and only if HF > LT (1 + bonus)."""
    owed = int(held * price * ltv)
    assume(owed > 0)
    for each in until_healthy(rules, held, owed, price):
        collateral, left, due = held * price, (held - each.seized) * price, owed - each.repaid
        assert 0 < each.repaid <= owed
        assert 0 <= each.seized <= held
        if due and each.seized < held:
            paid = each.seized * price / each.repaid  # 1 + bonus, with the rounding to whole units
            before, after = health(rules, collateral, owed), health(rules, left, due)
            assert after - before == each.repaid * (before - rules.liquidation_ltv * paid) / due
            assert (after > before) == (before > rules.liquidation_ltv * paid)
            assert abs(paid - 1 - each.round.bonus) <= Fraction(2, each.repaid) * max(1, price)
        held, owed = held - each.seized, due


@given(procedures(), coins, ltvs, prices)
def test_a_liquidation_ends_healthy_or_empty(rules, held, ltv, price):
    """Never more is seized than there is, and in the end the position is healthy, or has no coins, or no debt."""
    owed = int(held * price * ltv)
    for each in until_healthy(rules, held, owed, price):
        held, owed = held - each.seized, owed - each.repaid
        assert held >= 0
        assert owed >= 0
    assert held == 0 or not rules.unhealthy(held * price, owed)


@given(procedures(), coins, prices, parts(1, 999))
def test_a_healthy_position_is_left_alone(rules, held, price, below):
    """Below the line nothing happens, at it something does unless the health is back already."""
    owed = int(rules.liquidation_ltv * held * price * below)
    assert not list(until_healthy(rules, held, owed, price))


@given(procedures(), coins, ltvs, prices)
def test_debt_is_left_over_only_where_the_collateral_is_gone(rules, held, ltv, price):
    """What a lender loses is what is owed once all is seized: less than the shortfall and the bonus together."""
    owed = int(held * price * ltv)
    assume(owed > 0)
    began, worth = owed, held * price
    made = list(until_healthy(rules, held, owed, price))
    lost = began - sum(each.repaid for each in made)
    if sum(each.seized for each in made) == held and lost:
        most = max(each.round.bonus for each in made)
        assert lost <= began - worth / (1 + most) + len(made)


@pytest.mark.parametrize("price", [Fraction(1, 10), Fraction(1)])
def test_marginfi_takes_all_where_its_fees_leave_no_way_back(price):
    """At a weight of 96 % the 95 % that are credited make the health worse: everything is seized, and debt is left."""
    rules = ToHealth(liquidation_ltv=0.96, liquidator_fee=0.025, insurance_fee=0.025, of_collateral=True)
    held = 10**9
    owed = int(held * price * Fraction(98, 100))
    (made,) = until_healthy(rules, held, owed, price)
    assert made.seized == held
    assert made.repaid == held * price * Fraction(95, 100)


def test_from_a_loan_of_99_percent_on_the_bonus_is_that_of_bad_debt():
    """Kamino: the larger of 0.99 % and what is left while anything is left, then 0.99 %."""
    rules = Rounds(
        liquidation_ltv=0.75,
        close_factor=0.1,
        min_bonus=0.01,
        max_bonus=0.1,
        bad_debt_bonus=0.0099,
        insolvency_ltv=0.95,
    )
    assert rules.bonus(10_000, 9_899) == (Fraction(101, 10_000), "what is left")
    assert rules.bonus(10_000, int(10_000 * BAD_DEBT_LTV)) == (Fraction(1, 100), "bad debt")
    assert rules.bonus(10_000, 11_000) == (Fraction(99, 10_000), "bad debt")
