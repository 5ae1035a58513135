"""Where a service stops keeping up, found by bisection."""

from collections.abc import Awaitable, Callable

from bench.records.kinds.load import LoadPoint

# A service keeps up whose backlog at the window's end takes at most this share of the window, which is what an offered
# rate over capacity by as much leaves behind.
BACKLOG = 0.05
ANSWERED = 0.999
# Most audio of a speaker has to begin within this time.
TTFP_LIMIT_MS = 100.0
CONTINUITY = 0.99


def kept_up(point: LoadPoint, window_s: float, alone_s: float) -> bool:
    """Whether a service kept up with an open loop.

    Args:
        point: Of the open loop; it lasted until the last answer.
        window_s: Time in which requests came.
        alone_s: Latency of one request without load, which the last request takes in any case; twice that is allowed.

    >>> from bench.run.load.outcomes import summarise
    >>> kept_up(summarise([], 10.4, loop="open", batching=True), window_s=10, alone_s=0.0)
    True
    """
    drained = point.seconds - window_s <= BACKLOG * window_s + 2 * alone_s
    return drained and point.answered >= ANSWERED * point.requests and not point.wrong


def in_time(point: LoadPoint) -> str:
    """By what speakers heard their sound in time and without a stop: ``"p99"``, ``"max"`` or, if they did not, nothing.

    With too few streams for a p99 every one has to be in time.
    """
    by = "max" if point.audio_ttfp_p99_ms is None else "p99"
    longest = point.audio_ttfp_max_ms if point.audio_ttfp_p99_ms is None else point.audio_ttfp_p99_ms
    good = longest is not None and longest <= TTFP_LIMIT_MS and not point.wrong
    whole = point.answered == point.requests and (point.audio_continuity_ok_rate or 0) >= CONTINUITY
    return by if good and whole else ""


async def bisect(
    holds: Callable[[float], Awaitable[bool]], low: float, high: float, probes: int, *, whole: bool = False
) -> float | None:
    """The largest value, to within the probes, for which something holds that holds up to some value only.

    Args:
        holds: Tries a value.
        low: Where the search begins.
        high: Where it ends.
        probes: Most tries.
        whole: Whether only whole numbers make sense.

    Returns:
        The largest value that was seen to hold; None where ``low`` does not.
    """
    if probes < 1 or not await holds(low):
        return None
    best, ceiling = low, None
    for _ in range(probes - 1):
        # Doubled until it fails, then halved between.
        value = min(2 * best, high) if ceiling is None else (best + ceiling) / 2
        value = float(round(value)) if whole else value
        if value in (best, ceiling):
            break
        if await holds(value):
            best = value
        else:
            ceiling = value
    return best
