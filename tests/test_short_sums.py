"""Shorter sums: the same result, less noise where a kernel rounds to float16 as it adds."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.mels import default_speech, log_mel, speech_mels
from bench.onnx_export import engine_form, export_onnx
from bench.vocoders import load_vocoder
from bench.vocoders.alias_free import AliasFreeActivation
from bench.vocoders.mixed import Float32
from bench.vocoders.polyphase import FORMS
from bench.vocoders.short_sums import BRANCH, Centred, Parts, shorten_sums
from bench.vocoders.synthetic import initialise
from benchmarks.float16_sums import Float16Products, with_float16_products, with_float16_sums
from tests.test_onnx_export import assert_equal, onnx, snr_db, tiny


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
    assert in_float16(Parts(conv, 4), x).item() == 4096
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


@pytest.mark.parametrize("terms", [1, 8])
@pytest.mark.parametrize("version", ["v3", "v4"])
def test_equal_to_the_original(version: str, terms: int) -> None:
    """In float64 both networks give the original's output, edges included, however short the sums."""
    vocoder = tiny(version).double()
    shorter = shorten_sums(copy.deepcopy(vocoder), terms)
    kinds = [type(module) for module in shorter.modules()]
    assert kinds.count(Centred) == 1
    assert kinds.count(Parts) > (3 if terms == 1 else 1)
    mel = speech_mels(log_mel(default_speech(), vocoder.spec), 2, 9).double()
    with torch.no_grad():
        assert snr_db(vocoder(mel), shorter(mel)) >= 250


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [nn.Conv1d, nn.ConvTranspose1d])
def test_parts_of_one_convolution(kind: type[nn.Conv1d] | type[nn.ConvTranspose1d], bias: bool) -> None:
    """Stride, padding, dilation and bias are the original's, whose own weights stay."""
    torch.manual_seed(0)
    options = {"stride": 4, "padding": 2} if kind is nn.ConvTranspose1d else {"padding": 6, "dilation": 3}
    conv = kind(24, 10, 8 if kind is nn.ConvTranspose1d else 5, bias=bias, **options).double()
    before = conv.weight.clone()
    parts = Parts(conv, 4)
    x = torch.randn(2, 24, 17, dtype=torch.float64)
    assert torch.allclose(parts(x), conv(x), rtol=0, atol=1e-13)
    assert [part.in_channels for part in parts.parts] == [6] * 4
    assert torch.equal(conv.weight, before)
    assert conv.in_channels == 24


def test_how_many_parts() -> None:
    """Halves until the sum is short enough or the channels are odd; blocks have longer sums, the last layer its own."""
    network = nn.ModuleDict(
        {
            "conv_pre": nn.Conv1d(100, 8, 7, padding=3),
            "ups": nn.ModuleList([nn.ConvTranspose1d(64, 8, 8, 4, padding=2), nn.ConvTranspose1d(24, 8, 8, 4)]),
            "resblocks": nn.ModuleList([nn.Conv1d(64, 64, 5), nn.Conv1d(64, 64, 11)]),
            "conv_post": nn.Conv1d(512, 1, 7),
        }
    )
    shorter = shorten_sums(network, 64)
    assert BRANCH * 64 == 512

    def parts(name: str) -> int:
        module = shorter.get_submodule(name)
        return len(module.parts) if isinstance(module, Parts) else 1

    # 700 products: 100 channels can be halved twice only. 128 = 64 channels x 8 taps / 4 samples. 48. 320. 704.
    names = ("conv_pre.conv", "ups.0", "ups.1", "resblocks.0", "resblocks.1", "conv_post")
    assert [parts(name) for name in names] == [4, 2, 1, 1, 2, 1]


def test_layers_in_float32_stay_as_they_are() -> None:
    """They keep their names, also for a pattern that asks for a whole name, and a float32 graph has them whole."""
    for float32 in (r"conv_pre$|ups\.0", "conv_pre|ups.0"):
        form = engine_form(tiny("v4"), torch.zeros(1, 100, 8), float32, terms=1)
        assert type(form.conv_pre) is nn.Conv1d
        assert type(form.ups[0]) is nn.ConvTranspose2d
        assert type(form.ups[1]) is Parts
        lowered = engine_form(tiny("v4"), torch.zeros(1, 100, 8, dtype=torch.float16), float32, terms=1)
        assert type(lowered.conv_pre) is type(lowered.ups[0]) is Float32


def test_the_first_convolution_is_less_noisy() -> None:
    """A log-mel of speech lies far from zero, which costs a float16 sum 6 dB and more."""
    vocoder = load_vocoder("v4")
    mel = speech_mels(log_mel(default_speech(), vocoder.spec), 1, 60)
    conv = vocoder.conv_pre
    with torch.no_grad():
        reference = conv(mel)
    plain, centred = (snr_db(reference, in_float16(form, mel)) for form in (conv, Centred(conv, 4)))
    assert centred >= plain + 6


def test_a_long_sum_is_less_noisy_in_parts() -> None:
    """Rounding errors of a sum grow with its terms: sixteen parts of 3072 products gain 6 dB and more."""
    torch.manual_seed(0)
    conv = nn.ConvTranspose1d(1536, 16, 8, 4, padding=2)
    x = torch.randn(1, 1536, 12)
    with torch.no_grad():
        reference = conv(x)
    plain, parts = (snr_db(reference, in_float16(form, x)) for form in (conv, Parts(conv, 16)))
    assert 40 <= plain <= parts - 6


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_the_graph_with_short_sums_equals_eager(tmp_path: Path, version: str) -> None:
    """An open graph with short sums has more convolutions, and ONNX Runtime gives eager's output at 100 dB or more."""
    vocoder = tiny(version)
    initialise(vocoder, 1)
    file = tmp_path / "vocoder.onnx"
    export_onnx(vocoder, torch.zeros(1, 100, 8), file, 17, dynamic=True, terms=20)
    kinds = [node.op_type for node in onnx.load(file).graph.node]
    layers = sum(isinstance(module, nn.Conv1d) for module in vocoder.modules())
    assert kinds.count("Conv") > layers
    voice = log_mel(default_speech(), vocoder.spec)
    for batch, frames in ((1, 14), (2, 47)):
        assert_equal(vocoder, file, speech_mels(voice, batch, frames))


@pytest.mark.parametrize("adds_in_float16", [True, False])
def test_float16_products_break_a_period_of_less_than_sixteen_samples(adds_in_float16: bool) -> None:
    """Sixteen products that are added at once see a period of 4 samples at four places, and cut it differently.

    That is what puts the noise of v3's first stage between the harmonics of a steady sound.
    """
    torch.manual_seed(0)
    original = AliasFreeActivation(3, beta=True, logscale=True)
    x = torch.randn(1, 3, 4).repeat(1, 1, 64)
    form = FORMS["ends-16"](original, 256).half()
    with_float16_products(nn.Sequential(form), lambda _: adds_in_float16)
    with torch.inference_mode():
        steady = form(x.half())[..., 64:-64].float()
        truth = original(x)[..., 64:-64]
    assert snr_db(truth, steady) > 50
    periodic = torch.equal(steady, steady[..., :4].repeat(1, 1, steady.shape[-1] // 4))
    assert periodic != adds_in_float16
