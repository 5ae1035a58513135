"""Items to workers: a queue and a batch at a time for each, and what becomes of the items of a worker that ends.

Everything here runs on one event loop; a worker's blocking calls run in a thread of its own.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from bench.errors import UnsupportedError, first_line
from bench.serve.batching import choose_batch
from bench.serve.engine import Facts, Output, Samples
from bench.serve.items import Answer, Item, NoWorkerError, VocodeError, settle
from bench.serve.metrics import Metrics
from bench.serve.routing import choose
from bench.serve.settings import EngineSettings, ServeSettings
from bench.serve.workers import Worker, WorkerDiedError, make_worker

# An item whose workers ended so often is taken for the reason.
MOST_TRIES = 3
# The oldest waiting items, among which a batch is chosen: a longer look would hold up the event loop.
_LOOK = 256
# Before a worker that could not be started is tried again.
_RESTART_S = 1.0

Result = TypeVar("Result")


class Replica:
    """One worker with its queue.

    Attributes:
        name: In metrics.
        worker: The worker.
        facts: What it serves; None while it is not ready.
    """

    def __init__(self, name: str, engine: EngineSettings, owner: "Dispatcher") -> None:
        self.name, self._engine, self._owner = name, engine, owner
        self.worker: Worker = make_worker(engine, process=owner.settings.processes)
        self.facts: Facts | None = None
        self.failure = ""
        self.waiting: deque[Item] = deque()
        self.running: list[Item] = []
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"worker-{name}")
        self._metrics = owner.metrics
        self._metrics.set("vocoder_worker_ready", 0, worker=name, device=engine.device)
        self._metrics.set("vocoder_queue_items", 0, worker=name)

    @property
    def load(self) -> int | None:
        """Frames that wait or run; None while it takes nothing."""
        if self.facts is None:
            return None
        return sum(item.frames for item in (*self.waiting, *self.running) if not item.future.done())

    def put(self, item: Item) -> None:
        """Adds an item at the end."""
        self.waiting.append(item)
        self._show()
        self._wake.set()

    def drop(self, item: Item) -> None:
        """Frees the place of an item that nobody waits for any more."""
        with contextlib.suppress(ValueError):
            self.waiting.remove(item)
            self._show()

    async def serve(self) -> None:
        """Starts the worker and gives it batches, for ever; a worker that ends is replaced."""
        while True:
            try:
                self.facts = await self._call(self.worker.start)
                self.failure = ""
                self._ready(1)
                while True:
                    await self._one_batch()
            except WorkerDiedError as error:
                self.failure = str(error)
            except Exception as error:  # noqa: BLE001 - a start that fails is said by readiness, and tried again
                self.failure = first_line(error)
            started, self.facts = self.facts is not None, None
            self._ready(0)
            self._owner.relocate(self)
            await self._call(self.worker.close)
            self._metrics.add("vocoder_worker_restarts_total", worker=self.name)
            if not started:
                await asyncio.sleep(_RESTART_S)

    async def close(self) -> None:
        """Ends the worker, after what it is doing."""
        await self._call(self.worker.close)
        self._thread.shutdown(wait=False)

    async def _one_batch(self) -> None:
        facts, limits = self.facts, self._owner.settings.batch
        assert facts is not None  # noqa: S101 - a worker that runs has facts
        while not self.waiting:
            self._wake.clear()
            await self._wake.wait()
        if limits.wait_s and limits.frames and sum(item.frames for item in self.waiting) < limits.frames:
            await asyncio.sleep(limits.wait_s)
        if not self.waiting:
            return
        items = list(islice(self.waiting, _LOOK))
        chosen = choose_batch([item.frames for item in items], limits, facts.halo, self._engine.step_frames)
        batch = [items[index] for index in chosen]
        for item in batch:
            self.waiting.remove(item)
        self._show()
        self.running = batch
        try:
            await self._run(batch)
        finally:
            self.running = []

    async def _run(self, batch: Sequence[Item]) -> None:
        """Does a batch; one that fails is done item by item, so that only the item at fault fails."""
        started = time.monotonic()
        try:
            output = await self._call(lambda: self.worker.run([item.mel for item in batch]))
        except WorkerDiedError:
            for item in batch:
                item.tries += 1
                self._owner.again(item, self)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the item's request says so
            if len(batch) == 1:
                own = error if isinstance(error, UnsupportedError) else VocodeError(first_line(error))
                settle(batch[0], own)
                return
            for item in batch:
                if not item.future.done():
                    await self._run([item])
            return
        self._answer(batch, output, started)

    def _answer(self, batch: Sequence[Item], output: Output, started: float) -> None:
        run_s, metrics = time.monotonic() - started, self._metrics
        metrics.observe("vocoder_batch_seconds", run_s, worker=self.name)
        metrics.observe("vocoder_batch_items", len(batch))
        metrics.observe("vocoder_batch_frames", sum(item.frames for item in batch))
        if output.gpu_bytes is not None:
            metrics.set("vocoder_gpu_memory_bytes", output.gpu_bytes, worker=self.name)
        if output.fallback:
            metrics.add("vocoder_fallbacks_total", backend=self._engine.case.backend)
        for item, wave in zip(batch, output.waves, strict=True):
            queue_s = started - item.arrived_s
            metrics.observe("vocoder_queue_seconds", queue_s)
            settle(item, Answer(wave, output.backend, output.fallback, queue_s, run_s, len(batch)))

    async def _call(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _ready(self, value: int) -> None:
        self._metrics.set("vocoder_worker_ready", value, worker=self.name, device=self._engine.device)

    def _show(self) -> None:
        self._metrics.set("vocoder_queue_items", len(self.waiting), worker=self.name)


class Dispatcher:
    """All workers of a service.

    Args:
        settings: Of the service.
        metrics: Where it counts.
    """

    def __init__(self, settings: ServeSettings, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.replicas = [
            Replica(str(index), replace(settings.engine, device=device), self)
            for index, device in enumerate(settings.devices)
        ]
        self._turn = 0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def facts(self) -> Facts | None:
        """What is served; None while no worker is ready."""
        return next((replica.facts for replica in self.replicas if replica.facts is not None), None)

    @property
    def failures(self) -> list[str]:
        """Why workers are not ready, where that is known."""
        return [replica.failure for replica in self.replicas if replica.failure]

    @property
    def workers(self) -> tuple[int, int]:
        """Workers that are ready, and workers in all."""
        return sum(replica.facts is not None for replica in self.replicas), len(self.replicas)

    def start(self) -> None:
        """Starts the workers; returns before they are ready."""
        self._tasks = [asyncio.create_task(replica.serve()) for replica in self.replicas]

    async def close(self) -> None:
        """Ends the workers; items that still wait are told so."""
        left = [item for replica in self.replicas for item in (*replica.waiting, *replica.running)]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for item in left:
            settle(item, NoWorkerError("the service ends"))
        for replica in self.replicas:
            replica.waiting.clear()
        await asyncio.gather(*(replica.close() for replica in self.replicas))

    async def vocode(self, mel: Samples) -> Answer:
        """Vocodes one mel, with others where that fits.

        A caller that is cancelled frees the item's place.

        Args:
            mel: float32 ``(bands, frames)``.

        Raises:
            NoWorkerError: no worker is ready, or those that had it ended.
            UnsupportedError: a shape that the backend does not take.
            VocodeError: the worker raised.
        """
        item = Item(mel, asyncio.get_running_loop().create_future())
        self._route(item)
        try:
            return await item.future
        finally:
            if item.future.cancelled():
                for replica in self.replicas:
                    replica.drop(item)

    def relocate(self, replica: Replica) -> None:
        """Gives what waits at a worker that ended to the others, or lets it wait for the worker's return."""
        items = list(replica.waiting)
        replica.waiting.clear()
        for item in items:
            self.again(item, replica)

    def again(self, item: Item, replica: Replica) -> None:
        """Routes an item whose worker ended; where no other is ready it waits for that worker's return."""
        if item.future.done():
            return
        if item.tries >= MOST_TRIES:
            settle(item, NoWorkerError(f"{item.tries} workers ended over it"))
            return
        loads = [None if one is replica else one.load for one in self.replicas]
        index = choose(loads, "least-loaded", self._turn)
        (replica if index is None else self.replicas[index]).put(item)

    def _route(self, item: Item) -> None:
        index = choose([replica.load for replica in self.replicas], self.settings.policy, self._turn)
        if index is None:
            raise NoWorkerError("; ".join(self.failures) or "no worker is ready")
        self._turn += 1
        self.replicas[index].put(item)
