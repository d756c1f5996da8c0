"""Explain: a number of the report, down to accounts, months, entries, events and the market rows behind them.

The register lists the transfers in their order, with the running balance of the accounts that are asked for.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from attrs import field, frozen

from framework.clock import midnight_ns
from framework.errors import RunError
from framework.market import Flags, Ints, utc
from framework.money import BUCKETS, USDC, Account, Asset
from framework.performance import COSTS, FIGURES
from framework.run_folder.archive import UNKNOWN, Folder
from framework.support.suggestions import closest, suggestion
from framework.valuation import PricedBook, decimal, revalued, usdc


@frozen(kw_only=True)
class Selection:
    """Which transfers: of an account or all below it, of a kind, of an event, on days from `since` to `until`."""

    account: str | None = None
    kind: str | None = None
    event: int | None = None
    since: date | None = None
    until: date | None = None

    def within(self, at_ns: Ints) -> Flags:
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
    """The selected transfers; raises `RunError` for an account, kind, event or days that the run does not have."""
    accounts = _accounts(folder, chosen.account)
    if chosen.kind is not None and chosen.kind not in folder.kinds:
        raise RunError(f"no transfers of kind {chosen.kind!r}; {suggestion(chosen.kind, folder.kinds)}")
    last = folder.manifest.counts.events
    if chosen.event is not None and not 1 <= chosen.event <= last:
        raise RunError(f"no event {chosen.event}; expected one from 1 to {last}")
    _check_days(folder, chosen)
    kind = folder.kinds.index(chosen.kind) if chosen.kind is not None else None
    balances: defaultdict[str, int] = defaultdict(int)
    for seq, batch in folder.numbered():
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


def _accounts(folder: Folder, name: str | None) -> list[int]:
    """Codes of the accounts with this name or below it; all of them without one."""
    codes = [code for code, account in enumerate(folder.accounts) if name is None or _within(account, name)]
    if not codes:
        known = ", ".join(dict.fromkeys(account.name for account in folder.accounts))
        meant = _closest_account(folder, str(name)) or f"expected one of {known}, or what they begin with"
        raise RunError(f"no account {name!r}; {meant}")
    return codes


def _closest_account(folder: Folder, name: str) -> str:
    """Which account, or what several begin with, was probably meant; nothing where none has such a name."""
    parts = [account.name.split(":") for account in folder.accounts]
    known = dict.fromkeys(":".join(each[:depth]) for each in parts for depth in range(1, len(each) + 1))
    return closest(name, known, likeness=0.85)


def _check_days(folder: Folder, chosen: Selection) -> None:
    """Refuse days before the first or after the last of the market; raises `RunError`."""
    if chosen.since is None and chosen.until is None:
        return
    first, last = (utc(int(at_ns)).date() for at_ns in (folder.market.open_ns[0], folder.market.at_ns[-1]))
    if (chosen.since or first) > last or (chosen.until or last) < first:
        asked = f"up to {chosen.until}" if (chosen.until or last) < first else f"from {chosen.since} on"
        raise RunError(f"no rows of the market {asked}; expected days from {first} to {last}")


def _within(account: Account, name: str) -> bool:
    """Whether an account has this name or is below it."""
    return f"{account.name}:".startswith(f"{name}:")


def name_of(folder: Folder, code: int) -> str:
    """The name of an account by its code; a question mark for one that the chart lacks."""
    return folder.accounts[code].name if code != UNKNOWN else "?"


SOURCES = (
    "event", "at_ns", "row", "venue", "kind", "asset", "rate", "price", "size", "trigger_price", "details",
    "order", "charged", "fee", "equity",
    "price_source", "price_source_row", "rate_source", "rate_source_row", "rate_source_rows",
)  # fmt: skip


NO_ROWS = ":none"
"""In the place of rows: the rule for what is missing made the value."""
IN_USD = ("charged", "fee", "equity")
"""Columns of sums, which are given as USD."""
INNER = ("at_ns", "row", "venue", "details", *IN_USD)
"""Columns of the table of events that say where to look, and are no origin themselves."""
ACCOUNTS = {"bridge_usd": "Expenses:Bridge:Fee", "maintenance_fee_usd": "Expenses:Issuer:MaintenanceFee"}
"""Figure of the summary that is one account -> the account."""


@frozen(kw_only=True)
class Node:
    """A number and the parts that it is the sum of; `usd` is exact, `entries` counts the transfers behind it."""

    label: str
    amount: int
    """Integer of 10^-PLACES USD."""
    entries: int
    children: Sequence["Node"] = ()
    event: int | None = None
    """The event of an entry; None for what is no entry."""

    @property
    def usd(self) -> Decimal:
        """The number in USD."""
        return decimal(self.amount)

    def walk(self, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], "Node"]]:
        """The node and all below it, each with the labels above it."""
        yield above, self
        for child in self.children:
            yield from child.walk((*above, self.label))


@frozen
class _Entry:
    seq: int
    event: int
    at_ns: int
    atoms: int
    amount: int
    other: str
    """The account on the other side of the transfer."""

    def words(self, asset: Asset) -> str:
        """What the account received or gave, with the ledger's term for it."""
        did, term, way = ("received", "debit", "from") if self.atoms > 0 else ("gave", "credit", "to")
        return f"{did} {asset.decimal(abs(self.atoms)):f} {asset.code} ({term}) {way} {self.other}"


