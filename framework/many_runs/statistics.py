"""Statistics of results: how sure a figure is, and how much of a choice is luck."""

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import NormalDist

import numpy as np
from attrs import evolve, field, frozen

from framework.market import Floats, Ints

CONFIDENCE = 0.95
"""The confidence of the bound of a share on which all paths agree."""


@frozen(kw_only=True)
class Estimate:
    """A figure with its standard error.

    `influence` has a value per path, shape (paths,), whose mean is the figure up to terms that vanish faster than the
    error: so the error of a difference of two figures on the same paths is that of the difference of their influences.
    With `pairs` paths 2k - 1 and 2k are not independent of each other. `share` is that of the paths on which the error
    rests: a tail's for a figure of a tail.
    """

    value: float
    influence: Floats = field(repr=False, eq=False)
    pairs: bool = False
    share: float = 1.0

    @property
    def count(self) -> int:
        """How many independent paths, or pairs of them, there are."""
        return len(self.influence) // 2 if self.pairs else len(self.influence)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the error, at least 1."""
        return max(1, round(self.share * self.count) - 1)

    @property
    def error(self) -> float:
        """One standard error; NaN for fewer than two independent paths, and where the figure is not finite."""
        values = self.influence
        if not np.isfinite(values).all():
            return math.nan
        if self.pairs:
            values = values[: 2 * self.count].reshape(-1, 2).mean(axis=1)
        return float(values.std(ddof=1) / math.sqrt(self.count)) if self.count > 1 else math.nan

    def less(self, other: "Estimate") -> "Estimate":
        """The difference of two figures on the same paths; NaN where neither is finite."""
        with np.errstate(invalid="ignore"):
            influence = self.influence - other.influence
        return Estimate(
            value=self.value - other.value,
            influence=influence,
            pairs=self.pairs or other.pairs,
            share=min(self.share, other.share),
        )

    def words(self, places: int = 1, sign: str = "+") -> str:
        """The figure and its error, as a table shows them; the figure alone where the error is not known.

        `sign` is `-` for figures of which only those below 0 have one.
        """
        return with_error(self.value, self.error, places, sign)

    def percent(self) -> str:
        """A share and its error in percent, as a table shows them.

        Where all paths agree there is no spread: the error is then how far off the share may be at 95 % confidence.
        """
        if self.value in (0.0, 1.0) and self.count > 1:
            off = 100 * (1 - (1 - CONFIDENCE) ** (1 / self.count))
            places = max(1, _places(off))
            off = math.ceil(off * 10**places) / 10**places
            bound = f"< {off:.{places}f}" if self.value == 0.0 else f"> {100 - off:.{places}f}"
            return f"{100 * self.value:.1f}, {bound} %"
        return f"{with_error(100 * self.value, 100 * self.error, sign='-')} %"


def with_error(value: float, error: float, places: int = 1, sign: str = "+") -> str:
    """A figure and its error with as many decimals as the error needs to show; without it where it is not known."""
    if math.isnan(value):
        return "unknown"
    if error > LEAST:
        places = max(places, _places(error))
    return f"{value:{sign}.{places}f}" + ("" if math.isnan(error) else f" ± {error:.{places}f}")


LEAST = 1e-6
"""An error below which it is that of rounding."""


def _places(value: float) -> int:
    """How many decimals show the first digit of a value above 0."""
    return -math.floor(math.log10(value))


def mean(values: Floats, *, pairs: bool = False) -> Estimate:
    """The mean of independent values, shape (paths,)."""
    return Estimate(value=float(values.mean()), influence=values, pairs=pairs)


def quantile(values: Floats, level: float, *, pairs: bool = False) -> Estimate:
    """The quantile at a level between 0 and 1, by linear interpolation.

    Its influence takes the density from the values one binomial standard deviation below and above it. Its error is NaN
    where less than one value lies beyond it, and where all paths (or pairs) say the same although values differ there.
    """
    found, count, share = float(np.quantile(values, level)), len(values), min(level, 1 - level)
    width = math.sqrt(level * (1 - level) / count)
    below, above = np.quantile(values, [max(0.0, level - width), min(1.0, level + width)])
    reach = min(1.0, level + width) - max(0.0, level - width)
    slope = float(above - below) / reach
    influence: Floats = found + slope * (level - (values <= found).astype(np.float64))
    estimate = Estimate(value=found, influence=influence, pairs=pairs, share=share)
    if round(share * count, 9) < 1 or (slope > 0 and estimate.error <= TINY * slope):
        return evolve(estimate, influence=np.full(count, math.nan))
    return estimate


