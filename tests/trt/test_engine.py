"""A loaded engine: profiles, shapes, and the time of its layers."""

import torch

from bench.backends.tensorrt_onnx import TensorRtOnnx
from bench.trt.engine import Engine
from tests.trt.fake_tensorrt import Install
from tests.trt.requests import FRAMES, request


def test_a_shape_runs_in_the_profile_tuned_nearest(install: Install) -> None:
    """The context changes profile where another holds the shape, and the output follows the shape."""
    trt = install("10.15.1")
    runner = trt.prepare(shapes="1x2_1x3_4x9+2x2_2x4_4x9")
    assert runner.run(torch.zeros(1, 100, 3)).shape == (1, 1, 6)
    assert trt.profiles_run == []
    assert runner.run(torch.zeros(2, 100, 4)).shape == (2, 1, 8)
    assert trt.profiles_run == [1]


def test_layers_are_timed_without_the_first_two_inferences(install: Install) -> None:
    """The median of what TensorRT's profiler reports."""
    install("10.15.1")
    runner = TensorRtOnnx().prepare(request("tensorrt-onnx"))
    assert isinstance(runner.run, Engine)
    # Inferences 3 to 5 report their own number.
    assert runner.run.layer_times_ms(torch.zeros(1, 100, FRAMES), rounds=3) == {"Conv": 4}
