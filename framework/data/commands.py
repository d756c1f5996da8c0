"""The commands for market data: fetch it into the store, and list, show and check what is there."""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from framework.command_line.dates import DATE, check_days
from framework.support.drafts import clear, clear_of
from framework.support.extras import need_extra
from framework.support.text import counted, say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from framework.data.fetching.feed import Feed, Fetched
    from framework.data.rows import Rows
    from framework.data.store import Store

INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d")
HOLES_TOLD = 3


@click.group()
def fetch() -> None:
    """Fetch market data into the store. Started again, it asks only for what is missing."""
    need_extra("fetching", "fetch", "filelock", "httpx2", "tenacity")


def _window(command: Callable[..., None]) -> Callable[..., None]:
    """The options that all sources share."""
    for option in reversed(
        (
            click.option("--from", "since", type=DATE, required=True, help="First day, in UTC."),
            click.option("--to", "until", type=DATE, help="Last day, in UTC; without it, until now."),
            click.option("--base-url", help="Another host; or set CARRYBOOK_BASE_URL_<SOURCE>."),
            click.option("--again", is_flag=True, help="Ask for everything again, and compare."),
            click.option("--as-given", is_flag=True, help="Take values whose units or signs look wrong."),
            click.option(
                "--wait-scale",
                type=click.FloatRange(min=0.0),
                default=1.0,
                help="Scale of waits; less than 1 for a host of one's own.",
            ),
            click.option("--json", "as_json", is_flag=True, help="Print one JSON object per series."),
        )
    ):
        command = option(command)
    return command


@fetch.command()
@click.option("--coin", default="SOL", show_default=True)
@click.option("--interval", type=click.Choice(INTERVALS), default="1h", show_default=True, help="Length of a candle.")
@_window
def hyperliquid(coin: str, interval: str, **window: Any) -> None:  # noqa: ANN401  (what _window adds)
    """Candles and hourly funding of a COIN's perpetual."""
    from framework.data.fetching.hyperliquid import Candles, Funding  # noqa: PLC0415

    _fetch("hyperliquid", (Candles(coin=coin, interval=interval), Funding(coin=coin)), **window)


@fetch.command()
@click.option("--market", default="SOL-PERP", show_default=True)
@_window
def drift(market: str, **window: Any) -> None:  # noqa: ANN401
    """Hourly funding of a perpetual MARKET, up to 2026-04-01, when the venue was drained."""
    from framework.data.fetching.drift import Funding  # noqa: PLC0415

    _fetch("drift", (Funding(market=market),), **window)


@fetch.command()
@click.option("--pool", "pools", multiple=True, default=("kamino-sol", "kamino-usdc"), show_default=True)
@_window
def defillama(pools: tuple[str, ...], **window: Any) -> None:  # noqa: ANN401
    """Lending and borrowing rates of POOLs, one sample a day."""
    from framework.data.fetching.defillama import Lending  # noqa: PLC0415

    _fetch("defillama", [Lending(pool=pool) for pool in pools], **window)


@fetch.command()
@click.option("--reserve", "reserves", multiple=True, default=("SOL", "USDC"), show_default=True)
@click.option("--market", help="Address of a lending market; without it, the main one.")
@_window
def kamino(reserves: tuple[str, ...], market: str | None, **window: Any) -> None:  # noqa: ANN401
    """Hourly lending and borrowing rates of RESERVEs, by token or address."""
    from framework.data.fetching.kamino import MARKET, Reserve  # noqa: PLC0415

    _fetch("kamino", [Reserve(reserve=reserve, market=market or MARKET) for reserve in reserves], **window)


@fetch.command()
@_window
def jito(**window: Any) -> None:  # noqa: ANN401
    """The stake pool's rate, SOL per jitoSOL."""
    from framework.data.fetching.jito import PoolRate  # noqa: PLC0415

    _fetch("jito", (PoolRate(),), **window)


@fetch.command()
@click.option("--symbol", default="SOLUSDT", show_default=True)
@click.option("--interval", type=click.Choice(INTERVALS), default="1h", show_default=True, help="Length of a candle.")
@_window
def binance(symbol: str, interval: str, **window: Any) -> None:  # noqa: ANN401
    """Candles and every payment of funding of a perpetual."""
    from framework.data.fetching.binance import Candles, Funding  # noqa: PLC0415

    _fetch("binance", (Candles(symbol=symbol, interval=interval), Funding(symbol=symbol)), **window)


@click.group()
def data() -> None:
    """Look at the store of market data. `check` and `gaps` take files as well."""


