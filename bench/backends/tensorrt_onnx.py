"""Native TensorRT from ONNX, 8.6 to 11.x in one code path.

The graph carries the data types. TensorRT 10 takes them as they are in a strongly typed network and 11 knows
nothing else; 8.6 has weak typing only, where a flag permits float16, so there the engine is asked afterwards
what its layers run in.
"""

import json
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from bench.backends.base import Backend, Request, Runner, register
from bench.backends.eager import place
from bench.errors import InputError, UnsupportedError, WrongOutputError
from bench.onnx_export import export_onnx, opset_for
from bench.precision import Precision, report_engine
from bench.record import Build, EffectivePrecision

# Layer types of the inspector that hold the arithmetic, and how it writes data types.
_CONVOLUTIONS = ("convolution", "deconvolution", "caskconvolution", "caskdeconvolution")
_FORMATS = {"float16": ("half", "fp16"), "bfloat16": ("bfloat16", "bf16"), "float32": ("float", "fp32")}


def import_tensorrt() -> tuple[ModuleType | None, str]:
    """TensorRT's bindings, or None and the reason."""
    try:
        import tensorrt
    except ModuleNotFoundError:
        return None, "tensorrt is not installed."
    except Exception as error:  # noqa: BLE001 - a broken installation raises whatever its loader raises
        lines = str(error).splitlines() or [type(error).__name__]
        return None, f"tensorrt cannot be imported: {lines[0]}"
    return (tensorrt, "") if hasattr(tensorrt, "Builder") else (None, "tensorrt is installed without its libraries.")


@register
class TensorRtOnnx(Backend):
    """``torch.onnx`` to TensorRT's parser, static at the case's shape.

    Options: ``level`` (builder optimisation level, 0 to 5), ``workspace_mib``, ``tactics`` (names of
    ``TacticSource`` joined by ``+``).
    """

    name = "tensorrt-onnx"
    options = ("level", "workspace_mib", "tactics")

    def unavailable_reason(self, device: torch.device) -> str | None:
        """No GPU, or no TensorRT."""
        if device.type != "cuda":
            return "TensorRT needs an NVIDIA GPU."
        return import_tensorrt()[1] or None

    def prepare(self, request: Request) -> Runner:
        """Exports, builds and deserialises an engine."""
        trt = import_tensorrt()[0]
        if trt is None:
            raise UnsupportedError("tensorrt cannot be imported.")
        precision, options = request.precision, dict(request.case.options)
        if precision.autocast:
            raise UnsupportedError("TensorRT has no autocast; fp16 and bf16 are its lower precisions.")
        if precision.dtype is torch.bfloat16 and not hasattr(trt.DataType, "BF16"):
            raise UnsupportedError(f"TensorRT {trt.__version__} has no bfloat16 for every layer; 10.0 has.")
        major = int(trt.__version__.split(".")[0])
        mel = request.mel.to(precision.dtype)
        opset = opset_for(major, precision.dtype)
        logger = trt.Logger(trt.Logger.ERROR)
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "vocoder.onnx"
            started = time.perf_counter()
            model = place(request)
            export_onnx(model, mel, file, opset)
            del model
            exported = time.perf_counter()
            plan = _build(trt, logger, file, precision, options)
        built = time.perf_counter()
        engine = _Engine(trt, logger, plan, mel)
        details = {
            "tensorrt": trt.__version__,
            "opset": opset,
            "graph": "polyphase activations" if request.case.version == "v3" else "as the vocoder",
            "export_s": exported - started,
            "engine_build_s": built - exported,
            "engine_load_s": time.perf_counter() - built,
            "context_bytes": engine.context_bytes,
            "layers": len(engine.layers()),
        }
        return Runner(
            run=engine,
            dtype=precision.dtype,
            build=Build(seconds=0.0, engine_bytes=len(plan), details=details),
            effective=lambda mel: _effective(engine, precision, mel),
        )


def _build(trt: Any, logger: Any, file: Path, precision: Precision, options: dict[str, str]) -> bytes:
    builder = trt.Builder(logger)
    flags = 0
    for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED"):
        # By name: the bits have other values in every major version.
        if hasattr(trt.NetworkDefinitionCreationFlag, name):
            flags |= 1 << int(getattr(trt.NetworkDefinitionCreationFlag, name))
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(file)):
        raise UnsupportedError(f"TensorRT cannot read the graph: {parser.get_error(0)}")
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    # On by default, also in "fp32" builds.
    (config.set_flag if precision.tf32 else config.clear_flag)(trt.BuilderFlag.TF32)
    weakly_typed = not hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
    if weakly_typed and precision.dtype is torch.float16:
        config.set_flag(trt.BuilderFlag.FP16)
    if "level" in options:
        config.builder_optimization_level = whole_option("level", options["level"], 5)
    if "workspace_mib" in options:
        size = whole_option("workspace_mib", options["workspace_mib"], 1 << 20)
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size << 20)
    if "tactics" in options:
        config.set_tactic_sources(_tactics(trt, options["tactics"]))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise UnsupportedError("TensorRT could not build an engine for this graph.")
    return bytes(plan)


