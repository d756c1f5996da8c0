"""The command `new`: texts to begin with, of a scenario for a coin, of a strategy and of a venue with their tests.

The texts lie in `new/`, with `$names` for what is filled in. A scenario names series of the store, and the commands
that fetch them; for `EMBEDDED` it reads the data that ship.
"""

import builtins
import importlib.util
import json
import keyword
import re
import shlex
import tomllib
from collections.abc import Mapping
from datetime import date
from importlib.resources import files
from pathlib import Path
from string import Template

import click
from attrs import evolve, frozen

import framework
from framework.command_line.options import DATE
from framework.data.origins import commands
from framework.errors import TemplateError
from framework.support.suggestions import closest
from framework.support.text import say

LONGS = ("asgard",)
"""Venues that can hold the long leg of a new scenario."""
SHORTS = ("drift", "hyperliquid")
"""Venues that can hold the short one."""
COIN = re.compile(r"k?[A-Z][A-Z0-9]{0,9}")
"""Codes of coins as Hyperliquid writes them: `ETH`, or `kBONK` for a thousand of them."""
MODULE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
"""Names of modules as everybody writes them."""
EMBEDDED = "SOL"
"""The coin of which data ship with the project, and the days that they cover."""
FIRST, LAST = date(2024, 12, 31), date(2026, 2, 13)
RESERVES = {"BTC": "CBBTC", "ETH": "ETH", "SOL": "SOL"}
"""Coin -> Kamino's reserve in which it is lent, by a name that `carrybook fetch kamino` knows."""
LENDING = re.compile(r"(kamino(:[A-Za-z0-9]+)?|defillama):[A-Za-z0-9-]+")
"""Ids of series that have a lending rate."""


@click.group()
def new() -> None:
    """Write a new scenario, strategy or venue. A file that is there is never replaced."""


@new.command()
@click.option("--coin", required=True, help="Code of the coin, such as SOL or ETH.")
@click.option("--short", required=True, help="Venue that sells it short: hyperliquid or drift.")
@click.option("--long", default="asgard", show_default=True, help="Venue that holds it.")
@click.option("--from", "first", type=DATE, help="First day, in UTC; data of the days are fetched, for SOL too.")
@click.option("--to", "last", type=DATE, help="Last day, in UTC.")
@click.option("--lending", help="Series of the coin's lending rate, where the project knows none: kamino:RESERVE.")
@click.option("--csv", "own", type=click.Path(path_type=Path), help="A CSV file of one's own with all that is needed.")
@click.option("--column", "columns", multiple=True, metavar="OURS=THEIRS", help="What a column of that file is.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write, or the directory for it.")
def scenario(
    coin: str,
    short: str,
    long: str,
    first: date | None,
    last: date | None,
    lending: str | None,
    own: Path | None,
    columns: tuple[str, ...],
    out: Path | None,
) -> None:
    """Write a scenario that is long of a coin at one venue and short of it at another.

    With --csv it reads prices, funding and rates from that file, and has been tried on it.
    """
    days = {"first": first, "last": last}
    if own is None and columns:
        raise TemplateError("--column: says what a column of a file is; expected --csv FILE with it")
    if own is not None:
        if lending:
            raise TemplateError("--lending: names a series of the store; expected it without --csv")
        pages = own_scenario(coin, long, short, own, dict(map(_pair, columns)), **days)
    else:
        pages = new_scenario(coin, long, short, **days, lending=lending)
    directory = out or Path()
    if not directory.is_dir():
        ((_, text),) = pages.texts.items()
        pages = evolve(pages, texts={directory.name: text})
        directory = directory.parent
    (path,) = write(pages, directory)
    say(f"Wrote {path}")
    for note in pages.notes:
        say(f"Note: {note}")
    for command in pages.fetches:
        say(f"Fetch its data: {command}")
    data = f" --data {shlex.quote(str(own.parent))}" if own else ""
    say(f"Run it: carrybook run {path}{data}")


@new.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), default=Path(), help="Directory to write to.")
def strategy(name: str, out: Path) -> None:
    """Write a strategy as module NAME, with a test and a scenario that uses it."""
    _write_module(name, new_strategy(name), out)


@new.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), default=Path(), help="Directory to write to.")
def venue(name: str, out: Path) -> None:
    """Write a venue as module NAME, with a test and a scenario that uses it."""
    _write_module(name, new_venue(name), out)


