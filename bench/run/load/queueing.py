"""Queueing models: what a service's latency will be at a rate, and how many workers a number of speakers needs.

Times are in seconds and rates a second. Sources: Pollaczek-Khinchine for one server; for several Lee and Longton's
approximation ("Queueing Processes Associated with Airline Passenger Check-in", 1959), which scales Erlang's C by the
variability of service.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.run.load.arrivals import poisson
from bench.run.load.simulator import simulate

Probabilities = NDArray[np.float64]
# Requests of a simulation: at nine tenths of capacity their mean is known to a few percent.
_SIMULATED = 20_000


@dataclass(frozen=True)
class Service:
    """How long one worker takes.

    Attributes:
        mean_s: Mean service time.
        squared_cv: Variance over the square of the mean.
    """

    mean_s: float
    squared_cv: float

    @classmethod
    def of(cls, times_s: Sequence[float]) -> "Service":
        """From measured or drawn service times.

        >>> Service.of([1.0, 3.0])
        Service(mean_s=2.0, squared_cv=0.25)
        """
        times = np.asarray(times_s, dtype=float)
        return cls(float(times.mean()), float(times.var() / times.mean() ** 2))


@dataclass(frozen=True)
class BatchCost:
    """A line through measured inferences: seconds of a batch against its frames.

    Attributes:
        fixed_s: Of any inference.
        per_frame_s: Of a frame more.
    """

    fixed_s: float
    per_frame_s: float

    @classmethod
    def fit(cls, frames: Sequence[float], seconds: Sequence[float]) -> "BatchCost":
        """By least squares; a fixed part below 0 becomes 0.

        Raises:
            InputError: fewer than two different lengths.
        """
        if len(set(frames)) < 2:
            raise InputError("a cost needs inferences of at least two lengths")
        slope, fixed = np.polyfit(frames, seconds, 1)
        if fixed < 0:
            slope, fixed = float(np.dot(frames, seconds) / np.dot(frames, frames)), 0.0
        return cls(float(fixed), float(slope))

    def seconds(self, frames: float) -> float:
        """Of one inference of so many frames.

        >>> BatchCost(0.002, 1e-5).seconds(800)
        0.01
        """
        return self.fixed_s + self.per_frame_s * frames


def mean_wait_s(rate: float, service: Service, workers: int = 1) -> float:
    """Mean time in the queue of M/G/k: exact for one worker, Lee and Longton's approximation for several.

    Args:
        rate: Poisson arrivals a second.
        service: Of one worker.
        workers: How many take from one queue.

    Returns:
        Seconds; infinity at and over capacity.

    >>> round(mean_wait_s(0.5, Service(1.0, 0.0)), 3), round(mean_wait_s(0.5, Service(1.0, 1.0)), 3)
    (0.5, 1.0)
    """
    load = rate * service.mean_s
    if load >= workers:
        return math.inf
    erlang_s = erlang_c(load, workers) * service.mean_s / (workers - load)
    return erlang_s * (1 + service.squared_cv) / 2


def erlang_c(load: float, workers: int) -> float:
    """The probability that a Poisson arrival waits, service exponential.

    Args:
        load: Arrival rate times mean service time, below ``workers``.
        workers: How many.

    >>> round(erlang_c(0.5, 1), 3), round(erlang_c(1.5, 2), 3)
    (0.5, 0.643)
    """
    blocked = 1.0
    for count in range(1, workers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked * workers / (workers - load * (1 - blocked))


def batch_capacity_per_s(cost: BatchCost, mean_frames: float, items: int, workers: int = 1) -> float:
    """Requests a second when every inference is a full batch: where batching saturates.

    Args:
        cost: Of an inference.
        mean_frames: Of a request, padding included.
        items: Of a full batch.
        workers: How many.

    >>> batch_capacity_per_s(BatchCost(0.01, 0.0), 100, items=4)
    400.0
    """
    return workers * items / cost.seconds(items * mean_frames)


def mean_latency_s(rate: float, cost: BatchCost, mean_frames: float, items: int, workers: int = 1) -> float:
    """Mean latency of a service that takes what waits, up to a full batch, as soon as a worker is free.

    The batch service M/D^[1,b]/1 by its own imbedded Markov chain: the queue just after an inference, next to which
    Poisson arrivals come during the next one. Arrivals are split at random over workers that have queues of their own,
    which is the worst that a service can do; see :func:`least_loaded_latency_s`.

    Args:
        rate: Poisson arrivals a second, of all workers.
        cost: Of an inference.
        mean_frames: Of a request, padding included; all requests count as equally long.
        items: Most in a batch; 1 for no batching.
        workers: How many.

    Returns:
        Seconds from arrival to answer; infinity at and over capacity.
    """
    own = rate / workers
    if own >= batch_capacity_per_s(cost, mean_frames, items):
        return math.inf
    if own <= 0:
        return cost.seconds(mean_frames)
    seconds = [cost.seconds(size * mean_frames) for size in range(items + 1)]
    stationary = _after_an_inference(own, seconds, items)
    # Per cycle: the time that requests spend in the system, and the requests, by Little's law.
    spent = requests = 0.0
    for waiting, weight in enumerate(stationary):
        # An empty system waits for its first request, which runs alone.
        size = min(max(waiting, 1), items)
        present = max(waiting, 1)
        arrivals = own * seconds[size]
        spent += weight * (present * seconds[size] + arrivals * seconds[size] / 2)
        requests += weight * (arrivals + (waiting == 0))
    return spent / requests


def least_loaded_latency_s(rate: float, cost: BatchCost, mean_frames: float, items: int, workers: int = 1) -> float:
    """Mean latency of a service that gives each request to the least loaded of several workers.

    That is close to workers on one queue: Lee and Longton's approximation without batches; with them the mean of
    simulated arrivals, the same ones at every call.

    Args:
        rate: Poisson arrivals a second, of all workers.
        cost: Of an inference.
        mean_frames: Of a request, padding included; all requests count as equally long.
        items: Most in a batch; 1 for no batching.
        workers: How many.

    Returns:
        Seconds from arrival to answer; infinity at and over capacity.
    """
    if workers == 1 or rate <= 0:
        return mean_latency_s(rate, cost, mean_frames, items)
    if rate >= batch_capacity_per_s(cost, mean_frames, items, workers):
        return math.inf
    alone = cost.seconds(mean_frames)
    if items == 1:
        return alone + mean_wait_s(rate, Service(alone, 0.0), workers)
    arrivals = poisson(rate, _SIMULATED / rate, seed=0)
    seconds = [cost.seconds(size * mean_frames) for size in range(items + 1)]
    latencies = simulate(
        arrivals, [1] * len(arrivals), lambda batch: seconds[len(batch)], workers=workers, items=items, shared=True
    )
    return float(np.mean(latencies))


def _after_an_inference(rate: float, seconds: Sequence[float], items: int) -> Probabilities:
    """How likely each number of waiting requests is just after an inference."""
    states = 64
    while True:
        ladder = np.zeros((states, states))
        for waiting in range(states):
            size = min(max(waiting, 1), items)
            left = max(waiting, 1) - size
            arrivals = _poisson(rate * seconds[size], states - left)
            ladder[waiting, left:] = arrivals
            # What lies beyond the last state is put there.
            ladder[waiting, -1] += 1 - arrivals.sum()
        found = np.linalg.lstsq(
            np.vstack([ladder.T - np.eye(states), np.ones(states)]), np.append(np.zeros(states), 1.0), rcond=None
        )[0]
        likely: Probabilities = np.clip(found, 0, None) / np.clip(found, 0, None).sum()
        if likely[-states // 8 :].sum() < 1e-6 or states >= 1024:
            return likely
        states *= 2


def _poisson(mean: float, count: int) -> Probabilities:
    """The probabilities of 0 to ``count - 1`` arrivals."""
    logs = np.arange(count) * math.log(mean) - mean - np.array([math.lgamma(n + 1) for n in range(count)])
    found: Probabilities = np.exp(logs)
    return found


def workers_for(
    speakers: int, mean_s: float, cost: BatchCost, mean_frames: float, items: int, latency_s: float
) -> int | None:
    """How many workers so many speakers need for a mean latency.

    Args:
        speakers: Who listen at once; each asks for an utterance when the last one has been played.
        mean_s: Mean seconds of an utterance.
        cost: Of an inference.
        mean_frames: Of an utterance, padding included.
        items: Most in a batch.
        latency_s: The mean latency that is wanted.

    Returns:
        The fewest; None where even an idle worker takes longer.
    """
    if cost.seconds(mean_frames) > latency_s:
        return None
    rate, workers = speakers / mean_s, 1
    while least_loaded_latency_s(rate, cost, mean_frames, items, workers) > latency_s:
        workers += max(1, workers // 16)
    while workers > 1 and least_loaded_latency_s(rate, cost, mean_frames, items, workers - 1) <= latency_s:
        workers -= 1
    return workers
