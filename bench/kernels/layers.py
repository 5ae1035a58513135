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

from bench.kernels import filters, packing
from bench.kernels.driver import Launch, Module
from bench.kernels.plan import Convolution, LastLayer
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
        self.kernel = kernel("branch_sum", element, LEAKY_IN=int(stored_leaky))
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


# Of a column tile of the tile convolution: samples, warps along samples, warps across columns, blocks a multiprocessor.
TILES = {
    128: (128, 2, 4, 2),
    96: (128, 2, 3, 2),
    64: (128, 2, 2, 3),
    32: (128, 4, 1, 4),
}
TILE_CHUNK, TILE_STAGES = 32, 4
# For few samples: narrow tiles and many weights in flight.
DEEP_COLUMNS, DEEP_SAMPLES, DEEP_CHUNK, DEEP_STAGES = 32, 64, 64, 7
# Layers of at most this many columns keep all weights in shared memory, where they fit.
RESIDENT_COLUMNS, RESIDENT_SAMPLES = 48, 256
# A wider tile is taken when it still makes this many blocks a multiprocessor.
FULL = 0.85


class TileConvolution:
    """A convolution on ``mma.sync``.

    Args:
        layer: The plan's.
        element: Data type of tensors.
        leaky: Whether results are stored as leaky ReLUs.
        shared_limit: Shared memory that a block may have, in bytes.
        device: The GPU.
    """

    def __init__(
        self, layer: Convolution, element: torch.dtype, leaky: bool, shared_limit: int, device: torch.device
    ) -> None:
        self.layer, self.element, self.leaky, self.shared_limit = layer, element, leaky, shared_limit
        self.columns = layer.columns if layer.columns <= 56 else round_up(layer.columns, 32)
        self.piece = 16 if layer.inputs <= 16 else 48 if layer.inputs == 48 else 32
        self.weight = packing.pack_tile(layer.weight.to(device), self.columns, self.piece, element)
        self.bias = torch.nn.functional.pad(layer.bias.to(device), (0, self.columns - layer.columns)).contiguous()
        resident = self._resident()
        fitting = [kernel for kernel in self._ring() if self.shared_bytes(kernel) <= shared_limit]
        if resident is not None and self.shared_bytes(resident) <= shared_limit:
            self.kernels: tuple[Kernel, ...] = (resident,)
        else:
            self.kernels = tuple(fitting)

    def _kernel(self, columns: int, samples: int, along: int, across: int, blocks: int, **more: int) -> Kernel:
        return kernel(
            "tile_convolution",
            self.element,
            COLUMNS=columns,
            BLOCK_SAMPLES=samples,
            WARPS_ALONG=along,
            WARPS_ACROSS=across,
            BLOCKS_PER_SM=blocks,
            PIECE=self.piece,
            LEAKY=int(self.leaky),
            **more,
        )

    def _resident(self) -> Kernel | None:
        if self.columns > RESIDENT_COLUMNS:
            return None
        more = {"CHUNK": self.piece, "WEIGHT_STAGES": 2, "RESIDENT": 1}
        return self._kernel(self.columns, RESIDENT_SAMPLES, 8, 1, 2, **more)

    def _ring(self) -> list[Kernel]:
        """Widest first, the one for few samples last."""
        more = {"CHUNK": self.piece, "WEIGHT_STAGES": TILE_STAGES, "RESIDENT": 0}
        if self.columns % 32:
            return [self._kernel(self.columns, 128, 4, 1, 2, **more)]
        boundary = self.layer.shifted_from or 0
        fits = [width for width in TILES if self.columns % width == 0 and boundary % width == 0]
        found = []
        for width in fits:
            samples, along, across, blocks = TILES[width]
            found.append(self._kernel(width, samples, along, across, blocks, **more))
        if self.piece == TILE_CHUNK and self.layer.inputs > TILE_CHUNK:
            deep = {"CHUNK": DEEP_CHUNK, "WEIGHT_STAGES": DEEP_STAGES, "RESIDENT": 0}
            found.append(self._kernel(DEEP_COLUMNS, DEEP_SAMPLES, 4, 1, 2, **deep))
        return found

    def input_stages(self, chosen: Kernel) -> int:
        """Chunks of input that shared memory holds: a weight in flight may belong to a chunk as far ahead."""
        values = chosen.values
        chunks = -(-self.layer.inputs // values["CHUNK"])
        if values["RESIDENT"]:
            return chunks
        return min(1 + -(-(values["WEIGHT_STAGES"] - 1) // self.layer.taps), chunks)

    def shared_bytes(self, chosen: Kernel) -> int:
        """Shared memory of a block."""
        values = chosen.values
        row = (values["CHUNK"] // 8 | 1) * 16
        chunks = -(-self.layer.inputs // values["CHUNK"])
        stages = chunks * self.layer.taps if values["RESIDENT"] else values["WEIGHT_STAGES"]
        rows = values["BLOCK_SAMPLES"] + self.layer.halo
        return self.input_stages(chosen) * rows * row + stages * values["COLUMNS"] * row

    def choose(self, batch: int, samples: int, processors: int) -> Kernel:
        """The widest tile that fills the GPU, else the one for few samples."""
        for candidate in self.kernels:
            values = candidate.values
            blocks = batch * -(-samples // values["BLOCK_SAMPLES"]) * (self.columns // values["COLUMNS"])
            if values["CHUNK"] != DEEP_CHUNK and blocks >= FULL * processors:
                return candidate
        return self.kernels[-1]

    def launch(
        self, context: Context, chosen: Kernel, x: int, out: int, residual: int, batch: int, samples: int
    ) -> Launch:
        """``out = [leaky](convolution(x) + residual)``."""
        layer, values = self.layer, chosen.values
        shifted = NEVER_SHIFTED if layer.shifted_from is None else layer.shifted_from // values["COLUMNS"]
        chunks = -(-layer.inputs // values["CHUNK"])
        arguments = (
            *(x, self.weight.data_ptr(), self.bias.data_ptr(), residual, out),
            *(samples, layer.inputs, layer.columns, self.columns, chunks, layer.taps, layer.dilation, layer.offset),
            *(shifted, self.input_stages(chosen)),
        )
        grid = (-(-samples // values["BLOCK_SAMPLES"]), self.columns // values["COLUMNS"], batch)
        threads = WARP * values["WARPS_ALONG"] * values["WARPS_ACROSS"]
        module = context.modules[chosen]
        return Launch(module, grid, threads, self.shared_bytes(chosen), "5P10i", arguments, overlap=context.overlap)
