"""Drawn paths: markets that might have been, drawn from the rows of one that was.

A path joins all columns: a row of the history is taken whole, so its funding belongs to its price move. Prices are
chained: each price of a row keeps its ratio to the close before, and the closes are multiplied up. The random numbers
of path k are those of PCG64 under `SeedSequence(seed, spawn_key=(k,))`, so no path depends on how many there are, on
their order, or on the process that draws them.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from attrs import Attribute, field, frozen, validators
from numpy.random import PCG64, Generator, SeedSequence

from framework.clock import NS_PER_DAY, midnight_ns
from framework.errors import MarketError
from framework.market import TICK_NS, Floats, Ints, Market, Source

LEVEL = re.compile(r"(?:(?P<group>.+)[._])?(?P<what>open|high|low|close|mark|oracle)(?:\.(?P<extreme>low|high))?")
"""Columns that are levels: prices, such as `close` and `BTC.oracle.low`, and rates of pools, such as `x_rate_open`."""
NAMED = "returns of "
"""What is put before the name of the file whose returns were chained: its cells are not the prices of the path."""


@frozen(kw_only=True, eq=False)
class Drawn:
    """Rows of a path: `picked` are the rows of the history, counted from 0, of which they are made, shape (rows,).

    `scale` stretches the log returns of a coin, by the name of its closing column.
    """

    picked: Ints
    scale: Mapping[str, Floats] = field(factory=dict)


class Rows(NamedTuple):
    """The rows of a path, and what is behind their cells."""

    columns: dict[str, Floats]
    sources: dict[str, Source]


class Method(Protocol):
    """One way to draw paths from a history. Its fields are the keys of `[market.path]` in a scenario."""

    def stream(self, number: int) -> tuple[int, ...]:
        """The key of the random numbers of a path; paths with one key share them."""

    def path(self, history: Market, rows: int, random: Generator, number: int) -> Rows:
        """A path of `rows` rows; raises `MarketError` for a history from which it cannot be drawn."""

    def words(self, history: Market) -> str:
        """The method with its parameters, for the top of a report."""


Length = float | Literal["auto"]


def _positive_length(_: object, attribute: "Attribute[Length]", value: Length) -> None:
    if value != "auto" and not float(value) > 0:
        raise ValueError(f"'{attribute.name}' must be a length above 0, or auto: {value}")


@frozen(kw_only=True)
class Blocks:
    """What is drawn in blocks of rows of the history, whose last row goes on with the first."""

    circular: ClassVar[bool] = False
    """Whether all blocks have one length; else it is their mean."""

    block_rows: Length = field(default="auto", validator=_positive_length)
    """Length of blocks in rows, or `auto`: the longest that the rule of Politis and White gives for any column."""
    block_days: float | None = field(default=None, validator=validators.optional(validators.gt(0)))
    """Length of blocks in days, in the place of `block_rows`."""

    def stream(self, number: int) -> tuple[int, ...]:
        return (number,)

    def length(self, history: Market) -> float:
        """The length of a block in rows, at least 1; raises `MarketError` for one beyond the history."""
        if self.block_days is not None:
            row_ns = float(history.at_ns[0] + TICK_NS - history.open_ns[0])
            key, length = f"block_days: {self.block_days:g}", self.block_days * NS_PER_DAY / row_ns
        elif self.block_rows == "auto":
            return automatic_length(history, circular=self.circular)
        else:
            key, length = f"block_rows: {self.block_rows:g}", float(self.block_rows)
        if not 1 <= length <= len(history):
            raise MarketError(
                f"market.path.{key}; expected blocks of 1 to {len(history)} rows, as many as the data have"
            )
        return length

    def picked(self, history: Market, rows: int, random: Generator) -> Ints:
        """So many rows of the history, in blocks of geometric length and random start."""
        return stationary_rows(len(history), rows, self.length(history), random)


@frozen(kw_only=True)
class StationaryBootstrap(Blocks):
    """Blocks of geometric length and random start, from the last row on to the first (Politis and Romano 1994)."""

    def path(self, history: Market, rows: int, random: Generator, number: int) -> Rows:  # noqa: ARG002
        return chained(history, Drawn(picked=self.picked(history, rows, random)))

    def words(self, history: Market) -> str:
        return f"stationary bootstrap, blocks of {self.length(history):.4g} rows on average"


@frozen(kw_only=True)
class CircularBootstrap(Blocks):
    """Blocks of one length and random start, from the last row on to the first (Politis and Romano 1992)."""

    circular: ClassVar[bool] = True

    def path(self, history: Market, rows: int, random: Generator, number: int) -> Rows:  # noqa: ARG002
        return chained(history, Drawn(picked=circular_rows(len(history), rows, self._whole(history), random)))

    def _whole(self, history: Market) -> int:
        """The length of a block in whole rows."""
        return max(1, round(self.length(history)))

    def words(self, history: Market) -> str:
        return f"circular block bootstrap, blocks of {self._whole(history)} rows"


@frozen(kw_only=True)
class FilteredSimulation(Blocks):
    """Rows drawn as by the stationary bootstrap, with returns rescaled to the volatility of the path.

    The volatility s of log returns r, whose mean is taken as 0, follows GARCH(1,1) in the history and on the path,
    s2' = (1 - alpha - beta) mean(r2) + alpha r2 + beta s2; the path starts at that of the last row. A row's return is
    divided by its volatility then and multiplied by that of the path (Barone-Adesi, Giannopoulos and Vosper 1999). The
    parameters are given, not fitted: alpha = 0.06 and beta = 0.94 are the moving average of RiskMetrics. So the
    returns that were divided are brought to a mean square of 1, without which the volatility of paths would drift.
    """

    alpha: float = field(default=0.08, validator=(validators.ge(0), validators.lt(1)))
    """Weight of the row's squared return."""
    beta: float = field(default=0.9, validator=(validators.ge(0), validators.lt(1)))
    """Weight of the variance before it."""
    block_rows: Length = field(default=1.0, validator=_positive_length)

    @beta.validator
    def _no_explosion(self, _: "Attribute[object]", beta: float) -> None:
        if self.alpha + beta > 1 + 1e-12:
            raise ValueError(f"'beta' must be at most 1 - alpha, {1 - self.alpha:g}: {beta:g}")

    def path(self, history: Market, rows: int, random: Generator, number: int) -> Rows:  # noqa: ARG002
        picked = self.picked(history, rows, random)
        scale = {}
        for close, returns in _log_returns(history).items():
            variance = float((returns**2).mean())
            then, after = self._volatility(returns, variance)
            residuals = np.divide(returns, then, out=np.ones_like(returns), where=then > 0)
            unit = math.sqrt(float((residuals**2).mean()))
            scale[close] = self._scales(picked, returns, then * unit, after, variance)
        return chained(history, Drawn(picked=picked, scale=scale))

    def _volatility(self, returns: Floats, variance: float) -> tuple[Floats, float]:
        """The volatility with which each row began, and that after the last."""
        rest, now, then = (1 - self.alpha - self.beta) * variance, variance, []
        for each in returns.tolist():
            then.append(now)
            now = rest + self.alpha * each * each + self.beta * now
        return np.sqrt(np.array(then)), float(np.sqrt(now))

    def _scales(self, picked: Ints, returns: Floats, then: Floats, now: float, variance: float) -> Floats:
        """Volatility of the path over that of the row behind it, row by row."""
        rest, now, scales = (1 - self.alpha - self.beta) * variance, now * now, []
        of_row, returns_of = then.tolist(), returns.tolist()
        for row in picked.tolist():
            scale = now**0.5 / of_row[row] if of_row[row] > 0 else 1.0
            scales.append(scale)
            now = rest + self.alpha * (scale * returns_of[row]) ** 2 + self.beta * now
        return np.array(scales)

    def words(self, history: Market) -> str:
        length = self.length(history)
        return f"filtered historical simulation, alpha {self.alpha:g}, beta {self.beta:g}, blocks of {length:.4g} rows"


