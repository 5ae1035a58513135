"""A lowered vocoder equals the vocoder."""

import pytest
import torch

from bench.lowering.activation import FORMS, Ends
from bench.lowering.engine_form import lower, lower_activations
from tests.conftest import small_v3
from tests.small_vocoders import assert_same_everywhere


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("changes", [{}, {"resblock": "2"}, {"activation": "snake", "snake_logscale": False}])
def test_lowered_activations_are_equal(changes: dict[str, object], form: str) -> None:
    """Each form of the activation equals the original at any batch and length, edges included."""
    model = small_v3(**changes).double()
    assert_same_everywhere(model, lower_activations(model, FORMS[form]).double())


def test_no_frame_is_longer_than_a_mel_frame() -> None:
    """BigVGAN's stages have 4, 16, 32, 64, 128 and 256 samples a mel frame; a frame has 64 at most."""
    form = lower(small_v3(), torch.zeros(1, 100, 16))
    activations = [module for module in form.modules() if isinstance(module, Ends)]
    assert len(activations) == 6 * 3 * 6 + 1
    assert [activation.size for activation in activations[::18]] == [4, 16, 32, 64, 64, 64, 64]
