"""The command `new`: texts to begin with, of a scenario for a coin, of a strategy and of a venue with their tests.

A scenario names series of the store, and the commands that fetch them; for `EMBEDDED` it reads the data that ship.
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
from pathlib import Path
from string import Template

import click
from attrs import evolve, frozen

import framework
from framework.command_line.dates import DATE
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

STORED = Template(
    """\
[market]
start = $first                # first and last day in UTC, both included
end = $last
prices = "hyperliquid:$coin:1d"     # its candles are the rows of the market

# All series are of the store (see docs/data.md), into which these commands fetch what it lacks:
$commands
[market.funding]
$short = "$funding"  # paid every hour; a row takes all that falls into it

[market.series]
${small}_lending_apy = { series = "$lending", joining = "mean", rates = "effective" }  # what the coin earns
usdc_borrowing_apy = { series = "kamino:USDC", joining = "mean", rates = "effective" }  # what the loan costs
"""
)

OWN = Template(
    """\
[market]
start = $first                # first and last day in UTC, both included
end = $last

[market.sources.own]              # read where it lies: carrybook run ... --data DIR names its directory
reader = "table"
file = $file
interval = "$interval"
time = $time

[market.sources.own.columns]      # our names and the file's; rates are fractions
$columns
"""
)

SHIPPED = f"""\
[market]
start = {FIRST}                # first and last day in UTC, both included
end = {LAST}
embedded = "sol_daily"            # synthetic rows, which ship with the project
"""

SCENARIO = Template(
    """\
# $coin long on $Long against a short on $Short; equity is levelled when a leg's effective leverage passes the trigger.
# Any key can be changed here, or for one run with --set KEY=VALUE.
name = "$name"
capital_usd = 10_000

$market
[rulebook]
class = "study"                   # simplified fees, margins and penalties; keys set under [venues.*] override them

[strategy]
class = "capital_rebalance"
long = "$long"
short = "$short"
leverage = 2.0                    # notional over equity of each leg at entry, above 1
trigger = 5.0                     # effective leverage that starts a transfer, or "never"

[venues.$long]
coin = "$coin"
lending_rate = "${small}_lending_apy"

[venues.$short]
coin = "$coin"
"""
)

STRATEGY = Template(
    '''\
"""$Title: a coin held long and sold short, closed and opened again when the short's leverage has passed a limit."""

from attrs import field, frozen, validators

from framework import Close, ConditionMet, Ended, LeverageAbove, Liquidated, Strategy
from strategies.pair import open_pair


@frozen(kw_only=True)
class $Class(Strategy):
    """Half of the equity behind each leg at `leverage`; closed and opened again when the short passes `limit`.

    The fields are the keys of `[strategy]` in a scenario.
    """

    long: str
    short: str
    leverage: float = field(validator=validators.gt(1))
    limit: float = field(validator=validators.gt(1))

    def conditions(self):
        """What wakes the strategy besides what venues do."""
        return (LeverageAbove(self.short, self.limit),)

    def on_start(self, view):
        """The first orders: all the capital is in the wallet."""
        yield from open_pair(view, self.long, self.short, self.leverage)

    def on_event(self, event, view):
        """The orders that an event provokes; `view` shows the effect of each before the next line runs."""
        if isinstance(event, ConditionMet | Liquidated | Ended):
            yield Close(self.long)
            yield Close(self.short)
        if isinstance(event, ConditionMet | Liquidated):
            yield from open_pair(view, self.long, self.short, self.leverage)
'''
)

STRATEGY_TEST = Template(
    '''\
"""$Title: one event and one view for its hooks, and its scenario for the books.

Change these values along with the fields.
"""

from pathlib import Path

from framework import Close, ConditionMet, Ended, LeverageAbove, Open, Scenario, Side, StillView, assemble, waterfall
from $name import $Class

STRATEGY = $Class(long="asgard", short="hyperliquid", leverage=2.0, limit=4.0)
VIEW = StillView(price=100.0, cash_usd=10_000.0)


def test_it_opens_both_legs():
    """Half of the cash behind the long; the short is offered what is left, which in a view that stands still is all."""
    assert list(STRATEGY.on_start(VIEW)) == [
        Open("asgard", Side.LONG, 100.0, 5_000.0),
        Open("hyperliquid", Side.SHORT, 100.0, 10_000.0),
    ]


def test_past_the_limit_it_closes_both_and_opens_them_again():
    """Two closings, then the orders of the start."""
    met = ConditionMet(event=1, at_ns=0, venue="hyperliquid", condition=LeverageAbove("hyperliquid", 4.0))
    closed = [Close("asgard"), Close("hyperliquid")]
    assert list(STRATEGY.on_event(met, VIEW)) == closed + list(STRATEGY.on_start(VIEW))


