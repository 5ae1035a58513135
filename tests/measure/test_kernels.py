"""A profile counts kernels, their overlap once, and gives each layer the kernels that it launched."""

import pytest
import torch

from bench.measure.kernels import LAYER, mark_layers, read_trace, trace
from bench.measure.work import layers
from tests.conftest import small_v3

CPU = torch.device("cpu")


def _event(
    name: str, category: str, begin: float, duration: float, correlation: int | None = None
) -> dict[str, object]:
    args = {} if correlation is None else {"correlation": correlation}
    return {"ph": "X", "name": name, "cat": category, "ts": begin, "dur": duration, "tid": 1, "args": args}


EVENTS = [
    _event(LAYER + "conv_pre", "user_annotation", 0, 50),
    _event("aten::conv1d", "cpu_op", 5, 40),
    _event("cudaLaunchKernel", "cuda_runtime", 10, 5, 1),
    _event("cudaLaunchKernel", "cuda_runtime", 20, 5, 2),
    _event("cudaLaunchKernel", "cuda_runtime", 60, 5, 3),
    # Two kernels that overlap, a gap, and one that no layer launched.
    _event("wgrad", "kernel", 100, 400, 1),
    _event("bias", "kernel", 300, 400, 2),
    _event("copy", "gpu_memcpy", 900, 100, 3),
    _event(LAYER + "conv_pre", "gpu_user_annotation", 100, 600),
]


def test_kernels_of_a_gpu() -> None:
    """Overlap counts once for the busy share and twice for the kernels; a layer has what it launched."""
    found = read_trace(EVENTS, calls=1)
    assert found.count == 3
    # 600 of 900 microseconds in two kernels, 100 in the copy.
    assert found.busy_percent == pytest.approx(100 * 700 / 900)
    assert [(kernel.name, kernel.ms) for kernel in found.kernels] == [("wgrad", 0.4), ("bias", 0.4), ("copy", 0.1)]
    assert found.layers_ms == {"conv_pre": pytest.approx(0.8)}


def test_figures_are_of_one_call() -> None:
    """Two profiled calls halve counts and times."""
    found = read_trace(EVENTS, calls=2)
    assert found.count == 1.5
    assert found.kernels[0].ms == pytest.approx(0.2)
    assert found.layers_ms == {"conv_pre": pytest.approx(0.4)}


def test_a_network_on_the_processor() -> None:
    """Every layer of a real network has a time, operators count once, and there is no busy share."""
    model = small_v3(resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]])
    names = [layer.name for layer in layers(model, 1, 2)]
    mark_layers(model, names)
    mel = torch.randn(1, 100, 2)
    with torch.inference_mode():
        found = trace(lambda: model(mel), CPU, calls=2)
    assert set(found.layers_ms) == set(names)
    assert all(ms > 0 for ms in found.layers_ms.values())
    assert found.busy_percent is None
    assert any(kernel.name == "aten::conv1d" for kernel in found.kernels)
    assert not any(kernel.name == "aten::_convolution" for kernel in found.kernels)
