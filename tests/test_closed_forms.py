"""Closed forms: with constant price and rates, every balance is known to the atomic unit."""

import re
from fractions import Fraction

import pytest
from attrs import frozen

from framework import (
    Bridge,
    CarrybookError,
    Close,
    Deposit,
    Liquidated,
    Move,
    Open,
    PayPenalty,
    Penalty,
    Rejected,
    Resize,
    Side,
    TransferArrived,
    TransferSent,
    Withdraw,
)
from framework.clock import NS_PER_DAY
from tests.markets import (
    START_NS,
    Script,
    asgard,
    balance,
    drift,
    flat,
    happened,
    hyperliquid,
    market,
    play,
)

LONG_2X = Open("asgard", Side.LONG, 100.0, 5_000.0)
LOAN = "Liabilities:Asgard:Loan"
SHORT_2X = Open("hyperliquid", Side.SHORT, 100.0, 5_000.0)


def nearest(value):
    """A fraction as the nearest integer, ties to even."""
    return round(Fraction(value))


@pytest.mark.parametrize("rows", [1, 2, 30, 410])
def test_loan_and_collateral_compound_by_row(rows):
    """After n days they are principal x (1 + rate/365)^n, rounded once."""
    run = play(flat(rows, lending=0.05, borrowing=0.08), [asgard()], Script(start=[LONG_2X]))
    loan = 5_000_000_000 * (1 + Fraction("0.08") / 365) ** rows
    coins = 100_000_000_000 * (1 + Fraction("0.05") / 365) ** rows
    assert -balance(run, "Liabilities:Asgard:Loan") == nearest(loan)
    assert balance(run, "Assets:Asgard:Collateral", "SOL") == nearest(coins)
    assert balance(run, "Expenses:Asgard:Interest") == nearest(loan) - 5_000_000_000
    assert -balance(run, "Income:Asgard:Lending", "SOL") == nearest(coins) - 100_000_000_000


@pytest.mark.parametrize("rate", ["0.0001", "-0.0003"])
@pytest.mark.parametrize(("venue", "make"), [("hyperliquid", hyperliquid), ("drift", drift)])
@pytest.mark.parametrize(("side", "sign"), [(Side.SHORT, 1), (Side.LONG, -1)])
def test_funding_is_rate_times_price_times_size(venue, make, side, sign, rate):
    """A positive rate pays the short and costs the long, n times rate x price x size, rounded once."""
    order = Open(venue, side, 33.333333333, 5_000.0)
    run = play(flat(50, price=150.0, funding=float(rate)), [make()], Script(start=[order]))
    paid = sign * 50 * Fraction(rate) * 150 * Fraction("33.333333333") * 10**6
    assert -balance(run, f"Income:{venue.capitalize()}:Funding") == nearest(paid)
    assert balance(run, f"Assets:{venue.capitalize()}:Margin") == 5_000_000_000 + nearest(paid)


def test_interest_starts_anew_when_the_loan_changes():
    """A repayment in the middle is a new principal: the path is rounded there, and compounds from there."""
    strategy = Script(start=[LONG_2X], after={9: [Deposit("asgard", 1_000.0)]})
    run = play(flat(30, borrowing=0.1), [asgard()], strategy)
    rate = 1 + Fraction("0.1") / 365
    middle = nearest(5_000_000_000 * rate**10) - 1_000_000_000
    assert -balance(run, "Liabilities:Asgard:Loan") == nearest(middle * rate**20)


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize(("factor", "hit"), [(1 - 1e-9, False), (1 + 1e-9, True)])
def test_a_short_is_liquidated_at_its_closed_form_price(factor, hit, closes):
    """A short at leverage L dies where the high reaches p (1 + 1/L) / (1 + maintenance margin), and not before."""
    price = 100 * 1.5 / 1.05 * factor
    table = market([100.0] * 5, high=[100.0, 100.0, price, 100.0, 100.0], low=100.0)
    run = play(table, [hyperliquid(liquidation_closes=closes)], Script(start=[SHORT_2X]))
    liquidations = happened(run, Liquidated)
    assert len(liquidations) == hit
    if hit:
        (event,) = liquidations
        assert event.at_ns == table.at_ns[2]
        assert (event.side, event.trigger_price, event.price) == (Side.SHORT, price, 100.0)
        assert (event.equity, event.penalty, event.bad_debt) == (5_000_000_000, 2_500_000_000, 0)
        held = balance(run, "Assets:Hyperliquid:Position", "SOL-PERP")
        assert held == (0 if closes else -100_000_000_000)


