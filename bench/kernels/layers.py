"""Layers that both code paths have: packed weights on the GPU, the kernels they may use, and how each is launched.

A layer is independent of any shape. ``choose`` picks a kernel for a shape out of ``kernels``; ``launch`` gives the
launch for it, addresses of device memory in, nothing run.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from bench.kernels import filters
from bench.kernels.driver import Launch, Module
from bench.kernels.plan import LastLayer
from bench.kernels.sources import Kernel, kernel

# No column tile of a convolution reads one sample later.
NEVER_SHIFTED = 1 << 30
LAST_SAMPLES, LAST_THREADS = 506, 256
ACTIVATION_WARPS, WARP = 4, 32
# Warps that fill a GPU for the activation, and the longest strip of blocks of 8 samples that one walks; by measurement
# on an H100 (docs/kernels.md).
ACTIVATION_TASKS, LONGEST_STRIP = 2800, 12


@dataclass
class Context:
    """What launches need beside the layer.

    Attributes:
        modules: Compiled kernels.
        element: Data type of tensors.
        processors: Multiprocessors of the GPU.
        overlap: Whether launches may overlap with the kernel in front.
        maps: Tensor maps made so far, by what they describe.
    """

    modules: Mapping[Kernel, Module]
    element: torch.dtype
    processors: int
    overlap: bool = False
    maps: dict[tuple[int, ...], bytes] = field(default_factory=dict)


class ConvolutionLayer(Protocol):
    """A convolution on one of the two code paths."""

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels that some shape may need."""

    def choose(self, batch: int, samples: int, processors: int) -> Kernel:
        """The kernel for a shape."""

    def launch(
        self, context: Context, chosen: Kernel, x: int, out: int, residual: int, batch: int, samples: int
    ) -> Launch:
        """The launch of ``chosen``; ``residual`` is an address or 0."""


def round_up(value: int, multiple: int) -> int:
    """The next multiple.

    >>> round_up(5, 4)
    8
    """
    return -(-value // multiple) * multiple


def bands_on(device: torch.device, element: torch.dtype) -> Tensor:
    """The filter's bands in the registers' order, on a GPU."""
    return filters.filter_bands(element).to(device).contiguous()


class ActivationLayer:
    """The alias-free activation of one layer.

    Args:
        snake: Its parameters ``(channels, 2)``.
        bands: From :func:`bands_on`.
        element: Data type of tensors.
    """

    def __init__(self, snake: Tensor, bands: Tensor, element: torch.dtype) -> None:
        self.channels = snake.shape[0]
        self.snake, self.bands = snake.to(bands.device).contiguous(), bands
        self.kernel = kernel("activation", element, CHANNELS=self.channels)
        self.kernels = (self.kernel,)

    def launch(self, context: Context, x: int, out: int, batch: int, samples: int) -> Launch:
        """``out = SCALE^2 activation(x)``."""
        groups = round_up(self.channels, 16) // 16
        all_blocks = groups * batch * -(-samples // 8)
        blocks = min(max(all_blocks // ACTIVATION_TASKS // 2 * 2, 2), LONGEST_STRIP)
        strips = -(-samples // (8 * blocks))
        tasks = batch * strips * groups
        arguments = (x, out, self.snake.data_ptr(), self.bands.data_ptr(), samples, blocks, strips, tasks)
        grid = (-(-tasks // ACTIVATION_WARPS), 1, 1)
        module = context.modules[self.kernel]
        return Launch(module, grid, ACTIVATION_WARPS * WARP, 0, "4P4i", arguments, overlap=context.overlap)


class MelLayer:
    """The mel as rows of high, low and high parts."""

    def __init__(self, bands: int, element: torch.dtype) -> None:
        self.bands, self.padded = bands, round_up(bands, 8)
        self.kernel = kernel("mel_rows", element)
        self.kernels = (self.kernel,)

    def launch(self, context: Context, mel: int, out: int, batch: int, frames: int) -> Launch:
        """float32 ``(batch, bands, frames)`` to ``(batch, frames, 3 padded)``."""
        arguments = (mel, out, self.bands, frames, self.padded)
        grid = (-(-frames // 32), -(-self.padded // 32), batch)
        return Launch(context.modules[self.kernel], grid, 256, 0, "2P3i", arguments)


class SumLayer:
    """The mean of the residual branches.

    Args:
        stored_leaky: Whether branches are stored as leaky ReLUs.
        branches: How many.
        slope: Of the leaky ReLU that is stored of the mean; 1 for none.
        element: Data type of tensors.
    """

    def __init__(self, stored_leaky: bool, branches: int, slope: float, element: torch.dtype) -> None:
        self.kernel = kernel("branch_sum", element, LEAKY_IN=int(stored_leaky), BRANCHES=branches)
        self.kernels = (self.kernel,)
        self.branches, self.slope = branches, slope

    def launch(self, context: Context, branches: list[int], out: int, elements: int) -> Launch:
        """``out`` of tensors of ``elements`` elements, a multiple of 8."""
        addresses = [*branches, *[0] * (4 - len(branches))]
        arguments = (*addresses, out, elements // 8, 1 / self.branches, self.slope)
        return Launch(context.modules[self.kernel], (-(-elements // 2048), 1, 1), 256, 0, "5PIff", arguments)


class FinalLayer:
    """The last activation and convolution, to float32 audio."""

    def __init__(self, last: LastLayer, bands: Tensor, element: torch.dtype) -> None:
        device = bands.device
        self.taps, self.channels = last.weight.shape
        self.weight, self.bias, self.tanh = last.weight.to(device).contiguous(), last.bias, last.tanh
        self.snake = None if last.snake is None else last.snake.to(device).contiguous()
        self.bands = bands
        self.kernel = kernel(
            "last_layer", element, CHANNELS=self.channels, TAPS=self.taps, SNAKE=int(self.snake is not None)
        )
        self.kernels = (self.kernel,)

    def launch(self, context: Context, x: int, out: int, batch: int, samples: int) -> Launch:
        """``(batch, samples, channels)`` to float32 ``(batch, 1, samples)``."""
        rows = (LAST_SAMPLES + self.taps - 1) | 1
        shared = self.channels // 8 * rows * 16 + self.taps * self.channels * 4
        snake = 0 if self.snake is None else self.snake.data_ptr()
        tables = (snake, self.bands.data_ptr())
        arguments = (x, self.weight.data_ptr(), self.bias, *tables, out, samples, int(self.tanh))
        grid = (math.ceil(samples / LAST_SAMPLES), batch, 1)
        module = context.modules[self.kernel]
        return Launch(module, grid, LAST_THREADS, shared, "2Pf3P2i", arguments, overlap=context.overlap)
