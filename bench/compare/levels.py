"""The level of a metric in one run, and what that run and earlier ones say of its error.

A comparison with two months of nights asks for tens of thousands of levels, of a handful of numbers each: plain Python
is faster here than arrays.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.compare.changepoints import noise_sigma, segment_means
from bench.compare.observation import Observation
from bench.compare.thresholds import Metric

Array = NDArray[np.float64]
Side = Sequence[Observation]
# A series whose spread is no wider than that of its neighbours, times this, has no step worth looking for.
_STILL = 1.3
# How much of a move earlier nights must have had for its level to be known.
_REACHED = 0.6
# Separate stretches of earlier nights that make a level one of the case's own.
RECURRENT = 2


@dataclass(frozen=True)
class Spread:
    """What one run says of the error of its own level.

    Attributes:
        units: What was repeated: builds where there are several, else processes; 1 of one process.
        squares: Sum of their squared distances from their mean.
        rounds: Squared error of the level from the rounds; 0 for a single reading, and where there are several units.
    """

    units: int
    squares: float = 0.0
    rounds: float = 0.0

    @property
    def replicated(self) -> bool:
        """Whether the run itself shows its spread."""
        return self.units > 1


def sign(name: str) -> float:
    """What a slower machine does to a metric's logarithm."""
    return {"time": 1.0, "throughput": -1.0}.get(name, 0.0)


def usable(item: Observation, name: str, metric: Metric) -> bool:
    """Whether an observation has a value of the metric that can be compared."""
    if name not in item.values or (metric.scale == "ratio" and item.values[name] <= 0):
        return False
    return name != "time" or item.rounds is not None


def level(item: Observation, name: str, metric: Metric) -> float:
    """The level of a usable observation on the tested scale, the machine's part included."""
    # Nights of a history are asked again and again.
    key = (name, metric.ceiling)
    if key not in item.levels:
        item.levels[key] = _level(item, name, metric)
    return item.levels[key]


def _level(item: Observation, name: str, metric: Metric) -> float:
    units = _processes(item, name)
    if units is not None:
        return sum(units) / len(units)
    if name == "time" and item.rounds is not None:
        return sum(item.rounds.case) / len(item.rounds.case)
    value = item.values[name]
    if metric.ceiling is not None:
        bound = min if metric.higher_is_better else max
        value = bound(value, metric.ceiling)
    return math.log(value) if metric.scale == "ratio" else value


def spread(item: Observation, name: str, weight: float) -> Spread:
    """What a run says of the error of its level.

    Args:
        item: The observation.
        name: The metric's.
        weight: Share of the baseline in turn that is taken out of the level.
    """
    parts, levels = item.processes, _processes(item, name)
    if parts is None or levels is None:
        return Spread(1, rounds=_rounds_error(item, name, weight))
    units = list(levels)
    if parts.control is not None and weight:
        units = [own - sign(name) * weight * theirs for own, theirs in zip(units, parts.control, strict=True)]
    builds: dict[int, list[float]] = {}
    for build, unit in zip(parts.builds, units, strict=True):
        builds.setdefault(build, []).append(unit)
    if len(builds) > 1:
        units = [sum(of_build) / len(of_build) for of_build in builds.values()]
    mean = sum(units) / len(units)
    return Spread(len(units), squares=sum((unit - mean) ** 2 for unit in units))


def _processes(item: Observation, name: str) -> tuple[float, ...] | None:
    if item.processes is None or name not in ("time", "throughput"):
        return None
    return item.processes.time if name == "time" else item.processes.throughput


def _rounds_error(item: Observation, name: str, weight: float) -> float:
    if name == "time" and item.rounds is not None:
        return item.rounds.variance(weight)
    return (item.throughput_variance or 0.0) if name == "throughput" else 0.0


def past_spread(levels: Sequence[float], metric: Metric) -> tuple[float, float]:
    """Squared spread of earlier nights around their level, and its degrees of freedom.

    One step is a change; a level that steps again and again is noise, and counts as such.

    Args:
        levels: Of earlier nights, oldest first, the machine's part taken out.
        metric: Whose they are.
    """
    if len(levels) < 3:
        return 0.0, 0.0
    series = np.array(levels)
    fitted, lost = np.full(len(series), series.mean()), 1
    if series.std() > _STILL * max(noise_sigma(series), metric.night_sd):
        steps = segment_means(series.tolist(), min_sigma=metric.night_sd)
        if len(set(steps.tolist())) == 2:
            fitted, lost = steps, 2
    freedom = len(series) - lost
    return float(np.sum((series - fitted) ** 2)) / freedom, float(freedom)


def recurrent(levels: Sequence[float], base: float, move: float) -> bool:
    """Whether earlier nights had reached the new level more than once, and had left it again.

    Args:
        levels: Of earlier nights, oldest first, the machine's part taken out.
        base: Level of the base.
        move: How far the new level is from it.

    >>> recurrent([0.0, 0.1, 0.0, 0.1, 0.1, 0.0], 0.0, 0.1)
    True
    >>> recurrent([0.0, 0.0, 0.0, 0.1, 0.1], 0.0, 0.1)
    False
    """
    there = [(value - base) * math.copysign(1.0, move) >= _REACHED * abs(move) for value in levels]
    # A change that lasts is there in the newest nights without having been left.
    while there and there[-1]:
        there.pop()
    visits = sum(now and not before for before, now in zip([False, *there], there, strict=False))
    return visits >= RECURRENT
