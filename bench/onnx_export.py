"""ONNX of a vocoder, in the form and opset that a TensorRT version reads.

TensorRT 8.6 reads up to opset 17, which only PyTorch's older exporter writes; bfloat16 needs opset 22.
"""

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.vocoders.polyphase import polyphase

LEGACY_OPSET = 17
OPSET = 20
BFLOAT16_OPSET = 22


def opset_for(tensorrt_major: int, dtype: torch.dtype) -> int:
    """The opset to export for a TensorRT major version."""
    if tensorrt_major < 10:
        return LEGACY_OPSET
    return BFLOAT16_OPSET if dtype is torch.bfloat16 else OPSET


def export_onnx(vocoder: nn.Module, mel: Tensor, file: Path, opset: int) -> None:
    """Writes ``vocoder`` as ONNX with input ``mel`` and output ``audio``, in the polyphase form.

    Args:
        vocoder: In the data type that the graph shall have, on ``mel``'s device.
        mel: ``(batch, bands, frames)``; its shape is the graph's.
        file: Where to write; weights are inside.
        opset: 17 for TensorRT 8.6, else 20 or more.
    """
    model = polyphase(vocoder)
    options: dict[str, Any] = {"dynamo": False}
    if opset > LEGACY_OPSET:
        options = {"dynamo": True, "external_data": False, "verbose": False}
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
    if opset <= LEGACY_OPSET and find_spec("onnx") is not None:
        _name_weights_directly(file)


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
