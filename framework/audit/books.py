"""The checks of a folder and of the books by themselves: files, chain, transfers, balances and time."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import zip_longest

import numpy as np

from framework.audit.findings import Finding, Findings, entry, second
from framework.clock import midnight_ns
from framework.errors import RunError
from framework.ledger import BLOCK, Records, links
from framework.run_folder.archive import UNKNOWN, Folder, roll_forward
from framework.run_folder.manifest import DIGEST
from framework.run_folder.tables import NAMES, ROLL_COLUMNS

FILES = (
    "balances.parquet", "equity.parquet", "events.parquet", "ledger.parquet", "market.parquet",
    "scenario.toml", "summary.json",
)  # fmt: skip
"""What lies in a run's folder beside its manifest."""


def files(folder: Folder) -> Findings:
    """Every file is there and is the one that the manifest names by its digest."""
    known = folder.manifest.files
    for name in FILES:
        if name not in known:
            yield Finding(name, "has no digest in manifest.json; expected one of each file")
    for name, digest in known.items():
        path = folder.path / name
        if not path.is_file():
            yield Finding(name, "missing; expected the file as it was saved")
        elif _digest(path) != digest:
            yield Finding(name, "changed since it was saved")


def name(folder: Folder) -> Findings:
    """The folder has the name of its run, which is made of the digests of all that went into it."""
    made = folder.manifest.name()
    if folder.name != made:
        yield Finding("manifest.json, run", f"is not the name of what its manifest says went in, {made}")
    if DIGEST.fullmatch(folder.path.name) and folder.path.name != folder.name:
        yield Finding(folder.path.name, f"is the folder of another run, {folder.name}")


def tables(folder: Folder) -> Findings:
    """Each table has the columns that were saved and no others, by name, type and order."""
    for table in NAMES:
        try:
            folder.columns(table)
        except RunError as error:
            yield Finding(f"{table}.parquet", str(error).removeprefix(f"{folder.path / table}.parquet: "))


def _digest(path: object) -> str:
    with open(str(path), "rb") as file:  # noqa: PTH123  (hashlib reads an open file in pieces)
        return hashlib.file_digest(file, "sha256").hexdigest()


def chain(folder: Folder) -> Findings:
    """The digest chain over the chart and all transfers is the manifest's, and so is its head."""
    kept = folder.manifest.ledger.chain
    made = links(folder.manifest.ledger.chart.plain(), folder.records())
    for number, (link, expected) in enumerate(zip_longest(made, kept)):
        if link != expected:
            first = (number - 1) * BLOCK + 1
            place = f"entries {first} to {first + BLOCK - 1}" if number else "the chart of accounts"
            yield Finding(place, f"the chain breaks here: link {number} is not the one that was kept")
            return
    if kept and kept[-1] != folder.manifest.ledger.digest:
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
    if seq - 1 != folder.manifest.counts.transfers:
        yield Finding("ledger.parquet", f"{seq - 1} transfers; expected {folder.manifest.counts.transfers}")
    for first, batch in folder.numbered():
        for wrong, words in (
            (batch["amount"] <= 0, "moves no positive amount"),
            ((batch["debit"] == UNKNOWN) | (batch["credit"] == UNKNOWN), "names an account that the chart lacks"),
            (batch["kind"] == UNKNOWN, "is of a kind that the chart lacks"),
            (batch["debit"] == batch["credit"], "moves from an account to itself"),
        ):
            for index in np.flatnonzero(wrong).tolist():
                yield Finding(entry(first + index), words)


def trial_balance(folder: Folder) -> Findings:
    """The balances that the run ended with sum to zero for each asset."""
    sums: Counter[str] = Counter()
    for account, balance in zip(folder.accounts, folder.manifest.ledger.balances, strict=False):
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
    kept = folder.manifest.ledger.balances
    for code, account in enumerate(folder.accounts):
        if made[code] != kept[code]:
            words = f"the transfers make {made[code]} atomic units of {account.asset.code}; the run kept {kept[code]}"
            yield Finding(f"account {account.name}", words)


def rolled_forward(folder: Folder) -> Findings:
    """Each account's opening balance, debits, credits and closing balance by month are those of its transfers."""
    kept = folder.table("balances").to_pylist()
    for line, saved in zip_longest(roll_forward(folder.accounts, known(folder)), kept):
        made = dict(zip(ROLL_COLUMNS, line, strict=True)) if line else None
        if made != saved:
            where = made or saved
            place = f"account {where['account']} in {where['month']}"
            differ = [name for name in ROLL_COLUMNS if not made or not saved or made[name] != saved[name]]
            yield Finding(place, f"{', '.join(differ)} of the roll-forward are not those of the transfers")


def known(folder: Folder) -> Iterator[Records]:
    """Batches without the transfers of accounts that the chart lacks, which `transfers` finds."""
    for batch in folder.records():
        known = (batch["debit"] != UNKNOWN) & (batch["credit"] != UNKNOWN)
        yield batch if known.all() else batch[known]


def floors(folder: Folder) -> Findings:
    """No account that has a floor ever turns against its usual side."""
    held = {code: 0 for code, account in enumerate(folder.accounts) if account.floor}
    for first, batch in folder.numbered():
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


def time_order(folder: Folder) -> Findings:
    """Time runs forward in the ledger, within the days of the scenario."""
    market = folder.scenario.market
    low, high = midnight_ns(market.start), midnight_ns(market.end + timedelta(days=1))
    last = low
    for first, batch in folder.numbered():
        at_ns = batch["at_ns"]
        before = np.concatenate(([last], at_ns[:-1]))
        for index in np.flatnonzero(at_ns < before).tolist():
            words = f"is at {second(int(at_ns[index]))}, before the entry above it, or before the scenario's start"
            yield Finding(entry(first + index), words)
        for index in np.flatnonzero(at_ns >= high)[:1].tolist():
            yield Finding(
                entry(first + index), f"is at {second(int(at_ns[index]))}, after the scenario's end {market.end}"
            )
        if len(at_ns):
            last = int(at_ns[-1])
