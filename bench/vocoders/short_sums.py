"""Convolutions with less noise in float16 sums: the same result in exact arithmetic, for builders that add in float16.

The error of a sum that is rounded as it grows grows with the number of its terms, and with what cancels in it. So
the first convolution takes its log-mel from the middle of speech's range instead of far from zero, and long sums
are taken in parts: of the kernel's taps, which need no copy of the input, then of its channels. What that is worth,
layer by layer: docs/tensorrt.md.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.vocoders.mixed import layer_pattern

# About the mean of speech's log-mel, which reaches from -11.5 to 2.
CENTRE = -6.0
# A residual block adds to the trunk, so that its noise counts less than that of the trunk's own layers.
BRANCH = 8

Convolution = nn.Conv1d | nn.ConvTranspose1d


class Centred(nn.Module):
    """A convolution of a signal whose values lie around ``CENTRE``; zeros stay the padding.

    Args:
        conv: With a stride of one.
        most: As for :class:`Parts`.
    """

    def __init__(self, conv: nn.Conv1d, most: int) -> None:
        super().__init__()
        self.padding = int(conv.padding[0])
        inner = copy.deepcopy(conv)
        inner.padding = (0,)
        with torch.no_grad():
            shift = CENTRE * conv.weight.double().sum((1, 2)).to(conv.weight)
            inner.bias = nn.Parameter(shift if conv.bias is None else conv.bias + shift)
        self.conv = Parts(inner, most)

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution."""
        y: Tensor = self.conv(F.pad(x, (self.padding, self.padding)) - CENTRE)
        return y


class Parts(nn.Module):
    """A convolution as a sum of several, each of some taps of the kernel and some of the input's channels.

    Args:
        conv: Ungrouped.
        most: Products that a part may have, where :func:`pieces` gets so far.
    """

    def __init__(self, conv: Convolution, most: int) -> None:
        super().__init__()
        self.width = conv.in_channels
        self.parts = nn.ModuleList()
        self.channels: list[slice] = []
        for taps, channels in pieces(conv, most):
            part = copy.deepcopy(conv)
            weight = conv.weight.detach()[..., taps.start : taps.stop : taps.step]
            weight = weight[channels] if isinstance(conv, nn.ConvTranspose1d) else weight[:, channels]
            part.weight = nn.Parameter(weight.clone())
            part.bias = part.bias if len(self.parts) == 0 else None
            part.in_channels = channels.stop - channels.start
            if len(taps) < conv.kernel_size[0]:
                part.kernel_size, part.dilation = (len(taps),), (taps.step * conv.dilation[0],)
                part.padding = (int(conv.padding[0]) - taps.start * conv.dilation[0],)
            self.parts.append(part)
            self.channels.append(channels)

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution."""
        outputs = [
            part(x if part.in_channels == self.width else x[:, channels])
            for part, channels in zip(self.parts, self.channels, strict=True)
        ]
        total: Tensor = outputs[0]
        for output in outputs[1:]:
            total = total + output
        return total


def pieces(conv: Convolution, most: int) -> list[tuple[range, slice]]:
    """Taps and channels of the parts that a convolution is cut into.

    Taps first, for which the input need not be copied: into sets that lie evenly around the middle, so that each is a
    convolution with the same padding on both sides. Then channels, in halves, as long as their number is even.

    >>> pieces(nn.Conv1d(8, 1, 7, padding=3), 32)
    [(range(0, 7, 2), slice(0, 8, None)), (range(1, 6, 2), slice(0, 8, None))]
    """
    taps = [range(conv.kernel_size[0])]
    products = conv.in_channels
    if isinstance(conv, nn.ConvTranspose1d):
        products = -(-products // conv.stride[0])
    elif 2 * int(conv.padding[0]) == (conv.kernel_size[0] - 1) * conv.dilation[0]:
        taps = _even_sets(taps[0], max(1, most // products))
    found = []
    for some in taps:
        width = conv.in_channels
        while width * products // conv.in_channels * len(some) > most and width % 2 == 0:
            width //= 2
        found += [(some, slice(begin, begin + width)) for begin in range(0, conv.in_channels, width)]
    return found


def _even_sets(taps: range, most: int) -> list[range]:
    """Arithmetic progressions around the middle of ``taps``, of ``most`` taps where two are not too many."""
    if len(taps) <= max(2, most):
        return [taps]
    parts = [taps[::2], taps[1::2]] if len(taps) % 2 else [taps[:: len(taps) - 1], taps[1:-1]]
    return [some for part in parts for some in _even_sets(part, most)]


def shorten_sums(vocoder: nn.Module, terms: int, float32: str = "") -> nn.Module:
    """Rewrites a vocoder in place.

    Args:
        vocoder: Either generator, in float32.
        terms: Most products that a sum of the trunk (first convolution, upsampling) may have; ``BRANCH`` times as
            many in residual blocks. A number of channels that cannot be halved often enough is halved as often as
            it can be.
        float32: Layers that are kept in float32, as for :func:`bench.vocoders.mixed.lower`; they stay as they are.
    """
    kept = layer_pattern(float32)
    for name, conv in list(vocoder.named_modules()):
        if not isinstance(conv, Convolution):
            continue
        part, _, _ = name.partition(".")
        most = {"conv_pre": terms, "ups": terms, "resblocks": BRANCH * terms}.get(part)
        if most is None or (float32 and kept.match(name)):
            continue
        if part == "conv_pre" and isinstance(conv, nn.Conv1d):
            shorter: nn.Module = Centred(conv, most)
        elif len(pieces(conv, most)) > 1:
            shorter = Parts(conv, most)
        else:
            continue
        parent, _, child = name.rpartition(".")
        setattr(vocoder.get_submodule(parent), child, shorter)
    return vocoder
