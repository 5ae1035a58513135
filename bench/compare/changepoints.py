"""Change points of a series: where its level moved, and by how much.

The least-squares step function with a penalty for every step, found exactly by optimal partitioning
(Jackson et al. 2005), as asv does for its histories. A night that stands alone is not a step: values are held
near the median of their neighbours first.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MIN_NIGHTS = 2  # a step must last
PENALTY = 4.0  # times ln(n), in units of the noise's variance; asv's weight
NEIGHBOURS = 2  # on either side
REACH = 3.0  # how many standard deviations a value may lie off its neighbours' median


def change_points(values: Sequence[float], min_sigma: float = 0.0, penalty: float = PENALTY) -> list[int]:
    """Indices at which a new level begins, in order.

    Args:
        values: The series, oldest first.
        min_sigma: Least standard deviation of the noise, in the values' unit; keeps tiny steps of a series
            without noise from counting.
        penalty: Cost of a step in noise variances, times ``ln(n)``.

    >>> change_points([1.0, 1.1, 1.0, 1.1, 2.0, 2.1, 2.0, 2.1])
    [4]
    """
    series = np.asarray(values, dtype=np.float64)
    if len(series) < 2 * MIN_NIGHTS:
        return []
    sigma = max(noise_sigma(series), min_sigma)
    if sigma == 0:
        # A noiseless series: any step is real, and rounding is not one.
        sigma = 1e-9 * max(float(np.abs(series).max()), 1e-300)
    scaled = (_without_spikes(series, sigma) - series.mean()) / sigma
    return best_partition(scaled, penalty * math.log(len(series)))


def segment_means(values: Sequence[float], min_sigma: float = 0.0) -> NDArray[np.float64]:
    """The level that each value belongs to: the mean of its stretch between change points."""
    series = np.asarray(values, dtype=np.float64)
    edges = [0, *change_points(values, min_sigma), len(series)]
    pieces = [np.full(end - start, series[start:end].mean()) for start, end in itertools.pairwise(edges)]
    return np.concatenate(pieces)


def noise_sigma(series: NDArray[np.float64]) -> float:
    """Standard deviation of the noise from the differences of neighbours, which few steps do not disturb."""
    steps = np.diff(series)
    return float(1.4826 * np.median(np.abs(steps)) / math.sqrt(2))


def _without_spikes(series: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    padded = np.pad(series, NEIGHBOURS, mode="reflect")
    middle = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1), axis=1)
    return np.clip(series, middle - REACH * sigma, middle + REACH * sigma)


def best_partition(series: NDArray[np.float64], penalty: float) -> list[int]:
    """Starts of the segments, but the first, that minimise squared error plus ``penalty`` for every step.

    Every segment holds at least :data:`MIN_NIGHTS` values; exact, in quadratic time.
    """
    count = len(series)
    sums = np.concatenate([[0.0], np.cumsum(series)])
    squares = np.concatenate([[0.0], np.cumsum(series**2)])
    best = np.full(count + 1, np.inf)
    best[0] = -penalty
    previous = np.zeros(count + 1, dtype=int)
    for end in range(MIN_NIGHTS, count + 1):
        starts = np.arange(0, end - MIN_NIGHTS + 1)
        error = squares[end] - squares[starts] - (sums[end] - sums[starts]) ** 2 / (end - starts)
        costs = best[starts] + error + penalty
        previous[end] = int(np.argmin(costs))
        best[end] = costs[previous[end]]
    found = []
    end = count
    while previous[end] > 0:
        end = int(previous[end])
        found.append(end)
    return found[::-1]
