"""Performance: figures of a return series and of the positions behind it, and the benchmarks beside them.

Each metric is an entry of `METRICS` with its formula, unit and sign; `docs/metrics.md` shows the same table. What
cannot be computed, such as a ratio without volatility, is `Undefined` with a reason: no result holds a NaN.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from attrs import asdict, frozen

from framework.accrual import column_of, row_rate
from framework.assembly import Assembly
from framework.clock import NS_PER_DAY, NS_PER_YEAR
from framework.events import (
    FeeAccrued,
    FundingSettled,
    InterestAccrued,
    Liquidated,
)
from framework.market import TICK_NS, At, Floats, Ints, Market
from framework.money import PERPETUAL, USDC, Account, Asset
from framework.run import Run
from framework.scenario import Benchmarks
from framework.valuation import (
    Worth,
    chronicle,
    decimal,
    equity,
    fees_of,
    liquidations,
    running_fees_usd,
    waterfall,
    waterfall_of,
    worth_at_end,
)

TAIL = 0.05
"""Share of the days that value at risk leaves out, the worst ones."""
LEAST_DAYS = 20
"""Days from which a value at risk is computed: with fewer there is no worst twentieth."""
NO_VOLATILITY = 1e-8
"""Volatility per year below which there is none: it would come from the rounding of prices and balances."""
LEVERAGES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, np.inf)
"""Edges of the ranges of leverage for which the time spent there is reported."""


class Undefined(ValueError):  # noqa: N818  (it is no error of anybody's)
    """A figure that does not exist for a series; the message says why."""


@frozen(kw_only=True, eq=False, slots=False)
class Calendar:
    """The instants of a path and the calendar units that end at them; the same for every path over one market.

    `at_ns`, shape (rows + 2,), is the instant at which the first row opens, those at which the rows end, and the last
    of these again, for the end, when positions are closed.
    """

    at_ns: Ints

    @classmethod
    def of(cls, market: Market) -> "Calendar":
        """The calendar of a market."""

        def made() -> Calendar:
            ends = market.at_ns + TICK_NS
            return cls(at_ns=np.concatenate((market.open_ns[:1], ends, ends[-1:])))

        return market.cached("calendar", made)

    @cached_property
    def days(self) -> tuple[Ints, Floats]:
        """Places of the last instants of UTC days, after that of the first instant of all, and the years between."""
        return self._units("D")

    @cached_property
    def months(self) -> tuple[Ints, Floats]:
        """The same of calendar months in UTC."""
        return self._units("M")

    def _units(self, unit: Literal["D", "M"]) -> tuple[Ints, Floats]:
        """The last instants of calendar units; an instant at midnight ends the day before it."""
        period = (self.at_ns[1:] - 1).astype("datetime64[ns]").astype(f"datetime64[{unit}]")
        last = np.flatnonzero(np.append(period[1:] != period[:-1], True)) + 1
        at = np.concatenate(([0], last))
        return at, np.diff(self.at_ns[at]) / NS_PER_YEAR


@frozen(kw_only=True, eq=False, slots=False)
class Path:
    """What something was worth over time: the capital at the start, the close of every row, and the end.

    `usd` has the shape of the calendar's instants.
    """

    calendar: Calendar
    usd: Floats

    @classmethod
    def over(cls, market: Market, capital_usd: float, closes: Floats, end_usd: float) -> "Path":
        """The path of what was worth `closes` as the rows of a market closed, shape (rows,)."""
        return cls(calendar=Calendar.of(market), usd=np.concatenate(([capital_usd], closes, [end_usd])))

    @classmethod
    def of(cls, run: Run, final_usd: float | None = None) -> "Path":
        """The path of a run's equity; `final_usd` is its final equity where that is known already."""
        end_usd = float(equity(run)) if final_usd is None else final_usd
        return cls.over(run.market, USDC.units(run.capital), run.curve.equity_usd, end_usd)

    @property
    def at_ns(self) -> Ints:
        """The instants of the calendar."""
        return self.calendar.at_ns

    @property
    def years(self) -> float:
        """Elapsed time in years of 365 days, rows that are missing included."""
        return float(self.at_ns[-1] - self.at_ns[0]) / NS_PER_YEAR

    @cached_property
    def by_day(self) -> "Returns":
        """Returns from the last close of one UTC day to that of the next; of longer rows, from close to close."""
        return self._between(*self.calendar.days)

    @cached_property
    def by_month(self) -> "Returns":
        """Returns of calendar months in UTC; the first and the last may be parts of one."""
        return self._between(*self.calendar.months)

    @cached_property
    def whole_days(self) -> Floats:
        """Those of `by_day` that are of one day or less; raises `Undefined` where there are none."""
        days = self.by_day
        short = days.values[days.years <= 1.0001 / 365]
        if not len(short):
            raise Undefined("no return of one day")
        return short

    def _between(self, at: Ints, years: Floats) -> "Returns":
        """Returns from each of some places to the next, which so many years lie between."""
        usd = self.usd[at]
        for place in np.flatnonzero(usd <= 0)[:1].tolist():
            day = str((self.at_ns[at[place]] - 1).astype("datetime64[ns]").astype("datetime64[D]"))
            raise Undefined(f"the equity is not above 0 on {day}")
        return Returns(values=usd[1:] / usd[:-1] - 1, years=years)


