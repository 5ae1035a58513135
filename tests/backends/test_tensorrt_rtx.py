"""TensorRT-RTX runs where its card is, and says what its engines ran in."""

import sys

import pytest
import torch

from bench.backends.tensorrt_rtx import TensorRtRtx
from bench.errors import WrongOutputError
from bench.trt.library import import_library
from tests.trt.fake_tensorrt import FULL, Install, layer
from tests.trt.requests import FRAMES, request

library, _reason = import_library("tensorrt_rtx")


@pytest.mark.skipif(library is None, reason=f"{_reason} pip install -e '.[rtx]'")
def test_running_needs_a_card_that_it_supports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU, and on one of another compute capability, the reason is one sentence."""
    backend = TensorRtRtx()
    assert "needs an NVIDIA GPU to run on" in str(backend.unavailable_reason(torch.device("cpu")))
    for capability, runs in {(9, 0): False, (8, 6): True, (12, 0): True}.items():
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
        reason = backend.unavailable_reason(torch.device("cuda:0"))
        assert reason is None if runs else "does not run on compute capability 9.0" in str(reason)


def test_rtx_may_keep_its_kernels_to_itself(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine of TensorRT-RTX that shows no convolution stands by its strongly typed graph; one that does is read."""
    rtx = install("11.0.0")
    rtx.__name__ = "tensorrt_rtx"
    rtx.tensor_type = "HALF"
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", rtx)
    rtx.layers = ["a layer's name"]
    runner = TensorRtRtx().prepare(request("tensorrt-rtx", "fp16"))
    assert rtx.config.timing is None
    effective = runner.effective(torch.randn(1, 100, FRAMES).half())
    assert effective.compute == "float16"
    assert "strongly typed" in effective.evidence
    rtx.layers = [layer("Convolution", FULL)]
    with pytest.raises(WrongOutputError, match="labelled fp16, but its convolutions ran in float32"):
        TensorRtRtx().prepare(request("tensorrt-rtx", "fp16")).effective(torch.randn(1, 100, FRAMES).half())
