"""Orders at the edge of what can be: what does not go through as a whole leaves no trace, and no run breaks off."""

import pytest
from attrs import field, frozen

from framework import (
    Bridge,
    Close,
    Deposit,
    Move,
    Open,
    Rejected,
    Side,
    TransferArrived,
    TransferFailed,
    TransferSent,
    Withdraw,
    waterfall,
)
from framework.books import Books
from framework.money import USDC, Account
from framework.venue import Venue, Way, account, formula
from tests.markets import Script, asgard, balance, flat, happened, hyperliquid, play

TRANSIT, WALLET = "Assets:Bridge:InTransit", "Assets:Wallet:Cash"


@frozen(kw_only=True)
class Floored(Venue):
    """A venue that only keeps money, and whose margin cannot fall below 0."""

    name: str = "floored"
    bridge: Bridge = field(factory=Bridge)
    margin = account("Assets:{venue}:Margin", USDC, floor=True)

    @formula
    def equity(margin):
        """The money."""
        return margin

    def receive(self, book: Books, source: Account, amount: int, kind: str) -> None:
        """Keep it."""
        book.transfer(self.margin, source, amount, kind)

    def pay(self, book: Books, target: Account, amount: int, kind: str) -> None:
        """Pay it out."""
        book.transfer(target, self.margin, amount, kind)


def test_a_move_that_is_rejected_on_arriving_leaves_no_money_on_its_way():
    """1 USD does not pay the fee of 3 USD on arriving: nothing is sent, and what was asked for is rejected whole."""
    venues = [Floored(), Floored(name="other", bridge=Bridge(fee_usd=3.0, sender_share=0.0))]
    run = play(flat(3), venues, Script(start=[Deposit("floored", 500.0), Move("floored", "other", 1.0)]))
    assert happened(run, TransferSent) == happened(run, TransferArrived) == []
    (rejected,) = happened(run, Rejected)
    assert "Assets:Other:Margin holds 0.000000 USDC and would fall to -2.000000 USDC" in rejected.reason
    assert balance(run, TRANSIT) == 0
    assert balance(run, "Assets:Floored:Margin") == 500_000_000


@pytest.mark.parametrize("order", [Withdraw("asgard", 100.0), Move("asgard", "hyperliquid", 100.0)], ids=str)
def test_money_that_fails_and_that_its_source_no_longer_takes_goes_to_the_wallet(order):
    """The loan that paid it out is repaid by then, and it takes no more: 10,000 USD are there again."""
    broken = asgard(bridge=Bridge(outbound=Way(latency_s=30 * 3_600.0, fails=True)))
    script = Script(start=[Open("asgard", Side.LONG, 10.0, 500.0), order], after={0: [Close("asgard")]})
    run = play(flat(6), [broken, hyperliquid()], script)
    (failed,) = happened(run, TransferFailed)
    assert failed.counterparty == "wallet"
    assert balance(run, TRANSIT) == 0
    assert balance(run, WALLET) == 10_000_000_000
    assert waterfall(run).unexplained == 0
