"""How long a sweep on a processor will take, said before it begins.

Two calls of each network give the machine's pace, loaded as it is; the rest is counted: workers that start, builds,
calls of a case. What a backend gains on eager is what a sweep is to find out, so that all of them count as eager, and
the estimate is good for a factor of two.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.backends import find_backend
from bench.case import Case
from bench.chunking import receptive_field
from bench.measure.sampling import StopRule
from bench.run.job import Kind
from bench.run.quality import FLOAT64_CPU_FRAMES
from bench.run.session import Session
from bench.run.settings import Settings
from bench.run.streaming import plans
from bench.spec import SPECS

# Frames of the call that the pace is taken from, and the share of its time that a call of no frames takes: that of
# reading the weights.
PACE_FRAMES = 8
AT_LEAST = 0.45
# Calls of a speed case beside its rounds, and of a baseline: first, checks, warm-up, memory, another length.
CALLS_BESIDE, BASELINE_CALLS = 18, 5
# Calls that a quality case begins with, and what one in float64 takes of others.
CALLS_BEFORE, FLOAT64_CALLS = 5, 3
# What export, freezing and compilation take, in calls.
BUILD_CALLS = 6
# Inputs of a quality case, and what an item takes to compare.
INPUTS, COMPARE_S = 8, 0.1


@dataclass(frozen=True)
class Pace:
    """What a machine takes, in seconds.

    Attributes:
        start_s: A worker, until it can do something.
        load_s: By version, until weights and speech are there.
        call_s: By version, one call of :data:`PACE_FRAMES` frames in eager float32.
        halo: By version, frames that a stream's windows have on either side.
    """

    start_s: float
    load_s: Mapping[str, float]
    call_s: Mapping[str, float]
    halo: Mapping[str, int]

    def call(self, version: str, batch: int, frames: int) -> float:
        """One call of a version, in seconds."""
        return self.call_s[version] * (AT_LEAST + (1 - AT_LEAST) * batch * frames / PACE_FRAMES)


def measure_pace(session: Session, versions: Iterable[str], start_s: float) -> Pace:
    """The pace of this machine, by two calls of each network.

    Args:
        session: Of the run, on a processor; its weights count as loaded here.
        versions: Of its cases.
        start_s: What a worker takes to start.
    """
    load_s, call_s, halo = {}, {}, {}
    for version in versions:
        began = time.perf_counter()
        vocoder, voice = session.vocoder(version), session.voice(version)
        load_s[version] = time.perf_counter() - began
        with session.active(Case(version, "eager", "fp32", 1, PACE_FRAMES)):
            vocoder(voice.mel(1, 1))
            began = time.perf_counter()
            vocoder(voice.mel(1, PACE_FRAMES))
            call_s[version] = time.perf_counter() - began
        halo[version] = receptive_field(vocoder).halo
    return Pace(start_s, load_s, call_s, halo)


def sweep_s(jobs: Sequence[tuple[Kind, Case]], unavailable: Iterable[str], pace: Pace, settings: Settings) -> float:
    """Seconds that jobs will take, of one configuration after another; load tests are not counted.

    Args:
        jobs: What is done.
        unavailable: Backends that do not run here, whose cases take no time.
        pace: Of the machine.
        settings: Of the run.
    """
    missing = set(unavailable)
    runs = [(kind, case) for kind, case in jobs if case.backend not in missing]
    workers = {(case.version, case.backend, case.precision) for _, case in runs}
    total = sum(settings.repeats * (pace.start_s + pace.load_s[version]) for version, _, _ in workers)
    count = {Kind.SPEED: _speed_s, Kind.QUALITY: _quality_s, Kind.STREAMING: _streaming_s}
    for kind, case in runs:
        if kind in count:
            total += count[kind](case, pace, settings) + _builds_s(case, pace)
    return total


def _builds_s(case: Case, pace: Pace) -> float:
    """Of the case's runner; an engine is kept for the cases that follow."""
    call_s = pace.call(case.version, case.batch, case.frames)
    quick = case == case.baseline(case.precision) or find_backend(case.backend).keeps_engines
    return call_s if quick else BUILD_CALLS * call_s


def _speed_s(case: Case, pace: Pace, settings: Settings) -> float:
    call_s = pace.call(case.version, case.batch, case.frames)
    baselines = len({case.baseline("fp32"), case.baseline(case.precision)} - {case})
    beside = settings.repeats * (CALLS_BESIDE + baselines * BASELINE_CALLS) * call_s
    return beside + _rounds_s((1 + baselines) * call_s, settings.stop)


def _rounds_s(round_s: float, stop: StopRule) -> float:
    """Rounds of so many seconds: the fewest, or as many as half of the time allows where those are quick."""
    return max(stop.min_rounds * round_s, min(stop.time_limit_s / 2, stop.max_rounds * round_s))


def _quality_s(case: Case, pace: Pace, _: Settings) -> float:
    single_s = pace.call(case.version, 1, case.frames)
    call_s = pace.call(case.version, case.batch, case.frames)
    exact = case.batch == 1 and case.frames <= FLOAT64_CPU_FRAMES
    exact_s = FLOAT64_CALLS * single_s if exact else 0.0
    return CALLS_BEFORE * call_s + INPUTS * (call_s + case.batch * (single_s + COMPARE_S)) + exact_s


def _streaming_s(case: Case, pace: Pace, settings: Settings) -> float:
    if case.batch > 1:
        return 0.0
    total = 2 * pace.call(case.version, case.batch, case.frames)
    for plan in plans(case.frames, pace.halo[case.version], SPECS[case.version]).values():
        chunks = -(-case.frames // plan.chunk_frames)
        stream_s = chunks * pace.call(case.version, 1, plan.window_frames)
        total += stream_s + _rounds_s(stream_s, settings.stop)
    return total
