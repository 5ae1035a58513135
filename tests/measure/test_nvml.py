"""What NVML says of a GPU, in the words that reports read."""

from pathlib import Path

import pynvml
import pytest
import torch

from bench.case import Case
from bench.measure import nvml
from bench.measure.nvml import GpuMonitor
from bench.records.run import load_run
from bench.records.schema import GpuState
from bench.report.notes import warnings_of
from tests.synthetic_records import speed_record, write_run

SET = pynvml.nvmlClocksThrottleReasonApplicationsClocksSetting
HOT = pynvml.nvmlClocksThrottleReasonSwThermalSlowdown


def state_of(monkeypatch: pytest.MonkeyPatch, reasons: list[int]) -> GpuState:
    """The summary of readings with these reasons, one after the other."""
    answers = {
        "nvmlDeviceGetPowerUsage": 300_500,
        "nvmlDeviceGetClockInfo": 1200,
        "nvmlDeviceGetTemperature": 60,
    }
    left = list(reasons)

    def ask(function: str, *_: object) -> int:
        return left.pop(0) if function == "nvmlDeviceGetCurrentClocksThrottleReasons" else answers[function]

    monkeypatch.setattr(nvml, "nvml_handle", lambda _: object())
    monkeypatch.setattr(nvml, "ask", ask)
    monkeypatch.setattr(nvml, "READING_INTERVAL_S", 0.0)
    monitor = GpuMonitor(torch.device("cuda:0"))
    for _ in reasons:
        monitor.read()
    state = monitor.summary()
    assert state is not None
    return state


@pytest.mark.parametrize(
    ("reasons", "names", "warned"),
    [
        ([0, 0], (), False),
        ([SET, SET], ("applications_clocks",), False),
        ([SET, HOT], ("sw_thermal", "applications_clocks"), True),
    ],
)
def test_a_gpu_at_set_clocks_is_not_throttled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reasons: list[int], names: tuple[str, ...], warned: bool
) -> None:
    """Clocks that somebody set are named in the record, and the report warns of what slows a GPU beyond them only."""
    state = state_of(monkeypatch, reasons)
    assert state.throttle_reasons == names
    assert (state.readings, state.power_mean_w, state.sm_clock_min_mhz) == (2, 300.5, 1200)
    record = speed_record(Case("v3", "eager", "fp32", 1, 9), gpu_state=state)
    assert any("throttled" in warning for warning in warnings_of(load_run(write_run(tmp_path, [record])))) == warned


def test_no_readings_are_no_state() -> None:
    """A device without NVML has none."""
    monitor = GpuMonitor(torch.device("cpu"))
    monitor.read()
    assert monitor.summary() is None
