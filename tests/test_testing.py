"""The conformance kit: it finds a venue that is wrong in each of its ways, and passes for all of ours."""

import numpy as np
import pytest
from attrs import evolve, field, frozen

from framework import (
    USDC,
    Close,
    ConditionMet,
    Deposit,
    Ended,
    FeeAccrued,
    FundingSettled,
    Move,
    MoveTokens,
    Open,
    Resize,
    Scenario,
    Side,
    Stake,
    Strategy,
    Swap,
    Unstake,
    Withdraw,
    assemble,
)
from framework.accrual import Accrual, Computed
from framework.audit import audit
from framework.money import perpetual
from framework.orders import check_open, positive
from framework.performance import summarize
from framework.run_folder.archive import Folder, save
from framework.testing import CHECKS, Setup, conforms, findings
from framework.venue import CASH, Venue, account, formula
from tests.markets import (
    AfterRow,
    Script,
    asgard,
    at_cost,
    collateral,
    dollar_market,
    drift,
    hyperliquid,
    jito,
    market,
)
from tests.runs import EXAMPLES, ROOT, WITHOUT_EMBEDDED, data_of
from venues.spot import Spot

PRICES = [100.0, 104.0, 99.0, 97.0, 103.0, 108.0, 101.0, 102.0, 99.0, 100.0]
TABLE = market(PRICES, funding=[1e-4, -2e-4] * 5, lending=0.05, borrowing=0.08)


@frozen(kw_only=True)
class Right(Venue):
    """A perpetual account that keeps the rules."""

    name: str = "own"
    coin: str = "SOL"

    margin = account("Assets:{venue}:Margin", USDC)
    position = account("Assets:{venue}:Position", perpetual, position=True)
    quote = account("Assets:{venue}:Quote", USDC)
    traded = account("Equity:{venue}:Trading", perpetual, bucket="execution")
    traded_usdc = account("Equity:{venue}:Trading", USDC, bucket="execution")
    funding = account("Income:{venue}:Funding", USDC, bucket="funding")
    fees = account("Expenses:{venue}:Fee", USDC)

    @formula
    def size(position):
        return position

    @formula
    def notional(position, mark):
        return abs(position * mark)

    @formula
    def equity(margin, quote, position, mark):
        return margin + quote + position * mark

    @formula
    def liquidated(equity, notional):
        return (equity <= 0.05 * notional) & (notional > 0)

    def accruals(self):
        yield Accrual(
            debit=self.margin, credit=self.funding, kind="funding", event=FundingSettled, on=self.position,
            basis="payment", share=-1.0, rate="hyperliquid_funding_rate", price="close",
        )  # fmt: skip

    def price(self, book):
        return book.price(self.coin)

    def open(self, order, book):
        check_open(book, order)
        contracts = positive(book, order, "size", self.position.asset)
        book.transfer(self.margin, CASH, USDC.nearest(order.funds_usd), "deposit")
        self.trade(contracts if order.side is Side.LONG else -contracts, book)

    def close(self, order, book):
        self.trade(-book[self.position], book)
        book.transfer(self.margin, self.quote, book[self.quote], "realised")
        book.transfer(CASH, self.margin, max(0, book[self.margin]), "withdrawal")

    def resize(self, order, book):
        contracts = positive(book, order, "size", self.position.asset)
        held = book[self.position]
        self.trade((contracts if held > 0 else -contracts) - held, book)

    def liquidate(self, book):
        self.close(Close(self.name), book)

    def trade(self, contracts, book):
        worth = USDC.nearest(self.position.asset.units(contracts) * self.price(book))
        book.transfer(self.position, self.traded, contracts, "trade")
        book.transfer(self.traded_usdc, self.quote, worth, "trade")
        book.transfer(self.fees, self.margin, self.fee(abs(worth)), "fee")

    def fee(self, worth):
        return worth // 2_000

    def receive(self, book, source, amount, kind):
        book.transfer(self.margin, source, amount, kind)

    def pay(self, book, target, amount, kind):
        book.transfer(target, self.margin, amount, kind)


@frozen(kw_only=True)
class FeeBySegment(Right):
    """Takes a fee for each run of rows instead of each row."""

    def accruals(self):
        def made(segment):
            amounts = np.zeros(segment.stop - segment.start, dtype=np.int64)
            amounts[0] = 500 * (segment.balance(self.position) != 0)
            return Computed(amounts, np.zeros(len(amounts)), np.zeros(len(amounts), dtype=np.int64))

        yield Accrual(
            debit=self.fees, credit=self.margin, kind="fee", event=FeeAccrued, on=self.margin, basis="simple", rate="",
            compute=made,
        )  # fmt: skip


