"""The speed of one case: ``measure_case(case, session) -> Record``.

::

    prepare the case     build seconds
    one call             first call at this shape
    waveform             right in kind, follows the input, at eager's level
    precision            watched in an untimed call
    warm up              until two calls agree
    memory               peak over two calls, nothing else loaded
    prepare baselines    eager at the same precision, eager fp32; for a range of shapes, the engine for this one
    rounds               case and baselines in turn, timed
    back to back         calls without waiting in between: throughput, then energy
    a new length         first call and later ones, where the runner takes it
"""

import time
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import torch

from bench.backends import find_backend
from bench.case import Case
from bench.measure.clock import Clock, Duration, clock_for
from bench.measure.disturbance import disturbances_of
from bench.measure.memory import MemoryMeter
from bench.measure.sampling import Contender, Samples, sample
from bench.measure.statistics import (
    P90_FLOOR,
    P99_FLOOR,
    median_deviation,
    median_interval,
    percentile,
    ratio_interval,
)
from bench.precision import find_precision
from bench.records.limits import Ceilings
from bench.records.schema import Build, Record, Speed, Speedup, Throughput, Timing, break_even_inferences
from bench.run.beside import beside, ceilings_or_reason
from bench.run.session import Prepared, Session, outcome
from bench.run.settings import Settings
from bench.run.validity import WaveformCheck, check_level, check_precision, check_waveform

# Warm-up ends when two consecutive calls agree this well, after this many calls or this long.
WARMUP_AGREEMENT = 0.1
WARMUP_MIN_CALLS = 3
WARMUP_MAX_CALLS = 20
WARMUP_LIMIT_S = 5.0
# The first call, two for the waveform, one for the precision.
_CALLS_BEFORE = 4
# Length of the back-to-back window on a GPU.
WINDOW_S = 0.3
WINDOW_MIN_CALLS = 5
WINDOW_MAX_CALLS = 500


def measure_case(case: Case, session: Session) -> Record:
    """Measures one case.

    Args:
        case: What to run.
        session: Of the run.

    Returns:
        The case's record, whatever happened.

    Raises:
        InputError: the weights or the audio cannot be used.
    """
    return outcome(case, session, "speed", lambda: _measure(case, session))


def _measure(case: Case, session: Session) -> dict[str, object]:
    with ExitStack() as stack:
        return _measure_open(case, session, stack)


def _measure_open(case: Case, session: Session, stack: ExitStack) -> dict[str, object]:
    settings, device = session.settings, session.device
    spec = session.vocoder(case.version).spec
    clock = clock_for(device)
    limits, notes = _limits(case, session)
    watch = disturbances_of(device)
    meter = MemoryMeter(device)
    check = WaveformCheck(case, spec, device)
    prepared = stack.enter_context(session.open(case))
    before = prepared.mel.clone()
    with session.active(case):
        first_ms = clock.time_ms(prepared.call).host_ms
        wave = check.run(prepared.runner, prepared.mel, before)
        precision = check_precision(prepared.runner.effective(prepared.mel))
        calls, warmup_s = _warm_up(prepared, clock)
        memory = meter.weigh(prepared.call)
    cases, runners = [case], [prepared]
    static = static_baseline(case, settings)
    for other in [] if prepared.runner.alone else _baselines(case):
        runner = stack.enter_context(session.open(other))
        with session.active(other):
            if other == case.baseline("fp32"):
                check_level(wave, runner.call().detach().to("cpu", torch.float32))
            _warm_up(runner, clock)
        cases.append(other)
        runners.append(runner)
    if static is not None:
        try:
            runners.append(_prepare_static(static, session, clock, stack))
            cases.append(static)
        except Exception as error:  # noqa: BLE001 - what is wrong with the baseline is not wrong with the case
            notes["static"] = f"{type(error).__name__}: {error}".splitlines()[0]
    contenders = [_contender(c, r, clock, session) for c, r in zip(cases, runners, strict=True)]
    sampled = sample(contenders, settings.stop.share(settings.repeats), settings.seed, watch.look)
    samples, reason = sampled.contenders, sampled.reason
    audio_s = case.batch * spec.audio_s(case.frames)
    with session.active(case):
        throughput = _throughput(prepared, clock, samples[0], audio_s)
        # Whatever it became meanwhile is what was timed.
        check_level(check.run(prepared.runner, prepared.mel), wave)
        launch_ms = None if prepared.runner.synchronous else _launch_median(clock, samples[0])
        timing = _timing(clock, samples[0], reason, first_ms, (calls, warmup_s), launch_ms)
        limit, energy, new_shape = beside(case, prepared, session, clock, limits, timing)
    speedups = {
        other: _speedup(other, samples[0], theirs, clock, settings.seed)
        for other, theirs in zip(cases, samples, strict=True)
    }
    fp32, same_precision = speedups.get(case.baseline("fp32")), speedups.get(case.baseline(case.precision))
    build = _build(prepared, notes, same_precision or fp32, timing)
    return {
        "build": build,
        "precision": precision,
        "result": Speed(
            timing=timing,
            throughput=throughput,
            speedup_same_precision=same_precision,
            speedup_fp32=fp32,
            speedup_static=speedups.get(static) if static else None,
            memory=memory,
            gpu_state=watch.summary(),
            roofline=limit,
            energy=energy,
            new_shape=new_shape,
            marked=sampled.marked,
        ),
    }


