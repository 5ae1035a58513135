"""Layers that stay in float32 in a vocoder of a lower precision."""

import pytest
import torch

from bench.errors import InputError
from bench.vocoders.mixed import Float32, layers, lower
from bench.vocoders.polyphase import FORMS, polyphase
from tests.conftest import small_v3


def kept(vocoder: torch.nn.Module) -> list[str]:
    """Names of the layers in float32."""
    return [name for name, module in vocoder.named_modules() if isinstance(module, Float32)]


def test_layers_are_convolutions_and_activations() -> None:
    """Every convolution that rates and blocks have, and every activation as one, in any form for engines."""
    model = small_v3()
    convolutions = sum(isinstance(module, torch.nn.Conv1d | torch.nn.ConvTranspose1d) for module in model.modules())
    activations = sum(name.endswith(".act") for name, _ in model.named_modules())
    for form in FORMS:
        if form != "original":
            assert len(layers(polyphase(model, form))) == convolutions + activations


def test_a_pattern_keeps_what_it_matches() -> None:
    """Matching layers keep their float32 weights, unrounded; all others are lowered."""
    model = small_v3()
    lowered = lower(polyphase(model), torch.float16, "conv_post|activation_post")
    assert kept(lowered) == ["activation_post", "conv_post"]
    assert torch.equal(lowered.get_submodule("conv_post").layer.weight, model.conv_post.weight)
    assert lowered.get_submodule("conv_pre").weight.dtype is torch.float16
    mel = torch.randn(1, 100, 3) - 6
    assert lowered(mel.half()).dtype is torch.float16


def test_everything_in_float32_is_float32_but_for_the_ends() -> None:
    """With every layer kept, only roundings between layers are left; with none, the noise is larger."""
    model = small_v3()
    mel = torch.randn(1, 100, 9) - 6
    reference = model(mel)

    def noise(pattern: str) -> float:
        wave = lower(polyphase(model), torch.float16, pattern)(mel.half()).float()
        return float((wave - reference).square().sum() / reference.square().sum())

    assert noise(".") < noise("")


@pytest.mark.parametrize(("pattern", "said"), [("(", "is a regular expression"), ("nothing", "no layer's name begins")])
def test_patterns_that_keep_nothing(pattern: str, said: str) -> None:
    """A pattern that is none or matches nothing is the user's mistake."""
    with pytest.raises(InputError, match=said):
        lower(polyphase(small_v3()), torch.float16, pattern)
