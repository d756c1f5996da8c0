"""The audit: checks of a run's folder as plain functions in a tuple; findings are collected, each names its place.

The first checks need the folder alone and read it in batches: files and books, the log against the books, what the run
says that it is worth. The thorough ones read the market and the scenario as well, and compute again what the venues
computed, from market rows and balances and by other code. They call no venue: of a venue only its rules are read, the
values that stand in the scenario, and accounts are found by their names. A venue whose rules are unknown here is left
to `again_run`, which runs the scenario again from the start.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property, partial
from itertools import islice, pairwise, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from attrs import frozen
from numpy.typing import NDArray

from framework.accounts import Account
from framework.archive import ROLL_COLUMNS, UNKNOWN, Folder, among, ints, roll_forward, save
from framework.assembly import Assembly, assemble
from framework.clock import midnight_ns
from framework.errors import CarrybookError, RunError
from framework.ledger import BLOCK, RECORD, Records, links
from framework.market import Flags, Floats, Ints, Market, Source, utc
from framework.units import JITOSOL, SOL, USDC, Asset, perpetual
from framework.valuation import COSTS, FIGURES, Waterfall, Worth, decimal, fees_of, summarize, waterfall_of
from framework.venue import CASH, IN_TRANSIT, Venue, account_part


@frozen
class Finding:
    """Something that is not as it must be; `place` names an entry, an event, a row, an account or a file."""

    place: str
    words: str


Findings = Iterator[Finding]
Check = Callable[[Folder], Findings]
"""A check reads a folder and yields what it finds, in the order of the books; its docstring says what must hold."""


@frozen
class Result:
    """What one check found: the first findings, and how many there were."""

    check: str
    holds: str
    """What must hold, in one sentence."""
    findings: tuple[Finding, ...] = ()
    count: int = 0
    not_made: str = ""
    """Why the check could not be made, or not to its end: a file that it needs is missing or cannot be read."""

    @property
    def outcome(self) -> str:
        """`failed` where anything was found, else `not made` where it was not made to its end, else `passed`."""
        if self.count:
            return "failed"
        return "not made" if self.not_made else "passed"

    @property
    def passed(self) -> bool:
        """Whether the check was made to its end and found nothing."""
        return self.outcome == "passed"


def entry(seq: int) -> str:
    """The place of a transfer, by its number."""
    return f"entry {seq}"


# The books by themselves: files, chain, transfers, balances and time.

FILES = (
    "balances.parquet", "equity.parquet", "events.parquet", "ledger.parquet", "market.parquet",
    "scenario.toml", "summary.json",
)  # fmt: skip
"""What lies in a run's folder beside its manifest."""


def files(folder: Folder) -> Findings:
    """Every file is there and is the one that the manifest names by its digest."""
    known = folder.manifest["files"]
    for name in FILES:
        if name not in known:
            yield Finding(name, "has no digest in manifest.json; expected one of each file")
    for name, digest in known.items():
        path = folder.path / name
        if not path.is_file():
            yield Finding(name, "missing; expected the file as it was saved")
        elif _digest(path) != digest:
            yield Finding(name, "changed since it was saved")


def _digest(path: object) -> str:
    with open(str(path), "rb") as file:  # noqa: PTH123  (hashlib reads an open file in pieces)
        return hashlib.file_digest(file, "sha256").hexdigest()


def chain(folder: Folder) -> Findings:
    """The digest chain over the chart and all transfers is the manifest's, and so is its head."""
    kept = folder.manifest["ledger"]["chain"]
    made = links(folder.manifest["ledger"]["chart"], folder.records())
    for number, (link, expected) in enumerate(zip_longest(made, kept)):
        if link != expected:
            first = (number - 1) * BLOCK + 1
            place = f"entries {first} to {first + BLOCK - 1}" if number else "the chart of accounts"
            yield Finding(place, f"the chain breaks here: link {number} is not the one that was kept")
            return
    if kept and kept[-1] != folder.manifest["ledger"]["digest"]:
        yield Finding("manifest.json", "the digest of the ledger is not the head of its chain")


def transfers(folder: Folder) -> Findings:
    """Each transfer moves a positive amount of one asset between two known accounts, and they are numbered from 1."""
    seq = 1
    for batch in folder.batches("ledger", ("seq",)):
        numbers = batch["seq"].to_numpy(zero_copy_only=False)
        for index in np.flatnonzero(numbers != np.arange(seq, seq + len(numbers)))[:1]:
            yield Finding(entry(seq + int(index)), f"is numbered {numbers[index]}; expected {seq + int(index)}")
            return
        seq += len(numbers)
    if seq - 1 != folder.manifest["counts"]["transfers"]:
        yield Finding("ledger.parquet", f"{seq - 1} transfers; expected {folder.manifest['counts']['transfers']}")
    first = 1
    for batch in folder.records():
        for wrong, words in (
            (batch["amount"] <= 0, "moves no positive amount"),
            ((batch["debit"] == UNKNOWN) | (batch["credit"] == UNKNOWN), "names an account that the chart lacks"),
            (batch["kind"] == UNKNOWN, "is of a kind that the chart lacks"),
            (batch["debit"] == batch["credit"], "moves from an account to itself"),
        ):
            for index in np.flatnonzero(wrong).tolist():
                yield Finding(entry(first + index), words)
        first += len(batch)


def trial_balance(folder: Folder) -> Findings:
    """The balances that the run ended with sum to zero for each asset."""
    sums: Counter[str] = Counter()
    for account, balance in zip(folder.accounts, folder.manifest["ledger"]["balances"], strict=False):
        sums[account.asset.code] += balance
    for code, total in sums.items():
        if total:
            yield Finding(f"asset {code}", f"all balances sum to {total} atomic units; expected 0")


