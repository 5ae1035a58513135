"""Where does the time of an engine go?

    python studies/layers.py v3 tensorrt-onnx:level=1 --precision fp16 --frames t_ref [--engine-cache DIR] [--top 20]

Takes the engine from the cache, or builds it, and lets TensorRT's profiler time every layer. It runs them one after the
other, so that their sum is more than an inference takes; what it shows is proportions. Needs TensorRT and an NVIDIA
GPU. Prints a table by what the layers do, then the slowest ones.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.backends import find_backend
from bench.errors import InputError, UnsupportedError
from bench.measure.sampling import StopRule
from bench.run.options import AXES
from bench.run.session import Session
from bench.run.settings import Settings
from bench.run.sweep import Profile
from bench.trt.engine import Engine

KINDS = {
    "convolution": "convolutions",
    "deconvolution": "transposed convolutions",
    "matrixmultiply": "matrix products",
    "pointwise": "arithmetic of elements",
    "elementwise": "arithmetic of elements",
}


def kind(layer: Mapping[str, Any]) -> str:
    """What a layer does, from what the engine's inspector says of it."""
    name = str(layer["LayerType"])
    if name == "Reformat":
        before, after = (str(layer[end][0]["Format/Datatype"]) for end in ("Inputs", "Outputs"))
        if ("linear" in before) != ("linear" in after):
            return "changes of memory layout"
        return "copies" if before == after else "copies into another data type"
    # The longest that fits: a deconvolution is called one, too.
    found = [word for word in KINDS if word in name.lower()]
    return KINDS[max(found, key=len)] if found else name


def by_kind(times: Mapping[str, float], layers: Sequence[Any]) -> list[tuple[str, int, float]]:
    """Kind, number of layers and their milliseconds, the slowest kind first; layers without work are left out."""
    known = {layer["Name"]: layer for layer in layers if isinstance(layer, dict)}
    found: defaultdict[str, list[float]] = defaultdict(list)
    for name, ms in times.items():
        if ms > 0:
            found[kind(known[name]) if name in known else "unknown"].append(ms)
    rows = [(title, len(seen), sum(seen)) for title, seen in found.items()]
    return sorted(rows, key=lambda row: -row[2])


def main() -> int:
    """Prints the tables; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", choices=("v3", "v4"))
    parser.add_argument("backend", help="as for --backends, such as tensorrt-onnx:level=1")
    parser.add_argument("--precision", default="fp16")
    parser.add_argument("--batch", default="1")
    parser.add_argument("--frames", default="t_ref")
    parser.add_argument("--engine-cache", help="folder of the engine cache")
    parser.add_argument("--top", type=int, default=20, help="how many of the slowest layers to name")
    arguments = parser.parse_args()
    device = torch.device("cuda:0")
    try:
        axes = (arguments.version, arguments.backend, arguments.precision, arguments.batch, arguments.frames)
        grid = {axis: [value] for axis, value in zip(AXES, axes, strict=True)}
        case = Profile("layers", (grid,), StopRule()).cases()[0].without("cuda_graph")
        backend = find_backend(case.backend)
        reason = backend.unavailable_reason(device) if torch.cuda.is_available() else "needs an NVIDIA GPU"
        if reason:
            raise InputError(reason)
        settings = Settings("layers", device=str(device), engine_cache=arguments.engine_cache)
        with Session(settings) as session, session.open(case) as prepared:
            engine = prepared.runner.run
            if not isinstance(engine, Engine):
                raise InputError(f"{case.backend} has no engine whose layers TensorRT would time")
            with session.active(case):
                times = engine.layer_times_ms(prepared.mel)
            layers = engine.layers()
    except (InputError, UnsupportedError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    total = sum(times.values())
    print(f"{case.id}: {total:.2f} ms in {sum(ms > 0 for ms in times.values())} layers, timed one by one\n")
    for title, count, ms in by_kind(times, layers):
        print(f"{title:<34}{count:>6}{ms:>9.3f} ms{ms / total:>7.0%}")
    print()
    for layer_name, ms in sorted(times.items(), key=lambda item: -item[1])[: arguments.top]:
        print(f"{1000 * ms:>9.1f} us  {layer_name[:140]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
