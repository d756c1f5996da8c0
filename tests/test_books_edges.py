"""Edges of the books: accruals, venues and conditions that would otherwise be taken wrongly without a word."""

from typing import ClassVar

import numpy as np
import pytest
from attrs import frozen

from framework import Market, Strategy, Venue
from framework.accrual import Accrual, column_of
from framework.books import Books, Projection
from framework.clock import NS_PER_DAY
from framework.errors import LedgerError, OrderRefused, ScenarioError
from framework.events import Acted, ConditionMet, FeeAccrued, FundingSettled, InterestAccrued, Side, Started
from framework.formulas import formula
from framework.money import USDC
from framework.orders import Deposit, MoveTokens, Open, Order, PayPenalty, Swap
from framework.venue import BRIDGE_FEE, CAPITAL, CASH, IN_TRANSIT, Act, Dated, account
from tests.markets import START_NS, Script, asgard, collateral, dollar_market, flat, happened, hyperliquid, jito, play
from venues.issuer import Issuer
from venues.jito import JITOSOL


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
        usual = {"debit": self.paid, "credit": self.income, "on": self.paid, "basis": "compounding"}
        words = {**usual, **dict(self.given)}
        yield Accrual(kind="interest", event=InterestAccrued, rate="usdc_borrowing_apy", **words)

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


@frozen(kw_only=True)
class Collecting(Issuer):
    """Takes from the wallet what it is owed, as soon as that is more than a limit."""

    limit: float = 0.5
    acts = (Act("due", "collect"),)

    @formula
    def due(owed, limit):
        return owed < -limit

    def collect(self, book):
        book.transfer(self.owed, CASH, -book[self.owed], "maintenance_fee_paid")


