"""The market as one aligned table: rows are intervals of time, columns prices and rates, every cell has a source."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, partial
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from attrs import field, fields, frozen
from numpy.typing import NDArray

from framework.clock import NS_PER_DAY, NS_PER_YEAR
from framework.errors import MarketError
from framework.money import Asset
from framework.support.suggestions import closest

if TYPE_CHECKING:
    from pandas import DataFrame

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Cached = TypeVar("Cached")
Instants = TypeVar("Instants", int, "Ints")

PRICES = ("open", "high", "low", "close")
PRICE_OF_COIN = re.compile(r"[^.]+\.(open|high|low|close)|([^.]+\.)?[^.]+\.(mark|oracle)(\.(low|high))?")
"""Columns with the prices of one coin, such as `SOL.close`, `BTC.oracle.low`, and `lender.SOL.oracle` of one venue."""
LEAST_PRICE = 1e-10
"""USD: with the seventeen digits of a float and the nine decimals of a token it has 36 decimals, and no more."""
MOST = 1e18
"""No price, rate or volume is larger, in whatever unit it was given."""
At = Literal["open", "close"]
"""Which price of a row holds: the one at which it opens, or the one at which it closes."""
PriceAt = Literal["open", "high", "low", "close"]
Role = Literal["price", "mark", "oracle"]
"""What a price is for: `price` to trade at, `mark` to value positions, `oracle` for funding and for lenders."""
FALLBACK: Mapping[Role, Role] = {"oracle": "mark", "mark": "price"}
"""The role whose price stands in where a market has none."""


class Measure(StrEnum):
    """What a column measures."""

    PRICE = "price"
    """USD, or one token in another."""
    FUNDING = "funding"
    """Fraction of the notional, per sample."""
    YEARLY = "yearly"
    """Fraction per year."""
    PERCENT = "percent"
    """Percent per year, as some sources write it; our readers divide by 100."""
    FRACTION = "fraction"
    """A fraction of anything, such as a premium."""
    AMOUNT = "amount"
    """USD or tokens that somebody has."""
    OTHER = "other"
    """What its name does not say."""


MEASURED: Mapping[Measure, re.Pattern[str]] = {
    Measure.PRICE: re.compile(r"(.+[._])?(open|high|low|close|mark|oracle)"),
    Measure.FUNDING: re.compile(r"(.+_)?funding_rate|.+\.funding"),
    Measure.YEARLY: re.compile(r".+_ap[ry]"),
    Measure.FRACTION: re.compile(r"(.+[._])?premium"),
    Measure.AMOUNT: re.compile(r".+_capacity"),
}
"""How the columns that measure something are named."""


WORDS: Mapping[Measure, str] = {
    Measure.PRICE: "prices",
    Measure.FUNDING: "funding rates",
    Measure.YEARLY: "rates per year",
    Measure.FRACTION: "fractions",
    Measure.AMOUNT: "amounts",
}
"""What a column has that measures something."""


@cache
def measure_of_column(name: str) -> Measure:
    """What a column of a market measures, by its name; `OTHER` where that does not say it."""
    return next((measure for measure, names in MEASURED.items() if names.fullmatch(name)), Measure.OTHER)


@frozen(eq=False)
class Source:
    """Where a column came from: rows `first_row` to `first_row + rows - 1` of a file made each of its cells.

    Rows are counted as a person would: elements of a JSON array from 1, lines of a CSV file from 1 with its header.
    """

    file: str
    digest: str
    first_row: Ints
    rows: Ints
    earlier: tuple[str, str] | None = None
    """Name and digest of the file of the rows `from_earlier`, if it is another."""
    from_earlier: Flags | None = None
    lender: str = ""
    """Whose pool a rate is of, where its file says so."""

    def file_of(self, index: int) -> str:
        """The file behind one cell."""
        return self.earlier[0] if self.earlier and self.of_earlier(index) else self.file

    def of_earlier(self, rows: Ints | int) -> Flags:
        """Which of some rows of the table are from the file `earlier`."""
        if self.from_earlier is None:
            return np.zeros(np.shape(rows), dtype=bool)
        return self.from_earlier[rows]

    def digests(self) -> dict[str, str]:
        """File -> SHA-256 of each file behind the column."""
        return dict([self.earlier] if self.earlier else []) | {self.file: self.digest}

    def cell(self, index: int) -> str:
        """The source of one cell, such as `candles.json:17` or `funding.json:5-28`."""
        file, first, count = self.file_of(index), int(self.first_row[index]), int(self.rows[index])
        if not count:
            return f"{file}:none"
        return f"{file}:{first}" if count == 1 else f"{file}:{first}-{first + count - 1}"


@frozen
class Coverage:
    """What became of one input series when the table was aligned."""

    series: str
    file: str
    samples: int
    used: int
    outside: int
    """Samples before or after the rows that were asked for."""
    dropped: int
    """Samples of rows that were left out because another series lacks them."""
    fill: str = "drop"
    """The rule for what is missing."""
    filled: int = 0
    """Samples that the rule made; they are in no other count."""


def _frozen_array(values: object, dtype: type) -> NDArray[np.generic]:
    array: NDArray[np.generic] = np.array(values, dtype=dtype)
    array.setflags(write=False)
    return array


def _times(values: object) -> Ints:
    return _frozen_array(values, np.int64)  # type: ignore[return-value]


def _columns(values: Mapping[str, object]) -> dict[str, Floats]:
    return {name: _frozen_array(column, np.float64) for name, column in values.items()}  # type: ignore[misc]


NAME_CHARACTERS = 200
"""How long the name of a column is at most."""


def is_name(name: str) -> bool:
    """Whether a column of a market can be called so: what a run is saved with has to be read and printed."""
    return 0 < len(name) <= NAME_CHARACTERS and name.isprintable()


@frozen(eq=False, kw_only=True)
class Market:
    """A validated table of market data.

    Row i covers the time from `open_ns[i]` to `at_ns[i]`, the instant at which its close is known and its funding and
    interest settle; both are integer nanoseconds in UTC, shape (rows,). `columns` hold float64 of the same shape:
    `open`, `high`, `low`, `close` in USD, rates as fractions (funding of the row; interest per year). Raises
    `MarketError` for a table that cannot be trusted.
    """

    open_ns: Ints = field(converter=_times)
    at_ns: Ints = field(converter=_times)
    columns: dict[str, Floats] = field(converter=_columns)
    sources: Mapping[str, Source] = field(factory=dict)
    coverage: tuple[Coverage, ...] = ()
    dropped_rows: tuple[str, ...] = ()
    label: str = ""
    """What a reader of any result must know about the data, such as that they are synthetic."""
    coin: str = ""
    """The coin of the columns `open`, `high`, `low` and `close`; without it they are those of any coin."""
    years: Floats = field(init=False)
    """Length of each row in years of 365 days."""
    _cache: dict[object, object] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        self._check_times()
        for name, column in self.columns.items():
            if not is_name(name):
                raise MarketError(f"column {name!r}; expected a name of 1 to {NAME_CHARACTERS} printable characters")
            if column.shape != self.at_ns.shape:
                raise MarketError(f"column {name} has shape {column.shape}; the table has {len(self)} rows")
        self._check_prices()
        check_columns(self.columns, lambda name, index: f"{self.cell(name, index)}, column {name}")
        object.__setattr__(self, "years", (self.at_ns + TICK_NS - self.open_ns) / NS_PER_YEAR)

    def __reduce__(self) -> "tuple[Callable[[], Market], tuple[()]]":
        """It goes elsewhere without what was derived from it, which may be made of anything."""
        names = (each.name for each in fields(type(self)) if each.init)
        return partial(type(self), **{name: getattr(self, name) for name in names}), ()

    @classmethod
    def of(cls, frame: "DataFrame", coin: str = "", label: str = "") -> "Market":
        """A market from a pandas frame: its index is when each row opens, with a time zone; its columns are ours.

        `open`, `high`, `low` and `close` in USD, and whatever the venues need, such as `hyperliquid_funding_rate` and
        `sol_lending_apy`, as fractions. A row is as long as most are apart. Raises `MarketError`.
        """
        zone = getattr(frame.index, "tz", None)
        if zone is None:
            raise MarketError("the frame's index has no time zone; expected times such as frame.tz_localize('UTC')")
        open_ns = np.asarray(frame.index.tz_convert("UTC").as_unit("ns").asi8, dtype=np.int64)  # type: ignore[attr-defined]
        if len(open_ns) < 2:
            raise MarketError(f"the frame has {len(open_ns)} rows; expected two or more, which say how long a row is")
        if (np.diff(open_ns) <= 0).any():
            raise MarketError("the frame's times do not rise; expected rows in time order, each time once")
        steps, counts = np.unique(np.diff(open_ns), return_counts=True)
        at_ns = open_ns + int(steps[counts.argmax()]) - TICK_NS
        columns = {str(name): np.asarray(frame[name], dtype=np.float64) for name in frame}
        return cls(open_ns=open_ns, at_ns=at_ns, columns=columns, coin=coin, label=label)

    def __len__(self) -> int:
        return len(self.at_ns)

    def __getitem__(self, column: str) -> Floats:
        try:
            return self.columns[column]
        except KeyError:
            meant = closest(column, self.columns) or f"it has {', '.join(self.columns)}"
            raise MarketError(f"the market has no column {column!r}; {meant}") from None

    def cached(self, key: object, make: Callable[[], Cached]) -> Cached:
        """What `make` derives from this table, made once: the table never changes."""
        try:
            return self._cache[key]  # type: ignore[return-value]
        except KeyError:
            value = self._cache[key] = make()
            return value

    def price_column(self, coin: Asset | str, at: PriceAt = "close", role: Role = "price", venue: str = "") -> str:
        """The column of a coin's price; see the function `price_column`."""
        return price_column(self.columns, coin, at, role, self.coin, venue)

    def opening(self, coin: Asset | str, role: Role = "price", venue: str = "") -> Floats:
        """A coin's price at the open of each row.

        A mark or an oracle has no opens: there it is its close of the row before, and the price in the first row.
        """
        opened, closed = self[self.price_column(coin, "open")], self.price_column(coin, "close", role, venue)
        if role == "price" or closed == self.price_column(coin):
            return opened
        return self.cached(("opening", closed), lambda: np.concatenate((opened[:1], self[closed][:-1])))

    def floats(self, column: str) -> list[float]:
        """A column as floats of Python, which are quicker one at a time."""
        return self.cached(("floats", column), self[column].tolist)

    def date(self, index: int) -> str:
        """The UTC date on which a row opens."""
        return utc(int(self.open_ns[index])).date().isoformat()

    def when(self, index: int) -> str:
        """When a row opens, in UTC: its date, and the time of day where not every row opens at midnight."""
        by_day = self.cached("by day", lambda: not (self.open_ns % NS_PER_DAY).any())
        return self.date(index) if by_day else f"{utc(int(self.open_ns[index])):%Y-%m-%d %H:%M}"

    def rows(self, start: int, stop: int) -> str:
        """Rows `start` to `stop - 1` as people count them, with when they open."""
        first, last = self.when(start), self.when(stop - 1)
        return f"row {stop} ({first})" if stop - start == 1 else f"rows {start + 1} to {stop} ({first} to {last})"

    def cell(self, column: str, index: int) -> str:
        """Where one cell came from, as `file:row`."""
        source = self.sources.get(column)
        return source.cell(index) if source else f"row {index + 1}"

    def _check_prices(self) -> None:
        """Refuse a coin without all its prices; the first coin with columns of its own is the market's, if none is."""
        coins = tuple(dict.fromkeys(name.rpartition(".")[0] for name in self.columns if name.endswith(".close")))
        plain = any(name in self.columns for name in PRICES) or not coins
        for coin in (*(("",) if plain else ()), *coins):
            for name in PRICES:
                column = f"{coin}.{name}" if coin else name
                if column not in self.columns:
                    raise MarketError(f"the market has no column {column!r}; prices need {', '.join(PRICES)}")
        if not plain and not self.coin:
            object.__setattr__(self, "coin", coins[0])

    def _check_times(self) -> None:
        if not len(self.at_ns):
            raise MarketError("the market table has no rows")
        if self.open_ns.shape != self.at_ns.shape:
            raise MarketError(f"the table has {len(self.open_ns)} opening and {len(self.at_ns)} closing times")
        for index in np.flatnonzero(self.open_ns > self.at_ns)[:1]:
            raise MarketError(f"row {index + 1} closes before it opens")
        for index in np.flatnonzero(self.open_ns[1:] <= self.at_ns[:-1])[:1]:
            raise MarketError(f"row {index + 2} opens before row {index + 1} has closed; expected rows in time order")


