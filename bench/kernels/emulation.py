"""The activation kernel's arithmetic in PyTorch: the same tiles, the same matrix products, the same roundings.

What the kernel computes in float32 is computed in float32 here, in another order of sums; what it rounds to an element
is rounded here. So the two differ by float32 rounding and by the GPU's fast cosine.
"""

import torch
from torch import Tensor

from bench.kernels import filters
from bench.kernels.reference import stored
from bench.vocoders.alias_free import RATIO, TAPS

BLOCK = 8


def activation(x: Tensor, snake: Tensor, element: torch.dtype) -> Tensor:
    """``SCALE^2`` times the alias-free activation, block by block.

    Args:
        x: float32 ``(batch, samples, channels)``, values that are elements.
        snake: ``(channels, 2)`` from :func:`bench.kernels.packing.snake_parameters`.
        element: Data type of tensors.

    Returns:
        float32 of the same shape, values that are elements.
    """
    keep, samples = stored(element), x.shape[1]
    blocks = -(-samples // BLOCK)
    rows = x.transpose(1, 2)
    # Block b reads samples 8 b - 4 to 8 b + 11, the first and the last sample repeated.
    start = torch.arange(-1, blocks + 1)[:, None] * BLOCK - 4
    window = rows[..., (start + torch.arange(16)).clamp(0, samples - 1)]
    doubled = torch.cat([window @ filters.up_band(half, element) for half in (0, 1)], dim=-1)
    values = _snake(doubled, snake[:, None, None, :])
    left, right = (_snake(edge, snake) for edge in _edges(x, element))
    sample = torch.arange(-BLOCK, (blocks + 1) * BLOCK).view(-1, BLOCK).repeat_interleave(RATIO, dim=1)
    values = torch.where(sample < 0, left[:, :, None, None], values)
    values = keep(torch.where(sample >= samples, right[:, :, None, None], values))
    own = torch.cat([filters.down_band(first, element) for first in (0, BLOCK)])
    result = values[:, :, 1:-1] @ own
    result = result + values[:, :, :-2, BLOCK:] @ filters.down_band(-BLOCK, element)
    result = result + values[:, :, 2:, :BLOCK] @ filters.down_band(2 * BLOCK, element)
    result = result + (snake[:, 1] * filters.SCALES[element])[:, None, None]
    return keep(result.flatten(2)[..., :samples].transpose(1, 2))


def _snake(x: Tensor, parameters: Tensor) -> Tensor:
    return x - parameters[..., 1] * torch.cos(x * parameters[..., 0])


def _edges(x: Tensor, element: torch.dtype) -> tuple[Tensor, Tensor]:
    """The first even and the last odd value of the doubled signal, ``(batch, channels)``, with unrounded taps."""
    samples, scaled = x.shape[1], torch.tensor(filters.taps()) * filters.SCALES[element]
    step = torch.arange(TAPS // 2)
    first = x[:, (step - 3).clamp(0, samples - 1)]
    last = x[:, (samples - 3 + step).clamp(0, samples - 1)]
    even, odd = RATIO * scaled[TAPS - 1 - 2 * step], RATIO * scaled[TAPS - 2 - 2 * step]
    return torch.einsum("bsc,s->bc", first, even), torch.einsum("bsc,s->bc", last, odd)
