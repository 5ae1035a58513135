"""A service that is only times, event by event: what :mod:`bench.run.load.queueing` asks, and is held against."""

import heapq
from collections.abc import Callable, Sequence

Split = Callable[[Sequence[float], int], int]


def simulate(
    arrivals_s: Sequence[float],
    frames: Sequence[int],
    seconds: Callable[[Sequence[int]], float],
    *,
    workers: int = 1,
    items: int = 1,
    shared: bool = False,
) -> list[float]:
    """Latencies of a service whose workers take what waits, oldest first, as soon as they are free.

    Args:
        arrivals_s: When requests come, ascending.
        frames: Of each request.
        seconds: Of an inference of these frames.
        workers: How many.
        items: Most in an inference.
        shared: Whether workers take from one queue; else requests go round, each worker having a queue of its own.

    Returns:
        Seconds from each arrival to its answer.
    """
    latencies = [0.0] * len(arrivals_s)
    if shared:
        _serve(list(range(len(arrivals_s))), arrivals_s, frames, seconds, workers, items, latencies)
    else:
        for worker in range(workers):
            own = list(range(worker, len(arrivals_s), workers))
            _serve(own, arrivals_s, frames, seconds, 1, items, latencies)
    return latencies


def _serve(
    queue: Sequence[int],
    arrivals_s: Sequence[float],
    frames: Sequence[int],
    seconds: Callable[[Sequence[int]], float],
    workers: int,
    items: int,
    latencies: list[float],
) -> None:
    free = [0.0] * workers
    place = 0
    while place < len(queue):
        # The worker that is free first takes what has come by then, or waits for the next one.
        start = max(heapq.heappop(free), arrivals_s[queue[place]])
        end = place
        while end < len(queue) and end - place < items and arrivals_s[queue[end]] <= start:
            end += 1
        batch = queue[place:end]
        done = start + seconds([frames[index] for index in batch])
        for index in batch:
            latencies[index] = done - arrivals_s[index]
        heapq.heappush(free, done)
        place = end