def _build(prepared: Prepared, notes: dict[str, str], baseline: Speedup | None, timing: Timing) -> Build:
    """What the runner cost, with what there is to note, and after how many inferences that has paid for itself."""
    build = prepared.runner.build
    pays = None
    if baseline is not None:
        pays = break_even_inferences(build.cost_s, baseline.baseline_median_ms, timing.median_ms)
    return replace(build, details={**build.details, **notes}, break_even_inferences=pays)


def _limits(case: Case, session: Session) -> tuple[Ceilings | None, dict[str, str]]:
    """The machine's ceilings, before anything of the case is loaded, and a note why where there are none."""
    found = ceilings_or_reason(case, session.device)
    return (None, {"ceilings": found}) if isinstance(found, str) else (found, {})


def _baselines(case: Case) -> list[Case]:
    """The eager cases that run in turn with a case, each once."""
    # PyTorch computes nothing in eight bits, so there is no eager of that precision.
    same = [] if find_precision(case.precision).quantised else [case.baseline(case.precision)]
    return [other for other in dict.fromkeys([*same, case.baseline("fp32")]) if other != case]


def static_baseline(case: Case, settings: Settings) -> Case | None:
    """For an engine that takes a range of shapes: the case of the engine for this shape alone, where it is wanted."""
    if settings.static_baseline == "off":
        return None
    return find_backend(case.backend).static_baseline(case, anywhere=settings.static_baseline == "all")


def _prepare_static(static: Case, session: Session, clock: Clock, stack: ExitStack) -> Prepared:
    """The same engine for one shape, tried out as the case itself was: a ratio to something else means nothing."""
    prepared = stack.enter_context(session.open(static))
    with session.active(static):
        check_waveform(prepared.call(), static, session.vocoder(static.version).spec)
        prepared.runner.effective(prepared.mel)
        _warm_up(prepared, clock)
    return prepared


def _contender(case: Case, prepared: Prepared, clock: Clock, session: Session) -> Contender:
    def once() -> Duration:
        with session.active(case):
            return clock.time_ms(prepared.call)

    return once


def _warm_up(prepared: Prepared, clock: Clock) -> tuple[int, float]:
    """Calls until two agree; returns the number of calls and their host seconds."""
    started = time.perf_counter()
    durations: list[float] = []
    while len(durations) < WARMUP_MAX_CALLS:
        durations.append(clock.time_ms(prepared.call).device_ms)
        if len(durations) >= WARMUP_MIN_CALLS:
            last, previous = durations[-1], durations[-2]
            if abs(last - previous) <= WARMUP_AGREEMENT * previous:
                break
            if time.perf_counter() - started > WARMUP_LIMIT_S:
                break
    return len(durations), time.perf_counter() - started


def _throughput(prepared: Prepared, clock: Clock, samples: Samples, audio_s: float) -> Throughput:
    median_s = float(np.median(samples.device_ms)) / 1000
    if clock.name == "wall":
        rounds, elapsed_s, method = len(samples.host_ms), sum(samples.host_ms) / 1000, "rounds"
    else:
        rounds = int(np.clip(WINDOW_S / median_s, WINDOW_MIN_CALLS, WINDOW_MAX_CALLS))
        method = "back-to-back"
        clock.synchronize()
        started = time.perf_counter()
        for _ in range(rounds):
            prepared.call()
        clock.synchronize()
        elapsed_s = time.perf_counter() - started
    return Throughput(
        inferences_per_s=rounds / elapsed_s,
        audio_s_per_s=rounds * audio_s / elapsed_s,
        real_time_factor=median_s / audio_s,
        rounds=rounds,
        method=method,
    )


def _speedup(baseline: Case, samples: Samples, theirs: Samples, clock: Clock, seed: int) -> Speedup:
    interval = ratio_interval(theirs.device_ms, samples.device_ms, seed)
    return Speedup(
        baseline=baseline.id,
        ratio=float(np.median(theirs.device_ms) / np.median(samples.device_ms)),
        ci95_low=interval[0] if interval else None,
        ci95_high=interval[1] if interval else None,
        baseline_median_ms=float(np.median(theirs.device_ms)),
        baseline_samples_ms=theirs.device_ms,
        baseline_launch_median_ms=_launch_median(clock, theirs),
    )


def _launch_median(clock: Clock, samples: Samples) -> float | None:
    """None where a call returns when its work is done, so that there is nothing to tell apart."""
    return None if clock.name == "wall" else float(np.median(samples.launch_ms))


def _timing(
    clock: Clock, samples: Samples, reason: str, first_ms: float, warmup: tuple[int, float], launch_ms: float | None
) -> Timing:
    device = samples.device_ms
    interval = median_interval(device)
    return Timing(
        clock=clock.name,
        samples_ms=device,
        host_samples_ms=samples.host_ms,
        median_ms=float(np.median(device)),
        mad_ms=median_deviation(device),
        ci95_low_ms=interval[0] if interval else None,
        ci95_high_ms=interval[1] if interval else None,
        p90_ms=percentile(device, 90, P90_FLOOR),
        p99_ms=percentile(device, 99, P99_FLOOR),
        mean_ms=float(np.mean(device)),
        min_ms=min(device),
        max_ms=max(device),
        host_median_ms=float(np.median(samples.host_ms)),
        rounds=len(device),
        stop_reason=reason,
        first_call_ms=first_ms,
        warmup_rounds=warmup[0] + _CALLS_BEFORE,
        warmup_s=warmup[1],
        launch_median_ms=launch_ms,
    )
