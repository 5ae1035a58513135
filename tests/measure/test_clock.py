"""What each clock calls a duration."""

import time

import pytest
import torch

from bench.measure.clock import CudaEventClock, WallClock


class Hours:
    """A host's clock that stands still until told to move, and a GPU that is done so much later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, gpu_s: float) -> None:
        self.now = 100.0
        self.log: list[str] = []
        hours = self

        class Event:
            """A stand-in for a CUDA event."""

            def __init__(self, enable_timing: bool) -> None:
                assert enable_timing

            def record(self) -> None:
                hours.log.append("record")

            def synchronize(self) -> None:
                hours.log.append("wait")
                hours.now += gpu_s

            def elapsed_time(self, _other: "Event") -> float:
                return 24.0

        monkeypatch.setattr("bench.measure.clock.time.perf_counter", lambda: self.now)
        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "synchronize", lambda _device: self.log.append("idle"))

    def call(self) -> torch.Tensor:
        """An inference that takes five milliseconds to launch."""
        self.log.append("call")
        self.now += 0.005
        return torch.zeros(1)


def test_launching_ends_when_the_call_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU is idle before; launching is told from waiting; the device's time is that between the events."""
    hours = Hours(monkeypatch, gpu_s=0.02)
    duration = CudaEventClock(torch.device("cuda:0")).time_ms(hours.call)
    assert hours.log == ["idle", "record", "call", "record", "wait"]
    assert (duration.device_ms, duration.host_ms, duration.launch_ms) == pytest.approx((24.0, 25.0, 5.0))


def test_on_a_processor_a_call_returns_when_its_work_is_done() -> None:
    """There is one figure, which is how long the call took."""
    began = time.perf_counter()
    duration = WallClock().time_ms(lambda: torch.zeros(1))
    assert 0 < duration.device_ms == duration.host_ms == duration.launch_ms <= 1000 * (time.perf_counter() - began)
