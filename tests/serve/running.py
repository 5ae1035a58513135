"""A service on loopback in a thread, workers that a test holds in its hand, and requests."""

import asyncio
import http.client
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray

from bench.case import Case
from bench.serve.app import create_app
from bench.serve.dispatcher import Dispatcher
from bench.serve.engine import Facts, Output
from bench.serve.server import bind
from bench.serve.service import Service
from bench.serve.settings import EngineSettings, ServeSettings
from bench.serve.workers import Worker

BANDS, UPSAMPLE, HALO = 100, 256, 12
CASE = Case("v3", "eager", "fp32", 1, 16)
FACTS = Facts("v3-eager-fp32-b1-t16", "planted", 24_000, UPSAMPLE, BANDS, HALO, "float32")
ENGINE = EngineSettings(CASE)
Samples = NDArray[np.float32]


def until(condition: Callable[[], object], limit_s: float = 20.0) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.005)


def mel(frames: int, seed: int = 0) -> Samples:
    """A log-mel of its own ``(bands, frames)``."""
    found: Samples = np.random.default_rng(seed).normal(-6, 1, (BANDS, frames)).astype(np.float32)
    return found


def echo(given: Samples) -> Samples:
    """What :class:`Planted` answers: the first band, a frame's value for each of its samples, scaled to [-1, 1]."""
    return np.repeat(given[0] / 20, UPSAMPLE).astype(np.float32)


class Planted:
    """A worker whose answer is known, and which waits, raises or ends when a test says so.

    Attributes:
        gate: Batches wait for it.
        batches: Lengths of the items of every batch.
        fails: Called with the mels before they are answered.
    """

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[list[int]] = []
        self.starts = 0
        self.fails: Callable[[Sequence[Samples]], None] = lambda _: None

    def start(self) -> Facts:
        """Counts."""
        self.starts += 1
        return FACTS

    def run(self, mels: Sequence[Samples]) -> Output:
        """The echo of each mel."""
        self.batches.append([one.shape[1] for one in mels])
        assert self.gate.wait(20)
        self.fails(mels)
        return Output([echo(one) for one in mels], "eager", False, None)

    def close(self) -> None:
        """Nothing to give back."""


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> list[Planted]:
    """Workers of every service that the test starts, in order."""
    made: list[Planted] = []

    def make(_: EngineSettings, *, process: bool) -> Worker:  # noqa: ARG001 - the real one's signature
        made.append(Planted())
        return made[-1]

    monkeypatch.setattr("bench.serve.dispatcher.make_worker", make)
    return made


class Running:
    """A service that answers on loopback.

    Attributes:
        service: Its inside.
        port: Where it listens.
    """

    def __init__(self, settings: ServeSettings) -> None:
        app = create_app(settings)
        self.service: Service = app.state.service
        self._socket = bind("127.0.0.1", 0)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=20)
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        until(lambda: self.get("/readyz")[0] == 200, 60)

    @property
    def pool(self) -> Dispatcher:
        """Its workers, which are this host's."""
        found = self.service.dispatcher
        assert isinstance(found, Dispatcher)
        return found

    def _run(self) -> None:
        asyncio.run(self.server.serve(sockets=[self._socket]))

    def stop(self) -> None:
        """Ends the service as a signal would."""
        self.server.should_exit = True
        self._thread.join(30)
        self._socket.close()
        assert not self._thread.is_alive()

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        status, _, body = self.request("GET", path)
        return status, body

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers by lower-case name, and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def vocode(self, given: Samples, query: str = "encoding=float32") -> tuple[int, dict[str, str], bytes]:
        """Posts a mel as npy."""
        return self.request("POST", f"/v1/vocode?{query}", npy(given), {"Content-Type": "application/x-npy"})

    def open(self, head: str, body: bytes = b"") -> socket.socket:
        """A connection on which a request was begun by hand."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(head.replace("\n", "\r\n").encode() + body)
        return connection

    def post_by_hand(self, given: Samples, query: str = "") -> socket.socket:
        """A whole request on a connection that the test holds."""
        body = npy(given)
        return self.open(
            f"POST /v1/vocode?{query} HTTP/1.1\nHost: x\nContent-Type: application/x-npy\n"
            f"Content-Length: {len(body)}\n\n",
            body,
        )


@contextmanager
def running(settings: ServeSettings | None = None) -> Iterator[Running]:
    """A service that ends with the block."""
    service = Running(settings or ServeSettings(ENGINE, processes=False))
    try:
        yield service
    finally:
        service.stop()


def npy(given: NDArray[Any]) -> bytes:
    """The npy file of an array."""
    file = io.BytesIO()
    np.save(file, given)
    return file.getvalue()


def samples(answer: tuple[int, dict[str, str], bytes]) -> Samples:
    """The float32 samples of an answer that is right."""
    status, headers, body = answer
    assert status == 200, body
    assert headers["content-type"] == "audio/wav"
    assert body[:4] == b"RIFF"
    return np.frombuffer(body[44:], "<f4")
