"""One replica of the service in Ray Serve, and how Ray runs several.

::

    app -> RayDispatcher -> Ray's router -> VocoderReplica (@serve.batch) -> Dispatcher of one worker -> Engine

Ray chooses the replica, replaces one that dies or whose health check fails, and gives each a GPU. A replica is the pool
of :mod:`bench.serve.dispatcher` with one worker in its own process, so that an answer and the choice of a batch are the
same with Ray and without. ``@serve.batch`` gathers what comes within ``--batch-wait-ms``; it makes its batches as
requests come, so that what waits for a busy worker is put together by that worker's queue.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from ray import serve
from ray.serve.config import RequestRouterConfig

from bench.serve.dispatcher import Dispatcher
from bench.serve.engine import Facts, Samples
from bench.serve.items import Answer, NoWorkerError
from bench.serve.metrics import Count, Tally
from bench.serve.settings import ServeSettings
from bench.serve.workers import RUN_LIMIT_S

NAME = "vocoder"
ROUTERS = {
    "least-loaded": "ray.serve._private.request_router:PowerOfTwoChoicesRequestRouter",
    "round-robin": "ray.serve.experimental.round_robin_router:RoundRobinRouter",
}
# Requests that a replica holds at once; others wait at the router, where a replica that becomes free finds them.
_ONGOING_BATCHES = 4
_HEALTH_PERIOD_S, _HEALTH_LIMIT_S = 2.0, 30.0
_LOOK_S = 0.01


@dataclass(frozen=True)
class Reply:
    """What a replica says to one item.

    Attributes:
        outcome: The answer, or what was raised at it: as a value, because Ray changes the text of what is raised.
        replica: Which one it is.
        counts: What it has counted for the metrics since it last said so.
    """

    outcome: Answer | Exception
    replica: str
    counts: tuple[Count, ...]


class Ticket:
    """One item on its way through ``@serve.batch``, which cannot hear that its request was cancelled."""

    def __init__(self, mel: Samples) -> None:
        self.mel = mel
        self.work: asyncio.Task[Answer] | None = None
        self.cancelled = False

    def cancel(self) -> None:
        """Frees the item's place, wherever it is."""
        self.cancelled = True
        if self.work is not None:
            self.work.cancel()


def total_frames(tickets: Sequence[Ticket]) -> int:
    """What a batch is bounded by."""
    return sum(int(ticket.mel.shape[1]) for ticket in tickets)


class VocoderReplica:
    """A worker in a process of Ray's.

    Args:
        settings: Of the service; the replica has one worker, on the device that Ray gives it.
    """

    async def __init__(self, settings: ServeSettings) -> None:  # type: ignore[misc]  # Ray awaits it
        self._settings = replace(settings, devices=settings.devices[:1], processes=False, batch=_no_wait(settings))
        self._bound = settings.batch.frames
        self._tally = Tally()
        self._dispatcher = Dispatcher(self._settings, self._tally)
        self._name = serve.get_replica_context().replica_id.unique_id
        gather: Any = self._gather
        gather.set_max_batch_size(max(1, self._bound))
        gather.set_batch_wait_timeout_s(settings.batch.wait_s)
        self._dispatcher.start()
        while self._dispatcher.facts is None:
            if self._dispatcher.failures:
                raise NoWorkerError("; ".join(self._dispatcher.failures))
            await asyncio.sleep(_LOOK_S)

    async def facts(self) -> Facts:
        """What is served."""
        facts = self._dispatcher.facts
        assert facts is not None  # noqa: S101 - the replica is not ready without
        return facts

    async def vocode(self, mel: Samples) -> Reply:
        """Vocodes one mel, with others where that fits."""
        ticket = Ticket(mel)
        try:
            # Ray refuses an item that is a batch by itself.
            alone = mel.shape[1] > self._bound
            outcome: Answer | Exception = (await self._all([ticket]))[0] if alone else await self._gather(ticket)
        except BaseException:
            ticket.cancel()
            raise
        return Reply(outcome, self._name, self._tally.drain())

    @serve.batch(batch_size_fn=total_frames, max_concurrent_batches=1 << 16)  # type: ignore[untyped-decorator]  # Ray's
    async def _gather(self, tickets: list[Ticket]) -> list[Answer | Exception]:
        return await self._all(tickets)

    async def _all(self, tickets: Sequence[Ticket]) -> list[Answer | Exception]:
        for ticket in tickets:
            ticket.work = asyncio.ensure_future(self._dispatcher.vocode(ticket.mel))
            if ticket.cancelled:
                ticket.work.cancel()
        found = await asyncio.gather(*(ticket.work for ticket in tickets if ticket.work), return_exceptions=True)
        return [_plain(one) for one in found]

    async def check_health(self) -> None:
        """Uses the device, and looks whether an inference hangs; Ray replaces a replica that raises here.

        Raises:
            RuntimeError: the replica is of no use any more.
        """
        [pool] = self._dispatcher.replicas
        if pool.facts is None:
            raise RuntimeError(f"the engine is gone: {pool.failure}")
        running = [item.arrived_s for item in pool.running]
        if running and time.monotonic() - min(running) > RUN_LIMIT_S + self._settings.limits.request_s:
            raise RuntimeError("an inference does not end")
        # An error of CUDA stays for the rest of the process, and shows in anything that is done.
        await asyncio.to_thread(lambda: torch.zeros(1, device=self._settings.devices[0]).item())


def _no_wait(settings: ServeSettings) -> Any:
    """The limits of the queue behind ``@serve.batch``, which has waited already."""
    return replace(settings.batch, wait_s=0.0)


def _plain(outcome: Answer | BaseException) -> Answer | Exception:
    """An outcome that can be sent; what was cancelled has nobody who would read it."""
    return outcome if isinstance(outcome, Answer | Exception) else RuntimeError(type(outcome).__name__)


def application(settings: ServeSettings) -> Any:
    """The application, for ``ray.serve.run``.

    Args:
        settings: Of the service; a replica for each of its devices, which are all of one kind. Replicas on ``cuda``
            have a GPU each, those on ``cpu`` as many processors as threads.
    """
    gpu = settings.devices[0] != "cpu"
    deployment: Any = serve.deployment(
        name=NAME,
        num_replicas=len(settings.devices),
        ray_actor_options={"num_gpus": 1} if gpu else {"num_gpus": 0, "num_cpus": settings.engine.threads},
        max_ongoing_requests=max(8, _ONGOING_BATCHES * settings.batch.items),
        max_queued_requests=-1,
        health_check_period_s=_HEALTH_PERIOD_S,
        health_check_timeout_s=_HEALTH_LIMIT_S,
        graceful_shutdown_timeout_s=settings.limits.request_s,
        # A name is taken as well as a class.
        request_router_config=RequestRouterConfig(request_router_class=ROUTERS[settings.policy]),
    )
    return deployment(VocoderReplica).bind(settings)