@frozen(kw_only=True)
class Remembers(Right):
    """Takes a fee that grows with each trade that it has ever made."""

    trades: list = field(factory=list)

    def fee(self, worth):
        self.trades.append(worth)
        return worth // 2_000 + len(self.trades)


class Counts(Right):
    """Does so without being frozen, in no field."""

    __setattr__ = object.__setattr__
    trades = 0

    def fee(self, worth):
        self.trades += 1
        return worth // 2_000 + self.trades


@frozen(kw_only=True)
class FinesAsFees(Right):
    """Takes a fine for closing under the kind of its fees."""

    fines = account("Expenses:{venue}:Fine", USDC, bucket="liquidation_penalty")

    def close(self, order, book):
        book.transfer(self.fines, self.margin, 1_000, "fee")
        super().close(order, book)


@frozen(kw_only=True)
class FinesAsFunding(Right):
    """Takes a fine for closing under the kind of its settlements."""

    fines = account("Expenses:{venue}:Fine", USDC, bucket="liquidation_penalty")

    def close(self, order, book):
        book.transfer(self.fines, self.margin, 1_000, "funding")
        super().close(order, book)


@frozen(kw_only=True)
class TakesFromFunding(Right):
    """Takes its fee for closing out of what funding has earned."""

    def close(self, order, book):
        book.transfer(self.funding, self.margin, 1_000, "fee")
        super().close(order, book)


@frozen(kw_only=True)
class Unexplained(Right):
    """Takes fees on an account that belongs nowhere in the waterfall."""

    fees = account("Equity:{venue}:Gone", USDC)


@frozen(kw_only=True)
class LooksAround(Right):
    """Is worth what the highest price of all rows that it is shown makes of it."""

    @formula
    def equity(margin, quote, position, mark):
        return margin + quote + position * np.max(mark)


@frozen(kw_only=True)
class ForgetsShorts(Right):
    """Asks one row for the side of a position, and rows for that of the first."""

    @formula
    def notional(position, mark):
        return abs(position * mark) if isinstance(mark, float) else position * mark


@frozen(kw_only=True)
class KnowsTomorrow(Right):
    """Trades at the close of the next row."""

    def price(self, book):
        close = book.market["close"]
        return float(close[min(book.row + 1, len(close) - 1)])


@frozen(kw_only=True)
class SetsAsideByTomorrow(Right):
    """Sets aside of a deposit what the close of the next row says, which no figure of the fill shows."""

    def receive(self, book, source, amount, kind):
        close = book.market["close"]
        super().receive(book, source, amount, kind)
        book.transfer(self.quote, self.margin, int(close[min(book.row + 1, len(close) - 1)]), "aside")


