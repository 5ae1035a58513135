"""Shapes and profiles as users give them."""

import pytest

from bench.errors import InputError
from tests.trt.fake_tensorrt import Install


@pytest.mark.parametrize("text", ["", "some", "1x2_1x3", "1x2_1x1_1x3", "0x2_1x3_1x5", "1x2_1x3_1x5+", "1x5_1x3_1x2"])
def test_shapes_that_are_none(install: Install, text: str) -> None:
    """A profile without three shapes in order is the user's mistake."""
    with pytest.raises(InputError, match="option shapes is static, dynamic, or profiles"):
        install("10.15.1").prepare(shapes=text)