def balances(folder: Folder) -> Findings:
    """The balances that the run kept while it ran are those that its transfers make."""
    made = np.zeros(UNKNOWN + 1, dtype=object)
    for batch in folder.records():
        for side, sign in (("debit", 1), ("credit", -1)):
            sums = np.zeros(UNKNOWN + 1, dtype=np.int64)
            np.add.at(sums, batch[side], batch["amount"])
            for code in np.flatnonzero(sums).tolist():
                made[code] += sign * int(sums[code])
    kept = folder.manifest["ledger"]["balances"]
    for code, account in enumerate(folder.accounts):
        if made[code] != kept[code]:
            words = f"the transfers make {made[code]} atomic units of {account.asset.code}; the run kept {kept[code]}"
            yield Finding(f"account {account.name}", words)


def rolled_forward(folder: Folder) -> Findings:
    """Each account's opening balance, debits, credits and closing balance by month are those of its transfers."""
    kept = folder.table("balances").to_pylist()
    for line, saved in zip_longest(roll_forward(folder.accounts, _known(folder)), kept):
        made = dict(zip(ROLL_COLUMNS, line, strict=True)) if line else None
        if made != saved:
            where = made or saved
            place = f"account {where['account']} in {where['month']}"
            differ = [name for name in ROLL_COLUMNS if not made or not saved or made[name] != saved[name]]
            yield Finding(place, f"{', '.join(differ)} of the roll-forward are not those of the transfers")


def _known(folder: Folder) -> Iterator[Records]:
    """Batches without the transfers of accounts that the chart lacks, which `transfers` finds."""
    for batch in folder.records():
        known = (batch["debit"] != UNKNOWN) & (batch["credit"] != UNKNOWN)
        yield batch if known.all() else batch[known]


def floors(folder: Folder) -> Findings:
    """No account that has a floor ever turns against its usual side."""
    held = {code: 0 for code, account in enumerate(folder.accounts) if account.floor}
    first = 1
    for batch in folder.records():
        for code, balance in list(held.items()):
            account = folder.accounts[code]
            mine = np.flatnonzero((batch["debit"] == code) | (batch["credit"] == code))
            amounts = np.where(batch["debit"][mine] == code, batch["amount"][mine], -batch["amount"][mine])
            path = balance + amounts.cumsum()
            if len(path):
                held[code] = int(path[-1])
                last_of_event = np.append(np.diff(batch["event"][mine]) != 0, [True])
                below = (path * account.sign < 0) & last_of_event
                for index in np.flatnonzero(below)[:1].tolist():
                    words = (
                        f"takes {account.name} to {path[index]} atomic units of {account.asset.code}; it has a floor"
                    )
                    yield Finding(entry(first + int(mine[index])), words)
        first += len(batch)


def time_order(folder: Folder) -> Findings:
    """Time runs forward in the ledger, within the days of the scenario."""
    market = folder.scenario.market
    low, high = midnight_ns(market.start), midnight_ns(market.end + timedelta(days=1))
    last, first = low, 1
    for batch in folder.records():
        at_ns = batch["at_ns"]
        before = np.concatenate(([last], at_ns[:-1]))
        for index in np.flatnonzero(at_ns < before).tolist():
            words = f"is at {_second(int(at_ns[index]))}, before the entry above it, or before the scenario's start"
            yield Finding(entry(first + index), words)
        for index in np.flatnonzero(at_ns >= high)[:1].tolist():
            yield Finding(
                entry(first + index), f"is at {_second(int(at_ns[index]))}, after the scenario's end {market.end}"
            )
        if len(at_ns):
            last = int(at_ns[-1])
        first += len(batch)


def _second(at_ns: int) -> str:
    """An instant in UTC, to the second."""
    return utc(at_ns).replace(microsecond=0).isoformat()


# The log against the books: every event has its entry, every entry its event, and both say the same.

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


# What a run says that it is worth, again from the folder.


def worth_of(folder: Folder) -> Worth:
    """What the accounts of a folder are worth, without the transfers of accounts that its chart lacks."""
    return folder.book.worth(
        batch[(batch["debit"] != UNKNOWN) & (batch["credit"] != UNKNOWN)] for batch in folder.records()
    )


def waterfall(folder: Folder) -> Findings:
    """The buckets of the waterfall sum to the result, and nothing is unexplained."""
    steps = waterfall_of(worth_of(folder), folder.capital)
    if steps.unexplained:
        yield Finding("the waterfall", f"{steps.unexplained} USD are unexplained; expected 0")


def summary(folder: Folder) -> Findings:
    """The money and the counts of the summary are those that the books make."""
    worth = worth_of(folder)
    steps = waterfall_of(worth, folder.capital)
    equity = decimal(worth.equity())
    capital = USDC.decimal(folder.capital)
    made: dict[str, object] = {name: _said(steps, name) for name in FIGURES}
    made |= {
        "capital_usd": float(capital),
        "final_equity_usd": float(equity),
        "return_pct": float((equity / capital - 1) * 100),
        "bridge_usd": float(fees_of(worth)["Expenses:Bridge:Fee"]),
        "transfers": folder.manifest["counts"]["transfers"],
        "events": folder.manifest["counts"]["events"],
        "rows": folder.manifest["counts"]["rows"],
        "ledger_digest": folder.manifest["ledger"]["digest"],
    }
    for name, value in made.items():
        if folder.summary.get(name) != value:
            yield Finding(f"summary.json, {name}", f"{folder.summary.get(name)}; the books make {value}")


def _said(steps: Waterfall, name: str) -> float:
    amount = getattr(steps, FIGURES[name])
    return float(-amount if name in COSTS else amount)


# What the thorough checks compute from: balances row by row, and from them positions and prices.


