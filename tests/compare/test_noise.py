"""A run's own noise, against hand-worked values and brute force; more of it, on whole runs, is in ``test_runs``."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.compare.noise import (
    Rounds,
    batch_means,
    clipped,
    clipped_level,
    half_scale,
    holm,
    only_modes_moved,
    reduce_rounds,
    relative_variance_of_mean,
    variance_of_mean,
)


@pytest.mark.parametrize(
    ("batches", "plain", "correlation"),
    [
        # Neighbours agree once more often than not: 1/8, and 1/8 for the bias.
        ([1, 1, -1, -1, 1, 1, -1, -1], 1 / 7, 0.25),
        # Two halves: 7/10 and 1/10, which is the most that is believed.
        ([1, 1, 1, 1, 1, -1, -1, -1, -1, -1], 1 / 9, 0.8),
        # Three parts: 9/12 of it and 1/12, over the most.
        ([1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1], 1 / 11, 0.8),
        ([1, -1, 1, -1], 1 / 3, 0.0),
    ],
)
def test_variance_of_mean_is_the_plain_one_times_the_factor_of_an_autoregression(
    batches: list[float], plain: float, correlation: float
) -> None:
    """``s²/n (1 + r) / (1 - r)``, with the lag-one correlation worked out by hand."""
    expected = plain * (1 + correlation) / (1 - correlation)
    assert variance_of_mean(np.array(batches, float)) == pytest.approx(expected)
    # Neither where the batches lie nor their unit changes more than the square of the unit.
    assert variance_of_mean(3 * np.array(batches, float) + 5) == pytest.approx(9 * expected)


def test_tiny_noise_is_noise() -> None:
    """Only what the arithmetic itself leaves counts as none."""
    assert variance_of_mean(np.array([1.0, 1 + 1e-8, 1.0, 1 + 1e-8])) == pytest.approx(1e-16 / 12, rel=1e-3)
    assert variance_of_mean(np.array([1.0, 1 + 2e-16, 1.0, 1.0])) == 0.0


def test_batches_are_ten_parts_in_order() -> None:
    """Ten equal parts; fewer values than ten stand for themselves; a remainder lengthens some."""
    np.testing.assert_allclose(batch_means(np.arange(30.0)), np.arange(30.0).reshape(10, 3).mean(axis=1))
    np.testing.assert_allclose(batch_means(np.array([3.0, 1.0, 2.0])), [3.0, 1.0, 2.0])
    parts = np.split(np.arange(25.0), [2, 5, 7, 10, 12, 15, 17, 20, 22])
    np.testing.assert_allclose(batch_means(np.arange(25.0)), [part.mean() for part in parts])


def test_rounds_are_logarithms_of_case_and_control() -> None:
    """A case of e ms and a control of e² ms have the levels 1 and 2, and their ratio's level is 1 - w 2."""
    rounds = reduce_rounds([math.e] * 20, [math.e**2] * 20)
    assert rounds is not None
    assert rounds.level() == pytest.approx(1.0)
    assert rounds.control_level() == pytest.approx(2.0)
    assert rounds.level(0.25) == pytest.approx(0.5)
    assert rounds.quantiles == pytest.approx((1.0,) * 4)
    assert rounds.variance() == rounds.control_variance() == 0.0


def test_the_errors_of_case_control_and_ratio_are_their_own() -> None:
    """Alternating batches of amplitude a have an error of ``a² n / (n - 1) / n``; half of a common part cancels."""
    wave = np.array([1.0, -1.0] * 5)
    rounds = Rounds(tuple(0.1 * wave), tuple(0.2 * wave), ())
    assert rounds.variance() == pytest.approx(0.01 / 9)
    assert rounds.control_variance() == pytest.approx(0.04 / 9)
    assert rounds.variance(0.5) == pytest.approx(0.0, abs=1e-30)
    assert rounds.variance(1.0) == pytest.approx(0.01 / 9)
    alone = Rounds(tuple(0.1 * wave), None, ())
    assert alone.variance(1.0) == pytest.approx(0.01 / 9)
    assert math.isnan(alone.control_level())


