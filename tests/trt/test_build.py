"""What a builder is told, and that a real one, TensorRT-RTX's, builds both vocoders' graphs on any machine."""

from pathlib import Path

import pytest
import torch

from bench.errors import UnsupportedError
from bench.lowering.onnx_export import export_onnx
from bench.precision import PRECISIONS
from bench.trt.build import build_engine
from bench.trt.library import Library, import_library
from bench.trt.options import parse_options
from bench.vocoders import load_vocoder
from tests.small_vocoders import tiny
from tests.trt.fake_tensorrt import Install

library, _reason = import_library("tensorrt_rtx")
real = pytest.mark.skipif(library is None, reason=f"{_reason} pip install -e '.[rtx]'")
TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@pytest.fixture
def rtx() -> Library:
    """The library, which the mark has found."""
    assert library is not None
    return library


def test_options_reach_the_builder(install: Install) -> None:
    """Level, workspace and tactic sources are set as asked."""
    trt = install("10.15.1")
    trt.prepare(level="1", workspace_mib="64", tactics="cublas+edge_mask_convolutions")
    assert trt.config.builder_optimization_level == 1
    assert trt.config.memory == {"workspace": 64 * 2**20}
    assert trt.config.tactics == 0b1001


def test_profiles_reach_the_builder(install: Install) -> None:
    """Every profile of a dynamic engine is the builder's, with the mel's bands; a static engine has none."""
    trt = install("10.15.1")
    runner = trt.prepare(shapes="1x2_1x3_1x5+2x2_2x4_4x9")
    assert [profile.shape for profile in trt.config.profiles] == [
        ("mel", (1, 100, 2), (1, 100, 3), (1, 100, 5)),
        ("mel", (2, 100, 2), (2, 100, 4), (4, 100, 9)),
    ]
    assert trt.exported["dynamic"] is True
    assert runner.takes((3, 100, 9))
    assert not runner.takes((3, 100, 10))
    trt = install("10.15.1")
    trt.prepare()
    assert trt.config.profiles == []
    assert trt.exported["dynamic"] is False


@real
@pytest.mark.parametrize("shapes", ["static", "dynamic", "1x14_1x20_1x50+2x14_2x20_4x50"])
@pytest.mark.parametrize("version", ["v3", "v4"])
def test_small_graphs_build(rtx: Library, tmp_path: Path, version: str, shapes: str) -> None:
    """A small network of each version becomes an engine: static, with the default range, with several profiles."""
    options = parse_options({"shapes": shapes}, (1, 25))
    file = tmp_path / "vocoder.onnx"
    mel = torch.zeros(1, 100, 25, dtype=torch.float16)
    export_onnx(tiny(version), mel, file, 20, dynamic=options.shapes.dynamic)
    assert len(build_engine(rtx, file, PRECISIONS["fp16"], 100, options)) > 10_000


@real
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_every_precision_builds(rtx: Library, tmp_path: Path, precision: str) -> None:
    """The types come from the graph: float32, float16, and bfloat16 but for the transposed convolutions."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install -e '.[onnx]'")
    file = tmp_path / "vocoder.onnx"
    half = precision == "bf16"
    mel = torch.zeros(1, 100, 25, dtype=TYPES[precision])
    export_onnx(tiny("v4"), mel, file, 22 if half else 20, float32="ups" if half else "")
    assert build_engine(rtx, file, PRECISIONS[precision], 100, parse_options({}, (1, 25)))


@real
def test_layers_kept_in_float32_build(rtx: Library, tmp_path: Path) -> None:
    """A graph of two data types is one that a strongly typed network takes."""
    file = tmp_path / "vocoder.onnx"
    mel = torch.zeros(1, 100, 25, dtype=torch.float16)
    export_onnx(tiny("v3"), mel, file, 17, float32="conv_post|activation_post")
    assert build_engine(rtx, file, PRECISIONS["fp16"], 100, parse_options({}, (1, 25)))


@real
def test_the_real_size_builds(rtx: Library, tmp_path: Path) -> None:
    """v4 at its real size, float16 and dynamic, becomes an engine that holds its weights; v3 takes minutes."""
    vocoder = load_vocoder("v4")
    file = tmp_path / "vocoder.onnx"
    export_onnx(vocoder, torch.zeros(1, 100, 25, dtype=torch.float16), file, 20, dynamic=True)
    plan = build_engine(rtx, file, PRECISIONS["fp16"], 100, parse_options({"shapes": "dynamic"}, (1, 500)))
    assert len(plan) > 2 * sum(parameter.numel() for parameter in vocoder.parameters())


@real
def test_a_graph_that_is_none_is_unsupported(rtx: Library, tmp_path: Path) -> None:
    """A file that is no graph is refused with the parser's words."""
    file = tmp_path / "vocoder.onnx"
    file.write_bytes(b"not a graph")
    with pytest.raises(UnsupportedError, match=r"TensorRT-RTX .* cannot read the graph"):
        build_engine(rtx, file, PRECISIONS["fp16"], 100, parse_options({}, (1, 25)))
