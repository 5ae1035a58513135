"""Small networks with every kind of layer, and both vocoders' kernels."""

import torch

from bench.vocoders import Vocoder
from bench.vocoders.bigvgan import BigVgan, BigVganConfig
from bench.vocoders.hifigan import HifiGan, HifiGanConfig
from bench.vocoders.synthetic import initialise
from tests.small_vocoders import smooth


def filled(model: Vocoder) -> Vocoder:
    """A network with random weights and biases other than zero."""
    model.eval().requires_grad_(False)
    initialise(model, 0)
    smooth(model)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.uniform_(-0.1, 0.1)
    return model


def bigvgan(**changes: object) -> Vocoder:
    """A BigVGAN of four widths: wide, 96, 48 and 24 channels."""
    fields = {
        "upsample_initial_channel": 384,
        "upsample_rates": (4, 2, 2, 2),
        "upsample_kernel_sizes": (8, 4, 4, 4),
        "resblock_kernel_sizes": (3, 11),
        "resblock_dilation_sizes": ((1, 3), (1, 5)),
    }
    return filled(BigVgan(BigVganConfig(**(fields | changes))))  # type: ignore[arg-type]


def hifigan(**changes: object) -> Vocoder:
    """A HiFi-GAN of four widths: 128, 64, 32 and 16 channels."""
    fields = {
        "upsample_initial_channel": 256,
        "upsample_rates": (5, 3, 2, 2),
        "upsample_kernel_sizes": (11, 9, 4, 4),
        "resblock_kernel_sizes": (3, 7),
        "resblock_dilation_sizes": ((1, 3), (1, 5)),
    }
    return filled(HifiGan(HifiGanConfig(**(fields | changes))))  # type: ignore[arg-type]


MODELS = {
    "bigvgan": lambda: bigvgan(),
    "amp2-snake": lambda: bigvgan(resblock="2", activation="snake", snake_logscale=False, use_tanh_at_final=True),
    "odd-widths": lambda: bigvgan(
        upsample_initial_channel=320,
        upsample_rates=(3, 2),
        upsample_kernel_sizes=(9, 2),
        use_bias_at_final=True,
    ),
    "wide-rate": lambda: bigvgan(
        upsample_initial_channel=96, upsample_rates=(2, 4), upsample_kernel_sizes=(4, 8), use_tanh_at_final=True
    ),
    "hifigan": lambda: hifigan(),
    "resblock2": lambda: hifigan(resblock="2"),
    "one-branch": lambda: hifigan(resblock_kernel_sizes=(5,), resblock_dilation_sizes=((1, 2, 4),)),
}
