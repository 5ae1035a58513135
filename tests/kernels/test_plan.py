"""A plan computes its vocoder, and says what it cannot."""

import pytest
import torch
from torch import nn

from bench.errors import UnsupportedError
from bench.kernels import filters, packing, reference, sources
from bench.kernels.plan import Convolution, make_plan
from bench.vocoders.hifigan import SLOPE
from tests.kernels.networks import MODELS, bigvgan, hifigan
from tests.kernels.test_network import snr_db


@pytest.mark.parametrize("name", MODELS)
def test_plan_is_the_vocoder(name: str) -> None:
    """In float32 the plan gives the vocoder's audio, whatever has been folded into its weights."""
    model = MODELS[name]()
    for batch, frames in ((1, 1), (2, 6)):
        mel = 3 * torch.randn(batch, 100, frames) - 6
        assert snr_db(reference.run(make_plan(model), mel), model(mel)) > 105


@pytest.mark.parametrize(("rate", "kernel"), [(4, 8), (2, 4), (10, 20), (3, 9), (5, 11), (2, 2), (3, 3), (4, 16)])
def test_polyphase_is_the_transposed_convolution(rate: int, kernel: int) -> None:
    """Every rate and kernel, with windows that shift and with one more tap instead."""
    torch.manual_seed(0)
    weight, x = torch.randn(5, 8, kernel), torch.randn(2, 7, 5)
    expected = nn.functional.conv_transpose1d(x.transpose(1, 2), weight, stride=rate, padding=(kernel - rate) // 2)
    packed, offset, phase = packing.polyphase(weight, rate)
    first = None if phase is None else 8 * phase
    forms = [(packed, first)]
    if first is not None:
        forms.append((packing.unshifted(packed, first), None))
    for form, shifted in forms:
        layer = Convolution(form, torch.zeros(8 * rate), 1, offset, shifted, rate)
        torch.testing.assert_close(reference.convolution(x, layer).transpose(1, 2), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("columns", [8, 16, 24, 32, 40, 48, 56, 96, 128])
def test_channel_order_is_a_permutation(columns: int) -> None:
    """Every channel stands in one column."""
    assert sorted(packing.channel_order(columns).tolist()) == list(range(columns))


def test_split_weights_keep_what_rounding_loses() -> None:
    """High, low and high parts of the mel with high, high and low parts of the weight make a float32 product."""
    torch.manual_seed(0)
    mel, weight = 3 * torch.randn(1, 100, 50) - 6, torch.randn(1, 16, 100)
    rows = reference.mel_rows(mel, torch.float16, 104).double()
    parts = packing.split(weight, torch.float16, 8).half().double()
    got = rows @ parts[0].T
    expected = mel.double().transpose(1, 2) @ weight[0].double().T
    assert snr_db(got, expected) > 110
    rounded = mel.half().double().transpose(1, 2) @ weight[0].half().double().T
    assert snr_db(rounded, expected) < 80


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: bigvgan(upsample_initial_channel=40, upsample_rates=(2, 2), upsample_kernel_sizes=(4, 4)), "multiple"),
        (lambda: bigvgan(resblock_kernel_sizes=(3,) * 5, resblock_dilation_sizes=((1,),) * 5), "branches"),
        (lambda: hifigan(resblock_kernel_sizes=(11,), resblock_dilation_sizes=((1, 30, 5),)), "window"),
        (lambda: bigvgan(upsample_rates=(2,), upsample_kernel_sizes=(4,)), "last layer"),
    ],
)
def test_what_does_not_fit_is_unsupported(model: object, reason: str) -> None:
    """A shape that no kernel takes has its reason."""
    with pytest.raises(UnsupportedError, match=reason):
        make_plan(model())  # type: ignore[operator]


def test_a_foreign_activation_is_unsupported() -> None:
    """An activation that no kernel computes is not taken for a snake."""
    model = bigvgan()
    model.activation_post = nn.Identity()
    with pytest.raises(UnsupportedError, match="Identity"):
        make_plan(model)


def test_the_scale_rounds_the_taps_best() -> None:
    """The scale loses thirty times less of the taps to float16 than no scale does."""
    taps = torch.tensor(filters.taps(), dtype=torch.float64)

    def loss(scale: float) -> float:
        rounded = (taps * scale).half().double() / scale
        return float((rounded - taps).norm() / taps.norm())

    assert loss(filters.SCALES[torch.float16]) < 1e-5
    assert loss(1.0) > 30 * loss(filters.SCALES[torch.float16]) / 2


def test_the_kernels_slope_is_the_networks() -> None:
    """The slope is written into the CUDA sources, its inverse too."""
    text = (sources.FOLDER / "element.cuh").read_text(encoding="utf-8")
    assert f"fmaxf(x, {SLOPE}f * x)" in text
    assert f"fminf(y, {1 / SLOPE:.0f}.f * y)" in text
