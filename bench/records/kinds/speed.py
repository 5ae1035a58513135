"""The speed of a case: durations, throughput, speedups over eager in turn, memory, and the GPU meanwhile."""

from dataclasses import dataclass
from typing import Annotated

from bench.records.facts import HIGHER, LOWER, Facts
from bench.records.kind import Result
from bench.records.limits import Energy, NewShape, Roofline

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
    median_ms: Annotated[float, Facts("Median", "ms", LOWER, 4, "Median duration with its 95 % interval.")]
    mad_ms: Annotated[float, Facts("MAD", "ms", LOWER, help="Median absolute deviation.")]
    ci95_low_ms: float | None
    ci95_high_ms: float | None
    p90_ms: Annotated[float | None, Facts("p90", "ms", LOWER, help="Blank under 64 rounds.")]
    p99_ms: Annotated[float | None, Facts("p99", "ms", LOWER, help="Blank under 662 rounds.")]
    mean_ms: Annotated[float, Facts("Mean", "ms", LOWER)]
    min_ms: Annotated[float, Facts("Shortest", "ms", LOWER)]
    max_ms: Annotated[float, Facts("Longest", "ms", LOWER)]
    host_median_ms: Annotated[float, Facts("Host median", "ms", LOWER, 4, "By the host's clock.")]
    rounds: int
    stop_reason: str
    first_call_ms: Annotated[float, Facts("First call", "ms", LOWER, help="After the build.")]
    warmup_rounds: int
    warmup_s: float
    launch_median_ms: Annotated[
        float | None,
        Facts(
            "Launch",
            "ms",
            LOWER,
            help="Host's time until the call returned; where it is nearly the median, the case is launch-bound.",
        ),
    ] = None


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

    inferences_per_s: Annotated[float, Facts("Inferences", "1/s", HIGHER)]
    audio_s_per_s: Annotated[
        float, Facts("Audio", "audio s/s", HIGHER, help="Seconds of audio per second, over the batch.")
    ]
    real_time_factor: Annotated[float, Facts("RTF", "", LOWER, help="Seconds of compute per second of audio.")]
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
    ratio: Annotated[float, Facts("Speedup", "\N{MULTIPLICATION SIGN}", HIGHER)]
    ci95_low: float | None
    ci95_high: float | None
    baseline_median_ms: float
    baseline_samples_ms: tuple[float, ...]
    baseline_launch_median_ms: float | None = None

    @property
    def baseline_waits_for_host(self) -> bool:
        """Whether the baseline is launch-bound: the ratio is then the host's, too."""
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

    allocated_peak_bytes: Annotated[int | None, Facts("Allocator", "bytes", LOWER, help="Torch's peak.")]
    reserved_peak_bytes: Annotated[int | None, Facts("Reserved", "bytes", LOWER)]
    model_bytes: Annotated[int | None, Facts("Model", "bytes", LOWER)]
    process_gpu_bytes: Annotated[int | None, Facts("GPU process", "bytes", LOWER, help="By NVML.")]
    device_delta_bytes: Annotated[int | None, Facts("GPU growth", "bytes", LOWER)]
    rss_peak_bytes: Annotated[int | None, Facts("RSS peak", "bytes", LOWER, help="Of the process, host.")]
    rss_delta_bytes: Annotated[int | None, Facts("RSS growth", "bytes", LOWER)]


# Clocks that somebody set, by ``nvidia-smi -ac``: the GPU runs as it was told to, and is not throttled.
SET_CLOCKS = "applications_clocks"


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

    @property
    def throttled(self) -> bool:
        """Whether something slowed the GPU beyond the clocks that somebody set."""
        return bool(set(self.throttle_reasons) - {SET_CLOCKS})


@dataclass(frozen=True)
class Process:
    """One worker process's share of a case: its rounds follow those of the process before.

    Attributes:
        rounds: How many of the samples are its own.
        median_ms: Their median.
        build: Which of the case's builds it ran, from 0; processes with an engine from one cache share theirs.
        build_s: Seconds that its build took; None where nothing was built.
        baseline_fp32_median_ms: Median of eager float32 in the same rounds; None where the case is that itself.
        audio_s_per_s: Its throughput.
        memory_bytes: Peak of the process's memory: of the GPU, or resident on a CPU.
    """

    rounds: int
    median_ms: float
    build: int = 0
    build_s: float | None = None
    baseline_fp32_median_ms: float | None = None
    audio_s_per_s: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Marked:
    """Rounds that were measured and are not used, because something disturbed them.

    Attributes:
        rounds: How many.
        of: Rounds in all, used and marked.
        causes: Rounds by cause; a round may have several.
        samples_ms: The marked durations by the case's clock, in order.
        unstable: Why the case's figures are no answer, in one sentence; empty where enough rounds were left.
    """

    rounds: int
    of: int
    causes: dict[str, int]
    samples_ms: tuple[float, ...] = ()
    unstable: str = ""


@dataclass(frozen=True)
class Speed(Result, kind="speed", title="speed", columns=""):
    """How fast a case ran, and in what memory.

    Attributes:
        timing: Durations.
        throughput: Work per second.
        speedup_same_precision: Over eager of the same precision; None where eager has not got it.
        speedup_fp32: Over eager fp32.
        speedup_static: For an engine that takes a range of shapes: against the same one built for this shape alone;
            under 1 is what the range costs.
        memory: While only this case's model was loaded.
        gpu_state: The GPU during the timed rounds; None on a CPU.
        roofline: How far the median is from the machine's limit.
        energy: Of calls made back to back; None where the card has no counter.
        new_shape: What a length costs that was never run; None where the runner takes its own alone.
        processes: The worker processes that share the rounds, in order; empty in older records, of one process.
        marked: Rounds that were disturbed; None where none was, and in older records.
    """

    timing: Timing
    throughput: Throughput | None = None
    speedup_same_precision: Speedup | None = None
    speedup_fp32: Speedup | None = None
    speedup_static: Speedup | None = None
    memory: Memory | None = None
    gpu_state: GpuState | None = None
    roofline: Roofline | None = None
    energy: Energy | None = None
    new_shape: NewShape | None = None
    processes: tuple[Process, ...] = ()
    marked: Marked | None = None

    @property
    def unstable(self) -> str:
        """Why the figures are no answer; empty where they are one."""
        return self.marked.unstable if self.marked is not None else ""
