"""One speed record from several worker processes that shared a case's rounds.

::

    process 0   build 0   22 rounds  -+
    process 1   build 0   22 rounds  -+->  one record: every round, each process's level, intervals between processes
    process 2   build 0   20 rounds  -+
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import TypeVar

import numpy as np

from bench.measure.statistics import P90_FLOOR, P99_FLOOR, median_deviation, percentile, process_interval
from bench.records.schema import (
    GpuState,
    Marked,
    Memory,
    Process,
    Record,
    Speed,
    Speedup,
    Status,
    Throughput,
    Timing,
    break_even_inferences,
)

Part = TypeVar("Part")


def as_process(record: Record, build: int = 0) -> Process | None:
    """What a record of one process says of it; None where it has no figures."""
    speed = record.answer(Speed)
    if speed is None:
        return None
    eager, memory = speed.speedup_fp32, speed.memory
    used = memory and (memory.process_gpu_bytes or memory.reserved_peak_bytes or memory.rss_peak_bytes)
    return Process(
        rounds=speed.timing.rounds,
        median_ms=speed.timing.median_ms,
        build=build,
        build_s=record.build.build_s if record.build is not None else None,
        baseline_fp32_median_ms=eager.baseline_median_ms if eager and eager.baseline != record.id else None,
        audio_s_per_s=speed.throughput.audio_s_per_s if speed.throughput else None,
        memory_bytes=used or None,
    )


def combined(records: Sequence[Record], builds: Sequence[int]) -> Record:
    """The record of a case from the records of its processes.

    Args:
        records: One a process, in order.
        builds: Number of the build that each ran.

    Returns:
        The first record that did not end well, its reason saying which process it was; else one with every round. What
        needs a fresh process, such as a new length, is the first process's.
    """
    for place, record in enumerate(records):
        if record.status is not Status.OK:
            where = f"process {place + 1} of {len(records)}: " if place else ""
            return replace(record, reason=f"{where}{record.reason}")
    speeds = [speed for record in records if (speed := record.answer(Speed)) is not None]
    parts = [part for record, build in zip(records, builds, strict=True) if (part := as_process(record, build))]
    first = records[0]
    if len(records) == 1:
        return replace(first, result=replace(speeds[0], processes=tuple(parts)))
    timing = _timing([speed.timing for speed in speeds])
    eager = _speedup(speeds, lambda speed: speed.speedup_fp32)
    same = _speedup(speeds, lambda speed: speed.speedup_same_precision)
    roofline = speeds[0].roofline
    if roofline is not None:
        roofline = replace(roofline, percent_of_limit=100 * roofline.floor_ms / timing.median_ms)
    baseline = same or eager
    build = first.build
    if build is not None and baseline is not None:
        pays = break_even_inferences(build.cost_s, baseline.baseline_median_ms, timing.median_ms)
        build = replace(build, break_even_inferences=pays)
    result = replace(
        speeds[0],
        timing=timing,
        throughput=_throughput([speed.throughput for speed in speeds if speed.throughput], timing.median_ms),
        speedup_fp32=eager,
        speedup_same_precision=same,
        speedup_static=_speedup(speeds, lambda speed: speed.speedup_static),
        memory=_memory([speed.memory for speed in speeds if speed.memory]),
        gpu_state=_gpu_state([speed.gpu_state for speed in speeds if speed.gpu_state]),
        roofline=roofline,
        processes=tuple(parts),
        marked=_marked([speed.marked for speed in speeds], [speed.timing.rounds for speed in speeds]),
    )
    return replace(first, build=build, result=result)


def _joined(parts: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(value for part in parts for value in part)


def _timing(parts: Sequence[Timing]) -> Timing:
    samples, host = _joined([part.samples_ms for part in parts]), _joined([part.host_samples_ms for part in parts])
    median = float(np.median(samples))
    low, high = process_interval([part.median_ms for part in parts]) or (median, median)
    launches = [part.launch_median_ms for part in parts if part.launch_median_ms is not None]
    reasons = {part.stop_reason for part in parts}
    return replace(
        parts[0],
        samples_ms=samples,
        host_samples_ms=host,
        median_ms=median,
        mad_ms=median_deviation(samples),
        # The interval is about the mean of processes, from which the median of all rounds may lie off.
        ci95_low_ms=min(low, median),
        ci95_high_ms=max(high, median),
        p90_ms=percentile(samples, 90, P90_FLOOR),
        p99_ms=percentile(samples, 99, P99_FLOOR),
        mean_ms=float(np.mean(samples)),
        min_ms=min(samples),
        max_ms=max(samples),
        host_median_ms=float(np.median(host)),
        rounds=len(samples),
        stop_reason=next((reason for reason in ("time_limit", "max_rounds") if reason in reasons), "stable"),
        launch_median_ms=float(np.median(launches)) if launches else None,
    )


def _throughput(parts: Sequence[Throughput], median_ms: float) -> Throughput | None:
    """Of processes that ran one after another, each for as long as another."""
    if not parts:
        return None
    audio = float(np.mean([part.audio_s_per_s for part in parts]))
    inferences = float(np.mean([part.inferences_per_s for part in parts]))
    return replace(
        parts[0],
        inferences_per_s=inferences,
        audio_s_per_s=audio,
        real_time_factor=median_ms / 1000 * inferences / audio,
        rounds=sum(part.rounds for part in parts),
    )


def _speedup(speeds: Sequence[Speed], of: Callable[[Speed], Speedup | None]) -> Speedup | None:
    """Medians over all rounds, with the interval between processes; None unless every process has it."""
    parts = [part for speed in speeds if (part := of(speed)) is not None]
    if len(parts) < len(speeds):
        return None
    theirs = _joined([part.baseline_samples_ms for part in parts])
    middle = float(np.median(theirs))
    ratio = middle / float(np.median(_joined([speed.timing.samples_ms for speed in speeds])))
    low, high = process_interval([part.ratio for part in parts]) or (ratio, ratio)
    launches = [part.baseline_launch_median_ms for part in parts if part.baseline_launch_median_ms is not None]
    return replace(
        parts[0],
        ratio=ratio,
        ci95_low=min(low, ratio),
        ci95_high=max(high, ratio),
        baseline_median_ms=middle,
        baseline_samples_ms=theirs,
        baseline_launch_median_ms=float(np.median(launches)) if launches else None,
    )


def _memory(parts: Sequence[Memory]) -> Memory | None:
    """The median process, figure by figure."""
    if not parts:
        return None
    found = {}
    for item in fields(Memory):
        known = [value for part in parts if (value := getattr(part, item.name)) is not None]
        found[item.name] = sorted(known)[len(known) // 2] if known else None
    return Memory(**found)


def _gpu_state(parts: Sequence[GpuState]) -> GpuState | None:
    if not parts:
        return None
    medians = [part.sm_clock_median_mhz for part in parts if part.sm_clock_median_mhz is not None]
    least = [part.sm_clock_min_mhz for part in parts if part.sm_clock_min_mhz is not None]
    hottest = [part.temperature_max_c for part in parts if part.temperature_max_c is not None]
    watts = [part.power_mean_w for part in parts if part.power_mean_w is not None]
    return GpuState(
        sm_clock_median_mhz=int(np.median(medians)) if medians else None,
        sm_clock_min_mhz=min(least) if least else None,
        memory_clock_mhz=parts[-1].memory_clock_mhz,
        temperature_max_c=max(hottest) if hottest else None,
        power_mean_w=round(float(np.mean(watts)), 1) if watts else None,
        throttle_reasons=tuple(dict.fromkeys(reason for part in parts for reason in part.throttle_reasons)),
        readings=sum(part.readings for part in parts),
    )


def _marked(parts: Sequence[Marked | None], used: Sequence[int]) -> Marked | None:
    known = [part for part in parts if part is not None]
    if not known:
        return None
    causes: dict[str, int] = {}
    for part in known:
        for cause, times in part.causes.items():
            causes[cause] = causes.get(cause, 0) + times
    return Marked(
        rounds=sum(part.rounds for part in known),
        of=sum(part.of for part in known)
        + sum(rounds for part, rounds in zip(parts, used, strict=True) if part is None),
        causes=causes,
        samples_ms=_joined([part.samples_ms for part in known]),
        unstable=next((part.unstable for part in known if part.unstable), ""),
    )
