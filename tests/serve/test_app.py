"""The service over real HTTP on loopback: right answers, right refusals, nothing lost or mixed up."""

import asyncio
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch

from bench.serve.server import bind
from bench.serve.settings import BatchLimits, EngineSettings, RequestLimits, ServeSettings
from bench.serve.wav import decode
from tests.serve.running import (
    CASE,
    ENGINE,
    UPSAMPLE,
    Planted,
    Running,
    Samples,
    echo,
    mel,
    npy,
    running,
    samples,
    until,
)
from tests.serve.small import network


def test_a_small_network_answers_each_request_with_its_own_sound(small_weights: str) -> None:
    """Eight clients at once, whole and as streams, mels of many lengths: the module's own waveform each."""
    engine = EngineSettings(CASE, weights=(small_weights,))
    settings = ServeSettings(engine, processes=False, batch=BatchLimits(wait_s=0.02, padding=0.5))
    mels = [mel(frames, frames) for frames in (5, 61, 70, 70, 80, 93, 120, 9)]
    queries = ["encoding=float32", "encoding=float32&mode=stream&chunk_s=0.2"]
    own = network()
    with running(settings) as service, torch.inference_mode(), ThreadPoolExecutor(8) as clients:
        for query in queries:
            answers = list(clients.map(lambda one, query=query: service.vocode(one, query), mels))
            for one, answer in zip(mels, answers, strict=True):
                reference = own(torch.from_numpy(one)[None])[0, 0].numpy()
                found = samples(answer)
                assert found.shape == reference.shape
                assert np.abs(found - reference).max() < 1e-4
                assert answer[1]["x-vocoder-backend"] == "eager"
        metrics = service.service.metrics
        assert metrics.value("vocoder_batch_items_sum") > metrics.value("vocoder_batch_items_count")
        audio_s = sum(one.shape[1] for one in mels) * UPSAMPLE / 24_000
        assert metrics.value("vocoder_audio_seconds_total", mode="stream") == pytest.approx(audio_s)
        assert metrics.value("vocoder_request_seconds_count", mode="whole") == len(mels)
        assert metrics.value("vocoder_audio_ttfp_seconds_count", mode="stream") == len(mels)
        assert b'vocoder_info{backend="eager",case="v3-eager-fp32-b1-t16"' in service.get("/metrics")[1]


@pytest.mark.usefixtures("planted")
def test_pcm16_is_the_default() -> None:
    """WAV as players take it, within a step."""
    with running() as service:
        status, headers, body = service.vocode(mel(40), "")
    assert (status, headers["content-type"]) == (200, "audio/wav")
    assert "run;dur=" in headers["server-timing"]
    assert np.abs(decode(body[44:], "pcm16") - echo(mel(40))).max() <= 1 / 32767


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(
    ("query", "body", "media_type", "status"),
    [
        ("", b"", "application/json", 415),
        ("", b"junk", "application/x-npy", 400),
        ("", npy(np.zeros((80, 3), np.float32)), "application/x-npy; version=1", 422),
        ("", npy(mel(101)), "application/x-npy", 413),
        ("", b"x" * 90_000, "application/x-npy", 413),
        ("mode=both", npy(mel(3)), "application/x-npy", 422),
        ("chunk_s=nan", npy(mel(3)), "application/x-npy", 422),
        ("chunk_s=0", npy(mel(3)), "application/x-npy", 422),
    ],
)
def test_a_wrong_request_is_told_why(query: str, body: bytes, media_type: str, status: int) -> None:
    """A sentence with a status of the client's, and the next request is answered."""
    limits = RequestLimits(body_bytes=80_000, frames=100)
    with running(ServeSettings(ENGINE, processes=False, limits=limits)) as service:
        found, headers, answer = service.request(
            "POST", f"/v1/vocode?{query}", body, {"Content-Type": media_type} if media_type else {}
        )
        assert found == status
        assert headers["content-type"] == "application/json"
        assert b'"detail"' in answer
        assert np.array_equal(samples(service.vocode(mel(4))), echo(mel(4)))
        assert service.get("/v1/vocode")[0] == 405
        assert service.get("/nothing")[0] == 404


def test_a_huge_body_without_a_length_is_cut_off(planted: list[Planted]) -> None:
    """Chunks that never end are read up to the limit only."""
    limits = RequestLimits(body_bytes=50_000)
    with running(ServeSettings(ENGINE, processes=False, limits=limits)) as service:
        head = "POST /v1/vocode HTTP/1.1\nHost: x\nContent-Type: application/x-npy\nTransfer-Encoding: chunked\n\n"
        connection = service.open(head)
        chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
        for _ in range(7):
            connection.sendall(chunk)
        assert b" 413 " in connection.recv(1000)
        connection.close()
        until(lambda: service.service.admission.inside == 0)
    assert not planted[0].batches


@pytest.mark.usefixtures("planted")
def test_a_slow_body_is_given_up() -> None:
    """408 after the limit; meanwhile others are answered, and its place is free afterwards."""
    limits = RequestLimits(body_s=0.3)
    with running(ServeSettings(ENGINE, processes=False, limits=limits)) as service:
        head = "POST /v1/vocode HTTP/1.1\nHost: x\nContent-Type: application/x-npy\nContent-Length: 5000\n\n"
        connection = service.open(head, b"\x93NUM")
        until(lambda: service.service.admission.inside == 1)
        assert np.array_equal(samples(service.vocode(mel(4))), echo(mel(4)))
        assert b" 408 " in connection.recv(1000)
        connection.close()
        assert service.service.admission.inside == 0