@frozen(kw_only=True, eq=False)
class Returns:
    """Simple returns as fractions, and the time over which each came, in years; shape (periods,) both."""

    values: Floats
    years: Floats

    def above(self, rate: float) -> "Returns":
        """What they are above a constant rate per year, with compounding."""
        return Returns(values=self.values - np.expm1(np.log1p(rate) * self.years), years=self.years)

    @property
    def mean(self) -> float:
        """Mean per year: the sum of the returns over the time of all of them."""
        return float(self.values.sum() / self.years.sum())

    def volatility(self) -> float:
        """Standard deviation per year, a fraction, for returns over times of any length.

        Each squared deviation is divided by the time over which it came: sqrt(sum((r - mean x t)^2 / t) / (n - 1)). For
        returns over equal times that is their sample deviation times the square root of their number in a year.
        """
        count = len(self.values)
        if count < 2:
            raise Undefined("fewer than two returns")
        squares = (self.values - self.mean * self.years) ** 2 / self.years
        return float(np.sqrt(squares.sum() / (count - 1)))

    def sharpe(self) -> float:
        """Mean over volatility."""
        return self.mean / _some(self.volatility())

    def sortino(self) -> float:
        """Mean over the deviation of the returns below zero, sqrt(sum(min(r, 0)^2 / t) / n)."""
        if len(self.values) < 2:
            raise Undefined("fewer than two returns")
        squares = np.minimum(self.values, 0) ** 2 / self.years
        return self.mean / _some(float(np.sqrt(squares.mean())), "no return below the rate")


def _some(deviation: float, why: str = "no volatility") -> float:
    """A deviation to divide by; raises `Undefined` for none."""
    if deviation < NO_VOLATILITY:
        raise Undefined(why)
    return deviation


def growth_per_year(first_usd: float, last_usd: float, years: float) -> float:
    """Compound annual growth rate, a fraction; raises `Undefined` where no year can be made of it."""
    if last_usd <= 0:
        raise Undefined("the final equity is not above 0")
    if not years > 0:
        raise Undefined("no time passed")
    power = np.log(last_usd / first_usd) / years
    if power > np.log(1e6):
        raise Undefined("more than a million times a year: too short a time to be annualised")
    return float(np.expm1(power))


def deepest_drawdown(usd: Floats) -> float:
    """Largest fall from the highest value so far, as a fraction of it; above 0."""
    peak = np.maximum.accumulate(usd)
    return float(((peak - usd) / peak).max())


def longest_drawdown_days(at_ns: Ints, usd: Floats) -> float:
    """Longest time from a peak until the value is as high again, or until the end where it is not; days."""
    peaks = np.flatnonzero(usd == np.maximum.accumulate(usd))
    spans = np.diff(np.append(at_ns[peaks], at_ns[-1]))
    below = np.diff(np.append(peaks, len(usd))) > 1
    return float(spans[below].max(initial=0)) / NS_PER_DAY


def value_at_risk(returns: Floats) -> float:
    """The loss that the worst `TAIL` of the returns exceed, a fraction; their quantile, interpolated, sign reversed."""
    return -float(np.quantile(_enough(returns), TAIL))