def expected_shortfall(values: Floats, level: float, *, pairs: bool = False) -> Estimate:
    """The mean of the worst share `level` of the values, of which the last counts in part.

    Its error is NaN where that is a part of one value: the values do not say what lies beyond the least of them.
    """
    ordered, worst = np.sort(values), level * len(values)
    whole = int(worst)
    total = float(ordered[:whole].sum()) + (worst - whole) * float(ordered[min(whole, len(values) - 1)])
    edge = float(ordered[min(whole, len(values) - 1)])
    influence: Floats = edge + np.minimum(values - edge, 0.0) / level
    if not whole:
        influence = np.full(len(values), math.nan)
    return Estimate(value=total / worst, influence=influence, pairs=pairs, share=level)


def finite(value: float) -> float | None:
    """A figure as JSON can hold it: None for NaN and for an infinite one."""
    return value if math.isfinite(value) else None


NORMAL = NormalDist()
EULER = 0.5772156649015329
"""The constant of Euler and Mascheroni."""
BLOCKS = 16
"""Blocks into which a history is cut for the cross-validation: 12,870 ways to take half of them."""


def sharpe(returns: Floats) -> Floats:
    """Mean over standard deviation of the columns of returns, shape (rows, cells), by row; 0 where nothing varies."""
    return _sharpe_of(returns.mean(axis=0), returns.var(axis=0))


TINY = 1e-15
"""A deviation of returns below which they do not vary."""
ROUNDING = 1e-13
"""The share of a mean square below which a variance is that of rounding."""


