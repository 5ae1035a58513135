"""TensorRT-RTX, NVIDIA's TensorRT for consumer cards: builds on any machine, compiles kernels where it runs."""

import torch

from bench.backend import Request, Runner, register
from bench.errors import UnsupportedError
from bench.trt.backend import EngineBackend
from bench.trt.library import import_library
from bench.trt.native import prepare_native
from bench.trt.options import NAMES


@register
class TensorRtRtx(EngineBackend):
    """The same graph as ``tensorrt-onnx``, always strongly typed; options in :class:`bench.trt.options.Options`."""

    name = "tensorrt-rtx"
    options = tuple(name for name in NAMES if name not in ("tactics", "timing_cache"))
    keeps_engines = True

    def unavailable_reason(self, device: torch.device) -> str | None:
        """No GPU, one that TensorRT-RTX does not run on, or no TensorRT-RTX."""
        if device.type != "cuda":
            return "TensorRT-RTX needs an NVIDIA GPU to run on; it builds engines without one."
        library, reason = import_library("tensorrt_rtx")
        if library is None:
            return reason
        major, minor = torch.cuda.get_device_capability(device)
        if not hasattr(library.trt.ComputeCapability, f"SM{major}{minor}"):
            return f"TensorRT-RTX {library.version} does not run on compute capability {major}.{minor}."
        return None

    def prepare(self, request: Request) -> Runner:
        """Exports, builds or fetches, and loads an engine."""
        library, reason = import_library("tensorrt_rtx")
        if library is None:
            raise UnsupportedError(reason)
        return prepare_native(library, request)