@frozen(kw_only=True)
class Episode:
    """A window of the history, by dates in UTC that are both included."""

    start: date
    end: date = field()

    @end.validator
    def _after_start(self, _: "Attribute[object]", end: date) -> None:
        if end < self.start:
            raise ValueError(f"'end' must be on or after {self.start}: {end}")

    def rows(self, history: Market, name: str) -> Ints:
        """Its rows; raises `MarketError` where the history has none of them."""
        until_ns = midnight_ns(self.end + timedelta(days=1))
        (rows,) = np.nonzero((history.open_ns >= midnight_ns(self.start)) & (history.open_ns < until_ns))
        if not len(rows):
            first, last = history.date(0), history.date(len(history) - 1)
            raise MarketError(
                f"market.path.episodes.{name}: {self.start} to {self.end}; expected days of the data, {first} to {last}"
            )
        return rows.astype(np.int64)


@frozen(kw_only=True)
class Jumps(Blocks):
    """The stationary bootstrap, with episodes of the history put over it at random times.

    Episodes begin `per_year` times a year on average (a Poisson process), each time one of them with equal chance. One
    that begins within another cuts that off: after the later one the bootstrap goes on.
    """

    episodes: dict[str, Episode] = field()
    """Name: `start` and `end`, days of the history that are put in."""
    per_year: float = field(validator=validators.gt(0))

    @episodes.validator
    def _at_least_one(self, _: "Attribute[object]", episodes: Mapping[str, Episode]) -> None:
        if not episodes:
            raise ValueError("'episodes' must be tables with start and end, at least one: {}")

    def path(self, history: Market, rows: int, random: Generator, number: int) -> Rows:  # noqa: ARG002
        picked = self.picked(history, rows, random)
        windows = [each.rows(history, name) for name, each in self.episodes.items()]
        years = float(history.years[0]) * rows
        if self.per_year * years > rows:
            raise MarketError(
                f"market.path.per_year: {self.per_year:g}; expected at most {rows / years:g}, an episode in each row"
            )
        starts = np.sort(random.integers(rows, size=int(random.poisson(self.per_year * years))))
        for start, end in pairwise([*starts.tolist(), rows]):
            window = windows[int(random.integers(len(windows)))][: end - start]
            picked[start : start + len(window)] = window
        return chained(history, Drawn(picked=picked))

    def words(self, history: Market) -> str:
        length = self.length(history)
        named = ", ".join(f"{name} ({each.start} to {each.end})" for name, each in self.episodes.items())
        return f"stationary bootstrap, blocks of {length:.4g} rows on average, {self.per_year:g} times a year {named}"


