"""What a run is worth and why: exact worth, equity, waterfall, liquidations, and the log of what was done.

Money is counted in integers of 10^-`PLACES` USD, so a sum that should be zero is exactly zero. Numbers become floats
in the metrics, and text only in the report.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from itertools import groupby
from operator import add, mul
from typing import Any

import numpy as np
from attrs import evolve, fields, frozen
from numpy.typing import NDArray

from framework.events import (
    Acted,
    Deleveraged,
    Ended,
    Event,
    IncidentBegan,
    IncidentEnded,
    Liquidated,
    MarginCalled,
    OrderFilled,
    Rejected,
    TransferArrived,
    TransferFailed,
    TransferSent,
    VenueFailed,
    VenueHalted,
    VenueResumed,
)
from framework.ledger import Records
from framework.market import At, Floats, Ints, Market
from framework.money import USDC, Account, Asset, perpetual
from framework.orders import Order, method_of
from framework.run import Run, routine_causes

PLACES = 36
"""Decimals of the integers in which USD are counted: enough for any price times any amount."""
FEW_DIGITS = 10**15
"""Below this an integer over a power of ten is one float, and that float is no other such fraction."""
WORD_BITS = 62
"""Sums of so many bits, estimated with floats, surely fit into a word of 64 with its sign."""
LEAST_BITS = 8
"""Prices are multiplied so many bits at a time or more; where only fewer fit, as integers of any size."""


@frozen(kw_only=True, eq=False)
class Prices:
    """An asset's prices as integers of 10^-`decimals` USD, the very decimals that were read.

    The first is the one at which the run was opened, then those of the rows as they close.
    """

    values: NDArray[Any]
    decimals: int

    @classmethod
    def of(cls, market: Market, asset: Asset, opened_at: At) -> "Prices":
        """The exact prices of an asset."""
        closes, opens = market.price_column(asset), market.price_column(asset, opened_at)
        return market.cached(("exact", opens, closes), lambda: cls.exact(market[opens][:1], market[closes]))

    @classmethod
    def at_end(cls, market: Market, asset: Asset) -> "Prices":
        """The exact price of an asset at the last close alone."""

        def last() -> Prices:
            return cls.exact(np.zeros(0), market[market.price_column(asset)][-1:])

        return market.cached(("last", asset), last)

    @classmethod
    def exact(cls, opened: Floats, closes: Floats) -> "Prices":
        """The price of the opening and those of the closes, floats, as the decimals that they are written with."""
        prices = np.concatenate((opened, closes))
        for decimals in range(10):
            scaled = np.rint(prices * 10**decimals)
            if scaled.max(initial=0.0) < FEW_DIGITS and np.array_equal(scaled / 10**decimals, prices):
                return cls(values=scaled.astype(np.int64), decimals=decimals)
        written = [Decimal(repr(price)) for price in prices.tolist()]
        decimals = max(-min(0, int(each.as_tuple().exponent)) for each in written)
        values = np.array([int(each.scaleb(decimals)) for each in written], dtype=object)
        return cls(values=values.astype(np.int64) if values.max() >> WORD_BITS == 0 else values, decimals=decimals)

    def products(self, amounts: Ints, rows: Ints) -> Iterator[tuple[int, NDArray[Any]]]:
        """Amounts times the values of their rows, exactly: a sum of arrays of integers, each shifted by its bits.

        The sum of any elements of such an array fits into its type.
        """
        values, shift = self.values[rows], 0
        bits = WORD_BITS - int(np.abs(amounts.astype(np.float64)).sum()).bit_length()
        if values.dtype == object or bits < LEAST_BITS:
            yield 0, amounts.astype(object) * values
            return
        while values.any():
            yield shift, amounts * (values & (1 << bits) - 1)
            values, shift = values >> bits, shift + bits

    def usd(self, asset: Asset, atoms: int, row: int) -> int:
        """Atomic units at the price of a row, counted from 1, as an integer of 10^-PLACES USD; row 0 is the opening."""
        return atoms * int(self.values[row]) * self.scale(asset)

    def scale(self, asset: Asset) -> int:
        """What an atomic unit times a price value counts, in 10^-PLACES USD."""
        return int(10 ** (PLACES - self.decimals - asset.decimals))


def usdc(atoms: int) -> int:
    """Atomic units of USDC, at a dollar each, as an integer of 10^-PLACES USD."""
    return atoms * int(10 ** (PLACES - USDC.decimals))


def decimal(amount: int) -> Decimal:
    """An integer of 10^-PLACES USD as a decimal, without the zeros at its end."""
    if not amount:
        return Decimal(0)
    digits = str(amount)
    zeros = min(PLACES, len(digits) - len(digits.rstrip("0")))
    return Decimal(f"{digits[: len(digits) - zeros]}e-{PLACES - zeros}")


def priced(accounts: Sequence[Account]) -> Sequence[Asset]:
    """The assets of accounts that are not dollars, each once."""
    return [asset for asset in dict.fromkeys(account.asset for account in accounts) if asset != USDC]


@frozen(kw_only=True, eq=False)
class Flow:
    """Part of what went through one account in one batch: shape (entries,), amounts signed, debits less credits."""

    account: Account
    amounts: Ints
    _batch: Records
    _first_seq: int
    _entries: NDArray[np.intp]

    @cached_property
    def seq(self) -> Ints:
        """The number of each transfer in the ledger."""
        return self._first_seq + self._entries

    @cached_property
    def event(self) -> Ints:
        """The event behind each transfer."""
        return self._batch["event"][self._entries]

    @cached_property
    def at_ns(self) -> Ints:
        """The instant of each transfer."""
        return self._batch["at_ns"][self._entries]


@frozen(kw_only=True, eq=False)
class Worth:
    """Every account of a run valued: `through` is what went through it at the prices of its moments, `left` what is
    left at the last close, both integers of 10^-PLACES USD, debits less credits; `balances` are atomic units.
    """

    through: Mapping[Account, int]
    left: Mapping[Account, int]
    balances: Mapping[Account, int]

    @classmethod
    def of(cls, run: Run) -> "Worth":
        """The worth of a run in memory, found once."""

        def found() -> Worth:
            return PricedBook.of(run.ledger.accounts, run.market, run.opened_at).worth([run.ledger.records()])

        return run.cached("worth", found)

    def equity(self) -> int:
        """Assets less liabilities at the last close, in 10^-PLACES USD."""
        return sum(left for account, left in self.left.items() if account.owned)


@frozen(kw_only=True, eq=False)
class PricedBook:
    """A chart of accounts with the prices of a market: turns batches of transfers into flows and into worth.

    `at_ns` has shape (rows,): when each row of the prices closed. Dollars need no price.
    """

    accounts: Sequence[Account]
    at_ns: Ints
    prices: Mapping[Asset, Prices]

    @classmethod
    def of(cls, accounts: Sequence[Account], market: Market, opened_at: At) -> "PricedBook":
        """The accounts with the prices of a market, made once for all runs on it that have these accounts."""

        def made() -> PricedBook:
            prices = {asset: Prices.of(market, asset, opened_at) for asset in priced(accounts)}
            return cls(accounts=accounts, at_ns=market.at_ns, prices=prices)

        return market.cached(("priced", opened_at, *accounts), made)

    def flows(self, batch: Records, first_seq: int) -> Iterator[Flow]:
        """What a batch moved on each account that it touches, in the order of the chart."""
        debit, credit, amount = (np.ascontiguousarray(batch[name]) for name in ("debit", "credit", "amount"))
        for code, account in enumerate(self.accounts):
            received = debit == code
            (entries,) = (received | (credit == code)).nonzero()
            if len(entries):
                amounts = np.where(received[entries], amount[entries], -amount[entries])
                yield Flow(account=account, amounts=amounts, batch=batch, first_seq=first_seq, entries=entries)

    def usd(self, flow: Flow) -> list[int]:
        """Each entry of a flow at the price of its moment, in 10^-PLACES USD."""
        asset = flow.account.asset
        if asset == USDC:
            return [usdc(amount) for amount in flow.amounts.tolist()]
        scale, values = self.prices[asset].scale(asset), self.prices[asset].values[self._rows(flow.at_ns)].tolist()
        return [amount * value * scale for amount, value in zip(flow.amounts.tolist(), values, strict=True)]

    def worth(self, batches: Iterable[Records]) -> Worth:
        """The worth of every account after all batches."""
        balances, valued = [0] * len(self.accounts), [0] * len(self.accounts)
        for batch in batches:
            debit, credit, amount = (np.ascontiguousarray(batch[name]) for name in ("debit", "credit", "amount"))
            balances = list(map(add, balances, self._net(debit, credit, amount)))
            for prices, has in self._tables:
                (mine,) = has[debit].nonzero()
                to, by, rows = debit.take(mine), credit.take(mine), self._rows(batch["at_ns"].take(mine))
                for shift, products in prices.products(amount.take(mine), rows):
                    sums = self._net(to, by, products)
                    valued = [total + (each << shift) for total, each in zip(valued, sums, strict=True)]
        left = dict(zip(self.accounts, map(mul, balances, self._at_end), strict=True))
        through = left | {self.accounts[code]: valued[code] * scale for code, scale in self._scales.items()}
        return Worth(through=through, left=left, balances=dict(zip(self.accounts, balances, strict=True)))

    def _net(self, debit: Ints, credit: Ints, amounts: NDArray[Any]) -> list[int]:
        """What amounts come to on each account: debits less credits, in the order of the chart."""
        sums = np.zeros(len(self.accounts), dtype=amounts.dtype)
        np.add.at(sums, debit, amounts)
        np.subtract.at(sums, credit, amounts)
        net: list[int] = sums.tolist()
        return net

    @cached_property
    def _tables(self) -> Sequence[tuple[Prices, NDArray[np.bool_]]]:
        """All prices, each once, and which accounts have them: a contract has those of its coin."""
        of_account = [self.prices.get(account.asset) for account in self.accounts]
        each = dict.fromkeys(prices for prices in of_account if prices is not None)
        return [(prices, np.array([own is prices for own in of_account])) for prices in each]

    @cached_property
    def _scales(self) -> Mapping[int, int]:
        """Accounts with prices, by their codes -> what an atomic unit times a price value counts, in 10^-PLACES USD."""
        assets = ((code, account.asset) for code, account in enumerate(self.accounts))
        return {code: self.prices[asset].scale(asset) for code, asset in assets if asset != USDC}

    @cached_property
    def _at_end(self) -> Sequence[int]:
        """What an atomic unit on each account is worth at the last close, in 10^-PLACES USD."""
        assets = (account.asset for account in self.accounts)
        return [usdc(1) if asset == USDC else self.prices[asset].usd(asset, 1, -1) for asset in assets]

    def _rows(self, at_ns: Ints) -> NDArray[np.intp]:
        """The price row of each instant."""
        return self.at_ns.searchsorted(at_ns, side="right")


@frozen(kw_only=True)
class Waterfall:
    """Where the result came from, exact USD: gains are positive, costs negative, and all of it sums to `result`.

    `price_pnl` is the revaluation of what was held less what of it was booked as staking income, `execution` what
    trades made against the mark (here their rounding), `bad_debt` what a venue lost on us, `losses` what was lost with
    a venue. `unexplained` is what
    remains: zero, or a fault in the values.
    """

    carry: Decimal
    funding: Decimal
    staking: Decimal
    fees: Decimal
    liquidation_penalty: Decimal
    price_pnl: Decimal
    execution: Decimal
    bad_debt: Decimal
    losses: Decimal
    other_income: Decimal
    unexplained: Decimal
    result: Decimal

    @property
    def study_drag(self) -> Decimal:
        """The study's "MTM drag": the plug that makes its other buckets sum to the result; bad debt hides in it."""
        return self.result - self.carry - self.funding - self.fees - self.liquidation_penalty

    def steps(self) -> Iterator[tuple[str, Decimal]]:
        """Name and amount of each bucket, the result last."""
        return ((each.name, getattr(self, each.name)) for each in fields(type(self)))


