"""Queues, batches, and what becomes of items when workers fail; on an event loop without HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from bench.errors import UnsupportedError
from bench.serve.dispatcher import Dispatcher
from bench.serve.items import Answer, NoWorkerError, VocodeError
from bench.serve.metrics import Metrics
from bench.serve.settings import BatchLimits, ServeSettings
from bench.serve.workers import WorkerDiedError
from tests.serve.running import ENGINE, Planted, Samples, echo, mel

SETTINGS = ServeSettings(ENGINE, processes=False, batch=BatchLimits(frames=4096, items=8, padding=0.5))


def play(scene: Callable[[Dispatcher], Awaitable[None]], settings: ServeSettings = SETTINGS) -> Dispatcher:
    """Runs a scene with workers that are ready."""

    async def run() -> Dispatcher:
        dispatcher = Dispatcher(settings, Metrics())
        dispatcher.start()
        while any(replica.facts is None for replica in dispatcher.replicas):
            await asyncio.sleep(0.001)
        async with asyncio.timeout(20):
            await scene(dispatcher)
        await dispatcher.close()
        return dispatcher

    return asyncio.run(run())


async def settled(condition: Callable[[], object]) -> None:
    """Waits for a condition."""
    while not condition():
        await asyncio.sleep(0.001)


def right(answer: Answer, given: Samples) -> bool:
    """Whether an answer is this mel's."""
    return np.array_equal(answer.wave, echo(given))


def test_what_waits_runs_together_and_each_gets_its_own(planted: list[Planted]) -> None:
    """Behind a busy worker items gather into one batch of near lengths; every answer is its own item's."""
    mels = [mel(40 + index % 3, index) for index in range(7)] + [mel(300, 9)]

    async def scene(dispatcher: Dispatcher) -> None:
        planted[0].gate.clear()
        first = asyncio.create_task(dispatcher.vocode(mel(30, 99)))
        await settled(lambda: planted[0].batches)
        tasks = [asyncio.create_task(dispatcher.vocode(one)) for one in mels]
        await settled(lambda: len(dispatcher.replicas[0].waiting) == len(mels))
        assert dispatcher.metrics.value("vocoder_queue_items", worker="0") == len(mels)
        planted[0].gate.set()
        answers = await asyncio.gather(*tasks)
        assert right(await first, mel(30, 99))
        assert all(map(right, answers, mels))
        assert [answer.items for answer in answers] == [7] * 7 + [1]

    dispatcher = play(scene)
    assert [sorted(batch) for batch in planted[0].batches] == [[30], [40, 40, 40, 41, 41, 42, 42], [300]]
    assert dispatcher.metrics.value("vocoder_batch_items_sum") == 9
    assert dispatcher.metrics.value("vocoder_batch_frames_sum") == sum(one.shape[1] for one in mels) + 30


def test_without_batching_items_run_alone(planted: list[Planted]) -> None:
    """A bound of no frames."""

    async def scene(dispatcher: Dispatcher) -> None:
        await asyncio.gather(*(dispatcher.vocode(mel(40)) for _ in range(5)))

    play(scene, replace(SETTINGS, batch=BatchLimits(frames=0)))
    assert planted[0].batches == [[40]] * 5


def test_a_worker_that_ends_costs_no_item(planted: list[Planted]) -> None:
    """What it had, running and waiting, is answered by the other; it is replaced and works again."""
    mels = [mel(40, index) for index in range(6)]

    def die(_: Sequence[Samples]) -> None:
        planted[0].fails = lambda _: None
        raise WorkerDiedError("planted")

    async def scene(dispatcher: Dispatcher) -> None:
        planted[0].fails = die
        for worker in planted:
            worker.gate.clear()
        tasks = [asyncio.create_task(dispatcher.vocode(one)) for one in mels]
        await settled(lambda: planted[0].batches and planted[1].batches)
        planted[0].gate.set()
        await settled(lambda: planted[0].starts == 2)
        planted[1].gate.set()
        assert all(map(right, await asyncio.gather(*tasks), mels))
        await settled(lambda: dispatcher.replicas[0].facts is not None)
        again = await asyncio.gather(*(dispatcher.vocode(one) for one in mels))
        assert all(map(right, again, mels))

    dispatcher = play(scene, replace(SETTINGS, devices=("cpu", "cpu"), policy="round-robin"))
    assert dispatcher.metrics.value("vocoder_worker_restarts_total", worker="0") == 1
    assert len(planted[0].batches) >= 2


