"""A pair of legs in plain floats: the study's strategies on its rules, written from their description alone.

Nothing here imports a formula, venue or strategy of the project. A long is coins, what was paid for them and a loan; a
short is contracts, an entry price and margin. Either is valued at the market or at cost. Money is USD.
"""

from collections import Counter
from math import inf, nan

from attrs import define, field, frozen

TAKER, OPENING = 3.5e-4, 15e-4


@frozen(kw_only=True)
class Accounting:
    """How a leg is valued: at the market, or `at_cost`, and then perhaps with other fees and another liquidation."""

    at_cost: bool = False
    fees_at_entry: bool = False
    distance: float | None = None

    def fee(self, notional, fraction, *, opening, both_ways):
        """A fee of a trade: at entry alone it is charged on opening, for both ways where there are two."""
        times = 1
        if self.fees_at_entry:
            times = (2 if both_ways else 1) if opening else 0
        return notional * fraction * times


@frozen(kw_only=True)
class Case:
    """Drawn rows, and the settings of a run on them. A latency is in seconds, rates are fractions a year or a row."""

    strategy: str
    short: str
    capital: float
    leverage: float
    maintenance: float
    penalty: tuple[str, float]
    of_long: Accounting = Accounting()
    of_short: Accounting = Accounting()
    trigger: float = inf
    buffer: float = 0.0
    compounding: bool = False
    capital_penalty: float = 0.0
    gas: float
    bridge: float = 0.0
    latency: float = 0.0
    least: float
    forgive: bool = False
    look_ahead: bool
    hours: int = 24
    close: tuple[float, ...]
    high: tuple[float, ...]
    low: tuple[float, ...]
    funding: tuple[float, ...]
    lending: tuple[float, ...]
    borrowing: tuple[float, ...]

    @property
    def years(self):
        """The length of a row."""
        return self.hours / 24 / 365


@define
class Long:
    """Coins on a loan. At cost nothing compounds: loan and surplus bear interest on what the last act left of them."""

    case: Case
    coins: float = 0.0
    paid: float = 0.0
    loan: float = 0.0
    surplus: float = 0.0
    loan_base: float = 0.0
    surplus_base: float = 0.0

    @property
    def size(self):
        """Coins, above zero."""
        return self.coins

    def price(self, price):
        """The price at which the leg is valued and traded."""
        return self.paid / self.coins if self.case.of_long.at_cost and self.coins else price

    def notional(self, price):
        """What the coins count for."""
        return self.coins * self.price(price)

    def equity(self, price):
        """What is left without the loan."""
        return self.notional(price) - self.loan + self.surplus

    def accrue(self, row):
        """A row of lending and interest."""
        case = self.case
        lent, owed = case.lending[row] * case.years, case.borrowing[row] * case.years
        if case.of_long.at_cost:
            self.surplus += self.paid * lent + self.surplus_base * owed
            self.loan += self.loan_base * owed
        else:
            self.coins *= 1 + lent
            self.surplus *= 1 + owed
            self.loan *= 1 + owed

    def limit(self):
        """The price at which it is liquidated; at cost there is none, unless it is at a distance."""
        if self.case.of_long.at_cost:
            return self.price(0.0) * (1 - self.case.of_long.distance) if self.case.of_long.distance else nan
        return (self.loan - self.surplus) / self.coins / (1 - self.case.maintenance)

    def due(self, price):
        """Whether it is liquidated at a price."""
        if not self.coins:
            return False
        if self.case.of_long.distance is not None:
            return price <= self.limit()
        return self.equity(price) <= self.case.maintenance * self.notional(price)

    def fee(self, notional):
        """What opening costs."""
        return self.case.of_long.fee(notional, OPENING, opening=True, both_ways=False) + self.case.gas

    def open(self, size, price, funds, fee):
        """Buy coins: with the funds, then the surplus, then a loan."""
        self.coins, self.paid = size, size * price
        owed = self.loan - self.surplus + self.paid + fee - funds
        self.loan, self.surplus = max(owed, 0.0), max(-owed, 0.0)
        self._began()

    def close(self, price):
        """Sell the coins, repay the loan; returns what goes to the wallet, and the fee."""
        made = self.notional(price) + self.surplus - self.loan
        self.coins = self.paid = self.surplus = 0.0
        self.loan = max(-made, 0.0)
        self._began()
        return max(made, 0.0), 0.0

    def resize(self, size, price):
        """Buy or sell coins at the price of the leg, on the loan."""
        traded = (size - self.coins) * self.price(price)
        self.coins, self.paid = size, self.paid + traded
        self.take(traded) if traded > 0 else self.give(-traded)

    def take(self, amount):
        """Money goes out: of the surplus, then by a larger loan."""
        self._settle(self.loan - self.surplus + amount)

    def give(self, amount):
        """Money comes in: it repays the loan, and what is more is a surplus."""
        self._settle(self.loan - self.surplus - amount)

    def forgive(self, amount):
        """What the account is short of is nobody's loss."""
        self.loan -= amount
        self._began()

    def _settle(self, owed):
        self.loan, self.surplus = max(owed, 0.0), max(-owed, 0.0)
        self._began()

    def _began(self):
        self.loan_base, self.surplus_base = self.loan, self.surplus