@frozen(eq=False)
class _Explainer:
    """What went through every account in a period, entry by entry, valued; and what was held before and after."""

    folder: Folder
    chosen: Selection
    book: PricedBook
    entries: dict[Account, list[_Entry]] = field(factory=dict)
    held: dict[Account, tuple[int, int]] = field(factory=dict)

    def read(self) -> None:
        """Read the ledger once."""
        opening, closing = dict.fromkeys(self.folder.accounts, 0), dict.fromkeys(self.folder.accounts, 0)
        for seq, batch in self.folder.numbered():
            for flow in self.book.flows(batch, seq):
                inside = self.chosen.within(flow.at_ns)
                values = self.book.usd(flow)
                early = ~inside & (flow.at_ns < self._start_ns())
                opening[flow.account] += int(flow.amounts[early].sum())
                closing[flow.account] += int(flow.amounts[early | inside].sum())
                entries = self.entries.setdefault(flow.account, [])
                transfers = batch[flow.seq - seq]
                others = np.where(flow.amounts > 0, transfers["credit"], transfers["debit"])
                for index in np.flatnonzero(inside).tolist():
                    entries.append(
                        _Entry(
                            int(flow.seq[index]),
                            int(flow.event[index]),
                            int(flow.at_ns[index]),
                            int(flow.amounts[index]),
                            values[index],
                            name_of(self.folder, int(others[index])),
                        )
                    )
        first, last = self._rows()
        for account in self.folder.accounts:
            if revalued(account):
                before, after = opening[account], closing[account]
                self.held[account] = (self._worth(account, before, first), self._worth(account, after, last))

    def bucket(self, name: str, sign: int) -> Node:
        """A bucket of the waterfall: what went through its accounts, and the revaluation of what they hold."""
        accounts = [account for account in self.folder.accounts if account.bucket == name]
        return _sum(name, [self._account(account, sign) for account in accounts])

    def accounts(self, label: str, accounts: Sequence[Account]) -> Node:
        """Some accounts: income as a gain, an expense as a cost, money as growth, what has a price as its profit."""
        gains = [each.name.startswith("Income:") or revalued(each) for each in accounts]
        return _sum(label, [self._account(each, 1 if gain else -1) for each, gain in zip(accounts, gains, strict=True)])

    def equity(self) -> Node:
        """What is left at the end on every account that counts for the equity."""
        left = [account for account in self.folder.accounts if account.name.startswith(("Assets:", "Liabilities:"))]
        nodes = []
        for account in left:
            entries = self.entries.get(account, [])
            amount = self.held[account][1] if revalued(account) else usdc(sum(entry.atoms for entry in entries))
            nodes.append(Node(label=_title(account), amount=amount, entries=len(entries)))
        return _sum("equity at the end", nodes)

    def _account(self, account: Account, sign: int) -> Node:
        entries = self.entries.get(account, [])
        months: dict[str, list[Node]] = {}
        for entry in entries:
            at = datetime.fromtimestamp(entry.at_ns // 1_000_000_000, UTC)
            label = f"entry {entry.seq}, {at:%Y-%m-%d}: {entry.words(account.asset)}"
            node = Node(label=label, amount=-sign * entry.amount, entries=1, event=entry.event)
            months.setdefault(f"{at:%Y-%m}", []).append(node)
        nodes = [_sum(month, children) for month, children in months.items()]
        if account in self.held:
            before, after = self.held[account]
            if before:
                nodes.insert(0, Node(label="held before, at its last close", amount=-sign * before, entries=0))
            nodes.append(Node(label="held at the end, at the last close", amount=sign * after, entries=0))
        return _sum(_title(account), nodes)

    def _start_ns(self) -> int:
        return midnight_ns(self.chosen.since) if self.chosen.since else -1

    def _rows(self) -> tuple[int, int]:
        """Price rows, as in `Prices`, at which what was held before the period and at its end is valued."""
        inside = np.flatnonzero(self.chosen.within(self.book.at_ns))
        if not len(inside):
            raise RunError("no rows of the market are on the days that are asked for; expected days of the run")
        return int(inside[0]), int(inside[-1]) + 1

    def _worth(self, account: Account, atoms: int, row: int) -> int:
        return self.book.prices[account.asset].usd(account.asset, atoms, row)


def explain(folder: Folder, what: str, chosen: Selection | None = None) -> Node:
    """The tree of a bucket of the waterfall, a figure of the summary, or an account and all below it.

    Income is explained as a gain and an expense as a cost, both above 0; money as what it grew by, and coins, contracts
    and tokens as the profit that their price made. Raises `RunError` for what is none of these, and for days that
    the run has not.
    """
    chosen = chosen or Selection()
    _check_days(folder, chosen)
    explainer = _Explainer(folder, chosen, folder.book)
    name = FIGURES.get(what, what)
    below = ACCOUNTS.get(what, what)
    accounts = [each for each in folder.accounts if _within(each, below)]
    if accounts:
        explainer.read()
        return explainer.accounts(what, accounts)
    if name not in (*BUCKETS, "result", "final_equity_usd"):
        known = [*BUCKETS, "result", "final_equity_usd", *FIGURES, *ACCOUNTS]
        some = f"expected one of {', '.join(known)}, an account"
        meant = closest(what, known) or _closest_account(folder, what) or some
        raise RunError(f"nothing to explain as {what!r}; {meant}")
    explainer.read()
    if name == "result":
        return _sum("result", [explainer.bucket(bucket, 1) for bucket in BUCKETS])
    if name == "final_equity_usd":
        return explainer.equity()
    return explainer.bucket(name, -1 if what in COSTS else 1)


def sources(folder: Folder, events: Sequence[int]) -> Mapping[int, str]:
    """What each of these events came from, in words: rate, price and size, and the rows of the files behind them."""
    assets = {asset.code: asset for asset in folder.assets}
    return {row["event"]: _source(row, assets) + _bound(folder, row) for row in _rows_of(folder, events)}


def rules_behind(folder: Folder, events: Sequence[int]) -> Mapping[str, str]:
    """The dated rules that bound these events, each as `venue rule value` once: since when, and where it comes from."""
    found: dict[str, str] = {}
    for row in _rows_of(folder, events):
        for name, rule in _rules_of(folder, row).items():
            dates = f"since {rule['since']}" + (f" until {rule['until']}" if rule["until"] else "")
            found[f"{row['venue']} {name} {rule['value']}"] = f"{dates}, {rule['certainty']}: {rule['source']}"
    return found


def origins(folder: Folder, events: Sequence[int]) -> Mapping[int, Mapping[str, object]]:
    """The same as values, without what an event does not have: `size` and sums are in whole units, as exact text."""
    assets, found = {asset.code: asset for asset in folder.assets}, {}
    for row in _rows_of(folder, events):
        asset = assets.get(row["asset"])
        size = f"{asset.decimal(row['size']):f}" if asset and row["size"] is not None else None
        values: dict[str, object] = {name: value for name, value in row.items() if name not in INNER}
        usd = {f"{name}_usd": str(USDC.decimal(row[name])) for name in IN_USD if row[name] is not None}
        values |= usd | {"size": size, "asset": asset.code if asset and size else None, "rules": _rules_of(folder, row)}
        found[row["event"]] = {name: value for name, value in values.items() if value not in (None, "", {})}
    return found


def _rows_of(folder: Folder, events: Sequence[int]) -> Iterator[dict[str, Any]]:
    """What the table of events has on some of them."""
    wanted = np.array(sorted(set(events)), dtype=np.int64)
    for batch in folder.batches("events", SOURCES):
        chosen = np.flatnonzero(np.isin(batch["event"].to_numpy(), wanted))
        yield from batch.take(chosen).to_pylist()


def first_place(folder: Folder, events: Sequence[int]) -> str:
    """The first rows of a source that are behind these events, such as `sol_daily.csv:17`; an empty text for none."""
    places = (place for row in _rows_of(folder, events) for place in (_rate_place(row), _price_place(row)))
    return next((place for place in places if place and not place.endswith(NO_ROWS)), "")


def _rate_place(row: Mapping[str, Any]) -> str:
    """The rows of the source whose sum a rate is."""
    first, count = row["rate_source_row"], row["rate_source_rows"]
    rows = f":{first}" if count in (None, 1) else f":{first}-{first + count - 1}" if count else NO_ROWS
    return f"{row['rate_source']}{rows}" if row["rate_source"] else ""


def _price_place(row: Mapping[str, Any]) -> str:
    """The row of the source that has a price."""
    return f"{row['price_source']}:{row['price_source_row']}" if row["price_source"] else ""


def _source(row: Mapping[str, Any], assets: Mapping[str, Asset]) -> str:
    words = f"event {row['event']} {row['kind']}" + (f" ({row['order']})" if row["order"] else "")
    if row["rate"] is not None:
        words += f", rate {row['rate']:.10g}" + _in_brackets(_rate_place(row))
    if row["price"] is not None:
        words += f", price {row['price']:.10g}" + _in_brackets(_price_place(row))
    if row["size"] is not None and row["asset"] in assets:
        asset = assets[row["asset"]]
        words += f", size {asset.decimal(row['size']):f} {asset.code}"
    if row["fee"] and row["charged"]:
        words += f", fees of {USDC.decimal(row['fee']):f} on {USDC.decimal(row['charged']):f} USD"
    if row["equity"] is not None:
        words += f", equity {USDC.decimal(row['equity']):f} USD before the penalty"
    return words


def _in_brackets(place: str) -> str:
    return f" ({place})" if place else ""


def _bound(folder: Folder, row: Mapping[str, Any]) -> str:
    """At which price an act was due, from which cell of the market, and which dated rules bound it."""
    further = _further(row)
    words = "" if row.get("trigger_price") is None else f", reached {row['trigger_price']:.10g}"
    if further.get("liquidation_price") is not None:
        words += f", liquidation price {further['liquidation_price']:.10g}"
    if further.get("column"):
        worst = folder.market[further["column"]][row["row"]].item()
        words += f" on the way to {worst:.10g} in {further['column']} ({further.get('cell', '?')})"
    rules = _rules_of(folder, row)
    said = [f"{name} {rules[name]['value']} ({rules[name]['certainty']})" if name in rules else name
            for name in further.get("rules", ())]  # fmt: skip
    return words + (f", by {', '.join(said)}" if said else "")


def _further(row: Mapping[str, Any]) -> dict[str, Any]:
    """What an event says besides the columns of the table."""
    found: dict[str, Any] = json.loads(row.get("details") or "{}")
    return found


def _rules_of(folder: Folder, row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The values of the rulebook's dated rules that bound an event, as they were in force then, by name."""
    known: Mapping[str, Any] = folder.manifest.dated_rules.get(row["venue"] or "", {})
    at = datetime.fromtimestamp(row["at_ns"] // 1_000_000_000, UTC)
    found = {}
    for name in _further(row).get("rules", ()):
        values = known.get(name, {}).get("values", ())
        in_force = [each for each in values if datetime.fromisoformat(each["since"]).replace(tzinfo=UTC) <= at]
        if in_force:
            found[name] = in_force[-1]
    return found


def _title(account: Account) -> str:
    return f"{account.name} ({account.asset.code})"


def _sum(label: str, children: Sequence[Node]) -> Node:
    told = [child for child in children if child.amount or child.entries]
    return Node(
        label=label,
        amount=sum(child.amount for child in told),
        entries=sum(child.entries for child in told),
        children=tuple(told),
    )
