"""From observations on two sides to verdicts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.compare.errors import Move, errors
from bench.compare.levels import Side, level, past_spread, recurrent, sign, usable
from bench.compare.machine import Key, Machine, Offset, centre, machine_offsets
from bench.compare.noise import holm, only_modes_moved
from bench.compare.result import Change, Verdict
from bench.compare.thresholds import Metric, Thresholds

TIERS = ("pass", "warn", "fail")
# Past nights that ran as many builds show how far builds lie apart.
_BUILDS_SEEN = 3
# A clock that moved further than this, in logarithms, speaks for a case that no baseline does.
_CLOCK = 0.03


@dataclass(frozen=True)
class _Test:
    """A change before its verdict."""

    name: str
    metric: Metric
    base: float
    new: float
    move: Move
    doubt: str  # why there is no verdict whatever the evidence
    settled: bool  # too small a difference in absolute terms to be tested

    @property
    def key(self) -> Key:
        """Of the case."""
        return self.move.key

    @property
    def limit(self) -> float:
        """The floor on the tested scale."""
        return self.metric.limit_of(self.base, self.new)


def judge(
    pairs: Mapping[Key, tuple[Side, Side]], history: Mapping[Key, Side], thresholds: Thresholds
) -> tuple[dict[Key, list[Change]], Machine, int]:
    """Judges every metric of every pair.

    Args:
        pairs: Successful, comparable observations of the base and the new side by case, in the order of the new run.
        history: Earlier successful, comparable observations by case, oldest first.
        thresholds: When a difference is a difference.

    Returns:
        Changes by case, what the baselines say of the machine, and the number of tests that were corrected for.
    """
    machine = machine_offsets(pairs, history, thresholds.pool_cases)
    changes: dict[Key, list[Change]] = {key: [] for key in pairs}
    tests: list[_Test] = []
    for name, metric in thresholds.metrics.items():
        for key, (base, new) in pairs.items():
            test = _test(key, name, metric, (base, new, history.get(key, ())), machine, thresholds)
            if isinstance(test, _Test):
                tests.append(test)
            elif test:
                changes[key].append(test)
    tried = [test for test in tests if not test.settled]
    evidence = iter(_verdicts(tried, thresholds))
    for test in tests:
        changes[test.key].append(_change(test, Verdict.SAME) if test.settled else next(evidence))
    for key, (base, new) in pairs.items():
        changes[key] += _tier_change(base[-1].tier, new[-1].tier)
    return changes, machine, len(tried)


def _test(
    key: Key, name: str, metric: Metric, sides: tuple[Side, Side, Side], machine: Machine, thresholds: Thresholds
) -> _Test | Change | None:
    base, new = ([item for item in side if name in item.values] for side in sides[:2])
    if not base or not new:
        return None
    before, after = (float(np.median([item.values[name] for item in side])) for side in (base, new))
    base, new, past = ([item for item in side if usable(item, name, metric)] for side in sides)
    if name == "time" and not (base and new):
        return Change(
            name, Verdict.UNCLEAR, metric.unit, metric.scale, before, after, after / before,
            reason="too few rounds for an interval",
        )  # fmt: skip
    if not base or not new:
        return None
    plain = _move_between(base, new, name, metric, None)
    found, doubt = plain, ""
    offset = _offset(new, name, machine) if sign(name) else None
    if offset is not None:
        found, doubt = _without_machine(plain, (base, new), name, metric, machine, thresholds)
    elif sign(name) and _clock_moved(base, new):
        doubt = "the GPU's clock moved, and no baseline ran in turn"
    if not doubt and name == "time" and _modes(base, new, found, plain - found):
        doubt = "both sides reach the same times, only how often differs"
    unstable = next((item.unstable for item in (*new, *base) if item.unstable), "")
    if unstable and name in ("time", "throughput"):
        doubt = f"disturbed: {unstable}"
    used = machine if found != plain or (offset is not None and _trusted(base, new, machine, thresholds)) else Machine()
    levels = [tuple(level(item, name, metric, used.of(item)) for item in side) for side in (base, new)]
    known = past_spread(past, name, metric, machine)
    base_level = float(np.median([run.value for run in levels[0]]))
    if not doubt and recurrent(past, name, metric, machine, base_level, found):
        doubt = "earlier nights had this level too, and left it again"
    rebuilt = {item.engines for item in base} != {item.engines for item in new} and not _many_builds((*base, *new))
    return _Test(
        name=name,
        metric=metric,
        base=before,
        new=after,
        move=Move(
            key=key,
            value=found,
            base=levels[0],
            new=levels[1],
            extra=_machine_error(name, offset, thresholds),
            past=known,
            rebuilt=rebuilt,
            past_rebuilt=len({item.engines for item in past}) >= _BUILDS_SEEN,
        ),
        doubt=doubt,
        settled=abs(after - before) < metric.absolute_floor,
    )


def _machine_error(name: str, offset: Offset | None, thresholds: Thresholds) -> float:
    """Squared error of what the machine did, or may have done where nothing tells."""
    if not sign(name):
        return 0.0
    return offset.variance if offset is not None else 2 * thresholds.machine_sd**2


def _many_builds(items: Side) -> bool:
    return all(item.processes is not None and len(set(item.processes.builds)) > 1 for item in items)


def _move_between(base: Side, new: Side, name: str, metric: Metric, machine: Machine | None) -> float:
    before, after = (
        centre([level(item, name, metric, machine.of(item) if machine else None).value for item in side], [0.0])[0]
        for side in (base, new)
    )
    return after - before


def _offset(new: Side, name: str, machine: Machine) -> Offset | None:
    return machine.of(new[-1]) if sign(name) else None


def _trusted(base: Side, new: Side, machine: Machine, thresholds: Thresholds) -> bool:
    """Whether the machine moved so little that its baseline is a control."""
    move = machine.move(base, new)
    return move is not None and abs(move) <= thresholds.control_limit


def _without_machine(
    plain: float,
    sides: tuple[Side, Side],
    name: str,
    metric: Metric,
    machine: Machine,
    thresholds: Thresholds,
) -> tuple[float, str]:
    """The move without the machine's, and why there is no verdict on it.

    A baseline that moved far may itself have changed: then only what shows with and without it counts. A case without
    one is judged by whatever the baselines measured beside it saw.
    """
    base, new = sides
    corrected = _move_between(base, new, name, metric, machine)
    offset = machine.of(new[-1])
    near = offset.near if offset is not None else ()
    if _trusted(base, new, machine, thresholds) and not near:
        return corrected, ""
    candidates = [corrected, *(plain - sign(name) * move for move in near)]
    if not _trusted(base, new, machine, thresholds):
        candidates.append(plain)
    least = min(candidates, key=abs)
    if min(candidates) < 0 < max(candidates):
        return least, "the baselines moved far themselves, and with them taken out the change has the other direction"
    return least, ""


def _clock_moved(base: Side, new: Side) -> bool:
    before, after = ([item.clock_mhz for item in side if item.clock_mhz] for side in (base, new))
    return bool(before and after) and abs(math.log(float(np.median(after)) / float(np.median(before)))) > _CLOCK


def _modes(base: Side, new: Side, move: float, machine: float) -> bool:
    before, after = (
        np.median(np.array([item.rounds.quantiles for item in side if item.rounds]), axis=0) for side in (base, new)
    )
    return only_modes_moved(before, after, move, machine)


def _verdicts(tests: Sequence[_Test], thresholds: Thresholds) -> list[Change]:
    """The verdict on every test that is tried, in order."""
    error, freedom = np.zeros(len(tests)), np.ones(len(tests))
    for name, metric in thresholds.metrics.items():
        places = [place for place, test in enumerate(tests) if test.name == name]
        error[places], freedom[places] = errors([tests[place].move for place in places], metric, thresholds)
    moves = np.array([test.move.value for test in tests])
    p_values = 2 * stats.t.sf(np.abs(moves) / error, freedom)
    adjusted = holm(p_values.tolist())
    reach = stats.t.ppf(0.975, freedom) * error
    sure = stats.t.ppf(thresholds.floor_confidence, freedom) * error
    return [
        _verdict(test, float(reach[place]), float(sure[place]), adjusted[place], thresholds)
        for place, test in enumerate(tests)
    ]


def _verdict(test: _Test, reach: float, sure: float, p_adjusted: float, thresholds: Thresholds) -> Change:
    move, limit = test.move.value, test.limit
    low, high = move - reach, move + reach
    differs = p_adjusted <= thresholds.alpha
    reason = ""
    if differs and abs(move) - sure > limit:
        if test.doubt:
            return _change(test, Verdict.UNCLEAR, low, high, p_adjusted, test.doubt)
        worse = (move > 0) != test.metric.higher_is_better
        words = (Verdict.WORSE, Verdict.BETTER) if test.metric.is_fidelity else (Verdict.SLOW, Verdict.FAST)
        verdict = words[0] if worse else words[1]
    elif test.metric.is_fidelity or (-limit <= low and high <= limit):
        verdict = Verdict.SAME
    else:
        verdict = Verdict.UNCLEAR
        reason = "the interval reaches past the floor"
        if differs:
            reason = f"a change, but not surely a large one: {reason}"
        elif test.metric.process_sd and not test.move.known:
            reason = "one process: runs of the same thing may lie as far apart; use --repeats, or keep a history"
    return _change(test, verdict, low, high, p_adjusted, reason)


def _change(
    test: _Test,
    verdict: Verdict,
    low: float | None = None,
    high: float | None = None,
    p_adjusted: float | None = None,
    reason: str = "",
) -> Change:
    shown = math.exp if test.metric.scale == "ratio" else float
    return Change(
        metric=test.name,
        verdict=verdict,
        unit=test.metric.unit,
        scale=test.metric.scale,
        base=test.base,
        new=test.new,
        change=shown(test.move.value),
        ci95_low=None if low is None else shown(low),
        ci95_high=None if high is None else shown(high),
        p_adjusted=p_adjusted,
        floor=test.metric.floor_of(test.base, test.new),
        reason=reason,
    )


def _tier_change(before: str | None, after: str | None) -> list[Change]:
    if before not in TIERS or after not in TIERS:
        return []
    order = TIERS.index(after) - TIERS.index(before)
    verdict = Verdict.WORSE if order > 0 else Verdict.BETTER if order < 0 else Verdict.SAME
    reason = f"{before} -> {after}" if order else after
    return [Change("tier", verdict, "", "difference", None, None, reason=reason)]
