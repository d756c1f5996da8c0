"""The ledger: facts of single entries, and a machine that compares it with a plain model at every step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from framework import SOL, USDC, Account, Ledger, Stream, Transfer
from framework.accounts import Draft
from framework.ledger import BLOCK
from framework.errors import LedgerError
from framework.units import Asset

CASH = Account("Assets:Wallet:Cash", USDC, floor=True)
CAPITAL = Account("Equity:Capital", USDC)
LOAN = Account("Liabilities:Lender:Loan", USDC, floor=True)
INTEREST = Account("Expenses:Lender:Interest", USDC)
FUNDING = Account("Income:Perp:Funding", USDC)
COINS = Account("Assets:Lender:Collateral", SOL, floor=True)
LENDING = Account("Income:Lender:Lending", SOL)
CHART = (CASH, CAPITAL, LOAN, INTEREST, FUNDING, COINS, LENDING)


def funded(amount=1_000):
    """A ledger with money in the wallet."""
    ledger = Ledger(CHART)
    ledger.post(0, 1, [Transfer(CASH, CAPITAL, amount, "capital")])
    return ledger


def state(ledger):
    """All that a refused entry must leave as it was."""
    return ledger.digest, len(ledger), dict(ledger.balances()), [ledger.principal(account) for account in CHART]


def test_a_transfer_debits_one_account_and_credits_the_other():
    """Balances are debits less credits, so what is paid in is negative in equity."""
    ledger = funded(700)
    assert (ledger.balance(CASH), ledger.balance(CAPITAL)) == (700, -700)


def test_records_are_numbered_from_one_and_name_everything():
    """A record carries time, event, kind, both accounts, asset and amount."""
    ledger = funded()
    ledger.post(5, 2, [Transfer(INTEREST, LOAN, 3, "interest"), Transfer(COINS, LENDING, 4, "lending")])
    first, second, third = ledger
    assert (first.seq, second.seq, third.seq) == (1, 2, 3)
    assert (third.at_ns, third.event, third.kind, third.asset, third.amount) == (5, 2, "lending", "SOL", 4)
    assert (second.debit, second.credit) == ("Expenses:Lender:Interest", "Liabilities:Lender:Loan")


STRANGER = Account("Assets:Nowhere:Cash", USDC)
REFUSED = {
    "zero": ([Transfer(CASH, CAPITAL, 0, "x")], "expected an int above 0 and below 2.63"),
    "negative": ([Transfer(CASH, CAPITAL, -1, "x")], "expected an int above 0 and below 2.63"),
    "a bool": ([Transfer(CASH, CAPITAL, True, "x")], "expected an int above 0 and below 2.63"),
    "a float": ([Transfer(CASH, CAPITAL, 1.0, "x")], "expected an int above 0 and below 2.63"),
    "too large": ([Transfer(CASH, CAPITAL, 2**63, "x")], "expected an int above 0 and below 2.63"),
    "two assets": ([Transfer(CASH, LENDING, 1, "x")], "a transfer moves one asset"),
    "one account": ([Transfer(CASH, CASH, 1, "x")], "a transfer needs two accounts"),
    "an account that is not open": ([Transfer(STRANGER, CASH, 1, "x")], "Assets:Nowhere:Cash in USDC is not open"),
    "an asset below its floor": ([Transfer(CAPITAL, CASH, 1_001, "x")], "would fall to -0.000001 USDC"),
    "a debt below its floor": (
        [Transfer(LOAN, CASH, 1, "x")],
        "Liabilities:Lender:Loan holds .* USDC and would fall to -0.000001 USDC",
    ),
    "the second of two": ([Transfer(INTEREST, LOAN, 1, "new kind"), Transfer(CASH, CAPITAL, 0, "x")], "x of 0 USDC"),
}


@pytest.mark.parametrize(("transfers", "words"), REFUSED.values(), ids=REFUSED)
def test_a_refused_entry_leaves_no_trace(transfers, words):
    """All of an entry is posted or nothing of it."""
    ledger = funded()
    before = state(ledger)
    with pytest.raises(LedgerError, match=words):
        ledger.post(1, 2, transfers)
    assert state(ledger) == before


def test_a_floor_can_be_reached_and_not_passed():
    """Exactly zero is allowed."""
    ledger = funded(500)
    ledger.post(1, 2, [Transfer(CAPITAL, CASH, 500, "out")])
    assert ledger.balance(CASH) == 0
    with pytest.raises(LedgerError):
        ledger.post(1, 3, [Transfer(CAPITAL, CASH, 1, "out")])


def test_time_never_runs_backwards():
    """Neither for entries nor for series."""
    ledger = funded()
    ledger.post(9, 2, [Transfer(INTEREST, LOAN, 1, "interest")])
    with pytest.raises(LedgerError, match="an entry at 8 ns is before the last one at 9 ns"):
        ledger.post(8, 3, [Transfer(INTEREST, LOAN, 1, "interest")])
    with pytest.raises(LedgerError, match="before the last one"):
        ledger.post_series(np.array([8]), 3, [Stream(INTEREST, LOAN, "interest")], np.array([[1]]))


@pytest.mark.parametrize(
    "name", ["Cash", "assets:Cash", "Assets", "Assets:", "Assets:cash", "Assets:A_B", "Money:Cash"]
)
def test_account_names_are_those_of_a_journal(name):
    """A root, then capitalised parts: what beancount and hledger take."""
    with pytest.raises(LedgerError, match="is not one of Assets, Expenses"):
        Account(name, USDC)


def test_an_account_is_opened_once_per_asset():
    """The same name may hold another asset; the same asset twice is refused."""
    ledger = Ledger([Account("Equity:Trading", USDC), Account("Equity:Trading", SOL)])
    with pytest.raises(LedgerError, match="Equity:Trading in SOL is open already"):
        ledger.open(Account("Equity:Trading", SOL))


@pytest.mark.parametrize(
    "change",
    [
        lambda: (1, 2, [Transfer(INTEREST, LOAN, 8, "interest")]),
        lambda: (1, 2, [Transfer(INTEREST, LOAN, 7, "fee")]),
        lambda: (1, 3, [Transfer(INTEREST, LOAN, 7, "interest")]),
        lambda: (2, 2, [Transfer(INTEREST, LOAN, 7, "interest")]),
        lambda: (1, 2, [Transfer(INTEREST, CAPITAL, 7, "interest")]),
        lambda: (1, 2, [Transfer(FUNDING, LOAN, 7, "interest")]),
    ],
)
def test_the_digest_changes_with_every_field(change):
    """Amount, kind, event, time and both accounts are all under the chain."""
    plain, changed = funded(), funded()
    plain.post(1, 2, [Transfer(INTEREST, LOAN, 7, "interest")])
    changed.post(*change())
    assert plain.digest != changed.digest


def test_the_digest_changes_with_a_name():
    """A renamed account breaks the chain as well."""
    assert Ledger([CASH, CAPITAL]).digest != Ledger([CASH, Account("Equity:Capitol", USDC)]).digest


def test_the_chain_has_a_link_per_block():
    """One for the chart, and one for each block of transfers, each over the one before."""
    count = 2 * BLOCK + 1
    ledger = Ledger(CHART)
    ledger.post_series(np.arange(count), 1, [Stream(INTEREST, LOAN, "interest")], np.ones((count, 1), dtype=np.int64))
    assert len(ledger.chain()) == 4
    shorter = Ledger(CHART)
    shorter.post_series(np.arange(BLOCK), 1, [Stream(INTEREST, LOAN, "interest")], np.ones((BLOCK, 1), dtype=np.int64))
    assert shorter.chain() == ledger.chain()[:2]


def test_series_do_not_move_the_principal():
    """It stays what the last single entry left: the anchor of paths."""
    ledger = funded()
    ledger.post(3, 2, [Transfer(INTEREST, LOAN, 10, "interest")])
    ledger.post_series(np.array([4, 5]), 3, [Stream(INTEREST, LOAN, "interest")], np.array([[1], [2]]))
    assert (ledger.balance(LOAN), ledger.principal(LOAN)) == (-13, (-10, 3))


def test_a_series_below_a_floor_is_refused_whole():
    """A path that dips below zero in between is refused, even if it ends above."""
    ledger = funded(5)
    before = state(ledger)
    with pytest.raises(LedgerError, match=r"Assets:Wallet:Cash holds .* USDC and would fall to -0.000001 USDC"):
        ledger.post_series(np.array([1, 2]), 2, [Stream(CASH, FUNDING, "funding")], np.array([[-6], [9]]))
    assert state(ledger) == before


def test_a_draft_knows_the_balances_that_will_be():
    """It adds what it moves to the book, skips zeros, and posts nothing itself."""
    ledger = funded(100)
    draft = Draft(ledger)
    draft.transfer(INTEREST, CASH, 30, "interest")
    draft.transfer(INTEREST, CASH, 0, "interest")
    assert (draft.balance(CASH), ledger.balance(CASH), len(draft.transfers)) == (70, 100, 1)


def test_a_series_may_pay_back_a_loan_to_the_last_unit():
    """The floor of a liability is on its other side, in a series as in an entry."""
    ledger = funded(1_000)
    ledger.post(1, 2, [Transfer(CASH, LOAN, 10, "borrow")])
    before = state(ledger)
    with pytest.raises(LedgerError, match=r"Liabilities:Lender:Loan holds .* USDC and would fall to -0.000001 USDC"):
        ledger.post_series(np.array([2, 3]), 3, [Stream(CASH, LOAN, "repay")], np.array([[-10], [-1]]))
    assert state(ledger) == before
    ledger.post_series(np.array([2, 3]), 3, [Stream(CASH, LOAN, "repay")], np.array([[-10], [1]]))
    assert ledger.balance(LOAN) == -1


def test_a_series_may_spend_to_the_last_unit():
    """The floor holds as well for the account on the paying side of a stream, and for both sides of a row together."""
    ledger = funded(10)
    before = state(ledger)
    streams = [Stream(INTEREST, CASH, "interest"), Stream(CASH, FUNDING, "funding")]
    with pytest.raises(LedgerError, match=r"Assets:Wallet:Cash holds .* USDC and would fall to -0.000001 USDC"):
        ledger.post_series(np.array([1, 2, 3]), 2, streams, np.array([[4, 0], [9, 2], [-50, 0]]))
    assert state(ledger) == before
    ledger.post_series(np.array([1, 2, 3]), 2, streams, np.array([[4, 0], [8, 2], [-50, 0]]))
    assert ledger.balance(CASH) == 50


def test_a_series_ends_at_its_last_settlement():
    """After a series no entry comes before its last row, and one in the same instant is taken."""
    ledger = funded()
    ledger.post_series(np.array([2, 9]), 2, [Stream(CASH, FUNDING, "funding")], np.array([[1], [1]]))
    with pytest.raises(LedgerError, match="an entry at 8 ns is before the last one at 9 ns"):
        ledger.post(8, 4, [Transfer(INTEREST, CASH, 1, "interest")])
    ledger.post(9, 4, [Transfer(INTEREST, CASH, 1, "interest")])


def test_entries_and_series_keep_their_order():
    """Records come in the order of posting, times and event ids too, however entries and series alternate."""
    ledger = funded()
    stream = [Stream(CASH, FUNDING, "funding")]
    ledger.post_series(np.array([1, 2, 3]), 2, stream, np.array([[5], [0], [-3]]))
    ledger.post(4, 4, [Transfer(INTEREST, CASH, 1, "interest")])
    ledger.post_series(np.array([5]), 5, stream, np.array([[7]]))
    assert [(record.at_ns, record.event, record.kind, record.debit, record.amount) for record in ledger] == [
        (0, 1, "capital", CASH.name, 1_000),
        (1, 2, "funding", CASH.name, 5),
        (3, 3, "funding", FUNDING.name, 3),
        (4, 4, "interest", INTEREST.name, 1),
        (5, 5, "funding", CASH.name, 7),
    ]


def test_a_series_is_the_entries_that_it_stands_for():
    """Settlement by settlement as single entries the digest is the same: signs, zeros and new kinds included."""
    streams = [Stream(INTEREST, FUNDING, "funding"), Stream(LENDING, Account("Equity:Coins", SOL), "lending")]
    amounts = [[0, 4], [-3, 0], [2, -1]]
    series, entries = (Ledger([INTEREST, FUNDING, LENDING, streams[1].credit]) for _ in range(2))
    series.post_series(np.array([1, 2, 2]), 1, streams, np.array(amounts))
    event = 0
    for at_ns, row in zip((1, 2, 2), amounts, strict=True):
        for stream, amount in zip(streams, row, strict=True):
            if amount:
                event += 1
                pair = (stream.debit, stream.credit) if amount > 0 else (stream.credit, stream.debit)
                entries.post(at_ns, event, [Transfer(*pair, abs(amount), stream.kind)])
    assert series.digest == entries.digest
    assert series.balances() == entries.balances()


def test_a_refused_entry_does_not_pass_time():
    """What is refused late leaves the time as it was: an earlier entry is still taken."""
    ledger = funded()
    with pytest.raises(LedgerError):
        ledger.post(50, 2, [Transfer(CAPITAL, CASH, 1_001, "out")])
    ledger.post(20, 2, [Transfer(CAPITAL, CASH, 1, "out")])
    assert [record.at_ns for record in ledger] == [0, 20]


def test_the_digest_changes_with_the_unit_and_order_of_accounts():
    """Decimals of an asset, the order of the chart and the order of transfers are under the chain."""
    assert Ledger([CASH]).digest != Ledger([Account(CASH.name, Asset("USDC", 9), floor=True)]).digest
    assert Ledger(CHART).digest != Ledger(CHART[::-1]).digest
    digests = set()
    for amounts in ((1, 2), (2, 1)):
        ledger = funded()
        ledger.post(1, 2, [Transfer(INTEREST, CASH, amount, "interest") for amount in amounts])
        digests.add(ledger.digest)
    assert len(digests) == 2


BAD_SERIES = {
    "back in time": ([5, 3], [[1], [1]], "a series runs back in time"),
    "beyond the integers": ([1, 2], [[2**62], [2**62]], "amounts of a series are not ints that can be summed"),
    "the least integer": ([1], [[-(2**63)]], "amounts of a series are not ints that can be summed"),
    "floats": ([1, 2], [[1.5], [1.5]], "amounts of a series are not ints that can be summed"),
}


@pytest.mark.parametrize(("times", "amounts", "words"), BAD_SERIES.values(), ids=BAD_SERIES)
def test_a_series_that_cannot_be_leaves_no_trace(times, amounts, words):
    """Time runs forward within a series, and its amounts are integers whose sum is one as well."""
    ledger = funded()
    before = state(ledger)
    with pytest.raises(LedgerError, match=words):
        ledger.post_series(np.array(times), 2, [Stream(INTEREST, LOAN, "interest")], np.array(amounts))
    assert state(ledger) == before


@pytest.mark.parametrize(("at_ns", "event"), [(2**63, 2), (-1, 2), (5, 2**70), (5, 0)])
def test_times_and_ids_fit_the_record(at_ns, event):
    """What 64 bits cannot hold is refused, and nothing changes."""
    ledger = Ledger(CHART)
    before = state(ledger)
    with pytest.raises(LedgerError, match="is not"):
        ledger.post(at_ns, event, [Transfer(INTEREST, LOAN, 1, "interest")])
    assert state(ledger) == before


def test_records_cannot_be_written():
    """The journal is append-only, also for those who read it as an array."""
    with pytest.raises(ValueError, match="read-only"):
        funded().records()["amount"][0] = 5


STREAMS = (Stream(CASH, FUNDING, "funding"), Stream(INTEREST, LOAN, "interest"), Stream(COINS, LENDING, "lending"))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40), st.data()
)
def test_a_series_posted_in_any_pieces_is_the_same_ledger(rows, data):
    """Cut into pieces of any length, events go on counting and the digest is that of the whole."""
    amounts = np.array(rows, dtype=np.int64)
    times = np.arange(1, len(rows) + 1)
    whole, pieces = funded(1_000), funded(1_000)
    whole.post_series(times, 2, STREAMS, amounts)
    event, start = 2, 0
    while start < len(rows):
        stop = data.draw(st.integers(start + 1, len(rows)))
        posted = pieces.post_series(times[start:stop], event, STREAMS, amounts[start:stop])
        event, start = event + posted, stop
    assert pieces.digest == whole.digest
    assert pieces.balances() == whole.balances()
    assert len(whole) == 1 + np.count_nonzero(amounts)


class Books(RuleBasedStateMachine):
    """Entries and series on a ledger, beside a model that is a dict of ints."""

    @initialize(amount=st.integers(1, 10**12))
    def fund(self, amount):
        """Capital is paid in."""
        self.ledger, self.now, self.event = Ledger(CHART), 0, 1
        self.model = dict.fromkeys(CHART, 0)
        self.move(CASH, CAPITAL, amount)

    def move(self, debit, credit, amount):
        """One transfer on both."""
        self.event += 1
        self.ledger.post(self.now, self.event, [Transfer(debit, credit, amount, "move")])
        self.model[debit] += amount
        self.model[credit] -= amount

    @rule(step=st.integers(0, 5))
    def wait(self, step):
        """Time passes."""
        self.now += step

    @rule(amount=st.integers(1, 10**9))
    def borrow(self, amount):
        """The wallet grows with the loan."""
        self.move(CASH, LOAN, amount)

    @rule(share=st.integers(1, 100))
    def repay(self, share):
        """A part of the loan, as far as there is money."""
        amount = min(-self.model[LOAN] * share // 100, self.model[CASH])
        if amount:
            self.move(LOAN, CASH, amount)

    @precondition(lambda self: self.model[CASH] > 0)
    @rule()
    def empty(self):
        """The wallet lands exactly on its floor."""
        self.move(CAPITAL, CASH, self.model[CASH])

    @rule(account=st.sampled_from([CASH, LOAN, COINS]))
    def pass_the_floor(self, account):
        """One unit more than there is is refused, and nothing changes."""
        before = state(self.ledger)
        held = self.model[account] * account.sign
        other = LENDING if account is COINS else INTEREST
        pair = (other, account) if account.sign > 0 else (account, other)
        with pytest.raises(LedgerError):
            self.ledger.post(self.now, self.event + 1, [Transfer(*pair, held + 1, "too much")])
        assert state(self.ledger) == before

    @rule(
        rows=st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8)
    )
    def settle(self, rows):
        """A series of settlements; refused if the wallet would fall below zero on the way."""
        amounts = np.array(rows, dtype=np.int64)
        times = np.arange(self.now, self.now + len(rows))
        lowest = self.model[CASH] + min(int(np.cumsum(amounts[:, 0]).min()), 0)
        before = state(self.ledger)
        if lowest < 0:
            with pytest.raises(LedgerError):
                self.ledger.post_series(times, self.event + 1, STREAMS, amounts)
            assert state(self.ledger) == before
            return
        self.ledger.post_series(times, self.event + 1, STREAMS, amounts)
        self.event += int(np.count_nonzero(amounts))
        self.now = int(times[-1])
        for stream, total in zip(STREAMS, amounts.sum(axis=0).tolist(), strict=True):
            self.model[stream.debit] += total
            self.model[stream.credit] -= total

    @invariant()
    def balances_are_those_of_the_model(self):
        """Running balances, the model, and a trial balance from the records are one."""
        if not hasattr(self, "ledger"):
            return
        assert dict(self.ledger.balances()) == self.model
        trial = {(account.name, account.asset.code): 0 for account in CHART}
        for record in self.ledger:
            assert record.amount > 0
            trial[record.debit, record.asset] += record.amount
            trial[record.credit, record.asset] -= record.amount
        assert trial == {(account.name, account.asset.code): held for account, held in self.model.items()}
        for asset in (USDC, SOL):
            assert sum(held for account, held in self.model.items() if account.asset == asset) == 0
        assert all(self.model[account] * account.sign >= 0 for account in (CASH, LOAN, COINS))


Books.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestBooks = Books.TestCase
