"""Orders at the edge of what can be: what does not go through as a whole leaves no trace, and no run breaks off."""

import pytest
from attrs import field, frozen

from framework import (
    Bridge,
    Close,
    ConditionMet,
    Deposit,
    Liquidated,
    Move,
    MoveTokens,
    Open,
    Order,
    OrderFilled,
    PayPenalty,
    Rejected,
    Side,
    Strategy,
    Swap,
    TransferArrived,
    TransferFailed,
    TransferSent,
    Withdraw,
    waterfall,
)
from framework.books import Books
from framework.clock import NS_PER_DAY
from framework.errors import LedgerError, OrderRefused
from framework.money import USDC, Account, token
from framework.venue import Act, Venue, Way, account, formula
from tests.markets import (
    AfterRow,
    Script,
    asgard,
    balance,
    collateral,
    dollar_market,
    flat,
    happened,
    hyperliquid,
    jito,
    play,
)
from venues.spot import Spot

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


@frozen
class Park(Order):
    """An order of which something is outstanding for a day and a half."""

    venue: str


def test_a_move_that_is_rejected_on_arriving_leaves_no_money_on_its_way():
    """A lender without a loan takes no money: nothing is sent, and what was asked for is rejected whole."""
    script = Script(start=[Deposit("floored", 500.0), Move("floored", "asgard", 100.0)])
    run = play(flat(3), [Floored(), asgard()], script)
    assert happened(run, TransferSent) == happened(run, TransferArrived) == []
    (rejected,) = happened(run, Rejected)
    assert "100.000000 USDC is more than the loan of 0.000000 USDC" in rejected.reason
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


@frozen(kw_only=True)
class Taking(Floored):
    """Takes 600 USD by itself: in an act, when something is due, or when the run is over."""

    name: str = "taking"
    when: str = "act"
    fee = account("Expenses:{venue}:Fee", USDC)

    @formula
    def plenty(margin):
        """Whether there is money."""
        return margin > 0

    @property
    def acts(self):
        """The one act, if it is that which takes."""
        return (Act("plenty", "take"),) if self.when == "act" else ()

    def take(self, book: Books) -> None:
        """Take it, whether it is there or not."""
        book.transfer(self.fee, self.margin, 600_000_000, "skim")

    def park(self, order: Park, book: Books) -> None:
        """Take a cent, and the rest in a day and a half."""
        book.transfer(self.fee, self.margin, 10_000, "skim")

    def due_ns(self, order: object, at_ns: int) -> int | None:
        """A day and a half later."""
        return at_ns + NS_PER_DAY * 3 // 2

    def deliver(self, order: object, amount: int, book: Books) -> None:
        """Take it in the end."""
        self.take(book)

    def finish(self, book: Books) -> None:
        """Take it when the run is over."""
        if self.when == "finish":
            self.take(book)


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("act", r"take of taking cannot be booked in row 1 \(2025-01-01\)"),
        ("deliver", r"deliver of taking cannot be booked in row 3 \(2025-01-03\)"),
        ("finish", r"finish of taking cannot be booked in row 4 \(2025-01-04\)"),
    ],
)
def test_what_a_venue_does_of_itself_and_cannot_be_booked_is_named(when, words):
    """The error says which venue did what in which row, and what floor it broke."""
    script = Script(start=[Deposit("taking", 500.0)], after={1: [Park("taking")] if when == "deliver" else []})
    with pytest.raises(LedgerError, match=rf"{words}: Assets:Taking:Margin holds .* expected 0 or more$"):
        play(flat(4), [Taking(when=when)], script)


@frozen(kw_only=True)
class Muddling(Taking):
    """Books coins as dollars."""

    name: str = "taking"
    gold = account("Assets:{venue}:Gold", token, of="name")

    def take(self, book: Books) -> None:
        """Move what is no money into what is."""
        book.transfer(self.margin, self.gold, 1, "skim")


@pytest.mark.parametrize(
    ("when", "words"), [("act", "take of taking"), ("deliver", "deliver of taking"), ("finish", "finish of taking")]
)
def test_what_a_venue_does_of_itself_against_the_ledger_is_named(when, words):
    """Not the bare mistake, but which venue made it, doing what, in which row."""
    script = Script(start=[Deposit("taking", 500.0)], after={1: [Park("taking")] if when == "deliver" else []})
    with pytest.raises(
        LedgerError, match=rf"^{words} cannot be booked in row \d \(2025-01-0\d\): a transfer moves one"
    ):
        play(flat(4), [Muddling(when=when)], script)


def test_nothing_is_paid_out_of_a_position_that_is_in_danger():
    """10,000 USD of coins need 500 USD, and only 499 are there: not one of them may go, and more may come."""
    start = [Open("hyperliquid", Side.LONG, 100.0, 499.0)]
    start += [Withdraw("hyperliquid", 499.0), Move("hyperliquid", "other", 1.0), Deposit("other", 5.0)]
    start += [Move("other", "hyperliquid", 0.5), Deposit("hyperliquid", 2.0), Withdraw("hyperliquid", 1.0)]
    run = play(flat(2), [hyperliquid(), Floored(name="other")], Script(start=start), look_ahead_at_entry=False)
    withdrawal, move = happened(run, Rejected)
    assert "left with 0.000000 USD of margin, at which it liquidates" in withdrawal.reason
    assert "left with 498.000000 USD of margin" in move.reason
    assert happened(run, Liquidated) == []
    assert balance(run, "Assets:Hyperliquid:Margin") == 500_500_000


