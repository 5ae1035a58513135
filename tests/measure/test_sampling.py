"""Rounds interleave, and stop for a reason that is told."""

import gc
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from bench.errors import InputError
from bench.measure.clock import Duration
from bench.measure.sampling import Sampled, Samples, StopRule, sample
from bench.records.schema import Marked


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


def disturbed(looks: Sequence[frozenset[str] | None], durations: list[float], rule: StopRule) -> Sampled:
    """What sampling gives where the watch says these, one after the other; the first before any round."""
    said = iter(looks)
    contenders = [contender(itertools.cycle(durations), [], name) for name in "ab"]
    return sample(contenders, rule, seed=0, look=lambda: next(said, frozenset()), now=lambda: 0.0)


HOT = frozenset({"hot"})


def test_disturbed_rounds_are_marked_and_not_used() -> None:
    """A look speaks for every round since the last one; their samples are kept apart, and others take their place."""
    looks = [frozenset(), frozenset(), None, None, HOT, frozenset()]
    rule = StopRule(min_rounds=10, min_time_s=0)
    sampled = disturbed(looks, [1.0, 5.0, 6.0, 7.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], rule)
    # The second contender shares the cycle's place, so that both have the same durations.
    assert sampled.contenders[0].device_ms == (1.0,) * 10
    assert len(sampled.contenders[1].device_ms) == 10
    assert sampled.reason == "stable"
    assert sampled.marked == Marked(3, 13, {"hot": 3}, (5.0, 6.0, 7.0))


def test_too_many_disturbed_rounds_make_a_case_unstable() -> None:
    """With more than half of the rounds disturbed the rest is no answer, and the cause is said."""
    looks = [frozenset(), *[HOT, HOT, frozenset()] * 20]
    sampled = disturbed(looks, [1.0], StopRule(min_rounds=8, min_time_s=0))
    assert sampled.marked is not None
    assert sampled.marked.unstable == "16 of 24 rounds were disturbed: hot."
    assert len(sampled.contenders[0].device_ms) == 8


def test_a_case_disturbed_all_along_ends_and_has_figures() -> None:
    """Where nothing else is left every round is shown, and the case is no answer."""
    sampled = disturbed([HOT] * 100, [1.0], StopRule(min_rounds=6, min_time_s=0, max_rounds=20))
    assert len(sampled.contenders[0].device_ms) == 20
    assert sampled.marked is not None
    assert sampled.marked.unstable == "20 of 20 rounds were disturbed: hot."


def test_processes_share_a_rule() -> None:
    """Three processes take about as many rounds, and as long, as one; each has enough for a level of its own."""
    rule = StopRule(min_rounds=64, min_time_s=3.0, relative_width=0.01, time_limit_s=30.0, max_rounds=300)
    assert rule.share(1) is rule
    third = rule.share(3)
    assert (third.min_rounds, third.min_time_s, third.time_limit_s, third.max_rounds) == (22, 1.0, 10.0, 100)
    assert third.relative_width == pytest.approx(0.01 * 3**0.5)
    assert StopRule(min_rounds=9, max_rounds=9).share(3).min_rounds == 6
    assert StopRule(min_rounds=1, max_rounds=1).share(3).max_rounds == 1


def test_correlated_rounds_are_not_stable_sooner() -> None:
    """Rounds that drift are worth fewer than the same rounds in any order, whose half-width is 4 %."""
    drifting = 10 + np.sin(np.arange(60) * 2 * np.pi / 60)
    rule = StopRule(min_rounds=20, min_time_s=0, relative_width=0.05)
    assert rule.reason(drifting.tolist(), 0.0) is None
    assert rule.reason(np.random.default_rng(0).permutation(drifting).tolist(), 0.0) == "stable"


def test_the_rule_follows_the_case_and_not_its_baseline() -> None:
    """A wild baseline keeps nobody, and a calm one lets no wild case go."""
    calm, wild = itertools.cycle([1.0]), itertools.cycle([1.0, 1.3, 1.7, 2.2, 2.8, 3.5, 4.3])
    rule = StopRule(min_rounds=8, min_time_s=0, max_rounds=40)
    case, other = contender(calm, [], "a"), contender(wild, [], "b")
    assert sample([case, other], rule, seed=0).reason == "stable"
    assert sample([other, case], rule, seed=0).reason == "max_rounds"