def test_at_the_end_it_closes_both():
    """And opens nothing."""
    ended = Ended(event=1, at_ns=0, venue="")
    assert list(STRATEGY.on_event(ended, VIEW)) == [Close("asgard"), Close("hyperliquid")]


def test_its_books_add_up():
    """Nothing is unexplained, and settled row by row the ledger is the same."""
    assembly = assemble(Scenario.load(Path(__file__).with_name("$name.toml")))
    run = assembly.simulation().run()
    assert waterfall(run).unexplained == 0
    assert assembly.simulation(rows_at_once=1).run().ledger.digest == run.ledger.digest
'''
)

STRATEGY_SCENARIO = Template(
    """\
# A scenario for $Class, which is found in the directory in which the command is started.
name = "$name"
capital_usd = 10_000

$market
[rulebook]
class = "study"                   # simplified fees, margins and penalties; keys set under [venues.*] override them

[strategy]
class = "$name:$Class"
long = "asgard"
short = "hyperliquid"
leverage = 2.0                    # notional over equity of each leg at entry, above 1
limit = 4.0                       # effective leverage of the short at which both legs are opened again

[venues.asgard]

[venues.hyperliquid]
"""
)


VENUE = Template(
    '''\
"""$Title: coins bought on a loan; below the maintenance margin the venue sells half of them."""

from attrs import field, frozen

from framework import InterestAccrued
from framework.venue import (
    CASH,
    USDC,
    Accrual,
    Dated,
    Venue,
    account,
    basis_points,
    check_open,
    formula,
    fraction,
    positive,
    token,
)


@frozen(kw_only=True)
class $Class(Venue):
    """A leveraged long of `coin`. The fee is basis points of what is traded, the loan grows at `borrowing_rate`.

    A liquidation costs `liquidation_fee` besides, a share of what is sold. A `Dated` rule may change with time.
    The fields are the keys of `[venues.$name]` in a scenario.
    """

    name: str
    coin: str = "SOL"
    fee_bps: float | Dated = field(default=10.0, validator=basis_points)
    maintenance_margin: float = field(default=0.1, validator=fraction)
    liquidation_fee: float = field(default=0.01, validator=fraction)
    borrowing_rate: str = "usdc_borrowing_apy"

    held = account("Assets:{venue}:Coins", token, floor=True, position=True)
    loan = account("Liabilities:{venue}:Loan", USDC, floor=True)
    traded = account("Equity:{venue}:Trading", token, bucket="execution")
    traded_usdc = account("Equity:{venue}:Trading", USDC, bucket="execution")
    interest = account("Expenses:{venue}:Interest", USDC, bucket="carry")
    fees = account("Expenses:{venue}:Fee", USDC, bucket="fees")
    penalties = account("Expenses:{venue}:LiquidationPenalty", USDC, bucket="liquidation_penalty")

    @formula
    def size(held):
        return held

    @formula
    def notional(held, mark):
        return held * mark

    @formula
    def equity(notional, loan):
        return notional + loan

    @formula
    def maintenance(notional, maintenance_margin):
        return notional * maintenance_margin

    @formula
    def liquidated(equity, maintenance, size):
        return (equity <= maintenance) & (size > 0)

    def accruals(self):
        """Interest on the loan, which grows by what it has cost."""
        yield Accrual(
            debit=self.interest, credit=self.loan, kind="interest", event=InterestAccrued,
            on=self.loan, basis="compounding", rate=self.borrowing_rate,
        )

    def open(self, order, book):
        """Buy coins: the funds pay for them first, the loan for the rest and for the fee."""
        check_open(book, order)
        coins, funds = positive(book, order, "size", self.held.asset), USDC.nearest(order.funds_usd)
        cost = USDC.nearest(order.size * book.price(self.coin))
        own = min(cost, funds)
        book.transfer(self.held, self.traded, coins, "trade")
        book.transfer(self.traded_usdc, CASH, own, "trade")
        book.transfer(self.traded_usdc, self.loan, cost - own, "trade")
        book.transfer(self.fees, self.loan, book.fee(USDC.units(cost), book.rule(self.fee_bps)), "fee")

    def close(self, order, book):
        """Sell all coins; what is not owed goes to the wallet."""
        self._sell(book[self.held], book)

    def liquidate(self, book):
        """Sell half of the coins, and the last one whole; the penalty is added to the loan."""
        coins = (book[self.held] + 1) // 2
        sold_usd = self.held.asset.units(coins) * book.price(self.coin)
        book.transfer(self.penalties, self.loan, USDC.nearest(sold_usd * self.liquidation_fee), "liquidation_penalty")
        self._sell(coins, book)

    def _sell(self, coins, book):
        """Repay the loan with what coins bring; the rest goes to the wallet."""
        proceeds = self.held.asset.worth(coins, book.price(self.coin))
        book.transfer(self.fees, self.loan, book.fee(USDC.units(proceeds), book.rule(self.fee_bps)), "fee")
        repaid = min(proceeds, -book[self.loan])
        book.transfer(self.traded, self.held, coins, "trade")
        book.transfer(self.loan, self.traded_usdc, repaid, "trade")
        book.transfer(CASH, self.traded_usdc, proceeds - repaid, "trade")

    def receive(self, book, source, amount, kind):
        """Repay the loan; more than is owed is rejected."""
        if amount > -book[self.loan]:
            book.reject(f"the loan is {-book[self.loan] / 1e6:.2f} USDC; expected at most that")
        book.transfer(self.loan, source, amount, kind)

    def pay(self, book, target, amount, kind):
        """Pay out by a larger loan."""
        book.transfer(target, self.loan, amount, kind)
