"""The channels-last form computes what the vocoder computes, edges included."""

import pytest
import torch
from torch import nn

from bench.lowering.channels_last import RowActivation, channels_last
from bench.vocoders.alias_free import AliasFreeActivation
from bench.vocoders.hifigan import HifiGan, HifiGanConfig
from bench.vocoders.synthetic import initialise
from tests.conftest import small_v3

CPU = torch.device("cpu")


def _activation(beta: bool, logscale: bool) -> AliasFreeActivation:
    activation = AliasFreeActivation(3, beta, logscale).double()
    torch.manual_seed(0)
    for parameter in activation.parameters():
        nn.init.uniform_(parameter, 0.3, 1.5)
    return activation.requires_grad_(False)


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 6, 7, 40])
@pytest.mark.parametrize(("beta", "logscale"), [(True, True), (False, False)])
def test_the_activation_is_exact_at_every_sample(samples: int, beta: bool, logscale: bool) -> None:
    """Every sample equals the original's, at lengths where both edges reach everything; a jump at an edge shows."""
    original = _activation(beta, logscale)
    x = torch.randn(2, 3, samples, dtype=torch.float64)
    x[..., 0] += 5.0
    x[..., -1] -= 7.0
    made = RowActivation(original)(x.unsqueeze(2)).squeeze(2)
    # The taps are the original's to float32, in which both keep them.
    assert torch.allclose(made, original(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("resblock", ["1", "2"])
@pytest.mark.parametrize("frames", [1, 9])
def test_v3_is_the_same_network(frames: int, resblock: str) -> None:
    """BigVGAN's form has the module's output in float64, and the module stays as it was."""
    model = small_v3(resblock=resblock, resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]]).double()
    mel = torch.randn(2, 100, frames, dtype=torch.float64)
    expected = model(mel)
    form = channels_last(model, torch.float64, CPU)
    assert torch.allclose(form(mel), expected, rtol=0, atol=1e-11 * float(expected.abs().max()))
    assert torch.equal(model(mel), expected)
    assert isinstance(model.activation_post, AliasFreeActivation)


def test_v4_is_the_same_network() -> None:
    """HiFi-GAN's form has the module's output in float64."""
    config = HifiGanConfig(upsample_initial_channel=32, upsample_rates=(10, 6), upsample_kernel_sizes=(20, 12))
    model = HifiGan(config).eval().requires_grad_(False)
    initialise(model, 0)
    mel = torch.randn(2, 100, 5, dtype=torch.float64)
    expected = model.double()(mel)
    assert torch.allclose(channels_last(model, torch.float64, CPU)(mel), expected, rtol=0, atol=1e-12)


def test_a_signal_keeps_its_channels_last() -> None:
    """Between the first and the last layer, channels are innermost in memory: no layout has to change."""
    model = small_v3(resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]])
    form = channels_last(model, torch.float32, CPU)
    seen: list[bool] = []
    for module in form.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | RowActivation):
            module.register_forward_pre_hook(
                lambda _, given: seen.append(given[0].is_contiguous(memory_format=torch.channels_last))
            )
    form(torch.randn(1, 100, 5))
    assert len(seen) > 20
    assert all(seen)


def test_activations_compute_in_float32_inside_a_float16_network() -> None:
    """Constants stay in float32, so that a float16 form is nearer to float32 than its parameters' rounding."""
    form = channels_last(small_v3(), torch.float16, CPU)
    constants = {module.alpha.dtype for module in form.modules() if isinstance(module, RowActivation)}
    weights = {module.weight.dtype for module in form.modules() if isinstance(module, nn.Conv2d)}
    assert (constants, weights) == ({torch.float32}, {torch.float16})
