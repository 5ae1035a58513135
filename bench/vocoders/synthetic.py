"""Synthetic weights: a network that behaves like a trained one where speed and rounding are concerned.

Real checkpoints are not part of this project. The stand-in is drawn from a seed, the same on every machine:
its values come from PCG64's raw integers, whose stream NumPy guarantees, one stream for each parameter name.
Convolutions keep the mean square of what passes through them (He et al., 2015, with the second moment of the
activation in front), residual branches add a small share, snake parameters differ from channel to channel,
and the last layer is scaled so that speech comes out at a speech-like level.
"""

import math
import zlib

import numpy as np
import torch
from torch import Tensor, nn

from bench.vocoders.bigvgan import AmpBlock, BigVgan
from bench.vocoders.hifigan import SLOPE, HifiGan, ResBlock

# Mean and standard deviation of GPT-SoVITS log-mels of speech, which the first layer removes.
FORM = "2nd form"
MEL_MEAN, MEL_STD = -6.0, 3.0
# Share of a residual branch, as a standard deviation.
BRANCH = 0.4
# Standard deviation in front of the last non-linearity.
OUTPUT_RMS = 0.14
# Second moments behind the activations, for an input of unit mean square.
AFTER_SNAKE = 0.95
AFTER_LEAKY_RELU = (1 + SLOPE**2) / 2
# Second moment of a stage's output over its input: three dilations, three kernels averaged.
AFTER_STAGE = 1.15
# Ranges of the natural logarithm of the snake parameters.
LOG_ALPHA = (-0.7, 1.0)
LOG_BETA = (0.0, 1.0)


def _uniform(seed: int, name: str, shape: torch.Size, low: float, high: float) -> Tensor:
    stream = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))
    unit = (np.asarray(stream.random_raw(math.prod(shape))) >> np.uint64(11)) * 2.0**-53
    return torch.from_numpy((low + (high - low) * unit).astype(np.float32)).reshape(shape)


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
                    gain = 1 / (math.sqrt(inputs) * MEL_STD)
                elif name == "conv_post":
                    gain = OUTPUT_RMS / math.sqrt(inputs * after_activation * AFTER_STAGE)
                else:
                    share = BRANCH if id(module) in branch_ends else 1.0
                    gain = share / math.sqrt(inputs * after_activation)
                module.weight.copy_(_spread(seed, f"{name}.weight", module.weight.shape, gain))
                if module.bias is not None:
                    module.bias.zero_()
                    if name == "conv_pre":
                        module.bias.copy_(-MEL_MEAN * module.weight.sum(dim=(1, 2)))
        for name, parameter in model.named_parameters():
            kind = name.rpartition(".")[2]
            if kind in ("alpha", "beta"):
                low, high = LOG_ALPHA if kind == "alpha" else LOG_BETA
                values = _uniform(seed, name, parameter.shape, low, high)
                logscale = isinstance(model, BigVgan) and model.config.snake_logscale
                parameter.copy_(values if logscale else values.exp())
