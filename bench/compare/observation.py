"""An observation: what one run says about one case, small enough to keep for years.

Comparisons work on observations only. They are made from records, and history keeps them one a line.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bench.compare.noise import Rounds, clipped_level, reduce_rounds, relative_variance_of_mean
from bench.compare.thresholds import Metric
from bench.records.facts import value_at
from bench.records.schema import Record, Sound, Speed, Status

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Processes:
    """What each worker process of a run said of a case; every tuple has one entry a process.

    Attributes:
        time: Mean of ``ln(ms)`` over its rounds, clipped by :func:`bench.compare.noise.clipped`.
        control: The same of the interleaved eager baseline; None where there is none.
        throughput: ``ln`` of seconds of audio a second; None where it was not measured.
        builds: Number of the build that it ran.
    """

    time: tuple[float, ...]
    control: tuple[float, ...] | None = None
    throughput: tuple[float, ...] | None = None
    builds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Observation:
    """One case in one run.

    Attributes:
        run_id: Names the run.
        recorded_at: UTC time, ISO 8601.
        kind: Of the record, such as ``"speed"`` or ``"quality"``.
        id: The case's id.
        status: How the case ended.
        reason: Why, unless ``ok``.
        identity: What must be equal for two observations to be compared.
        versions: What may differ and is then noted: library versions and flags.
        values: Value by metric, in the metric's unit; a metric that was not measured is absent.
        rounds: The timed rounds in batches; None without enough of them.
        throughput_variance: Squared relative standard error of the throughput, from the rounds.
        tier: The fidelity verdict by tier, for quality records.
        weights: Name of the weights, to show beside every figure.
        processes: Its worker processes; None where it ran in one.
        engines: Names the builds that ran: seconds that each took, which no two share; None where nothing was built.
        clock_mhz: Median clock of the GPU's multiprocessors.
        unstable: Why its figures are no answer; empty where they are one.
    """

    run_id: str
    recorded_at: str
    kind: str
    id: str
    status: str
    reason: str
    identity: dict[str, str]
    versions: dict[str, str]
    values: dict[str, float] = field(default_factory=dict)
    rounds: Rounds | None = None
    throughput_variance: float | None = None
    tier: str | None = None
    weights: str | None = None
    processes: Processes | None = None
    engines: str | None = None
    clock_mhz: float | None = None
    unstable: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What pairs it with another run's observation."""
        return self.kind, self.id

    @property
    def ok(self) -> bool:
        """Whether there is something to compare."""
        return self.status == Status.OK

    @cached_property
    def levels(self) -> dict[tuple[str, float | None], float]:
        """Levels that :func:`bench.compare.levels.level` has worked out, by metric and ceiling."""
        return {}

    @cached_property
    def control(self) -> tuple[float, float] | None:
        """Level of the interleaved baseline, ``ln(ms)``, and its squared error; None where there is none."""
        if self.processes is not None and self.processes.control is not None:
            levels = self.processes.control
            mean = sum(levels) / len(levels)
            return mean, sum((value - mean) ** 2 for value in levels) / (len(levels) - 1) / len(levels)
        if self.rounds is None or self.rounds.control is None:
            return None
        return self.rounds.control_level(), self.rounds.control_variance()


def observe(record: Record, metrics: dict[str, Metric]) -> Observation:
    """Reduces a record to what comparisons and history need."""
    speed, sound = record.answer(Speed), record.answer(Sound)
    rounds = throughput_variance = processes = None
    if speed:
        # A baseline is not its own control: it would hide its own change.
        speedup = speed.speedup_fp32
        control = speedup.baseline_samples_ms if speedup and speedup.baseline != record.id else None
        rounds = reduce_rounds(speed.timing.samples_ms, control)
        processes = _processes(speed, control)
        if speed.throughput:
            samples = speed.timing.host_samples_ms or speed.timing.samples_ms
            variance = relative_variance_of_mean(samples)
            throughput_variance = variance and variance * len(samples) / max(speed.throughput.rounds, 1)
    # What judging a case happened to cost is no figure of the case.
    asked = {name: metric for name, metric in metrics.items() if metric.kind == record.kind}
    values = {name: _value(record, metric.source) for name, metric in asked.items()}
    return Observation(
        run_id=record.run_id,
        recorded_at=record.recorded_at,
        kind=record.kind,
        id=record.id,
        status=str(record.status),
        reason=record.reason,
        identity=_identity(record),
        versions=_versions(record.environment),
        values={name: value for name, value in values.items() if value is not None},
        rounds=rounds,
        throughput_variance=throughput_variance,
        tier=sound.verdict if sound else None,
        weights=record.weights.name if record.weights else None,
        processes=processes,
        engines=_engines(record, speed),
        clock_mhz=speed.gpu_state.sm_clock_median_mhz if speed and speed.gpu_state else None,
        unstable=speed.unstable if speed else "",
    )


