"""Layers of the Hopper path: wgmma convolutions, and narrow layers with their activations in one kernel."""

from itertools import pairwise

import torch
from torch import Tensor

from bench.kernels import driver, packing
from bench.kernels.driver import Launch
from bench.kernels.layers import NEVER_SHIFTED, WARP, Context, round_up
from bench.kernels.plan import Convolution, Step
from bench.kernels.sources import Kernel, hopper_kernel

# Shared memory of a multiprocessor and of a block, and what the system takes of each block.
SHARED_LIMIT, RESERVED = 232448, 1024
BLOCK_SAMPLES, CHUNK_BYTES, MOST_ROWS = 128, 128, 256
# Stages of input and weights, and blocks a multiprocessor, by the columns of a tile.
STAGES = {192: (3, 6, 1), 128: (2, 4, 2), 96: (2, 5, 2), 64: (2, 6, 2), 48: (2, 6, 2), 32: (2, 6, 2)}
# The same with as many weights in flight as fit, for layers of few tiles.
DEEP_STAGES = {64: (3, 18, 1), 32: (3, 36, 1)}
# By measurement (docs/kernels.md): tiles that keep an H100 busy, for which the widest tile is taken; fewest tiles for
# which any plain tile is; and from how many on 128 columns beat 96.
ENOUGH_TILES, FEWEST_TILES, MANY_TILES = 100, 60, 400
# Samples that a narrow tile has beside those it makes: (taps - 1) * dilation, of the first and the second convolution.
HALO, MIDDLE_HALO = 50, 10
NARROW_SNAKE, NARROW_STEP, NARROW_LEAKY = 96, 48, 64


