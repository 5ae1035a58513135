"""The layers that stay in float32 in an engine of a lower precision: which, and how a builder is told."""

from typing import Any

import torch

from bench.backend import Request
from bench.lowering.mixed_precision import layer_pattern, no_such_layer
from bench.precision import PRECISIONS, unsupported_reason
from bench.trt.library import Library
from bench.trt.options import Options

# Kept by TensorRT 8.6 if it can, docs/tensorrt.md. Of v3 the trunk, and convolutions but for the two last stages.
DEFAULT_FLOAT32 = {
    "v3": r"conv_pre|ups|conv_post|trunk|resblocks\.\d+$|resblocks\.(\d|1[01])\.convs",
    "v4": r"conv_pre|ups\.[01]",
}
# What the option float32 calls the sums of a stage's blocks.
TRUNK = "trunk"


def kept_layers(library: Library, request: Request, options: Options) -> str:
    """Pattern of the layers that stay in float32, by the names of modules; empty for none."""
    precision = request.precision
    if options.float32 is not None:
        return options.float32
    if library.strongly_typed or precision.dtype is not torch.float16 or precision.quantised:
        return ""
    if request.device.type == "cuda" and unsupported_reason(PRECISIONS["tf32"], request.device):
        return ""  # Whole float32 would cost more than float16 gains.
    return DEFAULT_FLOAT32[request.case.version]


def hold_float32(trt: Any, config: Any, network: Any, pattern: str, *, asked: bool) -> None:
    """Holds layers to float32 where the graph cannot say so.

    The builder fails where it could not obey, if they were asked for; else it does so where it can.
    """
    wanted, kinds = layer_pattern(pattern), trt.LayerType
    sums = [kinds.CONVOLUTION, kinds.DECONVOLUTION, kinds.MATRIX_MULTIPLY]
    others = [kinds.ELEMENTWISE, kinds.UNARY]
    kept = 0
    for layer in map(network.get_layer, range(network.num_layers)):
        made = layer.get_output(0)
        if layer.type not in sums + others or made.dtype not in (trt.float32, trt.float16):
            continue  # also a shape's arithmetic
        if wanted.match(module_name(layer.name)) is None:
            continue
        layer.precision = trt.float32
        if layer.type in others and not made.is_network_output:
            # Else it computes in float32, and may write float16.
            layer.set_output_type(0, trt.float32)
        kept += 1
    if not kept:
        if asked:
            raise no_such_layer(pattern)
        return
    flags = trt.BuilderFlag
    config.set_flag(flags.OBEY_PRECISION_CONSTRAINTS if asked else flags.PREFER_PRECISION_CONSTRAINTS)


def module_name(layer: str) -> str:
    """The module that an exported layer comes from; ``trunk`` for what the generator itself computes.

    >>> module_name("/resblocks.0/convs1.0/Conv"), module_name("/resblocks.0/Add"), module_name("/Div")
    ('resblocks.0.convs1.0', 'resblocks.0', 'trunk')
    """
    name = layer.strip("/").rpartition("/")[0].replace("/", ".")
    # What bench.lowering.mixed_precision.Apart calls the convolution within.
    return name.removesuffix(".conv") or TRUNK
