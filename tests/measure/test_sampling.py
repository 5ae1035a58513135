"""Rounds interleave, and stop for a reason that is told."""

import itertools
from collections.abc import Callable

import pytest

from bench.errors import InputError
from bench.measure.clock import Duration
from bench.measure.sampling import Samples, StopRule, sample


def contender(durations: "itertools.cycle[float]", log: list[str], name: str) -> Callable[[], Duration]:
    def once() -> Duration:
        log.append(name)
        duration = next(durations)
        return Duration(duration, duration + 1, duration / 2)

    return once


def run(
    durations: list[float], rule: StopRule, now: Callable[[], float] = lambda: 0.0
) -> tuple[list[Samples], str, list[str]]:
    log: list[str] = []
    contenders = [contender(itertools.cycle(durations), log, name) for name in "abc"]
    sampled = sample(contenders, rule, seed=0, now=now)
    return sampled.contenders, sampled.reason, log


def test_every_round_runs_everyone_once() -> None:
    """Each round holds all contenders, in an order that changes."""
    samples, _, log = run([10.0], StopRule(min_rounds=20, min_time_s=0))
    rounds = ["".join(log[i : i + 3]) for i in range(0, len(log), 3)]
    assert {"".join(sorted(order)) for order in rounds} == {"abc"}
    assert len(set(rounds)) > 3
    assert all(len(s.device_ms) == len(rounds) for s in samples)
    assert samples[0].host_ms[0] == samples[0].device_ms[0] + 1
    assert samples[2].launch_ms == tuple(ms / 2 for ms in samples[2].device_ms)


def test_stable_samples_stop_at_the_minimum() -> None:
    """Equal samples are stable as soon as the fewest rounds and the shortest time are reached."""
    samples, reason, _ = run([10.0], StopRule(min_rounds=10, min_time_s=0.0))
    assert (reason, len(samples[0].device_ms)) == ("stable", 10)
    samples, reason, _ = run([10.0], StopRule(min_rounds=10, min_time_s=0.3))
    assert (reason, len(samples[0].device_ms)) == ("stable", 30)


def test_wild_samples_run_to_a_limit() -> None:
    """Samples that never settle stop at the most rounds, or when time is up."""
    wild = [1.0, 1.3, 1.7, 2.2, 2.8, 3.5, 4.3]
    samples, reason, _ = run(wild, StopRule(min_rounds=6, min_time_s=0, max_rounds=50))
    assert (reason, len(samples[0].device_ms)) == ("max_rounds", 50)
    clock = itertools.count(0, 1.0)
    _, reason, _ = run(wild, StopRule(min_rounds=6, min_time_s=0, time_limit_s=20), now=lambda: next(clock))
    assert reason == "time_limit"


def test_impossible_rules_are_refused() -> None:
    """A rule that cannot end is an error."""
    with pytest.raises(InputError, match="stop rule"):
        StopRule(min_rounds=0)
    with pytest.raises(InputError, match="stop rule"):
        StopRule(min_rounds=9, max_rounds=8)
