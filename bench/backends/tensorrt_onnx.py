"""Native TensorRT from ONNX, 8.6 to 11.x in one code path."""

import torch

from bench.backends.base import Backend, Request, Runner, register
from bench.case import Case
from bench.errors import UnsupportedError
from bench.trt.library import import_library
from bench.trt.native import prepare_native
from bench.trt.options import NAMES, parse_options
from bench.trt.shapes import static_twin


@register
class TensorRtOnnx(Backend):
    """``torch.onnx`` to TensorRT's parser; options in :class:`bench.trt.options.Options`."""

    name = "tensorrt-onnx"
    options = NAMES

    def unavailable_reason(self, device: torch.device) -> str | None:
        """No GPU, or no TensorRT."""
        if device.type != "cuda":
            return "TensorRT needs an NVIDIA GPU."
        return import_library()[1] or None

    def check(self, case: Case) -> None:
        """Reads the options."""
        parse_options(dict(case.options), (case.batch, case.frames))

    def static_twin(self, case: Case) -> Case | None:
        """The case with an engine for its shape alone."""
        return static_twin(case)

    def prepare(self, request: Request) -> Runner:
        """Exports, builds or fetches, and loads an engine."""
        library, reason = import_library()
        if library is None:
            raise UnsupportedError(reason)
        return prepare_native(library, request)
