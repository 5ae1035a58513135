"""The simulation of kernels that round to float16 as they add, and what activations do to a steady sound there."""

import copy

import pytest
import torch
from torch import Tensor, nn

from bench.lowering.activation import DEFAULT_FORM, FORMS, ends
from bench.lowering.mixed_precision import Float32, round_to_tf32
from bench.vocoders.alias_free import AliasFreeActivation
from bench.vocoders.bigvgan import BigVgan
from studies import float16_sums
from studies.float16_sums import (
    Float16Products,
    Float32Trunk,
    in_float32,
    kept_in_tf32,
    with_float16_products,
    with_float16_sums,
)
from tests.conftest import small_v3
from tests.small_vocoders import snr_db


def in_float16(form: nn.Module, x: Tensor) -> Tensor:
    """The output of a form whose convolutions add in float16."""
    with torch.no_grad():
        wave: Tensor = with_float16_sums(copy.deepcopy(form), lambda _: True)(x)
    return wave.float()


def test_the_simulation_stops_where_float16_does() -> None:
    """Ones added to a float16 sum stop at 2048, and where every sum is a float16 nothing is lost."""
    conv = nn.Conv1d(16 * 4096, 1, 1, bias=False)
    nn.init.constant_(conv.weight, 1 / 16)
    x = torch.ones(1, 16 * 4096, 1)
    assert in_float16(conv, x).item() == 2048
    with Float16Products():
        ones = torch.ones(1, 32 * 4096, dtype=torch.float16)
        assert (ones @ (ones.T / 32)).item() == 2048
        assert (ones.float() @ (ones.T.float() / 32)).item() == 4096
    torch.manual_seed(0)
    for exact in (nn.Conv1d(40, 3, 5, padding=4, dilation=2), nn.ConvTranspose1d(40, 3, 8, 4, padding=2)):
        for parameter in exact.parameters():
            parameter.data = torch.randint(-3, 4, parameter.shape).float()
        x = torch.randint(-2, 3, (2, 40, 11)).float()
        assert torch.equal(in_float16(exact, x), exact(x))


@pytest.mark.parametrize("adds_in_float16", [True, False])
def test_float16_products_break_a_period_of_less_than_sixteen_samples(adds_in_float16: bool) -> None:
    """Sixteen products that are added at once see a period of 4 samples at four places, and cut it differently.

    That is what puts the noise of v3's first stage between the harmonics of a steady sound.
    """
    torch.manual_seed(0)
    original = AliasFreeActivation(3, beta=True, logscale=True)
    x = torch.randn(1, 3, 4).repeat(1, 1, 64)
    form = ends(16)(original, 256).half()
    with_float16_products(nn.Sequential(form), lambda _: adds_in_float16)
    with torch.inference_mode():
        steady = form(x.half())[..., 64:-64].float()
        truth = original(x)[..., 64:-64]
    assert snr_db(truth, steady) > 50
    periodic = torch.equal(steady, steady[..., :4].repeat(1, 1, steady.shape[-1] // 4))
    assert periodic != adds_in_float16


def test_a_trunk_in_float32_is_less_noisy() -> None:
    """The same network, with what it adds unrounded: nearer to eager float32, and in float16 where nothing is kept."""
    vocoder = small_v3()
    torch.manual_seed(0)
    mel = torch.randn(1, 100, 12) - 6
    form = kept_in_tf32(vocoder, mel, r"conv_pre|ups|conv_post|resblocks\.\d+\.convs", round_to_tf32)
    assert isinstance(form, BigVgan)
    with torch.no_grad():
        truth = vocoder(mel)
        plain, trunk = (snr_db(truth, model(mel.half()).float()) for model in (form, Float32Trunk(form)))
    assert 40 < plain < trunk - 0.5
    kept = form.get_submodule("ups.0.0")
    assert isinstance(kept, Float32)
    weight = kept.layer.get_parameter("weight")
    x = torch.randn(1, weight.shape[0], 9)
    assert torch.equal(in_float32(kept, x), kept.layer(x))
    assert torch.equal(weight, round_to_tf32(vocoder.get_submodule("ups.0.0").get_parameter("weight")))


def stays_steady(rate: int, known: int) -> bool:
    """Whether equal mel frames stay equal behind an activation that takes ``known`` for their samples."""
    torch.manual_seed(0)
    activation = FORMS[DEFAULT_FORM](AliasFreeActivation(8, beta=True, logscale=True), known).half()
    x = torch.randn(1, 8, rate).half().repeat(1, 1, 12)
    with float16_sums.Float16Products():
        frames = activation(x).unflatten(-1, (12, rate))[:, :, 3:-3]
    return torch.equal(frames, frames[:, :, :1].expand_as(frames))


@pytest.mark.parametrize("period", [8, 16, 32, 64])
@pytest.mark.parametrize("rate", [4, 16, 32, 64, 128, 256])
def test_a_steady_sound_stays_steady_in_float16_sums(monkeypatch: pytest.MonkeyPatch, rate: int, period: int) -> None:
    """What repeats with every mel frame still does, to the last bit: noise makes no new lines in its spectrum."""
    monkeypatch.setattr(float16_sums, "PERIOD", period)
    assert stays_steady(rate, rate)


@pytest.mark.parametrize("rate", [4, 16])
def test_frames_of_several_mel_frames_would_not_keep_it_steady(rate: int) -> None:
    """In the first two stages, as the benchmark's simulation has it and engines showed it."""
    assert not stays_steady(rate, 4 * rate)
