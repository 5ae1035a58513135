"""The standard errors of many moves at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.compare.levels import Spread
from bench.compare.machine import Key, effective_runs
from bench.compare.moderation import NO_PRIOR, Prior, fit_prior
from bench.compare.noise import BATCHES, half_scale
from bench.compare.thresholds import Metric, Thresholds

Array = NDArray[np.float64]
# Nights of history, less one for their level and one for a step, that tell how far nights of a case differ.
ENOUGH_PAST = 8
# A run whose processes scatter this much less likely than by chance stands for itself.
DISTURBED_P = 0.01
# A variance is never taken for smaller than this, squared: a tenth of a percent, of a level in logarithms.
LEAST_SD = 0.001


@dataclass(frozen=True)
class Move:
    """A change before its error, on the tested scale (logarithm or plain difference).

    Attributes:
        key: Of the case.
        value: The move, the machine taken out.
        base, new: What the runs of each side say of their errors.
        extra: Squared error of what was taken out.
        past: Squared spread between earlier nights, and its degrees of freedom.
        rebuilt: Whether the two sides ran different builds, and neither several.
        past_rebuilt: Whether the earlier nights were rebuilt as well.
    """

    key: Key
    value: float
    base: tuple[Spread, ...]
    new: tuple[Spread, ...]
    extra: float
    past: tuple[float, float]
    rebuilt: bool
    past_rebuilt: bool

    @property
    def replicated(self) -> bool:
        """Whether every run shows its own spread."""
        return all(run.replicated for run in (*self.base, *self.new))

    @property
    def known(self) -> bool:
        """Whether there is more than the documented default to tell how far runs of the same thing lie apart."""
        return self.replicated or self.past[1] >= ENOUGH_PAST


def errors(moves: Sequence[Move], metric: Metric, thresholds: Thresholds) -> tuple[Array, Array]:
    """Standard errors of the moves of one metric, and their degrees of freedom (Welch and Satterthwaite).

    A run's squared error comes, in this order, from the spread between earlier nights of the case, from the spread
    between its processes or builds with the spread between nights that is assumed, or from its rounds with the spread
    between processes that published runs show.
    """
    if not moves:
        return np.array([]), np.array([])
    runs = [np.array([1 / effective_runs(len(side)) for side in sides]) for sides in _sides(moves)]
    inside, inside_freedom = _inside(moves, metric, thresholds)
    night, night_freedom = _nights(moves, metric, thresholds, inside, runs)
    both = [inside[side] * runs[side] for side in (0, 1)]
    nights = night * (runs[0] + runs[1]) + np.array([move.extra for move in moves])
    variance = both[0] + both[1] + nights
    # Both sides rest on the same estimate.
    parts = (both[0] + both[1]) ** 2 / np.minimum(*inside_freedom)
    freedom = variance**2 / (parts + nights**2 / night_freedom)
    _use_past(moves, thresholds, inside, (variance, freedom), runs)
    least = LEAST_SD**2 if metric.scale == "ratio" else 0.0
    return np.sqrt(np.maximum(variance, least)), freedom


def _sides(moves: Sequence[Move]) -> tuple[list[tuple[Spread, ...]], list[tuple[Spread, ...]]]:
    return [move.base for move in moves], [move.new for move in moves]


def _prior(variances: Array, freedoms: Array, thresholds: Thresholds) -> Prior:
    """What cases have in common; nothing where they are few."""
    known = freedoms > 0
    if known.sum() < thresholds.pool_cases:
        return NO_PRIOR
    return fit_prior(variances[known], freedoms[known])


def _inside(moves: Sequence[Move], metric: Metric, thresholds: Thresholds) -> tuple[list[Array], list[Array]]:
    """Squared error of a run of either side from what it shows itself, and the degrees of freedom."""
    squares, freedoms = _totals([(*move.base, *move.new) for move in moves])
    spread = squares / np.maximum(freedoms, 1)
    # Between identical readings, as of a driver's table, nothing was seen to differ.
    moderated, total = _prior(spread, freedoms, thresholds).moderate(spread, np.maximum(freedoms, 1e-9))
    replicated = np.array([move.replicated for move in moves])
    rebuilt = metric.build_sd**2 * np.array([move.rebuilt for move in moves])
    tonight, tonight_freedom = _totals([move.new for move in moves])
    apart = _disturbed(tonight, tonight_freedom, moderated, total) & replicated
    found: tuple[list[Array], list[Array]] = [], []
    for side, sides in enumerate(_sides(moves)):
        units = np.array([len(runs) / sum(1 / run.units for run in runs) for runs in sides])
        rounds = np.array([sum(run.rounds for run in runs) / len(runs) for runs in sides])
        use_own = apart & (side == 1)
        own = np.where(use_own, tonight / np.maximum(tonight_freedom, 1), moderated) / units
        single = rounds + metric.process_sd**2
        single_freedom = np.where(metric.process_sd > 0, thresholds.prior_nights, 2.0 * (BATCHES - 1))
        found[0].append(np.where(replicated, own, single) + rebuilt)
        many = np.where(use_own, tonight_freedom, total)
        freedom = np.where(replicated, many, single_freedom)
        found[1].append(np.where(rebuilt > own, np.minimum(freedom, thresholds.prior_nights), freedom))
    return found


def _totals(runs: Sequence[tuple[Spread, ...]]) -> tuple[Array, Array]:
    """Sums of squares between units over runs, and their degrees of freedom."""
    squares = np.array([sum(run.squares for run in of_case) for of_case in runs])
    return squares, np.array([sum(run.units - 1.0 for run in of_case) for of_case in runs])


def _disturbed(squares: Array, freedoms: Array, spread: Array, total: Array) -> NDArray[np.bool_]:
    """Where tonight's processes scatter more than those of all runs."""
    tried = (freedoms > 0) & (spread > 0)
    ratio = squares / np.maximum(freedoms, 1) / np.where(tried, spread, 1.0)
    return np.asarray(tried & (stats.f.sf(ratio, np.maximum(freedoms, 1), total) < DISTURBED_P))


