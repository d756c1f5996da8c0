"""Jito's stake pool against figures of the program: its own tests, accounts of five epochs, and integer arithmetic."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runs import DATA
from venues.stake_pool import Pool, may_rise, withdrawal_fee

FILE = DATA.parent / "vectors" / "jito.json"
VECTORS = json.loads(FILE.read_text()) if FILE.is_file() else {}
needs_vectors = pytest.mark.skipif(not VECTORS, reason="needs jito.json, which is not ours to ship")
TESTS = {each["id"]: each for each in VECTORS.get("program_tests", [])}
STATES = {each["id"]: each for each in VECTORS.get("real_pool_states", [])}
EPOCH_FEE, WITHDRAWAL_FEE = Fraction(4, 100), Fraction(1, 1000)


def pool_of(epoch):
    """The first account that was seen in an epoch."""
    state = next(each for each in STATES.values() if each["epoch"] == epoch)
    return Pool(state["total"], state["supply"])


def printed(value, digits):
    """Whether a value is what was printed, to the last digit printed."""
    return abs(value - Fraction(digits)) <= Fraction(1, 10 ** len(digits.partition(".")[2]))


@needs_vectors
def test_the_fee_of_a_reward():
    """JT1, a test of the program: 10 % of 10 SOL as tokens, worth one lamport less."""
    given_, expected = TESTS["JT1"]["inputs"], TESTS["JT1"]["formula"]
    pool, fee = Pool(given_["total"], given_["supply"]), Fraction(given_["fee"])
    assert pool.fee_tokens(given_["reward"], fee) == expected["fee_tokens"]
    after = pool.after_epoch(pool.total + given_["reward"], fee)
    assert after.redeem(expected["fee_tokens"]) == TESTS["JT1"]["expected"]["fee_tokens_worth_lamports"]


@needs_vectors
def test_the_fee_and_a_withdrawal_of_an_empty_pool():
    """JT2 and JT3, tests of the program: all of the reward is the manager's, and nothing is paid out."""
    given_ = TESTS["JT2"]["inputs"]
    pool = Pool(given_["total"], given_["supply"])
    assert pool.fee_tokens(given_["reward"], Fraction(given_["fee"])) == TESTS["JT2"]["expected"]["fee_tokens"]
    assert pool.redeem(TESTS["JT3"]["inputs"]["tokens"]) == TESTS["JT3"]["expected"]["lamports"]
    assert pool.mint(7) == 7


@needs_vectors
def test_the_yearly_rate_of_an_epoch():
    """JT4, a test of the program: the step of the rate, for as many epochs as a year has."""
    given_ = TESTS["JT4"]["inputs"]
    before, after = Pool(given_["last_total"], given_["last_supply"]), Pool(given_["total"], given_["supply"])
    yearly = (after.rate / before.rate - 1) * Fraction(str(given_["year_days"])) * 86_400 / given_["epoch_seconds"]
    assert printed(yearly, TESTS["JT4"]["formula"]["apr"])


