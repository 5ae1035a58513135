"""How a case serves many users at once."""

from dataclasses import dataclass
from typing import Annotated

from bench.records.facts import HIGHER, LOWER, Facts
from bench.records.kind import Result


@dataclass(frozen=True)
class LoadPoint:
    """One setting of the load.

    Latencies run from the moment at which a request was to be sent, so that a generator or a service that falls behind
    hides nothing. Percentiles with too few samples are None: p90 needs 64 and p99 needs 662.

    Attributes:
        loop: ``"closed"``: a client asks again when it has its answer. ``"open"``: requests come at random times,
            whatever the answers do. ``"speakers"``: a client plays each stream to its end before it asks for the next.
        batching: Whether the service put requests together.
        clients: Of a closed loop, or speakers; None in an open one.
        offered_per_s: Rate of an open loop; None in others.
        seconds: Over which the point was measured.
        requests, answered: How many were to be sent, and how many were answered in full.
        refused: Answers 429 or 503.
        failed: Other answers, broken connections, and requests without an answer when the time was over.
        wrong: Answers that were not the request's own sound; counted among those answered.
        requests_per_s: Answered in full.
        audio_throughput: Seconds of audio that were answered a second, vllm-omni's name.
        latency_mean_ms, latency_p50_ms, latency_p90_ms, latency_p99_ms, latency_max_ms: To the last byte.
        audio_ttfp_p50_ms, audio_ttfp_p90_ms, audio_ttfp_p99_ms, audio_ttfp_max_ms: To the first audio; of streams only.
        audio_rtf_p50: Latency over seconds of audio.
        audio_underrun_max_s: Longest that a player waited in the middle; of streams only.
        audio_continuity_ok_rate: Share of streams whose player waited at most 0.1 s; of streams only.
        batch_items_mean: Requests an inference, as the service counted.
        generator_late_p99_ms: How late the generator itself sent; where this is much, the figures are the generator's.
    """

    loop: str
    batching: bool
    clients: int | None
    offered_per_s: float | None
    seconds: float
    requests: int
    answered: int
    refused: int
    failed: int
    wrong: int
    requests_per_s: Annotated[float, Facts("Requests", "1/s", HIGHER)]
    audio_throughput: Annotated[float, Facts("Audio", "audio s/s", HIGHER)]
    latency_mean_ms: Annotated[float | None, Facts("Mean latency", "ms", LOWER)] = None
    latency_p50_ms: Annotated[float | None, Facts("p50 latency", "ms", LOWER)] = None
    latency_p90_ms: Annotated[float | None, Facts("p90 latency", "ms", LOWER)] = None
    latency_p99_ms: Annotated[float | None, Facts("p99 latency", "ms", LOWER)] = None
    latency_max_ms: Annotated[float | None, Facts("Longest latency", "ms", LOWER)] = None
    audio_ttfp_p50_ms: Annotated[float | None, Facts("p50 TTFP", "ms", LOWER)] = None
    audio_ttfp_p90_ms: Annotated[float | None, Facts("p90 TTFP", "ms", LOWER)] = None
    audio_ttfp_p99_ms: Annotated[float | None, Facts("p99 TTFP", "ms", LOWER)] = None
    audio_ttfp_max_ms: Annotated[float | None, Facts("Longest TTFP", "ms", LOWER)] = None
    audio_rtf_p50: Annotated[float | None, Facts("RTF", "", LOWER)] = None
    audio_underrun_max_s: Annotated[float | None, Facts("Longest underrun", "s", LOWER)] = None
    audio_continuity_ok_rate: Annotated[float | None, Facts("Continuity", "", HIGHER)] = None
    batch_items_mean: Annotated[float | None, Facts("Requests a batch")] = None
    generator_late_p99_ms: float | None = None


@dataclass(frozen=True)
class MemoryPoint:
    """Memory of the service and its workers at one moment.

    Attributes:
        at_s: Since the service was ready.
        rss_bytes: Resident sets of all its processes.
        gpu_bytes: GPU memory that its workers' PyTorch holds; None on a CPU.
    """

    at_s: float
    rss_bytes: int
    gpu_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Load(Result, kind="load", title="load"):
    """A case behind ``vocoder-bench serve`` under load, on loopback.

    Attributes:
        utterances: The distribution that lengths come from, in words.
        plan: Name of the plan.
        workers: Of the service.
        points: Every setting that was measured, in order.
        saturation_per_s: Highest open rate that the service kept up with, with batching; None where none was.
        saturation_unbatched_per_s: Likewise, without batching.
        saturation_audio_throughput: Seconds of audio a second at the former.
        batching_gain: The former rate over the latter.
        speakers: Most speakers at once whose first audio came within 100 ms in 99 of 100 streams and whose sound did
            not stop; None where that was not tried or not reached.
        speakers_by: ``"p99"``, or ``"max"`` where streams were too few for p99 and every one was in time.
        checked: Answers that were compared with their own reference: all.
        wrong: Those that differed.
        alone_snr_db: Lowest SNR against eager float32 of an answer without load; answers under load may lose 6 dB.
        memory: Over time.
        memory_growth_bytes_per_h: Slope of the resident sets over the soak's second half; None without a soak.
    """

    utterances: str
    plan: str
    workers: int
    points: tuple[LoadPoint, ...]
    saturation_per_s: Annotated[float | None, Facts("Saturation", "1/s", HIGHER)] = None
    saturation_unbatched_per_s: Annotated[float | None, Facts("Saturation without batching", "1/s", HIGHER)] = None
    saturation_audio_throughput: Annotated[float | None, Facts("Audio at saturation", "audio s/s", HIGHER)] = None
    batching_gain: Annotated[float | None, Facts("Gain by batching", "x", HIGHER)] = None
    speakers: Annotated[int | None, Facts("Speakers", "", HIGHER)] = None
    speakers_by: str = ""
    checked: int = 0
    wrong: int = 0
    alone_snr_db: Annotated[float | None, Facts("SNR without load", "dB", HIGHER)] = None
    memory: tuple[MemoryPoint, ...] = ()
    memory_growth_bytes_per_h: Annotated[float | None, Facts("Growth of memory", "bytes/h", LOWER)] = None
