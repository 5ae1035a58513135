"""Native TensorRT where there is no GPU, or no TensorRT."""

import sys
from types import ModuleType

import pytest

from bench.backends.tensorrt_onnx import TensorRtOnnx
from tests.trt.fake_tensorrt import FakeTensorRt
from tests.trt.requests import CPU, CUDA, FailingImport


def test_no_gpu_is_one_sentence() -> None:
    """On a CPU it says what it needs."""
    assert TensorRtOnnx().unavailable_reason(CPU) == "TensorRT needs an NVIDIA GPU."


def test_what_is_not_installed_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing TensorRT, a broken one and one that is there are told apart."""
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    missing = ModuleNotFoundError(name="tensorrt")
    monkeypatch.setattr(sys, "meta_path", [FailingImport("tensorrt", missing), *sys.meta_path])
    assert TensorRtOnnx().unavailable_reason(CUDA) == "tensorrt is not installed."
    for error in (Exception("libnvinfer.so.11 is missing\nmore"), AssertionError("libnvinfer.so.11 is missing")):
        monkeypatch.setattr(sys, "meta_path", [FailingImport("tensorrt", error), *sys.meta_path[1:]])
        assert TensorRtOnnx().unavailable_reason(CUDA) == "tensorrt cannot be imported: libnvinfer.so.11 is missing"
    monkeypatch.setitem(sys.modules, "tensorrt", FakeTensorRt("10.15.1"))
    assert TensorRtOnnx().unavailable_reason(CUDA) is None


def test_bindings_without_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty tensorrt package is not taken for TensorRT."""
    monkeypatch.setitem(sys.modules, "tensorrt", ModuleType("tensorrt"))
    assert TensorRtOnnx().unavailable_reason(CUDA) == "tensorrt is installed without its libraries."
