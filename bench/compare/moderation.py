"""Variances of many cases, each known from few values, made to help one another.

The moderated variance of Smyth (2004, "Linear models and empirical Bayes methods for assessing differential
expression", Stat. Appl. Genet. Mol. Biol. 3): true variances are taken for draws of a scaled inverse chi-squared
distribution, whose scale and degrees of freedom are fitted to the variances that were seen. Cases of like noise lend
one another almost all they know; cases of unlike noise stand nearly alone.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

Array = NDArray[np.float64]
# Where the cases show no difference at all, as many degrees of freedom as this.
MOST_FREEDOM = 1000.0
_NEWTON_STEPS = 50


class Prior(NamedTuple):
    """What the cases have in common: a variance, and how many degrees of freedom it is worth."""

    variance: float
    freedom: float

    def moderate(self, variances: Array, freedoms: Array) -> tuple[Array, Array]:
        """Each case's variance and degrees of freedom with what the others lend."""
        total = self.freedom + freedoms
        return (self.freedom * self.variance + freedoms * variances) / total, total


NO_PRIOR = Prior(0.0, 0.0)


def fit_prior(variances: Array, freedoms: Array) -> Prior:
    """Fits the distribution of true variances to estimates.

    Args:
        variances: Unbiased estimates, one a case.
        freedoms: Degrees of freedom of each, over 0.

    >>> rng = np.random.default_rng(0)
    >>> alike = fit_prior(4.0 * rng.chisquare(4, 5000) / 4, np.full(5000, 4.0))
    >>> round(alike.variance), alike.freedom > 50
    (4, True)
    """
    if len(variances) < 2 or not variances.max() > 0:
        return NO_PRIOR
    # An estimate of zero has no logarithm.
    seen = np.maximum(variances, 1e-5 * float(np.median(variances[variances > 0])))
    half = freedoms / 2
    logs = np.log(seen) - digamma(half) + np.log(half)
    excess = float(logs.var(ddof=1) - polygamma(1, half).mean())
    if excess <= 0:
        return Prior(math.exp(float(logs.mean())), MOST_FREEDOM)
    freedom = min(2 * _trigamma_inverse(excess), MOST_FREEDOM)
    scale = math.exp(float(logs.mean()) + float(digamma(freedom / 2)) - math.log(freedom / 2))
    return Prior(scale, freedom)


def _trigamma_inverse(value: float) -> float:
    """Newton's method on the reciprocal, which is nearly straight (Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(_NEWTON_STEPS):
        now = float(polygamma(1, x))
        step = now * (1 - now / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
