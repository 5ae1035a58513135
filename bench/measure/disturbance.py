"""What disturbs a measurement: a throttled GPU, a low clock, other processes.

A watch looks between rounds, at most every fifth of a second, and says what disturbed the time since it last looked.
What a system does not tell disturbs nothing.
"""

import os
import time
from abc import ABC, abstractmethod
from pathlib import Path

import psutil
import pynvml
import torch

from bench.measure.nvml import READING_INTERVAL_S, GpuMonitor, ask
from bench.records.kinds.speed import GpuState

# Share of the default clock under which a sample is not used, as in nvbench's throttle check; and of the processor's
# time that the process asked for.
LEAST_SHARE = 0.75
# What slows a GPU for heat or a fault. A card at its power limit is a card at work.
THROTTLED = {
    pynvml.nvmlClocksThrottleReasonHwSlowdown: "the GPU was throttled (hw_slowdown)",
    pynvml.nvmlClocksThrottleReasonSwThermalSlowdown: "the GPU was throttled (sw_thermal)",
    pynvml.nvmlClocksThrottleReasonHwThermalSlowdown: "the GPU was throttled (hw_thermal)",
    pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown: "the GPU was throttled (hw_power_brake)",
}
LOW_CLOCK = "the GPU's clock was under 75 % of its default"
OTHER_PROCESS = "another process was on the GPU"
LOADED_HOST = "other work took the host's processors"
LOW_FREQUENCY = "the processors' frequency was under 75 % of its maximum"


class Disturbances(ABC):
    """Looks at a device between rounds."""

    @abstractmethod
    def look(self) -> frozenset[str] | None:
        """What disturbed the time since the last look; None where it is too early to look again."""

    def summary(self) -> GpuState | None:
        """The GPU meanwhile; None on a CPU."""
        return None


def disturbances_of(device: torch.device) -> Disturbances:
    """The watch of a device."""
    return GpuDisturbances(device) if device.type == "cuda" else CpuDisturbances()


class GpuDisturbances(Disturbances):
    """By NVML.

    Args:
        device: The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._monitor = GpuMonitor(device)
        handle = self._monitor.handle
        default = ask("nvmlDeviceGetDefaultApplicationsClock", handle, pynvml.NVML_CLOCK_SM)
        self._default_mhz = default or ask("nvmlDeviceGetMaxClockInfo", handle, pynvml.NVML_CLOCK_SM)
        self._own = own_processes()

    def look(self) -> frozenset[str] | None:
        """Throttling, a low clock, another process."""
        reading = self._monitor.read()
        if reading is None:
            return None
        found = {name for reason, name in THROTTLED.items() if reading.reasons & reason}
        if self._default_mhz and reading.sm_mhz and reading.sm_mhz < LEAST_SHARE * self._default_mhz:
            found.add(LOW_CLOCK)
        if self._others():
            found.add(OTHER_PROCESS)
        return frozenset(found)

    def _others(self) -> bool:
        """Whether a process that is none of the sweep's computes there; not known where NVML does not name our own."""
        listed = ask("nvmlDeviceGetComputeRunningProcesses", self._monitor.handle) or ()
        running = {process.pid for process in listed}
        if os.getpid() not in running:
            return False
        if running - self._own:
            # A worker of the sweep may have come since.
            self._own = own_processes()
        return bool(running - self._own)

    def summary(self) -> GpuState | None:
        """All readings in one; None without NVML."""
        return self._monitor.summary()


def own_processes() -> frozenset[int]:
    """Processes of the sweep: this one, its children, and where it is a worker its parent and that one's children."""
    own = psutil.Process()
    found = {own.pid, *(child.pid for child in own.children(recursive=True))}
    parent = own.parent()
    if parent is not None and own.pid == os.getsid(0):
        # A worker leads a session of its own.
        found |= {parent.pid, *(child.pid for child in parent.children(recursive=True))}
    return frozenset(found)


class CpuDisturbances(Disturbances):
    """By the scheduler's account of this process's threads, and by the processors' frequency.

    Args:
        tasks: Where Linux keeps that account.
    """

    def __init__(self, tasks: Path = Path("/proc/self/task")) -> None:
        self._tasks = tasks
        self._next = 0.0
        self._last = self._account()

    def look(self) -> frozenset[str] | None:
        """Threads that were ready and had to wait, a low frequency."""
        if time.monotonic() < self._next:
            return None
        self._next = time.monotonic() + READING_INTERVAL_S
        now, before = self._account(), self._last
        self._last = now
        ran, waited = (later - earlier for later, earlier in zip(now, before, strict=True))
        found = set()
        if waited > 0 and ran < LEAST_SHARE * (ran + waited):
            found.add(LOADED_HOST)
        frequency = psutil.cpu_freq()
        if frequency and frequency.max and frequency.current < LEAST_SHARE * frequency.max:
            found.add(LOW_FREQUENCY)
        return frozenset(found)

    def _account(self) -> tuple[int, int]:
        """Nanoseconds that the threads ran, and that they were ready and waited; zeros where the system keeps none."""
        ran = waited = 0
        try:
            for account in self._tasks.glob("*/schedstat"):
                own = account.read_text(encoding="ascii").split()
                ran, waited = ran + int(own[0]), waited + int(own[1])
        except (OSError, ValueError, IndexError):
            return 0, 0
        return ran, waited


def busy_processors(seconds: float = 0.3) -> tuple[float, int] | None:
    """How many of the processors that this process may use other work keeps busy, and how many there are.

    Args:
        seconds: How long to look; this process does nothing meanwhile.

    Returns:
        None where it is less than a quarter of them.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    shares = psutil.cpu_percent(seconds, percpu=True)
    busy = sum(share for number, share in enumerate(shares) if number in allowed) / 100
    return (busy, len(allowed)) if busy > (1 - LEAST_SHARE) * len(allowed) else None