def _write_module(name: str, pages: "Pages", out: Path) -> None:
    """Write a module with its test and its scenario, and say what to do with them."""
    paths = write(pages, out)
    say(f"Wrote {', '.join(map(str, paths))}")
    go = "" if out == Path() else f"cd {out} && "
    say(f"Test it: {go}python -m pytest -q test_{name}.py{_needed()}")
    say(f"Run it: {go}carrybook run {name}.toml")


@frozen(kw_only=True)
class Pages:
    """What is to be written: name of a file -> its text; `fetches` are the commands that fetch a scenario's data.

    `notes` are what its author has to know.
    """

    texts: Mapping[str, str]
    fetches: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def new_scenario(
    coin: str, long: str, short: str, *, first: date | None = None, last: date | None = None, lending: str | None = None
) -> Pages:
    """A scenario that is long of `coin` at one venue and short of it at another; raises `TemplateError`.

    It names series of the store: `lending` where the project does not know that of the coin. For the coin of which data
    ship with the project it runs at once on those, unless days or a series are given.
    """
    words = _words(coin, long, short)
    name = words["name"]
    fetches: tuple[str, ...] = ()
    if coin == EMBEDDED and not (first or last or lending):
        market = _shipped()
    else:
        days = _days(first or FIRST, last or LAST)
        words |= {"lending": _lending(coin, lending), "funding": _funding(coin, short)}
        series = (f"hyperliquid:{coin}:1d", words["funding"], words["lending"], "kamino:USDC")
        fetches = tuple(commands(series, days=days))
        said = "".join(f"#   {line}\n" for line in fetches)
        market = filled("stored_market.toml", **words, first=str(days[0]), last=str(days[1]), commands=said.rstrip())
    return Pages(texts={f"{name}.toml": filled("scenario.toml", **words, market=market)}, fetches=fetches)


def own_scenario(
    coin: str,
    long: str,
    short: str,
    file: Path,
    columns: Mapping[str, str],
    *,
    first: date | None = None,
    last: date | None = None,
) -> Pages:
    """The same on a CSV file of one's own, which has been tried on it; raises `CarrybookError` for what is missing.

    `columns` are our names and the file's, where those do not say what they are.
    """
    from framework.assembly import assemble  # noqa: PLC0415  (pandas, which other templates do without)
    from framework.data.own import in_place  # noqa: PLC0415
    from framework.scenario import Scenario  # noqa: PLC0415

    words = _words(coin, long, short)
    rates = (f"{short}_funding_rate", f"{coin.lower()}_lending_apy", "usdc_borrowing_apy")
    found = in_place(file, ("open", "high", "low", "close", *rates), columns)
    days = _days(first or found.first, last or found.last)
    named = "\n".join(f"{ours} = {json.dumps(theirs)}" for ours, theirs in found.columns.items())
    market = filled(
        "own_market.toml", first=str(days[0]), last=str(days[1]), file=json.dumps(found.file), interval=found.interval,
        time=json.dumps(found.time), columns=named,
    )  # fmt: skip
    text = filled("scenario.toml", **words, market=market)
    label = assemble(Scenario.of(tomllib.loads(text)), file.parent).market.label
    if label.startswith("IMPLAUSIBLE DATA (error)"):
        raise TemplateError(f"{label}; nothing was written")
    return Pages(texts={f"{words['name']}.toml": text}, notes=tuple(filter(None, (label,))))