class History:
    """The transfers of a folder, laid on the rows of a market. Arrays have shape (rows,), amounts in atomic units."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._accounts = {(account.name, account.asset.code): account for account in folder.accounts}
        self._codes = {account: code for code, account in enumerate(folder.accounts)}

    @cached_property
    def market(self) -> Market:
        """The market that the folder has."""
        return self.folder.market

    @cached_property
    def records(self) -> Records:
        """All transfers."""
        return np.concatenate([np.empty(0, dtype=RECORD), *self.folder.records()])

    @cached_property
    def settling(self) -> Flags:
        """Which transfers are the only one of an event that settles a row."""
        codes = [code for code, kind in enumerate(self.folder.kinds) if kind in SETTLING]
        return np.isin(self.records["kind"], codes)

    @cached_property
    def rows(self) -> Ints:
        """The row in which each transfer falls: the first that closes at its instant or later."""
        return self.market.at_ns.searchsorted(self.records["at_ns"])

    def account(self, name: str, asset: str) -> Account | None:
        """An account by its name, None where the run has none."""
        return self._accounts.get((name, asset))

    def before(self, account: Account | None) -> Ints:
        """The balance before each row settles: what was done at the close of a row counts from the next on."""
        length = len(self.market)
        gains = np.zeros(length + 1, dtype=np.int64)
        if account is not None:
            late = (self.records["at_ns"] == self.market.at_ns[np.minimum(self.rows, length - 1)]).astype(np.int64)
            self._add(gains, account, np.minimum(self.rows + late, length), np.ones(len(self.records), dtype=bool))
        return gains.cumsum()[:length]

    def after(self, account: Account | None) -> Ints:
        """The balance after each row, with all that was done up to its close, but for what ended the run."""
        gains = np.zeros(len(self.market) + 1, dtype=np.int64)
        if account is not None:
            in_time = self.records["event"] < (self.ended or np.iinfo(np.int64).max)
            self._add(gains, account, self.rows, in_time)
        return gains.cumsum()[:-1]

    def accrued(self, account: Account | None) -> Ints:
        """The balance once a row has settled, before anybody acts at its close."""
        return self.before(account) + self.settled(account)

    def settled(self, account: Account | None, kind: str = "") -> Ints:
        """What the settlements of each row brought an account, of one kind if that is given; debits less credits."""
        gains = np.zeros(len(self.market) + 1, dtype=np.int64)
        if account is not None:
            chosen = self.settling
            if kind:
                codes = [code for code, name in enumerate(self.folder.kinds) if name == kind]
                chosen = chosen & np.isin(self.records["kind"], codes)
            self._add(gains, account, np.minimum(self.rows, len(self.market)), chosen)
        return gains[:-1]

    def settlement(self, account: Account | None, row: int) -> str:
        """The place of what settled an account in a row: its entry where there is one, and the row."""
        place = self.market.rows(row, row + 1)
        if account is None:
            return place
        code = self._codes[account]
        low, high = np.searchsorted(self.rows, (row, row + 1))
        part = self.records[low:high]
        mine = ((part["debit"] == code) | (part["credit"] == code)) & self.settling[low:high]
        return f"{entry(int(low + mine.argmax()) + 1)}, {place}" if mine.any() else place

    def instant(self, number: int) -> int:
        """The instant of an event's entry, nanoseconds; of the last entry if it has none."""
        slot = min(int(np.searchsorted(self.records["event"], number)), len(self.records) - 1)
        return int(self.records["at_ns"][slot])

    def event(self, number: int) -> str:
        """The place of an event: its entry where there is one, and its number."""
        low, high = np.searchsorted(self.records["event"], (number, number + 1)).tolist()
        return f"{entry(low + 1)}, event {number}" if high > low else f"event {number}"

    def held_before(self, number: int) -> dict[Account, int]:
        """What every account that is not empty held before an event, atomic units."""
        past = self.records[: int(np.searchsorted(self.records["event"], number))]
        balances: dict[Account, int] = {}
        for account, code in self._codes.items():
            debits, credits_ = (int(past["amount"][past[side] == code].sum()) for side in ("debit", "credit"))
            if debits != credits_:
                balances[account] = debits - credits_
        return balances

    def moved(self, number: int, name: str) -> int:
        """What an event's entry brought the accounts of this name, atomic units, debits less credits."""
        low, high = np.searchsorted(self.records["event"], (number, number + 1)).tolist()
        part = self.records[low:high]
        codes = [code for account, code in self._codes.items() if account.name == name]
        debits, credits_ = (int(part["amount"][np.isin(part[side], codes)].sum()) for side in ("debit", "credit"))
        return debits - credits_

    def acted(self, account: Account | None) -> Flags:
        """The rows before which an entry that is no settlement has touched an account: there its path begins anew."""
        length = len(self.market)
        touched = np.zeros(length + 1, dtype=bool)
        if account is not None:
            code = self._codes[account]
            mine = ((self.records["debit"] == code) | (self.records["credit"] == code)) & ~self.settling
            late = self.records["at_ns"][mine] == self.market.at_ns[np.minimum(self.rows[mine], length - 1)]
            touched[np.minimum(self.rows[mine] + late, length)] = True
        return touched[:length]

    @cached_property
    def ended(self) -> int:
        """The id of the event that ended the run, 0 where there is none."""
        return next((int(event["event"]) for event in self.folder.events(("Ended",), ("event",))), 0)

    def _add(self, gains: Ints, account: Account, slots: Ints, chosen: Flags) -> None:
        code = self._codes[account]
        for side, sign in (("debit", 1), ("credit", -1)):
            mine = (self.records[side] == code) & chosen
            np.add.at(gains, slots[mine], sign * self.records["amount"][mine])


ThoroughCheck = Callable[[Assembly, History], Findings]
"""A thorough check reads the market and the scenario as well."""


def worst(posted: Ints, exact: Floats, anew: Flags) -> Floats:
    """How far the sum of what was posted is from the exact sum, since the path last began anew; atomic units."""
    off = posted.cumsum() - exact.cumsum()
    starts = np.maximum.accumulate(np.where(anew, np.arange(len(off)), 0))
    before = np.concatenate(([0.0], off))[starts]
    difference: Floats = off - before
    return difference


Balances = Callable[[Account | None], Ints]
"""The balance of an account in each row, atomic units, at the moment of the row that is asked about."""

Prices = Mapping[Asset, Floats]
"""USD per unit of an asset in each row, shape (rows,)."""


