"""Thorough checks: what venues charged, again from their rules and what they said they charged it on."""

from collections.abc import Iterator, Mapping

import numpy as np

from framework.assembly import Assembly
from framework.audit.finding import Finding, Findings
from framework.audit.history import History
from framework.units import USDC, perpetual
from framework.venue import Venue

COLUMNS = (
    "event", "venue", "kind", "order", "cause", "asset", "size", "price", "amount", "fee", "charged", "equity",
    "penalty", "counterparty",
)  # fmt: skip
SLACK = 1
"""Atomic units by which a fee may differ: what it was charged on is said to a whole unit."""


def _singles(history: History) -> Iterator[Mapping[str, object]]:
    """The events that are orders, transfers or liquidations."""
    wanted = ["OrderFilled", "TransferSent", "TransferArrived", "Liquidated"]
    for batch in history.folder.batches("events", COLUMNS):
        for index in np.flatnonzero(np.isin(np.array(batch["kind"].to_pylist()), wanted)).tolist():
            yield {name: batch[name][index].as_py() for name in COLUMNS}


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
            yield Finding(f"event {event['event']}", words)


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
    """Each liquidation took the share of equity or notional that the rules name, and no more than there was."""
    rules = {venue.name: getattr(venue, "liquidation_penalty", None) for venue in assembly.venues}
    coins = {venue.name: str(getattr(venue, "coin", "")) for venue in assembly.venues}
    for event in _singles(history):
        rule = rules.get(str(event["venue"]))
        if event["kind"] != "Liquidated" or rule is None:
            continue
        size = abs(int(str(event["size"]))) / perpetual(coins[str(event["venue"])]).scale
        notional = USDC.nearest(size * float(str(event["price"])))
        expected = rule.amount(int(str(event["equity"])), notional)
        if abs(int(str(event["penalty"])) - expected) > SLACK:
            words = f"the penalty at {event['venue']} was {event['penalty']}; its rules make {expected}"
            yield Finding(f"event {event['event']}", words)
