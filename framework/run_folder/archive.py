"""The folder of a run, written and read: Parquet for the books, JSON for the rest, named by what went in.

A folder is never half there: everything is written beside its place under another name, the manifest comes last, and
one rename makes it the run. Tables are read in batches, never whole.
"""

import errno
import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from glob import escape
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from attrs import fields
from numpy.typing import NDArray

from framework.assembly import Assembly
from framework.errors import CarrybookError, RunError, ScenarioError
from framework.events import Event
from framework.ledger import RECORD, EventLog, Ledger, Records, Settlements
from framework.market import At, Flags, Floats, Ints, Market, Source, price_column
from framework.money import USDC, Account, Asset
from framework.performance import Summary
from framework.run import Run
from framework.run_folder.manifest import FORMAT, Manifest, Place, read_json, read_manifest, run_name
from framework.run_folder.names import DIGEST, LATEST, forget, names_in
from framework.run_folder.tables import EVENT_COLUMNS, LEDGER, NAMES, ROLL_COLUMNS, TEXTS, Table, roll_schema
from framework.scenario import Scenario, read_table
from framework.support import arrow
from framework.support.files import new_draft, open_to_all, replace_file, sync
from framework.support.source_code import project_digest
from framework.valuation import PricedBook, Prices, Worth, decimal, priced
from framework.venue import IN_TRANSIT

ROWS_WRITTEN = 1 << 18
"""Rows of a table in memory at a time while it is written."""
UNKNOWN = 2**16 - 1
"""Code of a name that the chart of accounts does not have."""
LIBRARIES = ("attrs", "cattrs", "numpy", "pyarrow", "simpy")

PRICE = re.compile(r"(?:^|(?<!_rate)[._])(?:open|high|low|close|mark|oracle)$")
"""Names of market columns that end so are prices; `jitosol_rate_close` is the level of a rate."""


@cache
def _our_version() -> str:
    """The version of the project, which a process looks up once."""
    return version("carrybook")


def identity(assembly: Assembly) -> str:
    """The name of a run: SHA-256 over the scenario, every input, a user's own code, and the project's files."""
    inputs, code = _inputs(assembly.market), assembly.own_code()
    return run_name(_our_version(), project_digest(), assembly.scenario.digest, inputs, code)


def save(assembly: Assembly, run: Run, summary: Summary, parent: Path) -> Path:
    """Write the folder of a run below `parent` and return it; raises `RunError`, and then nothing is left behind.

    A folder of this name that holds the same result stays, and so no reader ever finds none; of its manifest what is
    new is where things lie. One that holds anything else is left as it is, and that is an error.
    """
    name = identity(assembly)
    target = parent / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        draft = new_draft(parent, name[:16])
    except OSError as error:
        raise RunError(f"{parent}: not writable ({error.strerror}); expected a directory for runs") from None
    try:
        _write(draft, assembly, run, summary, name)
        open_to_all(draft)
        if not _renamed(draft, target):
            _check_same(draft, target)
            _keep(draft, target)
        sync(parent)
    except OSError as error:
        raise RunError(f"{target}: not writable ({error.strerror})") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def run_table(run: Run, name: str) -> pa.Table:
    """A table of a run in memory as its folder would hold it: `ledger`, `events`, `equity` or `market`."""
    match name:
        case "ledger":
            return ledger_table(run.ledger)
        case "events":
            return pa.concat_tables(_event_tables(run.events, run.market))
        case "equity":
            return equity_table(run)
        case _:
            return _market_table(run.market)


def _renamed(draft: Path, target: Path) -> bool:
    """Make the draft the run, in one step; False where there is something of that name already."""
    if target.exists():
        return False
    try:
        draft.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            return False
        raise
    return True


def _keep(draft: Path, target: Path) -> None:
    """Leave a run of the same content as it is, as the one that was written last."""
    if read_manifest(draft).files == read_manifest(target).files:
        replace_file(target / "manifest.json", (draft / "manifest.json").read_bytes())
    else:
        os.utime(target / "manifest.json")