@pytest.mark.parametrize(("factor", "hit"), [(1 + 1e-9, False), (1 - 1e-9, True)])
def test_a_long_is_liquidated_at_its_closed_form_price(factor, hit):
    """A long at leverage L dies where the low reaches p (1 - 1/L) / (1 - maintenance margin)."""
    price = 100 * 0.5 / 0.95 * factor
    table = market([100.0] * 5, low=[100.0, 100.0, price, 100.0, 100.0], high=100.0)
    run = play(table, [asgard()], Script(start=[LONG_2X]))
    assert len(happened(run, Liquidated)) == hit
    assert balance(run, "Assets:Asgard:Collateral", "SOL") == (0 if hit else 100_000_000_000)
    assert balance(run, "Assets:Wallet:Cash") == (7_500_000_000 if hit else 5_000_000_000)


@pytest.mark.parametrize(
    ("penalty", "equity", "notional", "taken"),
    [
        (Penalty("equity", 0.5), 100, 1_000, 50),
        (Penalty("notional", 0.025), 100, 1_000, 25),
        (Penalty("notional", 0.025), 10, 1_000, 10),
        (Penalty("notional", 0.025), -10, 1_000, 0),
        (Penalty("equity", 0.5), -10, 1_000, 0),
    ],
)
def test_a_penalty_is_a_share_and_at_most_the_equity(penalty, equity, notional, taken):
    """By equity or by notional; where nothing is left, nothing is taken."""
    assert penalty.amount(equity, notional) == taken


@pytest.mark.parametrize(("forgive", "owed"), [(True, 0), (False, -2_000_000_000)])
def test_equity_below_zero_is_bad_debt_or_stays_owed(forgive, owed):
    """A gap through the whole margin: forgiven it is a transfer from the bad debt account, else the margin owes it."""
    table = market([100.0, 170.0], high=[100.0, 170.0], low=100.0)
    venue = hyperliquid(forgive_negative_equity=forgive)
    run = play(table, [venue], Script(start=[SHORT_2X]))
    (event,) = happened(run, Liquidated)
    assert (event.equity, event.penalty) == (-2_000_000_000, 0)
    assert -balance(run, "Income:Hyperliquid:BadDebt") == event.bad_debt == (2_000_000_000 if forgive else 0)
    assert balance(run, "Assets:Hyperliquid:Margin") == owed


def test_an_overpaid_loan_earns_the_borrowing_rate_where_rules_say_so():
    """Repaying $5,100 of $5,000 leaves $100 that grow at the rate that the loan would have cost."""
    strategy = Script(start=[LONG_2X, Deposit("asgard", 5_000.0)])
    run = play(flat(20, borrowing=0.1), [asgard(overpayment="earns_borrowing_rate")], strategy, capital_usd=10_100.0)
    assert balance(run, "Liabilities:Asgard:Loan") == 0
    strategy = Script(start=[LONG_2X, Deposit("asgard", 5_100.0)])
    run = play(flat(20, borrowing=0.1), [asgard(overpayment="earns_borrowing_rate")], strategy, capital_usd=10_100.0)
    grown = nearest(100_000_000 * (1 + Fraction("0.1") / 365) ** 20)
    assert balance(run, "Assets:Asgard:Deposit") == grown
    assert -balance(run, "Income:Asgard:DepositInterest") == grown - 100_000_000


def test_profit_is_realised_before_more_than_the_margin_is_paid_out():
    """A short in profit may send more than its margin account holds; its profit is turned into margin first.

    What the short has cost stays as it was: the profit that was drawn has an account of its own.
    """
    table = market([100.0, 40.0, 40.0], high=[100.0, 100.0, 40.0], low=40.0)
    strategy = Script(start=[SHORT_2X], after={1: [Withdraw("hyperliquid", 8_000.0)]})
    run = play(table, [hyperliquid()], strategy)
    assert balance(run, "Assets:Hyperliquid:Margin") == 5_000_000_000 + 6_000_000_000 - 8_000_000_000
    assert balance(run, "Assets:Hyperliquid:Quote") == 10_000_000_000
    assert balance(run, "Assets:Hyperliquid:Drawn") == -6_000_000_000
    assert balance(run, "Assets:Wallet:Cash") == 13_000_000_000


BRIDGED = Bridge(fee_usd=3.0, latency_s=36 * 3_600.0, sender_share=0.25)


