"""Books and ledger: single transfers, and a state machine that compares them with a plain model at every step."""

import hashlib
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from framework import USDC, Account, FundingSettled, InterestAccrued, OrderFilled, Started
from framework.accrual import Accrual
from framework.books import Books
from framework.errors import LedgerError, Rejection
from framework.ledger import BLOCK, RECORD, links, write_out
from framework.money import Asset, perpetual
from framework.venue import CAPITAL, CASH, Venue, account, formula
from tests.markets import flat
from venues.jito import SOL

CONTRACT = perpetual("SOL")
STRANGER = Account("Assets:Nowhere:Cash", USDC)


@frozen(kw_only=True)
class Desk(Venue):
    """A venue with one stream of each kind: a loan that compounds, coins that grow, a position that pays funding."""

    name: str = "desk"

    coins_held = account("Assets:{venue}:Collateral", SOL, floor=True)
    loan = account("Liabilities:{venue}:Loan", USDC, floor=True)
    margin = account("Assets:{venue}:Margin", USDC)
    position = account("Assets:{venue}:Position", CONTRACT)
    traded = account("Equity:{venue}:Trading", CONTRACT)
    bought = account("Equity:{venue}:Trading", SOL)
    funding = account("Income:{venue}:Funding", USDC)
    lending = account("Income:{venue}:Lending", SOL)
    interest = account("Expenses:{venue}:Interest", USDC)

    @formula
    def equity(margin, loan):
        return margin + loan

    def accruals(self):
        yield Accrual(
            debit=self.interest, credit=self.loan, kind="interest", event=InterestAccrued, on=self.loan,
            basis="compounding", rate="usdc_borrowing_apy",
        )  # fmt: skip
        yield Accrual(
            debit=self.coins_held, credit=self.lending, kind="lending", event=InterestAccrued, on=self.coins_held,
            basis="compounding", rate="sol_lending_apy",
        )  # fmt: skip
        yield Accrual(
            debit=self.margin, credit=self.funding, kind="funding", event=FundingSettled, on=self.position,
            basis="payment", rate="hyperliquid_funding_rate", price="close", share=-1.0,
        )  # fmt: skip


DESK = Desk()


def opened(amount=1_000, market=None, venue=DESK):
    """Books with money in the wallet, before the first row of a market has passed."""
    books = Books(market or flat(4), [venue])
    books.begin(None, None)
    books.transfer(CASH, CAPITAL, amount, "capital")
    books.commit(Started(at_ns=books.at_ns, amount=amount), None)
    return books


def fill(books, *transfers, cause=None, venue=DESK):
    """One entry of these transfers."""
    books.begin(venue, None)
    for each in transfers:
        books.transfer(*each)
    return books.commit(OrderFilled(at_ns=books.at_ns, venue=venue.name, order="move", price=1.0), cause)


def state(books):
    """All that a refused or rejected entry must leave as it was."""
    for standing in books.standings.values():
        standing.refresh()
    streams = [(each.base, each.since, each.start, each.settled, list(each.epochs)) for each in books.streams]
    return dict(books.balances), list(books.journal), list(books.written), streams


def finished(books):
    """What is written out once all rows have passed."""
    books.settle(len(books.market))
    for standing in books.standings.values():
        standing.refresh()
    return write_out(books)


def test_a_transfer_debits_one_account_and_credits_the_other():
    """Balances are debits less credits, so capital that is paid in is negative in equity."""
    books = opened(700)
    assert (books[CASH], books[CAPITAL]) == (700, -700)
    assert books.units(CASH) == 0.0007


def test_a_negative_transfer_runs_the_other_way_and_zero_is_none():
    """The journal has positive amounts alone."""
    books = opened(700)
    entry = fill(books, (CASH, DESK.loan, -0, "none"), (CASH, DESK.margin, -200, "deposit"))
    assert entry.transfers == [(DESK.margin, CASH, 200, "deposit")]


