"""A real local Ray, started once: the service's replicas, a sweep's cases and a folder of mels on it."""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from bench.case import Case
from bench.cli import main
from bench.cluster import find_ray
from bench.errors import InputError
from bench.measure.sampling import StopRule
from bench.records.schema import Status
from bench.run.isolation import About
from bench.run.job import Kind
from bench.run.limits import Limits
from bench.run.ray_cases import RayCases
from bench.run.settings import Settings
from bench.serve.settings import BatchLimits, EngineSettings, RequestLimits, ServeSettings
from bench.serve.wav import decode, encode, header
from tests.local_ray import RAY_WARNINGS, local_ray
from tests.serve.running import CASE, UPSAMPLE, Running, Samples, mel, npy, until
from tests.serve.small import checkpoint, network

pytestmark = [pytest.mark.filterwarnings(line) for line in RAY_WARNINGS]
EAGER = Case("v3", "eager", "fp32", 1, 2)
LONG = Case("v3", "eager", "fp32", 1, 4000)
STOP = StopRule(min_rounds=6, max_rounds=6, min_time_s=0.001, relative_width=0.5, time_limit_s=5.0)


def test_without_ray_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is an extra; nothing else needs it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"--ray needs Ray: pip install .*\[ray\]"):
        find_ray("--ray")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a small checkpoint of v3."""
    return checkpoint(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """A cluster of this machine."""
    pytest.importorskip("ray", reason='Ray is an extra: pip install "gpt-sovits-vocoder-bench[ray]"')
    with local_ray():
        yield


@pytest.fixture(scope="module")
def service(ray: None, weights: str) -> Iterator[Running]:  # noqa: ARG001 - Ray runs meanwhile
    """A service of two replicas on the processor."""
    engine = EngineSettings(CASE, weights=(weights,), engine_cache="off")
    settings = ServeSettings(
        engine,
        devices=("cpu", "cpu"),
        ray=True,
        batch=BatchLimits(frames=400, wait_s=0.02, padding=0.5),
        limits=RequestLimits(frames=3000),
    )
    running = Running(settings)
    until(lambda: running.service.dispatcher.workers == (2, 2), 90)
    yield running
    running.stop()


@pytest.mark.usefixtures("ray")
def test_a_case_of_a_sweep(weights: str, tmp_path: Path) -> None:
    """It is done by a worker, whose record comes back."""
    settings = Settings("run", str(tmp_path), weights=(weights,), engine_cache="off", stop=STOP)
    cases = RayCases(settings, Limits(case_s=100), About())
    try:
        # A build takes the least time of what a worker does.
        cases.expect([(Kind.BUILD, EAGER)])
        record = cases.perform(Kind.BUILD, EAGER)
    finally:
        cases.close()
    assert (record.case, record.status) == (EAGER, Status.OK), record.reason
    assert record.build is not None
    assert (record.run_id, record.device, record.seed) == ("run", "cpu", 0)
    assert record.environment["versions"]


@pytest.mark.usefixtures("ray")
def test_the_end_of_a_sweep_ends_what_runs(weights: str, tmp_path: Path) -> None:
    """A worker of a case that nobody waits for any more is gone."""
    stop = replace(STOP, time_limit_s=100.0, max_rounds=1000)
    cases = RayCases(
        Settings("run", str(tmp_path), weights=(weights,), engine_cache="off", stop=stop), Limits(), About()
    )
    assert not workers()
    cases.expect([(Kind.SPEED, LONG)])
    until(workers, 60)
    cases.close()
    until(lambda: not workers(), 20)


def workers() -> list[int]:
    """Worker processes of cases."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if any("bench.run.worker_process" in word for word in child.cmdline()):
                found.append(child.pid)
        except psutil.Error:
            continue
    return found


@pytest.mark.usefixtures("ray")
def test_a_folder_of_mels(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not there, cut or wrong is done, each the network's own sound; a whole WAV is kept as it is."""
    mels, out = tmp_path / "mels", tmp_path / "out"
    for folder in (mels, out):
        folder.mkdir()
    given = {f"{index}.npy": mel(40 + 9 * index, index) for index in range(5)}
    for name, one in given.items():
        (mels / name).write_bytes(npy(one))
    (mels / "junk.npy").write_bytes(b"junk")
    kept = header(24_000, "float32", 7) + encode(np.zeros(7, np.float32), "float32")
    (out / "0.wav").write_bytes(kept)
    (out / "1.wav").write_bytes(kept[:-1])
    command = ["vocode", CASE.id, str(mels), str(out), "--device=cpu", "--encoding=float32"]
    command += [f"--weights={weights}", "--engine-cache=off"]
    assert main(command) == 1
    told = capsys.readouterr()
    assert told.out.startswith("4 written: ")
    assert told.out.endswith("1 kept, 1 failed\n")
    assert f"{mels / 'junk.npy'}: the body is no npy file" in told.err
    assert (out / "0.wav").read_bytes() == kept
    names = [name for name in given if name != "0.npy"]
    for name, reference in zip(names, references([given[name] for name in names]), strict=True):
        found = decode((out / name).with_suffix(".wav").read_bytes()[44:], "float32")
        assert np.abs(found - reference).max() < 1e-4
    (mels / "junk.npy").unlink()
    # Nothing is left to do, so that no engine is made: the weights are not looked at.
    assert main([*command[:-2], f"--weights={tmp_path / 'none'}"]) == 0
    assert capsys.readouterr().out.endswith("5 kept, 0 failed\n")


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
    assert samples(service.vocode(mel(40))).shape == (40 * UPSAMPLE,)