@needs_vectors
def test_splitting_a_withdrawal_pays_no_more():
    """JT5 and JT6, tests of the program."""
    given_ = TESTS["JT5"]["inputs"]
    pool = Pool(given_["total"], given_["supply"])
    tokens = pool.mint(given_["deposit"])
    assert tokens == TESTS["JT5"]["formula"]["tokens"]
    assert pool.redeem(tokens // 2) == TESTS["JT5"]["formula"]["redeem_half"]
    assert 2 * pool.redeem(tokens // 2) <= given_["deposit"]
    whole = pool.redeem(pool.supply)
    one = pool.redeem(1)
    rest = Pool(pool.total - one, pool.supply - 1).redeem(pool.supply - 1)
    assert (whole, one + rest) == (TESTS["JT6"]["expected"]["all"], TESTS["JT6"]["expected"]["one_then_rest"])


@needs_vectors
def test_how_far_a_withdrawal_fee_may_rise():
    """JT7, a test of the program: half a point at once, and half as much again."""
    assert "refused" in TESTS["JT7"]["expected"]
    assert not may_rise(Fraction(10, 200), Fraction("0.055000000000000005"))
    assert may_rise(Fraction(10, 200), Fraction(11, 200))
    assert not may_rise(Fraction(1, 1000), Fraction(16, 10_000))
    assert may_rise(Fraction(0), Fraction(15, 10_000))
    assert may_rise(Fraction(1, 1000), Fraction(0))


@needs_vectors
@pytest.mark.parametrize("name", STATES)
def test_the_rate_of_a_real_account(name):
    """Accounts of the pool in epochs 537, 539, 710 (twice) and 793: the rate, the one before, and the step."""
    state = STATES[name]
    now, before = Pool(state["total"], state["supply"]), Pool(state["last_total"], state["last_supply"])
    assert printed(now.rate, state["rate"])
    assert printed(before.rate, state["rate_previous_epoch"])
    assert printed((now.rate / before.rate - 1) * 100, state["step_pct"])


@needs_vectors
def test_the_rate_stands_still_within_an_epoch():
    """Two accounts of epoch 710 with other totals have one rate to twelve digits."""
    first, second = (Pool(STATES[name]["total"], STATES[name]["supply"]) for name in ("JP3", "JP4"))
    assert first.total != second.total
    assert abs(first.rate - second.rate) < Fraction(1, 10**12)


@needs_vectors
@pytest.mark.parametrize("vector", VECTORS.get("rate_by_epoch", []), ids=lambda each: str(each["epoch"]))
def test_the_rate_by_epoch(vector):
    """The accounts' rates, and those of the epochs before them."""
    told = {each["epoch"]: each["rate"] for each in STATES.values()}
    told |= {each["epoch"] - 1: each["rate_previous_epoch"] for each in STATES.values()}
    assert told[vector["epoch"]] == vector["rate"]


@needs_vectors
@pytest.mark.parametrize(
    "vector", VECTORS.get("computed_vectors", []), ids=lambda each: f"{each['pool_epoch']} {each['op']}"
)
def test_what_orders_and_epochs_make_of_a_real_account(vector):
    """Computed by integer arithmetic from the program's rules on the accounts: each figure to the lamport."""
    pool = pool_of(vector["pool_epoch"])
    if "tokens_out" in vector:
        tokens = pool.mint(vector["lamports_in"])
        assert tokens == vector["tokens_out"]
        assert pool.redeem(tokens) == vector["redeem_now_no_fee"]
    elif "tokens_in" in vector:
        fee = withdrawal_fee(vector["tokens_in"], WITHDRAWAL_FEE)
        assert (fee, vector["tokens_in"] - fee) == (vector["fee_tokens"], vector["tokens_burnt"])
        assert pool.redeem(vector["tokens_in"] - fee) == vector["lamports_out"]
    else:
        reward = vector.get("reward_lamports", -1_000 * 10**9)
        after = pool.after_epoch(pool.total + reward, EPOCH_FEE)
        assert after.supply - pool.supply == vector["fee_tokens_minted"]
        assert printed(after.rate, vector["rate_after"])
        if reward > 0:
            assert printed(pool.rate, vector["rate_before"])
            assert printed(Fraction(pool.total + reward, pool.supply), vector["rate_if_no_fee"])


lamports = st.integers(1, 10**17)


@given(lamports, lamports, lamports)
def test_nobody_gains_by_going_in_and_out(total, supply, amount):
    """redeem(mint(x)) is at most x, and splitting a deposit or a withdrawal never pays more."""
    pool = Pool(total, supply)
    assert pool.redeem(pool.mint(amount)) <= amount
    half = amount // 2
    assert pool.mint(half) + pool.mint(amount - half) <= pool.mint(amount)
    assert pool.redeem(half) + pool.redeem(amount - half) <= pool.redeem(amount)
    fee = WITHDRAWAL_FEE
    assert withdrawal_fee(half, fee) + withdrawal_fee(amount - half, fee) >= withdrawal_fee(amount, fee)


@given(st.integers(10**9, 10**17), st.integers(10**9, 10**17), st.integers(1, 10**15), st.integers(0, 99))
def test_the_managers_tokens_are_worth_the_fee_and_no_more(total, supply, reward, percent):
    """At most the fee, rounded up, and hardly less: the holders keep the rest of the reward."""
    fee = Fraction(percent, 100)
    pool = Pool(total, supply)
    after = pool.after_epoch(total + reward, fee)
    minted = after.supply - supply
    worth = minted * after.rate
    assert worth <= -(-reward * percent // 100)
    assert worth > -(-reward * percent // 100) - 1 - after.rate
