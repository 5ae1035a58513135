"""The level of a metric in one run, and what that run and earlier ones say of its error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.compare.changepoints import noise_sigma, segment_means
from bench.compare.machine import Machine, Offset
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
class Level:
    """One run's level of one metric on the tested scale, without the machine's part.

    Attributes:
        value: The level.
        rounds: Its squared error from the rounds of the run; 0 for a single reading.
        units: Levels of what was repeated: builds where there are several, else processes; one value of one.
    """

    value: float
    rounds: float
    units: Array

    @property
    def replicated(self) -> bool:
        """Whether the run itself shows its spread."""
        return len(self.units) > 1


def sign(name: str) -> float:
    """What a slower machine does to a metric's logarithm."""
    return {"time": 1.0, "throughput": -1.0}.get(name, 0.0)


def usable(item: Observation, name: str, metric: Metric) -> bool:
    """Whether an observation has a value of the metric that can be compared."""
    if name not in item.values or (metric.scale == "ratio" and item.values[name] <= 0):
        return False
    return name != "time" or item.rounds is not None


def level(item: Observation, name: str, metric: Metric, offset: Offset | None = None) -> Level:
    """The level of a usable observation.

    Args:
        item: The observation.
        name: The metric's.
        metric: The metric.
        offset: What to take out; None to leave the machine in.
    """
    weight = offset.weight if offset is not None else 0.0
    units, rounds = _units(item, name, weight), _rounds_error(item, name, weight)
    value = float(units.mean()) if len(units) else _single(item, name, metric)
    if offset is not None:
        # The units hold the baseline's part already, by its weight; the offset is all of it.
        value = _without_units(item, name, metric) - sign(name) * offset.value
    return Level(value, rounds, units if len(units) else np.array([value]))


def _without_units(item: Observation, name: str, metric: Metric) -> float:
    units = _units(item, name, 0.0)
    return float(units.mean()) if len(units) else _single(item, name, metric)


def _single(item: Observation, name: str, metric: Metric) -> float:
    if name == "time" and item.rounds is not None:
        return item.rounds.level()
    value = item.values[name]
    if metric.ceiling is not None:
        bound = min if metric.higher_is_better else max
        value = bound(value, metric.ceiling)
    return math.log(value) if metric.scale == "ratio" else value


def _units(item: Observation, name: str, weight: float) -> Array:
    """Levels of builds or processes, the baseline's part taken out by its weight; empty of one process."""
    parts = item.processes
    values = None if parts is None else parts.time if name == "time" else parts.throughput
    if parts is None or values is None or name not in ("time", "throughput"):
        return np.array([])
    levels = np.array(values)
    if parts.control is not None and weight:
        controls = np.array(parts.control)
        levels = levels - sign(name) * weight * (controls - controls.mean())
    builds = np.array(parts.builds)
    if len(set(parts.builds)) < 2:
        return levels
    return np.array([levels[builds == build].mean() for build in dict.fromkeys(parts.builds)])


def _rounds_error(item: Observation, name: str, weight: float) -> float:
    if name == "time" and item.rounds is not None:
        return item.rounds.variance(weight if item.rounds.control is not None else 0.0)
    return (item.throughput_variance or 0.0) if name == "throughput" else 0.0


def past_spread(past: Side, name: str, metric: Metric, machine: Machine) -> tuple[float, float]:
    """Squared spread of earlier nights around their level, and its degrees of freedom.

    One step is a change; a level that steps again and again is noise, and counts as such.
    """
    levels = np.array([level(item, name, metric, machine.of(item)).value for item in past])
    if len(levels) < 3:
        return 0.0, 0.0
    fitted, lost = np.full(len(levels), levels.mean()), 1
    if levels.std() > _STILL * max(noise_sigma(levels), metric.night_sd):
        steps = segment_means(levels.tolist(), min_sigma=metric.night_sd)
        if len(set(steps.tolist())) == 2:
            fitted, lost = steps, 2
    freedom = len(levels) - lost
    return float(np.sum((levels - fitted) ** 2)) / max(freedom, 1), float(freedom)


def recurrent(past: Side, name: str, metric: Metric, machine: Machine, base: float, move: float) -> bool:
    """Whether earlier nights had reached the new level more than once, and had left it again.

    Args:
        past: Earlier nights, oldest first.
        name: The metric's.
        metric: What is compared.
        machine: What to take out.
        base: Level of the base.
        move: How far the new level is from it.
    """
    visits = 0
    there = [
        (level(item, name, metric, machine.of(item)).value - base) * math.copysign(1.0, move) >= _REACHED * abs(move)
        for item in past
    ]
    # A change that lasts is there in the newest nights without having been left.
    while there and there[-1]:
        there.pop()
    for before, now in zip([False, *there], there, strict=False):
        visits += now and not before
    return visits >= RECURRENT
