"""What the native backends share: from a request to a runner, through the engine cache."""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.backend import Request, Runner
from bench.engine_cache import CachedEngine, EngineCache
from bench.errors import UnsupportedError, WrongOutputError
from bench.lowering.onnx_export import export_onnx, opset_for
from bench.lowering.quantization import PACKAGE
from bench.measure.environment import distribution_version
from bench.measure.precision import report_engine
from bench.precision import Precision, unsupported_reason
from bench.records.schema import Build, EffectivePrecision
from bench.trt.build import build_engine, keeps_timing
from bench.trt.engine import Engine, EngineRefusedError
from bench.trt.float32 import kept_layers
from bench.trt.inspector import TF32, accumulators, convolution_types
from bench.trt.key import engine_key, timing_identity
from bench.trt.library import Library
from bench.trt.options import Options, options_of


def prepare_native(library: Library, request: Request) -> Runner:
    """Exports, builds or fetches, and loads an engine.

    Raises:
        UnsupportedError: the library cannot do what the case asks for, or its shape is outside the profiles.
        WrongOutputError: the engine is not what the label says.
        InputError: an option's value is none.
    """
    precision = request.precision
    options = options_of(request.case)
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
        **({"modelopt": distribution_version(PACKAGE)} if precision.quantised else {}),
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


def _load(
    library: Library, request: Request, options: Options, key: Mapping[str, str], build: Callable[[], bytes]
) -> tuple[Engine, CachedEngine, float]:
    found = _fetch(request.engine_cache, key, build)
    started = time.perf_counter()
    try:
        engine = _open(library, request, options, found.plan)
        return engine, found, (found.read_s or 0.0) + time.perf_counter() - started
    except EngineRefusedError as error:
        if request.engine_cache is None or not found.from_cache:
            raise WrongOutputError(f"{error} that it built.") from error
        request.engine_cache.discard(key, str(error))
    found = _fetch(request.engine_cache, key, build)
    started = time.perf_counter()
    return _open(library, request, options, found.plan), found, time.perf_counter() - started


def _fetch(cache: EngineCache | None, key: Mapping[str, str], build: Callable[[], bytes]) -> CachedEngine:
    if cache is not None:
        return cache.fetch(key, build)
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
    cache = request.engine_cache if keeps_timing(library, options) else None
    timing = b"" if cache is None else cache.read_timing(identity)

    def keep(blob: bytes, join: Callable[[bytes, bytes], bytes]) -> None:
        if cache is not None:
            cache.merge_timing(identity, blob, join)

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
    ran = {wanted} | ({TF32} if precision.tf32 else set())
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
        weights=", ".join(dict.fromkeys("float32" if name == TF32 else name for name in found)) or wanted,
        compute=compute,
        output=output,
        evidence=evidence,
        tf32=TF32 in found,
    )