@data.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per series.")
def list_(as_json: bool) -> None:
    """All series of the store. The exit code is 2 if there are files that are none."""
    from framework.data.store import Store  # noqa: PLC0415
    from framework.errors import StoreError  # noqa: PLC0415
    from framework.market import utc  # noqa: PLC0415
    from framework.support.grid import Grid, terminal  # noqa: PLC0415

    store = Store.default()
    grid = Grid(f"Series in {store.root}", ("<series", "samples", "<first", "<last", "<columns"))
    strange: list[str] = []
    for series in store.ids():
        try:
            kind, samples = store.read(series)
        except StoreError as error:
            strange.append(str(error))
            continue
        first, last = (utc(int(samples.time_ns[index])) for index in (0, -1))
        if as_json:
            ends = {"first": first.isoformat(), "last": last.isoformat()}
            say(json.dumps({"series": series, "samples": len(samples), **ends, "units": kind.units}))
        columns = ", ".join(f"{name} ({unit})" for name, unit in kind.units.items())
        grid.add(series, f"{len(samples):,}", f"{first:%Y-%m-%d %H:%M}", f"{last:%Y-%m-%d %H:%M}", columns)
    if not as_json:
        grid.show(terminal())
    if strange:
        raise StoreError("; ".join(strange))


@data.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--kind", "what", type=click.Choice(["prices", "funding", "rates"]), required=True, help="What it has.")
@click.option("--coin", required=True, help="Code of the coin, such as ETH; of a rate, what is lent.")
@click.option("--unit", metavar="fraction|percent|bps", help="Unit of funding or of a rate; prices are in usd.")
@click.option("--time", "time_column", help="Column of the times, where its name does not say so.")
@click.option("--column", help="Column of the rate, where its name does not say so.")
@click.option("--interval", type=click.Choice(INTERVALS), help="How often samples come, where the file has gaps.")
@click.option("--yes", is_flag=True, help="Store it without asking.")
def import_(
    file: Path,
    what: Any,  # noqa: ANN401  (one of the choices)
    coin: str,
    unit: str | None,
    time_column: str | None,
    column: str | None,
    interval: str | None,
    yes: bool,
) -> None:
    """Take a FILE of one's own into the store: CSV, Parquet or Feather, after a preview of what was understood.

    Prices are in USD with open, high, low and close; funding is that of each sample, above 0 where longs pay; rates are
    per year.
    """
    from framework.data.own import scenario_lines, understand  # noqa: PLC0415
    from framework.data.plausibility import Level  # noqa: PLC0415
    from framework.data.store import Store  # noqa: PLC0415
    from framework.errors import MarketError  # noqa: PLC0415
    from framework.market import utc  # noqa: PLC0415
    from framework.support.grid import Grid, terminal  # noqa: PLC0415

    found = understand(file, what, coin, unit=unit, time=time_column, column=column, interval=interval)
    samples, kind, console = found.samples, found.kind, terminal()
    first, last = (f"{utc(int(samples.time_ns[at])):%Y-%m-%d %H:%M}" for at in (0, -1))
    grid = Grid(f"{found.file} as {kind.series}", ("ours", "<column", "<unit", "first", "last", "least", "largest"))
    grid.add("time", found.time, f"every {kind.every_ns / 3.6e12:g} h, UTC", first, last, "", "")
    for name, values in samples.columns.items():
        told = (f"{each:.6g}" for each in (values[0], values[-1], values.min(), values.max()))
        grid.add(name, found.columns[name], kind.units[name], *told)
    grid.note = "; ".join((f"{len(samples):,} rows", *found.notes))
    grid.show(console)
    error = next((each for each in found.findings if each.level is Level.ERROR and each.check != "gap"), None)
    for each in [each for each in found.findings if each is not error][:5]:
        say(f"{each.level}: {each.check}: {each.words}", err=True)
    if error:
        raise MarketError(f"{file}: {error.words}; nothing was stored")
    need_extra("importing", "fetch", "filelock")
    if not yes:
        click.confirm(f"Store it as {kind.series}?", abort=True, err=True)
    store = Store.default()
    _clear(store, kind.series)
    with store.lock(kind.series):
        added = store.append(kind, samples, found.asked())
    say(f"{kind.series}: {added:,} new samples")
    say(f"In a scenario, below [market]: {scenario_lines([kind])[0]}")