def _write(folder: Path, assembly: Assembly, run: Run, summary: Summary, name: str) -> None:
    (folder / "scenario.toml").write_text(assembly.scenario.toml(), encoding="utf-8")
    _parquet(folder / "market.parquet", [_market_table(run.market)])
    _parquet(folder / "ledger.parquet", _ledger_tables(run.ledger))
    _parquet(folder / "events.parquet", _event_tables(run.events, run.market))
    _parquet(folder / "equity.parquet", [equity_table(run)])
    _parquet(folder / "balances.parquet", [_balance_table(run)])
    (folder / "summary.json").write_text(_json(summary), encoding="utf-8")
    manifest = {
        "format": FORMAT,
        "run": name,
        "scenario": assembly.scenario.digest,
        "seed": assembly.scenario.seed,
        "inputs": _inputs(run.market),
        "code": assembly.own_code(),
        "project": project_digest(),
        "data": _place(assembly.data, folder),
        "beside": _place(assembly.scenario.beside, folder),
        "rules": {venue.name: venue.rules() for venue in assembly.venues},
        "dated_rules": _dated_rules(assembly),
        "label": run.market.label,
        "capital": run.capital,
        "opened_at": run.opened_at,
        "coin": run.market.coin,
        "ledger": {
            "digest": run.ledger.digest,
            "chain": run.ledger.chain(),
            "chart": run.ledger.chart(),
            "balances": list(run.ledger.balances().values()),
        },
        "owners": run.owners,
        "streams": _streams(run),
        "counts": {"rows": len(run.market), "events": len(run.events), "transfers": len(run.ledger)},
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())},
        "versions": {"carrybook": version("carrybook"), "python": platform.python_version()}
        | {library: version(library) for library in LIBRARIES},
    }
    text = json.dumps(manifest, indent=1, allow_nan=False, default=str) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    for path in folder.iterdir():
        sync(path)


def _dated_rules(assembly: Assembly) -> dict[str, dict[str, object]]:
    """What the rulebook's dated rules said in the time of the run, with source and certainty, by venue and key."""
    first_ns, last_ns = int(assembly.market.open_ns[0]), int(assembly.market.at_ns[-1])
    return {
        venue: {
            key: {"unit": rule.unit, "values": [each.plain() for each in rule.between(first_ns, last_ns)]}
            for key, rule in rules.items()
        }
        for venue, rules in assembly.rules.items()
    }


def _place(directory: Path | None, folder: Path) -> dict[str, str] | None:
    """Where a directory is, absolutely and seen from the folder of the run, which may be moved together with it."""
    if directory is None:
        return None
    whole = directory.resolve()
    return {"path": str(whole), "from_run": os.path.relpath(whole, folder.resolve())}


def _streams(run: Run) -> list[dict[str, object]]:
    """What was declared to accrue: the names and codes of each stream, its basis and its share."""
    codes = {account: code for code, account in enumerate(run.ledger.accounts)}
    return [
        {
            "venue": each.venue,
            "event": each.event.__name__,
            "kind": each.kind,
            "debit": codes[each.debit],
            "credit": codes[each.credit],
            "asset": each.asset,
            "basis": each.basis,
            "share": each.share,
        }
        for each in run.events.settlements.of
    ]


def _check_same(draft: Path, target: Path) -> None:
    """Refuse to write over a folder that is not the same run, whole; raises `RunError`."""
    why = ""
    try:
        mine, theirs = read_manifest(draft), read_manifest(target)
        for name, digest in theirs.files.items():
            if hashlib.sha256((target / name).read_bytes()).hexdigest() != digest:
                why = f"its {name} is not the one that was saved"
        if set(theirs.files) != set(mine.files):
            why = "it has other files"
        for key in ("scenario", "inputs", "code", "project", "ledger", "counts"):
            why = why or (f"its {key} differs" if getattr(theirs, key) != getattr(mine, key) else "")
        summaries = [read_json(folder / "summary.json") for folder in (draft, target)]
        why = why or ("its summary differs" if summaries[0] != summaries[1] else "")
    except (OSError, RunError) as error:
        why = f"it cannot be read: {error.strerror if isinstance(error, OSError) else error}"
    if why:
        raise RunError(
            f"{target}: there is a folder of this name that is not this result ({why}), and is left as it is; expected "
            "another --out, or that folder to be moved away"
        )


