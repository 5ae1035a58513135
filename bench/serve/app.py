"""The HTTP application: its routes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse

from bench import __version__
from bench.serve.items import NoWorkerError
from bench.serve.openapi import BODY, READINESS, RESPONSES
from bench.serve.responses import CLIENT_LEFT, AudioStream, problem, refusal, whole
from bench.serve.service import Call, Service
from bench.serve.settings import ServeSettings
from bench.serve.streaming import stream

Result = TypeVar("Result")
Mode = Annotated[Literal["whole", "stream"], Query(description="One answer, or chunks as they are made.")]
Encoding = Annotated[Literal["pcm16", "float32"], Query(description="Of the samples.")]
ChunkS = Annotated[float, Query(ge=0.02, le=60, description="Length of a stream's chunks, in seconds of audio.")]


class _ClientLeftError(Exception):
    """Nobody waits for the answer any more."""


def create_app(settings: ServeSettings) -> FastAPI:
    """The application; its workers start with it and end with it.

    Args:
        settings: Of the service. ``app.state.service`` holds the :class:`~bench.serve.service.Service`.
    """
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.dispatcher.start()
        yield
        service.admission.open = False
        await service.dispatcher.close()

    app = FastAPI(title="vocoder-bench serve", version=__version__, lifespan=lifespan)
    app.state.service = service

    @app.exception_handler(RequestValidationError)
    async def _(_: Request, error: Exception) -> JSONResponse:
        return problem(error, Call(service, "none"), settings.limits.request_s)

    @app.post("/v1/vocode", responses=RESPONSES, response_class=Response, openapi_extra=BODY)
    async def vocode(
        request: Request, mode: Mode = "whole", encoding: Encoding = "pcm16", chunk_s: ChunkS = settings.chunk_s
    ) -> Response:
        """Turns a log-mel, or the log-mel of a sound, into WAV."""
        call = Call(service, mode)
        try:
            return await _answer(service, request, call, encoding, chunk_s)
        except _ClientLeftError:
            call.end(CLIENT_LEFT)
            return Response(status_code=CLIENT_LEFT)
        except Exception as error:  # noqa: BLE001 - every error has its status
            return problem(error, call, settings.limits.request_s)

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @app.get("/readyz", responses=READINESS)
    async def ready() -> Any:
        """What is served, once a worker is ready."""
        try:
            facts = service.facts()
        except NoWorkerError as error:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        ready, workers = service.dispatcher.workers
        return {**asdict(facts), "workers_ready": ready, "workers": workers}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """What Prometheus scrapes."""
        return PlainTextResponse(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return app


async def _answer(service: Service, request: Request, call: Call, encoding: str, chunk_s: float) -> Response:
    """The audio of one request; a place is held from before its body is read until its last byte is sent."""
    facts, limits = service.facts(), service.settings.limits
    with ExitStack() as held:
        held.enter_context(service.admission.place(request.client.host if request.client else ""))
        mel = await service.mel(request)
        async with asyncio.timeout(limits.request_s):
            if call.mode == "whole":
                answer = await _unless_gone(request, service.dispatcher.vocode(mel))
                call.audio(len(answer.wave))
                call.end(HTTPStatus.OK)
                return whole(answer, facts, encoding)
            frames = max(1, round(chunk_s * facts.sample_rate / facts.upsample))
            chunks = stream(service.dispatcher.vocode, mel, frames, facts)
            first = await _unless_gone(request, anext(chunks))
        return AudioStream(
            first,
            chunks,
            facts=facts,
            encoding=encoding,
            call=call,
            held=held.pop_all(),
            limit_s=limits.request_s,
        )


async def _unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """The outcome of ``work``; cancels it where the client leaves before.

    Raises:
        _ClientLeftError: the client left.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise _ClientLeftError
        return task.result()
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