def _processes(speed: Speed, control: Sequence[float] | None) -> Processes | None:
    """The run's processes; None where it had one, or one of them has too few rounds."""
    parts, samples = speed.processes, speed.timing.samples_ms
    if len(parts) < 2 or sum(part.rounds for part in parts) != len(samples):
        return None
    edges = np.cumsum([part.rounds for part in parts])[:-1]
    times = [clipped_level(share) for share in np.split(np.asarray(samples), edges)]
    if any(level is None for level in times):
        return None
    controls = None
    if control is not None and len(control) == len(samples):
        controls = [clipped_level(share) for share in np.split(np.asarray(control), edges)]
    throughput = [part.audio_s_per_s for part in parts]
    return Processes(
        time=_known(times) or (),
        control=None if controls is None else _known(controls),
        throughput=_known([math.log(value) if value else None for value in throughput]),
        builds=tuple(part.build for part in parts),
    )


def _known(values: Sequence[float | None]) -> tuple[float, ...] | None:
    """The values; None unless all are known."""
    known = tuple(value for value in values if value is not None)
    return known if len(known) == len(values) else None


def _engines(record: Record, speed: Speed | None) -> str | None:
    built = {part.build_s for part in speed.processes} if speed else set()
    if not built and record.build is not None:
        built = {record.build.build_s}
    known = sorted(seconds for seconds in built if seconds is not None)
    return ",".join(map(repr, known)) or None


def _value(record: Record, sources: tuple[str, ...]) -> float | None:
    for source in sources:
        for holder in (record.result, record):
            value = value_at(holder, source)
            if value is not None and math.isfinite(value):
                return value
    return None


def _identity(record: Record) -> dict[str, str]:
    environment, speed = record.environment, record.answer(Speed)
    gpu = environment.get("gpu") or {}
    cpu = environment.get("cpu") or {}
    found: dict[str, Any] = {
        "device": record.device.split(":")[0],
        "audio": record.audio,
        "weights": record.weights and record.weights.sha256,
        "clock": speed and speed.timing.clock,
    }
    if found["device"] == "cpu":
        named = [cpu.get(key) for key in ("name", "model", "brand")] if isinstance(cpu, dict) else [cpu]
        found["CPU"] = next((name for name in named if name), None)
        found["threads"] = environment.get("threads")
    elif isinstance(gpu, dict):
        found["GPU"] = gpu.get("name")
        found["driver"] = gpu.get("driver")
        found["power limit (W)"] = gpu.get("power_limit_w")
    if record.precision:
        found["precision"] = (
            f"weights {record.precision.weights}, compute {record.precision.compute}, "
            f"output {record.precision.output}, tf32 {_tf32(record)}, "
            f"autocast {record.precision.autocast or 'off'}"
        )
    return {name: str(value) for name, value in found.items() if value is not None and value != ""}


def _tf32(record: Record) -> str:
    precision = record.precision
    flags = (precision.tf32_convolution, precision.tf32_matmul) if precision else ()
    return "/".join({True: "on", False: "off", None: "none"}[flag] for flag in flags)


def _versions(environment: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in ("versions", "flags"):
        values = environment.get(part)
        if isinstance(values, dict):
            found |= {str(name): str(value) for name, value in values.items() if value is not None}
    for name in ("python", "os"):
        if environment.get(name):
            found[name] = str(environment[name])
    return found


def differences(base: Observation, new: Observation) -> list[str]:
    """Why two observations must not be compared, each as one phrase; empty when they may be.

    What a failed case could not record (weights, precision, clock) does not count against it.
    """
    phrases = []
    for name in sorted(base.identity.keys() | new.identity.keys()):
        before, after = base.identity.get(name, UNKNOWN), new.identity.get(name, UNKNOWN)
        unknowable = UNKNOWN in (before, after) and not (base.ok and new.ok)
        if before != after and not unknowable:
            phrases.append(f"different {name}: {_short(before)}, now {_short(after)}")
    return phrases


def _short(text: str) -> str:
    return text[:12] if len(text) == 64 and text.isalnum() else text


def noted(base: Observation, new: Observation) -> list[str]:
    """Versions and flags that differ, each as one phrase."""
    names = sorted(base.versions.keys() | new.versions.keys())
    pairs = [(name, base.versions.get(name, "none"), new.versions.get(name, "none")) for name in names]
    return [f"{name} {before} -> {after}" for name, before, after in pairs if before != after]