@pytest.mark.parametrize("latency_s", [0.0, 7_200.0])
@pytest.mark.parametrize("target", [None, "other"])
def test_the_fee_on_leaving_is_paid_out_of_what_is_there(target, latency_s):
    """Of 98.5 USD, 97 can leave for a fee of 1.5, and not a cent more."""

    def left(amount_usd):
        venues = [hyperliquid(bridge=Bridge(outbound=Way(fee_usd=3.0, latency_s=latency_s))), Floored(name="other")]
        order = Move("hyperliquid", target, amount_usd) if target else Withdraw("hyperliquid", amount_usd)
        run = play(flat(3), venues, Script(start=[Deposit("hyperliquid", 98.5)], after={0: [order]}))
        return [each.reason for each in happened(run, Rejected)], balance(run, "Assets:Hyperliquid:Margin")

    assert left(97.0) == ([], 0)
    (reason,), margin = left(97.01)
    assert reason.endswith("expected at most the equity of 98.500000 USD there, less a fee of 1.500000 USD")
    assert margin == 98_500_000


@pytest.mark.parametrize(("tokens", "count"), [(40.0, 0), (41.0, 1), (50.0, 1)])
def test_tokens_that_back_a_debt_stay_where_they_are(tokens, count):
    """1,000 USD were withdrawn against tokens of 5,000 USD: of 50 tokens 40 can go, without any position too."""
    start = [Swap("jito", "USDC", "JITOSOL", 5_000.0), MoveTokens("jito", "drift", "JITOSOL", 50.0)]
    start += [Withdraw("drift", 1_000.0), MoveTokens("drift", "jito", "JITOSOL", tokens)]
    run = play(dollar_market([100.0] * 3), [jito(), collateral()], Script(start=start))
    rejected = happened(run, Rejected)
    assert len(rejected) == count
    assert all("USD of margin; expected 0 or more" in each.reason for each in rejected)


def test_tokens_beside_no_debt_can_all_go():
    """Nothing is owed, and nothing needs them."""
    start = [Swap("jito", "USDC", "JITOSOL", 5_000.0), MoveTokens("jito", "drift", "JITOSOL", 50.0)]
    start += [MoveTokens("drift", "jito", "JITOSOL", 50.0)]
    run = play(dollar_market([100.0] * 3), [jito(), collateral(collateral_weight=0.9)], Script(start=start))
    assert happened(run, Rejected) == []


@frozen(kw_only=True)
class Asks(Strategy):
    """Asks for quotes after the first row, and does nothing but what it did at the start."""

    orders: tuple[Order, ...]
    start: tuple[Order, ...] = ()
    answers: list[OrderFilled | str] = field(factory=list)

    def conditions(self):
        """Once."""
        return (AfterRow(0),)

    def on_start(self, view):
        """Do what is to be done."""
        return self.start

    def on_event(self, event, view):
        """Ask."""
        if isinstance(event, ConditionMet):
            for order in self.orders:
                try:
                    self.answers.append(view.quote(order))
                except OrderRefused as error:
                    self.answers.append(str(error))
        return ()


def test_a_quote_does_not_ask_whether_there_is_enough():
    """Fees are known before the money is there; the order itself is rejected without it."""
    much = Swap("spot", "USDC", "SOL", 1e6)
    strategy = Asks(orders=(much, Open("asgard", Side.LONG, 1.0, 0.0)), start=(much,))
    run = play(flat(2), [Spot(swap_fee_bps=10.0), asgard()], strategy)
    swapped, opened = strategy.answers
    assert (swapped.fee, opened.size) == (1_000_000_000, 1_000_000_000)
    (rejected,) = happened(run, Rejected)
    assert "Assets:Wallet:Cash holds 10000.000000 USDC and would fall to -990" in rejected.reason
    assert balance(run, WALLET) == 10_000_000_000


@pytest.mark.parametrize(
    "order",
    [
        Deposit("hyperliquid", 1.0),
        Withdraw("hyperliquid", 1.0),
        Move("hyperliquid", "asgard", 1.0),
        MoveTokens("hyperliquid", "asgard", "SOL", 1.0),
        PayPenalty("hyperliquid", 1.0),
    ],
    ids=lambda order: type(order).__name__,
)
def test_what_no_venue_fills_has_no_quote(order):
    """The refusal says what can be quoted."""
    strategy = Asks(orders=(order,))
    play(flat(2), [hyperliquid(), asgard()], strategy)
    assert strategy.answers[0] == f"{order} has no quote; expected an order that a venue fills, such as Open or Resize"


def test_a_quote_is_not_what_was_executed_last():
    """What the log says of later events is the order of the start, not one that was only asked about."""
    short = Open("hyperliquid", Side.SHORT, 1.0, 50.0)
    strategy = Asks(orders=(Open("hyperliquid", Side.LONG, 2.0, 60.0),), start=(short,))
    run = play(flat(3), [hyperliquid()], strategy)
    assert {order for _, order in run.events.orders() if order is not None} == {short}
