"""The simulation against a plain model in floats: 500 drawn markets, sizes and equities in every row.

The model below is the study's realistic strategy on its rules, written from their description alone: it imports no
formula, venue or strategy of the project. What both must agree on are sizes and equities of both legs after every row,
fees, funding, penalties, liquidations and transfers, for capitals from 1 to 1e9 USD and prices from 1e-8 to 1e6.
"""

import math
from random import Random

import pytest
from attrs import define, field, frozen

from framework import Scenario, assemble, metrics
from tests.markets import market

CASES = 500
AT_ONCE = 50
MAINTENANCE = {"hyperliquid": 0.05, "drift": 0.03}
PENALTY = {"hyperliquid": ("equity", 0.5), "drift": ("notional", 0.025)}
TAKER, OPENING = 3.5e-4, 15e-4


@frozen
class Case:
    """A drawn market and the settings of a run on it."""

    short: str
    capital: float
    leverage: float
    trigger: float
    gas: float
    bridge: float
    least: float
    forgive: bool
    look_ahead: bool
    close: tuple[float, ...]
    high: tuple[float, ...]
    low: tuple[float, ...]
    funding: tuple[float, ...]
    lending: tuple[float, ...]
    borrowing: tuple[float, ...]


def drawn(number):
    """The case of a number: calm or wild rows, small or large sums, cheap or dear coins."""
    dice = Random(number)  # noqa: S311 (no secret: the same case everywhere)
    rows = dice.randint(5, 40)
    capital = round(10 ** dice.uniform(0, 9), 6)
    price = 10 ** dice.uniform(max(-8.0, math.log10(capital / 5e8)), min(6.0, math.log10(capital)))
    wild = dice.random() < 0.3
    close, high, low = [], [], []
    for _ in range(rows):
        before, price = price, price * math.exp(dice.gauss(0, 0.15 if wild else 0.06))
        reach = 0.5 if wild and dice.random() < 0.2 else 0.03
        close.append(price)
        high.append(max(before, price) * (1 + dice.random() * reach))
        low.append(min(before, price) * (1 - dice.random() * reach))
    leverage = round(dice.uniform(1.5, 5), 2)

    def rates(least, most):
        return tuple(round(dice.uniform(least, most), 8) for _ in range(rows))

    return Case(
        short=dice.choice(("hyperliquid", "drift")),
        capital=capital,
        leverage=leverage,
        trigger=math.inf if dice.random() < 0.1 else round(leverage * dice.uniform(1.1, 2.5), 2),
        gas=round(capital * dice.choice((0.0, 2e-4)), 6),
        bridge=round(capital * dice.choice((0.0, 3e-4)), 6),
        least=round(capital * 5e-4, 6),
        forgive=dice.random() < 0.5,
        look_ahead=dice.random() < 0.5,
        close=tuple(close),
        high=tuple(high),
        low=tuple(low),
        funding=rates(-0.004, 0.004),
        lending=rates(0.0, 0.5),
        borrowing=rates(0.0, 0.5),
    )


@define
class Model:
    """Both legs in floats: coins and debt of the long; contracts, entry price and margin of the short."""

    case: Case
    coins: float = 0.0
    debt: float = 0.0
    contracts: float = 0.0
    entry: float = 0.0
    margin: float = 0.0
    fees: float = 0.0
    funding: float = 0.0
    penalties: float = 0.0
    liquidations: int = 0
    both: int = 0
    transfers: int = 0
    rows: list[tuple[float, ...]] = field(factory=list)

    def long(self, price):
        """The long's equity."""
        return self.coins * price - self.debt

    def short(self, price):
        """The short's equity."""
        return self.margin + self.contracts * (self.entry - price)

    def open(self, price, notional, margin, debt):
        """Both legs of a notional, with what the short has as margin and what the long owes."""
        self.coins = self.contracts = notional / price
        self.entry, self.margin, self.debt = price, margin, debt

    def start(self, price):
        """Half of the capital each; the fees of opening are split evenly between debt and margin."""
        case, half = self.case, self.case.capital / 2
        notional = half * case.leverage
        paid = notional * (OPENING + TAKER) + case.gas
        self.fees += paid
        self.open(price, notional, half - paid / 2, notional - half + paid / 2)

    def accrue(self, row):
        """A day of lending, borrowing and funding."""
        case = self.case
        self.coins *= 1 + case.lending[row] / 365
        self.debt *= 1 + case.borrowing[row] / 365
        paid = case.funding[row] * self.contracts * case.close[row]
        self.margin += paid
        self.funding += paid

    def penalty(self, equity, notional):
        """What a liquidation takes: at most the equity."""
        of, fraction = PENALTY[self.case.short]
        return min(max(equity, 0.0), fraction * (max(equity, 0.0) if of == "equity" else notional))

    def liquidated(self, row):
        """Whether a leg fell to its maintenance within the row; both are then closed and opened again at the close."""
        case, price, kept = self.case, self.case.close[row], MAINTENANCE[self.case.short]
        long = self.long(case.low[row]) <= kept * self.coins * case.low[row]
        short = self.short(case.high[row]) <= kept * self.contracts * case.high[row]
        if not (long or short):
            return False
        self.both += long and short
        worth = 0.0
        for hit, equity, notional in (
            (long, self.long(price), self.coins * price),
            (short, self.short(price), self.contracts * price),
        ):
            taken = self.penalty(equity, notional) if hit else 0.0
            self.liquidations += hit
            self.penalties += taken
            worth += max(equity - taken, 0.0) if hit and case.forgive else equity - taken
        self.again(price, worth)
        return True

    def again(self, price, worth):
        """Close and open both legs with half of what is left: fees are those of the notional before fees."""
        notional = worth / 2 * self.case.leverage
        closing = self.contracts * price * TAKER
        opening = notional * (OPENING + TAKER) + self.case.gas
        rest = worth - closing - opening
        self.fees += closing + opening
        assert rest > 0, "a case in which nothing is left tells nothing; expected numbers that draw none"
        self.open(price, rest / 2 * self.case.leverage, rest / 2, rest / 2 * (self.case.leverage - 1))

    def level(self, row):
        """Level both equities when a leg's leverage is above the trigger; the bridge's fee is split evenly."""
        case, price = self.case, self.case.close[row]
        long, short = self.long(price), self.short(price)
        above = any(
            size * price > case.trigger * equity for size, equity in ((self.coins, long), (self.contracts, short))
        )
        if above and abs(long - short) / 2 > case.least:
            moved = (short - long) / 2
            self.debt += case.bridge / 2 - moved
            self.margin -= moved + case.bridge / 2
            self.fees += case.bridge
            self.transfers += 1

    def run(self):
        """All rows, and the closing of the short."""
        case = self.case
        self.start(case.close[0])
        for row, price in enumerate(case.close):
            if row or case.look_ahead:
                self.accrue(row)
                if not self.liquidated(row):
                    self.level(row)
            self.rows.append((self.coins, self.contracts, self.long(price), self.short(price)))
        self.fees += self.contracts * case.close[-1] * TAKER

    @property
    def final(self):
        """What is left after both legs are closed."""
        price = self.case.close[-1]
        return self.long(price) + self.short(price) - self.contracts * price * TAKER