@pytest.mark.parametrize(
    ("latency_s", "arrival_row"),
    [(0.0, 1), (12 * 3_600.0, 2), (86_400.0, 2), (36 * 3_600.0, 3), (3 * 86_400.0, 4)],
)
def test_money_on_its_way_counts_for_neither_venue(latency_s, arrival_row):
    """Sent after row 1, it lies in transit until its time has come; on a row's instant, the row ends with it."""
    table = flat(8)
    bridge = Bridge(fee_usd=3.0, latency_s=latency_s, sender_share=0.25)
    strategy = Script(start=[LONG_2X, SHORT_2X], after={1: [Move("hyperliquid", "asgard", 1_000.0)]})
    run = play(table, [asgard(), hyperliquid(bridge=bridge)], strategy)
    (sent,), (arrived,) = happened(run, TransferSent), happened(run, TransferArrived)
    assert sent.at_ns == table.at_ns[1]
    assert arrived.at_ns - sent.at_ns == round(latency_s * 10**9)
    assert arrived.cause == sent.event
    assert (sent.fee, arrived.fee) == (750_000, 2_250_000)
    under_way = [row for row in range(8) if run.curve.transit_usd[row] == 1_000.0]
    assert under_way == [row for row in range(1, 8) if latency_s and table.at_ns[row] < arrived.at_ns]
    assert arrival_row == (arrived.at_ns - START_NS) // NS_PER_DAY
    assert balance(run, "Assets:Bridge:InTransit") == 0
    assert balance(run, "Liabilities:Asgard:Loan") == -5_000_000_000 + 1_000_000_000 - 2_250_000
    assert balance(run, "Expenses:Bridge:Fee") == 3_000_000


def test_money_that_does_not_arrive_before_the_end_stays_in_transit():
    """The run ends with its last row; equity has what is still on its way."""
    strategy = Script(start=[LONG_2X, SHORT_2X], after={1: [Move("hyperliquid", "asgard", 1_000.0)]})
    run = play(flat(3), [asgard(), hyperliquid(bridge=Bridge(latency_s=10 * 86_400.0))], strategy)
    assert happened(run, TransferArrived) == []
    assert balance(run, "Assets:Bridge:InTransit") == 1_000_000_000
    assert run.curve.equity_usd[-1] == 10_000.0


NO_POSITION = "it holds no position; expected Open before Resize"
IN_ROW_1 = "in row 1 (2025-01-01): "
REFUSALS = {
    "nothing": ([Deposit("hyperliquid", 0.0)], "amount_usd is 0; expected a finite number above 0"),
    "less than nothing": (
        [Deposit("hyperliquid", -5.0)],
        f"hyperliquid refuses a deposit of -5 USD {IN_ROW_1}amount_usd is -5; expected a finite number above 0",
    ),
    "less than can be": (
        [Deposit("hyperliquid", 1e-9)],
        "amount_usd is 1e-09; expected at least 0.000001 USDC, the least there is",
    ),
    "no number": ([Deposit("hyperliquid", float("nan"))], "amount_usd is nan; expected a finite number above 0"),
    "more than a number can be": (
        [SHORT_2X, Resize("hyperliquid", 1e305)],
        "size is 1e+305; expected a finite number above 0",
    ),
    "more than the books take": (
        [Open("hyperliquid", Side.SHORT, 1e12, 5.0)],
        f"a short of 1e+12 coins with 5 USD {IN_ROW_1}trade: 1e+12 SOL-PERP do not fit in the books, which count up",
    ),
    "a size of zero": (
        [Open("hyperliquid", Side.SHORT, 0.0, 5.0)],
        f"hyperliquid refuses a short of 0 coins with 5 USD {IN_ROW_1}size is 0; expected a finite number above 0",
    ),
    "a short on a lender": (
        [Open("asgard", Side.SHORT, 1.0, 5.0)],
        f"asgard refuses a short of 1 coin with 5 USD {IN_ROW_1}side is short; expected Side.LONG",
    ),
    "a side that is none": (
        [Open("hyperliquid", "short", 1.0, 5.0)],
        f"a 'short' of 1 coin with 5 USD {IN_ROW_1}side is 'short'; expected Side.LONG or Side.SHORT",
    ),
    "funds that are no number": (
        [Open("hyperliquid", Side.SHORT, 1.0, float("inf"))],
        "funds_usd is inf; expected a finite number, 0 or more",
    ),
    "a fee on less than nothing": (
        [Open("asgard", Side.LONG, 1.0, 5.0, -9.0)],
        "quoted_notional_usd is -9; expected a finite number, 0 or more, or None",
    ),
    "a move to itself": (
        [SHORT_2X, Move("hyperliquid", "hyperliquid", 5.0)],
        "target is 'hyperliquid'; expected another venue than the source",
    ),
    "a penalty of nothing": ([PayPenalty("hyperliquid", 0.0)], "a penalty of 0 USD"),
    "a resize of nothing": ([Resize("hyperliquid", 1.0)], f"refuses a resize to 1 coin {IN_ROW_1}{NO_POSITION}"),
    "a resize of no loan": ([Resize("asgard", 1.0)], NO_POSITION),
    "a resize with a sign": (
        [SHORT_2X, Resize("hyperliquid", -1.0)],
        "size is -1; expected a finite number above 0, such as abs(view.leg(venue).size)",
    ),
    "a resize to text": ([SHORT_2X, Resize("hyperliquid", "1")], "size is '1'; expected a finite number above 0"),
    "a resize of a loan to no number": (
        [LONG_2X, Resize("asgard", float("nan"))],
        f"a resize to nan coins {IN_ROW_1}size is nan; expected a finite number above 0",
    ),
    "an unknown venue": ([Close("kraken")], "unknown venue 'kraken'; expected one of asgard, hyperliquid"),
    "a venue that is no name": ([Close([])], "unknown venue []; expected one of asgard, hyperliquid"),
    "no order": (["buy"], "the strategy yielded 'buy' in row 1; expected an order"),
}


