"""Options of engines as users give them."""

import pytest

from bench.errors import InputError
from bench.lowering.activation import DEFAULT_FORM, SHORT_FORM
from bench.trt.options import parse_options
from tests.trt.fake_tensorrt import Install
from tests.trt.requests import FRAMES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "6"}, "option level is a whole number from 0 to 5, not '6'"),
        ({"level": "fast"}, "option level is a whole number"),
        ({"workspace_mib": "-1"}, "option workspace_mib is a whole number"),
        ({"activation": "ends-64", "shapes": "1x5_1x99_1x99"}, "ends-64 takes 6 frames or more, not 5"),
        ({"activation": "ends-64"}, f"ends-64 takes 6 frames or more, not {FRAMES}"),
        ({"activation": "shifted"}, "option activation is one of ends-64, frames-16, not 'shifted'"),
        ({"tactics": "magic"}, "has no source 'MAGIC'; it has CUBLAS, CUDNN, EDGE_MASK_CONVOLUTIONS"),
    ],
)
def test_wrong_options(install: Install, options: dict[str, str], message: str) -> None:
    """An option's value that cannot be used is the user's mistake, named."""
    with pytest.raises(InputError) as caught:
        install("10.15.1").prepare(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given", "form"),
    [
        ({}, SHORT_FORM),  # the case has fewer frames than both ends take
        ({"shapes": "1x5_1x99_1x99"}, SHORT_FORM),
        ({"shapes": f"1x{FRAMES}_1x99_1x99+1x6_1x99_1x99"}, SHORT_FORM),
        ({"shapes": "1x6_1x99_1x99"}, DEFAULT_FORM),
        ({"activation": "ends-64", "shapes": "1x6_1x99_1x99"}, "ends-64"),
        ({"activation": "frames-16", "shapes": "1x6_1x99_1x99"}, "frames-16"),
        ({"activation": "frames-16", "shapes": "1x2_1x99_1x99"}, "frames-16"),
    ],
)
def test_short_lengths_have_a_form_of_their_own(given: dict[str, str], form: str) -> None:
    """The activation's default form depends on the shortest length that an engine takes."""
    assert FRAMES < 6
    assert parse_options(given, (1, FRAMES)).activation == form