def whole_option(name: str, text: str, most: int) -> int:
    """The value of an option that is a whole number from 0 to ``most``.

    Raises:
        InputError: it is not.
    """
    if not text.isdecimal() or int(text) > most:
        raise InputError(f"option {name} is a whole number from 0 to {most}, not {text!r}")
    return int(text)


def _tactics(trt: Any, text: str) -> int:
    sources = 0
    for name in text.upper().split("+"):
        if not hasattr(trt.TacticSource, name):
            known = ", ".join(sorted(trt.TacticSource.__members__))
            raise InputError(f"option tactics: TensorRT {trt.__version__} has no source {name!r}; it has {known}")
        sources |= 1 << int(getattr(trt.TacticSource, name))
    return sources


class _Engine:
    """A deserialised engine with its context, called like a module.

    Work is enqueued on the caller's current stream, which must not be the default one: there TensorRT would
    synchronise by itself. The output's memory is reused by the next call.

    Args:
        trt: The TensorRT module.
        logger: TensorRT's logger; it must outlive the engine.
        plan: The serialised engine.
        mel: Example input; its shape is bound.
    """

    def __init__(self, trt: Any, logger: Any, plan: bytes, mel: Tensor) -> None:
        self._trt = trt
        # Kept, because an engine refers to its runtime and logger.
        self._runtime = trt.Runtime(logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise WrongOutputError("TensorRT cannot load the engine that it built.")
        self._context = self._engine.create_execution_context()
        if not self._context.set_input_shape("mel", tuple(mel.shape)):
            raise UnsupportedError(f"the engine does not take the shape {tuple(mel.shape)}.")
        types = {"FLOAT": torch.float32, "HALF": torch.float16, "BF16": torch.bfloat16}
        for name, tensor_type in (("mel", mel.dtype), ("audio", mel.dtype)):
            found = types.get(self._engine.get_tensor_dtype(name).name)
            if found is not tensor_type:
                raise WrongOutputError(f"the engine's {name} is {found} instead of {tensor_type}.")
        shape = tuple(self._context.get_tensor_shape("audio"))
        self._audio = torch.empty(shape, dtype=mel.dtype, device=mel.device)
        self._context.set_tensor_address("audio", self._audio.data_ptr())

    @property
    def context_bytes(self) -> int:
        """Device memory of the execution context: activations and workspace."""
        name = "device_memory_size_v2" if hasattr(self._engine, "device_memory_size_v2") else "device_memory_size"
        return int(getattr(self._engine, name))

    def __call__(self, mel: Tensor) -> Tensor:
        """One inference."""
        mel = mel.contiguous()
        self._context.set_tensor_address("mel", mel.data_ptr())
        if not self._context.execute_async_v3(torch.cuda.current_stream(mel.device).cuda_stream):
            raise RuntimeError("TensorRT could not enqueue the engine")
        return self._audio

    def layers(self) -> list[Any]:
        """What the engine's inspector says of every layer."""
        inspector = self._engine.create_engine_inspector()
        text = inspector.get_engine_information(self._trt.LayerInformationFormat.JSON)
        return list(json.loads(text)["Layers"])


def _effective(engine: _Engine, precision: Precision, mel: Tensor) -> EffectivePrecision:
    found = convolution_types(engine.layers())
    wanted = str(precision.dtype).removeprefix("torch.")
    if wanted not in found:
        raise WrongOutputError(
            f"labelled {precision.name}, but its convolutions ran in {', '.join(found) or 'nothing'}."
        )
    if precision.dtype is torch.float32 and len(found) > 1:
        raise WrongOutputError(f"labelled {precision.name}, but convolutions ran in {', '.join(found)}.")
    return report_engine(
        precision,
        mel.device,
        weights=wanted,
        compute=", ".join(f"{name} ({count})" for name, count in found.items()),
        output=engine(mel).dtype,
        evidence="data types of the convolutions by TensorRT's engine inspector",
    )


def convolution_types(layers: list[Any]) -> dict[str, int]:
    """Data types that an engine's convolutions take, with the number of convolutions of each.

    Args:
        layers: The inspector's ``Layers``, objects at detailed verbosity.
    """
    counts: dict[str, int] = {}
    for layer in layers:
        if not isinstance(layer, dict) or layer.get("LayerType", "").lower() not in _CONVOLUTIONS:
            continue
        text = str(layer["Inputs"][0].get("Format/Datatype", "")).lower()
        for name, spellings in sorted(_FORMATS.items()):
            if any(spelling in text for spelling in spellings):
                counts[name] = counts.get(name, 0) + 1
                break
    return counts
