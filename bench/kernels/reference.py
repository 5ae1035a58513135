"""The plain PyTorch meaning of every kernel, in float32, and a plan run by these.

Tensors are ``(batch, samples, channels)``. ``stored`` rounds to the element type where a kernel stores; a plan run with
it follows the kernels' rounding outside the activation (whose inner rounding is in :mod:`bench.kernels.emulation`).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.kernels import filters
from bench.kernels.plan import Convolution, Plan, Stage, Step
from bench.vocoders.alias_free import RATIO, TAPS
from bench.vocoders.hifigan import SLOPE

Rounding = Callable[[Tensor], Tensor]


def stored(element: torch.dtype) -> Rounding:
    """Rounds to ``element`` and back."""
    return lambda x: x.to(element).to(x.dtype)


def exact(x: Tensor) -> Tensor:
    """Rounds nothing."""
    return x


def activation(x: Tensor, snake: Tensor, element: torch.dtype) -> Tensor:
    """``SCALE^2`` times the alias-free activation, as BigVGAN defines it.

    Args:
        x: ``(batch, samples, channels)``.
        snake: ``(channels, 2)`` from :func:`bench.kernels.packing.snake_parameters`.
        element: Whose scale the parameters are on.
    """
    scale, channels = filters.SCALES[element], x.shape[-1]
    alpha, magnitude = (snake[:, 0] * scale / 2)[:, None], (2 * snake[:, 1] / scale)[:, None]
    kernel = torch.tensor(filters.taps(), dtype=x.dtype, device=x.device).view(1, 1, TAPS).expand(channels, -1, -1)
    pad = TAPS // RATIO - 1
    y = F.pad(x.transpose(1, 2), (pad, pad), mode="replicate")
    y = RATIO * F.conv_transpose1d(y, kernel, stride=RATIO, groups=channels)
    cut = pad * RATIO + (TAPS - RATIO) // 2
    y = y[..., cut:-cut]
    y = y + magnitude * torch.sin(alpha * y) ** 2
    y = F.pad(y, (TAPS // 2 - 1, TAPS // 2), mode="replicate")
    return filters.gain(element) * F.conv1d(y, kernel, stride=RATIO, groups=channels).transpose(1, 2)


def leaky(x: Tensor, slope: float = SLOPE) -> Tensor:
    """Leaky ReLU."""
    return F.leaky_relu(x, slope)


def unleaky(y: Tensor) -> Tensor:
    """The inverse of :func:`leaky`."""
    return torch.where(y > 0, y, y / SLOPE)


def convolution(x: Tensor, layer: Convolution) -> Tensor:
    """``(batch, samples, inputs)`` to ``(batch, rate * samples, columns / rate)``."""
    batch, samples, _ = x.shape
    weight = layer.weight.to(x)
    if layer.shifted_from is not None:
        weight = _with_shift(weight, layer.shifted_from)
    left = -layer.offset
    right = (weight.shape[0] - 1) * layer.dilation - left
    padded = F.pad(x.transpose(1, 2), (left, right))
    y = F.conv1d(padded, weight.permute(1, 2, 0), layer.bias.to(x), dilation=layer.dilation).transpose(1, 2)
    return y.reshape(batch, samples * layer.rate, layer.columns // layer.rate)


def _with_shift(weight: Tensor, first_column: int) -> Tensor:
    result = F.pad(weight, (0, 0, 0, 0, 0, 1))
    result[:, first_column:] = F.pad(weight[:, first_column:], (0, 0, 0, 0, 1, 0))
    return result


def activated_convolution(
    x: Tensor, layer: Convolution, snake: Tensor, element: torch.dtype, keep: Rounding = exact
) -> Tensor:
    """A convolution behind its activation."""
    return convolution(keep(activation(x, snake, element)), layer)


def snake_step(x: Tensor, step: Step, element: torch.dtype, keep: Rounding = exact) -> Tensor:
    """A residual step of an AMP block."""
    y = x
    for layer, snake in zip(step.convolutions, step.snakes, strict=True):
        last = layer is step.convolutions[-1]
        y = activated_convolution(y, layer, snake, element, keep)
        y = keep(y + x if last else y)
    return y


def leaky_step(y: Tensor, step: Step, keep: Rounding = exact) -> Tensor:
    """A residual step of a HiFi-GAN block on stored leaky ReLUs: ``y`` and the result are leaky ReLUs."""
    z = y
    for layer in step.convolutions:
        last = layer is step.convolutions[-1]
        z = convolution(z, layer)
        z = keep(leaky(z + unleaky(y) if last else z))
    return z


def branch_sum(branches: list[Tensor], stored_leaky: bool, slope: float) -> Tensor:
    """The leaky ReLU of the branches' mean."""
    plain = [unleaky(branch) if stored_leaky else branch for branch in branches]
    return leaky(torch.stack(plain).sum(0) / len(plain), slope)


def mel_rows(mel: Tensor, element: torch.dtype, padded: int) -> Tensor:
    """``(batch, bands, frames)`` to ``(batch, frames, 3 padded)``: high, low and high parts."""
    rows = F.pad(mel.transpose(1, 2), (0, padded - mel.shape[1]))
    high = rows.to(element).to(mel.dtype)
    low = (rows - high).to(element).to(mel.dtype)
    return torch.cat([high, low, high], dim=-1)


def last_layer(x: Tensor, weight: Tensor, bias: float, tanh: bool) -> Tensor:
    """``(batch, samples, channels)`` to ``(batch, 1, samples)``, behind its activation."""
    y = F.conv1d(x.transpose(1, 2), weight.T[None].to(x), padding=weight.shape[0] // 2) + bias
    return torch.tanh(y) if tanh else y.clamp(-1, 1)


def rounded(layer: Convolution, keep: Rounding) -> Convolution:
    """The layer with its weights rounded."""
    return Convolution(keep(layer.weight), layer.bias, layer.dilation, layer.offset, layer.shifted_from, layer.rate)


def run(plan: Plan, mel: Tensor, keep: Rounding = exact) -> Tensor:
    """A plan by the kernels' meanings: ``(batch, bands, frames)`` mel to ``(batch, 1, samples)``.

    Args:
        plan: The plan.
        mel: The input.
        keep: What storing does to a tensor; weights are rounded likewise.
    """
    padded = plan.first.inputs // 3
    x = convolution(mel_rows(mel, plan.element, padded), rounded(plan.first, keep))
    x = keep(x if plan.snake else leaky(x))
    for stage in plan.stages:
        x = _stage(plan, stage, x, keep)
    last = plan.last
    if last.snake is not None:
        x = keep(activation(x, last.snake, plan.element))
    return last_layer(x, last.weight, last.bias, last.tanh)


def _stage(plan: Plan, stage: Stage, x: Tensor, keep: Rounding) -> Tensor:
    x = convolution(x, rounded(stage.upsample, keep))
    x = keep(x if plan.snake else leaky(x))
    results = []
    for branch in stage.branches:
        y = x
        for step in branch:
            small = Step(tuple(rounded(layer, keep) for layer in step.convolutions), step.snakes)
            y = snake_step(y, small, plan.element, keep) if plan.snake else leaky_step(y, small, keep)
        results.append(y)
    return keep(branch_sum(results, not plan.snake, stage.slope))
