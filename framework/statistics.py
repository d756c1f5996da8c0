"""Statistics of results: how sure a figure is, and how much of a choice is luck."""

import math

import numpy as np

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
