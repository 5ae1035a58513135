"""torch-tensorrt's dynamo front end, 2.11 to 2.14.

The data type is the model's: TensorRT 11 has no other way, and torch-tensorrt ignores unknown arguments
without a word, so every argument is checked against the installed signature. A graph that would be split
between TensorRT and PyTorch is refused.
"""

import inspect
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from bench.backend import Request, Runner, register
from bench.errors import UnsupportedError, WrongOutputError
from bench.lowering.engine_form import lower
from bench.measure.precision import report_engine
from bench.precision import Precision, unsupported_reason
from bench.records.schema import Build, EffectivePrecision
from bench.trt.backend import EngineBackend
from bench.trt.options import Options, options_of
from bench.trt.shapes import Profile

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
class TorchTensorRt(EngineBackend):
    """``torch.export``, then ``torch_tensorrt.dynamo.compile``.

    Options as in :class:`bench.trt.options.Options`, with one dynamic profile at most. Every build starts without
    a timing cache, and nothing is kept: a compiled module is torch-tensorrt's to keep.
    """

    name = "tensorrt"
    options = ("shapes", "level", "workspace_mib", "streams", "cuda_graph", "float32", "activation")

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
        precision, case = request.precision, request.case
        options = options_of(case)
        profile = _profile(options, case.batch, case.frames)
        reason = unsupported_reason(precision, request.device) or ""
        if reason:
            raise UnsupportedError(reason)
        if precision.quantised:
            raise UnsupportedError(f"{precision.name} runs through ONNX: take tensorrt-onnx or tensorrt-rtx.")
        if precision.autocast:
            raise UnsupportedError("TensorRT has no autocast; fp16 and bf16 are its lower precisions.")
        started = time.perf_counter()
        mel = request.mel.to(precision.dtype)
        model = lower(request.vocoder, mel, options.float32 or "", options.activation)
        with tempfile.TemporaryDirectory() as directory, torch.no_grad():
            program = export(model, mel, profile if options.shapes.dynamic else None)
            arguments: dict[str, Any] = {
                "arg_inputs": [_input(module, profile, mel) if options.shapes.dynamic else mel],
                "disable_tf32": not precision.tf32,
                "require_full_compilation": True,
                "min_block_size": 1,
                # The default cache in the temporary directory would make a second build look cheap.
                "timing_cache_path": str(Path(directory) / "timing.bin"),
            }
            if options.level is not None:
                arguments["optimization_level"] = options.level
            if options.workspace_mib is not None:
                arguments["workspace_size"] = options.workspace_mib << 20
            if options.streams is not None:
                arguments["max_aux_streams"] = options.streams
            check_arguments(module.dynamo.compile, arguments)
            compiled = module.dynamo.compile(program, **arguments)
        parts = check_whole(compiled)
        types = graph_types(program)
        state = ExitStack()
        run = state.enter_context(module.runtime.enable_cudagraphs(compiled)) if options.cuda_graph else compiled
        return Runner(
            run=run,
            dtype=precision.dtype,
            build=Build(
                seconds=0.0,
                build_s=time.perf_counter() - started,
                engine_bytes=engine_bytes(compiled),
                details={
                    "torch_tensorrt": module.__version__,
                    "engines": parts,
                    "shapes": str(options.shapes),
                    **({"activation": options.activation} if case.version == "v3" else {}),
                    **layer_counts(compiled),
                },
            ),
            effective=lambda mel: _effective(run, precision, mel, types, bool(options.float32)),
            takes=lambda shape: options.shapes.pick((shape[0], shape[2])) is not None,
            close=state.close,
        )


def _profile(options: Options, batch: int, frames: int) -> Profile:
    if len(options.shapes.profiles) > 1:
        raise UnsupportedError("torch-tensorrt's front end takes one profile; tensorrt-onnx takes several.")
    [profile] = options.shapes.profiles
    if not profile.holds((batch, frames)):
        raise UnsupportedError(
            f"batch {batch} with {frames} frames is outside the engine's profile (smallest_best_largest "
            f"batch x frames: {profile}); give a larger one with the option shapes."
        )
    if options.shapes.dynamic and profile.best[0] == 1 and profile.largest[0] > 1:
        # torch.export takes a batch of one for a constant, and the engine is tuned for the example's shape.
        return Profile(profile.smallest, (2, profile.best[1]), profile.largest)
    return profile


def export(model: torch.nn.Module, mel: Tensor, profile: Profile | None) -> torch.export.ExportedProgram:
    """Exports a vocoder at ``mel``'s shape, or with batch and frames open within a profile."""
    if profile is None:
        return torch.export.export(model, (mel,), strict=False)
    (batch, frames), (least_batch, least), (most_batch, most) = profile.best, profile.smallest, profile.largest
    sizes: dict[int, Any] = {}
    if least_batch != most_batch:
        sizes[0] = torch.export.Dim("batch", min=least_batch, max=most_batch)
    if least != most:
        sizes[2] = torch.export.Dim("frames", min=least, max=most)
    example = mel.new_zeros(batch, mel.shape[1], frames)
    return torch.export.export(model, (example,), dynamic_shapes=(sizes,), strict=False)


def _input(module: ModuleType, profile: Profile, mel: Tensor) -> Any:
    smallest, best, largest = (
        (batch, mel.shape[1], frames) for batch, frames in (profile.smallest, profile.best, profile.largest)
    )
    return module.Input(min_shape=smallest, opt_shape=best, max_shape=largest, dtype=mel.dtype, name="mel")


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


def engine_bytes(compiled: torch.nn.Module) -> int | None:
    """Size of the serialised engines of a compiled module; None where they were not kept."""
    plans = [getattr(part, "serialized_engine", None) or b"" for part in compiled.children()]
    sizes = [len(plan) for plan in plans]
    return sum(sizes) if sizes and all(sizes) else None


def layer_counts(compiled: Any) -> dict[str, int]:
    """How many layers TensorRT's inspector counts in the engines of a compiled module, if it can be asked."""
    try:
        counts = [len(json.loads(part.get_layer_info())["Layers"]) for part in compiled.children()]
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):
        # Another release may not have it, or not answer so; that is no reason to lose the case.
        return {}
    return {"layers": sum(counts)}


def graph_types(program: torch.export.ExportedProgram) -> str:
    """Data types of the convolutions of an exported graph, which a strongly typed network keeps."""
    found = {
        str(node.meta["val"].dtype).removeprefix("torch.")
        for node in program.graph.nodes
        if node.op == "call_function" and "conv" in str(node.target)
    }
    return ", ".join(sorted(found))


def _effective(
    compiled: Callable[[Tensor], Tensor], precision: Precision, mel: Tensor, types: str, mixed: bool
) -> EffectivePrecision:
    wanted = str(precision.dtype).removeprefix("torch.")
    output = compiled(mel).dtype
    expected = {wanted} if not mixed else {wanted, "float32"}
    if set(types.split(", ")) != expected or output is not precision.dtype:
        raise WrongOutputError(f"labelled {precision.name}, but the graph is {types} and its output {output}.")
    return report_engine(
        precision,
        mel.device,
        weights=wanted,
        compute=types,
        output=output,
        evidence="data types of the exported graph, kept by a strongly typed network",
    )
