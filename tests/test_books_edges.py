"""Edges of the books: accruals, venues and conditions that would otherwise be taken wrongly without a word."""

import pytest
from attrs import frozen

from framework import Venue
from framework.accrual import Accrual
from framework.errors import ScenarioError
from framework.events import InterestAccrued
from framework.formulas import formula
from framework.money import USDC
from framework.venue import CASH, account
from tests.markets import Script, flat, hyperliquid, play


@frozen(kw_only=True)
class Bank(Venue):
    """Interest between three accounts, each of which may be somebody else's."""

    name: str = "bank"
    given: tuple[tuple[str, object], ...] = ()

    income = account("Income:{venue}:Interest", USDC)
    paid = account("Assets:{venue}:Pot", USDC)

    @formula
    def equity(paid):
        return paid

    def accruals(self):
        whose = {"debit": self.paid, "credit": self.income, "on": self.paid, **dict(self.given)}
        yield Accrual(
            kind="interest", event=InterestAccrued, basis="compounding", rate="usdc_borrowing_apy", **whose,
        )  # fmt: skip

    def receive(self, book, source, amount, kind):
        book.transfer(self.paid, source, amount, kind)


OTHER = hyperliquid()


@pytest.mark.parametrize(
    ("part", "whose", "name"),
    [("debit", CASH, "Assets:Wallet:Cash"), ("credit", CASH, "Assets:Wallet:Cash"), ("on", CASH, "Assets:Wallet:Cash"),
     ("debit", OTHER.margin, "Assets:Hyperliquid:Margin"), ("on", OTHER.margin, "Assets:Hyperliquid:Margin")],
)  # fmt: skip
def test_accrual_on_accounts_of_others_is_refused(part, whose, name):
    """With the venue, the accrual and the account; the interest of such an account was lost when it changed."""
    with pytest.raises(ScenarioError) as refused:
        play(flat(3, borrowing=0.365), [Bank(given=((part, whose),)), OTHER], Script())
    assert str(refused.value) == (
        f"venue bank, accrual 'interest': {part} is {name}; expected an account of the venue itself"
    )
