"""Accrual: each basis against its closed form, row by row and at once, however often a balance changes."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import USDC, Account, FundingSettled
from framework.accrual import FEW_EPOCHS, GROWING, Accrual, Stream, column_of, index_of
from framework.errors import MarketError
from framework.money import perpetual
from tests.markets import flat

ROWS = 12
PAYING, PAID = Account("Income:Desk:Paid", USDC), Account("Assets:Desk:Purse", USDC)
POSITION = Account("Assets:Desk:Position", perpetual("SOL"))
RATES = np.linspace(-0.4, 0.9, ROWS)
MARKET = flat(ROWS, price=64.0, funding=RATES, lending=RATES)


def accrual(basis, on=PAID, share=1.0):
    """A stream on a rate of its own; what is paid on a position has a price."""
    return Accrual(
        debit=PAID, credit=PAYING, kind="paid", event=FundingSettled, on=on, basis=basis, share=share,
        rate="hyperliquid_funding_rate", price="close" if basis == "payment" else "",
    )  # fmt: skip


FORMS = {
    "payment": lambda: np.concatenate(([0.0], np.cumsum(RATES * 64.0))),
    "compounding": lambda: np.concatenate(([1.0], np.cumprod(1 + RATES * MARKET.years))),
    "effective": lambda: np.concatenate(([1.0], np.cumprod((1 + RATES) ** MARKET.years))),
    "simple": lambda: np.concatenate(([0.0], np.cumsum(RATES * MARKET.years))),
    "total": lambda: np.concatenate(([0.0], np.cumsum(RATES))),
}
"""Basis -> its index, as its definition has it."""


@pytest.mark.parametrize("basis", FORMS)
def test_an_index_is_that_of_its_definition(basis):
    """Before the first row and after each."""
    index = index_of(accrual(basis), MARKET)
    assert index.path == pytest.approx(FORMS[basis](), rel=1e-12)
    assert index.values == index.path.tolist()


def test_the_first_of_some_columns_is_meant_that_the_market_has():
    """The last where it has none, which an error then names."""
    assert column_of(MARKET, ("mine", "close", "high")) == "close"
    assert column_of(MARKET, ("mine", "yours", "theirs")) == "theirs"


@pytest.mark.parametrize(("basis", "rate"), [("compounding", -365.0), ("effective", -1.0), ("effective", -1.5)])
def test_a_rate_that_takes_more_than_there_is_is_refused(basis, rate):
    """By the row that has it; a balance that grows cannot get below nothing and back."""
    market = flat(4, funding=[0.0, rate / 2, rate, 0.0])
    words = "row 3, column hyperliquid_funding_rate: a rate that takes more than there is"
    with pytest.raises(MarketError, match=re.escape(words)):
        index_of(accrual(basis), market)


@pytest.mark.parametrize("basis", FORMS)
@given(
    share=st.sampled_from([1.0, -1.0, 0.5, -0.25]),
    bases=st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=FEW_EPOCHS + 3),
    on=st.sampled_from([PAID, POSITION]),
)
def test_what_is_settled_is_the_way_of_the_index_since_the_balance_changed(basis, share, bases, on):
    """Rounded once, so that the rows of an epoch add up to it, whether it is worked out epoch by epoch or at once."""
    stream = Stream(accrual(basis, on, share), index_of(accrual(basis, on, share), MARKET), "desk")
    starts = np.linspace(0, ROWS, len(bases), endpoint=False).astype(int).tolist()
    amounts, sizes, index = [0] * ROWS, [0] * ROWS, FORMS[basis]()
    for base, (start, stop) in zip(bases, pairwise([*starts, ROWS]), strict=True):
        stream.rebase(base, start)
        growing = basis in GROWING
        unit = 1 if growing or basis == "simple" or on is PAID else USDC.scale / on.asset.scale
        factor = (abs(base) if growing or basis == "simple" else base) * unit * share
        way = [round(factor * (index[row] / index[start] if growing else index[row] - index[start]))
               for row in range(start, stop + 1)]  # fmt: skip
        for row, (before, after) in zip(range(start, stop), pairwise(way), strict=True):
            amounts[row] = after - before
            sizes[row] = before if growing else abs(base) if basis == "simple" else base
        assert [stream.after(row) for row in range(start, stop + 1)] == pytest.approx(way, abs=1)
        assert stream.ahead(start, stop).tolist() == pytest.approx(way[1:], abs=1)
        assert stream.settled == (round(factor) if growing else 0)
    found, on_which = stream.amounts(ROWS)
    assert found.tolist() == pytest.approx(amounts, abs=2)
    held = [each for each in range(ROWS) if amounts[each] or found[each]]
    assert on_which[held].tolist() == pytest.approx([sizes[each] for each in held], abs=2)
