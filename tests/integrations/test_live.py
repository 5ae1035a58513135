"""A live vocoder is read as this suite's own network, value for value."""

import pytest
import torch
from torch import nn

from bench.errors import InputError
from bench.integrations.live import read_live, version_of
from tests.integrations.stand_in_tts import BigVGAN, Generator, weights_of


@pytest.mark.parametrize("make", [BigVGAN, Generator])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_it_is_the_same_network(make: type[nn.Module], dtype: torch.dtype) -> None:
    """The configuration is found, values are those that are held, and the module is left as it was."""
    own = make().eval()
    expected = weights_of(own)
    own.to(dtype)
    held = weights_of(own)
    network, weights = read_live(own)
    for key, value in network.state_dict().items():
        # Filters are constants, which a float16 module has rounded.
        assert torch.equal(value, expected[key] if key.endswith(".filter") else held[key].float()), key
    mel = torch.randn(1, 100, 20) - 5
    with torch.inference_mode():
        assert torch.allclose(network(mel), own.float()(mel), atol=1e-5 if dtype is torch.float32 else 1e-2)
    assert not weights.synthetic
    assert make.__name__ in weights.name
    assert not network.training


def test_weight_norm_is_folded() -> None:
    """A module whose weight norm was not removed computes the same."""
    own = Generator().eval()
    mel = torch.randn(1, 100, 20) - 5
    with torch.inference_mode():
        expected = own(mel)
    torch.nn.utils.parametrizations.weight_norm(own.ups[0])
    with torch.inference_mode():
        assert torch.allclose(read_live(own)[0](mel), expected, atol=1e-5)


def test_what_is_no_vocoder() -> None:
    """One sentence names what is there; a namesake that is built otherwise is seen."""
    with pytest.raises(InputError, match="holds a Linear, not a BigVGAN or Generator"):
        version_of(nn.Linear(1, 1))
    for name in ("BigVGAN", "Generator"):
        namesake = type(name, (nn.Linear,), {})(2, 2)
        with pytest.raises(InputError, match=f"the live {name} is not built as GPT-SoVITS's"):
            read_live(namesake)
