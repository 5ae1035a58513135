"""Robust statistics of durations: nothing is assumed about their distribution, and no outlier is dropped."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

# MLPerf LoadGen's floors: with fewer samples a percentile's interval at 99 % confidence is too wide to print.
P90_FLOOR = 64
P99_FLOOR = 662
CONFIDENCE = 0.95
RESAMPLES = 2000


def median_interval(samples: ArrayLike) -> tuple[float, float] | None:
    """A 95 % interval of the median from order statistics, which holds for any distribution.

    The k-th smallest and k-th largest of n samples enclose the median with probability
    ``1 - 2 P(Binomial(n, 1/2) < k)`` (David & Nagaraja, "Order Statistics", 7.1); k is the largest that
    reaches 95 %.

    Args:
        samples: ``(n,)``.

    Returns:
        Low and high, or None when n is below 6 and no such k exists.

    >>> median_interval([1, 2, 3, 4, 5, 6])
    (1.0, 6.0)
    """
    values = np.sort(np.asarray(samples, dtype=float))
    # The smallest k with P(X <= k) of at least 2.5 %, so that P(X < k) is below it.
    k = int(binom.ppf((1 - CONFIDENCE) / 2, len(values), 0.5))
    if k < 1:
        return None
    return float(values[k - 1]), float(values[-k])


def median_deviation(samples: ArrayLike) -> float:
    """Median absolute deviation from the median, unscaled.

    >>> median_deviation([1, 2, 3, 4, 100])
    1.0
    """
    values = np.asarray(samples, dtype=float)
    return float(np.median(np.abs(values - np.median(values))))


def percentile(samples: ArrayLike, percent: float, floor: int) -> float | None:
    """A percentile, or None with fewer than ``floor`` samples."""
    values = np.asarray(samples, dtype=float)
    return float(np.percentile(values, percent)) if len(values) >= floor else None


def ratio_interval(numerator: ArrayLike, denominator: ArrayLike, seed: int) -> tuple[float, float] | None:
    """A 95 % interval of ``median(numerator) / median(denominator)`` by bootstrap over rounds.

    Both are resampled with the same rounds, so that drift common to both cancels as it did in the run.

    Args:
        numerator: ``(rounds,)``.
        denominator: ``(rounds,)``, measured in the same rounds.
        seed: Of the resampling.

    Returns:
        Low and high; None under 6 rounds, where 95 % cannot be reached.
    """
    top, bottom = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    if len(top) != len(bottom):
        raise ValueError(f"{len(top)} and {len(bottom)} rounds cannot be paired")
    if len(top) < 6:
        return None
    picks = np.random.default_rng(seed).integers(0, len(top), (RESAMPLES, len(top)))
    ratios = np.median(top[picks], axis=1) / np.median(bottom[picks], axis=1)
    low, high = np.quantile(ratios, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
