import itertools

import numpy as np
import pytest

from bench.compare.changepoints import MIN_NIGHTS, best_partition, change_points, noise_sigma, segment_means


def brute_force(series: np.ndarray, penalty: float) -> tuple[float, list[int]]:
    """The cheapest of all partitions, tried one by one."""
    count = len(series)
    best: tuple[float, list[int]] = (np.inf, [])
    for steps in range(count):
        for cuts in itertools.combinations(range(1, count), steps):
            edges = [0, *cuts, count]
            parts = [series[first:last] for first, last in itertools.pairwise(edges)]
            if min(len(part) for part in parts) >= MIN_NIGHTS:
                cost = sum(float(((part - part.mean()) ** 2).sum()) for part in parts) + penalty * steps
                best = min(best, (cost, list(cuts)))
    return best


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("penalty", [0.5, 3.0, 20.0])
def test_best_partition_is_the_cheapest_of_all(seed: int, penalty: float) -> None:
    """The dynamic programme finds what trying every partition finds."""
    rng = np.random.default_rng(seed)
    series = rng.normal(size=11) + np.repeat(rng.normal(0, 3, 3), [4, 3, 4])
    assert best_partition(series, penalty) == brute_force(series, penalty)[1]


def test_steps_are_found_where_they_are() -> None:
    """Two steps of five standard deviations are found at their nights."""
    rng = np.random.default_rng(0)
    series = np.repeat([0.0, 5.0, -2.0], [30, 20, 25]) + rng.normal(size=75)
    found = change_points(series.tolist())
    assert len(found) == 2
    assert np.abs(np.array(found) - [30, 50]).max() <= 1


def test_noise_has_few_change_points() -> None:
    """White noise and heavy tails rarely give a step: under 3 % of series of 60 nights."""
    rng = np.random.default_rng(1)
    series = [*rng.normal(size=(200, 60)), *rng.standard_t(3, size=(200, 60))]
    assert sum(bool(change_points(one.tolist())) for one in series) < 12


def test_a_single_bad_night_is_no_change() -> None:
    """One night far off leaves the level where it was."""
    series = np.random.default_rng(2).normal(size=40)
    series[20] = 50.0
    assert change_points(series.tolist()) == []


def test_min_sigma_hides_small_steps_of_a_series_without_noise() -> None:
    """A step below the noise that must be expected does not count; without that it does."""
    series = [1.0] * 10 + [1.01] * 10
    assert change_points(series) == [10]
    assert change_points(series, min_sigma=0.05) == []


@pytest.mark.parametrize("series", [[], [1.0], [1.0, 2.0, 3.0], [2.0] * 9])
def test_short_and_constant_series_have_none(series: list[float]) -> None:
    """Under four nights, or without any change, there is nothing to find."""
    assert change_points(series) == []


def test_noise_sigma_is_the_standard_deviation_in_spite_of_steps() -> None:
    """A few steps do not pass for noise."""
    series = np.random.default_rng(3).normal(0, 2, 5000) + np.repeat([0, 100, 50, 300, 0], 1000)
    assert noise_sigma(series) == pytest.approx(2, rel=0.05)


def test_segment_means_are_the_levels() -> None:
    """Every value is replaced by the mean of its own stretch."""
    series = [1.0, 1.2, 0.8, 1.0, 5.0, 5.2, 4.8, 5.0]
    np.testing.assert_allclose(segment_means(series), [1.0] * 4 + [5.0] * 4)
