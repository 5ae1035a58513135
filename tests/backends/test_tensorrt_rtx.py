"""TensorRT-RTX builds both vocoders' graphs, on any machine: every change to a graph meets a real builder."""

import sys
from pathlib import Path

import pytest
import torch

from bench.backends.tensorrt_rtx import TensorRtRtx
from bench.errors import UnsupportedError, WrongOutputError
from bench.lowering.onnx_export import export_onnx
from bench.precision import PRECISIONS
from bench.trt.build import build_engine
from bench.trt.library import Library, import_library
from bench.trt.options import parse_options
from bench.vocoders import load_vocoder
from tests.lowering.test_onnx_export import tiny
from tests.trt.fake_tensorrt import FULL, Install, layer
from tests.trt.requests import FRAMES, request

library, _reason = import_library("tensorrt_rtx")
pytestmark = pytest.mark.skipif(library is None, reason=f"{_reason} pip install -e '.[rtx]'")
TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@pytest.fixture
def rtx() -> Library:
    """The library, which the module's mark has found."""
    assert library is not None
    return library


@pytest.mark.parametrize("shapes", ["static", "dynamic", "1x14_1x20_1x50+2x14_2x20_4x50"])
@pytest.mark.parametrize("version", ["v3", "v4"])
def test_small_graphs_build(rtx: Library, tmp_path: Path, version: str, shapes: str) -> None:
    """A small network of each version becomes an engine: static, with the default range, with several profiles."""
    options = parse_options({"shapes": shapes}, (1, 25))
    file = tmp_path / "vocoder.onnx"
    mel = torch.zeros(1, 100, 25, dtype=torch.float16)
    export_onnx(tiny(version), mel, file, 20, dynamic=options.shapes.dynamic)
    assert len(build_engine(rtx, file, PRECISIONS["fp16"], 100, options)) > 10_000


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_every_precision_builds(rtx: Library, tmp_path: Path, precision: str) -> None:
    """The types come from the graph: float32, float16, and bfloat16 but for the transposed convolutions."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install -e '.[onnx]'")
    file = tmp_path / "vocoder.onnx"
    half = precision == "bf16"
    mel = torch.zeros(1, 100, 25, dtype=TYPES[precision])
    export_onnx(tiny("v4"), mel, file, 22 if half else 20, float32="ups" if half else "")
    assert build_engine(rtx, file, PRECISIONS[precision], 100, parse_options({}, (1, 25)))


def test_layers_kept_in_float32_build(rtx: Library, tmp_path: Path) -> None:
    """A graph of two data types is one that a strongly typed network takes."""
    file = tmp_path / "vocoder.onnx"
    mel = torch.zeros(1, 100, 25, dtype=torch.float16)
    export_onnx(tiny("v3"), mel, file, 17, float32="conv_post|activation_post")
    assert build_engine(rtx, file, PRECISIONS["fp16"], 100, parse_options({}, (1, 25)))


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_real_sizes_build(rtx: Library, tmp_path: Path, version: str) -> None:
    """The vocoders at their real size, float16 and dynamic, become engines that hold their weights."""
    vocoder = load_vocoder(version)
    file = tmp_path / "vocoder.onnx"
    export_onnx(vocoder, torch.zeros(1, 100, 25, dtype=torch.float16), file, 20, dynamic=True)
    plan = build_engine(rtx, file, PRECISIONS["fp16"], 100, parse_options({"shapes": "dynamic"}, (1, 500)))
    assert len(plan) > 2 * sum(parameter.numel() for parameter in vocoder.parameters())


def test_a_graph_that_is_none_is_unsupported(rtx: Library, tmp_path: Path) -> None:
    """A file that is no graph is refused with the parser's words."""
    file = tmp_path / "vocoder.onnx"
    file.write_bytes(b"not a graph")
    with pytest.raises(UnsupportedError, match=r"TensorRT-RTX .* cannot read the graph"):
        build_engine(rtx, file, PRECISIONS["fp16"], 100, parse_options({}, (1, 25)))


def test_running_needs_a_card_that_it_supports(rtx: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU, and on one of another compute capability, the reason is one sentence."""
    backend = TensorRtRtx()
    assert "needs an NVIDIA GPU to run on" in str(backend.unavailable_reason(torch.device("cpu")))
    for capability, runs in {(9, 0): False, (8, 6): True, (12, 0): True}.items():
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, found=capability: found)
        reason = backend.unavailable_reason(torch.device("cuda:0"))
        assert reason is None if runs else "does not run on compute capability 9.0" in str(reason)
    assert rtx.rtx


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