@pytest.mark.parametrize(("orders", "words"), REFUSALS.values(), ids=REFUSALS)
def test_an_order_that_cannot_be_is_refused(orders, words):
    """The message says which order, where and why."""
    with pytest.raises(CarrybookError, match=re.escape(words)) as refusal:
        play(flat(3), [asgard(), hyperliquid()], Script(start=orders))
    assert "\n" not in str(refusal.value)


TOO_MUCH = "; expected at most the equity of 5000.000000 USD there"
OVERPAID = "1.000000 USDC is more than the loan of 0.000000 USDC; expected at most that"
OVERDRAWN = "Assets:Wallet:Cash holds 10001.000000 USDC and would fall to -89999.000000 USDC; expected 0 or more"
WITHDRAWAL = Withdraw("hyperliquid", 5_000.01)
MOVE = Move("hyperliquid", "asgard", 6e3)
REJECTIONS = {
    "more than the equity": ([SHORT_2X], WITHDRAWAL, "hyperliquid", f"amount_usd is 5000.01{TOO_MUCH}"),
    "a move of more than the equity": ([SHORT_2X], MOVE, "hyperliquid", f"amount_usd is 6000{TOO_MUCH}"),
    "more than the wallet": ([], Deposit("hyperliquid", 1e5), "hyperliquid", OVERDRAWN),
    "an opening with more than the wallet": ([], Open("hyperliquid", Side.LONG, 1.0, 1e5), "hyperliquid", OVERDRAWN),
    "more than the loan": ([LONG_2X, Deposit("asgard", 5e3)], Deposit("asgard", 1.0), "asgard", OVERPAID),
    "funds beyond the price": (
        [],
        Open("asgard", Side.LONG, 1.0, 150.0),
        "asgard",
        "50.000000 USDC is more than the loan of 0.000000 USDC; expected at most that",
    ),
}


@pytest.mark.parametrize(("before", "order", "venue", "words"), REJECTIONS.values(), ids=REJECTIONS)
def test_an_order_that_cannot_be_filled_is_rejected(before, order, venue, words):
    """An event says which order and why; nothing else of the order is left, and the run goes on."""
    after = [Deposit("hyperliquid", 1.0)]
    capital_usd = 10_001.0
    table, venues = flat(3, funding=1e-4, borrowing=0.1), [asgard(), hyperliquid()]
    run = play(table, venues, Script(start=[*before, order, *after]), capital_usd=capital_usd)
    (rejected,) = happened(run, Rejected)
    assert (rejected.venue, rejected.order, rejected.reason) == (venue, str(order), words)
    assert (rejected.price, rejected.at_ns) == (100.0, table.open_ns[0])
    without = play(table, venues, Script(start=[*before, *after]), capital_usd=capital_usd)
    assert sorted(balances(run)) == sorted(balances(without))
    assert len(run.ledger) == len(without.ledger)
    assert len(run.events) == len(without.events) + 1