def test_quantiles_are_those_of_the_logarithms() -> None:
    """5, 15, 85 and 95 % of 101 even logarithms."""
    rounds = reduce_rounds(np.exp(np.arange(101) / 100).tolist())
    assert rounds is not None
    assert rounds.quantiles == pytest.approx((0.05, 0.15, 0.85, 0.95))
    assert rounds.control is None


@pytest.mark.parametrize(
    "bad", [[1.0] * 5, [1.0] * 6 + [0.0], [1.0] * 6 + [math.nan], [1.0] * 6 + [math.inf], [-1.0] * 6]
)
def test_too_few_or_impossible_rounds_have_no_level(bad: list[float]) -> None:
    """Under six rounds, and with a duration that no clock gives, there is no figure of any kind."""
    assert reduce_rounds(bad) is None
    assert clipped_level(bad) is None
    assert relative_variance_of_mean(bad) is None


def test_clipping_is_at_three_scaled_deviations_on_both_sides() -> None:
    """About 4 the deviations are 3, 2, 0, 4 and 96: three times 1.4826 times 3 either way."""
    np.testing.assert_allclose(clipped(np.array([1.0, 2.0, 4.0, 8.0, 100.0])), [1, 2, 4, 8, 4 + 9 * 1.4826])
    np.testing.assert_allclose(clipped(np.array([7.0, 6.0, 4.0, 0.0, -92.0])), [7, 6, 4, 0, 4 - 9 * 1.4826])


def test_six_rounds_have_a_level_that_an_outlier_does_not_carry_away() -> None:
    """One of six rounds lasts a thousand times as long; deviations of 0 leave it at the median."""
    assert clipped_level([math.e] * 5 + [1000 * math.e]) == pytest.approx(1.0)
    assert relative_variance_of_mean([2.0, 4.0] * 5) == pytest.approx(1 / 9 / 9)


@pytest.mark.parametrize("count", [5, 6, 21, 40])
def test_half_scale_is_the_shortest_half_by_brute_force(count: int) -> None:
    """The shortest interval of more than half of the values, over that of a standard normal distribution."""
    values = np.random.default_rng(count).standard_t(2, count)
    ordered, half = sorted(values), count // 2 + 1
    shortest = min(ordered[start + half - 1] - ordered[start] for start in range(count - half + 1))
    assert half_scale(values) == pytest.approx(shortest / (2 * stats.norm.ppf(0.75)))


def test_holm_is_scipys_bonferroni_going_down() -> None:
    """The smallest of n takes n times, the next n - 1 times, none less than one before it, none over 1."""
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("quantiles", "move", "machine", "modes"),
    [
        # Slower by 0.1 in its fast part too.
        ([0.1, 0.1, 0.3, 0.3], 0.1, 0.0, False),
        # The fast part stands, the slow part is where it was.
        ([0.0, 0.0, 0.2, 0.2], 0.1, 0.0, True),
        # The fast part moved by less than half of the move, and by half.
        ([0.0, 0.049, 0.2, 0.2], 0.1, 0.0, True),
        ([0.0, 0.05, 0.2, 0.2], 0.1, 0.0, False),
        # Times that were not reached before.
        ([0.0, 0.0, 0.21, 0.21], 0.1, 0.0, False),
        # All of it is the machine's.
        ([0.3, 0.3, 0.5, 0.5], 0.1, 0.3, True),
        # Faster: the slow part stands; it moved; a fast time is new.
        ([0.0, 0.0, 0.2, 0.2], -0.1, 0.0, True),
        ([0.0, 0.0, 0.15, 0.2], -0.1, 0.0, False),
        ([0.0, 0.0, 0.151, 0.2], -0.1, 0.0, True),
        ([-0.1, -0.1, 0.2, 0.2], -0.1, 0.0, False),
        ([-0.3, -0.3, -0.1, -0.1], -0.1, -0.3, True),
    ],
)
def test_modes_by_hand(quantiles: list[float], move: float, machine: float, modes: bool) -> None:
    """The base is even between 0 and 0.2 at its quantiles."""
    base = np.array([0.0, 0.0, 0.2, 0.2])
    # Quantiles as sums of the machine's move leave what floating point leaves.
    new = np.round(np.array(quantiles) - machine, 12) + machine
    assert only_modes_moved(base, new, move, machine) is modes
