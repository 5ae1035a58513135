"""Queueing models against closed forms and against the simulator."""

import heapq
import math

import numpy as np
import pytest

from bench.errors import InputError
from bench.run.load.arrivals import poisson
from bench.run.load.queueing import (
    BatchCost,
    Service,
    batch_capacity_per_s,
    erlang_c,
    least_loaded_latency_s,
    mean_latency_s,
    mean_wait_s,
    workers_for,
)
from bench.run.load.simulator import simulate
from bench.run.load.utterances import lengths_s

COST = BatchCost(0.004, 1e-5)
FRAMES = 600


@pytest.mark.parametrize("rho", [0.2, 0.5, 0.8])
def test_closed_forms(rho: float) -> None:
    """M/M/1 waits rho s / (1 - rho), M/D/1 half of that; M/M/2 by its own formula."""
    assert mean_wait_s(rho, Service(1.0, 1.0)) == pytest.approx(rho / (1 - rho))
    assert mean_wait_s(rho, Service(1.0, 0.0)) == pytest.approx(rho / (1 - rho) / 2)
    assert mean_wait_s(2 * rho, Service(1.0, 1.0), workers=2) == pytest.approx(rho**2 / (1 - rho**2))
    assert erlang_c(2 * rho, 2) == pytest.approx(2 * rho**2 / (1 + rho))
    assert mean_wait_s(1.0, Service(1.0, 0.0)) == math.inf


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.85])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_m_g_k_against_the_simulator(rho: float, workers: int) -> None:
    """Utterances of the load suite's distribution: the mean latency is within 5 % of 100,000 simulated requests."""
    rate = workers * rho / (COST.seconds(FRAMES))
    count_s = 100_000 / rate
    arrivals = poisson(rate, count_s, seed=1)
    lengths = np.array(lengths_s(len(arrivals), seed=2))
    frames = [round(FRAMES * one) for one in lengths / lengths.mean()]
    found = np.mean(simulate(arrivals, frames, lambda batch: COST.seconds(sum(batch)), workers=workers, shared=True))
    service = Service.of([COST.seconds(one) for one in frames])
    assert service.mean_s + mean_wait_s(rate, service, workers) == pytest.approx(found, rel=0.05)


@pytest.mark.parametrize("rho", [0.1, 0.5, 0.8, 0.95])
@pytest.mark.parametrize(("items", "workers"), [(1, 1), (4, 1), (16, 1), (4, 2)])
def test_batches_against_the_simulator(rho: float, items: int, workers: int) -> None:
    """Within 5 % of 100,000 simulated requests at any load, with one worker; Poisson arrivals at each worker."""
    rate = workers * rho * batch_capacity_per_s(COST, FRAMES, items)
    own = [poisson(rate / workers, 100_000 / rate, seed=seed) for seed in range(workers)]
    found = np.mean(
        [
            latency
            for arrivals in own
            for latency in simulate(arrivals, [FRAMES] * len(arrivals), lambda one: COST.seconds(sum(one)), items=items)
        ]
    )
    # At 0.95 the mean of so many requests is itself known to about a tenth.
    tolerance = 0.12 if rho > 0.9 else 0.05
    assert mean_latency_s(rate, COST, FRAMES, items, workers) == pytest.approx(found, rel=tolerance)


def test_one_item_is_m_d_1() -> None:
    """Without batching the chain gives Pollaczek's and Khinchine's latency."""
    rate = 0.7 / COST.seconds(FRAMES)
    expected = COST.seconds(FRAMES) + mean_wait_s(rate, Service(COST.seconds(FRAMES), 0.0))
    assert mean_latency_s(rate, COST, FRAMES, 1) == pytest.approx(expected, rel=1e-3)
    assert mean_latency_s(0.0, COST, FRAMES, 4) == COST.seconds(FRAMES)
    assert mean_latency_s(1e6, COST, FRAMES, 4) == math.inf