def expected_shortfall(returns: Floats) -> float:
    """Mean loss of the returns at or beyond the value at risk, a fraction."""
    return -float(returns[_enough(returns) <= -value_at_risk(returns)].mean())


def _enough(returns: Floats) -> Floats:
    if len(returns) < LEAST_DAYS:
        raise Undefined(f"fewer than {LEAST_DAYS} days")
    return returns


@frozen(kw_only=True, eq=False)
class Subject:
    """What metrics are computed of: a path, the constant rate per year beside it, and the run where it is one's."""

    path: Path
    rate: float = 0.0

    @property
    def growth(self) -> float:
        """Compound annual growth rate, a fraction."""
        return growth_per_year(self.path.usd[0], self.path.usd[-1], self.path.years)

    def calmar(self) -> float:
        """Growth per year over the deepest drawdown."""
        return self.growth / _some(deepest_drawdown(self.path.usd), "no drawdown")


@frozen(kw_only=True)
class Metric:
    """A figure with all that a reader has to know of it; `of` raises `Undefined` where there is none."""

    name: str
    words: str
    """Its name in a report."""
    unit: str
    sign: str
    """What a positive value means."""
    formula: str
    of: Callable[[Any], float]
    """Computes it of a `Subject` or, where it is one of positions, of a `Run`."""


RETURN_METRICS = (
    Metric(
        name="cagr_pct", words="CAGR", unit="% per year", sign="a gain",
        formula="(final / capital)^(1 / years) - 1", of=lambda of: of.growth * 100,
    ),
    Metric(
        name="volatility_pct", words="Volatility", unit="% per year", sign="always",
        formula="sqrt(sum((r - m t)^2 / t) / (n - 1)), m = sum(r) / sum(t), over daily returns r of t years each",
        of=lambda of: of.path.by_day.volatility() * 100,
    ),
    Metric(
        name="sharpe", words="Sharpe ratio", unit="ratio", sign="above the rate",
        formula="m / volatility of e = r - ((1 + rate)^t - 1), m = sum(e) / sum(t)",
        of=lambda of: of.path.by_day.above(of.rate).sharpe(),
    ),
    Metric(
        name="sortino", words="Sortino ratio", unit="ratio", sign="above the rate",
        formula="m / sqrt(sum(min(e, 0)^2 / t) / n), e and m as for the Sharpe ratio",
        of=lambda of: of.path.by_day.above(of.rate).sortino(),
    ),
    Metric(
        name="calmar", words="Calmar ratio", unit="ratio", sign="a gain",
        formula="CAGR / deepest drawdown, the end included", of=lambda of: of.calmar(),
    ),
    Metric(
        name="longest_drawdown_days", words="Longest drawdown", unit="days", sign="always",
        formula="longest time from a peak until the equity is as high again, or until the end",
        of=lambda of: longest_drawdown_days(of.path.at_ns, of.path.usd),
    ),
    Metric(
        name="best_day_pct", words="Best day", unit="%", sign="a gain",
        formula="largest daily return", of=lambda of: float(of.path.whole_days.max()) * 100,
    ),
    Metric(
        name="worst_day_pct", words="Worst day", unit="%", sign="a gain",
        formula="least daily return", of=lambda of: float(of.path.whole_days.min()) * 100,
    ),
    Metric(
        name="best_month_pct", words="Best month", unit="%", sign="a gain",
        formula="largest return of a calendar month, parts of months included",
        of=lambda of: float(of.path.by_month.values.max()) * 100,
    ),
    Metric(
        name="worst_month_pct", words="Worst month", unit="%", sign="a gain",
        formula="least return of a calendar month, parts of months included",
        of=lambda of: float(of.path.by_month.values.min()) * 100,
    ),
    Metric(
        name="positive_months_pct", words="Positive months", unit="% of the months", sign="always",
        formula="months with a return above 0 / all months",
        of=lambda of: float((of.path.by_month.values > 0).mean()) * 100,
    ),
    Metric(
        name="value_at_risk_pct", words="Value at risk, 95 %, one day", unit="%", sign="a loss",
        formula="-(5 % quantile of the daily returns, interpolated between two of them)",
        of=lambda of: value_at_risk(of.path.whole_days) * 100,
    ),
    Metric(
        name="expected_shortfall_pct", words="Expected shortfall, 95 %, one day", unit="%", sign="a loss",
        formula="-(mean of the daily returns at or below that quantile)",
        of=lambda of: expected_shortfall(of.path.whole_days) * 100,
    ),
)  # fmt: skip
"""Metrics of a series of returns: of a run's equity and of its benchmarks."""


