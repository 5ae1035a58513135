"""A device is tried out before anything runs on it."""

import pynvml
import pytest
import torch

from bench.errors import InputError
from bench.measure import nvml as gpu
from bench.run.device import find_device


def pretend(monkeypatch: pytest.MonkeyPatch, gpus: int) -> None:
    """Lets PyTorch see that many GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)


def test_the_first_gpu_else_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name it is the first GPU, and the CPU where there is none."""
    pretend(monkeypatch, 0)
    assert find_device(None) == torch.device("cpu")
    pretend(monkeypatch, 2)
    assert find_device(None) == torch.device("cuda:0")
    assert find_device("cuda") == torch.device("cuda:0")
    assert find_device("cuda:1") == torch.device("cuda:1")
    assert find_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "gpus", "message"),
    [
        ("cuda:7", 0, "device cuda:7 is not here: PyTorch sees no CUDA GPU"),
        ("cuda", 0, "device cuda is not here: PyTorch sees no CUDA GPU"),
        ("cuda:1", 1, "device cuda:1 is not here: PyTorch sees 1 CUDA GPU;"),
        ("cuda:2", 2, "device cuda:2 is not here: PyTorch sees 2 CUDA GPUs;"),
        ("cuda:-1", 2, "unknown device 'cuda:-1'"),
        ("cuda:x", 2, "unknown device 'cuda:x'"),
        ("cpu:0", 0, "unknown device 'cpu:0'"),
        ("tpu", 0, "unknown device 'tpu'"),
        ("", 0, "unknown device ''"),
    ],
)
def test_devices_that_are_not_here(monkeypatch: pytest.MonkeyPatch, name: str, gpus: int, message: str) -> None:
    """A device that does not exist is one sentence that says what there is."""
    pretend(monkeypatch, gpus)
    with pytest.raises(InputError) as caught:
        find_device(name)
    assert str(caught.value).startswith(message)


def test_the_driver_is_the_same_whoever_asks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVML answers only after its start: the first question starts it, and one without a driver tries again."""
    state = {"installed": False, "started": False}

    def start() -> None:
        if not state["installed"]:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
        state["started"] = True

    def driver() -> str:
        if not state["started"]:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        return "580.95"

    monkeypatch.setattr(pynvml, "nvmlInit", start)
    monkeypatch.setattr(pynvml, "nvmlSystemGetDriverVersion", driver)
    gpu._start.cache_clear()
    try:
        assert gpu.ask("nvmlSystemGetDriverVersion") is None
        state["installed"] = True
        assert gpu.ask("nvmlSystemGetDriverVersion") == "580.95"
        assert gpu.ask("nvmlNoSuchQuestion") is None
    finally:
        gpu._start.cache_clear()
