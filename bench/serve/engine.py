"""One vocoder on one device, ready to vocode lists of mels: what a worker, a thread or a Ray replica holds."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.backends import find_backend
from bench.chunking import receptive_field
from bench.errors import UnsupportedError
from bench.run.session import Prepared, Session
from bench.run.settings import Settings
from bench.serve.batching import vocode_batch
from bench.serve.settings import EngineSettings

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Facts:
    """What is served.

    Attributes:
        case: Its id.
        weights: Name and digest of the weights.
        sample_rate, upsample, bands, halo: Of the vocoder; see :mod:`bench.spec` and :mod:`bench.chunking`.
        precision: The data type that convolutions were seen to compute in.
    """

    case: str
    weights: str
    sample_rate: int
    upsample: int
    bands: int
    halo: int
    precision: str


@dataclass(frozen=True)
class Output:
    """What one batch became.

    Attributes:
        waves: float32 ``(samples,)`` each, in the order of the mels.
        backend: What ran: the case's backend, or ``"eager"`` where that stood in for it.
        fallback: Whether it stood in.
        gpu_bytes: GPU memory that PyTorch holds on the device; None on a CPU.
    """

    waves: list[Samples]
    backend: str
    fallback: bool
    gpu_bytes: int | None


class Engine:
    """A prepared runner, used by one thread at a time.

    Args:
        settings: What to run.

    Raises:
        InputError: the weights or the options cannot be used.
        UnsupportedError: the backend cannot run the case here.
        WrongOutputError: what was built is not what the case says.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.settings, self._case = settings, settings.case
        with ExitStack() as stack:
            session = Session(
                Settings(
                    "serve",
                    device=settings.device,
                    weights=settings.weights,
                    seed=settings.seed,
                    threads=settings.threads,
                    engine_cache=settings.engine_cache,
                )
            )
            self._session = stack.enter_context(session)
            backend = find_backend(self._case.backend)
            reason = backend.unavailable_reason(session.device)
            if reason is not None:
                raise UnsupportedError(f"{self._case.backend} cannot run on {settings.device}: {reason}")
            backend.check(self._case)
            self._prepared = stack.enter_context(session.open(self._case))
            self._eager: Prepared | None = None
            with session.active(self._case):
                seen = self._prepared.runner.effective(self._prepared.mel)
            vocoder, weights = session.vocoder(self._case.version), session.weights(self._case.version)
            self.facts = Facts(
                case=self._case.id,
                weights=f"{weights.name}, sha256 {weights.sha256[:12]}",
                sample_rate=vocoder.spec.sample_rate,
                upsample=vocoder.spec.upsample,
                bands=vocoder.spec.bands,
                halo=receptive_field(vocoder).halo,
                precision=str(seen.compute),
            )
            self._stack = stack.pop_all()

    def run(self, mels: Sequence[Samples]) -> Output:
        """Vocodes mels together, each to the waveform that it has alone.

        Args:
            mels: float32 ``(bands, frames)`` each, as :func:`bench.serve.batching.choose_batch` puts them together.

        Raises:
            UnsupportedError: a shape that the backend does not take, where eager may not stand in.
        """
        device, fallback = self._session.device, False

        def call(batch: Tensor) -> Tensor:
            nonlocal fallback
            prepared = self._prepared
            shape = tuple(batch.shape)
            if shape != tuple(prepared.mel.shape) and not prepared.runner.takes(shape):
                prepared, fallback = self._stand_in(shape), True
            return prepared.runner.run(batch.to(prepared.runner.dtype)).float()

        with self._session.active(self._case):
            tensors = [torch.from_numpy(mel).to(device) for mel in mels]
            facts = self.facts
            waves = vocode_batch(call, tensors, facts.halo, facts.upsample, self.settings.step_frames)
            found = [wave.cpu().numpy() for wave in waves]
        gpu_bytes = torch.cuda.memory_reserved(device) if device.type == "cuda" else None
        return Output(found, "eager" if fallback else self._case.backend, fallback, gpu_bytes)

    def _stand_in(self, shape: tuple[int, ...]) -> Prepared:
        if not self.settings.fallback:
            raise UnsupportedError(
                f"{self._case.id} does not take the shape {shape}: serve a backend that does, or allow --fallback"
            )
        if self._eager is None:
            self._eager = self._stack.enter_context(self._session.open(self._case.baseline(self._case.precision)))
        return self._eager

    def close(self) -> None:
        """Gives the memory back."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