@frozen(eq=False)
class Position:
    """Arrays of shape (rows,): `size` in coins, `money_usd` owned beside it or owed (< 0), `cost` of a coin in USD."""

    asset: Asset
    """What is held: the coin, or contracts on it."""
    size: Floats
    money_usd: Floats
    cost: Floats
    """What was paid for a coin on average; not a number in rows without a position."""


def at_cost(venue: Venue) -> bool:
    """Whether a venue values its position at what was paid for it."""
    return getattr(venue, "valuation", "market") == "cost"


def position_of(venue: Venue, history: History, balances: Balances) -> Position | None:
    """The position at a venue; None for one that keeps neither contracts nor a coin against a loan."""
    place, coin = account_part(venue.name), str(getattr(venue, "coin", ""))

    def units(name: str, asset: str) -> Floats:
        account = history.account(name.replace("*", place), asset)
        return balances(account) / (account.asset.scale if account else 1)

    contracts = history.account(f"Assets:{place}:Position", perpetual(coin).code)
    coins = history.account(f"Assets:{place}:Collateral", coin)
    if contracts:
        size, quote = units("Assets:*:Position", contracts.asset.code), units("Assets:*:Quote", "USDC")
        money, cost = units("Assets:*:Margin", "USDC") + quote, -quote / np.where(size == 0, np.nan, size)
        return Position(contracts.asset, size, money, cost)
    if coins and history.account(f"Liabilities:{place}:Loan", "USDC"):
        money = units("Liabilities:*:Loan", "USDC") + units("Assets:*:Deposit", "USDC")
        bought = -units("Equity:*:Trading", coin)
        cost = units("Equity:*:Trading", "USDC") / np.where(bought == 0, np.nan, bought)
        return Position(coins.asset, units("Assets:*:Collateral", coin), money, cost)
    return None


def market_prices(history: History) -> Prices:
    """The prices at which rows close."""
    market = history.market
    prices = {each: market[market.price_column(each)] for each in history.folder.assets if each != USDC}
    return {USDC: np.ones(len(market)), **prices}


def prices_at(venue: Venue, history: History, balances: Balances) -> Prices:
    """The prices at which a venue values: those of the market, but at cost what was paid for the position."""
    prices = market_prices(history)
    position = position_of(venue, history, balances) if at_cost(venue) else None
    if position is None:
        return prices
    return {**prices, position.asset: np.where(position.size == 0, prices[position.asset], position.cost)}


# Settlements, at venues of any class: rate, price and size against rows and books.

AS_THEY_STAND = ("FundingSettled", "InterestAccrued")
"""Settlements whose rate stands in the market, per row or per year; others take a step of a level or a rule's rate."""
SETTLEMENT_COLUMNS = (
    "event", "venue", "kind", "asset", "row", "size", "rate", "rate_source", "rate_source_row", "rate_source_rows",
    "price", "price_source", "price_source_row",
)  # fmt: skip


def rates(assembly: Assembly, history: History) -> Findings:
    """Each settlement's rate and price stand in the rows that it names, and funding is on the position in the books."""
    for batch in history.folder.batches("events", SETTLEMENT_COLUMNS, ("kind",)):
        settled = batch.filter(pa.array(among(batch["kind"], SETTLED)))
        if len(settled):
            ids = settled["event"].to_numpy()
            for wrong, words in (*_wrong_cells(settled, assembly.market), *_wrong_sizes(settled, assembly, history)):
                for index in np.flatnonzero(wrong).tolist():
                    yield Finding(history.event(int(ids[index])), words)


def _wrong_cells(events: pa.RecordBatch, market: Market) -> Iterator[tuple[Flags, str]]:
    """The events whose rate or price is not that of a column of the market with the rows that they name."""
    row = np.clip(events["row"].to_numpy(), 0, len(market) - 1)
    as_it_stands = among(events["kind"], AS_THEY_STAND)
    for name in ("rate", "price"):
        said, file = events[name].to_numpy(), np.array(events[f"{name}_source"].to_pylist(), dtype=object)
        named = file != np.array(None)
        first = ints(events[f"{name}_source_row"])
        count = ints(events["rate_source_rows"]) if name == "rate" else None
        found = ~named
        for column, source in market.sources.items():
            there = (file == _files(source, row)) & (first == source.first_row[row])
            if count is not None:
                there &= count == source.rows[row]
            found |= there & (~as_it_stands | _is(said, market[column][row], market.years[row], name))
        yield ~found, f"its {name} is not what stands in the rows that it names"


def _is(said: Floats, cell: Floats, years: Floats, name: str) -> Flags:
    """Whether what is said is the cell; a rate may be a yearly one for the time of the row."""
    same: Flags = (said == cell) | ((name == "rate") & (said == cell * years))
    return same


def _files(source: Source, row: Ints) -> NDArray[np.object_]:
    """The file behind a column in these rows."""
    if not source.earlier:
        return np.full(len(row), source.file, dtype=object)
    return np.where(row < source.since, source.earlier[0], source.file).astype(object)


def _wrong_sizes(events: pa.RecordBatch, assembly: Assembly, history: History) -> Iterator[tuple[Flags, str]]:
    """The events of funding whose size is not the position that their venue had in the books before the row."""
    row = np.clip(events["row"].to_numpy(), 0, len(history.market) - 1)
    size, asset = events["size"].to_numpy(), events["asset"]
    for venue in assembly.venues:
        at_venue = among(events["venue"], (venue.name,)) & among(events["kind"], ("FundingSettled",))
        for code in sorted(set(asset.filter(pa.array(at_venue)).to_pylist())):
            mine = at_venue & among(asset, (code,))
            held = [each for each in history.folder.accounts if each.asset.code == code]
            held = [each for each in held if each.name.startswith(f"Assets:{account_part(venue.name)}:")]
            before = sum((history.before(each) for each in held), np.zeros(len(history.market), dtype=np.int64))
            yield mine & (size != before[row]), f"is on a size that {venue.name} does not have in the books before it"


# Income, running fees, liquidations and positions, again from market rows and balances.

ROUNDING = 0.5
"""A path is rounded once per row: what was posted is never further from it than half an atomic unit."""