def mean_of_time(market: Market, values: Floats) -> float:
    """Mean of a value by row, weighted with the length of the rows."""
    return float((values * market.years).sum() / market.years.sum())


def gross_exposure(run: Run) -> float:
    """Mean over time of the notional of all positions over the equity."""
    notional = sum(run.curve.notional_usd_by_venue.values(), np.zeros(len(run.market)))
    worth = run.curve.equity_usd
    for row in np.flatnonzero((worth <= 0) & (notional > 0))[:1].tolist():
        raise Undefined(f"the equity is not above 0 on {run.market.date(row)}")
    return mean_of_time(run.market, np.divide(notional, worth, out=np.zeros_like(worth), where=notional > 0))


def max_unhedged_pct(run: Run) -> float:
    """Largest net delta over the long and short positions of the same row, percent."""
    gross = run.curve.gross_size
    held = gross > 0
    return float((np.abs(run.curve.net_size[held]) / gross[held]).max(initial=0.0)) * 100


def turnover_usd(run: Run) -> float:
    """What was bought and sold, USD: the dollars of all transfers of the kind `trade`."""
    records, ledger = run.ledger.records(), run.ledger
    if "trade" not in ledger.kinds:
        return 0.0
    traded = (records["kind"] == ledger.kinds.index("trade")) & (records["asset"] == ledger.assets.index(USDC))
    return USDC.units(int(records["amount"][traded].sum()))


def turnover_per_year(run: Run) -> float:
    """What was bought and sold per year, as a multiple of the mean equity."""
    worth, years = mean_of_time(run.market, run.curve.equity_usd), Path.of(run).years
    if worth <= 0:
        raise Undefined("the mean equity is not above 0")
    return turnover_usd(run) / worth / years


def cost_bps(run: Run) -> float:
    """Fees of what was done, without those that run with time, over the turnover; basis points."""
    traded = turnover_usd(run)
    if not traded:
        raise Undefined("nothing was traded")
    running = sum(running_fees_usd(run).values())
    return float(-waterfall(run).fees - running) / traded * 10_000


def funding_yield_pct(run: Run) -> float:
    """Funding received less paid, over the notional on which it was settled and its time; percent per year."""
    settled, market = run.events.settlements, run.market
    scales = {asset.code: asset.scale for asset in run.ledger.assets}
    received = notional = 0.0
    for place, stream in enumerate(settled.of):
        if issubclass(stream.event, FundingSettled):
            received += USDC.units(int(settled.gains[settled.streams == place].sum()))
            notional += float((np.abs(stream.size) / scales.get(stream.asset, 1) * stream.price * market.years).sum())
    if not notional:
        raise Undefined("no position was paid funding on")
    return received / notional * 100


def min_liquidation_distance_pct(run: Run) -> float:
    """Least move of a mark, from the close of a row, that would have liquidated a position; percent."""
    least = [float(np.nanmin(each)) for each in run.liquidation_distances.values() if not np.isnan(each).all()]
    if not least:
        raise Undefined("no position had a liquidation price")
    return min(least) * 100


