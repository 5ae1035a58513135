"""Layers that stay in float32 in an engine of a lower precision."""

from dataclasses import replace

import pytest
import torch

from bench.backends.tensorrt_onnx import TensorRtOnnx
from bench.errors import InputError, UnsupportedError
from bench.precision import unsupported_reason
from bench.trt import float32
from bench.trt.float32 import DEFAULT_FLOAT32, kept_layers
from bench.trt.key import engine_key
from bench.trt.library import import_library
from bench.trt.options import parse_options
from tests.trt.fake_tensorrt import Install, graph_layer
from tests.trt.requests import FRAMES, request


def test_layers_kept_in_float32(install: Install) -> None:
    """Strong typing takes them from the graph; 8.6, whose graph has one data type, holds layers by their names."""
    trt = install("10.15.1")
    trt.tensor_type = "HALF"
    trt.prepare("fp16", float32="conv_post")
    assert trt.exported["float32"] == "conv_post"
    assert "OBEY_PRECISION_CONSTRAINTS" not in trt.config.flags

    trt = install("8.6.1")
    trt.tensor_type = "HALF"
    trt.network = [
        graph_layer(trt, "/conv_pre/Conv", "CONVOLUTION"),
        graph_layer(trt, "/resblocks.1/convs1.0/Conv", "CONVOLUTION"),
        graph_layer(trt, "/resblocks.1/activations.0/Sin", "UNARY", "float16"),
        graph_layer(trt, "/resblocks.1/activations.0/Add", "ELEMENTWISE", "int32"),
        graph_layer(trt, "/resblocks.1/activations.0/Reshape", "SHUFFLE"),
        graph_layer(trt, "/resblocks.10/convs1.0/Conv", "CONVOLUTION"),
        graph_layer(trt, "(Unnamed Layer* 3) [Shuffle]", "UNARY"),
    ]
    trt.prepare("fp16", float32=r"conv_pre$|resblocks\.1\.")
    assert [hasattr(layer, "precision") for layer in trt.network] == [True, True, True, False, False, False, False]
    assert {trt.network[index].precision for index in range(3)} == {"float32"}
    assert [layer.output_type for layer in trt.network[:3]] == [None, None, (0, "float32")]
    assert trt.config.flags == {"TF32", "FP16", "OBEY_PRECISION_CONSTRAINTS"}
    assert trt.exported["float32"] == r"conv_pre$|resblocks\.1\."
    with pytest.raises(InputError, match="no layer's name begins with 'Conv'"):
        trt.prepare("fp16", float32="Conv")
    trt.plan = None
    with pytest.raises(UnsupportedError, match="with conv_pre held to float32; try it without the option float32"):
        trt.prepare("fp16", float32="conv_pre")


@pytest.mark.parametrize(
    ("version", "precision", "options", "kept"),
    [
        ("8.6.1", "fp16", {}, DEFAULT_FLOAT32["v3"]),
        ("8.6.1", "fp16", {"float32": "off"}, ""),
        ("8.6.1", "fp16", {"float32": "ups"}, "ups"),
        ("8.6.1", "fp32", {}, ""),
        ("8.6.1", "int8", {}, ""),
        ("10.15.1", "fp16", {}, ""),
        ("10.15.1", "fp16", {"float32": "ups"}, "ups"),
    ],
)
def test_what_v3_needs_in_float32_is_kept_there(
    install: Install, version: str, precision: str, options: dict[str, str], kept: str
) -> None:
    """By default where sums are float16 otherwise; the record says so, and an engine of other layers is another."""
    trt = install(version)
    library, _ = import_library()
    assert library is not None
    asked = request("tensorrt-onnx", precision, **options)
    asked = replace(asked, case=replace(asked.case, version="v3"))
    parsed = parse_options(options, (1, FRAMES))
    assert kept_layers(library, asked, parsed) == kept
    plain = engine_key(library, asked, parse_options({"float32": "off"}, (1, FRAMES)))
    assert (engine_key(library, asked, parsed) == plain) == (not kept)
    v4 = replace(asked, case=replace(asked.case, version="v4"))
    assert kept_layers(library, v4, parsed) == (DEFAULT_FLOAT32["v4"] if kept == DEFAULT_FLOAT32["v3"] else kept)
    assert trt.__version__ == version


@pytest.mark.parametrize(
    ("capability", "kept"), [((7, 5), ""), ((8, 0), DEFAULT_FLOAT32["v3"]), ((9, 0), DEFAULT_FLOAT32["v3"])]
)
def test_cards_without_tf32_keep_nothing_by_default(
    install: Install,
    capability: tuple[int, int],
    kept: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Turing has tensor cores for float16 only, and would compute float32 without them; who asks for it gets it."""
    install("8.6.1")
    library, _ = import_library()
    assert library is not None
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(float32, "unsupported_reason", unsupported_reason)
    asked = request("tensorrt-onnx", "fp16")
    asked = replace(asked, case=replace(asked.case, version="v3"), device=torch.device("cuda:0"))
    assert kept_layers(library, asked, parse_options({}, (1, FRAMES))) == kept
    assert kept_layers(library, asked, parse_options({"float32": "ups"}, (1, FRAMES))) == "ups"


def test_float32_by_default_is_a_wish(install: Install) -> None:
    """Nobody asked for it, so a builder that cannot obey builds all the same.

    Held are convolutions but for those of the last stages, and what is added along the trunk, which is stored in
    float32, too; not activations, and not the audio, whose type is the engine's.
    """
    trt = install("8.6.1")
    trt.tensor_type = "HALF"
    names = {
        "/ups.0/ups.0.0/ConvTranspose": ("DECONVOLUTION", True, False),
        "/resblocks.11/convs1.0/Conv": ("CONVOLUTION", True, False),
        "/resblocks.11/convs2.0/conv/Conv": ("CONVOLUTION", True, False),
        "/resblocks.11/convs2.0/Neg": ("UNARY", True, True),
        "/resblocks.11/Add": ("ELEMENTWISE", True, True),
        "/resblocks.11/activations.0/MatMul": ("MATRIX_MULTIPLY", False, False),
        "/resblocks.11/activations.0/Sin": ("UNARY", False, False),
        "/resblocks.12/convs1.0/Conv": ("CONVOLUTION", False, False),
        "/resblocks.12/Add": ("ELEMENTWISE", True, True),
        "/Div": ("ELEMENTWISE", True, True),
        "/Clip": ("ELEMENTWISE", True, False),
        "/Shape": ("SHUFFLE", False, False),
    }
    trt.network = [graph_layer(trt, name, kind) for name, (kind, _, _) in names.items()]
    asked = request("tensorrt-onnx", "fp16")
    built = TensorRtOnnx().prepare(replace(asked, case=replace(asked.case, version="v3"))).build
    assert {
        layer.name: (layer.type, hasattr(layer, "precision"), layer.output_type is not None) for layer in trt.network
    } == {name: (getattr(trt.LayerType, kind), held, stored) for name, (kind, held, stored) in names.items()}
    assert trt.config.flags == {"TF32", "FP16", "PREFER_PRECISION_CONSTRAINTS"}
    assert trt.exported["float32"] == built.details["float32"] == DEFAULT_FLOAT32["v3"]
    trt.plan = None
    with pytest.raises(UnsupportedError, match=r"for this graph\.$"):
        TensorRtOnnx().prepare(replace(asked, case=replace(asked.case, version="v3")))