def worth_at_end(balances: Iterable[tuple[Account, int]], market: Market) -> int:
    """Assets less liabilities at the last close, in 10^-PLACES USD, from accounts with their balances."""
    total = 0
    for account, atoms in balances:
        if atoms and account.owned:
            asset = account.asset
            total += usdc(atoms) if asset == USDC else Prices.at_end(market, asset).usd(asset, atoms, -1)
    return total


def equity(run: Run) -> Decimal:
    """Assets less liabilities at the last close, exact USD."""
    return decimal(Worth.of(run).equity())


def waterfall(run: Run) -> Waterfall:
    """The result of a run by cause."""
    return waterfall_of(Worth.of(run), run.capital)


def waterfall_of(worth: Worth, capital: int) -> Waterfall:
    """The result of books by cause; `capital` in atomic units of USDC.

    Equity is taken from the balances at the end; the buckets from income, expenses and trades, and from revaluing what
    was held between the rows in which it changed. The two meet in `unexplained`.
    """
    buckets = dict.fromkeys((each.name for each in fields(Waterfall)), 0)
    for account, through in worth.through.items():
        bucket = account.bucket
        if bucket is not None:
            buckets[bucket] += (worth.left[account] if revalued(account) else 0) - through
    buckets["result"] = worth.equity() - usdc(capital)
    buckets["unexplained"] = 2 * buckets["result"] - sum(buckets.values())
    return Waterfall(**{name: decimal(amount) for name, amount in buckets.items()})


