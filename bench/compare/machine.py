"""The machine's own move between two sides, from the interleaved eager baselines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.compare.noise import half_scale
from bench.compare.observation import Observation

Key = tuple[str, str]


@dataclass(frozen=True)
class MachineMove:
    """How far the machine moved while one case ran.

    Attributes:
        weight: Share of the case's own baseline in the estimate; the rest is the common move. 0 for a case
            without one.
        common: Median move of all baselines, on the logarithm of time.
        move: ``weight`` times the baseline's own move plus the rest of the common one.
        variance: Squared error of ``move``: the noise of the case's own baseline, or without one the spread
            of the others.
        trusted: Whether the move is small enough for the baseline to be a control.
    """

    weight: float
    common: float
    move: float
    variance: float
    trusted: bool


def machine_moves(
    pairs: Mapping[Key, tuple[Sequence[Observation], Sequence[Observation]]], few: int, limit: float
) -> dict[Key, MachineMove]:
    """Estimates the machine's move for every case.

    A single baseline is as noisy as the case itself, and all of them saw about the same machine. So each is
    shrunk towards their median by as much as their spread is explained by the noise of their rounds
    (empirical Bayes, Efron and Morris 1975). A case without one, such as the baseline itself, takes the median.

    Args:
        pairs: Observations of the base and the new side by case.
        few: Under this many baselines each stands alone, and a case without one has no estimate.
        limit: Move on the logarithm of time beyond which a baseline is no control.
    """
    own: dict[Key, tuple[float, float]] = {}
    for key, (base, new) in pairs.items():
        if all(item.rounds and item.rounds.control for item in (*base, *new)):
            before, after = _control(base), _control(new)
            own[key] = (after[0] - before[0], after[1] + before[1])
    if not own:
        return {}
    moves = np.array([move for move, _ in own.values()])
    common = float(np.median(moves))
    if len(own) < few:
        return {
            key: MachineMove(1.0, common, move, variance, abs(move) <= limit) for key, (move, variance) in own.items()
        }
    noise = float(np.median([variance for _, variance in own.values()]))
    local = max(half_scale(moves) ** 2 - noise, 0.0)
    result = {}
    for key in pairs:
        move, variance = own.get(key, (common, 0.0))
        weight = local / (local + variance) if key in own and variance > 0 else float(key in own)
        estimate = common + weight * (move - common)
        error = weight**2 * variance if key in own else local
        result[key] = MachineMove(weight, common, estimate, error, abs(estimate) <= limit)
    return result


def _control(side: Sequence[Observation]) -> tuple[float, float]:
    rounds = [item.rounds for item in side if item.rounds]
    return centre([part.control_level() for part in rounds], [part.control_variance() for part in rounds])


def centre(levels: Sequence[float], variances: Sequence[float]) -> tuple[float, float]:
    """Middle of the runs of one side, and its squared error from within the runs."""
    return float(np.median(levels)), float(np.mean(variances)) / effective_runs(len(levels))


def effective_runs(runs: int) -> float:
    """Runs whose mean is as precise as the median of this many; a median needs pi / 2 times as many."""
    return runs if runs < 3 else runs * 2 / math.pi
