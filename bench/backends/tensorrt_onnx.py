"""Native TensorRT from ONNX, 8.6 to 11.x in one code path."""

import torch

from bench.backend import Request, Runner, register
from bench.errors import UnsupportedError
from bench.trt.backend import EngineBackend
from bench.trt.library import import_library
from bench.trt.native import prepare_native
from bench.trt.options import NAMES


@register
class TensorRtOnnx(EngineBackend):
    """``torch.onnx`` to TensorRT's parser; options in :class:`bench.trt.options.Options`."""

    name = "tensorrt-onnx"
    options = NAMES
    keeps_engines = True

    def unavailable_reason(self, device: torch.device) -> str | None:
        """No GPU, or no TensorRT."""
        if device.type != "cuda":
            return "TensorRT needs an NVIDIA GPU."
        return import_library()[1] or None

    def prepare(self, request: Request) -> Runner:
        """Exports, builds or fetches, and loads an engine."""
        library, reason = import_library()
        if library is None:
            raise UnsupportedError(reason)
        return prepare_native(library, request)