def revalued(account: Account) -> bool:
    """Whether an account holds or owes something whose price moves."""
    return account.owned and account.asset != USDC


def fees_of(worth: Worth) -> dict[str, Decimal]:
    """Expenses that count as fees by the account's name, exact USD, in the order of the chart."""
    fees: dict[str, int] = {}
    for account, through in worth.through.items():
        if account.bucket == "fees" and account.name.startswith("Expenses:"):
            fees[account.name] = fees.get(account.name, 0) + through
    return {name: decimal(amount) for name, amount in fees.items()}


def running_fees_usd(run: Run) -> dict[str, Decimal]:
    """Those fees of a run that nobody's act caused but time, such as an issuer's maintenance fee; exact USD."""
    records = run.ledger.records()
    (settled,) = np.isin(records["event"], run.events.single_ids, invert=True).nonzero()
    worth = PricedBook.of(run.ledger.accounts, run.market, run.opened_at).worth([records.take(settled)])
    return {name: paid for name, paid in fees_of(worth).items() if paid}


def fees_usd(run: Run) -> dict[str, Decimal]:
    """Expenses of a run by account that count as fees, exact USD."""
    return fees_of(Worth.of(run))


CONTRACT_SCALE = perpetual("").scale


@frozen(kw_only=True)
class LogLine:
    """One line of the log; money in USD, `event` the id of the first event behind it.

    `price` is the coin's, None where there are several. Of a margin call, `size` is by how many coins the position was
    cut, and `margin_usd` the requirement that they made.
    """

    event: int
    date: str
    kind: str
    price: float | None
    venue: str = ""
    size: float | None = None
    margin_usd: float | None = None
    transfer_usd: float | None = None
    notional_usd: float | None = None
    penalty_usd: float | None = None
    bad_debt_usd: float | None = None
    fees_usd: float | None = None
    reason: str = ""
    """Why an order was rejected."""


