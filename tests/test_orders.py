"""Orders in words: every class has its own, and whatever a strategy gave can be told."""

import numpy as np
import pytest
from attrs import fields

from framework import (
    ChargeRebalance,
    Close,
    Deposit,
    Mint,
    Move,
    MoveTokens,
    Open,
    Order,
    PayPenalty,
    Redeem,
    Resize,
    Side,
    Stake,
    Swap,
    Unstake,
    Withdraw,
)
from framework.orders import method_of

WORDS = {
    Open("asgard", Side.LONG, 3.2, 500.0): "a long of 3.2 coins with 500 USD",
    Open("drift", Side.SHORT, np.float64(1.0), 1 / 3, 9.0): "a short of 1 coin with 0.333333333333 USD",
    Open("drift", "short", None, "all"): "a 'short' of None coins with 'all' USD",
    Close("drift", "tired"): "the closing of its position",
    Resize("drift", 0.1 + 0.2): "a resize to 0.3 coins",
    PayPenalty("drift", np.int64(5)): "a penalty of 5 USD",
    Deposit("drift", True): "a deposit of True USD",
    Withdraw("drift", float("nan")): "a withdrawal of nan USD",
    Move("asgard", "drift", 1e9): "a move of 1000000000 USD from asgard to drift",
    MoveTokens("jito", "drift", "JITOSOL", 1.5): "a move of 1.5 JITOSOL from jito to drift",
    Swap("jito", "USDC", "JITOSOL", 99_500.0): "a swap of 99500 USDC for JITOSOL",
    Stake("jito", 2.0): "a stake of 2 coins",
    Unstake("jito", 1): "an unstaking of 1 token",
    Mint("issuer", 5.0): "a mint on 5 USD",
    Redeem("issuer", 5.0): "a redemption of 5 USD",
    ChargeRebalance("issuer", 12.5): "a rebalancing fee on 12.5 USD traded",
}


@pytest.mark.parametrize(("order", "words"), WORDS.items(), ids=map(repr, WORDS))
def test_an_order_in_words(order, words):
    """Sizes and sums to twelve digits, sides by name, what is no number as Python has it."""
    assert str(order) == words


def test_every_order_has_words_of_its_own():
    """No refusal shows the fields of a class."""
    ours = {kind for kind in Order.__subclasses__() if kind.__module__ == "framework.orders"}
    assert {type(order) for order in WORDS} == ours
    for kind in ours:
        assert "=" not in str(kind(*["x"] * len(fields(kind))))


class RollOver(Order):
    """An order of a user's own."""


class USDCSwap2Leg(Order):
    """One with a run of capitals and a digit."""


@pytest.mark.parametrize(
    ("order", "method"),
    [(Open, "open"), (ChargeRebalance, "charge_rebalance"), (MoveTokens, "move_tokens"), (RollOver, "roll_over"),
     (USDCSwap2Leg, "usdcswap2_leg")],
)  # fmt: skip
def test_an_order_is_filled_by_the_method_of_its_name(order, method):
    """The name of the class in lower case, with an underscore where a word begins."""
    assert method_of(order) == method