POSITION_METRICS = (
    Metric(
        name="time_in_market_pct", words="Time in the market", unit="% of the time", sign="always",
        formula="time of the rows at whose close a position was held / time of all rows",
        of=lambda run: mean_of_time(run.market, run.curve.gross_size > 0) * 100,
    ),
    Metric(
        name="gross_exposure", words="Gross exposure, mean", unit="x equity", sign="always",
        formula="mean over time of the sum of the notionals / equity, at the rows' closes", of=gross_exposure,
    ),
    Metric(
        name="max_unhedged_pct", words="Largest unhedged exposure, of both legs", unit="%", sign="always",
        formula="largest abs(net delta) / (long + short), in coins, at the rows' closes", of=max_unhedged_pct,
    ),
    Metric(
        name="min_liquidation_distance_pct", words="Least distance to liquidation", unit="% of the price",
        sign="not yet liquidated",
        formula="least of (mark - liquidation price) / mark for a long, (liquidation price - mark) / mark for a short, "
        "over all positions and rows' closes",
        of=min_liquidation_distance_pct,
    ),
    Metric(
        name="turnover_usd", words="Turnover", unit="USD", sign="always",
        formula="sum of the dollars that were traded for positions, bought and sold", of=turnover_usd,
    ),
    Metric(
        name="turnover_per_year", words="Turnover per year", unit="x equity", sign="always",
        formula="turnover / mean equity over time / years", of=turnover_per_year,
    ),
    Metric(
        name="cost_bps", words="Fees per unit of turnover", unit="bps", sign="a cost",
        formula="(fees - fees that run with time) / turnover", of=cost_bps,
    ),
    Metric(
        name="funding_yield_pct", words="Funding per unit of notional", unit="% per year", sign="received",
        formula="sum of funding / sum(abs(size) x price x years of the row)", of=funding_yield_pct,
    ),
)  # fmt: skip
"""Metrics of the positions of a run."""

SWEPT_METRICS = RETURN_METRICS[:4]
"""Those of them that each cell of a sweep has besides its figures: growth, volatility, Sharpe and Sortino ratio."""
METRICS = RETURN_METRICS + POSITION_METRICS
"""All of them, in the order of `docs/metrics.md`."""


@frozen(kw_only=True)
class Measured:
    """Metrics by name: those that exist, and why the others do not."""

    values: Mapping[str, float]
    undefined: Mapping[str, str]

    @classmethod
    def of(cls, metrics: tuple[Metric, ...], subject: object) -> "Measured":
        """Compute metrics of one subject."""
        values, undefined = dict[str, float](), dict[str, str]()
        for metric in metrics:
            try:
                value = metric.of(subject)
            except Undefined as why:
                undefined[metric.name] = str(why)
                continue
            if np.isfinite(value):
                values[metric.name] = float(value) + 0.0
            else:
                undefined[metric.name] = "not a finite number"
        return cls(values=values, undefined=undefined)

    def __or__(self, other: "Measured") -> "Measured":
        return Measured(values={**self.values, **other.values}, undefined={**self.undefined, **other.undefined})

    def plain(self) -> dict[str, float | None]:
        """All of them by name, None where there is none."""
        return {**self.values, **dict.fromkeys(self.undefined)}


def measure(run: Run, rate: float = 0.0) -> Measured:
    """All metrics of a run; `rate` is the constant rate per year that Sharpe and Sortino ratios are above."""
    returns = Measured.of(RETURN_METRICS, Subject(path=Path.of(run), rate=rate))
    return returns | Measured.of(POSITION_METRICS, run)


def swept(run: Run, rate: float = 0.0) -> dict[str, float | int | str | None]:
    """What a cell of a sweep tells of its run: all figures, and `SWEPT_METRICS`."""
    found = figures(run)
    path = Path.of(run, float(found["final_equity_usd"]))
    return {**found, **Measured.of(SWEPT_METRICS, Subject(path=path, rate=rate)).plain()}


def time_at_leverage_pct(run: Run) -> dict[str, dict[str, float]]:
    """By venue: range of leverage -> percent of the time at whose rows' closes the leverage was in it.

    A range such as `2-3` is above its first number and up to its second; `0` is without a position, `>20` has no end.
    """
    found = {}
    weights = run.market.years / run.market.years.sum() * 100
    for venue, leverage in run.curve.leverage_by_venue.items():
        places = np.searchsorted(LEVERAGES, leverage, side="left")
        sums = np.bincount(places, weights=weights, minlength=len(LEVERAGES))
        if places.any():
            found[venue] = {leverage_range(place): float(each) for place, each in enumerate(sums) if each}
    return found


def leverage_range(place: int) -> str:
    """The name of a range of leverage, by its place among them."""
    if not place:
        return "0"
    below, above = LEVERAGES[place - 1 : place + 1]
    return f">{below:g}" if above == np.inf else f"{below:g}-{above:g}"