def chronicle(run: Run) -> Iterator[LogLine]:
    """What was done, in the order in which it happened: trades, transfers, liquidations, other acts, and rejections.

    Only what a strategy does after every row to compound is left out: resizing, and what it moves for that, free of
    charge. So the fees of all lines sum to those of the run but for the fees that run with time, `running_fees_usd`.
    """
    single, one_coin = run.single, len(run.curve.delta_by_coin) < 2
    routine = routine_causes([(each.event, each.cause, each) for each in single])
    own_fees = _own_fees_usd(run)
    causes = {event.event: event for event in single if isinstance(event, Ended | MarginCalled)}
    arrivals = {event.cause: event for event in single if isinstance(event, TransferArrived)}
    told = (
        event
        for event in single
        if (isinstance(event, ACTS) or event.event in own_fees) and (event.cause is None or event.cause not in routine)
    )
    for _, group in groupby(told, key=_act):
        events = list(group)
        first = events[0]
        date = run.market.when(run.row(first.at_ns))
        price = run.price(first.at_ns) if one_coin else None
        match first:
            case Liquidated():
                yield _liquidation(first, date, price)
            case TransferSent():
                yield _transfer(first, arrivals.get(first.event), date, price)
            case OrderFilled():
                fills = [each for each in events if isinstance(each, OrderFilled)]
                yield _fills(fills, date, price, causes.get(first.cause or 0))
            case _:
                yield _other(first, date, price, own_fees.get(first.event))