'''
)


VENUE_TEST = Template(
    '''\
"""$Title: what every venue must hold, and its books."""

from pathlib import Path

from framework import Scenario, assemble, waterfall
from framework.testing import conforms

ASSEMBLY = assemble(Scenario.load(Path(__file__).with_name("$name.toml")))


def test_it_conforms():
    """Any cut of the rows gives the same ledger, nothing looks ahead, a crash liquidates who owes, and so on."""
    conforms(ASSEMBLY)


def test_its_interest_is_carry():
    """The loan costs something, and nothing is unexplained."""
    falls = waterfall(ASSEMBLY.simulation().run())
    assert falls.carry < 0
    assert falls.unexplained == 0
'''
)

VENUE_SCENARIO = Template(
    """\
# A scenario for $Class, which is found in the directory in which the command is started.
name = "$name"
capital_usd = 10_000

$market
[rulebook]
class = "study"                   # simplified fees, margins and penalties of the venues that come with the project

# capital_rebalance closes both legs after a liquidation; a strategy that ignores `Liquidated` shows the halves.
[strategy]
class = "capital_rebalance"
long = "$name"
short = "hyperliquid"
leverage = 2.0                    # notional over equity of each leg at entry, above 1
trigger = 4.0                     # effective leverage at which equity is levelled, or "never"

[venues.$name]
class = "$name:$Class"

[venues.hyperliquid]
"""
)


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
    paths = write(new_strategy(name), out)
    say(f"Wrote {', '.join(map(str, paths))}")
    go = "" if out == Path() else f"cd {out} && "
    say(f"Test it: {go}python -m pytest -q test_{name}.py{_needed()}")
    say(f"Run it: {go}carrybook run {name}.toml")


@new.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), default=Path(), help="Directory to write to.")
def venue(name: str, out: Path) -> None:
    """Write a venue as module NAME, with a test and a scenario that uses it."""
    paths = write(new_venue(name), out)
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
        market = SHIPPED
    else:
        days = _days(first or FIRST, last or LAST)
        words |= {"lending": _lending(coin, lending), "funding": _funding(coin, short)}
        series = (f"hyperliquid:{coin}:1d", words["funding"], words["lending"], "kamino:USDC")
        fetches = tuple(commands(series, days=days))
        said = "".join(f"#   {line}\n" for line in fetches)
        market = STORED.substitute(words, first=days[0], last=days[1], commands=said.rstrip())
    return Pages(texts={f"{name}.toml": SCENARIO.substitute(words, market=market)}, fetches=fetches)


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
    market = OWN.substitute(
        first=days[0], last=days[1], file=json.dumps(found.file), interval=found.interval,
        time=json.dumps(found.time), columns=named,
    )  # fmt: skip
    text = SCENARIO.substitute(words, market=market)
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
    return _pages(name, STRATEGY, STRATEGY_TEST, STRATEGY_SCENARIO)


def new_venue(name: str) -> Pages:
    """A venue as module `name`, with a test and a scenario; raises `TemplateError` for a name that cannot be one."""
    if name == OTHER_LEG:
        raise TemplateError(f"{name!r} is the short of the scenario that is written; expected another name")
    return _pages(name, VENUE, VENUE_TEST, VENUE_SCENARIO)


def _pages(name: str, module: Template, test: Template, scenario: Template) -> Pages:
    if not MODULE.fullmatch(name) or keyword.iskeyword(name):
        near = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).strip("_").lower()
        hint = f"; did you mean {near}?" if MODULE.fullmatch(near) and near != name else ""
        raise TemplateError(f"{name!r} is no name of a module; expected words such as funding_watch{hint}")
    cls = "".join(word.capitalize() for word in name.split("_"))
    if cls in framework.__all__ or hasattr(builtins, cls):
        raise TemplateError(f"{name!r} makes a class {cls}, which is there already; expected another name")
    words = {"name": name, "Class": cls, "Title": name.replace("_", " ").capitalize(), "market": SHIPPED}
    return Pages(
        texts={
            f"{name}.py": module.substitute(words),
            f"test_{name}.py": test.substitute(words),
            f"{name}.toml": scenario.substitute(words),
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