def test_the_only_worker_s_items_wait_for_its_return(planted: list[Planted]) -> None:
    """They are neither lost nor refused."""

    def die(_: Sequence[Samples]) -> None:
        planted[0].fails = lambda _: None
        raise WorkerDiedError("planted")

    async def scene(dispatcher: Dispatcher) -> None:
        planted[0].fails = die
        answers = await asyncio.gather(*(dispatcher.vocode(mel(40, index)) for index in range(3)))
        assert all(right(answer, mel(40, index)) for index, answer in enumerate(answers))

    play(scene)


def test_an_item_that_ends_every_worker_is_given_up(planted: list[Planted]) -> None:
    """After three workers, so that one item does not take the service along."""

    def die_of_ten(mels: Sequence[Samples]) -> None:
        if any(one.shape[1] == 10 for one in mels):
            raise WorkerDiedError("planted")

    async def scene(dispatcher: Dispatcher) -> None:
        planted[0].fails = die_of_ten
        with pytest.raises(NoWorkerError, match="3 workers ended over it"):
            await dispatcher.vocode(mel(10))
        await settled(lambda: dispatcher.replicas[0].facts is not None)
        assert right(await dispatcher.vocode(mel(40)), mel(40))

    play(scene)
    assert planted[0].starts == 4


def test_an_item_that_raises_fails_alone(planted: list[Planted]) -> None:
    """The others of its batch are answered, and a shape that the backend refuses keeps its reason."""

    def refuse(mels: Sequence[Samples]) -> None:
        lengths = [one.shape[1] for one in mels]
        if 41 in lengths:
            raise RuntimeError("planted")
        if 42 in lengths:
            raise UnsupportedError("no shape of 42")

    async def scene(dispatcher: Dispatcher) -> None:
        planted[0].fails = refuse
        outcomes = await asyncio.gather(
            *(dispatcher.vocode(mel(length, length)) for length in (40, 41, 42, 43)), return_exceptions=True
        )
        assert [type(one) for one in outcomes] == [Answer, VocodeError, UnsupportedError, Answer]
        assert isinstance(outcomes[3], Answer)
        assert right(outcomes[3], mel(43, 43))

    play(scene)


def test_a_cancelled_item_frees_its_place(planted: list[Planted]) -> None:
    """It never reaches a worker, and the queue is as if it had not come."""

    async def scene(dispatcher: Dispatcher) -> None:
        planted[0].gate.clear()
        first = asyncio.create_task(dispatcher.vocode(mel(40)))
        await settled(lambda: planted[0].batches)
        second = asyncio.create_task(dispatcher.vocode(mel(50)))
        await settled(lambda: dispatcher.replicas[0].waiting)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert not dispatcher.replicas[0].waiting
        assert dispatcher.metrics.value("vocoder_queue_items", worker="0") == 0
        planted[0].gate.set()
        await first

    play(scene)
    assert planted[0].batches == [[40]]


def test_a_worker_that_does_not_start_is_said_and_tried_again(
    planted: list[Planted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is taken meanwhile, with the reason; the next start may succeed."""
    monkeypatch.setattr("bench.serve.dispatcher._RESTART_S", 0.05)

    async def scene() -> None:
        dispatcher = Dispatcher(SETTINGS, Metrics())
        real = planted[0].start

        def fail() -> object:
            planted[0].start = real  # type: ignore[method-assign]
            raise RuntimeError("planted start")

        planted[0].start = fail  # type: ignore[method-assign, assignment]
        dispatcher.start()
        await settled(lambda: dispatcher.failures)
        with pytest.raises(NoWorkerError, match="planted start"):
            await dispatcher.vocode(mel(40))
        await settled(lambda: dispatcher.facts)
        assert right(await dispatcher.vocode(mel(40)), mel(40))
        await dispatcher.close()

    asyncio.run(scene())