def _off(what: str, account: Account | None, sign: int, exact: Floats, anew: Flags, history: History) -> Findings:
    """The entries at which what was settled on an account leaves the exact path by more than its rounding."""
    posted = sign * history.settled(account)
    off = worst(posted, exact, anew)
    slack = ROUNDING + 1e-3 + 1e-12 * np.abs(exact.cumsum())
    outside = np.abs(off) > slack
    first = outside & ~np.concatenate(([False], outside[:-1]))
    for row in np.flatnonzero(first).tolist():
        words = f"{what} is {off[row]:+.3f} atomic units from what row and position make; posted {posted[row]}"
        yield Finding(history.settlement(account, row), words)


def funding(assembly: Assembly, history: History) -> Findings:
    """Each row's funding is rate x position x price, on the position before the row, to half an atomic unit."""
    market = history.market
    for venue in assembly.venues:
        rate_column = getattr(venue, "funding_rate", None)
        if not isinstance(rate_column, str) or rate_column not in market.columns:
            continue
        place, contract = account_part(venue.name), perpetual(str(getattr(venue, "coin", "")))
        position = history.account(f"Assets:{place}:Position", contract.code)
        size = history.before(position) / contract.scale
        if at_cost(venue):
            exact = history.before(history.account(f"Assets:{place}:Quote", "USDC")) * market[rate_column]
        else:
            exact = -size * market[str(getattr(venue, "funding_price", "close"))] * market[rate_column] * USDC.scale
        received = history.account(f"Income:{place}:Funding", "USDC")
        yield from _off(f"funding at {venue.name}", received, -1, exact, history.acted(position), history)


def interest(assembly: Assembly, history: History) -> Findings:
    """Each row's lending and interest are rate x balance, compounding between entries, to half an atomic unit."""
    for venue in assembly.venues:
        if isinstance(getattr(venue, "lending_rate", None), str):
            yield from (_interest_at_cost if at_cost(venue) else _interest_compounding)(venue, history)


def _interest_compounding(venue: Venue, history: History) -> Findings:
    market, place = history.market, account_part(venue.name)
    coin = str(getattr(venue, "coin", ""))
    for words, name, asset, column, sign in (
        ("lending", f"Assets:{place}:Collateral", coin, "lending_rate", 1),
        ("interest", f"Liabilities:{place}:Loan", "USDC", "borrowing_rate", -1),
        ("interest on a deposit", f"Assets:{place}:Deposit", "USDC", "borrowing_rate", 1),
    ):
        account = history.account(name, asset)
        growth = 1 + market[str(getattr(venue, column))] * market.years
        anew = history.acted(account)
        exact = _compounded(sign * history.before(account), growth, anew)
        yield from _off(f"{words} at {venue.name}", account, sign, exact, anew, history)


def _compounded(before: Ints, growth: Floats, anew: Flags) -> Floats:
    """What a balance gains in each row if it is not rounded between the rows in which it begins anew."""
    starts = [0, *np.flatnonzero(anew).tolist(), len(before)]
    gains = np.zeros(len(before))
    for start, stop in pairwise(starts):
        if stop > start:
            path = before[start] * np.concatenate(([1.0], np.cumprod(growth[start:stop])))
            gains[start:stop] = np.diff(path)
    return gains


def _interest_at_cost(venue: Venue, history: History) -> Findings:
    """At cost nothing compounds: the base is the balance as the last entry on the account left it."""
    market, place = history.market, account_part(venue.name)
    for words, base, gained, column, sign in (
        ("lending", f"Equity:{place}:Trading", f"Income:{place}:Lending", "lending_rate", -1),
        ("interest", f"Liabilities:{place}:Loan", f"Expenses:{place}:Interest", "borrowing_rate", 1),
        ("interest on a deposit", f"Assets:{place}:Deposit", f"Income:{place}:DepositInterest", "borrowing_rate", -1),
    ):
        account = history.account(base, "USDC")
        anew = history.acted(account)
        starts = np.maximum.accumulate(np.where(anew, np.arange(len(anew)), 0))
        principal = np.abs(history.before(account))[starts]
        exact = principal * market[str(getattr(venue, column))] * market.years
        yield from _off(f"{words} at {venue.name}", history.account(gained, "USDC"), sign, exact, anew, history)


def rewards(assembly: Assembly, history: History) -> Findings:
    """Each step of a pool's rate is income on all tokens in the books, before its fee, to half an atomic unit."""
    market = history.market
    for venue in assembly.venues:
        fee = getattr(venue, "reward_fee", None)
        if fee is None:
            continue
        place = account_part(venue.name)
        accounts = history.folder.accounts
        held = [each for each in accounts if each.asset == JITOSOL and each.name.startswith("Assets:")]
        others = [each for each in accounts if each.asset == JITOSOL and not each.name.startswith("Assets:")]
        tokens = sum((history.before(each) for each in held), np.zeros(len(market), dtype=np.int64)) / JITOSOL.scale
        anew = np.logical_or.reduce([history.acted(each) for each in others])
        levels = np.concatenate((market["jitosol_rate_open"][:1], market["jitosol_rate_close"]))
        step = np.diff(levels)
        kept = np.maximum(step, 0.0) * fee / (1 - fee)
        for words, name, gain in (
            ("staking", f"Equity:{place}:Accretion", step),
            ("the fee on staking", f"Expenses:{place}:RewardFee", kept),
        ):
            account = history.account(name, "SOL")
            yield from _off(f"{words} at {venue.name}", account, 1, tokens * gain * SOL.scale, anew, history)


