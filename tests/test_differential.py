"""The simulation against a plain model in floats: 500 drawn markets and scenarios, every size and sum in every row.

The model is `tests/plain_pair.py`: the study's strategies on its rules, at the market and at cost. What both must agree
on are sizes and equities of both legs, the wallet and money in transit after every row, fees, funding, penalties,
liquidations and transfers, for capitals of 1 to 1e9 USD and tokens of 1e-8 to 1e6 USD.
"""

import math
from collections import Counter
from functools import cache
from random import Random

import pytest
from attrs import evolve

from framework import Scenario, assemble, metrics
from framework.clock import NS_PER_HOUR
from framework.errors import OrderRefused
from framework.valuation import chronicle
from tests.markets import market
from tests.plain_pair import Accounting, Case, Pair

CASES = 500
AT_ONCE = 50
RULES = {"hyperliquid": (0.05, ("equity", 0.5)), "drift": (0.03, ("notional", 0.025))}
"""Maintenance margin and penalty, by which the study judges both legs."""
CHEAPEST, DEAREST = 1e-8, 1e6
CORNERS = ((1.0, CHEAPEST), (1.0, DEAREST), (1e9, DEAREST))
"""Capital and price of every tenth case, one after the other."""
MOST_COINS = 1e9
"""Capital over price; some times as many coins do not fit in the books, whose integers have 64 bits."""


