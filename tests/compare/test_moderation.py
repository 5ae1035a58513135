"""Variances of many cases lend one another what they have in common."""

import numpy as np
import pytest
from scipy import special, stats

from bench.compare.moderation import MOST_FREEDOM, NO_PRIOR, Prior, fit_prior


@pytest.mark.parametrize(("freedom", "variance"), [(3.0, 2.0), (8.0, 0.5)])
def test_the_prior_that_made_the_variances_is_found(freedom: float, variance: float) -> None:
    """Variances drawn from a scaled inverse chi-squared distribution show its scale and degrees of freedom."""
    rng = np.random.default_rng(0)
    true = variance * freedom / rng.chisquare(freedom, 20_000)
    seen = true * rng.chisquare(4, 20_000) / 4
    prior = fit_prior(seen, np.full(20_000, 4.0))
    assert prior.freedom == pytest.approx(freedom, rel=0.1)
    assert prior.variance == pytest.approx(variance, rel=0.05)


def test_cases_alike_lend_all_they_know() -> None:
    """Where estimates scatter no more than by chance, the prior is as good as known."""
    seen = np.array([1.0, 1.01, 0.99, 1.02])
    prior = fit_prior(seen, np.full(4, 4.0))
    assert prior.freedom == MOST_FREEDOM
    assert prior.variance == pytest.approx(np.exp(-special.digamma(2.0) + np.log(2.0)), rel=0.02)


def test_moderated_t_holds_its_level_under_unlike_noise() -> None:
    """Of A/A moves of cases of unlike noise 1 in 1000 has a p-value under 1 in 1000; with plain z far more have."""
    rng = np.random.default_rng(1)
    count = 50_000
    sd = np.exp(rng.normal(0, 0.6, count))
    values = sd[:, None] * rng.normal(size=(count, 6))
    move = values[:, :3].mean(axis=1) - values[:, 3:].mean(axis=1)
    spread = (values[:, :3].var(axis=1, ddof=1) + values[:, 3:].var(axis=1, ddof=1)) / 2
    variance, freedom = fit_prior(spread, np.full(count, 4.0)).moderate(spread, np.full(count, 4.0))
    p = 2 * stats.t.sf(np.abs(move) / np.sqrt(variance * 2 / 3), freedom)
    assert np.mean(p < 1e-3) == pytest.approx(1e-3, rel=0.5)
    assert np.mean(2 * stats.norm.sf(np.abs(move) / np.sqrt(spread.mean() * 2 / 3)) < 1e-3) > 4e-3


def test_nothing_is_no_prior() -> None:
    """One case, or no spread at all, has nothing to lend."""
    assert fit_prior(np.array([1.0]), np.array([4.0])) == NO_PRIOR
    assert fit_prior(np.zeros(5), np.full(5, 4.0)) == NO_PRIOR
    variance, freedom = Prior(4.0, 10.0).moderate(np.array([1.0]), np.array([20.0]))
    assert (variance.item(), freedom.item()) == (2.0, 30.0)


def test_the_fit_is_that_of_its_moments() -> None:
    """Mean and variance of log variances, less their own error, are digamma and trigamma of half the freedoms."""
    variances, freedoms = np.array([0.2, 1.0, 9.0]), np.array([4.0, 6.0, 3.0])
    half = freedoms / 2
    logs = np.log(variances) - special.digamma(half) + np.log(half)
    excess = logs.var(ddof=1) - special.polygamma(1, half).mean()
    assert excess > 0
    prior = fit_prior(variances, freedoms)
    assert special.polygamma(1, prior.freedom / 2) == pytest.approx(excess, rel=1e-6)
    middle = logs.mean() + special.digamma(prior.freedom / 2) - np.log(prior.freedom / 2)
    assert np.log(prior.variance) == pytest.approx(middle)


def test_two_cases_are_enough_and_a_zero_counts_as_little() -> None:
    """A variance of none is taken for a hundred thousandth of the middle one of the others."""
    assert fit_prior(np.array([1.0, 1.0]), np.full(2, 4.0)).freedom == MOST_FREEDOM
    with_zero, with_little = (fit_prior(np.array([least, 2.0, 4.0, 8.0]), np.full(4, 4.0)) for least in (0.0, 4.0e-5))
    assert with_zero == pytest.approx(with_little)
