"""Clocks: how long one inference takes.

On a GPU a sample is the time between two CUDA events around the call, on its stream, with the GPU idle
before; the host's wall time from call to synchronised return is kept beside it, and the part of it until the
call returned, with its work queued. On a CPU all three are the wall time. Where launching takes nearly as long
as the whole, the call is launch-bound, which the events do not tell: a CUDA graph helps there,
and a faster kernel does not.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Duration(NamedTuple):
    """Milliseconds of one call.

    Attributes:
        device_ms: By the device's clock.
        host_ms: By the host's, until the work is done.
        launch_ms: By the host's, until the call returns.
    """

    device_ms: float
    host_ms: float
    launch_ms: float


class Clock(ABC):
    """Times one call at a time."""

    name: str

    @abstractmethod
    def time_ms(self, call: Callable[[], Tensor]) -> Duration:
        """Runs ``call`` once and waits until its work is done."""

    @abstractmethod
    def synchronize(self) -> None:
        """Waits until the device has nothing left to do."""


class WallClock(Clock):
    """The host's clock, for devices that finish before they return."""

    name = "wall"

    def time_ms(self, call: Callable[[], Tensor]) -> Duration:
        """All figures are the wall time."""
        start = time.perf_counter()
        call()
        elapsed = (time.perf_counter() - start) * 1000
        return Duration(elapsed, elapsed, elapsed)

    def synchronize(self) -> None:
        """Nothing to wait for."""


class CudaEventClock(Clock):
    """CUDA events on the current stream.

    Args:
        device: The GPU.
    """

    name = "cuda-event"

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.start = torch.cuda.Event(enable_timing=True)  # PyTorch's annotations end here
        self.end = torch.cuda.Event(enable_timing=True)  # PyTorch's annotations end here

    def time_ms(self, call: Callable[[], Tensor]) -> Duration:
        """Device time between two events around the call, and the wall time until it is done and until it returns."""
        torch.cuda.synchronize(self.device)
        began = time.perf_counter()
        self.start.record()
        call()
        self.end.record()
        launched = time.perf_counter()
        self.end.synchronize()
        done = time.perf_counter()
        return Duration(self.start.elapsed_time(self.end), (done - began) * 1000, (launched - began) * 1000)

    def synchronize(self) -> None:
        """Waits for every stream of the GPU."""
        torch.cuda.synchronize(self.device)


def clock_for(device: torch.device) -> Clock:
    """The clock that tells the truth on ``device``."""
    return CudaEventClock(device) if device.type == "cuda" else WallClock()
