"""A listener who plays chunks as they arrive: when the sound begins, and where it would stop.

The listener starts with the first chunk and plays at the sound's own rate. The terms are those of vllm-omni's metrics
(``audio_ttfp``, ``audio_underrun_s``, ``audio_continuity_ok_rate``).
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import mean, stdev

from bench.errors import InputError

# A listener who waits this long before playing hears no gap in a stream whose underrun is at most this.
CONTINUITY_THRESHOLD_S = 0.1
# A chunk that plays for less than this share of the first is a shorter last one.
_WHOLE = 0.999


def underrun_s(arrivals_s: Sequence[float], durations_s: Sequence[float]) -> float:
    """The most sound that a listener has asked for and that has not arrived, in seconds.

    It is also the time that a player would have to wait after the first chunk so that no gap is heard.

    Args:
        arrivals_s: When each chunk arrived, in order, on any clock.
        durations_s: How long each plays.

    Returns:
        The largest of, for each later chunk, the time since the first arrived less the sound that had arrived before
        it; 0 where that is never positive.

    Raises:
        InputError: not one duration for each arrival, no chunk, or arrivals that are out of order.

    >>> underrun_s([0.0, 1.5, 2.0], [1.0, 1.0, 1.0])
    0.5
    """
    _check(arrivals_s, durations_s)
    received, most = 0.0, 0.0
    for arrival, duration in zip(arrivals_s, durations_s, strict=True):
        most = max(most, arrival - arrivals_s[0] - received)
        received += duration
    return most


def is_continuous(underrun: float, threshold_s: float = CONTINUITY_THRESHOLD_S) -> bool:
    """Whether a stream with this underrun plays without a gap that counts."""
    return underrun <= threshold_s


def continuity_ok_rate(underruns_s: Sequence[float], threshold_s: float = CONTINUITY_THRESHOLD_S) -> float:
    """Share of streams without a gap that counts.

    Raises:
        InputError: no stream.

    >>> continuity_ok_rate([0.0, 0.09, 0.11, 0.3])
    0.5
    """
    if not underruns_s:
        raise InputError("a rate needs at least one stream")
    return mean(is_continuous(value, threshold_s) for value in underruns_s)


def steady_rtf(arrivals_s: Sequence[float], durations_s: Sequence[float]) -> float | None:
    """Time from the first arrival to the last over the sound that came after the first; None for a single chunk.

    Raises:
        InputError: as :func:`underrun_s`.

    >>> steady_rtf([3.0, 3.5, 4.0], [1.0, 1.0, 1.0])
    0.5
    """
    _check(arrivals_s, durations_s)
    later = sum(durations_s[1:])
    return (arrivals_s[-1] - arrivals_s[0]) / later if later > 0 else None


def jitter_s(arrivals_s: Sequence[float], durations_s: Sequence[float]) -> float | None:
    """Standard deviation of the time between neighbouring arrivals, a shorter last chunk left out.

    Returns:
        Seconds; None under two such times.

    Raises:
        InputError: as :func:`underrun_s`.
    """
    _check(arrivals_s, durations_s)
    times = [later - earlier for earlier, later in pairwise(arrivals_s)]
    gaps = [gap for gap, duration in zip(times, durations_s[1:], strict=True) if duration >= _WHOLE * durations_s[0]]
    return stdev(gaps) if len(gaps) > 1 else None


def _check(arrivals_s: Sequence[float], durations_s: Sequence[float]) -> None:
    if not arrivals_s or len(arrivals_s) != len(durations_s):
        raise InputError(f"{len(arrivals_s)} arrivals and {len(durations_s)} durations are no stream")
    if any(later < earlier for earlier, later in pairwise(arrivals_s)):
        raise InputError("chunks arrive in order")