@data.command()
@click.argument("series")
@click.option("--from", "since", type=DATE, help="First day; rows are counted from it, as a scenario counts them.")
@click.option("--to", "until", type=DATE, help="Last day.")
@click.option("--rows", type=click.IntRange(min=1), default=3, show_default=True, help="Rows of head and tail.")
def show(series: str, since: date | None, until: date | None, rows: int) -> None:
    """What a SERIES is, where it came from, and its first and last rows."""
    from framework.clock import NS_PER_DAY, midnight_ns  # noqa: PLC0415
    from framework.data.store import Store  # noqa: PLC0415
    from framework.errors import StoreError  # noqa: PLC0415
    from framework.market import utc  # noqa: PLC0415
    from framework.support.grid import Grid, terminal  # noqa: PLC0415

    check_days(since, until)
    store = Store.default()
    kind, samples = store.read(series)
    first_ns = midnight_ns(since) if since else int(samples.time_ns[0])
    last_ns = midnight_ns(until) + NS_PER_DAY if until else int(samples.time_ns[-1]) + 1
    chosen = samples.within(first_ns, last_ns)
    if not len(chosen):
        days = " ".join(f"{word} {day}" for word, day in (("from", since), ("to", until)) if day)
        known = " to ".join(f"{utc(int(samples.time_ns[at])).date()}" for at in (0, -1))
        raise StoreError(f"{series}: no samples {days}; expected days of the series, {known}")
    say(f"{series}: {kind.what}")
    say(f"{len(chosen):,} samples, digest {chosen.digest}")
    grid = Grid("Samples", ("row", "<time", *(f"{name}, {unit}" for name, unit in kind.units.items())))
    count = len(chosen)
    for index in range(count):
        if index < rows or index >= count - rows:
            cells = (f"{chosen.columns[name][index]:.10g}" for name in kind.units)
            grid.add(str(index + 1), utc(int(chosen.time_ns[index])).isoformat(), *cells)
    grid.show(terminal())
    asked = Grid("Requests", ("<at", "samples", "<first", "<last", "<digest of the reply", "<request"))
    lines = store.asked(series)
    for each in lines if len(lines) <= 2 * rows else [*lines[:rows], *lines[-rows:]]:
        asked.add(each.at, str(each.samples), each.first or "", each.last or "", each.sha256[:16], each.request)
    if len(lines) > 2 * rows:
        asked.note = f"{len(lines) - 2 * rows} more between them"
    asked.show(terminal())
    withdrawn = Grid("Withdrawn", ("<at", "samples", "<first", "<last", "<reason", "<kept in"))
    for out in store.withdrawn(series):
        withdrawn.add(out.at, str(out.samples), out.first, out.last, out.withdrawn, out.kept)
    if withdrawn.rows:
        withdrawn.show(terminal())


@data.command()
@click.argument("series")
@click.option("--from", "since", type=DATE, required=True, help="First day, in UTC.")
@click.option("--to", "until", type=DATE, required=True, help="Last day, in UTC.")
@click.option("--reason", required=True, help="Why; it stays in the provenance of the series.")
def withdraw(series: str, since: date, until: date, reason: str) -> None:
    """Take days out of a SERIES, so that they can be fetched again. The samples are kept in a file of their own."""
    from framework.clock import NS_PER_DAY, midnight_ns  # noqa: PLC0415
    from framework.data.store import Store  # noqa: PLC0415

    check_days(since, until)
    need_extra("withdrawing", "fetch", "filelock")
    store = Store.default()
    with store.lock(series):
        out = store.withdraw(series, midnight_ns(since), midnight_ns(until) + NS_PER_DAY, reason)
    say(f"{series}: {out.samples:,} samples withdrawn, {out.first} to {out.last}, kept in {store.root / out.kept}")


@data.command()
@click.argument("what")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per finding.")
@click.option("--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Findings of each check.")
def check(what: str, as_json: bool, limit: int) -> None:
    """Everything wrong or unlikely in a series of the store or a file, errors first.

    An error is wrong, or is refused by a run; a warning may be right. The exit code is 1 if anything is found.
    """
    from framework.data.inspection import findings  # noqa: PLC0415
    from framework.data.plausibility import Level  # noqa: PLC0415

    samples = _samples(what)
    found: dict[tuple[Level, str], list[str]] = {}
    for each in findings(samples):
        found.setdefault((each.level, each.check), []).append(each.words)
        if as_json:
            say(json.dumps({"level": each.level, "check": each.check, "finding": each.words}))
    if not as_json:
        counts = {level: sum(len(words) for (at, _), words in found.items() if at is level) for level in Level}
        levels = f" ({', '.join(counted(count, level) for level, count in counts.items())})" if found else ""
        total = counted(sum(counts.values()), "finding")
        say(f"{samples.name}: {counted(len(samples.time_ns), 'sample')}, {total}{levels}")
        for (level, name), words in sorted(found.items(), key=lambda each: list(Level).index(each[0][0])):
            for line in words[:limit]:
                say(f"  {level}: {name}: {line}")
            if len(words) > limit:
                say(f"  {level}: {name}: {len(words) - limit:,} more")
    sys.exit(1 if found else 0)