@define
class Short:
    """Contracts with margin. At cost funding is paid on what they were sold for, and the price makes nothing."""

    case: Case
    contracts: float = 0.0
    entry: float = 0.0
    margin: float = 0.0
    funding: float = 0.0

    @property
    def size(self):
        """Contracts, below zero."""
        return -self.contracts

    def price(self, price):
        """The price at which the leg is valued and traded."""
        return self.entry if self.case.of_short.at_cost and self.contracts else price

    def notional(self, price):
        """What the contracts count for."""
        return self.contracts * self.price(price)

    def equity(self, price):
        """The margin with the profit that is not realised."""
        return self.margin + self.contracts * (self.entry - self.price(price))

    def accrue(self, row):
        """A row of funding."""
        paid = self.case.funding[row] * self.notional(self.case.close[row])
        self.margin += paid
        self.funding += paid

    def limit(self):
        """The price at which it is liquidated; at cost there is none, unless it is at a distance."""
        if self.case.of_short.at_cost:
            return self.entry * (1 + self.case.of_short.distance) if self.case.of_short.distance else nan
        return (self.margin / self.contracts + self.entry) / (1 + self.case.maintenance)

    def due(self, price):
        """Whether it is liquidated at a price."""
        if not self.contracts:
            return False
        if self.case.of_short.distance is not None:
            return price >= self.limit()
        return self.equity(price) <= self.case.maintenance * self.notional(price)

    def fee(self, notional):
        """What opening costs."""
        return self.case.of_short.fee(notional, TAKER, opening=True, both_ways=True)

    def open(self, size, price, funds, fee):
        """Sell contracts, with the funds as margin."""
        self.contracts, self.entry = size, price
        self.margin += funds - fee

    def close(self, price):
        """Buy the contracts back; returns what goes to the wallet, and the fee. A margin below zero stays owed."""
        fee = self.case.of_short.fee(self.notional(price), TAKER, opening=False, both_ways=True)
        made = self.equity(price) - fee
        self.contracts, self.margin = 0.0, min(made, 0.0)
        return max(made, 0.0), fee

    def resize(self, size, price):
        """Trade at the price of the leg, so that its entry stays."""
        assert self.price(price) == self.entry, "a leg at the market has another entry after that"
        self.contracts = size

    def take(self, amount):
        """Money goes out of the margin."""
        self.margin -= amount

    def give(self, amount):
        """Money goes into the margin."""
        self.margin += amount

    def forgive(self, amount):
        """What the account is short of is nobody's loss."""
        self.margin += amount


@define
class Transfer:
    """Money on its way, which counts for neither leg; due in seconds since the first row opened."""

    due: int
    target: Long | Short
    amount: float
    fee: float


