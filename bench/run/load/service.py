"""The service as the load suite meets it: a process of its own on loopback, asked over HTTP."""

import asyncio
import io
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import numpy as np
import psutil
from numpy.typing import NDArray

from bench.case import Case
from bench.errors import UnsupportedError
from bench.records.kinds.load import MemoryPoint
from bench.run.load.check import Checker
from bench.run.load.outcomes import Reply
from bench.run.settings import Settings
from bench.run.worker import kill_tree
from bench.spec import VocoderSpec

# A service whose engine has to be built is waited for as long as its process lives.
_LOOK_S = 0.05
_LEAVE_S = 30.0
_MOST_WAITING = 100_000


class Client:
    """Asks one service, checks every answer, and looks at the service's memory.

    Args:
        session: Of HTTP.
        url: Where the service listens.
        process: The service's.
        mels: float32 ``(bands, frames)`` of every utterance.
        spec: Of the vocoder.
        checker: Knows the answers.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        process: "subprocess.Popen[bytes]",
        mels: Sequence[NDArray[np.float32]],
        spec: VocoderSpec,
        checker: Checker,
    ) -> None:
        self._session, self._url, self._process, self._spec, self.checker = session, url, process, spec, checker
        self._bodies = [_npy(mel) for mel in mels]
        self._started = time.monotonic()

    async def alone(self, item: int) -> float:
        """One request without load, which later ones are held against; returns its seconds.

        Raises:
            UnsupportedError: the backend does not take the length.
            WrongOutputError: it is not the utterance's sound.
        """
        began = time.monotonic()
        async with self._post(item, "whole") as answer:
            body = await answer.read()
            if answer.status != 200:
                raise UnsupportedError(f"the service answers {answer.status}: {body[:300].decode(errors='replace')}")
        seconds = time.monotonic() - began
        self.checker.alone(item, body)
        return seconds

    async def whole(self, item: int) -> Reply:
        """Asks for an utterance in one piece."""
        return await self._ask(item, "whole")

    async def stream(self, item: int) -> Reply:
        """Asks for an utterance as it is made."""
        return await self._ask(item, "stream")

    async def batch_items(self) -> tuple[float, float]:
        """Requests, and inferences, that the service counted since it began."""
        text = await self._metrics()
        return _value(text, "vocoder_batch_items_sum"), _value(text, "vocoder_batch_items_count")

    async def inference_s(self) -> tuple[float, float]:
        """Seconds in inferences, and their number, that the service counted since it began, over all workers."""
        text = await self._metrics()
        found = [
            re.findall(rf"^vocoder_batch_seconds_{end}\{{.*\}} (\S+)$", text, re.MULTILINE) for end in ("sum", "count")
        ]
        return sum(map(float, found[0])), sum(map(float, found[1]))

    async def memory(self) -> MemoryPoint:
        """Memory now."""
        gpu = re.findall(r"^vocoder_gpu_memory_bytes\{.*\} (\S+)$", await self._metrics(), re.MULTILINE)
        processes = [psutil.Process(self._process.pid)]
        processes += processes[0].children(recursive=True)
        rss = 0
        for process in processes:
            try:
                rss += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return MemoryPoint(time.monotonic() - self._started, rss, round(sum(map(float, gpu))) if gpu else None)

    def _post(self, item: int, mode: str) -> "aiohttp.client._RequestContextManager":
        headers = {"Content-Type": "application/x-npy"}
        return self._session.post(f"{self._url}/v1/vocode?mode={mode}", data=self._bodies[item], headers=headers)

    async def _ask(self, item: int, mode: str) -> Reply:
        clock = asyncio.get_running_loop().time
        chunks: list[tuple[float, float]] = []
        body = bytearray()
        try:
            async with self._post(item, mode) as answer:
                async for data in answer.content.iter_any():
                    # The header is no sound.
                    sound = len(data) if body else max(0, len(data) - 44)
                    body += data
                    if sound:
                        chunks.append((clock(), sound / 2 / self._spec.sample_rate))
                status = answer.status
        except (aiohttp.ClientError, OSError):
            return Reply(0)
        if status != 200:
            return Reply(status)
        audio_s = max(0, len(body) - 44) / 2 / self._spec.sample_rate
        right = self.checker.right(item, bytes(body))
        return Reply(status, right, audio_s, tuple(chunks) if mode == "stream" else ())

    async def _metrics(self) -> str:
        async with self._session.get(f"{self._url}/metrics") as answer:
            return await answer.text()


@asynccontextmanager
async def service(
    case: Case,
    settings: Settings,
    mels: Sequence[NDArray[np.float32]],
    spec: VocoderSpec,
    checker: Checker,
    *,
    batching: bool,
) -> AsyncIterator[Client]:
    """A service of its own process, and a client of it; the process ends with the block.

    Args:
        case: What is served.
        settings: Device, weights, seed, threads and engine cache.
        mels: As :class:`Client`.
        spec: Of the vocoder.
        checker: Knows the answers.
        batching: Whether requests are put together.

    Raises:
        UnsupportedError: the service ended before it was ready; the sentence is its own.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command(case, settings, batching=batching), stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        try:
            assert process.stdout is not None  # noqa: S101 - narrows the type
            line = (await asyncio.to_thread(process.stdout.readline)).decode()
            limits = aiohttp.ClientTimeout(total=None)
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=limits) as session:
                url = line.split()[-1] if line else ""
                while not url or not await _ready(session, url):
                    if process.poll() is not None or not url:
                        errors.seek(0)
                        last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
                        raise UnsupportedError(f"the service ended before it was ready: {' '.join(last)}")
                    await asyncio.sleep(_LOOK_S)
                yield Client(session, url, process, mels, spec, checker)
        finally:
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, _LEAVE_S)
            except subprocess.TimeoutExpired:
                kill_tree(process)
            if process.stdout is not None:
                process.stdout.close()


def command(case: Case, settings: Settings, *, batching: bool) -> list[str]:
    """The command line of the service: nothing is refused, so that what saturates is the vocoder."""
    words = [sys.executable, "-m", "bench", "serve", case.id, "--port=0", f"--devices={settings.device}"]
    words += [f"--threads={settings.threads}", f"--seed={settings.seed}", f"--queue-limit={_MOST_WAITING}"]
    words += [f"--client-limit={_MOST_WAITING}", "--request-limit-s=600"]
    if settings.weights:
        words.append(f"--weights={','.join(settings.weights)}")
    if settings.engine_cache is not None:
        words.append(f"--engine-cache={settings.engine_cache}")
    return words if batching else [*words, "--batch-frames=0"]


async def _ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/readyz") as answer:
            if answer.status == 200:
                return True
            reason = (await answer.json())["detail"]
    except aiohttp.ClientError:
        return False
    if "no worker is ready yet" not in reason:
        raise UnsupportedError(reason)
    return False


def _value(text: str, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def _npy(mel: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    np.save(file, mel)
    return file.getvalue()