def _pair(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not (ours and equals and theirs):
        raise TemplateError(f"--column {text}: expected OURS=THEIRS, such as hyperliquid_funding_rate=funding")
    return ours, theirs


def _days(first: date, last: date) -> tuple[date, date]:
    if last < first:
        raise TemplateError(f"--to {last}: before --from {first}; expected a day on or after it")
    return first, last


def _words(coin: str, long: str, short: str) -> dict[str, str]:
    """What a scenario's text is filled with; raises `TemplateError` for a coin or a venue that cannot be."""
    if not COIN.fullmatch(coin):
        hint = f"; did you mean {coin.upper()}?" if COIN.fullmatch(coin.upper()) else ""
        raise TemplateError(f"--coin {coin}: expected the code of a coin in capitals, such as ETH{hint}")
    for option, venue, known in (("--long", long, LONGS), ("--short", short, SHORTS)):
        if venue not in known:
            raise TemplateError(f"{option} {venue}: expected {' or '.join(known)}{_close(venue, known)}")
    name = f"{coin.lower()}_{long}_{short}"
    words = {"coin": coin, "small": coin.lower(), "long": long, "short": short, "name": name}
    return words | {"Long": long.capitalize(), "Short": short.capitalize()}


OTHER_LEG = "hyperliquid"
"""The venue of the short beside a venue of one's own."""


def new_strategy(name: str) -> Pages:
    """A strategy as module `name`, with a test and a scenario; raises `TemplateError` for a name that cannot be one."""
    return _pages(name, "strategy")


def new_venue(name: str) -> Pages:
    """A venue as module `name`, with a test and a scenario; raises `TemplateError` for a name that cannot be one."""
    if name == OTHER_LEG:
        raise TemplateError(f"{name!r} is the short of the scenario that is written; expected another name")
    return _pages(name, "venue")


def filled(file: str, /, **words: str) -> str:
    """One of the texts to begin with, by the name of its file, with what is to be filled in."""
    text = files(__package__).joinpath("new", f"{file}.template").read_text(encoding="utf-8")
    return Template(text).substitute(words)


def _shipped() -> str:
    """The market of the data that ship."""
    return filled("shipped_market.toml", first=str(FIRST), last=str(LAST))


def _pages(name: str, kind: str) -> Pages:
    if not MODULE.fullmatch(name) or keyword.iskeyword(name):
        near = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).strip("_").lower()
        hint = f"; did you mean {near}?" if MODULE.fullmatch(near) and near != name else ""
        raise TemplateError(f"{name!r} is no name of a module; expected words such as funding_watch{hint}")
    cls = "".join(word.capitalize() for word in name.split("_"))
    if cls in framework.__all__ or hasattr(builtins, cls):
        raise TemplateError(f"{name!r} makes a class {cls}, which is there already; expected another name")
    words = {"name": name, "Class": cls, "Title": name.replace("_", " ").capitalize(), "market": _shipped()}
    return Pages(
        texts={
            f"{name}.py": filled(f"{kind}.py", **words),
            f"test_{name}.py": filled(f"test_{kind}.py", **words),
            f"{name}.toml": filled(f"{kind}.toml", **words),
        }
    )


def write(pages: Pages, directory: Path) -> list[Path]:
    """Write all pages, or none: nothing that is there is ever replaced. Raises `TemplateError`."""
    paths = [directory / name for name in pages.texts]
    for path in paths:
        if path.exists() or path.is_symlink():
            raise TemplateError(f"{path}: there already; expected a name that is free")
        module = path.stem
        if path.suffix == ".py" and importlib.util.find_spec(module) is not None:
            raise TemplateError(f"{path}: {module} is the name of another module already; expected one that is free")
    written: list[Path] = []
    made = not directory.exists()
    try:
        if made:
            directory.mkdir()
        for path, text in zip(paths, pages.texts.values(), strict=True):
            with path.open("x") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        if made and directory.is_dir():
            directory.rmdir()
        raise TemplateError(f"{error.filename or directory}: not writable ({error.strerror})") from None
    return paths


def _lending(coin: str, given: str | None) -> str:
    """The series of what the coin earns: the one that was given, or the one that the project knows."""
    if given is None:
        if coin not in RESERVES:
            raise TemplateError(
                f"--coin {coin}: its lending rate is not known here, as are those of {', '.join(RESERVES)}; "
                "expected --lending with a series such as kamino:RESERVE or defillama:POOL"
            )
        return f"kamino:{RESERVES[coin]}"
    if not LENDING.fullmatch(given):
        raise TemplateError(f"--lending {given}: expected a series such as kamino:RESERVE or defillama:POOL")
    return given


def _funding(coin: str, short: str) -> str:
    """The series of what the short is paid; Drift counts in millions what Hyperliquid counts in thousands."""
    if short == "hyperliquid":
        return f"hyperliquid:{coin}:funding"
    market = f"1M{coin[1:]}" if coin.startswith("k") else coin
    return f"drift:{market}-PERP:funding"


def _close(word: str, known: tuple[str, ...]) -> str:
    hint = closest(word, known)
    return f"; {hint}" if hint else ""


def _needed() -> str:
    """What the test needs that is not there."""
    return "" if importlib.util.find_spec("pytest") else "  (needs pytest, which is in the extra: pip install '.[all]')"
