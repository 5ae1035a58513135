"""From observations on two sides to verdicts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

import numpy as np
from scipy import stats

from bench.compare.errors import Move, errors
from bench.compare.levels import Side, Spread, level, past_spread, recurrent, sign, spread, usable
from bench.compare.machine import Key, Machine, Offset, machine_offsets
from bench.compare.noise import holm, only_modes_moved
from bench.compare.observation import Observation
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
            if key[0] != metric.kind:
                continue
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
    before, after = (median(item.values[name] for item in side) for side in (base, new))
    base, new, past = ([item for item in side if usable(item, name, metric)] for side in sides)
    if name == "time" and not (base and new):
        return Change(
            name, Verdict.UNCLEAR, metric.unit, metric.scale, before, after, after / before,
            reason="too few rounds for an interval",
        )  # fmt: skip
    if not base or not new:
        return None
    plain = _Side(base, new, name, metric, Machine())
    used, move, doubt = plain, plain.move, ""
    offset = machine.of(new[-1]) if sign(name) else None
    if offset is not None:
        corrected = _Side(base, new, name, metric, machine)
        used, move, doubt = _without_machine(plain, corrected, offset, thresholds)
    elif sign(name) and _clock_moved(base, new):
        doubt = "the GPU's clock moved, and no baseline ran in turn"
    levels = [_level(item, name, metric, machine) for item in past]
    if abs(move) > metric.limit_of(before, after):
        doubt = _unusable(base, new, name) or doubt or _recurring(used, levels, move, plain.move)
    return _Test(
        name=name,
        metric=metric,
        base=before,
        new=after,
        move=Move(
            key=key,
            value=move,
            base=used.spreads(base),
            new=used.spreads(new),
            extra=_machine_error(name, offset, thresholds),
            past=past_spread(levels, metric),
            rebuilt={item.engines for item in base} != {item.engines for item in new}
            and not _many_builds((*base, *new)),
            past_rebuilt=len({item.engines for item in past}) >= _BUILDS_SEEN,
        ),
        doubt=doubt,
        settled=abs(after - before) < metric.absolute_floor,
    )


@dataclass(frozen=True)
class _Side:
    """Two sides of a case in one metric, with what is taken out of them for the machine."""

    base: Side
    new: Side
    name: str
    metric: Metric
    machine: Machine

    @cached_property
    def middle(self) -> float:
        """Level of the base."""
        return median(_level(item, self.name, self.metric, self.machine) for item in self.base)

    @cached_property
    def move(self) -> float:
        """New level over the base's."""
        return median(_level(item, self.name, self.metric, self.machine) for item in self.new) - self.middle

    def spreads(self, side: Side) -> tuple[Spread, ...]:
        """What the runs of a side say of their errors."""
        offsets = [self.machine.of(item) for item in side]
        return tuple(
            spread(item, self.name, offset.weight if offset else 0.0)
            for item, offset in zip(side, offsets, strict=True)
        )


def _level(item: Observation, name: str, metric: Metric, machine: Machine) -> float:
    """The level without the machine's part, as far as that is known."""
    offset = machine.of(item) if sign(name) else None
    return level(item, name, metric) - (sign(name) * offset.value if offset is not None else 0.0)


def _unusable(base: Side, new: Side, name: str) -> str:
    if name not in ("time", "throughput"):
        return ""
    why = next((item.unstable for item in (*new, *base) if item.unstable), "")
    return f"disturbed: {why}" if why else ""


def _recurring(used: _Side, past: Sequence[float], move: float, plain: float) -> str:
    """Why a move is no news; empty where it is one."""
    if used.name == "time" and _modes(used.base, used.new, move, plain - move):
        return "both sides reach the same times, only how often differs"
    if recurrent(past, used.middle, move):
        return "earlier nights had this level too, and left it again"
    return ""


def _machine_error(name: str, offset: Offset | None, thresholds: Thresholds) -> float:
    """Squared error of what the machine did, or may have done where nothing tells."""
    if not sign(name):
        return 0.0
    return offset.variance if offset is not None else 2 * thresholds.machine_sd**2


def _many_builds(items: Side) -> bool:
    return all(item.processes is not None and len(set(item.processes.builds)) > 1 for item in items)


def _without_machine(
    plain: _Side, corrected: _Side, offset: Offset, thresholds: Thresholds
) -> tuple[_Side, float, str]:
    """The move without the machine's, the sides that show it, and why there is no verdict on it.

    A baseline that moved far may itself have changed: then only what shows with and without it counts. A case without
    one is judged by whatever the baselines measured beside it saw.
    """
    machine = corrected.machine.move(corrected.base, corrected.new)
    trusted = machine is not None and abs(machine) <= thresholds.control_limit
    if trusted and not offset.near:
        return corrected, corrected.move, ""
    moves = [corrected.move, *(plain.move - sign(plain.name) * near for near in offset.near)]
    if not trusted:
        moves.append(plain.move)
    doubt = ""
    if min(moves) < 0 < max(moves):
        doubt = "the baselines moved far themselves, and with them taken out the change has the other direction"
    least = min(moves, key=abs)
    return (plain if least == plain.move else corrected), least, doubt


def _clock_moved(base: Side, new: Side) -> bool:
    before, after = ([item.clock_mhz for item in side if item.clock_mhz] for side in (base, new))
    return bool(before and after) and abs(math.log(median(after) / median(before))) > _CLOCK


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