def running_fees(assembly: Assembly, history: History) -> Findings:
    """An issuer's yearly fee of a row is charged on the value of everything else, less what is owed already."""
    market, folder = history.market, history.folder
    for venue in assembly.venues:
        yearly = getattr(venue, "maintenance_per_year", None)
        if not yearly:
            continue
        place = account_part(venue.name)
        owed = -history.before(history.account(f"Liabilities:{place}:MaintenanceFee", "USDC"))
        value, at_market = np.zeros(len(market)), market_prices(history)
        prices = {account_part(each.name): prices_at(each, history, history.accrued) for each in assembly.venues}
        for account in folder.accounts:
            root, holder = account.name.split(":")[:2]
            if root in {"Assets", "Liabilities"} and holder != place:
                price = prices.get(holder, at_market)[account.asset]
                value += history.accrued(account) / account.asset.scale * price * USDC.scale
        held = sum(
            (np.abs(history.before(each)) for each in folder.accounts if each.asset != USDC),
            np.zeros(len(market), dtype=np.int64),
        )
        exact = np.where((held > 0) | (owed != 0), (value - owed) * yearly * market.years, 0.0)
        charged = history.account(f"Expenses:{place}:MaintenanceFee", "USDC")
        posted = history.settled(charged)
        for row in np.flatnonzero(np.abs(posted - exact) > ROUNDING + 1e-3).tolist():
            words = f"the fee of {venue.name} is {posted[row] - exact[row]:+.3f} atomic units from rate x value"
            yield Finding(history.settlement(charged, row), words)


def liquidations(assembly: Assembly, history: History) -> Findings:
    """A position was liquidated in a row if, and only if, its health had crossed the line at the row's high or low."""
    happened = _liquidated_rows(history)
    for venue in assembly.venues:
        crossed = _crossed(venue, history)
        if crossed is None:
            continue
        for row in np.flatnonzero(crossed).tolist():
            if row not in happened.get(venue.name, set()):
                place = history.market.rows(row, row + 1)
                yield Finding(place, f"the position at {venue.name} had crossed its line and was not liquidated")
        for row in sorted(happened.get(venue.name, set())):
            if not crossed[row]:
                place = history.market.rows(row, row + 1)
                yield Finding(place, f"the position at {venue.name} was liquidated and had not crossed its line")


def _liquidated_rows(history: History) -> dict[str, set[int]]:
    rows: dict[str, set[int]] = {}
    for event in history.folder.events(("Liquidated",), ("venue", "row")):
        rows.setdefault(event["venue"], set()).add(event["row"])
    return rows


def _crossed(venue: Venue, history: History) -> Flags | None:
    """The rows at whose high or low a position would be liquidated; None for a venue whose rules are not known here."""
    market, margin = history.market, getattr(venue, "maintenance_margin", None)
    position = position_of(venue, history, history.accrued)
    if margin is None or position is None:
        return None
    size, money, cost = position.size, position.money_usd, position.cost
    distance = getattr(venue, "liquidation_distance", None)
    adverse = np.where(size > 0, market["low"], market["high"])
    if distance is not None:
        line = cost * np.where(size > 0, 1 - distance, 1 + distance)
        beyond: Flags = (size != 0) & np.where(size > 0, adverse <= line, adverse >= line)
        return beyond
    price = cost if at_cost(venue) else adverse
    token = getattr(venue, "collateral", None)
    if token:
        account = history.account(f"Assets:{account_part(venue.name)}:Collateral", token)
        tokens = history.accrued(account) / (account.asset.scale if account else 1)
        worth = tokens * market[f"{token.lower()}_close"] / market["close"]
        money = money + getattr(venue, "collateral_weight", 1.0) * worth * price
    short_of: Flags = (size != 0) & (money + size * price <= margin * np.abs(size) * price)
    return short_of


def positions(assembly: Assembly, history: History) -> Findings:
    """Positions in the ledger, in the orders that made them and in the curve are the same after every row."""
    market, curve = history.market, history.folder.table("equity")
    for venue in assembly.venues:
        place, coin = account_part(venue.name), str(getattr(venue, "coin", ""))
        contracts = (each for each in history.folder.accounts if each.name == f"Assets:{place}:Position")
        account = next(contracts, None) or history.account(f"Assets:{place}:Coins", coin)
        if account is None:
            continue
        after = history.after(account)
        known = np.rint(curve[f"{venue.name}_size"].to_numpy() * account.asset.scale).astype(np.int64)
        filled = _filled(history, venue.name)
        for row in np.flatnonzero((after != known) | (after != filled)).tolist()[:1]:
            words = (
                f"{venue.name} holds {after[row]} atomic units of {account.asset.code} in the ledger, "
                f"{filled[row]} by its orders and {known[row]} in the curve"
            )
            yield Finding(market.rows(row, row + 1), words)


def _fills(history: History, venue: str) -> Iterator[tuple[int, int, int]]:
    """Event, instant and signed size of everything that changed a position."""
    names = ("event", "at_ns", "kind", "venue", "order", "size", "closed")
    for event in history.folder.events(("OrderFilled", "Liquidated"), names):
        if event["venue"] != venue:
            continue
        if event["kind"] == "Liquidated" and event["closed"]:
            yield event["event"], event["at_ns"], -event["size"]
        elif event["order"] in ("open", "close", "resize", "swap"):
            yield event["event"], event["at_ns"], event["size"]


def _filled(history: History, venue: str) -> Ints:
    """The position after each row by the orders that were filled, before what the end of the run did."""
    gains = np.zeros(len(history.market) + 1, dtype=np.int64)
    for event, at_ns, size in _fills(history, venue):
        if not history.ended or event < history.ended:
            gains[int(history.market.at_ns.searchsorted(at_ns))] += size
    return gains.cumsum()[:-1]


# What venues charged, again from their rules and from what they said they charged it on.

ORDER_COLUMNS = (
    "event", "venue", "kind", "order", "cause", "asset", "size", "price", "amount", "fee", "charged", "equity",
    "penalty", "bad_debt", "closed", "counterparty",
)  # fmt: skip
FEE_SLACK = 1
"""Atomic units by which a fee may differ: what it was charged on is said to a whole unit."""


def _orders(history: History) -> Iterator[Mapping[str, object]]:
    """The events that are orders, transfers or liquidations."""
    return history.folder.events(("OrderFilled", "TransferSent", "TransferArrived", "Liquidated"), ORDER_COLUMNS)