@frozen(kw_only=True)
class Benchmark:
    """What the capital would have become otherwise, without costs; `words` name it in a report.

    It is held in `coin`, an empty text for the market's only one, or in dollars where that is None. It grows by the
    yearly rate in the market column `lending`, or by the constant `rate` per year with compounding.
    """

    name: str
    words: str
    coin: str | None = None
    lending: str | None = None
    rate: float = 0.0

    def path(self, market: Market, capital_usd: float, opened_at: At, since_ns: int) -> Path:
        """Its value over a market, from the capital on; raises `MarketError` where the market lacks its column.

        A coin is bought at the price of the first row at `opened_at`, and earns from `since_ns` on.
        """
        worth = np.ones(len(market))
        if self.coin is not None:
            bought = market[market.price_column(self.coin, opened_at)][0]
            worth *= market[market.price_column(self.coin)] / bought
        if self.lending is not None:
            worth *= np.cumprod(1 + np.where(market.at_ns > since_ns, row_rate(market, self.lending), 0.0))
        if self.rate:
            years = (market.at_ns + TICK_NS - market.open_ns[0]) / NS_PER_YEAR
            worth *= np.exp(np.log1p(self.rate) * years)
        closes = capital_usd * worth
        return Path.over(market, capital_usd, closes, closes[-1])

    def beside(self, run: Run) -> Path:
        """Its value over the market of a run, with the run's capital and from its start on."""
        since_ns = int(run.ledger.records()["at_ns"][0])
        return self.path(run.market, USDC.units(run.capital), run.opened_at, since_ns)


def benchmarks(run: Run, spec: Benchmarks | None = None) -> Iterator[Benchmark]:
    """Holding the coin, or each of several; lending it out; and a constant rate, where one is given."""
    coins = list(run.curve.delta_by_coin) or [run.market.coin]
    for coin in coins:
        yield Benchmark(name=f"holding_{coin}".rstrip("_"), words=f"Holding {coin or 'the coin'}", coin=coin)
    lent = _lent(run, spec.lending if spec else None, coins)
    if lent is not None:
        column, lent_coin = lent
        what = lent_coin or column.partition("_")[0].upper()
        yield Benchmark(name=f"lending_{what}", words=f"Lending {what}", coin=lent_coin or None, lending=column)
    if spec is not None and spec.rate:
        yield Benchmark(name="constant_rate", words=f"{spec.rate * 100:g} % a year", rate=spec.rate)


def _lent(run: Run, column: str | None, coins: list[str]) -> tuple[str, str] | None:
    """The column of the lending benchmark's rate and its coin, empty for dollars; None where nothing is lent."""
    if column is not None:
        code = column.partition("_")[0].upper()
        return column, code if code in coins else ""
    for each in run.accruals:
        deposit = each.debit.owned and each.on is each.debit and each.debit.asset.coin in coins
        if deposit and each.basis == "compounding" and issubclass(each.event, InterestAccrued):
            return column_of(run.market, each.rate), each.debit.asset.coin
    return None


def max_drawdown_pct(run: Run, final_usd: float | None = None) -> float:
    """Largest fall of the equity from its peak so far: from the capital, over the rows' closes, to the end; percent."""
    return deepest_drawdown(Path.of(run, final_usd).usd) * 100


def drawdown_at_closes_pct(run: Run) -> float:
    """The same without the end, as the study has it: what closing the positions costs is left out; percent."""
    return deepest_drawdown(Path.of(run, final_usd=float(run.curve.equity_usd[-1])).usd) * 100


def row_deviation_pct(run: Run) -> float:
    """Standard deviation of the returns from close to close, percent."""
    curve = run.curve.equity_usd
    before = curve[:-1]
    return float(((curve[1:] - before) / np.where(before > 0, before, np.inf)).std() * 100) if len(curve) > 1 else 0.0


def days(run: Run) -> float:
    """Elapsed time for which the capital was given, in days: from the first row, also where rows are missing."""
    market = run.market
    return float(market.at_ns[-1] + TICK_NS - market.open_ns[0]) / NS_PER_DAY


def annualized_pct(return_pct: float, days: float) -> float:
    """A simple return spread over a year of 365 days, without compounding; 0 where no time passed."""
    return return_pct * 365 / days if days else 0.0


