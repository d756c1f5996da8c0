"""The event log for people: one line per thing that was done, with what it moved and what it cost."""

from collections.abc import Iterator
from itertools import groupby

from attrs import frozen

from framework.conditions import EveryRow
from framework.events import (
    ConditionMet,
    Ended,
    Event,
    Liquidated,
    MarginCalled,
    OrderFilled,
    TransferArrived,
    TransferSent,
)
from framework.run import Run
from framework.units import SOL, USDC, perpetual

CONTRACT_SCALE = perpetual("").scale


@frozen(kw_only=True)
class Line:
    """One line of the log; money in USD, `event` the id of the first event behind it.

    Of a margin call, `size` is by how many coins the position was cut, and `margin_usd` the requirement that they made.
    """

    event: int
    date: str
    kind: str
    price: float
    venue: str = ""
    size: float | None = None
    margin_usd: float | None = None
    transfer_usd: float | None = None
    notional_usd: float | None = None
    penalty_usd: float | None = None
    bad_debt_usd: float | None = None
    fees_usd: float | None = None


def chronicle(run: Run) -> Iterator[Line]:
    """Openings, transfers, liquidations, reopenings and closings, in the order in which they happened.

    What a strategy does after every row to compound, resizing both legs and what it moves for that, is left out.
    """
    single = list(run.events.single())
    acts = [event for event in single if isinstance(event, Liquidated | OrderFilled | TransferSent)]
    resized = {event.cause for event in acts if isinstance(event, OrderFilled) and event.order == "resize"}
    every_row = {event.event for event in single if isinstance(event, ConditionMet) and event.condition == EveryRow()}
    routine = resized & every_row
    causes = {event.event: event for event in single if isinstance(event, Ended | MarginCalled)}
    arrivals = {event.cause: event for event in single if isinstance(event, TransferArrived)}
    told = (event for event in acts if event.cause is None or event.cause not in routine)
    for _, group in groupby(told, key=_act):
        events = list(group)
        first = events[0]
        mark = run.mark(first.at_ns)
        date, price = run.market.when(mark.row), mark.price
        match first:
            case Liquidated():
                yield _liquidation(first, date, price)
            case TransferSent():
                yield _transfer(first, arrivals.get(first.event), date, price)
            case OrderFilled():
                fills = [each for each in events if isinstance(each, OrderFilled)]
                yield _fills(fills, date, price, causes.get(first.cause or 0))


def _act(event: Liquidated | OrderFilled | TransferSent) -> tuple[int | None, int]:
    """Orders with one cause are one act; liquidations and transfers are acts of their own."""
    return event.cause, 0 if isinstance(event, OrderFilled) else event.event


def _liquidation(event: Liquidated, date: str, price: float) -> Line:
    return Line(
        event=event.event,
        date=date,
        kind=f"{event.side} liquidated",
        price=price,
        venue=event.venue,
        penalty_usd=USDC.units(event.penalty),
        bad_debt_usd=USDC.units(event.bad_debt),
        fees_usd=USDC.units(event.fee) if event.closed else None,
    )


def _transfer(event: TransferSent, arrived: TransferArrived | None, date: str, price: float) -> Line:
    """A transfer with what it cost on leaving and, once it has arrived, on arriving."""
    return Line(
        event=event.event,
        date=date,
        kind="transfer",
        price=price,
        venue=f"{event.venue} > {event.counterparty}",
        transfer_usd=USDC.units(event.amount),
        fees_usd=USDC.units(event.fee + (arrived.fee if arrived else 0)),
    )


def _fills(fills: list[OrderFilled], date: str, price: float, cause: Event | None) -> Line:
    """Orders of one cause as one line: what they did together, why, and what they cost."""
    cut = next((fill for fill in fills if fill.order in ("resize", "close")), None)
    if isinstance(cause, MarginCalled) and cut:
        return Line(
            event=cause.event,
            date=date,
            kind="margin call",
            price=price,
            venue=cut.venue,
            size=abs(cut.size) / CONTRACT_SCALE,
            margin_usd=cause.requirement * USDC.units(cut.amount),
            notional_usd=USDC.units(cut.amount),
            fees_usd=sum(fill.fee_usd for fill in fills),
        )
    trades = [fill for fill in fills if fill.order in ("open", "close")] or fills
    opened = [fill for fill in trades if fill.order == "open"]
    kind = "reopen" if len(opened) < len(trades) and opened else trades[0].order
    kind = next((fill.order for fill in fills if fill.order in ("mint", "redeem")), kind)
    reason = next(
        (f": {fill.reason}" for fill in fills if fill.reason), " at the end" if isinstance(cause, Ended) else ""
    )
    penalty = sum(fill.amount for fill in fills if fill.order == "penalty")
    return Line(
        event=fills[0].event,
        date=date,
        kind=kind + reason,
        price=price,
        venue=", ".join(dict.fromkeys(fill.venue for fill in fills if fill in trades or fill.order == "swap")),
        notional_usd=_notional_usd((opened or trades)[-1]),
        penalty_usd=USDC.units(penalty) if penalty else None,
        fees_usd=sum(fill.fee_usd for fill in fills),
    )


def _notional_usd(fill: OrderFilled) -> float:
    """What was traded, in USD; to and from a stake pool that is an amount of SOL."""
    return SOL.units(fill.amount) * fill.price if fill.order in ("stake", "unstake") else USDC.units(fill.amount)
