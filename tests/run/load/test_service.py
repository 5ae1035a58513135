"""The service as a process, from its start to its end."""

import asyncio
import sys
from collections.abc import Sequence

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from bench.case import Case
from bench.cli import build_parser
from bench.errors import UnsupportedError
from bench.run.load import service
from bench.run.load.check import Checker
from bench.run.settings import Settings
from bench.spec import V3
from tests.serve.running import mel
from tests.serve.small import network

CASE = Case("v3", "eager", "fp32", 1, 16)


def references(mels: Sequence[NDArray[np.float32]]) -> Checker:
    """What the small network makes of the mels."""
    import torch

    with torch.inference_mode():
        return Checker([network()(torch.from_numpy(one)[None])[0, 0].numpy() for one in mels])


def test_a_process_is_asked_and_ends(small_weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are right, whole and in chunks; memory and batches are counted; nothing is left behind."""
    real = service.command
    monkeypatch.setattr(service, "command", lambda *given, **options: [*real(*given, **options), "--in-process"])
    mels = [mel(70, 1), mel(70, 2)]
    checker = references(mels)
    settings = Settings("run", weights=(small_weights,), engine_cache="off")

    earlier = psutil.Process().children(recursive=True)

    async def scene() -> list[psutil.Process]:
        async with service.service(CASE, settings, mels, V3, checker, batching=True) as client:
            assert await client.alone(0) > 0
            await client.alone(1)
            whole, stream = await asyncio.gather(client.whole(0), client.stream(1))
            assert (whole.status, whole.right, whole.chunks) == (200, True, ())
            assert stream.right
            assert sum(audio_s for _, audio_s in stream.chunks) == pytest.approx(70 * 256 / 24_000)
            assert len(stream.chunks) >= 2
            # Asked for one, compared with the other: no answer passes for another's.
            checker.references.reverse()
            checker._seen.clear()
            assert not (await client.whole(0)).right
            memory = await client.memory()
            assert memory.rss_bytes > 10**8
            assert memory.gpu_bytes is None
            assert (await client.batch_items())[0] >= 6
            return [child for child in psutil.Process().children(recursive=True) if child not in earlier]

    started = asyncio.run(scene())
    assert started
    assert psutil.wait_procs(started, timeout=10)[1] == []


def test_a_process_that_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last line is the reason."""
    failing = [sys.executable, "-c", "import sys; sys.exit('planted reason')"]
    monkeypatch.setattr(service, "command", lambda *_, **__: failing)

    async def scene() -> None:
        async with service.service(CASE, Settings("run"), [], V3, Checker([]), batching=True):
            pass

    with pytest.raises(UnsupportedError, match="planted reason"):
        asyncio.run(scene())


def test_the_command_says_what_the_run_has() -> None:
    """Device, weights, seed, threads and cache; batches only where they are wanted."""
    settings = Settings("run", device="cpu", weights=("a", "b"), seed=7, threads=3, engine_cache="off")
    found = build_parser().parse_args(service.command(CASE, settings, batching=False)[3:])
    assert (found.case, found.devices, found.weights, found.seed, found.threads) == (CASE.id, "cpu", "a,b", 7, 3)
    assert (found.engine_cache, found.batch_frames, found.host) == ("off", 0, "127.0.0.1")
    again = build_parser().parse_args(service.command(CASE, settings, batching=True)[3:])
    assert again.batch_frames > 0
