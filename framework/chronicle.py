"""The event log for people: one line per thing that was done, with what it moved and what it cost."""

from collections.abc import Iterator
from itertools import groupby

from attrs import frozen

from framework.events import Ended, Liquidated, OrderFilled, TransferSent
from framework.run import Run
from framework.units import USDC
from framework.valuation import row_of


@frozen(kw_only=True)
class Line:
    """One line of the log; money in USD, `event` the id of the first event behind it."""

    event: int
    date: str
    kind: str
    price: float
    venue: str = ""
    transfer_usd: float | None = None
    notional_usd: float | None = None
    penalty_usd: float | None = None
    bad_debt_usd: float | None = None
    fees_usd: float | None = None


def chronicle(run: Run) -> Iterator[Line]:
    """Openings, transfers, liquidations, reopenings and closings, in the order in which they happened.

    What a strategy does to compound, resizing both legs and what it moves between them for that, is left out.
    """
    single = list(run.events.single())
    acts = [event for event in single if isinstance(event, Liquidated | OrderFilled | TransferSent)]
    routine = {event.cause for event in acts if isinstance(event, OrderFilled) and event.order == "resize"}
    ended = {event.event for event in single if isinstance(event, Ended)}
    told = (event for event in acts if event.cause is None or event.cause not in routine)
    for _, group in groupby(told, key=_act):
        events = list(group)
        first = events[0]
        row = row_of(run.market, first.at_ns)
        date, price = run.market.date(row), float(run.market["close"][row])
        match first:
            case Liquidated():
                yield _liquidation(first, date, price)
            case TransferSent():
                yield _transfer(first, date, price)
            case OrderFilled():
                yield _fills(
                    [each for each in events if isinstance(each, OrderFilled)], date, price, first.cause in ended
                )


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
    )


def _transfer(event: TransferSent, date: str, price: float) -> Line:
    return Line(
        event=event.event,
        date=date,
        kind="transfer",
        price=price,
        venue=f"{event.venue} > {event.counterparty}",
        transfer_usd=USDC.units(event.amount),
    )


def _fills(fills: list[OrderFilled], date: str, price: float, at_end: bool) -> Line:
    """Orders of one cause as one line: what they did together, why, and what they cost."""
    trades = [fill for fill in fills if fill.order in ("open", "close")] or fills
    opened = [fill for fill in trades if fill.order == "open"]
    kind = "reopen" if len(opened) < len(trades) and opened else trades[0].order
    reason = next((f": {fill.reason}" for fill in fills if fill.reason), " at the end" if at_end else "")
    penalty = sum(fill.amount for fill in fills if fill.order == "penalty")
    return Line(
        event=fills[0].event,
        date=date,
        kind=kind + reason,
        price=price,
        venue=", ".join(dict.fromkeys(fill.venue for fill in trades)),
        notional_usd=USDC.units((opened or trades)[-1].amount),
        penalty_usd=USDC.units(penalty) if penalty else None,
        fees_usd=sum(fill.fee_usd for fill in fills),
    )
