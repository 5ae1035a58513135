"""Convolutions with less noise in float16 sums: the same result in exact arithmetic, for builders that add in float16.

The error of a sum that is rounded as it grows grows with the number of its terms, and with what cancels in it. So
the first convolution takes its log-mel from the middle of speech's range instead of far from zero, and long sums
are taken in parts. What that is worth, layer by layer: docs/tensorrt.md.
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


class Centred(nn.Module):
    """A convolution of a signal whose values lie around ``CENTRE``; zeros stay the padding.

    Args:
        conv: With a stride of one.
        parts: As for :class:`Parts`.
    """

    def __init__(self, conv: nn.Conv1d, parts: int) -> None:
        super().__init__()
        self.padding = int(conv.padding[0])
        inner = copy.deepcopy(conv)
        inner.padding = (0,)
        with torch.no_grad():
            shift = CENTRE * conv.weight.double().sum((1, 2)).to(conv.weight)
            inner.bias = nn.Parameter(shift if conv.bias is None else conv.bias + shift)
        self.conv = Parts(inner, parts)

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution."""
        y: Tensor = self.conv(F.pad(x, (self.padding, self.padding)) - CENTRE)
        return y


class Parts(nn.Module):
    """A convolution as a sum of several, each of some of the input's channels.

    Args:
        conv: Ungrouped.
        parts: How many; they divide its channels.
    """

    def __init__(self, conv: nn.Conv1d | nn.ConvTranspose1d, parts: int) -> None:
        super().__init__()
        self.width = conv.in_channels // parts
        channels = 0 if isinstance(conv, nn.ConvTranspose1d) else 1
        self.parts = nn.ModuleList()
        for index, weight in enumerate(conv.weight.detach().split(self.width, channels)):
            part = copy.deepcopy(conv)
            part.in_channels = self.width
            part.weight = nn.Parameter(weight.clone())
            part.bias = part.bias if index == 0 else None
            self.parts.append(part)

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution."""
        total: Tensor = self.parts[0](x[:, : self.width])
        for index, part in enumerate(self.parts[1:], start=1):
            total = total + part(x[:, index * self.width : (index + 1) * self.width])
        return total


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
        if not isinstance(conv, nn.Conv1d | nn.ConvTranspose1d):
            continue
        part, _, _ = name.partition(".")
        most = {"conv_pre": terms, "ups": terms, "resblocks": BRANCH * terms}.get(part)
        if most is None or (float32 and kept.match(name)):
            continue
        parts = _parts(conv, most)
        if part == "conv_pre" and isinstance(conv, nn.Conv1d):
            shorter: nn.Module = Centred(conv, parts)
        elif parts > 1:
            shorter = Parts(conv, parts)
        else:
            continue
        parent, _, child = name.rpartition(".")
        setattr(vocoder.get_submodule(parent), child, shorter)
    return vocoder


def _parts(conv: nn.Conv1d | nn.ConvTranspose1d, most: int) -> int:
    stride = conv.stride[0] if isinstance(conv, nn.ConvTranspose1d) else 1
    products = conv.in_channels * conv.kernel_size[0] / stride
    parts = 1
    while products / parts > most and conv.in_channels % (2 * parts) == 0:
        parts *= 2
    return parts
