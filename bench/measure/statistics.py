"""Robust statistics of durations: nothing is assumed about their distribution, and no outlier is dropped.

Rounds that follow one another are not independent: clocks drift and modes last. Intervals count the rounds by what they
are worth, the effective sample size, and where a case ran in several processes, by processes.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, t

# MLPerf LoadGen's floors: with fewer samples a percentile's interval at 99 % confidence is too wide to print.
P90_FLOOR = 64
P99_FLOOR = 662
CONFIDENCE = 0.95
RESAMPLES = 2000
# Fewest rounds of an interval.
LEAST_ROUNDS = 6
# Lags that a sum of correlations may run over, in correlation times (Sokal 1997, "Monte Carlo Methods in Statistical
# Mechanics", section 3: about 5).
_WINDOW = 5.0

Array = NDArray[np.float64]
Interval = tuple[float, float]


def correlation_time(samples: ArrayLike) -> float:
    """How many rounds that follow one another say as much as one independent round, for the median; 1 or more.

    ``1 + 2 (r1 + r2 + ...)`` over the correlations of whether a round lies above the median, which is what a median's
    error depends on; summed up to five correlation times (Sokal 1997). Each correlation is corrected for its bias of
    ``-1/n``.

    Args:
        samples: ``(n,)``, in the order they were measured.

    >>> correlation_time([1, 2] * 50) < 1.1
    True
    >>> correlation_time([1] * 50 + [2] * 50) > 20
    True
    """
    values = np.asarray(samples, dtype=float)
    above = np.sign(values - np.median(values))
    above -= above.mean()
    count, power = len(above), float(above @ above)
    if count < LEAST_ROUNDS or power == 0:
        return 1.0
    size = 1 << (2 * count - 1).bit_length()
    spectrum = np.fft.rfft(above, size)
    correlations = np.fft.irfft(spectrum * spectrum.conj(), size)[:count] / power + 1 / count
    sums = 2 * np.cumsum(correlations) - correlations[0]
    lags = np.arange(count)
    stops = np.flatnonzero(lags >= _WINDOW * np.maximum(sums, 1.0))
    last = int(stops[0]) if len(stops) else count - 1
    # The largest of the shorter sums: one that falls again has met the noise of far lags.
    return float(max(1.0, sums[: last + 1].max()))


def effective_rounds(samples: ArrayLike) -> float:
    """Independent rounds that these are worth."""
    values = np.asarray(samples, dtype=float)
    return len(values) / correlation_time(values)


def median_interval(samples: ArrayLike) -> Interval | None:
    """A 95 % interval of the median from order statistics, which holds for any distribution.

    The k-th smallest and k-th largest of n independent samples enclose the median with probability
    ``1 - 2 P(Binomial(n, 1/2) < k)`` (David & Nagaraja, "Order Statistics", 7.1); k is the largest that
    reaches 95 %. Samples that follow one another take the ranks of as many as they are worth.

    Args:
        samples: ``(n,)``, in the order they were measured.

    Returns:
        Low and high: shortest and longest where the samples are worth fewer than 6. None when n is below 6 and no
        such k exists.

    >>> median_interval([1, 6, 2, 5, 3, 4])
    (1.0, 6.0)
    """
    values = np.asarray(samples, dtype=float)
    if len(values) < LEAST_ROUNDS:
        return None
    worth = math.floor(effective_rounds(values))
    # The smallest k with P(X <= k) of at least 2.5 %, so that P(X < k) is below it.
    rank = int(binom.ppf((1 - CONFIDENCE) / 2, worth, 0.5))
    # As far from the middle, in shares of the samples, as among independent ones.
    rank = max(1, math.floor(rank * len(values) / worth))
    ordered = np.sort(values)
    return float(ordered[rank - 1]), float(ordered[-rank])


def process_interval(medians: Sequence[float]) -> Interval | None:
    """A 95 % interval of what a process's median is about, from the spread between processes.

    Student's interval of the mean of logarithms: with two or three processes it is wide, and that is what two or three
    processes can say.

    Args:
        medians: One a process, positive.

    Returns:
        Low and high; None with one process.

    >>> low, high = process_interval([9.9, 10.0, 10.1])
    >>> round(low, 2), round(high, 2)
    (9.75, 10.25)
    """
    if len(medians) < 2:
        return None
    logs = np.log(np.asarray(medians, dtype=float))
    reach = float(t.ppf((1 + CONFIDENCE) / 2, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)))
    centre = float(logs.mean())
    return math.exp(centre - reach), math.exp(centre + reach)


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


def ratio_interval(numerator: ArrayLike, denominator: ArrayLike, seed: int) -> Interval | None:
    """A 95 % interval of ``median(numerator) / median(denominator)`` by bootstrap over rounds.

    Both are resampled with the same rounds, so that drift common to both cancels as it did in the run; in blocks of
    rounds that follow one another, as long as their correlation lasts (Kuensch 1989, the moving block bootstrap, around
    the end to the start).

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
    count = len(top)
    if count < LEAST_ROUNDS:
        return None
    block = min(math.ceil(max(correlation_time(top), correlation_time(bottom), correlation_time(top / bottom))), count)
    starts = np.random.default_rng(seed).integers(0, count, (RESAMPLES, math.ceil(count / block), 1))
    picks = ((starts + np.arange(block)) % count).reshape(RESAMPLES, -1)[:, :count]
    ratios = np.median(top[picks], axis=1) / np.median(bottom[picks], axis=1)
    low, high = np.quantile(ratios, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
