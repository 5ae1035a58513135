"""Which form of BigVGAN's alias-free activation does an engine run fastest?

    python studies/activations.py [--shape 96x29952 ...] [--form NAME ...] [--level 3] [--workers 2]

Each form stands between two convolutions, as in the graph of a lowered vocoder, because what an engine loses on the
way between memory layouts belongs to its price; the two convolutions alone are timed too and subtracted. Needs
TensorRT and an NVIDIA GPU. Engines are built by several processes at once, which slows each down and disturbs its
choice of kernels, then timed one after the other. Prints a table, and with ``--layers FILE`` writes what each engine's
layers took.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.lowering.conv2d import in_planes
from bench.vocoders.alias_free import AliasFreeActivation
from studies.activation_forms import FORMS
from studies.float16_sums import count

# Channels and samples of four of BigVGAN's six stages at 468 mel frames.
SHAPES = ((768, 1872), (384, 7488), (96, 29952), (24, 119808))
CONVOLUTIONS = "two convolutions alone"
WARM, ROUNDS = 20, 60


class Sandwich(nn.Module):
    """An activation between two convolutions, in a form that knows the samples of a mel frame.

    Around them the names of a generator's first and last layer, by which :func:`in_planes` knows where its trunk ends.
    """

    def __init__(self, channels: int, rate: int, form: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv_pre, self.conv_post = nn.Identity(), nn.Identity()
        self.first = nn.Conv1d(channels, channels, 3, padding=1)
        self.last = nn.Conv1d(channels, channels, 3, padding=1)
        original = AliasFreeActivation(channels, beta=True, logscale=True)
        with torch.no_grad():
            for values in original.act.parameters():
                values.normal_(0, 0.3)
        self.act = nn.Identity() if form == CONVOLUTIONS else FORMS[form](original, rate)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(1, channels, samples)`` to the same shape."""
        y: Tensor = self.conv_post(self.last(self.act(self.first(self.conv_pre(x)))))
        return y


def build(form: str, shape: tuple[int, int], rate: int, level: int, folder: Path) -> tuple[str, float]:
    """Writes the engine of a form; returns the reason why there is none, or nothing, and the seconds."""
    import tensorrt as trt

    started = time.perf_counter()
    name = file_name(form, shape)
    model = in_planes(Sandwich(shape[0], rate, form).eval())
    onnx_file = folder / f"{name}.onnx"
    with torch.no_grad():
        torch.onnx.export(
            model,
            (torch.zeros(1, *shape),),
            str(onnx_file),
            input_names=["x"],
            output_names=["y"],
            opset_version=17,
            dynamo=False,
            do_constant_folding=True,
        )
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx_file)):
        return str(parser.get_error(0)), time.perf_counter() - started
    network.get_input(0).dtype = network.get_output(0).dtype = trt.float16
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.builder_optimization_level = level
    config.set_flag(trt.BuilderFlag.FP16)
    sources = trt.TacticSource
    config.set_tactic_sources(1 << int(sources.EDGE_MASK_CONVOLUTIONS) | 1 << int(sources.JIT_CONVOLUTIONS))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        return "no engine", time.perf_counter() - started
    (folder / f"{name}.engine").write_bytes(bytes(plan))
    return "", time.perf_counter() - started


def file_name(form: str, shape: tuple[int, int]) -> str:
    """A file's stem."""
    return f"{form.replace(' ', '_').replace(',', '')}-{shape[0]}x{shape[1]}"


