"""Clients in virtual time: latencies are those that were planted, also where a service stalls."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from bench.run.load.arrivals import picks, poisson
from bench.run.load.generator import Send, closed_loop, open_loop, speakers
from bench.run.load.outcomes import Outcome, Reply, summarise
from tests.run.load.virtual import hold, run

OK = Reply(200, right=True, audio_s=1.0)


def server(seconds: Callable[[int], float]) -> Send:
    """One server that does requests in the order of their coming."""
    lock = asyncio.Lock()

    async def send(item: int) -> Reply:
        async with lock:
            await asyncio.sleep(seconds(item))
        return OK

    return send


def latencies(outcomes: list[Outcome]) -> list[float]:
    """Seconds from the intended start."""
    return [outcome.done_s - outcome.intended_s for outcome in outcomes]


def test_a_queue_with_constant_service_is_m_d_1() -> None:
    """The mean wait is Pollaczek's and Khinchine's, rho * s / (2 (1 - rho)), within 5 % over 20,000 requests."""
    service_s, rho = 0.01, 0.7
    arrivals = poisson(rho / service_s, 300.0, seed=3)
    outcomes = run(open_loop(server(lambda _: service_s), arrivals, [0] * len(arrivals), 60.0))
    waits = np.array(latencies(outcomes)) - service_s
    assert waits.mean() == pytest.approx(rho * service_s / (2 * (1 - rho)), rel=0.05)
    assert len(outcomes) == len(arrivals) > 20_000


def test_a_stall_is_not_omitted() -> None:
    """One request of a second in a service of 10 ms delays the hundred behind it, and their latencies say so."""
    arrivals = [index * 0.01 for index in range(200)]
    outcomes = run(open_loop(server(lambda item: 1.0 if item == 50 else 0.005), arrivals, list(range(200)), 60.0))
    found = latencies(outcomes)
    assert found[49] == pytest.approx(0.005)
    assert found[50] == pytest.approx(1.0)
    # The queue shrinks by 5 ms with each request.
    assert found[51:60] == pytest.approx([1.0 - 0.01 * n + 0.005 * n for n in range(1, 10)])
    assert sum(latency > 0.1 for latency in found) == 1 + sum(1.0 - 0.005 * n > 0.1 for n in range(1, 150))


def test_a_generator_that_is_late_says_so() -> None:
    """Latency runs from the intended start where the generator itself was held up."""

    async def scene() -> list[Outcome]:
        asyncio.get_running_loop().call_later(0.5, hold, 0.25)
        return await open_loop(server(lambda _: 0.01), [0.1, 0.6, 2.0], [0, 0, 0], 10.0)

    first, second, third = run(scene())
    assert first.sent_s - first.intended_s == pytest.approx(0)
    assert second.sent_s - second.intended_s == pytest.approx(0.15)
    assert second.done_s - second.intended_s == pytest.approx(0.16)
    assert third.sent_s - third.intended_s == pytest.approx(0)


def test_what_has_no_answer_is_an_outcome() -> None:
    """After the drain a request that still waits is given up, and is no success of the point."""
    outcomes = run(open_loop(server(lambda item: 100.0 if item else 0.1), [0.0, 1.0], [0, 1], 5.0))
    assert [outcome.reply for outcome in outcomes] == [OK, None]
    point = summarise(outcomes, 6.0, loop="open", batching=True, offered_per_s=1.0)
    assert (point.requests, point.answered, point.failed) == (2, 1, 1)


@pytest.mark.parametrize("clients", [1, 3])
def test_a_closed_loop_has_its_clients_inside(clients: int) -> None:
    """Little's law: clients = rate times latency; with one server the rate does not depend on them."""
    outcomes = run(closed_loop(server(lambda _: 0.01), clients, 10.0, 4, seed=0))
    point = summarise(outcomes, 10.0, loop="closed", batching=True, clients=clients)
    assert point.requests_per_s == pytest.approx(100, rel=0.01)
    assert point.latency_mean_ms is not None
    assert point.requests_per_s * point.latency_mean_ms / 1000 == pytest.approx(clients, rel=0.01)


def test_speakers_listen_to_the_end() -> None:
    """Ten speakers of 2 s streams that begin at once ask for five a second together, and begin at different times."""

    async def send(_: int) -> Reply:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(0.02)
        return Reply(200, right=True, audio_s=2.0, chunks=((now + 0.01, 1.0), (now + 0.02, 1.0)))

    outcomes = run(speakers(send, 10, 200.0, 4, seed=0, mean_s=2.0))
    assert len(outcomes) / 200 == pytest.approx(10 / 2.01, rel=0.02)
    starts = sorted(outcome.intended_s for outcome in outcomes)[:10]
    assert len(set(starts)) == 10
    assert max(starts) < 2.0


def test_arrivals_are_poisson() -> None:
    """Count and gaps: mean and variance of an exponential; the same seed gives the same arrivals."""
    arrivals = poisson(50.0, 400.0, seed=1)
    gaps = np.diff(arrivals)
    assert len(arrivals) == pytest.approx(20_000, abs=4 * 20_000**0.5)
    assert gaps.mean() == pytest.approx(0.02, rel=0.03)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)
    assert arrivals == poisson(50.0, 400.0, seed=1) != poisson(50.0, 400.0, seed=2)
    assert max(arrivals) < 400


def test_picks_are_even() -> None:
    """Every utterance is asked for about as often, in an order of its own."""
    counts = np.bincount(picks(8000, 8, seed=0), minlength=8)
    assert np.abs(counts - 1000).max() < 150
