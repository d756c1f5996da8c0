"""The command `data`: list, show and check what is in the store of market data, and import and withdraw."""

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import click

from framework.clock import INTERVALS_NS, NS_PER_DAY, midnight_ns
from framework.command_line.options import DATE, check_days
from framework.data.fetches import clear_series
from framework.data.inspection import findings
from framework.data.plausibility import Level
from framework.data.rows import Rows, of_file, of_store
from framework.data.store import Store
from framework.errors import MarketError, StoreError
from framework.market import utc
from framework.support.extras import need_extra
from framework.support.grid import Grid, terminal
from framework.support.text import counted, say


@click.group()
def data() -> None:
    """Look at the store of market data. `check` and `gaps` take files as well."""


@data.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per series.")
def list_(as_json: bool) -> None:
    """All series of the store. The exit code is 2 if there are files that are none."""
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
@click.option(
    "--interval", type=click.Choice(list(INTERVALS_NS)), help="How often samples come, where the file has gaps."
)
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
    from framework.data.own import scenario_lines, understand  # noqa: PLC0415  (pandas, for this one alone)

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
    clear_series(store, kind.series)
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


def _samples(what: str) -> Rows:
    """A series of the store, or a file, by what it looks like."""
    return of_file(Path(what)) if what.endswith((".csv", ".json")) else of_store(Store.default(), what)
