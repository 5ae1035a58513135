"""What a backend is, and the one registry of them.

A backend is one file in :mod:`bench.backends` with one class under :func:`register`. Nothing else names it: suites,
sweeps, records and reports ask :func:`bench.backends.backends`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.case import Case
from bench.engine_cache import EngineCache
from bench.precision import Precision
from bench.records.schema import Build, EffectivePrecision
from bench.vocoders import Vocoder


@dataclass(frozen=True)
class Request:
    """What a backend is asked to prepare.

    Attributes:
        vocoder: float32, eval mode, on the CPU; shared by cases, so it must not be changed.
        case: What to run.
        precision: The case's precision.
        mel: The case's input, float32 ``(batch, bands, frames)`` on ``device``.
        device: Where to run.
        weights_sha256: Digest of the weights; what is kept on disk is kept under it.
        engine_cache: Where built engines are kept; None to keep none.
    """

    vocoder: Vocoder
    case: Case
    precision: Precision
    mel: Tensor
    device: torch.device
    weights_sha256: str = ""
    engine_cache: EngineCache | None = None


@dataclass(frozen=True)
class Runner:
    """A vocoder ready to run, and what it cost to get.

    Attributes:
        run: ``(batch, bands, frames)`` mel of ``dtype`` on the device to ``(batch, 1, samples)``. It may
            return without waiting for the GPU, and may reuse its output's memory at the next call.
        dtype: Data type of the mel that ``run`` takes.
        build: Seconds and sizes; ``Build.seconds`` is filled in by the caller.
        effective: Checks, by an untimed call, what precision is in effect; raises ``WrongOutputError``
            when it is not the label's.
        takes: Whether ``run`` takes a shape ``(batch, bands, frames)`` other than the case's.
        synchronous: Whether ``run`` returns only when its work on a GPU is done, so that the time until it returns says
            nothing about launching.
        alone: Whether its calls change what other runners of the process meet, so that none is timed in turn with it.
        close: Gives back memory that would outlive the runner; called once, after which ``run`` may not be called.
    """

    run: Callable[[Tensor], Tensor]
    dtype: torch.dtype
    build: Build
    effective: Callable[[Tensor], EffectivePrecision]
    takes: Callable[[tuple[int, ...]], bool] = lambda _: False
    close: Callable[[], None] = lambda: None
    synchronous: bool = False
    alone: bool = False


class Backend(ABC):
    """One way of running a vocoder.

    Attributes:
        name: As in case ids and on the command line.
        options: Names of the options that ``--backends name:option=value`` may set.
        keeps_engines: Whether what it builds is kept in the engine cache.
        on_request: Whether a sweep runs it only where a grid or the command line names it, because a case takes minutes
            to prepare.
    """

    name: str
    options: tuple[str, ...] = ()
    keeps_engines = False
    on_request = False

    @abstractmethod
    def unavailable_reason(self, device: torch.device, /) -> str | None:
        """Why this backend cannot run on ``device`` here, in one sentence; None when it can."""

    def check(self, _: Case, /) -> None:  # noqa: B027 - most backends have no options to be wrong
        """Looks at a case's options before anything runs.

        Raises:
            InputError: a value that an option does not have.
        """

    def static_baseline(self, _: Case, /, *, anywhere: bool = True) -> Case | None:  # noqa: ARG002 - few have one
        """For a case that is ready for a range of shapes: the same case built for its own shape alone.

        Args:
            anywhere: Whether also away from the shape that the range is tuned for.
        """
        return None

    @abstractmethod
    def prepare(self, request: Request) -> Runner:
        """Turns a vocoder into a runner.

        Raises:
            UnsupportedError: the backend runs here, but not this case.
            WrongOutputError: what was built is not what the label says.
        """


REGISTRY: dict[str, Backend] = {}


def register(backend: type[Backend]) -> type[Backend]:
    """Class decorator that adds a backend under its ``name``."""
    REGISTRY[backend.name] = backend()
    return backend