def _json(value: object) -> str:
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def _parquet(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write tables of one schema one after another; what is written is not kept."""
    writer = None
    for table in _together(tables):
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema, compression="zstd")
        if len(table):
            writer.write_table(table)
    if writer is not None:
        writer.close()


def _together(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer tables: each is written as a group of rows, and many small ones are slow to read."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        waiting.append(table)
        rows += len(table)
        if rows >= ROWS_WRITTEN:
            yield pa.concat_tables(waiting)
            waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting)


def _inputs(market: Market) -> dict[str, str]:
    """Input file -> SHA-256, in the order of the table's columns."""
    return {file: digest for source in market.sources.values() for file, digest in source.digests().items()}


def ledger_table(ledger: Ledger) -> pa.Table:
    """The transfers as a folder holds them."""
    return pa.concat_tables(_ledger_tables(ledger))


def _ledger_tables(ledger: Ledger) -> Iterator[pa.Table]:
    records = ledger.records()
    accounts = arrow.array([account.name for account in ledger.accounts], pa.string())
    assets = arrow.array([asset.code for asset in ledger.assets], pa.string())
    kinds = arrow.array(list(ledger.kinds), pa.string())
    for start in range(0, max(1, len(records)), ROWS_WRITTEN):
        part = records[start : start + ROWS_WRITTEN]
        yield arrow.table(
            {
                "seq": np.arange(start + 1, start + 1 + len(part)),
                "at_ns": part["at_ns"],
                "event": part["event"],
                "kind": kinds.take(arrow.array(part["kind"], pa.int64())),
                "debit": accounts.take(arrow.array(part["debit"], pa.int64())),
                "credit": accounts.take(arrow.array(part["credit"], pa.int64())),
                "asset": assets.take(arrow.array(part["asset"], pa.int64())),
                "amount": part["amount"],
            }
        )


def _event_tables(events: EventLog, market: Market) -> Iterator[pa.Table]:
    """All events in the order of their ids, so many at a time."""
    schema = pa.schema(list(EVENT_COLUMNS.items()))
    single, settled = list(events.single()), events.settlements
    ids = np.array([event.event for event in single], dtype=np.int64)
    for start in range(1, max(2, len(events) + 1), ROWS_WRITTEN):
        stop = start + ROWS_WRITTEN
        mine = slice(*np.searchsorted(ids, (start, stop)).tolist())
        some = settled.part(*np.searchsorted(settled.ids, (start, stop)).tolist())
        rows = [_single_row(event, market) for event in single[mine]]
        both = pa.concat_tables([_table_of(rows, schema), _settlement_table(some, market, schema)])
        yield both.take(arrow.array(np.argsort(np.concatenate((ids[mine], some.ids))), pa.int64()))


def _balance_table(run: Run) -> pa.Table:
    """The roll-forward: what each account began every month with, took, gave, and ended with; atomic units."""
    lines = roll_forward(run.ledger.accounts, [run.ledger.records()])
    rows = [dict(zip(ROLL_COLUMNS, line, strict=True)) for line in lines]
    return _table_of(rows, roll_schema())


def _table_of(rows: Sequence[Mapping[str, object]], schema: pa.Schema) -> pa.Table:
    """Rows as a table; what a row does not have is null."""
    return pa.Table.from_arrays(
        [arrow.array([row.get(each.name) for row in rows], each.type) for each in schema], schema=schema
    )


def _single_row(event: Event, market: Market) -> dict[str, object]:
    row = max(0, int(market.at_ns.searchsorted(event.at_ns, side="right")) - 1)
    values: dict[str, object] = {each.name: getattr(event, each.name) for each in fields(type(event))}
    if "condition" in values:
        values["condition"] = str(values["condition"])
    further = {name: value for name, value in values.items() if name not in EVENT_COLUMNS}
    if further.get("column"):
        further["cell"] = market.cell(str(further["column"]), row)
    if further:
        values["details"] = json.dumps(further, default=str)
    source = market.sources.get(_priced_by(values.get("price"), event, row, market))
    if source:
        values |= {"price_source": source.file_of(row), "price_source_row": int(source.first_row[row])}
    return values | {"kind": event.kind, "row": row}


def _priced_by(price: object, event: Event, row: int, market: Market) -> str:
    """The column whose cell in a row is the price of an event; an empty text for a price that is in none.

    The prices of that instant go first, opens before the first close and closes after it, of the market's coin before
    others; then all other prices of the row. A venue may fill at a price of its own.
    """
    now: At = "open" if event.at_ns < market.at_ns[0] else "close"

    def columns() -> list[str]:
        first = market.price_column("", now)
        names = filter(PRICE.search, market.columns)
        return sorted(names, key=lambda name: (name != first, not name.endswith(now)))

    names: list[str] = market.cached(("prices", now), columns)
    return next((name for name in names if market.floats(name)[row] == price), "")


def _settlement_table(part: Settlements, market: Market, schema: pa.Schema) -> pa.Table:
    """The events of settlements, as columns."""
    count, at, streams = len(part), part.rows, part.of

    def by_stream(texts: Sequence[str | None]) -> pa.Array:
        return arrow.array(texts, pa.string()).take(arrow.array(part.streams, pa.int64()))

    columns: dict[str, arrow.Values] = {
        "event": part.ids,
        "at_ns": market.at_ns[at],
        "venue": by_stream([stream.venue for stream in streams]),
        "kind": by_stream([stream.event.__name__ for stream in streams]),
        "asset": by_stream([stream.asset for stream in streams]),
        "rate": part.gathered("rate"),
        "price": part.gathered("price"),
        "size": part.gathered("size"),
        "amount": part.gains,
        "row": at,
    }
    for name, behind in (
        ("price_source", [stream.price_column for stream in streams]),
        ("rate_source", [stream.rate_column for stream in streams]),
    ):
        known = [market.sources.get(column) for column in behind]
        columns[name] = _files(known, at, part.streams)
        columns[f"{name}_row"] = _cells([source.first_row if source else None for source in known], at, part.streams)
        columns[f"{name}_rows"] = _cells([source.rows if source else None for source in known], at, part.streams)
    arrays = [arrow.array(columns.get(each.name, pa.nulls(count, each.type)), each.type) for each in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _files(sources: Sequence[Source | None], rows: Ints, columns: Ints) -> pa.Array:
    """The file behind the cell of each row and column, null in a column without a source."""
    names: list[str | None] = []
    codes = np.zeros(len(rows), dtype=np.int64)
    for column, source in enumerate(sources):
        codes[columns == column] = len(names)
        names.append(source.file if source else None)
        if source and source.earlier:
            codes[(columns == column) & source.of_earlier(rows)] = len(names)
            names.append(source.earlier[0])
    return arrow.array(names, pa.string()).take(arrow.array(codes, pa.int64()))


def _cells(sources: Sequence[Ints | None], rows: Ints, columns: Ints) -> pa.Array:
    """The cell of each row and column, null in a column without a source."""
    cells = np.zeros(len(rows), dtype=np.int64)
    for column, source in enumerate(sources):
        mine = columns == column
        if source is not None:
            cells[mine] = source[rows[mine]]
    absent = np.array([each is None for each in sources], dtype=bool)
    return arrow.array(cells, pa.int64(), absent[columns])


def equity_table(run: Run) -> pa.Table:
    """What everything was worth: the capital at the start, after every row, and at the end, once the run had closed.

    `moment` tells them apart: `start`, `close` of a row, `end`. A return is the last `equity_usd` over the first.
    Leverage and liquidation price are those at the closes, null without equity or without such a price.
    """
    curve, ledger = run.curve, run.ledger
    worth, owners = Worth.of(run), run.owners
    start_ns = int(ledger.records()["at_ns"][0])
    left = dict[str, int]()
    for account, owner in zip(ledger.accounts, owners, strict=True):
        if account.owned:
            name = f"{owner}_equity_usd" if owner else "transit_usd" if account == IN_TRANSIT else "cash_usd"
            left[name] = left.get(name, 0) + worth.left[account]
    end = {name: float(decimal(amount)) for name, amount in left.items()} | run.held()
    capital_usd, closes = USDC.units(run.capital), run.market[run.market.price_column("")]

    def joined(start: float, at_closes: Floats, end: float) -> Floats:
        return np.concatenate([[start], at_closes, [end]])

    columns: dict[str, arrow.Values] = {
        "at_ns": np.concatenate([[start_ns], run.market.at_ns, run.market.at_ns[-1:]]),
        "moment": ["start", *["close"] * len(closes), "end"],
        "close": joined(run.price(start_ns - 1), closes, closes[-1]),
        "equity_usd": joined(capital_usd, curve.equity_usd, float(decimal(worth.equity()))),
        "cash_usd": joined(capital_usd, curve.cash_usd, end["cash_usd"]),
        "transit_usd": joined(0.0, curve.transit_usd, end.get("transit_usd", 0.0)),
    }
    by_name = {f"{venue}_equity_usd": values for venue, values in curve.equity_usd_by_venue.items()}
    by_name |= {f"{venue}_size": values for venue, values in curve.size_by_venue.items()}
    by_name["net_size"] = curve.net_size
    columns |= {name: joined(0.0, values, end.get(name, 0.0)) for name, values in by_name.items()}
    at_closes = {f"{venue}_leverage": values for venue, values in curve.leverage_by_venue.items()}
    several = {venue.name for venue in run.venues if len(venue.coins) > 1}
    for (venue, coin), prices in run.liquidation_prices.items():
        at_closes[f"{venue}_{coin}_liquidation_price" if venue in several else f"{venue}_liquidation_price"] = prices
    for name, values in at_closes.items():
        joint = joined(np.nan, values, np.nan)
        columns[name] = arrow.array(joint, pa.float64(), ~np.isfinite(joint))
    return arrow.table(columns)


def _market_table(market: Market) -> pa.Table:
    columns: dict[str, arrow.Values] = {"row": np.arange(len(market)), "open_ns": market.open_ns, "at_ns": market.at_ns}
    for name, column in market.columns.items():
        columns[name] = column
        source = market.sources.get(name)
        if source:
            columns |= {f"{name}_source_row": source.first_row, f"{name}_source_rows": source.rows}
    return arrow.table(columns)


RollLine = tuple[str, str, str, int, int, int, int]
"""A line of the roll-forward, as `ROLL_COLUMNS` names its cells."""


def roll_forward(accounts: Sequence[Account], batches: Iterable[Records]) -> Iterator[RollLine]:
    """The lines of a ledger, month by month and in the order of the chart; months without entries are left out.

    Batches are in time order; an account has a line for each month in which it moved or holds something.
    """
    balances = [0] * len(accounts)
    debited, credited = [0] * len(accounts), [0] * len(accounts)
    month = ""

    def lines() -> Iterator[RollLine]:
        for code, account in enumerate(accounts):
            opening = balances[code]
            if opening or debited[code] or credited[code]:
                closing = balances[code] = opening + debited[code] - credited[code]
                yield month, account.name, account.asset.code, opening, debited[code], credited[code], closing
            debited[code] = credited[code] = 0

    for batch in batches:
        months = batch["at_ns"].astype("datetime64[ns]").astype("datetime64[M]")
        cuts = [0, *(np.flatnonzero(months[1:] != months[:-1]) + 1).tolist(), len(batch)]
        for start, stop in pairwise(cuts):
            if start == stop:
                continue
            if month and str(months[start]) != month:
                yield from lines()
            month = str(months[start])
            part = batch[start:stop]
            for sums, side in ((debited, "debit"), (credited, "credit")):
                for code, total in enumerate(_sums(part[side], part["amount"], len(accounts))):
                    sums[code] += total
    if month:
        yield from lines()


def _sums(codes: NDArray[np.uint16], amounts: NDArray[np.int64], count: int) -> list[int]:
    """The sum of the amounts of each code, exactly."""
    totals = np.zeros(count, dtype=np.int64)
    np.add.at(totals, codes, amounts)
    return [int(total) for total in totals]


class Folder:
    """The folder of a finished run, or a directory with one run in it; raises `RunError` for one that is not.

    All that is in it is read through its manifest's and its tables' one door each, `manifest.py` and `tables.py`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path = only_run(path)
        self.manifest: Manifest = read_manifest(path)
        chart = self.manifest.ledger.chart
        self.accounts: tuple[Account, ...] = chart.opened
        self.assets: tuple[Asset, ...] = tuple(dict.fromkeys(Asset(code, decimals) for code, decimals in chart.assets))
        self.kinds = tuple(kind for (kind,) in chart.kinds)
        self.capital = self.manifest.capital
        self.opened_at: At = self.manifest.opened_at
        self.coin = self.manifest.coin
        self.name = self.manifest.run
        self.digest = self.manifest.ledger.digest
        self.label = self.manifest.label
        self.owners = self.manifest.owners
        self.streams = self.manifest.streams

    @cached_property
    def data(self) -> Path | None:
        """The directory of the scenario's sources, where it still is with the files that were read; None elsewhere.

        Files are looked up where the scenario has them, and by digest, so other data there are not taken for them.
        """
        digests = self.manifest.inputs
        for place in self._places(self.manifest.data):
            files = [place / each for each in self.scenario.market.files]
            there = [each for each in files if each.name in digests and each.is_file()]
            if there and all(hashlib.sha256(each.read_bytes()).hexdigest() == digests[each.name] for each in there):
                return place
        return None

    def _places(self, known: Place | None) -> list[Path]:
        """Where a directory may be now that the manifest names: where it was, or as far from the run as it was."""
        places = [Path(known.path), self.path / known.from_run] if known else []
        return [place for place in places if place.is_dir()]

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario that was run; raises `ScenarioError` or `RunError`."""
        path = self.path / "scenario.toml"
        table = read_table(path)
        try:
            return Scenario.of(table, beside=next(iter(self._places(self.manifest.beside)), None))
        except ScenarioError as error:
            raise RunError(f"{path}: {error}") from None

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """The summary as it was saved."""
        return read_json(self.path / "summary.json")

    @cached_property
    def market(self) -> Market:
        """The market table that was used, without its sources."""
        table = self.table("market")
        columns = {each.name: table[each.name].to_numpy() for each in table.schema if pa.types.is_floating(each.type)}
        times = {name: table[name].to_numpy() for name in ("open_ns", "at_ns")}
        try:
            return Market(**times, columns=columns, coin=self.coin)
        except CarrybookError as error:
            raise RunError(f"{self.path / 'market.parquet'}: {error}") from None

    @cached_property
    def book(self) -> PricedBook:
        """The chart of accounts with the exact prices of the market."""
        prices = {}
        for asset in priced(self.accounts):
            closes, opens = self.price_column(asset), self.price_column(asset, self.opened_at)
            table = self.table("market", dict.fromkeys((closes, opens)))
            prices[asset] = Prices.exact(table[opens][:1].to_numpy(), table[closes].to_numpy())
        at_ns = self.table("market", ["at_ns"])["at_ns"].to_numpy()
        return PricedBook(accounts=self.accounts, at_ns=at_ns, prices=prices)

    def price_decimals(self, asset: Asset) -> int:
        """How many decimals the prices of an asset are written with, at most; read in batches."""
        names = list(dict.fromkeys((self.price_column(asset, self.opened_at), self.price_column(asset))))
        batches = (batch[name].to_numpy() for batch in self.batches("market", names) for name in names)
        return max((Prices.exact(prices[:0], prices).decimals for prices in batches), default=0)

    def price_column(self, asset: Asset, at: At = "close") -> str:
        """The column of the market table that has an asset's price."""
        return price_column(self._market_columns, asset, at, plain=self.coin)

    @cached_property
    def _market_columns(self) -> frozenset[str]:
        return frozenset(self.columns("market"))

    def columns(self, name: str) -> list[str]:
        """The names of a table's columns."""
        return list(self._table(name).schema().names)

    def table(self, name: str, columns: Collection[str] | None = None) -> pa.Table:
        """A table, whole or some of its columns, for those that are not long."""
        return self._table(name).whole(columns)

    def batches(self, name: str, columns: Collection[str], coded: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """A table in batches, with the columns that are asked for; `coded` text comes as it lies, as dictionaries."""
        return self._table(name).batches(columns, coded)

    def check_tables(self) -> None:
        """Refuse a table that is not as it was saved, for programs that read the files themselves."""
        for name in NAMES:
            self._table(name).schema()

    def _table(self, name: str) -> Table:
        return Table(name, self.path / f"{name}.parquet", tuple(self.manifest.rules))

    def events(self, kinds: Collection[str], columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The events of some kinds one by one, by the names of the columns that are asked for."""
        for batch in self.batches("events", dict.fromkeys((*columns, "kind")), ("kind",)):
            for index in np.flatnonzero(among(batch["kind"], kinds)).tolist():
                yield {name: batch[name][index].as_py() for name in columns}

    def numbered(self) -> Iterator[tuple[int, Records]]:
        """The transfers in batches, each with the number of its first."""
        first = 1
        for batch in self.records():
            yield first, batch
            first += len(batch)

    def records(self) -> Iterator[Records]:
        """The transfers in batches, as the ledger had them; a name that the chart lacks has the code `UNKNOWN`."""
        names = list(dict.fromkeys(account.name for account in self.accounts))
        pairs = np.full((len(names) + 1, len(self.assets) + 1), UNKNOWN)
        for code, account in enumerate(self.accounts):
            pairs[names.index(account.name), self.assets.index(account.asset)] = code
        codes = [asset.code for asset in self.assets]
        for batch in self.batches("ledger", [name for name in LEDGER if name != "seq"], TEXTS):
            records = np.empty(batch.num_rows, dtype=RECORD)
            for name in ("at_ns", "event", "amount"):
                records[name] = ints(batch[name])
            assets = _codes(batch["asset"], codes)
            records["asset"], records["kind"] = assets, _codes(batch["kind"], self.kinds)
            for side in ("debit", "credit"):
                records[side] = pairs[_codes(batch[side], names), assets]
            yield records


RUNS = Path("runs")
"""Where runs are written by default, and where a bare name is looked up."""


def runs_at(path: Path) -> list[Path]:
    """The runs that a path means: itself, all right below it, or by name, first digits or `latest` below its parent.

    A bare word that means nothing in the working directory is looked up in `runs`.
    """
    found = _runs_at(path)
    return found if found or path.parent != Path() or path.exists() else _runs_at(RUNS / path)


def _runs_at(path: Path) -> list[Path]:
    if (path / "manifest.json").is_file():
        return [path]
    if path.is_dir():
        return runs_below(path)
    named = names_in(path.parent).get(path.name)
    if named and (path.parent / named / "manifest.json").is_file():
        return [path.parent / named]
    if path.name == LATEST:
        return sorted(runs_below(path.parent), key=lambda each: (each / "manifest.json").stat().st_mtime_ns)[-1:]
    return runs_below(path.parent, path.name)


def runs_below(parent: Path, start: str = "") -> list[Path]:
    """The folders of runs right below a directory, sorted, whose names begin so."""
    found = (each.parent for each in parent.glob(f"{escape(start)}*/manifest.json"))
    return sorted(each for each in found if not each.name.startswith("."))


def only_run(path: Path) -> Path:
    """The one run that a path or a bare word means; raises `RunError` where it means several, or a word means none."""
    runs = runs_at(path)
    if len(runs) > 1:
        known = ", ".join(each.name[:8] for each in runs[:8]) + (", ..." if len(runs) > 8 else "")
        place = path if path.is_dir() else path.parent
        raise RunError(
            f"{path}: not a finished run but {len(runs)} of them; expected the folder of one, {place / LATEST}, or one "
            f"of {known}"
        )
    names = names_in(path.parent) or (names_in(RUNS) if path.parent == Path() else {})
    if not runs and names and not path.exists():
        raise RunError(f"{path}: no run of this name or digest; expected one of {', '.join(names)}, or {LATEST}")
    return runs[0] if runs else path


def argument_for(folder: Path) -> str:
    """What a command takes for the folder of a run, as short as it can be: its name, or its digest's first digits."""
    names = [name for name, digest in names_in(folder.parent).items() if digest == folder.name]
    short = names[0] if names else folder.name[:8] if DIGEST.fullmatch(folder.name) else folder.name
    return short if folder.parent == RUNS else str(folder.parent / short)


def remove(folder: Path) -> None:
    """Delete the folder of a run and its names; raises `RunError`. It is gone at once, however long that takes."""
    Folder(folder)
    parent, digest = folder.parent, folder.name
    aside = parent / f".{digest[:16]}.deleted"
    try:
        folder.rename(aside)
        shutil.rmtree(aside)
    except OSError as error:
        raise RunError(f"{folder}: not removable ({error.strerror})") from None
    for name, each in names_in(parent).items():
        if each == digest:
            forget(parent, name)


def among(column: pa.Array, names: Collection[str]) -> Flags:
    """Which values of a text column are among these names."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    known = np.array([*(name in names for name in coded.dictionary.to_pylist()), False])
    found: Flags = known[ints(coded.indices)]
    return found


def ints(column: pa.Array) -> Ints:
    """A column of integers as an array, -1 for null."""
    filled = column.fill_null(-1) if column.null_count else column
    return filled.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _codes(names: pa.Array, known: Sequence[str]) -> Ints:
    """The place of each name in `known`, -1 for a name that is not in it; each name is looked up once."""
    coded = names if pa.types.is_dictionary(names.type) else names.dictionary_encode()
    places = [known.index(name) if name in known else -1 for name in coded.dictionary.to_pylist()]
    found: Ints = np.array([*places, -1])[ints(coded.indices)]
    return found