def check_columns(columns: Mapping[str, Floats], place: Callable[[str, int], str]) -> None:
    """Refuse what no market can say: values that are not finite, prices at or below 0 or outside low and high.

    Raises `MarketError` for the first such cell; `place` names it from its column and index.
    """

    def refuse(name: str, wrong: NDArray[np.bool_], expected: str) -> None:
        if wrong.any():
            index = int(wrong.argmax())
            raise MarketError(f"{place(name, index)}: {columns[name][index]}; expected {expected}")

    prices = [name for name in columns if _is_price(name)]
    if not (np.abs(_end_to_end(columns, columns)) <= MOST).all():
        for name, column in columns.items():
            refuse(name, ~np.isfinite(column), "a finite number")
            refuse(name, np.abs(column) > MOST, f"at most {MOST:g}")
    if not (_end_to_end(columns, prices) >= LEAST_PRICE).all():
        for name in prices:
            price = columns[name]
            refuse(name, price <= 0, "a rate above 0" if "_rate_" in name else "a price above 0")
            refuse(name, price < LEAST_PRICE, f"a price of {LEAST_PRICE:g} or more, which the books can count exactly")
    for least in (name for name in columns if name == "low" or name.endswith(".low")):
        before = least.removesuffix("low")
        if f"{before}high" not in columns:
            continue
        low, high = columns[least], columns[f"{before}high"]
        refuse(least, low > high, "a low that is not above the high")
        for name in (f"{before}open", f"{before}close", before.removesuffix(".")):
            if name in columns:
                refuse(name, (columns[name] < low) | (columns[name] > high), "a price within low and high")