@frozen(kw_only=True)
class BuysCheaply(Right):
    """Trades at the low or the high of the row, whichever is better."""

    def trade(self, contracts, book):
        worth = USDC.nearest(self.position.asset.units(contracts) * self.price(book))
        book.transfer(self.position, self.traded, contracts, "trade")
        book.transfer(self.traded_usdc, self.quote, worth - abs(worth) // 100, "trade")


@frozen(kw_only=True)
class ForgetsReserve(Right):
    """Keeps what is deposited on an account that its equity does not count, and pays out of it."""

    reserve = account("Assets:{venue}:Reserve", USDC)

    def receive(self, book, source, amount, kind):
        book.transfer(self.reserve, source, amount, kind)

    def pay(self, book, target, amount, kind):
        book.transfer(target, self.reserve, amount, kind)


@frozen(kw_only=True)
class NeverLiquidates(Right):
    """Lets an account owe."""

    acts = ()


OTHER = Spot(name="other", swap_fee_bps=0.0)


@frozen(kw_only=True)
class TakesFromOthers(Right):
    """Books its fee on the account of another venue."""

    def trade(self, contracts, book):
        super().trade(contracts, book)
        book.transfer(OTHER.swap_fee, self.margin, 1_000, "fee")


@frozen(kw_only=True)
class AccruesForOthers(Right):
    """Pays its funding from the account of another venue."""

    def accruals(self):
        (each,) = super().accruals()
        return [Accrual(**{
            name: getattr(each, name) for name in ("debit", "kind", "event", "on", "basis", "share", "rate", "price")
        }, credit=OTHER.traded_usdc)]  # fmt: skip


@frozen(kw_only=True)
class Prints(Right):
    """Writes into a balance."""

    def fee(self, worth):
        return 0

    def resize(self, order, book):
        super().resize(order, book)
        book.balances[self.margin] -= 5


@frozen(kw_only=True)
class SpendsFirst(Right):
    """Writes into a balance before it looks at the order."""

    def open(self, order, book):
        book.balances[self.margin] -= 7
        super().open(order, book)
        book.balances[self.margin] += 7


@frozen(kw_only=True)
class CountsTries(Right):
    """Takes a fee for the orders that it refused as well."""

    tries: list = field(factory=list)

    def open(self, order, book):
        self.tries.append(order)
        super().open(order, book)
        book.transfer(self.fees, self.margin, len(self.tries), "fee")


@frozen(kw_only=True)
class TakesAnything(Right):
    """Fills a resize to no number as one to nothing."""

    def resize(self, order, book):
        if order.size != order.size:
            order = Resize(order.venue, 1.0)
        super().resize(order, book)


@frozen(kw_only=True)
class NeverDone(Right):
    """Liquidates next to nothing at a time, and is due again."""

    @formula
    def liquidated(equity, notional):
        return (equity <= 1.2 * notional) & (notional > 0)

    def liquidate(self, book):
        self.trade(1, book)


@frozen(kw_only=True)
class OpensNothing(Right):
    """Takes the order, and moves nothing but the money."""

    def open(self, order, book):
        check_open(book, order)
        positive(book, order, "size", self.position.asset)
        book.transfer(self.margin, CASH, USDC.nearest(order.funds_usd), "deposit")


@frozen(kw_only=True)
class AddsUp(Right):
    """Takes the new size for what is added."""

    def resize(self, order, book):
        contracts = positive(book, order, "size", self.position.asset)
        self.trade(contracts if book[self.position] > 0 else -contracts, book)


@frozen(kw_only=True)
class TakesSigns(Right):
    """Takes the sign of a new size for its side."""

    def resize(self, order, book):
        self.trade(self.position.asset.nearest(order.size) * (1 if book[self.position] > 0 else -1), book)


@frozen(kw_only=True)
class KeepsSome(Right):
    """Closes half of what is held."""

    def close(self, order, book):
        self.trade(-book[self.position] // 2, book)


@frozen(kw_only=True)
class TakesNone(Right):
    """Rejects whatever is opened."""

    def open(self, order, book):
        book.reject("it is full; expected another venue")


WRONG = {
    OpensNothing: (
        "sizes",
        "own fills a short of 40 coins with 4000 USD in row 1 (2025-01-01) and holds 0 coins",
    ),
    AddsUp: ("sizes", "own fills a resize to 30 coins in row 3 (2025-01-03) and holds -70 coins; expected -30"),
    KeepsSome: ("sizes", "own fills the closing of its position in row 8 (2025-01-08) and holds -15 coins; expected 0"),
    TakesNone: ("sizes", "own rejects every Open of the strategy, so little was tried; expected one that it takes"),
    NeverDone: ("paths", "on the path adverse_first, liquidate of own is due again after 1000 times in row 2 (2025-"),
    FeeBySegment: ("cuts", "looked at after every row, event "),
    Remembers: (
        "memory",
        "run again with the venues of the first run, event 2, OrderFilled at own of 4000.000000, is event 2, Ord",
    ),
    Counts: ("memory", "with another fee; expected a venue that remembers nothing"),
    FinesAsFees: (
        "kinds",
        "own has transfers of kind 'fee' in the buckets fees (Expenses:Own:Fee) and liquidation_penalty (Expenses:O",
    ),
    FinesAsFunding: (
        "kinds",
        "own has transfers of kind 'funding' in the buckets funding (Income:Own:Funding) and liquidation_penalty (Expe",
    ),
    TakesFromFunding: (
        "kinds",
        "a transfer of kind 'fee' moves Income:Own:Funding; expected funding alone, which accrues there",
    ),
    Unexplained: ("explained", "of the result are unexplained; expected accounts whose buckets say"),
    LooksAround: ("state", "own.equity is "),
    ForgetsShorts: ("state", "own.notional is "),
    KnowsTomorrow: ("future", "without the rows after row 1 (2025-01-01), "),
    SetsAsideByTomorrow: (
        "future",
        "without the rows after row 5 (2025-01-05), event 11 has another transfer of kind 'aside' from Assets:Own",
    ),
    BuysCheaply: ("orders", "own: a short of 40 coins with 4000 USD in row 1 (2025-01-01) raises the equity by 40"),
    ForgetsReserve: (
        "orders",
        "raises the equity by 50.000000 USD; expected a formula equity that counts Assets:Own:Reserve and Assets:Wall",
    ),
    NeverLiquidates: ("crash", "own has an equity of -"),
    TakesFromOthers: (
        "sides",
        "a short of 40 coins with 4000 USD moves Expenses:Other:SwapFee; expected accounts of own",
    ),
    Prints: ("sides", "Assets:Own:Margin holds "),
    SpendsFirst: ("traces", "own refuses or rejects a short of nan coins with 4000 USD and leaves a trace of it"),
    CountsTries: ("traces", "orders that were refused or rejected change what later ones do"),
    TakesSigns: ("traces", "own fills a resize to -30 coins; expected it to be refused or rejected"),
    TakesAnything: ("traces", "own fills a resize to nan coins; expected it to be refused or rejected"),
}
ORDERS = Script(
    start=[Open("own", Side.SHORT, 40.0, 4_000.0), Swap("other", "USDC", "SOL", 2_000.0)],
    after={2: [Resize("own", 30.0)], 4: [Deposit("own", 100.0)], 6: [Withdraw("own", 50.0)], 7: [Close("own")]},
)


def setup(venue):
    """A venue of one's own beside one of ours."""
    return Setup(market=TABLE, venues=[venue, OTHER], strategy=ORDERS)


def test_a_venue_that_keeps_the_rules_conforms():
    """Of somebody else's, on the venue class alone."""
    conforms(setup(Right()))


@pytest.mark.parametrize(("kind", "check", "words"), [(kind, *told) for kind, told in WRONG.items()])
def test_a_venue_that_breaks_a_rule_is_found(kind, check, words):
    """With the check that finds it and one line that says what it did."""
    found = [each for each in findings(setup(kind())) if each.check == check]
    assert any(words in str(each) for each in found), found
    assert all("\n" not in str(each) for each in found)


@pytest.mark.parametrize(
    ("kind", "checks"), [(Remembers, {"memory"}), (Counts, {"memory"}), (CountsTries, {"memory", "traces"})]
)
def test_what_a_venue_remembers_is_found_where_it_matters(kind, checks):
    """Each run has its own, as any run has: what one keeps says nothing of paths, cuts or the future."""
    assert {each.check for each in findings(setup(kind()))} == checks


@pytest.mark.parametrize("kind", [FinesAsFees, FinesAsFunding, TakesFromFunding, Right])
def test_kinds_are_those_that_an_audit_takes(kind, tmp_path):
    """What the kit finds is what every run of the venue would be found with."""
    assembly = assemble(Scenario.load(ROOT / "examples" / "static" / "scenario.toml"))
    assembly = evolve(assembly, market=TABLE, venues=(kind(), OTHER), strategy=ORDERS)
    run = assembly.simulation().run()
    folder = Folder(save(assembly, run, summarize(assembly, run), tmp_path))
    told = {each.check: each.count for each in audit(folder)}
    assert bool(told["kinds"]) == (kind is not Right), told


def test_every_check_has_a_venue_that_it_finds():
    assert {check for check, _ in WRONG.values()} == CHECKS.keys()


def test_findings_are_raised_one_a_line():
    """As a test reports them; a check that does not apply can be left out, and one that is not there is refused."""
    with pytest.raises(AssertionError, match=r"^crash: own has an equity of -[0-9.]+ USD and does not act"):
        conforms(setup(NeverLiquidates()))
    conforms(setup(NeverLiquidates()), skip=["crash"])
    with pytest.raises(ValueError, match="unknown check 'krach'; expected one of cuts, explained"):
        conforms(setup(NeverLiquidates()), skip=["krach"])


def test_a_run_that_ends_in_a_complaint_is_a_finding():
    """Nothing else can be said of it."""
    refused = Setup(market=TABLE, venues=[Right()], strategy=Script(start=[Resize("own", -1.0)]))
    (found,) = findings(refused)
    words = "run: own refuses a resize to -1 coins in row 1 (2025-01-01): size is -1; expected a finite number above 0"
    assert str(found).startswith(words)


def test_accrual_on_the_account_of_another_venue_is_a_finding():
    """It is refused before the run begins."""
    (found,) = findings(setup(AccruesForOthers()))
    words = "run: venue own, accrual 'funding': credit is Equity:Other:Trading; expected an account of the venue itself"
    assert str(found).startswith(words)


class Busy(Strategy):
    """Does everything that a pair of a lender and a perpetual can do."""

    def __init__(self, long, short):
        self.long, self.short = long, short

    def conditions(self):
        return tuple(map(AfterRow, range(1, 8)))

    def on_start(self, view):
        yield Open(self.long, Side.LONG, 60.0, 3_000.0)
        yield Open(self.short, Side.SHORT, 60.0, 3_000.0)

    def on_event(self, event, view):
        long, short = self.long, self.short
        by_row = {
            1: [Move(short, long, 200.0), Move(long, short, 100.0)],
            2: [Resize(long, 70.0), Resize(short, 70.0)],
            3: [Deposit(long, 50.0), Withdraw(short, 20.0), Deposit(short, 1e9)],
            4: [Resize(long, 40.0), Resize(short, 40.0)],
            5: [Withdraw(long, 30.0), Deposit(short, 30.0)],
            6: [Close(long), Close(short)],
            7: [Open(long, Side.LONG, 30.0, 1_500.0), Open(short, Side.SHORT, 30.0, 2_000.0)],
        }
        match event:
            case ConditionMet():
                return by_row[event.condition.row]
            case Ended():
                return [Close(long), Close(short)]
            case _:
                return ()


FEES = {"taker_fee_bps": 3.5, "liquidation_closes": False}
LENDER = {"open_fee_bps": 15.0, "gas_usd": 2.0}
PAIRS = {
    "asgard and hyperliquid": [asgard(**LENDER), hyperliquid(taker_fee_bps=3.5)],
    "asgard and drift": [asgard(overpayment="earns_borrowing_rate"), drift(**FEES, funding_apart=True)],
    "at cost": [at_cost(asgard(**LENDER)), at_cost(hyperliquid(taker_fee_bps=3.5), fees_at_entry=True)],
    "at cost with a distance": [
        at_cost(asgard(), liquidation_distance=0.3),
        at_cost(drift(), liquidation_distance=0.3),
    ],
    "forgiven": [asgard(forgive_negative_equity=True), hyperliquid(forgive_negative_equity=True, **FEES)],
}


@pytest.mark.parametrize("venues", PAIRS.values(), ids=PAIRS)
def test_our_lenders_and_perpetuals_conform(venues):
    """At the market and at cost, whether they close what they liquidate or not."""
    conforms(Setup(market=TABLE, venues=venues, strategy=Busy(*(each.name for each in venues))))


def test_our_stake_pool_and_collateral_conform():
    """Tokens that are swapped, staked, unstaked and moved as collateral, without a premium."""
    table = dollar_market(PRICES, rate=1.0 + np.arange(1, 11) / 500, first_rate=1.001, funding=-4e-4)
    strategy = Script(
        start=[Swap("jito", "USDC", "JITOSOL", 4_000.0), Swap("jito", "USDC", "SOL", 3_000.0)],
        after={
            1: [MoveTokens("jito", "drift", "JITOSOL", 30.0), Open("drift", Side.SHORT, 30.0, 500.0)],
            2: [Stake("jito", 10.0), Unstake("jito", 5.0)],
            5: [Close("drift"), MoveTokens("drift", "jito", "JITOSOL", 30.0)],
            6: [Swap("jito", "SOL", "USDC", 3.0)],
        },
    )
    conforms(Setup(market=table, venues=[jito(withdrawal_fee=0.001), collateral()], strategy=strategy))


def test_our_spot_venue_conforms():
    strategy = Script(start=[Swap("spot", "USDC", "SOL", 4_000.0)], after={3: [Swap("spot", "SOL", "USDC", 5.0)]})
    conforms(Setup(market=TABLE, venues=[Spot(swap_fee_bps=10.0)], strategy=strategy))


@pytest.mark.slow
@pytest.mark.parametrize("name", [each for each in EXAMPLES if each not in WITHOUT_EMBEDDED])
def test_examples_conform(name):
    """All that have their data with them, from their scenario."""
    conforms(Scenario.load(ROOT / "examples" / name / "scenario.toml"))


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_EMBEDDED)
def test_examples_whose_data_are_elsewhere_conform(name):
    data = data_of(name)
    settings = {"hourly": ["market.end=2025-03-31"], "basis": ["market.end=2024-01-10"]}[name]
    conforms(Scenario.load(ROOT / "examples" / name / "scenario.toml", settings), data=data)
