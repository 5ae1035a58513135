"""Layers that stay in float32 in a vocoder of a lower precision."""

import numpy as np
import pytest
import torch

from bench.errors import InputError
from bench.lowering import mixed_precision as mixed
from bench.lowering.activation import FORMS
from bench.lowering.engine_form import lower, lower_activations
from bench.lowering.mixed_precision import Apart, Float32, convert, layers, round_kept, round_to_tf32, set_apart
from tests.conftest import small_v3


def kept(vocoder: torch.nn.Module) -> list[str]:
    """Names of the layers in float32."""
    return [name for name, module in vocoder.named_modules() if isinstance(module, Float32)]


def test_layers_are_convolutions_and_activations() -> None:
    """Every convolution that rates and blocks have, and every activation as one, in any form for engines."""
    model = small_v3()
    convolutions = sum(isinstance(module, torch.nn.Conv1d | torch.nn.ConvTranspose1d) for module in model.modules())
    activations = sum(name.endswith(".act") for name, _ in model.named_modules())
    for form in FORMS.values():
        assert len(layers(lower_activations(model, form))) == convolutions + activations


def test_a_pattern_keeps_what_it_matches() -> None:
    """Matching layers keep their float32 weights, unrounded; all others are converted."""
    model = small_v3()
    model_16 = convert(lower_activations(model), torch.float16, "conv_post|activation_post")
    assert kept(model_16) == ["activation_post", "conv_post"]
    assert torch.equal(model_16.get_parameter("conv_post.layer.weight"), model.conv_post.weight)
    assert model_16.get_parameter("conv_pre.weight").dtype is torch.float16
    mel = torch.randn(1, 100, 3) - 6
    assert model_16(mel.half()).dtype is torch.float16


def test_everything_in_float32_is_float32_but_for_the_ends() -> None:
    """With every layer kept, only roundings between layers are left; with none, the noise is larger."""
    model = small_v3()
    mel = torch.randn(1, 100, 9) - 6
    reference = model(mel)

    def noise(pattern: str) -> float:
        wave = convert(lower_activations(model), torch.float16, pattern)(mel.half()).float()
        return float((wave - reference).square().sum() / reference.square().sum())

    assert noise(".") < noise("")


@pytest.mark.parametrize(("pattern", "said"), [("(", "is a regular expression"), ("nothing", "no layer's name begins")])
def test_patterns_that_keep_nothing(pattern: str, said: str) -> None:
    """A pattern that is none or matches nothing is the user's mistake."""
    with pytest.raises(InputError, match=said):
        convert(lower_activations(small_v3()), torch.float16, pattern)


def cut(x: torch.Tensor) -> torch.Tensor:
    """What a TF32 kernel sees of float32: the last thirteen bits are not read."""
    return torch.from_numpy((x.detach().numpy().view("uint32") & 0xFFFFE000).view("float32"))


def test_rounding_to_tf32_is_to_the_nearest() -> None:
    """Ten bits of mantissa, whatever the sign and size, as frexp has them."""
    torch.manual_seed(0)
    x = torch.randn(1000) * 10.0 ** torch.randint(-6, 7, (1000,))
    mantissa, exponent = np.frexp(x.double().numpy())
    nearest = np.ldexp(np.round(mantissa * 2**11) / 2**11, exponent)
    assert np.array_equal(round_to_tf32(x).double().numpy(), nearest)
    assert torch.equal(round_to_tf32(torch.tensor([0.0, -0.0, 1.0, -1.5])), torch.tensor([0.0, -0.0, 1.0, -1.5]))


def test_kept_layers_have_nothing_to_cut_off() -> None:
    """In a lowered float32 vocoder the kept layers' factors are TF32's, which cutting leaves alone; the rest stays."""
    model = small_v3()
    torch.nn.init.normal_(model.conv_pre.weight)  # the synthetic ones have few bits
    form = round_kept(lower_activations(model), r"conv_pre|ups|resblocks\.0\.activations\.0")
    factors = [form.get_buffer(f"resblocks.0.activations.0.{name}") for name in ("between", "down", "edges")]
    kept_factors = [form.get_parameter("conv_pre.weight"), form.get_parameter("ups.0.0.weight"), *factors]
    assert all(torch.equal(cut(factor), factor.detach()) for factor in kept_factors)
    assert not torch.equal(form.get_parameter("conv_pre.weight"), model.conv_pre.weight)
    plain = lower_activations(model)
    for name in (
        "conv_post.weight",
        "conv_pre.bias",
        "resblocks.0.activations.0.alpha",
        "resblocks.1.activations.0.down",
    ):
        parent, _, child = name.rpartition(".")
        assert torch.equal(getattr(form.get_submodule(parent), child), getattr(plain.get_submodule(parent), child))


def test_rounded_weights_lose_less_than_cut_ones() -> None:
    """Cutting makes every product smaller, which adds up over layers; rounding does not."""
    torch.manual_seed(0)
    weight, x = torch.randn(64, 3072), torch.randn(3072, 200)
    reference = weight @ x

    def noise_db(factor: torch.Tensor) -> float:
        return float(10 * torch.log10((factor @ x - reference).square().sum() / reference.square().sum()))

    assert noise_db(cut(round_to_tf32(weight))) < noise_db(cut(weight)) - 5


def test_only_weights_of_a_float32_graph_are_rounded() -> None:
    """Where the graph carries the types, a kept layer has the checkpoint's own weights."""
    model = small_v3()
    torch.nn.init.normal_(model.conv_pre.weight)  # the synthetic ones have few bits
    strong = lower(model, torch.zeros(1, 100, 16, dtype=torch.float16), "conv_pre")
    weak = lower(model, torch.zeros(1, 100, 16), "conv_pre")
    assert torch.equal(strong.get_parameter("conv_pre.layer.weight"), model.conv_pre.weight)
    assert torch.equal(weak.get_parameter("conv_pre.weight"), round_to_tf32(model.conv_pre.weight.detach()))
    assert not torch.equal(weak.get_parameter("conv_pre.weight"), model.conv_pre.weight)
    plain = lower(model, torch.zeros(1, 100, 16))
    assert torch.equal(plain.get_parameter("conv_pre.weight"), model.conv_pre.weight)


def test_what_stands_apart_is_equal_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs cost nothing; the original keeps its weights, and what is not kept, added or wide is as before."""
    monkeypatch.setattr(mixed, "WIDE", 16)
    model = small_v3()
    mel = torch.randn(2, 100, 20) - 6
    plain = lower_activations(model)
    form = set_apart(lower_activations(model), r"conv_pre|ups|resblocks\.\d+\.convs")
    assert torch.equal(form(mel), plain(mel))
    apart = [name for name, module in form.named_modules() if isinstance(module, Apart)]
    wide = [block for block in range(18) if model.get_parameter(f"resblocks.{block}.convs2.0.weight").shape[1] >= 16]
    assert 0 < len(wide) < 18
    assert apart == [f"resblocks.{block}.convs2.{step}" for block in wide for step in range(3)]
    assert torch.equal(form.get_parameter(f"{apart[0]}.conv.weight"), -model.get_parameter(f"{apart[0]}.weight"))
    few = set_apart(lower_activations(model), r"conv_pre|resblocks\.0\.convs2\.1$")
    assert [name for name, module in few.named_modules() if isinstance(module, Apart)] == ["resblocks.0.convs2.1"]