def fees(assembly: Assembly, history: History) -> Findings:
    """Each order was charged what its venue's rules say, on the notional that it names; so was each transfer."""
    venues = {venue.name: venue for venue in assembly.venues}
    for event in _orders(history):
        venue = venues.get(str(event["venue"]))
        if venue is None:
            continue
        expected = _transfer_fee(event, venues) if "Transfer" in str(event["kind"]) else _order_fee(event, venue)
        if expected is not None and abs(int(str(event["fee"])) - expected) > FEE_SLACK:
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
    for event in _orders(history):
        venue = venues.get(str(event["venue"]))
        if event["kind"] != "Liquidated" or venue is None or not hasattr(venue, "liquidation_penalty"):
            continue
        said = {name: int(str(event[name])) for name in ("equity", "penalty", "bad_debt", "fee", "size")}
        price = float(str(event["price"]))
        notional = USDC.nearest(abs(said["size"]) / perpetual(str(getattr(venue, "coin", ""))).scale * price)
        forgives = bool(getattr(venue, "forgive_negative_equity", False))
        made = {
            "equity": _equity_before(venue, int(str(event["event"])), price, history),
            "penalty": venue.liquidation_penalty.amount(said["equity"], notional),
            "bad_debt": max(0, -said["equity"]) if forgives else 0,
            "fee": (_order_fee({**event, "order": "close", "charged": notional}, venue) or 0) if event["closed"] else 0,
        }
        for name, expected in made.items():
            if abs(said[name] - expected) > FEE_SLACK:
                words = (
                    f"the {name.replace('_', ' ')} at {venue.name} was {said[name]}; books and rules make {expected}"
                )
                yield Finding(history.event(int(str(event["event"]))), words)


def _equity_before(venue: Venue, event: int, price: float, history: History) -> int:
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


# The equity curve: what the balances after each row are worth, at the market or at cost.


def equity(assembly: Assembly, history: History) -> Findings:
    """The equity curve is what the balances after each row are worth, at each venue, at the market or at cost."""
    table, saved = history.market, history.folder.table("equity")
    for name, made in _curve(assembly, history).items():
        kept = saved[name].to_numpy()
        off = ~(np.abs(kept - made) <= 1e-6 + 1e-9 * np.abs(made))
        for row in np.flatnonzero(off)[:1].tolist():
            words = f"{name} of the curve is {kept[row]:.6f}; the balances are worth {made[row]:.6f}"
            yield Finding(table.rows(row, row + 1), words)


def _curve(assembly: Assembly, history: History) -> dict[str, Floats]:
    """The columns of the curve that are money, USD, by their names."""
    wallet = {"cash_usd": CASH.name, "transit_usd": IN_TRANSIT.name}
    made = {name: _worth(history, account, market_prices(history)) for name, account in wallet.items()}
    for venue in assembly.venues:
        prices, place = prices_at(venue, history, history.after), account_part(venue.name)
        sides = (_worth(history, f"{side}:{place}:", prices) for side in ("Assets", "Liabilities"))
        made[f"{venue.name}_equity_usd"] = sum(sides, np.zeros(len(history.market)))
    return made | {"equity_usd": sum(made.values(), np.zeros(len(history.market)))}


def _worth(history: History, beginning: str, prices: Prices) -> Floats:
    """What the accounts whose names begin so are worth after each row, USD."""
    value = np.zeros(len(history.market))
    for account in history.folder.accounts:
        if account.name.startswith(beginning):
            value += history.after(account) / account.asset.scale * prices[account.asset]
    return value


# The market read again from its sources, and the scenario run again from the start.

SHOWN = 20
"""Cells that are named one by one."""
FLOAT_SLACK = 1e-12
"""By how much a float may differ, of itself or in all."""
COMPARED = {"events": ("event",), "equity": ("at_ns",), "balances": ("month", "account", "asset"), "market": ("row",)}
"""Tables of a folder that are compared cell by cell, and the columns that name a row."""
MANIFEST_KEYS = ("format", "scenario", "seed", "inputs", "code", "label", "capital", "opened_at", "ledger", "counts")
"""What of a manifest a run made again has as well; versions may be others, and with our own the run's name."""


def again_market(assembly: Assembly, history: History) -> Findings:
    """Every cell of the saved market is the one that its source gives."""
    saved, read = history.market, assembly.market
    if len(saved) != len(read) or list(saved.columns) != list(read.columns):
        yield Finding("market.parquet", f"{len(saved)} rows of {', '.join(saved.columns)}; the sources give others")
        return
    if not (np.array_equal(saved.at_ns, read.at_ns) and np.array_equal(saved.open_ns, read.open_ns)):
        yield Finding("market.parquet", "the times of its rows are not those of the sources")
    for name in saved.columns:
        for row in islice(np.flatnonzero(saved[name] != read[name]).tolist(), SHOWN):
            words = f"{name} is {saved[name][row]}; {read.cell(name, row)} gives {read[name][row]}"
            yield Finding(read.rows(row, row + 1), words)


def again_inputs(assembly: Assembly, history: History) -> Findings:
    """The source files and a user's own code are those that the run was made with."""
    sources = assembly.market.sources.values()
    read = {file: digest for source in sources for file, digest in source.digests().items()} | assembly.own_code()
    kept = {**history.folder.manifest["inputs"], **history.folder.manifest["code"]}
    for name in sorted(kept.keys() | read.keys()):
        if kept.get(name) != read.get(name):
            yield Finding(name, "is not the file that the run was made with")


