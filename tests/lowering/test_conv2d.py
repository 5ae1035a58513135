"""Tests of the trunk over two-dimensional signals."""

import copy
from pathlib import Path

import pytest
import torch

from bench.lowering import mixed_precision as mixed
from bench.lowering.conv2d import in_planes
from bench.lowering.engine_form import lower_activations
from bench.lowering.onnx_export import export_onnx
from tests.small_vocoders import tiny

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install -e '.[onnx]'")


@pytest.mark.parametrize("frames", [1, 3, 24])
@pytest.mark.parametrize("version", ["v3", "v4"])
def test_equal_results(version: str, frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dilations, strides, padding and biases go along, and whatever stands around a convolution."""
    monkeypatch.setattr(mixed, "WIDE", 1)
    vocoder = tiny(version).double()
    mel = torch.randn(2, 100, frames, dtype=torch.float64)
    forms = [vocoder, lower_activations(vocoder), mixed.set_apart(lower_activations(vocoder), ".")]
    for form in forms:
        wave = form(mel)
        plane = in_planes(copy.deepcopy(form))(mel)
        assert plane.shape == wave.shape
        torch.testing.assert_close(plane, wave, rtol=0, atol=1e-12)


def test_weights_are_shared_and_names_kept() -> None:
    """A vocoder of 112 million weights is not copied, and a builder finds its layers."""
    vocoder = tiny("v4")
    weights = {name: value.data_ptr() for name, value in vocoder.named_parameters()}
    assert {name: value.data_ptr() for name, value in in_planes(vocoder).named_parameters()} == weights


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_shapes_change_around_activations_only(version: str, tmp_path: Path) -> None:
    """Between two convolutions there is nothing to keep them apart."""
    file = tmp_path / "vocoder.onnx"
    export_onnx(tiny(version), torch.zeros(1, 100, 16), file, 17)
    nodes = onnx.load(str(file)).graph.node
    # Two blocks of four activations each, and the last one; then the last convolution.
    assert sum(node.op_type == "Squeeze" for node in nodes) == 1 + (9 if version == "v3" else 0)
