"""The service with replicas in a real local Ray: the same answers, and what becomes of requests when a replica dies."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from bench.serve.settings import BatchLimits, EngineSettings, RequestLimits, ServeSettings
from tests.local_ray import RAY_WARNINGS, local_ray
from tests.serve.running import CASE, UPSAMPLE, Running, Samples, mel, npy, until
from tests.serve.small import network

pytest.importorskip("ray", reason='Ray is an extra: pip install "gpt-sovits-vocoder-bench[ray]"')
pytestmark = [pytest.mark.filterwarnings(line) for line in RAY_WARNINGS]


@pytest.fixture(scope="module")
def service(small_weights: str) -> Iterator[Running]:
    """Two replicas on this machine's processor."""
    engine = EngineSettings(CASE, weights=(small_weights,), engine_cache="off")
    settings = ServeSettings(
        engine,
        devices=("cpu", "cpu"),
        ray=True,
        batch=BatchLimits(frames=400, wait_s=0.02, padding=0.5),
        limits=RequestLimits(frames=3000),
    )
    with local_ray():
        running = Running(settings)
        until(lambda: running.service.dispatcher.workers == (2, 2), 90)
        yield running
        running.stop()


def samples(answer: tuple[int, dict[str, str], bytes]) -> Samples:
    """The samples of a float32 answer."""
    assert answer[0] == 200, answer[2]
    return np.frombuffer(answer[2][44:], "<f4")


def references(mels: list[Samples]) -> list[Samples]:
    """The network's own waveform of each mel."""
    own = network()
    with torch.inference_mode():
        return [own(torch.from_numpy(one)[None])[0, 0].numpy() for one in mels]


def replicas() -> dict[str, int]:
    """Process ids of the replicas that run."""
    from ray.serve.context import _get_global_client

    found: dict[str, Any] = _get_global_client().get_serve_details()["applications"]["vocoder-bench"]
    [deployment] = found["deployments"].values()
    return {one["replica_id"]: one["pid"] for one in deployment["replicas"] if one["state"] == "RUNNING"}


def test_each_client_has_its_own_sound(service: Running) -> None:
    """Whole and streamed, alone and in batches, both replicas answer what the network says; a long mel runs alone."""
    mels = [mel(frames, frames) for frames in (5, 61, 70, 70, 80, 93, 120, 9, 500)] * 2
    wanted = references(mels)
    with ThreadPoolExecutor(9) as clients:
        for query in ("encoding=float32", "encoding=float32&mode=stream&chunk_s=0.5"):
            answers = list(clients.map(lambda one, query=query: service.vocode(one, query), mels))
            for answer, reference in zip(answers, wanted, strict=True):
                assert np.abs(samples(answer) - reference).max() < 1e-4
    metrics = service.service.metrics
    seconds = [metrics.value("vocoder_batch_seconds_count", worker=name) for name in replicas()]
    assert min(seconds) > 0
    assert sum(seconds) == metrics.value("vocoder_batch_items_count") < metrics.value("vocoder_batch_items_sum")
    assert all(metrics.value("vocoder_worker_ready", worker=name, device="cpu") == 1 for name in replicas())


def test_a_wrong_request_is_told_why(service: Running) -> None:
    """The limits are those of the service without Ray."""
    assert service.vocode(mel(3001))[0] == 413
    assert service.vocode(mel(40)[:50])[0] == 422
    assert service.request("POST", "/v1/vocode", b"junk", {"Content-Type": "application/x-npy"})[0] == 400


def test_a_client_that_leaves_frees_its_place(service: Running) -> None:
    """It is counted as 499; what it waited for does not run, and the next one is answered."""
    with ThreadPoolExecutor(2) as clients:
        busy = [clients.submit(service.vocode, mel(3000, seed)) for seed in range(2)]
        until(lambda: service.service.admission.inside == 2)
        leaving = [service.post_by_hand(mel(2999, seed)) for seed in range(2)]
        until(lambda: service.service.admission.inside == 4)
        for connection in leaving:
            connection.close()
        until(lambda: service.service.admission.inside <= 2)
        assert [one.result()[0] for one in busy] == [200, 200]
    metrics = service.service.metrics
    assert metrics.value("vocoder_requests_total", mode="whole", code=499) == 2
    frames = metrics.value("vocoder_batch_frames_sum")
    assert samples(service.vocode(mel(40))).shape == (40 * UPSAMPLE,)
    assert metrics.value("vocoder_batch_frames_sum") == frames + 40


def test_a_replica_that_dies(service: Running) -> None:
    """Requests that it had are answered by the other one, each with its own sound; then two are ready again."""
    mels = [mel(1000 + seed, seed) for seed in range(8)]
    wanted, before = references(mels), replicas()
    name, pid = next(iter(before.items()))
    with ThreadPoolExecutor(8) as clients:
        answers = clients.map(service.vocode, mels)
        until(lambda: service.service.admission.inside == 8)
        os.kill(pid, signal.SIGKILL)
        for answer, reference in zip(answers, wanted, strict=True):
            assert np.abs(samples(answer) - reference).max() < 1e-4
    metrics = service.service.metrics
    until(lambda: metrics.value("vocoder_worker_restarts_total", worker=name) == 1, 30)
    until(lambda: service.service.dispatcher.workers == (2, 2), 90)
    assert name not in replicas()
    assert npy(mel(3))
    assert samples(service.vocode(mel(40))).shape == (40 * UPSAMPLE,)
