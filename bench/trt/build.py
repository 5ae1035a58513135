"""From an ONNX file to a serialised engine, with TensorRT 8.6, 10, 11 or TensorRT-RTX.

The graph carries the data types, and strongly typed networks take them as they are. 8.6 has weak typing only: it
gets a float32 graph and a flag that permits float16, because it refuses graphs with float16 weights.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench.errors import InputError, UnsupportedError
from bench.precision import Precision
from bench.trt.float32 import hold_float32
from bench.trt.library import Library
from bench.trt.options import Options

MEL, AUDIO = "mel", "audio"


def build_engine(
    library: Library,
    file: Path,
    precision: Precision,
    bands: int,
    options: Options,
    float32: str = "",
    timing: bytes = b"",
    keep_timing: Callable[[bytes, Callable[[bytes, bytes], bytes]], None] = lambda *_: None,
) -> bytes:
    """Builds an engine.

    Args:
        library: Which TensorRT.
        file: ONNX with input ``mel`` and output ``audio``, in the precision's data type.
        precision: What the engine shall compute in.
        bands: Mel bands.
        options: How to build.
        float32: Pattern of the layers to keep in float32. Where typing is weak, the builder must obey if the options
            ask for them, else it shall if it can.
        timing: What :func:`bench.engine_cache.EngineCache.read_timing` gave.
        keep_timing: Takes the timing cache after the build, and a function that joins two.

    Raises:
        UnsupportedError: this TensorRT cannot read the graph or build the engine, or lacks an option.
        InputError: an unknown tactic source, or a pattern that names no layer.
    """
    trt, logger = library.trt, library.logger()
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(file)):
        raise UnsupportedError(f"{library.name} {library.version} cannot read the graph: {parser.get_error(0)}")
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    _set_types(library, config, network, precision)
    if float32 and not library.strongly_typed:
        hold_float32(trt, config, network, float32, asked=bool(options.float32))
    _set_options(library, config, options)
    if options.shapes.dynamic:
        for profile in options.shapes.profiles:
            ranges = builder.create_optimization_profile()
            ends = ((batch, bands, frames) for batch, frames in (profile.smallest, profile.best, profile.largest))
            ranges.set_shape(MEL, *ends)
            config.add_optimization_profile(ranges)
    cache = None
    if keeps_timing(library, options):
        cache = config.create_timing_cache(timing)
        config.set_timing_cache(cache, False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        held = (options.float32 or "") if not library.strongly_typed else ""
        kept = f" with {held} held to float32; try it without the option float32" if held else ""
        raise UnsupportedError(f"{library.name} {library.version} could not build an engine for this graph{kept}.")
    if cache is not None:
        keep_timing(_bytes(cache.serialize()), _joiner(builder))
    return _bytes(plan)


def keeps_timing(library: Library, options: Options) -> bool:
    """Whether builds start from the kernels' times of earlier ones.

    TensorRT-RTX compiles kernels where it runs, and has none. With 8.6 on an H100 every process that used a timing
    cache ended in a segmentation fault, and none could read one again: there it is for those who ask for it.
    """
    return not library.rtx and (library.strongly_typed if options.timing_cache is None else options.timing_cache)


def _network_flags(trt: Any) -> int:
    flags = 0
    for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED"):
        # By name: the bits have other values in every major version.
        if hasattr(trt.NetworkDefinitionCreationFlag, name):
            flags |= 1 << int(getattr(trt.NetworkDefinitionCreationFlag, name))
    return flags


def _set_types(library: Library, config: Any, network: Any, precision: Precision) -> None:
    trt = library.trt
    if hasattr(trt.BuilderFlag, "TF32"):
        # On by default, also in "fp32" builds. Where typing is weak, a float16 network may need a float32 kernel for
        # a layer that float16 has none for, and 8.6 has some for TF32 only.
        half = precision.dtype is torch.float16 and not library.strongly_typed
        (config.set_flag if precision.tf32 or half else config.clear_flag)(trt.BuilderFlag.TF32)
    if library.strongly_typed or precision.dtype is not torch.float16:
        return
    config.set_flag(trt.BuilderFlag.FP16)
    if precision.quantised:
        config.set_flag(trt.BuilderFlag.INT8)
    for tensor in (network.get_input(0), network.get_output(0)):
        tensor.dtype = trt.float16


def _set_options(library: Library, config: Any, options: Options) -> None:
    trt = library.trt
    if options.level is not None:
        _set(library, config, "builder_optimization_level", options.level, "level")
    if options.streams is not None:
        _set(library, config, "max_aux_streams", options.streams, "streams")
    limits = {"WORKSPACE": [options.workspace_mib, options.memory_mib], "TACTIC_DRAM": [options.memory_mib]}
    for pool, sizes in limits.items():
        given = [size for size in sizes if size is not None]
        if given and hasattr(trt.MemoryPoolType, pool):
            config.set_memory_pool_limit(getattr(trt.MemoryPoolType, pool), min(given) << 20)
    if options.tactics:
        if not hasattr(config, "set_tactic_sources"):
            raise UnsupportedError(f"{library.name} {library.version} has no option tactics.")
        config.set_tactic_sources(_tactics(library, options.tactics))


def _set(library: Library, config: Any, attribute: str, value: int, option: str) -> None:
    if not hasattr(config, attribute):
        raise UnsupportedError(f"{library.name} {library.version} has no option {option}.")
    setattr(config, attribute, value)


def _tactics(library: Library, names: tuple[str, ...]) -> int:
    known = library.trt.TacticSource
    sources = 0
    for name in names:
        if not hasattr(known, name):
            listed = ", ".join(sorted(known.__members__))
            raise InputError(
                f"option tactics: {library.name} {library.version} has no source {name!r}; it has {listed}"
            )
        sources |= 1 << int(getattr(known, name))
    return sources


def _joiner(builder: Any) -> Callable[[bytes, bytes], bytes]:
    def join(first: bytes, second: bytes) -> bytes:
        config = builder.create_builder_config()
        joined = config.create_timing_cache(second)
        # Entries of another library or GPU do not match; they are left out.
        joined.combine(config.create_timing_cache(first), True)
        return _bytes(joined.serialize())

    return join


def _bytes(memory: Any) -> bytes:
    return bytes(memoryview(memory))
