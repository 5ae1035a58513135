"""What the native backends share: from a request to a runner, through the engine cache."""

import hashlib
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.audio.mel import audio_identity, default_speech
from bench.backend import Request, Runner
from bench.engine_cache import CachedEngine, EngineStore
from bench.errors import UnsupportedError, WrongOutputError
from bench.lowering.onnx_export import export_onnx, opset_for
from bench.measure.environment import distribution_version
from bench.measure.nvml import ask
from bench.measure.precision import report_engine
from bench.precision import PRECISIONS, Precision, unsupported_reason
from bench.records.schema import Build, EffectivePrecision
from bench.trt.build import build_engine, keeps_timing
from bench.trt.engine import Engine, EngineRefusedError
from bench.trt.library import Library
from bench.trt.options import Options, parse_options

# Whole folders that decide an engine beside weights, precision and shapes; an engine of another text is not this one.
_SOURCES = ("lowering", "trt", "vocoders")

# Kept by TensorRT 8.6 if it can, docs/tensorrt.md. Of v3 the trunk, and convolutions but for the two last stages.
DEFAULT_FLOAT32 = {
    "v3": r"conv_pre|ups|conv_post|trunk|resblocks\.\d+$|resblocks\.(\d|1[01])\.convs",
    "v4": r"conv_pre|ups\.[01]",
}

_ACCUMULATOR = re.compile(r"_f16f16_f16f(16|32)_")

# How the inspector writes data types.
# Looked at in this order: "float8" and "bfloat16" hold the word that stands for float32.
_FORMATS = {
    "int8": ("int8",),
    "float8": ("fp8", "float8", "e4m3"),
    "bfloat16": ("bfloat16", "bf16"),
    "float16": ("half", "fp16"),
    "float32": ("float", "fp32"),
}
_TF32 = "tf32"


def prepare_native(library: Library, request: Request) -> Runner:
    """Exports, builds or fetches, and loads an engine.

    Raises:
        UnsupportedError: the library cannot do what the case asks for, or its shape is outside the profiles.
        WrongOutputError: the engine is not what the label says.
        InputError: an option's value is none.
    """
    precision = request.precision
    options = parse_options(dict(request.case.options), (request.case.batch, request.case.frames))
    _check(library, request, options)
    made: dict[str, Any] = {}
    key = engine_key(library, request, options)

    def build() -> bytes:
        return _build(library, request, options, made)

    loaded, found, load_s = _load(library, request, options, key, build)
    layers = loaded.layers()
    details = {
        library.trt.__name__: library.version,
        "opset": opset_for(library.strongly_typed, precision.dtype),
        **({"activation": options.activation} if request.case.version == "v3" else {}),
        "shapes": str(options.shapes),
        **({"float32": kept} if (kept := kept_layers(library, request, options)) else {}),
        "context_bytes": loaded.context_bytes,
        "layers": len(layers),
        **({"accumulators": sums} if (sums := accumulators(layers)) else {}),
        **made,
        **({"cache": found.note} if found.note else {}),
    }
    return Runner(
        run=loaded,
        dtype=precision.dtype,
        build=Build(
            seconds=0.0,
            engine_bytes=len(found.plan),
            details=details,
            build_s=found.build_s,
            load_s=load_s,
            from_cache=found.from_cache,
        ),
        effective=lambda mel: _effective(library, loaded, precision, mel),
        takes=loaded.takes,
        close=loaded.close,
    )


def _check(library: Library, request: Request, options: Options) -> None:
    precision, case = request.precision, request.case
    reason = None if library.rtx else unsupported_reason(precision, request.device)
    if reason is not None:
        raise UnsupportedError(reason)
    if precision.autocast:
        raise UnsupportedError("TensorRT has no autocast; fp16 and bf16 are its lower precisions.")
    if precision.dtype is torch.bfloat16 and not library.has_bfloat16:
        raise UnsupportedError(f"{library.name} {library.version} has no bfloat16 for every layer; TensorRT 10.0 has.")
    if options.float32 and (precision.dtype is torch.float32 or precision.quantised):
        raise UnsupportedError("option float32 is for fp16 and bf16.")
    if precision.quantised == "float8" and not library.strongly_typed:
        raise UnsupportedError(f"{library.name} {library.version} has no fp8 in graphs; TensorRT 10.0 has.")
    if options.shapes.pick((case.batch, case.frames)) is None:
        raise UnsupportedError(
            f"batch {case.batch} with {case.frames} frames is outside the engine's profile (smallest_best_largest "
            f"batch x frames: {options.shapes}); give a larger one with the option shapes."
        )


