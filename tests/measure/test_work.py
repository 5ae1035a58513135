"""Operations and bytes are counted from the network as an independent counter counts them."""

import copy

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.measure.work import layers, work
from bench.vocoders import Vocoder
from bench.vocoders.alias_free import TAPS
from bench.vocoders.bigvgan import BigVgan, BigVganConfig
from bench.vocoders.hifigan import HifiGan, HifiGanConfig
from bench.vocoders.synthetic import initialise
from tests.conftest import small_v3

# Samples that both convolutions of an upsampling see beyond the signal: five repeated ones at either end.
PADDED = 2 * 5


def small_v4() -> HifiGan:
    """A HiFi-GAN with few channels."""
    model = HifiGan(HifiGanConfig(upsample_initial_channel=32)).eval().requires_grad_(False)
    initialise(model, 0)
    return model


def _counted_by_torch(model: Vocoder, batch: int, frames: int) -> int:
    shadow = copy.deepcopy(model).to("meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        shadow(torch.zeros(batch, 100, frames, device="meta"))
    return int(counter.get_total_flops())


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (1, 5), (3, 4)])
def test_v4_has_torch_s_count(batch: int, frames: int) -> None:
    """Every convolution and transposed convolution counts as torch's own counter counts it."""
    model = small_v4()
    assert work(model, batch, frames).flops == _counted_by_torch(model, batch, frames)


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (2, 3)])
def test_v3_has_torch_s_count_without_padding(batch: int, frames: int) -> None:
    """With activations, the count is torch's less the samples that the original pads its filters with."""
    model = small_v3(resblock_kernel_sizes=[3, 7], resblock_dilation_sizes=[[1, 3], [1, 3]])
    found = work(model, batch, frames)
    channels = sum(
        model.get_parameter(f"{layer.name}.act.alpha").numel() for layer in found.layers if layer.kind == "activation"
    )
    assert channels > 0
    assert found.flops + 2 * TAPS * PADDED * batch * channels == _counted_by_torch(model, batch, frames)


def test_the_real_networks_have_their_known_work() -> None:
    """858 GFLOP in 112.4 million parameters for v3's reference length, 325 in 14.4 for v4's, as measured elsewhere."""
    with torch.device("meta"):
        networks = BigVgan(BigVganConfig()), HifiGan(HifiGanConfig())
    v3, v4 = work(networks[0], 1, 468), work(networks[1], 1, 500)
    assert round(v3.flops / 1e9) == 858
    assert round(v4.flops / 1e9) == 325
    assert round(v3.weights / 1e6, 1) == 112.4
    assert round(v4.weights / 1e6, 1) == 14.4
    assert (v3.mel, v3.audio) == (100 * 468, 256 * 468)
    assert v4.flops == _counted_by_torch(networks[1], 1, 500)


def test_bytes_are_weights_mel_and_audio_once() -> None:
    """Weights of one byte and samples of two, for a quantised network."""
    found = work(small_v4(), 2, 3)
    parameters = sum(parameter.numel() for parameter in small_v4().parameters())
    assert found.least_bytes(1, 2) == parameters + 2 * (2 * 100 * 3 + 2 * 480 * 3)


def test_layers_are_named_and_leave_the_network_alone() -> None:
    """Layers carry the names of the network's state in the order they run in; nothing is hooked afterwards."""
    model = small_v4()
    found = layers(model, 1, 2)
    assert [found[0].name, found[-1].name] == ["conv_pre", "conv_post"]
    assert (found[0].kind, found[0].inputs, found[0].outputs) == ("conv", 200, 64)
    assert "ups.0" in {layer.name for layer in found if layer.kind == "transposed conv"}
    assert not any(module._forward_hooks for module in model.modules())
