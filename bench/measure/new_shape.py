"""The cost of a length that a warm runner has not seen: what a stream pays for its last, odd chunk."""

import statistics
from collections.abc import Callable, Container

from torch import Tensor

from bench.measure.clock import Clock
from bench.records.limits import NewShape

# Lengths that are tried, and calls behind the first at the one that is taken; two where they take this long.
REACH = 16
CALLS, FEWEST_CALLS = 5, 2
LIMIT_MS = 1000.0


def unseen(frames: int, seen: Container[int], takes: Callable[[int], bool]) -> int | None:
    """The length nearest to ``frames`` that was not run before and that the runner takes; None without one.

    >>> unseen(23, {23, 24}, lambda frames: frames > 10)
    22
    """
    for distance in range(1, REACH + 1):
        for length in (frames + distance, frames - distance):
            if length >= 1 and length not in seen and takes(length):
                return length
    return None


def measure_new_shape(call: Callable[[], Tensor], frames: int, clock: Clock) -> NewShape:
    """Times the first call at a length, and the ones after it.

    Args:
        call: One inference at a length that was never run.
        frames: That length.
        clock: The device's.
    """
    first_ms = clock.time_ms(call).host_ms
    later_ms: list[float] = []
    while len(later_ms) < FEWEST_CALLS or (len(later_ms) < CALLS and sum(later_ms) < LIMIT_MS):
        later_ms.append(clock.time_ms(call).host_ms)
    seen_ms = statistics.median(later_ms)
    return NewShape(frames=frames, first_ms=first_ms, seen_ms=seen_ms, cost_ms=first_ms - seen_ms)