def engine_key(library: Library, request: Request, options: Options) -> dict[str, str]:
    """Everything that an engine depends on, by name."""
    given = {
        f"option {name}": value
        for name, value in request.case.options
        # How it is run, not how it is built; or below, with what it comes to.
        if name not in ("shapes", "cuda_graph", "timing_cache", "activation", "float32")
    }
    return {
        "version": request.case.version,
        "backend": request.case.backend,
        "precision": request.precision.name,
        "shapes": str(options.shapes),
        "weights": request.weights,
        "graph": graph_digest(),
        "torch": torch.__version__,
        **given,
        **_calibration(request.precision),
        "activation": options.activation,
        "float32": kept_layers(library, request, options),
        "float32 is asked for": str(bool(options.float32)),
        **timing_identity(library, request.device),
    }


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


def _calibration(precision: Precision) -> dict[str, str]:
    """What the scales of a quantised graph come from."""
    if not precision.quantised:
        return {}
    return {"scales": f"{audio_identity(default_speech())}, modelopt {distribution_version('nvidia-modelopt')}"}


def timing_identity(library: Library, device: torch.device) -> dict[str, str]:
    """What kernels' times depend on."""
    cuda = device.type == "cuda"
    return {
        "library": library.name,
        "library version": library.version,
        "gpu": torch.cuda.get_device_name(device) if cuda else "none",
        "compute capability": ".".join(map(str, torch.cuda.get_device_capability(device))) if cuda else "none",
        "driver": ask("nvmlSystemGetDriverVersion") or "none",
    }


@cache
def graph_digest() -> str:
    """SHA-256 over the text of the modules that an engine's graph comes from."""
    digest = hashlib.sha256()
    for folder in _SOURCES:
        for file in sorted((files("bench") / folder).iterdir(), key=lambda file: file.name):
            if file.name.endswith(".py"):
                digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _load(
    library: Library, request: Request, options: Options, key: Mapping[str, str], build: Callable[[], bytes]
) -> tuple[Engine, CachedEngine, float]:
    found = _fetch(request.store, key, build)
    started = time.perf_counter()
    try:
        engine = _open(library, request, options, found.plan)
        return engine, found, (found.read_s or 0.0) + time.perf_counter() - started
    except EngineRefusedError as error:
        if request.store is None or not found.from_cache:
            raise WrongOutputError(f"{error} that it built.") from error
        request.store.discard(key, str(error))
    found = _fetch(request.store, key, build)
    started = time.perf_counter()
    return _open(library, request, options, found.plan), found, time.perf_counter() - started


def _fetch(store: EngineStore | None, key: Mapping[str, str], build: Callable[[], bytes]) -> CachedEngine:
    if store is not None:
        return store.fetch(key, build)
    started = time.perf_counter()
    plan = build()
    return CachedEngine(plan, from_cache=False, build_s=time.perf_counter() - started, read_s=None, file=None, note="")


def _open(library: Library, request: Request, options: Options, plan: bytes) -> Engine:
    engine = Engine(library, plan, options.shapes, request.precision.dtype, request.device, options.cuda_graph)
    needed = len(plan) + engine.context_bytes
    if options.memory_mib is not None and needed > options.memory_mib << 20:
        engine.close()
        raise torch.OutOfMemoryError(
            f"the engine takes {needed >> 20} MiB of device memory, weights and context, "
            f"more than memory_mib={options.memory_mib}"
        )
    return engine


def _build(library: Library, request: Request, options: Options, made: dict[str, Any]) -> bytes:
    precision, device = request.precision, request.device
    kept = kept_layers(library, request, options)
    identity = timing_identity(library, device)
    store = request.store if keeps_timing(library, options) else None
    timing = b"" if store is None else store.read_timing(identity)

    def keep(blob: bytes, join: Callable[[bytes, bytes], bytes]) -> None:
        if store is not None:
            store.merge_timing(identity, blob, join)

    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "vocoder.onnx"
        started = time.perf_counter()
        _export(library, request, options, kept, file)
        exported = time.perf_counter()
        plan = build_engine(library, file, precision, request.mel.shape[1], options, kept, timing, keep)
    made |= {
        "export_s": exported - started,
        "engine_build_s": time.perf_counter() - exported,
        "timing_cache_bytes": len(timing),
    }
    return plan


