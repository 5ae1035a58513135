"""Small networks that an exporter walks through in seconds, and how far two waveforms are apart."""

import torch
from torch import nn

from bench.vocoders import Vocoder
from bench.vocoders.hifigan import HifiGan, HifiGanConfig
from bench.vocoders.synthetic import initialise
from tests.conftest import small_v3


def tiny(version: str) -> Vocoder:
    """The network with one kernel size and few channels, which an exporter walks through in seconds."""
    if version == "v3":
        return small_v3(
            upsample_initial_channel=16,
            upsample_rates=[4, 2],
            upsample_kernel_sizes=[8, 4],
            resblock_kernel_sizes=[3],
            resblock_dilation_sizes=[[1, 3]],
        )
    config = HifiGanConfig(
        upsample_initial_channel=16,
        upsample_rates=(10, 2),
        upsample_kernel_sizes=(20, 4),
        resblock_kernel_sizes=(3, 7),
        resblock_dilation_sizes=((1, 3), (1, 3)),
    )
    model = HifiGan(config)
    initialise(model, 0)
    return model.eval().requires_grad_(False)


def smooth(model: Vocoder) -> Vocoder:
    """The network with plain random weights in its first two layers.

    The synthetic ones multiply every rounding in front of them, as trained weights do. A test that asks whether a
    computation is right, not how a precision sounds, is sharper without.
    """
    torch.manual_seed(2)
    second = model.ups[0]
    for layer in (model.conv_pre, second[0] if isinstance(second, nn.ModuleList) else second):
        assert isinstance(layer, nn.Conv1d | nn.ConvTranspose1d)
        inputs = layer.in_channels * layer.kernel_size[0] / layer.stride[0] ** isinstance(layer, nn.ConvTranspose1d)
        layer.weight.normal_(std=inputs**-0.5 / (6 if layer is model.conv_pre else 1))
        if layer.bias is not None:
            layer.bias.zero_()
    return model


def snr_db(reference: torch.Tensor, test: torch.Tensor) -> float:
    """Signal-to-noise ratio in float64."""
    reference, test = reference.double(), test.double()
    noise = (reference - test).square().sum().clamp(min=1e-300)
    return float(10 * torch.log10(reference.square().sum() / noise))


def assert_same_everywhere(model: Vocoder, other: nn.Module) -> None:
    """Two float64 networks give the same waveform at several batches and lengths, edges included."""
    for batch, frames in ((1, 3), (2, 5), (1, 6), (2, 17)):
        mel = 3 * torch.randn(batch, 100, frames, dtype=torch.float64) - 6
        expected, wave = model(mel), other(mel)
        assert snr_db(expected, wave) > 250
        assert torch.allclose(expected[..., :16], wave[..., :16], rtol=0, atol=1e-9)
        assert torch.allclose(expected[..., -16:], wave[..., -16:], rtol=0, atol=1e-9)
