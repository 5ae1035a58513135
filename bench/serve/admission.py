"""Who gets in: places in all, places of one client, and the time that a body may take."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager

from bench.serve.inputs import BadRequestError
from bench.serve.settings import RETRY_AFTER_S, RequestLimits


class RefusedError(RuntimeError):
    """A request that would have been taken at another time.

    Attributes:
        status: 429 where the client has too many at once, 503 where the service has.
        retry_after_s: When to try again.
    """

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status, self.retry_after_s = status, RETRY_AFTER_S


class Admission:
    """Counts the requests that are inside.

    Attributes:
        inside: How many there are.
        open: Whether more may come; the service's end sets it to False.

    Args:
        limits: Of the service.
    """

    def __init__(self, limits: RequestLimits) -> None:
        self._limits = limits
        self._clients: Counter[str] = Counter()
        self.inside = 0
        self.open = True

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """Holds a place as long as the block runs.

        Raises:
            RefusedError: there is none.
        """
        if not self.open:
            raise RefusedError("the service is shutting down", 503)
        if self._clients[client] >= self._limits.client:
            raise RefusedError(f"one client has at most {self._limits.client} requests at once", 429)
        if self.inside >= self._limits.queue:
            raise RefusedError(f"{self.inside} requests wait or run already", 503)
        self.inside += 1
        self._clients[client] += 1
        try:
            yield
        finally:
            self.inside -= 1
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]


async def read_body(parts: AsyncIterable[bytes], declared: str | None, limits: RequestLimits) -> bytes:
    """A body of bounded size, in bounded time.

    Args:
        parts: As they arrive.
        declared: The header ``Content-Length``; None where there is none.
        limits: Of the service.

    Raises:
        BadRequestError: too large (413) or too slow (408).
    """
    too_large = BadRequestError(f"a body has at most {limits.body_bytes} bytes", 413)
    if declared is not None and declared.isdecimal() and int(declared) > limits.body_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            async for part in parts:
                body += part
                if len(body) > limits.body_bytes:
                    raise too_large
    except TimeoutError:
        raise BadRequestError(f"a body arrives within {limits.body_s:g} s", 408) from None
    return bytes(body)