@define
class Pair:
    """A case, played row by row: `rows` has sizes, equities, wallet and transit after each, `seen` what happened."""

    case: Case
    long: Long = field(init=False)
    short: Short = field(init=False)
    cash: float = field(init=False)
    transit: Transfer | None = None
    fees: float = 0.0
    penalties: float = 0.0
    forgiven: float = 0.0
    seen: Counter[str] = field(factory=Counter)
    rows: list[tuple[float, ...]] = field(factory=list)

    def __attrs_post_init__(self):
        self.long, self.short, self.cash = Long(self.case), Short(self.case), self.case.capital

    @property
    def on_its_way(self):
        """Money in transit."""
        return self.transit.amount if self.transit else 0.0

    @property
    def held(self):
        """Whether the pair is open."""
        return self.long.size != 0

    def run(self):
        """All rows, and the closing of what is left after the last."""
        case, length = self.case, self.case.hours * 3_600
        if case.look_ahead:
            self._start(case.close[0])
        for row, price in enumerate(case.close):
            closes = (row + 1) * length
            self._let_arrive(closes - 1, case.close[row - 1])
            if row or case.look_ahead:
                self.long.accrue(row)
                self.short.accrue(row)
                self._act(row, price, closes)
            else:
                self._start(price)
            self._let_arrive(closes, price)
            self.seen["rows in transit"] += self.transit is not None
            legs = self.long, self.short
            figures = *(each.size for each in legs), *(each.equity(price) for each in legs)
            self.rows.append((*figures, self.cash, self.on_its_way))
        self._close(case.close[-1])
        return self

    @property
    def final(self):
        """What is left once the pair is closed: the wallet and what is on its way, less what is owed."""
        return self.cash + self.on_its_way + sum(each.equity(0.0) for each in (self.long, self.short))

    def _half(self, price):
        """Half of what both legs can have: money in transit is not there."""
        return (self.cash + self.long.equity(price) + self.short.equity(price)) / 2

    # -- opening and closing

    def _start(self, price):
        """Open both legs with everything; the static strategy leaves the fees of both to the short."""
        half = self.case.capital / 2
        size = half * self.case.leverage / price
        if self.case.strategy == "static":
            self._open(size, price, half + self.long.fee(size * price), size * price)
        elif self.case.strategy == "full_rotation":
            self._enter(price, half * self.case.leverage)
        else:
            self._open(size, price, None, size * price)

    def _enter(self, price, planned):
        """Open both legs with what is left after fees that were agreed on the notional before fees, if anything is."""
        half = self._half(price) - (self.long.fee(planned) + self.short.fee(planned)) / 2
        self.seen["openings without money"] += half <= 0
        if planned > 0 and half > 0:
            self._open(half * self.case.leverage / price, price, None, planned)

    def _open(self, size, price, funds, quoted):
        """Open both legs: equal in equity after each has paid its fees, unless the long is to have other funds."""
        of_long, of_short = self.long.fee(quoted), self.short.fee(quoted)
        if funds is None:
            funds = self._half(price) + (of_long - of_short) / 2 - self.long.equity(price)
            funds = max(0.0, min(funds, self.cash))
        self.long.open(size, price, funds, of_long)
        self.short.open(size, price, self.cash - funds, of_short)
        self.cash = 0.0
        self.fees += of_long + of_short
        self.seen["openings"] += 1

    def _close(self, price):
        for each in (self.long, self.short):
            back, fee = each.close(price)
            self.cash += back
            self.fees += fee

    # -- what happens after a row

    def _act(self, row, price, closes):
        case = self.case
        if self.held:
            below = self.long.due(case.low[row]), self.short.due(case.high[row])
            if any(below):
                self._liquidate(below, price)
                self._answer(row, price, below)
                return
        if case.strategy == "capital_rebalance":
            self._rebalance(price, closes) if self.held else self._enter_anew(price)
        elif case.strategy == "full_rotation":
            self._rotate(row, price, (False, False))

    def _liquidate(self, below, price):
        """The penalty, at most the equity; what is short of nothing is forgiven where the rules say so."""
        of, fraction = self.case.penalty
        for leg, hit in zip((self.long, self.short), below, strict=True):
            if hit:
                equity = leg.equity(price)
                taken = max(0.0, min(equity, fraction * (equity if of == "equity" else leg.notional(price))))
                leg.take(taken)
                self.penalties += taken
                if self.case.forgive:
                    leg.forgive(max(-equity, 0.0))
                    self.forgiven += max(-equity, 0.0)
        at_cost = self.case.of_long.at_cost, self.case.of_short.at_cost
        self.seen["liquidations"] += sum(below)
        self.seen["rows that liquidate both legs"] += all(below)
        self.seen["liquidations during transit"] += sum(below) if self.transit else 0
        self.seen["liquidations at cost"] += sum(hit and kind for hit, kind in zip(below, at_cost, strict=True))

    def _answer(self, row, price, below):
        """What each strategy does after a liquidation, which leaves the position open."""
        match self.case.strategy:
            case "capital_rebalance":
                planned = self._half(price) * self.case.leverage
                self._close(price)
                self._enter(price, planned)
            case "full_rotation":
                self._rotate(row, price, below)
            case "static":
                self._close(price)

    # -- capital rebalance

    def _rebalance(self, price, closes):
        """Level both equities, once for each leg whose leverage is above the trigger."""
        legs = self.long, self.short
        above = [each for each in legs if each.notional(price) > self.case.trigger * each.equity(price)]
        for _ in above:
            self._level(price, closes)

    def _enter_anew(self, price):
        """Open what is not open, once no money is on its way."""
        if not self.transit:
            self._enter(price, self._half(price) * self.case.leverage)

    def _level(self, price, closes):
        """Send half of the difference over the bridge, or as much of it as the richer leg has."""
        case = self.case
        rich, poor = sorted((self.long, self.short), key=lambda each: -each.equity(price))
        moved = min((rich.equity(price) - poor.equity(price)) / 2, rich.equity(price) - case.least)
        if self.transit or moved <= case.least:
            return
        rich.take(moved + case.bridge / 2)
        self.fees += case.bridge / 2
        self.seen["transfers"] += 1
        self.transit = Transfer(closes + case.latency, poor, moved, case.bridge / 2)
        if not case.latency:
            self._let_arrive(closes, price)

    def _let_arrive(self, now, price):
        sent = self.transit
        if sent and sent.due <= now:
            self.transit = None
            self.seen["arrivals at the close of a row"] += bool(self.case.latency) and sent.due == now
            sent.target.give(sent.amount)
            sent.target.take(sent.fee)
            self.fees += sent.fee
            if not self.held:
                self._enter_anew(price)

    # -- full rotation

    def _rotate(self, row, price, below):
        """Leave both legs near a liquidation or for too little yield, and enter again after the next row."""
        case = self.case
        if not self.held:
            self._enter(price, self._half(price) * case.leverage)
            return
        reasons = []
        for leg, extreme, sign, hit in (
            (self.long, case.low[row], 1, below[0]),
            (self.short, case.high[row], -1, below[1]),
        ):
            distance = sign * (extreme - leg.limit())
            if distance <= 0 or hit:
                reasons.append("liquidated")
            elif distance / extreme < case.buffer:
                reasons.append("near")
        if reasons:
            if reasons[-1] == "liquidated":
                hit = self.short if below[1] else self.long
                taken = case.capital_penalty * 2 * self._half(price)
                hit.take(taken)
                self.penalties += taken
            self._close(price)
            self.seen["rotations"] += 1
            self.seen["rotations before a liquidation"] += not any(below)
        elif case.compounding:
            half = self._half(price)
            for leg in (self.long, self.short):
                leg.give(half - leg.equity(price))
            for leg in (self.long, self.short):
                leg.resize(half * case.leverage / leg.notional(price) * abs(leg.size), price)
