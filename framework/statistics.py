"""Statistics of results: how sure a figure is, and how much of a choice is luck."""

import math

import numpy as np
from attrs import field, frozen

from framework.market import Floats


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


@frozen(kw_only=True)
class Estimate:
    """A figure with its standard error.

    `influence` has a value per path, shape (paths,), whose mean is the figure up to terms that vanish faster than the
    error: so the error of a difference of two figures on the same paths is that of the difference of their influences.
    With `pairs` paths 2k - 1 and 2k are not independent of each other.
    """

    value: float
    influence: Floats = field(repr=False, eq=False)
    pairs: bool = False

    @property
    def error(self) -> float:
        """One standard error; NaN for fewer than two independent paths."""
        values = self.influence
        if self.pairs:
            values = values[: len(values) // 2 * 2].reshape(-1, 2).mean(axis=1)
        return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan

    def less(self, other: "Estimate") -> "Estimate":
        """The difference of two figures on the same paths."""
        return Estimate(
            value=self.value - other.value, influence=self.influence - other.influence, pairs=self.pairs or other.pairs
        )

    def words(self, places: int = 1) -> str:
        """The figure and its error, as a table shows them."""
        return f"{self.value:+.{places}f} ± {self.error:.{places}f}"


def mean(values: Floats, *, pairs: bool = False) -> Estimate:
    """The mean of independent values, shape (paths,)."""
    return Estimate(value=float(values.mean()), influence=values, pairs=pairs)


def quantile(values: Floats, level: float, *, pairs: bool = False) -> Estimate:
    """The quantile at a level between 0 and 1, by linear interpolation.

    Its influence takes the density from the values one binomial standard deviation below and above it.
    """
    found, count = float(np.quantile(values, level)), len(values)
    width = math.sqrt(level * (1 - level) / count)
    below, above = np.quantile(values, [max(0.0, level - width), min(1.0, level + width)])
    reach = min(1.0, level + width) - max(0.0, level - width)
    slope = float(above - below) / reach
    influence: Floats = found + slope * (level - (values <= found).astype(np.float64))
    return Estimate(value=found, influence=influence, pairs=pairs)


def expected_shortfall(values: Floats, level: float, *, pairs: bool = False) -> Estimate:
    """The mean of the worst share `level` of the values, of which the last counts in part."""
    ordered, worst = np.sort(values), level * len(values)
    whole = int(worst)
    total = float(ordered[:whole].sum()) + (worst - whole) * float(ordered[min(whole, len(values) - 1)])
    edge = float(ordered[min(whole, len(values) - 1)])
    influence: Floats = edge + np.minimum(values - edge, 0.0) / level
    return Estimate(value=total / worst, influence=influence, pairs=pairs)