def _nights(
    moves: Sequence[Move], metric: Metric, thresholds: Thresholds, inside: Sequence[Array], runs: Sequence[Array]
) -> tuple[Array, Array]:
    """Squared spread between nights that is assumed, raised to what the cases show among themselves.

    Most cases did not change, so their moves scatter as nights do (the empirical null of Efron 2004).
    """
    prior = metric.night_sd**2
    freedom = np.full(len(moves), metric.prior_nights or thresholds.prior_nights)
    if len(moves) < thresholds.pool_cases:
        return np.full(len(moves), prior), freedom
    both = runs[0] + runs[1]
    values = np.array([move.value for move in moves])
    shown = float(np.median((inside[0] * runs[0] + inside[1] * runs[1]) / both))
    seen = half_scale(values / np.sqrt(both)) ** 2 - shown
    raised = min(max(seen, prior), prior * thresholds.pool_limit**2)
    return np.full(len(moves), raised), freedom + len(moves) / 2


def _use_past(
    moves: Sequence[Move],
    thresholds: Thresholds,
    inside: Sequence[Array],
    found: tuple[Array, Array],
    runs: Sequence[Array],
) -> None:
    """Puts what earlier nights of a case show in place of what is assumed, where there are enough of them."""
    spread = np.array([move.past[0] for move in moves])
    freedoms = np.array([move.past[1] for move in moves])
    enough = (freedoms >= ENOUGH_PAST) & np.array([not move.rebuilt or move.past_rebuilt for move in moves])
    if not enough.any():
        return
    prior = _prior(spread[enough], freedoms[enough], thresholds)
    moderated, total = prior.moderate(spread, np.maximum(freedoms, 1e-9))
    # What tonight's processes or rounds show more than the nights did is there, whatever the nights say.
    replicated = np.array([move.replicated for move in moves])
    rounds = np.array([sum(run.rounds for run in move.new) / len(move.new) for move in moves])
    tonight = np.maximum(np.where(replicated, inside[1], rounds) - moderated, 0.0)
    extra = np.array([move.extra for move in moves])
    variance = moderated * (runs[0] + runs[1]) + tonight * runs[1] + extra
    found[0][enough] = variance[enough]
    found[1][enough] = total[enough]
