"""Intervals cover what they claim, and percentiles need their samples."""

import numpy as np
import pytest
from scipy import signal
from scipy.stats import binom, sem, t

from bench.measure import statistics
from bench.measure.statistics import (
    correlation_time,
    effective_rounds,
    median_deviation,
    median_interval,
    percentile,
    process_interval,
    ratio_interval,
)


@pytest.mark.parametrize("n", [6, 7, 10, 31, 64, 200, 1001])
def test_median_interval_is_the_tightest_that_covers(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Independent order statistics cover the median with at least 95 %, and the next inner ones with less."""
    monkeypatch.setattr(statistics, "correlation_time", lambda _: 1.0)
    low, high = median_interval(np.arange(1, n + 1)) or (0, 0)
    k = int(low)
    assert high == n + 1 - k
    assert 1 - 2 * binom.cdf(k - 1, n, 0.5) >= 0.95
    assert 1 - 2 * binom.cdf(k, n, 0.5) < 0.95


@pytest.mark.parametrize(("memory", "least"), [(0.0, 0.95), (0.5, 0.92), (0.8, 0.9)])
def test_median_interval_covers_rounds_that_remember_each_other(memory: float, least: float) -> None:
    """The interval covers at autocorrelations where that of independent rounds covers 85 and 62 %."""
    rng = np.random.default_rng(2)
    runs = signal.lfilter([1.0], [1.0, -memory], rng.normal(size=(400, 400)), axis=1)[:, 200:]
    intervals = [median_interval(run) or (0.0, 0.0) for run in runs]
    assert np.mean([low <= 0 <= high for low, high in intervals]) >= least
    if memory == 0.8:
        as_independent = [median_interval(rng.permutation(run)) or (0.0, 0.0) for run in runs]
        assert np.mean([low <= 0 <= high for low, high in as_independent]) < 0.8


def test_correlation_time_is_that_of_a_first_order_autoregression() -> None:
    """For whether a round is over the median the correlations are ``2 / pi asin(r**k)``, which sum to the time."""
    memory = 0.8
    rng = np.random.default_rng(3)
    runs = signal.lfilter([1.0], [1.0, -memory], rng.normal(size=(100, 4200)), axis=1)[:, 200:]
    expected = 1 + 2 * float(np.sum(2 / np.pi * np.arcsin(memory ** np.arange(1, 100))))
    assert np.mean([correlation_time(run) for run in runs]) == pytest.approx(expected, rel=0.1)
    assert effective_rounds(runs[0]) == pytest.approx(4000 / correlation_time(runs[0]))


def test_two_long_modes_are_worth_few_rounds() -> None:
    """A run that is first in one mode and then in another says hardly more than two rounds."""
    modes = np.repeat([1.0, 1.1], 100) + np.random.default_rng(4).normal(0, 0.001, 200)
    assert effective_rounds(modes) < 6
    assert median_interval(modes) == (modes.min(), modes.max())


def test_process_interval_is_students() -> None:
    """The interval between processes is SciPy's of the mean of logarithms; one process has none."""
    medians = [10.0, 10.3, 9.9, 10.1]
    logs = np.log(medians)
    low, high = t.interval(0.95, 3, logs.mean(), sem(logs))
    assert process_interval(medians) == pytest.approx((np.exp(low), np.exp(high)))
    assert process_interval([10.0]) is None


def test_ratio_interval_covers_rounds_that_remember_each_other() -> None:
    """Blocks keep the coverage that single rounds lose where noise of the case alone lasts."""
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(100):
        slow = signal.lfilter([1.0], [1.0, -0.8], rng.normal(0, 0.01, 400))[200:]
        low, high = ratio_interval(np.exp(rng.normal(0, 0.002, 200)), np.exp(slow), seed=0) or (0.0, 0.0)
        hits += low <= 1.0 <= high
    assert hits >= 85


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


def test_few_or_equal_rounds_are_taken_for_independent() -> None:
    """Under six rounds nothing shows how they follow one another, and among equal ones neither."""
    assert correlation_time([1, 1, 1, 2, 2]) == 1.0
    assert correlation_time([3] * 50) == 1.0
    assert effective_rounds([1, 2, 3, 4, 5]) == 5.0


def test_correlation_time_is_the_sum_by_hand() -> None:
    """Blocks of four that alternate: signs, their correlations with the bias put back, and the largest partial sum."""
    values = [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0] * 4
    signs = np.sign(np.array(values) - 1.5)
    sums, best = 1.0 + 1 / 32, 1.0
    for lag in range(1, 32):
        sums += 2 * (float(signs[lag:] @ signs[:-lag]) / 32 + 1 / 32)
        best = max(best, sums)
        if lag >= 5 * max(sums, 1.0):
            break
    assert correlation_time(values) == pytest.approx(best)


def test_a_ratio_that_does_not_move_is_known() -> None:
    """Six rounds are enough; equal ratios leave no interval."""
    assert ratio_interval([2.0] * 6, [4.0] * 6, seed=0) == (0.5, 0.5)
    assert ratio_interval([2.0] * 5, [4.0] * 5, seed=0) is None
    with pytest.raises(ValueError, match="1 and 2 rounds"):
        ratio_interval([1.0], [1.0, 2.0], seed=0)


def test_two_processes_have_an_interval() -> None:
    """Of one degree of freedom: 12.7 standard errors."""
    low, high = process_interval([1.0, np.exp(0.02)]) or (0.0, 0.0)
    assert (np.log(low), np.log(high)) == pytest.approx((0.01 - 12.7062 * 0.01, 0.01 + 12.7062 * 0.01), rel=1e-4)


def test_an_interval_of_correlated_rounds_takes_the_ranks_of_as_many_as_they_are_worth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hundred rounds worth 25: the rank among 25 is 8, four times as far into a hundred."""
    monkeypatch.setattr(statistics, "correlation_time", lambda _: 4.0)
    rank = next(k for k in range(25) if binom.cdf(k, 25, 0.5) >= 0.025)
    assert rank == 8
    assert median_interval(np.arange(1, 101)) == (32.0, 69.0)


def test_a_percentile_needs_exactly_its_floor() -> None:
    """64 samples for the 90th."""
    assert percentile([1.0] * 64, 90, 64) == 1.0