def drawn(number):
    """The case of a number: calm or wild rows, small or large sums, cheap or dear coins, at the market or at cost."""
    dice = Random(number)  # noqa: S311 (no secret: the same case everywhere)
    rows = dice.randint(5, 40)
    capital = round(10 ** dice.uniform(0, 9), 6)
    least, most = max(CHEAPEST, capital / MOST_COINS), min(DEAREST, capital * 10)
    price = 10 ** dice.uniform(math.log10(least), math.log10(most))
    if number % 10 == 0:
        capital, price = CORNERS[number // 10 % len(CORNERS)]
    strategy = dice.choice(("capital_rebalance",) * 4 + ("full_rotation", "static"))
    legacy = strategy != "capital_rebalance" and dice.random() < 0.7
    wild = dice.random() < 0.4
    close, high, low = [], [], []
    for _ in range(rows):
        before, price = price, price * math.exp(dice.gauss(0, 0.15 if wild else 0.06))
        reach = 0.5 if wild and dice.random() < 0.2 else 0.03
        close.append(price)
        high.append(max(before, price) * (1 + dice.random() * reach))
        low.append(min(before, price) * (1 - dice.random() * reach))
    leverage = round(dice.uniform(1.5, 5), 2)
    short = dice.choice(tuple(RULES))
    hours = dice.choice((1, 8, 24))
    compounding = legacy and strategy == "full_rotation" and dice.random() < 0.5
    maintenance, penalty = (0.0, ("equity", 0.0)) if legacy else RULES[short]
    of_long, of_short = _accounting(dice, leverage, legacy=legacy)

    def rates(least, most):
        return tuple(round(dice.uniform(least, most), 8) for _ in range(rows))

    return Case(
        strategy=strategy,
        short=short,
        capital=capital,
        leverage=leverage,
        maintenance=maintenance,
        penalty=penalty,
        of_long=of_long,
        of_short=of_short,
        trigger=math.inf if dice.random() < 0.1 else round(leverage * dice.uniform(1.1, 2.5), 2),
        buffer=round(dice.choice((0.0, dice.uniform(0.01, 0.2))), 3),
        compounding=compounding,
        capital_penalty=0.05 if legacy else 0.0,
        gas=round(capital * dice.choice((0.0, 2e-4)), 6),
        bridge=0.0 if compounding else round(capital * dice.choice((0.0, 3e-4)), 6),
        latency=0 if compounding else _latency(dice, hours),
        least=round(capital * 5e-4, 6),
        forgive=not legacy and dice.random() < 0.5,
        look_ahead=dice.random() < 0.5 if strategy != "full_rotation" else False,
        hours=hours,
        close=tuple(close),
        high=tuple(high),
        low=tuple(low),
        funding=rates(-0.004, 0.004),
        lending=rates(0.0, 0.5),
        borrowing=rates(0.0, 0.5),
    )  # fmt: skip


def _accounting(dice, leverage, *, legacy):
    """Of both legs: the older models' at cost, or one of them or both at cost in a study at the market, or neither."""
    distance = round(dice.uniform(0.3, 0.95), 2) / leverage
    if legacy:
        both = Accounting(at_cost=True, fees_at_entry=True, distance=0.95 / leverage if dice.random() < 0.7 else None)
        return both, both
    at_cost = Accounting(
        at_cost=True, fees_at_entry=dice.random() < 0.5, distance=distance if dice.random() < 0.6 else None
    )
    at_market = Accounting()
    return dice.choice(
        ((at_market, at_market),) * 5 + ((at_cost, at_cost), (at_cost, at_market), (at_market, at_cost))
    )  # fmt: skip


def _latency(dice, hours):
    """In seconds: none, a part of a row, some rows and a part, or rows without a rest, at whose close money arrives."""
    row = hours * 3_600
    return dice.choice((0, dice.randint(1, row), dice.randint(row, 5 * row), dice.randint(1, 5) * row))


def _terms(accounting):
    """The table of a venue that has it valued so."""
    if not accounting.at_cost:
        return {}
    table = {"class": "at_cost", "fees_at_entry": accounting.fees_at_entry}
    return {"accounting": table | ({"liquidation_distance": accounting.distance} if accounting.distance else {})}


STRATEGIES = {
    "capital_rebalance": lambda case: {
        "trigger": "never" if case.trigger == math.inf else case.trigger,
        "min_transfer_usd": case.least,
    },
    "full_rotation": lambda case: {
        "liquidation_buffer": case.buffer,
        "compounding": case.compounding,
        "capital_penalty": case.capital_penalty,
        "min_capital_usd": case.capital * 1e-3,
    },
    "static": lambda case: {},
}
"""The keys of each strategy besides its legs and its leverage."""


def simulated(case):
    """The run of the project on the same case."""
    return assembled(case).simulation().run()


def assembled(case):
    """The same case as the project has it."""
    table = market(
        case.close, low=case.low, high=case.high, funding=case.funding, lending=case.lending, borrowing=case.borrowing,
        row_ns=case.hours * NS_PER_HOUR,
    )  # fmt: skip
    legacy = case.of_long.at_cost and case.of_short.at_cost and case.penalty[1] == 0
    of_long, of_short = ({}, {}) if legacy else map(_terms, (case.of_long, case.of_short))
    rulebook = {
        "class": "legacy" if legacy else "study",
        "look_ahead_at_entry": case.look_ahead,
        **({"liquidation_from_entry": case.of_long.distance is not None} if legacy else {}),
        **({} if legacy else {"forgive_negative_equity": case.forgive}),
    }
    scenario = Scenario.of(
        {
            "name": "drawn",
            "capital_usd": case.capital,
            "market": {"start": "2025-01-01", "end": "2025-03-01", "embedded": "sol_daily"},
            "rulebook": rulebook,
            "strategy": {
                "class": case.strategy,
                "long": "asgard",
                "short": case.short,
                "leverage": case.leverage,
                **STRATEGIES[case.strategy](case),
            },
            "venues": {
                "asgard": {"gas_usd": case.gas, **of_long},
                case.short: {"bridge": {"fee_usd": case.bridge, "latency_s": case.latency}, **of_short},
            },
        }
    )
    return assemble(scenario, market=table)


def rounding(case, acts):
    """What rounding comes to at most: an atomic unit of money at every act, half one of coins at the highest price.

    A size keeps the rounding of the money that it was opened with, at whatever price. Sums have sixteen digits.
    """
    swing = max(case.close) / min(case.close)
    return acts * (1e-6 * swing + 0.5e-9 * max(case.high)) + 4e-15 * case.capital


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, CASES, AT_ONCE))
def test_the_simulation_is_the_plain_model_to_within_rounding(first):
    """In every row, and in the sums."""
    for number in range(first, first + AT_ONCE):
        case = drawn(number)
        model, run = played(number), simulated(case)
        curve, bound = run.curve, rounding(case, len(run.single))
        ours = (
            curve.size_by_venue["asgard"],
            curve.size_by_venue[case.short],
            curve.equity_usd_by_venue["asgard"],
            curve.equity_usd_by_venue[case.short],
            curve.cash_usd,
            curve.transit_usd,
        )
        for row, theirs in enumerate(model.rows):
            in_usd = (case.close[row],) * 2 + (1.0,) * 4
            for name, mine, other, price in zip(FIGURES, ours, theirs, in_usd, strict=True):
                assert abs(mine[row] - other) * price <= bound, f"case {number}, row {row}: {name}"
        figures = metrics(run)
        for name, amount in (
            ("final_equity_usd", model.final),
            ("total_fees_usd", model.fees),
            ("funding_usd", model.short.funding),
            ("liquidation_penalty_usd", model.penalties),
            ("bad_debt_usd", model.forgiven),
        ):
            assert abs(figures[name] - amount) <= bound, (number, name)
        logged = sum(line.fees_usd or 0.0 for line in chronicle(run))
        assert logged == pytest.approx(figures["total_fees_usd"], rel=1e-12, abs=1e-9), number
        assert figures["liquidations"] == model.seen["liquidations"], number
        if not case.compounding:
            assert figures["capital_rebalances"] == model.seen["transfers"], number


