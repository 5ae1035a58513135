"""PyTorch's own kernels, captured in one CUDA graph a shape and replayed without the host."""

import torch
from torch import Tensor

from bench.backend import Backend, Request, Runner, register
from bench.backends.eager import place
from bench.errors import UnsupportedError
from bench.lowering.graphs import CudaCapture, ShapeGraphs
from bench.measure.precision import observe
from bench.records.schema import Build


@register
class CudaGraph(Backend):
    """Eager, with nothing left for Python to launch: what the same kernels cost when the host is no hindrance."""

    name = "cuda-graph"

    def unavailable_reason(self, device: torch.device) -> str | None:
        """None on a GPU."""
        return None if device.type == "cuda" else "CUDA graphs need an NVIDIA GPU."

    def prepare(self, request: Request) -> Runner:
        """Captures the case's shape; another shape is captured when it comes."""
        precision = request.precision
        if precision.autocast:
            raise UnsupportedError("a graph of autocast would convert the weights at every replay: take fp16 or bf16.")
        model = place(request)
        graphs = ShapeGraphs(model, CudaCapture(request.device))
        graphs(request.mel.to(precision.dtype))

        def run(mel: Tensor) -> Tensor:
            return graphs(mel)

        return Runner(
            run=run,
            dtype=precision.dtype,
            build=Build(seconds=0.0, details={"graph_pool_bytes": graphs.pool_bytes()}),
            takes=lambda _: True,
            close=graphs.close,
            # The profiler sees no operators in a replay; these are the kernels that were captured.
            effective=lambda mel: observe(model, mel, precision),
        )
