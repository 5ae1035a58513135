"""Weights in the order that the kernels read them.

Plain weights of a convolution are ``(taps, columns, inputs)`` float32: output sample ``t`` is the sum over ``tap`` of
``weight[tap] @ x[t + offset + tap * dilation]``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.kernels import filters
from bench.vocoders.alias_free import EPSILON, Snake

# Input channels of a chunk of the wide convolution, one swizzled row of 128 bytes.
WIDE_CHUNK = 64


def channel_order(columns: int) -> Tensor:
    """The output channel that stands in each column of a matrix product.

    A thread of a product owns two neighbouring columns of every eight. In this order its columns are neighbours in
    memory: eight channels in each group of 32, then four in a group of 16 and two in a group of eight.

    Returns:
        int64 ``(columns,)``, a permutation.
    """
    order = []
    for column in range(columns):
        if column < columns // 32 * 32:
            width, base = 32, column // 32 * 32
        elif columns % 32 >= 16 and column < columns // 16 * 16:
            width, base = 16, columns // 32 * 32
        else:
            width, base = 8, columns - 8
        place = column - base
        order.append(base + width // 4 * (place % 8 // 2) + 2 * (place // 8) + place % 2)
    return torch.tensor(order)


def pack_wide(weight: Tensor, element: torch.dtype) -> Tensor:
    """For ``wide_convolution``: 64 inputs in 128-byte rows, the 16-byte group ``g`` of row ``r`` at ``g ^ r % 8``.

    Args:
        weight: ``(taps, columns, inputs)``.
        element: What to round to.

    Returns:
        ``(chunks, taps, columns, 64)``.
    """
    taps, columns, inputs = weight.shape
    chunks = -(-inputs // WIDE_CHUNK)
    padded = F.pad(weight, (0, chunks * WIDE_CHUNK - inputs))[:, channel_order(columns).to(weight.device)]
    groups = padded.view(taps, columns, chunks, 8, 8).permute(2, 0, 1, 3, 4)
    row = torch.arange(columns, device=weight.device)[:, None]
    group = torch.arange(8, device=weight.device)[None, :] ^ (row & 7)
    return groups[:, :, row, group].reshape(chunks, taps, columns, WIDE_CHUNK).to(element).contiguous()


def pack_tile(weight: Tensor, columns: int, piece: int, element: torch.dtype) -> Tensor:
    """For ``tile_convolution``: pieces of ``piece`` inputs, rows padded with zeros to ``columns``.

    Args:
        weight: ``(taps, columns, inputs)``.
        columns: Rows to pad to.
        piece: Inputs of a piece.
        element: What to round to.

    Returns:
        ``(pieces, taps, columns, piece)``; pieces are padded to an even number, for chunks of two.
    """
    taps, real, inputs = weight.shape
    pieces = -(-inputs // piece)
    pieces += pieces % 2 if pieces > 1 else 0
    padded = F.pad(weight, (0, pieces * piece - inputs, 0, columns - real))[:, channel_order(columns).to(weight.device)]
    return padded.view(taps, columns, pieces, piece).permute(2, 0, 1, 3).to(element).contiguous()


def pack_narrow(weight: Tensor, element: torch.dtype) -> Tensor:
    """For the narrow kernels: steps of 16 inputs as two groups of eight, ``(steps, 2, channels, 8)``.

    24 channels are a step and a half. The half steps of two neighbouring taps stand together as one step, the last
    tap's beside zeros.

    Args:
        weight: ``(taps, channels, channels)``.
        element: What to round to.
    """
    taps, channels, _ = weight.shape
    groups = weight[:, channel_order(channels).to(weight.device)].view(taps, channels, channels // 8, 8).transpose(1, 2)
    if channels % 16 == 0:
        return groups.reshape(-1, 2, channels, 8).to(element).contiguous()
    if channels != 24:
        raise ValueError(f"narrow kernels take 24 channels or a multiple of 16, not {channels}")
    steps = []
    for tap in range(0, taps, 2):
        here = groups[tap]
        if tap + 1 < taps:
            behind = groups[tap + 1]
            steps += [here[:2], behind[:2], torch.stack([here[2], behind[2]])]
        else:
            steps += [here[:2], torch.stack([torch.zeros_like(here[2]), here[2]])]
    return torch.stack(steps).to(element).contiguous()


def polyphase(weight: Tensor, rate: int) -> tuple[Tensor, int, int | None]:
    """A transposed convolution as a convolution of stride one onto ``rate`` phases.

    Output sample ``rate * t + phase`` is column ``phase * outputs + channel`` of sample ``t``. Phases read windows of
    the same length; those of the later phases may start one sample later.

    Args:
        weight: ``(inputs, outputs, kernel)`` of a transposed convolution with padding ``(kernel - rate) / 2``.
        rate: Its stride.

    Returns:
        The weight ``(taps, rate * outputs, inputs)``, the offset of the first tap, and the first phase whose window
        starts one sample later; None where all start together.
    """
    inputs, outputs, kernel = weight.shape
    padding = (kernel - rate) // 2
    # For each phase, the kernel element that multiplies sample t + offset.
    elements = []
    for phase in range(rate):
        position = phase + padding
        elements.append({position // rate - m: position % rate + rate * m for m in range(-(-kernel // rate))})
    reads = [{offset: k for offset, k in phase.items() if k < kernel} for phase in elements]
    first = min(min(phase) for phase in reads)
    taps = max(max(phase) - min(phase) + 1 for phase in reads)
    late = [phase for phase in range(rate) if max(reads[phase]) > first + taps - 1]
    shifted = late[0] if late else None
    result = weight.new_zeros(taps, rate, outputs, inputs)
    for phase in range(rate):
        start = first + (shifted is not None and phase >= shifted)
        for offset, k in reads[phase].items():
            result[offset - start, phase] = weight[:, :, k].T
    return result.view(taps, rate * outputs, inputs), first, shifted


def unshifted(weight: Tensor, first_column: int) -> Tensor:
    """The same convolution with one more tap and all windows starting together."""
    taps, columns, inputs = weight.shape
    result = weight.new_zeros(taps + 1, columns, inputs)
    result[:taps, :first_column] = weight[:, :first_column]
    result[1:, first_column:] = weight[:, first_column:]
    return result


def split(weight: Tensor, element: torch.dtype, multiple: int) -> Tensor:
    """Weights for an input of high, low and high parts: high, high and low, each padded to ``multiple`` inputs."""
    padded = F.pad(weight, (0, -weight.shape[-1] % multiple))
    high = padded.to(element).float()
    return torch.cat([high, high, padded - high], dim=-1)


def snake_parameters(snake: Snake, element: torch.dtype) -> Tensor:
    """The cosine's factor and magnitude per channel on the filter's scale, float32 ``(channels, 2)``."""
    alpha = snake.alpha.detach().float()
    beta = alpha if snake.beta is None else snake.beta.detach().float()
    if snake.logscale:
        alpha, beta = alpha.exp(), beta.exp()
    scale = filters.SCALES[element]
    return torch.stack([2 * alpha / scale, scale / (2 * (beta + EPSILON))], dim=1).contiguous()