FIGURES = "size of the long", "size of the short", "equity of the long", "equity of the short", "wallet", "in transit"
"""What the model notes of each row, in its order."""


@cache
def played(number):
    """The model of a case, once it has run."""
    return Pair(drawn(number)).run()


def test_the_cases_cover_what_they_are_drawn_for():
    """Each aspect that the model knows comes up often, and not in two or three lucky cases."""
    cases = [(drawn(number), played(number).seen) for number in range(CASES)]
    happened = Counter[str]()
    for _, seen in cases:
        happened.update({name: seen[name] > 0 for name in seen})

    def often(of):
        return sum(map(of, (case for case, _ in cases)))

    for name, least in {
        "liquidations": 250,
        "rows that liquidate both legs": 50,
        "liquidations at cost": 50,
        "transfers": 150,
        "rows in transit": 100,
        "liquidations during transit": 40,
        "arrivals at the close of a row": 30,
        "rotations": 30,
        "rotations before a liquidation": 20,
        "openings without money": 3,
    }.items():
        assert happened[name] >= least, (name, happened[name])
    for name, case_is, least in (
        ("at cost", lambda case: case.of_long.at_cost and case.of_short.at_cost, 100),
        ("one leg at cost", lambda case: case.of_long.at_cost != case.of_short.at_cost, 50),
        ("at cost, compounding", lambda case: case.compounding, 20),
        ("fees at entry alone", lambda case: case.of_long.fees_at_entry or case.of_short.fees_at_entry, 50),
        ("liquidated at a distance", lambda case: case.of_long.distance is not None, 50),
        ("floor at zero", lambda case: case.forgive, 100),
        ("rows of an hour", lambda case: case.hours == 1, 100),
        ("1 USD", lambda case: case.capital == 1, 30),
        ("1e9 USD", lambda case: case.capital == 1e9, 15),
        ("tokens at 1e-8 USD", lambda case: min(case.close) < 2e-8, 15),
        ("tokens at 1e6 USD", lambda case: max(case.close) > 5e5, 30),
    ):
        assert often(lambda case, case_is=case_is: bool(case_is(case))) >= least, name
    combinations = {(case.short, case.strategy) for case, _ in cases}
    assert len(combinations) == len(RULES) * len(STRATEGIES)


@pytest.mark.parametrize("capital", [1e6, 1e9])
def test_more_coins_than_the_books_count_are_refused(capital):
    """Tokens at 1e-8 USD with large capital: one line that says how many can be, and to price lots as venues do."""
    case = evolve(drawn(0), capital=capital)
    assert case.close[0] == pytest.approx(CHEAPEST, rel=0.5)
    with pytest.raises(OrderRefused) as refused:
        simulated(case)
    assert "do not fit in the books, which count up to 9.22337e+09 in units of 1e-9" in str(refused.value)
    assert "or prices per lot, such as kBONK for 1,000 BONK" in str(refused.value)


def test_lots_of_coins_fit_into_the_books():
    """The advice of the refusal: the same case at prices of a billion coins each comes out as the model has it."""
    cheap = evolve(drawn(0), capital=1e9, gas=2e5, least=5e5)
    lots = {name: tuple(1e9 * each for each in getattr(cheap, name)) for name in ("close", "high", "low")}
    case = evolve(cheap, **lots)
    run = simulated(case)
    assert abs(metrics(run)["final_equity_usd"] - Pair(case).run().final) <= rounding(case, len(run.single))