ORDERS = {"penalty", *(method_of(each) for each in Order.__subclasses__() if each.__module__ == Order.__module__)}
"""The orders that come with the project, as fills name them; a line of the log names those of a user's own besides."""
INCIDENTS = Deleveraged | IncidentBegan | IncidentEnded | VenueFailed | VenueHalted | VenueResumed
ACTS = Acted | Liquidated | OrderFilled | Rejected | TransferFailed | TransferSent | INCIDENTS
"""The events that are lines of the log; events of a user's own are as well."""


def _own_fees_usd(run: Run) -> dict[int, float]:
    """Events of a user's own classes -> what they cost in fees, from the ledger: what else they say is not known."""
    ids = [event.event for event in run.single if not type(event).__module__.startswith("framework.")]
    if not ids:
        return {}
    records, fees = run.ledger.records(), dict.fromkeys(ids, 0.0)
    book = PricedBook.of(run.ledger.accounts, run.market, run.opened_at)
    for flow in book.flows(records[np.isin(records["event"], ids)], 1):
        if flow.account.name.startswith("Expenses:") and flow.account.bucket == "fees":
            for event, amount in zip(flow.event.tolist(), book.usd(flow), strict=True):
                fees[event] += float(decimal(amount))
    return fees


def _act(event: Event) -> tuple[int | None, int]:
    """Orders with one cause are one act; everything else is an act of its own."""
    return event.cause, 0 if isinstance(event, OrderFilled) else event.event


def _other(event: Event, date: str, price: float | None, own_fee_usd: float | None) -> LogLine:
    """An act of a venue's own, an order that was rejected, a transfer that failed, or an event of a user's own."""
    line = LogLine(event=event.event, date=date, kind=event.kind, price=price, venue=event.venue)
    match event:
        case Acted():
            return evolve(line, kind=event.act, fees_usd=USDC.units(event.fee))
        case Rejected():
            return evolve(line, kind=f"rejected: {event.order}", reason=event.reason)
        case TransferFailed():
            return evolve(line, kind="transfer failed", transfer_usd=USDC.units(event.amount))
        case VenueHalted() | VenueResumed() | VenueFailed() | Deleveraged() | IncidentBegan() | IncidentEnded():
            return _incident(event, line)
        case _:
            return evolve(line, fees_usd=own_fee_usd)


def _incident(event: INCIDENTS, line: LogLine) -> LogLine:
    """What befell a venue or the market from outside."""
    match event:
        case VenueFailed():
            lost, left = (f"{USDC.units(each):,.2f} USD" for each in (event.lost, event.amount))
            return evolve(line, kind="failed", reason=f"lost {lost}, frozen {left}")
        case Deleveraged():
            closed = f"{event.share * 100:g} % of each position with a profit"
            return evolve(line, kind="deleveraged", size=event.size / CONTRACT_SCALE, reason=closed)
        case IncidentBegan():
            return evolve(line, kind=event.incident.replace("_", " "))
        case IncidentEnded():
            return evolve(line, kind=f"{event.incident.replace('_', ' ')} is over")
        case _:
            return evolve(line, kind="halted" if isinstance(event, VenueHalted) else "resumed")


def _liquidation(event: Liquidated, date: str, price: float | None) -> LogLine:
    return LogLine(
        event=event.event,
        date=date,
        kind=f"{event.side} liquidated",
        price=price,
        venue=event.venue,
        penalty_usd=USDC.units(event.penalty),
        bad_debt_usd=USDC.units(event.bad_debt),
        fees_usd=USDC.units(event.fee) if event.closed or event.fee else None,
    )