def _is_price(name: str) -> bool:
    """Whether a column has prices, or rates of a pool."""
    return name in PRICES or name.endswith(("_open", "_close")) or PRICE_OF_COIN.fullmatch(name) is not None


def _end_to_end(columns: Mapping[str, Floats], names: Iterable[str]) -> Floats:
    """Some columns one after the other, which is quicker to look through than each by itself."""
    return np.concatenate([np.zeros(0), *(columns[name] for name in names)])


def price_column(
    columns: Collection[str],
    coin: Asset | str,
    at: PriceAt = "close",
    role: Role = "price",
    plain: str = "",
    venue: str = "",
) -> str:
    """Which of a table's columns is the price of a coin, or of the coin of an asset.

    `SOL.close` is the price of SOL, `SOL.oracle` its oracle price at the row's close, `SOL.oracle.low` the least in the
    row, and `lender.SOL.oracle` what the venue `lender` reads instead. A role without a column has that of the role
    behind it: the oracle's the mark's, the mark's the price's. The columns `open` to `close` are those of the coin
    `plain`; without that, of every coin that has no close of its own. An empty text means the coin `plain`.
    """
    code = (coin.coin if isinstance(coin, Asset) else coin) or plain
    if role != "price":
        for named in (f"{venue}.{code}.{role}", f"{code}.{role}"):
            if named in columns and at != "open":
                extreme = f"{named}.{at}"
                return extreme if extreme in columns else named
        return price_column(columns, code, at, FALLBACK[role], plain, venue)
    for way in (f"{code}.", f"{code.lower()}_"):
        if way + at in columns or f"{way}close" in columns:
            return way + at
    return at if plain in ("", code) else f"{code}.{at}"


TICK_NS = 1_000_000
"""Candles end one millisecond before the next one opens, as the venues label them."""


def midnight_before(at_ns: Instants, days: int) -> Instants:
    """The midnight of UTC at which the day of an instant began, or that of so many days before it."""
    return at_ns - at_ns % NS_PER_DAY - days * NS_PER_DAY


def utc(at_ns: int) -> datetime:
    """An instant as a datetime in UTC, to the microsecond."""
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).replace(microsecond=at_ns % 1_000_000_000 // 1000)
