"""The event log for people: one line per thing that was done, with what it moved and what it cost."""

from collections.abc import Iterator
from itertools import groupby

from attrs import frozen

from framework.events import Ended, Event, Liquidated, OrderFilled, TransferSent
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
    """Openings, transfers, liquidations, reopenings and closings, in the order in which they happened."""
    acts = (event for event in run.events.single() if isinstance(event, Liquidated | OrderFilled | TransferSent))
    ended = {event.event for event in run.events.single() if isinstance(event, Ended)}
    for (_, _, kind), group in groupby(acts, key=_act):
        events = list(group)
        first = events[0]
        date = run.market.date(row_of(run.market, first.at_ns))
        match first:
            case Liquidated():
                yield _liquidation(first, date)
            case TransferSent():
                yield _transfer(first, date)
            case OrderFilled() if kind:
                yield _fills([each for each in events if isinstance(each, OrderFilled)], date, first.cause in ended)


def _act(event: Liquidated | OrderFilled | TransferSent) -> tuple[int | None, int, bool]:
    """Orders with one cause are one act; liquidations and transfers are acts of their own."""
    traded = isinstance(event, OrderFilled)
    return event.cause, 0 if traded else event.event, traded


def _liquidation(event: Liquidated, date: str) -> Line:
    return Line(
        event=event.event,
        date=date,
        kind=f"liquidation of the {event.side}",
        price=event.price,
        venue=event.venue,
        penalty_usd=USDC.units(event.penalty),
        bad_debt_usd=USDC.units(event.bad_debt),
    )


def _transfer(event: TransferSent, date: str) -> Line:
    return Line(
        event=event.event,
        date=date,
        kind="transfer",
        price=event.price,
        venue=f"{event.venue} > {event.counterparty}",
        transfer_usd=USDC.units(event.amount),
    )


def _fills(fills: list[OrderFilled], date: str, at_end: bool) -> Line:
    orders = [fill.order for fill in fills]
    opened = [fill for fill in fills if fill.order == "open"]
    kind = "reopen" if opened and "close" in orders else "open" if opened else orders[0]
    return Line(
        event=fills[0].event,
        date=date,
        kind=f"{kind} at the end" if at_end else kind,
        price=fills[0].price,
        venue=", ".join(dict.fromkeys(fill.venue for fill in fills)),
        notional_usd=USDC.units((opened or fills)[-1].amount),
        fees_usd=sum(fill.fee_usd for fill in fills),
    )


def causes(event: Event, events: dict[int, Event]) -> Iterator[Event]:
    """What led to an event: its cause, the cause of that, and so on."""
    while event.cause is not None:
        event = events[event.cause]
        yield event
