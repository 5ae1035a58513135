"""How far the machine was from its usual while each case ran, from the interleaved eager baselines."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

import numpy as np

from bench.compare.noise import half_scale
from bench.compare.observation import Observation

Key = tuple[str, str]
Sides = Mapping[Key, tuple[Sequence[Observation], Sequence[Observation]]]
# A baseline this many standard deviations from the others saw another machine than they did.
OUTLIER = 4.0


@dataclass(frozen=True)
class Offset:
    """The machine while one case of one run ran, on the logarithm of time, against the base.

    Attributes:
        value: How much slower it was.
        weight: Share of the case's own baseline in that; the rest is the run's. 0 for a case without one.
        variance: Squared error for a case without a baseline: how far the others' spread.
        near: What baselines measured just before and after saw, where that was another machine; for a case without
            one.
    """

    value: float
    weight: float
    variance: float = 0.0
    near: tuple[float, ...] = ()


@dataclass(frozen=True)
class Machine:
    """What the baselines of several runs say.

    Attributes:
        offsets: By case and run.
        common: How much slower all baselines of the new side were together; None without any.
    """

    offsets: Mapping[tuple[Key, str], Offset] = field(default_factory=dict)
    common: float | None = None

    def of(self, item: Observation) -> Offset | None:
        """The offset of an observation; None where no baseline tells."""
        return self.offsets.get((item.key, item.run_id))

    def move(self, base: Sequence[Observation], new: Sequence[Observation]) -> float | None:
        """How much slower the machine became between two sides of a case; None where that is not known for all."""
        found = [[self.of(item) for item in side] for side in (base, new)]
        if any(offset is None for side in found for offset in side):
            return None
        before, after = (median(offset.value for offset in side if offset) for side in found)
        return after - before


def machine_offsets(pairs: Sides, past: Mapping[Key, Sequence[Observation]], few: int) -> Machine:
    """Estimates the machine's offset for every case and run.

    A single baseline is as noisy as the case itself, and all of a run saw about the same machine. So each is shrunk
    towards the run's median by as much as their spread is explained by their noise (empirical Bayes, Efron and Morris
    1975); one far from the others, as when a clock fell for part of a night, stands for itself.

    Args:
        pairs: Observations of the base and the new side by case, in the order in which they ran.
        past: Earlier observations.
        few: Under this many baselines in a run each stands alone, and a case without one has no estimate.
    """
    usual: dict[Key, tuple[float, float]] = {}
    for key, (base, _) in pairs.items():
        controls = [control for item in base if (control := item.control) is not None]
        if controls and len(controls) == len(base):
            level, variance = centre([value for value, _ in controls], [noise for _, noise in controls])
            usual[key] = level, variance
    runs: dict[str, dict[Key, Observation]] = defaultdict(dict)
    for key, sides in pairs.items():
        for item in (*sides[0], *sides[1], *past.get(key, ())):
            runs[item.run_id][key] = item
    offsets: dict[tuple[Key, str], Offset] = {}
    middles: dict[str, float] = {}
    for run_id, items in runs.items():
        own = {
            key: (control[0] - usual[key][0], control[1] + usual[key][1])
            for key, item in items.items()
            if key in usual and (control := item.control) is not None
        }
        if own:
            middle, found = _run_offsets(items, own, few)
            middles[run_id] = middle
            offsets.update({(key, run_id): offset for key, offset in found.items()})
    common = _common(pairs, middles)
    return Machine(offsets, common)


def _run_offsets(
    items: Iterable[Key], own: Mapping[Key, tuple[float, float]], few: int
) -> tuple[float, dict[Key, Offset]]:
    """The middle of one run's baselines, and the offset of each of its cases."""
    deviations = np.array([deviation for deviation, _ in own.values()])
    middle = float(np.median(deviations))
    if len(own) < few:
        return middle, {key: Offset(deviation, 1.0) for key, (deviation, _) in own.items()}
    noise = float(np.median([variance for _, variance in own.values()]))
    local = max(half_scale(deviations) ** 2 - noise, 0.0)
    found: dict[Key, Offset] = {}
    away: dict[Key, float] = {}
    for key, (deviation, variance) in own.items():
        variance = max(variance, noise)
        if abs(deviation - middle) > OUTLIER * math.sqrt(local + variance):
            found[key] = Offset(deviation, 1.0)
            away[key] = deviation
        else:
            weight = local / (local + variance) if local + variance > 0 else 1.0
            found[key] = Offset(middle + weight * (deviation - middle), weight)
    order = list(items)
    places = {key: place for place, key in enumerate(order)}
    known = sorted(places[key] for key in own)
    for key in order:
        if key not in own:
            place = int(np.searchsorted(known, places[key]))
            beside = [order[index] for index in known[max(place - 2, 0) : place + 2]]
            found[key] = Offset(middle, 0.0, local, tuple(away[other] for other in beside if other in away))
    return middle, found


def _common(pairs: Sides, middles: Mapping[str, float]) -> float | None:
    sides = [{item.run_id for pair in pairs.values() for item in pair[side]} for side in (0, 1)]
    known = [[middles[run_id] for run_id in side if run_id in middles] for side in sides]
    if not all(known):
        return None
    return float(np.median(known[1]) - np.median(known[0]))


def centre(levels: Sequence[float], variances: Sequence[float]) -> tuple[float, float]:
    """Middle of the runs of one side, and its squared error."""
    return median(levels), fmean(variances) / effective_runs(len(levels))


def effective_runs(runs: int) -> float:
    """Runs whose mean is as precise as the median of this many; a median needs pi / 2 times as many."""
    return runs if runs < 3 else runs * 2 / math.pi
