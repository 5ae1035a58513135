"""From observations on two sides to verdicts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from bench.compare.changepoints import segment_means
from bench.compare.machine import Key, MachineMove, centre, effective_runs, machine_moves
from bench.compare.noise import BATCHES, half_scale, holm, only_modes_moved
from bench.compare.observation import Observation
from bench.compare.result import Change, Verdict
from bench.compare.thresholds import Metric, Thresholds

Side = Sequence[Observation]
TIERS = ("pass", "warn", "fail")


@dataclass(frozen=True)
class _Test:
    """A change before its verdict, on the tested scale (logarithm or plain difference)."""

    key: Key
    name: str
    metric: Metric
    base: float
    new: float
    move: float
    within: float  # squared error from within the runs
    runs: float  # 1 / effective base runs + 1 / effective new runs
    spread: float  # squared standard deviation between nights that is assumed without history
    past: tuple[float, float]  # the same from the case's history, and its degrees of freedom
    doubt: str  # why there is no verdict whatever the evidence
    settled: bool  # too small a difference in absolute terms to be tested


def judge(
    pairs: Mapping[Key, tuple[Side, Side]], history: Mapping[Key, Side], thresholds: Thresholds
) -> tuple[dict[Key, list[Change]], dict[Key, MachineMove], int]:
    """Judges every metric of every pair.

    Args:
        pairs: Successful, comparable observations of the base and the new side by case.
        history: Earlier successful, comparable observations by case, oldest first.
        thresholds: When a difference is a difference.

    Returns:
        Changes by case, the machine's move by case, and the number of tests that were corrected for.
    """
    machines = machine_moves(pairs, thresholds.pool_cases, thresholds.control_limit)
    changes: dict[Key, list[Change]] = {key: [] for key in pairs}
    tests: list[_Test] = []
    for name, metric in thresholds.metrics.items():
        found = []
        for key, (base, new) in pairs.items():
            test = _test(key, name, metric, base, new, history.get(key, ()), machines.get(key), thresholds)
            if isinstance(test, _Test):
                found.append(test)
            elif test:
                changes[key].append(test)
        tests += _pooled(found, thresholds)
    for test, change in zip(tests, _decide(tests, thresholds), strict=True):
        changes[test.key].append(change)
    for key, (base, new) in pairs.items():
        changes[key] += _tier_change(base[-1].tier, new[-1].tier)
    return changes, machines, sum(not test.settled for test in tests)


def _test(
    key: Key,
    name: str,
    metric: Metric,
    base: Side,
    new: Side,
    past: Side,
    machine: MachineMove | None,
    thresholds: Thresholds,
) -> _Test | Change | None:
    base = [item for item in base if _usable(item, name, metric)]
    new = [item for item in new if _usable(item, name, metric)]
    if not base or not new:
        return None
    before, after = (float(np.median([item.values[name] for item in side])) for side in (base, new))
    if name == "time":
        base, new = ([item for item in side if item.rounds] for side in (base, new))
        if not base or not new:
            return Change(
                name, Verdict.UNCLEAR, metric.unit, metric.scale, before, after, after / before,
                reason="too few rounds for an interval",
            )  # fmt: skip
    past = [item for item in past if _usable(item, name, metric) and (item.rounds or name != "time")]
    moves = [_move(base, new, name, metric, None)]
    used: list[MachineMove | None] = [None]
    if machine and name in ("time", "throughput"):
        moves.append(_move(base, new, name, metric, machine))
        used.append(machine)
    # A baseline that moved far may itself have changed: then only what shows with and without it counts.
    trusted = len(moves) == 1 or (machine is not None and machine.trusted)
    pick = -1 if trusted else int(np.argmin([abs(move) for move, _ in moves]))
    doubt = ""
    if not trusted and moves[0][0] * moves[-1][0] < 0:
        doubt = "the eager baseline moved far itself, and with it taken out the change has the other direction"
    elif name == "time" and _modes(base, new, moves[pick][0], moves[0][0] - moves[pick][0]):
        doubt = "both sides reach the same times, only how often differs"
    spread = metric.night_sd**2
    if name in ("time", "throughput") and used[pick] is None:
        spread += thresholds.machine_sd**2
    return _Test(
        key=key,
        name=name,
        metric=metric,
        base=before,
        new=after,
        move=moves[pick][0],
        within=moves[pick][1],
        runs=1 / effective_runs(len(base)) + 1 / effective_runs(len(new)),
        spread=spread,
        past=_past_spread(past, name, metric, used[pick]),
        doubt=doubt,
        settled=abs(after - before) < metric.absolute_floor,
    )


def _move(base: Side, new: Side, name: str, metric: Metric, machine: MachineMove | None) -> tuple[float, float]:
    """The change on the tested scale without the machine's, and its squared error from within the runs."""
    levels = [[_level(item, name, metric, machine) for item in side] for side in (base, new)]
    variances = [[_within(item, name, machine) for item in side] for side in (base, new)]
    (low, low_variance), (high, high_variance) = (
        centre(level, variance) for level, variance in zip(levels, variances, strict=True)
    )
    move, variance = high - low, low_variance + high_variance
    if machine and name == "time":
        # The levels hold the case's own baseline already, and its noise.
        move -= (1 - machine.weight) * machine.common
        variance += 0.0 if machine.weight else machine.variance
    elif machine:
        move += machine.move
        variance += machine.variance
    return move, variance


def _modes(base: Side, new: Side, move: float, machine: float) -> bool:
    before, after = (
        np.median(np.array([item.rounds.quantiles for item in side if item.rounds]), axis=0) for side in (base, new)
    )
    return only_modes_moved(before, after, move, machine)


def _usable(item: Observation, name: str, metric: Metric) -> bool:
    return name in item.values and (metric.scale == "difference" or item.values[name] > 0)