def balances(run):
    """Name, asset and balance of every account."""
    return [(account.name, account.asset.code, held) for account, held in run.ledger.balances().items()]


def test_a_rejected_move_leaves_nothing_behind():
    """More than the loan cannot be repaid: the move is rejected before anything is sent."""
    strategy = Script(
        start=[Open("asgard", Side.LONG, 50.0, 4_000.0), Open("hyperliquid", Side.SHORT, 50.0, 5_000.0)],
        after={1: [Move("hyperliquid", "asgard", 2_000.0)]},
    )
    run = play(flat(3), [asgard(), hyperliquid()], strategy)
    (rejected,) = happened(run, Rejected)
    assert rejected.reason == "2000.000000 USDC is more than the loan of 1000.000000 USDC; expected at most that"
    assert happened(run, TransferSent) == []
    assert len(run.ledger) == 7


def test_a_loan_that_rounds_to_nothing_is_not_forgotten():
    """However the rows are cut, a loan that shrank to zero grows back from its principal."""
    rates = [0.0, -364.999999, 36_500.0, 36_500.0, 36_500.0, 36_500.0]
    strategy = Script(start=[Open("asgard", Side.LONG, 1.0, 99.99)])
    loans = {
        balance(play(flat(6, borrowing=rates), [asgard(maintenance_margin=0.0)], strategy, rows_at_once=cut), LOAN)
        for cut in (None, 1, 2)
    }
    assert len(loans) == 1


SOLD = (
    "a resize to 50 coins would sell SOL for 5,000.000000 USDC, more than the loan of 2,500.000000 USDC; "
    'expected a size of at least 75.000000000, or overpayment = "earns_borrowing_rate"'
)


def test_a_resize_that_sells_coins_for_more_than_the_loan_names_the_least_size_that_is_taken():
    """The size that the message names is taken, and it repays the loan; one coin less is not."""
    long = Open("asgard", Side.LONG, 100.0, 7_500.0)
    run = play(flat(3), [asgard()], Script(start=[long, Resize("asgard", 50.0)]))
    (rejected,) = happened(run, Rejected)
    assert rejected.reason == SOLD
    taken = play(flat(3), [asgard()], Script(start=[long, Resize("asgard", 75.0)]))
    assert happened(taken, Rejected) == []
    assert balance(taken, LOAN) == 0
    less = play(flat(3), [asgard()], Script(start=[long, Resize("asgard", 74.0)]))
    assert len(happened(less, Rejected)) == 1


@pytest.mark.parametrize("price", [7.3, 99.999999, 131.37, 1_234.5678])
def test_the_least_size_that_a_rejected_resize_names_is_taken_at_any_price(price):
    """It is rounded to the side on which the lender takes it."""
    long = Open("asgard", Side.LONG, 10.0, 7.0 * price)
    table = flat(3, price=price)
    (rejected,) = happened(play(table, [asgard()], Script(start=[long, Resize("asgard", 5.0)])), Rejected)
    least = float(re.search(r"at least ([\d.]+),", rejected.reason)[1])
    taken = play(table, [asgard()], Script(start=[long, Resize("asgard", least)]))
    assert happened(taken, Rejected) == []
    assert abs(balance(taken, LOAN)) <= 1


@pytest.mark.parametrize(("deposit_usd", "expected"), [(4_000.0, 1_000.0 / 95.0), (5_000.0, None), (6_000.0, None)])
def test_coins_without_a_debt_have_no_liquidation_price(deposit_usd, expected):
    """100 coins with $1,000 owed are liquidated at $10.53; with nothing owed, or money lent, there is no such price."""
    venue = asgard(overpayment="earns_borrowing_rate", maintenance_margin=0.05)
    strategy = Script(start=[Open("asgard", Side.LONG, 100.0, 5_000.0), Deposit("asgard", deposit_usd)])
    seen = []

    @frozen
    class Look:
        def holds(self, stretch):
            seen.extend(stretch.projections["asgard"].liquidation_price.tolist())
            return stretch.all_rows(True)

    class Looking(Script):
        def conditions(self):
            return (Look(),)

        def on_event(self, event, view):
            seen.append(view.leg("asgard").liquidation_price)
            return ()

    play(flat(3), [venue], Looking(start=strategy.start), capital_usd=11_000.0)
    assert len(seen) > 3
    assert seen == pytest.approx([expected or float("nan")] * len(seen), nan_ok=True)
