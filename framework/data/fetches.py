"""The command `fetch`: market data from their sources into the store."""

import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from rich.progress import Progress, TaskID

from framework.clock import INTERVALS_NS, NS_PER_DAY, midnight_ns
from framework.command_line.options import DATE, together
from framework.data.store import Store
from framework.support.drafts import clear, clear_of
from framework.support.extras import need_extra
from framework.support.grid import progress_terminal
from framework.support.text import say

if TYPE_CHECKING:
    from framework.data.fetching.feed import Feed, Fetched

HOLES_TOLD = 3


@click.group()
def fetch() -> None:
    """Fetch market data into the store. Started again, it asks only for what is missing."""
    need_extra("fetching", "fetch", "filelock", "httpx2", "tenacity")


WINDOW = together(
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
"""The options that all sources share."""
INTERVAL = click.option(
    "--interval", type=click.Choice([*INTERVALS_NS]), default="1h", show_default=True, help="Length of a candle."
)


@fetch.command()
@click.option("--coin", default="SOL", show_default=True)
@INTERVAL
@WINDOW
def hyperliquid(coin: str, interval: str, **window: Any) -> None:  # noqa: ANN401  (what WINDOW adds)
    """Candles and hourly funding of a COIN's perpetual."""
    from framework.data.fetching.hyperliquid import Candles, Funding  # noqa: PLC0415

    _fetch("hyperliquid", (Candles(coin=coin, interval=interval), Funding(coin=coin)), **window)


@fetch.command()
@click.option("--market", default="SOL-PERP", show_default=True)
@WINDOW
def drift(market: str, **window: Any) -> None:  # noqa: ANN401
    """Hourly funding of a perpetual MARKET, up to 2026-04-01, when the venue was drained."""
    from framework.data.fetching.drift import Funding  # noqa: PLC0415

    _fetch("drift", (Funding(market=market),), **window)


@fetch.command()
@click.option("--pool", "pools", multiple=True, default=("kamino-sol", "kamino-usdc"), show_default=True)
@WINDOW
def defillama(pools: tuple[str, ...], **window: Any) -> None:  # noqa: ANN401
    """Lending and borrowing rates of POOLs, one sample a day."""
    from framework.data.fetching.defillama import Lending  # noqa: PLC0415

    _fetch("defillama", [Lending(pool=pool) for pool in pools], **window)


@fetch.command()
@click.option("--reserve", "reserves", multiple=True, default=("SOL", "USDC"), show_default=True)
@click.option("--market", help="Address of a lending market; without it, the main one.")
@WINDOW
def kamino(reserves: tuple[str, ...], market: str | None, **window: Any) -> None:  # noqa: ANN401
    """Hourly lending and borrowing rates of RESERVEs, by token or address."""
    from framework.data.fetching.kamino import MARKET, Reserve  # noqa: PLC0415

    _fetch("kamino", [Reserve(reserve=reserve, market=market or MARKET) for reserve in reserves], **window)


@fetch.command()
@WINDOW
def jito(**window: Any) -> None:  # noqa: ANN401
    """The stake pool's rate, SOL per jitoSOL."""
    from framework.data.fetching.jito import PoolRate  # noqa: PLC0415

    _fetch("jito", (PoolRate(),), **window)


@fetch.command()
@click.option("--symbol", default="SOLUSDT", show_default=True)
@INTERVAL
@WINDOW
def binance(symbol: str, interval: str, **window: Any) -> None:  # noqa: ANN401
    """Candles and every payment of funding of a perpetual."""
    from framework.data.fetching.binance import Candles, Funding  # noqa: PLC0415

    _fetch("binance", (Candles(symbol=symbol, interval=interval), Funding(symbol=symbol)), **window)


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
    from framework.data.fetching.client import Client  # noqa: PLC0415
    from framework.data.fetching.feed import Fetch  # noqa: PLC0415

    host = base_url or os.environ.get(f"CARRYBOOK_BASE_URL_{source.upper()}")
    if wait_scale < 1 and not host:
        words = f"--wait-scale {wait_scale:g}: {source}'s own limits hold; expected 1 or more, or --base-url"
        raise click.ClickException(words)
    store, now_ns = Store.default(), time.time_ns()
    first_ns = midnight_ns(since)
    end_ns = midnight_ns(until) + NS_PER_DAY if until else now_ns
    with Progress(console=progress_terminal(), disable=not sys.stderr.isatty()) as progress:
        for feed in feeds:
            clear_series(store, feed.kind.series)
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


def clear_series(store: Store, series: str) -> None:
    """Remove what killed commands have left unfinished of a series, and beside it what is older than a day."""
    with store.lock(series):
        for place in (store, store.quarantine):
            clear_of(place.path(series))
            clear(place.path(series).parent)


def _advance(progress: Progress, bar: TaskID, share: float) -> None:
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