@frozen(kw_only=True)
class GeometricBrownian:
    """A geometric Brownian motion of one coin; every other column stays at its mean in the history.

    `volatility` and `growth` are per year: the expected price grows by exp(growth) in a year. The default volatility is
    that of the history's closes. `extremes` of a row are those of the motion within it, each on its own distributed as
    it is given open and close (a Brownian bridge), or those of open and close alone. `antithetic` paths 2k - 1 and 2k
    mirror each other.
    """

    volatility: float | None = field(default=None, validator=validators.optional(validators.ge(0)))
    growth: float = 0.0
    extremes: Literal["bridge", "closes"] = "bridge"
    antithetic: bool = False

    def stream(self, number: int) -> tuple[int, ...]:
        return ((number + 1) // 2,) if self.antithetic else (number,)

    def path(self, history: Market, rows: int, random: Generator, number: int) -> Rows:
        levels, sigma, years = _one_coin(history), self._sigma(history), float(history.years[0])
        sign = -1 if self.antithetic and number % 2 == 0 else 1
        noise, chances = random.standard_normal(rows), random.random((2, rows))[::sign]
        steps = (self.growth - sigma**2 / 2) * years + sign * sigma * years**0.5 * noise
        up, down = np.maximum(steps, 0.0), np.minimum(steps, 0.0)
        if self.extremes == "bridge":
            up, down = bridge(steps, sigma**2 * years, chances)
        first = history[history.price_column("", "open")][0]
        walk = first * np.exp(np.concatenate(([0.0], np.cumsum(steps))))
        opens, closes = walk[:-1], walk[1:]
        prices = {"open": opens, "close": closes}
        prices["high"] = np.maximum.reduce([opens * np.exp(up), opens, closes])
        prices["low"] = np.minimum.reduce([opens * np.exp(down), opens, closes])
        columns = {
            name: prices[levels[name]] if name in levels else np.full(rows, values.mean())
            for name, values in history.columns.items()
        }
        sources = {
            name: _made("random walk instead of " if name in levels else "mean of ", source, rows)
            for name, source in history.sources.items()
        }
        return Rows(columns, sources)

    def _sigma(self, history: Market) -> float:
        if self.volatility is not None:
            return self.volatility
        return float(_log_returns(history)[history.price_column("")].std() / history.years[0] ** 0.5)

    def words(self, history: Market) -> str:
        return f"geometric Brownian motion, volatility {self._sigma(history):.4g} and growth {self.growth:g} per year"


METHODS: Mapping[str, type[Method]] = {
    "stationary": StationaryBootstrap,
    "circular": CircularBootstrap,
    "filtered": FilteredSimulation,
    "jumps": Jumps,
    "gbm": GeometricBrownian,
}
"""The methods by their names in a scenario."""


@frozen(kw_only=True)
class Which:
    """One path among those of a seed: `number` counts from 1, `rows` is its length, without which it is the data's."""

    seed: int = field(default=0, validator=(validators.ge(0), validators.lt(2**63)))
    """The seed of all paths."""
    number: int = field(default=1, validator=(validators.ge(1), validators.lt(2**31)))
    rows: int | None = field(default=None, validator=validators.optional((validators.ge(1), validators.le(10**7))))


@frozen(kw_only=True)
class Path:
    """A path that a method draws."""

    method: Method
    which: Which

    def of(self, history: Market) -> Market:
        """The path's market, with the rows of the history behind it as its sources; raises `MarketError`."""
        if np.ptp(history.at_ns - history.open_ns):
            raise MarketError("market.path: the data's rows differ in length; expected rows of one length")
        random = Generator(PCG64(SeedSequence(self.which.seed, spawn_key=self.method.stream(self.which.number))))
        count = self.which.rows or len(history)
        with np.errstate(over="ignore", invalid="ignore"):
            drawn = self.method.path(history, count, random, self.which.number)
        return _market(history, count, drawn, "; ".join(filter(None, (self.words(history), history.label))))

    def words(self, history: Market) -> str:
        """What a reader of any result on this path must know."""
        return f"SYNTHETIC: path {self.which.number} of seed {self.which.seed}, {self.method.words(history)}"


def block_length(series: Floats, *, circular: bool = False) -> float:
    """The block length in samples for the stationary or the circular bootstrap of a series, shape (samples,).

    The automatic rule of Politis and White (2004) as corrected by Patton, Politis and White (2009): the bandwidth is
    twice the first lag from which on max(5, log10 n) autocorrelations in a row are insignificant, and no block is
    longer than 3 sqrt(n) or n / 3. At least 1, and 1 for a constant series.
    """
    count = len(series)
    around = series - series.mean()
    if count < 3 or not np.ptp(series):
        return 1.0
    tested = max(5, int(math.log10(count)))
    most = min(math.ceil(math.sqrt(count)) + tested, count - 1)
    covariance = np.array([around[lag:] @ around[: count - lag] for lag in range(most + 1)]) / count
    small = np.abs(covariance / covariance[0]) < 2 * math.sqrt(math.log10(count) / count)
    runs = (lag for lag in range(1, most + 1 - tested) if small[lag : lag + tested].all())
    first = next(runs, None)
    bandwidth = min(2 * first, most) if first else most
    lags = np.arange(-bandwidth, bandwidth + 1)
    flat_top = np.minimum(1.0, 2 * (1 - np.abs(lags) / bandwidth))
    of_lags = covariance[np.abs(lags)]
    slope, spectrum = float((flat_top * np.abs(lags) * of_lags).sum()), float((flat_top * of_lags).sum())
    if not spectrum:
        return 1.0
    ratio = 2 * slope**2 / ((4 / 3 if circular else 2) * spectrum**2)
    return max(1.0, min(math.cbrt(ratio * count), float(math.ceil(min(3 * math.sqrt(count), count / 3)))))


def stationary_rows(count: int, rows: int, length: float, random: Generator) -> Ints:
    """`rows` rows out of `count`, counted from 0, in blocks of geometric length with the mean `length`."""
    begins = random.random(rows) < 1 / length
    starts = random.integers(count, size=rows)
    begins[:1] = True
    here = np.arange(rows)
    begun = np.maximum.accumulate(np.where(begins, here, 0))
    return (starts[begun] + here - begun) % count


def circular_rows(count: int, rows: int, length: int, random: Generator) -> Ints:
    """`rows` rows out of `count`, counted from 0, in blocks of `length`."""
    starts = random.integers(count, size=-(-rows // length))
    return ((starts[:, None] + np.arange(length)) % count).ravel()[:rows]


def automatic_length(history: Market, *, circular: bool = False) -> float:
    """The longest block that the rule of Politis and White gives for any column: log returns of closes, other values.

    At least 1 row.
    """

    def longest() -> float:
        levels = _levels(history)
        columns = [
            *_log_returns(history).values(),
            *(each for name, each in history.columns.items() if name not in levels),
        ]
        return max([1.0, *(block_length(each, circular=circular) for each in columns)])

    return history.cached(("block length", circular), longest)


def _levels(history: Market) -> dict[str, str]:
    """Column that is a level -> the closing column before which it is seen: its own, or that of its coin."""

    def closing(name: str) -> str | None:
        parts = LEVEL.fullmatch(name)
        if not parts:
            return None
        group = parts["group"] or ""
        own = name[: len(group) + bool(group)] + "close"
        found = own if own in history.columns else history.price_column(group)
        return found if found in history.columns else None

    def all_of_them() -> dict[str, str]:
        found = {name: closing(name) for name in history.columns}
        return {name: close for name, close in found.items() if close}

    return history.cached("levels", all_of_them)


def _one_coin(history: Market) -> dict[str, str]:
    """Level -> which price of the only coin it is; raises `MarketError` where there are several, or tokens."""
    levels, close = _levels(history), history.price_column("")
    for name, closing in levels.items():
        if closing != close:
            raise MarketError(f"market.path.method: gbm draws one coin; the data have the column {name} as well")
    parts = {name: LEVEL.fullmatch(name) for name in levels}
    return {
        name: each["extreme"] or (each["what"] if each["what"] in ("open", "high", "low") else "close")
        for name, each in parts.items()
        if each
    }


def _ratios(history: Market) -> dict[str, Floats]:
    """Each level over the close before its row; that of the first row is the first open."""

    def all_of_them() -> dict[str, Floats]:
        found = {}
        for name, close in _levels(history).items():
            found[name] = history[name] / np.concatenate(([_first(history, close)], history[close][:-1]))
        return found

    return history.cached("ratios", all_of_them)


def _first(history: Market, close: str) -> float:
    """The open of the first row, or its close where there is no column of opens."""
    opening = close.removesuffix("close") + "open"
    return float(history.columns.get(opening, history[close])[0])


def _log_returns(history: Market) -> dict[str, Floats]:
    """The log returns of coins, by the closing column: neither of pools' rates nor of their tokens."""

    def all_of_them() -> dict[str, Floats]:
        tokens, ratios = _tokens(history), _ratios(history)
        closes = dict.fromkeys(_levels(history).values())
        return {
            close: np.log(ratios[close])
            for close in closes
            if not close.endswith("_rate_close") and close.removesuffix("_close") not in tokens
        }

    return history.cached("log returns", all_of_them)


def _tokens(history: Market) -> Sequence[str]:
    """The tokens of which price and pool's rate are known: they are worth rate times coin times a premium."""
    names = [name.removesuffix("_rate_close") for name in history.columns if name.endswith("_rate_close")]
    return [name for name in names if f"{name}_close" in history.columns]


def chained(history: Market, drawn: Drawn) -> Rows:
    """The rows that were drawn as a path: prices from the returns of each row, everything else as it is there.

    A token with a pool's rate keeps the premium of its row over rate times coin, so that none wanders off.
    """
    picked, ratios, levels = drawn.picked, _ratios(history), _levels(history)
    columns, before = {name: values[picked] for name, values in history.columns.items()}, dict[str, Floats]()

    def stretched(name: str, close: str) -> Floats:
        taken = ratios[name][picked]
        if close not in drawn.scale:
            return taken
        return np.exp(np.log(taken) * drawn.scale[close])

    for close in dict.fromkeys(levels.values()):
        walk = np.multiply.accumulate(np.concatenate(([_first(history, close)], stretched(close, close))))
        before[close], columns[close] = walk[:-1], walk[1:]
    for name, close in levels.items():
        if name != close:
            columns[name] = before[close] * stretched(name, close)
    for token in _tokens(history):
        for at in ("open", "close"):
            rate, coin = f"{token}_rate_{at}", history.price_column("", at)
            premium = history[f"{token}_{at}"] / (history[rate] * history[coin])
            columns[f"{token}_{at}"] = premium[picked] * columns[rate] * columns[coin]
    _hold_within(columns)
    sources = {name: _picked(source, picked, chained=name in levels) for name, source in history.sources.items()}
    return Rows(columns, sources)


def _hold_within(columns: dict[str, Floats]) -> None:
    """Keep every low and high around the prices beside them: a stretched return may be rounded past them."""
    for least in [name for name in columns if name == "low" or name.endswith(".low")]:
        before = least.removesuffix("low")
        beside = [
            columns[each] for each in (f"{before}open", f"{before}close", before.removesuffix(".")) if each in columns
        ]
        columns[least] = np.minimum.reduce([columns[least], *beside])
        if (most := f"{before}high") in columns:
            columns[most] = np.maximum.reduce([columns[most], *beside])


def bridge(steps: Floats, variance: float, chances: Floats) -> tuple[Floats, Floats]:
    """The highest and the lowest log price of rows above their opens, given the steps from open to close.

    `variance` is that of a step; `chances`, uniform below 1, have one more dimension before those of the steps, of
    length 2. Each extreme has the distribution of that of a Brownian bridge; the two are drawn independently.
    """
    spread = np.sqrt(steps**2 - 2 * variance * np.log1p(-chances))
    return (steps + spread[0]) / 2, (steps - spread[1]) / 2


def _picked(source: Source, picked: Ints, *, chained: bool) -> Source:
    """The source of a column whose rows are those that were picked."""
    name: Callable[[str], str] = (lambda file: NAMED + file) if chained else str
    return Source(
        name(source.file),
        source.digest,
        source.first_row[picked],
        source.rows[picked],
        (name(source.earlier[0]), source.earlier[1]) if source.earlier else None,
        source.of_earlier(picked) if source.earlier else None,
    )


def _made(how: str, source: Source, rows: int) -> Source:
    """The source of a column that was made of no row in particular."""
    nothing = np.zeros(rows, dtype=np.int64)
    return Source(how + source.file, source.digest, nothing, nothing)


def _market(history: Market, rows: int, drawn: Rows, label: str) -> Market:
    """A market of so many rows on the times of the history, which go on beyond its end at its last step."""
    open_ns = history.open_ns[:rows]
    if rows > len(history):
        span_ns = int(history.at_ns[0] + TICK_NS - history.open_ns[0])
        open_ns = np.concatenate((open_ns, open_ns[-1] + span_ns * np.arange(1, rows - len(history) + 1)))
    return Market(
        open_ns=open_ns,
        at_ns=open_ns + (history.at_ns[0] - history.open_ns[0]),
        columns=drawn.columns,
        sources=drawn.sources,
        coverage=history.coverage,
        dropped_rows=history.dropped_rows,
        label=label,
        coin=history.coin,
    )
