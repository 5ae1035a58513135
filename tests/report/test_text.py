import doctest
from types import ModuleType

import pytest

import bench.compare.markdown
import bench.report.text
from bench.report.text import number


@pytest.mark.parametrize("module", [bench.report.text, bench.compare.markdown])
def test_the_examples_are_true(module: ModuleType) -> None:
    """Every example in a docstring gives what it says."""
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("value", [0.000123, 0.5, 9.999, 123.4, 99999.0, 1.0, 0.0999951])
def test_a_number_keeps_its_value_to_the_digits_asked_for(value: float) -> None:
    """Rounding loses less than half a unit of the last digit, whatever the size."""
    assert float(number(value, 4)) == pytest.approx(value, rel=5.001e-4)


def test_what_was_not_measured_is_blank() -> None:
    """None is an empty text and zero is a zero: they are never confused."""
    assert number(None) == ""
    assert number(0.0) == "0"
