"""Eager runs the module in the label's precision."""

import pytest

from bench.backends.eager import Eager, place
from bench.errors import UnsupportedError
from tests.backends.pytorch_requests import assert_runs_its_label, assert_takes_any_shape, request


@pytest.mark.parametrize(("precision", "weights"), [("fp32", "float32"), ("bf16", "bfloat16"), ("autocast", "float32")])
def test_it_runs_its_label(precision: str, weights: str) -> None:
    """In float32, in bfloat16 throughout, and under autocast with float32 weights."""
    assert assert_runs_its_label(Eager(), precision).weights == weights


def test_it_takes_any_shape() -> None:
    """At another batch and length it gives the module's output."""
    assert_takes_any_shape(Eager())


def test_an_unsupported_precision_is_refused_before_copying() -> None:
    """What the device cannot compute is unsupported."""
    with pytest.raises(UnsupportedError, match="tf32 exists on NVIDIA GPUs only"):
        place(request("tf32"))


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_eight_bits_are_for_engines(precision: str) -> None:
    """PyTorch would compute in float16 under such a label."""
    with pytest.raises(UnsupportedError, match=f"{precision} convolutions exist in engines only"):
        place(request(precision))
