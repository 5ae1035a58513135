"""What the application's routes share, and one request as the metrics count it."""

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import Request

from bench.serve.admission import Admission, read_body
from bench.serve.dispatcher import Dispatcher
from bench.serve.engine import Facts
from bench.serve.inputs import Mel, read_mel
from bench.serve.items import NoWorkerError
from bench.serve.metrics import Metrics
from bench.serve.settings import ServeSettings
from bench.spec import SPECS

if TYPE_CHECKING:
    from bench.serve.ray_dispatcher import RayDispatcher


class Service:
    """Workers, places and metrics of one application.

    Attributes:
        settings: Of the service.
        metrics: Of this service alone.
        dispatcher: Its workers.
        admission: Its places.
        spec: Of the vocoder.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self.settings, self.metrics = settings, Metrics()
        self.dispatcher = make_dispatcher(settings, self.metrics)
        self.admission = Admission(settings.limits)
        self.spec = SPECS[settings.engine.case.version]
        self._told = False

    def facts(self) -> Facts:
        """What is served.

        Raises:
            NoWorkerError: no worker is ready.
        """
        facts = self.dispatcher.facts
        if facts is None:
            raise NoWorkerError("; ".join(self.dispatcher.failures) or "no worker is ready yet")
        if not self._told:
            case = self.settings.engine.case
            about = {"case": case.id, "backend": case.backend, "precision": facts.precision, "weights": facts.weights}
            self.metrics.set("vocoder_info", 1, **about)
            self._told = True
        return facts

    async def mel(self, request: Request) -> Mel:
        """The mel of a request's body; see :func:`bench.serve.inputs.read_mel`."""
        limits = self.settings.limits
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = await read_body(request.stream(), request.headers.get("content-length"), limits)
        return await asyncio.to_thread(read_mel, body, media_type, self.spec, limits.frames)


def make_dispatcher(settings: ServeSettings, metrics: Metrics) -> "Dispatcher | RayDispatcher":
    """What the service gives its items to: workers of this host, or replicas in Ray.

    Raises:
        InputError: Ray is not installed.
    """
    if not settings.ray:
        return Dispatcher(settings, metrics)
    from bench.serve.ray_dispatcher import RayDispatcher

    return RayDispatcher(settings, metrics)


class Call:
    """One request, from its first byte to its last.

    Args:
        service: Which counts it.
        mode: ``"whole"`` or ``"stream"``.
    """

    def __init__(self, service: Service, mode: str) -> None:
        self.mode = mode
        self._metrics, self._rate = service.metrics, service.spec.sample_rate
        self._started, self._samples = time.monotonic(), 0

    def audio(self, samples: int) -> None:
        """Counts audio that is about to be sent."""
        if not self._samples:
            self._metrics.observe("vocoder_audio_ttfp_seconds", self._age(), mode=self.mode)
        self._samples += samples

    def end(self, code: int) -> None:
        """Counts the request."""
        age, audio_s = self._age(), self._samples / self._rate
        self._metrics.add("vocoder_requests_total", mode=self.mode, code=int(code))
        self._metrics.add("vocoder_audio_seconds_total", audio_s, mode=self.mode)
        if code == HTTPStatus.OK:
            self._metrics.observe("vocoder_request_seconds", age, mode=self.mode)
            self._metrics.observe("vocoder_audio_rtf", age / audio_s, mode=self.mode)

    def _age(self) -> float:
        return time.monotonic() - self._started
