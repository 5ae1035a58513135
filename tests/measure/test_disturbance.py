"""What disturbs a measurement is seen where it is planted, and nowhere else."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pynvml
import pytest
import torch

from bench.measure import disturbance, nvml
from bench.measure.disturbance import (
    LOADED_HOST,
    LOW_CLOCK,
    LOW_FREQUENCY,
    OTHER_PROCESS,
    CpuDisturbances,
    GpuDisturbances,
    busy_processors,
    disturbances_of,
    own_processes,
)

THERMAL = pynvml.nvmlClocksThrottleReasonHwThermalSlowdown
POWER = pynvml.nvmlClocksThrottleReasonSwPowerCap
SET = pynvml.nvmlClocksThrottleReasonApplicationsClocksSetting
ME = os.getpid()


def look(
    monkeypatch: pytest.MonkeyPatch, *, reasons: int = 0, mhz: int = 1980, pids: tuple[int, ...] = (ME,)
) -> frozenset[str] | None:
    """What a watch says of a GPU whose default clock is 1980 MHz."""
    answers: dict[str, Any] = {
        "nvmlDeviceGetPowerUsage": 300_000,
        "nvmlDeviceGetClockInfo": mhz,
        "nvmlDeviceGetTemperature": 60,
        "nvmlDeviceGetCurrentClocksThrottleReasons": reasons,
        "nvmlDeviceGetDefaultApplicationsClock": 1980,
        "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=pid) for pid in pids],
    }
    for module in (nvml, disturbance):
        monkeypatch.setattr(module, "ask", lambda function, *_: answers[function])
    monkeypatch.setattr(nvml, "nvml_handle", lambda _: object())
    return GpuDisturbances(torch.device("cuda:0")).look()


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ({}, set()),
        ({"reasons": THERMAL}, {"the GPU was throttled (hw_thermal)"}),
        ({"reasons": POWER | SET}, set()),
        ({"mhz": 1490}, set()),
        ({"mhz": 1480}, {LOW_CLOCK}),
        ({"pids": (ME, 1)}, {OTHER_PROCESS}),
        ({"pids": (1, 2)}, set()),
        ({"mhz": 345, "reasons": THERMAL}, {LOW_CLOCK, "the GPU was throttled (hw_thermal)"}),
    ],
)
def test_a_gpu_is_disturbed_by_heat_a_low_clock_and_others(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, Any], found: set[str]
) -> None:
    """A card at its power limit or at set clocks is at work; a list without our own process tells nothing."""
    assert set(look(monkeypatch, **state) or ()) == found


def test_a_watch_does_not_look_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two readings there is nothing to say, which is not the same as nothing found."""
    watch = CpuDisturbances()
    assert watch.look() is not None
    assert watch.look() is None
    assert disturbances_of(torch.device("cpu")).summary() is None
    monkeypatch.setattr(psutil, "cpu_freq", lambda: SimpleNamespace(current=1400.0, max=3000.0))
    time.sleep(0.25)
    assert LOW_FREQUENCY in (watch.look() or ())


def test_the_sweep_s_own_processes_disturb_nobody() -> None:
    """A process that this one started is the sweep's own."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert {ME, child.pid} <= own_processes()
        child.communicate(b"\n")
    assert 1 not in own_processes()


def account(folder: Path, ran: int, waited: int) -> None:
    """The scheduler's account of one thread, as Linux writes it."""
    (folder / "7").mkdir(exist_ok=True)
    (folder / "7" / "schedstat").write_text(f"{ran} {waited} 5\n", encoding="ascii")


@pytest.mark.parametrize(("ran", "waited", "loaded"), [(80, 20, False), (70, 30, True), (0, 0, False)])
def test_a_cpu_is_loaded_where_threads_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: int, waited: int, loaded: bool
) -> None:
    """Threads that got less than 75 % of the time that they were ready for were disturbed by other work."""
    monkeypatch.setattr(psutil, "cpu_freq", lambda: None)
    account(tmp_path, 1000, 1000)
    watch = CpuDisturbances(tmp_path)
    account(tmp_path, 1000 + ran, 1000 + waited)
    assert set(watch.look() or ()) == ({LOADED_HOST} if loaded else set())


def test_a_system_without_accounts_disturbs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not told is not found."""
    monkeypatch.setattr(psutil, "cpu_freq", lambda: None)
    assert CpuDisturbances(tmp_path / "none").look() == frozenset()


def test_busy_processors_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only processors that this process may use count, and a quarter of them may be busy."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(psutil, "cpu_percent", lambda *_, **__: [90.0, 100.0, 100.0])
    assert busy_processors(0) == (1.9, 2)
    monkeypatch.setattr(psutil, "cpu_percent", lambda *_, **__: [30.0, 20.0, 100.0])
    assert busy_processors(0) is None
