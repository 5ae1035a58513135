"""TorchScript runs a frozen graph in the label's precision."""

import pytest

from bench.backends.torchscript import TorchScript
from bench.errors import UnsupportedError
from tests.backends.pytorch_requests import assert_runs_its_label, assert_takes_any_shape, request


@pytest.mark.parametrize(("precision", "weights"), [("fp32", "float32"), ("autocast", "bfloat16")])
def test_it_runs_its_label(precision: str, weights: str) -> None:
    """In float32, and under autocast, whose casts of the weights are part of the graph."""
    assert assert_runs_its_label(TorchScript(), precision).weights == weights


def test_it_takes_any_shape() -> None:
    """At another batch and length it gives the module's output."""
    assert_takes_any_shape(TorchScript())


def test_it_is_a_frozen_graph() -> None:
    """The module is traced and frozen: parameters are constants of a graph whose size is recorded."""
    runner = TorchScript().prepare(request("fp32"))
    assert runner.build.details["graph_nodes"] > 50


def test_an_unsupported_precision_is_refused_before_copying() -> None:
    """What the device cannot compute is unsupported."""
    with pytest.raises(UnsupportedError, match="tf32 exists on NVIDIA GPUs only"):
        TorchScript().prepare(request("tf32"))