FIGURES = {
    "carry_usd": "carry",
    "funding_usd": "funding",
    "staking_income_usd": "staking",
    "liquidation_penalty_usd": "liquidation_penalty",
    "price_pnl_usd": "price_pnl",
    "execution_usd": "execution",
    "bad_debt_usd": "bad_debt",
    "other_income_usd": "other_income",
    "unexplained_usd": "unexplained",
    "mtm_drag_usd": "study_drag",
    "total_fees_usd": "fees",
}
"""Metric -> field of the `Waterfall`."""
COSTS = {"liquidation_penalty_usd", "total_fees_usd"}
"""Metrics that are costs: they are positive where the field of the `Waterfall` is negative."""


def figures(run: Run) -> dict[str, float | int | str]:
    """What a run came to: money in USD, percentages in percent, counts, and the head of the ledger's chain."""
    worth = Worth.of(run)
    falls = waterfall_of(worth, run.capital)
    final = decimal(worth.equity())
    capital = USDC.decimal(run.capital)
    fees = fees_of(worth)
    tally, value_usd, close = run.tally, run.curve.equity_usd, run.market[run.market.price_column("")]
    return_pct = float((final / capital - 1) * 100)
    return {
        "capital_usd": float(capital),
        "final_equity_usd": float(final),
        "return_pct": return_pct,
        "annualized_return_pct": annualized_pct(return_pct, days(run)),
        "total_fees_usd": float(-falls.fees),
        "bridge_usd": float(fees["Expenses:Bridge:Fee"]),
        "liquidation_penalty_usd": float(-falls.liquidation_penalty),
        "carry_usd": float(falls.carry),
        "funding_usd": float(falls.funding),
        "staking_income_usd": float(falls.staking),
        "mtm_drag_usd": float(falls.study_drag),
        "price_pnl_usd": float(falls.price_pnl),
        "execution_usd": float(falls.execution),
        "bad_debt_usd": float(falls.bad_debt),
        "other_income_usd": float(falls.other_income),
        "unexplained_usd": float(falls.unexplained),
        "maintenance_fee_usd": float(sum(fees.get(name, 0) for name in _running_with_time(run))),
        "min_value_usd": float(value_usd.min()),
        "max_value_usd": float(value_usd.max()),
        "max_drawdown_pct": max_drawdown_pct(run, float(final)),
        "drawdown_at_closes_pct": drawdown_at_closes_pct(run),
        "row_deviation_pct": row_deviation_pct(run),
        "price_move_pct": float((close[-1] / close[0] - 1) * 100),
        "max_net_delta_coins": float(np.abs(run.curve.net_size).max()),
        "capital_rebalances": tally.capital_rebalances,
        "full_rotations": tally.full_rotations,
        "rotations": tally.rotations,
        "forced_rotations": tally.forced_rotations,
        "apy_exits": tally.apy_exits,
        "margin_calls": tally.margin_calls,
        **{f"{asset.code.lower()}_units": asset.units(run.ledger.holding(asset)) for asset in _tokens(run)},
        "short_units": _short_units(run),
        "liquidations": tally.liquidations,
        "rows": len(run.market),
        "days": days(run),
        "transfers": len(run.ledger),
        "events": len(run.events),
        "ledger_digest": run.ledger.digest,
    }


def outcome(run: Run) -> dict[str, float | int | None]:
    """What is kept of one run among very many: some of its `figures`, and equal to those."""
    return outcome_of(
        market=run.market,
        capital=run.capital,
        equity_usd=run.curve.equity_usd,
        balances=run.balances.items(),
        liquidations=[(each.at_ns, each.bad_debt) for each in run.single if isinstance(each, Liquidated)],
        rebalances=run.tally.capital_rebalances,
    )


