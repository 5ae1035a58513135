"""torch-tensorrt's dynamo front end, 2.11 to 2.14.

The data type is the model's: TensorRT 11 has no other way, and torch-tensorrt ignores unknown arguments
without a word, so every argument is checked against the installed signature. A graph that would be split
between TensorRT and PyTorch is refused.
"""

import inspect
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from bench.backends.base import Backend, Request, Runner, register
from bench.backends.eager import place
from bench.backends.tensorrt_onnx import whole_option
from bench.errors import UnsupportedError, WrongOutputError
from bench.precision import Precision, report_engine
from bench.record import Build, EffectivePrecision
from bench.vocoders.polyphase import polyphase

# Names that torch-tensorrt gives to the parts of a compiled module that run in TensorRT.
_ENGINE_PART = "_run_on_acc"


def import_torch_tensorrt() -> tuple[ModuleType | None, str]:
    """torch_tensorrt, or None and the reason."""
    try:
        import torch_tensorrt
    except ModuleNotFoundError as error:
        return None, f"{error.name} is not installed."
    except Exception as error:  # noqa: BLE001 - a missing libnvinfer raises Exception, a CPU torch AssertionError
        lines = str(error).splitlines() or [type(error).__name__]
        return None, f"torch_tensorrt cannot be imported: {lines[0]}"
    return torch_tensorrt, ""


@register
class TorchTensorRt(Backend):
    """``torch.export``, then ``torch_tensorrt.dynamo.compile``, static at the case's shape.

    Options: ``level`` (builder optimisation level, 0 to 5).
    """

    name = "tensorrt"
    options = ("level",)

    def unavailable_reason(self, device: torch.device) -> str | None:
        """No GPU, or no torch-tensorrt."""
        if device.type != "cuda":
            return "TensorRT needs an NVIDIA GPU."
        return import_torch_tensorrt()[1] or None

    def prepare(self, request: Request) -> Runner:
        """Exports and compiles; the whole graph becomes one engine or it is an error."""
        module, reason = import_torch_tensorrt()
        if module is None:
            raise UnsupportedError(reason)
        precision, options = request.precision, dict(request.case.options)
        if precision.autocast:
            raise UnsupportedError("TensorRT has no autocast; fp16 and bf16 are its lower precisions.")
        model = polyphase(place(request))
        mel = request.mel.to(precision.dtype)
        with tempfile.TemporaryDirectory() as directory, torch.no_grad():
            program = torch.export.export(model, (mel,), strict=False)
            arguments: dict[str, Any] = {
                "arg_inputs": [mel],
                "disable_tf32": not precision.tf32,
                "require_full_compilation": True,
                "min_block_size": 1,
                # The default cache in the temporary directory would make a second build look cheap.
                "timing_cache_path": str(Path(directory) / "timing.bin"),
            }
            if "level" in options:
                arguments["optimization_level"] = whole_option("level", options["level"], 5)
            check_arguments(module.dynamo.compile, arguments)
            compiled = module.dynamo.compile(program, **arguments)
        parts = check_whole(compiled)
        types = graph_types(program)
        return Runner(
            run=compiled,
            dtype=precision.dtype,
            build=Build(seconds=0.0, details={"torch_tensorrt": module.__version__, "engines": parts}),
            effective=lambda mel: _effective(compiled, precision, mel, types),
        )


def check_arguments(function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """Raises :class:`UnsupportedError` for an argument that ``function`` would swallow unread."""
    named = {
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    swallowed = sorted(set(arguments) - named)
    if swallowed:
        raise UnsupportedError(f"this torch-tensorrt has no argument {', '.join(swallowed)}.")


def check_whole(compiled: torch.nn.Module) -> int:
    """The number of engines of a compiled module; raises when a part of it stayed in PyTorch."""
    names = [name for name, _ in compiled.named_children()]
    outside = [name for name in names if not name.startswith(_ENGINE_PART)]
    if outside or not names:
        raise WrongOutputError(f"torch-tensorrt left {', '.join(outside) or 'the whole graph'} to PyTorch.")
    return len(names)


def graph_types(program: torch.export.ExportedProgram) -> str:
    """Data types of the convolutions of an exported graph, which a strongly typed network keeps."""
    found = {
        str(node.meta["val"].dtype).removeprefix("torch.")
        for node in program.graph.nodes
        if node.op == "call_function" and "conv" in str(node.target)
    }
    return ", ".join(sorted(found))


def _effective(
    compiled: Callable[[Tensor], Tensor], precision: Precision, mel: Tensor, types: str
) -> EffectivePrecision:
    wanted = str(precision.dtype).removeprefix("torch.")
    output = compiled(mel).dtype
    if types != wanted or output is not precision.dtype:
        raise WrongOutputError(f"labelled {precision.name}, but the graph is {types} and its output {output}.")
    return report_engine(
        precision,
        mel.device,
        weights=wanted,
        compute=types,
        output=output,
        evidence="data types of the exported graph, kept by a strongly typed network",
    )