class WideConvolution:
    """A convolution on ``wgmma``.

    Args:
        layer: The plan's; see :func:`fits_wide`.
        element: Data type of tensors.
        leaky: Whether results are stored as leaky ReLUs.
        device: The GPU.
    """

    def __init__(self, layer: Convolution, element: torch.dtype, leaky: bool, device: torch.device) -> None:
        self.layer, self.element, self.leaky = layer.bare(), element, leaky
        self._input_bytes = round_up((BLOCK_SAMPLES + layer.halo) * CHUNK_BYTES, 1024)
        self.weight = packing.pack_wide(layer.weight.to(device), element)
        self.bias = layer.bias.to(device).contiguous()
        self._addresses, self._chunks = (self.weight.data_ptr(), self.bias.data_ptr()), self.weight.shape[0]
        boundary = layer.shifted_from or 0
        widths = [width for width in STAGES if layer.columns % width == 0 and boundary % width == 0]
        if layer.columns % 32:
            widths = [layer.columns]
        self.plain = {width: self._kernel(width, *STAGES[width]) for width in widths}
        self.deep = {width: self._kernel(width, *DEEP_STAGES[width]) for width in widths if width in DEEP_STAGES}
        fitting = [k for k in (*self.plain.values(), *self.deep.values()) if self.shared_bytes(k) <= SHARED_LIMIT]
        self.plain = {width: k for width, k in self.plain.items() if k in fitting}
        self.deep = {width: k for width, k in self.deep.items() if k in fitting}
        self.widths = self._widths()
        used = {*self.widths, *([128] if self._may_widen() else [])}
        self.kernels: tuple[Kernel, ...] = (*(self.plain[width] for width in sorted(used)), *self.deep.values())

    def _widths(self) -> list[int]:
        """Tile widths in the order of preference, widest first where there are two."""
        order = (192, 96) if self.layer.rate > 1 and not self.leaky else (128,) if self.leaky else (96,)
        found = [width for width in order if width in self.plain]
        return found or [128 if 128 in self.plain else max(self.plain)]

    def _may_widen(self) -> bool:
        return self.layer.rate == 1 and self.widths == [96] and 128 in self.plain

    def _kernel(self, columns: int, inputs: int, weights: int, blocks: int) -> Kernel:
        return hopper_kernel(
            "wide_convolution",
            self.element,
            COLUMNS=columns,
            INPUT_STAGES=inputs,
            WEIGHT_STAGES=weights,
            BLOCKS_PER_SM=blocks,
            LEAKY=int(self.leaky),
        )

    def shared_bytes(self, chosen: Kernel) -> int:
        """Shared memory of a block."""
        values = chosen.values
        weights = values["WEIGHT_STAGES"] * values["COLUMNS"] * CHUNK_BYTES
        return values["INPUT_STAGES"] * self._input_bytes + weights + 1024

    def choose(self, batch: int, samples: int, processors: int) -> Kernel:  # noqa: ARG002 - all Hoppers are large
        """The preferred width where it makes enough tiles, else a narrow one with many weights in flight."""
        tiles = batch * -(-samples // BLOCK_SAMPLES)
        columns = self.layer.columns
        if self._may_widen() and tiles * columns >= 128 * MANY_TILES:
            return self.plain[128]
        busy = [width for width in self.widths if tiles * columns >= width * ENOUGH_TILES]
        if busy:
            return self.plain[busy[0]]
        if tiles * columns >= self.widths[-1] * FEWEST_TILES:
            return self.plain[self.widths[-1]]
        if 64 in self.deep and tiles * columns >= 64 * FEWEST_TILES:
            return self.deep[64]
        return self.deep.get(32) or self.plain[self.widths[-1]]

    def launch(
        self, context: Context, chosen: Kernel, x: int, out: int, residual: int, batch: int, samples: int
    ) -> Launch:
        """``out = [leaky](convolution(x) + residual)``."""
        layer, columns = self.layer, chosen.values["COLUMNS"]
        sizes, box = (layer.inputs, samples, batch), (64, BLOCK_SAMPLES + layer.halo, 1)
        made = (x, *sizes, *box)
        if made not in context.maps:
            code = driver.TENSOR_BFLOAT16 if context.element is torch.bfloat16 else driver.TENSOR_FLOAT16
            context.maps[made] = driver.tensor_map(x, code, sizes, box)
        shifted = NEVER_SHIFTED if layer.shifted_from is None else layer.shifted_from // columns
        tensors = (context.maps[made], *self._addresses, residual, out)
        windows = (self._chunks, layer.taps, layer.dilation, layer.offset)
        numbers = (samples, layer.columns, *windows, shifted, self._input_bytes)
        grid = (-(-samples // BLOCK_SAMPLES), layer.columns // columns, batch)
        module, shared = context.modules[chosen], self.shared_bytes(chosen)
        return Launch(module, grid, 320, shared, "128s4P8i", (*tensors, *numbers), overlap=context.overlap)


def fits_wide(layer: Convolution) -> bool:
    """Whether the wide convolution takes a layer, and is the faster one: narrow inputs leave its chunks empty."""
    divides = layer.columns % 32 == 0 or layer.columns == 48
    smallest = 32 if layer.columns % 32 == 0 else 48
    rows = BLOCK_SAMPLES + layer.halo
    inputs, weights, _ = STAGES[smallest]
    shared = inputs * round_up(rows * CHUNK_BYTES, 1024) + weights * smallest * CHUNK_BYTES + 1024
    narrow = layer.inputs < 48 and layer.rate == 1
    return divides and rows <= MOST_ROWS and shared <= SHARED_LIMIT and not narrow


class ActivatedConvolution:
    """A narrow convolution with its activation in front.

    Args:
        layer: The plan's; see :func:`fits_activated`.
        snake: The activation's parameters.
        bands: From :func:`bench.kernels.layers.bands_on`.
        element: Data type of tensors.
    """

    def __init__(self, layer: Convolution, snake: Tensor, bands: Tensor, element: torch.dtype) -> None:
        device = bands.device
        self.layer, self.channels, self.bands = layer.bare(), layer.inputs, bands
        self.weight = packing.pack_narrow(layer.weight.to(device), element)
        self.bias, self.snake = layer.bias.to(device).contiguous(), snake.to(device).contiguous()
        self.kernel = hopper_kernel("activated_convolution", element, **narrow_constants(self.channels))
        self.kernels = (self.kernel,)

    def launch(self, context: Context, x: int, out: int, residual: int, batch: int, samples: int) -> Launch:
        """``out = convolution(activation(x)) + residual``."""
        values, layer = self.kernel.values, self.layer
        made = 64 * values["WARP_GROUPS"] * values["TILES"]
        rows = (made + HALO) | 1
        tile_bytes = self.weight.numel() * 2 // (1 if values["RING"] == 1 else layer.taps)
        shared = self.channels // 8 * rows * 16 + values["RING"] * tile_bytes
        arguments = (
            *(x, self.weight.data_ptr(), self.bias.data_ptr(), residual, out),
            *(self.snake.data_ptr(), self.bands.data_ptr(), samples, layer.taps, layer.dilation, tile_bytes),
        )
        module, threads = context.modules[self.kernel], 4 * WARP * values["WARP_GROUPS"]
        grid = (-(-samples // made), batch, 1)
        return Launch(module, grid, threads, shared, "7P4i", arguments, overlap=context.overlap)


def narrow_constants(channels: int) -> dict[str, int]:
    """Warp groups, 64-row tiles of each, strips of the activation and the ring's stages, by channels."""
    shape = {"CHANNELS": channels, "HALO": HALO}
    if channels > NARROW_STEP:
        return shape | {"WARP_GROUPS": 3, "TILES": 1, "RING": 3, "STRIPS": 2}
    if channels <= 24:
        return shape | {"WARP_GROUPS": 4, "TILES": 2, "RING": 1, "STRIPS": 8}
    return shape | {"WARP_GROUPS": 4, "TILES": 1, "RING": 1, "STRIPS": 5}


class SnakeStep:
    """A residual step of a narrow AMP block.

    Args:
        step: The plan's, of two convolutions; see :func:`fits_snake_step`.
        bands: From :func:`bench.kernels.layers.bands_on`.
        element: Data type of tensors.
    """

    def __init__(self, step: Step, bands: Tensor, element: torch.dtype) -> None:
        device = bands.device
        first, second = step.convolutions
        self.taps, self.dilation, self.channels, self.bands = first.taps, first.dilation, first.inputs, bands
        self.weight = torch.cat([packing.pack_narrow(c.weight.to(device), element) for c in (first, second)])
        self.bias = torch.cat([first.bias, second.bias]).to(device)
        self.snake = torch.cat(step.snakes).to(device).contiguous()
        constants = narrow_constants(self.channels)
        del constants["RING"]
        self.kernel = hopper_kernel("snake_step", element, **constants)
        self.kernels = (self.kernel,)

    def launch(self, context: Context, x: int, out: int, batch: int, samples: int) -> Launch:
        """``out = step(x)``; ``out`` is another tensor than ``x``."""
        values = self.kernel.values
        size = 64 * values["WARP_GROUPS"] * values["TILES"]
        made = size - 12 - (self.taps - 1)
        weight_bytes = self.weight.numel()  # of one convolution: half the elements, two bytes each
        shared = self.channels // 8 * (((size + HALO) | 1) + (size | 1)) * 16 + weight_bytes
        arguments = (
            *(x, self.weight.data_ptr(), self.bias.data_ptr(), out, self.snake.data_ptr(), self.bands.data_ptr()),
            *(samples, self.taps, self.dilation, weight_bytes),
        )
        module, threads = context.modules[self.kernel], 4 * WARP * values["WARP_GROUPS"]
        grid = (-(-samples // made), batch, 1)
        return Launch(module, grid, threads, shared, "6P4i", arguments, overlap=context.overlap)


class LeakyStep:
    """A residual step of a narrow HiFi-GAN block.

    Args:
        step: The plan's, of two convolutions; see :func:`fits_leaky_step`.
        element: Data type of tensors.
        device: The GPU.
    """

    def __init__(self, step: Step, element: torch.dtype, device: torch.device) -> None:
        first, second = step.convolutions
        self.taps, self.dilation, self.channels = first.taps, first.dilation, first.inputs
        self.weight = torch.cat([packing.pack_narrow(c.weight.to(device), element) for c in (first, second)])
        self.bias = torch.cat([first.bias, second.bias]).to(device)
        blocks = 2 if self.channels > 32 else 3 if self.channels > 16 else 4
        self.kernel = hopper_kernel(
            "leaky_step",
            element,
            CHANNELS=self.channels,
            HALO=HALO,
            MIDDLE_HALO=MIDDLE_HALO,
            RING=4 if self.channels > 32 else 1,
            BLOCKS_PER_SM=blocks,
        )
        self.kernels = (self.kernel,)

    def launch(self, context: Context, x: int, out: int, batch: int, samples: int) -> Launch:
        """``out = step(x)``; ``out`` is another tensor than ``x``."""
        values, size = self.kernel.values, 256
        made = size - (self.taps - 1)
        tile_bytes = self.weight.numel() * 2 // (2 if values["RING"] == 1 else 2 * self.taps)
        rows = ((size + HALO) | 1) + ((size + MIDDLE_HALO) | 1)
        shared = self.channels // 8 * rows * 16 + values["RING"] * tile_bytes
        tensors = (x, self.weight.data_ptr(), self.bias.data_ptr(), out)
        numbers = (samples, self.taps, self.dilation, tile_bytes)
        module, grid = context.modules[self.kernel], (-(-samples // made), batch, 1)
        return Launch(module, grid, 256, shared, "4P4i", (*tensors, *numbers), overlap=context.overlap)


def _narrow(channels: int, most: int) -> bool:
    return channels <= most and (channels % 16 == 0 or channels == 24)


def fits_activated(layer: Convolution) -> bool:
    """Whether :class:`ActivatedConvolution` takes a layer."""
    return layer.columns == layer.inputs and _narrow(layer.inputs, NARROW_SNAKE) and layer.halo <= HALO


def fits_snake_step(step: Step) -> bool:
    """Whether :class:`SnakeStep` takes a step."""
    return len(step.convolutions) == 2 and _narrow(step.convolutions[0].inputs, NARROW_STEP) and _fits_tiles(step)


def fits_leaky_step(step: Step) -> bool:
    """Whether :class:`LeakyStep` takes a step."""
    channels = step.convolutions[0].inputs
    return len(step.convolutions) == 2 and channels % 16 == 0 and channels <= NARROW_LEAKY and _fits_tiles(step)


def _fits_tiles(step: Step) -> bool:
    same = all(a.taps == b.taps for a, b in pairwise(step.convolutions))
    first, second = step.convolutions
    return same and first.halo <= HALO and second.dilation == 1 and second.halo <= MIDDLE_HALO
