"""What the rounds of one run say about their own noise, and the correction for asking many questions.

Rounds of one run are not independent: clocks drift, modes last for many rounds, and some rounds are hit by an
interruption. Their plain standard error is therefore too small by a factor of two or more. Here a run is
reduced to the means of ten consecutive batches of clipped logarithms; what remains of the correlation between
neighbouring batches widens the error. ``benchmarks/believability.py`` measures how well that works.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BATCHES = 10
MIN_ROUNDS = 6  # as for the interval of the median in a record
CLIP_MADS = 3.0
QUANTILES = (0.05, 0.15, 0.85, 0.95)
MAX_CORRELATION = 0.8  # ten batches cannot tell a higher one from a trend

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rounds:
    """A run's rounds of one case, reduced to batches.

    Attributes:
        case: Means of ``ln(ms)`` over consecutive batches of rounds, clipped by :func:`clipped`.
        control: The same for the interleaved eager baseline of the same rounds; None where there is none.
        quantiles: Quantiles of ``ln(ms)`` of the case at :data:`QUANTILES`.
    """

    case: tuple[float, ...]
    control: tuple[float, ...] | None
    quantiles: tuple[float, ...]

    def level(self, weight: float = 0.0) -> float:
        """Mean of ``ln(case) - weight * ln(control)``."""
        return float(self._combined(weight).mean())

    def variance(self, weight: float = 0.0) -> float:
        """Squared standard error of :meth:`level` as far as this run's rounds can tell."""
        return variance_of_mean(self._combined(weight))

    def control_level(self) -> float:
        """Mean of ``ln(control)``; only where there is a control."""
        return float(np.mean(self.control or [math.nan]))

    def control_variance(self) -> float:
        """Squared standard error of :meth:`control_level`."""
        return variance_of_mean(np.asarray(self.control or [math.nan]))

    def _combined(self, weight: float) -> Array:
        case = np.asarray(self.case)
        return case if self.control is None or weight == 0 else case - weight * np.asarray(self.control)


def clipped(values: Array) -> Array:
    """Values more than :data:`CLIP_MADS` scaled median absolute deviations from the median, moved to there.

    A mean of clipped values is nearly as efficient as a mean and nearly as robust as a median, and unlike the
    median it does not jump when two modes are about equally frequent (Wilcox, *Introduction to Robust
    Estimation and Hypothesis Testing*, on Winsorising).

    >>> clipped(np.array([1.0, 2.0, 3.0, 4.0, 100.0])).max()
    np.float64(7.4478)
    """
    centre = np.median(values)
    reach = CLIP_MADS * 1.4826 * np.median(np.abs(values - centre))
    return np.clip(values, centre - reach, centre + reach)


def reduce_rounds(samples_ms: Sequence[float], control_ms: Sequence[float] | None = None) -> Rounds | None:
    """Batches of a run's durations; None under :data:`MIN_ROUNDS` rounds or with a duration that is not positive.

    Args:
        samples_ms: Durations in the order they were measured, milliseconds.
        control_ms: The baseline's durations of the same rounds; left out unless there are as many.
    """
    case = _batches(samples_ms)
    if case is None:
        return None
    paired = control_ms is not None and len(control_ms) == len(samples_ms)
    control = _batches(control_ms) if paired and control_ms is not None else None
    return Rounds(case, control, tuple(np.quantile(np.log(samples_ms), QUANTILES).tolist()))


def clipped_level(samples_ms: Sequence[float] | Array) -> float | None:
    """Mean of clipped ``ln(ms)``; None under :data:`MIN_ROUNDS` rounds or with a duration that is not positive."""
    values = np.asarray(samples_ms, dtype=np.float64)
    if len(values) < MIN_ROUNDS or not np.isfinite(values).all() or values.min() <= 0:
        return None
    return float(clipped(np.log(values)).mean())


def _batches(samples_ms: Sequence[float]) -> tuple[float, ...] | None:
    values = np.asarray(samples_ms, dtype=np.float64)
    if len(values) < MIN_ROUNDS or not np.isfinite(values).all() or values.min() <= 0:
        return None
    return tuple(batch_means(clipped(np.log(values))).tolist())


def batch_means(values: Array) -> Array:
    """Means of up to :data:`BATCHES` runs of consecutive values, in order."""
    edges = np.linspace(0, len(values), min(BATCHES, len(values)) + 1).astype(int)
    return np.add.reduceat(values, edges[:-1]) / np.diff(edges)


def variance_of_mean(batches: Array) -> float:
    """Squared standard error of the mean of consecutive batches.

    The batches' variance over their number (Law and Carson 1979, batch means), times ``(1 + r) / (1 - r)``
    for a lag-one correlation ``r`` that is left between them (the factor of a first-order autoregression).
    ``r`` is corrected for its bias of ``-1/n`` and kept within 0 and :data:`MAX_CORRELATION`.
    """
    count = len(batches)
    deviations = batches - batches.mean()
    total = float(deviations @ deviations)
    if total <= (1e-12 * float(np.abs(batches).max())) ** 2 * count:
        return 0.0
    correlation = float(deviations[1:] @ deviations[:-1]) / total + 1 / count
    correlation = min(max(correlation, 0.0), MAX_CORRELATION)
    return total / (count - 1) / count * (1 + correlation) / (1 - correlation)


def only_modes_moved(base: Array, new: Array, move: float, machine: float) -> bool:
    """Whether the new rounds are where the base's rounds were, only more often in its slower (faster) part.

    Rounds that fall into two modes can be in one of them more often by chance, for as long as a run lasts. A
    case that became slower is slower in its fastest rounds too, or reaches times that it did not reach before.

    Args:
        base: Quantiles of ``ln(ms)`` at :data:`QUANTILES`.
        new: The same.
        move: The change of the level that is in question, without the machine's.
        machine: The machine's move.
    """
    low, high = new[1] - machine, new[2] - machine
    if move > 0:
        return bool(low - base[1] < move / 2 and high <= base[3])
    return bool(high - base[2] > move / 2 and low >= base[0])


def relative_variance_of_mean(samples_ms: Sequence[float]) -> float | None:
    """Squared relative standard error of the plain mean duration, interruptions included; for throughput."""
    values = np.asarray(samples_ms, dtype=np.float64)
    if len(values) < MIN_ROUNDS or not np.isfinite(values).all() or values.min() <= 0:
        return None
    return variance_of_mean(batch_means(values)) / float(values.mean()) ** 2


def half_scale(values: Array) -> float:
    """Standard deviation from the shortest interval that holds half of the values.

    Exact for a normal distribution, blind to what the other half does: a change of a third of the cases does
    not pass for noise (Rousseeuw and Leroy 1988, the shortest half).
    """
    ordered = np.sort(values)
    half = len(ordered) // 2 + 1
    shortest = float((ordered[half - 1 :] - ordered[: len(ordered) - half + 1]).min())
    return shortest / (2 * 0.6744897501960817)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that hold the chance of any false alarm (Holm 1979)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    result = np.empty_like(p)
    result[order] = np.minimum(adjusted, 1)
    return [float(value) for value in result]