def _transfer(event: TransferSent, arrived: TransferArrived | None, date: str, price: float | None) -> LogLine:
    """A transfer with what it cost on leaving and, once it has arrived, on arriving."""
    return LogLine(
        event=event.event,
        date=date,
        kind="transfer",
        price=price,
        venue=f"{event.venue} > {event.counterparty}",
        transfer_usd=USDC.units(event.amount),
        fees_usd=USDC.units(event.fee + (arrived.fee if arrived else 0)),
    )


def _fills(fills: list[OrderFilled], date: str, price: float | None, cause: Event | None) -> LogLine:
    """Orders of one cause as one line: what they did together, why, and what they cost."""
    cut = next((fill for fill in fills if fill.order in ("resize", "close")), None)
    if isinstance(cause, MarginCalled) and cut:
        return LogLine(
            event=cause.event,
            date=date,
            kind="margin call",
            price=price,
            venue=cut.venue,
            size=abs(cut.size) / CONTRACT_SCALE,
            margin_usd=cause.requirement * USDC.units(cut.amount),
            notional_usd=USDC.units(cut.amount),
            fees_usd=USDC.units(sum(fill.fee for fill in fills)),
        )
    trades = [fill for fill in fills if fill.order in ("open", "close")] or fills
    opened = [fill for fill in trades if fill.order == "open"]
    kind = "reopen" if len(opened) < len(trades) and opened else trades[0].order
    kind = next((fill.order for fill in fills if fill.order in ("mint", "redeem")), kind)
    kind = ", ".join(dict.fromkeys((kind, *(fill.order for fill in fills if fill.order not in ORDERS))))
    reason = next(
        (f": {fill.reason}" for fill in fills if fill.reason), " at the end" if isinstance(cause, Ended) else ""
    )
    penalty = sum(fill.amount for fill in fills if fill.order == "penalty")
    return LogLine(
        event=fills[0].event,
        date=date,
        kind=kind + reason,
        price=price,
        venue=", ".join(dict.fromkeys(fill.venue for fill in fills if fill in trades or fill.order == "swap")),
        notional_usd=_notional_usd((opened or trades)[-1]),
        penalty_usd=USDC.units(penalty) if penalty else None,
        fees_usd=USDC.units(sum(fill.fee for fill in fills)),
    )


def _notional_usd(fill: OrderFilled) -> float:
    """What was traded, in USD; to and from a stake pool that is an amount of the coin."""
    in_coins = fill.order in ("stake", "unstake")
    return fill.amount / CONTRACT_SCALE * fill.price if in_coins else USDC.units(fill.amount)


@frozen(kw_only=True)
class Liquidation:
    """A liquidation with its cause; money in USD, prices of the coin in USD, None where not known.

    `price_reached` is the extreme of the row that the venue judged, `settled_at` the price at which it settled.
    `liquidation_price` and `leverage_before` are those at the close of the row before. `equity_usd` is what was left of
    the position before the penalty.
    """

    date: str
    venue: str
    side: str
    price_reached: float
    liquidation_price: float | None
    settled_at: float
    leverage_before: float | None
    equity_usd: float
    penalty_usd: float
    bad_debt_usd: float
    event: int


def liquidations(run: Run) -> Iterator[Liquidation]:
    """The liquidations of a run with their causes, in time order."""
    for event in run.single:
        if not isinstance(event, Liquidated):
            continue
        row = run.row(event.at_ns)
        prices = [each for (venue, _), each in run.liquidation_prices.items() if venue == event.venue]
        price = prices[0][row - 1] if row and len(prices) == 1 else np.nan
        leverage = run.curve.leverage_by_venue[event.venue][row - 1] if row else np.nan
        yield Liquidation(
            date=run.market.when(row),
            venue=event.venue,
            side=str(event.side),
            price_reached=event.trigger_price,
            liquidation_price=float(price) if np.isfinite(price) else None,
            settled_at=event.price,
            leverage_before=float(leverage) if np.isfinite(leverage) and leverage else None,
            equity_usd=USDC.units(event.equity),
            penalty_usd=USDC.units(event.penalty),
            bad_debt_usd=USDC.units(event.bad_debt),
            event=event.event,
        )