def measure(form: str, shape: tuple[int, int], folder: Path) -> tuple[float, float, list[tuple[str, float]]]:
    """Median milliseconds of the engine, its error against float32 in dB, and its layers' milliseconds."""
    import tensorrt as trt

    logger = trt.Logger(trt.Logger.ERROR)
    runtime = trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine((folder / f"{file_name(form, shape)}.engine").read_bytes())
    context = engine.create_execution_context()
    torch.manual_seed(1)
    x = torch.randn(1, *shape, device="cuda", dtype=torch.float16)
    y = torch.empty_like(x)
    context.set_tensor_address("x", x.data_ptr())
    context.set_tensor_address("y", y.data_ptr())
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call] # PyTorch's annotations end here
    with torch.cuda.stream(stream), torch.no_grad():
        context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            context.execute_async_v3(stream.cuda_stream)
        for _ in range(WARM):
            graph.replay()
        times = []
        for _ in range(ROUNDS):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call] # PyTorch's annotations end here
            start.record()
            graph.replay()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
        truth = Sandwich(*shape, "original" if form != CONVOLUTIONS else form).eval().cuda()(x.float())
        error_db = float(10 * torch.log10(truth.pow(2).sum() / (y.float() - truth).pow(2).sum()))
    return float(np.median(times)), error_db, layers(trt, engine, x, y)


def layers(trt: Any, engine: Any, x: Tensor, y: Tensor) -> list[tuple[str, float]]:
    """Each layer's median milliseconds, by TensorRT's own profiler."""
    seen: dict[str, list[float]] = {}

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            seen.setdefault(layer_name, []).append(ms)

    context = engine.create_execution_context()
    context.profiler = Profiler()
    context.set_tensor_address("x", x.data_ptr())
    context.set_tensor_address("y", y.data_ptr())
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call] # PyTorch's annotations end here
    for _ in range(10):
        context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
    return [(name, float(np.median(times))) for name, times in seen.items()]


def channels_and_samples(text: str) -> tuple[int, int]:
    """A shape from a text such as ``96x29952``."""
    channels, _, samples = text.partition("x")
    try:
        return count(channels), count(samples)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"channels x samples such as 96x29952, not {text!r}") from error


def main() -> int:
    """Prints a row a form and shape; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shape",
        type=channels_and_samples,
        action="append",
        metavar="CHANNELSxSAMPLES",
        help=f"default: {', '.join(f'{channels}x{samples}' for channels, samples in SHAPES)}",
    )
    parser.add_argument("--form", action="append", choices=[*FORMS, CONVOLUTIONS], metavar="NAME")
    parser.add_argument("--frames", type=count, default=468, help="mel frames of the shapes (default: 468)")
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--layers", type=Path, metavar="FILE", help="write every layer's time as JSON")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("needs an NVIDIA GPU", file=sys.stderr)
        return 2
    shapes = arguments.shape or SHAPES
    if any(samples % arguments.frames for _, samples in shapes):
        print(f"error: samples of a shape are a multiple of its {arguments.frames} mel frames", file=sys.stderr)
        return 2
    names = [CONVOLUTIONS, *(arguments.form or FORMS)]
    jobs = [(form, shape) for form in names for shape in shapes]
    told: list[dict[str, Any]] = []
    print(f"{'form':<42}{'shape':>12}{'build s':>9}{'ms':>9}{'activation us':>15}{'SNR dB':>8}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(arguments.workers, mp_context=context) as pool:
            futures = [
                pool.submit(build, form, shape, shape[1] // arguments.frames, arguments.level, folder)
                for form, shape in jobs
            ]
            built = [future.result() for future in futures]
        alone: dict[tuple[int, ...], float] = {}
        for (form, shape), (reason, seconds) in zip(jobs, built, strict=True):
            start = f"{form:<42}{shape[0]:>5}x{shape[1]:<6}{seconds:>9.1f}"
            if reason:
                print(f"{start}  {reason}", flush=True)
                continue
            median_ms, error_db, profile = measure(form, shape, folder)
            alone.setdefault(shape, median_ms)
            activation_us = 1000 * (median_ms - alone[shape])
            print(f"{start}{median_ms:>9.4f}{activation_us:>15.1f}{error_db:>8.1f}", flush=True)
            told.append({"form": form, "shape": shape, "ms": median_ms, "build_s": seconds, "layers": profile})
    if arguments.layers:
        arguments.layers.write_text(json.dumps(told, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