def test_records_are_numbered_from_one_and_name_everything():
    """A record has time, event, kind, both accounts, asset and amount."""
    books = opened()
    fill(books, (DESK.interest, DESK.loan, 3, "fee"), (DESK.coins_held, DESK.bought, 4, "buy"))
    first, second, third = finished(books).ledger
    assert (first.seq, second.seq, third.seq) == (1, 2, 3)
    assert (third.at_ns, third.event, third.kind) == (books.market.open_ns[0], 2, "buy")
    assert (third.asset, third.amount) == ("SOL", 4)
    assert (second.debit, second.credit) == ("Expenses:Desk:Interest", "Liabilities:Desk:Loan")


WHOLE = "expected an int of atomic units"
TOO_LARGE = r"9.22337e\+12 USDC do not fit in the books, which count up to 9.22337e\+12 in units of 1e-6; expected"
REFUSED = {
    "a bool": ((CASH, CAPITAL, True, "x"), WHOLE),
    "a float": ((CASH, CAPITAL, 1.0, "x"), WHOLE),
    "a number of numpy": ((CASH, CAPITAL, np.int64(1), "x"), WHOLE),
    "too large": ((CASH, CAPITAL, 2**63, "x"), TOO_LARGE),
    "too large the other way": ((CASH, CAPITAL, -(2**63), "x"), TOO_LARGE),
    "two assets": ((CASH, DESK.lending, 1, "x"), "a transfer moves one asset: Assets:Wallet:Cash holds USDC, Inc"),
    "one account": ((CASH, CASH, 1, "x"), "a transfer needs two accounts, not Assets:Wallet:Cash twice"),
    "an account that is not open": ((STRANGER, CASH, 1, "x"), "Assets:Nowhere:Cash in USDC is not open; expected one"),
    "another account of the name": ((Account(CASH.name, USDC), CAPITAL, 1, "x"), "Assets:Wallet:Cash in USDC is not"),
}


