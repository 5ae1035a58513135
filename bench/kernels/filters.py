"""The half-band filter of the alias-free activation as the kernels use it: scaled taps and band matrices."""

from functools import cache

import torch
from torch import Tensor

from bench.vocoders.alias_free import RATIO, TAPS, kaiser_sinc_filter

# The scale at which the twelve taps lose least to rounding (tests/kernels/test_filters.py):
# the relative error of the taps falls from 1.4e-4 to 5e-6 in float16. The kernels return SCALE^2 times the activation.
SCALES = {torch.float16: 0.9066942, torch.bfloat16: 0.9066942}


@cache
def taps() -> tuple[float, ...]:
    """The twelve taps of the low-pass filter, unit gain."""
    return tuple(float(tap) for tap in kaiser_sinc_filter(0.5 / RATIO, 0.6 / RATIO).flatten())


def scaled_taps(element: torch.dtype) -> Tensor:
    """The taps times the scale, rounded to ``element``; float32 ``(12,)``."""
    return (torch.tensor(taps()) * SCALES[element]).to(element).float()


def gain(element: torch.dtype) -> float:
    """What the kernels' activation is larger by, to be divided out of the weights behind it."""
    return SCALES[element] ** 2


def up_band(half: int, element: torch.dtype) -> Tensor:
    """The filter that doubles the rate, as a right factor.

    Row ``k`` is input sample ``k - 4`` of a block of 8 samples, column ``2 i + phase`` the doubled signal's value of
    that phase at sample ``4 half + i``.

    Returns:
        float32 ``(16, 8)``, values representable in ``element``.
    """
    scaled = scaled_taps(element)
    band = torch.zeros(16, 8)
    for column in range(8):
        sample, phase = 4 * half + column // 2, column % 2
        for tap in range(TAPS // 2):
            band[sample + 1 + phase + tap, column] = RATIO * scaled[TAPS - 1 - phase - 2 * tap]
    return band


def down_band(first: int, element: torch.dtype) -> Tensor:
    """The filter that halves the rate, as a right factor of eight rows.

    Row ``k`` is value ``first + k`` of the doubled signal, counted from a block's first sample; column ``i`` is the
    block's output sample ``i``.

    Returns:
        float32 ``(8, 8)``, values representable in ``element``.
    """
    scaled = scaled_taps(element)
    band = torch.zeros(8, 8)
    for row in range(8):
        for column in range(8):
            tap = first + row - 2 * column + TAPS // 2 - 1
            if 0 <= tap < TAPS:
                band[row, column] = scaled[tap]
    return band


def filter_bands(element: torch.dtype) -> Tensor:
    """The bands in the registers' order, ``FilterBands`` of ``alias_free.cuh``.

    Lane ``4 g + q`` holds rows ``2 q`` and ``2 q + 1`` of column ``g`` of eight matrices of eight rows.

    Returns:
        ``element`` tensor ``(32, 8, 2)``.
    """
    up = [up_band(half, element)[rows : rows + 8] for half in (0, 1) for rows in (0, 8)]
    down = [down_band(first, element) for first in (0, 8, -8, 16)]
    matrices = torch.stack(up + down)
    lane = torch.arange(32)
    column, row = lane // 4, 2 * (lane % 4)
    return torch.stack([matrices[:, row, column], matrices[:, row + 1, column]], dim=-1).transpose(0, 1).to(element)
