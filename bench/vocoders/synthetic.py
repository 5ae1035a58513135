"""Synthetic weights: a network that behaves like a trained one where speed and rounding are concerned.

Real checkpoints are not part of this project. The stand-in is drawn from a seed, the same on every machine:
its values come from PCG64's raw integers, whose stream NumPy guarantees, one stream for each parameter name.
Convolutions keep the mean square of what passes through them (He et al., 2015, with the second moment of the
activation in front), residual branches add a small share, snake parameters differ from channel to channel,
and the last layer is scaled so that speech comes out at a speech-like level.

Plain random weights flatter the rounding of a network by 10 to 20 dB, for two reasons that this second form mends:

- A trained network goes by small differences between large log-mels, so that rounding a mel to float16 costs it far
  more than the rounding's share of the mel. Here the first layer sees how neighbouring bands differ and how that
  departs from a parabola over seven frames: what of speech is smooth cancels, its rounding does not.
- A trained network's error comes in bursts, where its output turns quickly with what it reads, as a phase does. Here a
  few features of the first layer are folded where they are large: HiFi-GAN's second layer adds their channels with
  slopes that alternate, BigVGAN's first snakes turn quickly. A fold multiplies every error in front of it.
- A trained network's sums nearly cancel. Here some channels carry large activations in pairs that the second layer
  subtracts from one another: nothing is left of them but their rounding.

``docs/synthetic-weights.md`` compares both with trained networks.
"""

import math
import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.vocoders.bigvgan import AmpBlock, BigVgan
from bench.vocoders.hifigan import SLOPE, HifiGan, ResBlock

# Part of the weights' name: other values under the same seed are other weights.
FORM = "2nd form"
# Binomials: the fifth difference over time, which leaves nothing of a polynomial of degree 4.
DIFFERENCE = (1, -5, 10, -10, 5, -1)
# RMS of what speech has left of a row of unit norm.
ROUGHNESS = 0.11
# Folds: features, slopes of their channels (their sum and first moment are 0, so that leaks and far values cancel),
# where they begin and how far apart they lie in RMS of the feature, and the steepest slope.
FEATURES, SLOPES, BEGINS, APART, STEEP = 2, (1, -2, 2, -2, 1), 1.2, 0.15, 40.0
# Pairs of channels that cancel, and what they would carry of loudness among 512 channels, RMS; speech's log-mel over
# silence, RMS. They carry differences of neighbouring bands, which are a tenth of that.
PAIRS, CARRIED, LOUDNESS = 1, 1200.0, 6.0
# What the second channel of a pair carries of the first: a share that rounds otherwise.
SHARE = 0.75
# Share of a residual branch, as a standard deviation.
BRANCH = 0.4
# Standard deviation in front of the last non-linearity.
OUTPUT_RMS = 0.10
# Second moments behind the activations, for an input of unit mean square.
AFTER_SNAKE = 0.95
AFTER_LEAKY_RELU = (1 + SLOPE**2) / 2
# Second moment of a stage's output over its input: three dilations, three kernels averaged.
AFTER_STAGE = 1.15
# Ranges of the natural logarithm of the snake parameters.
LOG_ALPHA = (-0.7, 1.0)
LOG_BETA = (0.0, 1.0)
_BLOCK = 2**16


def _uniform(seed: int, name: str, shape: torch.Size, low: float, high: float) -> Tensor:
    stream = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))
    values = np.empty(math.prod(shape), np.float32)
    # In blocks that stay in the processor's caches; the values are those of one large draw.
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        unit = (np.asarray(stream.random_raw(len(block))) >> np.uint64(11)) * 2.0**-53
        unit *= high - low
        unit += low
        block[:] = unit
    return torch.from_numpy(values).reshape(shape)


def _spread(seed: int, name: str, shape: torch.Size, std: float) -> Tensor:
    bound = math.sqrt(3.0) * std
    return _uniform(seed, name, shape, -bound, bound)