def overfitting(returns: Floats, blocks: int = BLOCKS) -> float:
    """The probability of backtest overfitting of returns by row, shape (rows, cells).

    Combinatorially symmetric cross-validation (Bailey, Borwein, Lopez de Prado and Zhu 2017): of `blocks` blocks each
    half is a sample in which the cell with the best Sharpe ratio is chosen, and the rest is where it is ranked; the
    probability is how often it is not above the median there. Ties share their rank. NaN for fewer than two cells or
    fewer than two rows in a block.
    """
    size = len(returns) // blocks
    if returns.shape[1] < 2 or size < 2:
        return math.nan
    cut = returns[len(returns) - size * blocks :].reshape(blocks, size, -1)
    sums, squares = cut.sum(axis=1), (cut**2).sum(axis=1)
    halves = np.array(list(combinations(range(blocks), blocks // 2)))
    chosen = np.zeros((len(halves), blocks))
    chosen[np.arange(len(halves))[:, None], halves] = 1.0
    count = size * blocks // 2
    means, mean_squares = ([half @ each / count for half in (chosen, 1 - chosen)] for each in (sums, squares))
    inside, outside = (_sharpe_of(each, square - each**2) for each, square in zip(means, mean_squares, strict=True))
    best = inside.argmax(axis=1)
    theirs = outside[np.arange(len(halves)), best][:, None]
    rank = (outside < theirs).sum(axis=1) + ((outside == theirs).sum(axis=1) + 1) / 2
    return float((rank <= (returns.shape[1] + 1) / 2).mean())


def _sharpe_of(means: Floats, variances: Floats) -> Floats:
    """Means over deviations; 0 where a variance is no more than rounding."""
    varies = variances > np.maximum(TINY**2, ROUNDING * means**2)
    return np.divide(
        means, np.sqrt(variances, where=varies, out=np.ones_like(means)), out=np.zeros_like(means), where=varies
    )


def best_of_luck(variance: float, trials: int) -> float:
    """The Sharpe ratio that the best of `trials` without skill is expected to reach, whose ratios have a variance."""
    if trials < 2:
        return 0.0
    quantiles = NORMAL.inv_cdf(1 - 1 / trials), NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - EULER) * quantiles[0] + EULER * quantiles[1])


def deflated_sharpe(
    ratio: float, *, rows: int, skewness: float, kurtosis: float, variance: float, trials: int
) -> float:
    """The probability that a Sharpe ratio is above what the best of `trials` without skill would reach.

    The deflated Sharpe ratio of Bailey and Lopez de Prado (2014). `ratio` is by row, `variance` that of the ratios of
    all trials; `kurtosis` is 3 for a normal distribution.
    """
    spread = math.sqrt(max(TINY, 1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2))
    return NORMAL.cdf((ratio - best_of_luck(variance, trials)) * math.sqrt(rows - 1) / spread)


def moments(returns: Floats) -> tuple[float, float]:
    """Skewness and kurtosis of values, shape (rows,); those of a normal distribution where nothing varies."""
    around = returns - returns.mean()
    variance = float((around**2).mean())
    if variance <= TINY**2:
        return 0.0, 3.0
    return float((around**3).mean() / variance**1.5), float((around**4).mean() / variance**2)


def confidence_set(returns: Floats, picked: Ints) -> Floats:
    """The model confidence set of Hansen, Lunde and Nason (2011): a p-value for each cell, shape (cells,).

    `returns` have shape (rows, cells), `picked` are the rows of each bootstrap sample, shape (samples, rows). Cells are
    eliminated from the worst on by the statistic T_max; those with a p-value above 0.1 cannot be told from the best
    with 90 % confidence. A cell that is the same as another in every row shares its fate.
    """
    means, alike = returns.mean(axis=0), np.stack([returns[rows].mean(axis=0) for rows in picked])
    left, values, least = list(range(returns.shape[1])), np.ones(returns.shape[1]), 0.0
    while len(left) > 1:
        behind = means[left].mean() - means[left]
        drawn = alike[:, left].mean(axis=1)[:, None] - alike[:, left] - behind
        error = np.sqrt((drawn**2).mean(axis=0))
        known, certain = error > TINY, (error <= TINY) & (behind > TINY)
        if not (known | certain).any():
            break
        scores = np.where(known, behind / np.where(known, error, 1.0), np.where(certain, np.inf, -np.inf))
        highest = np.where(known, drawn / np.where(known, error, 1.0), -np.inf).max(axis=1)
        least = max(least, float((highest >= scores.max()).mean()))
        worst = [at for at in range(len(left)) if scores[at] == scores.max()]
        for at in reversed(worst):
            values[left.pop(at)] = least
    if left:
        values[left] = 1.0
    return values


def no_better(best: Estimate, others: Sequence[Estimate]) -> list[float]:
    """p-values that the cell which is best on the paths is no better than each other cell, on the same paths.

    One-sided paired t-tests. The best one was chosen by the same figures, so it could be any of the cells: the least
    p-value counts once for each ordered pair of them, the next for each pair of those that are left without the first,
    and so on. Where all cells are equally good, none differs significantly from the best in 95 of 100 cases.
    """
    values = []
    for other in others:
        lead = best.less(other)
        if lead.error > 0:
            values.append(student_tail(lead.value / lead.error, lead.freedom))
        else:  # the same lead on every path, or too few paths for an error
            values.append(0.0 if lead.error == 0 < lead.value else 1.0)
    order, found, least = sorted(range(len(values)), key=values.__getitem__), [1.0] * len(values), 0.0
    for place, at in enumerate(order):
        left = len(values) + 1 - place
        least = max(least, min(1.0, values[at] * left * (left - 1)))
        found[at] = least
    return found


def student_tail(value: float, freedom: int) -> float:
    """The chance that Student's t with so many degrees of freedom is above a value, by its finite series."""
    angle = math.atan(value / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    terms = np.arange(2 + freedom % 2, freedom, 2)
    series = 1 + np.cumprod((terms - 1) / terms * cosine**2).sum()
    if freedom % 2 == 0:
        within = sine * series
    else:
        within = 2 / math.pi * (angle + (sine * cosine * series if freedom > 1 else 0.0))
    return float(1 - within) / 2