def _level(item: Observation, name: str, metric: Metric, machine: MachineMove | None) -> float:
    if name == "time" and item.rounds:
        return item.rounds.level(machine.weight if machine else 0.0)
    value = item.values[name]
    if metric.ceiling is not None:
        bound = min if metric.higher_is_better else max
        value = bound(value, metric.ceiling)
    return math.log(value) if metric.scale == "ratio" else value


def _within(item: Observation, name: str, machine: MachineMove | None) -> float:
    if name == "time" and item.rounds:
        return item.rounds.variance(machine.weight if machine else 0.0)
    return (item.throughput_variance or 0.0) if name == "throughput" else 0.0


def _past_spread(past: Side, name: str, metric: Metric, machine: MachineMove | None) -> tuple[float, float]:
    """Squared spread between earlier nights around their levels, without what their rounds explain."""
    controlled = machine is not None and all(item.rounds and item.rounds.control for item in past)
    levels, variances = [], []
    for item in past:
        weight = 1.0 if controlled and item.rounds else 0.0
        if name == "time" and item.rounds:
            levels.append(item.rounds.level(weight))
            variances.append(item.rounds.variance(weight))
        else:
            drift = item.rounds.control_level() if controlled and item.rounds else 0.0
            levels.append(_level(item, name, metric, None) + drift)
            variances.append(_within(item, name, None))
    if len(levels) < 3:
        return 0.0, 0.0
    fitted = segment_means(levels, min_sigma=metric.night_sd)
    freedom = len(levels) - len(set(fitted))
    residual = float(np.sum((np.array(levels) - fitted) ** 2)) / max(freedom, 1)
    return max(residual - float(np.mean(variances)), 0.0), float(freedom)


def _pooled(tests: list[_Test], thresholds: Thresholds) -> list[_Test]:
    """The tests of one metric, their spread between nights raised to what the cases show among themselves.

    Most cases did not change, so their moves scatter as nights do (the empirical null of Efron 2004).
    """
    tried = [test for test in tests if not test.settled]
    if len(tried) < thresholds.pool_cases:
        return tests
    seen = half_scale(np.array([test.move / math.sqrt(test.runs) for test in tried])) ** 2
    seen -= float(np.median([test.within / test.runs for test in tried]))
    pooled = []
    for test in tests:
        prior = test.metric.night_sd**2
        raised = min(max(seen, prior), prior * thresholds.pool_limit**2)
        pooled.append(replace(test, spread=test.spread - prior + raised))
    return pooled


def _decide(tests: Sequence[_Test], thresholds: Thresholds) -> Iterable[Change]:
    tried = [test for test in tests if not test.settled]
    counts = {name: sum(test.name == name for test in tried) for name in thresholds.metrics}
    errors = [_error(test, counts[test.name], thresholds) for test in tried]
    p_values = [
        float(2 * stats.t.sf(abs(test.move) / error, freedom))
        for test, (error, freedom) in zip(tried, errors, strict=True)
    ]
    adjusted = iter(holm(p_values))
    remaining = iter(errors)
    for test in tests:
        if test.settled:
            yield _change(test, Verdict.SAME)
        else:
            error, freedom = next(remaining)
            yield _verdict(test, error, freedom, next(adjusted), thresholds.alpha)


def _error(test: _Test, cases: int, thresholds: Thresholds) -> tuple[float, float]:
    """Standard error of a move and its degrees of freedom (Welch and Satterthwaite).

    The spread between nights is the assumed one and the case's own, each by the nights that it is worth
    (the moderated variance of Smyth 2004).
    """
    past, nights = test.past
    prior = thresholds.prior_nights
    spread = (prior * test.spread + nights * past) / (prior + nights) * test.runs
    pooled = cases / 2 if cases >= thresholds.pool_cases else 0.0
    variance = test.within + spread
    within_freedom = 2 * (BATCHES - 1)
    freedom = variance**2 / (test.within**2 / within_freedom + spread**2 / (prior + nights + pooled))
    return math.sqrt(variance), freedom


def _verdict(test: _Test, error: float, freedom: float, p_adjusted: float, alpha: float) -> Change:
    reach = float(stats.t.ppf(0.975, freedom)) * error
    low, high = test.move - reach, test.move + reach
    limit = test.metric.limit
    reason = ""
    changed = p_adjusted <= alpha and abs(test.move) > limit
    if changed and test.doubt:
        verdict, reason = Verdict.UNCLEAR, test.doubt
    elif changed:
        worse = (test.move > 0) != test.metric.higher_is_better
        words = (Verdict.WORSE, Verdict.BETTER) if test.metric.is_fidelity else (Verdict.SLOW, Verdict.FAST)
        verdict = words[0] if worse else words[1]
    elif test.metric.is_fidelity or (-limit <= low and high <= limit):
        verdict = Verdict.SAME
    else:
        verdict = Verdict.UNCLEAR
        past_floor = "the interval reaches past the floor"
        reason = past_floor if p_adjusted > alpha else f"a change, but not surely a large one: {past_floor}"
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
        change=shown(test.move),
        ci95_low=None if low is None else shown(low),
        ci95_high=None if high is None else shown(high),
        p_adjusted=p_adjusted,
        floor=test.metric.floor,
        reason=reason,
    )


def _tier_change(before: str | None, after: str | None) -> list[Change]:
    if before not in TIERS or after not in TIERS:
        return []
    order = TIERS.index(after) - TIERS.index(before)
    verdict = Verdict.WORSE if order > 0 else Verdict.BETTER if order < 0 else Verdict.SAME
    reason = f"{before} -> {after}" if order else after
    return [Change("tier", verdict, "", "difference", None, None, reason=reason)]
