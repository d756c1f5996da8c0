"""Thorough checks: what venues charged, again from their rules and what they said they charged it on."""

from collections.abc import Iterator, Mapping

from framework.assembly import Assembly
from framework.saved.audit.finding import Finding, Findings
from framework.saved.audit.history import History
from framework.units import USDC, perpetual
from framework.venue import Venue, account_part

COLUMNS = (
    "event", "venue", "kind", "order", "cause", "asset", "size", "price", "amount", "fee", "charged", "equity",
    "penalty", "bad_debt", "closed", "counterparty",
)  # fmt: skip
SLACK = 1
"""Atomic units by which a fee may differ: what it was charged on is said to a whole unit."""


def _singles(history: History) -> Iterator[Mapping[str, object]]:
    """The events that are orders, transfers or liquidations."""
    return history.folder.events(("OrderFilled", "TransferSent", "TransferArrived", "Liquidated"), COLUMNS)


def fees(assembly: Assembly, history: History) -> Findings:
    """Each order was charged what its venue's rules say, on the notional that it names; so was each transfer."""
    venues = {venue.name: venue for venue in assembly.venues}
    for event in _singles(history):
        venue = venues.get(str(event["venue"]))
        if venue is None:
            continue
        expected = _transfer_fee(event, venues) if "Transfer" in str(event["kind"]) else _order_fee(event, venue)
        if expected is not None and abs(int(str(event["fee"])) - expected) > SLACK:
            words = f"{event['order'] or event['kind']} at {venue.name} cost {event['fee']}; its rules make {expected}"
            yield Finding(history.event(int(str(event["event"]))), words)


def _order_fee(event: Mapping[str, object], venue: Venue) -> int | None:
    """An order's fee in atomic units of USDC; None where the rules are not known here."""
    order, charged = event["order"], USDC.units(int(str(event["charged"] or 0)))
    at_entry = getattr(venue, "fee_timing", "each_trade") == "entry"
    if order in ("open", "close", "resize") and hasattr(venue, "taker_fee_bps"):
        once = USDC.nearest(charged * venue.taker_fee_bps / 10_000)
        return (2 * once if order == "open" else 0) if at_entry else once
    if order in ("open", "close", "resize") and hasattr(venue, "open_fee_bps"):
        gas = USDC.nearest(getattr(venue, "gas_usd", 0.0)) if order == "open" else 0
        larger = order == "open" or (order == "resize" and int(str(event["size"])) > 0 and not at_entry)
        return gas + (USDC.nearest(charged * venue.open_fee_bps / 10_000) if larger else 0)
    if order in ("swap", "close") and hasattr(venue, "swap_fee_bps"):
        sold = USDC.units(int(str(event["amount"])) + int(str(event["fee"])))
        return USDC.nearest(sold * venue.swap_fee_bps / 10_000)
    rates = {"mint": "swap", "redeem": "swap", "charge_rebalance": "rebalance"}
    if order in rates and hasattr(venue, rates[str(order)]):
        return USDC.nearest(charged * getattr(venue, rates[str(order)]))
    return None


def _transfer_fee(event: Mapping[str, object], venues: Mapping[str, Venue]) -> int | None:
    """What one end of a transfer costs; both bridges share it between the ends."""
    ends = [venues[str(event[side])].bridge for side in ("venue", "counterparty")]
    leaving = sum(USDC.nearest(bridge.fee_usd * bridge.sender_share) for bridge in ends)
    whole = sum(USDC.nearest(bridge.fee_usd) for bridge in ends)
    return leaving if event["kind"] == "TransferSent" else whole - leaving


def penalties(assembly: Assembly, history: History) -> Findings:
    """Each liquidation found the equity that the books had; penalty, fee and forgiven loss are those of its rules."""
    venues = {venue.name: venue for venue in assembly.venues}
    for event in _singles(history):
        venue = venues.get(str(event["venue"]))
        if event["kind"] != "Liquidated" or venue is None or not hasattr(venue, "liquidation_penalty"):
            continue
        said = {name: int(str(event[name])) for name in ("equity", "penalty", "bad_debt", "fee", "size")}
        price = float(str(event["price"]))
        notional = USDC.nearest(abs(said["size"]) / perpetual(str(getattr(venue, "coin", ""))).scale * price)
        forgives = bool(getattr(venue, "forgive_negative_equity", False))
        made = {
            "equity": _equity(venue, int(str(event["event"])), price, history),
            "penalty": venue.liquidation_penalty.amount(said["equity"], notional),
            "bad_debt": max(0, -said["equity"]) if forgives else 0,
            "fee": (_order_fee({**event, "order": "close", "charged": notional}, venue) or 0) if event["closed"] else 0,
        }
        for name, expected in made.items():
            if abs(said[name] - expected) > SLACK:
                words = (
                    f"the {name.replace('_', ' ')} at {venue.name} was {said[name]}; books and rules make {expected}"
                )
                yield Finding(history.event(int(str(event["event"]))), words)


def _equity(venue: Venue, event: int, price: float, history: History) -> int:
    """What a venue's accounts were worth before an event, less the trading fee that it paid, atomic units of USDC."""
    place, coin = account_part(venue.name), str(getattr(venue, "coin", ""))
    row = int(history.market.at_ns.searchsorted(history.instant(event)))
    worth = -history.moved(event, f"Expenses:{place}:TakerFee")
    for account, atoms in history.held_before(event).items():
        if account.name.startswith((f"Assets:{place}:", f"Liabilities:{place}:")):
            asset = account.asset
            own = asset.code in (coin, perpetual(coin).code)
            at = 1.0 if asset == USDC else price if own else history.market[history.market.price_column(asset)][row]
            worth += USDC.nearest(asset.units(atoms) * at)
    return worth
