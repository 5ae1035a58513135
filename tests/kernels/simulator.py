# ruff: noqa: D102 - a method is named after the kernel that it stands for
"""A stand-in for the GPU: kernels by their meaning, on the memory that launches point to.

Weights are read from their packed form by the address arithmetic of the CUDA sources, written down a second time
here, so that a mistake in packing, in a launch's arguments or in the wiring of a network changes the result.
"""

import ctypes
import struct
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.kernels import driver, emulation, filters, reference
from bench.kernels.driver import Launch
from bench.kernels.plan import Convolution
from bench.kernels.schedule import Send
from bench.kernels.sources import Kernel

SIZES = {torch.float16: 2, torch.bfloat16: 2, torch.float32: 4}


class FakeModule:
    """A kernel that is simulated."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.function, self.shared_bytes = kernel, None, 0

    def allow_shared(self, size: int) -> None:
        """Notes the most shared memory that was asked for."""
        self.shared_bytes = max(self.shared_bytes, size)


def install(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] = (9, 0)) -> None:
    """Makes this machine look like one with a GPU, as far as building a network and its launches go."""

    def tensor_map(address: int, _: int, sizes: Any, box: Any) -> bytes:
        return struct.pack("7q", address, *sizes, *box).ljust(128)

    properties = SimpleNamespace(multi_processor_count=132, major=capability[0], minor=capability[1])
    monkeypatch.setattr(driver, "tensor_map", tensor_map)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)


def memory(address: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The tensor that lies at an address."""
    count = 1
    for size in shape:
        count *= size
    buffer = (ctypes.c_char * (count * SIZES[dtype])).from_address(address)
    return torch.frombuffer(buffer, dtype=dtype).view(shape)


