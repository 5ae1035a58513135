"""The fake TensorRT for every test of this folder."""

from tests.trt.fake_tensorrt import _any_precision, install

__all__ = ["_any_precision", "install"]
