"""The check that a compiled kernel passes before it is used on a GPU: small random layers against PyTorch in float32.

The layers have odd lengths, a batch of two, biases, residuals and every edge; outputs are filled with NaN beforehand.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.errors import WrongOutputError
from bench.kernels import filters, hopper, layers, reference, tile
from bench.kernels.driver import Launch, Module
from bench.kernels.plan import Convolution, LastLayer, Step
from bench.kernels.sources import Kernel

# Unit roundoff of the elements, and what a kernel may be off by: relative, and at its worst element over the root
# mean square. Correct kernels measured 0.4 to 0.7 roundoffs and 5.
ROUNDOFF = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
MOST_RELATIVE, MOST_ELEMENT = 1.3, 40.0
BATCH = 2


@dataclass(frozen=True)
class Error:
    """How far a kernel is off.

    Attributes:
        relative: Norm of the error over the reference's.
        worst: Largest error over the reference's root mean square.
    """

    relative: float
    worst: float


def compare(got: Tensor, expected: Tensor) -> Error:
    """The error of a result."""
    got, expected = got.double().cpu(), expected.double().cpu()
    error = got - expected
    size = expected.square().mean().sqrt()
    return Error(float(error.norm() / expected.norm()), float(error.abs().max() / size))


def check(kernel: Kernel, module: Module, device: torch.device) -> None:
    """Runs a kernel on its layers.

    Raises:
        WrongOutputError: it computes something else than PyTorch, beyond rounding.
    """
    for error in measure(kernel, module, device):
        roundoff = ROUNDOFF[getattr(torch, kernel.element)]
        # A NaN fails either comparison.
        if not (error.relative <= MOST_RELATIVE * roundoff and error.worst <= MOST_ELEMENT * roundoff):
            raise WrongOutputError(
                f"{kernel.label} is off by {error.relative:.1e}, at most {error.worst:.1e} of the mean, "
                f"on {torch.cuda.get_device_name(device)}."
            )


def measure(kernel: Kernel, module: Module, device: torch.device) -> list[Error]:
    """The errors of a kernel on its layers."""
    return _CHECKS[kernel.name](_Bench(kernel, module, device))


class _Bench:
    """Random tensors for a kernel, and its launch."""

    def __init__(self, kernel: Kernel, module: Module, device: torch.device) -> None:
        self.kernel, self.device, self.values = kernel, device, kernel.values
        self.element: torch.dtype = getattr(torch, kernel.element)
        processors = torch.cuda.get_device_properties(device).multi_processor_count
        self.context = layers.Context({kernel: module}, self.element, processors)
        self.generator = torch.Generator().manual_seed(zlib.crc32(kernel.label.encode()))
        self.bands = layers.bands_on(device, self.element)

    def random(self, *shape: int, scale: float = 1.0) -> Tensor:
        """Normal values that are elements, float32 on the CPU."""
        drawn = scale * torch.randn(*shape, generator=self.generator)
        return drawn.to(self.element).float()

    def snake(self, channels: int) -> Tensor:
        """Parameters as a trained network's: factors from 0.5 to 3."""
        drawn = torch.rand(channels, 2, generator=self.generator)
        alpha, beta = (1.7 * drawn[:, 0] - 0.7).exp(), drawn[:, 1].exp()
        snake = torch.stack([2 * alpha, 1 / (2 * beta)], dim=1)
        scale = filters.SCALES[self.element]
        return snake * torch.tensor([1 / scale, scale])

    def convolution(self, inputs: int, columns: int, taps: int, dilation: int, **more: int) -> Convolution:
        weight = self.random(taps, columns, inputs, scale=(taps * inputs) ** -0.5)
        offset = more.pop("offset", -(taps - 1) * dilation // 2)
        bias = torch.randn(columns, generator=self.generator)
        return Convolution(weight, bias, dilation, offset, **more)

    def on_device(self, x: Tensor) -> Tensor:
        return x.to(self.device, self.element).contiguous()

    def empty(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return torch.full(shape, float("nan"), dtype=dtype or self.element, device=self.device)

    def run(self, launch: Launch, out: Tensor) -> Tensor:
        """What the launch leaves in ``out``; float32 on the CPU."""
        launch.run(torch.cuda.current_stream(self.device).cuda_stream)
        return out.float().cpu()


def _convolution(bench: _Bench, made: Callable[[Convolution], object], inputs: int, columns: int) -> list[Error]:
    width = bench.values["COLUMNS"]
    cases = [
        (bench.convolution(inputs, columns, 3, 2), 150, True),
        (bench.convolution(inputs, columns, 7, 1), 5, False),
    ]
    if columns == 2 * width:
        phases = bench.convolution(inputs, columns, 2, 1, offset=-1, shifted_from=width, rate=2)
        cases.append((phases, 131, False))
    errors = []
    for layer, samples, with_residual in cases:
        leaky = bool(bench.values["LEAKY"])
        x, kept = bench.random(BATCH, samples, inputs), bench.random(BATCH, samples, columns)
        expected = reference.convolution(x, layer).reshape(BATCH, samples, columns)
        if with_residual:
            expected = expected + (reference.unleaky(kept) if leaky else kept)
        expected = reference.leaky(expected) if leaky else expected
        x_there, kept_there = bench.on_device(x), bench.on_device(kept)
        out = bench.empty(BATCH, samples, columns)
        residual = kept_there.data_ptr() if with_residual else 0
        there = made(layer)
        launch = there.launch(  # type: ignore[attr-defined] # either path's convolution
            bench.context, bench.kernel, x_there.data_ptr(), out.data_ptr(), residual, BATCH, samples
        )
        errors.append(compare(bench.run(launch, out), expected))
    return errors


def _wide(bench: _Bench) -> list[Error]:
    columns = bench.values["COLUMNS"] * (1 if bench.values["COLUMNS"] % 32 else 2)
    leaky = bool(bench.values["LEAKY"])
    return _convolution(
        bench, lambda layer: hopper.WideConvolution(layer, bench.element, leaky, bench.device), 136, columns
    )


def _tile(bench: _Bench) -> list[Error]:
    values = bench.values
    columns = values["COLUMNS"] * (1 if values["RESIDENT"] or values["COLUMNS"] % 32 else 2)
    inputs = {16: 16, 48: 48, 32: 24 if values["RESIDENT"] else 136}[values["PIECE"]]
    limit = hopper.SHARED_LIMIT
    leaky = bool(values["LEAKY"])
    return _convolution(
        bench, lambda layer: tile.TileConvolution(layer, bench.element, leaky, limit, bench.device), inputs, columns
    )


def _activation(bench: _Bench) -> list[Error]:
    channels, errors = bench.values["CHANNELS"], []
    for samples in (1, 7, 333):
        snake, x = bench.snake(channels), bench.random(BATCH, samples, channels, scale=2.0)
        layer = layers.ActivationLayer(snake, bench.bands, bench.element)
        there, out = bench.on_device(x), bench.empty(BATCH, samples, channels)
        launch = layer.launch(bench.context, there.data_ptr(), out.data_ptr(), BATCH, samples)
        errors.append(compare(bench.run(launch, out), reference.activation(x, snake, bench.element)))
    return errors


def _activated(bench: _Bench) -> list[Error]:
    channels, errors = bench.values["CHANNELS"], []
    for taps, dilation, samples in ((3, 1, 500), (11, 5, 401), (7, 3, 4)):
        layer, snake = bench.convolution(channels, channels, taps, dilation), bench.snake(channels)
        x, kept = (bench.random(BATCH, samples, channels) for _ in range(2))
        there, kept_there, out = bench.on_device(x), bench.on_device(kept), bench.empty(BATCH, samples, channels)
        made = hopper.ActivatedConvolution(layer, snake, bench.bands, bench.element)
        addresses = there.data_ptr(), out.data_ptr(), kept_there.data_ptr()
        expected = reference.activated_convolution(x, layer, snake, bench.element) + kept
        errors.append(compare(bench.run(made.launch(bench.context, *addresses, BATCH, samples), out), expected))
    return errors


def _snake_step(bench: _Bench) -> list[Error]:
    channels, errors = bench.values["CHANNELS"], []
    for taps, dilation, samples in ((3, 1, 700), (11, 5, 601), (7, 3, 4)):
        pair = tuple(bench.convolution(channels, channels, taps, d) for d in (dilation, 1))
        step = Step(pair, tuple(bench.snake(channels) for _ in range(2)))
        x = bench.random(BATCH, samples, channels)
        there, out = bench.on_device(x), bench.empty(BATCH, samples, channels)
        made = hopper.SnakeStep(step, bench.bands, bench.element)
        launch = made.launch(bench.context, there.data_ptr(), out.data_ptr(), BATCH, samples)
        errors.append(compare(bench.run(launch, out), reference.snake_step(x, step, bench.element)))
    return errors


def _leaky_step(bench: _Bench) -> list[Error]:
    channels, errors = bench.values["CHANNELS"], []
    for taps, dilation, samples in ((3, 1, 500), (11, 5, 401), (7, 3, 4)):
        step = Step(tuple(bench.convolution(channels, channels, taps, d) for d in (dilation, 1)), ())
        x = bench.random(BATCH, samples, channels)
        there, out = bench.on_device(x), bench.empty(BATCH, samples, channels)
        made = hopper.LeakyStep(step, bench.element, bench.device)
        launch = made.launch(bench.context, there.data_ptr(), out.data_ptr(), BATCH, samples)
        errors.append(compare(bench.run(launch, out), reference.leaky_step(x, step)))
    return errors


def _sum(bench: _Bench) -> list[Error]:
    stored_leaky, count, errors = bool(bench.values["LEAKY_IN"]), bench.values["BRANCHES"], []
    for slope in (0.1, 1.0):
        branches = [bench.random(BATCH, 37, 8) for _ in range(count)]
        there, out = [bench.on_device(branch) for branch in branches], bench.empty(BATCH, 37, 8)
        layer = layers.SumLayer(stored_leaky, count, slope, bench.element)
        launch = layer.launch(bench.context, [branch.data_ptr() for branch in there], out.data_ptr(), out.numel())
        errors.append(compare(bench.run(launch, out), reference.branch_sum(branches, stored_leaky, slope)))
    return errors


def _mel(bench: _Bench) -> list[Error]:
    mel = 3 * torch.randn(BATCH, 100, 45, generator=bench.generator) - 6
    layer = layers.MelLayer(100, bench.element)
    there, out = mel.to(bench.device), bench.empty(BATCH, 45, 3 * layer.padded)
    launch = layer.launch(bench.context, there.data_ptr(), out.data_ptr(), BATCH, 45)
    return [compare(bench.run(launch, out), reference.mel_rows(mel, bench.element, layer.padded))]


def _last(bench: _Bench) -> list[Error]:
    values, errors = bench.values, []
    channels, taps = values["CHANNELS"], values["TAPS"]
    for samples, tanh in ((1100, True), (43, False)):
        weight = bench.random(taps, channels, scale=0.5 * (taps * channels) ** -0.5)
        snake = bench.snake(channels) if values["SNAKE"] else None
        x = bench.random(BATCH, samples, channels)
        there, out = bench.on_device(x), bench.empty(BATCH, 1, samples, dtype=torch.float32)
        layer = layers.FinalLayer(LastLayer(weight, 0.05, snake, tanh), bench.bands, bench.element)
        launch = layer.launch(bench.context, there.data_ptr(), out.data_ptr(), BATCH, samples)
        activated = x if snake is None else reference.activation(x, snake, bench.element)
        errors.append(compare(bench.run(launch, out), reference.last_layer(activated, weight, 0.05, tanh)))
    return errors


_CHECKS: dict[str, Callable[[_Bench], list[Error]]] = {
    "wide_convolution": _wide,
    "tile_convolution": _tile,
    "activation": _activation,
    "activated_convolution": _activated,
    "snake_step": _snake_step,
    "leaky_step": _leaky_step,
    "branch_sum": _sum,
    "mel_rows": _mel,
    "last_layer": _last,
}