def _export(library: Library, request: Request, options: Options, kept: str, file: Path) -> None:
    precision = request.precision

    def export(mel: Tensor) -> None:
        export_onnx(
            request.vocoder,
            mel,
            file,
            opset_for(library.strongly_typed, precision.dtype),
            dynamic=options.shapes.dynamic,
            float32=kept,
            activation=options.activation,
            quantised=precision.name if precision.quantised else "",
        )

    # Weak typing takes a float32 graph; the engine's input and output are set apart.
    mel = request.mel.to(precision.dtype) if library.strongly_typed else request.mel
    if precision.quantised:
        mel = mel.cpu()  # where Model Optimizer compiles no extension of its own
    try:
        # Tracing runs the network once, for which a processor needs minutes at large shapes.
        export(mel)
    except torch.OutOfMemoryError:
        export(mel.cpu())
    if mel.is_cuda:
        torch.cuda.empty_cache()  # The builder does not allocate through PyTorch.


def _effective(library: Library, engine: Engine, precision: Precision, mel: Tensor) -> EffectivePrecision:
    output = engine(mel).dtype
    found = convolution_types(engine.layers())
    wanted = precision.quantised or str(precision.dtype).removeprefix("torch.")
    ran = {wanted} | ({_TF32} if precision.tf32 else set())
    compute = ", ".join(f"{name} ({count})" for name, count in found.items())
    evidence = "data types of the convolutions by TensorRT's engine inspector"
    if not found and library.rtx:
        # It compiles kernels where it runs, so that an engine may not show them yet.
        compute, evidence = wanted, "data types of the graph, kept by a strongly typed network"
    elif not ran & found.keys():
        raise WrongOutputError(f"labelled {precision.name}, but its convolutions ran in {compute or 'nothing'}.")
    elif precision.quantised and 2 * found[wanted] < sum(found.values()):
        raise WrongOutputError(f"labelled {precision.name}, but most of its convolutions ran otherwise: {compute}.")
    elif precision.dtype is torch.float32 and found.keys() - ran:
        raise WrongOutputError(f"labelled {precision.name}, but convolutions ran in {compute}.")
    return report_engine(
        precision,
        mel.device,
        weights=", ".join(dict.fromkeys("float32" if name == _TF32 else name for name in found)) or wanted,
        compute=compute,
        output=output,
        evidence=evidence,
        tf32=_TF32 in found,
    )


def convolution_types(layers: list[Any]) -> dict[str, int]:
    """Data types that an engine's convolutions take, with the number of convolutions of each.

    ``tf32`` is float32 whose kernel, by its name, computes in TF32.

    Args:
        layers: The inspector's ``Layers``, objects at detailed verbosity.
    """
    counts: dict[str, int] = {}
    for layer in layers:
        if not _is_convolution(layer):
            continue
        text = str(layer["Inputs"][0].get("Format/Datatype", "")).lower()
        for name, spellings in _FORMATS.items():
            if any(spelling in text for spelling in spellings):
                if name == "float32" and _TF32 in str(layer.get("TacticName", "")):
                    name = _TF32
                counts[name] = counts.get(name, 0) + 1
                break
    return counts


def accumulators(layers: list[Any]) -> str:
    """Data types that an engine's float16 convolutions add in, with the number of convolutions of each.

    From the kernels' names, in which ``f16f16_f16f32`` is float16 inputs and float32 sums; empty where the names do
    not tell. Sums in float16 are noisier, and nothing else in an engine shows them.

    Args:
        layers: The inspector's ``Layers``, objects at detailed verbosity.
    """
    found = [
        match[1]
        for layer in layers
        if _is_convolution(layer) and (match := _ACCUMULATOR.search(str(layer.get("TacticName", ""))))
    ]
    counts = Counter(f"float{bits}" for bits in found)
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))


def _is_convolution(layer: Any) -> bool:
    # CaskConvolution, CaskDeconvolutionV2, CaskGemmDeconvolution and what other versions call them.
    return isinstance(layer, dict) and "convolution" in str(layer.get("LayerType", "")).lower()
