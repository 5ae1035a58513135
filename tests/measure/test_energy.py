"""Energy comes from the steps of the GPU's counter, and there is none without enough of them."""

import pytest
import torch

from bench.measure import energy as module
from bench.measure.energy import energy, measure_energy


def _readings(watts: float, seconds: float, begin: float = 0.03) -> list[tuple[float, int]]:
    """What a counter shows that moves every 100 ms and is read every 4, from a time within a step."""
    step_s, every_s = 0.1, 0.004
    times = [begin + every_s * index for index in range(int(seconds / every_s))]
    return [(time, int(1000 * watts * step_s * int(time / step_s + 1e-9))) for time in times]


def test_an_even_load_has_its_own_power() -> None:
    """500 W at 250 s of audio a second are 2 J a second of audio, to the reading's grain of 4 ms in a second."""
    found = energy(_readings(500.0, 1.2), audio_s_per_s=250.0)
    assert found is not None
    assert found.watts == pytest.approx(500.0, rel=0.01)
    assert found.joules_per_audio_second == pytest.approx(2.0, rel=0.01)
    assert found.steps >= 10
    assert found.window_s == pytest.approx(0.1 * found.steps, rel=0.01)


def test_the_ends_of_the_window_do_not_count() -> None:
    """A counter read just before a step, over the whole window, would be a tenth off; steps alone are not."""
    readings = _readings(400.0, 0.82, begin=0.09)
    whole = (readings[-1][1] - readings[0][1]) / 1000 / (readings[-1][0] - readings[0][0])
    found = energy(readings, 100.0)
    assert found is not None
    assert abs(whole - 400.0) > 20.0
    assert found.watts == pytest.approx(400.0, rel=0.01)


@pytest.mark.parametrize("readings", [[], [(0.0, 5)], _readings(400.0, 0.5), [(0.01 * i, 7) for i in range(200)]])
def test_too_few_steps_are_no_energy(readings: list[tuple[float, int]]) -> None:
    """Half a second, or a counter that stands still, says nothing."""
    assert energy(readings, 100.0) is None


def test_a_processor_has_no_counter() -> None:
    """On a CPU nothing is run for it."""

    def call() -> None:
        raise AssertionError("a call was made for nothing")

    assert measure_energy(call, torch.device("cpu"), 0.1, 1.0) is None


def test_a_card_without_the_counter_is_blank(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that does not answer is asked once."""
    asked: list[str] = []
    monkeypatch.setattr(module, "nvml_handle", lambda _: object())
    monkeypatch.setattr(module, "ask", lambda name, _: asked.append(name))
    assert measure_energy(lambda: None, torch.device("cuda:0"), 0.1, 1.0) is None
    assert asked == ["nvmlDeviceGetTotalEnergyConsumption"]