def outcome_of(
    *,
    market: Market,
    capital: int,
    equity_usd: Floats,
    balances: Iterable[tuple[Account, int]],
    liquidations: Sequence[tuple[int, int]],
    rebalances: int,
) -> dict[str, float | int | None]:
    """The same from its parts: the equity at the closes, the balances at the end, and what happened.

    `liquidations` have the instant of each and what it cost the venue. `first_liquidation_days` counts from the open of
    the first row; None without a liquidation.
    """
    final, capital_usd = decimal(worth_at_end(balances, market)), USDC.decimal(capital)
    usd = np.concatenate(([USDC.units(capital)], equity_usd, [float(final)]))
    first_ns = liquidations[0][0] - int(market.open_ns[0]) if liquidations else None
    return {
        "final_equity_usd": float(final),
        "return_pct": float((final / capital_usd - 1) * 100),
        "max_drawdown_pct": deepest_drawdown(usd) * 100,
        "liquidations": len(liquidations),
        "first_liquidation_days": None if first_ns is None else first_ns / NS_PER_DAY,
        "bad_debt_usd": USDC.units(sum(bad_debt for _, bad_debt in liquidations)),
        "capital_rebalances": rebalances,
    }


def _tokens(run: Run) -> list[Asset]:
    """The coins and tokens that accounts of a run hold: neither dollars nor contracts."""
    return [asset for asset in run.ledger.assets if asset != USDC and not asset.code.endswith(PERPETUAL)]


def _running_with_time(run: Run) -> set[str]:
    """The accounts of fees in dollars that venues declare to accrue, such as an issuer's maintenance fee."""
    return {each.debit.name for each in run.accruals if each.event is FeeAccrued and each.debit.asset == USDC}


def _short_units(run: Run) -> float:
    """Coins that are sold short at the end of all venues' positions; of several, in the market's coin at the close."""
    balances, market, total = run.balances, run.market, 0.0
    for account in (each for venue in run.venues for each in venue.position_accounts()):
        coins = account.asset.units(max(0, -balances.get(account, 0)))
        if coins:
            own, main = market.price_column(account.asset), market.price_column("")
            total += coins * (float(market[own][-1] / market[main][-1]) if own != main else 1.0)
    return total


Summary = dict[str, Any]
CALL = ("date", "margin_usd", "size")
"""What the summary has of a margin call: its day, the margin that was called, and the cut in coins."""


def metrics(run: Run, rate: float = 0.0) -> dict[str, float | int | str | None]:
    """All figures of a run and all its metrics by name; None for a metric that does not exist for it.

    `rate` is the constant rate per year, a fraction, that Sharpe and Sortino ratios are above.
    """
    return {**figures(run), **measure(run, rate).plain()}


def summarize(assembly: Assembly, run: Run) -> Summary:
    """Figures, metrics and benchmarks under the names that scripts use, with the scenario's name and the data's label.

    A metric that does not exist is None, and `undefined` says why.
    """
    lines = [asdict(line, filter=lambda _, value: value not in (None, "")) for line in chronicle(run)]
    calls = [{key: line[key] for key in CALL} for line in lines if line["kind"] == "margin call"]
    spec = assembly.scenario.benchmarks
    rate = spec.rate if spec else 0.0
    measured = measure(run, rate)
    return {
        "scenario": assembly.scenario.name,
        "data": run.market.label or "files",
        **figures(run),
        **({"first_margin_call": calls[0], "last_margin_call": calls[-1]} if calls else {}),
        **measured.plain(),
        "undefined": dict(measured.undefined),
        "time_at_leverage_pct": time_at_leverage_pct(run),
        "benchmark_rate": rate,
        "benchmarks": {
            each.name: {
                **asdict(each, filter=lambda field, _: field.name != "name"),
                **compared(each.beside(run), rate),
            }
            for each in benchmarks(run, spec)
        },
        "liquidated": [asdict(each) for each in liquidations(run)],
        "log": lines,
    }


def compared(path: Path, rate: float = 0.0) -> dict[str, float | None]:
    """The figures of a benchmark by the names of the run's; None for what does not exist."""
    return_pct = float(path.usd[-1] / path.usd[0] - 1) * 100
    return {
        "final_equity_usd": float(path.usd[-1]),
        "return_pct": return_pct,
        "annualized_return_pct": annualized_pct(return_pct, path.years * 365),
        "max_drawdown_pct": deepest_drawdown(path.usd) * 100,
        **Measured.of(RETURN_METRICS, Subject(path=path, rate=rate)).plain(),
    }


LEVERAGE_RANGES = tuple(leverage_range(place) for place in range(len(LEVERAGES)))
"""The names of the ranges of leverage, from none to the highest."""