def busy(service: Running, worker: Planted) -> socket.socket:
    """A request that holds the worker until its gate opens."""
    worker.gate.clear()
    connection = service.post_by_hand(mel(40), "encoding=float32")
    until(lambda: worker.batches)
    return connection


def inside(service: Running, count: int) -> bool:
    """Whether so many requests are inside."""
    return service.service.admission.inside == count


def test_a_full_service_says_when_to_come_again(planted: list[Planted]) -> None:
    """503 with Retry-After over the places in all, 429 over those of one client; then all is as before."""
    for limits, status in ((RequestLimits(queue=2), 503), (RequestLimits(client=2), 429)):
        planted.clear()
        with running(ServeSettings(ENGINE, processes=False, limits=limits)) as service:
            first = busy(service, planted[0])
            second = service.post_by_hand(mel(41, 1), "encoding=float32")
            until(partial(inside, service, 2))
            found, headers, _ = service.vocode(mel(42))
            assert (found, headers["retry-after"]) == (status, "1")
            assert service.get("/readyz")[0] == 200
            planted[0].gate.set()
            for connection in (first, second):
                assert b" 200 " in connection.recv(1 << 20)
                connection.close()
            until(partial(inside, service, 0))
            assert np.array_equal(samples(service.vocode(mel(42, 2))), echo(mel(42, 2)))
            assert service.service.metrics.value("vocoder_requests_total", mode="whole", code=status) == 1


def test_a_request_that_waits_too_long(planted: list[Planted]) -> None:
    """503 with Retry-After, and its item never runs."""
    limits = RequestLimits(request_s=0.3)
    with running(ServeSettings(ENGINE, processes=False, limits=limits)) as service:
        connection = busy(service, planted[0])
        found, headers, body = service.vocode(mel(50))
        assert (found, headers["retry-after"]) == (503, "1")
        assert b"within 0.3 s" in body
        planted[0].gate.set()
        connection.close()
        until(lambda: service.service.admission.inside == 0)
    assert planted[0].batches == [[40]]


@pytest.mark.parametrize("query", ["", "mode=stream&chunk_s=0.1"])
def test_a_client_that_leaves_frees_its_place(planted: list[Planted], query: str) -> None:
    """The waiting item is gone before the worker is free, is counted as 499, and never runs."""
    with running() as service:
        connection = busy(service, planted[0])
        leaving = service.post_by_hand(mel(77), query)
        until(lambda: service.pool.replicas[0].waiting)
        leaving.close()
        until(lambda: not service.pool.replicas[0].waiting)
        until(lambda: service.service.admission.inside == 1)
        planted[0].gate.set()
        assert b" 200 " in connection.recv(1 << 20)
        connection.close()
        mode = "stream" if query else "whole"
        assert service.service.metrics.value("vocoder_requests_total", mode=mode, code=499) == 1
    assert planted[0].batches == [[40]]


def test_a_client_that_leaves_a_stream_ends_it(planted: list[Planted]) -> None:
    """Chunks that nobody hears are not vocoded, and the place is free."""
    with running() as service:
        connection = service.post_by_hand(mel(4000), "mode=stream&chunk_s=0.02&encoding=float32")
        planted[0].fails = lambda _: time.sleep(0.005)
        assert b" 200 " in connection.recv(1 << 12)
        connection.close()
        until(lambda: service.service.admission.inside == 0)
        assert len(planted[0].batches) < 2000
        until(lambda: service.service.metrics.value("vocoder_requests_total", mode="stream", code=499) == 1)


def test_a_worker_that_raises_is_the_service_s_fault(planted: list[Planted]) -> None:
    """500 with the worker's sentence; in a stream that has begun, an end that the client can tell from a whole one."""

    def fail(mels: Sequence[Samples]) -> None:
        if len(planted[0].batches) != 2:
            raise RuntimeError(f"planted for {len(mels)}")

    with running() as service:
        planted[0].fails = fail
        status, _, body = service.vocode(mel(40))
        assert (status, body) == (500, b'{"detail":"RuntimeError: planted for 1"}')
        connection = service.post_by_hand(mel(100), "mode=stream&chunk_s=0.5")
        data = b""
        while part := connection.recv(1 << 16):
            data += part
        connection.close()
        assert b" 200 " in data
        assert not data.endswith(b"0\r\n\r\n")
        until(lambda: service.service.admission.inside == 0)
        assert service.service.metrics.value("vocoder_requests_total", mode="stream", code=500) == 1


def test_the_end_finishes_what_was_taken(planted: list[Planted]) -> None:
    """A request that runs and one that waits are answered in full after the service was told to end."""
    with running() as service:
        connections = [busy(service, planted[0]), service.post_by_hand(mel(41, 1), "encoding=float32")]
        until(lambda: service.pool.replicas[0].waiting)
        ending = threading.Thread(target=service.stop)
        ending.start()
        until(lambda: not _listens(service.port))
        planted[0].gate.set()
        for connection, given in zip(connections, (mel(40), mel(41, 1)), strict=True):
            data = b""
            while part := connection.recv(1 << 16):
                data += part
            connection.close()
            assert np.array_equal(np.frombuffer(data[-given.shape[1] * UPSAMPLE * 4 :], "<f4"), echo(given))
        ending.join()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_answers_are_sent_at_once() -> None:
    """Connections have no Nagle's algorithm, which would hold an answer's end back until the client acknowledges."""

    async def accepted() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner = writer.get_extra_info("socket")
            found.set_result(inner.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with bind("127.0.0.1", 0) as listening:
            async with await asyncio.start_server(connected, sock=listening):
                _, writer = await asyncio.open_connection(*listening.getsockname())
                value = await found
                writer.close()
                await writer.wait_closed()
        return value

    assert asyncio.run(accepted())