def initialise(model: BigVgan | HifiGan, seed: int) -> None:
    """Fills every parameter of ``model`` in place from ``seed``; two calls give equal bits."""
    after_activation = AFTER_SNAKE if isinstance(model, BigVgan) else AFTER_LEAKY_RELU
    # BigVGAN upsamples without an activation in front; HiFi-GAN behind one.
    before_up = 1.0 if isinstance(model, BigVgan) else AFTER_LEAKY_RELU
    branch_ends = {
        id(conv)
        for block in model.modules()
        if isinstance(block, AmpBlock | ResBlock)
        for conv in (block.convs2 if block.two else block.convs)
    }
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                inputs = module.in_channels * module.kernel_size[0]
                if isinstance(module, nn.ConvTranspose1d):
                    first = name in ("ups.0", "ups.0.0")
                    power = before_up * (1.0 if first else AFTER_STAGE)
                    gain = 1 / math.sqrt(inputs / module.stride[0] * power)
                elif name == "conv_pre":
                    gain = 1 / math.sqrt(inputs)
                elif name == "conv_post":
                    gain = OUTPUT_RMS / math.sqrt(inputs * after_activation * AFTER_STAGE)
                else:
                    share = BRANCH if id(module) in branch_ends else 1.0
                    gain = share / math.sqrt(inputs * after_activation)
                module.weight.copy_(_spread(seed, f"{name}.weight", module.weight.shape, gain))
                if module.bias is not None:
                    module.bias.zero_()
        _sharpen(model, seed)
        for name, parameter in model.named_parameters():
            kind = name.rpartition(".")[2]
            if kind in ("alpha", "beta"):
                low, high = LOG_ALPHA if kind == "alpha" else LOG_BETA
                values = _uniform(seed, name, parameter.shape, low, high)
                logscale = isinstance(model, BigVgan) and model.config.snake_logscale
                parameter.copy_(values if logscale else values.exp())


def _sharpen(model: BigVgan | HifiGan, seed: int) -> None:
    """Makes the first layer rough, folds some of its features, and has pairs of its channels cancel in the second."""
    first = model.conv_pre
    second: Any = model.ups[0]
    second = second[0] if isinstance(model, BigVgan) else second
    weight = _rough(seed, first.weight.shape)
    bias = torch.zeros(first.out_channels, dtype=torch.float64)
    bands, taps = weight.shape[1:]
    pairs = min(PAIRS, first.out_channels // 16)
    # As large beside all channels together, however many there are. Small integers over a power of two, as above: their
    # sum is 0 in every precision, so that silence stays silent. Differences of neighbours leave nothing of loudness, so
    # that what a pair carries comes and goes with the sound.
    carried = CARRIED * math.sqrt(first.out_channels / 512) / (LOUDNESS * math.sqrt(bands))
    stream = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(b"conv_pre.pairs")]))
    drawn = (np.asarray(stream.random_raw(pairs * bands)) >> np.uint64(59)).astype(np.int64).reshape(pairs, bands)
    shape = torch.from_numpy(drawn - np.roll(drawn, -1, axis=1)).double()
    shape *= 2.0 ** round(math.log2(carried / (math.sqrt(2.0) * 9.2 * taps)))
    weight[: 2 * pairs] = shape[..., None].expand(-1, -1, taps).repeat(2, 1, 1)
    weight[pairs : 2 * pairs] *= SHARE
    second.weight[pairs : 2 * pairs] = -second.weight[:pairs] / SHARE
    if isinstance(model, HifiGan):
        spread = ROUGHNESS * float(weight[-1].square().sum().sqrt())
        count = min(FEATURES, (first.out_channels - 2 * pairs) // (2 * len(SLOPES)))
        steep = 2.0 ** round(math.log2(STEEP * math.sqrt(first.out_channels / FEATURES) / len(SLOPES)))
        for feature in range(count):
            start = 2 * pairs + feature * len(SLOPES)
            second.weight[start] = second.weight[start].bfloat16()
            for index, slope in enumerate(SLOPES):
                weight[start + index] = weight[start]
                bias[start + index] = -(BEGINS + APART * index) * spread
                second.weight[start + index] = second.weight[start] * (slope if index else 1)
            second.weight[start : start + len(SLOPES)] *= steep
    first.weight.copy_(weight)
    if first.bias is not None:
        first.bias.copy_(bias)


def _rough(seed: int, shape: torch.Size) -> Tensor:
    """Rows of the first layer that see how neighbouring bands differ, and how that departs from a smooth course.

    Small integers over a power of two: differences cancel exactly, and every precision holds the weights as they are,
    so that the error of a row is that of the mel and of what is written.
    """
    free = shape[2] - len(DIFFERENCE) + 1
    stream = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(b"conv_pre.rough")]))
    raw = np.asarray(stream.random_raw(shape[0] * shape[1] * free)) >> np.uint64(62)
    drawn = (2 * raw.astype(np.int64) - 3).reshape(shape[0], shape[1], free)
    drawn = drawn - np.roll(drawn, -1, axis=1)
    rows = np.zeros(tuple(shape), np.int64)
    for offset in range(free):
        for tap, value in enumerate(DIFFERENCE):
            rows[:, :, offset + tap] += value * drawn[:, :, offset]
    norm = math.sqrt(2 * 5 * free * sum(value * value for value in DIFFERENCE) * shape[1])
    scale = 2.0 ** round(math.log2(1.0 / (norm * ROUGHNESS)))
    return torch.from_numpy(rows).double() * scale