def again_run(assembly: Assembly, history: History) -> Findings:
    """The scenario run again gives the same ledger, the same summary and the same tables."""
    folder = history.folder
    if assembly.scenario.digest != folder.manifest["scenario"]:
        yield Finding("scenario.toml", "is not the scenario that the manifest names")
    try:
        finished = assembly.simulation().run()
    except CarrybookError as error:
        yield Finding("scenario.toml", f"cannot be run again: {error}")
        return
    if finished.ledger.digest != folder.manifest["ledger"]["digest"]:
        made = np.concatenate([finished.ledger.records()])
        kept = history.records
        common = min(len(made), len(kept))
        differ = np.flatnonzero(made[:common] != kept[:common])
        place = f"entry {int(differ[0]) + 1 if len(differ) else common + 1}"
        yield Finding(place, "is where the ledger of the same scenario, run again, begins to differ")
    summary = summarize(assembly, finished)
    for name in summary | dict(folder.summary):
        if name not in summary or folder.summary.get(name) != json.loads(json.dumps(summary[name])):
            yield Finding(f"summary.json, {name}", "is not what the same scenario, run again, gives")
    with TemporaryDirectory(prefix="carrybook.") as parent:
        yield from _differing(folder, Folder(save(assembly, finished, summary, Path(parent))))


def _differing(kept: Folder, made: Folder) -> Findings:
    """What of the manifest, and which cells of tables other than the ledger, are not those of the run made again."""
    same = kept.manifest["versions"]["carrybook"] == made.manifest["versions"]["carrybook"]
    for name in (*MANIFEST_KEYS, *(["run"] if same else [])):
        if kept.manifest.get(name) != made.manifest[name]:
            yield Finding(f"manifest.json, {name}", "is not what the same scenario, run again, gives")
    for table, keys in COMPARED.items():
        columns = made.columns(table)
        count, expected = (each.table(table, keys[:1]).num_rows for each in (kept, made))
        if count != expected or kept.columns(table) != columns:
            words = f"{count} rows of {len(kept.columns(table))} columns; run again there are {expected}"
            yield Finding(f"{table}.parquet", f"{words} of {len(columns)}")
            continue
        for column in columns:
            theirs, ours = (each.table(table, [column])[column] for each in (kept, made))
            for row in islice(_unequal(theirs.cast(ours.type), ours), SHOWN):
                place = " ".join(f"{key} {made.table(table, [key])[key][row]}" for key in keys)
                words = f"{column} is {theirs[row]}; the same scenario, run again, gives {ours[row]}"
                yield Finding(f"{table}.parquet, {place}", words)


def _unequal(kept: pa.ChunkedArray, made: pa.ChunkedArray) -> Iterator[int]:
    """The rows in which two columns differ: numbers by more than another machine's last digit, or one is missing."""
    both = ~(pc.is_null(kept).to_numpy() | pc.is_null(made).to_numpy())
    if pa.types.is_floating(made.type):
        ours, theirs = (each.to_numpy(zero_copy_only=False) for each in (made, kept))
        same = np.isclose(theirs, ours, rtol=FLOAT_SLACK, atol=FLOAT_SLACK, equal_nan=True)
    else:
        same = pc.fill_null(pc.equal(kept, made), False).to_numpy()
    missing = pc.is_null(kept).to_numpy() & pc.is_null(made).to_numpy()
    return iter(np.flatnonzero(~np.where(both, same, missing)).tolist())


# The audit itself.

CHECKS: tuple[Check, ...] = (
    files,
    chain,
    transfers,
    trial_balance,
    balances,
    rolled_forward,
    floors,
    time_order,
    event_log,
    bijection,
    kinds,
    settlements,
    fills,
    transit,
    waterfall,
    summary,
)
"""The checks of a folder by itself, in the order in which they are made."""

THOROUGH: tuple[ThoroughCheck, ...] = (
    again_inputs,
    again_market,
    rates,
    funding,
    interest,
    rewards,
    running_fees,
    fees,
    penalties,
    liquidations,
    positions,
    equity,
    again_run,
)
"""The checks that need the market's sources as well."""

KEPT = 100
"""Findings of one check that are kept; the rest is counted."""


UNREADABLE = (CarrybookError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError)
"""What reading a folder raises that is not as it was saved."""


def audit(
    folder: Folder,
    data: Path | None = None,
    *,
    thorough: bool = False,
    checks: tuple[Check, ...] = CHECKS,
    thorough_checks: tuple[ThoroughCheck, ...] = THOROUGH,
) -> list[Result]:
    """Make every check; `data` is the directory of the scenario's sources, without which its embedded data are read."""
    results = [_result(check, partial(check, folder)) for check in checks]
    if not thorough:
        return results
    try:
        assembly, history = _assembled(folder, data), History(folder)
    except UNREADABLE as error:
        return results + [Result(result_name(each), _holds(each), not_made=_reason(error)) for each in thorough_checks]
    return results + [_result(check, partial(check, assembly, history)) for check in thorough_checks]


def _assembled(folder: Folder, data: Path | None) -> Assembly:
    """The scenario with the sources that the run was made with; raises `RunError` where they cannot be had."""
    try:
        assembly = assemble(folder.scenario, data)
    except CarrybookError as error:
        raise RunError(f"scenario.toml cannot be assembled: {error}") from None
    files = set(folder.manifest["inputs"])
    if files and files.isdisjoint(name for each in assembly.market.sources.values() for name in each.digests()):
        raise RunError(
            f"the market was read from {', '.join(sorted(files))}; expected the directory that has them (--data)"
        )
    return assembly


def result_name(check: Callable[..., object]) -> str:
    """What a check is called in its result: `again_run` is `again: run`."""
    return check.__name__.replace("again_", "again: ").replace("_", " ")


def _holds(check: Callable[..., object]) -> str:
    return (check.__doc__ or "").strip()


def _reason(error: Exception) -> str:
    """Why a check could not be made, from what reading the folder raised."""
    if isinstance(error, CarrybookError):
        return str(error)
    return f"the folder cannot be read ({type(error).__name__}: {error}); expected it as it was saved"


def _result(check: Callable[..., object], findings: Callable[[], Findings]) -> Result:
    """Run one check; where it cannot go on, what it has found so far is kept."""
    kept: list[Finding] = []
    count, not_made = 0, ""
    try:
        for count, finding in enumerate(findings(), 1):
            kept += [finding] if count <= KEPT else []
    except UNREADABLE as error:
        not_made = _reason(error)
    return Result(result_name(check), _holds(check), tuple(kept), count, not_made)
