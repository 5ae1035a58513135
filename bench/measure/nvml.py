"""What NVML says of a GPU: clocks, heat, power, throttling, memory. Without NVML there are blanks."""

import os
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pynvml
import torch

from bench.records.kinds.speed import SET_CLOCKS, GpuState

# Between readings; a reading takes a fraction of a millisecond and is made outside timed spans.
READING_INTERVAL_S = 0.2

_REASONS = {
    "sw_power_cap": "nvmlClocksThrottleReasonSwPowerCap",
    "hw_slowdown": "nvmlClocksThrottleReasonHwSlowdown",
    "sw_thermal": "nvmlClocksThrottleReasonSwThermalSlowdown",
    "hw_thermal": "nvmlClocksThrottleReasonHwThermalSlowdown",
    "hw_power_brake": "nvmlClocksThrottleReasonHwPowerBrakeSlowdown",
    SET_CLOCKS: "nvmlClocksThrottleReasonApplicationsClocksSetting",
    "sync_boost": "nvmlClocksThrottleReasonSyncBoost",
}


@cache
def _start() -> None:
    """Starts NVML; failures are not kept, so that the next question tries again."""
    pynvml.nvmlInit()


def nvml_handle(device: torch.device) -> Any | None:
    """NVML's handle of a torch device, found by UUID so that CUDA_VISIBLE_DEVICES does not matter."""
    if device.type != "cuda":
        return None
    try:
        _start()
        uuid = str(torch.cuda.get_device_properties(device).uuid)
        return pynvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
    except pynvml.NVMLError:
        return None


def ask(function: str, *arguments: Any) -> Any | None:
    """One NVML query by name; None where the GPU, the driver or the container does not answer it.

    NVML is started by whoever asks first: an answer must not depend on what was asked before.
    """
    try:
        _start()
        return getattr(pynvml, function)(*arguments)
    except (pynvml.NVMLError, AttributeError):
        return None


def process_bytes(handle: Any) -> int | None:
    """GPU memory of this process; None where NVML does not see it, as in most containers."""
    for process in ask("nvmlDeviceGetComputeRunningProcesses", handle) or ():
        if process.pid == os.getpid() and process.usedGpuMemory is not None:
            return int(process.usedGpuMemory)
    return None


def used_bytes(handle: Any) -> int | None:
    """Memory in use on the whole GPU, by anyone."""
    memory = ask("nvmlDeviceGetMemoryInfo", handle)
    return None if memory is None else int(memory.used)


@dataclass(frozen=True)
class Reading:
    """What NVML said at one moment; None where it did not answer."""

    sm_mhz: int | None
    memory_mhz: int | None
    celsius: int | None
    watts: float | None
    reasons: int


class GpuMonitor:
    """Collects readings between rounds.

    Args:
        device: Any torch device; without NVML it collects nothing.
    """

    def __init__(self, device: torch.device) -> None:
        self.handle = nvml_handle(device)
        self.readings: list[Reading] = []
        self._next = 0.0

    def read(self) -> Reading | None:
        """Takes a reading and returns it, if the last one is old enough."""
        if self.handle is None or time.monotonic() < self._next:
            return None
        self._next = time.monotonic() + READING_INTERVAL_S
        power_mw = ask("nvmlDeviceGetPowerUsage", self.handle)
        self.readings.append(
            Reading(
                sm_mhz=ask("nvmlDeviceGetClockInfo", self.handle, pynvml.NVML_CLOCK_SM),
                memory_mhz=ask("nvmlDeviceGetClockInfo", self.handle, pynvml.NVML_CLOCK_MEM),
                celsius=ask("nvmlDeviceGetTemperature", self.handle, pynvml.NVML_TEMPERATURE_GPU),
                watts=None if power_mw is None else power_mw / 1000,
                reasons=ask("nvmlDeviceGetCurrentClocksThrottleReasons", self.handle) or 0,
            )
        )
        return self.readings[-1]

    def summary(self) -> GpuState | None:
        """All readings in one; None without any."""
        if not self.readings:
            return None
        clocks = [r.sm_mhz for r in self.readings if r.sm_mhz is not None]
        watts = [r.watts for r in self.readings if r.watts is not None]
        celsius = [r.celsius for r in self.readings if r.celsius is not None]
        seen = 0
        for reading in self.readings:
            seen |= reading.reasons
        names = [name for name, constant in _REASONS.items() if seen & getattr(pynvml, constant)]
        return GpuState(
            sm_clock_median_mhz=int(np.median(clocks)) if clocks else None,
            sm_clock_min_mhz=min(clocks) if clocks else None,
            memory_clock_mhz=self.readings[-1].memory_mhz,
            temperature_max_c=max(celsius) if celsius else None,
            power_mean_w=round(float(np.mean(watts)), 1) if watts else None,
            throttle_reasons=tuple(names),
            readings=len(self.readings),
        )
