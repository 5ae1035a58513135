"""Every form that the study times equals the activation, and stands where an engine has it."""

import argparse

import pytest
import torch

from bench.lowering.conv2d import in_planes
from bench.lowering.engine_form import lower_activations
from studies.activation_forms import FORMS
from studies.activations import Sandwich, channels_and_samples
from tests.conftest import small_v3
from tests.small_vocoders import assert_same_everywhere


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("changes", [{}, {"resblock": "2"}, {"activation": "snake", "snake_logscale": False}])
def test_every_form_is_equal(changes: dict[str, object], form: str) -> None:
    """Each form of the activation equals the original at any batch and length, edges included."""
    model = small_v3(**changes).double()
    assert_same_everywhere(model, lower_activations(model, FORMS[form]).double())


@pytest.mark.parametrize("form", FORMS)
def test_forms_are_timed_as_engines_have_them(form: str) -> None:
    """Between two-dimensional convolutions, with equal results."""
    x = torch.randn(1, 8, 16 * 24, dtype=torch.float64)
    plain = Sandwich(8, 16, form).eval().double()
    model = in_planes(Sandwich(8, 16, form).eval()).double()
    assert all(model.get_parameter(f"{name}.weight").ndim == 4 for name in ("first", "last"))
    torch.testing.assert_close(model(x), plain.last(plain.act(plain.first(x))), rtol=0, atol=1e-12)
    torch.testing.assert_close(model(x), Sandwich(8, 16, "original").eval().double()(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("text", ["foo", "96", "96x", "x5", "0x16", "96x-1"])
def test_no_shape(text: str) -> None:
    """One sentence for a shape that is none."""
    with pytest.raises(argparse.ArgumentTypeError, match="channels x samples such as 96x29952, not"):
        channels_and_samples(text)