def test_two_workers_carry_twice_the_rate() -> None:
    """Capacity and, at the same load of each, latency."""
    assert batch_capacity_per_s(COST, FRAMES, 4, 2) == 2 * batch_capacity_per_s(COST, FRAMES, 4)
    assert mean_latency_s(200, COST, FRAMES, 4, 2) == pytest.approx(mean_latency_s(100, COST, FRAMES, 4, 1))


def least_loaded(arrivals: list[float], workers: int, items: int) -> float:
    """The mean latency where each request joins the worker with the fewest; each worker takes what waits at it."""
    waiting: list[list[float]] = [[] for _ in range(workers)]
    running: list[list[float]] = [[] for _ in range(workers)]
    events = [(arrival, -1) for arrival in arrivals]
    latencies = []
    heapq.heapify(events)
    while events:
        now, worker = heapq.heappop(events)
        if worker < 0:
            worker = min(range(workers), key=lambda one: len(waiting[one]) + len(running[one]))
            waiting[worker].append(now)
        else:
            latencies += [now - arrival for arrival in running[worker]]
            running[worker] = []
        if waiting[worker] and not running[worker]:
            running[worker], waiting[worker] = waiting[worker][:items], waiting[worker][items:]
            heapq.heappush(events, (now + COST.seconds(FRAMES * len(running[worker])), worker))
    return float(np.mean(latencies))


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.85])
@pytest.mark.parametrize(("items", "workers"), [(1, 2), (1, 4), (8, 2), (8, 4)])
def test_the_least_loaded_worker(rho: float, items: int, workers: int) -> None:
    """Within a tenth of workers with queues of their own, event by event, and below a split at random."""
    rate = workers * rho * batch_capacity_per_s(COST, FRAMES, items)
    found = least_loaded(list(poisson(rate, 40_000 / rate, seed=5)), workers, items)
    foretold = least_loaded_latency_s(rate, COST, FRAMES, items, workers)
    assert foretold == pytest.approx(found, rel=0.1)
    assert foretold < mean_latency_s(rate, COST, FRAMES, items, workers)
    assert least_loaded_latency_s(rate, COST, FRAMES, items) == mean_latency_s(rate, COST, FRAMES, items)
    assert least_loaded_latency_s(1e6, COST, FRAMES, items, workers) == math.inf


def test_cost_is_fitted() -> None:
    """A planted line is found; a fixed part below nothing is none."""
    found = BatchCost.fit([100, 400, 1600], [COST.seconds(frames) for frames in (100, 400, 1600)])
    assert found.fixed_s == pytest.approx(0.004)
    assert found.per_frame_s == pytest.approx(1e-5)
    assert BatchCost.fit([1, 2], [1.0, 3.0]).fixed_s == 0
    with pytest.raises(InputError, match="two lengths"):
        BatchCost.fit([5, 5], [1.0, 1.0])


def test_workers() -> None:
    """The fewest that do: one fewer does not. None where no number does."""
    needed = workers_for(3000, 6.57, COST, FRAMES, 8, latency_s=0.03)
    assert needed is not None
    rate = 3000 / 6.57
    latencies = [least_loaded_latency_s(rate, COST, FRAMES, 8, workers) for workers in (needed - 1, needed)]
    assert latencies[1] <= 0.03 < latencies[0]
    assert workers_for(1, 6.57, COST, FRAMES, 8, latency_s=0.03) == 1
    assert workers_for(1, 6.57, COST, FRAMES, 8, latency_s=0.001) is None


def test_the_simulator_by_hand() -> None:
    """Three requests: the first alone, the others together when it is done; round robin sends every other one away."""
    arrivals, frames = [0.0, 0.1, 0.2], [1, 1, 1]
    one = simulate(arrivals, frames, lambda batch: 1.0 + 0.5 * (len(batch) - 1), items=2)
    assert one == pytest.approx([1.0, 2.4, 2.3])
    two = simulate(arrivals, frames, lambda batch: float(len(batch)), workers=2)
    assert two == pytest.approx([1.0, 1.0, 1.8])
    shared = simulate([0.0, 0.0, 0.0], frames, lambda _: 1.0, workers=2, shared=True)
    assert shared == pytest.approx([1.0, 1.0, 2.0])
