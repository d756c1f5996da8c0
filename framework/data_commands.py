"""The commands for market data: fetch it into the store, and list, show and check what is there."""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from framework.fetching.feed import Feed, Fetched

DAY = click.DateTime(formats=["%Y-%m-%d"])
INTERVALS = ("1m", "5m", "15m", "1h", "4h", "8h", "1d")
NS_PER_DAY = 86_400 * 10**9


@click.group()
def fetch() -> None:
    """Fetch market data into the store; started again, it asks only for what is missing."""


def _window(command: Callable[..., None]) -> Callable[..., None]:
    """The options that all sources share."""
    for option in reversed(
        (
            click.option("--from", "since", type=DAY, required=True, help="First day, in UTC."),
            click.option("--to", "until", type=DAY, help="Last day, in UTC; without it, until now."),
            click.option("--base-url", help="Another host; or set CARRYBOOK_BASE_URL_<SOURCE>."),
            click.option("--again", is_flag=True, help="Ask for everything again, and compare."),
            click.option("--as-given", is_flag=True, help="Take values whose units look wrong."),
            click.option("--haste", type=click.FloatRange(min=0.0), default=1.0, help="Scale of waits, with --base-url."),
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
    from framework.fetching.hyperliquid import Candles, Funding  # noqa: PLC0415

    _fetch("hyperliquid", (Candles(coin=coin, interval=interval), Funding(coin=coin)), **window)


def _fetch(
    source: str,
    feeds: "Sequence[Feed]",
    *,
    since: datetime,
    until: datetime | None,
    base_url: str | None,
    again: bool,
    as_given: bool,
    haste: float,
    as_json: bool,
) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    from framework.fetching.client import Client  # noqa: PLC0415
    from framework.fetching.feed import Fetch  # noqa: PLC0415
    from framework.store import Store  # noqa: PLC0415

    host = base_url or os.environ.get(f"CARRYBOOK_BASE_URL_{source.upper()}")
    if haste < 1 and not host:
        raise click.ClickException(f"--haste {haste:g}: {source}'s own limits hold; expected 1 or more, or --base-url")
    store, now_ns = Store.default(), time.time_ns()
    first_ns = _midnight_ns(since.date())
    end_ns = _midnight_ns(until.date()) + NS_PER_DAY if until else now_ns
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        for feed in feeds:
            bar = progress.add_task(feed.kind.series, total=1.0)
            with Client(host=(host or feed.host).rstrip("/"), pace=feed.pace, haste=haste) as client:
                done = Fetch(
                    start_ns=first_ns,
                    end_ns=end_ns,
                    now_ns=now_ns,
                    again=again,
                    as_given=as_given,
                    progress=lambda share, bar=bar: progress.update(bar, completed=share),
                ).run(feed, store, client)
            _tell(done, as_json)


def _tell(done: "Fetched", as_json: bool) -> None:
    if as_json:
        counts = {"series": done.series, "added": done.added, "requests": done.requests}
        click.echo(json.dumps(counts | {"holes": [str(hole) for hole in done.holes]}))
        return
    click.echo(f"{done.series}: {done.added:,} new samples, {done.requests:,} requests")
    for hole in done.holes:
        click.echo(f"  missing: {hole}")


def _midnight_ns(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9


COMMANDS = (fetch,)
