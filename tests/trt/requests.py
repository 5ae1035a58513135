"""Requests for engines that the CPU can answer, and imports that fail."""

from collections.abc import Sequence
from types import ModuleType

import torch

from bench.backend import Request
from bench.case import Case
from bench.precision import PRECISIONS
from bench.vocoders.hifigan import HifiGan, HifiGanConfig
from bench.vocoders.synthetic import initialise

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")
FRAMES = 3


def tiny() -> HifiGan:
    """A v4 generator small enough to export again and again."""
    config = HifiGanConfig(
        upsample_initial_channel=8,
        upsample_rates=(2,),
        upsample_kernel_sizes=(4,),
        resblock_kernel_sizes=(3,),
        resblock_dilation_sizes=((1, 3),),
    )
    model = HifiGan(config)
    initialise(model, 0)
    return model.eval().requires_grad_(False)


def request(backend: str, precision: str = "fp32", **options: str) -> Request:
    """A request on the CPU, where the fakes run; a GPU is only asked for by ``unavailable_reason``."""
    case = Case("v4", backend, precision, 1, FRAMES, tuple(sorted(options.items())))
    return Request(tiny(), case, PRECISIONS[precision], torch.randn(1, 100, FRAMES), CPU)


class FailingImport:
    """A finder that makes the import of one module raise."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name, self.error = name, error

    def find_spec(self, name: str, _: Sequence[str] | None, __: ModuleType | None = None) -> None:
        """Raises for that module."""
        if name == self.name:
            raise self.error
