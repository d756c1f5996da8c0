"""Checks of the log against the books: every event has its entry, every entry its event, and both say the same."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from framework.archive import Folder, among
from framework.chain import RECORD, Records
from framework.saved.audit.finding import Finding, Findings, entry
from framework.units import USDC, Asset

Values = NDArray[Any]

SETTLED = {
    "FundingSettled": {"funding"},
    "InterestAccrued": {"interest", "lending"},
    "RewardAccrued": {"staking_reward"},
    "FeeAccrued": {"reward_fee", "maintenance_fee"},
}
"""Events that settle one row of one position -> the kinds of the one transfer that each has."""
SETTLING = frozenset().union(*SETTLED.values())
WITHOUT_ENTRY = {"ConditionMet", "MarginCalled", "Ended"}
"""Events that move nothing themselves."""
WITH_ENTRY = {"Started", "OrderFilled", "TransferSent", "TransferArrived", "Unstaked", *SETTLED}
"""Events that move something; a liquidation may or may not."""
LEAVES: Mapping[str, set[str]] = {
    "bridge_fee": {"Fee"},
    "interest": {"Interest", "DepositInterest"},
    "staking_reward": {"Staking"},
    "reward_fee": {"RewardFee", "Staking"},
    **{
        kind: {"".join(word.capitalize() for word in kind.split("_"))}
        for kind in (
            "funding", "lending", "taker_fee", "open_fee", "gas", "swap_fee", "withdrawal_fee", "rebalance_fee",
            "maintenance_fee", "liquidation_penalty", "bad_debt",
        )
    },
}  # fmt: skip
"""Kind of a transfer -> last parts of the accounts of income and expense that it may touch, and must touch one of."""


def matched(folder: Folder, columns: Sequence[str]) -> Iterator[tuple[pa.RecordBatch | None, Records, int]]:
    """Events in batches, each with the transfers up to its last id, and the number of the first of those.

    What is left of the transfers when the events have ended comes last, with None.
    """
    stream = folder.records()
    rest, first = np.empty(0, dtype=RECORD), 1
    for events in folder.batches("events", columns, ("kind", "asset")):
        last = events["event"][-1].as_py()
        while not (len(rest) and rest["event"][-1] > last):
            more = next(stream, None)
            if more is None:
                break
            rest = np.concatenate((rest, more))
        above = rest["event"] > last
        count = int(above.argmax()) if above.any() else len(rest)
        yield events, rest[:count], first
        first, rest = first + count, rest[count:]
    for more in (rest, *stream):
        if len(more):
            yield None, more, first
            first += len(more)


def event_log(folder: Folder) -> Findings:
    """Events are numbered from 1, time runs forward, and each cause is an event before its effect."""
    number, last_ns = 1, 0
    for batch in folder.batches("events", ("event", "at_ns", "cause")):
        ids, at_ns = batch["event"].to_numpy(), batch["at_ns"].to_numpy()
        for index in np.flatnonzero(ids != np.arange(number, number + len(ids)))[:1].tolist():
            yield Finding(f"event {ids[index]}", f"stands where event {number + index} should")
            return
        for index in np.flatnonzero(at_ns < np.concatenate(([last_ns], at_ns[:-1]))).tolist():
            yield Finding(f"event {ids[index]}", "is before the event above it")
        causes = batch["cause"].fill_null(0).to_numpy(zero_copy_only=False)
        for index in np.flatnonzero((causes < 0) | (causes >= ids)).tolist():
            yield Finding(f"event {ids[index]}", f"has event {causes[index]} as its cause, which is not before it")
        number, last_ns = number + len(ids), int(at_ns[-1])
    if number - 1 != folder.manifest["counts"]["events"]:
        yield Finding("events.parquet", f"{number - 1} events; expected {folder.manifest['counts']['events']}")


def bijection(folder: Folder) -> Findings:
    """Each event that moves something has one entry at its instant, each entry one event, a settlement one transfer."""
    for events, records, first in matched(folder, ("event", "at_ns", "kind")):
        if events is None:
            yield from (Finding(entry(first + index), "has no event") for index in range(min(len(records), 20)))
            continue
        ids, at_ns = events["event"].to_numpy(), events["at_ns"].to_numpy()
        slot = np.searchsorted(ids, records["event"])
        known = (slot < len(ids)) & (ids[np.minimum(slot, len(ids) - 1)] == records["event"])
        for index in np.flatnonzero(~known).tolist():
            yield Finding(entry(first + index), f"is of event {records['event'][index]}, which is not in the log here")
        slot, records_known = slot[known], records[known]
        for index in np.flatnonzero(records_known["at_ns"] != at_ns[slot]).tolist():
            seq = first + int(np.flatnonzero(known)[index])
            yield Finding(entry(seq), f"is at another instant than its event {records_known['event'][index]}")
        counts = np.bincount(slot, minlength=len(ids))
        kinds = events["kind"]
        for wrong, words in (
            (among(kinds, WITH_ENTRY) & (counts == 0), "has no entry"),
            (among(kinds, WITHOUT_ENTRY) & (counts > 0), "has an entry and moves nothing"),
            (among(kinds, SETTLED) & (counts > 1), "has more than one transfer"),
        ):
            for index in np.flatnonzero(wrong).tolist():
                yield Finding(f"event {ids[index]}", f"{kinds[index].as_py()} {words}")


def kinds(folder: Folder) -> Findings:
    """Transfers of a kind touch the accounts of income and expense of that kind, and only they do."""
    leaves = [_leaf(account.name) for account in folder.accounts]
    own = np.array([[leaf in LEAVES.get(kind, ()) for leaf in leaves] for kind in folder.kinds])
    neutral, needs = np.array([not leaf for leaf in leaves]), np.array([kind in LEAVES for kind in folder.kinds])
    first = 1
    for batch in folder.records():
        known = (batch["debit"] < len(leaves)) & (batch["credit"] < len(leaves)) & (batch["kind"] < len(folder.kinds))
        kind, debit, credit = (np.where(known, batch[name], 0) for name in ("kind", "debit", "credit"))
        feeds, takes = own[kind, debit], own[kind, credit]
        fits = (feeds | neutral[debit]) & (takes | neutral[credit]) & (feeds | takes | ~needs[kind])
        for index in np.flatnonzero(known & ~fits).tolist():
            accounts = " from ".join(folder.accounts[code[index]].name for code in (debit, credit))
            yield Finding(entry(first + index), f"is of kind {folder.kinds[kind[index]]}, which {accounts} cannot be")
        first += len(batch)


def _leaf(name: str) -> str:
    """Last part of an account of income or expense; nothing for others."""
    return name.rpartition(":")[2] if name.startswith(("Income:", "Expenses:")) else ""


def settlements(folder: Folder) -> Findings:
    """A settlement's transfer has its event's amount and kind, and is rate x size x price but for the rounding."""
    names = ("event", "kind", "rate", "price", "size", "amount", "asset")
    for events, records, first in matched(folder, names):
        if events is None:
            continue
        at = np.flatnonzero(among(events["kind"], SETTLED))
        ids = events["event"].to_numpy()[at]
        slot = np.searchsorted(records["event"], ids)
        there = (slot < len(records)) & (records["event"][np.minimum(slot, len(records) - 1)] == ids)
        at, slot = at[there], slot[there]
        posted = records[slot]
        for kind, transfer_kinds in SETTLED.items():
            allowed = [code for code, name in enumerate(folder.kinds) if name in transfer_kinds]
            wrong = among(events["kind"], (kind,))[at] & ~np.isin(posted["kind"], allowed)
            for index in np.flatnonzero(wrong).tolist():
                yield Finding(entry(first + int(slot[index])), f"is the entry of a {kind} and of another kind")
        amounts = events["amount"].to_numpy(zero_copy_only=False)[at]
        for index in np.flatnonzero(np.abs(amounts) != posted["amount"]).tolist():
            words = f"moves {posted['amount'][index]}, its event {posted['event'][index]} says {amounts[index]:.0f}"
            yield Finding(entry(first + int(slot[index])), words)
        exact = _exact(events, folder.assets)[at] * _scales(folder.assets, posted)
        off = np.abs(np.abs(amounts) - exact) > 1.0 + 1e-9 * np.abs(exact)
        for index in np.flatnonzero(off).tolist():
            words = f"moves {amounts[index]:.0f}; rate x size x price are {exact[index]:.3f} atomic units"
            yield Finding(entry(first + int(slot[index])), words)


def _exact(events: pa.RecordBatch, assets: Sequence[Asset]) -> Values:
    """|rate x size x price| of each event, in whole units of what is paid; of those that settle nothing, anything."""
    rate, price, size = (events[name].to_numpy(zero_copy_only=False) for name in ("rate", "price", "size"))
    scales = sum((among(events["asset"], (asset.code,)) * float(asset.scale) for asset in assets), np.zeros(len(size)))
    with np.errstate(divide="ignore", invalid="ignore"):
        exact: Values = np.abs(
            rate * (size / scales) * np.where(among(events["kind"], ("FundingSettled",)), price, 1.0)
        )
    return exact


def _scales(assets: Sequence[Asset], posted: Records) -> Values:
    table = np.array([asset.scale for asset in assets], dtype=np.float64)
    scales: Values = table[np.minimum(posted["asset"], len(table) - 1)]
    return scales


def fills(folder: Folder) -> Findings:
    """What an order or a liquidation says that it cost, moved and took is what its entry moved."""
    codes = {kind: code for code, kind in enumerate(folder.kinds)}
    charged = np.array([_leaf(each.name) not in {"", "LiquidationPenalty"} for each in folder.accounts])
    charged &= np.array([each.name.startswith("Expenses:") for each in folder.accounts])
    usdc = np.array([account.asset == USDC for account in folder.accounts])
    told = ["OrderFilled", "TransferSent", "TransferArrived", "Liquidated"]
    names = ("event", "kind", "order", "amount", "fee", "size", "penalty", "bad_debt")
    for events, records, first in matched(folder, names):
        if events is None:
            continue
        for index in np.flatnonzero(among(events["kind"], told)).tolist():
            event = {name: events[name][index].as_py() for name in names}
            low, high = np.searchsorted(records["event"], (event["event"], event["event"] + 1))
            mine = records[low:high]
            mine = mine[(mine["debit"] < len(usdc)) & (mine["credit"] < len(usdc))]
            for name, moved in _moved(event, mine, charged, usdc, codes):
                if moved != abs(event[name]):
                    words = f"its {name} is {moved}, its event {event['event']} says {event[name]}"
                    yield Finding(entry(first + int(low)), words.replace("_", " "))


def _moved(
    event: Mapping[str, object], mine: Records, charged: Values, usdc: Values, codes: Mapping[str, int]
) -> Iterator[tuple[str, int]]:
    """Fees, losses, and amount and size where they are what transfers move, of one entry, by their names."""

    def total(kind: str) -> int:
        return int(mine["amount"][(mine["kind"] == codes.get(kind, -1)) & usdc[mine["debit"]]].sum())

    if event["kind"] == "Liquidated":
        yield "penalty", total("liquidation_penalty")
        yield "bad_debt", total("bad_debt")
        yield "fee", total("taker_fee")
        return
    paid = charged[mine["debit"]]
    if usdc[mine["debit"][paid]].all():
        yield "fee", int(mine["amount"][paid].sum())
    kind = {
        "open": "trade",
        "close": "trade",
        "resize": "trade",
        "deposit": "deposit",
        "withdrawal": "withdrawal",
        "penalty": "liquidation_penalty",
    }.get(str(event["order"]), "" if event["kind"] == "OrderFilled" else "transfer")
    if kind:
        yield "amount", total(kind)
    traded = [codes.get(name, -1) for name in ("trade", "transfer")]
    pieces = mine["amount"][np.isin(mine["kind"], traded) & ~usdc[mine["debit"]]]
    if event["kind"] == "OrderFilled" and len(pieces) == 1:
        yield "size", int(pieces[0])


def transit(folder: Folder) -> Findings:
    """What is in transit at the end is what was sent and has not arrived."""
    sent: dict[int, int] = {}
    for event in folder.events(("TransferSent", "TransferArrived"), ("event", "kind", "cause", "amount")):
        if event["kind"] == "TransferSent":
            sent[event["event"]] = event["amount"]
        elif sent.pop(event["cause"], None) is None:
            yield Finding(f"event {event['event']}", "has arrived and was never sent")
    for account, balance in zip(folder.accounts, folder.manifest["ledger"]["balances"], strict=False):
        if account.name == "Assets:Bridge:InTransit" and balance != sum(sent.values()):
            yield Finding(f"account {account.name}", f"holds {balance}; {sum(sent.values())} have not arrived")
