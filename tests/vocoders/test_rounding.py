"""Emulated precisions round as they say, and leave a network as it was."""

import numpy as np
import pytest
import torch

from bench.vocoders import rounding
from bench.vocoders.hifigan import HifiGan, HifiGanConfig

CONFIG = HifiGanConfig(
    initial_channel=192,
    resblock="2",
    resblock_kernel_sizes=(3, 5),
    resblock_dilation_sizes=((1, 2), (2, 6)),
    upsample_rates=(8, 4),
    upsample_initial_channel=32,
    upsample_kernel_sizes=(16, 8),
    is_bias=False,
)


def test_tf32_rounds_to_ten_bits() -> None:
    """Rounding to TF32 keeps values of 10 mantissa bits and moves others to the nearest of them."""
    values = torch.tensor([1.0, 1 + 2**-10, 1 + 2**-11 + 2**-20, -1 - 2**-12, 3e38, 0.0])
    expected = torch.tensor([1.0, 1 + 2**-10, 1 + 2**-10, -1.0, rounding.tf32(torch.tensor([3e38]))[0], 0.0])
    assert torch.equal(rounding.tf32(values), expected)
    noise = torch.randn(1000)
    assert ((rounding.tf32(noise) - noise).abs() <= noise.abs() * 2**-11).all()


def test_int8_keeps_255_levels_a_channel() -> None:
    """Channel by channel, int8 rounding has at most 255 levels and keeps the largest magnitude."""
    weight = torch.randn(3, 4, 5) * torch.tensor([1.0, 10.0, 100.0])[:, None, None]
    rounded = rounding.per_channel(rounding.INT8)(weight)
    for before, after in zip(weight, rounded, strict=True):
        steps = after / before.abs().max() * 127
        assert torch.allclose(steps, steps.round(), atol=1e-4)
        assert after.abs().max() == pytest.approx(float(before.abs().max()))


def test_fft_convolutions_are_convolutions() -> None:
    """The decoder by FFT equals the decoder, and rounding leaves its weights as they were."""
    torch.manual_seed(0)
    decoder = HifiGan(CONFIG).eval()
    latent = torch.randn(1, 192, 6)
    with torch.inference_mode():
        expected = decoder(latent)
        assert torch.allclose(rounding.by_fft(decoder, latent), expected, atol=1e-5)
        for run in rounding.VARIANTS.values():
            assert np.isfinite(run(decoder, latent).float().numpy()).all()
        assert torch.equal(decoder(latent), expected)