@data.command()
@click.argument("what")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per hole.")
def gaps(what: str, as_json: bool) -> None:
    """The holes of a series of the store or a file, the longest first."""
    from framework.market import utc  # noqa: PLC0415

    samples = _samples(what)
    holes = sorted(samples.holes(), key=lambda hole: (hole.after_ns - hole.before_ns, hole.after_ns))
    if not as_json:
        missing = sum(hole.missing for hole in holes)
        say(f"{samples.name}: {len(samples.time_ns):,} samples, {len(holes):,} holes, {missing:,} missing")
    for hole in holes:
        if as_json:
            ends = {"after": utc(hole.after_ns).isoformat(), "before": utc(hole.before_ns).isoformat()}
            say(json.dumps(ends | {"missing": hole.missing}))
        else:
            say(f"  {hole}")


def _samples(what: str) -> "Rows":
    """A series of the store, or a file, by what it looks like."""
    from framework.data.rows import of_file, of_store  # noqa: PLC0415
    from framework.data.store import Store  # noqa: PLC0415

    return of_file(Path(what)) if what.endswith((".csv", ".json")) else of_store(Store.default(), what)


def _fetch(
    source: str,
    feeds: "Sequence[Feed]",
    *,
    since: date,
    until: date | None,
    base_url: str | None,
    again: bool,
    as_given: bool,
    wait_scale: float,
    as_json: bool,
) -> None:
    from rich.progress import Progress  # noqa: PLC0415

    from framework.clock import NS_PER_DAY, midnight_ns  # noqa: PLC0415
    from framework.data.fetching.client import Client  # noqa: PLC0415
    from framework.data.fetching.feed import Fetch  # noqa: PLC0415
    from framework.data.store import Store  # noqa: PLC0415
    from framework.support.grid import progress_terminal  # noqa: PLC0415

    host = base_url or os.environ.get(f"CARRYBOOK_BASE_URL_{source.upper()}")
    if wait_scale < 1 and not host:
        words = f"--wait-scale {wait_scale:g}: {source}'s own limits hold; expected 1 or more, or --base-url"
        raise click.ClickException(words)
    store, now_ns = Store.default(), time.time_ns()
    first_ns = midnight_ns(since)
    end_ns = midnight_ns(until) + NS_PER_DAY if until else now_ns
    with Progress(console=progress_terminal(), disable=not sys.stderr.isatty()) as progress:
        for feed in feeds:
            _clear(store, feed.kind.series)
            bar = progress.add_task(feed.kind.series, total=1.0)
            with Client(host=(host or feed.host).rstrip("/"), pace=feed.pace, wait_scale=wait_scale) as client:
                done = Fetch(
                    start_ns=first_ns,
                    end_ns=end_ns,
                    now_ns=now_ns,
                    again=again,
                    as_given=as_given,
                    progress=partial(_advance, progress, bar),
                ).run(feed, store, client)
            _tell(done, as_json)


def _clear(store: "Store", series: str) -> None:
    """Remove what killed commands have left unfinished of a series, and beside it what is older than a day."""
    with store.lock(series):
        for place in (store, store.quarantine):
            clear_of(place.path(series))
            clear(place.path(series).parent)


def _advance(progress: "Progress", bar: "TaskID", share: float) -> None:
    progress.update(bar, completed=share)


def _tell(done: "Fetched", as_json: bool) -> None:
    if as_json:
        counts = {"series": done.series, "added": done.added, "requests": done.requests}
        say(json.dumps(counts | {"holes": [str(hole) for hole in done.holes], "note": done.note}))
        return
    say(f"{done.series}: {done.added:,} new samples, {done.requests:,} requests")
    for hole in done.holes[:HOLES_TOLD]:
        say(f"  missing: {hole}")
    if done.note:
        say(f"  {done.note}")
    if len(done.holes) > HOLES_TOLD:
        say(f"  {len(done.holes) - HOLES_TOLD} more holes; carrybook data gaps {done.series} names them")


COMMANDS = (data, fetch)