def owned_channels(columns: int) -> list[int]:
    """The channel that each column of a product is stored to, from ``for_each_group`` and ``finish_group``."""
    stored_to = [-1] * columns
    for quad in range(4):
        groups = [(8, 16 * g, 32 * g + 8 * quad) for g in range(columns // 32)]
        wide = columns // 32 * 32
        if columns % 32 >= 16:
            groups.append((4, wide // 2, wide + 4 * quad))
        if columns % 16:
            groups.append((2, (columns - 8) // 2, columns - 8 + 2 * quad))
        for count, first_sum, channel in groups:
            for i in range(count):
                register = first_sum + i // 2 * 4 + i % 2
                column = register // 4 * 8 + 2 * quad + register % 2
                stored_to[column] = channel + i
    return stored_to


class Simulator:
    """Runs launches of a data type."""

    def __init__(self, element: torch.dtype) -> None:
        self.element, self.keep = element, reference.stored(element)

    def run(self, items: Any) -> None:
        """Runs a schedule in its order."""
        for item in items:
            if isinstance(item, Send):
                self.launch(item.launch)

    def launch(self, launch: Launch) -> None:
        """Runs one kernel."""
        kernel: Kernel = launch.module.kernel  # type: ignore[attr-defined] # a FakeModule
        getattr(self, kernel.name)(kernel.values, list(launch.grid), *launch.arguments)

    def read(self, pointer: Any, *shape: int) -> Tensor:
        return memory(pointer, shape, self.element).float()

    def floats(self, pointer: Any, *shape: int) -> Tensor:
        return memory(pointer, shape, torch.float32)

    def write(self, pointer: Any, values: Tensor) -> None:
        memory(pointer, tuple(values.shape), self.element).copy_(values)

    def finish(self, sums: Tensor, residual: Any, out: Any, leaky: int) -> None:
        """The epilogue on ``(batch, samples, columns)``."""
        if residual:
            kept = self.read(residual, *sums.shape)
            sums = sums + (reference.unleaky(kept) if leaky else kept)
        self.write(out, reference.leaky(sums) if leaky else sums)

    def mel_rows(self, _: Any, grid: list[int], mel: Any, out: Any, bands: Any, frames: Any, padded: Any) -> None:
        x = self.floats(mel, grid[2], bands, frames)
        self.write(out, reference.mel_rows(x, self.element, padded))

    def branch_sum(self, values: Any, _: Any, *rest: Any) -> None:
        *branches, out, eights, scale, slope = rest
        tensors = [self.read(branch, eights * 8) for branch in branches if branch]
        assert abs(scale * len(tensors) - 1) < 1e-6
        self.write(out, reference.branch_sum(tensors, bool(values["LEAKY_IN"]), slope))

    def snake(self, pointer: Any, channels: int) -> Tensor:
        return self.floats(pointer, channels, 2)

    def activated(self, x: Tensor, snake: Tensor) -> Tensor:
        return emulation.activation(x, snake, self.element)

    def activation(self, values: Any, _: Any, *rest: Any) -> None:
        x, out, snake, bands, samples, blocks, strips, tasks = rest
        channels = values["CHANNELS"]
        assert torch.equal(memory(bands, (32, 8, 2), self.element), filters.filter_bands(self.element))
        assert strips * blocks * 8 >= samples
        batch = tasks // (strips * -(-channels // 16))
        source = self.read(x, batch, samples, channels)
        self.write(out, self.activated(source, self.snake(snake, channels)))

    def last_layer(self, values: Any, grid: list[int], *rest: Any) -> None:
        x, weight, bias, snake, _, out, samples, tanh = rest
        channels, taps = values["CHANNELS"], values["TAPS"]
        source = self.read(x, grid[1], samples, channels)
        if values["SNAKE"]:
            source = self.activated(source, self.snake(snake, channels))
        audio = reference.last_layer(source, self.floats(weight, taps, channels), bias, bool(tanh))
        memory(out, tuple(audio.shape), torch.float32).copy_(audio)

    def wide_convolution(self, values: Any, grid: list[int], *rest: Any) -> None:
        tensor_map, weights, bias, residual, out, samples, columns, chunks, taps, dilation, offset, shifted, size = rest
        address, inputs, mapped, batch, *box = struct.unpack("7q", tensor_map[:56])
        tile = values["COLUMNS"]
        assert (mapped, batch) == (samples, grid[2])
        assert tuple(box) == (64, 128 + (taps - 1) * dilation, 1)
        assert size >= box[1] * 128
        assert size % 1024 == 0
        assert grid[1] * tile == columns
        packed = self.read(weights, chunks, taps, columns, 8, 8)
        row = torch.arange(columns)[:, None]
        plain = packed[:, :, row, torch.arange(8)[None] ^ (row & 7)]
        plain = plain.permute(1, 2, 0, 3, 4).reshape(taps, columns, chunks * 64)
        layer = self._layer(plain, inputs, tile, columns, dilation, offset, shifted)
        x = memory(address, (batch, mapped, inputs), self.element).float()
        sums = reference.convolution(x, layer) + self.floats(bias, columns)
        self.finish(sums, residual, out, values["LEAKY"])

    def tile_convolution(self, values: Any, grid: list[int], *rest: Any) -> None:
        x, weights, bias, residual, out = rest[:5]
        samples, inputs, columns, packed_columns, chunks, taps, dilation, offset, shifted, _ = rest[5:]
        piece, tile = values["PIECE"], values["COLUMNS"]
        pieces = chunks * values["CHUNK"] // piece
        assert grid[1] * tile == packed_columns
        packed = self.read(weights, pieces, taps, packed_columns, piece)
        plain = packed.permute(1, 2, 0, 3).reshape(taps, packed_columns, pieces * piece)
        layer = self._layer(
            plain, inputs, tile // values["WARPS_ACROSS"], packed_columns, dilation, offset, shifted, tile
        )
        source = self.read(x, grid[2], samples, inputs)
        sums = reference.convolution(source, layer) + self.floats(bias, packed_columns)
        self.finish(sums[..., :columns].contiguous(), residual, out, values["LEAKY"])

    @staticmethod
    def _layer(
        plain: Tensor,
        inputs: int,
        width: int,
        columns: int,
        dilation: int,
        offset: int,
        shifted: int,
        tile: int | None = None,
    ) -> Convolution:
        """Columns put where their sums are stored, tile by tile of ``width``."""
        assert not plain[..., inputs:].any()
        weight = torch.empty_like(plain)
        for start in range(0, columns, width):
            stored_to = torch.tensor(owned_channels(width)) + start
            weight[:, stored_to] = plain[:, start : start + width]
        first = shifted * (tile or width)
        zero = torch.zeros(columns)
        return Convolution(weight[..., :inputs], zero, dilation, offset, first if first < columns else None)

    def _narrow(self, pointer: Any, channels: int, taps: int) -> Tensor:
        """Packed narrow weights as ``(taps, channels, channels)``."""
        stored_to = torch.tensor(owned_channels(channels))
        if channels % 16 == 0:
            packed = self.read(pointer, taps, channels // 8, channels, 8)
        else:
            steps = self.read(pointer, (3 * taps + 1) // 2, 2, channels, 8)
            packed = torch.empty(taps, 3, channels, 8)
            for tap in range(taps):
                base = tap // 2 * 3
                packed[tap, :2] = steps[base + tap % 2]
                # The half step: in front of a pair's end, or behind zeros at the last tap.
                packed[tap, 2] = steps[base + 2, tap % 2] if tap < taps - 1 or tap % 2 else steps[base + 1, 1]
        weight = torch.empty(taps, channels, channels)
        weight[:, stored_to] = packed.transpose(1, 2).reshape(taps, channels, channels)
        return weight

    def _plain(self, weight: Tensor, dilation: int) -> Convolution:
        taps, channels, _ = weight.shape
        return Convolution(weight, torch.zeros(channels), dilation, -(taps - 1) * dilation // 2)

    def activated_convolution(self, values: Any, grid: list[int], *rest: Any) -> None:
        x, weights, bias, residual, out, snake, _, samples, taps, dilation, size = rest
        channels = values["CHANNELS"]
        assert size == channels * channels * 2 * (1 if values["RING"] > 1 else taps) or channels == 24
        layer = self._plain(self._narrow(weights, channels, taps), dilation)
        source = self.activated(self.read(x, grid[1], samples, channels), self.snake(snake, channels))
        self.finish(reference.convolution(source, layer) + self.floats(bias, channels), residual, out, 0)

    def _two(self, weights: Any, channels: int, taps: int, dilation: int) -> tuple[Convolution, Convolution]:
        steps = (3 * taps + 1) // 2 if channels == 24 else taps * channels // 16
        behind = weights + steps * 2 * channels * 8 * 2
        first, second = (self._narrow(pointer, channels, taps) for pointer in (weights, behind))
        return self._plain(first, dilation), self._plain(second, 1)

    def snake_step(self, values: Any, grid: list[int], *rest: Any) -> None:
        x, weights, bias, out, snake, _, samples, taps, dilation, _ = rest
        channels = values["CHANNELS"]
        first, second = self._two(weights, channels, taps, dilation)
        biases = self.floats(bias, 2, channels)
        snakes = self.floats(snake, 2, channels, 2)
        source = self.read(x, grid[1], samples, channels)
        middle = self.keep(reference.convolution(self.activated(source, snakes[0]), first) + biases[0])
        self.finish(reference.convolution(self.activated(middle, snakes[1]), second) + biases[1], x, out, 0)

    def leaky_step(self, values: Any, grid: list[int], *rest: Any) -> None:
        x, weights, bias, out, samples, taps, dilation, _ = rest
        channels = values["CHANNELS"]
        first, second = self._two(weights, channels, taps, dilation)
        biases = self.floats(bias, 2, channels)
        source = self.read(x, grid[1], samples, channels)
        middle = self.keep(reference.leaky(reference.convolution(source, first) + biases[0]))
        self.finish(reference.convolution(middle, second) + biases[1], x, out, 1)
