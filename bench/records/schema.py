"""Records: the outcome of every case, one JSON object a line, and the only thing reports read.

A results directory holds ``records.jsonl``. A line is written as its case ends and reaches the disk before
the next case starts, so a run that dies keeps what it measured. A last line that was cut off is left out on
reading. Fields that this version does not know are ignored; a newer :data:`SCHEMA_VERSION` is refused.

The fields are those of :class:`Record` and the dataclasses it holds; units are part of their names. A value
that was not measured is ``null``, never 0. Changes that a reader must know about raise the version:

====== ==================================
schema change
====== ==================================
1      first
====== ==================================
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bench.case import Case
from bench.spec import Weights

SCHEMA_VERSION = 1
FILE_NAME = "records.jsonl"


class Status(StrEnum):
    """How a case ended. Every status but ``OK`` comes with a reason."""

    OK = "ok"
    UNAVAILABLE = "unavailable"  # the backend cannot run on this machine
    UNSUPPORTED = "unsupported"  # the backend runs here, but not this case
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    WRONG_OUTPUT = "wrong_output"  # another precision, a fallback, a non-finite or misshapen result


# A queue takes about a thousand launches. So a call whose work takes the device longer than launching it returns
# well before the end, unless it launches more than ten thousand kernels.
_WAITING = 0.9


def waits_for_host(launch_ms: float | None, median_ms: float) -> bool:
    """Whether launching took nearly all of the time, so that the device waited in between; False if not known."""
    return launch_ms is not None and launch_ms >= _WAITING * median_ms


@dataclass(frozen=True)
class Timing:
    """Durations of one inference, inputs already on the device, warmed up for this shape.

    Attributes:
        clock: ``"cuda-event"`` (time on the GPU's stream) or ``"wall"`` (host clock, on a CPU).
        samples_ms: Every round's duration by ``clock``, in order.
        host_samples_ms: The same rounds from call to synchronised return, by the host's clock.
        median_ms: Median of ``samples_ms``; the figure to quote.
        mad_ms: Median absolute deviation from the median, unscaled.
        ci95_low_ms, ci95_high_ms: 95 % interval of the median from order statistics; None under 6 rounds.
        p90_ms, p99_ms: Percentiles; None under 64 and 662 rounds.
        mean_ms, min_ms, max_ms: Of ``samples_ms``.
        host_median_ms: Median of ``host_samples_ms``.
        rounds: Number of samples.
        stop_reason: ``"stable"``, ``"time_limit"`` or ``"max_rounds"``.
        first_call_ms: Host time of the first call at this shape, after ``prepare``.
        warmup_rounds: Untimed calls before the first sample, the first call included.
        warmup_s: Their host time.
        launch_median_ms: Median host time until the call returned, its work queued; None on a CPU.
    """

    clock: str
    samples_ms: tuple[float, ...]
    host_samples_ms: tuple[float, ...]
    median_ms: float
    mad_ms: float
    ci95_low_ms: float | None
    ci95_high_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    mean_ms: float
    min_ms: float
    max_ms: float
    host_median_ms: float
    rounds: int
    stop_reason: str
    first_call_ms: float
    warmup_rounds: int
    warmup_s: float
    launch_median_ms: float | None = None


@dataclass(frozen=True)
class Throughput:
    """Work per second.

    Attributes:
        inferences_per_s: Calls per second; a call vocodes the whole batch.
        audio_s_per_s: Seconds of audio per second, summed over the batch.
        real_time_factor: Median seconds of compute per second of audio produced; under 1 is real time.
        rounds: Calls counted.
        method: ``"back-to-back"`` (one synchronisation at the end) or ``"rounds"`` (the timed rounds).
    """

    inferences_per_s: float
    audio_s_per_s: float
    real_time_factor: float
    rounds: int
    method: str


@dataclass(frozen=True)
class Speedup:
    """Ratio of median times, baseline over case, from rounds that were run in turn.

    Attributes:
        baseline: Id of the case it is measured against.
        ratio: Baseline median over this case's median; over 1 is faster than the baseline.
        ci95_low, ci95_high: 95 % bootstrap interval over rounds; None under 6 rounds.
        baseline_median_ms: The baseline's median in the same rounds.
        baseline_samples_ms: Its durations, one for each of the case's rounds.
        baseline_launch_median_ms: Median host time until its call returned; None on a CPU.
    """

    baseline: str
    ratio: float
    ci95_low: float | None
    ci95_high: float | None
    baseline_median_ms: float
    baseline_samples_ms: tuple[float, ...]
    baseline_launch_median_ms: float | None = None

    @property
    def baseline_waits_for_host(self) -> bool:
        """Whether the baseline's device waited for the host: the ratio is then the host's, too."""
        return waits_for_host(self.baseline_launch_median_ms, self.baseline_median_ms)


@dataclass(frozen=True)
class Memory:
    """Memory while only this case's model was loaded, before any baseline.

    Attributes:
        allocated_peak_bytes: Peak of torch's CUDA allocator over what it held before preparing, model included;
            None on a CPU.
        reserved_peak_bytes: Peak that the allocator had reserved, likewise; None on a CPU.
        model_bytes: Bytes of the allocator after preparing, before the first inference; None on a CPU.
        process_gpu_bytes: GPU memory of this process by NVML after the inferences, context included.
        device_delta_bytes: Growth of the whole GPU's used memory since before preparing, by NVML.
        rss_peak_bytes: Peak resident set of the process during the inferences.
        rss_delta_bytes: That peak over the resident set before preparing; None when an earlier case's memory went
            back to the system meanwhile.
    """

    allocated_peak_bytes: int | None
    reserved_peak_bytes: int | None
    model_bytes: int | None
    process_gpu_bytes: int | None
    device_delta_bytes: int | None
    rss_peak_bytes: int | None
    rss_delta_bytes: int | None


@dataclass(frozen=True)
class Build:
    """What it cost to get a runner.

    Attributes:
        seconds: From a float32 vocoder on the CPU to a callable on the device, in this run.
        engine_bytes: Size of the serialised engine or module, where there is one.
        details: Backend's own facts (layer counts, exporter, builder options), JSON values only.
        build_s: Export and build of the engine, now or when it was put into the cache.
        load_s: From the engine on disk, or in memory just after the build, to a callable on the device.
        from_cache: Whether the engine came from the cache; None where nothing is kept.
        break_even_inferences: Inferences after which the build has paid for itself against eager at the same
            precision (fp32 where eager has not got it); None when it never does.
    """

    seconds: float
    engine_bytes: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
    build_s: float | None = None
    load_s: float | None = None
    from_cache: bool | None = None
    break_even_inferences: float | None = None

    @property
    def cost_s(self) -> float:
        """Seconds that the build took, also where this run found its result in the cache."""
        return self.seconds if self.build_s is None else self.build_s


@dataclass(frozen=True)
class EffectivePrecision:
    """What was in effect while the case ran, read back or probed, not assumed.

    Attributes:
        weights: Data types of the parameters that ran, such as ``"float16"``, comma-separated.
        compute: Data types that the convolutions worked in.
        output: Data type of the waveform.
        tf32_convolution, tf32_matmul: Whether TF32 rounding was allowed; None where the device has none.
        tf32_observed: Whether a probe convolution showed TF32 rounding; None off CUDA.
        autocast: Autocast's data type, or None.
        evidence: How ``compute`` was found.
    """

    weights: str
    compute: str
    output: str
    tf32_convolution: bool | None
    tf32_matmul: bool | None
    tf32_observed: bool | None
    autocast: str | None
    evidence: str


@dataclass(frozen=True)
class GpuState:
    """The GPU during the timed rounds, sampled between rounds by NVML.

    Attributes:
        sm_clock_median_mhz, sm_clock_min_mhz, memory_clock_mhz: Clocks.
        temperature_max_c, power_mean_w: Temperature and power draw.
        throttle_reasons: Names of the throttle reasons seen, without idle.
        readings: Number of readings.
    """

    sm_clock_median_mhz: int | None
    sm_clock_min_mhz: int | None
    memory_clock_mhz: int | None
    temperature_max_c: int | None
    power_mean_w: float | None
    throttle_reasons: tuple[str, ...]
    readings: int


@dataclass(frozen=True)
class Record:
    """One outcome of one case.

    Attributes:
        run_id: Names the results directory.
        kind: ``"speed"`` or ``"quality"``: which suite asked.
        case: What was run.
        status: How it ended.
        reason: Why, in one sentence; empty when ``ok``.
        device: ``"cpu"`` or ``"cuda:N"``.
        recorded_at: UTC time, ISO 8601.
        seed: Seed of synthetic weights and of every bootstrap.
        audio: Name and digest of the speech that the mels come from.
        environment: From :func:`bench.measure.environment.capture`.
        speedup_static: For an engine that takes a range of shapes: against the same one built for this shape alone;
            under 1 is what the range costs.
        fidelity: Fields of :class:`bench.quality.Fidelity` and its verdict, for ``kind == "quality"``.
        files: Files kept beside the records, by role, as paths relative to the run's directory.
    """

    run_id: str
    kind: str
    case: Case
    status: Status
    reason: str
    device: str
    recorded_at: str
    seed: int
    weights: Weights | None = None
    audio: str | None = None
    timing: Timing | None = None
    throughput: Throughput | None = None
    speedup_same_precision: Speedup | None = None
    speedup_fp32: Speedup | None = None
    speedup_static: Speedup | None = None
    memory: Memory | None = None
    build: Build | None = None
    precision: EffectivePrecision | None = None
    gpu_state: GpuState | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    fidelity: dict[str, Any] | None = None
    files: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def id(self) -> str:
        """The case's id."""
        return self.case.id