@pytest.mark.parametrize(("transfer", "words"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("before", [(), ((DESK.margin, CASH, 5, "deposit"), (DESK.interest, DESK.loan, 2, "new"))])
def test_a_refused_transfer_leaves_no_trace(transfer, words, before):
    """Rolled back, the books are as they were, also where other transfers of the entry were right."""
    books = opened()
    books.settle(2)
    known = state(books)
    books.begin(DESK, None)
    for each in before:
        books.transfer(*each)
    with pytest.raises(LedgerError, match=words):
        books.transfer(*transfer)
    assert len(books.written) == len(before)
    books.rollback()
    assert state(books) == known


def test_an_account_that_gives_too_much_is_refused_with_what_it_would_owe():
    """Though neither the amount nor what receives it is too large for the books."""
    books = opened(2**62)
    books.begin(DESK, None)
    with pytest.raises(LedgerError, match=TOO_LARGE):
        books.transfer(DESK.margin, CAPITAL, 2**62, "x")


def test_turnover_is_what_went_through_on_the_days_before():
    """Either way, by orders and acts; what accrues is none, and today's is not yet counted."""
    books, found = opened(), []
    for rows, transfer in ((1, (DESK.margin, CASH, 5)), (2, (CASH, DESK.margin, 3)), (3, (DESK.margin, CASH, 11))):
        books.settle(rows)
        fill(books, (*transfer, "move"))
        found.append([books.turnover(DESK.margin, days) for days in (1, 2, 30)])
        assert books.turnover(DESK.loan, 30) == 0
    assert found == [[0, 0, 0], [5, 5, 5], [3, 8, 8]]


FLOORS = {
    "an asset": ((CAPITAL, CASH, 1_001, "x"), r"Assets:Wallet:Cash holds 0.001000 USDC and would fall to -0.000001"),
    "a debt": ((DESK.loan, CASH, 1, "x"), r"Liabilities:Desk:Loan holds .* USDC and would fall to -0.000001 USDC"),
}


@pytest.mark.parametrize(("transfer", "words"), FLOORS.values(), ids=FLOORS)
def test_an_entry_below_a_floor_is_rejected_whole(transfer, words):
    """A rejection when the entry is committed; nothing of it is left."""
    books = opened()
    known = state(books)
    with pytest.raises(Rejection, match=words):
        fill(books, (DESK.coins_held, DESK.bought, 1, "buy"), transfer)
    assert state(books) == known


def test_a_floor_is_judged_when_the_entry_is_complete():
    """Money may be spent before it is received, within one entry."""
    books = opened(500)
    fill(books, (DESK.margin, CASH, 600, "out"), (CASH, DESK.loan, 100, "in"))
    assert books[CASH] == 0
    with pytest.raises(Rejection):
        fill(books, (DESK.margin, CASH, 1, "out"))


@pytest.mark.parametrize(
    "name", ["Cash", "assets:Cash", "Assets", "Assets:", "Assets:cash", "Assets:A_B", "Money:Cash"]
)
def test_account_names_are_those_of_a_journal(name):
    """A root, then capitalised parts: what beancount and hledger take."""
    with pytest.raises(LedgerError, match="is not one of Assets, Expenses"):
        Account(name, USDC)


@frozen(kw_only=True)
class Twice(Venue):
    """A venue with an account of the wallet's name, or of the name of one of its own."""

    name: str = "wallet"
    first = account("Assets:{venue}:Cash", USDC)

    @formula
    def equity(first):
        return first


def test_an_account_is_opened_once_per_asset():
    """The same name may hold another asset; the same asset twice is refused, across venues and the wallet."""
    names = [(each.name, each.asset.code) for each in Books(flat(2), [DESK]).balances]
    assert {("Equity:Desk:Trading", "SOL"), ("Equity:Desk:Trading", "SOL-PERP")} < set(names)
    with pytest.raises(LedgerError, match="Assets:Wallet:Cash in USDC is open already"):
        Books(flat(2), [Twice()])
    with pytest.raises(LedgerError, match="Assets:AB:Cash in USDC is open already"):
        Books(flat(2), [Twice(name="a_b"), Twice(name="a__b")])


def sealed(transfer=(DESK.interest, DESK.loan, 7, "fee"), *, rows=0, events=1, venue=DESK):
    """The digest of books with one transfer in them."""
    books = opened()
    if rows:
        books.settle(rows)
    for _ in range(events - 1):
        fill(books)
    fill(books, transfer, venue=venue)
    return finished(books).ledger.digest


def test_the_digest_changes_with_every_field():
    """Amount, kind, both accounts, time and event id are under the chain."""
    digests = [
        sealed(),
        sealed((DESK.interest, DESK.loan, 8, "fee")),
        sealed((DESK.interest, DESK.loan, 7, "interest")),
        sealed((DESK.interest, CAPITAL, 7, "fee")),
        sealed((DESK.funding, DESK.loan, 7, "fee")),
        sealed(rows=1),
        sealed(events=2),
    ]
    assert len(set(digests)) == len(digests)
    assert sealed() == digests[0]


def test_the_digest_changes_with_names_units_and_the_order_of_the_chart():
    """They are in the first link."""
    empty = np.empty(0, dtype=RECORD)
    chart = finished(opened()).ledger.chart()
    charts = [chart]
    for key, change in (
        ("accounts", lambda rows: [["Assets:Wallet:Cahs", "USDC"], *rows[1:]]),
        ("accounts", lambda rows: rows[::-1]),
        ("assets", lambda rows: [["USDC", 9], *rows[1:]]),
        ("floored", lambda rows: rows[1:]),
        ("buckets", lambda rows: [["fees"], *rows[1:]]),
        ("kinds", lambda rows: [*rows, ["more"]]),
    ):
        charts.append({**chart, key: change(chart[key])})
    assert len({list(links(each, [empty]))[-1] for each in charts}) == len(charts)


@given(st.integers(0, 2 * BLOCK + 1), st.lists(st.integers(1, BLOCK + 5), max_size=6))
@settings(max_examples=20)
def test_the_chain_has_a_link_per_block_however_the_records_come(count, pieces):
    """One for the chart and one for each block, the last of which may be short."""
    records = np.zeros(count, dtype=RECORD)
    records["amount"] = np.arange(1, count + 1)
    cuts = np.cumsum(pieces)
    batches = np.split(records, cuts[cuts < count])
    chain = list(links("chart", batches))
    assert chain == list(links("chart", [records]))
    assert len(chain) == 1 + -(-count // BLOCK)
    whole = count // BLOCK
    assert chain[: 1 + whole] == list(links("chart", [records[: whole * BLOCK]]))


def test_the_chain_is_that_of_its_definition():
    """SHA-256 over the link before and the bytes of the block, worked out here by itself."""
    records = np.zeros(2 * BLOCK + 7, dtype=RECORD)
    records["amount"] = np.arange(len(records))
    link = hashlib.sha256(b'"chart"').digest()
    expected = [link.hex()]
    for block in (records[:BLOCK], records[BLOCK : 2 * BLOCK], records[2 * BLOCK :]):
        link = hashlib.sha256(link + block.tobytes()).digest()
        expected.append(link.hex())
    assert list(links("chart", [records])) == expected


def test_records_cannot_be_written():
    """The journal is append-only, also for those who read it as an array."""
    with pytest.raises(ValueError, match="read-only"):
        finished(opened()).ledger.records()["amount"][0] = 5


def test_settlements_and_entries_keep_their_order():
    """Settlements of a row come in the order of the streams, then what was done after it; zeros are left out."""
    books = opened(10**9, flat(3, price=64.0, funding=[0.5, 0.0, -0.25], borrowing=[365.0, 0.0, 365.0]))
    traded = (DESK.position, DESK.traded, -(10**9), "trade")
    first = fill(books, traded, (CASH, DESK.loan, 5, "loan"))
    books.settle(1)
    fill(books, (DESK.margin, CASH, 7, "deposit"), cause=first)
    written = finished(books)
    assert [(each.event, each.kind, each.amount) for each in written.ledger] == [
        (1, "capital", 10**9),
        (2, "trade", 10**9),
        (2, "loan", 5),
        (3, "interest", 5),
        (4, "funding", 32_000_000),
        (5, "deposit", 7),
        (6, "interest", 10),
        (7, "funding", 16_000_000),
    ]
    events = list(written.events)
    assert [(each.event, each.cause) for each in events] == [
        (1, None), (2, None), (3, None), (4, None), (5, 2), (6, None), (7, None),
    ]  # fmt: skip
    assert [each.amount for each in events if each.kind == "FundingSettled"] == [32_000_000, -16_000_000]
    assert written.ledger.balance(DESK.loan) == -20
    assert len(written.events) == len(events) == 7
    market = books.market
    assert [each.at_ns for each in events] == [market.open_ns[0]] * 2 + [market.at_ns[0]] * 3 + [market.at_ns[2]] * 2


def test_a_ledger_finds_its_accounts_by_name():
    """And says which there is not."""
    ledger = finished(opened(700)).ledger
    assert ledger.balance(ledger.account("Assets:Wallet:Cash")) == ledger.holding(USDC) == 700
    assert (ledger.holding(SOL), ledger.holding(Asset("BTC", 9))) == (0, 0)
    with pytest.raises(LedgerError, match="account Assets:Wallet:Cash in SOL is not open"):
        ledger.account("Assets:Wallet:Cash", "SOL")


RATES = st.sampled_from([0.0, 365.0, -182.5, 1095.0])
"""Rates per year that multiply a balance by 1, 2, 1/2 and 4 in a row of a day: floats say them exactly."""
PAYMENTS = st.sampled_from([0.0, 0.25, -0.5])
ROWS = 8
PRICE = 64.0


class Machine(RuleBasedStateMachine):
    """Entries, refusals, rejections and rows on the books, beside a model of integers and fractions."""

    @initialize(
        amount=st.integers(1, 10**12),
        borrowing=st.lists(RATES, min_size=ROWS, max_size=ROWS),
        lending=st.lists(RATES, min_size=ROWS, max_size=ROWS),
        funding=st.lists(PAYMENTS, min_size=ROWS, max_size=ROWS),
    )
    def fund(self, amount, borrowing, lending, funding):
        """Capital is paid in."""
        self.market = flat(ROWS, price=PRICE, borrowing=borrowing, lending=lending, funding=funding)
        self.growth = {
            DESK.loan: [1 + Fraction(rate) / 365 for rate in borrowing],
            DESK.coins_held: [1 + Fraction(rate) / 365 for rate in lending],
        }
        self.paid = [Fraction(rate) * 64 for rate in funding]
        self.books, self.row, self.done = opened(amount, self.market), 0, [("open", amount)]
        self.plain = dict.fromkeys(self.books.balances, 0)
        self.base = {DESK.loan: (0, 0), DESK.coins_held: (0, 0), DESK.position: (0, 0)}
        self.model = {**self.plain, CASH: amount, CAPITAL: -amount}

    # -- the model

    def move(self, *transfers):
        """One entry on both."""
        fill(self.books, *transfers)
        self.done.append(("fill", transfers))
        for debit, credit, amount, _ in transfers:
            self.model[debit] += amount
            self.model[credit] -= amount
        for debit, credit, amount, _ in transfers:
            for each in (debit, credit) if amount else ():
                if each in self.base:
                    self.base[each] = (self.model[each], self.row)

    @precondition(lambda self: self.row < ROWS)
    @rule(rows=st.integers(1, 4))
    def let_rows_pass(self, rows):
        """Interest multiplies what the last change left, rounded once; funding pays on the position."""
        before, self.row = self.row, min(ROWS, self.row + rows)
        self.books.settle(self.row)
        self.done.append(("settle", self.row))
        for each, other in ((DESK.loan, DESK.interest), (DESK.coins_held, DESK.lending)):
            base, since = self.base[each]
            factor = Fraction(1)
            for growth in self.growth[each][since : self.row]:
                factor *= growth
            gain = round(base * factor) - self.model[each]
            self.model[each] += gain
            self.model[other] -= gain
        contracts, _ = self.base[DESK.position]
        gain = int(-Fraction(contracts, 10**9) * sum(self.paid[before : self.row], Fraction(0)) * 10**6)
        self.model[DESK.margin] += gain
        self.model[DESK.funding] -= gain

    @rule(amount=st.integers(1, 10**9))
    def borrow(self, amount):
        """The wallet grows with the loan."""
        self.move((CASH, DESK.loan, amount, "borrow"))

    @rule(share=st.integers(1, 100))
    def repay(self, share):
        """A part of the loan, as far as there is money."""
        amount = min(-self.model[DESK.loan] * share // 100, self.model[CASH])
        self.move((DESK.loan, CASH, amount, "repay"))

    @rule(coins=st.integers(1, 10**9))
    def buy(self, coins):
        """Coins that grow."""
        self.move((DESK.coins_held, DESK.bought, coins, "buy"))

    @rule(contracts=st.integers(-1_000, 1_000))
    def trade(self, contracts):
        """A position that pays or is paid; whole coins, so that payments are whole as well."""
        self.move((DESK.position, DESK.traded, contracts * 10**9, "trade"), (DESK.margin, CASH, 0, "none"))

    @precondition(lambda self: self.model[CASH] > 0)
    @rule()
    def empty_the_wallet(self):
        """It lands exactly on its floor."""
        self.move((DESK.margin, CASH, self.model[CASH], "deposit"))

    @rule(which=st.sampled_from(["cash", "loan", "coins"]), more=st.integers(1, 5))
    def pass_a_floor(self, which, more):
        """A unit more than there is: rejected, and nothing changes."""
        asked = {
            "cash": (DESK.margin, CASH, self.model[CASH] + more, "x"),
            "loan": (DESK.loan, CAPITAL, -self.model[DESK.loan] + more, "x"),
            "coins": (DESK.bought, DESK.coins_held, self.model[DESK.coins_held] + more, "x"),
        }[which]
        known = state(self.books)
        with pytest.raises(Rejection, match="expected 0 or more"):
            fill(self.books, (DESK.position, DESK.traded, 10**9, "trade"), asked)
        assert state(self.books) == known

    @rule(amount=st.integers(1, 10**9))
    def write_and_take_back(self, amount):
        """What was written and rolled back was never there."""
        known, books = state(self.books), self.books
        books.begin(DESK, None)
        books.transfer(CASH, DESK.loan, amount, "borrow")
        books.transfer(DESK.position, DESK.traded, 10**9, "trade")
        assert books[CASH] == self.model[CASH] + amount
        with pytest.raises(LedgerError):
            books.transfer(CASH, DESK.bought, amount, "buy")
        books.rollback()
        assert state(books) == known

    # -- what always holds

    @invariant()
    def balances_are_those_of_the_model(self):
        """Balances as they are read, the model, and zero for the sum of every asset."""
        if not hasattr(self, "books"):
            return
        assert {each: self.books[each] for each in self.model} == self.model
        sums = Counter()
        for each, held in self.model.items():
            sums[each.asset] += held
        assert not any(sums.values())
        assert all(self.model[each] * each.sign >= 0 for each in self.model if each.floor)

    def teardown(self):
        """Written out, the journal adds up to the balances, and is the same however the rows were cut."""
        if not hasattr(self, "books"):
            return
        written = finished(self.books)
        trial = {(each.name, each.asset.code): 0 for each in self.books.balances}
        times = []
        for record in written.ledger:
            assert record.amount > 0
            trial[record.debit, record.asset] += record.amount
            trial[record.credit, record.asset] -= record.amount
            times.append((record.at_ns, record.event))
        assert times == sorted(times)
        assert trial == {(each.name, each.asset.code): held for each, held in self.books.balances.items()}
        assert [each.event for each in written.events] == list(range(1, len(written.events) + 1))
        again = None
        for what, value in self.done:
            if what == "open":
                again = opened(value, self.market)
            elif what == "fill":
                fill(again, *value)
            else:
                for rows in range(again.rows + 1, value + 1):
                    again.settle(rows)
                    state(again)
        self.agree(written)
        single = finished(again)
        assert single.ledger.digest == written.ledger.digest
        assert list(single.events) == list(written.events)

    def agree(self, written):
        """The curve of each account is what its transfers come to, and kinds are numbered as they first appear."""
        records, ledger = written.ledger.records(), written.ledger
        assert list(dict.fromkeys(records["kind"].tolist())) == list(range(len(ledger.kinds)))
        closes = self.market.at_ns[:-1]  # what is done once the last row has passed belongs to none
        for code, each in enumerate(ledger.accounts):
            signs = (records["debit"] == code).astype(int) - (records["credit"] == code).astype(int)
            balances = [int((records["amount"] * signs)[records["at_ns"] <= close].sum()) for close in closes]
            assert written.path(each)[:-1].tolist() == balances


Machine.TestCase.settings = settings(stateful_step_count=25)
TestBooks = Machine.TestCase


def test_a_stream_with_the_name_of_another_kind_is_numbered_as_it_first_appears():
    """Codes of kinds follow the records, whether settlements or entries bring them."""
    market = flat(3, price=64.0, funding=[0.0, 0.5, 0.5], borrowing=365.0)
    books = opened(10**9, market)
    fill(books, (DESK.position, DESK.traded, 10**9, "funding"), (CASH, DESK.loan, 5, "loan"))
    ledger = finished(books).ledger
    assert ledger.kinds == ("capital", "funding", "loan", "interest")
    assert [ledger.kinds[code] for code in ledger.records()["kind"].tolist()] == [each.kind for each in ledger]


SHRINKING = flat(4, price=64.0, lending=-1_000.0)


@frozen(kw_only=True)
class Costly(Desk):
    """A lender that pays its rate on coins in money that may not fall below zero."""

    purse = account("Assets:{venue}:Purse", USDC, floor=True)

    def accruals(self):
        yield Accrual(
            debit=self.purse, credit=self.funding, kind="interest", event=InterestAccrued, on=self.coins_held,
            basis="simple", rate="sol_lending_apy",
        )  # fmt: skip


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize(("paid_in", "held", "after"), [(10_000_000, 0, -10), (15_000_000, 5, -5)])
def test_what_accrues_may_not_pass_a_floor_either(every, paid_in, held, after):
    """It is refused with the first row in which it would, as if rows were entered one by one; the floor is allowed."""
    venue = Costly()
    books = opened(30_000_000, SHRINKING, venue)
    fill(books, (venue.coins_held, venue.bought, 3_650_000, "buy"), (venue.purse, CASH, paid_in, "in"), venue=venue)
    for rows in range(every, 3, every):
        books.settle(rows)
        state(books)
    with pytest.raises(LedgerError) as refused:
        finished(books)
    assert str(refused.value) == (
        f"row 2 (2025-01-02): Assets:Desk:Purse holds {held}.000000 USDC and would fall to {after}.000000 USDC; "
        "expected 0 or more"
    )
    books = opened(40_000_000, SHRINKING, venue)
    fill(books, (venue.coins_held, venue.bought, 3_650_000, "buy"), (venue.purse, CASH, 40_000_000, "in"), venue=venue)
    assert finished(books).ledger.balance(venue.purse) == 0


@frozen(kw_only=True)
class Draining(Desk):
    """A lender that takes its rate on coins out of money that may not fall below zero."""

    purse = account("Assets:{venue}:Purse", USDC, floor=True)

    def accruals(self):
        yield Accrual(
            debit=self.funding, credit=self.purse, kind="interest", event=InterestAccrued, share=0.5,
            on=self.coins_held, basis="simple", rate="sol_lending_apy",
        )  # fmt: skip


def test_what_is_taken_by_a_stream_may_not_pass_a_floor_either():
    """Both the debit and the credit account are checked, and an event has half the rate where its share is one half."""
    venue = Draining()
    market = flat(4, price=64.0, lending=1_000.0)
    books = opened(30_000_000, market, venue)
    fill(books, (venue.coins_held, venue.bought, 7_300_000, "buy"), (venue.purse, CASH, 10_000_000, "in"), venue=venue)
    with pytest.raises(LedgerError, match=r"row 2 .*Assets:Desk:Purse holds 0.000000 USDC and would fall to -10"):
        finished(books)
    books = opened(40_000_000, market, venue)
    fill(books, (venue.coins_held, venue.bought, 7_300_000, "buy"), (venue.purse, CASH, 40_000_000, "in"), venue=venue)
    written = finished(books)
    assert written.ledger.balance(venue.purse) == 0
    books = opened(40_000_000, market, venue)
    fill(books, (venue.coins_held, venue.bought, 7_300_000, "buy"), (venue.purse, CASH, 39_999_999, "in"), venue=venue)
    with pytest.raises(LedgerError, match=r"would fall to -0.000001 USDC"):
        finished(books)
    (stream,) = written.events.settlements.of
    assert stream.rate == pytest.approx(market["sol_lending_apy"] * market.years / 2)


@frozen(kw_only=True)
class Earning(Desk):
    """A lender that takes what coins earn off a debt."""

    debt = account("Liabilities:{venue}:Debt", USDC, floor=True)

    def accruals(self):
        yield Accrual(
            debit=self.debt, credit=self.funding, kind="interest", event=InterestAccrued, share=0.5,
            on=self.coins_held, basis="simple", rate="sol_lending_apy",
        )  # fmt: skip


EARNING = Earning()


@pytest.mark.parametrize(
    ("first", "later", "row", "held", "after"),
    [
        (44, -5, "row 4 (2025-01-04)", 9, -1),
        (34, -15, "row 2 (2025-01-02)", 9, -1),
        (5, 35, "row 1 (2025-01-01)", 5, -5),
    ],
    ids=["a dollar more than was owed", "repaid after a row", "borrowed too late"],
)
def test_a_debt_is_not_paid_off_beyond_nothing(first, later, row, held, after):
    """Ten dollars of it in a row; what is borrowed or repaid counts from the row after which it was."""

    def written(first, later):
        books, debt = opened(90_000_000, flat(4, price=64.0, lending=1_000.0), EARNING), EARNING.debt
        bought = (EARNING.coins_held, EARNING.bought, 7_300_000, "buy")
        fill(books, bought, (CASH, debt, first * 10**6, "first"), venue=EARNING)
        books.settle(1)
        fill(books, (CASH, debt, later * 10**6, "later"), venue=EARNING)
        return finished(books)

    assert written(45, -5).ledger.balance(EARNING.debt) == 0
    with pytest.raises(LedgerError) as refused:
        written(first, later)
    assert str(refused.value) == (
        f"{row}: Liabilities:Desk:Debt holds {held}.000000 USDC and would fall to {after}.000000 USDC; "
        "expected 0 or more"
    )


def test_evolving_a_desk_keeps_its_accounts_apart():
    """Two venues of one class have accounts of their own names."""
    other = evolve(DESK, name="other")
    books = Books(flat(2), [DESK, other])
    assert {each.name.split(":")[1] for each in books.balances} == {"Wallet", "Bridge", "Desk", "Other"} | {"Capital"}
