"""Clocks: how long one inference takes.

On a GPU a sample is the time between two CUDA events around the call, on its stream, with the GPU idle
before; the host's wall time from call to synchronised return is kept beside it. On a CPU both are the wall
time. The difference is what the host pays to launch: where it is large, a CUDA graph helps and a faster
kernel does not.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor


class Clock(ABC):
    """Times one call at a time."""

    name: str

    @abstractmethod
    def time_ms(self, call: Callable[[], Tensor]) -> tuple[float, float]:
        """Runs ``call`` once; returns the device's and the host's milliseconds."""

    @abstractmethod
    def synchronize(self) -> None:
        """Waits until the device has nothing left to do."""


class WallClock(Clock):
    """The host's clock, for devices that finish before they return."""

    name = "wall"

    def time_ms(self, call: Callable[[], Tensor]) -> tuple[float, float]:
        """Both figures are the wall time."""
        start = time.perf_counter()
        call()
        elapsed = (time.perf_counter() - start) * 1000
        return elapsed, elapsed

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
        self.start = torch.cuda.Event(enable_timing=True)
        self.end = torch.cuda.Event(enable_timing=True)

    def time_ms(self, call: Callable[[], Tensor]) -> tuple[float, float]:
        """Device time between two events around the call, and the wall time until it is done."""
        torch.cuda.synchronize(self.device)
        began = time.perf_counter()
        self.start.record()
        call()
        self.end.record()
        self.end.synchronize()
        host = (time.perf_counter() - began) * 1000
        return self.start.elapsed_time(self.end), host

    def synchronize(self) -> None:
        """Waits for every stream of the GPU."""
        torch.cuda.synchronize(self.device)


def clock_for(device: torch.device) -> Clock:
    """The clock that tells the truth on ``device``."""
    return CudaEventClock(device) if device.type == "cuda" else WallClock()