def test_the_target_is_the_half_width() -> None:
    """An interval from 9 to 11 about 10 has a half-width of 10 %."""
    samples = [9.0, 11.0, 10.0] * 2
    for width, reason in ((0.1, "stable"), (0.099, None), (0.4, "stable")):
        assert StopRule(min_rounds=6, min_time_s=0, relative_width=width).reason(samples, 0.0) == reason


def test_the_garbage_collector_rests_during_rounds_and_works_again() -> None:
    """Nothing is collected within a round; afterwards the collector is as it was."""
    seen: list[bool] = []

    def once() -> Duration:
        seen.append(gc.isenabled())
        return Duration(1.0, 1.0, 1.0)

    assert gc.isenabled()
    sample([once], StopRule(min_rounds=6, min_time_s=0), seed=0)
    assert not any(seen)
    assert gc.isenabled()
    gc.disable()
    try:
        sample([once], StopRule(min_rounds=6, min_time_s=0), seed=0)
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("rounds", "elapsed_s", "reason"),
    [
        (10, 9.9, None),
        (10, 10.0, "time_limit"),
        (11, 10.0, "time_limit"),
        (9, 99.0, None),
        (19, 9.9, None),
        (20, 0.0, "max_rounds"),
    ],
)
def test_limits_of_a_rule_are_reached_at_their_number(rounds: int, elapsed_s: float, reason: str | None) -> None:
    """Samples that never settle go on up to a limit, and no further."""
    rule = StopRule(min_rounds=10, min_time_s=0.0, time_limit_s=10.0, max_rounds=20)
    assert rule.reason([1.0, 2.0, 3.0, 4.0] * 4 + [1.0] * 4, elapsed_s) == ("max_rounds")
    assert rule.reason(([1.0, 2.0, 3.0, 4.0] * 5)[:rounds], elapsed_s) == reason


def test_the_shortest_time_is_the_sum_of_the_samples() -> None:
    """Ten rounds of 50 ms are half a second; a millisecond less is not."""
    rule = StopRule(min_rounds=6, min_time_s=0.5)
    assert rule.reason([50.0] * 10, 0.0) == "stable"
    assert rule.reason([50.0] * 9 + [49.0], 0.0) is None


def test_a_rule_at_its_bounds_is_possible() -> None:
    """One round, and as many at least as at most; no time and no width are none."""
    assert StopRule(min_rounds=1, max_rounds=1).max_rounds == 1
    for wrong in ({"time_limit_s": 0.0}, {"relative_width": 0.0}, {"time_limit_s": -1.0}):
        with pytest.raises(InputError, match="stop rule"):
            replace(StopRule(), **wrong)  # type: ignore[arg-type]


def test_a_look_before_the_first_round_disturbs_none() -> None:
    """What the machine did before is not the case's."""
    sampled = disturbed([HOT], [1.0], StopRule(min_rounds=6, min_time_s=0))
    assert sampled.marked is None


def test_half_of_the_rounds_disturbed_is_not_most() -> None:
    """Six of twelve leave an answer; the most frequent cause is the one that is said."""
    cold = frozenset({"cold"})
    sampled = disturbed([frozenset(), *[HOT, frozenset()] * 20], [1.0], StopRule(min_rounds=6, min_time_s=0))
    assert sampled.marked == Marked(6, 12, {"hot": 6}, (1.0,) * 6)
    sampled = disturbed(
        [frozenset(), cold, *[HOT] * 8, *[frozenset()] * 6], [1.0], StopRule(min_rounds=6, min_time_s=0)
    )
    assert sampled.marked is not None
    assert sampled.marked.causes == {"cold": 1, "hot": 8}
    assert sampled.marked.unstable == "9 of 15 rounds were disturbed: hot."