def acted(run):
    """The ledger and the days on which a venue acted."""
    return run.ledger.digest, [(each.at_ns - START_NS) // NS_PER_DAY for each in happened(run, Acted)]


def cut(venues, strategy, rows_at_once, table=None):
    """What comes of a run whose rows are watched so many at once."""
    return acted(play(table or flat(20), venues(), strategy, rows_at_once=rows_at_once))


@pytest.mark.parametrize("rows_at_once", [1, 3])
def test_venue_that_works_out_what_it_is_owed_acts_on_it_at_any_cut(rows_at_once):
    """Nothing is owed at first; windows of rows are looked ahead over what will be."""

    def venues():
        return [hyperliquid(), Collecting(maintenance_per_year=0.01)]

    script = Script(start=(Deposit("hyperliquid", 5_000.0),))
    digest, days = cut(venues, script, None)
    assert days[:2] == [1, 3]
    assert cut(venues, script, rows_at_once) == (digest, days)


@pytest.mark.parametrize("rows_at_once", [1, 3])
@pytest.mark.parametrize("limit", [0.5, 1.0])
def test_act_on_what_others_are_worth_sees_them_change(rows_at_once, limit):
    """A loss at another venue makes the fee smaller, and the act on it later, however the rows are cut."""

    def venues():
        return [hyperliquid(), Collecting(maintenance_per_year=0.01, limit=limit)]

    script = Script(start=(Deposit("hyperliquid", 9_000.0),), after={2: (PayPenalty("hyperliquid", 8_000.0),)})
    digest, days = cut(venues, script, None)
    assert days
    assert cut(venues, script, rows_at_once) == (digest, days)


@frozen
class Give(Order):
    """Give money away."""

    venue: str
    amount_usd: float

    def __str__(self):
        return "a gift"


@frozen(kw_only=True)
class Giving(Venue):
    """Gives away what is in the wallet; its own accounts have no part in that."""

    name: str = "giving"
    stone = account("Assets:{venue}:Stone", USDC)

    @formula
    def equity(stone):
        return stone

    def give(self, order, book):
        book.transfer(BRIDGE_FEE, CASH, USDC.nearest(order.amount_usd), "gift")


@pytest.mark.parametrize("rows_at_once", [1, 3])
def test_act_on_what_others_are_worth_sees_money_leave_the_wallet(rows_at_once):
    """No account of any venue changes with it."""

    def venues():
        return [hyperliquid(), Giving(), Collecting(maintenance_per_year=0.01, limit=1.0)]

    script = Script(start=(Deposit("hyperliquid", 500.0),), after={2: (Give("giving", 8_000.0),)})
    digest, days = cut(venues, script, None)
    assert days
    assert cut(venues, script, rows_at_once) == (digest, days)


@pytest.mark.parametrize("in_transit", [0, 3 * 10**9])
def test_what_is_looked_ahead_is_what_will_be_to_the_atom(in_transit):
    """Of an accrual that its venue works out from what all else is worth, wherever that is."""
    books = Books(flat(8), [hyperliquid(), Issuer(maintenance_per_year=0.3)])
    margin = books.standings["hyperliquid"].venue.margin
    books.begin(None, None)
    for each in ((CASH, CAPITAL, 10**10), (margin, CASH, 10**9), (IN_TRANSIT, CASH, in_transit)):
        books.transfer(*each, "given")
    books.commit(Started(at_ns=books.at_ns, amount=10**10), None)
    books.settle(2)
    ahead = Projection(books.standings["issuer"], 2, 8).of("equity").tolist()
    seen = []
    for rows in range(3, 9):
        books.settle(rows)
        seen.append(books.value("issuer", "equity"))
    assert ahead == seen
    owed, growth = 0, 0.3 / 365
    for _ in range(8):
        owed += round((10**10 - owed) * growth)
    assert seen[-1] == -owed / 10**6


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_leg_follows_what_is_being_written_and_is_kept_once_that_is_entered_or_taken_back(end):
    """A venue that did not end to move would work out its leg whenever it is asked for, a thousand times a run."""
    books, venue = Books(flat(3), [hyperliquid()]), "hyperliquid"
    standing = books.standings[venue]
    books.transfer(CASH, CAPITAL, 10 * USDC.scale, "capital")
    books.commit(Started(at_ns=books.at_ns, amount=10), None)
    before = standing.leg()
    assert standing.leg() is before
    books.begin(standing.venue, None)
    for usd in (1, 3):
        books.transfer(standing.venue.margin, CASH, 2 * USDC.scale, "deposit")
        assert standing.leg().equity_usd == usd + 1
    assert books.leg(venue) is not standing.leg()
    if end == "commit":
        books.commit(Started(at_ns=books.at_ns, amount=10), None)
    else:
        books.rollback()
    left = standing.leg()
    assert left.equity_usd == (4 if end == "commit" else 0)
    books.transfer(IN_TRANSIT, CASH, USDC.scale, "transfer")
    books.commit(Started(at_ns=books.at_ns, amount=10), None)
    assert standing.leg() is left


def test_a_leg_follows_the_transfers_that_are_left_to_a_second_event():
    """A move leaves one venue with its first event and reaches the other with its second."""
    books = Books(flat(3), [hyperliquid()])
    standing = books.standings["hyperliquid"]
    books.transfer(CASH, CAPITAL, 10 * USDC.scale, "capital")
    books.transfer(standing.venue.margin, CASH, 4 * USDC.scale, "deposit")
    books.commit(Started(at_ns=books.at_ns, amount=10), None, 1)
    assert books.leg("hyperliquid") is not standing.leg()
    books.rollback()
    assert standing.leg() is books.leg("hyperliquid")
    assert standing.leg().equity_usd == 0


@frozen(kw_only=True)
class Insurer(Venue):
    """A premium on all jitoSOL wherever it lies; it holds none of it."""

    name: str = "insurer"
    owed = account("Liabilities:{venue}:Premium", USDC)
    premium = account("Expenses:{venue}:Premium", USDC)

    @formula
    def equity(owed):
        return owed

    def accruals(self):
        yield Accrual(
            debit=self.premium, credit=self.owed, kind="premium", event=FeeAccrued, on=JITOSOL, basis="payment",
            rate="hyperliquid_funding_rate", price="close",
        )  # fmt: skip


def test_what_accrues_on_tokens_of_others_is_settled_before_there_are_more():
    """1 % of $100 a row: of 10 jitoSOL for two rows, then of 30 for three."""
    pool = jito()
    books = Books(dollar_market([100.0] * 6, funding=0.01), [pool, Insurer()])
    insurer = books.standings["insurer"].venue
    for rows, tokens in ((0, 10), (2, 20)):
        if rows:
            books.settle(rows)
        books.begin(None, None)
        books.transfer(pool.staked, pool.traded_tokens, tokens * 10**9, "given")
        books.commit(Started(at_ns=books.at_ns, amount=0), None)
    books.settle(5)
    assert books[insurer.premium] == -books[insurer.owed] == (2 * 10 + 3 * 30) * 10**6


@frozen(kw_only=True)
class Either(Giving):
    """A position of one of two sizes, which NumPy chooses: of single numbers it makes an array without axes."""

    @formula
    def size(stone):
        return np.where(stone > 0, 2.0, 3.0)

    @formula
    def notional(stone):
        return np.where(stone > 0, 200.0, 300.0)


@pytest.mark.parametrize("names", [("size", "notional"), ("notional", "size")])
def test_what_is_looked_ahead_has_every_row(names):
    """Whichever is asked for first, and also what changes in none of them."""
    books = Books(flat(4), [Either()])
    ahead = Projection(books.standings["giving"], 1, 4)
    found = {name: ahead.of(name).tolist() for name in names}
    assert found == {"size": [3.0] * 3, "notional": [300.0] * 3}


@pytest.mark.parametrize("row", [0, 1, 2])
def test_refused_order_is_told_with_its_row(row):
    """Counted from 1, as in a table, with its day."""
    words = rf"hyperliquid refuses .* in row {row + 1} \(2025-01-0{row + 1}\): "
    with pytest.raises(OrderRefused, match=words):
        play(flat(4), [hyperliquid()], Script(after={row: (Open("hyperliquid", Side.SHORT, -1.0, 0.0),)}))


def test_second_venue_that_works_out_an_accrual_is_refused():
    """Each would need to know the other's first; one that charges nothing has none."""
    venues = [hyperliquid(), Issuer(maintenance_per_year=0.01), Issuer(name="second", maintenance_per_year=0.02)]
    with pytest.raises(ScenarioError) as refused:
        play(flat(3), venues, Script())
    assert str(refused.value) == (
        "venues issuer and second both work out an accrual from what all others are worth; expected one of them"
    )
    play(flat(3), [*venues[:2], Issuer(name="second")], Script())


def test_second_accrual_that_a_venue_works_out_is_refused():
    """Neither knows what the other takes."""

    class Twice(Issuer):
        def accruals(self):
            return 2 * tuple(super().accruals())

    with pytest.raises(ScenarioError) as refused:
        play(flat(3), [hyperliquid(), Twice(maintenance_per_year=0.01)], Script())
    assert str(refused.value) == "issuer works out two accruals from what all others are worth; expected one"


def asked_after_first_row(table, venues, orders, ask):
    """What a strategy finds after the first row."""
    found = []

    @frozen
    class Asking(Script):
        def on_event(self, event, view):
            if isinstance(event, ConditionMet):
                found.append(ask(view))
            return ()

    play(table, venues, Asking(start=orders, after={0: ()}))
    return found[0]


def test_liquidation_price_is_the_same_with_a_rule_that_has_dates():
    """A weight of collateral that never changed, written as one that could have."""
    orders = (
        Swap("jito", "USDC", "JITOSOL", 5_000.0), MoveTokens("jito", "drift", "JITOSOL", 40.0),
        Open("drift", Side.SHORT, 60.0, 1_000.0),
    )  # fmt: skip
    plain, dated = (
        asked_after_first_row(
            dollar_market([100.0] * 4), [jito(), collateral(collateral_weight=weight)], orders,
            lambda view: view.leg("drift").liquidation_price,
        )
        for weight in (0.9, Dated([0], [0.9]))
    )  # fmt: skip
    assert plain == pytest.approx(271.317829)
    assert dated == plain


WAYS = {
    "brackets": lambda held: held["hyperliquid"].notional_usd > 0,
    "values": lambda held: sum(each.size for each in held.values()) > 0,
    "items": lambda held: dict(held.items())["hyperliquid"].equity_usd > 0,
    "length": lambda held: (held["hyperliquid"].margin_usd > 0) & (len(held) == 1),
    "the price of liquidation": lambda held: held["hyperliquid"].liquidation_price < held["hyperliquid"].delta * 1e6,
    "a formula": lambda held: held["hyperliquid"].of("maintenance") > 0,
}


@frozen
class Asked:
    """Asks about what is held, in one of several ways; right for one row in numbers and for many in arrays."""

    way: str

    by_row: ClassVar[bool] = True

    def holds(self, stretch):
        """Never in the first row, nor where nothing is held."""
        if "hyperliquid" not in stretch.projections:
            return stretch.all_rows(False)
        return WAYS[self.way](stretch.projections) & (np.arange(stretch.start, stretch.stop) > 0)


@frozen
class TopsUp(Strategy):
    """A dollar more whenever the condition holds."""

    way: str

    def conditions(self):
        return (Asked(self.way),)

    def on_start(self, view):
        yield Open("hyperliquid", Side.LONG, 2.0, 100.0)

    def on_event(self, event, view):
        if isinstance(event, ConditionMet):
            yield Deposit("hyperliquid", 1.0)


@pytest.mark.parametrize("way", WAYS)
def test_condition_by_row_asks_what_it_may_ask_of_a_window(way):
    """Acts in every row are no gap, so single rows are asked about; cut into rows from the start none is."""
    runs = [
        play(flat(8), [hyperliquid()], TopsUp(way), look_ahead_at_entry=False, rows_at_once=rows) for rows in (None, 1)
    ]
    assert len({run.ledger.digest for run in runs}) == 1
    assert len(happened(runs[0], ConditionMet)) == 7


TOO_MANY = "do not fit in the books, which count up to 9.22337e+09 in units of 1e-9; expected fewer, or prices per lot"
KEEPS = {"overpayment": "earns_borrowing_rate"}


@pytest.mark.parametrize(("acts", "row"), [((), "40 (2025-02-09)"), ((30,), "31 (2025-01-31)")], ids=["left", "acts"])
def test_coins_that_grow_beyond_the_books_are_refused(acts, row):
    """Nine billion at 90 % a year turned into less than nothing in the fourth week, and the run went on."""
    script = Script(start=(Open("asgard", Side.LONG, 9e9, 9e8),), after=dict.fromkeys(acts, (TOP_UP,)))
    with pytest.raises((LedgerError, OrderRefused)) as refused:
        play(flat(40, price=0.1, lending=0.9), [asgard(**KEEPS)], script, capital_usd=1e9)
    assert f"lending at asgard up to row {row}: 9." in str(refused.value)
    assert f" SOL {TOO_MANY}" in str(refused.value)


def test_positions_that_together_outgrow_the_books_are_refused():
    """Each of them fits."""
    orders = tuple(Open("hyperliquid", Side.SHORT, 8e9, funds) for funds in (9e8, 0.0))
    with pytest.raises(OrderRefused) as refused:
        play(flat(3, price=0.1), [hyperliquid()], Script(start=orders), capital_usd=9e8)
    assert f"with 0 USD in row 1 (2025-01-01): trade: 1.6e+10 SOL-PERP {TOO_MANY}" in str(refused.value)


@pytest.mark.parametrize("acts", [0, 8], ids=["few acts", "many acts"])
def test_coins_that_outgrow_the_books_between_acts_are_refused(acts):
    """A peak that has gone again when somebody looks: it is a row of the ledger all the same."""
    lending = [0.0] * 10 + [500.0, -365.0 * 0.7] + [0.0] * 8
    orders = dict.fromkeys(range(acts), (TOP_UP,))
    script = Script(start=(Open("asgard", Side.LONG, 8e9, 8e8),), after=orders)
    with pytest.raises(LedgerError) as refused:
        play(flat(20, price=0.1, lending=lending), [asgard(**KEEPS)], script, capital_usd=1e9)
    assert str(refused.value).startswith(f"lending at asgard: 1.89589e+10 SOL {TOO_MANY}")


TOP_UP = Deposit("asgard", 1.0)


def test_two_venues_of_one_name_are_refused():
    """The second took the place of the first without a word."""
    with pytest.raises(ScenarioError) as refused:
        play(flat(3), [hyperliquid(), hyperliquid(maintenance_margin=0.1)], Script())
    assert str(refused.value) == "two venues have the name 'hyperliquid'; expected another for each"


@pytest.mark.parametrize(("given", "column"), [({}, "close"), ({"mark": 200.0}, "SOL.mark"),
                                               ({"mark": 200.0, "oracle": 300.0}, "SOL.oracle")])  # fmt: skip
def test_funding_on_the_oracle_price_falls_back_to_the_mark_and_the_price(given, column):
    """As the prices of formulas do."""
    plain = flat(4, funding=0.001)
    roles = {f"SOL.{role}": np.full(4, price) for role, price in given.items()}
    table = Market(open_ns=plain.open_ns, at_ns=plain.at_ns, columns={**plain.columns, **roles})
    script = Script(start=(Open("hyperliquid", Side.SHORT, 1.0, 1_000.0),))
    run = play(table, [hyperliquid(funding_price="oracle")], script)
    price = max(given.values(), default=100.0)
    assert [each.amount for each in happened(run, FundingSettled)] == [USDC.nearest(price * 0.001)] * 4
    assert {each.price for each in happened(run, FundingSettled)} == {price}
    assert column_of(table, ("SOL.oracle", "oracle")) == column


def test_basis_that_there_is_not_is_refused():
    """In one line with those that there are, and not for want of a column."""
    with pytest.raises(ScenarioError) as refused:
        play(flat(3), [Bank(given=(("basis", "compound"),))], Script())
    assert str(refused.value).startswith(
        "accrual 'interest': basis 'compound'; "
        "expected one of payment, compounding, effective, simple, total, steps, rises"
    )


@frozen(kw_only=True)
class Misspelt(Giving):
    """Has an account in a bucket that there is not."""

    stone = account("Assets:{venue}:Stone", USDC, bucket="cary")


def test_bucket_that_there_is_not_is_refused():
    """In one line with those that there are."""
    with pytest.raises(LedgerError) as refused:
        play(flat(3), [Misspelt()], Script())
    assert str(refused.value).startswith(
        "account Assets:Giving:Stone: bucket 'cary'; expected one of carry, funding, staking, fees, "
    )
