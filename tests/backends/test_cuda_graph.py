"""The cuda-graph backend: eager's own kernels, replayed."""

from dataclasses import replace

import pytest
import torch

from bench.backends.cuda_graph import CudaGraph
from bench.errors import UnsupportedError
from bench.precision import PRECISIONS, flags
from tests.backends.small_requests import small_request


def test_it_needs_a_gpu() -> None:
    """Elsewhere it is unavailable, in one sentence."""
    assert CudaGraph().unavailable_reason(torch.device("cpu")) == "CUDA graphs need an NVIDIA GPU."
    assert CudaGraph().unavailable_reason(torch.device("cuda:0")) is None


def test_autocast_is_no_precision_of_a_graph() -> None:
    """It is refused before anything is placed."""
    with pytest.raises(UnsupportedError, match="autocast"):
        CudaGraph().prepare(small_request("cuda-graph", "autocast"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16"])
def test_it_is_eager_at_any_shape(precision: str) -> None:
    """The output is that of the module in the same precision, at the case's shape and at another."""
    device = torch.device("cuda:0")
    asked = small_request("cuda-graph", precision)
    asked = replace(asked, mel=asked.mel.to(device), device=device)
    with flags(PRECISIONS[precision]), torch.inference_mode():
        runner = CudaGraph().prepare(asked)
        model = asked.vocoder.to(device, runner.dtype)
        for shape in ((1, 100, 3), (2, 100, 7), (1, 100, 3)):
            mel = torch.randn(shape, device=device, dtype=runner.dtype)
            assert runner.takes(shape)
            assert torch.allclose(runner.run(mel), model(mel), atol=1e-3)
        effective = runner.effective(mel)
    assert effective.compute == str(runner.dtype).removeprefix("torch.")
    assert runner.build.details["graph_pool_bytes"] > 0
    runner.close()
