"""The service's side of Ray Serve: items to replicas, anew where one dies, and what Ray says of the replicas."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from bench.cluster import find_ray, last_error
from bench.errors import first_line
from bench.serve.dispatcher import MOST_TRIES
from bench.serve.engine import Facts, Samples
from bench.serve.items import Answer, NoWorkerError
from bench.serve.metrics import Metrics
from bench.serve.settings import ServeSettings

APPLICATION = "vocoder-bench"
# How often Ray is asked how its replicas are.
_LOOK_S = 0.5
_RUNNING, _FAILED = "RUNNING", "DEPLOY_FAILED"
# What holds a worker's label in the metrics, and is known better from Ray itself.
_FROM_RAY = "vocoder_worker_ready"

Result = TypeVar("Result")


class RayDispatcher:
    """All replicas of a service in Ray; stands where :class:`~bench.serve.dispatcher.Dispatcher` does.

    Args:
        settings: Of the service; a replica for each device.
        metrics: Where it counts.
    """

    def __init__(self, settings: ServeSettings, metrics: Metrics) -> None:
        self._ray = find_ray("--ray")
        self._settings, self._metrics = settings, metrics
        # Calls of Ray that block, one at a time.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ray")
        self._handle: Any = None
        self._facts: Facts | None = None
        self._failure = ""
        self._running: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def facts(self) -> Facts | None:
        """What is served; None while no replica is ready."""
        return self._facts if self._running else None

    @property
    def failures(self) -> list[str]:
        """Why replicas are not ready, where that is known."""
        return [self._failure] if self._failure else []

    @property
    def workers(self) -> tuple[int, int]:
        """Replicas that are ready, and replicas in all."""
        return len(self._running), len(self._settings.devices)

    def start(self) -> None:
        """Starts the replicas; returns before they are ready."""
        self._task = asyncio.create_task(self._serve())

    async def close(self) -> None:
        """Ends the replicas."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._call(self._leave)
        self._thread.shutdown()

    async def vocode(self, mel: Samples) -> Answer:
        """Vocodes one mel, with others where that fits; as :meth:`bench.serve.dispatcher.Dispatcher.vocode`."""
        errors = self._ray.exceptions
        for _ in range(MOST_TRIES):
            if not self._running:
                raise NoWorkerError(self._failure or "no worker is ready")
            response = self._handle.vocode.remote(mel)
            try:
                reply = await response
            except (errors.ActorDiedError, errors.ActorUnavailableError, errors.WorkerCrashedError):
                continue
            except asyncio.CancelledError:
                response.cancel()
                raise
            self._metrics.take(reply.counts, worker=reply.replica, without=_FROM_RAY)
            if isinstance(reply.outcome, Exception):
                raise reply.outcome
            answer: Answer = reply.outcome
            return answer
        raise NoWorkerError(f"{MOST_TRIES} workers ended over it")

    async def _serve(self) -> None:
        """Runs the application, and looks at its replicas for ever."""
        try:
            await self._call(self._run)
        except Exception as error:  # noqa: BLE001 - readiness says it
            self._failure = first_line(error)
            return
        while True:
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - Ray may be back at the next look
                self._failure = first_line(error)
            await asyncio.sleep(_LOOK_S)

    def _run(self) -> None:
        from ray import serve
        from ray.serve.config import ProxyLocation
        from ray.serve.schema import LoggingConfig

        from bench.serve.ray_app import application

        # Ray says what it starts on standard error.
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        # HTTP is this process's: Ray needs no proxies.
        quiet = LoggingConfig(log_level="ERROR", enable_access_log=False)
        serve.start(proxy_location=ProxyLocation.Disabled, logging_config=quiet)
        [self._handle] = serve.run_many(
            [serve.RunTarget(application(self._settings), name=APPLICATION, route_prefix=None, logging_config=quiet)],
            wait_for_applications_running=False,
        )

    async def _look(self) -> None:
        """Which replicas run, and which are gone."""
        status, message, running = await self._call(_replicas)
        for name in self._running - running:
            self._metrics.add("vocoder_worker_restarts_total", worker=name)
            self._show(name, 0)
        for name in running - self._running:
            self._show(name, 1)
        self._failure = "" if running else last_error(message) if status == _FAILED else self._failure
        if running and self._facts is None:
            self._facts = await self._handle.facts.remote()
        self._running = running

    def _show(self, name: str, value: int) -> None:
        self._metrics.set("vocoder_worker_ready", value, worker=name, device=self._settings.devices[0])

    def _leave(self) -> None:
        from ray import serve

        with contextlib.suppress(Exception):
            serve.delete(APPLICATION)

    async def _call(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _replicas() -> tuple[str, str, set[str]]:
    """Status and message of the application, and the names of the replicas that run."""
    from ray.serve.context import _get_global_client

    # What serve.status() counts replicas from; it has their names.
    found = _get_global_client().get_serve_details()["applications"].get(APPLICATION)
    if found is None:
        return "", "", set()
    replicas = [one for deployment in found["deployments"].values() for one in deployment["replicas"]]
    return (
        str(getattr(found["status"], "value", found["status"])),
        str(found["message"]),
        {str(one["replica_id"]) for one in replicas if getattr(one["state"], "value", one["state"]) == _RUNNING},
    )
