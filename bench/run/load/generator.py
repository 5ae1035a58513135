"""Clients: when they ask, whatever the service does.

A request of an open loop is sent at its own time, also while earlier ones wait, and its latency runs from that time.
Times are the running event loop's, so that a test can let them pass at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from bench.run.load.outcomes import Outcome, Reply

Send = Callable[[int], Awaitable[Reply]]
"""Asks for an utterance by its number."""


async def open_loop(send: Send, arrivals_s: Sequence[float], items: Sequence[int], drain_s: float) -> list[Outcome]:
    """Sends each request at its time.

    Args:
        send: Asks.
        arrivals_s: When, from now on.
        items: For what, one for each arrival.
        drain_s: How long to wait for answers after the last arrival.

    Returns:
        An outcome for each arrival; one without a reply where none had come in time.
    """
    clock = asyncio.get_running_loop().time
    start = clock()
    sent: list[float] = []

    async def ask(item: int) -> tuple[float, Reply]:
        reply = await send(item)
        return clock(), reply

    tasks: list[asyncio.Task[tuple[float, Reply]]] = []
    for arrival, item in zip(arrivals_s, items, strict=True):
        await asyncio.sleep(max(0.0, start + arrival - clock()))
        sent.append(clock())
        tasks.append(asyncio.create_task(ask(item)))
    if tasks:
        await asyncio.wait(tasks, timeout=drain_s)
    over = clock()
    late = [task for task in tasks if not task.done()]
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    outcomes = []
    for arrival, sent_s, task in zip(arrivals_s, sent, tasks, strict=True):
        done, reply = (over, None) if task.cancelled() else task.result()
        outcomes.append(Outcome(start + arrival, sent_s, done, reply))
    return outcomes


async def closed_loop(send: Send, clients: int, seconds: float, items: int, seed: int) -> list[Outcome]:
    """Clients that ask again as soon as they have an answer; each finishes the request that it is at.

    Args:
        send: Asks.
        clients: How many.
        seconds: No request is begun after this time.
        items: Number of utterances to choose from.
        seed: Of the choice.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + seconds

    async def client(number: int) -> list[Outcome]:
        generator = np.random.default_rng([seed, number])
        outcomes = []
        while (began := clock()) < end:
            reply = await send(int(generator.integers(items)))
            outcomes.append(Outcome(began, began, clock(), reply))
            if reply.status != 200:
                # A refused client that came back at once would measure refusals.
                await asyncio.sleep(0.01)
        return outcomes

    found = await asyncio.gather(*(client(number) for number in range(clients)))
    return [outcome for outcomes in found for outcome in outcomes]


async def speakers(send: Send, clients: int, seconds: float, items: int, seed: int, mean_s: float) -> list[Outcome]:
    """Clients that play each stream to its end before they ask for the next, as somebody who listens does.

    Args:
        send: Asks for a stream.
        clients: How many.
        seconds: No request is begun after this time.
        items: Number of utterances to choose from.
        seed: Of the choice, and of when each client begins within ``mean_s``.
        mean_s: Mean length of an utterance.
    """
    clock = asyncio.get_running_loop().time
    start = clock()

    async def client(number: int) -> list[Outcome]:
        generator = np.random.default_rng([seed, number])
        intended = start + float(generator.uniform(0, mean_s))
        outcomes = []
        while intended < start + seconds:
            await asyncio.sleep(max(0.0, intended - clock()))
            sent = clock()
            reply = await send(int(generator.integers(items)))
            outcomes.append(Outcome(intended, sent, clock(), reply))
            first = reply.chunks[0][0] if reply.chunks else clock()
            intended = max(first + (reply.audio_s or mean_s), clock())
        return outcomes

    found = await asyncio.gather(*(client(number) for number in range(clients)))
    return [outcome for outcomes in found for outcome in outcomes]
