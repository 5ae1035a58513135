"""Requests of small vocoders for backends that run on a processor."""

import torch

from bench.backend import Request
from bench.case import Case
from bench.engine_cache import EngineCache
from bench.precision import PRECISIONS
from tests.conftest import small_v3


def small_request(
    backend: str,
    precision: str = "fp32",
    batch: int = 1,
    frames: int = 3,
    options: tuple[tuple[str, str], ...] = (),
    store: EngineCache | None = None,
) -> Request:
    """A request of a v3 with one stage and one residual block on the CPU."""
    torch.manual_seed(0)
    vocoder = small_v3(
        upsample_initial_channel=16,
        upsample_rates=[4],
        upsample_kernel_sizes=[8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[3]],
    )
    case = Case("v3", backend, precision, batch, frames, options)
    mel = torch.randn(batch, 100, frames)
    return Request(vocoder, case, PRECISIONS[precision], mel, torch.device("cpu"), "weights", store)
