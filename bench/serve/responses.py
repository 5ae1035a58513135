"""Answers: audio whole or as it is made, and errors with their status."""

import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse

from bench.errors import UnsupportedError
from bench.serve.admission import RefusedError
from bench.serve.engine import Facts
from bench.serve.inputs import BadRequestError
from bench.serve.items import Answer, NoWorkerError, VocodeError
from bench.serve.service import Call
from bench.serve.settings import RETRY_AFTER_S
from bench.serve.wav import encode, header

# nginx's number for a request whose client left; it is counted, and nobody hears it.
CLIENT_LEFT = 499
MEDIA_TYPE = "audio/wav"


def whole(answer: Answer, facts: Facts, encoding: str) -> Response:
    """All samples behind a header."""
    content = header(facts.sample_rate, encoding, len(answer.wave)) + encode(answer.wave, encoding)
    return Response(content, media_type=MEDIA_TYPE, headers=_about(answer, facts))


class AudioStream(StreamingResponse):
    """Chunks as they are made; the request's place is free when they end, however they end.

    Args:
        first: The chunk that is there.
        chunks: The others.
        facts: Of the vocoder.
        encoding: Of the samples.
        call: Counts the request.
        held: What the request holds; closed at the end.
        limit_s: Longest stream.
    """

    def __init__(
        self,
        first: Answer,
        chunks: AsyncIterator[Answer],
        *,
        facts: Facts,
        encoding: str,
        call: Call,
        held: ExitStack,
        limit_s: float,
    ) -> None:
        self._first, self._chunks, self._facts, self._encoding = first, chunks, facts, encoding
        self._call, self._held, self._limit_s = call, held, limit_s
        self._code = CLIENT_LEFT
        super().__init__(self._bytes(), media_type=MEDIA_TYPE, headers=_about(first, facts))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Sends the stream. An error after the status has gone out ends the connection before its last chunk."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._held.close()
            self._call.end(self._code)

    async def _bytes(self) -> AsyncIterator[bytes]:
        deadline = time.monotonic() + self._limit_s
        self._call.audio(len(self._first.wave))
        yield header(self._facts.sample_rate, self._encoding) + encode(self._first.wave, self._encoding)
        try:
            async for answer in self._chunks:
                if time.monotonic() > deadline:
                    raise NoWorkerError("the stream took too long")
                self._call.audio(len(answer.wave))
                yield encode(answer.wave, self._encoding)
        except Exception as error:
            self._code = _status(error)
            raise
        self._code = HTTPStatus.OK


def problem(error: Exception, call: Call, limit_s: float) -> JSONResponse:
    """The answer to an error, counted.

    Args:
        error: What was raised.
        call: Counts it.
        limit_s: Longest request.
    """
    status, sentence = _status(error), str(error)
    if isinstance(error, RequestValidationError):
        sentence = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
    elif isinstance(error, TimeoutError):
        sentence = f"the request was not done within {limit_s:g} s"
    elif status == HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, VocodeError):
        sentence = type(error).__name__
    call.end(status)
    return refusal(status, sentence)


def refusal(status: int, sentence: str) -> JSONResponse:
    """A sentence with its status, and when to come again where that helps."""
    later = status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
    return JSONResponse({"detail": sentence}, status, {"Retry-After": str(RETRY_AFTER_S)} if later else {})


def _status(error: Exception) -> int:
    if isinstance(error, BadRequestError | RefusedError):
        return error.status
    if isinstance(error, RequestValidationError | UnsupportedError):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    if isinstance(error, NoWorkerError | TimeoutError):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _about(answer: Answer, facts: Facts) -> dict[str, str]:
    return {
        "X-Vocoder-Case": facts.case,
        "X-Vocoder-Backend": answer.backend,
        "X-Batch-Items": str(answer.items),
        "Server-Timing": f"queue;dur={answer.queue_s * 1000:.3f}, run;dur={answer.run_s * 1000:.3f}",
    }
