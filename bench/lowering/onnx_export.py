"""ONNX of a lowered vocoder, in the opset that a TensorRT version reads.

TensorRT 8.6 reads up to opset 17, which only PyTorch's older exporter writes; bfloat16 needs opset 22, which only the
newer one writes. Opset 20 is written by either, and by the older one in a quarter of the time where shapes are open.
"""

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.audio.mel import default_speech, log_mel
from bench.errors import UnsupportedError
from bench.lowering.activation import DEFAULT_FORM, fewest_frames, find_form
from bench.lowering.engine_form import lower, lower_activations
from bench.lowering.quantization import quantise
from bench.vocoders import Vocoder

LEGACY_OPSET = 17
OPSET = 20
BFLOAT16_OPSET = 22
# Bounds of an open graph: what an engine's profiles may ask for.
MOST_BATCH, MOST_FRAMES = 64, 16384
FEWEST_FRAMES = 2
# PyTorch's newer exporter takes a size of one for a constant, so that an open graph is traced with others.
_TRACED = (2, 24)


def opset_for(strongly_typed: bool, dtype: torch.dtype) -> int:
    """The opset to export: 17 for TensorRT 8.6, which is not strongly typed."""
    if not strongly_typed:
        return LEGACY_OPSET
    return BFLOAT16_OPSET if dtype is torch.bfloat16 else OPSET


def export_onnx(
    vocoder: Vocoder,
    mel: Tensor,
    file: Path,
    opset: int,
    *,
    dynamic: bool = False,
    float32: str = "",
    activation: str = DEFAULT_FORM,
    quantised: str = "",
) -> None:
    """Writes ``vocoder`` lowered, as ONNX with input ``mel`` and output ``audio``.

    Args:
        vocoder: In float32, anywhere; it is left as it is.
        mel: ``(batch, bands, frames)``; its data type is the graph's, and its shape unless that is dynamic.
        file: Where to write; weights are inside.
        opset: 17 for TensorRT 8.6, else 20 or more.
        dynamic: Whether batch (up to 64) and frames (2 to 16384, or from what
            the activation's form needs) stay open.
        float32: Layers to keep in float32; see :func:`bench.lowering.mixed_precision.convert`.
        activation: The alias-free activation's form; see :data:`bench.lowering.activation.FORMS`; or ``original``.
        quantised: ``"int8"`` or ``"fp8"`` for convolutions of eight bits, with scales from the project's own clip.

    Raises:
        UnsupportedError: the opset needs a package that is not installed.
        InputError: ``float32`` names no layer.
    """
    newer = opset > OPSET
    package = "onnxscript" if newer else "onnx"
    if opset > LEGACY_OPSET and find_spec(package) is None:
        raise UnsupportedError(f"exporting needs {package}: pip install -e '.[onnx]'.")
    model = _quantised(vocoder, mel, quantised, activation) if quantised else lower(vocoder, mel, float32, activation)
    options: dict[str, Any] = {"dynamo": False}
    if newer:
        options = {"dynamo": True, "external_data": False, "verbose": False}
    if dynamic:
        batch, frames = _TRACED
        mel = mel.new_zeros(batch, mel.shape[1], frames)
        options |= _open(newer, max(FEWEST_FRAMES, fewest_frames(activation)))
    with torch.no_grad(), warnings.catch_warnings():
        # The exporters warn of their own future and of tracing constants.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (mel,),
            str(file),
            input_names=["mel"],
            output_names=["audio"],
            opset_version=opset,
            **options,
        )
    if not newer and find_spec("onnx") is not None:
        _name_weights_directly(file)


def _quantised(vocoder: Vocoder, mel: Tensor, kind: str, activation: str) -> nn.Module:
    model = lower_activations(vocoder, find_form(activation)).to(mel.device)
    speech = log_mel(default_speech(), vocoder.spec).to(mel.device)
    return quantise(model, kind, speech, half=mel.dtype is torch.float16).to(mel.dtype)


def _open(newer: bool, fewest: int) -> dict[str, Any]:
    if not newer:
        return {"dynamic_axes": {"mel": {0: "batch", 2: "frames"}, "audio": {0: "batch", 2: "samples"}}}
    batch = torch.export.Dim("batch", min=1, max=MOST_BATCH)
    frames = torch.export.Dim("frames", min=fewest, max=MOST_FRAMES)
    return {"dynamic_shapes": ({0: batch, 2: frames},)}


def _name_weights_directly(file: Path) -> None:
    """Removes the ``Identity`` nodes that the older exporter puts between equal weights and their users.

    TensorRT's parser takes a weight behind one for a tensor that is computed at run time. The graph computes the
    same with them, so that an environment without the onnx package, which TensorRT 8.6 may be used in, goes on.
    """
    import onnx

    model = onnx.load(str(file))
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    copies = {node.output[0]: node for node in graph.node if node.op_type == "Identity" and node.input[0] in weights}
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name in copies:
                node.input[index] = copies[name].input[0]
    for node in copies.values():
        graph.node.remove(node)
    onnx.save(model, str(file))
