"""Points from outcomes with planted latencies."""

import pytest

from bench.run.load.outcomes import Outcome, Reply, growth_per_h, summarise, underrun_s
from bench.run.load.saturation import in_time, kept_up


def planted(count: int, status: int = 200) -> list[Outcome]:
    """Latencies of 1, 2, 3 ... ms from the intended start, sent half a millisecond late."""
    return [
        Outcome(index, index + 0.0005, index + 0.001 * (index + 1), Reply(status, right=True, audio_s=2.0))
        for index in range(count)
    ]


def test_latencies() -> None:
    """Percentiles of 1 to 1000 ms, counts and rates are the analytic ones."""
    point = summarise(planted(1000), 500.0, loop="open", batching=True, offered_per_s=2.0)
    assert (point.requests, point.answered, point.refused, point.failed, point.wrong) == (1000, 1000, 0, 0, 0)
    assert point.latency_mean_ms == pytest.approx(500.5)
    assert point.latency_p50_ms == pytest.approx(500.5)
    assert point.latency_p90_ms == pytest.approx(900.1)
    assert point.latency_p99_ms == pytest.approx(990.01)
    assert point.latency_max_ms == pytest.approx(1000)
    assert point.generator_late_p99_ms == pytest.approx(0.5)
    assert (point.requests_per_s, point.audio_throughput) == (2.0, 4.0)
    assert point.audio_rtf_p50 == pytest.approx(0.25025)


@pytest.mark.parametrize(
    ("count", "p90", "p99"), [(63, False, False), (64, True, False), (661, True, False), (662, True, True)]
)
def test_percentiles_have_floors(count: int, p90: bool, p99: bool) -> None:
    """Too few samples are a blank, not a number."""
    point = summarise(planted(count), 1.0, loop="closed", batching=False, clients=1)
    assert (point.latency_p90_ms is not None, point.latency_p99_ms is not None) == (p90, p99)


def test_every_request_is_counted_once() -> None:
    """Refused, failed, broken, unanswered and wrong ones."""
    outcomes = planted(3) + planted(2, 503) + planted(1, 429) + planted(2, 500) + planted(1, 0)
    outcomes += [Outcome(0, 0, 9, None), Outcome(0, 0, 0.001, Reply(200, right=False, audio_s=1.0))]
    point = summarise(outcomes, 1.0, loop="open", batching=True)
    assert (point.requests, point.answered, point.refused, point.failed, point.wrong) == (11, 4, 3, 4, 1)
    empty = summarise([], 1.0, loop="open", batching=True)
    assert (empty.requests, empty.latency_p50_ms, empty.latency_max_ms) == (0, None, None)


def test_streams() -> None:
    """TTFP from the intended start; underruns by vllm-omni's deficit; the share of those within 0.1 s."""
    smooth = Reply(200, right=True, audio_s=2.0, chunks=((0.05, 1.0), (0.5, 1.0)))
    halting = Reply(200, right=True, audio_s=2.0, chunks=((0.09, 1.0), (1.34, 1.0)))
    outcomes = [Outcome(0.0, 0.0, 0.5, smooth), Outcome(0.0, 0.01, 1.34, halting)]
    point = summarise(outcomes, 1.0, loop="speakers", batching=True, clients=2)
    assert point.audio_ttfp_p50_ms == pytest.approx(70)
    assert point.audio_ttfp_max_ms == pytest.approx(90)
    assert point.audio_underrun_max_s == pytest.approx(0.25)
    assert point.audio_continuity_ok_rate == 0.5
    assert in_time(point) == ""
    assert in_time(summarise(outcomes[:1], 1.0, loop="speakers", batching=True, clients=1)) == "max"
    assert in_time(summarise(outcomes[:1] * 662, 1.0, loop="speakers", batching=True, clients=1)) == "p99"


def test_in_time_is_strict() -> None:
    """A wrong, an unanswered and a late stream each decide."""
    good = Reply(200, right=True, audio_s=1.0, chunks=((0.05, 1.0),))
    for reply, sent in (
        (Reply(200, right=False, audio_s=1.0, chunks=((0.05, 1.0),)), 0.0),
        (None, 0.0),
        (Reply(200, right=True, audio_s=1.0, chunks=((0.11, 1.0),)), 0.0),
    ):
        outcomes = [Outcome(0.0, sent, 0.2, good), Outcome(0.0, sent, 0.2, reply)]
        assert not in_time(summarise(outcomes, 1.0, loop="speakers", batching=True, clients=2))


def test_underrun_of_what_plays_at_once() -> None:
    """One chunk, chunks in time, and a gap that later chunks make up for."""
    assert underrun_s([(3.0, 1.0)]) == 0
    assert underrun_s([(0, 1.0), (0.9, 1.0), (1.9, 1.0)]) == 0
    assert underrun_s([(0, 1.0), (1.5, 5.0), (2.0, 1.0)]) == 0.5


def test_keeping_up() -> None:
    """What is left at the window's end decides, and any wrong answer."""
    good = planted(100)
    assert kept_up(summarise(good, 10.4, loop="open", batching=True), 10.0, 0.0)
    assert not kept_up(summarise(good, 10.6, loop="open", batching=True), 10.0, 0.0)
    assert kept_up(summarise(good, 10.6, loop="open", batching=True), 10.0, 0.1)
    assert not kept_up(summarise([*good, *planted(1, 503)], 10.0, loop="open", batching=True), 10.0, 0.0)


def test_growth() -> None:
    """A leak of a byte a second is 3600 an hour; what warmed up in the first half is none; few points say nothing."""
    times = list(range(100))
    assert growth_per_h(times, [min(time, 50) * 1000 + time for time in times]) == pytest.approx(3600)
    assert growth_per_h([0, 1, 2, 3], [0, 0, 0, 0]) is None
