"""Accrual by cumulative index: what a position earns or owes row by row, rounded once and independent of the cut.

An index is a market-wide path, its value before the first row and after each. What has accrued on a balance since it
last changed is a factor times the way of the index since then, so one row and a thousand rows post the same integers.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from attrs import Attribute, field, frozen

from framework.errors import LedgerError, MarketError, ScenarioError
from framework.events import Event
from framework.market import FALLBACK, Floats, Ints, Market, Measure
from framework.money import LIMIT, Account, Asset, too_large
from framework.support.text import shown

if TYPE_CHECKING:
    from framework.venue import Segment

Basis = Literal["payment", "compounding", "effective", "simple", "total", "steps", "rises"]
"""How a balance earns, as an index of the market:

- `payment`: rate x price of the row on each unit held, as funding is paid on a position
- `compounding`: rate x years on the balance and what it has earned; the index is the growth of one unit
- `effective`: (1 + rate) ** years - 1 on the balance and what it has earned, as an APY is defined
- `simple`: rate x years on the balance as its last change left it
- `total`: the rate of the row, on the balance as its last change left it
- `steps`: the steps of a level such as a pool's exchange rate, per unit held
- `rises`: the steps up alone
"""

BASES: tuple[str, ...] = get_args(Basis)
GROWING = ("compounding", "effective")
"""Bases on which a balance earns on what it has earned."""
ON_BALANCE = (*GROWING, "simple")
"""Bases whose rate is a share of the balance."""
LEVELS = ("steps", "rises")
"""Bases whose rate is a level, with a column for the open of a row and one for its close."""
MEASURED: Mapping[Basis, Measure] = {
    "payment": Measure.FUNDING,
    "compounding": Measure.YEARLY,
    "effective": Measure.YEARLY,
    "simple": Measure.YEARLY,
    "total": Measure.FUNDING,
    "steps": Measure.PRICE,
    "rises": Measure.PRICE,
}
"""What the rate of a basis measures."""


def _known_basis(accrual: "Accrual", _: object, basis: object) -> None:
    """Raises `ScenarioError` for a basis that there is not."""
    if basis not in BASES:
        raise ScenarioError(f"accrual {accrual.kind!r}: basis {basis!r}; expected one of {', '.join(BASES)}")


def _of_kind(*kinds: type) -> Callable[["Accrual", "Attribute[Any]", Any], None]:
    """A validator that raises `ScenarioError` for what is none of these kinds."""

    def check(accrual: "Accrual", what: "Attribute[Any]", value: object) -> None:
        if not isinstance(value, kinds):
            expected = " or ".join(f"an {each.__name__.lower()}" for each in kinds)
            raise ScenarioError(f"accrual {accrual.kind!r}: {what.name} is {shown(value)}; expected {expected}")

    return check


@frozen(kw_only=True, eq=False)
class Accrual:
    """A stream of settlements that a venue declares: one event and one transfer a row, zeros left out.

    Amounts above 0 run from `credit` to `debit`, those below 0 back. `on` is the account whose balance earns or owes,
    or an asset: all of it that lies on any of our Assets accounts. `rate` names a market column, or several, of which
    the first that the market has counts; `price` likewise, and where it has none the role behind that of a coin's
    price. `share` times the balance is what is paid: -1 for a position whose holder pays, such as a long where the
    funding rate is above 0.
    """

    debit: Account = field(validator=_of_kind(Account))
    credit: Account = field(validator=_of_kind(Account))
    kind: str
    event: type[Event]
    on: Account | Asset = field(validator=_of_kind(Account, Asset))
    rate: str | tuple[str, ...]
    basis: Basis = field(validator=_known_basis)
    price: str | tuple[str, ...] = ""
    share: float = 1.0
    compute: "Callable[[Segment], Computed] | None" = None
    """For what no index can express: called for each run of rows in which nobody acts, in their order.

    It may be called row by row as well. One that does no more with what a segment has than arithmetic, comparisons,
    `round` and `running` is played; see `docs/scaling.md`.
    """


@frozen(eq=False)
class Computed:
    """What a rule of its own makes of a segment: `amounts` in atomic units, with the rate and the base of each row."""

    amounts: Ints
    rate: Floats
    size: Ints


def running(rate: Floats, value: Floats, before: int) -> Computed:
    """What accrues in each row at a `rate` on a `value` less all that has accrued until then, as if row by row.

    The rate is one for the row, a fraction, and the value is in atomic units, of which `before` have accrued before the
    first of the rows. Both have shape (rows,), or are the numbers of one row, and so is what comes of them.
    """
    if not isinstance(value, np.ndarray):
        base = value - before
        return Computed(round(rate * base), rate, round(base))
    amounts = np.rint(rate * (value - before))
    while True:  # what a row adds depends on earlier rows alone, so at some time nothing changes any more
        base = value - (before + amounts.cumsum() - amounts)
        again = np.rint(rate * base)
        if np.array_equal(again, amounts):
            return Computed(amounts.astype(np.int64), rate, np.rint(base).astype(np.int64))
        amounts = again


@frozen(eq=False)
class Index:
    """The index of a rate over all rows of a market: `path` has shape (rows + 1,), `rate` and `price` (rows,).

    `values` are the path as floats of Python, which are quicker one at a time.
    """

    path: Floats
    values: list[float]
    rate: Floats
    price: Floats
    rate_column: str
    price_column: str


def index_of(accrual: Accrual, market: Market) -> Index:
    """The index of what a venue declares; raises `MarketError` where the market lacks its column."""
    rate, price = column_of(market, accrual.rate), column_of(market, accrual.price) if accrual.price else ""
    return market.cached(("index", accrual.basis, rate, price), lambda: _index(market, accrual.basis, rate, price))


def column_of(market: Market, names: str | tuple[str, ...]) -> str:
    """The first of some columns that the market has; the last of them where it has none.

    A coin's price in a role, such as `SOL.oracle`, is where there is none that of the role behind it.
    """
    each = (names,) if isinstance(names, str) else names
    for name in each:
        if name in market.columns:
            return name
    for coin, _, role in (name.rpartition(".") for name in each):
        if coin and "." not in coin and role in FALLBACK:
            return market.price_column(coin, "close", role)  # type: ignore[arg-type]
    return each[-1]


def columns_read(accrual: Accrual) -> Iterator[tuple[str | tuple[str, ...], Measure]]:
    """The columns of the rate and of the price of an accrual, with what they have to measure."""
    if accrual.basis in LEVELS:
        yield f"{accrual.rate}_open", MEASURED[accrual.basis]
        yield f"{accrual.rate}_close", MEASURED[accrual.basis]
    elif accrual.rate:
        yield accrual.rate, MEASURED[accrual.basis]
    if accrual.price:
        yield accrual.price, Measure.PRICE


def row_rate(market: Market, column: str) -> Floats:
    """The yearly rate `column` as a fraction of each row, shape (rows,)."""
    return market.cached(("row rate", column), lambda: market[column] * market.years)


def effective_rate(market: Market, column: str) -> Floats:
    """What each row makes of the APY `column`, a fraction of the balance, shape (rows,)."""

    def rates() -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):  # there is no such rate of -1 and below: refused as it is
            return np.expm1(np.log1p(market[column]) * market.years)

    return market.cached(("effective rate", column), rates)


def level_index(market: Market, column: str) -> Floats:
    """A level after each row, such as a pool's exchange rate, from the columns `column_open` and `column_close`.

    Shape (rows + 1,), from the level at which the first row opens.
    """

    def levels() -> Floats:
        return np.concatenate((market[f"{column}_open"][:1], market[f"{column}_close"]))

    return market.cached(("level", column), levels)


def _index(market: Market, basis: Basis, rate: str, price: str) -> Index:
    prices = market[price] if price else np.ones(len(market))
    shown = rate
    if basis == "payment":
        rates = market[rate]
        path = _summed(rates * prices)
    elif basis in GROWING:
        rates = row_rate(market, rate) if basis == "compounding" else effective_rate(market, rate)
        path = np.concatenate(([1.0], np.cumprod(1 + rates)))
        for row in np.flatnonzero(~(path[1:] > 0))[:1].tolist():
            raise MarketError(f"{market.cell(rate, row)}, column {rate}: a rate that takes more than there is")
    elif basis == "simple":
        rates = row_rate(market, rate)
        path = _summed(rates)
    elif basis == "total":
        rates = market[rate]
        path = _summed(rates)
    else:
        levels = level_index(market, rate)
        steps, shown = np.diff(levels), f"{rate}_close"
        rates = steps if basis == "steps" else np.maximum(steps, 0.0)
        path = levels if basis == "steps" else _summed(rates)
    return Index(path, path.tolist(), rates, prices, shown, price)


def _summed(values: Floats) -> Floats:
    return np.concatenate(([0.0], np.cumsum(values)))


def factor_of(accrual: Accrual, base: int) -> float:
    """What an accrual pays per unit of its index, in atomic units, on a balance of `base` atomic units."""
    if accrual.basis in ON_BALANCE:
        return abs(base) * accrual.share
    on, paid = accrual.on if isinstance(accrual.on, Asset) else accrual.on.asset, accrual.debit.asset
    if on == paid:
        return base * accrual.share
    return base / on.scale * paid.scale * accrual.share


FEW_EPOCHS = 6
"""Up to so many restarts a stream is worked out one restart after the other, and not all at once."""


class Stream:
    """An accrual in a run: the balance that it is on, since how many rows, and what has been settled of it."""

    __slots__ = ("accrual", "at_rows", "base", "compounding", "credit", "debit", "epochs", "factor", "index", "owner",
                 "settled", "since", "start", "values")  # fmt: skip

    def __init__(self, accrual: Accrual, index: Index, owner: str) -> None:
        self.accrual = accrual
        self.index = index
        self.values = index.values
        self.owner = owner
        self.debit, self.credit = accrual.debit, accrual.credit
        self.compounding = accrual.basis in GROWING
        self.base = 0
        self.factor = 0.0
        self.since = 0
        self.start = 1.0
        self.settled = 0
        self.at_rows = 0
        self.epochs: list[tuple[int, float, int]] = [(0, 0.0, 0)]

    def rebase(self, base: int, rows: int) -> None:
        """Start again after `rows` rows, on a balance of `base` atomic units."""
        self.base, self.since, self.at_rows = base, rows, rows
        self.factor = factor_of(self.accrual, base)
        self.start = self.values[rows]
        self.settled = round(self.factor) if self.compounding else 0
        self.epochs.append((rows, self.factor, base))

    def after(self, rows: int) -> int:
        """The path after so many rows of the market, in atomic units."""
        if self.compounding:
            return round(self.factor * (self.values[rows] / self.start))
        return round(self.factor * (self.values[rows] - self.start))

    def ahead(self, start: int, stop: int) -> Floats:
        """The path after each of the rows `start` to `stop - 1`, whole atomic units as floats, shape (rows,)."""
        index = self.index.path[start + 1 : stop + 1]
        path = index / self.start if self.compounding else index - self.start
        path *= self.factor
        return np.rint(path, out=path)

    def amounts(self, rows: int) -> tuple[Ints, Ints]:
        """What was settled in each row of the run, and the size that it was settled on, both of shape (rows,)."""
        if len(self.epochs) <= FEW_EPOCHS:
            return self._epoch_by_epoch(rows)
        starts, factors, bases = (np.array(each) for each in zip(*self.epochs, strict=True))
        lengths = np.diff(np.append(starts, rows))
        factor, index, begins = np.repeat(factors, lengths), self.index.path, lengths > 0
        began, path = np.repeat(index[starts], lengths), index[1:]
        after = self._whole(factor * (path / began if self.compounding else path - began))
        before = np.concatenate(([0], after[:-1]))
        before[starts[begins]] = np.rint(factors[begins]) if self.compounding else 0
        if self.compounding:
            return after - before, before
        size = np.repeat(bases, lengths)
        return after - before, np.abs(size) if self.accrual.basis == "simple" else size

    def _epoch_by_epoch(self, rows: int) -> tuple[Ints, Ints]:
        amounts, sizes, index = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64), self.index.path
        for (start, factor, base), stop in zip(
            self.epochs, [*(each[0] for each in self.epochs[1:]), rows], strict=True
        ):
            if factor and start < stop:
                part, began = index[start : stop + 1], self.values[start]
                path = self._whole(factor * (part / began if self.compounding else part - began))
                np.subtract(path[1:], path[:-1], out=amounts[start:stop])
                sizes[start:stop] = path[:-1] if self.compounding else base
        return amounts, np.abs(sizes) if self.accrual.basis == "simple" else sizes

    def _whole(self, path: Floats) -> Ints:
        """A path in whole atomic units; raises `LedgerError` for one that the books cannot hold."""
        most = float(np.abs(path).max(initial=0.0))
        if not most < LIMIT:
            raise LedgerError(f"{self.accrual.kind} at {self.owner}: {too_large(self.debit.asset, most)}")
        return np.rint(path).astype(np.int64)
