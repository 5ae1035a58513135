"""Our own kernels: one plan, two code paths, compiled at first use without a compiler on the machine."""

from typing import Any

import torch
from torch import Tensor

from bench.backend import Backend, Request, Runner, register
from bench.case import Case
from bench.errors import InputError, UnsupportedError
from bench.kernels import compile as compiling
from bench.kernels.network import PATHS, Network
from bench.kernels.plan import make_plan
from bench.kernels.runtime import Runtime
from bench.kernels.selfcheck import check
from bench.measure.precision import report_engine
from bench.records.schema import Build, EffectivePrecision

ELEMENTS = {"fp16": torch.float16, "bf16": torch.bfloat16}
DEFAULT_GRAPHS, MOST_GRAPHS = 8, 1000
HOPPER = (9, 0)
LEAST_CAPABILITY = (8, 0)


@register
class Fused(Backend):
    """Kernels of :mod:`bench.kernels`.

    Options: ``path`` is ``hopper`` or ``portable`` (by default what the GPU is); ``graphs`` the number of shapes that
    keep their memory and CUDA graph.
    """

    name = "fused"
    options = ("graphs", "path")
    keeps_engines = True

    def unavailable_reason(self, device: torch.device) -> str | None:
        """No NVIDIA GPU since Ampere, or no NVRTC."""
        if device.type != "cuda":
            return "fused kernels need an NVIDIA GPU."
        capability = torch.cuda.get_device_capability(device)
        if capability < LEAST_CAPABILITY:
            return f"fused kernels need compute capability 8.0, this GPU has {capability[0]}.{capability[1]}."
        return compiling.unavailable_reason()

    def check(self, case: Case) -> None:
        """Raises :class:`InputError` for a value that an option does not have."""
        _graphs(case)
        path = dict(case.options).get("path")
        if path is not None and path not in PATHS:
            raise InputError(f"option path is {' or '.join(PATHS)}, not {path!r}")

    def prepare(self, request: Request) -> Runner:
        """Packs the weights, gets the kernels, and runs the case's shape until its graph exists."""
        self.check(request.case)
        element = ELEMENTS.get(request.precision.name)
        if element is None:
            raise UnsupportedError(f"fused kernels compute in {' and '.join(ELEMENTS)}, not {request.precision.name}.")
        path = _path(request)
        device = request.device
        with torch.inference_mode(), torch.cuda.device(device):
            torch.cuda.synchronize(device)
            network = Network(make_plan(request.vocoder, element), path, device)
            compiled = compiling.load(
                network.kernels, device, request.engine_cache, lambda kernel, module: check(kernel, module, device)
            )
            network.modules = compiled.modules
            runtime = Runtime(network, _graphs(request.case))
            details = _warm(runtime, request.mel)

        def run(mel: Tensor) -> Tensor:
            return runtime.run(mel)

        return Runner(
            run=run,
            dtype=torch.float32,
            build=Build(
                seconds=0.0,
                engine_bytes=compiled.size_bytes,
                details={"path": path, "weight_bytes": network.weight_bytes, **details},
                build_s=compiled.seconds,
                from_cache=compiled.from_cache if request.engine_cache is not None else None,
            ),
            takes=lambda shape: len(shape) == 3 and shape[1] == network.plan.bands and min(shape) > 0,
            effective=lambda mel: _effective(request, runtime, mel),
            close=runtime.close,
        )


def _graphs(case: Case) -> int:
    text = dict(case.options).get("graphs", str(DEFAULT_GRAPHS))
    if not text.isdecimal() or not 1 <= int(text) <= MOST_GRAPHS:
        raise InputError(f"option graphs is a whole number from 1 to {MOST_GRAPHS}, not {text!r}")
    return int(text)


def _path(request: Request) -> str:
    capability = torch.cuda.get_device_capability(request.device)
    path = dict(request.case.options).get("path", "hopper" if capability == HOPPER else "portable")
    if path == "hopper" and capability != HOPPER:
        major, minor = capability
        raise UnsupportedError(f"the hopper path needs compute capability 9.0, this GPU has {major}.{minor}.")
    return path


def _warm(runtime: Runtime, mel: Tensor) -> dict[str, Any]:
    """Runs the case's shape twice, which captures its graph; what it takes."""
    device, mel = mel.device, mel.float()
    runtime.run(mel)
    torch.cuda.synchronize(device)
    free = torch.cuda.mem_get_info(device)[0]
    runtime.run(mel)
    torch.cuda.synchronize(device)
    batch, _, frames = mel.shape
    counts = runtime.counts(batch, frames)
    return {
        "launches": sum(counts.values()),
        "kernels": counts,
        "graphs": runtime.graphs,
        "graph_bytes": max(free - torch.cuda.mem_get_info(device)[0], 0),
        "tensor_bytes": runtime.memory_bytes,
    }


def _effective(request: Request, runtime: Runtime, mel: Tensor) -> EffectivePrecision:
    """What the kernels that a call launches are compiled for and what they read."""
    audio = runtime.run(mel)
    batch, _, frames = mel.shape
    counts = runtime.counts(batch, frames)
    elements = sorted({kernel.element for kernel in runtime.network.modules if kernel.label in counts})
    weights = sorted({str(weight.dtype).removeprefix("torch.") for weight in runtime.network.products()})
    return report_engine(
        request.precision,
        request.device,
        weights=", ".join(weights),
        compute=", ".join(elements),
        output=audio.dtype,
        evidence=f"{sum(counts.values())} launches of {len(counts)} kernels for these elements, sums in float32",
    )
