"""The register: transfers in their order, with the running balance of the accounts that are asked for."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
from attrs import field, frozen

from framework.clock import midnight_ns
from framework.errors import RunError
from framework.market import Flags
from framework.saved.folder import UNKNOWN, Folder


@frozen(kw_only=True)
class Selection:
    """Which transfers: of an account or all below it, of a kind, of an event, on days from `since` to `until`."""

    account: str | None = None
    kind: str | None = None
    event: int | None = None
    since: date | None = None
    until: date | None = field(default=None)

    def within(self, at_ns: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Flags:
        """Which instants are on the days that are asked for."""
        inside: Flags = np.ones(len(at_ns), dtype=bool)
        if self.since:
            inside &= at_ns >= midnight_ns(self.since)
        if self.until:
            inside &= at_ns < midnight_ns(self.until + timedelta(days=1))
        return inside


@frozen(kw_only=True)
class Line:
    """A transfer in whole units; `balance` is that of the selected accounts in its asset, None where none were."""

    seq: int
    at: datetime
    event: int
    kind: str
    debit: str
    credit: str
    asset: str
    amount: Decimal
    change: Decimal | None
    balance: Decimal | None


def register(folder: Folder, chosen: Selection) -> Iterator[Line]:
    """The selected transfers; raises `RunError` for an account or a kind that the run does not have."""
    accounts = _accounts(folder, chosen.account)
    if chosen.kind is not None and chosen.kind not in folder.kinds:
        raise RunError(
            f"{folder.path}: no transfers of kind {chosen.kind!r}; expected one of {', '.join(folder.kinds)}"
        )
    kind = folder.kinds.index(chosen.kind) if chosen.kind is not None else None
    balances: defaultdict[str, int] = defaultdict(int)
    seq = 1
    for batch in folder.records():
        touched = np.isin(batch["debit"], accounts) | np.isin(batch["credit"], accounts)
        told = touched & chosen.within(batch["at_ns"])
        if kind is not None:
            told &= batch["kind"] == kind
        if chosen.event is not None:
            told &= batch["event"] == chosen.event
        for index in np.flatnonzero(touched if chosen.account else told).tolist():
            at_ns, event, amount, kind_code, debit, credit, asset_code = batch[index].tolist()
            asset = folder.assets[asset_code]
            change = (amount if debit in accounts else 0) - (amount if credit in accounts else 0)
            balances[asset.code] += change
            if told[index]:
                yield Line(
                    seq=seq + index,
                    at=datetime.fromtimestamp(at_ns // 1_000_000_000, UTC),
                    event=event,
                    kind=folder.kinds[kind_code] if kind_code != UNKNOWN else "?",
                    debit=name_of(folder, debit),
                    credit=name_of(folder, credit),
                    asset=asset.code,
                    amount=asset.decimal(amount),
                    change=asset.decimal(change) if chosen.account else None,
                    balance=asset.decimal(balances[asset.code]) if chosen.account else None,
                )
        seq += len(batch)


def _accounts(folder: Folder, name: str | None) -> list[int]:
    """Codes of the accounts with this name or below it; all of them without one."""
    codes = [
        code
        for code, account in enumerate(folder.accounts)
        if name is None or account.name == name or account.name.startswith(f"{name}:")
    ]
    if not codes:
        known = ", ".join(dict.fromkeys(account.name for account in folder.accounts))
        raise RunError(f"{folder.path}: no account {name!r}; expected one of {known}, or what they begin with")
    return codes


def name_of(folder: Folder, code: int) -> str:
    """The name of an account by its code; a question mark for one that the chart lacks."""
    return folder.accounts[code].name if code != UNKNOWN else "?"
