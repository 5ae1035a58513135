"""What became of each request, and what all of them say together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.measure.statistics import P90_FLOOR, P99_FLOOR, percentile
from bench.records.kinds.load import LoadPoint

# vllm-omni's threshold of continuity.
UNDERRUN_OK_S = 0.1


@dataclass(frozen=True)
class Reply:
    """A service's answer to one request; times are those of the event loop.

    Attributes:
        status: Of HTTP; 0 where the connection broke.
        right: Whether the sound was the request's own.
        audio_s: Seconds of audio.
        chunks: When each piece of a stream had arrived, and its seconds of audio; empty for whole answers.
    """

    status: int
    right: bool = False
    audio_s: float = 0.0
    chunks: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Outcome:
    """One request.

    Attributes:
        intended_s: When it was to be sent.
        sent_s: When it was.
        done_s: When its last byte was there.
        reply: What came; None where nothing had when the time was over.
    """

    intended_s: float
    sent_s: float
    done_s: float
    reply: Reply | None


def underrun_s(chunks: Sequence[tuple[float, float]]) -> float:
    """How long a player that starts with the first chunk lacks audio at most: vllm-omni's deficit.

    At the arrival of a chunk ``t - t0`` seconds have been played, and the audio of the chunks before it is there.

    Args:
        chunks: Arrival and seconds of audio of each.

    >>> underrun_s([(1.0, 0.5), (1.75, 0.5), (2.0, 0.5)])
    0.25
    """
    deficit = received = 0.0
    for arrived, audio_s in chunks:
        deficit = max(deficit, arrived - chunks[0][0] - received) if received else 0.0
        received += audio_s
    return deficit


def summarise(
    outcomes: Sequence[Outcome],
    seconds: float,
    *,
    loop: str,
    batching: bool,
    clients: int | None = None,
    offered_per_s: float | None = None,
    batch_items_mean: float | None = None,
) -> LoadPoint:
    """All outcomes of a point in one.

    Args:
        outcomes: Every request that was to be sent, whatever became of it.
        seconds: From the start to the last answer, or to the end of the window if that is later.
        loop: As in :class:`~bench.records.kinds.load.LoadPoint`, like the others.
        batching: Likewise.
        clients: Likewise.
        offered_per_s: Likewise.
        batch_items_mean: Likewise.
    """
    replies = [(outcome, outcome.reply) for outcome in outcomes if outcome.reply is not None]
    good = [(outcome, reply) for outcome, reply in replies if reply.status == 200]
    refused = sum(reply.status in (429, 503) for _, reply in replies)
    latencies = [1000 * (outcome.done_s - outcome.intended_s) for outcome, _ in good]
    streams = [(outcome, reply) for outcome, reply in good if reply.chunks]
    ttfp = [1000 * (reply.chunks[0][0] - outcome.intended_s) for outcome, reply in streams]
    underruns = [underrun_s(reply.chunks) for _, reply in streams]
    late = [1000 * (outcome.sent_s - outcome.intended_s) for outcome in outcomes]
    rtf = [(outcome.done_s - outcome.intended_s) / reply.audio_s for outcome, reply in good if reply.audio_s]
    return LoadPoint(
        loop=loop,
        batching=batching,
        clients=clients,
        offered_per_s=offered_per_s,
        seconds=seconds,
        requests=len(outcomes),
        answered=len(good),
        refused=refused,
        failed=len(outcomes) - len(good) - refused,
        wrong=sum(not reply.right for _, reply in good),
        requests_per_s=len(good) / seconds,
        audio_throughput=sum(reply.audio_s for _, reply in good) / seconds,
        latency_mean_ms=float(np.mean(latencies)) if latencies else None,
        latency_p50_ms=percentile(latencies, 50, 1),
        latency_p90_ms=percentile(latencies, 90, P90_FLOOR),
        latency_p99_ms=percentile(latencies, 99, P99_FLOOR),
        latency_max_ms=max(latencies, default=None),
        audio_ttfp_p50_ms=percentile(ttfp, 50, 1),
        audio_ttfp_p90_ms=percentile(ttfp, 90, P90_FLOOR),
        audio_ttfp_p99_ms=percentile(ttfp, 99, P99_FLOOR),
        audio_ttfp_max_ms=max(ttfp, default=None),
        audio_rtf_p50=percentile(rtf, 50, 1),
        audio_underrun_max_s=max(underruns, default=None),
        audio_continuity_ok_rate=sum(one <= UNDERRUN_OK_S for one in underruns) / len(underruns) if underruns else None,
        batch_items_mean=batch_items_mean,
        generator_late_p99_ms=percentile(late, 99, P99_FLOOR),
    )


def growth_per_h(times_s: Sequence[float], values: Sequence[float]) -> float | None:
    """The least-squares slope of the second half, an hour; None with fewer than three points in it.

    >>> growth_per_h([0, 1, 2, 3, 4, 5], [9, 9, 0, 2, 4, 6])
    7200.0
    """
    half = len(times_s) // 2
    times, found = np.asarray(times_s[half:], dtype=float), np.asarray(values[half:], dtype=float)
    if len(times) < 3 or np.ptp(times) == 0:
        return None
    centred = times - times.mean()
    return 3600 * float((centred * (found - found.mean())).sum() / (centred**2).sum())
