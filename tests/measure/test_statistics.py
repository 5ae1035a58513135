"""Intervals cover what they claim, and percentiles need their samples."""

import numpy as np
import pytest
from scipy.stats import binom

from bench.measure.statistics import median_deviation, median_interval, percentile, ratio_interval


@pytest.mark.parametrize("n", [6, 7, 10, 31, 64, 200, 1001])
def test_median_interval_is_the_tightest_that_covers(n: int) -> None:
    """The enclosed order statistics cover the median with at least 95 %, and the next inner ones with less."""
    low, high = median_interval(np.arange(1, n + 1)) or (0, 0)
    k = int(low)
    assert high == n + 1 - k
    assert 1 - 2 * binom.cdf(k - 1, n, 0.5) >= 0.95
    assert 1 - 2 * binom.cdf(k, n, 0.5) < 0.95


def test_median_interval_needs_six() -> None:
    """Five samples cannot enclose a median with 95 %."""
    assert median_interval([1, 2, 3, 4, 5]) is None


def test_median_interval_covers_in_practice() -> None:
    """Of many skewed sample sets at least 95 % enclose the true median."""
    rng = np.random.default_rng(0)
    truth = np.exp(0.5)
    hits = 0
    for _ in range(2000):
        low, high = median_interval(np.exp(rng.normal(0.5, 1.0, 40))) or (0, 0)
        hits += low <= truth <= high
    assert hits / 2000 > 0.94


def test_ratio_interval_covers_under_common_drift() -> None:
    """Drift that both contenders see does not widen the interval of their ratio."""
    rng = np.random.default_rng(1)
    drift = np.linspace(1.0, 1.5, 60)
    hits, widths = 0, []
    for _ in range(200):
        top = 3.0 * drift * rng.normal(1, 0.01, 60)
        bottom = 2.0 * drift * rng.normal(1, 0.01, 60)
        low, high = ratio_interval(top, bottom, seed=0) or (0, 0)
        hits += low <= 1.5 <= high
        widths.append(high - low)
    assert hits / 200 > 0.9
    assert np.median(widths) < 0.08


def test_ratio_interval_wants_pairs() -> None:
    """Unequal numbers of rounds are refused, too few give no interval."""
    with pytest.raises(ValueError, match="cannot be paired"):
        ratio_interval([1, 2], [1], seed=0)
    assert ratio_interval([1] * 5, [1] * 5, seed=0) is None


def test_percentiles_are_blank_without_samples() -> None:
    """A percentile appears with its floor of samples and not before."""
    assert percentile(range(63), 90, 64) is None
    assert percentile(range(101), 90, 64) == pytest.approx(90)


def test_median_deviation_ignores_an_outlier() -> None:
    """One wild sample does not move the deviation."""
    assert median_deviation([1, 2, 3, 4, 1000]) == 1