def simulated(case):
    """The run of the project on the same case."""
    table = market(
        case.close, low=case.low, high=case.high, funding=case.funding, lending=case.lending, borrowing=case.borrowing
    )
    scenario = Scenario.of(
        {
            "name": "drawn",
            "capital_usd": case.capital,
            "market": {"start": "2025-01-01", "end": "2025-03-01", "embedded": "sol_daily"},
            "rulebook": {
                "class": "study",
                "look_ahead_at_entry": case.look_ahead,
                "forgive_negative_equity": case.forgive,
            },
            "strategy": {
                "class": "capital_rebalance",
                "long": "asgard",
                "short": case.short,
                "leverage": case.leverage,
                "trigger": "never" if case.trigger == math.inf else case.trigger,
                "min_transfer_usd": case.least,
            },
            "venues": {
                "asgard": {"gas_usd": case.gas},
                case.short: {"bridge": {"fee_usd": case.bridge}},
            },
        }
    )
    return assemble(scenario, market=table).simulation().run()


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, CASES, AT_ONCE))
def test_the_simulation_is_the_plain_model_to_within_rounding(first):
    """In every row, and in the sums: half an atomic unit of money, and of coins at the highest price, per transfer."""
    for number in range(first, first + AT_ONCE):
        case = drawn(number)
        model = Model(case)
        model.run()
        run = simulated(case)
        bound = len(run.ledger) * (0.5e-6 + 0.5e-9 * max(case.high))
        sizes, equities = run.curve.size_by_venue, run.curve.equity_usd_by_venue
        for row, (coins, contracts, long, short) in enumerate(model.rows):
            price, told = case.close[row], f"case {number}, row {row}"
            assert abs(sizes["asgard"][row] - coins) * price <= bound, told
            assert abs(sizes[case.short][row] + contracts) * price <= bound, told
            assert abs(equities["asgard"][row] - long) <= bound, told
            assert abs(equities[case.short][row] - short) <= bound, told
        ours = metrics(run)
        for name, amount in (
            ("final_equity_usd", model.final),
            ("total_fees_usd", model.fees),
            ("funding_usd", model.funding),
            ("liquidation_penalty_usd", model.penalties),
        ):
            assert abs(ours[name] - amount) <= bound, (number, name)
        assert ours["liquidations"] == model.liquidations, number
        assert ours["capital_rebalances"] == model.transfers, number


def test_the_cases_cover_what_they_are_drawn_for():
    """Both venues, floor or debt, legs liquidated in one row, transfers, a token below 1e-7 USD and one above 1e5."""
    cases = [drawn(number) for number in range(CASES)]
    both = transfers = 0
    for case in cases:
        model = Model(case)
        model.run()
        both += model.both
        transfers += model.transfers
    assert {(case.short, case.forgive) for case in cases} == {
        (short, forgive) for short in MAINTENANCE for forgive in (True, False)
    }
    assert both > 100
    assert transfers > 1_000
    assert min(min(case.close) for case in cases) < 1e-7
    assert max(max(case.close) for case in cases) > 1e5
    assert min(case.capital for case in cases) < 10
    assert max(case.capital for case in cases) > 1e8
