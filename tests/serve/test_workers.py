"""Engines in this process and in one of their own, which may be killed."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.errors import InputError, UnsupportedError
from bench.serve.engine import Facts
from bench.serve.settings import EngineSettings, ServeSettings
from bench.serve.workers import LocalWorker, ProcessWorker, WorkerDiedError, _serve, default_threads
from tests.serve.running import CASE, Running, mel, running, samples, until
from tests.serve.small import network


@pytest.fixture(scope="module")
def engine(small_weights: str) -> EngineSettings:
    """A small v3."""
    return EngineSettings(CASE, weights=(small_weights,), engine_cache="off")


@pytest.fixture(scope="module")
def service(engine: EngineSettings) -> Iterator[Running]:
    """Two workers in processes of their own."""
    with running(ServeSettings(engine, devices=("cpu", "cpu"))) as found:
        until(lambda: all(replica.facts for replica in found.pool.replicas), 60)
        yield found


def test_a_killed_worker_loses_nothing(service: Running) -> None:
    """One of two is killed under load: every request has its own answer, and two workers are ready again."""
    own, mels = network(), [mel(60 + index, index) for index in range(24)]
    replicas = service.pool.replicas
    worker = replicas[0].worker
    assert isinstance(worker, ProcessWorker)
    pid = worker.pid
    assert pid is not None
    with ThreadPoolExecutor(8) as clients, torch.inference_mode():
        answers = [clients.submit(service.vocode, one) for one in mels]
        until(lambda: replicas[0].running)
        os.kill(pid, signal.SIGKILL)
        for one, answer in zip(mels, answers, strict=True):
            reference = own(torch.from_numpy(one)[None])[0, 0].numpy()
            assert np.abs(samples(answer.result()) - reference).max() < 1e-4
    until(lambda: replicas[0].facts is not None, 60)
    assert worker.pid != pid
    assert service.service.metrics.value("vocoder_worker_restarts_total", worker="0") == 1
    assert b'"workers_ready":2' in service.get("/readyz")[1]


def test_a_hung_worker_is_replaced(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that takes longer than any may is done by another worker, and the worker starts anew."""
    replicas = service.pool.replicas
    worker = replicas[1].worker
    assert isinstance(worker, ProcessWorker)
    monkeypatch.setattr("bench.serve.workers.RUN_LIMIT_S", 1.0)
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(4) as clients:
        for answer in list(clients.map(service.vocode, [mel(40 + index) for index in range(4)])):
            assert samples(answer).any()
    until(lambda: worker.pid != pid)


def test_what_is_raised_in_the_process_is_raised_here(engine: EngineSettings) -> None:
    """Errors of the user's keep their type over the pipe, others their sentence; a closed pipe ends the process."""
    ours, theirs = multiprocessing.Pipe()
    _serve(theirs, replace(engine, weights=("no-such",)))
    kind, (name, sentence) = ours.recv()
    assert (kind, name) == ("error", "InputError")
    assert "no-such" in sentence
    serving = threading.Thread(target=_serve, args=(theirs, engine))
    serving.start()
    worker = ProcessWorker(engine)
    worker._pipe = ours
    assert isinstance(worker._receive(), Facts)
    with pytest.raises(RuntimeError, match="expected input"):
        worker.run([mel(40)[:50]])
    assert worker.run([mel(40)]).waves[0].shape == (40 * 256,)
    worker.close()
    serving.join(20)
    with pytest.raises(WorkerDiedError, match="not started"):
        worker.run([mel(40)])


def test_a_shape_that_the_backend_does_not_take(engine: EngineSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error, or eager's where that was allowed, and the output says which."""
    from bench.backends.eager import Eager

    real = Eager.prepare
    monkeypatch.setattr(Eager, "prepare", lambda self, asked: replace(real(self, asked), takes=lambda _: False))
    worker = LocalWorker(engine)
    worker.start()
    with pytest.raises(UnsupportedError, match=r"does not take the shape \(1, 100, 40\)"):
        worker.run([mel(40)])
    worker.close()
    allowed = LocalWorker(replace(engine, fallback=True))
    assert allowed.start().case == CASE.id
    own, other = allowed.run([mel(16)]), allowed.run([mel(40)])
    assert (own.fallback, other.fallback, other.backend) == (False, True, "eager")
    allowed.close()
    with pytest.raises(WorkerDiedError):
        allowed.run([mel(16)])


def test_weights_that_are_not_there(engine: EngineSettings) -> None:
    """The user's mistake is one."""
    with pytest.raises(InputError, match="no-such"):
        LocalWorker(replace(engine, weights=("no-such",))).start()


def test_threads_are_shared_out() -> None:
    """All workers together take the processors once, and each takes one at least."""
    count = os.cpu_count() or 1
    assert default_threads(1) == count
    assert default_threads(10 * count) == 1


def test_engines_of_one_process_are_made_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's profiler, which looks at each engine's precision, takes down a process that starts it twice at once."""
    inside, overlaps = threading.Semaphore(1), []

    def make(_: EngineSettings) -> None:
        overlaps.append(not inside.acquire(blocking=False))
        time.sleep(0.02)
        inside.release()
        raise InputError("made")

    monkeypatch.setattr("bench.serve.workers.Engine", make)

    def start(_: int) -> None:
        with pytest.raises(InputError, match="made"):
            LocalWorker(EngineSettings(CASE)).start()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(start, range(4)))
    assert overlaps == [False] * 4
